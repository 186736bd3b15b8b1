using System.Buffers.Binary;
using Cairn.Codec;
using Cairn.Documents;
using Cairn.Log;
using Cairn.Primitives;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn;

/// <summary>The documents of a run: JSON values that are read and changed by path. On <see cref="Run.Json"/> each call is a transaction
/// of its own and returns when it is as durable as the database's mode asks; on <see cref="Transaction"/> it takes part in that.
/// Thread-safe on a run; a transaction belongs to one thread at a time.</summary>
/// <remarks>What is logged is what was asked, not the document; what is written is what changes. Writers of different places of one
/// document do not conflict, and outside a transaction no writers do: each call is decided on the newest state. A path to what is not there
/// makes the objects on the way and the document too, never an array; <c>[-]</c> appends.</remarks>
/// <exception cref="CairnException">Every write: <see cref="ErrorCode.InvalidKey"/>, <see cref="ErrorCode.RunClosed"/>,
/// <see cref="ErrorCode.NotFound"/> (the run was deleted), <see cref="ErrorCode.ReadOnly"/>, <see cref="ErrorCode.InvalidArgument"/> (a
/// number that is not finite).</exception>
/// <exception cref="DocumentException">Every write by path: <see cref="ErrorCode.TypeMismatch"/>, <see cref="ErrorCode.PathNotFound"/>,
/// <see cref="ErrorCode.InvalidPath"/>; it says where. Nothing was written.</exception>
/// <exception cref="LimitException">Every write: the id, the value, the time to live, or the document as it would become is out of its
/// limits (<see cref="Limits.ValueBytesMax"/>, <see cref="Limits.DepthMax"/> and others). Nothing was written.</exception>
/// <exception cref="BusyException">Every write: no room in the log for too long, or the disk is full.</exception>
/// <exception cref="DatabaseFailedException">Every write: an I/O error; the outcome may be unknown.</exception>
public sealed class Json : JsonView
{
    internal Json(Engine engine, Scope scope)
        : base(engine, scope)
    {
    }

    // ---- whole documents -------------------------------------------------------------------------------------------------------

    /// <summary>Makes a document under a new id.</summary>
    /// <param name="value">Any kind; all numbers finite.</param>
    /// <param name="ttl">From 1 ms to 100 years; counts from the commit.</param>
    /// <returns>The id: a UUID of version 7 as text.</returns>
    public string Create(Value value, TimeSpan? ttl = null)
    {
        var id = new Guid(Uuid(Engine.Random.NextUuid(Engine.Clock.Microseconds())), bigEndian: true).ToString();
        Create(id, value, ttl);
        return id;
    }

    /// <summary>Makes a document.</summary>
    /// <param name="id">1 to 1,024 bytes of UTF-8, no NUL, not beginning with <c>$</c>.</param>
    /// <param name="value">Any kind; all numbers finite.</param>
    /// <param name="ttl">From 1 ms to 100 years; counts from the commit.</param>
    /// <returns>Sequence of the commit; <see cref="Sequence.None"/> inside a transaction, whose commit gives it.</returns>
    /// <exception cref="CairnException"><see cref="ErrorCode.AlreadyExists"/>.</exception>
    public Sequence Create(string id, Value value, TimeSpan? ttl = null) =>
        Write(OperationCode.JsonCreate, id, value, ttl);

    /// <summary>Writes a whole document, whatever was there. Blind: it never conflicts. Without a time to live an older expiry is
    /// cleared. Costs what was there and what is written.</summary>
    /// <inheritdoc cref="Create(string, Value, TimeSpan?)" path="/param"/>
    /// <inheritdoc cref="Create(string, Value, TimeSpan?)" path="/returns"/>
    public Sequence Put(string id, Value value, TimeSpan? ttl = null) => Write(OperationCode.JsonPut, id, value, ttl);

    /// <summary>Like <see cref="Put(string, Value, TimeSpan?)"/>, awaiting durability instead of blocking.</summary>
    /// <param name="id">As there.</param>
    /// <param name="value">As there.</param>
    /// <param name="ttl">As there.</param>
    /// <param name="cancellationToken">Ends the waiting, not the commit: once it has a place in the log it is committed.</param>
    public ValueTask<Sequence> PutAsync(string id, Value value, TimeSpan? ttl = null, CancellationToken cancellationToken = default)
    {
        cancellationToken.ThrowIfCancellationRequested();
        if (Scope.Transaction is not null)
            return ValueTask.FromResult(Put(id, value, ttl));
        Span<byte> key = stackalloc byte[1 + Limits.KeyBytesMax];
        var storeKey = KeyForWrite(id, key);
        var life = Versions.TimeToLive(ttl);
        CheckDocument(value);
        var batch = Scope.BeginPooled();
        Fill(batch, OperationCode.JsonPut, storeKey[1..], default, value, life);
        return Scope.CommitPooledAsync(batch, cancellationToken);
    }

