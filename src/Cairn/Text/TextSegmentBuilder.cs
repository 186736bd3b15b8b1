using System.Runtime.InteropServices;
using Cairn.Primitives;

namespace Cairn.Text;

/// <summary>Makes a segment of things that are added in the order of their keys. Each word is one entry of a list, and the list is put in
/// the order of terms at the end by counting: two passes over it, nothing per term.</summary>
internal sealed class TextSegmentBuilder(TextAnalyzer analyzer)
{
    /// <summary>Between two texts of a thing, as in <see cref="TextMatcher"/>.</summary>
    private const int Gap = TextMatcher.Gap;

    private readonly TermTable _terms = new(4_096);
    private readonly List<int> _lengths = [];
    private readonly List<ulong> _versions = [];
    private readonly List<long> _times = [];
    private readonly List<(long Expiry, int Thing)> _expiring = [];
    private readonly List<byte> _keys = [];
    private readonly List<int> _keyStarts = [0];
    private readonly List<Word> _words = [];
    private int[] _ofTerm = new int[4_096];
    private long _totalLength;

    // A place is counted on behind what the texts before took; its lowest bit says that the field weighs more.
    private readonly record struct Word(int Term, int Thing, long Place);

    internal int Things => _lengths.Count;

    internal int Words => _words.Count;

    internal void Add(ThingText thing)
    {
        Invariant.Check(
            Things == 0 || thing.Key.SequenceCompareTo(CollectionsMarshal.AsSpan(_keys)[_keyStarts[^2]..]) > 0,
            "things are added in the order of their keys");
        var number = Things;
        _keys.AddRange(thing.Key);
        _keyStarts.Add(_keys.Count);
        _versions.Add(thing.Sequence);
        _times.Add(thing.Time);
        if (thing.Expiry != 0)
            _expiring.Add((thing.Expiry, number));
        Span<byte> buffer = stackalloc byte[Tokenizer.BufferBytes];
        var first = 0L;
        var length = 0;
        for (var i = 0; i < thing.Count; i++)
        {
            var mark = TextFields.WeightOf(thing.FieldAt(i)) == TextFields.WeightOne ? 0L : 1L;
            var terms = analyzer.Read(thing[i], buffer);
            while (terms.MoveNext())
            {
                var term = _terms.Add(terms.Term);
                if (term >= _ofTerm.Length)
                    Array.Resize(ref _ofTerm, 2 * _ofTerm.Length);
                _ofTerm[term]++;
                _words.Add(new Word(term, number, ((first + terms.Position) << 1) | mark));
                length++;
            }

            first += terms.Positions + (long)Gap;
        }

        _lengths.Add(length);
        _totalLength += length;
    }

    internal TextSegment Build()
    {
        var terms = _terms.Sorted(out var order);
        var starts = new int[terms.Count + 1];
        var next = new int[terms.Count];                     // by old number: where its next word goes
        for (var i = 0; i < order.Length; i++)
        {
            next[order[i]] = starts[i];
            starts[i + 1] = starts[i] + _ofTerm[order[i]];
        }

        var sorted = new (int Thing, long Place)[_words.Count];
        foreach (ref readonly var word in CollectionsMarshal.AsSpan(_words))
            sorted[next[word.Term]++] = (word.Thing, word.Place);

        var lengths = _lengths.ToArray();
        var postings = new PostingWriter(lengths);
        var firstBlocks = new int[terms.Count + 1];
        var holders = new int[terms.Count];
        for (var term = 0; term < terms.Count; term++)
        {
            holders[term] = postings.Write(sorted.AsSpan(starts[term]..starts[term + 1]));
            firstBlocks[term + 1] = postings.Blocks.Count;
        }

        _expiring.Sort();
        return new TextSegment
        {
            Terms = terms,
            Lengths = lengths,
            Versions = [.. _versions],
            Times = [.. _times],
            Expiring = [.. _expiring],
            Keys = [.. _keys],
            KeyStarts = [.. _keyStarts],
            FirstBlocks = firstBlocks,
            Holders = holders,
            Blocks = [.. postings.Blocks],
            Data = postings.Data.ToArray(),
            Places = postings.Places.ToArray(),
            TotalLength = _totalLength,
        };
    }

