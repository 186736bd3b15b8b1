namespace Cairn;

/// <summary>What a class of operations took, each figure off by at most 2 %. Resolution 100 ns.</summary>
/// <param name="Count">Operations that were timed.</param>
/// <param name="P50">Half were faster.</param>
/// <param name="P95">95 % were faster.</param>
/// <param name="P99">99 % were faster.</param>
/// <param name="P999">99.9 % were faster.</param>
/// <param name="Max">The slowest.</param>
public readonly record struct LatencySummary(long Count, TimeSpan P50, TimeSpan P95, TimeSpan P99, TimeSpan P999, TimeSpan Max);

/// <summary>How the commits of one class ended.</summary>
/// <param name="Ok">Committed; a decision to change nothing is among them.</param>
/// <param name="Refused">By a status, a limit of the whole, a full disk or the like: nothing was logged. What is refused before there is
/// anything to commit (an argument, a limit of one value, a database that is closed) is not counted.</param>
/// <param name="Conflicts">Something was not as it was read or expected: nothing was logged.</param>
/// <param name="Failed">An I/O error or damage; the outcome may be unknown.</param>
/// <param name="Bytes">Of their records in the log; 0 in memory.</param>
public readonly record struct OperationOutcomes(long Ok, long Refused, long Conflicts, long Failed, long Bytes);

/// <summary>Figures of an open database, all measured since it was opened.</summary>
public sealed record DatabaseMetrics
{
    internal DatabaseMetrics()
    {
    }

    /// <summary>Newest commit that has a place in the log, visible or not.</summary>
    public required Sequence LastSequence { get; init; }

    /// <summary>The newest commit that a power cut leaves, with all before it; <see cref="Sequence.None"/> in memory.</summary>
    public required Sequence DurableSequence { get; init; }

    /// <summary>Newest commit that readers see.</summary>
    public required Sequence VisibleSequence { get; init; }

    /// <summary>Commits written to the log.</summary>
    public required long Commits { get; init; }

    /// <summary>Commits written and not yet synced.</summary>
    public required long UnsyncedCommits { get; init; }

    /// <summary>Writes to the log; each takes a group of commits.</summary>
    public required long Groups { get; init; }

    /// <summary>Most commits in one write.</summary>
    public required long LargestGroup { get; init; }

    /// <summary>Syncs of the log.</summary>
    public required long Syncs { get; init; }

    /// <summary>Bytes written to the log.</summary>
    public required long LogBytesWritten { get; init; }

    /// <summary>Segments of the log that are kept; 0 in memory.</summary>
    public required int LogSegments { get; init; }

    /// <summary>Bytes of records in the log that is kept; 0 in memory.</summary>
    public required long LogBytesKept { get; init; }

    /// <summary>Archives: what is still needed of segments that were given up.</summary>
    public required int Archives { get; init; }

    /// <summary>Bytes of their files.</summary>
    public required long ArchiveBytes { get; init; }

    /// <summary>Tables of the kept checkpoints.</summary>
    public required int Tables { get; init; }

    /// <summary>Bytes of their files.</summary>
    public required long TableBytes { get; init; }

    /// <summary>Merges of tables that were published.</summary>
    public required long Merges { get; init; }

    /// <summary>Bytes of the tables that they wrote.</summary>
    public required long MergeBytesWritten { get; init; }

    /// <summary>Damaged tables that were made anew from the log.</summary>
    public required long TablesRebuilt { get; init; }

    /// <summary>Compactions of the log that gave something up.</summary>
    public required long Compactions { get; init; }

    /// <summary>Bytes of files that they freed, less what they wrote.</summary>
    public required long CompactionBytesFreed { get; init; }

    /// <summary>How long they took, all together.</summary>
    public required TimeSpan CompactionTime { get; init; }

    /// <summary>As the last compaction, or plan of one, found it: bytes that are needed of what it looked through. 0 before the
    /// first.</summary>
    public required long CompactionBytesNeeded { get; init; }

    /// <summary>The same for bytes that are not needed and were not worth giving up yet.</summary>
    public required long CompactionBytesGarbage { get; init; }

    /// <summary>Commits that wait for the log's writer.</summary>
    public required int QueuedCommits { get; init; }

    /// <summary>Writes are refused until there is space again.</summary>
    public required bool IsDiskFull { get; init; }

    /// <summary>Bytes free where the database lies, as the maintainer found them last; 0 in memory.</summary>
    public required long DiskFreeBytes { get; init; }

    /// <summary>Bytes kept aside for a full disk; 0 while it is full, and in memory.</summary>
    public required long DiskReserveBytes { get; init; }

    /// <summary>Jobs of the maintainer whose last step failed; <see cref="CairnDatabase.Health"/> says why.</summary>
    public required int FailingJobs { get; init; }

