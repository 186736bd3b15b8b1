// Recovery: from whatever a crash left to a log that takes commits. The caller holds the lock on the directory.
//
// Order, and nothing is written before the verdict:
//
//      manifest     the highest number counts; both of its copies bad is corruption                       read
//      checkpoint   the newest whose image opens and whose mark is where the manifest says; else the older read
//                   one, else the whole log, if it is complete; else corruption
//      segments     every named file is there; of the mark's and later ones the header is right, its     read
//                   digest chained to the one before
//      scan         every record from the mark on, each transaction handed to Apply                       read
//      floor        the highest position that any witness proves synced                                   read
//      verdict      the table below; corruption ends here with an error, and no file was changed          read
//      tidy         unfinished and left-over files go; foreign ones and cut bytes move to quarantine/     write
//      new segment  base = floor; records in [floor, cut) again, then the opening's record; synced        write
//      manifest     number + 1, epoch + 1                                                                 write
//
// The decision table. k is the position of the first record that is not valid; witnesses are durable-up-to of every right header
// (also behind k, and of records whose payload is bad), copied-to, the manifest's durable position, the end of a sealed segment.
//
//      segment with an end (a successor, or closed cleanly), k below that end        corruption
//      header missing or wrong, file missing, base, number, database or digest       corruption
//      file shorter than it was when it was named (but behind the seal of a close)   corruption
//      whole record whose sequence, chain or durable-up-to cannot be                 corruption, wherever it stands
//      whole record that does not decode                                             corruption, wherever it stands
//      open segment, k < floor                                                       corruption: acknowledged data is damaged
//      open segment, k >= floor, whole records behind k                              cut at k: they were unsynced too
//      open segment, k >= floor, nothing whole behind k                              torn tail: cut at k
//      open segment, zeros from k on, k >= floor                                     complete
//      unnamed segment above the named ones, with a whole record behind copied-to    corruption: its manifest was lost
//      no manifest, but segments with records                                        corruption, never an empty database
//      a read fails                                                                  that error, never a tail
//
// R1  Same files, same verdict and same recovered state: nothing is drawn but the new salt; no clock is read but for durations.
// R2  A crash anywhere in here changes nothing. Until the new manifest has its name the old one counts and names the same bytes;
//     what was made meanwhile is a .part or a left-over segment (no record behind its copied-to) and is removed next time. After
//     it, the copies below copied-to count, which were synced before the manifest existed.
// R3  The page cache is not evidence: what lies at or above the floor may read well today and be gone tomorrow. So it is written
//     again, same sequences and positions, and synced before anyone is shown it.
// R4  Nothing is appended to an old segment and nothing is cut in place.
// R5  An exception leaves no database open, never an empty one. There is no tolerance and no option to skip.
// R6  What lies before the mark is neither opened nor read, so the time to open follows the log since the checkpoint and nothing else.
//     A checkpoint that cannot be used is told in the report, goes out of the next manifest, and its damaged tables to quarantine/: it
//     would otherwise count as one of the two that hold the log back (T3).
//
// Drawn: segment 17 after a power cut, F = floor, K = cut
//
//      17   | header | r r r r r F r r r K garbage 0 0 0     r at F.. read well, but no witness says they are on the disk
//      18   | header | r r r o                                base = F, copies with 18's salt, o = the opening's record
//      17 ends at F in the new manifest; K.. went to quarantine/; the next commit goes behind o
//
// The report says what was read (segments, records, bytes, transactions), where the floor was, what was cut (file, offset, bytes,
// why), copied, quarantined and removed, warnings, and the time of each phase. Recovery writes no events.
//
// R7  After a clean close there is nothing to prove, to copy or to tell, so nothing is written until something is: the new segment and the
//     manifest are made with the first record (SegmentedLog.Begin), in the same order. An opening without one leaves no trace.
//
// Not here: what a checkpoint holds (RecoveredState), what a transaction means (Apply), the lock.

using Cairn.Content;
using Cairn.Log;
using Cairn.Storage;

namespace Cairn.Recovery;

/// <summary>Opens the log of a directory: creates it, recovers it, or refuses it.</summary>
internal sealed class Recovery
{
    private readonly IStorage _storage;
    private readonly LogOptions _options;
    private readonly ApplyRecord _apply;
    private readonly ContentStore? _content;
    private readonly BeginRecovery? _begin;
    private readonly LookAhead? _ahead;
    private readonly RecoveryFindings _findings = new();
    private long _phaseBegan;

    private readonly List<(ManifestCheckpoint Checkpoint, string File)> _rejected = [];
    private Manifest? _loaded;
    private IFile? _last;                // the last named segment: one handle for header, scan and verdict
    private bool _hasScanned;
    private ulong _lastSequence;
    private long _lastCommitTime;

    private Recovery(IStorage storage, LogOptions options, ApplyRecord apply, ContentStore? content, BeginRecovery? begin, LookAhead? ahead)
    {
        _ahead = ahead;
        _content = content;
        _storage = storage;
        _options = options;
        _apply = apply;
        _begin = begin;
        _phaseBegan = options.Clock.GetTimestamp();
    }

