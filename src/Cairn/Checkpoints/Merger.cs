// Merging: several tables of the image become one, so that reads look into few, and what was superseded gives its room back.
//
//      image of checkpoint 8    [7] [6][5][4][3] [1]        checkpoint 7 is the older of the two that are kept
//      image of checkpoint 7        [6][5][4][3] [1]
//                                    \___________/
//      both, afterwards         [7]      [8]     [1]        3 to 6 are named by nothing any more
//
//   choose    neighbours that both kept checkpoints name (MergeChoice), or all of those
//   wait      until every reader that was inside has left; then the pins are collected
//   write     what MergeRules keep, in steps, past the block cache; synced, named
//   verify    the new table is read back, whole
//   publish   a manifest in which each checkpoint names it in the place of the others
//   swap      the image with it becomes the current one; a line is drawn in the epoch
//   release   behind the line the old tables are closed; when no kept manifest names them, and nobody holds them, they are unlinked
//
// G1  A merge is invisible. What reads at the older checkpoint's sequence or above, and at every pin, reads the same before and after. Who
//     reads without a pin began after the wait, so at a sequence that the older checkpoint has; a pin that is taken later is of such a
//     one too.
// G2  Only tables that every kept checkpoint names are merged, and they are replaced in all of them by one manifest. So both stay
//     recoverable at every step: from the old tables before it, from the new one after it. What only the newest has waits for the next.
// G3  A source goes last (RetiredTables). Backups, scrubbing and compactions have handles of their own. A crash before that leaves files
//     without a meaning, which the next opening removes.
// G4  A failure before the manifest throws the new table away and changes nothing; one behind it ends writing. A failed sync ends writing,
//     as everywhere. A full disk means: later. A damaged source ends the merge and stays as it is.
// G5  A run that was deleted leaves nothing but what pins hold; its tombstone goes with the last of it, at the bottom.
// G6  Points of forks are pins of the run that they read through to, as long as the older checkpoint has the fork: recovery may begin there
//     and read through. Tombstones of a fork hide what its base has, which no merge of its own keys knows of: they stay.
//
// What it does not do: decide when (MergeJob, Compactions), look at retention (history is in the log and its archives, never in tables).

using Cairn.Log;
using Cairn.Storage;
using Cairn.Store;
using Cairn.Store.Native;

namespace Cairn.Checkpoints;

/// <summary>See the essay above. Thread-safe: whoever calls does the next step.</summary>
internal sealed class Merger(CheckpointParts parts) : IDisposable
{
    private const int EntriesPerStep = 4096;

    private readonly RetiredTables _retired = parts.Retired;
    private Attempt? _attempt;                               // under the gate, as all below
    private ulong _lookedAt;                                 // number of the manifest in which nothing was found to do
    private long _merges;
    private long _fullMerges;
    private long _bytesWritten;
    private long _bytesReplaced;

    internal bool IsUnderWay => Volatile.Read(ref _attempt) is not null;

    /// <summary>Merges that were published.</summary>
    internal long Merges => Volatile.Read(ref _merges);

    /// <summary>Bytes of the tables that they wrote.</summary>
    internal long BytesWritten => Volatile.Read(ref _bytesWritten);

    /// <summary>Bytes that the merge under way has written so far, about; 0 before it writes.</summary>
    internal long BytesUnderWay => Volatile.Read(ref _attempt)?.Merge?.BytesWritten ?? 0;

    /// <summary>Bytes of the tables that those took the place of.</summary>
    internal long BytesReplaced => Volatile.Read(ref _bytesReplaced);

    /// <summary>A step would do something now.</summary>
    internal bool HasWork => IsUnderWay || (IsNew && (_retired.Count > 0 || Choose(all: false).Length > 0));

    /// <summary>Tables that wait to be merged, all in all.</summary>
    internal int Backlog => Volatile.Read(ref _attempt)?.Sources.Length ?? (IsNew ? Choose(all: false).Length : 0);

    private bool IsNew => parts.Device.Manifest.Number != Volatile.Read(ref _lookedAt);

