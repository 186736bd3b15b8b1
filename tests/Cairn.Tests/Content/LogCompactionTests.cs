using Cairn.Content;
using Cairn.Log;
using Cairn.Storage;
using Cairn.Tests.Primitives;
using Xunit;

namespace Cairn.Tests.Content;

/// <summary>What a compaction lets go of, and what can still be asked afterwards.</summary>
public class LogCompactionTests
{
    private static readonly string[] Keys = ["a", "b", "c", "d"];

    private static string Text(int i, int length) => new((char)('a' + i % 26), length);

    private static readonly TimeSpan Hour = TimeSpan.FromHours(1);

    [Fact]
    [Trait("Requirement", "RET-3")]
    [Trait("Requirement", "RET-5")]
    [Trait("Requirement", "RPL-5")]
    public void Each_run_keeps_what_its_policy_promises_and_tells_no_lies_about_the_rest()
    {
        var seed = Seeds.Begin("log compaction");
        var random = new Random((int)seed);
        using var world = new CompactionWorld();
        var all = world.Run("all", Retention.KeepAll);
        var window = world.Run("hour", Retention.KeepFor(Hour));
        var newest = world.Run("newest", Retention.KeepLast(1));
        var refused = (All: 0, Window: 0, Newest: 0);
        for (var round = 0; round < 6; round++)
        {
            for (var i = 0; i < 150; i++)
            {
                world.Clock.Advance(TimeSpan.FromSeconds(random.Next(1, 40)));
                var run = random.Next(3) switch { 0 => all, 1 => window, _ => newest };
                if (random.Next(4) == 0)
                    world.Put(run, Keys[random.Next(Keys.Length)], random.Next(5) == 0 ? null : Text(i, random.Next(400)));
                if (random.Next(6) == 0)
                    world.Remember();
                if (random.Next(10) == 0)
                    world.Run("filler", Retention.KeepLast(1)).Kv.Put("filler", new string('x', 3_000));
            }

            world.FillSegments(1);
            var before = world.Db.StateHash();

            // Now and then archives are left as they are although not all of what they keep is needed.
            world.Compact(random.Next(2) == 0 ? null : random.Next(1, 4), random.Next(2) == 0 ? CompactionWorld.Always : new(0.6, 1));
            Assert.Equal(before, world.Db.StateHash());
            var now = world.Db.Engine.Path.ReadTime();
            refused.All += world.Check(all, Keys, (_, _) => false);
            refused.Window += world.Check(window, Keys, (_, time) => time < now - (long)Hour.TotalMicroseconds);
            refused.Newest += world.Check(newest, Keys, (_, _) => true);
        }

        // The policies are not idle: something was let go of.
        Assert.Equal(0, refused.All);
        Assert.True(refused.Window > 0 && refused.Newest > 0, $"refused: {refused}");
        Assert.Contains(world.Log.Manifest.Archives, archive => archive.FileBytes > 0);
    }

    [Fact]
    [Trait("Requirement", "RET-3")]
    public void What_lies_below_the_floor_says_from_where_it_is_kept()
    {
        using var world = new CompactionWorld();
        var run = world.Run("run", Retention.KeepFor(Hour));
        world.Put(run, "a", "one");
        var first = world.Db.Sequence;
        world.Put(run, "a", "two");
        world.Clock.Advance(2 * Hour);
        world.Put(run, "b", "x");
        var later = world.Db.Sequence;
        world.Put(run, "a", "three");
        world.FillSegments(2);
        world.Compact();
        var trimmed = Assert.Throws<HistoryTrimmedException>(() => run.Kv.GetAt("a", first));
        Assert.Equal(first, trimmed.Requested);
        Assert.Equal(first.Value + 1, trimmed.Earliest.Value);
        Assert.Equal("two", run.Kv.GetAt("a", trimmed.Earliest)!.Value.AsString());
        Assert.Equal("two", run.Kv.GetAt("a", later)!.Value.AsString());
        Assert.Null(run.Kv.GetAt("b", trimmed.Earliest));
        Assert.Equal(2, run.Kv.History("a", 2).Count);
        Assert.Throws<HistoryTrimmedException>(() => run.Kv.History("a", 3));
    }

