using Cairn.Diagnostics;
using Cairn.Storage;
using Cairn.Tests.Transactions;
using Xunit;
using static Cairn.Tests.Transactions.TestValues;

namespace Cairn.Tests.Maintenance;

/// <summary>SYS-1, SYS-2: what the engine tells stands in a run that anybody reads and only the engine writes.</summary>
[Trait("Requirement", "SYS-1")]
public sealed class SystemEventsTests
{
    [Theory]
    [ClassData(typeof(AllModes))]
    public void SYS_1_An_opening_is_told_by_the_maintainer_after_it_and_a_recovery_with_what_it_found(Durability mode)
    {
        using var database = Make(mode);
        Assert.Empty(Told(database));
        database.Maintain();
        Assert.Equal(["open"], Told(database));
        if (!database.HasLog)
            return;
        database.Kv.Put("a", 1);
        database.Reopen(isKilled: true);
        database.Maintain();
        Assert.Equal(["open", "open", "recovery"], Told(database));
        database.Reopen();
        Assert.Equal(["open", "open", "recovery"], Told(database));
        Assert.True(Field(Events(database)[1], "was_clean").AsBool() is false);
    }

    [Fact]
    public void SYS_1_The_run_is_refused_for_writing()
    {
        using var database = Make(Durability.Strict);
        Assert.Equal(ErrorCode.ReadOnly, Refused(() => database.Db.Runs.Get("$sys")!.Events.Append("a", Value.Object())));
    }

    [Fact]
    public void SYS_1_A_change_of_health_is_told_once_each_way_and_names_the_part()
    {
        var isOn = false;
        using var database = Make(Durability.Buffered, new LatencyStorage(new MemoryStorage(), (call, _) =>
        {
            if (isOn && call == StorageCall.Read)
                throw new InvalidOperationException("as the test wants it");
        }));
        database.Kv.Put("a", 1);
        isOn = true;
        for (var i = 0; i < 3; i++)
            database.Maintain();
        isOn = false;
        database.Clock.Advance(TimeSpan.FromSeconds(1));
        for (var i = 0; i < 3; i++)
            database.Maintain();
        var changes = Events(database).Where(told => told.Type == "health_change").ToList();
        Assert.Equal(["Degraded", "Healthy"], changes.Select(change => Field(change, "to").AsString()));
        Assert.All(changes, change => Assert.Equal("digest", Field(change, "part").AsString()));
    }

    [Fact]
    public void SYS_1_What_does_not_fit_into_the_queue_is_counted_and_told()
    {
        var events = new SystemEvents(isOn: true);
        for (var i = 0; i < SystemEvents.QueuedMax + 7; i++)
            events.Raise(SystemEvents.Audit, ("number", i));
        Assert.Equal((7L, SystemEvents.QueuedMax), (events.Lost, events.Waiting));
        events.Written(100);
        var last = events.Peek(int.MaxValue)[^1];
        Assert.Equal((SystemEvents.Warning, 7L), (last.Type, last.Payload["count"].AsInt64()));
        events.Written(1);
        Assert.Equal(SystemEvents.QueuedMax - 100 + 1 - 1, events.Waiting);
    }

    [Fact]
    public void SYS_1_On_a_full_disk_events_wait_and_none_is_lost()
    {
        using var database = Make(Durability.Buffered);
        database.Db.Engine.State.EnterDiskFull("The test says so.", 1, null);
        database.Db.Engine.Events.Raise(SystemEvents.Audit, ("number", 1));
        var job = database.Db.Engine.Maintainer!.Jobs.Single(job => job.Name == "events");
        job.Step();
        Assert.Empty(Told(database));
        database.Db.Engine.State.LeaveDiskFull();
        job.Step();
        Assert.Equal(["audit", "open"], Told(database).Where(type => type is "open" or "audit").Order());
    }

