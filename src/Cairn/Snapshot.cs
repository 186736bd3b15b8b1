using Cairn.Primitives;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn;

/// <summary>A read-only view of a run at one sequence. Taking it copies nothing, allocates nothing and costs the same at any size; it keeps
/// the versions it shows in memory until it is disposed. Thread-safe. A small value: copies are the same snapshot, and disposing
/// one of them ends it. The views it gives end with it.</summary>
public readonly struct Snapshot : IDisposable, IEquatable<Snapshot>
{
    private readonly SnapshotHold? _hold;
    private readonly long _taken;

    internal Snapshot(SnapshotHold hold, long taken)
    {
        _hold = hold;
        _taken = taken;
    }

    /// <summary>What the snapshot shows: every commit up to here.</summary>
    /// <exception cref="InvalidOperationException">The snapshot was disposed. So for every member.</exception>
    public Sequence Sequence => new(Hold.Sequence(_taken));

    /// <summary>The time at which expiry is judged.</summary>
    public DateTimeOffset Time => CommitClock.Time(Hold.Time(_taken));

    /// <summary>Key-values.</summary>
    public KvView Kv => Hold.Views(_taken).Kv;

    /// <summary>Events.</summary>
    public EventsView Events => Hold.Views(_taken).Events;

    /// <summary>State cells.</summary>
    public StateView State => Hold.Views(_taken).State;

    /// <summary>Documents.</summary>
    public JsonView Json => Hold.Views(_taken).Json;

    /// <summary>Vectors in named collections.</summary>
    public VectorCollectionsView Vectors => Hold.Views(_taken).Vectors;

    /// <summary>Steps of the agent.</summary>
    public TracesView Traces => Hold.Views(_taken).Traces;

    /// <summary>Concepts and associations.</summary>
    public ConceptGraphView Graph => Hold.Views(_taken).Graph;

    /// <summary>SHA-256 of what the run holds in this snapshot, as in <see cref="Run.StateHash"/>; expiry is judged at <see cref="Time"/>.
    /// Costs a read of all its keys and values.</summary>
    public Hash256 StateHash() => Hold.StateHash(_taken);

    /// <summary>Finds what the run holds in this snapshot, by the words in it, best first.</summary>
    /// <inheritdoc cref="Run.Search(string, SearchOptions?, CancellationToken)"/>
    public SearchResponse Search(string text, SearchOptions? options = null, CancellationToken cancellationToken = default) =>
        Hold.Search(_taken, text, options, cancellationToken);

    private SnapshotHold Hold => _hold ?? throw SnapshotHold.Ended();

    /// <summary>Lets go of the versions. Reads through this snapshot are refused afterwards.</summary>
    public void Dispose() => _hold?.Release(_taken);

    /// <summary>True for copies of one snapshot.</summary>
    public bool Equals(Snapshot other) => _hold == other._hold && _taken == other._taken;

    /// <inheritdoc/>
    public override bool Equals(object? obj) => obj is Snapshot other && Equals(other);

    /// <inheritdoc/>
    public override int GetHashCode() => _taken.GetHashCode();

    /// <summary>True for copies of one snapshot.</summary>
    public static bool operator ==(Snapshot left, Snapshot right) => left.Equals(right);

    /// <summary>True for different snapshots.</summary>
    public static bool operator !=(Snapshot left, Snapshot right) => !left.Equals(right);
}

/// <summary>What a snapshot holds while it lives: a pin, and views once somebody reads. Used again for the next snapshot of the
/// thread that let
/// it go; a count that moves at each taking and each release tells a late copy of an old snapshot from the new one.</summary>
internal sealed class SnapshotHold
{
    [ThreadStatic]
    private static SnapshotHold? _spare;

    private Engine? _engine;
    private RunState? _run;
    private SnapshotPin _pin;
    private long _time;
    private long _taken;
    private SnapshotViews? _views;

    internal static Snapshot Take(Engine engine, RunState run)
    {
        engine.Path.ThrowIfNotReadable();
        var hold = _spare ?? new SnapshotHold();
        _spare = null;
        hold._engine = engine;
        hold._run = run;
        hold._pin = Mutant.Is("snapshot-before-visible")
            ? engine.Pins.TakeAt(engine.Path.Log.LastSequence, run.Store.RunTag)
            : engine.Pins.Take(run.Visible, run.Store.RunTag);
        hold._time = engine.Path.ReadTime();
        return new Snapshot(hold, ++hold._taken);
    }

    internal ulong Sequence(long taken)
    {
        Check(taken);
        return _pin.Sequence;
    }

    internal long Time(long taken)
    {
        Check(taken);
        return _time;
    }

    internal Hash256 StateHash(long taken)
    {
        var (path, run) = (_engine?.Path, _run);
        Check(taken);
        path!.ThrowIfNotReadable();
        using var hash = new StateHash(path.Operations, _pin.Sequence, _time);
        return hash.OfRun(run!);
    }

    internal SnapshotViews Views(long taken)
    {
        Check(taken);
        if (Volatile.Read(ref _views) is { } views)
            return views;
        views = new SnapshotViews(_engine!, Scope.Snapshot(_engine!.Path, _run!, _pin.Sequence, _time));
        return Interlocked.CompareExchange(ref _views, views, null) ?? views;
    }

    internal SearchResponse Search(long taken, string text, SearchOptions? options, CancellationToken cancellationToken)
    {
        var views = Views(taken);
        return Searching.In(views.Engine, views.Scope, text, options, cancellationToken);
    }

    internal void Release(long taken)
    {
        if (Interlocked.CompareExchange(ref _taken, taken + 1, taken) != taken)
            return;
        _views?.Scope.End();
        _views = null;
        _engine!.Pins.Release(_pin);
        _engine = null;
        _run = null;
        _spare = this;
    }

    private void Check(long taken)
    {
        if (Volatile.Read(ref _taken) != taken)
            throw Ended();
    }

    internal static InvalidOperationException Ended() => new("The snapshot was disposed.");
}

/// <summary>The faces of one snapshot.</summary>
internal sealed class SnapshotViews(Engine engine, Scope scope)
{
    internal Engine Engine { get; } = engine;

    internal Scope Scope { get; } = scope;

    internal KvView Kv { get; } = new(engine, scope);

    internal EventsView Events { get; } = new(engine, scope);

    internal StateView State { get; } = new(engine, scope);

    internal JsonView Json { get; } = new(engine, scope);

    internal VectorCollectionsView Vectors { get; } = new(engine, scope);

    internal TracesView Traces { get; } = new(engine, scope);

    internal ConceptGraphView Graph { get; } = new(engine, scope);
}
