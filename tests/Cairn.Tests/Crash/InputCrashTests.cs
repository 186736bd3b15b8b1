using Cairn.Storage;
using Cairn.Tests.Transactions;
using Xunit;

namespace Cairn.Tests.Crash;

/// <summary>
/// The power fails around recorded inputs: in the live call, between its answer and the commit that carries it, in that commit, and at any
/// other moment. No effect stands without its input and no input without its effect; what was acknowledged is there; the agent goes on by
/// asking again what no commit has, and the whole is replayed with nothing live.
/// </summary>
[Trait("Promise", "G1")]
[Trait("Promise", "G4")]
[Trait("Requirement", "RPL-21")]
public class InputCrashTests
{
    private const int Steps = 12;

    private static readonly string[] Moments = ["in the call", "behind the answer", "behind the commit"];

    // What the world outside was asked, in order: a call cannot be taken back.
    private sealed class World
    {
        internal List<long> Calls { get; } = [];

        internal int Acknowledged { get; private set; }

        internal Action<string, long> At { get; set; } = (_, _) => { };

        internal void Work(Run run)
        {
            for (var step = run.State.Get("done")?.Value.AsInt64() ?? 0; step < Steps; step++)
            {
                var asked = step;
                var answer = run.Input(InputKind.Tool, asked, () => Answer(asked), new InputOptions { Name = "outside" });
                At("behind the answer", step);
                run.Transact(tx =>
                {
                    tx.Events.Append("effect", Value.Object(("step", asked), ("answer", answer)));
                    tx.State.Set("done", asked + 1);
                });
                Acknowledged = (int)step + 1;
                At("behind the commit", step);
            }
        }

        private Value Answer(long step)
        {
            At("in the call", step);
            Calls.Add(step);
            return $"answer {step}, call {Calls.Count}";
        }
    }

    private static void Check(Run run, World world, string where)
    {
        var done = run.State.Get("done")?.Value.AsInt64() ?? 0;
        Assert.True(done >= world.Acknowledged, $"{where}: {world.Acknowledged} steps acknowledged, {done} there");
        var inputs = run.ListInputs(100);
        var effects = run.Events.ByType(new EventScanOptions { Types = ["effect"], Limit = 100 });
        Assert.True(
            done == inputs.Count && done == effects.Count, $"{where}: {done} steps, {inputs.Count} inputs, {effects.Count} effects");
        for (var i = 0; i < done; i++)
        {
            Assert.Equal((i, i), (inputs[i].Ordinal, (int)inputs[i].Request!.Value.AsInt64()));
            Assert.Equal(inputs[i].Answer, effects[i].Payload!.Value["answer"]);
            Assert.Equal(inputs[i].Sequence, effects[i].Sequence);
            Assert.True(inputs[i].Number < effects[i].Number, where);
        }

        Assert.True(run.Events.Verify().IsValid, where);
    }

    private static void CheckReplay(CairnDatabase db, string where)
    {
        using var replay = db.Runs.ReplayInputs(RunId.Default);
        new World { At = (moment, _) => Assert.NotEqual("in the call", moment) }.Work(replay.Run);
        Assert.True(replay.Report.IsWhole, where);
        using var diff = db.Diff(RunId.Default, replay.Run.Id);
        Assert.Empty(diff.Items("events", "state"));
    }

    [Theory]
    [InlineData(Durability.Strict)]
    [InlineData(Durability.Buffered)]
    [Trait("Gate", "Merge")]
    public void The_power_fails_around_each_input_and_the_call_is_made_again_only_if_no_commit_has_it(Durability mode)
    {
        foreach (var moment in Moments)
        {
            for (var at = 0; at < Steps; at++)
            {
                var where = $"{moment} of step {at}";
                var storage = new CrashStorage();
                using var test = new TestDatabase(mode, storage: storage);
                var world = new World();
                world.At = (now, step) =>
                {
                    if (now == moment && step == at)
                        throw new PowerOff();
                };
                var ended = Record.Exception(() => world.Work(test.Run));
                Assert.True(ended is PowerOff or InputFailedException { InnerException: PowerOff }, $"{where}: {ended}");
                if (mode == Durability.Buffered)
                    test.Db.Sync();                       // what is lost here is what no commit has, not what no sync has
                var committed = test.Run.State.Get("done")?.Value.AsInt64() ?? 0;
                test.MoveTo(storage.Crash((ulong)(at + 1)));
                world.At = (_, _) => { };
                Check(test.Run, world, where);
                Assert.Equal(committed, test.Run.State.Get("done")?.Value.AsInt64() ?? 0);
                world.Work(test.Run);
                Check(test.Run, world, where);
                var again = moment == "behind the answer" ? 1 : 0;
                Assert.Equal(Steps + again, world.Calls.Count);
                test.NowAndAfterReopening(() => CheckReplay(test.Db, where));
            }
        }
    }

    [Fact]
    [Trait("Gate", "Merge")]
    [Trait("Kind", "Random")]
    public void The_power_fails_at_any_moment_and_no_effect_stands_without_its_input()
    {
        var seed = Seeds.Begin(nameof(The_power_fails_at_any_moment_and_no_effect_stands_without_its_input));
        for (var round = 0ul; round < (ulong)Seeds.Scaled(40); round++)
        {
            var chance = new Chance(seed + round);
            var where = $"seed {seed + round}";
            var storage = new CrashStorage();
            using var test = new TestDatabase(Durability.Strict, storage: storage);
            var world = new World();
            for (var life = 0; life < 4; life++)
            {
                storage.PowerFailsAt = storage.Operations + 1 + chance.Below(40);
                try
                {
                    world.Work(test.Run);
                    if (chance.OneIn(2))
                        test.Checkpoint();
                }
                catch (Exception failure) when (failure is PowerLossException or CairnException && storage.PowerLost)
                {
                }

                storage = storage.Crash(chance.Next());
                test.MoveTo(storage);
                Check(test.Run, world, where);
            }

            world.Work(test.Run);
            Check(test.Run, world, where);
            CheckReplay(test.Db, where);
        }
    }

    private sealed class PowerOff : Exception;
}
