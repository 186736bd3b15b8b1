using Cairn.Checkpoints;
using Cairn.Log;
using Cairn.Storage;
using Cairn.Tests.Storage;
using Cairn.Tests.Transactions;
using Xunit;

namespace Cairn.Tests.Checkpoints;

/// <summary>Tables become fewer, and nobody notices: what was readable is readable, both kept checkpoints can be recovered, and a crash at
/// any step leaves one of the two.</summary>
[Trait("Requirement", "CKP-3")]
public class MergeTests
{
    private const int Keys = 30;

    private static CairnOptions Small(CairnOptions options) => options with
    {
        CheckpointOnClose = false, SegmentBytesMin = 16 << 10, SegmentBytesMax = 16 << 10, Retention = Retention.KeepLast(1),
    };

    private static CompactionReport Compact(TestDatabase test) => test.Db.Compact(null, TestContext.Current.CancellationToken);

    private static int Tables(TestDatabase test) => test.Db.Engine.Recovered!.Image.Value.Tables.Length;

    private static Manifest ManifestOf(TestDatabase test) => ((SegmentedLog)test.Db.Engine.Path.Log.Device!).Manifest;

    private static IReadOnlyList<string> Files(IStorage storage) => [.. storage.List(LogNames.TableDirectory).Order()];

    // Steps of the merger alone, until it has nothing to do.
    private static void Merge(TestDatabase test)
    {
        while (test.Db.Engine.Merger!.Step())
        {
        }
    }

    // A benchmark that checkpoints without end met it: the checkpoint's table had the lower number and came second into the manifest.
    [Fact]
    [Trait("Promise", "G5")]
    public void A_merge_that_ends_inside_a_checkpoint_takes_the_higher_number_and_is_named_first()
    {
        using var test = new TestDatabase(Durability.Strict, Small);
        Fill(test, 9, new Random(3), []);
        test.Kv.Put("last", 1);
        var checkpointer = test.Db.Engine.Checkpointer!;
        for (var step = 0; step < 3; step++)
            checkpointer.Step();                             // marked, frozen, and its table has a number
        var before = Tables(test);
        Merge(test);
        Assert.True(Tables(test) < before && checkpointer.IsUnderWay);
        while (checkpointer.IsUnderWay)
            checkpointer.Step();
        var hash = test.Db.StateHash();
        test.Reopen();
        Assert.Equal(hash, test.Db.StateHash());
    }

    private static void Fill(TestDatabase test, int checkpoints, Random random, Dictionary<string, string> held)
    {
        for (var round = 0; round < checkpoints; round++)
        {
            HeldKeys.Change(test, random, 12, Keys, held);
            test.OtherRun(random.Next(3)).Kv.Put("x", round);
            if (random.Next(5) == 0)
                test.Db.Runs.Delete(test.OtherRun(random.Next(3)).Id);
            test.CheckpointAndForget();
        }
    }

    private static void Check(TestDatabase test, Dictionary<string, string> held) => HeldKeys.Check(test, Keys, held);

    [Theory]
    [InlineData(Durability.Buffered)]
    [InlineData(Durability.Strict)]
    [Trait("Test", "M2")]
    [Trait("Promise", "G5")]
    public void M2_A_merge_is_invisible(Durability mode)
    {
        var random = new Random((int)Seeds.Begin("merge"));
        var held = new Dictionary<string, string>();
        using var test = new TestDatabase(mode, Small);
        var snapshots = new List<(Snapshot Snapshot, Dictionary<string, string> Held)>();
        for (var round = 0; round < 12; round++)
        {
            Fill(test, 3, random, held);
            snapshots.Add((test.Run.Snapshot(), new Dictionary<string, string>(held)));
            if (snapshots.Count > 3)
            {
                snapshots[0].Snapshot.Dispose();
                snapshots.RemoveAt(0);
            }

            Fill(test, 2, random, held);
            var hash = test.Db.StateHash();
            var before = Tables(test);
            Merge(test);
            Assert.True(Tables(test) < before);
            Look(hash);
            Compact(test);
            Look(hash);
            Assert.Equal(2, Tables(test));
        }

        foreach (var (snapshot, _) in snapshots)
            snapshot.Dispose();
        snapshots.Clear();
        Assert.True(test.Db.Engine.Merger!.Merges >= 12);
        var last = test.Db.StateHash();
        test.NowAndAfterReopening(() => Look(last));

        void Look(Hash256 hash)
        {
            test.CheckpointAndForget();
            Check(test, held);
            Assert.Equal(hash, test.Db.StateHash());
            foreach (var (snapshot, then) in snapshots)
            {
                for (var i = 0; i < 30; i++)
                    Assert.Equal(then.GetValueOrDefault($"k{i}"), snapshot.Kv.Text($"k{i}"));
            }

            Assert.Empty(test.Db.VerifyDeep().Findings);
        }
    }

