using System.Globalization;
using Cairn.Log;

namespace Cairn.Bench;

// The other half of Subject.cs: what the suites about storage and scale ask of the engine, all of it through the public door.

/// <summary>A Cairn database in a directory, opened with options of its own. Thread-safe as the database is.</summary>
internal sealed class DirectorySubject : IDisposable
{
    private const int LoadChunk = 1_000;

    private readonly CairnDatabase _db;
    private readonly Run _run;
    private ulong _lastCheckpoint;

    internal DirectorySubject(string directory, CairnOptions options)
    {
        _db = CairnDatabase.Open(directory, options);
        _run = _db.Default;
    }

    /// <summary>Why there is nothing to measure about checkpoints; null when there is.</summary>
    internal static string? CheckpointMissing => null;

    /// <summary>The same for compaction and retention.</summary>
    internal static string? CompactionMissing => null;

    /// <summary>The same for online backup.</summary>
    internal static string? BackupMissing => null;

    /// <summary>The same for a budget that memory stays inside.</summary>
    internal static string? BudgetMissing => null;

    /// <summary>Buffered, otherwise the defaults.</summary>
    internal static CairnOptions Buffered { get; } = new() { Durability = Durability.Buffered };

    /// <summary>Buffered, for reading only.</summary>
    internal static CairnOptions ReadOnly { get; } = Buffered with { IsReadOnly = true };

    /// <summary>Buffered, and only an explicit call makes a checkpoint: what is written after it is left to the next opening.</summary>
    internal static CairnOptions WithoutCheckpoints { get; } = Buffered with
    {
        CheckpointLogBytes = 1L << 40,
        CheckpointInterval = TimeSpan.FromDays(30),
        CheckpointOnClose = false,
    };

    /// <summary>Of each key the newest version alone is kept.</summary>
    internal static CairnOptions Churned { get; } = Buffered with { Retention = Retention.KeepLast(1) };

    /// <summary>The same, with a checkpoint, a segment and a compaction to each so many bytes of log.</summary>
    internal static CairnOptions ChurnedAt(long logBytes) => Churned with
    {
        CheckpointLogBytes = logBytes,
        SegmentBytesMax = logBytes,
        CompactionGarbageMin = logBytes,
    };

    /// <summary>Buffered, and memory stays inside so many bytes.</summary>
    internal static CairnOptions WithBudget(long bytes) => Buffered with { MemoryBudgetBytes = bytes };

    internal static string RunName(int number) => string.Create(CultureInfo.InvariantCulture, $"agent-{number:000000}");

    /// <summary>Puts the keys with the numbers from <paramref name="first"/> on into the run <c>default</c>, many to a commit.</summary>
    internal void Load(int first, int count, ReadOnlySpan<byte> value) => Load(_run, first, count, value);

    /// <summary>The same into runs of their own, <paramref name="perRun"/> keys to each; the runs are made.</summary>
    internal void LoadRuns(int count, int perRun, ReadOnlySpan<byte> value)
    {
        for (var at = 0; at < count; at += perRun)
        {
            var number = at / perRun;
            Load(Patiently(() => _db.Runs.Begin(RunName(number))), at, Math.Min(perRun, count - at), value);
        }
    }

    internal void Put(string key, ReadOnlySpan<byte> value) => _run.Kv.Put(key, value);

    internal bool TryGet(string key, Span<byte> destination, out int written) => _run.Kv.TryGet(key, destination, out written);

    /// <summary>From a run that is found by its name first.</summary>
    internal bool TryGet(string run, string key, Span<byte> destination, out int written)
    {
        written = 0;
        return _db.Runs.TryGet(run, out var found) && found.Kv.TryGet(key, destination, out written);
    }

    /// <summary>The first pairs in key order; returns how many there were.</summary>
    internal int ScanFirst(int count) => _run.Kv.Scan(new ScanOptions { Limit = count }).Count;

    /// <summary>All pairs by pages; returns how many there are and the bytes of their values.</summary>
    /// <param name="look">Called after each page.</param>
    internal (long Count, long Bytes) ScanAll(Action? look = null)
    {
        var (count, bytes) = (0L, 0L);
        string? cursor = null;
        do
        {
            var page = _run.Kv.Scan(new ScanOptions { Limit = _db.Limits.PageSizeMax, Cursor = cursor });
            foreach (var pair in page)
                bytes += pair.Value.Value.AsBytes().Length;
            count += page.Count;
            look?.Invoke();
            cursor = page.Cursor;
        }
        while (cursor is not null);

        return (count, bytes);
    }

    /// <summary>What the engine says it holds in memory.</summary>
    internal long MemoryBytes => _db.Metrics.MemoryUsedBytes;

    internal void Sync() => _db.Sync();

    /// <summary>Makes a checkpoint and returns how many bytes of tables it wrote.</summary>
    internal long Checkpoint() => _db.Checkpoint()?.Bytes ?? 0;

    /// <summary>The same; false when there was nothing that the last one had not.</summary>
    internal bool CheckpointIfChanged()
    {
        var number = _db.Checkpoint()?.Number ?? 0;
        return number != Interlocked.Exchange(ref _lastCheckpoint, number);
    }

    /// <summary>Compacts on demand; false when it gave nothing up.</summary>
    internal bool CompactIfAny()
    {
        var before = _db.Metrics.Compactions;
        _db.Compact();
        return _db.Metrics.Compactions != before;
    }

    /// <summary>Compacts on demand.</summary>
    internal void Compact() => _db.Compact();

    /// <summary>A full backup into an empty directory.</summary>
    internal void Backup(string directory) => _db.Backup(directory);

    /// <summary>From the mark of the older of the two checkpoints to the end of the log.</summary>
    internal long LogBytesSinceOlderCheckpoint
    {
        get
        {
            _db.Sync();
            var log = (SegmentedLog)_db.Engine.Path.Log.Device!;
            return (long)(log.SyncedPosition - log.Manifest.Checkpoints[0].MarkPosition);
        }
    }

    public void Dispose() => _db.Dispose();

    private static void Load(Run run, int first, int count, ReadOnlySpan<byte> value)
    {
        var shared = Value.Bytes(value);
        for (var at = 0; at < count; at += LoadChunk)
        {
            var pairs = new KeyValuePair<string, Value>[Math.Min(LoadChunk, count - at)];
            for (var i = 0; i < pairs.Length; i++)
                pairs[i] = new(Harness.Keys.At(first + at + i), shared);
            Patiently(() => run.Kv.PutMany(pairs));
        }
    }

    // Loading outruns checkpoints, and then memory is full until one is over: an application waits, as the error says.
    private static T Patiently<T>(Func<T> write)
    {
        while (true)
        {
            try
            {
                return write();
            }
            catch (BusyException busy)
            {
                Thread.Sleep(busy.SuggestedWait);
            }
        }
    }
}
