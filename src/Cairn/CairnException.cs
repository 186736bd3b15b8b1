namespace Cairn;

/// <summary>Any failure that depends on data, state, concurrency or storage. Programming mistakes (null arguments, disposed
/// handles, use after the end) are <see cref="ArgumentException"/>, <see cref="ObjectDisposedException"/> and
/// <see cref="InvalidOperationException"/> instead. Both kinds are thrown before any state changes.</summary>
public class CairnException : Exception
{
    internal CairnException(ErrorCode code, string message, Exception? inner = null)
        : base(message, inner) => Code = code;

    /// <summary>What went wrong, as a stable number.</summary>
    public ErrorCode Code { get; }

    /// <summary>True when the same call may succeed a little later.</summary>
    public virtual bool IsTransient => Code is ErrorCode.Conflict or ErrorCode.Busy or ErrorCode.DiskFull or ErrorCode.RateLimited;

    /// <summary>True when the same call on the same state fails in the same way, so that a replay would repeat it.</summary>
    public virtual bool IsDeterministic => Code is > ErrorCode.None and < ErrorCode.Conflict or ErrorCode.FormatVersion;
}

/// <summary>Something that the transaction read has been changed by another commit since. Run the transaction again;
/// <c>run.Transact</c> does so by itself.</summary>
public sealed class ConflictException : CairnException
{
    internal ConflictException(string primitive, string key, string region, Sequence read, Sequence current, int attempts = 1)
        : base(
            ErrorCode.Conflict,
            $"Conflict on {primitive} '{key}'{(region.Length == 0 ? "" : $" ({region})")}: read {read}, changed by {current}, "
            + $"after {attempts} attempt(s). Run the transaction again.")
    {
        Primitive = primitive;
        Key = key;
        Region = region;
        ReadVersion = read;
        CurrentVersion = current;
        Attempts = attempts;
    }

    /// <summary>Which primitive the key belongs to: <c>kv</c>, <c>events</c>, <c>state</c>, <c>traces</c>, <c>runs</c>.</summary>
    public string Primitive { get; }

    /// <summary>The key that changed, or the start of the range.</summary>
    public string Key { get; }

    /// <summary>Empty for a point; otherwise the range that was read.</summary>
    public string Region { get; }

    /// <summary>The sequence the transaction had read at.</summary>
    public Sequence ReadVersion { get; }

    /// <summary>The sequence that changed it.</summary>
    public Sequence CurrentVersion { get; }

    /// <summary>How often the transaction was tried, at least 1.</summary>
    public int Attempts { get; }

    internal ConflictException WithAttempts(int attempts) => new(Primitive, Key, Region, ReadVersion, CurrentVersion, attempts);
}

/// <summary>A compare-and-set expected another version. <see cref="CairnException.Code"/> is
/// <see cref="ErrorCode.VersionMismatch"/>.</summary>
public sealed class VersionMismatchException : CairnException
{
    internal VersionMismatchException(string primitive, string key, ulong expected, ulong actual)
        : base(
            ErrorCode.VersionMismatch,
            $"{primitive} '{key}' has version {actual}, expected {expected}{(actual == 0 ? " (0 = absent)" : "")}. Read it again "
            + "and retry with the version found.")
    {
        Expected = expected;
        Actual = actual;
    }

    /// <summary>The version (Kv: sequence; State: counter) the caller expected; 0 = absent.</summary>
    public ulong Expected { get; }

    /// <summary>The version found; 0 = absent.</summary>
    public ulong Actual { get; }
}

/// <summary>A text that is written by a grammar (a path, a query, a filter) does not follow it. <see cref="CairnException.Code"/> is
/// <see cref="ErrorCode.InvalidPath"/> or <see cref="ErrorCode.InvalidFilter"/>.</summary>
public sealed class MalformedTextException : CairnException
{
    internal MalformedTextException(ErrorCode code, string what, int offset, string reason)
        : base(code, $"The {what} is wrong at character {offset}: {reason}")
    {
        Offset = offset;
        Reason = reason;
    }

    /// <summary>Where in the text: the first character (UTF-16) that cannot stand there, from 0. The length of the text when it ends too
    /// early.</summary>
    public int Offset { get; }

    /// <summary>What is wrong there, and what could stand there.</summary>
    public string Reason { get; }
}

