namespace Cairn.Tests;

/// <summary>A clock that stands still until it is told. Time of day may go back, time stamps never do. Its timers ring while it is being
/// moved, on the thread that moves it. Thread-safe.</summary>
internal sealed class FakeClock(long microseconds = FakeClock.Start) : TimeProvider
{
    /// <summary>Where it begins, microseconds since 1970; the model's clock begins there too.</summary>
    internal const long Start = 1_700_000_000_000_000;

    private readonly Lock _gate = new();
    private readonly List<Timer> _timers = [];
    private long _utc = microseconds;
    private long _elapsed = 1;

    /// <summary>Time of day, microseconds since 1970. Setting it forward is time that passes, setting it back is not.</summary>
    internal long Microseconds
    {
        get
        {
            lock (_gate)
                return _utc;
        }

        set
        {
            List<Timer> due;
            lock (_gate)
            {
                _elapsed += Math.Max(0, value - _utc);
                _utc = value;
                due = _timers.FindAll(timer => timer.Due <= _elapsed);
                _timers.RemoveAll(due.Contains);
            }

            due.ForEach(timer => timer.Ring());
        }
    }

    /// <summary>Timers that are set and have not rung.</summary>
    internal int Timers
    {
        get
        {
            lock (_gate)
                return _timers.Count;
        }
    }

    public override long TimestampFrequency => 1_000_000;

    public override DateTimeOffset GetUtcNow() => DateTimeOffset.UnixEpoch.AddTicks(Microseconds * TimeSpan.TicksPerMicrosecond);

    public override long GetTimestamp()
    {
        lock (_gate)
            return _elapsed;
    }

    /// <summary>One-shot timers only.</summary>
    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        var timer = new Timer(this, callback, state);
        timer.Change(dueTime, period);
        return timer;
    }

    internal void Advance(TimeSpan time) => Microseconds += time.Ticks / TimeSpan.TicksPerMicrosecond;

    private sealed class Timer(FakeClock clock, TimerCallback callback, object? state) : ITimer
    {
        internal long Due { get; private set; }

        internal void Ring() => callback(state);

        public bool Change(TimeSpan dueTime, TimeSpan period)
        {
            lock (clock._gate)
            {
                clock._timers.Remove(this);
                if (dueTime == Timeout.InfiniteTimeSpan)
                    return true;
                Due = clock._elapsed + dueTime.Ticks / TimeSpan.TicksPerMicrosecond;
                clock._timers.Add(this);
            }

            return true;
        }

        public void Dispose() => Change(Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);

        public ValueTask DisposeAsync()
        {
            Dispose();
            return ValueTask.CompletedTask;
        }
    }
}
