using System.Diagnostics.CodeAnalysis;

namespace Cairn;

// The feed of changes: what was committed, commit by commit.
public sealed partial class CairnDatabase
{
    /// <summary>Every commit from a cursor on, in the order of sequences: first those that are there, then each as it comes, once it is as
    /// durable as its mode asks. No gap and no duplicate for a cursor, also after the database was closed and opened. A slow consumer
    /// reads the log at its own pace and slows nobody. Not for two threads at a time.</summary>
    /// <param name="cursor"><see cref="CommittedChanges.Cursor"/> of the last commit that was handled, or what
    /// <see cref="ChangeCursor"/> gave; null = from the first commit on.</param>
    /// <param name="filter">Which changes; null = all but those of <c>$sys</c>.</param>
    /// <param name="options">Values, end; null = none, never.</param>
    /// <param name="cancellationToken">Ends it with an <see cref="OperationCanceledException"/>.</param>
    /// <exception cref="CursorException">The cursor is damaged, of another database, or of a commit that is not there or not the same any
    /// more; in the latter cases when the first commit is asked for.</exception>
    /// <exception cref="HistoryTrimmedException">What follows the cursor is no longer in the log: then, or while it is read. Its
    /// <see cref="HistoryTrimmedException.EarliestCursor"/> can be gone on from.</exception>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidArgument"/>: the database is in memory and has no log, or a condition
    /// of the filter is none; <see cref="ErrorCode.InvalidKey"/>, <see cref="ErrorCode.InvalidName"/>: in the filter.</exception>
    /// <exception cref="LimitException">The filter is too long; or too many streams are open
    /// (<see cref="Limits.SubscriptionsMax"/>), when the first commit is asked for.</exception>
    /// <exception cref="CorruptionException">A record is damaged.</exception>
    /// <exception cref="DatabaseFailedException">The database takes no more writes, and everything visible was given.</exception>
    /// <exception cref="ObjectDisposedException">The database was closed meanwhile.</exception>
    [SuppressMessage("Style", "VSTHRD200", Justification = "A stream is not something to await; the name is the one of every client.")]
    public IAsyncEnumerable<CommittedChanges> Changes(
        string? cursor = null, ChangeFilter? filter = null, ChangeOptions? options = null, CancellationToken cancellationToken = default) =>
        _engine.FollowChangesAsync(null, cursor, filter, options, cancellationToken);

    /// <summary>A cursor behind a commit: a feed that begins with it gives what comes after. Where that is no longer kept, the feed says
    /// so.</summary>
    /// <param name="behind">The commit; <see cref="Sequence.None"/> = before the first one; null = the newest one, so that a feed gives
    /// only what is new.</param>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidArgument"/>: the commit is not there yet, or the database is in memory
    /// and has no log.</exception>
    public string ChangeCursor(Sequence? behind = null)
    {
        _engine.ChangeLog();
        var visible = _engine.Changes.Visible;
        if (behind is { } asked && asked.Value > visible)
        {
            throw new CairnException(
                ErrorCode.InvalidArgument, $"Commit {asked} is not there yet: the newest one is {new Sequence(visible)}.");
        }

        return _engine.NewestChange(behind ?? new Sequence(visible)).ToString();
    }
}