    /// <summary>Jobs of the maintainer without progress for more than 30 seconds.</summary>
    public required int StalledJobs { get; init; }

    /// <summary>Files in which scrubbing or a read found damage, less those that were rebuilt since; <see cref="CairnDatabase.Health"/>
    /// names them.</summary>
    public required int DamagedFiles { get; init; }

    /// <summary>Events of the engine that did not fit into the queue on their way to the run <c>$sys</c>.</summary>
    public required long SystemEventsLost { get; init; }

    /// <summary>Transactions that lost and were tried again.</summary>
    public required long Retries { get; init; }

    /// <summary>Operations applied, by primitive and operation, such as <c>kv.put</c>.</summary>
    public required IReadOnlyDictionary<string, long> Operations { get; init; }

    /// <summary>How commits ended, by the names of <see cref="Latencies"/> that are of one primitive, and <c>transaction</c>. Without the
    /// engine's own.</summary>
    public required IReadOnlyDictionary<string, OperationOutcomes> Outcomes { get; init; }

    /// <summary>Runs that are not deleted, the two that always exist included.</summary>
    public required int Runs { get; init; }

    /// <summary>Views of the past that were not disposed of yet (<see cref="RunView"/>).</summary>
    public required int Views { get; init; }

    /// <summary>Memory of those.</summary>
    public required long ViewBytes { get; init; }

    /// <summary>Blocks of tables that were read and are kept.</summary>
    public required long BlockCacheBytes { get; init; }

    /// <summary>Native memory taken by all runs and views, in bytes.</summary>
    public required long MemoryBytes { get; init; }

    /// <summary>What the database may hold in memory (<see cref="CairnOptions.MemoryBudgetBytes"/>); 0 in memory, where there is no
    /// budget.</summary>
    public required long MemoryBudgetBytes { get; init; }

    /// <summary>What counts to the budget: <see cref="MemoryBytes"/>, cached contents and blocks, and 1 KiB for each loaded run, 4 KiB if
    /// it was written to; 0 in memory.</summary>
    public required long MemoryUsedBytes { get; init; }

    /// <summary>Commits that had to wait for memory.</summary>
    public required long MemoryWaits { get; init; }

    /// <summary>Commits that were refused as <see cref="ErrorCode.Busy"/> because memory was full.</summary>
    public required long MemoryRefusals { get; init; }

    /// <summary>Keys that left the memory of their runs one by one: tables answer for them.</summary>
    public required long KeysForgotten { get; init; }

    /// <summary>Times a run gave up its whole memory.</summary>
    public required long RunsEmptied { get; init; }

    /// <summary>Times a run was unloaded.</summary>
    public required long RunsUnloaded { get; init; }

    /// <summary>Runs that are loaded now.</summary>
    public required int RunsLoaded { get; init; }

    /// <summary>Part of <see cref="MemoryBytes"/>: large values that were written in this opening and are still in memory.</summary>
    public required long ContentAttachedBytes { get; init; }

    /// <summary>Large values that were read from the log and are kept, in bytes; managed memory.</summary>
    public required long ContentCachedBytes { get; init; }

    /// <summary>Reads of large values that found what an earlier one had read, or was reading.</summary>
    public required long ContentHits { get; init; }

    /// <summary>Reads of large values that read the log.</summary>
    public required long ContentMisses { get; init; }

    /// <summary>Snapshots, transactions and cursors that keep versions.</summary>
    public required int Pins { get; init; }

    /// <summary>The oldest sequence that a pin keeps; null without pins.</summary>
    public required Sequence? OldestPin { get; init; }

    /// <summary>Transactions that are open.</summary>
    public required int OpenTransactions { get; init; }

    /// <summary>Snapshots kept for cursors.</summary>
    public required int OpenCursors { get; init; }

    /// <summary>Streams of changes that are open.</summary>
    public required int ChangeStreams { get; init; }

    /// <summary>Commits that the slowest of them has not looked at; 0 without streams.</summary>
    public required long ChangeLag { get; init; }

    /// <summary>From the call to the answer, every commit.</summary>
    public required LatencySummary CommitLatency { get; init; }

    /// <summary>Every class of operations by name: <c>get</c> (one in 64 timed), <c>scan</c> (a page), commits as <c>put</c>,
    /// <c>append</c>, <c>transition</c>, <c>trace</c>, <c>run</c> and <c>transaction</c>, all of them again as <c>commit.strict</c>,
    /// <c>commit.buffered</c> and <c>commit.in_memory</c>, then <c>transact</c> (with all tries), <c>sync</c>, <c>checkpoint</c> and
    /// <c>open</c>. The names are always there.</summary>
    public required IReadOnlyDictionary<string, LatencySummary> Latencies { get; init; }

    /// <summary>Point reads, one in 64 timed.</summary>
    public required LatencySummary ReadLatency { get; init; }
}
