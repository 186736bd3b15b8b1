namespace Cairn;

/// <summary>A checkpoint that was made: from here on, an opening reads the log from it on and not from the beginning.</summary>
public sealed record CheckpointInfo
{
    internal CheckpointInfo()
    {
    }

    /// <summary>Its number, from 1, ascending. That of a checkpoint that could not be used, or was given up, may come again.</summary>
    public ulong Number { get; init; }

    /// <summary>Every commit up to it is in the checkpoint.</summary>
    public Sequence Sequence { get; init; }

    /// <summary>Commit time of <see cref="Sequence"/>.</summary>
    public DateTimeOffset Time { get; init; }

    /// <summary>Versions that it wrote: what had changed since the checkpoint before.</summary>
    public long Entries { get; init; }

    /// <summary>Bytes that it wrote.</summary>
    public long Bytes { get; init; }

    /// <summary>How long it took, other work between its steps included.</summary>
    public TimeSpan Duration { get; init; }
}

/// <summary>How far a checkpoint has come.</summary>
/// <param name="Written">Keys written so far, about.</param>
/// <param name="Expected">Keys that it will write; 0 until that is known.</param>
public readonly record struct CheckpointProgress(long Written, long Expected);