    // An expiry that is changed keeps the value of an older record: with the newer record alone, the version would have no value.
    [Fact]
    [Trait("Requirement", "RET-3")]
    [Trait("Requirement", "TTL-6")]
    public void The_value_behind_a_changed_expiry_is_kept_with_it()
    {
        using var world = new CompactionWorld();
        var run = world.Run("run", Retention.KeepFor(Hour));
        run.Kv.Put("k", "value");
        run.State.Set("c", "value");
        world.FillSegments(1);
        run.Kv.Expire("k", 10 * Hour);
        run.State.Expire("c", 10 * Hour);
        var then = world.Db.Sequence;
        world.FillSegments(1);
        world.Clock.Advance(2 * Hour);
        run.Kv.Put("k", "newer");
        run.State.Set("c", "newer");
        world.FillSegments(1);
        world.Compact();
        Assert.Equal("value", run.Kv.GetAt("k", then)!.Value.AsString());
        Assert.Equal("value", run.State.GetAt("c", then)!.Value.Value.AsString());
    }

    [Fact]
    [Trait("Requirement", "RET-3")]
    public void A_deleted_run_leaves_nothing_and_its_id_begins_anew()
    {
        using var world = new CompactionWorld();
        var id = world.Run("run").Id;
        world.Put(world.Run("run"), "a", "old");
        world.FillSegments(1);
        world.Compact();
        Assert.True(world.Log.Manifest.Archives.Count > 0);
        world.Db.Runs.Delete(id);
        var again = world.Db.Runs.Begin("again", id: id);
        world.Put(again, "a", "new");
        world.FillSegments(1);
        world.Compact();
        Assert.Equal("new", Assert.Single(again.Kv.History("a")).Value.AsString());
        var (held, archives) = ((ArchiveSet)world.Log.Archive!, world.Log.Manifest.Archives);
        Assert.Equal(archives.Count, held.Archives.Count);
        Assert.DoesNotContain(
            held.Archives.SelectMany(archive => archive.Records()),
            record => record.Run == id && record.Position < archives[^1].FirstPosition);
    }

    [Fact]
    [Trait("Requirement", "CNT-2")]
    [Trait("Requirement", "CNT-9")]
    public void Contents_stay_where_their_positions_say_through_any_number_of_compactions()
    {
        var seed = Seeds.Begin("contents in archives");
        var random = new Random((int)seed);
        using var world = new CompactionWorld(Retention.KeepLast(1));
        var known = new Dictionary<LogExtent, byte[]>();
        for (var round = 0; round < 8; round++)
        {
            for (var i = 0; i < 12; i++)
            {
                var bytes = new byte[random.Next(1, 5_000)];
                random.NextBytes(bytes);
                var before = world.Log.AppendedPosition;
                world.Db.Default.Kv.Put($"k{i}", Value.Bytes(bytes));
                var record = new byte[(int)(world.Log.AppendedPosition - before)];
                if (world.Log.Read(before, record) < record.Length)
                    continue;                                // a new segment began in between
                var at = record.AsSpan().IndexOf(bytes);
                var extent = new LogExtent(before + (ulong)at, bytes.Length);
                known.Add(extent, bytes);
                world.Contents.Add(extent);
            }

            foreach (var gone in world.Contents.Where(_ => random.Next(3) == 0).ToList())
                world.Contents.Remove(gone);
            world.FillSegments(1);
            world.Compact();
            foreach (var extent in world.Contents)
            {
                var bytes = new byte[extent.Length];
                Assert.Equal(bytes.Length, world.Log.Read(extent.Position, bytes));
                Assert.True(known[extent].AsSpan().SequenceEqual(bytes));
            }
        }

        // What is not needed is really gone, but for what shares a block with what is.
        var kept = world.Log.Manifest.Archives.Sum(archive => archive.FileBytes);
        Assert.True(kept < 2 * world.Contents.Sum(extent => extent.Length) + 16_384, $"{kept} bytes of archives");
        Assert.Equal(0, world.Log.Read(known.Keys.Except(world.Contents).MinBy(extent => extent.Position).Position, new byte[1]));
    }

    [Fact]
    [Trait("Requirement", "CNT-2")]
    public void Below_its_trigger_a_compaction_does_nothing_and_a_plan_never_does()
    {
        using var world = new CompactionWorld(Retention.KeepAll);
        var run = world.Run("run");
        for (var i = 0; i < 100; i++)
            run.Kv.Put("k", new string('v', 500));
        world.Run("filler", Retention.KeepAll);
        world.FillSegments(1);
        world.Run("filler").Retention.Apply(Retention.KeepAll);
        var segments = world.Log.Manifest.Segments.Count;
        Assert.Equal(0, world.Compact(trigger: new(0.5, 1)).SegmentsDropped);
        run.Retention.Apply(Retention.KeepLast(1));
        Assert.Equal(0, world.Compact(trigger: new(0.5, 1 << 20)).SegmentsDropped);
        var plan = world.Compact(trigger: new(0.5, 1), onlyPlans: true);
        Assert.True(plan.SegmentsDropped > 0 && plan.BytesDropped > plan.BytesWritten);
        Assert.Equal(segments, world.Log.Manifest.Segments.Count);
        var done = world.Compact(trigger: new(0.5, 1));
        Assert.Equal((plan.SegmentsDropped, plan.BytesDropped), (done.SegmentsDropped, done.BytesDropped));
        Assert.Equal(plan.BytesNeeded, done.BytesNeeded);
        Assert.Equal(segments - done.SegmentsDropped, world.Log.Manifest.Segments.Count);
    }

