using System.Diagnostics.CodeAnalysis;
using Cairn.Feed;
using Cairn.Log;
using Cairn.Maintenance;
using Cairn.Primitives;
using Cairn.Search;
using Cairn.Store;
using Cairn.Text;
using Cairn.Transactions;

namespace Cairn;

/// <summary>The rooms of one open database, put together. Handles hold this; it has no behaviour of its own but running
/// transactions.</summary>
internal sealed class Engine
{
    /// <summary>TX-30: losses after the first before a transaction gives up.</summary>
    internal const int TransactRetries = 3;

    private static readonly TimeSpan BackOffMin = TimeSpan.FromMilliseconds(10);
    private static readonly TimeSpan BackOffMax = TimeSpan.FromMilliseconds(100);

    /// <summary>The transaction whose function this thread is running.</summary>
    [ThreadStatic]
    private static TransactionContext? _running;

    /// <summary>The transaction whose awaited function this flow of control is in, on whatever thread it goes on.</summary>
    private static readonly AsyncLocal<TransactionContext?> Flowing = new();

    private readonly Lock _gate = new();
    private readonly HashSet<TransactionContext> _open = [];
    private long _retries;

    internal required CairnOptions Options { get; init; }

    internal required CommitPath Path { get; init; }

    internal required SnapshotRegistry Pins { get; init; }

    internal required Cursors Cursors { get; init; }

    internal required RandomSource Random { get; init; }

    internal required Counters Counters { get; init; }

    /// <summary>Wakes who waits for events.</summary>
    internal required EventFeed Feed { get; init; }

    /// <summary>The open streams of changes.</summary>
    internal required ChangeFeed Changes { get; init; }

    internal Meters? Meters { get; set; }

    /// <summary>What the open views of runs take.</summary>
    internal OpenViews Views { get; } = new();

    internal Maintainer? Maintainer { get; set; }

    /// <summary>Keeps memory within its budget; null in memory.</summary>
    internal ResidencyJob? Residency { get; set; }

    /// <summary>Null in memory without a log, and when the database is read-only.</summary>
    internal TriggerJob? TriggerJob { get; set; }

    /// <summary>Null when the database is read-only.</summary>
    internal IndexJob? IndexJob { get; set; }

    /// <summary>What a search has around it, its indexes among it.</summary>
    internal SearchRoom SearchRoom => field ??= new SearchRoom(
        new ListingRoom(Cursors, Pins), Texts, Options.TextAnalysis, Options.TextIndexing == TextIndexing.OnSearch);

    /// <summary>Indexes of words.</summary>
    internal required TextIndexes Texts { get; init; }

    /// <summary>Null in memory without a log, and when the database is read-only.</summary>
    internal Compactions? Compactions { get; set; }

    /// <summary>How the openings before this one ended; null in memory.</summary>
    internal Openings? Openings { get; init; }

    /// <summary>Owns the image that memory lies above; null in memory.</summary>
    internal Recovery.RecoveredState? Recovered { get; init; }

    /// <summary>Makes checkpoints; null where nothing is written.</summary>
    internal Checkpoints.Checkpointer? Checkpointer { get; init; }

    /// <summary>Merges what checkpoints wrote; null where nothing is written.</summary>
    internal Checkpoints.Merger? Merger { get; init; }

    /// <summary>Lets go of events; null where nothing is written.</summary>
    internal Maintenance.Trims? Trims { get; set; }

    /// <summary>Rebuilds tables that are damaged; null where nothing is written.</summary>
    internal Recovery.Rebuilder? Rebuilder { get; init; }

    /// <summary>Of the tables below memory; null in memory.</summary>
    internal DamagedTables? DamagedTables { get; init; }

    /// <summary>Blocks of tables; null without tables.</summary>
    internal BlockCache? Blocks { get; init; }

    internal Limits Limits => Options.Limits;

    /// <summary>The policy of runs that have none of their own.</summary>
    internal Retention Retention => Options.Retention ?? (Path.IsUnlogged ? Retention.KeepLast(1) : Retention.KeepAll);

    internal Catalogue Catalogue => Path.Catalogue;

    internal EngineState State => Path.State;

