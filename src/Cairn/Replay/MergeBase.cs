using System.Buffers.Binary;
using Cairn.Primitives;
using Cairn.Store;

namespace Cairn.Replay;

/// <summary>
/// What a merge is compared with: the newest state that both sides have had. In the beginning that is where they parted; each merge moves
/// it, in whichever direction it went, because the run that was merged into says up to where the other one is in it.
/// <code>
///      target   a@1  b@2 ........ x b@6 .... M@8 (source up to @7) ........ M@12 (source up to @11)
///      source             @3 ... c@5 ... d@7 .............. e@11
///      first merge: base is target@2 as it was at the fork; second: source@7
/// </code>
/// A merge into a run counts for its forks too, and one of a run for what was forked from that before.
/// </summary>
/// <param name="Common">Where the two parted; null: they are not related, but by merges.</param>
/// <param name="Into">The newest merge of the source's line into the target.</param>
/// <param name="Back">The newest merge of the target's line into the source.</param>
internal sealed record MergeBase(CommonPoint? Common, MergedPoint? Into, MergedPoint? Back)
{
    /// <summary>Null when the two have never had anything in common.</summary>
    internal static MergeBase? Find(DiffEnd source, DiffEnd target)
    {
        var found = new MergeBase(CommonPoint.Of(source, target), Newest(source, target), Newest(target, source));
        return found is { Common: null, Into: null, Back: null } ? null : found;
    }

    /// <summary>What the source wrote up to here is in the target, or was refused there. Null: it is not known, and all of it is looked
    /// at.</summary>
    internal CommonPoint? Since => Mutant.Is("merge-base-stays") ? Common : Into?.Point ?? Common;

    /// <summary>The newest state that both sides have had.</summary>
    internal CommonPoint Point
    {
        get
        {
            if (Mutant.Is("merge-base-stays"))
                return Common!.Value;
            // The source has had the target's state from behind the merge that the target knows of, and so that merge too.
            if (Back is { } back && (Into is null || back.Point.Sequence >= Into.Value.Version))
                return back.Point;
            return Into?.Point ?? Common!.Value;
        }
    }

    // Of a line the run that is nearest: what it has of the others it has from before.
    private static MergedPoint? Newest(DiffEnd from, DiffEnd into)
    {
        foreach (var point in from.Line())
        {
            if (TryRead(into, point.Run, out var upTo, out var version))
                return new MergedPoint(point with { Sequence = Math.Min(point.Sequence, upTo.Sequence) }, upTo, version);
        }

        return null;
    }

    private static bool TryRead(DiffEnd into, RunId source, out MergedUpTo upTo, out ulong version)
    {
        (upTo, version) = (default, 0);
        using var reader = into.Run.Store.Read();
        if (!reader.TryGet(MergedUpTo.Key(source), into.Sequence, out var stored) || stored.IsTombstone)
            return false;
        (upTo, version) = (MergedUpTo.Read(stored.Value), stored.Sequence);
        return true;
    }
}

/// <summary>A point of a run that was merged.</summary>
/// <param name="UpTo">As the target keeps it; of a run that the source was forked from, that one's.</param>
/// <param name="Version">Sequence of the merge's commit.</param>
internal readonly record struct MergedPoint(CommonPoint Point, MergedUpTo UpTo, ulong Version);

/// <summary>A run as it was at the base of a merge.</summary>
/// <param name="hold">Keeps it, and is let go with this; null: somebody else does.</param>
internal sealed class MergeState(RunState run, ulong sequence, IDisposable? hold) : IDisposable
{
    internal RunStore Store => run.Store;

    internal ulong Sequence => sequence;

    public void Dispose() => hold?.Dispose();
}

/// <summary>Whose numbers the events of a side have: up to a bound those of what it was forked from, level by level, and then its
/// own.</summary>
internal sealed class EventLine
{
    private readonly List<(RunId Run, ulong Bound)> _levels = [];

    /// <param name="end">The newest events of which are the line's.</param>
    internal EventLine(DiffEnd end)
    {
        Next = NextOf(end.Run.Store, end.Sequence);
        var bound = ulong.MaxValue;
        _levels.Add((end.Live.Id, bound));
        for (var below = end.Live.Store.Base; below is not null; below = below.Owner.Store.Base)
        {
            bound = Math.Min(bound, NextOf(below.Run.Store, below.At));
            _levels.Add((below.Parent, bound));
        }
    }

    /// <summary>Number of the next event.</summary>
    internal ulong Next { get; }

    /// <summary>Events of a run below this number are in the line; 0 = none, and of the line's own run all are.</summary>
    internal ulong BoundOf(RunId run)
    {
        foreach (var (id, bound) in _levels)
        {
            if (id == run)
                return bound;
        }

        return 0;
    }

    /// <summary>The run of the line that appended an event, if no merge brought it.</summary>
    internal RunId OwnerOf(ulong number)
    {
        var owner = _levels[0].Run;
        foreach (var (id, bound) in _levels)
        {
            if (number < bound)
                owner = id;
        }

        return owner;
    }

    /// <summary>Events below this number are in both lines, under the same numbers.</summary>
    internal static ulong Shared(EventLine one, EventLine other, CommonPoint? common) =>
        common is { } point ? Math.Min(one.BoundOf(point.Run), other.BoundOf(point.Run)) : 0;

    private static ulong NextOf(RunStore store, ulong sequence)
    {
        using var reader = store.Read();
        return reader.TryGet([StoreKeys.EventHead], sequence, out var head) ? BinaryPrimitives.ReadUInt64LittleEndian(head.Value) : 0;
    }
}

/// <summary>What the events of a side are: each is told by the run that appended it and the number it got there, whichever way it
/// came.</summary>
internal sealed class EventIdentities
{
    private readonly EventLine _line;
    private readonly List<MergedEvents> _byNumber;
    private readonly Dictionary<RunId, List<MergedEvents>> _byOrigin;

    /// <param name="rows">In order of their numbers.</param>
    internal EventIdentities(EventLine line, List<MergedEvents> rows)
    {
        (_line, _byNumber) = (line, rows);
        _byOrigin = rows.GroupBy(row => row.Origin).ToDictionary(group => group.Key, group => group.OrderBy(row => row.From).ToList());
    }

    /// <summary>What an event of this side is.</summary>
    internal (RunId Run, ulong Number) Of(ulong number) => RowOf(number) is { } row
        ? (row.Origin, row.FromOf(number)!.Value)
        : (_line.OwnerOf(number), number);

    /// <summary>The row that brought an event; null: no merge did.</summary>
    internal MergedEvents? RowOf(ulong number) =>
        Last(_byNumber, row => row.At <= number) is { } row && row.FromOf(number) is not null ? row : null;

    /// <summary>What this side calls an event; null: it has not got it.</summary>
    internal ulong? Find((RunId Run, ulong Number) identity)
    {
        if (identity.Number < _line.BoundOf(identity.Run))
            return identity.Number;
        return _byOrigin.TryGetValue(identity.Run, out var rows) && !Mutant.Is("merge-forgets-origins")
            ? Last(rows, row => row.From <= identity.Number)?.AtOf(identity.Number)
            : null;
    }

    // Of rows that are in order, and of which the first ones meet a condition.
    private static MergedEvents? Last(List<MergedEvents> rows, Func<MergedEvents, bool> condition)
    {
        var (low, high) = (0, rows.Count);
        while (low < high)
        {
            var middle = low + (high - low) / 2;
            if (condition(rows[middle]))
                low = middle + 1;
            else
                high = middle;
        }

        return low == 0 ? null : rows[low - 1];
    }
}
