using System.Diagnostics.CodeAnalysis;
using Cairn.Store;

namespace Cairn.Primitives;

/// <summary>What the index of runs keeps of one run, and how operations change it: pure functions, used by Apply, by the decision
/// under the locks, and by a transaction that reads its own writes. Stored as a canonical object: created, status, and when they are
/// there name, parent, fork, tags, metadata, completed, error, retention. The result has a key of its own.</summary>
internal sealed record RunRecord
{
    private static readonly RunRecord Unborn = new();

    internal string? Name { get; init; }

    internal RunId? Parent { get; init; }

    /// <summary>Of a fork, the sequence at which it has what its parent had; null when the run began empty.</summary>
    internal ulong? ForkSequence { get; init; }

    internal RunStatus Status { get; init; } = RunStatus.Active;

    /// <summary>Commit time of its beginning; null for the two runs that have none.</summary>
    internal long? Created { get; init; }

    internal long? Completed { get; init; }

    internal string[] Tags { get; init; } = [];

    internal Value Metadata { get; init; } = Value.Object();

    internal string? Error { get; init; }

    /// <summary>The run's own policy; null = the database's.</summary>
    internal Retention? Retention { get; init; }

    /// <summary>Given by the operation just applied; not part of the stored object.</summary>
    internal Value? Result { get; init; }

    /// <summary>The record of a run that exists without one (RUN-2); null for any other.</summary>
    internal static RunRecord? BuiltIn(RunId id) =>
        id == RunId.Default ? Unborn with { Name = DefaultName } : id == RunId.System ? Unborn with { Name = SystemName } : null;

    /// <summary>The policy of a run.</summary>
    /// <param name="database">Of runs that have none of their own.</param>
    internal static Retention PolicyOf(RunId id, RunRecord? record, Retention database) =>
        id == RunId.System ? SystemPolicy : record?.Retention ?? database;

    /// <summary>Of <c>$sys</c>: of its events neither more than so many, nor older ones than <see cref="SystemAge"/> (SYS-1).</summary>
    internal static readonly Retention SystemPolicy = Cairn.Retention.KeepLast(1).Or(Cairn.Retention.KeepEvents(100_000));

    internal static readonly Retention SystemAge = Cairn.Retention.KeepFor(TimeSpan.FromDays(7));

    internal const string DefaultName = "default";

    internal const string SystemName = "$sys";

    internal static bool IsBuiltIn(RunId id) => id == RunId.Default || id == RunId.System;

    /// <summary>RUN-4.</summary>
    internal static bool Allows(RunStatus from, RunStatus to) => from switch
    {
        RunStatus.Active => to is not RunStatus.Active,
        RunStatus.Paused => to is RunStatus.Active or RunStatus.Cancelled or RunStatus.Archived,
        RunStatus.Archived => false,
        _ => to is RunStatus.Archived,
    };

    internal Value ToValue() => Fields.Write(
        ("name", Fields.Of(Name)),
        ("parent", Fields.Of(Parent?.Bits)),
        ("fork", Fields.Of((long?)ForkSequence)),
        ("status", Fields.Of((long)Status)),
        ("created", Fields.Of(Created)),
        ("completed", Fields.Of(Completed)),
        ("tags", Fields.Of(Tags)),
        ("metadata", Metadata.Count == 0 ? default(Value?) : Metadata),
        ("error", Fields.Of(Error)),
        ("retention", Retention is null ? default(Value?) : ToValue(Retention)));

    /// <summary>A policy in operations and records: <c>all</c>, or <c>for</c> in microseconds, <c>last</c> in versions, and
    /// <c>events</c>.</summary>
    internal static Value ToValue(Retention policy) => Fields.Write(
        ("all", Fields.Of(policy.KeepsAll)),
        ("for", Fields.Of(policy.Duration?.Ticks / TimeSpan.TicksPerMicrosecond)),
        ("last", Fields.Of((long?)policy.Versions)),
        ("events", Fields.Of(policy.Events)));

    /// <summary>Reads what <see cref="ToValue(Retention)"/> wrote; an empty object is null, no policy.</summary>
    internal static bool TryRetention(in Fields body, out Retention? policy)
    {
        policy = null;
        if (!body.TryFlag("all", out var all) || !body.TryNumber("for", out var time) || !body.TryNumber("last", out var last)
            || !body.TryNumber("events", out var events) || (all && (time ?? last ?? events) is not null)
            || last is < 1 or > Retention.VersionsMax || events is < 1 or > Retention.EventsMax
            || (time is { } given && !IsDuration(given)))
        {
            return false;
        }

        if (all)
            policy = Retention.KeepAll;
        if (time is { } microseconds)
            policy = Retention.KeepFor(TimeSpan.FromMicroseconds(microseconds));
        if (last is { } versions)
            policy = policy?.Or(Retention.KeepLast((int)versions)) ?? Retention.KeepLast((int)versions);
        if (events is { } newest)
            policy = policy?.Or(Retention.KeepEvents(newest)) ?? Retention.KeepEvents(newest);
        return true;
    }

    private static bool IsDuration(long microseconds) =>
        microseconds >= Retention.DurationMin.Ticks / TimeSpan.TicksPerMicrosecond
        && microseconds <= Retention.DurationMax.Ticks / TimeSpan.TicksPerMicrosecond;

