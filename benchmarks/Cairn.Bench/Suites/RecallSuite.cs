using Cairn.Bench.Harness;

namespace Cairn.Bench.Suites;

/// <summary><c>./bench recall</c>: what a run holds, found: passages by their words, beside a plain loop over arrays and Lucene.</summary>
internal static class RecallSuite
{
    private static readonly (string Name, Action<RecallRun> Measure)[] All = [("text", run => new TextPart(run).Run())];

    internal static Suite Suite { get; } = new("recall", [.. All.Select(part => part.Name)], Run);

    private static PartPage Page { get; } =
        new("recall", Path.Combine("docs", "benchmarks", "recall.md"), [.. All.Select(part => part.Name)]);

    private static void Run(BenchOptions options, Report report, string directory)
    {
        SuiteRun.RunParts(new RecallRun(options, report, directory), options, All, Page);
        report.SkipRest(RecallGates.All, "was not measured");
    }
}

/// <summary>What the parts of <c>./bench recall</c> share beyond <see cref="SuiteRun"/>.</summary>
internal sealed class RecallRun(BenchOptions options, Report report, string directory) : SuiteRun(options, report, directory)
{
    internal int Passages => IsQuick ? 20_000 : 100_000;
}

/// <summary>The goals of <c>./bench recall</c>.</summary>
internal static class RecallGates
{
    // The ten best of two words among 100,000 passages, questions a second, the index alone; and passages indexed a second.
    internal static readonly Gate TextToPlain = Gate.AtLeast("text-or-top10/plain-loop", 1.0);

    internal static readonly Gate TextToLucene = Gate.AtLeast("text-or-top10/Lucene", 3);

    internal static readonly Gate TextBuildToPlain = Gate.AtLeast("text-build/plain-loop", 0.6);

    internal static IReadOnlyList<Gate> All { get; } = Gate.AllOf(typeof(RecallGates));
}
