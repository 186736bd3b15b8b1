using System.Buffers.Binary;
using Cairn.Codec;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn.Primitives;

/// <summary>What a look at a key of a document says of the transaction that looks (JS-23, JS-24).</summary>
internal enum Look
{
    /// <summary>Nothing: the answer does not depend on it, or is found again at the commit.</summary>
    Blind,

    /// <summary>The answer depends on what stands there.</summary>
    Read,

    /// <summary>The answer depends on what kind stands there, if anything.</summary>
    Kind,

    /// <summary>The answer depends on whether anything stands there.</summary>
    Presence,

    /// <summary>A path leads through it: the container there must stay; where nothing is, an object may come.</summary>
    Path,
}

/// <summary>Where the nodes of documents are read and written: a run as Apply changes it, a run as a commit tries it, the past of one, or a
/// transaction.</summary>
internal interface IDocumentNodes
{
    /// <summary>What stands under a key.</summary>
    bool TryGet(ReadOnlySpan<byte> key, Look look, out VersionView version);

    /// <summary>Adds what stands under the keys of a range to a list, in order.</summary>
    /// <param name="withValues">Contents of scalars too, not only their lengths.</param>
    void List(scoped ReadOnlySpan<byte> from, scoped ReadOnlySpan<byte> to, int nodeKeyBytes, bool withValues, Look look, NodeList list);

    void Put(scoped ReadOnlySpan<byte> key, scoped ReadOnlySpan<byte> value);

    /// <summary>Puts what stands under one key under another one, too.</summary>
    void Copy(scoped ReadOnlySpan<byte> from, scoped ReadOnlySpan<byte> to);

    void Delete(scoped ReadOnlySpan<byte> key);

    /// <summary>The root: what makes a document be there.</summary>
    void PutRoot(scoped ReadOnlySpan<byte> key, scoped ReadOnlySpan<byte> slot, long expiry);

    /// <summary>The root as it is, with another expiry; 0 = none.</summary>
    void ExpireRoot(scoped ReadOnlySpan<byte> key, long expiry);

    void DeleteRoot(scoped ReadOnlySpan<byte> key);

    void PutHeader(scoped ReadOnlySpan<byte> key, scoped ReadOnlySpan<byte> header, long expiry);

    /// <summary>Number of the first node of a document that is made.</summary>
    ulong FirstNode { get; }

    /// <summary>What a look says is noted, so each has to be made; otherwise what was found need not be looked up again.</summary>
    bool NotesLooks { get; }
}

/// <summary>Keys and slots of some nodes, copied into one buffer.</summary>
internal sealed class NodeList
{
    private byte[] _bytes = new byte[512];
    private int _used;
    private Item[] _items = new Item[16];

    internal int Count { get; private set; }

    internal void Clear()
    {
        _used = 0;
        Count = 0;
    }

    /// <param name="part">Of the key, behind the node.</param>
    /// <param name="node">Only where keys of several nodes are listed.</param>
    internal void Add(ReadOnlySpan<byte> part, scoped in VersionView version, bool withValue, ulong node = 0)
    {
        // A container is never a content, and a content never a container: its length is known without reading it.
        var isValueKept = withValue || !version.IsContent;
        var value = isValueKept ? version.Value : default;
        if (!withValue && value.Length > DocumentSlot.ContainerBytes && value[0] is not (0xC1 or 0xC7))
            value = value[..1];
        if (Count == _items.Length)
            Array.Resize(ref _items, 2 * Count);
        var bytes = part.Length + value.Length;
        if (_bytes.Length - _used < bytes)
            Array.Resize(ref _bytes, Math.Max(2 * _bytes.Length, _used + bytes));
        part.CopyTo(_bytes.AsSpan(_used));
        value.CopyTo(_bytes.AsSpan(_used + part.Length));
        _items[Count++] = new Item(node, _used, part.Length, value.Length, version.ValueLength, isValueKept);
        _used += bytes;
    }

    internal ulong Node(int index) => _items[index].Node;

    internal ReadOnlySpan<byte> Part(int index) => _bytes.AsSpan(_items[index].At, _items[index].PartBytes);

    /// <summary>The stored slot; of a scalar without its value perhaps only the beginning.</summary>
    internal ReadOnlySpan<byte> Stored(int index) =>
        _bytes.AsSpan(_items[index].At + _items[index].PartBytes, _items[index].KeptBytes);

    /// <summary>Length of the stored slot.</summary>
    internal int StoredBytes(int index) => _items[index].StoredBytes;