    /// <summary>A bounded piece of work: begins a merge if there are tables for one, or goes on with the one under way.</summary>
    /// <param name="all">True: as soon as there are two tables that may be merged, all of them.</param>
    /// <returns>False when there is nothing to do.</returns>
    /// <exception cref="BusyException">The disk is full; the merge was given up and comes again.</exception>
    /// <exception cref="CairnException">Something could not be read or written; the same.</exception>
    internal bool Step(bool all = false)
    {
        lock (parts.Turn.Gate)
        {
            parts.State.ThrowIfFailed();
            _retired.Release();
            try
            {
                if (_attempt is { } attempt)
                    return Continue(attempt);
                if (Begin(all))
                    return true;
                Volatile.Write(ref _lookedAt, parts.Device.Manifest.Number);
                return false;
            }
            catch (Exception cause)
            {
                // What memory reads and what the manifest names are two once it is published, and the new table must stay.
                var isPublished = _attempt is { IsPublished: true } && !Mutant.Is("merge-published-by-half");
                if (TableFailure.Judge(cause, isPublished, parts.State, parts.Storage, Abandon) is { } told)
                    throw told;
                throw;
            }
        }
    }

    /// <summary>Merges all tables that may be merged, on this thread, between the steps of others.</summary>
    /// <param name="read">Told the bytes that each step wrote.</param>
    /// <exception cref="OperationCanceledException">Between two steps; nothing was changed by the merge under way.</exception>
    /// <exception cref="BusyException">A reader was inside for so long that there is nothing to wait for; the same.</exception>
    internal void MergeAll(Patience patience, Action<long>? read, CancellationToken cancellationToken)
    {
        var (before, full) = (BytesWritten, Volatile.Read(ref _fullMerges));
        while (Volatile.Read(ref _fullMerges) == full && Step(all: true))
        {
            if (WaitsFor is not { } line)
            {
                patience.Begin();
            }
            else if (patience.IsOver)
            {
                GiveUp();
                throw patience.Told(line);
            }
            else
            {
                Failpoint.Wait("merge.wait-for-readers");
            }

            if (cancellationToken.IsCancellationRequested)
            {
                GiveUp();
                cancellationToken.ThrowIfCancellationRequested();
            }

            read?.Invoke(0);
            Thread.Yield();
        }

        read?.Invoke(BytesWritten - before);
    }

    // The line that the merge under way has to be passed before it writes.
    private long? WaitsFor =>
        Volatile.Read(ref _attempt) is { Merge: null } attempt && !Epoch.HasPassed(attempt.Line) ? attempt.Line : null;

    /// <summary>Unlinks what merges have replaced as soon as nobody reads it, if need be behind one more manifest. On a full disk, or while
    /// a reader stays inside, it waits for the next one.</summary>
    internal void ReleaseAll(Patience patience, CancellationToken cancellationToken)
    {
        patience.Begin();
        while (!patience.IsOver)
        {
            lock (parts.Turn.Gate)
            {
                parts.State.ThrowIfFailed();
                _retired.Release();
                if (_retired.Count == 0 || parts.Device.HeldFrom != ulong.MaxValue)
                    return;
                if (_retired.AreClosed)
                {
                    // 8.5: the manifest before the newest stays, and so does what it names.
                    try
                    {
                        parts.Publish(manifest => manifest);
                    }
                    catch (StorageException full) when (full.Error == StorageError.NoSpace)
                    {
                        return;
                    }

                    continue;
                }
            }

            cancellationToken.ThrowIfCancellationRequested();
            Failpoint.Wait("merge.wait-for-readers");
            Thread.Yield();
        }
    }

    /// <summary>Gives the merge under way up, if there is one: its table is thrown away, the sources stay.</summary>
    internal void GiveUp()
    {
        lock (parts.Turn.Gate)
            Abandon();
    }

    // ---- the merge ------------------------------------------------------------------------------------------------------------

    private bool Begin(bool all)
    {
        var sources = Choose(all);
        if (sources.Length == 0)
            return false;
        Volatile.Write(ref _attempt, new Attempt(sources, Epoch.Advance(), all));
        return true;
    }

    // G2: the tables of the older checkpoint are the older ones of the image.
    private Table[] Choose(bool all)
    {
        var image = parts.Image.Value;
        var manifest = parts.Device.Manifest;
        if (manifest.Checkpoints.Count == 0)
            return [];
        var named = manifest.Checkpoints[0].Tables;
        var count = Mutant.Is("merge-takes-newest") ? image.Tables.Length : Math.Min(named.Count, image.Tables.Length);
        var shared = image.Tables[^count..];
        if (all)
            return count > 1 ? shared.ToArray() : [];
        Span<long> bytes = stackalloc long[Math.Min(count, 256)];
        for (var i = 0; i < bytes.Length; i++)
            bytes[i] = shared[i].Info.FileBytes;
        var (first, some) = MergeChoice.Of(bytes);
        return shared.Slice(first, some).ToArray();
    }

