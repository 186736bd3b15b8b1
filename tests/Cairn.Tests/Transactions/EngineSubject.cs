using Cairn.Storage;
using Cairn.Tests.Checkers;
using Cairn.Tests.Crash;
using Cairn.Transfer;

namespace Cairn.Tests.Transactions;

using Model = Cairn.Tests.Checkers.Model;

/// <summary>The engine in the place of the model's subject (M1). What the model names by small numbers has ids in the engine: slots are
/// runs, ordinals are traces. Sequences differ too, because the maintainer's own commits (TTL-5) take some that the model does not
/// know; but each operation must move the engine's sequence by exactly one when it writes and not at all when it does not (VER-2).</summary>
internal sealed class EngineSubject : IModelSubject
{
    /// <summary>A version or token that nothing has.</summary>
    private const ulong Nowhere = 1UL << 60;

    private static readonly RunId NoRun = new(new UInt128(1, 1));

    private readonly TestDatabase _database;
    private readonly Dictionary<ulong, ulong> _toEngine = [];
    private readonly Dictionary<ulong, ulong> _toModel = [];
    private readonly Dictionary<int, Slot> _slots = [];
    private Model? _model;

    /// <param name="mode">Which of the three.</param>
    /// <param name="storage">Null = memory without faults.</param>
    /// <param name="change">Other options than those of the test database.</param>
    /// <param name="budget">Of memory.</param>
    internal EngineSubject(
        Durability mode, IStorage? storage = null, Func<CairnOptions, CairnOptions>? change = null, long? budget = null)
    {
        _database = new TestDatabase(mode, change, storage, budget);
        _slots.Add(0, new Slot(RunId.Default, _database.Run));
    }

    /// <summary>What model and engine tell at the same moment: a consumer that goes back inside a transaction is told at the commit by the
    /// engine, and at the call by the model.</summary>
    internal static IEnumerable<Operation> Playable(IEnumerable<Operation> operations) => operations
        .Select(operation => operation is TransactionOperation transaction
            ? transaction with { Body = [.. transaction.Body.Where(inner => inner is not EventsConsumerCommit { Forced: false })] }
            : operation);

    internal TestDatabase Database => _database;

    /// <summary>Runs that gave up their memory, in all openings, and keys that were forgotten.</summary>
    internal long LeftMemory { get; private set; }

    // A database that a failed opening or a crash has closed says nothing more.
    private void CountLeft()
    {
        try
        {
            LeftMemory += _database.Db.Metrics.RunsEmptied + _database.Db.Metrics.KeysForgotten;
        }
        catch (ObjectDisposedException)
        {
        }
    }

    private bool _isTrimmed;                                 // the operation needed a past that retention has let go of

    internal IReadOnlyDictionary<int, Slot> Slots => _slots;

    public Result Execute(Operation operation, Result expected, Model model)
    {
        _model = model;
        _database.Clock.Microseconds = model.Now;
        if (operation is Restart restart)
            Reopen(restart.Crash);
        if (operation is Maintain)
            LetMaintain(model);
        if (operation is Sync)
            _database.Db.Sync();
        if (operation is Checkpoint && _database.HasLog)
            _database.CheckpointAndForget();
        if (operation is Compact && _database.HasLog)
            _database.Db.Compact();
        if (operation is BackUp && _database.HasLog)
            BackUpAndRestore();
        if (operation is Advance or Restart or Maintain or Sync or Checkpoint or Compact or BackUp)
            return new Result(ErrorCode.None, Plain.Done);

        if (operation is EventsTrim)
            CompareHashes(model);                            // while all that there are can be read
        var before = _database.Sequence;
        // The version that this operation gives is known before it runs; for reads inside it there is none yet.
        if (expected.Sequence != 0)
            (_toEngine[expected.Sequence], _toModel[before + 1]) = (before + 1, expected.Sequence);
        if (operation is RunsFork { Back: > 0 } fork && expected.Code == ErrorCode.None && IsTrimmed(fork, expected))
        {
            model.Undo();
            return expected;
        }

        _isTrimmed = false;
        var result = operation is TransactionOperation transaction ? Transact(transaction, expected) : Single((RunOperation)operation, expected);
        var moved = _database.Sequence - before;
        if (_isTrimmed && moved == 0)
        {
            model.Undo();
            return expected;
        }

        if (moved != (expected.Sequence == 0 ? 0UL : 1UL))
            throw new InvalidOperationException($"the sequence moved by {moved}, the model's is {expected.Sequence}; answered {result}");
        if (_database.LateReads is var late and not 0)
            throw new InvalidOperationException($"{late} reads of the image behind a sequence");
        if (expected.Sequence != 0)
            CompareHashes(model);
        return result with { Sequence = expected.Sequence };
    }

