using System.Buffers.Binary;
using System.Numerics;
using Cairn.Content;

namespace Cairn.Tables;

/// <summary>
/// Entries in order: run and key ascending by their bytes, of one key the newest version first. What all keys begin with stands once. A
/// point read goes through the slots, a hash table of the keys; a scan seeks by halving. Layout: <code>
/// block header
/// 4 N        where each of the N entries begins in the block, u32
/// 2 S        slots, u16: 0, or 1 + the first entry in the block of a key whose hash belongs here or a little before.
///            S is the power of two at or above N + N/2 + 1; the first slot looked at is the hash modulo S
/// P          the common prefix of run (16 bytes, network order) and key
/// entries    one after another, to the end of the block </code>
/// An entry: <code>
///  0  u16  suffix      bytes of run and key behind the prefix
///  2  u8   flags       1 tombstone, 2 the value is a content reference, 4 created differs from sequence, 8 has an expiry,
///                      16 the same key as the entry before it in the table
///  3  u8   zero
///  4  u32  value bytes
///  8  u64  sequence
/// 16  i64  time        commit time, microseconds since 1970
/// 24  u64  created     only with flag 4
///     i64  expiry      only with flag 8
///          suffix, then value </code>
/// </summary>
internal static class DataBlock
{
    internal const int EntryFixedBytes = 24;

    internal const int Tombstone = 1, Content = 2, HasCreated = 4, HasExpiry = 8, Again = 16;

    private const int KnownFlags = 31;
    private const int CountMax = ushort.MaxValue - 1;

    internal static int Slots(int count) => (int)BitOperations.RoundUpToPowerOf2((uint)(count + count / 2 + 1));

    internal static int EntryBytes(int suffixBytes, int flags, int valueBytes) =>
        EntryFixedBytes + ((flags & HasCreated) != 0 ? 8 : 0) + ((flags & HasExpiry) != 0 ? 8 : 0) + suffixBytes + valueBytes;

    internal static bool IsWhole(ReadOnlySpan<byte> block)
    {
        var count = Block.Count(block);
        if (count is < 1 or > CountMax)
            return false;
        var at = (long)EntriesStart(block, count);
        if (at > block.Length)
            return false;
        for (var index = 0; index < count; index++)
        {
            if (at + EntryFixedBytes > block.Length || EntryOffset(block, index) != at)
                return false;
            var entry = block[(int)at..];
            var valueBytes = BinaryPrimitives.ReadUInt32LittleEndian(entry[4..]);
            if ((entry[2] & ~KnownFlags) != 0 || entry[3] != 0 || valueBytes > TableFormat.BlockBytesMax
                || ((entry[2] & Content) != 0 && valueBytes != ContentReference.Size))
                return false;
            at += EntryBytes(BinaryPrimitives.ReadUInt16LittleEndian(entry), entry[2], (int)valueBytes);
        }

        return at == block.Length && AreSlotsInRange(block, count);
    }

    internal static ReadOnlySpan<byte> Prefix(ReadOnlySpan<byte> block)
    {
        var count = Block.Count(block);
        return block.Slice(Block.HeaderBytes + 4 * count + 2 * Slots(count), Block.PrefixBytes(block));
    }

    internal static ReadOnlySpan<byte> Suffix(ReadOnlySpan<byte> block, int index)
    {
        var at = EntryOffset(block, index);
        return block.Slice(at + HeadBytes(block[at + 2]), BinaryPrimitives.ReadUInt16LittleEndian(block[at..]));
    }

    internal static ulong Sequence(ReadOnlySpan<byte> block, int index) =>
        BinaryPrimitives.ReadUInt64LittleEndian(block[(EntryOffset(block, index) + 8)..]);

    /// <summary>True when the entry has the same key as the one before it, in this block or in the one before.</summary>
    internal static bool IsAgain(ReadOnlySpan<byte> block, int index) => (block[EntryOffset(block, index) + 2] & Again) != 0;

    internal static VersionView View(ReadOnlySpan<byte> block, int index)
    {
        var entry = block[EntryOffset(block, index)..];
        var flags = entry[2];
        var sequence = BinaryPrimitives.ReadUInt64LittleEndian(entry[8..]);
        var at = EntryFixedBytes;
        var created = sequence;
        var expiry = 0L;
        if ((flags & HasCreated) != 0)
        {
            created = BinaryPrimitives.ReadUInt64LittleEndian(entry[at..]);
            at += 8;
        }

        if ((flags & HasExpiry) != 0)
        {
            expiry = BinaryPrimitives.ReadInt64LittleEndian(entry[at..]);
            at += 8;
        }

        at += BinaryPrimitives.ReadUInt16LittleEndian(entry);
        return new VersionView(
            entry.Slice(at, BinaryPrimitives.ReadInt32LittleEndian(entry[4..])), sequence, created,
            BinaryPrimitives.ReadInt64LittleEndian(entry[16..]), expiry, (flags & Tombstone) != 0, (flags & Content) != 0);
    }

