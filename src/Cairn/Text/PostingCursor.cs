namespace Cairn.Text;

/// <summary>The things of a segment that have one part of a query, in their order, with frequencies: those of a term as they are stored, or
/// of a phrase or prefix as they were made (<see cref="MadePostings"/>). Blocks that are passed over are not read.</summary>
internal sealed class PostingCursor
{
    /// <summary>Behind the last thing.</summary>
    internal const int End = int.MaxValue;

    private readonly int[] _things = new int[TextSegment.BlockMax];
    private readonly int[] _tenths = new int[TextSegment.BlockMax];
    private TextSegment _segment = null!;
    private MadePostings? _made;
    private int _term;
    private int _firstBlock;
    private int _endBlock;
    private int _block;
    private int _at;
    private int _count;
    private double _bound;
    private int _boundOf;
    private bool _isPlain;
    private int _look;                                       // the block that was asked about last, at or behind the present one

    [ThreadStatic]
    private static Stack<PostingCursor>? _free;

    private PostingCursor()
    {
    }

    /// <summary>A cursor of the thread's, to be opened.</summary>
    internal static PostingCursor Rent() => _free is { Count: > 0 } free ? free.Pop() : new PostingCursor();

    /// <summary>It is used no more.</summary>
    internal static void Return(PostingCursor cursor)
    {
        cursor._made = null;
        cursor._segment = null!;
        (_free ??= new Stack<PostingCursor>()).Push(cursor);
    }

    /// <summary>Which part of the query.</summary>
    internal int Clause { get; private set; }

    /// <summary>What the part's idf and repetitions come to.</summary>
    internal double Weight { get; private set; }

    /// <summary>No thing gets more from it.</summary>
    internal double MostScore { get; private set; }

    /// <summary>Things of the segment that have it, dead ones too.</summary>
    internal int Holders { get; private set; }

    /// <summary>The present thing; <see cref="End"/> behind the last.</summary>
    internal int Thing { get; private set; }

    /// <summary>Its frequency.</summary>
    internal int Tenths => _tenths[_at];

    /// <summary>The last thing of the present block.</summary>
    internal int BlockLast => LastOf(_block);

    internal void Open(TextSegment segment, int clause, int term)
    {
        _made = null;
        _term = term;
        Begin(segment, clause, segment.FirstBlocks[term], segment.FirstBlocks[term + 1], segment.Holders[term]);
    }

    internal void Open(TextSegment segment, int clause, MadePostings made)
    {
        _made = made;
        Begin(segment, clause, 0, (made.Things.Length + TextSegment.BlockMax - 1) / TextSegment.BlockMax, made.Things.Length);
    }

    private void Begin(TextSegment segment, int clause, int firstBlock, int endBlock, int holders)
    {
        _segment = segment;
        Clause = clause;
        Holders = holders;
        _firstBlock = firstBlock;
        _endBlock = endBlock;
        _boundOf = -1;
        (_block, _look, Thing) = (-1, 0, End);
    }

    /// <summary>To the first thing, for scores of one query.</summary>
    internal void Start(double weight, in Bm25 bm25)
    {
        Weight = weight;
        var (mostTenths, mostNorm) = (0, 1.0);
        if (_made is not null)
        {
            (mostTenths, mostNorm) = (_made.MostTenths, bm25.Norm(_made.LeastLength));
        }
        else
        {
            foreach (ref readonly var head in _segment.Blocks.AsSpan(_firstBlock.._endBlock))
            {
                var norm = bm25.Norm(head.LeastLength);
                if (Bm25.IsMore(head.MostTenths, norm, mostTenths, mostNorm))
                    (mostTenths, mostNorm) = (head.MostTenths, norm);
            }
        }

        MostScore = Bm25.Score(weight, mostTenths, mostNorm);
        Enter(_firstBlock);
    }

    /// <summary>No thing of the present block gets more from it.</summary>
    internal double BlockBound(in Bm25 bm25)
    {
        if (_boundOf != _block)
            (_bound, _boundOf) = (BoundOf(_block, bm25), _block);
        return _bound;
    }