    /// <summary>Writes several whole documents in one transaction: all or nothing.</summary>
    /// <param name="documents">At most <see cref="Limits.ManyItemsMax"/>, each id once.</param>
    /// <param name="ttl">For all of them.</param>
    /// <returns>Sequence of the commit; <see cref="Sequence.None"/> inside a transaction, or when there was nothing to write.</returns>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidArgument"/>: an id twice.</exception>
    public Sequence PutMany(IReadOnlyCollection<KeyValuePair<string, Value>> documents, TimeSpan? ttl = null)
    {
        ArgumentNullException.ThrowIfNull(documents);
        Scope.ThrowIfNotWritable();
        Many.CheckCount(documents.Count, Engine.Limits);
        Many.CheckKeys(documents.Select(pair => pair.Key), documents.Count, isWrite: true);
        var life = Versions.TimeToLive(ttl);
        var bytes = 0L;
        foreach (var (_, value) in documents)
            bytes += CheckDocument(value);
        Many.CheckBytes(bytes, Engine.Limits);
        if (documents.Count == 0)
            return Sequence.None;
        if (Scope.Transaction is not null)
        {
            foreach (var (id, value) in documents)
                Put(id, value, ttl);
            return Sequence.None;
        }

        Span<byte> key = stackalloc byte[1 + Limits.KeyBytesMax];
        var batch = Scope.BeginSingle();
        foreach (var (id, value) in documents)
            Fill(batch, OperationCode.JsonPut, KeyForWrite(id, key)[1..], default, value, life);
        return new Sequence(Scope.CommitSingle(batch).Sequence);
    }

    /// <summary>The document, or this value if there is none yet, which is then made.</summary>
    /// <inheritdoc cref="Create(string, Value, TimeSpan?)" path="/param"/>
    public Value GetOrCreate(string id, Value value, TimeSpan? ttl = null)
    {
        while (true)
        {
            if (TryGet(id, out var found))
                return found;
            try
            {
                Create(id, value, ttl);
                return value;
            }
            catch (CairnException exists) when (exists.Code == ErrorCode.AlreadyExists && Scope.Transaction is null)
            {
                // Somebody else has made it: it is read, unless it is gone again by then.
            }
        }
    }

    /// <summary>Removes a document.</summary>
    /// <param name="id">As in <see cref="Create(string, Value, TimeSpan?)"/>.</param>
    /// <returns>Whether it was there. Removing an absent document writes nothing.</returns>
    public bool Delete(string id)
    {
        Span<byte> key = stackalloc byte[1 + Limits.KeyBytesMax];
        var storeKey = KeyForWrite(id, key);
        if (Scope.Transaction is not null)
        {
            if (!Exists(id))
                return false;
            Pend(OperationCode.JsonDestroy, storeKey[1..], Body(OperationCode.JsonDestroy, default, default), 0);
            return true;
        }

        var batch = Scope.BeginSingle();
        batch.OnlyDeletes = true;
        Fill(batch, OperationCode.JsonDestroy, storeKey[1..], default, default(ReadOnlySpan<byte>), 0);
        return Scope.TryCommitSingle(batch, new Expectation(Scope.Run, storeKey.ToArray(), ExpectationKind.Present, 0), out _);
    }

    /// <summary>Changes the expiry of a document to a time to live from now on.</summary>
    /// <param name="id">As in <see cref="Create(string, Value, TimeSpan?)"/>.</param>
    /// <param name="ttl">From 1 ms to 100 years; counts from the commit.</param>
    /// <returns>False when there is no such document.</returns>
    public bool Expire(string id, TimeSpan ttl) => ChangeExpiry(id, Versions.TimeToLive(ttl));

    /// <summary>Removes the expiry of a document.</summary>
    /// <param name="id">As in <see cref="Create(string, Value, TimeSpan?)"/>.</param>
    /// <returns>False when there is no such document.</returns>
    public bool Persist(string id) => ChangeExpiry(id, 0);

    // ---- places ----------------------------------------------------------------------------------------------------------------

    /// <summary>Writes what stands at a place, whatever was there; makes the objects on the way and the document where they are missing
    /// (JS-6). Blind: it does not conflict with other writes of the place, only with those that replace what holds it.</summary>
    /// <param name="id">1 to 1,024 bytes of UTF-8, no NUL, not beginning with <c>$</c>.</param>
    /// <param name="path">The place; <c>$</c> is the whole document, whose expiry stays.</param>
    /// <param name="value">Any kind; all numbers finite.</param>
    /// <returns>Sequence of the commit; <see cref="Sequence.None"/> inside a transaction, whose commit gives it.</returns>
    public Sequence Set(string id, DocumentPath path, Value value) => Write(OperationCode.JsonSet, id, path, value);

