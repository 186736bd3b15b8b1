using Cairn.Codec;
using Cairn.Log;
using Cairn.Primitives;
using Cairn.Replay;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn;

/// <summary>A document, or a part of it, with what is known about the writes that made it.</summary>
/// <param name="Value">What stands there; owned, valid for ever.</param>
/// <param name="Version">Sequence of the last commit that changed the document. Inside a transaction, the committed one beneath its own
/// writes.</param>
/// <param name="Region">Sequence of the last commit that changed this part, or made what holds it.</param>
/// <param name="Created">Sequence of the commit that made the document.</param>
/// <param name="Time">Commit time of <paramref name="Version"/>, to the microsecond.</param>
/// <param name="Expiry">When the document expires, or null for never.</param>
public readonly record struct VersionedDocument(
    Value Value, Sequence Version, Sequence Region, Sequence Created, DateTimeOffset Time, DateTimeOffset? Expiry);

/// <summary>Reads of the documents of a run: JSON values under an id of 1 to 1,024 bytes of UTF-8, read as a whole or by path. A read costs
/// the path and what it gives, not the document. Thread-safe, except inside a transaction. Reads never wait and never change
/// anything.</summary>
/// <remarks>In a transaction a read notes what its answer depended on and no more: a place and what is below it, so that changes of other
/// places of the same document do not conflict with it.</remarks>
public class JsonView
{
    private const byte ListingIds = 9;
    private const byte ListingQuery = 0x2F;

    internal JsonView(Engine engine, Scope scope)
    {
        Engine = engine;
        Scope = scope;
    }

    internal Engine Engine { get; }

    internal Scope Scope { get; }

    /// <summary>Reads a document, or what stands at a path of it.</summary>
    /// <param name="id">1 to 1,024 bytes of UTF-8, no NUL.</param>
    /// <param name="path">The place; null for the whole document.</param>
    /// <returns>The value, owned; null when there is no such document or place (the value Null is another answer:
    /// <see cref="ValueKind.Null"/>).</returns>
    /// <exception cref="LimitException">The id is too long.</exception>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidKey"/>: empty, NUL or not valid UTF-8.</exception>
    public Value? Get(string id, DocumentPath? path = null) => TryGet(id, path, out var value) ? value : default(Value?);

    /// <summary>Reads a document.</summary>
    /// <inheritdoc cref="TryGet(string, DocumentPath?, out Value)"/>
    public bool TryGet(string id, out Value value) => TryGet(id, null, out value);

    /// <summary>Reads a document, or what stands at a path of it.</summary>
    /// <param name="id">1 to 1,024 bytes of UTF-8, no NUL.</param>
    /// <param name="path">The place; null for the whole document.</param>
    /// <param name="value">Owned: valid for ever.</param>
    /// <returns>False when there is no such document or place; that is an answer, not an error.</returns>
    /// <inheritdoc cref="Get" path="/exception"/>
    public bool TryGet(string id, DocumentPath? path, out Value value)
    {
        using var timing = Scope.BeginRead();
        Span<byte> key = stackalloc byte[1 + Limits.KeyBytesMax];
        var storeKey = KeyRules.EncodeBehind(StoreKeys.Json, id, isWrite: false, key);
        Span<byte> buffer = stackalloc byte[DocumentKeys.BufferBytes];
        var fetch = new DocumentFetch(Scope.Run.Store, stackalloc ulong[DocumentFetch.KeysMax]);
        if (path is not null)
            fetch.Begin(buffer, storeKey[1..], path, forChange: false);
        fetch.End();

        using var look = new DocumentLook(Engine.Pins, Scope);
        var tree = DocumentTrees.Open(look.Nodes, buffer, storeKey[1..], null);
        var isFound = tree.TryFind(EncodedOf(path), Look.Read, out var found, fetch.Trail);
        value = isFound ? tree.Read(found) : default;
        return isFound;
    }

