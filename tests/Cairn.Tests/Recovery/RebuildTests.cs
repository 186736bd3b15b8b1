using Cairn.Log;
using Cairn.Storage;
using Cairn.Tests.Storage;
using Cairn.Tests.Transactions;
using Xunit;

namespace Cairn.Tests.Recovery;

/// <summary>MNT-11: a damaged table is made anew from what lies below it and the log, or is an alarm; nothing between.</summary>
[Trait("Requirement", "MNT-11")]
[Trait("Promise", "G6")]
public sealed class RebuildTests
{
    private const int Keys = 60;

    private static CairnOptions Small(CairnOptions options) => options with
    {
        CheckpointOnClose = false, SegmentBytesMin = 16 << 10, SegmentBytesMax = 16 << 10, SystemEvents = true,
    };

    private static CairnOptions Forgetful(CairnOptions options) => Small(options) with { Retention = Retention.KeepLast(1) };

    private static SegmentedLog LogOf(TestDatabase test) => (SegmentedLog)test.Db.Engine.Path.Log.Device!;

    private static IReadOnlyList<TableInfo> TablesOf(TestDatabase test) =>
        LogOf(test).Manifest.TablesOf(LogOf(test).Manifest.Checkpoints[^1]);

    private static void Fill(TestDatabase test, int checkpoints, Random random, Dictionary<string, string> held)
    {
        for (var round = 0; round < checkpoints; round++)
        {
            HeldKeys.Change(test, random, 30, Keys, held);
            var other = test.OtherRun(random.Next(3));
            other.Kv.Put("x", round);
            other.Events.Append("seen", Value.Object(("round", round)));
            other.State.Set("cell", round);
            if (round % 2 == 1)
            {
                test.Db.Runs.Fork(other.Id, name: $"fork-{test.Sequence}").Kv.Put("x", "of the fork");
                test.Db.Runs.Fork(other.Id, other.Info.FirstSequence, $"past-{test.Sequence}").Kv.Put("x", "of the past");
            }

            if (random.Next(3) == 0)
                test.Db.Runs.Delete(other.Id);
            test.CheckpointAndForget();
        }
    }

    private static void Check(TestDatabase test, Dictionary<string, string> held) => HeldKeys.Check(test, Keys, held);

    // The ways a file rots, by what of the table is hit.
    private static readonly (string Name, Action<IStorage, TableInfo> Do)[] Ways =
    [
        ("header", (storage, table) => Flip(storage, table, 20)),
        ("first data block", (storage, table) => Flip(storage, table, SealedFileHeader.Size + 30)),
        ("anywhere", (storage, table) => Flip(storage, table, table.FileBytes / 2)),
        ("root", (storage, table) => Flip(storage, table, table.FileBytes - 130)),
        ("footer", (storage, table) => Flip(storage, table, table.FileBytes - 20)),
        ("cut", (storage, table) => Cut(storage, table, table.FileBytes - 1)),
        ("longer", (storage, table) => Cut(storage, table, table.FileBytes + 1)),
        ("emptied", (storage, table) => Cut(storage, table, 0)),
        ("gone", (storage, table) => storage.Unlink(table.Path)),
    ];

    private static void Flip(IStorage storage, TableInfo table, long offset)
    {
        using var file = storage.Open(table.Path, writable: true);
        Span<byte> one = stackalloc byte[1];
        file.ReadAt(one, offset);
        one[0] ^= 0x10;
        file.WriteAt(one, offset);
    }

    private static void Cut(IStorage storage, TableInfo table, long length)
    {
        using var file = storage.Open(table.Path, writable: true);
        file.SetLength(length);
    }

    private static void Scrub(TestDatabase test)
    {
        for (var i = 0; i < 24 * 2 * 7; i++)
        {
            test.Clock.Advance(TimeSpan.FromMinutes(30));
            test.Maintain();
        }

        for (var i = 0; i < 2_000 && test.Db.Engine.DamagedTables!.AnyUnjudged; i++)
        {
            test.Maintain();
            Thread.Yield();
        }
    }

    private static void Rebuild(TestDatabase test)
    {
        while (test.Db.Engine.Rebuilder!.Step())
            Thread.Yield();                                  // another test's reader may be inside
    }

    private static List<EventRecord> Told(TestDatabase test)
    {
        var events = test.Db.Runs.Get("$sys")!.Events;
        return [.. events.Since(events.Floor().Number)];
    }

    private static HealthPart Part(TestDatabase test) => test.Db.Health.Parts.Single(part => part.Name == "rebuild");

