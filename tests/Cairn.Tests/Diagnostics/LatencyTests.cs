using Cairn.Diagnostics;
using Cairn.Storage;
using Cairn.Tests.Transactions;
using Xunit;

namespace Cairn.Tests.Diagnostics;

/// <summary>MET-2: what each class of operations took.</summary>
[Trait("Requirement", "MET-2")]
public sealed class LatencyTests
{
    [Fact]
    public void MET_2_Every_figure_is_off_by_at_most_two_per_cent()
    {
        var random = new Random(unchecked((int)Seeds.Begin(nameof(LatencyTests))));
        for (var round = 0; round < 20; round++)
        {
            var histogram = new LatencyHistogram();
            var values = new long[2_000];
            for (var i = 0; i < values.Length; i++)
                histogram.Record(values[i] = (long)Math.Pow(2, 13 + 28 * random.NextDouble()));
            Array.Sort(values);
            var summary = histogram.Summarise();
            Assert.Equal(values.Length, summary.Count);
            foreach (var (share, told) in new[] { (0.5, summary.P50), (0.95, summary.P95), (0.99, summary.P99), (0.999, summary.P999) })
            {
                var exact = values[(int)Math.Ceiling(share * values.Length) - 1];
                Assert.InRange(told.TotalNanoseconds, exact * 0.98 - 100, exact * 1.02 + 100);
            }

            Assert.Equal(TimeSpan.FromTicks(values[^1] / 100), summary.Max);
        }
    }

    [Fact]
    public void MET_2_What_takes_longer_than_a_histogram_reaches_is_counted_and_its_maximum_is_exact()
    {
        var histogram = new LatencyHistogram();
        histogram.Record(long.MaxValue);
        histogram.Record(-1);
        Assert.Equal((2L, TimeSpan.FromTicks(long.MaxValue / 100)), (histogram.Summarise().Count, histogram.Summarise().Max));
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    public void MET_2_Each_commit_is_timed_once_as_what_it_was_and_in_its_mode(Durability mode)
    {
        using var database = new TestDatabase(mode);
        var run = database.Run;
        for (var i = 0; i < 10; i++)
            run.Kv.Put("k", i);
        for (var i = 0; i < 7; i++)
            run.Events.Append("e", Value.Object());
        run.State.Init("s", 1);
        run.State.Set("s", 2);
        database.Db.Runs.Begin("r").Complete();
        run.Transact(tx => tx.Kv.Put("k", 3));
        if (mode == Durability.Buffered)
            run.With(new CommitOptions { Durability = Durability.Strict }).Kv.Put("k", 4);
        run.Kv.List();
        for (var i = 0; i < 640; i++)
            run.Kv.Get("k");
        var latencies = database.Db.Metrics.Latencies;
        long Count(string name) => latencies[name].Count;
        var strict = mode == Durability.Buffered ? 1 : 0;
        Assert.Equal((10 + strict, 7, 2, 2, 1), (Count("put"), Count("append"), Count("transition"), Count("run"), Count("transaction")));
        Assert.Equal((1, 1), (Count("transact"), Count("scan")));
        Assert.InRange(Count("get"), 9, 11);
        Assert.Equal(1, Count("open"));
        Assert.Equal(mode == Durability.Strict, Count("sync") > 5);
        var all = 22 + strict;
        Assert.Equal(all, database.Db.Metrics.CommitLatency.Count);
        Assert.Equal(
            (mode == Durability.InMemory ? all : 0, mode == Durability.Buffered ? all - 1 : 0, mode == Durability.Strict ? all : strict),
            (Count("commit.in_memory"), Count("commit.buffered"), Count("commit.strict")));
    }

    [Fact]
    public void MET_2_A_sync_is_timed_for_as_long_as_the_device_takes()
    {
        FakeClock? clock = null;
        using var database = new TestDatabase(Durability.Strict, storage: new LatencyStorage(new MemoryStorage(), (call, _) =>
        {
            if (call == StorageCall.DataSync)
                clock?.Advance(TimeSpan.FromMilliseconds(40));
        }));
        clock = database.Clock;
        database.Kv.Put("a", 1);
        Assert.InRange(database.Db.Metrics.Latencies["sync"].Max.TotalMilliseconds, 40, 40.1);
        Assert.InRange(database.Db.Metrics.Latencies["put"].P50.TotalMilliseconds, 39.2, 40.8);
    }
}
