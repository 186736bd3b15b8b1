using System.Buffers.Binary;
using System.Runtime.CompilerServices;

namespace Cairn.Codec;

/// <summary>One item of an encoding: a scalar, or the header of an array or object whose items follow.</summary>
internal readonly ref struct ValueItem(ValueKind kind, long bits, ReadOnlySpan<byte> content)
{
    internal ValueKind Kind { get; } = kind;

    /// <summary>Bool: 0 or 1. Int64: the number. Float64: its bits. Array, Object: elements, members.</summary>
    internal long Bits { get; } = bits;

    /// <summary>String: its UTF-8. Bytes: the bytes. Borrowed from the source.</summary>
    internal ReadOnlySpan<byte> Content { get; } = content;
}

/// <summary>Reads canonical MessagePack item by item. Total (VAL-8): whatever the bytes are, it answers an item in its one canonical
/// form, or a fault; it never throws, never runs past the end and allocates nothing. It judges single items; that the names of an
/// object are ordered strings and that all announced items come is judged by <see cref="ValueDecoder.TryMeasure"/>, after which a walk
/// with this reader cannot fail.</summary>
internal ref struct ValueReader(ReadOnlySpan<byte> source)
{
    private readonly ReadOnlySpan<byte> _source = source;
    private int _offset;

    /// <summary>Where the next item begins; after a fault, where the bad one begins.</summary>
    internal readonly int Offset => _offset;

    /// <summary>True when nothing is left.</summary>
    internal readonly bool IsAtEnd => _offset == _source.Length;

    /// <summary>Bytes that are left.</summary>
    internal readonly int Remaining => _source.Length - _offset;

    /// <summary>Reads the next item.</summary>
    /// <returns><see cref="DecodeFault.None"/>, or why there is none.</returns>
    internal DecodeFault Read(out ValueItem item)
    {
        if (_offset >= _source.Length)
        {
            item = default;
            return DecodeFault.Truncated;
        }

        var lead = _source[_offset];
        switch (lead)
        {
            case <= MessagePackFormat.FixIntMax or >= MessagePackFormat.NegativeFixInt:
                return Scalar(ValueKind.Int64, (sbyte)lead, out item);
            case < MessagePackFormat.FixArray:
                return Scalar(ValueKind.Object, lead & MessagePackFormat.FixCountMax, out item);
            case < MessagePackFormat.FixString:
                return Scalar(ValueKind.Array, lead & MessagePackFormat.FixCountMax, out item);
            case < MessagePackFormat.Null:
                return Content(ValueKind.String, 1, lead & MessagePackFormat.FixStringMax, out item);
            case MessagePackFormat.Null:
                return Scalar(ValueKind.Null, 0, out item);
            case MessagePackFormat.False or MessagePackFormat.True:
                return Scalar(ValueKind.Bool, lead & 1, out item);
            case MessagePackFormat.Float64:
                return Float64(out item);
            case >= MessagePackFormat.UInt8 and <= MessagePackFormat.UInt64:
                return Positive(1 << (lead - MessagePackFormat.UInt8), out item);
            case >= MessagePackFormat.Int8 and <= MessagePackFormat.Int64:
                return Negative(1 << (lead - MessagePackFormat.Int8), out item);
            case >= MessagePackFormat.String8 and <= MessagePackFormat.String32:
                return Text(1 << (lead - MessagePackFormat.String8), out item);
            case >= MessagePackFormat.Bytes8 and <= MessagePackFormat.Bytes32:
                return Bytes(1 << (lead - MessagePackFormat.Bytes8), out item);
            case MessagePackFormat.Array16 or MessagePackFormat.Array32:
                return Counted(ValueKind.Array, lead == MessagePackFormat.Array16, out item);
            case MessagePackFormat.Object16 or MessagePackFormat.Object32:
                return Counted(ValueKind.Object, lead == MessagePackFormat.Object16, out item);
        }

        item = default;
        return lead switch
        {
            MessagePackFormat.Unused => DecodeFault.UnusedLeadByte,
            MessagePackFormat.Float32 => DecodeFault.Float32,
            _ => DecodeFault.Extension,
        };
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private DecodeFault Scalar(ValueKind kind, long bits, out ValueItem item)
    {
        item = new ValueItem(kind, bits, default);
        _offset++;
        return DecodeFault.None;
    }

    private DecodeFault Float64(out ValueItem item)
    {
        if (!TryNumber(sizeof(ulong), out var bits, out item))
            return DecodeFault.Truncated;
        if (double.IsNaN(BitConverter.UInt64BitsToDouble(bits)) && bits != Value.CanonicalNaN)
            return DecodeFault.OtherNaN;
        item = new ValueItem(ValueKind.Float64, (long)bits, default);
        _offset += ValueWriter.Float64Length;
        return DecodeFault.None;
    }

    private DecodeFault Positive(int width, out ValueItem item)
    {
        if (!TryNumber(width, out var number, out item))
            return DecodeFault.Truncated;
        if (number > long.MaxValue)
            return DecodeFault.OutsideInt64;
        return Integer((long)number, width, out item);
    }

    private DecodeFault Negative(int width, out ValueItem item)
    {
        if (!TryNumber(width, out var number, out item))
            return DecodeFault.Truncated;
        var unused = 64 - 8 * width;
        var value = (long)(number << unused) >> unused;
        return value >= 0 ? DecodeFault.NotShortest : Integer(value, width, out item);
    }

    private DecodeFault Integer(long value, int width, out ValueItem item)
    {
        item = default;
        if (ValueWriter.Int64Length(value) != 1 + width)
            return DecodeFault.NotShortest;
        item = new ValueItem(ValueKind.Int64, value, default);
        _offset += 1 + width;
        return DecodeFault.None;
    }

    private DecodeFault Text(int width, out ValueItem item)
    {
        if (!TryNumber(width, out var length, out item))
            return DecodeFault.Truncated;
        if (length > int.MaxValue)
            return DecodeFault.Truncated;
        if (ValueWriter.StringHeaderLength((int)length) != 1 + width)
            return DecodeFault.NotShortest;
        return Content(ValueKind.String, 1 + width, (int)length, out item);
    }

    private DecodeFault Bytes(int width, out ValueItem item)
    {
        if (!TryNumber(width, out var length, out item))
            return DecodeFault.Truncated;
        if (length > int.MaxValue)
            return DecodeFault.Truncated;
        if (ValueWriter.BytesHeaderLength((int)length) != 1 + width)
            return DecodeFault.NotShortest;
        return Content(ValueKind.Bytes, 1 + width, (int)length, out item);
    }

    private DecodeFault Content(ValueKind kind, int header, int length, out ValueItem item)
    {
        item = default;
        if (length > Remaining - header)
            return DecodeFault.Truncated;
        var content = _source.Slice(_offset + header, length);
        if (kind == ValueKind.String && !Utf8.IsValid(content))
            return DecodeFault.InvalidUtf8;
        item = new ValueItem(kind, 0, content);
        _offset += header + length;
        return DecodeFault.None;
    }

    private DecodeFault Counted(ValueKind kind, bool isShort, out ValueItem item)
    {
        var width = isShort ? sizeof(ushort) : sizeof(uint);
        if (!TryNumber(width, out var count, out item))
            return DecodeFault.Truncated;
        if ((long)count <= (isShort ? MessagePackFormat.FixCountMax : ushort.MaxValue))
            return DecodeFault.NotShortest;
        item = new ValueItem(kind, (long)count, default);
        _offset += 1 + width;
        return DecodeFault.None;
    }

    // The number behind the lead byte. Sets the item to nothing, for the faults that follow.
    private readonly bool TryNumber(int width, out ulong number, out ValueItem item)
    {
        item = default;
        number = 0;
        if (Remaining < 1 + width)
            return false;
        var bytes = _source.Slice(_offset + 1, width);
        number = width switch
        {
            1 => bytes[0],
            2 => BinaryPrimitives.ReadUInt16BigEndian(bytes),
            4 => BinaryPrimitives.ReadUInt32BigEndian(bytes),
            _ => BinaryPrimitives.ReadUInt64BigEndian(bytes),
        };
        return true;
    }
}
