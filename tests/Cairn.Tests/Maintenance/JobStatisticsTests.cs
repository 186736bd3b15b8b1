using Cairn.Tests.Transactions;
using Xunit;

namespace Cairn.Tests.Maintenance;

/// <summary>MNT-7: what each job says about itself is what happened.</summary>
[Trait("Requirement", "MNT-7")]
public sealed class JobStatisticsTests
{
    [Fact]
    public void MNT_7_A_sync_counts_its_commits_its_flush_and_what_it_missed()
    {
        // Large segments: the rotation to another one would sync too.
        using var database = new TestDatabase(Durability.Buffered, options => options with { SegmentBytesMin = 256 << 10 });
        for (var i = 0; i < 500; i++)
            database.Kv.Put($"k{i}", i);
        database.Maintain();
        var waiting = Of(database, "sync");
        Assert.Equal((500L, 2_000L, 0L, 0L), (waiting.Backlog, waiting.Capacity, waiting.Items, waiting.Flushes));
        Assert.Equal(0.25, waiting.Utilisation, 1e-9);
        Assert.Null(waiting.EstimatedLag);
        database.Clock.Advance(TimeSpan.FromMilliseconds(95));
        database.Maintain();
        var synced = Of(database, "sync");
        Assert.Equal((0L, 500L, 1L, 0L), (synced.Backlog, synced.Items, synced.Flushes, synced.DeadlineMisses));
        Assert.Equal(500 / 0.095, synced.ItemsPerSecond, 1);
        Assert.Equal(TimeSpan.Zero, synced.EstimatedLag);
        database.Kv.Put("late", 1);
        database.Clock.Advance(TimeSpan.FromMilliseconds(101));
        database.Maintain();
        Assert.Equal((501L, 2L, 1L), (Of(database, "sync").Items, Of(database, "sync").Flushes, Of(database, "sync").DeadlineMisses));
    }

    [Fact]
    [Trait("Requirement", "TX-33")]
    public void TX_33_A_commit_that_waits_for_room_is_counted_once_where_the_wait_was_caused()
    {
        using var database = new TestDatabase(Durability.Buffered);
        for (var i = 0; i < 40; i++)
            database.Kv.Put($"k{i}", new byte[2_000].AsSpan());  // nobody has prepared a segment: 32 KiB are full soon
        var segment = Of(database, "segment");
        Assert.InRange(segment.BackPressureEvents, 1, 5);
        Assert.Equal(0, Of(database, "sync").BackPressureEvents);
        Assert.Equal(40, database.Kv.Count());
    }

    [Fact]
    public void MNT_7_A_segment_that_is_prepared_counts_its_bytes_against_the_bytes_of_commits()
    {
        using var database = new TestDatabase(Durability.Buffered);
        for (var i = 0; i < 9; i++)
            database.Kv.Put($"k{i}", new byte[2_000].AsSpan());
        database.Maintain();
        var segment = Of(database, "segment");
        Assert.Equal((1L, segment.Items), (segment.Flushes, segment.BytesWritten));
        Assert.Equal((double)segment.BytesWritten / database.Db.Metrics.LogBytesWritten, segment.WriteAmplification, 1e-9);
        Assert.True(segment is { Backlog: 0, WriteAmplification: > 1 });
    }

    [Fact]
    public void MNT_7_What_expired_is_counted_by_the_job_that_removed_it()
    {
        using var database = new TestDatabase(Durability.InMemory);
        for (var i = 0; i < 300; i++)
            database.Kv.Put($"k{i}", i, ttl: TimeSpan.FromSeconds(1));
        database.Maintain();
        Assert.Equal(TimeSpan.FromSeconds(1), database.Db.Engine.Maintainer!.Jobs.Single(job => job.Name == "expiry").DueIn);
        database.Clock.Advance(TimeSpan.FromSeconds(2));
        database.Maintain();
        Assert.Equal(256, Of(database, "expiry").Items);
        database.Maintain();
        Assert.Equal((300L, 0L), (Of(database, "expiry").Items, Of(database, "expiry").Backlog));
        Assert.Null(database.Db.Engine.Maintainer!.Jobs.Single(job => job.Name == "expiry").DueIn);
    }

    [Fact]
    public void MNT_7_A_failure_is_told_until_a_step_succeeds()
    {
        var isOn = false;
        using var database = new TestDatabase(
            Durability.Buffered,
            storage: new Cairn.Storage.LatencyStorage(new Cairn.Storage.MemoryStorage(), (call, _) =>
            {
                if (isOn && call == Cairn.Storage.StorageCall.Read)
                    throw new InvalidOperationException("as the test wants it");
            }));
        database.Kv.Put("a", 1);
        isOn = true;
        database.Maintain();
        Assert.Equal(("as the test wants it", 1), (Of(database, "digest").LastError, Of(database, "digest").Failures));
        isOn = false;
        database.Clock.Advance(TimeSpan.FromSeconds(1));
        database.Maintain();
        Assert.Equal((null, 0, 1L), (Of(database, "digest").LastError, Of(database, "digest").Failures, Of(database, "digest").Runs));
    }

    private static JobStatistics Of(TestDatabase database, string name) => database.Db.Maintenance.Single(job => job.Name == name);
}