    [Theory]
    [InlineData(Durability.Buffered)]
    [InlineData(Durability.Strict)]
    public void MNT_11_Whatever_is_damaged_of_whichever_table_it_is_rebuilt_from_the_log(Durability mode)
    {
        var random = new Random((int)Seeds.Begin("rebuild"));
        var held = new Dictionary<string, string>();
        using var test = new TestDatabase(mode, Small);
        Fill(test, 5, random, held);
        test.Reopen(isKilled: true);                         // so that openings end uncleanly, and a record says so
        Fill(test, 2, random, held);
        var count = TablesOf(test).Count;
        Assert.True(count >= 4, $"{count} tables");
        var rebuilt = 0;
        for (var at = 0; at < count; at++)
        {
            foreach (var (name, damage) in Ways)
            {
                var what = $"{name} of table {at} of {count}";
                var hash = test.Db.StateHash();
                var table = TablesOf(test)[at];
                damage(test.Storage, table);
                test.Db.Engine.DamagedTables!.Tell(table, new CorruptionException(table.Path, 0, Sequence.None, "what the test says"));
                Assert.Equal(HealthStatus.Degraded, Part(test).Status);
                Assert.Contains("being rebuilt", Part(test).Reason, StringComparison.Ordinal);
                Rebuild(test);
                Assert.True(test.Db.Engine.DamagedTables!.Rebuilt == ++rebuilt, $"{what} was not rebuilt: {Part(test).Reason}");
                Assert.Equal((HealthStatus.Healthy, 0), (Part(test).Status, test.Db.Metrics.DamagedFiles));
                var now = TablesOf(test)[at];
                Assert.Equal((table.LastSequence, count), (now.LastSequence, TablesOf(test).Count));
                Assert.NotEqual(table.Number, now.Number);
                test.CheckpointAndForget();
                Assert.True(hash == test.Db.StateHash(), $"{what}: another state");
                Check(test, held);
                Assert.Empty(test.Db.VerifyDeep().Findings);
                count = TablesOf(test).Count;
            }
        }

        var last = test.Db.StateHash();
        test.NowAndAfterReopening(() =>
        {
            Assert.Empty(test.Db.Recovery.CheckpointsRejected);
            Assert.Equal(last, test.Db.StateHash());
            Check(test, held);
            Assert.Empty(test.Db.VerifyDeep().Findings);
        });
    }

    // A rebuilt table must be what the lost one was, entry by entry: recovery from the newest and from the older checkpoint rests on it.
    [Fact]
    public void A_rebuilt_table_of_a_checkpoint_has_the_same_entries()
    {
        var random = new Random((int)Seeds.Begin("rebuilt alike"));
        var held = new Dictionary<string, string>();
        using var test = new TestDatabase(Durability.Strict, Small);
        Fill(test, 3, random, held);
        test.Reopen(isKilled: true);
        Fill(test, 1, random, held);
        foreach (var at in Enumerable.Range(0, TablesOf(test).Count))
        {
            var table = TablesOf(test)[at];
            var before = Entries(test.Db.Engine.Recovered!.Image.Value.Tables[at]);
            Flip(test.Storage, table, SealedFileHeader.Size + 30);
            test.Db.Engine.DamagedTables!.Tell(table, new CorruptionException(table.Path, 0, Sequence.None, "it"));
            Rebuild(test);
            Assert.Equal(before, Entries(test.Db.Engine.Recovered!.Image.Value.Tables[at]));
        }
    }

    private static List<string> Entries(Table table)
    {
        var entries = new List<string>();
        var versions = new Image(table).Versions();
        while (versions.MoveNext())
        {
            var version = versions.Version;
            if (versions.Run == default)
                continue;                                    // the catalogue's: of its own last sequence the replayed one knows more
            entries.Add(
                $"{Convert.ToHexString(versions.RunAndKey)} @{version.Sequence} {version.Created} {version.Expiry} {version.IsTombstone} "
                + (version.IsContent ? "content" : Convert.ToHexString(version.Value)));
        }

        return entries;
    }

