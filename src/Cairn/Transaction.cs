using Cairn.Transactions;

namespace Cairn;

/// <summary>A transaction over one run, or several that were named up front: one snapshot, one commit, one sequence, all or nothing over
/// all primitives. Belongs to one thread at a time. Disposing one that was not committed drops it.</summary>
/// <exception cref="InvalidOperationException">Every call: the transaction has ended, or another thread is in it just now.</exception>
public sealed class Transaction : IDisposable
{
    private readonly Engine _engine;
    private readonly Dictionary<RunId, TransactionRun> _runs = [];

    internal Transaction(Engine engine, TransactionContext context)
    {
        _engine = engine;
        Context = context;
        foreach (var scope in context.Scopes)
            _runs.Add(scope.Run.Id, new TransactionRun(engine, scope));
    }

    internal TransactionContext Context { get; }

    /// <summary>All reads are of this sequence.</summary>
    public Sequence Sequence => new(Context.Sequence);

    /// <summary>Key-values of the transaction's one run.</summary>
    /// <exception cref="InvalidOperationException">The transaction has several runs: use <see cref="On(RunId)"/>.</exception>
    public Kv Kv => Only().Kv;

    /// <summary>Events of the transaction's one run.</summary>
    /// <inheritdoc cref="Kv" path="/exception"/>
    public Events Events => Only().Events;

    /// <summary>State cells of the transaction's one run.</summary>
    /// <inheritdoc cref="Kv" path="/exception"/>
    public State State => Only().State;

    /// <summary>Documents of the transaction's one run.</summary>
    /// <inheritdoc cref="Kv" path="/exception"/>
    public Json Json => Only().Json;

    /// <summary>Vectors of the transaction's one run.</summary>
    /// <exception cref="InvalidOperationException">It has several.</exception>
    public VectorCollections Vectors => Only().Vectors;

    /// <summary>Traces of the transaction's one run.</summary>
    /// <inheritdoc cref="Kv" path="/exception"/>
    public Traces Traces => Only().Traces;

    /// <summary>Graph of the transaction's one run.</summary>
    /// <inheritdoc cref="Kv" path="/exception"/>
    public ConceptGraph Graph => Only().Graph;

    /// <summary>Named cursors of feeds that the transaction's one run holds.</summary>
    /// <inheritdoc cref="Kv" path="/exception"/>
    public Subscriptions Subscriptions => Only().Subscriptions;

    /// <summary>The transaction's one run: its record and its life.</summary>
    /// <inheritdoc cref="Kv" path="/exception"/>
    public TransactionRun Run => Only();

    /// <summary>Finds what the transaction's one run holds, with the transaction's own writes, by the words in it, best first.</summary>
    /// <remarks>It is a read of all that was looked through: what another commit changes there conflicts.</remarks>
    /// <inheritdoc cref="Cairn.Run.Search(string, SearchOptions?, CancellationToken)"/>
    /// <inheritdoc cref="Kv" path="/exception"/>
    public SearchResponse Search(string text, SearchOptions? options = null, CancellationToken cancellationToken = default) =>
        Only().Search(text, options, cancellationToken);

    /// <summary>One of the transaction's runs: its primitives and its life.</summary>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidArgument"/>: the run was not named when the transaction
    /// began.</exception>
    public TransactionRun On(RunId run) => _runs.TryGetValue(run, out var found)
        ? found
        : throw new CairnException(
            ErrorCode.InvalidArgument, $"Run {run} was not named when the transaction began. Name all runs up front.");

    /// <inheritdoc cref="On(RunId)"/>
    public TransactionRun On(Run run)
    {
        ArgumentNullException.ThrowIfNull(run);
        return On(run.Id);
    }

    /// <summary>Commits, and waits until the commit is as durable as it asks. A transaction that wrote nothing always succeeds.</summary>
    /// <returns>The commit's sequence; <see cref="Sequence.None"/> when nothing was written.</returns>
    /// <exception cref="ConflictException">Something that was read has changed; nothing was written.</exception>
    /// <exception cref="VersionMismatchException">A guarded cell has moved on; nothing was written.</exception>
    /// <exception cref="DatabaseFailedException">An I/O error; the outcome may be unknown.</exception>
    public Sequence Commit() => _engine.Commit(Context);

    /// <summary>Commits, awaiting durability instead of blocking.</summary>
    /// <param name="cancellationToken">Ends the waiting, not the commit: once it has a place in the log it is committed.</param>
    /// <inheritdoc cref="Commit"/>
    public ValueTask<Sequence> CommitAsync(CancellationToken cancellationToken = default) =>
        _engine.CommitAsync(Context, cancellationToken);