    [Fact]
    public void Many_checkpoints_leave_few_tables_and_few_files()
    {
        var random = new Random((int)Seeds.Begin("many checkpoints"));
        var held = new Dictionary<string, string>();
        using var test = new TestDatabase(Durability.Buffered, Small);
        for (var round = 0; round < 150; round++)
        {
            Fill(test, 1, random, held);
            Merge(test);
            Assert.InRange(Tables(test), 1, 6);
            Assert.InRange(Files(test.Storage).Count, 1, 6 + MergeChoice.TablesMin);
        }

        Check(test, held);
        Compact(test);
        Assert.Equal(
            ManifestOf(test).Tables.Select(table => table.Path).Order(),
            Files(test.Storage).Select(name => $"{LogNames.TableDirectory}/{name}"));
    }

    [Fact]
    public void Of_tables_of_one_size_four_become_one_and_n_leave_a_logarithm()
    {
        Assert.Equal((0, 0), MergeChoice.Of([1, 1, 1]));
        Assert.Equal((0, 4), MergeChoice.Of([1, 1, 1, 1]));
        var random = new Random((int)Seeds.Begin("merge choice"));
        var (tables, written, total) = (new List<long>(), 0L, 0L);
        for (var i = 0; i < 4_000; i++)
        {
            tables.Insert(0, random.Next(1 << 18, 1 << 20));
            total += tables[0];
            while (MergeChoice.Of(tables.ToArray()) is { Count: > 0 } choice)
            {
                var sum = tables.Skip(choice.First).Take(choice.Count).Sum();
                tables.RemoveRange(choice.First, choice.Count);
                tables.Insert(choice.First, sum);
                written += sum;
            }

            Assert.True(tables.Count <= 3 + 3 * Math.Log2(total / (double)(1 << 18)), $"{tables.Count} tables of {total} bytes");
        }

        Assert.True(written < total * Math.Log(4_000, 1.5), $"{written} bytes written for {total}");
    }

    // Values written over and over, small and by reference; then two checkpoints and a compaction.
    [Fact]
    [Trait("Requirement", "CNT-2")]
    public void After_churn_and_a_compaction_the_disk_has_little_more_than_what_lives()
    {
        var random = new Random((int)Seeds.Begin("space"));
        var held = new Dictionary<string, string>();
        using var test = new TestDatabase(Durability.Buffered, options => Small(options) with { ContentThreshold = 256 });
        for (var round = 0; round < 12; round++)
        {
            for (var i = 0; i < 400; i++)
            {
                var key = $"k{random.Next(300)}";
                held[key] = new string((char)('a' + random.Next(26)), random.Next(1, random.Next(4) == 0 ? 3_000 : 200));
                test.Kv.Put(key, held[key]);
            }

            test.CheckpointAndForget();
        }

        for (var i = 0; i < 2; i++)
        {
            test.Kv.Put("last", i);
            test.Checkpoint();
        }

        Compact(test);
        var live = held.Sum(pair => pair.Key.Length + pair.Value.Length + 64L);
        var manifest = ManifestOf(test);
        var since = (long)(test.Db.Engine.Path.Log.WrittenPosition - manifest.Checkpoints[0].MarkPosition);
        var files = manifest.Tables.Sum(table => table.FileBytes) + manifest.Archives.Sum(archive => archive.FileBytes)
            + manifest.Segments.Sum(segment => segment.FileBytes);
        Assert.True(files <= 1.3 * live + since + (16 << 10), $"{files} bytes for {live} and {since} of log");
        foreach (var (key, value) in held)
            Assert.Equal(value, test.Kv.Text(key));
    }