    // What the newest record of a key was when the archive was written may be followed by a deletion that no policy keeps. If the archive
    // stays as it is, that deletion has to stay too: otherwise the old value would come back as an answer.
    [Fact]
    [Trait("Requirement", "RET-5")]
    public void A_deletion_covers_what_an_archive_still_has()
    {
        using var world = new CompactionWorld();
        var run = world.Run("run", Retention.KeepFor(Hour));
        world.Put(run, "kept", new string('k', 5_000));
        world.Put(run, "a", "old");
        world.Put(run, "a", "older than the deletion");
        world.FillSegments(1);
        world.Compact();
        Assert.NotEmpty(world.Log.Manifest.Archives);
        world.Put(run, "a", null);
        var deleted = world.Db.Sequence;
        world.FillSegments(1);
        world.Clock.Advance(3 * Hour);
        world.Put(run, "b", "x");
        world.FillSegments(1);

        // Most of the archive is needed, so it stays; most of the segments is not.
        var archive = world.Log.Manifest.Archives[0];
        world.Compact(trigger: new(0.6, 1));
        Assert.Contains(archive, world.Log.Manifest.Archives);
        var later = world.Db.Sequence;
        world.Clock.Advance(TimeSpan.FromMinutes(1));
        world.Put(run, "a", "again");
        Assert.Null(run.Kv.GetAt("a", later));
        Assert.True(later > deleted);

        // Once it is written again, nothing of the key is left in it and the deletion may go.
        world.FillSegments(1);
        world.Clock.Advance(3 * Hour);
        world.Compact();
        world.Compact();
        Assert.Equal("again", run.Kv.GetAt("a", world.Db.Sequence)!.Value.AsString());
        Assert.Throws<HistoryTrimmedException>(() => run.Kv.GetAt("a", later));
    }

    [Fact]
    [Trait("Promise", "G1")]
    [Trait("Requirement", "CNT-10")]
    public void CNT10_A_crash_at_any_step_leaves_the_old_placement_or_the_new_one_complete()
    {
        var disk = new CrashStorage();
        using var world = new CompactionWorld(Retention.KeepLast(1), disk);
        var known = Prepare(world);
        var seen = new HashSet<UInt128>();
        var found = new HashSet<(int, int)>();
        var failures = new List<Exception>();
        var seed = 0UL;
        disk.AtEachOperation = () =>
        {
            foreach (var image in disk.Images(seed++, seen, randomCount: 8))
            {
                using var after = image.Storage;
                try
                {
                    found.Add(Placement.Check(after, known));
                }
                catch (Exception failure) when (failures.Count < 3)
                {
                    failures.Add(failure);
                }
            }
        };
        world.Compact(2);
        world.Contents.RemoveAll(extent => extent.Length > 100);
        known.RemoveAll(each => each.Bytes.Length > 100);
        world.Compact();
        disk.AtEachOperation = null;
        Assert.Empty(failures);

        // Before; after the first two segments, with an archive that is written again; after the rest.
        Assert.True(found.Count >= 3, string.Join(' ', found));
        Assert.Equal(Placement.Check(disk, known), (world.Log.Manifest.Segments.Count, world.Log.Manifest.Archives.Count));
    }

