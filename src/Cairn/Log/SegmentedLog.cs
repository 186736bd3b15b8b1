// The log device over files: segments in a directory, one of them open for appending.
//
//      manifest names   ...16      17        18 (open)                     log/prepared
//      positions        [0, 4096)  [4096,..) [8200 ........ appended)      no header yet, reads as zeros
//                                                      ^ synced
//
// 1  One writer role appends, rotates and closes. Syncing may run beside an append (not beside a rotation). Preparing the next
//    segment, truncating and reading run beside anything and hold no lock that an append needs.
// 2  Space is taken before it is needed: an append goes into blocks that were allocated and synced, so a full disk is met by Prepare,
//    where nothing is lost by it. In Strict they were written with zeros, too: then a sync moves data and no metadata. In Buffered nobody
//    waits for a sync, and the zeros would be as much to write as the log itself (decision 0020).
// 3  The room for the seal is kept back in every segment.
// 4  A failed write or sync is final. Nothing is tried again: what reached the device is unknown until recovery, and a second
//    sync would report success for pages the system has given up. Every later call says so.
// 5  Rotation (5.8), each step resting on the one before:
//      seal appended and synced in n  ->  header into prepared  ->  sync it  ->  rename to n+1  ->  sync log/  ->
//      manifest naming n+1  ->  first append into n+1
//    A crash before the manifest leaves a segment without records that no manifest names: a leftover, removed at the next
//    opening. So a segment with records beyond its copies is always named.
// 6  What is published (manifests, the name of a segment) may meet a full disk. Under a name that is not there yet nothing was promised, so
//    the reserve is given up and the publication made anew; only then is it a failure.
// 7  Clean close (5.10): seal appended and synced, the never-written tail behind it cut, synced, manifest with the clean flag.
// 8  An opening after a clean close has nothing to write before its first record, so until then it writes nothing (Begin): the manifest of
//    the close counts, the log ends where it ended, and closing leaves all as it was. Whatever changes the manifest begins first.
// 9  Giving up (9.3): the segments that go and the archive that has what is still needed of them change place in one manifest. Who reads
//    by position sees the archive before the segment goes.
//
// The running SHA-256 of the open segment costs its speed once per appended byte, on the writer; it ends in the seal, in the next
// header and in the manifest.
//
// Not here: slots, groups, sequences, marks and waiting (LogWriter); what the records mean; who decides that the disk is full.

using Cairn.Storage;

namespace Cairn.Log;

internal sealed class SegmentedLog : LogDevice, ILogRecords
{
    private const int DigestReadBytes = 128 << 10;

    /// <summary>Hashed in one step of the maintainer.</summary>
    private const ulong DigestStepBytes = 4 << 20;

    /// <summary>Measured (./bench kv, `buffered pwrite-loop` in both forms): a page cache keeps memory in pieces as large as the writes
    /// that brought it in, and ext4 walks the whole piece at every later write into it. Zeros written 1 MiB at a time make a write of
    /// a record three times as dear as zeros written 16 KiB at a time; smaller steps gain nothing more.</summary>
    private static readonly byte[] Zeros = new byte[16 << 10];

    private readonly IStorage _storage;
    private readonly LogOptions _options;
    private readonly Lock _prepareGate = new();     // one Prepare at a time; held while zeros are written, never by an append
    private readonly Lock _manifestGate = new();    // manifests are numbered: rotation, truncation and close take turns
    private readonly List<LogHold> _holds = [];     // under the manifest's gate
    private readonly List<LogCapture> _captures = []; // under it too
    private readonly Reserve _reserve;
    private Manifest _manifest;
    private SegmentFile[] _segments;                // replaced, never changed; the last one is open
    private IFile? _file;                           // of the open segment
    private long _fileBytes;
    private readonly Lock _digestGate = new();      // the digest follows the appends from behind
    private RunningDigest? _digest;
    private ulong _digested;
    private ulong _appended;
    private ulong _synced;
    private ulong _recordCount;
    private bool _isSealed;
    private IFile? _prepared;
    private long _preparedBytes;
    private Exception? _failure;
    private bool _isClosed;
    private bool _isShortOfSpace;
    private LogBeginning? _beginning;               // null: this opening has begun, or only reads
    private OpenSegment? _begun;                    // its segment is named, and no manifest names it yet
    private LogStart _start;

    /// <summary>Goes on behind what recovery found.</summary>
    /// <param name="beginning">Null: only to be read.</param>
    internal SegmentedLog(IStorage storage, LogOptions options, Manifest manifest, SegmentFile[] segments, LogBeginning? beginning)
    {
        _storage = storage;
        _options = options;
        _manifest = manifest;
        _segments = segments;
        _reserve = new Reserve(storage);
        _appended = manifest.EndPosition;
        _beginning = beginning;
        _isClosed = beginning is null;
        _digested = _appended;
        _synced = _appended;
    }

    internal override bool HasBegun => Volatile.Read(ref _beginning) is null;

    internal override LogStart Begin()
    {
        if (HasBegun)
            return _start;
        lock (_prepareGate)
        lock (_manifestGate)
        {
            ThrowIfEnded();
            if (_beginning is { } beginning)
                Begin(beginning);
            return _start;
        }
    }