    /// <summary>Reads a document, or a part of it, with versions, times and expiry; null when there is no such document or place. Costs a
    /// look at every value of the part (JS-20).</summary>
    /// <remarks>In a transaction it is a read of the document's version: any change of the document conflicts with it.</remarks>
    /// <inheritdoc cref="Get" path="/param"/>
    /// <inheritdoc cref="Get" path="/exception"/>
    public VersionedDocument? GetVersioned(string id, DocumentPath? path = null)
    {
        Scope.ThrowIfNotReadable();
        using var look = new DocumentLook(Engine.Pins, Scope);
        Span<byte> buffer = stackalloc byte[DocumentKeys.BufferBytes];
        var tree = Open(look.Nodes, id, buffer);
        if (!tree.TryFind(EncodedOf(path), Look.Read, out var found))
            return null;
        var value = tree.Read(found);
        var region = tree.NewestOf(found);
        var header = tree.Header(Look.Read);
        return new VersionedDocument(
            value, new Sequence(header.Sequence), new Sequence(region), new Sequence(header.Created), CommitClock.Time(header.Time),
            Versions.ToExpiry(tree.Expiry));
    }

    /// <summary>Whether there is such a document, or such a place in it. In a transaction what stands there may change.</summary>
    /// <inheritdoc cref="Get" path="/param"/>
    /// <inheritdoc cref="Get" path="/exception"/>
    public bool Exists(string id, DocumentPath? path = null)
    {
        Scope.ThrowIfNotReadable();
        using var look = new DocumentLook(Engine.Pins, Scope);
        Span<byte> buffer = stackalloc byte[DocumentKeys.BufferBytes];
        return Open(look.Nodes, id, buffer).TryFind(EncodedOf(path), Look.Presence, out _);
    }

    /// <summary>The kind of what stands at a place; null when nothing does. In a transaction the value may change, not the kind.</summary>
    /// <inheritdoc cref="Get" path="/param"/>
    /// <inheritdoc cref="Get" path="/exception"/>
    public ValueKind? KindOf(string id, DocumentPath? path = null)
    {
        Scope.ThrowIfNotReadable();
        using var look = new DocumentLook(Engine.Pins, Scope);
        Span<byte> buffer = stackalloc byte[DocumentKeys.BufferBytes];
        var tree = Open(look.Nodes, id, buffer);
        return tree.TryFind(EncodedOf(path), Look.Kind, out var found) ? tree.KindOf(found) : null;
    }

    /// <summary>Elements of the array at a place; null when nothing stands there. Costs the path.</summary>
    /// <inheritdoc cref="Get" path="/param"/>
    /// <exception cref="DocumentException"><see cref="ErrorCode.TypeMismatch"/>: something else stands there.</exception>
    /// <inheritdoc cref="Get" path="/exception"/>
    public int? ArrayLength(string id, DocumentPath? path = null)
    {
        Scope.ThrowIfNotReadable();
        using var look = new DocumentLook(Engine.Pins, Scope);
        Span<byte> buffer = stackalloc byte[DocumentKeys.BufferBytes];
        var tree = Open(look.Nodes, id, buffer);
        return tree.TryFind(EncodedOf(path), Look.Read, out var found)
            ? tree.CountOf(tree.NodeOf(found, ValueKind.Array, path), Look.Read)
            : null;
    }

    /// <summary>Names of the members of the object at a place, in order of their UTF-8 bytes; null when nothing stands there.</summary>
    /// <inheritdoc cref="Get" path="/param"/>
    /// <exception cref="DocumentException"><see cref="ErrorCode.TypeMismatch"/>: something else stands there.</exception>
    /// <inheritdoc cref="Get" path="/exception"/>
    public IReadOnlyList<string>? ObjectKeys(string id, DocumentPath? path = null)
    {
        Scope.ThrowIfNotReadable();
        using var look = new DocumentLook(Engine.Pins, Scope);
        Span<byte> buffer = stackalloc byte[DocumentKeys.BufferBytes];
        var tree = Open(look.Nodes, id, buffer);
        return tree.TryFind(EncodedOf(path), Look.Read, out var found)
            ? tree.Names(tree.NodeOf(found, ValueKind.Object, path))
            : null;
    }

    /// <summary>Reads several documents at one snapshot, in the order asked; null where there is no such document.</summary>
    /// <param name="ids">At most <see cref="Limits.ManyItemsMax"/>, each once.</param>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidArgument"/>: an id twice.</exception>
    /// <inheritdoc cref="Get" path="/exception"/>
    public IReadOnlyList<Value?> GetMany(IReadOnlyCollection<string> ids)
    {
        ArgumentNullException.ThrowIfNull(ids);
        Many.CheckKeys(ids, Engine.Limits, isWrite: false);
        using var pinned = new PinnedScope(Engine.Pins, Scope);
        var view = pinned.Scope == Scope ? this : new JsonView(Engine, pinned.Scope);
        var values = new List<Value?>(ids.Count);
        foreach (var id in ids)
            values.Add(view.Get(id));
        return values;
    }