    internal TimeProvider Clock => Path.Clock;

    /// <summary>Conflicts that were tried again.</summary>
    internal long Retries => Volatile.Read(ref _retries);

    internal int OpenTransactions
    {
        get
        {
            lock (_gate)
                return _open.Count;
        }
    }

    /// <summary>The open transaction that began first; null = none is open.</summary>
    internal (ulong Sequence, TimeSpan Age)? OldestTransaction
    {
        get
        {
            lock (_gate)
                return _open.MaxBy(transaction => transaction.Age) is { } oldest ? (oldest.Sequence, oldest.Age) : null;
        }
    }

    // ---- transactions -------------------------------------------------------------------------------------------------------

    /// <param name="outside">The transaction that is running already, of another database.</param>
    internal TransactionContext Begin(ReadOnlySpan<RunState> runs, TransactionOptions options, TransactionContext? outside = null)
    {
        if (runs.Length == 0)
            throw new CairnException(ErrorCode.InvalidArgument, "A transaction names at least one run.");
        if (runs.Length > Limits.TransactionRunsMax)
            throw new LimitException(nameof(Limits.TransactionRunsMax), Limits.TransactionRunsMax, runs.Length, "runs");
        var timeout = options.Timeout ?? Limits.TransactionTimeMax;
        if (timeout <= TimeSpan.Zero || timeout > Limits.TransactionTimeMax)
            throw new LimitException(
                nameof(Limits.TransactionTimeMax), (long)Limits.TransactionTimeMax.TotalMilliseconds, (long)timeout.TotalMilliseconds,
                "ms");
        if (options.Retries is < 0 or > TransactionOptions.RetriesMax)
            throw new CairnException(
                ErrorCode.InvalidArgument, $"Retries is {options.Retries}; it must be from 0 to {TransactionOptions.RetriesMax}.");
        Path.NeedsSync(options.Commit);
        var attributes = options.Commit.Attributes?.Encode(Limits);
        Path.ThrowIfNotReadable();
        var sorted = runs.ToArray();
        Array.Sort(sorted, (left, right) => left.Id.CompareTo(right.Id));
        for (var i = 1; i < sorted.Length; i++)
        {
            if (sorted[i] == sorted[i - 1])
                throw new CairnException(ErrorCode.InvalidArgument, $"Run {sorted[i].Id} is named twice in one transaction.");
        }

        var transaction = new TransactionContext(Path, Pins, sorted, options.Isolation == Isolation.Serializable, timeout)
        {
            Options = options,
            Encoded = attributes,
            Outside = outside,
        };
        lock (_gate)
            _open.Add(transaction);
        return transaction;
    }

    internal void End(TransactionContext transaction)
    {
        transaction.End();
        lock (_gate)
            _open.Remove(transaction);
    }

    /// <summary>Commits and waits. The transaction has ended either way.</summary>
    internal Sequence Commit(TransactionContext transaction)
    {
        using var use = transaction.Enter();
        transaction.ThrowIfExpired();
        var began = Clock.GetTimestamp();
        var batch = Batch.RentMine(transaction.Attributes());
        try
        {
            batch.Record.NeedsSync = Path.NeedsSync(transaction.Options.Commit);
            var placed = transaction.Place(batch, began);
            if (placed.Sequence != 0 || placed.Refusal is not null)
                Path.Wait(batch, placed, OperationClass.Transaction);
            Path.Time(began, OperationClass.Transaction, batch.Record.NeedsSync);
            if (placed.Refusal is { } refusal)
                throw transaction.ToException(refusal);
            transaction.Committed(placed, batch);
            Batch.ReturnMine(batch);
            return new Sequence(placed.Sequence);
        }
        finally
        {
            End(transaction);
        }
    }

    internal async ValueTask<Sequence> CommitAsync(TransactionContext transaction, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        var began = Clock.GetTimestamp();
        var needsSync = Path.NeedsSync(transaction.Options.Commit);
        var placed = PlaceAndEnd(transaction, needsSync, began);
        if (placed.Sequence != 0)
            await Path.WhenVisibleAsync(placed.Sequence, needsSync, cancellationToken).ConfigureAwait(false);
        Path.Time(began, OperationClass.Transaction, needsSync);
        return placed.Refusal is { } refusal ? throw transaction.ToException(refusal) : new Sequence(placed.Sequence);
    }