    /// <summary>Blocks of one term after the other.</summary>
    private sealed class PostingWriter(int[] lengths)
    {
        private readonly int[] _things = new int[TextSegment.BlockMax];
        private readonly int[] _tenths = new int[TextSegment.BlockMax];
        private int _count;
        private int _before;
        private int _places;

        internal List<PostingBlock> Blocks { get; } = [];

        internal ByteList Data { get; } = new();

        internal ByteList Places { get; } = new();

        /// <returns>Things.</returns>
        internal int Write(ReadOnlySpan<(int Thing, long Place)> words)
        {
            var things = 0;
            _before = -1;
            _places = Places.Count;
            for (var i = 0; i < words.Length; things++)
            {
                var end = i;
                while (end < words.Length && words[end].Thing == words[i].Thing)
                    end++;
                Add(words[i..end]);
                i = end;
            }

            Flush();
            return things;
        }

        private void Add(ReadOnlySpan<(int Thing, long Place)> words)
        {
            if (_count == TextSegment.BlockMax)
                Flush();
            _things[_count] = words[0].Thing;
            var tenths = 0;
            var before = 0L;
            Places.AddVarint((ulong)words.Length);
            foreach (var (_, place) in words)
            {
                tenths += (place & 1) == 0 ? TextFields.WeightOne : TextFields.WeightOf(TextField.Key);
                Places.AddVarint((ulong)((((place >> 1) - before) << 1) | (place & 1)));
                before = place >> 1;
            }

            _tenths[_count++] = tenths;
        }

        private void Flush()
        {
            if (_count == 0)
                return;
            var things = _things.AsSpan(0, _count);
            var tenths = _tenths.AsSpan(0, _count);
            int mostGap = 0, mostTenths = 0, leastLength = int.MaxValue;
            var before = _before;
            var isPlain = true;
            foreach (var thing in things)
            {
                mostGap = Math.Max(mostGap, thing - before - 1);
                leastLength = Math.Min(leastLength, lengths[thing]);
                before = thing;
            }

            foreach (var one in tenths)
            {
                mostTenths = Math.Max(mostTenths, one);
                isPlain &= one == TextFields.WeightOne;
            }

            var gapWidth = WidthOf(mostGap);
            var tenthsWidth = isPlain ? 0 : WidthOf(mostTenths);
            Blocks.Add(new PostingBlock(things[^1], mostTenths, leastLength, Data.Count, _places, (byte)_count));
            Data.Add((byte)(gapWidth | tenthsWidth << 4));
            before = _before;
            foreach (var thing in things)
            {
                Data.AddNumber(thing - before - 1, gapWidth);
                before = thing;
            }

            foreach (var one in tenths)
                Data.AddNumber(one, tenthsWidth);
            _before = things[^1];
            _count = 0;
            _places = Places.Count;
        }

        private static int WidthOf(int number) => number <= byte.MaxValue ? 1 : number <= ushort.MaxValue ? 2 : 4;
    }

    /// <summary>Bytes one behind the other.</summary>
    private sealed class ByteList
    {
        private byte[] _bytes = new byte[4_096];

        internal int Count { get; private set; }

        internal byte[] ToArray() => _bytes[..Count];

        internal void Add(byte one)
        {
            if (Count == _bytes.Length)
                Array.Resize(ref _bytes, 2 * Count);
            _bytes[Count++] = one;
        }

        internal void AddNumber(int number, int width)
        {
            for (; width > 0; width--, number >>>= 8)
                Add((byte)number);
        }

        internal void AddVarint(ulong number)
        {
            for (; number >= 0x80; number >>= 7)
                Add((byte)(number | 0x80));
            Add((byte)number);
        }
    }
}
