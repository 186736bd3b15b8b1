using System.Diagnostics.CodeAnalysis;
using Cairn.Store;

namespace Cairn.Transactions;

/// <summary>
/// Where a primitive reads and writes: the run as it is now (each call on its own), a snapshot, or a transaction (its snapshot
/// plus its own writes). One class instead of three, because the primitives' code is the same and the first form must cost
/// nothing.
/// </summary>
internal sealed class Scope
{
    private readonly ulong _sequence;
    private readonly long _time;
    private volatile bool _ended;

    private readonly byte[]? _attributes;

    private Scope(
        CommitPath path, RunState run, ScopeKind kind, ulong sequence, long time, TransactionContext? transaction, byte[]? attributes = null)
    {
        _attributes = attributes;
        Path = path;
        Run = run;
        Kind = kind;
        _sequence = sequence;
        _time = time;
        Transaction = transaction;
        Writes = transaction is null ? null : new PendingWrites(transaction.Size);
    }

    /// <exception cref="CairnException">The attributes in the options are not what they may be.</exception>
    /// <exception cref="LimitException">They are too long.</exception>
    internal static Scope Live(CommitPath path, RunState run, CommitOptions options) =>
        new(path, run, ScopeKind.Live, ulong.MaxValue, 0, null, options.Attributes?.Encode(path.Limits)) { Options = options };

    /// <param name="sequence">Pinned by the caller for as long as the scope is used.</param>
    /// <param name="time">Time at which expiry is judged.</param>
    internal static Scope Snapshot(CommitPath path, RunState run, ulong sequence, long time) =>
        new(path, run, ScopeKind.Snapshot, sequence, time, null);

    internal static Scope InTransaction(TransactionContext transaction, RunState run) =>
        new(transaction.Path, run, ScopeKind.Transaction, transaction.Sequence, transaction.Time, transaction);

    internal CommitPath Path { get; }

    /// <summary>What each write outside a transaction asks for beyond the database's defaults.</summary>
    internal CommitOptions Options { get; init; } = CommitOptions.Default;

    internal RunState Run { get; }

    internal ScopeKind Kind { get; }

    internal bool IsLive => Kind == ScopeKind.Live;

    internal TransactionContext? Transaction { get; }

    /// <summary>The transaction's writes to this run; null outside one.</summary>
    internal PendingWrites? Writes { get; }

    /// <summary>Sequence at which reads look; for the live scope the visible one right now.</summary>
    internal ulong Sequence => IsLive ? Run.Visible.Value : _sequence;

    /// <summary>Time at which expiry is judged (TTL-3).</summary>
    internal long Time => IsLive ? Path.ReadTime() : _time;

    internal void End() => _ended = true;

    /// <summary>Around whatever looks at the transaction's own sets or changes them; nothing outside a transaction.</summary>
    /// <exception cref="InvalidOperationException">Another thread is in the transaction (TX-1).</exception>
    internal TransactionUse Use() => Transaction is null ? default : Transaction.Enter();

    /// <summary>The door of every read.</summary>
    internal void ThrowIfNotReadable()
    {
        if (_ended)
            throw new InvalidOperationException(Kind == ScopeKind.Transaction ? "The transaction has ended." : "The snapshot was disposed.");
        if (Run.IsGone)
            throw new CairnException(ErrorCode.NotFound, $"Run {Run.Id} was deleted.");
        Path.ThrowIfNotReadable();
        Transaction?.ThrowIfExpired();
    }

    /// <summary>The door of a point read; one in 64 is timed until the result is disposed.</summary>
    internal Timing BeginRead()
    {
        ThrowIfNotReadable();
        return Path.BeginReadTiming();
    }

    /// <summary>The status that this transaction gives the run; null as long as it leaves it alone.</summary>
    internal RunStatus? PendingStatus { get; set; }

    /// <summary>The door of every write. Whether the run is open is decided at the commit, except for what the transaction itself has
    /// closed.</summary>
    /// <param name="isAllowedWhenClosed">The write is one of RUN-7.</param>
    internal void ThrowIfNotWritable(bool isAllowedWhenClosed = false)
    {
        if (PendingStatus is { } status and not RunStatus.Active && !isAllowedWhenClosed)
            throw new RunClosedException(Run.Id, status);
        if (Run == Path.Catalogue.System)
            throw new CairnException(ErrorCode.ReadOnly, "The run '$sys' is the engine's own. Write to another run.");
        if (Run.Inputs is { } inputs && inputs.IsInside() && !Mutant.Is("live-write-not-refused"))
        {
            throw new InvalidOperationException(
                "The live call of an input writes to its own run: a replay would not do that. Write behind the input, with its answer.");
        }

        Path.State.ThrowIfNotWritable(onlyDeletes: true);
        if (Kind == ScopeKind.Transaction)
            ThrowIfNotReadable();
    }

