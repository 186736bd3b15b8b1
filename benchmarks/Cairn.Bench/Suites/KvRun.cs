using System.Globalization;
using Cairn.Bench.Harness;

namespace Cairn.Bench.Suites;

/// <summary>What the parts of the suite share: sizes, keys, a place for files, the report.</summary>
internal sealed class KvRun
{
    private const int ValueBytes = 100;
    private const int QuickKeys = 100_000;
    private const int FullKeys = 1_000_000;
    private int _directories;

    internal KvRun(BenchOptions options, Report report, string directory)
    {
        Report = report;
        Directory = directory;
        IsQuick = options.IsQuick;
        KeyCount = IsQuick ? QuickKeys : FullKeys;
        Rounds = IsQuick ? 3 : 5;
        Slice = IsQuick ? TimeSpan.FromSeconds(2.0 / 3) : TimeSpan.FromSeconds(2);
        PeerSlice = IsQuick ? TimeSpan.FromSeconds(0.2) : Slice;
        Glance = IsQuick ? TimeSpan.FromSeconds(0.1) : TimeSpan.FromSeconds(0.5);
        Insertion = Keys.Shuffled(KeyCount, seed: 1);
        Access = Keys.Shuffled(KeyCount, seed: 2);
    }

    internal Report Report { get; }

    internal bool IsQuick { get; }

    internal int KeyCount { get; }

    /// <summary>Recorded rounds; parts that need a warm-up run one more before.</summary>
    internal int Rounds { get; }

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

    private string Directory { get; }

    /// <summary>A goal that is set at full size: a quick run tells its ratio and does not judge it. A dictionary of a tenth lies in the
    /// processor's cache; and an opening syncs a new segment and a manifest, however little the log holds.</summary>
    internal void JudgeAtFullSize(Gate gate, Series ratio, string size)
    {
        if (!IsQuick)
        {
            Report.Judge(gate, ratio, size);
            return;
        }

        Report.Add(gate.Name, ratio, "x", size);
        Report.Skip(gate.Name, "needs full");
    }

    /// <summary>An empty directory of its own.</summary>
    internal string NewDirectory()
    {
        var path = Path.Combine(Directory, (_directories++).ToString(CultureInfo.InvariantCulture));
        System.IO.Directory.CreateDirectory(path);
        return path;
    }

    /// <summary>Deletes every directory given out so far: what they had in the page cache need not be written while the next part
    /// measures.</summary>
    internal void DiscardDirectories()
    {
        foreach (var path in System.IO.Directory.GetDirectories(Directory))
            System.IO.Directory.Delete(path, recursive: true);
    }

    /// <summary>Two full collections, so that one contestant's garbage does not slow the next.</summary>
    internal static void Settle()
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
        GC.Collect();
    }
}