    [Fact]
    public void MNT_11_A_read_that_meets_damage_is_told_so_and_the_next_one_is_answered()
    {
        var held = new Dictionary<string, string>();
        using var test = new TestDatabase(Durability.Strict, options => Small(options) with { BlockCacheBytes = 0 });
        Fill(test, 3, new Random(5), held);
        foreach (var table in TablesOf(test))
            Flip(test.Storage, table, SealedFileHeader.Size + 30);
        Assert.Throws<CorruptionException>(() => test.Kv.List());
        Assert.Equal(HealthStatus.Degraded, test.Db.Health.Status);
        Scrub(test);                                         // the others, which nobody has read
        Assert.Equal(3, test.Db.Engine.DamagedTables!.Rebuilt);
        Assert.Equal(HealthStatus.Healthy, test.Db.Health.Status);
        Check(test, held);
        var told = Told(test);
        Assert.Equal(3, told.Count(one => one.Type == "warning" && one.Payload?["what"].AsString() == "damaged file"));
        Assert.Equal(3, told.Count(one => one.Type == "rebuild"));
    }

    [Fact]
    public void MNT_11_The_damaged_file_is_set_aside_with_a_report_when_nobody_reads_it_any_more()
    {
        var held = new Dictionary<string, string>();
        using var test = new TestDatabase(Durability.Strict, options => Small(options) with { BlockCacheBytes = 0 });
        Fill(test, 3, new Random(5), held);
        var table = TablesOf(test)[1];
        Flip(test.Storage, table, SealedFileHeader.Size + 30);
        Scrub(test);
        Assert.Equal(1, test.Db.Engine.DamagedTables!.Rebuilt);
        Fill(test, 1, new Random(6), held);                  // a manifest behind the one that does not name it
        Scrub(test);
        Assert.False(test.Storage.Exists(table.Path));
        var name = "quarantine/" + table.Path.Replace('/', '-');
        Assert.True(test.Storage.Exists(name));
        using (var report = test.Storage.Open(name + ".report", writable: false))
        {
            var bytes = new byte[report.Length];
            report.ReadAt(bytes, 0);
            var text = System.Text.Encoding.ASCII.GetString(bytes);
            Assert.StartsWith(table.Path, text, StringComparison.Ordinal);
            Assert.Contains("Rebuilt as tables/", text, StringComparison.Ordinal);
        }

        test.Reopen();
        Assert.True(test.Storage.Exists(name));
        Check(test, held);
    }

    // What a merge has read from the cache needs no rebuilding: the damaged file is named no more.
    [Fact]
    public void A_damaged_table_that_is_named_no_more_is_damaged_no_more()
    {
        var held = new Dictionary<string, string>();
        using var test = new TestDatabase(Durability.Strict, Forgetful);
        Fill(test, 6, new Random(5), held);
        var table = TablesOf(test)[^1];
        test.Db.Engine.DamagedTables!.Tell(table, new CorruptionException(table.Path, 0, Sequence.None, "it"));
        test.Db.Engine.DamagedTables!.Judge(table.Number, "a test says so.");
        Assert.Equal(HealthStatus.Failed, Part(test).Status);
        while (test.Db.Engine.Merger!.Step(all: true))
            Thread.Yield();
        Rebuild(test);
        Assert.Equal((HealthStatus.Healthy, 0), (Part(test).Status, test.Db.Metrics.DamagedFiles));
    }

    [Fact]
    public void MNT_11_Asked_for_all_tables_are_read_and_what_is_damaged_is_rebuilt_or_named()
    {
        var held = new Dictionary<string, string>();
        using var test = new TestDatabase(Durability.Strict, Small);
        Fill(test, 3, new Random(5), held);
        Assert.Equal((true, 3, 0), Figures(test.Db.Rebuild(null, TestContext.Current.CancellationToken)));
        var table = TablesOf(test)[1];
        Flip(test.Storage, table, SealedFileHeader.Size + 30);
        var report = test.Db.Rebuild(null, TestContext.Current.CancellationToken);
        Assert.Equal((true, 3, 1), Figures(report));
        var made = report.Damaged[0];
        Assert.Equal((table.Path, TablesOf(test)[1].Path, null), (made.File, made.RebuiltAs, made.Hindrance));
        Check(test, held);
        using (var snapshot = test.Run.Snapshot())
        {
            test.Kv.Put("k1", held["k1"] = "later");
            test.Checkpoint();
            Flip(test.Storage, TablesOf(test)[0], SealedFileHeader.Size + 30);
            var waiting = test.Db.Rebuild(null, TestContext.Current.CancellationToken);
            Assert.False(waiting.IsWhole);
            Assert.Contains("snapshot", waiting.Damaged[0].Hindrance, StringComparison.Ordinal);
        }

        Assert.True(test.Db.Rebuild(null, TestContext.Current.CancellationToken).IsWhole);
        Check(test, held);
        using var memory = CairnDatabase.OpenInMemory();
        Assert.Equal(ErrorCode.InvalidArgument, TestValues.Refused(() => memory.Rebuild(null, TestContext.Current.CancellationToken)));

        static (bool, int, int) Figures(RebuildReport report) => (report.IsWhole, report.TablesRead, report.Damaged.Count);
    }

