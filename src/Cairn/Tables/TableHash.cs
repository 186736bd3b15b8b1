using System.Buffers.Binary;
using System.Runtime.CompilerServices;

namespace Cairn.Tables;

/// <summary>64-bit hash of run and key for what lies in files: multiply and fold, 16 bytes a step (the construction of wyhash, Wang Yi
/// 2019, without its secret table). The same in every process and on every machine, so not for tables that strangers may fill:
/// who chooses keys to collide makes a filter say yes more often, and a block be looked through.</summary>
internal static class TableHash
{
    // Odd numbers with balanced bits: fractions of the square roots of 7, 11, 13 and 17.
    private const ulong First = 0xA54FF53A5F1D36F1, Second = 0x510E527FADE682D1, Third = 0x9B05688C2B3E6C1F, Seed = 0x1F83D9ABFB41BD6B;

    internal static ulong Of(ReadOnlySpan<byte> bytes)
    {
        var state = Seed;
        var rest = bytes;
        for (; rest.Length > 16; rest = rest[16..])
            state = Fold(BinaryPrimitives.ReadUInt64LittleEndian(rest) ^ First, BinaryPrimitives.ReadUInt64LittleEndian(rest[8..]) ^ state);

        // The last 16 bytes, overlapping what was read; every key follows the 16 bytes of its run.
        ulong low = 0, high = 0;
        if (bytes.Length >= 16)
        {
            low = BinaryPrimitives.ReadUInt64LittleEndian(bytes[^16..]);
            high = BinaryPrimitives.ReadUInt64LittleEndian(bytes[^8..]);
        }
        else
        {
            foreach (var one in bytes)
                (low, high) = (low << 8 | one, high << 8 | low >> 56);
        }

        return Fold((ulong)bytes.Length ^ Second, Fold(low ^ Third, high ^ state));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Fold(ulong a, ulong b)
    {
        var high = Math.BigMul(a, b, out var low);
        return high ^ low;
    }
}
