using System.Buffers.Binary;
using Cairn.Codec;
using Cairn.Log;

namespace Cairn.Tables;

/// <summary>Numbers that the bytes of a table rest on.</summary>
internal static class TableFormat
{
    /// <summary>What a data block aims at: large enough that checks and offsets are little beside the entries, small enough that a point
    /// read of a cold key is one short read. Chosen.</summary>
    internal const int DataBlockBytes = 16 << 10;

    /// <summary>A data block ends before it would pass this, unless a single entry does.</summary>
    internal const int DataBlockBytesMax = 64 << 10;

    /// <summary>A key that would lengthen the entries of its block by more than this in all, since it shares less, begins the next one.
    /// Chosen: a sixteenth of a block.</summary>
    internal const int PrefixLossMax = 1 << 10;

    /// <summary>What an index or content block aims at.</summary>
    internal const int IndexBlockBytes = 16 << 10;

    /// <summary>Most keys that share a filter block: with <see cref="FilterBlock.BitsPerKey"/> it is 20 KiB.</summary>
    internal const int FilterKeysMax = 16 << 10;

    /// <summary>Bound on any block, for readers: the largest value, and room for its key and header.</summary>
    internal const int BlockBytesMax = (64 << 20) + (1 << 20);

    /// <summary>Longest store key. Keys of the primitives are far shorter; it is the bound of the store.</summary>
    internal const int KeyBytesMax = 0x7FFF;

    /// <summary>Deepest index that a reader follows. Each level has at least two entries a block, so no file is as deep.</summary>
    internal const int LevelsMax = 48;

    internal static ReadOnlySpan<byte> Magic => "CAIRNTAB"u8;

    /// <inheritdoc cref="SealedFileHeader.Salted"/>
    internal static uint Salted(UInt128 salt) => Mutant.Is("table-salt-left-out") ? Crc32C.Start : SealedFileHeader.Salted(salt);
}

/// <summary>The last 112 bytes of a table. Layout, little-endian: <code>
///   0  u64  root offset
///   8  u32  root bytes
///  12  u32  root level          at least 1
///  16  u64  content root        offset; 0 = no content is referenced
///  24  u32  content root bytes
///  28  u32  content root level
///  32  u32  content stretches   each is sorted by position
///  36  u32  zero
///  40  u64  entries
///  48  u64  keys
///  56  u64  tombstones
///  64  u64  first sequence      the lowest of an entry; 0 in an empty table
///  72  u64  last sequence       the highest
///  80  u64  content references
///  88  u64  content bytes       sum of the lengths in the references
///  96  u64  file bytes          the footer included
/// 104  u32  zero
/// 108  u32  footer check        CRC-32C of salt, file offset (u64), bytes 0-107 </code></summary>
internal readonly record struct TableFooter(
    BlockPlace Root, int RootLevel, BlockPlace ContentRoot, int ContentRootLevel, int ContentStretches, long Entries, long Keys,
    long Tombstones, ulong FirstSequence, ulong LastSequence, long ContentReferences, long ContentBytes, long FileBytes)
{
    internal const int Size = 112;
    internal const int CheckOffset = 108;

    internal static TableFooter Read(ReadOnlySpan<byte> source) => new(
        new BlockPlace(BinaryPrimitives.ReadInt64LittleEndian(source), BinaryPrimitives.ReadInt32LittleEndian(source[8..])),
        BinaryPrimitives.ReadInt32LittleEndian(source[12..]),
        new BlockPlace(BinaryPrimitives.ReadInt64LittleEndian(source[16..]), BinaryPrimitives.ReadInt32LittleEndian(source[24..])),
        BinaryPrimitives.ReadInt32LittleEndian(source[28..]),
        BinaryPrimitives.ReadInt32LittleEndian(source[32..]),
        BinaryPrimitives.ReadInt64LittleEndian(source[40..]),
        BinaryPrimitives.ReadInt64LittleEndian(source[48..]),
        BinaryPrimitives.ReadInt64LittleEndian(source[56..]),
        BinaryPrimitives.ReadUInt64LittleEndian(source[64..]),
        BinaryPrimitives.ReadUInt64LittleEndian(source[72..]),
        BinaryPrimitives.ReadInt64LittleEndian(source[80..]),
        BinaryPrimitives.ReadInt64LittleEndian(source[88..]),
        BinaryPrimitives.ReadInt64LittleEndian(source[96..]));

    internal static bool IsRight(uint salted, long offset, ReadOnlySpan<byte> source) =>
        BinaryPrimitives.ReadUInt32LittleEndian(source[CheckOffset..]) == SealedFileHeader.Check(salted, offset, source[..CheckOffset]);

    internal void Write(Span<byte> target, uint salted, long offset)
    {
        target = target[..Size];
        target.Clear();
        BinaryPrimitives.WriteInt64LittleEndian(target, Root.Offset);
        BinaryPrimitives.WriteInt32LittleEndian(target[8..], Root.Bytes);
        BinaryPrimitives.WriteInt32LittleEndian(target[12..], RootLevel);
        BinaryPrimitives.WriteInt64LittleEndian(target[16..], ContentRoot.Offset);
        BinaryPrimitives.WriteInt32LittleEndian(target[24..], ContentRoot.Bytes);
        BinaryPrimitives.WriteInt32LittleEndian(target[28..], ContentRootLevel);
        BinaryPrimitives.WriteInt32LittleEndian(target[32..], ContentStretches);
        BinaryPrimitives.WriteInt64LittleEndian(target[40..], Entries);
        BinaryPrimitives.WriteInt64LittleEndian(target[48..], Keys);
        BinaryPrimitives.WriteInt64LittleEndian(target[56..], Tombstones);
        BinaryPrimitives.WriteUInt64LittleEndian(target[64..], FirstSequence);
        BinaryPrimitives.WriteUInt64LittleEndian(target[72..], LastSequence);
        BinaryPrimitives.WriteInt64LittleEndian(target[80..], ContentReferences);
        BinaryPrimitives.WriteInt64LittleEndian(target[88..], ContentBytes);
        BinaryPrimitives.WriteInt64LittleEndian(target[96..], FileBytes);
        BinaryPrimitives.WriteUInt32LittleEndian(target[CheckOffset..], SealedFileHeader.Check(salted, offset, target[..CheckOffset]));
    }
}
