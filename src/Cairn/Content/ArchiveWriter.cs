using System.Buffers.Binary;
using Cairn.Log;
using Cairn.Storage;

namespace Cairn.Content;

/// <summary>
/// Writes one archive, front to back. Data is written as it comes; the entries of its sections (24 bytes for each stretch that follows a
/// gap, 32 for each record of a run) stay in memory until <see cref="Finish"/>, so the caller ends an archive when
/// <see cref="Entries"/> has grown. <see cref="Finish"/> publishes in the order of <see cref="PublishedFile"/>, and only what was read
/// back and is right; before that, and after a failure, there is only a <c>.part</c>. Not thread-safe.
/// </summary>
internal sealed class ArchiveWriter : IDisposable
{
    private const int BufferBlocks = 16;
    private const int EntriesPerStep = 16 << 10;
    private const long SyncedAtOnce = 4 << 20;

    private readonly IStorage _storage;
    private readonly uint _number;
    private readonly UInt128 _databaseId;
    private readonly UInt128 _salt;
    private readonly string _path;
    private readonly uint _salted;
    private readonly IFile _file;
    private readonly RunningDigest _digest = new();
    private readonly byte[] _buffer = new byte[BufferBlocks * (ArchiveFormat.BlockBytes + ArchiveFormat.CheckBytes)];
    private readonly List<ArchivePiece> _pieces = [];
    private readonly List<ArchiveSource> _sources = [];
    private readonly List<ArchivedRecord> _records = [];
    private readonly List<ArchiveFloor> _floors = [];
    private readonly List<byte> _marks = [];
    private int _filled;            // of the buffer: whole blocks with their checks, then the block under way
    private int _blockBytes;        // of the block under way
    private long _written;          // of the file
    private long _synced;
    private long _stream;
    private long _data;
    private bool _isFinished;
    private bool _isDisposed;

    /// <param name="storage">Where the database lives.</param>
    /// <param name="number">The archive's; never used before in this database.</param>
    /// <param name="databaseId">Of the database.</param>
    /// <param name="salt">Random; seeds every check of the file.</param>
    internal ArchiveWriter(IStorage storage, uint number, UInt128 databaseId, UInt128 salt)
    {
        Invariant.Check(number > 0, "archives are numbered from 1");
        _storage = storage;
        _number = number;
        _databaseId = databaseId;
        _salt = salt;
        _path = LogNames.ArchivePath(number);
        _salted = SealedFileHeader.Salted(salt);
        if (!storage.Exists(LogNames.ArchiveDirectory))
        {
            storage.CreateDirectory(LogNames.ArchiveDirectory);
            PublishedFile.SyncDirectory(storage, LogNames.Root);
        }

        if (storage.Exists(_path + LogNames.Part))
            storage.Unlink(_path + LogNames.Part);           // of an attempt before this one, which could not remove it
        _file = storage.CreateNew(_path + LogNames.Part);
        Span<byte> header = stackalloc byte[SealedFileHeader.Size];
        new SealedFileHeader(FormatFeatures.Current, databaseId, number, salt).Write(ArchiveFormat.Magic, header);
        try
        {
            _file.WriteAt(header, 0);
        }
        catch
        {
            Dispose();
            throw;
        }

        _digest.Append(header);
        _written = header.Length;
    }

    /// <summary>Bytes of the log in it so far.</summary>
    internal long DataBytes => _data;

    /// <summary>Entries that wait in memory.</summary>
    internal int Entries => _pieces.Count + _records.Count;

    /// <summary>What is added from now on lies in this segment; they come in the order of the log.</summary>
    internal void BeginSource(in ArchiveSource source)
    {
        Invariant.Check(
            source.BasePosition < source.End && (_sources.Count == 0 || _sources[^1].End <= source.BasePosition),
            "segments are archived in the order of the log");
        _sources.Add(source);
    }

