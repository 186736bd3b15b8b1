using System.Diagnostics;
using Cairn.Diagnostics;

namespace Cairn.Tests.Hooks;

// Controlled schedules (S1): of two to four tasks one runs at a time, and at each failpoint a seed decides who goes on. So an order that
// a free run meets once in a million times is met in the first hundreds, and is met again from its seed.
//
//   task 0   |commit.locked....placed|                              |applied ...... visible|
//   task 1                           |snapshot.word-read-before-pinned|                     |reads|
//                                    ^ here the seed said: the other one
//
// Two ways to choose, half of the seeds each: with priorities that change at a few places drawn beforehand (Burckhardt et al., A
// Randomized Scheduler with Probabilistic Guarantees of Finding Bugs, ASPLOS 2010), which finds orders of small depth soonest; and
// a new draw every few places, how few depends on the seed.
//
// A task that waits for another (Failpoint.Wait) lets it go on and really waits meanwhile; it queues up again at its next failpoint.
// Where the engine blocks without saying so (a lock held by a task that stands at a failpoint), the watch sees that the running
// task sleeps and gives its turn away. Threads that the schedule did not make (the log's own) run free.
//
// Nobody gets on: a deadlock or a lost wake-up, and the schedule fails with where each task stands.

/// <summary>See the essay above. Under <see cref="Failpoint.Use"/> while databases are opened and tasks run. One schedule at a
/// time.</summary>
internal sealed class Schedule : FailpointPlan, IDisposable
{
    private const int TasksMax = 4;
    private const int ChangesMax = 3;
    private const int ExpectedSteps = 60;
    private static readonly TimeSpan Watch = TimeSpan.FromMilliseconds(2);
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    [ThreadStatic]
    private static Worker? t_worker;

    private readonly Lock _gate = new();
    private Worker[] _workers = [];
    private readonly SemaphoreSlim _done = new(0);
    private readonly int[] _changesAt = new int[ChangesMax];
    private Random _random = new(0);
    private ulong _seed;
    private long _draws;
    private int _count;
    private int _running = -1;
    private int _left;
    private int _steps;
    private int _lowest;
    private bool _usesPriorities;
    private int _stretch = 2;
    private double _rarely;
    private bool _stopped;

    /// <summary>Failpoints passed by tasks since the beginning.</summary>
    internal long Steps { get; private set; }

    /// <summary>A schedule did not end: what it ran on is held by threads for ever.</summary>
    internal bool IsStuck { get; private set; }

    /// <summary>What follows is drawn from this seed: rare turns at once, the order with <see cref="Run"/>.</summary>
    internal void Begin(ulong seed)
    {
        (_seed, _draws) = (seed, 0);
        _random = new Random((int)(seed ^ (seed >> 32)));
        _usesPriorities = _random.Next(2) == 0;
        _stretch = 2 << _random.Next(4);                     // failpoints, on the average, between two draws
        _rarely = _random.Next(3) == 0 ? 3 : 0;
        for (var i = 0; i < _changesAt.Length; i++)
            _changesAt[i] = 1 + _random.Next(ExpectedSteps);
    }

    /// <summary>Runs the tasks to their ends in the order that the seed gives.</summary>
    /// <exception cref="ScheduleException">A task failed, or none can go on.</exception>
    internal void Run(params ReadOnlySpan<Action> tasks)
    {
        // Here and not earlier: threads take over the plan that is in force when they are started.
        if (_workers.Length == 0)
            _workers = [.. Enumerable.Range(0, TasksMax).Select(i => new Worker(this, i))];
        lock (_gate)
        {
            (_count, _left, _steps, _lowest) = (tasks.Length, tasks.Length, 0, 0);
            for (var i = 0; i < _count; i++)
                _workers[i].Begin(tasks[i], 1 + _random.Next(1 << 20));
            _running = -1;
            PassOn();
        }

        Await();
        Steps += _steps;
        for (var i = 0; i < tasks.Length; i++)
        {
            if (_workers[i].Failure is { } failure)
                throw new ScheduleException(_seed, $"task {i} failed: {failure.Message}", failure);
        }
    }

    // ---- at failpoints --------------------------------------------------------------------------------------------------------

    internal override void Hit(string name)
    {
        if (t_worker is not { } me || me.Owner != this)
            return;
        lock (_gate)
        {
            me.Place = name;
            _steps++;
            if (me.State == TaskState.Waiting)
            {
                // It was waiting for somebody and got what it waited for.
                me.State = TaskState.Ready;
                if (_running < 0)
                    PassOn();
            }
            else if (_usesPriorities)
            {
                if (Array.IndexOf(_changesAt, _steps) >= 0)
                    me.Priority = --_lowest;
                GiveWay(me);
            }
            else if (_random.Next(_stretch) == 0)
            {
                GiveWay(me);
            }
            else
            {
                return;                                      // it keeps its turn
            }
        }

        me.AwaitTurn();
    }

    internal override void Wait(string name)
    {
        if (t_worker is not { } me || me.Owner != this)
            return;
        lock (_gate)
        {
            me.Place = name;
            me.Priority = --_lowest;
            if (me.State == TaskState.Waiting)
                return;                                      // goes round and round; the others do not need it
            me.State = TaskState.Waiting;
            _running = -1;
            PassOn();
        }
    }

