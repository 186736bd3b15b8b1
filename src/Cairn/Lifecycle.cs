using Cairn.Codec;
using Cairn.Primitives;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn;

/// <summary>The record of one run and its changes, outside a transaction or in one: what <see cref="Run"/> and
/// <see cref="TransactionRun"/> share. Outside, a change is decided under the locks; inside, a change of status is judged at the call
/// and expects the record unchanged, and changes of tags and metadata are folded into one operation.</summary>
internal sealed class Lifecycle(Engine engine, Scope scope)
{
    private RunId Id => scope.Run.Id;

    private Catalogue Catalogue => engine.Catalogue;

    // ---- reading --------------------------------------------------------------------------------------------------------------

    internal RunInfo Info
    {
        get
        {
            scope.ThrowIfNotReadable();
            using var use = scope.Use();
            Span<byte> key = stackalloc byte[1 + RunId.Size];
            using var reader = Catalogue.State.Store.Read();
            var record = Find(reader, RunKeys.Record(key, Id), out var version);
            var result = Find(reader, RunKeys.Result(key, Id), out var resultVersion) ? Value.Decode(resultVersion.Value) : default(Value?);
            if (!record && !RunRecord.IsBuiltIn(Id))
                throw NotFound(Id);
            var info = ToInfo(engine, scope.Run, version, record ? RunRecord.Read(version.Value) : RunRecord.BuiltIn(Id)!, result);
            return scope.Transaction is null ? info : WithOwnWrites(info);
        }
    }

    private bool Find(scoped in StoreReader reader, ReadOnlySpan<byte> key, out VersionView version)
    {
        if (scope.IsLive)
            return reader.TryGetVisible(key, out version) && !version.IsTombstone;
        scope.Transaction?.Reads.AddPoint(Catalogue.State, key);
        return reader.TryGet(key, scope.Sequence, out version) && !version.IsTombstone;
    }

    // The record as it would be if the transaction committed now.
    private RunInfo WithOwnWrites(RunInfo info)
    {
        var before = ToRecord(info);
        var after = before;
        foreach (var write in scope.Writes!.InOrder)
        {
            if (((byte)write.Code & 0xF0) != StoreKeys.Run && write.Code != OperationCode.Retention)
                continue;
            Fields.TryRead(write.Value, out var body);
            Invariant.Check(after!.TryChange(write.Code, body, scope.Time, out after), "a pending change of a run has its form");
        }

        return ReferenceEquals(after, before) ? info : info with
        {
            Status = after!.Status,
            Completed = after.Completed is { } time ? CommitClock.Time(time) : null,
            Tags = after.Tags,
            Metadata = after.Metadata,
            Error = after.Error,
            Result = after.Result ?? info.Result,
            OwnRetention = after.Retention,
            Retention = RunRecord.PolicyOf(scope.Run.Id, after, engine.Retention),
        };
    }

    private static RunRecord ToRecord(RunInfo info) => new()
    {
        Status = info.Status,
        Completed = info.Completed is { } time ? CommitClock.Microseconds(time) : null,
        Tags = [.. info.Tags],
        Metadata = info.Metadata,
        Error = info.Error,
        Retention = info.OwnRetention,
    };

    internal static RunInfo ToInfo(Engine engine, RunState? run, scoped in VersionView version, RunRecord record, Value? result)
    {
        var visible = run?.Visible.Value ?? 0;
        return new RunInfo
        {
            Id = run?.Id ?? default,
            Name = record.Name,
            Parent = record.Parent,
            ForkSequence = record.ForkSequence is { } fork ? new Sequence(fork) : null,
            Status = record.Status,
            Created = record.Created is { } created ? CommitClock.Time(created) : null,
            Updated = version.Sequence == 0 ? null : CommitClock.Time(version.Time),
            Completed = record.Completed is { } completed ? CommitClock.Time(completed) : null,
            Tags = record.Tags,
            Metadata = record.Metadata,
            Error = record.Error,
            Result = record.Completed is null ? null : result,
            OwnRetention = record.Retention,
            Retention = RunRecord.PolicyOf(run?.Id ?? default, record, engine.Retention),
            Version = new Sequence(version.Sequence),
            FirstSequence = new Sequence(record.Created is null ? 0 : version.Created),
            LastSequence = new Sequence(run is null ? 0 : Math.Min(run.LastSequence, visible)),
            EventCount = run is null ? 0 : CountEvents(engine, run, visible),
            Bytes = run?.Store.MemoryBytes ?? 0,
            IsOrphaned = run is not null && engine.IsOrphaned(run),
        };
    }

