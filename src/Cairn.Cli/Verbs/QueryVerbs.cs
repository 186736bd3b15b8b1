using System.CommandLine;
using System.Globalization;

namespace Cairn.Cli.Verbs;

/// <summary><c>cairn query</c> and <c>cairn explain</c>: the documents, traces, events or runs that a filter holds for, and how they
/// are found.</summary>
internal static class QueryVerbs
{
    // Chosen: a page of whole documents is in memory at once, and each of them may be large. A page in an order looks at all that the
    // filter leaves, so there fewer pages are worth their memory.
    private const int PageDocuments = 100;

    private static readonly DocumentPath Key = DocumentPath.Root.Member("$key");
    private static readonly DocumentPath Number = DocumentPath.Root.Member("number");

    internal static Verb Query()
    {
        var parts = new QueryParts();
        var select = new Option<string[]>("--select")
        {
            Description = "Only this place of each, a pointer or a singular query; may be given often. Default: the whole.",
            HelpName = "PATH",
        };
        return new Verb(
            "query", "Prints the documents, traces, events or runs that a filter holds for. What JSONPath finds within documents: "
                + "'cairn json query'.",
            "cairn query \"owner = 'ada' and cost > 3\" --on documents --order /cost:desc --limit 20\n"
                + "cairn query \"type = 'tool_call' and tags contains 'crm'\" --on traces --select /step/tool --select /duration\n"
                + "cairn query \"type = 'order' and payload.total gte 100\" --on events --order /payload/total:desc\n"
                + "cairn query \"status = 'failed' and metadata.model prefix 'gpt'\" --on runs --select /name --select /error",
            Needs.ReadRun,
            call =>
            {
                List<DocumentPath> places = [.. (call.Get(select) ?? []).Select(path => DocumentPath.Parse(path))];
                var options = parts.Options(call);
                var filter = parts.Filter(call);
                return parts.Read(call, moment => (parts.Kind(call), places.Count) switch
                {
                    (QueryParts.Documents, 0) => Print(
                        call, parts, options, page => moment.Documents.Query(filter, page),
                        pair => [("id", pair.Key), ("value", pair.Value)],
                        new Column<KeyValuePair<string, Value>>("id", pair => pair.Key),
                        new Column<KeyValuePair<string, Value>>("value", pair => Show.Text(pair.Value))),
                    (QueryParts.Documents, _) => Print(
                        call, parts, options, page => moment.Documents.Select(places, filter, page),
                        pair => [("id", pair.Key), ("values", pair.Value)],
                        [
                            new Column<KeyValuePair<string, Value>>("id", pair => pair.Key),
                            .. places.Select(place => new Column<KeyValuePair<string, Value>>(
                                place.ToString(), pair => At(pair.Value, place))),
                        ]),
                    (QueryParts.Events, 0) => Print(
                        call, parts, options, page => moment.Events.Query(filter, page), EventVerbs.Members, EventVerbs.Columns),
                    (QueryParts.Events, _) => PrintPlaces(
                        call, parts, options, page => moment.Events.Select([Number, .. places], filter, page), "number", Number, places),
                    (QueryParts.Runs, 0) => Print(
                        call, parts, options, page => call.Database.Runs.Query(filter, page), RunVerbs.Json, RunVerbs.Columns),
                    (QueryParts.Runs, _) => PrintPlaces(
                        call, parts, options, page => call.Database.Runs.Select([Key, .. places], filter, page), "id", Key, places),
                    (_, 0) => Print(
                        call, parts, options, page => moment.Traces.Query(filter, page), TraceVerbs.Members, TraceVerbs.Columns),
                    _ => PrintPlaces(
                        call, parts, options, page => moment.Traces.Select([Key, .. places], filter, page), "id", Key, places),
                });
            },
            [.. parts.All, select]);
    }

    // Each row is an object of the places, of which one says what the row is of.
    private static int PrintPlaces(
        Call call, QueryParts parts, QueryOptions options, Func<QueryOptions, Page<Value>> read, string name, DocumentPath key,
        List<DocumentPath> places) => Print(
        call, parts, options, read,
        row => [(name, row[key.ToString()]), ("values", places.Contains(key) ? row : Without(row, key))],
        [
            new Column<Value>(name, row => Show.Text(row[key.ToString()])),
            .. places.Select(place => new Column<Value>(place.ToString(), row => At(row, place))),
        ]);

