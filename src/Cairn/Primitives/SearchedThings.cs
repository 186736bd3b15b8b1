// What each primitive gives to the search
// ---------------------------------------
// A kind says where its things stand, which texts they have, and how one is read again. This is the one place where a primitive joins the
// search by words: a class below and its line in the table, and whatever finds, ranks, filters and shows knows it. Kinds are in the order
// of their families, which is the order of equal scores (SRCH-5).
//
//   kind      key of a thing      texts
//   kv        key                 the key; every string in the value                                           KV-11
//   json      id                  of each scalar "path: value"                                                 JS-31
//   events    number u64          the type; every string in the payload, unless it was redacted                EV-16
//   state     name                the name; every string in the value                                          ST-12
//   traces    id                  every string in the step and in the metadata                                 TR-8
//   graph     id                  of a concept the id, the type, the content, every string in the attributes   GR-36
//   vectors   collection 0 key    the key; every string in the metadata (SearchedVectors.cs)                   VEC-26
//   runs      id                  id, name, status, tags, strings of the metadata, error; in the catalogue     RUN-14
//
// Reads are of a scope that stays at one sequence. In a transaction its own writes are over it, and the whole family has been read: a
// search looked at everything, if only to count it.

using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using Cairn.Codec;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn.Primitives;

/// <summary>Where listings are made.</summary>
internal readonly record struct ListingRoom(Cursors Cursors, SnapshotRegistry Pins);

/// <summary>A kind of things that are searched: see the essay above. Stateless.</summary>
internal abstract class SearchedThings
{
    internal static IReadOnlyList<SearchedThings> OfRuns { get; } =
    [
        new SearchedKv(), new SearchedDocuments(), new SearchedEvents(), new SearchedCells(), new SearchedTraces(), new SearchedConcepts(),
        new SearchedVectors(),
    ];

    /// <summary>Over the catalogue.</summary>
    internal static SearchedThings Runs { get; } = new SearchedRuns();

    /// <summary>First byte of the store keys.</summary>
    internal abstract byte Family { get; }

    /// <summary>Behind the last family that the kind has.</summary>
    internal virtual byte FamilyEnd => (byte)(Family + 1);

    /// <summary>As in <see cref="ItemAddress.Primitive"/>.</summary>
    internal abstract string Name { get; }

    /// <summary>A key prefix chooses among its things.</summary>
    internal virtual bool HasKeys => false;

    /// <summary>What a key prefix is compared with.</summary>
    internal virtual ReadOnlySpan<byte> KeyOf(ReadOnlySpan<byte> key) => key;

    /// <summary>Shows things one by one in the order of their keys, until the visitor has had enough.</summary>
    /// <param name="after">Goes on behind this key; null = from the beginning.</param>
    /// <param name="text">Is filled with each.</param>
    /// <param name="visit">False: enough.</param>
    /// <returns>True: there are no more.</returns>
    internal virtual bool Scan(Scope scope, ListingRoom room, byte[]? after, ThingText text, Func<ThingText, bool> visit)
    {
        byte[] from = after is null ? [Family] : [Family, .. after, 0];
        var rows = new Listing(
            scope, room.Cursors, room.Pins, Family, from, [(byte)(Family + 1)], int.MaxValue, cursor: null, reverse: false);
        try
        {
            while (rows.MoveNext())
            {
                Fill(scope, rows.Key[1..], rows.Version, text);
                if (!visit(text))
                    return false;
            }

            return true;
        }
        finally
        {
            rows.Dispose();
        }
    }

    /// <summary>In a transaction: everything was looked at.</summary>
    internal virtual void NoteAll(Scope scope) => scope.NoteRange([Family], [FamilyEnd]);

    /// <summary>Reads the texts of one thing; false: it is not there.</summary>
    internal virtual bool TryRead(Scope scope, ReadOnlySpan<byte> key, ThingText text)
    {
        Span<byte> buffer = stackalloc byte[1 + Limits.KeyBytesMax];
        using var reader = scope.Run.Store.Read();
        if (!scope.TryGet(reader, StoreKeys.Of(buffer, Family, key), out var version))
            return false;
        Fill(scope, key, version, text);
        return true;
    }

