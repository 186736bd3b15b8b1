using System.Security.Cryptography;
using Cairn.Primitives;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn;

/// <summary>A run: a timeline of agent state. The handle stays good for reads after the run is closed; after its deletion every call
/// gives <see cref="ErrorCode.NotFound"/>. Thread-safe.</summary>
public sealed partial class Run
{
    private readonly Engine _engine;
    private readonly RunState _state;
    private readonly CommitOptions _options;
    private readonly Lifecycle _life;
    private readonly InputRecorder _inputs;

    internal Run(Engine engine, RunState state, CommitOptions options)
    {
        _engine = engine;
        _state = state;
        _options = options;
        var scope = Scope.Live(engine.Path, state, options);
        _life = new Lifecycle(engine, scope);
        _inputs = new InputRecorder(engine, scope);
        Kv = new Kv(engine, scope);
        Events = new Events(engine, scope);
        State = new State(engine, scope);
        Json = new Json(engine, scope);
        Vectors = new VectorCollections(engine, scope);
        Traces = new Traces(engine, scope);
        Graph = new ConceptGraph(engine, scope);
        Retention = new RunRetention(engine, scope, _life);
        Subscriptions = new Subscriptions(engine, scope);
        Triggers = new Triggers(engine, scope);
        Indexes = new Indexes(engine, scope);
        TextIndex = new RunTextIndex(engine, state);
    }

    internal Engine Engine => _engine;

    internal RunState RunState => _state;

    /// <summary>Identity.</summary>
    public RunId Id => _state.Id;

    /// <summary>What is known about the run, as it is now.</summary>
    /// <exception cref="CairnException"><see cref="ErrorCode.NotFound"/>: the run was deleted.</exception>
    public RunInfo Info => _life.Info;

    /// <summary>Its name, if it has one.</summary>
    /// <inheritdoc cref="Info" path="/exception"/>
    public string? Name => _life.Info.Name;

    /// <summary>Where it stands.</summary>
    /// <inheritdoc cref="Info" path="/exception"/>
    public RunStatus Status => _life.Info.Status;

    /// <summary>Key-values.</summary>
    public Kv Kv { get; }

    /// <summary>Events.</summary>
    public Events Events { get; }

    /// <summary>State cells.</summary>
    public State State { get; }

    /// <summary>Documents.</summary>
    public Json Json { get; }

    /// <summary>Vectors in named collections.</summary>
    public VectorCollections Vectors { get; }

    /// <summary>Steps of the agent.</summary>
    public Traces Traces { get; }

    /// <summary>Concepts and associations.</summary>
    public ConceptGraph Graph { get; }

    /// <summary>Named cursors of feeds that the run holds.</summary>
    public Subscriptions Subscriptions { get; }

    /// <summary>What the run does by itself.</summary>
    public Triggers Triggers { get; }

    /// <summary>Secondary indexes over what the run holds.</summary>
    public Indexes Indexes { get; }

    /// <summary>Indexes of words, for searches.</summary>
    public RunTextIndex TextIndex { get; }

    /// <summary>What of the run's past is kept.</summary>
    public RunRetention Retention { get; }

    /// <summary>The same run, with other options for each write made through the result.</summary>
    public Run With(CommitOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        _engine.Path.NeedsSync(options);
        return new Run(_engine, _state, options);
    }

    /// <summary>The same run, and each write made through the result tells in its record who and what caused it.</summary>
    /// <exception cref="CairnException">A name is empty or holds control characters, entries are no Object, trust is not from 0 to
    /// 1.</exception>
    /// <exception cref="LimitException">A name is longer than <see cref="Limits.NameBytesMax"/>, or all together longer than
    /// <see cref="Limits.MetadataBytesMax"/>.</exception>
    public Run With(CommitAttributes attributes) => With(_options with { Attributes = attributes });

    /// <summary>A read-only view of the run as it is now.</summary>
    public Snapshot Snapshot() => SnapshotHold.Take(_engine, _state);

