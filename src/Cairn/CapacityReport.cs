namespace Cairn;

/// <summary>Something that is bounded, and how much of it is used.</summary>
/// <param name="Name">What; of all runs the one that has most of it.</param>
/// <param name="Run">That run; null when it is of the database.</param>
/// <param name="Used">Now.</param>
/// <param name="Allowed">At most; at least 1.</param>
/// <param name="Unit">Of both.</param>
/// <param name="Remedy">What to do before it ends.</param>
public sealed record CapacityLimit(string Name, RunId? Run, long Used, long Allowed, string Unit, string Remedy)
{
    /// <summary>From which part on a limit is near its end.</summary>
    public const double NearEnd = 0.8;

    /// <summary>Used part of what is allowed.</summary>
    public double Share => (double)Used / Allowed;

    /// <summary><see cref="NearEnd"/> or more of it is used.</summary>
    public bool IsNearEnd => Share >= NearEnd;
}

/// <summary>Somebody who keeps something of the past from being given up.</summary>
/// <param name="Holder">Who, in words.</param>
/// <param name="Sequence">What is kept is of this commit or later ones; <see cref="Sequence.None"/> = of all.</param>
/// <param name="Since">Since when: for a snapshot, the commit after the one it sees; null when nothing has been committed since.</param>
/// <param name="Age">The same as a time span.</param>
/// <param name="KeptBytes">Bytes of the log that would be garbage, or might be, but for this one; of a backup, of files that it reads and
/// the database has given up. 0 = it keeps versions in memory alone, or nothing yet.</param>
public sealed record PastHold(string Holder, Sequence Sequence, DateTimeOffset? Since, TimeSpan? Age, long KeptBytes);

/// <summary>How far limits are used, and who keeps the past.</summary>
public sealed record CapacityReport
{
    internal CapacityReport()
    {
    }

    /// <summary>Each limit, the fullest first.</summary>
    public required IReadOnlyList<CapacityLimit> Limits { get; init; }

    /// <summary>Who keeps the past, the oldest first. At rest it is the older checkpoint alone.</summary>
    public required IReadOnlyList<PastHold> Holds { get; init; }

    /// <summary>Runs whose limits were looked at: those that are loaded.</summary>
    public required int RunsExamined { get; init; }
}
