using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;

// The oracle of model-based tests: Kv, Events, State, Traces and Runs as requirements.md 2.1-2.5 say, over plain dictionaries, with
// no line in common with the engine. All state is one immutable value (World), so a transaction is "keep the old one", and a test
// may hold the world after every commit: that is the trace a crash oracle compares with.
//
//   put x 1      World { LastSequence 1, kv { x: 1 @1 } }
//   begin        keep World
//     put x 2    World { kv { x: 2 @2 } }          own write, seen by own reads; the version is that of the commit to come
//   rollback     back to the kept World
//
// W1  An operation that writes takes the next sequence; one that is refused, or that has nothing to write, takes none (VER-2).
// W2  Time of a commit = max(clock, last commit time); what has an expiry at or below the time of a read is absent (TTL-3, TTL-4).
// W3  A refused operation leaves the world as it was.
// W4  Arguments are judged first, then whether the run is there, then its status, then the rest. A run that is not there may also be
//     told before the arguments.
// W6  A write to a closed run is refused; what has nothing to write there may be answered or refused (Result.Alternative). Inside a transaction, what the transaction itself has closed is closed at once; that a run was closed before is told at the
//     commit, and only when something was written to it.
// W5  Where the requirements leave room, ModelRules says how this model reads them; change it there.
//
// W7  A fork is a copy: of the run as it is, or as it was behind one of its commits, which the world keeps (Pasts).
//
// W8  A merge compares values with the newest state that both have had (MergeBases), which moves with each merge.
//
// What it does not do: history, retention, idempotency keys.
namespace Cairn.Tests.Checkers;

/// <param name="DeleteCounts">State: a delete is a write that moves the counter.</param>
/// <param name="RenewCounts">State: renewing a lease moves the counter, hence the token.</param>
/// <param name="IdleUpdatesWrite">Runs: adding a tag that is there, removing one that is not and an empty patch still commit.</param>
/// <param name="ConsumerBack">Events: what a consumer gets that goes back without force.</param>
public sealed record ModelRules(
    bool DeleteCounts = true, bool RenewCounts = false, bool IdleUpdatesWrite = true, ErrorCode ConsumerBack = ErrorCode.ConstraintViolation);

public sealed record KvEntry(Plain Value, ulong Version, long? Expiry);

/// <param name="Payload">Null when redacted.</param>
public sealed record EventEntry(long Number, string Type, Plain? Payload, long Time, byte[] Salt, byte[] PayloadHash, byte[] Previous, byte[] Hash);

/// <param name="Value">Null when deleted: the counter stays (ST-3).</param>
/// <param name="IsInherited">Of a lease: it was taken before the run was forked, and is free (RPL-12).</param>
public sealed record CellEntry(Plain? Value, long Counter, long? Expiry, bool IsInherited = false);

public sealed record TraceEntry(long Ordinal, long? Parent, TraceKind Kind, long Timestamp, ImmutableList<string> Tags, Plain Fields);

public sealed record RunState(string? Name, int? Parent, RunStatusName Status, ImmutableList<string> Tags, Plain Metadata)
{
    public ImmutableSortedDictionary<string, KvEntry> Kv { get; init; } = ImmutableSortedDictionary.Create<string, KvEntry>(Utf8Order.Instance);

    /// <summary>All that ever were.</summary>
    public ImmutableList<EventEntry> Events { get; init; } = [];

    /// <summary>Events with lower numbers were trimmed (RET-7).</summary>
    public int EventFloor { get; init; }

    public IEnumerable<EventEntry> KeptEvents => Events.Skip(EventFloor);

    public ImmutableSortedDictionary<string, long> Consumers { get; init; } = ImmutableSortedDictionary.Create<string, long>(Utf8Order.Instance);

    public ImmutableSortedDictionary<string, CellEntry> Cells { get; init; } = ImmutableSortedDictionary.Create<string, CellEntry>(Utf8Order.Instance);

    public ImmutableList<TraceEntry> Traces { get; init; } = [];

    public ImmutableSortedDictionary<string, Plain> Documents { get; init; } = ImmutableSortedDictionary.Create<string, Plain>(Utf8Order.Instance);

    /// <summary>Number and tag.</summary>
    public ImmutableSortedDictionary<string, (long Number, long Tag)> Vectors { get; init; } =
        ImmutableSortedDictionary.Create<string, (long, long)>(Utf8Order.Instance);

    /// <summary>The collection is there.</summary>
    public bool HasVectors { get; init; }
}

public sealed record World(ulong LastSequence, long LastCommitTime, ImmutableSortedDictionary<int, RunState> Runs)
{
    /// <summary>Each run behind each of its commits.</summary>
    public ImmutableDictionary<int, ImmutableList<(ulong Sequence, RunState State)>> Pasts { get; init; } =
        ImmutableDictionary<int, ImmutableList<(ulong, RunState)>>.Empty;

    /// <summary>Of each fork: what it was forked from, and the newest state that both have had.</summary>
    public ImmutableDictionary<int, (int Parent, RunState State)> MergeBases { get; init; } =
        ImmutableDictionary<int, (int, RunState)>.Empty;
}

public sealed class Model(ModelRules? rules = null)
{
    private const int KeyBytesMax = 1024;
    private const int NameBytesMax = 256;
    private const long TtlMin = 1_000;                                       // LIM-30, microseconds
    private const long TtlMax = 36_525L * 86_400 * 1_000_000;

    private readonly ModelRules _rules = rules ?? new ModelRules();
    private World _committed = null!;                                       // KV-10: what expectations are compared with
    private bool _isInside;
    private bool _hasWritten;
    private bool _hasBrokenRequirement;
    private bool _isOnClosed;                                                // the operation would write to a run that was closed before it
    private bool _hasWrittenToClosed;
    private Plain? _expectation;
    private long _live;                                                      // time of all reads of an operation or transaction

    /// <summary>The clock, microseconds since 1970. A driver sets the engine's fake clock to the same.</summary>
    public long Now { get; set; } = 1_700_000_000_000_000;

    /// <summary>The clock of commits begins when the database is made, and that is now.</summary>
    public World World { get; set; } = new(0, 1_700_000_000_000_000, ImmutableSortedDictionary<int, RunState>.Empty
        .Add(0, new RunState("default", null, RunStatusName.Active, [], Plain.Map())));

    /// <summary>The function of the transition operations: adds to a number, replaces anything else.</summary>
    public static Plain Step(Plain value, long delta) => value.AsInt64 is { } number ? unchecked(number + delta) : delta;

