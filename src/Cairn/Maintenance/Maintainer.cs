// The maintainer: the one owner of background work. Nothing else in the engine loops by itself but the log's own thread.
//
// A job is a step function with bounded work. In production two threads run the jobs, those with a promise in time on one and the long
// ones on the other (Lane.cs), each job at an interval that follows its load (Pacing.cs). Tests make no thread and call the steps
// with a clock of their own. Whoever creates work (a commit that is not synced yet) wakes the lane.
//
//   lane    job         what it does                                                               its backlog, of its capacity
//   prompt  sync        Buffered: no later than SyncInterval or SyncCommits after the oldest         commits not synced,
//                       unsynced commit (DUR-3)                                                    of 2 x SyncCommits
//   prompt  mark        after an idle spell behind a sync: one durable mark, the witness of the      0 or 1
//                       group before it (D:5.9)
//   prompt  digest      hashes what was written, behind the commits, so that the segment's seal      bytes not hashed,
//                       finds the work done                                                        of 16 MiB
//   prompt  segment     prepares the next segment when the current one is half full (D:5.7)          bytes written to a segment
//                                                                                                  with none behind it, of its size
//   prompt  timeout     closes transactions that lived too long, so that they pin nothing (TX-32)    -
//   prompt  watch       looks whether the log's writer gets on, whoever that is                      commits queued, of the queue
//   long    checkpoint  writes what has changed beside the log: by bytes, by time, or when asked     bytes of log since the last,
//                                                                                                  of 2 x CheckpointLogBytes
//   long    expiry      removes expired values by ordinary transactions, only if they are still      keys found at the last look
//                       the expired version (TTL-5)
//   long    trim        lets go of events that no policy keeps, by ordinary transactions (TrimJob)   runs to look at
//   long    triggers    fires what is committed sets off (TriggerJob.cs)                             commits to look at
//   long    indexes     builds secondary indexes and clears those that were dropped (IndexJob.cs)       runs with such work
//   long    text        makes indexes of words that searches asked for (TextIndexJob.cs)             runs with such work
//   long    events      writes what the engine tells into the run $sys (SYS-1)                       events, of the queue
//   long    scrub       reads all files that never change, within a week (ScrubJob.cs)               bytes behind its time, of
//                                                                                                  ten minutes' reading
//   long    merge       makes few tables of many (Merger.cs)                                         tables to merge, of 12
//   long    rebuild     makes damaged tables anew from what lies below them and the log (MNT-11)     damaged tables, of 4
//   long    residency    keeps memory within its budget (ResidencyJob.cs)                            bytes above 70 % of it, of the
//                                                                                                  25 % to where writers wait
//   long    sweep       frees superseded versions of idle runs                                       versions, of 100,000
//   long    compaction  gives up of the log what nothing needs, when there is enough of it (CNT-2)   bytes to look through, of 1 GiB
//
// Overload slows writers, and drops nothing: the queue of commits and the room in the segment are bounded, and a commit waits for them
// before it takes a place (TX-33); so is memory. Each such wait is counted where it was caused: `sync` for the queue, `segment` for the
// room, `residency` for memory.
//
// A failure of sync or mark fails the database where it happens and surfaces at the next call. Any other job that throws is
// tried again with back-off, and its error stays in Health until it has succeeded. Nothing stops in silence: an exception
// that reaches the thread fails the database, and a step, or the log's writer, that makes no progress for 30 s is told in Health and in
// the meters. It is only told: what waits for a slow device was not acknowledged, so nothing that was promised is wrong.

using Cairn.Log;
using Cairn.Store;

namespace Cairn.Maintenance;

/// <summary>See the essay above.</summary>
internal sealed class Maintainer : IDisposable
{
    private static readonly TimeSpan BackOffMax = TimeSpan.FromSeconds(10);

    /// <summary>A job without work is looked at so often, while its lane has a thread.</summary>
    internal static readonly TimeSpan IdlePoll = TimeSpan.FromSeconds(1);

