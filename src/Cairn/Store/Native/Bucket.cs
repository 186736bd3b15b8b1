using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Cairn.Store.Native;

/// <summary>
/// One cache line of the point index: eight slots of 8 bytes, tag in the upper 16 bits, pointer in the lower 48. 0 is empty;
/// <see cref="Removed"/> was taken out while the bucket was full, so that searches which went on from here still do.
/// <para>The wide loads may be torn between slots, never within one (aligned 8 bytes); a match is read again before use.</para>
/// </summary>
internal static unsafe class Bucket
{
    internal const int Bytes = 64;
    internal const int Slots = 8;
    internal const ulong Removed = 1;

    /// <summary>Bit i: slot i has the tag.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static uint Match(ulong* slots, ulong tag, out bool hasEmpty)
    {
        if (Vector256.IsHardwareAccelerated)
            return Match256(slots, tag, out hasEmpty);
        if (Vector128.IsHardwareAccelerated)
            return Match128(slots, tag, out hasEmpty);
        return MatchScalar(slots, tag, out hasEmpty);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static uint Match256(ulong* slots, ulong tag, out bool hasEmpty)
    {
        var tags = Vector256.Create(tag);
        var low = Vector256.Load(slots);
        var high = Vector256.Load(slots + 4);
        hasEmpty = Vector256.EqualsAny(low, Vector256<ulong>.Zero) | Vector256.EqualsAny(high, Vector256<ulong>.Zero);
        return Vector256.Equals(low >>> 48, tags).ExtractMostSignificantBits()
            | Vector256.Equals(high >>> 48, tags).ExtractMostSignificantBits() << 4;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static uint Match128(ulong* slots, ulong tag, out bool hasEmpty)
    {
        var tags = Vector128.Create(tag);
        var matches = 0u;
        var empties = Vector128<ulong>.Zero;
        for (var i = 0; i < Slots; i += 2)
        {
            var pair = Vector128.Load(slots + i);
            empties |= Vector128.Equals(pair, Vector128<ulong>.Zero);
            matches |= Vector128.Equals(pair >>> 48, tags).ExtractMostSignificantBits() << i;
        }

        hasEmpty = empties != Vector128<ulong>.Zero;
        return matches;
    }

    internal static uint MatchScalar(ulong* slots, ulong tag, out bool hasEmpty)
    {
        var matches = 0u;
        hasEmpty = false;
        for (var i = 0; i < Slots; i++)
        {
            var slot = Volatile.Read(ref slots[i]);
            hasEmpty |= slot == 0;
            if (slot >> 48 == tag)
                matches |= 1u << i;
        }

        return matches;
    }
}
