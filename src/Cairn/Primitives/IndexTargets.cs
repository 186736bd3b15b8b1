using System.Runtime.CompilerServices;
using Cairn.Documents;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn.Primitives;

/// <summary>A kind of things that indexes can be over and queries can be about: where they stand in a run's store, and what paths and
/// filters see of them.</summary>
internal abstract class IndexedThings
{
    /// <summary>First byte of their store keys; the rest is the key of the thing.</summary>
    internal abstract byte Family { get; }

    /// <summary>The indexes of a run that are over them.</summary>
    internal bool IsOver(StoredIndex index) => IndexTargets.Of(index.Target) == this;

    /// <summary>First byte of the store keys that a transaction's writes to a thing have among them; the rest is its key.</summary>
    internal virtual byte WrittenFamily => Family;

    /// <summary>A key of the family is that of a thing.</summary>
    internal virtual bool IsThing(ReadOnlySpan<byte> storeKey) => true;

    /// <summary>A transaction's query shows what that has written itself.</summary>
    internal virtual void NoteOwn(Scope scope)
    {
    }

    /// <summary>Paths lead to <c>$version</c> and <c>$time</c> too.</summary>
    internal virtual bool TellsOfVersions => false;

    /// <summary>Most things that <see cref="Fetch"/> takes.</summary>
    internal const int FetchMax = 16;

    /// <summary>A hint: some things will be read next. What is looked at first comes into the processor's cache for all at once.</summary>
    internal virtual void Fetch(RunStore store, ReadOnlySpan<byte[]> things)
    {
        Span<byte> key = stackalloc byte[1 + Limits.KeyBytesMax];
        Span<ulong> hashes = stackalloc ulong[FetchMax];
        for (var i = 0; i < things.Length; i++)
            hashes[i] = store.PrefetchBucket(StoreKeys.Of(key, Family, things[i]));
        foreach (var hash in hashes[..things.Length])
            store.PrefetchEntry(hash);
    }

    /// <summary>Asks a thing; false: it is not there. In a transaction that is a read of what the answer depended on.</summary>
    internal virtual bool TryAsk(Scope scope, byte[] thing, QueryAsk ask, out AskedThing asked)
    {
        Span<byte> key = stackalloc byte[1 + Limits.KeyBytesMax];
        using var reader = scope.Run.Store.Read();
        asked = default;
        return scope.TryGet(reader, StoreKeys.Of(key, Family, thing), out var version) && TryAsk(scope, thing, version, ask, out asked);
    }

    /// <inheritdoc cref="TryAsk(Scope, byte[], QueryAsk, out AskedThing)"/>
    /// <param name="version">Of its key, which was met in a scan.</param>
    internal abstract bool TryAsk(Scope scope, byte[] thing, scoped in VersionView version, QueryAsk ask, out AskedThing asked);

    /// <summary>Reads a thing that was found.</summary>
    /// <param name="places">Only these; null = all of it.</param>
    internal abstract Value Read(Scope scope, byte[] thing, in AskedThing asked, SelectedPlaces? places);

    /// <summary>Writes the items of a thing as it was at a sequence, which the caller pins, or as it is now.</summary>
    /// <param name="version">Of its key there.</param>
    /// <param name="sequence"><see cref="ulong.MaxValue"/> = now; under the run's lock.</param>
    internal abstract void WriteItems(
        RunState run, StoredIndex index, scoped ReadOnlySpan<byte> thing, scoped in VersionView version, ulong sequence, ItemBuffer items);

    /// <inheritdoc cref="WriteItems"/>
    internal List<byte[]> ItemsAt(
        RunState run, StoredIndex index, scoped ReadOnlySpan<byte> thing, scoped in VersionView version, ulong sequence)
    {
        var items = new ItemBuffer();
        WriteItems(run, index, thing, version, sequence, items);
        return items.ToList();
    }

    /// <summary>The built-in orders that conditions, which all have to hold, name something of (BO1).</summary>
    internal virtual List<IndexLeaf> BuiltIn(List<Filter> conditions) => [];

    /// <summary>The built-in order by a place, within what conditions that all have to hold leave of it; null = there is none.</summary>
    internal virtual IndexLeaf? OrderBy(DocumentPath path, List<Filter> conditions) => null;

    /// <summary>The order by a place is that of the keys.</summary>
    internal virtual bool IsKeyOrder(DocumentPath path) => false;

    /// <summary>The stretch of keys that is enough to look at for conditions that all have to hold (BO2).</summary>
    /// <param name="hasOwn">The transaction has written things itself.</param>
    internal virtual KeyStretch Stretch(Scope scope, scoped in StoreReader reader, List<Filter> conditions, bool hasOwn) =>
        new([Family], [(byte)(Family + 1)], Count(reader, scope.Sequence), []);

    /// <summary>Things there are, for estimates.</summary>
    internal virtual long Count(scoped in StoreReader reader, ulong sequence) => reader.Count(Family, sequence);
}

/// <summary>What a query asks of each thing.</summary>
internal sealed class QueryAsk(Filter? filter, IReadOnlyList<QueryOrder> order, IndexedThings things, CommitPath path)
{
    internal IReadOnlyList<QueryOrder> Order => order;

