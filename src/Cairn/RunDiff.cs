using Cairn.Primitives;
using Cairn.Replay;

namespace Cairn;

/// <summary>What differs between two runs, or between two points of one: taken with
/// <see cref="CairnDatabase.Diff(RunId, RunId, DiffOptions?)"/>. It compares what the sides show, not how they came to it: values, not
/// sequences and times. Nothing is read before it is asked for, and
/// what is asked for is given one thing at a time, so that a difference of any size fits. Both sides stay as they were when it was taken,
/// and what they show is kept, until it is disposed of. Thread-safe; an enumeration belongs to one thread.</summary>
/// <remarks>Where both sides have a point in common (two points of one run, forks), only what was written since then is looked at, as the
/// log tells it: equal history costs nothing (RPL-18).</remarks>
public sealed class RunDiff : IDisposable
{
    private readonly DiffEnd _a;
    private readonly DiffEnd _b;
    private readonly DiffOptions _options;
    private readonly Lazy<ChangedKeys?> _touched;
    private readonly Lazy<ulong> _commonEvents;
    private readonly CommonPoint? _common;
    private readonly TypeFilter? _chosen;
    private bool _ended;

    internal RunDiff(DiffEnd a, DiffEnd b, DiffOptions options)
        : this(a, b, CommonPoint.Of(a, b), options)
    {
    }

    /// <summary>The same two sides, as if they had nothing in common: for tests, which compare both ways.</summary>
    internal RunDiff(RunDiff other, bool isRelated)
        : this(other._a, other._b, isRelated ? other._common : null, other._options)
    {
    }

    private RunDiff(DiffEnd a, DiffEnd b, CommonPoint? common, DiffOptions options)
    {
        (_a, _b, _common, _options) = (a, b, common, options);
        _touched = new(() => common is { } point ? ChangedKeys.Since(point, a, b) : null);
        _chosen = TypeFilter.Of(options.EventTypes.Count > 0 ? options.EventTypes : null, a.Scope.Path.Limits);
        _commonEvents = new(() => _chosen is null
            ? EventDifferences.CommonPrefix(a, b, _options)
            : ChosenEvents.Common(a, b, _chosen, _options));
        Common = common is { } shared ? new RunPoint(shared.Run, new Sequence(shared.Sequence)) : null;
    }

    /// <summary>The side that differences go from.</summary>
    public RunPoint A => _a.Point;

    /// <summary>The side that they lead to.</summary>
    public RunPoint B => _b.Point;

    /// <summary>Up to here both have the same history; null when they have none in common.</summary>
    public RunPoint? Common { get; }

    /// <summary>Events from the first on that are the same on both sides; those that retention has trimmed on one of them are not compared,
    /// and count. With <see cref="DiffOptions.EventTypes"/> those of these types.</summary>
    /// <exception cref="ObjectDisposedException">The difference was disposed of; so for every member that reads.</exception>
    public long CommonEvents
    {
        get
        {
            ThrowIfEnded();
            return (long)_commonEvents.Value;
        }
    }

    /// <summary>What differs, one thing after another: the run's own record (<c>runs/status</c>, <c>runs/tags</c>, <c>runs/metadata</c>,
    /// <c>runs/error</c>, <c>runs/result</c>), key-values and state cells by key, documents by place, vectors by embedding
    /// and metadata, events by number behind those in common, traces as their tree goes, concepts by field, associations by
    /// their ends and type. Read as it is enumerated.</summary>
    /// <param name="primitives">Some of <c>runs</c>, <c>kv</c>, <c>state</c>, <c>json</c>, <c>vectors</c>, <c>events</c>, <c>traces</c>,
    /// <c>graph</c> (concepts), <c>associations</c>; none = all.</param>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidArgument"/>: another name.</exception>
    /// <exception cref="CorruptionException">Something on the way is damaged.</exception>
    /// <exception cref="LimitException">A side has recorded more traces since the common point than a difference holds
    /// (<see cref="DiffOptions.TracesMax"/>).</exception>
    public IEnumerable<DiffItem> Items(params IReadOnlyCollection<string> primitives)
    {
        ThrowIfEnded();
        foreach (var name in primitives)
        {
            if (!DiffOptions.Primitives.Contains(name))
            {
                throw new CairnException(
                    ErrorCode.InvalidArgument,
                    $"There is no difference of '{name}'. Ask for {string.Join(", ", DiffOptions.Primitives)}, or for all by naming none.");
            }
        }

        return Enumerate(primitives);
    }

