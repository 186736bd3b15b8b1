using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using Cairn.Codec;
using Cairn.Graph;
using Cairn.Primitives;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn;

/// <summary>Reads of a run's graph. Thread-safe, except inside a transaction. Reads never wait, never change anything, and never count as
/// an access to what they read.</summary>
public class ConceptGraphView
{
    private const byte ListingConcepts = 0x80;
    private const byte ListingTypes = 0x81;
    private const byte ListingRecent = 0x82;

    internal ConceptGraphView(Engine engine, Scope scope)
    {
        Engine = engine;
        Scope = scope;
    }

    internal Engine Engine { get; }

    internal Scope Scope { get; }

    // ---- concepts ----------------------------------------------------------------------------------------------------------

    /// <summary>Reads a concept; null when there is none of that id.</summary>
    /// <param name="id">As it was put.</param>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidKey"/>: nothing can have this id.</exception>
    public Concept? GetConcept(string id) => TryGetConcept(id, out var concept) ? concept : null;

    /// <summary>Reads a concept.</summary>
    /// <param name="id">As it was put.</param>
    /// <param name="concept">Owned.</param>
    /// <returns>False when there is none of that id; that is an answer, not an error.</returns>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidKey"/>: nothing can have this id.</exception>
    public bool TryGetConcept(string id, [NotNullWhen(true)] out Concept? concept)
    {
        Span<byte> buffer = stackalloc byte[1 + Limits.KeyBytesMax];
        var key = KeyRules.EncodeBehind(StoreKeys.Concept, id, isWrite: false, buffer);
        using var timing = Scope.BeginRead();
        using var pinned = new PinnedScope(Engine.Pins, Scope);
        concept = Read(pinned.Scope, id, key[1..]);
        return concept is not null;
    }

    /// <summary>Whether there is such a concept.</summary>
    /// <param name="id">As it was put.</param>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidKey"/>: nothing can have this id.</exception>
    public bool Exists(string id)
    {
        Span<byte> buffer = stackalloc byte[1 + Limits.KeyBytesMax];
        var key = KeyRules.EncodeBehind(StoreKeys.Concept, id, isWrite: false, buffer);
        Scope.ThrowIfNotReadable();
        using var reader = Scope.Run.Store.Read();
        return Scope.TryGet(reader, key, out _);
    }

    /// <summary>Finds concepts by the words in their ids, types, contents and attributes, best first.</summary>
    /// <inheritdoc cref="Run.Search(string, SearchOptions?, CancellationToken)"/>
    public SearchResponse Search(string text, SearchOptions? options = null, CancellationToken cancellationToken = default) =>
        Searching.In(Engine, Scope, text, options, cancellationToken, ItemAddress.GraphPrimitive);

    /// <summary>Number of concepts, exactly, at a cost that does not grow with it.</summary>
    public long Count() => Counting.Count(Engine.Pins, Scope, StoreKeys.Concept);

    /// <summary>Concepts in order of their ids, a page at a time.</summary>
    /// <param name="options">Which; null = all, from the first.</param>
    /// <exception cref="CairnException"><see cref="ErrorCode.CursorExpired"/>; <see cref="ErrorCode.InvalidArgument"/>: a cursor of
    /// another listing, or a prefix and a range.</exception>
    /// <exception cref="LimitException">The page is too large, or a key too long.</exception>
    public Page<Concept> ListConcepts(ScanOptions? options = null)
    {
        options ??= new ScanOptions();
        var range = KeyRange.Of(options, StoreKeys.Concept, Engine.Limits);
        return List(ListingConcepts, range, 1, options);
    }

