using System.Diagnostics;
using Cairn.Bench.Harness;

namespace Cairn.Bench.Suites;

/// <summary>
/// <c>./bench recall</c>: what a run holds, found: passages by their words, beside a plain loop over arrays and Lucene; vectors by a search
/// that looks at all of them, beside loops that only add up the same bytes.
/// </summary>
internal static class RecallSuite
{
    private static readonly (string Name, Action<RecallRun> Measure)[] All =
    [
        ("text", run => new TextPart(run).Run()), ("flat", run => new FlatPart(run).Run()),
    ];

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

    internal int Vectors => IsQuick ? 20_000 : 100_000;

    /// <summary>Seconds of the quickest of a few calls.</summary>
    internal static double Quickest(int calls, Action call)
    {
        var least = double.MaxValue;
        for (var i = 0; i < calls; i++)
        {
            var began = Stopwatch.GetTimestamp();
            call();
            least = Math.Min(least, Stopwatch.GetElapsedTime(began).TotalSeconds);
        }

        return least;
    }
}

/// <summary>The goals of <c>./bench recall</c>.</summary>
internal static class RecallGates
{
    // The ten best of two words among 100,000 passages, questions a second, the index alone; and passages indexed a second.
    internal static readonly Gate TextToPlain = Gate.AtLeast("text-or-top10/plain-loop", 1.0);

    internal static readonly Gate TextToLucene = Gate.AtLeast("text-or-top10/Lucene", 3);

    internal static readonly Gate TextBuildToPlain = Gate.AtLeast("text-build/plain-loop", 0.6);

    // Vectors a second of a search that looks at all, 384 elements in binary32, beside a loop over the same bytes that adds them up.
    internal static readonly Gate FlatToSum = Gate.AtLeast("flat-384-F32/plain-sum", 0.8);

    // PERF-11: milliseconds of a search of 10,000 vectors of 768 elements, and microseconds of a write and a read of one.
    internal static readonly Gate FlatTime = Gate.AtMost("flat-10000-768-ms", 50);

    internal static readonly Gate InsertTime = Gate.AtMost("insert-768-us", 50);

    internal static readonly Gate GetTime = Gate.AtMost("get-768-us", 10);

    internal static IReadOnlyList<Gate> All { get; } = Gate.AllOf(typeof(RecallGates));
}
