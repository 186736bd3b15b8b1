using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Cairn.Content;

namespace Cairn.Store.Native;

/// <summary>
/// Native memory of one run. Small blocks come in classes of 8 bytes from one bump chunk, which starts at 4 KiB and doubles to
/// 2 MiB, or to 1/64 of the budget of memory, so that a small run stays small; a freed block serves the next of its class, or is split
/// when its class does not come again. Blocks have no header: whoever frees one knows its size, and may free a part of it. Blocks above
/// <see cref="SmallMax"/> are the system's and go back to it. Not for two threads at once, except <see cref="Taken"/>.
/// <para>What may not fail for want of memory is made sure of before (<see cref="Ensure"/>): by the chunks that would come next anyway,
/// begun in their turn. Those that were only needed to be sure go back (<see cref="Trim"/>), so a large commit leaves what the same writes
/// one by one would.</para>
/// <para>The slabs of the two indexes ask the system for large pages behind full chunks: an index is looked into at random, and each
/// look outside the processor's page table costs as much as the look itself (docs/decisions/0010). Records do not: they would ask
/// fifteen times as often, and a large page is filled with zeros in one stroke.</para>
/// <para>The one finaliser of the room: memory goes back when the store is disposed of or forgotten.</para>
/// <para>The debug form fills freed blocks with <see cref="Dead"/> and holds them back for a while, so that a reader which
/// comes too late, or a writer which writes too late, is caught and not answered.</para>
/// </summary>
internal sealed unsafe class Slab : SafeHandle
{
    /// <summary>Largest block that comes from a chunk.</summary>
    internal const int SmallMax = 8192;

    /// <summary>What the debug form fills freed memory with.</summary>
    internal const ulong Dead = 0xDEDE_DEDE_DEDE_DEDE;

    private const int PageClasses = 64;                   // free lists come in pages of 64 classes, taken when first needed
    private const int ChunkFirst = 4 << 10, ChunkRoomy = 64 << 10, ChunkMax = 2 << 20;
    private const int HeaderBytes = 64;                   // of a chunk or a large block: what follows is aligned to a cache line
    private const int HeldBack = 512;                     // freed blocks the debug form holds back

    private readonly bool _debug;
    private readonly bool _inLargePages;
    private readonly SharedBytes? _shared;
    private readonly MemoryBudget? _budget;
    private readonly long _beside;
    private readonly long _chunkMax;
    private readonly Queue<(nint Block, int Size, bool IsApart)>? _held;

    private byte* _bump;
    private byte* _end;
    private Header* _spares;                              // chunks that are taken but not begun, in the order in which they will be
    private long _spareBytes;
    private Header* _chunks;
    private Header* _large;
    private byte* _ballast;                               // stands in for large blocks that may not fail
    private long _nextChunk = ChunkFirst;
    private Lists _lists;
    private Bits _filled;
    private long _free;
    private long _taken;
    private long _charged;

    /// <param name="inLargePages">Asks the system for large pages behind full chunks.</param>
    /// <param name="shared">Where <see cref="Charge"/> adds up.</param>
    /// <param name="budget">What is taken counts there.</param>
    /// <param name="beside">Managed memory that comes and goes with this one, counted there too.</param>
    internal Slab(bool debug, bool inLargePages = false, SharedBytes? shared = null, MemoryBudget? budget = null, int beside = 0)
        : base(0, ownsHandle: true)
    {
        _debug = debug;
        _shared = shared;
        _budget = budget;
        _beside = beside;
        _chunkMax = budget?.ChunkMax(ChunkMax) ?? ChunkMax;
        _inLargePages = inLargePages;
        if (debug)
            _held = new Queue<(nint, int, bool)>();
        if (beside != 0)
            budget?.AddManaged(beside);
        SetHandle(1);
    }

    public override bool IsInvalid => handle == 0;

    /// <summary>Bytes taken from the system.</summary>
    internal long Taken => Volatile.Read(ref _taken);

    /// <summary>So much of it is free, in pieces, that nearly all blocks come from there.</summary>
    internal bool IsRoomy => Volatile.Read(ref _free) > Taken / 4;

    /// <summary>Bytes in use by callers.</summary>
    internal long Live { get; private set; }

    internal byte* Alloc(int size)
    {
        if (size > SmallMax)
            return AllocLarge(size);
        var index = (size - 1) >> 3;
        size = (index + 1) << 3;
        Live += size;
        var page = (nint*)_lists[index / PageClasses];
        if (page != null && page[index % PageClasses] != 0)
            return Pop(page, index);
        if (page == null || _end - _bump < size)
            return AllocSlow(index, size);
        var block = _bump;
        _bump += size;
        return block;
    }

