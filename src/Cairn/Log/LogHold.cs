namespace Cairn.Log;

/// <summary>The log from the beginning of a state on, held for who reads it through: meanwhile none of it is given up.</summary>
/// <param name="log">Held until this is disposed.</param>
/// <param name="manifest">As it was when the hold began.</param>
/// <param name="checkpoint">The state to begin with; null = none, or whoever holds it knows.</param>
/// <param name="position">Of the first record to read; 0 = from the beginning on, archives too.</param>
/// <param name="holder">Who reads, for who asks what keeps the log.</param>
/// <param name="began">When the hold began, microseconds since 1970.</param>
internal sealed class LogHold(
    SegmentedLog log, Manifest manifest, ManifestCheckpoint? checkpoint, ulong position, string holder, long began) : IDisposable
{
    internal string Holder => holder;

    internal long Began => began;

    internal Manifest Manifest => manifest;

    internal ManifestCheckpoint? Checkpoint => checkpoint;

    /// <summary>Of the first record to read. What lies below may go.</summary>
    internal ulong Position { get; private set; } = position;

    /// <summary>Less is needed than was held.</summary>
    internal void From(ulong position) => Position = Math.Max(Position, position);

    public void Dispose() => log.Release(this);
}