    private IEnumerable<DiffItem> Enumerate(IReadOnlyCollection<string> primitives)
    {
        foreach (var name in DiffOptions.Primitives)
        {
            if (primitives.Count > 0 && !primitives.Contains(name))
                continue;
            foreach (var item in ItemsOf(name))
            {
                ThrowIfEnded();
                yield return item;
            }
        }
    }

    private IEnumerable<DiffItem> ItemsOf(string primitive) => primitive switch
    {
        _ when _chosen is not null => primitive == "events" ? ChosenEvents.Of(_a, _b, _chosen, _touched.Value, _options) : [],
        "runs" => RecordDifferences.Of(_a.Info, _b.Info),
        "kv" => KeyedDifferences.Of(_a, _b, Store.StoreKeys.Kv, _common, _touched.Value),
        "state" => KeyedDifferences.Of(_a, _b, Store.StoreKeys.State, _common, _touched.Value),
        "json" => KeyedDifferences.Of(_a, _b, Store.StoreKeys.Json, _common, _touched.Value),
        "vectors" => VectorDifferences.Of(_a, _b, _common, _touched.Value),
        "graph" => KeyedDifferences.Of(_a, _b, Store.StoreKeys.Concept, _common, _touched.Value),
        "associations" => KeyedDifferences.Of(_a, _b, Store.StoreKeys.Association, _common, _touched.Value),
        "events" => EventDifferences.Of(_a, _b, _commonEvents.Value, _touched.Value, _options),
        _ => TraceDifferences.Of(_a, _b, _touched.Value),
    };

    /// <summary>How much differs. Costs a whole enumeration.</summary>
    /// <exception cref="CorruptionException">Something on the way is damaged.</exception>
    /// <exception cref="LimitException">As <see cref="Items"/>.</exception>
    public DiffSummary Summarize()
    {
        var counts = NoCounts();
        foreach (var item in Items())
            Count(counts, item);
        return new DiffSummary(counts, CommonEvents);
    }

    /// <summary>The first commit after the common point, or from the beginnings, whose operations differ: sequences, times, and ids that
    /// were made and not chosen are passed over (RPL-17). Costs a read of both sides' own records up to there.</summary>
    /// <returns>Null when one did what the other did.</returns>
    /// <exception cref="HistoryTrimmedException">Commits since the common point are no longer kept; in memory none are.</exception>
    /// <exception cref="CorruptionException">A record is damaged.</exception>
    public Divergence? FirstDivergence()
    {
        ThrowIfEnded();
        return DivergenceSearch.First(_a, _b, _common, _chosen, _options);
    }

    /// <summary>All of it as an object, for programs: <c>a</c>, <c>b</c>, <c>common</c>, <c>divergence</c>, <c>commonEvents</c>,
    /// <c>counts</c> and <c>items</c>; absent members are absent. Costs a whole enumeration.</summary>
    /// <param name="itemsMax">Most items; <c>omitted</c> says how many were left out.</param>
    /// <exception cref="CorruptionException">Something on the way is damaged.</exception>
    /// <exception cref="LimitException">As <see cref="Items"/>.</exception>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidArgument"/>: a negative number of items.</exception>
    public Value ToValue(int itemsMax = DiffOptions.ItemsShown) => DiffReport.ToValue(this, itemsMax);

