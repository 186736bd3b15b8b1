// How a query is done: by looking at all things, or at those that indexes name. The answer is the same (IDX-3), because whatever a plan
// names is asked the whole filter again; a plan may name too much, never too little.
//
//      status = "open" and cost > 3        index a: status     ->  17 items   <- fewest: these are read
//                                          index b: cost       -> 400 items      read too when that spares enough things: an intersection
//      tags contains "red" or cost > 90    index t and index b ->  their union; if one part of an "or" has no index, there is none
//      not (status = "open")               no index knows what is not there: all are looked at
//      type = "note" and number >= 9       of events: a stretch of their keys is scanned (QueryOrders.cs)
//
// Estimates are counts, taken from the index itself at the query's own sequence, up to a bound that grows until one index is within it.
// So they cost less than what they spare, and the plan is a function of the snapshot, the query and the definitions: deterministic
// (IDX-9).
//
// Costs are in reads of an item; a thing costs four, for it is read and decoded:
//
//      scan, by key        4 x things of the stretch until the page is full: (page + 1) x things / rows, at most all
//      scan, sorted        4 x all of the stretch
//      index               items, and 4 x (page + 1) of the things named; sorted: 4 x all of them
//      ordered index       5 x things in its order until the page is full

using Cairn.Store;
using Cairn.Transactions;

namespace Cairn.Primitives;

/// <summary>Some intervals of one index, or of an order that is built in.</summary>
internal sealed record IndexLeaf(QuerySource Source, List<KeyInterval> Intervals);

/// <summary>A set of things that holds all that a condition can hold for: what its leaves name together.</summary>
internal sealed class IndexAccess(List<IndexLeaf> leaves)
{
    internal List<IndexLeaf> Leaves => leaves;

    /// <summary>Items counted.</summary>
    internal long Items { get; set; }

    /// <summary>All of them were.</summary>
    internal bool IsExact { get; set; }
}

/// <summary>What was chosen.</summary>
/// <param name="Accesses">What names the things; each of them names all that are wanted.</param>
/// <param name="Ordered">An index that is walked in its order, or null.</param>
/// <param name="IsWhole">All that is wanted is in the ordered intervals.</param>
/// <param name="Stretch">What a scan looks at.</param>
/// <param name="IsSorted">What is found has to be put in order.</param>
internal sealed record ChosenPlan(
    QueryPlanKind Kind, List<IndexAccess> Accesses, IndexLeaf? Ordered, bool IsWhole, KeyStretch Stretch, bool IsSorted, long Things,
    long Rows, string Reason);

/// <summary>See the essay above.</summary>
internal sealed class QueryPlanner(Scope scope, IndexedThings things, List<StoredIndex> indexes)
{
    private const int FirstCount = 64;
    private const int LastCount = 32_768;
    private const long CostOfThing = 4;

    internal ChosenPlan Choose(Filter? filter, IReadOnlyList<QueryOrder> order, int limit, bool mayWalk)
    {
        long all;
        KeyStretch stretch;
        using (var reader = scope.Run.Store.Read())
        {
            stretch = things.Stretch(scope, reader, Conditions(filter), hasOwn: !mayWalk);
            all = Math.Max(1, things.Count(reader, scope.Sequence));
        }

        var scanned = Math.Clamp(stretch.Things, 1, all);
        var accesses = filter is null ? [] : Find(filter);
        Count(accesses, all);
        var best = accesses.Where(access => access.IsExact).OrderBy(access => access.Items).FirstOrDefault();
        var rows = Math.Min(scanned, best?.Items ?? (filter is null ? scanned : scanned / 8 + 1));
        var page = limit + 1L;
        var isSorted = order.Count > 1 || (order.Count == 1 && !things.IsKeyOrder(order[0].Path));
        var scanCost = CostOfThing * (isSorted ? scanned : Needed(page, scanned, rows));
        var choice = new ChosenPlan(QueryPlanKind.Scan, [], null, false, stretch, isSorted, all, rows, "");
        var cost = scanCost;
        var told = $"costs: scan {scanCost}";
        if (best is not null)
        {
            var indexCost = best.Items + CostOfThing * (isSorted ? best.Items : Math.Min(best.Items, page));
            told += $", index {indexCost}";
            if (indexCost < cost)
            {
                var chosen = Intersect(best, accesses, all, isSorted ? best.Items : Math.Min(best.Items, page));
                choice = choice with
                {
                    Kind = chosen.Count > 1 ? QueryPlanKind.Intersection : QueryPlanKind.Index, Accesses = chosen,
                };
                cost = indexCost;
            }
        }

        if (isSorted && order.Count == 1 && mayWalk && Walk(filter, order[0].Path, out var isWhole) is { } walked)
        {
            var walkCost = (CostOfThing + 1) * Needed(page, Expected(walked, accesses, all), rows);
            told += $", ordered index {walkCost}";
            if (walkCost < cost)
                choice = choice with { Kind = QueryPlanKind.OrderedIndex, Accesses = [], Ordered = walked, IsWhole = isWhole };
        }

        return choice with { Reason = told + $"; {all} thing(s), {rows} row(s) expected" };
    }

