using System.CommandLine;
using Spectre.Console;

namespace Cairn.Cli.Verbs;

/// <summary><c>cairn trace ...</c>: the typed steps of a run, as trees.</summary>
internal static class TraceVerbs
{
    private static readonly (string Name, TraceType Type)[] Types =
    [
        ("tool-call", TraceType.ToolCall), ("decision", TraceType.Decision), ("query", TraceType.Query), ("thought", TraceType.Thought),
        ("error", TraceType.Error), ("custom", TraceType.Custom),
    ];

    /// <summary>A trace as a row.</summary>
    internal static Column<TraceRecord>[] Columns =>
    [
        new("id", trace => trace.Id.ToString()),
        Column<TraceRecord>.OfTime("time", trace => trace.Timestamp),
        new("type", trace => NameOf(trace.Type)),
        new("step", Steps.Brief),
    ];

    internal static Group Group() => new(
        "trace",
        "Traces of a run: typed steps of an agent, as trees.",
        Record(), Get(), Exists(), Count(), List(), Roots(), Children(), Tree(), ByType(), ByTag(), ByTime(), Redact());

    private static Verb Record()
    {
        var type = TypeArgument();
        var step = new Argument<string>("step")
        {
            Description = "A JSON object; - reads standard input. tool-call: tool, arguments, result?. decision: question, options, "
                + "chosen, reasoning?. "
                + "query: kind, query, resultCount?. thought: content, confidence?. error: kind, message, recoverable. custom: name, data.",
        };
        var parent = new Option<string?>("--parent") { Description = "The trace under which it stands. Default: it is a root.",
            HelpName = "ID" };
        var tags = new Option<string[]>("--tag") { Description = "A tag; may be given often.", HelpName = "TAG" };
        var meta = new Option<string?>("--meta") { Description = "Metadata: a JSON object.", HelpName = "JSON" };
        var causes = new Option<long[]>("--cause") { Description = "Number of an event that led to it; may be given often.",
            HelpName = "N" };
        var duration = new Option<TimeSpan?>("--duration") { Description = "How long it took: 250ms, 3s.", HelpName = "TIME",
            CustomParser = Parts.ParseDuration };
        var model = new Option<string?>("--model") { Description = "The model at work.", HelpName = "NAME" };
        var tokensIn = Parts.Number("--tokens-in", "Tokens given to the model.");
        var tokensOut = Parts.Number("--tokens-out", "Tokens made by the model.");
        return new Verb(
            "record", "Records a step and prints its id.",
            "cairn trace record thought '{\"content\":\"check the order first\"}'\ncairn trace record tool-call "
                + "'{\"tool\":\"crm\",\"arguments\":{\"id\":4711}}' --parent ID --tag crm", Needs.WriteRun,
            call =>
            {
                var options = new TraceOptions
                {
                    Parent = call.Get(parent) is { } above ? Id(above) : null,
                    Tags = call.Get(tags) ?? [],
                    Metadata = call.Get(meta) is { } json ? Value.FromJson(json) : default(Value?),
                    Causes = call.Get(causes) ?? [],
                    Duration = call.Get(duration),
                    Model = call.Get(model),
                    Tokens = call.IsGiven(tokensIn) || call.IsGiven(tokensOut) ? new TraceTokens(call.Get(tokensIn) ?? 0,
                        call.Get(tokensOut) ?? 0) : null,
                };
                var id = call.Traces.Record(Steps.Read(TypeOf(call.Get(type)), ValueText.Read(call, call.Get(step), "json")), options);
                return call.Answer(id.ToString(), ("id", id.ToString()));
            },
            type, step, parent, tags, meta, causes, duration, model, tokensIn, tokensOut);
    }

