using Cairn.Bench.Harness;
using Cairn.Bench.Peers;

namespace Cairn.Bench.Suites;

/// <summary>
/// <c>./bench scale</c>: the whole engine at ten million entries, key-values, events, traces and state cells mixed over a thousand
/// runs, Buffered (PERF-17). RocksDB takes as many entries of the same size.
/// </summary>
internal static class ScaleSuite
{
    private static readonly (string Name, Action<ScaleRun> Measure)[] All =
    [
        ("mixed", run => new MixedPart(run).Run()),
        ("peers", run => new ScalePeersPart(run).Run()),
    ];

    internal static Suite Suite { get; } = new("scale", [.. All.Select(part => part.Name)], Run);

    private static PartPage Page { get; } =
        new("scale", Path.Combine("docs", "benchmarks", "scale.md"), [.. All.Select(part => part.Name)]);

    private static void Run(BenchOptions options, Report report, string directory)
    {
        if (PeerCatalogue.RocksDb.Missing is { } reason)
            report.Skip(PeerCatalogue.RocksDb.Name, reason);
        SuiteRun.RunParts(new ScaleRun(options, report, directory), options, All, Page);
        report.SkipRest(ScaleGates.All, "was not measured");
    }
}
