namespace Cairn;

/// <summary>What a transaction is protected against.</summary>
public enum Isolation
{
    /// <summary>Everything that was read, keys and ranges, is validated at commit: strictly serializable in sequence order.</summary>
    Serializable = 0,

    /// <summary>Only what was read and also written is validated: write skew and phantoms are possible, nothing else.</summary>
    Snapshot = 1,
}

/// <summary>What became of a transaction with an idempotency key.</summary>
/// <param name="Sequence">The commit that did it, the first time; <see cref="Sequence.None"/> inside another transaction, which has
/// not committed.</param>
/// <param name="IsRepeat">True when that was an earlier call, and this one wrote nothing.</param>
public readonly record struct OnceOutcome(Sequence Sequence, bool IsRepeat)
{
    /// <summary>What the function gave the first time: remembered with the key, and told to every repeat. Null when it gave
    /// nothing.</summary>
    public Value Answer { get; init; }
}

/// <summary>How to run a transaction.</summary>
public sealed record TransactionOptions
{
    internal const int RetriesMax = 10_000;

    internal static TransactionOptions Default { get; } = new();

    /// <summary>Default <see cref="Isolation.Serializable"/>.</summary>
    public Isolation Isolation { get; init; } = Isolation.Serializable;

    /// <summary>Longest life; null = <see cref="Limits.TransactionTimeMax"/>, which it may not exceed.</summary>
    public TimeSpan? Timeout { get; init; }

    /// <summary>How often <c>Transact</c> tries again after it lost, beyond the first loss, which is free. From 0 to 10,000;
    /// default 3.</summary>
    public int Retries { get; init; } = Engine.TransactRetries;

    /// <summary>What the commit asks for.</summary>
    public CommitOptions Commit { get; init; } = CommitOptions.Default;
}
