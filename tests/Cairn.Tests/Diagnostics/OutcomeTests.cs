using System.Diagnostics.Metrics;
using Cairn.Diagnostics;
using Cairn.Tests.Transactions;
using Xunit;

namespace Cairn.Tests.Diagnostics;

/// <summary>MET-1: commits are counted by class, primitive and outcome, with their bytes; tags name no keys, values or users.</summary>
[Trait("Requirement", "MET-1")]
public class OutcomeTests
{
    [Theory]
    [ClassData(typeof(AllModes))]
    public void MET_1_Every_commit_is_counted_by_how_it_ended(Durability mode)
    {
        using var test = new TestDatabase(mode, options => options with { Limits = new Limits { ValueBytesMax = 100_000 } });
        test.Kv.Put("a", 1);
        test.Kv.Put("b", 2);
        Assert.False(test.Kv.CompareAndSetValue("a", 9, 3));
        test.Run.Events.Append("seen", Value.Object());
        test.Run.State.Set("cell", 1);
        test.Run.Json.Put("plan", Value.Object());
        var run = test.OtherRun();
        run.Complete();
        Assert.Equal(ErrorCode.RunClosed, TestValues.Refused(() => run.Kv.Put("late", 1)));
        using (var lost = test.Db.BeginTransaction([test.Run]))
        {
            lost.Kv.Get("a");
            lost.Kv.Put("c", 1);
            test.Kv.Put("a", 4);
            Assert.Throws<ConflictException>(() => lost.Commit());
        }

        test.Run.Transact(tx => tx.Kv.Put("d", 1));
        var outcomes = test.Db.Metrics.Outcomes;
        Assert.Equal((3, 1, 1, 0), Figures(outcomes["put"]));
        Assert.Equal((1, 0, 0, 0), Figures(outcomes["append"]));
        Assert.Equal((1, 0, 0, 0), Figures(outcomes["transition"]));
        Assert.Equal((2, 0, 0, 0), Figures(outcomes["run"]));
        Assert.Equal((1, 0, 0, 0), Figures(outcomes["document"]));
        Assert.Equal((1, 0, 1, 0), Figures(outcomes["transaction"]));
        if (mode == Durability.InMemory)
            return;
        Assert.InRange(outcomes.Values.Sum(one => one.Bytes), 8 * 48, test.Db.Metrics.LogBytesWritten);
        Assert.All(outcomes.Values, one => Assert.True(one.Bytes > 0 || one.Ok == 0));
        using var late = test.Db.BeginTransaction([test.Run]);
        late.Kv.Put("e", 1);
        TestDatabase.Kill(test.Db);
        Assert.Throws<DatabaseFailedException>(() => late.Commit());
        Assert.Equal((1, 0, 1, 1), Figures(test.Db.Metrics.Outcomes["transaction"]));
    }

    private static (long, long, long, long) Figures(OperationOutcomes one) => (one.Ok, one.Refused, one.Conflicts, one.Failed);

    [Fact]
    public void MET_1_The_counter_has_the_tags_operation_primitive_and_outcome()
    {
        var seen = new List<string>();
        using var listener = new MeterListener
        {
            InstrumentPublished = (instrument, self) =>
            {
                if (instrument.Name is "cairn.operation.count" or "cairn.operation.bytes")
                    self.EnableMeasurementEvents(instrument);
            },
        };
        listener.SetMeasurementEventCallback<long>((instrument, value, tags, _) =>
        {
            lock (seen)
                seen.Add($"{instrument.Name} {string.Join(' ', tags.ToArray().Select(tag => $"{tag.Key}={tag.Value}"))}");
        });
        using var test = new TestDatabase(Durability.Buffered);
        listener.Start();
        test.Kv.Put("key of a user", "value of a user");
        listener.RecordObservableInstruments();
        lock (seen)
        {
            Assert.Contains("cairn.operation.count operation=put primitive=kv outcome=ok", seen);
            Assert.Contains("cairn.operation.bytes operation=append primitive=event", seen);
            Assert.Contains("cairn.operation.bytes operation=document primitive=json", seen);
            Assert.DoesNotContain(seen, text => text.Contains("user", StringComparison.Ordinal));
        }
    }

