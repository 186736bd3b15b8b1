// Rebuilding: a damaged table is made anew from what lies below it and the log (MNT-11). A table is derived: it is what the commits between
// two cuts left, and the log has those commits, as long as retention has not given them up.
//
//      image      [7]  [6]  [5]  [2]                 6 is damaged; below it all is right up to sequence 500, the end of 5
//      log              ......|501 ........ 600|...   600 is the end of 6
//      rebuilt    [7]  [8]  [5]  [2]                 8 = what 501 to 600 left above 5 and 2, named in the place of 6 in both checkpoints
//
//   confirm   the file is read whole once more: what was only read wrong is no damage
//   replay    the tables below it as an image of their own, the log from there to the table's last sequence through the one Apply
//   write     what changed, as a checkpoint writes it (CutTable); synced, named, read back
//   wait      until readers from before have left, and no pin lies below the table's end: the new one has the newest versions only
//   publish   a manifest names it in the place of the damaged one; the image with it becomes the current one
//   discard   behind the last reader the damaged file goes to quarantine/, with a report
//
// B1  Rebuilt or alarm, nothing between: a table whose commits the log no longer has stays, and so does the alarm, with the reason and what
//     to do. A damaged block is Corruption to who reads it, before and meanwhile (T5).
// B2  Of several the oldest goes first: the others lie above it. What rests on a damaged table or a damaged log is not rebuilt from it.
// B3  The same sequences as before and nothing else: replay ends at the mark of the checkpoint that the table came from, or at the last
//     commit in it. It must end at exactly the sequence that the manifest says.
// B4  A failure before the manifest throws the new table away; one behind it ends writing. Nothing in the log or in archives is ever
//     changed: what they have is primary, and when it is damaged there is nothing here to make it from.
//
// Costs the memory of what the table holds, and a read of the log between its ends: of its segments, for they are not indexed.

using Cairn.Checkpoints;
using Cairn.Log;
using Cairn.Storage;
using Cairn.Store;
using Cairn.Store.Native;
using Cairn.Transactions;

namespace Cairn.Recovery;

