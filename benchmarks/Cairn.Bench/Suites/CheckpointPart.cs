using System.Diagnostics;
using Cairn.Bench.Bare;
using Cairn.Bench.Harness;

namespace Cairn.Bench.Suites;

/// <summary>
/// A checkpoint of a database of which every entry has changed, and a full backup of it, each beside writing as many bytes into a
/// new file from front to back with one sync. The log is synced before the checkpoint begins: what commits owe the disk is not the
/// checkpoint's to pay.
/// </summary>
internal sealed class CheckpointPart(StorageRun run)
{
    private readonly Series _checkpoint = Series.For(DirectorySubject.CheckpointMissing);
    private readonly Series _checkpointBytes = Series.For(DirectorySubject.CheckpointMissing);
    private readonly Series _checkpointWrite = Series.For(DirectorySubject.CheckpointMissing);
    private readonly Series _backup = Series.For(DirectorySubject.BackupMissing);
    private readonly Series _backupBytes = Series.For(DirectorySubject.BackupMissing);
    private readonly Series _backupWrite = Series.For(DirectorySubject.BackupMissing);

    internal void Run()
    {
        const int WarmUp = -1;
        var directory = run.NewDirectory();
        using (var subject = new DirectorySubject(directory, DirectorySubject.WithoutCheckpoints))
        {
            for (var round = WarmUp; round < run.Rounds; round++)
            {
                SuiteRun.Settle();
                subject.Load(0, run.Entries, Keys.Value(run.Value.Length, seed: round));
                subject.Sync();
                if (DirectorySubject.CheckpointMissing is null)
                    Checkpoint(subject, isRecorded: round != WarmUp);
                if (DirectorySubject.BackupMissing is null)
                    Backup(subject, isRecorded: round != WarmUp);
            }
        }

        var report = run.Report;
        report.Add("checkpoint Cairn", _checkpoint, "ms", run.Size);
        report.Add("checkpoint bytes", _checkpointBytes, "bytes", run.Size);
        report.Add("checkpoint sequential-write", _checkpointWrite, "ms", run.Size);
        report.Add("backup Cairn", _backup, "ms", run.Size);
        report.Add("backup bytes", _backupBytes, "bytes", run.Size);
        report.Add("backup sequential-write", _backupWrite, "ms", run.Size);
        run.JudgeAtFullSize(StorageGates.CheckpointToWrites, Series.Ratio(_checkpointWrite, _checkpoint), run.Size);
        run.JudgeAtFullSize(StorageGates.BackupToWrites, Series.Ratio(_backupWrite, _backup), run.Size);
    }

    private void Checkpoint(DirectorySubject subject, bool isRecorded)
    {
        var start = Stopwatch.GetTimestamp();
        var bytes = subject.Checkpoint();
        var time = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
        var write = SequentialWrite.Measure(Path.Combine(run.NewDirectory(), "bare"), bytes);
        if (!isRecorded)
            return;
        _checkpoint.Add(time);
        _checkpointBytes.Add(bytes);
        _checkpointWrite.Add(write);
    }

    private void Backup(DirectorySubject subject, bool isRecorded)
    {
        var target = run.NewDirectory();
        var start = Stopwatch.GetTimestamp();
        subject.Backup(target);
        var time = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
        var bytes = DirectorySize.Bytes(target);
        Directory.Delete(target, recursive: true);
        var write = SequentialWrite.Measure(Path.Combine(run.NewDirectory(), "bare"), bytes);
        if (!isRecorded)
            return;
        _backup.Add(time);
        _backupBytes.Add(bytes);
        _backupWrite.Add(write);
    }
}