    internal override bool Happens(string name, double p) =>
        _rarely > 0 && Mix(_seed + (ulong)Interlocked.Increment(ref _draws)) < p * _rarely * ulong.MaxValue;

    // Under the gate.
    private void GiveWay(Worker me)
    {
        me.State = TaskState.Ready;
        _running = -1;
        PassOn();
    }

    // Under the gate: who is ready and has the turn now.
    private void PassOn()
    {
        Worker? next = null;
        var ready = 0;
        for (var i = 0; i < _count; i++)
        {
            var worker = _workers[i];
            if (worker.State != TaskState.Ready)
                continue;
            ready++;
            if (next is null || (_usesPriorities ? worker.Priority > next.Priority : _random.Next(ready) == 0))
                next = worker;
        }

        if (next is null)
            return;
        _running = next.Index;
        next.State = TaskState.Running;
        next.GiveTurn();
    }

    private void Ended(Worker me)
    {
        lock (_gate)
        {
            me.Place = "its end";
            var hadTurn = me.State == TaskState.Running;
            me.State = TaskState.Ended;
            if (hadTurn)
                _running = -1;
            if (_running < 0)
                PassOn();
            if (--_left == 0)
                _done.Release();
        }
    }

    // ---- the watch ------------------------------------------------------------------------------------------------------------

    private void Await()
    {
        var seen = -1;
        var since = Stopwatch.GetTimestamp();
        while (!_done.Wait(Watch))
        {
            lock (_gate)
            {
                var now = (_steps << 3) + _left;
                if (now != seen)
                {
                    seen = now;
                    since = Stopwatch.GetTimestamp();
                    continue;
                }

                if (_running >= 0 && _workers[_running].Sleeps)
                {
                    // It blocks where no failpoint says so: behind a lock of one who stands at a failpoint.
                    _workers[_running].State = TaskState.Waiting;
                    _running = -1;
                    PassOn();
                }

            }

            if (Stopwatch.GetElapsedTime(since) > Patience)
            {
                var places = Describe();
                IsStuck = true;
                RunFree();
                throw new ScheduleException(_seed, "deadlock or lost wake-up: " + places, null);
            }
        }
    }

    // Whoever stands at a failpoint goes on, now and at every later one.
    private void RunFree()
    {
        foreach (var worker in _workers)
            worker.GiveTurns(1 << 20);
    }

    private string Describe() =>
        string.Join(", ", _workers.Take(_count).Select(worker => $"task {worker.Index} is {worker.State} at {worker.Place}"));

    // SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014).
    internal static ulong Mix(ulong z)
    {
        z += 0x9E3779B97F4A7C15;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }

    public void Dispose()
    {
        _stopped = true;
        if (IsStuck)
            return;                                          // its threads are lost
        foreach (var worker in _workers)
            worker.Dispose();
        _done.Dispose();
    }

    private enum TaskState
    {
        Ended,
        Ready,
        Running,
        Waiting,
    }

    // A thread that runs task after task.
    private sealed class Worker : IDisposable
    {
        private readonly SemaphoreSlim _start = new(0);
        private readonly SemaphoreSlim _turn = new(0);
        private readonly Thread _thread;
        private Action? _task;

        internal Worker(Schedule owner, int index)
        {
            (Owner, Index) = (owner, index);
            _thread = new Thread(Serve) { IsBackground = true, Name = $"task {index}" };
            _thread.Start();
        }

        internal Schedule Owner { get; }

        internal int Index { get; }

        internal TaskState State { get; set; }

        internal int Priority { get; set; }

        internal string Place { get; set; } = "";

        internal Exception? Failure { get; private set; }

        internal bool Sleeps => (_thread.ThreadState & System.Threading.ThreadState.WaitSleepJoin) != 0 && _turn.CurrentCount == 0;

        internal void Begin(Action task, int priority)
        {
            (_task, Priority, State, Failure, Place) = (task, priority, TaskState.Ready, null, "its beginning");
            Start();
        }

        internal void Start() => _start.Release();

        internal void GiveTurn() => _turn.Release();

        internal void GiveTurns(int count) => _turn.Release(count);

        internal void AwaitTurn()
        {
            // Each turn that is given is taken once: by the failpoint that waits for it.
            if (!_turn.Wait(0))
                _turn.Wait();
        }

        public void Dispose()
        {
            Start();
            _thread.Join();
            _start.Dispose();
            _turn.Dispose();
        }

        private void Serve()
        {
            t_worker = this;
            while (true)
            {
                _start.Wait();
                if (Owner._stopped)
                    return;
                AwaitTurn();
                try
                {
                    _task!();
                }
                catch (Exception failure)
                {
                    Failure = failure;
                }

                Owner.Ended(this);
            }
        }
    }
}

/// <summary>An order of tasks that the engine does not stand.</summary>
internal sealed class ScheduleException(ulong seed, string what, Exception? cause)
    : Exception($"schedule of seed {seed} (run it with ./test sim {seed}): {what}", cause)
{
}