    public void Dispose()
    {
        CountLeft();
        _database.Dispose();
    }

    private void BackUpAndRestore()
    {
        var hash = _database.Db.StateHash();
        var (copy, restored) = (new MemoryStorage(), new MemoryStorage());
        _database.Db.BackupTo(copy, null, new BackupOptions());
        CairnDatabase.RestoreTo(BackupChain.Open([copy], default), restored, new RestoreOptions());
        using var other = CairnDatabase.Open(
            restored, new CairnOptions { Durability = Durability.Buffered, TimeProvider = _database.Clock },
            new EngineHooks { IsMaintenanceManual = true });
        if (other.StateHash() is var found && found != hash)
            throw new InvalidOperationException($"a backup of the state {hash} was restored as {found}");
        if (other.VerifyDeep() is { IsValid: false } wrong)
            throw new InvalidOperationException($"deep verification of what was restored: {wrong.Findings[0]}");
    }

    private void Reopen(bool isKilled)
    {
        var hash = _database.Db.StateHash();
        CountLeft();
        _database.Reopen(isKilled);
        if (_database.Db.StateHash() != hash)
            throw new InvalidOperationException("the state hash is another one after opening again");
        if (_database.HasLog && _database.Db.VerifyDeep() is { IsValid: false } wrong)
            throw new InvalidOperationException($"deep verification: {wrong.Findings[0]}");
        foreach (var slot in _slots.Values)
            slot.Run = _database.Db.Runs.Get(slot.Id);
    }

    /// <summary>After a crash: the world that came back, the ids of what nobody was told of, and the runs whose beginning was lost.</summary>
    internal void Resume(World world, RecoveredWorld recovered, IEnumerable<int> lost)
    {
        foreach (var number in lost)
            _slots.Remove(number);
        foreach (var (number, id) in recovered.Runs)
            _slots.TryAdd(number, new Slot(id, null));
        foreach (var (number, slot) in _slots)
        {
            slot.Run = _database.Db.Runs.Get(slot.Id);
            if (slot.Run is not null)
                slot.Recover(world.Runs[number], recovered.Traces[number]);
        }
    }

    private void LetMaintain(Model model)
    {
        var before = _database.Sequence;
        _database.Maintain();
        if (_database.Sequence != before)
            model.MaintainerCommitted();
    }

    /// <summary>EV-3: the hashes over the model's own numbers, with the engine's time and salt. Also before the first operation behind a
    /// crash: an event whose append was not answered may be there, and may be redacted next.</summary>
    internal void CompareHashes(Model model)
    {
        foreach (var (number, slot) in _slots)
        {
            while (model.World.Runs.TryGetValue(number, out var world) && slot.Sealed < world.Events.Count)
            {
                var record = slot.Run!.Events.Get(new EventNumber((ulong)slot.Sealed)) ?? throw new InvalidOperationException($"event {slot.Sealed} is missing");
                var hash = model.Seal(number, slot.Sealed, Microseconds(record.Time), record.Salt.ToArray());
                if (!record.Hash.ToArray().AsSpan().SequenceEqual(hash))
                    throw new InvalidOperationException($"the hash of event {slot.Sealed} of run {number} is {record.Hash}, by the model {Convert.ToHexStringLower(hash)}");
                slot.Sealed++;
            }
        }
    }

    // Retention has let go of records of the run: then the fork is refused, and nothing has changed.
    private bool IsTrimmed(RunsFork fork, Result expected)
    {
        var before = _database.Db.StateHash();
        try
        {
            AnswerRuns(fork, expected);
            return false;
        }
        catch (HistoryTrimmedException)
        {
            return before == _database.Db.StateHash() && !_slots.ContainsKey(fork.Run)
                ? true
                : throw new InvalidOperationException("a fork that was refused has changed something");
        }
    }

    private Result Single(RunOperation operation, Result expected)
    {
        try
        {
            if (operation is RunsFork { Back: > 0 } && expected.Code == ErrorCode.None)
                return new Result(ErrorCode.None, Plain.Done);          // made a moment ago (IsTrimmed)
            if (AnswerRuns(operation, expected) is { } answer)
                return new Result(ErrorCode.None, answer);
            if (_slots.GetValueOrDefault(operation.Run) is not { Run: { } run } slot)
                throw new NoHandleException();
            var door = new Door(this, slot, run.Kv, run.Events, run.State, run.Traces, run.Json, run.Vectors, null, isInside: false);
            return new Result(ErrorCode.None, door.Answer(operation, expected)());
        }
        catch (HistoryTrimmedException) when (operation is RunsMerge)
        {
            _isTrimmed = true;                               // the state that both have had cannot be made any more
            return Result.Refused(ErrorCode.HistoryTrimmed);
        }
        catch (HistoryTrimmedException) when (operation is RunsFork { Back: > 0 } && expected.Code != ErrorCode.None)
        {
            return Result.Refused(expected.Code);            // both are true, and which is told is not promised
        }
        catch (CairnException refused) when (refused is not DatabaseFailedException)
        {
            return Result.Refused(refused.Code);
        }
        catch (NoHandleException)
        {
            return Result.Refused(expected.Code == ErrorCode.None ? ErrorCode.NotFound : expected.Code);
        }
    }

