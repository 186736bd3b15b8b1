namespace Cairn;

/// <summary>What the scores of several queries make of a vector.</summary>
public enum VectorAggregate
{
    /// <summary>The highest: like any of the queries.</summary>
    Max = 0,

    /// <summary>Their mean: like all of them together.</summary>
    Mean = 1,

    /// <summary>The lowest: like each of them.</summary>
    Min = 2,
}

/// <summary>What a match brings along beside key, id and score.</summary>
[Flags]
public enum VectorParts
{
    /// <summary>Nothing.</summary>
    None = 0,

    /// <summary>The metadata.</summary>
    Metadata = 1,

    /// <summary>The embedding as it is stored.</summary>
    Embedding = 2,
}

/// <summary>How to search a collection of vectors.</summary>
public sealed record VectorSearchOptions
{
    internal static VectorSearchOptions Default { get; } = new();

    /// <summary>Only vectors that it holds for: of their metadata, and <c>$key</c>, <c>$version</c>, <c>$time</c>. Null = all.</summary>
    public Filter? Filter { get; init; }

    /// <summary>Only matches with this score or a higher one. Null = any.</summary>
    public double? MinScore { get; init; }

    /// <summary>How several queries are one. Default <see cref="VectorAggregate.Max"/>; no difference with one query.</summary>
    public VectorAggregate Aggregate { get; init; } = VectorAggregate.Max;

    /// <summary>What matches bring along. Default nothing.</summary>
    public VectorParts Include { get; init; } = VectorParts.None;

    /// <summary>Bounds of the search. Null = none.</summary>
    public SearchBudget? Budget { get; init; }

    /// <summary>The model that the query comes from; another one than the collection's is refused. Null = not said.</summary>
    public string? Model { get; init; }

    /// <summary>Continues a search: <see cref="VectorSearchResult.Cursor"/> of the answer before, with the same queries and
    /// options.</summary>
    public string? Cursor { get; init; }
}

/// <summary>What a search has found, at one sequence.</summary>
public sealed record VectorSearchResult
{
    internal VectorSearchResult()
    {
    }

    /// <summary>The best, by score, higher first; among equal scores by the UTF-8 bytes of the key.</summary>
    public required IReadOnlyList<VectorMatch> Matches { get; init; }

    /// <summary>False: the budget was used up, and what was not looked at may hold better ones.</summary>
    public required bool IsComplete { get; init; }

    /// <summary>Vectors whose scores were computed.</summary>
    public required long Candidates { get; init; }

    /// <summary>How the collection was searched.</summary>
    public required VectorIndexKind Index { get; init; }

    /// <summary>The sequence that the answer shows, and all answers that continue it.</summary>
    public required Sequence Sequence { get; init; }

    /// <summary>Opaque text that gives the next best; null when there are no more, and when the budget was used up.</summary>
    public required string? Cursor { get; init; }
}

/// <summary>A vector that a search has found.</summary>
public sealed record VectorMatch
{
    internal VectorMatch()
    {
    }

    /// <summary>Its key.</summary>
    public required string Key { get; init; }

    /// <summary>How alike it is, as the collection's <see cref="VectorMetric"/> says: exact for what is stored, and the same bits on
    /// every machine.</summary>
    public required double Score { get; init; }

    /// <summary>Its number in the collection; null inside the transaction that makes it.</summary>
    public required VectorId? Id { get; init; }

    /// <summary>If asked for, its metadata; null = it has none.</summary>
    public Value? Metadata { get; init; }

    /// <summary>If asked for, its elements; otherwise empty.</summary>
    public ReadOnlyMemory<float> Embedding { get; init; }
}
