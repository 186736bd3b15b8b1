// Checkpoints: the state at a sequence, written beside the log, so that recovery need not read the log from its beginning.
//
// A checkpoint is incremental: it writes one table with what changed since the last one. All its tables together are the image.
// Nobody waits for it but whoever asked: commits go on while it is written, each run is locked for a few instructions only.
//
//   mark      a record takes a place in the log; in that moment the cut S is set, and all versions at S are pinned
//   sync      the log is synced beyond the mark: every commit up to S is applied by then, and durable
//   freeze    every run that changed since the last checkpoint: its numbers and its list of dirty keys are put aside. The first
//             commit above S may have done that already
//   write     the frozen runs in the order of their ids into a table: the run's record, then its dirty keys at S
//   name      table synced and named; a manifest names the checkpoint
//   publish   the image with the new table becomes the current one; what it has may leave memory
//
// Drawn, one run and a checkpoint at S = 7; keys a, b, c:
//
//   commits       a@5   b@6   c@7 |mark|  a@8   b@9
//   dirty list    a     a b   a b c       a     a b              the next checkpoint's
//   frozen list                    a b c  a b c a b c            written as a@5 b@6 c@7: pinned, although a and b have gone on
//   freeze                                ^ by the commit of a@8, before it writes
//
// K1  A checkpoint holds every commit up to S and nothing of a later one: numbers and lists are put aside before the first commit
//     above S writes, and versions at S are pinned until the table is written.
// K2  The log is synced beyond the mark before a manifest names the checkpoint: an image never holds what a crash could take back.
// K3  Until the manifest has its name the checkpoint before counts. A failure gives the dirty lists back; nothing is lost by it, and
//     the log is as long as it was. A failed sync ends writing, as everywhere.
// K4  Two checkpoints stay. What the newer one names, the older one named too, but for its own table: so only merges take tables away
//     (Merger.cs), and they take them from both.
// K5  No lock that a reader or another run needs is held while a file is written.
// K6  A run that was deleted is a tombstone of its record; what older tables have of it is never looked at, and goes with a merge.
//
// What it does not do: decide when (CheckpointJob), drop log (retention), read (Image, RunStore), repair.

using Cairn.Log;
using Cairn.Storage;
using Cairn.Store;
using Cairn.Store.Native;

namespace Cairn.Checkpoints;

/// <summary>What a checkpoint needs of the rooms below.</summary>
internal sealed record CheckpointParts
{
    internal required IStorage Storage { get; init; }

    internal required SegmentedLog Device { get; init; }

    internal required LogWriter Log { get; init; }

    internal required EngineState State { get; init; }

    internal required Catalogue Catalogue { get; init; }

    internal required CurrentImage Image { get; init; }

    internal required SnapshotRegistry Pins { get; init; }

    internal required BlockCache Cache { get; init; }

    internal required TableTurn Turn { get; init; }

    /// <summary>What merges and rebuilding took the place of.</summary>
    internal required RetiredTables Retired { get; init; }

    internal required TimeProvider Clock { get; init; }

    /// <summary>Salts of tables are drawn from here.</summary>
    internal required Func<UInt128> DrawBits { get; init; }

    /// <summary>The opening that is writing, and those before it that a crash ended.</summary>
    internal required ulong Epoch { get; init; }

    internal required IReadOnlyCollection<ulong> EndedUncleanly { get; init; }

    /// <summary>Names other tables in the manifest. A full disk leaves it as it was; after any other failure nobody knows which of the two
    /// is there.</summary>
    internal Manifest Publish(Func<Manifest, Manifest> change)
    {
        try
        {
            return Device.Change(change);
        }
        catch (StorageException full) when (full.Error == StorageError.NoSpace)
        {
            throw;
        }
        catch (Exception cause)
        {
            throw State.Fail(cause);
        }
    }
}

/// <summary>See the essay above. Thread-safe: whoever calls does the next step.</summary>
internal sealed class Checkpointer : IDisposable
{
    private const int RunsPerStep = 256;

    private readonly CheckpointParts _parts;
    private readonly List<Asked> _asked = [];
    private bool _ended;
    private Attempt? _attempt;
    private ulong _nextNumber;
    private ulong _markedPosition;
    private ulong _wantedBehind;                          // the published cut and 1; 0 = never

