using System.CommandLine;
using System.Globalization;
using Spectre.Console;

namespace Cairn.Cli.Verbs;

/// <summary><c>cairn search</c>: what a run holds, found by words, and why.</summary>
internal static class SearchVerbs
{
    internal static Verb Search()
    {
        var parts = new SearchParts();
        return new Verb(
            "search", "Finds what a run holds by the words in it, best first: words, \"phrases\", prefix*, +required, -excluded.",
            "cairn search \"refund preference\"\ncairn search '+ada \"store credit\" -draft' --in json --in events --explain\n"
                + "cairn search refund --runs --filter \"status = 'failed'\"",
            Needs.ReadRun, call => Print(call, parts), [.. parts.All]);
    }

    private static int Print(Call call, SearchParts parts)
    {
        var response = parts.Read(call);
        call.List(
            response.Hits.Select((hit, index) => (Hit: hit, IsLast: index == response.Hits.Count - 1)),
            row => row.IsLast && response.Cursor is { } cursor ? [.. Members(row.Hit), ("cursor", cursor)] : Members(row.Hit),
            [.. Columns(call.Get(parts.Explain))]);
        if (call.IsJson)
            return ExitCodes.Ok;
        if (!response.IsComplete)
            call.Streams.Error.WriteLine($"cairn: the budget ended ({response.Exhausted}): there may be better ones; give it more --time");
        else if (response.Hits.Count == 0)
            call.Streams.Error.WriteLine($"cairn: {Why(response.Outcome)}");
        if (response.Cursor is { } more)
            call.Streams.Error.WriteLine($"cairn: there is more: {parts.HowToGoOn(call, response.Sequence, more)}");
        return ExitCodes.Ok;
    }

    private static string Why(SearchOutcome outcome) => outcome switch
    {
        SearchOutcome.FilteredOut => "what has the words does not pass the filter, the prefix or the times",
        SearchOutcome.BelowMinScore => "the best is below --min-score",
        SearchOutcome.NoMore => "there are no more",
        _ => "nothing has the words",
    };

    private static IEnumerable<Column<(SearchHit Hit, bool IsLast)>> Columns(bool isExplained)
    {
        yield return new("rank", row => Show.Plain(row.Hit.Rank), Justify.Right);
        yield return new("score", row => row.Hit.Score.ToString("F3", CultureInfo.InvariantCulture), Justify.Right);
        yield return new("item", row => row.Hit.Item.ToString());
        if (isExplained)
            yield return new("why", row => string.Join(" + ", row.Hit.Reason!.Keyword.Terms.Select(Why)));
        yield return new("text", row => row.Hit.Snippet is { } snippet ? $"{snippet.Field}: {snippet.Text}" : "");
    }

    // "refund 1.204 (2 of 17, tf 1.2)": what it adds; how many things have it, and how often this one.
    private static string Why(KeywordTerm term) => string.Create(
        CultureInfo.InvariantCulture, $"{term.Text} {term.Score:F3} ({term.Things} have it, here {term.Frequency:0.##})");

    private static (string Name, Value Value)[] Members(SearchHit hit)
    {
        var members = new List<(string Name, Value Value)>
        {
            ("rank", hit.Rank), ("score", hit.Score), ("run", hit.Run.ToString()), ("primitive", hit.Item.Primitive),
            ("key", hit.Item.Key), ("version", Failures.Number(hit.Version)), ("time", Show.Microseconds(hit.Time)),
        };
        if (hit.Value is { } value)
            members.Add(("value", value));
        if (hit.Snippet is { } snippet)
        {
            members.Add(("snippet", Value.Object(
                ("field", snippet.Field), ("text", snippet.Text),
                ("highlights", Value.Array(snippet.Highlights.Select(mark => Value.Array(mark.Start, mark.Length)))))));
        }

        if (hit.Reason is { Keyword: var reason })
        {
            members.Add(("reason", Value.Object(
                ("length", reason.Length), ("average_length", reason.AverageLength), ("things", reason.Things),
                ("source", reason.Source.ToString()), ("terms", Value.Array(reason.Terms.Select(term => Value.Object(
                    ("term", term.Text), ("tf", term.Frequency), ("df", term.Things), ("idf", term.Idf), ("times", term.Times),
                    ("score", term.Score))))))));
        }

        return [.. members];
    }

