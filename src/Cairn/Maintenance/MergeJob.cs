using Cairn.Checkpoints;
using Cairn.Log;

namespace Cairn.Maintenance;

/// <summary>Merges tables when there are enough of a size, a bounded piece at a time, and lets go of those that were replaced.</summary>
internal sealed class MergeJob(Merger merger, EngineState state) : MaintenanceJob("merge"), IDisposable
{
    internal override long Backlog => merger.Backlog;

    /// <summary>Chosen: three times what a merge begins at.</summary>
    internal override long Capacity => 3 * MergeChoice.TablesMin;

    internal override bool HasWorkInSight => !state.HasFailed && !state.IsDiskFull && merger.HasWork;

    internal override bool Step()
    {
        if (state.HasFailed || state.IsDiskFull || Mutant.Is("no-merge-by-itself"))
            return false;
        var (merges, written) = (merger.Merges, merger.BytesWritten);
        var more = merger.Step();
        Did(merger.Merges - merges);
        Wrote(merger.BytesWritten - written);
        return more;
    }

    /// <summary>Ends what is under way: the table that is being written leaves nothing.</summary>
    public void Dispose() => merger.GiveUp();
}
