using Cairn.Checkpoints;
using Cairn.Content;
using Cairn.Feed;
using Cairn.Log;
using Cairn.Maintenance;
using Cairn.Primitives;
using Cairn.Recovery;
using Cairn.Storage;
using Cairn.Store;
using Cairn.Text;
using Cairn.Transactions;

namespace Cairn;

/// <summary>An open database: a directory (or memory) with one log, one owner process, and runs. Thread-safe. Disposing drains, syncs
/// and closes cleanly; nothing depends on that having run.</summary>
/// <example>
/// <code>
/// using var db = CairnDatabase.Open("./memory");
/// var run = db.Runs.Begin("refund-4711");
/// run.Kv.Put("customer", "Ada");
/// run.Complete();
/// </code>
/// </example>
public sealed partial class CairnDatabase : IDisposable, IAsyncDisposable
{
    /// <summary>Active runs that an opening looks at, so that its time has a bound.</summary>
    private const int OrphansMax = 1_000;

    private readonly Engine _engine;
    private readonly IStorage? _storage;
    private readonly IDisposable? _lock;
    private int _disposed;
    private readonly TaskCompletionSource _closed = new(TaskCreationOptions.RunContinuationsAsynchronously);

    private CairnDatabase(Engine engine, IStorage? storage, IDisposable? directoryLock, RecoveryReport recovery)
    {
        _engine = engine;
        _storage = storage;
        _lock = directoryLock;
        Recovery = recovery;
        Runs = new Runs(engine);
    }

    internal Engine Engine => _engine;

    /// <summary>Opens the database in a directory; creates it if the directory is absent or empty, and recovers it if it was not closed
    /// cleanly. The directory belongs to this process until the result is disposed.</summary>
    /// <param name="directory">A path; relative ones start at the working directory.</param>
    /// <param name="options">How; null = the defaults (Strict).</param>
    /// <exception cref="CairnException"><see cref="ErrorCode.Locked"/>: another owner; <see cref="ErrorCode.NotADatabase"/>: something
    /// else is there; <see cref="ErrorCode.ReadOnly"/>: read-only was asked and it needs recovery; <see cref="ErrorCode.Io"/>: the system
    /// refused; <see cref="ErrorCode.InvalidArgument"/>: an option is out of its range.</exception>
    /// <exception cref="CorruptionException">Acknowledged data is damaged. Nothing on disk was changed.</exception>
    /// <exception cref="FormatVersionException">Written by a newer version.</exception>
    public static CairnDatabase Open(string directory, CairnOptions? options = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(directory);
        options = Check(options ?? new CairnOptions());
        if (options.Durability == Durability.InMemory)
            throw new CairnException(
                ErrorCode.InvalidArgument,
                "InMemory has no directory. Use CairnDatabase.OpenInMemory, or open the directory Buffered or Strict.");
        IStorage storage;
        try
        {
            storage = DiskStorage.OpenOrCreate(directory, options.CreateIfMissing && !options.IsReadOnly, options.IsReadOnly);
        }
        catch (StorageException failure)
        {
            throw failure.ToCairn(directory);
        }

        return Open(storage, options, EngineHooks.None);
    }

    /// <summary>Opens an empty database in memory: no files, gone with the process, otherwise the same behaviour.</summary>
    /// <param name="options">How; null = the defaults. Its durability is taken as <see cref="Durability.InMemory"/>.</param>
    public static CairnDatabase OpenInMemory(CairnOptions? options = null)
    {
        options = Check((options ?? new CairnOptions()) with { Durability = Durability.InMemory });
        return OpenInMemory(options, EngineHooks.None);
    }

