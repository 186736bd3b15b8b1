using System.Diagnostics.CodeAnalysis;
using Cairn.Codec;
using Cairn.Log;
using Cairn.Primitives;
using Cairn.Replay;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn;

/// <summary>The index of runs. Listings are in order of the runs' ids, which is the order in which they were begun, as far as the
/// database made the ids. The runs <c>default</c> and <c>$sys</c> always exist; they can be found by name and id, and are not listed.
/// Thread-safe. Reads never wait and never change anything.</summary>
public sealed partial class Runs
{
    private const byte ListingRuns = 0x60;

    /// <summary>A drawn id that is taken already (same seed, same time) is drawn again this often.</summary>
    private const int DrawsMax = 1_000;

    private readonly Engine _engine;
    private readonly CommitOptions _options;
    private readonly Scope _index;

    internal Runs(Engine engine)
        : this(engine, CommitOptions.Default)
    {
    }

    private Runs(Engine engine, CommitOptions options)
    {
        _engine = engine;
        _options = options;
        _index = Scope.Live(engine.Path, engine.Catalogue.State, CommitOptions.Default);
    }

    /// <summary>The same index, with other options for each write made through the result and through the handles that it gives.</summary>
    /// <exception cref="CairnException">The options ask for less durability than the database has, or the attributes are not what they may
    /// be (<see cref="Run.With(CommitAttributes)"/>).</exception>
    /// <exception cref="LimitException">The attributes are too long.</exception>
    public Runs With(CommitOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        _engine.Path.NeedsSync(options);
        options.Attributes?.Encode(_engine.Limits);
        return new Runs(_engine, options);
    }

    // ---- beginning ------------------------------------------------------------------------------------------------------------

    /// <summary>Begins a run: Active, empty, its record committed when this returns.</summary>
    /// <param name="name">1 to 256 bytes of UTF-8, no control characters, no <c>/</c>, not beginning with <c>$</c>, not of the form of an
    /// id; unique among the runs that exist. Null = no name.</param>
    /// <param name="parent">A run that exists; null = none. It may be deleted later: its children stay and keep its id.</param>
    /// <param name="tags">As in <see cref="Run.AddTags"/>.</param>
    /// <param name="metadata">An Object, at most <see cref="Limits.MetadataBytesMax"/> encoded; null = an empty one.</param>
    /// <param name="id">Null = a new UUIDv7. Give one to take over a run from elsewhere.</param>
    /// <returns>Its handle.</returns>
    /// <exception cref="CairnException"><see cref="ErrorCode.AlreadyExists"/>: the name or the id is taken;
    /// <see cref="ErrorCode.NotFound"/>: there is no such parent; <see cref="ErrorCode.InvalidName"/>; <see cref="ErrorCode.WrongType"/>:
    /// the metadata is not an Object; <see cref="ErrorCode.ReadOnly"/>.</exception>
    /// <exception cref="LimitException">Name, tags or metadata are out of their limits.</exception>
    public Run Begin(
        string? name = null, RunId? parent = null, IReadOnlyCollection<string>? tags = null, Value? metadata = null, RunId? id = null)
    {
        var kept = CheckBeginning(name, tags, metadata);
        if (id is { } chosen && chosen == default(RunId))
            throw new CairnException(ErrorCode.InvalidArgument, "A run's id may not be zero. Leave it out to get a new one.");
        if (id is { } known && RunRecord.IsBuiltIn(known))
            throw IdTaken(known);
        var body = Fields.Write(
            ("name", Fields.Of(name)), ("parent", Fields.Of(parent?.Bits)), ("tags", Fields.Of(kept)), ("metadata", metadata)).Encode();
        return Commence(OperationCode.RunCreate, body, kept.Length, name, parent, id, null);
    }