    /// <summary>Like <see cref="Set(string, DocumentPath, Value)"/>, awaiting durability instead of blocking.</summary>
    /// <param name="id">As there.</param>
    /// <param name="path">As there.</param>
    /// <param name="value">As there.</param>
    /// <param name="cancellationToken">Ends the waiting, not the commit: once it has a place in the log it is committed.</param>
    public ValueTask<Sequence> SetAsync(string id, DocumentPath path, Value value, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(path);
        cancellationToken.ThrowIfCancellationRequested();
        if (Scope.Transaction is not null)
            return ValueTask.FromResult(Set(id, path, value));
        Span<byte> key = stackalloc byte[1 + Limits.KeyBytesMax];
        var storeKey = KeyForWrite(id, key);
        CheckPart(path, value);
        var batch = Scope.BeginPooled();
        Fill(batch, OperationCode.JsonSet, storeKey[1..], path.Encoded, value, 0);
        return Scope.CommitPooledAsync(batch, cancellationToken);
    }

    /// <summary>Writes several places of one document in one transaction, in order: each finds what those before it have made.</summary>
    /// <param name="id">As in <see cref="Set(string, DocumentPath, Value)"/>.</param>
    /// <param name="places">At most <see cref="Limits.ManyItemsMax"/>.</param>
    /// <returns>Sequence of the commit; <see cref="Sequence.None"/> inside a transaction, or when there was nothing to write.</returns>
    public Sequence SetMany(string id, IReadOnlyCollection<KeyValuePair<DocumentPath, Value>> places)
    {
        ArgumentNullException.ThrowIfNull(places);
        Span<byte> key = stackalloc byte[1 + Limits.KeyBytesMax];
        var storeKey = KeyForWrite(id, key);
        Many.CheckCount(places.Count, Engine.Limits);
        var bytes = 0L;
        foreach (var (path, value) in places)
            bytes += CheckPart(path, value);
        Many.CheckBytes(bytes, Engine.Limits);
        if (places.Count == 0)
            return Sequence.None;
        if (Scope.Transaction is not null)
        {
            var operations = new List<(OperationCode, byte[])>(places.Count);
            foreach (var (path, value) in places)
                operations.Add((OperationCode.JsonSet, Body(OperationCode.JsonSet, path.Encoded, value.Encode())));
            Pend(storeKey[1..], operations, 0, isRelative: false);
            return Sequence.None;
        }

        var batch = Scope.BeginSingle();
        foreach (var (path, value) in places)
            Fill(batch, OperationCode.JsonSet, storeKey[1..], path.Encoded, value, 0);
        return new Sequence(Scope.CommitSingle(batch).Sequence);
    }

    /// <summary>Removes what stands at a place; behind an element the others move up (JS-8).</summary>
    /// <param name="id">As in <see cref="Set(string, DocumentPath, Value)"/>.</param>
    /// <param name="path">The place; not the root (delete the document).</param>
    /// <returns>Whether anything was there. Removing nothing writes nothing.</returns>
    public bool Delete(string id, DocumentPath path)
    {
        ArgumentNullException.ThrowIfNull(path);
        Span<byte> key = stackalloc byte[1 + Limits.KeyBytesMax];
        var storeKey = KeyForWrite(id, key);
        if (path.Count == 0)
            throw new DocumentException(ErrorCode.InvalidPath, "$", "the root is not removed; delete the document, or replace it.");
        if (Scope.Transaction is not null)
        {
            if (!Exists(id, path))
                return false;
            Pend(OperationCode.JsonDeletePath, storeKey[1..], Body(OperationCode.JsonDeletePath, path.Encoded, default), 0);
            return true;
        }

        var found = false;
        var owned = storeKey[1..].ToArray();
        var batch = Scope.BeginSingle();
        batch.OnlyDeletes = true;
        Fill(batch, OperationCode.JsonDeletePath, owned, path.Encoded, default(ReadOnlySpan<byte>), 0);
        batch.Decide = time => found = TryReadNewest(owned, path.Encoded, time, out _);
        Scope.CommitSingle(batch);
        return found;
    }

    /// <summary>Applies a JSON Patch (RFC 6902): all operations in order, or none. The document must be there.</summary>
    /// <param name="id">As in <see cref="Set(string, DocumentPath, Value)"/>.</param>
    /// <param name="patch">At most <see cref="Limits.PatchOperationsMax"/> operations.</param>
    /// <returns>Sequence of the commit; <see cref="Sequence.None"/> inside a transaction, whose commit gives it.</returns>
    /// <exception cref="DocumentException"><see cref="ErrorCode.NotFound"/>: there is no such document;
    /// <see cref="ErrorCode.TestFailed"/> or why an operation cannot be done. It says which, and where.</exception>
    public Sequence Patch(string id, JsonPatch patch)
    {
        ArgumentNullException.ThrowIfNull(patch);
        if (patch.Operations.Count > Engine.Limits.PatchOperationsMax)
        {
            throw new LimitException(
                nameof(Limits.PatchOperationsMax), Engine.Limits.PatchOperationsMax, patch.Operations.Count, "operations");
        }

        foreach (var operation in patch.Operations)
        {
            CheckPath(operation.Path);
            operation.Value.Measure.Check(Engine.Limits, FloatRule.Finite);
        }

        var text = patch.ToValue();
        Span<byte> key = stackalloc byte[1 + Limits.KeyBytesMax];
        var storeKey = KeyForWrite(id, key);
        return Write(OperationCode.JsonPatch, storeKey[1..], default, text.Encode());
    }

