using System.Globalization;
using Cairn.Log;
using Cairn.Storage;
using Cairn.Tests.Primitives;
using Cairn.Tests.Transactions;
using Xunit;

namespace Cairn.Tests.Content;

/// <summary>Whole databases that make checkpoints, compact, and are opened again: what is promised is there, and the disk is
/// bounded.</summary>
public class CompactedLifeTests(ITestOutputHelper output)
{
    private static readonly TimeSpan Hour = TimeSpan.FromHours(1);

    private static void Checkpoint(CairnDatabase db) => db.Checkpoint(null, TestContext.Current.CancellationToken);

    private static CompactionReport Compact(CairnDatabase db) => db.Compact(null, TestContext.Current.CancellationToken);

    private static CairnOptions Small(CairnOptions options) => options with
    {
        SegmentBytesMin = 16 << 10,
        SegmentBytesMax = 16 << 10,
        ContentThreshold = 256,
        ContentMemoryBytes = 0,
        CompactionGarbageMin = 16 << 10,
        CheckpointOnClose = false,
    };

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    [Trait("Requirement", "RET-5")]
    [Trait("Requirement", "CNT-2")]
    [Trait("Promise", "G5")]
    public void Large_values_and_history_outlive_checkpoints_compactions_and_openings(bool isKilled)
    {
        var seed = Seeds.Begin($"compacted life {isKilled}");
        var random = new Random((int)seed);
        using var world = new TestDatabase(Durability.Buffered, options => Small(options) with { Retention = Retention.KeepLast(1) });
        Run Kept() => world.Db.Runs.Get("kept") ?? world.Db.Runs.Begin("kept");
        Kept().Retention.Apply(Retention.KeepAll);
        Run Window() => world.Db.Runs.Get("window") ?? world.Db.Runs.Begin("window");
        Window().Retention.Apply(Retention.KeepFor(Hour));
        var held = new Dictionary<string, string>();
        var kept = new List<(ulong Sequence, string? Value)>();
        var window = new List<(ulong Sequence, long Time, string Value)>();
        var dropped = 0;
        for (var round = 0; round < 8; round++)
        {
            for (var i = 0; i < 60; i++)
            {
                var (key, value) = ($"k{random.Next(24)}", new string((char)('a' + random.Next(26)), random.Next(1, 1_500)));
                world.Kv.Put(key, value);
                held[key] = value;
                if (i % 10 == 0)
                {
                    Kept().Kv.Put("k", value);
                    kept.Add((world.Sequence, value));
                    Window().Kv.Put("k", value);
                    window.Add((world.Sequence, world.Db.Engine.Path.Log.LastTime, value));
                    world.Clock.Advance(TimeSpan.FromMinutes(random.Next(1, 20)));
                }
            }

            Checkpoint(world.Db);
            dropped += Compact(world.Db).SegmentsDropped;
            Claims();
            var hash = world.Db.StateHash();
            Assert.Empty(world.Db.VerifyDeep().Findings);
            Assert.True(world.Db.VerifyLog().IsValid);
            world.Reopen(isKilled);
            Assert.Equal(hash, world.Db.StateHash());
            Claims();
        }

        Assert.True(dropped > 4, $"{dropped} segments were given up");
        Assert.NotEmpty(world.Db.Metrics.Archives == 0 ? "" : "archives");

        void Claims()
        {
            foreach (var (key, value) in held)
                Assert.Equal(value, world.Kv.Text(key));
            foreach (var (sequence, value) in kept)
                Assert.Equal(value, Kept().Kv.GetAt("k", new Sequence(sequence))?.AsString());
            Assert.Equal(kept.Select(each => each.Sequence).Reverse(), Kept().Kv.History("k").Select(item => item.Version.Value));
            var floor = world.Db.Engine.Path.ReadTime() - (long)Hour.TotalMicroseconds;
            for (var i = 0; i < window.Count; i++)
            {
                try
                {
                    Assert.Equal(window[i].Value, Window().Kv.GetAt("k", new Sequence(window[i].Sequence))?.AsString());
                }
                catch (HistoryTrimmedException)
                {
                    Assert.True(i + 1 < window.Count && window[i + 1].Time <= floor, $"@{window[i].Sequence} was refused");
                }
            }
        }
    }

