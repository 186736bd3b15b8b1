namespace Cairn;

/// <summary>Which changes a feed gives: those that meet every condition that is set. A commit of which nothing is left is passed
/// over.</summary>
public sealed record ChangeFilter
{
    /// <summary>All, but for the engine's own run <c>$sys</c>.</summary>
    public static ChangeFilter All { get; } = new();

    /// <summary>Only of these runs, at most <see cref="Limits.ManyItemsMax"/>; null = of all but <c>$sys</c>, which is given when it is
    /// named. A run that does not exist gives nothing.</summary>
    public IReadOnlyCollection<RunId>? Runs { get; init; }

    /// <summary>Only of these primitives: <c>kv</c>, <c>json</c>, <c>vectors</c>, <c>events</c>, <c>state</c>, <c>traces</c>,
    /// <c>runs</c>, <c>idempotency</c>; null = of all. Also <c>subscriptions</c> and <c>triggers</c>, which are given only when
    /// named.</summary>
    public IReadOnlyCollection<string>? Primitives { get; init; }

    /// <summary>Only of these collections of vectors, at most <see cref="Limits.ManyItemsMax"/>; null = no condition.</summary>
    public IReadOnlyCollection<string>? Collections { get; init; }

    /// <summary>Only key-values, state cells, documents and vectors whose key or id begins with this, at most
    /// <see cref="Limits.KeyBytesMax"/> bytes of UTF-8; null = no condition.</summary>
    public string? KeyPrefix { get; init; }

    /// <summary>Only events of these types and traces of these kinds (<c>tool_call</c>, <c>decision</c>, <c>query</c>, <c>thought</c>,
    /// <c>error</c>, <c>custom</c>); null = no condition. At most <see cref="Limits.ManyItemsMax"/>.</summary>
    public IReadOnlyCollection<string>? Types { get; init; }

    /// <summary>Only traces that are recorded with one of these tags; null = no condition. At most <see cref="Limits.TagsMax"/>.</summary>
    public IReadOnlyCollection<string>? Tags { get; init; }
}

/// <summary>What of a change is given beside what was changed.</summary>
public enum ChangeValues
{
    /// <summary>No values.</summary>
    None = 0,

    /// <summary>The value after the commit, from its record.</summary>
    After = 1,

    /// <summary>Of key-values and state cells also the value before the commit, from the history that is kept. A read of the log, for each
    /// change back to the one before.</summary>
    BeforeAndAfter = 2,
}

/// <summary>How long a stream of changes goes on.</summary>
public enum ChangeEnd
{
    /// <summary>It gives what is there and then each commit as it comes, until it is cancelled or the database is closed. Over a read-only
    /// database, where nothing comes, the same as <see cref="Now"/>.</summary>
    Never = 0,

    /// <summary>It ends with the newest commit that there is when it begins.</summary>
    Now = 1,
}

/// <summary>How a feed gives changes.</summary>
public sealed record ChangeOptions
{
    /// <summary>No values, no end.</summary>
    public static ChangeOptions Default { get; } = new();

    /// <summary>Which values are given. Default none.</summary>
    public ChangeValues Values { get; init; }

    /// <summary>Values with a longer encoding are not given (<see cref="ChangedValueState.NotRead"/>). In bytes, from 0; default 64
    /// KiB.</summary>
    public int ValueBytesMax { get; init; } = 64 << 10;

    /// <summary>When the stream ends.</summary>
    public ChangeEnd End { get; init; }

    /// <summary>When commits were passed over because of the filter and there are no more for now, a commit without changes is given: its
    /// cursor saves who comes again from looking at them once more. Default false.</summary>
    public bool TellsProgress { get; init; }
}
