using System.Diagnostics;
using Cairn.Bench.Harness;

namespace Cairn.Bench.Suites;

/// <summary>
/// PERF-1, what each layer adds: A0 = insert into and get from a dictionary (the mean of both), A1 = a put through the commit
/// path, B = <c>Kv.Put</c>; InMemory, the key formatted within every operation, a new store in every round.
/// </summary>
internal sealed class LayersPart(KvRun run)
{
    private readonly Series _dictionary = Series.For(CairnSubject.Missing);
    private readonly Series _commit = Series.For(CairnSubject.Missing);
    private readonly Series _door = Series.For(CairnSubject.Missing);

    internal void Run()
    {
        if (CairnSubject.Missing is null)
        {
            Measure(isRecorded: false);
            for (var round = 0; round < run.Rounds; round++)
                Measure(isRecorded: true);
        }

        var report = run.Report;
        report.Add("perf1-A0", _dictionary, "ns", run.Size);
        report.Add("perf1-A1", _commit, "ns", run.Size);
        report.Add("perf1-B", _door, "ns", run.Size);
        report.Judge(KvGates.CommitToDictionary, Series.Ratio(_commit, _dictionary), run.Size);
        report.Judge(KvGates.DoorToCommit, Series.Ratio(_door, _commit), run.Size);
        report.Judge(KvGates.DoorToDictionary, Series.Ratio(_door, _dictionary), run.Size);
    }

    private void Measure(bool isRecorded)
    {
        KvRun.Settle();
        var dictionary = InDictionary();
        KvRun.Settle();
        var commit = Time(subject =>
        {
            for (var i = 0; i < run.KeyCount; i++)
                subject.CommitPut(Keys.At(i), run.Value);
        });
        KvRun.Settle();
        var door = Time(subject =>
        {
            for (var i = 0; i < run.KeyCount; i++)
                subject.Put(Keys.At(i), run.Value);
        });
        if (!isRecorded)
            return;
        _dictionary.Add(dictionary);
        _commit.Add(commit);
        _door.Add(door);
    }

    private double InDictionary()
    {
        var dictionary = new Dictionary<string, byte[]>();
        long bytes = 0;
        var start = Stopwatch.GetTimestamp();
        for (var i = 0; i < run.KeyCount; i++)
            dictionary[Keys.At(i)] = run.Value.AsSpan().ToArray();
        for (var i = 0; i < run.KeyCount; i++)
            bytes += dictionary[Keys.At(i)].Length;
        var elapsed = Stopwatch.GetElapsedTime(start);
        if (bytes != (long)run.KeyCount * run.Value.Length)
            throw new InvalidOperationException("The dictionary did not give back what was put.");
        return elapsed.TotalNanoseconds / (2.0 * run.KeyCount);
    }

    private double Time(Action<CairnSubject> puts)
    {
        using var subject = CairnSubject.Open(Durability.InMemory, run.NewDirectory());
        var start = Stopwatch.GetTimestamp();
        puts(subject);
        return Stopwatch.GetElapsedTime(start).TotalNanoseconds / run.KeyCount;
    }
}
