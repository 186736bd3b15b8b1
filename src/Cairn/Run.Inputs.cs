namespace Cairn;

// Inputs: what the run's own data do not determine.
public sealed partial class Run
{
    /// <summary>Asks for something that the run's own data do not determine, and keeps what came of it, so that the same code can be
    /// replayed without asking again (<see cref="Runs.ReplayInputs"/>). The answer is kept as an event <c>$input.&lt;kind&gt;</c>, which
    /// goes with the first commit of the run behind it; before the next input is asked, it is committed at the latest. Inside
    /// <see cref="Transact(Action{Transaction}, TransactionOptions?)"/> it goes with that transaction, and a further try gets the same
    /// answer again. In a run that is being replayed the recorded answer is given, and nothing is called.</summary>
    /// <param name="kind">Where the answer comes from.</param>
    /// <param name="request">What is asked, whole: whatever the answer depends on. With kind and name it is what a replay matches. Kept
    /// with the answer, both together at most <see cref="Limits.ValueBytesMax"/> encoded.</param>
    /// <param name="live">Called on this thread, outside of every lock, at most once. What it does beside giving an answer is not replayed:
    /// so it may not write to this run, and an input that it asks of this run is called and not recorded.</param>
    /// <param name="options">Name and step; null = none.</param>
    /// <returns>The answer.</returns>
    /// <exception cref="InputFailedException">The live call threw, now or when it was recorded; or its answer is too large to be
    /// kept. Code that is to be replayed catches this and not the exception inside.</exception>
    /// <exception cref="ReplayDivergenceException">The run is being replayed, and asks for something else than was recorded.</exception>
    /// <exception cref="CairnException"><see cref="ErrorCode.RunClosed"/>, <see cref="ErrorCode.NotFound"/> (the run was deleted),
    /// <see cref="ErrorCode.ReadOnly"/>; <see cref="ErrorCode.InvalidArgument"/>: no such kind; <see cref="ErrorCode.InvalidName"/>.
    /// Nothing was called then, unless the run was closed meanwhile.</exception>
    /// <exception cref="LimitException">Request or name are too large. Nothing was called.</exception>
    public Value Input(InputKind kind, Value request, Func<Value> live, InputOptions? options = null) =>
        _inputs.Ask(kind, request, live, options);

    /// <summary>Like <see cref="Input"/>, awaiting the live call. Several may be under way at once; a replay takes them in any order in
    /// which they overlapped.</summary>
    /// <param name="kind">As there.</param>
    /// <param name="request">As there.</param>
    /// <param name="live">As there; awaited.</param>
    /// <param name="options">As there.</param>
    /// <param name="cancellationToken">Handed to the live call. When it ends that, nothing is kept: whoever asked does not wait for an
    /// answer.</param>
    /// <inheritdoc cref="Input" path="/returns"/>
    /// <inheritdoc cref="Input" path="/exception"/>
    public ValueTask<Value> InputAsync(
        InputKind kind, Value request, Func<CancellationToken, ValueTask<Value>> live, InputOptions? options = null,
        CancellationToken cancellationToken = default) => _inputs.AskAsync(kind, request, live, options, cancellationToken);

    /// <summary>Like <see cref="InputAsync"/> for an answer that comes in pieces: each is given on as it comes, and all together are one
    /// input, kept when the stream ends or its reader stops. What is written to the run meanwhile is committed before it.</summary>
    /// <param name="kind">As there.</param>
    /// <param name="request">As there.</param>
    /// <param name="live">Gives the pieces, when the result is enumerated.</param>
    /// <param name="options">As there.</param>
    /// <param name="cancellationToken">As there.</param>
    /// <returns>The pieces, in the same order when replayed.</returns>
    /// <inheritdoc cref="Input" path="/exception"/>
    public IAsyncEnumerable<Value> InputStreamAsync(
        InputKind kind, Value request, Func<CancellationToken, IAsyncEnumerable<Value>> live, InputOptions? options = null,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(live);
        return _inputs.AskStreamAsync(kind, request, live, options, cancellationToken);
    }

    /// <summary>Commits the answers that no commit has carried yet. For who must know after a crash that a call was made, before anything
    /// comes of it.</summary>
    /// <returns>Sequence of the commit; <see cref="Sequence.None"/> when nothing waited.</returns>
    /// <exception cref="DatabaseFailedException">An I/O error; the outcome may be unknown.</exception>
    public Sequence CommitInputs() => _inputs.Commit();

    /// <summary>Like <see cref="CommitInputs"/>, awaiting durability instead of blocking.</summary>
    /// <param name="cancellationToken">Ends the waiting, not the commit.</param>
    /// <inheritdoc cref="CommitInputs"/>
    public ValueTask<Sequence> CommitInputsAsync(CancellationToken cancellationToken = default) => _inputs.CommitAsync(cancellationToken);

    internal Store.RunInputs TrackInputs() => _inputs.Tracked;

    /// <summary>The inputs of the run in the order of their answers, a page at a time. Those that no commit has carried yet are not among
    /// them.</summary>
    /// <param name="limit">Most inputs on a page; 0 = <see cref="Limits.PageSize"/>; at most <see cref="Limits.PageSizeMax"/>.</param>
    /// <param name="cursor"><see cref="Page{T}.Cursor"/> of the page before.</param>
    /// <exception cref="CairnException"><see cref="ErrorCode.CursorExpired"/>; <see cref="ErrorCode.InvalidArgument"/>: a cursor of another
    /// listing; <see cref="ErrorCode.Corruption"/>: an event that is no input.</exception>
    public Page<RecordedInput> ListInputs(int limit = 0, string? cursor = null) => InputListing.Page(Events, limit, cursor);
}
