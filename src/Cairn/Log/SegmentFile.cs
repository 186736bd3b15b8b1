using System.Buffers.Binary;
using Cairn.Storage;

namespace Cairn.Log;

/// <summary>One segment that is part of the log, for readers: where it lies in the log, its salt, and a handle that is opened
/// at first use and closed when the last reader lets go. Thread-safe.</summary>
internal sealed class SegmentFile : IDisposable
{
    private readonly IStorage _storage;
    private readonly Lock _gate = new();
    private readonly byte[] _salt = new byte[RecordFrame.SaltBytes];
    private IFile? _file;
    private int _pins = 1;      // one for being part of the log; 0 = closed for ever
    private bool _isRetired;

    internal SegmentFile(IStorage storage, in SegmentHeader header, IFile? file = null)
    {
        _storage = storage;
        _file = file;
        Number = header.Number;
        BasePosition = header.BasePosition;
        FirstSequence = header.FirstSequence;
        FirstChain = header.PreviousDigest.Chain;
        BinaryPrimitives.WriteUInt128LittleEndian(_salt, header.Salt);
    }

    internal uint Number { get; }

    internal ulong BasePosition { get; }

    internal ulong FirstSequence { get; }

    internal uint FirstChain { get; }

    internal ReadOnlySpan<byte> Salt => _salt;

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