    // A full disk publishes nothing: the next try goes on where this one ended.
    private void Begin(LogBeginning beginning)
    {
        var isNothing = false;
        try
        {
            try
            {
                _begun ??= beginning.MakeSegment();
            }
            catch (StorageException full) when (full.Error == StorageError.NoSpace && !_storage.Exists(LogNames.SegmentPath(beginning.Header.Number)))
            {
                isNothing = true;
                var part = LogNames.SegmentPath(beginning.Header.Number) + LogNames.Part;
                if (_storage.Exists(part))
                    _storage.Unlink(part);
                throw;
            }

            Failpoint.Hit("beginning.segment-named");
            var next = beginning.Naming(_begun);
            try
            {
                PublishOrNothing(next);
            }
            catch (StorageException full) when (IsNothing(full, next))
            {
                isNothing = true;
                throw;
            }

            Failpoint.Hit("beginning.manifest-published");
            next.UnlinkOlder(_storage);
            GoOnWith(beginning, _begun, next);
        }
        catch (Exception cause) when (!isNothing)
        {
            Latch(cause);
            ThrowIfFull(cause);
            throw;
        }
    }

    private void GoOnWith(LogBeginning beginning, OpenSegment open, Manifest manifest)
    {
        lock (_digestGate)
        {
            _digest = open.Digest;
            _digested = open.Appended;
        }

        _file = open.File;
        _fileBytes = open.FileBytes;
        _recordCount = open.RecordCount;
        _start = beginning.Start;
        Volatile.Write(ref _segments, [.. _segments, new SegmentFile(_storage, beginning.Header, open.File)]);
        Volatile.Write(ref _appended, open.Appended);
        Volatile.Write(ref _synced, open.Appended);
        Volatile.Write(ref _manifest, manifest);
        _begun = null;
        Volatile.Write(ref _beginning, null);
    }

    internal override ReadOnlySpan<byte> Salt => Current.Salt;

    internal override uint FirstChain => Current.FirstChain;

    internal override ulong BasePosition => Current.BasePosition;

    internal override ulong EndPosition => HasBegun ? BasePosition + (ulong)RoomIn(_fileBytes) : AppendedPosition;

    internal override ulong FirstPosition => Volatile.Read(ref _segments)[0].BasePosition;

    internal override ulong RecordCount => _recordCount;

    internal override long PreparedBytes
    {
        get
        {
            var bytes = Volatile.Read(ref _preparedBytes);
            return bytes == 0 ? 0 : RoomIn(bytes);
        }
    }

    /// <summary>What was kept of segments that were given up; null = nothing ever was, or it is not for this log to read.</summary>
    internal LogArchive? Archive { get; init; }

    /// <summary>Every byte below was synced.</summary>
    internal ulong SyncedPosition => Volatile.Read(ref _synced);

    /// <summary>Behind the last append.</summary>
    internal ulong AppendedPosition => Volatile.Read(ref _appended);

    // The segments first: what they give up meanwhile, the archive has.
    ulong ILogBytes.FirstPosition => FirstPosition is var first && Archive is { } archive ? Math.Min(first, archive.FirstPosition) : first;

    ulong ILogBytes.WrittenPosition => AppendedPosition;

    int ILogBytes.Read(ulong position, Span<byte> buffer) => Read(position, buffer);

    LogPlace ILogBytes.PlaceOf(ulong position)
    {
        var (path, offset, sequence) = PlaceOf(position);
        return new LogPlace(path, offset, sequence);
    }

    ulong ILogRecords.SegmentsFrom => FirstPosition;

    LogArchive? ILogRecords.Archive => Archive;

    bool ILogRecords.TrySaltAt(ulong position, Span<byte> salt) => TrySaltAt(position, salt);

    ulong ILogRecords.BaseOf(ulong position) => BaseOf(position);

    internal ulong Epoch => _manifest.Epoch;

    internal UInt128 DatabaseId => _manifest.DatabaseId;

    internal Manifest Manifest => Volatile.Read(ref _manifest);

    internal Reserve Reserve => _reserve;

    /// <summary>Size of the segment that <see cref="Prepare"/> will make next, in bytes of file.</summary>
    internal long NextSegmentBytes => Math.Clamp(2 * Math.Max(_fileBytes, _options.SegmentBytesMin), _options.SegmentBytesMin, _options.SegmentBytesMax);

    /// <summary>What the reserve should hold for the next segment.</summary>
    internal long ReserveBytes => _options.ReserveBytes(NextSegmentBytes);

    /// <summary>Segments that are part of the log, the open one included.</summary>
    internal int SegmentCount => Volatile.Read(ref _segments).Length;

    /// <summary>Nothing is written any more: a write, a sync or a manifest failed.</summary>
    internal bool HasFailed => Volatile.Read(ref _failure) is not null;

    private SegmentFile Current => Volatile.Read(ref _segments)[^1];

