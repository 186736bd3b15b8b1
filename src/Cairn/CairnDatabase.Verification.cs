using Cairn.Primitives;
using Cairn.Recovery;
using Cairn.Transactions;
using Cairn.Transfer;

namespace Cairn;

// Is the state what the log says? And a number that stands for all of it.
public sealed partial class CairnDatabase
{
    /// <summary>SHA-256 of everything that a later operation could observe at the newest commit: keys, values, versions, times, expiries,
    /// counters of deleted state cells, events and their chain's head, consumers, idempotency keys and records of runs, over all runs in
    /// order of their ids. Not in it: <c>$sys</c>, what follows from the rest (counts, orders), what was deleted or has expired at
    /// that commit's time, and where anything lies. The same log gives the same hash on every machine. Waits until that commit is
    /// visible; costs a read of all keys and values, and blocks nobody.</summary>
    /// <exception cref="DatabaseFailedException">The database failed before its newest commits became visible.</exception>
    public Hash256 StateHash()
    {
        while (true)
        {
            using var cut = TakeCut();
            using var hash = new StateHash(Operations, cut.Sequence, cut.Time);
            if (hash.RunsOf(cut.Catalogue).All(id => cut.Find(id) is not null))
                return hash.OfAll(cut.Catalogue, id => cut.Find(id)!);
        }
    }

    /// <summary>Compares the living state with the log, at the newest commit: every ended segment with its digest, every record with
    /// its checks, the state with what the log gives when it is applied anew, counts and orders with the state, event chains with their
    /// heads, trees of documents with their rules, items of indexes with what is stored. Runs beside commits; costs a read of the log
    /// and the memory of a second state. Changes nothing.</summary>
    /// <returns>What was found; damage is a finding and not an exception.</returns>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidArgument"/>: the database is in memory and has no log.</exception>
    /// <exception cref="DatabaseFailedException">The database failed before its newest commits became visible.</exception>
    public Verification VerifyDeep() => VerifyDeep(null, CancellationToken.None);

    /// <summary>Verifies the database to a depth, beside commits. Changes nothing.</summary>
    /// <param name="depth">How much is read.</param>
    /// <param name="progress">Told now and then how many bytes have been read; called on the calling thread. Null = nobody.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    /// <inheritdoc cref="VerifyDeep()"/>
    public Verification Verify(
        VerificationDepth depth, IProgress<TransferProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        if (depth == VerificationDepth.Deep)
            return VerifyDeep(progress, cancellationToken);
        if (!Enum.IsDefined(depth))
            throw new CairnException(ErrorCode.InvalidArgument, $"There is no depth {(int)depth}: it is Quick, Full or Deep.");
        var log = LogOrThrow();
        _engine.State.ThrowIfFailed();
        using var files = new FileVerification(log.Capture("a verification"));
        files.Run(readsAll: depth == VerificationDepth.Full, progress, cancellationToken);
        return new Verification { Sequence = Sequence, Findings = files.Findings };
    }

    private Verification VerifyDeep(IProgress<TransferProgress>? progress, CancellationToken cancellationToken)
    {
        var log = LogOrThrow();
        while (true)
        {
            using var cut = TakeCut();
            using var verification = new DeepVerification(_storage!, log, cut, Operations, Limits)
            {
                Progress = progress,
                CancellationToken = cancellationToken,
            };
            using var hash = new StateHash(Operations, cut.Sequence, cut.Time);
            if (hash.RunsOf(cut.Catalogue).Any(id => cut.Find(id) is null))
                continue;                                    // begun and deleted meanwhile
            verification.Run(_engine.Path);
            return new Verification
            {
                Sequence = new Sequence(cut.Sequence),
                StateHash = verification.State,
                Findings = verification.Findings,
            };
        }
    }

    private Cut TakeCut()
    {
        _engine.Path.ThrowIfNotReadable();
        _engine.State.ThrowIfFailed();
        return Cut.Take(_engine.Path, _engine.Pins);
    }
}

/// <summary>How much of a database is verified.</summary>
public enum VerificationDepth
{
    /// <summary>Every file that the manifest names is there, with its length; headers of segments. Costs an open per file.</summary>
    Quick = 0,

    /// <summary>Every byte too: digests of all files that have ended, and every record of the open segment. Costs a read of all.</summary>
    Full = 1,

    /// <summary>The state too, as in <see cref="CairnDatabase.VerifyDeep()"/>. Costs the memory of a second state.</summary>
    Deep = 2,
}

/// <summary>What <see cref="CairnDatabase.Verify"/> found.</summary>
public sealed record Verification
{
    internal Verification()
    {
    }

    /// <summary>Nothing was found.</summary>
    public bool IsValid => Findings.Count == 0;

    /// <summary>The commit at which the state was looked at.</summary>
    public Sequence Sequence { get; init; }

    /// <summary>Of the living state there; zeros when it was not looked at.</summary>
    public Hash256 StateHash { get; init; }

    /// <summary>Everything that is not as it must be.</summary>
    public IReadOnlyList<VerificationFinding> Findings { get; init; } = [];
}

/// <summary>One thing that is not as it must be.</summary>
/// <param name="Part">Where: segment, file, log, content, runs, state, order, events, documents or index.</param>
/// <param name="Text">What; names files, runs and numbers, never keys or values.</param>
public sealed record VerificationFinding(string Part, string Text);
