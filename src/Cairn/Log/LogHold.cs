namespace Cairn.Log;

/// <summary>The log from the beginning of a state on, held for who reads it through: meanwhile none of it is given up.</summary>
/// <param name="log">Held until this is disposed.</param>
/// <param name="manifest">As it was when the hold began.</param>
/// <param name="checkpoint">The state to begin with; null = none, the log is whole.</param>
internal sealed class LogHold(SegmentedLog log, Manifest manifest, ManifestCheckpoint? checkpoint) : IDisposable
{
    internal Manifest Manifest => manifest;

    internal ManifestCheckpoint? Checkpoint => checkpoint;

    /// <summary>Of the first record to read.</summary>
    internal ulong Position => checkpoint?.MarkPosition ?? manifest.Segments[0].BasePosition;

    public void Dispose() => log.Release(this);
}
