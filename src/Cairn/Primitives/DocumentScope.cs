// What a transaction has read of a document
// -----------------------------------------
// Places are keys, so reads are what they are everywhere: points and ranges, validated at the commit. Which of them an operation notes is
// what its answer depended on (JS-23, JS-24):
//
//   Get of a scalar        the slots on the path, and the place itself; through an array by index, the array's order
//   Get of a container     the same, and all keys of its nodes
//   Exists, TypeOf         the slots on the path, and whether anything stands at the place, or of what kind: not what
//   ArrayLength            the count of the array
//   a write to a path      the slots of the containers on the path, that they are there and the same (DT1); what is written is not read. A
//                          container that is missing and made: that there is nothing, or an object by then
//   ... through an index   the array's order too
//   ArrayAppend            nothing of the array but that it is there: appends of two transactions come one behind the other
//   anything of nothing    that there is no document, or none of that name
//
// Own writes are laid over the snapshot: each operation is done at the call, by the same algorithms, on keys that are the transaction's own
// (PendingWrite without a code), and it is the operation that will be logged. What it comes to is found again at the commit. A change that
// was made blind, on what the snapshot had (an append, an increment that nobody asked the result of), is marked relative: whoever reads it
// in the same transaction reads what was beneath.
//
// New nodes of a transaction have numbers that no commit gives (bit 47), so that a place in one of them is never taken for a place that
// another commit makes.
//
// An operation that fails leaves the transaction as it was: what it writes is put aside until it is done.

using Cairn.Codec;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn.Primitives;

/// <summary>A run at one sequence, with a transaction's own writes over it: see the essay above.</summary>
/// <param name="sequence">Pinned by the caller.</param>
/// <param name="time">At which expiry is judged.</param>
/// <param name="own">Takes what is written; null where nothing is.</param>
internal readonly ref struct ScopeNodes(Scope scope, StoreReader reader, ulong sequence, long time, OwnNodes? own = null) : IDocumentNodes
{
    private readonly StoreReader _reader = reader;

    public ulong FirstNode => 1UL << 47;

    public bool NotesLooks => scope.Writes is not null;

    // What a write looks at it rests on, at each level of isolation.
    private ReadSet Reads => own is null || Mutant.Is("json-writes-rest-on-none") ? scope.Transaction!.Reads : scope.Transaction!.Rests;

    public bool TryGet(ReadOnlySpan<byte> key, Look look, out VersionView version)
    {
        if (own?.Written is { } written && written.GetAlternateLookup<ReadOnlySpan<byte>>().TryGetValue(key, out var value))
        {
            var expires = key[0] is StoreKeys.Json or StoreKeys.JsonHeader ? own.Expiry : 0;
            version = value is null ? default : new VersionView(value, 0, 0, 0, Absolute(expires), isTombstone: false);
            return value is not null;
        }

        var exists = _reader.TryGet(key, sequence, out version) && version.IsLiveAt(time);
        if (scope.Writes is not { } writes)
            return exists;
        var write = writes.Find(key);
        if (write is null || write.IsRelative)
            Note(key, look, exists, version);
        if (write is null)
            return exists;
        version = write.IsDelete
            ? default
            : new VersionView(
                write.Value, version.Sequence, version.Created, version.Time,
                write.TimeToLive != 0 ? Absolute(-write.TimeToLive) : write.Expiry, isTombstone: false);
        return !write.IsDelete;
    }

    public void List(ReadOnlySpan<byte> from, ReadOnlySpan<byte> to, int nodeKeyBytes, bool withValues, Look look, NodeList list)
    {
        List<KeyValuePair<byte[], byte[]?>>? pending = null;
        if (scope.Writes is { } writes)
        {
            if (look != Look.Blind && !Mutant.Is("json-subtree-unread"))
                Reads.AddRange(scope.Run, from, to);
            pending = Pending(writes, from, to);
        }

        var next = 0;
        var scan = _reader.Scan(from, to, sequence);
        while (scan.MoveNext())
        {
            if (NodeOverlay.Add(pending, ref next, scan.Key, nodeKeyBytes, list))
                list.Add(scan.Key[nodeKeyBytes..], scan.Version, withValues);
        }

        NodeOverlay.Add(pending, ref next, default, nodeKeyBytes, list);
    }

    public void Put(scoped ReadOnlySpan<byte> key, scoped ReadOnlySpan<byte> value) => own!.Set(key, value.ToArray());

    public void Copy(scoped ReadOnlySpan<byte> from, scoped ReadOnlySpan<byte> to)
    {
        var key = from.ToArray();
        Invariant.Check(TryGet(key, Look.Blind, out var version), "what is moved is there");
        own!.Set(to, version.Value.ToArray());
    }

    public void Delete(scoped ReadOnlySpan<byte> key) => own!.Set(key, null);

    public void PutRoot(scoped ReadOnlySpan<byte> key, scoped ReadOnlySpan<byte> slot, long expiry)
    {
        Put(key, slot);
        own!.Expiry = expiry;
    }

    public void ExpireRoot(scoped ReadOnlySpan<byte> key, long expiry)
    {
        var copy = key.ToArray();
        Invariant.Check(TryGet(copy, Look.Blind, out var root), "a document that lives has a root");
        PutRoot(copy, root.Value.ToArray(), expiry);
    }

    public void DeleteRoot(scoped ReadOnlySpan<byte> key) => Delete(key);

    public void PutHeader(scoped ReadOnlySpan<byte> key, scoped ReadOnlySpan<byte> header, long expiry)
    {
        Put(key, header);
        own!.Expiry = expiry;
    }

    // A time to live counts from the commit; in the transaction it counts from its beginning.
    private long Absolute(long expiry) => expiry < 0 ? time - expiry : expiry;

    private List<KeyValuePair<byte[], byte[]?>>? Pending(PendingWrites writes, ReadOnlySpan<byte> from, ReadOnlySpan<byte> to)
    {
        Dictionary<byte[], byte[]?>? laid = null;
        foreach (var write in writes.Range(from.ToArray(), to.ToArray(), reverse: false))
            (laid ??= new(ByteArrayComparer.Instance))[write.StoreKey] = write.IsDelete ? null : write.Value;
        if (laid is null)
            return NodeOverlay.Of(own?.Written, from, to);
        foreach (var (key, value) in NodeOverlay.Of(own?.Written, from, to) ?? [])
            laid[key] = value;
        return NodeOverlay.Of(laid, from, to);
    }

    private void Note(ReadOnlySpan<byte> key, Look look, bool exists, scoped in VersionView version)
    {
        if (look == Look.Blind || Mutant.Is("json-reads-untracked"))
            return;
        var reads = Reads;
        if (Mutant.Is("json-whole-documents"))
        {
            var id = key[1..];
            var end = id.IndexOf((byte)0);
            reads.AddPoint(scope.Run, (byte[])[StoreKeys.JsonHeader, .. end < 0 ? id : id[..end]]);
            return;
        }

        switch (look)
        {
            case Look.Kind:
                reads.AddKinds(scope.Run, key, exists ? SlotKinds.Of(version) : SlotKinds.Absent);
                break;
            case Look.Presence:
                reads.AddKinds(scope.Run, key, exists ? SlotKinds.Present : SlotKinds.Absent);
                break;
            case Look.Path when !exists:
                reads.AddKinds(scope.Run, key, SlotKinds.Absent | SlotKinds.Object);
                break;
            default:
                reads.AddPoint(scope.Run, key);
                break;
        }
    }
}