    /// <summary>Whether a filter holds for a thing that is there: the filter sees what queries of the primitive show it.</summary>
    internal virtual bool Holds(Scope scope, byte[] key, Filter filter)
    {
        Span<byte> buffer = stackalloc byte[1 + Limits.KeyBytesMax];
        using var reader = scope.Run.Store.Read();
        return scope.TryGet(reader, StoreKeys.Of(buffer, Family, key), out var version) && filter.Matches(
            new FilterItem(ValueOf(key, version), AddressOf(key).Key, new Sequence(version.Sequence), CommitClock.Time(version.Time)),
            scope.Path.Limits);
    }

    /// <summary>What a hit shows of a thing that is there.</summary>
    internal virtual Value Show(Scope scope, byte[] key)
    {
        Span<byte> buffer = stackalloc byte[1 + Limits.KeyBytesMax];
        using var reader = scope.Run.Store.Read();
        Invariant.Check(scope.TryGet(reader, StoreKeys.Of(buffer, Family, key), out var version), "what was found is there");
        return ValueOf(key, version);
    }

    internal abstract ItemAddress AddressOf(ReadOnlySpan<byte> key);

    protected abstract void Fill(Scope scope, ReadOnlySpan<byte> key, scoped in VersionView version, ThingText text);

    protected abstract Value ValueOf(ReadOnlySpan<byte> key, scoped in VersionView version);

    // ---- kinds ----------------------------------------------------------------------------------------------------------------

    private sealed class SearchedKv : SearchedThings
    {
        internal override byte Family => StoreKeys.Kv;

        internal override string Name => "kv";

        internal override bool HasKeys => true;

        internal override ItemAddress AddressOf(ReadOnlySpan<byte> key) => ItemAddress.OfKey(Utf8.GetTrustedString(key));

        protected override void Fill(Scope scope, ReadOnlySpan<byte> key, scoped in VersionView version, ThingText text)
        {
            text.Begin(this, key, version.Sequence, version.Time, version.Expiry);
            text.Add(TextField.Key, key);
            text.AddStrings(TextField.Value, version.Value);
        }

        protected override Value ValueOf(ReadOnlySpan<byte> key, scoped in VersionView version) => Value.Decode(version.Value);
    }

    private sealed class SearchedCells : SearchedThings
    {
        internal override byte Family => StoreKeys.State;

        internal override string Name => "state";

        internal override bool HasKeys => true;

        internal override ItemAddress AddressOf(ReadOnlySpan<byte> key) => ItemAddress.OfCell(Utf8.GetTrustedString(key));

        protected override void Fill(Scope scope, ReadOnlySpan<byte> key, scoped in VersionView version, ThingText text)
        {
            text.Begin(this, key, version.Sequence, version.Time, version.Expiry);
            text.Add(TextField.Name, key);
            text.AddStrings(TextField.Value, version.Value[StateOperations.CounterBytes..]);
        }

        protected override Value ValueOf(ReadOnlySpan<byte> key, scoped in VersionView version) =>
            Value.Decode(version.Value[StateOperations.CounterBytes..]);
    }

    private sealed class SearchedTraces : SearchedThings
    {
        internal override byte Family => StoreKeys.Trace;

        internal override byte FamilyEnd => StoreKeys.TraceParent + 1;

        internal override string Name => "traces";

        internal override ItemAddress AddressOf(ReadOnlySpan<byte> key) => ItemAddress.OfTrace(TraceId.Read(key));

        internal override bool Holds(Scope scope, byte[] key, Filter filter) =>
            Asks.Hold(scope, IndexTargets.Of(IndexTarget.Traces), key, filter);

        internal override Value Show(Scope scope, byte[] key) => Asks.Show(scope, IndexTargets.Of(IndexTarget.Traces), key);