    /// <summary>There is nothing to ask: the run was never begun, or deleted before the database was opened, or the model does not know.</summary>
    private sealed class NoHandleException : Exception;

    private Result Transact(TransactionOperation operation, Result expected)
    {
        var numbers = operation.Body.Select(o => o.Run).DefaultIfEmpty(0).Distinct().ToList();
        var slots = numbers.ConvertAll(number => _slots.GetValueOrDefault(number));
        if (slots.Exists(slot => slot?.Run is null || !_database.Db.Runs.Exists(slot.Id)))
            return Result.Refused(ErrorCode.NotFound);
        var before = slots.ConvertAll(slot => slot!.Copy());
        using var transaction = _database.Db.BeginTransaction([.. slots.Select(slot => slot!.Run!)]);
        var doors = numbers.ToDictionary(number => number, number =>
        {
            var inside = transaction.On(_slots[number].Id);
            return new Door(this, _slots[number], inside.Kv, inside.Events, inside.State, inside.Traces, inside.Json, inside.Vectors, inside, isInside: true);
        });
        var answers = operation.Body.Select((o, i) => One(doors[o.Run], o, expected.Inner![i])).ToList();
        var refusal = ErrorCode.None;
        if (!operation.Commit)
            transaction.Rollback();
        else if (doors.Values.Any(door => door.HasBrokenRequirement))
            refusal = ErrorCode.VersionMismatch;
        else
            refusal = Commit(transaction);
        var isCommitted = operation.Commit && refusal == ErrorCode.None;
        if (!isCommitted)
        {
            for (var i = 0; i < slots.Count; i++)
                slots[i]!.Restore(before[i]);
        }

        // What comes with the commit can only be read after it.
        var inner = answers.Select((answer, i) => isCommitted || !answer.IsLate ? new Result(answer.Code, answer.Read()) : expected.Inner![i]).ToList();
        return new Result(refusal, refusal == ErrorCode.None ? Plain.Done : Plain.Absent, Inner: inner);
    }

    private static ErrorCode Commit(Transaction transaction)
    {
        try
        {
            transaction.Commit();
            return ErrorCode.None;
        }
        catch (CairnException refused) when (refused is not DatabaseFailedException)
        {
            return refused.Code;
        }
    }

    private static (ErrorCode Code, bool IsLate, Func<Plain> Read) One(Door door, RunOperation operation, Result expected)
    {
        if (expected.IsSkipped)
            return (ErrorCode.None, false, () => Plain.Absent);
        try
        {
            var read = door.Answer(operation, expected);
            return (ErrorCode.None, operation is EventsAppend or EventsAppendMany or StateInit or StateSet or StateCompareAndSet, read);
        }
        catch (CairnException refused)
        {
            return (refused.Code, false, () => Plain.Absent);
        }
    }

    // ---- runs ----------------------------------------------------------------------------------------------------------------

