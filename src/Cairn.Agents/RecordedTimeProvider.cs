namespace Cairn.Agents;

/// <summary>A clock whose readings are inputs of a run (<see cref="InputKind.Clock"/>): recorded, and given from the recording in a run
/// that is being replayed. The local time zone is UTC, since a zone would be another input. Timers are the inner clock's and are not
/// recorded: they say when code runs and not what it sees. Each reading is a commit of the run: for a time now and then, not for a
/// loop. Thread-safe.</summary>
public sealed class RecordedTimeProvider : TimeProvider
{
    private readonly Run _run;
    private readonly TimeProvider _inner;

    /// <summary>Records on a run, or replays with it.</summary>
    /// <param name="run">The run that asks.</param>
    /// <param name="inner">The clock; null = the system's.</param>
    public RecordedTimeProvider(Run run, TimeProvider? inner = null)
    {
        ArgumentNullException.ThrowIfNull(run);
        _run = run;
        _inner = inner ?? System;
    }

    /// <inheritdoc/>
    public override TimeZoneInfo LocalTimeZone => TimeZoneInfo.Utc;

    /// <summary>Ticks of 100 ns, on every machine.</summary>
    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    /// <inheritdoc/>
    public override DateTimeOffset GetUtcNow() =>
        new(_run.Input(InputKind.Clock, "utc", () => _inner.GetUtcNow().UtcTicks).AsInt64(), TimeSpan.Zero);

    /// <inheritdoc/>
    public override long GetTimestamp() =>
        _run.Input(InputKind.Clock, "timestamp", () => _inner.GetElapsedTime(0).Ticks).AsInt64();

    /// <inheritdoc/>
    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period) =>
        _inner.CreateTimer(callback, state, dueTime, period);
}
