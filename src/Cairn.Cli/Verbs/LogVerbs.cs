using System.CommandLine;
using System.Text;

namespace Cairn.Cli.Verbs;

/// <summary><c>cairn log ...</c>: the commits, and the write-ahead log as it is on disk.</summary>
internal static class LogVerbs
{
    // Chosen: a value longer than this is cut in the readable form; --json has all of it.
    private const int ShownChars = 100;

    private static readonly UTF8Encoding Strict = new(false, throwOnInvalidBytes: true);

    internal static Group Group() => new(
        "log", "The write-ahead log, the truth that everything else is made from.", List(), ShowCommit(), Dump());

    private static Verb List()
    {
        var (limit, before) = (Parts.Limit("commits"), PastTime.BeforeCommit());
        return new Verb(
            "list", "Lists the commits of a run, newest first: when, who and what caused each, and what it changed.",
            "cairn log list --run refund-4711 --limit 20", Needs.ReadRun,
            call => call.List(
                Commits(call, call.Get(limit), call.Get(before)?.Sequence),
                commit => Json(commit),
                new Column<CommittedTransaction>("commit", commit => commit.Sequence.ToString(), Spectre.Console.Justify.Right),
                Column<CommittedTransaction>.OfTime("time", commit => commit.Time),
                new Column<CommittedTransaction>("actor", commit => commit.Attributes.Actor ?? "-"),
                new Column<CommittedTransaction>("tool", commit => commit.Attributes.Tool ?? "-"),
                new Column<CommittedTransaction>("operations", Told)),
            limit, before);
    }

    private static IEnumerable<CommittedTransaction> Commits(Call call, int? limit, Sequence? before)
    {
        var left = limit ?? int.MaxValue;
        while (left > 0)
        {
            var count = Math.Min(left, call.Database.Limits.PageSizeMax);
            var page = call.Run.Commits(count, before);
            foreach (var commit in page)
                yield return commit;
            if (page.Count < count)
                yield break;
            left -= count;
            before = page[^1].Sequence;
        }
    }

    private static Verb ShowCommit()
    {
        var at = new Argument<PastTime?>("sequence") { Description = "Of the commit: 12.", CustomParser = PastTime.ParseSequence };
        return new Verb(
            "show", "Prints one commit: time, runs, who and what caused it, every operation with its value.",
            "cairn log show 12", Needs.ReadDatabase,
            call => ShowCommit(call, call.Database.TransactionAt(call.Get(at)!.Sequence)),
            at);
    }

    internal static Verb Blame()
    {
        var what = new Argument<string>("address")
        {
            Description = "kv/KEY, json/ID, state/NAME, events/#NUMBER, traces/ID, or runs/ID for the run's own record.",
        };
        var place = new Option<string?>("--path") { Description = "Of json/ID: the place in the document, such as $.a[0].",
            HelpName = "PATH" };
        return new Verb(
            "blame", "Prints the commit that wrote what a run holds now; exit code 1 when there is no such thing.",
            "cairn blame kv/customer --run refund-4711", Needs.ReadRun,
            call =>
            {
                if (!ItemAddress.TryParse(call.Get(what), out var address))
                    throw new UsageException($"'{call.Get(what)}' is no address. Write kv/KEY, json/ID, state/NAME, events/#NUMBER or "
                        + "traces/ID.");
                if (call.Get(place) is not null && address.Primitive != "json")
                    throw new UsageException("--path is a place in a document: json/ID.");
                var blamed = call.Get(place) is { } path ? call.Run.Blame(address.Key, path) : call.Run.Blame(address);
                return blamed is { } commit ? ShowCommit(call, commit) : call.Absent("address", address.ToString());
            },
            what, place);
    }

    private static int ShowCommit(Call call, CommittedTransaction commit)
    {
        var by = commit.Attributes;
        (string, string?)[] lines =
        [
            ("commit", commit.Sequence.ToString()),
            ("time", Show.Time(commit.Time)),
            ("actor", by.Actor),
            ("tool", by.Tool),
            ("step", by.TraceStep?.ToString()),
            ("source", by.SourceKind),
            ("trust", by.Trust?.ToString("R", System.Globalization.CultureInfo.InvariantCulture)),
            ("entries", by.Entries.Count == 0 ? null : by.Entries.ToJson()),
            ("once", commit.IdempotencyKey),
            ("read", by.Reads is { } reads
                ? $"{Show.Number(reads.Points)} keys and {Show.Number(reads.Ranges)} ranges at {reads.Sequence}: "
                    + string.Join(' ', reads.Items)
                : null),
            .. commit.Runs.Select(run => ("run", (string?)run.ToString())),
            .. commit.Operations.Select(operation =>
                (operation.Name, (string?)$"{operation.Address}{PathText(operation)} {BodyText(operation)}".TrimEnd())),
        ];
        return call.Figures(
            Value.Object(Json(commit)), lines.Where(line => line.Item2 is not null).Select(line => (line.Item1, line.Item2!)));
    }

    private static string Told(CommittedTransaction commit)
    {
        const int shown = 3;
        var first = commit.Operations.Take(shown).Select(operation => $"{operation.Name} {operation.Address}{PathText(operation)}");
        var more = commit.Operations.Count > shown ? $" and {Show.Plain(commit.Operations.Count - shown)} more" : "";
        return string.Join(", ", first) + more;
    }

    internal static (string Name, Value Value)[] Json(CommittedTransaction commit) =>
    [
        ("sequence", Failures.Number(commit.Sequence)),
        ("time_us", Show.Microseconds(commit.Time)),
        ("runs", Value.Array(commit.Runs.Select(run => (Value)run.ToString()))),
        ("operations", Value.Array(commit.Operations.Select(Json))),
        ("once", commit.IdempotencyKey),
        ("attributes", Json(commit.Attributes)),
    ];

    private static Value Json(LogOperation operation) => Value.Object(
        ("run", operation.Run.ToString()),
        ("operation", operation.Name),
        ("address", operation.Address.ToString()),
        ("path", operation.Path?.ToString()),
        ("value", operation.Value ?? Value.Null),
        ("expiry_us", Show.Microseconds(operation.Expiry)));

    private static Value Json(CommitAttributes by) => Value.Object(
        ("actor", by.Actor),
        ("tool", by.Tool),
        ("step", by.TraceStep?.ToString()),
        ("source", by.SourceKind),
        ("trust", by.Trust is { } trust ? trust : Value.Null),
        ("entries", by.Entries),
        ("reads", by.Reads is { } reads
            ? Value.Object(
                ("sequence", Failures.Number(reads.Sequence)), ("points", reads.Points), ("ranges", reads.Ranges),
                ("items", Value.Array(reads.Items.Select(item => (Value)item))))
            : Value.Null));

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
            var (key, body) = (Streams.OneLine(KeyText(operation) + PathText(operation)), Streams.OneLine(BodyText(operation)));
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
            if (operation.Path is { } path)
                members.Add(("path", path.ToString()));
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

    private static string PathText(LogOperation operation) => operation.Path is { } path ? $" {path}" : "";

    private static string BodyText(LogOperation operation)
    {
        var text = operation.Value is { } value ? value.ToJson() : operation.Body.Length == 0 || operation.Address.Primitive == "json" ? ""
            : "0x" + Convert.ToHexStringLower(operation.Body.Span);
        return text.Length <= ShownChars ? text : $"{text[..ShownChars]}... ({Show.Number(text.Length)} characters)";
    }
}