    /// <summary>Concepts of one type, in order of their ids, a page at a time.</summary>
    /// <param name="type">Exactly this one.</param>
    /// <param name="options">Which of them; null = all, from the first.</param>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidName"/>: nothing can have this type;
    /// <see cref="ErrorCode.CursorExpired"/>; <see cref="ErrorCode.InvalidArgument"/>: a cursor of another listing, or a prefix and a
    /// range.</exception>
    /// <exception cref="LimitException">The page is too large, or a name or key too long.</exception>
    public Page<Concept> ListConcepts(string type, ScanOptions? options = null)
    {
        KeyRules.EncodeNameForRead(type, stackalloc byte[Limits.NameBytesMax], out _);
        options ??= new ScanOptions();
        var lead = GraphKeys.TypePrefix(stackalloc byte[GraphKeys.LengthMax], type);
        var inner = KeyRange.Of(options, StoreKeys.Concept, Engine.Limits);
        byte[] to = inner.To is [StoreKeys.Concept, ..] ? [.. lead, .. inner.To.AsSpan(1)] : [.. lead[..^1], 1];
        return List(ListingTypes, new KeyRange([.. lead, .. inner.From.AsSpan(1)], to, inner.Limit), lead.Length, options);
    }

    /// <summary>Concepts by when they were first put, the newest first.</summary>
    /// <param name="limit">Most; 0 = <see cref="Limits.PageSize"/>; at most <see cref="Limits.PageSizeMax"/>.</param>
    /// <param name="cursor">Of the page before.</param>
    /// <exception cref="CairnException"><see cref="ErrorCode.CursorExpired"/>; <see cref="ErrorCode.InvalidArgument"/>: a cursor of
    /// another listing.</exception>
    /// <exception cref="LimitException">The page is too large.</exception>
    public Page<Concept> Recent(int limit = 0, string? cursor = null) => List(
        ListingRecent, KeyRange.OfFamily(StoreKeys.ConceptTime, limit, Engine.Limits), GraphKeys.TimeBytes,
        new ScanOptions { Cursor = cursor, Reverse = true });

    private Page<Concept> List(byte listing, KeyRange range, int idAt, ScanOptions options)
    {
        var rows = new Listing(
            Scope, Engine.Cursors, Engine.Pins, listing, range.From, range.To, range.Limit, options.Cursor, options.Reverse);
        try
        {
            var concepts = new List<Concept>();
            var at = Scope.IsLive ? Scope.Snapshot(Scope.Path, Scope.Run, rows.Sequence, rows.Time) : Scope;
            while (rows.MoveNext())
            {
                var id = rows.Key[idAt..];
                concepts.Add(Read(at, Utf8.GetTrustedString(id), id)
                    ?? throw new InvariantException("a place in an order of concepts points at a concept"));
            }

            return new Page<Concept>(concepts, rows.End(), new Sequence(rows.Sequence));
        }
        finally
        {
            rows.Dispose();
        }
    }

    private static Concept? Read(Scope scope, string id, ReadOnlySpan<byte> key)
    {
        Span<byte> buffer = stackalloc byte[1 + Limits.KeyBytesMax];
        using var reader = scope.Run.Store.Read();
        if (!scope.TryGet(reader, GraphKeys.Of(buffer, StoreKeys.Concept, key), out var version))
            return null;
        var record = Value.Decode(version.Value);
        var sequence = new Sequence(version.Sequence);
        var content = scope.TryGet(reader, GraphKeys.Of(buffer, StoreKeys.ConceptContent, key), out var text)
            ? Value.Decode(text.Value).AsString() : null;
        var attributes = scope.TryGet(reader, GraphKeys.Of(buffer, StoreKeys.ConceptAttributes, key), out var kept)
            ? Value.Decode(kept.Value) : Value.Object();
        var use = scope.TryGet(reader, GraphKeys.Of(buffer, StoreKeys.ConceptUse, key), out var used) ? Use.Read(used.Value) : default;
        return ConceptRecord.Read(id, record, attributes, content, use) with { Version = sequence };
    }

    // ---- associations ------------------------------------------------------------------------------------------------------

    /// <summary>Number of associations, exactly, at a cost that does not grow with it; a symmetric one counts once.</summary>
    public long CountAssociations()
    {
        using var pinned = new PinnedScope(Engine.Pins, Scope);
        var at = pinned.Scope;
        using var reader = at.Run.Store.Read();
        var count = reader.Count(StoreKeys.Association, at.Sequence);
        at.NoteRange([StoreKeys.Association], [StoreKeys.Association + 1]);
        return at.Writes is { Count: > 0 } ? count + PendingOf(reader, at, [StoreKeys.Association], countsMirrors: false).Total : count;
    }