    /// <summary>The newest version of a key at or below a sequence, of those in the block; -1 when there is none.</summary>
    /// <param name="probe">Run and key.</param>
    /// <param name="hash">Of <paramref name="probe"/>.</param>
    internal static int Find(ReadOnlySpan<byte> block, ReadOnlySpan<byte> probe, ulong hash, ulong sequence)
    {
        var count = Block.Count(block);
        var slots = Slots(count);
        var prefixBytes = Block.PrefixBytes(block);
        var slotsStart = Block.HeaderBytes + 4 * count;
        if (!probe.StartsWith(block.Slice(slotsStart + 2 * slots, prefixBytes)))
            return -1;
        var suffix = probe[prefixBytes..];
        for (var slot = (int)hash & (slots - 1);; slot = (slot + 1) & (slots - 1))
        {
            var index = BinaryPrimitives.ReadUInt16LittleEndian(block[(slotsStart + 2 * slot)..]) - 1;
            if (index < 0)
                return -1;
            if (!Suffix(block, index).SequenceEqual(suffix))
                continue;
            for (; Sequence(block, index) > sequence; index++)
            {
                if (index + 1 == count || !IsAgain(block, index + 1))
                    return -1;
            }

            return index;
        }
    }

    /// <summary>The first entry at or behind a version of a key; count when all are before it.</summary>
    internal static int Seek(ReadOnlySpan<byte> block, ReadOnlySpan<byte> probe, ulong sequence)
    {
        var count = Block.Count(block);
        var prefix = Prefix(block);
        var common = probe.CommonPrefixLength(prefix);
        if (common < prefix.Length)
            return common == probe.Length || probe[common] < prefix[common] ? 0 : count;
        var suffix = probe[common..];
        var low = 0;
        var high = count;
        while (low < high)
        {
            var middle = (low + high) >>> 1;
            var order = Suffix(block, middle).SequenceCompareTo(suffix);
            if (order < 0 || (order == 0 && Sequence(block, middle) > sequence))
                low = middle + 1;
            else
                high = middle;
        }

        return low;
    }

    private static int HeadBytes(byte flags) => EntryFixedBytes + ((flags & HasCreated) << 1) + (flags & HasExpiry);

    private static int EntriesStart(ReadOnlySpan<byte> block, int count) =>
        Block.HeaderBytes + 4 * count + 2 * Slots(count) + Block.PrefixBytes(block);

    private static int EntryOffset(ReadOnlySpan<byte> block, int index) =>
        BinaryPrimitives.ReadInt32LittleEndian(block[(Block.HeaderBytes + 4 * index)..]);

    // A free slot must be there too: a search ends at one.
    private static bool AreSlotsInRange(ReadOnlySpan<byte> block, int count)
    {
        var slots = block.Slice(Block.HeaderBytes + 4 * count, 2 * Slots(count));
        var free = 0;
        for (; slots.Length > 0; slots = slots[2..])
        {
            var slot = BinaryPrimitives.ReadUInt16LittleEndian(slots);
            if (slot > count)
                return false;
            free += slot == 0 ? 1 : 0;
        }

        return free > 0;
    }
}

/// <summary>Gathers the entries of the next data block; makes the block when it is full.</summary>
internal sealed class DataBlockBuilder
{
    private byte[] _raw = new byte[TableFormat.DataBlockBytes * 2];     // entries with whole keys: the prefix is known at the end
    private byte[] _block = new byte[TableFormat.DataBlockBytes * 2];
    private int _rawBytes;
    private readonly List<(int At, int KeyBytes, ulong Hash)> _entries = [];
    private int _prefixBytes;

    internal int Count => _entries.Count;

    /// <summary>Of the block that <see cref="Build"/> would make now.</summary>
    internal int Bytes => BytesOf(_entries.Count, _rawBytes, _prefixBytes);

    internal int BytesWith(int keyBytes, int valueBytes) => Bytes + 4 + 16 + DataBlock.EntryFixedBytes + keyBytes + valueBytes;

    internal ReadOnlySpan<byte> FirstKey => Key(0);

    internal ulong FirstSequence => BinaryPrimitives.ReadUInt64LittleEndian(_raw.AsSpan(_entries[0].At + 8));

    internal ReadOnlySpan<byte> LastKey => Key(_entries.Count - 1);

