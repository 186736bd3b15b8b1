using System.Buffers.Binary;

namespace Cairn.Tables;

/// <summary>A stretch of the log that a table refers to.</summary>
internal readonly record struct ContentExtent(ulong Position, uint Length) : IComparable<ContentExtent>
{
    internal static ContentExtent Of(ReadOnlySpan<byte> reference) =>
        new(BinaryPrimitives.ReadUInt64LittleEndian(reference), BinaryPrimitives.ReadUInt32LittleEndian(reference[8..]));

    internal void Write(Span<byte> target)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(target, Position);
        BinaryPrimitives.WriteUInt32LittleEndian(target[8..], Length);
    }

    public int CompareTo(ContentExtent other) =>
        Position != other.Position ? Position.CompareTo(other.Position) : Length.CompareTo(other.Length);
}

/// <summary>Which contents the entries of a table refer to, so that retention knows them without reading entries. Layout: block header,
/// then count times position u64, length u32; ascending by position. In the content index a block has the key stretch u32, position
/// u64, both big-endian: each stretch of a table is sorted by itself, since sorting all of them would need memory for all.</summary>
internal static class ContentBlock
{
    internal const int EntryBytes = 12;
    internal const int IndexKeyBytes = 12;
    internal const int EntriesMax = (TableFormat.IndexBlockBytes - Block.HeaderBytes) / EntryBytes;

    /// <summary>References of one stretch: 1 MiB of memory while a table is written, and about as many blocks to read side by side as the
    /// table has references divided by this.</summary>
    internal const int StretchMax = 64 << 10;

    internal static bool IsWhole(ReadOnlySpan<byte> block) =>
        Block.Count(block) > 0 && Block.HeaderBytes + (long)Block.Count(block) * EntryBytes == block.Length;

    internal static ContentExtent Read(ReadOnlySpan<byte> block, int index) =>
        ContentExtent.Of(block.Slice(Block.HeaderBytes + index * EntryBytes, EntryBytes));

    internal static byte[] Build(ReadOnlySpan<ContentExtent> extents)
    {
        var block = new byte[Block.HeaderBytes + extents.Length * EntryBytes];
        Block.WriteHeader(block, BlockKind.Content, 0, 0, extents.Length);
        var rest = block.AsSpan(Block.HeaderBytes);
        foreach (var extent in extents)
        {
            extent.Write(rest);
            rest = rest[EntryBytes..];
        }

        return block;
    }
}