    /// <summary>One association.</summary>
    /// <param name="source">Where it leads from; of a symmetric one either end.</param>
    /// <param name="type">What it says.</param>
    /// <param name="target">Where it leads to.</param>
    /// <returns>Null when there is none.</returns>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidKey"/>, <see cref="ErrorCode.InvalidName"/>,
    /// <see cref="ErrorCode.InvalidArgument"/>: nothing can have such an end or type.</exception>
    public Association? GetAssociation(ItemAddress source, string type, ItemAddress target)
    {
        Span<byte> buffer = stackalloc byte[GraphKeys.LengthMax];
        Span<byte> key = stackalloc byte[GraphKeys.AssociationBytesMax];
        var storeKey = GraphKeys.Of(buffer, StoreKeys.Association, Encode(key, source, type, target));
        Scope.ThrowIfNotReadable();
        using var reader = Scope.Run.Store.Read();
        return Scope.TryGet(reader, storeKey, out var version) ? AssociationRow.ToAssociation(storeKey, version, default) : null;
    }

    /// <summary>One association between two concepts.</summary>
    /// <inheritdoc cref="GetAssociation(ItemAddress, string, ItemAddress)"/>
    public Association? GetAssociation(string source, string type, string target) =>
        GetAssociation(ItemAddress.OfConcept(source), type, ItemAddress.OfConcept(target));

    /// <summary>How many associations an end has, at a cost that does not grow with them.</summary>
    /// <param name="end">A concept, or anything else of the run; it need not be there.</param>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidKey"/>, <see cref="ErrorCode.InvalidArgument"/>: it can be no
    /// end.</exception>
    public AssociationDegree Degree(ItemAddress end)
    {
        Span<byte> buffer = stackalloc byte[1 + Limits.KeyBytesMax];
        Span<byte> key = stackalloc byte[Limits.KeyBytesMax];
        var encoded = GraphKeys.End(key, end);
        using var pinned = new PinnedScope(Engine.Pins, Scope);
        var at = pinned.Scope;
        using var reader = at.Run.Store.Read();
        var degreeKey = GraphKeys.Of(buffer, StoreKeys.Degree, encoded);
        at.NotePoint(degreeKey);
        var degree = reader.TryGet(degreeKey, at.Sequence, out var version) && !version.IsTombstone
            ? new AssociationDegree(
                BinaryPrimitives.ReadInt64LittleEndian(version.Value), BinaryPrimitives.ReadInt64LittleEndian(version.Value[8..]),
                BinaryPrimitives.ReadInt64LittleEndian(version.Value[16..]))
            : default;
        if (at.Writes is not { Count: > 0 })
            return degree;
        Span<byte> prefix = stackalloc byte[GraphKeys.LengthMax];
        var outgoing = PendingOf(reader, at, GraphKeys.Prefix(prefix, StoreKeys.Association, encoded).ToArray(), countsMirrors: true);
        var incoming = PendingOf(
            reader, at, GraphKeys.Prefix(prefix, StoreKeys.AssociationByTarget, encoded).ToArray(), countsMirrors: true);
        return new AssociationDegree(
            degree.Out + outgoing.Directed, degree.In + incoming.Directed, degree.Symmetric + outgoing.Symmetric);
    }

    /// <summary>How many associations a concept has.</summary>
    /// <inheritdoc cref="Degree(ItemAddress)" path="/exception"/>
    public AssociationDegree Degree(string id) => Degree(ItemAddress.OfConcept(id));

    // What the transaction has pending under a prefix, over what was committed there.
    private static (long Directed, long Symmetric, long Total) PendingOf(
        scoped in StoreReader reader, Scope scope, byte[] prefix, bool countsMirrors)
    {
        using var use = scope.Use();
        var (directed, symmetric) = (0L, 0L);
        byte[] to = [.. prefix.AsSpan(0, prefix.Length - 1), (byte)(prefix[^1] + 1)];
        foreach (var write in scope.Writes!.Range(prefix, to, reverse: false))
        {
            if (reader.TryGet(write.StoreKey, scope.Sequence, out var version) && !version.IsTombstone)
                Add(version.Value[0], -1);
            if (!write.IsDelete)
                Add(write.Value[0], 1);
        }

        return (directed, symmetric, directed + symmetric);

        void Add(byte flags, int delta)
        {
            if ((flags & AssociationRow.Symmetric) == 0)
                directed += delta;
            else if (countsMirrors || (flags & AssociationRow.Mirror) == 0)
                symmetric += delta;
        }
    }