    /// <summary>All of it as lines for people: the two sides, where they part, then a line per item, with <c>+</c>, <c>-</c> or <c>~</c> in
    /// front. Long values are cut.</summary>
    /// <param name="itemsMax">Most items; the last line says how many were left out.</param>
    /// <inheritdoc cref="ToValue" path="/exception"/>
    public IEnumerable<string> ToLines(int itemsMax = DiffOptions.ItemsShown) => DiffReport.ToLines(this, itemsMax);

    /// <summary>The same as a page of Markdown (CommonMark with tables).</summary>
    /// <param name="itemsMax">Most items.</param>
    /// <inheritdoc cref="ToValue" path="/exception"/>
    public string ToMarkdown(int itemsMax = DiffOptions.ItemsShown) => DiffReport.ToMarkdown(this, itemsMax);

    /// <summary>Keys that are looked at; null = all of both sides.</summary>
    internal int? KeysLookedAt => _touched.Value?.Count;

    internal static Dictionary<string, DiffCounts> NoCounts() =>
        DiffOptions.Primitives.ToDictionary(name => name, _ => default(DiffCounts), StringComparer.Ordinal);

    internal static void Count(Dictionary<string, DiffCounts> counts, DiffItem item) =>
        counts[item.Address.Primitive] = counts[item.Address.Primitive].With(item.Kind);

    internal RunInfo InfoA => _a.Info;

    internal RunInfo InfoB => _b.Info;

    private void ThrowIfEnded() => ObjectDisposedException.ThrowIf(Volatile.Read(ref _ended), this);

    /// <summary>Lets both sides go. More than once is the same as once.</summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _ended, true))
            return;
        _a.Dispose();
        _b.Dispose();
    }
}

/// <summary>What a difference passes over.</summary>
public sealed record DiffOptions
{
    /// <summary>Most traces that either side may have recorded since the common point: to find their places in the tree all of them are
    /// looked at.</summary>
    public const int TracesMax = 100_000;

    /// <summary>Items that a report names if it is not told another number.</summary>
    public const int ItemsShown = 1_000;

    internal static IReadOnlyList<string> Primitives { get; } =
        ["runs", "kv", "state", "json", "vectors", "events", "traces", "graph", "associations"];

    internal static DiffOptions Default { get; } = new();

    /// <summary>Names of members of events' payloads, at their top, that make no difference, such as durations and ids that were made.
    /// What recorded inputs say of how long an answer took and in which step of the agent never does.</summary>
    public IReadOnlyCollection<string> IgnoredMembers { get; init; } = [];

    /// <summary>Types of events to compare, such as the actions of an agent, and nothing else: the n-th event of these types on one side
    /// with the n-th on the other, whatever stands between them. Empty, the default: everything is compared. At most
    /// <see cref="Limits.ManyItemsMax"/> of them.</summary>
    public IReadOnlyCollection<string> EventTypes { get; init; } = [];

    internal void Check(Limits limits)
    {
        ArgumentNullException.ThrowIfNull(IgnoredMembers);
        ArgumentNullException.ThrowIfNull(EventTypes);
        TypeFilter.Of(EventTypes, limits);
    }
}

/// <summary>How a thing differs, seen from A to B.</summary>
public enum DiffKind
{
    /// <summary>Only B has it.</summary>
    Added,

    /// <summary>Only A has it.</summary>
    Removed,

    /// <summary>Both have it, with different values.</summary>
    Modified,
}

/// <summary>One thing that differs.</summary>
/// <param name="Address">What it is called; of a trace the id that A has for it, or B's when only B has it.</param>
/// <param name="Kind">How it differs.</param>
public sealed record DiffItem(ItemAddress Address, DiffKind Kind)
{
    /// <summary>As A has it; null when only B has it.</summary>
    public DiffVersion? Before { get; init; }

    /// <summary>As B has it; null when only A has it.</summary>
    public DiffVersion? After { get; init; }