        protected override void Fill(Scope scope, ReadOnlySpan<byte> key, scoped in VersionView version, ThingText text)
        {
            text.Begin(this, key, version.Sequence, version.Time, version.Expiry);
            Invariant.Check(Fields.TryRead(version.Value, out var fields), "a stored trace reads back");
            if (fields.Any("step") is { } step)
                Texts.AddStrings(text, TextField.Step, step);
            if (fields.Any("metadata") is { } metadata)
                Texts.AddStrings(text, TextField.Metadata, metadata);
        }

        protected override Value ValueOf(ReadOnlySpan<byte> key, scoped in VersionView version) => Value.Decode(version.Value);
    }

    private sealed class SearchedConcepts : SearchedThings
    {
        internal override byte Family => StoreKeys.Concept;

        internal override string Name => ItemAddress.GraphPrimitive;

        internal override bool HasKeys => true;

        internal override ItemAddress AddressOf(ReadOnlySpan<byte> key) => ItemAddress.OfConcept(Utf8.GetTrustedString(key));

        // Content and attributes are keys of their own, on the other side of the associations.
        internal override void NoteAll(Scope scope)
        {
            base.NoteAll(scope);
            scope.NoteRange([StoreKeys.ConceptContent], [StoreKeys.ConceptContent + 1]);
            scope.NoteRange([StoreKeys.ConceptAttributes], [StoreKeys.ConceptAttributes + 1]);
        }

        internal override bool Holds(Scope scope, byte[] key, Filter filter)
        {
            Span<byte> buffer = stackalloc byte[1 + Limits.KeyBytesMax];
            using var reader = scope.Run.Store.Read();
            return scope.TryGet(reader, StoreKeys.Of(buffer, Family, key), out var version) && filter.Matches(
                new FilterItem(
                    Whole(scope, key, Value.Decode(version.Value)), Utf8.GetTrustedString(key), new Sequence(version.Sequence),
                    CommitClock.Time(version.Time)),
                scope.Path.Limits);
        }

        internal override Value Show(Scope scope, byte[] key)
        {
            Span<byte> buffer = stackalloc byte[1 + Limits.KeyBytesMax];
            using var reader = scope.Run.Store.Read();
            var isThere = scope.TryGet(reader, StoreKeys.Of(buffer, Family, key), out var version);
            Invariant.Check(isThere, "what was found is there");
            return Whole(scope, key, Value.Decode(version.Value));
        }

        protected override void Fill(Scope scope, ReadOnlySpan<byte> key, scoped in VersionView version, ThingText text)
        {
            text.Begin(this, key, version.Sequence, version.Time, version.Expiry);
            text.Add(TextField.Id, key);
            var whole = Whole(scope, key, Value.Decode(version.Value));
            if (whole.TryGetMember("type", out var type))
                text.Add(TextField.Type, type.AsString());
            if (whole.TryGetMember("content", out var content))
                text.Add(TextField.Content, content.AsString());
            if (whole.TryGetMember("attributes", out var attributes))
                Texts.AddStrings(text, TextField.Attributes, attributes);
        }

        protected override Value ValueOf(ReadOnlySpan<byte> key, scoped in VersionView version) => Value.Decode(version.Value);

        private static Value Whole(Scope scope, ReadOnlySpan<byte> key, in Value record)
        {
            using var reader = scope.Run.Store.Read();
            return ConceptRecord.Fields(
                record, Part(scope, reader, StoreKeys.ConceptContent, key), Part(scope, reader, StoreKeys.ConceptAttributes, key));
        }

        private static Value? Part(Scope scope, scoped in StoreReader reader, byte family, ReadOnlySpan<byte> key)
        {
            Span<byte> buffer = stackalloc byte[1 + Limits.KeyBytesMax];
            return scope.TryGet(reader, StoreKeys.Of(buffer, family, key), out var version) ? Value.Decode(version.Value) : default(Value?);
        }
    }

    private sealed class SearchedRuns : SearchedThings
    {
        internal override byte Family => StoreKeys.Run;

        internal override string Name => "runs";

