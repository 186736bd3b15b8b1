using Cairn.Storage;
using Cairn.Transfer;

namespace Cairn;

// Backup of a living database, and a database from a backup.
public sealed partial class CairnDatabase
{
    /// <summary>Makes a backup in an empty directory while commits go on: everything that is committed when it begins, up to one
    /// sequence. It appears whole or not at all: one that was killed is refused by name, one that failed or was cancelled takes its files
    /// away. Costs a sync, and a read and a write of what is copied; blocks nobody.</summary>
    /// <param name="directory">Absent or empty, and not inside the database. Best on another device.</param>
    /// <param name="options">Parent, key, progress; null = a full backup without a key.</param>
    /// <param name="cancellationToken">Ends it; what was written is removed.</param>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidArgument"/>: the directory is not empty, lies inside the database, or
    /// the database is in memory; the parent is of another database, or the key does not fit it; <see cref="ErrorCode.NotABackup"/>: the
    /// parent is none; <see cref="ErrorCode.Io"/>: the system refused.</exception>
    /// <exception cref="BusyException"><see cref="ErrorCode.DiskFull"/>: no space is left for the backup.</exception>
    /// <exception cref="CorruptionException">A file of the database, or the parent, is damaged.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public BackupInfo Backup(string directory, BackupOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(directory);
        options ??= BackupOptions.Default;
        CheckKey(options.Key);
        LogOrThrow();
        RefuseUnlessEmpty(directory, "A backup");
        if (DirectoryPlace.IsInside(directory, _storage!.Description))
        {
            throw new CairnException(
                ErrorCode.InvalidArgument, $"{directory} lies inside the database {_storage.Description}. Back up to a directory outside "
                    + $"of it.");
        }

