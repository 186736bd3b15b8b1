using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Cairn.Log;

namespace Cairn.Tables;

/// <summary>Where a block lies in its file.</summary>
internal readonly record struct BlockPlace(long Offset, int Bytes);

internal enum BlockKind : byte
{
    Data = 1,
    Index = 2,
    Filter = 3,
    Content = 4,
}

/// <summary>What every block of a table begins with. Layout, little-endian: <code>
///  0  u32  check    CRC-32C of salt, file offset (u64), then the block from byte 4 on
///  4  u8   kind     1 data, 2 index, 3 filter, 4 content
///  5  u8   level    of an index block: 0 names data or content blocks, n names index blocks of level n - 1
///  6  u16  prefix   bytes P that all keys of the block begin with
///  8  u32  count    entries, or lines of a filter
/// 12  u32  bytes    of the whole block </code></summary>
internal static class Block
{
    internal const int HeaderBytes = 16;

    internal static BlockKind Kind(ReadOnlySpan<byte> block) => (BlockKind)block[4];

    internal static int Level(ReadOnlySpan<byte> block) => block[5];

    internal static int PrefixBytes(ReadOnlySpan<byte> block) => BinaryPrimitives.ReadUInt16LittleEndian(block[6..]);

    internal static int Count(ReadOnlySpan<byte> block) => BinaryPrimitives.ReadInt32LittleEndian(block[8..]);

    internal static void WriteHeader(Span<byte> block, BlockKind kind, int level, int prefixBytes, int count)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(block, 0);
        block[4] = (byte)kind;
        block[5] = (byte)level;
        BinaryPrimitives.WriteUInt16LittleEndian(block[6..], (ushort)prefixBytes);
        BinaryPrimitives.WriteInt32LittleEndian(block[8..], count);
        BinaryPrimitives.WriteInt32LittleEndian(block[12..], block.Length);
    }

    /// <summary>Reads without a check of bounds, for the inner loops of point reads: only inside a block in which
    /// <see cref="FindFault"/> found none, at a place that it looked at.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static ushort UInt16At(ReadOnlySpan<byte> block, int at)
    {
        var value = Unsafe.ReadUnaligned<ushort>(ref Unsafe.Add(ref MemoryMarshal.GetReference(block), at));
        return BitConverter.IsLittleEndian ? value : BinaryPrimitives.ReverseEndianness(value);
    }

    /// <summary>The same for 8 bytes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static ulong UInt64At(ReadOnlySpan<byte> block, int at)
    {
        var value = Unsafe.ReadUnaligned<ulong>(ref Unsafe.Add(ref MemoryMarshal.GetReference(block), at));
        return BitConverter.IsLittleEndian ? value : BinaryPrimitives.ReverseEndianness(value);
    }

    /// <summary>Makes the block valid at its place.</summary>
    internal static void Seal(Span<byte> block, uint salted, long offset) =>
        BinaryPrimitives.WriteUInt32LittleEndian(block, SealedFileHeader.Check(salted, offset, block[4..]));

    /// <summary>What is wrong with bytes that were read from the place of a block; null when nothing. After this, no reader of the block
    /// can step outside it.</summary>
    internal static string? FindFault(ReadOnlySpan<byte> block, BlockKind kind, int level, uint salted, long offset)
    {
        if (block.Length < HeaderBytes)
            return "a block";
        var check = SealedFileHeader.Check(salted, offset, block[4..]);
        if (BinaryPrimitives.ReadUInt32LittleEndian(block) != check && !Mutant.Is("table-check-off"))
            return "the block that its check was taken of";
        if (Kind(block) != kind || Level(block) != level || BinaryPrimitives.ReadInt32LittleEndian(block[12..]) != block.Length)
            return $"a {kind} block of level {level} and {block.Length} bytes";
        var isWhole = kind switch
        {
            BlockKind.Data => DataBlock.IsWhole(block),
            BlockKind.Index => IndexBlock.IsWhole(block),
            BlockKind.Filter => FilterBlock.IsWhole(block),
            _ => ContentBlock.IsWhole(block),
        };
        return isWhole ? null : $"a {kind} block whose entries fill it";
    }
}