/// <summary>A path meets something else in a document than it needs, an operation of a patch cannot be done, or the JSON form of a patch or
/// a filter is none; the document is as it was. <see cref="CairnException.Code"/> is <see cref="ErrorCode.PathNotFound"/>,
/// <see cref="ErrorCode.TypeMismatch"/>, <see cref="ErrorCode.TestFailed"/>, <see cref="ErrorCode.InvalidPath"/>,
/// <see cref="ErrorCode.InvalidArgument"/> or <see cref="ErrorCode.InvalidFilter"/>.</summary>
public sealed class DocumentException : CairnException
{
    private const int PathCharsShownMax = 200;

    internal DocumentException(ErrorCode code, string path, string reason, int? operation = null)
        : base(code, $"{(operation is { } index ? $"Operation {index} of the patch, at" : "At")} {Shown(path)}: {reason}")
    {
        Path = path;
        Reason = reason;
        Operation = operation;
    }

    /// <summary>The path as far as it led, as a text.</summary>
    public string Path { get; }

    /// <summary>What is wrong there.</summary>
    public string Reason { get; }

    /// <summary>Which operation of the patch, from 0; null without a patch.</summary>
    public int? Operation { get; }

    internal DocumentException In(int operation) => new(Code, Path, Reason, operation);

    // A name may be as long as a value; a message is read by people.
    private static string Shown(string path)
    {
        if (path.Length <= PathCharsShownMax)
            return path;
        var length = char.IsHighSurrogate(path[PathCharsShownMax - 1]) ? PathCharsShownMax - 1 : PathCharsShownMax;
        return path[..length] + "...";
    }
}

/// <summary>The run is closed for this write. <see cref="CairnException.Code"/> is <see cref="ErrorCode.RunClosed"/>.</summary>
public sealed class RunClosedException : CairnException
{
    internal RunClosedException(RunId run, RunStatus status)
        : base(
            ErrorCode.RunClosed,
            $"Run {run} is {status} and takes no writes. "
            + $"{(status == RunStatus.Paused ? "Resume it first." : "Fork it to go on from here.")}")
    {
        Run = run;
        Status = status;
    }

    /// <summary>The run.</summary>
    public RunId Run { get; }

    /// <summary>Where it stands.</summary>
    public RunStatus Status { get; }
}

/// <summary>A run cannot change from its status to the asked one (RUN-5). <see cref="CairnException.Code"/> is
/// <see cref="ErrorCode.InvalidTransition"/>.</summary>
public sealed class InvalidTransitionException : CairnException
{
    internal InvalidTransitionException(RunId run, RunStatus from, RunStatus to, string? why = null)
        : base(ErrorCode.InvalidTransition, $"Run {run} cannot change from {from} to {to}. {why ?? Remedy(from)}")
    {
        Run = run;
        From = from;
        To = to;
    }

    /// <summary>The run.</summary>
    public RunId Run { get; }

    /// <summary>Where it stands.</summary>
    public RunStatus From { get; }

    /// <summary>What was asked.</summary>
    public RunStatus To { get; }

    private static string Remedy(RunStatus from) => from switch
    {
        RunStatus.Active => "It is active already.",
        RunStatus.Paused => "Resume it first.",
        RunStatus.Archived => "Archived is final. Fork it to go on from here.",
        _ => "It has ended and can only be archived. Fork it to go on from here.",
    };
}

/// <summary>The database cannot take the write for now: the log's queue or a run's lock is taken for too long, or the disk is
/// full.</summary>
public sealed class BusyException : CairnException
{
    internal BusyException(ErrorCode code, string message, TimeSpan suggestedWait, Exception? inner = null)
        : base(code, message, inner) => SuggestedWait = suggestedWait;

    /// <summary>How long to wait before trying again.</summary>
    public TimeSpan SuggestedWait { get; }
}

/// <summary>A limit of <see cref="Limits"/> is passed. Nothing was written.</summary>
public sealed class LimitException : CairnException
{
    internal LimitException(string limit, long allowed, long actual, string unit, ErrorCode code = ErrorCode.LimitExceeded)
        : base(code, $"{limit} is {actual} {unit}; the limit is {allowed} {unit}. {Remedy(limit)}")
    {
        Limit = limit;
        Allowed = allowed;
        Actual = actual;
        Unit = unit;
    }

    /// <summary>Name of the limit, as in <see cref="Limits"/>.</summary>
    public string Limit { get; }

    /// <summary>The most (or, where the text says so, the least) that is allowed.</summary>
    public long Allowed { get; }