    /// <summary>Keeps bytes of the log. In order of position; what touches the stretch before becomes one with it.</summary>
    internal void Add(ulong position, ReadOnlySpan<byte> bytes)
    {
        Invariant.Check(!_isFinished && bytes.Length > 0 && _sources.Count > 0, "an open archive takes bytes of a segment");
        var source = _sources[^1];
        Invariant.Check(
            position >= source.BasePosition && position + (ulong)bytes.Length <= source.End,
            "a stretch lies in the segment it is said to come from");
        if (_pieces.Count > 0 && _pieces[^1] is var last && last.End == position && last.Source == _sources.Count - 1
            && last.Length <= int.MaxValue - bytes.Length)
        {
            _pieces[^1] = last with { Length = last.Length + bytes.Length };
        }
        else
        {
            Invariant.Check(_pieces.Count == 0 || _pieces[^1].End <= position, "stretches come in the order of the log");
            _pieces.Add(new ArchivePiece(position, _data, bytes.Length, _sources.Count - 1));
        }

        _data += bytes.Length;
        Append(bytes);
    }

    /// <summary>The stretch at a position holds a record with a part of a run.</summary>
    /// <param name="kept">Which operations of the part are needed.</param>
    internal void AddRecord(RunId run, ulong position, KeptOperations kept)
    {
        Invariant.Check(_marks.Count <= int.MaxValue - kept.Bytes.Length, "marks of an archive are counted in 32 bits");
        _records.Add(new ArchivedRecord(run, position, (uint)_marks.Count, kept.Count));
        _marks.AddRange(kept.Bytes);
    }

    /// <summary>Records of a run were left out.</summary>
    internal void AddFloor(in ArchiveFloor floor) => _floors.Add(floor);

    /// <summary>It is getting its name: from here on any failure is final, a full disk too (5.5).</summary>
    internal bool IsPublishing { get; private set; }

    /// <summary>The archive, once it is finished.</summary>
    internal ManifestArchive Named { get; private set; }

    /// <summary>Ends the file, reads it back, and publishes it, in steps of bounded work.</summary>
    /// <param name="firstPosition">Of the part of the log that it stands for: what lies in there and was not added is gone.</param>
    /// <param name="endPosition">Behind it.</param>
    /// <exception cref="StorageException">A failed sync is final, as everywhere.</exception>
    /// <exception cref="CorruptionException">What was read back is not what was written.</exception>
    internal IEnumerable<Step> Finish(ulong firstPosition, ulong endPosition)
    {
        Invariant.Check(!_isFinished && !_isDisposed, "an archive is finished once");
        Invariant.Check(
            firstPosition <= endPosition
            && (_pieces.Count == 0 || (_pieces[0].Position >= firstPosition && _pieces[^1].End <= endPosition)),
            "an archive holds what lies in its part of the log");
        _isFinished = true;
        _records.Sort();
        _floors.Sort((left, right) => left.Run.CompareTo(right.Run));
        yield return default;
        foreach (var step in WriteSections())
            yield return step;
        var footer = WriteFooter(firstPosition, endPosition);
        Failpoint.Hit("archive.written-before-sync");
        PublishedFile.Sync(_file);
        Failpoint.Hit("archive.synced-before-verified");
        var named = new ManifestArchive(_number, footer.FileBytes, firstPosition, endPosition, _digest.Current());
        _file.Dispose();
        if (!Mutant.Is("archive-not-verified"))
        {
            using var copy = new Archive(_storage, named, _databaseId, _path + LogNames.Part);
            foreach (var step in copy.VerifyInSteps())
                yield return step;
        }

        Failpoint.Hit("archive.verified-before-named");
        IsPublishing = true;
        PublishedFile.Rename(_storage, _path + LogNames.Part, _path);
        Failpoint.Hit("archive.named");
        _isDisposed = true;
        _digest.Dispose();
        Named = named;
    }

    /// <summary>Throws away what was not finished. A <c>.part</c> that cannot be removed goes at the next opening.</summary>
    public void Dispose()
    {
        if (_isDisposed)
            return;
        _isDisposed = true;
        _isFinished = true;
        _digest.Dispose();
        _file.Dispose();
        try
        {
            _storage.Unlink(_path + LogNames.Part);
        }
        catch (StorageException)
        {
            // Nothing names it; why the archive was given up is what the caller has to hear.
        }
    }

