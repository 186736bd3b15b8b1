using Cairn.Primitives;
using Cairn.Store;

namespace Cairn.Text;

/// <summary>Compares the texts of things with a query, one after the other: how often each part of the query is in a thing, and how long
/// the thing is. Allocates nothing per thing once its lists have grown.</summary>
internal sealed class TextMatcher
{
    /// <summary>Between two texts of a thing, so that no phrase reaches from one into the other.</summary>
    internal const int Gap = 1 << 16;

    private readonly TextAnalyzer _analyzer;
    private readonly TextQuery _query;
    private readonly Dictionary<byte[], int> _slots = new(ByteArrayComparer.Instance);
    private readonly Dictionary<byte[], int>.AlternateLookup<ReadOnlySpan<byte>> _bySpan;
    private readonly List<byte[]> _prefixes = [];
    private readonly int[][] _clauseSlots;                   // of each clause the slots of its terms; of a prefix its place in _prefixes
    private readonly int[] _tenths;                          // by slot
    private readonly int[] _prefixTenths;
    private readonly List<(long Position, int Tenths)>?[] _places; // by slot; null for terms that are in no phrase

    internal TextMatcher(TextAnalyzer analyzer, TextQuery query)
    {
        _analyzer = analyzer;
        _query = query;
        var inPhrases = new HashSet<int>();
        _clauseSlots = new int[query.Clauses.Length][];
        for (var i = 0; i < _clauseSlots.Length; i++)
        {
            var clause = query.Clauses[i];
            if (clause.Kind == ClauseKind.Prefix)
            {
                _clauseSlots[i] = [_prefixes.Count];
                _prefixes.Add(clause.Terms[0]);
                continue;
            }

            _clauseSlots[i] = [.. clause.Terms.Select(SlotOf)];
            if (clause.Kind == ClauseKind.Phrase)
                inPhrases.UnionWith(_clauseSlots[i]);
        }

        _bySpan = _slots.GetAlternateLookup<ReadOnlySpan<byte>>();
        _tenths = new int[_slots.Count];
        _prefixTenths = new int[_prefixes.Count];
        _places = new List<(long, int)>?[_slots.Count];
        foreach (var slot in inPhrases)
            _places[slot] = [];
        Tenths = new int[query.Clauses.Length];
    }

    /// <summary>Of the last thing, by clause: occurrences by the weights of their fields, in tenths; 0 = it does not have it.</summary>
    internal int[] Tenths { get; }

    /// <summary>Terms of the last thing.</summary>
    internal int Length { get; private set; }

    /// <summary>Looks at a thing.</summary>
    /// <param name="goOn">Asked now and then in a long text; false: give up.</param>
    /// <returns>False: it was given up.</returns>
    internal bool Look(ThingText thing, Func<bool> goOn)
    {
        const int TermsPerQuestion = 4_096;
        Array.Clear(_tenths);
        Array.Clear(_prefixTenths);
        foreach (var places in _places)
            places?.Clear();
        Length = 0;
        Span<byte> buffer = stackalloc byte[Tokenizer.BufferBytes];
        var first = 0L;
        for (var i = 0; i < thing.Count; i++)
        {
            var weight = TextFields.WeightOf(thing.FieldAt(i));
            var terms = _analyzer.Read(thing[i], buffer);
            while (terms.MoveNext())
            {
                Length++;
                if (Length % TermsPerQuestion == 0 && !goOn())
                    return false;
                Count(terms.Term, first + terms.Position, weight);
            }

            first += terms.Positions + (long)Gap;
        }

        for (var i = 0; i < Tenths.Length; i++)
            Tenths[i] = CountOf(i);
        return true;
    }

    /// <summary>What the last thing has makes it a hit.</summary>
    internal bool IsMatch
    {
        get
        {
            var isAny = false;
            for (var i = 0; i < Tenths.Length; i++)
            {
                var has = Tenths[i] > 0;
                switch (_query.Clauses[i].Role)
                {
                    case ClauseRole.Excluded when has:
                    case ClauseRole.Required when !has:
                        return false;
                    case not ClauseRole.Excluded:
                        isAny |= has;
                        break;
                }
            }

            return isAny;
        }
    }

    /// <summary>Whether a term is one that the query asks for, and of which clause the first; -1 = none. Excluded ones do not
    /// count.</summary>
    internal int ClauseOf(ReadOnlySpan<byte> term)
    {
        for (var i = 0; i < _clauseSlots.Length; i++)
        {
            var clause = _query.Clauses[i];
            if (clause.Role == ClauseRole.Excluded)
                continue;
            if (clause.Kind == ClauseKind.Prefix ? term.StartsWith(clause.Terms[0]) : Has(clause, term))
                return i;
        }

        return -1;

        static bool Has(QueryClause clause, ReadOnlySpan<byte> term)
        {
            foreach (var candidate in clause.Terms)
            {
                if (term.SequenceEqual(candidate))
                    return true;
            }

            return false;
        }
    }

    private int SlotOf(byte[] term)
    {
        if (!_slots.TryGetValue(term, out var slot))
            _slots.Add(term, slot = _slots.Count);
        return slot;
    }

    private void Count(ReadOnlySpan<byte> term, long position, int weight)
    {
        if (_bySpan.TryGetValue(term, out var slot))
        {
            _tenths[slot] += weight;
            _places[slot]?.Add((position, weight));
        }

        for (var i = 0; i < _prefixes.Count; i++)
        {
            if (term.StartsWith(_prefixes[i]))
                _prefixTenths[i] += weight;
        }
    }

    private int CountOf(int clause)
    {
        var slots = _clauseSlots[clause];
        return _query.Clauses[clause].Kind switch
        {
            ClauseKind.Term => _tenths[slots[0]],
            ClauseKind.Prefix => _prefixTenths[slots[0]],
            _ => CountPhrase(slots, _query.Clauses[clause].Offsets),
        };
    }

    // Places of each term are in order; each place of the first is tried.
    private int CountPhrase(int[] slots, int[] offsets)
    {
        foreach (var slot in slots)
        {
            if (_tenths[slot] == 0)
                return 0;
        }

        var tenths = 0;
        foreach (var (position, weight) in _places[slots[0]]!)
        {
            var isWhole = true;
            for (var i = 1; i < slots.Length && isWhole; i++)
                isWhole = _places[slots[i]]!.BinarySearch((position + offsets[i], 0), PlaceOrder.Instance) >= 0;
            if (isWhole)
                tenths += weight;
        }

        return tenths;
    }

    private sealed class PlaceOrder : IComparer<(long Position, int Tenths)>
    {
        internal static readonly PlaceOrder Instance = new();

        public int Compare((long Position, int Tenths) left, (long Position, int Tenths) right) => left.Position.CompareTo(right.Position);
    }
}
