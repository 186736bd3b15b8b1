// Transfer: the content of a database elsewhere. Backup and restore carry files, export and import carry lines, salvage carries what is
// readable of a damaged database.
//
// A backup is a directory of its own, never a database: nothing in it has a manifest's name, so nothing opens it by mistake.
//
//      log/0000000016.segment    whole                            of a full backup
//      log/0000000017.segment    up to the last synced record
//      backup.jsonl              what belongs to it, and the code over that; written last
//
//      log/0000000017.segment    bytes from 8,200 on              of an incremental one: what its parent does not have
//      log/0000000018.segment    up to the last synced record
//      backup.jsonl              names the pieces of 16 and 17 that the parent holds
//
// B1  One sequence. The log is synced, then captured: the newest manifest, its files held open, and a position up to which everything is
//     synced. The files up to that position are a state that was durable, so no later crash of the database takes back what a backup has;
//     its last commit is the backup's sequence. Commits go on meanwhile and wait for nothing.
// B2  Every byte is proven while it is copied: an ended segment by its digest in the manifest; the open one by the checks of its records:
//     what the scanner has read is what is written. Where a parent has its beginning it is read twice, and the digest of what was scanned
//     compared with that of what was written.
// B3  Published last and whole, in the order of Log/PublishedFile.cs: the files are synced, then their directory, then backup.jsonl. The
//     files are copied first and synced then, some at a time, so that the device works while the next ones are read and hashed. A backup
//     that was killed has no backup.jsonl and is refused by name. One that failed or was cancelled takes its files away again.
// B4  Incremental: a file is named from the parent if its length and digest are what the parent has; of a segment that has grown only the
//     rest is copied, after its beginning was read and found to be the parent's. So a wrong parent costs space, never truth.
// B5  A failure here never touches the database: its files are only read. Memory: two buffers, one for the scan, and the list of files.
//
// Restoring is Restore.cs. A backup is read with its chain: BackupChain.cs.

using System.Buffers.Binary;
using Cairn.Log;
using Cairn.Storage;

namespace Cairn.Transfer;

/// <summary>See the essay above. One backup; use it once.</summary>
internal sealed class Backup
{
    /// <summary>So many files are copied before the first of them is synced. Chosen: their handles stay open.</summary>
    private const int UnsyncedMax = 32;

    private readonly LogCapture _log;
    private readonly IStorage _target;
    private readonly BackupManifest? _parent;
    private readonly FileCopy _copy;
    private readonly List<string> _made = [];
    private readonly List<(IFile File, string Path)> _unsynced = [];
    private readonly UInt128 _id;
    private readonly long _created;

    private Backup(LogCapture log, IStorage target, BackupManifest? parent, FileCopy copy, UInt128 id, long created)
    {
        _log = log;
        _target = target;
        _parent = parent;
        _copy = copy;
        _id = id;
        _created = created;
    }

    /// <summary>Writes a backup into an empty storage.</summary>
    /// <param name="id">Random.</param>
    /// <param name="created">Microseconds since 1970.</param>
    internal static BackupManifest Write(
        LogCapture log, IStorage target, BackupManifest? parent, ReadOnlySpan<byte> key, UInt128 id, long created,
        IProgress<TransferProgress>? progress, CancellationToken cancellationToken)
    {
        if (parent is not null && parent.Database.DatabaseId != log.Manifest.DatabaseId)
        {
            throw new CairnException(
                ErrorCode.InvalidArgument,
                "The parent is a backup of another database. Name a backup of this one, or make a full backup.");
        }

        if (parent is not null && parent.Database.DurablePosition > log.Position)
        {
            throw new CairnException(
                ErrorCode.InvalidArgument,
                $"The parent ends at sequence {parent.Sequence}, which this database has not reached: it has another history. Make a "
                    + $"full backup.");
        }

        var total = log.Manifest.Segments.Sum(segment => BytesOf(segment, log.Position)) + log.Files.Sum(file => file.Named.Bytes);
        using var copy = new FileCopy(total, progress, cancellationToken);
        var backup = new Backup(log, target, parent, copy, id, created);
        try
        {
            return backup.Write(key);
        }
        catch
        {
            foreach (var (file, _) in backup._unsynced)
                file.Dispose();
            backup.TakeAway();
            throw;
        }
    }

