// Events that no policy keeps (RET-7) go by ordinary commits, some hundred events each: EventTrim.cs says what such a commit does.
//
// Who has such a policy is read from the index of runs: where the database's own speaks of events, every run; otherwise those few that have
// one of their own, which are listed apart. A run that only the image has is judged by its first event there, and loaded if that has to go.
// A look goes through the runs some at a time. The next one comes after a sixteenth of the shortest time that a policy keeps, from a second
// to an hour; where policies count events only, not before there were commits. When no policy speaks of events there is nothing to do, and
// nothing is due.
//
// A policy promises the least that is kept, so being late breaks nothing. Whoever appends is not slowed.

using Cairn.Primitives;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn.Maintenance;

/// <summary>Lets go of events; by the maintainer when it is time, or when somebody compacts. Thread-safe.</summary>
/// <param name="database">The policy of runs that have none of their own.</param>
internal sealed class Trims(CommitPath path, SnapshotRegistry pins, Retention database)
{
    /// <summary>A plan is refused when an event of a type came that had none behind those that go.</summary>
    private const int TriesMax = 5;

    private long _events;

    /// <summary>Events that went in this opening.</summary>
    internal long Events => Volatile.Read(ref _events);

    /// <summary>The runs with policies that speak of events, in order of their ids, behind one of them; at most so many.</summary>
    /// <param name="last">Null = from the first one on.</param>
    /// <param name="most">Found; a few more at the beginning.</param>
    /// <param name="isEnd">There are no more.</param>
    internal List<(RunId Run, Retention Policy)> After(RunId? last, int most, out bool isEnd)
    {
        var found = new List<(RunId, Retention)>();
        isEnd = true;
        if (last is null)
        {
            found.Add((RunId.System, RunRecord.SystemPolicy));
            if (!database.KeepsAllEvents || OwnPolicy(RunId.Default) is not null)
                found.Add((RunId.Default, OwnPolicy(RunId.Default) ?? database));
        }

        var family = database.KeepsAllEvents ? StoreKeys.RunRetention : StoreKeys.Run;
        Span<byte> from = stackalloc byte[1 + RunId.Size + 1];
        from.Clear();
        from[0] = family;
        (last ?? default).Write(from[1..]);
        using var reader = path.Catalogue.State.Store.Read();
        var scan = reader.Scan(last is null ? from[..1] : from, [(byte)(family + 1)], path.Catalogue.State.Visible.Value);
        while (scan.MoveNext())
        {
            if (found.Count >= most)
            {
                isEnd = false;
                break;
            }

            var id = RunId.Read(scan.Key[1..]);
            if (!RunRecord.IsBuiltIn(id))
                found.Add((id, OwnPolicy(id) ?? database));
        }

        return found;
    }

    private Retention? OwnPolicy(RunId id)
    {
        using var reader = path.Catalogue.State.Store.Read();
        return reader.TryGetVisible(RunKeys.Record(stackalloc byte[1 + RunId.Size], id), out var record) && !record.IsTombstone
            ? RunRecord.Read(record.Value).Retention
            : null;
    }

    /// <summary>One commit's worth of a run. False: nothing goes, now.</summary>
    internal bool TrimSome(RunId id, Retention policy)
    {
        if (policy.KeepsAllEvents || !MayBeDue(id, policy) || path.Catalogue.Find(id) is not { IsGone: false } run
            || run.Store.Base is { IsReady: false })         // a fork at a past point that nobody has read yet
        {
            return false;
        }

        var scope = Scope.Live(path, run, CommitOptions.Default);
        try
        {
            for (var tries = 0; tries < TriesMax; tries++)
            {
                if (EventTrim.Plan(pins, scope, KeptFrom(scope, policy)) is not { } plan)
                    return false;
                if (TryCommit(run, plan))
                    return true;
            }
        }
        catch (CairnException gone) when (gone.Code == ErrorCode.NotFound)
        {
            // The run was deleted meanwhile.
        }

        return false;
    }

    internal bool TryCommit(RunState run, EventTrim plan)
    {
        var batch = Batch.RentOwned();
        batch.IsAllowedWhenClosed = true;
        batch.OnlyDeletes = true;
        batch.IsUpkeep = true;
        batch.BeginPart(run);
        plan.AddTo(batch);
        batch.EndPart();
        var placed = path.PlaceOwn(batch, null, [plan.Expects(run)], path.Clock.GetTimestamp());
        path.Log.Drive(mayLeave: true);
        if (placed.Refusal is not null)
            return false;
        Interlocked.Add(ref _events, (long)(plan.To.Number - plan.From));
        return true;
    }

    // For a run that only the image has, without loading it. Times never go back, so the first event tells. Without one of its own a run
    // has let go of all, or it is a fork, and has its parent's.
    private bool MayBeDue(RunId id, Retention policy)
    {
        if (path.Catalogue.EventsInImage(id) is not var (next, first))
            return true;
        if (first is not var (number, time))
            return next > 0 && IsFork(id);
        return (policy.Duration is not { } duration || time < path.ReadTime() - duration.Ticks / TimeSpan.TicksPerMicrosecond)
            && (policy.Events is not { } most || next - number > (ulong)most);
    }