    internal bool IsContent(int index) => !_items[index].IsValueKept;

    private readonly record struct Item(ulong Node, int At, int PartBytes, int KeptBytes, int StoredBytes, bool IsValueKept);
}

/// <summary>Lists that are used again, of the thread.</summary>
internal static class NodeLists
{
    [ThreadStatic]
    private static Stack<NodeList>? _free;

    internal static NodeList Rent()
    {
        var list = _free is { Count: > 0 } free ? free.Pop() : new NodeList();
        list.Clear();
        return list;
    }

    internal static void Return(NodeList list) => (_free ??= new Stack<NodeList>()).Push(list);
}

/// <summary>What is known of a document as a whole. Little-endian: u64 next node, i64 bytes of its canonical encoding.</summary>
internal struct DocumentHeader
{
    internal const int Size = 16;

    /// <summary>Number of the node that is made next.</summary>
    internal ulong NextNode;

    /// <summary>Of the canonical encoding of the whole document.</summary>
    internal long Bytes;

    /// <summary>Of the document, and of the version that has the other two; 0 = none.</summary>
    internal long Expiry;

    internal static DocumentHeader Read(scoped in VersionView version) => new()
    {
        NextNode = BinaryPrimitives.ReadUInt64LittleEndian(version.Value),
        Bytes = BinaryPrimitives.ReadInt64LittleEndian(version.Value[8..]),
        Expiry = version.Expiry,
    };

    internal readonly ReadOnlySpan<byte> Write(Span<byte> target)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(target, NextNode);
        BinaryPrimitives.WriteInt64LittleEndian(target[8..], Bytes);
        return target[..Size];
    }
}

/// <summary>A run as Apply changes it.</summary>
internal readonly ref struct ApplyNodes(ApplyContext context, StoreReader reader) : IDocumentNodes
{
    private readonly ApplyContext _context = context;
    private readonly StoreReader _reader = reader;

    public ulong FirstNode => 1;

    public bool NotesLooks => false;

    public bool TryGet(ReadOnlySpan<byte> key, Look look, out VersionView version) =>
        _reader.TryGetForApply(key, out version) && !version.IsTombstone;

    public void List(
        scoped ReadOnlySpan<byte> from, scoped ReadOnlySpan<byte> to, int nodeKeyBytes, bool withValues, Look look, NodeList list)
    {
        var scan = _reader.Scan(from, to, ulong.MaxValue);
        while (scan.MoveNext())
            list.Add(scan.Key[nodeKeyBytes..], scan.Version, withValues);
    }

    public void Put(scoped ReadOnlySpan<byte> key, scoped ReadOnlySpan<byte> value) => _context.Put(key, value);

    public void Copy(scoped ReadOnlySpan<byte> from, scoped ReadOnlySpan<byte> to)
    {
        Invariant.Check(TryGet(from, Look.Blind, out var version), "what is moved is there");
        _context.PutCopy(to, version);
    }

    public void Delete(scoped ReadOnlySpan<byte> key) => _context.Delete(key);

    public void PutRoot(scoped ReadOnlySpan<byte> key, scoped ReadOnlySpan<byte> slot, long expiry)
    {
        if (!_context.Put(key, slot, expiry).IsCounted)
            _context.AddCount(StoreKeys.Json, 1);
    }

    public void ExpireRoot(scoped ReadOnlySpan<byte> key, long expiry) => _context.PutExpiry(key, expiry);

    public void DeleteRoot(scoped ReadOnlySpan<byte> key)
    {
        if (_context.Delete(key).IsCounted)
            _context.AddCount(StoreKeys.Json, -1);
    }

    public void PutHeader(scoped ReadOnlySpan<byte> key, scoped ReadOnlySpan<byte> header, long expiry) =>
        _context.PutBesides(key, header, expiry);
}

