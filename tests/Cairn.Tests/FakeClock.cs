namespace Cairn.Tests;

/// <summary>A clock that stands still until it is told. Time of day may go back, time stamps never do. Thread-safe.</summary>
internal sealed class FakeClock(long microseconds = FakeClock.Start) : TimeProvider
{
    /// <summary>Where it begins, microseconds since 1970; the model's clock begins there too.</summary>
    internal const long Start = 1_700_000_000_000_000;

    private readonly Lock _gate = new();
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
            lock (_gate)
            {
                _elapsed += Math.Max(0, value - _utc);
                _utc = value;
            }
        }
    }

    public override long TimestampFrequency => 1_000_000;

    public override DateTimeOffset GetUtcNow() => DateTimeOffset.UnixEpoch.AddTicks(Microseconds * TimeSpan.TicksPerMicrosecond);

    public override long GetTimestamp()
    {
        lock (_gate)
            return _elapsed;
    }

    internal void Advance(TimeSpan time) => Microseconds += time.Ticks / TimeSpan.TicksPerMicrosecond;
}
