using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Cairn.Text;

/// <summary>
/// A part of an index, never changed: things in the order of their keys, terms in the order of their bytes, and for each term the things
/// that have it, in blocks of <see cref="BlockMax"/>.
/// <code>
///  block      widths u8: low half bytes of a gap, 1, 2 or 4; high half bytes of a frequency, 0, 1, 2 or 4; 0 = all are 10
///             gap - 1 from the thing before, for each     (little-endian)
///             frequency in tenths, for each
///  places     for each thing: how many varint, then for each  (place - place before) * 2 + (weighs more ? 1 : 0)  varint
/// </code>
/// For each block stand apart its last thing, and the highest frequency and the least length in it: they bound every score in the block
/// (S. Ding, T. Suel, "Faster top-k document retrieval using block-max indexes", 2011), whatever N, df and average length will be.
/// </summary>
internal sealed class TextSegment
{
    /// <summary>Things of a block. A choice between what is decoded in vain and what stands apart per block.</summary>
    internal const int BlockMax = 128;

    internal required TermTable Terms { get; init; }

    /// <summary>By thing: terms.</summary>
    internal required int[] Lengths { get; init; }

    /// <summary>By thing: the sequence that wrote it.</summary>
    internal required ulong[] Versions { get; init; }

    /// <summary>By thing: commit time.</summary>
    internal required long[] Times { get; init; }

    /// <summary>Things that expire, by when they do.</summary>
    internal required (long Expiry, int Thing)[] Expiring { get; init; }

    internal required byte[] Keys { get; init; }

    /// <summary>One more than things.</summary>
    internal required int[] KeyStarts { get; init; }

    /// <summary>By term: its first block; one more than terms.</summary>
    internal required int[] FirstBlocks { get; init; }

    /// <summary>By term: things that have it.</summary>
    internal required int[] Holders { get; init; }

    internal required PostingBlock[] Blocks { get; init; }

    internal required byte[] Data { get; init; }

    internal required byte[] Places { get; init; }

    internal required long TotalLength { get; init; }

    internal int Things => Lengths.Length;

    internal long Bytes => Terms.Bytes + Keys.Length + Data.Length + Places.Length
        + (Unsafe.SizeOf<PostingBlock>() * (long)Blocks.Length) + (sizeof(int) * ((long)FirstBlocks.Length + Holders.Length))
        + ((2 * sizeof(int)) + (2 * sizeof(long))) * (long)Things;

    internal ReadOnlySpan<byte> KeyOf(int thing) => Keys.AsSpan(KeyStarts[thing], KeyStarts[thing + 1] - KeyStarts[thing]);

    /// <summary>The thing with a key; -1 = it is not there.</summary>
    internal int Find(ReadOnlySpan<byte> key)
    {
        var low = 0;
        var high = Things;
        while (low < high)
        {
            var middle = (low + high) >>> 1;
            var order = KeyOf(middle).SequenceCompareTo(key);
            if (order == 0)
                return middle;
            if (order < 0)
                low = middle + 1;
            else
                high = middle;
        }

        return -1;
    }

    // Four at a time: each gap with those before it, in two steps.
    private static void AddUp(ReadOnlySpan<byte> gaps, int before, Span<int> things)
    {
        var last = Vector128.Create(before);
        var i = 0;
        for (; i + 4 <= gaps.Length; i += 4)
        {
            var four = Vector128.CreateScalar(BinaryPrimitives.ReadUInt32LittleEndian(gaps[i..])).AsByte();
            var sums = Vector128.WidenLower(Vector128.WidenLower(four)).AsInt32() + Vector128<int>.One;
            sums += Vector128.Shuffle(sums, Vector128.Create(4, 0, 1, 2));   // 4 is none of the lanes: zero
            sums += Vector128.Shuffle(sums, Vector128.Create(4, 4, 0, 1));
            sums += last;
            sums.CopyTo(things[i..]);
            last = Vector128.Shuffle(sums, Vector128.Create(3, 3, 3, 3));
        }

        for (var thing = i == 0 ? before : things[i - 1]; i < gaps.Length; i++)
            things[i] = thing += gaps[i] + 1;
    }

    /// <summary>Reads a block of a term.</summary>
    /// <param name="before">The last thing of the block before it; -1 = it is the first.</param>
    /// <returns>How many things it has.</returns>
    internal int Decode(int block, int before, Span<int> things, Span<int> tenths) => Decode(block, before, things, tenths, out _);

    /// <inheritdoc cref="Decode(int, int, Span{int}, Span{int})"/>
    /// <param name="isPlain">All frequencies are one.</param>
    internal int Decode(int block, int before, Span<int> things, Span<int> tenths, out bool isPlain)
    {
        ref readonly var head = ref Blocks[block];
        int count = head.Count;
        var at = head.Data;
        int widths = Data[at++];
        var thing = before;
        var gaps = Data.AsSpan(at, count * (widths & 0x0F));
        things = things[..count];
        switch (widths & 0x0F)
        {
            case 1:
                AddUp(gaps, thing, things);
                break;
            case 2:
                var shorts = MemoryMarshal.Cast<byte, ushort>(gaps);
                for (var i = 0; i < things.Length; i++)
                    things[i] = thing += shorts[i] + 1;
                break;
            default:
                var ints = MemoryMarshal.Cast<byte, int>(gaps);
                for (var i = 0; i < things.Length; i++)
                    things[i] = thing += ints[i] + 1;
                break;
        }

        at += gaps.Length;
        isPlain = widths >> 4 == 0;
        tenths = tenths[..count];
        var frequencies = Data.AsSpan(at, count * (widths >> 4));
        switch (widths >> 4)
        {
            case 0:
                tenths.Fill(Primitives.TextFields.WeightOne);
                break;
            case 1:
                for (var i = 0; i < tenths.Length; i++)
                    tenths[i] = frequencies[i];
                break;
            case 2:
                var shorts = MemoryMarshal.Cast<byte, ushort>(frequencies);
                for (var i = 0; i < tenths.Length; i++)
                    tenths[i] = shorts[i];
                break;
            default:
                MemoryMarshal.Cast<byte, int>(frequencies).CopyTo(tenths);
                break;
        }

        return count;
    }
}

/// <summary>What stands apart of a block.</summary>
/// <param name="Last">Its last thing.</param>
/// <param name="MostTenths">The highest frequency in it.</param>
/// <param name="LeastLength">The least length of a thing in it.</param>
/// <param name="Data">Where it begins.</param>
/// <param name="Places">Where its places begin.</param>
/// <param name="Count">Things in it.</param>
internal readonly record struct PostingBlock(int Last, int MostTenths, int LeastLength, int Data, int Places, byte Count);