    [Fact]
    [Trait("Promise", "G7")]
    [Trait("Requirement", "CNT-10")]
    public void C7_A_fault_at_any_call_of_a_compaction_ends_it_or_the_database_and_never_loses_a_byte()
    {
        foreach (var kind in new[] { FaultKind.Io, FaultKind.IoAfterwards, FaultKind.NoSpace, FaultKind.ShortWrite, FaultKind.FlippedBit })
        {
            for (var at = 1; ; at++)
            {
                using var disk = new MemoryStorage();
                var faulty = new FaultStorage(disk, (ulong)at);
                using var world = new CompactionWorld(Retention.KeepLast(1), faulty);
                var known = Prepare(world);
                faulty.Inject(kind, at);
                var failure = Record.Exception(() => world.Compact());
                faulty.Clear();
                Placement.Check(disk, known);
                if (faulty.Strikes == 0)
                {
                    Assert.Null(failure);
                    break;
                }

                Assert.True(
                    failure is null or StorageException or CairnException, $"{kind} at {at}: {failure}");
                if (world.Db.Engine.State.HasFailed)
                    continue;

                // What did not end writing is no obstacle to the next attempt.
                Assert.True(
                    failure is null or CorruptionException or StorageException { Error: not StorageError.Io } || kind is FaultKind.Io,
                    $"{kind} at {at}: {failure}");
                world.Compact();
                Placement.Check(disk, known);
                foreach (var (position, bytes) in known)
                {
                    var read = new byte[bytes.Length];
                    Assert.Equal(bytes.Length, world.Log.Read(position, read));
                    Assert.Equal(bytes, read);
                }
            }
        }
    }

    // A manifest that found no room ended writing for good, although nothing had been published: and giving log up is what makes room.
    [Theory]
    [InlineData(nameof(StorageCall.CreateNew))]
    [InlineData(nameof(StorageCall.Write))]
    [Trait("Promise", "G7")]
    [Trait("Requirement", "CNT-10")]
    public void A_full_disk_under_the_manifest_of_a_compaction_ends_that_and_no_more(string call)
    {
        using var disk = new MemoryStorage();
        var faulty = new FaultStorage(disk, 1);
        using var world = new CompactionWorld(Retention.KeepLast(1), faulty);
        var known = Prepare(world);
        world.Log.ReleaseReserve();
        var manifest = LogNames.Manifest(world.Log.Manifest.Number + 1);
        faulty.Inject(FaultKind.NoSpace, 1, Enum.Parse<StorageCall>(call), lasting: true, path: manifest + LogNames.Part);
        var segments = world.Log.SegmentCount;
        var failure = Record.Exception(() => world.Compact());
        Assert.True(faulty.Strikes > 0);
        Assert.True(failure is StorageException { Error: StorageError.NoSpace }, $"{failure}");
        Assert.False(world.Db.Engine.State.HasFailed);
        Assert.Equal(segments, world.Log.SegmentCount);
        Assert.Empty(disk.List(LogNames.ArchiveDirectory));
        faulty.Clear();
        world.Db.Default.Kv.Put("later", 1);
        Assert.True(world.Compact().SegmentsDropped > 0);
        Placement.Check(disk, known);
    }

    // Readers take positions at random while segments become archives and archives smaller ones.
    [Fact]
    [Trait("Requirement", "CNT-9")]
    public void CNT9_Readers_see_the_same_bytes_whatever_moves_beneath_them()
    {
        using var world = new CompactionWorld(Retention.KeepLast(1));
        var known = Prepare(world);
        var (reads, isOver) = (0L, false);
        ModeDatabase.OnThreads(4, index =>
        {
            if (index == 0)
            {
                try
                {
                    Move();
                }
                finally
                {
                    Volatile.Write(ref isOver, true);
                }
            }

            var random = new Random(index);
            while (!Volatile.Read(ref isOver))
            {
                var (position, bytes) = known[random.Next(known.Count)];
                var found = new byte[bytes.Length];
                Assert.Equal(bytes.Length, world.Log.Read(position, found));
                Assert.True(bytes.AsSpan().SequenceEqual(found));
                Interlocked.Increment(ref reads);
            }
        });

        void Move()
        {
            for (var round = 0; round < 12; round++)
            {
                // Garbage beside what the readers know: each round leaves something to do.
                world.Db.Default.Kv.Put($"g{round}", Value.Bytes(new byte[3_000]));
                world.FillSegments(1);
                var before = Interlocked.Read(ref reads);
                world.Compact(1);
                SpinWait.SpinUntil(() => Interlocked.Read(ref reads) > before + 20, TimeSpan.FromSeconds(5));
            }
        }

        Assert.True(world.Log.Manifest.NextArchive > 5, $"{world.Log.Manifest.NextArchive - 1} archives were written");
    }

    // The archive was named, and somebody had begun to read the log meanwhile. It could not be unlinked: every further compaction met its
    // name and failed until the next opening.
    [Fact]
    [Trait("Requirement", "CNT-10")]
    public void An_archive_that_could_not_be_thrown_away_is_in_nobodys_way()
    {
        using var disk = new MemoryStorage();
        var stubborn = new StubbornStorage(disk);
        using var world = new CompactionWorld(Retention.KeepAll, stubborn);
        for (var i = 0; i < 20; i++)
            world.Put(world.Run("run"), "k", $"v{i}");
        world.FillSegments(2);
        LogHold? hold = null;
        stubborn.AtArchive = () => hold = world.Log.Hold();
        Assert.Equal(0, world.Compact().SegmentsDropped);
        Assert.Equal(["0000000001.archive"], disk.List(LogNames.ArchiveDirectory));
        hold!.Dispose();
        Assert.True(world.Compact().SegmentsDropped > 0);
        Assert.Equal([2u], world.Log.Manifest.Archives.Select(archive => archive.Number));
        Assert.Equal(20, world.Run("run").Kv.History("k").Count);
    }

