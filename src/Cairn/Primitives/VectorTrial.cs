using Cairn.Codec;
using Cairn.Log;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn.Primitives;

/// <summary>
/// The operations on vectors that one part of a record has, tried one after another on the newest state before the record gets its
/// sequence: each finds what those before it will have made. It refuses what Apply could not do, gives ids (VEC-8), and counts what Apply
/// will write beyond what was said when the operations were added. Apply itself decides nothing.
/// </summary>
/// <remarks>A part with one operation, which is most of them, remembers nothing.</remarks>
internal ref struct VectorTrial
{
    private readonly StoreReader _reader;
    private readonly RunState _run;
    private readonly long _time;
    private readonly StoreKeyVisitor? _visit;
    private readonly bool _isSeveral;
    private Dictionary<byte[], Collection>? _collections;
    private long _made;

    /// <param name="time">At which expiry is judged.</param>
    /// <param name="visit">Told the store keys that Apply will read or replace; null = nobody asks.</param>
    internal VectorTrial(StoreReader reader, RunState run, ReadOnlySpan<byte> part, long time, StoreKeyVisitor? visit = null)
    {
        _reader = reader;
        (_run, _time, _visit) = (run, time, visit);
        _isSeveral = CountIn(part) > 1;
    }

    /// <summary>What applying writes beyond what the operations were added with.</summary>
    internal WriteCount Writes { get; private set; }

    /// <summary>How many operations of a part are on vectors.</summary>
    internal static int CountIn(ReadOnlySpan<byte> part)
    {
        var count = 0;
        while (part.Length > 0)
        {
            var operation = new Operation(part, out var bytes);
            part = part[bytes..];
            count += VectorBody.IsVector(operation.Code) ? 1 : 0;
        }

        return count;
    }

    /// <param name="limits">Null = no limit is looked at.</param>
    /// <param name="fills">Ids are written into the part, which is not decided yet.</param>
    /// <returns>Why it cannot be done; null = it can.</returns>
    internal CairnException? Try(Span<byte> part, Limits? limits, bool fills)
    {
        for (var at = 0; at < part.Length;)
        {
            var operation = new Operation(part[at..], out var bytes);
            at += bytes;
            if (!VectorBody.IsVector(operation.Code))
                continue;
            if (!VectorBody.TryRead(operation, out var body))
                return Malformed();
            var refused = Try(operation, body, limits, out var id);
            if (refused is not null)
                return refused;
            if (fills && operation.Code == (byte)OperationCode.VectorUpsert)
                VectorBody.SetId(part.Slice(at - operation.Body.Length, operation.Body.Length), id);
        }

        return null;
    }

    private CairnException? Try(scoped Operation operation, scoped VectorBody body, Limits? limits, out ulong id)
    {
        id = 0;
        var collection = Find(body.Name);
        switch ((OperationCode)operation.Code)
        {
            case OperationCode.VectorCreate:
                return TryCreate(collection, body, limits);
            case OperationCode.VectorDrop:
                if (!collection.Exists)
                    return NotFound(body.Name);
                Drop(ref collection, body.Name);
                Keep(body.Name, collection);
                return null;
            case OperationCode.VectorUpsert:
                return TryUpsert(collection, operation, body, out id);
            default:
                if (!collection.Exists || FindHead(collection, body.Name, operation.Key, out _) is not { } there)
                    return Gone(body.Name, operation.Key);
                VisitRow(body.Name, there);
                if (operation.Code == (byte)OperationCode.VectorDelete)
                {
                    collection.Count--;
                    KeepHead(collection, body.Name, operation.Key, 0);
                }

                return null;
        }
    }

    private CairnException? TryCreate(Collection collection, scoped VectorBody body, Limits? limits)
    {
        if (collection.Exists)
        {
            // The same once more is nothing at all; Apply sees it too.
            return collection.Configuration.AsSpan().SequenceEqual(body.Configuration)
                ? null
                : VectorOperations.Different(body.Name, collection.Configuration, body.Configuration);
        }

        if (limits is not null && _reader.Count(StoreKeys.VectorCollection, ulong.MaxValue) + _made >= limits.CollectionsMax)
        {
            return new LimitException(nameof(Limits.CollectionsMax), limits.CollectionsMax, limits.CollectionsMax + 1L, "collections");
        }

        _made++;
        collection = new Collection
        {
            Configuration = body.Configuration.ToArray(), Next = body.Id, IsFresh = collection.IsFresh, Heads = collection.Heads,
        };
        Keep(body.Name, collection);
        return null;
    }

    private CairnException? TryUpsert(Collection collection, scoped Operation operation, scoped VectorBody body, out ulong id)
    {
        id = 0;
        if (!collection.Exists || VectorConfiguration.Read(collection.Configuration) is var configuration
            && (configuration.Element != body.Element || configuration.Dimension != body.Dimension))
        {
            return Changed(body.Name);
        }

        var there = FindHead(collection, body.Name, operation.Key, out var isLive);
        if (there is { } row)
            VisitRow(body.Name, row);
        if (body.HasId || body.WishesId)
            VisitRow(body.Name, body.Id);                    // any other id is the next, which no image has
        var isLiving = there is not null && isLive;
        var isFree = (body.HasId || body.WishesId)
            && (there == body.Id || (!isLiving && !IsTaken(collection, body.Name, body.Id)));
        if (body.HasId && !isFree)
            return Taken(body.Name, body.Id);
        if (body.HasId || (body.WishesId && isFree))
            id = body.Id;
        else
            id = isLiving ? there!.Value : collection.Next;

        if (there is null)
            collection.Count++;
        collection.Next = Math.Max(collection.Next, id + 1);
        KeepHead(collection, body.Name, operation.Key, id);
        return null;
    }

    // What a collection holds goes with it. Told key by key, because each is a write.
    private void Drop(ref Collection collection, scoped ReadOnlySpan<byte> name)
    {
        if (!collection.IsFresh)
        {
            foreach (var family in (ReadOnlySpan<byte>)[StoreKeys.VectorHead, StoreKeys.VectorRow])
            {
                var (from, to) = (VectorKeys.Begin(family, name), VectorKeys.End(family, name));
                var scan = _reader.Scan(from, to, ulong.MaxValue);
                while (scan.MoveNext())
                {
                    _visit?.Invoke(_run.Store, scan.Key);
                    Writes = Writes.And(VectorOperations.WritesPerDropped, 2L * (scan.Key.Length + VectorOperations.VersionBytes));
                }
            }
        }

        // Those that the same record has written before.
        var own = collection.Heads?.Count ?? 0;
        Writes = Writes.And(2 * VectorOperations.WritesPerDropped * own, 2L * own * (VectorKeys.BytesMax + VectorOperations.VersionBytes));
        _made--;
        collection = new Collection { IsFresh = true };
    }

    // ---- what is there ---------------------------------------------------------------------------------------------------------

    private Collection Find(scoped ReadOnlySpan<byte> name)
    {
        if (_collections is not null && _collections.GetAlternateLookup<ReadOnlySpan<byte>>().TryGetValue(name, out var known))
            return known;
        Span<byte> buffer = stackalloc byte[VectorKeys.BytesMax];
        var key = VectorKeys.Collection(buffer, name);
        _visit?.Invoke(_run.Store, key);
        var collection = new Collection();
        if (_reader.TryGetNewest(key, out var version) && !version.IsTombstone)
            collection.Configuration = version.Value.ToArray();
        key = VectorKeys.Numbers(buffer, name);
        _visit?.Invoke(_run.Store, key);
        if (collection.Exists && _reader.TryGetNewest(key, out version) && !version.IsTombstone)
            (collection.Next, collection.Count) = VectorOperations.ReadNumbers(version.Value);
        Keep(name, collection);
        return collection;
    }

    /// <summary>The id of a key's vector; null when there is none, not even one that has expired.</summary>
    private ulong? FindHead(Collection collection, scoped ReadOnlySpan<byte> name, scoped ReadOnlySpan<byte> key, out bool isLive)
    {
        isLive = true;
        if (collection.Heads is not null && collection.Heads.GetAlternateLookup<ReadOnlySpan<byte>>().TryGetValue(key, out var own))
            return own == 0 ? null : own;
        Span<byte> buffer = stackalloc byte[VectorKeys.BytesMax];
        var head = VectorKeys.Head(buffer, name, key);
        _visit?.Invoke(_run.Store, head);
        if (collection.IsFresh || !_reader.TryGetNewest(head, out var version) || version.IsTombstone)
            return null;
        isLive = version.IsLiveAt(_time);
        return VectorOperations.IdOf(version.Value);
    }

    private readonly bool IsTaken(Collection collection, scoped ReadOnlySpan<byte> name, ulong id)
    {
        if (id == 0 || (collection.Heads?.ContainsValue(id) ?? false))
            return true;
        if (collection.IsFresh)
            return false;
        Span<byte> buffer = stackalloc byte[VectorKeys.BytesMax];
        return _reader.TryGetNewest(VectorKeys.Row(buffer, name, id), out var version) && !version.IsTombstone;
    }

    private readonly void VisitRow(scoped ReadOnlySpan<byte> name, ulong id)
    {
        if (_visit is null)
            return;
        Span<byte> buffer = stackalloc byte[VectorKeys.BytesMax];
        _visit(_run.Store, VectorKeys.Row(buffer, name, id));
    }

    private void Keep(scoped ReadOnlySpan<byte> name, Collection collection)
    {
        if (!_isSeveral)
            return;
        _collections ??= new(ByteArrayComparer.Instance);
        _collections.GetAlternateLookup<ReadOnlySpan<byte>>()[name] = collection;
    }

    private readonly void KeepHead(Collection collection, scoped ReadOnlySpan<byte> name, scoped ReadOnlySpan<byte> key, ulong id)
    {
        if (!_isSeveral)
            return;
        collection.Heads ??= new(ByteArrayComparer.Instance);
        collection.Heads.GetAlternateLookup<ReadOnlySpan<byte>>()[key] = id;
    }

    // ---- refusals --------------------------------------------------------------------------------------------------------------

    private readonly ConflictException Gone(scoped ReadOnlySpan<byte> name, scoped ReadOnlySpan<byte> key) => Conflict(
        $"{Utf8.GetTrustedString(name)}/{Utf8.GetTrustedString(key)}", "there is no such vector any more");

    private readonly ConflictException NotFound(scoped ReadOnlySpan<byte> name) =>
        Conflict(Utf8.GetTrustedString(name), "there is no such collection any more");

    private readonly ConflictException Changed(scoped ReadOnlySpan<byte> name) =>
        Conflict(Utf8.GetTrustedString(name), "the collection is another one by now");

    private static CairnException Taken(scoped ReadOnlySpan<byte> name, ulong id) => new(
        ErrorCode.AlreadyExists, $"The id {id} of the collection '{Utf8.GetTrustedString(name)}' is another vector's.");

    private static CairnException Malformed() => new(ErrorCode.InvalidArgument, "An operation on vectors is none.");

    // It could be done when it was asked for: somebody came between.
    private readonly ConflictException Conflict(string key, string reason) =>
        new("vectors", key, reason, Sequence.None, new Sequence(_run.LastSequence));

    /// <summary>A collection as it will be.</summary>
    private sealed class Collection
    {
        internal byte[] Configuration { get; set; } = [];

        internal bool Exists => Configuration.Length > 0;

        internal ulong Next { get; set; } = 1;

        internal ulong Count { get; set; }

        /// <summary>What the store has of it is dropped.</summary>
        internal bool IsFresh { get; init; }

        /// <summary>Ids by key, as the record has changed them; 0 = deleted.</summary>
        internal Dictionary<byte[], ulong>? Heads { get; set; }
    }
}
