namespace Cairn.Transactions;

/// <summary>
/// Wall time of a monotonic time stamp. A commit is timed from its call to its answer, so it has a time stamp anyhow; asking for
/// the time of day as well costs as much again. On the system's clock the wall time of a stamp is that of an anchor plus the
/// difference, and the anchor is renewed after <see cref="AnchorLife"/>: so a jump of the wall clock is seen that much later at most.
/// Any other <see cref="TimeProvider"/> is asked each time. Thread-safe.
/// </summary>
internal sealed class StampedClock
{
    /// <summary>Chosen: below what anybody can see in a commit time, and far above the cost of asking.</summary>
    internal static readonly TimeSpan AnchorLife = TimeSpan.FromMilliseconds(5);

    private readonly TimeProvider _clock;
    private readonly bool _isAnchored;
    private readonly double _nanosecondsPerStamp;
    private readonly double _microsecondsPerStamp;
    private readonly long _life;
    private long _anchoredAt = long.MinValue / 2;
    private long _atStampZero;

    internal StampedClock(TimeProvider clock)
        : this(clock, isAnchored: clock == TimeProvider.System)
    {
    }

    /// <param name="isAnchored">For tests: whether another provider is anchored as the system's is.</param>
    internal StampedClock(TimeProvider clock, bool isAnchored)
    {
        _clock = clock;
        _isAnchored = isAnchored;
        _nanosecondsPerStamp = 1e9 / clock.TimestampFrequency;
        _microsecondsPerStamp = 1e6 / clock.TimestampFrequency;
        _life = (long)(AnchorLife.TotalSeconds * clock.TimestampFrequency);
    }

    /// <summary>Microseconds since 1970 when a stamp was taken; the stamp is a recent one of this clock.</summary>
    internal long Microseconds(long stamp)
    {
        if (!_isAnchored)
            return _clock.Microseconds();
        if (stamp - Volatile.Read(ref _anchoredAt) > _life)
            Anchor();
        return Volatile.Read(ref _atStampZero) + Scaled(stamp, _microsecondsPerStamp);
    }

    internal long NanosecondsSince(long stamp) => Scaled(_clock.GetTimestamp() - stamp, _nanosecondsPerStamp);

    // Never near the ends of the range, so the conversion need not look for them.
    private static long Scaled(long stamps, double factor) => double.ConvertToIntegerNative<long>(stamps * factor);

    // Two threads may do it at once: either result is right.
    private void Anchor()
    {
        var stamp = _clock.GetTimestamp();
        Volatile.Write(ref _atStampZero, _clock.Microseconds() - Scaled(stamp, _microsecondsPerStamp));
        Volatile.Write(ref _anchoredAt, stamp);
    }
}
