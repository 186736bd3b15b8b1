using Cairn.Primitives;
using Cairn.Transactions;

namespace Cairn;

/// <summary>What of a run's past is kept: its policy, what another one would take away, and changing it. Thread-safe.</summary>
public sealed class RunRetention
{
    private readonly Engine _engine;
    private readonly Scope _scope;
    private readonly Lifecycle _life;

    internal RunRetention(Engine engine, Scope scope, Lifecycle life)
    {
        _engine = engine;
        _scope = scope;
        _life = life;
    }

    /// <summary>The policy in force: the run's own, or else the database's.</summary>
    /// <exception cref="CairnException"><see cref="ErrorCode.NotFound"/>: the run was deleted.</exception>
    public Retention Policy => _life.Info.Retention;

    /// <summary>The run's own policy; null when it follows the database's.</summary>
    /// <inheritdoc cref="Policy" path="/exception"/>
    public Retention? Own => _life.Info.OwnRetention;

    /// <summary>Says what a policy would let go of, now, without doing anything. Reads all records of the run that are still there, and
    /// holds its distinct keys in memory meanwhile.</summary>
    /// <param name="policy">Any.</param>
    /// <exception cref="CairnException"><see cref="ErrorCode.NotFound"/>: the run was deleted.</exception>
    /// <exception cref="CorruptionException">A record of the run is damaged.</exception>
    public RetentionPreview Preview(Retention policy)
    {
        ArgumentNullException.ThrowIfNull(policy);
        _ = _life.Info;
        return RetentionForecast.Of(_engine.Pins, _scope, policy, _engine.Path.ReadTime());
    }

    /// <summary>Gives the run a policy of its own, in one commit; also when it is closed. What the policy no longer keeps goes by and by:
    /// events by commits of the maintainer, versions when the log is compacted. What has gone does not come back with a larger
    /// policy.</summary>
    /// <param name="policy">Null = the database's from now on.</param>
    /// <returns>A receipt.</returns>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidArgument"/>: in a database in memory, opened without a policy
    /// that keeps a log, one that needs it; <see cref="ErrorCode.NotFound"/>: the run was deleted; <see cref="ErrorCode.ReadOnly"/>: the
    /// run is <c>$sys</c>, or the database is read-only.</exception>
    public RetentionReceipt Apply(Retention? policy)
    {
        var before = Policy;
        var sequence = _life.SetRetention(policy);
        return new RetentionReceipt { Run = _scope.Run.Id, Sequence = sequence, Before = before, Policy = policy ?? _engine.Retention };
    }
}

/// <summary>What a policy of retention would let go of. Nothing has changed.</summary>
public sealed record RetentionPreview
{
    internal RetentionPreview()
    {
    }

    /// <summary>The policy that was asked about.</summary>
    public required Retention Policy { get; init; }

    /// <summary>Older versions that it does not keep: of keys, state cells, consumer positions and idempotency keys.</summary>
    public required long Versions { get; init; }

    /// <summary>Events that it does not keep.</summary>
    public required long Events { get; init; }

    /// <summary>The first event that it keeps, or the number of the next one when it keeps none.</summary>
    public required EventNumber FirstEvent { get; init; }

    /// <summary>Bytes that the operations which wrote all these take in the log.</summary>
    public required long Bytes { get; init; }

    /// <summary>Versions that are there now, the newest ones and deletions included.</summary>
    public required long VersionsNow { get; init; }

    /// <summary>The earliest sequence at which every key of the run could still be asked for; <see cref="Sequence.None"/> when the run has
    /// written nothing.</summary>
    public required Sequence EarliestKept { get; init; }
}

/// <summary>Receipt of a changed policy of retention.</summary>
public sealed record RetentionReceipt
{
    internal RetentionReceipt()
    {
    }

    /// <summary>The run.</summary>
    public required RunId Run { get; init; }

    /// <summary>Sequence of the commit.</summary>
    public required Sequence Sequence { get; init; }

    /// <summary>What was in force before, as it was seen right before the commit.</summary>
    public required Retention Before { get; init; }

    /// <summary>What is in force now.</summary>
    public required Retention Policy { get; init; }
}