    /// <summary>Opens the log. <paramref name="apply"/> has been called for every recovered record when this returns; after an
    /// exception, what it built must be thrown away.</summary>
    /// <param name="content">Reads from the log as it is recovered; to be told of the recovered one.</param>
    /// <exception cref="CorruptionException">Acknowledged data is damaged. No file was changed.</exception>
    /// <exception cref="FormatVersionException">Written by a newer version. No file was changed.</exception>
    /// <exception cref="CairnException"><see cref="ErrorCode.NotADatabase"/>: there are files, and not a database's, or there is
    /// none and it may not be created; <see cref="ErrorCode.ReadOnly"/>: read-only, and it was not closed cleanly.</exception>
    /// <exception cref="DatabaseFailedException">Fenced: another owner writes here.</exception>
    /// <exception cref="StorageException">The disk failed, or is full.</exception>
    /// <param name="begin">Null: all of the log that is kept is wanted, whatever checkpoints there are.</param>
    /// <param name="ahead">Holds records back while that saves reads; begun by <paramref name="begin"/>. Null: each is applied when it was
    /// read.</param>
    internal static RecoveredLog Open(
        IStorage storage, LogOptions options, ApplyRecord apply, ContentStore? content = null, BeginRecovery? begin = null,
        LookAhead? ahead = null)
    {
        try
        {
            var recovery = new Recovery(storage, options, apply, content, begin, ahead);
            try
            {
                return recovery.Open();
            }
            finally
            {
                recovery._last?.Dispose();
            }
        }
        catch (CorruptionException) when (Mutant.Is("recovery-opens-empty"))
        {
            foreach (var name in storage.List(LogNames.LogDirectory))
                storage.Unlink(LogNames.LogDirectory + "/" + name);
            foreach (var name in storage.List(LogNames.Root))
                storage.Unlink(name);
            return new Recovery(storage, options, apply, content, begin, ahead).Open();
        }
    }

    private RecoveredLog Open()
    {
        var directory = DirectorySurvey.Of(_storage, isWhole: !_options.IsReadOnly);
        if (directory.Manifests.Count == 0)
            return Create(directory);

        var manifest = LoadManifest(directory.Manifests);
        if (_options.IsReadOnly && !manifest.IsClean)
        {
            throw new CairnException(
                ErrorCode.ReadOnly,
                $"{_storage.Description} was not closed cleanly and cannot be opened read-only, because recovery writes. Open it for writing once.");
        }

        CheckNamedArchives(manifest);
        var leftovers = FindLeftovers(directory, manifest);
        FindMissing(directory, manifest);
        EndPhase("manifest");

        using var segments = new NamedSegments(_storage, manifest, new ArchiveSet(_storage, manifest.DatabaseId, manifest.Archives));
        _content?.ReadFrom(segments);                     // for an operation that reads what a record before it wrote
        using var scanner = new LogScanner();
        var scanned = ScanFromBest(scanner, manifest);
        EndPhase("scan");

        return _options.IsReadOnly
            ? HandOut(manifest, scanned.First, scanned.Headers, null)
            : Begin(directory, manifest, scanned, leftovers, scanner, _last!);
    }

    // RCV-7: the newest checkpoint, else the older one, else the whole log, and only if it is complete.
    private Scanned ScanFromBest(LogScanner scanner, Manifest manifest)
    {
        CorruptionException? damage = null;
        foreach (var checkpoint in _begin is null ? [] : manifest.Checkpoints.Reverse())
        {
            try
            {
                return ScanFrom(scanner, manifest, checkpoint);
            }
            catch (CorruptionException damaged) when (IsOfImage(damaged))
            {
                damage = damaged;
                _findings.Reject($"Checkpoint {checkpoint.Number} at sequence {checkpoint.Sequence} cannot be used: {damaged.Message}");
                _rejected.Add((checkpoint, damaged.File));
            }
        }

        if (_begin is not null && manifest.Segments[0].BasePosition != 0)
        {
            var path = LogNames.SegmentPath(manifest.Segments[0].Number);
            throw damage ?? Damaged(path, 0, manifest.Segments[0].FirstSequence - 1, "a checkpoint, or the log from its first record on");
        }

        return ScanFrom(scanner, manifest, null);
    }

    // Damage to the log itself is not made good by reading more of it.
    private static bool IsOfImage(CorruptionException damaged) =>
        damaged.IsOfCheckpoint || PublishedFile.DirectoryOf(damaged.File) == LogNames.TableDirectory;

