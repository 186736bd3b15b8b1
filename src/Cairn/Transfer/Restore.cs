// Restore: a database in an empty directory, from a backup and its chain.
//
// Order: every backup's lines are proven by their code; the backup that reaches the wanted moment is chosen; the place of the cut is found
// in its log; the files are copied and each compared with its digest; the manifest is published last. So nothing that opens comes to be
// before all of it is right, and nothing that was there is replaced.
//
// Up to a sequence or a time: the log is cut right behind that commit's record, wherever it stands:
//
//      backup     16 | . . . . |   17 | . . 8 9 . . |   18 | . . . (synced up to here)
//      up to 8    16 | . . . . |   17 | . . 8                                            17 is open again, durable up to its end
//
// Checkpoints behind the cut are no part of it, nor are tables that only they name. One before it must be left, or the log must go back to
// its beginning; otherwise the moment is not in that backup, and perhaps in an older one of the chain.
//
// The restored manifest says what one says after a crash that lost nothing: the last segment is open, and everything in it was synced.
// Opening it is the ordinary recovery, which checks every record. Of a segment that began with copies the header's copied-to position is
// drawn back to the cut, since it promises that everything below it is there.
//
// The time of a commit grows with its sequence, so "up to a time" is the last commit at or before it.

using System.Buffers.Binary;
using Cairn.Log;
using Cairn.Storage;

namespace Cairn.Transfer;

/// <summary>Where a restored log ends.</summary>
/// <param name="Segment">Index of the last segment in the backed-up manifest.</param>
/// <param name="Position">Behind the last record that stays.</param>
internal readonly record struct LogCut(int Segment, ulong Position, ulong Sequence, long Time);

