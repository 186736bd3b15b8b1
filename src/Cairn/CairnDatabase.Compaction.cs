using Cairn.Maintenance;
using Cairn.Storage;

namespace Cairn;

// Giving up what no policy keeps.
public sealed partial class CairnDatabase
{
    /// <summary>Lets go of events that no policy keeps, merges the tables that both kept checkpoints have, and gives up of the log what
    /// nothing needs any more: neither opening the database, nor a policy of retention, nor a value that is kept by reference. What is
    /// still needed of it moves into an archive. The maintainer does the same by itself when more than half of what it looks at is garbage
    /// (<see cref="CairnOptions.CompactionGarbageMin"/>); this does it as soon as there is any. Runs beside commits and reads; costs a
    /// read of what lies below the older of the two kept checkpoints. One at a time: a second caller waits.</summary>
    /// <param name="progress">Told the bytes that were read and written so far.</param>
    /// <param name="cancellationToken">Ends it between two steps; what was given up by then is.</param>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidArgument"/>: the database is in memory and has no log;
    /// <see cref="ErrorCode.ReadOnly"/>: the database is read-only; <see cref="ErrorCode.DiskFull"/>: an archive has no room, nothing was
    /// given up for it; <see cref="ErrorCode.Busy"/>: somebody reads inside this process and has not left for
    /// <see cref="Limits.BusyWaitMax"/>.</exception>
    /// <exception cref="CorruptionException">What it reads is damaged; it ends there, and the damaged part stays as it is.</exception>
    /// <exception cref="DatabaseFailedException">An I/O error; the database takes no more writes.</exception>
    public CompactionReport Compact(IProgress<long>? progress = null, CancellationToken cancellationToken = default) =>
        RunCompaction(onlyPlans: false, progress, cancellationToken);

    /// <summary>Says what <see cref="Compact"/> would do with the log and, about, with tables, and changes nothing. Tables are not merged
    /// for that, so a value to which only a version refers that was written over counts as needed, and events that no policy keeps are
    /// still there: it would give up more.</summary>
    /// <inheritdoc cref="Compact"/>
    public CompactionReport PlanCompaction(IProgress<long>? progress = null, CancellationToken cancellationToken = default) =>
        RunCompaction(onlyPlans: true, progress, cancellationToken);

    private CompactionReport RunCompaction(bool onlyPlans, IProgress<long>? progress, CancellationToken cancellationToken)
    {
        LogOrThrow();
        if (_engine.Compactions is not { } compactions)
            throw new CairnException(ErrorCode.ReadOnly, "The database is open for reading only. Open it for writing to compact it.");
        _engine.State.ThrowIfFailed();
        var bytes = 0L;
        if (!onlyPlans)
            _engine.Trims?.All(cancellationToken);
        try
        {
            var figures = compactions.Run(Compactions.Any, onlyPlans, step => progress?.Report(bytes += step), cancellationToken);
            return new CompactionReport
            {
                IsPlan = onlyPlans,
                BytesRead = figures.BytesSeen,
                BytesNeeded = figures.BytesNeeded,
                BytesDropped = figures.BytesDropped,
                BytesWritten = figures.BytesWritten,
                SegmentsDropped = (int)figures.SegmentsDropped,
                ArchivesReplaced = (int)figures.ArchivesReplaced,
                TableBytesFreed = figures.TableBytesFreed,
                HeldBy = figures.HeldBy.Length == 0 ? null : figures.HeldBy,
            };
        }
        catch (StorageException full) when (full.Error == StorageError.NoSpace)
        {
            throw new BusyException(
                ErrorCode.DiskFull, "The disk has no room for the archive that a compaction writes. Free some space, and compact again.",
                TimeSpan.FromSeconds(1), full);
        }
        catch (StorageException failure)
        {
            throw failure.ToCairn(_storage!.Description);
        }
    }
}

/// <summary>What a compaction did, or would do.</summary>
public sealed record CompactionReport
{
    internal CompactionReport()
    {
    }

    /// <summary>Nothing was changed: this is what would be done.</summary>
    public required bool IsPlan { get; init; }

    /// <summary>Bytes of the files that were looked through: segments below the older kept checkpoint, and archives.</summary>
    public required long BytesRead { get; init; }

    /// <summary>Of them, what is still needed.</summary>
    public required long BytesNeeded { get; init; }

    /// <summary>Bytes of the files that were given up.</summary>
    public required long BytesDropped { get; init; }

    /// <summary>Bytes of the archives that took in what was still needed of them; in a plan, about.</summary>
    public required long BytesWritten { get; init; }

    /// <summary>Segments of the log that were given up.</summary>
    public required int SegmentsDropped { get; init; }

    /// <summary>Archives that were replaced by smaller ones.</summary>
    public required int ArchivesReplaced { get; init; }

    /// <summary>Bytes of tables that merging them gave back; in a plan, about.</summary>
    public required long TableBytesFreed { get; init; }

    /// <summary>Why no more of the log was in reach; null = everything below the older kept checkpoint was.</summary>
    public required string? HeldBy { get; init; }
}
