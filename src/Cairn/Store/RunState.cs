using Cairn.Log;

namespace Cairn.Store;

/// <summary>
/// One run in memory: its store, its lock, and the few numbers that a commit needs before it has a sequence. Everything but the
/// lock is written by Apply alone, under the lock; readers without it use the store and <see cref="Visible"/>.
/// </summary>
/// <remarks>A checkpoint takes a run as it is at its cut: before the first commit above the cut touches the run, <see cref="Freeze"/> puts
/// its numbers and its dirty keys aside. A run that no commit touches is frozen by the checkpoint itself.</remarks>
internal sealed class RunState : IDisposable
{
    /// <summary>Stands for "no record of this run before".</summary>
    internal const ulong NoPosition = RunNumbers.NoPosition;

    private IndexSet? _indexes;
    private RunNumbers _numbers = new();
    private FrozenNumbers? _frozen;

    /// <param name="store">Its keys.</param>
    /// <param name="cut">The newest cut that the run need not be frozen for.</param>
    internal RunState(RunId id, VisibleSequence visible, RunStore store, ulong cut)
    {
        Id = id;
        Visible = visible;
        Store = store;
        Cut = cut;
    }

    internal RunId Id { get; }

    internal RunStore Store { get; }

    /// <summary>With a log the database's word, in memory the run's own.</summary>
    internal VisibleSequence Visible { get; }

    /// <summary>Orders the commits of this run; no disk wait happens inside. Several runs: in RunId order, the catalogue last.</summary>
    internal Lock CommitLock { get; } = new();

    /// <summary>All that a checkpoint keeps of the run beside its keys.</summary>
    internal ref RunNumbers Numbers => ref _numbers;

    /// <summary>Sequence of the commit that began the run; 0 = it was always there.</summary>
    internal ulong Born
    {
        get => _numbers.Born;
        set
        {
            _numbers.Born = value;
            Store.BeginAt(value);
        }
    }

    /// <summary>Sequence of the newest commit applied, visible or not.</summary>
    internal ulong LastSequence
    {
        get => _numbers.LastSequence;
        set => _numbers.LastSequence = value;
    }

    /// <summary>Position of the newest record with a part for this run.</summary>
    internal ulong LastPosition
    {
        get => _numbers.LastPosition;
        set => _numbers.LastPosition = value;
    }

    /// <summary>The opening that wrote the newest record of this run.</summary>
    internal ulong LastEpoch
    {
        get => _numbers.LastEpoch;
        set => _numbers.LastEpoch = value;
    }

    internal RunStatus Status
    {
        get => _numbers.Status;
        set => _numbers.Status = value;
    }

    /// <summary>Sequence of the commit that deleted the run; 0 = none.</summary>
    internal ulong DeletedAt { get; set; }

    /// <summary>Of a fork, the sequence that its own writes are above; 0 of any other run.</summary>
    internal ulong BasePoint => _numbers.BasePoint;

    /// <summary>Deleted, and there for the forks that read through to it.</summary>
    internal bool IsKept => _numbers.DeletedAt != 0;

    /// <summary>Sequence of the commit that deleted the last fork of a run which was deleted before; 0 = none.</summary>
    internal ulong GoneAt { get; private set; }

    /// <summary>The run was deleted while forks read through to it.</summary>
    internal void Keep() => _numbers.DeletedAt = DeletedAt;

    /// <summary>The last of those forks has gone.</summary>
    internal void LetGo(ulong sequence)
    {
        _numbers.DeletedAt = 0;
        GoneAt = sequence;
    }

    /// <summary>Deleted, visible or not: for deciding under the run's lock.</summary>
    internal bool IsDeleted => DeletedAt != 0;

    /// <summary>Deleted, and readers may know: a crash cannot undo it any more (G1).</summary>
    internal bool IsGone => DeletedAt is > 0 and var at && Visible.Value >= at;

    /// <summary>Length of the run's record in the catalogue, and its tags: what a change of it has to reserve.</summary>
    internal int RecordBytes
    {
        get => _numbers.RecordBytes;
        set => _numbers.RecordBytes = value;
    }