    private bool Continue(Attempt attempt)
    {
        if (attempt.Merge is null)
        {
            if (Epoch.HasPassed(attempt.Line))               // G1
                BeginWriting(attempt);
            return true;
        }

        if (attempt.Info is null)
        {
            Write(attempt, attempt.Merge);
            return true;
        }

        if (!attempt.Verification!.Step(EntriesPerStep))
            return true;
        Publish(attempt);
        return true;
    }

    private void BeginWriting(Attempt attempt)
    {
        var pins = default(PinSet);
        parts.Pins.CollectOfAllRuns(ref pins);
        var sources = new Image(attempt.Sources);
        var isBottom = attempt.Sources[^1] == parts.Image.Value.Tables[^1];
        var rules = RulesOf(sources, pins.ToArray(), isBottom);
        attempt.IsTold = parts.Log.Counters.Events.IsOn && Array.Exists(attempt.Sources[..^1], HasMoreThanEvents);
        attempt.Number = parts.Turn.TakeNumber();
        Failpoint.Hit("merge.begun-before-written");
        attempt.Merge = new TableMerge(
            parts.Storage, attempt.Number, parts.Device.DatabaseId, parts.DrawBits(), attempt.Sources, rules);
    }

    /// <summary>What a merge of all that may be merged would give back, in bytes of files, about. Reads those tables.</summary>
    /// <param name="tables">Of the older kept checkpoint, newest first.</param>
    /// <param name="hasStep">Asked between two steps.</param>
    internal long Forecast(Table[] tables, Action hasStep)
    {
        if (tables.Length < 2)
            return 0;
        var pins = default(PinSet);
        parts.Pins.CollectOfAllRuns(ref pins);
        using var merge = new TableMerge(tables, RulesOf(new Image(tables), pins.ToArray(), isBottom: true));
        while (!merge.Step(EntriesPerStep))
            hasStep();
        var bytes = tables.Sum(table => table.Info.FileBytes);
        return merge.EntryBytesRead == 0 ? 0 : bytes - (long)(bytes * ((double)merge.EntryBytesKept / merge.EntryBytesRead));
    }

    private MergeRules RulesOf(Image sources, ulong[] pins, bool isBottom)
    {
        var since = parts.Device.Manifest.Checkpoints[0].Sequence;
        return new MergeRules(
            pins, run => RuleOf(sources, run, isBottom) with { Held = parts.Catalogue.ForksSince(run, since) }, isBottom);
    }

    // G5. Each table that has keys of a run has its record, too: at the bottom, keys without one are what is left of a run that is gone.
    private static RunRule RuleOf(Image sources, RunId run, bool isBottom)
    {
        if (run == default)
            return RunRule.NewestOnly;
        if (!sources.TryGet(run, RunNumbers.Key, ulong.MaxValue, out var record))
            return isBottom ? RunRule.NewestOnly with { DeletedAt = ulong.MaxValue - 1 } : RunRule.NewestOnly;
        if (record.IsTombstone)
            return RunRule.NewestOnly with { DeletedAt = record.Sequence };
        if (!RunNumbers.TryRead(record.Value, out var numbers))
            throw new CorruptionException(sources.Tables[0].Info.Path, 0, new Sequence(record.Sequence), $"the record of run {run}");
        return RunRule.NewestOnly with { DeletedAt = numbers.Born, KeepsTombstones = numbers.Base != default };
    }

    private void Write(Attempt attempt, TableMerge merge)
    {
        try
        {
            if (!merge.Step(EntriesPerStep))
                return;
        }
        catch (Exception cause) when (merge.IsPublishing && !IsFullBeforeNamed(cause, LogNames.TablePath(attempt.Number)))
        {
            throw parts.State.Fail(cause);
        }

        attempt.Info = merge.Result!;
        Failpoint.Hit("merge.table-named");
        attempt.Opened = Table.Open(parts.Storage, attempt.Info, parts.Device.DatabaseId, parts.Cache);
        attempt.Verification = new TableVerification(attempt.Opened);
    }

