using System.Buffers.Binary;
using Cairn.Codec;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn.Primitives;

/// <summary>
/// Events as a scope sees them at one sequence: the committed ones by number, which are dense, and behind them those that the
/// transaction has appended itself. Numbers are looked up one by one; there is nothing to search for.
/// </summary>
internal readonly ref struct EventReader
{
    private readonly Scope _scope;
    private readonly StoreReader _reader;
    private readonly Span<byte> _key;

    /// <summary>Bytes of an event's store key.</summary>
    internal const int KeyBytes = 9;

    /// <param name="scope">A scope that stays at one sequence, or a live one for a single look.</param>
    /// <param name="reader">Open for as long as this is used.</param>
    /// <param name="key">Room for <see cref="KeyBytes"/>.</param>
    internal EventReader(Scope scope, StoreReader reader, Span<byte> key)
    {
        _scope = scope;
        _reader = reader;
        _key = key;
        Committed = ReadHead(out var hash);
        HeadHash = hash;
    }

    /// <summary>Number that follows the last committed event: what was trimmed counts.</summary>
    internal ulong Committed { get; }

    /// <summary>Hash of the last of them.</summary>
    internal Hash256 HeadHash { get; }

    /// <summary>With the transaction's own.</summary>
    internal ulong End => Committed + (ulong)(_scope.Writes?.Appends.Count ?? 0);

    /// <summary>Where the events begin that are kept.</summary>
    internal TrimFloor Floor() => Floor(out _);

    /// <param name="version">Sequence that wrote it; 0 = nothing was ever trimmed.</param>
    internal TrimFloor Floor(out ulong version)
    {
        var isTrimmed = _scope.TryGetCommitted(_reader, TrimFloor.Key, out var floor);
        version = isTrimmed ? floor.Sequence : 0;
        return isTrimmed ? TrimFloor.Read(floor.Value) : default;
    }

    private ulong ReadHead(out Hash256 hash)
    {
        hash = default;
        if (!_scope.TryGetCommitted(_reader, [StoreKeys.EventHead], out var version))
            return 0;
        hash = new Hash256(version.Value[8..]);
        return BinaryPrimitives.ReadUInt64LittleEndian(version.Value);
    }

    /// <summary>Remembers that the end of the order was seen (TX-16).</summary>
    internal void NoteEnd()
    {
        if (_scope.Transaction is null)
            return;
        _scope.NoteRange(StoreKeys.Of(_key, StoreKeys.Event, Committed), [StoreKeys.Event + 1]);
    }

    internal bool TryGet(ulong number, out StoredEvent stored, out long time, out Sequence sequence)
    {
        if (number >= Committed)
            return TryGetOwn(number, out stored, out time, out sequence);
        if (!_scope.TryGetCommitted(_reader, StoreKeys.Of(_key, StoreKeys.Event, number), out var version) || version.IsTombstone)
        {
            stored = default;
            time = 0;
            sequence = default;
            return false;
        }

        Read(version, out stored, out time, out sequence);
        return true;
    }

    internal static void Read(scoped in VersionView version, out StoredEvent stored, out long time, out Sequence sequence)
    {
        Invariant.Check(StoredEvent.TryRead(version.Value, out stored), "an event in the store is an event");
        time = stored.TimeIn(version.Time);
        sequence = new Sequence(version.Created);
    }

    /// <summary>The committed events with store keys in a range, whose bytes stay borrowed.</summary>
    internal StoreScan ScanCommitted(ReadOnlySpan<byte> from, ReadOnlySpan<byte> to, bool reverse) =>
        _reader.Scan(from, to, _scope.Sequence, reverse);

    private bool TryGetOwn(ulong number, out StoredEvent stored, out long time, out Sequence sequence)
    {
        time = _scope.Time;
        sequence = Sequence.None;
        if (number >= End)
        {
            stored = default;
            return false;
        }

        var write = _scope.Writes!.Appends[(int)(number - Committed)];
        return StoredEvent.TryRead(write.OperationKey, write.Value, isRedacted: false, out stored);
    }

    /// <exception cref="HistoryTrimmedException">It is gone.</exception>
    internal EventRecord? Find(ulong number)
    {
        if (TryGet(number, out var stored, out var time, out var sequence))
            return ToRecord(stored, number, time, sequence);
        if (number < Committed)
            Floor().ThrowIfBelow(number);
        return null;
    }

    internal EventRecord ToRecord(scoped in StoredEvent stored, ulong number, long time, Sequence sequence) =>
        new(stored, null, number, time, sequence, stored.IsRedacted || IsRedactedHere(number));

    internal bool IsRedactedHere(ulong number)
    {
        if (_scope.Writes is not { Count: > 0 } writes || number >= Committed)
            return false;
        return writes.Find(StoreKeys.Of(_key, StoreKeys.Event, number)) is not null;
    }

    /// <summary>The first number whose commit time is at or after a time: times never go back, so half of what is left goes away
    /// with each look. At least the floor.</summary>
    internal ulong FirstAt(long time)
    {
        var low = Floor().Number;
        var high = End;
        while (low < high)
        {
            var middle = low + (high - low) / 2;
            if (TryGet(middle, out _, out var at, out _) && at < time)
                low = middle + 1;
            else
                high = middle;
        }

        return low;
    }
}

