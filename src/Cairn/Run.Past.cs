using System.Globalization;
using Cairn.Codec;
using Cairn.Log;
using Cairn.Primitives;
using Cairn.Replay;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn;

// What the run's log tells: its commits, and which of them wrote a thing.
public sealed partial class Run
{
    /// <summary>The run's commits, newest first, with who and what caused each. Costs a read of the run's own records down to the last one
    /// that is told.</summary>
    /// <param name="limit">Most commits; 0 = <see cref="Limits.PageSize"/>.</param>
    /// <param name="before">Only commits before this one; null = from the newest.</param>
    /// <exception cref="HistoryTrimmedException">Fewer are left than were asked for, and those before them are no longer kept.</exception>
    /// <exception cref="CorruptionException">A record is damaged.</exception>
    /// <exception cref="LimitException">The limit is above <see cref="Limits.PageSizeMax"/>.</exception>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidArgument"/>: the limit is negative;
    /// <see cref="ErrorCode.NotFound"/>: the run was deleted.</exception>
    public IReadOnlyList<CommittedTransaction> Commits(int limit = 0, Sequence? before = null)
    {
        if (limit < 0)
        {
            throw new CairnException(
                ErrorCode.InvalidArgument, $"A limit of {limit} makes no sense. Ask for 1 to {_engine.Limits.PageSizeMax}, or 0.");
        }

        if (limit > _engine.Limits.PageSizeMax)
            throw new LimitException(nameof(Limits.PageSizeMax), _engine.Limits.PageSizeMax, limit, "commits");
        Scope.Live(_engine.Path, _state, CommitOptions.Default).ThrowIfNotReadable();
        var most = limit == 0 ? _engine.Limits.PageSize : limit;
        var end = before?.Value ?? ulong.MaxValue;
        var found = new List<CommittedTransaction>();
        using var chain = ChainOrThrow(end);
        while (found.Count < most && chain.MoveNext(out var payload))
        {
            if (chain.Oldest < end)
                found.Add(CommittedTransaction.Of(chain.Log, _engine.Path.Operations, chain.Header, payload, chain.Position));
        }

        return found.Count < most && chain.IsTrimmed
            ? throw new HistoryTrimmedException(new Sequence(Math.Min(end, chain.Oldest) - 1), new Sequence(chain.Oldest))
            : found;
    }

    /// <summary>The commit that wrote what a reader sees now: of a key or a state cell its newest value, of a document its last change,
    /// of an event or a trace its record or its redaction, of a concept its last Put, of the run itself the last change of its record.
    /// Costs a read of the run's own records down to it.</summary>
    /// <param name="address">A thing of this run.</param>
    /// <returns>Null when there is no such thing, or it has expired.</returns>
    /// <exception cref="HistoryTrimmedException">That commit is no longer kept.</exception>
    /// <exception cref="CorruptionException">A record is damaged.</exception>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidArgument"/>: no primitive has such addresses, or the key is none
    /// of its; <see cref="ErrorCode.InvalidKey"/>; <see cref="ErrorCode.NotFound"/>: the run was deleted.</exception>
    /// <exception cref="LimitException">The key is too long.</exception>
    public CommittedTransaction? Blame(ItemAddress address)
    {
        var scope = Scope.Live(_engine.Path, _state, CommitOptions.Default);
        scope.ThrowIfNotReadable();
        var storeKey = StoreKeyOf(address);
        var holder = storeKey[0] is StoreKeys.Run ? Scope.Live(_engine.Path, _engine.Catalogue.State, CommitOptions.Default) : scope;
        ulong written;
        using (var reader = holder.Run.Store.Read())
        {
            if (!holder.TryGet(reader, storeKey, out var version))
                return null;
            written = version.Sequence;
        }

        return CommitAt(written, isOfIndex: storeKey[0] is StoreKeys.Run);
    }

    /// <summary>The commit that last changed a place of a document, or made what holds it.</summary>
    /// <param name="id">Of the document.</param>
    /// <param name="path">The place.</param>
    /// <returns>Null when there is no such document or place.</returns>
    /// <inheritdoc cref="Blame(ItemAddress)" path="/exception"/>
    public CommittedTransaction? Blame(string id, DocumentPath path)
    {
        ArgumentNullException.ThrowIfNull(path);
        return Json.GetVersioned(id, path) is { } found ? CommitAt(found.Region.Value, isOfIndex: false) : null;
    }

