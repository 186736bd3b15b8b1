using Cairn.Log;
using Cairn.Storage;
using Cairn.Transfer;

namespace Cairn;

// A new database from what is readable of a damaged one.
public sealed partial class CairnDatabase
{
    /// <summary>Makes a new database of what can be read of a damaged one, with an account of what cannot. For a database that refuses to
    /// open because acknowledged data is damaged, when there is no backup. Only reads the damaged directory; costs the memory of what is
    /// found. Where the log is whole from its beginning, the new database has the same sequences and the same state hash. Where retention
    /// has dropped the log's beginning, the state at a checkpoint comes from tables and archives, and before it the history of keys and
    /// cells, as far as archives and the log below the checkpoint have it: at its own commit times, with new versions.</summary>
    /// <param name="directory">The damaged database; nobody may have it open.</param>
    /// <param name="target">Absent or empty, and not inside the damaged one.</param>
    /// <param name="progress">Told after each file; null = nobody.</param>
    /// <param name="cancellationToken">Ends it; the new database is removed.</param>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidArgument"/>: the target is not empty, or lies inside;
    /// <see cref="ErrorCode.NotADatabase"/>: nothing there can be salvaged; <see cref="ErrorCode.Locked"/>: the database is open;
    /// <see cref="ErrorCode.Io"/>: the system refused.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public static SalvageReport Salvage(
        string directory, string target, IProgress<TransferProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(directory);
        ArgumentException.ThrowIfNullOrEmpty(target);
        RefuseUnlessEmpty(target, "A salvaged database");
        if (DirectoryPlace.IsInside(target, directory))
        {
            throw new CairnException(
                ErrorCode.InvalidArgument, $"{target} lies inside the database {directory}. Salvage to a directory outside of it.");
        }

        try
        {
            using var source = DiskStorage.OpenOrCreate(directory, createIfMissing: false, readOnly: true);
            using var shared = source.Lock($"pid {Environment.ProcessId}");
            return SalvageTo(
                source, () => DiskStorage.OpenOrCreate(target, createIfMissing: true, readOnly: false), progress, cancellationToken);
        }
        catch (StorageException failure)
        {
            throw failure.ToCairn(directory);
        }
    }

    /// <summary>The same over any storage.</summary>
    internal static SalvageReport SalvageTo(
        IStorage source, Func<IStorage> makeTarget, IProgress<TransferProgress>? progress = null,
            CancellationToken cancellationToken = default)
    {
        RefuseUnfinishedSalvage(source);                     // it would pass for whole
        var clock = new SalvageClock();
        var salvage = new Salvage(source, progress, cancellationToken);
        CairnDatabase? made = null;
        SalvageWriter? writer = null;
        SalvageWriter Writer(long time)
        {
            if (writer is not null)
                return writer;
            clock.Microseconds = time;
            made = OpenSalvaged(makeTarget(), clock);
            return writer = new SalvageWriter(made._engine.Path, made._engine.Pins, time => clock.Microseconds = time);
        }

        try
        {
            salvage.Read(Writer);
            made ??= OpenSalvaged(makeTarget(), clock);
            made.Sync();
            Failpoint.Hit("salvage.synced");
            var report = new SalvageReport
            {
                Checkpoint = new Sequence(salvage.Checkpoint),
                Entries = writer?.Entries ?? 0,
                PastVersions = writer?.PastVersions ?? 0,
                Transactions = writer?.Transactions ?? 0,
                LastRead = new Sequence(salvage.LastSequence),
                LastWritten = made.Sequence,
                Runs = (int)made.Runs.Count(),
                DroppedOperations = writer?.Dropped ?? 0,
                Losses = salvage.Losses,
                RunLosses = [.. (writer?.Losses ?? []).Select(loss => new SalvageRunLoss(loss.Run, loss.Text))],
            };
            made.Dispose();
            made = null;
            Finish(makeTarget());
            return report;
        }
        catch
        {
            if (made is not null)
                TakeAway(made);
            throw;
        }
    }

    // Decided once already, under whatever limits there were: so the highest there are.
    private static CairnDatabase OpenSalvaged(IStorage target, TimeProvider clock)
    {
        PublishedFile.Write(target, LogNames.Salvaging, "This database is being filled by cairn salvage.\n"u8);
        Failpoint.Hit("salvage.begun");
        return Open(
            target,
            new CairnOptions
            {
                Durability = Durability.Buffered,
                TimeProvider = clock,
                Limits = new Limits
                {
                    ValueBytesMax = 64 << 20,
                    StringBytesMax = 64 << 20,
                    TransactionBytesMax = 256 << 20,
                    TransactionOperationsMax = 1_000_000,
                    TransactionRunsMax = 256,
                    TagsMax = 1_024,
                    MetadataBytesMax = 1 << 20,
                },
            },
            new EngineHooks { IsMaintenanceManual = true, IsSalvage = true });
    }

    // All of it is durable and closed: from here on it opens.
    private static void Finish(IStorage target)
    {
        using (target)
        {
            target.Unlink(LogNames.Salvaging);
            target.SyncDirectory(LogNames.Root);
        }
    }

    private static void RefuseUnfinishedSalvage(IStorage storage)
    {
        if (storage.Exists(LogNames.Salvaging) && !Mutant.Is("salvage-opens-half"))
        {
            throw new CairnException(
                ErrorCode.NotADatabase, $"{storage.Description} is what a salvage left that did not end. Remove it and salvage again.");
        }
    }

    private static void TakeAway(CairnDatabase made)
    {
        made._engine.State.Fail(new OperationCanceledException("The salvage did not end."));
        try
        {
            foreach (var name in made._storage!.List(LogNames.Root).Where(name => LogNames.TryParseManifest(name, out _)))
                made._storage.Unlink(name);
            foreach (var name in made._storage.List(LogNames.LogDirectory))
                made._storage.Unlink(LogNames.LogDirectory + "/" + name);
            if (made._storage.Exists(LogNames.Reserve))
                made._storage.Unlink(LogNames.Reserve);
            if (made._storage.Exists(LogNames.Salvaging))
                made._storage.Unlink(LogNames.Salvaging);
            made.Dispose();
        }
        catch (Exception failure) when (failure is StorageException or CairnException)
        {
            // What led here is told; the directory is refused as not empty.
        }
    }

    /// <summary>Stands at the commit time of the transaction at hand.</summary>
    private sealed class SalvageClock : TimeProvider
    {
        internal long Microseconds { get; set; }

        public override DateTimeOffset GetUtcNow() => CommitClock.Time(Microseconds);
    }
}
