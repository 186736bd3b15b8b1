using Cairn.Primitives;

namespace Cairn;

/// <summary>A state cell as a read found it. Owned, valid for ever.</summary>
/// <param name="Value">The value.</param>
/// <param name="Counter">Number of writes so far; what <see cref="State.CompareAndSet"/> expects.</param>
/// <param name="Version">Sequence of the commit that wrote it. Inside a transaction, for the transaction's own write: the committed
/// version beneath it, <see cref="Sequence.None"/> when there is none.</param>
/// <param name="UpdatedAt">Commit time of <paramref name="Version"/>, to the microsecond.</param>
/// <param name="Expiry">When it expires, or null for never.</param>
public readonly record struct StateCell(Value Value, Counter Counter, Sequence Version, DateTimeOffset UpdatedAt, DateTimeOffset? Expiry);

/// <summary>One version of a state cell's history.</summary>
/// <param name="Value">The value; Null for a deletion.</param>
/// <param name="Counter">The counter after this write; a deletion is one too.</param>
/// <param name="IsDeletion">True when this version is a tombstone.</param>
/// <param name="Version">Sequence of the commit that wrote it.</param>
/// <param name="Time">Commit time, to the microsecond.</param>
/// <param name="Expiry">When it expires, or null for never.</param>
public readonly record struct StateHistoryItem(
    Value Value, Counter Counter, bool IsDeletion, Sequence Version, DateTimeOffset Time, DateTimeOffset? Expiry);

/// <summary>What a write of a state cell has become. Outside a transaction it can be read at once; inside one, when that has
/// committed.</summary>
public readonly record struct StateReceipt
{
    private readonly CellReceipt? _pending;
    private readonly ulong _number;
    private readonly Sequence _sequence;

    internal StateReceipt(ulong counter, ulong sequence)
    {
        _number = counter;
        _sequence = new Sequence(sequence);
    }

    internal StateReceipt(CellReceipt pending, uint step)
    {
        _pending = pending;
        _number = step;
    }

    /// <summary>False as long as the transaction has not committed; the other properties throw then.</summary>
    public bool IsCommitted => _pending is null ? _sequence != Sequence.None : _pending.IsCommitted;

    /// <summary>The cell's counter after this write.</summary>
    /// <exception cref="InvalidOperationException">The transaction has not committed.</exception>
    public Counter Counter => _pending is null ? _number : _pending.CounterAfter((uint)_number);

    /// <summary>Sequence of the commit.</summary>
    /// <inheritdoc cref="Counter" path="/exception"/>
    public Sequence Sequence => _pending is null ? _sequence : _pending.Sequence;

    /// <summary>Counter and sequence.</summary>
    public override string ToString() => IsCommitted ? $"{Counter} {Sequence}" : "not committed";
}

/// <summary>What a transition gave.</summary>
/// <param name="Value">The new value.</param>
/// <param name="Counter">The cell's counter after it.</param>
public readonly record struct TransitionResult(Value Value, Counter Counter);

/// <summary>Who holds a lease.</summary>
/// <param name="IsAcquired">True when the caller holds it.</param>
/// <param name="Token">The fencing token of whoever holds it: a later holder's is always larger. <see cref="State.Require"/> guards
/// writes with it. <see cref="Counter.None"/> when nobody does.</param>
/// <param name="Holder">The owner that holds it; null when nobody does.</param>
/// <param name="Expiry">When it ends by itself; null when nobody holds it.</param>
public readonly record struct LeaseResult(bool IsAcquired, Counter Token, string? Holder, DateTimeOffset? Expiry);
