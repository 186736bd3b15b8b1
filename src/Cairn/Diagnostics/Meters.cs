// Every metric of the engine: instruments of the meter "Cairn", each with its unit. docs/metrics.md says what they mean; a test compares
// the two. No keys, values or names of users in tags: operations, jobs and quantiles only.
//
// The activity source is "Cairn" too: cairn.open (with recovery), cairn.transact (all tries of a Transact, awaited or not).

using System.Diagnostics;
using System.Diagnostics.Metrics;

namespace Cairn.Diagnostics;

/// <summary>See above. One per open database; reads the counters only when somebody collects.</summary>
internal sealed class Meters : IDisposable
{
    internal const string Name = "Cairn";

    internal static readonly ActivitySource Activities = new(Name);

    private readonly Meter _meter = new(Name);
    private readonly Func<DatabaseMetrics> _read;
    private readonly Func<IReadOnlyList<JobStatistics>> _readJobs;

    private DatabaseMetrics? _last;

    internal Meter Meter => _meter;

    internal Meters(Func<DatabaseMetrics> read, Func<IReadOnlyList<JobStatistics>> readJobs)
    {
        _read = () => ReadOpen(read);
        _readJobs = readJobs;
        Counter("cairn.commits", "{commit}", metrics => metrics.Commits);
        Counter("cairn.log.bytes", "By", metrics => metrics.LogBytesWritten);
        Counter("cairn.log.groups", "{write}", metrics => metrics.Groups);
        Counter("cairn.log.syncs", "{sync}", metrics => metrics.Syncs);
        Gauge("cairn.tables", "{table}", metrics => metrics.Tables);
        Gauge("cairn.tables.bytes", "By", metrics => metrics.TableBytes);
        Counter("cairn.tables.rebuilt", "{table}", metrics => metrics.TablesRebuilt);
        Counter("cairn.merges", "{merge}", metrics => metrics.Merges);
        Counter("cairn.merges.bytes", "By", metrics => metrics.MergeBytesWritten);
        Counter("cairn.compactions", "{compaction}", metrics => metrics.Compactions);
        Counter("cairn.compactions.freed", "By", metrics => metrics.CompactionBytesFreed);
        Counter("cairn.compactions.duration_ms", "ms", metrics => (long)metrics.CompactionTime.TotalMilliseconds);
        Gauge("cairn.archives.bytes", "By", metrics => metrics.ArchiveBytes);
        Gauge("cairn.log.garbage", "By", metrics => metrics.CompactionBytesGarbage);
        Counter("cairn.transactions.retries", "{retry}", metrics => metrics.Retries);
        Gauge("cairn.log.queued", "{commit}", metrics => metrics.QueuedCommits);
        Gauge("cairn.log.kept", "By", metrics => metrics.LogBytesKept);
        Gauge("cairn.log.needed", "By", metrics => metrics.CompactionBytesNeeded);
        Gauge("cairn.log.group.largest", "{commit}", metrics => metrics.LargestGroup);
        Gauge("cairn.log.unsynced", "{commit}", metrics => metrics.UnsyncedCommits);
        Gauge("cairn.disk.full", "{state}", metrics => metrics.IsDiskFull ? 1 : 0);
        Gauge("cairn.disk.free", "By", metrics => metrics.DiskFreeBytes);
        Gauge("cairn.disk.reserve", "By", metrics => metrics.DiskReserveBytes);
        Gauge("cairn.jobs.failing", "{job}", metrics => metrics.FailingJobs);
        Gauge("cairn.jobs.stalled", "{job}", metrics => metrics.StalledJobs);
        Gauge("cairn.files.damaged", "{file}", metrics => metrics.DamagedFiles);
        Counter("cairn.events.lost", "{event}", metrics => metrics.SystemEventsLost);
        Gauge("cairn.sequence", "{sequence}", metrics => (long)metrics.VisibleSequence.Value);
        _meter.CreateObservableGauge("cairn.sequence.durable", Durable, "{sequence}");
        Gauge("cairn.runs", "{run}", metrics => metrics.Runs);
        Gauge("cairn.views", "{view}", metrics => metrics.Views);
        Gauge("cairn.views.bytes", "By", metrics => metrics.ViewBytes);
        Gauge("cairn.blocks.cached", "By", metrics => metrics.BlockCacheBytes);
        Gauge("cairn.memory.bytes", "By", metrics => metrics.MemoryBytes);
        Gauge("cairn.memory.budget", "By", metrics => metrics.MemoryBudgetBytes);
        Gauge("cairn.memory.used", "By", metrics => metrics.MemoryUsedBytes);
        Counter("cairn.memory.waits", "{commit}", metrics => metrics.MemoryWaits);
        Counter("cairn.memory.refusals", "{commit}", metrics => metrics.MemoryRefusals);
        Counter("cairn.memory.forgotten", "{key}", metrics => metrics.KeysForgotten);
        Counter("cairn.memory.emptied", "{run}", metrics => metrics.RunsEmptied);
        Counter("cairn.memory.unloaded", "{run}", metrics => metrics.RunsUnloaded);
        Gauge("cairn.memory.loaded", "{run}", metrics => metrics.RunsLoaded);
        Gauge("cairn.content.attached", "By", metrics => metrics.ContentAttachedBytes);
        Gauge("cairn.content.cached", "By", metrics => metrics.ContentCachedBytes);
        Counter("cairn.content.hits", "{read}", metrics => metrics.ContentHits);
        Counter("cairn.content.misses", "{read}", metrics => metrics.ContentMisses);
        Gauge("cairn.pins", "{pin}", metrics => metrics.Pins);
        Gauge("cairn.transactions.open", "{transaction}", metrics => metrics.OpenTransactions);
        Gauge("cairn.changes.streams", "{stream}", metrics => metrics.ChangeStreams);
        Gauge("cairn.changes.lag", "{commit}", metrics => metrics.ChangeLag);
        _meter.CreateObservableGauge("cairn.pins.oldest", OldestPin, "{sequence}");
        _meter.CreateObservableGauge("cairn.commit.duration_ms", () => Quantiles(_read().CommitLatency), "ms");
        _meter.CreateObservableGauge("cairn.read.duration_ms", () => Quantiles(_read().ReadLatency), "ms");
        _meter.CreateObservableGauge("cairn.operation.duration_ms", OperationQuantiles, "ms");
        _meter.CreateObservableCounter("cairn.operation.timed", OperationsTimed, "{operation}");
        _meter.CreateObservableCounter("cairn.operations", Operations, "{operation}");
        _meter.CreateObservableCounter("cairn.operation.count", Outcomes, "{commit}");
        _meter.CreateObservableCounter("cairn.operation.bytes", Bytes, "By");
        _meter.CreateObservableGauge("cairn.job.backlog", () => Jobs(job => job.Backlog), "{item}");
        _meter.CreateObservableGauge("cairn.job.utilisation", () => Jobs(job => job.Utilisation), "1");
        _meter.CreateObservableGauge("cairn.job.health", () => Jobs(job => job.Health), "1");
        _meter.CreateObservableCounter("cairn.job.items", () => Jobs(job => job.Items), "{item}");
        _meter.CreateObservableCounter("cairn.job.bytes", () => Jobs(job => job.BytesWritten), "By");
        _meter.CreateObservableCounter("cairn.job.back_pressure", () => Jobs(job => job.BackPressureEvents), "{wait}");
        _meter.CreateObservableCounter("cairn.job.deadline_misses", () => Jobs(job => job.DeadlineMisses), "{miss}");
    }

