namespace Cairn;

// Damaged tables, made anew from the log.
public sealed partial class CairnDatabase
{
    /// <summary>Reads every table of the kept checkpoints whole, and makes those that are damaged anew from what lies below them and the
    /// log: what the maintainer does by itself with a table in which a read or scrubbing meets damage. Runs beside commits. Costs a read of
    /// all tables, and for a damaged one the memory of what it holds and a read of the log that it came from.</summary>
    /// <param name="progress">Told after each table that was read; null = nobody.</param>
    /// <param name="cancellationToken">Ends it between two steps; what was rebuilt stays.</param>
    /// <returns>What was damaged, and what became of it. What cannot be rebuilt is a finding and not an exception.</returns>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidArgument"/>: the database is in memory;
    /// <see cref="ErrorCode.ReadOnly"/>: it was opened read-only; <see cref="ErrorCode.Io"/>: the system refused.</exception>
    /// <exception cref="BusyException">The disk is full.</exception>
    /// <exception cref="DatabaseFailedException">The database failed, now or before.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public RebuildReport Rebuild(IProgress<TransferProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        _ = LogOrThrow();
        _engine.State.ThrowIfNotWritable();
        return _engine.Rebuilder!.RebuildAll(progress, cancellationToken);
    }
}

/// <summary>What <see cref="CairnDatabase.Rebuild"/> found and did.</summary>
public sealed record RebuildReport
{
    internal RebuildReport()
    {
    }

    /// <summary>Tables that were read whole.</summary>
    public int TablesRead { get; init; }

    /// <summary>Every table is right now.</summary>
    public bool IsWhole => Damaged.All(table => table.RebuiltAs is not null);

    /// <summary>Those that were damaged, oldest first.</summary>
    public IReadOnlyList<RebuiltTable> Damaged { get; init; } = [];
}

/// <summary>One damaged table.</summary>
/// <param name="File">Its file, below the database's directory.</param>
/// <param name="Damage">What was found; names places, never keys or values.</param>
/// <param name="RebuiltAs">The file that has taken its place; null when it could not be rebuilt.</param>
/// <param name="Hindrance">Why it could not; null when it was.</param>
public sealed record RebuiltTable(string File, string Damage, string? RebuiltAs, string? Hindrance);
