using Cairn.Tests.Checkers;

namespace Cairn.Tests.Transactions;

/// <summary>The engine as the judges of transactions want it: over one run, or with its keys spread over two, so that every
/// transaction may span both.</summary>
internal sealed class EngineStore(TestDatabase database, bool isOverTwoRuns = false) : ITransactionalStore
{
    public ITransactionHandle Begin(IsolationLevel level)
    {
        var options = new TransactionOptions { Isolation = level == IsolationLevel.Serializable ? Isolation.Serializable : Isolation.Snapshot };
        return isOverTwoRuns
            ? new Handle(database.BeginOver(1, options), [database.Run.Id, database.OtherRun().Id])
            : new Handle(database.Run.BeginTransaction(options), [database.Run.Id]);
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

    private sealed class Handle(Transaction transaction, RunId[] runs) : ITransactionHandle
    {
        public ulong? ReadAt => transaction.Sequence.Value;

        public string? Get(string key) => Ask(() => On(key).Get(key)?.AsString());

        public void Put(string key, string value) => Ask(() => On(key).Put(key, value));

        public void Delete(string key) => Ask(() => On(key).Delete(key));

        // In pages of changing size, so that ranges are also remembered as the pieces that limits cut.
        public IReadOnlyList<KeyValuePair<string, string>> Scan(string low, string high) => Ask(() =>
        {
            var pairs = new List<KeyValuePair<string, string>>();
            foreach (var run in runs)
            {
                string? cursor = null;
                do
                {
                    var page = transaction.On(run).Kv.Scan(new ScanOptions { From = low, To = high, Limit = pairs.Count % 2 == 0 ? 3 : 100, Cursor = cursor });
                    pairs.AddRange(page.Select(pair => KeyValuePair.Create(pair.Key, pair.Value.Value.AsString())));
                    cursor = page.Cursor;
                }
                while (cursor is not null);
            }

            pairs.Sort((left, right) => string.CompareOrdinal(left.Key, right.Key));
            return pairs;
        });

        public ulong Commit() => Ask(() => transaction.Commit().Value);

        public void Rollback() => transaction.Rollback();

        public void Dispose() => transaction.Dispose();

        private Kv On(string key) => transaction.On(runs[key.Sum(c => c) % runs.Length]).Kv;
    }
}
