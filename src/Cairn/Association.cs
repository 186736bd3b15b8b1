namespace Cairn;

/// <summary>An association of a run's graph: a typed, weighted link from one end to another. An end is a concept or anything else of the
/// run.</summary>
public sealed record Association
{
    internal Association()
    {
    }

    /// <summary>Where it leads from; of a symmetric one the end that was asked about.</summary>
    public required ItemAddress Source { get; init; }

    /// <summary>What it says.</summary>
    public required string Type { get; init; }

    /// <summary>Where it leads to.</summary>
    public required ItemAddress Target { get; init; }

    /// <summary>Finite, 0 or more.</summary>
    public double Weight { get; init; }

    /// <summary>0 to 1.</summary>
    public double Confidence { get; init; }

    /// <summary>From when on it holds, in the world and not in the log; null = always.</summary>
    public DateTimeOffset? ValidFrom { get; init; }

    /// <summary>Until when, exclusive; null = for ever.</summary>
    public DateTimeOffset? ValidTo { get; init; }

    /// <summary>An Object; empty when there are none.</summary>
    public Value Attributes { get; init; } = Value.Object();

    /// <summary>It leads both ways.</summary>
    public bool IsSymmetric { get; init; }

    /// <summary>Sequence of the commit that wrote it; <see cref="Sequence.None"/> inside the transaction that did.</summary>
    public Sequence Version { get; init; }

    /// <summary>Whether it holds at a time.</summary>
    public bool IsValidAt(DateTimeOffset time) => (ValidFrom is not { } from || from <= time) && (ValidTo is not { } to || time < to);
}

/// <summary>What is said of an association when it is written.</summary>
public sealed record AssociationOptions
{
    internal static AssociationOptions Default { get; } = new();

    /// <summary>Finite, 0 or more.</summary>
    public double Weight { get; init; } = 1;

    /// <summary>0 to 1.</summary>
    public double Confidence { get; init; } = 1;

    /// <summary>From when on it holds; null = always.</summary>
    public DateTimeOffset? ValidFrom { get; init; }

    /// <summary>Until when, exclusive; null = for ever.</summary>
    public DateTimeOffset? ValidTo { get; init; }

    /// <summary>An Object of at most <see cref="Limits.MetadataBytesMax"/>; null = none.</summary>
    public Value? Attributes { get; init; }

    /// <summary>It leads both ways: one association, found from either end, that takes the place of those of its type between the two, in
    /// both directions.</summary>
    public bool IsSymmetric { get; init; }

    /// <summary>What becomes of an end that is no concept yet. Ends that are not concepts are never looked for.</summary>
    public MissingEnd MissingEnd { get; init; }
}

/// <summary>What becomes of an association whose end is a concept that is not there (GR-11).</summary>
public enum MissingEnd
{
    /// <summary>An empty concept is made in the same commit.</summary>
    Stub = 0,

    /// <summary>It is refused with <see cref="ErrorCode.NotFound"/>.</summary>
    Reject = 1,

    /// <summary>It is written all the same, from both ends.</summary>
    Allow = 2,
}

/// <summary>Seen from one end.</summary>
public enum AssociationDirection
{
    /// <summary>Those that lead away from it, and symmetric ones.</summary>
    Out = 0,

    /// <summary>Those that lead to it, and symmetric ones.</summary>
    In = 1,

    /// <summary>All of them, those that lead away first.</summary>
    Both = 2,
}

/// <summary>Which associations of an end, and which page of them.</summary>
public sealed record AssociationQuery
{
    internal static AssociationQuery All { get; } = new();

    /// <summary>Seen from the end.</summary>
    public AssociationDirection Direction { get; init; }

    /// <summary>Of one of these types; null = of any. At most <see cref="Limits.ManyItemsMax"/>, each once.</summary>
    public IReadOnlyCollection<string>? Types { get; init; }

    /// <summary>That are valid at this time; null = whenever they are.</summary>
    public DateTimeOffset? ValidAt { get; init; }

    /// <summary>With at least this confidence, 0 to 1.</summary>
    public double MinConfidence { get; init; }

    /// <summary>Holds for an object of <c>source</c>, <c>type</c>, <c>target</c> (addresses as texts), <c>weight</c>, <c>confidence</c>,
    /// <c>validFrom</c>, <c>validTo</c> (microseconds), <c>symmetric</c> and <c>attributes</c>; <c>$version</c> and <c>$time</c> are
    /// those of the commit. Null = all.</summary>
    public Filter? Filter { get; init; }

