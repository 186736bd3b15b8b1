namespace Cairn.Store;

/// <summary>
/// The sequences at which forks read a run: what they see there stays, like what a pin holds, for as long as the forks do. One per run that
/// has any, shared by all who ask: the sweep of the run, checkpoints, merges. Thread-safe. A point is added under the run's lock, before
/// anything can supersede what it holds; it may be removed without.
/// Forks at past points read nothing here: they are made of the run's records, and hold those (<see cref="HoldRecords"/>).
/// </summary>
internal sealed class ForkPoints
{
    private readonly Lock _gate = new();
    private readonly List<ulong> _points = [];           // ascending: each is the sequence of the commit that made the fork
    private readonly List<(ulong Point, ulong DeletedAt)> _past = [];    // of forks that an older checkpoint may still have
    private int _made;                                       // forks of past points: made of records
    private ulong _madeUntil;                                // deletion of the last of them that was deleted

    /// <summary>Forks of either kind.</summary>
    internal int Count
    {
        get
        {
            lock (_gate)
                return _points.Count + _made;
        }
    }

    internal bool IsEmpty => Count == 0;

    internal void Add(ulong point)
    {
        lock (_gate)
        {
            var at = _points.BinarySearch(point);
            _points.Insert(at < 0 ? ~at : at, point);
        }
    }

    /// <param name="deletedAt">When the fork was deleted: recovery may begin before that.</param>
    internal void Remove(ulong point, ulong deletedAt)
    {
        lock (_gate)
        {
            var at = _points.BinarySearch(point);
            Invariant.Check(at >= 0, "a point of a fork is removed once");
            _points.RemoveAt(at);
            _past.Add((point, deletedAt));
        }
    }

    /// <summary>A fork at a past point.</summary>
    internal void AddMade()
    {
        lock (_gate)
            _made++;
    }

    /// <param name="deletedAt">When the fork was deleted.</param>
    internal void RemoveMade(ulong deletedAt)
    {
        lock (_gate)
        {
            Invariant.Check(_made > 0, "a fork of a past point is removed once");
            _made--;
            _madeUntil = Math.Max(_madeUntil, deletedAt);
        }
    }

    /// <summary>A fork at a past point that was deleted.</summary>
    internal void AddPastMade(ulong deletedAt)
    {
        lock (_gate)
            _madeUntil = Math.Max(_madeUntil, deletedAt);
    }

    /// <summary>Every record of the run is needed: a fork of a past point is made of them, or was at a sequence or later.</summary>
    /// <param name="since">The oldest checkpoint that recovery may begin at.</param>
    internal bool HoldRecords(ulong since)
    {
        lock (_gate)
            return _made > 0 || (_madeUntil > since && !Mutant.Is("past-fork-forgotten-by-older-checkpoint"));
    }

    /// <summary>A point of a fork that was deleted.</summary>
    internal void AddPast(ulong point, ulong deletedAt)
    {
        lock (_gate)
            _past.Add((point, deletedAt));
    }

    /// <summary>What a merge has to keep: the points of all forks that there are, or were at a sequence or later. Ascending.</summary>
    /// <param name="since">The oldest checkpoint that recovery may begin at.</param>
    internal ulong[] Since(ulong since)
    {
        lock (_gate)
        {
            _past.RemoveAll(past => past.DeletedAt <= since);
            return [.. _points.Concat(Mutant.Is("merge-forgets-older-checkpoint") ? [] : _past.Select(past => past.Point)).Order()];
        }
    }

    /// <summary>The first point at or after a sequence; <see cref="ulong.MaxValue"/> when there is none.</summary>
    internal ulong FirstAtOrAfter(ulong sequence)
    {
        if (Mutant.Is("fork-holds-nothing"))
            return ulong.MaxValue;
        lock (_gate)
        {
            var at = _points.BinarySearch(sequence);
            if (at < 0)
                at = ~at;
            return at < _points.Count ? _points[at] : ulong.MaxValue;
        }
    }

    /// <summary>True when a fork reads in [from, to): the interval rule's question.</summary>
    internal bool AnyIn(ulong from, ulong to) => FirstAtOrAfter(from) < to;
}
