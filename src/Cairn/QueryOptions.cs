namespace Cairn;

/// <summary>By what a query orders.</summary>
/// <param name="Path">The place whose value counts: Null, then Bool, numbers by exact value, String and Bytes by their bytes. What has
/// nothing there, or an Array or an Object, comes last in both directions.</param>
/// <param name="IsDescending">Largest first.</param>
public sealed record QueryOrder(DocumentPath Path, bool IsDescending = false);

/// <summary>Which part of what a query finds, and in which order.</summary>
public sealed record QueryOptions
{
    /// <summary>Most terms of an order. Fixed: 4.</summary>
    public const int OrderMax = 4;

    internal static QueryOptions None { get; } = new();

    /// <summary>By what it is ordered, at most <see cref="OrderMax"/>; what is equal in all is ordered by its key, in the direction of
    /// the last. Empty = by the key: traces by id.</summary>
    public IReadOnlyList<QueryOrder> OrderBy { get; init; } = [];

    /// <summary>Most items on a page; 0 = <see cref="Limits.PageSize"/>; at most <see cref="Limits.PageSizeMax"/>.</summary>
    public int Limit { get; init; }

    /// <summary>Continues a query: <see cref="Page{T}.Cursor"/> of the page before, with the other options and the filter
    /// unchanged.</summary>
    public string? Cursor { get; init; }
}

/// <summary>How a query finds what it looks for.</summary>
public enum QueryPlanKind
{
    /// <summary>Every thing is looked at, as far as the page needs it.</summary>
    Scan = 0,

    /// <summary>The things that one index, or a union of several parts of indexes, names.</summary>
    Index = 1,

    /// <summary>The things that two or more of these all name.</summary>
    Intersection = 2,

    /// <summary>The things in the order of an index, until the page is full.</summary>
    OrderedIndex = 3,
}

/// <summary>How a page of a query was made.</summary>
public sealed record QueryPlan
{
    internal QueryPlan()
    {
    }

    /// <summary>How.</summary>
    public required QueryPlanKind Kind { get; init; }

    /// <summary>The indexes that were read, each once, in the order of their use.</summary>
    public required IReadOnlyList<string> Indexes { get; init; }

    /// <summary>Things there are, as they were counted.</summary>
    public required long Things { get; init; }

    /// <summary>Things that the filter was thought to leave.</summary>
    public required long EstimatedRows { get; init; }

    /// <summary>Items of indexes that were read, those that the estimates counted not included.</summary>
    public required long ItemsRead { get; init; }

    /// <summary>Things that were read and asked.</summary>
    public required long ThingsRead { get; init; }

    /// <summary>Rows on the page.</summary>
    public required int Rows { get; init; }

    /// <summary>What was found was put in order afterwards.</summary>
    public required bool IsSorted { get; init; }

    /// <summary>Why it was done so, for people.</summary>
    public required string Reason { get; init; }
}
