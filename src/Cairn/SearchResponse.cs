namespace Cairn;

/// <summary>What came of a search.</summary>
public enum SearchOutcome
{
    /// <summary>There are hits.</summary>
    Found = 0,

    /// <summary>Nothing has the words.</summary>
    NothingFound = 1,

    /// <summary>Things have the words, and none of them passes the filter, the prefix or the times.</summary>
    FilteredOut = 2,

    /// <summary>Things have the words, and the best of them has less than <see cref="SearchOptions.MinScore"/>.</summary>
    BelowMinScore = 3,

    /// <summary>The hits have all been given by the pages before.</summary>
    NoMore = 4,
}

/// <summary>Which part of a budget ended.</summary>
public enum SearchExhaustion
{
    /// <summary>None: everything was looked at that could be a hit.</summary>
    None = 0,

    /// <summary><see cref="SearchBudget.Time"/>.</summary>
    Time = 1,

    /// <summary><see cref="SearchBudget.Candidates"/>.</summary>
    Candidates = 2,

    /// <summary><see cref="SearchBudget.CandidatesPerPrimitive"/>.</summary>
    CandidatesPerPrimitive = 3,
}

/// <summary>Where candidates come from.</summary>
public enum SearchLegKind
{
    /// <summary>The words.</summary>
    Keyword = 0,
}

/// <summary>How things were found.</summary>
public enum SearchSource
{
    /// <summary>Everything was looked at.</summary>
    Scan = 0,

    /// <summary>An index of words has it.</summary>
    Index = 1,

    /// <summary>It was written behind what the index has seen, and was read for this search.</summary>
    Tail = 2,
}

/// <summary>The answer to a search: hits in order, best first. With budget to spare the hits are a function of the snapshot, the request
/// and the analysis; <see cref="Statistics"/> tells how they were found and is not.</summary>
public sealed record SearchResponse
{
    internal SearchResponse()
    {
    }

    /// <summary>Hits by score, equal scores by primitive and key.</summary>
    public required IReadOnlyList<SearchHit> Hits { get; init; }

    /// <summary>What came of it.</summary>
    public required SearchOutcome Outcome { get; init; }

    /// <summary>Which part of the budget ended; then there may be better hits.</summary>
    public required SearchExhaustion Exhausted { get; init; }

    /// <summary>No budget ended.</summary>
    public bool IsComplete => Exhausted == SearchExhaustion.None;

    /// <summary>How many things have the words, estimated from how many have each.</summary>
    public required long EstimatedTotal { get; init; }

    /// <summary>What the search saw: all commits up to here.</summary>
    public required Sequence Sequence { get; init; }

    /// <summary>Continues behind the last hit; null when there are no more, and when the time ended: then the next page would be of other
    /// candidates.</summary>
    public required string? Cursor { get; init; }

    /// <summary>How it was done.</summary>
    public required SearchStatistics Statistics { get; init; }
}

/// <summary>One result of a search.</summary>
public sealed record SearchHit
{
    internal SearchHit()
    {
    }

    /// <summary>The run that holds it; of a run that was found, itself.</summary>
    public required RunId Run { get; init; }

    /// <summary>What was found.</summary>
    public required ItemAddress Item { get; init; }

    /// <summary>How well it fits; more than 0.</summary>
    public required double Score { get; init; }

    /// <summary>Its place among all hits, from 1; goes on from page to page.</summary>
    public required int Rank { get; init; }

    /// <summary>The commit that wrote it last; <see cref="Sequence.None"/> when that is the transaction that searches.</summary>
    public required Sequence Version { get; init; }

    /// <summary>Time of that commit, to the microsecond.</summary>
    public required DateTimeOffset Time { get; init; }

    /// <summary>Its value (<see cref="SearchOptions.HasValues"/>): of a key-value, a state cell and a document its own, of an event, a
    /// trace and a run what queries see.</summary>
    public Value? Value { get; init; }

    /// <summary>A piece of its text around what was found best.</summary>
    public SearchSnippet? Snippet { get; init; }

    /// <summary>Why it has its score (<see cref="SearchOptions.IsExplained"/>).</summary>
    public SearchReason? Reason { get; init; }
}