    /// <summary>What B calls a trace that A has under another id, or an event that A has under another number; null when both call it
    /// the same.</summary>
    public ItemAddress? OtherAddress { get; init; }

    /// <summary>Of a document that both have, the place that differs, as an operation of a patch from A to B would find it: behind those
    /// before it; of a vector that both have, <c>$.embedding</c> or <c>$.metadata</c>; of a concept that both have, the field. Null of
    /// other things, and of what only one side has.</summary>
    public DocumentPath? Part { get; init; }

    /// <summary>Of a trace, where it hangs in the tree: its place among its siblings, from the root on; empty for other things.</summary>
    public IReadOnlyList<int> Path { get; init; } = [];
}

/// <summary>A thing as one side has it.</summary>
/// <param name="Value">Of a key-value or a state cell its value, of a document the part, of a vector an Object of embedding
/// and metadata or the part, of a collection its definition, of an event its payload, of a trace all its
/// content as an object, of the run's record a field; Null of an event or a trace whose content was redacted.</param>
/// <param name="Version">Sequence of the commit that wrote it; of a part of a document the document's version.</param>
/// <param name="Time">Commit time of it; of an event or a trace its own time.</param>
public sealed record DiffVersion(Value Value, Sequence Version, DateTimeOffset Time)
{
    /// <summary>Type of an event or of a trace; null of other things.</summary>
    public string? Type { get; init; }

    /// <summary>Of a state cell; null of other things. A counter alone is no difference.</summary>
    public Counter? Counter { get; init; }

    /// <summary>When it expires; null = never. An expiry alone is no difference.</summary>
    public DateTimeOffset? Expiry { get; init; }

    /// <summary>The content of an event or a trace was taken away.</summary>
    public bool IsRedacted { get; init; }
}

/// <summary>How many things differ.</summary>
public readonly record struct DiffCounts(long Added, long Removed, long Modified)
{
    /// <summary>All of them.</summary>
    public long Total => Added + Removed + Modified;

    internal DiffCounts With(DiffKind kind) => kind switch
    {
        DiffKind.Added => this with { Added = Added + 1 },
        DiffKind.Removed => this with { Removed = Removed + 1 },
        _ => this with { Modified = Modified + 1 },
    };
}

/// <summary>How much differs.</summary>
/// <param name="Counts">By primitive; those without a difference are there too.</param>
/// <param name="CommonEvents">Events from the first on that are the same on both sides.</param>
public sealed record DiffSummary(IReadOnlyDictionary<string, DiffCounts> Counts, long CommonEvents)
{
    /// <summary>Nothing differs.</summary>
    public bool IsEmpty => Counts.Values.All(count => count.Total == 0);
}

/// <summary>Where two histories part: the first commits that do different things.</summary>
public sealed record Divergence
{
    internal Divergence()
    {
    }

    /// <summary>Which commit it is of A, counted from 1 behind the common point.</summary>
    public required long OrdinalA { get; init; }

    /// <summary>Which commit it is of B.</summary>
    public required long OrdinalB { get; init; }

    /// <summary>A's commit; null when A did nothing more.</summary>
    public CommittedTransaction? A { get; init; }

    /// <summary>B's commit; null when B did nothing more.</summary>
    public CommittedTransaction? B { get; init; }

    /// <summary>The first operation of A's commit that B's did not do; null when B's did all of them and more.</summary>
    public LogOperation? OperationA { get; init; }

    /// <summary>The same of B's commit.</summary>
    public LogOperation? OperationB { get; init; }

    /// <summary>Where in the value of both operations the difference begins, such as <c>$.arguments[0].name</c>; null when they differ in
    /// more than their values.</summary>
    public string? Path { get; init; }

    /// <summary>A's last commit before it that has its like in B; null when the first ones differ.</summary>
    public Sequence? LastCommonA { get; init; }

    /// <summary>B's.</summary>
    public Sequence? LastCommonB { get; init; }
}
