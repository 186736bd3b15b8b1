// Events, as paths, filters and indexes see them
// ----------------------------------------------
//   number     Int64         place in the run
//   type       String
//   time       Int64         microseconds since 1970: commit time, of an imported event the time that it had
//   payload    Object        not there when it was redacted
//   causes     Array         numbers of earlier events; not there when it names none
//   redacted   Bool          true, or not there
//
// and for queries alone, by their own names and not as parts of the whole, $key (the number as people write it, #5), $version (sequence
// of the commit that appended it) and $time (as time).
//
// A payload may be megabytes, and an index wants a place in it: places are found in the encoding, and only what stands there is made a
// value. Hashes and salt are no places: they say nothing that anybody looks for.

using System.Buffers.Binary;
using Cairn.Codec;
using Cairn.Documents;
using Cairn.Log;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn.Primitives;

/// <summary>See the essay above. One event, borrowed where it lies.</summary>
internal readonly ref struct EventPlaces : IIndexedPlaces, IFilterSubject
{
    private readonly StoredEvent _stored;
    private readonly ulong _number;
    private readonly long _time;
    private readonly ulong _sequence;
    private readonly bool _isRedacted;

    /// <param name="number">Its place; in an operation that has none yet it is given by who appends.</param>
    /// <param name="time">When it happened.</param>
    /// <param name="sequence">Of the commit that appended it; indexes do not ask.</param>
    internal EventPlaces(scoped in StoredEvent stored, ulong number, long time, bool isRedacted, ulong sequence = 0)
    {
        _stored = stored;
        _number = number;
        _time = time;
        _sequence = sequence;
        _isRedacted = isRedacted;
    }

    /// <summary>Of a stored version.</summary>
    internal static EventPlaces Of(ReadOnlySpan<byte> thing, scoped in StoredEvent stored, long time) =>
        new(stored, BinaryPrimitives.ReadUInt64BigEndian(thing), time, stored.IsRedacted);

    public bool TryGet(DocumentPath path, out Value value)
    {
        var rest = new EncodedPath(path.Encoded);
        value = default;
        if (!rest.MoveNext(out var first))
        {
            value = Whole();
            return true;
        }

        if (!first.IsName)
            return false;
        if (first.Name.SequenceEqual("payload"u8))
        {
            if (_isRedacted || !EncodedPlace.TryFind(_stored.Payload, rest, out var found))
                return false;
            value = Value.Decode(found);
            return true;
        }

        if (!TryMember(first.Name, out value))
            return false;
        foreach (ref readonly var segment in path.Segments[1..])
        {
            if (!segment.TryGet(value, out var inner))
                return false;
            value = inner;
        }

        return true;
    }

    public PlaceLook LookAt(DocumentPath path, out ReadOnlySpan<byte> canonical)
    {
        var rest = new EncodedPath(path.Encoded);
        canonical = default;
        if (!rest.MoveNext(out var first) || !first.IsName || !first.Name.SequenceEqual("payload"u8))
            return PlaceLook.Other;
        if (_isRedacted || !EncodedPlace.TryFind(_stored.Payload, rest, out canonical))
            return PlaceLook.Absent;
        return ValueCodec.TryReadKind(canonical, out var kind) && kind is not (ValueKind.Array or ValueKind.Object)
            ? PlaceLook.Scalar
            : PlaceLook.Other;
    }

    public bool TryGet(FilterField field, out Value value)
    {
        value = field switch
        {
            FilterField.Key => Key,
            FilterField.Version => (long)_sequence,
            _ => _time,
        };
        return true;
    }

    private string Key => new EventNumber(_number).ToString();

    private bool TryMember(ReadOnlySpan<byte> name, out Value value)
    {
        value = name switch
        {
            _ when name.SequenceEqual("number"u8) => (long)_number,
            _ when name.SequenceEqual("type"u8) => Utf8.GetTrustedString(_stored.Type),
            _ when name.SequenceEqual("time"u8) || name.SequenceEqual("$time"u8) => _time,
            _ when name.SequenceEqual("causes"u8) => Causes(),
            _ when name.SequenceEqual("redacted"u8) => _isRedacted ? true : Value.Null,
            _ when name.SequenceEqual("$key"u8) => Key,
            _ when name.SequenceEqual("$version"u8) => (long)_sequence,
            _ => Value.Null,
        };
        return !value.IsNull;                                // none of them is ever Null
    }

    private Value Causes()
    {
        if (_stored.Causes.IsEmpty)
            return Value.Null;
        var causes = new Value[_stored.Causes.Length / sizeof(ulong)];
        for (var i = 0; i < causes.Length; i++)
            causes[i] = (long)BinaryPrimitives.ReadUInt64LittleEndian(_stored.Causes[(sizeof(ulong) * i)..]);
        return Value.Array(causes);
    }

    private Value Whole()
    {
        var members = new List<KeyValuePair<string, Value>>
        {
            new("number", (long)_number), new("type", Utf8.GetTrustedString(_stored.Type)), new("time", _time),
        };
        if (Causes() is { IsNull: false } causes)
            members.Add(new("causes", causes));
        members.Add(_isRedacted ? new("redacted", true) : new("payload", Value.Decode(_stored.Payload)));
        return Value.Object(members);
    }
}

