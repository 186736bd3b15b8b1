namespace Cairn.Diagnostics;

/// <summary>How commits ended, by class: those that did not end well, and the bytes of records of those that did. Commits that end well
/// are timed, and counted there (<see cref="Latencies"/>); so a commit that succeeds costs nothing here but an addition by the log's
/// writer.</summary>
internal sealed class Outcomes
{
    private readonly long[] _refused = new long[Enum.GetValues<OperationClass>().Length];
    private readonly long[] _conflicts = new long[Enum.GetValues<OperationClass>().Length];
    private readonly long[] _failed = new long[Enum.GetValues<OperationClass>().Length];
    private readonly long[] _untimed = new long[Enum.GetValues<OperationClass>().Length];   // ended by an exception, so not timed
    private readonly long[] _bytes = new long[Enum.GetValues<OperationClass>().Length];

    /// <summary>It was refused under the locks; its time is taken all the same.</summary>
    internal void Refused(OperationClass operation, bool isConflict)
    {
        if (!Mutant.Is("outcomes-uncounted"))
            Interlocked.Increment(ref (isConflict ? _conflicts : _refused)[(int)operation]);
    }

    /// <summary>It ended with an exception.</summary>
    internal void Threw(OperationClass operation, Exception cause)
    {
        var counts = cause is ConflictException or VersionMismatchException ? _conflicts : IsRefusal(cause) ? _refused : _failed;
        Interlocked.Increment(ref counts[(int)operation]);
        Interlocked.Increment(ref _untimed[(int)operation]);
    }

    private static bool IsRefusal(Exception cause) => cause is ObjectDisposedException or CairnException
    {
        Code: not (ErrorCode.Corruption or ErrorCode.Io or ErrorCode.DatabaseFailed or ErrorCode.OutcomeUnknown or ErrorCode.Fenced),
    };

    /// <summary>By the log's one writer.</summary>
    internal void Wrote(OperationClass operation, int bytes) => _bytes[(int)operation] += bytes;

    /// <param name="timed">Commits of the class that were timed.</param>
    internal OperationOutcomes Of(OperationClass operation, long timed)
    {
        var (refused, conflicts, failed) = (
            Volatile.Read(ref _refused[(int)operation]), Volatile.Read(ref _conflicts[(int)operation]),
            Volatile.Read(ref _failed[(int)operation]));
        var untimed = Volatile.Read(ref _untimed[(int)operation]);
        return new OperationOutcomes(
            Math.Max(0, timed - (refused + conflicts + failed - untimed)), refused, conflicts, failed,
            Volatile.Read(ref _bytes[(int)operation]));
    }
}