    /// <summary>SHA-256 of what the run holds at the newest commit: see <see cref="CairnDatabase.StateHash"/>. The run's own record (name,
    /// status, tags) is not in it, so that a run can be compared with a copy of it.</summary>
    /// <exception cref="DatabaseFailedException">The database failed before its newest commits became visible.</exception>
    public Hash256 StateHash()
    {
        Scope.Live(_engine.Path, _state, _options).ThrowIfNotReadable();
        _engine.State.ThrowIfFailed();
        using var cut = Cut.Take(_engine.Path, _engine.Pins);
        using var hash = new StateHash(_engine.Path.Operations, cut.Sequence, cut.Time);
        return hash.OfRun(_state);
    }

    /// <summary>SHA-256 of what the run holds at the newest commit, without what belongs to this database: its id, name and
    /// beginning, and the sequences and times of the commits that wrote it. Values, expiries, counters, events with their numbers, times
    /// and hashes, traces, consumers, and the run's record are in it, so that a run and what was imported from its file have the same
    /// (<see cref="CairnDatabase.ExportRun"/>). Costs a read of the run.</summary>
    /// <exception cref="CairnException"><see cref="ErrorCode.NotFound"/>: the run was deleted.</exception>
    /// <exception cref="CorruptionException">A value is damaged.</exception>
    /// <exception cref="DatabaseFailedException">The database failed before its newest commits became visible.</exception>
    public Hash256 ContentHash()
    {
        Scope.Live(_engine.Path, _state, _options).ThrowIfNotReadable();
        _engine.State.ThrowIfFailed();
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData("cairn run content 1"u8);
        while (true)
        {
            using var cut = Cut.Take(_engine.Path, _engine.Pins);
            if (Exporter.TryFindRuns(cut, [Id]) is not { } found)
                continue;
            new Exporter(_engine, cut, Stream.Null, ExportOptions.Default, CancellationToken.None)
            {
                Content = hash, TellsCauses = false,
            }.Write(found);
            return new Hash256(hash.GetHashAndReset());
        }
    }

    /// <summary>Begins a transaction that is committed by hand; a conflict is the caller's to handle. Prefer
    /// <see cref="Transact(Action{Transaction}, TransactionOptions?)"/>.</summary>
    public Transaction BeginTransaction(TransactionOptions? options = null) =>
        new(_engine, _engine.Begin([_state], Effective(options)));

    /// <summary>Runs a function as one transaction, and again when something it read has changed meanwhile.</summary>
    /// <param name="body">May run several times: no effects but through the transaction. Its exceptions abort without retry and
    /// pass through.</param>
    /// <param name="options">Isolation, timeout, retries, durability; null = the defaults.</param>
    /// <exception cref="ConflictException">It lost more often than it may try; nothing was written.</exception>
    public void Transact(Action<Transaction> body, TransactionOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(body);
        Transact(
            transaction =>
            {
                body(transaction);
                return true;
            },
            options);
    }

    /// <returns>What the function gave in the try that committed.</returns>
    /// <inheritdoc cref="Transact(Action{Transaction}, TransactionOptions?)"/>
    public T Transact<T>(Func<Transaction, T> body, TransactionOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(body);
        var effective = Effective(options);
        return _engine.Transact([_state], effective, effective.Retries, context => body(new Transaction(_engine, context)));
    }

    /// <summary>Like <see cref="Transact{T}(Func{Transaction, T}, TransactionOptions?)"/>, awaiting the function and the commit.</summary>
    /// <param name="cancellationToken">Ends the waiting, not a commit that has a place in the log.</param>
    /// <inheritdoc cref="Transact(Action{Transaction}, TransactionOptions?)"/>
    public ValueTask<T> TransactAsync<T>(
        Func<Transaction, ValueTask<T>> body, TransactionOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(body);
        var effective = Effective(options);
        return _engine.TransactAsync(
            [_state], effective, effective.Retries, context => body(new Transaction(_engine, context)), cancellationToken);
    }