    // Whoever collects does so for all databases of the process at once: one that closes meanwhile gives what it gave last.
    private DatabaseMetrics ReadOpen(Func<DatabaseMetrics> read)
    {
        try
        {
            return _last = read();
        }
        catch (ObjectDisposedException) when (_last is not null)
        {
            return _last;
        }
    }

    private void Counter(string name, string unit, Func<DatabaseMetrics, long> value) =>
        _meter.CreateObservableCounter(name, () => value(_read()), unit);

    private void Gauge(string name, string unit, Func<DatabaseMetrics, long> value) =>
        _meter.CreateObservableGauge(name, () => value(_read()), unit);

    private IEnumerable<Measurement<long>> OldestPin() =>
        _read().OldestPin is { } oldest ? [new Measurement<long>((long)oldest.Value)] : [];

    private IEnumerable<Measurement<long>> Durable() =>
        _read().DurableSequence is { Value: > 0 } durable ? [new Measurement<long>((long)durable.Value)] : [];

    private IEnumerable<Measurement<long>> Operations()
    {
        foreach (var (name, count) in _read().Operations)
        {
            var dot = name.IndexOf('.', StringComparison.Ordinal);
            yield return new Measurement<long>(count, new("primitive", name[..dot]), new("operation", name[(dot + 1)..]));
        }
    }

