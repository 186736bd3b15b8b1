namespace Cairn;

/// <summary>What the load of a job asks for.</summary>
public enum JobRecommendation
{
    /// <summary>Health above 0.8: nothing to do.</summary>
    Excellent = 0,

    /// <summary>Health above 0.5: keeps up.</summary>
    Good = 1,

    /// <summary>Health above 0.2: little is left before it slows writers.</summary>
    Warning = 2,

    /// <summary>It does not keep up: writers are slowed, or will be.</summary>
    Critical = 3,
}

/// <summary>Figures of one job of the maintainer since the database was opened; all of them measured.</summary>
public sealed record JobStatistics
{
    internal JobStatistics()
    {
    }

    /// <summary>The job, such as <c>sync</c>.</summary>
    public required string Name { get; init; }

    /// <summary>Steps that ended without an error.</summary>
    public required long Runs { get; init; }

    /// <summary>Items done: commits synced, keys removed, bytes hashed: what the job counts its backlog in.</summary>
    public required long Items { get; init; }

    /// <summary>Times the job made something durable.</summary>
    public required long Flushes { get; init; }

    /// <summary>A step is running now.</summary>
    public required bool IsRunning { get; init; }

    /// <summary>Items that wait, as the job was looked at last.</summary>
    public required long Backlog { get; init; }

    /// <summary>Items at which the job counts as fully loaded.</summary>
    public required long Capacity { get; init; }

    /// <summary>Backlog over capacity, smoothed in wall time; above 1 it is overloaded.</summary>
    public required double Utilisation { get; init; }

    /// <summary>Time between two steps while there is work, by the load.</summary>
    public required TimeSpan Interval { get; init; }

    /// <summary>Items per second over the window of samples.</summary>
    public required double ItemsPerSecond { get; init; }

    /// <summary>What the backlog takes at the present rate; null when there is a backlog and no rate.</summary>
    public required TimeSpan? EstimatedLag { get; init; }

    /// <summary>Backlog in 10 s, if it goes on as over the window of samples.</summary>
    public required long PredictedBacklog { get; init; }

    /// <summary>Utilisation is, or will be within 10 s, above <see cref="MaintenanceOptions.WarnAt"/>.</summary>
    public required bool IsWarned { get; init; }

    /// <summary>Times a writer had to wait for this job.</summary>
    public required long BackPressureEvents { get; init; }

    /// <summary>Times the load changed <see cref="Interval"/>.</summary>
    public required long IntervalChanges { get; init; }

    /// <summary>From 1 (nothing to do) to 0 (overloaded), by <see cref="Utilisation"/>.</summary>
    public required double Health { get; init; }

    /// <summary>What the health asks for.</summary>
    public required JobRecommendation Recommendation { get; init; }

    /// <summary>Text of the last error, until a step has succeeded again; null without one.</summary>
    public required string? LastError { get; init; }

    /// <summary>Steps in a row that failed.</summary>
    public required int Failures { get; init; }

    /// <summary>Times it began later than promised.</summary>
    public required long DeadlineMisses { get; init; }

    /// <summary>Bytes that the job wrote.</summary>
    public required long BytesWritten { get; init; }

    /// <summary>Bytes that the job wrote over bytes that commits wrote to the log; 0 before the first commit.</summary>
    public required double WriteAmplification { get; init; }
}