    /// <summary>Applies a Merge Patch (RFC 7396) to the whole document, which must be there: members of the patch replace, Null
    /// removes.</summary>
    /// <param name="id">As in <see cref="Set(string, DocumentPath, Value)"/>.</param>
    /// <param name="patch">Anything but an Object replaces.</param>
    /// <returns>Sequence of the commit; <see cref="Sequence.None"/> inside a transaction, whose commit gives it.</returns>
    /// <exception cref="DocumentException"><see cref="ErrorCode.NotFound"/>: there is no such document.</exception>
    public Sequence Merge(string id, Value patch) => Merge(id, DocumentPath.Root, patch);

    /// <summary>Applies a Merge Patch (RFC 7396) to what stands at a place. A place that is not there is made as by
    /// <see cref="Set(string, DocumentPath, Value)"/>.</summary>
    /// <inheritdoc cref="Merge(string, Value)"/>
    /// <param name="id">As in <see cref="Set(string, DocumentPath, Value)"/>.</param>
    /// <param name="path">The place.</param>
    /// <param name="patch">Anything but an Object replaces.</param>
    public Sequence Merge(string id, DocumentPath path, Value patch) => Write(OperationCode.JsonMerge, id, path, patch);

    /// <summary>Writes a place only if the document's version is the expected one.</summary>
    /// <param name="id">As in <see cref="Set(string, DocumentPath, Value)"/>.</param>
    /// <param name="expected">The version read before; <see cref="Sequence.None"/> = there must be no such document. Inside a transaction
    /// it is compared with the committed version: own writes do not change it.</param>
    /// <param name="path">The place.</param>
    /// <param name="value">Any kind; all numbers finite.</param>
    /// <returns>The new version; <see cref="Sequence.None"/> inside a transaction.</returns>
    /// <exception cref="VersionMismatchException">It is another one; the exception says which.</exception>
    public Sequence CompareAndSet(string id, Sequence expected, DocumentPath path, Value value)
    {
        ArgumentNullException.ThrowIfNull(path);
        Span<byte> key = stackalloc byte[1 + Limits.KeyBytesMax];
        var storeKey = KeyForWrite(id, key);
        CheckPart(path, value);
        var expectation = new Expectation(
            Scope.Run, [StoreKeys.JsonHeader, .. storeKey[1..]], ExpectationKind.Version, expected.Value);
        if (Scope.Transaction is { } transaction)
        {
            using var use = Scope.Use();
            if (!Scope.Holds(expectation, out var refusal))
                throw new VersionMismatchException("json", id, expected.Value, refusal.Actual);
            Pend(OperationCode.JsonSet, storeKey[1..], Body(OperationCode.JsonSet, path.Encoded, value.Encode()), 0);
            transaction.Expectations.Add(expectation);
            return Sequence.None;
        }

        var batch = Scope.BeginSingle();
        Fill(batch, OperationCode.JsonSet, storeKey[1..], path.Encoded, value, 0);
        if (Scope.TryCommitSingle(batch, expectation, out var placed))
            return new Sequence(placed.Sequence);
        throw new VersionMismatchException("json", id, expected.Value, placed.Refusal!.Actual);
    }

    /// <summary>Writes a place only if what stands there is equal to the expected value, by canonical bytes. Inside a transaction it is a
    /// read of the place.</summary>
    /// <param name="id">As in <see cref="Set(string, DocumentPath, Value)"/>.</param>
    /// <param name="path">The place.</param>
    /// <param name="expected">What must stand there; null = nothing (the value Null is <see cref="Value.Null"/>).</param>
    /// <param name="value">Any kind; all numbers finite.</param>
    /// <returns>False when something else stood there; nothing was written then.</returns>
    public bool CompareAndSetAt(string id, DocumentPath path, Value? expected, Value value)
    {
        ArgumentNullException.ThrowIfNull(path);
        Span<byte> key = stackalloc byte[1 + Limits.KeyBytesMax];
        var storeKey = KeyForWrite(id, key);
        CheckPart(path, value);
        if (Scope.Transaction is not null)
        {
            if (Get(id, path) != expected)
                return false;
            Pend(OperationCode.JsonSet, storeKey[1..], Body(OperationCode.JsonSet, path.Encoded, value.Encode()), 0);
            return true;
        }

        var isEqual = false;
        var owned = storeKey[1..].ToArray();
        var batch = Scope.BeginSingle();
        Fill(batch, OperationCode.JsonSet, owned, path.Encoded, value, 0);
        batch.Decide = time =>
            isEqual = TryReadNewest(owned, path.Encoded, time, out var found) ? expected == found : expected is null;
        try
        {
            Scope.CommitSingle(batch);
        }
        catch (DocumentException) when (expected is not null)
        {
            return false;                                    // where the path does not lead, nothing is equal to a value
        }

        return isEqual;
    }

