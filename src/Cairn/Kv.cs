using Cairn.Codec;
using Cairn.Primitives;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn;

/// <summary>The key-value primitive of a run: one value of any kind per key. On <see cref="Run.Kv"/> each call is a transaction of
/// its own and returns when it is as durable as the database's mode asks; on <see cref="Transaction"/> it takes part in that.
/// Thread-safe on a run; a transaction belongs to one thread at a time.</summary>
/// <exception cref="CairnException">Every write: <see cref="ErrorCode.InvalidKey"/>, <see cref="ErrorCode.RunClosed"/>,
/// <see cref="ErrorCode.NotFound"/> (the run was deleted), <see cref="ErrorCode.ReadOnly"/>.</exception>
/// <exception cref="LimitException">Every write: the key, the value or the time to live is out of its limits.</exception>
/// <exception cref="BusyException">Every write: no room in the log for too long, or the disk is full.</exception>
/// <exception cref="DatabaseFailedException">Every write: an I/O error; the outcome may be unknown.</exception>
public sealed class Kv : KvView
{
    internal Kv(Engine engine, Scope scope)
        : base(engine, scope)
    {
    }

    /// <summary>Writes a value, whatever was there. Blind: it never conflicts. Without a time to live an older expiry is cleared.</summary>
    /// <param name="key">1 to 1,024 bytes of UTF-8, no NUL, not beginning with <c>$</c>.</param>
    /// <param name="value">Any kind, Null included; at most <see cref="Limits.ValueBytesMax"/> encoded.</param>
    /// <param name="ttl">From 1 ms to 100 years; counts from the commit.</param>
    /// <returns>Sequence of the commit; <see cref="Sequence.None"/> inside a transaction, whose commit gives it.</returns>
    public Sequence Put(string key, Value value, TimeSpan? ttl = null)
    {
        Span<byte> buffer = stackalloc byte[1 + Limits.KeyBytesMax];
        var storeKey = KeyForWrite(key, buffer);
        var life = Versions.TimeToLive(ttl);
        var length = ValueCodec.EncodedLength(value, Engine.Limits);
        if (Scope.Transaction is not null)
        {
            SetPending(storeKey, value.Encode(), life);
            return Sequence.None;
        }

        var hash = Scope.Run.Store.PrefetchBucket(storeKey);
        var batch = Scope.BeginSingle();
        KvOperations.AddPut(batch, storeKey[1..], length, -life, out var target);
        ValueCodec.Encode(value, target);
        Scope.Run.Store.PrefetchEntry(hash);
        return new Sequence(Scope.CommitSingle(batch).Sequence);
    }

    /// <summary>Writes a Bytes value without a <see cref="Value"/> in between; allocates nothing outside a transaction.</summary>
    /// <inheritdoc cref="Put(string, Value, TimeSpan?)"/>
    public Sequence Put(string key, ReadOnlySpan<byte> value, TimeSpan? ttl = null)
    {
        Span<byte> buffer = stackalloc byte[1 + Limits.KeyBytesMax];
        var storeKey = KeyForWrite(key, buffer);
        var life = Versions.TimeToLive(ttl);
        var length = ValueCodec.EncodedBytesLength(value.Length, Engine.Limits);
        if (Scope.Transaction is not null)
        {
            var encoded = new byte[length];
            ValueCodec.EncodeBytes(value, encoded);
            SetPending(storeKey, encoded, life);
            return Sequence.None;
        }

        var hash = Scope.Run.Store.PrefetchBucket(storeKey);
        var batch = Scope.BeginSingle();
        KvOperations.AddPut(batch, storeKey[1..], length, -life, out var target);
        ValueCodec.EncodeBytes(value, target);
        Scope.Run.Store.PrefetchEntry(hash);
        return new Sequence(Scope.CommitSingle(batch).Sequence);
    }