    /// <summary>What was met.</summary>
    public long Actual { get; }

    /// <summary>Unit of both numbers.</summary>
    public string Unit { get; }

    private static string Remedy(string limit) => Limits.IsFixed(limit)
        ? "The limit is fixed: send less."
        : $"Send less, or open the database with a higher Limits.{limit}.";
}

/// <summary>Bytes on disk are not what was written. Nothing was changed; the data behind is not served.</summary>
public sealed class CorruptionException : CairnException
{
    internal CorruptionException(string file, long offset, Sequence sequence, string expected)
        : base(
            ErrorCode.Corruption,
            $"{file} is damaged at offset {offset} (sequence {sequence.Value}): {expected}. Restore a backup, or export what is "
            + "readable with 'cairn salvage'.")
    {
        File = file;
        Offset = offset;
        Sequence = sequence;
        Expected = expected;
    }

    /// <summary>The file, relative to the database directory.</summary>
    public string File { get; }

    /// <summary>Byte offset in the file where the damage begins.</summary>
    public long Offset { get; }

    /// <summary>The last sequence known to be good before the damage.</summary>
    public Sequence Sequence { get; }

    /// <summary>A checkpoint does not belong to this log: another one may.</summary>
    internal bool IsOfCheckpoint { get; init; }

    /// <summary>What should have been there.</summary>
    public string Expected { get; }
}

/// <summary>A file carries a format that this version does not know.</summary>
public sealed class FormatVersionException : CairnException
{
    internal FormatVersionException(string file, string found, string supported)
        : base(ErrorCode.FormatVersion, $"{file} has {found}; this version supports {supported}. Open it with a newer Cairn.")
    {
        File = file;
        Found = found;
        Supported = supported;
    }

    /// <summary>The file, relative to the database directory.</summary>
    public string File { get; }

    /// <summary>The format or feature met.</summary>
    public string Found { get; }

    /// <summary>What this version supports.</summary>
    public string Supported { get; }
}

/// <summary>An I/O error ended writing (G7). Reads go on at the last visible sequence; reopen to recover.</summary>
public sealed class DatabaseFailedException : CairnException
{
    internal DatabaseFailedException(ErrorCode code, string message, Exception? inner = null)
        : base(code, message, inner)
    {
    }

    /// <summary>True when the failed call's own commit may or may not be durable; reopening tells.</summary>
    public bool IsOutcomeUnknown => Code == ErrorCode.OutcomeUnknown;
}

/// <summary>The live call of an input failed, when it was recorded or now: both throw this, so that the same code takes the same way in a
/// replay. <see cref="CairnException.Code"/> is <see cref="ErrorCode.InputFailed"/>.</summary>
public sealed class InputFailedException : CairnException
{
    internal InputFailedException(RecordedInput input, Exception? inner)
        : base(
            ErrorCode.InputFailed,
            $"Input {input.Ordinal} ({Replay.Inputs.NameOf(input.Kind)}{(input.Name is null ? "" : $" '{input.Name}'")}) failed with "
            + $"{input.Failure!.Type}: {input.Failure.Message}",
            inner) => Input = input;

    /// <summary>The input, with the failure that its event keeps. The exception itself is the inner one, where the call was made.</summary>
    public RecordedInput Input { get; }

    /// <summary>A replay of the input throws it again.</summary>
    public override bool IsDeterministic => true;
}

/// <summary>A replayed run asked for something else than was recorded. <see cref="CairnException.Code"/> is
/// <see cref="ErrorCode.ReplayDivergence"/>.</summary>
public sealed class ReplayDivergenceException : CairnException
{
    internal ReplayDivergenceException(RecordedInput? expected, RecordedInput? actual, string difference)
        : base(
            ErrorCode.ReplayDivergence,
            $"The replay leaves the recording at input {(expected ?? actual)?.Ordinal}: recorded was {Of(expected)}, asked was "
            + $"{Of(actual)}: {difference}. Substitute the input, or replay leniently to go on live.")
    {
        Step = (expected ?? actual)?.Ordinal ?? 0;
        Kind = (actual ?? expected)?.Kind ?? InputKind.Model;
        Expected = expected;
        Actual = actual;
        Difference = difference;
    }

    /// <summary>Ordinal of the recorded input that was due; the number of recorded inputs when there is none more.</summary>
    public long Step { get; }

    /// <summary>What was asked.</summary>
    public InputKind Kind { get; }

