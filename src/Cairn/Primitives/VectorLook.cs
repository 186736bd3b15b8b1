using System.Buffers;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn.Primitives;

/// <summary>A vector as a look found it. Borrowed: good as long as the look.</summary>
internal readonly ref struct StoredVector
{
    /// <summary>In the form of its collection.</summary>
    internal ReadOnlySpan<byte> Embedding { get; init; }

    /// <summary>Canonical; empty = none.</summary>
    internal ReadOnlySpan<byte> Metadata { get; init; }

    /// <summary>0 = the transaction that writes it has not committed.</summary>
    internal ulong Id { get; init; }

    /// <summary>Of the commit that wrote it, or what is beneath the transaction's own write; 0 = nothing is.</summary>
    internal ulong Sequence { get; init; }

    internal ulong Created { get; init; }

    internal long Time { get; init; }

    internal long Expiry { get; init; }
}

/// <summary>One look at the vectors of a scope, at one sequence: for a live run pinned for as long. With a transaction's own writes over
/// what was committed: those have no operation of their own (it is pending beside them, in the order of the calls), and their value is the
/// body of an Upsert or a SetMetadata, which <see cref="PendingWrite.Delta"/> tells. A collection that the transaction has made hides what
/// the store has under its name: <see cref="PendingWrite.Steps"/> is 1.</summary>
internal ref struct VectorLook
{
    private readonly SnapshotRegistry _pins;
    private readonly SnapshotPin _pin;
    private readonly bool _ownsPin;
    private readonly Scope _scope;
    private readonly byte[] _keys;                           // on the heap, because what is found may outlive the call
#pragma warning disable CA2213 // disposed below; the rule does not see ref structs
    private readonly StoreReader _reader;
    private readonly TransactionUse _use;
#pragma warning restore CA2213

    internal VectorLook(SnapshotRegistry pins, Scope scope)
    {
        scope.ThrowIfNotReadable();
        (_pins, _scope) = (pins, scope);
        Sequence = scope.Sequence;
        Time = scope.Time;
        if (scope.IsLive)
        {
            _pin = pins.Take(scope.Run.Visible, scope.Run.Store.RunTag);
            _ownsPin = true;
            Sequence = _pin.Sequence;
        }

        _use = scope.Use();
        _reader = scope.Run.Store.Read();
        _keys = ArrayPool<byte>.Shared.Rent(2 * VectorKeys.BytesMax);
    }

    internal ulong Sequence { get; }

    internal long Time { get; }

    internal readonly StoreReader Reader => _reader;

    public readonly void Dispose()
    {
        ArrayPool<byte>.Shared.Return(_keys);
        _reader.Dispose();
        _use.Dispose();
        if (_ownsPin)
            _pins.Release(_pin);
    }

    /// <summary>Finds a collection.</summary>
    /// <param name="isForWrite">A write rests on what it is, at each level of isolation.</param>
    /// <param name="version">Of the commit that made it; nothing of one that the transaction makes.</param>
    internal readonly bool TryFind(
        ReadOnlySpan<byte> name, out VectorConfiguration configuration, out ulong version, bool isForWrite = false)
    {
        var key = VectorKeys.Collection(_keys, name);
        configuration = default;
        version = 0;
        if (_scope.Writes?.Find(key) is { } write)
        {
            if (!write.IsDelete)
                configuration = VectorConfiguration.Read(write.Value);
            return !write.IsDelete;
        }

        if (_scope.Transaction is { } transaction)
            (isForWrite ? transaction.Rests : transaction.Reads).AddPoint(_scope.Run, key);
        if (!_reader.TryGet(key, Sequence, out var found) || found.IsTombstone)
            return false;
        configuration = VectorConfiguration.Read(found.Value);
        version = found.Sequence;
        return true;
    }

    /// <summary>The transaction has made the collection anew: the store's is not it.</summary>
    internal readonly bool HidesStore(ReadOnlySpan<byte> name)
    {
        if (_scope.Writes is not { Count: > 0 } writes)
            return false;
        return writes.Find(VectorKeys.Collection(_keys.AsSpan(VectorKeys.BytesMax), name)) is { Steps: 1 };
    }

    /// <summary>Finds a vector of a collection that is there.</summary>
    internal readonly bool TryGet(
        ReadOnlySpan<byte> name, scoped in VectorConfiguration configuration, ReadOnlySpan<byte> key, out StoredVector vector)
    {
        var head = VectorKeys.Head(_keys, name, key);
        vector = default;
        var write = _scope.Writes?.Find(head);
        if (write is null)
            _scope.NotePoint(head);
        else if (write.IsDelete)
            return false;
        var isThere = !HidesStore(name) && TryGetStored(head, name, configuration, out vector);
        if (write is null || Mutant.Is("vector-own-writes-unseen"))
            return isThere;
        var expiry = write.TimeToLive != 0 ? Time + write.TimeToLive : write.Expiry;
        var committed = vector;
        if ((OperationCode)write.Delta == OperationCode.VectorSetMetadata)
        {
            vector = new StoredVector
            {
                Embedding = committed.Embedding, Metadata = VectorBody.MetadataIn(write.Value), Id = committed.Id,
                Sequence = committed.Sequence, Created = committed.Created, Time = committed.Time, Expiry = committed.Expiry,
            };
            return isThere;
        }

        var body = VectorBody.ReadUpsert(write.Value);
        vector = new StoredVector
        {
            Embedding = body.Embedding, Metadata = body.Metadata, Id = committed.Id, Sequence = committed.Sequence,
            Created = committed.Created, Time = committed.Time, Expiry = expiry,
        };
        return true;
    }

    private readonly bool TryGetStored(
        ReadOnlySpan<byte> headKey, ReadOnlySpan<byte> name, scoped in VectorConfiguration configuration, out StoredVector vector)
    {
        vector = default;
        if (!_reader.TryGet(headKey, Sequence, out var head) || !head.IsLiveAt(Time))
            return false;
        var id = VectorOperations.IdOf(head.Value);
        var rowKey = VectorKeys.Row(_keys.AsSpan(VectorKeys.BytesMax), name, id);
        var isThere = _reader.TryGet(rowKey, Sequence, out var row) && !row.IsTombstone;
        Invariant.Check(isThere && row.ValueLength > configuration.EmbeddingBytes, "a head has its row (V1)");
        vector = new StoredVector
        {
            Embedding = row.Value[..configuration.EmbeddingBytes], Metadata = VectorOperations.MetadataOf(head.Value), Id = id,
            Sequence = head.Sequence, Created = head.Created, Time = head.Time, Expiry = head.Expiry,
        };
        return true;
    }

    /// <summary>The vectors of a collection: exact, at a cost that does not grow with it.</summary>
    internal readonly long Count(ReadOnlySpan<byte> name)
    {
        var count = 0L;
        if (!HidesStore(name))
        {
            var numbers = VectorKeys.Numbers(_keys, name);
            _scope.NotePoint(numbers);
            if (_reader.TryGet(numbers, Sequence, out var version) && !version.IsTombstone)
                count = (long)VectorOperations.ReadNumbers(version.Value).Count - CountExpired(name);
        }

        foreach (var write in PendingIn(name))
        {
            var was = !HidesStore(name) && _reader.TryGet(write.StoreKey, Sequence, out var version) && version.IsLiveAt(Time);
            count += (write.IsDelete ? 0 : 1) - (was ? 1 : 0);
        }

        return count;
    }

    /// <summary>Heads that the transaction has written, in the order of their keys.</summary>
    internal readonly List<PendingWrite> PendingIn(ReadOnlySpan<byte> name) => _scope.Writes is not { Count: > 0 } writes
        ? []
        : [.. writes.Range(VectorKeys.Begin(StoreKeys.VectorHead, name), VectorKeys.End(StoreKeys.VectorHead, name), reverse: false)];

    // Expired and not removed yet: they are counted still.
    private readonly long CountExpired(ReadOnlySpan<byte> name)
    {
        Span<byte> from = stackalloc byte[StoreKeys.ExpiryPrefixBytes];
        Span<byte> to = stackalloc byte[StoreKeys.ExpiryPrefixBytes];
        var heads = VectorKeys.Begin(StoreKeys.VectorHead, name);
        var expired = 0L;
        var scan = _reader.Scan(StoreKeys.Expiry(from, 0, default), StoreKeys.Expiry(to, Time + 1, default), Sequence);
        while (scan.MoveNext())
            expired += scan.Key[StoreKeys.ExpiryPrefixBytes..].StartsWith(heads) ? 1 : 0;
        return expired;
    }
}