    private Placed PlaceAndEnd(TransactionContext transaction, bool needsSync, long began)
    {
        using var use = transaction.Enter();
        transaction.ThrowIfExpired();
        try
        {
            // The record is read once more after the commit (receipts), so it is not a pooled one.
            var batch = Batch.RentOwned(transaction.Attributes());
            batch.Record.NeedsSync = needsSync;
            var placed = transaction.Place(batch, began);
            if (placed.Refusal is null)
                transaction.Committed(placed, batch);
            return placed;
        }
        finally
        {
            End(transaction);
        }
    }

    /// <summary>Runs a function as a transaction, again when it lost to another one (TX-30).</summary>
    internal T Transact<T>(ReadOnlySpan<RunState> runs, TransactionOptions options, int retries, Func<TransactionContext, T> body)
    {
        if (TryJoin(runs, out var outer))
            return body(outer);
        using var activity = Meters.Activities.StartActivity("cairn.transact");
        using var timing = Path.BeginTiming(OperationClass.Transact);
        var attempts = 0;
        var backOff = BackOffMin;
        AskedInputs? asked = null;
        while (true)
        {
            var outside = _running;
            var transaction = Begin(runs, options, outside);
            transaction.Asked = asked;
            asked?.BeginTry();
            attempts++;
            try
            {
                T result;
                _running = transaction;
                try
                {
                    result = body(transaction);
                }
                finally
                {
                    _running = outside;
                }

                transaction.Asked?.AbandonRest();
                Commit(transaction);
                Settle(activity, "ok", attempts);
                return result;
            }
            catch (ConflictException conflict) when (transaction.LostAtCommit)
            {
                // The first loss is free; the commit that won is visible by now, so the next try sees it.
                Settle(activity, "conflict", attempts);
                if (attempts > retries + 1)
                    throw conflict.WithAttempts(attempts);
                Interlocked.Increment(ref _retries);
            }
            catch (BusyException) when (attempts <= retries)
            {
                using var never = new ManualResetEventSlim(false);
                never.Wait(NextBackOff(ref backOff));
            }
            finally
            {
                asked = transaction.Asked;
                End(transaction);
            }
        }
    }

    // The last one that is told counts; without any the function threw.
    private static void Settle(System.Diagnostics.Activity? activity, string outcome, int attempts)
    {
        activity?.SetTag("cairn.outcome", outcome);
        activity?.SetTag("cairn.attempts", attempts);
    }

    /// <summary>The same with a function that is awaited; nothing in it blocks a thread.</summary>
    internal ValueTask<T> TransactAsync<T>(
        RunState[] runs, TransactionOptions options, int retries, Func<TransactionContext, ValueTask<T>> body,
        CancellationToken cancellationToken) =>
        TryJoin(runs, out var outer) ? body(outer) : RunAsync(runs, options, retries, body, cancellationToken);

    private async ValueTask<T> RunAsync<T>(
        RunState[] runs, TransactionOptions options, int retries, Func<TransactionContext, ValueTask<T>> body,
        CancellationToken cancellationToken)
    {
        using var activity = Meters.Activities.StartActivity("cairn.transact");
        using var timing = Path.BeginTiming(OperationClass.Transact);
        var attempts = 0;
        var backOff = BackOffMin;
        var outside = Flowing.Value;
        AskedInputs? asked = null;
        while (true)
        {
            var transaction = Begin(runs, options, outside);
            transaction.Asked = asked;
            asked?.BeginTry();
            attempts++;
            try
            {
                T result;
                Flowing.Value = transaction;
                try
                {
                    result = await body(transaction).ConfigureAwait(false);
                }
                finally
                {
                    Flowing.Value = outside;
                }

                transaction.Asked?.AbandonRest();
                await CommitAsync(transaction, cancellationToken).ConfigureAwait(false);
                Settle(activity, "ok", attempts);
                return result;
            }
            catch (ConflictException conflict) when (transaction.LostAtCommit)
            {
                Settle(activity, "conflict", attempts);
                if (attempts > retries + 1)
                    throw conflict.WithAttempts(attempts);
                Interlocked.Increment(ref _retries);
            }
            catch (BusyException) when (attempts <= retries)
            {
                await Task.Delay(NextBackOff(ref backOff), Clock, cancellationToken).ConfigureAwait(false);
            }
            finally
            {
                asked = transaction.Asked;
                End(transaction);
            }
        }
    }