    // G2, T3: the newer checkpoint is damaged after merges, so the older one is what is left.
    [Fact]
    [Trait("Promise", "G6")]
    public void The_older_checkpoint_is_recovered_from_after_merges()
    {
        var random = new Random((int)Seeds.Begin("older after merges"));
        var held = new Dictionary<string, string>();
        using var test = new TestDatabase(Durability.Strict, Small);
        Fill(test, 6, random, held);
        Merge(test);
        Assert.Equal(1, test.Db.Engine.Merger!.Merges);
        var manifest = ManifestOf(test);
        Assert.Equal(2, manifest.Checkpoints.Count);
        var only = manifest.Checkpoints[1].Tables.Except(manifest.Checkpoints[0].Tables).Single();
        var hash = test.Db.StateHash();
        test.Abandon();
        using (var file = test.Storage.Open(LogNames.TablePath(only), writable: true))
            file.WriteAt(new byte[64], file.Length - 64);
        test.MoveTo(test.Storage);
        Assert.Equal(hash, test.Db.StateHash());
        Check(test, held);
        Assert.Empty(test.Db.VerifyDeep().Findings);
    }

    [Fact]
    [Trait("Promise", "G1")]
    public void A_database_opens_whole_after_a_crash_at_any_step_of_a_merge()
    {
        var random = new Random((int)Seeds.Begin("crash in a merge"));
        var held = new Dictionary<string, string>();
        var disk = new CrashStorage();
        using var test = new TestDatabase(Durability.Strict, Small, disk);
        foreach (var step in new Action[] { () => Merge(test), () => Compact(test) })
        {
            Fill(test, 6, random, held);
            var (hash, merges) = (test.Db.StateHash(), test.Db.Engine.Merger!.Merges);
            var images = new List<CrashStorage>();
            var (seen, seed) = (new HashSet<UInt128>(), 0UL);
            disk.AtEachOperation = () => images.AddRange(disk.Images(seed++, seen, randomCount: 2).Select(image => image.Storage));
            step();
            disk.AtEachOperation = null;
            Assert.Equal(merges + 1, test.Db.Engine.Merger!.Merges);
            Assert.True(images.Count > 10, $"{images.Count} images");
            var clock = test.Clock;
            foreach (var image in images)
            {
                using var after = new TestDatabase(Durability.Strict, options => Small(options) with { TimeProvider = clock }, image);
                Assert.Empty(after.Db.Recovery.CheckpointsRejected);
                Assert.Equal(hash, after.Db.StateHash());
                Check(after, held);
            }
        }
    }

    // A reader that is inside keeps the tables of its image; a verification keeps the files of its manifest.
    [Fact]
    public void Tables_that_were_replaced_stay_until_their_readers_have_left()
    {
        var random = new Random((int)Seeds.Begin("readers of old tables"));
        var held = new Dictionary<string, string>();
        using var test = new TestDatabase(Durability.Buffered, Small);
        Fill(test, 6, random, held);
        var before = Files(test.Storage);
        using (var hold = ((SegmentedLog)test.Db.Engine.Path.Log.Device!).Hold())
        {
            Compact(test);
            Assert.Equal(1, test.Db.Engine.Merger!.Merges);
            Assert.Empty(before.Except(Files(test.Storage)));
            Assert.True(Files(test.Storage).Count > before.Count);
        }

        Fill(test, 1, random, held);
        Merge(test);                                         // lets go of what was held
        using var inside = new ManualResetEventSlim();
        using var leave = new ManualResetEventSlim();
        var now = Files(test.Storage);
        var sources = test.Db.Engine.Recovered!.Image.Value.Tables[1..].ToArray();
        var reader = new Thread(() =>
        {
            using (test.Db.Engine.Catalogue.Default.Store.Read())
            {
                inside.Set();
                leave.Wait();
            }
        });
        reader.Start();
        inside.Wait(TestContext.Current.CancellationToken);
        try
        {
            for (var i = 0; i < 20; i++)
                Assert.True(test.Db.Engine.Merger!.Step(all: true));  // it waits for the reader, before it writes anything
            Assert.Equal(now, Files(test.Storage));
        }
        finally
        {
            leave.Set();
            reader.Join();
        }

        Compact(test);
        Assert.All(sources, source => Assert.False(test.Storage.Exists(source.Info.Path)));
        Check(test, held);
    }

