using Cairn.Log;
using Cairn.Primitives;
using Cairn.Replay;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn;

/// <summary>A run as it was at a moment: made from its records by the same code that applied them first, in memory of its own, read-only.
/// It is a function of the log: the same on every machine, whatever is committed meanwhile, and nothing of it is ever written. Thread-safe.
/// Dispose of it: until then it takes memory, and retention gives up nothing that it may read.</summary>
public sealed class RunView : IDisposable
{
    private readonly Engine _engine;
    private readonly Scope _scope;
    private readonly RunReplay? _replay;
    private readonly Cut? _cut;                               // in memory without a log, where only the newest state is
    private readonly long _bytes;
    private int _disposed;

    private RunView(Engine engine, RunReplay? replay, Cut? cut, RunState run, ulong sequence, long time)
    {
        _engine = engine;
        _replay = replay;
        _cut = cut;
        _scope = Scope.Snapshot(engine.Path, run, sequence, time);
        Kv = new KvView(engine, _scope);
        Events = new EventsView(engine, _scope);
        State = new StateView(engine, _scope);
        Json = new JsonView(engine, _scope);
        Vectors = new VectorCollectionsView(engine, _scope);
        Traces = new TracesView(engine, _scope);
        Graph = new ConceptGraphView(engine, _scope);
        _bytes = replay?.MemoryBytes ?? 0;
        engine.Views.Opened(_bytes);
    }

    /// <summary>Which run.</summary>
    public RunId RunId => _scope.Run.Id;

    /// <summary>All commits of the run up to here are in the view; of a view at a time, the newest of them.</summary>
    public Sequence Sequence => new(_scope.Sequence);

    /// <summary>The commit time of <see cref="Sequence"/>, or the time that was asked for: expiry is judged at it.</summary>
    public DateTimeOffset Time => CommitClock.Time(_scope.Time);

    /// <summary>Key-values.</summary>
    public KvView Kv { get; }

    /// <summary>Events.</summary>
    public EventsView Events { get; }

    /// <summary>State cells.</summary>
    public StateView State { get; }

    /// <summary>Documents.</summary>
    public JsonView Json { get; }

    /// <summary>Vectors in named collections.</summary>
    public VectorCollectionsView Vectors { get; }

    /// <summary>Steps of the agent.</summary>
    public TracesView Traces { get; }

    /// <summary>Concepts and associations.</summary>
    public ConceptGraphView Graph { get; }

    /// <summary>The run's record as it was: name, status, tags, metadata, result.</summary>
    /// <exception cref="ObjectDisposedException">The view was disposed of.</exception>
    public RunInfo Info
    {
        get
        {
            ThrowIfDisposed();
            var catalogue = _replay?.Catalogue ?? _engine.Catalogue;
            Span<byte> key = stackalloc byte[1 + RunId.Size];
            using var reader = catalogue.State.Store.Read();
            var isThere = reader.TryGet(RunKeys.Record(key, RunId), _scope.Sequence, out var version) && !version.IsTombstone;
            var record = isThere ? RunRecord.Read(version.Value) : RunRecord.BuiltIn(RunId);
            if (record is null)
                throw Lifecycle.NotFound(RunId);
            var result = reader.TryGet(RunKeys.Result(key, RunId), _scope.Sequence, out var found) && !found.IsTombstone
                ? Value.Decode(found.Value) : default(Value?);
            return Lifecycle.ToInfo(_engine, _scope.Run, version, record, result) with { IsOrphaned = false };
        }
    }

    /// <summary>Records of the log that were read to build it.</summary>
    internal long RecordsRead => _replay?.RecordsRead ?? 0;

    internal RunReplay? Replay => _replay;

    internal Scope Scope => _scope;

    internal Engine Engine => _engine;

    // ---- making ---------------------------------------------------------------------------------------------------------------

    internal static RunView At(Engine engine, RunState run, Sequence sequence, CancellationToken cancellationToken = default)
    {
        ThrowIfNotReadable(engine, run);
        var last = engine.Path.IsUnlogged ? engine.Path.Log.LastSequence : run.Visible.Value;
        if (sequence.Value > last)
        {
            throw new CairnException(
                ErrorCode.InvalidArgument, $"Sequence {sequence} is not there yet: the last one that can be asked for is @{last}.");
        }

        return engine.Path.Log.Device is SegmentedLog
            ? Of(
                engine,
                RunReplay.Build(
                    SourceOf(engine, run, sequence.Value), ReplayPoint.At(sequence.Value), cancellationToken: cancellationToken),
                null)
            : InMemory(engine, run, sequence.Value);
    }

    internal static RunView At(Engine engine, RunState run, DateTimeOffset time)
    {
        ThrowIfNotReadable(engine, run);
        var microseconds = CommitClock.Microseconds(time);
        if (engine.Path.Log.Device is SegmentedLog)
        {
            var source = SourceOf(engine, run, ulong.MaxValue);
            return Of(engine, RunReplay.Build(source, ReplayPoint.AtTime(microseconds)), microseconds);
        }

        return microseconds >= engine.Path.Log.LastTime
            ? InMemory(engine, run, ulong.MaxValue, microseconds)
            : throw new HistoryTrimmedException(
                new Sequence(Math.Max(1, engine.Path.Log.LastSequence) - 1), new Sequence(engine.Path.Log.LastSequence));
    }