    /// <summary>Like <see cref="Put(string, Value, TimeSpan?)"/>, awaiting durability instead of blocking.</summary>
    /// <param name="key">As there.</param>
    /// <param name="value">As there.</param>
    /// <param name="ttl">As there.</param>
    /// <param name="cancellationToken">Ends the waiting, not the commit: once it has a place in the log it is committed.</param>
    public ValueTask<Sequence> PutAsync(string key, Value value, TimeSpan? ttl = null, CancellationToken cancellationToken = default)
    {
        cancellationToken.ThrowIfCancellationRequested();
        if (Scope.Transaction is not null)
            return ValueTask.FromResult(Put(key, value, ttl));
        Span<byte> buffer = stackalloc byte[1 + Limits.KeyBytesMax];
        var storeKey = KeyForWrite(key, buffer);
        var life = Versions.TimeToLive(ttl);
        var length = ValueCodec.EncodedLength(value, Engine.Limits);
        var batch = Scope.BeginPooled();
        KvOperations.AddPut(batch, storeKey[1..], length, -life, out var target);
        ValueCodec.Encode(value, target);
        return Scope.CommitPooledAsync(batch, cancellationToken);
    }

    /// <summary>Writes several values in one transaction: all or nothing.</summary>
    /// <param name="pairs">At most <see cref="Limits.ManyItemsMax"/>, each key once.</param>
    /// <param name="ttl">For all of them.</param>
    /// <returns>Sequence of the commit; <see cref="Sequence.None"/> inside a transaction, or when there was nothing to write.</returns>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidArgument"/>: a key twice.</exception>
    public Sequence PutMany(IReadOnlyCollection<KeyValuePair<string, Value>> pairs, TimeSpan? ttl = null)
    {
        ArgumentNullException.ThrowIfNull(pairs);
        Many.CheckCount(pairs.Count, Engine.Limits);
        var life = Versions.TimeToLive(ttl);
        Scope.ThrowIfNotWritable();
        Many.CheckKeys(pairs.Select(pair => pair.Key), pairs.Count, isWrite: true);
        Span<byte> buffer = stackalloc byte[1 + Limits.KeyBytesMax];
        var bytes = 0L;
        foreach (var (_, value) in pairs)
            bytes += ValueCodec.EncodedLength(value, Engine.Limits);
        Many.CheckBytes(bytes, Engine.Limits);

        if (pairs.Count == 0)
            return Sequence.None;
        if (Scope.Transaction is not null)
        {
            CheckRoomForMany(pairs);
            foreach (var (key, value) in pairs)
                SetPending(KeyForWrite(key, buffer), value.Encode(), life);
            return Sequence.None;
        }

        var batch = Scope.BeginSingle();
        foreach (var (key, value) in pairs)
        {
            var storeKey = KeyForWrite(key, buffer);
            KvOperations.AddPut(batch, storeKey[1..], value.EncodedLength, -life, out var target);
            ValueCodec.Encode(value, target);
        }

        return new Sequence(Scope.CommitSingle(batch).Sequence);
    }

    /// <summary>Writes a value only if the key is absent.</summary>
    /// <returns>False when it was there; nothing was written then.</returns>
    /// <inheritdoc cref="Put(string, Value, TimeSpan?)" path="/param"/>
    public bool TryAdd(string key, Value value, TimeSpan? ttl = null) =>
        CompareAndSetValue(key, null, value, ttl);

    /// <summary>Writes a value only if the key's version is the expected one.</summary>
    /// <param name="key">As in <see cref="Put(string, Value, TimeSpan?)"/>.</param>
    /// <param name="expected">The version read before; <see cref="Sequence.None"/> = the key must be absent. Inside a transaction it
    /// is compared with the committed version: own writes do not change it.</param>
    /// <param name="value">As in <see cref="Put(string, Value, TimeSpan?)"/>.</param>
    /// <param name="ttl">As in <see cref="Put(string, Value, TimeSpan?)"/>.</param>
    /// <returns>The new version; <see cref="Sequence.None"/> inside a transaction.</returns>
    /// <exception cref="VersionMismatchException">It is another one; the exception says which.</exception>
    public Sequence CompareAndSet(string key, Sequence expected, Value value, TimeSpan? ttl = null)
    {
        if (TryPutIf(key, value, ttl, storeKey => new Expectation(Scope.Run, storeKey, ExpectationKind.Version, expected.Value), out var placed))
            return new Sequence(placed.Sequence);
        throw new VersionMismatchException("kv", key, expected.Value, placed.Refusal!.Actual);
    }