    // Null: not an operation on runs.
    private Plain? AnswerRuns(RunOperation operation, Result expected)
    {
        var runs = _database.Db.Runs;
        switch (operation)
        {
            case RunsBegin o:
                var begun = runs.Begin(o.Name, o.Parent is { } under ? IdOf(under) : null, [.. o.Tags.Distinct()], ToValue(o.Metadata));
                _slots[o.Run] = new Slot(begun.Id, begun);
                return Plain.Done;
            case RunsFork o:
                var point = o.Back > 0 && expected.Expectation?.AsInt64 is { } at ? ToEngine(at) : default(Sequence?);
                var fork = runs.Fork(IdOf(o.From), point, o.Name);
                var made = _model!.World.Runs[o.Run];
                var parent = _slots[o.From];
                _slots[o.Run] = new Slot(fork.Id, fork)
                {
                    Traces = [.. parent.Traces.Take(made.Traces.Count)],
                    Sealed = made.Events.Count,
                };
                return Plain.Done;
            case RunsMerge o:
                var above = expected.Code == ErrorCode.None ? _model!.World.MergeBases[o.Run].Parent : 0;
                var result = runs.Merge(
                    IdOf(o.Run), runs.Get(IdOf(o.Run))?.Info.Parent ?? IdOf(above),
                    new MergeOptions { Strategy = MergeStrategy.PreferSource });
                if (result.Sequence != Sequence.None)
                    _slots[above].Traces.AddRange(_slots[o.Run].Traces.Skip(_slots[above].Traces.Count));
                // The model merges these alone: the others have models of their own.
                return Plain.Array([result.IsClean, .. new[] { "kv", "state", "events", "traces" }.SelectMany(
                    name => new Plain[] { result.Counts[name].Taken, result.Counts[name].Same, result.Counts[name].Conflicts })]);
            case RunsEnd o:
                var ended = HandleOf(o.Run);
                if (o.Action == RunAction.Resume && ended.Info.IsOrphaned)
                    throw new NoHandleException();           // RUN-12: that would adopt it, and the model knows no orphans
                End(o.Action, ended.Complete, ended.Fail, ended.Abort, ended.Pause, ended.Resume, ended.Cancel, ended.Archive);
                return Plain.Done;
            case RunsAddTags o:
                HandleOf(o.Run).AddTags([.. o.Tags.Distinct()]);
                return Plain.Done;
            case RunsRemoveTags o:
                HandleOf(o.Run).RemoveTags([.. o.Tags.Distinct()]);
                return Plain.Done;
            case RunsUpdateMetadata o:
                HandleOf(o.Run).UpdateMetadata(ToValue(o.Patch));
                return Plain.Done;
            case RunsDelete o:
                runs.Delete(IdOf(o.Run));
                return Plain.Done;
            case RunsGet o:
                return runs.Get(IdOf(o.Run))?.Info is not { } info ? Plain.Absent : Plain.Array(
                    info.Status.ToString(), info.Name ?? Plain.Null, info.Parent is { } up ? (long)SlotOf(up) : Plain.Null,
                    Plain.Array(info.Tags.Order(Utf8Order.Instance).Select(tag => (Plain)tag)), ToPlain(info.Metadata), info.EventCount);
            case RunsList o:
                return Numbers(All(cursor => runs.List(new RunFilter
                {
                    Status = o.Status is { } status ? Enum.Parse<RunStatus>(status.ToString()) : null, Tag = o.Tag, NamePrefix = o.NamePrefix, Limit = 3, Cursor = cursor,
                })));
            case RunsCount:
                return runs.Count();
            case RunsChildren o:
                if (!runs.Exists(IdOf(o.Run)))
                    throw Lifecycle.NotFound(IdOf(o.Run));   // the engine gives an empty page, as for any filter
                return Numbers(All(cursor => runs.Children(IdOf(o.Run), limit: 2, cursor)));
            case RunsAncestors o:
                return Plain.Array(runs.Ancestors(IdOf(o.Run)).Select(above => (Plain)(long)SlotOf(above.Id)));
            default:
                return null;
        }
    }

    private static void End(
        RunAction action, Func<Value?, Sequence> complete, Func<string, Sequence> fail, Func<string, Sequence> abort, Func<Sequence> pause,
        Func<Sequence> resume, Func<string?, Sequence> cancel, Func<Sequence> archive)
    {
        switch (action)
        {
            case RunAction.Complete: complete(null); break;
            case RunAction.Fail: fail("failed"); break;
            case RunAction.Abort: abort("aborted"); break;
            case RunAction.Pause: pause(); break;
            case RunAction.Resume: resume(); break;
            case RunAction.Cancel: cancel(null); break;
            default: archive(); break;
        }
    }

    private Run HandleOf(int slot) => _slots.GetValueOrDefault(slot)?.Run ?? throw new NoHandleException();

    private RunId IdOf(int slot) => _slots.GetValueOrDefault(slot)?.Id ?? NoRun;

    private int SlotOf(RunId id) => _slots.First(slot => slot.Value.Id == id).Key;

    private Plain Numbers(IEnumerable<RunInfo> runs) => Plain.Array(runs.Select(info => SlotOf(info.Id)).Order().Select(slot => (Plain)(long)slot).ToList());

    internal static List<T> All<T>(Func<string?, Page<T>> next)
    {
        var all = new List<T>();
        string? cursor = null;
        do
        {
            var page = next(cursor);
            all.AddRange(page);
            cursor = page.Cursor;
        }
        while (cursor is not null);
        return all;
    }

    // ---- conversions ---------------------------------------------------------------------------------------------------------

    internal static Plain FieldsOf(TraceStep step) => step switch
    {
        ToolCallStep o => Plain.Map(("tool", o.Tool), ("arguments", ToPlain(o.Arguments))),
        DecisionStep o => Plain.Map(("question", o.Question), ("options", Plain.Array(o.Options.Select(option => (Plain)option))), ("chosen", o.Chosen)),
        QueryStep o => Plain.Map(("kind", o.Kind), ("query", o.Query)),
        ThoughtStep o => Plain.Map(("content", o.Content), ("confidence", Plain.Of(o.Confidence!.Value))),
        ErrorStep o => Plain.Map(("kind", o.Kind), ("message", o.Message), ("recoverable", o.IsRecoverable)),
        CustomStep o => Plain.Map(("name", o.Name), ("data", ToPlain(o.Data))),
        _ => throw new ArgumentException(step.GetType().Name),
    };

