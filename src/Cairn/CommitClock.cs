namespace Cairn;

/// <summary>Wall time in microseconds since 1970-01-01T00:00:00Z, the one unit of time stamps in the API, on disk and on the wire
/// (TIM-1).</summary>
internal static class CommitClock
{
    private const long UnixEpochTicks = 621_355_968_000_000_000;
    private const long TicksPerMicrosecond = TimeSpan.TicksPerMillisecond / 1000;

    internal static long Microseconds(this TimeProvider clock) => Microseconds(clock.GetUtcNow());

    internal static long Microseconds(DateTimeOffset time) => (time.UtcTicks - UnixEpochTicks) / TicksPerMicrosecond;

    internal static DateTimeOffset Time(long microseconds) => new(UnixEpochTicks + microseconds * TicksPerMicrosecond, TimeSpan.Zero);
}