    // TX-37: a transaction inside another on the same runs joins it, whichever of the two is awaited.
    private bool TryJoin(ReadOnlySpan<RunState> runs, [NotNullWhen(true)] out TransactionContext? outer)
    {
        outer = FindMine(_running) ?? FindMine(Flowing.Value);
        if (outer is null)
            return false;
        foreach (var run in runs)
        {
            if (outer.Find(run.Id) is null)
                throw new CairnException(
                    ErrorCode.InvalidArgument,
                    $"Run {run.Id} is not named in the transaction that is running. Name all runs up front: db.Transact(runs, ...).");
        }

        return true;
    }

    /// <summary>The transaction of a run whose function this flow of control is in; null = none.</summary>
    internal TransactionContext? FindRunning(RunState run)
    {
        var running = FindMine(_running) ?? FindMine(Flowing.Value);
        return running?.Find(run.Id) is null ? null : running;
    }

    // What a function has left running when it ended joins nothing: its transaction is over.
    private TransactionContext? FindMine(TransactionContext? running)
    {
        while (running is not null && (running.Path != Path || running.IsOver))
            running = running.Outside;
        return running;
    }

    private TimeSpan NextBackOff(ref TimeSpan backOff)
    {
        Interlocked.Increment(ref _retries);
        var jitter = 0.5 + (Random.NextUInt64() >> 11) * (0.5 / (1UL << 53));
        var wait = backOff * jitter;
        backOff = backOff * 2 > BackOffMax ? BackOffMax : backOff * 2;
        return wait;
    }

    /// <summary>By the maintainer (TX-32).</summary>
    internal int CloseOldTransactions()
    {
        List<TransactionContext> old;
        lock (_gate)
            old = _open.Where(transaction => transaction.IsTooOld).ToList();
        foreach (var transaction in old)
        {
            transaction.CloseIfTooOld();
            lock (_gate)
                _open.Remove(transaction);
        }

        return old.Count;
    }

    // ---- figures ------------------------------------------------------------------------------------------------------------

