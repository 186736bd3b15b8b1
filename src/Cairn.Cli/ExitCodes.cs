namespace Cairn.Cli;

/// <summary>What the process says when it ends: the one table from error codes to exit codes. <c>docs/cli.md</c> has it too.</summary>
internal static class ExitCodes
{
    internal const int Ok = 0;
    internal const int Negative = 1;
    internal const int Usage = 2;
    internal const int Refused = 3;
    internal const int State = 4;
    internal const int Busy = 5;
    internal const int Damaged = 6;
    internal const int Failed = 7;
    internal const int Bug = 70;

    /// <summary>Meaning of each, for the help and the documentation.</summary>
    internal static readonly (int Code, string Meaning)[] Meanings =
    [
        (Ok, "done; the answer is yes"),
        (Negative, "not there, or the answer is no"),
        (Usage, "the command line is wrong"),
        (Refused, "the input is refused: a limit, a rule or a type"),
        (State, "refused by the state: conflict, other version, closed run, read-only, not allowed"),
        (Busy, "not now: owned by another process, busy, full, timed out"),
        (Damaged, "damaged, not a database, or of a newer format"),
        (Failed, "an I/O error, or the database failed; reopening recovers"),
        (Bug, "a bug in cairn: please report it"),
    ];

    internal static readonly IReadOnlyDictionary<ErrorCode, int> Table = new Dictionary<ErrorCode, int>
    {
        [ErrorCode.None] = Ok,

        [ErrorCode.NotFound] = Negative,
        [ErrorCode.PathNotFound] = Negative,
        [ErrorCode.HistoryTrimmed] = Negative,
        [ErrorCode.CursorExpired] = Negative,

        [ErrorCode.InvalidKey] = Refused,
        [ErrorCode.InvalidName] = Refused,
        [ErrorCode.InvalidPath] = Refused,
        [ErrorCode.InvalidArgument] = Refused,
        [ErrorCode.InvalidFilter] = Refused,
        [ErrorCode.WrongType] = Refused,
        [ErrorCode.TypeMismatch] = Refused,
        [ErrorCode.DimensionMismatch] = Refused,
        [ErrorCode.ModelMismatch] = Refused,
        [ErrorCode.Overflow] = Refused,
        [ErrorCode.LimitExceeded] = Refused,
        [ErrorCode.ConstraintViolation] = Refused,
        [ErrorCode.InvalidCursor] = Refused,
        [ErrorCode.QuotaExceeded] = Refused,

        [ErrorCode.AlreadyExists] = State,
        [ErrorCode.InvalidTransition] = State,
        [ErrorCode.RunClosed] = State,
        [ErrorCode.ReadOnly] = State,
        [ErrorCode.TestFailed] = State,
        [ErrorCode.VersionMismatch] = State,
        [ErrorCode.Conflict] = State,
        [ErrorCode.ReplayDivergence] = State,
        [ErrorCode.InputFailed] = State,
        [ErrorCode.Unauthenticated] = State,
        [ErrorCode.Forbidden] = State,

        [ErrorCode.Timeout] = Busy,
        [ErrorCode.Busy] = Busy,
        [ErrorCode.Cancelled] = Busy,
        [ErrorCode.DiskFull] = Busy,
        [ErrorCode.Locked] = Busy,
        [ErrorCode.RateLimited] = Busy,

        [ErrorCode.Corruption] = Damaged,
        [ErrorCode.FormatVersion] = Damaged,
        [ErrorCode.NotADatabase] = Damaged,
        [ErrorCode.NotABackup] = Damaged,
        [ErrorCode.UnsupportedProtocol] = Damaged,

        [ErrorCode.OutcomeUnknown] = Failed,
        [ErrorCode.DatabaseFailed] = Failed,
        [ErrorCode.Fenced] = Failed,
        [ErrorCode.Io] = Failed,
    };

    internal static int Of(ErrorCode code) => Table.TryGetValue(code, out var exit) ? exit : Bug;
}