/// <summary>A piece of text, at most <see cref="LengthMax"/> UTF-16 characters.</summary>
/// <param name="Field">Where it stands: <c>key</c>, <c>name</c>, <c>value</c>, <c>type</c>, <c>payload</c>, <c>step</c>,
/// <c>metadata</c>, <c>id</c>, <c>status</c>, <c>tags</c> or <c>error</c>.</param>
/// <param name="Text">The piece.</param>
/// <param name="Highlights">Where the words that were found stand in it.</param>
public sealed record SearchSnippet(string Field, string Text, IReadOnlyList<SearchHighlight> Highlights)
{
    /// <summary>Longest piece. Fixed: 160.</summary>
    public const int LengthMax = 160;
}

/// <summary>A word in a snippet.</summary>
/// <param name="Start">From 0, in UTF-16 characters.</param>
/// <param name="Length">In UTF-16 characters.</param>
public readonly record struct SearchHighlight(int Start, int Length);

/// <summary>Why a hit has its score.</summary>
public sealed record SearchReason
{
    internal SearchReason()
    {
    }

    /// <summary>What the words gave.</summary>
    public required KeywordReason Keyword { get; init; }
}

/// <summary>What the words of a query gave a hit: BM25 (k1 1.2, b 0.75). The scores of the terms, added in their order, are
/// <see cref="Score"/> to the last bit.</summary>
public sealed record KeywordReason
{
    internal KeywordReason()
    {
    }

    /// <summary>The sum.</summary>
    public required double Score { get; init; }

    /// <summary>The parts of the query that the thing has and that count.</summary>
    public required IReadOnlyList<KeywordTerm> Terms { get; init; }

    /// <summary>Terms of the thing.</summary>
    public required int Length { get; init; }

    /// <summary>Terms that a thing has on average.</summary>
    public required double AverageLength { get; init; }

    /// <summary>Things that were counted: those of the asked primitives in the snapshot.</summary>
    public required long Things { get; init; }

    /// <summary>How the thing was found.</summary>
    public required SearchSource Source { get; init; }
}

/// <summary>One part of a query in one hit: <c>Idf * Times * tf * 2.2 / (tf + 1.2 * (0.25 + 0.75 * length / average))</c>.</summary>
/// <param name="Text">The term as it is compared; a prefix with its <c>*</c>, a phrase in quotation marks.</param>
/// <param name="Frequency">tf: occurrences, those in keys and names 1.2 times.</param>
/// <param name="Things">df: things that have it.</param>
/// <param name="Idf">ln(1 + (N - df + 0.5) / (df + 0.5)).</param>
/// <param name="Times">How often the query asks for it.</param>
/// <param name="Score">What it adds.</param>
public sealed record KeywordTerm(string Text, double Frequency, long Things, double Idf, int Times, double Score);

/// <summary>How a search was done. No part of the result: it may differ from call to call.</summary>
public sealed record SearchStatistics
{
    internal SearchStatistics()
    {
    }

    /// <summary>From the call to the answer.</summary>
    public required TimeSpan Elapsed { get; init; }

    /// <summary>Parts of the query that count, each once; 0 when the text has none but stop words.</summary>
    public required int Terms { get; init; }

    /// <summary>One for each leg and primitive, in the order of primitives.</summary>
    public required IReadOnlyList<SearchLeg> Legs { get; init; }
}

/// <summary>What one leg did with one primitive.</summary>
public sealed record SearchLeg
{
    internal SearchLeg()
    {
    }

    /// <summary>Which leg.</summary>
    public required SearchLegKind Kind { get; init; }

    /// <summary>The primitive, as in <see cref="ItemAddress.Primitive"/>.</summary>
    public required string Primitive { get; init; }

    /// <summary>How its things were found; <see cref="SearchSource.Index"/> when there was an index, whatever it had seen.</summary>
    public required SearchSource Source { get; init; }

    /// <summary>The commit up to which the index had seen everything; null without one.</summary>
    public required Sequence? Watermark { get; init; }

    /// <summary>Things that were counted.</summary>
    public required long Things { get; init; }

    /// <summary>Things whose text was read: all, or with an index those that were written behind it.</summary>
    public required long ThingsRead { get; init; }

    /// <summary>Things that were ranked.</summary>
    public required int Candidates { get; init; }

    /// <summary>Things that have the words and did not pass the filter, the prefix or the times.</summary>
    public required long FilteredOut { get; init; }
}
