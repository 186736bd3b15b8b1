using Cairn.Codec;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn.Primitives;

/// <summary>A page of a query: what was found, in its order, and how that was done.</summary>
/// <param name="Things">Their keys.</param>
internal sealed record QueryPage(List<byte[]> Things, List<Value> Documents, string? Cursor, ulong Sequence, QueryPlan Plan);

/// <summary>Places that are wanted of what a query finds, each once, by their texts.</summary>
internal sealed class SelectedPlaces
{
    private readonly List<(DocumentPath Path, string Name)> _places;

    private SelectedPlaces(List<(DocumentPath Path, string Name)> places)
    {
        _places = places;
    }

    internal static SelectedPlaces Of(IReadOnlyList<DocumentPath> paths, Limits limits)
    {
        ArgumentNullException.ThrowIfNull(paths);
        Many.CheckCount(paths.Count, limits);
        return new([.. paths.Distinct().Select(path => (path, path.ToString()))]);
    }

    /// <summary>An Object of what stands there.</summary>
    internal Value In(Value document)
    {
        var members = new List<KeyValuePair<string, Value>>(_places.Count);
        foreach (var (path, name) in _places)
        {
            if (path.TryGet(document, out var value))
                members.Add(new(name, value));
        }

        return Value.Object(members);
    }
}

/// <summary>Queries over one kind of things of a run (IDX-10). How one is done is chosen by <see cref="QueryPlanner"/>; here it is
/// done, at one snapshot, with a transaction's own writes over it.</summary>
/// <remarks>In a transaction a scan has read the range of keys up to where it ended. What looks into indexes has read those intervals,
/// the things themselves and that the index is there, and nothing else: who writes a thing that does not come into the intervals is in
/// nobody's way (IDX-8).</remarks>
internal static class Queries
{
    private const int ItemsPerReader = 1_024;

    private static readonly DocumentPath VersionPath = DocumentPath.Root.Member("$version");
    private static readonly DocumentPath TimePath = DocumentPath.Root.Member("$time");

    /// <summary>The path leads to what is told of the stored version.</summary>
    internal static bool IsOfVersion(DocumentPath path) => path == VersionPath || path == TimePath;

    /// <param name="each">Told the key of each thing on the page while it can be read, in the scope of the query.</param>
    internal static QueryPage Run(
        Scope scope, Cursors cursors, SnapshotRegistry pins, IndexTarget target, byte listing, Filter? filter, QueryOptions options,
        Action<Scope, byte[]>? each)
    {
        var limits = scope.Path.Limits;
        filter?.Check(limits);
        ArgumentNullException.ThrowIfNull(options.OrderBy);
        if (options.OrderBy.Count > QueryOptions.OrderMax)
            throw new LimitException(nameof(QueryOptions.OrderMax), QueryOptions.OrderMax, options.OrderBy.Count, "terms");
        var limit = KeyRange.PageLimit(options.Limit, limits);
        scope.ThrowIfNotReadable();
        using var timing = scope.Path.BeginTiming(OperationClass.Scan);
        byte[]? last = null;
        var at = scope;
        SnapshotPin pin = default;
        if (options.Cursor is { } cursor)
        {
            Cursors.Parse(cursor, listing, RequestOf(filter, options.OrderBy), out var sequence, out var time, out last);
            if (scope.IsLive)
            {
                pin = cursors.Resume(scope.Run, sequence);
                at = Scope.Snapshot(scope.Path, scope.Run, sequence, time);
            }
            else if (sequence != scope.Sequence)
            {
                throw new CairnException(
                    ErrorCode.InvalidArgument, "The cursor comes from another snapshot. Continue a query where it was begun.");
            }
        }
        else if (scope.IsLive)
        {
            pin = pins.Take(scope.Run.Visible, scope.Run.Store.RunTag);
            at = Scope.Snapshot(scope.Path, scope.Run, pin.Sequence, scope.Path.ReadTime());
        }

        try
        {
            using var use = at.Use();
            var query = new Query(at, IndexTargets.Of(target), target, filter, options.OrderBy, limit, last);
            query.Run();
            foreach (var row in query.Found)
                each?.Invoke(at, row.Thing);
            string? next = null;
            if (query.HasMore)
            {
                var request = RequestOf(filter, options.OrderBy);
                next = scope.IsLive
                    ? cursors.Keep(listing, scope.Run, at.Sequence, at.Time, query.Found[^1].Thing, request)
                    : Cursors.Format(listing, at.Sequence, at.Time, query.Found[^1].Thing, request);
            }

            return new QueryPage(
                query.Found.ConvertAll(row => row.Thing), query.Found.ConvertAll(row => row.Document), next, at.Sequence, query.Plan!);
        }
        finally
        {
            if (scope.IsLive)
                pins.Release(pin);
        }
    }

