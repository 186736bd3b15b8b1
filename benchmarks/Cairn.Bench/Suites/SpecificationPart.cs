using System.Diagnostics;
using Cairn.Bench.Bare;
using Cairn.Bench.Harness;

namespace Cairn.Bench.Suites;

/// <summary>
/// PERF-2 to PERF-7, the gates of the specification in time and rate: they hold on any machine that is not small, so they say little
/// beside the ratios of the other parts; they are here because they were promised. InMemory and Buffered by one thread, Strict by one
/// and by 64, two threads on two runs, four on one key.
/// </summary>
internal sealed class SpecificationPart(KvRun run)
{
    private const int StrictWriters = 64;
    private const int SameKeyThreads = 4;
    private const double SyncMillisecondsMax = 2;       // PERF-4 speaks of disks that sync in that time

    private static readonly (int Threads, Gate Gate)[] DisjointRuns =
        [(2, KvGates.TwoRuns), (4, KvGates.FourRuns), (8, KvGates.EightRuns)];

    private readonly Dictionary<Gate, Series> _series = [];

    internal void Run()
    {
        if (CairnSubject.Missing is { } reason)
        {
            run.Report.SkipRest(KvGates.OfSpecification, reason);
            return;
        }

        using var inMemory = CairnSubject.Open(Durability.InMemory, run.NewDirectory());
        using var buffered = CairnSubject.Open(Durability.Buffered, run.NewDirectory());
        using var strict = CairnSubject.Open(Durability.Strict, run.NewDirectory());
        inMemory.Load(run.Insertion, run.Value);
        buffered.Load(run.Insertion, run.Value);
        const int WarmUp = -1;                               // in a quick run the parts before have warmed what is measured here
        for (var round = run.IsQuick ? 0 : WarmUp; round < run.Rounds; round++)
        {
            var isRecorded = round != WarmUp;
            InMemory(inMemory, isRecorded);
            Buffered(buffered, isRecorded);
            Strict(strict, isRecorded);
            Scaling(inMemory, isRecorded);
        }

        var sync = SyncMilliseconds();
        if (sync > SyncMillisecondsMax)
        {
            run.Report.Skip(KvGates.StrictRate.Name, $"needs a disk that syncs in {SyncMillisecondsMax} ms, this one took {sync:F1} ms");
            _series.Remove(KvGates.StrictRate);
        }

        foreach (var (gate, series) in _series)
            run.Report.Judge(gate, series, run.Size);
        foreach (var (threads, gate) in DisjointRuns)
        {
            if (Environment.ProcessorCount < threads)
                run.Report.Skip(gate.Name, $"needs {threads} cores, this machine has {Environment.ProcessorCount}");
        }
    }

    private void InMemory(CairnSubject subject, bool isRecorded)
    {
        var value = run.NewValue();
        var destination = new byte[run.Value.Length];
        var put = Window.Alone(run.Glance, i => subject.Put(Key(i), value.Next()));
        var commit = Window.Alone(run.Glance, i => subject.CommitPut(Key(i), value.Next()));
        var get = Window.Alone(run.Glance, i => subject.TryGet(Key(i), destination, out _));
        if (!isRecorded)
            return;
        Add(KvGates.InMemoryCommitTime, 1e6 / commit.PerSecond);
        Add(KvGates.InMemoryPutTime, 1e6 / put.PerSecond);
        Add(KvGates.InMemoryPutRate, put.PerSecond);
        Add(KvGates.GetMedian, get.Latency.Microseconds(0.5));
        Add(KvGates.GetTail, get.Latency.Microseconds(0.99));
        Add(KvGates.GetTailToMean, get.Latency.Microseconds(0.99) / (1e6 / get.PerSecond));
    }

    private void Buffered(CairnSubject subject, bool isRecorded)
    {
        var value = run.NewValue();
        var put = Window.Alone(run.Glance, i => subject.Put(Key(i), value.Next()));
        if (!isRecorded)
            return;
        Add(KvGates.BufferedPutTime, 1e6 / put.PerSecond);
        Add(KvGates.BufferedPutRate, put.PerSecond);
    }

    private void Strict(CairnSubject subject, bool isRecorded)
    {
        var values = Enumerable.Range(0, StrictWriters).Select(_ => run.NewValue()).ToArray();
        var one = Window.Alone(run.Glance, i => subject.Put(Key(i), values[0].Next()));
        var many = Window.Tasks(
            StrictWriters, run.Glance, (writer, i) => subject.PutAsync(Key(writer * 1_000 + i), values[writer].Next()));
        if (!isRecorded)
            return;
        Add(KvGates.StrictRate, one.PerSecond);
        Add(KvGates.StrictGain, many.PerSecond / one.PerSecond);
    }

    private void Scaling(CairnSubject subject, bool isRecorded)
    {
        var values = Enumerable.Range(0, DisjointRuns[^1].Threads).Select(_ => run.NewValue()).ToArray();
        var alone = Window.Threads(1, run.Glance, (_, i) => subject.Put(Key(i), values[0].Next()));
        foreach (var (threads, gate) in DisjointRuns)
        {
            if (Environment.ProcessorCount < threads)
                continue;
            var runs = Enumerable.Range(0, threads).Select(i => subject.OpenRun($"perf6-{i}")).ToArray();
            var together = Window.Threads(threads, run.Glance, (thread, i) => runs[thread].Put(Key(i), values[thread].Next()));
            if (isRecorded)
                Add(gate, together.PerSecond / alone.PerSecond);
        }

        var same = Window.Threads(SameKeyThreads, run.Glance, (thread, _) => subject.Put(Key(0), values[thread].Next()));
        if (isRecorded)
            Add(KvGates.SameKey, same.PerSecond / alone.PerSecond);
    }

    // What the device takes for a record of Cairn's, in the middle of a few.
    private double SyncMilliseconds()
    {
        using var file = new PrewrittenFile(Path.Combine(run.NewDirectory(), "bare"), 1 << 20);
        var record = new byte[RecordBytes.Put(Keys.Bytes, run.Value.Length)];
        var times = Series.For(null);
        for (var i = 0; i < 25; i++)
        {
            var start = Stopwatch.GetTimestamp();
            file.Append(record);
            file.Sync();
            times.Add(Stopwatch.GetElapsedTime(start).TotalMilliseconds);
        }

        return times.Median;
    }

    private string Key(int number) => run.Access[number % run.Access.Length];

    private void Add(Gate gate, double value)
    {
        if (!_series.TryGetValue(gate, out var series))
            _series.Add(gate, series = Series.For(null));
        series.Add(value);
    }
}