    /// <summary>No thing from the present one up to another gets more from it.</summary>
    internal double BoundUpTo(int to, in Bm25 bm25)
    {
        if (Thing >= to)
            return 0;
        var most = BlockBound(bm25);
        for (var block = _block + 1; block < _endBlock && LastOf(block - 1) < to - 1; block++)
            most = Math.Max(most, BoundOf(block, bm25));
        return most;
    }

    /// <summary>Adds the scores of the things from the present one up to another, and goes there.</summary>
    /// <param name="scores">Of the things from <paramref name="from"/> on.</param>
    internal void AddTo(Span<double> scores, int from, int to, ReadOnlySpan<int> lengths, in Bm25 bm25)
    {
        while (Thing < to)
        {
            var end = _count;
            if (_things[_count - 1] >= to)
            {
                end = _at;
                while (_things[end] < to)
                    end++;
            }

            var things = _things.AsSpan(_at..end);
            if (_isPlain)
            {
                foreach (var thing in things)
                    scores[thing - from] += Bm25.ScoreOfOne(Weight, bm25.Norm(lengths[thing]));
            }
            else
            {
                var tenths = _tenths.AsSpan(_at..end);
                for (var i = 0; i < things.Length; i++)
                    scores[things[i] - from] += Bm25.Score(Weight, tenths[i], bm25.Norm(lengths[things[i]]));
            }

            if (end == _count)
                Enter(_block + 1);
            else
                (_at, Thing) = (end, _things[end]);
        }
    }

    /// <summary>The rest of the present block, from the present thing on.</summary>
    internal ReadOnlySpan<int> BlockThings => _things.AsSpan(_at.._count);

    /// <summary>Their frequencies.</summary>
    internal ReadOnlySpan<int> BlockTenths => _tenths.AsSpan(_at.._count);

    /// <summary>All of them are one.</summary>
    internal bool IsPlain => _isPlain;

    /// <summary>A thing gets no more from it, whose length is known; things are asked about in order. Reads no block.</summary>
    internal double BoundAt(int thing, double norm)
    {
        if (_made is not null)
            return Bm25.Score(Weight, _made.MostTenths, norm);
        var look = Math.Max(_look, _block);
        while (look < _endBlock && _segment.Blocks[look].Last < thing)
            look++;
        _look = look;
        return look == _endBlock ? 0 : Bm25.Score(Weight, _segment.Blocks[look].MostTenths, norm);
    }

    /// <summary>What the present thing gets from it.</summary>
    internal double Score(ReadOnlySpan<int> lengths, in Bm25 bm25) => Bm25.Score(Weight, _tenths[_at], bm25.Norm(lengths[Thing]));

    /// <summary>Behind the present block.</summary>
    internal void SkipBlock() => Enter(_block + 1);

    internal void MoveNext()
    {
        if (++_at < _count)
            Thing = _things[_at];
        else
            Enter(_block + 1);
    }

    /// <summary>To the first thing at or behind one.</summary>
    internal void SeekTo(int thing)
    {
        if (Thing >= thing)
            return;
        if (BlockLast < thing)
        {
            var block = _block + 1;
            while (block < _endBlock && LastOf(block) < thing)
                block++;
            Enter(block);
            if (Thing >= thing)
                return;
        }

        // Most steps are short.
        var step = 1;
        var low = _at;
        while (low + step < _count && _things[low + step] < thing)
        {
            low += step;
            step <<= 1;
        }

        var high = Math.Min(low + step, _count - 1);
        while (low + 1 < high)
        {
            var middle = (low + high) >>> 1;
            if (_things[middle] < thing)
                low = middle;
            else
                high = middle;
        }

        _at = high;
        Thing = _things[high];
    }

    /// <summary>How often a thing has it, wherever the cursor stands, and it stays there.</summary>
    internal int TenthsAt(int thing)
    {
        var block = BlockOf(thing);
        if (block == _endBlock)
            return 0;
        if (_made is not null)
            return Array.BinarySearch(_made.Things, thing) is >= 0 and var at ? _made.Tenths[at] : 0;
        Span<int> things = stackalloc int[TextSegment.BlockMax];
        Span<int> tenths = stackalloc int[TextSegment.BlockMax];
        var count = _segment.Decode(block, block == _firstBlock ? -1 : _segment.Blocks[block - 1].Last, things, tenths);
        return things[..count].BinarySearch(thing) is >= 0 and var found ? tenths[found] : 0;
    }