    // Ten writers and five readers on one run, beside checkpoints and compactions that never pause.
    [Fact]
    [Trait("Requirement", "CNT-4")]
    [Trait("Requirement", "CNT-9")]
    public void CNT4_Each_read_beside_checkpoints_and_compactions_is_one_committed_value()
    {
        const int Writers = 10;
        const int Readers = 5;
        using var world = new TestDatabase(Durability.Buffered, options => Small(options) with { Retention = Retention.KeepLast(1) });
        var (writing, dropped) = (Writers, 0);
        ModeDatabase.OnThreads(1 + Writers + Readers, index =>
        {
            if (index == 0)
            {
                while (Volatile.Read(ref writing) > 0)
                {
                    world.Db.Checkpoint(null, CancellationToken.None);
                    dropped += world.Db.Compact(null, CancellationToken.None).SegmentsDropped;
                }
            }
            else if (index <= Writers)
            {
                var random = new Random(index);
                for (var i = 0; i < 150; i++)
                    world.Kv.Put($"k{random.Next(12)}", Described(random.Next(1, 2_000), random.Next()));
                Interlocked.Decrement(ref writing);
            }
            else
            {
                var random = new Random(index);
                while (Volatile.Read(ref writing) > 0)
                {
                    if (world.Kv.Text($"k{random.Next(12)}") is { } found)
                        Assert.True(IsDescribed(found), "a value that nobody wrote");
                }
            }
        });
        for (var i = 0; i < 2; i++)                          // so that all of the above lies below the older one, however the threads ran
        {
            world.Kv.Put("last", Described(1_000, i));
            world.Db.Checkpoint(null, CancellationToken.None);
        }

        dropped += world.Db.Compact(null, CancellationToken.None).SegmentsDropped;
        Assert.True(dropped > 0);
        var hash = world.Db.StateHash();
        world.Reopen();
        Assert.Equal(hash, world.Db.StateHash());
    }

    // A reader without a pin: it has looked a version up and not yet read its content.
    [Fact]
    [Trait("Requirement", "CNT-4")]
    public void CNT4_A_compaction_waits_for_readers_that_were_inside_before_it()
    {
        using var world = new TestDatabase(Durability.Buffered, options => Small(options) with { Retention = Retention.KeepLast(1) });
        for (var i = 0; i < 300; i++)
            world.Kv.Put($"k{i % 7}", Described(1_000, i));
        world.Db.Checkpoint(null, CancellationToken.None);
        world.Kv.Put("last", 1);
        world.Db.Checkpoint(null, CancellationToken.None);
        var segments = world.Db.Metrics.LogSegments;
        using var heard = new Heard();
        CompactionReport? report = null;
        Thread compactor;
        using (world.Db.Engine.Catalogue.Default.Store.Read())
        {
            compactor = new Thread(() =>
            {
                report = world.Db.Compact(heard, CancellationToken.None);
                heard.Enough.Set();
            });
            compactor.Start();
            heard.Enough.Wait(TestContext.Current.CancellationToken);
            Assert.Equal((0, segments), (heard.Most, world.Db.Metrics.LogSegments));
        }

        compactor.Join();
        Assert.True(report!.SegmentsDropped > 0);
    }

    // It waited for ever: with tables to merge in front of them, without in front of the log.
    [Theory]
    [InlineData(1)]
    [InlineData(4)]
    [Trait("Requirement", "CNT-9")]
    public void A_reader_that_never_leaves_is_told_by_name_and_not_waited_for(int checkpoints)
    {
        using var world = new TestDatabase(Durability.Buffered, options => Small(options) with { Retention = Retention.KeepLast(1) });
        for (var i = 0; i < 100 * checkpoints; i++)
        {
            world.Kv.Put($"k{i % 7}", Described(1_000, i));
            if (i % 100 == 99)
                world.Db.Checkpoint(null, CancellationToken.None);
        }

        world.Kv.Put("last", 1);
        world.Db.Checkpoint(null, CancellationToken.None);
        BusyException? busy = null;
        using (world.Db.Engine.Catalogue.Default.Store.Read())
        {
            var compactor = new Thread(() => busy = Assert.Throws<BusyException>(
                () => world.Db.Compact(new Ticking(world.Clock), CancellationToken.None)));
            compactor.Start();
            compactor.Join();
            Assert.Equal(ErrorCode.Busy, busy!.Code);
            Assert.Contains($"thread {Environment.CurrentManagedThreadId}", busy.Message, StringComparison.Ordinal);
            Assert.Equal(world.Db.Limits.BusyWaitMax, busy.SuggestedWait);
        }

        Assert.True(world.Db.Compact(null, CancellationToken.None).SegmentsDropped > 0);
    }