    internal DatabaseMetrics ReadMetrics()
    {
        var pins = Pins.Count(out var oldest);
        var log = Path.Log;
        var kept = log.Device as SegmentedLog;
        return new DatabaseMetrics
        {
            LastSequence = new Sequence(log.LastSequence),
            DurableSequence = new Sequence(log.DurableSequence),
            VisibleSequence = new Sequence(Path.IsUnlogged ? log.LastSequence : Catalogue.State.Visible.Value),
            Commits = Path.IsUnlogged ? (long)log.LastSequence : Counters.Commits,
            UnsyncedCommits = log.UnsyncedCommits(out _),
            Groups = Counters.Rounds,
            LargestGroup = Counters.LargestGroup,
            Syncs = Counters.Syncs,
            LogBytesWritten = Counters.Bytes,
            LogSegments = kept?.SegmentCount ?? 0,
            LogBytesKept = kept is null ? 0 : (long)(kept.AppendedPosition - kept.FirstPosition),
            Archives = kept?.Manifest.Archives.Count ?? 0,
            ArchiveBytes = kept?.Manifest.Archives.Sum(archive => archive.FileBytes) ?? 0,
            Tables = kept?.Manifest.Tables.Count ?? 0,
            TableBytes = kept?.Manifest.Tables.Sum(table => table.FileBytes) ?? 0,
            Merges = Merger?.Merges ?? 0,
            MergeBytesWritten = Merger?.BytesWritten ?? 0,
            TablesRebuilt = DamagedTables?.Rebuilt ?? 0,
            Compactions = Compactions?.Done ?? 0,
            CompactionBytesFreed = Compactions?.BytesFreed ?? 0,
            CompactionTime = Compactions?.Time ?? TimeSpan.Zero,
            CompactionBytesNeeded = Compactions?.BytesNeeded ?? 0,
            CompactionBytesGarbage = Compactions?.BytesGarbage ?? 0,
            QueuedCommits = log.QueuedCommits,
            IsDiskFull = State.IsDiskFull,
            DiskFreeBytes = log.Disk?.FreeBytes ?? 0,
            DiskReserveBytes = log.Disk?.ReserveBytes ?? 0,
            Retries = Retries,
            Operations = Enum.GetValues<OperationCode>().ToDictionary(OperationName, code => Counters.Operations.Of((byte)code)),
            FailingJobs = Maintainer?.Jobs.Count(job => job.LastError is not null) ?? 0,
            StalledJobs = Maintainer?.Jobs.Count(job => Maintainer.StalledFor(job) is not null) ?? 0,
            DamagedFiles = (Maintainer?.Jobs.OfType<ScrubJob>().Sum(job => job.Damaged) ?? 0) + (DamagedTables?.Count ?? 0),
            SystemEventsLost = Events.Lost,
            Runs = CountRuns(),
            MemoryBytes = (Path.Memory?.Native ?? Catalogue.Loaded.Sum(run => run.Store.MemoryBytes) + Catalogue.State.Store.MemoryBytes)
                + Views.Bytes,
            Views = Views.Count,
            ViewBytes = Views.Bytes,
            BlockCacheBytes = Blocks?.Bytes ?? 0,
            MemoryBudgetBytes = Path.Memory?.Bytes ?? 0,
            MemoryUsedBytes = Path.Memory?.Used ?? 0,
            MemoryWaits = Path.Memory?.Waits ?? 0,
            MemoryRefusals = Path.Memory?.Refusals ?? 0,
            KeysForgotten = Residency?.Forgotten ?? 0,
            RunsEmptied = Residency?.Emptied ?? 0,
            RunsUnloaded = Residency?.Unloaded ?? 0,
            RunsLoaded = Catalogue.Loaded.Count,
            ContentAttachedBytes = Catalogue.Content?.Attached.Value ?? 0,
            ContentCachedBytes = Catalogue.Content?.CachedBytes ?? 0,
            ContentHits = Catalogue.Content?.Hits ?? 0,
            ContentMisses = Catalogue.Content?.Misses ?? 0,
            Pins = pins,
            OldestPin = pins == 0 ? null : new Sequence(oldest),
            OpenTransactions = OpenTransactions,
            OpenCursors = Cursors.Open,
            ChangeStreams = Changes.Streams,
            ChangeLag = Changes.Lag,
            Outcomes = Counters.Latencies.OutcomesOf(Counters.Outcomes),
            CommitLatency = Counters.Latencies.OfCommits(),
            ReadLatency = Counters.Latencies.Of(OperationClass.Get).Summarise(),
            Latencies = Counters.Latencies.Summarise(Path.IsUnlogged),
        };
    }

    internal IReadOnlyList<JobStatistics> ReadJobs() =>
        [.. (Maintainer?.Jobs ?? []).Select(job => job.Statistics(Volatile.Read(ref Counters.Bytes)))];

    /// <summary>What the engine tells in <c>$sys</c>; any room raises there.</summary>
    internal SystemEvents Events => Counters.Events;

    internal void TellOpening(RecoveryReport report)
    {
        Counters.Latencies.Of(OperationClass.Open).Record((long)report.Duration.TotalNanoseconds);
        if (!Events.IsOn)
            return;
        Events.Raise(
            SystemEvents.Opened,
            ("mode", Options.Durability.ToString()), ("epoch", (long)report.Epoch), ("is_new", report.IsNew),
            ("was_clean", report.WasClosedCleanly), ("ms", (long)report.Duration.TotalMilliseconds));
        if (!report.IsNew && !report.WasClosedCleanly)
        {
            Events.Raise(
                SystemEvents.Recovered,
                ("transactions", report.Transactions), ("bytes", report.Bytes), ("cut_bytes", report.Cut?.Bytes ?? 0),
                ("quarantined", report.Quarantined.Count), ("warnings", report.Warnings.Count));
        }

        foreach (var rejected in report.CheckpointsRejected)
            Events.Raise(SystemEvents.Warning, ("what", "checkpoint rejected"), ("reason", rejected));
    }

