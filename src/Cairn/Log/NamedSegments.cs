using Cairn.Storage;

namespace Cairn.Log;

/// <summary>The files of the log that a manifest names, read by position while recovery has no living log yet: an operation behind a
/// checkpoint may look at a value from long before, which has moved into an archive, and a fork of a past point is made of records. What
/// recovery has not come to may not be asked for: only records that were scanned are known to be whole.</summary>
internal sealed class NamedSegments : ILogRecords, IDisposable
{
    private readonly SegmentFile[] _segments;
    private readonly LogArchive _archive;

    /// <param name="archive">What was kept of segments that the log has given up; this one's from now on.</param>
    internal NamedSegments(IStorage storage, Manifest manifest, LogArchive archive)
    {
        _archive = archive;
        _segments = new SegmentFile[manifest.Segments.Count];
        for (var i = 0; i < _segments.Length; i++)
            _segments[i] = new SegmentFile(storage, manifest.Segments[i], manifest.DatabaseId, previous: null);
    }

    public ulong FirstPosition => Math.Min(_segments[0].BasePosition, _archive.FirstPosition);

    public ulong WrittenPosition => ulong.MaxValue;

    public int Read(ulong position, Span<byte> buffer)
    {
        if (position < _segments[0].BasePosition && !Mutant.Is("content-lost-in-recovery"))
            return _archive.Read(position, buffer);
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
        if (position < _segments[0].BasePosition)
        {
            var (path, offset) = _archive.PlaceOf(position);
            return new LogPlace(path, offset, 0);
        }

        var segment = _segments[Find(position)];
        return new LogPlace(segment.Path, segment.OffsetOf(position), segment.FirstSequence);
    }

    public ulong SegmentsFrom => _segments[0].BasePosition;

    public LogArchive Archive => _archive;

    public bool TrySaltAt(ulong position, Span<byte> salt)
    {
        if (position < _segments[0].BasePosition)
            return _archive.TrySaltAt(position, salt);
        _segments[Find(position)].Salt.CopyTo(salt);
        return true;
    }

    public ulong BaseOf(ulong position) => position < _segments[0].BasePosition ? position : _segments[Find(position)].BasePosition;

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
        _archive.Dispose();
    }
}
