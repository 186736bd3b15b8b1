using System.Buffers;

namespace Cairn.Log;

/// <summary>Reads records of a living log: one by its position (replay follows the positions in run parts), or all from a
/// position on (<see cref="Scan"/>). Every record is checked before it is handed out; one that is not right is corruption, for
/// what a living log holds was acknowledged. Owns one buffer; not thread-safe: one reader per reading thread.</summary>
internal sealed class LogReader(ILogRecords log) : IDisposable
{
    /// <summary>First guess of a record's length, so that a small one costs one call.</summary>
    private const int FirstReadBytes = 4096;

    /// <summary>Chosen: what is read at once of a chain whose records lie close together.</summary>
    private const int WindowBytes = 64 << 10;

    private byte[] _buffer = ArrayPool<byte>.Shared.Rent(FirstReadBytes);
    private byte[] _window = [];
    private ulong _windowAt;
    private int _windowUsed;
    private uint _windowSalted;
    private ulong _before;

    /// <summary>For who follows the positions of one run, back or forward: where they lie close together, the bytes between are read with
    /// them, and many records cost one call. Where they lie far apart nothing more is read than without.</summary>
    internal bool ReadsAlong { get; init; }

    /// <summary>Reads the record that begins at a position.</summary>
    /// <param name="payload">Good until the next call.</param>
    /// <exception cref="CorruptionException">No whole record begins there.</exception>
    internal RecordHeader Read(ulong position, out ReadOnlySpan<byte> payload) =>
        TryRead(position, out var header, out payload) ? header : throw Damaged(position, "a record; it was given up");

    /// <summary>The same for who reads one record after another: what was given up since he came to it is passed over.</summary>
    /// <param name="position">Where the record that was read begins.</param>
    internal RecordHeader ReadNext(scoped ref ulong position, out ReadOnlySpan<byte> payload)
    {
        while (true)
        {
            var first = log.SegmentsFrom;
            if (position >= first && TryRead(position, out var header, out payload))
                return header;
            position = Math.Max(position, log.SegmentsFrom);
        }
    }

    /// <summary>The same for a record that may have been given up: false, when nothing was kept there.</summary>
    /// <exception cref="CorruptionException">Something was kept, and it is no whole record.</exception>
    internal bool TryRead(ulong position, out RecordHeader header, out ReadOnlySpan<byte> payload)
    {
        header = default;
        payload = default;
        if (ReadsAlong && IsInWindow(position, out header, out payload))
            return true;
        Span<byte> salt = stackalloc byte[RecordFrame.SaltBytes];
        while (true)
        {
            var wasInSegment = position >= log.SegmentsFrom;
            if (!log.TrySaltAt(position, salt))
                return false;
            var damage = Read(position, RecordFrame.Salted(salt), out header, out payload);
            if (damage is null)
                return true;
            if (!wasInSegment || position >= log.SegmentsFrom)
                throw Damaged(position, damage);

            // The segment was given up between two looks: what an archive has of it is asked for again.
        }
    }

    /// <returns>What should have been there; null = it is.</returns>
    private string? Read(ulong position, uint salted, out RecordHeader header, out ReadOnlySpan<byte> payload)
    {
        payload = default;
        header = default;
        var read = log.Read(position, _buffer.AsSpan(0, FirstReadBytes));
        if (read < RecordHeader.Size || !RecordFrame.IsHeaderRight(salted, position, _buffer)
            || !RecordHeader.TryRead(_buffer, out header) || header.Length > RecordFrame.PayloadBytesMax)
            return "a record header that belongs here";

        var recordLength = (int)header.RecordLength;
        if (recordLength > read)
        {
            Grow(recordLength);
            read = log.Read(position, _buffer.AsSpan(0, recordLength));
        }

        payload = _buffer.AsSpan(RecordHeader.Size, Math.Min((int)header.Length, Math.Max(0, read - RecordHeader.Size)));
        return read < recordLength || RecordFrame.PayloadCheck(salted, payload) != header.PayloadCheck
            ? "the payload that its check was taken of"
            : null;
    }

    // A record that is wrong here, or not whole, is read by itself, and judged by that.
    private bool IsInWindow(ulong position, out RecordHeader header, out ReadOnlySpan<byte> payload)
    {
        payload = default;
        header = default;
        var before = _before;
        _before = position;
        if ((position < _windowAt || position >= _windowAt + (ulong)_windowUsed) && !TryMoveWindow(before, position))
            return false;
        var bytes = _window.AsSpan((int)(position - _windowAt), _windowUsed - (int)(position - _windowAt));
        if (!RecordHeader.TryRead(bytes, out header) || header.Length > RecordFrame.PayloadBytesMax || header.RecordLength > bytes.Length
            || !RecordFrame.IsHeaderRight(_windowSalted, position, bytes))
        {
            return false;
        }

        payload = bytes.Slice(RecordHeader.Size, (int)header.Length);
        return RecordFrame.PayloadCheck(_windowSalted, payload) == header.PayloadCheck;
    }

    // It never leaves a segment, so one salt is that of all in it. Below the log there is none: archives are in pieces.
    private bool TryMoveWindow(ulong before, ulong position)
    {
        _windowUsed = 0;
        var isBack = position < before;
        if (before == 0 || (isBack ? before - position : position - before) > WindowBytes / 4)
            return false;
        var first = log.BaseOf(position);
        Span<byte> salt = stackalloc byte[RecordFrame.SaltBytes];
        if (position < log.SegmentsFrom || !log.TrySaltAt(position, salt))
            return false;
        if (_window.Length == 0)
            _window = ArrayPool<byte>.Shared.Rent(WindowBytes);
        _windowSalted = RecordFrame.Salted(salt);
        _windowAt = isBack ? position - Math.Min(WindowBytes - FirstReadBytes, position - first) : position;
        _windowUsed = log.Read(_windowAt, _window.AsSpan(0, WindowBytes));
        return position < _windowAt + (ulong)_windowUsed;
    }

    /// <summary>All records from a position (of a record, or of a segment's base) to the last append, in order; without those that the log
    /// gives up meanwhile.</summary>
    internal LogScan Scan(ulong fromPosition) => new(this, fromPosition);

    public void Dispose()
    {
        if (_buffer.Length > 0)
            ArrayPool<byte>.Shared.Return(_buffer);
        if (_window.Length > 0)
            ArrayPool<byte>.Shared.Return(_window);
        _buffer = _window = [];
        _windowUsed = 0;
    }

    internal bool HasRecordAt(ulong position) => position < log.WrittenPosition;

    private CorruptionException Damaged(ulong position, string expected)
    {
        var (path, offset, sequence) = log.PlaceOf(position);
        return new CorruptionException(path, offset, new Sequence(sequence), expected);
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
        Header = _reader.ReadNext(ref _next, out var payload);
        Position = _next;
        Payload = payload;
        _next += (ulong)Header.RecordLength;
        return true;
    }
}