    // An opening would refuse it.
    [Fact]
    public void MNT_11_A_table_that_has_become_longer_is_found_by_scrubbing()
    {
        var held = new Dictionary<string, string>();
        using var test = new TestDatabase(Durability.Strict, Small);
        Fill(test, 2, new Random(5), held);
        Cut(test.Storage, TablesOf(test)[1], TablesOf(test)[1].FileBytes + 1);
        Scrub(test);
        Assert.Equal(1, test.Db.Engine.DamagedTables!.Rebuilt);
        Check(test, held);
    }

    // B1: what only the table has. Writes go on, other reads too, and nothing is shown as absent.
    [Fact]
    public void MNT_11_A_table_whose_commits_the_log_gave_up_is_an_alarm_and_stays()
    {
        var held = new Dictionary<string, string>();
        using var test = new TestDatabase(Durability.Strict, options => Forgetful(options) with { BlockCacheBytes = 0 });
        Fill(test, 4, new Random(5), held);
        test.Db.Compact(null, TestContext.Current.CancellationToken);
        test.CheckpointAndForget();
        Assert.True(LogOf(test).Manifest.RetentionFloor > 0);
        var oldest = TablesOf(test)[^1];
        Flip(test.Storage, oldest, SealedFileHeader.Size + 30);
        Scrub(test);
        Assert.Equal(0, test.Db.Engine.DamagedTables!.Rebuilt);
        Assert.Equal(HealthStatus.Failed, Part(test).Status);
        Assert.StartsWith(oldest.Path, Part(test).Reason, StringComparison.Ordinal);
        Assert.Contains("cannot be rebuilt: what is below it ends at sequence 0", Part(test).Reason, StringComparison.Ordinal);
        Assert.Contains("Restore a backup", Part(test).Reason, StringComparison.Ordinal);
        Assert.Equal(1, test.Db.Metrics.DamagedFiles);
        Assert.Throws<CorruptionException>(() => test.Kv.List());
        Assert.Throws<CorruptionException>(() => test.Kv.Put("counted", "in the damaged block"));
        Assert.Contains(TablesOf(test), table => table.Number == oldest.Number);

        Flip(test.Storage, oldest, SealedFileHeader.Size + 30);               // put back from a copy
        Scrub(test);
        Assert.Equal((HealthStatus.Healthy, 0), (Part(test).Status, test.Db.Metrics.DamagedFiles));
        Check(test, held);
    }

    // Retention has dropped the log below the older checkpoint; what came behind that can be made again.
    [Fact]
    public void MNT_11_The_newest_table_can_always_be_rebuilt()
    {
        var held = new Dictionary<string, string>();
        using var test = new TestDatabase(Durability.Strict, Forgetful);
        Fill(test, 4, new Random(5), held);
        test.Db.Compact(null, TestContext.Current.CancellationToken);
        Fill(test, 2, new Random(6), held);
        test.Db.Compact(null, TestContext.Current.CancellationToken);
        Assert.True(LogOf(test).Manifest.RetentionFloor > 0);
        var hash = test.Db.StateHash();
        Flip(test.Storage, TablesOf(test)[0], SealedFileHeader.Size + 30);
        Scrub(test);
        Assert.Equal(1, test.Db.Engine.DamagedTables!.Rebuilt);
        test.NowAndAfterReopening(() =>
        {
            Assert.Equal(hash, test.Db.StateHash());
            Check(test, held);
        });
    }

    [Fact]
    public void What_is_only_read_wrong_is_not_rebuilt()
    {
        var held = new Dictionary<string, string>();
        using var test = new TestDatabase(Durability.Strict, Small);
        Fill(test, 3, new Random(5), held);
        var table = TablesOf(test)[1];
        test.Db.Engine.DamagedTables!.Tell(table, new CorruptionException(table.Path, 0, Sequence.None, "it"));
        Rebuild(test);
        Assert.Equal((0, 0L), (test.Db.Metrics.DamagedFiles, test.Db.Engine.DamagedTables!.Rebuilt));
        Assert.Contains(TablesOf(test), one => one.Number == table.Number);
        Check(test, held);
    }