    // ---- arrays, numbers, texts ------------------------------------------------------------------------------------------------

    /// <summary>Puts values behind the last element of an array. Appends commute: inside a transaction it reads nothing of the array but
    /// that it is there.</summary>
    /// <param name="id">As in <see cref="Set(string, DocumentPath, Value)"/>.</param>
    /// <param name="path">The array.</param>
    /// <param name="values">Any kinds; all numbers finite.</param>
    /// <returns>Sequence of the commit; <see cref="Sequence.None"/> inside a transaction, whose commit gives it.</returns>
    public Sequence ArrayAppend(string id, DocumentPath path, params ReadOnlySpan<Value> values) =>
        Write(OperationCode.JsonArrayAppend, id, path, Value.Array(values), isRelative: true);

    /// <summary>Puts values into an array, before an element.</summary>
    /// <param name="id">As in <see cref="Set(string, DocumentPath, Value)"/>.</param>
    /// <param name="path">The array.</param>
    /// <param name="index">From 0 to its length, which is behind the last; negative counts from the end.</param>
    /// <param name="values">Any kinds; all numbers finite.</param>
    /// <returns>Sequence of the commit; <see cref="Sequence.None"/> inside a transaction, whose commit gives it.</returns>
    public Sequence ArrayInsert(string id, DocumentPath path, long index, params ReadOnlySpan<Value> values)
    {
        ArgumentNullException.ThrowIfNull(path);
        var array = Value.Array(values);
        CheckPart(path, array);
        Span<byte> key = stackalloc byte[1 + Limits.KeyBytesMax];
        var storeKey = KeyForWrite(id, key);
        return Write(OperationCode.JsonArrayInsert, storeKey[1..], path.Encoded, Range(index, array.Encode()));
    }

    /// <summary>Takes elements out of an array.</summary>
    /// <param name="id">As in <see cref="Set(string, DocumentPath, Value)"/>.</param>
    /// <param name="path">The array.</param>
    /// <param name="index">Of the first; negative counts from the end.</param>
    /// <param name="count">How many; all of them must be there.</param>
    /// <returns>Sequence of the commit; <see cref="Sequence.None"/> inside a transaction, whose commit gives it.</returns>
    public Sequence ArrayRemove(string id, DocumentPath path, long index, int count = 1)
    {
        ArgumentNullException.ThrowIfNull(path);
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        Span<byte> key = stackalloc byte[1 + Limits.KeyBytesMax];
        var storeKey = KeyForWrite(id, key);
        return Write(
            OperationCode.JsonArrayRemove, storeKey[1..], path.Encoded, Range(index, count));
    }

    /// <summary>Takes the last element out of an array.</summary>
    /// <param name="id">As in <see cref="Set(string, DocumentPath, Value)"/>.</param>
    /// <param name="path">The array.</param>
    /// <returns>The element; null when the array is empty, and nothing was written then.</returns>
    /// <exception cref="DocumentException"><see cref="ErrorCode.TypeMismatch"/>: something else stands there;
    /// <see cref="ErrorCode.PathNotFound"/>: nothing does.</exception>
    public Value? ArrayPop(string id, DocumentPath path)
    {
        ArgumentNullException.ThrowIfNull(path);
        var last = path.Element(-1);
        if (Scope.Transaction is not null)
            return PopPending(id, path, last);
        Span<byte> key = stackalloc byte[1 + Limits.KeyBytesMax];
        var storeKey = KeyForWrite(id, key);
        Value? popped = null;
        var owned = storeKey[1..].ToArray();
        var batch = Scope.BeginSingle();
        Fill(batch, OperationCode.JsonArrayRemove, owned, path.Encoded, Range(-1, 1), 0);
        batch.Decide = time =>
        {
            popped = TryReadNewest(owned, last.Encoded, time, out var found) ? found : default(Value?);
            return popped is not null;
        };
        try
        {
            Scope.CommitSingle(batch);
        }
        catch (DocumentException failed) when (failed.Code == ErrorCode.PathNotFound && ArrayLength(id, path) == 0)
        {
            return null;
        }

        return popped;
    }