        internal override ItemAddress AddressOf(ReadOnlySpan<byte> key) => ItemAddress.OfRun(RunId.Read(key));

        internal override bool Holds(Scope scope, byte[] key, Filter filter) => Asks.Hold(scope, IndexTargets.Runs, key, filter);

        internal override Value Show(Scope scope, byte[] key) => Asks.Show(scope, IndexTargets.Runs, key);

        protected override void Fill(Scope scope, ReadOnlySpan<byte> key, scoped in VersionView version, ThingText text)
        {
            text.Begin(this, key, version.Sequence, version.Time, version.Expiry);
            var record = RunRecord.Read(version.Value);
            text.Add(TextField.Id, RunId.Read(key).ToString());
            if (record.Name is { } name)
                text.Add(TextField.Name, name);
            text.Add(TextField.Status, record.Status.ToString());
            foreach (var tag in record.Tags)
                text.Add(TextField.Tags, tag);
            Texts.AddStrings(text, TextField.Metadata, record.Metadata);
            if (record.Error is { } error)
                text.Add(TextField.Error, error);
        }

        protected override Value ValueOf(ReadOnlySpan<byte> key, scoped in VersionView version) => Value.Decode(version.Value);
    }

    private sealed class SearchedDocuments : SearchedThings
    {
        internal override byte Family => StoreKeys.Json;

        internal override byte FamilyEnd => StoreKeys.JsonHeader + 1;

        internal override string Name => "json";

        internal override bool HasKeys => true;

        internal override ItemAddress AddressOf(ReadOnlySpan<byte> key) => ItemAddress.OfDocument(Utf8.GetTrustedString(key));

        internal override bool TryRead(Scope scope, ReadOnlySpan<byte> key, ThingText text)
        {
            Span<byte> buffer = stackalloc byte[DocumentKeys.BufferBytes];
            using var reader = scope.Run.Store.Read();
            var tree = DocumentTrees.Open(new ScopeNodes(scope, reader, scope.Sequence, scope.Time), buffer, key, null);
            if (!tree.IsThere)
                return false;
            Fill(tree, key, text);
            return true;
        }

        internal override bool Holds(Scope scope, byte[] key, Filter filter) =>
            Asks.Hold(scope, IndexTargets.Of(IndexTarget.Documents), key, filter);

        internal override Value Show(Scope scope, byte[] key) => Asks.Show(scope, IndexTargets.Of(IndexTarget.Documents), key);

        protected override void Fill(Scope scope, ReadOnlySpan<byte> key, scoped in VersionView version, ThingText text) =>
            TryRead(scope, key, text);

        protected override Value ValueOf(ReadOnlySpan<byte> key, scoped in VersionView version) => default;

        private void Fill(scoped DocumentTree<ScopeNodes> tree, ReadOnlySpan<byte> key, ThingText text)
        {
            var header = tree.Header(Look.Blind);
            text.Begin(this, key, header.Sequence, header.Time, tree.Expiry);
            AddScalars(text, tree.ReadWhole(), new StringBuilder());
        }

        private static void AddScalars(ThingText text, in Value value, StringBuilder path)
        {
            switch (value.Kind)
            {
                case ValueKind.Object:
                    var length = path.Length;
                    foreach (var (name, member) in value.AsObject())
                    {
                        path.Append(length == 0 ? "" : ".").Append(name);
                        AddScalars(text, member, path);
                        path.Length = length;
                    }

                    break;
                case ValueKind.Array:
                    foreach (var element in value.AsArray())
                        AddScalars(text, element, path);
                    break;
                case ValueKind.Bytes:
                    break;
                default:
                    text.Add(TextField.Value, path.Length == 0 ? ScalarOf(value) : $"{path}: {ScalarOf(value)}");
                    break;
            }
        }

        private static string ScalarOf(in Value value) => value.Kind switch
        {
            ValueKind.String => value.AsString(),
            ValueKind.Bool => value.AsBool() ? "true" : "false",
            ValueKind.Int64 => value.AsInt64().ToString(CultureInfo.InvariantCulture),
            ValueKind.Float64 => value.AsFloat64().ToString("R", CultureInfo.InvariantCulture),
            _ => "null",
        };
    }

