using System.Buffers.Binary;

namespace Cairn.Tables;

/// <summary>
/// Names blocks by what they begin with: separators, each at or before the first entry of its block and behind the last one of the block
/// before, as short as that allows. Layout: <code>
/// block header
/// 8 N        heads, u64: the first 8 bytes of each suffix as a big-endian number, zeros behind its end
/// 4 N        where each of the N entries begins in the block, u32
/// P          the common prefix of the separators' keys
/// entries    one after another, to the end of the block </code>
/// An entry: <code>
///  0  u16  suffix        bytes of the separator's key behind the prefix
///  2  u16  zero
///  4  u32  bytes         of the named block
///  8  u64  offset        of the named block
/// 16  u64  sequence      of the separator: all ones, or, between versions of one key, one below the version before it
/// 24  u64  filter        at level 1 only: offset of the filter of the named block's keys; 0 = none
/// 32  u32  filter bytes  at level 1 only
/// 36  u32  zero          at level 1 only
///          suffix </code>
/// </summary>
internal static class IndexBlock
{
    private const int EntryFixedBytes = 24;
    private const int FilterFieldBytes = 16;

    internal static int HeadBytes(int level) => level == 1 ? EntryFixedBytes + FilterFieldBytes : EntryFixedBytes;

    internal static bool IsWhole(ReadOnlySpan<byte> block)
    {
        var count = Block.Count(block);
        var start = Block.HeaderBytes + 12L * count + Block.PrefixBytes(block);
        if (count < 0 || start > block.Length)
            return false;
        var head = HeadBytes(Block.Level(block));
        var at = start;
        for (var index = 0; index < count; index++)
        {
            if (at + head > block.Length || EntryOffset(block, count, index) != at)
                return false;
            var entry = block[(int)at..];
            if (BinaryPrimitives.ReadUInt16LittleEndian(entry[2..]) != 0
                || (head != EntryFixedBytes && BinaryPrimitives.ReadUInt32LittleEndian(entry[36..]) != 0))
                return false;
            at += head + BinaryPrimitives.ReadUInt16LittleEndian(entry);
        }

        return at == block.Length;
    }

    internal static BlockPlace Child(ReadOnlySpan<byte> block, int index)
    {
        var entry = block[EntryOffset(block, Block.Count(block), index)..];
        return new BlockPlace(BinaryPrimitives.ReadInt64LittleEndian(entry[8..]), BinaryPrimitives.ReadInt32LittleEndian(entry[4..]));
    }

    /// <summary>The filter of the keys below an entry of level 1; no bytes = none.</summary>
    internal static BlockPlace Filter(ReadOnlySpan<byte> block, int index)
    {
        var entry = block[EntryOffset(block, Block.Count(block), index)..];
        return new BlockPlace(BinaryPrimitives.ReadInt64LittleEndian(entry[24..]), BinaryPrimitives.ReadInt32LittleEndian(entry[32..]));
    }

    internal static ReadOnlySpan<byte> Prefix(ReadOnlySpan<byte> block) =>
        block.Slice(Block.HeaderBytes + 12 * Block.Count(block), Block.PrefixBytes(block));

    internal static ReadOnlySpan<byte> Suffix(ReadOnlySpan<byte> block, int index)
    {
        var at = EntryOffset(block, Block.Count(block), index);
        return block.Slice(at + HeadBytes(Block.Level(block)), BinaryPrimitives.ReadUInt16LittleEndian(block[at..]));
    }

    internal static ulong Sequence(ReadOnlySpan<byte> block, int index) =>
        BinaryPrimitives.ReadUInt64LittleEndian(block[(EntryOffset(block, Block.Count(block), index) + 16)..]);

    /// <summary>The last entry whose separator is at or before a version of a key: the block that has that version if any has it; -1 when
    /// it lies before all.</summary>
    internal static int Search(ReadOnlySpan<byte> block, ReadOnlySpan<byte> probe, ulong sequence)
    {
        var count = Block.Count(block);
        var prefix = Prefix(block);
        var common = probe.CommonPrefixLength(prefix);
        if (common < prefix.Length)
            return common == probe.Length || probe[common] < prefix[common] ? -1 : count - 1;
        var suffix = probe[common..];
        var head = Head(suffix);

        var low = HeadsBelow(block, count, head);
        if (low == count || Block.UInt64At(block, Block.HeaderBytes + 8 * low) != head)
            return low - 1;

        // Those whose heads are equal are told apart by their whole suffixes.
        var high = head == ulong.MaxValue ? count : HeadsBelow(block, count, head + 1);
        while (low < high)
        {
            var middle = (low + high) >>> 1;
            if (IsAtOrBefore(block, middle, suffix, sequence))
                low = middle + 1;
            else
                high = middle;
        }

        return low - 1;
    }