/// <summary>See the essay above. One restoring; use it once.</summary>
internal sealed class Restore(BackupChain chain, IStorage target, IProgress<TransferProgress>? progress,
    CancellationToken cancellationToken)
{
    private readonly List<string> _made = [];

    /// <param name="sequence">Last commit to restore; null = not asked.</param>
    /// <param name="time">Latest commit time to restore, microseconds since 1970; null = not asked.</param>
    /// <returns>The manifest of the restored database.</returns>
    internal Manifest Write(ulong? sequence, long? time, out long bytes)
    {
        if (chain.Missing is { } missing)
        {
            throw new CairnException(
                ErrorCode.InvalidArgument,
                $"The chain begins with an incremental backup whose parent {BackupManifest.Text(missing)} is not among those given. Give "
                + "its directory too.");
        }

        var (backup, cut) = Choose(sequence, time);
        var manifest = cut is { } at ? CutAt(backup.Database, at) : backup.Database;
        try
        {
            bytes = CopyFiles(backup, manifest);
            Failpoint.Hit("restore.before-published");
            _made.Add(manifest.Name + LogNames.Part);
            _made.Add(manifest.Name);
            manifest.Publish(target);
            return manifest;
        }
        catch
        {
            TakeAway();
            throw;
        }
    }

    // The newest backup that still has the moment: retention may have taken it from a newer one.
    private (BackupManifest Backup, LogCut? Cut) Choose(ulong? sequence, long? time)
    {
        if (sequence is null && time is null)
            return (chain.Newest, null);
        if (sequence > chain.Newest.Sequence)
        {
            throw new CairnException(
                ErrorCode.InvalidArgument, $"Sequence {sequence} is not in the backup, which ends at {chain.Newest.Sequence}. Give a "
                    + $"later backup.");
        }

        for (var i = chain.Links.Count - 1; i >= 0; i--)
        {
            var backup = chain.Links[i];
            var cut = sequence is { } asked ? FindSequence(backup, asked) : FindTime(backup, time!.Value);
            if (cut is { } found && IsReachable(backup.Database, found))
                return (backup, found.Sequence == backup.Sequence ? null : found);
        }

        var earliest = chain.Links.Min(link => EarliestOf(link.Database));
        throw new CairnException(
            ErrorCode.InvalidArgument,
            sequence is null
                ? $"No commit in the backups is that old. The earliest is sequence {earliest}."
                : $"Sequence {sequence} is not in the backups. The earliest is {earliest}.");
    }

    private static bool IsReachable(Manifest manifest, LogCut cut) =>
        manifest.Segments[0].BasePosition == 0 || manifest.Checkpoints.Any(checkpoint => IsBefore(checkpoint, cut));

    private static bool IsBefore(ManifestCheckpoint checkpoint, in LogCut cut) =>
        checkpoint.Sequence <= cut.Sequence && checkpoint.MarkPosition < cut.Position;

    private static ulong EarliestOf(Manifest manifest) => manifest.Segments[0].BasePosition == 0 ? 1 : manifest.Checkpoints[0].Sequence;

    private LogCut? FindSequence(BackupManifest backup, ulong sequence)
    {
        var segments = backup.Database.Segments;
        var index = segments.Count - 1;
        while (index >= 0 && segments[index].FirstSequence > sequence)
            index--;
        if (index < 0 || sequence == 0)
            return null;
        return Scan(backup, index, (at, _) => at <= sequence) is { } cut && cut.Sequence == sequence
            ? cut
            : throw new CorruptionException(backup.Files[index].Path, 0, new Sequence(sequence), $"sequence {sequence}, which its "
                + $"manifest names");
    }

    private LogCut? FindTime(BackupManifest backup, long time)
    {
        for (var index = backup.Database.Segments.Count - 1; index >= 0; index--)
        {
            if (Scan(backup, index, (_, at) => at <= time) is { } cut)
                return cut;
        }

        return null;
    }

    /// <summary>The last transaction of a segment that is wanted, when those that are come first.</summary>
    private LogCut? Scan(BackupManifest backup, int index, Func<ulong, long, bool> isWanted)
    {
        var named = backup.Database.Segments[index];
        var path = LogNames.SegmentPath(named.Number);
        using var file = chain.OpenFile(FileOf(backup, path));
        var header = ReadHeader(file, named);
        var end = named.BasePosition + (ulong)(file.Length - SegmentHeader.Size);
        using var scanner = new LogScanner();
        Span<byte> salt = stackalloc byte[RecordFrame.SaltBytes];
        BinaryPrimitives.WriteUInt128LittleEndian(salt, header.Salt);
        scanner.Begin(file, path, salt, header.BasePosition, end, header.PreviousDigest.Chain, header.FirstSequence - 1);
        LogCut? cut = null;
        while (scanner.Read(out var record, out var payload))
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (record.Type != RecordType.Transaction)
            {
                // Marks behind the commit stay: a checkpoint of just that sequence has one. An opening belongs to what follows.
                if (cut is { } last && last.Sequence == record.Sequence && record.Type is not (RecordType.Seal or RecordType.Open))
                    cut = last with { Position = scanner.Position };
                continue;
            }

            var time = TransactionPayload.ReadCommitTime(payload);
            if (!isWanted(record.Sequence, time))
                return cut;
            cut = new LogCut(index, scanner.Position, record.Sequence, time);
        }

        return scanner.Position == end
            ? cut
            : throw new CorruptionException(path, scanner.Offset, new Sequence(scanner.LastSequence), "a valid record");
    }

    private static BackupFile FileOf(BackupManifest backup, string path) => backup.Files.First(file => file.Path == path);

    private static SegmentHeader ReadHeader(IFile file, in ManifestSegment named)
    {
        var bytes = new byte[SegmentHeader.Size];
        return file.ReadAt(bytes, 0) == bytes.Length && SegmentHeader.TryRead(bytes, out var header) && header.Number == named.Number
            ? header
            : throw new CorruptionException(file.Path, 0, new Sequence(named.FirstSequence), "a segment header");
    }

    private static Manifest CutAt(Manifest manifest, in LogCut cut)
    {
        var last = manifest.Segments[cut.Segment];
        var at = cut;
        var checkpoints = manifest.Checkpoints.Where(checkpoint => IsBefore(checkpoint, at)).ToList();
        return manifest with
        {
            Checkpoints = checkpoints,
            Tables = [.. manifest.Tables.Where(table => checkpoints.Exists(checkpoint => checkpoint.Tables.Contains(table.Number)))],
            DurablePosition = cut.Position,
            IsClean = false,
            EndPosition = 0,
            LastSequence = cut.Sequence,
            CommitTime = cut.Time,
            Segments =
            [
                .. manifest.Segments.Take(cut.Segment),
                last with
                {
                    CopiedTo = Math.Min(last.CopiedTo, cut.Position),
                    End = 0,
                    FileBytes = SegmentHeader.Size + (long)(cut.Position - last.BasePosition),
                    Digest = default,
                },
            ],
        };
    }

    private long CopyFiles(BackupManifest backup, Manifest manifest)
    {
        foreach (var directory in TransferNames.Directories)
            target.CreateDirectory(directory);
        PublishedFile.SyncDirectory(target, LogNames.Root);
        var named = TransferNames.Of(manifest).ToList();
        using var copy = new FileCopy(named.Sum(one => FileOf(backup, one.Path).Bytes), progress, cancellationToken);
        var segments = manifest.Segments.ToDictionary(segment => LogNames.SegmentPath(segment.Number), StringComparer.Ordinal);
        foreach (var one in named)
        {
            copy.Step = one.Path;
            CopyFile(copy, one, FileOf(backup, one.Path), segments.TryGetValue(one.Path, out var segment) ? segment : null);
            Failpoint.Hit("restore.file-copied");
        }

        foreach (var directory in TransferNames.Directories)
            PublishedFile.SyncDirectory(target, directory);
        return named.Sum(one => one.Bytes);
    }

    // All of the file is read, also of one that is cut: its digest is of the whole.
    private void CopyFile(FileCopy copy, in NamedFile named, BackupFile file, ManifestSegment? segment)
    {
        using var source = chain.OpenFile(file);
        _made.Add(file.Path + LogNames.Part);
        _made.Add(file.Path);
        using (var written = target.CreateNew(file.Path + LogNames.Part))
        {
            var digest = copy.Copy(source, 0, file.Bytes, written, named.Bytes);
            if (digest != file.Digest && !Mutant.Is("restore-not-compared"))
                throw new CorruptionException(file.Path, 0, new Sequence(named.Sequence), $"SHA-256 {file.Digest}");
            if (segment is { } begun)
                DrawBackCopies(written, begun);
            PublishedFile.Sync(written);
        }

        target.Rename(file.Path + LogNames.Part, file.Path);
    }

    private static void DrawBackCopies(IFile file, in ManifestSegment segment)
    {
        var header = ReadHeader(file, segment);
        if (header.CopiedTo == segment.CopiedTo)
            return;
        var bytes = new byte[SegmentHeader.Size];
        (header with { CopiedTo = segment.CopiedTo }).Write(bytes);
        file.WriteAt(bytes, 0);
    }

    private void TakeAway()
    {
        foreach (var path in _made)
        {
            try
            {
                if (target.Exists(path))
                    target.Unlink(path);
            }
            catch (StorageException)
            {
                return;                                      // what led here is told; the directory is refused as not empty
            }
        }
    }
}
