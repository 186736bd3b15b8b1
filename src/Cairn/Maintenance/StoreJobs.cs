using Cairn.Store;
using Cairn.Transactions;

namespace Cairn.Maintenance;

/// <summary>Removes expired values by ordinary transactions that apply only if the version is still the expired one (TTL-5).</summary>
/// <remarks>Runs in memory are looked at in each step. Runs that only the image has are looked at once per opening, a page of them per
/// step, and nothing of them is loaded: what is remembered is when the first key of each expires. It stays true, because who writes to
/// a run loads it, and a run that is unloaded is looked at then. When the time has come the run is loaded, and is one of the others.
/// </remarks>
internal sealed class ExpiryJob(CommitPath path) : MaintenanceJob("expiry")
{
    private const int KeysPerStep = 256;
    private const int RunsPerStep = 1024;

    /// <summary>A page of the walk takes so long, and not much longer.</summary>
    private static readonly TimeSpan Turn = TimeSpan.FromMilliseconds(20);

    private readonly Lock _gate = new();                     // what is below is told by the residency job too
    private readonly PriorityQueue<RunId, long> _below = new();        // runs that only the image has, by their first expiry
    private readonly Dictionary<RunId, long> _known = [];              // the same, by run
    private byte[] _walked = [StoreKeys.Run];                // where the next page of the walk begins
    private bool _isWalking = path.Catalogue.HasImage;
    private long _firstBelow = long.MaxValue;
    private long _found;
    private long _earliest = long.MaxValue;                  // expiry that the last look over all runs saw first
    private long _removed;

    internal long Removed => Volatile.Read(ref _removed);

    internal override long Backlog => Volatile.Read(ref _found);

    internal override long Capacity => BatchMax;

    internal override bool HasWorkInSight => Volatile.Read(ref _isWalking) && !path.State.IsDiskFull;

    // A value written since the last look is seen at the next one, within a second of its commit.
    internal override TimeSpan? DueIn
    {
        get
        {
            var earliest = Math.Min(Volatile.Read(ref _earliest), Volatile.Read(ref _firstBelow));
            if (earliest == long.MaxValue || path.State.IsDiskFull)
                return null;
            var left = earliest - path.ReadTime();
            return left <= 0 ? TimeSpan.Zero : left > TimeSpan.MaxValue.Ticks / 20 ? null : TimeSpan.FromMicroseconds(left);
        }
    }

    internal override bool Step()
    {
        if (path.State.IsDiskFull)
            return false;
        Walk();
        var more = LoadDue() | _isWalking;
        var found = 0L;
        var earliest = long.MaxValue;
        foreach (var run in path.Catalogue.Loaded)
        {
            if (Stopping.IsCancellationRequested)
                return false;
            more |= Step(run, ref found, ref earliest);
        }

        Volatile.Write(ref _found, more ? found : 0);
        Volatile.Write(ref _earliest, earliest);
        return more;
    }

    // One page of all runs.
    private void Walk()
    {
        if (!_isWalking)
            return;
        var began = path.Clock.GetTimestamp();
        using var reader = path.Catalogue.State.Store.Read();          // and inside its epoch no table of the image goes
        var scan = reader.Scan(_walked, [StoreKeys.Run + 1], ulong.MaxValue);
        for (var i = 0; i < RunsPerStep; i++)
        {
            if (Stopping.IsCancellationRequested)
                return;
            if (!scan.MoveNext())
            {
                Volatile.Write(ref _isWalking, false);
                break;
            }

            var id = RunId.Read(scan.Key[1..]);
            if (path.Catalogue.FirstExpiryInImage(id) is { } first && !Mutant.Is("expiry-of-loaded-runs-only"))
                Remember(id, first);
            _walked = [.. scan.Key, 0];
            if (path.Clock.GetElapsedTime(began) >= Turn)
                break;
        }

        NoteFirstBelow();
    }

    // The runs whose first key has expired. True when more of them wait.
    private bool LoadDue()
    {
        var time = path.ReadTime();
        for (var i = 0; i < RunsPerStep && NextDue(time) is { } id; i++)
        {
            path.Catalogue.Find(id);                         // before it is forgotten here: it may be unreadable. None: it was deleted
            lock (_gate)
            {
                _below.TryDequeue(out _, out var first);
                if (_known.GetValueOrDefault(id) == first)
                    _known.Remove(id);
            }
        }

        NoteFirstBelow();
        return NextDue(time) is not null;
    }

    private RunId? NextDue(long time)
    {
        lock (_gate)
            return _below.TryPeek(out var id, out var first) && first <= time ? id : null;
    }

    /// <summary>A run is not among the loaded any more.</summary>
    internal void Unloaded(RunId id)
    {
        if (Mutant.Is("expiry-of-unloaded-runs-lost"))
            return;
        try
        {
            if (path.Catalogue.FirstExpiryInImage(id) is { } first)
                Remember(id, first);
        }
        catch (CairnException)
        {
            Remember(id, 0);                                 // it cannot be read now: who loads it will be told
        }

        NoteFirstBelow();
    }