    // B2.
    [Fact]
    public void Of_several_the_oldest_goes_first_and_a_damaged_log_makes_an_alarm()
    {
        var held = new Dictionary<string, string>();
        using var test = new TestDatabase(Durability.Strict, options => Small(options) with { ContentThreshold = 4 << 10 });
        Fill(test, 4, new Random(5), held);
        var tables = TablesOf(test);
        Flip(test.Storage, tables[0], SealedFileHeader.Size + 30);
        Flip(test.Storage, tables[^1], SealedFileHeader.Size + 30);
        test.Db.Engine.DamagedTables!.Tell(tables[0], new CorruptionException(tables[0].Path, 0, Sequence.None, "it"));
        test.Db.Engine.DamagedTables!.Tell(tables[^1], new CorruptionException(tables[^1].Path, 0, Sequence.None, "it"));
        Rebuild(test);
        Assert.Equal(2, test.Db.Engine.DamagedTables!.Rebuilt);
        Check(test, held);

        var segment = LogNames.SegmentPath(LogOf(test).Manifest.Segments[0].Number);
        using (var file = test.Storage.Open(segment, writable: true))
            file.WriteAt(new byte[100], 4096 + 2_000);
        var oldest = TablesOf(test)[^1];
        Flip(test.Storage, oldest, SealedFileHeader.Size + 30);
        test.Db.Engine.DamagedTables!.Tell(oldest, new CorruptionException(oldest.Path, 0, Sequence.None, "it"));
        Rebuild(test);
        Assert.Equal(HealthStatus.Failed, Part(test).Status);
        Assert.Contains($"what it would be made from is damaged: {segment}", Part(test).Reason, StringComparison.Ordinal);
    }

    // A pin may need a version that was superseded inside the table; the rebuilt one has the newest only.
    [Fact]
    [Trait("Promise", "G8")]
    public void A_snapshot_from_before_the_tables_end_is_waited_for()
    {
        var held = new Dictionary<string, string>();
        using var test = new TestDatabase(Durability.Strict, Small);
        Fill(test, 2, new Random(5), held);
        test.Kv.Put("k0", "old");
        test.CheckpointAndForget();
        var snapshot = test.Run.Snapshot();
        held["k0"] = "new";
        test.Kv.Put("k0", "new");
        Fill(test, 5, new Random(6), held);
        held.Remove("k0");
        if (test.Kv.Text("k0") is { } now)
            held["k0"] = now;
        while (test.Db.Engine.Merger!.Step())
        {
        }

        test.CheckpointAndForget();
        Assert.Equal("old", snapshot.Kv.Text("k0"));
        var merged = TablesOf(test).Last(table => table.LastSequence > snapshot.Sequence.Value);
        Flip(test.Storage, merged, SealedFileHeader.Size + 30);
        test.Db.Engine.DamagedTables!.Tell(merged, new CorruptionException(merged.Path, 0, Sequence.None, "it"));
        for (var i = 0; i < 200; i++)
            test.Db.Engine.Rebuilder!.Step();
        Assert.Equal(0, test.Db.Engine.DamagedTables!.Rebuilt);
        Assert.Contains($"waits until the snapshot at sequence {snapshot.Sequence.Value}", Part(test).Reason, StringComparison.Ordinal);
        snapshot.Dispose();
        Scrub(test);
        Assert.Equal((1, HealthStatus.Healthy), (test.Db.Engine.DamagedTables!.Rebuilt, Part(test).Status));
        Check(test, held);
    }

    [Fact]
    [Trait("Promise", "G1")]
    public void A_database_opens_whole_after_a_crash_at_any_step_of_rebuilding()
    {
        var random = new Random((int)Seeds.Begin("crash in rebuilding"));
        var held = new Dictionary<string, string>();
        var disk = new CrashStorage();
        using var test = new TestDatabase(Durability.Strict, Small, disk);
        Fill(test, 4, random, held);
        var hash = test.Db.StateHash();
        foreach (var at in (int[])[0, 2])
        {
            var table = TablesOf(test)[at];
            Flip(disk, table, 20);                           // its header: an opening notices
            using (var file = disk.Open(table.Path, writable: true))
                file.Sync();
            test.Db.Engine.DamagedTables!.Tell(table, new CorruptionException(table.Path, 20, Sequence.None, "it"));
            var images = new List<CrashStorage>();
            var (seen, seed) = (new HashSet<UInt128>(), 0UL);
            disk.AtEachOperation = () => images.AddRange(disk.Images(seed++, seen, randomCount: 2).Select(image => image.Storage));
            Rebuild(test);
            disk.AtEachOperation = null;
            Assert.True(images.Count > 10, $"{images.Count} images");
            foreach (var image in images)
            {
                using var after = new TestDatabase(Durability.Strict, options => Small(options) with { TimeProvider = test.Clock }, image);
                Assert.Equal(hash, after.Db.StateHash());
                Check(after, held);
                Assert.Empty(after.Db.VerifyDeep().Findings);
            }
        }

        Assert.Equal(2, test.Db.Engine.DamagedTables!.Rebuilt);
    }

