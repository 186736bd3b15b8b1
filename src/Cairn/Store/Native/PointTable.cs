using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;

namespace Cairn.Store.Native;

/// <summary>
/// Where each key's entry is: an extendible hash table (Fagin and others 1979) over buckets of one cache line. A directory
/// points to segments; a young table is one segment that doubles from 8 buckets to 512, a grown one splits one segment at a
/// time, so no insert ever moves more than some 3,000 pointers. A bucket that is full overflows into the next of its segment.
/// <para>One writer. Readers take no lock: a slot is published by one aligned 8-byte store, and a segment that was replaced stays as
/// it was until its readers have left.</para>
/// <code>
/// directory   u64 mask | u64 segment: bits 0-47 address, 48-63 log2 of its buckets, one for each value of the hash's bits 24..
/// segment     i64 used, i64 live, i32 depth, i32 log2 of buckets, u8 overdue, up to 64 bytes | buckets; bits 0.. of the hash choose
/// slot        bits 48-63 of the hash | address of the entry </code>
/// </summary>
internal sealed unsafe class PointTable
{
    private const int SmallestLog = 3, LargestLog = 9;    // 512 B to 32 KiB: a split stays well below a millisecond
    private const int HeaderBytes = 64;
    private const int PadBytes = 128;                     // what aligning a block may cost
    private const int DirectoryShift = 24;
    private const int MoveAhead = 48;                     // slots, half of them empty, that a move fetches keys before it needs them

    /// <summary>That of every run that nothing was written to: has no key, and gets none.</summary>
    internal static readonly PointTable Nothing = new(null!, null!);

    private readonly Slab _slab;
    private readonly Limbo _limbo;
    private nint _directory;
    private nint _freeSegments;
    private long _freeCount;
    private long _overdue;                                // segments that should have split, and found no memory at hand
    private long _count;

    internal PointTable(Slab slab, Limbo limbo)
    {
        _slab = slab;
        _limbo = limbo;
    }

    internal long Count => Volatile.Read(ref _count);

    /// <summary>While loading nobody reads: what is replaced is freed at once.</summary>
    internal bool IsLoading { get; set; }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal byte* Find(ulong hash, ReadOnlySpan<byte> key)
    {
        var slot = FindSlot(hash, key, out var entry);
        return slot == null ? null : entry;
    }

    /// <summary>Begins to fetch what <see cref="Find"/> and <see cref="Insert"/> look at first.
    /// Inside an epoch, or by the writer.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal void Prefetch(ulong hash)
    {
        if (!Sse.IsSupported || Volatile.Read(ref _directory) == 0)
            return;
        Sse.Prefetch0(BucketOf(hash));
        Sse.Prefetch0((byte*)(SegmentOf(hash) & Entry.PointerMask));
    }

    /// <summary>Begins to load the entry that stands in that bucket, and the first version behind it.</summary>
    /// <returns>False: there is no such key. True: it seems to be there, or stands in another bucket.</returns>
    internal bool PrefetchEntry(ulong hash)
    {
        if (Volatile.Read(ref _directory) == 0)
            return false;
        var slots = BucketOf(hash);
        var matches = Bucket.Match(slots, Tag(hash), out var hasEmpty);
        if (matches == 0)
            return !hasEmpty;
        var entry = (byte*)(Volatile.Read(ref slots[BitOperations.TrailingZeroCount(matches)]) & Entry.PointerMask);
        if (Sse.IsSupported)
        {
            Sse.Prefetch0(entry);
            Sse.Prefetch0(entry + 64);
        }

        return true;
    }

    private ulong* BucketOf(ulong hash)
    {
        var word = SegmentOf(hash);
        return (ulong*)((byte*)(word & Entry.PointerMask) + HeaderBytes + (hash & ((1UL << (int)(word >> 48)) - 1)) * Bucket.Bytes);
    }

    /// <summary>Adds the entry of a key that is not there.</summary>
    internal void Insert(ulong hash, byte* entry)
    {
        if (_directory == 0)
            Start(0, SmallestLog);
        var word = SegmentOf(hash);
        var segment = (Segment*)(word & Entry.PointerMask);
        var slots = Bucket.Slots << segment->Log;
        if (segment->Used >= slots * 3 / 4)
        {
            // Many segments fill at about the same time, so one commit may meet several that should split. While there is room, only those
            // do for which the memory is at hand; the next Reserve finds it for the others.
            if (segment->Used < slots - Bucket.Slots && !HasRoomToGrow(segment) && !Mutant.Is("table-asks-behind-reserve"))
                Delay(segment);
            else
                segment = Grow(hash, segment);
        }

        Place(segment, hash, entry);
        Volatile.Write(ref _count, _count + 1);
    }

