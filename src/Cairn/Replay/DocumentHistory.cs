using Cairn.Log;
using Cairn.Primitives;
using Cairn.Store;

namespace Cairn.Replay;

/// <summary>
/// The versions of a document, or of a place in it, and what it was at a moment. The log has what was done and not what came of it, so the
/// run's records are walked back to a write of the whole document that is old enough, and what was done since is done again, in memory, by
/// the algorithms that Apply uses (DocumentTree.cs). Costs what the run wrote since then, and the document once for each version.
///
/// Where the walk meets a gap there is a base, as far as something else knows what the document was above it:
/// <code>
///      records of the run     @3 @9 [gap] | @40 @52 @61       the image of a checkpoint at @40 (T3: the log above it is whole)
///      records of a parent    @3 [gap] @20 | @31 @35          the parent as it was where the fork begins, which changes for nobody
/// </code>
/// What was done since is done on it. The document in the base was valid from its own version on, for nothing was done to it between; that
/// there is none in it holds from the moment of the base on. Earlier moments are refused (VER-7).
/// </summary>
internal static class DocumentHistory
{
    /// <param name="path">Encoded; empty = the whole document.</param>
    /// <param name="most">Most versions.</param>
    /// <param name="upTo">Versions above are left out.</param>
    internal static List<HistoryItem<Value>> Read(
        DiffEnd end, ReplaySource source, byte[] id, byte[] path, int most, ulong upTo, Limits limits)
    {
        var walk = Collect(end, id, path.Length == 0 ? most : int.MaxValue, ReplayPoint.At(upTo), limits);
        var versions = Replay(walk, null, id, path, limits);
        if (!walk.IsWhole && versions.Count < most)
        {
            // Of a place the base tells what was there and not since when, so it is none of the versions.
            var below = BaseOf(end, source, walk, id);
            versions = Replay(walk, below, id, path, limits);
            var has = path.Length == 0 && below?.Document is { } document && document.Sequence <= upTo;
            if (has)
                versions.Insert(0, below!.Document!.Value.ToItem());
            if (versions.Count < most)
            {
                var oldest = versions is [var first, ..] ? first.Version.Value : below?.At ?? walk.Oldest;
                throw new HistoryTrimmedException(new Sequence(Math.Min(upTo, Math.Max(oldest, 1) - 1)), new Sequence(oldest));
            }
        }

        versions.Reverse();
        return versions.Count > most ? versions.GetRange(0, most) : versions;
    }

    /// <summary>What was valid at a moment, whether it had expired by then or not; null when there was nothing, or no such place.</summary>
    /// <param name="near">Commit times of the run's commits around the moment, as far as they were met.</param>
    /// <exception cref="HistoryTrimmedException">It is no longer kept.</exception>
    internal static StoredDocument? At(
        DiffEnd end, ReplaySource source, byte[] id, byte[] path, ReplayPoint point, Limits limits, out TimesAround near)
    {
        var walk = Collect(end, id, 1, point, limits);
        near = walk.Times;
        Base? below = null;
        if (!walk.IsWhole)
        {
            below = BaseOf(end, source, walk, id);
            if (below is null || !(below.Answers(point, walk) || Mutant.Is("document-past-guesses")))
            {
                var earliest = below?.Document?.Sequence ?? below?.At ?? walk.Oldest;
                throw new HistoryTrimmedException(
                    new Sequence(point.IsTime ? Math.Max(earliest, 1) - 1 : point.Sequence), new Sequence(earliest));
            }
        }

        var nodes = NodesOf(below, id);
        Span<byte> buffer = stackalloc byte[DocumentKeys.BufferBytes];
        var (sequence, time) = below?.Document is { } document ? (document.Sequence, document.Time) : default;
        for (var n = walk.Records.Count - 1; n >= 0; n--)
        {
            var record = walk.Records[n];
            if (record.Sequence <= below?.At)
                continue;
            foreach (var encoded in record.Operations)
                Do(nodes, buffer, id, new Operation(encoded, out _));
            (sequence, time) = (record.Sequence, record.Time);
        }

        var tree = DocumentTrees.Open(nodes, buffer, id, null);
        if (!tree.TryFind(path, Look.Blind, out var found))
            return null;
        return new StoredDocument(tree.Read(found), sequence, time, tree.Expiry < 0 ? time - tree.Expiry : tree.Expiry);
    }

    // ---- the base ---------------------------------------------------------------------------------------------------------------

    /// <summary>What the document was where the records that were met begin.</summary>
    /// <param name="At">Every record behind this sequence was met.</param>
    /// <param name="Time">Of that moment, or later.</param>
    /// <param name="Document">Null: there was none.</param>
    private sealed record Base(ulong At, long Time, StoredDocument? Document)
    {
        internal bool Answers(ReplayPoint point, Walked walk) =>
            walk.Records is [{ Sequence: var newest }, ..] && newest > At
            || (Document is { } document ? point.Covers(document.Sequence, document.Time) : point.Covers(At, Time));
    }

