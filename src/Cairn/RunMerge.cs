using Cairn.Primitives;

namespace Cairn;

/// <summary>What a merge does with what both sides have changed, each in another way.</summary>
public enum MergeStrategy
{
    /// <summary>Nothing is written as long as there is one conflict; the conflicts are told.</summary>
    Strict = 0,

    /// <summary>The source's side is taken. Events of the target are never replaced: where both have new ones, this is as Strict, unless
    /// <see cref="MergeOptions.Events"/> says what to do.</summary>
    PreferSource = 1,

    /// <summary>The target's side stays. Of events: the source's new ones are left out.</summary>
    PreferTarget = 2,
}

/// <summary>What a merge does with new events of the source when the target has new ones too.</summary>
public enum MergeEventRule
{
    /// <summary>A conflict: the strategy or the resolver says what becomes of it.</summary>
    Conflict = 0,

    /// <summary>The source's events come behind those of the target, in their order, under new numbers. What they were called at the
    /// source is kept (<see cref="EventsView.Origin"/>).</summary>
    AppendAfter = 1,
}

/// <summary>How a merge is done.</summary>
public sealed record MergeOptions
{
    /// <summary>Most conflicts that <see cref="ConflictsMax"/> may ask for.</summary>
    public const int ConflictsMost = 100_000;

    internal static MergeOptions Default { get; } = new();

    /// <summary>What becomes of conflicts that <see cref="Resolve"/> does not answer. Default <see cref="MergeStrategy.Strict"/>.</summary>
    public MergeStrategy Strategy { get; init; } = MergeStrategy.Strict;

    /// <summary>What becomes of events when both sides have new ones. Default <see cref="MergeEventRule.Conflict"/>.</summary>
    public MergeEventRule Events { get; init; } = MergeEventRule.Conflict;

    /// <summary>Answers a conflict; null of it = the strategy does. Called once for each, in order of their addresses, and again for all of
    /// them when another commit came between: it must have no effects. It must not write to the database. Its exceptions end the merge and
    /// pass through. Null = none.</summary>
    public Func<MergeConflict, MergeResolution?>? Resolve { get; init; }

    /// <summary>Most conflicts that the result names with their values; all are counted. From 0 to 100,000; default 1,000.</summary>
    public int ConflictsMax { get; init; } = 1_000;

    /// <summary>Only tells what would be done; nothing is written, and a read-only database will do. Default false.</summary>
    public bool IsDryRun { get; init; }

    /// <summary>Told at each step and about every thousand things that were looked at; called on the calling thread, inside the
    /// transaction, so keep it short, and it must not use the database. The steps: <c>records</c> of the source that are read, <c>base</c>,
    /// then <c>kv</c>, <c>state</c>, <c>json</c>, <c>vectors</c>, <c>events</c> and <c>traces</c>, which count on, and <c>commit</c>. They
    /// begin again when another commit came between. Its exceptions end the merge and pass through. Null = nobody.</summary>
    public IProgress<TransferProgress>? Progress { get; init; }
}

/// <summary>How a conflict ends.</summary>
public sealed record MergeResolution
{
    private MergeResolution(MergeOutcome outcome, Value? value = null) => (Outcome, Chosen) = (outcome, value);

    /// <summary>It stays one: nothing is written.</summary>
    public static MergeResolution Refuse { get; } = new(MergeOutcome.Open);

    /// <summary>The source's side, be it that the thing is gone. Not of events, and not of a trace that stands under one id with two
    /// contents: both are written once.</summary>
    public static MergeResolution Source { get; } = new(MergeOutcome.Source);

    /// <summary>The target's side: nothing is written there.</summary>
    public static MergeResolution Target { get; } = new(MergeOutcome.Target);

    /// <summary>The thing is deleted. Of key-values, state cells and places of documents.</summary>
    public static MergeResolution Delete { get; } = new(MergeOutcome.Other);

    /// <summary>The source's events behind those of the target. Of events only.</summary>
    public static MergeResolution AppendAfter { get; } = new(MergeOutcome.AppendAfter);

    /// <summary>Another value, without an expiry. Of key-values, state cells and places of documents.</summary>
    /// <param name="value">At most <see cref="Limits.ValueBytesMax"/> encoded.</param>
    public static MergeResolution Put(Value value) => new(MergeOutcome.Other, value);

    internal MergeOutcome Outcome { get; }

