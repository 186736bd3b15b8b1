namespace Cairn.Tests.Checkers;

/// <summary>What scripts and workloads need of a transactional store; the engine gets an adapter, the toys implement it. Keys are
/// ordinary text, values too. Used from several threads, a handle from one at a time.</summary>
internal interface ITransactionalStore
{
    ITransactionHandle Begin(IsolationLevel level);
}

/// <summary>Each call may throw <see cref="RefusedException"/> (certainly no effect) or <see cref="UnknownOutcomeException"/> (only
/// Commit). Disposing an open handle rolls back.</summary>
internal interface ITransactionHandle : IDisposable
{
    /// <summary>Sequence of the snapshot when the store tells it.</summary>
    ulong? ReadAt { get; }

    string? Get(string key);

    void Put(string key, string value);

    void Delete(string key);

    /// <summary>Pairs with low ≤ key &lt; high by ordinal order, own writes included.</summary>
    IReadOnlyList<KeyValuePair<string, string>> Scan(string low, string high);

    /// <returns>The sequence of the commit, 0 when nothing was written.</returns>
    ulong Commit();

    void Rollback();
}

/// <summary>The store refused: the transaction, or the call, certainly has no effect.</summary>
internal sealed class RefusedException(ErrorCode code) : Exception($"refused: {code}")
{
    internal ErrorCode Code { get; } = code;
}

/// <summary>The commit may or may not have happened.</summary>
internal sealed class UnknownOutcomeException() : Exception("the outcome is unknown");