    private static long CountEvents(Engine engine, RunState run, ulong sequence)
    {
        if (engine.Path.Operations.Find(OperationCode.EventAppend) is not { } events)
            return 0;
        using var reader = run.Store.Read();
        if (run.Store.Base is { IsReady: false })
        {
            // A fork at a past point that nobody has read yet: the number of the next event is known without making its past.
            var first = reader.TryGet(TrimFloor.Key, sequence, out var floor) ? TrimFloor.Read(floor.Value).Number : 0;
            return (long)(run.NextEvent - first);
        }

        return events.CountItems(reader, sequence);
    }

    internal static CairnException NotFound(RunId id) => new(ErrorCode.NotFound, $"There is no run {id}.");

    // ---- status ---------------------------------------------------------------------------------------------------------------

    internal Sequence Complete(Value? result)
    {
        if (result is { } value)
            ValueCodec.EncodedLength(value, engine.Limits);
        return Change(OperationCode.RunEnd, RunStatus.Completed, ("result", result));
    }

    internal Sequence Fail(string error)
    {
        RunRules.CheckError(error, engine.Limits);
        return Change(OperationCode.RunEnd, RunStatus.Failed, ("error", error));
    }

    internal Sequence Cancel(string? reason)
    {
        if (reason is not null)
            RunRules.CheckError(reason, engine.Limits);
        return Change(OperationCode.RunEnd, RunStatus.Cancelled, ("error", Fields.Of(reason)));
    }

    internal Sequence Pause() => Change(OperationCode.RunUpdate, RunStatus.Paused, default);

    internal Sequence Resume() => Change(OperationCode.RunResume, RunStatus.Active, default);

    internal Sequence Archive() => Change(OperationCode.RunArchive, RunStatus.Archived, default);

    private Sequence Change(OperationCode code, RunStatus to, (string Name, Value? Value) detail)
    {
        scope.ThrowIfNotWritable(isAllowedWhenClosed: true);
        using var use = scope.Use();
        if (Id == RunId.Default)
            throw new InvalidTransitionException(
                Id, RunStatus.Active, to, "The run 'default' is always active: it is long-term memory. Begin a run of its own.");
        var status = code is OperationCode.RunEnd or OperationCode.RunUpdate ? (Value)(long)to : default(Value?);
        var adopts = code == OperationCode.RunResume && scope.PendingStatus is null && engine.IsOrphaned(scope.Run);
        Value? from = scope.Transaction is null ? default(Value?) : (Value)(long)JudgeInTransaction(to, adopts);
        var body = Fields.Write((detail.Name ?? "", detail.Value), ("status", status), ("from", from), ("adopt", Fields.Of(adopts)));
        if (scope.Transaction is null)
            return Commit(code, body, tags: 0);
        scope.PendingStatus = to;
        scope.Writes!.Add(new PendingWrite { StoreKey = [], Code = code, OperationKey = [], Value = body.Encode() });
        return Sequence.None;
    }

    private RunStatus JudgeInTransaction(RunStatus to, bool adopts)
    {
        var info = Info;
        var from = info.Status;
        if (!RunRecord.Allows(from, to) && !(adopts && from == RunStatus.Active))
            throw new InvalidTransitionException(Id, from, to);
        if (scope.PendingStatus is null)
        {
            scope.Transaction!.Expectations.Add(new Expectation(
                Catalogue.State, RunKeys.Record(Id), ExpectationKind.Version, info.Version.Value));
        }

        return from;
    }

