using System.Buffers.Binary;
using System.Numerics;
using Cairn.Content;

namespace Cairn.Tables;

/// <summary>
/// Entries in order: run and key ascending by their bytes, of one key the newest version first. What all keys begin with stands once. A
/// point read goes through the slots, a hash table of the keys: header and prefix, slot, entry, a miss of the processor's cache each, where
/// halving would take one at each step. A scan seeks by halving. Layout: <code>
/// block header
/// P          the common prefix of run (16 bytes, network order) and key
/// 2 S        slots, u16: 0, or where in the block the first entry begins of a key whose hash belongs here or a little before.
///            S is the power of two at or above N + N/2 + 1; the first slot looked at is the hash modulo S
/// 2 N        where each of the N entries begins in the block, u16
/// entries    one after another, to the end of the block </code>
/// Every entry begins in the first 64 KiB: a block is longer only for a single one. An entry: <code>
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
/// An entry is named here by where it begins; in order they also have an index.
/// </summary>
internal static class DataBlock
{
    internal const int EntryFixedBytes = 24;

    internal const int Tombstone = 1, Content = 2, HasCreated = 4, HasExpiry = 8, Again = 16;

    private const int KnownFlags = 31;
    private const int CountMax = ushort.MaxValue / EntryFixedBytes;

    internal static int Slots(int count) => (int)BitOperations.RoundUpToPowerOf2((uint)(count + count / 2 + 1));