    public Result Execute(Operation operation)
    {
        _committed = World;
        _live = Math.Max(Now, World.LastCommitTime);
        _hasWritten = _hasBrokenRequirement = _hasWrittenToClosed = false;
        switch (operation)
        {
            case Advance advance:
                Now += advance.Microseconds;
                return new Result(ErrorCode.None, Plain.Done);
            case Restart or Maintain or Sync or Checkpoint or Compact or BackUp:
                return new Result(ErrorCode.None, Plain.Done);
            case TransactionOperation transaction:
                return Transact(transaction);
            default:
                var one = (RunOperation)operation;
                var isThere = one is RunsBegin or RunsFork || World.Runs.ContainsKey(one.Run);
                var result = One(one);
                var alternative = _isOnClosed ? ErrorCode.RunClosed : isThere ? ErrorCode.None : ErrorCode.NotFound;
                return result with { Sequence = Finish(), Alternative = alternative };
        }
    }

    /// <summary>The maintainer has removed what had expired (TTL-5). No answer shows that, but it is a commit like any other, so the
    /// clock of commits does not go back behind it (TIM-2). When it commits is its own affair; the model says what it may find.</summary>
    public void MaintainerCommitted()
    {
        var time = Math.Max(Now, World.LastCommitTime);
        if (ExpiredCount == 0)
            throw new InvalidOperationException("the maintainer committed, and nothing has expired");
        World = World with { LastCommitTime = time };
    }

    /// <summary>What a turn of the maintainer can find at the most.</summary>
    public int ExpiredCount
    {
        get
        {
            var time = Math.Max(Now, World.LastCommitTime);
            return World.Runs.Values.Sum(run => run.Kv.Values.Count(e => e.Expiry <= time) + run.Cells.Values.Count(c => c.Expiry <= time));
        }
    }

    private Result Transact(TransactionOperation transaction)
    {
        if (transaction.Body.Any(o => !World.Runs.ContainsKey(o.Run)))
            return Result.Refused(ErrorCode.NotFound);
        _isInside = true;
        var inner = transaction.Body.Select(One).ToList();
        _isInside = false;
        if (_hasBrokenRequirement && transaction.Commit)
        {
            World = _committed;
            return new Result(ErrorCode.VersionMismatch, Plain.Absent, Inner: inner);
        }

        if (_hasWrittenToClosed && transaction.Commit)
        {
            World = _committed;
            return new Result(ErrorCode.RunClosed, Plain.Absent, Inner: inner);
        }

        if (!transaction.Commit)
        {
            World = _committed;
            _hasWritten = false;
        }

        return new Result(ErrorCode.None, Plain.Done, Inner: inner, Sequence: Finish());
    }

    private Result One(RunOperation operation)
    {
        var before = World;
        _expectation = null;
        _isOnClosed = false;
        try
        {
            return new Result(ErrorCode.None, Answer(operation), _expectation);
        }
        catch (Refusal refusal)
        {
            World = before;                                                  // W3
            return Result.Refused(refusal.Code) with { Expectation = _expectation };
        }
        catch (Skipped)
        {
            World = before;
            return new Result(ErrorCode.None, Plain.Absent, IsSkipped: true);
        }
    }

    private ulong Finish()
    {
        if (!_hasWritten)
            return 0;
        World = World with { LastSequence = World.LastSequence + 1, LastCommitTime = _live };      // W1, W2
        var pasts = World.Pasts;
        foreach (var (slot, state) in World.Runs)
        {
            if (!_committed.Runs.TryGetValue(slot, out var before) || before != state)
                pasts = pasts.SetItem(slot, pasts.GetValueOrDefault(slot, []).Add((World.LastSequence, state)));
        }

        World = World with { Pasts = pasts };
        return World.LastSequence;
    }

    /// <summary>The engine may refuse what the model did: the last operation was none. For what retention has let go of.</summary>
    public void Undo() => World = _committed;

