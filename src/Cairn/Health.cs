namespace Cairn;

/// <summary>Overall state of a database or of one of its parts.</summary>
public enum HealthStatus
{
    /// <summary>All is well.</summary>
    Healthy = 0,

    /// <summary>Works, with something to look at: the reason says what.</summary>
    Degraded = 1,

    /// <summary>The log: takes no writes, reopen to recover. Scrubbing, rebuilding: acknowledged data is damaged, the reason says where;
    /// writes go on (<see cref="Health.AcceptsWrites"/>).</summary>
    Failed = 2,
}

/// <summary>State of one part.</summary>
/// <param name="Name">The part: <c>log</c>, <c>disk</c>, <c>storage</c>, or a job of the maintainer.</param>
/// <param name="Status">Its state.</param>
/// <param name="Reason">Empty when healthy.</param>
public sealed record HealthPart(string Name, HealthStatus Status, string Reason);

/// <summary>One report over all parts.</summary>
/// <param name="Status">The worst of the parts.</param>
/// <param name="Parts">All parts.</param>
public sealed record Health(HealthStatus Status, IReadOnlyList<HealthPart> Parts)
{
    /// <summary>Commits are taken now. Not the same as <see cref="Status"/>: a damaged file makes that Failed, and what is right goes on
    /// being read and written; false = the database failed, its disk is full (then deletions are still taken), it was opened read-only, or
    /// it is closed.</summary>
    public bool AcceptsWrites { get; init; }
}