    private void Publish(Attempt attempt)
    {
        var (info, opened) = (attempt.Info!, attempt.Opened!);
        if (Mutant.Is("merge-unlinks-early"))
            Array.ForEach(attempt.Sources, source => Unlink(source.Info.Path));
        Failpoint.Hit("merge.before-manifest");
        var manifest = parts.Publish(manifest => WithMerged(manifest, attempt.Sources, info));
        attempt.IsPublished = true;
        Failpoint.Hit("merge.manifest-published");
        var image = parts.Image.Value;
        parts.Catalogue.Replace(image.WithMerged(image.Tables.IndexOf(attempt.Sources[0]), attempt.Sources.Length, opened));
        Failpoint.Hit("merge.image-published");
        var line = Epoch.Advance();
        foreach (var source in attempt.Sources)
            _retired.Add(source, line, manifest.Number);
        Volatile.Write(ref _attempt, null);
        attempt.Merge!.Dispose();
        attempt.Verification!.Dispose();
        Interlocked.Increment(ref _merges);
        if (attempt.IsFull)
            Interlocked.Increment(ref _fullMerges);
        Interlocked.Add(ref _bytesWritten, info.FileBytes);
        Interlocked.Add(ref _bytesReplaced, attempt.Sources.Sum(source => source.Info.FileBytes));
        if (attempt.IsTold || Mutant.Is("merge-tells-itself"))
        {
            parts.Log.Counters.Events.Raise(
                SystemEvents.Merge, ("tables", attempt.Sources.Length), ("entries", info.Entries), ("bytes", info.FileBytes));
        }
    }

    // SYS-2: what the engine told comes into tables too, and a merge of nothing else is not told, or each would be the reason of the next.
    private static bool HasMoreThanEvents(Table table)
    {
        var cursor = new TableCursor(table, keep: false);
        return (cursor.MoveTo(Probe.Behind(default)) && RunId.Read(cursor.Key) != RunId.System)
            || cursor.MoveTo(Probe.Behind(RunId.System));
    }

    private static Manifest WithMerged(Manifest manifest, Table[] sources, TableInfo merged)
    {
        uint[] gone = [.. sources.Select(source => source.Info.Number)];
        var checkpoints = manifest.Checkpoints.Select(checkpoint => checkpoint with { Tables = InPlaceOf(checkpoint.Tables) }).ToArray();
        return manifest with
        {
            Checkpoints = checkpoints,
            Tables = [.. manifest.Tables.Where(table => !gone.Contains(table.Number)).Append(merged).OrderBy(table => table.Number)],
            NextTable = Math.Max(manifest.NextTable, merged.Number + 1),
        };

        uint[] InPlaceOf(IReadOnlyList<uint> tables)
        {
            var first = tables.ToList().IndexOf(gone[0]);
            Invariant.Check(
                first >= 0 && tables.Skip(first).Take(gone.Length).SequenceEqual(gone), "every kept checkpoint has what is merged (G2)");
            return [.. tables.Take(first), merged.Number, .. tables.Skip(first + gone.Length)];
        }
    }

    private bool IsFullBeforeNamed(Exception cause, string path) =>
        cause is StorageException { Error: StorageError.NoSpace } && !parts.Storage.Exists(path);

    // G4. After a failure, or when it is given up.
    private void Abandon()
    {
        if (_attempt is not { } attempt)
            return;
        Volatile.Write(ref _attempt, null);
        attempt.Verification?.Dispose();
        attempt.Merge?.Dispose();
        if (parts.State.HasFailed)
            return;
        attempt.Opened?.Dispose();
        if (attempt.Info is { } info)
            Unlink(info.Path);
    }

    private void Unlink(string path)
    {
        try
        {
            parts.Storage.Unlink(path);
        }
        catch (StorageException)
        {
            // Nothing names it: it goes at the next opening.
        }
    }

    /// <summary>The database is closed: nobody reads any more.</summary>
    public void Dispose()
    {
        lock (parts.Turn.Gate)
        {
            Abandon();
            _retired.End(discards: !parts.State.HasFailed);
        }
    }

    /// <summary>A merge under way.</summary>
    /// <param name="sources">Newest first.</param>
    /// <param name="line">Readers from before it may be at a sequence that no pin and no checkpoint holds.</param>
    /// <param name="isFull">All that could be merged at its beginning.</param>
    private sealed class Attempt(Table[] sources, long line, bool isFull)
    {
        internal Table[] Sources => sources;

        internal bool IsFull => isFull;

        internal long Line => line;

        internal uint Number { get; set; }

        /// <summary>What is merged into the oldest of them is more than what the engine told of itself.</summary>
        internal bool IsTold { get; set; }

        internal TableMerge? Merge { get; set; }

        internal TableInfo? Info { get; set; }

        internal Table? Opened { get; set; }

        internal TableVerification? Verification { get; set; }

        internal bool IsPublished { get; set; }
    }
}