    private sealed class SearchedEvents : SearchedThings
    {
        internal override byte Family => StoreKeys.Event;

        internal override string Name => "events";

        internal override ItemAddress AddressOf(ReadOnlySpan<byte> key) =>
            ItemAddress.OfEvent(new EventNumber(BinaryPrimitives.ReadUInt64BigEndian(key)));

        internal override bool Scan(Scope scope, ListingRoom room, byte[]? after, ThingText text, Func<ThingText, bool> visit)
        {
            scope.ThrowIfNotReadable();
            using var use = scope.Use();
            using var reader = scope.Run.Store.Read();
            var events = new EventReader(scope, reader, stackalloc byte[EventReader.KeyBytes]);
            var from = after is null ? events.Floor().Number : BinaryPrimitives.ReadUInt64BigEndian(after) + 1;
            var scan = new EventScan(events, from, events.End, reverse: false, stackalloc byte[EventScan.BoundsBytes]);
            while (scan.MoveNext())
            {
                Fill(scan.Borrowed, scan.Time, text);
                if (!visit(text))
                    return false;
            }

            return true;
        }

        internal override bool TryRead(Scope scope, ReadOnlySpan<byte> key, ThingText text)
        {
            using var use = scope.Use();
            using var reader = scope.Run.Store.Read();
            var events = new EventReader(scope, reader, stackalloc byte[EventReader.KeyBytes]);
            var number = BinaryPrimitives.ReadUInt64BigEndian(key);
            if (!events.TryGet(number, out var stored, out var time, out var sequence))
                return false;
            var isRedacted = stored.IsRedacted || events.IsRedactedHere(number);
            Fill(new BorrowedEvent(stored, number, time, sequence, isRedacted), time, text);
            return true;
        }

        internal override bool Holds(Scope scope, byte[] key, Filter filter) =>
            Asks.Hold(scope, IndexTargets.Of(IndexTarget.Events), key, filter);

        internal override Value Show(Scope scope, byte[] key) => Asks.Show(scope, IndexTargets.Of(IndexTarget.Events), key);

        protected override void Fill(Scope scope, ReadOnlySpan<byte> key, scoped in VersionView version, ThingText text) =>
            TryRead(scope, key, text);

        protected override Value ValueOf(ReadOnlySpan<byte> key, scoped in VersionView version) => default;

        private void Fill(scoped in BorrowedEvent found, long time, ThingText text)
        {
            Span<byte> key = stackalloc byte[sizeof(ulong)];
            BinaryPrimitives.WriteUInt64BigEndian(key, found.Number.Value);
            text.Begin(this, key, found.Sequence.Value, time, 0);
            text.Add(TextField.Type, found.TypeUtf8);
            if (!found.IsRedacted)
                text.AddStrings(TextField.Payload, found.Payload);
        }
    }

    // What queries are asked, of one thing.
    private static class Asks
    {
        internal static bool Hold(Scope scope, IndexedThings things, byte[] key, Filter filter) =>
            things.TryAsk(scope, key, new QueryAsk(filter, [], things, scope.Path), out var asked) && asked.Holds;

        internal static Value Show(Scope scope, IndexedThings things, byte[] key)
        {
            var isThere = things.TryAsk(scope, key, new QueryAsk(null, [], things, scope.Path), out var asked);
            Invariant.Check(isThere, "what was found is there");
            return things.Read(scope, key, asked, null);
        }
    }

    private static class Texts
    {
        internal static void AddStrings(ThingText text, TextField field, in Value value)
        {
            switch (value.Kind)
            {
                case ValueKind.String:
                    text.Add(field, value.AsString());
                    break;
                case ValueKind.Array:
                    foreach (var element in value.AsArray())
                        AddStrings(text, field, element);
                    break;
                case ValueKind.Object:
                    foreach (var (_, member) in value.AsObject())
                        AddStrings(text, field, member);
                    break;
            }
        }
    }
}