    private BackupManifest Write(ReadOnlySpan<byte> key)
    {
        foreach (var directory in TransferNames.Directories)
            _target.CreateDirectory(directory);
        PublishedFile.SyncDirectory(_target, LogNames.Root);
        var files = new List<BackupFile>();
        foreach (var (named, file) in _log.Files)
            files.Add(CopyWhole(named, file));
        var segments = _log.Manifest.Segments;
        var end = default(LogEnd);
        for (var i = 0; i < segments.Count; i++)
        {
            var segment = segments[i];
            var file = _log.SegmentAt(i);
            files.Add(segment.IsOpen ? CopyOpen(segment, file, out end) : CopyWhole(TransferNames.Of(segment), file));
        }

        SyncCopied();
        foreach (var directory in TransferNames.Directories)
            PublishedFile.SyncDirectory(_target, directory);
        var manifest = new BackupManifest
        {
            Id = _id,
            Parent = _parent?.Id,
            Created = _created,
            Database = _log.Manifest.IsClean ? _log.Manifest : BeginningOf(end, files[^1].Bytes),
            Files = files,
        };
        Failpoint.Hit("backup.before-published");
        _made.Add(BackupManifest.FileName + LogNames.Part);
        _made.Add(BackupManifest.FileName);
        PublishedFile.Write(_target, BackupManifest.FileName, manifest.Encode(key));
        return manifest;
    }

    // Like that of a crash at the captured position: what is below it was synced and must be whole.
    private Manifest BeginningOf(in LogEnd end, long openBytes)
    {
        var captured = _log.Manifest;
        return captured with
        {
            Number = captured.Number + 1,
            DurablePosition = _log.Position,
            LastSequence = end.Sequence,
            CommitTime = Math.Max(captured.CommitTime, end.Time),
            PreviousDigest = captured.Digest(),
            Segments = [.. captured.Segments.SkipLast(1), captured.Segments[^1] with { FileBytes = openBytes }],
        };
    }

    private static long BytesOf(in ManifestSegment segment, ulong position) =>
        segment.IsOpen ? SegmentHeader.Size + (long)(position - segment.BasePosition) : segment.FileBytes;

    /// <summary>A file that does not change any more.</summary>
    private BackupFile CopyWhole(in NamedFile named, IFile source)
    {
        var path = named.Path;
        var known = _parent?.Files.FirstOrDefault(file => file.Path == path);
        if (known is not null && known.Bytes == named.Bytes && known.Digest == named.Digest)
            return known;
        var file = CopyRest(path, source, named.Bytes, known);
        return file.Digest == named.Digest || Mutant.Is("backup-copies-damage")
            ? file
            : throw new CorruptionException(path, 0, new Sequence(named.Sequence), $"SHA-256 {named.Digest}");
    }

    /// <summary>The segment that takes appends, up to the captured position (B2).</summary>
    private BackupFile CopyOpen(in ManifestSegment segment, IFile source, out LogEnd end)
    {
        var path = LogNames.SegmentPath(segment.Number);
        var bytes = BytesOf(segment, _log.Position);
        var known = _parent?.Files.FirstOrDefault(file => file.Path == path);
        if (known is null)
            return CopyScanned(segment, path, source, out end);
        using var digest = new RunningDigest();
        Scan(segment, path, source, digest.Append, out end);
        var scanned = digest.Current();
        var file = known is not null && known.Bytes == bytes && known.Digest == scanned ? known : CopyRest(path, source, bytes, known);
        return file.Digest == scanned
            ? file
            : throw new CorruptionException(path, 0, new Sequence(segment.FirstSequence), "the bytes that were checked a moment before");
    }

    private BackupFile CopyScanned(in ManifestSegment segment, string path, IFile source, out LogEnd end)
    {
        using var digest = new RunningDigest();
        var (target, at) = (Create(path), 0L);
        try
        {
            Scan(segment, path, source, bytes => _copy.Append(bytes, target, ref at, digest), out end);
            _copy.EndAppend(target, ref at, digest);
        }
        finally
        {
            _copy.End();
        }

        return Copied(path, at, digest.Current(), [], new BackupPiece(_id, 0, at, digest.Current()));
    }

