// Canonical values
// ----------------
// A value is stored as MessagePack, in the one form that these rules leave (VAL-4, VAL-5):
//
// V1  An integer takes its shortest form; where two have the same length, the one without sign. 127 is 7F, 128 is CC 80, -1 is FF.
// V2  A Float64 takes nine bytes, always: 1.0 is CB 3FF0000000000000 and never confused with the integer 1, which is 01.
// V3  There is one NaN, 7FF8000000000000. -0.0 and the infinities stay what they are.
// V4  Strings, byte strings, arrays and objects take the shortest header that holds their length.
// V5  The names of an object are strings, distinct, in the order of their UTF-8 bytes.
// V6  Nothing else is a value: no extension, no Float32, no unused byte, no bytes behind the end.
//
// Therefore equality of values is equality of bytes (VAL-6), a hash over the bytes is a hash of the value (EV-3), and a value that was
// read, decoded and encoded again is the same bytes. Drawn, {"b": [1, 1.0, "x"], "a": null}:
//
//   82                              object of 2
//     A1 61   C0                    "a": null            "a" before "b", in whatever order they were given
//     A1 62   93                    "b": array of 3
//               01                    1
//               CB 3FF0000000000000   1.0
//               A1 78                 "x"
//
// Writing. A value carries its measure (length, depth, largest parts) from its making, so a door checks every limit in constant time
// and reserves exactly the bytes it needs; encoding then cannot fail. Recursion is bounded, because no value is deeper than 512.
// Reading never trusts: TryMeasure walks the bytes once with a stack of its own, allocates nothing and answers the measure or the first
// fault; only then is anything built. A header is believed only while the bytes that are left can hold all items promised so far, by it
// and by the headers around it; so what decoding allocates is proportional to what came in.
//
// The hot path needs no Value: bytes and strings go in by EncodeBytes and EncodeString and come out by TryReadBytesOrString.

using System.Buffers;
using System.Runtime.InteropServices;

namespace Cairn.Codec;

/// <summary>Writes values as canonical MessagePack and looks into encoded ones. Allocates nothing. The rules V1 to V6 stand at the
/// top of this file; <see cref="ValueDecoder"/> reads.</summary>
internal static class ValueCodec
{
    /// <summary>Length of the canonical encoding, after a check of all limits (G13).</summary>
    /// <exception cref="LimitException">A limit is passed.</exception>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidArgument"/>: not finite where it must be.</exception>
    internal static int EncodedLength(in Value value, Limits limits, FloatRule floats = FloatRule.Any) =>
        value.Measure.Check(limits, floats);

    /// <summary>Length of the canonical encoding.</summary>
    internal static int EncodedLength(in Value value) => value.EncodedLength;

    /// <summary>Writes the canonical encoding.</summary>
    /// <param name="target">At least <see cref="EncodedLength(in Value)"/> bytes.</param>
    /// <returns>The bytes written.</returns>
    internal static int Encode(in Value value, Span<byte> target)
    {
        var writer = new ValueWriter(target);
        Write(value, ref writer);
        return writer.Length;
    }

    /// <summary>Checks all limits, then writes the canonical encoding.</summary>
    /// <returns>The bytes written.</returns>
    /// <inheritdoc cref="EncodedLength(in Value, Limits, FloatRule)"/>
    internal static int Encode(in Value value, IBufferWriter<byte> target, Limits limits, FloatRule floats = FloatRule.Any)
    {
        var length = EncodedLength(value, limits, floats);
        var written = Encode(value, target.GetSpan(length)[..length]);
        Invariant.Check(written == length, "an encoding has the length it was measured with");
        target.Advance(written);
        return written;
    }

    /// <summary>Bytes before the content of a byte string.</summary>
    internal static int BytesHeaderLength(int contentBytes) => ValueWriter.BytesHeaderLength(contentBytes);

