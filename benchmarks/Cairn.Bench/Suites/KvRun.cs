using System.Globalization;
using Cairn.Bench.Harness;

namespace Cairn.Bench.Suites;

/// <summary>What the parts of <c>./bench kv</c> share beyond <see cref="SuiteRun"/>: sizes, keys, slices of time.</summary>
internal sealed class KvRun : SuiteRun
{
    private const int ValueBytes = 100;
    private const int QuickKeys = 100_000;
    private const int FullKeys = 1_000_000;

    internal KvRun(BenchOptions options, Report report, string directory)
        : base(options, report, directory)
    {
        KeyCount = IsQuick ? QuickKeys : FullKeys;
        Slice = IsQuick ? TimeSpan.FromSeconds(2.0 / 3) : TimeSpan.FromSeconds(2);
        PeerSlice = IsQuick ? TimeSpan.FromSeconds(0.2) : Slice;
        Glance = IsQuick ? TimeSpan.FromSeconds(0.1) : TimeSpan.FromSeconds(0.5);
        Insertion = Keys.Shuffled(KeyCount, seed: 1);
        Access = Keys.Shuffled(KeyCount, seed: 2);
    }

    internal int KeyCount { get; }

    /// <summary>How long Cairn and the bare loops write in one round, where time and not count ends it: 2 s over the rounds of a
    /// quick run, 10 s over those of a full one.</summary>
    internal TimeSpan Slice { get; }

    /// <summary>The same for peers. A quick run gives them less: their goals are wide.</summary>
    internal TimeSpan PeerSlice { get; }

    /// <summary>The same for gates that are met by an order of magnitude.</summary>
    internal TimeSpan Glance { get; }

    /// <summary>Bytes of a prewritten file: it is written over again when its end is reached.</summary>
    internal long FileBytes => IsQuick ? 64 << 20 : 256 << 20;

    /// <summary>All keys, in the order of insertion.</summary>
    internal string[] Insertion { get; }

    /// <summary>All keys, in another order: that of updates and gets.</summary>
    internal string[] Access { get; }

    /// <summary>What stores are loaded with; updates write a <see cref="ChangingValue"/> of the same length.</summary>
    internal byte[] Value { get; } = Keys.Value(ValueBytes);

    internal ChangingValue NewValue() => new(ValueBytes);

    /// <summary>The size as lines of the report give it.</summary>
    internal string Size => SizeOf(KeyCount);

    internal static string SizeOf(int keys) => string.Create(CultureInfo.InvariantCulture, $"keys={keys}");
}
