using System.Buffers.Binary;

namespace Cairn.Store;

/// <summary>
/// The keys that the newest commits of a run wrote, in a ring of bytes: so that a range read can be validated outside the run's
/// lock and only the difference inside (TX-40). Used under the run's lock only.
/// </summary>
internal class RecentWrites(ulong since, int capacity = RecentWrites.Capacity)
{
    internal const int Capacity = 64 << 10;
    private const int Header = 10;

    private readonly byte[] _ring = new byte[capacity];
    private int _head;
    private int _used;

    /// <summary>Every key written after this sequence is still here.</summary>
    internal ulong CompleteSince { get; private set; } = since;

    internal virtual void Add(ulong sequence, ReadOnlySpan<byte> key)
    {
        var bytes = Header + key.Length;
        while (_used + bytes > Capacity)
            DropOldest();
        Span<byte> header = stackalloc byte[Header];
        BinaryPrimitives.WriteUInt64LittleEndian(header, sequence);
        BinaryPrimitives.WriteUInt16LittleEndian(header[8..], (ushort)key.Length);
        Write(_head + _used, header);
        Write(_head + _used + Header, key);
        _used += bytes;
    }

    /// <summary>True when a key in [from, to) was written after a sequence. An empty <paramref name="to"/> has no upper bound.</summary>
    internal bool Find(ReadOnlySpan<byte> from, ReadOnlySpan<byte> to, ulong after, out byte[] key, out ulong sequence)
    {
        Span<byte> header = stackalloc byte[Header];
        Span<byte> candidate = stackalloc byte[Limits.KeyBytesMax * 2];
        for (var at = 0; at < _used;)
        {
            Read(_head + at, header);
            sequence = BinaryPrimitives.ReadUInt64LittleEndian(header);
            var length = BinaryPrimitives.ReadUInt16LittleEndian(header[8..]);
            if (sequence > after)
            {
                var bytes = candidate[..length];
                Read(_head + at + Header, bytes);
                if (bytes.SequenceCompareTo(from) >= 0 && (to.IsEmpty || bytes.SequenceCompareTo(to) < 0))
                {
                    key = bytes.ToArray();
                    return true;
                }
            }

            at += Header + length;
        }

        key = [];
        sequence = 0;
        return false;
    }

    private void DropOldest()
    {
        Span<byte> header = stackalloc byte[Header];
        Read(_head, header);
        CompleteSince = BinaryPrimitives.ReadUInt64LittleEndian(header);
        var bytes = Header + BinaryPrimitives.ReadUInt16LittleEndian(header[8..]);
        _head = (_head + bytes) % Capacity;
        _used -= bytes;
    }

    private void Write(int at, ReadOnlySpan<byte> bytes)
    {
        at %= Capacity;
        var first = Math.Min(bytes.Length, Capacity - at);
        bytes[..first].CopyTo(_ring.AsSpan(at));
        bytes[first..].CopyTo(_ring);
    }

    private void Read(int at, Span<byte> target)
    {
        at %= Capacity;
        var first = Math.Min(target.Length, Capacity - at);
        _ring.AsSpan(at, first).CopyTo(target);
        _ring.AsSpan(0, target.Length - first).CopyTo(target[first..]);
    }
}