    /// <summary>Takes out a key that is there.</summary>
    internal void Remove(ulong hash, ReadOnlySpan<byte> key)
    {
        var slot = FindSlot(hash, key, out _);
        Invariant.Check(slot != null, "a key that is removed is in the point index");
        var segment = (Segment*)(SegmentOf(hash) & Entry.PointerMask);
        var bucket = (ulong*)((nuint)slot & ~(nuint)(Bucket.Bytes - 1));
        segment->Live--;
        if (HasEmpty(bucket) || Mutant.Is("store-remove-clears-slot"))
        {
            Volatile.Write(ref *slot, 0);
            segment->Used--;
        }
        else
        {
            Volatile.Write(ref *slot, Bucket.Removed);
        }

        Volatile.Write(ref _count, _count - 1);
    }

    /// <summary>Forgets all keys. The memory goes with the slab, when no reader is left.</summary>
    internal void Forget()
    {
        Volatile.Write(ref _directory, 0);
        _overdue = 0;
        Volatile.Write(ref _count, 0);
    }

    /// <summary>Makes sure that this many inserts find their memory.</summary>
    internal void Ensure(int inserts) => _slab.Ensure(BytesFor(inserts, out var largest), largest);

    /// <summary>Gives back what they did not need, but for what a few more will.</summary>
    internal void Trim(int inserts) => _slab.Trim(BytesFor(inserts, out var largest), largest);

    // Native bytes that this many inserts may need, and the largest piece of them.
    private long BytesFor(int inserts, out int largest)
    {
        const int Largest = HeaderBytes + (Bucket.Bytes << LargestLog);
        var (log, used) = (SmallestLog, 0L);
        if (_directory != 0)
        {
            var segment = (Segment*)(((ulong*)_directory)[1] & Entry.PointerMask);
            (log, used) = (segment->Log, segment->Used);
        }

        if (log == LargestLog)
        {
            var directory = DirectoryBytes(2 * ((ulong*)_directory)[0] + 1) + PadBytes;
            largest = Math.Max(Largest + PadBytes, directory);
            var segments = 2 + 2L * inserts / (Bucket.Slots << (LargestLog - 2)) + 2 * _overdue;
            return Math.Max(0, segments - _freeCount) * (Largest + PadBytes) + directory;
        }

        // It doubles, and may clear out what was removed as often: 64 bytes for each insert. Then it splits.
        var last = log + 1;
        while (last < LargestLog && (Bucket.Slots << last) * 3 / 4 <= used + inserts)
            last++;
        largest = HeaderBytes + (Bucket.Bytes << last) + PadBytes;
        return 2 * (2 * (HeaderBytes + (Bucket.Bytes << log)) + 128) + (Math.Min(inserts, 4L << LargestLog) + inserts) * 64;
    }

    /// <summary>Room for this many keys, before the first.</summary>
    internal void Presize(long keys)
    {
        if (_directory != 0 || keys <= 0)
            return;
        var buckets = BitOperations.RoundUpToPowerOf2((ulong)Math.Min(keys, 1L << 40) / (Bucket.Slots * 5 / 8) + 1);
        var log = Math.Clamp(BitOperations.Log2(buckets), SmallestLog, 40);
        Start(Math.Max(0, log - LargestLog), Math.Min(log, LargestLog));
    }

    /// <summary>All entries, in no order. Not while the writer inserts or removes.</summary>
    internal void CopyEntries(Span<nint> entries)
    {
        var count = 0;
        if (_directory != 0)
        {
            var directory = (ulong*)_directory;
            var mask = directory[0];
            for (ulong i = 0; i <= mask; i++)
            {
                var segment = (Segment*)(directory[1 + i] & Entry.PointerMask);
                if (i >> segment->Depth != 0)
                    continue;                             // met before: it stands at every index with these low bits
                var slots = (ulong*)((byte*)segment + HeaderBytes);
                for (var s = 0; s < Bucket.Slots << segment->Log; s++)
                {
                    if (slots[s] > Bucket.Removed)
                        entries[count++] = (nint)(slots[s] & Entry.PointerMask);
                }
            }
        }

        Invariant.Check(count == entries.Length, "the point index holds as many entries as it counts");
    }

