using Cairn.Primitives;

namespace Cairn.Text;

/// <summary>A thing that an index ranked.</summary>
/// <param name="Tenths">Its frequencies, by part of the query.</param>
internal sealed record TopThing(SearchedThings Kind, TextSegment Segment, int Thing, double Score, int[] Tenths)
{
    internal ReadOnlySpan<byte> Key => Segment.KeyOf(Thing);
}

/// <summary>Whether a thing with the words may be a hit: it lives in the snapshot, passes what else was asked, and has not been given.
/// Asked only of things that would be among the best.</summary>
internal delegate bool TopFilter(TextSegment segment, int thing, double score);

/// <summary>The best of several segments, by MaxScore with block maxima (H. Turtle, J. Flood, "Query evaluation: strategies and
/// optimizations", 1995; S. Ding, T. Suel, 2011): parts of the query that cannot bring a thing among the best by themselves are asked only
/// about things that the others found, and stretches of blocks in which no sum of bounds reaches the worst of the best are not
/// read.</summary>
/// <remarks>Scores are summed in the order of the query, as everywhere (SE3); bounds are widened by <see cref="Slack"/>, because their sums
/// have another order. Things of a segment are in the order of keys, so of equal scores in one segment the first stays; the worst of the
/// best may come from a segment whose keys are mixed with this one's, and then equal scores are looked at.</remarks>
internal sealed class TopThings
{
    private const double Slack = 1 + 1e-12;

    private readonly int _most;
    private readonly int _clauses;
    private readonly List<TopThing> _best = [];              // a heap, worst on top
    private PostingCursor[] _lists = [];
    private double[] _sums = [];                             // of the bounds of the first lists, this one included
    private int[] _tenths = [];

    /// <param name="most">How many are wanted.</param>
    internal TopThings(int most, int clauses)
    {
        _most = most;
        _clauses = clauses;
        _tenths = new int[clauses];
    }

    /// <summary>Things whose scores were summed.</summary>
    internal long Scored { get; private set; }

    /// <summary>Best first.</summary>
    internal List<TopThing> Take()
    {
        _best.Sort(Order);
        return _best;
    }

    /// <param name="wanted">One for each part that adds to the score, started.</param>
    /// <param name="required">Parts that a thing must have, among the wanted ones.</param>
    /// <param name="excluded">Parts that it must not have.</param>
    /// <param name="isFirst">Nothing of this kind was among the best before, so an equal score loses.</param>
    /// <param name="goOn">Asked for each stretch of blocks. False: enough.</param>
    internal void Run(
        SearchedThings kind, TextSegment segment, List<PostingCursor> wanted, bool[] required, List<PostingCursor> excluded, in Bm25 bm25,
        bool isFirst, TopFilter filter, Func<bool> goOn)
    {
        var isRequired = false;
        foreach (var list in wanted)
            isRequired |= required[list.Clause];
        wanted.Sort((left, right) => left.MostScore.CompareTo(right.MostScore));
        if (isRequired)
        {
            // The rarest of the required ones leads; nothing else can be a hit.
            var lead = wanted.Where(list => required[list.Clause]).MinBy(list => list.Holders)!;
            wanted.Remove(lead);
            wanted.Add(lead);
        }

        _lists = [.. wanted];
        _sums = new double[_lists.Length];
        var sum = 0.0;
        for (var i = 0; i < _sums.Length; i++)
            _sums[i] = sum += _lists[i].MostScore;
        var essential = isRequired ? _lists.Length - 1 : 0;
        var checkedTo = -1;
        while (true)
        {
            if (!isRequired)
            {
                while (essential < _lists.Length && IsTooLittle(_sums[essential], isFirst))
                    essential++;
            }
            else if (IsTooLittle(_sums[^1], isFirst))
            {
                return;
            }

            if (essential == _lists.Length)
                return;
            var thing = PostingCursor.End;
            for (var i = essential; i < _lists.Length; i++)
                thing = Math.Min(thing, _lists[i].Thing);
            if (thing == PostingCursor.End)
                return;
            if (thing > checkedTo)
            {
                if (!goOn())
                    return;
                if (SkipsStretch(essential, thing, bm25, isFirst, out checkedTo))
                    continue;
            }

            Judge(kind, segment, essential, thing, required, excluded, bm25, isFirst, filter);
            for (var i = essential; i < _lists.Length; i++)
            {
                if (_lists[i].Thing == thing)
                    _lists[i].MoveNext();
            }
        }
    }

