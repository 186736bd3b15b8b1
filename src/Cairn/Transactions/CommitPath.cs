// The path of a commit, whole. Everything that writes comes through Place: single operations, transactions, the maintainer's
// own. One record, one sequence, one Apply.
//
//   outside locks   limits; the operations are encoded into the record that will be logged, with holes of fixed width
//   run locks       validate what was read, decide what was expected, resolve numbers and counters, reserve memory:
//                   the last step that may fail
//   log's lock      sequence, commit time, position: a few instructions, the only thing all runs share
//   run locks       fill the holes, hash, apply to the store, mark the slot filled
//   no lock         the log's writer writes (and syncs); the visible word moves; whole rounds of waiters wake; observers
//
//   CP1  Order in the log = order of sequences = order of Apply within a run.
//   CP2  A sequence is visible when it and all below it are applied and as durable as the mode asks. Every answer, a refusal
//        too, is given only when what it rests on is visible.
//   CP3  A failure after the sequence was taken ends writing: what reached the device is unknown until recovery. A failure
//        before it leaves no trace.
//   CP4  No lock that a reader or another run needs is held across a disk wait.
//
// Three commits and one sync, Strict; a and b on one run, c on another:
//
//   thread 1   |validate|place @7|apply|.......... writes 7 8, syncs ..........|visible = 8| answer a @7
//   thread 2       |wait run lock|validate|place @8|apply|. waits for the round ..........|  answer b @8
//   thread 3                        |validate|place @9|apply|... next round gathers ......|log thread: writes 9, syncs|visible = 9|
//   readers    |------------------------- see @6 --------------------------------------|--- see @8 ---------------|- see @9
//
// b is validated against a's change although that is not visible yet: a is before it in the log, so if a is lost, b is too.
// That is why a commit that lost to an invisible one waits for its visibility and not for a lucky retry.
//
// Why log first, memory second, visible last: a reader never sees what a crash could still undo (G1), and memory never holds
// what the log has not promised a place. Memory does run ahead of the device between Apply and the write; if the device then
// fails, what was applied is never shown, and the database takes no more writes (G7).
//
// In memory there is no device: the word of each run moves under its lock. A commit over several runs binds their words to one flag
// before it publishes any, and the flag moves them all at once (VisibleSequence); a cut across runs takes their locks for a moment. So
// no half is seen.

using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using Cairn.Log;
using Cairn.Store;

namespace Cairn.Transactions;

