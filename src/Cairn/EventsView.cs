using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using Cairn.Codec;
using Cairn.Primitives;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn;

/// <summary>Reads of the event primitive: what happened in a run, in one order that never changes, chained by hashes. Ranges are
/// <c>[from, to)</c>, and everything that begins somewhere begins there inclusively. Thread-safe, except inside a transaction. Reads
/// never change anything, and never wait, but for <see cref="Wait"/> and <see cref="Follow"/>, which are made for it.</summary>
/// <remarks>Inside a transaction, what shows where the events end (the count, the head, a number that is not there yet, a range that
/// reaches the end, the transaction's own events) is validated at commit: any append by somebody else conflicts with it. Reading events
/// that are there never conflicts.</remarks>
public class EventsView
{
    private const byte ListingTypes = StoreKeys.EventStream + 1;
    private const byte ListingQuery = 0x3F;

    /// <summary>Events that a follower reads at a time.</summary>
    private const int FollowChunk = 256;

    /// <summary>Events that a scan shows before it leaves the epoch for a moment, so that what others have freed is freed.</summary>
    private const ulong ShownPerEpoch = 1024;

    internal EventsView(Engine engine, Scope scope)
    {
        Engine = engine;
        Scope = scope;
        Consumers = new EventConsumersView(engine, scope);
    }

    internal Engine Engine { get; }

    internal Scope Scope { get; }

    /// <summary>Who reads the events, and how far they have come.</summary>
    public EventConsumersView Consumers { get; }

    /// <summary>Reads an event; null when the run has none of that number yet.</summary>
    /// <param name="number">From 0.</param>
    /// <exception cref="HistoryTrimmedException">Retention has let go of it.</exception>
    public EventRecord? Get(EventNumber number)
    {
        Scope.ThrowIfNotReadable();
        using var use = Scope.Use();
        using var reader = Scope.Run.Store.Read();
        var events = new EventReader(Scope, reader, stackalloc byte[EventReader.KeyBytes]);
        if (number.Value >= events.Committed)
            events.NoteEnd();
        return events.Find(number.Value);
    }

    /// <summary>Reads an event.</summary>
    /// <param name="number">From 0.</param>
    /// <param name="record">The event; null when there is none of that number yet.</param>
    /// <returns>False when there is none.</returns>
    /// <exception cref="HistoryTrimmedException">Retention has let go of it.</exception>
    public bool TryGet(EventNumber number, [NotNullWhen(true)] out EventRecord? record)
    {
        record = Get(number);
        return record is not null;
    }

    /// <summary>Events by number, a page at a time.</summary>
    /// <param name="from">First number, inclusive.</param>
    /// <param name="to">End, exclusive; may lie behind the end of the run.</param>
    /// <param name="options">Filter, order, page; null = all types, oldest first, <see cref="Limits.PageSize"/>.</param>
    /// <exception cref="CairnException"><see cref="ErrorCode.CursorExpired"/>; <see cref="ErrorCode.InvalidArgument"/>: a cursor of
    /// another listing; <see cref="ErrorCode.InvalidName"/>: a type that cannot be one.</exception>
    /// <exception cref="HistoryTrimmedException">It begins below what retention has left; <see cref="Floor"/> is where that
    /// begins.</exception>
    /// <exception cref="LimitException">The page or the list of types is too long.</exception>
    public Page<EventRecord> Range(EventNumber from, EventNumber to, EventScanOptions? options = null) =>
        EventPages.Range(Engine.Cursors, Engine.Pins, Scope, from.Value, to.Value, options);

    /// <summary>All events from a number on, a page at a time.</summary>
    /// <inheritdoc cref="Range"/>
    public Page<EventRecord> Since(EventNumber from, EventScanOptions? options = null) =>
        EventPages.Range(Engine.Cursors, Engine.Pins, Scope, from.Value, ulong.MaxValue, options);

    /// <summary>Events of some types, a page at a time, from the first one that is kept. A type is a filter over the run's one order: its
    /// numbers have gaps.</summary>
    /// <param name="types">At least one.</param>
    /// <inheritdoc cref="Range" path="/exception"/>
    public Page<EventRecord> ByType(params string[] types) => ByType(new EventScanOptions { Types = types });

