using Cairn.Log;
using Cairn.Store;

namespace Cairn.Transactions;

/// <summary>
/// A running transaction: its snapshot, what it read, expected and wrote, per run. For one thread at a time: each use of its sets
/// enters with the thread's id, and a second thread is refused (TX-1); one after another may, as after an await. Holds a pin until it ends; one that lives too long is closed by the maintainer so that it pins no versions (TX-32).
/// </summary>
internal sealed class TransactionContext
{
    private readonly SortedList<RunId, Scope> _scopes = [];
    private readonly SnapshotRegistry _pins;
    private readonly long _started;
    private readonly TimeSpan _timeout;
    private SnapshotPin _pin;
    private int _state;
    private int _user;

    private const int Running = 0;
    private const int Ended = 1;
    private const int TimedOut = 2;

    internal TransactionContext(CommitPath path, SnapshotRegistry pins, ReadOnlySpan<RunState> runs, bool isSerializable, TimeSpan timeout)
    {
        Path = path;
        IsSerializable = isSerializable;
        _pins = pins;
        _timeout = timeout;
        Size = new PendingSize(path.Limits);
        _started = path.Clock.GetTimestamp();
        _pin = Pin(runs);
        Sequence = _pin.Sequence;
        Time = path.ReadTime();
        Reads = new ReadSet(Sequence);
        Rests = IsSerializable ? Reads : new ReadSet(Sequence);
        foreach (var run in runs)
            _scopes.Add(run.Id, Scope.InTransaction(this, run));
    }

    internal CommitPath Path { get; }

    /// <summary>What all runs together have pending.</summary>
    internal PendingSize Size { get; }

    internal TransactionOptions Options { get; init; } = TransactionOptions.Default;

    /// <summary>The attributes in the options as they stand in a record; null = none.</summary>
    internal byte[]? Encoded { get; init; }

    /// <summary>The commit's sequence; 0 before it, and when nothing was written.</summary>
    internal ulong CommittedAt { get; private set; }

    /// <summary>The commit was refused because something that was read has changed.</summary>
    internal bool LostAtCommit { get; private set; }

    internal bool IsSerializable { get; }

    /// <summary>Reads are of this sequence (TX-I5).</summary>
    internal ulong Sequence { get; }

    internal long Time { get; }

    internal ReadSet Reads { get; }

    /// <summary>What the writes to documents rest on: that the containers on their way stand (JS-24). Validated at each level; at
    /// Serializable it is among the reads.</summary>
    internal ReadSet Rests { get; }

    internal List<Expectation> Expectations { get; } = [];

    internal IList<Scope> Scopes => _scopes.Values;

    /// <summary>Something was written that a closed run does not take (RUN-7).</summary>
    internal bool WritesToOpenRuns { get; set; }

    /// <summary>Inputs that its function has asked, in this try and those before; null = none.</summary>
    internal AskedInputs? Asked { get; set; }

    /// <summary>The transaction that was running around this one when it began, of another database; null = none.</summary>
    internal TransactionContext? Outside { get; init; }

    /// <summary>Committed, rolled back or disposed: by its owner, not by the clock.</summary>
    internal bool IsOver => Volatile.Read(ref _state) == Ended;

    internal bool HasEnded => Volatile.Read(ref _state) != Running;

    internal Scope? Find(RunId run) => _scopes.GetValueOrDefault(run);

    // With a log one visible word is a cut across all runs. In memory each run has its own: their locks, held for a moment, make
    // one (the essay of CommitPath).
    private SnapshotPin Pin(ReadOnlySpan<RunState> runs)
    {
        if (!Path.IsUnlogged || runs.Length == 1)
            return _pins.Take(runs[0].Visible, SnapshotRegistry.AllRuns);
        var entered = 0;
        try
        {
            foreach (var run in runs)
            {
                run.CommitLock.Enter();
                entered++;
            }

            return _pins.TakeAt(Path.Log.LastSequence, SnapshotRegistry.AllRuns);
        }
        finally
        {
            foreach (var run in runs[..entered])
                run.CommitLock.Exit();
        }
    }

    /// <summary>For as long as the result lives, no other thread may use the transaction; calls inside the call may.</summary>
    /// <exception cref="InvalidOperationException">Another thread is in it (TX-1).</exception>
    internal TransactionUse Enter()
    {
        var thread = Environment.CurrentManagedThreadId;
        if (Volatile.Read(ref _user) == thread)
            return default;                                  // a call inside a call, as from a function that a transition runs
        if (Interlocked.CompareExchange(ref _user, thread, 0) != 0 && !Mutant.Is("two-threads-in-a-transaction"))
            throw new InvalidOperationException("The transaction is used by two threads at once. It belongs to one thread at a time: give each thread a transaction of its own.");
        return new TransactionUse(this);
    }

    internal void Leave() => Volatile.Write(ref _user, 0);

    /// <summary>Checked at each operation.</summary>
    internal void ThrowIfExpired()
    {
        switch (Volatile.Read(ref _state))
        {
            case Ended:
                throw new InvalidOperationException("The transaction has ended.");
            case TimedOut:
                throw TimeoutError();
        }

        if (IsTooOld)
        {
            Close(TimedOut);
            throw TimeoutError();
        }
    }

    internal bool IsTooOld => Age > _timeout;

