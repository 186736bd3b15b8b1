// Trimming: events that retention lets go of (RET-7).
//
// They go from the front, some hundred in a commit, by an operation that the maintainer commits when a policy says so (TrimJob.cs):
//
//      number     #0   #1   #2   #3   #4   #5   #6          Trim to #4
//                 x----x----x----x    e4 - e5 - e6 = head   floor: number 4, hash and time of #3
//
//   store key     30 alone    the floor: number of the first event that stays, hash and time of the one before it
//   operation     33 Trim     the same, and for each type among those that go: how many of them, and its first event that stays
//
// M1  Numbers and hashes go on as before: nothing is counted or hashed anew. Verification begins with the hash in the floor.
// M2  Apply looks for nothing: what a stream of a type needs to know (its first event that stays) was looked up before, without a lock.
//     Events do not change and new ones come behind, so it stays true; but where none was found, one may have come. Resolve refuses then,
//     and the next try looks again.
// M3  It deletes keys like any other commit: who has a snapshot sees them still, and memory, tables and log give them up in their time.
// M4  In a run that never had an event, the floor is where its events will begin: how an import or a salvage goes on from where another
//     run's were trimmed.
// M5  Consumers keep their positions. Who reads from below the floor is told, and told where to go on; so nobody misses events unseen.
// M6  What indexes have of an event goes with it, and is found by reading the event: so a step has a bound of bytes, too.

using System.Buffers.Binary;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn.Primitives;

/// <summary>Where a run's events begin. Layout, little-endian: <code>
///  0  u64  number of the first event that is kept
///  8  32   hash of the event before it
/// 40  i64  time of that event </code></summary>
internal readonly record struct TrimFloor(ulong Number, Hash256 Before, long Time)
{
    internal const int Size = 8 + Hash256.Size + 8;

    internal static ReadOnlySpan<byte> Key => [StoreKeys.Event];

    internal static TrimFloor Read(ReadOnlySpan<byte> source) => new(
        BinaryPrimitives.ReadUInt64LittleEndian(source),
        new Hash256(source.Slice(8, Hash256.Size)),
        BinaryPrimitives.ReadInt64LittleEndian(source[(8 + Hash256.Size)..]));

    internal void Write(Span<byte> target)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(target, Number);
        Before.CopyTo(target[8..]);
        BinaryPrimitives.WriteInt64LittleEndian(target[(8 + Hash256.Size)..], Time);
    }

    /// <exception cref="HistoryTrimmedException">Events from there on are asked for, and the first of them are gone.</exception>
    internal void ThrowIfBelow(ulong from, ulong to = ulong.MaxValue)
    {
        if (from < Number && from < to && !Mutant.Is("trimmed-events-unsaid"))
            throw new HistoryTrimmedException(new EventNumber(from), new EventNumber(Number));
    }
}

/// <summary>What a trim does to the stream of a type. In the operation: bytes of type u16, type, gone u64, first u64, first time
/// i64.</summary>
/// <param name="Gone">Events of the type that go, at least 1.</param>
/// <param name="First">The first one that stays; <see cref="None"/> = none.</param>
internal readonly record struct TrimmedType(byte[] Type, ulong Gone, ulong First, long FirstTime)
{
    internal const ulong None = ulong.MaxValue;
    internal const int FixedBytes = 2 + 8 + 8 + 8;
}

/// <summary>See the essay above. What one operation does.</summary>
/// <param name="FloorVersion">Sequence of the newest version of the floor; 0 = there is none.</param>
internal sealed record EventTrim(ulong From, TrimFloor To, IReadOnlyList<TrimmedType> Types, ulong FloorVersion)
{
    /// <summary>Most events in one operation. Chosen: some hundred microseconds under the run's lock.</summary>
    internal const int EventsMax = 256;

    /// <summary>An operation ends behind the event that brings what goes to so many bytes: what indexes hold of events is found by
    /// reading them. Chosen: some milliseconds.</summary>
    internal const int BytesMax = 4 << 20;

    private const int NumbersPerReader = 1_024;
    private const int TypesOffset = TrimFloor.Size + 2;

    private int BodyBytes => TypesOffset + Types.Sum(type => TrimmedType.FixedBytes + type.Type.Length);

    // ---- planning: no lock, no operation yet ----------------------------------------------------------------------------------