    /// <summary>The recorded input that was due; null when the recording has no more.</summary>
    public RecordedInput? Expected { get; }

    /// <summary>What was asked instead, without an answer; null when what was asked is what was recorded, and the difference is
    /// elsewhere.</summary>
    public RecordedInput? Actual { get; }

    /// <summary>Where the two differ first, in words, with the path into the request. It may show what is in the requests.</summary>
    public string Difference { get; }

    private static string Of(RecordedInput? input) => input is null
        ? "nothing more"
        : Replay.Inputs.NameOf(input.Kind) + (input.Name is null ? "" : $" '{input.Name}'");
}

/// <summary>The asked history is no longer kept.</summary>
public sealed class HistoryTrimmedException : CairnException
{
    internal HistoryTrimmedException(Sequence requested, Sequence earliest)
        : base(ErrorCode.HistoryTrimmed, $"History at {requested} is no longer kept; the earliest kept sequence is {earliest}.")
    {
        Requested = requested;
        Earliest = earliest;
    }

    internal HistoryTrimmedException(EventNumber requested, EventNumber earliest)
        : base(ErrorCode.HistoryTrimmed, $"Event {requested} is no longer kept; the earliest kept event is {earliest}. Read from there.")
    {
        RequestedEvent = requested;
        EarliestEvent = earliest;
    }

    /// <summary>The sequence asked for; <see cref="Sequence.None"/> when an event was.</summary>
    public Sequence Requested { get; }

    /// <summary>The earliest sequence that can be asked for; <see cref="Sequence.None"/> when an event was asked for.</summary>
    public Sequence Earliest { get; }

    /// <summary>The event asked for; null when a sequence was.</summary>
    public EventNumber? RequestedEvent { get; }

    /// <summary>The earliest event that can be asked for, or the number that the next one will have; null when a sequence was asked
    /// for.</summary>
    public EventNumber? EarliestEvent { get; }

    /// <summary>Of a feed of changes, the cursor with which it can begin: what lies before it is lost to that feed; null
    /// elsewhere.</summary>
    public string? EarliestCursor { get; init; }
}

/// <summary>Why a cursor of a feed is refused.</summary>
public enum CursorFault
{
    /// <summary>It is no cursor, or not the whole of one.</summary>
    Damaged = 0,

    /// <summary>It comes from another database.</summary>
    OtherDatabase = 1,

    /// <summary>It names a commit that is not there yet: the database was set back, or a crash took what had not been synced.</summary>
    Future = 2,

    /// <summary>The commit that it names is gone and another one has its place: a crash took what had not been synced, or the database
    /// was set back.</summary>
    Lost = 3,
}

/// <summary>A cursor of a feed of changes is not one of this database as it is. <see cref="CairnException.Code"/> is
/// <see cref="ErrorCode.InvalidCursor"/>.</summary>
public sealed class CursorException : CairnException
{
    internal CursorException(CursorFault fault, Sequence sequence, Sequence? last)
        : base(ErrorCode.InvalidCursor, Text(fault, sequence, last))
    {
        Fault = fault;
        Sequence = sequence;
    }

    /// <summary>What is wrong with it.</summary>
    public CursorFault Fault { get; }

    /// <summary>The commit that it names; <see cref="Sequence.None"/> when it could not be read.</summary>
    public Sequence Sequence { get; }

    private static string Text(CursorFault fault, Sequence sequence, Sequence? last) => fault switch
    {
        CursorFault.Damaged => "The text is no cursor of a feed. Pass back unchanged what a commit of the feed gave.",
        CursorFault.OtherDatabase => "The cursor comes from another database. Use it there, or begin here without one.",
        CursorFault.Future => $"The cursor is behind commit {sequence}, and the newest one is {last}: a crash took what had not been "
            + "synced, or the database was set back. Begin from an earlier cursor, or from db.ChangeCursor of the last commit that both "
            + "know.",
        _ => $"Commit {sequence} is not the one that the cursor is behind: a crash took what had not been synced, or the database was set "
            + "back. Begin from an earlier cursor, or from db.ChangeCursor of the last commit that both know.",
    };
}

/// <summary>An association needs a concept that is not there. At a commit of a transaction that had seen it, it becomes a
/// conflict.</summary>
internal sealed class MissingConceptException(string id) : CairnException(
    ErrorCode.NotFound, $"There is no concept '{id}', and the association was to be refused then (MissingEnd.Reject). Put it first.")
{
    internal string Id { get; } = id;
}