    [Fact]
    public void MET_1_A_database_that_closes_while_metrics_are_collected_gives_what_it_gave_last()
    {
        // A collection reads all databases of the process, each once per instrument: one of them may close between two of these.
        using var test = new TestDatabase(Durability.Buffered);
        var isClosed = false;
        using var meters = new Meters(
            () => isClosed ? throw new ObjectDisposedException("database") : test.Db.Metrics, () => []);
        var seen = new List<long>();
        using var listener = new MeterListener
        {
            InstrumentPublished = (instrument, self) =>
            {
                if (instrument.Meter == meters.Meter && instrument.Name == "cairn.commits")
                    self.EnableMeasurementEvents(instrument);
            },
        };
        listener.SetMeasurementEventCallback<long>((_, value, _, _) => seen.Add(value));
        listener.Start();
        test.Kv.Put("a", 1);
        listener.RecordObservableInstruments();
        isClosed = true;
        listener.RecordObservableInstruments();
        Assert.Equal(2, seen.Count);
        Assert.Equal((test.Db.Metrics.Commits, test.Db.Metrics.Commits), (seen[0], seen[1]));
    }

    [Fact]
    [Trait("Requirement", "SYS-1")]
    [Trait("Requirement", "SYS-2")]
    public void Merges_and_tables_have_figures_and_merges_are_told_but_not_those_of_what_is_told()
    {
        using var test = new TestDatabase(Durability.Buffered, options => options with { SystemEvents = true, CheckpointOnClose = false });
        for (var round = 0; round < 5; round++)
        {
            test.Kv.Put($"k{round}", round);
            test.Checkpoint();
        }

        var before = test.Db.Metrics;
        Assert.Equal((5, 0L), (before.Tables, before.Merges));
        Merge(test);
        var after = test.Db.Metrics;
        Assert.True(after.Tables < before.Tables && after.Merges == 1 && after.MergeBytesWritten > 0 && after.TableBytes > 0);
        test.Maintain();
        Assert.Equal(1, Told(test));

        // From here on nobody commits but the engine.
        var commits = 0L;
        for (var day = 0; day < 3 * 48; day++)
        {
            test.Clock.Advance(TimeSpan.FromMinutes(30));
            for (var turn = 0; turn < 10; turn++)
                test.Maintain();
            if (day == 48)
                commits = test.Db.Metrics.Commits;
        }

        Assert.InRange(test.Db.Metrics.Commits - commits, 0, 4);
    }

    [Fact]
    [Trait("Requirement", "SYS-2")]
    public void Merges_and_tables_of_nothing_but_what_the_engine_has_told_are_not_told()
    {
        using var test = new TestDatabase(Durability.Buffered, options => options with { SystemEvents = true, CheckpointOnClose = false });
        for (var round = 0; round < 5; round++)
        {
            test.Db.Engine.Events.Raise(SystemEvents.Warning, ("what", "load"));
            test.Maintain();
            test.Checkpoint();
        }

        Merge(test);
        Assert.Equal(1, test.Db.Metrics.Merges);
        test.Maintain();
        Assert.Equal(0, Told(test));                         // or each would be the reason of another
    }

    private static void Merge(TestDatabase test)
    {
        while (test.Db.Engine.Merger!.Step())
            Thread.Yield();
    }

    private static int Told(TestDatabase test)
    {
        var events = test.Db.Runs.Get("$sys")!.Events;
        return events.Since(events.Floor().Number).Count(told => told.Type == "merge");
    }

    // A damaged file is no reason to refuse writes, and a reader of Health must be able to tell.
    [Fact]
    [Trait("Requirement", "MET-4")]
    public void MET_4_Health_says_whether_writes_are_taken_apart_from_what_is_wrong()
    {
        using var test = new TestDatabase(Durability.Strict);
        Assert.Equal((HealthStatus.Healthy, true), (test.Db.Health.Status, test.Db.Health.AcceptsWrites));
        var table = new Cairn.Log.TableInfo(7, 1, default, 1, 1, 1, 0, 0, 0);
        test.Db.Engine.DamagedTables!.Tell(table, new CorruptionException(table.Path, 0, Sequence.None, "it"));
        test.Db.Engine.DamagedTables!.Judge(7, "a test says so.");
        Assert.Equal((HealthStatus.Failed, true), (test.Db.Health.Status, test.Db.Health.AcceptsWrites));
        test.Kv.Put("writes", "go on");
        TestDatabase.Kill(test.Db);
        Assert.Equal((HealthStatus.Failed, false), (test.Db.Health.Status, test.Db.Health.AcceptsWrites));
    }
}