/// <summary>A run as it is now, under its lock: what would be written is counted, and kept where something is looked at after it was
/// written.</summary>
internal readonly ref struct TrialNodes : IDocumentNodes
{
    private const int VersionBytes = 64;

    [ThreadStatic]
    private static Trial? _free;

    private readonly StoreReader _reader;
    private readonly RunStore _store;
    private readonly StoreKeyVisitor? _visit;
    private readonly Trial _trial;
    private readonly bool _isDecision;
    private readonly bool _holdsContents;

    /// <param name="isDecision">Under the run's lock, and Apply follows.</param>
    /// <param name="holdsContents">Large values that are looked at stay at hand until the commit is applied.</param>
    internal TrialNodes(
        StoreReader reader, RunStore store, StoreKeyVisitor? visit, bool keepsWrites, bool isDecision = false, bool holdsContents = false)
    {
        _isDecision = isDecision;
        _holdsContents = holdsContents;
        _reader = reader;
        _store = store;
        _visit = visit;
        _trial = _free ?? new Trial();
        _free = null;
        _trial.Writes = default;
        _trial.Written = null;
        _trial.Unique = null;
        if (keepsWrites)
            KeepWrites();
    }

    public ulong FirstNode => 1;

    public bool NotesLooks => false;

    /// <summary>From here on what is written is looked at.</summary>
    internal void KeepWrites() => _trial.Written ??= new Dictionary<byte[], byte[]?>(ByteArrayComparer.Instance);

    /// <summary>The rows of unique indexes that the operations take and give; null = none.</summary>
    internal UniqueRows? Unique => _trial.Unique;

    /// <summary>Items of indexes that an operation changes.</summary>
    internal void PutItems(StoredIndex index, scoped ReadOnlySpan<byte> id, List<byte[]> before, List<byte[]> after)
    {
        var (gone, come) = IndexItems.Differences(before, after);
        foreach (var item in gone)
            CountItem(item);
        foreach (var item in come)
            CountItem(item);
        if (!index.IsUnique)
            return;
        var rows = _trial.Unique ??= new UniqueRows();
        foreach (var item in gone)
            rows.Goes(item);
        foreach (var item in come)
            rows.Comes(index, id, item);
    }

    private void CountItem(byte[] item)
    {
        _trial.Writes = _trial.Writes.And(1, item.Length + VersionBytes);
        _visit?.Invoke(_store, item);
    }

    /// <summary>The trial is over.</summary>
    /// <returns>What it wrote.</returns>
    internal WriteCount End()
    {
        _free = _trial;
        _trial.Written = null;
        _trial.Unique = null;
        return _trial.Writes;
    }

    public bool TryGet(ReadOnlySpan<byte> key, Look look, out VersionView version)
    {
        if (_trial.Written is { } written && written.GetAlternateLookup<ReadOnlySpan<byte>>().TryGetValue(key, out var value))
        {
            version = value is null ? default : new VersionView(value, 0, 0, 0, 0, isTombstone: false);
            return value is not null;
        }

        _visit?.Invoke(_store, key);
        if (!(_isDecision ? _reader.TryGetForTrial(key, out version) : _reader.TryGetNewest(key, out version)) || version.IsTombstone)
            return false;
        if (_holdsContents && version.IsContent)
            _store.HoldContent(key);
        return true;
    }

    public void List(
        scoped ReadOnlySpan<byte> from, scoped ReadOnlySpan<byte> to, int nodeKeyBytes, bool withValues, Look look, NodeList list)
    {
        var own = NodeOverlay.Of(_trial.Written, from, to);
        var next = 0;
        var scan = _reader.Scan(from, to, ulong.MaxValue);
        while (scan.MoveNext())
        {
            _visit?.Invoke(_store, scan.Key);
            if (_holdsContents && withValues && scan.Version.IsContent)
                _store.HoldContent(scan.Key);
            if (NodeOverlay.Add(own, ref next, scan.Key, nodeKeyBytes, list))
                list.Add(scan.Key[nodeKeyBytes..], scan.Version, withValues);
        }

        NodeOverlay.Add(own, ref next, default, nodeKeyBytes, list);
    }

    public void Put(scoped ReadOnlySpan<byte> key, scoped ReadOnlySpan<byte> value) =>
        Write(key, value.Length, _trial.Written is null ? null : value.ToArray());

    public void Copy(scoped ReadOnlySpan<byte> from, scoped ReadOnlySpan<byte> to)
    {
        Invariant.Check(TryGet(from, Look.Blind, out var version), "what is moved is there");
        Write(to, version.ValueLength, _trial.Written is null ? null : version.Value.ToArray());
    }

    public void Delete(scoped ReadOnlySpan<byte> key) => Write(key, 0, null);

    public void PutRoot(scoped ReadOnlySpan<byte> key, scoped ReadOnlySpan<byte> slot, long expiry)
    {
        Put(key, slot);
        _trial.Writes = _trial.Writes.And(3, 3 * (key.Length + VersionBytes));   // the count, two places in the order of expiries
    }

    public void ExpireRoot(scoped ReadOnlySpan<byte> key, long expiry)
    {
        Invariant.Check(TryGet(key, Look.Blind, out var root), "a document that lives has a root");
        PutRoot(key, root.Value, expiry);
    }

    public void DeleteRoot(scoped ReadOnlySpan<byte> key)
    {
        Delete(key);
        _trial.Writes = _trial.Writes.And(2, 2 * (key.Length + VersionBytes));
    }

    public void PutHeader(scoped ReadOnlySpan<byte> key, scoped ReadOnlySpan<byte> header, long expiry) => Put(key, header);

    private void Write(scoped ReadOnlySpan<byte> key, int valueBytes, byte[]? value)
    {
        _trial.Writes = _trial.Writes.And(1, key.Length + valueBytes + VersionBytes);
        _visit?.Invoke(_store, key);
        if (_trial.Written is { } written)
            written.GetAlternateLookup<ReadOnlySpan<byte>>()[key] = value;
    }

    private sealed class Trial
    {
        internal WriteCount Writes;

        /// <summary>Keys with what was written; null = deleted.</summary>
        internal Dictionary<byte[], byte[]?>? Written;

        internal UniqueRows? Unique;
    }
}