    internal Checkpointer(CheckpointParts parts)
    {
        _parts = parts;
        var manifest = parts.Device.Manifest;
        var newest = manifest.Checkpoints.Count == 0 ? null : manifest.Checkpoints[^1];
        _nextNumber = (newest?.Number ?? 0) + 1;
        _markedPosition = newest?.MarkPosition ?? parts.Device.FirstPosition;
        LastAt = parts.Clock.GetTimestamp();
    }

    /// <summary>Time stamp of the last checkpoint, or of the opening.</summary>
    internal long LastAt { get; private set; }

    /// <summary>The newest checkpoint that was made since the database was opened.</summary>
    internal CheckpointInfo? Last { get; private set; }

    /// <summary>Bytes of log behind the mark of the last checkpoint.</summary>
    internal long LogBytesSince
    {
        get
        {
            var written = _parts.Log.WrittenPosition;
            return (long)(written - Math.Min(written, Volatile.Read(ref _markedPosition)));
        }
    }

    /// <summary>There are commits that no checkpoint has.</summary>
    internal bool IsDue => _parts.Log.LastSequence > _parts.Catalogue.PublishedCut;

    internal bool IsUnderWay => Volatile.Read(ref _attempt) is not null;

    /// <summary>Asks for a checkpoint that nobody awaits: when one is published, it was that one.</summary>
    internal void Want() => Volatile.Write(ref _wantedBehind, _parts.Catalogue.PublishedCut + 1);

    internal bool IsWanted => Volatile.Read(ref _wantedBehind) == _parts.Catalogue.PublishedCut + 1 && IsDue;

    /// <summary>Checkpoints until every commit that had a place at the call is in one.</summary>
    /// <exception cref="OperationCanceledException">The checkpoint under way was given up.</exception>
    /// <exception cref="BusyException">The disk is full.</exception>
    /// <exception cref="DatabaseFailedException">An I/O error: final.</exception>
    internal CheckpointInfo? Run(IProgress<CheckpointProgress>? progress, CancellationToken cancellationToken)
    {
        var wanted = _parts.Log.LastSequence;
        while (_parts.Catalogue.PublishedCut < wanted)
        {
            if (cancellationToken.IsCancellationRequested)
            {
                GiveUp();
                cancellationToken.ThrowIfCancellationRequested();
            }

            Step();
            if (progress is not null && Volatile.Read(ref _attempt) is { } attempt)
                progress.Report(new CheckpointProgress(attempt.Written, attempt.Expected));
        }

        return NewestMade(out _);
    }

    // Another thread may be between the image and the end of its step: the checkpoint counts already, and is not told yet.
    private CheckpointInfo? NewestMade(out ulong published)
    {
        lock (_parts.Turn.Gate)
        {
            published = _parts.Catalogue.PublishedCut;
            return Last;
        }
    }

    /// <summary>Asks for a checkpoint that has every commit up to the call; whoever does the steps answers.</summary>
    internal Task<CheckpointInfo?> AskAsync(IProgress<CheckpointProgress>? progress)
    {
        var asked = new Asked(_parts.Log.LastSequence, progress);
        lock (_asked)
        {
            if (_ended)
                throw new ObjectDisposedException("CairnDatabase", "The database is closed.");
            _asked.Add(asked);
        }

        if (_parts.State.HasFailed)
            TellFailed();
        return asked.Answer.Task;
    }

    /// <summary>The database has failed, on whatever thread: nobody takes another step for those who wait.</summary>
    internal void TellFailed()
    {
        if (Mutant.Is("checkpoint-awaited-for-ever"))
            return;
        foreach (var asked in TakeAsked(ulong.MaxValue))
            asked.Answer.SetException(_parts.State.Failure());
    }

    internal bool IsAsked
    {
        get
        {
            lock (_asked)
                return _asked.Count > 0;
        }
    }

    /// <summary>Does a step for those who wait, and answers those whose commits are in a checkpoint now.</summary>
    internal bool StepForThoseWhoAsked()
    {
        try
        {
            if (AnyAskedBehind(_parts.Catalogue.PublishedCut))
                Step();
            Tell();
        }
        catch (Exception failure)
        {
            foreach (var asked in TakeAsked(ulong.MaxValue))
                asked.Answer.SetException(failure);
            throw;
        }

        var made = NewestMade(out var published);
        foreach (var asked in TakeAsked(published))
            asked.Answer.SetResult(made);
        return IsAsked;
    }

