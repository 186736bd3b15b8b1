using System.Diagnostics;
using Cairn.Bench.Bare;
using Cairn.Bench.Harness;

namespace Cairn.Bench.Suites;

/// <summary>
/// Opening a database whose log has a tail of small commits behind its newest checkpoint, the file warm: from the call of open to
/// the first point read, and on to the first ordered scan; beside it reading a file of as many bytes, checking it and rebuilding a
/// presized dictionary. The checkpoint holds as many entries as the tail has commits: once other ones, so that only the tail is
/// work, and once the same, so that each commit meets what the checkpoint knows of its key. Ratios are of rates: bare time through
/// Cairn's.
/// </summary>
internal sealed class RecoveryPart(StorageRun run)
{
    private const int ScannedPairs = 100;

    private readonly byte[] _destination = new byte[run.Value.Length];
    private readonly Series _firstRead = Series.For(null);
    private readonly Series _firstScan = Series.For(null);
    private readonly Series _firstReadOfKnown = Series.For(DirectorySubject.CheckpointMissing);
    private readonly Series _rebuild = Series.For(null);
    private readonly Series _perSecond = Series.For(null);

    internal void Run()
    {
        var tail = Keys.Shuffled(run.Entries, seed: 1);
        var file = Path.Combine(run.NewDirectory(), "bare");
        var recordBytes = RecordBytes.Put(Keys.Bytes, run.Value.Length);
        LogRebuild.Write(file, tail, run.Value, recordBytes);
        var directory = Make(tail, firstOfCheckpoint: run.Entries);
        var known = DirectorySubject.CheckpointMissing is null ? Make(tail, firstOfCheckpoint: 0) : null;

        const int WarmUp = -1;
        for (var round = WarmUp; round < run.Rounds; round++)
        {
            SuiteRun.Settle();
            var (firstRead, firstScan) = Open(directory, tail[0]);
            SuiteRun.Settle();
            var firstReadOfKnown = known is null ? 0 : Open(known, tail[0]).FirstRead;
            SuiteRun.Settle();
            var rebuild = Rebuild(file, recordBytes);
            if (round == WarmUp)
                continue;
            _firstRead.Add(firstRead);
            _firstScan.Add(firstScan);
            _perSecond.Add(run.Entries / (firstRead / 1000));
            if (known is not null)
                _firstReadOfKnown.Add(firstReadOfKnown);
            _rebuild.Add(rebuild);
        }

        var report = run.Report;
        report.Add("recovery-first-read Cairn", _firstRead, "ms", run.Size);
        report.Add("recovery-first-scan Cairn", _firstScan, "ms", run.Size);
        report.Add("recovery-first-read Cairn-known-keys", _firstReadOfKnown, "ms", run.Size);
        report.Add("recovery bare-rebuild", _rebuild, "ms", run.Size);
        report.Add("recovery-known-keys/bare-rebuild", Series.Ratio(_rebuild, _firstReadOfKnown), "x", run.Size);
        run.JudgeAtFullSize(StorageGates.RecoveryToFirstRead, Series.Ratio(_rebuild, _firstRead), run.Size);
        run.JudgeAtFullSize(StorageGates.RecoveryToFirstScan, Series.Ratio(_rebuild, _firstScan), run.Size);
        report.Judge(StorageGates.RecoveryRate, _perSecond, run.Size);
    }

    private string Make(string[] tail, int firstOfCheckpoint)
    {
        var directory = run.NewDirectory();
        using var subject = new DirectorySubject(directory, DirectorySubject.WithoutCheckpoints);
        if (DirectorySubject.CheckpointMissing is null)
        {
            subject.Load(firstOfCheckpoint, run.Entries, run.Value);
            subject.Checkpoint();
        }

        foreach (var key in tail)
            subject.Put(key, run.Value);
        return directory;
    }

    private (double FirstRead, double FirstScan) Open(string directory, string key)
    {
        var start = Stopwatch.GetTimestamp();
        using var subject = new DirectorySubject(directory, DirectorySubject.WithoutCheckpoints);
        var isFound = subject.TryGet(key, _destination, out _);
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
        var values = LogRebuild.Read(file, run.Entries, run.Value.Length, recordBytes);
        var elapsed = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
        return values.Count == run.Entries ? elapsed
            : throw new InvalidOperationException("The bare rebuild lost a key.");
    }
}