/// <summary>What one operation of a transaction writes, put aside until it is done.</summary>
internal sealed class OwnNodes
{
    internal Dictionary<byte[], byte[]?> Written { get; } = new(ByteArrayComparer.Instance);

    /// <summary>Of the document: absolute, or a time to live with its sign turned; 0 = none.</summary>
    internal long Expiry { get; set; }

    internal void Set(scoped ReadOnlySpan<byte> key, byte[]? value) =>
        Written.GetAlternateLookup<ReadOnlySpan<byte>>()[key] = value;

    /// <summary>The operation is done: what it wrote is the transaction's.</summary>
    /// <param name="isRelative">It rests on what was beneath.</param>
    internal void MoveTo(PendingWrites writes, bool isRelative)
    {
        foreach (var (key, value) in Written)
        {
            // How many members there are and how long the document is follows from what others commit, too.
            var counts = key[0] == StoreKeys.JsonHeader || IsCount(key);
            if (writes.Find(key) is { } write)
            {
                write.IsRelative &= counts || isRelative;
            }
            else
            {
                write = new PendingWrite
                {
                    StoreKey = key, Code = 0, OperationKey = [], IsRelative = counts || (isRelative && key[0] != StoreKeys.Json),
                };
                writes.Add(write);
            }

            write.Value = value ?? [];
            write.IsDelete = value is null;
            if (key[0] is StoreKeys.Json or StoreKeys.JsonHeader)
                (write.Expiry, write.TimeToLive) = (Math.Max(Expiry, 0), Math.Max(-Expiry, 0));
        }
    }

    private static bool IsCount(byte[] key)
    {
        var end = Array.IndexOf(key, (byte)0);
        return key[0] == StoreKeys.JsonNode && key.Length == end + 1 + DocumentSlot.NodeBytes;
    }
}

/// <summary>One look at documents of a scope, at one sequence: for a live run pinned for as long.</summary>
internal ref struct DocumentLook
{
    private readonly SnapshotRegistry _pins;
    private readonly SnapshotPin _pin;
    private readonly bool _ownsPin;
#pragma warning disable CA2213 // disposed below; the rule does not see ref structs
    private readonly StoreReader _reader;
    private readonly TransactionUse _use;
#pragma warning restore CA2213

    /// <param name="own">Takes what is written; null where nothing is.</param>
    internal DocumentLook(SnapshotRegistry pins, Scope scope, OwnNodes? own = null)
    {
        _pins = pins;
        var sequence = scope.Sequence;
        var time = scope.Time;
        if (scope.IsLive)
        {
            _pin = pins.Take(scope.Run.Visible, scope.Run.Store.RunTag);
            _ownsPin = true;
            sequence = _pin.Sequence;
        }

        _use = scope.Use();
        _reader = scope.Run.Store.Read();
        Nodes = new ScopeNodes(scope, _reader, sequence, time, own);
    }

    internal ScopeNodes Nodes { get; }

    public readonly void Dispose()
    {
        _reader.Dispose();
        _use.Dispose();
        if (_ownsPin)
            _pins.Release(_pin);
    }
}