    private sealed class SearchParts
    {
        private readonly Argument<string> _text = new("text") { Description = "What to look for; - reads it from the standard input." };

        private readonly Option<string[]> _in = new("--in")
        {
            Description = "Only in kv, json, events, state or traces; may be given often. Default: in all.", HelpName = "PRIMITIVE",
        };

        private readonly Option<bool> _runs = new("--runs") { Description = "Finds runs, by their records, instead of what a run holds." };

        private readonly Option<string?> _filter = new("--filter")
        {
            Description = "Only what this filter holds for.", HelpName = "FILTER",
        };

        private readonly Option<string?> _prefix = new("--prefix")
        {
            Description = "Only key-values, state cells and documents whose key begins so.", HelpName = "PREFIX",
        };

        private readonly Option<double?> _minScore = new("--min-score") { Description = "Not below this score.", HelpName = "SCORE" };

        private readonly Option<bool> _literal = new("--literal") { Description = "The text is words: no operators." };

        private readonly Option<double?> _time = new("--time")
        {
            Description = "Seconds that it may take, at most 60. Default: 60; all candidates are ranked.", HelpName = "SECONDS",
        };

        private readonly Option<bool> _values = new("--values") { Description = "With --json: the values too." };

        private readonly Option<string?> _cursor = new("--cursor")
        {
            Description = "Goes on behind a page, with all else unchanged. Needs --at: the pages of one moment.", HelpName = "CURSOR",
        };

        private readonly Option<PastTime?> _at = PastTime.Option();

        internal Option<bool> Explain { get; } = new("--explain") { Description = "Says what each word adds to the score." };

        private Option<int?> Limit { get; } = Parts.Limit("hits");

        internal Symbol[] All =>
            [_text, _in, _runs, _filter, _prefix, _minScore, _literal, _time, _values, Explain, Limit, _cursor, _at];

        internal SearchResponse Read(Call call)
        {
            var text = call.Get(_text)!;
            if (text == "-")
                text = call.Input;
            var options = Options(call);
            var at = call.Get(_at);
            if (call.Get(_runs))
            {
                if (at is not null || call.Get(_in) is { Length: > 0 })
                    throw new UsageException("Runs are found as they are now, by their records: --runs goes with neither --at nor --in.");
                return call.Database.Runs.Search(text, options);
            }

            if (at is null && options.Cursor is not null)
                throw new UsageException("A cursor is of one moment: name it with --at, on the first page too.");
            if (at is null)
                return call.Run.Search(text, options);
            using var view = at.Read(call.Run.At, call.Run.At);
            return view.Search(text, options);
        }

        internal string HowToGoOn(Call call, Sequence sequence, string cursor) => call.Get(_runs)
            ? "ask with a larger --limit"
            : $"{(call.Get(_at) is null ? $"--at {sequence.Value} " : "")}--cursor {cursor}";

        // A verb is one search, and nobody waits behind it: all the budget there is.
        private SearchOptions Options(Call call) => new()
        {
            Limit = call.Get(Limit) ?? 0,
            Primitives = call.Get(_in) is { Length: > 0 } names ? names : null,
            Filter = call.Get(_filter) is { } filter ? Filter.Parse(filter) : null,
            KeyPrefix = call.Get(_prefix),
            MinScore = call.Get(_minScore) ?? 0,
            IsLiteral = call.Get(_literal),
            IsExplained = call.Get(Explain),
            HasValues = call.Get(_values),
            Cursor = call.Get(_cursor),
            Budget = new SearchBudget
            {
                Time = TimeSpan.FromSeconds(call.Get(_time) ?? 60), Candidates = 10_000_000, CandidatesPerPrimitive = 10_000_000,
            },
        };
    }
}
