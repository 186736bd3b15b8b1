using Cairn.Cli.SweAgent;
using Xunit;

namespace Cairn.Tests.Replay;

/// <summary>RPL-25 on real agents: each trajectory of samples/swe-agent, its thoughts and actions as answers of a model and its
/// observations as answers of a tool, is recorded once and replayed without either.</summary>
public class TrajectoryReplayTests
{
    public static TheoryData<string> Files =>
        [.. Directory.GetFiles(Path.Combine(AppContext.BaseDirectory, "samples", "swe-agent"), "*.traj")
            .Select(file => Path.GetFileName(file))];

    // The agent: it knows the task, asks the model with all that it has seen, does what that says, and keeps what came of it.
    private static void Work(Run run, Trajectory? live)
    {
        var seen = new List<Value>();
        for (var step = 0; ; step++)
        {
            var known = live?.Steps.ElementAtOrDefault(step);
            var said = run.Input(InputKind.Model, Value.Object(("seen", Value.Array(seen))), () => Live(live) switch
            {
                _ when known is null => Value.Null,
                _ => Value.Object(("thought", known.Thought), ("action", known.Action)),
            });
            if (said.IsNull)
                break;
            var observed = run.Input(
                InputKind.Tool, said["action"], () => Live(live) is var _ && known!.Observation is { } text ? text : Value.Null,
                new InputOptions { Name = "shell" });
            seen.Add(said);
            seen.Add(observed);
            run.Transact(tx =>
            {
                tx.Events.Append("step", Value.Object(("step", step), ("said", said), ("observed", observed)));
                tx.State.TransitionOrInit("steps", 0, count => count.AsInt64() + 1);
                tx.Kv.Put("last_action", said["action"]);
            });
        }

        run.Complete(seen.Count / 2);
    }

    private static Trajectory Live(Trajectory? live) => live ?? throw new InvalidOperationException("something was called live");

    private static string Writes(Run run) => string.Join('\n', [
        .. run.Events.Since(0, new EventScanOptions { Limit = 1000 }).Select(e => $"{e.Number} {e.Type} {e.Payload}"),
        $"{run.Kv.Get("last_action")} {run.State.Get("steps")?.Value} {run.Status} {run.Info.Result}",
    ]);

    [Theory]
    [MemberData(nameof(Files))]
    [Trait("Requirement", "RPL-25")]
    public void A_recorded_trajectory_is_replayed_with_equal_writes_and_nothing_live(string file)
    {
        var source = Trajectory.Read(Path.Combine(AppContext.BaseDirectory, "samples", "swe-agent", file));
        using var db = CairnDatabase.OpenInMemory();
        var run = db.Runs.Begin(source.Name);
        Work(run, source);
        Assert.Equal(source.Steps.Count, run.State.Get("steps")!.Value.Value.AsInt64());

        using var replay = db.Runs.ReplayInputs(run.Id);
        Work(replay.Run, null);

        Assert.True(replay.Report.IsWhole);
        Assert.Equal(2 * source.Steps.Count + 1, replay.Report.Used);
        Assert.Equal(Writes(run), Writes(replay.Run));
    }

    [Theory]
    [MemberData(nameof(Files))]
    [Trait("Requirement", "RPL-23")]
    public void Another_observation_is_found_at_the_next_question(string file)
    {
        var source = Trajectory.Read(Path.Combine(AppContext.BaseDirectory, "samples", "swe-agent", file));
        using var db = CairnDatabase.OpenInMemory();
        var run = db.Runs.Begin();
        Work(run, source);
        var changed = 2 * (source.Steps.Count / 2) + 1;
        using var replay = db.Runs.ReplayInputs(
            run.Id, new InputReplayOptions { Substitutions = [InputSubstitution.At(changed, "no such file")] });
        var divergence = Assert.Throws<ReplayDivergenceException>(() => Work(replay.Run, null));
        Assert.Equal((changed + 1, InputKind.Model), (divergence.Step, divergence.Kind));
        Assert.StartsWith($"$.seen[{changed}] ", divergence.Difference, StringComparison.Ordinal);
    }
}
