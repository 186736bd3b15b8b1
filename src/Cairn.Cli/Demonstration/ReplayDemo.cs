// What became of a run, and what could have become of it: one task, solved by three agents, from recordings of real ones.
//
//      import     three trajectories, as recordings: what models and environments said are inputs of the runs
//      timeline   one of them, commit by commit
//      diff       two by two, by action: where they part. Times and ids that were made make no difference
//      what if    a fork of one of them at a step, with another observation in place of what was recorded: which question that changes
//      replay     each again from its recording, with nothing live, and each anew from its records, state hash against state hash
//
// Every figure that is shown was measured in this very execution. If anything is not as it should be, the exit code is 6.

using System.Diagnostics;
using Cairn.Cli.SweAgent;

namespace Cairn.Cli.Demonstration;

/// <summary>Runs the demo; see the essay above. <see cref="ReplayDemoPage"/> shows it.</summary>
internal sealed class ReplayDemo(CairnDatabase database)
{
    internal static readonly string[] FileNames =
        ["marshmallow-1867-default.traj", "marshmallow-1867-xml.traj", "marshmallow-1867-function-calling.traj"];

    /// <summary>The step whose observation is another one: the first time that the agent runs its script.</summary>
    internal const int WhatIfStep = 2;

    /// <summary>What the script would have said, had there been no bug.</summary>
    internal const string WhatIfObservation = "345\n";

    private readonly List<(Trajectory Source, Run Run)> _agents = [];

    internal Imported Import()
    {
        var began = Stopwatch.GetTimestamp();
        var agents = new List<ImportedAgent>();
        foreach (var source in FileNames.Select(name => Trajectory.Read(Demo.SamplePath(name))))
        {
            var import = TrajectoryRecording.Begin(database, source);
            while (import.MoveNext(out _))
            {
            }

            var run = database.Runs.Get(import.Run)!;
            _agents.Add((source, run));
            agents.Add(new ImportedAgent(source.Name, run.Id, source.Steps.Count, run.StepCount, run.ListInputs(1000).Count));
        }

        return new Imported(agents, Stopwatch.GetElapsedTime(began));
    }

    /// <summary>The last of them, commit by commit.</summary>
    internal Timeline Timeline()
    {
        var began = Stopwatch.GetTimestamp();
        var (source, run) = _agents[^1];
        using var view = database.Replay(run.Id);
        var steps = view.Steps(1, view.StepCount).Select(step => new TimelineCommit(
            step.Number,
            step.Commit.Sequence,
            step.Commit.Attributes.SourceKind ?? "",
            step.Commit.Attributes.Tool ?? "",
            step.Changes.Count,
            step.Changes.Select(Telling).FirstOrDefault(text => text.Length > 0) ?? "")).ToList();
        return new Timeline(source.Name, steps, Stopwatch.GetElapsedTime(began));
    }

    // The event that is the step's own, and not the recorded input beside it.
    private static string Telling(StepChange change)
    {
        if (change.Address.Primitive != "events" || change.After is not { Kind: ValueKind.Object } payload)
            return "";
        return payload.TryGetMember("ordinal", out _) ? ""
            : payload.TryGetMember("observation", out var observation) ? observation.AsString()
            : payload.TryGetMember("action", out var action) ? action.AsString()
            : "";
    }

    /// <summary>The first agent against each other one, by what they did.</summary>
    internal ComparedAgents Compare()
    {
        var began = Stopwatch.GetTimestamp();
        var pairs = new List<ComparedPair>();
        foreach (var (other, run) in _agents.Skip(1))
        {
            var (first, firstRun) = _agents[0];
            using var diff = database.Diff(
                firstRun.Id, run.Id, new DiffOptions { EventTypes = ["action"], IgnoredMembers = ["thought"] });
            var parting = diff.FirstDivergence();
            pairs.Add(new ComparedPair(
                first.Name, other.Name, diff.CommonEvents, diff.Items().LongCount(), parting?.OperationA?.Value?["step"].AsInt64(),
                ActionOf(parting?.OperationA), ActionOf(parting?.OperationB)));
        }

        return new ComparedAgents(pairs, Stopwatch.GetElapsedTime(began));

        static string? ActionOf(LogOperation? operation) => operation?.Value?["action"].AsString();
    }