    /// <summary>Ids in order of their UTF-8 bytes, a page at a time.</summary>
    /// <param name="options">Which part; null = from the beginning.</param>
    /// <exception cref="CairnException"><see cref="ErrorCode.CursorExpired"/>; <see cref="ErrorCode.InvalidArgument"/>: options that
    /// contradict each other, or a cursor of another listing.</exception>
    public Page<string> List(ScanOptions? options = null)
    {
        var range = KeyRange.Of(options ?? new ScanOptions(), StoreKeys.Json, Engine.Limits);
        var rows = new Listing(
            Scope, Engine.Cursors, Engine.Pins, ListingIds, range.From, range.To, range.Limit, options?.Cursor, options?.Reverse ?? false);
        try
        {
            var ids = new List<string>();
            while (rows.MoveNext())
                ids.Add(Utf8.GetTrustedString(rows.Key[1..]));
            return new Page<string>(ids, rows.End(), new Sequence(rows.Sequence));
        }
        finally
        {
            rows.Dispose();
        }
    }

    /// <summary>Documents in order of the UTF-8 bytes of their ids, a page at a time, as they were at the page's sequence.</summary>
    /// <inheritdoc cref="List"/>
    public Page<KeyValuePair<string, Value>> Scan(ScanOptions? options = null)
    {
        var range = KeyRange.Of(options ?? new ScanOptions(), StoreKeys.Json, Engine.Limits);
        var rows = new Listing(
            Scope, Engine.Cursors, Engine.Pins, ListingIds, range.From, range.To, range.Limit, options?.Cursor, options?.Reverse ?? false);
        try
        {
            var documents = new List<KeyValuePair<string, Value>>();
            Span<byte> buffer = stackalloc byte[DocumentKeys.BufferBytes];
            while (rows.MoveNext())
            {
                using var reader = Scope.Run.Store.Read();
                var id = rows.Key[1..];
                var tree = DocumentTrees.Open(new ScopeNodes(Scope, reader, rows.Sequence, rows.Time), buffer, id, null);
                tree.TryFind(default, Look.Read, out var root);
                documents.Add(new(Utf8.GetTrustedString(id), tree.Read(root)));
            }

            return new Page<KeyValuePair<string, Value>>(documents, rows.End(), new Sequence(rows.Sequence));
        }
        finally
        {
            rows.Dispose();
        }
    }

    /// <summary>Finds documents by the words in them, best first.</summary>
    /// <inheritdoc cref="Run.Search(string, SearchOptions?, CancellationToken)"/>
    public SearchResponse Search(string text, SearchOptions? options = null, CancellationToken cancellationToken = default) =>
        Searching.In(Engine, Scope, text, options, cancellationToken, "json");

    /// <summary>Number of documents, exactly. Without a prefix at a cost that does not grow with it.</summary>
    /// <param name="prefix">Counts only ids that begin with this; null or empty = all.</param>
    public long Count(string? prefix = null)
    {
        Scope.ThrowIfNotReadable();
        if (string.IsNullOrEmpty(prefix))
            return Counting.Count(Engine.Pins, Scope, StoreKeys.Json);
        using var pinned = new PinnedScope(Engine.Pins, Scope);
        var view = new JsonView(Engine, pinned.Scope);
        var count = 0L;
        string? cursor = null;
        do
        {
            var page = view.List(new ScanOptions { Prefix = prefix, Limit = Engine.Limits.PageSizeMax, Cursor = cursor });
            count += page.Count;
            cursor = page.Cursor;
        }
        while (cursor is not null);

        return count;
    }

    /// <summary>What a query finds in a document (RFC 9535), in document order. Reads the document.</summary>
    /// <param name="id">1 to 1,024 bytes of UTF-8, no NUL.</param>
    /// <param name="query">The query.</param>
    /// <returns>Matches; empty when the query finds nothing, null when there is no such document.</returns>
    /// <exception cref="LimitException">The query finds or does more than the limits allow.</exception>
    /// <inheritdoc cref="Get" path="/exception"/>
    public IReadOnlyList<JsonPathMatch>? Query(string id, JsonPath query)
    {
        ArgumentNullException.ThrowIfNull(query);
        return TryGet(id, out var document) ? query.Evaluate(document, Engine.Limits) : null;
    }