    private static uint RequestOf(Filter? filter, IReadOnlyList<QueryOrder> order)
    {
        var text = string.Join('\n', order.Select(term => (term.IsDescending ? "-" : "+") + term.Path).Prepend(filter?.ToString() ?? ""));
        return Crc32C.Of(Utf8.GetBytes(text));
    }

    private sealed record Row(byte[] Thing, Value Document, ulong Version, long Time, byte[]?[] Order);

    private sealed class Query(
        Scope scope, IndexedThings things, IndexTarget target, Filter? filter, IReadOnlyList<QueryOrder> order, int limit, byte[]? last)
    {
        private readonly bool _seesVersion = Sees(things, filter, order);

        private readonly bool _asksForVersion = Sees(things, filter, order)
            || (filter is not null && (filter.AsksFor(FilterField.Version) || filter.AsksFor(FilterField.Time)));

        // The keys of things that the transaction itself has written, in order.
        private readonly PendingThings _pending = new(scope.Writes, things);

        private long _itemsRead;
        private long _thingsRead;
        private Row? _after;

        internal List<Row> Found { get; } = [];

        internal bool HasMore { get; private set; }

        internal QueryPlan? Plan { get; private set; }

        private static bool Sees(IndexedThings things, Filter? filter, IReadOnlyList<QueryOrder> order) => things.TellsOfVersions
            && (order.Any(term => IsOfVersion(term.Path)) || (filter is not null && Mentions(filter)));

        private static bool Mentions(Filter filter) =>
            (filter.Path is { } path && (IsOfVersion(path) || path.Count == 0)) || filter.Parts.Any(Mentions);

        internal void Run()
        {
            var indexes = IndexSet.At(scope.Run, scope.Sequence).All.Where(index => index.Target == target && IsUsable(index.State))
                .OrderBy(index => index.Number).ToList();
            if (last is not null && order.Count > 0)
                _after = Find(last) ?? throw Gone();
            var plan = new QueryPlanner(scope, things, indexes).Choose(filter, order, limit, mayWalk: _pending.Count == 0);
            var isSorted = order.Count > 0;
            if (plan.Kind == QueryPlanKind.OrderedIndex)
            {
                if (TryWalk(plan))
                    isSorted = false;
                else
                {
                    plan = plan with
                    {
                        Kind = QueryPlanKind.Scan, Ordered = null, Reason = plan.Reason + "; the order of the index did not do",
                    };
                }
            }

            switch (plan.Kind)
            {
                case QueryPlanKind.Scan when isSorted:
                    Sort(Scan());
                    break;
                case QueryPlanKind.Scan:
                    Take(Scan());
                    break;
                case QueryPlanKind.Index or QueryPlanKind.Intersection when isSorted:
                    Sort(Named(plan));
                    break;
                case QueryPlanKind.Index or QueryPlanKind.Intersection:
                    Take(Named(plan));
                    break;
            }

            var names = plan.Accesses.SelectMany(access => access.Leaves).Concat(plan.Ordered is { } ordered ? [ordered] : [])
                .Select(leaf => leaf.Index.Name).Distinct();
            Plan = new QueryPlan
            {
                Kind = plan.Kind,
                Indexes = [.. names],
                Things = plan.Things,
                EstimatedRows = plan.Rows,
                ItemsRead = _itemsRead,
                ThingsRead = _thingsRead,
                Rows = Found.Count,
                IsSorted = isSorted,
                Reason = plan.Reason,
            };
        }

        private static bool IsUsable(StoredIndexState state) => state == StoredIndexState.Ready
            || (state == StoredIndexState.Building && Mutant.Is("index-used-before-it-is-ready"));

        private static CairnException Gone() => new(
            ErrorCode.CursorExpired, "The transaction has changed what the cursor stands on. Begin the query again.");

        // ---- rows -------------------------------------------------------------------------------------------------------------

        private Row? Find(byte[] thing)
        {
            return things.TryRead(scope, thing, _asksForVersion, out var found) ? RowOf(thing, found) : null;
        }

        private Row RowOf(byte[] thing, StoredThing found)
        {
            var (document, sequence, time) = found;
            if (_seesVersion)
            {
                document = Value.Object(document.AsObject()
                    .Append(new("$version", (long)sequence)).Append(new("$time", time)));
            }

            var keys = new byte[]?[order.Count];
            for (var i = 0; i < keys.Length; i++)
                keys[i] = order[i].Path.TryGet(document, out var value) ? IndexItems.TryScalar(value, int.MaxValue) : null;
            return new Row(thing, document, sequence, time, keys);
        }

        private bool Matches(Row row)
        {
            _thingsRead++;
            if (filter is null)
                return true;
            var key = filter.AsksFor(FilterField.Key) ? scope.Path.Operations.Describe([things.Family, .. row.Thing]).Key : "";
            return filter.Matches(
                new FilterItem(row.Document, key, new Sequence(row.Version), CommitClock.Time(row.Time)), scope.Path.Limits);
        }

        private int Compare(Row left, Row right)
        {
            for (var i = 0; i < order.Count; i++)
            {
                var (one, other) = (left.Order[i], right.Order[i]);
                if (one is null || other is null)
                {
                    if (one is null != other is null)
                        return one is null ? 1 : -1;
                    continue;
                }

                if (one.AsSpan().SequenceCompareTo(other) is not 0 and var by)
                    return order[i].IsDescending ? -by : by;
            }

            var keys = left.Thing.AsSpan().SequenceCompareTo(right.Thing);
            return order.Count > 0 && order[^1].IsDescending ? -keys : keys;
        }

        // In the order of the keys: the first ones are the page.
        private void Take(IEnumerable<Row> rows)
        {
            foreach (var row in rows)
            {
                if (!Matches(row))
                    continue;
                if (Found.Count == limit)
                {
                    HasMore = true;
                    break;
                }

                Found.Add(row);
            }
        }

        // All are looked at, and no more kept than a few pages.
        private void Sort(IEnumerable<Row> rows)
        {
            var most = 2 * (limit + 1) + 64;
            foreach (var row in rows)
            {
                if (!Matches(row) || (_after is not null && Compare(row, _after) <= 0))
                    continue;
                Found.Add(row);
                if (Found.Count >= most)
                    Cut(limit + 1);
            }

            Cut(limit + 1);
            HasMore = Found.Count > limit;
            if (HasMore)
                Found.RemoveAt(limit);
        }

        private void Cut(int count)
        {
            Found.Sort(Compare);
            if (Found.Count > count)
                Found.RemoveRange(count, Found.Count - count);
        }

        // ---- all things -------------------------------------------------------------------------------------------------------

        private IEnumerable<Row> Scan()
        {
            byte[] start = last is not null && order.Count == 0 ? [things.Family, .. last, 0] : [things.Family];
            byte[] end = [(byte)(things.Family + 1)];
            var from = start;
            var read = end;
            try
            {
                while (true)
                {
                    var rows = Read(from, end, Math.Clamp(limit + 1, 16, 256), out var next);
                    foreach (var row in rows)
                    {
                        read = [things.Family, .. row.Thing, 0];
                        yield return row;
                    }

                    if (next is null)
                        break;
                    from = next;
                }

                read = end;
            }
            finally
            {
                scope.NoteRange(start, read);
            }
        }

        // Some rows from a key on, and where to go on; null = there are no more.
        private List<Row> Read(byte[] from, byte[] end, int most, out byte[]? next)
        {
            var rows = new List<Row>();
            next = null;
            using var reader = scope.Run.Store.Read();
            var scan = reader.Scan(from, end, scope.Sequence);
            while (scan.MoveNext())
            {
                if (rows.Count == most)
                {
                    next = scan.Key.ToArray();
                    break;
                }

                if (!scan.Version.IsLiveAt(scope.Time) || _pending.Contains(scan.Key))
                    continue;
                var thing = scan.Key[1..].ToArray();
                if (things.TryRead(scope, thing, scan.Version, _asksForVersion, out var found))
                    rows.Add(RowOf(thing, found));
            }

            var to = next ?? end;
            foreach (var key in _pending.Between(from, to))
            {
                if (Find(key[1..]) is { } own)
                    rows.Add(own);
            }

            if (_pending.Count > 0)
                rows.Sort((left, right) => left.Thing.AsSpan().SequenceCompareTo(right.Thing));
            return rows;
        }

        // ---- what indexes name --------------------------------------------------------------------------------------------------

        private IEnumerable<Row> Named(ChosenPlan plan)
        {
            HashSet<byte[]>? named = null;
            foreach (var access in plan.Accesses)
            {
                var these = new HashSet<byte[]>(ByteArrayComparer.Instance);
                foreach (var leaf in access.Leaves)
                    Collect(leaf, these);
                if (named is null)
                    named = these;
                else
                    named.IntersectWith(these);
            }

            foreach (var key in _pending.Keys)
                named!.Add(key[1..]);
            var keys = named!.ToArray();
            Array.Sort(keys, ByteArrayComparer.Instance);
            for (var i = 0; i < keys.Length; i++)
            {
                if (i % IndexedThings.FetchMax == 0)
                    things.Fetch(scope.Run.Store, keys.AsSpan(i, Math.Min(IndexedThings.FetchMax, keys.Length - i)));
                var key = keys[i];
                if (last is not null && order.Count == 0 && key.AsSpan().SequenceCompareTo(last) <= 0)
                    continue;
                if (Find(key) is { } row)
                    yield return row;
            }
        }

        private void Collect(IndexLeaf leaf, HashSet<byte[]> named)
        {
            NoteUse(leaf.Index);
            foreach (var interval in leaf.Intervals)
            {
                if (!Mutant.Is("index-interval-not-read"))
                    scope.NoteRange(interval.From, interval.To);
                var from = interval.From;
                while (from.Length > 0)
                {
                    using var reader = scope.Run.Store.Read();
                    var scan = reader.Scan(from, interval.To, scope.Sequence);
                    from = [];
                    for (var read = 0; scan.MoveNext(); read++)
                    {
                        if (read == ItemsPerReader)
                        {
                            from = scan.Key.ToArray();
                            break;
                        }

                        _itemsRead++;
                        named.Add(IndexItems.ThingOf(scan.Key, leaf.Index.Paths.Length).ToArray());
                    }
                }
            }
        }

        // Once it is ready its state is written when it is dropped, and not before: from then on writes leave no trace in it.
        private void NoteUse(StoredIndex index) => scope.NotePoint(IndexOperations.StateKey(index.Number));

        // ---- in the order of an index -------------------------------------------------------------------------------------------

        // False: its order does not do, because values were cut, or what is wanted is not all in it.
        private bool TryWalk(ChosenPlan plan)
        {
            var leaf = plan.Ordered!;
            var isDown = order[0].IsDescending;
            NoteUse(leaf.Index);
            byte[]? after = null;
            if (_after is not null)
            {
                if (_after.Order[0] is not { } part || part.Length > IndexItems.KeptBytes / 2)
                    return false;
                after = [.. IndexItems.Prefix(leaf.Index.Number), .. part, .. _after.Thing];
            }

            foreach (var interval in isDown ? Enumerable.Reverse(leaf.Intervals) : leaf.Intervals)
            {
                var (from, to) = (interval.From, interval.To);
                if (after is not null && isDown)
                    to = after.AsSpan().SequenceCompareTo(to) < 0 ? after : to;
                else if (after is not null)
                    from = after.AsSpan().SequenceCompareTo(from) >= 0 ? [.. after, 0] : from;
                if (from.AsSpan().SequenceCompareTo(to) >= 0)
                    continue;
                if (!TryWalk(from, to, isDown))
                    return Again();
                if (HasMore)
                    return true;
            }

            return plan.IsWhole || Again();
        }

        private bool Again()
        {
            Found.Clear();
            HasMore = false;
            return false;
        }

        private bool TryWalk(byte[] from, byte[] to, bool isDown)
        {
            var (low, high) = (from, to);
            while (true)
            {
                var items = new List<byte[]>();
                using (var reader = scope.Run.Store.Read())
                {
                    var scan = reader.Scan(low, high, scope.Sequence, isDown);
                    while (items.Count < Math.Clamp(limit + 1, 16, 256) && scan.MoveNext())
                        items.Add(scan.Key.ToArray());
                }

                foreach (var item in items)
                {
                    _itemsRead++;
                    var part = item.AsSpan(IndexItems.PrefixBytes, IndexItems.PartLength(item.AsSpan(IndexItems.PrefixBytes)));
                    if (IndexItems.IsCut(part))
                        return false;
                    if (isDown)
                        high = item;
                    else
                        low = [.. item, 0];
                    if (Find(IndexItems.ThingOf(item, 1).ToArray()) is not { } row || !Matches(row))
                        continue;
                    if (Found.Count == limit)
                    {
                        HasMore = true;
                        Note(from, to, item, isDown);
                        return true;
                    }

                    Found.Add(row);
                }

                if (items.Count == 0)
                    break;
            }

            scope.NoteRange(from, to);
            return true;
        }

        private void Note(byte[] from, byte[] to, byte[] item, bool isDown)
        {
            if (isDown)
                scope.NoteRange(item, to);
            else
                scope.NoteRange(from, [.. item, 0]);
        }
    }
}

/// <summary>The keys of the things that a transaction has written itself, in order.</summary>
internal sealed class PendingThings
{
    private readonly HashSet<byte[]> _set = new(ByteArrayComparer.Instance);

    internal PendingThings(PendingWrites? writes, IndexedThings things)
    {
        if (writes is null)
            return;
        foreach (var write in writes.Range([things.WrittenFamily], [(byte)(things.WrittenFamily + 1)], reverse: false))
            Keys.Add([things.Family, .. write.StoreKey.AsSpan(1)]);
        _set.UnionWith(Keys);
    }

    internal List<byte[]> Keys { get; } = [];

    internal int Count => Keys.Count;

    internal bool Contains(ReadOnlySpan<byte> key) =>
        _set.Count > 0 && _set.GetAlternateLookup<ReadOnlySpan<byte>>().Contains(key);

    internal List<byte[]> Between(byte[] from, byte[] to) => Keys.FindAll(
        key => key.AsSpan().SequenceCompareTo(from) >= 0 && key.AsSpan().SequenceCompareTo(to) < 0);
}
