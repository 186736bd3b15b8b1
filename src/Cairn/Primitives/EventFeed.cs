using Cairn.Log;
using Cairn.Store;

namespace Cairn.Primitives;

/// <summary>
/// Wakes who waits for events. Registered as a commit observer only while somebody waits, so that an append without an audience pays
/// nothing. A waiter looks, and if there is nothing waits for the pulse that it took <i>before</i> it looked: what is committed in
/// between completes that pulse. Thread-safe.
/// </summary>
internal sealed class EventFeed(LogWriter log, int subscriptionsMax) : ICommitObserver
{
    private const byte RunFamily = 0x60;

    private readonly Lock _gate = new();
    private readonly Dictionary<RunId, EventAudience> _audiences = [];

    /// <summary>Joins the audience of a run. Every commit that gets its place from now on is heard of; what has its place already is
    /// the caller's to wait for.</summary>
    /// <exception cref="LimitException">Too many wait for this run.</exception>
    internal EventAudience Join(RunState run)
    {
        lock (_gate)
        {
            if (!_audiences.TryGetValue(run.Id, out var audience))
            {
                if (_audiences.Count == 0)
                    log.Add(this);
                audience = new EventAudience(run.Id);
                _audiences.Add(run.Id, audience);
            }

            if (audience.Members >= subscriptionsMax)
                throw new LimitException(nameof(Limits.SubscriptionsMax), subscriptionsMax, audience.Members + 1, "waiters for events");
            audience.Members++;
            return audience;
        }
    }

    internal void Leave(EventAudience audience)
    {
        lock (_gate)
        {
            if (--audience.Members > 0)
                return;
            _audiences.Remove(audience.Run);
            if (_audiences.Count == 0)
                log.Remove(this);
        }
    }

    internal int Audiences
    {
        get
        {
            lock (_gate)
                return _audiences.Count;
        }
    }

    /// <summary>Wakes everybody: the database closes or has failed.</summary>
    internal void PulseAll()
    {
        lock (_gate)
        {
            foreach (var audience in _audiences.Values)
                audience.Pulse();
        }
    }

    public void Observe(ulong sequence, ReadOnlySpan<byte> payload)
    {
        var transaction = new TransactionPayload(payload);
        while (transaction.MoveNext(out var part))
        {
            EventAudience? audience;
            lock (_gate)
                audience = _audiences.GetValueOrDefault(part.Run);
            var concerns = false;
            while (part.MoveNext(out var operation))
                concerns |= operation.Code == (byte)OperationCode.EventAppend || (operation.Code & 0xF0) == RunFamily;
            if (concerns)
                audience?.Pulse();
        }
    }
}

/// <summary>Everybody who waits for events of one run.</summary>
internal sealed class EventAudience(RunId run)
{
    private volatile CommitRound _next = new();

    internal RunId Run { get; } = run;

    /// <summary>Under the feed's gate.</summary>
    internal int Members { get; set; }

    /// <summary>Completes with the next commit that concerns the run's events.</summary>
    internal CommitRound Next => _next;

    internal void Pulse()
    {
        CommitRound done;
        do
        {
            done = _next;
        }
        while (Interlocked.CompareExchange(ref _next, new CommitRound(), done) != done);

        done.Complete();
    }
}