    /// <summary>Begins a run that has what another one had at a sequence, and goes on from there: neither sees what the other does later.
    /// Keys keep the sequences that wrote them; event numbers, the hash chain, counters and the positions of consumers go on; leases are
    /// free and idempotency keys are forgotten. Costs the same whatever the run holds. The run itself does not change.</summary>
    /// <remarks>A fork at an earlier sequence than the run's last one is made of the run's records, when it is first read or written:
    /// that costs a read of those, once in an opening, and memory for what the run held then. For as long as the fork is there, retention
    /// lets go of no record of the run.</remarks>
    /// <param name="run">The run to fork, in whatever status. Deleting it later takes nothing from its forks.</param>
    /// <param name="at">Null = its last sequence.</param>
    /// <param name="name">As in <see cref="Begin"/>; the fork does not inherit one.</param>
    /// <param name="tags">As in <see cref="Run.AddTags"/>; the fork does not inherit any.</param>
    /// <param name="metadata">As in <see cref="Begin"/>; the fork does not inherit it.</param>
    /// <returns>The handle of the fork. Its <see cref="RunInfo.Parent"/> is the run, its <see cref="RunInfo.ForkSequence"/> the sequence.
    /// To discard it, delete it: that costs what it has written itself and leaves no trace in the run.</returns>
    /// <exception cref="CairnException"><see cref="ErrorCode.NotFound"/>: there is no such run; <see cref="ErrorCode.InvalidArgument"/>: it
    /// is <c>$sys</c>, or the sequence is not there yet, or is before the run began; <see cref="ErrorCode.AlreadyExists"/>: the name is
    /// taken; <see cref="ErrorCode.InvalidName"/>; <see cref="ErrorCode.WrongType"/>: the metadata is not an Object;
    /// <see cref="ErrorCode.ReadOnly"/>.</exception>
    /// <exception cref="HistoryTrimmedException">The sequence is before the run's last one, and retention has let go of a record of the
    /// run; or there are no records, in memory without a policy that keeps the past.</exception>
    /// <exception cref="LimitException">Name, tags or metadata are out of their limits, or the fork would read through more than
    /// <see cref="Limits.ForkDepthMax"/> others.</exception>
    public Run Fork(
        RunId run, Sequence? at = null, string? name = null, IReadOnlyCollection<string>? tags = null, Value? metadata = null)
    {
        var start = new Beginning(name, CheckBeginning(name, tags, metadata), metadata);
        if (run == RunId.System)
            throw new CairnException(ErrorCode.InvalidArgument, "The run '$sys' is the engine's own and cannot be forked.");
        var parent = Find(run);
        CheckForkPoint(parent, at);
        var depth = 1 + (parent.Store.Base?.Depth ?? 0);
        if (depth > _engine.Limits.ForkDepthMax)
            throw new LimitException(nameof(Limits.ForkDepthMax), _engine.Limits.ForkDepthMax, depth, "levels");
        _engine.Catalogue.SettleForks();
        if (at is not { } asked)
            return ForkNow(parent, null, start);
        ulong last;
        lock (parent.CommitLock)
            last = parent.LastSequence;
        if (asked.Value >= last)
        {
            try
            {
                return ForkNow(parent, asked, start);
            }
            catch (HistoryTrimmedException)
            {
                // The run has moved on since: now it is a past point.
            }
        }

        return ForkPast(parent, asked, start);
    }

    /// <summary>The same at a time: the run's newest commit up to then. What has expired since then is not there.</summary>
    /// <inheritdoc cref="Fork(RunId, Sequence?, string?, IReadOnlyCollection{string}?, Value?)"/>
    /// <param name="run">The run to fork.</param>
    /// <param name="at">Costs a read of the run's own records down to it.</param>
    public Run Fork(
        RunId run, DateTimeOffset at, string? name = null, IReadOnlyCollection<string>? tags = null, Value? metadata = null) =>
        Fork(run, HandleOf(Find(run)).NewestAt(at), name, tags, metadata);

    /// <summary>The same where a view is: the fork has what the view shows, but for what has expired since.</summary>
    /// <inheritdoc cref="Fork(RunId, Sequence?, string?, IReadOnlyCollection{string}?, Value?)"/>
    /// <param name="view">Of a run of this database; disposed of or not.</param>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidArgument"/>: the view is of another database.</exception>
    public Run Fork(RunView view, string? name = null, IReadOnlyCollection<string>? tags = null, Value? metadata = null)
    {
        ArgumentNullException.ThrowIfNull(view);
        if (view.Engine != _engine)
            throw new CairnException(ErrorCode.InvalidArgument, "The view is of another database. Fork the run where it is.");
        return Fork(view.RunId, view.Sequence, name, tags, metadata);
    }

    /// <summary>The same right behind the commit that appended an event.</summary>
    /// <inheritdoc cref="Fork(RunId, Sequence?, string?, IReadOnlyCollection{string}?, Value?)"/>
    /// <param name="run">The run to fork.</param>
    /// <param name="number">One that it has; <see cref="ErrorCode.NotFound"/> otherwise.</param>
    public Run ForkAtEvent(
        RunId run, EventNumber number, string? name = null, IReadOnlyCollection<string>? tags = null, Value? metadata = null) =>
        Fork(run, HandleOf(Find(run)).AppendedAt(number), name, tags, metadata);

