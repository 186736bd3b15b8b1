using System.Diagnostics;
using Cairn.Bench.Harness;

namespace Cairn.Bench.Suites;

/// <summary>
/// <c>./bench json</c>: one place of a stored document changed and read, beside a document that is parsed and written again, beside
/// SQLite's functions on text, and beside a reader that seeks through the text; in documents of a kilobyte and in one of a megabyte. And
/// documents found by an index, beside SQLite's.
/// </summary>
internal static class JsonSuite
{
    private static readonly (string Name, Action<JsonRun> Measure)[] All =
    [
        ("path", run => new JsonPathPart(run).Run()), ("index", run => new JsonIndexPart(run).Run()),
    ];

    internal static Suite Suite { get; } = new("json", [.. All.Select(part => part.Name)], Run);

    private static PartPage Page { get; } =
        new("json", Path.Combine("docs", "benchmarks", "json.md"), [.. All.Select(part => part.Name)]);

    private static void Run(BenchOptions options, Report report, string directory)
    {
        SuiteRun.RunParts(new JsonRun(options, report, directory), options, All, Page);
        report.SkipRest(JsonGates.All, "was not measured");
    }
}

/// <summary>What the parts of <c>./bench json</c> share beyond <see cref="SuiteRun"/>.</summary>
internal sealed class JsonRun(BenchOptions options, Report report, string directory) : SuiteRun(options, report, directory)
{
    internal int Documents => IsQuick ? 2_000 : 20_000;

    internal int IndexedDocuments => IsQuick ? 20_000 : 1_000_000;

    internal TimeSpan Window => TimeSpan.FromMilliseconds(IsQuick ? 300 : 1_500);

    /// <summary>Operations a second of one thread, over a window.</summary>
    internal double Rate(Action<int> operation)
    {
        const int batch = 256;
        var start = Stopwatch.GetTimestamp();
        var operations = 0;
        TimeSpan elapsed;
        do
        {
            for (var i = 0; i < batch; i++)
                operation(operations + i);
            operations += batch;
            elapsed = Stopwatch.GetElapsedTime(start);
        }
        while (elapsed < Window);

        return operations / elapsed.TotalSeconds;
    }
}

/// <summary>The goals of <c>./bench json</c>.</summary>
internal static class JsonGates
{
    // Rates, in documents of a kilobyte, all in memory and without syncs.
    internal static readonly Gate SetToRewrite = Gate.AtLeast("path-set/parse-set-serialize", 1.5);

    internal static readonly Gate SetToSqlite = Gate.AtLeast("path-set/SQLite-json_set", 3);

    internal static readonly Gate GetToSeek = Gate.AtLeast("path-get/Utf8JsonReader-seek", 0.8);

    // Times of a set: in a document of a megabyte against one of a kilobyte.
    internal static readonly Gate LargeToSmall = Gate.AtMost("path-set-in-1-MB/in-1-KB", 3);

    // Questions by one field that ten of a million documents answer, and documents indexed a second.
    internal static readonly Gate QueryToSqlite = Gate.AtLeast("index-query/SQLite-index-on-a-column", 1);

    internal static readonly Gate BuildToSqlite = Gate.AtLeast("index-build/SQLite-create-index", 1);

    internal static IReadOnlyList<Gate> All { get; } = Gate.AllOf(typeof(JsonGates));
}