    internal int RecordTags
    {
        get => _numbers.RecordTags;
        set => _numbers.RecordTags = value;
    }

    /// <summary>Number that the next event gets.</summary>
    internal ulong NextEvent
    {
        get => _numbers.NextEvent;
        set => _numbers.NextEvent = value;
    }

    /// <summary>In a load of this run alone: what appends leave to its end; null otherwise.</summary>
    internal EventTail? Tail { get; set; }

    /// <summary>Hash of the newest event; zeros before the first.</summary>
    internal Hash256 EventHead
    {
        get => _numbers.EventHead;
        set => _numbers.EventHead = value;
    }

    /// <summary>Inputs that wait for a commit; null as long as nobody has asked for one.</summary>
    internal RunInputs? Inputs { get; set; }

    /// <summary>The step of an index that will be, or was last, looked at. Under <see cref="CommitLock"/>; a hint, and nothing rests on
    /// it.</summary>
    internal IndexStep? IndexStep { get; set; }

    /// <summary>The secondary indexes as the newest state has them; null as long as nobody has asked (<see cref="IndexSet.Of"/>), and
    /// again when they change. Written under the run's lock.</summary>
    /// <summary>What an index of words has not seen yet; null as long as there is none. Set under the lock; Apply tells it.</summary>
    internal ThingChanges? Changes { get; set; }

    internal IndexSet? Indexes
    {
        get => Volatile.Read(ref _indexes);
        set => Volatile.Write(ref _indexes, value);
    }

    /// <summary>Keys written lately, once a transaction has read a range of this run.</summary>
    internal RecentWrites? Recent { get; set; }

    /// <summary>The residency job's: the newest commit when it came by last. Under the run's lock.</summary>
    internal ulong SeenSequence { get; set; }

    // ---- checkpoints: under the run's lock ----------------------------------------------------------------------------------

    /// <summary>The newest cut that the run was frozen for, or that it was made behind.</summary>
    internal ulong Cut { get; private set; }

    /// <summary>The numbers as they were at <see cref="Cut"/>, once <see cref="Freeze"/> has put them aside and as long as that checkpoint
    /// is under way; deleted then or not. Zeros of a run that was made behind the cut.</summary>
    internal RunNumbers Frozen => _frozen?.Numbers ?? default;

    internal ulong FrozenDeletedAt => _frozen?.DeletedAt ?? 0;

    /// <summary>Dirty keys were put aside with them, and wait to be published or given back.</summary>
    internal bool HasFrozenKeys { get; private set; }

    /// <summary>The catalogue lists the run among those that changed since the last checkpoint.</summary>
    internal bool IsListed { get; set; }

    /// <summary>Puts aside what the run is at a cut. Before the first write above it.</summary>
    internal void Freeze(ulong cut)
    {
        Invariant.Check(!HasFrozenKeys && LastSequence <= cut, "a run is frozen before its first commit above the cut, and once");
        _frozen = new FrozenNumbers(_numbers, IsKept ? 0 : Math.Max(DeletedAt, GoneAt));
        Cut = cut;
        if (Store.DirtyCount == 0)
            return;
        Store.SplitDirty(cut);
        HasFrozenKeys = true;
    }

    /// <summary>The checkpoint is published: what was put aside is in the image.</summary>
    /// <param name="line">Drawn in the epoch since the image is the current one.</param>
    internal void Published(ulong cut, long line)
    {
        _frozen = null;
        if (!HasFrozenKeys)
            return;
        Store.Published(cut, line);
        HasFrozenKeys = false;
    }

    /// <summary>The checkpoint failed: what was put aside is dirty again.</summary>
    internal void GiveBack(ulong cut)
    {
        _frozen = null;
        if (!HasFrozenKeys)
            return;
        Store.GiveBack(cut);
        HasFrozenKeys = false;
    }

    public void Dispose() => Store.Dispose();

    private sealed record FrozenNumbers(RunNumbers Numbers, ulong DeletedAt);
}