    /// <summary>The same right behind the run's n-th commit.</summary>
    /// <inheritdoc cref="Fork(RunId, Sequence?, string?, IReadOnlyCollection{string}?, Value?)"/>
    /// <param name="run">The run to fork.</param>
    /// <param name="step">Counted from 1. Costs a read of the run's own records.</param>
    public Run ForkAtStep(
        RunId run, int step, string? name = null, IReadOnlyCollection<string>? tags = null, Value? metadata = null) =>
        Fork(run, HandleOf(Find(run)).StepAt(step), name, tags, metadata);

    private readonly record struct Beginning(string? Name, string[] Tags, Value? Metadata);

    private Run ForkNow(RunState parent, Sequence? at, in Beginning start) => Fork(parent, ForkStart.Open, at, isPast: false, start);

    private Run ForkPast(RunState parent, Sequence at, in Beginning start)
    {
        RunNumbers numbers;
        lock (parent.CommitLock)
            numbers = parent.Numbers;                        // whatever took a place up to the point is applied now
        if (_engine.Path.Log.Device is not SegmentedLog log || _engine.Catalogue.Past is null)
            throw new HistoryTrimmedException(at, new Sequence(numbers.LastSequence));
        _engine.Path.Log.WaitVisible(numbers.LastSequence);  // and written
        var point = new PastPoint(parent, numbers.LastPosition, at.Value);
        using var hold = log.HoldAll("a fork at a past point");                      // until the fork is known to who lets records go
        if (!PastRun.IsWhole(log, point, log.SegmentAt(log.FirstPosition).FirstSequence))
            throw new HistoryTrimmedException(at, new Sequence(numbers.LastSequence));
        return Fork(parent, ForkStart.OfPast(parent, numbers, at.Value) ?? Made(point), at, isPast: true, start);
    }

    // Its events were trimmed: the past itself says where they were.
    private ForkStart Made(in PastPoint point)
    {
        using var made = _engine.Catalogue.Past!(point);
        return new ForkStart(point.Sequence, RunState.NoPosition, made.Run.NextEvent, made.Run.EventHead);
    }

    private Run Fork(RunState parent, in ForkStart from, Sequence? at, bool isPast, in Beginning start)
    {
        var body = Fields.Write(
            ("name", Fields.Of(start.Name)), ("parent", Fields.Of(parent.Id.Bits)), ("from", from.ToValue()),
            ("at", Fields.Of((long?)at?.Value)), ("past", isPast ? true : default(Value?)), ("tags", Fields.Of(start.Tags)),
            ("metadata", start.Metadata)).Encode();
        return Commence(OperationCode.RunFork, body, start.Tags.Length, start.Name, parent.Id, null, parent);
    }

    private void CheckForkPoint(RunState parent, Sequence? at)
    {
        if (at is not { } asked)
            return;
        var last = _engine.Path.Log.LastSequence;
        if (asked.Value > last)
        {
            throw new CairnException(
                ErrorCode.InvalidArgument, $"Sequence {asked} is not there yet: the last one that can be forked at is @{last}.");
        }

        if (asked.Value < parent.Born)
        {
            throw new CairnException(
                ErrorCode.InvalidArgument, $"Run {parent.Id} began at @{parent.Born}: there is nothing to fork at {asked}.");
        }
    }

    // What of a beginning is wrong by itself.
    private string[] CheckBeginning(string? name, IReadOnlyCollection<string>? tags, in Value? metadata)
    {
        _engine.State.ThrowIfNotWritable(onlyDeletes: false);
        if (name is not null)
            RunRules.CheckName(name);
        if (name == RunRecord.DefaultName)
            throw NameTaken(name);
        if (metadata is { } given)
            RunRules.CheckMetadata(given, _engine.Limits);
        return RunRules.CheckTags(tags, _engine.Limits);
    }

    private Run Commence(OperationCode code, byte[] body, int tags, string? name, RunId? parent, RunId? id, RunState? forked)
    {
        for (var draws = 1; ; draws++)
        {
            var drawn = id ?? new RunId(_engine.Random.NextUuid(_engine.Clock.Microseconds()));
            if (TryBegin(code, drawn, name, parent, body, tags, forked, out var run))
                return run;
            if (id is not null || draws == DrawsMax)
                throw IdTaken(drawn);
        }
    }