    // An open run goes on to the newest commit of all, as its state hash does; one that has ended ends where it ended.
    internal static RunView Now(Engine engine, RunState run)
    {
        ThrowIfNotReadable(engine, run);
        if (engine.Path.Log.Device is not SegmentedLog)
            return InMemory(engine, run, ulong.MaxValue);
        ulong last;
        bool isOpen;
        lock (run.CommitLock)
        {
            last = run.LastSequence;
            isOpen = run.Status is RunStatus.Active or RunStatus.Paused;
        }

        if (!isOpen)
        {
            engine.Path.Log.WaitVisible(last);
            return Of(engine, RunReplay.Build(SourceOf(engine, run, last), ReplayPoint.At(last)), null);
        }

        var (newest, time) = engine.Path.Log.AtLast((sequence, at) => (sequence, at));
        engine.Path.Log.WaitVisible(newest);
        var replay = RunReplay.Build(SourceOf(engine, run, newest), ReplayPoint.At(newest));
        return Of(engine, replay, newest == 0 ? null : time);
    }

    private static RunView Of(Engine engine, RunReplay replay, long? time)
    {
        try
        {
            var at = Mutant.Is("replay-judges-expiry-now") ? engine.Path.ReadTime() : time ?? CommitTimes.Of(replay);
            return new RunView(engine, replay, null, replay.Run, replay.Sequence, at);
        }
        catch
        {
            replay.Dispose();
            throw;
        }
    }

    // Without a log there is the state of the newest commit, and of what came since the run's own newest one.
    private static RunView InMemory(Engine engine, RunState run, ulong sequence, long? time = null)
    {
        var cut = Cut.Take(engine.Path, engine.Pins);
        try
        {
            ulong last;
            lock (run.CommitLock)
                last = run.LastSequence;
            if (sequence < last || last > cut.Sequence)
                throw new HistoryTrimmedException(new Sequence(Math.Min(sequence, cut.Sequence)), new Sequence(last));
            return new RunView(engine, null, cut, run, cut.Sequence, time ?? cut.Time);
        }
        catch
        {
            cut.Dispose();
            throw;
        }
    }

    /// <exception cref="HistoryTrimmedException">There is no log.</exception>
    internal static ReplaySource SourceOf(Engine engine, RunState run, ulong asked)
    {
        if (engine.Path.Log.Device is not SegmentedLog log)
        {
            throw new HistoryTrimmedException(
                new Sequence(Math.Min(asked, engine.Path.Log.LastSequence)), new Sequence(engine.Path.Log.LastSequence + 1));
        }

        return new ReplaySource(log, engine.Path.Log, run, engine.Path.Operations, engine.Catalogue.Content!, engine.Limits)
        {
            Pins = engine.Pins,
        };
    }

    private static void ThrowIfNotReadable(Engine engine, RunState run) =>
        Scope.Live(engine.Path, run, CommitOptions.Default).ThrowIfNotReadable();

    // ---- proof ----------------------------------------------------------------------------------------------------------------

    /// <summary>SHA-256 of what the view holds, as in <see cref="Run.StateHash"/>; expiry is judged at <see cref="Time"/>. Costs a read of
    /// all its keys and values.</summary>
    /// <exception cref="CorruptionException">A value is damaged.</exception>
    /// <exception cref="ObjectDisposedException">The view was disposed of.</exception>
    public Hash256 StateHash()
    {
        ThrowIfDisposed();
        return HashOf(_scope.Run);
    }

    private Hash256 HashOf(RunState run)
    {
        using var hash = new StateHash(_engine.Path.Operations, _scope.Sequence, _scope.Time);
        return hash.OfRun(run);
    }

    /// <summary>Proves the view: its state hash against the run itself, if that has not changed since, and otherwise against a second
    /// replay that begins elsewhere: with the run's first record if this one began with a checkpoint's image, with an image if it did
    /// not.</summary>
    /// <exception cref="CorruptionException">A record or a value is damaged.</exception>
    /// <exception cref="ObjectDisposedException">The view was disposed of.</exception>
    public ReplayProof Verify()
    {
        var hash = StateHash();
        if (_replay is null)
            return new ReplayProof(hash, hash, ReplayProofSource.Run);
        if (TryHashRun(out var living))
            return new ReplayProof(hash, living, ReplayProofSource.Run);
        var point = ReplayPoint.At(_scope.Sequence);
        using var second = Again(point);
        return new ReplayProof(hash, HashOf(second.Run), ReplayProofSource.Log);
    }

    private bool TryHashRun(out Hash256 hash)
    {
        hash = default;
        var run = _replay!.Source.Live;
        if (run.IsDeleted)
            return false;
        var pin = _engine.Pins.Take(run.Visible, run.Store.RunTag);
        try
        {
            lock (run.CommitLock)
            {
                if (run.LastSequence > _scope.Sequence || pin.Sequence < _scope.Sequence)
                    return false;
            }

            hash = HashOf(run);
            return true;
        }
        finally
        {
            _engine.Pins.Release(pin);
        }
    }