    /// <summary>Bytes before the UTF-8 of a string.</summary>
    internal static int StringHeaderLength(int utf8Bytes) => ValueWriter.StringHeaderLength(utf8Bytes);

    /// <summary>Length of the encoding of a byte string of so many bytes, after a check of the limits.</summary>
    /// <exception cref="LimitException">A limit is passed.</exception>
    internal static int EncodedBytesLength(int contentBytes, Limits limits) => ValueMeasure.OfBytes(contentBytes).Check(limits);

    /// <summary>Length of the encoding of a string of so many bytes of UTF-8, after a check of the limits.</summary>
    /// <exception cref="LimitException">A limit is passed.</exception>
    internal static int EncodedStringLength(int utf8Bytes, Limits limits) => ValueMeasure.OfString(utf8Bytes).Check(limits);

    /// <summary>Encodes a byte string without a <see cref="Value"/>.</summary>
    /// <param name="target">At least <see cref="BytesHeaderLength"/> + content.</param>
    /// <returns>The bytes written.</returns>
    internal static int EncodeBytes(ReadOnlySpan<byte> content, Span<byte> target)
    {
        var writer = new ValueWriter(target);
        writer.Bytes(content);
        return writer.Length;
    }

    /// <summary>Encodes a string of UTF-8 that has been checked (<see cref="Utf8.IsValid"/>), without a <see cref="Value"/>.</summary>
    /// <param name="target">At least <see cref="StringHeaderLength"/> + text.</param>
    /// <returns>The bytes written.</returns>
    internal static int EncodeString(ReadOnlySpan<byte> utf8, Span<byte> target)
    {
        var writer = new ValueWriter(target);
        writer.Utf8Text(utf8);
        return writer.Length;
    }

    /// <summary>Encodes a string without a <see cref="Value"/>.</summary>
    /// <param name="utf8Bytes">What <see cref="Utf8.GetByteCount"/> says.</param>
    /// <param name="target">At least <see cref="StringHeaderLength"/> + text.</param>
    /// <returns>The bytes written.</returns>
    internal static int EncodeString(ReadOnlySpan<char> text, int utf8Bytes, Span<byte> target)
    {
        var writer = new ValueWriter(target);
        writer.Text(text, utf8Bytes);
        return writer.Length;
    }

    /// <summary>Encodes an integer without a <see cref="Value"/>.</summary>
    /// <param name="target">At least <see cref="ValueWriter.HeaderLengthMax"/> bytes.</param>
    /// <returns>The bytes written.</returns>
    internal static int EncodeInt64(long value, Span<byte> target)
    {
        var writer = new ValueWriter(target);
        writer.Int64(value);
        return writer.Length;
    }

    /// <summary>The kind of an encoded value, from its lead byte.</summary>
    /// <returns>False when the lead byte begins no canonical value; the rest is not looked at.</returns>
    internal static bool TryReadKind(ReadOnlySpan<byte> canonical, out ValueKind kind)
    {
        var lead = canonical.IsEmpty ? MessagePackFormat.Unused : canonical[0];
        kind = lead switch
        {
            <= MessagePackFormat.FixIntMax or >= MessagePackFormat.NegativeFixInt => ValueKind.Int64,
            < MessagePackFormat.FixArray => ValueKind.Object,
            < MessagePackFormat.FixString => ValueKind.Array,
            < MessagePackFormat.Null => ValueKind.String,
            MessagePackFormat.False or MessagePackFormat.True => ValueKind.Bool,
            >= MessagePackFormat.Bytes8 and <= MessagePackFormat.Bytes32 => ValueKind.Bytes,
            MessagePackFormat.Float64 => ValueKind.Float64,
            >= MessagePackFormat.UInt8 and <= MessagePackFormat.Int64 => ValueKind.Int64,
            >= MessagePackFormat.String8 and <= MessagePackFormat.String32 => ValueKind.String,
            MessagePackFormat.Array16 or MessagePackFormat.Array32 => ValueKind.Array,
            MessagePackFormat.Object16 or MessagePackFormat.Object32 => ValueKind.Object,
            _ => ValueKind.Null,
        };
        return kind != ValueKind.Null || lead == MessagePackFormat.Null;
    }