    internal static CairnDatabase OpenInMemory(CairnOptions options, EngineHooks hooks)
    {
        // DUR-2: what has to answer questions about the past has a log, in segments that lie in memory.
        if (options.Retention is { } policy && RetentionRules.NeedsLog(policy))
            return Open(new MemoryStorage(), options with { CheckpointOnClose = false }, hooks);
        var pins = new SnapshotRegistry();
        var catalogue = new Catalogue(pins, shared: null) { Limits = options.Limits };
        var counters = new Counters { Events = new SystemEvents(options.SystemEvents) };
        var state = new EngineState();
        // The clock of commits begins when the database is made, as it does in a directory (G3): a clock that goes back behind that
        // moment must be answered alike in all modes.
        var start = default(LogPosition) with { Time = Mutant.Is("memory-has-no-beginning") ? 0 : options.TimeProvider.Microseconds() };
        var log = new LogWriter(
            null, new VisibleSequence(), state, options.TimeProvider, counters, options.Limits.QueuedCommitsMax, start);
        var engine = Assemble(options, pins, catalogue, counters, state, log, epoch: 1, hooks);
        var report = new RecoveryReport { IsNew = true, WasClosedCleanly = true, Epoch = 1 };
        engine.TellOpening(report);
        return new CairnDatabase(engine, null, null, report);
    }

    /// <summary>The same over any storage, for tests and simulation.</summary>
    internal static CairnDatabase Open(IStorage storage, CairnOptions options, EngineHooks hooks)
    {
        IDisposable? directoryLock = null;
        RecoveredState? recoveredState = null;
        try
        {
            using var activity = Meters.Activities.StartActivity("cairn.open");
            var began = options.TimeProvider.GetTimestamp();
            directoryLock = storage.Lock($"pid {Environment.ProcessId}");
            if (!hooks.IsSalvage)
                RefuseUnfinishedSalvage(storage);
            var pins = new SnapshotRegistry();
            var visible = new VisibleSequence();
            var random = new RandomSource(options.RandomSeed);
            var budgetBytes = hooks.MemoryBudgetBytes ?? options.MemoryBudgetBytes ?? CairnOptions.MemoryBudgetDefault;
            var cache = new BlockCache(Math.Min(options.BlockCacheBytes, budgetBytes / 8));
            var content = new ContentStore(options.ContentThreshold, options.ContentMemoryBytes);
            var budget = new MemoryBudget(budgetBytes, content, cache);
            recoveredState = new RecoveredState(
                storage, pins, visible, Operations, options.Limits, cache, content, budget,
                hooks.RecoveryHeldBytes ?? (int)Math.Min(LookAhead.HeldBytesMost, budgetBytes / 16));
            var logOptions = LogOptionsOf(options, random);
            var recovered = Cairn.Recovery.Recovery.Open(
                storage, logOptions, recoveredState.Follow, content, recoveredState.Begin, recoveredState.Ahead);
            content.ReadFrom(recovered.Log);
            recoveredState.End(recovered.Findings);
            random.BeginOpening(recovered.Findings.Epoch);
            var counters = new Counters { Events = new SystemEvents(options.SystemEvents && !options.IsReadOnly) };
            var state = new EngineState();
            DiskSpace? disk = null;
            if (options.IsReadOnly)
            {
                state.EnterReadOnly();
            }
            else
            {
                disk = new DiskSpace(recovered.Log, state);
                Watch(disk, recovered.Log);
            }

            var start = new LogPosition(
                recovered.LastSequence, recovered.LastCommitTime, recovered.NextPosition, recovered.Log.SyncedPosition, recovered.Chain);
            var log = new LogWriter(recovered.Log, visible, state, options.TimeProvider, counters, options.Limits.QueuedCommitsMax, start)
            {
                SyncCommits = options.SyncCommits,
                Disk = disk,
            };
            var parts = options.IsReadOnly ? null : new CheckpointParts
            {
                Storage = storage,
                Device = recovered.Log,
                Log = log,
                State = state,
                Catalogue = recoveredState.Catalogue,
                Image = recoveredState.Image,
                Pins = pins,
                Cache = cache,
                Turn = new TableTurn(recovered.Log.Manifest.NextTable),
                Retired = new RetiredTables(storage, recovered.Log),
                Clock = options.TimeProvider,
                DrawBits = logOptions.DrawBits,
                Epoch = recovered.Findings.Epoch,
                EndedUncleanly = recoveredState.Openings.Unclean,
            };
            var engine = Assemble(
                options, pins, recoveredState.Catalogue, counters, state, log, recovered.Findings.Epoch, hooks, random,
                recoveredState.Openings, storage.SyncErrorsAreReported, storage, recoveredState, parts,
                recovered.Findings.CheckpointsRejected.Count > 0, budget);
            var report = ReportOf(recovered, engine, options.TimeProvider.GetElapsedTime(began));
            engine.TellOpening(report);
            return new CairnDatabase(engine, storage, directoryLock, report);
        }
        catch (Exception failure)
        {
            recoveredState?.Dispose();
            directoryLock?.Dispose();
            storage.Dispose();
            if (failure is StorageException storageFailure)
                throw storageFailure.ToCairn(storage.Description);
            throw;
        }
    }