    internal static Verb Explain()
    {
        var parts = new QueryParts();
        return new Verb(
            "explain", "Makes the first page of a query and prints how: the plan, the indexes, what was expected, what was read, and why.",
            "cairn explain \"owner = 'ada' and cost > 3\" --on documents --order /cost:desc --limit 20", Needs.ReadRun,
            call =>
            {
                var options = parts.Options(call);
                var filter = parts.Filter(call);
                options = options with
                {
                    Limit = Math.Min(call.Get(parts.Limit) ?? int.MaxValue, parts.PageMost(call, options)),
                    Cursor = parts.Cursor(call)?.Text,
                };
                return parts.Read(call, moment => Print(
                    call, options.Limit,
                    parts.Kind(call) switch
                    {
                        QueryParts.Documents => moment.Documents.Explain(filter, options),
                        QueryParts.Events => moment.Events.Explain(filter, options),
                        QueryParts.Runs => call.Database.Runs.Explain(filter, options),
                        _ => moment.Traces.Explain(filter, options),
                    }));
            },
            [.. parts.All]);
    }

    private static int Print(Call call, int page, QueryPlan plan) => call.Figures(
        Value.Object(
            ("kind", plan.Kind.ToString()),
            ("indexes", Value.Array(plan.Indexes.Select(name => (Value)name))),
            ("things", plan.Things),
            ("rows_estimated", plan.EstimatedRows),
            ("rows", plan.Rows),
            ("page", page),
            ("items_read", plan.ItemsRead),
            ("things_read", plan.ThingsRead),
            ("sorted", plan.IsSorted),
            ("reason", plan.Reason)),
        [
            ("plan", plan.Kind.ToString()),
            ("indexes", plan.Indexes.Count == 0 ? "none" : string.Join(", ", plan.Indexes)),
            ("rows", $"{Show.Number(plan.EstimatedRows)} expected, {Show.Number(plan.Rows)} on a page of {Show.Number(page)} at most"),
            ("items read", Show.Number(plan.ItemsRead)),
            ("things read", $"{Show.Number(plan.ThingsRead)} of {Show.Number(plan.Things)}"),
            ("sorted", plan.IsSorted ? "afterwards" : "no"),
            ("reason", plan.Reason),
        ]);

    // ---- rows -----------------------------------------------------------------------------------------------------------------

    // The last row of a page that --limit has ended tells where to go on.
    private static int Print<T>(
        Call call, QueryParts parts, QueryOptions options, Func<QueryOptions, Page<T>> read,
        Func<T, (string Name, Value Value)[]> members, params Column<T>[] columns)
    {
        string? more = null;
        call.List(
            Rows(),
            row => row.Cursor is { Length: > 0 } cursor ? [.. members(row.Item), ("cursor", cursor)] : members(row.Item),
            [.. columns.Select(column => new Column<(T Item, string? Cursor)>(
                column.Title, row => column.Text(row.Item), column.Alignment,
                column.Short is { } shorter ? row => shorter(row.Item) : null))]);
        if (more is not null && !call.IsJson)
            call.Streams.Error.WriteLine(more.Length == 0 ? "cairn: there is more" : $"cairn: there is more: --cursor {more}");
        return ExitCodes.Ok;

        IEnumerable<(T Item, string? Cursor)> Rows()
        {
            var left = call.Get(parts.Limit) ?? int.MaxValue;
            var cursor = parts.Cursor(call)?.Text;
            do
            {
                var page = read(options with { Limit = Math.Min(left, parts.PageMost(call, options)), Cursor = cursor });
                left -= page.Count;
                cursor = page.Cursor;
                more = left > 0 || cursor is null ? null : parts.Kind(call) == QueryParts.Runs ? "" : QueryCursor.Of(page.Sequence, cursor);
                for (var i = 0; i < page.Count; i++)
                    yield return (page[i], i == page.Count - 1 ? more : null);
            }
            while (cursor is not null && left > 0);
        }
    }

    private static string At(Value values, DocumentPath place) =>
        values.TryGetMember(place.ToString(), out var value) ? Show.Text(value) : "";

    private static Value Without(Value values, DocumentPath key) =>
        Value.Object(values.AsObject().Where(member => member.Key != key.ToString()));

    // ---- parts ----------------------------------------------------------------------------------------------------------------