/// <summary>Events as things that indexes are over: the floor, which stands before them, is none.</summary>
internal sealed class IndexedEvents : IndexedThings
{
    private static readonly DocumentPath Number = DocumentPath.Root.Member("number");
    private static readonly DocumentPath Type = DocumentPath.Root.Member("type");
    private static readonly DocumentPath Time = DocumentPath.Root.Member("time");
    private static readonly DocumentPath CommitTime = DocumentPath.Root.Member("$time");

    internal override byte Family => StoreKeys.Event;

    internal override bool TellsOfVersions => true;

    internal override bool IsThing(ReadOnlySpan<byte> storeKey) => storeKey.Length == EventReader.KeyBytes;

    // TX-16: whoever sees an event of his own has seen where the events end.
    internal override void NoteOwn(Scope scope)
    {
        using var reader = scope.Run.Store.Read();
        new EventReader(scope, reader, stackalloc byte[EventReader.KeyBytes]).NoteEnd();
    }

    internal override bool TryAsk(Scope scope, byte[] thing, QueryAsk ask, out AskedThing asked)
    {
        Span<byte> key = stackalloc byte[EventReader.KeyBytes];
        using var reader = scope.Run.Store.Read();
        var isThere = TryFind(scope, reader, key, thing, out var places);
        asked = isThere ? Ask(places, ask) : default;
        return isThere;
    }

    internal override bool TryAsk(Scope scope, byte[] thing, scoped in VersionView version, QueryAsk ask, out AskedThing asked)
    {
        EventReader.Read(version, out var stored, out var time, out var sequence);
        var number = BinaryPrimitives.ReadUInt64BigEndian(thing);
        asked = Ask(new EventPlaces(stored, number, time, stored.IsRedacted, sequence.Value), ask);
        return true;
    }

    private static AskedThing Ask(scoped in EventPlaces places, QueryAsk ask)
    {
        var order = new byte[]?[ask.Order.Count];
        for (var i = 0; i < order.Length; i++)
            order[i] = places.TryGet(ask.Order[i].Path, out var value) ? QueryAsk.OrderOf(value) : null;
        return new AskedThing(ask.Holds(places), order, default);
    }

    internal override Value Read(Scope scope, byte[] thing, in AskedThing asked, SelectedPlaces? places)
    {
        Span<byte> key = stackalloc byte[EventReader.KeyBytes];
        using var reader = scope.Run.Store.Read();
        Invariant.Check(TryFind(scope, reader, key, thing, out var found), "what was found is there");
        if (places is null)
        {
            found.TryGet(DocumentPath.Root, out var whole);
            return whole;
        }

        var members = new List<KeyValuePair<string, Value>>();
        foreach (var (path, name) in places.All)
        {
            if (found.TryGet(path, out var value))
                members.Add(new(name, value));
        }

        return Value.Object(members);
    }

    private static bool TryFind(
        Scope scope, scoped in StoreReader reader, Span<byte> key, ReadOnlySpan<byte> thing, out EventPlaces places)
    {
        var number = BinaryPrimitives.ReadUInt64BigEndian(thing);
        var events = new EventReader(scope, reader, key);
        places = default;
        if (number < events.Committed)
            scope.NotePoint(StoreKeys.Of(key, StoreKeys.Event, number));    // it may be redacted
        if (!events.TryGet(number, out var stored, out var time, out var sequence))
            return false;
        places = new EventPlaces(stored, number, time, stored.IsRedacted || events.IsRedactedHere(number), sequence.Value);
        return true;
    }