    // False: the id is taken.
    private bool TryBegin(
        OperationCode code, RunId id, string? name, RunId? parent, byte[] body, int tags, RunState? forked,
        [NotNullWhen(true)] out Run? run)
    {
        run = null;
        var index = _engine.Catalogue.State;
        var state = _engine.Catalogue.NewState(id);
        var isFree = new Expectation(index, RunKeys.Record(id), ExpectationKind.Value, 0);
        var expectations = new List<Expectation> { isFree };
        if (name is not null)
            expectations.Add(
                new Expectation(index, RunKeys.Name(stackalloc byte[RunKeys.LengthMax], name).ToArray(), ExpectationKind.Value, 0));
        if (parent is { } above && !RunRecord.IsBuiltIn(above))
            expectations.Add(new Expectation(index, RunKeys.Record(above), ExpectationKind.Present, 0));
        if (forked is not null)
            expectations.Add(new Expectation(forked, RunNumbers.Key.ToArray(), ExpectationKind.Locked, 0));
        var batch = Batch.RentMine(_options.Attributes?.Encode(_engine.Limits));
        batch.BeginPart(state);
        RunOperations.Add(batch, code, body, tags);
        batch.EndPart();
        batch.Record.NeedsSync = _engine.Path.NeedsSync(_options);
        var done = _engine.Path.TryCommit(batch, null, expectations, out var placed);
        Batch.ReturnMine(batch);
        if (done)
        {
            run = HandleOf(state);
            return true;
        }

        state.Dispose();                                     // nobody else has seen it
        var refusal = placed.Refusal!;
        if (refusal.Expectation is not { } unmet)
            throw refusal.ToException(_engine.Path.Operations);
        if (unmet.Key == isFree.Key)
            return false;
        throw unmet.Kind == ExpectationKind.Present ? Lifecycle.NotFound(parent!.Value) : NameTaken(name!);
    }

    private static CairnException NameTaken(string name) =>
        new(
            ErrorCode.AlreadyExists,
            $"A run of this name ({Utf8.GetByteCount(name)} bytes) exists. Choose another name, or delete that run.");

    private static CairnException IdTaken(RunId id) => new(ErrorCode.AlreadyExists, $"Run {id} exists. Leave the id out to get a new one.");

    private Run HandleOf(RunState state) => new(_engine, state, _options);

    // ---- finding --------------------------------------------------------------------------------------------------------------

    /// <summary>The run of an id; null when there is none.</summary>
    public Run? Get(RunId id) => TryGet(id, out var run) ? run : null;

    /// <summary>The run of a name, or of the text of an id; null when there is none.</summary>
    /// <inheritdoc cref="TryGet(string, out Run)"/>
    public Run? Get(string nameOrId) => TryGet(nameOrId, out var run) ? run : null;

    /// <summary>Finds a run by its id.</summary>
    /// <returns>False when there is none; that is an answer, not an error.</returns>
    public bool TryGet(RunId id, [NotNullWhen(true)] out Run? run)
    {
        run = TryFind(id, out var state) ? HandleOf(state) : null;
        return run is not null;
    }

    /// <summary>Finds a run by its name, or by the text of its id.</summary>
    /// <param name="nameOrId">No name has the form of an id, so there is no doubt which it is.</param>
    /// <param name="run">Its handle.</param>
    /// <returns>False when there is none; that is an answer, not an error.</returns>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidName"/>: no run can have this name.</exception>
    /// <exception cref="LimitException">The name is too long.</exception>
    public bool TryGet(string nameOrId, [NotNullWhen(true)] out Run? run)
    {
        run = null;
        return TryResolve(nameOrId, out var id) && TryGet(id, out run);
    }

    /// <summary>Whether there is such a run.</summary>
    public bool Exists(RunId id) => TryFind(id, out _);

    /// <summary>Whether there is a run of this name, or of this id's text.</summary>
    /// <inheritdoc cref="TryGet(string, out Run)" path="/exception"/>
    public bool Exists(string nameOrId) => TryResolve(nameOrId, out var id) && Exists(id);

    private bool TryResolve(string nameOrId, out RunId id)
    {
        _engine.Path.ThrowIfNotReadable();
        if (RunId.TryParse(nameOrId, out id))
            return true;
        KeyRules.EncodeNameForRead(nameOrId, stackalloc byte[Limits.NameBytesMax], out _);
        if (nameOrId is RunRecord.DefaultName or RunRecord.SystemName)
        {
            id = nameOrId == RunRecord.DefaultName ? RunId.Default : RunId.System;
            return true;
        }

        using var reader = _index.Run.Store.Read();
        if (!_index.TryGet(reader, RunKeys.Name(stackalloc byte[RunKeys.LengthMax], nameOrId), out var version))
            return false;
        id = RunId.Read(version.Value);
        return true;
    }

