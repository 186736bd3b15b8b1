// Deep verification: is what is in memory what the log says, and is the log what was written?
//
//   segments   SHA-256 of every ended segment = the manifest's
//   log        every record up to the cut: header, payload check, and that it decodes; from the older kept checkpoint on, once the
//              log's beginning was given up
//   state      the same records through the one Apply into an empty store, or above that checkpoint's image; its state hash = the living
//              one's (G5, G10), and run by run the hash of everything else too: counts and orders that follow from the state
//   chains     the event chain of every run
//   rules      what documents and the items of indexes have to be to the rest of the state (DerivedRules.cs)
//
// Runs beside commits, at a cut. Costs the memory of a second state, a read of the log and of both states. Changes nothing; what
// it finds is data, not an exception.

using Cairn.Log;
using Cairn.Primitives;
using Cairn.Storage;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn.Recovery;

/// <summary>See the essay above. One verification; use it once.</summary>
internal sealed class DeepVerification(IStorage storage, SegmentedLog log, Cut cut, OperationTable operations, Limits limits)
    : IDisposable
{
    private const long CacheBytes = 4 << 20;
    private const ulong ProgressBytes = 1 << 20;

    private readonly List<VerificationFinding> _findings = [];
    private readonly StateHash _hash = new(operations, cut.Sequence, cut.Time);

    internal IProgress<TransferProgress>? Progress { get; init; }

    internal CancellationToken CancellationToken { get; init; }

    internal IReadOnlyList<VerificationFinding> Findings => _findings;

    /// <summary>Of the living state.</summary>
    internal Hash256 State { get; private set; }

    internal void Run(CommitPath path)
    {
        foreach (var damage in log.Scrub())
        {
            CancellationToken.ThrowIfCancellationRequested();
            Find("segment", damage.Message);
        }

        using var hold = log.Hold("a deep verification");
        using var replayed = new RecoveredState(
            storage, new SnapshotRegistry(), new VisibleSequence(), operations, limits, new BlockCache(CacheBytes), cut.Catalogue.Content!);
        var isWhole = TryReplay(replayed, hold);
        Reading(() => State = _hash.OfAll(cut.Catalogue, Living));
        if (isWhole)
            Reading(() => Compare(replayed.Catalogue));
        foreach (var id in _hash.RunsOf(cut.Catalogue))
        {
            Reading(() => VerifyChain(path, Living(id)));
            Reading(() => new DerivedRules(Living(id), cut.Sequence, Find, CancellationToken).Check());
            Reading(() => new VectorRules(
                Living(id), cut.Sequence, text => Find("vectors", $"Run {id}: {text}"), CancellationToken).Check());
        }
    }

    // Values that are read from the log on the way: every reference that the state holds resolves, or that is found.
    private void Reading(Action verify)
    {
        try
        {
            verify();
        }
        catch (CorruptionException damage)
        {
            Find("content", damage.Message);
        }
    }

    private RunState Living(RunId id)
    {
        var run = cut.Find(id);
        Invariant.Check(run is not null, "a run of the cut is found");
        return run;
    }

    // False: the log does not get to the cut, which is found; there is nothing to compare with.
    private bool TryReplay(RecoveredState replayed, LogHold hold)
    {
        try
        {
            replayed.Begin(hold.Manifest, hold.Checkpoint);
        }
        catch (CorruptionException damage)
        {
            Find("checkpoint", damage.Message);
            return false;
        }

        using var reader = new LogReader(log);
        var scan = reader.Scan(hold.Position);
        var state = replayed.Catalogue.State;
        try
        {
            CancellationToken.ThrowIfCancellationRequested();
            var (begin, told) = (hold.Position, hold.Position);
            while (state.LastSequence < cut.Sequence && scan.MoveNext())
            {
                CancellationToken.ThrowIfCancellationRequested();
                replayed.Follow(scan.Header, scan.Payload, scan.Position);
                if (scan.Position < told + ProgressBytes)
                    continue;
                told = scan.Position;
                Progress?.Report(new TransferProgress("applying the log anew", (long)(told - begin), (long)(log.AppendedPosition - begin)));
            }

            if (state.LastSequence == cut.Sequence)
                return true;
            Find("log", $"The log ends at sequence {state.LastSequence}; the state is at {cut.Sequence}.");
        }
        catch (CorruptionException damage)
        {
            Find("log", damage.Message);
        }
        catch (MalformedPayloadException malformed)
        {
            Find("log", $"The record at position {scan.Position} is not {malformed.Expected}.");
        }
        finally
        {
            replayed.Catalogue.EndLoad();
        }

        return false;
    }

    private void Compare(Catalogue replayed)
    {
        using var hash = new StateHash(operations, cut.Sequence, cut.Time);
        if (hash.Everything(cut.Catalogue.State.Store) != hash.Everything(replayed.State.Store))
            Find("runs", "The index of runs differs from what the log gives.");
        foreach (var id in _hash.RunsOf(cut.Catalogue).Union(hash.RunsOf(replayed)))
        {
            if (replayed.Find(id) is not { } other || cut.Find(id) is not { } living)
                Find("state", $"Run {id} is not in both: the living state and what the log gives.");
            else if (_hash.OfRun(living) != hash.OfRun(other))
                Find("state", $"Run {id} differs from what the log gives.");
            else if (hash.Everything(living.Store) != hash.Everything(other.Store))
                Find("order", $"Run {id}: a count or an order does not fit the state that it follows from.");
        }

        if (_findings.Count == 0 && hash.OfAll(replayed, id => replayed.Find(id)!) != State)
            Find("state", "The state differs from what the log gives.");
    }

    private void VerifyChain(CommitPath path, RunState run)
    {
        using var reader = run.Store.Read();
        var scope = Scope.Snapshot(path, run, cut.Sequence, cut.Time);
        var events = new EventReader(scope, reader, stackalloc byte[EventReader.KeyBytes]);
        if (EventChain.Verify(events, events.Floor().Number, events.Committed) is { IsValid: false } broken)
            Find("events", $"Run {run.Id}, event {broken.FirstInvalid}: {broken.Error}");
    }

    private void Find(string part, string text) => _findings.Add(new VerificationFinding(part, text));

    public void Dispose() => _hash.Dispose();
}