    private Plain Answer(RunOperation operation) => operation switch
    {
        KvGet o => LiveKv(o.Run, ReadKey(o.Key))?.Value ?? Plain.Absent,
        KvGetVersioned o => LiveKv(o.Run, ReadKey(o.Key)) is { } e ? Plain.Array(e.Value, e.Version, e.Expiry is { } x ? x : Plain.Null) : Plain.Absent,
        KvExists o => LiveKv(o.Run, ReadKey(o.Key)) is not null,
        KvGetMany o => Plain.Array(Distinct(o.Keys.Select(ReadKey)).Select(k => LiveKv(o.Run, k)?.Value ?? Plain.Absent).ToList()),
        KvPut o => Put(o),
        KvPutMany o => PutMany(o),
        KvTryAdd o => TryAdd(o),
        KvDelete o => DeleteMany(o.Run, [WriteKey(o.Key)]) == 1,
        KvDeleteMany o => DeleteMany(o.Run, Distinct(o.Keys.Select(WriteKey))),
        KvCompareAndSet o => CompareAndSet(o),
        KvCompareAndSetValue o => CompareAndSetValue(o),
        KvIncrement o => Increment(o),
        KvExpire o => SetExpiry(o.Run, WriteKey(o.Key), Expiry(o.TtlMicroseconds)),
        KvPersist o => SetExpiry(o.Run, WriteKey(o.Key), null),
        KvList o => Plain.Array(Range(o.Run, o.From, o.To, o.Limit, o.Reverse).Select(p => (Plain)p.Key)),
        KvListPrefix o => Plain.Array(Page(Prefixed(o.Run, o.Prefix), o.Limit, o.Reverse).Select(p => (Plain)p.Key)),
        KvScan o => Plain.Array(Range(o.Run, o.From, o.To, o.Limit, o.Reverse).Select(p => Plain.Array(p.Key, p.Value.Value))),
        KvCount o => (long)Prefixed(o.Run, o.Prefix ?? "").Count(),

        EventsAppend o => Append(o.Run, [(o.Type, o.Payload)]).Items![0],
        EventsAppendMany o => Append(o.Run, o.Items),
        EventsGet o => Get(o.Run).Events.ElementAtOrDefault(Kept(o.Run, o.Number)) is { } e ? Show(e) : Plain.Absent,
        EventsRange o => Plain.Array(Page(Events(o.Run, o.From, o.To).Where(e => e.Number >= o.From && e.Number < o.To), o.Limit, o.Reverse).Select(Show)),
        EventsSince o => Plain.Array(Page(Events(o.Run, o.Number).Where(e => e.Number >= o.Number), o.Limit, false).Select(Show)),
        EventsByType o => Plain.Array(Page(Events(o.Run).Where(e => e.Type == o.Type), o.Limit, false).Select(Show)),
        EventsCount o => (long)Events(o.Run).Count,
        EventsCountByType o => (long)Events(o.Run).Count(e => e.Type == o.Type),
        EventsHead o => Get(o.Run).Events is [.., var last] ? last.Number : Plain.Absent,
        EventsTypes o => Plain.Array(Events(o.Run).Select(e => e.Type).Distinct().Order(Utf8Order.Instance).Select(t => (Plain)t)),
        EventsStreamInfo o => Events(o.Run).Where(e => e.Type == o.Type).ToList() is { Count: > 0 } of ? Plain.Array((long)of.Count, of[0].Number, of[^1].Number) : Plain.Absent,
        EventsVerify o => Plain.Array(EventChain.FirstInvalid(Get(o.Run).Events) is null, (long)Events(o.Run).Count),
        EventsTrim o => Trim(o),
        EventsRedact o => Redact(o),
        EventsConsumerCommit o => ConsumerCommit(o),
        EventsConsumerPosition o => Get(o.Run).Consumers.TryGetValue(o.Consumer, out var position) ? position : Plain.Absent,
        EventsConsumers o => Plain.Array(Get(o.Run).Consumers.Select(c => Plain.Array(c.Key, c.Value))),

        StateInit o => CellIn(WritableAt(o.Run, o.Name), o.Name) is not null ? throw new Refusal(ErrorCode.AlreadyExists) : SetCell(o.Run, o.Name, o.Value, null),
        StateSet o => SetCell(o.Run, WriteKey(o.Name), o.Value, Expiry(o.TtlMicroseconds)),
        StateCompareAndSet o => CompareAndSet(o),
        StateGet o => LiveCell(o.Run, ReadKey(o.Name)) is { } c ? Plain.Array(c.Value!, c.Counter) : Plain.Absent,
        StateExists o => LiveCell(o.Run, ReadKey(o.Name)) is not null,
        StateList o => Plain.Array(Get(o.Run).Cells.Keys.Where(n => n.StartsWith(o.Prefix, StringComparison.Ordinal) && LiveCell(o.Run, n) is not null).Select(n => (Plain)n)),
        StateDelete o => DeleteCell(o.Run, WriteKey(o.Name)),
        StateTransition o => Transition(o.Run, o.Name, (CellIn(WritableAt(o.Run, o.Name), o.Name) ?? throw new Refusal(ErrorCode.NotFound)).Value!, o.Delta),
        StateTransitionOrInit o => Transition(o.Run, o.Name, CellIn(WritableAt(o.Run, o.Name), o.Name)?.Value ?? o.Initial, o.Delta),
        StateGetOrInit o => GetOrInit(o),
        StateRequire o => Require(o),
        StateAcquire o => Acquire(o),
        StateRenew o => Renew(o),
        StateRelease o => Holds(WritableAt(o.Run, o.Name), o.Name, o.Owner) && DeleteCell(o.Run, o.Name).Equals(Plain.True),

        DocumentGet o => Get(o.Run).Documents.GetValueOrDefault(ReadKey(o.Id), Plain.Absent),
        DocumentPut o => SetDocument(o.Run, WriteKey(o.Id), o.Value),
        DocumentSet o => SetMember(o.Run, WriteKey(o.Id), o.Member, o.Value),
        DocumentIncrement o => Increment(o),
        DocumentDrop o => Drop(o),
        DocumentDelete o => DeleteDocument(o.Run, WriteKey(o.Id)),

        VectorGet o => Get(o.Run).Vectors.TryGetValue(ReadKey(o.Key), out var vector) ? Plain.Array(vector.Number, vector.Tag) : Plain.Absent,
        VectorPut o => PutVector(o.Run, WriteKey(o.Key), o.Number, o.Tag),
        VectorTag o => TagVector(o),
        VectorDelete o => DeleteVector(o.Run, WriteKey(o.Key)),
        VectorSearch o => Plain.Array(Get(o.Run).Vectors.Where(pair => o.Tag is null || pair.Value.Tag == o.Tag)
            .OrderBy(pair => Math.Abs(pair.Value.Number - o.Number - 0.25)).Take(o.Count).Select(pair => (Plain)pair.Key)),
        VectorsDrop o => DropVectors(o.Run),

        TracesRecord o => Record(o),
        TracesGet o => Get(o.Run).Traces.ElementAtOrDefault(o.Ordinal) is { } t
            ? Plain.Array(t.Kind.ToString(), t.Parent is { } p ? p : Plain.Null, t.Timestamp, Texts(t.Tags), t.Fields) : Plain.Absent,
        TracesChildren o => Ordinals(Get(o.Run).Traces.Where(t => t.Parent == o.Ordinal)),
        TracesRoots o => Ordinals(Get(o.Run).Traces.Where(t => t.Parent is null)),
        TracesTree o => Get(o.Run).Traces.ElementAtOrDefault(o.Root) is null ? throw new Refusal(ErrorCode.NotFound) : Tree(Get(o.Run), o.Root, o.Depth),
        TracesByType o => Ordinals(Get(o.Run).Traces.Where(t => t.Kind == o.Kind)),
        TracesByTag o => Ordinals(Get(o.Run).Traces.Where(t => t.Tags.Contains(o.Tag))),
        TracesByTime o => Ordinals(Get(o.Run).Traces.Where(t => t.Timestamp >= o.From && t.Timestamp < o.To)),
        TracesCount o => (long)Get(o.Run).Traces.Count,

        RunsBegin o => Begin(o),
        RunsFork o => Fork(o),
        RunsMerge o => Merge(o),
        RunsEnd o => End(o),
        RunsAddTags o => SetTags(o.Run, o.Tags, (now, tags) => now.AddRange(tags.Except(now))),
        RunsRemoveTags o => SetTags(o.Run, o.Tags, (now, tags) => now.RemoveRange(tags)),
        RunsUpdateMetadata o => UpdateMetadata(o),
        RunsDelete o => Delete(o),
        RunsGet o => World.Runs.TryGetValue(o.Run, out var r)
            ? Plain.Array(r.Status.ToString(), r.Name ?? Plain.Null, r.Parent is { } parent ? (long)parent : Plain.Null, Texts(r.Tags.Order(Utf8Order.Instance)), r.Metadata, (long)r.KeptEvents.Count())
            : Plain.Absent,
        RunsList o => Slots(World.Runs.Where(r => (o.Status is null || r.Value.Status == o.Status) && (o.Tag is null || r.Value.Tags.Contains(o.Tag))
            && (o.NamePrefix is null || r.Value.Name?.StartsWith(o.NamePrefix, StringComparison.Ordinal) == true)).Select(r => r.Key).Where(r => r != 0)),
        RunsCount => (long)World.Runs.Count - 1,
        RunsChildren o => Slots(Get(o.Run) is null ? [] : World.Runs.Where(r => r.Value.Parent == o.Run).Select(r => r.Key)),
        RunsAncestors o => Slots(Ancestors(o.Run)),
        _ => throw new ArgumentException($"the model has no {operation.GetType().Name}"),
    };

    // --- Kv -----------------------------------------------------------------------------------------------------------

    private KvEntry? LiveKv(int run, string key) => LiveIn(Get(run), key, _live);

