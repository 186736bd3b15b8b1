using Cairn.Bench.Harness;

namespace Cairn.Bench.Suites;

/// <summary>
/// <c>./bench replay</c>: what the past of a run costs. Views at a point beside a bare read of the same bytes, replay beside recovery,
/// and a run among many others beside the same run alone.
/// </summary>
internal static class ReplaySuite
{
    private static readonly (string Name, Action<ReplayRun> Measure)[] All =
    [
        ("view", run => new ViewPart(run).Run()),
        ("throughput", run => new ReplayThroughputPart(run).Run()),
        ("neighbours", run => new NeighboursPart(run).Run()),
        ("diff", run => new DiffPart(run).Run()),
        ("fork", run => new ForkPart(run).Run()),
        ("merge", run => new MergePart(run).Run()),
    ];

    internal static Suite Suite { get; } = new("replay", [.. All.Select(part => part.Name)], Run);

    private static PartPage Page { get; } =
        new("replay", Path.Combine("docs", "benchmarks", "replay.md"), [.. All.Select(part => part.Name)]);

    private static void Run(BenchOptions options, Report report, string directory)
    {
        SuiteRun.RunParts(new ReplayRun(options, report, directory), options, All, Page);
        report.SkipRest(ReplayGates.All, "was not measured");
    }
}

/// <summary>What the parts of <c>./bench replay</c> share beyond <see cref="SuiteRun"/>.</summary>
internal sealed class ReplayRun(BenchOptions options, Report report, string directory) : SuiteRun(options, report, directory)
{
    internal const int Events = 1_000;

    /// <summary>Commits of the run whose replay is held beside a recovery.</summary>
    internal int Commits => IsQuick ? 100_000 : 1_000_000;

    /// <summary>Commits of other runs around a run of a thousand.</summary>
    internal int Others => IsQuick ? 300_000 : 10_000_000;

    /// <summary>No checkpoint comes between: the log alone is read.</summary>
    internal static CairnDatabase Open(string directory) => CairnDatabase.Open(directory, new CairnOptions
    {
        Durability = Durability.Buffered,
        CheckpointOnClose = false,
        CheckpointLogBytes = 1L << 40,
        CheckpointInterval = TimeSpan.FromDays(30),
    });
}
