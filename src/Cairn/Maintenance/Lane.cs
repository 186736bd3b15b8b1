// One thread and the jobs it steps, each at its own interval. The thread exists only while there is something to do.
//
//   L1  A job is stepped when it is due or its interval has passed: the one of its load while it has work, else IdlePoll.
//   L2  No wake is lost. Who commits does so first and looks at _isAsleep then; the lane says that it sleeps first and looks for work
//       then. One of the two sees the other. The signal is taken back before the look, never after it. A lane whose sync or mark is
//       in sight already knows when to look next: commits need not wake it, so a burst of them wakes it once.
//   L3  Asleep, the thread is up once a second at most. After RetireAfter without work in sight it ends; whoever wakes the lane starts
//       another. That is some 100 microseconds for the first commit after a rest, and an idle database has no thread. What nobody
//       wakes it for (a value that expires, a transaction that grows too old) is seen by IdleWatch, one thread per process, to the
//       second.
//   L4  A thread that cannot be started fails the database: durability in time rests on it.
//
// Time is the database's clock, but waiting is real. After a wait that ran its length the lane takes it that the time has come, also
// by a clock that stands still in a test.

namespace Cairn.Maintenance;

/// <summary>See the essay above.</summary>
internal sealed class Lane : IDisposable
{
    private readonly Maintainer _maintainer;
    private readonly TimeProvider _clock;
    private readonly TimeSpan _retireAfter;
    private readonly string _threadName;
    private readonly ManualResetEventSlim _signal = new(false, spinCount: 0);
    private readonly Lock _gate = new();                     // starting and ending the thread
    private Thread? _thread;
#pragma warning disable CA2213 // disposing of a context does nothing
    private ExecutionContext? _opener = ExecutionContext.Capture();
#pragma warning restore CA2213
    private bool _isAsleep = true;
    private bool _stopping;
    private long _idleSince;
    private ulong _seen;                                     // the newest commit at the last turn

    internal Lane(Maintainer maintainer, TimeProvider clock, LaneKind kind, MaintenanceJob[] jobs, TimeSpan retireAfter)
    {
        _maintainer = maintainer;
        _clock = clock;
        _retireAfter = retireAfter;
        _threadName = kind == LaneKind.Prompt ? "cairn-maintainer" : "cairn-maintainer-2";
        Jobs = jobs;
    }

    internal MaintenanceJob[] Jobs { get; }

    internal bool HasThread => Volatile.Read(ref _thread) is not null;

    /// <summary>Something has come since the last turn, or something wants a step before the thread would have ended again.</summary>
    internal bool NeedsThread
    {
        get
        {
            if (!_maintainer.IsRunning)
                return false;
            if (_maintainer.LastCommit() != Volatile.Read(ref _seen))
                return true;
            foreach (var job in Jobs)
            {
                if (job.IsActive || job.HasWorkInSight || job.DueIn <= Maintainer.IdlePoll)
                    return true;
            }

            return false;
        }
    }

    /// <summary>Cheap unless the thread sleeps or has ended.</summary>
    internal void Wake()
    {
        if (Volatile.Read(ref _isAsleep))
            WakeNow();
    }

    /// <summary>At once, also when it is between steps.</summary>
    internal void WakeNow()
    {
        _signal.Set();
        Interlocked.MemoryBarrier();                         // L2: then look whether anybody is there to see it
        if (!HasThread)
            Start();
    }

    /// <summary>Starts the thread. The first one is in the flow of control of whoever opened the database, as tests want it; who starts it
    /// has nothing to do with it but that it commits.</summary>
    internal void Start()
    {
        lock (_gate)
        {
            if (_thread is not null || _stopping)
                return;
            try
            {
                var thread = new Thread(Run) { IsBackground = true, Name = _threadName };
                Volatile.Write(ref _thread, thread);
                thread.UnsafeStart(Interlocked.Exchange(ref _opener, null));
            }
            catch (Exception cannot) when (cannot is OutOfMemoryException or ThreadStartException)
            {
                _thread = null;
                _maintainer.Fail(cannot);                    // L4
            }
        }
    }

    private void Run(object? flow)
    {
        try
        {
            if (flow is ExecutionContext opener)
                ExecutionContext.Run(opener, static lane => ((Lane)lane!).Loop(), this);
            else
                Loop();
        }
        catch (Exception bug)
        {
            _maintainer.Fail(bug);                           // nothing stops in silence: the next call is told
            lock (_gate)
                _thread = null;
        }
    }

