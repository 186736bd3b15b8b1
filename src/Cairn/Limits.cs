namespace Cairn;

/// <summary>The one table of limits. Defaults can be changed at open within the hard maximum; a lowered limit never stops old
/// data from opening or being read. Every limit is checked at every door before anything is allocated; the error is a
/// <see cref="LimitException"/> that names the limit. <c>docs/limits.md</c> is the same table.</summary>
public sealed record Limits
{
    /// <summary>LIM-1: longest key, in bytes of UTF-8. Fixed.</summary>
    public const int KeyBytesMax = 1024;

    /// <summary>LIM-2: longest name, in bytes of UTF-8. Fixed.</summary>
    public const int NameBytesMax = 256;

    /// <summary>Most causes of one event. Fixed.</summary>
    public const int EventCausesMax = 1024;

    /// <summary>Most positions of a regular expression: its characters and classes, with counted repetitions written out, and a tenth of
    /// the square of the number of characters it tells apart. Fixed.</summary>
    public const int RegexPositionsMax = 1_900;

    /// <summary>Deepest nesting of a JSONPath query: filters, parentheses and functions; and of the groups of a regular expression in
    /// it. Fixed.</summary>
    public const int QueryDepthMax = 100;

    /// <summary>LIM-3: largest encoded value, in bytes. Default 16 MiB, at most 64 MiB.</summary>
    public int ValueBytesMax { get; init; } = 16 << 20;

    /// <summary>LIM-4: longest single string or byte string in a value, in bytes. Default 16 MiB, at most 64 MiB.</summary>
    public int StringBytesMax { get; init; } = 16 << 20;

    /// <summary>LIM-5: deepest nesting of a value. Default 100, at most 512.</summary>
    public int DepthMax { get; init; } = 100;

    /// <summary>LIM-6: most elements of one array. Default 1,000,000, at most 16,777,216.</summary>
    public int ArrayElementsMax { get; init; } = 1_000_000;

    /// <summary>LIM-7: most members of one object. Default 1,000,000, at most 16,777,216.</summary>
    public int ObjectMembersMax { get; init; } = 1_000_000;

    /// <summary>LIM-9: most segments of a document path, a pointer or a JSONPath query. Default 256, at most 1,024.</summary>
    public int PathSegmentsMax { get; init; } = 256;

    /// <summary>LIM-10: most operations of one JSON Patch. Default 1,000, at most 100,000.</summary>
    public int PatchOperationsMax { get; init; } = 1_000;

    /// <summary>LIM-11: longest text of a JSONPath query, in bytes of UTF-8. Default 8 KiB, at most 64 KiB.</summary>
    public int QueryBytesMax { get; init; } = 8 << 10;

    /// <summary>LIM-11: most nodes that a JSONPath query finds, or has on the way. Default 100,000, at most 1,000,000.</summary>
    public int QueryNodesMax { get; init; } = 100_000;

    /// <summary>LIM-11: longest regular expression of a JSONPath query, in bytes of UTF-8. Default 1 KiB, at most 4 KiB.</summary>
    public int RegexBytesMax { get; init; } = 1 << 10;

    /// <summary>LIM-12: longest content of a concept, in bytes of UTF-8. Default 10 MiB, at most 64 MiB.</summary>
    public int ConceptContentBytesMax { get; init; } = 10 << 20;

    /// <summary>LIM-14: largest metadata of a trace, a vector or a run, and attributes of a concept or an association, encoded, in bytes;
    /// also a run's error, the reason of a redaction, the answer of a transaction that is done once, and the attributes of a commit.
    /// Default 64 KiB, at most 1 MiB.</summary>
    public int MetadataBytesMax { get; init; } = 64 << 10;

    /// <summary>LIM-14: most tags on one thing. Default 64, at most 1,024.</summary>
    public int TagsMax { get; init; } = 64;

    /// <summary>LIM-15: most items in one <c>...Many</c> call. Default 1,000, at most 100,000.</summary>
    public int ManyItemsMax { get; init; } = 1_000;