    /// <summary>Where a query is asked: now, or as it was.</summary>
    private readonly record struct Moment(JsonView Documents, TracesView Traces, EventsView Events);

    /// <summary>Where a query goes on, as one text: the engine's cursor, and the commit that it stands at, behind which another process
    /// finds the same state again.</summary>
    private sealed record QueryCursor(Sequence Sequence, string Text)
    {
        internal static string Of(Sequence sequence, string text) =>
            string.Create(CultureInfo.InvariantCulture, $"{sequence.Value}.{text}");

        internal static QueryCursor Parse(string text) =>
            text.Split('.', 2) is [var digits, { Length: > 0 } rest] && PastTime.TryParseSequence(digits, out var sequence)
                ? new QueryCursor(sequence, rest)
                : throw new RefusedException(
                    ErrorCode.InvalidArgument, $"'{text}' is no cursor of a query. Pass on what the query before has printed.");
    }

    /// <summary>What both verbs are given.</summary>
    private sealed class QueryParts
    {
        internal const string Documents = "documents";
        internal const string Events = "events";
        internal const string Runs = "runs";

        private readonly Argument<string?> _filter = new("filter")
        {
            Description = "A filter: \"owner = 'ada' and (cost > 3 or tags contains 'urgent') and not done exists\"; - reads standard "
                + "input. Default: all.",
            Arity = ArgumentArity.ZeroOrOne,
        };

        private readonly Option<string[]> _order = new("--order")
        {
            Description = "Order by this place, largest first with :desc; may be given up to 4 times. Default: by id or number.",
            HelpName = "PATH[:desc]",
        };

        private readonly Option<string?> _cursor = new("--cursor")
        {
            Description = "Goes on where a query with --limit has ended, at the commit that it was asked at; same filter and order.",
            HelpName = "CURSOR",
        };

        private readonly Option<PastTime?> _at = PastTime.Option();

        private readonly Option<string> _kind = IndexVerbs.Target(Runs);

        internal string Kind(Call call) => call.Get(_kind)!;

        internal Option<int?> Limit { get; } = Parts.Limit("rows");

        internal Symbol[] All => [_filter, _kind, _order, Limit, _cursor, _at];

        internal Filter? Filter(Call call) => call.Get(_filter) switch
        {
            null => null,
            "-" => Cairn.Filter.Parse(call.Input),
            var text => Cairn.Filter.Parse(text),
        };

        internal QueryCursor? Cursor(Call call) => call.Get(_cursor) is { } text ? QueryCursor.Parse(text) : null;

        internal QueryOptions Options(Call call) => new()
        {
            OrderBy = [.. (call.Get(_order) ?? []).Select(Term)],
        };

        internal int PageMost(Call call, QueryOptions options) =>
            options.OrderBy.Count == 0 && Kind(call) == Documents
                ? PageDocuments
                : call.Database.Limits.PageSizeMax;

        /// <summary>Reads the run in one state: that of now, of <c>--at</c>, or the one that a cursor stands at.</summary>
        internal int Read(Call call, Func<Moment, int> read)
        {
            var (at, cursor) = (call.Get(_at), Cursor(call));
            if (at is not null && cursor is not null)
                throw new UsageException("--at has no meaning with --cursor: a cursor knows the commit that it stands at.");
            if (Kind(call) == Runs && (at is not null || cursor is not null))
            {
                throw new UsageException(
                    "Runs are listed as they are now, so --on runs goes with neither --at nor --cursor. Ask with a larger --limit.");
            }

            if (at is null)
            {
                using var now = call.Run.Snapshot();
                if (cursor is null || cursor.Sequence == now.Sequence)
                    return read(new Moment(now.Json, now.Traces, now.Events));
            }

            using var view = at is null ? call.Run.At(cursor!.Sequence) : at.Read(call.Run.At, call.Run.At);
            return read(new Moment(view.Json, view.Traces, view.Events));
        }

        // A place that ends so itself is written as a query: $['a:desc'].
        private static QueryOrder Term(string text)
        {
            const string Descending = ":desc";
            const string Ascending = ":asc";
            return text.EndsWith(Descending, StringComparison.Ordinal) ? new(DocumentPath.Parse(text[..^Descending.Length]), true)
                : text.EndsWith(Ascending, StringComparison.Ordinal) ? new(DocumentPath.Parse(text[..^Ascending.Length]))
                : new(DocumentPath.Parse(text));
        }
    }
}