    private bool IsFork(RunId id)
    {
        using var reader = path.Catalogue.State.Store.Read();
        return reader.TryGetVisible(RunKeys.Record(stackalloc byte[1 + RunId.Size], id), out var record) && !record.IsTombstone
            && RunRecord.Read(record.Value).ForkSequence is not null;
    }

    private ulong KeptFrom(Scope scope, Retention policy)
    {
        using var pinned = new PinnedScope(pins, scope);
        using var reader = scope.Run.Store.Read();
        var events = new EventReader(pinned.Scope, reader, stackalloc byte[EventReader.KeyBytes]);
        var from = EventTrim.KeptFrom(policy, events, path.ReadTime());
        return scope.Run == path.Catalogue.System
            ? Math.Max(from, EventTrim.KeptFrom(RunRecord.SystemAge, events, path.ReadTime()))
            : from;
    }

    /// <summary>All that may go now, of all runs.</summary>
    /// <exception cref="OperationCanceledException">Between two commits.</exception>
    internal void All(CancellationToken cancellationToken)
    {
        RunId? last = null;
        for (var isEnd = false; !isEnd;)
        {
            foreach (var (run, policy) in After(last, 256, out isEnd))
            {
                last = run;
                cancellationToken.ThrowIfCancellationRequested();
                while (TrimSome(run, policy))
                    cancellationToken.ThrowIfCancellationRequested();
            }
        }
    }
}

/// <summary>See the essay above.</summary>
internal sealed class TrimJob(Trims trims, CommitPath path, TimeProvider clock) : MaintenanceJob("trim")
{
    private const int RunsPerPage = 256;

    private static readonly TimeSpan IntervalMin = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan IntervalMax = TimeSpan.FromHours(1);

    /// <summary>A step takes so long, and not much longer.</summary>
    private static readonly TimeSpan Turn = TimeSpan.FromMilliseconds(20);

    private readonly Queue<(RunId Run, Retention Policy)> _waiting = new();
    private RunId? _last;
    private bool _isWalking;
    private bool _isEnd;
    private bool _countsAlone;                               // no policy of the last look speaks of time
    private ulong _seen;                                     // newest commit when the last look began
    private long _looked;                                    // time stamp of that; 0 = there was none
    private TimeSpan _shortest = TimeSpan.MaxValue;          // of the look under way
    private long _interval = IntervalMax.Ticks;
    private long _left;

    internal override long Backlog => Volatile.Read(ref _left);

    internal override long Capacity => RunsPerPage;

    internal override bool HasWorkInSight => Volatile.Read(ref _isWalking) && !path.State.IsDiskFull;

    internal override TimeSpan? DueIn
    {
        get
        {
            var looked = Volatile.Read(ref _looked);
            if (looked == 0 || path.State.IsDiskFull
                || (Volatile.Read(ref _countsAlone) && path.Log.LastSequence == Volatile.Read(ref _seen)))
                return null;
            var left = new TimeSpan(Volatile.Read(ref _interval)) - clock.GetElapsedTime(looked);
            return left > TimeSpan.Zero ? left : TimeSpan.Zero;
        }
    }

    internal override bool Step()
    {
        if (path.State.IsDiskFull || (!_isWalking && !IsDue()))
            return false;
        var began = clock.GetTimestamp();
        do
        {
            if (Stopping.IsCancellationRequested)
                return false;
            if (_waiting.Count == 0 && !TryFill())
            {
                End();
                return false;
            }

            var before = trims.Events;
            var (run, policy) = _waiting.Peek();
            if (!trims.TrimSome(run, policy))
                _waiting.Dequeue();
            Did(trims.Events - before);
            Volatile.Write(ref _left, _waiting.Count);
        }
        while (clock.GetElapsedTime(began) < Turn);
        return true;
    }

    // The first look is made at once: an opening may come late.
    private bool IsDue()
    {
        if (_looked != 0 && DueIn is not { Ticks: <= 0 })
            return false;
        Volatile.Write(ref _seen, path.Log.LastSequence);
        Volatile.Write(ref _looked, Math.Max(1, clock.GetTimestamp()));
        (_last, _isEnd, _shortest) = (null, false, TimeSpan.MaxValue);
        Volatile.Write(ref _isWalking, true);
        return true;
    }

    private bool TryFill()
    {
        while (!_isEnd && _waiting.Count == 0)
        {
            foreach (var (run, policy) in trims.After(_last, RunsPerPage, out _isEnd))
            {
                _last = run;
                if (policy.Duration is { } duration && duration < _shortest)
                    _shortest = duration;
                if (!policy.KeepsAllEvents)
                    _waiting.Enqueue((run, policy));
            }
        }

        return _waiting.Count > 0;
    }

    private void End()
    {
        var interval = _shortest == TimeSpan.MaxValue ? IntervalMax : _shortest / 16;
        interval = interval < IntervalMin ? IntervalMin : interval > IntervalMax ? IntervalMax : interval;
        Volatile.Write(ref _interval, interval.Ticks);
        Volatile.Write(ref _countsAlone, _shortest == TimeSpan.MaxValue);
        Volatile.Write(ref _isWalking, false);
        Volatile.Write(ref _left, 0);
    }
}
