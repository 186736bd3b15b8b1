// An archive: what retention kept of segments that the log has given up
// ---------------------------------------------------------------------
// A position names bytes of the log for ever (docs/storage.md). When a segment goes, the stretches of it that are still needed are copied
// into an archive, and the archive answers for their positions. Nothing that refers to them is written again: neither tables, nor the
// links between the records of a run.
//
//      log, before    |0 ....... segment 1 ......|400 .... segment 2 .....|800 ... segment 3
//                        ^^^  ^^^^^^                     ^^   ^^^^             needed: contents, records
//      archive        [0, 800)  data:    ^^^ ^^^^^^ ^^ ^^^^
//                               pieces:  (40, 3) (48, 6) (530, 2) (560, 4)     position, length, where in the data
//                               sources: segments 1 and 2 with their salts     so that a record is still proven by its own checks
//                               records: (run, position, marks) ...            what was kept of a run, to be walked back over gaps
//                               floors:  (run, sequence, time, below) ...      from where on that answers every question
//      log, after     |800 ... segment 3
//
// The file is a header, one stream of bytes in blocks of 16 KiB with a check behind each, and a footer. The stream holds the data, then
// the sections: entries of one size, sorted, so that each is searched by halves: O(log n) reads, of which the first few are in the cache.
//
//  A1  An archive never changes. What no manifest names is not part of the database.
//  A2  Copy, verify the copy, publish, drop the segment from the manifest in the same step, and only then unlink it (durability rules
//      9.3, 9.7). A crash anywhere leaves the old placement or the new one, complete.
//  A3  What was kept is handed out after its block's check; a record is checked by its own checks too, a content by its reference's.
//      Damage is Corruption with a place. A position that was not kept is no damage here: who asked for it knows whether it should be.
//  A4  The parts of the log that archives stand for do not overlap, and lie below the first segment.
//
// Not here: what is needed (Primitives/HistoryNeeds.cs), and when to look for it (Maintenance/LogCompaction.cs).

using System.Buffers;
using System.Buffers.Binary;
using Cairn.Log;
using Cairn.Storage;

namespace Cairn.Content;

/// <summary>One archive, for readers. Opened at first use; closed when it is retired and the last reader lets go. Thread-safe.</summary>
internal sealed class Archive : IDisposable
{
    private const int StepBytes = 1 << 20;
    private const int EntriesPerStep = 16 << 10;
    private const int KeptBlocks = 64;      // of the sections: 1 MiB holds the upper steps of any search

    private readonly IStorage _storage;
    private readonly UInt128 _databaseId;
    private readonly Lock _gate = new();
    private readonly byte[]?[] _kept = new byte[KeptBlocks][];
    private readonly long[] _keptAt = new long[KeptBlocks];
    private Opened? _opened;
    private int _pins = 1;                  // one for being part of the database; 0 = closed for ever
    private bool _isRetired;

    internal Archive(IStorage storage, in ManifestArchive named, UInt128 databaseId, string? path = null)
    {
        _storage = storage;
        _databaseId = databaseId;
        Named = named;
        Path = path ?? LogNames.ArchivePath(named.Number);
    }

    internal ManifestArchive Named { get; }

    internal string Path { get; }

    internal ulong FirstPosition => Named.FirstPosition;

    internal ulong EndPosition => Named.EndPosition;

    /// <summary>Keeps it open until <see cref="Unpin"/>.</summary>
    /// <returns>False when it is no longer part of the database.</returns>
    internal bool TryPin()
    {
        lock (_gate)
        {
            if (_pins == 0)
                return false;
            _pins++;
            return true;
        }
    }

    internal void Unpin()
    {
        Opened? ended;
        lock (_gate)
        {
            if (--_pins > 0)
                return;
            ended = _opened;
            _opened = null;
        }

        ended?.File.Dispose();
    }

