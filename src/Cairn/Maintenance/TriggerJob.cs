// Triggers: conditions on commits to a run, and what is written when one is met
// -----------------------------------------------------------------------------
// A trigger reads its run's own records, one after another, from its cursor on (Feed/ChangeSource.cs), and judges each
// (Feed/TriggerWatch.cs). When it fires, its effect and its cursor are one commit:
//
//      run        @7 put budget 12     @8 put budget 9                 @9
//      trigger    threshold budget < 10, on the edge     fires  -->    append "low" + cursor behind @8, fired 1
//
//  TR1  Exactly once: the commit of the effect moves the cursor, and expects the cursor to be where it was seen. After a crash either both
//       are there or neither; then the same record is judged again, with the same verdict: a verdict rests on the record, the definition
//       and whether the threshold was met at the cursor, which is kept with it.
//  TR2  A trigger does not fire on its own writes. A commit of a trigger says in its attributes whose it is and how deep in a chain; at
//       eight the next one is suspended and not fired.
//  TR3  What cannot be done suspends the trigger, with the reason, at the commit that it failed at; health and $sys tell it. What may go
//       well later (a full disk, a busy run) is tried again, as any failing job. A closed run completes the trigger; a paused one is
//       waited for.
//  TR4  Only what is visible is judged, so nothing fires for what a crash could undo but in a database that is Buffered: there the effect
//       is behind its cause in the log, and goes with it.
//  TR5  The cursor is written when it fires, and else only when it would hold the log: every 1,024 commits, or when the older checkpoint
//       has passed it. Compaction leaves what an active trigger has not looked at, or would look at again.
//  TR6  Commits that only keep the books of triggers are nobody's cause, and lead to no further writing.

using Cairn.Feed;
using Cairn.Log;
using Cairn.Primitives;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn.Maintenance;

/// <summary>See the essay above. Steps are taken one at a time; what it tells may be asked on any thread.</summary>
internal sealed class TriggerJob : MaintenanceJob, IDisposable
{
    private const int CommitsPerStep = 256;
    private const ulong CommitsUnwritten = 1024;

    private readonly CommitPath _path;
    private readonly SegmentedLog _log;
    private readonly RandomSource _random;
    private readonly Lock _gate = new();
    private readonly HashSet<RunId> _changed = [];           // under the gate: runs whose triggers have to be read again
    private WatchedRun[] _runs = [];                         // replaced, never changed
    private volatile bool _hasChanged;
    private volatile bool _isLoaded;
    private ulong _placed;
    private long _fired;

    internal TriggerJob(CommitPath path, SegmentedLog log, RandomSource random)
        : base("triggers")
    {
        (_path, _log, _random) = (path, log, random);
        using var reader = path.Catalogue.State.Store.Read();
        var scan = reader.Scan([StoreKeys.RunTriggers], [StoreKeys.RunTriggers + 1], ulong.MaxValue);
        while (scan.MoveNext())
            _changed.Add(RunId.Read(scan.Key[1..]));
        _hasChanged = _changed.Count > 0;
        _isLoaded = !_hasChanged;
    }

    /// <summary>Times that triggers have fired in this opening.</summary>
    internal long Fired => Volatile.Read(ref _fired);

    internal override long Backlog => Volatile.Read(ref _runs).Sum(run => run.Backlog);

    internal override long Capacity => 10_000;

    internal override bool HasWorkInSight =>
        (_hasChanged || Volatile.Read(ref _runs).Any(run => run.HasWork || run.HasPassed(Passed))) && !_path.State.IsDiskFull;

    // The mark of the older checkpoint: what lies below it would be given up, if no trigger needed it.
    private ulong Passed => _log.Manifest.Checkpoints is { Count: Manifest.CheckpointsMax } both ? both[0].MarkPosition : 0;

    internal override string? Concern
    {
        get
        {
            var stopped = Volatile.Read(ref _runs).Where(run => !run.State.IsGone)
                .Sum(run => run.Triggers.Count(trigger => trigger.IsStoppedByError));
            return stopped == 0
                ? null
                : $"{stopped} trigger(s) suspended by an error; 'cairn trigger list' tells it. Resume them when it is mended.";
        }
    }

    /// <summary>There is a trigger that commits may concern.</summary>
    internal bool IsWatching => _hasChanged || Volatile.Read(ref _runs).Length > 0;

    /// <summary>TR5: from where on the log is needed; the highest position there is when it is not.</summary>
    internal ulong NeededFrom()
    {
        if (!_isLoaded)
            return 0;
        return Volatile.Read(ref _runs).Select(run => run.NeededFrom()).DefaultIfEmpty(ulong.MaxValue).Min();
    }

    /// <summary>Somebody has changed triggers of a run.</summary>
    internal void Refresh(RunId run)
    {
        lock (_gate)
            _changed.Add(run);
        _hasChanged = true;
    }

