using Cairn.Checkpoints;
using Cairn.Log;

namespace Cairn.Maintenance;

/// <summary>Makes a checkpoint by bytes of log, by time, when memory has too much that is dirty, or when somebody awaits one; each step is
/// a bounded piece of it (CKP-1).</summary>
internal sealed class CheckpointJob(Checkpointer checkpointer, EngineState state, TimeProvider clock, long logBytes, TimeSpan interval)
    : MaintenanceJob(CheckpointName)
{
    internal const string CheckpointName = "checkpoint";

    /// <summary>The opening could not use the newest checkpoint: the next one comes at once, so that there are two again.</summary>
    internal bool IsOverdue { get; init; }

    private bool MustMakeGood => IsOverdue && checkpointer.Last is null && checkpointer.IsDue;

    /// <summary>Bytes of log that an opening would read now; all that it can do when memory waits for it.</summary>
    internal override long Backlog => checkpointer.IsWanted ? Capacity : checkpointer.LogBytesSince;

    /// <summary>Chosen: what is due at the half is late at the whole.</summary>
    internal override long Capacity => 2 * logBytes;

    internal override bool HasWorkInSight => checkpointer.IsUnderWay || checkpointer.IsAsked || checkpointer.IsWanted
        || MustMakeGood || (checkpointer.IsDue && checkpointer.LogBytesSince >= logBytes);

    internal override TimeSpan? DueIn => checkpointer.IsDue ? interval - clock.GetElapsedTime(checkpointer.LastAt) : null;

    internal override bool Step()
    {
        if (state.HasFailed || (state.IsDiskFull && !checkpointer.IsAsked && !checkpointer.IsUnderWay))
            return false;
        if (checkpointer.IsAsked)
            return Count(checkpointer.StepForThoseWhoAsked);
        if (checkpointer.IsUnderWay)
            return Count(checkpointer.Step);
        if (!checkpointer.IsDue)
            return false;
        var isTime = MustMakeGood || checkpointer.IsWanted || checkpointer.LogBytesSince >= logBytes
            || clock.GetElapsedTime(checkpointer.LastAt) >= interval;
        return isTime && !Mutant.Is("no-checkpoint-by-itself") && Count(checkpointer.Step);
    }

    private bool Count(Func<bool> step)
    {
        var before = checkpointer.Last;
        var more = step();
        if (checkpointer.Last is { } made && made != before)
        {
            Did(made.Entries);
            Wrote(made.Bytes);
        }

        return more;
    }
}
