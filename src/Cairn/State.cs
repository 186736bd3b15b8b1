using System.Diagnostics.CodeAnalysis;
using Cairn.Codec;
using Cairn.Primitives;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn;

/// <summary>The state primitive of a run: named cells that are read and changed together. Each write of a cell makes its counter one
/// larger, so that a counter names one write of one cell for ever. On <see cref="Run.State"/> each call is a transaction of its own and
/// returns when it is as durable as the database's mode asks; on <see cref="Transaction"/> it takes part in that. Thread-safe on a run; a
/// transaction belongs to one thread at a time.</summary>
/// <exception cref="CairnException">Every write: <see cref="ErrorCode.InvalidKey"/>, <see cref="ErrorCode.RunClosed"/>,
/// <see cref="ErrorCode.NotFound"/> (the run was deleted), <see cref="ErrorCode.ReadOnly"/>.</exception>
/// <exception cref="LimitException">Every write: the name, the value or the time to live is out of its limits.</exception>
/// <exception cref="BusyException">Every write: no room in the log for too long, or the disk is full.</exception>
/// <exception cref="DatabaseFailedException">Every write: an I/O error; the outcome may be unknown.</exception>
public sealed class State : StateView
{
    /// <summary>TX-30: losses after the first before a transition gives up.</summary>
    private const int TransitionRetries = 200;

    internal State(Engine engine, Scope scope)
        : base(engine, scope)
    {
    }

    /// <summary>Creates a cell.</summary>
    /// <param name="name">1 to 1,024 bytes of UTF-8, no NUL, not beginning with <c>$</c>.</param>
    /// <param name="value">Any kind, Null included; at most <see cref="Limits.ValueBytesMax"/> encoded.</param>
    /// <param name="ttl">From 1 ms to 100 years; counts from the commit.</param>
    /// <returns>Counter and sequence; inside a transaction readable when that has committed.</returns>
    /// <exception cref="CairnException"><see cref="ErrorCode.AlreadyExists"/>: there is such a cell; nothing was written.</exception>
    public StateReceipt Init(string name, Value value, TimeSpan? ttl = null) => TryInit(name, value, ttl, out var receipt, out _)
        ? receipt
        : throw new CairnException(
            ErrorCode.AlreadyExists, "There is a state cell of this name. GetOrInit reads it then; Set replaces it.");

    // The refusal outside a transaction tells the cell that is there.
    private bool TryInit(string name, Value value, TimeSpan? ttl, out StateReceipt receipt, out Refusal? refusal)
    {
        Span<byte> buffer = stackalloc byte[1 + Limits.KeyBytesMax];
        var key = KeyForWrite(name, buffer);
        refusal = null;
        using var use = Scope.Use();
        if (Scope.Writes?.Find(key) is { } write)
        {
            // What the transaction itself has made of the cell counts: it was read, or is blind.
            var life = Versions.TimeToLive(ttl);
            ValueCodec.EncodedLength(value, Engine.Limits);
            var isFree = write.IsDelete;
            receipt = isFree ? SetPending(key, OperationCode.StateInit, value, life) : default;
            return isFree;
        }

        return TryWriteIf(key, OperationCode.StateInit, value, ttl, Counter.None, out receipt, out refusal);
    }

    /// <summary>Writes a cell, whatever was there; creates it if it is absent. Blind: it never conflicts. Without a time to live an older
    /// expiry is cleared.</summary>
    /// <inheritdoc cref="Init" path="/param"/>
    /// <inheritdoc cref="Init" path="/returns"/>
    public StateReceipt Set(string name, Value value, TimeSpan? ttl = null)
    {
        Span<byte> buffer = stackalloc byte[1 + Limits.KeyBytesMax];
        var key = KeyForWrite(name, buffer);
        var life = Versions.TimeToLive(ttl);
        var length = ValueCodec.EncodedLength(value, Engine.Limits);
        if (Scope.Transaction is not null)
            return SetPending(key, OperationCode.StateSet, value, life);
        var batch = Scope.BeginSingle();
        StateOperations.AddWrite(batch, OperationCode.StateSet, key[1..], 1, length, -life, out var target);
        ValueCodec.Encode(value, target);
        return Scope.CommitSingle(batch, StateOperations.ReadReceipt);
    }

