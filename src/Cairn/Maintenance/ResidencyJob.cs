// Residency: what of the database is in memory, kept within a budget (TIER-2, TIER-4).
//
//   used   below 70 %   nothing is done
//          from  70 %   contents give way first: what they may have is what the stores leave of the 70 %. And once in five minutes a round
//                       goes over all runs: key ranges that were neither read nor written since the round before leave memory
//          from  85 %   at once, until it is below 70 %: a run that the image has all of gives up its whole memory, and is unloaded; of
//                       others the clean keys go. If what is left is dirty, a checkpoint is asked for
//          from  95 %   commits that need more memory wait (CommitPath), and are refused as Busy if that does not help; reads and
//                       deletions never wait
//
// A pass, drawn; the budget is 100, the runs are ordered by their last commits:
//
//   used 88      run a 30 clean       gives up its memory, 30 are free, unloaded             58: below 70, the pass ends
//                run b 40 dirty 35    (would have lost 5 clean keys' worth in place: free for b's next writes, not for others)
//                run c 18 pinned      (nothing: a snapshot lies below its newest version)
//
// Rules
// -----
// Y1  A pass visits each run at most once, in bounded steps, and ends.
// Y2  Gain is what the system has back afterwards, nothing else. A key that is forgotten in place makes room for its own run's writes; it
//     is not counted.
// Y3  A pass that ends above the line rests until something has changed that could give the next one something: a checkpoint was published,
//     a pin went, as much as 1/32 of the budget was taken or 1/8 of it written. A reader that was in the way is looked for again after
//     100 ms. So it never spins, however little it finds.
// Y4  A run's lock is only tried: who writes is not waited for. Nothing is read from a disk under it but what the order of a loaded run's
//     keys costs.
// Y5  A checkpoint is asked for when enough is dirty that it helps: 1/16 of the budget, at 95 % anything. So a budget that is full of what
//     cannot leave makes no checkpoints without end.
//
// What one loaded run costs whatever it holds: some 4 KiB of managed memory and, once its memory was given up, no native memory. Unloaded
// it costs nothing; what its handle holds goes with the handle.
//
// A fork stays loaded, because nobody else knows what expires in it, and so does what it reads through to.
//
// What it does not do: carry the keys that are hot over into a smaller memory; a run that is never clean for a moment keeps the native
// memory that it once needed, and uses it again. It brings nothing into memory: what is read from tables stays in the block cache.

using Cairn.Checkpoints;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn.Maintenance;

/// <summary>See the essay above.</summary>
internal sealed class ResidencyJob : MaintenanceJob
{
    internal const string ResidencyName = "residency";

    private const int RunsPerStep = 256;
    private const int SweepSteps = 1024;
    private const int KeysPerTurn = 512;                  // under the run's lock, which somebody may wait for
    private const long InPlaceMin = 64 << 10;             // clean bytes for which the keys of a run are gone through

    internal static readonly TimeSpan IdleAfter = TimeSpan.FromMinutes(5);
    private static readonly TimeSpan LookAgain = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan StepTime = TimeSpan.FromMilliseconds(5);

    private readonly MemoryBudget _budget;
    private readonly CommitPath _path;
    private readonly SnapshotRegistry _pins;
    private readonly Checkpointer? _checkpointer;
    private readonly ExpiryJob? _expiry;
    private readonly Queue<RunState> _rest = new();       // of the pass under way
    private PassKind _pass;
    private bool _isInPlace;                              // the keys of the first run are being gone through
    private bool _wasInTheWay;
    private long _dirty;
    private long _attachedLeft;                           // what contents the last look at them had to leave
    private Resting? _resting;                            // how it was when a pass ended above the line
    private long _lastRound;
    private long _forgotten;
    private long _unloaded;
    private long _emptied;

    /// <param name="checkpointer">Null where nothing is written.</param>
    /// <param name="expiry">Is told when what is unloaded expires; null where nothing is written.</param>
    internal ResidencyJob(MemoryBudget budget, CommitPath path, SnapshotRegistry pins, Checkpointer? checkpointer, ExpiryJob? expiry)
        : base(ResidencyName)
    {
        _budget = budget;
        _path = path;
        _pins = pins;
        _checkpointer = checkpointer;
        _expiry = expiry;
        _lastRound = path.Clock.GetTimestamp();
        Watch();
    }

    private enum PassKind
    {
        None,
        Contents,
        Idle,
        Urgent,
    }

    /// <summary>Keys that were forgotten in place.</summary>
    internal long Forgotten => Volatile.Read(ref _forgotten);