    private int TenthsOf(int thing)
    {
        var low = BlockOf(thing);
        if (low == _endBlock)
            return 0;
        if (low != _block || Thing == End)
            Enter(low);
        var found = _things.AsSpan(0, _count).BinarySearch(thing);
        return found < 0 ? 0 : _tenths[found];
    }

    // The block that has the thing if any has.
    private int BlockOf(int thing)
    {
        var low = _firstBlock;
        var high = _endBlock;
        while (low < high)
        {
            var middle = (low + high) >>> 1;
            if (LastOf(middle) < thing)
                low = middle + 1;
            else
                high = middle;
        }

        return low;
    }

    /// <summary>How many of some things have it.</summary>
    /// <param name="things">In order.</param>
    internal int CountOf(ReadOnlySpan<int> things)
    {
        var count = 0;
        if (things.Length < Holders / 16)
        {
            foreach (var thing in things)
                count += TenthsOf(thing) > 0 ? 1 : 0;
            return count;
        }

        for (var block = things.IsEmpty ? _endBlock : _firstBlock; block < _endBlock; block++)
        {
            Enter(block);
            foreach (var thing in _things.AsSpan(0, _count))
                count += things.BinarySearch(thing) >= 0 ? 1 : 0;
        }

        return count;
    }

    private int LastOf(int block) => _made is null
        ? _segment.Blocks[block].Last
        : _made.Things[Math.Min(_made.Things.Length, (block + 1) * TextSegment.BlockMax) - 1];

    private double BoundOf(int block, in Bm25 bm25)
    {
        if (_made is not null)
            return Bm25.Score(Weight, _made.MostTenths, bm25.Norm(_made.LeastLength));
        ref readonly var head = ref _segment.Blocks[block];
        return Bm25.Score(Weight, head.MostTenths, bm25.Norm(head.LeastLength));
    }

    private void Enter(int block)
    {
        _block = block;
        _at = 0;
        if (block >= _endBlock)
        {
            (Thing, _count) = (End, 0);
            return;
        }

        if (_made is not null)
        {
            var from = block * TextSegment.BlockMax;
            _count = Math.Min(TextSegment.BlockMax, _made.Things.Length - from);
            _made.Things.AsSpan(from, _count).CopyTo(_things);
            _made.Tenths.AsSpan(from, _count).CopyTo(_tenths);
            _isPlain = false;
        }
        else
        {
            _count = _segment.Decode(block, block == _firstBlock ? -1 : _segment.Blocks[block - 1].Last, _things, _tenths, out _isPlain);
        }

        Thing = _things[0];
    }
}

/// <summary>Postings of a part of a query that no index has ready, made for one search.</summary>
internal sealed record MadePostings(int[] Things, int[] Tenths, int MostTenths, int LeastLength)
{
    /// <summary>Of every term that begins so: frequencies are summed.</summary>
    internal static MadePostings OfPrefix(TextSegment segment, ReadOnlySpan<byte> prefix)
    {
        var tenths = new SortedDictionary<int, int>();
        Span<int> things = stackalloc int[TextSegment.BlockMax];
        Span<int> frequencies = stackalloc int[TextSegment.BlockMax];
        for (var term = segment.Terms.FirstAtOrAfter(prefix); term < segment.Terms.Count; term++)
        {
            if (!segment.Terms[term].StartsWith(prefix))
                break;
            var before = -1;
            for (var block = segment.FirstBlocks[term]; block < segment.FirstBlocks[term + 1]; block++)
            {
                var count = segment.Decode(block, before, things, frequencies);
                for (var i = 0; i < count; i++)
                    tenths[things[i]] = tenths.GetValueOrDefault(things[i]) + frequencies[i];
                before = segment.Blocks[block].Last;
            }
        }

        return Of(segment, [.. tenths.Keys], [.. tenths.Values]);
    }