    private static TimeSpan? Life(long? microseconds) => microseconds is { } life ? TimeSpan.FromMicroseconds(life) : null;

    internal static Value ToValue(Plain plain) => Value.Decode(plain.Canonical);

    internal static Plain ToPlain(Value value) => Plain.FromCanonical(value.Encode());

    internal static Plain ToPlain(Value? value) => value is { } present ? ToPlain(present) : Plain.Absent;

    internal static long Microseconds(DateTimeOffset time) => (time - DateTimeOffset.UnixEpoch).Ticks / TimeSpan.TicksPerMicrosecond;

    internal static DateTimeOffset Time(long microseconds) => DateTimeOffset.UnixEpoch.AddTicks(microseconds * TimeSpan.TicksPerMicrosecond);

    internal Plain ToModel(Sequence version) => _toModel.TryGetValue(version.Value, out var model) ? model : throw new InvalidOperationException($"version {version} was never written");

    // 0 = absent, also when the refusal comes before the expectation.
    private Sequence ToEngine(Plain? expectation)
    {
        var version = (ulong)(expectation?.AsInt64 ?? 0);
        return new Sequence(version == 0 ? 0 : _toEngine.GetValueOrDefault(version, Nowhere + version));
    }

    /// <summary>A run, and what the model names in it.</summary>
    internal sealed class Slot(RunId id, Run? run)
    {
        internal RunId Id { get; } = id;

        /// <summary>Null when it was deleted before the database was opened.</summary>
        internal Run? Run { get; set; } = run;

        internal List<TraceId> Traces { get; set; } = [];

        internal Dictionary<(string Name, string Owner), Counter> Tokens { get; private set; } = [];

        /// <summary>Events that the model has the time and salt of.</summary>
        internal int Sealed { get; set; }

        internal Slot Copy() => new(Id, Run) { Traces = [.. Traces], Tokens = new(Tokens) };

        internal void Recover(RunState state, List<TraceId> traces)
        {
            Traces = traces;
            Sealed = Math.Min(Sealed, state.Events.Count);
            // What is held is known by name; a token that was given and lost again is nobody's.
            Tokens = new(Run!.State.Scan(new ScanOptions { Prefix = "lease-", Limit = 1_000 })
                .Select(pair => KeyValuePair.Create((pair.Key, RecoveredWorld.Holder(pair.Value.Value).AsText!), pair.Value.Counter)));
        }

        internal void Restore(Slot before) => (Traces, Tokens) = (before.Traces, before.Tokens);
    }

    // ---- primitives ----------------------------------------------------------------------------------------------------------

    /// <summary>The collection that all vectors are in.</summary>
    internal const string Vectors = "vectors";

    /// <summary>A vector as the model has it.</summary>
    internal static Plain OfVector(VectorRecord vector) => Plain.Array(
        (long)Math.Round(Math.Atan2(vector.Embedding.Span[1], vector.Embedding.Span[0]) * 200 / Math.PI),
        vector.Metadata!.Value["tag"].AsInt64());

    /// <summary>The primitives of one run, outside a transaction or in one.</summary>
    private sealed class Door(EngineSubject subject, Slot slot, Kv kv, Events events, State state, Traces traces, Json json, VectorCollections vectors, TransactionRun? run, bool isInside)
    {
        internal bool HasBrokenRequirement { get; private set; }

        /// <summary>Does it now; the answer may have to wait for the commit.</summary>
        internal Func<Plain> Answer(RunOperation operation, Result expected)
        {
            switch (operation)
            {
                case EventsAppend o:
                    var receipt = events.Append(o.Type, ToValue(o.Payload));
                    return () => (long)receipt.Number.Value;
                case EventsAppendMany o:
                    var receipts = events.AppendMany([.. o.Items.Select(item => new NewEvent(item.Type, ToValue(item.Payload)))]);
                    return () => Plain.Array(receipts.Select(one => (Plain)(long)one.Number.Value));
                case StateInit o:
                    var made = state.Init(o.Name, ToValue(o.Value));
                    return () => (long)made.Counter.Value;
                case StateSet o:
                    var set = state.Set(o.Name, ToValue(o.Value), Life(o.TtlMicroseconds));
                    return () => (long)set.Counter.Value;
                case StateCompareAndSet o:
                    var changed = state.CompareAndSet(o.Name, Expected(expected), ToValue(o.Value));
                    return () => (long)changed.Counter.Value;
                default:
                    var answer = OfKv(operation, expected) ?? OfEvents(operation) ?? OfState(operation, expected) ?? OfTraces(operation)
                        ?? OfDocuments(operation) ?? OfVectors(operation) ?? OfRun(operation);
                    return () => answer;
            }
        }