    /// <summary>Bytes of records, beside the seal, in a file of this size.</summary>
    internal static long RoomIn(long fileBytes) => (fileBytes - SegmentHeader.Size - Seal.RecordBytes) & ~(long)(RecordFrame.Alignment - 1);

    /// <summary>Bytes of a file that takes so many bytes of records.</summary>
    internal static long FileBytesFor(long recordBytes) => SegmentHeader.Size + recordBytes + Seal.RecordBytes;

    internal override void Prepare(long recordBytesMin)
    {
        lock (_prepareGate)
        {
            if (PreparedBytes >= Math.Max(recordBytesMin, 1))
                return;
            ThrowIfEnded();
            var bytes = Math.Max(_isShortOfSpace ? _options.SegmentBytesMin : NextSegmentBytes, FileBytesFor(recordBytesMin));
            var file = CreateAhead(_storage, LogNames.PreparedPath + LogNames.Part, bytes, default, _options.ZeroesSegments);
            Failpoint.Hit("segment.synced-before-named");
            DropPrepared();     // it was too small for the record that waits
            NamePrepared(file);
            _prepared = file;
            Volatile.Write(ref _preparedBytes, bytes);
        }
    }

    internal override DeviceSpace Space()
    {
        lock (_prepareGate)
            return new DeviceSpace(_storage.FreeSpace(), _reserve.HeldBytes, ReserveBytes, _prepared is null ? NextSegmentBytes : 0);
    }

    internal override bool TryBuildReserve()
    {
        lock (_prepareGate)
        {
            ThrowIfEnded();
            if (!_reserve.TryBuild(ReserveBytes))
                return false;
            _isShortOfSpace = false;
            return true;
        }
    }

    internal override void ReleaseReserve()
    {
        lock (_prepareGate)
        {
            _isShortOfSpace = true;
            _reserve.Release();
        }
    }

    // A name may be what there is no room for: then nothing may lie in the way of the next try.
    private void NamePrepared(IFile file)
    {
        try
        {
            _storage.Rename(LogNames.PreparedPath + LogNames.Part, LogNames.PreparedPath);
        }
        catch (StorageException full) when (full.Error == StorageError.NoSpace)
        {
            file.Dispose();
            _storage.Unlink(LogNames.PreparedPath + LogNames.Part);
            throw;
        }
    }

    // Rule 6. The maintainer finds the reserve gone and tells it.
    private void PublishWithReserve(string path, Action publish)
    {
        try
        {
            publish();
        }
        catch (StorageException full) when (full.Error == StorageError.NoSpace && _reserve.HeldBytes > 0 && !_storage.Exists(path))
        {
            if (_storage.Exists(path + LogNames.Part))
                _storage.Unlink(path + LogNames.Part);
            ReleaseReserve();
            publish();
        }
    }

    private void Publish(Manifest next) => PublishWithReserve(next.Name, () => next.Publish(_storage));

    /// <summary>Makes a file that begins with the content and reads as zeros from there on, its blocks taken, all of it on the device. Its
    /// name ends in <c>.part</c>; on a full disk it is thrown away whole, its sync is not repeated (5.5).</summary>
    /// <param name="writesZeros">They are written, too; also where blocks cannot be taken without.</param>
    internal static IFile CreateAhead(IStorage storage, string part, long bytes, ReadOnlySpan<byte> content, bool writesZeros)
    {
        var file = storage.CreateNew(part);
        try
        {
            file.Preallocate(bytes);
            file.WriteAt(content, 0);
            for (long offset = writesZeros || !file.HasBlocks ? content.Length : bytes; offset < bytes; offset += Zeros.Length)
                file.WriteAt(Zeros.AsSpan(0, (int)Math.Min(Zeros.Length, bytes - offset)), offset);
            PublishedFile.Sync(file);
            return file;
        }
        catch (StorageException cause)
        {
            file.Dispose();
            if (cause.Error == StorageError.NoSpace)
                storage.Unlink(part);
            throw;
        }
    }

    internal override void Append(ulong expectedPosition, ReadOnlySpan<byte> records)
    {
        ThrowIfEnded();
        var current = Current;
        var offset = current.OffsetOf(expectedPosition);
        Invariant.Check(expectedPosition == _appended, "an append begins where the last one ended");
        Invariant.Check(!_isSealed, "nothing follows a seal");
        Invariant.Check(offset + records.Length <= _fileBytes, "records stay in the blocks that were taken for them");
        var count = Count(records, out var last);
        Invariant.Check(last == RecordType.Seal || expectedPosition + (ulong)records.Length <= EndPosition, "the room for the seal is kept back");
        try
        {
            _file!.WriteAt(records, offset);
        }
        catch (Exception cause)
        {
            Latch(cause);
            throw;
        }

        _recordCount += count;
        _isSealed = last == RecordType.Seal;
        Volatile.Write(ref _appended, expectedPosition + (ulong)records.Length);
    }

    internal override void Sync()
    {
        ThrowIfEnded();
        var upTo = Volatile.Read(ref _appended);
        try
        {
            if (!(Mutant.Is("seal-not-synced") && _isSealed))
                _file!.DataSync();
        }
        catch (Exception cause) when (!Mutant.Is("sync-tried-again"))
        {
            Latch(cause);
            throw;
        }
        catch (StorageException)
        {
            _file!.DataSync();
        }

        Volatile.Write(ref _synced, upTo);
    }

