using Cairn.Log;
using Cairn.Primitives;
using Cairn.Store;

namespace Cairn.Replay;

/// <summary>
/// The versions of a document, or of a place in it. The log has what was done and not what came of it, so the run's records are walked
/// back to a write of the whole document that is old enough, and what was done since is done again, in memory, by the algorithms that
/// Apply uses (DocumentTree.cs). Costs what the run wrote since then, and the document once for each version.
/// </summary>
internal static class DocumentHistory
{
    /// <param name="path">Encoded; empty = the whole document.</param>
    /// <param name="most">Most versions.</param>
    /// <param name="upTo">Versions above are left out.</param>
    internal static List<HistoryItem<Value>> Read(DiffEnd end, byte[] id, byte[] path, int most, ulong upTo, Limits limits)
    {
        var records = Collect(end, id, path.Length == 0 ? most : int.MaxValue, upTo, limits, out var oldest, out var isWhole);
        var versions = Replay(records, id, path, limits);
        if (!isWhole && versions.Count < most)
            throw new HistoryTrimmedException(new Sequence(oldest - 1), new Sequence(oldest));
        versions.Reverse();
        return versions.Count > most ? versions.GetRange(0, most) : versions;
    }

    /// <param name="oldest">The earliest record that was met.</param>
    /// <param name="isWhole">The walk ended at the beginning, or at a whole write.</param>
    /// <returns>Newest first.</returns>
    private static List<Touched> Collect(
        DiffEnd end, byte[] id, int most, ulong upTo, Limits limits, out ulong oldest, out bool isWhole)
    {
        var records = new List<Touched>();
        var bytes = 0L;
        using var chain = new DiffChain(end, null);
        while (chain.MoveNext(out var payload))
        {
            if (chain.Header.Sequence > upTo)
                continue;
            var transaction = new TransactionPayload(payload);
            while (transaction.MoveNext(out var part))
            {
                if (part.Run == chain.Run && Operations(part, id, out var isWritten) is { Count: > 0 } operations)
                {
                    bytes += operations.Sum(operation => (long)operation.Length);
                    if (bytes > limits.ViewBytesMax)
                        throw TooLarge(limits, bytes, "operations since a write of the whole document");
                    records.Add(new Touched(chain.Header.Sequence, transaction.CommitTime, operations));
                    if (!isWritten || records.Count < most)
                        continue;
                    (oldest, isWhole) = (chain.Header.Sequence, true);
                    return records;
                }
            }
        }

        (oldest, isWhole) = (chain.Oldest, !chain.IsTrimmed);

        // Below a gap: what was done to a document that is not known is of no use.
        while (!isWhole && records.Count > 0 && !records[^1].BeginsWhole)
            records.RemoveAt(records.Count - 1);
        return records;
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

    private static List<HistoryItem<Value>> Replay(List<Touched> records, byte[] id, byte[] path, Limits limits)
    {
        var versions = new List<HistoryItem<Value>>();
        var nodes = new HeldNodes();
        Span<byte> buffer = stackalloc byte[DocumentKeys.BufferBytes];
        var bytes = 0L;
        Value? last = null;
        for (var n = records.Count - 1; n >= 0; n--)
        {
            var record = records[n];
            foreach (var encoded in record.Operations)
                Do(nodes, buffer, id, new Operation(encoded, out _));
            var tree = DocumentTrees.Open(nodes, buffer, id, null);
            var value = tree.TryFind(path, Look.Blind, out var found) ? tree.Read(found) : default(Value?);
            if (path.Length > 0 && value == last)
                continue;
            last = value;
            bytes += value?.EncodedLength ?? 0;
            if (bytes > limits.ViewBytesMax)
                throw TooLarge(limits, bytes, "versions");
            var expiry = tree.Expiry < 0 ? record.Time - tree.Expiry : tree.Expiry;
            versions.Add(new HistoryItem<Value>(
                value ?? default, value is null, new Sequence(record.Sequence), CommitClock.Time(record.Time), Versions.ToExpiry(expiry)));
        }

        return versions;
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

    private sealed record Touched(ulong Sequence, long Time, List<byte[]> Operations)
    {
        internal bool BeginsWhole => IsWhole(Operations[0][0]);
    }
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