/// <summary>What was written and not committed, laid over a scan.</summary>
internal static class NodeOverlay
{
    /// <summary>The writes in a range, in order of their keys.</summary>
    internal static List<KeyValuePair<byte[], byte[]?>>? Of(
        Dictionary<byte[], byte[]?>? written, scoped ReadOnlySpan<byte> from, scoped ReadOnlySpan<byte> to)
    {
        if (written is null)
            return null;
        List<KeyValuePair<byte[], byte[]?>>? found = null;
        foreach (var pair in written)
        {
            if (pair.Key.AsSpan().SequenceCompareTo(from) >= 0 && pair.Key.AsSpan().SequenceCompareTo(to) < 0)
                (found ??= []).Add(pair);
        }

        found?.Sort(static (left, right) => left.Key.AsSpan().SequenceCompareTo(right.Key));
        return found;
    }

    /// <summary>Adds the writes before a committed key.</summary>
    /// <param name="key">Empty: all that are left.</param>
    /// <returns>False: the key itself was written too, and what stands there is not what was committed.</returns>
    internal static bool Add(
        List<KeyValuePair<byte[], byte[]?>>? own, ref int next, scoped ReadOnlySpan<byte> key, int nodeKeyBytes, NodeList list)
    {
        for (; own is not null && next < own.Count; next++)
        {
            var order = key.IsEmpty ? -1 : own[next].Key.AsSpan().SequenceCompareTo(key);
            if (order > 0)
                return true;
            if (own[next].Value is { } value)
                list.Add(own[next].Key.AsSpan(nodeKeyBytes), new VersionView(value, 0, 0, 0, 0, isTombstone: false), withValue: true);
            if (order < 0)
                continue;
            next++;
            return false;
        }

        return true;
    }
}

/// <summary>A run as it was at a sequence, which the caller pins. Nothing is written.</summary>
internal readonly ref struct PastNodes(StoreReader reader, ulong sequence, long time) : IDocumentNodes
{
    private readonly StoreReader _reader = reader;

    public ulong FirstNode => 1;

    public bool NotesLooks => false;

    public bool TryGet(ReadOnlySpan<byte> key, Look look, out VersionView version) =>
        _reader.TryGet(key, sequence, out version) && version.IsLiveAt(time);

    public void List(
        scoped ReadOnlySpan<byte> from, scoped ReadOnlySpan<byte> to, int nodeKeyBytes, bool withValues, Look look, NodeList list)
    {
        var scan = _reader.Scan(from, to, sequence);
        while (scan.MoveNext())
            list.Add(scan.Key[nodeKeyBytes..], scan.Version, withValues);
    }

    public void Put(scoped ReadOnlySpan<byte> key, scoped ReadOnlySpan<byte> value) => NotWritten();

    public void Copy(scoped ReadOnlySpan<byte> from, scoped ReadOnlySpan<byte> to) => NotWritten();

    public void Delete(scoped ReadOnlySpan<byte> key) => NotWritten();

    public void PutRoot(scoped ReadOnlySpan<byte> key, scoped ReadOnlySpan<byte> slot, long expiry) => NotWritten();

    public void ExpireRoot(scoped ReadOnlySpan<byte> key, long expiry) => NotWritten();

    public void DeleteRoot(scoped ReadOnlySpan<byte> key) => NotWritten();

    public void PutHeader(scoped ReadOnlySpan<byte> key, scoped ReadOnlySpan<byte> header, long expiry) => NotWritten();

    private static void NotWritten() => Invariant.Broken("the past is not written");
}