    private bool AnyAskedBehind(ulong published)
    {
        lock (_asked)
            return _asked.Exists(asked => asked.Sequence > published);
    }

    private void Tell()
    {
        if (Volatile.Read(ref _attempt) is not { } attempt)
            return;
        List<Asked> all;
        lock (_asked)
            all = [.. _asked];
        foreach (var asked in all)
            asked.Progress?.Report(new CheckpointProgress(attempt.Written, attempt.Expected));
    }

    private List<Asked> TakeAsked(ulong upTo)
    {
        lock (_asked)
        {
            var taken = _asked.FindAll(asked => asked.Sequence <= upTo);
            _asked.RemoveAll(asked => asked.Sequence <= upTo);
            return taken;
        }
    }

    /// <summary>A bounded piece of work: begins a checkpoint if there is something to write, or goes on with the one under way.</summary>
    /// <returns>False when there is nothing to do.</returns>
    /// <exception cref="BusyException">The disk is full; the checkpoint was given up and comes again.</exception>
    /// <exception cref="CairnException">Something could not be read or written aside; the same.</exception>
    internal bool Step()
    {
        lock (_parts.Turn.Gate)
        {
            _parts.State.ThrowIfFailed();
            try
            {
                return _attempt is { } attempt ? Continue(attempt) : IsDue && Begin();
            }
            catch (StorageException full)
                when (full is { Error: StorageError.NoSpace, Operation: not "sync directory" } && !_parts.State.HasFailed)
            {
                Abandon();

                // With the reserve there is room for another try (D:5.7).
                if (_parts.Log.Disk?.Enter(full) != true)
                    throw _parts.State.DiskFull();
                return true;
            }
            catch (Exception cause)
            {
                // What memory knows of a checkpoint that the manifest names is in parts then: neither this one nor the next could go on.
                var isPublished = _attempt is { IsPublished: true } && !Mutant.Is("checkpoint-published-by-half");
                if (TableFailure.Judge(cause, isPublished, _parts.State, _parts.Storage, Abandon) is { } told)
                    throw told;
                throw;
            }
        }
    }

    /// <summary>Gives the checkpoint under way up, if there is one. The next one begins anew.</summary>
    internal void GiveUp()
    {
        lock (_parts.Turn.Gate)
            Abandon();
    }

    // ---- the cut ------------------------------------------------------------------------------------------------------------

    private bool Begin()
    {
        var attempt = new Attempt(_nextNumber++, _parts.Clock.GetTimestamp());
        var mark = new PendingRecord { Type = RecordType.CheckpointMark, NeedsSync = !Mutant.Is("checkpoint-log-not-synced") };
        mark.Extend(CheckpointMark.Size).Clear();
        Volatile.Write(ref _attempt, attempt);
        while (true)
        {
            var take = _parts.Log.TryTake(mark, 0, (sequence, time) =>
            {
                attempt.Cut = sequence;
                attempt.Time = time;
                attempt.Pin = _parts.Pins.TakeAt(sequence, SnapshotRegistry.AllRuns);
                _parts.Catalogue.Cut = sequence;
            });
            if (take == TakeResult.Taken)
                break;
            if (take == TakeResult.NoRoom)
                _parts.Log.MakeRoom(mark.RecordLength, onlyDeletes: true);
            else
                _parts.Log.Drive(mayLeave: true);
            _parts.State.ThrowIfFailed();
        }

        try
        {
            attempt.MarkPosition = mark.Position;
            new CheckpointMark(attempt.Number, attempt.Cut, attempt.Time).Write(mark.Payload);
            LogWriter.Filled(mark);
            Failpoint.Hit("checkpoint.cut-before-synced");
            _parts.Log.SyncThrough(mark);                    // K2
            Failpoint.Hit("checkpoint.synced-before-frozen");
        }
        finally
        {
            // Every commit up to the cut is applied, so every run that has one is in the list; after a failure it says what to give back.
            attempt.Unfrozen = new Queue<RunState>(_parts.Catalogue.TakeChanged());
            if (!attempt.Unfrozen.Contains(_parts.Catalogue.State))
                attempt.Unfrozen.Enqueue(_parts.Catalogue.State);   // its record says at which opening we are, changed or not
        }

        return true;
    }

