using System.Buffers.Binary;
using System.Collections.Concurrent;
using Cairn.Content;
using Cairn.Log;
using Cairn.Store.Native;

namespace Cairn.Store;

/// <summary>
/// The runs of a database: their states in memory, and a store of its own with their records, names, tags and parents, so that
/// the index of runs has versions and snapshots like everything else. Locked last.
/// </summary>
/// <remarks>
/// A run that is only in the image is loaded when it is first asked for (<see cref="Find"/>): its numbers come from its record there, its
/// keys stay in the image. So <see cref="Loaded"/> are the runs that somebody asked for since the database was opened, and whoever needs
/// all of them scans the index. What was deleted since the image was made is remembered until an image knows of it.
/// A run that rests may be unloaded again (<see cref="TryUnload"/>), if the image has all of it. Handles hold its state, and there is one
/// state for a run: so the catalogue keeps a weak reference, finds the same state for as long as anybody has it, and takes it back before
/// it changes. Once nobody has it, a new one is loaded.
/// For checkpoints the catalogue keeps which runs have changed since the last one (<see cref="List"/>), so that nobody looks at the others.
/// </remarks>
internal sealed class Catalogue : IDisposable
{
    private readonly ConcurrentDictionary<RunId, RunState> _runs = new();
    private readonly SnapshotRegistry _pins;
    private readonly VisibleSequence? _shared;
    private readonly CurrentImage? _image;
    private readonly Lock _gate = new();
    private readonly MemoryBudget? _budget;
    private readonly Dictionary<RunId, WeakReference<RunState>> _away = [];   // unloaded, and perhaps in somebody's hand
    private readonly Dictionary<RunId, ulong> _gone = [];   // deleted, and not in memory any more: the image may still have them
    private readonly ConcurrentDictionary<RunId, ForkPoints> _forks = new();
    private readonly List<Released> _released = [];
    private readonly Func<RunId, RunState> _findBase;
    private readonly List<Action<RunState>> _watchers = [];
    private HashSet<RunState> _changed = [];
    private ulong _lastTag;
    private long _pastForks;
    private ulong _cut;
    private bool _loading;
    private long _expectedKeys;

