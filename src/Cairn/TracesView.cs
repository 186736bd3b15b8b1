using System.Diagnostics.CodeAnalysis;
using Cairn.Codec;
using Cairn.Primitives;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn;

/// <summary>Reads of a run's traces. Listings are in order of timestamp, then id. Thread-safe, except inside a transaction. Reads never
/// wait and never change anything.</summary>
public class TracesView
{
    /// <summary>Deepest tree that can be asked for.</summary>
    public const int TreeDepthMax = 1_000;

    /// <summary>Most traces in a tree that can be asked for.</summary>
    public const int TreeBudgetMax = 100_000;

    private const byte ListingTraces = 0x50;
    private const byte ListingQuery = 0x5F;

    internal TracesView(Engine engine, Scope scope)
    {
        Engine = engine;
        Scope = scope;
    }

    internal Engine Engine { get; }

    internal Scope Scope { get; }

    /// <summary>Reads a trace; null when there is none of that id.</summary>
    public TraceRecord? Get(TraceId id) => TryGet(id, out var trace) ? trace : null;

    /// <summary>Reads a trace.</summary>
    /// <param name="id">What recording it gave.</param>
    /// <param name="trace">Owned.</param>
    /// <returns>False when there is none of that id; that is an answer, not an error.</returns>
    public bool TryGet(TraceId id, [NotNullWhen(true)] out TraceRecord? trace)
    {
        Scope.ThrowIfNotReadable();
        using var reader = Scope.Run.Store.Read();
        trace = Scope.TryGet(reader, TraceKeys.Trace(stackalloc byte[TraceKeys.LengthMax], id), out var version) ? Read(id, version) : null;
        return trace is not null;
    }

    /// <summary>Whether there is such a trace.</summary>
    public bool Exists(TraceId id)
    {
        Scope.ThrowIfNotReadable();
        using var reader = Scope.Run.Store.Read();
        return Scope.TryGet(reader, TraceKeys.Trace(stackalloc byte[TraceKeys.LengthMax], id), out _);
    }

    /// <summary>Finds steps by the words in them, best first.</summary>
    /// <inheritdoc cref="Run.Search(string, SearchOptions?, CancellationToken)"/>
    public SearchResponse Search(string text, SearchOptions? options = null, CancellationToken cancellationToken = default) =>
        Searching.In(Engine, Scope, text, options, cancellationToken, "traces");

    /// <summary>Number of traces, exactly, at a cost that does not grow with it.</summary>
    public long Count() => Counting.Count(Engine.Pins, Scope, StoreKeys.Trace);

    /// <summary>All traces, a page at a time.</summary>
    /// <param name="page">Which page; null = the first.</param>
    /// <exception cref="CairnException"><see cref="ErrorCode.CursorExpired"/>; <see cref="ErrorCode.InvalidArgument"/>: a cursor of
    /// another listing.</exception>
    /// <exception cref="LimitException">The page is too large.</exception>
    public Page<TraceRecord> List(TracePage? page = null) => List(TraceKeys.TimePrefix(stackalloc byte[TraceKeys.LengthMax]), page);

    /// <summary>Traces without a parent.</summary>
    /// <inheritdoc cref="List(TracePage)"/>
    public Page<TraceRecord> Roots(TracePage? page = null) =>
        List(TraceKeys.ParentPrefix(stackalloc byte[TraceKeys.LengthMax], null), page);

    /// <summary>Traces recorded under a trace. Empty when there is no such trace.</summary>
    /// <param name="id">The parent.</param>
    /// <param name="page">Which page; null = the first.</param>
    /// <inheritdoc cref="List(TracePage)" path="/exception"/>
    public Page<TraceRecord> Children(TraceId id, TracePage? page = null) =>
        List(TraceKeys.ParentPrefix(stackalloc byte[TraceKeys.LengthMax], id), page);

    /// <summary>Traces of one type.</summary>
    /// <param name="type">Which.</param>
    /// <param name="page">Which page; null = the first.</param>
    /// <inheritdoc cref="List(TracePage)" path="/exception"/>
    public Page<TraceRecord> ByType(TraceType type, TracePage? page = null)
    {
        if (!Enum.IsDefined(type))
            throw new CairnException(ErrorCode.InvalidArgument, $"There is no trace type {(int)type}.");
        return List(TraceKeys.TypePrefix(stackalloc byte[TraceKeys.LengthMax], type), page);
    }

