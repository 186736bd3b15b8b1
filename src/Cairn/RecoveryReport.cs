namespace Cairn;

/// <summary>What opening a database found and did (RCV-11). Kept as <see cref="CairnDatabase.Recovery"/> only; recovery writes no
/// events.</summary>
public sealed record RecoveryReport
{
    internal RecoveryReport()
    {
    }

    /// <summary>There was no database; now there is one.</summary>
    public bool IsNew { get; init; }

    /// <summary>The opening before ended with a clean close.</summary>
    public bool WasClosedCleanly { get; init; }

    /// <summary>Number of this opening.</summary>
    public ulong Epoch { get; init; }

    /// <summary>The last commit in the checkpoint that was begun with; null when the whole log was read.</summary>
    public Sequence? CheckpointUsed { get; init; }

    /// <summary>Checkpoints that could not be used, newest first, and why. They stand among the warnings too.</summary>
    public IReadOnlyList<string> CheckpointsRejected { get; init; } = [];

    /// <summary>Segments of the log that were read.</summary>
    public int Segments { get; init; }

    /// <summary>Records that were read, control records included.</summary>
    public long Records { get; init; }

    /// <summary>Bytes of records that were read.</summary>
    public long Bytes { get; init; }

    /// <summary>Transactions that were applied.</summary>
    public long Transactions { get; init; }

    /// <summary>Sequence of the last of them.</summary>
    public Sequence LastSequence { get; init; }

    /// <summary>What was cut off behind the last valid record; null when nothing was.</summary>
    public RecoveryCut? Cut { get; init; }

    /// <summary>Records at the end of the log that were written again, because no witness proved them synced.</summary>
    public long CopiedRecords { get; init; }

    /// <summary>Items set aside, as paths below the database directory.</summary>
    public IReadOnlyList<string> Quarantined { get; init; } = [];

    /// <summary>Runs left active by a crash and not adopted since, at the time of opening; where there are more than a thousand active
    /// runs, at the time when this is first asked for, while the database is open.</summary>
    public IReadOnlyList<RunId> OrphanedRuns => Orphans.Value;

    internal Lazy<IReadOnlyList<RunId>> Orphans { get; init; } = new([]);

    /// <summary>Damage that cost nothing.</summary>
    public IReadOnlyList<string> Warnings { get; init; } = [];

    /// <summary>How long each phase took.</summary>
    public IReadOnlyList<RecoveryPhase> Phases { get; init; } = [];

    /// <summary>From the lock to ready.</summary>
    public TimeSpan Duration { get; init; }
}

/// <summary>Bytes that were never acknowledged, cut off and kept in quarantine.</summary>
/// <param name="File">Relative to the database directory.</param>
/// <param name="Offset">Where in the file.</param>
/// <param name="Bytes">How many.</param>
/// <param name="Reason">What was wrong with them.</param>
public sealed record RecoveryCut(string File, long Offset, long Bytes, string Reason);

/// <summary>One phase of recovery.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Duration">How long it took.</param>
public sealed record RecoveryPhase(string Name, TimeSpan Duration);
