namespace Cairn;

/// <summary>Tokens that a step used.</summary>
/// <param name="Input">Given to the model, 0 or more.</param>
/// <param name="Output">Made by it, 0 or more.</param>
public readonly record struct TraceTokens(long Input, long Output);

/// <summary>What else is said about a step when it is recorded.</summary>
public sealed record TraceOptions
{
    internal static TraceOptions None { get; } = new();

    /// <summary>The trace under which it stands; null = it is a root. It must exist in the run.</summary>
    public TraceId? Parent { get; init; }

    /// <summary>When it happened, to the microsecond; null = now, by the database's clock. A time of the user's: any is allowed.</summary>
    public DateTimeOffset? Timestamp { get; init; }

    /// <summary>How long it took, to the microsecond; 0 or more.</summary>
    public TimeSpan? Duration { get; init; }

    /// <summary>At most <see cref="Limits.TagsMax"/>, 1 to 256 bytes of UTF-8 each, no control characters, no <c>/</c>, not beginning with
    /// <c>$</c>. A tag given twice counts once; the order stays.</summary>
    public IReadOnlyCollection<string> Tags { get; init; } = [];

    /// <summary>An Object of finite numbers, at most <see cref="Limits.MetadataBytesMax"/> encoded; null = none.</summary>
    public Value? Metadata { get; init; }

    /// <summary>Numbers of the run's events that led to it; at most <see cref="Limits.ManyItemsMax"/>.</summary>
    public IReadOnlyList<long> Causes { get; init; } = [];

    /// <summary>The model at work; null = none.</summary>
    public string? Model { get; init; }

    /// <summary>What it used; null = not said.</summary>
    public TraceTokens? Tokens { get; init; }
}

/// <summary>A recorded trace. Immutable, but for redaction.</summary>
public sealed record TraceRecord
{
    internal TraceRecord()
    {
    }

    /// <summary>Identity.</summary>
    public required TraceId Id { get; init; }

    /// <summary>The trace under which it stands; null for a root.</summary>
    public TraceId? Parent { get; init; }

    /// <summary>Which kind of step it is; stays when it is redacted.</summary>
    public required TraceType Type { get; init; }

    /// <summary>The step; null when it was redacted.</summary>
    public TraceStep? Step { get; init; }

    /// <summary>When it happened, to the microsecond.</summary>
    public required DateTimeOffset Timestamp { get; init; }

    /// <summary>How long it took; null when that was not said.</summary>
    public TimeSpan? Duration { get; init; }

    /// <summary>In the order given, each once.</summary>
    public IReadOnlyList<string> Tags { get; init; } = [];

    /// <summary>An Object; an empty one when none was given.</summary>
    public Value Metadata { get; init; }

    /// <summary>Numbers of the events that led to it.</summary>
    public IReadOnlyList<long> Causes { get; init; } = [];

    /// <summary>The model at work; null when that was not said.</summary>
    public string? Model { get; init; }

    /// <summary>Tokens used; null when that was not said.</summary>
    public TraceTokens? Tokens { get; init; }

    /// <summary>Its content was removed: id, type, time and parent are what is left.</summary>
    public bool IsRedacted { get; init; }

    /// <summary>Sequence of the commit that recorded or redacted it; <see cref="Sequence.None"/> for one that this transaction
    /// records.</summary>
    public Sequence Version { get; init; }
}

/// <summary>Which page of a listing of traces.</summary>
public sealed record TracePage
{
    internal static TracePage First { get; } = new();

    /// <summary>Most items on a page; 0 = <see cref="Limits.PageSize"/>; at most <see cref="Limits.PageSizeMax"/>.</summary>
    public int Limit { get; init; }

    /// <summary>Continues a listing: <see cref="Page{T}.Cursor"/> of the page before, with the other options unchanged.</summary>
    public string? Cursor { get; init; }

    /// <summary>Latest trace first.</summary>
    public bool Reverse { get; init; }
}

/// <summary>A trace and what stands under it, as far as depth and budget went.</summary>
public sealed class TraceNode
{
    private readonly List<TraceNode> _children = [];

    internal TraceNode(TraceRecord trace, int depth)
    {
        Trace = trace;
        Depth = depth;
    }

    /// <summary>The trace.</summary>
    public TraceRecord Trace { get; }

    /// <summary>Steps below the root of the tree, which has 0.</summary>
    public int Depth { get; }

    /// <summary>In order of timestamp, then id.</summary>
    public IReadOnlyList<TraceNode> Children => _children;

    /// <summary>All its children are here; false when depth or budget ended before.</summary>
    public bool IsComplete { get; internal set; } = true;

    internal void Add(TraceNode child) => _children.Add(child);
}

/// <summary>The traces under one, of one snapshot.</summary>
public sealed record TraceTree
{
    internal TraceTree()
    {
    }

    /// <summary>The trace that was asked for.</summary>
    public required TraceNode Root { get; init; }

    /// <summary>Traces in the tree, the root included.</summary>
    public required int Count { get; init; }

    /// <summary>Nothing was left out. False: depth or budget ended before; the nodes say where.</summary>
    public required bool IsComplete { get; init; }

    /// <summary>The snapshot.</summary>
    public required Sequence Sequence { get; init; }
}