    /// <summary>Most on a page; 0 = <see cref="Limits.PageSize"/>; at most <see cref="Limits.PageSizeMax"/>.</summary>
    public int Limit { get; init; }

    /// <summary>Continues: <see cref="Page{T}.Cursor"/> of the page before, with the rest unchanged.</summary>
    public string? Cursor { get; init; }
}

/// <summary>How many associations an end has.</summary>
/// <param name="Out">Directed ones that lead away from it.</param>
/// <param name="In">Directed ones that lead to it.</param>
/// <param name="Symmetric">Those that lead both ways.</param>
public readonly record struct AssociationDegree(long Out, long In, long Symmetric)
{
    /// <summary>All of them.</summary>
    public long Total => Out + In + Symmetric;
}

/// <summary>An association to be written, for several at once.</summary>
/// <param name="Source">Where it leads from.</param>
/// <param name="Type">What it says.</param>
/// <param name="Target">Where it leads to.</param>
/// <param name="Options">What is said of it; null = weight and confidence 1.</param>
public sealed record AssociationItem(ItemAddress Source, string Type, ItemAddress Target, AssociationOptions? Options = null);

/// <summary>What is looked for from a thing on, and how much is done for it.</summary>
public sealed record ReachOptions
{
    internal static ReachOptions Default { get; } = new();

    /// <summary>Most steps, 1 to <see cref="Limits.GraphDepthMax"/>.</summary>
    public int Depth { get; init; } = 2;

    /// <summary>In which direction associations are followed.</summary>
    public AssociationDirection Direction { get; init; }

    /// <summary>Of one of these types; null = of any. At most <see cref="Limits.ManyItemsMax"/>, each once.</summary>
    public IReadOnlyCollection<string>? Types { get; init; }

    /// <summary>That are valid at this time; null = whenever they are.</summary>
    public DateTimeOffset? ValidAt { get; init; }

    /// <summary>With at least this confidence, 0 to 1.</summary>
    public double MinConfidence { get; init; }

    /// <summary>As <see cref="AssociationQuery.Filter"/>.</summary>
    public Filter? Filter { get; init; }

    /// <summary>Most things reached; 0 = <see cref="Limits.GraphThingsMax"/>, which is the most.</summary>
    public int ThingsMax { get; init; }

    /// <summary>Most associations read; 0 = <see cref="Limits.GraphAssociationsMax"/>, which is the most.</summary>
    public int AssociationsMax { get; init; }

    /// <summary>Longest search; null = <see cref="Limits.GraphTimeMax"/>, which is the longest.</summary>
    public TimeSpan? TimeMax { get; init; }
}

/// <summary>How a search of the graph ended.</summary>
public enum GraphOutcome
{
    /// <summary>All there is was found.</summary>
    Complete = 0,

    /// <summary>As many things as were asked for; there are more.</summary>
    ThingsExhausted = 1,

    /// <summary>As many associations were read as were allowed.</summary>
    AssociationsExhausted = 2,

    /// <summary>It took as long as was allowed.</summary>
    TimeExhausted = 3,
}

/// <summary>A thing that associations lead to.</summary>
/// <param name="Thing">A concept, or anything else of the run.</param>
/// <param name="Depth">In how many steps, at least.</param>
/// <param name="Through">The last thing on the way there: of several the one that comes first in the order of ends.</param>
/// <param name="Type">What the last association says: of several from there the first.</param>
public sealed record ReachedThing(ItemAddress Thing, int Depth, ItemAddress Through, string Type);

/// <summary>What is reached from a thing.</summary>
public sealed record Reached
{
    internal Reached()
    {
    }

    /// <summary>Nearest first, and within a step in the order of ends: addresses of what is no concept, then concepts by their
    /// ids.</summary>
    public required IReadOnlyList<ReachedThing> Things { get; init; }

    /// <summary>Whether that is all, and if not, what ran out.</summary>
    public required GraphOutcome Outcome { get; init; }

    /// <summary>Effort.</summary>
    public required long AssociationsRead { get; init; }

    /// <summary>The graph as of this commit.</summary>
    public required Sequence Sequence { get; init; }
}