    private Scanned ScanFrom(LogScanner scanner, Manifest manifest, ManifestCheckpoint? checkpoint)
    {
        _hasScanned = false;
        _lastSequence = 0;
        _lastCommitTime = Math.Max(manifest.CommitTime, checkpoint?.CommitTime ?? 0);
        _findings.BeginScan(checkpoint);
        _begin?.Invoke(manifest, checkpoint);
        var first = checkpoint is null ? 0 : IndexOf(manifest, checkpoint.MarkPosition);
        var headers = CheckNamedSegments(manifest, first);
        for (var i = first; i < manifest.Segments.Count - 1; i++)
        {
            using var file = OpenNamed(manifest.Segments[i], manifest);
            ScanEnded(scanner, file, manifest.Segments[i], headers[i - first], i == first ? checkpoint : null);
        }

        var last = manifest.Segments[^1];
        var mark = first == manifest.Segments.Count - 1 ? checkpoint : null;
        var tail = last.IsOpen
            ? ScanOpen(scanner, _last!, headers[^1], manifest, mark)
            : ScanClosed(scanner, last, headers[^1], manifest, mark);
        _findings.Floor = tail.Floor;
        _findings.Segments = headers.Length;
        return new Scanned(first, headers, tail);
    }

    private static int IndexOf(Manifest manifest, ulong position)
    {
        var index = manifest.Segments.Count - 1;
        while (index > 0 && manifest.Segments[index].BasePosition > position)
            index--;
        return index;
    }

    // Of what is not opened, that it is there at all.
    private static void FindMissing(DirectorySurvey directory, Manifest manifest)
    {
        foreach (var named in manifest.Segments)
        {
            if (directory.Segments.BinarySearch(named.Number) < 0)
                throw Missing(named, manifest);
        }
    }

    private static CorruptionException Missing(in ManifestSegment named, Manifest manifest) =>
        Damaged(LogNames.SegmentPath(named.Number), 0, named.FirstSequence - 1, $"the file that {manifest.Name} names; it is missing");

    private Manifest LoadManifest(List<ulong> numbers)
    {
        var manifest = Manifest.Load(_storage, numbers[^1], !_options.IsReadOnly, out var warning);
        if (warning is not null)
            _findings.Warn(warning);
        if (!_options.IsReadOnly && numbers.Contains(manifest.Number - 1))
            CheckPrevious(manifest);
        _findings.WasClosedCleanly = manifest.IsClean;
        _findings.Epoch = manifest.Epoch;
        _findings.ManifestNumber = manifest.Number;
        _loaded = manifest;
        return manifest;
    }

    /// <summary>The manifest before is kept for people; that it is damaged costs nothing.</summary>
    private void CheckPrevious(Manifest manifest)
    {
        try
        {
            var previous = Manifest.Load(_storage, manifest.Number - 1, forWriting: false, out var warning);
            if (warning is not null)
                _findings.Warn(warning);
            if (previous.Digest() != manifest.PreviousDigest)
                _findings.Warn($"{previous.Name} is not the manifest that {manifest.Name} followed.");
        }
        catch (CairnException damage)
        {
            _findings.Warn(damage.Message);
        }
    }

    private SegmentHeader[] CheckNamedSegments(Manifest manifest, int first)
    {
        var headers = new SegmentHeader[manifest.Segments.Count - first];
        var bytes = new byte[SegmentHeader.Size];
        for (var i = 0; i < headers.Length; i++)
        {
            var named = manifest.Segments[first + i];
            var previous = first + i == 0 ? default(Digest?) : manifest.Segments[first + i - 1].Digest;
            if (first + i == manifest.Segments.Count - 1)
            {
                headers[i] = CheckNamed(_last ??= OpenNamed(named, manifest), named, manifest, previous, bytes);
                continue;
            }

            using var file = OpenNamed(named, manifest);
            headers[i] = CheckNamed(file, named, manifest, previous, bytes);
        }

        return headers;
    }

    private SegmentHeader CheckNamed(IFile file, in ManifestSegment named, Manifest manifest, Digest? previous, byte[] bytes)
    {
        var path = LogNames.SegmentPath(named.Number);
        if (file.ReadAt(bytes, 0) < bytes.Length || !SegmentHeader.TryRead(bytes, out var header))
            throw Damaged(path, 0, named.FirstSequence - 1, "a segment header");
        header.Format.Check(path, !_options.IsReadOnly);
        if (FindMismatch(header, named, manifest, previous ?? header.PreviousDigest) is { } expected)
            throw Damaged(path, 0, named.FirstSequence - 1, expected);
        if (!named.IsOpen && file.LengthWhenOpened < named.FileBytes)
            throw Damaged(path, file.LengthWhenOpened, named.FirstSequence - 1, $"a file of at least {named.FileBytes} bytes");
        return header;
    }

    // What is in them is looked at when it is asked for; that they are there is looked at now.
    private void CheckNamedArchives(Manifest manifest)
    {
        foreach (var named in manifest.Archives)
        {
            var path = LogNames.ArchivePath(named.Number);
            if (!_storage.Exists(path))
                throw Damaged(path, 0, manifest.LastSequence, $"the file that {manifest.Name} names; it is missing");
            using var file = _storage.Open(path, writable: false);
            if (file.LengthWhenOpened != named.FileBytes)
                throw Damaged(path, Math.Min(file.LengthWhenOpened, named.FileBytes), manifest.LastSequence, $"a file of {named.FileBytes} bytes");
        }
    }

