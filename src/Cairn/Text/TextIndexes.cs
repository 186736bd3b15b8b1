using System.Collections.Concurrent;
using Cairn.Primitives;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn.Text;

/// <summary>The indexes of words of a database: none until somebody asks. Which runs have some is known here; the work is done in steps, by
/// the maintainer or a test. Thread-safe.</summary>
internal sealed class TextIndexes(CommitPath path, ListingRoom room, TextAnalysis analysis)
{
    /// <summary>A search that looked at so many things of a primitive asks for an index of them. Chosen: below it a scan takes less than a
    /// millisecond.</summary>
    internal const int ThingsToAsk = 256;

    /// <summary>A search that had to ask the store about so many things asks for the index to catch up.</summary>
    internal const int ChangesToAsk = 64;

    private readonly ConcurrentDictionary<RunId, RunTexts> _runs = new();
    private readonly TextAnalyzer _analyzer = TextAnalyzer.Of(analysis);

    /// <summary>Somebody waits for work to be done.</summary>
    internal Action? Asked { get; set; }

    internal bool HasWork => _runs.Values.Any(texts => texts.HasWork);

    /// <summary>The index of a primitive of a run, if there is one that is made under an analysis.</summary>
    internal TextIndex? Find(RunState run, SearchedThings kind, TextAnalyzer analyzer) =>
        _runs.TryGetValue(run.Id, out var texts) && texts.Run == run && analyzer.Settings.Equals(_analyzer.Settings)
            ? texts.Find(kind)
            : null;

    /// <summary>An index of these is wanted, and it should be true for what is visible.</summary>
    internal void Ask(RunState run, IEnumerable<SearchedThings> kinds)
    {
        while (true)
        {
            var texts = _runs.GetOrAdd(run.Id, _ => new RunTexts(run, _analyzer));
            if (texts.Run == run)
            {
                texts.Ask(kinds);
                break;
            }

            if (_runs.TryRemove(new(run.Id, texts)))         // of a run that was deleted, or left memory
                texts.End(room);
        }

        Asked?.Invoke();
    }

    /// <summary>The indexes of a run are thrown away, and nothing of it is noted any more.</summary>
    internal void Drop(RunState run)
    {
        if (_runs.TryRemove(run.Id, out var texts))
            texts.End(room);
    }

    /// <summary>All of a run.</summary>
    internal IReadOnlyList<TextIndex> Of(RunState run) =>
        _runs.TryGetValue(run.Id, out var texts) && texts.Run == run ? texts.All : [];

    /// <summary>A bounded piece of work of each run that waits.</summary>
    /// <returns>True: there is more.</returns>
    internal bool Step()
    {
        foreach (var (id, texts) in _runs)
        {
            if (!texts.HasWork && !texts.Run.IsGone)
                continue;
            try
            {
                if (!texts.Run.IsGone)
                    texts.Step(path, room);
            }
            catch (CairnException) when (texts.Run.IsGone)
            {
                // It was deleted meanwhile.
            }

            if (texts.Run.IsGone && _runs.TryRemove(new(id, texts)))
                texts.End(room);
        }

        return HasWork;
    }
}

/// <summary>The indexes of one run.</summary>
internal sealed class RunTexts(RunState run, TextAnalyzer analyzer)
{
    private readonly Lock _gate = new();                     // of what is asked for
    private readonly Lock _work = new();                     // of those who step
    private readonly List<TextIndex> _indexes = [];
    private readonly HashSet<TextIndex> _asked = [];
    private SnapshotPin _pin;
    private Scope? _building;                                // at which the first views are made
    private bool _isEnded;

    internal RunState Run { get; } = run;

    internal bool HasWork
    {
        get
        {
            lock (_gate)
                return _asked.Count > 0 && !_isEnded;
        }
    }

    internal IReadOnlyList<TextIndex> All
    {
        get
        {
            lock (_gate)
                return [.. _indexes];
        }
    }

    internal TextIndex? Find(SearchedThings kind)
    {
        lock (_gate)
            return _indexes.Find(index => index.Kind == kind);
    }

    internal void Ask(IEnumerable<SearchedThings> kinds)
    {
        lock (_gate)
        {
            if (_isEnded)
                return;
            foreach (var kind in kinds)
            {
                var index = _indexes.Find(one => one.Kind == kind);
                if (index is null)
                    _indexes.Add(index = new TextIndex(Run, kind, analyzer));
                _asked.Add(index);
            }
        }
    }

    internal void End(ListingRoom room)
    {
        lock (_work)
        {
            lock (_gate)
                _isEnded = true;
            if (_building is not null)
                StopBuilding(room, []);
            lock (Run.CommitLock)
                Run.Changes = null;
        }
    }

    /// <summary>The first views are built of one snapshot; then each index catches up with what is visible.</summary>
    internal void Step(CommitPath path, ListingRoom room)
    {
        lock (_work)
        {
            List<TextIndex> asked;
            lock (_gate)
            {
                if (_isEnded)
                    return;
                asked = [.. _asked];
            }

            Note();
            foreach (var index in asked)
            {
                if (Do(index, path, room))
                {
                    lock (_gate)
                        _asked.Remove(index);
                }
            }

            Rest(room);
        }
    }

    // From here on Apply tells what it writes: under the lock of the run, so that no commit is between.
    private void Note()
    {
        if (Run.Changes is not null)
            return;
        lock (Run.CommitLock)
            Run.Changes = new ThingChanges(Run.LastSequence);
    }

    // True: the index is true for what is visible now.
    private bool Do(TextIndex index, CommitPath path, ListingRoom room)
    {
        if (index.Newest is { } view)
        {
            var pin = room.Pins.Take(Run.Visible, Run.Store.RunTag);
            try
            {
                if (Run.Changes!.TryRead(view.Watermark, pin.Sequence, index.Kind.Family, out var changed))
                {
                    if (pin.Sequence > view.Watermark)
                        index.CatchUp(Scope.Snapshot(path, Run, pin.Sequence, path.ReadTime()), changed);
                    return true;
                }

                index.Clear();                               // more was written than is noted
            }
            finally
            {
                room.Pins.Release(pin);
            }
        }

        if (_building is { } began && began.Sequence < Run.Changes!.Since)
            StopBuilding(room, [index]);
        if (_building is null)
        {
            // What was committed before changes were noted has to be visible.
            if (Run.Visible.Value < Run.Changes!.Since)
                return false;
            _pin = room.Pins.Take(Run.Visible, Run.Store.RunTag);
            _building = Scope.Snapshot(path, Run, _pin.Sequence, path.ReadTime());
        }

        index.Build(_building, room);
        return false;                                        // it catches up with the next step
    }

    // The snapshot goes when nothing is built of it any more, and changes when all views are behind them.
    private void Rest(ListingRoom room)
    {
        var all = All;
        if (_building is not null && all.All(index => index.Newest is not null))
            StopBuilding(room, []);
        if (all.Count > 0 && all.All(index => index.Newest is not null))
            Run.Changes!.Forget(all.Min(index => index.NeedsBehind));
    }

    private void StopBuilding(ListingRoom room, IEnumerable<TextIndex> half)
    {
        foreach (var index in half)
            index.Clear();
        room.Pins.Release(_pin);
        _building = null;
    }
}
