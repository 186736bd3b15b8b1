using Cairn.Bench.Harness;
using Cairn.Bench.Peers;

namespace Cairn.Bench.Suites;

/// <summary>
/// <c>./bench kv</c>: Cairn's key-value path, events and replay beside what a user would take instead, and beside the bare loops
/// that say what the machine allows. All in one process, taking turns, so that ratios mean something on a noisy machine.
/// </summary>
internal static class KvSuite
{
    internal const string Name = "kv";

    private const int FewKeys = 100_000;

    private static readonly (string Name, Action<KvRun> Measure)[] All =
    [
        ("inmemory", InMemory),
        ("snapshot", run => new SnapshotPart(run).Run()),
        ("layers", run => new LayersPart(run).Run()),
        ("specification", run => new SpecificationPart(run).Run()),
        ("scaling", run => new ScalingPart(run).Run()),
        ("buffered", run => new BufferedPart(run).Run()),
        ("strict", run => new StrictPart(run).Run()),
        ("events", run => new EventsPart(run).Run()),
        ("replay", run => new ReplayPart(run).Run()),
        ("footprint", Footprint),
    ];

    internal static Suite Suite { get; } = new(Name, [.. All.Select(part => part.Name)], Run);

    private static void Run(BenchOptions options, Report report, string directory)
    {
        foreach (var peer in PeerCatalogue.All)
        {
            if (peer.Missing is { } reason)
                report.Skip(peer.Name, reason);
        }

        var run = new KvRun(options, report, directory);
        SuiteRun.RunParts(run, options, All);
        if (run.IsQuick)
            report.SkipRest(FootprintPart.Gates, "needs full");
        report.SkipRest(KvGates.All, "was not measured");
    }

    private static void InMemory(KvRun run)
    {
        if (!run.IsQuick)
            new InMemoryPart(run, FewKeys, isJudged: false).Run();
        new InMemoryPart(run, run.KeyCount, isJudged: true).Run();
    }

    private static void Footprint(KvRun run)
    {
        if (!run.IsQuick)
            new FootprintPart(run).Run();
    }
}
