namespace Cairn.Bench.Harness;

/// <summary>A suite of the command line: its name, the parts that <c>--part</c> takes, and what it does.</summary>
/// <param name="Run">Measures; gets the options, the report and an empty directory.</param>
internal sealed record Suite(string Name, IReadOnlyList<string> Parts, Action<BenchOptions, Report, string> Run);