    internal static RunRecord Read(ReadOnlySpan<byte> stored)
    {
        Invariant.Check(Fields.TryRead(stored, out var fields) && TryRead(fields, out _), "a record of a run reads back");
        TryRead(fields, out var record);
        return record!;
    }

    private static bool TryRead(in Fields fields, out RunRecord? record)
    {
        record = null;
        if (!fields.TryText("name", out var name) || !fields.TryId("parent", out var parent) || !fields.TryNumber("status", out var status)
            || !fields.TryNumber("created", out var created) || !fields.TryNumber("completed", out var completed)
            || !fields.TryTexts("tags", out var tags) || !fields.TryObject("metadata", out var metadata)
            || !fields.TryText("error", out var error) || !fields.TryObject("retention", out var kept)
            || !Fields.TryRead(kept, out var policy) || !TryRetention(policy, out var retention)
            || !fields.TryNumber("fork", out var fork) || fork < 0 || status is not (>= 0 and <= (long)RunStatus.Archived))
        {
            return false;
        }

        record = new RunRecord
        {
            Name = name,
            Parent = parent is { } bits ? new RunId(bits) : null,
            ForkSequence = (ulong?)fork,
            Status = (RunStatus)status,
            Created = created,
            Completed = completed,
            Tags = tags,
            Metadata = metadata,
            Error = error,
            Retention = retention,
        };
        return true;
    }

    // ---- operations -----------------------------------------------------------------------------------------------------------

    /// <summary>The record that a beginning makes. False when the body is not one.</summary>
    internal static bool TryBegin(in Fields body, long time, out RunRecord? record)
    {
        record = null;
        if (!body.TryText("name", out var name) || !body.TryId("parent", out var parent) || !body.TryTexts("tags", out var tags)
            || !body.TryObject("metadata", out var metadata) || !body.TryNumber("created", out var created) || created > time)
        {
            return false;
        }

        record = new RunRecord
        {
            Name = name,
            Parent = parent is { } bits ? new RunId(bits) : null,
            Created = created ?? time,
            Tags = tags,
            Metadata = metadata,
        };
        return true;
    }

    /// <summary>The record that a fork begins with, and where. False when the body is not one.</summary>
    internal static bool TryFork(in Fields body, long time, [NotNullWhen(true)] out RunRecord? record, out ForkStart start)
    {
        if (!ForkStart.TryRead(body, out start) || !TryBegin(body, time, out record) || record!.Parent is null)
        {
            record = null;
            return false;
        }

        record = record with { ForkSequence = start.Sequence };
        return true;
    }

    /// <summary>The status an operation gives; null when it leaves it alone or its body is not one.</summary>
    internal static RunStatus? StatusAfter(OperationCode code, in Fields body) => code switch
    {
        OperationCode.RunResume => RunStatus.Active,
        OperationCode.RunArchive => RunStatus.Archived,
        OperationCode.Retention => null,
        _ when body.TryNumber("status", out var status) && status is >= 0 and <= (long)RunStatus.Archived => (RunStatus)status,
        _ => null,
    };

    /// <summary>The record after an operation. False when the body is not one.</summary>
    /// <param name="time">Of the commit; inside a transaction of its snapshot.</param>
    internal bool TryChange(OperationCode code, in Fields body, long time, out RunRecord? after)
    {
        after = null;
        var status = StatusAfter(code, body);
        switch (code)
        {
            case OperationCode.RunUpdate:
                return TryUpdate(body, status, out after);
            case OperationCode.RunEnd when status is { } ended && body.TryText("error", out var error)
                    && body.TryNumber("completed", out var completed) && !(completed > time):
                after = this with { Status = ended, Completed = completed ?? time, Error = error, Result = body.Any("result") };
                return true;
            case OperationCode.Retention when TryRetention(body, out var policy):
                after = this with { Retention = policy };
                return true;
            case OperationCode.RunResume:
                after = this with { Status = RunStatus.Active };
                return true;
            case OperationCode.RunArchive:
                after = this with { Status = RunStatus.Archived, Completed = Completed ?? time };
                return true;
            default:
                return false;
        }
    }

    // Removals before additions: that way a transaction can fold its calls into one operation.
    private bool TryUpdate(in Fields body, RunStatus? status, out RunRecord? after)
    {
        after = null;
        if ((body.Has("status") && status is null) || !body.TryTexts("removeTags", out var removed)
            || !body.TryTexts("addTags", out var added) || !TryPatches(body, out var patches))
        {
            return false;
        }

        var tags = Tags.Except(removed, StringComparer.Ordinal).Union(added, StringComparer.Ordinal).ToArray();
        var metadata = Metadata;
        foreach (var patch in patches)
            metadata = Documents.Merging.Apply(metadata, patch);
        after = this with { Status = status ?? Status, Tags = tags, Metadata = metadata };
        return true;
    }

    internal static bool TryPatches(in Fields body, out IReadOnlyList<Value> patches)
    {
        patches = [];
        if (body.Any("metadata") is not { } value)
            return true;
        if (value.Kind != ValueKind.Array)
            return false;
        patches = value.AsArray();
        return patches.All(patch => patch.Kind == ValueKind.Object);
    }
}
