using System.Text;

namespace Cairn.Cli;

/// <summary>Refused by the tool itself, before the engine was asked, with the engine's code for it.</summary>
internal sealed class RefusedException : Exception
{
    /// <param name="cause">What the engine said, if it did: its details are told too.</param>
    internal RefusedException(ErrorCode code, string message, Exception? cause = null)
        : base(message, cause) => Code = code;

    internal ErrorCode Code { get; }

    internal IReadOnlyList<(string Name, Value Value)> Details { get; private init; } = [];

    /// <summary>A limit of the tool's own, told as the engine tells its limits.</summary>
    internal static RefusedException Limit(string limit, long allowed, long actual, string what) => new(
        ErrorCode.LimitExceeded, $"{limit} allows {allowed} {what}; there are {actual} or more.")
    {
        Details = [("limit", limit), ("allowed", allowed), ("actual", actual), ("unit", what)],
    };
}

/// <summary>The command line makes no sense: exit code 2.</summary>
internal sealed class UsageException(string message) : Exception(message);

/// <summary>Failures as one line on the error stream, or as one JSON object; never a stack trace.</summary>
internal static class Failures
{
    internal static int Report(Exception failure, Streams streams, bool isJson)
    {
        var (exit, name, number, message) = failure switch
        {
            CairnException known => (ExitCodes.Of(known.Code), known.Code.ToString(), (int)known.Code, known.Message),
            RefusedException refused => (ExitCodes.Of(refused.Code), refused.Code.ToString(), (int)refused.Code, refused.Message),
            UsageException => (ExitCodes.Usage, "Usage", 0, failure.Message),
            DecoderFallbackException => (ExitCodes.Refused, nameof(ErrorCode.InvalidArgument), (int)ErrorCode.InvalidArgument,
                "The input is not valid UTF-8. Give text in UTF-8, or bytes as base64 with --type bytes."),
            OperationCanceledException => (ExitCodes.Of(ErrorCode.Cancelled), nameof(ErrorCode.Cancelled), (int)ErrorCode.Cancelled,
                "Cancelled. What was begun was taken back."),
            IOException or UnauthorizedAccessException => (ExitCodes.Failed, nameof(ErrorCode.Io), (int)ErrorCode.Io, failure.Message),
            _ => (ExitCodes.Bug, "Bug", 0, $"This is a bug, please report it: {failure.GetType().Name}: {failure.Message}"),
        };
        if (!isJson)
        {
            streams.Error.WriteLine("cairn: " + Streams.OneLine(message));
            return exit;
        }

        streams.Error.WriteLine(Value.Object(
            ("code", name),
            ("number", number),
            ("exit", exit),
            ("message", message),
            ("transient", failure is CairnException { IsTransient: true }),
            ("details", Value.Object(Details(failure)))).ToJson());
        return exit;
    }

    private static (string Name, Value Value)[] Details(Exception failure) => failure switch
    {
        ConflictException conflict =>
        [
            ("primitive", conflict.Primitive), ("key", conflict.Key), ("region", conflict.Region), ("read", Number(conflict.ReadVersion)),
            ("current", Number(conflict.CurrentVersion)), ("attempts", conflict.Attempts),
        ],
        VersionMismatchException mismatch => [("expected", (long)mismatch.Expected), ("actual", (long)mismatch.Actual)],
        DocumentException document =>
        [
            ("path", document.Path), ("reason", document.Reason),
            ("operation", document.Operation is { } operation ? operation : Value.Null),
        ],
        MalformedTextException text => [("offset", text.Offset), ("reason", text.Reason)],
        LimitException limit => [("limit", limit.Limit), ("allowed", limit.Allowed), ("actual", limit.Actual), ("unit", limit.Unit)],
        CorruptionException damage =>
        [
            ("file", damage.File), ("offset", damage.Offset), ("sequence", Number(damage.Sequence)), ("expected", damage.Expected),
        ],
        FormatVersionException format => [("file", format.File), ("found", format.Found), ("supported", format.Supported)],
        RunClosedException closed => [("run", closed.Run.ToString()), ("status", closed.Status.ToString())],
        InvalidTransitionException change => [("run", change.Run.ToString()), ("from", change.From.ToString()),
            ("to", change.To.ToString())],
        HistoryTrimmedException { EarliestEvent: { } earliest, RequestedEvent: { } requested } =>
            [("requested_event", (long)requested.Value), ("earliest_event", (long)earliest.Value)],
        HistoryTrimmedException { EarliestCursor: { } cursor } trimmed =>
            [("requested", Number(trimmed.Requested)), ("earliest", Number(trimmed.Earliest)), ("earliest_cursor", cursor)],
        CursorException cursor => [("fault", cursor.Fault.ToString()), ("sequence", Number(cursor.Sequence))],
        HistoryTrimmedException trimmed => [("requested", Number(trimmed.Requested)), ("earliest", Number(trimmed.Earliest))],
        BusyException busy => [("wait_ms", (long)busy.SuggestedWait.TotalMilliseconds)],
        RefusedException { InnerException: { } cause } => Details(cause),
        RefusedException refused => [.. refused.Details],
        DatabaseFailedException failed => [("outcome_unknown", failed.IsOutcomeUnknown)],
        _ => [],
    };

    internal static Value Number(Sequence sequence) => (long)sequence.Value;

}