    /// <summary>A step that takes longer is called stalled (durability rule 14).</summary>
    internal static readonly TimeSpan StallAfter = TimeSpan.FromSeconds(30);

    /// <summary>Chosen: long beside a burst of commits, short beside the life of a database that rests.</summary>
    internal static readonly TimeSpan RetireAfter = TimeSpan.FromSeconds(5);

    private readonly MaintenanceJob[] _jobs;
    private readonly EngineState _state;
    private readonly TimeProvider _clock;
    private readonly CancellationTokenSource _stopping = new();
    private readonly Lock[] _stepping = [new(), new()];      // by lane: a test's step and a thread's take turns
    private readonly Lane? _prompt;
    private readonly Lane? _long;

    /// <param name="ownThreads">False: the steps are driven by hand.</param>
    /// <param name="lastCommit">Newest commit of any run: a lane rests only while it stays the same.</param>
    /// <param name="restsFirst">The lanes get their threads when something is due. A database that takes no commits, or has not taken one,
    /// has nothing for them that would not have a second's time, and beginning two threads takes longer than all the rest of its
    /// opening.</param>
    internal Maintainer(
        EngineState state, TimeProvider clock, MaintenanceOptions options, bool ownThreads, Func<ulong> lastCommit,
        IEnumerable<MaintenanceJob> jobs, TimeSpan? retireAfter = null, bool restsFirst = false)
    {
        _state = state;
        _clock = clock;
        _jobs = [.. jobs];
        Options = options;
        LastCommit = lastCommit;
        foreach (var job in _jobs)
            job.Join(options, clock, _stopping.Token);
        if (!ownThreads)
            return;
        _prompt = MakeLane(LaneKind.Prompt, retireAfter ?? RetireAfter);
        _long = MakeLane(LaneKind.Long, retireAfter ?? RetireAfter);
        if (restsFirst && TryRest())
            return;
        _prompt.Start();
        _long.Start();
    }

    private Lane MakeLane(LaneKind kind, TimeSpan retireAfter) =>
        new(this, _clock, kind, [.. _jobs.Where(job => job.Lane == kind)], retireAfter);

    internal IReadOnlyList<MaintenanceJob> Jobs => _jobs;

    internal MaintenanceOptions Options { get; }

    internal Func<ulong> LastCommit { get; }

    /// <summary>Told on the lane's thread when a job's warning comes or goes.</summary>
    internal Action<MaintenanceJob, PaceReading>? Warned { get; set; }

    /// <summary>Told on the lane's thread when a job fails the first time, and when it succeeds again (with null).</summary>
    internal Action<MaintenanceJob, Exception?>? Failing { get; set; }

    /// <summary>Steps are still taken.</summary>
    internal bool IsRunning => !_state.HasFailed && !_state.IsClosed;

    /// <summary>Threads that it has now; none while the database rests.</summary>
    internal int Threads => (_prompt is { HasThread: true } ? 1 : 0) + (_long is { HasThread: true } ? 1 : 0);

    /// <summary>After commits were written. Cheap unless the thread sleeps.</summary>
    internal void Wake() => _prompt?.Wake();

    /// <summary>A sync or a segment is due: at once, also when the thread is between steps.</summary>
    internal void WakeNow() => _prompt?.WakeNow();

    /// <summary>A job has work that it could not see coming.</summary>
    internal void Wake(MaintenanceJob job)
    {
        job.NextAt = 0;
        (job.Lane == LaneKind.Prompt ? _prompt : _long)?.WakeNow();
    }

    /// <summary>One turn of all jobs, whatever their intervals. True when some job has more work in sight.</summary>
    internal bool Step()
    {
        var busy = false;
        foreach (var job in _jobs)
            busy |= Step(job, out _);
        return busy;
    }

