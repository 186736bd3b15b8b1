using Cairn.Primitives;
using Cairn.Transactions;

namespace Cairn;

public sealed partial class Runs
{
    private const byte ListingQuery = 0x6F;

    /// <summary>Runs that a filter holds for, a page at a time; <c>default</c> and <c>$sys</c> are not among them. Paths lead into an
    /// object of <c>name</c>, <c>parent</c> (an id as text), <c>status</c> (<c>active</c>, <c>paused</c>, <c>completed</c>,
    /// <c>failed</c>, <c>cancelled</c>, <c>archived</c>), <c>tags</c>, <c>metadata</c>, <c>created</c> and <c>completed</c>
    /// (microseconds), <c>fork</c> (of a fork the sequence at which it has what its parent had), <c>error</c> and <c>result</c>; and to
    /// <c>$key</c> (the id as text), <c>$version</c> and <c>$time</c> of the commit that wrote the record, which are no parts of the
    /// whole. What was not said is not there, nor are empty tags and metadata. Conditions on status, a tag, the parent and the name are
    /// quick; <see cref="Explain"/> tells
    /// how it is done.</summary>
    /// <param name="filter">Null = all.</param>
    /// <param name="options">Order and page; null = the first page by id, which is the order of <see cref="List"/>.</param>
    /// <exception cref="CairnException"><see cref="ErrorCode.CursorExpired"/>; <see cref="ErrorCode.InvalidArgument"/>: a cursor of
    /// another query.</exception>
    /// <exception cref="LimitException">The filter, the order or the page is too large.</exception>
    public Page<RunInfo> Query(Filter? filter = null, QueryOptions? options = null)
    {
        var runs = new List<RunInfo>();
        var found = Find(filter, options, (at, _, thing, _) =>
        {
            using var reader = at.Run.Store.Read();
            runs.Add(InfoAt(reader, RunId.Read(thing), at.Sequence)!);
        });
        return new Page<RunInfo>(runs, found.Cursor, new Sequence(found.Sequence));
    }

    /// <summary>As <see cref="Query"/>, and of each run only some places.</summary>
    /// <param name="paths">The places; at most <see cref="Limits.ManyItemsMax"/>.</param>
    /// <param name="filter">Null = all.</param>
    /// <param name="options">Order and page; null = the first page by id.</param>
    /// <returns>An Object for each: what is at the places, by their texts (<see cref="DocumentPath.ToString"/>). A place where nothing
    /// is has no member.</returns>
    /// <inheritdoc cref="Query" path="/exception"/>
    public Page<Value> Select(IReadOnlyList<DocumentPath> paths, Filter? filter = null, QueryOptions? options = null)
    {
        var places = SelectedPlaces.Of(paths, _engine.Limits);
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
        _index, _engine.Cursors, _engine.Pins, IndexTargets.Runs, ListingQuery, filter, options ?? QueryOptions.None, each);
}
