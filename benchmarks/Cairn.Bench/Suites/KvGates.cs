using Cairn.Bench.Harness;

namespace Cairn.Bench.Suites;

/// <summary>The goals of <c>./bench kv</c>, each written down once.</summary>
internal static class KvGates
{
    // InMemory, auto-commit through the public door, ordered index on.
    internal static readonly Gate UpdateToDictionary = Gate.AtLeast("update/ConcurrentDictionary", 1.2);
    internal static readonly Gate UpdateToLmdb = Gate.AtLeast("update/LMDB", 2);
    internal static readonly Gate InsertToDictionary = Gate.AtLeast("insert/ConcurrentDictionary", 0.4);
    internal static readonly Gate GetToDictionary = Gate.AtLeast("get/ConcurrentDictionary", 1.0);
    internal static readonly Gate UpdateLatency = Gate.AtMost("update-p99.9-us", 50);
    internal static readonly Gate GetLatency = Gate.AtMost("get-p99.9-us", 50);
    internal static readonly Gate PutToStorePut = Gate.AtMost("put-time/store-put-time", 2);
    internal static readonly Gate GetAllocation = Gate.AtMost("get-allocated-bytes", 0);
    internal static readonly Gate PutAllocation = Gate.AtMost("put-allocated-bytes", 0);
    internal static readonly Gate SnapshotAllocation = Gate.AtMost("snapshot-allocated-bytes", 0);
    internal static readonly Gate SnapshotTime = Gate.AtMost("snapshot-take-release-ns", 100);
    internal static readonly Gate PauseAtOneMillion = Gate.AtMost("collector-pause-1M-ms", 10);
    internal static readonly Gate PauseAtTenMillion = Gate.AtMost("collector-pause-10M-ms", 10);
    internal static readonly Gate MemoryToDictionary = Gate.AtMost("memory-per-entry/ConcurrentDictionary", 1.0);
    internal static readonly Gate ScalingToNativeTables = Gate.AtLeast("two-runs-scaling/native-tables-scaling", 0.85);

    // PERF-1 of the requirements: times, A0 = dictionary, A1 = commit path, B = public door.
    internal static readonly Gate CommitToDictionary = Gate.AtMost("perf1-A1/A0", 10);
    internal static readonly Gate DoorToCommit = Gate.AtMost("perf1-B/A1", 5);
    internal static readonly Gate DoorToDictionary = Gate.AtMost("perf1-B/A0", 30);

    // PERF-2 to PERF-7 of the requirements, in time and rate.
    internal static readonly Gate InMemoryCommitTime = Gate.AtMost("perf2-commit-us", 3);
    internal static readonly Gate InMemoryPutTime = Gate.AtMost("perf2-put-us", 8);
    internal static readonly Gate InMemoryPutRate = Gate.AtLeast("perf2-puts-per-second", 250_000);
    internal static readonly Gate BufferedPutTime = Gate.AtMost("perf3-put-us", 30);
    internal static readonly Gate BufferedPutRate = Gate.AtLeast("perf3-puts-per-second", 50_000);
    internal static readonly Gate StrictRate = Gate.AtLeast("perf4-puts-per-second", 500);
    internal static readonly Gate StrictGain = Gate.AtLeast("perf4-64-writers/1-writer", 10);
    internal static readonly Gate GetMedian = Gate.AtMost("perf5-get-p50-us", 5);
    internal static readonly Gate GetTail = Gate.AtMost("perf5-get-p99-us", 50);
    internal static readonly Gate GetTailToMean = Gate.AtMost("perf5-get-p99/mean", 20);
    internal static readonly Gate TwoRuns = Gate.AtLeast("perf6-2-runs/1-run", 1.8);
    internal static readonly Gate FourRuns = Gate.AtLeast("perf6-4-runs/1-run", 3.2);
    internal static readonly Gate EightRuns = Gate.AtLeast("perf6-8-runs/1-run", 6);
    internal static readonly Gate SameKey = Gate.AtLeast("perf7-4-threads-one-key/1-thread", 0.25);

    // Buffered: one write per answer.
    internal static readonly Gate BufferedToWrites = Gate.AtLeast("buffered/pwrite-loop", 0.6);
    internal static readonly Gate BufferedManyToInMemory = Gate.AtLeast("buffered-many-100/inmemory-many-100", 0.5);
    internal static readonly Gate BufferedToRocksDb = Gate.AtLeast("buffered/RocksDB", 4);
    internal static readonly Gate BufferedToSqlite = Gate.AtLeast("buffered/SQLite", 8);
    internal static readonly Gate BufferedLatency = Gate.AtMost("buffered-p99.9-us", 1000);

    // Strict: durable before the answer.
    internal static readonly Gate StrictOne = Gate.AtLeast("strict-1/bare", 0.85);
    internal static readonly Gate StrictSixteenAsync = Gate.AtLeast("strict-16-async/bare", 0.5);
    internal static readonly Gate StrictSixtyFourAsync = Gate.AtLeast("strict-64-async/bare", 0.5);
    internal static readonly Gate StrictSixtyFourThreads = Gate.AtLeast("strict-64-threads/bare", 0.6);
    internal static readonly Gate StrictToRocksDb = Gate.AtLeast("strict-64-async/RocksDB", 3);

    // Events, Buffered.
    internal static readonly Gate AppendToHashChain = Gate.AtLeast("event-append/hash-pwrite-loop", 0.5);
    internal static readonly Gate EventScanToRocksDb = Gate.AtLeast("event-scan/RocksDB", 1.0);
    internal static readonly Gate EventPagesToRocksDb = Gate.AtLeast("event-pages/RocksDB", 0.25);

    // Replay of a log of small commits; rates against read + checksum + presized dictionary.
    internal static readonly Gate ReplayToFirstRead = Gate.AtLeast("replay-first-read/bare-rebuild", 0.5);
    internal static readonly Gate ReplayToFirstScan = Gate.AtLeast("replay-first-scan/bare-rebuild", 0.3);

    internal static IReadOnlyList<Gate> OfSpecification { get; } =
    [
        InMemoryCommitTime, InMemoryPutTime, InMemoryPutRate, BufferedPutTime, BufferedPutRate, StrictRate, StrictGain,
        GetMedian, GetTail, GetTailToMean, TwoRuns, FourRuns, EightRuns, SameKey,
    ];

    internal static IReadOnlyList<Gate> All { get; } = Gate.AllOf(typeof(KvGates));
}