    private void Scan(in ManifestSegment segment, string path, IFile source, Action<ReadOnlySpan<byte>> scanned, out LogEnd end)
    {
        var bytes = new byte[SegmentHeader.Size];
        if (source.ReadAt(bytes, 0) < bytes.Length || !SegmentHeader.TryRead(bytes, out var header) || header.Number != segment.Number)
            throw new CorruptionException(path, 0, new Sequence(segment.FirstSequence), "a segment header");
        scanned(bytes);
        using var scanner = new LogScanner();
        Span<byte> salt = stackalloc byte[RecordFrame.SaltBytes];
        BinaryPrimitives.WriteUInt128LittleEndian(salt, header.Salt);
        scanner.Begin(source, path, salt, header.BasePosition, _log.Position, header.PreviousDigest.Chain, header.FirstSequence - 1);
        var time = 0L;
        while (scanner.Read(out var record, out var payload))
        {
            if (record.Type == RecordType.Transaction && payload.Length >= TransactionPayload.FixedBytes)
                time = TransactionPayload.ReadCommitTime(payload);
            scanned(scanner.Record);
        }

        if (scanner.Position != _log.Position)
            throw new CorruptionException(path, scanner.Offset, new Sequence(scanner.LastSequence), "a valid record below the synced "
                + "position");
        end = new LogEnd(scanner.LastSequence, time);
    }

    /// <summary>Copies what the parent does not have (B4).</summary>
    private BackupFile CopyRest(string path, IFile source, long bytes, BackupFile? known)
    {
        if (known is not null && known.Bytes < bytes)
        {
            using var begun = new RunningDigest();
            _copy.Copy(source, 0, known.Bytes, null, 0, begun);
            if (begun.Current() == known.Digest || Mutant.Is("backup-parent-not-compared"))
                return CopyFrom(path, source, bytes, known.Bytes, known.Pieces, begun);
        }

        using var digest = new RunningDigest();
        return CopyFrom(path, source, bytes, 0, [], digest);
    }

    private BackupFile CopyFrom(
        string path, IFile source, long bytes, long offset, IReadOnlyList<BackupPiece> before, RunningDigest digest)
    {
        var target = Create(path);
        Digest piece;
        if (offset == 0)
        {
            _copy.Copy(source, 0, bytes, target, bytes, digest);
            piece = digest.Current();
        }
        else
        {
            piece = CopyTail(source, offset, bytes, target, digest);
        }

        return Copied(path, bytes, digest.Current(), before, new BackupPiece(_id, offset, bytes - offset, piece));
    }

    private IFile Create(string path)
    {
        _copy.Step = path;
        _made.Add(path + LogNames.Part);
        _made.Add(path);
        var target = _target.CreateNew(path + LogNames.Part);
        _unsynced.Add((target, path));
        return target;
    }

    private BackupFile Copied(string path, long bytes, Digest digest, IReadOnlyList<BackupPiece> before, BackupPiece piece)
    {
        if (_unsynced.Count >= UnsyncedMax)
            SyncCopied();
        return new BackupFile(path, bytes, digest, [.. before, piece]);
    }

    private void SyncCopied()
    {
        foreach (var (file, path) in _unsynced)
        {
            if (!Mutant.Is("backup-file-not-synced"))
                PublishedFile.Sync(file);
            file.Dispose();
            _target.Rename(path + LogNames.Part, path);
            Failpoint.Hit("backup.file-copied");
        }

        _unsynced.Clear();
    }

    // Two digests of the same bytes: of the piece, and of the whole file, which goes on. Written from one read, so that both are of what
    // is in the backup.
    private Digest CopyTail(IFile source, long offset, long bytes, IFile target, RunningDigest whole)
    {
        var piece = _copy.Copy(source, offset, bytes - offset, target, bytes - offset);
        if (!Mutant.Is("backup-tail-not-in-digest"))
            _copy.Copy(target, 0, bytes - offset, null, 0, whole);
        return piece;
    }

    // B3. The failure that led here is what is told; a name that stays makes the directory one that is refused as not empty.
    private void TakeAway()
    {
        foreach (var path in _made)
        {
            try
            {
                if (_target.Exists(path))
                    _target.Unlink(path);
            }
            catch (StorageException)
            {
                return;
            }
        }
    }

    /// <summary>The last commit below a position.</summary>
    private readonly record struct LogEnd(ulong Sequence, long Time);
}