    internal override void Rotate(ulong firstSequence, long commitTime)
    {
        ThrowIfEnded();
        Invariant.Check(_isSealed && _synced == _appended, "a segment ends with a seal that is synced");
        try
        {
            lock (_prepareGate)
            lock (_manifestGate)
                RotateTo(firstSequence, commitTime);
        }
        catch (Exception cause)
        {
            Latch(cause);
            throw;
        }
    }

    private void RotateTo(ulong firstSequence, long commitTime)
    {
        Invariant.Check(_prepared is not null, "a segment is prepared before it is needed");
        var ended = _manifest.Segments[^1].EndedAt(_appended, DigestOfAll());
        var header = new SegmentHeader(
            _manifest.Format, _manifest.DatabaseId, ended.Number + 1, _appended, _appended, firstSequence, _manifest.Epoch,
            _manifest.Number + 1, _options.DrawBits(), ended.Digest);
        var next = _manifest with
        {
            Number = _manifest.Number + 1,
            DurablePosition = _appended,
            LastSequence = firstSequence - 1,
            CommitTime = Math.Max(_manifest.CommitTime, commitTime),
            PreviousDigest = _manifest.Digest(),
            Segments = [.. _manifest.Segments.SkipLast(1), ended, new ManifestSegment(header.Number, _appended, _appended, firstSequence, 0, _preparedBytes, default)],
        };

        if (Mutant.Is("manifest-before-data"))
            next.Publish(_storage);
        CheckSegmentFence(ended.Number);
        var headerBytes = new byte[SegmentHeader.Size];
        header.Write(headerBytes);
        _prepared.WriteAt(headerBytes, 0);
        PublishedFile.Sync(_prepared);
        Failpoint.Hit("rotation.header-synced");
        PublishWithReserve(LogNames.SegmentPath(header.Number), () => RenameSegment(_storage, LogNames.PreparedPath, header.Number));
        Failpoint.Hit("rotation.segment-named");
        if (!Mutant.Is("manifest-before-data"))
            Publish(next);
        Failpoint.Hit("rotation.manifest-published");
        next.UnlinkOlder(_storage);

        lock (_digestGate)
        {
            _digest!.Dispose();
            _digest = new RunningDigest();
            _digest.Append(headerBytes);
            _digested = _appended;
        }

        _file = _prepared;
        _fileBytes = _preparedBytes;
        _prepared = null;
        Volatile.Write(ref _preparedBytes, 0);
        _recordCount = 0;
        _isSealed = false;
        Volatile.Write(ref _segments, [.. _segments, new SegmentFile(_storage, header, _file)]);
        Volatile.Write(ref _manifest, next);
    }

    internal override void Digest(Span<byte> digest) => DigestOfAll().Write(digest);

    internal override bool StepDigest()
    {
        lock (_digestGate)
        {
            if (_isClosed || _digest is null)
                return false;
            var appended = Volatile.Read(ref _appended);
            HashUpTo(Math.Min(appended, _digested + DigestStepBytes));
            return _digested < appended;
        }
    }

    internal override long UndigestedBytes =>
        Volatile.Read(ref _isClosed) ? 0 : Math.Max(0, (long)(Volatile.Read(ref _appended) - Volatile.Read(ref _digested)));

    private Digest DigestOfAll()
    {
        lock (_digestGate)
        {
            HashUpTo(Volatile.Read(ref _appended));
            return _digest!.Current();
        }
    }

