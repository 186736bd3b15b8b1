using Cairn.Store;
using Cairn.Transactions;

namespace Cairn;

/// <summary>A read-only view of a run at one sequence. Taking it copies nothing and costs the same at any size; it keeps the versions
/// it shows in memory until it is disposed. Thread-safe.</summary>
public sealed class Snapshot : IDisposable
{
    private readonly SnapshotRegistry _pins;
    private readonly SnapshotPin _pin;
    private readonly Scope _scope;
    private int _disposed;

    internal Snapshot(Engine engine, RunState run)
    {
        engine.Path.ThrowIfNotReadable();
        _pins = engine.Pins;
        _pin = _pins.Take(run.Visible, run.Store.RunTag);
        _scope = Scope.Snapshot(engine.Path, run, _pin.Sequence, engine.Path.ReadTime());
        Kv = new KvView(engine, _scope);
        Events = new EventsView(engine, _scope);
        State = new StateView(engine, _scope);
        Traces = new TracesView(engine, _scope);
    }

    /// <summary>What the snapshot shows: every commit up to here.</summary>
    public Sequence Sequence => new(_pin.Sequence);

    /// <summary>The time at which expiry is judged.</summary>
    public DateTimeOffset Time => CommitClock.Time(_scope.Time);

    /// <summary>Key-values.</summary>
    public KvView Kv { get; }

    /// <summary>Events.</summary>
    public EventsView Events { get; }

    /// <summary>State cells.</summary>
    public StateView State { get; }

    /// <summary>Steps of the agent.</summary>
    public TracesView Traces { get; }

    /// <summary>Lets go of the versions. Reads through this snapshot are refused afterwards.</summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
            return;
        _scope.End();
        _pins.Release(_pin);
    }
}