    /// <summary>Writes a value only if the present one is equal to the expected one, by canonical bytes.</summary>
    /// <param name="key">As in <see cref="Put(string, Value, TimeSpan?)"/>.</param>
    /// <param name="expected">The value that must be there; null = the key must be absent (the value Null is <see cref="Value.Null"/>).
    /// Inside a transaction own writes and deletes count, as in every read.</param>
    /// <param name="value">As in <see cref="Put(string, Value, TimeSpan?)"/>.</param>
    /// <param name="ttl">As in <see cref="Put(string, Value, TimeSpan?)"/>.</param>
    /// <returns>False when another value was there; nothing was written then.</returns>
    public bool CompareAndSetValue(string key, Value? expected, Value value, TimeSpan? ttl = null)
    {
        var bytes = expected?.Encode();
        return TryPutIf(key, value, ttl, storeKey => new Expectation(Scope.Run, storeKey, ExpectationKind.Value, 0, bytes), out _);
    }

    private bool TryPutIf(string key, Value value, TimeSpan? ttl, Func<byte[], Expectation> expect, out Placed placed)
    {
        Span<byte> buffer = stackalloc byte[1 + Limits.KeyBytesMax];
        var storeKey = KeyForWrite(key, buffer);
        var life = Versions.TimeToLive(ttl);
        var length = ValueCodec.EncodedLength(value, Engine.Limits);
        var expectation = expect(storeKey.ToArray());
        if (Scope.Transaction is { } transaction)
        {
            using var use = Scope.Use();
            // A version is compared with the committed one (KV-10); a value with the own write, if there is one: that decides then.
            var isOwn = expectation.Kind == ExpectationKind.Value && Scope.Writes!.Find(storeKey) is not null;
            Refusal? refusal = null;
            if (isOwn ? !HoldsOwn(expectation) : !Scope.Holds(expectation, out refusal))
            {
                placed = new Placed(0, 0, false, refusal);
                return false;
            }

            if (!isOwn)
                transaction.Expectations.Add(expectation);
            SetPending(storeKey, value.Encode(), life);
            placed = default;
            return true;
        }

        var batch = Scope.BeginSingle();
        KvOperations.AddPut(batch, storeKey[1..], length, -life, out var target);
        ValueCodec.Encode(value, target);
        return Scope.TryCommitSingle(batch, expectation, out placed);
    }

    private bool HoldsOwn(Expectation expectation)
    {
        Scope.ThrowIfNotReadable();
        using var reader = Scope.Run.Store.Read();
        var exists = Scope.TryGet(reader, expectation.Key, out var version);
        return expectation.Holds(exists, version, Scope.Time, out _);
    }

    /// <summary>Removes a key.</summary>
    /// <returns>Whether it was there. Removing an absent key writes nothing.</returns>
    public bool Delete(string key)
    {
        Span<byte> buffer = stackalloc byte[1 + Limits.KeyBytesMax];
        var storeKey = KeyForWrite(key, buffer);
        if (Scope.Transaction is not null)
            return DeletePending(storeKey);
        var batch = Scope.BeginSingle();
        batch.OnlyDeletes = true;
        KvOperations.AddDelete(batch, storeKey[1..]);
        return Scope.TryCommitSingle(batch, new Expectation(Scope.Run, storeKey.ToArray(), ExpectationKind.Present, 0), out _);
    }

    /// <summary>Removes several keys in one transaction.</summary>
    /// <param name="keys">At most <see cref="Limits.ManyItemsMax"/>, each once.</param>
    /// <returns>How many were there.</returns>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidArgument"/>: a key twice.</exception>
    public int DeleteMany(IReadOnlyCollection<string> keys)
    {
        ArgumentNullException.ThrowIfNull(keys);
        Many.CheckKeys(keys, Engine.Limits, isWrite: true);
        if (Scope.Transaction is null)
            return DeleteThoseThere(keys);
        using var use = Scope.Use();
        var count = 0;
        foreach (var key in keys)
            count += Delete(key) ? 1 : 0;
        return count;
    }

