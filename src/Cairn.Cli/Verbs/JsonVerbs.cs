using System.CommandLine;
using Spectre.Console;

namespace Cairn.Cli.Verbs;

/// <summary><c>cairn json ...</c>: the documents of a run as wholes, what they were, and queries. <see cref="JsonPlaceVerbs"/> are the
/// verbs that work on a place of one.</summary>
internal static class JsonVerbs
{
    // Chosen: a page of whole documents is in memory at once, and each of them may be large.
    private const int PageDocuments = 100;

    internal static Group Group() => new(
        "json",
        "Documents of a run: JSON values under an id, read and changed by path.",
        New(), Create(), Put(), PutMany(), GetOrCreate(), Get(), GetMany(),
        JsonPlaceVerbs.Exists(), JsonPlaceVerbs.Kind(), JsonPlaceVerbs.Length(), JsonPlaceVerbs.Keys(),
        JsonPlaceVerbs.Set(), JsonPlaceVerbs.SetMany(), JsonPlaceVerbs.Delete(), JsonPlaceVerbs.Patch(), JsonPlaceVerbs.Merge(),
        JsonPlaceVerbs.CompareAndSet(), JsonPlaceVerbs.Append(), JsonPlaceVerbs.Insert(), JsonPlaceVerbs.Remove(), JsonPlaceVerbs.Pop(),
        JsonPlaceVerbs.Increment(), JsonPlaceVerbs.AppendText(),
        List(), Scan(), Count(), Query(), QueryMany(), History(), Diff(), Expire(), Persist());

    private static Verb New()
    {
        var (value, type, ttl) = (Value(), Type(), Parts.Ttl());
        return new Verb(
            "new", "Makes a document under a new id and prints the id.", "cairn json new '{\"title\":\"refund\",\"steps\":[]}'",
            Needs.WriteRun,
            call =>
            {
                var id = call.Json.Create(Given(call, call.Get(value), type), call.Get(ttl));
                return call.Answer(id, ("id", id));
            },
            value, type, ttl);
    }

    private static Verb Create()
    {
        var (id, value, type, ttl) = (Id(), Value(), Type(), Parts.Ttl());
        return new Verb(
            "create", "Makes a document; one that is there: exit code 4.", "cairn json create plan '{\"steps\":[],\"cost\":0}'",
            Needs.WriteRun,
            call => call.Wrote(call.Json.Create(call.Get(id), Given(call, call.Get(value), type), call.Get(ttl))),
            id, value, type, ttl);
    }

    private static Verb Put()
    {
        var (id, value, type, ttl) = (Id(), Value(), Type(), Parts.Ttl());
        return new Verb(
            "put", "Writes a whole document, whatever was there.",
            "cairn json put plan - < plan.json\ncairn json put draft '{\"title\":\"refund\"}' --ttl 7d", Needs.WriteRun,
            call => call.Wrote(call.Json.Put(call.Get(id), Given(call, call.Get(value), type), call.Get(ttl))),
            id, value, type, ttl);
    }

    private static Verb PutMany()
    {
        var pairs = new Argument<string[]>("pair")
        {
            Description = "ID=VALUE, as often as you like; - alone reads a JSON object of ids and documents from standard input.",
            Arity = ArgumentArity.OneOrMore,
        };
        var (type, ttl) = (Type(), Parts.Ttl());
        return new Verb(
            "put-many", "Writes several whole documents in one transaction: all or nothing.",
            "cairn json put-many a='{\"n\":1}' b='[true]'\ncairn json put-many - < documents.json", Needs.WriteRun,
            call =>
            {
                var documents = call.Get(pairs) is ["-"]
                    ? [.. ValueText.Members(call.Input, "ids")]
                    : call.Get(pairs).Select(pair => Given(call, pair, "ID", type)).ToList();
                return call.Wrote(call.Json.PutMany(documents, call.Get(ttl)));
            },
            pairs, type, ttl);
    }

    private static Verb GetOrCreate()
    {
        var (id, value, type, ttl) = (Id(), Value(), Type(), Parts.Ttl());
        return new Verb(
            "get-or-create", "Prints a document; one that is absent is made with the value given.",
            "cairn json get-or-create plan '{\"steps\":[]}'", Needs.WriteRun,
            call =>
            {
                var found = call.Json.GetOrCreate(call.Get(id), Given(call, call.Get(value), type), call.Get(ttl));
                return call.Answer(Show.Text(found), ("id", call.Get(id)), ("value", found));
            },
            id, value, type, ttl);
    }