/// <summary>See the essay above. Thread-safe: whoever calls does the next step.</summary>
internal sealed class Rebuilder(
    CheckpointParts parts, Merger merger, DamagedTables damaged, OperationTable operations, Limits limits) : IDisposable
{
    private const long CacheBytes = 4 << 20;
    private const int EntriesPerStep = 4096;
    private const int RecordsPerStep = 1024;

    private readonly Lock _gate = new();
    private Attempt? _attempt;
    private readonly Dictionary<uint, string> _made = [];    // what has taken the place of which table, in this opening

    /// <summary>A bounded piece of work.</summary>
    /// <returns>False when there is nothing to do now.</returns>
    /// <exception cref="BusyException">The disk is full; the attempt was given up and comes again.</exception>
    /// <exception cref="CairnException">Something could not be read or written; the same.</exception>
    internal bool Step()
    {
        lock (_gate)
        {
            parts.State.ThrowIfFailed();
            ForgetUnnamed();
            try
            {
                return _attempt is { } attempt ? Continue(attempt) : Begin();
            }
            catch (CorruptionException damage) when (_attempt is { IsPublished: false } attempt)
            {
                Hinder(attempt, damage);
                return true;
            }
            catch (Exception cause)
            {
                if (TableFailure.Judge(cause, _attempt is { IsPublished: true }, parts.State, parts.Storage, Abandon) is { } told)
                    throw told;
                throw;
            }
        }
    }

    /// <summary>Gives up what is under way.</summary>
    internal void GiveUp()
    {
        lock (_gate)
            Abandon();
    }

    /// <summary>Looks at all tables, on this thread, and rebuilds those that are damaged.</summary>
    internal RebuildReport RebuildAll(IProgress<TransferProgress>? progress, CancellationToken cancellationToken)
    {
        var manifest = parts.Device.Manifest;
        var (read, done, total) = (0, 0L, manifest.Tables.Sum(table => table.FileBytes));
        foreach (var table in manifest.Tables)
        {
            cancellationToken.ThrowIfCancellationRequested();
            Examine(table, cancellationToken);
            done += table.FileBytes;
            progress?.Report(new TransferProgress("reading tables", done, total));
            read++;
        }

        var found = damaged.All;
        damaged.ForgetJudgements();
        while (damaged.AnyUnjudged)
        {
            cancellationToken.ThrowIfCancellationRequested();
            Step();
            if (damaged.Waiting is not null)
                break;                                       // whoever calls may be the one that is waited for
            Thread.Yield();
        }

        return new RebuildReport { TablesRead = read, Damaged = [.. found.Select(Became).OfType<RebuiltTable>()] };
    }

    private void Examine(TableInfo info, CancellationToken cancellationToken)
    {
        try
        {
            using var table = Table.Open(parts.Storage, info, parts.Device.DatabaseId, new BlockCache(CacheBytes));
            using var verification = new TableVerification(table);
            while (!verification.Step(EntriesPerStep))
                cancellationToken.ThrowIfCancellationRequested();
        }
        catch (CorruptionException damage)
        {
            damaged.Tell(info, damage);                      // one that a merge replaced meanwhile is named no more
        }
        catch (StorageException failure)
        {
            throw failure.ToCairn(parts.Storage.Description);
        }
    }

    private RebuiltTable? Became(DamagedTable found)
    {
        string? made;
        lock (_gate)
            made = _made.GetValueOrDefault(found.Table.Number);
        if (made is not null)
            return new RebuiltTable(found.Table.Path, found.Damage.Message, made, null);
        return damaged.All.FirstOrDefault(table => table.Table.Number == found.Table.Number) is { } left
            ? new RebuiltTable(left.Table.Path, left.Damage.Message, null, left.Hindrance ?? damaged.Waiting ?? "")
            : null;
    }

    // A merge has taken the place of a table: it could read all of it.
    private void ForgetUnnamed()
    {
        if (damaged.Count == 0)
            return;
        var manifest = parts.Device.Manifest;
        foreach (var table in damaged.All.Where(table => !manifest.Tables.Any(named => named.Number == table.Table.Number)))
            damaged.Forget(table.Table.Number);
    }

    private bool Begin()
    {
        // B2.
        if (damaged.All.FirstOrDefault(table => table.Hindrance is null) is not { } chosen)
            return false;
        _attempt = new Attempt(chosen, Epoch.Advance(), parts.Clock.GetTimestamp());
        return true;
    }

    private bool Continue(Attempt attempt)
    {
        if (!attempt.IsConfirmed)
            Confirm(attempt);
        else if (attempt.Verification is { } verification)
            Verify(attempt, verification);
        else if (attempt.Info is { } info)
            return Publish(attempt, info);
        else if (attempt.Writing is { } writing)
            Write(attempt, writing);
        else if (attempt.Replayed is { } replayed)
            Replay(attempt, replayed);
        else
            return BeginReplay(attempt);
        return true;
    }

    // ---- confirm --------------------------------------------------------------------------------------------------------------

    private void Confirm(Attempt attempt)
    {
        try
        {
            attempt.Suspect ??= Table.Open(parts.Storage, attempt.Table, parts.Device.DatabaseId, new BlockCache(CacheBytes));
            attempt.Confirmation ??= new TableVerification(attempt.Suspect);
            if (!attempt.Confirmation.Step(EntriesPerStep))
                return;
        }
        catch (CorruptionException)
        {
            attempt.IsConfirmed = true;
        }
        catch (CairnException unread) when (unread.Code == ErrorCode.Io)
        {
            attempt.IsConfirmed = true;                      // what cannot be read is no better
        }
        catch (StorageException)
        {
            attempt.IsConfirmed = true;
        }

        attempt.EndConfirmation();
        if (attempt.IsConfirmed)
            return;
        Abandon();
        damaged.Forget(attempt.Table.Number);
        damaged.ForgetJudgements();                          // of those that it lies below
    }

    // ---- replay ---------------------------------------------------------------------------------------------------------------

    private bool BeginReplay(Attempt attempt)
    {
        if (IsPinnedBelow(attempt))
            return false;
        lock (parts.Turn.Gate)                               // so that no merge unlinks what is opened here
        {
            var manifest = parts.Device.Manifest;
            if (manifest.Checkpoints.Count == 0 || IndexIn(manifest.Checkpoints[^1], attempt.Table) is not { } index)
            {
                Abandon();
                return true;
            }

            uint[] below = [.. manifest.Checkpoints[^1].Tables.Skip(index + 1)];
            var since = below.Length == 0 ? 0 : manifest.Tables.First(table => table.Number == below[0]).LastSequence;
            if (parts.Device.HoldFrom(since + 1, "the rebuilding of a table") is not { } hold)
            {
                damaged.Judge(
                    attempt.Table.Number,
                    $"what is below it ends at sequence {since}, and the log begins at {manifest.Segments[0].FirstSequence}.");
                Abandon();
                return true;
            }

            attempt.Hold = hold;
            attempt.Since = since;
            attempt.Position = hold.Position;
            attempt.Mark = manifest.Checkpoints.FirstOrDefault(checkpoint => checkpoint.Tables[0] == attempt.Table.Number);
            attempt.Time = attempt.Mark?.CommitTime ?? 0;
            var cache = new BlockCache(CacheBytes) { Damaged = damaged.Tell };
            var replayed = new RecoveredState(
                parts.Storage, attempt.Pins, new VisibleSequence(), operations, limits, cache, parts.Catalogue.Content!);
            attempt.Replayed = replayed;
            replayed.Begin(
                manifest, below.Length == 0 ? null : new ManifestCheckpoint(0, since, attempt.Time, hold.Position, 0, below));
        }

        return true;
    }

    private static int? IndexIn(ManifestCheckpoint checkpoint, TableInfo table)
    {
        for (var i = 0; i < checkpoint.Tables.Count; i++)
        {
            if (checkpoint.Tables[i] == table.Number)
                return i;
        }

        return null;
    }

    private void Replay(Attempt attempt, RecoveredState replayed)
    {
        using var reader = new LogReader(parts.Device);
        var scan = reader.Scan(attempt.Position);
        for (var records = 0; records < RecordsPerStep; records++)
        {
            if (!scan.MoveNext() || scan.Position >= attempt.Mark?.MarkPosition
                || (scan.Header.Type == RecordType.Transaction && scan.Header.Sequence > attempt.Table.LastSequence))
            {
                BeginWriting(attempt, replayed);
                return;
            }

            attempt.Position = scan.Position + (ulong)scan.Header.RecordLength;
            if (IsBehind(attempt, replayed, scan.Header, scan.Payload))
                Follow(attempt, replayed, scan);
        }
    }

    // Whether what lies below has it not. Of openings the catalogue's record knows the last one.
    private static bool IsBehind(Attempt attempt, RecoveredState replayed, in RecordHeader header, ReadOnlySpan<byte> payload) =>
        header.Type == RecordType.Transaction ? header.Sequence > attempt.Since
        : header.Type == RecordType.Open && Opening.TryRead(payload, out var opening)
            ? header.Sequence >= attempt.Since && opening.Epoch > replayed.Openings.Epoch
        : header.Sequence >= attempt.Since;

    private static void Follow(Attempt attempt, RecoveredState replayed, in LogScan scan)
    {
        try
        {
            replayed.Follow(scan.Header, scan.Payload, scan.Position);
            if (scan.Header.Type == RecordType.Transaction && attempt.Mark is null)
                attempt.Time = TransactionPayload.ReadCommitTime(scan.Payload);
        }
        catch (MalformedPayloadException malformed)
        {
            throw new CorruptionException(
                LogNames.LogDirectory, (long)scan.Position, new Sequence(scan.Header.Sequence), $"{malformed.Expected}, at that position");
        }
    }

    // ---- write ----------------------------------------------------------------------------------------------------------------

    private void BeginWriting(Attempt attempt, RecoveredState replayed)
    {
        var (catalogue, cut) = (replayed.Catalogue, attempt.Table.LastSequence);
        catalogue.EndLoad();
        if (catalogue.State.LastSequence != cut)             // B3
        {
            throw new CorruptionException(
                LogNames.LogDirectory, (long)attempt.Position, new Sequence(catalogue.State.LastSequence), $"a log with sequence {cut}");
        }

        attempt.Pins.TakeAt(cut, SnapshotRegistry.AllRuns);
        catalogue.Cut = cut;
        List<RunState> frozen = [.. catalogue.TakeChanged()];
        if (!frozen.Contains(catalogue.State))
            frozen.Add(catalogue.State);
        foreach (var run in frozen)
            run.Freeze(cut);
        lock (parts.Turn.Gate)
            attempt.Number = parts.Turn.TakeNumber();
        var openings = replayed.Openings;
        attempt.Writing = new CutTable(
            new TableCut(cut, attempt.Time, attempt.Since, openings.Epoch, openings.Unclean), catalogue, frozen, replayed.Image.Value,
            () => new TableWriter(parts.Storage, attempt.Number, parts.Device.DatabaseId, parts.DrawBits()));
    }

    private void Write(Attempt attempt, CutTable writing)
    {
        if (writing.Step())
            return;
        Failpoint.Hit("rebuild.written-before-finished");
        try
        {
            attempt.Info = writing.Finish();
        }
        catch (Exception cause) when (!IsFullBeforeNamed(cause, LogNames.TablePath(attempt.Number)))
        {
            throw parts.State.Fail(cause);
        }

        attempt.EndReplay();
        Failpoint.Hit("rebuild.table-named");
        attempt.Opened = Table.Open(parts.Storage, attempt.Info, parts.Device.DatabaseId, parts.Cache);
        attempt.Verification = new TableVerification(attempt.Opened);
    }

    private bool IsFullBeforeNamed(Exception cause, string path) =>
        cause is StorageException { Error: StorageError.NoSpace } && !parts.Storage.Exists(path);

    private static void Verify(Attempt attempt, TableVerification verification)
    {
        if (!verification.Step(EntriesPerStep))
            return;
        verification.Dispose();
        attempt.Verification = null;
    }

    // ---- publish --------------------------------------------------------------------------------------------------------------

    // A pin below the table's end may need versions that were superseded inside of it, and the new one has the newest only.
    private bool IsPinnedBelow(Attempt attempt)
    {
        var isPinned = parts.Pins.Count(out var oldest) > 0 && oldest < attempt.Table.LastSequence
            && !Mutant.Is("rebuild-ignores-pins");
        damaged.Waiting = isPinned ? $"it waits until the snapshot at sequence {oldest} is released." : null;
        return isPinned;
    }

    private bool Publish(Attempt attempt, TableInfo info)
    {
        if (!Epoch.HasPassed(attempt.Line))
            return true;
        lock (parts.Turn.Gate)
        {
            if (IsPinnedBelow(attempt))
                return false;
            merger.GiveUp();
            var image = parts.Image.Value;
            if (IndexOf(image, attempt.Table) is not { } index)
            {
                Abandon();
                return true;
            }

            Failpoint.Hit("rebuild.before-manifest");
            var manifest = parts.Publish(manifest => WithRebuilt(manifest, attempt.Table, info));
            attempt.IsPublished = true;
            Failpoint.Hit("rebuild.manifest-published");
            var old = image.Tables[index];
            parts.Catalogue.Replace(image.WithMerged(index, 1, attempt.Opened!));
            parts.Retired.Add(old, Epoch.Advance(), manifest.Number, path => SetAside(path, info, attempt.Damage));
            _attempt = null;
            attempt.End();
            damaged.Forget(attempt.Table.Number);
            damaged.ForgetJudgements();
            Tell(attempt, info);
        }

        return true;
    }

    private static int? IndexOf(Image image, TableInfo table)
    {
        for (var i = 0; i < image.Tables.Length; i++)
        {
            if (image.Tables[i].Info.Number == table.Number)
                return i;
        }

        return null;
    }

    private static Manifest WithRebuilt(Manifest manifest, TableInfo old, TableInfo rebuilt) => manifest with
    {
        Checkpoints =
        [
            .. manifest.Checkpoints.Select(checkpoint => checkpoint with
            {
                Tables = [.. checkpoint.Tables.Select(number => number == old.Number ? rebuilt.Number : number)],
            }),
        ],
        Tables = [.. manifest.Tables.Where(table => table.Number != old.Number).Append(rebuilt).OrderBy(table => table.Number)],
        NextTable = Math.Max(manifest.NextTable, rebuilt.Number + 1),
    };

    // The report is for people; a file that cannot be set aside is named by nothing and goes at the next opening.
    private void SetAside(string path, TableInfo rebuilt, CorruptionException damage)
    {
        try
        {
            new Quarantine(parts.Storage, new RecoveryFindings()).Move(path, $"{damage.Message} Rebuilt as {rebuilt.Path}.\n");
        }
        catch (StorageException failure) when (failure.IsOfSync)
        {
            parts.State.Fail(failure);
        }
        catch (StorageException)
        {
            return;
        }
    }

    private void Tell(Attempt attempt, TableInfo info)
    {
        _made[attempt.Table.Number] = info.Path;
        damaged.Made(info.FileBytes);
        parts.Log.Counters.Events.Raise(
            SystemEvents.Rebuild,
            ("file", attempt.Table.Path), ("rebuilt_as", info.Path), ("entries", info.Entries), ("bytes", info.FileBytes),
            ("ms", (long)parts.Clock.GetElapsedTime(attempt.Began).TotalMilliseconds));
    }

    // ---- the end --------------------------------------------------------------------------------------------------------------

    // B1, B2.
    private void Hinder(Attempt attempt, CorruptionException damage)
    {
        Abandon();
        if (PublishedFile.DirectoryOf(damage.File) == LogNames.TableDirectory
            && parts.Device.Manifest.Tables.FirstOrDefault(table => table.Path == damage.File) is { } other)
            damaged.Tell(other, damage);
        damaged.Judge(attempt.Table.Number, $"what it would be made from is damaged: {damage.Message}");
    }

    private void Abandon()
    {
        if (_attempt is not { } attempt)
            return;
        _attempt = null;
        damaged.Waiting = null;
        attempt.End();
        if (parts.State.HasFailed || attempt.IsPublished)
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

    /// <summary>Ends what is under way.</summary>
    public void Dispose() => GiveUp();

    /// <summary>A table that is being rebuilt.</summary>
    /// <param name="line">Readers from before it may be at a sequence that no pin holds.</param>
    private sealed class Attempt(DamagedTable chosen, long line, long began)
    {
        internal TableInfo Table => chosen.Table;

        internal CorruptionException Damage => chosen.Damage;

        internal long Line => line;

        internal long Began => began;

        internal Table? Suspect { get; set; }

        internal TableVerification? Confirmation { get; set; }

        internal bool IsConfirmed { get; set; }

        internal SnapshotRegistry Pins { get; } = new();

        internal LogHold? Hold { get; set; }

        /// <summary>Where what lies below ends.</summary>
        internal ulong Since { get; set; }

        /// <summary>Of the next record.</summary>
        internal ulong Position { get; set; }

        /// <summary>The kept checkpoint that the table came from, if it is of one.</summary>
        internal ManifestCheckpoint? Mark { get; set; }

        internal long Time { get; set; }

        internal RecoveredState? Replayed { get; set; }

        internal uint Number { get; set; }

        internal CutTable? Writing { get; set; }

        internal TableInfo? Info { get; set; }

        internal Table? Opened { get; set; }

        internal TableVerification? Verification { get; set; }

        internal bool IsPublished { get; set; }

        internal void EndConfirmation()
        {
            Confirmation?.Dispose();
            Suspect?.Dispose();
            (Confirmation, Suspect) = (null, null);
        }

        internal void EndReplay()
        {
            Writing?.Dispose();
            Replayed?.Dispose();
            Hold?.Dispose();
            (Writing, Replayed, Hold) = (null, null, null);
        }

        internal void End()
        {
            EndConfirmation();
            EndReplay();
            Verification?.Dispose();
        }
    }
}