    internal static int EntryBytes(int suffixBytes, int flags, int valueBytes) => HeadBytes(flags) + suffixBytes + valueBytes;

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
            if (at + EntryFixedBytes > block.Length || OffsetOf(block, index) != at)
                return false;
            var entry = block[(int)at..];
            var valueBytes = BinaryPrimitives.ReadUInt32LittleEndian(entry[4..]);
            if ((entry[2] & ~KnownFlags) != 0 || entry[3] != 0 || valueBytes > TableFormat.BlockBytesMax
                || ((entry[2] & Content) != 0 && valueBytes != ContentReference.Size))
                return false;
            at += EntryBytes(BinaryPrimitives.ReadUInt16LittleEndian(entry), entry[2], (int)valueBytes);
        }

        return at == block.Length && AreSlotsRight(block, count);
    }

    internal static ReadOnlySpan<byte> Prefix(ReadOnlySpan<byte> block) => block.Slice(Block.HeaderBytes, Block.PrefixBytes(block));

    /// <summary>Where the entry of an index begins.</summary>
    internal static int OffsetOf(ReadOnlySpan<byte> block, int index)
    {
        var offsets = Block.HeaderBytes + Block.PrefixBytes(block) + 2 * Slots(Block.Count(block));
        return BinaryPrimitives.ReadUInt16LittleEndian(block[(offsets + 2 * index)..]);
    }

    internal static ReadOnlySpan<byte> Suffix(ReadOnlySpan<byte> block, int at)
    {
        var entry = block[at..];
        return entry.Slice(HeadBytes(entry[2]), BinaryPrimitives.ReadUInt16LittleEndian(entry));
    }

    internal static ulong Sequence(ReadOnlySpan<byte> block, int at) => BinaryPrimitives.ReadUInt64LittleEndian(block[(at + 8)..]);

    /// <summary>True when the entry has the same key as the one before it, in this block or in the one before.</summary>
    internal static bool IsAgain(ReadOnlySpan<byte> block, int at) => (block[at + 2] & Again) != 0;

    internal static VersionView View(ReadOnlySpan<byte> block, int at)
    {
        var entry = block[at..];
        var flags = entry[2];
        var sequence = BinaryPrimitives.ReadUInt64LittleEndian(entry[8..]);
        var next = EntryFixedBytes;
        var created = sequence;
        var expiry = 0L;
        if ((flags & HasCreated) != 0)
        {
            created = BinaryPrimitives.ReadUInt64LittleEndian(entry[next..]);
            next += 8;
        }

        if ((flags & HasExpiry) != 0)
        {
            expiry = BinaryPrimitives.ReadInt64LittleEndian(entry[next..]);
            next += 8;
        }

        next += BinaryPrimitives.ReadUInt16LittleEndian(entry);
        return new VersionView(
            entry.Slice(next, BinaryPrimitives.ReadInt32LittleEndian(entry[4..])), sequence, created,
            BinaryPrimitives.ReadInt64LittleEndian(entry[16..]), expiry, (flags & Tombstone) != 0, (flags & Content) != 0);
    }

    /// <summary>The newest version of a key at or below a sequence, of those in the block; -1 when there is none.</summary>
    /// <param name="probe">Run and key.</param>
    /// <param name="hash">Of <paramref name="probe"/>.</param>
    internal static int Find(ReadOnlySpan<byte> block, ReadOnlySpan<byte> probe, ulong hash, ulong sequence)
    {
        var prefix = Prefix(block);
        if (!probe.StartsWith(prefix))
            return -1;
        var suffix = probe[prefix.Length..];
        var mask = Slots(Block.Count(block)) - 1;
        var slots = Block.HeaderBytes + prefix.Length;
        for (var slot = (int)hash & mask;; slot = (slot + 1) & mask)
        {
            var at = Block.UInt16At(block, slots + 2 * slot);
            if (at == 0)
                return -1;
            if (Suffix(block, at).SequenceEqual(suffix))
                return NewestAtOrBelow(block, at, sequence);
        }
    }

    /// <summary>The index of the first entry at or behind a version of a key; count when all are before it.</summary>
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
            var at = OffsetOf(block, middle);
            var order = Suffix(block, at).SequenceCompareTo(suffix);
            if (order < 0 || (order == 0 && Sequence(block, at) > sequence))
                low = middle + 1;
            else
                high = middle;
        }

        return low;
    }

    // From the first entry of a key on.
    private static int NewestAtOrBelow(ReadOnlySpan<byte> block, int at, ulong sequence)
    {
        while (Sequence(block, at) > sequence)
        {
            var entry = block[at..];
            at += EntryBytes(
                BinaryPrimitives.ReadUInt16LittleEndian(entry), entry[2], BinaryPrimitives.ReadInt32LittleEndian(entry[4..]));
            if (at == block.Length || !IsAgain(block, at))
                return -1;
        }

        return at;
    }

    private static int HeadBytes(int flags) => EntryFixedBytes + ((flags & HasCreated) << 1) + (flags & HasExpiry);

    private static int EntriesStart(ReadOnlySpan<byte> block, int count) =>
        Block.HeaderBytes + Block.PrefixBytes(block) + 2 * Slots(count) + 2 * count;

    // A slot that is taken names an entry; and some slot is free, for a search ends there.
    private static bool AreSlotsRight(ReadOnlySpan<byte> block, int count)
    {
        var starts = block.Slice(Block.HeaderBytes + Block.PrefixBytes(block) + 2 * Slots(count), 2 * count);
        var slots = block.Slice(Block.HeaderBytes + Block.PrefixBytes(block), 2 * Slots(count));
        var free = 0;
        for (; slots.Length > 0; slots = slots[2..])
        {
            var slot = BinaryPrimitives.ReadUInt16LittleEndian(slots);
            if (slot == 0)
                free++;
            else if (!Contains(starts, slot))
                return false;
        }

        return free > 0;
    }

    private static bool Contains(ReadOnlySpan<byte> starts, ushort one)
    {
        var low = 0;
        var high = starts.Length / 2;
        while (low < high)
        {
            var middle = (low + high) >>> 1;
            if (BinaryPrimitives.ReadUInt16LittleEndian(starts[(2 * middle)..]) < one)
                low = middle + 1;
            else
                high = middle;
        }

        return 2 * low < starts.Length && BinaryPrimitives.ReadUInt16LittleEndian(starts[(2 * low)..]) == one;
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

    /// <summary>Of the block with one more entry, at most: a key that shares less makes all entries longer.</summary>
    internal int BytesWith(ReadOnlySpan<byte> key, int valueBytes) =>
        BytesOf(Count + 1, checked(_rawBytes + DataBlock.EntryFixedBytes + 16 + key.Length + valueBytes), PrefixWith(key));

    /// <summary>By how much the entries get longer when this key, which shares less with them, comes to them.</summary>
    internal long LossWith(ReadOnlySpan<byte> key) => (long)(_prefixBytes - PrefixWith(key)) * Count;

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
        _prefixBytes = Count == 1 ? key.Length : PrefixWith(key);
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
        FirstKey[.._prefixBytes].CopyTo(block[Block.HeaderBytes..]);
        var at = Block.HeaderBytes + _prefixBytes;
        var slots = block.Slice(at, 2 * slotCount);
        slots.Clear();
        at += slots.Length;
        var offsets = block.Slice(at, 2 * count);
        at += offsets.Length;
        for (var index = 0; index < count; index++)
        {
            var (from, keyBytes, hash) = _entries[index];
            var end = index + 1 < count ? _entries[index + 1].At : _rawBytes;
            var raw = _raw.AsSpan(from, end - from);
            BinaryPrimitives.WriteUInt16LittleEndian(offsets[(2 * index)..], checked((ushort)at));
            var head = DataBlock.EntryBytes(0, raw[2], 0);
            raw[..head].CopyTo(block[at..]);
            BinaryPrimitives.WriteUInt16LittleEndian(block[at..], (ushort)(keyBytes - _prefixBytes));
            raw[(head + _prefixBytes)..].CopyTo(block[(at + head)..]);
            if (index == 0 || (raw[2] & DataBlock.Again) == 0)
                Occupy(slots, slotCount, hash, at);
            at += raw.Length - _prefixBytes;
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

    private int PrefixWith(ReadOnlySpan<byte> key) => key.CommonPrefixLength(Key(0)[..Math.Min(_prefixBytes, key.Length)]);

    private ReadOnlySpan<byte> Key(int index)
    {
        var (at, keyBytes, _) = _entries[index];
        return _raw.AsSpan(at + DataBlock.EntryBytes(0, _raw[at + 2], 0), keyBytes);
    }

    private static int BytesOf(int count, int rawBytes, int prefixBytes) => count == 0
        ? Block.HeaderBytes
        : Block.HeaderBytes + prefixBytes + 2 * DataBlock.Slots(count) + 2 * count + rawBytes - count * prefixBytes;

    private static void Occupy(Span<byte> slots, int count, ulong hash, int at)
    {
        var slot = (int)hash & (count - 1);
        while (BinaryPrimitives.ReadUInt16LittleEndian(slots[(2 * slot)..]) != 0)
            slot = (slot + 1) & (count - 1);
        BinaryPrimitives.WriteUInt16LittleEndian(slots[(2 * slot)..], (ushort)at);
    }

    private static void Grow(ref byte[] buffer, int used, int more)
    {
        if (buffer.Length - used < more)
            Array.Resize(ref buffer, (int)Math.Max(Math.Min(2L * buffer.Length, Array.MaxLength), checked(used + more)));
    }
}
