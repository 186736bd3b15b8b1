using System.Globalization;
using Cairn.Bench.Harness;

namespace Cairn.Bench.Suites;

/// <summary>What the parts of <c>./bench scale</c> share beyond <see cref="SuiteRun"/>.</summary>
internal sealed class ScaleRun : SuiteRun
{
    private const int QuickEntries = 400_000;
    private const int FullEntries = 10_000_000;

    internal ScaleRun(BenchOptions options, Report report, string directory)
        : base(options, report, directory)
    {
        Entries = IsQuick ? QuickEntries : FullEntries;
    }

    internal int Entries { get; }

    /// <summary>Entries per second of the mixed run, for the peers' ratio; absent until it was measured.</summary>
    internal Series EntriesPerSecond { get; set; } = Series.For("the part mixed was not measured");

    internal string Size => string.Create(CultureInfo.InvariantCulture, $"entries={Entries}");
}
