using Cairn.Bench.Harness;

namespace Cairn.Bench.Suites;

/// <summary>The goals of <c>./bench storage</c>, each written down once.</summary>
internal static class StorageGates
{
    // From the call of open to the first point read, in a warm process, the files in the page cache; times.
    internal static readonly Gate ReadOnlyToLmdb = Gate.AtMost("open-read-only/LMDB", 5);
    internal static readonly Gate WritableToLimit = Gate.AtMost("open-writable/(5-LMDB+8-fdatasync)", 1);
    internal static readonly Gate ReadOnlyGrowthInOneRun = Gate.AtMost("open-read-only-growth-one-run", 3);
    internal static readonly Gate ReadOnlyGrowthInManyRuns = Gate.AtMost("open-read-only-growth-many-runs", 3);
    internal static readonly Gate WritableGrowthInOneRun = Gate.AtMost("open-writable-growth-one-run", 3);
    internal static readonly Gate WritableGrowthInManyRuns = Gate.AtMost("open-writable-growth-many-runs", 3);

    // PERF-14 of the requirements.
    internal static readonly Gate OpenTenMillion = Gate.AtMost("perf14-open-10M/open-10K", 2);
    internal static readonly Gate RecoveryRate = Gate.AtLeast("perf14-recovered-transactions-per-second", 20_000);

    // A log tail of small commits above a checkpoint; rates against read + checksum + presized dictionary.
    internal static readonly Gate RecoveryToFirstRead = Gate.AtLeast("recovery-first-read/bare-rebuild", 0.5);
    internal static readonly Gate RecoveryToFirstScan = Gate.AtLeast("recovery-first-scan/bare-rebuild", 0.3);

    // Rates, against writing as many bytes into a new file from front to back, with one sync.
    internal static readonly Gate CheckpointToWrites = Gate.AtLeast("checkpoint/sequential-write", 0.5);
    internal static readonly Gate BackupToWrites = Gate.AtLeast("backup/sequential-write", 0.5);

    // Puts from their intended start, at half the rate that puts reach, Buffered.
    internal static readonly Gate CheckpointTail = Gate.AtMost("put-p99-while-checkpointing/at-rest", 3);
    internal static readonly Gate CheckpointFarTail = Gate.AtMost("put-p99.9-while-checkpointing/at-rest", 3);
    internal static readonly Gate CompactionTail = Gate.AtMost("put-p99-while-compacting/at-rest", 3);
    internal static readonly Gate CompactionFarTail = Gate.AtMost("put-p99.9-while-compacting/at-rest", 3);

    // KeepLast(1), every entry put 24 times.
    internal static readonly Gate AmplificationToRocksDb = Gate.AtMost("churn-write-amplification/RocksDB", 1);
    internal static readonly Gate SpaceToLimit = Gate.AtMost("churn-space/(1.3-live+log-since-older-checkpoint+segment)", 1);

    // PERF-12 and PERF-13 of the requirements: contents of 0.1 to 10 KB.
    internal static readonly Gate ContentStoreRate = Gate.AtLeast("perf12-contents-per-second", 5_000);
    internal static readonly Gate ContentGetTail = Gate.AtMost("perf12-content-get-p99-us", 1_000);
    internal static readonly Gate ContentIteration = Gate.AtMost("perf12-content-iterate-ms", 1_000);
    internal static readonly Gate ContentLateToEarly = Gate.AtMost("perf12-content-late/early", 2);
    internal static readonly Gate ContentMemory = Gate.AtMost("perf12-content-memory-MB", 500);
    internal static readonly Gate ContentOverhead = Gate.AtMost("perf12-content-overhead-bytes", 5_000);
    internal static readonly Gate ContentIterationOfAMillion = Gate.AtMost("perf13-content-iterate-ms", 5_000);

    // A run that holds four times what memory may.
    internal static readonly Gate MemoryToBudget = Gate.AtMost("memory/budget", 1);
    internal static readonly Gate ResidentToBudget = Gate.AtMost("memory-of-process/budget", 1);

    // TIER-3 of the requirements: of one open database that rests, and of all of them together.
    internal static readonly Gate IdleMemory = Gate.AtMost("tier3-idle-KiB-per-database", 1_024);
    internal static readonly Gate IdleThreads = Gate.AtMost("tier3-idle-threads", 0);

    internal static IReadOnlyList<Gate> All { get; } = Gate.AllOf(typeof(StorageGates));
}
