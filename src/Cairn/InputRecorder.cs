using System.Globalization;
using System.Runtime.CompilerServices;
using Cairn.Codec;
using Cairn.Primitives;
using Cairn.Replay;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn;

/// <summary>Asks the inputs of a run and keeps their answers: see the essay of Replay/Inputs.cs.</summary>
internal sealed class InputRecorder(Engine engine, Scope scope)
{
    /// <summary>Room for a failure that a request leaves at least.</summary>
    private const int FailureBytesMin = 256;

    private RunState Run => scope.Run;

    private CommitPath Path => engine.Path;

    // ---- asking ---------------------------------------------------------------------------------------------------------------

    internal Value Ask(InputKind kind, in Value request, Func<Value> live, InputOptions? options)
    {
        ArgumentNullException.ThrowIfNull(live);
        if (IsInside)
            return live();                                   // I4
        var ask = Check(kind, request, options);
        if (ask.Transaction is null)
            Path.CommitInputs(Run, Path.NeedsSync(scope.Options));
        if (TryRepeat(ask, out var earlier))
            return Give(earlier);
        var open = Open(ask);
        if (TryReplay(open, out var recorded))
            return Give(Keep(open, recorded));
        var began = engine.Clock.GetTimestamp();
        var call = Tracked.Enter();
        Value answer;
        try
        {
            answer = live();
        }
        catch (Exception failure)
        {
            RunInputs.Leave(call);
            throw Fail(open, failure, began);
        }

        RunInputs.Leave(call);
        return Give(Keep(open, Answered(open, answer, began)));
    }

    internal async ValueTask<Value> AskAsync(
        InputKind kind, Value request, Func<CancellationToken, ValueTask<Value>> live, InputOptions? options,
        CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(live);
        if (IsInside)
            return await live(cancellationToken).ConfigureAwait(false);
        cancellationToken.ThrowIfCancellationRequested();
        var ask = Check(kind, request, options);
        if (ask.Transaction is null)
            await Path.CommitInputsAsync(Run, Path.NeedsSync(scope.Options), cancellationToken).ConfigureAwait(false);
        if (TryRepeat(ask, out var earlier))
            return Give(earlier);
        var open = Open(ask);
        if (TryReplay(open, out var recorded))
            return Give(Keep(open, recorded));
        var began = engine.Clock.GetTimestamp();
        Value answer;
        try
        {
            answer = await CallAsync(live, cancellationToken).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            throw;                                           // whoever asked does not want to know any more: that is no answer
        }
        catch (Exception failure)
        {
            throw Fail(open, failure, began);
        }

        return Give(Keep(open, Answered(open, answer, began)));
    }