    // So that the first write is refused already.
    private static void Watch(DiskSpace disk, SegmentedLog log)
    {
        try
        {
            disk.Step();
        }
        catch
        {
            log.Dispose();
            throw;
        }
    }

    private static Engine Assemble(
        CairnOptions options, SnapshotRegistry pins, Catalogue catalogue, Counters counters, EngineState state, LogWriter log,
        ulong epoch, EngineHooks hooks, RandomSource? random = null, Openings? openings = null, bool syncErrorsAreReported = true,
        IStorage? storage = null, RecoveredState? recovered = null, CheckpointParts? checkpoints = null, bool isCheckpointRejected = false,
        MemoryBudget? budget = null)
    {
        var checkpointer = checkpoints is null ? null : new Checkpointer(checkpoints);
        var merger = checkpoints is null ? null : new Merger(checkpoints);
        var damaged = checkpoints is null ? null : new DamagedTables();
        var rebuilder = checkpoints is null ? null : new Rebuilder(checkpoints, merger!, damaged!, Operations, options.Limits);
        var path = new CommitPath(log, state, catalogue, Operations, options.Limits, options.TimeProvider, epoch, counters)
        {
            Durability = options.Durability,
            ReadsAfterFailure = options.ReadsAfterFailure,
            Memory = budget,
        };
        var cursors = new Cursors(pins, options.TimeProvider, options.Limits.TransactionTimeMax, options.Limits.CursorsMax);
        var engine = new Engine
        {
            Options = options,
            Path = path,
            Pins = pins,
            Blocks = checkpoints?.Cache,
            Cursors = cursors,
            Texts = new TextIndexes(path, new ListingRoom(cursors, pins), options.TextAnalysis),
            Random = random ?? new RandomSource(options.RandomSeed),
            Counters = counters,
            Feed = new EventFeed(log, options.Limits.SubscriptionsMax),
            Changes = new ChangeFeed(path, options.Limits.SubscriptionsMax),
            Openings = openings,
            SyncErrorsAreReported = syncErrorsAreReported,
            Recovered = recovered,
            Checkpointer = checkpointer,
            Merger = merger,
            Rebuilder = rebuilder,
            DamagedTables = damaged,
        };
        state.OnFailed = _ =>
        {
            engine.Feed.PulseAll();
            engine.Changes.End();
            checkpointer?.TellFailed();
        };
        var jobs = new List<MaintenanceJob>();
        if (!path.IsUnlogged && !options.IsReadOnly)
        {
            jobs.Add(new SyncJob(log, options.TimeProvider, options.SyncInterval, options.SyncCommits));
            jobs.Add(new MarkJob(log));
            jobs.Add(new DigestJob(log));
            jobs.Add(new SegmentJob(log, state));
            jobs.Add(new WatchJob(log, options.TimeProvider, options.Limits.QueuedCommitsMax));
            engine.Compactions = new Compactions(
                path, pins, storage!, engine.Retention, LogOptionsOf(options, engine.Random).DrawBits, options.CompactionGarbageMin,
                merger!);
            jobs.Add(new CompactionJob(engine.Compactions, state, options.TimeProvider, options.CompactionGarbageMin));
        }

        if (checkpointer is not null)
        {
            jobs.Add(new CheckpointJob(checkpointer, state, options.TimeProvider, options.CheckpointLogBytes, options.CheckpointInterval)
            {
                IsOverdue = isCheckpointRejected,
            });
        }

        if (merger is not null)
            jobs.Add(new MergeJob(merger, state));
        var expiry = options.IsReadOnly ? null : new ExpiryJob(path);
        if (expiry is not null)
        {
            jobs.Add(expiry);
            engine.Trims = new Trims(path, pins, engine.Retention);
            jobs.Add(new TrimJob(engine.Trims, path, options.TimeProvider));
        }

        if (budget is not null)
            jobs.Add(engine.Residency = new ResidencyJob(budget, path, pins, checkpointer, expiry));
        jobs.Add(new TimeoutJob(engine.CloseOldTransactions, () => engine.OpenTransactions + cursors.Open, cursors));
        jobs.Add(new SweepJob(catalogue));
        if (log.Device is SegmentedLog kept)
            jobs.Add(new ScrubJob(kept, engine.State, options.TimeProvider, options.Maintenance, engine.Random, counters.Events, damaged));
        var rebuild = rebuilder is null ? null : new RebuildJob(damaged!, rebuilder.Step, rebuilder.GiveUp, state);
        if (rebuild is not null)
            jobs.Add(rebuild);
        if (log.Device is SegmentedLog read && !options.IsReadOnly)
        {
            jobs.Add(engine.TriggerJob = new TriggerJob(path, read, engine.Random));
            engine.Compactions!.TriggersFrom = engine.TriggerJob.NeededFrom;
        }

        if (!options.IsReadOnly)
            jobs.Add(engine.IndexJob = new IndexJob(path, engine.Pins));
        var texts = new TextIndexJob(engine.Texts, path);
        jobs.Add(texts);

        if (counters.Events.IsOn)
            jobs.Add(new SystemEventJob(counters.Events, path, engine.Random, engine.ReadHealth));
        engine.Maintainer = new Maintainer(
            state, options.TimeProvider, options.Maintenance, !hooks.IsMaintenanceManual, () => log.LastSequence, jobs,
            restsFirst: options.IsReadOnly || log.Device is { HasBegun: false });
        engine.Maintainer.Warned = engine.TellWarning;
        engine.Texts.Asked = () => engine.Maintainer.Wake(texts);
        if (rebuild is not null)
        {
            checkpoints!.Cache.Damaged = damaged!.Tell;
            damaged.Found = table =>
            {
                engine.TellDamage(table);
                engine.Maintainer.Wake(rebuild);
            };
        }

        if (budget is not null)
            Relieve(budget, engine, hooks);
        engine.Meters = new Meters(engine.ReadMetrics, engine.ReadJobs);
        log.Due = now =>
        {
            if (now)
                engine.Maintainer.WakeNow();
            else
                engine.Maintainer.Wake();
            if (engine.TriggerJob is { IsWatching: true } triggers)
                engine.Maintainer.Wake(triggers);
            if (engine.IndexJob is { HasWorkInSight: true } indexes)
                engine.Maintainer.Wake(indexes);
        };
        return engine;
    }