    private CommittedTransaction CommitAt(ulong written, bool isOfIndex)
    {
        // What a fork has from before, a run that it reads through to has written.
        var writer = _state;
        while (writer.Store.Base is { } below && written <= below.At && !isOfIndex)
            writer = below.Owner;
        using var chain = ChainOrThrow(written, writer);
        while (chain.MoveNext(out var payload))
        {
            if (chain.Header.Sequence == written)
                return CommittedTransaction.Of(chain.Log, _engine.Path.Operations, chain.Header, payload, chain.Position);
            if (chain.Header.Sequence < written)
                throw chain.Damaged($"the commit {written} above it in the chain of run {Id}");
        }

        throw new HistoryTrimmedException(new Sequence(written), new Sequence(chain.Oldest));
    }

    // ---- views ------------------------------------------------------------------------------------------------------------------

    /// <summary>The run as it was right after a commit, whoever's that was. Costs a read of the run's own records, or of those since a
    /// checkpoint. Dispose of the view.</summary>
    /// <exception cref="HistoryTrimmedException">The records that it takes are no longer kept; in memory without a policy that keeps the
    /// past, only the newest state is.</exception>
    /// <exception cref="CorruptionException">A record is damaged.</exception>
    /// <exception cref="LimitException">The view takes more memory than <see cref="Limits.ViewBytesMax"/>.</exception>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidArgument"/>: the sequence is not there yet;
    /// <see cref="ErrorCode.NotFound"/>: the run had not begun, or was deleted.</exception>
    public RunView At(Sequence sequence) => RunView.At(_engine, _state, sequence);

    /// <summary>The run as it was at a time: with all its commits up to then, and without what had expired by then.</summary>
    /// <inheritdoc cref="At(Sequence)" path="/exception"/>
    public RunView At(DateTimeOffset time) => RunView.At(_engine, _state, time);

    /// <summary>The run as it was right before a commit, whoever's that was.</summary>
    /// <param name="sequence">1 or later.</param>
    /// <inheritdoc cref="At(Sequence)" path="/exception"/>
    public RunView Before(Sequence sequence) => sequence == Sequence.None
        ? throw new CairnException(ErrorCode.InvalidArgument, "Nothing is before the first commit: ask for a sequence from 1 on.")
        : RunView.At(_engine, _state, new Sequence(sequence.Value - 1));

    /// <summary>The run as it was right after the commit that appended an event.</summary>
    /// <exception cref="CairnException"><see cref="ErrorCode.NotFound"/>: there is no such event, or no such run.</exception>
    /// <inheritdoc cref="At(Sequence)" path="/exception"/>
    public RunView AtEvent(EventNumber number) => RunView.At(_engine, _state, AppendedAt(number));

    /// <summary>The commit that appended an event.</summary>
    internal Sequence AppendedAt(EventNumber number)
    {
        var scope = Scope.Live(_engine.Path, _state, CommitOptions.Default);
        scope.ThrowIfNotReadable();
        ulong appended;
        using (var reader = _state.Store.Read())
        {
            new EventReader(scope, reader, stackalloc byte[EventReader.KeyBytes]).Floor().ThrowIfBelow(number.Value);
            if (!scope.TryGet(reader, StoreKeys.Of(stackalloc byte[9], StoreKeys.Event, number.Value), out var version))
                throw new CairnException(ErrorCode.NotFound, $"Run {Id} has no event {number}.");
            appended = version.Created;                      // a redaction is a later version of the same event
        }

        return new Sequence(appended);
    }

    /// <summary>How many commits the run has. Costs a read of the run's own records.</summary>
    /// <exception cref="HistoryTrimmedException">Some of them are no longer kept.</exception>
    public int StepCount
    {
        get
        {
            Scope.Live(_engine.Path, _state, CommitOptions.Default).ThrowIfNotReadable();
            return StepReplay.Count(RunView.SourceOf(_engine, _state, _state.Visible.Value), _state.Visible.Value);
        }
    }

    /// <summary>The run as it was right after its n-th commit.</summary>
    /// <param name="step">Counted from 1.</param>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidArgument"/>: the run has no such step;
    /// <see cref="ErrorCode.NotFound"/>: it was deleted.</exception>
    /// <inheritdoc cref="At(Sequence)" path="/exception"/>
    public RunView AtStep(int step) => RunView.At(_engine, _state, StepAt(step));

