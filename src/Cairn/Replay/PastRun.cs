// The base of a fork at a past point
// ----------------------------------
// A fork at its parent's newest sequence reads the parent's own store, which from then on keeps what the fork reads. Of an earlier point
// memory and tables have let things go that were superseded, so there is nothing to read through to. What is still there are the records:
//
//      parent   @1  @2  @3 | @5  @6 | @8              fork made at @9, of the point @4: it notes @8's position, and commits nothing else
//                 \_____/ \___/                       first read: walked back from @8, what is behind @4 passed over, 1 2 3 applied forward
//                  applied  passed over               into a store of its own, which the fork reads through to like to a living parent
//
// So making the fork costs nothing that grows, and the first read (or write, which reads counts) costs the parent's records: once in an
// opening, since the store stays as long as the fork is loaded. Recovery does the same when it comes to a commit of such a fork: what was
// scanned before it is right, and the records lie in the named segments and archives.
//
// A1  The base is a function of the parent's records up to the point, of the parent's beginning and of its own base (P1): the same in the
//     live database, in recovery and in a table that is made anew.
// A2  It is made of records alone, never of an image: images come and go with checkpoints, and the fork stays.
// A3  Every record of the parent is kept for as long as such a fork is there, whatever its policy says, and until the older checkpoint does
//     not know the fork any more (Primitives/HistoryNeeds.cs). A parent that records are missing of cannot be forked in the past.
// A4  Who deletes the parent takes nothing: it is kept for its forks, with the position of its newest record and its own base.

using Cairn.Content;
using Cairn.Log;
using Cairn.Primitives;
using Cairn.Storage;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn.Replay;

/// <summary>See the essay above. Reads are thread-safe.</summary>
internal sealed class PastRun : IPastRun
{
    private readonly SnapshotRegistry _pins = new();
    private readonly Catalogue _catalogue;
    private readonly MemoryBudget? _budget;

    private PastRun(in PastPoint point, ContentStore content, Limits limits, MemoryBudget? budget)
    {
        _budget = budget;
        var below = point.Run.Store.Base;
        _catalogue = new Catalogue(_pins, new VisibleSequence(), content, new CurrentImage(), budget: budget)
        {
            Limits = limits,
            Bases = _ => below!,
        };
        _catalogue.BeginLoad();
        Run = _catalogue.Find(point.Run.Id) ?? _catalogue.NewState(point.Run.Id);
    }

    public RunState Run { get; }

    /// <summary>Makes a run as it was at a point.</summary>
    /// <exception cref="CorruptionException">A record is damaged, or missing.</exception>
    /// <exception cref="CairnException"><see cref="ErrorCode.Io"/>: the disk failed. Who asks again tries again.</exception>
    internal static PastRun Make(PastPoint point, OperationTable operations, ContentStore content, Limits limits, MemoryBudget? budget)
    {
        try
        {
            return Read(point, operations, content, limits, budget);
        }
        catch (StorageException failure)
        {
            throw failure.ToCairn(failure.StoragePath);
        }
    }

    private static PastRun Read(
        in PastPoint point, OperationTable operations, ContentStore content, Limits limits, MemoryBudget? budget)
    {
        var log = content.Log;
        var positions = PositionsOf(log, point);
        var made = new PastRun(point, content, limits, budget);
        try
        {
            made.Apply(log, positions, operations);
            return made;
        }
        catch
        {
            made._catalogue.DisposeUnread(made.Run);         // who asked reads the fork meanwhile: waiting for him would not end
            throw;
        }
    }

    /// <summary>The log has every record of a run. Costs a look, unless some of the log was given up since the run began.</summary>
    internal static bool IsWhole(ILogRecords log, in PastPoint point, ulong firstSequence)
    {
        if (point.Run.Born >= firstSequence || log.SegmentsFrom == 0)
            return true;
        using var chain = ChainOf(log, point);
        while (chain.MoveNext(out _))
        {
        }

        return !chain.IsTrimmed;
    }

    private static RunChain ChainOf(ILogRecords log, in PastPoint point)
    {
        var numbers = new RunNumbers { Born = point.Run.Born, LastPosition = point.Position, LastSequence = point.Sequence };
        return new RunChain(log, point.Run.Id, numbers, Mutant.Is("past-fork-sees-later-commits") ? ulong.MaxValue : point.Sequence);
    }

    // Newest first.
    private static List<ulong> PositionsOf(ILogRecords log, in PastPoint point)
    {
        var positions = new List<ulong>();
        using var chain = ChainOf(log, point);
        while (chain.MoveNext(out _))
            positions.Add(chain.Position);
        return chain.IsTrimmed ? throw Missing(log, chain.TrimmedAt, point.Run.Id) : positions;
    }

    private void Apply(ILogRecords log, List<ulong> positions, OperationTable operations)
    {
        try
        {
            Run.Tail = new EventTail();
            ApplyAll(log, positions, operations);
            EventOperations.EndTail(Run);
            Run.Tail = null;
        }
        finally
        {
            _budget?.AddRuns(-_catalogue.Loaded.Count);      // it is one fork's: its native memory counts, it is no run
        }

        _catalogue.EndLoad();
        if (!_catalogue.Loaded.Contains(Run))
            Run.Store.EndLoad();
        Run.Visible.Publish(Run.LastSequence);
    }

    private void ApplyAll(ILogRecords log, List<ulong> positions, OperationTable operations)
    {
        using var reader = new LogReader(log) { ReadsAlong = true };
        for (var i = positions.Count - 1; i >= 0; i--)
        {
            var position = positions[i];
            if (!History.TryRead(log, reader, Run.Id, position, out var kept, out var header, out var payload) || !kept.IsAll)
                throw Missing(log, position, Run.Id);
            try
            {
                CommitPath.Replay(_catalogue, operations, Run, header.Sequence, payload, position);
            }
            catch (MalformedPayloadException malformed)
            {
                var place = log.PlaceOf(position);
                throw new CorruptionException(place.File, place.Offset, new Sequence(header.Sequence), malformed.Expected);
            }
        }
    }

    private static CorruptionException Missing(ILogRecords log, ulong position, RunId run)
    {
        var place = log.PlaceOf(position);
        return new CorruptionException(
            place.File, place.Offset, new Sequence(place.Sequence),
            $"a record of run {run} at position {position}, which a fork is made of");
    }

    public void Dispose()
    {
        if (!_catalogue.Loaded.Contains(Run))
            Run.Dispose();
        _catalogue.Dispose();
    }
}
