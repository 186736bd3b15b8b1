using Cairn.Bench.Harness;
using Cairn.Bench.Peers;

namespace Cairn.Bench.Suites;

/// <summary>
/// <c>./bench storage</c>: what a database costs that lives longer than its process. Opening, recovering, checkpoints, backup,
/// what background work does to the latency of puts, what churn costs on disk, large contents, and memory under a budget, each
/// beside a peer or beside the bare loop that says what the machine allows.
/// </summary>
internal static class StorageSuite
{
    private static readonly (string Name, Action<StorageRun> Measure)[] All =
    [
        ("open", run => new OpenPart(run).Run()),
        ("recovery", run => new RecoveryPart(run).Run()),
        ("checkpoint", run => new CheckpointPart(run).Run()),
        ("latency", run => new LatencyPart(run).Run()),
        ("churn", run => new ChurnPart(run).Run()),
        ("contents", run => new ContentsPart(run).Run()),
        ("memory", run => new MemoryPart(run).Run()),
        ("idle", run => new IdlePart(run).Run()),
    ];

    internal static Suite Suite { get; } = new("storage", [.. All.Select(part => part.Name)], Run);

    private static PartPage Page { get; } =
        new("storage", Path.Combine("docs", "benchmarks", "storage.md"), [.. All.Select(part => part.Name)]);

    private static void Run(BenchOptions options, Report report, string directory)
    {
        foreach (var peer in new[] { PeerCatalogue.Lmdb, PeerCatalogue.RocksDb })
        {
            if (peer.Missing is { } reason)
                report.Skip(peer.Name, reason);
        }

        SuiteRun.RunParts(new StorageRun(options, report, directory), options, All, Page);
        report.SkipRest(StorageGates.All, "was not measured");
    }
}
