// The first impression: two recorded agents at work in a child process, a SIGKILL in the middle, and what is left.
//
//      child    imports two trajectories in turns, Strict, and says each commit's sequence on its standard output
//      parent   counts; after half of all commits it sends SIGKILL; opens the directory again, which recovers it; compares every
//               run with its file; adopts the orphans, finishes both imports, verifies the hash chains, draws one run as a tree
//
// Every figure that is shown was measured in this very execution. If what survived is less than what was acknowledged, or not
// exactly a prefix of it, the demo says so and ends with exit code 6.

using System.Diagnostics;
using Cairn.Cli.SweAgent;

namespace Cairn.Cli.Demonstration;

/// <summary>Runs the demo; see the essay above. <see cref="DemoPage"/> shows it.</summary>
internal sealed class Demo(string directory, IReadOnlyList<string> files)
{
    internal static readonly string[] FileNames = ["marshmallow-1867-function-calling.traj", "pydicom-1458.traj"];

    internal static string SamplePath(string name) => Path.Combine(AppContext.BaseDirectory, "samples", "swe-agent", name);

    internal IReadOnlyList<Trajectory> Sources { get; } = [.. files.Select(Trajectory.Read)];

    /// <summary>Commits of the whole work: per run its beginning and each transaction of the import.</summary>
    internal int Commits => Sources.Sum(source => source.Steps.Count + 3);

    internal AgentsResult Kill() => Agents.RunAndKill(directory, files, Commits / 2);

    /// <summary>Opens what the kill left behind and compares it with the files.</summary>
    internal Survivors Survey(AgentsResult child)
    {
        var began = Stopwatch.GetTimestamp();
        using var database = Open();
        var time = Stopwatch.GetElapsedTime(began);
        var runs = Sources.Select(source =>
        {
            if (!database.Runs.TryGet(source.Name, out var run))
                return new SurvivingRun(source.Name, null, 0, source.Steps.Count, 0, false, null);
            var steps = TrajectoryImport.StepsIn(run) ?? 0;
            return new SurvivingRun(
                source.Name, run.Id, (int)steps, source.Steps.Count, run.Events.Count(), run.Info.IsOrphaned,
                    TrajectoryImport.FirstDifference(run, source));
        }).ToList();
        return new Survivors(database.Recovery, database.Sequence, child, runs, time);
    }

    /// <summary>Adopts the orphaned runs and brings in what is missing.</summary>
    internal Finished Finish()
    {
        var began = Stopwatch.GetTimestamp();
        using var database = Open();
        var commits = 0;
        foreach (var source in Sources)
        {
            var import = database.Runs.Exists(source.Name)
                ? TrajectoryImport.Resume(database, source)
                : TrajectoryImport.Begin(database, source);
            while (import.MoveNext(out _))
                commits++;
        }

        var differences = Sources
            .Select(source => TrajectoryImport.FirstDifference(database.Runs.Get(source.Name)!, source))
            .OfType<string>().ToList();
        var time = Stopwatch.GetElapsedTime(began);
        return new Finished(commits, database.Sequence, differences, time);
    }

    /// <summary>Reads everything again in one more opening: log, chains, one run as a tree.</summary>
    internal Checked Check()
    {
        var began = Stopwatch.GetTimestamp();
        using var database = CairnDatabase.Open(directory, new CairnOptions { IsReadOnly = true });
        var log = database.VerifyLog();
        var chains = EventChains.Verify(database).ToList();
        var run = database.Runs.Get(Sources[0].Name)!;
        var heads = Sources.Select(source => (source.Name, database.Runs.Get(source.Name)!.Events.Head()!.Value.Hash.ToString())).ToList();
        return new Checked(log, chains, heads, Timeline(run), Final(run), Stopwatch.GetElapsedTime(began));
    }

    private CairnDatabase Open() => CairnDatabase.Open(directory,
        new CairnOptions { Durability = Durability.Strict, CreateIfMissing = false });

    private static List<TimelineStep> Timeline(Run run)
    {
        var steps = new List<TimelineStep>();
        string? cursor = null;
        do
        {
            var page = run.Events.Since(default, new EventScanOptions { Limit = 1000, Cursor = cursor });
            foreach (var record in page)
            {
                if (record.Payload is not { } payload)
                    continue;
                if (record.Type == "action")
                    steps.Add(new TimelineStep(record.Number, record.Sequence, payload["thought"].AsString(), payload["action"].AsString(),
                        ""));
                else if (record.Type == "observation" && steps.Count > 0)
                    steps[^1] = steps[^1] with { Observation = payload["observation"].AsString() };
            }

            cursor = page.Cursor;
        }
        while (cursor is not null);

        return steps;
    }

    private static List<(string Name, string Value)> Final(Run run)
    {
        var info = run.Info;
        List<(string, string)> lines = [("status", info.Status.ToString())];
        lines.AddRange(run.State.Scan(new ScanOptions { Limit = 100 }).Where(cell => cell.Key != TrajectoryImport.RootCell)
            .Select(cell => ($"state {cell.Key}", $"{Show.Text(cell.Value.Value)} (counter {cell.Value.Counter})")));
        lines.AddRange(run.Kv.Scan(new ScanOptions { Limit = 100 }).Select(pair => ($"kv {pair.Key}", Show.Text(pair.Value.Value))));
        lines.Add(("traces", Show.Number(run.Traces.Count())));
        lines.Add(("events", Show.Number(run.Events.Count())));
        return lines;
    }
}

/// <summary>A run as the crash left it.</summary>
/// <param name="Difference">What is not as the file says; null = exactly its first steps.</param>
internal sealed record SurvivingRun(string Name, RunId? Id, int Steps, int StepsOfFile, long Events, bool IsOrphaned, string? Difference);

/// <summary>What the opening after the kill found.</summary>
internal sealed record Survivors(RecoveryReport Recovery, Sequence Sequence, AgentsResult Child, IReadOnlyList<SurvivingRun> Runs,
    TimeSpan Time)
{
    internal long Commits => (long)Sequence.Value;

    /// <summary>Nothing acknowledged is missing, and nothing is half.</summary>
    internal bool IsExactPrefix => Sequence.Value >= Child.LastSequence && Runs.All(run => run.Difference is null);
}

/// <summary>The work brought to its end.</summary>
internal sealed record Finished(int Commits, Sequence Sequence, IReadOnlyList<string> Differences, TimeSpan Time);

/// <summary>The last look.</summary>
internal sealed record Checked(
    LogVerification Log, IReadOnlyList<EventChain> Chains, IReadOnlyList<(string Run, string Hash)> Heads,
        IReadOnlyList<TimelineStep> Timeline,
    IReadOnlyList<(string Name, string Value)> Final, TimeSpan Time)
{
    internal bool IsValid => Log.IsValid && Chains.All(chain => chain.IsValid);
}

/// <summary>One step of the timeline.</summary>
internal sealed record TimelineStep(EventNumber Number, Sequence Sequence, string Thought, string Action, string Observation);