    /// <summary>Associations of an end, a page at a time: in order of type and then of the other end, those that lead away first.</summary>
    /// <param name="end">A concept, or anything else of the run; it need not be there.</param>
    /// <param name="query">Which of them; null = those that lead away and symmetric ones.</param>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidKey"/>, <see cref="ErrorCode.InvalidArgument"/>: it can be no end, a
    /// direction or confidence that there is not, a cursor of another query; <see cref="ErrorCode.InvalidName"/>: a type that there cannot
    /// be; <see cref="ErrorCode.CursorExpired"/>.</exception>
    /// <exception cref="LimitException">The page, the filter or the list of types is too large.</exception>
    public Page<Association> Associations(ItemAddress end, AssociationQuery? query = null)
    {
        Span<byte> key = stackalloc byte[Limits.KeyBytesMax];
        var pages = new AssociationPages(Engine.Cursors, Engine.Pins, Scope, GraphKeys.End(key, end), query ?? AssociationQuery.All);
        var found = new List<Association>();
        var cursor = pages.Read(found, out var sequence);
        return new Page<Association>(found, cursor, new Sequence(sequence));
    }

    /// <summary>Associations of a concept, a page at a time.</summary>
    /// <inheritdoc cref="Associations(ItemAddress, AssociationQuery)"/>
    public Page<Association> Associations(string id, AssociationQuery? query = null) => Associations(ItemAddress.OfConcept(id), query);

    /// <summary>What can be reached from a thing in some steps. Costs what is read on the way, within a budget; what was found when that
    /// ran out is given, and said so.</summary>
    /// <param name="start">A concept, or anything else of the run; it need not be there, and is not among what is found.</param>
    /// <param name="options">How far, what is followed, and how much is done for it; null = two steps away from it.</param>
    /// <param name="cancellationToken">Ends the search.</param>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidKey"/>, <see cref="ErrorCode.InvalidArgument"/>: it can be no end, or a
    /// number makes no sense; <see cref="ErrorCode.InvalidName"/>: a type that there cannot be.</exception>
    /// <exception cref="LimitException">More steps or a larger budget than the limits allow, or the filter or the list of types is too
    /// large.</exception>
    public Reached Reachable(ItemAddress start, ReachOptions? options = null, CancellationToken cancellationToken = default)
    {
        Span<byte> key = stackalloc byte[Limits.KeyBytesMax];
        var end = GraphKeys.End(key, start).ToArray();
        using var timing = Scope.Path.BeginTiming(OperationClass.Scan);
        using var pinned = new PinnedScope(Engine.Pins, Scope);
        var search = new Reachability(Engine.Cursors, Engine.Pins, pinned.Scope, options ?? ReachOptions.Default, cancellationToken);
        var things = search.Search(end);
        return new Reached
        {
            Things = things,
            Outcome = search.Outcome,
            AssociationsRead = search.AssociationsRead,
            Sequence = new Sequence(pinned.Scope.Sequence),
        };
    }

    /// <summary>What can be reached from a concept in some steps.</summary>
    /// <inheritdoc cref="Reachable(ItemAddress, ReachOptions, CancellationToken)"/>
    public Reached Reachable(string start, ReachOptions? options = null, CancellationToken cancellationToken = default) =>
        Reachable(ItemAddress.OfConcept(start), options, cancellationToken);

    // ---- keys and rows -----------------------------------------------------------------------------------------------------

    private protected static ReadOnlySpan<byte> Encode(Span<byte> target, ItemAddress source, string type, ItemAddress other)
    {
        Span<byte> from = stackalloc byte[Limits.KeyBytesMax];
        Span<byte> to = stackalloc byte[Limits.KeyBytesMax];
        Span<byte> name = stackalloc byte[Limits.NameBytesMax];
        KeyRules.EncodeNameForRead(type, name, out var length);
        return GraphKeys.Association(target, GraphKeys.End(from, source), name[..length], GraphKeys.End(to, other));
    }
}