    internal override bool Step()
    {
        if (_path.State.IsDiskFull)
            return false;
        LoadChanged();
        var more = false;
        try
        {
            foreach (var run in Volatile.Read(ref _runs))
            {
                if (Stopping.IsCancellationRequested)
                    return false;
                more |= Work(run);
            }
        }
        finally
        {
            // What follows may look at what was written.
            if (_placed > 0 && !_path.State.HasFailed)
                _path.Log.WaitVisible(_placed);
        }

        return more || _hasChanged;
    }

    // ---- loading --------------------------------------------------------------------------------------------------------------

    private void LoadChanged()
    {
        if (!_hasChanged)
            return;
        RunId[] changed;
        lock (_gate)
        {
            changed = [.. _changed];
            _changed.Clear();
            _hasChanged = false;
        }

        var runs = Volatile.Read(ref _runs).ToList();
        try
        {
            foreach (var id in changed)
            {
                if (runs.Find(run => run.State.Id == id) is { } before)
                {
                    before.Forget();
                    runs.Remove(before);
                }

                if (_path.Catalogue.Find(id) is { IsGone: false } state && Read(state) is { Count: > 0 } triggers)
                    runs.Add(new WatchedRun(state, triggers));
            }
        }
        catch
        {
            lock (_gate)
                _changed.UnionWith(changed);
            _hasChanged = true;
            throw;
        }

        Volatile.Write(ref _runs, [.. runs]);
        _isLoaded = true;
    }

    private List<WatchedTrigger> Read(RunState run)
    {
        var triggers = new List<WatchedTrigger>();
        var visible = run.Visible.Value;
        using var reader = run.Store.Read();
        var scan = reader.Scan([StoreKeys.Trigger], [StoreKeys.Trigger + 1], visible);
        while (scan.MoveNext())
        {
            byte[] key = [StoreKeys.TriggerCursor, .. scan.Key[1..]];
            Invariant.Check(
                reader.TryGet(key, visible, out var version) && StoredTriggerCursor.TryRead(version.Value, out _),
                "a trigger has a cursor");
            StoredTriggerCursor.TryRead(version.Value, out var stored);
            triggers.Add(new WatchedTrigger(key, TriggerForm.Read(Value.Decode(scan.Version.Value)), stored!, version.Sequence));
        }

        return triggers;
    }

    // ---- working --------------------------------------------------------------------------------------------------------------

    // True when more is in sight.
    private bool Work(WatchedRun run)
    {
        if (run.State.IsGone)
        {
            Volatile.Write(ref _runs, [.. _runs.Where(other => other != run)]);
            run.Forget();
            return false;
        }

        if (!run.HasActive)
            return false;
        if (!run.HasWork)
        {
            WriteCursors(run);
            return false;
        }

        run.WaitsForRun = false;
        try
        {
            run.Source ??= new RunSource(_log, run.State, run.From(_log.DatabaseId), endsAtGaps: true);
            for (var commits = 0; commits < CommitsPerStep; commits++)
            {
                if (!run.Source.TryNext(run.State.Visible.Value, out var header, out var payload))
                {
                    run.Looked = Math.Max(run.Looked, run.Source.Cursor.Sequence);
                    WriteCursors(run);
                    return false;
                }

                if (!Look(run, header.Sequence, payload))
                {
                    run.Forget();                            // it begins again at the cursors
                    return false;
                }

                run.Looked = header.Sequence;
                Did(1);
            }

            return true;
        }
        catch
        {
            run.Forget();
            throw;
        }
    }

    // False: the run's triggers cannot go on now.
    private bool Look(WatchedRun run, ulong sequence, ReadOnlySpan<byte> payload)
    {
        var transaction = new TransactionPayload(payload);
        var origin = TriggerWatch.OriginOf(transaction.Attributes);
        while (transaction.MoveNext(out var part))
        {
            if (part.Run != run.State.Id)
                continue;
            if (TriggerWatch.IsBookkeeping(part))
                return true;                                 // TR6
            foreach (var trigger in run.Triggers)
            {
                if (!trigger.IsActive || sequence <= trigger.Cursor.Sequence)
                    continue;
                var verdict = TriggerWatch.Judge(trigger.Definition.When, trigger.IsMet, part, _path.Operations);
                var isOwn = origin.Name == trigger.Name && origin.Run == run.State.Id.ToString() && !Mutant.Is("trigger-fires-on-itself");
                if (verdict.Fires && !isOwn)
                {
                    if (!Fire(run, trigger, run.Source!.Cursor, verdict.IsMet, origin.Depth + 1))
                        return false;
                }
                else
                {
                    trigger.Pass(run.Source!.Cursor, verdict.IsMet);
                }
            }
        }

        return true;
    }

