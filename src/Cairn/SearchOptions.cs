namespace Cairn;

/// <summary>What a search looks at, and what it gives. Conditions choose among the things that the search ranks; they change no
/// score.</summary>
public sealed record SearchOptions
{
    internal static SearchOptions None { get; } = new();

    /// <summary>Most hits on a page; 0 = <see cref="Limits.SearchHits"/>; at most <see cref="Limits.SearchHitsMax"/>.</summary>
    public int Limit { get; init; }

    /// <summary>Only of these primitives: <c>kv</c>, <c>json</c>, <c>events</c>, <c>state</c>, <c>traces</c>; null = of all that a run has.
    /// How rare a word is and how long a thing is are judged among the things of these primitives.</summary>
    public IReadOnlyCollection<string>? Primitives { get; init; }

    /// <summary>Only key-values, state cells and documents whose key, name or id begins with this, at most
    /// <see cref="Limits.KeyBytesMax"/> bytes of UTF-8; null = no condition. Things without keys are left out.</summary>
    public string? KeyPrefix { get; init; }

    /// <summary>Only things that the filter holds for; null = no condition. It sees of documents, events and traces what their queries show
    /// it, of key-values and state cells the value, with <c>$key</c>, <c>$version</c> and <c>$time</c>.</summary>
    public Filter? Filter { get; init; }

    /// <summary>Only what was last written at this time or later, by the time of the commit; null = no condition.</summary>
    public DateTimeOffset? From { get; init; }

    /// <summary>Only what was last written before this time; null = no condition.</summary>
    public DateTimeOffset? To { get; init; }

    /// <summary>Hits with a lower score are left out. Default 0: none is. Finite, not negative.</summary>
    public double MinScore { get; init; }

    /// <summary>The text is words and nothing else: quotation marks, <c>*</c>, <c>+</c> and <c>-</c> mean nothing. For text that nobody
    /// wrote as a query, of a model perhaps.</summary>
    public bool IsLiteral { get; init; }

    /// <summary>How text becomes terms; null = <see cref="CairnOptions.TextAnalysis"/>.</summary>
    public TextAnalysis? Analysis { get; init; }

    /// <summary>How much work it may be.</summary>
    public SearchBudget Budget { get; init; } = SearchBudget.FromLimits;

    /// <summary>Each hit says why it has its score. Costs a read of each hit on the page.</summary>
    public bool IsExplained { get; init; }

    /// <summary>Each hit has a snippet. Default true. Costs a read of each hit on the page.</summary>
    public bool HasSnippets { get; init; } = true;

    /// <summary>Each hit has the value of the thing.</summary>
    public bool HasValues { get; init; }

    /// <summary>Continues a search: <see cref="SearchResponse.Cursor"/> of the page before, with the text and all that chooses and ranks
    /// unchanged. The pages are of one snapshot.</summary>
    public string? Cursor { get; init; }
}
