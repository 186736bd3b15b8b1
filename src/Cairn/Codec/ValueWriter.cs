using System.Buffers.Binary;
using System.Diagnostics;
using System.Runtime.CompilerServices;

namespace Cairn.Codec;

/// <summary>Writes canonical MessagePack (VAL-4) piece by piece into memory of the caller: shortest integers, shortest headers,
/// Float64 always nine bytes. For the engine's own objects too, which need no <see cref="Value"/>: their author writes the members in
/// the order of their names. Too little room is a bug and throws. Allocates nothing.</summary>
internal ref struct ValueWriter(Span<byte> target)
{
    /// <summary>Bytes of any Float64.</summary>
    internal const int Float64Length = 9;

    /// <summary>Most bytes of a header or an integer.</summary>
    internal const int HeaderLengthMax = 9;

    private readonly Span<byte> _target = target;
    private int _length;

    /// <summary>Bytes written so far.</summary>
    internal readonly int Length => _length;

    /// <summary>What has been written so far.</summary>
    internal readonly ReadOnlySpan<byte> Written => _target[.._length];

    internal static int Int64Length(long value) => value switch
    {
        >= MessagePackFormat.FixIntMin and <= MessagePackFormat.FixIntMax => 1,
        >= sbyte.MinValue and <= byte.MaxValue => 2,
        >= short.MinValue and <= ushort.MaxValue => 3,
        >= int.MinValue and <= uint.MaxValue => 5,
        _ => 9,
    };

    internal static int StringHeaderLength(int utf8Bytes) => utf8Bytes switch
    {
        <= MessagePackFormat.FixStringMax => 1,
        <= byte.MaxValue => 2,
        <= ushort.MaxValue => 3,
        _ => 5,
    };

    internal static int BytesHeaderLength(int bytes) => bytes switch
    {
        <= byte.MaxValue => 2,
        <= ushort.MaxValue => 3,
        _ => 5,
    };

    internal static int ArrayHeaderLength(int elements) => elements switch
    {
        <= MessagePackFormat.FixCountMax => 1,
        <= ushort.MaxValue => 3,
        _ => 5,
    };

    internal static int ObjectHeaderLength(int members) => ArrayHeaderLength(members);

    internal void Null() => _target[_length++] = MessagePackFormat.Null;

    internal void Bool(bool value) => _target[_length++] = value ? MessagePackFormat.True : MessagePackFormat.False;

    internal void Int64(long value)
    {
        if (value is >= MessagePackFormat.FixIntMin and <= MessagePackFormat.FixIntMax)
        {
            _target[_length++] = (byte)value;
            return;
        }

        if (value > 0)
            Positive((ulong)value);
        else
            Negative(value);
    }

    internal void Float64(double value)
    {
        var bits = double.IsNaN(value) ? Value.CanonicalNaN : BitConverter.DoubleToUInt64Bits(value);
        BinaryPrimitives.WriteUInt64BigEndian(Lead(MessagePackFormat.Float64, sizeof(ulong)), bits);
    }

    /// <summary>A String of UTF-8 that has been checked.</summary>
    internal void Utf8Text(ReadOnlySpan<byte> utf8)
    {
        Debug.Assert(Utf8.IsValid(utf8));
        StringHeader(utf8.Length);
        Raw(utf8);
    }

    /// <summary>A String.</summary>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidArgument"/>: a lone surrogate.</exception>
    internal void Text(ReadOnlySpan<char> text)
    {
        // Where all lengths that so many characters can have share one header form, the text is written first and counted by that.
        var most = (long)text.Length * Utf8.BytesPerCharMax;
        if (most <= MessagePackFormat.FixStringMax)
        {
            var written = Utf8.GetBytes(text, _target[(_length + 1)..]);
            StringHeader(written);
            _length += written;
            return;
        }

        Text(text, Utf8.GetByteCount(text));
    }

    /// <summary>A String whose length as UTF-8 is known.</summary>
    internal void Text(ReadOnlySpan<char> text, int utf8Bytes)
    {
        StringHeader(utf8Bytes);
        var written = Utf8.GetBytes(text, _target.Slice(_length, utf8Bytes));
        Invariant.Check(written == utf8Bytes, "a text has the length it was measured with");
        _length += written;
    }

    internal void Bytes(ReadOnlySpan<byte> content)
    {
        BytesHeader(content.Length);
        Raw(content);
    }

    /// <summary>What is encoded already.</summary>
    internal void Raw(ReadOnlySpan<byte> bytes)
    {
        bytes.CopyTo(_target[_length..]);
        _length += bytes.Length;
    }

    internal void StringHeader(int utf8Bytes)
    {
        if (utf8Bytes <= MessagePackFormat.FixStringMax)
            _target[_length++] = (byte)(MessagePackFormat.FixString | utf8Bytes);
        else
            Header(utf8Bytes, MessagePackFormat.String8, MessagePackFormat.String16, MessagePackFormat.String32);
    }

    internal void BytesHeader(int bytes) =>
        Header(bytes, MessagePackFormat.Bytes8, MessagePackFormat.Bytes16, MessagePackFormat.Bytes32);

    internal void ArrayHeader(int elements)
    {
        if (elements <= MessagePackFormat.FixCountMax)
            _target[_length++] = (byte)(MessagePackFormat.FixArray | elements);
        else
            Header(elements, null, MessagePackFormat.Array16, MessagePackFormat.Array32);
    }

    /// <summary>An object's header; so many pairs of name and value follow, ordered by the UTF-8 bytes of the names.</summary>
    internal void ObjectHeader(int members)
    {
        if (members <= MessagePackFormat.FixCountMax)
            _target[_length++] = (byte)(MessagePackFormat.FixObject | members);
        else
            Header(members, null, MessagePackFormat.Object16, MessagePackFormat.Object32);
    }

    private void Positive(ulong value)
    {
        if (value <= byte.MaxValue)
            Lead(MessagePackFormat.UInt8, 1)[0] = (byte)value;
        else if (value <= ushort.MaxValue)
            BinaryPrimitives.WriteUInt16BigEndian(Lead(MessagePackFormat.UInt16, 2), (ushort)value);
        else if (value <= uint.MaxValue)
            BinaryPrimitives.WriteUInt32BigEndian(Lead(MessagePackFormat.UInt32, 4), (uint)value);
        else
            BinaryPrimitives.WriteUInt64BigEndian(Lead(MessagePackFormat.UInt64, 8), value);
    }

    private void Negative(long value)
    {
        if (value >= sbyte.MinValue)
            Lead(MessagePackFormat.Int8, 1)[0] = (byte)value;
        else if (value >= short.MinValue)
            BinaryPrimitives.WriteInt16BigEndian(Lead(MessagePackFormat.Int16, 2), (short)value);
        else if (value >= int.MinValue)
            BinaryPrimitives.WriteInt32BigEndian(Lead(MessagePackFormat.Int32, 4), (int)value);
        else
            BinaryPrimitives.WriteInt64BigEndian(Lead(MessagePackFormat.Int64, 8), value);
    }

    private void Header(int count, byte? lead8, byte lead16, byte lead32)
    {
        if (count <= byte.MaxValue && lead8 is { } lead)
            Lead(lead, 1)[0] = (byte)count;
        else if (count <= ushort.MaxValue)
            BinaryPrimitives.WriteUInt16BigEndian(Lead(lead16, 2), (ushort)count);
        else
            BinaryPrimitives.WriteUInt32BigEndian(Lead(lead32, 4), (uint)count);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private Span<byte> Lead(byte lead, int length)
    {
        _target[_length] = lead;
        var rest = _target.Slice(_length + 1, length);
        _length += 1 + length;
        return rest;
    }
}