    /// <summary>The database has given it up; readers that are inside finish first.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            if (_isRetired)
                return;
            _isRetired = true;
        }

        Unpin();
    }

    // ---- reading, by who holds a pin ------------------------------------------------------------------------------------------

    /// <summary>Bytes of the log that were kept.</summary>
    /// <exception cref="CorruptionException">The archive is damaged.</exception>
    internal long DataBytes => Open().Footer.DataBytes;

    internal long PieceCount => Open().Footer.Pieces.Count;

    internal long RecordCount => Open().Footer.Records.Count;

    /// <summary>See <see cref="LogArchive.Read"/>.</summary>
    internal int Read(ulong position, Span<byte> buffer)
    {
        var opened = Open();
        if (!TryFindPiece(opened, position, out var piece))
            return 0;
        var skipped = (long)(position - piece.Position);
        var wanted = (int)Math.Min(buffer.Length, piece.Length - skipped);
        ReadStream(opened, piece.Data + skipped, buffer[..wanted]);
        return wanted;
    }

    internal bool TrySourceAt(ulong position, out ArchiveSource source)
    {
        var opened = Open();
        source = default;
        if (!TryFindPiece(opened, position, out var piece))
            return false;
        source = ReadSource(opened, piece.Source);
        return true;
    }

    /// <summary>The offset in the file of the byte at a position; of its end when it was not kept.</summary>
    internal long OffsetOf(ulong position)
    {
        var opened = Open();
        return TryFindPiece(opened, position, out var piece)
            ? ArchiveFormat.OffsetOf(piece.Data + (long)(position - piece.Position))
            : Named.FileBytes;
    }

    /// <summary>The newest record of a run at or below a position.</summary>
    internal bool TryFindRecord(RunId run, ulong upTo, out ArchivedRecord found)
    {
        var opened = Open();
        var wanted = new ArchivedRecord(run, upTo, 0, 0);
        long low = 0, high = opened.Footer.Records.Count;       // the first behind the wanted one
        while (low < high)
        {
            var middle = low + (high - low) / 2;
            if (ReadRecord(opened, middle).CompareTo(wanted) <= 0)
                low = middle + 1;
            else
                high = middle;
        }

        found = low == 0 ? default : ReadRecord(opened, low - 1);
        return low > 0 && found.Run == run;
    }

    /// <summary>Which operations of a record are needed.</summary>
    internal KeptOperations MarksOf(in ArchivedRecord record)
    {
        if (record.Marked == 0)
            return KeptOperations.All;
        var opened = Open();
        var bytes = new byte[record.MarkBytes];
        ReadStream(opened, opened.Footer.Marks.Offset + record.Marks, bytes);
        return new KeptOperations(bytes, record.Marked);
    }

    /// <summary>The floor of a run; null when it has none.</summary>
    internal ArchiveFloor? FloorOf(RunId run)
    {
        var opened = Open();
        long low = 0, high = opened.Footer.Floors.Count;
        while (low < high)
        {
            var middle = low + (high - low) / 2;
            var floor = ReadFloor(opened, middle);
            if (floor.Run == run)
                return floor;
            if (floor.Run < run)
                low = middle + 1;
            else
                high = middle;
        }

        return null;
    }

    /// <summary>All that was kept, in the order of the log.</summary>
    internal IEnumerable<(ArchivePiece Piece, ArchiveSource Source)> Pieces()
    {
        var opened = Open();
        var source = default(ArchiveSource);
        var at = -1;
        for (long i = 0; i < opened.Footer.Pieces.Count; i++)
        {
            var piece = ReadPiece(opened, i);
            if (piece.Source != at)
                source = ReadSource(opened, at = piece.Source);
            yield return (piece, source);
        }
    }

    /// <summary>All records, by run and position.</summary>
    internal IEnumerable<ArchivedRecord> Records()
    {
        var opened = Open();
        for (long i = 0; i < opened.Footer.Records.Count; i++)
            yield return ReadRecord(opened, i);
    }

    /// <summary>One of them.</summary>
    internal ArchivedRecord RecordAt(long index) => ReadRecord(Open(), index);

    /// <summary>All floors, by run.</summary>
    internal IEnumerable<ArchiveFloor> Floors()
    {
        var opened = Open();
        for (long i = 0; i < opened.Footer.Floors.Count; i++)
            yield return ReadFloor(opened, i);
    }

    /// <summary>Reads all of it: SHA-256, every block, the order of all sections, and every record by its own checks.</summary>
    /// <exception cref="CorruptionException">The first thing that is wrong.</exception>
    internal void Verify()
    {
        foreach (var _ in VerifyInSteps())
        {
        }
    }

    /// <summary>The same in steps of bounded work.</summary>
    internal IEnumerable<Step> VerifyInSteps()
    {
        var opened = Open();
        var buffer = new byte[StepBytes];
        using (var digest = new RunningDigest())
        {
            for (long offset = 0; offset < Named.FileBytes;)
            {
                var wanted = (int)Math.Min(buffer.Length, Named.FileBytes - offset);
                if (opened.File.ReadAt(buffer.AsSpan(0, wanted), offset) < wanted)
                    throw Damaged(offset, "more bytes");
                digest.Append(buffer.AsSpan(0, wanted));
                offset += wanted;
                yield return new Step(wanted);
            }

            if (digest.Current() != Named.Digest)
                throw Damaged(0, $"SHA-256 {Named.Digest}");
        }

        var data = 0L;
        var end = FirstPosition;
        var sources = VerifySources(opened);
        for (long i = 0; i < opened.Footer.Pieces.Count; i++)
        {
            var piece = ReadPiece(opened, i);
            if (piece.Data != data || piece.Position < end || piece.Position < sources[piece.Source].BasePosition
                || piece.End > sources[piece.Source].End)
                throw Damaged(opened.Footer.Pieces, i, ArchivePiece.Size, "pieces in the order of the log");
            data += piece.Length;
            end = piece.End;
            if (i % EntriesPerStep == EntriesPerStep - 1)
                yield return default;
        }

        if (data != opened.Footer.DataBytes || end > EndPosition)
            throw Damaged(Named.FileBytes - ArchiveFooter.Size, "pieces that hold all the data");
        for (var at = 0L; at < data; at += buffer.Length)
        {
            ReadStream(opened, at, buffer.AsSpan(0, (int)Math.Min(buffer.Length, data - at)));
            yield return new Step(buffer.Length);
        }

        VerifyFloors(opened);
        foreach (var step in VerifyRecords(opened, sources))
            yield return step;
    }

    private ArchiveSource[] VerifySources(Opened opened)
    {
        var sources = new ArchiveSource[opened.Footer.Sources.Count];
        for (var i = 0; i < sources.Length; i++)
        {
            sources[i] = ReadSource(opened, i);
            if (sources[i].BasePosition >= sources[i].End || (i > 0 && sources[i].BasePosition < sources[i - 1].End))
                throw Damaged(opened.Footer.Sources, i, ArchiveSource.Size, "segments in the order of the log");
        }

        return sources;
    }

    private IEnumerable<Step> VerifyRecords(Opened opened, ArchiveSource[] sources)
    {
        var previous = default(ArchivedRecord);
        var bytes = 0L;
        for (long i = 0; i < opened.Footer.Records.Count; i++)
        {
            var record = ReadRecord(opened, i);
            var offset = ArchiveFormat.OffsetOf(opened.Footer.Records.Offset + i * ArchivedRecord.Size);
            if (i > 0 && record.CompareTo(previous) <= 0)
                throw Damaged(offset, "records by run and position");
            previous = record;
            bytes += VerifyRecord(opened, record, sources, offset);
            if (bytes < StepBytes)
                continue;
            yield return new Step((int)Math.Min(bytes, int.MaxValue));
            bytes = 0;
        }
    }

    private long VerifyRecord(Opened opened, in ArchivedRecord record, ArchiveSource[] sources, long offset)
    {
        Span<byte> head = stackalloc byte[RecordHeader.Size];
        Span<byte> salt = stackalloc byte[RecordFrame.SaltBytes];
        if (!TryFindPiece(opened, record.Position, out var piece) || Read(record.Position, head) < head.Length)
            throw Damaged(offset, $"the record of run {record.Run} at position {record.Position}");
        BinaryPrimitives.WriteUInt128LittleEndian(salt, sources[piece.Source].Salt);
        var salted = RecordFrame.Salted(salt);
        if (!RecordFrame.IsHeaderRight(salted, record.Position, head) || !RecordHeader.TryRead(head, out var header)
            || header.Length > RecordFrame.PayloadBytesMax)
            throw Damaged(OffsetOf(record.Position), "a record header that belongs here");
        var payload = ArrayPool<byte>.Shared.Rent((int)header.Length);
        try
        {
            var read = Read(record.Position + RecordHeader.Size, payload.AsSpan(0, (int)header.Length));
            if (read < (int)header.Length || RecordFrame.PayloadCheck(salted, payload.AsSpan(0, read)) != header.PayloadCheck)
                throw Damaged(OffsetOf(record.Position), "the payload that its check was taken of");
            return ArchiveFormat.BlockBytes + header.Length;       // what reading it cost
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(payload);
        }
    }

    private void VerifyFloors(Opened opened)
    {
        for (long i = 1; i < opened.Footer.Floors.Count; i++)
        {
            if (ReadFloor(opened, i).Run <= ReadFloor(opened, i - 1).Run)
                throw Damaged(opened.Footer.Floors, i, ArchiveFloor.Size, "floors by run");
        }
    }

    // ---- below ----------------------------------------------------------------------------------------------------------------

    private bool TryFindPiece(Opened opened, ulong position, out ArchivePiece piece)
    {
        long low = 0, high = opened.Footer.Pieces.Count;        // the first behind the position
        while (low < high)
        {
            var middle = low + (high - low) / 2;
            if (ReadPiece(opened, middle).Position <= position)
                low = middle + 1;
            else
                high = middle;
        }

        piece = low == 0 ? default : ReadPiece(opened, low - 1);
        return low > 0 && position < piece.End;
    }

    private ArchivePiece ReadPiece(Opened opened, long index)
    {
        Span<byte> entry = stackalloc byte[ArchivePiece.Size];
        ReadEntry(opened, opened.Footer.Pieces, index, entry);
        var piece = ArchivePiece.Read(entry);
        if (piece.Length <= 0 || piece.End < piece.Position || piece.Data < 0 || piece.Data > opened.Footer.DataBytes - piece.Length
            || (uint)piece.Source >= (ulong)opened.Footer.Sources.Count)
            throw Damaged(opened.Footer.Pieces, index, entry.Length, "a piece that lies in the data");
        return piece;
    }

    private ArchiveSource ReadSource(Opened opened, int index)
    {
        Span<byte> entry = stackalloc byte[ArchiveSource.Size];
        ReadEntry(opened, opened.Footer.Sources, index, entry);
        return ArchiveSource.Read(entry);
    }

    private ArchivedRecord ReadRecord(Opened opened, long index)
    {
        Span<byte> entry = stackalloc byte[ArchivedRecord.Size];
        ReadEntry(opened, opened.Footer.Records, index, entry);
        var record = ArchivedRecord.Read(entry);
        if (record.Marked < 0 || record.Marks > opened.Footer.Marks.Count - record.MarkBytes)
            throw Damaged(opened.Footer.Records, index, entry.Length, "a record with marks that are there");
        return record;
    }

    private ArchiveFloor ReadFloor(Opened opened, long index)
    {
        Span<byte> entry = stackalloc byte[ArchiveFloor.Size];
        ReadEntry(opened, opened.Footer.Floors, index, entry);
        return ArchiveFloor.Read(entry);
    }

    // An entry may lie across two blocks.
    private void ReadEntry(Opened opened, ArchiveSection section, long index, Span<byte> entry)
    {
        var at = section.Offset + index * entry.Length;
        while (entry.Length > 0)
        {
            var block = at / ArchiveFormat.BlockBytes;
            var content = SectionBlock(opened, block).AsSpan((int)(at % ArchiveFormat.BlockBytes));
            var taken = Math.Min(entry.Length, content.Length);
            content[..taken].CopyTo(entry);
            entry = entry[taken..];
            at += taken;
        }
    }

    // Blocks of sections are few and asked for again and again. A race stores one of two equal arrays.
    private byte[] SectionBlock(Opened opened, long block)
    {
        var slot = (int)(block % KeptBlocks);
        lock (_gate)
        {
            if (_kept[slot] is { } kept && _keptAt[slot] == block)
                return kept;
        }

        var start = block * ArchiveFormat.BlockBytes;
        var content = new byte[(int)Math.Min(ArchiveFormat.BlockBytes, opened.Footer.StreamBytes - start)];
        ReadStream(opened, start, content);
        lock (_gate)
        {
            _kept[slot] = content;
            _keptAt[slot] = block;
        }

        return content;
    }

    // A3: whole blocks are read and checked, and what was asked for is copied out of them.
    private void ReadStream(Opened opened, long at, Span<byte> target)
    {
        const int BlockOnFile = ArchiveFormat.BlockBytes + ArchiveFormat.CheckBytes;
        const int BlocksAtOnce = 16;
        var footer = opened.Footer;
        Invariant.Check(at >= 0 && at <= footer.StreamBytes - target.Length, "reads lie in the stream");
        var buffer = ArrayPool<byte>.Shared.Rent(Math.Min(BlocksAtOnce, target.Length / ArchiveFormat.BlockBytes + 2) * BlockOnFile);
        try
        {
            while (target.Length > 0)
            {
                var first = at / ArchiveFormat.BlockBytes;
                var last = Math.Min((at + target.Length - 1) / ArchiveFormat.BlockBytes, first + buffer.Length / BlockOnFile - 1);
                var start = first * ArchiveFormat.BlockBytes;
                var end = Math.Min((last + 1) * ArchiveFormat.BlockBytes, footer.StreamBytes);
                var bytes = (int)(end - start + (last - first + 1) * ArchiveFormat.CheckBytes);
                var offset = ArchiveFormat.OffsetOf(start);
                if (opened.File.ReadAt(buffer.AsSpan(0, bytes), offset) < bytes)
                    throw Damaged(offset, "more blocks");
                for (var block = first; block <= last; block++)
                {
                    var from = (int)(block - first) * BlockOnFile;
                    var length = (int)Math.Min(ArchiveFormat.BlockBytes, footer.StreamBytes - block * ArchiveFormat.BlockBytes);
                    var content = buffer.AsSpan(from, length);
                    var check = BinaryPrimitives.ReadUInt32LittleEndian(buffer.AsSpan(from + length));
                    if (check != SealedFileHeader.Check(opened.Salted, offset + from, content) && !Mutant.Is("archive-check-off"))
                        throw Damaged(offset + from, "a block with its check");
                    var skipped = (int)(at - block * ArchiveFormat.BlockBytes);
                    var taken = Math.Min(target.Length, length - skipped);
                    content.Slice(skipped, taken).CopyTo(target);
                    target = target[taken..];
                    at += taken;
                }
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    private Opened Open()
    {
        if (Volatile.Read(ref _opened) is { } opened)
            return opened;
        Opened mine;
        try
        {
            mine = OpenFile();
        }
        catch (CorruptionException) when (Volatile.Read(ref _opened) is not null && !Mutant.Is("archive-opened-by-name-alone"))
        {
            return _opened!;                                 // another opened it, and it was replaced and unlinked since
        }

        lock (_gate)
        {
            if (_opened is null && _pins > 0)
                return _opened = mine;
            opened = _opened;
        }

        mine.File.Dispose();
        ObjectDisposedException.ThrowIf(opened is null, this);
        return opened;
    }

    private Opened OpenFile()
    {
        IFile file;
        try
        {
            file = _storage.Open(Path, writable: false);
        }
        catch (StorageException missing) when (missing.Error == StorageError.NotFound)
        {
            throw Damaged(0, "the file that the manifest names; it is missing");
        }

        try
        {
            return Open(file);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    private Opened Open(IFile file)
    {
        if (file.Length != Named.FileBytes || Named.FileBytes < SealedFileHeader.Size + ArchiveFooter.Size)
            throw Damaged(Math.Min(file.Length, Named.FileBytes), $"a file of {Named.FileBytes} bytes, not {file.Length}");
        Span<byte> bytes = stackalloc byte[SealedFileHeader.Size];
        if (file.ReadAt(bytes, 0) < bytes.Length || !SealedFileHeader.TryRead(ArchiveFormat.Magic, bytes, out var header))
            throw Damaged(0, "the header of an archive");
        header.Format.Check(Path, forWriting: false);
        if (header.DatabaseId != _databaseId)
            throw Damaged(0, "an archive of this database; it belongs to another one");
        if (header.Number != Named.Number)
            throw Damaged(0, $"archive number {Named.Number}, not {header.Number}");
        var salted = SealedFileHeader.Salted(header.Salt);
        var offset = Named.FileBytes - ArchiveFooter.Size;
        bytes = bytes[..ArchiveFooter.Size];
        if (file.ReadAt(bytes, offset) < bytes.Length || !ArchiveFooter.TryRead(salted, offset, bytes, out var footer)
            || footer.FileBytes != Named.FileBytes)
            throw Damaged(offset, "the footer of an archive");
        if (footer.FirstPosition != Named.FirstPosition || footer.EndPosition != Named.EndPosition)
            throw Damaged(offset, $"positions {Named.FirstPosition} to {Named.EndPosition}");
        return new Opened(file, salted, footer);
    }

    private CorruptionException Damaged(ArchiveSection section, long index, int size, string expected) =>
        Damaged(ArchiveFormat.OffsetOf(section.Offset + index * size), expected);

    private CorruptionException Damaged(long offset, string expected) => new(Path, offset, Sequence.None, expected);

    private sealed record Opened(IFile File, uint Salted, ArchiveFooter Footer);
}
