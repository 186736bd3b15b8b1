using Cairn.Tests.Checkers;

namespace Cairn.Tests.Transactions;

/// <summary>The engine as the judges of transactions want it: over one run, or with its keys spread over several, so that every
/// transaction may span them; in a primitive of choice.</summary>
internal sealed class EngineStore(CairnDatabase db, IReadOnlyList<Run> runs, Func<Registers> registers) : ITransactionalStore
{
    /// <summary>In Kv.</summary>
    internal EngineStore(TestDatabase database, bool isOverTwoRuns = false)
        : this(database.Db, isOverTwoRuns ? [database.Run, database.OtherRun()] : [database.Run], () => new KvRegisters())
    {
    }

    public ITransactionHandle Begin(IsolationLevel level)
    {
        var options = new TransactionOptions { Isolation = level == IsolationLevel.Serializable ? Isolation.Serializable : Isolation.Snapshot };
        var transaction = runs.Count == 1 ? runs[0].BeginTransaction(options) : db.BeginTransaction(runs, options);
        return new Handle(transaction, [.. runs.Select(transaction.On)], registers());
    }

    /// <summary>Runs a call of the engine; its errors in the judges' words.</summary>
    internal static T Ask<T>(Func<T> call)
    {
        try
        {
            return call();
        }
        catch (CairnException unknown) when (unknown.Code == ErrorCode.OutcomeUnknown)
        {
            throw new UnknownOutcomeException();
        }
        catch (CairnException refused)
        {
            throw new RefusedException(refused.Code);
        }
    }

    private sealed class Handle(Transaction transaction, TransactionRun[] runs, Registers registers) : ITransactionHandle
    {
        public ulong? ReadAt => transaction.Sequence.Value;

        public string? Get(string key) => Ask(() => registers.Get(On(key), key));

        public void Put(string key, string value) => Ask(() =>
        {
            registers.Put(On(key), key, value);
            return true;
        });

        public void Delete(string key) => Ask(() =>
        {
            registers.Delete(On(key), key);
            return true;
        });

        public IReadOnlyList<KeyValuePair<string, string>> Scan(string low, string high) => Ask(() =>
            runs.SelectMany(run => registers.Scan(run, low, high)).OrderBy(pair => pair.Key, StringComparer.Ordinal).ToList());

        public ulong Commit() => Ask(() => transaction.Commit().Value);

        public void Rollback() => transaction.Rollback();

        public void Dispose() => transaction.Dispose();

        private TransactionRun On(string key) => runs[key.Sum(c => c) % runs.Length];
    }
}
