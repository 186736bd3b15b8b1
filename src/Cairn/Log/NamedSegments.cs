using Cairn.Storage;

namespace Cairn.Log;

/// <summary>The segments that a manifest names, read by position while recovery has no living log yet. What recovery has not come to may
/// not be asked for: only records that were scanned are known to be whole.</summary>
internal sealed class NamedSegments : ILogBytes, IDisposable
{
    private readonly SegmentFile[] _segments;

    internal NamedSegments(IStorage storage, Manifest manifest)
    {
        _segments = new SegmentFile[manifest.Segments.Count];
        for (var i = 0; i < _segments.Length; i++)
            _segments[i] = new SegmentFile(storage, manifest.Segments[i], manifest.DatabaseId, previous: null);
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
