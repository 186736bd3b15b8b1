namespace Cairn;

/// <summary>Where an answer comes from that the run's own data do not determine.</summary>
public enum InputKind
{
    /// <summary>A language model.</summary>
    Model = 0,

    /// <summary>A tool: a command, a service, a file outside of the database.</summary>
    Tool = 1,

    /// <summary>A model that makes vectors.</summary>
    Embedding = 2,

    /// <summary>The time of day.</summary>
    Clock = 3,

    /// <summary>Chance.</summary>
    Random = 4,

    /// <summary>A person.</summary>
    User = 5,
}

/// <summary>How an input came to its answer.</summary>
public enum InputMark
{
    /// <summary>The live call gave it while the run was recorded; or a replay gave what was recorded.</summary>
    Recorded = 0,

    /// <summary>A replay put another answer in its place.</summary>
    Substituted = 1,

    /// <summary>A replay called live, because it was told to or because it had left the recording before.</summary>
    Live = 2,

    /// <summary>It was asked by a try of a transaction that lost, and the try that won asked for something else: nothing rests on it. A
    /// replay passes it over.</summary>
    Abandoned = 3,
}

/// <summary>What is kept with an input beside request and answer.</summary>
public sealed record InputOptions
{
    internal static InputOptions None { get; } = new();

    /// <summary>Whom the input asks: the tool's or the model's name, at most <see cref="Limits.NameBytesMax"/> bytes of UTF-8. Part of
    /// what a replay matches.</summary>
    public string? Name { get; init; }

    /// <summary>The step of the agent that asks.</summary>
    public TraceId? Trace { get; init; }
}

/// <summary>Why a live call gave no answer.</summary>
/// <param name="Type">Full name of the exception's type.</param>
/// <param name="Message">Its message; what is longer than <see cref="Limits.MetadataBytesMax"/> was cut, and says so.</param>
public sealed record InputFailure(string Type, string Message);

/// <summary>An input of a run as its event tells it.</summary>
public sealed record RecordedInput
{
    /// <summary>Place among the inputs of the run, in the order of the answers, from 0.</summary>
    public required long Ordinal { get; init; }

    /// <summary>What was asked.</summary>
    public required InputKind Kind { get; init; }

    /// <summary>Whom the input asked; null = not said.</summary>
    public string? Name { get; init; }

    /// <summary>The request; null when the event was redacted.</summary>
    public Value? Request { get; init; }

    /// <summary>SHA-256 over kind, name and canonical request: equal in every process and culture, and for any order of members. Zeros
    /// when the event was redacted.</summary>
    public Hash256 RequestHash { get; init; }

    /// <summary>The answer; null when the call failed or the event was redacted. Of a stream an Array of its items, in
    /// order.</summary>
    public Value? Answer { get; init; }

    /// <summary>Why there is no answer, or why a stream broke off; null when it did not.</summary>
    public InputFailure? Failure { get; init; }

    /// <summary>How long the live call took.</summary>
    public TimeSpan Duration { get; init; }

    /// <summary>The step of the agent that asked; null = not said.</summary>
    public TraceId? Trace { get; init; }

    /// <summary>How it came to its answer.</summary>
    public InputMark Mark { get; init; }

    /// <summary>Inputs that were answered when this one was asked; fewer than <see cref="Ordinal"/> when others were under way at the same
    /// time.</summary>
    public long AnsweredBefore { get; init; }

    /// <summary>The answer is the items of a stream.</summary>
    public bool IsStream { get; init; }

    /// <summary>Whoever read the stream stopped before its end.</summary>
    public bool IsCut { get; init; }

    /// <summary>The payload of its event was removed.</summary>
    public bool IsRedacted { get; init; }

    /// <summary>Its event.</summary>
    public EventNumber Number { get; init; }

    /// <summary>The commit that holds it, with what it caused first.</summary>
    public Sequence Sequence { get; init; }
}