    /// <summary>Two blocks, the second right behind the first if no freed block serves.</summary>
    internal byte* AllocPair(int firstSize, int secondSize, out byte* second)
    {
        if (firstSize + secondSize <= SmallMax && !HasFreed(secondSize))
        {
            var size = firstSize + secondSize;
            if (_end - _bump >= size && _lists[(firstSize - 1) / 8 / PageClasses] != 0 && _lists[(secondSize - 1) / 8 / PageClasses] != 0)
            {
                Live += size;
                var block = _bump;
                _bump += size;
                second = block + firstSize;
                return block;
            }
        }

        var first = Alloc(firstSize);
        try
        {
            second = Alloc(secondSize);
        }
        catch (OutOfMemoryException)
        {
            Free(first, firstSize);
            throw;
        }

        return first;
    }

    /// <summary>A block aligned to a cache line, up to half of the largest chunk; free it with <see cref="FreeRange"/>.</summary>
    internal byte* AllocAligned(int size)
    {
        EnsurePage(0);
        MakeRoom(size + HeaderBytes);
        var pad = (int)(-(nint)_bump & 63);
        if (pad != 0)
        {
            Push(_bump, pad);
            _bump += pad;
        }

        var block = _bump;
        _bump += size;
        Live += size;
        return block;
    }

    internal void Free(byte* block, int size)
    {
        if (size <= SmallMax)
            size = (size + 7) & ~7;
        if (_debug)
        {
            Hold(block, size);
            return;
        }

        if (size > SmallMax)
        {
            FreeLarge(block, size);
            return;
        }

        Live -= size;
        Push(block, size);
    }

    /// <summary>Gives back a range of any size that came from a chunk, as small blocks.</summary>
    internal void FreeRange(byte* range, int size)
    {
        Live -= size;
        Donate(range, size);
    }

    /// <summary>A block of any size that is the system's, and goes back to it; free it with <see cref="FreeApart"/>.</summary>
    internal byte* AllocApart(int size) => AllocLarge(size);

    internal void FreeApart(byte* block, int size)
    {
        if (_debug)
            Hold(block, size, isApart: true);
        else
            FreeLarge(block, size);
    }

    /// <summary>Adds to what several slabs count together; what is left of it goes with this one's memory, however that goes.</summary>
    internal void Charge(long bytes)
    {
        _charged += bytes;
        _shared?.Add(bytes);
    }

    /// <summary>Makes sure that blocks of this many bytes in total can be had without asking the system. The chunks for it are those that
    /// would come one after the other, so that <see cref="Trim"/> can give back the ones that were not needed.</summary>
    /// <param name="largest">No block is larger: so much may be left over at the end of each chunk.</param>
    /// <exception cref="OutOfMemoryException">Nothing has changed, but that more may be at hand.</exception>
    internal void Ensure(long bytes, int largest = SmallMax)
    {
        while (!Has(bytes, largest))
            AddSpare(bytes - Math.Max(0, _end - _bump - largest) - UsableSpare(largest, isLastWhole: false), largest);
    }

    /// <summary>Whether <see cref="Ensure"/> would ask the system.</summary>
    internal bool Has(long bytes, int largest = SmallMax) =>
        _end - _bump >= bytes
        || (_spares != null && Math.Max(0, _end - _bump - largest) + UsableSpare(largest, isLastWhole: true) >= bytes);

    /// <summary>The same, as a guess, for whoever has no lock.</summary>
    internal bool HasAbout(long bytes) => _end - _bump >= bytes || Volatile.Read(ref _spareBytes) >= bytes;

    /// <summary>Gives back what <see cref="Ensure"/> and <see cref="EnsureLarge"/> took and nobody needed, as long as this many bytes can
    /// still be had.</summary>
    internal void Trim(long bytes, int largest = SmallMax)
    {
        DropBallast();
        while (_spares != null)
        {
            Header* before = null;
            var last = _spares;
            for (; last->Next != null; last = last->Next)
                before = last;
            Link(before, null);
            if (!Has(bytes, largest))
            {
                Link(before, last);
                break;
            }

            _nextChunk = last->GrownFrom;
            GiveBack(last, last->Size);
        }

        CountSpares();
    }

    // What the spare chunks will give if each but the last loses a block's length, or the last too.
    private long UsableSpare(int largest, bool isLastWhole)
    {
        var bytes = 0L;
        for (var spare = _spares; spare != null; spare = spare->Next)
            bytes += spare->Next == null && isLastWhole ? spare->Size - HeaderBytes : Math.Max(0, spare->Size - HeaderBytes - largest);
        return bytes;
    }