    /// <param name="interval">Until the next step, if there is work for it.</param>
    internal bool Step(MaintenanceJob job, out TimeSpan interval)
    {
        lock (_stepping[(int)job.Lane])
        {
            interval = Options.IntervalMax;
            if (!IsRunning)
                return false;
            var now = _clock.GetTimestamp();
            if (job.RetryAt is { } at && now < at)
                return true;
            job.Observe(now);
            var more = Try(job, now);
            var reading = job.Observe(_clock.GetTimestamp());
            if (reading.IsWarned != job.IsWarned)
            {
                job.IsWarned = reading.IsWarned;
                Warned?.Invoke(job, reading);
            }

            interval = reading.Interval;
            return more;
        }
    }

    private bool Try(MaintenanceJob job, long now)
    {
        try
        {
            job.Begin(now);
            MemoryBudget.IsUpkeep = true;
            Failpoint.Hit("maintainer.step");
            var more = job.Step();
            job.Ended();
            if (job.LastError is not null)
            {
                job.LastError = null;
                job.Failures = 0;
                job.RetryAt = null;
                Failing?.Invoke(job, null);
            }

            return more;
        }
        catch (OperationCanceledException) when (_stopping.IsCancellationRequested)
        {
            return false;                                    // closing asked for it
        }
        catch (Exception error) when (!job.IsFatal && error is not InvariantException)
        {
            if (Mutant.Is("job-failure-swallowed"))
                return true;
            var isFirst = job.LastError is null;
            job.LastError = error;
            job.Failures++;
            var wait = TimeSpan.FromMilliseconds(Math.Min(10 * Math.Pow(2, Math.Min(job.Failures, 20)), BackOffMax.TotalMilliseconds));
            job.RetryAt = _clock.GetTimestamp() + (long)(wait.TotalSeconds * _clock.TimestampFrequency);
            if (isFirst)
                Failing?.Invoke(job, error);
            return true;
        }
        catch (Exception error)
        {
            job.LastError = error;
            _state.Fail(error);
            return false;
        }
        finally
        {
            MemoryBudget.IsUpkeep = false;
            job.Begin(0);
        }
    }

    /// <summary>How long a job makes no progress, once that is too long; asked on another thread than its own.</summary>
    internal TimeSpan? StalledFor(MaintenanceJob job)
    {
        var began = job.Began;
        if (began == 0)
            return job.StalledFor;
        return _clock.GetElapsedTime(began) is var time && time > StallAfter && !Mutant.Is("stalled-step-unseen") ? time : job.StalledFor;
    }

    // ---- for the lanes ---------------------------------------------------------------------------------------------------------

    internal void Fail(Exception cause) => _state.Fail(cause);

    /// <summary>A lane ends its thread, if somebody looks after it then.</summary>
    internal bool TryRest() => IdleWatch.TryAdd(this);

    /// <summary>Starts the threads of lanes that have something to do. True when no lane rests any more.</summary>
    internal bool WakeIfNeeded()
    {
        try
        {
            foreach (var lane in (ReadOnlySpan<Lane?>)[_prompt, _long])
            {
                if (lane is { HasThread: false, NeedsThread: true })
                    lane.WakeNow();
            }
        }
        catch (Exception bug)
        {
            _state.Fail(bug);
        }

        return _prompt is { HasThread: true } && _long is { HasThread: true };
    }

    // ---- the end ---------------------------------------------------------------------------------------------------------------

    /// <summary>Runs what is given on a thread of its own, and the task ends with that: closing waits for the device, and who awaits it
    /// should not. Where steps are driven by hand the caller does it.</summary>
    internal Task EndAsync(Action last)
    {
        var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        void Last()
        {
            try
            {
                last();
                done.SetResult();
            }
            catch (Exception failure)
            {
                done.SetException(failure);                  // thrown where it is awaited
            }
        }

        if (_prompt is null)
            Last();
        else
            new Thread(Last) { IsBackground = true, Name = "cairn-closing" }.Start();
        return done.Task;
    }

    public void Dispose()
    {
        IdleWatch.Remove(this);
        _stopping.Cancel();
        _prompt?.Dispose();
        _long?.Dispose();
        IdleWatch.Remove(this);                       // a lane may have begun to rest meanwhile
        foreach (var job in _jobs)
            (job as IDisposable)?.Dispose();          // what it has left half done
        _stopping.Dispose();
    }
}
