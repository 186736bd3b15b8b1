using System.Runtime.CompilerServices;
using Cairn.Maintenance;
using Cairn.Store;
using Cairn.Store.Native;
using Cairn.Tests.Store;
using Cairn.Tests.Transactions;
using Xunit;

namespace Cairn.Tests.Maintenance;

/// <summary>The memory budget: what leaves, when, what it costs nobody, and when a writer is told that memory is full.</summary>
[Collection(nameof(StoreSweepTests))]
[Trait("Requirement", "TIER-2")]
[Trait("Requirement", "TIER-4")]
public sealed class ResidencyTests
{
    private const long MiB = 1 << 20;

    // ---- the option ---------------------------------------------------------------------------------------------------------

    [Theory]
    [InlineData(0)]
    [InlineData((16 << 20) - 1)]
    [InlineData((1L << 50) + 1)]
    [Trait("Requirement", "MNT-10")]
    public void A_budget_out_of_its_range_is_refused_by_name(long budget)
    {
        var refused = Assert.ThrowsAny<CairnException>(
            () => CairnDatabase.Open(Path.Combine(Path.GetTempPath(), "never"), new CairnOptions { MemoryBudgetBytes = budget }));
        Assert.Equal(ErrorCode.InvalidArgument, refused.Code);
        Assert.Contains("MemoryBudgetBytes", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    [Trait("Requirement", "MNT-10")]
    public void In_memory_there_is_nothing_to_evict_into()
    {
        var refused = Assert.ThrowsAny<CairnException>(() => CairnDatabase.OpenInMemory(new CairnOptions { MemoryBudgetBytes = 64 * MiB }));
        Assert.Equal(ErrorCode.InvalidArgument, refused.Code);
        Assert.Contains("MemoryBudgetBytes", refused.Message, StringComparison.Ordinal);
        using var db = CairnDatabase.OpenInMemory();
        Assert.Equal((0L, 0L), (db.Metrics.MemoryBudgetBytes, db.Metrics.MemoryUsedBytes));
    }

    [Fact]
    public void Without_an_option_it_is_60_percent_of_what_the_process_may_have()
    {
        using var test = new TestDatabase(Durability.Strict);
        var may = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;
        Assert.InRange(test.Db.Metrics.MemoryBudgetBytes, may * 59 / 100, may * 61 / 100);
        Assert.InRange(test.Db.Metrics.MemoryUsedBytes, test.Db.Metrics.MemoryBytes, test.Db.Metrics.MemoryBytes + MiB);
    }

    // ---- more than fits ------------------------------------------------------------------------------------------------------

    /// <summary>Four times as much as the budget in one run or a few, as much in many; steps are driven by commits: they are never more
    /// than a chunk above it.</summary>
    [Theory]
    [InlineData(1, 12_000)]
    [InlineData(7, 12_000)]
    [InlineData(300, 3_000)]
    [Trait("Requirement", "TIER-3")]
    public void More_than_the_budget_is_written_and_read_within_it(int runs, int keys)
    {
        using var test = new TestDatabase(Durability.Buffered, Ordinary, budget: 2 * MiB);
        var handles = Enumerable.Range(0, runs).Select(test.OtherRun).ToArray();
        var most = 0L;
        for (var i = 0; i < keys; i++)
        {
            if (i % 250 == 0)
                test.Maintain();                             // merges, for the most
            handles[i % runs].Kv.Put($"key {i}", ValueOf(i));
            most = Math.Max(most, test.Db.Engine.Path.Memory!.Used);
        }

        Assert.InRange(most, 2 * MiB * 3 / 4, 2 * MiB + MiB / 2);
        var metrics = test.Db.Metrics;
        Assert.Equal(0, metrics.MemoryRefusals);
        Assert.True(metrics.RunsEmptied + metrics.KeysForgotten > 0);
        for (var i = 0; i < keys; i++)
            Assert.Equal(ValueOf(i), handles[i % runs].Kv.Get($"key {i}")!.Value.AsString());
        for (var n = 0; n < Math.Min(runs, 20) && runs > 12; n++)
            Assert.Equal(handles[n].Kv.Count(), handles[n].Kv.Scan(new ScanOptions { Limit = 1_000 }).Count);
        Assert.InRange(test.Db.Metrics.MemoryUsedBytes, 0, 2 * MiB + MiB / 2);
        var hash = test.Db.StateHash();
        test.Reopen(isKilled: true);
        Assert.Equal(hash, test.Db.StateHash());
        Assert.Empty(test.Db.VerifyDeep().Findings);
    }

    /// <summary>In real threads, beside readers and snapshots: nobody is refused, nothing is wrong, and the budget is held.</summary>
    [Fact]
    [Trait("Requirement", "TIER-3")]
    [Trait("Promise", "G8")]
    public void Writers_and_readers_at_once_stay_within_it()
    {
        const int Writers = 3, Keys = 40_000;
        const long Budget = 16 * MiB;
        using var db = CairnDatabase.Open(
            new Cairn.Storage.MemoryStorage(), new CairnOptions { Durability = Durability.Buffered, MemoryBudgetBytes = Budget },
            EngineHooks.None);
        var most = 0L;
        var wrong = 0;
        var done = false;
        var runs = Enumerable.Range(0, Writers).Select(n => db.Runs.Begin($"run {n}")).ToArray();
        var written = new int[Writers];
        var writers = runs.Select((run, n) => new Thread(() =>
        {
            for (var i = 0; i < Keys; i++)
            {
                run.Kv.Put($"key {i}", ValueOf(i));
                Volatile.Write(ref written[n], i + 1);
            }
        })).ToList();
        var reader = new Thread(() =>
        {
            var random = new Random(1);
            while (!Volatile.Read(ref done))
            {
                var n = random.Next(Writers);
                var count = Volatile.Read(ref written[n]);
                if (count == 0)
                    continue;
                using var snapshot = runs[n].Snapshot();
                var i = random.Next(count);
                if (snapshot.Kv.Get($"key {i}")?.AsString() != ValueOf(i) || runs[n].Kv.Get($"key {i}")?.AsString() != ValueOf(i))
                    Interlocked.Increment(ref wrong);
                if (snapshot.Kv.Count() < count)
                    Interlocked.Increment(ref wrong);
                most = Math.Max(most, db.Engine.Path.Memory!.Used);
            }
        });
        writers.ForEach(writer => writer.Start());
        reader.Start();
        writers.ForEach(writer => writer.Join());
        Volatile.Write(ref done, true);
        reader.Join();
        Assert.Equal(0, wrong);
        Assert.Equal(0, db.Metrics.MemoryRefusals);
        Assert.InRange(most, Budget / 2, Budget + Writers * 3 * MiB);
        for (var n = 0; n < Writers; n++)
        {
            Assert.Equal(Keys, runs[n].Kv.Count());
            for (var i = 0; i < Keys; i += 97)
                Assert.Equal(ValueOf(i), runs[n].Kv.Get($"key {i}")!.Value.AsString());
        }
    }

    // ---- the lines -----------------------------------------------------------------------------------------------------------

    [Fact]
    public void Below_the_lines_nothing_leaves()
    {
        using var test = new TestDatabase(Durability.Strict, Ordinary, budget: 4 * MiB);
        Fill(test, test.Run, 2 * MiB);
        test.Checkpoint();
        test.Clock.Advance(TimeSpan.FromHours(1));
        var before = test.Db.Metrics.MemoryBytes;
        Maintain(test);
        Assert.Equal((before, 0L, 0L), (test.Db.Metrics.MemoryBytes, test.Db.Metrics.KeysForgotten, test.Db.Metrics.RunsEmptied));
    }

    [Fact]
    public void Above_70_percent_leaves_what_nobody_touched_for_five_minutes()
    {
        using var test = new TestDatabase(Durability.Strict, Ordinary, budget: 4 * MiB);
        var (cold, hot) = (test.OtherRun(1), test.OtherRun(2));
        Fill(test, cold, MiB);
        Fill(test, hot, 2 * MiB);
        test.Checkpoint();
        Assert.InRange(test.Db.Metrics.MemoryUsedBytes, 4 * MiB * 70 / 100, 4 * MiB * 85 / 100);
        Maintain(test);
        Assert.Equal(0, test.Db.Metrics.KeysForgotten);

        test.Clock.Advance(TimeSpan.FromMinutes(6));
        hot.Kv.Put("still", "here");
        for (var i = 0; i < 5_000; i++)
            hot.Kv.Get($"key {i}");
        Maintain(test);
        var forgotten = test.Db.Metrics.KeysForgotten;
        Assert.True(forgotten > 0);
        Assert.True(hot.Info.Bytes > MiB);
        test.Clock.Advance(TimeSpan.FromMinutes(6));
        Maintain(test);
        Assert.True(test.Db.Metrics.RunsUnloaded > 0);
        Assert.Equal(ValueOf(17), cold.Kv.Get("key 17")!.Value.AsString());
    }

    [Fact]
    public void Above_85_percent_all_leaves_at_once_and_a_checkpoint_is_asked_for()
    {
        using var test = new TestDatabase(Durability.Strict, Ordinary, budget: 4 * MiB);
        Fill(test, test.Run, 4 * MiB * 88 / 100);
        Assert.Equal(0, test.Db.Metrics.MemoryWaits);
        var checkpoints = test.Db.Engine.Checkpointer!.Last;
        Maintain(test);
        Assert.NotEqual(checkpoints, test.Db.Engine.Checkpointer!.Last);
        Assert.InRange(test.Db.Metrics.MemoryUsedBytes, 0, 4 * MiB * 70 / 100);
        Assert.Equal(ValueOf(3), test.Kv.Text("key 3"));
    }

    [Fact]
    [Trait("Requirement", "CNT-7")]
    public void Contents_leave_first()
    {
        using var test = new TestDatabase(Durability.Strict, options => Ordinary(options) with { ContentThreshold = 256 }, budget: 4 * MiB);
        Fill(test, test.OtherRun(), MiB);
        test.Checkpoint();
        for (var i = 0; i < 30; i++)
            test.Kv.Put($"large {i}", new string('x', 80_000));
        Assert.True(test.Db.Metrics.ContentAttachedBytes > MiB);
        Maintain(test);
        Assert.InRange(test.Db.Metrics.MemoryUsedBytes, 0, 4 * MiB * 75 / 100);
        Assert.Equal((0L, 0L), (test.Db.Metrics.KeysForgotten, test.Db.Metrics.RunsEmptied));
        Assert.Equal(80_000, test.Kv.Text("large 7")!.Length);
    }

    /// <summary>A first form of this job went round for ever where nothing could be gained.</summary>
    [Fact]
    [Trait("Requirement", "MNT-2")]
    public void Where_nothing_can_be_gained_it_rests_until_something_changes()
    {
        using var test = new TestDatabase(Durability.Strict, Ordinary, budget: 4 * MiB);
        var job = test.Db.Engine.Residency!;
        var checkpointer = test.Db.Engine.Checkpointer!;
        using (test.Run.Snapshot())
        {
            Fill(test, test.Run, 4 * MiB * 90 / 100);
            Maintain(test);
            Assert.False(job.HasWorkInSight);
            Assert.False(checkpointer.IsWanted);
            var last = test.Db.Engine.Checkpointer!.Last;
            for (var i = 0; i < 100; i++)
            {
                Assert.False(test.Db.Engine.Maintainer!.Step(job, out _));
                test.Clock.Advance(TimeSpan.FromSeconds(1));
            }

            Assert.Equal(last, test.Db.Engine.Checkpointer!.Last);
        }

        Assert.True(job.HasWorkInSight);
        Maintain(test);
        Assert.InRange(test.Db.Metrics.MemoryUsedBytes, 0, 4 * MiB * 70 / 100);
    }

    // ---- 95 percent ----------------------------------------------------------------------------------------------------------

    [Fact]
    [Trait("Requirement", "TX-33")]
    [Trait("Requirement", "MNT-8")]
    public void Busy_is_told_only_when_nothing_can_leave_and_never_to_a_reader_or_a_deletion()
    {
        using var test = new TestDatabase(Durability.Strict, Ordinary, budget: 4 * MiB);
        test.Kv.Put("first", 1);
        BusyException? busy = null;
        var written = 0;
        using (var snapshot = test.Run.Snapshot())
        {
            while (busy is null)
            {
                try
                {
                    test.Kv.Put($"key {written}", ValueOf(written));
                    written++;
                }
                catch (BusyException full)
                {
                    busy = full;
                }

                Assert.True(written < 50_000);
            }

            Assert.Equal(ErrorCode.Busy, busy.Code);
            Assert.Contains("MemoryBudgetBytes", busy.Message, StringComparison.Ordinal);
            Assert.InRange(test.Db.Metrics.MemoryUsedBytes, 4 * MiB * 95 / 100, 4 * MiB + MiB);
            Assert.Equal((1L, 1L), (test.Db.Metrics.MemoryWaits, test.Db.Metrics.MemoryRefusals));
            Assert.Equal(1, snapshot.Kv.Get("first")!.Value.AsInt64());
            Assert.Equal(1, snapshot.Kv.Count());
            Assert.Equal(ValueOf(written - 1), test.Kv.Text($"key {written - 1}"));
            test.Kv.Delete("key 0");
        }

        test.Kv.Put("last", 1);
        Assert.Equal(written + 1, test.Kv.Count());
        test.NowAndAfterReopening(() => Assert.Equal(1, test.Kv.Number("last")));
    }

    [Fact]
    [Trait("Requirement", "TX-33")]
    public void In_production_a_writer_waits_its_bounded_time_and_then_is_told()
    {
        using var db = CairnDatabase.Open(
            new Cairn.Storage.MemoryStorage(),
            new CairnOptions { Durability = Durability.Buffered, Limits = new Limits { BusyWaitMax = TimeSpan.FromMilliseconds(200) } },
            new EngineHooks { MemoryBudgetBytes = 2 * MiB });
        var clock = System.Diagnostics.Stopwatch.StartNew();
        using (db.Default.Snapshot())
        {
            var busy = Assert.Throws<BusyException>(() =>
            {
                for (var i = 0; i < 50_000; i++)
                {
                    clock.Restart();
                    db.Default.Kv.Put($"key {i}", ValueOf(i));
                }
            });
            Assert.Contains("MemoryBudgetBytes", busy.Message, StringComparison.Ordinal);
            Assert.InRange(clock.ElapsedMilliseconds, 100, 20_000);
        }

        db.Default.Kv.Put("last", 1);
        Assert.True(db.Default.Kv.Count() > 1_000);
    }

    // ---- unloading -----------------------------------------------------------------------------------------------------------

    [Fact]
    [Trait("Requirement", "TIER-3")]
    public void A_run_is_one_run_unloaded_or_not()
    {
        using var test = new TestDatabase(Durability.Strict, Ordinary, budget: 4 * MiB);
        var held = test.OtherRun(1);
        held.Kv.Put("a", 1);
        Unload(test, held.Id);
        Assert.Equal(1, held.Kv.Number("a"));
        var other = test.Db.Runs.Get(held.Id)!;
        other.Kv.Put("a", 2);
        Assert.Equal(2, held.Kv.Number("a"));

        Unload(test, held.Id);
        held.Kv.Increment("a");
        Assert.Equal(3, test.Db.Runs.Get(held.Id)!.Kv.Number("a"));
        Assert.Equal(1, other.Kv.Count());
        Assert.Contains(test.Db.Engine.Catalogue.Loaded, run => run.Id == held.Id);

        Unload(test, held.Id);
        using (var transaction = held.BeginTransaction())
        {
            Assert.Equal(3, transaction.Kv.Number("a"));
            test.Db.Runs.Get(held.Id)!.Kv.Put("a", 9);
            transaction.Kv.Put("b", 1);
            Assert.Throws<ConflictException>(() => transaction.Commit());
        }

        Unload(test, held.Id);
        test.Db.Runs.Delete(held.Id);
        Assert.Null(test.Db.Runs.Get(held.Id));
        Assert.Equal(ErrorCode.NotFound, TestValues.Refused(() => held.Kv.Put("a", 1)));
        Assert.Empty(test.Db.VerifyDeep().Findings);
    }

    [Fact]
    [Trait("Promise", "G7")]
    public void What_is_written_to_an_unloaded_run_is_not_lost_with_its_handle()
    {
        using var test = new TestDatabase(Durability.Strict, Ordinary, budget: 4 * MiB);
        var id = test.OtherRun(1).Id;
        test.Db.Runs.Get(id)!.Kv.Put("a", 1);
        WriteToUnloaded(test, id);
        Assert.Contains(test.Db.Engine.Catalogue.Loaded, run => run.Id == id);     // where the jobs of the maintainer look for work
        GC.Collect();
        GC.WaitForPendingFinalizers();
        Assert.Equal(2, test.Db.Runs.Get(id)!.Kv.Number("a"));
        test.Checkpoint();
        test.NowAndAfterReopening(() => Assert.Equal(2, test.Db.Runs.Get(id)!.Kv.Number("a")));
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void WriteToUnloaded(TestDatabase test, RunId id)
    {
        var held = test.Db.Runs.Get(id)!;
        Unload(test, id);
        held.Kv.Put("a", 2);
    }

    [Fact]
    public void A_run_that_nobody_has_is_loaded_anew_and_costs_nothing_meanwhile()
    {
        using var test = new TestDatabase(Durability.Strict, Ordinary, budget: 4 * MiB);
        var id = Begin(test);
        Unload(test, id);
        for (var i = 0; i < 10; i++)
            test.Kv.Put("other", i);                          // so that nothing that is used again still knows the run
        GC.Collect();
        GC.WaitForPendingFinalizers();
        test.Db.Engine.Catalogue.ForgetUnloaded();
        Assert.DoesNotContain(test.Db.Engine.Catalogue.Held, run => run.Id == id);
        var run = test.Db.Runs.Get(id)!;
        Assert.Equal((1L, 5L), (run.Kv.Count(), run.Kv.Number("a")));
        Assert.Equal(1, run.Events.Count());
        run.Events.Append("more", Value.Object());
        Assert.True(run.Events.Verify().IsValid);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static RunId Begin(TestDatabase test)
    {
        var run = test.OtherRun(1);
        run.Kv.Put("a", 5);
        run.Events.Append("seen", Value.Object());
        return run.Id;
    }

    [Fact]
    [Trait("Requirement", "TTL-5")]
    public void What_expires_in_an_unloaded_run_is_removed()
    {
        using var test = new TestDatabase(Durability.Strict, Ordinary, budget: 4 * MiB);
        var id = test.OtherRun(1).Id;
        test.Db.Runs.Get(id)!.Kv.Put("gone", 1, TimeSpan.FromHours(1));
        test.Db.Runs.Get(id)!.Kv.Put("kept", 1);
        Maintain(test);
        Unload(test, id);
        Maintain(test);
        Assert.DoesNotContain(test.Db.Engine.Catalogue.Loaded, run => run.Id == id);
        test.Clock.Advance(TimeSpan.FromHours(2));
        Maintain(test);
        Assert.True(test.Db.Runs.Get(id)!.Kv.History("gone", 1)[0].IsDeletion);     // by a commit, not in the eye of who reads
        Assert.Equal(1, test.Db.Runs.Get(id)!.Kv.Count());
    }

    /// <summary>What a loaded run costs the collector whatever it holds is what the budget takes it for, or less: first as it was loaded,
    /// then written to. A fork is as light.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    [Trait("Requirement", "TIER-3")]
    public void The_floor_of_a_loaded_run_is_what_is_counted_for_it(bool areForks)
    {
        const int Runs = 2_000;
        using var test = new TestDatabase(Durability.Buffered, Ordinary);
        var parent = test.Db.Runs.Begin("parent");
        parent.Kv.Put("a", 1);
        var ids = new RunId[Runs];
        for (var i = 0; i < Runs; i++)
        {
            ids[i] = (areForks ? test.Db.Runs.Fork(parent.Id) : test.Db.Runs.Begin($"run {i}")).Id;
            if (!areForks)
                test.Db.Runs.Get(ids[i])!.Kv.Put("a", 1);
        }

        test.Checkpoint();
        test.Reopen();
        Assert.Equal(10, test.Db.Runs.List(new RunFilter { Limit = 10 }).Count);
        var (budget, catalogue) = (test.Db.Engine.Path.Memory!, test.Db.Engine.Catalogue);
        var before = (Managed: Heap(), Counted: budget.Managed, Native: test.Db.Metrics.MemoryBytes);
        foreach (var id in ids)
            test.Db.Runs.Get(id)!.Kv.Exists("a");
        Assert.True(test.Db.Metrics.RunsLoaded > Runs);
        Assert.InRange((Heap() - before.Managed) / Runs, MemoryBudget.RunFloorBytes / 2, MemoryBudget.RunFloorBytes);
        Assert.InRange((budget.Managed - before.Counted) / Runs, MemoryBudget.RunFloorBytes - 16, MemoryBudget.RunFloorBytes + 16);
        Assert.Equal(before.Native, test.Db.Metrics.MemoryBytes);

        before = (Heap(), budget.Managed, 0);
        foreach (var id in ids)
            WriteOne(catalogue.Find(id)!.Store);
        Assert.InRange((Heap() - before.Managed) / Runs, RunSpace.ManagedBytes / 2, RunSpace.ManagedBytes);
        Assert.Equal(RunSpace.ManagedBytes, (budget.Managed - before.Counted) / Runs);

        // Without the blocks and contents that are cached.
        long Heap() => GC.GetTotalMemory(true) - (budget.Used - budget.Native - budget.Managed);
    }

    /// <summary>A commit of a thousand writes reserves for the worst that each could need. What it did not need goes back at its end: ten
    /// thousand such runs fill no budget that the same by single writes would not.</summary>
    [Theory]
    [InlineData(1_000, 100, 1)]
    [InlineData(1_000, 100, 5)]
    [InlineData(300, 10, 1)]
    [InlineData(100, 2_000, 1)]
    [InlineData(100, 20_000, 1)]
    [InlineData(5_000, 30, 1)]
    [Trait("Requirement", "TIER-2")]
    public void A_large_commit_leaves_as_much_memory_as_small_ones(int puts, int bytes, int commits)
    {
        using var test = new TestDatabase(Durability.Buffered, budget: 1 << 30);
        var value = new byte[bytes];
        var (singles, together) = (test.Db.Runs.Begin("singles"), test.Db.Runs.Begin("together"));
        for (var commit = 0; commit < commits; commit++)
        {
            together.Transact(scope =>
            {
                for (var i = 0; i < puts; i++)
                    scope.Kv.Put($"{commit} key {i}", value);
            });
            for (var i = 0; i < puts; i++)
                singles.Kv.Put($"{commit} key {i}", value);
        }

        var (one, all) = (MemoryOf(singles), MemoryOf(together));
        Assert.True(all <= one * 1.3, $"{all:N0} bytes after {commits} commits of {puts} puts, {one:N0} after as many single ones");

        // Without what stands in the log too.
        long MemoryOf(Run run)
        {
            var store = test.Db.Engine.Catalogue.Find(run.Id)!.Store;
            return store.MemoryBytes - store.ContentBytes;
        }
    }

    // Past the log, which the tests have on the heap.
    private static void WriteOne(RunStore store)
    {
        store.BeginResident();
        store.MakeResident("b"u8);
        store.Reserve(1, 8);
        store.Put("b"u8, "1"u8, ulong.MaxValue >> 8, 1, 0);
    }

    // ---- for the tests -------------------------------------------------------------------------------------------------------

    private static CairnOptions Ordinary(CairnOptions options) => options with
    {
        ContentThreshold = 4 << 10, ContentMemoryBytes = 128 << 20, CheckpointOnClose = false,
    };

    private static string ValueOf(int i) => $"{i} {new string((char)('a' + i % 26), 600)}";

    // Writes until the budget has that much in use.
    private static void Fill(TestDatabase test, Run run, long bytes)
    {
        var most = test.Db.Metrics.MemoryUsedBytes + bytes;
        for (var i = 0; test.Db.Engine.Path.Memory!.Used < most; i++)
            run.Kv.Put($"key {i}", ValueOf(i));
    }

    // The jobs that memory is about, until none of them has anything in sight. Others wait for a clock that stands still.
    private static void Maintain(TestDatabase test)
    {
        var maintainer = test.Db.Engine.Maintainer!;
        var jobs = maintainer.Jobs.Where(job => job is ResidencyJob or CheckpointJob or ExpiryJob or SweepJob).ToArray();
        for (var i = 0; i < 2_000; i++)
        {
            var more = false;
            foreach (var job in jobs)
                more |= maintainer.Step(job, out _) || job.HasWorkInSight;
            more |= jobs.Any(job => job.HasWorkInSight);
            Assert.All(jobs, job => Assert.Null(job.LastError));
            if (!more)
                return;
        }

        Assert.Fail("going round");
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Unload(TestDatabase test, RunId id)
    {
        // A reader of a test beside this one may be in the way for a moment.
        for (var tries = 0; tries < 1_000 && test.Db.Engine.Catalogue.Loaded.Any(run => run.Id == id); tries++)
        {
            test.CheckpointAndForget();
            Thread.Yield();
        }

        Assert.DoesNotContain(test.Db.Engine.Catalogue.Loaded, run => run.Id == id);
    }
}