    // Of so many things, of which so many are rows, those that are looked at until the page is full.
    private static long Needed(long page, long things, long rows) => Math.Min(things, page * things / Math.Max(1, rows));

    // Things in what is walked: all, unless its intervals were counted for another reason.
    private static long Expected(IndexLeaf walked, List<IndexAccess> accesses, long all) => accesses.Find(
        access => access.IsExact && access.Leaves is [var leaf] && leaf.Source.Name == walked.Source.Name)?.Items ?? all;

    // What all have to fulfil.
    private static List<Filter> Conditions(Filter? filter) => filter is null ? []
        : filter.Kind == FilterKind.And ? [.. filter.Parts.Where(part => part.Path is not null)]
        : filter.Path is not null ? [filter] : [];

    // Another one is worth its items when it spares more things than that.
    private static List<IndexAccess> Intersect(IndexAccess best, List<IndexAccess> accesses, long all, long read)
    {
        var chosen = new List<IndexAccess> { best };
        foreach (var other in accesses.Where(access => access.IsExact && access != best).OrderBy(access => access.Items))
        {
            var left = read * other.Items / all;
            if (other.Items >= CostOfThing * (read - left))
                break;
            chosen.Add(other);
            read = left;
        }

        return chosen;
    }

    private void Count(List<IndexAccess> accesses, long all)
    {
        for (long most = FirstCount; accesses.Count > 0; most *= 8)
        {
            foreach (var access in accesses)
            {
                access.Items = 0;
                access.IsExact = true;
                foreach (var leaf in access.Leaves)
                {
                    foreach (var interval in leaf.Intervals)
                        access.Items += Count(interval, most - access.Items + 1);
                }

                access.IsExact = access.Items <= most;
            }

            if (most >= LastCount || most >= all || accesses.Exists(access => access.IsExact))
                return;
        }
    }

    private long Count(KeyInterval interval, long most)
    {
        if (interval.IsEmpty || most <= 0)
            return 0;
        using var reader = scope.Run.Store.Read();
        var scan = reader.Scan(interval.From, interval.To, scope.Sequence);
        long count = 0;
        while (count < most && scan.MoveNext())
            count++;
        return count;
    }

    // ---- what can be asked of indexes ----------------------------------------------------------------------------------------

    // Each that comes back holds all that the filter holds for.
    private List<IndexAccess> Find(Filter filter)
    {
        if (filter.Kind == FilterKind.Not)
            return [];
        if (filter.Kind == FilterKind.Or)
            return Union(filter) is { } union ? [union] : [];
        var parts = filter.Kind == FilterKind.And ? [.. filter.Parts] : new List<Filter> { filter };
        var conditions = Conditions(filter);
        List<IndexAccess> found = [.. things.BuiltIn(conditions).Select(leaf => new IndexAccess([leaf]))];
        var met = new List<StoredIndex>();
        foreach (var index in indexes)
        {
            // Two over the same paths name the same.
            if (met.Exists(other => other.Paths.SequenceEqual(index.Paths)) || Leaf(index, conditions) is not { } leaf)
                continue;
            met.Add(index);
            found.Add(new IndexAccess([leaf]));
        }

        foreach (var part in parts.Where(part => part.Kind is FilterKind.Or or FilterKind.And))
            found.AddRange(Find(part));
        return found;
    }