    /// <summary>Like <see cref="Set"/>, awaiting durability instead of blocking.</summary>
    /// <param name="name">As there.</param>
    /// <param name="value">As there.</param>
    /// <param name="ttl">As there.</param>
    /// <param name="cancellationToken">Ends the waiting, not the commit: once it has a place in the log it is committed.</param>
    public ValueTask<StateReceipt> SetAsync(string name, Value value, TimeSpan? ttl = null, CancellationToken cancellationToken = default)
    {
        cancellationToken.ThrowIfCancellationRequested();
        if (Scope.Transaction is not null)
            return ValueTask.FromResult(Set(name, value, ttl));
        Span<byte> buffer = stackalloc byte[1 + Limits.KeyBytesMax];
        var key = KeyForWrite(name, buffer);
        var life = Versions.TimeToLive(ttl);
        var length = ValueCodec.EncodedLength(value, Engine.Limits);
        var batch = Scope.BeginOwned();
        StateOperations.AddWrite(batch, OperationCode.StateSet, key[1..], 1, length, -life, out var target);
        ValueCodec.Encode(value, target);
        return Scope.CommitOwnedAsync(batch, StateOperations.ReadReceipt, cancellationToken);
    }

    /// <summary>Writes a cell only if its counter is the expected one. An older counter fails, also when the value has become the same
    /// again.</summary>
    /// <param name="name">As in <see cref="Init"/>.</param>
    /// <param name="expected">The counter read before; <see cref="Counter.None"/> = the cell must be absent. Inside a transaction it is
    /// compared with the committed counter: own writes do not change it.</param>
    /// <param name="value">As in <see cref="Init"/>.</param>
    /// <param name="ttl">As in <see cref="Init"/>.</param>
    /// <inheritdoc cref="Init" path="/returns"/>
    /// <exception cref="VersionMismatchException">It is another one; the exception says which. Nothing was written.</exception>
    public StateReceipt CompareAndSet(string name, Counter expected, Value value, TimeSpan? ttl = null)
    {
        Span<byte> buffer = stackalloc byte[1 + Limits.KeyBytesMax];
        var key = KeyForWrite(name, buffer);
        if (TryWriteIf(key, OperationCode.StateSet, value, ttl, expected, out var receipt, out var refusal))
            return receipt;
        throw new VersionMismatchException("state", name, expected.Value, refusal.Actual);
    }

    private bool TryWriteIf(
        ReadOnlySpan<byte> key, OperationCode code, in Value value, TimeSpan? ttl, Counter expected, out StateReceipt receipt,
        [NotNullWhen(false)] out Refusal? refusal)
    {
        var life = Versions.TimeToLive(ttl);
        var length = ValueCodec.EncodedLength(value, Engine.Limits);
        var tellsFound = code == OperationCode.StateInit;
        var expectation = new Expectation(Scope.Run, key.ToArray(), ExpectationKind.Counter, expected.Value, TellsFound: tellsFound);
        if (Scope.Transaction is { } transaction)
        {
            using var use = Scope.Use();
            receipt = default;
            if (!Scope.Holds(expectation, out refusal))
                return false;
            transaction.Expectations.Add(expectation);
            receipt = SetPending(key, code, value, life);
            return true;
        }

        var batch = Scope.BeginSingle();
        StateOperations.AddWrite(batch, code, key[1..], 1, length, -life, out var target);
        ValueCodec.Encode(value, target);
        Scope.TryCommitSingle(batch, expectation, StateOperations.ReadReceipt, out receipt, out var placed);
        refusal = placed.Refusal;
        return refusal is null;
    }

    /// <summary>Reads a cell, computes, and writes the result, in one transaction that is tried again when somebody else was
    /// faster.</summary>
    /// <param name="name">As in <see cref="Init"/>.</param>
    /// <param name="transition">From the present value to the next. May run several times: no effects. Its exceptions abort and pass
    /// through.</param>
    /// <param name="ttl">A new time to live; null keeps the expiry that the cell has.</param>
    /// <returns>The new value and counter; inside a transaction good if that commits.</returns>
    /// <exception cref="CairnException"><see cref="ErrorCode.NotFound"/>: no such cell.</exception>
    /// <exception cref="ConflictException">It lost more than 200 times.</exception>
    public TransitionResult Transition(string name, Func<Value, Value> transition, TimeSpan? ttl = null) =>
        Transition(name, null, transition, ttl);