/// <summary>A filter by event types.</summary>
internal sealed class TypeFilter
{
    private readonly byte[][] _types;

    private TypeFilter(byte[][] types) => _types = types;

    /// <summary>Null for all types.</summary>
    internal static TypeFilter? Of(IReadOnlyCollection<string>? types, Limits limits)
    {
        if (types is null)
            return null;
        Many.CheckCount(types.Count, limits);
        Span<byte> buffer = stackalloc byte[Limits.NameBytesMax];
        var encoded = new byte[types.Count][];
        var index = 0;
        foreach (var type in types)
        {
            KeyRules.EncodeNameForRead(type, buffer, out var length);
            encoded[index++] = buffer[..length].ToArray();
        }

        Array.Sort(encoded, ByteArrayComparer.Instance);
        return new TypeFilter(encoded);
    }

    internal bool Takes(ReadOnlySpan<byte> type)
    {
        foreach (var candidate in _types)
        {
            if (type.SequenceEqual(candidate))
                return true;
        }

        return false;
    }

    internal uint Hash(uint state)
    {
        foreach (var type in _types)
            state = Crc32C.Append(Crc32C.Append(state, [(byte)(type.Length - 1)]), type);
        return state;
    }
}

/// <summary>Pages of events.</summary>
internal static class EventPages
{
    private const byte ByNumber = StoreKeys.Event;
    private const byte ByTime = StoreKeys.Event + 1;

    /// <param name="from">Null = from the first one that is kept.</param>
    /// <param name="to">Exclusive; <see cref="ulong.MaxValue"/> = to the end.</param>
    internal static Page<EventRecord> Range(Cursors cursors, SnapshotRegistry pins, Scope scope, ulong? from, ulong to, EventScanOptions? options) =>
        Read(cursors, pins, scope, ByNumber, from, to, options ?? new EventScanOptions());

    /// <param name="from">Microseconds, inclusive.</param>
    /// <param name="to">Microseconds, exclusive.</param>
    internal static Page<EventRecord> RangeByTime(Cursors cursors, SnapshotRegistry pins, Scope scope, long from, long to, EventScanOptions? options) =>
        Read(cursors, pins, scope, ByTime, (ulong)from, (ulong)to, options ?? new EventScanOptions());