    private void Remember(RunId id, long first)
    {
        lock (_gate)
        {
            if (_known.TryGetValue(id, out var known) && known <= first)
                return;
            _known[id] = first;
            _below.Enqueue(id, first);
        }
    }

    private void NoteFirstBelow()
    {
        lock (_gate)
            Volatile.Write(ref _firstBelow, _below.TryPeek(out _, out var first) ? first : long.MaxValue);
    }

    private bool Step(RunState run, ref long found, ref long earliest)
    {
        var time = path.ReadTime();
        var most = Math.Min(KeysPerStep, BatchMax);
        var expired = FindExpired(run, time, most, ref earliest);
        foreach (var (key, sequence) in expired)
        {
            var set = path.Operations.Sets.First(set => set.Owns(key[0]));
            var batch = Batch.RentOwned();
            batch.IsAllowedWhenClosed = true;
            batch.OnlyDeletes = true;
            batch.CarriesInputs = false;
            batch.BeginPart(run);
            set.EncodeExpired(batch, key);
            batch.EndPart();
            var expected = new Expectation(run, key, ExpectationKind.Newest, sequence);
            var placed = path.PlaceOwn(batch, null, [expected], path.Clock.GetTimestamp());
            if (placed.Refusal is null)
            {
                Interlocked.Increment(ref _removed);
                Did(1);
            }

            path.Log.Drive(mayLeave: true);
        }

        found += expired.Count;
        return expired.Count == most;
    }

    private static List<(byte[] Key, ulong Sequence)> FindExpired(RunState run, long time, int most, ref long earliest)
    {
        var expired = new List<(byte[], ulong)>();
        if (run.Store.Base is { IsReady: false })
            return expired;                                  // nobody has read the fork yet: its past is not made for this
        Span<byte> from = stackalloc byte[StoreKeys.ExpiryPrefixBytes];
        Span<byte> to = stackalloc byte[StoreKeys.ExpiryPrefixBytes];
        using var reader = run.Store.Read();
        var scan = reader.Scan(StoreKeys.Expiry(from, 0, default), StoreKeys.Expiry(to, long.MaxValue, default), ulong.MaxValue);
        while (expired.Count < most && scan.MoveNext())
        {
            if (StoreKeys.ExpiryTime(scan.Key) is var at && at > time)
            {
                earliest = Math.Min(earliest, at);
                break;
            }

            var key = scan.Key[StoreKeys.ExpiryPrefixBytes..].ToArray();
            if (reader.TryGetNewest(key, out var version) && !version.IsTombstone && !version.IsLiveAt(time))
                expired.Add((key, version.Sequence));
        }

        return expired;
    }
}

/// <summary>Frees versions that nobody needs any more in runs that are not written to, and the bytes of their large values when there is
/// no room for them.</summary>
internal sealed class SweepJob(Catalogue catalogue) : MaintenanceJob("sweep")
{
    private const int StepsPerRun = 1024;

    private long _pending;

    internal override long Backlog => Volatile.Read(ref _pending);

    internal override long Capacity => 100_000;

    // What pins hold: they go without telling anybody.
    internal override TimeSpan? DueIn =>
        Volatile.Read(ref _pending) > 0 || catalogue.Content is { HasTooMuchAttached: true } ? Maintainer.IdlePoll : null;

    internal override bool Step()
    {
        var pending = Sweep(catalogue.State);
        foreach (var run in catalogue.Loaded)
            pending += Sweep(run);

        // What pins hold is pending too, and stays so however often this looks: more is in sight only while the number moves.
        var before = Volatile.Read(ref _pending);
        Did(Math.Max(0, before - pending));
        Volatile.Write(ref _pending, pending);
        return pending > 0 && pending != before;
    }

    private long Sweep(RunState run)
    {
        if (!run.CommitLock.TryEnter())
            return 0;                                        // it is being written to, and writes sweep by themselves
        try
        {
            if (catalogue.Content is { HasTooMuchAttached: true })
                run.Store.ForgetContent(StepsPerRun);
            return run.Store.Sweep(StepsPerRun);
        }
        finally
        {
            run.CommitLock.Exit();
        }
    }
}

/// <summary>Ends what was left open for too long: transactions and cursors, so that they pin no versions (TX-32).</summary>
internal sealed class TimeoutJob(Func<int> closeTransactions, Func<int> open, Cursors cursors) : MaintenanceJob("timeout", LaneKind.Prompt)
{
    internal override TimeSpan? DueIn => open() > 0 ? Maintainer.IdlePoll : null;

    internal override bool Step()
    {
        Did(closeTransactions());
        cursors.CloseIdle();
        return false;
    }
}