    private IFile OpenNamed(in ManifestSegment named, Manifest manifest)
    {
        var path = LogNames.SegmentPath(named.Number);
        try
        {
            return _storage.Open(path, writable: false);
        }
        catch (StorageException missing) when (missing.Error == StorageError.NotFound)
        {
            throw Missing(named, manifest);
        }
    }

    private static string? FindMismatch(in SegmentHeader header, in ManifestSegment named, Manifest manifest, Digest previous) =>
        header.FindMismatch(named, manifest.DatabaseId, previous)
        ?? (header.Epoch > manifest.Epoch || header.ManifestNumber > manifest.Number
            ? $"an epoch of at most {manifest.Epoch} and a manifest number of at most {manifest.Number}"
            : null);

    /// <summary>Sorts what no manifest names: segments (7.3), tables and archives. A table or an archive that is not named was given up, or
    /// its publication did not come to its end: it has nothing that the named files have not.</summary>
    /// <returns>Paths of those that mean nothing and go.</returns>
    /// <exception cref="CorruptionException">One of them proves that a manifest was lost.</exception>
    private List<string> FindLeftovers(DirectorySurvey directory, Manifest? manifest)
    {
        var leftovers = new List<string>();
        foreach (var number in directory.Segments)
        {
            // Below the first named one: given up by retention, and its name came back with a crash.
            var isGivenUp = manifest is not null && number < manifest.Segments[0].Number;
            var isNamed = manifest is not null && !isGivenUp && number <= manifest.Segments[^1].Number;
            if (isNamed)
                continue;
            if (!isGivenUp)
                CheckLeftover(number, manifest);
            leftovers.Add(LogNames.SegmentPath(number));
        }

        var tables = manifest?.Tables.Select(table => table.Number).ToHashSet() ?? [];
        var archives = manifest?.Archives.Select(archive => archive.Number).ToHashSet() ?? [];
        foreach (var path in directory.Tables.Where(number => !tables.Contains(number)).Select(LogNames.TablePath)
            .Concat(directory.Archives.Where(number => !archives.Contains(number)).Select(LogNames.ArchivePath)))
        {
            // Neither is made before there is a manifest.
            if (manifest is null)
                throw Damaged(path, 0, 0, "a manifest; none is here");
            leftovers.Add(path);
        }

        return leftovers;
    }

    private void CheckLeftover(uint number, Manifest? manifest)
    {
        var path = LogNames.SegmentPath(number);
        var lost = manifest is null ? "a manifest; none is here" : $"a manifest behind {manifest.Name} that names it; it was lost";
        using var file = _storage.Open(path, writable: false);
        var bytes = new byte[SegmentHeader.Size];
        if (file.ReadAt(bytes, 0) < bytes.Length || !SegmentHeader.TryRead(bytes, out var header))
            throw Damaged(path, 0, manifest?.LastSequence ?? 0, $"a segment header, and {lost}");
        header.Format.Check(path, !_options.IsReadOnly);
        if (manifest is null && header.BasePosition != 0)
            throw Damaged(path, 0, header.FirstSequence - 1, lost);

        var salt = new byte[RecordFrame.SaltBytes];
        System.Buffers.Binary.BinaryPrimitives.WriteUInt128LittleEndian(salt, header.Salt);
        var survey = TailSurvey.Of(file, salt, header.BasePosition, header.CopiedTo, file.Length);
        if (survey.GoodRecords > 0)
        {
            var offset = SegmentHeader.Size + (long)(survey.FirstGood - header.BasePosition);
            throw Damaged(path, offset, header.FirstSequence - 1, $"{lost} ({Count(survey)})");
        }
    }

    private void ScanEnded(LogScanner scanner, IFile file, in ManifestSegment named, in SegmentHeader header, ManifestCheckpoint? mark)
    {
        Scan(scanner, file, header, named.End, mark);
        if (scanner.Position != named.End)
            throw Damaged(scanner, file, Survey(scanner, file, header), "before the end of the segment");
    }

    private Tail ScanClosed(
        LogScanner scanner, in ManifestSegment named, in SegmentHeader header, Manifest manifest, ManifestCheckpoint? mark)
    {
        ScanEnded(scanner, _last!, named, header, mark);
        if (_lastSequence != manifest.LastSequence)
            throw Damaged(LogNames.SegmentPath(named.Number), named.FileBytes, _lastSequence, $"sequence {manifest.LastSequence} at the end of a clean close");
        return new Tail(named.End, named.End);
    }