    private static Base? BaseOf(DiffEnd end, ReplaySource source, Walked walk, byte[] id)
    {
        if (walk.Above is { } fork)
            return new Base(fork.At, walk.ForkTime, StoredDocument.Read(fork.Run.Store, fork.At, 0, id));

        // The older image reaches farther back.
        if (source.Log.Manifest.Checkpoints.FirstOrDefault(checkpoint => checkpoint.Sequence >= source.Born) is not { } checkpoint
            || checkpoint.Sequence > end.Sequence)
            return null;
        using var view = RunReplay.Build(source, ReplayPoint.At(checkpoint.Sequence), ReplayBase.Image);
        return new Base(checkpoint.Sequence, checkpoint.CommitTime, StoredDocument.Read(view.Run.Store, view.Sequence, 0, id));
    }

    private static HeldNodes NodesOf(Base? below, byte[] id)
    {
        var nodes = new HeldNodes();
        if (below?.Document is not { } document)
            return nodes;
        Span<byte> buffer = stackalloc byte[DocumentKeys.BufferBytes];
        var tree = DocumentTrees.Open(nodes, buffer, id, null);
        tree.Replace(document.Value.Encode(), document.Expiry);
        tree.End();
        return nodes;
    }

    // ---- the walk ---------------------------------------------------------------------------------------------------------------

    private static Walked Collect(DiffEnd end, byte[] id, int most, ReplayPoint point, Limits limits)
    {
        var records = new List<Touched>();
        var bytes = 0L;
        var times = TimesAround.Unknown;
        var (last, forkTime) = (end.Live.Id, end.Time);
        var lastTime = end.Time;
        using var chain = new DiffChain(end, null);
        while (chain.MoveNext(out var payload))
        {
            var transaction = new TransactionPayload(payload);
            if (chain.Run != last)
                (last, forkTime) = (chain.Run, lastTime);
            lastTime = transaction.CommitTime;
            if (!point.Covers(chain.Header.Sequence, lastTime))
            {
                times = times with { Behind = lastTime };
                continue;
            }

            if (times.Before == long.MinValue)
                times = times with { Before = lastTime };
            while (transaction.MoveNext(out var part))
            {
                if (part.Run == chain.Run && Operations(part, id, out var isWritten) is { Count: > 0 } operations)
                {
                    bytes += operations.Sum(operation => (long)operation.Length);
                    if (bytes > limits.ViewBytesMax)
                        throw TooLarge(limits, bytes, "operations since a write of the whole document");
                    records.Add(new Touched(chain.Header.Sequence, transaction.CommitTime, operations));
                    if (isWritten && records.Count >= most)
                        return new Walked(records, chain.Header.Sequence, true, times, null, 0);
                }
            }
        }

        return new Walked(
            records, chain.Oldest, !chain.IsTrimmed, times, chain.IsTrimmed ? chain.Above : null, chain.Run == last ? forkTime : lastTime);
    }

    private static List<byte[]> Operations(RunPart part, byte[] id, out bool isWritten)
    {
        var operations = new List<byte[]>();
        isWritten = false;
        while (part.MoveNext(out var operation))
        {
            if ((operation.Code & 0xF0) != StoreKeys.Json || !operation.Key.SequenceEqual(id))
                continue;
            isWritten |= operations.Count == 0 && IsWhole(operation.Code);
            operations.Add(operation.Bytes.ToArray());
        }

        return operations;
    }

    private static bool IsWhole(byte code) =>
        (OperationCode)code is OperationCode.JsonCreate or OperationCode.JsonPut or OperationCode.JsonDestroy;

    // The versions that the records made, the oldest first. Without what they began with, those of a document that is not known are none.
    private static List<HistoryItem<Value>> Replay(Walked walk, Base? below, byte[] id, byte[] path, Limits limits)
    {
        var versions = new List<HistoryItem<Value>>();
        var nodes = NodesOf(below, id);
        Span<byte> buffer = stackalloc byte[DocumentKeys.BufferBytes];
        var bytes = 0L;
        var last = below is null ? default : ValueAt(nodes, buffer, id, path);
        var isKnown = walk.IsWhole || below is not null;
        for (var n = walk.Records.Count - 1; n >= 0; n--)
        {
            var record = walk.Records[n];
            isKnown |= record.BeginsWhole;
            if (!isKnown || record.Sequence <= below?.At)
                continue;
            foreach (var encoded in record.Operations)
                Do(nodes, buffer, id, new Operation(encoded, out _));
            var value = ValueAt(nodes, buffer, id, path);
            if (path.Length > 0 && value == last)
                continue;
            last = value;
            bytes += value?.EncodedLength ?? 0;
            if (bytes > limits.ViewBytesMax)
                throw TooLarge(limits, bytes, "versions");
            var tree = DocumentTrees.Open(nodes, buffer, id, null);
            var expiry = tree.Expiry < 0 ? record.Time - tree.Expiry : tree.Expiry;
            versions.Add(new HistoryItem<Value>(
                value ?? default, value is null, new Sequence(record.Sequence), CommitClock.Time(record.Time), Versions.ToExpiry(expiry)));
        }

        return versions;
    }