/// <summary>See the essay above. Thread-safe.</summary>
internal sealed class CommitPath(
    LogWriter log, EngineState state, Catalogue catalogue, OperationTable operations, Limits limits, TimeProvider clock, ulong epoch,
    Counters counters)
{
    private static readonly long SlowNanoseconds = SystemEvents.SlowAfter.Ticks * TimeSpan.NanosecondsPerTick;

    /// <summary>Range reads are checked again outside the lock this often before they are checked inside.</summary>
    private const int PreChecksMax = 3;

    internal LogWriter Log => log;

    internal EngineState State => state;

    internal Catalogue Catalogue => catalogue;

    internal OperationTable Operations => operations;

    internal Limits Limits => limits;

    internal TimeProvider Clock => clock;

    private readonly StampedClock _stamps = new(clock);

    internal ulong Epoch => epoch;

    /// <summary>Memory only: each run has a visible word of its own.</summary>
    internal bool IsUnlogged => log.Device is null;

    /// <summary>Time at which a read of the newest state is evaluated (TTL-3).</summary>
    internal long ReadTime() => Math.Max(clock.Microseconds(), log.LastTime);

    /// <summary>The database's mode.</summary>
    internal Durability Durability { get; init; }

    /// <summary>Whether a commit waits for a sync. A commit may ask for more than the database's mode, never for less (DUR-6).</summary>
    /// <exception cref="CairnException">InvalidArgument: less, or more than memory can give.</exception>
    internal bool NeedsSync(CommitOptions options)
    {
        if (options.Durability is not { } asked || asked == Durability)
            return Durability == Durability.Strict;
        if (asked < Durability || Durability == Durability.InMemory)
            throw new CairnException(ErrorCode.InvalidArgument, $"A commit in a database opened {Durability} cannot be {asked}: a commit may ask for more than the database's mode, never for less, and memory cannot be strengthened.");
        return true;
    }

    /// <summary>What memory may be; null without a log.</summary>
    internal MemoryBudget? Memory { get; init; }

    /// <summary>False refuses reads once the database has failed.</summary>
    internal bool ReadsAfterFailure { get; init; } = true;

    /// <summary>The door of every read.</summary>
    internal void ThrowIfNotReadable()
    {
        if (state.IsClosed)
            throw new ObjectDisposedException("CairnDatabase", "The database is closed.");
        if (!ReadsAfterFailure)
            state.ThrowIfFailed();
    }

    /// <summary>Commits and waits until the commit is visible, or gives the refusal when what it rests on is.</summary>
    /// <returns>False: refused, nothing was logged.</returns>
    /// <exception cref="DatabaseFailedException">CP3; the outcome of this commit is unknown.</exception>
    internal bool TryCommit(Batch batch, ReadSet? reads, List<Expectation>? expectations, out Placed placed)
    {
        var began = clock.GetTimestamp();
        placed = Place(batch, reads, expectations, began);
        Wait(batch, placed, batch.Class);
        Time(began, batch.Class, batch.Record.NeedsSync);
        return placed.Refusal is null;
    }

    /// <summary>Commits what cannot be refused but by an exception.</summary>
    internal Placed Commit(Batch batch)
    {
        var began = clock.GetTimestamp();
        var placed = Place(batch, null, null, began);
        Wait(batch, placed, batch.Class);
        Time(began, batch.Class, batch.Record.NeedsSync);
        if (placed.Refusal is { } refusal)
            throw refusal.ToException(operations);
        return placed;
    }

    [ThreadStatic]
    private static int _reads;

    internal Timing BeginReadTiming() => (++_reads & 63) == 0 ? new Timing(counters.Latencies.Of(OperationClass.Get), clock) : default;

    /// <summary>Counts how long a commit took since a time stamp.</summary>
    internal void Time(long began, OperationClass operation, bool isSynced)
    {
        var nanoseconds = _stamps.NanosecondsSince(began);
        counters.Latencies.OfCommit(operation, isSynced).Record(nanoseconds);
        if (nanoseconds > SlowNanoseconds)
            TellSlow(nanoseconds);
    }

    /// <summary>Times what goes on until the result is disposed of.</summary>
    internal Timing BeginTiming(OperationClass operation) => new(counters.Latencies.Of(operation), clock);

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void TellSlow(long nanoseconds) =>
        counters.Events.Raise(SystemEvents.SlowOperation, ("operation", "commit"), ("ms", nanoseconds / 1_000_000));

    /// <summary>Blocks until what <see cref="Place"/> gave is visible.</summary>
    internal void Wait(Batch batch, in Placed placed, OperationClass operation)
    {
        try
        {
            if (!IsUnlogged)
                log.WaitVisible(placed.Sequence);
            else if (placed.HasSlot)
                log.WaitObserved(batch.Record.Slot);
        }
        catch (Exception cause)
        {
            counters.Outcomes.Threw(operation, cause);
            throw;
        }
    }

    /// <summary>A task that ends when a placed commit is visible. Cancelling ends the waiting, not the commit.</summary>
    internal ValueTask WhenVisibleAsync(ulong sequence, bool needsSync, CancellationToken cancellationToken)
    {
        if (!IsUnlogged)
            return log.WhenVisibleAsync(sequence, needsSync, cancellationToken);
        log.Drive(mayLeave: true);                           // for the observers, if there are any
        return ValueTask.CompletedTask;
    }

    /// <summary>Gives the batch its place and applies it. How it ends is counted, but for the engine's own commits
    /// (<see cref="PlaceOwn"/>).</summary>
    /// <param name="began">Time stamp of the call: the commit time comes from it.</param>
    /// <param name="operation">What it is counted as; null = by its first operation.</param>
    /// <returns>With a refusal, <see cref="Placed.Sequence"/> is what has to be visible before the refusal may be told.</returns>
    internal Placed Place(
        Batch batch, ReadSet? reads, List<Expectation>? expectations, long began, OperationClass? operation = null)
    {
        var counted = operation ?? batch.Class;
        batch.Record.Class = counted;
        try
        {
            var placed = PlaceOwn(batch, reads, expectations, began);
            if (placed.Refusal is { } refusal)
                counters.Outcomes.Refused(counted, refusal.IsLost);
            return placed;
        }
        catch (Exception cause)
        {
            counters.Outcomes.Threw(counted, cause);
            throw;
        }
    }

    /// <inheritdoc cref="Place"/>
    internal Placed PlaceOwn(Batch batch, ReadSet? reads, List<Expectation>? expectations, long began)
    {
        CheckSize(batch);
        var runs = RunsOf(batch, reads, expectations);
        var only = runs is null && batch.PartCount == 1 && !batch.TouchesCatalogue ? batch.Parts[0].Run.CommitLock : null;
        var busySince = 0L;
        var isTooLargeForInputs = false;
        var isAboveImage = IsAboveImage(batch);
        for (var attempt = 0; ; attempt++)
        {
            state.ThrowIfNotWritable(batch.OnlyDeletes);
            if (isTooLargeForInputs)
                isTooLargeForInputs = CommitInputs(batch);
            if (Memory is { MayBeFull: true } && !batch.OnlyDeletes)
                AwaitMemory(batch);
            if (isAboveImage && attempt == 0)
                Warm(batch, expectations);
            if (reads is not null && attempt < PreChecksMax && PreCheckRanges(reads) is { } early)
                return new Placed(early.Current, 0, false, early);
            var now = _stamps.Microseconds(attempt == 0 ? began : clock.GetTimestamp());
            var take = TakeResult.Taken;
            if (attempt == 0 && (isAboveImage || catalogue.Content is { HasLeftMemory: true }) && (batch.NeedsResolve || expectations is not null))
                ReadAhead(batch, expectations);
            if (only is null)
                Enter(batch, runs);
            else
                Enter(only);
            try
            {
                state.ThrowIfNotWritable(batch.OnlyDeletes);        // again: closing may have come between
                Failpoint.Hit("commit.locked");
                if (Mutant.Is("residency-looked-at-too-early") ? isAboveImage : IsAboveImage(batch))   // now: keys leave at any time
                    MakeResident(batch);
                if (Refuse(batch, runs, reads, expectations, now, attempt, out var mustRecheck) is { } refusal)
                    return new Placed(NewestOf(batch, runs), 0, false, refusal);
                if (mustRecheck)
                    continue;
                if (batch.Decide is { } decide && !Mutant.Is("decision-skipped") && !decide(Math.Max(now, log.LastTime)))
                    return new Placed(NewestOf(batch, runs), 0, false, null);
                if (HasInputs(batch) && !TryCarryInputs(batch, reads))
                {
                    isTooLargeForInputs = true;
                    continue;
                }

                foreach (ref readonly var part in batch.Parts)
                {
                    if (part.AllWrites > 0)                  // a run that only begins takes no memory yet
                    {
                        var writes = part.Resolved.And(operations.CountIndexWrites(batch.OperationsOf(part), part.Run));
                        part.Run.Store.Reserve(part.Writes + writes.Writes, part.WriteBytes + writes.Bytes);
                    }

                    if (!part.Run.IsListed)
                        catalogue.List(part.Run);
                }

                for (var i = 0; i < expectations?.Count; i++)
                {
                    if (expectations[i] is { Kind: ExpectationKind.Locked, Run.IsListed: false })
                        catalogue.List(expectations[i].Run);
                }

                batch.ReserveCatalogue(catalogue.State.Store);
                if (batch.TouchesCatalogue && !catalogue.State.IsListed)
                    catalogue.List(catalogue.State);
                Failpoint.Hit("commit.validated-before-placed");
                if (IsUnlogged && !log.HasObservers)
                {
                    log.TakeUnlogged(now, out var sequence, out var time);
                    Apply(batch, sequence, time, RunState.NoPosition);
                    return new Placed(sequence, time, false, null);
                }

                take = log.TryTake(batch.Record, now);
                if (take == TakeResult.Taken)
                {
                    var record = batch.Record;
                    Apply(batch, record.Sequence, record.Time, record.Position);
                    var placed = new Placed(record.Sequence, record.Time, true, null);
                    LogWriter.Filled(record);                // last touch: from here on the record is the writer's
                    return placed;
                }
            }
            finally
            {
                EndReserve(batch);
                if (only is null)
                    Exit(batch, runs);
                else
                    only.Exit();
            }

            MakeRoom(take, batch, ref busySince);            // CP4: outside every lock, before any sequence
        }
    }

    private void EndReserve(Batch batch)
    {
        foreach (ref readonly var part in batch.Parts)
            part.Run.Store.EndReserve();
        if (batch.TouchesCatalogue)
            catalogue.State.Store.EndReserve();
    }

    // ---- inputs that wait for a commit (RPL-21) ------------------------------------------------------------------------------

    private static bool HasInputs(Batch batch)
    {
        foreach (ref readonly var part in batch.Parts)
        {
            if (part.Run.Inputs is not null)
                return true;
        }

        return false;
    }

    // Under the locks, right before the place is taken: so an input is in exactly one commit, and whoever is refused carries none. False:
    // the record would be too large with them, they go before it.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private bool TryCarryInputs(Batch batch, ReadSet? reads)
    {
        var carries = batch.CarriesInputs && !batch.IsUpkeep && !(batch.OnlyDeletes && state.IsDiskFull) && (batch.IsForInputs || !Mutant.Is("input-left-behind"));
        CommitAttributes? cause = null;
        batch.ForgetCause();
        for (var index = 0; index < batch.PartCount; index++)
        {
            var run = batch.Parts[index].Run;
            if (run.Inputs is not { } inputs)
                continue;
            batch.Carry(index, inputs.Pending, 0, isLast: false);
            if (!inputs.HasPending || !carries)
                continue;
            var count = CountFitting(batch, inputs.Pending);
            if (count < inputs.Pending.Count && !batch.IsForInputs)
                return false;
            batch.Carry(index, inputs.Pending, count, (batch.KnowsEventNumbers || KnowsEventNumbers(reads?.Find(run))) && !Mutant.Is("input-before-known-numbers"));
            cause = inputs.Pending[count - 1].Cause;
        }

        if (cause is not null)
            batch.CompleteCause(cause);
        if (IsAboveImage(batch))
            EachKey(batch, static (store, key) => store.MakeResident(key));
        return true;
    }

    private int CountFitting(Batch batch, IReadOnlyList<PendingInput> inputs)
    {
        var count = 0;
        var bytes = (long)batch.Record.PayloadLength;
        while (count < inputs.Count && batch.Operations + count < limits.TransactionOperationsMax
            && (bytes += inputs[count].OperationBytes) <= limits.TransactionBytesMax)
            count++;
        return count;
    }

    // Who has seen where the events end has been told the numbers of its own.
    private static bool KnowsEventNumbers(ReadSet.RunReads? reads) =>
        reads is not null && (reads.Ranges.Exists(range => range.From is [StoreKeys.Event, ..])
            || reads.Points.Any(point => point is [StoreKeys.Event, ..]));

    // Outside the locks.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private bool CommitInputs(Batch batch)
    {
        for (var index = 0; index < batch.PartCount; index++)
            CommitInputs(batch.Parts[index].Run, batch.Record.NeedsSync);
        return false;
    }

    /// <summary>Commits the inputs of a run that wait, by themselves.</summary>
    /// <returns>Sequence of the last commit; 0 = none waited.</returns>
    internal ulong CommitInputs(RunState run, bool needsSync)
    {
        var sequence = 0UL;
        while (run.Inputs is { HasPending: true })
        {
            var batch = BeginInputs(run, needsSync);
            var placed = Commit(batch);
            Batch.ReturnMine(batch);
            if (placed.Time != 0)
                sequence = placed.Sequence;
        }

        return sequence;
    }

    /// <summary>The same, awaiting the device.</summary>
    internal async ValueTask<ulong> CommitInputsAsync(RunState run, bool needsSync, CancellationToken cancellationToken)
    {
        var sequence = 0UL;
        while (run.Inputs is { HasPending: true })
        {
            var placed = PlaceInputs(run, needsSync);
            await WhenVisibleAsync(placed.Sequence, needsSync, cancellationToken).ConfigureAwait(false);
            if (placed.Refusal is { } refusal)
                throw refusal.ToException(operations);
            if (placed.Time != 0)
                sequence = placed.Sequence;
        }

        return sequence;
    }

    private Placed PlaceInputs(RunState run, bool needsSync) =>
        Place(BeginInputs(run, needsSync, isOwned: true), null, null, clock.GetTimestamp());

    private static Batch BeginInputs(RunState run, bool needsSync, bool isOwned = false)
    {
        var batch = isOwned ? Batch.RentOwned() : Batch.RentMine();
        batch.IsForInputs = true;
        batch.Decide = _ => run.Inputs is { HasPending: true };
        batch.Record.NeedsSync = needsSync;
        batch.BeginPart(run);
        batch.EndPart();
        return batch;
    }

    // ---- what is not in memory ------------------------------------------------------------------------------------------------

    private bool IsAboveImage(Batch batch)
    {
        foreach (ref readonly var part in batch.Parts)
        {
            if (!part.Run.Store.IsWhole)
                return true;
        }

        return batch.TouchesCatalogue && !catalogue.State.Store.IsWhole;
    }

    // CP4: blocks are read from the disk here; under the locks the keys come from the cache.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private void Warm(Batch batch, List<Expectation>? expectations)
    {
        foreach (ref readonly var part in batch.Parts)
        {
            if (part.Writes > 0)
                part.Run.Store.Base?.Prepare();
            part.Run.Store.PrefetchCounts();
        }

        EachKey(batch, static (store, key) => store.Prefetch(key));
        for (var i = 0; i < expectations?.Count; i++)
        {
            if (!expectations[i].Run.Store.IsWhole)
                expectations[i].Run.Store.Prefetch(expectations[i].Key);
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void MakeResident(Batch batch)
    {
        foreach (ref readonly var part in batch.Parts)
        {
            part.Run.Store.BeginResident();
            if (operations.HaveItems(batch.OperationsOf(part)))
                IndexSet.Of(part.Run);                       // they are keys too
        }

        if (batch.TouchesCatalogue)
            catalogue.State.Store.BeginResident();
        EachKey(batch, static (store, key) => store.MakeResident(key));
    }

    private void EachKey(Batch batch, StoreKeyVisitor visit)
    {
        foreach (ref readonly var part in batch.Parts)
            operations.EachKey(batch.OperationsOf(part), part.Run, catalogue, visit);
    }

    // ---- validation -----------------------------------------------------------------------------------------------------------

    private Refusal? Refuse(
        Batch batch, RunState[]? runs, ReadSet? reads, List<Expectation>? expectations, long now, int attempt, out bool mustRecheck)
    {
        mustRecheck = false;
        foreach (ref readonly var part in batch.Parts)
        {
            if (part.Run.IsDeleted)
                return Refusal.Of(new CairnException(ErrorCode.NotFound, $"Run {part.Run.Id} was deleted."));
            if (part.Run.Status != RunStatus.Active && !batch.IsAllowedWhenClosed && !part.IsAllowedWhenClosed)
                return Refusal.Of(new RunClosedException(part.Run.Id, part.Run.Status));
        }

        for (var i = 0; i < runs?.Length; i++)
        {
            if (runs[i].IsDeleted && !IsBase(expectations, runs[i]))
                return Refusal.Of(new CairnException(ErrorCode.NotFound, $"Run {runs[i].Id} was deleted."));
        }

        if (reads is not null && FindConflict(reads, attempt, out mustRecheck) is { } conflict)
            return conflict;
        if (mustRecheck)
            return null;
        var time = Math.Max(now, log.LastTime);
        if (expectations is not null && FindUnmet(expectations, time) is { } unmet)
            return unmet;
        return batch.NeedsResolve ? Resolve(batch, time) : null;
    }

    // Locked for what it is kept for, deleted or not.
    private static bool IsBase(List<Expectation>? expectations, RunState run) =>
        expectations is not null && expectations.Exists(expectation => expectation.Run == run && expectation.Kind == ExpectationKind.Locked);

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static Refusal? FindUnmet(List<Expectation> expectations, long time)
    {
        foreach (var expectation in expectations)
        {
            using var reader = expectation.Run.Store.Read();
            var exists = reader.TryGetNewest(expectation.Key, out var version);
            if (!expectation.Holds(exists, version, time, out var actual) && !Mutant.Is("cas-check-removed"))
                return Refusal.Unmet(expectation, actual, version);
        }

        return null;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private Refusal? Resolve(Batch batch, long time)
    {
        for (var index = 0; index < batch.PartCount; index++)
        {
            ref readonly var part = ref batch.Parts[index];
            var refused = operations.Resolve(batch.OperationsOf(part), part.Run, catalogue, time, limits, out var writes);
            if (refused is not null)
                return Refusal.Of(refused);
            batch.SetResolved(index, writes);
        }

        return null;
    }

    // CP4, for the other writers of the run: large values that will be looked at come from the log now, and from the cache under the lock.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private void ReadAhead(Batch batch, List<Expectation>? expectations)
    {
        if (Mutant.Is("content-read-under-lock"))
            return;
        if (batch.NeedsResolve)
        {
            foreach (ref readonly var part in batch.Parts)
                operations.ReadAhead(batch.OperationsOf(part), part.Run);
        }

        for (var i = 0; i < expectations?.Count; i++)
        {
            if (expectations[i].ReadsValue)
                expectations[i].Run.Store.ReadAhead(expectations[i].Key);
        }
    }

    // Outside the locks: has anything in the ranges changed since the snapshot? What changes after this look is in the ring of
    // recent writes, which is all that is left to look through inside.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private Refusal? PreCheckRanges(ReadSet reads)
    {
        foreach (var run in reads.Runs)
        {
            if (run.Ranges.Count == 0 || Mutant.Is("range-validation-off"))
                continue;
            lock (run.Run.CommitLock)
            {
                run.CheckedUpTo = run.Run.LastSequence;
                run.Run.Recent ??= new RecentWrites(run.CheckedUpTo);
            }

            if (run.CheckedUpTo > reads.Sequence && FindNewer(run, reads.Sequence) is { } conflict)
                return conflict;
        }

        return null;
    }

    private static Refusal? FindNewer(ReadSet.RunReads run, ulong sequence)
    {
        using var reader = run.Run.Store.Read();
        foreach (var (from, to) in run.Ranges)
        {
            ReadOnlySpan<byte> rest = from;
            while (reader.FindNewer(rest, to, sequence, out var key, out var newer))
            {
                if (!IsExpiryAlone(reader, key, sequence))
                    return Refusal.Conflict(run.Run, key.ToArray(), isRange: true, sequence, newer);
                rest = (byte[])[.. key, 0];
            }
        }

        return null;
    }

    // TTL-5, TTL-7: all that came since the snapshot is the end of a version that had expired by then, as the maintainer writes it.
    // That is no change: whoever read the version read it before, or saw it as absent already.
    private static bool IsExpiryAlone(scoped in StoreReader reader, ReadOnlySpan<byte> key, ulong sequence) =>
        reader.TryGetNewest(key, out var newest) && newest.IsTombstone
        && reader.TryGet(key, newest.Sequence - 1, out var ended) && ended.Sequence <= sequence
        && !ended.IsTombstone && ended.Expiry != 0 && ended.Expiry <= newest.Time;

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static Refusal? FindConflict(ReadSet reads, int attempt, out bool mustRecheck)
    {
        mustRecheck = false;
        foreach (var run in reads.Runs)
        {
            if (run.Run.LastSequence <= reads.Sequence || Mutant.Is("read-validation-off"))
                continue;                                    // nothing was committed to this run since the snapshot
            using var reader = run.Run.Store.Read();
            foreach (var key in run.Points)
            {
                if (reader.TryGetNewer(key, reads.Sequence, out var version) && !IsExpiryAlone(reader, key, reads.Sequence))
                    return Refusal.Conflict(run.Run, key, isRange: false, reads.Sequence, version.Sequence);
            }

            foreach (var (key, kinds) in run.Kinds)
            {
                if (reader.TryGetNewer(key, reads.Sequence, out var version) && !SlotKinds.Holds(version, kinds)
                    && !IsExpiryAlone(reader, key, reads.Sequence))
                    return Refusal.Conflict(run.Run, key, isRange: false, reads.Sequence, version.Sequence);
            }

            if (run.Ranges.Count == 0 || run.Run.LastSequence <= run.CheckedUpTo || Mutant.Is("range-validation-off"))
                continue;
            if (run.Run.Recent is not { } recent || recent.CompleteSince > run.CheckedUpTo || Failpoint.Rarely("commit.ranges-again", 0.1))
            {
                if (attempt < PreChecksMax)
                {
                    mustRecheck = true;                      // too much happened meanwhile: look again outside
                    return null;
                }

                if (FindNewer(run, reads.Sequence) is { } late)
                    return late;
                continue;
            }

            foreach (var (from, to) in run.Ranges)
            {
                if (!recent.Find(from, to, run.CheckedUpTo, out var key, out var newer))
                    continue;
                if (!IsExpiryAlone(reader, key, reads.Sequence))
                    return Refusal.Conflict(run.Run, key, isRange: true, reads.Sequence, newer);
                if (FindNewer(run, reads.Sequence) is { } other)
                    return other;                            // an expiry first, perhaps a change behind it
            }
        }

        return null;
    }

    private ulong NewestOf(Batch batch, RunState[]? runs)
    {
        var newest = batch.TouchesCatalogue ? catalogue.State.LastSequence : 0;
        for (var i = 0; i < runs?.Length; i++)
            newest = Math.Max(newest, runs[i].LastSequence);
        foreach (ref readonly var part in batch.Parts)
            newest = Math.Max(newest, part.Run.LastSequence);
        return newest;
    }

    // ---- apply ----------------------------------------------------------------------------------------------------------------

    private void Apply(Batch batch, ulong sequence, long time, ulong position)
    {
        try
        {
            batch.SetPlace(time);
            foreach (ref readonly var part in batch.Parts)
                catalogue.FreezeBefore(part.Run, sequence);
            if (batch.TouchesCatalogue)
                catalogue.FreezeBefore(catalogue.State, sequence);
            Failpoint.Hit("commit.placed-before-applied");
            foreach (ref readonly var part in batch.Parts)
            {
                operations.FillAndApply(batch.OperationsOf(part), new ApplyContext(part.Run, catalogue, sequence, time, batch.Record.Payload, position), counters.Operations);
                Applied(part.Run, sequence, position, batch.IsUpkeep ? part.Run.LastEpoch : epoch);
                if (part.Carried > 0 && (batch.IsForInputs || !Mutant.Is("input-carried-twice")))
                    part.Run.Inputs!.Taken(part.Carried);
                if (Mutant.Is("two-run-commit-run-by-run"))
                    LogWriter.Filled(batch.Record);
                Failpoint.Hit("commit.run-applied");
            }

            if (batch.TouchesCatalogue)
                catalogue.State.LastSequence = sequence;
            if (IsUnlogged)
                Publish(batch, sequence);
        }
        catch (Exception bug)
        {
            // CP3: the sequence is taken; never a clean failure (D:5.11).
            state.Fail(bug);
            throw state.OutcomeUnknown();
        }
    }

    private static void Applied(RunState run, ulong sequence, ulong position, ulong writtenIn)
    {
        run.LastSequence = sequence;
        run.LastPosition = position;
        run.LastEpoch = writtenIn;
    }

    // Memory only.
    private void Publish(Batch batch, ulong sequence)
    {
        if (batch.PartCount > 1 || batch.TouchesCatalogue)
            PublishTogether(batch, sequence);
        else
            PublishRun(batch.Parts[0].Run, sequence);
    }

    private static void PublishRun(RunState run, ulong sequence)
    {
        run.Visible.Publish(sequence);
        Failpoint.Hit("commit.run-published");
    }

    private void PublishTogether(Batch batch, ulong sequence)
    {
        if (Mutant.Is("memory-publishes-run-by-run"))
        {
            foreach (ref readonly var part in batch.Parts)
                PublishRun(part.Run, sequence);
            if (batch.TouchesCatalogue)
                PublishRun(catalogue.State, sequence);
            return;
        }

        var shared = new SharedSequence(sequence);
        foreach (ref readonly var part in batch.Parts)
            Bind(part.Run, shared);
        if (batch.TouchesCatalogue)
            Bind(catalogue.State, shared);
        shared.Publish();
        Failpoint.Hit("commit.runs-published");
        foreach (ref readonly var part in batch.Parts)
            Unbind(part.Run);
        if (batch.TouchesCatalogue)
            Unbind(catalogue.State);
    }

    private static void Bind(RunState run, SharedSequence shared)
    {
        run.Visible.Bind(shared);
        Failpoint.Hit("commit.run-bound");
    }

    private static void Unbind(RunState run)
    {
        run.Visible.Unbind();
        Failpoint.Hit("commit.run-published");
    }

    /// <summary>Recovery: applies a record of the log through the same <c>Apply</c>, in sequence order, without validation.</summary>
    /// <param name="writtenIn">Epoch of the opening that wrote the record.</param>
    /// <exception cref="MalformedPayloadException">The payload is not what this version knows.</exception>
    internal static void Replay(Catalogue catalogue, OperationTable operations, ulong sequence, ReadOnlySpan<byte> payload, ulong position, ulong writtenIn)
    {
        var transaction = new TransactionPayload(payload);
        while (transaction.MoveNext(out var part))
        {
            var run = catalogue.Find(part.Run) ?? catalogue.NewState(part.Run);
            if (!run.IsListed)
                catalogue.List(run);
            Replay(catalogue, operations, run, ref part, sequence, transaction.CommitTime, payload, position, writtenIn);
            if (Mutant.Is("recovery-applies-one-run"))
                break;
            if (run.IsDeleted)
                Forget(catalogue, run, sequence);
            else if (catalogue.Find(run.Id) != run)
                throw new MalformedPayloadException("a run that was begun");
        }

        catalogue.State.LastSequence = sequence;
        if (!catalogue.State.IsListed)
            catalogue.List(catalogue.State);
    }

    /// <summary>Replay: applies what a record has for one run, through the same <c>Apply</c>.</summary>
    /// <returns>Commit time.</returns>
    /// <exception cref="MalformedPayloadException">The payload is not what this version knows.</exception>
    internal static long Replay(
        Catalogue catalogue, OperationTable operations, RunState run, ulong sequence, ReadOnlySpan<byte> payload, ulong position)
    {
        var transaction = new TransactionPayload(payload);
        while (transaction.MoveNext(out var part))
        {
            if (part.Run == run.Id)
                Replay(catalogue, operations, run, ref part, sequence, transaction.CommitTime, payload, position, writtenIn: 0);
        }

        catalogue.State.LastSequence = sequence;
        return transaction.CommitTime;
    }

    private static void Replay(
        Catalogue catalogue, OperationTable operations, RunState run, ref RunPart part, ulong sequence, long time,
        ReadOnlySpan<byte> payload, ulong position, ulong writtenIn)
    {
        var context = new ApplyContext(run, catalogue, sequence, time, payload, position);
        var isUpkeep = true;
        while (part.MoveNext(out var operation))
        {
            operations.Apply(operation, context);
            isUpkeep &= ((OperationCode)operation.Code).IsUpkeep();
        }

        Applied(run, sequence, position, isUpkeep ? run.LastEpoch : writtenIn);
    }

    /// <summary>Makes sure that applying a record beside readers does not fail for want of memory. By what the record could write at most;
    /// a commit knows better what it writes.</summary>
    /// <exception cref="OutOfMemoryException">Nothing has changed.</exception>
    internal static void Reserve(RunState run, Catalogue catalogue, OperationTable operations, ReadOnlySpan<byte> payload)
    {
        const int writesPerOperation = 16;
        long writes = 0, bytes = 0;
        var transaction = new TransactionPayload(payload);
        while (transaction.MoveNext(out var part))
        {
            if (part.Run != run.Id)
                continue;
            var tried = operations.CountWrites(part.Bytes, run);
            writes += tried.Writes;
            bytes += tried.Bytes;
            while (part.MoveNext(out var operation))
            {
                var most = writesPerOperation + Math.Min(operation.Body.Length / 2, OptionRules.TagsMost);
                writes += most;
                bytes += most * 64L + writesPerOperation * operation.Key.Length + 3L * operation.Body.Length;
                var indexed = operations.CountIndexWrites(operation, run);
                writes += indexed.Writes;
                bytes += indexed.Bytes;
            }
        }

        run.Store.Reserve((int)writes, bytes);
        catalogue.State.Store.Reserve((int)writes, bytes + writes * (run.RecordBytes + Limits.NameBytesMax));
    }

    // Nobody reads yet, so its memory goes at once; and with it what was kept for this run alone.
    private static void Forget(Catalogue catalogue, RunState run, ulong sequence)
    {
        if (run.IsKept)
            return;
        var below = run.Store.Base;
        catalogue.SettleForks(nobodyReads: true);
        catalogue.Remove(run);
        run.Dispose();
        below?.Dispose();
        if (below is { Owner: { } parent } && parent.GoneAt == sequence)
            Forget(catalogue, parent, sequence);
    }

    // ---- locks and room -------------------------------------------------------------------------------------------------------

    // What was read or expected must not change before the batch is applied: the runs behind it are locked too. Null = they are the
    // runs that are written.
    private RunState[]? RunsOf(Batch batch, ReadSet? reads, List<Expectation>? expectations) =>
        reads is null && expectations is null ? null : RunsBehind(batch, reads, expectations);

    [MethodImpl(MethodImplOptions.NoInlining)]
    private RunState[]? RunsBehind(Batch batch, ReadSet? reads, List<Expectation>? expectations)
    {
        HashSet<RunState>? more = null;
        for (var i = 0; i < reads?.Runs.Count; i++)
        {
            if (!IsWritten(batch, reads.Runs[i].Run))
                (more ??= []).Add(reads.Runs[i].Run);
        }

        for (var i = 0; i < expectations?.Count; i++)
        {
            if (!IsWritten(batch, expectations[i].Run))
                (more ??= []).Add(expectations[i].Run);
        }

        if (more is null)
            return null;
        foreach (ref readonly var part in batch.Parts)
            more.Add(part.Run);
        if (batch.TouchesCatalogue)
            more.Add(catalogue.State);
        // The catalogue is locked last.
        return [.. more.OrderBy(run => run == catalogue.State).ThenBy(run => run.Id)];
    }

    private bool IsWritten(Batch batch, RunState run)
    {
        foreach (ref readonly var part in batch.Parts)
        {
            if (part.Run == run)
                return true;
        }

        return batch.TouchesCatalogue && run == catalogue.State;
    }

    private void Enter(Batch batch, RunState[]? runs)
    {
        var entered = 0;
        var count = runs?.Length ?? batch.PartCount;
        try
        {
            for (; entered < count; entered++)
                Enter((runs is null ? batch.Parts[entered].Run : runs[entered]).CommitLock);
            if (runs is null && batch.TouchesCatalogue)
                Enter(catalogue.State.CommitLock);
        }
        catch
        {
            while (entered > 0)
            {
                entered--;
                (runs is null ? batch.Parts[entered].Run : runs[entered]).CommitLock.Exit();
            }

            throw;
        }
    }

    private void Enter(Lock gate)
    {
        if (gate.TryEnter())
            return;
        Failpoint.Wait("commit.wait-for-lock");
        if (!gate.TryEnter(limits.BusyWaitMax))
            throw new BusyException(ErrorCode.Busy, $"A run's lock was not free within {limits.BusyWaitMax.TotalMilliseconds} ms (Limits.BusyWaitMax). Try again.", limits.BusyWaitMax);
    }

    private void Exit(Batch batch, RunState[]? runs)
    {
        if (runs is not null)
        {
            foreach (var run in runs)
                run.CommitLock.Exit();
            return;
        }

        if (batch.TouchesCatalogue)
            catalogue.State.CommitLock.Exit();
        foreach (ref readonly var part in batch.Parts)
            part.Run.CommitLock.Exit();
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void MakeRoom(TakeResult take, Batch batch, ref long busySince)
    {
        // The first commit of an opening finds no room, and has to wait for nobody else's.
        if (log.HasBegun)
            counters.BackPressure(take == TakeResult.NoRoom, isFirst: busySince == 0);
        if (busySince == 0)
            busySince = clock.GetTimestamp();
        else if (clock.GetElapsedTime(busySince) > limits.BusyWaitMax)
            throw new BusyException(ErrorCode.Busy, $"The log had no room within {limits.BusyWaitMax.TotalMilliseconds} ms (Limits.BusyWaitMax). Try again.", limits.BusyWaitMax);
        if (take == TakeResult.NoRoom)
            log.MakeRoom(batch.Record.RecordLength, batch.OnlyDeletes);
        else
            log.Drive(mayLeave: true);
        state.ThrowIfFailed();
        Failpoint.Wait("commit.wait-for-room");
        if (take == TakeResult.QueueFull)
            Thread.Yield();
    }

    // TIER-4: what needs more memory waits until there is some. Not what deletes: that is part of the way out, and the maintainer's own.
    // Outside every lock, and before anything was decided.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private void AwaitMemory(Batch batch)
    {
        var memory = Memory!;
        if (MemoryBudget.IsUpkeep || !memory.IsFull || HasRoom(batch))
            return;
        memory.CountWait();
        var began = clock.GetTimestamp();
        var tries = (int)(limits.BusyWaitMax / MemoryBudget.WaitStep);     // a clock that stands still ends it too
        do
        {
            if (memory.Help is { } help ? help() : !memory.IsFull)
                return;
            if (memory.Help is not null || tries-- <= 0 || clock.GetElapsedTime(began) > limits.BusyWaitMax)
                throw MemoryFull(memory);
            Failpoint.Wait("commit.wait-for-memory");
            memory.WaitForRelief();
            state.ThrowIfNotWritable(onlyDeletes: true);
        }
        while (!HasRoom(batch));
    }

    // What was forgotten in the runs themselves serves them: with a chunk of 64 KiB at most, for pieces may not fit, and in the last 5 %
    // of the budget.
    private bool HasRoom(Batch batch)
    {
        var isToTheEnd = Memory!.Used >= Memory.Bytes;
        foreach (ref readonly var part in batch.Parts)
        {
            if (!part.Run.Store.HasRoomFor(part.Writes, part.WriteBytes, isToTheEnd))
                return false;
        }

        return true;
    }

    private BusyException MemoryFull(MemoryBudget memory)
    {
        memory.CountRefusal();
        return new BusyException(
            ErrorCode.Busy,
            $"Memory is full: {memory.Used} of {memory.Bytes} bytes (CairnOptions.MemoryBudgetBytes), and nothing more could leave within "
            + $"{limits.BusyWaitMax.TotalMilliseconds} ms (Limits.BusyWaitMax). Close old snapshots and transactions, try again, or open "
            + "with a larger budget.",
            limits.BusyWaitMax);
    }

    private void CheckSize(Batch batch)
    {
        if (batch.Record.PayloadLength > limits.TransactionBytesMax)
            ThrowTooLarge(nameof(limits.TransactionBytesMax), limits.TransactionBytesMax, batch.Record.PayloadLength, "bytes");
        if (batch.Operations > limits.TransactionOperationsMax)
            ThrowTooLarge(nameof(limits.TransactionOperationsMax), limits.TransactionOperationsMax, batch.Operations, "operations");
    }

    [DoesNotReturn]
    private static void ThrowTooLarge(string limit, long allowed, long actual, string unit) =>
        throw new LimitException(limit, allowed, actual, unit);
}

/// <summary>Something that may be timed, until it is disposed of.</summary>
internal readonly struct Timing : IDisposable
{
    private readonly LatencyHistogram? _histogram;
    private readonly TimeProvider? _clock;
    private readonly long _began;

    internal Timing(LatencyHistogram histogram, TimeProvider clock)
    {
        _histogram = histogram;
        _clock = clock;
        _began = clock.GetTimestamp();
    }

    public void Dispose() => _histogram?.Record((long)_clock!.GetElapsedTime(_began).TotalNanoseconds);
}

/// <summary>Where a batch came to be, or why it was refused.</summary>
internal readonly record struct Placed(ulong Sequence, long Time, bool HasSlot, Refusal? Refusal);

/// <summary>Why a batch was refused under the locks; nothing was logged.</summary>
internal sealed class Refusal
{
    private Refusal()
    {
    }

    internal Expectation? Expectation { get; private init; }

    /// <summary>Version or counter found where an expectation failed; 0 = absent.</summary>
    internal ulong Actual { get; private init; }

    /// <summary>What was found there, when the expectation asked to be told.</summary>
    internal FoundVersion? Found { get; private init; }

    /// <summary>The sequence that must be visible before the refusal is told.</summary>
    internal ulong Current { get; private init; }

    internal bool IsConflict { get; private init; }

    /// <summary>Something was not as it was read or expected; otherwise the operation may not be.</summary>
    internal bool IsLost => Exception is null;

    private CairnException? Exception { get; init; }

    private byte[] Key { get; init; } = [];

    private RunState? Run { get; init; }

    private bool IsRange { get; init; }

    private ulong Read { get; init; }

    internal static Refusal Of(CairnException exception) => new() { Exception = exception };

    /// <param name="found">The newest version; empty when there is none.</param>
    internal static Refusal Unmet(Expectation expectation, ulong actual, scoped in VersionView found) => new()
    {
        Expectation = expectation,
        Actual = actual,
        Current = found.Sequence,
        Key = expectation.Key,
        Found = expectation.TellsFound ? new FoundVersion(found) : null,
    };

    internal static Refusal Conflict(RunState run, byte[] key, bool isRange, ulong read, ulong current) =>
        new() { Run = run, Key = key, IsRange = isRange, Read = read, Current = current, IsConflict = true };

    internal CairnException ToException(OperationTable operations)
    {
        if (Exception is not null)
            return Exception;
        var (primitive, key) = operations.Describe(Key);
        if (Expectation is { } expectation)
            return new VersionMismatchException(primitive, key, expectation.Expected, Actual);
        var region = Run is null ? "" : operations.Region(Key, Run);
        if (region.Length == 0 && IsRange)
            region = "in a range that was read";
        return new ConflictException(primitive, key, region, new Sequence(Read), new Sequence(Current));
    }
}

/// <summary>A version that outlives the look at it.</summary>
internal sealed class FoundVersion(scoped in VersionView version)
{
    private readonly byte[] _value = version.Value.ToArray();
    private readonly ulong _sequence = version.Sequence;
    private readonly ulong _created = version.Created;
    private readonly long _time = version.Time;
    private readonly long _expiry = version.Expiry;
    private readonly bool _isTombstone = version.IsTombstone;

    internal VersionView View => new(_value, _sequence, _created, _time, _expiry, _isTombstone);
}