    internal void Add(ReadOnlySpan<byte> key, ulong hash, bool isAgain, in VersionView version)
    {
        var flags = (version.IsTombstone ? DataBlock.Tombstone : 0) | (version.IsContent ? DataBlock.Content : 0)
            | (version.Created != version.Sequence ? DataBlock.HasCreated : 0) | (version.Expiry != 0 ? DataBlock.HasExpiry : 0)
            | (isAgain ? DataBlock.Again : 0);
        var bytes = DataBlock.EntryBytes(key.Length, flags, version.Stored.Length);
        Grow(ref _raw, _rawBytes, bytes);
        var target = _raw.AsSpan(_rawBytes, bytes);
        BinaryPrimitives.WriteUInt16LittleEndian(target, (ushort)key.Length);
        target[2] = (byte)flags;
        target[3] = 0;
        BinaryPrimitives.WriteInt32LittleEndian(target[4..], version.Stored.Length);
        BinaryPrimitives.WriteUInt64LittleEndian(target[8..], version.Sequence);
        BinaryPrimitives.WriteInt64LittleEndian(target[16..], version.Time);
        var at = DataBlock.EntryFixedBytes;
        if ((flags & DataBlock.HasCreated) != 0)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(target[at..], version.Created);
            at += 8;
        }

        if ((flags & DataBlock.HasExpiry) != 0)
        {
            BinaryPrimitives.WriteInt64LittleEndian(target[at..], version.Expiry);
            at += 8;
        }

        key.CopyTo(target[at..]);
        version.Stored.CopyTo(target[(at + key.Length)..]);
        _entries.Add((_rawBytes, key.Length, hash));
        _rawBytes += bytes;

        // All keys lie between the first and the last one, so what these two share all share.
        _prefixBytes = Count == 1 ? key.Length : key.CommonPrefixLength(Key(0)[..Math.Min(_prefixBytes, key.Length)]);
    }

    /// <summary>The finished block, without its check; the next call reuses the bytes.</summary>
    internal Span<byte> Build()
    {
        var count = Count;
        var slotCount = DataBlock.Slots(count);
        var bytes = Bytes;
        if (_block.Length < bytes)
            _block = new byte[bytes];
        var block = _block.AsSpan(0, bytes);
        Block.WriteHeader(block, BlockKind.Data, 0, _prefixBytes, count);
        var offsets = block.Slice(Block.HeaderBytes, 4 * count);
        var slots = block.Slice(Block.HeaderBytes + 4 * count, 2 * slotCount);
        slots.Clear();
        var at = Block.HeaderBytes + 4 * count + 2 * slotCount;
        FirstKey[.._prefixBytes].CopyTo(block[at..]);
        at += _prefixBytes;
        for (var index = 0; index < count; index++)
        {
            var (from, keyBytes, hash) = _entries[index];
            var end = index + 1 < count ? _entries[index + 1].At : _rawBytes;
            var raw = _raw.AsSpan(from, end - from);
            BinaryPrimitives.WriteInt32LittleEndian(offsets[(4 * index)..], at);
            var head = DataBlock.EntryBytes(0, raw[2], 0);
            raw[..head].CopyTo(block[at..]);
            BinaryPrimitives.WriteUInt16LittleEndian(block[at..], (ushort)(keyBytes - _prefixBytes));
            raw[(head + _prefixBytes)..].CopyTo(block[(at + head)..]);
            at += raw.Length - _prefixBytes;
            if (index == 0 || (raw[2] & DataBlock.Again) == 0)
                Occupy(slots, slotCount, hash, index);
        }

        Invariant.Check(at == bytes, "a data block is as long as its entries");
        return block;
    }

    internal void Clear()
    {
        _entries.Clear();
        _rawBytes = 0;
        if (_raw.Length > 4 * TableFormat.DataBlockBytesMax)
            _raw = new byte[TableFormat.DataBlockBytes * 2];
        if (_block.Length > 4 * TableFormat.DataBlockBytesMax)
            _block = [];
    }

    private ReadOnlySpan<byte> Key(int index)
    {
        var (at, keyBytes, _) = _entries[index];
        return _raw.AsSpan(at + DataBlock.EntryBytes(0, _raw[at + 2], 0), keyBytes);
    }

    private static int BytesOf(int count, int rawBytes, int prefixBytes) => count == 0
        ? Block.HeaderBytes
        : Block.HeaderBytes + 4 * count + 2 * DataBlock.Slots(count) + prefixBytes + rawBytes - count * prefixBytes;

    private static void Occupy(Span<byte> slots, int count, ulong hash, int index)
    {
        var slot = (int)hash & (count - 1);
        while (BinaryPrimitives.ReadUInt16LittleEndian(slots[(2 * slot)..]) != 0)
            slot = (slot + 1) & (count - 1);
        BinaryPrimitives.WriteUInt16LittleEndian(slots[(2 * slot)..], (ushort)(index + 1));
    }

    private static void Grow(ref byte[] buffer, int used, int more)
    {
        if (buffer.Length - used < more)
            Array.Resize(ref buffer, (int)Math.Max(Math.Min(2L * buffer.Length, Array.MaxLength), checked(used + more)));
    }
}