    /// <summary>Like <see cref="Transition(string, Func{Value, Value}, TimeSpan?)"/>; an absent cell counts as one with the initial value.
    /// That is one write: the cell never shows the initial value itself.</summary>
    /// <param name="name">As in <see cref="Init"/>.</param>
    /// <param name="initial">What an absent cell is taken for.</param>
    /// <param name="transition">From the present value to the next. May run several times: no effects.</param>
    /// <param name="ttl">A new time to live; null keeps the expiry that the cell has.</param>
    /// <returns>The new value and counter; inside a transaction good if that commits.</returns>
    /// <exception cref="ConflictException">It lost more than 200 times.</exception>
    public TransitionResult TransitionOrInit(string name, Value initial, Func<Value, Value> transition, TimeSpan? ttl = null) =>
        Transition(name, (Value?)initial, transition, ttl);

    private TransitionResult Transition(string name, Value? initial, Func<Value, Value> transition, TimeSpan? ttl)
    {
        ArgumentNullException.ThrowIfNull(transition);
        Span<byte> buffer = stackalloc byte[1 + Limits.KeyBytesMax];
        var key = KeyForWrite(name, buffer);
        var life = Versions.TimeToLive(ttl);
        if (Scope.Transaction is not null)
            return TransitionPending(key, initial, transition, life);
        return Engine.Transact(
            [Scope.Run],
            new TransactionOptions { Commit = Scope.Options },
            TransitionRetries,
            transaction => new State(Engine, transaction.Find(Scope.Run.Id)!).Transition(name, initial, transition, ttl));
    }

    private TransitionResult TransitionPending(ReadOnlySpan<byte> key, Value? initial, Func<Value, Value> transition, long life)
    {
        using var use = Scope.Use();
        Value value;
        var counter = 0UL;
        var expiry = 0L;
        Scope.ThrowIfNotReadable();
        using (var reader = Scope.Run.Store.Read())
        {
            if (Scope.TryGet(reader, key, out var version))
            {
                value = Value.Decode(version.Value[StateOperations.CounterBytes..]);
                counter = StateOperations.CounterOf(version);
                expiry = version.Expiry;
            }
            else
            {
                value = initial ?? throw new CairnException(
                    ErrorCode.NotFound, "There is no state cell of this name. Init it first, or use TransitionOrInit.");
                counter = CounterOfAbsent(reader, key);
            }
        }

        var next = transition(value);
        ValueCodec.EncodedLength(next, Engine.Limits);
        var before = Scope.Writes!.Find(key);
        var kept = before?.TimeToLive ?? 0;
        SetPending(key, OperationCode.StateTransition, next, life != 0 ? life : kept);
        if (life == 0 && kept == 0)
            Scope.Writes.Find(key)!.Expiry = expiry;
        return new TransitionResult(next, counter + 1);
    }

    // Deleted or expired: the counter goes on from there (S1). A read of what was committed.
    private ulong CounterOfAbsent(scoped in StoreReader reader, ReadOnlySpan<byte> key)
    {
        Scope.NotePoint(key);
        var committed = Scope.TryGetCommitted(reader, key, out var version) ? StateOperations.CounterOf(version) : 0;
        return committed + (Scope.Writes!.Find(key)?.Steps ?? 0);
    }

    /// <summary>Reads a cell, or creates it: of several callers at the same time exactly one creates it, and all get its value.</summary>
    /// <param name="name">As in <see cref="Init"/>.</param>
    /// <param name="factory">Makes the value if the cell is absent; called at most once.</param>
    /// <param name="ttl">Of a cell that is created.</param>
    public Value GetOrInit(string name, Func<Value> factory, TimeSpan? ttl = null)
    {
        ArgumentNullException.ThrowIfNull(factory);
        using var use = Scope.Use();
        if (TryGet(name, out var present))
            return present;
        var created = factory();
        if (TryInit(name, created, ttl, out _, out var refusal))
            return created;
        Invariant.Check(refusal?.Found is not null, "in a transaction a cell that was absent is free");
        return StateOperations.ToCell(refusal.Found.View).Value;
    }