    /// <summary>The verdict on the segment that was open: what of it counts.</summary>
    private Tail ScanOpen(LogScanner scanner, IFile file, in SegmentHeader header, Manifest manifest, ManifestCheckpoint? mark)
    {
        var room = Math.Max(0, file.Length - SegmentHeader.Size);
        Scan(scanner, file, header, header.BasePosition + (ulong)room, mark);
        var bad = scanner.Position;
        var survey = Survey(scanner, file, header);
        var floor = Math.Max(Math.Max(header.CopiedTo, manifest.DurablePosition), Math.Max(scanner.Witness, survey.Witness));
        if (scanner.Fault >= RecordFault.Sequence)
            throw Damaged(scanner, file, survey, "in a record that is whole");
        if (file.Length < manifest.Segments[^1].FileBytes && !IsCutByClose(scanner, file))
            throw Damaged(scanner.Path, file.Length, scanner.LastSequence, $"a file of {manifest.Segments[^1].FileBytes} bytes, as it was when it got its name");
        if (bad < floor)
            throw Damaged(scanner, file, survey, $"below position {floor}, up to which the log was synced");

        var badOffset = scanner.Offset;
        if (survey.NonZeroEnd > badOffset)
        {
            var reason = survey.GoodRecords > 0
                ? $"{Describe(scanner.Fault)}; {Count(survey)} were not synced either"
                : $"{Describe(scanner.Fault)}; torn tail, nothing whole follows";
            _findings.Cut = new CutOff(scanner.Path, badOffset, survey.NonZeroEnd - badOffset, reason);
        }

        // A seal that was not answered by a manifest ends nothing; it is the last record there can be.
        var cut = scanner.SealPosition is { } seal && seal >= floor ? seal : bad;
        if (Mutant.Is("tail-trusted-at-reopen"))
            floor = cut;
        return new Tail(floor, cut);
    }

    /// <summary>The blocks of a segment are synced before it has a name; only a clean close that got no further cuts them, right
    /// behind its seal.</summary>
    private static bool IsCutByClose(LogScanner scanner, IFile file) => scanner.SealPosition is not null && scanner.Offset == file.Length;

    // From the segment's base, or from a mark in it.
    private void Scan(LogScanner scanner, IFile file, in SegmentHeader header, ulong endPosition, ManifestCheckpoint? mark)
    {
        var path = LogNames.SegmentPath(header.Number);
        if (_hasScanned && header.FirstSequence != _lastSequence + 1)
            throw Damaged(path, 0, _lastSequence, $"first sequence {_lastSequence + 1}, not {header.FirstSequence}");

        Span<byte> salt = stackalloc byte[RecordFrame.SaltBytes];
        System.Buffers.Binary.BinaryPrimitives.WriteUInt128LittleEndian(salt, header.Salt);
        var from = mark?.MarkPosition ?? header.BasePosition;
        if (mark is null)
        {
            scanner.Begin(file, path, salt, header.BasePosition, endPosition, header.PreviousDigest.Chain, header.FirstSequence - 1);
        }
        else
        {
            CheckMark(file, path, header, salt, mark);
            scanner.BeginAt(file, path, salt, header.BasePosition, mark.MarkPosition, endPosition);
        }

        do
            ScanRecords(scanner);
        while (Mutant.Is("recovery-skips-bad-record") && StepOver(scanner, file, header));
        _hasScanned = true;
        _lastSequence = scanner.LastSequence;
        _findings.Bytes += (long)(scanner.Position - from);
    }

    // D:8.6. That the record is whole and what it says, the scan finds out.
    private static void CheckMark(IFile file, string path, in SegmentHeader header, ReadOnlySpan<byte> salt, ManifestCheckpoint mark)
    {
        Span<byte> bytes = stackalloc byte[RecordHeader.Size];
        var offset = SegmentHeader.Size + (long)(mark.MarkPosition - header.BasePosition);
        var isThere = file.ReadAt(bytes, offset) == bytes.Length
            && RecordFrame.IsHeaderRight(RecordFrame.Salted(salt), mark.MarkPosition, bytes)
            && System.Buffers.Binary.BinaryPrimitives.ReadUInt32LittleEndian(bytes[RecordHeader.HeaderCheckOffset..]) == mark.MarkCheck
            && RecordHeader.TryRead(bytes, out var record) && record.Type == RecordType.CheckpointMark && record.Sequence == mark.Sequence;
        if (!isThere && !Mutant.Is("mark-not-checked"))
        {
            throw new CorruptionException(path, offset, new Sequence(mark.Sequence), $"the mark of checkpoint {mark.Number}")
            {
                IsOfCheckpoint = true,
            };
        }
    }

    private void ScanRecords(LogScanner scanner)
    {
        var position = scanner.Position;
        var offset = scanner.Offset;
        try
        {
            while (scanner.Read(out var header, out var payload))
            {
                _findings.Records++;
                if (header.Type == RecordType.Transaction)
                    Apply(header, payload, position, offset);
                else
                    Follow(header, payload, position, offset);
                position = scanner.Position;
                offset = scanner.Offset;
            }

            _ahead?.HandOut(_apply);
        }
        catch (MalformedPayloadException malformed)
        {
            var last = scanner.LastSequence;
            if (_ahead is { IsHandingOut: true })
                (offset, last) = (_ahead.Offset, _ahead.Sequence);
            throw malformed.IsUnknown
                ? (CairnException)new FormatVersionException(scanner.Path, $"{malformed.Expected} at offset {offset}", "none")
                : Damaged(scanner.Path, offset, last - 1, malformed.Expected);
        }
    }

