using Cairn.Codec;

namespace Cairn.Primitives;

/// <summary>A trace as it is stored: a canonical object of type, time, and when they are there parent, duration, tags, metadata, causes,
/// model, tokens (input, output), step; or, once its content was removed, redacted: true beside type, time and parent.</summary>
internal static class TraceContent
{
    /// <summary>Checks everything that was given, then makes the object.</summary>
    /// <param name="now">Microseconds, for a trace that names no time.</param>
    internal static Value Make(TraceStep step, TraceOptions options, long now, Limits limits, out TraceOrder order)
    {
        step.Check();
        CheckDuration(options.Duration);
        if (options.Metadata is { } metadata)
            RunRules.CheckMetadata(metadata, limits);
        if (options.Tokens is { } tokens && (tokens.Input < 0 || tokens.Output < 0))
            throw new CairnException(ErrorCode.ConstraintViolation, $"The tokens are {tokens.Input} and {tokens.Output}; they count, so "
                + $"they are 0 or more.");
        ArgumentNullException.ThrowIfNull(options.Tags);
        ArgumentNullException.ThrowIfNull(options.Causes);
        Many.CheckCount(options.Causes.Count, limits);
        foreach (var cause in options.Causes)
        {
            if (cause < 0)
                throw new CairnException(ErrorCode.ConstraintViolation, $"A cause is {cause}; events have numbers from 0.");
        }

        var tags = RunRules.CheckTags(options.Tags, limits);
        var time = options.Timestamp is { } given ? CommitClock.Microseconds(given) : now;
        order = new TraceOrder(step.Type, time, options.Parent, tags);
        var content = Write(order, isRedacted: false,
            ("duration", Fields.Of(Microseconds(options.Duration))),
            ("metadata", options.Metadata is { Count: > 0 } kept ? kept : default(Value?)),
            ("causes", options.Causes.Count == 0 ? default(Value?) : Value.Array(options.Causes.Select(cause => (Value)cause))),
            ("model", Fields.Of(options.Model)),
            ("tokens", options.Tokens is { } used ? Value.Array(used.Input, used.Output) : default(Value?)),
            ("step", step.ToValue()));
        ValueCodec.EncodedLength(content, limits, FloatRule.Finite);
        return content;
    }

    /// <summary>The object of a trace that was read.</summary>
    internal static Value Of(TraceRecord trace, Limits limits)
    {
        var time = CommitClock.Microseconds(trace.Timestamp);
        if (trace.Step is not { } step)
            return Redacted(new TraceOrder(trace.Type, time, trace.Parent, []));
        return Make(
            step,
            new TraceOptions
            {
                Parent = trace.Parent,
                Timestamp = trace.Timestamp,
                Duration = trace.Duration,
                Tags = trace.Tags,
                Metadata = trace.Metadata.Kind == ValueKind.Object && trace.Metadata.Count > 0 ? trace.Metadata : default(Value?),
                Causes = trace.Causes,
                Model = trace.Model,
                Tokens = trace.Tokens,
            },
            time, limits, out _);
    }

    /// <summary>What is left of a trace when its content is removed.</summary>
    internal static Value Redacted(in TraceOrder order) => Write(order with { Tags = [] }, isRedacted: true);

    private static Value Write(in TraceOrder order, bool isRedacted, params ReadOnlySpan<(string Name, Value? Value)> more) => Fields.Write(
    [
        ("type", Fields.Of((long)order.Type)),
        ("time", Fields.Of(order.Time)),
        ("parent", Fields.Of(order.Parent?.Bits)),
        ("tags", Fields.Of(order.Tags)),
        ("redacted", Fields.Of(isRedacted)),
        .. more,
    ]);

    /// <summary>What paths and filters see of a trace: the stored object, with the words and texts that people know it by.</summary>
    internal static Value Document(in Fields fields, TraceId id)
    {
        var members = new List<KeyValuePair<string, Value>> { new("$key", id.ToString()) };
        foreach (var (name, value) in fields.Object.AsObject())
        {
            members.Add(new(name, (name, value.Kind) switch
            {
                ("type", ValueKind.Int64) => WordOf((TraceType)value.AsInt64()),
                ("parent", ValueKind.Bytes) => TraceId.Read(value.AsBytes().Span).ToString(),
                ("tokens", ValueKind.Array) when value.Count == 2 => Value.Object(("input", value[0]), ("output", value[1])),
                _ => value,
            }));
        }

        return Value.Object(members);
    }