    private static Verb Get()
    {
        var (id, path, at) = (Id(), OptionalPath(), PastTime.Option());
        return new Verb(
            "get", "Prints a document, or what stands at a place of it: a String as it is, anything else as JSON; with --json also "
                + "versions, times and expiry.",
            "cairn json get plan\ncairn json get plan '$.steps[0]'\ncairn json get plan /cost --at 12", Needs.ReadRun,
            call => Read(call, at, documents =>
            {
                var place = Place(call, path);
                return documents.GetVersioned(call.Get(id), place) is { } found
                    ? call.Answer(
                        Show.Text(found.Value),
                        ("id", call.Get(id)), ("path", place.ToString()), ("found", true), ("value", found.Value),
                        ("version", Failures.Number(found.Version)), ("region", Failures.Number(found.Region)),
                        ("created", Failures.Number(found.Created)), ("time_us", Show.Microseconds(found.Time)),
                        ("expiry_us", Show.Microseconds(found.Expiry)))
                    : Absent(call, call.Get(id), place);
            }),
            id, path, at);
    }

    private static Verb GetMany()
    {
        var (ids, at) = (
            new Argument<string[]>("id") { Description = "One or more ids.", Arity = ArgumentArity.OneOrMore }, PastTime.Option());
        return new Verb(
            "get-many", "Prints several documents of one snapshot, in the order asked; exit code 1 when one is absent.",
            "cairn json get-many plan notes", Needs.ReadRun,
            call => Read(call, at, documents =>
            {
                var names = call.Get(ids);
                var pairs = names.Zip(documents.GetMany(names), (id, value) => (Id: id, Value: value)).ToList();
                call.List(
                    pairs,
                    pair => pair.Value is { } value
                        ? [("id", pair.Id), ("found", true), ("value", value)]
                        : [("id", pair.Id), ("found", false)],
                    new Column<(string Id, Value? Value)>("id", pair => pair.Id),
                    new Column<(string Id, Value? Value)>("found", pair => pair.Value is null ? "no" : "yes"),
                    new Column<(string Id, Value? Value)>("value", pair => pair.Value is { } value ? Show.Text(value) : ""));
                return pairs.TrueForAll(pair => pair.Value is not null) ? ExitCodes.Ok : ExitCodes.Negative;
            }),
            ids, at);
    }

    private static Verb List()
    {
        var (range, at) = (new ScanRange("id", "ids"), PastTime.Option());
        return new Verb(
            "list", "Prints the ids of documents in order of their bytes.", "cairn json list --prefix plan/", Needs.ReadRun,
            call => Read(call, at, documents => call.List(
                call.Pages(call.Get(range.Limit), (limit, cursor) => documents.List(range.Options(call, limit, cursor))),
                id => [("id", id)],
                new Column<string>("id", id => id))),
            [.. range.All, at]);
    }

    private static Verb Scan()
    {
        var (range, at) = (new ScanRange("id", "ids"), PastTime.Option());
        return new Verb(
            "scan", "Prints whole documents in order of the bytes of their ids.", "cairn json scan --from a --to n --limit 20",
            Needs.ReadRun,
            call => Read(call, at, documents => call.List(
                call.Pages(
                    call.Get(range.Limit),
                    (limit, cursor) => documents.Scan(range.Options(call, Math.Min(limit, PageDocuments), cursor))),
                pair => [("id", pair.Key), ("value", pair.Value)],
                new Column<KeyValuePair<string, Value>>("id", pair => pair.Key),
                new Column<KeyValuePair<string, Value>>("value", pair => Show.Text(pair.Value)))),
            [.. range.All, at]);
    }

    private static Verb Count()
    {
        var prefix = new Option<string?>("--prefix") { Description = "Counts only ids that begin with this.", HelpName = "TEXT" };
        var at = PastTime.Option();
        return new Verb(
            "count", "Prints the number of documents.", "cairn json count --prefix plan/", Needs.ReadRun,
            call => Read(call, at, documents =>
            {
                var count = documents.Count(call.Get(prefix));
                return call.Answer(Show.Plain(count), ("count", count));
            }),
            prefix, at);
    }