    private static Page<EventRecord> Read(
        Cursors cursors, SnapshotRegistry pins, Scope scope, byte listing, ulong? asked, ulong to, EventScanOptions options)
    {
        scope.ThrowIfNotReadable();
        var limit = KeyRange.PageLimit(options.Limit, scope.Path.Limits);
        var filter = TypeFilter.Of(options.Types, scope.Path.Limits);
        var from = asked ?? 0;
        var request = Request(from, to, options.Reverse, filter);
        var pin = default(SnapshotPin);
        var at = scope;
        var last = Array.Empty<byte>();
        if (options.Cursor is { } cursor)
        {
            Cursors.Parse(cursor, listing, request, out var sequence, out var time, out last);
            if (scope.IsLive)
            {
                pin = cursors.Resume(scope.Run, sequence);
                at = Scope.Snapshot(scope.Path, scope.Run, sequence, time);
            }
            else if (sequence != scope.Sequence)
            {
                throw new CairnException(ErrorCode.InvalidArgument, "The cursor comes from another snapshot. Continue a listing where it was begun.");
            }
        }
        else if (scope.IsLive)
        {
            pin = pins.Take(scope.Run.Visible, scope.Run.Store.RunTag);
            at = Scope.Snapshot(scope.Path, scope.Run, pin.Sequence, scope.Path.ReadTime());
        }

        try
        {
            using var reader = at.Run.Store.Read();
            var events = new EventReader(at, reader, stackalloc byte[EventReader.KeyBytes]);
            var floor = events.Floor();
            if (listing == ByTime)
            {
                if ((long)from <= floor.Time && from < to && floor.Number > 0)
                    floor.ThrowIfBelow(floor.Number - 1);    // the last one that is gone has such a time
                (from, to) = (events.FirstAt((long)from), events.FirstAt((long)to));
                if (to == events.End)
                    to = ulong.MaxValue;                     // what is appended next may have that time too
            }
            else if (asked is null)
            {
                from = floor.Number;
            }
            else
            {
                floor.ThrowIfBelow(from, to);
            }

            Continue(last, options.Reverse, ref from, ref to);
            var records = Collect(events, from, to, limit, options.Reverse, filter, out var next);
            var more = next is { } number ? Keep(cursors, scope, at, listing, number, request) : null;
            return new Page<EventRecord>(records, more, new Sequence(at.Sequence));
        }
        finally
        {
            if (scope.IsLive)
                pins.Release(pin);
        }
    }

    private static uint Request(ulong from, ulong to, bool reverse, TypeFilter? filter)
    {
        Span<byte> bytes = stackalloc byte[18];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, from);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[8..], to);
        bytes[16] = reverse ? (byte)1 : (byte)0;
        bytes[17] = filter is null ? (byte)0 : (byte)1;
        var state = Crc32C.Append(Crc32C.Start, bytes);
        return Crc32C.Finish(filter?.Hash(state) ?? state);
    }

    private static void Continue(ReadOnlySpan<byte> last, bool reverse, ref ulong from, ref ulong to)
    {
        if (last.Length != 8)
            return;
        var number = BinaryPrimitives.ReadUInt64BigEndian(last);
        if (reverse)
            to = Math.Min(to, number);
        else
            from = Math.Max(from, number + 1);
    }

    /// <param name="next">The last number given, when there is more behind it.</param>
    private static List<EventRecord> Collect(
        EventReader events, ulong from, ulong to, int limit, bool reverse, TypeFilter? filter, out ulong? next)
    {
        next = null;
        var end = Math.Min(to, events.End);
        var records = new List<EventRecord>(from < end && filter is null ? (int)Math.Min((ulong)limit, end - from) : 0);
        var reachesEnd = to > events.Committed && from < to;
        var isEndNoted = reverse && reachesEnd;
        if (isEndNoted)
            events.NoteEnd();
        var scan = new EventScan(events, from, end, reverse, stackalloc byte[EventScan.BoundsBytes]);
        while (scan.MoveNext())
        {
            if (scan.Number >= events.Committed && !isEndNoted)
            {
                events.NoteEnd();
                isEndNoted = true;
            }

            if (filter?.Takes(scan.Type) == false)
                continue;
            if (records.Count == limit)
            {
                next = records[^1].Number.Value;
                return records;
            }

            records.Add(scan.ToRecord());
        }

        if (reachesEnd && !isEndNoted)
            events.NoteEnd();
        return records;
    }

    private static string Keep(Cursors cursors, Scope scope, Scope at, byte listing, ulong last, uint request)
    {
        Span<byte> key = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64BigEndian(key, last);
        return scope.IsLive
            ? cursors.Keep(listing, at.Run, at.Sequence, at.Time, key, request)
            : Cursors.Format(listing, at.Sequence, at.Time, key, request);
    }
}