    /// <summary>Events of the types that the options name, a page at a time, from the first one that is kept.</summary>
    /// <param name="options">With <see cref="EventScanOptions.Types"/>.</param>
    /// <inheritdoc cref="Range" path="/exception"/>
    public Page<EventRecord> ByType(EventScanOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        if (options.Types is not { Count: > 0 })
            throw new CairnException(ErrorCode.InvalidArgument, "ByType needs at least one type. All types: Since(0).");
        return EventPages.Range(Engine.Cursors, Engine.Pins, Scope, null, ulong.MaxValue, options);
    }

    /// <summary>Events by commit time, a page at a time. Finds its place in logarithmic time.</summary>
    /// <param name="from">First time, inclusive, to the microsecond.</param>
    /// <param name="to">End, exclusive.</param>
    /// <param name="options">As in <see cref="Range"/>.</param>
    /// <inheritdoc cref="Range" path="/exception"/>
    public Page<EventRecord> RangeByTime(DateTimeOffset from, DateTimeOffset to, EventScanOptions? options = null) =>
        EventPages.RangeByTime(
            Engine.Cursors, Engine.Pins, Scope, CommitClock.Microseconds(from), CommitClock.Microseconds(to), options);

    /// <summary>Shows events to a callback, oldest first, all as they are when the call begins. Allocates nothing per event, copies and
    /// decodes nothing: many times quicker than <see cref="Range"/>, for who looks at events once.</summary>
    /// <param name="from">First number, inclusive.</param>
    /// <param name="to">End, exclusive; may lie behind the end of the run.</param>
    /// <param name="state">Handed to every call of <paramref name="visitor"/>.</param>
    /// <param name="visitor">Called with each event on this thread. It may use the database, its own appends are not shown, and what it
    /// throws ends the scan. It should not take long: memory that others free meanwhile waits for it.</param>
    /// <typeparam name="TState">Type of the state.</typeparam>
    /// <returns>Number of events shown.</returns>
    /// <exception cref="CairnException"><see cref="ErrorCode.NotFound"/>: the run was deleted, before or during the call.</exception>
    /// <exception cref="HistoryTrimmedException">It begins below what retention has left.</exception>
    public long Scan<TState>(EventNumber from, EventNumber to, ref TState state, EventVisitor<TState> visitor)
    {
        ArgumentNullException.ThrowIfNull(visitor);
        using var pinned = new PinnedScope(Engine.Pins, Scope);
        var at = pinned.Scope;
        var shown = 0L;
        var next = from.Value;
        var end = ulong.MaxValue;
        var isEndNoted = false;
        Span<byte> key = stackalloc byte[EventReader.KeyBytes];
        Span<byte> bounds = stackalloc byte[EventScan.BoundsBytes];
        while (true)
        {
            using var reader = at.Run.Store.Read();
            var events = new EventReader(at, reader, key);
            if (shown == 0)
                events.Floor().ThrowIfBelow(next, to.Value);
            end = Math.Min(end, Math.Min(to.Value, events.End));
            var stop = end > next && end - next > ShownPerEpoch ? next + ShownPerEpoch : end;
            var scan = new EventScan(events, next, stop, reverse: false, bounds);
            while (scan.MoveNext())
            {
                if (scan.Number >= events.Committed && !isEndNoted)
                {
                    events.NoteEnd();
                    isEndNoted = true;
                }

                shown++;
                if (!visitor(scan.Borrowed, ref state))
                    return shown;
            }

            if (stop == end)
            {
                if (to.Value > events.Committed && from < to && !isEndNoted && !Mutant.Is("scan-forgets-the-end"))
                    events.NoteEnd();
                return shown;
            }

            next = stop;
            at.ThrowIfNotReadable();
        }
    }