    // TR1. False: not now.
    private bool Fire(WatchedRun run, WatchedTrigger trigger, in ChangeCursor at, bool isMet, long depth)
    {
        if (depth > TriggerWatch.ChainMax)
        {
            return Stop(
                run, trigger, trigger.Next(at, isMet, TriggerState.Suspended),
                $"Commit {new Sequence(at.Sequence)} is the {TriggerWatch.ChainMax}th of a chain of triggers, which is the most. It was "
                + "passed over. Break the chain, then resume.");
        }

        var target = trigger.Definition.Target is { } id && id != run.State.Id ? _path.Catalogue.Find(id) : run.State;
        if (target is not { IsGone: false })
            return Stop(run, trigger, trigger.Here(TriggerState.Suspended), $"There is no run {trigger.Definition.Target} to write to.");
        var times = trigger.Definition.Times;
        var next = trigger.Next(at, isMet, times <= (long)trigger.Fired + 1 ? TriggerState.Completed : TriggerState.Active) with
        {
            Fired = trigger.Fired + 1,
        };
        try
        {
            var cause = Value.Object(("name", trigger.Name), ("run", run.State.Id.ToString()), ("sequence", (long)at.Sequence));
            var batch = Batch.RentOwned(TriggerWatch.Attributes(run.State.Id, trigger.Name, depth, _path.Limits));
            var expectations = new List<Expectation> { trigger.Expects(run.State) };
            foreach (var part in target == run.State ? [run.State] : Ordered(run.State, target))
            {
                batch.BeginPart(part);
                if (part == target
                    && TriggerWatch.AddEffect(batch, trigger.Definition.Do, target, cause, _path.Limits, _random) is { } expectation)
                    expectations.Add(expectation);
                if (part == run.State)
                    TriggerOperations.AddCursor(batch, trigger.NameBytes, Mutant.Is("trigger-cursor-apart") ? trigger.Stored : next);
                if (part != target)
                    batch.AllowWhenClosed();
                batch.EndPart();
            }

            Failpoint.Hit("trigger.before-effect");
            batch.Record.NeedsSync = _path.NeedsSync(CommitOptions.Default);
            var placed = _path.Place(batch, null, expectations, _path.Clock.GetTimestamp());
            Failpoint.Hit("trigger.effect-placed");
            if (placed.Refusal is null)
                return Placed(trigger, next, placed.Sequence, hasFired: true);
            if (placed.Refusal.Expectation is { } unmet)
                return unmet.Key == trigger.CursorKey ? Lost(run) : Write(run, trigger, next, hasFired: true);
            throw placed.Refusal.ToException(_path.Operations);
        }
        catch (RunClosedException closed) when (closed.Run == run.State.Id)
        {
            if (closed.Status != RunStatus.Paused)
                return Stop(run, trigger, trigger.Next(at, isMet, TriggerState.Completed), closed.Message);
            run.IsHeldBack(_path);
            return false;
        }
        catch (CairnException refused) when (refused.IsDeterministic)
        {
            return Stop(run, trigger, trigger.Here(TriggerState.Suspended), refused.Message);
        }
    }

    private static RunState[] Ordered(RunState left, RunState right) => left.Id < right.Id ? [left, right] : [right, left];

    // Somebody has changed the trigger: it is read again.
    private bool Lost(WatchedRun run)
    {
        Refresh(run.State.Id);
        return false;
    }

    private bool Placed(WatchedTrigger trigger, StoredTriggerCursor next, ulong sequence, bool hasFired)
    {
        trigger.Wrote(next, sequence);
        _placed = Math.Max(_placed, sequence);
        if (hasFired)
            Interlocked.Increment(ref _fired);
        return true;
    }

    // TR3.
    private bool Stop(WatchedRun run, WatchedTrigger trigger, StoredTriggerCursor next, string error)
    {
        if (!Write(run, trigger, next with { Error = error }, hasFired: false))
            return false;
        _path.Log.Counters.Events.Raise(
            SystemEvents.Warning, ("what", "trigger stopped"), ("run", run.State.Id.ToString()), ("state", next.State.ToString()));
        return true;
    }

    // The cursor alone: a run that is closed takes it, and it adopts no orphan.
    private bool Write(WatchedRun run, WatchedTrigger trigger, StoredTriggerCursor next, bool hasFired)
    {
        var batch = Batch.RentOwned();
        batch.IsAllowedWhenClosed = true;
        batch.IsUpkeep = true;
        batch.BeginPart(run.State);
        TriggerOperations.AddCursor(batch, trigger.NameBytes, next);
        batch.EndPart();
        var placed = _path.Place(batch, null, [trigger.Expects(run.State)], _path.Clock.GetTimestamp());
        _path.Log.Drive(mayLeave: true);
        return placed.Refusal is null ? Placed(trigger, next, placed.Sequence, hasFired) : Lost(run);
    }