    private static KvEntry? LiveIn(RunState run, string key, long at) =>
        run.Kv.TryGetValue(key, out var entry) && !(entry.Expiry <= at) ? entry : null;

    private IEnumerable<KeyValuePair<string, KvEntry>> Prefixed(int run, string prefix)
    {
        var state = Get(run);
        return state.Kv.Where(p => p.Key.StartsWith(prefix, StringComparison.Ordinal) && LiveIn(state, p.Key, _live) is not null);
    }

    private IEnumerable<KeyValuePair<string, KvEntry>> Range(int run, string from, string? to, int limit, bool reverse) =>
        Page(Prefixed(run, "").Where(p => Utf8Order.Instance.Compare(from, p.Key) <= 0 && (to is null || Utf8Order.Instance.Compare(p.Key, to) < 0)), limit, reverse);

    private static IEnumerable<T> Page<T>(IEnumerable<T> items, int limit, bool reverse) => (reverse ? items.Reverse() : items).Take(limit);

    private void Save(int run, string key, Plain value, long? expiry)
    {
        var state = Writable(run);
        Save(run, state with { Kv = state.Kv.SetItem(key, new KvEntry(value, NextSequence, expiry)) });
    }

    private Plain Put(KvPut o)
    {
        Save(o.Run, WriteKey(o.Key), o.Value, Expiry(o.TtlMicroseconds));
        return Plain.Done;
    }

    private Plain PutMany(KvPutMany o)
    {
        Distinct(o.Pairs.Select(p => WriteKey(p.Key)));
        Writable(o.Run);
        foreach (var (key, value) in o.Pairs)
            Save(o.Run, key, value, null);
        return Plain.Done;
    }

    private Plain TryAdd(KvTryAdd o)
    {
        if (LiveIn(WritableAt(o.Run, o.Key), o.Key, _live) is not null)
            return false;
        Save(o.Run, o.Key, o.Value, null);
        return true;
    }

    private long DeleteMany(int run, IReadOnlyList<string> keys)
    {
        long count = 0;
        var state = Writable(run);
        foreach (var key in keys.Where(k => LiveIn(state, k, _live) is not null))
        {
            state = state with { Kv = state.Kv.Remove(key) };
            count++;
        }

        if (count > 0)
            Save(run, state);
        return count;
    }

    private Plain CompareAndSet(KvCompareAndSet o)
    {
        WriteKey(o.Key);
        var now = _committed.Runs.TryGetValue(o.Run, out var run) ? LiveIn(run, o.Key, _live)?.Version ?? 0 : 0;
        var expected = o.Expect switch { Expect.Absent => 0UL, Expect.Current => now, _ => now > 1 ? now - 1 : now + 1 };
        _expectation = expected;
        Writable(o.Run);
        if (expected != now)
            throw new Refusal(ErrorCode.VersionMismatch);
        Save(o.Run, o.Key, o.Value, null);
        return Plain.Done;
    }

    private Plain CompareAndSetValue(KvCompareAndSetValue o)
    {
        WriteKey(o.Key);
        var now = World.Runs.TryGetValue(o.Run, out var run) ? LiveIn(run, o.Key, _live)?.Value ?? Plain.Absent : Plain.Absent;
        _expectation = o.Expect switch { Expect.Absent => Plain.Absent, Expect.Current => now, _ => (Plain)(now.Equals("stale") ? "staler" : "stale") };
        Writable(o.Run);
        if (!now.Equals(_expectation))
            return false;
        Save(o.Run, o.Key, o.Value, null);
        return true;
    }

    private Plain Increment(KvIncrement o)
    {
        var entry = LiveIn(WritableAt(o.Run, o.Key), o.Key, _live);
        if (entry is not null && entry.Value.AsInt64 is null)
            throw new Refusal(ErrorCode.WrongType);
        var sum = (Int128)(entry?.Value.AsInt64 ?? 0) + o.Delta;
        if (sum < long.MinValue || sum > long.MaxValue)
            throw new Refusal(ErrorCode.Overflow);
        Save(o.Run, o.Key, (long)sum, entry?.Expiry);
        return (long)sum;
    }

    private Plain SetExpiry(int run, string key, long? expiry)
    {
        if (LiveIn(Writable(run), key, _live) is not { } entry)
            return false;
        Save(run, key, entry.Value, expiry);
        return true;
    }

    // --- Events -------------------------------------------------------------------------------------------------------

    /// <summary>Time and salt are the engine's to choose: a driver tells them after the append, in order of numbers.</summary>
    /// <returns>The hash that the event must have (EV-3).</returns>
    public byte[] Seal(int run, long number, long time, byte[] salt)
    {
        var state = Get(run);
        var sealedEvents = Sealed(state.Events, number, time, salt);
        World = World with { Runs = World.Runs.SetItem(run, state with { Events = sealedEvents }) };
        if (World.Pasts.TryGetValue(run, out var past))
        {
            for (var i = past.Count - 1; i >= 0 && past[i].State.Events.Count > number; i--)
                past = past.SetItem(i, (past[i].Sequence, past[i].State with { Events = Sealed(past[i].State.Events, number, time, salt) }));
            World = World with { Pasts = World.Pasts.SetItem(run, past) };
        }

        return sealedEvents[(int)number].Hash;
    }

    private static ImmutableList<EventEntry> Sealed(ImmutableList<EventEntry> events, long number, long time, byte[] salt)
    {
        for (var i = (int)number; i < events.Count; i++)
        {
            var e = i == number ? events[i] with { Time = time, Salt = salt } : events[i];
            events = events.SetItem(i, EventChain.Seal(e, i == 0 ? new byte[32] : events[i - 1].Hash));
        }

        return events;
    }

    /// <summary>Number and hash of the last event; null when there is none.</summary>
    public (long Number, byte[] Hash)? Head(int run) => Get(run).Events is { IsEmpty: false } events ? (events[^1].Number, events[^1].Hash) : null;

    private List<EventEntry> Events(int run, long from = long.MaxValue, long to = long.MaxValue)
    {
        if (from < to)
            Kept(run, from);
        return [.. Get(run).KeptEvents];
    }

    private int Kept(int run, long number) => number < 0 || number >= Get(run).EventFloor ? (int)Math.Min(number, int.MaxValue)
        : throw new Refusal(ErrorCode.HistoryTrimmed);

    private Plain Trim(EventsTrim o)
    {
        var state = Get(o.Run);
        var floor = (int)Math.Max(state.EventFloor, Math.Min(state.Events.Count - o.Keep, state.EventFloor + EventsTrim.AtOnce));
        if (floor > state.EventFloor)
            Save(o.Run, state with { EventFloor = floor });
        return Plain.Array((long)floor, (long)(state.Events.Count - floor));
    }