    [Fact]
    public void A_reader_that_took_the_old_image_goes_on_reading_it()
    {
        var random = new Random((int)Seeds.Begin("old image"));
        var held = new Dictionary<string, string>();
        using var test = new TestDatabase(Durability.Buffered, Small);
        Fill(test, 6, random, held);
        var merger = test.Db.Engine.Merger!;
        var sources = test.Db.Engine.Recovered!.Image.Value.Tables[1..].ToArray();
        Assert.True(merger.Step());
        while (merger.BytesUnderWay == 0)
            merger.Step();                                   // it has waited, and is writing
        using (test.Db.Engine.Catalogue.Default.Store.Read())
        {
            Merge(test);
            Assert.Equal(1, merger.Merges);
            merger.Step();
            Assert.All(sources, source => source.Verify());
        }

        Compact(test);
        Assert.All(sources, source => Assert.Throws<ObjectDisposedException>(source.Verify));
        Check(test, held);
    }

    // A merge waits until readers have left, and the epoch that they stand in is that of the process: a reader of another test can hold
    // it through all the turns that were given here, and the files that it replaces go behind a later checkpoint. So this failed twice in
    // whole runs (seeds 78425388942057 and 74182267353634, which pass alone); with a reader that stands there on purpose it fails each time
    // unless the life goes on a little when the reader has left.
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void The_maintainer_merges_by_itself(bool isHeldUp)
    {
        using var elsewhere = new TestDatabase(Durability.InMemory);
        var random = new Random((int)Seeds.Begin("merges by itself"));
        var held = new Dictionary<string, string>();
        using var test = new TestDatabase(Durability.Buffered, Small);
        var reader = isHeldUp ? elsewhere.Db.Engine.Find(elsewhere.Run.Id).Store.Read() : default;
        for (var i = 0; i < 30; i++)
            Live();
        if (isHeldUp)
            reader.Dispose();
        var until = Environment.TickCount64 + 20_000;
        while (Files(test.Storage).Count > 10 && Environment.TickCount64 < until)
            Live();
        Assert.True(test.Db.Engine.Merger!.Merges >= (isHeldUp ? 1 : 4));
        Assert.InRange(Files(test.Storage).Count, 1, 10);
        var job = test.Db.Maintenance.Single(job => job.Name == "merge");
        Assert.Equal((test.Db.Engine.Merger!.Merges, test.Db.Engine.Merger!.BytesWritten), (job.Items, job.BytesWritten));
        Check(test, held);

        void Live()
        {
            Fill(test, 1, random, held);
            for (var turn = 0; turn < 12; turn++)
                test.Maintain();
        }
    }

    [Fact]
    [Trait("Requirement", "CKP-5")]
    [Trait("Promise", "G7")]
    public void A_call_that_fails_during_a_merge_is_told_or_harmless()
    {
        EachFault.Strikes(3, Strikes);
    }

    private static bool Strikes(FaultKind kind, int at, bool isLasting)
    {
        var what = $"{kind} at call {at}{(isLasting ? " and later" : "")}";
        var held = new Dictionary<string, string>();
        var disk = new CrashStorage();
        var faulty = new FaultStorage(disk, seed: (ulong)at);
        using (var test = new TestDatabase(Durability.Strict, Small, faulty))
        {
            Fill(test, 6, new Random(1), held);
            faulty.Inject(kind, at, lasting: isLasting);
            var refused = Record.Exception(() => Compact(test));
            var struck = faulty.Strikes > 0;
            Assert.True(refused is null or CairnException, $"{what}: {refused}");
            faulty.Clear();
            Check(test, held);
            if (!test.Db.Engine.State.HasFailed)
            {
                test.Db.Engine.Path.Log.Disk!.Step();
                Assert.True(Record.Exception(() => Compact(test)) is null, $"{what}: the next one should be made");
                Check(test, held);
            }

            test.Abandon();
            if (!struck)
                return false;
        }

        var machine = disk.Crash(at % 2 == 0 ? CrashPattern.None : CrashPattern.Random((ulong)at));
        using var after = new TestDatabase(Durability.Strict, Small, machine);
        Check(after, held);
        Assert.Empty(after.Db.VerifyDeep().Findings);
        return true;
    }
}