    private void Apply(in RecordHeader header, ReadOnlySpan<byte> payload, ulong position, long offset)
    {
        if (payload.Length < TransactionPayload.FixedBytes)
            throw new MalformedPayloadException("a transaction of at least 16 bytes");
        _lastCommitTime = Math.Max(_lastCommitTime, TransactionPayload.ReadCommitTime(payload));
        _findings.Transactions++;
        HandOn(header, payload, position, offset);
    }

    private void Follow(in RecordHeader header, ReadOnlySpan<byte> payload, ulong position, long offset)
    {
        if (header.Type == RecordType.Open && Opening.TryRead(payload, out var opening))
            _lastCommitTime = Math.Max(_lastCommitTime, opening.CommitTime);
        HandOn(header, payload, position, offset);
    }

    private void HandOn(in RecordHeader header, ReadOnlySpan<byte> payload, ulong position, long offset)
    {
        if (_ahead is null)
            _apply(header, payload, position);
        else
            _ahead.Follow(_apply, header, payload, position, offset);
    }

    private static bool StepOver(LogScanner scanner, IFile file, in SegmentHeader header)
    {
        var survey = Survey(scanner, file, header);
        if (survey.GoodRecords > 0)
            scanner.StepOverTo(survey.FirstGood);
        return survey.GoodRecords > 0;
    }

    private static TailSurvey Survey(LogScanner scanner, IFile file, in SegmentHeader header)
    {
        if (scanner.Fault == RecordFault.None)
            return default;
        Span<byte> salt = stackalloc byte[RecordFrame.SaltBytes];
        System.Buffers.Binary.BinaryPrimitives.WriteUInt128LittleEndian(salt, header.Salt);
        return TailSurvey.Of(file, salt, header.BasePosition, scanner.Position, file.Length);
    }

    /// <summary>The writing half: everything up to the new manifest.</summary>
    private RecoveredLog Begin(
        DirectorySurvey directory, Manifest manifest, Scanned scanned, List<string> leftovers, LogScanner scanner, IFile file)
    {
        var tail = scanned.Tail;
        var header = scanned.Headers[^1];
        var last = manifest.Segments[^1];
        var ended = last.IsOpen ? last.EndedAt(tail.Floor, DigestOf(scanner, file, header, tail.Floor)) : last;
        var start = BuildStart(manifest, ended, header, scanner, file, tail);
        EndPhase("verdict");

        if (MayWait(directory, manifest, leftovers))
            return HandOut(manifest, scanned.First, scanned.Headers, BeginningOf(manifest, start));
        Failpoint.Hit("recovery.judged-before-first-write");
        var quarantine = new Quarantine(_storage, _findings);
        Tidy(directory, leftovers);
        foreach (var path in directory.Foreign)
            quarantine.Move(path, $"{path}: no manifest names it and no name in this directory is like it.\n");
        if (_findings.Cut is { Bytes: > 0 } cut)
            quarantine.Keep(NameOf(cut, last.Number, file), file, cut.Offset, cut.Bytes, Report(cut, tail));

        var next = WithoutRejected(manifest, quarantine);
        return Begin(next with { Segments = [.. manifest.Segments.SkipLast(1), ended] }, scanned.First, scanned.Headers, start);
    }

    // R7: a clean close, and a directory with nothing in it that is to be tidied up or told of.
    private bool MayWait(DirectorySurvey directory, Manifest manifest, List<string> leftovers) =>
        manifest.IsClean && directory.Unfinished.Count + directory.Foreign.Count + leftovers.Count + _rejected.Count + _findings.Warnings.Count == 0
        && !Mutant.Is("opening-writes-at-once");

    // R6.
    private Manifest WithoutRejected(Manifest manifest, Quarantine quarantine)
    {
        if (_rejected.Count == 0)
            return manifest;
        ManifestCheckpoint[] kept = [.. manifest.Checkpoints.Except(_rejected.Select(rejected => rejected.Checkpoint))];
        var named = kept.SelectMany(checkpoint => checkpoint.Tables).ToHashSet();
        foreach (var table in manifest.Tables.Where(table => !named.Contains(table.Number)))
        {
            var report = $"{table.Path}: the checkpoints that had it are not used. {string.Join(' ', _findings.CheckpointsRejected)}\n";
            if (_storage.Exists(table.Path))
                quarantine.Move(table.Path, report);
        }

        return manifest with { Checkpoints = kept, Tables = [.. manifest.Tables.Where(table => named.Contains(table.Number))] };
    }