    /// <summary>What a query finds in each of the documents of a page: those with nothing to find are left out of it, not out of the
    /// page.</summary>
    /// <param name="query">The query.</param>
    /// <param name="options">Which documents; null = from the beginning.</param>
    /// <exception cref="LimitException">The query finds or does more in one document than the limits allow.</exception>
    /// <inheritdoc cref="List" path="/exception"/>
    public Page<KeyValuePair<string, IReadOnlyList<JsonPathMatch>>> QueryMany(JsonPath query, ScanOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(query);
        var page = Scan(options);
        var found = new List<KeyValuePair<string, IReadOnlyList<JsonPathMatch>>>();
        foreach (var (id, document) in page)
        {
            var matches = query.Evaluate(document, Engine.Limits);
            if (matches.Count > 0)
                found.Add(new(id, matches));
        }

        return new Page<KeyValuePair<string, IReadOnlyList<JsonPathMatch>>>(found, page.Cursor, page.Sequence);
    }

    /// <summary>Documents that a filter holds for, a page at a time. Besides places of the document the filter may look at its
    /// <c>$key</c> (the id), <c>$version</c> and <c>$time</c>. Indexes (<see cref="Run.Indexes"/>) make it quicker and change no answer;
    /// <see cref="Explain"/> tells how it is done.</summary>
    /// <param name="filter">Null = all.</param>
    /// <param name="options">Order and page; null = the first page by id.</param>
    /// <exception cref="CairnException"><see cref="ErrorCode.CursorExpired"/>; <see cref="ErrorCode.InvalidArgument"/>: a cursor of
    /// another query.</exception>
    /// <exception cref="LimitException">The filter, the order or the page is too large.</exception>
    public Page<KeyValuePair<string, Value>> Query(Filter? filter = null, QueryOptions? options = null) =>
        Find(null, filter, options);

    /// <summary>As <see cref="Query(Filter, QueryOptions)"/>, and of each document only some places.</summary>
    /// <param name="paths">The places; at most <see cref="Limits.ManyItemsMax"/>.</param>
    /// <param name="filter">Null = all.</param>
    /// <param name="options">Order and page; null = the first page by id.</param>
    /// <returns>For each id an Object: what is at the places, by their texts (<see cref="DocumentPath.ToString"/>). A place where nothing
    /// is has no member.</returns>
    /// <inheritdoc cref="Query(Filter, QueryOptions)" path="/exception"/>
    public Page<KeyValuePair<string, Value>> Select(
        IReadOnlyList<DocumentPath> paths, Filter? filter = null, QueryOptions? options = null) =>
        Find(SelectedPlaces.Of(paths, Engine.Limits), filter, options);

    /// <summary>How a page of a query is made: makes it, and tells.</summary>
    /// <param name="filter">Null = all.</param>
    /// <param name="options">Order and page; null = the first page by id.</param>
    /// <inheritdoc cref="Query(Filter, QueryOptions)" path="/exception"/>
    public QueryPlan Explain(Filter? filter = null, QueryOptions? options = null) => Run(filter, options, null).Plan;

    private Page<KeyValuePair<string, Value>> Find(SelectedPlaces? places, Filter? filter, QueryOptions? options)
    {
        var rows = new List<KeyValuePair<string, Value>>();
        var page = Run(filter, options, (at, things, thing, asked) =>
            rows.Add(new(Utf8.GetTrustedString(thing), things.Read(at, thing, asked, places))));
        return new Page<KeyValuePair<string, Value>>(rows, page.Cursor, new Sequence(page.Sequence));
    }

    private QueryPage Run(Filter? filter, QueryOptions? options, Action<Scope, IndexedThings, byte[], AskedThing>? each) => Queries.Run(
        Scope, Engine.Cursors, Engine.Pins, IndexTargets.Of(IndexTarget.Documents), ListingQuery, filter, options ?? QueryOptions.None,
        each);