    // ---- retention ------------------------------------------------------------------------------------------------------------

    /// <param name="policy">Null = the database's from now on.</param>
    internal Sequence SetRetention(Retention? policy)
    {
        if (policy is not null)
            RetentionRules.Check(policy, hasLog: !engine.Path.IsUnlogged);
        scope.ThrowIfNotWritable(isAllowedWhenClosed: true);
        using var use = scope.Use();
        var body = policy is null ? Value.Object() : RunRecord.ToValue(policy);
        if (scope.Transaction is null)
            return Commit(OperationCode.Retention, body, tags: 0);

        // Blind: the last one of the transaction counts.
        ReadOnlySpan<byte> key = [StoreKeys.RunRetention];
        if (scope.Writes!.Find(key) is { } write)
        {
            write.Value = body.Encode();
        }
        else
        {
            scope.Writes.Add(new PendingWrite
            {
                StoreKey = key.ToArray(),
                Code = OperationCode.Retention,
                OperationKey = [],
                Value = body.Encode(),
            });
        }

        return Sequence.None;
    }

    // ---- tags and metadata ----------------------------------------------------------------------------------------------------

    internal Sequence AddTags(IReadOnlyCollection<string> tags)
    {
        ArgumentNullException.ThrowIfNull(tags);
        return Update(RunRules.CheckTags(tags, engine.Limits), [], null);
    }

    internal Sequence RemoveTags(IReadOnlyCollection<string> tags)
    {
        ArgumentNullException.ThrowIfNull(tags);
        return Update([], RunRules.CheckTags(tags, engine.Limits), null);
    }

    internal Sequence UpdateMetadata(Value patch)
    {
        RunRules.CheckMetadata(patch, engine.Limits);
        return Update([], [], patch);
    }

    private Sequence Update(string[] added, string[] removed, Value? patch)
    {
        scope.ThrowIfNotWritable(isAllowedWhenClosed: true);
        using var use = scope.Use();
        if (added.Length + removed.Length == 0 && patch is null)
            return Sequence.None;
        if (scope.Transaction is null)
            return Commit(
                OperationCode.RunUpdate, UpdateBody(added, removed, patch is { } one ? [one] : []), added.Length + removed.Length);
        var write = PendingUpdate();
        Fields.TryRead(write.Value, out var body);
        body.TryTexts("addTags", out var allAdded);
        body.TryTexts("removeTags", out var allRemoved);
        RunRecord.TryPatches(body, out var patches);

        // Applied as removals, then additions: so that stays right if what is removed leaves the additions.
        write.Value = UpdateBody(
            [.. allAdded.Except(removed, StringComparer.Ordinal).Union(added, StringComparer.Ordinal)],
            [.. allRemoved.Union(removed, StringComparer.Ordinal)],
            patch is { } next ? [.. patches, next] : patches).Encode();
        return Sequence.None;
    }

    // One for all calls of the transaction, so that limits are judged on what they make together.
    private PendingWrite PendingUpdate()
    {
        ReadOnlySpan<byte> key = [StoreKeys.Run];
        if (scope.Writes!.Find(key) is { } write)
            return write;
        write = new PendingWrite
        {
            StoreKey = key.ToArray(),
            Code = OperationCode.RunUpdate,
            OperationKey = [],
            Value = Value.Object().Encode(),
        };
        scope.Writes.Add(write);
        return write;
    }

    private static Value UpdateBody(string[] added, string[] removed, IReadOnlyList<Value> patches) => Fields.Write(
        ("addTags", Fields.Of(added)),
        ("removeTags", Fields.Of(removed)),
        ("metadata", patches.Count == 0 ? default(Value?) : Value.Array(patches)));

    private Sequence Commit(OperationCode code, in Value body, int tags)
    {
        var batch = scope.BeginSingle();
        batch.IsAllowedWhenClosed = true;
        RunOperations.Add(batch, code, body.Encode(), tags);
        return new Sequence(scope.CommitSingle(batch).Sequence);
    }
}