    // TX-39: which keys are there is decided under the run's lock, where nothing can come between the look and the deletion.
    private int DeleteThoseThere(IReadOnlyCollection<string> keys)
    {
        Scope.ThrowIfNotWritable();
        if (keys.Count == 0)
            return 0;
        Span<byte> buffer = stackalloc byte[1 + Limits.KeyBytesMax];
        var storeKeys = new List<byte[]>(keys.Count);
        var batch = Scope.BeginSingle();
        batch.OnlyDeletes = true;
        foreach (var key in keys)
        {
            storeKeys.Add(KeyForWrite(key, buffer).ToArray());
            KvOperations.AddDelete(batch, storeKeys[^1].AsSpan(1));
        }

        var count = 0;
        batch.Decide = time =>
        {
            count = 0;
            batch.BeginAgain();
            using var reader = Scope.Run.Store.Read();
            foreach (var key in storeKeys)
            {
                if (!reader.TryGetNewest(key, out var version) || !version.IsLiveAt(time))
                    continue;
                KvOperations.AddDelete(batch, key.AsSpan(1));
                count++;
            }

            batch.EndPart();
            return count > 0;
        };
        Scope.CommitSingle(batch);
        return count;
    }

    /// <summary>Adds to an Int64. An absent key counts as 0; the expiry stays. Increments commute: inside a transaction they read
    /// nothing and never conflict.</summary>
    /// <param name="key">As in <see cref="Put(string, Value, TimeSpan?)"/>.</param>
    /// <param name="delta">May be negative.</param>
    /// <returns>The new number. Inside a transaction it is a read of the key.</returns>
    /// <exception cref="CairnException"><see cref="ErrorCode.WrongType"/>: not an Int64; <see cref="ErrorCode.Overflow"/>. Nothing was written.</exception>
    public long Increment(string key, long delta = 1)
    {
        Span<byte> buffer = stackalloc byte[1 + Limits.KeyBytesMax];
        var storeKey = KeyForWrite(key, buffer);
        if (Scope.Transaction is not null)
            return AddPendingAndRead(storeKey, delta);

        var batch = Scope.BeginSingle();
        KvOperations.AddIncrement(batch, storeKey[1..], delta);
        return Scope.CommitSingle(batch, KvOperations.ReadResult);
    }

    /// <summary>Adds to an Int64 without asking for the result: inside a transaction it reads nothing and commutes with every other
    /// increment.</summary>
    /// <inheritdoc cref="Increment" path="/param"/>
    /// <inheritdoc cref="Increment" path="/exception"/>
    public void Add(string key, long delta)
    {
        if (Scope.Transaction is null)
        {
            Increment(key, delta);
            return;
        }

        Span<byte> buffer = stackalloc byte[1 + Limits.KeyBytesMax];
        AddPending(KeyForWrite(key, buffer), delta);
    }

    /// <summary>Changes the expiry of a key to a time to live from now on. Makes a new version with the same value.</summary>
    /// <param name="key">As in <see cref="Put(string, Value, TimeSpan?)"/>.</param>
    /// <param name="ttl">From 1 ms to 100 years; counts from the commit.</param>
    /// <returns>False when there is no such key.</returns>
    public bool Expire(string key, TimeSpan ttl) => ChangeExpiry(key, ttl);

    /// <summary>Removes the expiry of a key. Makes a new version with the same value.</summary>
    /// <param name="key">As in <see cref="Put(string, Value, TimeSpan?)"/>.</param>
    /// <returns>False when there is no such key.</returns>
    public bool Persist(string key) => ChangeExpiry(key, null);

    private bool ChangeExpiry(string key, TimeSpan? ttl)
    {
        Span<byte> buffer = stackalloc byte[1 + Limits.KeyBytesMax];
        var storeKey = KeyForWrite(key, buffer);
        var life = Versions.TimeToLive(ttl);
        if (Scope.Transaction is not null)
        {
            using var use = Scope.Use();

            // The value was read, so it is validated: writing it again with another expiry is the same as changing the expiry.
            if (!TryGet(key, out var value))
                return false;
            SetPending(storeKey, value.Encode(), life);
            return true;
        }

        var batch = Scope.BeginSingle();
        KvOperations.AddExpire(batch, storeKey[1..], -life);
        return Scope.TryCommitSingle(batch, new Expectation(Scope.Run, storeKey.ToArray(), ExpectationKind.Present, 0), out _);
    }

    // All of them or none: what is pending for a key already is replaced.
    private void CheckRoomForMany(IReadOnlyCollection<KeyValuePair<string, Value>> pairs)
    {
        var (operations, bytes) = (0, 0L);
        foreach (var (key, value) in pairs)
        {
            var storeKey = KvKey(key);
            var write = Scope.Writes!.Find(storeKey);
            operations += write is null ? 1 : 0;
            bytes += value.EncodedLength - (write?.Value.Length ?? -(storeKey.Length - 1));
        }

        Scope.Writes!.CheckRoom(operations, bytes);
    }