    // A method of its own: what it changes of the flow of control ends with it.
    private async ValueTask<Value> CallAsync(Func<CancellationToken, ValueTask<Value>> live, CancellationToken cancellationToken)
    {
        var call = Tracked.Enter();
        try
        {
            return await live(cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            RunInputs.Leave(call);
        }
    }

    internal async IAsyncEnumerable<Value> AskStreamAsync(
        InputKind kind, Value request, Func<CancellationToken, IAsyncEnumerable<Value>> live, InputOptions? options,
        [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        if (IsInside)
        {
            await foreach (var item in live(cancellationToken).ConfigureAwait(false))
                yield return item;
            yield break;
        }

        cancellationToken.ThrowIfCancellationRequested();
        var ask = Check(kind, request, options);
        if (ask.Transaction is null)
            await Path.CommitInputsAsync(Run, Path.NeedsSync(scope.Options), cancellationToken).ConfigureAwait(false);
        if (TryRepeat(ask, out var recorded))
        {
            foreach (var item in ItemsOf(recorded))
                yield return item;
            ThrowAtEnd(recorded);
            yield break;
        }

        var open = Open(ask);
        if (TryReplay(open, out recorded))
        {
            // Kept first: whoever stops early has had what was recorded.
            recorded = Keep(open, recorded);
            foreach (var item in ItemsOf(recorded))
                yield return item;
            ThrowAtEnd(recorded);
            yield break;
        }

        var items = new List<Value>();
        var isDone = false;
        var isCancelled = false;
        var began = engine.Clock.GetTimestamp();
        var stream = new LiveStream(Tracked, live, cancellationToken);
        InputFailedException? failed = null;
        try
        {
            while (true)
            {
                bool hasNext;
                try
                {
                    hasNext = await stream.MoveNextAsync().ConfigureAwait(false);
                }
                catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
                {
                    isCancelled = true;
                    throw;
                }
                catch (Exception failure)
                {
                    failed = Fail(open, failure, began, items);
                    break;
                }

                if (!hasNext)
                    break;
                items.Add(stream.Current);
                yield return stream.Current;
            }

            isDone = true;
        }
        finally
        {
            await stream.DisposeAsync().ConfigureAwait(false);
            if (failed is null && (isDone || !isCancelled))
                recorded = Keep(open, Answered(open, Value.Array(items), began, isStream: true, isCut: !isDone));
        }

        if (failed is not null)
            throw failed;
        if (recorded!.Failure is not null)
            throw ToException(recorded);
    }

    private static IReadOnlyList<Value> ItemsOf(RecordedInput recorded) =>
        recorded.Answer is { Kind: ValueKind.Array } items ? items.AsArray() : [];

    private static void ThrowAtEnd(RecordedInput recorded)
    {
        if (recorded.Failure is not null)
            throw ToException(recorded);
        if (recorded.IsCut)
            throw new ReplayDivergenceException(
                recorded, null, "the stream is read on behind the place where its reader stopped when it was recorded");
    }

    /// <summary>Commits what waits (RPL-21).</summary>
    internal Sequence Commit() => new(Path.CommitInputs(Run, Path.NeedsSync(scope.Options)));

    internal async ValueTask<Sequence> CommitAsync(CancellationToken cancellationToken) =>
        new(await Path.CommitInputsAsync(Run, Path.NeedsSync(scope.Options), cancellationToken).ConfigureAwait(false));

    private bool IsInside => Run.Inputs is { } inputs && inputs.IsInside();

    internal RunInputs Tracked => Run.Inputs ?? Track();

    private RunInputs Track()
    {
        var next = InputListing.NextOrdinal(new EventsView(engine, Scope.Live(Path, Run, CommitOptions.Default)));
        lock (Run.CommitLock)
            return Run.Inputs ??= new RunInputs(next);
    }

    // ---- the parts of it --------------------------------------------------------------------------------------------------------

    private sealed record Question(InputKind Kind, string? Name, Value Request, Hash256 Hash, TraceId? Trace)
    {
        internal TransactionContext? Transaction { get; init; }

        internal long AnsweredBefore { get; init; }

        internal RecordedInput WithoutAnswer => new()
        {
            Ordinal = AnsweredBefore,
            Kind = Kind,
            Name = Name,
            Request = Request,
            RequestHash = Hash,
            Trace = Trace,
            AnsweredBefore = AnsweredBefore,
        };
    }

    private Question Check(InputKind kind, in Value request, InputOptions? options)
    {
        options ??= InputOptions.None;
        Inputs.Check(kind, options);
        scope.ThrowIfNotWritable();
        var ask = new Question(kind, options.Name, request, Inputs.HashOf(kind, options.Name, request), options.Trace)
        {
            Transaction = engine.FindRunning(Run),
        };

        // What could not be kept is not asked: there has to be room to say at least that there is no answer.
        EventOperations.PayloadLength(
            Inputs.ToPayload(ask.WithoutAnswer with
            {
                Ordinal = long.MaxValue,
                Duration = TimeSpan.MaxValue,
                Failure = new InputFailure("", new string('x', FailureBytesMin)),
            }),
            engine.Limits);
        return ask;
    }

    // I5
    private bool TryRepeat(Question ask, out RecordedInput earlier) =>
        (earlier = ask.Transaction?.Asked?.Take(Run, ask.Kind, ask.Hash)!) is not null;

    // RUN-7, before anything is called.
    private Question Open(Question ask)
    {
        var inputs = Tracked;
        lock (Run.CommitLock)
        {
            ThrowIfClosed();
            return ask with { AnsweredBefore = inputs.Next };
        }
    }

    private void ThrowIfClosed()
    {
        if (Run.IsDeleted)
            throw Lifecycle.NotFound(Run.Id);
        if (Run.Status != RunStatus.Active)
            throw new RunClosedException(Run.Id, Run.Status);
    }

    private bool TryReplay(Question ask, out RecordedInput recorded)
    {
        recorded = null!;
        return Tracked.Source is InputReplay replay && replay.TryAnswer(ask.WithoutAnswer, out recorded!);
    }

    private RecordedInput Answered(Question ask, in Value answer, long began, bool isStream = false, bool isCut = false) => Marked(
        ask.WithoutAnswer with { Answer = answer, Duration = Since(began), IsStream = isStream, IsCut = isCut });

    private RecordedInput Marked(RecordedInput input) =>
        Tracked.Source is InputReplay ? input with { Mark = InputMark.Live } : input;

    private TimeSpan Since(long began) =>
        TimeSpan.FromMicroseconds(Math.Max(0, engine.Clock.GetElapsedTime(began).Ticks / TimeSpan.TicksPerMicrosecond));

    // Keeps that the call failed, and gives what is thrown instead of its exception: the same that a replay throws.
    private InputFailedException Fail(Question ask, Exception failure, long began, List<Value>? items = null)
    {
        var kept = Keep(ask, Marked(ask.WithoutAnswer with
        {
            Answer = items is null ? default(Value?) : Value.Array(items),
            IsStream = items is not null,
            Failure = FailureOf(failure),
            Duration = Since(began),
        }));
        return new InputFailedException(kept, failure);
    }

    private InputFailure FailureOf(Exception failure) => new(
        failure.GetType().FullName ?? failure.GetType().Name, Cut(failure.Message, engine.Limits.MetadataBytesMax));

    // So that it takes no more than FailureBytesMin.
    private static InputFailure Shorten(InputFailure failure) =>
        new(Cut(failure.Type, FailureBytesMin / 2), Cut(failure.Message, FailureBytesMin / 2));

    // A message is for people: it is cut rather than refused, and what is no text in it is replaced.
    private static string Cut(string message, int bytesMax)
    {
        const int CutNoteBytesMax = 40;
        var clean = new System.Text.StringBuilder(message.Length);
        var bytes = 0;
        foreach (var rune in message.EnumerateRunes())
        {
            if ((bytes += rune.Utf8SequenceLength) > bytesMax - CutNoteBytesMax && message.Length > bytesMax - CutNoteBytesMax)
                return clean.Append(CultureInfo.InvariantCulture, $" (cut from {message.Length} characters)").ToString();
            clean.Append(rune);
        }

        return clean.ToString();
    }

    private RecordedInput Keep(Question ask, RecordedInput input)
    {
        var inputs = Tracked;
        Prefetch(input.Kind);
        lock (inputs.Answering)
        {
            input = input with { Ordinal = inputs.Next, AnsweredBefore = Math.Min(input.AnsweredBefore, inputs.Next) };
            PendingInput pending;
            try
            {
                pending = ToPending(input);
            }
            catch (CairnException tooLarge)
            {
                // The call was made, so it is kept that what came of it could not be.
                var failure = Shorten(input.Failure ?? FailureOf(tooLarge));
                input = input with { Answer = null, IsStream = false, IsCut = false, Failure = failure };
                pending = ToPending(input);
            }

            lock (Run.CommitLock)
            {
                ThrowIfClosed();
                inputs.Add(pending);
            }

            if (ask.Transaction is { } transaction)
            {
                transaction.Asked ??= new AskedInputs();
                transaction.Asked.Add(new AskedInput(
                    Run, input, pending, () => ToPending(input with { Mark = InputMark.Abandoned })));
            }

            return input;
        }
    }

    private PendingInput ToPending(RecordedInput input)
    {
        var cause = new CommitAttributes
        {
            Tool = input.Kind == InputKind.Tool ? input.Name : null,
            TraceStep = input.Trace,
            SourceKind = Inputs.NameOf(input.Kind),
        };
        var payload = Inputs.ToPayload(input);
        var body = new byte[EventOperations.BodyLength(0, EventOperations.PayloadLength(payload, engine.Limits))];
        EventOperations.WriteBody(body, 0, default, payload, engine.Random);
        return new PendingInput(Utf8.GetBytes(Inputs.TypeOf(input.Kind)), body, cause);
    }

    // CP4: the commit that carries the event reads no disk for it.
    private void Prefetch(InputKind kind)
    {
        if (Run.Store.IsWhole)
            return;
        Span<byte> buffer = stackalloc byte[1 + Limits.NameBytesMax];
        Run.Store.Prefetch(StoreKeys.Of(buffer, StoreKeys.EventStream, Utf8.GetBytes(Inputs.TypeOf(kind))));
        Run.Store.Prefetch([StoreKeys.EventHead]);
    }

    private static Value Give(RecordedInput input) => input.Failure is null ? input.Answer!.Value : throw ToException(input);

    private static InputFailedException ToException(RecordedInput input) => new(input, null);

    // ---- a live stream ----------------------------------------------------------------------------------------------------------

    /// <summary>The items of a live call. Each step is inside the call, and what stands between two steps is not (I4).</summary>
    private sealed class LiveStream(
        RunInputs inputs, Func<CancellationToken, IAsyncEnumerable<Value>> live, CancellationToken cancellationToken) : IAsyncDisposable
    {
        private InputCall? _call;
        private IAsyncEnumerator<Value>? _items;

        internal Value Current => _items!.Current;

        internal async ValueTask<bool> MoveNextAsync()
        {
            if (_call is null)
                _call = inputs.Enter();
            else
                RunInputs.Continue(_call);
            _items ??= live(cancellationToken).GetAsyncEnumerator(cancellationToken);
            return await _items.MoveNextAsync().ConfigureAwait(false);
        }

        public async ValueTask DisposeAsync()
        {
            if (_call is null)
                return;
            RunInputs.Continue(_call);
            try
            {
                if (_items is not null)
                    await _items.DisposeAsync().ConfigureAwait(false);
            }
            finally
            {
                RunInputs.Leave(_call);
            }
        }
    }
}
