namespace Cairn.Log;

/// <summary>The log from the beginning of a state on, held for who reads it through: meanwhile none of it is given up.</summary>
/// <param name="log">Held until this is disposed.</param>
/// <param name="manifest">As it was when the hold began.</param>
/// <param name="checkpoint">The state to begin with; null = none, the log is whole.</param>
/// <param name="isOfAll">Held from position 0 on, archives too, until <see cref="From"/> says less.</param>
internal sealed class LogHold(SegmentedLog log, Manifest manifest, ManifestCheckpoint? checkpoint, bool isOfAll = false) : IDisposable
{
    internal Manifest Manifest => manifest;

    internal ManifestCheckpoint? Checkpoint => checkpoint;

    /// <summary>Of the first record to read. What lies below may go.</summary>
    internal ulong Position { get; private set; } = isOfAll ? 0 : checkpoint?.MarkPosition ?? manifest.Segments[0].BasePosition;

    /// <summary>Less is needed than was held.</summary>
    internal void From(ulong position) => Position = Math.Max(Position, position);

    public void Dispose() => log.Release(this);
}
