using System.Buffers.Binary;

namespace Cairn.Codec;

/// <summary>Reads the parts of a key back, in the order they were written. Total (K3): whatever the bytes are, each call answers
/// true and moves on, or answers false and stays. Allocates nothing.</summary>
internal ref struct KeyReader(ReadOnlySpan<byte> key)
{
    private ReadOnlySpan<byte> _rest = key;

    /// <summary>What has not been read yet.</summary>
    internal readonly ReadOnlySpan<byte> Rest => _rest;

    /// <summary>True when all has been read.</summary>
    internal readonly bool IsAtEnd => _rest.IsEmpty;

    /// <summary>Reads one byte and gives it.</summary>
    internal bool TryTag(out byte tag)
    {
        tag = _rest.IsEmpty ? default : _rest[0];
        return TryTake(1, out _);
    }

    /// <summary>Reads one byte if it is this one.</summary>
    internal bool TryTag(byte expected) => !_rest.IsEmpty && _rest[0] == expected && TryTake(1, out _);

    /// <summary>Reads a number without sign of 4 bytes.</summary>
    internal bool TryUInt32(out uint value)
    {
        var found = TryTake(sizeof(uint), out var bytes);
        value = found ? BinaryPrimitives.ReadUInt32BigEndian(bytes) : default;
        return found;
    }

    /// <summary>Reads a number without sign of 8 bytes.</summary>
    internal bool TryUInt64(out ulong value)
    {
        var found = TryTake(sizeof(ulong), out var bytes);
        value = found ? BinaryPrimitives.ReadUInt64BigEndian(bytes) : default;
        return found;
    }

    /// <summary>Reads a number with sign.</summary>
    internal bool TryInt64(out long value)
    {
        var found = TryUInt64(out var ordered);
        value = found ? (long)(ordered ^ KeyCodec.SignBit) : default;
        return found;
    }

    /// <summary>Reads a Float64.</summary>
    internal bool TryFloat64(out double value)
    {
        var found = TryUInt64(out var ordered);
        value = found ? KeyCodec.FromOrdered(ordered) : default;
        return found;
    }

    /// <summary>Reads an identity.</summary>
    internal bool TryId(out RunId id)
    {
        var found = TryTake(KeyCodec.IdSize, out var bytes);
        id = found ? RunId.Read(bytes) : default;
        return found;
    }

    /// <summary>Reads bytes or text, unescaped.</summary>
    /// <param name="target">Takes the content; as long as what has not been read is always enough.</param>
    /// <param name="written">Bytes of the content.</param>
    internal bool TryBytes(scoped Span<byte> target, out int written)
    {
        written = 0;
        if (!TryMeasure(_rest, out var escaped, out var length) || length > target.Length)
            return false;
        for (var part = _rest[..escaped]; !part.IsEmpty;)
        {
            var zero = part.IndexOf((byte)0);
            var plain = zero < 0 ? part : part[..(zero + 1)];
            plain.CopyTo(target[written..]);
            written += plain.Length;
            part = part[(zero < 0 ? part.Length : zero + 2)..];
        }

        _rest = _rest[(escaped + 2)..];
        return true;
    }

    /// <summary>Passes over bytes or text and gives them as written, without the terminator. Where they hold no zero (a key or name
    /// never does) that is the content itself.</summary>
    internal bool TryEscaped(out ReadOnlySpan<byte> escaped)
    {
        if (!TryMeasure(_rest, out var length, out _))
        {
            escaped = default;
            return false;
        }

        escaped = _rest[..length];
        _rest = _rest[(length + 2)..];
        return true;
    }

    private static bool TryMeasure(ReadOnlySpan<byte> part, out int escaped, out int length)
    {
        escaped = length = 0;
        while (true)
        {
            var zero = part[escaped..].IndexOf((byte)0);
            if (zero < 0 || escaped + zero + 1 >= part.Length)
                return false;
            escaped += zero;
            length += zero;
            if (part[escaped + 1] == KeyCodec.Terminator)
                return true;
            if (part[escaped + 1] != KeyCodec.EscapedZero)
                return false;
            escaped += 2;
            length++;
        }
    }

    private bool TryTake(int length, out ReadOnlySpan<byte> bytes)
    {
        if (_rest.Length < length)
        {
            bytes = default;
            return false;
        }

        bytes = _rest[..length];
        _rest = _rest[length..];
        return true;
    }
}
