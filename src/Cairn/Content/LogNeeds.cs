using Cairn.Log;

namespace Cairn.Content;

/// <summary>How far the log may be given up. A pure function, so that it can be tried with everything that may come.</summary>
internal static class LogNeeds
{
    /// <summary>The position below which no opening, and no reader that is there now, needs the log as it is: a segment that ends at or
    /// below it may go, once what is needed of it is in an archive.</summary>
    /// <param name="checkpoints">As the manifest names them, ascending.</param>
    /// <param name="oldestPin">Sequence of the oldest snapshot, transaction or cursor; null = none.</param>
    /// <param name="firstPosition">Where the log begins.</param>
    /// <param name="holder">What keeps it from being given up further than the mark of a checkpoint; empty = nothing does.</param>
    internal static ulong Limit(
        IReadOnlyList<ManifestCheckpoint> checkpoints, ulong? oldestPin, ulong firstPosition, out string holder)
    {
        // T3: two checkpoints stay, and the log from the mark of the older one on. With a single one the whole log stands in for the
        // second.
        if (checkpoints.Count < Manifest.CheckpointsMax)
        {
            holder = checkpoints.Count == 0 ? "there is no checkpoint" : "there is one checkpoint, and two have to be kept";
            return firstPosition;
        }

        var older = checkpoints[^Manifest.CheckpointsMax];
        if (oldestPin is { } pin && pin < older.Sequence)
        {
            holder = $"a snapshot, transaction or cursor at @{pin}, from before the older checkpoint (@{older.Sequence})";
            return firstPosition;
        }

        holder = "";
        return Math.Max(firstPosition, Mutant.Is("log-given-up-to-newer-mark") ? checkpoints[^1].MarkPosition : older.MarkPosition);
    }
}