    /// <summary>Removes a cell. Its counter stays: a cell of the same name counts on from it.</summary>
    /// <param name="name">As in <see cref="Init"/>.</param>
    /// <returns>Whether it was there. Removing an absent cell writes nothing.</returns>
    public bool Delete(string name)
    {
        Span<byte> buffer = stackalloc byte[1 + Limits.KeyBytesMax];
        var key = KeyForWrite(name, buffer);
        if (Scope.Transaction is not null)
        {
            using var use = Scope.Use();
            if (!Exists(name))
                return false;
            DeletePending(key);
            return true;
        }

        return TryDelete(key, new Expectation(Scope.Run, key.ToArray(), ExpectationKind.Present, 0));
    }

    private bool TryDelete(ReadOnlySpan<byte> key, Expectation expectation)
    {
        var batch = Scope.BeginSingle();
        batch.OnlyDeletes = true;
        StateOperations.AddDelete(batch, key[1..], 1);
        return Scope.TryCommitSingle(batch, expectation, out _);
    }

    /// <summary>Changes the expiry of a cell to a time to live from now on. A new version, but no write: the counter stays.</summary>
    /// <param name="name">As in <see cref="Init"/>.</param>
    /// <param name="ttl">From 1 ms to 100 years; counts from the commit.</param>
    /// <returns>False when there is no such cell.</returns>
    public bool Expire(string name, TimeSpan ttl) => ChangeExpiry(name, Versions.TimeToLive(ttl));

    /// <summary>Removes the expiry of a cell. A new version, but no write: the counter stays.</summary>
    /// <param name="name">As in <see cref="Init"/>.</param>
    /// <returns>False when there is no such cell.</returns>
    public bool Persist(string name) => ChangeExpiry(name, 0);

    private bool ChangeExpiry(string name, long life)
    {
        Span<byte> buffer = stackalloc byte[1 + Limits.KeyBytesMax];
        var key = KeyForWrite(name, buffer);
        return Scope.Transaction is null
            ? TryExpire(key, life, new Expectation(Scope.Run, key.ToArray(), ExpectationKind.Present, 0), out _)
            : ExpirePending(key, life);
    }

    private bool TryExpire(ReadOnlySpan<byte> key, long life, Expectation expectation, out Placed placed)
    {
        var batch = Scope.BeginSingle();
        StateOperations.AddExpire(batch, key[1..], -life);
        return Scope.TryCommitSingle(batch, expectation, out placed);
    }

    // ---- guards and leases ----------------------------------------------------------------------------------------------------

    /// <summary>Guards the transaction: it commits only if the cell's counter is still this one then. No read: the transaction does not
    /// conflict by it, it fails. Outside a transaction the answer is about now.</summary>
    /// <param name="name">1 to 1,024 bytes of UTF-8, no NUL.</param>
    /// <param name="counter">The committed counter, or a lease's token; <see cref="Counter.None"/> = the cell must be absent.</param>
    /// <exception cref="VersionMismatchException">It is another one, now or at commit. Nothing was written.</exception>
    public void Require(string name, Counter counter)
    {
        Span<byte> buffer = stackalloc byte[1 + Limits.KeyBytesMax];
        var key = StoreKey(name, buffer);
        var expectation = new Expectation(Scope.Run, key.ToArray(), ExpectationKind.Counter, counter.Value, IsGuard: true);
        using var use = Scope.Use();
        if (!Scope.Holds(expectation, out var refusal))
            throw new VersionMismatchException("state", name, counter.Value, refusal.Actual);
        if (counter != Counter.None && IsInheritedLease(key))
            throw new VersionMismatchException("state", name, counter.Value, 0);
        Scope.Transaction?.Expectations.Add(expectation);
    }

