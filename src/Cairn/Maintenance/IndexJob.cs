using System.Collections.Concurrent;
using Cairn.Primitives;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn.Maintenance;

/// <summary>Builds secondary indexes and clears away those that were dropped, in commits of a bounded number of things each
/// (Primitives/IndexOperations.cs). What a crash interrupts goes on where the last commit was.</summary>
/// <remarks>Each step names the state that it goes on from, so two that come together do the work once.</remarks>
internal sealed class IndexJob : MaintenanceJob
{
    private static readonly TimeSpan LongTurn = TimeSpan.FromMilliseconds(20);

    private readonly CommitPath _path;
    private readonly ConcurrentDictionary<RunId, bool> _waiting = new();
    private long _built;

    internal IndexJob(CommitPath path)
        : base("indexes")
    {
        _path = path;
        using (var reader = path.Catalogue.State.Store.Read())
        {
            var scan = reader.Scan([StoreKeys.RunIndexes], [StoreKeys.RunIndexes + 1], ulong.MaxValue);
            while (scan.MoveNext())
                _waiting.TryAdd(RunId.Read(scan.Key[1..]), true);
        }

        path.Catalogue.IndexWork = Refresh;
    }

    /// <summary>Steps that were committed in this opening.</summary>
    internal long Built => Volatile.Read(ref _built);

    /// <summary>Most things of a step.</summary>
    internal int StepMax { get; set; } = IndexOperations.StepMax;

    /// <summary>Steps are done one behind the other for so long, and not much longer. Zero: one.</summary>
    internal TimeSpan Turn { get; set; } = LongTurn;

    // Queries scan until it is done, so a turn follows the other at the usual interval (Pacing.cs). How much is left is no reason to worry:
    // nobody waits, and it ends.
    internal override long Backlog => _waiting.IsEmpty ? 0 : 25;

    internal override long Capacity => 100;

    internal override bool HasWorkInSight => !_waiting.IsEmpty && !_path.State.IsDiskFull;

    /// <summary>Indexes of a run may have work.</summary>
    internal void Refresh(RunId run) => _waiting.TryAdd(run, true);

    internal override bool Step()
    {
        var began = _path.Clock.GetTimestamp();
        while (!_waiting.IsEmpty && !_path.State.IsDiskFull)
        {
            foreach (var id in _waiting.Keys)
            {
                if (Stopping.IsCancellationRequested)
                    return false;
                Work(id);
                if (_path.Clock.GetElapsedTime(began) >= Turn)
                    return !_waiting.IsEmpty;
            }
        }

        return false;
    }

    // One commit. The mark is taken away before it is looked, so that who comes meanwhile is not forgotten.
    private void Work(RunId id)
    {
        _waiting.TryRemove(id, out _);
        if (_path.Catalogue.Find(id) is not { IsDeleted: false } run)
            return;
        IndexSet all;
        lock (run.CommitLock)
            all = IndexSet.Of(run);
        if (all.All.FirstOrDefault(index => index.State != StoredIndexState.Ready) is not { } next)
            return;
        try
        {
            Place(run, next);
        }
        finally
        {
            _waiting.TryAdd(id, true);
        }
    }

    private void Place(RunState run, StoredIndex index)
    {
        var most = IndexOperations.ReadAhead(run, index, Math.Min(BatchMax, StepMax));
        var batch = Batch.RentOwned();
        batch.IsAllowedWhenClosed = true;
        batch.IsUpkeep = true;
        batch.CarriesInputs = false;
        batch.BeginPart(run);
        IndexOperations.AddBuild(batch, index.Number, most);
        batch.EndPart();
        var expected = new Expectation(run, IndexOperations.StateKey(index.Number), ExpectationKind.Newest, index.Version);
        var placed = _path.Place(batch, null, [expected], _path.Clock.GetTimestamp());
        _path.Log.Drive(mayLeave: true);
        if (placed.Refusal is null)
        {
            Interlocked.Increment(ref _built);
            Did(1);
        }
        else if (placed.Refusal.Expectation is null && !run.IsDeleted)
        {
            throw placed.Refusal.ToException(_path.Operations);
        }
    }
}