    private static byte[] KvKey(string key) => StoreKey(key, stackalloc byte[1 + Limits.KeyBytesMax]).ToArray();

    private ReadOnlySpan<byte> KeyForWrite(string key, Span<byte> buffer)
    {
        Scope.ThrowIfNotWritable();
        return KeyRules.EncodeBehind(StoreKeys.Kv, key, isWrite: true, buffer);
    }

    // ---- pending writes of a transaction ------------------------------------------------------------------------------------

    private void SetPending(ReadOnlySpan<byte> storeKey, byte[] value, long life)
    {
        using var use = Scope.Use();
        Scope.Writes!.CheckRoom(storeKey, value.Length);
        var write = PendingFor(storeKey, OperationCode.KvPut);
        write.Code = OperationCode.KvPut;
        write.Value = value;
        write.IsDelete = false;
        write.IsRelative = false;
        write.TimeToLive = life;
        write.Expiry = 0;
    }

    private bool DeletePending(ReadOnlySpan<byte> storeKey)
    {
        using var use = Scope.Use();
        bool existed;
        using (var reader = Scope.Run.Store.Read())
        {
            Scope.ThrowIfNotReadable();
            existed = Scope.TryGet(reader, storeKey, out _);
        }

        if (!existed)
            return false;
        var write = PendingFor(storeKey, OperationCode.KvDelete);
        write.Code = OperationCode.KvDelete;
        write.IsDelete = true;
        write.IsRelative = false;
        write.Value = [];
        write.TimeToLive = 0;
        return true;
    }

    // Reads first, so that a refusal leaves the transaction as it was.
    private long AddPendingAndRead(ReadOnlySpan<byte> storeKey, long delta)
    {
        using var use = Scope.Use();
        Scope.ThrowIfNotReadable();
        long sum, expiry;
        using (var reader = Scope.Run.Store.Read())
        {
            var live = Scope.TryGet(reader, storeKey, out var version);
            if (!KvOperations.TryAdd(live, version, delta, out sum, out var refused))
                throw refused!;
            expiry = live ? version.Expiry : 0;
        }

        if (Scope.Writes!.Find(storeKey) is { IsRelative: true } write && Overflows(write.Delta, delta))
        {
            // The sum has room and the deltas together have not. The key was read, so the sum can stand for them.
            SetPending(storeKey, ((Value)sum).Encode(), 0);
            write.Expiry = expiry;
        }
        else
        {
            AddPending(storeKey, delta);
        }

        return sum;
    }

    private static bool Overflows(long left, long right)
    {
        var sum = unchecked(left + right);
        return ((left ^ sum) & (right ^ sum)) < 0;
    }

    private void AddPending(ReadOnlySpan<byte> storeKey, long delta)
    {
        using var use = Scope.Use();
        var write = Scope.Writes!.Find(storeKey);
        if (write is null)
        {
            write = PendingFor(storeKey, OperationCode.KvIncrement);
            write.IsRelative = true;
            write.Delta = delta;
            return;
        }

        if (write.IsDelete)
        {
            SetPending(storeKey, ((Value)delta).Encode(), 0);
            return;
        }

        if (!write.IsRelative)
        {
            var view = new VersionView(write.Value, 0, 0, 0, 0, false);
            if (!KvOperations.TryAdd(live: true, view, delta, out var sum, out var refused))
                throw refused!;
            write.Value = ((Value)sum).Encode();
            return;
        }

        if (Overflows(write.Delta, delta))
            throw new CairnException(ErrorCode.Overflow, "The increments of this transaction together leave the range of Int64. Nothing was written.");
        write.Delta += delta;
    }

    private PendingWrite PendingFor(ReadOnlySpan<byte> storeKey, OperationCode code)
    {
        if (Scope.Writes!.Find(storeKey) is { } write)
            return write;
        write = new PendingWrite { StoreKey = storeKey.ToArray(), Code = code, OperationKey = storeKey[1..].ToArray() };
        Scope.Writes.Add(write);
        return write;
    }
}