    // The record is looked at first: until that is visible, nobody else may know of the run.
    private bool TryFind(RunId id, [NotNullWhen(true)] out RunState? state)
    {
        _engine.Path.ThrowIfNotReadable();
        state = null;
        if (!RunRecord.IsBuiltIn(id))
        {
            using var reader = _index.Run.Store.Read();
            if (!_index.TryGet(reader, RunKeys.Record(stackalloc byte[1 + RunId.Size], id), out _))
                return false;
        }

        state = _engine.Catalogue.Find(id);
        return state is { IsGone: false };
    }

    private RunState Find(RunId id) => TryFind(id, out var state) ? state : throw Lifecycle.NotFound(id);

    // ---- listing --------------------------------------------------------------------------------------------------------------

    /// <summary>Runs in order of their ids, a page at a time, all pages at one snapshot of the index.</summary>
    /// <param name="filter">Which; null = all.</param>
    /// <exception cref="CairnException"><see cref="ErrorCode.CursorExpired"/>; <see cref="ErrorCode.InvalidArgument"/>: a cursor of
    /// another listing; <see cref="ErrorCode.InvalidName"/>: no run can have this tag.</exception>
    public Page<RunInfo> List(RunFilter? filter = null)
    {
        filter ??= RunFilter.All;
        var items = new List<RunInfo>();
        var left = KeyRange.PageLimit(filter.Limit, _engine.Limits);
        var cursor = filter.Cursor;
        Sequence sequence;
        do
        {
            sequence = Walk(filter, left, ref cursor, (info, _) => items.Add(info));
            left = KeyRange.PageLimit(filter.Limit, _engine.Limits) - items.Count;
        }
        while (cursor is not null && left > 0);

        return new Page<RunInfo>(items, cursor, sequence);
    }

    /// <summary>Number of runs, exactly. Without conditions at a cost that does not grow with it.</summary>
    /// <param name="filter">Which; null = all that <see cref="List"/> lists.</param>
    /// <inheritdoc cref="List" path="/exception"/>
    public long Count(RunFilter? filter = null)
    {
        _engine.Path.ThrowIfNotReadable();
        var conditions = (filter ?? RunFilter.All) with { Limit = 0, Cursor = null, Reverse = false };
        if (conditions == RunFilter.All)
        {
            using var reader = _index.Run.Store.Read();
            return reader.Count(StoreKeys.Run, _index.Sequence);
        }

        var count = 0L;
        string? cursor = null;
        do
            Walk(conditions, _engine.Limits.PageSizeMax, ref cursor, (_, _) => count++);
        while (cursor is not null);

        return count;
    }

    /// <summary>Runs begun under a run.</summary>
    /// <param name="id">The parent. It may have been deleted: its children keep its id.</param>
    /// <param name="limit">As in <see cref="RunFilter.Limit"/>.</param>
    /// <param name="cursor">As in <see cref="RunFilter.Cursor"/>.</param>
    /// <inheritdoc cref="List" path="/exception"/>
    public Page<RunInfo> Children(RunId id, int limit = 0, string? cursor = null) =>
        List(new RunFilter { Parent = id, Limit = limit, Cursor = cursor });

    /// <summary>The run's parent, its parent, and so on; ends at a run without one, or at one whose parent was deleted.</summary>
    /// <exception cref="CairnException"><see cref="ErrorCode.NotFound"/>: there is no such run.</exception>
    public IReadOnlyList<RunInfo> Ancestors(RunId id)
    {
        _engine.Path.ThrowIfNotReadable();
        var ancestors = new List<RunInfo>();
        var seen = new HashSet<RunId> { id };
        using var pinned = new PinnedScope(_engine.Pins, _index);
        using var reader = _index.Run.Store.Read();
        var parent = (InfoAt(reader, id, pinned.Scope.Sequence) ?? throw Lifecycle.NotFound(id)).Parent;

        // An id that was deleted and taken again by a run below it would lead round in a circle.
        while (parent is { } above && seen.Add(above) && InfoAt(reader, above, pinned.Scope.Sequence) is { } info)
        {
            ancestors.Add(info);
            parent = info.Parent;
        }

        return ancestors;
    }