    /// <summary>Takes a lease: a cell that one owner holds until it lets go or the time is up. Whoever holds it is told apart by the token,
    /// not by its name: an owner that already holds it is refused like any other and renews instead. A fork inherits no lease: one that was
    /// taken before it was forked is free in the fork, and its token is none there.</summary>
    /// <param name="name">As in <see cref="Init"/>.</param>
    /// <param name="owner">Who takes it, for others to see: 1 to 256 bytes of UTF-8.</param>
    /// <param name="ttl">How long it holds: from 1 ms to 100 years, from the commit.</param>
    /// <returns>The token and expiry, or who holds it.</returns>
    /// <exception cref="CairnException"><see cref="ErrorCode.WrongType"/>: the cell is there and is no lease;
    /// <see cref="ErrorCode.InvalidName"/>: the owner cannot be a name.</exception>
    public LeaseResult Acquire(string name, string owner, TimeSpan ttl)
    {
        Span<byte> buffer = stackalloc byte[1 + Limits.KeyBytesMax];
        var key = KeyForWrite(name, buffer);
        KeyRules.EncodeNameForRead(owner, stackalloc byte[Limits.NameBytesMax], out _);
        var life = Versions.TimeToLive(ttl);
        var value = Value.Object((StateOperations.LeaseMember, owner));
        if (Scope.Transaction is { } transaction)
            return AcquirePending(transaction, key, owner, value, life);
        var batch = Scope.BeginSingle();
        StateOperations.AddWrite(batch, OperationCode.StateLease, key[1..], 1, value.EncodedLength, -life, out var target);
        ValueCodec.Encode(value, target);
        var expectation = new Expectation(Scope.Run, key.ToArray(), ExpectationKind.Counter, InheritedCounter(key), TellsFound: true);
        return Scope.TryCommitSingle(batch, expectation, StateOperations.ReadReceipt, out var receipt, out var placed)
            ? new LeaseResult(true, receipt.Counter, owner, CommitClock.Time(placed.Time + life))
            : HolderOf(placed.Refusal!.Found!.View);         // TX-39: who held it when it was refused, also if it has let go since
    }

    private LeaseResult AcquirePending(TransactionContext transaction, ReadOnlySpan<byte> key, string owner, in Value value, long life)
    {
        using var use = Scope.Use();
        if (Holder(key) is { } holder)
            return holder;
        ulong counter;
        using (var reader = Scope.Run.Store.Read())
            counter = InheritedCounter(key) is > 0 and var inherited ? inherited : CounterOfAbsent(reader, key);
        SetPending(key, OperationCode.StateLease, value, life);
        return new LeaseResult(true, counter + 1, owner, CommitClock.Time(transaction.Time + life));
    }

    // Null: nobody. In a transaction a read, so the answer is validated.
    private LeaseResult? Holder(ReadOnlySpan<byte> key)
    {
        Scope.ThrowIfNotReadable();
        using var reader = Scope.Run.Store.Read();
        if (!Scope.TryGet(reader, key, out var version))
            return default(LeaseResult?);
        var holder = HolderOf(version);
        return IsInheritedLease(key) ? default(LeaseResult?) : holder;
    }

    // RPL-12: it was taken before the run was forked. A transaction's own lease over it is none.
    private bool IsInheritedLease(ReadOnlySpan<byte> key) => Scope.Writes?.Find(key) is null && InheritedCounter(key) > 0;

    // 0: there is no lease in the cell, or one that was taken in this run.
    private ulong InheritedCounter(ReadOnlySpan<byte> key)
    {
        if (Scope.Run.BasePoint == 0 || Mutant.Is("fork-inherits-leases"))
            return 0;
        using var reader = Scope.Run.Store.Read();
        if (!Scope.TryGetCommitted(reader, key, out var version) || !version.IsLiveAt(Scope.Path.ReadTime())
            || version.Sequence > Scope.Run.BasePoint)
            return 0;
        var cell = StateOperations.ToCell(version);
        return StateOperations.TryReadOwner(cell.Value, out _) ? cell.Counter.Value : 0;
    }

    private static LeaseResult HolderOf(scoped in VersionView version)
    {
        var cell = StateOperations.ToCell(version);
        if (!StateOperations.TryReadOwner(cell.Value, out var owner))
            throw new CairnException(ErrorCode.WrongType, "The state cell of this name is no lease. Take another name.");
        return new LeaseResult(false, cell.Counter, owner, cell.Expiry);
    }

