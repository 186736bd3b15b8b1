namespace Cairn.Store.Native;

/// <summary>First in, first out, in blocks of 63 words chained in native memory: no copying when it grows, nothing for the
/// collector to look at. Layout of a block: <code>0 u64 next | 63 words</code></summary>
internal unsafe struct WordQueue
{
    internal const int BlockBytes = 512;

    private const int BlockWords = 63;

    private ulong* _head;
    private ulong* _tail;
    private int _first;                                   // in the head block
    private int _last;                                    // behind the last, in the tail block

    /// <summary>How many were ever added and taken: the difference waits.</summary>
    internal long Added { get; private set; }

    internal long Taken { get; private set; }

    internal readonly long Count => Added - Taken;

    /// <summary>Native bytes that this many words may need.</summary>
    internal static long BytesFor(long words) => (words / BlockWords + 2) * BlockBytes;

    internal void Add(Slab slab, ulong word)
    {
        if (_tail == null || _last == BlockWords)
        {
            var block = (ulong*)slab.Alloc(BlockBytes);
            block[0] = 0;
            if (_tail == null)
                _head = block;
            else
                _tail[0] = (ulong)block;
            _tail = block;
            _last = 0;
        }

        _tail[1 + _last++] = word;
        Added++;
    }

    /// <summary>The first word; there is one.</summary>
    internal readonly ulong Peek() => _first < BlockWords ? _head[1 + _first] : ((ulong*)_head[0])[1];

    /// <summary>The word so many behind the first, if it lies in the same block, for prefetching; otherwise 0.</summary>
    internal readonly ulong PeekAhead(int distance)
    {
        var at = _first + distance;
        return at < (_head == _tail ? _last : BlockWords) ? _head[1 + at] : 0;
    }

    internal ulong Take(Slab slab)
    {
        if (_first == BlockWords)
        {
            var next = (ulong*)_head[0];
            slab.Free((byte*)_head, BlockBytes);
            _head = next;
            _first = 0;
        }

        var word = _head[1 + _first++];
        Taken++;
        if (Count == 0 && _head == _tail)
            _first = _last = 0;                           // empty: keep the block, begin again
        return word;
    }

    /// <summary>All that waits, in order. Returns how many.</summary>
    internal readonly int CopyTo(Span<nint> words)
    {
        var count = checked((int)Count);
        var block = _head;
        var at = _first;
        for (var left = count; left > 0;)
        {
            if (at == BlockWords)
            {
                block = (ulong*)block[0];
                at = 0;
            }

            var run = Math.Min(left, BlockWords - at);
            new ReadOnlySpan<nint>(block + 1 + at, run).CopyTo(words[(count - left)..]);
            at += run;
            left -= run;
        }

        return count;
    }

    /// <summary>Frees all blocks of a queue that is not used any more.</summary>
    internal readonly void Drop(Slab slab)
    {
        for (var block = _head; block != null;)
        {
            var next = (ulong*)block[0];
            slab.Free((byte*)block, BlockBytes);
            block = next;
        }
    }

    /// <summary>Gives back the kept block of an empty queue.</summary>
    internal void Clear(Slab slab)
    {
        if (_head != null)
            slab.Free((byte*)_head, BlockBytes);
        _head = _tail = null;
        _first = _last = 0;
    }
}