    private SegmentStart BuildStart(
        Manifest manifest, in ManifestSegment ended, in SegmentHeader header, LogScanner scanner, IFile file, in Tail tail)
    {
        var next = new SegmentHeader(
            manifest.Format, manifest.DatabaseId, ended.Number + 1, tail.Floor, 0, 0, manifest.Epoch + 1, manifest.Number + 1,
            _options.DrawBits(), ended.Digest);
        var copyBytes = (long)(tail.Cut - tail.Floor);
        if (copyBytes == 0)
            return SegmentStart.Build(next, null, 0, _lastSequence, _lastCommitTime);

        Span<byte> salt = stackalloc byte[RecordFrame.SaltBytes];
        System.Buffers.Binary.BinaryPrimitives.WriteUInt128LittleEndian(salt, header.Salt);
        scanner.BeginAt(file, LogNames.SegmentPath(header.Number), salt, header.BasePosition, tail.Floor, tail.Cut);
        var start = SegmentStart.Build(next, scanner, copyBytes, _lastSequence, _lastCommitTime);
        if (scanner.Position != tail.Cut || scanner.LastSequence != _lastSequence)
            throw Damaged(scanner, file, default, $"between the floor at position {tail.Floor} and position {tail.Cut}, where it read well before");
        _findings.CopiedRecords = (long)start.RecordCount - 1;
        _findings.CopiedBytes = copyBytes;
        return start;
    }

    private LogBeginning BeginningOf(Manifest manifest, SegmentStart start)
    {
        var header = start.Header;
        var next = manifest with
        {
            Number = header.ManifestNumber,
            Epoch = header.Epoch,
            DurablePosition = header.CopiedTo,
            IsClean = false,
            EndPosition = 0,
            LastSequence = _lastSequence,
            CommitTime = _lastCommitTime,
            PreviousDigest = _loaded?.Digest() ?? default,
        };
        return new LogBeginning(header, start.Chain, () => start.Publish(_storage, _options), next);
    }

    private RecoveredLog Begin(Manifest manifest, int first, SegmentHeader[] headers, SegmentStart start)
    {
        var recovered = HandOut(manifest, first, headers, BeginningOf(manifest, start));
        try
        {
            BeginOrRelease(recovered.Log);
            recovered.Log.Reserve.TryBuild(recovered.Log.ReserveBytes);
            EndPhase("write");
            return recovered with { NextPosition = recovered.Log.AppendedPosition };
        }
        catch
        {
            recovered.Log.Dispose();
            throw;
        }
    }

    /// <summary>A full disk must not keep a database shut: the reserve makes room for the new segment.</summary>
    private void BeginOrRelease(SegmentedLog log)
    {
        try
        {
            log.Begin();
        }
        catch (StorageException full) when (full.Error == StorageError.NoSpace && log.Reserve.HeldBytes > 0)
        {
            log.Reserve.Release();
            _findings.Warn("The disk is full; the reserve was released to open.");
            log.Begin();
        }
    }

    /// <param name="first">Index of the first segment that was looked at.</param>
    private RecoveredLog HandOut(Manifest manifest, int first, SegmentHeader[] headers, LogBeginning? beginning)
    {
        var segments = new SegmentFile[manifest.Segments.Count];
        for (var i = 0; i < segments.Length; i++)
        {
            segments[i] = i < first
                ? new SegmentFile(_storage, manifest.Segments[i], manifest.DatabaseId, i == 0 ? null : manifest.Segments[i - 1].Digest)
                : new SegmentFile(_storage, headers[i - first], i == segments.Length - 1 ? _last : null);
        }

        _last = null;                                        // it goes on as that segment's
        _findings.Epoch = beginning?.Manifest.Epoch ?? manifest.Epoch;
        _findings.ManifestNumber = beginning?.Manifest.Number ?? manifest.Number;
        var archives = new ArchiveSet(_storage, manifest.DatabaseId, manifest.Archives);
        var log = new SegmentedLog(_storage, _options, manifest, segments, beginning) { Archive = archives };
        return new RecoveredLog(log, _lastSequence, _lastCommitTime, log.AppendedPosition, beginning?.Chain ?? 0, _findings);
    }

    /// <summary>Removes what a crash left unfinished, durably, before new files take the names.</summary>
    private void Tidy(DirectorySurvey directory, List<string> leftovers)
    {
        foreach (var path in directory.Unfinished)
            Remove(path);
        foreach (var path in leftovers)
            Remove(path);
        foreach (var changed in _findings.Removed.Select(PublishedFile.DirectoryOf).Distinct().OrderDescending())
            PublishedFile.SyncDirectory(_storage, changed);
    }

    private void Remove(string path)
    {
        _storage.Unlink(path);
        _findings.Remove(path);
    }