    private static void Relieve(MemoryBudget budget, Engine engine, EngineHooks hooks)
    {
        var maintainer = engine.Maintainer!;
        var residency = engine.Residency!;
        budget.Woken = () => maintainer.Wake(residency);
        if (!hooks.IsMaintenanceManual)
            return;
        budget.Help = () =>
        {
            residency.RestNoMore();
            var checkpoint = maintainer.Jobs.FirstOrDefault(job => job is CheckpointJob);
            for (var steps = 0; steps < HelpStepsMax && budget.IsFull; steps++)
            {
                var more = maintainer.Step(residency, out _);
                more |= checkpoint is not null && maintainer.Step(checkpoint, out _);
                if (more)
                    continue;
                if (!residency.WasInTheWay)
                    break;
                Thread.Yield();                              // a reader leaves soon
                residency.RestNoMore();
            }

            return !budget.IsFull;
        };
    }

    /// <summary>Where steps are driven by hand, a commit that waits for memory takes at most so many of them.</summary>
    private const int HelpStepsMax = 1_000;

    private static OperationTable Operations { get; } = new(
        new KvOperations(), new DocumentOperations(), new EventOperations(), new StateOperations(), new TraceOperations(),
        new ConceptOperations(), new AssociationOperations(), new RunOperations(), new MergeOperations(),
        new IdempotencyOperations(), new SubscriptionOperations(), new TriggerOperations(),
        new IndexOperations(), new VectorOperations());