    /// <summary>Events that a filter holds for, a page at a time. Paths lead into an object of <c>number</c>, <c>type</c>, <c>time</c>
    /// (microseconds: commit time, of an imported event the time that it had), <c>payload</c>, <c>causes</c> (numbers) and
    /// <c>redacted</c>; and to <c>$key</c> (the number as <c>#5</c>), <c>$version</c> (the commit that appended it) and <c>$time</c> (as
    /// time), which are no parts of the whole. A redacted event has no payload, and what was not said is not there. What retention has let
    /// go of is not found. Indexes (<see cref="Run.Indexes"/>) make it quicker and change no answer; <see cref="Explain"/> tells how it is
    /// done. In a transaction it has read what it looked at: a redaction and a trim of that are conflicts, and an append is one where it
    /// comes into what an index was asked for, or where the query saw the end.</summary>
    /// <param name="filter">Null = all.</param>
    /// <param name="options">Order and page; null = the first page by number.</param>
    /// <exception cref="CairnException"><see cref="ErrorCode.CursorExpired"/>; <see cref="ErrorCode.InvalidArgument"/>: a cursor of
    /// another query.</exception>
    /// <exception cref="LimitException">The filter, the order or the page is too large.</exception>
    public Page<EventRecord> Query(Filter? filter = null, QueryOptions? options = null)
    {
        var records = new List<EventRecord>();
        var found = Find(
            filter, options,
            (at, _, thing, _) => records.Add(new EventsView(Engine, at).Get(BinaryPrimitives.ReadUInt64BigEndian(thing))!));
        return new Page<EventRecord>(records, found.Cursor, new Sequence(found.Sequence));
    }

    /// <summary>As <see cref="Query"/>, and of each event only some places.</summary>
    /// <param name="paths">The places; at most <see cref="Limits.ManyItemsMax"/>.</param>
    /// <param name="filter">Null = all.</param>
    /// <param name="options">Order and page; null = the first page by number.</param>
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
    /// <param name="options">Order and page; null = the first page by number.</param>
    /// <inheritdoc cref="Query" path="/exception"/>
    public QueryPlan Explain(Filter? filter = null, QueryOptions? options = null) => Find(filter, options, null).Plan;

    private QueryPage Find(
        Filter? filter, QueryOptions? options, Action<Scope, IndexedThings, byte[], AskedThing>? each) => Queries.Run(
        Scope, Engine.Cursors, Engine.Pins, IndexTargets.Of(IndexTarget.Events), ListingQuery, filter, options ?? QueryOptions.None, each);

    /// <summary>Finds events by the words in them, best first.</summary>
    /// <inheritdoc cref="Run.Search(string, SearchOptions?, CancellationToken)"/>
    public SearchResponse Search(string text, SearchOptions? options = null, CancellationToken cancellationToken = default) =>
        Searching.In(Engine, Scope, text, options, cancellationToken, "events");

    /// <summary>Number of events that are kept. Costs the same at any size.</summary>
    public long Count()
    {
        Scope.ThrowIfNotReadable();
        using var use = Scope.Use();
        using var reader = Scope.Run.Store.Read();
        var events = new EventReader(Scope, reader, stackalloc byte[EventReader.KeyBytes]);
        events.NoteEnd();
        Scope.NotePoint(TrimFloor.Key);
        return (long)(events.End - events.Floor().Number);
    }

    /// <summary>Where the events begin that retention has left; number 0 as long as it has taken none.</summary>
    public EventFloor Floor()
    {
        Scope.ThrowIfNotReadable();
        using var use = Scope.Use();
        using var reader = Scope.Run.Store.Read();
        Scope.NotePoint(TrimFloor.Key);
        var floor = new EventReader(Scope, reader, stackalloc byte[EventReader.KeyBytes]).Floor();
        return new EventFloor(floor.Number, floor.Before, floor.Number == 0 ? null : CommitClock.Time(floor.Time));
    }

    /// <summary>Number of events of a type. Costs the same at any size.</summary>
    /// <inheritdoc cref="StreamInfo" path="/param"/>
    /// <inheritdoc cref="StreamInfo" path="/exception"/>
    public long CountByType(string type) => StreamInfo(type)?.Count ?? 0;

    /// <summary>The newest event's number and hash; null when there never was one. The hash stands for the whole history, also for what
    /// retention has let go of, be it the newest event itself.</summary>
    public EventHead? Head()
    {
        Scope.ThrowIfNotReadable();
        using var use = Scope.Use();
        using var reader = Scope.Run.Store.Read();
        var events = new EventReader(Scope, reader, stackalloc byte[EventReader.KeyBytes]);
        events.NoteEnd();
        if (events.End == 0)
            return null;
        return new EventHead(events.End - 1, events.End == events.Committed ? events.HeadHash : default);
    }

