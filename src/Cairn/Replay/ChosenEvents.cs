using Cairn.Codec;
using Cairn.Primitives;

namespace Cairn.Replay;

/// <summary>
/// Differences of the events of some types alone: the n-th of them on one side with the n-th on the other. What stands between them may
/// differ in kind and number.
/// <code>
///      A    $input  action 1  result  action 2  result  result  action 3
///      B    action 1  action 2  result  action x                             the third differs
/// </code>
/// They are counted from where both sides have the same hashes; the events up to there are the same on both, whatever their types.
/// </summary>
internal static class ChosenEvents
{
    /// <summary>How many of them from the first on are the same.</summary>
    internal static ulong Common(DiffEnd a, DiffEnd b, TypeFilter chosen, DiffOptions options)
    {
        var shared = EventDifferences.EqualHashes(a, b);
        var count = (ulong)Of(a, chosen, EventDifferences.FirstKept(a, b), shared).LongCount();
        foreach (var (before, after) in Pairs(a, b, chosen, shared))
        {
            if (before is null || after is null || !EventDifferences.IsSame(before, after, options))
                break;
            count++;
        }

        return count;
    }

    internal static IEnumerable<DiffItem> Of(DiffEnd a, DiffEnd b, TypeFilter chosen, ChangedKeys? touched, DiffOptions options)
    {
        var shared = EventDifferences.EqualHashes(a, b);
        foreach (var item in EventDifferences.Redactions(a, b, shared, touched))
        {
            if (chosen.Takes(Utf8.GetBytes(item.Before!.Type!)))
                yield return item;
        }

        foreach (var (before, after) in Pairs(a, b, chosen, shared))
        {
            if (before is null || after is null || before.IsRedacted != after.IsRedacted
                || !EventDifferences.IsSame(before, after, options))
                yield return EventDifferences.Item(before, after);
        }
    }

    private static IEnumerable<(EventRecord? Before, EventRecord? After)> Pairs(DiffEnd a, DiffEnd b, TypeFilter chosen, ulong from)
    {
        var kept = Math.Max(from, EventDifferences.FirstKept(a, b));
        using var inA = Of(a, chosen, kept, ulong.MaxValue).GetEnumerator();
        using var inB = Of(b, chosen, kept, ulong.MaxValue).GetEnumerator();
        while (true)
        {
            var (hasA, hasB) = (inA.MoveNext(), inB.MoveNext());
            if (!hasA && !hasB)
                yield break;
            yield return (hasA ? inA.Current : null, hasB ? inB.Current : null);
        }
    }

    private static IEnumerable<EventRecord> Of(DiffEnd end, TypeFilter chosen, ulong from, ulong to)
    {
        var stop = Math.Min(to, EventDifferences.EndOf(end));
        for (var next = from; next < stop; next += EventDifferences.EventsPerPiece)
        {
            foreach (var record in EventDifferences.Read(end, next, Math.Min(EventDifferences.EventsPerPiece, stop - next)))
            {
                if (chosen.Takes(Utf8.GetBytes(record.Type)) || Mutant.Is("diff-takes-every-type"))
                    yield return record;
            }
        }
    }
}
