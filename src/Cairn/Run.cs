using Cairn.Store;
using Cairn.Transactions;

namespace Cairn;

/// <summary>A run: a timeline of agent state. The handle stays good for reads after the run is closed; after its deletion every call
/// gives <see cref="ErrorCode.NotFound"/>. Thread-safe.</summary>
public sealed class Run
{
    private readonly Engine _engine;
    private readonly RunState _state;
    private readonly CommitOptions _options;

    internal Run(Engine engine, RunState state, CommitOptions options)
    {
        _engine = engine;
        _state = state;
        _options = options;
        var scope = Scope.Live(engine.Path, state, options);
        Kv = new Kv(engine, scope);
        Events = new Events(engine, scope);
        State = new State(engine, scope);
    }

    /// <summary>Identity.</summary>
    public RunId Id => _state.Id;

    /// <summary>Key-values.</summary>
    public Kv Kv { get; }

    /// <summary>Events.</summary>
    public Events Events { get; }

    /// <summary>State cells.</summary>
    public State State { get; }

    /// <summary>The same run, with other options for each write made through the result.</summary>
    public Run With(CommitOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        _engine.Path.NeedsSync(options);
        return new Run(_engine, _state, options);
    }

    /// <summary>A read-only view of the run as it is now.</summary>
    public Snapshot Snapshot() => new(_engine, _state);

    /// <summary>Begins a transaction that is committed by hand; a conflict is the caller's to handle. Prefer
    /// <see cref="Transact(Action{Transaction}, TransactionOptions?)"/>.</summary>
    public Transaction BeginTransaction(TransactionOptions? options = null) =>
        new(_engine, _engine.Begin([_state], Effective(options)));

    /// <summary>Runs a function as one transaction, and again when something it read has changed meanwhile.</summary>
    /// <param name="body">May run several times: no effects but through the transaction. Its exceptions abort without retry and pass through.</param>
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
        return _engine.TransactAsync([_state], effective, effective.Retries, context => body(new Transaction(_engine, context)), cancellationToken);
    }

    /// <summary>Runs a function as one transaction that is done at most once: a repeat with the same idempotency key writes nothing and
    /// tells the sequence of the first time. The way to settle <see cref="ErrorCode.OutcomeUnknown"/> after reopening.</summary>
    /// <param name="idempotencyKey">1 to <see cref="Limits.IdempotencyKeyBytesMax"/> bytes of UTF-8; remembered for
    /// <see cref="Limits.IdempotencyKeyLife"/>, per run.</param>
    /// <param name="body">As in <see cref="Transact(Action{Transaction}, TransactionOptions?)"/>.</param>
    /// <param name="options">As there.</param>
    /// <exception cref="LimitException">The key is too long, or too many keys are remembered.</exception>
    /// <inheritdoc cref="Transact(Action{Transaction}, TransactionOptions?)" path="/exception"/>
    public OnceOutcome TransactOnce(string idempotencyKey, Action<Transaction> body, TransactionOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(idempotencyKey);
        ArgumentNullException.ThrowIfNull(body);
        var effective = Effective(options);
        var outcome = default(OnceOutcome);
        var placed = _engine.Transact([_state], effective, effective.Retries, context =>
        {
            var scope = context.Find(_state.Id)!;
            if (Primitives.IdempotencyOperations.TryFindFirst(scope, idempotencyKey, _engine.Limits, out var first))
            {
                outcome = new OnceOutcome(new Sequence(first), true);
                return context;
            }

            outcome = default;
            body(new Transaction(_engine, context));
            return context;
        });
        return outcome.IsRepeat ? outcome : new OnceOutcome(new Sequence(placed.CommittedAt), false);
    }

    private TransactionOptions Effective(TransactionOptions? options) => options ?? (_options == CommitOptions.Default
        ? TransactionOptions.Default
        : new TransactionOptions { Commit = _options });
}