    private sealed class Ticking(FakeClock clock) : IProgress<long>
    {
        public void Report(long value) => clock.Advance(TimeSpan.FromSeconds(1));
    }

    [Fact]
    [Trait("Requirement", "OPS-5")]
    public void A_plan_tells_what_tables_would_give_back()
    {
        using var world = new TestDatabase(Durability.Buffered, options => Small(options) with { Retention = Retention.KeepLast(1) });
        for (var round = 0; round < 6; round++)
        {
            for (var i = 0; i < 400; i++)
                world.Kv.Put($"key {i}", $"{round} {new string('x', 60)}");
            world.Db.Checkpoint(null, CancellationToken.None);
        }

        var plan = world.Db.PlanCompaction(null, CancellationToken.None);
        int Tables() => world.Storage.List(LogNames.TableDirectory).Count;
        var before = Tables();
        var done = world.Db.Compact(null, CancellationToken.None);
        Assert.True(before > Tables() && done.TableBytesFreed > 100_000, $"{done.TableBytesFreed}");
        Assert.InRange(plan.TableBytesFreed, done.TableBytesFreed * 3 / 4, done.TableBytesFreed * 5 / 4);
        Assert.Equal(0, world.Db.PlanCompaction(null, CancellationToken.None).TableBytesFreed);
    }

    // A compaction that waits reports again and again that it has read nothing.
    private sealed class Heard : IProgress<long>, IDisposable
    {
        private int _reports;

        internal ManualResetEventSlim Enough { get; } = new(false);

        internal long Most { get; private set; }

        public void Report(long value)
        {
            if (Enough.IsSet)
                return;
            Most = Math.Max(Most, value);
            if (value > 0 || ++_reports == 50)
                Enough.Set();
        }

        public void Dispose() => Enough.Dispose();
    }

    // The tables were looked up first and how far the log may go afterwards: with two checkpoints in between the log went up to the mark of
    // one whose table nobody had looked at, and with it the large values that it alone refers to.
    [Fact]
    [Trait("Requirement", "CNT-2")]
    public void Large_values_of_checkpoints_that_come_while_a_compaction_begins_are_kept()
    {
        var storage = new StorageThatTells(new MemoryStorage());
        using var world = new TestDatabase(
            Durability.Buffered, options => Small(options) with { Retention = Retention.KeepLast(1) }, storage);
        for (var i = 0; i < 2; i++)
        {
            world.Kv.Put("early", i);
            world.Db.Checkpoint(null, CancellationToken.None);
        }

        world.Kv.Put("kept", Described(1_000, 7));
        Fill();
        storage.AtTable = () =>
        {
            for (var i = 0; i < 2; i++)
            {
                world.Kv.Put("between", i);
                world.Db.Checkpoint(null, CancellationToken.None);
                Fill();
            }
        };
        world.Db.Compact(null, CancellationToken.None);
        Assert.Null(storage.AtTable);
        world.CheckpointAndForget();
        Assert.Equal(Described(1_000, 7), world.Kv.Text("kept"));

        void Fill()
        {
            for (var i = 0; i < 40; i++)
                world.Kv.Put("filler", Described(1_000, i));
        }
    }

    /// <summary>Does something, once, when a table is opened next.</summary>
    private sealed class StorageThatTells(IStorage inner) : StorageLayer(inner)
    {
        internal Action? AtTable { get; set; }

        public override IFile Open(string path, bool writable)
        {
            var file = base.Open(path, writable);
            if (path.StartsWith(LogNames.TableDirectory, StringComparison.Ordinal) && AtTable is { } tell)
            {
                AtTable = null;
                tell();
            }

            return file;
        }
    }

    // A value that says itself what it is.
    private static string Described(int length, int seed) => $"{length} {seed} {new string((char)('a' + seed % 26), length)}";

    private static bool IsDescribed(string text) =>
        text.Split(' ') is [var length, var seed, var rest]
        && Described(int.Parse(length, CultureInfo.InvariantCulture), int.Parse(seed, CultureInfo.InvariantCulture)).EndsWith(
            " " + rest, StringComparison.Ordinal);