    private static LogOptions LogOptionsOf(CairnOptions options, RandomSource random) => new()
    {
        SegmentBytesMin = options.SegmentBytesMin,
        ZeroesSegments = options.Durability == Durability.Strict || Mutant.Is("all-segments-zeroed"),
        SegmentBytesMax = options.SegmentBytesMax,
        IsReadOnly = options.IsReadOnly,
        CreateIfMissing = options.CreateIfMissing,
        Random = random.Fill,
        Clock = options.TimeProvider,
    };

    private static RecoveryReport ReportOf(RecoveredLog recovered, Engine engine, TimeSpan duration)
    {
        var findings = recovered.Findings;
        return new RecoveryReport
        {
            IsNew = findings.IsCreated,
            WasClosedCleanly = findings.WasClosedCleanly,
            Epoch = findings.Epoch,
            Segments = findings.Segments,
            Records = findings.Records,
            Bytes = findings.Bytes,
            Transactions = findings.Transactions,
            LastSequence = new Sequence(recovered.LastSequence),
            Cut = findings.Cut.Bytes == 0 ? null : new RecoveryCut(
                findings.Cut.File, findings.Cut.Offset, findings.Cut.Bytes, findings.Cut.Reason),
            CopiedRecords = findings.CopiedRecords,
            Quarantined = findings.Quarantined,
            CheckpointUsed = findings.CheckpointUsed is { } used ? new Sequence(used.Sequence) : null,
            CheckpointsRejected = findings.CheckpointsRejected,
            Orphans = engine.Orphans(OrphansMax) is { } orphans ? new([.. orphans]) : new(() => engine.Orphans()!),
            Warnings = findings.Warnings,
            Phases = [.. findings.Phases.Select(phase => new RecoveryPhase(phase.Name, phase.Time))],
            Duration = duration,
        };
    }

    private static CairnOptions Check(CairnOptions options)
    {
        OptionRules.Check(options);
        return options;
    }

    /// <summary>What opening found and did.</summary>
    public RecoveryReport Recovery { get; }

    /// <summary>How the database was opened.</summary>
    public CairnOptions Options => _engine.Options;

    /// <summary>The limits in force.</summary>
    public Limits Limits => _engine.Limits;

    /// <summary>The newest commit that readers see. In memory, where each run has its own word, the newest commit of any run.</summary>
    public Sequence Sequence => new(_engine.Path.IsUnlogged ? _engine.Path.Log.LastSequence : _engine.Catalogue.State.Visible.Value);

    /// <summary>The run named <c>default</c>, which always exists.</summary>
    public Run Default => new(_engine, _engine.Catalogue.Default, CommitOptions.Default);

    /// <summary>Figures since the database was opened. Each call reads them anew.</summary>
    public DatabaseMetrics Metrics => _engine.ReadMetrics();

    /// <summary>State of the database and of its parts.</summary>
    public Health Health => _engine.ReadHealth();