    /// <summary>The content of an encoded byte string or string, borrowed from the encoding.</summary>
    /// <returns>False when it is neither, or not canonical, or bytes follow.</returns>
    internal static bool TryReadBytesOrString(ReadOnlySpan<byte> canonical, out ReadOnlySpan<byte> content, out ValueKind kind)
    {
        if (canonical.Length >= 2 && canonical[0] == MessagePackFormat.Bytes8 && canonical[1] == canonical.Length - 2)
        {
            kind = ValueKind.Bytes;                          // the short way for what is read most
            content = canonical[2..];
            return true;
        }

        var reader = new ValueReader(canonical);
        var fault = reader.Read(out var item);
        kind = item.Kind;
        content = item.Content;
        return fault == DecodeFault.None && kind is (ValueKind.Bytes or ValueKind.String) && reader.IsAtEnd;
    }

    /// <summary>The number of an encoded Int64.</summary>
    /// <returns>False when it is something else, or not canonical, or bytes follow.</returns>
    internal static bool TryReadInt64(ReadOnlySpan<byte> canonical, out long value)
    {
        var reader = new ValueReader(canonical);
        var fault = reader.Read(out var item);
        value = item.Bits;
        return fault == DecodeFault.None && item.Kind == ValueKind.Int64 && reader.IsAtEnd;
    }

    /// <summary>A hash of a value's content, the same in every process.</summary>
    internal static uint Hash(in Value value, uint state)
    {
        switch (value.Kind)
        {
            case ValueKind.Null:
                return Crc32C.Append(state, [0]);
            case ValueKind.String:
                return Crc32C.Append(state, MemoryMarshal.AsBytes(value.AsString().AsSpan()));
            case ValueKind.Bytes:
                return Crc32C.Append(state, value.AsBytes().Span);
            case ValueKind.Array:
                foreach (ref readonly var element in value.Elements.Items)
                    state = Hash(element, state + 1);
                return state;
            case ValueKind.Object:
                var members = value.Members;
                for (var member = 0; member < members.Count; member++)
                {
                    state = Crc32C.Append(state, MemoryMarshal.AsBytes(members.Names[member].AsSpan()));
                    state = Hash(members.Values[member], state + 1);
                }

                return state;
            default:
                Span<byte> encoded = stackalloc byte[ValueWriter.HeaderLengthMax];
                return Crc32C.Append(state, encoded[..Encode(value, encoded)]);
        }
    }

    private static void Write(in Value value, ref ValueWriter writer)
    {
        switch (value.Kind)
        {
            case ValueKind.Null:
                writer.Null();
                break;
            case ValueKind.Bool:
                writer.Bool(value.AsBool());
                break;
            case ValueKind.Int64:
                writer.Int64(value.AsInt64());
                break;
            case ValueKind.Float64:
                writer.Float64(value.AsFloat64());
                break;
            case ValueKind.String:
                writer.Text(value.AsString(), value.Utf8Length);
                break;
            case ValueKind.Bytes:
                writer.Bytes(value.AsBytes().Span);
                break;
            case ValueKind.Array:
                writer.ArrayHeader(value.Count);
                foreach (ref readonly var element in value.Elements.Items)
                    Write(element, ref writer);
                break;
            case ValueKind.Object:
                WriteMembers(value.Members, ref writer);
                break;
        }
    }

    private static void WriteMembers(ValueMembers members, ref ValueWriter writer)
    {
        var names = members.Names;
        var values = members.Values;
        writer.ObjectHeader(names.Length);
        for (var member = 0; member < names.Length; member++)
        {
            writer.Text(names[member]);
            Write(values[member], ref writer);
        }
    }
}