    private bool Continue(Attempt attempt)
    {
        if (attempt.Unfrozen.Count > 0)
            Freeze(attempt);
        else if (attempt.Writing is null)
            BeginWriting(attempt);
        else if (!attempt.Writing.Step())
            Publish(attempt);
        return true;
    }

    private void Freeze(Attempt attempt)
    {
        for (var i = 0; i < RunsPerStep && attempt.Unfrozen.TryPeek(out var run); i++)
        {
            lock (run.CommitLock)
            {
                run.IsListed = false;
                if (run.LastSequence <= attempt.Cut)
                    run.Freeze(attempt.Cut);
                else
                    _parts.Catalogue.List(run);              // it has gone on: that is the next checkpoint's
                Invariant.Check(run.Cut == attempt.Cut, "a run that has gone on was frozen by the commit that did");
            }

            attempt.Unfrozen.Dequeue();
            attempt.Frozen.Add(run);
        }
    }

    // ---- the table ----------------------------------------------------------------------------------------------------------

    private void BeginWriting(Attempt attempt)
    {
        attempt.Table = _parts.Turn.TakeNumber();
        var cut = new TableCut(attempt.Cut, attempt.Time, _parts.Catalogue.PublishedCut, _parts.Epoch, _parts.EndedUncleanly);
        attempt.Writing = new CutTable(
            cut, _parts.Catalogue, attempt.Frozen, _parts.Image.Value,
            () => new TableWriter(_parts.Storage, attempt.Table, _parts.Device.DatabaseId, _parts.DrawBits()));
    }

    // ---- publishing ---------------------------------------------------------------------------------------------------------

    private void Publish(Attempt attempt)
    {
        var writing = attempt.Writing!;
        Failpoint.Hit("checkpoint.written-before-finished");
        var info = Final(writing.Finish, LogNames.TablePath(attempt.Table));
        attempt.IsNamed = true;
        Failpoint.Hit("checkpoint.table-named");
        attempt.Opened = Table.Open(_parts.Storage, info, _parts.Device.DatabaseId, _parts.Cache);
        var image = _parts.Image.Value.With(attempt.Opened);
        var named = new ManifestCheckpoint(
            attempt.Number, attempt.Cut, attempt.Time, attempt.MarkPosition, _parts.Device.HeaderCheckAt(attempt.MarkPosition),
            [.. image.Tables.ToArray().Select(table => table.Info.Number)]);
        Final(() => _parts.Device.Change(manifest => WithCheckpoint(manifest, named, info)), null);
        attempt.IsPublished = true;
        Failpoint.Hit("checkpoint.manifest-published");

        _parts.Catalogue.Publish(image, attempt.Cut);
        Failpoint.Hit("checkpoint.image-published");
        var line = Epoch.Advance();
        foreach (var run in attempt.Frozen)
        {
            lock (run.CommitLock)
                run.Published(attempt.Cut, line);
        }

        _parts.Pins.Release(attempt.Pin);
        Volatile.Write(ref _markedPosition, attempt.MarkPosition);
        LastAt = _parts.Clock.GetTimestamp();
        Last = new CheckpointInfo
        {
            Number = attempt.Number,
            Sequence = new Sequence(attempt.Cut),
            Time = CommitClock.Time(attempt.Time),
            Entries = info.Entries,
            Bytes = info.FileBytes,
            Duration = _parts.Clock.GetElapsedTime(attempt.Began, LastAt),
        };
        Volatile.Write(ref _attempt, null);
        writing.Dispose();
        Tell(attempt, info, image);
    }

    // SYS-2: a checkpoint of nothing but what the engine told is not told, or each would be the reason of the next.
    private void Tell(Attempt attempt, TableInfo info, Image image)
    {
        var only = attempt.Frozen.TrueForAll(run => run == _parts.Catalogue.System || run == _parts.Catalogue.State);
        if (only && !Mutant.Is("checkpoint-tells-itself"))
            return;
        _parts.Log.Counters.Events.Raise(
            SystemEvents.Checkpoint,
            ("number", (long)attempt.Number), ("sequence", (long)attempt.Cut), ("entries", info.Entries), ("bytes", info.FileBytes),
            ("tables", image.Tables.Length), ("ms", (long)Last!.Duration.TotalMilliseconds));
    }

