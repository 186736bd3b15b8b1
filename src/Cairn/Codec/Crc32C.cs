using System.Numerics;
using System.Runtime.InteropServices;

namespace Cairn.Codec;

/// <summary>CRC-32C: Castagnoli's polynomial 1EDC6F41, reflected (RFC 3720, appendix B.4), which guards every record, header and
/// manifest. Composable: <c>Finish(Append(Append(Start, a), b))</c> is the check of a followed by b.</summary>
/// <remarks>
/// <see cref="BitOperations.Crc32C(uint, ulong)"/> is one machine instruction on x64 and Arm64 and a table elsewhere. That
/// instruction answers after three cycles but a new one can start in each, so three stretches are computed side by side and joined:
/// the check of A then B is check(A) moved over length(B) zero bytes, xor check(B) started from zero. Moving over a fixed number of
/// zeros is a linear map of 32 bits, kept as four tables of 256 (M. Adler, crc32c.c, 2013). The stretch lengths are chosen: the long
/// one for content and segments, the short one for records.
/// </remarks>
internal static class Crc32C
{
    /// <summary>The state before the first byte.</summary>
    internal const uint Start = 0xFFFF_FFFF;

    private const int LongStretch = 2048;
    private const int ShortStretch = 128;

    private static readonly uint[] OverLongStretch = TablesForZeros(LongStretch);
    private static readonly uint[] OverShortStretch = TablesForZeros(ShortStretch);

    /// <summary>The check of one span.</summary>
    internal static uint Of(ReadOnlySpan<byte> bytes) => Finish(Append(Start, bytes));

    /// <summary>The check behind a state.</summary>
    internal static uint Finish(uint state) => ~state;

    /// <summary>The state after more bytes.</summary>
    internal static uint Append(uint state, ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length >= 3 * ShortStretch)
        {
            state = AppendStretches(state, ref bytes, LongStretch, OverLongStretch);
            state = AppendStretches(state, ref bytes, ShortStretch, OverShortStretch);
        }

        foreach (var word in MemoryMarshal.Cast<byte, ulong>(bytes))
            state = BitOperations.Crc32C(state, InFileOrder(word));
        foreach (var single in bytes[(bytes.Length & ~7)..])
            state = BitOperations.Crc32C(state, single);
        return state;
    }

    private static uint AppendStretches(uint state, ref ReadOnlySpan<byte> bytes, int stretch, uint[] overZeros)
    {
        while (bytes.Length >= 3 * stretch)
        {
            var first = MemoryMarshal.Cast<byte, ulong>(bytes[..stretch]);
            var second = MemoryMarshal.Cast<byte, ulong>(bytes.Slice(stretch, stretch));
            var third = MemoryMarshal.Cast<byte, ulong>(bytes.Slice(2 * stretch, stretch));
            uint stateOfSecond = 0, stateOfThird = 0;
            for (var word = 0; word < first.Length; word++)
            {
                state = BitOperations.Crc32C(state, InFileOrder(first[word]));
                stateOfSecond = BitOperations.Crc32C(stateOfSecond, InFileOrder(second[word]));
                stateOfThird = BitOperations.Crc32C(stateOfThird, InFileOrder(third[word]));
            }

            state = OverZeros(state, overZeros) ^ stateOfSecond;
            state = OverZeros(state, overZeros) ^ stateOfThird;
            bytes = bytes[(3 * stretch)..];
        }

        return state;
    }

    private static ulong InFileOrder(ulong word) =>
        BitConverter.IsLittleEndian ? word : System.Buffers.Binary.BinaryPrimitives.ReverseEndianness(word);

    private static uint OverZeros(uint state, uint[] tables) =>
        tables[state & 0xFF] ^ tables[256 + ((state >> 8) & 0xFF)] ^ tables[512 + ((state >> 16) & 0xFF)] ^ tables[768 + (state >> 24)];

    private static uint[] TablesForZeros(int zeros)
    {
        // The map is linear, so 32 images of single bits give all: an entry is the image of its lowest bit xor that of the rest.
        var tables = new uint[4 * 256];
        for (var place = 0; place < 4; place++)
        {
            for (var value = 1; value < 256; value++)
            {
                var rest = value & (value - 1);
                tables[place * 256 + value] = rest == 0
                    ? AppendZeros((uint)value << (8 * place), zeros)
                    : tables[place * 256 + rest] ^ tables[place * 256 + (value ^ rest)];
            }
        }

        return tables;
    }

    private static uint AppendZeros(uint state, int zeros)
    {
        for (var done = 0; done < zeros; done += sizeof(ulong))
            state = BitOperations.Crc32C(state, 0UL);
        return state;
    }
}