    internal Value? Chosen { get; }
}

/// <summary>What became of a conflict.</summary>
public enum MergeOutcome
{
    /// <summary>Nobody decided it: the merge wrote nothing.</summary>
    Open = 0,

    /// <summary>The source's side was taken.</summary>
    Source = 1,

    /// <summary>The target's side stayed.</summary>
    Target = 2,

    /// <summary>A value of the resolver's, or a deletion.</summary>
    Other = 3,

    /// <summary>The source's events came behind those of the target.</summary>
    AppendAfter = 4,
}

/// <summary>A thing that both sides have changed since the base, each in another way.</summary>
/// <param name="Address">What it is called. Of events there is one conflict for all of them, under the number of the first new one of the
/// source; its sides are objects: <c>count</c>, <c>first</c>, <c>last</c>, <c>hash</c>.</param>
public sealed record MergeConflict(ItemAddress Address)
{
    /// <summary>Of a document, the place; null of other things.</summary>
    public DocumentPath? Part { get; init; }

    /// <summary>As both had it; null: there was none.</summary>
    public DiffVersion? Base { get; init; }

    /// <summary>As the source has it; null: it has none.</summary>
    public DiffVersion? Source { get; init; }

    /// <summary>As the target has it; null: it has none.</summary>
    public DiffVersion? Target { get; init; }

    /// <summary>What became of it; in the call of a resolver <see cref="MergeOutcome.Open"/>.</summary>
    public MergeOutcome Outcome { get; init; }
}

/// <summary>What a merge did with the things of a primitive.</summary>
/// <param name="Taken">Changed by the source alone, and taken from it.</param>
/// <param name="Same">Changed by both in the same way.</param>
/// <param name="Conflicts">Changed by both in different ways.</param>
public readonly record struct MergeCounts(long Taken, long Same, long Conflicts);

/// <summary>What a merge did, or would do.</summary>
public sealed class MergeResult
{
    internal MergeResult()
    {
    }

    /// <summary>What was merged: the source as it was then.</summary>
    public required RunPoint Source { get; init; }

    /// <summary>What it was merged into, as it was before.</summary>
    public required RunPoint Target { get; init; }

    /// <summary>The newest state that both have had.</summary>
    public required RunPoint Base { get; init; }

    /// <summary>The merge's commit; <see cref="Sequence.None"/> when nothing was written: there was nothing to do, a conflict is open, or
    /// it was a dry run.</summary>
    public Sequence Sequence { get; internal init; }

    /// <summary>Nothing was to be written.</summary>
    public bool IsDryRun { get; internal init; }

    /// <summary>By primitive: <c>kv</c>, <c>state</c>, <c>json</c> (documents; conflicts are places of them),
    /// <c>vectors</c>, <c>events</c>, <c>traces</c>.</summary>
    public required IReadOnlyDictionary<string, MergeCounts> Counts { get; init; }

    /// <summary>The first of the conflicts, decided or not; at most <see cref="MergeOptions.ConflictsMax"/>.</summary>
    public required IReadOnlyList<MergeConflict> Conflicts { get; init; }

    /// <summary>All of them.</summary>
    public long ConflictCount => Counts.Values.Sum(count => count.Conflicts);

    /// <summary>Those that nobody decided; above 0 nothing was written.</summary>
    public long OpenConflicts { get; internal init; }

    /// <summary>No conflict is open.</summary>
    public bool IsClean => OpenConflicts == 0;

    /// <summary>The source has nothing that the target has not had: nothing was written.</summary>
    public bool IsEmpty => Counts.Values.All(count => count == default);

    /// <summary>Leases of the source, which are not merged.</summary>
    public long LeasesLeft { get; internal init; }

    /// <summary>Keys of the source that were looked at.</summary>
    internal int KeysLookedAt { get; init; }

    /// <summary>All of it as an object, for programs: <c>source</c>, <c>target</c>, <c>base</c>, <c>dryRun</c>, <c>sequence</c>,
    /// <c>clean</c>, <c>empty</c>, <c>counts</c>, <c>open</c>, <c>conflicts</c>, <c>omitted</c>, <c>leasesLeft</c>; absent members are
    /// absent.</summary>
    public Value ToValue() => MergeReport.ToValue(this);