    private static Verb Query()
    {
        var (id, query, at) = (Id(), QueryArgument(), PastTime.Option());
        return new Verb(
            "query", "Prints what a JSONPath query finds in a document, with the place of each; no such document: exit code 1. Documents "
                + "that a filter holds for: 'cairn query'.",
            "cairn json query plan '$.steps[?@.cost > 3].title'", Needs.ReadRun,
            call => Read(call, at, documents => documents.Query(call.Get(id), JsonPath.Parse(call.Get(query))) is { } found
                ? call.List(
                    found,
                    match => [("id", call.Get(id)), ("path", match.ToString()), ("value", match.Value)],
                    new Column<JsonPathMatch>("path", match => match.ToString()),
                    new Column<JsonPathMatch>("value", match => Show.Text(match.Value)))
                : call.Absent("id", call.Get(id))),
            id, query, at);
    }

    private static Verb QueryMany()
    {
        var (query, range, at) = (QueryArgument(), new ScanRange("id", "ids"), PastTime.Option());
        return new Verb(
            "query-many", "Prints what a JSONPath query finds in each of several documents; --limit counts documents in which it finds "
                + "anything. Reads all of them; 'cairn query' uses indexes.",
            "cairn json query-many '$..author' --prefix book/", Needs.ReadRun,
            call => Read(call, at, documents =>
            {
                var parsed = JsonPath.Parse(call.Get(query));
                var found = call.Pages(null, (_, cursor) => documents.QueryMany(parsed, range.Options(call, PageDocuments, cursor)));
                return call.List(
                    found.Take(call.Get(range.Limit) ?? int.MaxValue)
                        .SelectMany(pair => pair.Value, (pair, match) => (Id: pair.Key, Match: match)),
                    row => [("id", row.Id), ("path", row.Match.ToString()), ("value", row.Match.Value)],
                    new Column<(string Id, JsonPathMatch Match)>("id", row => row.Id),
                    new Column<(string Id, JsonPathMatch Match)>("path", row => row.Match.ToString()),
                    new Column<(string Id, JsonPathMatch Match)>("value", row => Show.Text(row.Match.Value)));
            }),
            [query, .. range.All, at]);
    }

    private static Verb History()
    {
        var (id, path, limit, before) = (Id(), OptionalPath(), PastTime.Limit(), PastTime.Before());
        return new Verb(
            "history", "Prints the versions of a document, or of a place in it, newest first, deletions included.",
            "cairn json history plan --limit 5\ncairn json history plan /steps/0/status", Needs.ReadRun,
            call =>
            {
                var place = Place(call, path);
                return call.List(
                    PastTime.Versions(
                        call, limit, before, (count, end) => call.Run.Json.History(call.Get(id), place, count, end), item => item.Version),
                    item =>
                    [
                        ("id", call.Get(id)), ("path", place.ToString()),
                        .. PastTime.Members(item.Version, item.IsDeletion, item.Value, item.Time, item.Expiry),
                    ],
                    new Column<HistoryItem<Value>>("version", item => item.Version.ToString(), Justify.Right),
                    Column<HistoryItem<Value>>.OfTime("time", item => item.Time),
                    new Column<HistoryItem<Value>>("value", item => item.IsDeletion ? "(deleted)" : Show.Text(item.Value)));
            },
            id, path, limit, before);
    }

    private static Verb Diff()
    {
        var id = Id();
        var from = new Argument<PastTime?>("from")
        {
            Description = "The older moment: a sequence (12) or a time (2026-01-31T12:00:00Z).", CustomParser = PastTime.Parse,
        };
        var to = new Argument<PastTime?>("to")
        {
            Description = "The newer one. Default: now.", CustomParser = PastTime.Parse, Arity = ArgumentArity.ZeroOrOne,
        };
        return new Verb(
            "diff", "Prints the JSON Patch that makes of a document as it was what it became; absent at either end: exit code 1.",
            "cairn json diff plan 12\ncairn json diff plan 12 20 | cairn json patch copy -", Needs.ReadRun,
            call => ReadAt(call, call.Get(from), older => ReadAt(call, call.Get(to), newer =>
            {
                if (older.Get(call.Get(id)) is not { } was || newer.Get(call.Get(id)) is not { } became)
                    return call.Absent("id", call.Get(id));
                var patch = JsonPatch.Diff(was, became).ToValue();
                return call.Answer(patch.ToJson(), ("id", call.Get(id)), ("found", true), ("patch", patch));
            })),
            id, from, to);
    }

