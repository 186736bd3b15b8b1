namespace Cairn.Maintenance;

/// <summary>Which thread steps a job (docs/decisions/0012).</summary>
internal enum LaneKind
{
    /// <summary>Steps of milliseconds, and what a promise in time rests on: the sync, the mark, the next segment.</summary>
    Prompt,

    /// <summary>Everything that may take longer: a step may sync a file of its own or wait for a commit.</summary>
    Long,
}

/// <summary>
/// One kind of background work, as a step with bounded work that is begun by its lane or by a test. What a job tells about itself
/// (<see cref="Backlog"/>, <see cref="HasWorkInSight"/>, <see cref="DueIn"/>) is asked on other threads too: cheap, no I/O, no lock
/// that is held over I/O. A step may be ended by closing: what it takes long for looks at <see cref="Stopping"/>, and whatever it
/// had not published is made anew by the next opening.
/// </summary>
internal abstract class MaintenanceJob(string name, LaneKind lane = LaneKind.Long)
{
    private Pacing? _pacing;
    private long _began;
    private long _runs;
    private long _items;
    private long _flushes;
    private long _bytesWritten;
    private long _deadlineMisses;

    internal string Name { get; } = name;

    internal LaneKind Lane { get; } = lane;

    /// <summary>An error of this job ends writing.</summary>
    internal virtual bool IsFatal => false;

    // ---- what a job tells ------------------------------------------------------------------------------------------------------

    /// <summary>Items that wait for this job.</summary>
    internal virtual long Backlog => 0;

    /// <summary>Items at which the job is fully loaded: where it begins to slow writers, or breaks a promise soon.</summary>
    internal virtual long Capacity => 1;

    /// <summary>There is work to begin now, or within an interval. While it says so its lane does not sleep.</summary>
    internal virtual bool HasWorkInSight => false;

    /// <summary>Commits give it work, and while that is in sight its <see cref="DueIn"/> is always known.</summary>
    internal virtual bool FollowsCommits => false;

    /// <summary>When the job wants a step although nobody wakes it; at or below zero: now. Null: nothing is planned. A lane without a
    /// thread gets one for it, to the second.</summary>
    internal virtual TimeSpan? DueIn => null;

    /// <summary>For a job that watches: how long what it watches makes no progress, once that is too long.</summary>
    internal virtual TimeSpan? StalledFor => null;

    /// <summary>A lasting finding of this job, for Health; null = none. Names files, places and runs, never keys or values.</summary>
    internal virtual string? Alarm => null;

    /// <summary>The same of what is being put right or waits for somebody, which is no failure yet.</summary>
    internal virtual string? Concern => null;

    /// <summary>Times a writer had to wait for this job.</summary>
    internal virtual long BackPressureEvents => 0;

    /// <summary>Does a bounded piece of work, at most <see cref="BatchMax"/> items. True when more is in sight.</summary>
    internal abstract bool Step();

    // ---- for its step ----------------------------------------------------------------------------------------------------------

    /// <summary>Most items that a step takes.</summary>
    protected int BatchMax { get; private set; } = 10_000;

    /// <summary>Set when the database is being closed.</summary>
    protected CancellationToken Stopping { get; private set; }

    /// <summary>Counts items that were done.</summary>
    protected void Did(long items) => Interlocked.Add(ref _items, items);

    /// <summary>Counts bytes that were written to files.</summary>
    protected void Wrote(long bytes) => Interlocked.Add(ref _bytesWritten, bytes);

    /// <summary>Counts something that was made durable.</summary>
    protected void Flushed() => Interlocked.Increment(ref _flushes);

    /// <summary>Counts a step that began later than promised.</summary>
    protected void MissedDeadline() => Interlocked.Increment(ref _deadlineMisses);

    // ---- kept by the maintainer --------------------------------------------------------------------------------------------------

    internal Pacing Pacing => _pacing ?? throw new InvalidOperationException("The job belongs to no maintainer.");

    /// <summary>When the step that is running began, as a time stamp; 0 = none is.</summary>
    internal long Began => Volatile.Read(ref _began);

    /// <summary>Steps that ended without an error.</summary>
    internal long Steps => Volatile.Read(ref _runs);

    internal long Items => Volatile.Read(ref _items);

    internal int Failures { get; set; }

    internal Exception? LastError { get; set; }

    /// <summary>Time stamp before which a failed job is not tried again.</summary>
    internal long? RetryAt { get; set; }

    /// <summary>Its lane's: time stamp of the next step.</summary>
    internal long NextAt { get; set; }

    /// <summary>Its lane's: the job is stepped at its interval, for there is work.</summary>
    internal bool IsActive { get; set; }

    /// <summary>Its lane's: the last turn stepped it.</summary>
    internal bool WasStepped { get; set; }

    /// <summary>Whether the last sample was above the warning; the maintainer tells the change.</summary>
    internal bool IsWarned { get; set; }

    internal void Join(MaintenanceOptions options, TimeProvider clock, CancellationToken stopping)
    {
        _pacing = new Pacing(options, clock);
        BatchMax = options.BatchMax;
        Stopping = stopping;
    }

    internal void Begin(long now) => Volatile.Write(ref _began, now);

    internal void Ended() => Interlocked.Increment(ref _runs);

    internal PaceReading Observe(long now) => Pacing.Observe(now, Math.Max(0, Backlog), Math.Max(1, Capacity), Items);

    /// <param name="logBytes">Bytes that commits wrote to the log.</param>
    internal JobStatistics Statistics(long logBytes)
    {
        var reading = Pacing.Reading;
        var health = Pacing.HealthOf(reading.Utilisation);
        var written = Volatile.Read(ref _bytesWritten);
        return new JobStatistics
        {
            Name = Name,
            Runs = Steps,
            Items = Items,
            Flushes = Volatile.Read(ref _flushes),
            IsRunning = Began != 0,
            Backlog = reading.Backlog,
            Capacity = reading.Capacity,
            Utilisation = reading.Utilisation,
            Interval = reading.Interval,
            ItemsPerSecond = reading.ItemsPerSecond,
            EstimatedLag = reading.EstimatedLag,
            PredictedBacklog = reading.PredictedBacklog,
            IsWarned = reading.IsWarned,
            BackPressureEvents = BackPressureEvents,
            IntervalChanges = Pacing.IntervalChanges,
            Health = health,
            Recommendation = Pacing.RecommendationOf(health),
            LastError = LastError?.Message,
            Failures = Failures,
            DeadlineMisses = Volatile.Read(ref _deadlineMisses),
            BytesWritten = written,
            WriteAmplification = logBytes == 0 ? 0 : (double)written / logBytes,
        };
    }
}
