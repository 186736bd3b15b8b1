using System.Diagnostics;
using Cairn.Bench.Bare;
using Cairn.Bench.Harness;

namespace Cairn.Bench.Suites;

/// <summary>
/// Opening a database without a checkpoint, whose log holds one small commit per key, the file warm: from the call of open to the
/// first point read, and on to the first ordered scan; beside it reading a file of as many bytes, checking it and rebuilding a
/// presized dictionary. Ratios are of rates: bare time through Cairn's.
/// </summary>
internal sealed class ReplayPart(KvRun run)
{
    private const int ScannedPairs = 100;

    private readonly Series _firstRead = Series.For(CairnSubject.Missing);
    private readonly Series _firstScan = Series.For(CairnSubject.Missing);
    private readonly Series _rebuild = Series.For(null);

    internal void Run()
    {
        var directory = run.NewDirectory();
        var file = Path.Combine(run.NewDirectory(), "bare");
        var recordBytes = RecordBytes.Put(Keys.Bytes, run.Value.Length);
        LogRebuild.Write(file, run.Insertion, run.Value, recordBytes);
        if (CairnSubject.Missing is null)
        {
            using var subject = CairnSubject.OpenWithoutCheckpoints(directory);
            foreach (var key in run.Insertion)
                subject.Put(key, run.Value);
        }

        const int WarmUp = -1;
        for (var round = WarmUp; round < run.Rounds; round++)
        {
            KvRun.Settle();
            var (firstRead, firstScan) = CairnSubject.Missing is null ? Open(directory) : default;
            KvRun.Settle();
            var rebuild = Rebuild(file, recordBytes);
            if (round == WarmUp)
                continue;
            _firstRead.Add(firstRead);
            _firstScan.Add(firstScan);
            _rebuild.Add(rebuild);
        }

        var report = run.Report;
        report.Add("replay-first-read Cairn", _firstRead, "ms", run.Size);
        report.Add("replay-first-scan Cairn", _firstScan, "ms", run.Size);
        report.Add("replay bare-rebuild", _rebuild, "ms", run.Size);
        run.JudgeAtFullSize(KvGates.ReplayToFirstRead, Series.Ratio(_rebuild, _firstRead), run.Size);
        run.JudgeAtFullSize(KvGates.ReplayToFirstScan, Series.Ratio(_rebuild, _firstScan), run.Size);
    }

    private (double FirstRead, double FirstScan) Open(string directory)
    {
        var destination = new byte[run.Value.Length];
        var start = Stopwatch.GetTimestamp();
        using var subject = CairnSubject.OpenWithoutCheckpoints(directory);
        var isFound = subject.TryGet(run.Access[0], destination, out _);
        var firstRead = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
        var scanned = subject.ScanFirst(ScannedPairs);
        var firstScan = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
        if (!isFound || scanned != ScannedPairs)
            throw new InvalidOperationException("A reopened database did not give back what was put.");
        return (firstRead, firstScan);
    }

    private double Rebuild(string file, int recordBytes)
    {
        var start = Stopwatch.GetTimestamp();
        var values = LogRebuild.Read(file, run.KeyCount, run.Value.Length, recordBytes);
        var elapsed = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
        return values.Count == run.KeyCount ? elapsed
            : throw new InvalidOperationException("The bare rebuild lost a key.");
    }
}