    // One more chunk, in its turn: what is missing makes it larger only where it is the last, or where the next would be no larger.
    private void AddSpare(long missing, int largest)
    {
        // Where pieces will serve, the chunk is only there to make sure.
        var isRoomy = _budget is not null && IsRoomy;
        var size = isRoomy ? Math.Min(_nextChunk, ChunkRoomy) : _nextChunk;
        var least = (missing + 2 * HeaderBytes + 4095) & ~4095L;
        if (least <= 2 * size)
            size = Math.Max(size, least);
        else if (isRoomy || size == _chunkMax)
            size = Math.Max(size, Math.Min(least, (4L * largest + 4095) & ~4095L));
        var chunk = (Header*)(_inLargePages && size == ChunkMax ? TakeInLargePages() : Take(size));
        chunk->Next = null;
        chunk->Size = size;
        chunk->GrownFrom = _nextChunk;
        var last = _spares;
        while (last != null && last->Next != null)
            last = last->Next;
        Link(last, chunk);
        CountSpares();
        if (!isRoomy)
            _nextChunk = Math.Min(2 * _nextChunk, _chunkMax);
    }

    private void Link(Header* before, Header* last)
    {
        if (before == null)
            _spares = last;
        else
            before->Next = last;
    }

    private void CountSpares() => Volatile.Write(ref _spareBytes, UsableSpare(0, isLastWhole: true));

    private void MakeRoom(int size)
    {
        while (_end - _bump < size)
        {
            if (_spares == null)
                AddSpare(size, size);
            BeginSpare();
        }
    }

    /// <summary>Makes sure that large blocks of this many bytes in total can be had, as far as the system lets itself be
    /// pinned down: a block of that size is held until the next call, and given up when the system refuses.</summary>
    /// <param name="least">Shorter ones are not taken apart.</param>
    internal void EnsureLarge(long bytes, int least = SmallMax)
    {
        DropBallast();
        if (bytes <= least)
            return;
        var ballast = (Header*)Take(bytes);
        ballast->Size = bytes;
        _ballast = (byte*)ballast;
    }

    /// <summary>The debug form's check that a block was not freed; <paramref name="word"/> is one the caller is about to use.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void CheckLive(ulong word, ulong other) =>
        Invariant.Check(word != Dead && other != Dead, "a reader never meets freed memory");

    protected override bool ReleaseHandle()
    {
        DropBallast();
        FreeAll(_chunks);
        FreeAll(_spares);
        FreeAll(_large);
        _chunks = _spares = _large = null;
        Count(-_taken);
        _shared?.Add(-_charged);
        _charged = 0;
        if (_beside != 0)
            _budget?.AddManaged(-_beside);
        handle = 0;
        return true;
    }

    private static void FreeAll(Header* first)
    {
        for (var block = first; block != null;)
        {
            var next = block->Next;
            NativeMemory.AlignedFree(block);
            block = next;
        }
    }

    private bool HasFreed(int size)
    {
        var index = (size - 1) >> 3;
        return (_filled[index / PageClasses] >> (index % PageClasses) & 1) != 0;
    }

    private byte* Pop(nint* page, int index)
    {
        var block = (byte*)page[index % PageClasses];
        var next = *(nint*)block;
        page[index % PageClasses] = next;
        if (next == 0)
            _filled[index / PageClasses] &= ~(1UL << (index % PageClasses));
        _free -= (index + 1) << 3;
        return block;
    }