    /// <summary>LIM-16: most operations in one transaction. Default 100,000, at most 1,000,000.</summary>
    public int TransactionOperationsMax { get; init; } = 100_000;

    /// <summary>LIM-17: largest payload of one transaction's record, in bytes. Default 32 MiB, at most 256 MiB, at least
    /// <see cref="ValueBytesMax"/> + 64 KiB.</summary>
    public int TransactionBytesMax { get; init; } = 32 << 20;

    /// <summary>LIM-18: longest life of a transaction (error <see cref="ErrorCode.Timeout"/>). Default 30 s, at most 5 min.</summary>
    public TimeSpan TransactionTimeMax { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>LIM-19: most runs named in one transaction. Default 16, at most 256.</summary>
    public int TransactionRunsMax { get; init; } = 16;

    /// <summary>LIM-20: most hits on one page of a search. Default 1,000, at most 10,000. Searches that name no number have
    /// <see cref="SearchHits"/>.</summary>
    public int SearchHitsMax { get; init; } = 1_000;

    /// <summary>LIM-20: hits on a page of a search when the call names no number. Default 10, at most 10,000 and never more than
    /// <see cref="SearchHitsMax"/>.</summary>
    public int SearchHits { get; init; } = 10;

    /// <summary>LIM-21: longest text of a search, in bytes of UTF-8. Default 8 KiB, at most 64 KiB.</summary>
    public int SearchTextBytesMax { get; init; } = 8 << 10;

    /// <summary>LIM-21: most distinct terms of a search. Default 64, at most 1,024.</summary>
    public int SearchTermsMax { get; init; } = 64;

    /// <summary>LIM-22: how long a search may take that names no time. Default 100 ms, at most 60 s, which is also the most that a search
    /// may name.</summary>
    public TimeSpan SearchTime { get; init; } = TimeSpan.FromMilliseconds(100);

    /// <summary>LIM-22: how many candidates a search may rank that names no number. Default 10,000, at most 10,000,000, which is also the
    /// most that a search may name.</summary>
    public int SearchCandidates { get; init; } = 10_000;

    /// <summary>LIM-22: the same of each primitive. Default 2,000, at most 10,000,000.</summary>
    public int SearchCandidatesPerPrimitive { get; init; } = 2_000;

    /// <summary>LIM-23: most steps of a search in the graph. Default 20, at most 64.</summary>
    public int GraphDepthMax { get; init; } = 20;

    /// <summary>LIM-24: most things that a search in the graph reaches. Default 100,000, at most 100,000,000.</summary>
    public int GraphThingsMax { get; init; } = 100_000;

    /// <summary>LIM-24: most associations that a search in the graph reads. Default 1,000,000, at most 1,000,000,000.</summary>
    public int GraphAssociationsMax { get; init; } = 1_000_000;

    /// <summary>LIM-24: longest search in the graph. Default 1 s, at most 60 s.</summary>
    public TimeSpan GraphTimeMax { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>LIM-25: most nodes of a filter: conditions, and what joins or turns them. Default 256, at most 4,096.</summary>
    public int FilterNodesMax { get; init; } = 256;

    /// <summary>LIM-25: deepest nesting of a filter; a condition alone has depth one. Default 16, at most 64.</summary>
    public int FilterDepthMax { get; init; } = 16;

    /// <summary>LIM-25: most values in one <c>in</c> of a filter. Default 1,000, at most 100,000.</summary>
    public int FilterValuesMax { get; init; } = 1_000;

    /// <summary>LIM-26: largest page. Default 1,000, at most 10,000. Pages that name no size have <see cref="PageSize"/>.</summary>
    public int PageSizeMax { get; init; } = 1_000;

    /// <summary>LIM-26: page size when a call names none. Default 100.</summary>
    public int PageSize { get; init; } = 100;

    /// <summary>LIM-27: most snapshots that cursors hold; the one not used for longest goes first, and its cursors are
    /// <see cref="ErrorCode.CursorExpired"/>. Default 100, at most 10,000.</summary>
    public int CursorsMax { get; init; } = 100;

    /// <summary>LIM-27: most who wait for events of one run at a time, most streams of changes that a database has open, and
    /// most subscriptions of a run. Default 100, at most 10,000.</summary>
    public int SubscriptionsMax { get; init; } = 100;

    /// <summary>LIM-13: most elements of a vector. Default 8,192, at most 65,536.</summary>
    public int VectorDimensionMax { get; init; } = 8_192;

    /// <summary>LIM-20: most matches of one search for vectors. Default 1,000, at most 10,000.</summary>
    public int VectorMatchesMax { get; init; } = 1_000;

    /// <summary>LIM-28: most collections of vectors of one run. Default 1,024, at most 65,536.</summary>
    public int CollectionsMax { get; init; } = 1_024;

    /// <summary>LIM-28: most triggers of one run. Default 64, at most 1,024.</summary>
    public int TriggersMax { get; init; } = 64;

    /// <summary>LIM-28: most secondary indexes of one run. Default 64, at most 1,024.</summary>
    public int IndexesMax { get; init; } = 64;

    /// <summary>LIM-30: shortest time to live. Fixed: 1 ms.</summary>
    public static TimeSpan TimeToLiveMin => TimeSpan.FromMilliseconds(1);

    /// <summary>LIM-30: longest time to live. Fixed: 100 years of 365.25 days.</summary>
    public static TimeSpan TimeToLiveMax => TimeSpan.FromDays(36_525);

    /// <summary>LIM-31: most versions returned by one history call. Default 1,000, at most 10,000.</summary>
    public int HistoryVersionsMax { get; init; } = 1_000;

    /// <summary>Most native memory of one run view, in bytes. Default 512 MiB, at most 1,024 MiB.</summary>
    public int ViewBytesMax { get; init; } = 512 << 20;

    /// <summary>LIM-36: most commits queued for the log. Default 4,096, at most 65,536; a power of two.</summary>
    public int QueuedCommitsMax { get; init; } = 4_096;

    /// <summary>LIM-37: longest wait for the queue, a run's lock or memory before <see cref="ErrorCode.Busy"/>. Default 5 s, at most 60
    /// s.</summary>
    public TimeSpan BusyWaitMax { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>LIM-38: longest idempotency key, in bytes of UTF-8. Default 128, at most 256.</summary>
    public int IdempotencyKeyBytesMax { get; init; } = 128;

    /// <summary>LIM-38: how long an idempotency key is remembered. Default 24 h, at most 30 days.</summary>
    public TimeSpan IdempotencyKeyLife { get; init; } = TimeSpan.FromHours(24);

    /// <summary>LIM-38: most idempotency keys remembered per run. Default 100,000, at most 10,000,000.</summary>
    public int IdempotencyKeysMax { get; init; } = 100_000;

    /// <summary>LIM-29: most runs that a fork reads through: its parent, the parent of that, and so on. Default 64, at most 256.</summary>
    public int ForkDepthMax { get; init; } = 64;

    /// <summary>Most steps of one JSONPath query, or of a filter over one document: values looked at, and the text compared and matched.
    /// Default 10,000,000, at most 1,000,000,000.</summary>
    public int QueryStepsMax { get; init; } = 10_000_000;

    /// <summary>What holds where no database is at hand.</summary>
    internal static Limits Defaults { get; } = new();

    /// <summary>The hard maxima of what is read from bytes that were written under other limits.</summary>
    internal static Limits Hard { get; } = new()
    {
        ValueBytesMax = 64 << 20, StringBytesMax = 64 << 20, DepthMax = 512, ArrayElementsMax = 16_777_216, ObjectMembersMax = 16_777_216,
        PathSegmentsMax = 1_024, PatchOperationsMax = 100_000,
    };

    internal static bool IsFixed(string limit) => limit is nameof(KeyBytesMax) or nameof(NameBytesMax) or nameof(EventCausesMax)
        or nameof(RegexPositionsMax) or nameof(QueryDepthMax) or nameof(TimeToLiveMin) or nameof(TimeToLiveMax);
}
