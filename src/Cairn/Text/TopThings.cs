using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
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

    // Chosen: the scores of a window stay in the first cache.
    private const int WindowThings = 2_048;

    private readonly int _most;
    private readonly int _clauses;
    private readonly Entry[] _best;                          // a heap, worst on top
    private int _count;
    private PostingCursor[] _lists = [];
    private double[] _sums = [];                             // of the bounds of the first lists, this one included
    private readonly int[] _tenths;
    private double[]? _window;                               // all zero between two uses

    [ThreadStatic]
    private static double[]? _freeWindow;

    private struct Entry
    {
        internal double Score;
        internal int Thing;
        internal TextSegment Segment;
        internal SearchedThings Kind;
        internal int[]? Tenths;
    }

    /// <param name="most">How many are wanted.</param>
    internal TopThings(int most, int clauses)
    {
        _most = most;
        _clauses = clauses;
        _tenths = new int[clauses];
        _best = new Entry[most];
    }

    /// <summary>Best first.</summary>
    internal List<TopThing> Take()
    {
        _freeWindow = _window ?? _freeWindow;
        _window = null;
        var best = new List<TopThing>(_count);
        foreach (ref readonly var one in _best.AsSpan(0, _count))
            best.Add(new TopThing(one.Kind, one.Segment, one.Thing, one.Score, one.Tenths!));
        best.Sort((left, right) => Order(
            left.Score, left.Kind, left.Segment, left.Thing, right.Score, right.Kind, right.Segment, right.Thing));
        return best;
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
        if (isRequired)
            RunRequired(kind, segment, required, excluded, bm25, isFirst, filter, goOn);
        else
            RunAny(kind, segment, excluded, bm25, isFirst, filter, goOn);
        foreach (ref var one in _best.AsSpan(0, _count))
            one.Tenths ??= TenthsOf(one.Thing);
    }

    // One required part leads, thing by thing.
    private void RunRequired(
        SearchedThings kind, TextSegment segment, bool[] required, List<PostingCursor> excluded, in Bm25 bm25, bool isFirst,
        TopFilter filter, Func<bool> goOn)
    {
        var essential = _lists.Length - 1;
        var checkedTo = -1;
        while (!IsTooLittle(_sums[^1], isFirst))
        {
            var thing = _lists[^1].Thing;
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
            _lists[^1].MoveNext();
        }
    }

    // Scores of several lists are added up for a window of things at a time, list by list; those of one alone are looked at as they come.
    private void RunAny(
        SearchedThings kind, TextSegment segment, List<PostingCursor> excluded, in Bm25 bm25, bool isFirst, TopFilter filter,
        Func<bool> goOn)
    {
        var essential = 0;
        var checkedTo = -1;
        while (true)
        {
            while (essential < _lists.Length && IsTooLittle(_sums[essential], isFirst))
                essential++;
            if (essential == _lists.Length || !goOn())
                return;
            var rest = essential == 0 ? 0 : _sums[essential - 1];
            if (essential == _lists.Length - 1)
            {
                var list = _lists[essential];
                if (list.Thing == PostingCursor.End)
                    return;
                if (!IsTooLittle(rest + list.BlockBound(bm25), isFirst))
                    RunBlock(kind, segment, essential, excluded, bm25, isFirst, filter);
                list.SkipBlock();
                continue;
            }

            var from = PostingCursor.End;
            for (var i = essential; i < _lists.Length; i++)
                from = Math.Min(from, _lists[i].Thing);
            if (from == PostingCursor.End)
                return;
            if (IsSparse(segment, essential))
            {
                if (from > checkedTo && SkipsStretch(essential, from, bm25, isFirst, out checkedTo))
                    continue;
                var sum = 0.0;
                for (var i = essential; i < _lists.Length; i++)
                {
                    if (_lists[i].Thing == from)
                        sum += _lists[i].Score(segment.Lengths, bm25);
                }

                Finish(kind, segment, essential, from, sum, excluded, bm25, isFirst, filter);
                for (var i = essential; i < _lists.Length; i++)
                {
                    if (_lists[i].Thing == from)
                        _lists[i].MoveNext();
                }

                continue;
            }

            _window ??= TakeFreeWindow() ?? new double[WindowThings];
            var to = (int)Math.Min(PostingCursor.End, from + (long)_window.Length);
            var bound = rest;
            for (var i = essential; i < _lists.Length; i++)
                bound += _lists[i].BoundUpTo(to, bm25);
            if (IsTooLittle(bound, isFirst))
            {
                for (var i = essential; i < _lists.Length; i++)
                    _lists[i].SeekTo(to);
                continue;
            }

            for (var i = essential; i < _lists.Length; i++)
                _lists[i].AddTo(_window, from, to, segment.Lengths, bm25);
            Pick(kind, segment, essential, from, rest, excluded, bm25, isFirst, filter);
            _window.AsSpan().Clear();
        }
    }

    // One list alone, the rest of its block. Where all are there once, a score above another is a length below another.
    private void RunBlock(
        SearchedThings kind, TextSegment segment, int essential, List<PostingCursor> excluded, in Bm25 bm25, bool isFirst,
        TopFilter filter)
    {
        var list = _lists[essential];
        var rest = essential == 0 ? 0 : _sums[essential - 1];
        var least = Least(rest);
        var longest = list.IsPlain && least > 0 ? bm25.LongestAbove(list.Weight, least) : int.MaxValue;
        var things = list.BlockThings;
        var tenths = list.BlockTenths;
        for (var i = 0; i < things.Length; i++)
        {
            var length = segment.Lengths[things[i]];
            if (length > longest)
                continue;
            var norm = bm25.Norm(length);
            var score = Bm25.Score(list.Weight, tenths[i], norm);
            if (score <= least)
                continue;
            Finish(kind, segment, essential, things[i], score, excluded, bm25, isFirst, filter);
            if (Least(rest) is var now && now > least)
            {
                least = now;
                longest = list.IsPlain && least > 0 ? bm25.LongestAbove(list.Weight, least) : int.MaxValue;
            }
        }
    }

    private static double[]? TakeFreeWindow()
    {
        var free = _freeWindow;
        _freeWindow = null;
        return free;
    }

    // Where few things of a window would be touched, going from thing to thing is quicker than looking at the whole window.
    private bool IsSparse(TextSegment segment, int essential)
    {
        const int ThingsPerPosting = 16;
        var postings = 0L;
        for (var i = essential; i < _lists.Length; i++)
            postings += _lists[i].Holders;
        return postings * ThingsPerPosting < segment.Things;
    }

    // Those of the window that may be among the best.
    private void Pick(
        SearchedThings kind, TextSegment segment, int essential, int from, double rest, List<PostingCursor> excluded, in Bm25 bm25,
        bool isFirst, TopFilter filter)
    {
        var least = Least(rest);
        var window = _window.AsSpan();
        var wide = MemoryMarshal.Cast<double, Vector256<double>>(window);
        for (var at = 0; at < wide.Length; at++)
        {
            if (!Vector256.GreaterThanAny(wide[at], Vector256.Create(least)))
                continue;
            for (var i = Vector256<double>.Count * at; i < Vector256<double>.Count * (at + 1); i++)
            {
                if (window[i] <= least)
                    continue;
                Finish(kind, segment, essential, from + i, window[i], excluded, bm25, isFirst, filter);
                least = Least(rest);
            }
        }
    }

    // What must be surpassed without the parts that are not asked yet, a little less for rounding; of nothing at all there is no hit.
    private double Least(double rest) => _count < _most ? 0 : Math.Max(0, (_best[0].Score * (1 - 1e-11)) - (rest * (1 + 1e-11)));

    // The parts that were not asked yet, and what else there is to ask.
    private void Finish(
        SearchedThings kind, TextSegment segment, int essential, int thing, double sum, List<PostingCursor> excluded, in Bm25 bm25,
        bool isFirst, TopFilter filter)
    {
        var norm = bm25.Norm(segment.Lengths[thing]);
        for (var i = essential - 1; i >= 0; i--)
        {
            // The bound of the whole list first, then that of the thing's length.
            var list = _lists[i];
            if (IsTooLittle(sum + _sums[i], isFirst)
                || IsTooLittle(sum + (i == 0 ? 0 : _sums[i - 1]) + list.BoundAt(thing, norm), isFirst))
            {
                return;
            }

            list.SeekTo(thing);
            if (list.Thing == thing)
                sum += Bm25.Score(list.Weight, list.Tenths, norm);
        }

        if (IsTooLittle(sum, isFirst))
            return;
        foreach (var list in excluded)
        {
            list.SeekTo(thing);
            if (list.Thing == thing)
                return;
        }

        if (_lists.Length <= 2 || Mutant.Is("text-sums-in-another-order"))
        {
            if (filter(segment, thing, sum))
                Add(kind, segment, thing, sum, null);
            return;
        }

        var tenths = TenthsOf(thing);
        tenths.CopyTo(_tenths, 0);
        var score = Sum(norm);
        if (filter(segment, thing, score))
            Add(kind, segment, thing, score, tenths);
    }

    private int[] TenthsOf(int thing)
    {
        var tenths = new int[_clauses];
        foreach (var list in _lists)
            tenths[list.Clause] = list.TenthsAt(thing);
        return tenths;
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

        var score = _lists.Length <= 2 ? sum : Sum(norm);
        if (filter(segment, thing, score))
            Add(kind, segment, thing, score, (int[])_tenths.Clone());
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
        if (_count < _most)
            return false;
        var worst = _best[0].Score * (Mutant.Is("text-prunes-too-early") ? 1.2 : 1);
        return isFirst && _lists.Length <= 2 ? bound <= worst : bound * Slack < worst;
    }

    // Takes a thing in if it is among the best. Frequencies that are not known yet are looked up for those that stay.
    private void Add(SearchedThings kind, TextSegment segment, int thing, double score, int[]? tenths)
    {
        var one = new Entry { Kind = kind, Segment = segment, Thing = thing, Score = score, Tenths = tenths };
        if (_count == _most)
        {
            if (Order(one, _best[0]) >= 0)
                return;
            _best[0] = one;
            SiftDown();
            return;
        }

        _best[_count] = one;
        var at = _count++;
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
            if (child >= _count)
                return;
            if (child + 1 < _count && Order(_best[child + 1], _best[child]) > 0)
                child++;
            if (Order(_best[child], _best[at]) <= 0)
                return;
            (_best[at], _best[child]) = (_best[child], _best[at]);
            at = child;
        }
    }

    private static int Order(in Entry left, in Entry right) =>
        Order(left.Score, left.Kind, left.Segment, left.Thing, right.Score, right.Kind, right.Segment, right.Thing);

    // Best first.
    private static int Order(
        double score, SearchedThings kind, TextSegment segment, int thing, double otherScore, SearchedThings otherKind,
        TextSegment otherSegment, int otherThing)
    {
        if (score != otherScore)
            return score > otherScore ? -1 : 1;
        if (segment == otherSegment)
            return thing - otherThing;
        return kind != otherKind ? kind.Family - otherKind.Family : segment.KeyOf(thing).SequenceCompareTo(otherSegment.KeyOf(otherThing));
    }
}