    // The page of this size's class is there: the block came from Alloc, or the caller ensured it.
    private void Push(byte* block, int size)
    {
        var index = (size - 1) >> 3;
        var page = (nint*)_lists[index / PageClasses];
        var list = page[index % PageClasses];
        *(nint*)block = list;
        page[index % PageClasses] = (nint)block;
        if (list == 0)
            _filled[index / PageClasses] |= 1UL << (index % PageClasses);
        _free += size;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private byte* AllocSlow(int index, int size)
    {
        try
        {
            EnsurePage(index / PageClasses);
            if (_end - _bump < size)
            {
                if (_free > _taken / 4 && TrySplit(index, out var split))
                    return split;
                MakeRoom(size);
            }
        }
        catch (OutOfMemoryException)
        {
            Live -= size;
            throw;
        }

        var block = _bump;
        _bump += size;
        return block;
    }

    // Sizes drift: what was freed in classes that nobody asks for any more serves smaller ones.
    private bool TrySplit(int index, out byte* block)
    {
        block = null;
        var from = index + 8;                             // leaves at least 64 bytes: crumbs would serve nobody
        for (var page = from / PageClasses; page < SmallMax / 8 / PageClasses; page++)
        {
            var bits = _filled[page];
            if (page == from / PageClasses)
                bits &= ulong.MaxValue << (from % PageClasses);
            if (bits == 0)
                continue;
            var found = page * PageClasses + BitOperations.TrailingZeroCount(bits);
            var rest = (found - index) << 3;
            if (_lists[(rest - 1) / 8 / PageClasses] == 0)
                continue;
            block = Pop((nint*)_lists[page], found);
            Push(block + ((index + 1) << 3), rest);
            return true;
        }

        return false;
    }

    private void EnsurePage(int page)
    {
        if (_lists[page] != 0)
            return;
        const int PageBytes = PageClasses * 8;
        MakeRoom(PageBytes);
        var lists = _bump;
        _bump += PageBytes;
        NativeMemory.Clear(lists, PageBytes);
        _lists[page] = (nint)lists;
    }

    private void BeginSpare()
    {
        var rest = _bump;
        var restBytes = (int)(_end - _bump);
        var chunk = _spares;
        _spares = chunk->Next;
        chunk->Next = _chunks;
        _chunks = chunk;
        CountSpares();
        _bump = (byte*)chunk + HeaderBytes;
        _end = (byte*)chunk + chunk->Size;
        if (restBytes > 0)
            Donate(rest, restBytes);
    }

    private void Donate(byte* range, int size)
    {
        while (size > 0)
        {
            var piece = Math.Min(size, SmallMax);
            var page = (piece - 1) / 8 / PageClasses;
            if (_lists[page] == 0)
            {
                // No page for this class yet: cut to the largest class that has one. Page 0 comes with the first block.
                while (page > 0 && _lists[page] == 0)
                    page--;
                if (_lists[page] == 0)
                    return;
                piece = Math.Min(piece, (page + 1) * PageClasses * 8);
            }

            Push(range, piece);
            range += piece;
            size -= piece;
        }
    }

    private byte* AllocLarge(int size)
    {
        Header* block;
        try
        {
            block = (Header*)Take((long)size + HeaderBytes);
        }
        catch (OutOfMemoryException) when (_ballast != null)
        {
            DropBallast();
            block = (Header*)Take((long)size + HeaderBytes);
        }

        block->Size = (long)size + HeaderBytes;
        block->Previous = null;
        block->Next = _large;
        if (_large != null)
            _large->Previous = block;
        _large = block;
        Live += size;
        return (byte*)block + HeaderBytes;
    }

    private void FreeLarge(byte* memory, int size)
    {
        var block = (Header*)(memory - HeaderBytes);
        Invariant.Check(block->Size == (long)size + HeaderBytes, "a large block is freed with the size it was taken with");
        if (block->Previous != null)
            block->Previous->Next = block->Next;
        else
            _large = block->Next;
        if (block->Next != null)
            block->Next->Previous = block->Previous;
        Live -= size;
        GiveBack(block, block->Size);
    }

    private void DropBallast()
    {
        if (_ballast == null)
            return;
        GiveBack(_ballast, ((Header*)_ballast)->Size);
        _ballast = null;
    }

    private byte* Take(long size)
    {
        var memory = (byte*)NativeMemory.AlignedAlloc((nuint)size, 64);
        Invariant.Check(((ulong)memory + (ulong)size) >> 48 == 0, "addresses have 48 bits");
        Count(size);
        return memory;
    }

    private byte* TakeInLargePages()
    {
        var memory = (byte*)NativeMemory.AlignedAlloc(ChunkMax, ChunkMax);
        Invariant.Check(((ulong)memory + ChunkMax) >> 48 == 0, "addresses have 48 bits");
        if (OperatingSystem.IsLinux())
            Storage.LinuxCalls.AdviseLargePages(memory, ChunkMax);
        Count(ChunkMax);
        return memory;
    }

    private void Count(long bytes)
    {
        Volatile.Write(ref _taken, _taken + bytes);
        _budget?.Add(bytes);
    }

    private void GiveBack(void* memory, long size)
    {
        NativeMemory.AlignedFree(memory);
        Count(-size);
    }

    // Debug form: fill, hold back, and look on release whether somebody wrote meanwhile.
    private void Hold(byte* block, int size, bool isApart = false)
    {
        new Span<ulong>(block, size / 8).Fill(Dead);
        _held!.Enqueue(((nint)block, size, isApart));
        if (_held.Count <= HeldBack)
            return;
        var (old, oldSize, oldIsApart) = _held.Dequeue();
        Invariant.Check(!new Span<ulong>((byte*)old, oldSize / 8).ContainsAnyExcept(Dead), "nobody writes to freed memory");
        if (oldIsApart || oldSize > SmallMax)
        {
            FreeLarge((byte*)old, oldSize);
            return;
        }

        Live -= oldSize;
        Push((byte*)old, oldSize);
    }

    private struct Header
    {
        internal Header* Next;
        internal Header* Previous;
        internal long Size;
        internal long GrownFrom;                          // of a chunk: how large the next one would have been without it
    }

    [InlineArray(SmallMax / 8 / PageClasses)]
    private struct Lists
    {
        private nint _first;
    }

    [InlineArray(SmallMax / 8 / PageClasses)]
    private struct Bits
    {
        private ulong _first;
    }
}