    // TR5.
    private void WriteCursors(WatchedRun run)
    {
        var passed = Passed;
        foreach (var trigger in run.Triggers)
        {
            if (trigger.IsUnwritten
                && (trigger.Cursor.Sequence - trigger.Stored.Sequence >= CommitsUnwritten || trigger.Stored.Position < passed))
                Write(run, trigger, trigger.Here(TriggerState.Active), hasFired: false);
        }
    }

    public void Dispose()
    {
        foreach (var run in Volatile.Read(ref _runs))
            run.Forget();
    }

    // ---- what is watched ------------------------------------------------------------------------------------------------------

    /// <summary>A run with triggers.</summary>
    private sealed class WatchedRun(RunState state, List<WatchedTrigger> triggers)
    {
        private ulong _looked;

        internal RunState State => state;

        internal IReadOnlyList<WatchedTrigger> Triggers => triggers;

        internal RunSource? Source { get; set; }

        /// <summary>The run's commits up to here were looked at by all its triggers, or wait for a later one.</summary>
        internal ulong Looked
        {
            get => Volatile.Read(ref _looked);
            set => Volatile.Write(ref _looked, value);
        }

        internal bool HasActive => triggers.Any(trigger => trigger.IsActive);

        internal bool HasWork => HasActive && Behind > Looked;

        /// <summary>The run is paused, and something was to be written to it.</summary>
        internal bool WaitsForRun { get; set; }

        /// <summary>A cursor lies below a position and would be written.</summary>
        internal bool HasPassed(ulong position) =>
            triggers.Any(trigger => trigger.IsUnwritten && trigger.Stored.Position < position);

        internal long Backlog => HasWork ? (long)(Behind - Looked) : 0;

        private ulong Behind => Math.Max(state.LastSequence, state.DeletedAt);

        /// <summary>From the cursor that is furthest behind.</summary>
        internal ChangeCursor From(UInt128 database)
        {
            var first = triggers.Where(trigger => trigger.IsActive).MinBy(trigger => trigger.Cursor.Sequence)!.Cursor;
            return first with { Database = database };
        }

        internal ulong NeededFrom()
        {
            var needed = ulong.MaxValue;
            foreach (var trigger in triggers)
            {
                if (trigger.IsUnwritten || (trigger.IsActive && (HasWork || WaitsForRun)))
                    needed = Math.Min(needed, trigger.Stored.Position);
            }

            return needed;
        }

        // Until there is another commit, as the one that resumes the run is.
        internal void IsHeldBack(CommitPath path)
        {
            WaitsForRun = true;
            lock (state.CommitLock)
                Looked = state.Status == RunStatus.Paused ? state.LastSequence : Looked;
            path.Log.Drive(mayLeave: true);
        }

        internal void Forget()
        {
            Source?.Dispose();
            Source = null;
        }
    }

    /// <summary>A trigger as it was read or written last, and how far it has looked since.</summary>
    private sealed class WatchedTrigger(byte[] cursorKey, TriggerDefinition definition, StoredTriggerCursor stored, ulong version)
    {
        private ulong _version = version;

        internal byte[] CursorKey => cursorKey;

        internal ReadOnlySpan<byte> NameBytes => cursorKey.AsSpan(1);

        internal string Name { get; } = Codec.Utf8.GetTrustedString(cursorKey.AsSpan(1));

        internal TriggerDefinition Definition => definition;

        internal StoredTriggerCursor Stored { get; private set; } = stored;

        internal ChangeCursor Cursor { get; private set; } = new(default, stored.Sequence, stored.Position, stored.Check);

        internal bool IsMet { get; private set; } = stored.WasMet;

        internal ulong Fired => Stored.Fired;

        internal bool IsActive => Stored.State == TriggerState.Active;

        /// <summary>It has looked further than is written.</summary>
        internal bool IsUnwritten => IsActive && Cursor.Sequence != Stored.Sequence;

        internal bool IsStoppedByError => Stored.State == TriggerState.Suspended && Stored.Error.Length > 0;

        internal Expectation Expects(RunState run) => new(run, cursorKey, ExpectationKind.Newest, _version);

        internal void Pass(in ChangeCursor at, bool isMet) => (Cursor, IsMet) = (at, isMet);

        internal StoredTriggerCursor Here(TriggerState state) => Next(Cursor, IsMet, state);

        internal StoredTriggerCursor Next(in ChangeCursor at, bool isMet, TriggerState state) =>
            new(state, isMet, Stored.Fired, at.Sequence, at.Position, at.Check, "");

        internal void Wrote(StoredTriggerCursor next, ulong sequence)
        {
            Stored = next;
            _version = sequence;
            Pass(new ChangeCursor(default, next.Sequence, next.Position, next.Check), next.WasMet);
        }
    }
}