    private static Plain Show(EventEntry e) => e.Payload is null ? Plain.Array(e.Number, e.Type) : Plain.Array(e.Number, e.Type, e.Payload);

    private Plain Append(int run, IReadOnlyList<(string Type, Plain Payload)> items, bool isEngine = false)
    {
        foreach (var (type, payload) in items)
        {
            if (!isEngine)
                WriteName(type);
            if (!payload.IsObject)
                throw new Refusal(ErrorCode.WrongType);
        }

        var state = isEngine ? Get(run) : Writable(run);
        var numbers = new List<Plain>();
        foreach (var (type, payload) in items)
        {
            var e = new EventEntry(state.Events.Count, type, payload, _live, new byte[16], [], [], []);
            state = state with { Events = state.Events.Add(EventChain.Seal(e, state.Events.IsEmpty ? new byte[32] : state.Events[^1].Hash)) };
            numbers.Add(e.Number);
        }

        if (items.Count > 0)
            Save(run, state);
        return Plain.Array(numbers);
    }

    private Plain Redact(EventsRedact o)
    {
        var state = Get(o.Run);
        var e = state.Events.ElementAtOrDefault(Kept(o.Run, o.Number)) ?? throw new Refusal(ErrorCode.NotFound);
        if (e.Payload is null || e.Type.StartsWith('$'))
            throw new Skipped();
        Save(o.Run, state with { Events = state.Events.SetItem((int)o.Number, e with { Payload = null, Salt = [] }) });
        Append(o.Run, [("$redacted", Plain.Map(("number", o.Number), ("reason", o.Reason)))], isEngine: true);
        return Plain.Done;
    }

    private Plain ConsumerCommit(EventsConsumerCommit o)
    {
        WriteName(o.Consumer);
        var state = Writable(o.Run);
        if (o.Number < 0 || o.Number > state.Events.Count)
            throw new Skipped();
        if (!o.Forced && state.Consumers.TryGetValue(o.Consumer, out var now) && o.Number < now)
            throw new Refusal(_rules.ConsumerBack);
        Save(o.Run, state with { Consumers = state.Consumers.SetItem(o.Consumer, o.Number) });
        return Plain.Done;
    }

    // --- Documents ----------------------------------------------------------------------------------------------------

    private Plain SetDocument(int run, string id, Plain value)
    {
        var state = Writable(run);
        Save(run, state with { Documents = state.Documents.SetItem(id, value) });
        return Plain.Done;
    }

    private Plain SetMember(int run, string id, string member, Plain? value)
    {
        var members = Writable(run).Documents.TryGetValue(id, out var document) ? document.Members! : new Dictionary<string, Plain>();
        var others = members.Where(pair => pair.Key != member).Select(pair => (pair.Key, pair.Value));
        return SetDocument(run, id, Plain.Map(value is null ? others : others.Append((member, value))));
    }

    private Plain Increment(DocumentIncrement o)
    {
        var document = Writable(o.Run).Documents.GetValueOrDefault(WriteKey(o.Id));
        var old = document is not null && document.Members!.TryGetValue("n", out var number) ? number.AsInt64!.Value : 0;
        Plain sum = old + o.Delta;
        SetMember(o.Run, o.Id, "n", sum);
        return sum;
    }

    private Plain Drop(DocumentDrop o)
    {
        if (!Writable(o.Run).Documents.TryGetValue(WriteKey(o.Id), out var document) || !document.Members!.ContainsKey(o.Member))
            return false;
        SetMember(o.Run, o.Id, o.Member, null);
        return true;
    }

    private Plain DeleteDocument(int run, string id)
    {
        var state = Writable(run);
        if (!state.Documents.ContainsKey(id))
            return false;
        Save(run, state with { Documents = state.Documents.Remove(id) });
        return true;
    }

    // --- Vectors ------------------------------------------------------------------------------------------------------

    private Plain PutVector(int run, string key, long number, long tag)
    {
        var state = Writable(run);
        Save(run, state with { HasVectors = true, Vectors = state.Vectors.SetItem(key, (number, tag)) });
        return Plain.Done;
    }

    private Plain TagVector(VectorTag o)
    {
        if (!Writable(o.Run).Vectors.TryGetValue(WriteKey(o.Key), out var vector))
            return false;
        PutVector(o.Run, o.Key, vector.Number, o.Tag);
        return true;
    }

    private Plain DeleteVector(int run, string key)
    {
        var state = Writable(run);
        if (!state.Vectors.ContainsKey(key))
            return false;
        Save(run, state with { Vectors = state.Vectors.Remove(key) });
        return true;
    }

    private Plain DropVectors(int run)
    {
        var state = Writable(run);
        if (!state.HasVectors)
            return false;
        Save(run, state with { HasVectors = false, Vectors = state.Vectors.Clear() });
        return true;
    }

    // --- State --------------------------------------------------------------------------------------------------------

    private CellEntry? LiveCell(int run, string name) => CellIn(Get(run), name);

    private CellEntry? CellIn(RunState run, string name) => CellAt(run, name, _live);

    private static CellEntry? CellAt(RunState run, string name, long at) =>
        run.Cells.TryGetValue(name, out var cell) && cell.Value is not null && !(cell.Expiry <= at) ? cell : null;

    private Plain SetCell(int run, string name, Plain? value, long? expiry, bool counts = true)
    {
        var state = Writable(run);
        var counter = (state.Cells.TryGetValue(name, out var cell) ? cell.Counter : 0) + (counts ? 1 : 0);
        Save(run, state with { Cells = state.Cells.SetItem(name, new CellEntry(value, counter, expiry)) });
        return counter;
    }

    private Plain CompareAndSet(StateCompareAndSet o)
    {
        var expected = ExpectedCounter(o.Run, WriteKey(o.Name), o.Expect, out var now);
        Writable(o.Run);
        return expected == now ? SetCell(o.Run, o.Name, o.Value, null) : throw new Refusal(ErrorCode.VersionMismatch);
    }

    private long ExpectedCounter(int run, string name, Expect expect, out long now)
    {
        now = _committed.Runs.TryGetValue(run, out var state) ? CellAt(state, name, _live)?.Counter ?? 0 : 0;
        var expected = expect switch { Expect.Absent => 0, Expect.Current => now, _ => now > 1 ? now - 1 : now + 1 };
        _expectation = expected;
        return expected;
    }

    private Plain DeleteCell(int run, string name)
    {
        if (CellIn(Writable(run), name) is null)
            return false;
        SetCell(run, name, null, null, _rules.DeleteCounts);
        return true;
    }

    private Plain Transition(int run, string name, Plain value, long delta)
    {
        var next = Step(value, delta);
        var expiry = CellIn(Writable(run), name)?.Expiry;                    // only a Set clears it
        return Plain.Array(next, SetCell(run, name, next, expiry));
    }