    private static Verb Get()
    {
        var id = IdArgument();
        return new Verb(
            "get", "Prints a trace.", "cairn trace get ID", Needs.ReadRun,
            call =>
            {
                if (!call.Run.Traces.TryGet(Id(call.Get(id)), out var trace))
                    return call.Absent("id", call.Get(id));
                var members = Members(trace);
                return call.Figures(Value.Object([.. members, ("found", true)]),
                    members.Select(member => (member.Name, Show.Text(member.Value))));
            },
            id);
    }

    private static Verb Exists()
    {
        var id = IdArgument();
        return new Verb(
            "exists", "Says whether there is such a trace: exit code 0 or 1.", "cairn trace exists ID", Needs.ReadRun,
            call =>
            {
                var exists = call.Run.Traces.Exists(Id(call.Get(id)));
                return call.Answer(exists, exists ? "true" : "false", ("id", call.Get(id)), ("found", exists));
            },
            id);
    }

    private static Verb Count() => new(
        "count", "Prints the number of traces.", "cairn trace count", Needs.ReadRun,
        call =>
        {
            var count = call.Run.Traces.Count();
            return call.Answer(Show.Plain(count), ("count", count));
        });

    private static Verb List() => Listing("list", "Lists traces in order of their times.", "cairn trace list --limit 20", [],
        (call, page) => call.Run.Traces.List(page));

    private static Verb Roots() => Listing("roots", "Lists traces without a parent.", "cairn trace roots", [],
        (call, page) => call.Run.Traces.Roots(page));

    private static Verb Children()
    {
        var id = IdArgument();
        return Listing("children", "Lists the traces under a trace.", "cairn trace children ID", [id],
            (call, page) => call.Run.Traces.Children(Id(call.Get(id)), page));
    }

    private static Verb ByType()
    {
        var type = TypeArgument();
        return Listing("by-type", "Lists traces of one type.", "cairn trace by-type tool-call", [type],
            (call, page) => call.Run.Traces.ByType(TypeOf(call.Get(type)), page));
    }

    private static Verb ByTag()
    {
        var tag = new Argument<string>("tag") { Description = "Exactly this one." };
        return Listing("by-tag", "Lists traces with a tag.", "cairn trace by-tag crm", [tag],
            (call, page) => call.Run.Traces.ByTag(call.Get(tag), page));
    }

    private static Verb ByTime()
    {
        var (from, to) = (Parts.TimeArgument("from", "Inclusive"), Parts.TimeArgument("to", "Exclusive"));
        return Listing(
            "by-time", "Lists traces of a time.", "cairn trace by-time 2026-01-31T00:00:00Z 2026-02-01T00:00:00Z", [from, to],
            (call, page) => call.Run.Traces.ByTime(call.Get(from)!.Value, call.Get(to)!.Value, page));
    }

    private static Verb Tree()
    {
        var id = new Argument<string?>("id") { Description = "Where to begin. Default: every root of the run.",
            Arity = ArgumentArity.ZeroOrOne };
        var depth = Parts.Number("--depth", "Deepest level below the root. Default: 100.");
        var budget = Parts.Limit("traces of a root");
        return new Verb(
            "tree", "Draws a trace with everything under it.", "cairn trace tree --run refund-4711", Needs.ReadRun,
            call =>
            {
                var roots = call.Get(id) is { } text
                    ? [Id(text)]
                    : call.Pages(null, (limit,
                        cursor) => call.Run.Traces.Roots(new TracePage { Limit = limit,
                        Cursor = cursor })).Select(trace => trace.Id).ToList();
                var all = true;
                foreach (var root in roots)
                {
                    if (call.Run.Traces.Tree(root, (int)Math.Clamp(call.Get(depth) ?? 100, 0, TracesView.TreeDepthMax),
                        call.Get(budget) ?? 1_000) is { } tree)
                        Draw(call, tree);
                    else
                        all = false;
                }

                return all ? ExitCodes.Ok : ExitCodes.Negative;
            },
            id, depth, budget);
    }