    /// <summary>Drops everything the transaction wrote. Nothing of it was ever visible.</summary>
    public void Rollback() => _engine.End(Context);

    /// <summary>Drops the transaction if it was not committed.</summary>
    public void Dispose() => _engine.End(Context);

    private TransactionRun Only() => _runs.Count == 1
        ? _runs.Values.First()
        : throw new InvalidOperationException("The transaction has several runs. Say which: tx.On(run).");
}

/// <summary>One run inside a transaction: its primitives, and its life. Writes before its end and the end itself are one commit.</summary>
public sealed class TransactionRun
{
    private readonly Engine _engine;
    private readonly Scope _scope;
    private readonly Lifecycle _life;

    internal TransactionRun(Engine engine, Scope scope)
    {
        _engine = engine;
        _scope = scope;
        Id = scope.Run.Id;
        _life = new Lifecycle(engine, scope);
        Kv = new Kv(engine, scope);
        Events = new Events(engine, scope);
        State = new State(engine, scope);
        Json = new Json(engine, scope);
        Vectors = new VectorCollections(engine, scope);
        Traces = new Traces(engine, scope);
        Graph = new ConceptGraph(engine, scope);
        Indexes = new Indexes(engine, scope);
        Subscriptions = new Subscriptions(engine, scope);
    }

    /// <summary>The run.</summary>
    public RunId Id { get; }

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

    /// <summary>Secondary indexes over what the run holds.</summary>
    public Indexes Indexes { get; }

    /// <summary>Named cursors of feeds that the run holds.</summary>
    public Subscriptions Subscriptions { get; }

    /// <summary>Finds what the run holds, with the transaction's own writes, by the words in it, best first.</summary>
    /// <remarks>It is a read of all that was looked through: what another commit changes there conflicts.</remarks>
    /// <inheritdoc cref="Run.Search(string, SearchOptions?, CancellationToken)"/>
    public SearchResponse Search(string text, SearchOptions? options = null, CancellationToken cancellationToken = default) =>
        Searching.In(_engine, _scope, text, options, cancellationToken);

    /// <summary>What is known about the run, with what this transaction changes. A read: if the run's record is changed by another
    /// commit, this transaction conflicts.</summary>
    public RunInfo Info => _life.Info;

    /// <summary>Its name, if it has one.</summary>
    public string? Name => _life.Info.Name;

    /// <summary>Where it stands, with what this transaction changes. A read, as <see cref="Info"/>.</summary>
    public RunStatus Status => _life.Info.Status;

    /// <summary>Ends the run well. Later writes of this transaction to it are refused.</summary>
    /// <inheritdoc cref="Run.Complete"/>
    public void Complete(Value? result = null) => _life.Complete(result);

    /// <inheritdoc cref="Run.Fail"/>
    public void Fail(string error) => _life.Fail(error);

    /// <inheritdoc cref="Run.Abort"/>
    public void Abort(string reason) => _life.Fail(reason);

    /// <inheritdoc cref="Run.Cancel"/>
    public void Cancel(string? reason = null) => _life.Cancel(reason);

    /// <inheritdoc cref="Run.Pause"/>
    public void Pause() => _life.Pause();

    /// <inheritdoc cref="Run.Resume"/>
    public void Resume() => _life.Resume();

    /// <inheritdoc cref="Run.Archive"/>
    public void Archive() => _life.Archive();

    /// <summary>Adds tags; those that are there stay where they are. Blind: it reads nothing and never conflicts.</summary>
    /// <inheritdoc cref="Run.AddTags"/>
    public void AddTags(params IReadOnlyCollection<string> tags) => _life.AddTags(tags);

    /// <summary>Removes tags; those that are not there are no matter. Blind.</summary>
    /// <inheritdoc cref="Run.RemoveTags"/>
    public void RemoveTags(params IReadOnlyCollection<string> tags) => _life.RemoveTags(tags);

    /// <summary>Gives the run a policy of retention of its own, or takes it away: null = the database's. Blind.</summary>
    /// <inheritdoc cref="RunRetention.Apply" path="/exception"/>
    public void SetRetention(Retention? policy) => _life.SetRetention(policy);

    /// <summary>Changes the metadata by a merge patch. Blind.</summary>
    /// <inheritdoc cref="Run.UpdateMetadata"/>
    public void UpdateMetadata(Value patch) => _life.UpdateMetadata(patch);
}