    private IndexAccess? Union(Filter filter)
    {
        var leaves = new List<IndexLeaf>();
        foreach (var part in filter.Parts)
        {
            var ways = Find(part);
            if (ways.Count == 0)
                return null;
            if (ways.Count > 1)
                Count(ways, LastCount);
            leaves.AddRange(ways.OrderBy(way => way.IsExact ? way.Items : long.MaxValue).First().Leaves);
        }

        return new IndexAccess(leaves);
    }

    // The first paths by equality, and one more by whatever is asked of it.
    private static IndexLeaf? Leaf(StoredIndex index, List<Filter> conditions)
    {
        var kept = IndexItems.KeptBytes / index.Paths.Length;
        byte[] row = IndexItems.Prefix(index.Number);
        List<KeyInterval>? intervals = null;
        foreach (var path in index.Paths)
        {
            var here = conditions.FindAll(condition => condition.Path == path);
            if (here.Count == 0)
                break;
            var equal = here.Find(condition => condition.Kind == FilterKind.Eq && IndexItems.TryScalar(condition.Value, kept) is not null);
            if (equal is null)
            {
                intervals = Common(here, row, kept) ?? intervals;
                break;
            }

            row = [.. row, .. IndexItems.TryScalar(equal.Value, kept)!];
            intervals = [KeyInterval.Of(row)];
        }

        if (intervals is null)
            return null;
        byte[] overflow = [.. IndexItems.Prefix(index.Number), IndexItems.Overflow];
        if (!Mutant.Is("index-forgets-overflow"))
            intervals = KeyInterval.Union([.. intervals, KeyInterval.Of(overflow)]);
        return new IndexLeaf(new IndexSource(index), intervals);
    }

    // What all conditions on one path leave. A thing may answer "contains" with one item and the others with another, so it stands alone.
    private static List<KeyInterval>? Common(List<Filter> conditions, byte[] row, int kept)
    {
        List<KeyInterval>? common = null;
        foreach (var condition in conditions.Where(condition => condition.Kind != FilterKind.Contains))
        {
            if (IndexItems.Intervals(condition, row, kept) is { } intervals)
                common = common is null ? KeyInterval.Union(intervals) : KeyInterval.Both(common, KeyInterval.Union(intervals));
        }

        return common
            ?? conditions.Select(condition => IndexItems.Intervals(condition, row, kept)).OfType<List<KeyInterval>>().FirstOrDefault();
    }

    // An index whose order is the one wanted. It has all that have a scalar there; that is all when the filter asks for one.
    private IndexLeaf? Walk(Filter? filter, DocumentPath path, out bool isWhole)
    {
        isWhole = things.OrderBy(path, Conditions(filter)) is not null;
        if (isWhole)
            return things.OrderBy(path, Conditions(filter));
        if (indexes.Find(index => index.Paths.Length == 1 && index.Paths[0] == path) is not { } found)
            return null;
        byte[] row = IndexItems.Prefix(found.Number);
        var intervals = new List<KeyInterval> { IndexItems.Scalars(row) };
        var parts = filter is null ? [] : filter.Kind == FilterKind.And ? [.. filter.Parts] : new List<Filter> { filter };
        foreach (var part in parts.Where(part => part.Path == path && part.Kind != FilterKind.Contains))
        {
            if (IndexItems.Intervals(part, row, IndexItems.KeptBytes) is { } asked)
                intervals = KeyInterval.Both(intervals, KeyInterval.Union(asked));
            isWhole |= part.Kind is FilterKind.Gt or FilterKind.Gte or FilterKind.Lt or FilterKind.Lte or FilterKind.Prefix
                || (part.Kind == FilterKind.Eq && IndexItems.TryScalar(part.Value, IndexItems.KeptBytes) is not null);
        }

        return new IndexLeaf(new IndexSource(found), intervals);
    }
}