    /// <summary>The newest state that two runs have in common: forks of one run, a fork and what it was forked from, or forks of
    /// those.</summary>
    /// <returns>The run that had it, and a sequence at which it did; null when the two have none in common. The run may have been deleted
    /// since. Of a run and itself it is its newest state.</returns>
    /// <exception cref="CairnException"><see cref="ErrorCode.NotFound"/>: there is no such run.</exception>
    public RunPoint? CommonAncestor(RunId one, RunId other)
    {
        var points = new Dictionary<RunId, ulong>();
        for (var (run, point) = (Find(one), _engine.Path.Log.LastSequence); ;)
        {
            points.Add(run.Id, point);
            if (run.Store.Base is not { } below)
                break;
            (run, point) = (below.Owner, below.At);
        }

        for (var (run, point) = (Find(other), _engine.Path.Log.LastSequence); ;)
        {
            if (points.TryGetValue(run.Id, out var met))
                return new RunPoint(run.Id, new Sequence(Math.Min(met, point)));
            if (run.Store.Base is not { } below)
                return null;
            (run, point) = (below.Owner, below.At);
        }
    }

    // One page of rows, filtered: what is left over goes on at the cursor.
    private Sequence Walk(RunFilter filter, int limit, ref string? cursor, Action<RunInfo, RunId> found)
    {
        var (from, to) = RangeOf(filter);
        var rows = new Listing(
            _index, _engine.Cursors, _engine.Pins, ListingRuns, from, to, limit, cursor, filter.Reverse, Conditions(filter));
        try
        {
            using var reader = _index.Run.Store.Read();
            while (rows.MoveNext())
            {
                var id = RunId.Read(rows.Key[^RunId.Size..]);
                var info = InfoAt(reader, id, rows.Sequence);
                Invariant.Check(info is not null, "a run in an order has a record");
                if (Matches(filter, info))
                    found(info, id);
            }

            cursor = rows.End();
            return new Sequence(rows.Sequence);
        }
        finally
        {
            rows.Dispose();
        }
    }

    // Each of these orders has the runs by id inside, so all give the same order.
    private static (byte[] From, byte[] To) RangeOf(RunFilter filter)
    {
        Span<byte> buffer = stackalloc byte[RunKeys.LengthMax];
        var prefix = buffer;
        if (filter.Parent is { } parent)
            prefix = buffer[..(RunKeys.Parent(buffer, parent, default).Length - RunId.Size)];
        else if (filter.Tag is { } tag)
            prefix = buffer[..TagPrefix(buffer, tag)];
        else if (filter.Status is { } status)
            prefix = buffer[..(RunKeys.Status(buffer, status, default).Length - RunId.Size)];
        else
            return ([.. RunKeys.Record(RunId.System), 0], [StoreKeys.Run + 1]);
        Span<byte> end = stackalloc byte[prefix.Length];
        return (prefix.ToArray(), end[..KeyCodec.Successor(prefix, end)].ToArray());
    }

    private static int TagPrefix(Span<byte> buffer, string tag)
    {
        KeyRules.EncodeNameForRead(tag, stackalloc byte[Limits.NameBytesMax], out _);
        return RunKeys.TagPrefix(buffer, tag).Length;
    }

    private static byte[] Conditions(RunFilter filter) => Fields.Write(
        ("status", Fields.Of((long?)filter.Status)),
        ("tag", Fields.Of(filter.Tag)),
        ("name", Fields.Of(filter.NamePrefix)),
        ("from", Fields.Of(filter.From?.UtcTicks)),
        ("to", Fields.Of(filter.To?.UtcTicks))).Encode();

    private static bool Matches(RunFilter filter, RunInfo info) =>
        (filter.Status is null || filter.Status == info.Status)
        && (filter.Tag is null || info.Tags.Contains(filter.Tag, StringComparer.Ordinal))
        && (string.IsNullOrEmpty(filter.NamePrefix) || info.Name?.StartsWith(filter.NamePrefix, StringComparison.Ordinal) == true)
        && (filter.From is null || info.Created >= filter.From)
        && (filter.To is null || info.Created < filter.To)
        && (filter.Parent is null || info.Parent == filter.Parent);

    private RunInfo? InfoAt(scoped in StoreReader reader, RunId id, ulong sequence)
    {
        Span<byte> key = stackalloc byte[1 + RunId.Size];
        var exists = reader.TryGet(RunKeys.Record(key, id), sequence, out var version) && !version.IsTombstone;
        if (!exists && !RunRecord.IsBuiltIn(id))
            return null;
        var record = exists ? RunRecord.Read(version.Value) : RunRecord.BuiltIn(id)!;
        var result = reader.TryGet(RunKeys.Result(key, id), sequence, out var value) && !value.IsTombstone
            ? Value.Decode(value.Value)
            : default(Value?);
        return Lifecycle.ToInfo(_engine, _engine.Catalogue.Find(id), exists ? version : default, record, result) with { Id = id };
    }

