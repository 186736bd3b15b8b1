using System.Globalization;
using Cairn.Bench.Harness;

namespace Cairn.Bench.Suites;

/// <summary>What the parts of <c>./bench storage</c> share beyond <see cref="SuiteRun"/>.</summary>
internal sealed class StorageRun : SuiteRun
{
    private const int ValueBytes = 100;
    private const int QuickEntries = 100_000;
    private const int FullEntries = 1_000_000;

    internal StorageRun(BenchOptions options, Report report, string directory)
        : base(options, report, directory)
    {
        Entries = IsQuick ? QuickEntries : FullEntries;
    }

    /// <summary>Entries of a database that is opened, recovered, checkpointed, backed up.</summary>
    internal int Entries { get; }

    /// <summary>What databases are loaded with.</summary>
    internal byte[] Value { get; } = Keys.Value(ValueBytes);

    internal ChangingValue NewValue() => new(ValueBytes);

    /// <summary>The size as lines of the report give it.</summary>
    internal string Size => SizeOf(Entries);

    internal static string SizeOf(int entries) => string.Create(CultureInfo.InvariantCulture, $"entries={entries}");
}
