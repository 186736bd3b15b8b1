namespace Cairn;

/// <summary>Ranges of options and limits, checked at open: an option out of its range is refused by name, never adjusted.</summary>
internal static class OptionRules
{
    /// <summary>What <see cref="Limits.TagsMax"/> may be at most.</summary>
    internal const int TagsMost = 1_024;

    /// <summary>What <see cref="Limits.FilterNodesMax"/> may be at most; no filter in memory has more.</summary>
    internal const int FilterNodesMost = 4_096;

    /// <summary>What <see cref="Limits.FilterDepthMax"/> may be at most; no filter in memory is deeper.</summary>
    internal const int FilterDepthMost = 64;

    /// <summary>What <see cref="Limits.FilterValuesMax"/> may be at most; no filter in memory has more.</summary>
    internal const int FilterValuesMost = 100_000;

    /// <summary>What a search may name for the candidates of its budget at most.</summary>
    internal const int SearchCandidatesMost = 10_000_000;

    /// <summary>What a search may name for the time of its budget at most.</summary>
    internal static readonly TimeSpan SearchTimeMost = TimeSpan.FromSeconds(60);

    internal static void Check(CairnOptions options)
    {
        Range(nameof(options.SyncInterval), options.SyncInterval, TimeSpan.FromMilliseconds(1), TimeSpan.FromSeconds(10));
        Range(nameof(options.SyncCommits), options.SyncCommits, 1, 1_000_000);
        Range(nameof(options.SegmentBytesMax), options.SegmentBytesMax, 16 << 10, 1 << 30);
        Range(nameof(options.SegmentBytesMin), options.SegmentBytesMin, 16 << 10, options.SegmentBytesMax);
        Range(nameof(options.ContentThreshold), options.ContentThreshold, 64, 64 << 20);
        Range(nameof(options.ContentMemoryBytes), options.ContentMemoryBytes, 0, 1L << 40);
        Range(nameof(options.CompactionGarbageMin), options.CompactionGarbageMin, 16 << 10, 1L << 40);
        Range(nameof(options.CheckpointLogBytes), options.CheckpointLogBytes, 64 << 10, 1L << 40);
        Range(nameof(options.CheckpointInterval), options.CheckpointInterval, TimeSpan.FromSeconds(1), TimeSpan.FromDays(30));
        Range(nameof(options.BlockCacheBytes), options.BlockCacheBytes, 1 << 20, 1L << 40);
        if (options.MemoryBudgetBytes is { } budget)
            CheckMemory(budget, options.Durability);
        if (!Enum.IsDefined(options.Durability))
            throw Refused(nameof(options.Durability), options.Durability.ToString(), "InMemory", "Strict");
        if (options.Retention is { } policy)
            RetentionRules.Check(policy, hasLog: true);
        ArgumentNullException.ThrowIfNull(options.TimeProvider);
        ArgumentNullException.ThrowIfNull(options.TextAnalysis);
        if (!Enum.IsDefined(options.TextIndexing))
            throw Refused(nameof(options.TextIndexing), options.TextIndexing.ToString(), "OnSearch", "OnRequest");
        Check(options.Limits);
        Check(options.Maintenance);
    }

    private static void CheckMemory(long budget, Durability durability)
    {
        Range(nameof(CairnOptions.MemoryBudgetBytes), budget, 16 << 20, 1L << 50);
        if (durability != Durability.InMemory)
            return;
        throw new CairnException(
            ErrorCode.InvalidArgument,
            $"MemoryBudgetBytes is {budget}, but a database in memory has nothing to evict into. Leave it out, or open a directory.");
    }

    private static void Check(MaintenanceOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        Range(nameof(options.IntervalMax), options.IntervalMax, TimeSpan.FromTicks(1), TimeSpan.FromSeconds(10));
        Range(nameof(options.Interval), options.Interval, TimeSpan.FromTicks(1), options.IntervalMax);
        Range(nameof(options.IntervalMin), options.IntervalMin, TimeSpan.FromTicks(1), options.Interval);
        Range(nameof(options.Smoothing), options.Smoothing, double.Epsilon, 1);
        Range(nameof(options.Window), options.Window, 2, 10_000);
        Range(nameof(options.BatchMax), options.BatchMax, 1, 10_000);
        Range(nameof(options.WarnAt), options.WarnAt, double.Epsilon, 1);
        Range(nameof(options.ScrubPeriod), options.ScrubPeriod, TimeSpan.FromMinutes(1), TimeSpan.FromDays(365));
        Range(nameof(options.ScrubBytesPerSecond), options.ScrubBytesPerSecond, 64 << 10, 1 << 30);
    }