    /// <summary>The live version of a key as this scope sees it; in a transaction a read, so it is remembered for validation.</summary>
    internal bool TryGet(scoped in StoreReader reader, ReadOnlySpan<byte> storeKey, out VersionView version)
    {
        if (Kind == ScopeKind.Live)
            return reader.TryGetVisible(storeKey, out version) && (version.Expiry == 0 ? !version.IsTombstone : version.IsLiveAt(Path.ReadTime()));
        if (Kind == ScopeKind.Snapshot)
            return reader.TryGet(storeKey, _sequence, out version) && version.IsLiveAt(_time);
        return TryGetInTransaction(reader, storeKey, out version);
    }

    private bool TryGetInTransaction(scoped in StoreReader reader, ReadOnlySpan<byte> storeKey, out VersionView version)
    {
        using var use = Use();
        var write = Writes!.Find(storeKey);
        if (write is null || write.IsRelative)
            Transaction!.Reads.AddPoint(Run, storeKey);
        var exists = reader.TryGet(storeKey, _sequence, out var committed);
        if (write is null)
        {
            version = committed;
            return exists && committed.IsLiveAt(_time);
        }

        return Overlay(write, exists, committed, out version);
    }

    /// <summary>A committed version with the transaction's own write over it.</summary>
    internal bool Overlay(PendingWrite write, bool exists, scoped in VersionView committed, out VersionView version)
    {
        var live = exists && committed.IsLiveAt(_time);
        if (write.IsDelete)
        {
            version = default;
            return false;
        }

        var value = write.IsRelative
            ? (write.Code == 0 ? Path.Operations.OwnerOf(write.StoreKey) : Path.Operations.Find(write.Code))!
                .Overlay(write, exists, live, committed)
            : write.Value;
        var sequence = live ? committed.Sequence : 0;
        var expiry = write.TimeToLive != 0 ? Transaction!.Time + write.TimeToLive : write.Expiry;
        version = new VersionView(value, sequence, live ? committed.Created : 0, live ? committed.Time : 0, expiry, isTombstone: false);
        return true;
    }

    /// <summary>The version under the transaction's own writes, for compare-and-set (KV-10). Not a read (TX-13).</summary>
    internal bool TryGetCommitted(scoped in StoreReader reader, ReadOnlySpan<byte> storeKey, out VersionView version) =>
        Kind == ScopeKind.Live ? reader.TryGetVisible(storeKey, out version) : reader.TryGet(storeKey, _sequence, out version);

    /// <summary>Starts a one-operation transaction on this run; live scope only.</summary>
    internal Batch BeginSingle()
    {
        var batch = Batch.RentMine(_attributes);
        batch.BeginPart(Run);
        return batch;
    }

    /// <summary>Commits a one-operation transaction and waits.</summary>
    internal Placed CommitSingle(Batch batch)
    {
        batch.EndPart();
        batch.Record.NeedsSync = Path.NeedsSync(Options);
        var placed = Path.Commit(batch);
        Batch.ReturnMine(batch);
        return placed;
    }

    /// <summary>Commits a one-operation transaction and reads its result from the filled operation.</summary>
    internal T CommitSingle<T>(Batch batch, Func<Batch, T> result)
    {
        batch.EndPart();
        batch.Record.NeedsSync = Path.NeedsSync(Options);
        Path.Commit(batch);
        var value = result(batch);
        Batch.ReturnMine(batch);
        return value;
    }

    /// <summary>Commits a one-operation transaction and reads its result from the filled operations and their place.</summary>
    internal T CommitSingle<T>(Batch batch, Func<Batch, Placed, T> result)
    {
        batch.EndPart();
        batch.Record.NeedsSync = Path.NeedsSync(Options);
        var placed = Path.Commit(batch);
        var value = result(batch, placed);
        Batch.ReturnMine(batch);
        return value;
    }

    /// <summary>Starts a one-operation transaction that will be awaited, and read once more afterwards.</summary>
    internal Batch BeginOwned()
    {
        var batch = Batch.RentOwned(_attributes);
        batch.BeginPart(Run);
        return batch;
    }