    /// <summary>All of it as lines for people, a line per conflict with <c>!</c> in front when it is open. Long values are cut.</summary>
    public IEnumerable<string> ToLines() => MergeReport.ToLines(this);
}

/// <summary>A run that was merged into another one.</summary>
/// <param name="Source">Which, and up to where.</param>
/// <param name="Sequence">The commit of the newest merge of it.</param>
public readonly record struct MergedRun(RunPoint Source, Sequence Sequence);

/// <summary>Where an event came from that a merge brought.</summary>
/// <param name="Run">The run that it was appended to, through however many merges it came.</param>
/// <param name="Number">What it is called there.</param>
/// <param name="Hash">The hash that it has there, made anew from what is here; null when retention has let go of events that it is made
/// of.</param>
public readonly record struct EventOrigin(RunId Run, EventNumber Number, Hash256? Hash);

/// <summary>What a merge did, written down.</summary>
internal static class MergeReport
{
    internal static Value ToValue(MergeResult result) => Fields.Write(
        ("source", Of(result.Source)),
        ("target", Of(result.Target)),
        ("base", Of(result.Base)),
        ("dryRun", result.IsDryRun),
        ("sequence", result.Sequence == Sequence.None ? default(Value?) : (long)result.Sequence.Value),
        ("clean", result.IsClean),
        ("empty", result.IsEmpty),
        ("counts", Value.Object(result.Counts.Select(count => new KeyValuePair<string, Value>(count.Key, Value.Object(
            ("taken", count.Value.Taken), ("same", count.Value.Same), ("conflicts", count.Value.Conflicts)))))),
        ("open", result.OpenConflicts),
        ("conflicts", Value.Array(result.Conflicts.Select(Of))),
        ("omitted", Omitted(result) is > 0 and var omitted ? omitted : default(Value?)),
        ("leasesLeft", result.LeasesLeft > 0 ? result.LeasesLeft : default(Value?)));

    private static Value Of(RunPoint point) => Value.Object(("run", point.Run.ToString()), ("sequence", (long)point.Sequence.Value));

    private static Value Of(MergeConflict conflict) => Fields.Write(
        ("address", conflict.Address.ToString()),
        ("part", Fields.Of(conflict.Part?.ToString())),
        ("outcome", conflict.Outcome.ToString()),
        ("base", DiffReport.Of(conflict.Base)),
        ("source", DiffReport.Of(conflict.Source)),
        ("target", DiffReport.Of(conflict.Target)));

    internal static IEnumerable<string> ToLines(MergeResult result)
    {
        yield return $"source  {result.Source.Run} {result.Source.Sequence}";
        yield return $"target  {result.Target.Run} {result.Target.Sequence}";
        yield return $"base    {result.Base.Run} {result.Base.Sequence}";
        foreach (var (primitive, count) in result.Counts)
        {
            if (count != default)
                yield return $"{primitive}: {count.Taken} taken, {count.Same} the same on both sides, {count.Conflicts} in conflict";
        }

        foreach (var conflict in result.Conflicts)
        {
            var mark = conflict.Outcome == MergeOutcome.Open ? '!' : '~';
            yield return $"  {mark} {DiffReport.Plain(conflict.Address.ToString())}{Place(conflict)}  "
                + $"base {Short(conflict.Base)}, source {Short(conflict.Source)}, target {Short(conflict.Target)}"
                + (conflict.Outcome == MergeOutcome.Open ? "" : $" -> {conflict.Outcome}");
        }

        if (Omitted(result) is > 0 and var omitted)
            yield return $"  ... and {omitted} more";
        if (result.LeasesLeft > 0)
            yield return $"leases of the source, which stay there: {result.LeasesLeft}";
        yield return Verdict(result);
    }

    private static string Place(MergeConflict conflict) =>
        conflict.Part is { Count: > 0 } part ? " " + DiffReport.Plain(part.ToString()) : "";

    private static string Verdict(MergeResult result) => result switch
    {
        { OpenConflicts: > 0 } => $"{result.OpenConflicts} conflict(s) open: nothing was written",
        { IsEmpty: true } => "nothing to merge",
        { IsDryRun: true } => "would be merged; this was a dry run",
        _ => $"merged {result.Sequence}",
    };

    private static string Short(DiffVersion? version) => version is null ? "(absent)" : DiffReport.Short(version);

    private static long Omitted(MergeResult result) => result.ConflictCount - result.Conflicts.Count;
}
