using Cairn.Primitives;
using Cairn.Store;
using Cairn.Tests.Transactions;
using Xunit;

namespace Cairn.Tests.Replay;

/// <summary>What appends leave to the end of a load comes to the same versions as if each had written its own: values, sequences, times and
/// when each was created, of counts by type and of the head.</summary>
[Trait("Kind", "Random")]
public sealed class EventTailTests(ITestOutputHelper output)
{
    private static readonly string[] Types = [.. Enumerable.Range(0, 11).Select(n => $"type {n}")];

    [Fact]
    [Trait("Requirement", "RPL-5")]
    [Trait("Promise", "G10")]
    public void RPL_5_A_view_has_every_version_that_the_run_had()
    {
        foreach (var seed in Seeds.Take(Seeds.Scaled(12), output))
        {
            var random = new Random(seed);
            using var test = new TestDatabase(Durability.Buffered);
            var run = test.Db.Runs.Begin("run");
            if (random.Next(2) == 0)
                run.Retention.Apply(Retention.KeepEvents(20));
            var types = random.Next(1, Types.Length + 1);
            var moments = new List<(Sequence At, Hash256 Everything, List<EventStreamInfo?> Streams)>();
            for (var step = 0; step < 80; step++)
            {
                test.Clock.Advance(TimeSpan.FromSeconds(random.Next(3)));
                switch (random.Next(12))
                {
                    case 0: run.Kv.Put("k", step); break;
                    case 1: run.Events.Redact(run.Events.Append(Types[0], Value.Object()).Number, "asked for"); break;
                    case 2: test.Maintain(); break;
                    case 3:
                        run.Transact(tx =>
                        {
                            for (var n = random.Next(1, 5); n > 0; n--)
                                tx.Events.Append(Types[random.Next(types)], Value.Object(("n", step)));
                        });
                        break;
                    default: run.Events.Append(Types[random.Next(types)], Value.Object(("n", step))); break;
                }

                if (random.Next(6) == 0)
                    moments.Add((test.Db.Sequence, Everything(test.Db, run.RunState), [.. Types.Select(run.Events.StreamInfo)]));
            }

            foreach (var (at, everything, streams) in moments)
            {
                using var view = run.At(at);
                Assert.Equal(streams, Types.Select(view.Events.StreamInfo));
                Assert.Equal(everything, Everything(test.Db, view.Replay!.Run, at.Value));
            }
        }
    }

    private static Hash256 Everything(CairnDatabase db, RunState run, ulong? at = null)
    {
        using var hash = new StateHash(db.Engine.Path.Operations, at ?? db.Sequence.Value, db.Engine.Path.Log.LastTime);
        return hash.Everything(run.Store);
    }
}