    private void Loop()
    {
        var now = _clock.GetTimestamp();
        _idleSince = now;
        foreach (var job in Jobs)
            job.NextAt = job.RetryAt ?? now;                 // whoever started the thread had something to do: it looks before it may end
        while (!Volatile.Read(ref _stopping))
        {
            var wait = Turn(now);
            var from = Math.Max(now, _clock.GetTimestamp());
            Volatile.Write(ref _isAsleep, !FollowsCommits);
            Interlocked.MemoryBarrier();
            var waited = !HasNewWork() && !_signal.Wait(wait);
            Volatile.Write(ref _isAsleep, false);
            _signal.Reset();
            Interlocked.MemoryBarrier();
            now = Math.Max(_clock.GetTimestamp(), waited ? After(from, wait) : from);
            if (waited && TryRetire(now))
                return;
        }
    }

    // Steps what is to be stepped; how long nothing is then.
    private TimeSpan Turn(long now)
    {
        var next = After(now, Maintainer.IdlePoll);
        if (_maintainer.LastCommit() is var last && last != _seen)
            (_seen, _idleSince) = (last, now);
        foreach (var job in Jobs)
        {
            if (Volatile.Read(ref _stopping))
                return TimeSpan.Zero;
            var due = job.DueIn;
            job.WasStepped = job.NextAt <= now || due <= TimeSpan.Zero;
            if (job.WasStepped)
            {
                var more = _maintainer.Step(job, out var interval);
                job.IsActive = more || job.HasWorkInSight;
                job.NextAt = job.RetryAt ?? After(now, job.IsActive ? interval : Maintainer.IdlePoll);
                due = job.DueIn;
            }
            else if (!job.IsActive && job.HasWorkInSight)
            {
                job.IsActive = true;
                job.NextAt = Math.Min(job.NextAt, After(now, job.Pacing.Reading.Interval));
            }

            next = Math.Min(next, job.NextAt);
            if (due is { } time && time < Maintainer.IdlePoll)
                next = Math.Min(next, After(now, time > _maintainer.Options.IntervalMin ? time : _maintainer.Options.IntervalMin));
            if (job.IsActive)
                _idleSince = now;
        }

        if (After(_idleSince, _retireAfter) is var end && end > now)
            next = Math.Min(next, end);
        var wait = _clock.GetElapsedTime(now, next);
        return wait < _maintainer.Options.IntervalMin ? _maintainer.Options.IntervalMin : wait;
    }

    private bool FollowsCommits
    {
        get
        {
            foreach (var job in Jobs)
            {
                if (job.FollowsCommits && job.IsActive)
                    return true;
            }

            return false;
        }
    }

    // L2: what has come since the turn, which did not wake us because we were awake.
    private bool HasNewWork()
    {
        foreach (var job in Jobs)
        {
            if ((job.FollowsCommits && !job.IsActive && job.HasWorkInSight) || (!job.WasStepped && job.DueIn <= TimeSpan.Zero))
                return _maintainer.IsRunning;
        }

        return false;
    }

    private bool TryRetire(long now)
    {
        if (_clock.GetElapsedTime(_idleSince, now) < _retireAfter || NeedsThread)
            return false;
        lock (_gate)
        {
            if (_stopping)
                return true;
            Volatile.Write(ref _isAsleep, true);
            Volatile.Write(ref _thread, null);
            Interlocked.MemoryBarrier();                     // L2: who comes from here on starts another; who came before has set this
            if (!_signal.IsSet && _maintainer.TryRest())
                return true;

            Volatile.Write(ref _thread, Thread.CurrentThread);
            Volatile.Write(ref _isAsleep, false);
            return false;
        }
    }

    private long After(long time, TimeSpan wait) => time + (long)(wait.TotalSeconds * _clock.TimestampFrequency);

    /// <summary>Ends the thread and waits for it, unless it is the one that calls.</summary>
    public void Dispose()
    {
        Thread? thread;
        lock (_gate)
        {
            _stopping = true;
            thread = _thread;
        }

        _signal.Set();
        if (thread != Thread.CurrentThread)
            thread?.Join();
        _signal.Dispose();
    }
}
