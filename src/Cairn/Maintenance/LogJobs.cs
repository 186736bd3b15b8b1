using Cairn.Log;

namespace Cairn.Maintenance;

/// <summary>Buffered: a sync starts no later than the interval, or the count of commits, after the oldest unsynced one. Counts by its own
/// clock, so an idle tail is synced too.</summary>
internal sealed class SyncJob(LogWriter log, TimeProvider clock, TimeSpan interval, int commits) : MaintenanceJob("sync", LaneKind.Prompt)
{
    // Waiting wakes up late rather than early: begun a little before its time, never late.
    private readonly TimeSpan _due = interval > TimeSpan.FromMilliseconds(20) ? interval - TimeSpan.FromMilliseconds(10) : interval / 2;

    internal override bool IsFatal => true;

    internal override long Backlog => log.UnsyncedCommits(out _);

    internal override long Capacity => 2L * commits;

    internal override long BackPressureEvents => log.Counters.QueueWaits;

    internal override bool HasWorkInSight => log.UnsyncedCommits(out _) > 0;

    internal override bool FollowsCommits => true;

    internal override TimeSpan? DueIn
    {
        get
        {
            var unsynced = log.UnsyncedCommits(out var since);
            if (unsynced == 0 || Mutant.Is("sync-only-at-next-write"))
                return null;
            return unsynced >= commits || since == 0 ? TimeSpan.Zero : _due - clock.GetElapsedTime(since);
        }
    }

    internal override bool Step()
    {
        if (DueIn > TimeSpan.Zero)
            return true;
        var unsynced = log.UnsyncedCommits(out var since);
        if (unsynced == 0 || Mutant.Is("sync-only-at-next-write"))
            return false;
        if (since != 0 && clock.GetElapsedTime(since) > interval)
            MissedDeadline();
        log.Sync();
        Flushed();
        var left = log.UnsyncedCommits(out _);
        Did(Math.Max(0, unsynced - left));
        return left > 0;
    }
}

/// <summary>After 50 ms without a record behind a sync, one durable mark: it proves that the group before it was synced.</summary>
internal sealed class MarkJob(LogWriter log) : MaintenanceJob("mark", LaneKind.Prompt)
{
    private static readonly TimeSpan Idle = TimeSpan.FromMilliseconds(50);

    internal override bool IsFatal => true;

    internal override long Backlog => log.NeedsMark ? 1 : 0;

    // There is never more than one, so one is no load.
    internal override long Capacity => 10;

    internal override bool HasWorkInSight => log.NeedsMark;

    internal override bool FollowsCommits => true;

    internal override TimeSpan? DueIn => log.NeedsMark ? Idle - log.SinceSync : null;

    internal override bool Step()
    {
        if (Mutant.Is("no-mark"))
            return false;
        if (log.MarkIfIdle(Idle))
        {
            Did(1);
            Flushed();
            Wrote(RecordHeader.Size);
        }

        return log.NeedsMark;
    }
}

/// <summary>Hashes what was written to the current segment, behind the commits, so that its seal finds the work done.</summary>
internal sealed class DigestJob(LogWriter log) : MaintenanceJob("digest", LaneKind.Prompt)
{
    internal override long Backlog => log.Device?.UndigestedBytes ?? 0;

    internal override long Capacity => 16 << 20;

    internal override bool HasWorkInSight => Backlog > 0;

    internal override bool Step()
    {
        if (log.Device is not { } device)
            return false;
        var before = device.UndigestedBytes;
        var more = device.StepDigest();
        Did(Math.Max(0, before - device.UndigestedBytes));
        return more;
    }
}

/// <summary>Watches the room on the disk, and allocates, zeroes and syncs the next segment before it is needed.</summary>
internal sealed class SegmentJob(LogWriter log, EngineState state) : MaintenanceJob("segment", LaneKind.Prompt)
{
    internal override long Backlog =>
        log.Device is { HasBegun: true, PreparedBytes: 0 } device ? (long)(log.WrittenPosition - device.BasePosition) : 0;

    internal override long Capacity =>
        log.Device is { HasBegun: true } device ? (long)(device.EndPosition - device.BasePosition) : 1;

    internal override long BackPressureEvents => log.Counters.RoomWaits;

    internal override bool HasWorkInSight => log.NeedsPreparing && !state.IsDiskFull;

    // A full disk is looked at again until it is not: writes are promised to go on by themselves.
    internal override TimeSpan? DueIn => state.IsDiskFull ? Maintainer.IdlePoll : log.NeedsPreparing ? TimeSpan.Zero : null;

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
            return false;
        }

        if (log.Device is { PreparedBytes: > 0 and var bytes })
        {
            Did(bytes);
            Wrote(bytes);
            Flushed();
        }

        return false;
    }
}

/// <summary>Looks whether the log's writer gets on while commits wait for it. The writer may be any committer's thread, or the log's
/// own.</summary>
internal sealed class WatchJob(LogWriter log, TimeProvider clock, int queuedMax) : MaintenanceJob("watch", LaneKind.Prompt)
{
    private ulong _written;
    private long _since;
    private long _stalledTicks;

    internal override long Backlog => log.QueuedCommits;

    internal override long Capacity => queuedMax;

    internal override TimeSpan? StalledFor => Volatile.Read(ref _stalledTicks) is var ticks and > 0 ? TimeSpan.FromTicks(ticks) : null;

    internal override TimeSpan? DueIn => log.QueuedCommits > 0 ? Maintainer.IdlePoll : null;

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