    internal void TellDamage(DamagedTable table) => Events.Raise(
        SystemEvents.Warning,
        ("what", "damaged file"), ("file", table.Table.Path), ("offset", table.Damage.Offset),
        ("first_sequence", (long)table.Table.FirstSequence), ("last_sequence", (long)table.Table.LastSequence),
        ("expected", table.Damage.Expected));

    internal void TellWarning(MaintenanceJob job, PaceReading reading)
    {
        if (reading.IsWarned && job.Name != "events")
        {
            Events.Raise(
                SystemEvents.Warning,
                ("what", "load"), ("job", job.Name), ("utilisation", reading.Utilisation), ("predicted_backlog", reading.PredictedBacklog),
                ("capacity", reading.Capacity));
        }
    }

    // Those that always exist are in no count.
    private int CountRuns()
    {
        using var reader = Catalogue.State.Store.Read();
        return 2 + (int)reader.Count(StoreKeys.Run, ulong.MaxValue);
    }

    internal static string OperationName(OperationCode code) => OperationCodes.NameOf(code);

    internal Health ReadHealth()
    {
        var parts = new List<HealthPart>();
        parts.Add(State.HasFailed
            ? new HealthPart("log", HealthStatus.Failed, State.Failure().Message)
            : new HealthPart("log", HealthStatus.Healthy, ""));
        parts.Add(State.IsDiskFull
            ? new HealthPart("disk", HealthStatus.Degraded, State.DiskFull().Message)
            : new HealthPart("disk", HealthStatus.Healthy, ""));
        if (Path.Memory is { IsFull: true } memory)
        {
            parts.Add(new HealthPart(
                "memory", HealthStatus.Degraded,
                $"{memory.Used} of {memory.Bytes} bytes (CairnOptions.MemoryBudgetBytes) are used: writers wait for memory."));
        }

        if (!SyncErrorsAreReported)
        {
            parts.Add(new HealthPart(
                "storage", HealthStatus.Degraded, "This platform does not report sync errors; durability cannot be verified here."));
        }

        foreach (var job in Maintainer?.Jobs ?? [])
        {
            var reason = job.LastError is { } error ? $"failed {job.Failures} time(s), trying again: {error.Message}"
                : Maintainer!.StalledFor(job) is { } time ? $"no progress for {time.TotalSeconds:F0} s"
                : "";
            if (reason.Length == 0 && job.Concern is { } concern)
                reason = concern;
            var status = reason.Length == 0 ? HealthStatus.Healthy : HealthStatus.Degraded;
            if (job.Alarm is { } alarm)
                (status, reason) = (HealthStatus.Failed, alarm);
            parts.Add(new HealthPart(job.Name, status, reason));
        }

        return new Health(parts.Max(part => part.Status), parts) { AcceptsWrites = State.IsOpen };
    }

    /// <summary>False where a failed sync may look like success.</summary>
    internal bool SyncErrorsAreReported { get; init; } = true;

    // ---- runs -----------------------------------------------------------------------------------------------------------------

    /// <summary>Active, and last written in an opening that a crash ended (RUN-11). The two runs that always exist never are.</summary>
    internal bool IsOrphaned(RunState run) => run != Catalogue.Default && run != Catalogue.System && IsOrphaned(run.Numbers);

    // Of numbers that may be changing: each of the two is read whole, and a commit that comes between makes the run no orphan either way.
    private bool IsOrphaned(in RunNumbers numbers) =>
        numbers.Status == RunStatus.Active && Openings is not null && Openings.EndedUncleanly(numbers.LastEpoch);