    private Plain GetOrInit(StateGetOrInit o)
    {
        if (LiveCell(o.Run, WriteKey(o.Name)) is { } cell)
            return cell.Value!;
        SetCell(o.Run, o.Name, o.Value, null);
        return o.Value;
    }

    private Plain Require(StateRequire o)
    {
        if (!_isInside)
            throw new Skipped();
        if (ExpectedCounter(o.Run, ReadKey(o.Name), o.Expect, out var now) != now)
            _hasBrokenRequirement = true;                                    // TX-4: it is the commit that fails
        return Plain.Done;
    }

    private bool Holds(RunState run, string name, string owner) => CellIn(run, name) is { IsInherited: false } cell && cell.Value!.AsText == owner;

    private Plain Acquire(StateAcquire o)
    {
        var expiry = Expiry(o.TtlMicroseconds);
        var cell = CellIn(WritableAt(o.Run, o.Name), o.Name);
        if (cell is null or { IsInherited: true })
            return Plain.Array(true, SetCell(o.Run, o.Name, o.Owner, expiry));
        return cell.Value!.AsText == o.Owner ? throw new Skipped() : Plain.Array(false, cell.Value);
    }

    private Plain Renew(StateRenew o)
    {
        var expiry = Expiry(o.TtlMicroseconds);
        if (!Holds(WritableAt(o.Run, o.Name), o.Name, o.Owner))
            return false;
        SetCell(o.Run, o.Name, o.Owner, expiry, _rules.RenewCounts);
        return true;
    }

    // --- Traces -------------------------------------------------------------------------------------------------------

    private Plain Record(TracesRecord o)
    {
        var fields = o.Fields.Members!;
        if (o.Kind == TraceKind.Decision && fields.TryGetValue("options", out var options) && options.Items!.Count > 0 && !options.Items.Contains(fields["chosen"]))
            throw new Refusal(ErrorCode.ConstraintViolation);
        if (o.Kind == TraceKind.Thought && fields.TryGetValue("confidence", out var confidence) && confidence.AsDouble is not (>= 0 and <= 1))
            throw new Refusal(ErrorCode.ConstraintViolation);
        foreach (var tag in o.Tags)
            WriteName(tag);
        if (!IsFinite(o.Fields))
            throw new Refusal(ErrorCode.InvalidArgument);                    // VAL-5
        var state = Writable(o.Run);
        if (o.Parent is { } parent && state.Traces.ElementAtOrDefault(parent) is null)
            throw new Refusal(ErrorCode.NotFound);
        long ordinal = state.Traces.Count;
        Save(o.Run, state with { Traces = state.Traces.Add(new TraceEntry(ordinal, o.Parent, o.Kind, o.Timestamp, [.. o.Tags.Distinct()], o.Fields)) });
        return ordinal;
    }

    private static bool IsFinite(Plain value) => value.AsDouble is { } number
        ? double.IsFinite(number)
        : (value.Items ?? []).All(IsFinite) && (value.Members?.Values ?? []).All(IsFinite);

    private static Plain Ordinals(IEnumerable<TraceEntry> traces) =>
        Plain.Array(traces.OrderBy(t => t.Timestamp).ThenBy(t => t.Ordinal).Select(t => (Plain)t.Ordinal));

    private static Plain Tree(RunState run, long root, int depth) => Plain.Array(root, Plain.Array(depth == 0
        ? [] : Ordinals(run.Traces.Where(t => t.Parent == root)).Items!.Select(c => Tree(run, c.AsInt64!.Value, depth - 1))));

    // --- Runs ---------------------------------------------------------------------------------------------------------

    private Plain Begin(RunsBegin o)
    {
        if (o.Name is not null)
            WriteName(o.Name);
        foreach (var tag in o.Tags)
            WriteName(tag);
        if (World.Runs.ContainsKey(o.Run) || (o.Name is not null && World.Runs.Values.Any(r => r.Name == o.Name)))
            throw new Refusal(ErrorCode.AlreadyExists);
        if (o.Parent is { } parent && !World.Runs.ContainsKey(parent))
            throw new Refusal(ErrorCode.NotFound);
        Save(o.Run, new RunState(o.Name, o.Parent, RunStatusName.Active, [.. o.Tags.Distinct()], o.Metadata));
        return Plain.Done;
    }

    private Plain Fork(RunsFork o)
    {
        if (o.Name is not null)
            WriteName(o.Name);
        var parent = Get(o.From);
        if (o.Back > 0 && World.Pasts.TryGetValue(o.From, out var past))
        {
            var (sequence, state) = past[Math.Max(0, past.Count - 1 - o.Back)];
            (parent, _expectation) = (state, sequence);
        }

        if (World.Runs.ContainsKey(o.Run) || (o.Name is not null && World.Runs.Values.Any(r => r.Name == o.Name)))
            throw new Refusal(ErrorCode.AlreadyExists);
        Save(o.Run, parent with
        {
            Name = o.Name,
            Parent = o.From,
            Status = RunStatusName.Active,
            Tags = [],
            Metadata = Plain.Map(),
            Cells = parent.Cells.SetItems(parent.Cells.Where(c => c.Key.StartsWith("lease-", StringComparison.Ordinal))
                .Select(c => KeyValuePair.Create(c.Key, c.Value with { IsInherited = true }))),
        });
        World = World with { MergeBases = World.MergeBases.SetItem(o.Run, (o.From, parent)) };
        return Plain.Done;
    }

    // --- Merges -------------------------------------------------------------------------------------------------------

    private Plain Merge(RunsMerge o)
    {
        var source = Get(o.Run);
        if (!World.MergeBases.TryGetValue(o.Run, out var known))
            throw new Skipped();
        var target = Writable(known.Parent);
        SkipUnlessPlain(source, target, known.State);
        var merged = target;
        var counts = new long[4, 3];                                         // kv, state, events, traces: taken, same, in conflict
        foreach (var key in known.State.Kv.Keys.Union(source.Kv.Keys))
        {
            var (was, its, ours) = (LiveIn(known.State, key, _live), LiveIn(source, key, _live), LiveIn(target, key, _live));
            if (IsTaken(counts, 0, (was?.Value, was?.Expiry), (its?.Value, its?.Expiry), (ours?.Value, ours?.Expiry)))
            {
                merged = merged with
                {
                    Kv = its is null ? merged.Kv.Remove(key) : merged.Kv.SetItem(key, its with { Version = NextSequence }),
                };
            }
        }

        foreach (var name in known.State.Cells.Keys.Union(source.Cells.Keys).Where(n => !n.StartsWith("lease-", StringComparison.Ordinal)))
        {
            var (was, its, ours) = (LiveAt(known.State, name), LiveAt(source, name), LiveAt(target, name));
            if (IsTaken(counts, 1, (was?.Value, was?.Expiry), (its?.Value, its?.Expiry), (ours?.Value, ours?.Expiry)))
            {
                var counter = Math.Max(CounterOf(source, name), CounterOf(target, name)) + 1;
                merged = merged with { Cells = merged.Cells.SetItem(name, new CellEntry(its?.Value, counter, its?.Expiry)) };
            }
        }

        var shared = known.State.Events.Count;
        var news = source.Events.Count - shared;
        if (news > 0 && target.Events.Count == shared)
        {
            counts[2, 0] = news;
            merged = merged with { Events = merged.Events.AddRange(source.Events.Skip(shared)) };
        }
        else if (news > 0)
        {
            counts[2, 2] = 1;
        }

        counts[3, 0] = source.Traces.Count - known.State.Traces.Count;
        merged = merged with { Traces = merged.Traces.AddRange(source.Traces.Skip(known.State.Traces.Count)) };
        var isClean = counts[2, 2] == 0;
        if (isClean && counts.Cast<long>().Any(count => count > 0))
        {
            Save(known.Parent, merged);
            World = World with { MergeBases = World.MergeBases.SetItem(o.Run, (known.Parent, source)) };
        }

        return Plain.Array([isClean, .. counts.Cast<long>().Select(count => (Plain)count)]);
    }

