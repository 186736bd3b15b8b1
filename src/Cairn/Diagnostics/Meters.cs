// Every metric of the engine, with unit and meaning. Instruments of the meter "Cairn"; no keys, values or names of users in tags.
//
//   cairn.commits                 {commit}      commits written to the log
//   cairn.commit.duration_ms      ms            p50, p95, p99, p99.9, max (tag quantile), every commit
//   cairn.read.duration_ms        ms            the same for point reads, one in 64 timed
//   cairn.operations              {operation}   applied operations (tags primitive, operation)
//   cairn.log.bytes               By            bytes written to the log
//   cairn.log.groups              {write}       writes to the log; commits / groups = group size
//   cairn.log.syncs               {sync}        syncs
//   cairn.log.queued              {commit}      commits waiting for the writer
//   cairn.log.unsynced            {commit}      commits written and not yet synced
//   cairn.archives.bytes          By            archives: what is still needed of dropped segments
//   cairn.compactions             {compaction}  compactions of the log that gave something up
//   cairn.compactions.freed       By            what they freed, less what they wrote
//   cairn.compactions.duration_ms ms            how long they took, all together
//   cairn.log.garbage             By            what the last look found that is not needed and was not worth giving up
//   cairn.disk.full               {state}       1 while writes are refused because the disk is full, else 0
//   cairn.disk.free               By            bytes free, as the maintainer found them last
//   cairn.disk.reserve            By            bytes kept aside for a full disk
//   cairn.jobs.failing            {job}         jobs of the maintainer whose last step failed
//   cairn.jobs.stalled            {job}         jobs of the maintainer without progress for 30 s
//   cairn.files.damaged           {file}        files that scrubbing found damaged
//   cairn.events.lost             {event}       events of the engine that did not fit into the queue
//   cairn.sequence                {sequence}    newest visible commit
//   cairn.memory.bytes            By            native memory of all runs
//   cairn.content.attached        By            large values that were written in this opening and are still in memory
//   cairn.content.cached          By            large values that were read from the log and are kept
//   cairn.content.hits            {read}        reads of large values that did not read the log
//   cairn.content.misses          {read}        reads of large values that did
//   cairn.pins                    {pin}         snapshots, transactions and cursors that keep versions
//   cairn.pins.oldest             {sequence}    the oldest sequence a pin keeps; absent without pins
//   cairn.transactions.open       {transaction} open transactions
//   cairn.transactions.retries    {retry}       transactions that lost and were tried again
//
// The activity source is "Cairn" too: cairn.open (with recovery), cairn.transact (all tries of a Transact, awaited or not).

using System.Diagnostics;
using System.Diagnostics.Metrics;

namespace Cairn.Diagnostics;

/// <summary>See the table above. One per open database; reads the counters only when somebody collects.</summary>
internal sealed class Meters : IDisposable
{
    internal const string Name = "Cairn";

    internal static readonly ActivitySource Activities = new(Name);

    private readonly Meter _meter = new(Name);
    private readonly Func<DatabaseMetrics> _read;

    internal Meters(Func<DatabaseMetrics> read)
    {
        _read = read;
        Counter("cairn.commits", "{commit}", metrics => metrics.Commits);
        Counter("cairn.log.bytes", "By", metrics => metrics.LogBytesWritten);
        Counter("cairn.log.groups", "{write}", metrics => metrics.Groups);
        Counter("cairn.log.syncs", "{sync}", metrics => metrics.Syncs);
        Counter("cairn.compactions", "{compaction}", metrics => metrics.Compactions);
        Counter("cairn.compactions.freed", "By", metrics => metrics.CompactionBytesFreed);
        Counter("cairn.compactions.duration_ms", "ms", metrics => (long)metrics.CompactionTime.TotalMilliseconds);
        Gauge("cairn.archives.bytes", "By", metrics => metrics.ArchiveBytes);
        Gauge("cairn.log.garbage", "By", metrics => metrics.CompactionBytesGarbage);
        Counter("cairn.transactions.retries", "{retry}", metrics => metrics.Retries);
        Gauge("cairn.log.queued", "{commit}", metrics => metrics.QueuedCommits);
        Gauge("cairn.log.unsynced", "{commit}", metrics => metrics.UnsyncedCommits);
        Gauge("cairn.disk.full", "{state}", metrics => metrics.IsDiskFull ? 1 : 0);
        Gauge("cairn.disk.free", "By", metrics => metrics.DiskFreeBytes);
        Gauge("cairn.disk.reserve", "By", metrics => metrics.DiskReserveBytes);
        Gauge("cairn.jobs.failing", "{job}", metrics => metrics.FailingJobs);
        Gauge("cairn.jobs.stalled", "{job}", metrics => metrics.StalledJobs);
        Gauge("cairn.files.damaged", "{file}", metrics => metrics.DamagedFiles);
        Counter("cairn.events.lost", "{event}", metrics => metrics.SystemEventsLost);
        Gauge("cairn.sequence", "{sequence}", metrics => (long)metrics.VisibleSequence.Value);
        Gauge("cairn.memory.bytes", "By", metrics => metrics.MemoryBytes);
        Gauge("cairn.content.attached", "By", metrics => metrics.ContentAttachedBytes);
        Gauge("cairn.content.cached", "By", metrics => metrics.ContentCachedBytes);
        Counter("cairn.content.hits", "{read}", metrics => metrics.ContentHits);
        Counter("cairn.content.misses", "{read}", metrics => metrics.ContentMisses);
        Gauge("cairn.pins", "{pin}", metrics => metrics.Pins);
        Gauge("cairn.transactions.open", "{transaction}", metrics => metrics.OpenTransactions);
        _meter.CreateObservableGauge("cairn.pins.oldest", OldestPin, "{sequence}");
        _meter.CreateObservableGauge("cairn.commit.duration_ms", () => Quantiles(_read().CommitLatency), "ms");
        _meter.CreateObservableGauge("cairn.read.duration_ms", () => Quantiles(_read().ReadLatency), "ms");
        _meter.CreateObservableCounter("cairn.operations", Operations, "{operation}");
    }

    private void Counter(string name, string unit, Func<DatabaseMetrics, long> value) =>
        _meter.CreateObservableCounter(name, () => value(_read()), unit);

    private void Gauge(string name, string unit, Func<DatabaseMetrics, long> value) =>
        _meter.CreateObservableGauge(name, () => value(_read()), unit);

    private IEnumerable<Measurement<long>> OldestPin() =>
        _read().OldestPin is { } oldest ? [new Measurement<long>((long)oldest.Value)] : [];

    private IEnumerable<Measurement<long>> Operations()
    {
        foreach (var (name, count) in _read().Operations)
        {
            var dot = name.IndexOf('.', StringComparison.Ordinal);
            yield return new Measurement<long>(count, new("primitive", name[..dot]), new("operation", name[(dot + 1)..]));
        }
    }

    private static IEnumerable<Measurement<double>> Quantiles(LatencySummary summary)
    {
        yield return new(summary.P50.TotalMilliseconds, new KeyValuePair<string, object?>("quantile", "0.5"));
        yield return new(summary.P95.TotalMilliseconds, new KeyValuePair<string, object?>("quantile", "0.95"));
        yield return new(summary.P99.TotalMilliseconds, new KeyValuePair<string, object?>("quantile", "0.99"));
        yield return new(summary.P999.TotalMilliseconds, new KeyValuePair<string, object?>("quantile", "0.999"));
        yield return new(summary.Max.TotalMilliseconds, new KeyValuePair<string, object?>("quantile", "1"));
    }

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