    private RunReplay Again(ReplayPoint point)
    {
        try
        {
            return RunReplay.Build(_replay!.Source, point, _replay.Checkpoint is null ? ReplayBase.Image : ReplayBase.Beginning);
        }
        catch (HistoryTrimmedException)
        {
            return RunReplay.Build(_replay!.Source, point);
        }
    }

    // ---- steps ----------------------------------------------------------------------------------------------------------------

    /// <summary>Finds what the run held, by the words in it, best first.</summary>
    /// <inheritdoc cref="Run.Search(string, SearchOptions?, CancellationToken)"/>
    /// <exception cref="ObjectDisposedException">The view was disposed of.</exception>
    public SearchResponse Search(string text, SearchOptions? options = null, CancellationToken cancellationToken = default) =>
        Searching.In(_engine, _scope, text, options, cancellationToken);

    /// <summary>Commits of the run one by one, each with what it changed, before and after. Costs a read of the run's records, and the
    /// application of those up to the last one asked for.</summary>
    /// <param name="from">The first step to tell, counted from 1: the run's first commit.</param>
    /// <param name="to">The last one; below <paramref name="from"/>: from the later to the earlier.</param>
    /// <exception cref="HistoryTrimmedException">Some of the run's records are no longer kept, so its steps cannot be counted.</exception>
    /// <exception cref="LimitException">More than <see cref="Limits.PageSizeMax"/> steps are asked for.</exception>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidArgument"/>: the view has no such step.</exception>
    /// <exception cref="CorruptionException">A record is damaged.</exception>
    /// <exception cref="ObjectDisposedException">The view was disposed of.</exception>
    public IReadOnlyList<RunStep> Steps(int from, int to)
    {
        ThrowIfDisposed();
        var (first, last) = (Math.Min(from, to), Math.Max(from, to));
        if (first < 1)
            throw NoStep(first, null);
        if (last - (long)first >= _engine.Limits.PageSizeMax)
            throw new LimitException(nameof(Limits.PageSizeMax), _engine.Limits.PageSizeMax, last - (long)first + 1, "steps");
        var steps = new List<RunStep>();
        StepReplay.Read(
            Source, _scope.Sequence, first, last,
            count => _ = last <= count ? count : throw NoStep(last, count),
            (in ReplayedStep step, ReadOnlySpan<byte> payload) => steps.Add(RunStep.Of(step, payload)));
        if (from > to)
            steps.Reverse();
        return steps;
    }

    /// <summary>How many commits of the run are in the view. Costs a read of their records.</summary>
    /// <exception cref="HistoryTrimmedException">Some of them are no longer kept.</exception>
    /// <exception cref="ObjectDisposedException">The view was disposed of.</exception>
    public int StepCount
    {
        get
        {
            ThrowIfDisposed();
            return StepReplay.Count(Source, _scope.Sequence);
        }
    }

    private ReplaySource Source => _replay?.Source ?? SourceOf(_engine, _scope.Run, _scope.Sequence);

    private CairnException NoStep(int step, int? count) => new(
        ErrorCode.InvalidArgument,
        $"Step {step} makes no sense: " + (count is { } most ? $"the view has the steps 1 to {most}." : "the first one is 1."));

    private void ThrowIfDisposed()
    {
        ObjectDisposedException.ThrowIf(Volatile.Read(ref _disposed) != 0, this);
        _engine.Path.ThrowIfNotReadable();
    }

    /// <summary>Gives its memory back once readers inside have left, and lets go of the log. Reads are refused from then on.</summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
            return;
        _scope.End();
        _engine.Views.Closed(_bytes);
        _replay?.Dispose();
        _cut?.Dispose();
    }
}

/// <summary>What a view was compared with.</summary>
public enum ReplayProofSource
{
    /// <summary>The run itself, which has not changed since.</summary>
    Run = 0,

    /// <summary>A second replay, which began elsewhere.</summary>
    Log = 1,
}

/// <summary>Two ways to one state.</summary>
/// <param name="StateHash">Of the view.</param>
/// <param name="Expected">Of what it was compared with.</param>
/// <param name="Against">What that was.</param>
public sealed record ReplayProof(Hash256 StateHash, Hash256 Expected, ReplayProofSource Against)
{
    /// <summary>The view is what it should be.</summary>
    public bool IsEqual => StateHash == Expected;
}

/// <summary>The views that are open, for figures.</summary>
internal sealed class OpenViews
{
    private int _count;
    private long _bytes;

    internal int Count => Volatile.Read(ref _count);

    internal long Bytes => Volatile.Read(ref _bytes);

    internal void Opened(long bytes)
    {
        Interlocked.Increment(ref _count);
        Interlocked.Add(ref _bytes, bytes);
    }

    internal void Closed(long bytes)
    {
        Interlocked.Decrement(ref _count);
        Interlocked.Add(ref _bytes, -bytes);
    }
}