    [Fact]
    [Trait("Promise", "G7")]
    public void A_call_that_fails_during_rebuilding_is_told_or_harmless()
    {
        EachFault.Strikes(2, Strikes);
    }

    private static bool Strikes(FaultKind kind, int at, bool isLasting)
    {
        var what = $"{kind} at call {at}{(isLasting ? " and later" : "")}";
        var held = new Dictionary<string, string>();
        var disk = new CrashStorage();
        var faulty = new FaultStorage(disk, seed: (ulong)at);
        using (var test = new TestDatabase(Durability.Strict, Small, faulty))
        {
            Fill(test, 3, new Random(1), held);
            var table = TablesOf(test)[1];
            Flip(disk, table, 20);
            test.Db.Engine.DamagedTables!.Tell(table, new CorruptionException(table.Path, 20, Sequence.None, "it"));
            faulty.Inject(kind, at, lasting: isLasting);
            var refused = Record.Exception(() => Rebuild(test));
            var struck = faulty.Strikes > 0;
            faulty.Clear();
            Assert.True(refused is null or CairnException, $"{what}: {refused}");
            if (!test.Db.Engine.State.HasFailed)
            {
                test.Db.Engine.Path.Log.Disk!.Step();
                Assert.True(Record.Exception(() => test.Db.Rebuild()) is null, $"{what}: the next one should be made");
                Check(test, held);
                Assert.True(test.Db.Engine.DamagedTables!.Rebuilt == 1, $"{what}: {Part(test).Reason}");
            }

            test.Abandon();
            if (!struck)
                return false;
        }

        var machine = disk.Crash(at % 2 == 0 ? CrashPattern.None : CrashPattern.Random((ulong)at));
        using var after = new TestDatabase(Durability.Strict, Small, machine);
        Check(after, held);
        return true;
    }

    // What an opening cannot use is told, and two checkpoints are there again soon.
    [Fact]
    [Trait("Requirement", "RCV-7")]
    public void An_opening_that_falls_back_makes_a_checkpoint_at_once_and_tells_why()
    {
        var held = new Dictionary<string, string>();
        using var test = new TestDatabase(Durability.Strict, Small);
        Fill(test, 3, new Random(5), held);
        var newest = TablesOf(test)[0];
        test.Abandon();
        Flip(test.Storage, newest, 20);
        test.MoveTo(test.Storage);
        Assert.Single(test.Db.Recovery.CheckpointsRejected);
        Assert.Single(test.Db.Engine.Path.Log.Device is SegmentedLog log ? log.Manifest.Checkpoints : []);
        for (var i = 0; i < 50; i++)
            test.Maintain();
        Assert.Equal(2, LogOf(test).Manifest.Checkpoints.Count);
        var told = Told(test);
        Assert.Contains(told, one => one.Type == "warning" && one.Payload?["what"].AsString() == "checkpoint rejected");
        Check(test, held);
    }

    // The manifest is derived too: memory has it.
    [Theory]
    [InlineData("flipped")]
    [InlineData("cut")]
    [InlineData("gone")]
    public void MNT_11_A_damaged_manifest_is_written_anew_while_memory_has_it(string way)
    {
        var held = new Dictionary<string, string>();
        using var test = new TestDatabase(Durability.Strict, Small);
        Fill(test, 2, new Random(5), held);
        Scrub(test);
        var name = LogOf(test).Manifest.Name;
        using (var file = test.Storage.Open(name, writable: true))
        {
            if (way == "cut")
                file.SetLength(100);
            else if (way == "flipped")
                file.WriteAt(new byte[file.Length], 0);
        }

        if (way == "gone")
            test.Storage.Unlink(name);
        Scrub(test);
        Assert.NotEqual(name, LogOf(test).Manifest.Name);
        Assert.Contains(
            Told(test),
            one => one.Type == "rebuild" && one.Payload?["file"].AsString() == name);
        test.Reopen(isKilled: true);
        Check(test, held);
    }
}