    /// <summary>Adds to a number (JS-18): exactly between Int64s; Float64 if either is one. What is missing counts as 0.</summary>
    /// <param name="id">As in <see cref="Set(string, DocumentPath, Value)"/>.</param>
    /// <param name="path">The number.</param>
    /// <param name="by">An Int64 or a finite Float64.</param>
    /// <returns>The new number. Inside a transaction it is a read of the place.</returns>
    /// <exception cref="DocumentException"><see cref="ErrorCode.TypeMismatch"/>: no number stands there;
    /// <see cref="ErrorCode.Overflow"/>. Nothing was written.</exception>
    public Value Increment(string id, DocumentPath path, Value by)
    {
        ArgumentNullException.ThrowIfNull(path);
        CheckNumber(by);
        CheckPart(path, by);
        Span<byte> key = stackalloc byte[1 + Limits.KeyBytesMax];
        var storeKey = KeyForWrite(id, key);
        if (Scope.Transaction is not null)
            return AddPending(storeKey[1..], path, by, Look.Read);
        Span<byte> rest = stackalloc byte[2 * DocumentBody.NumberBytes];
        DocumentBody.WriteNumber(rest, by);
        DocumentBody.WriteNumber(rest[DocumentBody.NumberBytes..], 0);
        var batch = Scope.BeginSingle();
        Fill(batch, OperationCode.JsonIncrement, storeKey[1..], path.Encoded, rest, 0);
        return Scope.CommitSingle(batch, ReadSum);
    }

    /// <summary>Adds to a number without asking for the result: inside a transaction it reads nothing of the number and commutes with every
    /// other addition.</summary>
    /// <inheritdoc cref="Increment" path="/param"/>
    /// <inheritdoc cref="Increment" path="/exception"/>
    public void Add(string id, DocumentPath path, Value by)
    {
        if (Scope.Transaction is null)
        {
            Increment(id, path, by);
            return;
        }

        ArgumentNullException.ThrowIfNull(path);
        CheckNumber(by);
        CheckPart(path, by);
        Span<byte> key = stackalloc byte[1 + Limits.KeyBytesMax];
        AddPending(KeyForWrite(id, key)[1..], path, by, Look.Blind);
    }

    /// <summary>Puts a text behind the one that stands at a place; where nothing does, it is written there. Inside a transaction it does
    /// not read the text.</summary>
    /// <param name="id">As in <see cref="Set(string, DocumentPath, Value)"/>.</param>
    /// <param name="path">The place.</param>
    /// <param name="text">What comes behind.</param>
    /// <returns>Sequence of the commit; <see cref="Sequence.None"/> inside a transaction, whose commit gives it.</returns>
    /// <exception cref="DocumentException"><see cref="ErrorCode.TypeMismatch"/>: no String stands there.</exception>
    public Sequence StringAppend(string id, DocumentPath path, string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        return Write(OperationCode.JsonStringAppend, id, path, text, isRelative: true);
    }

    // ---- how they are written --------------------------------------------------------------------------------------------------

    private Sequence Write(OperationCode code, string id, Value value, TimeSpan? ttl)
    {
        Span<byte> key = stackalloc byte[1 + Limits.KeyBytesMax];
        var storeKey = KeyForWrite(id, key);
        var life = Versions.TimeToLive(ttl);
        CheckDocument(value);
        if (Scope.Transaction is not null)
        {
            if (code == OperationCode.JsonCreate && Exists(id))
                throw DocumentOperations.Exists(id);
            Pend(code, storeKey[1..], Body(code, default, value.Encode()), life);
            return Sequence.None;
        }

        var batch = Scope.BeginSingle();
        Fill(batch, code, storeKey[1..], default, value, life);
        return new Sequence(Scope.CommitSingle(batch).Sequence);
    }

    private Sequence Write(OperationCode code, string id, DocumentPath path, Value value, bool isRelative = false)
    {
        ArgumentNullException.ThrowIfNull(path);
        Span<byte> key = stackalloc byte[1 + Limits.KeyBytesMax];
        var storeKey = KeyForWrite(id, key);
        CheckPart(path, value);
        if (Scope.Transaction is not null)
        {
            Pend(code, storeKey[1..], Body(code, path.Encoded, value.Encode()), 0, isRelative);
            return Sequence.None;
        }

        Span<byte> buffer = stackalloc byte[DocumentKeys.BufferBytes];
        var fetch = new DocumentFetch(Scope.Run.Store, stackalloc ulong[DocumentFetch.KeysMax]);
        fetch.Begin(buffer, storeKey[1..], path, forChange: true);
        var batch = Scope.BeginSingle();
        Fill(batch, code, storeKey[1..], path.Encoded, value, 0);
        var isRight = fetch.End();
        var placed = Scope.CommitSingle(batch);
        if (!isRight)
            Learn(buffer, storeKey[1..], path);
        return new Sequence(placed.Sequence);
    }

    // The walks of a commit know no trail: they have the path from the operation.
    private void Learn(Span<byte> buffer, ReadOnlySpan<byte> id, DocumentPath path)
    {
        using var look = new DocumentLook(Engine.Pins, Scope);
        DocumentTrees.Open(look.Nodes, buffer, id, null).TryFind(path.Encoded, Look.Blind, out _, path.Trail);
    }