    /// <summary>What types of events there are, in order of their UTF-8 bytes, a page at a time.</summary>
    /// <param name="options">Which part; null = from the beginning.</param>
    /// <inheritdoc cref="Range" path="/exception"/>
    public Page<string> Types(ScanOptions? options = null)
    {
        var range = KeyRange.Of(options ?? new ScanOptions(), StoreKeys.EventStream, Engine.Limits);
        var rows = new Listing(
            Scope, Engine.Cursors, Engine.Pins, ListingTypes, range.From, range.To, range.Limit, options?.Cursor,
            options?.Reverse ?? false);
        try
        {
            var types = new List<string>();
            while (rows.MoveNext())
                types.Add(Utf8.GetTrustedString(rows.Key[1..]));
            return new Page<string>(types, rows.End(), new Sequence(rows.Sequence));
        }
        finally
        {
            rows.Dispose();
        }
    }

    /// <summary>Count, first and last event of a type, of those that are kept; null when there is none. Costs the same at any
    /// size.</summary>
    /// <param name="type">1 to 256 bytes of UTF-8.</param>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidName"/>: cannot be a type.</exception>
    /// <exception cref="LimitException">The type is too long.</exception>
    public EventStreamInfo? StreamInfo(string type)
    {
        Scope.ThrowIfNotReadable();
        using var use = Scope.Use();
        Span<byte> buffer = stackalloc byte[1 + Limits.NameBytesMax];
        KeyRules.EncodeNameForRead(type, buffer[1..], out var length);
        buffer[0] = StoreKeys.EventStream;
        var key = buffer[..(1 + length)];
        using var reader = Scope.Run.Store.Read();
        Scope.NotePoint(key);
        var stream = Scope.TryGetCommitted(reader, key, out var version) && !version.IsTombstone
            ? EventStream.Read(version.Value)
            : default;
        if (Scope.Writes is { Appends.Count: > 0 } writes)
            stream = WithOwn(stream, key[1..], new EventReader(Scope, reader, stackalloc byte[EventReader.KeyBytes]), writes);
        return stream.Count == 0 ? null : new EventStreamInfo(
            type, (long)stream.Count, stream.First, CommitClock.Time(stream.FirstTime), stream.Last, CommitClock.Time(stream.LastTime));
    }

    private EventStream WithOwn(EventStream stream, ReadOnlySpan<byte> type, EventReader events, PendingWrites writes)
    {
        for (var i = 0; i < writes.Appends.Count; i++)
        {
            if (!type.SequenceEqual(writes.Appends[i].OperationKey))
                continue;
            stream = stream.With(events.Committed + (ulong)i, Scope.Time);
            events.NoteEnd();                                // the number is right only if nobody appends
        }

        return stream;
    }

    /// <summary>Where an event came from that a merge brought (<see cref="Runs.Merge"/>). Costs a read of the events that came with
    /// it.</summary>
    /// <returns>Null when it was appended to this run, or to one that this was forked from, or there is none of this number.</returns>
    public EventOrigin? Origin(EventNumber number)
    {
        using var pinned = new PinnedScope(Engine.Pins, Scope);
        using var reader = Scope.Run.Store.Read();
        var events = new EventReader(pinned.Scope, reader, stackalloc byte[EventReader.KeyBytes]);
        if (number.Value >= events.Committed)
            return null;
        return MergedEvents.OriginOf(events, pinned.Scope, number.Value) is var (run, origin, hash)
            ? new EventOrigin(run, origin, hash)
            : null;
    }

    /// <summary>Recomputes every hash in a range and compares it with what is kept, links included. Reads all of it.</summary>
    /// <param name="from">First number; null = the first that is kept. The link of this event to the one before is checked too.</param>
    /// <param name="to">End, exclusive; null = to the end, which must be the head.</param>
    /// <returns>The first event that is wrong, if any. Events of the asking transaction itself have no hash yet and are left out.</returns>
    /// <exception cref="HistoryTrimmedException">It begins below what retention has left.</exception>
    public EventVerification Verify(EventNumber? from = null, EventNumber? to = null)
    {
        using var pinned = new PinnedScope(Engine.Pins, Scope);
        using var reader = Scope.Run.Store.Read();
        var events = new EventReader(pinned.Scope, reader, stackalloc byte[EventReader.KeyBytes]);
        var end = Math.Min(to?.Value ?? ulong.MaxValue, events.Committed);
        if (to is not { } bound || bound.Value > events.Committed)
            events.NoteEnd();
        var floor = events.Floor();
        if (from is { Value: var first })
            floor.ThrowIfBelow(first, to?.Value ?? ulong.MaxValue);
        return EventChain.Verify(events, from?.Value ?? floor.Number, end);
    }