    private IEnumerable<Measurement<long>> Outcomes()
    {
        foreach (var (name, outcomes) in _read().Outcomes)
        {
            (string, long)[] all =
                [("ok", outcomes.Ok), ("refused", outcomes.Refused), ("conflict", outcomes.Conflicts), ("failed", outcomes.Failed)];
            foreach (var (outcome, count) in all)
                yield return new Measurement<long>(count, [.. TagsOf(name), new("outcome", outcome)]);
        }
    }

    private IEnumerable<Measurement<long>> Bytes()
    {
        foreach (var (name, outcomes) in _read().Outcomes)
            yield return new Measurement<long>(outcomes.Bytes, TagsOf(name));
    }

    private static KeyValuePair<string, object?>[] TagsOf(string operation) =>
    [
        new("operation", operation),
        new("primitive", operation switch
        {
            "put" => "kv",
            "append" => "event",
            "transition" => "state",
            "trace" => "trace",
            "run" => "run",
            "document" => "json",
            "graph" => "graph",
            _ => "core",
        }),
    ];

    private IEnumerable<Measurement<T>> Jobs<T>(Func<JobStatistics, T> value)
        where T : struct
    {
        foreach (var job in _readJobs())
            yield return new Measurement<T>(value(job), new KeyValuePair<string, object?>("job", job.Name));
    }

    private IEnumerable<Measurement<long>> OperationsTimed()
    {
        foreach (var (name, summary) in _read().Latencies)
            yield return new Measurement<long>(summary.Count, new KeyValuePair<string, object?>("operation", name));
    }

    private IEnumerable<Measurement<double>> OperationQuantiles()
    {
        foreach (var (name, summary) in _read().Latencies)
        {
            if (summary.Count == 0)
                continue;
            foreach (var (quantile, time) in QuantilesOf(summary))
                yield return new Measurement<double>(time.TotalMilliseconds, new("operation", name), new("quantile", quantile));
        }
    }

    private static IEnumerable<Measurement<double>> Quantiles(LatencySummary summary)
    {
        foreach (var (quantile, time) in QuantilesOf(summary))
            yield return new Measurement<double>(time.TotalMilliseconds, new KeyValuePair<string, object?>("quantile", quantile));
    }

    private static (string Quantile, TimeSpan Time)[] QuantilesOf(LatencySummary summary) =>
        [("0.5", summary.P50), ("0.95", summary.P95), ("0.99", summary.P99), ("0.999", summary.P999), ("1", summary.Max)];

    public void Dispose() => _meter.Dispose();
}

/// <summary>Counts by operation code, one stripe per processor.</summary>
internal sealed class OperationCounts
{
    private static readonly int StripeMask =
        (int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)Math.Clamp(Environment.ProcessorCount, 1, 64)) - 1;

    private readonly long[][] _stripes = [.. Enumerable.Range(0, StripeMask + 1).Select(_ => new long[256])];

    internal void Add(byte code) => Interlocked.Increment(ref _stripes[Thread.GetCurrentProcessorId() & StripeMask][code]);

    internal long Of(byte code)
    {
        var sum = 0L;
        foreach (var stripe in _stripes)
            sum += Volatile.Read(ref stripe[code]);
        return sum;
    }
}
