namespace Cairn.Diagnostics;

/// <summary>
/// What the engine has to tell, on its way into the run <c>$sys</c>: any room raises, the maintainer writes. Raising never blocks, waits or
/// fails: the queue is bounded, and what does not fit is counted and told with the next event that does. Off, it costs one look at a
/// field. Payloads name files, runs, jobs and numbers, never keys or values.
/// </summary>
internal sealed class SystemEvents(bool isOn)
{
    // The types: a type never changes its meaning.
    internal const string Opened = "open";
    internal const string Recovered = "recovery";
    internal const string Checkpoint = "checkpoint";
    internal const string Compaction = "compaction";
    internal const string Merge = "merge";
    internal const string Rebuild = "rebuild";
    internal const string IndexBuild = "index_build";
    internal const string HealthChange = "health_change";
    internal const string Warning = "warning";
    internal const string SlowOperation = "slow_operation";
    internal const string Backup = "backup";
    internal const string Audit = "audit";

    internal const int QueuedMax = 1_024;

    /// <summary>A commit or a sync that takes longer is told.</summary>
    internal static readonly TimeSpan SlowAfter = TimeSpan.FromSeconds(1);

    private readonly Lock _gate = new();
    private readonly Queue<SystemEvent> _queue = new();
    private long _lost;
    private long _lostUntold;

    internal bool IsOn => isOn;

    internal int Waiting
    {
        get
        {
            lock (_gate)
                return _queue.Count;
        }
    }

    /// <summary>Events that did not fit into the queue.</summary>
    internal long Lost => Volatile.Read(ref _lost);

    internal void Raise(string type, params ReadOnlySpan<(string Name, Value Value)> fields)
    {
        if (!isOn)
            return;
        lock (_gate)
        {
            if (_queue.Count >= QueuedMax)
            {
                _lost++;
                _lostUntold++;
                return;
            }

            _queue.Enqueue(new SystemEvent(type, Value.Object(fields)));
        }
    }

    /// <summary>The oldest that wait; they stay in the queue until <see cref="Written"/>: a commit that is refused loses none.</summary>
    internal List<SystemEvent> Peek(int most)
    {
        lock (_gate)
        {
            var events = new List<SystemEvent>(Math.Min(most, _queue.Count + 1));
            foreach (var waiting in _queue)
            {
                if (events.Count >= most)
                    break;
                events.Add(waiting);
            }

            return events;
        }
    }

    internal void Written(int count)
    {
        lock (_gate)
        {
            while (count-- > 0)
                _queue.Dequeue();
            if (_lostUntold == 0)
                return;
            _queue.Enqueue(new SystemEvent(Warning, Value.Object(("what", "events lost"), ("count", _lostUntold))));
            _lostUntold = 0;
        }
    }
}

/// <summary>One event of the engine.</summary>
internal readonly record struct SystemEvent(string Type, Value Payload);