    /// <summary>What each job of the maintainer has to do, does and did. Each call reads them anew.</summary>
    public IReadOnlyList<JobStatistics> Maintenance => _engine.ReadJobs();

    /// <summary>The index of runs: beginning, finding, listing and deleting them.</summary>
    public Runs Runs { get; }

    /// <summary>Runs a function as one transaction over several runs: one snapshot, one record, one sequence. Again when something it
    /// read has changed meanwhile.</summary>
    /// <param name="runs">All runs that it touches, each once; at most <see cref="Limits.TransactionRunsMax"/>.</param>
    /// <param name="body">May run several times: no effects but through the transaction, whose runs are <see cref="Transaction.On(Run)"/>.
    /// Its exceptions abort without retry and pass through.</param>
    /// <param name="options">Isolation, timeout, retries, durability; null = the defaults.</param>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidArgument"/>: no run, or one twice.</exception>
    /// <exception cref="ConflictException">It lost more often than it may try; nothing was written.</exception>
    public void Transact(IReadOnlyCollection<Run> runs, Action<Transaction> body, TransactionOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(body);
        Transact(
            runs,
            transaction =>
            {
                body(transaction);
                return true;
            },
            options);
    }

    /// <returns>What the function gave in the try that committed.</returns>
    /// <inheritdoc cref="Transact(IReadOnlyCollection{Run}, Action{Transaction}, TransactionOptions?)"/>
    public T Transact<T>(IReadOnlyCollection<Run> runs, Func<Transaction, T> body, TransactionOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(body);
        options ??= TransactionOptions.Default;
        return _engine.Transact(StatesOf(runs), options, options.Retries, context => body(new Transaction(_engine, context)));
    }

    /// <summary>Like <see cref="Transact{T}(IReadOnlyCollection{Run}, Func{Transaction, T}, TransactionOptions?)"/>, awaiting the function
    /// and the commit.</summary>
    /// <param name="cancellationToken">Ends the waiting, not a commit that has a place in the log.</param>
    /// <inheritdoc cref="Transact(IReadOnlyCollection{Run}, Action{Transaction}, TransactionOptions?)"/>
    public ValueTask<T> TransactAsync<T>(
        IReadOnlyCollection<Run> runs, Func<Transaction, ValueTask<T>> body, TransactionOptions? options = null,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(body);
        options ??= TransactionOptions.Default;
        return _engine.TransactAsync(
            StatesOf(runs), options, options.Retries, context => body(new Transaction(_engine, context)), cancellationToken);
    }

    /// <summary>Begins a transaction over several runs that is committed by hand; a conflict is the caller's to handle.</summary>
    /// <inheritdoc cref="Transact(IReadOnlyCollection{Run}, Action{Transaction}, TransactionOptions?)"/>
    public Transaction BeginTransaction(IReadOnlyCollection<Run> runs, TransactionOptions? options = null) =>
        new(_engine, _engine.Begin(StatesOf(runs), options ?? TransactionOptions.Default));

    private RunState[] StatesOf(IReadOnlyCollection<Run> runs)
    {
        ArgumentNullException.ThrowIfNull(runs);
        if (runs.Count > Limits.TransactionRunsMax)
            throw new LimitException(nameof(Limits.TransactionRunsMax), Limits.TransactionRunsMax, runs.Count, "runs");
        var states = new RunState[runs.Count];
        var count = 0;
        foreach (var run in runs)
        {
            ArgumentNullException.ThrowIfNull(run, nameof(runs));
            if (run.Engine != _engine)
                throw new ArgumentException("A run belongs to another database.", nameof(runs));
            states[count++] = run.RunState;
        }

        return states;
    }

    /// <summary>Makes everything committed so far durable, whatever the mode.</summary>
    /// <exception cref="DatabaseFailedException">The sync failed; the database takes no more writes.</exception>
    public void Sync()
    {
        _engine.Path.ThrowIfNotReadable();
        _engine.State.ThrowIfFailed();
        if (_engine.Path.IsUnlogged)
            return;
        _engine.Path.Log.Drive(mayLeave: false);
        _engine.Path.Log.Sync();
    }