        private Plain? OfKv(RunOperation operation, Result expected)
        {
            switch (operation)
            {
                case KvGet o:
                    return ToPlain(kv.Get(o.Key));
                case KvGetVersioned o:
                    return kv.GetVersioned(o.Key) is { } found
                        ? Plain.Array(ToPlain(found.Value), subject.ToModel(found.Version), found.Expiry is { } expiry ? Microseconds(expiry) : Plain.Null)
                        : Plain.Absent;
                case KvExists o:
                    return kv.Exists(o.Key);
                case KvGetMany o:
                    return Plain.Array(kv.GetMany([.. o.Keys]).Select(ToPlain));
                case KvPut o:
                    kv.Put(o.Key, ToValue(o.Value), Life(o.TtlMicroseconds));
                    return Plain.Done;
                case KvPutMany o:
                    kv.PutMany([.. o.Pairs.Select(pair => KeyValuePair.Create(pair.Key, ToValue(pair.Value)))]);
                    return Plain.Done;
                case KvTryAdd o:
                    return kv.TryAdd(o.Key, ToValue(o.Value));
                case KvDelete o:
                    return kv.Delete(o.Key);
                case KvDeleteMany o:
                    return (long)kv.DeleteMany([.. o.Keys]);
                case KvCompareAndSet o:
                    kv.CompareAndSet(o.Key, subject.ToEngine(expected.Expectation), ToValue(o.Value));
                    return Plain.Done;
                case KvCompareAndSetValue o:
                    return kv.CompareAndSetValue(o.Key, expected.Expectation is { IsAbsent: false } value ? ToValue(value) : default(Value?), ToValue(o.Value));
                case KvIncrement o:
                    return kv.Increment(o.Key, o.Delta);
                case KvExpire o:
                    return kv.Expire(o.Key, Life(o.TtlMicroseconds)!.Value);
                case KvPersist o:
                    return kv.Persist(o.Key);
                case KvList o:
                    return Plain.Array(kv.List(Range(o.From, o.To, o.Limit, o.Reverse)).Select(key => (Plain)key));
                case KvListPrefix o:
                    return Plain.Array(kv.List(new ScanOptions { Prefix = o.Prefix, Limit = o.Limit, Reverse = o.Reverse }).Select(key => (Plain)key));
                case KvScan o:
                    return Plain.Array(kv.Scan(Range(o.From, o.To, o.Limit, o.Reverse)).Select(pair => Plain.Array(pair.Key, ToPlain(pair.Value.Value))));
                case KvCount o:
                    return kv.Count(o.Prefix);
                default:
                    return null;
            }
        }

        private static ScanOptions Range(string from, string? to, int limit, bool reverse) => new() { From = from, To = to, Limit = limit, Reverse = reverse };

        private Plain? OfEvents(RunOperation operation)
        {
            switch (operation)
            {
                case EventsGet o:
                    return events.Get((ulong)o.Number) is { } found ? Show(found) : Plain.Absent;
                case EventsRange o:
                    return Plain.Array(events.Range((ulong)o.From, (ulong)o.To, new EventScanOptions { Limit = o.Limit, Reverse = o.Reverse }).Select(Show));
                case EventsSince o:
                    return Plain.Array(events.Since((ulong)o.Number, new EventScanOptions { Limit = o.Limit }).Select(Show));
                case EventsByType o:
                    return Plain.Array(events.ByType(new EventScanOptions { Types = [o.Type], Limit = o.Limit }).Select(Show));
                case EventsCount:
                    return events.Count();
                case EventsCountByType o:
                    return events.CountByType(o.Type);
                case EventsHead:
                    return events.Head() is { } head ? (long)head.Number.Value : Plain.Absent;
                case EventsTypes:
                    return Plain.Array(All(cursor => events.Types(new ScanOptions { Limit = 2, Cursor = cursor })).Select(type => (Plain)type));
                case EventsStreamInfo o:
                    return events.StreamInfo(o.Type) is { } info ? Plain.Array(info.Count, (long)info.FirstNumber.Value, (long)info.LastNumber.Value) : Plain.Absent;
                case EventsVerify:
                    var verified = events.Verify();
                    return Plain.Array(verified.IsValid, verified.Length);
                case EventsTrim o:
                    events.Count();                          // upkeep passes over a fork of the past that nobody has read
                    subject._database.Db.Engine.Trims!.TrimSome(slot.Id, Retention.KeepEvents(o.Keep));
                    subject._database.Db.Sync();
                    return Plain.Array((long)events.Floor().Number.Value, events.Count());
                case EventsRedact o:
                    events.Redact((ulong)o.Number, o.Reason);
                    return Plain.Done;
                case EventsConsumerCommit o:
                    if (o.Forced)
                        events.Consumers.Reset(o.Consumer, (ulong)o.Number);
                    else
                        events.Consumers.Commit(o.Consumer, (ulong)o.Number);
                    return Plain.Done;
                case EventsConsumerPosition o:
                    // 0 is also the answer for a consumer that never committed.
                    var position = events.Consumers.Position(o.Consumer);
                    return events.Consumers.List().Any(consumer => consumer.Name == o.Consumer) ? (long)position.Value : Plain.Absent;
                case EventsConsumers:
                    return Plain.Array(events.Consumers.List().Select(consumer => Plain.Array(consumer.Name, (long)consumer.Position.Value)));
                default:
                    return null;
            }
        }

