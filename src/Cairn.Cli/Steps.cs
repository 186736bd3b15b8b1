namespace Cairn.Cli;

/// <summary>Steps of traces as JSON objects, in both directions, and in a few words.</summary>
internal static class Steps
{
    internal static TraceStep Read(TraceType type, Value json)
    {
        if (json.Kind != ValueKind.Object)
            throw new RefusedException(ErrorCode.WrongType, "A step is a JSON object.");
        var members = new Members(json);
        TraceStep step = type switch
        {
            TraceType.ToolCall => new ToolCallStep(members.Text("tool"), members.Optional("arguments") ?? Value.Object(),
                members.Optional("result")),
            TraceType.Decision => new DecisionStep(members.Text("question"), members.Texts("options"), members.Text("chosen"),
                members.OptionalText("reasoning")),
            TraceType.Query => new QueryStep(members.Text("kind"), members.Text("query"), members.Optional("resultCount")?.AsInt64()),
            TraceType.Thought => new ThoughtStep(members.Text("content"), members.OptionalNumber("confidence")),
            TraceType.Error => new ErrorStep(members.Text("kind"), members.Text("message"),
                members.Optional("recoverable")?.AsBool() ?? false),
            _ => new CustomStep(members.Text("name"), members.Optional("data") ?? Value.Null),
        };
        members.RefuseOthers();
        return step;
    }

    internal static Value ToValue(TraceStep step) => step switch
    {
        ToolCallStep call => Known(("tool", call.Tool), ("arguments", call.Arguments), ("result", call.Result),
            ("duration_us", call.Duration is { } time ? (Value)(long)(time.Ticks / TimeSpan.TicksPerMicrosecond) : default(Value?))),
        DecisionStep decision => Known(
            ("question", decision.Question), ("options", Value.Array(decision.Options.Select(option => (Value)option))),
                ("chosen", decision.Chosen), ("reasoning", Given(decision.Reasoning))),
        QueryStep query => Known(("kind", query.Kind), ("query", query.Query),
            ("resultCount", query.ResultCount is { } count ? (Value)count : default(Value?))),
        ThoughtStep thought => Known(("content", thought.Content),
            ("confidence", thought.Confidence is { } confidence ? (Value)confidence : default(Value?))),
        ErrorStep error => Known(("kind", error.Kind), ("message", error.Message), ("recoverable", (Value)error.IsRecoverable)),
        CustomStep custom => Known(("name", custom.Name), ("data", custom.Data)),
        _ => Value.Null,
    };

    internal static string Brief(TraceRecord trace) => trace.Step switch
    {
        ToolCallStep { Arguments: { Kind: ValueKind.Object, Count: 1 } arguments } when arguments.TryGetMember("command",
            out var command) => Show.Text(command),
        ToolCallStep call => $"{call.Tool} {call.Arguments.ToJson()}",
        DecisionStep decision => $"{decision.Question} -> {decision.Chosen}",
        QueryStep query => $"{query.Kind} {query.Query}",
        ThoughtStep thought => thought.Content,
        ErrorStep error => $"{error.Kind}: {error.Message}",
        CustomStep custom => $"{custom.Name} {custom.Data.ToJson()}",
        _ => "(redacted)",
    };

    private static Value? Given(string? text) => text is null ? default(Value?) : (Value)text;

    private static Value Known(params ReadOnlySpan<(string Name, Value? Value)> members)
    {
        var known = new List<(string, Value)>();
        foreach (var (name, value) in members)
        {
            if (value is { } given)
                known.Add((name, given));
        }

        return Value.Object([.. known]);
    }

    private sealed class Members(Value json)
    {
        private readonly HashSet<string> _asked = new(StringComparer.Ordinal);

        internal Value? Optional(string name)
        {
            _asked.Add(name);
            return json.TryGetMember(name, out var value) ? value : default(Value?);
        }

        internal string Text(string name) => Optional(name) is { Kind: ValueKind.String } text
            ? text.AsString()
            : throw new RefusedException(ErrorCode.InvalidArgument, $"The step needs the text '{name}'.");

        internal string? OptionalText(string name) => Optional(name)?.AsString();

        internal double? OptionalNumber(string name) => Optional(name) switch
        {
            null => null,
            { Kind: ValueKind.Int64 } whole => whole.AsInt64(),
            { } number => number.AsFloat64(),
        };

        internal List<string> Texts(string name) => Optional(name) is { } texts
            ? texts.AsArray().Select(text => text.AsString()).ToList() : [];

        internal void RefuseOthers()
        {
            if (json.AsObject().Keys.FirstOrDefault(name => !_asked.Contains(name)) is { } unknown)
                throw new RefusedException(ErrorCode.InvalidArgument,
                    $"A step of this type has no '{unknown}'. It has: {string.Join(", ", _asked)}.");
        }
    }
}