    /// <summary>Runs a function as one transaction that is done at most once: a repeat with the same idempotency key writes nothing and
    /// tells the sequence of the first time. The way to settle <see cref="ErrorCode.OutcomeUnknown"/> after reopening. What fails is not
    /// remembered, so it may be tried again with the same key.</summary>
    /// <param name="idempotencyKey">1 to <see cref="Limits.IdempotencyKeyBytesMax"/> bytes of UTF-8, no NUL; remembered for
    /// <see cref="Limits.IdempotencyKeyLife"/>, per run.</param>
    /// <param name="body">As in <see cref="Transact(Action{Transaction}, TransactionOptions?)"/>.</param>
    /// <param name="options">As there.</param>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidKey"/>: the key is empty or holds NUL.</exception>
    /// <exception cref="LimitException">The key is too long, or too many keys are remembered.</exception>
    /// <inheritdoc cref="Transact(Action{Transaction}, TransactionOptions?)" path="/exception"/>
    public OnceOutcome TransactOnce(string idempotencyKey, Action<Transaction> body, TransactionOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(body);
        return TransactOnce(
            idempotencyKey,
            transaction =>
            {
                body(transaction);
                return Value.Null;
            },
            options);
    }

    /// <summary>Like <see cref="TransactOnce(string, Action{Transaction}, TransactionOptions?)"/>, and what the function gives is
    /// remembered too: a repeat is told the first answer.</summary>
    /// <param name="body">Gives at most <see cref="Limits.MetadataBytesMax"/> encoded.</param>
    /// <inheritdoc cref="TransactOnce(string, Action{Transaction}, TransactionOptions?)"/>
    public OnceOutcome TransactOnce(string idempotencyKey, Func<Transaction, Value> body, TransactionOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(idempotencyKey);
        ArgumentNullException.ThrowIfNull(body);
        var effective = Effective(options);
        var outcome = default(OnceOutcome);
        var context = _engine.Transact([_state], effective, effective.Retries, context =>
        {
            if (Primitives.IdempotencyOperations.TryFindFirst(
                context.Find(_state.Id)!, idempotencyKey, _engine.Limits, out outcome, out var pending))
                return context;
            var answer = body(new Transaction(_engine, context));
            Primitives.IdempotencyOperations.Remember(pending, answer, _engine.Limits);
            outcome = new OnceOutcome(Sequence.None, false) { Answer = answer };
            return context;
        });
        return outcome.IsRepeat ? outcome : outcome with { Sequence = new Sequence(context.CommittedAt) };
    }

    /// <summary>Like <see cref="TransactOnce(string, Func{Transaction, Value}, TransactionOptions?)"/>, awaiting the function and the
    /// commit.</summary>
    /// <param name="cancellationToken">Ends the waiting, not a commit that has a place in the log.</param>
    /// <inheritdoc cref="TransactOnce(string, Func{Transaction, Value}, TransactionOptions?)"/>
    public async ValueTask<OnceOutcome> TransactOnceAsync(
        string idempotencyKey, Func<Transaction, ValueTask<Value>> body, TransactionOptions? options = null,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(idempotencyKey);
        ArgumentNullException.ThrowIfNull(body);
        var effective = Effective(options);
        var outcome = default(OnceOutcome);
        var context = await _engine.TransactAsync(
            [_state], effective, effective.Retries, OnceAsync, cancellationToken).ConfigureAwait(false);
        return outcome.IsRepeat ? outcome : outcome with { Sequence = new Sequence(context.CommittedAt) };

        async ValueTask<TransactionContext> OnceAsync(TransactionContext context)
        {
            if (Primitives.IdempotencyOperations.TryFindFirst(
                context.Find(_state.Id)!, idempotencyKey, _engine.Limits, out outcome, out var pending))
                return context;
            var answer = await body(new Transaction(_engine, context)).ConfigureAwait(false);
            Primitives.IdempotencyOperations.Remember(pending, answer, _engine.Limits);
            outcome = new OnceOutcome(Sequence.None, false) { Answer = answer };
            return context;
        }
    }

    // ---- life -----------------------------------------------------------------------------------------------------------------

    /// <summary>Ends the run well: Active becomes Completed. It takes no more writes.</summary>
    /// <param name="result">What it came to; any kind, at most <see cref="Limits.ValueBytesMax"/> encoded.</param>
    /// <returns>Sequence of the commit.</returns>
    /// <exception cref="InvalidTransitionException">The run is not in a status that allows it, or is <c>default</c>.</exception>
    /// <exception cref="CairnException"><see cref="ErrorCode.NotFound"/>: the run was deleted; <see cref="ErrorCode.ReadOnly"/>: the run
    /// is <c>$sys</c>, or the database is read-only.</exception>
    /// <exception cref="LimitException">What is given is too large.</exception>
    public Sequence Complete(Value? result = null) => _life.Complete(result);

