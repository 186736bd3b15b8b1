namespace Cairn;

/// <summary>What is known about a run. Its record (name to result) is one version, of <see cref="Version"/>; the sequences, counts and
/// bytes say how far the run itself is now.</summary>
public sealed record RunInfo
{
    internal RunInfo()
    {
    }

    /// <summary>Identity.</summary>
    public required RunId Id { get; init; }

    /// <summary>Unique as long as the run exists; null when it has none.</summary>
    public string? Name { get; init; }

    /// <summary>The run it was begun under; null when there is none. It may have been deleted since.</summary>
    public RunId? Parent { get; init; }

    /// <summary>Of a fork, the sequence at which it has what its parent had: what the parent did later it does not see. Null for a run
    /// that began empty, under a parent or not.</summary>
    public Sequence? ForkSequence { get; init; }

    /// <summary>Where it stands.</summary>
    public RunStatus Status { get; init; }

    /// <summary>Commit time of its beginning; null for <c>default</c> and <c>$sys</c>, which always were there.</summary>
    public DateTimeOffset? Created { get; init; }

    /// <summary>Commit time of the newest change of its record: status, tags, metadata. Null as long as there is no record.</summary>
    public DateTimeOffset? Updated { get; init; }

    /// <summary>Commit time of its end; null while it has none. Archiving a run that has ended keeps it.</summary>
    public DateTimeOffset? Completed { get; init; }

    /// <summary>In the order in which they came, each once.</summary>
    public IReadOnlyList<string> Tags { get; init; } = [];

    /// <summary>An Object.</summary>
    public Value Metadata { get; init; }

    /// <summary>Of a failed run what went wrong, of a cancelled one why, if that was said.</summary>
    public string? Error { get; init; }

    /// <summary>What it completed with; null when nothing was given (the value Null is another answer).</summary>
    public Value? Result { get; init; }

    /// <summary>What of its past is kept: its own policy, or the database's.</summary>
    public Retention Retention { get; init; } = Retention.KeepAll;

    /// <summary>Its own policy; null when it has none.</summary>
    public Retention? OwnRetention { get; init; }

    /// <summary>Sequence of the commit that wrote this record; <see cref="Sequence.None"/> as long as there is none, and inside a
    /// transaction that has changed it the committed version beneath.</summary>
    public Sequence Version { get; init; }

    /// <summary>Sequence of the commit that began the run; <see cref="Sequence.None"/> for <c>default</c> and <c>$sys</c>.</summary>
    public Sequence FirstSequence { get; init; }

    /// <summary>Sequence of the newest commit to the run. While one is on its way to the disk, the newest sequence that readers
    /// see.</summary>
    public Sequence LastSequence { get; init; }

    /// <summary>Events in the run.</summary>
    public long EventCount { get; init; }

    /// <summary>Bytes of memory that the run's state takes.</summary>
    public long Bytes { get; init; }

    /// <summary>Active, and last written by an opening that a crash ended: whoever worked on it is gone. Resuming it, or any write,
    /// adopts it.</summary>
    public bool IsOrphaned { get; init; }
}

/// <summary>A run as it was at a sequence.</summary>
/// <param name="Run">The run.</param>
/// <param name="Sequence">Right after this commit, of whatever run.</param>
public readonly record struct RunPoint(RunId Run, Sequence Sequence);

/// <summary>Which runs to list or count. All conditions that are given must hold.</summary>
public sealed record RunFilter
{
    internal static RunFilter All { get; } = new();

    /// <summary>Only runs in this status.</summary>
    public RunStatus? Status { get; init; }

    /// <summary>Only runs with this tag.</summary>
    public string? Tag { get; init; }

    /// <summary>Only runs whose name begins with this.</summary>
    public string? NamePrefix { get; init; }

    /// <summary>Only runs begun at this time or later.</summary>
    public DateTimeOffset? From { get; init; }

    /// <summary>Only runs begun before this time.</summary>
    public DateTimeOffset? To { get; init; }

    /// <summary>Only runs begun under this one.</summary>
    public RunId? Parent { get; init; }

    /// <summary>Most items on a page; 0 = <see cref="Limits.PageSize"/>; at most <see cref="Limits.PageSizeMax"/>. Counting
    /// ignores it.</summary>
    public int Limit { get; init; }

    /// <summary>Continues a listing: <see cref="Page{T}.Cursor"/> of the page before, with the other options unchanged. Counting ignores
    /// it.</summary>
    public string? Cursor { get; init; }

    /// <summary>Newest run first. Counting ignores it.</summary>
    public bool Reverse { get; init; }
}

/// <summary>Receipt of a deleted run: what went with it.</summary>
public sealed record RunDeletion
{
    internal RunDeletion()
    {
    }

    /// <summary>The run.</summary>
    public required RunId Id { get; init; }

    /// <summary>The name that is free again.</summary>
    public string? Name { get; init; }

    /// <summary>Sequence of the deletion.</summary>
    public required Sequence Sequence { get; init; }

    /// <summary>Things that were in the run, by primitive (<c>kv</c>, <c>events</c>, <c>state</c>, <c>traces</c>): exact, at the deletion;
    /// what had expired and was not removed yet is among them.</summary>
    public required IReadOnlyDictionary<string, long> Counts { get; init; }

    /// <summary>Bytes of memory that the run's state took.</summary>
    public long Bytes { get; init; }
}
