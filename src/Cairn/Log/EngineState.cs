using Cairn.Storage;

namespace Cairn.Log;

/// <summary>
/// Whether the database may be written. Open; disk full (writes refused before a sequence is taken, left again when space is
/// back); failed (an I/O error or a broken invariant: at once and for good, G7); closed. A latch: the first cause stays, only
/// reopening leaves <i>failed</i>.
/// </summary>
internal sealed class EngineState
{
    private const int Open = 0;
    private const int Full = 1;
    private const int Closing = 2;
    private const int Failed = 3;
    private const int ReadOnlyState = 4;

    private int _state;
    private Exception? _cause;
    private StorageException? _full;
    private string _shortage = "";
    private long _freeBytesNeeded;

    /// <summary>Called once, when the database fails, on the thread that met the failure.</summary>
    internal Action<Exception>? OnFailed { get; set; }

    /// <summary>Commits are taken.</summary>
    internal bool IsOpen => Volatile.Read(ref _state) == Open;

    internal bool HasFailed => Volatile.Read(ref _state) == Failed;

    internal bool IsDiskFull => Volatile.Read(ref _state) == Full;

    internal bool IsClosed => Volatile.Read(ref _state) == Closing;

    internal Exception? Cause => _cause;

    /// <summary>Ends writing. The first cause stays.</summary>
    /// <returns>What later calls get.</returns>
    internal DatabaseFailedException Fail(Exception cause)
    {
        if (Interlocked.CompareExchange(ref _cause, cause, null) is null)
        {
            Failpoint.Hit("state.failing");
            Volatile.Write(ref _state, Failed);
            OnFailed?.Invoke(cause);
        }

        return Failure();
    }

    internal DatabaseFailedException Failure() => _cause is DatabaseFailedException { Code: ErrorCode.Fenced } fenced
        ? fenced
        : new(ErrorCode.DatabaseFailed, $"The database failed and takes no more writes: {_cause?.Message} Reopen it to recover.", _cause);

    internal DatabaseFailedException OutcomeUnknown() => new(
        ErrorCode.OutcomeUnknown,
        $"An I/O error came before this commit was confirmed; whether it is durable is unknown: {_cause?.Message} Reopen the database to find out.",
        _cause);

    internal void ThrowIfFailed()
    {
        if (HasFailed)
            throw Failure();
    }

    internal void ThrowIfOutcomeUnknown()
    {
        if (HasFailed)
            throw OutcomeUnknown();
    }

    /// <summary>The door of every write.</summary>
    /// <param name="onlyDeletes">A transaction that only deletes may use the reserve of a full disk.</param>
    internal void ThrowIfNotWritable(bool onlyDeletes = false)
    {
        if (Volatile.Read(ref _state) != Open)
            ThrowNotWritable(onlyDeletes);
    }

    private void ThrowNotWritable(bool onlyDeletes)
    {
        switch (Volatile.Read(ref _state))
        {
            case Full when !onlyDeletes:
                throw DiskFull();
            case Closing:
                throw new ObjectDisposedException("CairnDatabase", "The database is closed.");
            case Failed:
                throw Failure();
            case ReadOnlyState:
                throw new CairnException(ErrorCode.ReadOnly, "The database was opened read-only. Open it without IsReadOnly to write.");
            default:
                return;
        }
    }

    internal void EnterReadOnly() => Interlocked.CompareExchange(ref _state, ReadOnlyState, Open);

    /// <param name="shortage">What there is too little of: a sentence.</param>
    /// <param name="freeBytesNeeded">Bytes that must be free before writes are taken again.</param>
    /// <param name="full">The failure that told it, if one did.</param>
    internal void EnterDiskFull(string shortage, long freeBytesNeeded, StorageException? full)
    {
        _full = full;
        _shortage = shortage;
        Volatile.Write(ref _freeBytesNeeded, freeBytesNeeded);
        Interlocked.CompareExchange(ref _state, Full, Open);
    }

    internal void LeaveDiskFull() => Interlocked.CompareExchange(ref _state, Open, Full);

    internal BusyException DiskFull() => new(
        ErrorCode.DiskFull,
        $"The disk is full: {_shortage} Free space where the database lies, until {Volatile.Read(ref _freeBytesNeeded)} bytes are free: writes are taken again by themselves then, within a second. Until then reads go on, and so does what only deletes.",
        TimeSpan.FromSeconds(1),
        _full);

    /// <summary>No new commits from here on. False when it was closed already.</summary>
    internal bool Close()
    {
        while (true)
        {
            var state = Volatile.Read(ref _state);
            if (state == Closing)
                return false;
            if (state == Failed || Interlocked.CompareExchange(ref _state, Closing, state) == state)
                return true;
        }
    }
}
