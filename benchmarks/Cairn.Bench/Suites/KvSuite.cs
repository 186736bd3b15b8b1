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

    internal static void Run(BenchOptions options, Report report, string directory)
    {
        foreach (var peer in PeerCatalogue.All)
        {
            if (peer.Missing is { } reason)
                report.Skip(peer.Name, reason);
        }

        var run = new KvRun(options, report, directory);
        if (!run.IsQuick)
            new InMemoryPart(run, FewKeys, isJudged: false).Run();
        Action[] parts =
        [
            new InMemoryPart(run, run.KeyCount, isJudged: true).Run,
            new SnapshotPart(run).Run,
            new LayersPart(run).Run,
            new ScalingPart(run).Run,
            new BufferedPart(run).Run,
            new StrictPart(run).Run,
            new EventsPart(run).Run,
            new ReplayPart(run).Run,
        ];
        foreach (var part in parts)
        {
            part();
            run.DiscardDirectories();
        }

        if (run.IsQuick)
            report.SkipRest(FootprintPart.Gates, "needs full");
        else
            new FootprintPart(run).Run();
        report.SkipRest(KvGates.All, "was not measured");
    }
}
