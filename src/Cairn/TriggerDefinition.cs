using System.Globalization;

namespace Cairn;

/// <summary>What a trigger waits for, and what it does then.</summary>
public sealed record TriggerDefinition
{
    /// <summary>The condition, on commits to the run that holds the trigger.</summary>
    public required TriggerCondition When { get; init; }

    /// <summary>What is written, in one commit with the trigger's own cursor.</summary>
    public required TriggerAction Do { get; init; }

    /// <summary>The run that is written to; null = the one that holds the trigger.</summary>
    public RunId? Target { get; init; }

    /// <summary>How often it fires before it is completed; null = without end.</summary>
    public long? Times { get; init; }
}

/// <summary>Where a trigger stands.</summary>
public enum TriggerState
{
    /// <summary>It looks at each commit.</summary>
    Active = 0,

    /// <summary>It was stopped, by somebody or by an error; it can be resumed.</summary>
    Suspended = 1,

    /// <summary>It has fired as often as it should, or its run was closed. It fires no more.</summary>
    Completed = 2,
}

/// <summary>How a threshold is compared.</summary>
public enum TriggerComparison
{
    /// <summary>The value is at least the bound.</summary>
    AtLeast = 0,

    /// <summary>The value is above it.</summary>
    Above = 1,

    /// <summary>The value is at most the bound.</summary>
    AtMost = 2,

    /// <summary>The value is below it.</summary>
    Below = 3,
}

/// <summary>When a threshold fires.</summary>
public enum TriggerMode
{
    /// <summary>At the commit that meets it where the one before did not.</summary>
    Edge = 0,

    /// <summary>At every commit that writes the key and meets it.</summary>
    Level = 1,
}

/// <summary>What a trigger waits for. Immutable; made by the functions here.</summary>
public sealed record TriggerCondition
{
    internal const string PrefixKind = "prefix";
    internal const string EventKind = "event";
    internal const string ThresholdKind = "threshold";

    internal TriggerCondition()
    {
    }

    internal string Kind { get; init; } = "";

    internal string? Primitive { get; init; }

    internal string? Key { get; init; }

    internal string? Type { get; init; }

    internal TriggerComparison Comparison { get; init; }

    internal double Bound { get; init; }

    internal TriggerMode Mode { get; init; }

    /// <summary>A key-value, document or state cell whose key or id begins with a text is written, changed, deleted or expires by a commit.
    /// Fires once per commit.</summary>
    /// <param name="primitive"><c>kv</c>, <c>json</c> or <c>state</c>.</param>
    /// <param name="prefix">1 to 1,024 bytes of UTF-8.</param>
    public static TriggerCondition Prefix(string primitive, string prefix) =>
        new() { Kind = PrefixKind, Primitive = primitive, Key = prefix };

    /// <summary>An event of a type is appended. Fires once per commit.</summary>
    /// <param name="type">1 to 256 bytes of UTF-8.</param>
    public static TriggerCondition Event(string type) => new() { Kind = EventKind, Type = type };

    /// <summary>The number in a key-value or state cell meets a bound. What is no number, or not there, meets none.</summary>
    /// <param name="primitive"><c>kv</c> or <c>state</c>.</param>
    /// <param name="key">The whole key.</param>
    /// <param name="comparison">How.</param>
    /// <param name="bound">A finite number.</param>
    /// <param name="mode">When: where it begins to be met, or at every write.</param>
    public static TriggerCondition Threshold(
        string primitive, string key, TriggerComparison comparison, double bound, TriggerMode mode = TriggerMode.Edge) =>
        new() { Kind = ThresholdKind, Primitive = primitive, Key = key, Comparison = comparison, Bound = bound, Mode = mode };

    /// <summary>As the shell writes it: <c>prefix kv user/</c>, <c>event tool_call</c>,
    /// <c>threshold state budget &lt; 10 edge</c>.</summary>
    public override string ToString() => Kind switch
    {
        PrefixKind => $"{Kind} {Primitive} {Key}",
        EventKind => $"{Kind} {Type}",
        _ => string.Create(
            CultureInfo.InvariantCulture,
            $"{Kind} {Primitive} {Key} {(Comparison switch
            {
                TriggerComparison.AtLeast => ">=",
                TriggerComparison.Above => ">",
                TriggerComparison.AtMost => "<=",
                _ => "<",
            })} {Bound} {(Mode == TriggerMode.Level ? "level" : "edge")}"),
    };
}

/// <summary>What a trigger does. Immutable; made by the functions here.</summary>
public sealed record TriggerAction
{
    internal const string AppendKind = "append";
    internal const string PutKind = "put";
    internal const string CompareAndSetKind = "cas";
    internal const string IncrementKind = "increment";

    internal TriggerAction()
    {
    }

    internal string Kind { get; init; } = "";

    internal string Name { get; init; } = "";

    internal Value Value { get; init; }

    internal Value? Expected { get; init; }

    internal long Delta { get; init; }

    /// <summary>Appends an event. Its payload has a member <c>$trigger</c> beside those given: name, run and sequence of the commit that
    /// fired.</summary>
    /// <param name="type">Type of the event.</param>
    /// <param name="payload">An Object; null = an empty one.</param>
    public static TriggerAction AppendEvent(string type, Value? payload = null) =>
        new() { Kind = AppendKind, Name = type, Value = payload ?? Value.Object() };

    /// <summary>Puts a key-value.</summary>
    public static TriggerAction Put(string key, Value value) => new() { Kind = PutKind, Name = key, Value = value };

    /// <summary>Puts a key-value if it has an expected value; otherwise it does nothing, and has fired all the same.</summary>
    /// <param name="key">The key.</param>
    /// <param name="expected">Null = the key is absent.</param>
    /// <param name="value">The new value.</param>
    public static TriggerAction CompareAndSet(string key, Value? expected, Value value) =>
        new() { Kind = CompareAndSetKind, Name = key, Expected = expected, Value = value };

    /// <summary>Adds to an Int64; an absent key counts as 0.</summary>
    public static TriggerAction Increment(string key, long delta = 1) => new() { Kind = IncrementKind, Name = key, Delta = delta };

    /// <summary>As the shell writes it: <c>append noted {}</c>, <c>put key 1</c>, <c>cas key - 1</c>, <c>increment key 1</c>.</summary>
    public override string ToString() => Kind switch
    {
        IncrementKind => string.Create(CultureInfo.InvariantCulture, $"{Kind} {Name} {Delta}"),
        CompareAndSetKind => $"{Kind} {Name} {Expected?.ToJson() ?? "-"} {Value.ToJson()}",
        _ => $"{Kind} {Name} {Value.ToJson()}",
    };
}

/// <summary>A trigger as it is.</summary>
public sealed record TriggerInfo
{
    internal TriggerInfo()
    {
    }

    /// <summary>Its name.</summary>
    public required string Name { get; init; }

    /// <summary>What it waits for and does.</summary>
    public required TriggerDefinition Definition { get; init; }

    /// <summary>Where it stands.</summary>
    public required TriggerState State { get; init; }

    /// <summary>How often it has fired.</summary>
    public required long Fired { get; init; }

    /// <summary>Why it was suspended or completed; empty when nobody but its owner did it.</summary>
    public required string Error { get; init; }

    /// <summary>Everything up to this commit was looked at when it was written down last; that is done when it fires, and now and
    /// then.</summary>
    public required Sequence Behind { get; init; }

    /// <summary>Commit time of its last change.</summary>
    public required DateTimeOffset Moved { get; init; }
}