    private static Manifest WithCheckpoint(Manifest manifest, ManifestCheckpoint checkpoint, TableInfo table)
    {
        ManifestCheckpoint[] checkpoints = [.. manifest.Checkpoints.TakeLast(Manifest.CheckpointsMax - 1), checkpoint];
        var named = checkpoints.SelectMany(kept => kept.Tables).ToHashSet();
        return manifest with
        {
            Checkpoints = checkpoints,
            Tables = [.. manifest.Tables.Append(table).Where(kept => named.Contains(kept.Number)).OrderBy(kept => kept.Number)],
            NextTable = Math.Max(manifest.NextTable, table.Number + 1),
            LastSequence = Math.Max(manifest.LastSequence, checkpoint.Sequence),
            CommitTime = Math.Max(manifest.CommitTime, checkpoint.CommitTime),
        };
    }

    // D:5.5: whatever fails in publishing a file is final, but a full disk under a name that is not there yet.
    private T Final<T>(Func<T> publish, string? path)
    {
        try
        {
            return publish();
        }
        catch (StorageException full) when (full.Error == StorageError.NoSpace && (path is null || !_parts.Storage.Exists(path)))
        {
            throw;
        }
        catch (Exception cause)
        {
            throw _parts.State.Fail(cause);
        }
    }

    // K3. After a failure, or when it is given up.
    private void Abandon()
    {
        if (_attempt is not { } attempt)
            return;
        Volatile.Write(ref _attempt, null);
        attempt.Writing?.Dispose();
        if (attempt.IsPublished || _parts.State.HasFailed)
            return;                                          // its pin stays: nothing is certain any more
        attempt.Opened?.Dispose();
        foreach (var run in attempt.Frozen.Concat(attempt.Unfrozen))
        {
            lock (run.CommitLock)
            {
                // So that no commit freezes it for this cut later, when nobody would give that back.
                if (run.Cut != attempt.Cut && !Mutant.Is("checkpoint-leaves-unfrozen"))
                    run.Freeze(attempt.Cut);
                run.GiveBack(attempt.Cut);
                _parts.Catalogue.List(run);
            }
        }

        if (attempt.IsCut)
            _parts.Pins.Release(attempt.Pin);
        if (attempt.IsNamed)
            Unlink(LogNames.TablePath(attempt.Table));
    }

    private void Unlink(string path)
    {
        try
        {
            _parts.Storage.Unlink(path);
        }
        catch (StorageException)
        {
            // Nothing names it: it goes at the next opening.
        }
    }

    /// <summary>Ends: who still waits is told that the database is closed.</summary>
    public void Dispose()
    {
        lock (_asked)
            _ended = true;
        foreach (var asked in TakeAsked(ulong.MaxValue))
            asked.Answer.SetException(new ObjectDisposedException("CairnDatabase", "The database is closed."));
        GiveUp();
    }

    private sealed record Asked(ulong Sequence, IProgress<CheckpointProgress>? Progress)
    {
        internal TaskCompletionSource<CheckpointInfo?> Answer { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }

    /// <summary>A checkpoint under way.</summary>
    private sealed class Attempt(ulong number, long began)
    {
        internal ulong Number => number;

        internal long Began => began;

        internal ulong Cut { get; set; }

        internal long Time { get; set; }

        internal SnapshotPin Pin { get; set; }

        internal bool IsCut => Pin != default;

        internal ulong MarkPosition { get; set; }

        internal Queue<RunState> Unfrozen { get; set; } = [];

        internal List<RunState> Frozen { get; } = [];

        internal uint Table { get; set; }

        internal CutTable? Writing { get; set; }

        internal Table? Opened { get; set; }

        internal bool IsNamed { get; set; }

        internal bool IsPublished { get; set; }

        internal long Written => Writing?.Written ?? 0;

        internal long Expected => Writing?.Expected ?? 0;
    }
}