        private static Plain Show(EventRecord record) => record.IsRedacted
            ? Plain.Array((long)record.Number.Value, record.Type) : Plain.Array((long)record.Number.Value, record.Type, ToPlain(record.Payload.Value));

        private static Counter Expected(Result expected) => new((ulong)(expected.Expectation?.AsInt64 ?? 0));

        private Plain? OfState(RunOperation operation, Result expected)
        {
            switch (operation)
            {
                case StateGet o:
                    return state.Get(o.Name) is { } cell ? Plain.Array(ToPlain(cell.Value), (long)cell.Counter.Value) : Plain.Absent;
                case StateExists o:
                    return state.Exists(o.Name);
                case StateList o:
                    return Plain.Array(state.List(new ScanOptions { Prefix = o.Prefix, Limit = 1_000 }).Select(name => (Plain)name));
                case StateDelete o:
                    return state.Delete(o.Name);
                case StateTransition o:
                    return Show(state.Transition(o.Name, value => ToValue(Model.Step(ToPlain(value), o.Delta))));
                case StateTransitionOrInit o:
                    return Show(state.TransitionOrInit(o.Name, o.Initial, value => ToValue(Model.Step(ToPlain(value), o.Delta))));
                case StateGetOrInit o:
                    return ToPlain(state.GetOrInit(o.Name, () => ToValue(o.Value)));
                case StateRequire o:
                    try
                    {
                        state.Require(o.Name, Expected(expected));
                    }
                    catch (VersionMismatchException) when (isInside)
                    {
                        HasBrokenRequirement = true;         // told at the call already; the transaction is over then
                    }

                    return Plain.Done;
                case StateAcquire o:
                    var lease = state.Acquire(o.Name, o.Owner, Life(o.TtlMicroseconds)!.Value);
                    if (!lease.IsAcquired)
                        return Plain.Array(false, lease.Holder!);
                    slot.Tokens[(o.Name, o.Owner)] = lease.Token;
                    return Plain.Array(true, (long)lease.Token.Value);
                case StateRenew o:
                    return state.Renew(o.Name, Token(o.Name, o.Owner), Life(o.TtlMicroseconds)!.Value).IsAcquired;
                case StateRelease o:
                    return state.Release(o.Name, Token(o.Name, o.Owner));
                default:
                    return null;
            }
        }

        private static Plain Show(TransitionResult result) => Plain.Array(ToPlain(result.Value), (long)result.Counter.Value);

        private Counter Token(string name, string owner) => slot.Tokens.GetValueOrDefault((name, owner), Nowhere);

        private Plain? OfDocuments(RunOperation operation)
        {
            switch (operation)
            {
                case DocumentGet o:
                    return ToPlain(json.Get(o.Id));
                case DocumentPut o:
                    json.Put(o.Id, ToValue(o.Value));
                    return Plain.Done;
                case DocumentSet o:
                    json.Set(o.Id, $"$.{o.Member}", ToValue(o.Value));
                    return Plain.Done;
                case DocumentIncrement o:
                    return ToPlain(json.Increment(o.Id, "$.n", o.Delta));
                case DocumentDrop o:
                    return json.Delete(o.Id, $"$.{o.Member}");
                case DocumentDelete o:
                    return json.Delete(o.Id);
                default:
                    return null;
            }
        }