    /// <summary>Times a run gave up its whole memory.</summary>
    internal long Emptied => Volatile.Read(ref _emptied);

    /// <summary>Runs that were unloaded.</summary>
    internal long Unloaded => Volatile.Read(ref _unloaded);

    internal override long Backlog => _budget.Used - _budget.At(MemoryBudget.IdlePercent);

    internal override long Capacity => _budget.At(MemoryBudget.FullPercent) - _budget.At(MemoryBudget.IdlePercent);

    internal override bool HasWorkInSight => _pass != PassKind.None || (IsUrgent && !IsResting);

    internal override TimeSpan? DueIn =>
        _budget.Used < _budget.At(MemoryBudget.IdlePercent) ? null : IdleAfter - _path.Clock.GetElapsedTime(Volatile.Read(ref _lastRound));

    internal override long BackPressureEvents => _budget.Waits;

    private bool IsUrgent => _budget.Used >= _budget.At(MemoryBudget.UrgentPercent);

    private bool IsRoundDue => _path.Clock.GetElapsedTime(_lastRound) >= IdleAfter;

    internal override bool Step()
    {
        LimitContents();
        if (_pass == PassKind.None && !Begin())
        {
            Watch();
            return false;
        }

        var began = _path.Clock.GetTimestamp();
        for (var i = 0; i < RunsPerStep && _rest.TryPeek(out var run) && _path.Clock.GetElapsedTime(began) < StepTime; i++)
        {
            if (Stopping.IsCancellationRequested)
                return false;
            if (!Visit(run))
                continue;
            _rest.Dequeue();
            _isInPlace = false;
            if (_pass == PassKind.Urgent && _budget.Used < _budget.At(MemoryBudget.IdlePercent))
                _rest.Clear();
        }

        if (_rest.Count == 0)
            End();
        Watch();
        return HasWorkInSight;
    }

    /// <summary>The last pass would have gained more without a reader, or a writer, that was in the way.</summary>
    internal bool WasInTheWay => _wasInTheWay;

    /// <summary>Looks again at its next step, whatever it rests for.</summary>
    internal void RestNoMore() => _resting = null;

    // ---- contents -------------------------------------------------------------------------------------------------------------

    private void LimitContents()
    {
        _budget.LimitBlocks();
        if (_path.Catalogue.Content is not { } content || Mutant.Is("contents-stay"))
            return;
        content.Allow(Math.Max(0, _budget.At(MemoryBudget.IdlePercent) - _budget.UsedBesideContents));
        if (content.CachedBytes > content.CacheBudget)
            content.TrimCache();
    }

    // ---- a pass ---------------------------------------------------------------------------------------------------------------

    private bool Begin()
    {
        if (HasContentsToLeave())
            _pass = PassKind.Contents;
        else if (IsUrgent && !IsResting)
            _pass = PassKind.Urgent;
        else if (IsRoundDue && _budget.Used >= _budget.At(MemoryBudget.IdlePercent))
            _pass = PassKind.Idle;
        else
            return false;
        foreach (var run in _path.Catalogue.Loaded.OrderBy(run => run.LastSequence))
            _rest.Enqueue(run);
        _rest.Enqueue(_path.Catalogue.State);
        (_dirty, _wasInTheWay, _isInPlace) = (0, false, false);
        return true;
    }

    // The first to go are contents: those that are attached to versions go run by run.
    private bool HasContentsToLeave()
    {
        if (_path.Catalogue.Content is not { } content || _budget.Used < _budget.At(MemoryBudget.IdlePercent))
            return false;
        var attached = content.Attached.Value;
        _attachedLeft = Math.Min(_attachedLeft, attached);
        return content.HasTooMuchAttached && attached > _attachedLeft + _budget.Bytes / 64;
    }

    // False: there is more to do with this run.
    private bool Visit(RunState run)
    {
        var store = run.Store;
        if (_isInPlace)
            store.PrepareToForget();                         // Y4: outside the lock
        if (!run.CommitLock.TryEnter())
        {
            _wasInTheWay = true;
            return true;
        }

        bool isDone;
        var isUnloaded = false;
        try
        {
            if (run.IsDeleted)
                return true;                                 // its memory goes with it
            if (_pass == PassKind.Contents)
                return store.ForgetContent(SweepSteps) == 0 || !_path.Catalogue.Content!.HasTooMuchAttached;
            isDone = _isInPlace ? GoOn(run, store) : Look(run, store);
            if (isDone)
            {
                _dirty += store.DirtyBytes;
                isUnloaded = store.IsEmpty && IsLeft(run) && _path.Catalogue.TryUnload(run);
                run.SeenSequence = run.LastSequence;
            }
        }
        finally
        {
            run.CommitLock.Exit();
        }

        if (isUnloaded)
        {
            Interlocked.Increment(ref _unloaded);
            _expiry?.Unloaded(run.Id);
            Did(1);
        }

        return isDone;
    }