    /// <summary>Traces with a tag.</summary>
    /// <param name="tag">Exactly this one.</param>
    /// <param name="page">Which page; null = the first.</param>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidName"/>: no trace can have this tag;
    /// <see cref="ErrorCode.CursorExpired"/>; <see cref="ErrorCode.InvalidArgument"/>: a cursor of another listing.</exception>
    /// <exception cref="LimitException">The tag is too long, or the page too large.</exception>
    public Page<TraceRecord> ByTag(string tag, TracePage? page = null)
    {
        KeyRules.EncodeNameForRead(tag, stackalloc byte[Limits.NameBytesMax], out _);
        return List(TraceKeys.TagPrefix(stackalloc byte[TraceKeys.LengthMax], tag), page);
    }

    /// <summary>Traces that happened in [from, to), by their own timestamps.</summary>
    /// <param name="from">Inclusive.</param>
    /// <param name="to">Exclusive.</param>
    /// <param name="page">Which page; null = the first.</param>
    /// <inheritdoc cref="List(TracePage)" path="/exception"/>
    public Page<TraceRecord> ByTime(DateTimeOffset from, DateTimeOffset to, TracePage? page = null)
    {
        Span<byte> buffer = stackalloc byte[TraceKeys.LengthMax];
        var start = TraceKeys.Time(buffer, Ceiling(from), default).ToArray();
        return List(start, TraceKeys.Time(buffer, Ceiling(to), default).ToArray(), page);
    }

    /// <summary>Traces that a filter holds for, a page at a time. Paths lead into an object of <c>type</c> (<c>tool_call</c>,
    /// <c>decision</c>, <c>query</c>, <c>thought</c>, <c>error</c>, <c>custom</c>), <c>time</c> and <c>duration</c> (microseconds),
    /// <c>parent</c> and <c>$key</c> (ids as texts), <c>tags</c>, <c>metadata</c>, <c>causes</c>, <c>model</c>, <c>tokens</c>
    /// (<c>input</c>, <c>output</c>), <c>step</c>, <c>redacted</c>, and <c>$version</c> and <c>$time</c> of the commit that wrote it.
    /// What was not said is not there. Indexes (<see cref="Run.Indexes"/>) make it quicker and change no answer; <see cref="Explain"/>
    /// tells how it is done.</summary>
    /// <param name="filter">Null = all.</param>
    /// <param name="options">Order and page; null = the first page by id.</param>
    /// <exception cref="CairnException"><see cref="ErrorCode.CursorExpired"/>; <see cref="ErrorCode.InvalidArgument"/>: a cursor of
    /// another query.</exception>
    /// <exception cref="LimitException">The filter, the order or the page is too large.</exception>
    public Page<TraceRecord> Query(Filter? filter = null, QueryOptions? options = null)
    {
        var traces = new List<TraceRecord>();
        var found = Find(
            filter, options, (at, _, thing, _) => traces.Add(new TracesView(Engine, at).Get(TraceId.Read(thing))!));
        return new Page<TraceRecord>(traces, found.Cursor, new Sequence(found.Sequence));
    }

    /// <summary>As <see cref="Query"/>, and of each trace only some places.</summary>
    /// <param name="paths">The places; at most <see cref="Limits.ManyItemsMax"/>.</param>
    /// <param name="filter">Null = all.</param>
    /// <param name="options">Order and page; null = the first page by id.</param>
    /// <returns>An Object for each: what is at the places, by their texts (<see cref="DocumentPath.ToString"/>). A place where nothing
    /// is has no member.</returns>
    /// <inheritdoc cref="Query" path="/exception"/>
    public Page<Value> Select(IReadOnlyList<DocumentPath> paths, Filter? filter = null, QueryOptions? options = null)
    {
        var places = SelectedPlaces.Of(paths, Engine.Limits);
        var rows = new List<Value>();
        var found = Find(filter, options, (at, things, thing, asked) => rows.Add(things.Read(at, thing, asked, places)));
        return new Page<Value>(rows, found.Cursor, new Sequence(found.Sequence));
    }

    /// <summary>How a page of a query is made: makes it, and tells.</summary>
    /// <param name="filter">Null = all.</param>
    /// <param name="options">Order and page; null = the first page by id.</param>
    /// <inheritdoc cref="Query" path="/exception"/>
    public QueryPlan Explain(Filter? filter = null, QueryOptions? options = null) => Find(filter, options, null).Plan;

    private QueryPage Find(
        Filter? filter, QueryOptions? options, Action<Scope, IndexedThings, byte[], AskedThing>? each) => Queries.Run(
        Scope, Engine.Cursors, Engine.Pins, IndexTargets.Of(IndexTarget.Traces), ListingQuery, filter, options ?? QueryOptions.None, each);

    // A bound between two microseconds stands before the later one.
    private static long Ceiling(DateTimeOffset time)
    {
        var microseconds = CommitClock.Microseconds(time);
        return CommitClock.Time(microseconds) < time ? microseconds + 1 : microseconds;
    }