    private static Verb Expire()
    {
        var id = Id();
        var life = new Argument<TimeSpan?>("time") { Description = "From now on: 500ms, 30s, 10m, 2h, 7d.",
            CustomParser = Parts.ParseDuration };
        return new Verb(
            "expire", "Changes when a document expires, and nothing else.", "cairn json expire draft 30m", Needs.WriteRun,
            call => Found(call, call.Json.Expire(call.Get(id), call.Get(life)!.Value)),
            id, life);
    }

    private static Verb Persist()
    {
        var id = Id();
        return new Verb(
            "persist", "Removes the expiry of a document.", "cairn json persist draft", Needs.WriteRun,
            call => Found(call, call.Json.Persist(call.Get(id))),
            id);
    }

    // ---- parts ----------------------------------------------------------------------------------------------------------------

    internal static Argument<string> Id() => new("id") { Description = "The document: 1 to 1,024 bytes of UTF-8, not beginning with $." };

    /// <summary>A place; a pointer needs no quotes in a shell.</summary>
    internal static Argument<string> Path() => new("path")
    {
        Description = "The place: a pointer (/steps/0, /steps/- behind the last) or a singular query ('$.steps[0]', '$.steps[-]').",
    };

    internal static Argument<string?> OptionalPath() => new("path")
    {
        Description = "The place: a pointer (/steps/0) or a singular query ('$.steps[-1]'). Default: the whole document.",
        Arity = ArgumentArity.ZeroOrOne,
    };

    /// <summary>What documents are made of is JSON, unless it is said otherwise.</summary>
    internal static Option<string> Type() => ValueText.TypeOption("json");

    internal static Argument<string?> Value() => new("value")
    {
        Description = "JSON, unless --type says otherwise; - reads standard input.",
        Arity = ArgumentArity.ZeroOrOne,
    };

    internal static Value Given(Call call, string? text, Option<string> type) =>
        Hinted(call, type, () => ValueText.Read(call, text, call.Get(type)!));

    /// <summary>Reads <c>ID=VALUE</c> or <c>PATH=VALUE</c>.</summary>
    internal static KeyValuePair<string, Value> Given(Call call, string pair, string name, Option<string> type) =>
        Hinted(call, type, () => ValueText.Pair(pair, call.Get(type)!, name));

    // A text without its quotes is no JSON; elsewhere in the tool it would have been a String.
    private static T Hinted<T>(Call call, Option<string> type, Func<T> read)
    {
        try
        {
            return read();
        }
        catch (CairnException malformed) when (malformed.Code == ErrorCode.InvalidArgument && !call.IsGiven(type))
        {
            throw new RefusedException(
                malformed.Code, $"{malformed.Message} A value is JSON here; a text as it is: --type string.", malformed);
        }
    }

    internal static DocumentPath Place(Call call, Argument<string?> path) =>
        call.Get(path) is { } text ? DocumentPath.Parse(text) : DocumentPath.Root;

    internal static int Found(Call call, bool found) => call.Answer(found, found ? "done" : "no such document", ("found", found));

    /// <summary>There is no such document, or no such place in it.</summary>
    internal static int Absent(Call call, string id, DocumentPath place) => call.IsJson
        ? call.Answer(false, "", ("id", id), ("path", place.ToString()), ("found", false))
        : ExitCodes.Negative;

    /// <summary>Reads the documents, now or as they were at the moment that was asked for.</summary>
    internal static int Read(Call call, Option<PastTime?> at, Func<JsonView, int> read) => ReadAt(call, call.Get(at), read);

    // The past is a view of the run, which takes memory until everything that was asked of it is printed.
    private static int ReadAt(Call call, PastTime? at, Func<JsonView, int> read)
    {
        if (at is null)
            return read(call.Run.Json);
        using var view = at.Read(call.Run.At, call.Run.At);
        return read(view.Json);
    }

    private static Argument<string> QueryArgument() => new("query") { Description = "JSONPath (RFC 9535): '$.steps[?@.done == false]'." };
}
