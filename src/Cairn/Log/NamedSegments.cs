using Cairn.Storage;

namespace Cairn.Log;

/// <summary>The segments that a manifest names, read by position while recovery has no living log yet. What recovery has not come to may
/// not be asked for: only records that were scanned are known to be whole.</summary>
internal sealed class NamedSegments : ILogBytes, IDisposable
{
    private readonly SegmentFile[] _segments;

    /// <param name="headers">In the order of the log, at least one.</param>
    internal NamedSegments(IStorage storage, ReadOnlySpan<SegmentHeader> headers)
    {
        _segments = new SegmentFile[headers.Length];
        for (var i = 0; i < headers.Length; i++)
            _segments[i] = new SegmentFile(storage, headers[i]);
    }

    public ulong FirstPosition => _segments[0].BasePosition;

    public ulong WrittenPosition => ulong.MaxValue;

    public int Read(ulong position, Span<byte> buffer)
    {
        var index = Find(position);
        if (index + 1 < _segments.Length && _segments[index + 1].BasePosition - position < (ulong)buffer.Length)
            buffer = buffer[..(int)(_segments[index + 1].BasePosition - position)];
        if (_segments[index].TryPin() is not { } file)
            return 0;
        try
        {
            return file.ReadAt(buffer, _segments[index].OffsetOf(position));
        }
        finally
        {
            _segments[index].Unpin();
        }
    }

    public LogPlace PlaceOf(ulong position)
    {
        var segment = _segments[Find(position)];
        return new LogPlace(segment.Path, segment.OffsetOf(position), segment.FirstSequence);
    }

    private int Find(ulong position)
    {
        var index = _segments.Length - 1;
        while (index > 0 && _segments[index].BasePosition > position)
            index--;
        return index;
    }

    public void Dispose()
    {
        foreach (var segment in _segments)
            segment.Dispose();
    }
}
