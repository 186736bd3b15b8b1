using System.Collections.Concurrent;
using Cairn.Primitives;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn.Maintenance;

/// <summary>Builds secondary indexes and clears away those that were dropped, in commits of a bounded number of things each
/// (Primitives/IndexOperations.cs). What a crash interrupts goes on where the last commit was.</summary>
/// <remarks>Each step names the state that it goes on from, so two that come together do the work once. While there is enough to do,
/// other threads find out what the next steps come to (Primitives/IndexAhead.cs); they live as long as a turn, and none outlives the
/// job.</remarks>
internal sealed class IndexJob : MaintenanceJob
{
    private static readonly TimeSpan LongTurn = TimeSpan.FromMilliseconds(20);

    private readonly CommitPath _path;
    private readonly SnapshotRegistry _pins;
    private readonly ConcurrentDictionary<RunId, bool> _waiting = new();
    private IndexAhead? _ahead;
    private long _built;
    private long _helped;

    internal IndexJob(CommitPath path, SnapshotRegistry pins)
        : base("indexes")
    {
        _path = path;
        _pins = pins;
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

    /// <summary>Stretches that other threads gathered.</summary>
    internal long Helped => Volatile.Read(ref _helped);

    /// <summary>Most things of a step.</summary>
    internal int StepMax { get; set; } = IndexOperations.StepMax;

    /// <summary>Steps are done one behind the other for so long, and not much longer. Zero: one.</summary>
    internal TimeSpan Turn { get; set; } = LongTurn;

    /// <summary>Threads that gather beside this one: one commit at a time is placed, so more than a few have nothing to do.</summary>
    internal int Helpers { get; set; } = Math.Clamp(Environment.ProcessorCount - 1, 0, 3);

    /// <summary>For tests: between finding a step and its commit.</summary>
    internal Action? BeforePlacing { get; set; }

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
        using var helpers = new Gatherers(this);
        while (!_waiting.IsEmpty && !_path.State.IsDiskFull)
        {
            foreach (var id in _waiting.Keys)
            {
                if (Stopping.IsCancellationRequested)
                    return false;
                Work(id, helpers);
                if (_path.Clock.GetElapsedTime(began) >= Turn)
                    return !_waiting.IsEmpty;
            }
        }

        Leave();
        return false;
    }

    // One commit. The mark is taken away before it is looked, so that who comes meanwhile is not forgotten.
    private void Work(RunId id, Gatherers helpers)
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
            if (next.State == StoredIndexState.Building)
                Build(run, next, helpers);
            else
                Place(run, next, Math.Min(BatchMax, StepMax));
        }
        finally
        {
            _waiting.TryAdd(id, true);
        }
    }

    private void Build(RunState run, StoredIndex index, Gatherers helpers)
    {
        if (_ahead?.Run != run || _ahead.Number != index.Number)
        {
            Leave();
            _ahead = new IndexAhead(run, index.Number, _pins);
        }

        var planned = _ahead.Plan(index, Math.Min(BatchMax, StepMax), 1 + 2 * Helpers);
        if (planned > 1)
            helpers.Wake(_ahead);
        try
        {
            var step = _ahead.Take();
            BeforePlacing?.Invoke();
            lock (run.CommitLock)
                run.IndexStep = step;
            Place(run, index, step.Most);
        }
        finally
        {
            lock (run.CommitLock)
                run.IndexStep = null;                        // it needs its pin
            _ahead.Placed();
        }
    }

    private void Leave()
    {
        _ahead?.End();
        _ahead = null;
    }

    private void Place(RunState run, StoredIndex index, int most)
    {
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

    /// <summary>The threads that help within one turn. They begin when there is something to do for them, and have ended when it is
    /// disposed of.</summary>
    private sealed class Gatherers(IndexJob job) : IDisposable
    {
        private readonly List<Thread> _threads = [];
        private readonly ManualResetEventSlim _work = new();
        private volatile IndexAhead? _ahead;
        private volatile bool _isOver;

        internal void Wake(IndexAhead ahead)
        {
            _ahead = ahead;
            _work.Set();
            while (_threads.Count < job.Helpers)
            {
                var thread = new Thread(Run) { IsBackground = true, Name = "cairn-index" };
                thread.Start();
                _threads.Add(thread);
            }
        }

        private void Run()
        {
            while (!_isOver)
            {
                _work.Wait();
                _work.Reset();
                while (!_isOver && _ahead is { } ahead && ahead.TryWork())
                    Interlocked.Increment(ref job._helped);
            }
        }

        public void Dispose()
        {
            _isOver = true;
            foreach (var thread in _threads)
            {
                while (thread.IsAlive)
                {
                    _work.Set();
                    thread.Join(1);
                }
            }

            _work.Dispose();
        }
    }
}