    /// <param name="shared">The database's visible word; null when each run has its own (no log).</param>
    /// <param name="content">Of a database with a log: what is large stays there.</param>
    /// <param name="image">What is below memory; null without a log.</param>
    /// <param name="published">Sequence of the checkpoint that the image comes from.</param>
    /// <param name="budget">What the memory of the runs counts to.</param>
    /// <exception cref="CorruptionException">The image cannot be read.</exception>
    internal Catalogue(
        SnapshotRegistry pins, VisibleSequence? shared, ContentStore? content = null, CurrentImage? image = null, ulong published = 0,
        MemoryBudget? budget = null)
    {
        _budget = budget;
        _findBase = FindBase;
        Content = content;
        ContentThreshold = content?.Threshold ?? int.MaxValue;
        _pins = pins;
        _shared = shared;
        _image = image;
        _cut = published;
        PublishedCut = published;
        State = Load(default) ?? NewState(default);
        LoadForks();
        Default = Find(RunId.Default) ?? GetOrAdd(RunId.Default);
        System = Find(RunId.System) ?? GetOrAdd(RunId.System);
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

    /// <summary>Told, under the run's lock, of a run whose indexes have something to be built or cleared; null where nobody does
    /// it.</summary>
    internal Action<RunId>? IndexWork { get; set; }

    /// <summary>The runs that are in memory, in no order; the catalogue's own state is not among them.</summary>
    internal ICollection<RunState> Loaded => _runs.Values;

    /// <summary>The runs whose state somebody may have: those in memory, and those that were unloaded and are in somebody's hand.</summary>
    internal IReadOnlyCollection<RunState> Held
    {
        get
        {
            lock (_gate)
            {
                var held = new HashSet<RunState>(_runs.Values);
                foreach (var (_, reference) in _away)
                {
                    if (reference.TryGetTarget(out var run))
                        held.Add(run);
                }

                return held;
            }
        }
    }

    /// <summary>Null when there is no such run. Looks into the image for one that was not asked for yet.</summary>
    /// <exception cref="CorruptionException">The image cannot be read.</exception>
    internal RunState? Find(RunId id) => _runs.TryGetValue(id, out var run) ? run : Load(id);

    /// <summary>Null when the run is not in memory, whether there is one or not.</summary>
    internal RunState? FindLoaded(RunId id) => _runs.GetValueOrDefault(id);

    /// <summary>The numbers of a run, without loading it.</summary>
    internal bool TryGetNumbers(RunId id, out RunNumbers numbers)
    {
        if (_runs.TryGetValue(id, out var run))
        {
            lock (run.CommitLock)
                numbers = run.Numbers;
            return true;
        }

        numbers = default;
        if (_image is null)
            return false;
        var epoch = Epoch.Enter();                           // files of the image are let go behind a line in it
        try
        {
            if (!TryReadNumbers(_image.Value, id, out numbers))
                return false;
        }
        finally
        {
            Epoch.Exit(epoch);
        }

        lock (_gate)
            return !_gone.ContainsKey(id);
    }

    /// <summary>The image has runs that may not be in memory.</summary>
    internal bool HasImage => _image is { Value.IsEmpty: false };

    /// <summary>When the first key of a run that is not in memory expires; null when the run is in memory or has none that does. Reads the
    /// image.</summary>
    /// <exception cref="CorruptionException">The image cannot be read.</exception>
    internal long? FirstExpiryInImage(RunId id)
    {
        if (_image is null || _runs.ContainsKey(id))
            return null;
        if (_forks.IsEmpty is false && TryGetNumbers(id, out var numbers) && numbers.Base != default)
            return long.MinValue;                            // its base may have one: it has to be looked at
        var epoch = Epoch.Enter();
        try
        {
            Span<byte> from = stackalloc byte[StoreKeys.ExpiryPrefixBytes];
            var keys = _image.Value.Scan(id, StoreKeys.Expiry(from, 0, default), [StoreKeys.ExpiryFamily + 1], ulong.MaxValue);
            while (keys.MoveNext())
            {
                if (!keys.Version.IsTombstone)
                    return StoreKeys.ExpiryTime(keys.Key);
            }

            return null;
        }
        finally
        {
            Epoch.Exit(epoch);
        }
    }

    /// <summary>The number of the next event of a run that is not in memory, and of its own first one number and time; null when the run is
    /// in memory. Reads the image.</summary>
    /// <exception cref="CorruptionException">The image cannot be read.</exception>
    internal (ulong Next, (ulong Number, long Time)? First)? EventsInImage(RunId id)
    {
        if (_image is null || _runs.ContainsKey(id))
            return null;
        var epoch = Epoch.Enter();
        try
        {
            if (!TryReadNumbers(_image.Value, id, out var numbers) || numbers.NextEvent == 0)
                return (0, null);
            Span<byte> from = stackalloc byte[1 + sizeof(ulong)];
            var keys = _image.Value.Scan(id, StoreKeys.Of(from, StoreKeys.Event, 0), [StoreKeys.Event + 1], ulong.MaxValue);
            while (keys.MoveNext())
            {
                if (!keys.Version.IsTombstone)
                    return (numbers.NextEvent, (BinaryPrimitives.ReadUInt64BigEndian(keys.Key[1..]), keys.Version.Time));
            }

            return (numbers.NextEvent, null);
        }
        finally
        {
            Epoch.Exit(epoch);
        }
    }

    private RunState? Load(RunId id)
    {
        var epoch = Epoch.Enter();
        try
        {
            return LoadInside(id);
        }
        finally
        {
            Epoch.Exit(epoch);
        }
    }

    private RunState? LoadInside(RunId id)
    {
        lock (_gate)
        {
            if (TakeBack(id) is { } held)
                return held;
        }

        while (_image is { Value: { IsEmpty: false } image })
        {
            if (!TryReadNumbers(image, id, out var numbers))
                return null;
            var run = NewState(id, isWhole: false, numbers.Born, PublishedCut);
            run.Numbers = numbers;
            run.DeletedAt = numbers.DeletedAt;
            if (numbers.Base != default)
                run.Store.SetBase(id, BaseOf(id, numbers));
            lock (_gate)
            {
                // Once a new image is there, what it no longer has is no longer remembered as gone. The cut has to be this image's: with an
                // older one its keys would be taken for dirty, and never be listed when they are written.
                if (_image.Value == image && run.Cut == PublishedCut)
                {
                    if (id == default)
                        return run;
                    var found = _gone.ContainsKey(id) ? null : TakeBack(id) ?? GetOrKeep(id, run);
                    if (found != run)
                        run.Dispose();
                    return found;
                }
            }

            run.Dispose();
        }

        return null;
    }

    private static bool TryReadNumbers(Image image, RunId id, out RunNumbers numbers)
    {
        numbers = default;
        if (!image.TryGet(id, RunNumbers.Key, ulong.MaxValue, out var record) || record.IsTombstone)
            return false;
        if (!RunNumbers.TryRead(record.Value, out numbers))
            throw new CorruptionException(image.Tables[0].Info.Path, 0, new Sequence(record.Sequence), $"the record of run {id}");
        return true;
    }

    /// <summary>Called by Apply, under the catalogue's lock.</summary>
    internal RunState GetOrAdd(RunId id)
    {
        if (_runs.TryGetValue(id, out var run))
            return run;
        run = NewState(id);
        Add(run);
        return run;
    }

    private RunState GetOrKeep(RunId id, RunState run)
    {
        var kept = _runs.GetOrAdd(id, run);
        if (kept == run)
            _budget?.AddRuns(1);
        return kept;
    }

    // The state of an unloaded run that somebody has. Under the gate.
    private RunState? TakeBack(RunId id)
    {
        if (!_away.Remove(id, out var reference) || !reference.TryGetTarget(out var run) || Mutant.Is("unloaded-run-loaded-twice"))
            return null;
        if (_runs.TryAdd(id, run))
            _budget?.AddRuns(1);
        return run;
    }

    /// <summary>A state for a run that is about to begin.</summary>
    internal RunState NewState(RunId id) => NewState(id, isWhole: true, born: 0, Cut);

    private RunState NewState(RunId id, bool isWhole, ulong born, ulong cut)
    {
        var visible = _shared ?? new VisibleSequence();
        var store = new RunStore(
            _pins, visible, Interlocked.Increment(ref _lastTag), id, _image, isWhole, born, cut, Content, budget: _budget);
        if (_forks.TryGetValue(id, out var forks))
            store.Forks = forks;
        if (_loading)
            store.BeginLoad(_expectedKeys);
        return new RunState(id, visible, store, cut);
    }

    /// <summary>Recovery: until <see cref="EndLoad"/> nobody reads in order.</summary>
    /// <param name="expectedKeys">Of each run that is met: a guess, for tables that need not grow.</param>
    internal void BeginLoad(long expectedKeys = 0)
    {
        _loading = true;
        _expectedKeys = expectedKeys;
        State.Store.BeginLoad(0);
        foreach (var run in _runs.Values)
            run.Store.BeginLoad(expectedKeys);
    }

    internal void EndLoad()
    {
        _loading = false;
        State.Store.EndLoad();
        foreach (var run in _runs.Values)
            run.Store.EndLoad();
    }

    internal void Add(RunState run)
    {
        if (_runs.TryAdd(run.Id, run))
            _budget?.AddRuns(1);
        else
            _runs[run.Id] = run;
    }

    // ---- unloading ------------------------------------------------------------------------------------------------------------

    /// <summary>Lets a run go that the image has all of: it is not among the loaded until it is asked for or written to. Under its
    /// lock. False: it has something that no image has (inputs that wait for a commit, too), is always loaded, or is a fork, whose expiries
    /// nobody knows without it.</summary>
    internal bool TryUnload(RunState run)
    {
        lock (_gate)
        {
            if (run == Default || run == System || run == State || run.IsDeleted || run.IsListed || run.HasFrozenKeys
                || run.Inputs is not null || run.Store.Base is not null || !run.Store.IsEmpty
                || run.LastSequence == 0 || run.LastSequence > PublishedCut || _loading)
            {
                return false;
            }

            if (!_runs.TryRemove(new KeyValuePair<RunId, RunState>(run.Id, run)))
                return false;
            _away[run.Id] = new WeakReference<RunState>(run);
            _budget?.AddRuns(-1);
            return true;
        }
    }

    /// <summary>Forgets the runs that were unloaded and that nobody has any more.</summary>
    internal void ForgetUnloaded()
    {
        lock (_gate)
        {
            foreach (var (id, reference) in _away)
            {
                if (!reference.TryGetTarget(out _))
                    _away.Remove(id);
            }
        }
    }

    /// <summary>Tells of each run that is about to be forgotten, before it is. What is told must not wait.</summary>
    internal void Watch(Action<RunState> watcher)
    {
        lock (_gate)
            _watchers.Add(watcher);
    }

    internal void Unwatch(Action<RunState> watcher)
    {
        lock (_gate)
            _watchers.Remove(watcher);
    }

    /// <summary>Forgets a deleted run, once that is visible. Who reads it still keeps its memory.</summary>
    internal void Remove(RunState run)
    {
        lock (_gate)
        {
            var cut = Cut;
            var deletedAt = Math.Max(run.DeletedAt, run.GoneAt);
            if (_image is not null && deletedAt > PublishedCut && run.Born <= cut && !Mutant.Is("deleted-run-found-in-image"))
                _gone[run.Id] = deletedAt;

            // A checkpoint under way may need it as it was at the cut. The next one needs no more than to know that it is gone.
            if (cut == PublishedCut)
                _changed.Remove(run);
            foreach (var watcher in _watchers)
                watcher(run);
            if (_runs.TryRemove(new KeyValuePair<RunId, RunState>(run.Id, run)))
                _budget?.AddRuns(-1);
            _away.Remove(run.Id);
        }
    }

    // ---- forks ----------------------------------------------------------------------------------------------------------------

    /// <summary>Where forks are applied anew that there are already: what they read through to, of the catalogue that has them. Null:
    /// here.</summary>
    internal Func<RunId, ForkBase>? Bases { get; init; }

    /// <summary>Makes what forks of past points read. Null: there can be none.</summary>
    internal PastBuilder? Past { get; init; }

    /// <summary>How often a fork of a past point was made or found since this catalogue is there.</summary>
    internal long PastForks => Interlocked.Read(ref _pastForks);

    /// <summary>A run reads through to another from now on. By Apply, under the locks of both and the catalogue's.</summary>
    /// <param name="from">The parent has nothing newer; or if that is a past point, it.</param>
    /// <param name="position">Of the parent's newest record.</param>
    /// <param name="sequence">Of the commit.</param>
    /// <returns>False: there is no such parent.</returns>
    internal bool TryFork(RunState run, RunId parent, ulong from, ulong position, ulong sequence, bool isPast)
    {
        if (Bases is null)
        {
            if (Find(parent) is not { IsDeleted: false } state || (isPast ? Past is null : from < state.LastSequence))
                return false;
            var points = _forks.GetOrAdd(parent, static _ => new ForkPoints());
            if (isPast)
                AddPast(points);
            else
                points.Add(sequence);
            state.Store.Forks = points;
        }

        ref var numbers = ref run.Numbers;
        numbers.Base = parent;
        numbers.BasePoint = isPast ? from : sequence;
        numbers.BasePosition = position;
        run.Store.SetBase(run.Id, BaseOf(run.Id, numbers with { Born = sequence }));
        return true;
    }

    private void AddPast(ForkPoints points)
    {
        points.AddMade();
        Interlocked.Increment(ref _pastForks);
    }

    private ForkBase BaseOf(RunId fork, in RunNumbers numbers) => Bases is not null
        ? Bases(fork)
        : numbers.IsForkOfPast
            ? new ForkBase(numbers.Base, numbers.BasePoint, numbers.BasePosition, _findBase, Past!)
            : new ForkBase(numbers.Base, numbers.BasePoint, _findBase);

    /// <summary>A run was deleted. It stays for its forks, if it has some; otherwise what it read through to may go, and with it the runs
    /// that were deleted before and were there for this one alone. By Apply, under the locks of all of them.</summary>
    internal void Release(RunState run, ulong sequence)
    {
        if (HasForks(run))
        {
            run.Keep();
            return;
        }

        for (var fork = run; fork.Store.Base is { } below; fork = below.Owner)
        {
            var parent = below.Owner;
            lock (_gate)
                _released.Add(new Released(fork, _forks[parent.Id], sequence));
            if (!parent.IsKept || HasForks(parent))
                return;
            FreezeBefore(parent, sequence);
            List(parent);
            parent.LetGo(sequence);
            parent.LastSequence = sequence;
        }
    }

    // Those whose deletion is applied do not count, whether anybody still reads them or not.
    private bool HasForks(RunState run)
    {
        if (!_forks.TryGetValue(run.Id, out var points))
            return false;
        lock (_gate)
            return points.Count > _released.Count(released => released.Points == points);
    }

    /// <summary>Lets go of what deleted forks held, as far as nobody reads them any more.</summary>
    /// <param name="nobodyReads">True: nobody reads anything yet.</param>
    internal void SettleForks(bool nobodyReads = false)
    {
        lock (_gate)
        {
            // From the newest on: a fork's parent may have waited for it.
            for (var i = _released.Count - 1; i >= 0; i--)
            {
                var released = _released[i];
                if (!nobodyReads && !released.HasSettled(_pins))
                    continue;
                released.Settle();
                _released.RemoveAt(i);
            }
        }
    }

    /// <summary>Forks of past points need every record of a run, also those that retention would let go of.</summary>
    /// <param name="since">The oldest checkpoint that recovery may begin at.</param>
    internal bool HoldsRecords(RunId run, ulong since) =>
        _forks.TryGetValue(run, out var points) && points.HoldRecords(since) && !Mutant.Is("compaction-forgets-past-forks");

    /// <summary>What a merge has to keep of a run for its forks.</summary>
    /// <param name="since">The oldest checkpoint that recovery may begin at.</param>
    internal ulong[] ForksSince(RunId run, ulong since) => _forks.TryGetValue(run, out var points) ? points.Since(since) : [];

    /// <summary>A run that forks read through to, deleted or not.</summary>
    internal RunState FindBase(RunId id)
    {
        var run = Find(id);
        Invariant.Check(run is not null, "a run that a fork reads through to is there");
        return run;
    }

    // Known before any run is loaded. Deleted forks count as long as recovery may have to begin at a checkpoint that has them.
    private void LoadForks()
    {
        if (_image is not { Value: { IsEmpty: false } image })
            return;
        var deleted = new Dictionary<UInt128, ulong>();
        var versions = image.Versions(default, [StoreKeys.RunFork], [StoreKeys.RunFork + 1]);
        while (versions.MoveNext())
        {
            var version = versions.Version;
            var fork = RunId.Read(versions.Key[^RunId.Size..]).Bits;
            if (version.IsTombstone)
            {
                deleted.TryAdd(fork, version.Sequence);
                continue;
            }

            var points = _forks.GetOrAdd(RunId.Read(versions.Key[1..]), static _ => new ForkPoints());
            var isPast = version.Value.Length > 0;
            if (deleted.TryGetValue(fork, out var at))
            {
                if (isPast)
                    points.AddPastMade(at);
                else
                    points.AddPast(version.Sequence, at);
            }
            else if (isPast)
            {
                AddPast(points);
            }
            else
            {
                points.Add(version.Sequence);
            }
        }
    }

    /// <summary>A fork whose deletion is applied, and what it held.</summary>
    private sealed class Released(RunState fork, ForkPoints points, ulong deletedAt)
    {
        private long _line;

        internal ForkPoints Points => points;

        internal void Settle()
        {
            // What was made for a fork of a past point goes with its state: somebody may still have a handle, and is told NotFound.
            if (fork.Numbers.IsForkOfPast)
                points.RemoveMade(deletedAt);
            else
                points.Remove(fork.BasePoint, deletedAt);
        }

        // Who finds the fork still reads it; who was inside may; and who has pinned something of it does.
        internal bool HasSettled(SnapshotRegistry pins)
        {
            if (Mutant.Is("fork-released-early"))
                return true;
            if (fork.Visible.Value < deletedAt)
                return false;
            if (_line == 0)
                _line = Epoch.Advance();
            return Epoch.HasPassed(_line) && !pins.AnyPinIn(0, ulong.MaxValue, fork.Store.RunTag)
                && fork.Store.Forks is not { IsEmpty: false };
        }
    }

    // ---- checkpoints --------------------------------------------------------------------------------------------------------

    /// <summary>Commits with a higher sequence are not in the checkpoint under way, or in the last one. Set while nobody can take a
    /// place.</summary>
    internal ulong Cut
    {
        get => Volatile.Read(ref _cut);
        set => Volatile.Write(ref _cut, value);
    }

    /// <summary>All commits up to it are in the current image.</summary>
    internal ulong PublishedCut { get; private set; }

    /// <summary>Notes that a run is about to change. Under its lock, before a sequence is taken: a commit that got its sequence before a
    /// cut is listed before that.</summary>
    internal void List(RunState run)
    {
        run.IsListed = true;
        if (_image is null)
            return;
        lock (_gate)
        {
            _changed.Add(run);
            if (_away.ContainsKey(run.Id) && !Mutant.Is("unloaded-run-not-taken-back"))
                TakeBack(run.Id);                            // somebody had it, and writes to it
        }
    }

    /// <summary>Before a run changes at a sequence, under its lock: freezes it, if a cut lies between its newest commit and this
    /// one.</summary>
    internal void FreezeBefore(RunState run, ulong sequence)
    {
        var cut = Cut;
        if (run.Cut != cut && sequence > cut && !Mutant.Is("run-not-frozen"))
            run.Freeze(cut);
    }

    /// <summary>Takes the list of what has changed. Every commit below the cut is applied by now.</summary>
    internal IReadOnlyCollection<RunState> TakeChanged()
    {
        lock (_gate)
        {
            var changed = _changed;
            _changed = [];
            return changed;
        }
    }

    /// <summary>Runs that were deleted at or below a cut, are no longer in memory, and may be in the image.</summary>
    internal IReadOnlyList<KeyValuePair<RunId, ulong>> GoneUpTo(ulong cut)
    {
        lock (_gate)
            return [.. _gone.Where(gone => gone.Value <= cut)];
    }

    private IEnumerable<RunStore> Stores => _runs.Values.Append(State).Select(static run => run.Store);

    /// <summary>An image that has everything up to a cut takes the place of the one before.</summary>
    internal void Publish(Image image, ulong cut)
    {
        lock (_gate)
        {
            _image!.Value = image;
            PublishedCut = cut;
            foreach (var (id, _) in _gone.Where(gone => gone.Value <= cut).ToList())
                _gone.Remove(id);
        }
    }

    /// <summary>An image that reads the same takes the place of the one before.</summary>
    internal void Replace(Image image)
    {
        lock (_gate)
            _image!.Value = image;
    }

    /// <summary>Ends one that nobody but the caller ever had, who may be inside an epoch himself.</summary>
    /// <param name="beside">A state that is perhaps not in it yet.</param>
    internal void DisposeUnread(RunState beside) =>
        RunStore.Dispose([.. Stores.Append(beside.Store).Distinct()], isUnread: true);

    public void Dispose()
    {
        if (Bases is null)
        {
            foreach (var run in _runs.Values)
                run.Store.Base?.Dispose();                   // elsewhere it is shared
        }

        RunStore.Dispose([.. Stores]);
    }
}
