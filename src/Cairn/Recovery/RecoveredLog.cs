using Cairn.Log;

namespace Cairn.Recovery;

/// <summary>Called once per record, in order of position, before anything is written to disk: transactions to apply, control
/// records to follow openings and their ends. The payload is good
/// until it returns.</summary>
/// <exception cref="MalformedPayloadException">The payload is not what the format says: corruption.</exception>
internal delegate void ApplyRecord(in RecordHeader header, ReadOnlySpan<byte> payload, ulong position);

/// <summary>Called before the first record: where recovery begins. Called again, with the next best, when what it began with was
/// damaged; whatever was built is thrown away then.</summary>
/// <param name="checkpoint">Null: at the beginning of the log, with nothing.</param>
/// <exception cref="CorruptionException">The checkpoint cannot be used.</exception>
internal delegate void BeginRecovery(Manifest manifest, ManifestCheckpoint? checkpoint);

/// <summary>A log that is ready for appends (or, opened read-only, for reads), and where to go on.</summary>
/// <param name="LastSequence">Of the last recovered transaction; the next one has this + 1.</param>
/// <param name="LastCommitTime">No later commit may have an earlier one; microseconds since 1970.</param>
/// <param name="NextPosition">Where the next record goes.</param>
/// <param name="Chain">Chain value of the next record.</param>
/// <param name="Findings">What was found and done.</param>
internal sealed record RecoveredLog(
    SegmentedLog Log, ulong LastSequence, long LastCommitTime, ulong NextPosition, uint Chain, RecoveryFindings Findings);

/// <summary>What recovery found and did, for the report (RCV-11).</summary>
internal sealed class RecoveryFindings
{
    private readonly List<string> _warnings = [];
    private readonly List<string> _quarantined = [];
    private readonly List<string> _removed = [];
    private readonly List<string> _rejected = [];
    private readonly List<(string Name, TimeSpan Time)> _phases = [];

    /// <summary>There was no database, now there is one.</summary>
    internal bool IsCreated { get; set; }

    internal bool WasClosedCleanly { get; set; }

    internal ulong Epoch { get; set; }

    internal ulong ManifestNumber { get; set; }

    /// <summary>Where the log was read from; null when it was read from its beginning.</summary>
    internal ManifestCheckpoint? CheckpointUsed { get; set; }

    /// <summary>Checkpoints that could not be used, and why.</summary>
    internal IReadOnlyList<string> CheckpointsRejected => _rejected;

    internal int Segments { get; set; }

    internal long Records { get; set; }

    internal long Bytes { get; set; }

    internal long Transactions { get; set; }

    /// <summary>The highest position that some witness proves synced.</summary>
    internal ulong Floor { get; set; }

    /// <summary>What was cut off behind the last valid record; zero bytes when nothing was.</summary>
    internal CutOff Cut { get; set; }

    internal long CopiedRecords { get; set; }

    internal long CopiedBytes { get; set; }

    /// <summary>Damage that cost nothing: the other copy was whole.</summary>
    internal IReadOnlyList<string> Warnings => _warnings;

    /// <summary>Paths in <c>quarantine/</c>.</summary>
    internal IReadOnlyList<string> Quarantined => _quarantined;

    /// <summary>Unfinished and left-over files that were removed.</summary>
    internal IReadOnlyList<string> Removed => _removed;

    internal IReadOnlyList<(string Name, TimeSpan Time)> Phases => _phases;

    /// <summary>Counts anew: what was read before a damaged checkpoint was met does not count.</summary>
    internal void BeginScan(ManifestCheckpoint? checkpoint)
    {
        CheckpointUsed = checkpoint;
        (Records, Bytes, Transactions) = (0, 0, 0);
        Cut = default;
    }

    internal void Warn(string warning) => _warnings.Add(warning);

    internal void Reject(string checkpoint)
    {
        _rejected.Add(checkpoint);
        Warn(checkpoint);
    }

    internal void Quarantine(string path) => _quarantined.Add(path);

    internal void Remove(string path) => _removed.Add(path);

    internal void Phase(string name, TimeSpan time) => _phases.Add((name, time));
}

/// <summary>Bytes behind the last valid record of the open segment that were never acknowledged as durable.</summary>
internal readonly record struct CutOff(string File, long Offset, long Bytes, string Reason);