    private Sequence Write(OperationCode code, ReadOnlySpan<byte> id, byte[]? path, byte[] rest)
    {
        if (Scope.Transaction is not null)
        {
            Pend(code, id, Body(code, path, rest), 0);
            return Sequence.None;
        }

        var batch = Scope.BeginSingle();
        Fill(batch, code, id, path, rest, 0);
        return new Sequence(Scope.CommitSingle(batch).Sequence);
    }

    private static void Fill(Batch batch, OperationCode code, ReadOnlySpan<byte> id, byte[]? path, Value value, long life)
    {
        var body = DocumentOperations.Add(
            batch, code, id, DocumentBody.Length(code, path?.Length ?? 0, value.EncodedLength), -life);
        ValueCodec.Encode(value, DocumentBody.Write(body, code, path));
    }

    private static void Fill(Batch batch, OperationCode code, ReadOnlySpan<byte> id, byte[]? path, ReadOnlySpan<byte> rest, long life)
    {
        var body = DocumentOperations.Add(batch, code, id, DocumentBody.Length(code, path?.Length ?? 0, rest.Length), -life);
        rest.CopyTo(DocumentBody.Write(body, code, path));
    }

    private static byte[] Body(OperationCode code, byte[]? path, byte[]? rest)
    {
        var body = new byte[DocumentBody.Length(code, path?.Length ?? 0, rest?.Length ?? 0)];
        rest?.CopyTo(DocumentBody.Write(body, code, path));
        if (rest is null)
            DocumentBody.Write(body, code, path);
        return body;
    }

    private static Value ReadSum(Batch batch)
    {
        var rest = batch.OwnOperationsOf(batch.Parts[0]);
        Operation.TryTake(ref rest, out var operation, out _);
        DocumentBody.TryRead(operation, out var body);
        return body.Sum;
    }

    private bool ChangeExpiry(string id, long life)
    {
        Span<byte> key = stackalloc byte[1 + Limits.KeyBytesMax];
        var storeKey = KeyForWrite(id, key);
        if (Scope.Transaction is not null)
        {
            if (!Exists(id))
                return false;
            Pend(OperationCode.JsonExpire, storeKey[1..], Body(OperationCode.JsonExpire, null, null), life);
            return true;
        }

        var batch = Scope.BeginSingle();
        Fill(batch, OperationCode.JsonExpire, storeKey[1..], null, default(ReadOnlySpan<byte>), life);
        return Scope.TryCommitSingle(batch, new Expectation(Scope.Run, storeKey.ToArray(), ExpectationKind.Present, 0), out _);
    }

    // Under the run's lock, on the newest state.
    private bool TryReadNewest(byte[] id, byte[] path, long time, out Value value)
    {
        using var reader = Scope.Run.Store.Read();
        Span<byte> buffer = stackalloc byte[DocumentKeys.BufferBytes];
        var tree = DocumentTrees.Open(new ScopeNodes(Scope, reader, ulong.MaxValue, time), buffer, id, null);
        var isFound = tree.TryFind(path, Look.Blind, out var found);
        value = isFound ? tree.Read(found) : default;
        return isFound;
    }

    // ---- in a transaction ------------------------------------------------------------------------------------------------------

    private void Pend(OperationCode code, ReadOnlySpan<byte> id, byte[] body, long life, bool isRelative = false) =>
        Pend(id, [(code, body)], life, isRelative);

    // All of them are done on the snapshot with the transaction's writes over it, and only then are they the transaction's.
    private void Pend(ReadOnlySpan<byte> id, List<(OperationCode Code, byte[] Body)> operations, long life, bool isRelative)
    {
        using var use = Scope.Use();
        Scope.ThrowIfNotReadable();
        var bytes = operations.Count * (long)id.Length + operations.Sum(operation => (long)operation.Body.Length);
        Scope.Writes!.CheckRoom(operations.Count, bytes);
        var own = new OwnNodes();
        var look = new DocumentLook(Engine.Pins, Scope, own);
        try
        {
            Span<byte> buffer = stackalloc byte[DocumentKeys.BufferBytes];
            foreach (var (code, body) in operations)
            {
                var operation = Compose(code, id, body, life);
                DocumentBody.TryRead(operation, out var read);
                var tree = DocumentTrees.Open(look.Nodes, buffer, id, Engine.Limits);
                DocumentOperations.Do(ref tree, operation, read);
                tree.End();
            }
        }
        finally
        {
            look.Dispose();
        }

        foreach (var (code, body) in operations)
            Keep(code, id, body, life);
        own.MoveTo(Scope.Writes, isRelative);
    }

    private void Keep(OperationCode code, ReadOnlySpan<byte> id, byte[] body, long life) => Scope.Writes!.Add(new PendingWrite
    {
        StoreKey = [],
        Code = code,
        OperationKey = id.ToArray(),
        Value = body,
        TimeToLive = life,
        IsDelete = code == OperationCode.JsonDestroy,
    });