    /// <summary>Since it began.</summary>
    internal TimeSpan Age => Path.Clock.GetElapsedTime(_started);

    /// <summary>By the maintainer: ends a transaction that lived too long.</summary>
    internal bool CloseIfTooOld() => IsTooOld && Close(TimedOut);

    /// <summary>Ends the transaction and gives its pin back. True for the first caller.</summary>
    internal bool End() => Close(Ended);

    private bool Close(int state)
    {
        if (Interlocked.CompareExchange(ref _state, state, Running) != Running)
            return false;
        _pins.Release(_pin);
        return true;
    }

    private CairnException TimeoutError() => new(
        ErrorCode.Timeout,
        $"The transaction lived longer than {_timeout.TotalMilliseconds} ms (Limits.TransactionTimeMax or its own timeout). Nothing was written; run it again and keep it short.");

    /// <summary>What the commit's record will say of its cause, as of now.</summary>
    internal ReadOnlySpan<byte> Attributes() => Options.Commit.RecordReads
        ? (Options.Commit.Attributes ?? CommitAttributes.None).EncodeWith(Reads.Summarise(Path.Operations))
        : Encoded;

    /// <summary>Encodes and places everything. The transaction ends only when the caller says so.</summary>
    /// <param name="began">Time stamp of the call.</param>
    /// <returns>Sequence 0 without a refusal: there was nothing to write (TX-21).</returns>
    internal Placed Place(Batch batch, long began)
    {
        foreach (var scope in _scopes.Values)
        {
            if (scope.Writes!.Count == 0)
                continue;
            batch.BeginPart(scope.Run);
            foreach (var write in scope.Writes.InOrder)
            {
                if (write.Code != 0)
                    Path.Operations.Find(write.Code)!.Encode(batch, write);
            }

            if (IsAllowedWhenClosed(scope.Writes.InOrder))
                batch.AllowWhenClosed();
            batch.EndPart();
        }

        if (batch.PartCount == 0)
            return default;
        batch.OnlyDeletes = OnlyDeletes();
        return Path.Place(
            batch, ReadsToValidate(), Expectations.Count == 0 ? null : Expectations, began, OperationClass.Transaction);
    }

    // DUR-9: what a full disk still takes.
    private bool OnlyDeletes()
    {
        foreach (var scope in _scopes.Values)
        {
            foreach (var write in scope.Writes!.InOrder)
            {
                if (write.Code != 0 && !write.Code.IsDeletion())
                    return false;
            }
        }

        return true;
    }

    // RUN-7. What follows a resumption goes to an open run: that it was paused is expected of the commit.
    private static bool IsAllowedWhenClosed(List<PendingWrite> writes)
    {
        foreach (var write in writes)
        {
            if (write.Code == OperationCode.RunResume)
                return true;
            if (write.Code != 0 && !write.Code.IsAllowedWhenClosed())
                return false;
        }

        return true;
    }

    /// <summary>An expectation held at the call, so if it fails at commit somebody came between: a conflict, except for a guard.</summary>
    internal CairnException ToException(Refusal refusal)
    {
        var exception = refusal.ToException(Path.Operations);
        if (refusal.Expectation is { IsGuard: false } expectation)
        {
            var (primitive, key) = Path.Operations.Describe(expectation.Key);
            exception = new ConflictException(primitive, key, "compare-and-set", new Sequence(Sequence), new Sequence(refusal.Current));
        }

        // It could be done at the call, and what it rested on was read: somebody came between. A sum that leaves its range is told as it is.
        if (exception is DocumentException { Code: not ErrorCode.Overflow } failed)
            exception = new ConflictException("json", failed.Path, failed.Reason, new Sequence(Sequence), new Sequence(Path.Log.LastSequence));
        if (exception is MissingConceptException missing)
            exception = new ConflictException(
                "graph", missing.Id, "concept", new Sequence(Sequence), new Sequence(Path.Log.LastSequence));
        LostAtCommit = exception is ConflictException;
        return exception;
    }

    /// <summary>Tells the receipts where their operations came to be.</summary>
    internal void Committed(in Placed placed, Batch batch)
    {
        CommittedAt = placed.Sequence;
        if (placed.Sequence == 0)
            return;
        foreach (var part in batch.Parts)
        {
            var rest = batch.OwnOperationsOf(part);
            foreach (var write in Find(part.Run.Id)!.Writes!.InOrder)
            {
                if (write.Code == 0)
                    continue;
                Operation.TryTake(ref rest, out var operation, out _);
                write.Receipt?.Committed(operation, placed.Sequence, placed.Time);
            }
        }
    }

    private ReadSet? ReadsToValidate()
    {
        if (!IsSerializable && !Reads.IsEmpty)
            AddWrittenAndRead();
        return Rests.IsEmpty ? null : Rests;
    }

    private void AddWrittenAndRead()
    {
        foreach (var scope in _scopes.Values)
        {
            foreach (var write in scope.Writes!.InOrder)
            {
                if (write.StoreKey.Length > 0)
                    Rests.AddWrittenAndRead(Reads, scope.Run, write.StoreKey);
            }
        }
    }
}

/// <summary>One thread's stay in a transaction. The outermost of nested ones leaves it.</summary>
internal readonly ref struct TransactionUse(TransactionContext transaction) : IDisposable
{
    private readonly TransactionContext? _transaction = transaction;

    public void Dispose() => _transaction?.Leave();
}