    /// <summary>Makes a held lease last longer. The token stays the same.</summary>
    /// <param name="name">As in <see cref="Init"/>.</param>
    /// <param name="token">What <see cref="Acquire"/> gave.</param>
    /// <param name="ttl">How long it holds from now: from 1 ms to 100 years, from the commit.</param>
    /// <returns>The new expiry; or, when the token is stale, who holds the lease now. A lease that has expired cannot be renewed, it is
    /// acquired again, with another token.</returns>
    /// <exception cref="CairnException"><see cref="ErrorCode.WrongType"/>: the cell is there and is no lease.</exception>
    public LeaseResult Renew(string name, Counter token, TimeSpan ttl)
    {
        Span<byte> buffer = stackalloc byte[1 + Limits.KeyBytesMax];
        var key = KeyForWrite(name, buffer);
        var life = Versions.TimeToLive(ttl);
        if (Holder(key) is not { } holder)
            return default;
        if (holder.Token != token)
            return holder;
        if (Scope.Transaction is { } transaction)
        {
            using var use = Scope.Use();
            ExpirePending(key, life);
            return holder with { IsAcquired = true, Expiry = CommitClock.Time(transaction.Time + life) };
        }

        var expectation = new Expectation(Scope.Run, key.ToArray(), ExpectationKind.Counter, token.Value);
        if (TryExpire(key, life, expectation, out var placed))
            return holder with { IsAcquired = true, Expiry = CommitClock.Time(placed.Time + life) };
        return Holder(key) ?? default;
    }

    /// <summary>Lets go of a held lease.</summary>
    /// <param name="name">As in <see cref="Init"/>.</param>
    /// <param name="token">What <see cref="Acquire"/> gave.</param>
    /// <returns>False when the token is stale: it has expired, or somebody else holds the lease. Nothing was written then.</returns>
    /// <exception cref="CairnException"><see cref="ErrorCode.WrongType"/>: the cell is there and is no lease.</exception>
    public bool Release(string name, Counter token)
    {
        Span<byte> buffer = stackalloc byte[1 + Limits.KeyBytesMax];
        var key = KeyForWrite(name, buffer);
        if (Holder(key) is not { } holder || holder.Token != token)
            return false;
        if (Scope.Transaction is null)
            return TryDelete(key, new Expectation(Scope.Run, key.ToArray(), ExpectationKind.Counter, token.Value));
        DeletePending(key);
        return true;
    }

    private ReadOnlySpan<byte> KeyForWrite(string name, Span<byte> buffer)
    {
        Scope.ThrowIfNotWritable();
        return KeyRules.EncodeBehind(StoreKeys.State, name, isWrite: true, buffer);
    }

    // ---- pending writes of a transaction ------------------------------------------------------------------------------------

    private StateReceipt SetPending(ReadOnlySpan<byte> key, OperationCode code, in Value value, long life)
    {
        using var use = Scope.Use();
        Scope.Writes!.CheckRoom(key, value.EncodedLength);
        var write = PendingFor(key, code);
        write.Value = value.Encode();
        write.IsDelete = false;
        write.IsRelative = true;                             // the counter is
        write.TimeToLive = life;
        write.Expiry = 0;
        write.Steps++;
        return new StateReceipt((CellReceipt)write.Receipt!, write.Steps);
    }

    private void DeletePending(ReadOnlySpan<byte> key)
    {
        using var use = Scope.Use();
        var write = PendingFor(key, OperationCode.StateDelete);
        write.Value = [];
        write.IsDelete = true;
        write.IsRelative = false;
        write.TimeToLive = 0;
        write.Expiry = 0;
        write.Steps++;
    }

    // The cell was read, so it is validated, and still there at commit.
    private bool ExpirePending(ReadOnlySpan<byte> key, long life)
    {
        using var use = Scope.Use();
        Scope.ThrowIfNotReadable();
        using var reader = Scope.Run.Store.Read();
        if (!Scope.TryGet(reader, key, out var version))
            return false;
        if (Scope.Writes!.Find(key) is not { } write)
        {
            Scope.Writes.CheckRoom(key, version.ValueLength);
            write = PendingFor(key, OperationCode.StateExpire);
            write.Value = version.Value[StateOperations.CounterBytes..].ToArray();
            write.IsRelative = true;
        }

        write.TimeToLive = life;
        write.Expiry = 0;
        return true;
    }

    private PendingWrite PendingFor(ReadOnlySpan<byte> key, OperationCode code)
    {
        if (Scope.Writes!.Find(key) is { } write)
        {
            write.Code = code;
            return write;
        }

        write = new PendingWrite { StoreKey = key.ToArray(), Code = code, OperationKey = key[1..].ToArray(), Receipt = new CellReceipt() };
        Scope.Writes.Add(write);
        return write;
    }
}
