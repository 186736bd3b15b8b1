using Cairn.Primitives;

namespace Cairn;

/// <summary>What kind of step a trace records. Numbers are stored and never change their meaning.</summary>
public enum TraceType
{
    /// <summary><see cref="ToolCallStep"/>.</summary>
    ToolCall = 0,

    /// <summary><see cref="DecisionStep"/>.</summary>
    Decision = 1,

    /// <summary><see cref="QueryStep"/>.</summary>
    Query = 2,

    /// <summary><see cref="ThoughtStep"/>.</summary>
    Thought = 3,

    /// <summary><see cref="ErrorStep"/>.</summary>
    Error = 4,

    /// <summary><see cref="CustomStep"/>.</summary>
    Custom = 5,
}

/// <summary>What an agent did or thought, typed. A closed set: <see cref="ToolCallStep"/>, <see cref="DecisionStep"/>,
/// <see cref="QueryStep"/>, <see cref="ThoughtStep"/>, <see cref="ErrorStep"/>, and <see cref="CustomStep"/> for all else.</summary>
public abstract record TraceStep
{
    private protected TraceStep()
    {
    }

    /// <summary>Which of them it is.</summary>
    public abstract TraceType Type { get; }

    internal abstract Value ToValue();

    /// <exception cref="ArgumentNullException">A text that must be there is null.</exception>
    /// <exception cref="CairnException"><see cref="ErrorCode.ConstraintViolation"/>.</exception>
    internal abstract void Check();

    private protected static void Need(string? text, string name) => ArgumentNullException.ThrowIfNull(text, name);

    private protected static void CheckCount(long? count, string name)
    {
        if (count < 0)
            throw new CairnException(ErrorCode.ConstraintViolation, $"{name} is {count}; it counts, so it is 0 or more.");
    }
}

/// <summary>A call of a tool.</summary>
/// <param name="Tool">Which.</param>
/// <param name="Arguments">What it was given.</param>
/// <param name="Result">What it gave; null = nothing yet, or not recorded (the value Null is another answer).</param>
/// <param name="Duration">How long the tool took, to the microsecond; 0 or more.</param>
public sealed record ToolCallStep(string Tool, Value Arguments, Value? Result = null, TimeSpan? Duration = null) : TraceStep
{
    /// <inheritdoc/>
    public override TraceType Type => TraceType.ToolCall;

    internal override Value ToValue() => Fields.Write(
        ("tool", Tool), ("arguments", Arguments), ("result", Result), ("duration", Fields.Of(TraceContent.Microseconds(Duration))));

    internal override void Check()
    {
        Need(Tool, nameof(Tool));
        TraceContent.CheckDuration(Duration);
    }
}

/// <summary>A choice.</summary>
/// <param name="Question">What was to be decided.</param>
/// <param name="Options">Among what; empty = it was not said.</param>
/// <param name="Chosen">What was chosen: one of the options, when there are some.</param>
/// <param name="Reasoning">Why; null = it was not said.</param>
public sealed record DecisionStep(string Question, IReadOnlyList<string> Options, string Chosen, string? Reasoning = null) : TraceStep
{
    /// <inheritdoc/>
    public override TraceType Type => TraceType.Decision;

    /// <summary>Equal texts and equal options in the same order.</summary>
    public bool Equals(DecisionStep? other) => other is not null && Question == other.Question && Chosen == other.Chosen
        && Reasoning == other.Reasoning && Options.SequenceEqual(other.Options, StringComparer.Ordinal);

    /// <summary>A hash of the content, the same in every process.</summary>
    public override int GetHashCode() => ToValue().GetHashCode();

    internal override Value ToValue() => Fields.Write(
        ("question", Question), ("options", Fields.Of(Options)), ("chosen", Chosen), ("reasoning", Fields.Of(Reasoning)));

    internal override void Check()
    {
        Need(Question, nameof(Question));
        Need(Chosen, nameof(Chosen));
        ArgumentNullException.ThrowIfNull(Options);
        foreach (var option in Options)
            Need(option, nameof(Options));
        if (Options.Count > 0 && !Options.Contains(Chosen, StringComparer.Ordinal))
            throw new CairnException(
                ErrorCode.ConstraintViolation,
                $"The chosen option is none of the {Options.Count} options. Name it as it stands there, or leave the options out.");
    }
}

/// <summary>A question to a store, index or model.</summary>
/// <param name="Kind">Of what kind, such as <c>text</c>, <c>vector</c>, <c>sql</c>.</param>
/// <param name="Query">The question.</param>
/// <param name="ResultCount">How many results it had, 0 or more; null = it was not said.</param>
public sealed record QueryStep(string Kind, string Query, long? ResultCount = null) : TraceStep
{
    /// <inheritdoc/>
    public override TraceType Type => TraceType.Query;

    internal override Value ToValue() => Fields.Write(("kind", Kind), ("query", Query), ("resultCount", Fields.Of(ResultCount)));

    internal override void Check()
    {
        Need(Kind, nameof(Kind));
        Need(Query, nameof(Query));
        CheckCount(ResultCount, nameof(ResultCount));
    }
}

/// <summary>A thought.</summary>
/// <param name="Content">What was thought.</param>
/// <param name="Confidence">From 0 to 1; null = it was not said.</param>
public sealed record ThoughtStep(string Content, double? Confidence = null) : TraceStep
{
    /// <inheritdoc/>
    public override TraceType Type => TraceType.Thought;

    internal override Value ToValue() => Fields.Write(("content", Content), ("confidence", Fields.Of(Confidence)));

    internal override void Check()
    {
        Need(Content, nameof(Content));
        if (Confidence is not (null or (>= 0 and <= 1)))
            throw new CairnException(ErrorCode.ConstraintViolation, $"The confidence is {Confidence}; it is from 0 to 1.");
    }
}

/// <summary>Something that went wrong.</summary>
/// <param name="Kind">Of what kind.</param>
/// <param name="Message">What it said.</param>
/// <param name="IsRecoverable">Whether the agent could go on.</param>
public sealed record ErrorStep(string Kind, string Message, bool IsRecoverable) : TraceStep
{
    /// <inheritdoc/>
    public override TraceType Type => TraceType.Error;

    internal override Value ToValue() => Fields.Write(("kind", Kind), ("message", Message), ("recoverable", Fields.Of(IsRecoverable)));

    internal override void Check()
    {
        Need(Kind, nameof(Kind));
        Need(Message, nameof(Message));
    }
}

/// <summary>A step of the caller's own making.</summary>
/// <param name="Name">What it is called.</param>
/// <param name="Data">What belongs to it.</param>
public sealed record CustomStep(string Name, Value Data) : TraceStep
{
    /// <inheritdoc/>
    public override TraceType Type => TraceType.Custom;

    internal override Value ToValue() => Fields.Write(("name", Name), ("data", Data));

    internal override void Check() => Need(Name, nameof(Name));
}
