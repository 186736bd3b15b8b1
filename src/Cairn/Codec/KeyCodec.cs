// Codec: from values to bytes and back, and nothing else. No I/O, no clock, no state. What this room promises is that bytes mean
// one thing: a value has exactly one encoding, a key sorts as what it stands for, a check or hash is the same in every process.
//
//   Value, ValueCodec     canonical MessagePack: one value, one encoding; equality of values is equality of bytes
//   ValueJson             the same values as JSON text, without loss, both ways
//   KeyCodec              this file: keys whose bytes compare as the things they stand for
//   KeyRules, Utf8        what user text may be before it becomes bytes
//   Crc32C, EventHash     a check against accident; a hash chain against doubt
//
// Keys
// ----
// The store knows keys as bytes, ordered by memcmp, shorter first. What a primitive or an index wants in order (event numbers, times,
// "type, then number") is therefore written so that the bytes already have that order. A composite key is a row of parts.
//
// K1  Order. For parts of one kind, a < b exactly when bytes(a) < bytes(b) as memcmp orders them.
// K2  Self-delimiting. No part is a proper prefix of another of its kind; so rows of parts compare part by part, a row of the first
//     parts of a key is a prefix of it and of nothing that differs in those parts, and a key reads back without a schema of lengths.
// K3  Total. Reading never throws and never runs past the end: it answers false. Stored keys are checked, not trusted.
// K4  No user text can imitate a key of the engine (NAM-5): each family starts with its own tag byte, user text only follows one.
//
// Parts                  bytes                                                              order
//   tag                  1        as is                                                     by number
//   u32, u64             4, 8     big-endian                                                numeric
//   i64                  8        big-endian with the sign bit flipped                      numeric
//   f64                  8        big-endian; negative: all bits flipped, else the sign     -Inf < .. < -0.0 < 0.0 < .. < +Inf < NaN
//   id                   16       network order                                             RunId, UUIDv7: by time of making
//   bytes, text          n + 2..  escaped, then the terminator 00 01                        memcmp; text: as UTF-8
//   scalar               1 + ..   a tag from the table below, then one of these             IDX-6
//
// Escape. A zero inside is written 00 FF; the end is written 00 01. Since 01 < FF, "ends here" sorts before "goes on with a zero",
// and since 00 is the smallest byte, both sort before "goes on with anything else". Shorter sorts first, as memcmp does:
//
//   ""        00 01
//   "a"       61 00 01
//   "a\0"     61 00 FF 00 01
//   "a\0b"    61 00 FF 62 00 01
//   "a\x01"   61 01 00 01
//   "ab"      61 62 00 01
//
// Scalars, for indexes over values of mixed kinds (IDX-6): Null < Bool < numbers by exact value < String < Bytes.
//
//   tag   kind                 then
//   10    Null                 nothing
//   18    false                nothing
//   19    true                 nothing
//   20    Int64 or Float64     f64 of the largest Float64 not above the number, u16 of what is missing
//   30    String               text
//   38    Bytes                bytes
//
// Int64 1 and Float64 1.0 are different values and the same number, so here they are the same bytes; -0.0 is 0.0 here. Between two
// neighbouring Float64 there are at most 1,024 integers within Int64, which is why two bytes hold what is missing:
//
//   2^53       (f64 2^53) 0000      2^53 + 1   (f64 2^53) 0001      2^53 + 2   (f64 2^53 + 2) 0000
//
// A worked key. An index over events "by type, then number" with the tag 41: type "tool", numbers 7 and 256.
//
//   41 | 74 6F 6F 6C 00 01 | 00 00 00 00 00 00 00 07
//   41 | 74 6F 6F 6C 00 01 | 00 00 00 00 00 00 01 00
//
// All events of that type: from the prefix 41 74 6F 6F 6C 00 01 up to, not including, its successor 41 74 6F 6F 6C 00 02. The type
// "tools" is outside: its sixth byte is 73, not 00.
//
// What it does not do. It does not order by language (no collation), does not compress, has no descending parts (scan in reverse)
// and no parts for Arrays and Objects, which have no order.

namespace Cairn.Codec;

/// <summary>Constants and arithmetic of order-preserving keys; <see cref="KeyWriter"/> writes them, <see cref="KeyReader"/> reads
/// them back. The essay at the top of this file holds the rules K1 to K4.</summary>
internal static class KeyCodec
{
    /// <summary>Written for a zero byte inside a part, after the zero.</summary>
    internal const byte EscapedZero = 0xFF;

    /// <summary>Ends a part of bytes or text, after a zero.</summary>
    internal const byte Terminator = 0x01;

    internal const byte NullTag = 0x10;
    internal const byte FalseTag = 0x18;
    internal const byte TrueTag = 0x19;
    internal const byte NumberTag = 0x20;
    internal const byte StringTag = 0x30;
    internal const byte BytesTag = 0x38;

    internal const ulong SignBit = 1UL << 63;

    /// <summary>Bytes of an identity, in network order.</summary>
    internal const int IdSize = 16;

    /// <summary>Bytes of a number as a scalar, its tag included.</summary>
    internal const int NumberSize = 1 + sizeof(ulong) + sizeof(ushort);

    /// <summary>Most bytes that a part of so many bytes takes: each a zero, and the terminator.</summary>
    internal static int PartLengthMax(int contentBytes) => checked(2 * contentBytes + 2);

    /// <summary>Writes the smallest key that is greater than every key with this prefix: the exclusive end of a prefix scan.</summary>
    /// <param name="target">At least as long as the prefix.</param>
    /// <returns>Its length; 0 when there is none (the prefix is empty or all FF), which is how the store says "no upper bound".</returns>
    internal static int Successor(ReadOnlySpan<byte> prefix, Span<byte> target)
    {
        var length = prefix.LastIndexOfAnyExcept((byte)0xFF) + 1;
        if (length == 0)
            return 0;
        prefix[..length].CopyTo(target);
        target[length - 1]++;
        return length;
    }

    /// <summary>The bits of a Float64 as a number that orders as it does (K1): a negative one has all bits flipped, so that a larger
    /// magnitude is smaller; the others get the sign bit, to stand above. The one NaN is above +Inf.</summary>
    internal static ulong ToOrdered(double value)
    {
        var bits = double.IsNaN(value) ? Value.CanonicalNaN : BitConverter.DoubleToUInt64Bits(value);
        return (bits & SignBit) != 0 ? ~bits : bits | SignBit;
    }

    /// <summary>The inverse of <see cref="ToOrdered(double)"/>.</summary>
    internal static double FromOrdered(ulong ordered) =>
        BitConverter.UInt64BitsToDouble((ordered & SignBit) != 0 ? ordered & ~SignBit : ~ordered);

    /// <summary>Splits an integer into the largest Float64 not above it and what is missing, 0 to 1,023.</summary>
    internal static (double Floor, ushort Missing) Split(long value)
    {
        // The conversion rounds to nearest, so it may be above; 2^63 itself has no Int64, hence the wider subtraction.
        var floor = (double)value;
        if ((Int128)floor > value)
            floor = double.BitDecrement(floor);
        return (floor, (ushort)(value - (Int128)floor));
    }
}