    // What the rules above say of these is more than this model knows: trimmed and redacted events, traces that get another ordinal, and
    // documents and vectors (DocumentMergeTests, RunMergeModelTests, VectorMergeTests).
    private static void SkipUnlessPlain(RunState source, RunState target, RunState known)
    {
        var shared = known.Events.Count;
        var isRedacted = source.Events.Skip(shared).Any(e => e.Payload is null || e.Type.StartsWith('$'))
            || !source.Events.Take(shared).Select(e => e.Payload is null).SequenceEqual(known.Events.Select(e => e.Payload is null));
        var times = source.Traces.Skip(known.Traces.Count).Select(t => t.Timestamp).ToList();
        if (source.EventFloor > 0 || target.EventFloor > 0 || isRedacted || target.Traces.Count != known.Traces.Count
            || !times.Order().SequenceEqual(times) || !source.Documents.SequenceEqual(known.Documents)
            || !source.Vectors.SequenceEqual(known.Vectors) || source.HasVectors != known.HasVectors)
            throw new Skipped();
    }

    // Counts what becomes of a key or cell; true: the source's side is written.
    private static bool IsTaken(
        long[,] counts, int primitive, (Plain? Value, long? Expiry) was, (Plain? Value, long? Expiry) its, (Plain? Value, long? Expiry) ours)
    {
        if (Equals(was.Value, its.Value))
        {
            var isOnlyExpiry = its.Value is not null && was.Expiry != its.Expiry && was == ours;
            counts[primitive, 0] += isOnlyExpiry ? 1 : 0;
            return isOnlyExpiry;
        }

        var outcome = Equals(its.Value, ours.Value) ? 1 : Equals(was.Value, ours.Value) ? 0 : 2;
        counts[primitive, outcome]++;
        return outcome != 1;
    }

    private CellEntry? LiveAt(RunState run, string name) =>
        run.Cells.TryGetValue(name, out var cell) && cell.Value is not null && !(cell.Expiry <= _live) ? cell : null;

    private static long CounterOf(RunState run, string name) => run.Cells.TryGetValue(name, out var cell) ? cell.Counter : 0;

    private Plain End(RunsEnd o)
    {
        var run = Get(o.Run);
        if (o.Run == 0)
            throw new Skipped();                                             // RUN-2: refused, the code is left open
        var next = o.Action switch
        {
            RunAction.Complete => RunStatusName.Completed,
            RunAction.Fail or RunAction.Abort => RunStatusName.Failed,
            RunAction.Pause => RunStatusName.Paused,
            RunAction.Resume => RunStatusName.Active,
            RunAction.Cancel => RunStatusName.Cancelled,
            _ => RunStatusName.Archived,
        };
        var isAllowed = run.Status switch                                    // RUN-4
        {
            RunStatusName.Active => next != RunStatusName.Active,
            RunStatusName.Paused => next is RunStatusName.Active or RunStatusName.Cancelled or RunStatusName.Archived,
            RunStatusName.Archived => false,
            _ => next == RunStatusName.Archived,
        };
        if (!isAllowed)
            throw new Refusal(ErrorCode.InvalidTransition);
        Save(o.Run, run with { Status = next });
        return Plain.Done;
    }

    private Plain SetTags(int slot, IReadOnlyList<string> tags, Func<ImmutableList<string>, IEnumerable<string>, ImmutableList<string>> change)
    {
        foreach (var tag in tags)
            WriteName(tag);
        var run = Get(slot);
        var next = change(run.Tags, tags.Distinct());
        if (_rules.IdleUpdatesWrite || !next.SequenceEqual(run.Tags))
            Save(slot, run with { Tags = next });
        return Plain.Done;
    }

    private Plain UpdateMetadata(RunsUpdateMetadata o)
    {
        var run = Get(o.Run);
        var next = Merge(run.Metadata, o.Patch);
        if (_rules.IdleUpdatesWrite || !next.Equals(run.Metadata))
            Save(o.Run, run with { Metadata = next });
        return Plain.Done;
    }

    /// <summary>RFC 7396, section 2.</summary>
    internal static Plain Merge(Plain target, Plain patch)
    {
        if (!patch.IsObject)
            return patch;
        var members = (target.Members ?? new Dictionary<string, Plain>()).ToDictionary(m => m.Key, m => m.Value);
        foreach (var (name, value) in patch.Members!)
        {
            if (value.IsNull)
                members.Remove(name);
            else
                members[name] = Merge(members.GetValueOrDefault(name) ?? Plain.Null, value);
        }

        return Plain.Map(members.Select(m => (m.Key, m.Value)));
    }

    private Plain Delete(RunsDelete o)
    {
        Get(o.Run);
        if (o.Run == 0)
            throw new Skipped();
        World = World with { Runs = World.Runs.Remove(o.Run) };
        _hasWritten = true;
        return Plain.Done;
    }

    private IEnumerable<int> Ancestors(int run)
    {
        for (var at = Get(run).Parent; at is { } parent && World.Runs.TryGetValue(parent, out var state); at = state.Parent)
            yield return parent;
    }

    private static Plain Slots(IEnumerable<int> slots) => Plain.Array(slots.Select(s => (Plain)(long)s).ToList());

    private static Plain Texts(IEnumerable<string> texts) => Plain.Array(texts.Select(t => (Plain)t));

    // --- doors --------------------------------------------------------------------------------------------------------

    private sealed class Refusal(ErrorCode code) : Exception(code.ToString())
    {
        internal ErrorCode Code { get; } = code;
    }