    /// <summary>The first event of a run that a policy keeps; the number of the next one when it keeps none.</summary>
    /// <param name="now">Microseconds.</param>
    internal static ulong KeptFrom(Retention policy, EventReader events, long now)
    {
        var from = events.Committed;
        if (policy.KeepsAllEvents)
            return events.Floor().Number;
        if (policy.Duration is { } duration)
            from = Math.Min(from, events.FirstAt(now - duration.Ticks / TimeSpan.TicksPerMicrosecond));
        if (policy.Events is { } newest && (ulong)newest is var most)
            from = Math.Min(from, events.Committed > most ? events.Committed - most : 0);
        return from;
    }

    /// <summary>How the next events of a run go, so that those from <paramref name="end"/> on stay. Null: they do not reach so far, or are
    /// gone.</summary>
    /// <param name="end">At most the number of events.</param>
    internal static EventTrim? Plan(SnapshotRegistry pins, Scope live, ulong end)
    {
        using var pinned = new PinnedScope(pins, live);
        var scope = pinned.Scope;
        ulong from, version, to;
        TrimFloor floor;
        var gone = new SortedDictionary<byte[], ulong>(ByteArrayComparer.Instance);
        using (var reader = scope.Run.Store.Read())
        {
            var events = new EventReader(scope, reader, stackalloc byte[EventReader.KeyBytes]);
            from = events.Floor(out version).Number;
            to = Math.Min(Math.Min(end, events.Committed), from + EventsMax);
            if (to <= from)
                return null;
            floor = default;
            var bytes = 0L;
            var scan = new EventScan(events, from, to, reverse: false, stackalloc byte[EventScan.BoundsBytes]);
            while (bytes < BytesMax && scan.MoveNext())
            {
                var type = scan.Type.ToArray();
                gone[type] = gone.GetValueOrDefault(type) + 1;
                bytes += scan.Bytes;
                if (scan.Number == to - 1 || bytes >= BytesMax)
                    floor = new TrimFloor(to = scan.Number + 1, scan.Hash, scan.Time);
            }

            Invariant.Check(floor.Number == to, "events have no gaps above their floor");
        }

        return new EventTrim(from, floor, TypesOf(scope, to, gone), version);
    }

    private static List<TrimmedType> TypesOf(Scope scope, ulong to, SortedDictionary<byte[], ulong> gone)
    {
        var firsts = new Dictionary<byte[], (ulong Number, long Time)>(ByteArrayComparer.Instance);
        var sought = StaysOf(scope, gone);
        Span<byte> key = stackalloc byte[EventReader.KeyBytes];
        Span<byte> bounds = stackalloc byte[EventScan.BoundsBytes];
        for (var number = to; sought.Count > 0;)
        {
            using var reader = scope.Run.Store.Read();
            var events = new EventReader(scope, reader, key);
            if (number >= events.Committed)
                break;
            var stop = Math.Min(events.Committed, number + NumbersPerReader);
            var scan = new EventScan(events, number, stop, reverse: false, bounds);
            while (sought.Count > 0 && scan.MoveNext())
            {
                var type = scan.Type.ToArray();
                if (sought.Remove(type))
                    firsts.Add(type, (scan.Number, scan.Time));
            }

            number = stop;
        }

        return [.. gone.Select(type => firsts.TryGetValue(type.Key, out var first)
            ? new TrimmedType(type.Key, type.Value, first.Number, first.Time)
            : new TrimmedType(type.Key, type.Value, TrimmedType.None, 0))];
    }

    // Types of which events stay, as their streams say.
    private static HashSet<byte[]> StaysOf(Scope scope, SortedDictionary<byte[], ulong> gone)
    {
        var stays = new HashSet<byte[]>(ByteArrayComparer.Instance);
        Span<byte> key = stackalloc byte[1 + Limits.NameBytesMax];
        using var reader = scope.Run.Store.Read();
        foreach (var (type, count) in gone)
        {
            if (scope.TryGetCommitted(reader, StoreKeys.Of(key, StoreKeys.EventStream, type), out var version)
                && EventStream.Read(version.Value).Count > count)
                stays.Add(type);
        }

        return stays;
    }

    // ---- the operation --------------------------------------------------------------------------------------------------------

    /// <summary>Adds it to a batch.</summary>
    internal void AddTo(Batch batch)
    {
        var goes = (int)(To.Number - From);
        var typeBytes = Types.Sum(type => type.Type.Length);
        var body = batch.Add(
            OperationCode.EventTrim, 0, default, BodyBytes, (Types.Count == 0 ? 0 : goes) + Types.Count + 2,
            (long)EventReader.KeyBytes * goes + typeBytes + (long)EventStream.Size * Types.Count + TrimFloor.Size);
        Write(body);
        batch.NeedsResolve = true;
    }