    private static Value? ValueAt(HeldNodes nodes, Span<byte> buffer, byte[] id, byte[] path)
    {
        var tree = DocumentTrees.Open(nodes, buffer, id, null);
        return tree.TryFind(path, Look.Blind, out var found) ? tree.Read(found) : default(Value?);
    }

    private static LimitException TooLarge(Limits limits, long bytes, string what) =>
        new(nameof(Limits.ViewBytesMax), limits.ViewBytesMax, bytes, $"bytes of all {what} together");

    private static void Do(HeldNodes nodes, Span<byte> buffer, byte[] id, Operation operation)
    {
        Invariant.Check(DocumentBody.TryRead(operation, out var body), "a record that was applied can be read");
        if (!body.IsThere)
            nodes.Clear();                                   // what had expired
        var tree = DocumentTrees.Open(nodes, buffer, id, null);
        DocumentOperations.Do(ref tree, operation, body);
        tree.End();
    }

    /// <param name="Records">That changed the document, the newest first.</param>
    /// <param name="Oldest">The earliest record that was met.</param>
    /// <param name="IsWhole">The walk ended at the beginning, or at a write of the whole document.</param>
    /// <param name="Above">Of the fork above the gap; null = the gap is the run's own.</param>
    /// <param name="ForkTime">When that fork had begun.</param>
    private sealed record Walked(
        List<Touched> Records, ulong Oldest, bool IsWhole, TimesAround Times, ForkBase? Above, long ForkTime);

    private sealed record Touched(ulong Sequence, long Time, List<byte[]> Operations)
    {
        internal bool BeginsWhole => IsWhole(Operations[0][0]);
    }
}

/// <summary>Commit times of the commits of a run nearest to a moment, as far as they are known.</summary>
/// <param name="Before">Of the newest one at the moment or before.</param>
/// <param name="Behind">Of the first one after it.</param>
internal readonly record struct TimesAround(long Before, long Behind)
{
    internal static TimesAround Unknown => new(long.MinValue, long.MaxValue);
}

/// <summary>One document's nodes in managed memory.</summary>
internal sealed class HeldNodes : IDocumentNodes
{
    private readonly Dictionary<byte[], (byte[] Value, long Expiry)> _values = new(ByteArrayComparer.Instance);
    private readonly SortedSet<byte[]> _keys = new(ByteArrayComparer.Instance);

    public ulong FirstNode => 1;

    public bool NotesLooks => false;

    internal void Clear()
    {
        _values.Clear();
        _keys.Clear();
    }

    public bool TryGet(ReadOnlySpan<byte> key, Look look, out VersionView version)
    {
        var isThere = _values.GetAlternateLookup<ReadOnlySpan<byte>>().TryGetValue(key, out var found);
        version = isThere ? new VersionView(found.Value, 0, 0, 0, found.Expiry, isTombstone: false) : default;
        return isThere;
    }

    public void List(
        scoped ReadOnlySpan<byte> from, scoped ReadOnlySpan<byte> to, int nodeKeyBytes, bool withValues, Look look, NodeList list)
    {
        foreach (var key in _keys.GetViewBetween(from.ToArray(), to.ToArray()))
        {
            if (!key.AsSpan().SequenceEqual(to))
                list.Add(key.AsSpan(nodeKeyBytes), new VersionView(_values[key].Value, 0, 0, 0, 0, isTombstone: false), withValues);
        }
    }

    public void Put(scoped ReadOnlySpan<byte> key, scoped ReadOnlySpan<byte> value) => Put(key, value, 0);

    public void Copy(scoped ReadOnlySpan<byte> from, scoped ReadOnlySpan<byte> to) => Put(to, _values[from.ToArray()].Value, 0);

    public void Delete(scoped ReadOnlySpan<byte> key)
    {
        var owned = key.ToArray();
        _values.Remove(owned);
        _keys.Remove(owned);
    }

    public void PutRoot(scoped ReadOnlySpan<byte> key, scoped ReadOnlySpan<byte> slot, long expiry) => Put(key, slot, expiry);

    public void ExpireRoot(scoped ReadOnlySpan<byte> key, long expiry) => Put(key, _values[key.ToArray()].Value, expiry);

    public void DeleteRoot(scoped ReadOnlySpan<byte> key) => Delete(key);

    public void PutHeader(scoped ReadOnlySpan<byte> key, scoped ReadOnlySpan<byte> header, long expiry) => Put(key, header, expiry);

    private void Put(scoped ReadOnlySpan<byte> key, scoped ReadOnlySpan<byte> value, long expiry)
    {
        var owned = key.ToArray();
        _values[owned] = (value.ToArray(), expiry);
        _keys.Add(owned);
    }
}