    /// <summary>A type as text has it: <c>tool_call</c>, <c>decision</c>, <c>query</c>, <c>thought</c>, <c>error</c>,
    /// <c>custom</c>.</summary>
    internal static string WordOf(TraceType type) => type switch
    {
        TraceType.ToolCall => "tool_call",
        TraceType.Decision => "decision",
        TraceType.Query => "query",
        TraceType.Thought => "thought",
        TraceType.Error => "error",
        _ => "custom",
    };

    /// <summary>What the orders need. False when the object is not a trace.</summary>
    internal static bool TryReadOrder(in Fields fields, out TraceOrder order)
    {
        order = default;
        if (!fields.TryNumber("type", out var type) || type is not (>= 0 and <= (long)TraceType.Custom)
            || !fields.TryNumber("time", out var time) || time is null || !fields.TryId("parent", out var parent)
            || !fields.TryTexts("tags", out var tags))
        {
            return false;
        }

        order = new TraceOrder((TraceType)type, time.Value, parent is { } bits ? new TraceId(bits) : null, tags);
        return true;
    }

    /// <summary>Everything. False when the object is not a trace.</summary>
    internal static bool TryRead(in Fields fields, TraceId id, out TraceRecord? trace)
    {
        trace = null;
        TraceStep? step = null;
        if (!TryReadOrder(fields, out var order) || !fields.TryFlag("redacted", out var isRedacted)
            || !fields.TryNumber("duration", out var duration) || !fields.TryObject("metadata", out var metadata)
            || !fields.TryNumbers("causes", out var causes) || !fields.TryText("model", out var model)
            || !fields.TryNumbers("tokens", out var tokens) || tokens.Length is not (0 or 2)
            || isRedacted == fields.Has("step") || (!isRedacted && !TryReadStep(order.Type, fields, out step)))
        {
            return false;
        }

        trace = new TraceRecord
        {
            Id = id,
            Parent = order.Parent,
            Type = order.Type,
            Step = step,
            Timestamp = CommitClock.Time(order.Time),
            Duration = Time(duration),
            Tags = order.Tags,
            Metadata = metadata,
            Causes = causes,
            Model = model,
            Tokens = tokens.Length == 0 ? null : new TraceTokens(tokens[0], tokens[1]),
            IsRedacted = isRedacted,
        };
        return true;
    }

    private static bool TryReadStep(TraceType type, in Fields fields, out TraceStep? step)
    {
        step = null;
        if (fields.Any("step") is not { } value || !Fields.TryRead(value, out var content))
            return false;
        step = type switch
        {
            TraceType.ToolCall when content.TryNeedText("tool", out var tool) && content.Any("arguments") is { } arguments
                && content.TryNumber("duration", out var duration) => new ToolCallStep(tool, arguments, content.Any("result"),
                    Time(duration)),
            TraceType.Decision when content.TryNeedText("question", out var question) && content.TryNeedText("chosen", out var chosen)
                && content.TryTexts("options", out var options) && content.TryText("reasoning", out var reasoning)
                => new DecisionStep(question, options, chosen, reasoning),
            TraceType.Query when content.TryNeedText("kind", out var kind) && content.TryNeedText("query", out var query)
                && content.TryNumber("resultCount", out var count) => new QueryStep(kind, query, count),
            TraceType.Thought when content.TryNeedText("content", out var text) && content.TryFloat("confidence", out var confidence)
                => new ThoughtStep(text, confidence),
            TraceType.Error when content.TryNeedText("kind", out var kind) && content.TryNeedText("message", out var message)
                && content.TryFlag("recoverable", out var isRecoverable) => new ErrorStep(kind, message, isRecoverable),
            TraceType.Custom when content.TryNeedText("name", out var name) && content.Any("data") is { } data => new CustomStep(name,
                data),
            _ => null,
        };
        return step is not null;
    }

    internal static long? Microseconds(TimeSpan? time) => time is { } given ? given.Ticks / TimeSpan.TicksPerMicrosecond : null;

    private static TimeSpan? Time(long? microseconds) => microseconds is { } given ? new TimeSpan(given * TimeSpan.TicksPerMicrosecond)
        : null;

    internal static void CheckDuration(TimeSpan? duration)
    {
        if (duration < TimeSpan.Zero)
            throw new CairnException(ErrorCode.ConstraintViolation, $"A duration is {duration}; it is 0 or more.");
    }
}

/// <summary>Where a trace stands in the orders.</summary>
internal readonly record struct TraceOrder(TraceType Type, long Time, TraceId? Parent, string[] Tags);
