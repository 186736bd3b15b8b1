// The maintainer: the one owner of background work. Nothing else in the engine loops by itself but the log's own thread.
//
// A job is a step function with bounded work. In production one thread runs all jobs in turn; tests make no thread and call the
// steps with a clock of their own. Between turns the thread waits: a tick while some job has work in sight, otherwise until it
// is woken. Whoever creates work (a commit that is not synced yet) wakes it.
//
//   sync       Buffered: no later than SyncInterval or SyncCommits after the oldest unsynced commit (DUR-3)
//   mark       after an idle spell behind a sync: one durable mark, the witness of the group before it (D:5.9)
//   digest     hashes what was written, behind the commits, so that the segment's seal finds the work done
//   segment    prepares the next segment when the current one is half full (D:5.7)
//   expiry     removes expired values by ordinary transactions, only if they are still the expired version (TTL-5)
//   timeout    closes transactions that lived too long, so that they pin no versions (TX-32)
//   sweep      frees superseded versions of idle runs
//   watch      looks whether the log's writer gets on, whoever that is
//
// A failure of sync or mark fails the database where it happens and surfaces at the next call. Any other job that throws is
// tried again with back-off, and its error stays in Health until it has succeeded. Nothing stops in silence: an exception
// that reaches the thread fails the database, and a step, or the log's writer, that makes no progress for 30 s is told in Health and in
// the meters. It is only told: what waits for a slow device was not acknowledged, so nothing that was promised is wrong.

using Cairn.Log;

namespace Cairn.Maintenance;

/// <summary>See the essay above.</summary>
internal sealed class Maintainer : IDisposable
{
    private static readonly TimeSpan Tick = TimeSpan.FromMilliseconds(10);
    private static readonly TimeSpan IdleWait = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan BackOffMax = TimeSpan.FromSeconds(10);

    /// <summary>A step that takes longer is called stalled (durability rule 14).</summary>
    internal static readonly TimeSpan StallAfter = TimeSpan.FromSeconds(30);

    private readonly MaintenanceJob[] _jobs;
    private readonly EngineState _state;
    private readonly TimeProvider _clock;
    private readonly ManualResetEventSlim _signal = new(false, spinCount: 0);
    private readonly Thread? _thread;
    private readonly Lock _stepping = new();
    private volatile bool _idle;
    private volatile bool _stopping;
    private Action? _last;

    /// <param name="ownThread">False: the steps are driven by hand.</param>
    internal Maintainer(EngineState state, TimeProvider clock, bool ownThread, params MaintenanceJob[] jobs)
    {
        _state = state;
        _clock = clock;
        _jobs = jobs;
        if (!ownThread)
            return;
        _thread = new Thread(Run) { IsBackground = true, Name = "cairn-maintainer" };
        _thread.Start();
    }

    internal IReadOnlyList<MaintenanceJob> Jobs => _jobs;

    /// <summary>Cheap unless the thread sleeps.</summary>
    internal void Wake()
    {
        if (_idle)
            _signal.Set();
    }

    /// <summary>At once, also when it is between ticks.</summary>
    internal void WakeNow() => _signal.Set();

    /// <summary>One turn of all jobs. True when some job has more work in sight.</summary>
    internal bool Step()
    {
        lock (_stepping)
        {
            var busy = false;
            foreach (var job in _jobs)
                busy |= Step(job);
            return busy;
        }
    }

    private bool Step(MaintenanceJob job)
    {
        if (_state.HasFailed || _state.IsClosed)
            return false;
        if (job.RetryAt is { } at && _clock.GetTimestamp() < at)
            return true;
        try
        {
            job.Begin(_clock.GetTimestamp());
            Failpoint.Hit("maintainer.step");
            var more = job.Step();
            job.Steps++;
            job.LastError = null;
            job.Failures = 0;
            job.RetryAt = null;
            return more;
        }
        catch (Exception error) when (!job.IsFatal && error is not InvariantException)
        {
            job.LastError = error;
            job.Failures++;
            var wait = TimeSpan.FromMilliseconds(Math.Min(10 * Math.Pow(2, Math.Min(job.Failures, 20)), BackOffMax.TotalMilliseconds));
            job.RetryAt = _clock.GetTimestamp() + (long)(wait.TotalSeconds * _clock.TimestampFrequency);
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

    private void Run()
    {
        try
        {
            Loop();
        }
        catch (Exception bug)
        {
            _state.Fail(bug);                                // nothing stops in silence: the next call is told
        }

        while (!_stopping)
        {
            _signal.Wait();
            _signal.Reset();
        }

        _last?.Invoke();
    }

    private void Loop()
    {
        while (!_stopping)
        {
            var busy = Step();
            if (busy)
            {
                _signal.Wait(Tick);
            }
            else
            {
                _idle = true;
                if (!_stopping && !HasWorkInSight())
                    _signal.Wait(IdleWait);
                _idle = false;
            }

            _signal.Reset();
        }
    }

    // After _idle is up: whoever created work before did not wake us.
    private bool HasWorkInSight()
    {
        foreach (var job in _jobs)
        {
            if (job.HasWorkInSight && !_state.HasFailed)
                return true;
        }

        return false;
    }

    /// <summary>Ends the thread; its last deed is what is given, and the task ends with that. Without a thread the caller does
    /// it.</summary>
    internal Task EndAsync(Action last)
    {
        var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _last = () =>
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
        };
        if (_thread is null)
        {
            _last();
            return done.Task;
        }

        _stopping = true;
        _signal.Set();
        return done.Task;
    }

    public void Dispose()
    {
        _stopping = true;
        _signal.Set();
        if (_thread != Thread.CurrentThread)
            _thread?.Join();
        _signal.Dispose();
    }
}

/// <summary>One kind of background work.</summary>
internal abstract class MaintenanceJob(string name)
{
    private long _began;

    internal string Name { get; } = name;

    /// <summary>When the step that is running began, as a time stamp; 0 = none is.</summary>
    internal long Began => Volatile.Read(ref _began);

    internal void Begin(long now) => Volatile.Write(ref _began, now);

    /// <summary>For a job that watches: how long what it watches makes no progress, once that is too long.</summary>
    internal virtual TimeSpan? StalledFor => null;

    /// <summary>An error of this job ends writing.</summary>
    internal virtual bool IsFatal => false;

    internal long Steps { get; set; }

    internal int Failures { get; set; }

    internal Exception? LastError { get; set; }

    internal long? RetryAt { get; set; }

    /// <summary>Work that will be due without anybody waking the maintainer again.</summary>
    internal virtual bool HasWorkInSight => false;

    /// <summary>Does a bounded piece of work. True when more is in sight.</summary>
    internal abstract bool Step();
}
