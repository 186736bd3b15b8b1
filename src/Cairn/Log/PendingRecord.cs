namespace Cairn.Log;

/// <summary>
/// A record on its way into the log: one buffer that holds header, payload and padding, and its place once it has one.
/// Filled by one committer outside and inside the run locks, then read once by the log's writer. Reused: the owner may fill it
/// again as soon as its sequence is visible (or, without a wait, when the writer gives it back).
/// </summary>
internal sealed class PendingRecord
{
    private const int HeaderBytes = RecordHeader.Size;
    internal const int FirstCapacity = 1024;

    /// <summary>Above this a buffer is not kept for reuse.</summary>
    internal const int KeptCapacity = 1 << 20;

    private byte[] _buffer = Allocate(FirstCapacity);
    private volatile bool _filled;

    /// <summary>Bytes of payload written so far.</summary>
    internal int PayloadLength { get; private set; }

    internal RecordType Type { get; set; } = RecordType.Transaction;

    /// <summary>The commit asks for a sync before it is visible.</summary>
    internal bool NeedsSync { get; set; }

    /// <summary>What the commit is counted as.</summary>
    internal OperationClass Class { get; set; }

    /// <summary>The writer gives the record back to the pool (nobody waits for it by its buffer).</summary>
    internal bool IsPooled { get; set; }

    // The place, set by LogWriter.TryTake.
    internal ulong Sequence { get; set; }

    internal ulong Position { get; set; }

    internal long Time { get; set; }

    internal long Slot { get; set; }

    /// <summary>Set by the committer as its last touch; the writer takes contiguous filled records only.</summary>
    internal bool IsFilled
    {
        get => _filled;
        set => _filled = value;
    }

    /// <summary>Header, payload and padding.</summary>
    internal int RecordLength => (int)RecordFrame.LengthOf(PayloadLength);

    internal Span<byte> Record => _buffer.AsSpan(0, RecordLength);

    internal ReadOnlyMemory<byte> RecordMemory => _buffer.AsMemory(0, RecordLength);

    internal Span<byte> Payload => _buffer.AsSpan(HeaderBytes, PayloadLength);

    internal void Reset()
    {
        PayloadLength = 0;
        Type = RecordType.Transaction;
        NeedsSync = false;
        IsPooled = false;
        _filled = false;
        if (_buffer.Length > KeptCapacity)
            _buffer = Allocate(FirstCapacity);
    }

    /// <summary>Takes the end of the payload back.</summary>
    internal void Truncate(int payloadLength)
    {
        Invariant.Check(payloadLength <= PayloadLength && !_filled, "what is taken back was written and not handed over");
        PayloadLength = payloadLength;
    }

    /// <summary>Room for more payload at its end; the record is 8-byte padded by <see cref="RecordFrame"/>.</summary>
    internal Span<byte> Extend(int bytes)
    {
        var start = HeaderBytes + PayloadLength;
        var needed = checked(start + bytes + 8);
        if (needed > _buffer.Length)
            Grow(needed);
        PayloadLength += bytes;
        return _buffer.AsSpan(start, bytes);
    }

    private void Grow(int needed)
    {
        var larger = Allocate(Math.Max(needed, checked((int)Math.Min(2L * _buffer.Length, Array.MaxLength))));
        _buffer.AsSpan(0, HeaderBytes + PayloadLength).CopyTo(larger);
        _buffer = larger;
    }

    // Pinned, so that a write hands the system an address that stays.
    private static byte[] Allocate(int bytes) => GC.AllocateUninitializedArray<byte>(bytes, pinned: true);
}