    /// <summary>A trace with what was recorded under it, level by level, of one snapshot.</summary>
    /// <param name="root">Where to begin.</param>
    /// <param name="maxDepth">Steps below the root; from 0 to <see cref="TreeDepthMax"/>.</param>
    /// <param name="budget">Most traces, the root included; from 1 to <see cref="TreeBudgetMax"/>.</param>
    /// <returns>The tree, which says whether depth or budget left something out; null when there is no such trace.</returns>
    /// <exception cref="LimitException">Depth or budget is out of its range.</exception>
    public TraceTree? Tree(TraceId root, int maxDepth = 100, int budget = 1_000)
    {
        if (maxDepth is < 0 or > TreeDepthMax)
            throw new LimitException(nameof(TreeDepthMax), TreeDepthMax, maxDepth, "steps");
        if (budget is < 1 or > TreeBudgetMax)
            throw new LimitException(nameof(TreeBudgetMax), TreeBudgetMax, budget, "traces");
        using var pinned = new PinnedScope(Engine.Pins, Scope);
        var view = pinned.Scope == Scope ? this : new TracesView(Engine, pinned.Scope);
        return view.TryGet(root, out var trace) ? view.Grow(new TraceNode(trace, 0), maxDepth, budget) : null;
    }

    // Breadth first: a budget that ends early cuts the lowest level, not the last branch.
    private TraceTree Grow(TraceNode root, int maxDepth, int budget)
    {
        var count = 1;
        var isComplete = true;
        var waiting = new Queue<TraceNode>([root]);
        while (waiting.TryDequeue(out var node))
        {
            var room = node.Depth == maxDepth ? 0 : budget - count;
            var children = ChildrenOf(node.Trace.Id, room, out var more);
            foreach (var child in children)
            {
                var below = new TraceNode(child, node.Depth + 1);
                node.Add(below);
                waiting.Enqueue(below);
                count++;
            }

            node.IsComplete = !more;
            isComplete &= !more;
        }

        return new TraceTree { Root = root, Count = count, IsComplete = isComplete, Sequence = new Sequence(Scope.Sequence) };
    }

    private List<TraceRecord> ChildrenOf(TraceId parent, int room, out bool more)
    {
        var (from, to) = RangeOf(TraceKeys.ParentPrefix(stackalloc byte[TraceKeys.LengthMax], parent));
        var children = new List<TraceRecord>();
        var rows = new Listing(Scope, Engine.Cursors, Engine.Pins, ListingTraces, from, to, room + 1, null, reverse: false);
        try
        {
            more = false;
            while (rows.MoveNext())
            {
                more = children.Count == room;
                if (!more)
                    children.Add(ReadAt(rows));
            }

            rows.End();
            return children;
        }
        finally
        {
            rows.Dispose();
        }
    }

    private Page<TraceRecord> List(ReadOnlySpan<byte> prefix, TracePage? page)
    {
        var (from, to) = RangeOf(prefix);
        return List(from, to, page);
    }

    private Page<TraceRecord> List(byte[] from, byte[] to, TracePage? page)
    {
        page ??= TracePage.First;
        var limit = KeyRange.PageLimit(page.Limit, Engine.Limits);
        var rows = new Listing(Scope, Engine.Cursors, Engine.Pins, ListingTraces, from, to, limit, page.Cursor, page.Reverse);
        try
        {
            var traces = new List<TraceRecord>();
            while (rows.MoveNext())
                traces.Add(ReadAt(rows));
            return new Page<TraceRecord>(traces, rows.End(), new Sequence(rows.Sequence));
        }
        finally
        {
            rows.Dispose();
        }
    }

    private static (byte[] From, byte[] To) RangeOf(ReadOnlySpan<byte> prefix)
    {
        Span<byte> end = stackalloc byte[prefix.Length];
        return (prefix.ToArray(), end[..KeyCodec.Successor(prefix, end)].ToArray());
    }

    // The trace that a place in an order points at, at the same sequence.
    private TraceRecord ReadAt(scoped in Listing rows)
    {
        var id = TraceId.Read(rows.Key[^TraceId.Size..]);
        var key = TraceKeys.Trace(stackalloc byte[TraceKeys.LengthMax], id);
        using var reader = Scope.Run.Store.Read();
        if (Scope.IsLive ? reader.TryGet(key, rows.Sequence, out var version) : Scope.TryGet(reader, key, out version))
            return Read(id, version);
        throw new InvariantException("a place in an order of traces points at a trace");
    }

    private static TraceRecord Read(TraceId id, scoped in VersionView version)
    {
        TraceRecord? trace = null;
        Invariant.Check(
            Fields.TryRead(version.Value, out var fields) && TraceContent.TryRead(fields, id, out trace), "a stored trace reads back");
        return trace! with { Version = new Sequence(version.Sequence) };
    }
}
