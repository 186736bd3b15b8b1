using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace Cairn.Store.Native;

/// <summary>
/// 64-bit hash of a key: multiply and fold, 16 bytes a step (the construction of wyhash, Wang Yi 2019, without its secret
/// table). Seeded per process, because keys come from outside; nothing that is stored or ordered depends on it.
/// </summary>
internal static class KeyHash
{
    // Odd numbers with balanced bits: fractions of the square roots of 2, 3 and 5.
    private const ulong First = 0x6A09E667F3BCC909, Second = 0xBB67AE8584CAA73B, Third = 0x3C6EF372FE94F82B;

    private static readonly ulong Seed = BitConverter.ToUInt64(RandomNumberGenerator.GetBytes(8));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static ulong Of(ReadOnlySpan<byte> key)
    {
        ref var start = ref MemoryMarshal.GetReference(key);
        var length = key.Length;
        var state = Seed;
        ulong low, high;
        if (length >= 8)
        {
            var at = 0;
            for (; length - at > 16; at += 16)
                state = Fold(Word(ref start, at) ^ First, Word(ref start, at + 8) ^ state);
            // The last 16 bytes, overlapping what was read; for 8 to 16 bytes the first and the last word.
            low = Word(ref start, length > 16 ? length - 16 : 0);
            high = Word(ref start, length - 8);
        }
        else if (length >= 4)
        {
            low = Unsafe.ReadUnaligned<uint>(ref start);
            high = Unsafe.ReadUnaligned<uint>(ref Unsafe.Add(ref start, length - 4));
        }
        else
        {
            low = length == 0 ? 0 : (ulong)start << 16 | (ulong)Unsafe.Add(ref start, length >> 1) << 8 | Unsafe.Add(ref start, length - 1);
            high = 0;
        }

        return Fold((ulong)length ^ Second, Fold(low ^ Third, high ^ state));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Fold(ulong a, ulong b)
    {
        var high = Math.BigMul(a, b, out var low);
        return high ^ low;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Word(ref byte start, int at) => Unsafe.ReadUnaligned<ulong>(ref Unsafe.Add(ref start, at));
}