    private static Operation Compose(OperationCode code, ReadOnlySpan<byte> id, byte[] body, long life)
    {
        var lead = life == 0 ? 0 : sizeof(long);
        var bytes = new byte[Operation.Length(id.Length, lead + body.Length)];
        var target = Operation.Write(bytes, (byte)code, life == 0 ? (byte)0 : Operation.HasExpiryFlag, id, lead + body.Length);
        if (life != 0)
            BinaryPrimitives.WriteInt64LittleEndian(target, -life);
        body.CopyTo(target[lead..]);
        return new Operation(bytes, out _);
    }

    private Value AddPending(ReadOnlySpan<byte> id, DocumentPath path, Value by, Look look)
    {
        using var use = Scope.Use();
        Scope.ThrowIfNotReadable();
        var rest = new byte[2 * DocumentBody.NumberBytes];
        DocumentBody.WriteNumber(rest, by);
        DocumentBody.WriteNumber(rest.AsSpan(DocumentBody.NumberBytes), 0);
        var body = Body(OperationCode.JsonIncrement, path.Encoded, rest);
        Scope.Writes!.CheckRoom(1, id.Length + (long)body.Length);
        var own = new OwnNodes();
        var taken = new DocumentLook(Engine.Pins, Scope, own);
        Value sum;
        try
        {
            Span<byte> buffer = stackalloc byte[DocumentKeys.BufferBytes];
            var tree = DocumentTrees.Open(taken.Nodes, buffer, id, Engine.Limits);
            sum = DocumentOperations.Sum(ref tree, path.Encoded, by, look);
            tree.Set(path.Encoded, sum.Encode());
            tree.End();
        }
        finally
        {
            taken.Dispose();
        }

        Keep(OperationCode.JsonIncrement, id, body, 0);
        own.MoveTo(Scope.Writes, isRelative: true);
        return sum;
    }

    private Value? PopPending(string id, DocumentPath path, DocumentPath last)
    {
        using var use = Scope.Use();
        if (ArrayLength(id, path) is not { } length)
        {
            throw new DocumentException(ErrorCode.PathNotFound, path.ToString(), "there is no such array.");
        }

        if (length == 0)
            return null;
        var popped = Get(id, last);
        ArrayRemove(id, path, -1);
        return popped;
    }

    // ---- doors -----------------------------------------------------------------------------------------------------------------

    private ReadOnlySpan<byte> KeyForWrite(string id, Span<byte> buffer)
    {
        Scope.ThrowIfNotWritable();
        return KeyRules.EncodeBehind(StoreKeys.Json, id, isWrite: true, buffer);
    }

    private int CheckDocument(in Value value) => value.Measure.Check(Engine.Limits, FloatRule.Finite);

    private int CheckPart(DocumentPath path, in Value value)
    {
        ArgumentNullException.ThrowIfNull(path);
        var bytes = value.Measure.Check(Engine.Limits, FloatRule.Finite);
        CheckPath(path);
        DocumentTree<ScopeNodes>.CheckDepth(path.Encoded, value.Measure.Depth, Engine.Limits);
        return bytes;
    }

    // The names on a path may become members.
    private void CheckPath(DocumentPath path)
    {
        if (path.Count > Engine.Limits.PathSegmentsMax)
            throw new LimitException(nameof(Limits.PathSegmentsMax), Engine.Limits.PathSegmentsMax, path.Count, "segments");
        if (path.Encoded.Length <= Engine.Limits.StringBytesMax)
            return;
        foreach (ref readonly var segment in path.Segments)
        {
            if (segment.Name is { } name && Utf8.GetByteCount(name) is var length && length > Engine.Limits.StringBytesMax)
                throw new LimitException(nameof(Limits.StringBytesMax), Engine.Limits.StringBytesMax, length, "bytes");
        }
    }

    private static void CheckNumber(in Value by)
    {
        if (!Comparison.IsNumber(by))
            throw new CairnException(ErrorCode.WrongType, $"An increment is an Int64 or a Float64, and this is {by.Kind}.");
        if (by.Kind == ValueKind.Float64 && !double.IsFinite(by.AsFloat64()))
            throw new CairnException(ErrorCode.InvalidArgument, "An increment is a finite number.");
    }

    private static byte[] Range(long index, ReadOnlySpan<byte> rest)
    {
        var bytes = new byte[sizeof(long) + rest.Length];
        BinaryPrimitives.WriteInt64LittleEndian(bytes, index);
        rest.CopyTo(bytes.AsSpan(sizeof(long)));
        return bytes;
    }

    private static byte[] Range(long index, int count)
    {
        Span<byte> rest = stackalloc byte[sizeof(int)];
        BinaryPrimitives.WriteInt32LittleEndian(rest, count);
        return Range(index, rest);
    }

    private static byte[] Uuid(UInt128 uuid)
    {
        var bytes = new byte[16];
        BinaryPrimitives.WriteUInt128BigEndian(bytes, uuid);
        return bytes;
    }
}