    [Fact]
    [Trait("Requirement", "SYS-2")]
    public void SYS_2_The_engines_events_are_not_in_the_state_hash_and_not_in_the_latency_of_commits()
    {
        using var told = Make(Durability.Buffered);
        using var silent = new TestDatabase(Durability.Buffered);
        foreach (var database in new[] { told, silent })
        {
            database.Maintain();
            database.Kv.Put("a", 1);
        }

        Assert.NotEqual(silent.Sequence, told.Sequence);
        Assert.Equal(1, told.Db.Metrics.CommitLatency.Count);
        Assert.DoesNotContain(silent.Db.Maintenance, job => job.Name == "events");
        var before = told.Db.StateHash();
        told.Db.Engine.Events.Raise(SystemEvents.Audit, ("number", 1));
        told.Maintain();
        Assert.Equal(before, told.Db.StateHash());
        Assert.True(told.Db.VerifyDeep().IsValid);
    }

    [Fact]
    public void SYS_1_A_commit_that_took_longer_than_a_second_is_told()
    {
        FakeClock? clock = null;
        var isSlow = false;
        using var database = Make(Durability.Strict, new LatencyStorage(new MemoryStorage(), (call, _) =>
        {
            if (isSlow && call == StorageCall.DataSync)
                clock!.Advance(TimeSpan.FromSeconds(3));
        }));
        clock = database.Clock;
        isSlow = true;
        database.Kv.Put("a", 1);
        isSlow = false;
        database.Maintain();
        var slow = Events(database).Where(told => told.Type == "slow_operation");
        Assert.Equal(
            [("sync", 3_000L), ("commit", 3_000L)],
            slow.Select(told => (Field(told, "operation").AsString(), Field(told, "ms").AsInt64())));
    }

    [Fact]
    public void SYS_1_A_checkpoint_a_compaction_and_a_backup_are_told_with_their_figures()
    {
        using var database = new TestDatabase(Durability.Buffered, options => options with
        {
            SystemEvents = true,
            Retention = Retention.KeepLast(1),
            SegmentBytesMin = 16 << 10,
            SegmentBytesMax = 16 << 10,
        });
        for (var round = 0; round < 3; round++)
        {
            for (var i = 0; i < 40; i++)
                database.Kv.Put("a", new byte[1000]);
            database.Db.Checkpoint(cancellationToken: TestContext.Current.CancellationToken);
        }

        database.Maintain();
        var freed = database.Db.Compact(cancellationToken: TestContext.Current.CancellationToken);
        var backup = database.Db.BackupTo(new MemoryStorage(), null, BackupOptions.Default, TestContext.Current.CancellationToken);
        database.Maintain();
        var told = Events(database);
        Assert.Equal([1L, 2L, 3L], told.Where(one => one.Type == "checkpoint").Select(one => Field(one, "number").AsInt64()));
        var compaction = Assert.Single(told, one => one.Type == "compaction");
        Assert.Equal((freed.BytesDropped, freed.BytesWritten),
            (Field(compaction, "bytes_dropped").AsInt64(), Field(compaction, "bytes_written").AsInt64()));
        var copied = Assert.Single(told, one => one.Type == "backup");
        Assert.Equal((backup.Id, backup.Bytes), (Field(copied, "id").AsString(), Field(copied, "bytes").AsInt64()));
    }

    [Fact]
    [Trait("Requirement", "SYS-2")]
    public void SYS_2_A_checkpoint_of_what_the_engine_told_is_not_told_so_a_database_at_rest_comes_to_rest()
    {
        using var database = Make(Durability.Buffered);
        database.Kv.Put("a", 1);
        for (var i = 0; i < 5; i++)
        {
            database.Maintain();
            database.Clock.Advance(TimeSpan.FromHours(1));
            for (var step = 0; step < 20; step++)
                database.Maintain();
        }

        Assert.Equal(["open", "checkpoint"], Told(database));
        var sequence = database.Sequence;
        database.Clock.Advance(TimeSpan.FromHours(1));
        for (var step = 0; step < 20; step++)
            database.Maintain();
        Assert.Equal(sequence, database.Sequence);
    }

    private static TestDatabase Make(Durability mode, IStorage? storage = null) =>
        new(mode, options => options with { SystemEvents = true }, storage);

    private static Value Field(EventRecord told, string name) => told.Payload!.Value[name];

    private static List<EventRecord> Events(TestDatabase database) =>
        [.. database.Db.Runs.Get("$sys")!.Events.Since(default)];

    private static IEnumerable<string> Told(TestDatabase database) => Events(database).Select(told => told.Type);
}
