using Cairn.Log;

namespace Cairn.Maintenance;

/// <summary>Buffered: a sync starts no later than the interval, or the count of commits, after the oldest unsynced one. Counts by its own
/// clock, so an idle tail is synced too.</summary>
internal sealed class SyncJob(LogWriter log, TimeProvider clock, TimeSpan interval, int commits) : MaintenanceJob("sync")
{
    // The maintainer looks once per tick: early by one tick, never late.
    private readonly TimeSpan _due = interval > TimeSpan.FromMilliseconds(20) ? interval - TimeSpan.FromMilliseconds(10) : interval / 2;

    internal override bool IsFatal => true;

    internal override bool HasWorkInSight => log.UnsyncedCommits(out _) > 0;

    internal override bool Step()
    {
        if (Mutant.Is("sync-only-at-next-write"))
            return false;
        var unsynced = log.UnsyncedCommits(out var since);
        if (unsynced == 0)
            return false;
        if (unsynced >= commits || since == 0 || clock.GetElapsedTime(since) >= _due)
            log.Sync();
        return log.UnsyncedCommits(out _) > 0;
    }
}

/// <summary>After 50 ms without a record behind a sync, one durable mark: it proves that the group before it was synced.</summary>
internal sealed class MarkJob(LogWriter log) : MaintenanceJob("mark")
{
    private static readonly TimeSpan Idle = TimeSpan.FromMilliseconds(50);

    internal override bool IsFatal => true;

    internal override bool HasWorkInSight => log.NeedsMark;

    internal override bool Step()
    {
        if (Mutant.Is("no-mark"))
            return false;
        log.MarkIfIdle(Idle);
        return log.NeedsMark;
    }
}

/// <summary>Hashes what was written to the current segment, behind the commits, so that its seal finds the work done.</summary>
internal sealed class DigestJob(LogWriter log) : MaintenanceJob("digest")
{
    internal override bool Step() => log.Device?.StepDigest() ?? false;
}

/// <summary>Watches the room on the disk, and allocates, zeroes and syncs the next segment before it is needed.</summary>
internal sealed class SegmentJob(LogWriter log, EngineState state) : MaintenanceJob("segment")
{
    internal override bool Step()
    {
        log.Disk?.Step();
        if (!log.NeedsPreparing || state.IsDiskFull)
            return false;
        try
        {
            log.Prepare(0);
        }
        catch (BusyException) when (state.IsDiskFull)
        {
            // The state says so to whoever writes, and to Health; the next turn looks again.
        }

        return false;
    }
}

/// <summary>Looks whether the log's writer gets on while commits wait for it. The writer may be any committer's thread, or the log's
/// own.</summary>
internal sealed class WatchJob(LogWriter log, TimeProvider clock) : MaintenanceJob("watch")
{
    private ulong _written;
    private long _since;
    private long _stalledTicks;

    internal override TimeSpan? StalledFor => Volatile.Read(ref _stalledTicks) is var ticks and > 0 ? TimeSpan.FromTicks(ticks) : null;

    internal override bool Step()
    {
        var written = log.WrittenPosition;
        if (log.QueuedCommits == 0 || written != _written || _since == 0)
        {
            _written = written;
            _since = clock.GetTimestamp();
        }

        var time = clock.GetElapsedTime(_since);
        Volatile.Write(ref _stalledTicks, time > Maintainer.StallAfter ? time.Ticks : 0);
        return false;
    }
}