    internal static ulong Head(ReadOnlySpan<byte> suffix)
    {
        if (suffix.Length >= 8)
            return BinaryPrimitives.ReadUInt64BigEndian(suffix);
        var head = 0UL;
        for (var i = 0; i < suffix.Length; i++)
            head |= (ulong)suffix[i] << (56 - 8 * i);
        return head;
    }

    // Without a branch that could be guessed wrong at each halving.
    private static int HeadsBelow(ReadOnlySpan<byte> block, int count, ulong head)
    {
        var low = 0;
        for (var left = count; left > 0;)
        {
            var half = left >> 1;
            var isBelow = Block.UInt64At(block, Block.HeaderBytes + 8 * (low + half)) < head;
            low = isBelow ? low + half + 1 : low;
            left = isBelow ? left - half - 1 : half;
        }

        return low;
    }

    private static bool IsAtOrBefore(ReadOnlySpan<byte> block, int index, ReadOnlySpan<byte> suffix, ulong sequence)
    {
        var order = Suffix(block, index).SequenceCompareTo(suffix);
        return order < 0 || (order == 0 && Sequence(block, index) >= sequence);
    }

    private static int EntryOffset(ReadOnlySpan<byte> block, int count, int index) =>
        BinaryPrimitives.ReadInt32LittleEndian(block[(Block.HeaderBytes + 8 * count + 4 * index)..]);
}

/// <summary>Gathers the entries of the next index block of one level.</summary>
internal sealed class IndexBlockBuilder(int level)
{
    private byte[] _keys = new byte[1024];
    private int _keyBytes;
    private readonly List<Entry> _entries = [];
    private int _prefixBytes;

    private readonly record struct Entry(int KeyAt, int KeyBytes, ulong Sequence, BlockPlace Child, BlockPlace Filter);

    internal int Level => level;

    internal int Count => _entries.Count;

    internal int Bytes => Block.HeaderBytes + _prefixBytes + _keyBytes + Count * (12 + IndexBlock.HeadBytes(level) - _prefixBytes);

    internal ReadOnlySpan<byte> FirstKey => Key(0);

    internal ulong FirstSequence => _entries[0].Sequence;

    internal void Add(ReadOnlySpan<byte> key, ulong sequence, BlockPlace child, BlockPlace filter)
    {
        if (_keys.Length - _keyBytes < key.Length)
            Array.Resize(ref _keys, Math.Max(2 * _keys.Length, _keyBytes + key.Length));
        key.CopyTo(_keys.AsSpan(_keyBytes));
        _entries.Add(new Entry(_keyBytes, key.Length, sequence, child, filter));
        _keyBytes += key.Length;
        _prefixBytes = Count == 1 ? key.Length : key.CommonPrefixLength(Key(0)[..Math.Min(_prefixBytes, key.Length)]);
    }

    internal byte[] Build()
    {
        var block = new byte[Bytes];
        var count = Count;
        Block.WriteHeader(block, BlockKind.Index, level, _prefixBytes, count);
        var heads = block.AsSpan(Block.HeaderBytes, 8 * count);
        var offsets = block.AsSpan(Block.HeaderBytes + 8 * count, 4 * count);
        var at = Block.HeaderBytes + 12 * count;
        if (count > 0)
            FirstKey[.._prefixBytes].CopyTo(block.AsSpan(at));
        at += _prefixBytes;
        for (var index = 0; index < count; index++)
        {
            var entry = _entries[index];
            var suffix = Key(index)[_prefixBytes..];
            BinaryPrimitives.WriteUInt64LittleEndian(heads[(8 * index)..], IndexBlock.Head(suffix));
            BinaryPrimitives.WriteInt32LittleEndian(offsets[(4 * index)..], at);
            var target = block.AsSpan(at);
            BinaryPrimitives.WriteUInt16LittleEndian(target, (ushort)suffix.Length);
            BinaryPrimitives.WriteInt32LittleEndian(target[4..], entry.Child.Bytes);
            BinaryPrimitives.WriteInt64LittleEndian(target[8..], entry.Child.Offset);
            BinaryPrimitives.WriteUInt64LittleEndian(target[16..], entry.Sequence);
            if (level == 1)
            {
                BinaryPrimitives.WriteInt64LittleEndian(target[24..], entry.Filter.Offset);
                BinaryPrimitives.WriteInt32LittleEndian(target[32..], entry.Filter.Bytes);
            }

            var head = IndexBlock.HeadBytes(level);
            suffix.CopyTo(target[head..]);
            at += head + suffix.Length;
        }

        Invariant.Check(at == block.Length, "an index block is as long as its entries");
        return block;
    }

    internal void Clear()
    {
        _entries.Clear();
        _keyBytes = 0;
        _prefixBytes = 0;
    }

    private ReadOnlySpan<byte> Key(int index) => _keys.AsSpan(_entries[index].KeyAt, _entries[index].KeyBytes);
}
