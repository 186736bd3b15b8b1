using Cairn.Storage;
using Cairn.Tests.Transactions;
using Xunit;

namespace Cairn.Tests.Maintenance;

/// <summary>MET-4: what is near its end is told before it ends, and who keeps the past, since when, and how much of it.</summary>
[Trait("Requirement", "MET-4")]
public sealed class CapacityTests
{
    [Theory]
    [ClassData(typeof(AllModes))]
    public void Each_limit_tells_how_much_of_it_is_used(Durability mode)
    {
        using var test = new TestDatabase(mode, options => options with
        {
            Limits = new Limits { IdempotencyKeysMax = 10, ForkDepthMax = 4, CursorsMax = 5 },
        });
        Assert.DoesNotContain(test.Db.Capacity().Limits, limit => limit.IsNearEnd);
        for (var i = 0; i < 8; i++)
            test.Run.TransactOnce($"key {i}", tx => tx.Kv.Put("k", 1));
        var run = test.Db.Runs.Begin("parent");
        for (var i = 0; i < 3; i++)
            run = test.Db.Runs.Fork(run.Id);
        var capacity = test.Db.Capacity();
        var keys = capacity.Limits.Single(limit => limit.Name == "idempotency keys");
        Assert.Equal((8L, 10L, RunId.Default), (keys.Used, keys.Allowed, keys.Run));
        Assert.True(keys.IsNearEnd);
        var forks = capacity.Limits.Single(limit => limit.Name == "levels of forks");
        Assert.Equal((3L, 4L, run.Id), (forks.Used, forks.Allowed, forks.Run));
        Assert.False(forks.IsNearEnd);
        Assert.Equal(keys, capacity.Limits[0]);
        Assert.All(capacity.Limits, limit => Assert.NotEmpty(limit.Remedy));
        Assert.Equal(test.HasLog, capacity.Limits.Any(limit => limit.Name == "segments"));
    }

    [Fact]
    [Trait("Requirement", "DUR-9")]
    public void A_disk_that_fills_up_is_told_before_it_is_full()
    {
        var disk = new FaultStorage(new MemoryStorage());
        using var test = new TestDatabase(Durability.Strict, storage: disk);
        test.Kv.Put("k", 1);
        test.Maintain();
        var limit = test.Db.Capacity().Limits.Single(limit => limit.Name == "disk");
        Assert.False(limit.IsNearEnd);
        disk.FreeBytes = limit.Used + 1;
        limit = test.Db.Capacity().Limits.Single(limit => limit.Name == "disk");
        Assert.True(limit.IsNearEnd && limit.Share < 1, limit.ToString());
        Assert.False(test.Db.Metrics.IsDiskFull);
        disk.FreeBytes = limit.Used - 1;
        test.Maintain();
        Assert.True(test.Db.Metrics.IsDiskFull);
    }

    [Fact]
    [Trait("Requirement", "RET-4")]
    [Trait("Requirement", "MET-3")]
    public void Who_keeps_the_past_is_told_with_its_age_and_with_what_it_keeps()
    {
        using var test = new TestDatabase(Durability.Strict, options => options with
        {
            SegmentBytesMin = 16 << 10,
            SegmentBytesMax = 16 << 10,
            Retention = Retention.KeepLast(1),
        });
        Assert.Empty(test.Db.Capacity().Holds);
        Write(test);
        using var snapshot = test.Run.Snapshot();
        var seen = test.Db.Sequence;
        var now = Assert.Single(test.Db.Capacity().Holds);
        Assert.Equal((seen, null, 0L), (now.Sequence, now.Age, now.KeptBytes));

        test.Clock.Advance(TimeSpan.FromMinutes(10));
        Write(test);
        test.Checkpoint();
        test.Clock.Advance(TimeSpan.FromMinutes(5));
        Write(test);
        test.Checkpoint();
        using var transaction = test.Run.BeginTransaction();
        test.Clock.Advance(TimeSpan.FromSeconds(7));
        var holds = test.Db.Capacity().Holds;
        var pin = Assert.Single(holds, hold => hold.Holder.Contains("snapshot", StringComparison.Ordinal));
        Assert.Equal(seen, pin.Sequence);
        Assert.Equal(TimeSpan.FromMinutes(5) + TimeSpan.FromSeconds(7), pin.Age);
        Assert.True(pin.KeptBytes > 20_000, pin.ToString());
        var open = Assert.Single(holds, hold => hold.Holder.Contains("open transaction", StringComparison.Ordinal));
        Assert.Equal((test.Db.Sequence, TimeSpan.FromSeconds(7), 0L), (open.Sequence, open.Age, open.KeptBytes));
        var older = Assert.Single(holds, hold => hold.Holder == "the older checkpoint");
        Assert.True(older.KeptBytes > 0 && older.Age > TimeSpan.FromMinutes(5), older.ToString());

        // The claim of the figure: what it keeps goes when it lets go.
        Assert.Equal(0, test.Db.Compact(cancellationToken: TestContext.Current.CancellationToken).SegmentsDropped);
        snapshot.Dispose();
        transaction.Dispose();
        Assert.True(test.Db.Compact(cancellationToken: TestContext.Current.CancellationToken).SegmentsDropped > 0);
        Assert.Equal("the older checkpoint", Assert.Single(test.Db.Capacity().Holds).Holder);
    }

    [Fact]
    public void A_view_of_a_run_is_told_while_it_is_open()
    {
        using var test = new TestDatabase(Durability.Strict);
        Write(test);
        test.Checkpoint();
        Write(test);
        test.Checkpoint();
        var at = test.Db.Sequence;
        Write(test);
        using (test.Run.At(at))
            Assert.Contains(test.Db.Capacity().Holds, hold => hold is { Holder: "a view of a run", Age: not null });
        Assert.DoesNotContain(test.Db.Capacity().Holds, hold => hold.Holder == "a view of a run");
    }

    private static void Write(TestDatabase test)
    {
        for (var i = 0; i < 40; i++)
            test.Kv.Put($"key {i % 10}", new byte[1_000]);
        test.Db.Sync();
    }
}