    /// <summary>Adds the operation by which the events of a run that has none will begin at a floor (M4).</summary>
    internal static void AddBeginning(Batch batch, TrimFloor floor) => new EventTrim(floor.Number, floor, [], 0).AddTo(batch);

    /// <summary>That the floor is where this was planned from.</summary>
    internal Expectation Expects(RunState run) =>
        new(run, TrimFloor.Key.ToArray(), ExpectationKind.Newest, FloorVersion);

    private void Write(Span<byte> body)
    {
        To.Write(body);
        BinaryPrimitives.WriteUInt16LittleEndian(body[TrimFloor.Size..], (ushort)Types.Count);
        var rest = body[TypesOffset..];
        foreach (var type in Types)
        {
            BinaryPrimitives.WriteUInt16LittleEndian(rest, (ushort)type.Type.Length);
            type.Type.CopyTo(rest[2..]);
            rest = rest[(2 + type.Type.Length)..];
            BinaryPrimitives.WriteUInt64LittleEndian(rest, type.Gone);
            BinaryPrimitives.WriteUInt64LittleEndian(rest[8..], type.First);
            BinaryPrimitives.WriteInt64LittleEndian(rest[16..], type.FirstTime);
            rest = rest[24..];
        }
    }

    /// <summary>Reads a body. False: it is not one.</summary>
    internal static bool TryRead(ReadOnlySpan<byte> body, out TrimFloor to, out TrimmedTypes types)
    {
        types = default;
        to = default;
        if (body.Length < TypesOffset)
            return false;
        to = TrimFloor.Read(body);
        types = new TrimmedTypes(body[TypesOffset..], BinaryPrimitives.ReadUInt16LittleEndian(body[TrimFloor.Size..]));
        var each = types;
        var goes = 0UL;
        while (each.MoveNext())
            goes += each.Gone;
        return each.IsWhole && to.Number > 0 && goes <= EventsMax;
    }

    /// <summary>The events that go: [from, to).</summary>
    internal static bool TryReadNumbers(ReadOnlySpan<byte> body, out ulong from, out ulong to)
    {
        from = 0;
        to = 0;
        if (!TryRead(body, out var floor, out var types))
            return false;
        var goes = 0UL;
        while (types.MoveNext())
            goes += types.Gone;
        to = floor.Number;
        from = to - Math.Min(goes, to);
        return goes > 0;
    }

    /// <summary>M2: null, or that it has to be planned again.</summary>
    internal static CairnException? Resolve(ReadOnlySpan<byte> body, RunState run)
    {
        Invariant.Check(TryRead(body, out var to, out var types), "a trim has its form");
        if (Mutant.Is("trim-of-stale-plan"))
            return null;
        if (types.Count == 0)
            return run.NextEvent == 0 ? null : Refused(run);
        Span<byte> key = stackalloc byte[1 + Limits.NameBytesMax];
        using var reader = run.Store.Read();
        while (types.MoveNext())
        {
            if (!reader.TryGetNewest(StoreKeys.Of(key, StoreKeys.EventStream, types.Type), out var version) || version.IsTombstone
                || (EventStream.Read(version.Value).Count == types.Gone) != (types.First == TrimmedType.None)
                || to.Number > run.NextEvent)
                return Refused(run);
        }

        return null;
    }

    private static CairnException Refused(RunState run) => new(
        ErrorCode.ConstraintViolation, $"Events of run {run.Id} came or went while it was planned which of them go. Plan it again.");

    internal static void EachKey(ReadOnlySpan<byte> body, RunState run, StoreKeyVisitor visit)
    {
        visit(run.Store, TrimFloor.Key);
        visit(run.Store, [StoreKeys.EventHead]);
        if (!TryRead(body, out var to, out var types))
            return;
        Span<byte> key = stackalloc byte[1 + Limits.NameBytesMax];
        var goes = 0UL;
        while (types.MoveNext())
        {
            goes += types.Gone;
            visit(run.Store, StoreKeys.Of(key, StoreKeys.EventStream, types.Type));
        }

        for (var number = to.Number - Math.Min(goes, to.Number); number < to.Number; number++)
            visit(run.Store, StoreKeys.Of(key, StoreKeys.Event, number));
        if (run.Indexes is not { IsEmpty: false })
            return;
        foreach (var item in IndexedEvents.ItemsOfTrim(body, run))
            visit(run.Store, item);
    }

