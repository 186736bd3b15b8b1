using Cairn.Log;
using Cairn.Transactions;

namespace Cairn.Primitives;

/// <summary>
/// One waiter for events from a number on: asks whether they have come, whether they never will, and gives what to wait for otherwise.
/// No polling: it is woken by the commit (<see cref="EventFeed"/>), by its own timer, by the end of the run or of the database.
/// Belongs to one thread at a time.
/// </summary>
internal sealed class EventWait : IDisposable
{
    private readonly EventFeed _feed;
    private readonly Scope _scope;
    private readonly TimeSpan _timeout;
    private readonly long _started;
    private EventAudience? _audience;
    private ITimer? _timer;
    private volatile bool _isTimeUp;

    internal EventWait(EventFeed feed, Scope scope, ulong from, TimeSpan timeout)
    {
        if (timeout != Timeout.InfiniteTimeSpan && (timeout < TimeSpan.Zero || timeout.TotalMilliseconds > int.MaxValue))
            throw new CairnException(ErrorCode.InvalidArgument, $"A timeout is from 0 (ask, do not wait) to {int.MaxValue} ms, or infinite; this is {timeout.TotalMilliseconds} ms.");
        scope.ThrowIfNotReadable();
        _feed = feed;
        _scope = scope;
        _timeout = timeout;
        _started = scope.Path.Clock.GetTimestamp();
        From = from;
    }

    internal ulong From { get; set; }

    internal bool HasCome { get; private set; }

    /// <summary>True when the waiting is over: <see cref="HasCome"/> says how.</summary>
    /// <param name="next">What to wait for before asking again.</param>
    internal bool IsOver(out CommitRound next)
    {
        // The order matters: the round is taken first, then what it might have missed is looked for.
        next = _audience?.Next ?? Done;
        _scope.ThrowIfNotReadable();
        HasCome = IsThere();
        if (HasCome || !_scope.IsLive || IsFinished())
            return true;
        _scope.Path.State.ThrowIfFailed();
        if (_isTimeUp || (_timeout != Timeout.InfiniteTimeSpan && _scope.Path.Clock.GetElapsedTime(_started) >= _timeout))
            return true;
        if (_audience is null)
            Listen();                                        // and ask again: what came before this is seen then
        return false;
    }

    private static CommitRound Done { get; } = Completed();

    private static CommitRound Completed()
    {
        var round = new CommitRound();
        round.Complete();
        return round;
    }

    // The run is closed, and its last commit is visible: nothing can come any more. What had come until then is looked at once more.
    // A paused run may go on, so it is waited for.
    private bool IsFinished()
    {
        var run = _scope.Run;
        if (run.Status is RunStatus.Active or RunStatus.Paused || run.Visible.Value < Placed())
            return false;
        HasCome = IsThere();
        return true;
    }

    private ulong Placed()
    {
        lock (_scope.Run.CommitLock)
            return _scope.Run.LastSequence;
    }

    private void Listen()
    {
        _audience = _feed.Join(_scope.Run);
        if (_timeout != Timeout.InfiniteTimeSpan)
        {
            var left = _timeout - _scope.Path.Clock.GetElapsedTime(_started);
            _timer = _scope.Path.Clock.CreateTimer(
                static wait => ((EventWait)wait!).TimeIsUp(), this, left > TimeSpan.Zero ? left : TimeSpan.Zero, Timeout.InfiniteTimeSpan);
        }

        // What has its place already may have been written while nobody listened.
        var placed = Placed();
        if (!_scope.Path.IsUnlogged && _scope.Run.Visible.Value < placed)
            _ = PulseWhenVisibleAsync(_scope.Path, _audience, placed);
    }

    private static async Task PulseWhenVisibleAsync(CommitPath path, EventAudience audience, ulong sequence)
    {
        try
        {
            await path.WhenVisibleAsync(sequence, needsSync: true, CancellationToken.None).ConfigureAwait(false);
        }
        catch (DatabaseFailedException)
        {
            // Who waits finds out by itself, once it is awake.
        }

        audience.Pulse();
    }

    private void TimeIsUp()
    {
        _isTimeUp = true;
        _audience!.Pulse();
    }

    private bool IsThere()
    {
        using var reader = _scope.Run.Store.Read();
        var events = new EventReader(_scope, reader, stackalloc byte[EventReader.KeyBytes]);
        if (events.End > From)
            return true;
        events.NoteEnd();
        return false;
    }

    public void Dispose()
    {
        _timer?.Dispose();
        if (_audience is not null)
            _feed.Leave(_audience);
    }
}