    private RecoveredLog Create(DirectorySurvey directory)
    {
        if (directory.Foreign.Contains(LogNames.Backup))
        {
            throw new CairnException(
                ErrorCode.NotADatabase, $"{_storage.Description} is a backup and not a database. Restore it: cairn restore.");
        }

        var leftovers = FindLeftovers(directory, null);
        if (directory.Foreign.Count > 0 || directory.HasQuarantine)
        {
            var found = directory.Foreign.Count > 0 ? directory.Foreign[0] : LogNames.QuarantineDirectory;
            throw new CairnException(
                ErrorCode.NotADatabase, $"{_storage.Description} is not a database: it has '{found}' and no manifest. Name an empty directory to create one.");
        }

        if (_options.IsReadOnly || !_options.CreateIfMissing)
            throw new CairnException(ErrorCode.NotADatabase, $"There is no database in {_storage.Description}.");

        _findings.IsCreated = true;
        _lastCommitTime = (_options.Clock.GetUtcNow() - DateTimeOffset.UnixEpoch).Ticks / TimeSpan.TicksPerMicrosecond;
        _storage.CreateDirectory(LogNames.LogDirectory);
        PublishedFile.SyncDirectory(_storage, LogNames.Root);
        Tidy(directory, leftovers);
        var none = new Manifest { Number = 0, Epoch = 0, DatabaseId = _options.DrawBits(), Created = _lastCommitTime, Segments = [] };
        var header = new SegmentHeader(none.Format, none.DatabaseId, 1, 0, 0, 0, 1, 1, _options.DrawBits(), default);
        _begin?.Invoke(none, null);
        return Begin(none, 0, [], SegmentStart.Build(header, null, 0, 0, _lastCommitTime));
    }

    // Over bytes that were checked in the same buffer: a digest of a plain second read would keep for ever what a bit that was read
    // wrong once said, and call the sound segment damaged from then on.
    private Digest DigestOf(LogScanner scanner, IFile file, in SegmentHeader header, ulong end)
    {
        if (Mutant.Is("digest-of-unchecked-bytes"))
            return RunningDigest.OfFile(file, SegmentHeader.Size + (long)(end - header.BasePosition)).GetValueOrDefault();
        using var digest = new RunningDigest();
        var head = new byte[SegmentHeader.Size];
        header.Write(head);
        digest.Append(head);
        Span<byte> salt = stackalloc byte[RecordFrame.SaltBytes];
        System.Buffers.Binary.BinaryPrimitives.WriteUInt128LittleEndian(salt, header.Salt);
        scanner.BeginAt(file, LogNames.SegmentPath(header.Number), salt, header.BasePosition, header.BasePosition, end);
        while (scanner.Read(out _, out _))
            digest.Append(scanner.Record);
        if (scanner.Position != end)
            throw Damaged(scanner, file, default, $"below position {end}, where it read well before");
        return digest.Current();
    }

    /// <summary>Named by place and content, so that doing it again after a crash finds it done.</summary>
    private static string NameOf(in CutOff cut, uint segment, IFile file) =>
        $"{LogNames.Segment(segment)}-at-{cut.Offset}-{cut.Bytes}-{DigestOfRange(file, cut.Offset, cut.Bytes).Chain:x8}";

    private static Digest DigestOfRange(IFile file, long offset, long bytes)
    {
        var content = new byte[bytes];
        return Digest.Of(content.AsSpan(0, file.ReadAt(content, offset)));
    }

    private string Report(in CutOff cut, in Tail tail) =>
        $"""
        segment: {cut.File}
        offset: {cut.Offset}
        bytes: {cut.Bytes}
        reason: {cut.Reason}
        floor position: {tail.Floor}
        cut position: {tail.Cut}
        last sequence kept: {_lastSequence}

        """;

    private CorruptionException Damaged(LogScanner scanner, IFile file, in TailSurvey survey, string where)
    {
        var what = scanner.Offset >= file.Length ? "the file ends" : Describe(scanner.Fault);
        return Damaged(scanner.Path, scanner.Offset, scanner.LastSequence, $"a valid record; {what}, {where}; {Count(survey)} behind it");
    }

    private static CorruptionException Damaged(string path, long offset, ulong sequence, string expected) =>
        new(path, offset, new Sequence(sequence), expected);

    private static string Count(in TailSurvey survey) => survey.GoodRecords == 0
        ? "no good records"
        : $"{survey.GoodRecords} good records (sequences {survey.FirstSequence} to {survey.LastSequence})";

    private static string Describe(RecordFault fault) => fault switch
    {
        RecordFault.Header => "the header check is wrong",
        RecordFault.Length => "the header is right and the record is cut short",
        RecordFault.Payload => "the payload check is wrong",
        RecordFault.Padding => "the padding is not zero",
        RecordFault.Sequence => "the sequence does not continue",
        RecordFault.Chain => "it does not follow the record before it",
        RecordFault.DurableUpTo => "it vouches for itself",
        RecordFault.BehindSeal => "it stands behind a seal",
        RecordFault.Malformed => "its payload is not what its type says",
        _ => "the log ends",
    };

    private void EndPhase(string name)
    {
        var now = _options.Clock.GetTimestamp();
        _findings.Phase(name, _options.Clock.GetElapsedTime(_phaseBegan, now));
        _phaseBegan = now;
    }

    /// <summary>What of the last segment counts: all below the floor as it stands, [floor, cut) by copying.</summary>
    private readonly record struct Tail(ulong Floor, ulong Cut);

    /// <summary>Headers of the segments that were read, from the first of them on, and the verdict on the last.</summary>
    private readonly record struct Scanned(int First, SegmentHeader[] Headers, Tail Tail);
}
