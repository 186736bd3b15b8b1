namespace Cairn.Log;

/// <summary>What was kept of segments that the log has given up, under the positions it had there. Thread-safe.</summary>
internal abstract class LogArchive : IDisposable
{
    /// <summary>Where it begins; the highest position there is when it is empty.</summary>
    internal abstract ulong FirstPosition { get; }

    /// <summary>Reads the bytes at a position; returns how many: 0 where nothing was kept, fewer than asked where what was kept there
    /// ends.</summary>
    /// <exception cref="CorruptionException">What was kept is not what was written.</exception>
    internal abstract int Read(ulong position, Span<byte> buffer);

    /// <summary>Salt of the segment that once held a position. False: nothing was kept there.</summary>
    internal abstract bool TrySaltAt(ulong position, Span<byte> salt);

    /// <summary>Where a position lies now, for messages.</summary>
    internal abstract (string Path, long Offset) PlaceOf(ulong position);

    /// <summary>Whether a record was kept for a run, and which of its operations.</summary>
    internal abstract bool TryFind(RunId run, ulong position, out KeptOperations kept);

    /// <summary>Where to go on when a record of a run was given up. Null: of the part of the log that held it, nothing of the run was kept
    /// on purpose, so what lies below cannot be told from what is missing.</summary>
    internal abstract Gap? Across(RunId run, ulong position);

    /// <summary>A manifest names these now, and no others. Called before the segments that one of them stands for are given up.</summary>
    internal abstract void Replace(IReadOnlyList<ManifestArchive> named);

    public abstract void Dispose();
}

/// <summary>Some records of a run are missing; those that were kept answer every question from a moment on.</summary>
/// <param name="Next">Position of the run's newest record below the missing one that was kept or lies in a part of the log further below;
/// all ones = there is none.</param>
/// <param name="From">Where the part of the log begins of which this is said.</param>
internal readonly record struct Gap(KeptSince Since, ulong Next, ulong From);

/// <summary>The moment from which on the past is kept.</summary>
/// <param name="Sequence">The state after it, and each one later, can be told.</param>
/// <param name="Time">Commit time, microseconds since 1970: the same for times.</param>
/// <param name="Versions">And of each key, so many of its newest versions were kept, at the least; 0 = their number says nothing.</param>
internal readonly record struct KeptSince(ulong Sequence, long Time, uint Versions = 0)
{
    internal const uint AllVersions = uint.MaxValue;

    /// <summary>What is kept when both have let go of something.</summary>
    internal KeptSince And(KeptSince other) =>
        new(Math.Max(Sequence, other.Sequence), Math.Max(Time, other.Time), Math.Min(Versions, other.Versions));
}