    // Nobody has written to it since the last pass that saw it.
    private bool IsLeft(RunState run) => _pass == PassKind.Urgent || run.SeenSequence == run.LastSequence;

    private bool Look(RunState run, RunStore store)
    {
        store.Sweep(SweepSteps);
        if (_pass == PassKind.Urgent && TryEmpty(store))
            return true;
        _isInPlace = store.LiveBytes - store.DirtyBytes >= (_pass == PassKind.Urgent ? InPlaceMin : 1) && store.EntryCount > 0;
        return !_isInPlace;
    }

    private bool TryEmpty(RunStore store)
    {
        var before = store.MemoryBytes;
        if (before == 0 && store.EntryCount == 0 && !store.IsWhole)
            return true;
        if (!store.ForgetAll())
        {
            _wasInTheWay |= store.DirtyBytes == 0;
            return false;
        }

        Interlocked.Increment(ref _emptied);
        _wasInTheWay |= store.MemoryBytes > 0;               // a reader still looks at what was there
        Did(1);
        return true;
    }

    private bool GoOn(RunState run, RunStore store)
    {
        var isEager = _pass == PassKind.Urgent;
        var idleSince = isEager ? long.MaxValue : _path.ReadTime() - (long)IdleAfter.TotalMicroseconds;
        var turn = store.Forget(KeysPerTurn, isEager, idleSince, ignoresUse: isEager && _budget.IsFull);
        Interlocked.Add(ref _forgotten, turn.Forgotten);
        Did(turn.Forgotten);
        if (turn.Looked == 0)
        {
            _wasInTheWay = true;
            return true;
        }

        if (!turn.IsRoundDone)
            return false;
        if (!isEager && store.HoldsOnlyCounts && run.SeenSequence == run.LastSequence)
            TryEmpty(store);
        return true;
    }

    private void End()
    {
        if (_pass == PassKind.Idle)
            Volatile.Write(ref _lastRound, _path.Clock.GetTimestamp());
        if (_pass == PassKind.Contents)
        {
            _attachedLeft = _path.Catalogue.Content!.Attached.Value;
            _pass = PassKind.None;
            return;
        }

        _path.Catalogue.ForgetUnloaded();
        var isUrgent = IsUrgent;
        if (isUrgent && _checkpointer is { IsDue: true } && _dirty >= (_budget.IsFull ? 1 : _budget.Bytes / 16)
            && !Mutant.Is("no-checkpoint-for-memory"))
        {
            _checkpointer.Want();
        }

        if (_pass == PassKind.Urgent)
            _resting = isUrgent ? Now() : null;
        _pass = PassKind.None;
    }

    // ---- Y3 -------------------------------------------------------------------------------------------------------------------

    private bool IsResting
    {
        get
        {
            if (_resting is not { } resting || Mutant.Is("residency-never-rests"))
                return false;
            var now = Now();
            return now.Published == resting.Published && now.Pins == resting.Pins && now.OldestPin == resting.OldestPin
                && now.Used < resting.Used + _budget.Bytes / 32 && now.Written < resting.Written + _budget.Bytes / 8
                && !(resting.WasInTheWay && _path.Clock.GetElapsedTime(resting.At) >= LookAgain);
        }
    }

    private Resting Now()
    {
        var pins = _pins.Count(out var oldest);
        return new Resting(
            _path.Catalogue.PublishedCut, pins, oldest, _budget.Used, (long)_path.Log.WrittenPosition, _wasInTheWay,
            _path.Clock.GetTimestamp());
    }

    // Whoever takes the memory that would make this job begin wakes it.
    private void Watch()
    {
        var used = _budget.Used;
        var grace = Math.Max(_budget.At(MemoryBudget.UrgentPercent) - used, _budget.Bytes / 32);
        _budget.Watch(used - _budget.Native, HasWorkInSight ? long.MaxValue : _budget.Native + grace);
    }

    private sealed record Resting(ulong Published, int Pins, ulong OldestPin, long Used, long Written, bool WasInTheWay, long At);
}