    /// <summary>Ends the run with an error: Active becomes Failed.</summary>
    /// <param name="error">What went wrong, at most <see cref="Limits.MetadataBytesMax"/> bytes of UTF-8.</param>
    /// <inheritdoc cref="Complete"/>
    public Sequence Fail(string error) => _life.Fail(error);

    /// <summary>The same as <see cref="Fail"/>, for a run that somebody else gave up.</summary>
    /// <param name="reason">As the error there.</param>
    /// <inheritdoc cref="Complete"/>
    public Sequence Abort(string reason) => _life.Fail(reason);

    /// <summary>Gives the run up: Active or Paused becomes Cancelled.</summary>
    /// <param name="reason">Why; kept as the run's error. At most <see cref="Limits.MetadataBytesMax"/> bytes of UTF-8.</param>
    /// <inheritdoc cref="Complete"/>
    public Sequence Cancel(string? reason = null) => _life.Cancel(reason);

    /// <summary>Stops the run for now: Active becomes Paused. It takes no writes until it is resumed.</summary>
    /// <inheritdoc cref="Complete"/>
    public Sequence Pause() => _life.Pause();

    /// <summary>Goes on with a paused run, or adopts an orphaned one (<see cref="RunInfo.IsOrphaned"/>): it becomes or stays
    /// Active.</summary>
    /// <inheritdoc cref="Complete"/>
    public Sequence Resume() => _life.Resume();

    /// <summary>Puts the run away for good, from any other status.</summary>
    /// <inheritdoc cref="Complete"/>
    public Sequence Archive() => _life.Archive();

    /// <summary>Adds tags; those that are there stay where they are. Allowed in a closed run too. Two callers who add different tags both
    /// succeed.</summary>
    /// <param name="tags">1 to 256 bytes of UTF-8 each, no control characters, no <c>/</c>, not beginning with <c>$</c>. The run keeps
    /// at most <see cref="Limits.TagsMax"/>, in the order in which they came.</param>
    /// <returns>Sequence of the commit; <see cref="Sequence.None"/> when no tag was named.</returns>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidName"/>: a tag breaks the rules; <see cref="ErrorCode.NotFound"/>: the
    /// run was deleted; <see cref="ErrorCode.ReadOnly"/>.</exception>
    /// <exception cref="LimitException">Too many tags, or one is too long.</exception>
    public Sequence AddTags(params IReadOnlyCollection<string> tags) => _life.AddTags(tags);

    /// <summary>Removes tags; those that are not there are no matter. Allowed in a closed run too.</summary>
    /// <inheritdoc cref="AddTags"/>
    public Sequence RemoveTags(params IReadOnlyCollection<string> tags) => _life.RemoveTags(tags);

    /// <summary>Changes the metadata by a merge patch (RFC 7396): members given replace, Objects merge, Null removes. Allowed in a closed
    /// run too; decided against the newest metadata, so concurrent patches all take effect.</summary>
    /// <param name="patch">An Object. The result is at most <see cref="Limits.MetadataBytesMax"/> encoded.</param>
    /// <returns>Sequence of the commit.</returns>
    /// <exception cref="CairnException"><see cref="ErrorCode.WrongType"/>: not an Object; <see cref="ErrorCode.NotFound"/>: the run was
    /// deleted; <see cref="ErrorCode.ReadOnly"/>.</exception>
    /// <exception cref="LimitException">The patch or the result is too large.</exception>
    public Sequence UpdateMetadata(Value patch) => _life.UpdateMetadata(patch);

    // What a transaction's own options leave open is the handle's.
    private TransactionOptions Effective(TransactionOptions? options)
    {
        if (_options == CommitOptions.Default)
            return options ?? TransactionOptions.Default;
        if (options is null)
            return new TransactionOptions { Commit = _options };
        return options.Commit.Attributes is null && _options.Attributes is not null
            ? options with { Commit = options.Commit with { Attributes = _options.Attributes } }
            : options;
    }
}