    /// <summary>The run's n-th commit.</summary>
    internal Sequence StepAt(int step)
    {
        Scope.Live(_engine.Path, _state, CommitOptions.Default).ThrowIfNotReadable();
        return StepReplay.SequenceOf(RunView.SourceOf(_engine, _state, _state.Visible.Value), step, out var count) is { } sequence
            ? new Sequence(sequence)
            : throw new CairnException(ErrorCode.InvalidArgument, $"Step {step} makes no sense: run {Id} has the steps 1 to {count}.");
    }

    /// <summary>The run's newest commit up to a time.</summary>
    internal Sequence NewestAt(DateTimeOffset time)
    {
        Scope.Live(_engine.Path, _state, CommitOptions.Default).ThrowIfNotReadable();
        var microseconds = CommitClock.Microseconds(time);
        using var chain = ChainOrThrow(_engine.Path.Log.LastSequence);
        while (chain.MoveNext(out var payload))
        {
            if (TransactionPayload.ReadCommitTime(payload) <= microseconds)
                return new Sequence(chain.Header.Sequence);
        }

        if (chain.IsTrimmed)
            throw new HistoryTrimmedException(new Sequence(chain.Oldest - 1), new Sequence(chain.Oldest));
        return _state.Born == 0
            ? Sequence.None
            : throw new CairnException(ErrorCode.NotFound, $"Run {Id} had not begun at {time:O}: it begins at @{_state.Born}.");
    }

    private RunChain ChainOrThrow(ulong asked, RunState? of = null) => _engine.Path.Log.Device is SegmentedLog log
        ? RunChain.Of(log, _engine.Path.Log, of ?? _state)
        : throw new HistoryTrimmedException(
            new Sequence(Math.Min(asked, _engine.Path.Log.LastSequence)), new Sequence(_engine.Path.Log.LastSequence + 1));

    private byte[] StoreKeyOf(ItemAddress address)
    {
        Span<byte> buffer = stackalloc byte[VectorKeys.BytesMax];
        switch (address.Primitive)
        {
            case "vectors":
                return VectorKeyOf(address.Key);
            case "kv":
                return KvView.StoreKey(address.Key, buffer).ToArray();
            case "json":
                return KeyRules.EncodeBehind(StoreKeys.JsonHeader, address.Key, isWrite: false, buffer).ToArray();
            case "state":
                return StateView.StoreKey(address.Key, buffer).ToArray();
            case "idempotency":
                return KeyRules.EncodeBehind(StoreKeys.Idempotency, address.Key, isWrite: false, buffer).ToArray();
            case "events" when ulong.TryParse(
                address.Key.AsSpan(address.Key.StartsWith('#') ? 1 : 0), NumberStyles.None, CultureInfo.InvariantCulture, out var number):
                return StoreKeys.Of(buffer, StoreKeys.Event, number).ToArray();
            case "traces" when TraceId.TryParse(address.Key, out var trace):
                return TraceKeys.Trace(buffer, trace).ToArray();
            case ItemAddress.GraphPrimitive:
                return KeyRules.EncodeBehind(StoreKeys.Concept, address.Key, isWrite: false, buffer).ToArray();
            case ItemAddress.AssociationsPrimitive when GraphKeys.TryParse(
                stackalloc byte[GraphKeys.AssociationBytesMax], address.Key, out var association):
                return [StoreKeys.Association, .. association];
            case "runs" when address.Key == Id.ToString():
                return RunKeys.Record(Id);
            default:
                throw new CairnException(
                    ErrorCode.InvalidArgument,
                    $"'{address}' names nothing in run {Id}. Write kv/KEY, json/ID, vectors/COLLECTION/KEY, state/NAME, events/#NUMBER, "
                    + $"traces/ID, graph/ID, associations/[SOURCE,TYPE,TARGET] or runs/{Id}.");
        }
    }

    private static byte[] VectorKeyOf(string text)
    {
        var slash = text.IndexOf('/', StringComparison.Ordinal);
        var name = VectorCollectionsView.EncodedName(slash < 0 ? text : text[..slash]);
        Span<byte> buffer = stackalloc byte[VectorKeys.BytesMax];
        if (slash < 0)
            return VectorKeys.Collection(buffer, name).ToArray();
        Span<byte> key = stackalloc byte[Limits.KeyBytesMax];
        KeyRules.EncodeKeyForRead(text[(slash + 1)..], key, out var length);
        return VectorKeys.Head(buffer, name, key[..length]).ToArray();
    }
}