    /// <summary>Versions of a document, or of a place in it, newest first, deletions included; what was committed, not what a transaction
    /// itself has written. Reads the log, and does again what was done since the last write of the whole document before: the cost follows
    /// what the run wrote since then, and the document once for each version.</summary>
    /// <param name="id">1 to 1,024 bytes of UTF-8, no NUL.</param>
    /// <param name="path">The place; null for the whole document. Of a place only the commits that changed it are versions.</param>
    /// <param name="limit">Most versions; 0 = <see cref="Limits.HistoryVersionsMax"/>, which it may not exceed.</param>
    /// <param name="before">Only versions before this one; null = from the newest.</param>
    /// <exception cref="HistoryTrimmedException">Versions that were asked for are no longer kept: an InMemory database keeps the
    /// newest only.</exception>
    /// <exception cref="LimitException">The versions, or what was done since the last write of the whole document, are larger than
    /// <see cref="Limits.ViewBytesMax"/> together. Ask for fewer; write the document as a whole now and then.</exception>
    /// <inheritdoc cref="Get" path="/exception"/>
    public IReadOnlyList<HistoryItem<Value>> History(string id, DocumentPath? path = null, int limit = 0, Sequence? before = null)
    {
        var most = Primitives.History.MostOf(limit, Engine.Limits);
        using var past = Past(id, long.MaxValue, out var owned);
        if (before is { Value: 0 })
            return [];
        var upTo = Math.Min(before is { } bound ? bound.Value - 1 : ulong.MaxValue, past.Sequence);
        return past.Log is null
            ? NewestAlone(id, path, most, upTo)
            : DocumentHistory.Read(past, SourceOf(past), owned, EncodedOf(path).ToArray(), most, upTo, Engine.Limits);
    }

    /// <summary>The document, or what stood at a path of it, right after a commit; null when it was absent then: not written, deleted, or
    /// expired by the time of that commit. Of a document that was not changed since it costs what <see cref="Get"/> does; otherwise what
    /// the run wrote since the last write of the whole document before, and what was done to the document is done again.</summary>
    /// <param name="id">1 to 1,024 bytes of UTF-8, no NUL.</param>
    /// <param name="sequence">A commit of the database, up to the present one (a snapshot's or transaction's own).</param>
    /// <param name="path">The place; null for the whole document.</param>
    /// <exception cref="HistoryTrimmedException">It is no longer kept: retention has let a record of the run go since the last write of the
    /// whole document, and no checkpoint has what it was; in memory only the newest version is kept.</exception>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidArgument"/>: the sequence is not there yet;
    /// <see cref="ErrorCode.InvalidKey"/>.</exception>
    /// <exception cref="LimitException">What was done since the last write of the whole document is larger than
    /// <see cref="Limits.ViewBytesMax"/>, or the id too long.</exception>
    public Value? GetAt(string id, Sequence sequence, DocumentPath? path = null)
    {
        Scope.ThrowIfNotReadable();
        var last = Primitives.History.LastOf(Scope, sequence);
        // Without a log the times of others' commits are not kept: not expired by the last of them is not expired by that one.
        using var past = Past(id, Scope.Path.Log.Device is SegmentedLog ? long.MaxValue : Scope.Path.Log.LastTime, out var owned);
        if (sequence == Sequence.None)
            return null;
        var point = ReplayPoint.At(Math.Min(sequence.Value, past.Sequence));
        if (Unchanged(past, owned, path, point, out var value))
            return value;
        if (past.Log is not { } log)
            return sequence.Value == last && NewestOf(past, owned) is null ? null : throw Trimmed(past, owned, sequence.Value);
        if (DocumentHistory.At(past, SourceOf(past), owned, EncodedOf(path).ToArray(), point, Engine.Limits, out var near)
            is not { } found)
            return null;
        return Primitives.History.IsLiveAt(log, found.Expiry, (found.Sequence, found.Time), (near.Before, near.Behind), sequence.Value)
            ? found.Value
            : default(Value?);
    }

