using System.Diagnostics.CodeAnalysis;

namespace Cairn;

// The run's own feed of changes.
public sealed partial class Run
{
    /// <summary>Every commit that changed this run, from a cursor on: as <see cref="CairnDatabase.Changes"/>, at the cost of what this run
    /// wrote and not of what the database did, and as far back as the run's records are kept whole, also in archives. Ends when the run
    /// was deleted and everything was given.</summary>
    /// <param name="filter">Which changes, without <see cref="ChangeFilter.Runs"/>; null = all.</param>
    /// <inheritdoc cref="CairnDatabase.Changes"/>
    [SuppressMessage("Style", "VSTHRD200", Justification = "A stream is not something to await; the name is the one of every client.")]
    public IAsyncEnumerable<CommittedChanges> Changes(
        string? cursor = null, ChangeFilter? filter = null, ChangeOptions? options = null, CancellationToken cancellationToken = default)
    {
        Transactions.Scope.Live(_engine.Path, _state, _options).ThrowIfNotReadable();
        if (filter?.Runs is not null)
        {
            throw new CairnException(
                ErrorCode.InvalidArgument, "The condition Runs is for the feed of the database; this one is of its run. Leave it out.");
        }

        return _engine.FollowChangesAsync(_state, cursor, filter, options, cancellationToken);
    }
}
