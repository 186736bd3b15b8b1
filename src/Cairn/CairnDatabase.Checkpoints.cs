using Cairn.Maintenance;

namespace Cairn;

// Checkpoints on demand; by themselves they are made by the maintainer, and when the database is closed.
public sealed partial class CairnDatabase
{
    /// <summary>Makes a checkpoint that has every commit up to the call: an opening then reads the log from there on. Costs what has
    /// changed since the last one; commits and reads go on meanwhile. Does nothing when nothing was committed since. Checkpoints come
    /// by themselves too: <see cref="CairnOptions.CheckpointLogBytes"/>, <see cref="CairnOptions.CheckpointInterval"/>,
    /// <see cref="CairnOptions.CheckpointOnClose"/>.</summary>
    /// <param name="progress">Told after each step.</param>
    /// <param name="cancellationToken">Gives the checkpoint up; the one before stays.</param>
    /// <returns>The newest checkpoint that this opening made; null when it has made none, because there was nothing to do.</returns>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidArgument"/>: the database is in memory;
    /// <see cref="ErrorCode.ReadOnly"/>.</exception>
    /// <exception cref="CorruptionException">What older checkpoints hold is damaged; the checkpoint before stays.</exception>
    /// <exception cref="BusyException"><see cref="ErrorCode.DiskFull"/>: there is no room; the checkpoint before stays.</exception>
    /// <exception cref="DatabaseFailedException">An I/O error; the database takes no more writes.</exception>
    public CheckpointInfo? Checkpoint(IProgress<CheckpointProgress>? progress = null, CancellationToken cancellationToken = default) =>
        CheckpointerOrThrow().Run(progress, cancellationToken);

    /// <summary>The same, awaited: the maintainer's thread makes it.</summary>
    /// <param name="cancellationToken">Ends the waiting, not the checkpoint.</param>
    /// <inheritdoc cref="Checkpoint"/>
    public async ValueTask<CheckpointInfo?> CheckpointAsync(
        IProgress<CheckpointProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        cancellationToken.ThrowIfCancellationRequested();
        var made = CheckpointerOrThrow().AskAsync(progress);
        _engine.Maintainer!.Wake(_engine.Maintainer.Jobs.First(job => job.Name == CheckpointJob.CheckpointName));
        return await made.WaitAsync(cancellationToken).ConfigureAwait(false);
    }

    private Checkpoints.Checkpointer CheckpointerOrThrow()
    {
        _engine.Path.ThrowIfNotReadable();
        if (_engine.Options.Durability == Durability.InMemory)
        {
            throw new CairnException(
                ErrorCode.InvalidArgument,
                "A database in memory has no checkpoints: nothing of it outlives the process. Open one in a directory.");
        }

        if (_engine.Options.IsReadOnly)
        {
            throw new CairnException(
                ErrorCode.ReadOnly, "The database was opened read-only. Open it without IsReadOnly to make checkpoints.");
        }

        _engine.State.ThrowIfFailed();
        return _engine.Checkpointer!;
    }
}
