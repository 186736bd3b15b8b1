using Cairn.Bench.Harness;

namespace Cairn.Bench.Suites;

/// <summary>
/// Puts that arrive at half the rate that puts reach, Buffered, each timed from its intended start: at rest, while one checkpoint
/// follows another, and while one compaction follows another. The three take turns in each round.
/// </summary>
internal sealed class LatencyPart(StorageRun run)
{
    private const double ShareOfMaximum = 0.5;

    private readonly TimeSpan _slice = run.IsQuick ? TimeSpan.FromSeconds(0.7) : TimeSpan.FromSeconds(4);
    private readonly string[] _keys = Keys.Shuffled(run.Entries, seed: 2);
    private readonly ChangingValue _value = run.NewValue();
    private int _next;

    internal void Run()
    {
        using var subject = new DirectorySubject(run.NewDirectory(), DirectorySubject.Churned);
        subject.Load(0, run.Entries, run.Value);
        var maximum = Statistics.Median(Enumerable.Range(0, run.Rounds).Select(_ => Window.Alone(_slice / 2, _ => Put(subject)).PerSecond));
        var rate = maximum * ShareOfMaximum;
        var rest = new Lane("at-rest", null);
        var checkpointing = new Lane("while-checkpointing", DirectorySubject.CheckpointMissing);
        var compacting = new Lane("while-compacting", DirectorySubject.CompactionMissing);
        for (var round = 0; round < run.Rounds; round++)
        {
            SuiteRun.Settle();
            subject.Sync();
            rest.Add(Arrivals.At(rate, _slice, _ => Put(subject)));
            During(checkpointing, subject, rate, subject.CheckpointIfChanged);
            During(compacting, subject, rate, subject.CompactIfAny);
        }

        var report = run.Report;
        var size = FormattableString.Invariant($"{run.Size} rate={rate:0}");
        report.Add("put-rate maximum", Once(maximum), "/s", run.Size);
        foreach (var lane in new[] { rest, checkpointing, compacting })
        {
            report.Add($"put-p50 {lane.Name}", lane.Middle, "us", size);
            report.Add($"put-p99 {lane.Name}", lane.Tail, "us", size);
            report.Add($"put-p99.9 {lane.Name}", lane.FarTail, "us", size);
            report.Add($"background-work {lane.Name}", lane.Passes, "passes", size);
        }

        report.Judge(StorageGates.CheckpointTail, Series.Ratio(checkpointing.Tail, rest.Tail), size);
        report.Judge(StorageGates.CheckpointFarTail, Series.Ratio(checkpointing.FarTail, rest.FarTail), size);
        report.Judge(StorageGates.CompactionTail, Series.Ratio(compacting.Tail, rest.Tail), size);
        report.Judge(StorageGates.CompactionFarTail, Series.Ratio(compacting.FarTail, rest.FarTail), size);
    }

    private void Put(DirectorySubject subject)
    {
        subject.Put(_keys[_next], _value.Next());
        _next = _next + 1 == _keys.Length ? 0 : _next + 1;
    }

    /// <summary>Measures while a thread repeats the work; it is at it from before the first put to behind the last.</summary>
    private void During(Lane lane, DirectorySubject subject, double rate, Func<bool> work)
    {
        if (lane.Tail.Missing is not null)
            return;
        SuiteRun.Settle();
        subject.Sync();
        using var worker = new Repeated(work);
        lane.Add(Arrivals.At(rate, _slice, _ => Put(subject)), worker.Stop());
    }

    private static Series Once(double value)
    {
        var series = Series.For(null);
        series.Add(value);
        return series;
    }

    /// <summary>A way to be disturbed, and the percentiles of each round.</summary>
    private sealed class Lane(string name, string? missing)
    {
        internal readonly string Name = name;
        internal readonly Series Middle = Series.For(missing);
        internal readonly Series Tail = Series.For(missing);
        internal readonly Series FarTail = Series.For(missing);
        internal readonly Series Passes = Series.For(missing);

        internal void Add(LatencyHistogram latency, int passes = 0)
        {
            Middle.Add(latency.Microseconds(0.5));
            Tail.Add(latency.Microseconds(0.99));
            FarTail.Add(latency.Microseconds(0.999));
            Passes.Add(passes);
        }
    }
}