        private Plain? OfVectors(RunOperation operation)
        {
            var collection = vectors[Vectors];
            switch (operation)
            {
                case VectorGet o:
                    return collection.Get(o.Key) is { } vector ? OfVector(vector) : Plain.Absent;
                case VectorPut o:
                    collection.Upsert(o.Key, AtAngle(o.Number), Value.Object(("tag", o.Tag)));
                    return Plain.Done;
                case VectorTag o:
                    return collection.UpdateMetadata(o.Key, Value.Object(("tag", o.Tag)));
                case VectorDelete o:
                    return collection.Delete(o.Key);
                case VectorSearch o:
                    return Plain.Array(collection.Search(AtAngle(o.Number + 0.25), o.Count, new VectorSearchOptions
                    {
                        Filter = o.Tag is { } tag ? Filter.Eq("$.tag", tag) : null,
                    }).Matches.Select(match => (Plain)match.Key));
                case VectorsDrop:
                    return vectors.DeleteCollection(Vectors);
                default:
                    return null;
            }
        }

        // A quarter of the circle has 100 steps.
        private static float[] AtAngle(double steps) =>
            [(float)Math.Cos(steps * Math.PI / 200), (float)Math.Sin(steps * Math.PI / 200)];

        private Plain? OfTraces(RunOperation operation)
        {
            switch (operation)
            {
                case TracesRecord o:
                    var id = traces.Record(StepOf(o.Kind, o.Fields.Members!), new TraceOptions
                    {
                        Parent = o.Parent is { } parent ? IdOf(parent) : null, Timestamp = Time(o.Timestamp), Tags = [.. o.Tags.Distinct()],
                    });
                    slot.Traces.Add(id);
                    return slot.Traces.Count - 1L;
                case TracesGet o:
                    return traces.Get(IdOf(o.Ordinal)) is { } trace
                        ? Plain.Array(
                            trace.Type.ToString(), trace.Parent is { } up ? OrdinalOf(up) : Plain.Null, Microseconds(trace.Timestamp),
                            Plain.Array(trace.Tags.Select(tag => (Plain)tag)), FieldsOf(trace.Step!))
                        : Plain.Absent;
                case TracesChildren o:
                    return Ordinals(page => traces.Children(IdOf(o.Ordinal), page));
                case TracesRoots:
                    return Ordinals(traces.Roots);
                case TracesTree o:
                    return traces.Tree(IdOf(o.Root), o.Depth, TracesView.TreeBudgetMax) is { } tree ? Show(tree.Root) : throw Lifecycle.NotFound(slot.Id);
                case TracesByType o:
                    return Ordinals(page => traces.ByType(Enum.Parse<TraceType>(o.Kind.ToString()), page));
                case TracesByTag o:
                    return Ordinals(page => traces.ByTag(o.Tag, page));
                case TracesByTime o:
                    return Ordinals(page => traces.ByTime(Time(o.From), Time(o.To), page));
                case TracesCount:
                    return traces.Count();
                default:
                    return null;
            }
        }

        private Plain OfRun(RunOperation operation)
        {
            if (operation is not RunsEnd end || run is null)
                throw new ArgumentException($"the driver has no {operation.GetType().Name}");
            End(end.Action, value => Done(() => run.Complete(value)), text => Done(() => run.Fail(text)), text => Done(() => run.Abort(text)),
                () => Done(run.Pause), () => Done(run.Resume), text => Done(() => run.Cancel(text)), () => Done(run.Archive));
            return Plain.Done;
        }

        private static Sequence Done(Action action)
        {
            action();
            return Sequence.None;
        }

        private TraceId IdOf(long ordinal) => ordinal < slot.Traces.Count ? slot.Traces[(int)ordinal] : new TraceId(new Guid(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11));

        private long OrdinalOf(TraceId id) => slot.Traces.IndexOf(id);

        private Plain Ordinals(Func<TracePage, Page<TraceRecord>> next) => Plain.Array(
            All(cursor => next(new TracePage { Limit = 7, Cursor = cursor })).Select(trace => (Plain)OrdinalOf(trace.Id)));

        private Plain Show(TraceNode node) => Plain.Array(OrdinalOf(node.Trace.Id), Plain.Array(node.Children.Select(Show)));

        private static TraceStep StepOf(TraceKind kind, IReadOnlyDictionary<string, Plain> fields)
        {
            string Text(string name) => fields[name].AsText!;
            return kind switch
            {
                TraceKind.ToolCall => new ToolCallStep(Text("tool"), ToValue(fields["arguments"])),
                TraceKind.Decision => new DecisionStep(Text("question"), [.. fields["options"].Items!.Select(option => option.AsText!)], Text("chosen")),
                TraceKind.Query => new QueryStep(Text("kind"), Text("query")),
                TraceKind.Thought => new ThoughtStep(Text("content"), fields["confidence"].AsDouble),
                TraceKind.Error => new ErrorStep(Text("kind"), Text("message"), fields["recoverable"].Equals(Plain.True)),
                _ => new CustomStep(Text("name"), ToValue(fields["data"])),
            };
        }
    }
}