    private static Verb Redact()
    {
        var id = IdArgument();
        return new Verb(
            "redact", "Removes the content of a trace; id, type, time and parent stay.", "cairn trace redact ID", Needs.WriteRun,
            call =>
            {
                var redacted = call.Traces.Redact(Id(call.Get(id)));
                return call.Answer(redacted, redacted ? "redacted" : "was redacted already, or is not there", ("redacted", redacted));
            },
            id);
    }

    // ---- parts ----------------------------------------------------------------------------------------------------------------

    private static Verb Listing(string name, string what, string example, Symbol[] arguments, Func<Call, TracePage, Page<TraceRecord>> read)
    {
        var (limit, reverse) = (Parts.Limit("traces"), new Option<bool>("--reverse") { Description = "Latest first." });
        return new Verb(
            name, what, example, Needs.ReadRun,
            call => call.List(
                call.Pages(call.Get(limit), (count, cursor) => read(call,
                    new TracePage { Limit = count, Cursor = cursor, Reverse = call.Get(reverse) })),
                Members,
                Columns),
            [.. arguments, limit, reverse]);
    }

    private static void Draw(Call call, TraceTree tree)
    {
        if (call.IsJson)
        {
            call.Streams.Out.WriteLine(Value.Object(("complete", tree.IsComplete), ("count", tree.Count),
                ("root", Nested(tree.Root))).ToJson());
            return;
        }

        var drawn = new Tree(Label(tree.Root)) { Guide = TreeGuide.Line };
        Fill(drawn, tree.Root);
        call.Streams.Page.Write(drawn);
        if (!tree.IsComplete)
            call.Streams.Out.WriteLine("(cut: give a larger --depth or --limit)");
    }

    private static void Fill(IHasTreeNodes drawn, TraceNode node)
    {
        foreach (var child in node.Children)
            Fill(drawn.AddNode(Label(child)), child);
    }

    private static PlainText Label(TraceNode node) =>
        new(Demonstration.DemoPage.FirstLine($"{NameOf(node.Trace.Type)}: {Steps.Brief(node.Trace)}",
            Math.Max(20, Streams.PageWidth - 6 - 4 * Math.Min(node.Depth, 10))));

    private static Value Nested(TraceNode node) =>
        Value.Object([.. Members(node.Trace), ("children", Value.Array(node.Children.Select(Nested)))]);

    internal static (string Name, Value Value)[] Members(TraceRecord trace) =>
    [
        ("id", trace.Id.ToString()),
        ("parent", trace.Parent?.ToString()),
        ("type", NameOf(trace.Type)),
        ("step", trace.Step is { } step ? Steps.ToValue(step) : Value.Null),
        ("time_us", Show.Microseconds(trace.Timestamp)),
        ("duration_us", trace.Duration is { } duration ? (long)(duration.Ticks / TimeSpan.TicksPerMicrosecond) : Value.Null),
        ("tags", Value.Array(trace.Tags.Select(tag => (Value)tag))),
        ("metadata", trace.Metadata),
        ("causes", Value.Array(trace.Causes.Select(cause => (Value)cause))),
        ("model", trace.Model),
        ("tokens_in", trace.Tokens is { } tokens ? tokens.Input : Value.Null),
        ("tokens_out", trace.Tokens is { } used ? used.Output : Value.Null),
        ("redacted", trace.IsRedacted),
        ("version", Failures.Number(trace.Version)),
    ];

    private static Argument<string> IdArgument() => new("id") { Description = "What recording gave." };

    private static Argument<string> TypeArgument()
    {
        var type = new Argument<string>("type") { Description = "tool-call, decision, query, thought, error or custom." };
        type.AcceptOnlyFromAmong([.. Types.Select(known => known.Name)]);
        return type;
    }

    private static TraceId Id(string text) => TraceId.TryParse(text, out var id)
        ? id
        : throw new UsageException($"'{text}' is no id of a trace. 'cairn trace list' shows them.");

    private static TraceType TypeOf(string name) => Types.First(known => known.Name == name).Type;

    private static string NameOf(TraceType type) => Types.First(known => known.Type == type).Name;
}