    // Up to where the first of the present blocks ends no thing gets more than these bounds together.
    private bool SkipsStretch(int essential, int thing, in Bm25 bm25, bool isFirst, out int checkedTo)
    {
        var bound = essential == 0 ? 0 : _sums[essential - 1];
        checkedTo = PostingCursor.End - 1;
        for (var i = essential; i < _lists.Length; i++)
        {
            var list = _lists[i];
            if (list.Thing == PostingCursor.End)
                continue;
            bound += list.BlockBound(bm25);
            checkedTo = Math.Min(checkedTo, list.BlockLast);
        }

        if (!IsTooLittle(bound, isFirst))
            return false;
        for (var i = essential; i < _lists.Length; i++)
            _lists[i].SeekTo(checkedTo + 1);
        return true;
    }

    private void Judge(
        SearchedThings kind, TextSegment segment, int essential, int thing, bool[] required, List<PostingCursor> excluded, in Bm25 bm25,
        bool isFirst, TopFilter filter)
    {
        var norm = bm25.Norm(segment.Lengths[thing]);
        Array.Clear(_tenths);
        var sum = 0.0;
        for (var i = essential; i < _lists.Length; i++)
        {
            var list = _lists[i];
            if (list.Thing != thing)
                continue;
            _tenths[list.Clause] = list.Tenths;
            sum += Bm25.Score(list.Weight, list.Tenths, norm);
        }

        for (var i = essential - 1; i >= 0; i--)
        {
            if (IsTooLittle(sum + _sums[i], isFirst))
                return;
            var list = _lists[i];
            list.SeekTo(thing);
            if (list.Thing != thing)
                continue;
            _tenths[list.Clause] = list.Tenths;
            sum += Bm25.Score(list.Weight, list.Tenths, norm);
        }

        Scored++;
        if (IsTooLittle(sum, isFirst))
            return;
        for (var clause = 0; clause < _clauses; clause++)
        {
            if (required[clause] && _tenths[clause] == 0)
                return;
        }

        foreach (var list in excluded)
        {
            list.SeekTo(thing);
            if (list.Thing == thing)
                return;
        }

        var score = _lists.Length <= 2 || Mutant.Is("text-sums-in-another-order") ? sum : Sum(norm);
        if (filter(segment, thing, score))
            Add(new TopThing(kind, segment, thing, score, (int[])_tenths.Clone()));
    }

    // In the order of the query; of two the order makes no difference.
    private double Sum(double norm)
    {
        var score = 0.0;
        for (var clause = 0; clause < _clauses; clause++)
        {
            if (_tenths[clause] == 0)
                continue;
            foreach (var list in _lists)
            {
                if (list.Clause == clause)
                    score += Bm25.Score(list.Weight, _tenths[clause], norm);
            }
        }

        return score;
    }

    private bool IsTooLittle(double bound, bool isFirst)
    {
        if (_best.Count < _most)
            return false;
        var worst = _best[0].Score * (Mutant.Is("text-prunes-too-early") ? 1.2 : 1);
        return isFirst && _lists.Length <= 2 ? bound <= worst : bound * Slack < worst;
    }

    /// <summary>Takes a thing in if it is among the best.</summary>
    internal void Add(TopThing thing)
    {
        if (_best.Count == _most)
        {
            if (Order(thing, _best[0]) >= 0)
                return;
            _best[0] = thing;
            SiftDown();
            return;
        }

        _best.Add(thing);
        var at = _best.Count - 1;
        while (at > 0 && Order(_best[at], _best[(at - 1) / 2]) > 0)
        {
            (_best[at], _best[(at - 1) / 2]) = (_best[(at - 1) / 2], _best[at]);
            at = (at - 1) / 2;
        }
    }

    private void SiftDown()
    {
        for (var at = 0; ;)
        {
            var child = (2 * at) + 1;
            if (child >= _best.Count)
                return;
            if (child + 1 < _best.Count && Order(_best[child + 1], _best[child]) > 0)
                child++;
            if (Order(_best[child], _best[at]) <= 0)
                return;
            (_best[at], _best[child]) = (_best[child], _best[at]);
            at = child;
        }
    }

    // Best first.
    private static int Order(TopThing left, TopThing right)
    {
        var byScore = right.Score.CompareTo(left.Score);
        if (byScore != 0)
            return byScore;
        return left.Kind != right.Kind ? left.Kind.Family - right.Kind.Family : left.Key.SequenceCompareTo(right.Key);
    }
}