    private sealed class Skipped : Exception;

    private ulong NextSequence => _committed.LastSequence + 1;

    private RunState Get(int run) => World.Runs.TryGetValue(run, out var state) ? state : throw new Refusal(ErrorCode.NotFound);

    private RunState WritableAt(int run, string key)
    {
        WriteKey(key);                                                       // W4
        return Writable(run);
    }

    private RunState Writable(int run)
    {
        var state = Get(run);
        if (state.Status == RunStatusName.Active)
            return state;
        if (_isInside && state.Status != _committed.Runs[run].Status)
            throw new Refusal(ErrorCode.RunClosed);                          // W6
        _isOnClosed = true;
        return state;
    }

    private void Save(int run, RunState state)
    {
        if (_isOnClosed && !_isInside)
            throw new Refusal(ErrorCode.RunClosed);
        World = World with { Runs = World.Runs.SetItem(run, state) };
        _hasWritten = true;
        _hasWrittenToClosed |= _isOnClosed;
    }

    private long? Expiry(long? ttl) => ttl switch
    {
        null => null,
        < TtlMin or > TtlMax => throw new Refusal(ErrorCode.LimitExceeded),
        _ => _live + ttl,
    };

    private static List<string> Distinct(IEnumerable<string> keys)
    {
        var list = keys.ToList();
        return list.Distinct().Count() == list.Count ? list : throw new Refusal(ErrorCode.InvalidArgument);     // CON-12
    }

    /// <summary>NAM-1.</summary>
    private static string ReadKey(string key)
    {
        if (key.Length == 0 || key.Contains('\0', StringComparison.Ordinal) || !IsUtf8(key))
            throw new Refusal(ErrorCode.InvalidKey);
        return Encoding.UTF8.GetByteCount(key) > KeyBytesMax ? throw new Refusal(ErrorCode.LimitExceeded) : key;
    }

    /// <summary>NAM-1, NAM-3.</summary>
    private static string WriteKey(string key) => ReadKey(key).StartsWith('$') ? throw new Refusal(ErrorCode.InvalidKey) : key;

    /// <summary>NAM-2, NAM-3.</summary>
    private static string WriteName(string name)
    {
        if (name.Length == 0 || name.Any(c => char.IsControl(c) || c == '/') || name[0] == '$' || !IsUtf8(name))
            throw new Refusal(ErrorCode.InvalidName);
        return Encoding.UTF8.GetByteCount(name) > NameBytesMax ? throw new Refusal(ErrorCode.LimitExceeded) : name;
    }

    private static bool IsUtf8(string text)
    {
        for (var i = 0; i < text.Length; i++)
        {
            if (char.IsHighSurrogate(text[i]) && i + 1 < text.Length && char.IsLowSurrogate(text[i + 1]))
                i++;
            else if (char.IsSurrogate(text[i]))
                return false;
        }

        return true;
    }

    // --- as a dictionary, for the crash oracle --------------------------------------------------------------------------

    /// <summary>Everything that a later operation could see, as address and text; expiry is part of the value.</summary>
    public static Dictionary<string, string> Flatten(World world)
    {
        var all = new Dictionary<string, string>();
        foreach (var (slot, run) in world.Runs)
        {
            var at = slot.ToString(CultureInfo.InvariantCulture);
            all[$"{at}/run"] = $"{run.Status} {run.Name} {run.Parent} [{string.Join(' ', run.Tags.Order(Utf8Order.Instance))}] {run.Metadata}";
            foreach (var (key, e) in run.Kv)
                all[$"{at}/kv/{key}"] = $"{e.Value} @{e.Version} {e.Expiry}";
            foreach (var (name, c) in run.Cells)
                all[$"{at}/state/{name}"] = $"{c.Value?.ToString() ?? "deleted"} #{c.Counter} {c.Expiry}";
            foreach (var e in run.KeptEvents)
                all[$"{at}/events/{e.Number}"] = $"{e.Type} {e.Payload?.ToString() ?? "redacted"}";
            foreach (var (name, number) in run.Consumers)
                all[$"{at}/consumers/{name}"] = number.ToString(CultureInfo.InvariantCulture);
            foreach (var t in run.Traces)
                all[$"{at}/traces/{t.Ordinal}"] = $"{t.Kind} {t.Parent} {t.Timestamp} [{string.Join(' ', t.Tags)}] {t.Fields}";
        }

        return all;
    }
}

/// <summary>The hash chain of events by EV-3 and EV-4, with the platform's SHA-256 alone.</summary>
public static class EventChain
{
    /// <summary>SHA-256(salt 16 bytes + canonical payload).</summary>
    public static byte[] PayloadHash(byte[] salt, byte[] canonicalPayload) => SHA256.HashData([.. salt, .. canonicalPayload]);

    /// <summary>SHA-256 over number u64, type length u32, type, timestamp i64 in microseconds (little-endian), payload hash, previous hash.</summary>
    public static byte[] Hash(long number, string type, long time, byte[] payloadHash, byte[] previous)
    {
        var name = Encoding.UTF8.GetBytes(type);
        var head = new byte[12];
        BinaryPrimitives.WriteInt64LittleEndian(head, number);
        BinaryPrimitives.WriteInt32LittleEndian(head.AsSpan(8), name.Length);
        var stamp = new byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(stamp, time);
        return SHA256.HashData([.. head, .. name, .. stamp, .. payloadHash, .. previous]);
    }

    /// <summary>Number of the first event whose number, hash or link is wrong; null when all are right. Redacted events are
    /// checked by their payload hash (EV-13).</summary>
    public static long? FirstInvalid(IEnumerable<EventEntry> events)
    {
        var previous = new byte[32];
        long number = 0;
        foreach (var e in events)
        {
            var payloadHash = e.Payload is null ? e.PayloadHash : PayloadHash(e.Salt, e.Payload.Canonical);
            if (e.Number != number || !e.Previous.SequenceEqual(previous) || !e.PayloadHash.SequenceEqual(payloadHash)
                || !e.Hash.SequenceEqual(Hash(e.Number, e.Type, e.Time, payloadHash, previous)))
                return number;
            previous = e.Hash;
            number++;
        }

        return null;
    }

    internal static EventEntry Seal(EventEntry e, byte[] previous)
    {
        var payloadHash = e.Payload is null ? e.PayloadHash : PayloadHash(e.Salt, e.Payload.Canonical);
        return e with { PayloadHash = payloadHash, Previous = previous, Hash = Hash(e.Number, e.Type, e.Time, payloadHash, previous) };
    }
}

internal static class ListExtensions
{
    /// <summary>The item, or null when the index is outside.</summary>
    internal static T? ElementAtOrDefault<T>(this ImmutableList<T> list, long index)
        where T : class => index >= 0 && index < list.Count ? list[(int)index] : null;
}