    // ---- replaying inputs -------------------------------------------------------------------------------------------------------

    /// <summary>Begins a run that is answered what another run was answered (RPL-22): run the same code on
    /// <see cref="InputReplay.Run"/>, and nothing is called. The new run begins as the other one began: empty, with its tags and its
    /// metadata, and that is its parent; or, with <see cref="InputReplayOptions.From"/>, as a fork of it.</summary>
    /// <param name="original">The recorded run, open or closed. Inputs that it has not committed yet are not part of it.</param>
    /// <param name="options">Mode, substitutions, name; null = the defaults.</param>
    /// <returns>Dispose of it when the code has run.</returns>
    /// <exception cref="CairnException"><see cref="ErrorCode.NotFound"/>: there is no such run; <see cref="ErrorCode.AlreadyExists"/>: the
    /// name is taken; <see cref="ErrorCode.InvalidArgument"/>: two substitutions of one ordinal, or one that no recorded input has
    /// or that the replay has behind it when it begins; it is to begin at an input that there is not;
    /// <see cref="ErrorCode.ReadOnly"/>.</exception>
    /// <exception cref="HistoryTrimmedException">The events of the first inputs are no longer kept, or what the run was where the replay is
    /// to begin.</exception>
    public InputReplay ReplayInputs(RunId original, InputReplayOptions? options = null)
    {
        options ??= InputReplayOptions.Default;
        var recorded = HandleOf(Find(original));
        var begin = options.From is { } from ? CommitOfInput(recorded, from) : Sequence.None;
        var recording = new Replay.Recording();
        foreach (var input in InputListing.All(recorded.Events, _engine.Limits.PageSizeMax))
        {
            if (recording.End == 0 && input.Ordinal > 0)
                throw new HistoryTrimmedException(new EventNumber(0), input.Number);
            if (input.Sequence < begin)
                recording.Pass(input);
            else
                recording.Add(input);
        }

        CheckSubstitutions(options, recording);
        var info = recorded.Info;
        if (begin != Sequence.None)
        {
            var point = Mutant.Is("replay-begins-behind-the-input") ? begin : new Sequence(begin.Value - 1);
            var fork = Fork(original, point, options.Name, info.Tags, info.Metadata);
            return new InputReplay(recorded, fork, recording, options);
        }

        var parent = RunRecord.IsBuiltIn(original) ? default(RunId?) : original;
        var run = Begin(options.Name, parent, info.Tags, info.Metadata);
        return new InputReplay(recorded, run, recording, options);
    }

    private Sequence CommitOfInput(Run recorded, long ordinal)
    {
        foreach (var input in InputListing.All(recorded.Events, _engine.Limits.PageSizeMax))
        {
            if (input.Ordinal == ordinal)
                return input.Sequence;
        }

        throw new CairnException(
            ErrorCode.InvalidArgument, $"A replay cannot begin at input {ordinal}: the run has no such input. They are counted from 0.");
    }

    private static void CheckSubstitutions(InputReplayOptions options, Replay.Recording recording)
    {
        ArgumentNullException.ThrowIfNull(options.Substitutions);
        var ordinals = recording.Unused.Select(entry => entry.Ordinal).ToHashSet();
        foreach (var ordinal in options.Substitutions.Select(substitution => substitution.Ordinal).OfType<long>())
        {
            if (!ordinals.Remove(ordinal))
            {
                throw new CairnException(
                    ErrorCode.InvalidArgument,
                    $"Input {ordinal} cannot be substituted: the run has no such input, or two substitutions name it. It has "
                    + $"{recording.End}, from 0.");
            }
        }
    }

    // ---- orphans --------------------------------------------------------------------------------------------------------------

    /// <summary>Active runs that nobody works on any more: last written by an opening that a crash ended, and not adopted since. In
    /// order of their ids. Never <c>default</c>; none in memory.</summary>
    public IReadOnlyList<RunInfo> Orphaned()
    {
        _engine.Path.ThrowIfNotReadable();
        var ids = _engine.Orphans()!;
        using var pinned = new PinnedScope(_engine.Pins, _index);
        using var reader = _index.Run.Store.Read();
        var orphans = new List<RunInfo>(ids.Count);
        foreach (var id in ids)
        {
            if (InfoAt(reader, id, pinned.Scope.Sequence) is { IsOrphaned: true } info)
                orphans.Add(info);
        }

        return orphans;
    }