    /// <summary>Like <see cref="Sync"/>, awaiting the device instead of blocking: the log's own thread syncs.</summary>
    /// <param name="cancellationToken">Ends the waiting, not the sync.</param>
    /// <inheritdoc cref="Sync" path="/exception"/>
    public async ValueTask SyncAsync(CancellationToken cancellationToken = default)
    {
        cancellationToken.ThrowIfCancellationRequested();
        _engine.Path.ThrowIfNotReadable();
        _engine.State.ThrowIfFailed();
        if (_engine.Path.IsUnlogged)
            return;
        await _engine.Path.Log.SyncAsync().WaitAsync(cancellationToken).ConfigureAwait(false);
        _engine.State.ThrowIfFailed();
    }

    /// <summary>Waits for running commits, syncs, seals and closes. Calls that come later get
    /// <see cref="ObjectDisposedException"/>.</summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) == 0)
            Close();
    }

    private void Close()
    {
        try
        {
            if (!_engine.Options.IsReadOnly && !_engine.State.HasFailed)
            {
                CommitInputs();
                Drain();
            }

            _engine.State.Close();
            Failpoint.Hit("close.drained");
            _engine.Feed.PulseAll();
            _engine.Changes.Close();
            _engine.Maintainer?.Dispose();
            CheckpointToClose();
            if (!_engine.Options.IsReadOnly)
                _engine.Path.Log.Close();
        }
        finally
        {
            _engine.Meters?.Dispose();
            _engine.Path.Log.Dispose();
            _engine.Checkpointer?.Dispose();
            _engine.Merger?.Dispose();
            _engine.Recovered?.Dispose();
            _engine.Catalogue.Dispose();
            _engine.Compactions?.Dispose();
            _lock?.Dispose();
            _storage?.Dispose();
            _closed.SetResult();
        }
    }

    // What cannot be committed any more is of no effect: nothing rests on it.
    private void CommitInputs()
    {
        foreach (var run in _engine.Catalogue.Loaded)
        {
            try
            {
                _engine.Path.CommitInputs(run, needsSync: false);
            }
            catch (CairnException) when (!_engine.State.HasFailed)
            {
            }
        }
    }

    // It saves the next opening the reading. That there is no room for it, or that something of the image is damaged, does not keep a
    // database from being closed: the log has everything.
    private void CheckpointToClose()
    {
        if (_engine.Checkpointer is not { } checkpointer || _engine.State.HasFailed)
            return;
        if (!_engine.Options.CheckpointOnClose)
        {
            checkpointer.GiveUp();
            return;
        }

        try
        {
            checkpointer.Run(null, CancellationToken.None);
        }
        catch (Exception failure) when (!_engine.State.HasFailed && failure is CairnException and not DatabaseFailedException)
        {
            checkpointer.GiveUp();
        }
    }

    // Whoever holds a run's lock finishes; whoever comes later is refused before a sequence is taken.
    private void Drain()
    {
        _engine.State.Close();
        Failpoint.Hit("close.refusing");
        foreach (var run in _engine.Catalogue.Held.Order(RunOrder.Instance))
        {
            Failpoint.Wait("close.wait-for-run");
            run.CommitLock.Enter();
            run.CommitLock.Exit();
        }

        // A run that is just being begun is in no list yet; it holds the catalogue's lock.
        _engine.Catalogue.State.CommitLock.Enter();
        _engine.Catalogue.State.CommitLock.Exit();
    }

    /// <summary>The same as <see cref="Dispose"/>, awaited: a thread of its own closes, and no other thread waits.
    /// A second call is done when the first one is.</summary>
    public ValueTask DisposeAsync() => Interlocked.Exchange(ref _disposed, 1) == 0
        ? new ValueTask(_engine.Maintainer!.EndAsync(Close))
        : new ValueTask(_closed.Task);
}
