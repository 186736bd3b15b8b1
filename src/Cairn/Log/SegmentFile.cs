using System.Buffers.Binary;
using Cairn.Storage;

namespace Cairn.Log;

/// <summary>One segment that is part of the log, for readers: where it lies in the log, its salt, and a handle that is opened
/// at first use and closed when the last reader lets go. One that lies before the checkpoint is not looked at when the database is opened:
/// its header is read and checked when somebody first asks for it. Thread-safe.</summary>
internal sealed class SegmentFile : IDisposable
{
    private readonly IStorage _storage;
    private readonly Lock _gate = new();
    private readonly byte[] _salt = new byte[RecordFrame.SaltBytes];
    private readonly ManifestSegment _named;
    private readonly UInt128 _databaseId;
    private readonly Digest _previous;
    private IFile? _file;
    private uint _firstChain;
    private volatile bool _hasHeader;
    private int _pins = 1;      // one for being part of the log; 0 = closed for ever
    private bool _isRetired;

    internal SegmentFile(IStorage storage, in SegmentHeader header, IFile? file = null)
    {
        _storage = storage;
        _file = file;
        Number = header.Number;
        BasePosition = header.BasePosition;
        FirstSequence = header.FirstSequence;
        Take(header);
    }

    /// <param name="named">As the manifest names it.</param>
    /// <param name="previous">Digest of the segment before; null when that is not known any more.</param>
    internal SegmentFile(IStorage storage, in ManifestSegment named, UInt128 databaseId, Digest? previous)
    {
        _storage = storage;
        _named = named;
        _databaseId = databaseId;
        _previous = previous ?? default;
        Number = named.Number;
        BasePosition = named.BasePosition;
        FirstSequence = named.FirstSequence;
    }

    internal uint Number { get; }

    internal ulong BasePosition { get; }

    internal ulong FirstSequence { get; }

    /// <exception cref="CorruptionException">The header is not that of this segment.</exception>
    internal uint FirstChain
    {
        get
        {
            ReadHeader();
            return _firstChain;
        }
    }

    /// <exception cref="CorruptionException">The header is not that of this segment.</exception>
    internal ReadOnlySpan<byte> Salt
    {
        get
        {
            ReadHeader();
            return _salt;
        }
    }

    private void ReadHeader()
    {
        if (_hasHeader)
            return;
        var file = TryPin() ?? throw new CorruptionException(Path, 0, new Sequence(FirstSequence), "a segment that is part of the log");
        try
        {
            var bytes = new byte[SegmentHeader.Size];
            if (file.ReadAt(bytes, 0) < bytes.Length || !SegmentHeader.TryRead(bytes, out var header))
                throw new CorruptionException(Path, 0, new Sequence(FirstSequence), "a segment header");
            header.Format.Check(Path, forWriting: false);
            if (header.FindMismatch(_named, _databaseId, _previous == default ? header.PreviousDigest : _previous) is { } expected)
                throw new CorruptionException(Path, 0, new Sequence(FirstSequence), expected);
            lock (_gate)
                Take(header);
        }
        finally
        {
            Unpin();
        }
    }

    private void Take(in SegmentHeader header)
    {
        _firstChain = header.PreviousDigest.Chain;
        BinaryPrimitives.WriteUInt128LittleEndian(_salt, header.Salt);
        _hasHeader = true;
    }

    internal string Path => LogNames.SegmentPath(Number);

    internal long OffsetOf(ulong position) => SegmentHeader.Size + (long)(position - BasePosition);

    /// <summary>Keeps the handle open until <see cref="Unpin"/>.</summary>
    /// <returns>Null when the segment is no longer part of the log.</returns>
    internal IFile? TryPin()
    {
        lock (_gate)
        {
            if (_pins == 0)
                return null;
            _file ??= _storage.Open(Path, writable: false);
            _pins++;
            return _file;
        }
    }

    internal void Unpin()
    {
        lock (_gate)
        {
            if (--_pins > 0)
                return;
            _file?.Dispose();
            _file = null;
        }
    }

    /// <summary>The log has given it up; readers that are inside finish first.</summary>
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
}
