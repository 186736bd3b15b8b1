using System.Buffers;

namespace Cairn.Log;

/// <summary>Reads records of a living log: one by its position (replay follows the positions in run parts), or all from a
/// position on (<see cref="Scan"/>). Every record is checked before it is handed out; one that is not right is corruption, for
/// what a living log holds was acknowledged. Owns one buffer; not thread-safe: one reader per reading thread.</summary>
internal sealed class LogReader(SegmentedLog log) : IDisposable
{
    /// <summary>First guess of a record's length, so that a small one costs one call.</summary>
    private const int FirstReadBytes = 4096;

    private byte[] _buffer = ArrayPool<byte>.Shared.Rent(FirstReadBytes);

    /// <summary>Reads the record that begins at a position.</summary>
    /// <param name="payload">Good until the next call.</param>
    /// <exception cref="CorruptionException">No whole record begins there.</exception>
    internal RecordHeader Read(ulong position, out ReadOnlySpan<byte> payload)
    {
        Span<byte> salt = stackalloc byte[RecordFrame.SaltBytes];
        log.SaltAt(position, salt);
        var salted = RecordFrame.Salted(salt);

        var read = log.Read(position, _buffer.AsSpan(0, FirstReadBytes));
        if (read < RecordHeader.Size || !RecordFrame.IsHeaderRight(salted, position, _buffer)
            || !RecordHeader.TryRead(_buffer, out var header) || header.Length > RecordFrame.PayloadBytesMax)
            throw Damaged(position, "a record header that belongs here");

        var recordLength = (int)header.RecordLength;
        if (recordLength > read)
        {
            Grow(recordLength);
            read = log.Read(position, _buffer.AsSpan(0, recordLength));
        }

        payload = _buffer.AsSpan(RecordHeader.Size, Math.Min((int)header.Length, Math.Max(0, read - RecordHeader.Size)));
        if (read < recordLength || RecordFrame.PayloadCheck(salted, payload) != header.PayloadCheck)
            throw Damaged(position, "the payload that its check was taken of");
        return header;
    }

    /// <summary>All records from a position (of a record, or of a segment's base) to the last append, in order.</summary>
    internal LogScan Scan(ulong fromPosition) => new(this, fromPosition);

    public void Dispose()
    {
        if (_buffer.Length > 0)
            ArrayPool<byte>.Shared.Return(_buffer);
        _buffer = [];
    }

    internal bool HasRecordAt(ulong position) => position < log.AppendedPosition;

    private CorruptionException Damaged(ulong position, string expected)
    {
        var segment = log.SegmentAt(position);
        return new CorruptionException(segment.Path, segment.OffsetOf(position), new Sequence(segment.FirstSequence), expected);
    }

    private void Grow(int bytes)
    {
        if (_buffer.Length >= bytes)
            return;
        ArrayPool<byte>.Shared.Return(_buffer);
        _buffer = ArrayPool<byte>.Shared.Rent(bytes);
    }
}

/// <summary>Walks a living log: <c>while (scan.MoveNext()) ...</c></summary>
internal ref struct LogScan
{
    private readonly LogReader _reader;
    private ulong _next;

    internal LogScan(LogReader reader, ulong fromPosition)
    {
        _reader = reader;
        _next = fromPosition;
    }

    internal ulong Position { get; private set; }

    internal RecordHeader Header { get; private set; }

    /// <summary>Good until the next <see cref="MoveNext"/>.</summary>
    internal ReadOnlySpan<byte> Payload { get; private set; }

    /// <exception cref="CorruptionException">A record is damaged.</exception>
    internal bool MoveNext()
    {
        if (!_reader.HasRecordAt(_next))
            return false;
        Position = _next;
        Header = _reader.Read(_next, out var payload);
        Payload = payload;
        _next += (ulong)Header.RecordLength;
        return true;
    }
}