    // Hashing costs as much as writing, so no commit waits for it: it follows behind, from the page cache.
    private void HashUpTo(ulong position)
    {
        var current = Current;
        var buffer = System.Buffers.ArrayPool<byte>.Shared.Rent(DigestReadBytes);
        try
        {
            while (_digested < position)
            {
                var bytes = (int)Math.Min((ulong)DigestReadBytes, position - _digested);
                var read = _file!.ReadAt(buffer.AsSpan(0, bytes), current.OffsetOf(_digested));
                if (read < bytes)
                    throw new CorruptionException(current.Path, current.OffsetOf(_digested) + read, new Sequence(current.FirstSequence), "bytes that were appended");
                _digest!.Append(buffer.AsSpan(0, bytes));
                _digested += (ulong)bytes;
            }
        }
        finally
        {
            System.Buffers.ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    internal override int Read(ulong position, Span<byte> buffer)
    {
        while (true)
        {
            // In this order: a rotation that comes between must not lend the segment an end that lies in the next one.
            var appended = Volatile.Read(ref _appended);
            var segments = Volatile.Read(ref _segments);
            if (position < segments[0].BasePosition)
                return Archive?.Read(position, buffer) ?? 0;
            var index = Find(segments, position);
            var end = index + 1 < segments.Length ? segments[index + 1].BasePosition : appended;
            if (position >= end)
                return 0;
            var segment = segments[index];
            if (segment.TryPin() is not { } file)
                continue;   // given up meanwhile: look again
            try
            {
                var wanted = (int)Math.Min((ulong)buffer.Length, end - position);
                var read = file.ReadAt(buffer[..wanted], segment.OffsetOf(position));
                if (read < wanted)
                    throw new CorruptionException(segment.Path, segment.OffsetOf(position) + read, new Sequence(segment.FirstSequence), "more bytes of records");
                return read;
            }
            finally
            {
                segment.Unpin();
            }
        }
    }

    internal override void SaltAt(ulong position, Span<byte> salt)
    {
        if (!TrySaltAt(position, salt))
            throw new CorruptionException(PlaceOf(position).Path, 0, Sequence.None, $"position {position}; it was given up");
    }

    /// <summary>False: the position was given up, and nothing was kept there.</summary>
    internal bool TrySaltAt(ulong position, Span<byte> salt)
    {
        var segments = Volatile.Read(ref _segments);
        if (position < segments[0].BasePosition)
            return Archive?.TrySaltAt(position, salt) ?? false;
        segments[Find(segments, position)].Salt.CopyTo(salt);
        return true;
    }

    /// <summary>Where a position lies, for messages.</summary>
    internal (string Path, long Offset, ulong FirstSequence) PlaceOf(ulong position)
    {
        var segments = Volatile.Read(ref _segments);
        if (position >= segments[0].BasePosition)
        {
            var segment = segments[Find(segments, position)];
            return (segment.Path, segment.OffsetOf(position), segment.FirstSequence);
        }

        var (path, offset) = Archive?.PlaceOf(position) ?? (LogNames.LogDirectory, 0);
        return (path, offset, 0);
    }

    /// <summary>Where the segment that holds a position begins; the position itself, when none does.</summary>
    internal ulong BaseOf(ulong position)
    {
        var segments = Volatile.Read(ref _segments);
        return position < segments[0].BasePosition ? position : segments[Find(segments, position)].BasePosition;
    }

    /// <summary>The segment that holds a position, for messages and for scans.</summary>
    internal SegmentFile SegmentAt(ulong position)
    {
        var segments = Volatile.Read(ref _segments);
        return segments[Find(segments, position)];
    }

    /// <summary>A position from which a scan meets the commit of a sequence, if the log still has it: the beginning of its segment.</summary>
    internal ulong PositionBefore(ulong sequence)
    {
        var segments = Volatile.Read(ref _segments);
        var index = segments.Length - 1;
        while (index > 0 && segments[index].FirstSequence > sequence)
            index--;
        return segments[index].BasePosition;
    }

    /// <summary>The segments below a position that ends one, with what the manifest says of them. Each may be read until the log gives it
    /// up.</summary>
    internal IReadOnlyList<(ManifestSegment Named, SegmentFile File)> SegmentsBelow(ulong position)
    {
        lock (_manifestGate)
        {
            var below = new List<(ManifestSegment, SegmentFile)>();
            for (var i = 0; i < CountBelow(position); i++)
                below.Add((_manifest.Segments[i], _segments[i]));
            return below;
        }
    }

    /// <summary>Reads every ended segment whole and compares its SHA-256 with the manifest's, for scrubbing and verification.
    /// Opening does not: it checks each record instead, and may one day begin behind a checkpoint.</summary>
    internal IEnumerable<CorruptionException> Scrub()
    {
        foreach (var named in Manifest.Segments)
        {
            var segment = Array.Find(Volatile.Read(ref _segments), segment => segment.Number == named.Number);
            if (named.IsOpen || segment?.TryPin() is not { } file)
                continue;
            try
            {
                if (RunningDigest.OfFile(file, named.FileBytes) != named.Digest)
                    yield return new CorruptionException(segment.Path, 0, new Sequence(named.FirstSequence), $"SHA-256 {named.Digest}");
            }
            finally
            {
                segment.Unpin();
            }
        }
    }

    /// <summary>The files that never change, as the newest manifest names them.</summary>
    internal IReadOnlyList<ScrubbedFile> ImmutableFiles()
    {
        var manifest = Manifest;
        var files = new List<ScrubbedFile>();
        for (var i = 0; i < manifest.Segments.Count; i++)
        {
            var segment = manifest.Segments[i];
            if (segment.IsOpen)
                continue;
            var last = i + 1 < manifest.Segments.Count ? manifest.Segments[i + 1].FirstSequence - 1 : manifest.LastSequence;
            files.Add(new ScrubbedFile(LogNames.SegmentPath(segment.Number), segment.FileBytes, segment.Digest, segment.FirstSequence, last));
        }

        foreach (var table in manifest.Tables)
            files.Add(new ScrubbedFile(table.Path, table.FileBytes, table.Digest, table.FirstSequence, table.LastSequence));
        foreach (var archive in manifest.Archives)
            files.Add(new ScrubbedFile(LogNames.ArchivePath(archive.Number), archive.FileBytes, archive.Digest, 0, manifest.LastSequence));
        return files;
    }

    internal IStorage Storage => _storage;

    internal IFile OpenImmutable(string path) => _storage.Open(path, writable: false);

    /// <summary>The first record of a segment that is not right; null when all are, or when it is no segment.</summary>
    internal CorruptionException? FindDamage(ScrubbedFile file)
    {
        var manifest = Manifest;
        foreach (var segment in manifest.Segments)
        {
            if (LogNames.SegmentPath(segment.Number) != file.Path)
                continue;
            try
            {
                using var reader = new LogReader(this);
                for (var position = segment.BasePosition; position < segment.End;)
                    position += (ulong)reader.Read(position, out _).RecordLength;
            }
            catch (CorruptionException damage)
            {
                return damage;
            }
        }

        return null;
    }

    /// <summary>Holds the database as the newest manifest names it, its log up to what is synced now.</summary>
    internal LogCapture Capture(string holder)
    {
        var began = _options.Clock.Microseconds();
        while (true)
        {
            Manifest manifest;
            SegmentFile[] segments;
            ulong position;
            lock (_manifestGate)                             // manifest and segments change together
            {
                ThrowIfFailed();
                manifest = _manifest;
                segments = _segments;
                position = manifest.IsClean ? manifest.EndPosition : SyncedPosition;
            }

            if (LogCapture.TryHold(_storage, manifest, segments, position, () => Manifest == manifest, holder, began) is not { } held)
                continue;
            lock (_manifestGate)
                _captures.Add(held);
            held.Released = Release;
            return held;
        }
    }

    private void Release(LogCapture capture)
    {
        lock (_manifestGate)
            _captures.Remove(capture);
    }

    /// <summary>Who holds the log or files of it now.</summary>
    internal (IReadOnlyList<LogHold> Holds, IReadOnlyList<LogCapture> Captures) Holders()
    {
        lock (_manifestGate)
            return ([.. _holds], [.. _captures]);
    }

    /// <summary>Publishes the manifest again, under the next number, if the newest file of it is not what it was: memory has it.</summary>
    /// <returns>The name of the damaged file; null = nothing was damaged, or nothing is written any more.</returns>
    /// <exception cref="StorageException">NoSpace: nothing was published.</exception>
    internal string? RewriteManifestIfDamaged()
    {
        lock (_manifestGate)
        {
            if (_isClosed || Volatile.Read(ref _failure) is not null || IsManifestRight() || Mutant.Is("manifest-not-scrubbed"))
                return null;
            var name = _manifest.Name;
            Change(manifest => manifest);
            return name;
        }
    }

    private bool IsManifestRight()
    {
        var expected = _manifest.Encode();
        try
        {
            using var file = _storage.Open(_manifest.Name, writable: false);
            var read = new byte[expected.Length];
            return file.Length == expected.Length && file.ReadAt(read, 0) == read.Length && read.AsSpan().SequenceEqual(expected);
        }
        catch (StorageException)
        {
            return false;                                    // gone, or it cannot be read
        }
    }

    /// <summary>Publishes a manifest that says something else than the present one.</summary>
    /// <param name="change">Gives it; what every change sets, and the number, come from here.</param>
    /// <exception cref="StorageException">NoSpace: nothing was published, the present one counts.</exception>
    internal Manifest Change(Func<Manifest, Manifest> change)
    {
        Begin();
        lock (_manifestGate)
        {
            ThrowIfEnded();
            var next = change(_manifest) with
            {
                Number = _manifest.Number + 1,
                DurablePosition = SyncedPosition,
                PreviousDigest = _manifest.Digest(),
            };
            try
            {
                PublishOrNothing(next);
                Volatile.Write(ref _manifest, next);
                next.UnlinkOlder(_storage);
                return next;
            }
            catch (Exception cause) when (!IsNothing(cause, next))
            {
                Latch(cause);
                ThrowIfFull(cause);
                throw;
            }
        }
    }

    // A full disk under a name that is not there yet: nothing was promised, and the manifest of before counts.
    private void PublishOrNothing(Manifest next)
    {
        try
        {
            Publish(next);
        }
        catch (StorageException full) when (IsNothing(full, next))
        {
            if (_storage.Exists(next.Name + LogNames.Part))
                _storage.Unlink(next.Name + LogNames.Part);
            throw;
        }
    }

    private bool IsNothing(Exception cause, Manifest next) =>
        cause is StorageException { Error: StorageError.NoSpace } && !_storage.Exists(next.Name);

    // Not to be taken for a disk that is full before anything happened: the name may be there.
    private void ThrowIfFull(Exception cause)
    {
        if (cause is StorageException { Error: StorageError.NoSpace })
            ThrowIfFailed();
    }

    /// <summary>The header check of the record at a position: known by it when it is met again.</summary>
    /// <exception cref="CorruptionException">No record begins there.</exception>
    internal uint HeaderCheckAt(ulong position)
    {
        Span<byte> salt = stackalloc byte[RecordFrame.SaltBytes];
        SaltAt(position, salt);
        Span<byte> header = stackalloc byte[RecordHeader.Size];
        var segment = SegmentAt(position);
        if (Read(position, header) < header.Length || !RecordFrame.IsHeaderRight(RecordFrame.Salted(salt), position, header))
            throw new CorruptionException(segment.Path, segment.OffsetOf(position), new Sequence(segment.FirstSequence), "a record header");
        return System.Buffers.Binary.BinaryPrimitives.ReadUInt32LittleEndian(header[RecordHeader.HeaderCheckOffset..]);
    }

    internal override void Truncate(ulong upToPosition)
    {
        Begin();
        lock (_manifestGate)
        {
            if (CountBelow(upToPosition) > 0)
                GiveUp(upToPosition, Manifest.Archives);
        }
    }

    private int CountBelow(ulong position)
    {
        var count = 0;
        while (count < _segments.Length - 1 && _segments[count + 1].BasePosition <= position)
            count++;
        return count;
    }

    /// <summary>Holds the log from the older of the kept checkpoints on; all of it, while nothing was given up.</summary>
    internal LogHold Hold(string holder = "a reader of the log")
    {
        lock (_manifestGate)
        {
            var checkpoint = _manifest.RetentionFloor == 0 ? null : _manifest.Checkpoints[0];
            return Hold(checkpoint, checkpoint?.MarkPosition ?? _manifest.Segments[0].BasePosition, holder);
        }
    }

    /// <summary>Holds everything there is, archives too: none of it is given up meanwhile.</summary>
    internal LogHold HoldAll(string holder)
    {
        lock (_manifestGate)
            return Hold(null, 0, holder);
    }

    /// <summary>Holds the log from the segment on that has a sequence; null when that was given up.</summary>
    internal LogHold? HoldFrom(ulong sequence, string holder)
    {
        lock (_manifestGate)
            return _manifest.Segments[0].FirstSequence > sequence ? null : Hold(null, PositionBefore(sequence), holder);
    }

    private LogHold Hold(ManifestCheckpoint? checkpoint, ulong position, string holder)
    {
        var hold = new LogHold(this, _manifest, checkpoint, position, holder, _options.Clock.Microseconds());
        _holds.Add(hold);
        return hold;
    }

    internal void Release(LogHold hold)
    {
        lock (_manifestGate)
            _holds.Remove(hold);
    }

    /// <summary>The lowest position that somebody holds; the highest there is when nobody does.</summary>
    internal ulong HeldFrom
    {
        get
        {
            lock (_manifestGate)
                return _holds.Count == 0 ? ulong.MaxValue : _holds.Min(hold => hold.Position);
        }
    }

    /// <summary>Gives up the segments that lie below a position, and names these archives (9): in one step. Files that are named no more
    /// are unlinked; who reads them finishes.</summary>
    /// <param name="archives">In any order. Each is on the disk under its name.</param>
    /// <param name="isStillRight">Asked where nobody can begin to hold anything: false, and nothing is done. Null = it is.</param>
    /// <returns>False: somebody holds one of the segments or archives, and nothing was done.</returns>
    /// <exception cref="StorageException">NoSpace: nothing was published and nothing is given up. Any other failure is final (4).</exception>
    internal bool GiveUp(ulong upToPosition, IReadOnlyList<ManifestArchive> archives, Func<bool>? isStillRight = null)
    {
        Begin();
        lock (_manifestGate)
        {
            ThrowIfEnded();
            if (isStillRight is not null && !isStillRight())
                return false;
            var held = HeldFrom;
            if (CountBelow(Math.Min(upToPosition, held)) < CountBelow(upToPosition))
                return false;
            if (held < _segments[0].BasePosition && _manifest.Archives.Except(archives).Any(archive => archive.EndPosition > held))
                return false;
            GiveUp(CountBelow(upToPosition), [.. archives.OrderBy(archive => archive.FirstPosition)]);
            return true;
        }
    }

    private void GiveUp(int count, ManifestArchive[] archives)
    {
        var dropped = _segments[..count];
        var gone = _manifest.Archives.Except(archives).Select(archive => LogNames.ArchivePath(archive.Number)).ToList();
        if (Mutant.Is("segment-unlinked-before-manifest"))
            Unlink(dropped, gone);
        var next = _manifest with
        {
            Number = _manifest.Number + 1,
            DurablePosition = SyncedPosition,
            PreviousDigest = _manifest.Digest(),
            Segments = [.. _manifest.Segments.Skip(count)],
            RetentionFloor = count == 0 ? _manifest.RetentionFloor : _manifest.Segments[count].FirstSequence,
            Archives = archives,
            NextArchive = Math.Max(_manifest.NextArchive, archives.Length == 0 ? 1 : archives.Max(archive => archive.Number) + 1),
        };
        try
        {
            Failpoint.Hit("giving-up.before-manifest");
            PublishOrNothing(next);
            Failpoint.Hit("giving-up.manifest-published");
            next.UnlinkOlder(_storage);
            Archive?.Replace(archives);                      // before the segments go: a position is always somewhere
            Volatile.Write(ref _segments, _segments[count..]);
            Volatile.Write(ref _manifest, next);
            foreach (var segment in dropped)
                segment.Dispose();
            if (!Mutant.Is("segment-unlinked-before-manifest"))
                Unlink(dropped, gone);
            Failpoint.Hit("giving-up.unlinked");
        }
        catch (Exception cause) when (!IsNothing(cause, next))
        {
            Latch(cause);
            ThrowIfFull(cause);
            throw;
        }
    }

    // By name: who reads them keeps their handles.
    private void Unlink(SegmentFile[] segments, List<string> archives)
    {
        foreach (var segment in segments)
            _storage.Unlink(segment.Path);
        foreach (var archive in archives)
            _storage.Unlink(archive);
        if (segments.Length > 0)
            PublishedFile.SyncDirectory(_storage, LogNames.LogDirectory);
        if (archives.Count > 0)
            PublishedFile.SyncDirectory(_storage, LogNames.ArchiveDirectory);
    }

    internal override void Close(ulong endPosition, ulong lastSequence, long commitTime)
    {
        ThrowIfEnded();
        Invariant.Check(endPosition == _appended && _synced == _appended && _isSealed, "a clean close ends with a seal that is synced");
        try
        {
            lock (_prepareGate)
            lock (_manifestGate)
                CloseAt(endPosition, lastSequence, commitTime);
        }
        catch (Exception cause)
        {
            Latch(cause);
            throw;
        }
    }

    private void CloseAt(ulong endPosition, ulong lastSequence, long commitTime)
    {
        var ended = _manifest.Segments[^1].EndedAt(endPosition, DigestOfAll());
        _file!.SetLength(ended.FileBytes);
        _file.Sync();
        Failpoint.Hit("close.tail-cut");
        var next = _manifest with
        {
            Number = _manifest.Number + 1,
            DurablePosition = endPosition,
            IsClean = true,
            EndPosition = endPosition,
            LastSequence = lastSequence,
            CommitTime = Math.Max(_manifest.CommitTime, commitTime),
            PreviousDigest = _manifest.Digest(),
            Segments = [.. _manifest.Segments.SkipLast(1), ended],
        };
        Publish(next);
        Failpoint.Hit("close.manifest-published");
        next.UnlinkOlder(_storage);
        _isClosed = true;
        Volatile.Write(ref _manifest, next);
        DropPrepared();
    }

    public override void Dispose()
    {
        _isClosed = true;
        lock (_prepareGate)
        {
            _prepared?.Dispose();
            _prepared = null;
            _preparedBytes = 0;
        }

        foreach (var segment in _segments)
            segment.Dispose();
        _begun?.Dispose();
        Archive?.Dispose();
        lock (_digestGate)
        {
            _digest?.Dispose();
            _digest = null;
        }

        _file = null;
    }

    /// <summary>Gives a synced segment its name and makes the name durable.</summary>
    internal static void RenameSegment(IStorage storage, string oldPath, uint number)
    {
        try
        {
            PublishedFile.Rename(storage, oldPath, LogNames.SegmentPath(number));
        }
        catch (StorageException taken) when (taken.Error == StorageError.Exists)
        {
            throw Manifest.Fenced(LogNames.SegmentPath(number), taken);
        }
    }

    private void CheckSegmentFence(uint own)
    {
        Manifest.CheckFence(_storage, _manifest.Number + (Mutant.Is("manifest-before-data") ? 1u : 0u));
        foreach (var name in _storage.List(LogNames.LogDirectory))
        {
            if (LogNames.TryParseSegment(name, out var number) && number > own)
                throw Manifest.Fenced(LogNames.SegmentPath(number), null);
        }
    }

    private static int Find(SegmentFile[] segments, ulong position)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(position, segments[0].BasePosition);
        int low = 0, high = segments.Length - 1;
        while (low < high)
        {
            var middle = (low + high + 1) / 2;
            if (segments[middle].BasePosition <= position)
                low = middle;
            else
                high = middle - 1;
        }

        return low;
    }

    private static ulong Count(ReadOnlySpan<byte> records, out RecordType last)
    {
        var count = 0ul;
        last = 0;
        while (records.Length > 0)
        {
            Invariant.Check(RecordHeader.TryRead(records, out var header) && header.RecordLength <= records.Length, "whole records are appended");
            last = header.Type;
            records = records[(int)header.RecordLength..];
            count++;
        }

        return count;
    }

    private void DropPrepared()
    {
        if (_prepared is null)
            return;
        _prepared.Dispose();
        _prepared = null;
        Volatile.Write(ref _preparedBytes, 0);
        _storage.Unlink(LogNames.PreparedPath);
    }

    private void ThrowIfEnded()
    {
        ThrowIfFailed();
        ObjectDisposedException.ThrowIf(_isClosed, this);
    }

    private void ThrowIfFailed()
    {
        if (Volatile.Read(ref _failure) is { } cause)
            throw new DatabaseFailedException(ErrorCode.DatabaseFailed, "The log failed earlier; reopen the database to recover.", cause);
    }

    /// <summary>Remembers the first failure (4).</summary>
    private void Latch(Exception cause) => Interlocked.CompareExchange(ref _failure, cause, null);
}

/// <summary>The segment that recovery hands over, open for appending.</summary>
internal sealed record OpenSegment(IFile File, long FileBytes, RunningDigest Digest, ulong RecordCount, ulong Appended) : IDisposable
{
    public void Dispose()
    {
        File.Dispose();
        Digest.Dispose();
    }
}
