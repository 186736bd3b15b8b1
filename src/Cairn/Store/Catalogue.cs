using System.Collections.Concurrent;
using Cairn.Content;
using Cairn.Log;

namespace Cairn.Store;

/// <summary>The runs of a database: their states in memory, and a store of its own with their records, names, tags and parents, so that
/// the index of runs has versions and snapshots like everything else. Locked last.</summary>
internal sealed class Catalogue : IDisposable
{
    private readonly ConcurrentDictionary<RunId, RunState> _runs = new();
    private readonly SnapshotRegistry _pins;
    private readonly VisibleSequence? _shared;
    private ulong _lastTag;
    private bool _loading;

    /// <param name="shared">The database's visible word; null when each run has its own (no log).</param>
    /// <param name="content">Of a database with a log: what is large stays there.</param>
    internal Catalogue(SnapshotRegistry pins, VisibleSequence? shared, ContentStore? content = null)
    {
        Content = content;
        ContentThreshold = content?.Threshold ?? int.MaxValue;
        _pins = pins;
        _shared = shared;
        State = NewState(default);
        Default = GetOrAdd(RunId.Default);
        System = GetOrAdd(RunId.System);
    }

    internal ContentStore? Content { get; }

    /// <summary>Longest value that is no content.</summary>
    internal int ContentThreshold { get; }

    /// <summary>The catalogue's own state, with an id that no run has.</summary>
    internal RunState State { get; }

    internal RunState Default { get; }

    internal RunState System { get; }

    /// <summary>What the records of runs may not pass, when a commit is decided.</summary>
    internal Limits Limits { get; init; } = new();

    internal ICollection<RunState> Runs => _runs.Values;

    internal RunState? Find(RunId id) => _runs.GetValueOrDefault(id);

    /// <summary>Called by Apply, under the catalogue's lock.</summary>
    internal RunState GetOrAdd(RunId id)
    {
        if (_runs.TryGetValue(id, out var run))
            return run;
        run = NewState(id);
        _runs[id] = run;
        return run;
    }

    internal RunState NewState(RunId id)
    {
        var run = new RunState(id, Interlocked.Increment(ref _lastTag), _pins, _shared ?? new VisibleSequence(), Content);
        if (_loading)
            run.Store.BeginLoad(0);
        return run;
    }

    /// <summary>Recovery: until <see cref="EndLoad"/> nobody reads in order.</summary>
    internal void BeginLoad()
    {
        _loading = true;
        State.Store.BeginLoad(0);
        foreach (var run in _runs.Values)
            run.Store.BeginLoad(0);
    }

    internal void EndLoad()
    {
        _loading = false;
        State.Store.EndLoad();
        foreach (var run in _runs.Values)
            run.Store.EndLoad();
    }

    internal void Add(RunState run) => _runs[run.Id] = run;

    /// <summary>Forgets a deleted run, once that is visible. Who reads it still keeps its memory.</summary>
    internal void Remove(RunState run) => _runs.TryRemove(new KeyValuePair<RunId, RunState>(run.Id, run));

    public void Dispose()
    {
        foreach (var run in _runs.Values)
            run.Dispose();
        State.Dispose();
    }
}
