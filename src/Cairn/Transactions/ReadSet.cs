using Cairn.Store;

namespace Cairn.Transactions;

/// <summary>What a transaction has looked at, per run: keys and ranges, at its snapshot's sequence. Valid as long as no newer version
/// of any of them was committed; a tombstone is a version here (TX-8, TX-9).</summary>
internal sealed class ReadSet(ulong sequence)
{
    private readonly List<RunReads> _runs = [];

    internal ulong Sequence { get; } = sequence;

    internal bool IsEmpty => _runs.Count == 0;

    internal IReadOnlyList<RunReads> Runs => _runs;

    internal void AddPoint(RunState run, ReadOnlySpan<byte> key)
    {
        var points = For(run).Points.GetAlternateLookup<ReadOnlySpan<byte>>();
        points.Add(key);
    }

    /// <summary>A place of a document of which only the kind was looked at.</summary>
    /// <param name="kinds">Of <see cref="SlotKinds"/>: those with which the answer is the same.</param>
    internal void AddKinds(RunState run, ReadOnlySpan<byte> key, int kinds)
    {
        var known = For(run).Kinds.GetAlternateLookup<ReadOnlySpan<byte>>();
        known[key] = known.TryGetValue(key, out var before) ? before & kinds : kinds;
    }

    /// <param name="to">Exclusive; empty = no upper bound.</param>
    internal void AddRange(RunState run, ReadOnlySpan<byte> from, ReadOnlySpan<byte> to) =>
        For(run).Ranges.Add((from.ToArray(), to.ToArray()));

    /// <summary>What the Snapshot level validates (TX-24): of what was read, that which <paramref name="written"/> writes over. In a
    /// document the read region is meant, not the key alone: who read an object and replaces it has read what was put in meanwhile.
    /// </summary>
    internal void AddWrittenAndRead(ReadSet reads, RunState run, byte[] written)
    {
        if (reads.Find(run) is not { } seen)
            return;
        if (seen.Points.Contains(written))
            AddPoint(run, written);
        if (seen.Kinds.TryGetValue(written, out var kinds))
            AddKinds(run, written, kinds);
        foreach (var (from, to) in seen.Ranges)
        {
            if (written.AsSpan().SequenceCompareTo(from) < 0 || (to.Length > 0 && written.AsSpan().SequenceCompareTo(to) >= 0))
                continue;
            if (written[0] != StoreKeys.JsonNode)
                AddPoint(run, written);
            else if (!For(run).Ranges.Contains((from, to)))
                For(run).Ranges.Add((from, to));             // once, however many of its keys are written
        }
    }

    internal RunReads? Find(RunState run)
    {
        foreach (var reads in _runs)
        {
            if (reads.Run == run)
                return reads;
        }

        return null;
    }

    /// <summary>How much was read, and some of the keys, in order.</summary>
    internal CommitReads Summarise(OperationTable operations)
    {
        var items = new List<string>();
        var chars = 0;
        var keys = _runs.SelectMany(run => run.Points.Union(run.Kinds.Keys, ByteArrayComparer.Instance)).Order(ByteArrayComparer.Instance);
        foreach (var key in keys.Take(CommitReads.ItemsMax))
        {
            var (primitive, text) = operations.Describe(key);
            chars += text.Length;
            if (chars > CommitReads.ItemCharsMax)
                break;
            items.Add($"{primitive}/{text}");
        }

        return new CommitReads
        {
            Sequence = new Sequence(Sequence),
            Points = _runs.Sum(run => (long)run.Points.Count + run.Kinds.Keys.Count(key => !run.Points.Contains(key))),
            Ranges = _runs.Sum(run => (long)run.Ranges.Count),
            Items = items,
        };
    }

    private RunReads For(RunState run)
    {
        if (Find(run) is { } reads)
            return reads;
        reads = new RunReads(run);
        _runs.Add(reads);
        return reads;
    }

    internal sealed class RunReads(RunState run)
    {
        internal RunState Run { get; } = run;

        internal HashSet<byte[]> Points { get; } = new(ByteArrayComparer.Instance);

        /// <summary>Places of documents, with the kinds that may stand there.</summary>
        internal Dictionary<byte[], int> Kinds { get; } = new(ByteArrayComparer.Instance);

        internal List<(byte[] From, byte[] To)> Ranges { get; } = [];

        /// <summary>The ranges were found unchanged up to this sequence, outside the lock.</summary>
        internal ulong CheckedUpTo { get; set; }
    }
}
