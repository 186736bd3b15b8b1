using Cairn.Store;

namespace Cairn.Transactions;

/// <summary>All runs at one sequence, pinned, with that commit's time: what a question about the whole database is asked of. It takes the
/// newest place in the log and waits until that is visible, so a cut is never of something that a crash could undo.</summary>
/// <remarks>
/// The pin is taken while nobody can take a place: no version that the cut shows has a successor by then, so none can be swept
/// before the pin stands. In memory, where each run has its own word, the locks of the runs, each held for a moment, tell that
/// every commit up to the cut is applied.
/// </remarks>
internal sealed class Cut : IDisposable
{
    private readonly SnapshotRegistry _pins;
    private readonly SnapshotPin _pin;
    private readonly Lock _gate = new();
    private readonly Dictionary<RunId, RunState> _runs = []; // under the gate: deletions bring what they delete

    private Cut(CommitPath path, SnapshotRegistry pins)
    {
        _pins = pins;
        Catalogue = path.Catalogue;
        Catalogue.Watch(Keep);                               // a run that is deleted from here on is still found
        Collect();
        var time = 0L;
        _pin = path.Log.AtLast((sequence, at) =>
        {
            time = at;
            return pins.TakeAt(sequence, SnapshotRegistry.AllRuns);
        });
        Time = time;
        try
        {
            if (path.IsUnlogged)
                AwaitApplied();
            else
                path.Log.WaitVisible(Sequence);
            Collect();
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    internal Catalogue Catalogue { get; }

    internal ulong Sequence => _pin.Sequence;

    /// <summary>Commit time of <see cref="Sequence"/>.</summary>
    internal long Time { get; }

    /// <exception cref="DatabaseFailedException">The newest commits did not become visible.</exception>
    internal static Cut Take(CommitPath path, SnapshotRegistry pins) => new(path, pins);

    /// <summary>Null for a run that was begun and deleted while the cut was taken.</summary>
    internal RunState? Find(RunId id)
    {
        lock (_gate)
        {
            if (_runs.TryGetValue(id, out var run))
                return run;
        }

        var loaded = Catalogue.Find(id);
        lock (_gate)
        {
            // Deleted between the two looks: it was brought here, and its id may be another run's by now.
            if (loaded is not null)
                _runs.TryAdd(id, loaded);
            return _runs.GetValueOrDefault(id);
        }
    }

    private void Collect()
    {
        lock (_gate)
        {
            foreach (var run in Catalogue.Loaded)
                _runs.TryAdd(run.Id, run);
        }
    }

    // A run that was not in memory when the cut was taken, and is about to be forgotten. One that began later is none of its.
    private void Keep(RunState run)
    {
        lock (_gate)
        {
            if ((_pin == default || run.Born <= Sequence) && !Mutant.Is("cut-loses-deleted-run"))
                _runs.TryAdd(run.Id, run);
        }
    }

    private void AwaitApplied()
    {
        foreach (var run in Catalogue.Loaded)
        {
            lock (run.CommitLock)
            {
            }
        }

        lock (Catalogue.State.CommitLock)
        {
        }
    }

    public void Dispose()
    {
        Catalogue.Unwatch(Keep);
        _pins.Release(_pin);
    }
}