    /// <summary>The stored version has to be told of, among the places.</summary>
    internal bool SeesVersion { get; } = things.TellsOfVersions
        && (order.Any(term => Queries.IsOfVersion(term.Path)) || (filter is not null && Queries.MentionsVersion(filter)));

    internal bool Holds(in Value document, byte[] thing, ulong version, long time) => filter is null || filter.Matches(
        new FilterItem(document, KeyOf(thing), new Sequence(version), CommitClock.Time(time)), path.Limits);

    internal bool Holds<TSubject>(TSubject subject)
        where TSubject : IFilterSubject, allows ref struct => filter is null || filter.Matches(ref subject, path.Limits);

    internal string KeyOf(byte[] thing) =>
        filter?.AsksFor(FilterField.Key) == true ? path.Operations.Describe([things.Family, .. thing]).Key : "";

    /// <summary>What a value counts as in an order; null = nothing, which comes last.</summary>
    internal static byte[]? OrderOf(in Value value) => IndexItems.TryScalar(value, int.MaxValue);
}

/// <summary>What a thing answered.</summary>
/// <param name="Order">For each term of the order.</param>
/// <param name="Document">As far as it had to be read anyway.</param>
internal readonly record struct AskedThing(bool Holds, byte[]?[] Order, Value Document);

/// <summary>The kinds.</summary>
internal static class IndexTargets
{
    private static readonly IndexedThings[] Things = [new IndexedTraces(), new IndexedDocuments(), new IndexedEvents()];

    internal static IndexedThings Of(IndexTarget target) => Things[(int)target];

    /// <summary>Runs are queried, in the orders that are built in, and have no indexes.</summary>
    internal static IndexedThings Runs { get; } = new IndexedRuns();

    private sealed class IndexedDocuments : IndexedThings
    {
        internal override byte Family => StoreKeys.Json;

        // Each change of a document writes its header.
        internal override byte WrittenFamily => StoreKeys.JsonHeader;

        internal override bool TryAsk(Scope scope, byte[] thing, scoped in VersionView version, QueryAsk ask, out AskedThing asked) =>
            TryAsk(scope, thing, ask, out asked);

        // Only the places that are asked for are read; the rest of a document may be large.
        [SkipLocalsInit]
        internal override bool TryAsk(Scope scope, byte[] thing, QueryAsk ask, out AskedThing asked)
        {
            Span<byte> buffer = stackalloc byte[DocumentKeys.BufferBytes];
            using var reader = scope.Run.Store.Read();
            var tree = DocumentTrees.Open(new ScopeNodes(scope, reader, scope.Sequence, scope.Time), buffer, thing, null);
            asked = default;
            if (scope.Writes is not null)
                tree.TryFind(default, Look.Presence, out _);    // whoever is told has read it
            if (!tree.IsThere)
                return false;
            var order = new byte[]?[ask.Order.Count];
            for (var i = 0; i < order.Length; i++)
            {
                if (tree.TryFind(ask.Order[i].Path.Encoded, Look.Read, out var found)
                    && tree.KindOf(found) is not (ValueKind.Array or ValueKind.Object))
                    order[i] = QueryAsk.OrderOf(tree.Read(found));
            }

            asked = new(ask.Holds(new DocumentSubject(tree, ask.KeyOf(thing))), order, default);
            return true;
        }

        [SkipLocalsInit]
        internal override Value Read(Scope scope, byte[] thing, in AskedThing asked, SelectedPlaces? places)
        {
            Span<byte> buffer = stackalloc byte[DocumentKeys.BufferBytes];
            using var reader = scope.Run.Store.Read();
            var tree = DocumentTrees.Open(new ScopeNodes(scope, reader, scope.Sequence, scope.Time), buffer, thing, null);
            Invariant.Check(tree.IsThere, "what was found is there");
            if (places is null)
                return tree.ReadWhole();
            var members = new List<KeyValuePair<string, Value>>();
            foreach (var (path, name) in places.All)
            {
                if (tree.TryFind(path.Encoded, Look.Read, out var found))
                    members.Add(new(name, tree.Read(found)));
            }

            return Value.Object(members);
        }

        internal override void WriteItems(
            RunState run, StoredIndex index, scoped ReadOnlySpan<byte> thing, scoped in VersionView version, ulong sequence,
            ItemBuffer items)
        {
            using var reader = run.Store.Read();
            DocumentItems.Write(index, new PastNodes(reader, sequence, long.MinValue), thing, items);
        }
    }

    /// <summary>A stored document that a filter is asked about, place by place.</summary>
    private ref struct DocumentSubject(DocumentTree<ScopeNodes> tree, string key) : IFilterSubject
    {
        private DocumentTree<ScopeNodes> _tree = tree;

        public bool TryGet(DocumentPath path, out Value value)
        {
            var isThere = _tree.TryFind(path.Encoded, Look.Read, out var found);
            value = isThere ? _tree.Read(found) : default;
            return isThere;
        }

        public readonly bool TryGet(FilterField field, out Value value)
        {
            var header = field == FilterField.Key ? default : _tree.Header(Look.Blind);
            value = field switch
            {
                FilterField.Key => key,
                FilterField.Version => (long)header.Sequence,
                _ => header.Time,
            };
            return true;
        }
    }
}