    [Fact]
    [Trait("Requirement", "CNT-2")]
    public void CNT2_Churn_leaves_a_segment_of_log_by_itself() => Churn(Seeds.Scaled(80_000));

    [Fact]
    [Trait("Requirement", "CNT-2")]
    [Trait("Gate", "Nightly")]
    public void CNT2_A_million_operations_of_churn_leave_a_segment_of_log_by_themselves() => Churn(1_000_000);

    // Values written over again and again, checkpoints now and then, and of compaction the maintainer's own steps alone.
    private void Churn(int operations)
    {
        const int SegmentBytes = 256 << 10;
        const int BetweenCheckpoints = 2_000;
        var random = new Random((int)Seeds.Begin("churn"));
        using var storage = new MemoryStorage();
        using var world = new TestDatabase(
            Durability.Buffered,
            options => Small(options) with
            {
                Retention = Retention.KeepLast(1), SegmentBytesMax = SegmentBytes, CompactionGarbageMin = 64 << 10,
            },
            storage);
        var lengths = new Dictionary<string, int>();
        var (most, archives) = (0L, 0);
        for (var i = 0; i < operations; i++)
        {
            var key = $"k{random.Next(400)}";
            if (random.Next(10) == 0)
            {
                world.Kv.Delete(key);
                lengths.Remove(key);
            }
            else
            {
                var length = random.Next(1, random.Next(8) == 0 ? 2_000 : 200);
                world.Kv.Put(key, new string('v', length));
                lengths[key] = length;
            }

            if (i % BetweenCheckpoints != BetweenCheckpoints - 1)
                continue;
            Checkpoint(world.Db);
            for (var turn = 0; turn < 20; turn++)
                world.Maintain();
            most = Math.Max(most, LogBytes(storage));
            archives = Math.Max(archives, storage.List(LogNames.ArchiveDirectory).Count);
        }

        // What lies behind the older of two checkpoints, the rest of its segment, and a segment's worth that was not worth a compaction.
        output.WriteLine($"{operations} operations, at most {most} bytes of log and of {archives} archives");
        var between = BetweenCheckpoints * 400L;
        Assert.True(most <= 2 * between + 3 * SegmentBytes, $"{most} bytes of log and archives");
        Assert.True(world.Db.Metrics.Compactions > 1);
        Assert.InRange(archives, 0, 20);                     // each compaction leaves one, and they were never joined
        foreach (var (key, length) in lengths)
            Assert.Equal(length, world.Kv.Text(key)!.Length);
    }

    [Fact]
    [Trait("Requirement", "CNT-10")]
    [Trait("Promise", "G1")]
    public void CNT10_A_database_opens_whole_after_a_crash_at_any_step_of_a_compaction()
    {
        var disk = new CrashStorage();
        using var world = new TestDatabase(
            Durability.Strict, options => Small(options) with { Retention = Retention.KeepLast(1) }, disk);
        for (var i = 0; i < 40; i++)
        {
            world.Kv.Put($"k{i % 9}", new string((char)('a' + i % 26), i % 3 == 0 ? 40 : 1_200));
            if (i % 10 == 9)
                Checkpoint(world.Db);
        }

        var hash = world.Db.StateHash();
        var expected = world.Kv.List().ToDictionary(key => key, key => world.Kv.Text(key)!);
        var images = new List<CrashStorage>();
        var (seen, seed) = (new HashSet<UInt128>(), 0UL);
        disk.AtEachOperation = () => images.AddRange(disk.Images(seed++, seen, randomCount: 2).Select(image => image.Storage));
        Assert.True(Compact(world.Db).SegmentsDropped > 0);
        disk.AtEachOperation = null;
        Assert.True(images.Count > 20);
        var clock = world.Clock;
        foreach (var image in images)
        {
            using var after = new TestDatabase(
                Durability.Strict, options => Small(options) with { Retention = Retention.KeepLast(1), TimeProvider = clock }, image);
            Assert.Equal(hash, after.Db.StateHash());
            foreach (var (key, value) in expected)
                Assert.Equal(value, after.Kv.Text(key));
        }
    }

    private static long LogBytes(MemoryStorage storage)
    {
        var bytes = 0L;
        foreach (var directory in new[] { LogNames.LogDirectory, LogNames.ArchiveDirectory })
        {
            foreach (var name in storage.List(directory))
            {
                using var file = storage.Open($"{directory}/{name}", writable: false);
                bytes += file.Length;
            }
        }

        return bytes;
    }
}