    /// <summary>Does something when an archive gets its name, and does not unlink that one.</summary>
    private sealed class StubbornStorage(IStorage inner) : StorageLayer(inner)
    {
        internal Action? AtArchive { get; set; }

        public override void Rename(string oldPath, string newPath)
        {
            base.Rename(oldPath, newPath);
            if (newPath.StartsWith(LogNames.ArchiveDirectory, StringComparison.Ordinal))
                AtArchive?.Invoke();
            AtArchive = null;
        }

        public override void Unlink(string path)
        {
            if (path == LogNames.ArchivePath(1))
                throw new StorageException(StorageError.Io, "unlink", path, 0, "as the test wants it");
            base.Unlink(path);
        }
    }

    [Fact]
    [Trait("Requirement", "RET-4")]
    public void Who_holds_the_log_finds_all_of_it_until_he_lets_go()
    {
        using var world = new CompactionWorld(Retention.KeepLast(1));
        var known = Prepare(world);
        using (var hold = world.Log.Hold())
        {
            Assert.Null(hold.Checkpoint);
            Assert.Equal(0, world.Compact().SegmentsDropped);
            Assert.Equal(0UL, world.Log.FirstPosition);
            Assert.Empty(world.Storage.List(LogNames.ArchiveDirectory));
        }

        Assert.True(world.Compact().SegmentsDropped > 0);
        Placement.Check(world.Storage, known);
    }

    // Some contents of two lengths over several segments.
    private static List<(ulong Position, byte[] Bytes)> Prepare(CompactionWorld world)
    {
        var random = new Random(17);
        var known = new List<(ulong, byte[])>();
        for (var i = 0; i < 24; i++)
        {
            var bytes = new byte[i % 3 == 0 ? 40 : 700];
            random.NextBytes(bytes);
            var before = world.Log.AppendedPosition;
            world.Db.Default.Kv.Put($"k{i}", Value.Bytes(bytes));
            if (i % 4 == 3)
                world.FillSegments(1);
            var record = new byte[bytes.Length + 200];
            var read = world.Log.Read(before, record);
            if (record.AsSpan(0, read).IndexOf(bytes) is not (>= 0 and var at))
                continue;                                    // a new segment began in between
            known.Add((before + (ulong)at, bytes));
            world.Contents.Add(new LogExtent(before + (ulong)at, bytes.Length));
        }

        Assert.True(known.Count > 12);
        return known;
    }

    [Fact]
    [Trait("Requirement", "CNT-3")]
    public void Damage_ends_a_compaction_and_nothing_has_changed()
    {
        using var world = new CompactionWorld();
        world.Put(world.Run("run"), "a", new string('v', 1_000));
        world.FillSegments(2);
        var path = LogNames.SegmentPath(world.Log.Manifest.Segments[0].Number);
        using (var file = world.Storage.Open(path, writable: true))
        {
            var bytes = new byte[1];
            file.ReadAt(bytes, 5_000);
            bytes[0] ^= 4;
            file.WriteAt(bytes, 5_000);
        }

        var manifest = world.Log.Manifest;
        var damage = Assert.Throws<CorruptionException>(() => world.Compact());
        Assert.Equal(path, damage.File);
        Assert.Same(manifest, world.Log.Manifest);
        Assert.Empty(world.Storage.List(LogNames.ArchiveDirectory));
    }

    // What an image refers to and the log has not, must not be taken for "nothing is needed there".
    [Fact]
    [Trait("Requirement", "CNT-3")]
    public void A_content_that_is_not_in_any_record_ends_a_compaction()
    {
        using var world = new CompactionWorld(Retention.KeepLast(1));
        world.FillSegments(2);
        world.Contents.Add(new LogExtent(100, 1_000_000));
        Assert.Throws<CorruptionException>(() => world.Compact());
        world.Contents[0] = new LogExtent(world.Log.Manifest.Segments[0].End - 8, 8);
        world.Compact(1);
        world.Contents[0] = new LogExtent(world.Contents[0].Position - 64, 8);
        Assert.Throws<CorruptionException>(() => world.Compact());
    }
}
