using System.Diagnostics.Metrics;
using Cairn.Diagnostics;
using Cairn.Storage;
using Cairn.Tests.Transactions;
using Xunit;

namespace Cairn.Tests.Diagnostics;

/// <summary>MET-3: gauges tell what is, and the durable sequence what a power cut leaves.</summary>
[Trait("Requirement", "MET-3")]
public sealed class GaugeTests
{
    [Fact]
    public void In_Strict_each_commit_is_durable_when_it_returns()
    {
        using var test = new TestDatabase(Durability.Strict);
        for (var i = 0; i < 5; i++)
        {
            test.Kv.Put("k", i);
            Assert.Equal(test.Db.Sequence, test.Db.Metrics.DurableSequence);
        }

        test.NowAndAfterReopening(() => Assert.Equal(test.Db.Sequence, test.Db.Metrics.DurableSequence));
    }

    [Fact]
    [Trait("Requirement", "DUR-5")]
    public void In_Buffered_it_follows_the_syncs()
    {
        using var test = new TestDatabase(Durability.Buffered);
        test.Kv.Put("k", 1);
        test.Db.Sync();
        var synced = test.Db.Sequence;
        test.Kv.Put("k", 2);
        test.Kv.Put("k", 3);
        Assert.Equal((synced, synced.Value + 2), (test.Db.Metrics.DurableSequence, test.Db.Sequence.Value));
        Assert.Equal(2, test.Db.Metrics.UnsyncedCommits);
        test.Db.Sync();
        Assert.Equal(test.Db.Sequence, test.Db.Metrics.DurableSequence);
    }

    [Fact]
    public void In_memory_nothing_is_durable_and_the_gauge_is_absent()
    {
        using var test = new TestDatabase(Durability.InMemory);
        test.Kv.Put("k", 1);
        Assert.Equal(Sequence.None, test.Db.Metrics.DurableSequence);
        Assert.DoesNotContain("cairn.sequence.durable", Read(test.Db).Keys);
    }

    /// <summary>The claim of the figure: whatever a power cut takes, it is there afterwards.</summary>
    [Fact]
    [Trait("Kind", "Random")]
    [Trait("Gate", "Merge")]
    [Trait("Promise", "G2")]
    public void What_is_called_durable_outlives_a_power_cut()
    {
        var seed = Seeds.Begin(nameof(What_is_called_durable_outlives_a_power_cut));
        var random = new Random((int)seed);
        var lost = 0UL;
        for (var round = 0; round < Seeds.Scaled(40); round++)
        {
            var disk = new CrashStorage();
            using var test = new TestDatabase(Durability.Buffered, storage: disk);
            for (var life = 0; life < 3; life++)
            {
                for (var i = random.Next(30); i > 0; i--)
                {
                    test.Kv.Put($"k{random.Next(9)}", new byte[random.Next(3_000)]);
                    if (random.Next(12) == 0)
                        test.Db.Sync();
                    if (random.Next(25) == 0)
                        test.Checkpoint();
                }

                var (durable, last) = (test.Db.Metrics.DurableSequence, test.Db.Sequence);
                Assert.True(durable <= last);
                disk = disk.Crash((ulong)random.NextInt64());
                test.MoveTo(disk);
                Assert.True(test.Db.Sequence >= durable, $"seed {seed}, round {round}: {test.Db.Sequence} is there, {durable} was durable");
                Assert.Equal(test.Db.Sequence, test.Db.Metrics.DurableSequence);
                lost += last.Value - test.Db.Sequence.Value;
            }
        }

        Assert.True(lost > 0, "no power cut took anything: the test shows nothing");
    }

    [Fact]
    public void Memory_is_told_by_part()
    {
        using var test = new TestDatabase(Durability.Strict, options => options with { CheckpointOnClose = false });
        for (var i = 0; i < 50; i++)
            test.Kv.Put($"k{i}", new byte[100]);
        test.Checkpoint();
        var at = test.Db.Sequence;
        test.Kv.Put("k1", 2);
        test.Checkpoint();
        test.Reopen();                                       // keys leave memory only when no test beside this one reads: now none is there
        using var view = test.Run.At(at);
        Assert.NotNull(view.Kv.Get("k1"));
        Assert.NotNull(test.Kv.Get("k2"));
        var gauges = Read(test.Db);
        Assert.Equal((1, 2), (gauges["cairn.views"], gauges["cairn.runs"]));
        Assert.True(gauges["cairn.views.bytes"] > 0 && gauges["cairn.blocks.cached"] > 0 && gauges["cairn.log.kept"] > 5_000);
        Assert.True(gauges["cairn.blocks.cached"] < gauges["cairn.memory.used"]);
    }

    // Of this database alone: its meter is the newest of that name.
    private static Dictionary<string, long> Read(CairnDatabase db)
    {
        var found = new Dictionary<string, long>();
        using var meters = new Meters(() => db.Metrics, () => db.Maintenance);
        using var listener = new MeterListener();
        listener.InstrumentPublished = (instrument, self) =>
        {
            if (ReferenceEquals(instrument.Meter, meters.Meter))
                self.EnableMeasurementEvents(instrument);
        };
        listener.SetMeasurementEventCallback<long>((instrument, value, tags, _) =>
        {
            if (tags.IsEmpty)
                found[instrument.Name] = value;
        });
        listener.Start();
        listener.RecordObservableInstruments();
        return found;
    }
}