    /// <summary>Goes on with a run: a paused one becomes Active, an orphaned one is adopted.</summary>
    /// <returns>Its handle.</returns>
    /// <exception cref="CairnException"><see cref="ErrorCode.NotFound"/>: there is no such run.</exception>
    /// <exception cref="InvalidTransitionException">It is neither paused nor orphaned.</exception>
    public Run Resume(RunId id)
    {
        var run = HandleOf(Find(id));
        run.Resume();
        return run;
    }

    /// <summary>Ends an active run with an error, as <see cref="Run.Abort"/> does: what to do with an orphan that is not to go
    /// on.</summary>
    /// <returns>Sequence of the commit.</returns>
    /// <exception cref="CairnException"><see cref="ErrorCode.NotFound"/>: there is no such run.</exception>
    /// <exception cref="InvalidTransitionException">It is not active.</exception>
    public Sequence Abort(RunId id, string reason) => HandleOf(Find(id)).Abort(reason);

    // ---- deleting -------------------------------------------------------------------------------------------------------------

    /// <summary>Deletes a run with everything in it, whatever its status, in one commit. Its name is free again; its children stay and
    /// keep its id as their parent; handles to it give <see cref="ErrorCode.NotFound"/> from then on. What it wrote remains in the log
    /// until compaction.</summary>
    /// <returns>A receipt: what went with it.</returns>
    /// <exception cref="CairnException"><see cref="ErrorCode.NotFound"/>: there is no such run;
    /// <see cref="ErrorCode.InvalidArgument"/>: the
    /// run is <c>default</c>; <see cref="ErrorCode.ReadOnly"/>.</exception>
    public RunDeletion Delete(RunId id)
    {
        if (id == RunId.Default)
            throw new CairnException(
                ErrorCode.InvalidArgument, "The run 'default' always exists and cannot be deleted. Delete its keys instead.");
        var state = Find(id);
        var scope = Scope.Live(_engine.Path, state, _options);
        var name = new Lifecycle(_engine, scope).Info.Name;
        scope.ThrowIfNotWritable(isAllowedWhenClosed: true);
        var batch = scope.BeginSingle();
        batch.IsAllowedWhenClosed = true;
        batch.OnlyDeletes = true;
        RunOperations.Add(batch, OperationCode.RunDelete, default, tags: 0);
        var bases = BasesOf(state);
        batch.AddRecordWrites(bases?.Count ?? 0);
        var placed = CommitWith(bases, batch);

        // Nothing is written to it after its deletion, so what is counted now is what the deletion met.
        var counts = new SortedDictionary<string, long>(StringComparer.Ordinal);
        using (var reader = state.Store.Read())
        {
            foreach (var set in state.Store.Base is { IsReady: false } ? [] : _engine.Path.Operations.Sets)
            {
                if (set is not (RunOperations or MergeOperations))
                    counts.Add(set.Name, set.CountItems(reader, placed.Sequence));
            }
        }

        Failpoint.Hit("run.deleted-before-forgotten");
        Forget(state, placed.Sequence);
        return new RunDeletion
        {
            Id = id,
            Name = name,
            Sequence = new Sequence(placed.Sequence),
            Counts = counts,
            Bytes = state.Store.MemoryBytes,
        };
    }

    // A fork may be the last reason why runs are kept that were deleted before: they are locked with it.
    private static List<Expectation>? BasesOf(RunState state)
    {
        List<Expectation>? bases = null;
        for (var below = state.Store.Base; below is not null; below = below.Owner.Store.Base)
            (bases ??= []).Add(new Expectation(below.Owner, RunNumbers.Key.ToArray(), ExpectationKind.Locked, 0));
        return bases;
    }

    private Placed CommitWith(List<Expectation>? expectations, Batch batch)
    {
        batch.EndPart();
        batch.Record.NeedsSync = _engine.Path.NeedsSync(_options);
        var done = _engine.Path.TryCommit(batch, null, expectations, out var placed);
        Batch.ReturnMine(batch);
        return done ? placed : throw placed.Refusal!.ToException(_engine.Path.Operations);
    }

    private void Forget(RunState state, ulong deletedAt)
    {
        if (state.IsKept)
            return;
        _engine.Catalogue.SettleForks();
        _engine.Catalogue.Remove(state);
        for (var below = state.Store.Base; below is not null && below.Owner.GoneAt == deletedAt; below = below.Owner.Store.Base)
            _engine.Catalogue.Remove(below.Owner);
    }
}