    /// <summary>The document, or what stood at a path of it, at a time: after the last commit of the run whose commit time is at or before
    /// it, and not expired then; null when it was absent. Costs as <see cref="GetAt(string, Sequence, DocumentPath?)"/>.</summary>
    /// <param name="id">1 to 1,024 bytes of UTF-8, no NUL.</param>
    /// <param name="time">Compared with commit times, to the microsecond.</param>
    /// <param name="path">The place; null for the whole document.</param>
    /// <exception cref="HistoryTrimmedException">It is no longer kept, as there.</exception>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidKey"/>: empty, NUL or not valid UTF-8.</exception>
    /// <inheritdoc cref="GetAt(string, Sequence, DocumentPath?)" path="/exception[@cref='LimitException']"/>
    public Value? GetAt(string id, DateTimeOffset time, DocumentPath? path = null)
    {
        Scope.ThrowIfNotReadable();
        var asked = CommitClock.Microseconds(time);
        using var past = Past(id, asked, out var owned);
        var point = ReplayPoint.AtTime(asked);
        if (Unchanged(past, owned, path, point, out var value))
            return value;
        if (past.Log is null)
            return asked >= Scope.Path.Log.LastTime ? null : throw Trimmed(past, owned, past.Sequence);
        return DocumentHistory.At(past, SourceOf(past), owned, EncodedOf(path).ToArray(), point, Engine.Limits, out _) is { } found
            && (found.Expiry == 0 || found.Expiry > asked)
            ? found.Value
            : default(Value?);
    }

    // What was committed of a run, from where its records are walked back. A transaction has read all of the document.
    private DiffEnd Past(string id, long time, out byte[] owned)
    {
        Scope.ThrowIfNotReadable();
        Span<byte> key = stackalloc byte[1 + Limits.KeyBytesMax];
        var header = KeyRules.EncodeBehind(StoreKeys.JsonHeader, id, isWrite: false, key).ToArray();
        owned = header[1..];
        Scope.NotePoint(header);
        return PastEnds.Of(Engine, Scope, time);
    }

    private ReplaySource SourceOf(DiffEnd past) =>
        new(past.Log!, Engine.Path.Log, past.Live, Engine.Path.Operations, Engine.Catalogue.Content!, Engine.Limits)
        {
            Pins = Engine.Pins,
        };

    // The newest version never goes, and may be the answer.
    private static bool Unchanged(DiffEnd past, byte[] id, DocumentPath? path, ReplayPoint point, out Value? value)
    {
        value = null;
        using var reader = past.Run.Store.Read();
        Span<byte> buffer = stackalloc byte[DocumentKeys.BufferBytes];
        var tree = DocumentTrees.Open(new PastNodes(reader, past.Sequence, past.Time), buffer, id, null);
        if (!tree.IsThere)
            return false;
        var header = tree.Header(Look.Blind);
        if (!point.Covers(header.Sequence, header.Time))
            return false;
        if (tree.TryFind(EncodedOf(path), Look.Blind, out var found))
            value = tree.Read(found);
        return true;
    }

    private List<HistoryItem<Value>> NewestAlone(string id, DocumentPath? path, int most, ulong upTo)
    {
        if (GetVersioned(id, path) is not { } newest)
            return [];
        if (most > 1 || newest.Version.Value > upTo)
            throw new HistoryTrimmedException(new Sequence(newest.Version.Value - 1), newest.Version);
        return [new HistoryItem<Value>(newest.Value, false, newest.Version, newest.Time, newest.Expiry)];
    }

    private static ulong? NewestOf(DiffEnd past, byte[] id)
    {
        using var reader = past.Run.Store.Read();
        Span<byte> buffer = stackalloc byte[DocumentKeys.BufferBytes];
        var tree = DocumentTrees.Open(new PastNodes(reader, past.Sequence, past.Time), buffer, id, null);
        return tree.IsThere ? tree.Header(Look.Blind).Sequence : null;
    }

    private static HistoryTrimmedException Trimmed(DiffEnd past, byte[] id, ulong asked) =>
        new(new Sequence(asked), new Sequence(NewestOf(past, id) ?? past.Sequence));

    private protected static ReadOnlySpan<byte> EncodedOf(DocumentPath? path) => path is null ? default : path.Encoded;

    private protected static DocumentTree<ScopeNodes> Open(ScopeNodes nodes, string id, Span<byte> buffer)
    {
        Span<byte> key = stackalloc byte[1 + Limits.KeyBytesMax];
        var storeKey = KeyRules.EncodeBehind(StoreKeys.Json, id, isWrite: false, key);
        return DocumentTrees.Open(nodes, buffer, storeKey[1..], null);
    }
}