    private ArchiveSection _pieceSection, _sourceSection, _recordSection, _floorSection, _markSection;

    private IEnumerable<Step> WriteSections()
    {
        while (_stream % ArchiveFormat.Alignment != 0)
            Append([0]);
        _pieceSection = new ArchiveSection(_stream, _pieces.Count);
        for (var i = 0; i < _pieces.Count; i++)
        {
            Append(_pieces[i]);
            if (i % EntriesPerStep == EntriesPerStep - 1)
                yield return default;
        }

        _sourceSection = new ArchiveSection(_stream, _sources.Count);
        foreach (var source in _sources)
            Append(source);
        _recordSection = new ArchiveSection(_stream, _records.Count);
        for (var i = 0; i < _records.Count; i++)
        {
            Append(_records[i]);
            if (i % EntriesPerStep == EntriesPerStep - 1)
                yield return default;
        }

        _floorSection = new ArchiveSection(_stream, _floors.Count);
        foreach (var floor in _floors)
            Append(floor);
        _markSection = new ArchiveSection(_stream, _marks.Count);
        Append(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_marks));
        EndBlock();
        Flush();
    }

    private void Append(in ArchivePiece piece)
    {
        Span<byte> entry = stackalloc byte[ArchivePiece.Size];
        piece.Write(entry);
        Append(entry);
    }

    private void Append(in ArchiveSource source)
    {
        Span<byte> entry = stackalloc byte[ArchiveSource.Size];
        source.Write(entry);
        Append(entry);
    }

    private void Append(in ArchivedRecord record)
    {
        Span<byte> entry = stackalloc byte[ArchivedRecord.Size];
        record.Write(entry);
        Append(entry);
    }

    private void Append(in ArchiveFloor floor)
    {
        Span<byte> entry = stackalloc byte[ArchiveFloor.Size];
        floor.Write(entry);
        Append(entry);
    }

    private ArchiveFooter WriteFooter(ulong firstPosition, ulong endPosition)
    {
        var footer = new ArchiveFooter(
            _data, _pieceSection, _sourceSection, _recordSection, _floorSection, _markSection, _stream, firstPosition, endPosition,
            _written + ArchiveFooter.Size);
        Invariant.Check(footer.FileBytes == ArchiveFormat.FileBytes(_stream), "an archive is as long as its stream makes it");
        Span<byte> bytes = stackalloc byte[ArchiveFooter.Size];
        footer.Write(bytes, _salted, _written);
        _file.WriteAt(bytes, _written);
        _digest.Append(bytes);
        return footer;
    }

    private void Append(ReadOnlySpan<byte> bytes)
    {
        _stream += bytes.Length;
        while (bytes.Length > 0)
        {
            var taken = Math.Min(bytes.Length, ArchiveFormat.BlockBytes - _blockBytes);
            bytes[..taken].CopyTo(_buffer.AsSpan(_filled));
            bytes = bytes[taken..];
            _filled += taken;
            _blockBytes += taken;
            if (_blockBytes == ArchiveFormat.BlockBytes)
                EndBlock();
        }
    }

    private void EndBlock()
    {
        if (_blockBytes == 0)
            return;
        var start = _filled - _blockBytes;
        var check = SealedFileHeader.Check(_salted, _written + start, _buffer.AsSpan(start, _blockBytes));
        BinaryPrimitives.WriteUInt32LittleEndian(_buffer.AsSpan(_filled), check);
        _filled += ArchiveFormat.CheckBytes;
        _blockBytes = 0;
        if (_filled > _buffer.Length - ArchiveFormat.BlockBytes - ArchiveFormat.CheckBytes)
            Flush();
    }

    private void Flush()
    {
        if (_filled == 0)
            return;
        _file.WriteAt(_buffer.AsSpan(0, _filled), _written);
        _digest.Append(_buffer.AsSpan(0, _filled));
        _written += _filled;
        _filled = 0;

        // So that no step, the last one least of all, waits for much of the file at once.
        if (_written - _synced < SyncedAtOnce)
            return;
        _file.DataSync();
        _synced = _written;
    }
}