    internal static bool Apply(ReadOnlySpan<byte> body, in ApplyContext context)
    {
        if (!TryRead(body, out var to, out var types))
            return false;
        var run = context.Run;
        if (types.Count == 0)
        {
            if (run.NextEvent != 0)
                return false;
            ApplyBeginning(to, context);
        }
        else if (!TryApply(to, types, IndexedEvents.ItemsOfTrim(body, run), context))
        {
            return false;
        }

        Span<byte> floor = stackalloc byte[TrimFloor.Size];
        to.Write(floor);
        if (!Mutant.Is("trim-forgets-the-floor"))
            context.Put(TrimFloor.Key, floor);
        return true;
    }

    private static void ApplyBeginning(in TrimFloor to, in ApplyContext context)
    {
        context.Run.NextEvent = to.Number;
        context.Run.EventHead = to.Before;
        EventOperations.PutHead(context);
    }

    private static bool TryApply(in TrimFloor to, TrimmedTypes types, List<byte[]> items, in ApplyContext context)
    {
        var from = 0UL;
        using (var reader = context.Read())
        {
            if (reader.TryGetForApply(TrimFloor.Key, out var version) && !version.IsTombstone)
                from = TrimFloor.Read(version.Value).Number;
        }

        if (to.Number <= from || to.Number > context.Run.NextEvent)
            return false;
        Span<byte> key = stackalloc byte[1 + Limits.NameBytesMax];
        var goes = 0UL;
        while (types.MoveNext())
        {
            goes += types.Gone;
            if (!TryApply(StoreKeys.Of(key, StoreKeys.EventStream, types.Type), types, context))
                return false;
        }

        if (goes != to.Number - from)
            return false;
        for (var number = from; number < to.Number; number++)
        {
            if (!Mutant.Is("trim-leaves-events"))
                context.Delete(StoreKeys.Of(key, StoreKeys.Event, number));
        }

        foreach (var item in items)
        {
            if (!Mutant.Is("index-keeps-trimmed-events"))
                context.Delete(item);
        }

        return true;
    }

    private static bool TryApply(ReadOnlySpan<byte> streamKey, in TrimmedTypes type, in ApplyContext context)
    {
        EventStream stream;
        using (var reader = context.Read())
        {
            if (!reader.TryGetForApply(streamKey, out var version) || version.IsTombstone)
                return false;
            stream = EventStream.Read(version.Value);
        }

        if (stream.Count < type.Gone || (stream.Count == type.Gone) != (type.First == TrimmedType.None))
            return false;
        if (stream.Count == type.Gone)
        {
            context.Delete(streamKey);
            return true;
        }

        Span<byte> value = stackalloc byte[EventStream.Size];
        (stream with { Count = stream.Count - type.Gone, First = type.First, FirstTime = type.FirstTime }).Write(value);
        context.Put(streamKey, value);
        return true;
    }
}

/// <summary>The types in the body of a trim.</summary>
internal ref struct TrimmedTypes(ReadOnlySpan<byte> rest, int count)
{
    private ReadOnlySpan<byte> _rest = rest;
    private int _left = count;

    internal int Count { get; } = count;

    internal ReadOnlySpan<byte> Type { get; private set; }

    internal ulong Gone { get; private set; }

    internal ulong First { get; private set; }

    internal long FirstTime { get; private set; }

    /// <summary>All were read, and nothing is behind them.</summary>
    internal readonly bool IsWhole => _left == 0 && _rest.IsEmpty;

    internal bool MoveNext()
    {
        if (_left == 0 || _rest.Length < TrimmedType.FixedBytes)
            return false;
        var length = BinaryPrimitives.ReadUInt16LittleEndian(_rest);
        if (length is 0 or > Limits.NameBytesMax || _rest.Length < TrimmedType.FixedBytes + length)
            return false;
        Type = _rest.Slice(2, length);
        _rest = _rest[(2 + length)..];
        Gone = BinaryPrimitives.ReadUInt64LittleEndian(_rest);
        First = BinaryPrimitives.ReadUInt64LittleEndian(_rest[8..]);
        FirstTime = BinaryPrimitives.ReadInt64LittleEndian(_rest[16..]);
        _rest = _rest[24..];
        _left--;
        return true;
    }
}