        return ToCairn(directory, () =>
        {
            using var target = DiskStorage.OpenOrCreate(directory, createIfMissing: true, readOnly: false);
            using var owned = target.Lock($"pid {Environment.ProcessId}");
            using var parent = options.Parent is { } path ? DiskStorage.OpenOrCreate(path, createIfMissing: false, readOnly: true) : null;
            return BackupTo(target, parent, options, cancellationToken);
        });
    }

    /// <summary>The same over any storage.</summary>
    internal BackupInfo BackupTo(IStorage target, IStorage? parent, BackupOptions options, CancellationToken cancellationToken = default)
    {
        var log = LogOrThrow();
        cancellationToken.ThrowIfCancellationRequested();
        var clock = _engine.Clock;
        var began = clock.GetTimestamp();
        var before = parent is null ? null : BackupManifest.Load(parent, options.Key.Span);
        if (!_engine.Options.IsReadOnly)
            Sync();                                          // B1: what a crash could still undo is not backed up
        Failpoint.Hit("backup.synced");
        using var captured = log.Capture("a backup");
        var id = new UInt128(_engine.Random.NextUInt64(), _engine.Random.NextUInt64());
        var manifest = Transfer.Backup.Write(
            captured, target, before, options.Key.Span, id, clock.Microseconds(), options.Progress, cancellationToken);
        var info = InfoOf(manifest);
        _engine.Events.Raise(
            SystemEvents.Backup,
            ("id", info.Id), ("sequence", (long)manifest.Sequence), ("is_incremental", parent is not null), ("files", info.Files),
            ("bytes", info.Bytes), ("own_bytes", info.OwnBytes), ("ms", (long)clock.GetElapsedTime(began).TotalMilliseconds));
        return info;
    }

    /// <summary>Reads backups whole and compares every byte with what was backed up. Changes nothing.</summary>
    /// <param name="directories">A backup and the parents it rests on, in any order.</param>
    /// <param name="options">Key and progress; null = without a key.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <returns>What was found; damage is a finding and not an exception, but for the list of files itself.</returns>
    /// <exception cref="CairnException"><see cref="ErrorCode.NotABackup"/>: a directory is none, or was not finished;
    /// <see cref="ErrorCode.InvalidArgument"/>: they are not one chain, or the key does not fit.</exception>
    /// <exception cref="CorruptionException">The list of files of a backup was changed, or the key is another one.</exception>
    public static BackupVerification VerifyBackup(
        IReadOnlyList<string> directories, BackupOptions? options = null, CancellationToken cancellationToken = default)
    {
        options ??= BackupOptions.Default;
        CheckKey(options.Key);
        return ToCairn(Named(directories), () =>
        {
            using var chain = OpenChain(directories, options.Key);
            return VerifyBackup(chain, options.Progress, cancellationToken);
        });
    }

    internal static BackupVerification VerifyBackup(
        BackupChain chain, IProgress<TransferProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        var findings = chain.Verify(progress, cancellationToken, out var bytes);
        return new BackupVerification
        {
            Backups = [.. chain.Links.Select(InfoOf)],
            MissingParent = chain.Missing is { } missing ? BackupManifest.Text(missing) : null,
            Bytes = bytes,
            Findings = findings,
        };
    }

    /// <summary>Makes a database from a backup, in an empty directory. Everything is verified before the new database can be opened, and
    /// nothing that exists is replaced. Opening it recovers it as after a crash that lost nothing; runs that were active are
    /// orphaned.</summary>
    /// <param name="backups">A backup and the parents it rests on, in any order.</param>
    /// <param name="directory">Absent or empty.</param>
    /// <param name="options">Up to which commit, key, progress; null = all of it, without a key.</param>
    /// <param name="cancellationToken">Ends it; what was written is removed.</param>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidArgument"/>: the directory is not empty or lies inside a backup, the
    /// backups are not one complete chain, they do not have the moment that is asked for, or the key does not fit;
    /// <see cref="ErrorCode.NotABackup"/>: a directory is none, or was not finished; <see cref="ErrorCode.Io"/>: the system refused.
    /// </exception>
    /// <exception cref="BusyException"><see cref="ErrorCode.DiskFull"/>: no space is left for the database.</exception>
    /// <exception cref="CorruptionException">A backup was changed, or the key is another one. No database was made.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public static RestoreReport Restore(
        IReadOnlyList<string> backups, string directory, RestoreOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(directory);
        options ??= RestoreOptions.Default;
        CheckKey(options.Key);
        if (options.ToSequence is not null && options.ToTime is not null)
            throw new CairnException(ErrorCode.InvalidArgument, "A restoring ends at a sequence or at a time, not at both.");
        RefuseUnlessEmpty(directory, "A database that is restored");
        return ToCairn(directory, () =>
        {
            using var chain = OpenChain(backups, options.Key);
            foreach (var backup in backups)
            {
                if (DirectoryPlace.IsInside(directory, backup))
                    throw new CairnException(ErrorCode.InvalidArgument, $"{directory} lies inside the backup {backup}. Restore to a "
                        + $"directory outside of it.");
            }

            using var target = DiskStorage.OpenOrCreate(directory, createIfMissing: true, readOnly: false);
            using var owned = target.Lock($"pid {Environment.ProcessId}");
            return RestoreTo(chain, target, options, cancellationToken);
        });
    }

    /// <summary>The same over any storage.</summary>
    internal static RestoreReport RestoreTo(
        BackupChain chain, IStorage target, RestoreOptions options, CancellationToken cancellationToken = default)
    {
        var time = options.ToTime is { } latest ? CommitClock.Microseconds(latest) : default(long?);
        var restored = new Restore(chain, target, options.Progress, cancellationToken).Write(options.ToSequence?.Value, time,
            out var bytes);
        return new RestoreReport(
            new Sequence(restored.LastSequence), CommitClock.Time(restored.CommitTime), TransferNames.Of(restored).Count() + 1, bytes);
    }

    private static BackupChain OpenChain(IReadOnlyList<string> directories, ReadOnlyMemory<byte> key)
    {
        ArgumentNullException.ThrowIfNull(directories);
        if (directories.Count == 0)
            throw new CairnException(ErrorCode.InvalidArgument, "Name the directory of a backup.");
        var storages = new List<IStorage>();
        try
        {
            foreach (var directory in directories)
                storages.Add(DiskStorage.OpenOrCreate(directory, createIfMissing: false, readOnly: true));
        }
        catch
        {
            storages.ForEach(storage => storage.Dispose());
            throw;
        }

        return BackupChain.Open(storages, key.Span);
    }

    private static void CheckKey(ReadOnlyMemory<byte> key)
    {
        if (!key.IsEmpty && key.Length < BackupManifest.KeyBytesMin)
        {
            throw new CairnException(
                ErrorCode.InvalidArgument, $"The key has {key.Length} bytes; it needs at least {BackupManifest.KeyBytesMin} random ones.");
        }
    }

    private static void RefuseUnlessEmpty(string directory, string what)
    {
        var content = ToCairn(directory, () => DirectoryPlace.FindContent(directory, TransferNames.Directories));
        if (content is not null)
        {
            throw new CairnException(
                ErrorCode.InvalidArgument, $"{directory} is not empty: it has '{content}'. {what} needs an empty or new directory; name "
                    + $"another one.");
        }
    }

    private static BackupInfo InfoOf(BackupManifest manifest) => new()
    {
        Id = BackupManifest.Text(manifest.Id),
        Parent = manifest.Parent is { } parent ? BackupManifest.Text(parent) : null,
        Database = BackupManifest.Text(manifest.Database.DatabaseId),
        Sequence = new Sequence(manifest.Sequence),
        Time = CommitClock.Time(manifest.Database.CommitTime),
        Created = CommitClock.Time(manifest.Created),
        Files = manifest.Files.Count,
        Bytes = manifest.Files.Sum(file => file.Bytes),
        OwnBytes = manifest.Files.Sum(file => file.Pieces.Where(piece => piece.Backup == manifest.Id).Sum(piece => piece.Bytes)),
    };

    private static string Named(IReadOnlyList<string> directories)
    {
        ArgumentNullException.ThrowIfNull(directories);
        return string.Join(", ", directories);
    }

    // What is called "no database" when one is opened is something else here.
    private static T ToCairn<T>(string directory, Func<T> work)
    {
        try
        {
            return work();
        }
        catch (StorageException failure) when (failure.Error is StorageError.NotFound or StorageError.NotADirectory)
        {
            throw new CairnException(ErrorCode.NotABackup, $"There is no backup: {failure.Message}", failure);
        }
        catch (StorageException failure)
        {
            throw failure.ToCairn(directory);
        }
    }
}