    /// <summary>Places a transaction of <see cref="BeginOwned"/> now, and completes with its result when it is visible.</summary>
    internal ValueTask<T> CommitOwnedAsync<T>(Batch batch, Func<Batch, Placed, T> result, CancellationToken cancellationToken)
    {
        batch.EndPart();
        var needsSync = Path.NeedsSync(Options);
        batch.Record.NeedsSync = needsSync;
        var began = Path.Clock.GetTimestamp();
        return FinishAsync(Path, batch, Path.Place(batch, null, null, began), needsSync, began, result, cancellationToken);

        static async ValueTask<T> FinishAsync(
            CommitPath path, Batch batch, Placed placed, bool needsSync, long began, Func<Batch, Placed, T> result,
            CancellationToken cancellationToken)
        {
            await path.WhenVisibleAsync(placed.Sequence, needsSync, cancellationToken).ConfigureAwait(false);
            path.Time(began, batch.Class, needsSync);
            return placed.Refusal is { } refusal ? throw refusal.ToException(path.Operations) : result(batch, placed);
        }
    }

    /// <summary>Starts a one-operation transaction that will be awaited.</summary>
    internal Batch BeginPooled()
    {
        var batch = Batch.RentPooled(_attributes);
        batch.BeginPart(Run);
        return batch;
    }

    /// <summary>Places a one-operation transaction now and completes when it is visible.</summary>
    internal ValueTask<Sequence> CommitPooledAsync(Batch batch, CancellationToken cancellationToken)
    {
        batch.EndPart();
        var needsSync = Path.NeedsSync(Options);
        batch.Record.NeedsSync = needsSync;
        var began = Path.Clock.GetTimestamp();
        var placed = Path.Place(batch, null, null, began);
        var operation = batch.Class;
        Batch.ReturnPooled(batch, placed.HasSlot);
        var visible = Path.WhenVisibleAsync(placed.Sequence, needsSync, cancellationToken);
        if (placed.Refusal is null && visible.IsCompletedSuccessfully)
        {
            Path.Time(began, operation, needsSync);
            return new ValueTask<Sequence>(new Sequence(placed.Sequence));
        }

        return FinishAsync(Path, visible, placed, began, operation, needsSync);

        static async ValueTask<Sequence> FinishAsync(
            CommitPath path, ValueTask visible, Placed placed, long began, OperationClass operation, bool needsSync)
        {
            await visible.ConfigureAwait(false);
            path.Time(began, operation, needsSync);
            return placed.Refusal is { } refusal ? throw refusal.ToException(path.Operations) : new Sequence(placed.Sequence);
        }
    }

    /// <summary>Commits a one-operation transaction under an expectation.</summary>
    /// <returns>False when the expectation was not met; nothing was written then.</returns>
    internal bool TryCommitSingle(Batch batch, Expectation expectation, out Placed placed)
    {
        batch.EndPart();
        batch.Record.NeedsSync = Path.NeedsSync(Options);
        var done = Path.TryCommit(batch, null, [expectation], out placed);
        Batch.ReturnMine(batch);
        if (!done && placed.Refusal!.Expectation is null)
            throw placed.Refusal.ToException(Path.Operations);
        return done;
    }

    /// <summary>Commits a one-operation transaction under an expectation and reads its result from the filled operations.</summary>
    /// <returns>False when the expectation was not met; nothing was written then.</returns>
    internal bool TryCommitSingle<T>(
        Batch batch, Expectation expectation, Func<Batch, Placed, T> result, [MaybeNullWhen(false)] out T value, out Placed placed)
    {
        // The batch is this thread's own: what it holds stays until the thread begins the next one.
        var done = TryCommitSingle(batch, expectation, out placed);
        value = done ? result(batch, placed) : default;
        return done;
    }

    /// <summary>In a transaction, whether an expectation holds at the call; it is checked again at commit. A failure told the caller
    /// something, so the key enters the read set (TX-14).</summary>
    internal bool Holds(Expectation expectation, [NotNullWhen(false)] out Refusal? refusal)
    {
        ThrowIfNotReadable();
        using var reader = Run.Store.Read();
        var exists = TryGetCommitted(reader, expectation.Key, out var version);
        refusal = null;
        if (expectation.Holds(exists, version, Time, out var actual))
            return true;
        NotePoint(expectation.Key);
        refusal = Refusal.Unmet(expectation, actual, version);
        return false;
    }

    /// <summary>Remembers a range for validation, in a transaction. An empty <paramref name="to"/> has no upper bound.</summary>
    internal void NoteRange(ReadOnlySpan<byte> from, ReadOnlySpan<byte> to)
    {
        if (Transaction is null)
            return;
        using var use = Use();
        Transaction.Reads.AddRange(Run, from, to);
    }

    internal void NotePoint(ReadOnlySpan<byte> storeKey)
    {
        if (Transaction is null)
            return;
        using var use = Use();
        Transaction.Reads.AddPoint(Run, storeKey);
    }
}

internal enum ScopeKind
{
    Live,
    Snapshot,
    Transaction,
}
