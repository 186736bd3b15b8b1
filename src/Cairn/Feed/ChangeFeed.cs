using Cairn.Transactions;

namespace Cairn.Feed;

/// <summary>The open streams of changes: how many there may be, how far behind they are, and the end of all of them when the database
/// closes or fails. Thread-safe.</summary>
internal sealed class ChangeFeed(CommitPath path, int streamsMax)
{
    private readonly Lock _gate = new();
    private readonly HashSet<ChangeStream> _streams = [];
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly object _readers = new();
    private int _reading;
    private bool _isClosed;

    internal int Streams
    {
        get
        {
            lock (_gate)
                return _streams.Count;
        }
    }

    /// <summary>Commits that the slowest stream has not looked at; 0 without streams.</summary>
    internal long Lag
    {
        get
        {
            lock (_gate)
                return _streams.Count == 0 ? 0 : _streams.Max(stream => Behind(stream.Looked));
        }
    }

    internal ulong Visible => path.Catalogue.State.Visible.Value;

    internal long Behind(ulong sequence) => Math.Max(0, (long)(Visible - sequence));

    /// <exception cref="LimitException">Too many are open.</exception>
    internal void Join(ChangeStream stream)
    {
        lock (_gate)
        {
            if (_streams.Count >= streamsMax)
                throw new LimitException(nameof(Limits.SubscriptionsMax), streamsMax, _streams.Count + 1, "streams of changes");
            _streams.Add(stream);
        }
    }

    internal void Leave(ChangeStream stream)
    {
        lock (_gate)
            _streams.Remove(stream);
    }

    /// <summary>Before a piece of the log is read: closing waits until <see cref="Leave()"/>.</summary>
    /// <exception cref="ObjectDisposedException">The database is closed.</exception>
    internal void Enter()
    {
        lock (_readers)
        {
            if (_isClosed)
                throw new ObjectDisposedException("CairnDatabase", "The database is closed.");
            _reading++;
        }
    }

    internal void Leave()
    {
        lock (_readers)
        {
            if (--_reading == 0)
                Monitor.PulseAll(_readers);
        }
    }

    /// <summary>Ends when more than a sequence is visible, or the database closes or fails. May end too early.</summary>
    internal Task WhenMoreAsync(ulong sequence) => path.Log.NextRound(sequence + 1) is { } round
        ? Task.WhenAny(round.WhenCompleteAsync(), _ended.Task)
        : Task.CompletedTask;

    /// <summary>The database has failed: who waits is woken, and finds out.</summary>
    internal void End() => _ended.TrySetResult();

    /// <summary>Wakes who waits and keeps out who comes; when it returns, nobody reads the log.</summary>
    internal void Close()
    {
        lock (_readers)
            _isClosed = true;
        _ended.TrySetResult();
        lock (_readers)
        {
            while (_reading > 0)
                Monitor.Wait(_readers);
        }
    }
}