    /// <summary>The first agent again, with another observation at one step.</summary>
    internal WhatIf AskWhatIf()
    {
        var began = Stopwatch.GetTimestamp();
        var (source, run) = _agents[0];
        var recorded = run.ListInputs(1000).First(
            input => input.Kind == InputKind.Tool && input.Request!.Value["step"].AsInt64() == WhatIfStep);
        var other = Value.Object(("observation", WhatIfObservation), ("state", recorded.Answer!.Value["state"]));
        using var replay = database.Runs.ReplayInputs(run.Id, new InputReplayOptions
        {
            Name = source.Name + "-what-if",
            From = recorded.Ordinal,
            Substitutions = [InputSubstitution.At(recorded.Ordinal, other)],
        });
        ReplayDivergenceException? divergence = null;
        try
        {
            TrajectoryRecording.Replay(replay.Run);
        }
        catch (ReplayDivergenceException parted)
        {
            divergence = parted;
        }

        using var diff = database.Diff(run.Id, replay.Run.Id, new DiffOptions { EventTypes = ["action", "observation"] });
        return new WhatIf(
            replay.Run.Info.ForkSequence!.Value,
            source.Name, source.Steps[WhatIfStep].Action, recorded.Answer!.Value["observation"].AsString(), recorded.Ordinal,
            divergence?.Step, divergence?.Difference, divergence?.Actual?.Request?["step"].AsInt64(), diff.CommonEvents,
            Stopwatch.GetElapsedTime(began));
    }

    /// <summary>Each run from its recording and from its records.</summary>
    internal Replayed Replay()
    {
        var began = Stopwatch.GetTimestamp();
        var runs = new List<ReplayedRun>();
        foreach (var (source, run) in _agents)
        {
            using var replay = database.Runs.ReplayInputs(run.Id, new InputReplayOptions { Name = source.Name + "-replayed" });
            TrajectoryRecording.Replay(replay.Run);
            using var diff = database.Diff(run.Id, replay.Run.Id);
            using var view = database.Replay(run.Id);
            var report = replay.Report;
            runs.Add(new ReplayedRun(
                source.Name, report.Used, report.Live, report.IsWhole && diff.Summarize().IsEmpty && diff.FirstDivergence() is null,
                view.Verify(), run.StateHash() == view.StateHash()));
        }

        return new Replayed(runs, Stopwatch.GetElapsedTime(began));
    }
}

/// <summary>One agent's run.</summary>
internal sealed record ImportedAgent(string Name, RunId Id, int Steps, int Commits, int Inputs);

/// <summary>What was imported.</summary>
internal sealed record Imported(IReadOnlyList<ImportedAgent> Agents, TimeSpan Time);

/// <summary>One commit of a timeline.</summary>
internal sealed record TimelineCommit(int Number, Sequence Sequence, string Source, string Tool, int Changes, string Text);

/// <summary>A run, commit by commit.</summary>
internal sealed record Timeline(string Name, IReadOnlyList<TimelineCommit> Commits, TimeSpan Time);

/// <summary>Two agents by what they did.</summary>
/// <param name="Step">Where they part, counted from 0; null = they do not.</param>
internal sealed record ComparedPair(string A, string B, long Common, long Differing, long? Step, string? ActionA, string? ActionB);

/// <summary>All pairs.</summary>
internal sealed record ComparedAgents(IReadOnlyList<ComparedPair> Pairs, TimeSpan Time)
{
    // What the files are known to hold: two agents that do the same, and one that parts from them at its second action.
    internal bool IsAsKnown => Pairs is [{ Step: null, Differing: 0 }, { Step: 1, Differing: > 0 }];
}

/// <summary>What another observation would have changed.</summary>
/// <param name="ForkedAt">The last commit that both have.</param>
/// <param name="Ordinal">The input that was given another answer.</param>
/// <param name="DivergedAt">The first input that is asked otherwise; null = none.</param>
internal sealed record WhatIf(
    Sequence ForkedAt, string Name, string Action, string Observed, long Ordinal, long? DivergedAt, string? Difference,
    long? Step, long Common, TimeSpan Time)
{
    internal bool IsPinpointed => DivergedAt == Ordinal + 1 && Step == ReplayDemo.WhatIfStep + 1;
}

/// <summary>One run again.</summary>
/// <param name="Used">Inputs that were answered from the recording.</param>
/// <param name="IsSame">All of them were asked for, and what was written differs in nothing.</param>
/// <param name="IsHash">The state hash of the run itself is the one that its records give.</param>
internal sealed record ReplayedRun(string Name, long Used, long Live, bool IsSame, ReplayProof Proof, bool IsHash)
{
    internal bool IsGood => IsSame && Live == 0 && Proof.IsEqual && IsHash;
}

/// <summary>All of them.</summary>
internal sealed record Replayed(IReadOnlyList<ReplayedRun> Runs, TimeSpan Time);