    private static void Check(Limits limits)
    {
        Range(nameof(limits.ValueBytesMax), limits.ValueBytesMax, 1, 64 << 20);
        Range(nameof(limits.StringBytesMax), limits.StringBytesMax, 1, 64 << 20);
        Range(nameof(limits.DepthMax), limits.DepthMax, 1, 512);
        Range(nameof(limits.ArrayElementsMax), limits.ArrayElementsMax, 1, 16_777_216);
        Range(nameof(limits.ObjectMembersMax), limits.ObjectMembersMax, 1, 16_777_216);
        Range(nameof(limits.PathSegmentsMax), limits.PathSegmentsMax, 1, 1_024);
        Range(nameof(limits.PatchOperationsMax), limits.PatchOperationsMax, 1, 100_000);
        Range(nameof(limits.QueryBytesMax), limits.QueryBytesMax, 1, 64 << 10);
        Range(nameof(limits.QueryNodesMax), limits.QueryNodesMax, 1, 1_000_000);
        Range(nameof(limits.QueryStepsMax), limits.QueryStepsMax, 1, 1_000_000_000);
        Range(nameof(limits.RegexBytesMax), limits.RegexBytesMax, 1, 4 << 10);
        Range(nameof(limits.ConceptContentBytesMax), limits.ConceptContentBytesMax, 1, 64 << 20);
        Range(nameof(limits.MetadataBytesMax), limits.MetadataBytesMax, 1, 1 << 20);
        Range(nameof(limits.TagsMax), limits.TagsMax, 1, TagsMost);
        Range(nameof(limits.ManyItemsMax), limits.ManyItemsMax, 1, 100_000);
        Range(nameof(limits.TransactionOperationsMax), limits.TransactionOperationsMax, 1, 1_000_000);
        Range(nameof(limits.TransactionBytesMax), limits.TransactionBytesMax, limits.ValueBytesMax + (64 << 10), 256 << 20);
        Range(nameof(limits.TransactionTimeMax), limits.TransactionTimeMax, TimeSpan.FromMilliseconds(1), TimeSpan.FromMinutes(5));
        Range(nameof(limits.TransactionRunsMax), limits.TransactionRunsMax, 1, 256);
        Range(nameof(limits.GraphDepthMax), limits.GraphDepthMax, 1, 64);
        Range(nameof(limits.GraphThingsMax), limits.GraphThingsMax, 1, 100_000_000);
        Range(nameof(limits.GraphAssociationsMax), limits.GraphAssociationsMax, 1, 1_000_000_000);
        Range(nameof(limits.GraphTimeMax), limits.GraphTimeMax, TimeSpan.FromMilliseconds(1), TimeSpan.FromSeconds(60));
        Range(nameof(limits.FilterNodesMax), limits.FilterNodesMax, 1, FilterNodesMost);
        Range(nameof(limits.FilterDepthMax), limits.FilterDepthMax, 1, FilterDepthMost);
        Range(nameof(limits.FilterValuesMax), limits.FilterValuesMax, 1, FilterValuesMost);
        Range(nameof(limits.SearchHitsMax), limits.SearchHitsMax, 1, 10_000);
        Range(nameof(limits.SearchHits), limits.SearchHits, 1, limits.SearchHitsMax);
        Range(nameof(limits.SearchTextBytesMax), limits.SearchTextBytesMax, 1, 64 << 10);
        Range(nameof(limits.SearchTermsMax), limits.SearchTermsMax, 1, 1_024);
        Range(nameof(limits.SearchTime), limits.SearchTime, TimeSpan.FromMilliseconds(1), SearchTimeMost);
        Range(nameof(limits.SearchCandidates), limits.SearchCandidates, 1, SearchCandidatesMost);
        Range(nameof(limits.SearchCandidatesPerPrimitive), limits.SearchCandidatesPerPrimitive, 1, SearchCandidatesMost);
        Range(nameof(limits.PageSizeMax), limits.PageSizeMax, 1, 10_000);
        Range(nameof(limits.PageSize), limits.PageSize, 1, limits.PageSizeMax);
        Range(nameof(limits.CursorsMax), limits.CursorsMax, 1, 10_000);
        Range(nameof(limits.SubscriptionsMax), limits.SubscriptionsMax, 1, 10_000);
        Range(nameof(limits.VectorDimensionMax), limits.VectorDimensionMax, 1, 65_536);
        Range(nameof(limits.VectorMatchesMax), limits.VectorMatchesMax, 1, 10_000);
        Range(nameof(limits.CollectionsMax), limits.CollectionsMax, 1, 65_536);
        Range(nameof(limits.TriggersMax), limits.TriggersMax, 1, 1_024);
        Range(nameof(limits.IndexesMax), limits.IndexesMax, 1, 1_024);
        Range(nameof(limits.HistoryVersionsMax), limits.HistoryVersionsMax, 1, 10_000);
        Range(nameof(limits.ViewBytesMax), limits.ViewBytesMax, 64 << 10, 1 << 30);
        Range(nameof(limits.QueuedCommitsMax), limits.QueuedCommitsMax, 4, 65_536);
        if (!System.Numerics.BitOperations.IsPow2(limits.QueuedCommitsMax))
            throw new CairnException(
                ErrorCode.InvalidArgument, $"QueuedCommitsMax is {limits.QueuedCommitsMax}; it must be a power of two.");
        Range(nameof(limits.BusyWaitMax), limits.BusyWaitMax, TimeSpan.FromMilliseconds(1), TimeSpan.FromSeconds(60));
        Range(nameof(limits.IdempotencyKeyBytesMax), limits.IdempotencyKeyBytesMax, 1, 256);
        Range(nameof(limits.IdempotencyKeyLife), limits.IdempotencyKeyLife, TimeSpan.FromMilliseconds(1), TimeSpan.FromDays(30));
        Range(nameof(limits.IdempotencyKeysMax), limits.IdempotencyKeysMax, 1, 10_000_000);
        Range(nameof(limits.ForkDepthMax), limits.ForkDepthMax, 1, 256);
    }

    private static void Range<T>(string name, T value, T least, T most)
        where T : IComparable<T>
    {
        if (value.CompareTo(least) < 0 || value.CompareTo(most) > 0)
            throw Refused(name, value.ToString()!, least.ToString()!, most.ToString()!);
    }

    private static CairnException Refused(string name, string value, string least, string most) =>
        new(ErrorCode.InvalidArgument, $"{name} is {value}; it must be from {least} to {most}.");
}
