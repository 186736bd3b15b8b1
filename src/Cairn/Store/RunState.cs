using Cairn.Content;
using Cairn.Log;

namespace Cairn.Store;

/// <summary>
/// One run in memory: its store, its lock, and the few numbers that a commit needs before it has a sequence. Everything but the
/// lock is written by Apply alone, under the lock; readers without it use the store and <see cref="Visible"/>.
/// </summary>
internal sealed class RunState : IDisposable
{
    /// <summary>Stands for "no record of this run before".</summary>
    internal const ulong NoPosition = ulong.MaxValue;

    internal RunState(RunId id, ulong tag, SnapshotRegistry pins, VisibleSequence visible, ContentStore? content = null)
    {
        Id = id;
        Visible = visible;
        Store = new RunStore(pins, visible, tag, content);
    }

    internal RunId Id { get; }

    internal RunStore Store { get; }

    /// <summary>With a log the database's word, in memory the run's own.</summary>
    internal VisibleSequence Visible { get; }

    /// <summary>Orders the commits of this run; no disk wait happens inside. Several runs: in RunId order, the catalogue last.</summary>
    internal Lock CommitLock { get; } = new();

    /// <summary>Sequence of the newest commit applied, visible or not.</summary>
    internal ulong LastSequence { get; set; }

    /// <summary>Position of the newest record with a part for this run.</summary>
    internal ulong LastPosition { get; set; } = NoPosition;

    /// <summary>The opening that wrote the newest record of this run.</summary>
    internal ulong LastEpoch { get; set; }

    internal RunStatus Status { get; set; } = RunStatus.Active;

    /// <summary>Sequence of the commit that deleted the run; 0 = none.</summary>
    internal ulong DeletedAt { get; set; }

    /// <summary>Deleted, visible or not: for deciding under the run's lock.</summary>
    internal bool IsDeleted => DeletedAt != 0;

    /// <summary>Deleted, and readers may know: a crash cannot undo it any more (G1).</summary>
    internal bool IsGone => DeletedAt is > 0 and var at && Visible.Value >= at;

    /// <summary>Length of the run's record in the catalogue, and its tags: what a change of it has to reserve.</summary>
    internal int RecordBytes { get; set; }

    internal int RecordTags { get; set; }

    /// <summary>Number that the next event gets.</summary>
    internal ulong NextEvent { get; set; }

    /// <summary>Hash of the newest event; zeros before the first.</summary>
    internal Hash256 EventHead { get; set; }

    /// <summary>Keys written lately, once a transaction has read a range of this run.</summary>
    internal RecentWrites? Recent { get; set; }

    public void Dispose() => Store.Dispose();
}
