namespace Cairn.Log;

/// <summary>
/// A thread that exists while there is something to do: it is started by whoever wakes it, and ends after a rest (TIER-3). No wake is
/// lost: who wakes sets the signal first and looks then whether there is a thread; a thread that ends says so first and looks at the
/// signal then. One of the two sees the other, and a thread that sees it stays.
/// </summary>
/// <param name="serve">Does all that there is to do; called again after each wake. Must not throw.</param>
/// <param name="rest">Without a wake for so long, the thread ends.</param>
/// <param name="start">Null: threads of the system. For tests: takes the body of a thread that is to run.</param>
internal sealed class ServingThread(string name, Action serve, TimeSpan rest, Action<Action>? start = null) : IDisposable
{
    /// <summary>Chosen: long beside a burst of commits, short beside the life of a database that rests.</summary>
    internal static readonly TimeSpan Rest = TimeSpan.FromSeconds(5);

    private readonly ManualResetEventSlim _signal = new(false, spinCount: 0);
    private readonly Lock _gate = new();                     // starting and ending
    private readonly ExecutionContext? _flow = ExecutionContext.Capture();
    private volatile Body? _body;
    private volatile bool _stopping;

    internal bool Exists => _body is not null;

    /// <summary>The thread that calls is this one.</summary>
    internal bool IsMine => _body is { } body && body.Thread == Thread.CurrentThread;

    /// <summary>It serves soon, once for all who wake it before it begins. Outside all locks: where no thread can be started, the caller
    /// serves.</summary>
    internal void Wake()
    {
        _signal.Set();
        Interlocked.MemoryBarrier();
        Failpoint.Hit("log.thread-signalled");
        if (_body is null && !TryStart())
            serve();
    }

    // True as well when another has started it, or when it has nothing to do any more.
    private bool TryStart()
    {
        lock (_gate)
        {
            if (_body is not null || _stopping)
                return true;
            var body = new Body();
            _body = body;
            try
            {
                Start(body);
                return true;
            }
            catch (Exception cannot) when (cannot is OutOfMemoryException or ThreadStartException)
            {
                _body = null;
                return false;
            }
        }
    }

    private void Start(Body body)
    {
        if (start is not null)
        {
            start(() => Run(body));
            return;
        }

        // In the flow of control of whoever opened the database: whoever commits has nothing to do with it.
        var thread = new Thread(() =>
        {
            if (_flow is null)
                Run(body);
            else
                ExecutionContext.Run(_flow, _ => Run(body), null);
        })
        {
            IsBackground = true,
            Name = name,
        };
        body.Thread = thread;
        thread.UnsafeStart();
    }

    private void Run(Body body)
    {
        body.Thread ??= Thread.CurrentThread;
        while (!_stopping)
        {
            if (_signal.Wait(rest))
            {
                _signal.Reset();                             // before the look at what there is to do, never after it
                Interlocked.MemoryBarrier();
                Failpoint.Hit("log.thread-woken");
                if (!_stopping)
                    serve();
                continue;
            }

            Failpoint.Hit("log.thread-rested");
            lock (_gate)
            {
                _body = null;
                Interlocked.MemoryBarrier();
                Failpoint.Hit("log.thread-before-end");
                if (!_signal.IsSet || Mutant.Is("log-thread-ends-unseen"))
                    return;
                _body = body;
            }
        }
    }

    /// <summary>Ends the thread and waits for it. What came too late for it is the caller's.</summary>
    internal void Stop()
    {
        Thread? thread;
        lock (_gate)
        {
            _stopping = true;
            thread = _body?.Thread;
        }

        _signal.Set();
        if (thread != Thread.CurrentThread)
            thread?.Join();
    }

    public void Dispose()
    {
        Stop();
        _signal.Dispose();
        _flow?.Dispose();
    }

    private sealed class Body
    {
        internal Thread? Thread { get; set; }
    }
}