    /// <summary>Ids of the runs that are orphaned, ascending. Looks at every active run, in memory or not; at none when no opening ended
    /// uncleanly.</summary>
    /// <param name="most">Active runs to look at; null comes back when there are more.</param>
    internal List<RunId>? Orphans(int most = int.MaxValue)
    {
        var orphans = new List<RunId>();
        if (Openings is not { AnyEndedUncleanly: true })
            return orphans;
        byte[] from = [StoreKeys.RunStatusOrder, (byte)RunStatus.Active];
        byte[] to = [StoreKeys.RunStatusOrder, (byte)RunStatus.Active + 1];
        using var pinned = new PinnedScope(Pins, Scope.Live(Path, Catalogue.State, CommitOptions.Default));
        using var reader = Catalogue.State.Store.Read();
        var scan = reader.Scan(from, to, pinned.Scope.Sequence);
        while (scan.MoveNext())
        {
            if (most-- == 0)
                return null;
            var id = RunId.Read(scan.Key[2..]);
            if (Catalogue.TryGetNumbers(id, out var numbers) && IsOrphaned(numbers))
                orphans.Add(id);
        }

        return orphans;
    }

    // ---- the feed of changes --------------------------------------------------------------------------------------------------

    /// <summary>The log that a feed reads.</summary>
    internal SegmentedLog ChangeLog()
    {
        Path.ThrowIfNotReadable();
        return Path.Log.Device as SegmentedLog ?? throw new CairnException(
            ErrorCode.InvalidArgument,
            "This database in memory keeps no log, and a feed of changes is read from the log. Open it with a policy that keeps the past "
            + "(CairnOptions.Retention = Retention.KeepAll or KeepFor), or in a directory.");
    }

    /// <summary>Behind a visible commit; null = the newest.</summary>
    internal ChangeCursor NewestChange(Sequence? behind = null)
    {
        var log = ChangeLog();
        Changes.Enter();
        try
        {
            return ChangeSource.Locate(log, Catalogue, behind?.Value ?? Changes.Visible);
        }
        finally
        {
            Changes.Leave();
        }
    }

    /// <summary>Somebody has changed triggers of a run.</summary>
    internal void TriggersChanged(RunId run)
    {
        if (TriggerJob is not { } job)
            return;
        job.Refresh(run);
        Maintainer?.Wake(job);
    }

    /// <summary>Indexes of a run may have to be built or cleared.</summary>
    internal void IndexesChanged(RunId run)
    {
        if (IndexJob is not { } job)
            return;
        job.Refresh(run);
        Maintainer?.Wake(job);
    }

    /// <summary>What a run committed behind a place is all there still.</summary>
    /// <exception cref="HistoryTrimmedException">It is not.</exception>
    internal void CheckKept(RunState run, ulong sequence, ulong position)
    {
        Changes.Enter();
        try
        {
            var log = ChangeLog();
            using var source = new RunSource(log, run, new ChangeCursor(log.DatabaseId, sequence, position, 0), endsAtGaps: false);
            source.TryNext(Changes.Visible, out _, out _);
        }
        finally
        {
            Changes.Leave();
        }
    }

    /// <param name="run">Null = of the database.</param>
    internal IAsyncEnumerable<CommittedChanges> FollowChangesAsync(
        RunState? run, string? cursor, ChangeFilter? filter, ChangeOptions? options, CancellationToken cancellationToken)
    {
        var log = ChangeLog();
        options ??= ChangeOptions.Default;
        if (options.ValueBytesMax < 0)
            throw new CairnException(ErrorCode.InvalidArgument, $"ValueBytesMax is {options.ValueBytesMax}; it must be 0 or more.");
        var request = new ChangeRequest(
            log, run, cursor is null ? null : ChangeCursor.Parse(cursor, log.DatabaseId), ChangeMatch.Of(filter, Limits), options,
            Options.IsReadOnly);
        return new OpenableChanges(Changes, Path, request, cancellationToken);
    }

    internal RunState Find(RunId id) =>
        Catalogue.Find(id) ?? throw new CairnException(ErrorCode.NotFound, $"There is no run {id}.");
}

/// <summary>The order in which several runs are locked.</summary>
internal sealed class RunOrder : IComparer<RunState>
{
    internal static readonly RunOrder Instance = new();

    public int Compare(RunState? left, RunState? right) => left!.Id.CompareTo(right!.Id);
}