    /// <summary>Blocks until the run has an event of this number or a later one. Woken by the commit that brings it.</summary>
    /// <param name="from">The number waited for: the last one seen + 1.</param>
    /// <param name="timeout">How long at most; <see cref="System.Threading.Timeout.InfiniteTimeSpan"/> = for ever.</param>
    /// <returns>True when it is there. False when the time is up, or when it can never come: the run is closed, or this is a
    /// snapshot or a transaction, which show the same for as long as they live.</returns>
    /// <exception cref="DatabaseFailedException">The database takes no more writes, so nothing will come.</exception>
    public bool Wait(EventNumber from, TimeSpan timeout)
    {
        using var wait = new EventWait(Engine.Feed, Scope, from.Value, timeout);
        while (!wait.IsOver(out var next))
        {
            Failpoint.Wait("events.wait");
            next.Wait(Timeout.InfiniteTimeSpan);
        }

        return wait.HasCome;
    }

    /// <summary>Like <see cref="Wait"/>, awaiting instead of blocking.</summary>
    /// <param name="from">As there.</param>
    /// <param name="timeout">As there.</param>
    /// <param name="cancellationToken">Ends the waiting.</param>
    public async ValueTask<bool> WaitAsync(EventNumber from, TimeSpan timeout, CancellationToken cancellationToken = default)
    {
        cancellationToken.ThrowIfCancellationRequested();
        using var wait = new EventWait(Engine.Feed, Scope, from.Value, timeout);
        while (!wait.IsOver(out var next))
            await next.WhenCompleteAsync().WaitAsync(cancellationToken).ConfigureAwait(false);
        return wait.HasCome;
    }

    /// <summary>All events from a number on: first those that are there, then each as it is committed. No gap, no duplicate. Ends when
    /// the run is closed (not when it is paused) and everything was given; on a snapshot or in a transaction, with what that
    /// shows.</summary>
    /// <param name="from">First number, inclusive.</param>
    /// <param name="types">Only events of these types; null = all.</param>
    /// <param name="cancellationToken">Ends it with an <see cref="OperationCanceledException"/>.</param>
    /// <exception cref="HistoryTrimmedException">Retention has let go of events that were not given yet.</exception>
    /// <exception cref="DatabaseFailedException">The database takes no more writes, so nothing more will come.</exception>
    /// <exception cref="ObjectDisposedException">The database was closed meanwhile.</exception>
    [SuppressMessage(
        "Style", "VSTHRD200", Justification = "A stream of events is not something to await; the name is the one of every client.")]
    public IAsyncEnumerable<EventRecord> Follow(
        EventNumber from = default, IReadOnlyCollection<string>? types = null, CancellationToken cancellationToken = default)
    {
        Scope.ThrowIfNotReadable();
        return FollowAsync(from.Value, TypeFilter.Of(types, Engine.Limits), cancellationToken);
    }

    private async IAsyncEnumerable<EventRecord> FollowAsync(
        ulong from, TypeFilter? filter, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        using var wait = new EventWait(Engine.Feed, Scope, from, Timeout.InfiniteTimeSpan);
        while (true)
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (!wait.IsOver(out var next))
            {
                await next.WhenCompleteAsync().WaitAsync(cancellationToken).ConfigureAwait(false);
                continue;
            }

            if (!wait.HasCome)
                yield break;
            var (records, end) = Chunk(wait.From, filter);
            foreach (var record in records)
                yield return record;
            wait.From = end;
        }
    }

    private (List<EventRecord> Records, ulong End) Chunk(ulong from, TypeFilter? filter)
    {
        Scope.ThrowIfNotReadable();
        using var use = Scope.Use();
        using var reader = Scope.Run.Store.Read();
        var events = new EventReader(Scope, reader, stackalloc byte[EventReader.KeyBytes]);
        events.Floor().ThrowIfBelow(from);
        var end = Math.Min(events.End, from + FollowChunk);
        if (end > events.Committed)
            events.NoteEnd();
        var records = new List<EventRecord>();
        for (var number = from; number < end; number++)
        {
            if (events.TryGet(number, out var stored, out var time, out var sequence) && filter?.Takes(stored.Type) != false)
                records.Add(events.ToRecord(stored, number, time, sequence));
        }

        return (records, end);
    }
}