    /// <summary>Where all terms of a phrase stand as far from each other as they should.</summary>
    /// <param name="terms">Each is there.</param>
    internal static MadePostings OfPhrase(TextSegment segment, int[] terms, int[] offsets)
    {
        var readers = Array.ConvertAll(terms, term => new PlaceReader(segment, term));
        var things = new List<int>();
        var tenths = new List<int>();
        var thing = 0;
        while (true)
        {
            var most = thing;
            foreach (var reader in readers)
                most = Math.Max(most, reader.SeekTo(most));
            if (most == PostingCursor.End)
                break;
            thing = most;
            if (!Array.TrueForAll(readers, reader => reader.Thing == most))
                continue;
            var sum = Count(readers, offsets);
            if (sum > 0)
            {
                things.Add(thing);
                tenths.Add(sum);
            }

            thing++;
        }

        return Of(segment, [.. things], [.. tenths]);
    }

    private static MadePostings Of(TextSegment segment, int[] things, int[] tenths)
    {
        var least = int.MaxValue;
        foreach (var thing in things)
            least = Math.Min(least, segment.Lengths[thing]);
        return new MadePostings(things, tenths, tenths.Length == 0 ? 0 : tenths.Max(), least);
    }

    private static int Count(PlaceReader[] readers, int[] offsets)
    {
        foreach (var reader in readers)
            reader.ReadPlaces();
        var tenths = 0;
        foreach (var place in readers[0].Places)
        {
            var isWhole = true;
            for (var i = 1; i < readers.Length && isWhole; i++)
                isWhole = readers[i].Has((place >> 1) + offsets[i]);
            if (isWhole)
                tenths += Primitives.TextFields.WeightOf((place & 1) == 0 ? Primitives.TextField.Value : Primitives.TextField.Key);
        }

        return tenths;
    }

    /// <summary>One term's things with their places.</summary>
    private sealed class PlaceReader
    {
        private readonly TextSegment _segment;
        private readonly int[] _things = new int[TextSegment.BlockMax];
        private readonly int[] _tenths = new int[TextSegment.BlockMax];
        private readonly int _endBlock;
        private int _block;
        private int _count;
        private int _at;
        private int _placesAt;                               // of the thing whose places come next
        private int _placesOf;

        internal PlaceReader(TextSegment segment, int term)
        {
            _segment = segment;
            _block = segment.FirstBlocks[term];
            _endBlock = segment.FirstBlocks[term + 1];
            Enter(-1);
        }

        internal int Thing => _block < _endBlock ? _things[_at] : PostingCursor.End;

        /// <summary>Of the thing whose places were read: place * 2 + 1 where the field weighs more; in order.</summary>
        internal List<long> Places { get; } = [];

        internal int SeekTo(int thing)
        {
            while (_block < _endBlock && _segment.Blocks[_block].Last < thing)
            {
                var before = _segment.Blocks[_block++].Last;
                Enter(before);
            }

            while (Thing < thing)
                _at++;
            return Thing;
        }

        internal bool Has(long place)
        {
            var found = Places.BinarySearch(place << 1);
            if (found >= 0)
                return true;
            return ~found < Places.Count && Places[~found] >> 1 == place;
        }

        internal void ReadPlaces()
        {
            while (_placesOf < _at)
            {
                Skip();
                _placesOf++;
            }

            Places.Clear();
            var before = 0L;
            for (var left = ReadVarint(); left > 0; left--)
            {
                var coded = ReadVarint();
                before += coded >> 1;
                Places.Add((before << 1) | (coded & 1));
            }

            _placesOf++;
        }

        private void Skip()
        {
            for (var left = ReadVarint(); left > 0; left--)
                ReadVarint();
        }

        private long ReadVarint()
        {
            var number = 0L;
            for (var shift = 0; ; shift += 7)
            {
                var next = _segment.Places[_placesAt++];
                number |= (long)(next & 0x7F) << shift;
                if (next < 0x80)
                    return number;
            }
        }

        private void Enter(int before)
        {
            _at = 0;
            _placesOf = 0;
            if (_block >= _endBlock)
                return;
            _count = _segment.Decode(_block, before, _things, _tenths);
            _placesAt = _segment.Blocks[_block].Places;
        }
    }
}
