using Cairn.Primitives;
using Cairn.Replay;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn;

// Merging runs.
public sealed partial class Runs
{
    /// <summary>Chosen: beyond it somebody does nothing but merge the same source.</summary>
    private const int MergeBasesMax = 100;

    /// <summary>Brings what a run has changed since the newest state that two runs have both had into the other one: key by key and cell by
    /// cell against that base, events in their order, traces by id. One commit of the target, all or nothing; the source does not change.
    /// Merging the same source again brings what is new since then. What belongs to a run alone stays: its record, consumers,
    /// subscriptions, triggers, idempotency keys, leases.</summary>
    /// <remarks>Costs what the source changed since then. The base of a further merge is a run as it was at the merge before, made from its
    /// records: in memory without a log that is possible only as long as that run has not gone on.</remarks>
    /// <param name="source">A fork of the target, what the target was forked from, or any run that has a state in common with it; in
    /// whatever status.</param>
    /// <param name="target">An open run.</param>
    /// <param name="options">What becomes of conflicts; null = nothing is written while there is one.</param>
    /// <param name="cancellationToken">Ends it before the commit; nothing is written then.</param>
    /// <returns>What was done, or why nothing was: open conflicts are data and no error.</returns>
    /// <exception cref="CairnException"><see cref="ErrorCode.NotFound"/>: there is no such run, or the base was in one that is gone;
    /// <see cref="ErrorCode.InvalidArgument"/>: a run with itself, <c>$sys</c>, the resolver's answer cannot be, an option is out of its
    /// range; <see cref="ErrorCode.ConstraintViolation"/>: the two never had a state in common; <see cref="ErrorCode.ReadOnly"/> (not for
    /// a dry run).</exception>
    /// <exception cref="RunClosedException">The target is closed.</exception>
    /// <exception cref="HistoryTrimmedException">The base, or an event that would be taken, is no longer kept.</exception>
    /// <exception cref="LimitException">It does not fit into one transaction (<see cref="Limits.TransactionOperationsMax"/>,
    /// <see cref="Limits.TransactionBytesMax"/>), or the base takes more memory than a view may
    /// (<see cref="Limits.ViewBytesMax"/>).</exception>
    /// <exception cref="ConflictException">Other commits of the target came between again and again; nothing was written.</exception>
    /// <exception cref="InvalidOperationException">Inside a transaction: a merge is one.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public MergeResult Merge(RunId source, RunId target, MergeOptions? options = null, CancellationToken cancellationToken = default)
    {
        options ??= MergeOptions.Default;
        CheckMerge(source, target, options);
        var (from, into) = (Find(source), Find(target));
        if (_engine.FindRunning(into) is not null)
            throw new InvalidOperationException("A merge is a transaction of its own. Merge before or behind the one that is running.");
        if (!options.IsDryRun)
            Scope.Live(_engine.Path, into, _options).ThrowIfNotWritable();
        for (var tries = 0; tries < MergeBasesMax; tries++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            using var merge = new RunMerge(_engine, from, into, options, cancellationToken);
            if (merge.Do(MergeCommit(options, merge)) is { } result)
                return result;
        }

        throw new ConflictException("merges", source.ToString(), "base", Sequence.None, Sequence.None);
    }

    /// <summary>The runs that were merged into a run, in order of their ids: up to where each of them is in it. A fork has those of its
    /// parent.</summary>
    /// <exception cref="CairnException"><see cref="ErrorCode.NotFound"/>: there is no such run.</exception>
    public IReadOnlyList<MergedRun> Merges(RunId target)
    {
        var scope = Scope.Live(_engine.Path, Find(target), _options);
        using var pinned = new PinnedScope(_engine.Pins, scope);
        using var reader = scope.Run.Store.Read();
        byte[] from = [StoreKeys.Merged];
        byte[] to = [StoreKeys.Merged + 1];
        var scan = reader.Scan(from, to, pinned.Scope.Sequence);
        var merged = new List<MergedRun>();
        while (scan.MoveNext())
        {
            merged.Add(new MergedRun(
                new RunPoint(RunId.Read(scan.Key[1..]), new Sequence(MergedUpTo.Read(scan.Version.Value).Sequence)),
                new Sequence(scan.Version.Sequence)));
        }

        return merged;
    }

    private static void CheckMerge(RunId source, RunId target, MergeOptions options)
    {
        if (source == target)
            throw new CairnException(ErrorCode.InvalidArgument, $"Run {source} cannot be merged into itself.");
        if (source == RunId.System || target == RunId.System)
            throw new CairnException(ErrorCode.InvalidArgument, "The run '$sys' is the engine's own and cannot be merged.");
        if (options.ConflictsMax is < 0 or > MergeOptions.ConflictsMost)
        {
            throw new CairnException(
                ErrorCode.InvalidArgument,
                $"ConflictsMax is {options.ConflictsMax}; it must be from 0 to {MergeOptions.ConflictsMost}.");
        }

        if (!Enum.IsDefined(options.Strategy) || !Enum.IsDefined(options.Events))
            throw new CairnException(ErrorCode.InvalidArgument, "Strategy and Events take the values that their types name.");
    }

