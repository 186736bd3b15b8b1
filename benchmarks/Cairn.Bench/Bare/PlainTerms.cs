namespace Cairn.Bench.Bare;

/// <summary>Search by words with nothing around it: for each term two lists of numbers, scores added term by term into one array that is
/// used again, and the best of what was touched. It keeps no places, no keys and no versions, and sees no snapshot.</summary>
internal sealed class PlainTerms
{
    private readonly Dictionary<string, Postings> _terms = new(StringComparer.Ordinal);
    private readonly Dictionary<string, Postings>.AlternateLookup<ReadOnlySpan<char>> _bySpan;
    private readonly List<int> _lengths = [];
    private readonly (double Score, int Thing)[] _best = new (double, int)[10];
    private double[] _scores = [];
    private int[] _touched = [];
    private double _average;

    internal PlainTerms() => _bySpan = _terms.GetAlternateLookup<ReadOnlySpan<char>>();

    private sealed class Postings
    {
        internal List<int> ThingList { get; } = [];

        internal List<int> FrequencyList { get; } = [];

        internal int[] Things = [];
        internal int[] Frequencies = [];
    }

    internal void BeginThing() => _lengths.Add(0);

    internal void Add(ReadOnlySpan<char> term)
    {
        var thing = _lengths.Count - 1;
        _lengths[thing]++;
        if (!_bySpan.TryGetValue(term, out var postings))
            _terms.Add(term.ToString(), postings = new Postings());
        if (postings.ThingList.Count > 0 && postings.ThingList[^1] == thing)
        {
            postings.FrequencyList[^1]++;
            return;
        }

        postings.ThingList.Add(thing);
        postings.FrequencyList.Add(1);
    }

    internal void End()
    {
        foreach (var postings in _terms.Values)
            (postings.Things, postings.Frequencies) = ([.. postings.ThingList], [.. postings.FrequencyList]);
        _scores = new double[_lengths.Count];
        _touched = new int[_lengths.Count];
        _average = _lengths.Average();
        _lengthArray = [.. _lengths];
    }

    private int[] _lengthArray = [];

    /// <summary>The ten best of an OR.</summary>
    internal ReadOnlySpan<(double Score, int Thing)> Find(ReadOnlySpan<string> terms)
    {
        var touched = 0;
        foreach (var term in terms)
        {
            if (!_terms.TryGetValue(term, out var postings))
                continue;
            var (things, frequencies) = (postings.Things, postings.Frequencies);
            var idf = Math.Log(1 + ((_scores.Length - things.Length + 0.5) / (things.Length + 0.5)));
            var ofLength = 1.2 * 0.75 / _average;
            for (var i = 0; i < things.Length; i++)
            {
                var thing = things[i];
                ref var score = ref _scores[thing];
                if (score == 0)
                    _touched[touched++] = thing;
                double frequency = frequencies[i];
                score += idf * (frequency * 2.2 / (frequency + 0.3 + (ofLength * _lengthArray[thing])));
            }
        }

        var count = 0;
        for (var i = 0; i < touched; i++)
        {
            var thing = _touched[i];
            var score = _scores[thing];
            _scores[thing] = 0;
            if (count == _best.Length && score <= _best[^1].Score)
                continue;
            var at = count < _best.Length ? count++ : count - 1;
            while (at > 0 && (_best[at - 1].Score < score || (_best[at - 1].Score == score && _best[at - 1].Thing > thing)))
            {
                _best[at] = _best[at - 1];
                at--;
            }

            _best[at] = (score, thing);
        }

        return _best.AsSpan(0, count);
    }
}