    internal override void WriteItems(
        RunState run, StoredIndex index, scoped ReadOnlySpan<byte> thing, scoped in VersionView version, ulong sequence, ItemBuffer items)
    {
        Invariant.Check(StoredEvent.TryRead(version.Value, out var stored), "an event in the store is an event");
        IndexItems.Write(index, thing, EventPlaces.Of(thing, stored, stored.TimeIn(version.Time)), items);
    }

    internal override long Count(scoped in StoreReader reader, ulong sequence) => EventOperations.CountKept(reader, sequence);

    // ---- the order that they are in ---------------------------------------------------------------------------------------------

    // Times never go back.
    internal override bool IsKeyOrder(DocumentPath path) => path == Number || path == Time || path == CommitTime;

    internal override KeyStretch Stretch(Scope scope, scoped in StoreReader reader, List<Filter> conditions, bool hasOwn)
    {
        Span<byte> key = stackalloc byte[1 + Limits.NameBytesMax];
        var events = new EventReader(scope, reader, key);
        var (from, to) = (events.Floor().Number, ulong.MaxValue);
        var names = new List<string>();
        if (TimeBounds.Of(conditions, Number) is { IsAll: false } numbers)
        {
            names.Add("$number");
            from = Math.Max(from, (ulong)Math.Max(0, numbers.From));
            to = numbers.IsEmpty || numbers.To < 0 ? 0 : (ulong)numbers.To + 1;
        }

        foreach (var path in (DocumentPath[])[Time, CommitTime])
        {
            if (TimeBounds.Of(conditions, path) is not { IsAll: false } times)
                continue;
            names.Add("$time");
            from = Math.Max(from, times.IsEmpty ? ulong.MaxValue : events.FirstAt(times.From));
            if (!times.IsEmpty && times.To < long.MaxValue && events.FirstAt(times.To + 1) is var end && end < events.End)
                to = Math.Min(to, end);                      // what is appended next may have that time too
        }

        if (!hasOwn && TextConditions.EqualTo(conditions, Type) is [var type])
        {
            names.Add("$type");
            var stream = default(EventStream);
            if (TextConditions.IsName(type))
            {
                var streamKey = key[..(1 + Utf8.GetBytes(type, key[1..]))];
                key[0] = StoreKeys.EventStream;
                if (!Mutant.Is("index-type-not-read"))
                    scope.NotePoint(streamKey);              // one more of the type is a phantom
                if (scope.TryGetCommitted(reader, streamKey, out var version) && !version.IsTombstone)
                    stream = EventStream.Read(version.Value);
            }

            from = Math.Max(from, stream.First);
            to = Math.Min(to, stream.Count == 0 ? 0 : stream.Last + 1);
        }

        var things = from >= to ? 0 : Math.Min(to, events.End) is var most && most > from ? most - from : 0;
        return new KeyStretch(
            StoreKeys.Of(stackalloc byte[EventReader.KeyBytes], StoreKeys.Event, from).ToArray(),
            from >= to ? [StoreKeys.Event] : to == ulong.MaxValue
                ? [StoreKeys.Event + 1]
                : StoreKeys.Of(stackalloc byte[EventReader.KeyBytes], StoreKeys.Event, to).ToArray(),
            (long)things, names);
    }

    // ---- what commits do to the items -------------------------------------------------------------------------------------------

    /// <summary>Before the sequence: what Apply will write for an operation.</summary>
    internal static WriteCount CountWrites(in Operation operation, RunState run)
    {
        if (IndexSet.Of(run).On(IndexTarget.Events).IsEmpty)
            return default;
        switch ((OperationCode)operation.Code)
        {
            case OperationCode.EventAppend:
            case OperationCode.EventRedact when EventOperations.IsCarried(operation):
                Span<byte> key = stackalloc byte[EventReader.KeyBytes];
                // Its number is a hole still, and its time is not known; whatever they will be, they take as much room.
                return StoredEvent.TryRead(operation, out var stored)
                    ? IndexMaintenance.CountAdd(
                        run, IndexTarget.Events, StoreKeys.Of(key, StoreKeys.Event, run.NextEvent)[1..],
                        new EventPlaces(stored, run.NextEvent, 0, stored.IsRedacted))
                    : default;
            case OperationCode.EventRedact:
                return CountRedaction(BinaryPrimitives.ReadUInt64LittleEndian(operation.FullBody), run, null);
            case OperationCode.EventTrim:
                return default(WriteCount).And(ItemsOfTrim(operation.FullBody, run));
            default:
                return default;
        }
    }