    internal void FreeSegment(byte* memory)
    {
        var segment = (Segment*)memory;
        if (segment->Log == LargestLog)
        {
            *(nint*)memory = _freeSegments;
            _freeSegments = (nint)memory;
            _freeCount++;
            return;
        }

        _slab.FreeRange(memory, SegmentBytes(memory));
    }

    internal static int SegmentBytes(byte* memory) => HeaderBytes + (Bucket.Bytes << ((Segment*)memory)->Log);

    internal void FreeDirectory(byte* memory)
    {
        var bytes = DirectoryBytes(*(ulong*)memory);
        if (bytes <= Slab.SmallMax)
            _slab.Free(memory, bytes);
        else
            _slab.FreeRange(memory, bytes);
    }

    // From a chunk, however large: a large block would be asked of the system, and only when it is needed.
    private ulong* NewDirectory(ulong mask)
    {
        var bytes = DirectoryBytes(mask);
        var directory = (ulong*)(bytes <= Slab.SmallMax ? _slab.Alloc(bytes) : _slab.AllocAligned(bytes));
        directory[0] = mask;
        return directory;
    }

    private static int DirectoryBytes(ulong mask) => 8 + (int)(mask + 1) * 8;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Tag(ulong hash) => Math.Max(hash >> 48, 1);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private ulong SegmentOf(ulong hash)
    {
        var directory = (ulong*)Volatile.Read(ref _directory);
        return Volatile.Read(ref directory[1 + ((hash >> DirectoryShift) & directory[0])]);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private ulong* FindSlot(ulong hash, ReadOnlySpan<byte> key, out byte* entry)
    {
        entry = null;
        var directory = (ulong*)Volatile.Read(ref _directory);
        if (directory == null)
            return null;
        var word = Volatile.Read(ref directory[1 + ((hash >> DirectoryShift) & directory[0])]);
        var buckets = (byte*)(word & Entry.PointerMask) + HeaderBytes;
        var mask = (1UL << (int)(word >> 48)) - 1;
        var tag = Tag(hash);
        for (var at = hash & mask; ; at = (at + 1) & mask)
        {
            var slots = (ulong*)(buckets + at * Bucket.Bytes);
            var matches = Bucket.Match(slots, tag, out var hasEmpty);
            while (matches != 0)
            {
                var slot = slots + BitOperations.TrailingZeroCount(matches);
                var found = Volatile.Read(ref *slot);
                if (Sse.IsSupported && found >> 48 == tag)
                    PrefetchHome((byte*)(found & Entry.PointerMask));
                if (found >> 48 == tag && Entry.Key((byte*)(found & Entry.PointerMask)).SequenceEqual(key))
                {
                    entry = (byte*)(found & Entry.PointerMask);
                    return slot;
                }

                matches &= matches - 1;
            }

            if (hasEmpty)
                return null;
        }
    }

    // A version mostly stands right behind its entry: it comes with it, instead of after it.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void PrefetchHome(byte* entry)
    {
        Sse.Prefetch0(entry + 64);
        Sse.Prefetch0(entry + 128);
    }

    private static bool HasEmpty(ulong* bucket)
    {
        Bucket.MatchScalar(bucket, 0, out var hasEmpty);
        return hasEmpty;
    }

    private static void Place(Segment* segment, ulong hash, byte* entry)
    {
        var mask = (1UL << segment->Log) - 1;
        Invariant.Check(segment->Used < (Bucket.Slots << segment->Log) - 1, "a segment has an empty slot, where searches end");
        for (var at = hash & mask; ; at = (at + 1) & mask)
        {
            var slots = (ulong*)((byte*)segment + HeaderBytes + at * Bucket.Bytes);
            for (var i = 0; i < Bucket.Slots; i++)
            {
                if (slots[i] > Bucket.Removed)
                    continue;
                if (slots[i] == 0)
                    segment->Used++;
                segment->Live++;
                Volatile.Write(ref slots[i], Tag(hash) << 48 | (ulong)entry);
                return;
            }
        }
    }

    private void Start(int bits, int log)
    {
        var segments = 1UL << bits;
        var directory = NewDirectory(segments - 1);
        for (ulong i = 0; i < segments; i++)
            directory[1 + i] = Word(NewSegment(log, bits));
        Volatile.Write(ref _directory, (nint)directory);
    }

    private static bool IsCleaning(Segment* segment) => segment->Live < (Bucket.Slots << segment->Log) * 3 / 8;

    // Whether a segment can grow without the system being asked. A young one can: BytesFor has made sure of all its steps.
    private bool HasRoomToGrow(Segment* segment)
    {
        if (segment->Log < LargestLog)
            return true;
        var segments = IsCleaning(segment) ? 1 : 2;
        var mask = ((ulong*)_directory)[0];
        var largest = SegmentBytes((byte*)segment) + PadBytes;
        var bytes = Math.Max(0, segments - _freeCount) * largest;
        if (1UL << segment->Depth > mask)
        {
            var directory = DirectoryBytes(2 * mask + 1) + PadBytes;
            bytes += directory;
            largest = Math.Max(largest, directory);
        }

        return bytes == 0 || _slab.Has(bytes, largest);
    }

    private void Delay(Segment* segment)
    {
        if (segment->IsOverdue)
            return;
        segment->IsOverdue = true;
        _overdue++;
    }

    // Doubles a young segment, splits a grown one; either may only clear out what was removed.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private Segment* Grow(ulong hash, Segment* old)
    {
        var isCleaning = IsCleaning(old);
        if (isCleaning || old->Log < LargestLog)
        {
            var next = NewSegment(isCleaning ? old->Log : old->Log + 1, old->Depth);
            Move(old, next, next);
            Point(hash, old->Depth, next, next);
            Retire(old);
            return next;
        }

        var directory = (ulong*)_directory;
        if (1UL << old->Depth > directory[0])
            DoubleDirectory();
        var low = NewSegment(LargestLog, old->Depth + 1);
        Segment* high;
        try
        {
            high = NewSegment(LargestLog, old->Depth + 1);
        }
        catch (OutOfMemoryException)
        {
            FreeSegment((byte*)low);
            throw;
        }

        Move(old, low, high);
        Point(hash, old->Depth, low, high);
        Retire(old);
        return (Segment*)(SegmentOf(hash) & Entry.PointerMask);
    }

    private void DoubleDirectory()
    {
        var old = (ulong*)_directory;
        var size = old[0] + 1;
        var next = NewDirectory(2 * size - 1);
        for (ulong i = 0; i < 2 * size; i++)
            next[1 + i] = old[1 + (i & (size - 1))];
        Volatile.Write(ref _directory, (nint)next);
        if (IsLoading)
            FreeDirectory((byte*)old);
        else
            _limbo.Add(LimboKind.Directory, (byte*)old);
    }

    private void Point(ulong hash, int depth, Segment* low, Segment* high)
    {
        var directory = (ulong*)_directory;
        for (var i = (hash >> DirectoryShift) & ((1UL << depth) - 1); i <= directory[0]; i += 1UL << depth)
            Volatile.Write(ref directory[1 + i], Word((i >> depth & 1) == 0 ? low : high));
    }

    private static void Move(Segment* old, Segment* low, Segment* high)
    {
        var slots = (ulong*)((byte*)old + HeaderBytes);
        var count = Bucket.Slots << old->Log;
        for (var i = 0; i < count; i++)
        {
            if (Sse.IsSupported && i + MoveAhead < count)
                Sse.Prefetch0((byte*)(slots[i + MoveAhead] & Entry.PointerMask));
            if (slots[i] <= Bucket.Removed)
                continue;
            var entry = (byte*)(slots[i] & Entry.PointerMask);
            var hash = KeyHash.Of(Entry.Key(entry));
            Place((hash >> (DirectoryShift + old->Depth) & 1) == 0 ? low : high, hash, entry);
        }
    }

    private void Retire(Segment* segment)
    {
        if (segment->IsOverdue)
            _overdue--;
        if (IsLoading)
            FreeSegment((byte*)segment);
        else
            _limbo.Add(LimboKind.Segment, (byte*)segment);
    }

    private Segment* NewSegment(int log, int depth)
    {
        var bytes = HeaderBytes + (Bucket.Bytes << log);
        byte* memory;
        if (log == LargestLog && _freeSegments != 0)
        {
            memory = (byte*)_freeSegments;
            _freeSegments = *(nint*)memory;
            _freeCount--;
        }
        else
        {
            memory = _slab.AllocAligned(bytes);
        }

        NativeMemory.Clear(memory, (nuint)bytes);
        var segment = (Segment*)memory;
        segment->Depth = depth;
        segment->Log = log;
        return segment;
    }

    private static ulong Word(Segment* segment) => (ulong)segment | (ulong)segment->Log << 48;

    private struct Segment
    {
        internal long Used;
        internal long Live;
        internal int Depth;
        internal int Log;
        internal bool IsOverdue;
    }
}
