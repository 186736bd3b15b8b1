using Cairn.Tests.Checkers;

namespace Cairn.Tests.Transactions;

using Model = Cairn.Tests.Checkers.Model;

/// <summary>The engine in the place of the model's subject (M1). Sequences: the maintainer's own commits (TTL-5) take sequences that
/// the model does not know, so versions are translated; but each operation must move the engine's sequence by exactly one when
/// it writes and not at all when it does not (VER-2).</summary>
internal sealed class EngineSubject : IModelSubject
{
    private const int MaintenanceEvery = 29;

    /// <summary>A version that nothing has.</summary>
    private const ulong Nowhere = 1UL << 60;

    private readonly TestDatabase _database;
    private readonly Dictionary<ulong, ulong> _toEngine = [];
    private readonly Dictionary<ulong, ulong> _toModel = [];
    private int _operations;

    internal EngineSubject(Durability mode) => _database = new TestDatabase(mode);

    public Result Execute(Operation operation, Result expected, Model model)
    {
        _database.Clock.Microseconds = model.Now;
        if (++_operations % MaintenanceEvery == 0)
            _database.Maintain();
        if (operation is Restart restart)
            _database.Reopen(restart.Crash);
        if (operation is Advance or Restart)
            return new Result(ErrorCode.None, Plain.Done);

        var before = _database.Sequence;
        // The versions that this operation writes are known before it runs, for reads inside it there are none.
        if (expected.Sequence != 0)
            (_toEngine[expected.Sequence], _toModel[before + 1]) = (before + 1, expected.Sequence);
        var result = operation is TransactionOperation transaction
            ? Transact(transaction, expected)
            : One((RunOperation)operation, expected, _database.Kv);
        var moved = _database.Sequence - before;
        if (moved != (expected.Sequence == 0 ? 0UL : 1UL))
            throw new InvalidOperationException($"the sequence moved by {moved}, the model's is {expected.Sequence}; answered {result}");
        return result with { Sequence = expected.Sequence };
    }

    public void Dispose() => _database.Dispose();

    private Result Transact(TransactionOperation operation, Result expected)
    {
        using var transaction = _database.Run.BeginTransaction();
        var inner = operation.Body
            .Select((o, i) => expected.Inner![i].IsSkipped ? new Result(ErrorCode.None, Plain.Absent) : One(o, expected.Inner[i], transaction.Kv))
            .ToList();
        if (!operation.Commit)
        {
            transaction.Rollback();
            return new Result(ErrorCode.None, Plain.Done, Inner: inner);
        }

        try
        {
            transaction.Commit();
            return new Result(ErrorCode.None, Plain.Done, Inner: inner);
        }
        catch (CairnException refused)
        {
            return new Result(refused.Code, Plain.Absent, Inner: inner);
        }
    }

    private Result One(RunOperation operation, Result expected, Kv kv)
    {
        try
        {
            return new Result(ErrorCode.None, Answer(operation, expected, kv));
        }
        catch (CairnException refused)
        {
            return Result.Refused(refused.Code);
        }
    }

    private Plain Answer(RunOperation operation, Result expected, Kv kv)
    {
        switch (operation)
        {
            case KvGet o:
                return ToPlain(kv.Get(o.Key));
            case KvGetVersioned o:
                return kv.GetVersioned(o.Key) is { } found
                    ? Plain.Array(ToPlain(found.Value), ToModel(found.Version), found.Expiry is { } expiry ? Microseconds(expiry) : Plain.Null)
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
                kv.CompareAndSet(o.Key, ToEngine(expected.Expectation), ToValue(o.Value));
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
                throw new ArgumentException($"the driver has no {operation.GetType().Name}");
        }
    }

    private static ScanOptions Range(string from, string? to, int limit, bool reverse) => new() { From = from, To = to, Limit = limit, Reverse = reverse };

    private static TimeSpan? Life(long? microseconds) => microseconds is { } life ? TimeSpan.FromMicroseconds(life) : null;

    private static Value ToValue(Plain plain) => Value.Decode(plain.Canonical);

    private static Plain ToPlain(Value value) => Plain.FromCanonical(value.Encode());

    private static Plain ToPlain(Value? value) => value is { } present ? ToPlain(present) : Plain.Absent;

    private static long Microseconds(DateTimeOffset time) => (time - DateTimeOffset.UnixEpoch).Ticks / TimeSpan.TicksPerMicrosecond;

    private Plain ToModel(Sequence version) => _toModel.TryGetValue(version.Value, out var model) ? model : throw new InvalidOperationException($"version {version} was never written");

    // 0 = absent, also when the refusal comes before the expectation.
    private Sequence ToEngine(Plain? expectation)
    {
        var version = (ulong)(expectation?.AsInt64 ?? 0);
        return new Sequence(version == 0 ? 0 : _toEngine.GetValueOrDefault(version, Nowhere + version));
    }
}