    // What the commit's record says of its cause: what the caller says, and which merge it is.
    private TransactionOptions MergeCommit(MergeOptions options, RunMerge merge)
    {
        var given = _options.Attributes ?? CommitAttributes.None;
        var told = Value.Object(
            ("source", merge.Source.Point.Run.ToString()), ("sequence", (long)merge.Source.Sequence),
            ("base", merge.Base.Sequence.ToString(System.Globalization.CultureInfo.InvariantCulture)),
            ("strategy", options.Strategy.ToString()));
        var entries = Value.Object(given.Entries.AsObject().Where(member => member.Key != "$merge").Append(new("$merge", told)));
        return new TransactionOptions
        {
            Commit = _options with { Attributes = given with { Entries = entries, SourceKind = given.SourceKind ?? "merge" } },
        };
    }
}

/// <summary>One merge: what it is compared with, and the transaction. Dispose of it.</summary>
internal sealed class RunMerge : IDisposable
{
    private readonly Engine _engine;
    private readonly RunState _into;
    private readonly MergeOptions _options;
    private readonly MergeProgress _progress;
    private readonly DiffEnd _target;
    private readonly MergeBase _at;
    private readonly EventLine _sourceLine;
    private readonly EventLine _targetLine;
    private MergeState? _values;

    internal RunMerge(Engine engine, RunState from, RunState into, MergeOptions options, CancellationToken cancellationToken)
    {
        (_engine, _into, _options) = (engine, into, options);
        _progress = new MergeProgress(options.Progress, cancellationToken);
        var time = engine.Path.ReadTime();
        Source = CairnDatabase.EndOf(engine, from, time);
        try
        {
            _target = CairnDatabase.EndOf(engine, into, time);
            _at = MergeBase.Find(Source, _target) ?? throw new CairnException(
                ErrorCode.ConstraintViolation,
                $"Runs {from.Id} and {into.Id} have never had a state in common, so there is nothing to merge against. Fork one of the "
                + "other, or copy what you need.");
            (_sourceLine, _targetLine) = (new EventLine(Source), new EventLine(_target));
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    internal DiffEnd Source { get; }

    internal CommonPoint Base => _at.Point;

    /// <returns>Null: another merge of the source was faster, and the base is another one now.</returns>
    internal MergeResult? Do(TransactionOptions commit)
    {
        if (_at.Since is { } since && since.Run == Source.Live.Id && Source.Numbers.LastSequence <= since.Sequence)
            return Result(null, Sequence.None);
        _progress.Begin("records", 0);
        var keys = new MergeKeys(Source, _at.Since, Values, EventLine.Shared(_sourceLine, _targetLine, _at.Common), _progress);
        if (keys.IsEmpty && _sourceLine.Next <= FirstEvent)
            return Result(null, Sequence.None);
        Values();
        if (_options.IsDryRun)
            return Try(commit, keys);
        if (!BringsInputs())
            return Commit(commit, keys);

        // Nobody gets an ordinal while some are given here.
        var inputs = new InputRecorder(_engine, Scope.Live(_engine.Path, _into, commit.Commit)).Tracked;
        lock (inputs.Answering)
        {
            _engine.Path.CommitInputs(_into, _engine.Path.NeedsSync(commit.Commit));
            var result = Commit(commit, keys);
            lock (_into.CommitLock)
                inputs.GoOnFrom(InputListing.NextOrdinal(new EventsView(_engine, Scope.Live(_engine.Path, _into, commit.Commit))));
            return result;
        }
    }

    private ulong FirstEvent =>
        MergeEvents.FirstOf(_at, _sourceLine, EventLine.Shared(_sourceLine, _targetLine, _at.Common));

    private bool BringsInputs()
    {
        var events = new EventsView(_engine, Source.Scope);
        return Inputs.Types.Any(type => events.StreamInfo(type) is { } stream && stream.LastNumber.Value >= FirstEvent);
    }

    // In a transaction that ends without a commit.
    private MergeResult? Try(TransactionOptions commit, MergeKeys keys)
    {
        var transaction = _engine.Begin([_into], commit);
        try
        {
            var plan = Decide(transaction, keys);
            return plan is null ? null : Result(plan, Sequence.None, keys.Count);
        }
        finally
        {
            _engine.End(transaction);
        }
    }

    private MergeResult? Commit(TransactionOptions commit, MergeKeys keys)
    {
        TransactionContext? last = null;
        var plan = _engine.Transact(
            [_into], commit, commit.Retries,
            transaction =>
            {
                last = transaction;
                var decided = Decide(transaction, keys);
                if (decided is { Open: 0, IsEmpty: false })
                    decided.Commit();
                return decided;
            });
        return plan is null ? null : Result(plan, new Sequence(last!.CommittedAt), keys.Count);
    }

    // Null: the base has moved.
    private MergePlan? Decide(TransactionContext transaction, MergeKeys keys)
    {
        var scope = transaction.Find(_into.Id)!;
        if (HasMoved(scope))
            return null;
        var plan = new MergePlan(scope, Source, Values(), _at.Common, _options, _engine.Limits, _progress);
        _progress.Begin("kv", keys.Count + (long)(_sourceLine.Next - Math.Min(FirstEvent, _sourceLine.Next)));
        plan.Keyed(StoreKeys.Kv, keys.Of(StoreKeys.Kv));
        _progress.GoOn("state");
        plan.Keyed(StoreKeys.State, keys.Of(StoreKeys.State));
        _progress.GoOn("json");
        MergeDocuments.Merge(plan, keys.Of(StoreKeys.Json));
        _progress.GoOn("vectors");
        MergeVectors.Merge(plan, keys.Of(StoreKeys.VectorCollection), keys.Of(StoreKeys.VectorHead));
        _progress.GoOn("events");
        var events = new MergeEvents(
            plan, _at, _sourceLine, _targetLine, () => InputListing.NextOrdinal(new EventsView(_engine, scope)), _engine.Random);
        events.Merge(keys.Of(StoreKeys.Event));
        _progress.GoOn("traces");
        plan.Traces(keys.Of(StoreKeys.Trace));
        _progress.GoOn("graph");
        var graph = new MergeGraph(plan);
        graph.Concepts(keys.Of(StoreKeys.Concept));
        graph.Associations(keys.Of(StoreKeys.Association));
        if (!plan.IsEmpty)
        {
            plan.Write(new PendingWrite
            {
                StoreKey = MergedUpTo.Key(Source.Live.Id),
                Code = OperationCode.RunMerge,
                OperationKey = MergedUpTo.Key(Source.Live.Id)[1..],
                Value = MergeOperations.Body(new MergedUpTo(Source.Sequence, _sourceLine.Next), events.Rows),
                Steps = (uint)events.Rows.Count,
            });
        }

        if (plan.Open == 0)
            plan.ThrowIfTooLarge();
        if (!_options.IsDryRun)
            _progress.End("commit");
        return plan;
    }

    private bool HasMoved(Scope scope)
    {
        using var reader = scope.Run.Store.Read();
        foreach (var point in Source.Line())
        {
            var key = MergedUpTo.Key(point.Run);
            scope.NotePoint(key);
            var version = scope.TryGetCommitted(reader, key, out var stored) && !stored.IsTombstone ? stored.Sequence : 0;
            var isBase = _at.Into is { } into && MergedUpTo.Read(version == 0 ? new byte[MergedUpTo.Size] : stored.Value) == into.UpTo
                && version == into.Version;
            if (isBase)
                return false;                                // those above it are older
            if (version != 0)
                return true;
        }

        return _at.Into is not null;
    }

    // As both had it: where a fork begins, or the run itself if it has not changed since, or a view.
    private MergeState Values()
    {
        if (_values is not null)
            return _values;
        var point = _at.Point;
        foreach (var end in (DiffEnd[])[Source, _target])
        {
            for (var below = end.Live.Store.Base; below is not null; below = below.Owner.Store.Base)
            {
                if (below.Parent == point.Run && below.At == point.Sequence)
                    return _values = new MergeState(below.Run, below.At, null);
            }
        }

        _progress.Begin("base", 0);
        var run = _engine.Catalogue.Find(point.Run) is { IsDeleted: false } found ? found : throw new CairnException(
            ErrorCode.NotFound, $"The base of the merge is run {point.Run} at @{point.Sequence}, and that run was deleted.");
        var hold = new PinHold(_engine.Pins, _engine.Pins.Take(run.Visible, run.Store.RunTag));
        ulong newest;
        lock (run.CommitLock)
            newest = run.LastSequence;
        if (newest <= point.Sequence)
            return _values = new MergeState(run, hold.Sequence, hold);
        hold.Dispose();
        var view = RunView.At(_engine, run, new Sequence(point.Sequence), _progress.Token);
        return _values = new MergeState(view.Scope.Run, view.Scope.Sequence, view);
    }

    private MergeResult Result(MergePlan? plan, Sequence sequence, int keys = 0) => new()
    {
        Source = Source.Point,
        Target = _target.Point,
        Base = new RunPoint(_at.Point.Run, new Sequence(_at.Point.Sequence)),
        Sequence = sequence,
        IsDryRun = _options.IsDryRun,
        Counts = plan?.Counts ?? new Dictionary<string, MergeCounts>
        {
            ["kv"] = default, ["state"] = default, ["json"] = default, ["vectors"] = default, ["events"] = default,
            ["traces"] = default, [ItemAddress.GraphPrimitive] = default, [ItemAddress.AssociationsPrimitive] = default,
        },
        Conflicts = plan?.Conflicts ?? [],
        OpenConflicts = plan?.Open ?? 0,
        LeasesLeft = plan?.LeasesLeft ?? 0,
        KeysLookedAt = keys,
    };

    public void Dispose()
    {
        _values?.Dispose();
        _target?.Dispose();
        Source.Dispose();
    }
}