    /// <summary>Behind it: an event that was appended.</summary>
    internal static void Add(in ApplyContext context, scoped in StoredEvent stored, long time)
    {
        if (IndexSet.Of(context.Run).On(IndexTarget.Events).IsEmpty)
            return;
        Span<byte> key = stackalloc byte[EventReader.KeyBytes];
        var thing = StoreKeys.Of(key, StoreKeys.Event, stored.Number)[1..];
        IndexMaintenance.Add(context, IndexTarget.Events, thing, new EventPlaces(stored, stored.Number, time, stored.IsRedacted));
    }

    /// <summary>What goes and comes when an event is redacted; null = there are no indexes.</summary>
    internal static (List<byte[]> Gone, List<byte[]> Come)? ItemsOfRedaction(RunState run, scoped in StoredEvent stored, long time)
    {
        if (IndexSet.Of(run).On(IndexTarget.Events).IsEmpty)
            return null;
        Span<byte> key = stackalloc byte[EventReader.KeyBytes];
        var thing = StoreKeys.Of(key, StoreKeys.Event, stored.Number)[1..];
        return IndexMaintenance.Differences(
            run, IndexTarget.Events, thing, new EventPlaces(stored, stored.Number, time, stored.IsRedacted),
            new EventPlaces(stored, stored.Number, time, isRedacted: true));
    }

    /// <summary>Writes of a redaction, with their keys.</summary>
    internal static WriteCount CountRedaction(ulong number, RunState run, StoreKeyVisitor? visit)
    {
        Span<byte> key = stackalloc byte[EventReader.KeyBytes];
        using var reader = run.Store.Read();
        return reader.TryGetNewest(StoreKeys.Of(key, StoreKeys.Event, number), out var version) && !version.IsTombstone
            && StoredEvent.TryRead(version.Value, out var stored)
            && ItemsOfRedaction(run, stored, stored.TimeIn(version.Time)) is { } items
            ? IndexMaintenance.Count(items, run, visit)
            : default;
    }

    /// <summary>The items of the events that a trim takes away.</summary>
    internal static List<byte[]> ItemsOfTrim(ReadOnlySpan<byte> trim, RunState run)
    {
        var items = new List<byte[]>();
        if (IndexSet.Of(run).On(IndexTarget.Events).IsEmpty || !EventTrim.TryReadNumbers(trim, out var from, out var to))
            return items;
        Span<byte> key = stackalloc byte[EventReader.KeyBytes];
        using var reader = run.Store.Read();
        for (var number = from; number < to; number++)
        {
            var storeKey = StoreKeys.Of(key, StoreKeys.Event, number);
            if (!reader.TryGetNewest(storeKey, out var version) || version.IsTombstone)
                continue;
            Invariant.Check(StoredEvent.TryRead(version.Value, out var stored), "an event in the store is an event");
            IndexMaintenance.ItemsOf(
                run, IndexTarget.Events, storeKey[1..], EventPlaces.Of(storeKey[1..], stored, stored.TimeIn(version.Time)), items);
        }

        return items;
    }

    /// <summary>Before the sequence: the contents that <see cref="ItemsOfTrim"/> reads are at hand.</summary>
    internal static void HoldTrimmed(ReadOnlySpan<byte> trim, RunState run)
    {
        if (IndexSet.Of(run).On(IndexTarget.Events).IsEmpty || !EventTrim.TryReadNumbers(trim, out var from, out var to))
            return;
        Span<byte> key = stackalloc byte[EventReader.KeyBytes];
        for (var number = from; number < to; number++)
            run.Store.HoldContent(StoreKeys.Of(key, StoreKeys.Event, number));
    }
}
