using System.CommandLine;
using System.Text;

namespace Cairn.Cli.Verbs;

/// <summary><c>cairn log ...</c>: the write-ahead log as it is on disk.</summary>
internal static class LogVerbs
{
    // Chosen: a value longer than this is cut in the readable form; --json has all of it.
    private const int ShownChars = 100;

    private static readonly UTF8Encoding Strict = new(false, throwOnInvalidBytes: true);

    internal static Group Group() => new("log", "The write-ahead log, the truth that everything else is made from.", Dump());

    private static Verb Dump()
    {
        var from = Parts.Number("--from", "First sequence. Default: the beginning of the log.");
        var to = Parts.Number("--to", "End, exclusive. Default: the end of the log.");
        var values = new Option<bool>("--values") { Description = "Shows keys and values too. Without it only their lengths: they may "
            + "be secrets." };
        return new Verb(
            "dump", "Prints one line per record: position, sequence, checks, runs and operations.",
            "cairn log dump --from 10 --to 20\ncairn log dump --values --json | jq .operations", Needs.ReadDatabase,
            call =>
            {
                if (call.Get(from) < 0 || call.Get(to) < 0)
                    throw new UsageException("Sequences begin at 1.");
                var start = new Sequence((ulong)(call.Get(from) ?? 0));
                Sequence? end = call.IsGiven(to) ? new Sequence((ulong)call.Get(to)!.Value) : null;
                foreach (var record in call.Database.ReadLog(start, end))
                    Write(call, record, call.Get(values));
                return ExitCodes.Ok;
            },
            from, to, values);
    }

    private static void Write(Call call, LogRecord record, bool values)
    {
        if (call.IsJson)
        {
            call.Streams.Out.WriteLine(Json(record, values).ToJson());
            return;
        }

        call.Streams.Out.WriteLine(Streams.OneLine(record.Line));
        if (!values)
            return;
        foreach (var operation in record.Operations)
        {
            var (key, body) = (Streams.OneLine(KeyText(operation)), Streams.OneLine(BodyText(operation)));
            call.Streams.Out.WriteLine($"{"",12}{operation.Name} {key} {body}".TrimEnd());
        }
    }

    private static Value Json(LogRecord record, bool values) => Value.Object(
        ("position", record.Position),
        ("type", record.Type),
        ("sequence", Failures.Number(record.Sequence)),
        ("payload_bytes", record.PayloadBytes),
        ("durable_up_to", record.DurableUpTo),
        ("time_us", Show.Microseconds(record.Time)),
        ("operations", Value.Array(record.Operations.Select(operation => Json(operation, values)))));

    private static Value Json(LogOperation operation, bool values)
    {
        List<(string, Value)> members =
        [
            ("run", operation.Run.ToString()), ("operation", operation.Name), ("key_bytes", operation.Key.Length),
                ("body_bytes", operation.Body.Length),
            ("expiry_us", Show.Microseconds(operation.Expiry)),
        ];
        if (values)
        {
            members.Add(("key", KeyText(operation)));
            members.Add(operation.Value is { } value ? ("value", value) : ("body", Value.Bytes(operation.Body.Span)));
        }

        return Value.Object([.. members]);
    }

    private static string KeyText(LogOperation operation)
    {
        try
        {
            return Strict.GetString(operation.Key.Span);
        }
        catch (DecoderFallbackException)
        {
            return "0x" + Convert.ToHexStringLower(operation.Key.Span);
        }
    }

    private static string BodyText(LogOperation operation)
    {
        var text = operation.Value is { } value ? value.ToJson() : operation.Body.Length == 0 ? ""
            : "0x" + Convert.ToHexStringLower(operation.Body.Span);
        return text.Length <= ShownChars ? text : $"{text[..ShownChars]}... ({Show.Number(text.Length)} characters)";
    }
}
