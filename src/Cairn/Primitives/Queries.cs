using Cairn.Codec;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn.Primitives;

/// <summary>A page of a query, whose things were told one by one: how to go on, and how it was done.</summary>
internal sealed record QueryPage(string? Cursor, ulong Sequence, QueryPlan Plan);

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

    internal IReadOnlyList<(DocumentPath Path, string Name)> All => _places;

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

    /// <summary>A condition looks at what is told of the stored version, or at all there is.</summary>
    internal static bool MentionsVersion(Filter filter) =>
        (filter.Path is { } path && (IsOfVersion(path) || path.Count == 0)) || filter.Parts.Any(MentionsVersion);

    /// <param name="each">Told the key of each thing on the page while it can be read, in the scope of the query, and what it answered.
    /// </param>
    internal static QueryPage Run(
        Scope scope, Cursors cursors, SnapshotRegistry pins, IndexedThings things, byte listing, Filter? filter, QueryOptions options,
        Action<Scope, IndexedThings, byte[], AskedThing>? each)
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
            var query = new Query(at, things, filter, options.OrderBy, limit, last);
            query.Run();
            foreach (var row in query.Found)
                each?.Invoke(at, things, row.Thing, row.Asked);
            string? next = null;
            if (query.HasMore)
            {
                var request = RequestOf(filter, options.OrderBy);
                next = scope.IsLive
                    ? cursors.Keep(listing, scope.Run, at.Sequence, at.Time, query.Found[^1].Thing, request)
                    : Cursors.Format(listing, at.Sequence, at.Time, query.Found[^1].Thing, request);
            }

            return new QueryPage(next, at.Sequence, query.Plan!);
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

    private sealed record Row(byte[] Thing, AskedThing Asked);

    private sealed class Query(
        Scope scope, IndexedThings things, Filter? filter, IReadOnlyList<QueryOrder> order, int limit, byte[]? last)
    {
        private readonly QueryAsk _ask = new(filter, order, things, scope.Path);

        // The keys of things that the transaction itself has written, in order.
        private readonly PendingThings _pending = new(scope.Writes, things);

        private long _itemsRead;
        private long _thingsRead;
        private Row? _after;
        private KeyStretch _stretch = null!;

        // What is found comes in the order of the keys, up or down.
        private bool IsByKey => order.Count == 0 || (order.Count == 1 && things.IsKeyOrder(order[0].Path));

        private bool IsDown => order.Count > 0 && order[0].IsDescending;

        internal List<Row> Found { get; } = [];

        internal bool HasMore { get; private set; }

        internal QueryPlan? Plan { get; private set; }

        internal void Run()
        {
            var indexes = IndexSet.At(scope.Run, scope.Sequence).All.Where(index => things.IsOver(index) && IsUsable(index.State))
                .OrderBy(index => index.Number).ToList();
            if (_pending.Count > 0)
                things.NoteOwn(scope);
            if (last is not null && !IsByKey)
                _after = Find(last) ?? throw Gone();
            var plan = new QueryPlanner(scope, things, indexes).Choose(filter, order, limit, mayWalk: _pending.Count == 0);
            _stretch = plan.Stretch;
            var isSorted = plan.IsSorted;
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
                .Select(leaf => leaf.Source.Name);
            if (plan.Kind == QueryPlanKind.Scan)
                names = plan.Stretch.Names;
            Plan = new QueryPlan
            {
                Kind = plan.Kind,
                Indexes = [.. names.Distinct()],
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
            return things.TryAsk(scope, thing, _ask, out var asked) ? new Row(thing, asked) : null;
        }

        private bool Matches(Row row)
        {
            _thingsRead++;
            return row.Asked.Holds;
        }

        private int Compare(Row left, Row right)
        {
            for (var i = 0; i < order.Count; i++)
            {
                var (one, other) = (left.Asked.Order[i], right.Asked.Order[i]);
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
            var (low, high) = (_stretch.From, _stretch.To);
            if (last is not null && IsByKey)
                (low, high) = Behind(low, high, [things.Family, .. last]);
            byte[]? read = null;
            var (from, to) = (low, high);
            try
            {
                while (from.AsSpan().SequenceCompareTo(to) < 0)
                {
                    var rows = Read(from, to, Math.Clamp(limit + 1, 16, 256), out var next);
                    foreach (var row in rows)
                    {
                        read = [things.Family, .. row.Thing];
                        yield return row;
                    }

                    if (next is null)
                        break;
                    (from, to) = IsDown && IsByKey ? (from, [.. next, 0]) : (next, to);
                }

                read = null;
            }
            finally
            {
                if (read is null)
                    scope.NoteRange(low, high);
                else if (IsDown && IsByKey)
                    scope.NoteRange(read, high);
                else
                    scope.NoteRange(low, [.. read, 0]);
            }
        }

        // What is left behind a key, in the direction of the order.
        private (byte[] Low, byte[] High) Behind(byte[] low, byte[] high, byte[] key)
        {
            if (IsDown)
                return (low, key.AsSpan().SequenceCompareTo(high) < 0 ? key : high);
            byte[] next = [.. key, 0];
            return (next.AsSpan().SequenceCompareTo(low) > 0 ? next : low, high);
        }

        // Some rows from one end of an interval on, and where to go on: the first key that was not looked at; null = there are no more.
        private List<Row> Read(byte[] from, byte[] to, int most, out byte[]? next)
        {
            var rows = new List<Row>();
            var isDown = IsDown && IsByKey;
            next = null;
            using var reader = scope.Run.Store.Read();
            var scan = reader.Scan(from, to, scope.Sequence, isDown);
            while (scan.MoveNext())
            {
                if (rows.Count == most)
                {
                    next = scan.Key.ToArray();
                    break;
                }

                if (!things.IsThing(scan.Key) || !scan.Version.IsLiveAt(scope.Time) || _pending.Contains(scan.Key))
                    continue;
                var thing = scan.Key[1..].ToArray();
                if (things.TryAsk(scope, thing, scan.Version, _ask, out var asked))
                    rows.Add(new Row(thing, asked));
            }

            if (_pending.Count == 0)
                return rows;
            var (low, high) = next is null ? (from, to) : isDown ? ([.. next, 0], to) : (from, next);
            foreach (var key in _pending.Between(low, high))
            {
                if (Find(key[1..]) is { } own)
                    rows.Add(own);
            }

            rows.Sort((left, right) => left.Thing.AsSpan().SequenceCompareTo(right.Thing) * (isDown ? -1 : 1));
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
            var isDown = IsDown && IsByKey;
            if (isDown)
                Array.Reverse(keys);
            for (var i = 0; i < keys.Length; i++)
            {
                if (i % IndexedThings.FetchMax == 0)
                    things.Fetch(scope.Run.Store, keys.AsSpan(i, Math.Min(IndexedThings.FetchMax, keys.Length - i)));
                var key = keys[i];
                if (last is not null && IsByKey && key.AsSpan().SequenceCompareTo(last) * (isDown ? -1 : 1) <= 0)
                    continue;
                if (Find(key) is { } row)
                    yield return row;
            }
        }

        private void Collect(IndexLeaf leaf, HashSet<byte[]> named)
        {
            leaf.Source.NoteUse(scope);
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
                        named.Add(leaf.Source.ThingOf(scan.Key, scan.Version));
                    }
                }
            }
        }

        // ---- in the order of an index -------------------------------------------------------------------------------------------

        // False: its order does not do, because values were cut, or what is wanted is not all in it.
        private bool TryWalk(ChosenPlan plan)
        {
            var leaf = plan.Ordered!;
            var isDown = order[0].IsDescending;
            leaf.Source.NoteUse(scope);
            byte[]? after = null;
            if (_after is not null && !leaf.Source.TryAfter(_after.Thing, _after.Asked, out after))
                return false;

            foreach (var interval in isDown ? Enumerable.Reverse(leaf.Intervals) : leaf.Intervals)
            {
                var (from, to) = (interval.From, interval.To);
                if (after is not null && isDown)
                    to = after.AsSpan().SequenceCompareTo(to) < 0 ? after : to;
                else if (after is not null)
                    from = after.AsSpan().SequenceCompareTo(from) >= 0 ? [.. after, 0] : from;
                if (from.AsSpan().SequenceCompareTo(to) >= 0)
                    continue;
                if (!TryWalk(leaf.Source, from, to, isDown))
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

        private bool TryWalk(QuerySource source, byte[] from, byte[] to, bool isDown)
        {
            var (low, high) = (from, to);
            while (true)
            {
                var items = new List<(byte[] Key, byte[] Thing)>();
                using (var reader = scope.Run.Store.Read())
                {
                    var scan = reader.Scan(low, high, scope.Sequence, isDown);
                    while (items.Count < Math.Clamp(limit + 1, 16, 256) && scan.MoveNext())
                        items.Add((scan.Key.ToArray(), source.ThingOf(scan.Key, scan.Version)));
                }

                foreach (var (item, thing) in items)
                {
                    _itemsRead++;
                    if (source.IsUnordered(item))
                        return false;
                    if (isDown)
                        high = item;
                    else
                        low = [.. item, 0];
                    if (Find(thing) is not { } row || !Matches(row))
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
