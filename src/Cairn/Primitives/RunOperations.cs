// Runs: the index of runs, and the life of each.
//
// Where things are. An operation on a run stands in that run's own part of the record, so that reading the run's chain tells its whole
// life; what it changes stands in the catalogue's store, so that listings, names and tags have versions and snapshots like everything
// else. A commit that changes a record therefore takes the catalogue's lock too, last. Any change of a run's record holds that run's
// lock; the catalogue's lock orders what concerns several runs: names, ids, and whether a parent is there.
//
//   store keys      60 id            the run's record, a canonical object (RunRecord)
//   (catalogue)     61 name          its id: names are unique while the run exists
//                   62 parent id     children of a run
//                   63 tag 0 id      runs with a tag
//                   64 status id     runs in a status
//                   65 id            the result it completed with, apart, so that changing a tag does not copy it
//                   66 id            runs with a policy of retention of their own, so that they are found without reading all records
//                   67 base id       forks by the run that they read through to; stays as long as the fork, whatever happens to the base
//                   01 60            how many
//   operations      60 Create, 61 Update, 62 End, 63 Resume, 64 Delete, 65 Fork, 67 Archive, 95 Retention (docs/format.md has the bodies)
//   conflicts       a run's record is one point. Tags, metadata, retention are blind: each change is decided under the lock against the
//                   newest record, so two adders of different tags both succeed. A change of status outside a transaction is decided there
//                   too; inside one it is judged at the call and expects the record unchanged at the commit
//   text            id, name, status, tags, strings of the metadata, error (RUN-14)
//   diff, merge     a run's record is not part of what it holds: both leave it alone
//   replay          the operations applied in order give the record as it was
//
// Status, RUN-4. Arrows that are not drawn give InvalidTransition; nothing comes back from an end.
//
//              .---------- resume ---------.
//              v                           |
//     begin  ACTIVE ------- pause -----> PAUSED
//              |                           |
//              +--> COMPLETED --.          |            An active run whose last record was written by an opening that a crash
//              +--> FAILED -----+--> ARCHIVED           ended is called orphaned. That is derived from the log and stored nowhere;
//              +--> CANCELLED --'          ^            any later record of the run moves it on, and Resume writes one that does
//              '-----------> <-- cancel, archive        nothing else.
//
// A transaction's life in one line: [Put, Complete] writes while the run is open and closes it, in one record; [Complete, Put] is
// refused at the Put; [Resume, Put] needs the run paused at the commit, which is expected, and open from there on.
//
// The runs `default` and `$sys` exist without a record and are listed nowhere. `default` may have tags and metadata: then it has a
// record, and still no place in the orders.
//
// Deletion is one operation: the catalogue's keys get tombstones, the run's own store is dropped with its state, and whoever still
// reads it keeps its memory until he is done. Children keep the id of a deleted parent. Nobody learns of a deletion before it is
// visible (G1): the state stays findable until then. A run that forks read through to is deleted in the same way for everybody who asks
// for it, and its keys stay until the last of those forks is deleted too; its id is taken until then.
//
// A fork is one operation on the new run: it begins, and reads through to its parent (Store/ForkBase.cs). Nothing is copied but what the
// numbers of the run go on from: the next event, the newest hash. So it costs the same whatever the parent holds. The parent takes no part
// in the record: it is locked, since its newest state is what the fork has, and does not change. At a past point the fork has what the
// parent's records up to there make (Replay/PastRun.cs), and its body says so.

using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using Cairn.Codec;
using Cairn.Log;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn.Primitives;

/// <summary>See the essay above. Stateless.</summary>
internal sealed class RunOperations : OperationSet
{
    internal override byte Family => 0x60;

    internal override bool Takes(OperationCode code) =>
        (base.Takes(code) && code != OperationCode.RunMerge) || code == OperationCode.Retention;

    internal override string Name => "runs";

    internal override bool Owns(byte storeFamily) => storeFamily is >= StoreKeys.Run and <= StoreKeys.RunFork;

    internal override bool IsDerived(byte storeFamily) => storeFamily is not (StoreKeys.Run or StoreKeys.RunResult);

    internal override string Describe(in Operation operation, RunId run) => run.ToString();

    internal override string Describe(ReadOnlySpan<byte> storeKey) => storeKey[0] == StoreKeys.RunName || storeKey.Length <= RunId.Size
        ? Utf8.GetTrustedString(storeKey[1..])
        : RunId.Read(storeKey[^RunId.Size..]).ToString();

    /// <summary>Its items live in the catalogue, not in a run.</summary>
    internal override long CountItems(scoped in StoreReader reader, ulong sequence) => 0;

    // ---- deciding, under the locks --------------------------------------------------------------------------------------------

    internal override CairnException? Resolve(in Operation operation, Span<byte> holes, RunState run, Catalogue catalogue, long time)
    {
        var code = (OperationCode)operation.Code;
        if (code is OperationCode.RunCreate or OperationCode.RunFork && catalogue.Find(run.Id) is { IsKept: true })
        {
            return new CairnException(
                ErrorCode.AlreadyExists, $"Run {run.Id} was deleted and forks still read it. Leave the id out to get a new one.");
        }

        if (code is OperationCode.RunCreate or OperationCode.RunDelete)
            return null;
        if (code == OperationCode.RunFork)
            return ResolveFork(operation, holes, catalogue);
        Invariant.Check(Fields.TryRead(operation.Body, out var body), "an operation on a run is an object");
        if (RunRecord.StatusAfter(code, body) is { } to)
        {
            // With "from", a transaction has judged it and expects the record unchanged.
            var allowed = body.Has("from") || (body.Has("adopt") ? run.Status == RunStatus.Active : RunRecord.Allows(run.Status, to));
            return allowed ? null : new InvalidTransitionException(run.Id, run.Status, to);
        }

        return CheckLimits(code, body, run, catalogue, time);
    }

    // The parent is locked, so it stays as it is until the fork has its place.
    private static CairnException? ResolveFork(in Operation operation, Span<byte> holes, Catalogue catalogue)
    {
        var hasForm = Fields.TryRead(operation.Body, out var body);
        hasForm &= RunRecord.TryFork(body, long.MaxValue, out var record, out var start);
        hasForm &= body.TryFlag("past", out var isPast);
        hasForm &= body.TryNumber("at", out var asked);       // not from the hole: a try before this one may have filled that
        Invariant.Check(hasForm && record is not null, "a fork has its form");
        var parent = catalogue.Find(record.Parent!.Value);
        if (parent is not { IsDeleted: false })
            return new CairnException(ErrorCode.NotFound, $"There is no run {record.Parent}.");
        var sequence = (ulong?)asked ?? parent.LastSequence;
        if (isPast)
        {
            new ForkStart(sequence, parent.LastPosition, start.NextEvent, start.EventHead).Fill(holes);
            return null;
        }

        if (sequence < parent.LastSequence)
            return new HistoryTrimmedException(new Sequence(sequence), new Sequence(parent.LastSequence));
        new ForkStart(sequence, parent.LastPosition, parent.NextEvent, parent.EventHead).Fill(holes);
        return null;
    }

    // LIM-14 on the result. What has grown too large under higher limits may still be changed, not grow.
    private static CairnException? CheckLimits(OperationCode code, in Fields body, RunState run, Catalogue catalogue, long time)
    {
        var limits = catalogue.Limits;
        using var reader = catalogue.State.Store.Read();
        Span<byte> key = stackalloc byte[1 + RunId.Size];
        var before = reader.TryGetNewest(RunKeys.Record(key, run.Id), out var version) && !version.IsTombstone
            ? RunRecord.Read(version.Value)
            : RunRecord.BuiltIn(run.Id);
        Invariant.Check(before is not null, "a run that takes operations has a record");
        Invariant.Check(before.TryChange(code, body, time, out var after), "an operation on a run has its form");
        if (after!.Tags.Length > limits.TagsMax && after.Tags.Length > before.Tags.Length)
            return new LimitException(nameof(limits.TagsMax), limits.TagsMax, after.Tags.Length, "tags");
        if (after.Metadata == before.Metadata)
            return null;
        try
        {
            RunRules.CheckMetadata(after.Metadata, limits);
            return null;
        }
        catch (CairnException refused) when (after.Metadata.EncodedLength > before.Metadata.EncodedLength)
        {
            return refused;
        }
        catch (CairnException)
        {
            return null;
        }
    }

    // ---- applying -------------------------------------------------------------------------------------------------------------

    internal override void EachKey(in Operation operation, RunState run, Catalogue catalogue, StoreKeyVisitor visit)
    {
        Span<byte> key = stackalloc byte[RunKeys.LengthMax];
        var index = catalogue.State.Store;
        visit(index, RunKeys.Record(key, run.Id));
        visit(index, RunKeys.Result(key, run.Id));
        visit(index, RunKeys.Retention(key, run.Id));
        var code = (OperationCode)operation.Code;
        if (code == OperationCode.RunCreate || FindNewest(index, run.Id) is not { } before)
            return;                                          // its places in the orders are as new as it is
        var removed = before.Tags;
        var isMoved = true;
        if (code != OperationCode.RunDelete)
        {
            Invariant.Check(Fields.TryRead(operation.Body, out var body), "an operation on a run is an object");
            isMoved = RunRecord.StatusAfter(code, body) is not null;
            body.TryTexts("removeTags", out removed);
        }

        if (isMoved && !Mutant.Is("status-order-not-named"))
            visit(index, RunKeys.Status(key, before.Status, run.Id));
        foreach (var tag in removed)
            visit(index, RunKeys.Tag(key, tag, run.Id));
        if (code != OperationCode.RunDelete)
            return;
        visit(index, RunKeys.Triggers(key, run.Id));
        visit(index, RunKeys.Indexes(key, run.Id));
        for (var gone = run; gone.Store.Base is { } below && !Mutant.Is("fork-order-not-named"); gone = below.Owner)
        {
            visit(index, RunKeys.Fork(key, below.Parent, gone.Id));
            if (!below.Owner.IsKept)
                break;
        }

        if (before.Name is { } name)
            visit(index, RunKeys.Name(key, name));
        if (before.Parent is { } parent)
            visit(index, RunKeys.Parent(key, parent, run.Id));
    }

    private static RunRecord? FindNewest(RunStore index, RunId id)
    {
        Span<byte> key = stackalloc byte[1 + RunId.Size];
        using var reader = index.Read();
        return reader.TryGetNewest(RunKeys.Record(key, id), out var version) && !version.IsTombstone ? RunRecord.Read(version.Value) : null;
    }

    internal override bool Apply(in Operation operation, in ApplyContext context)
    {
        if (!operation.Key.IsEmpty || operation.HasExpiry)
            return false;
        var run = context.Run;
        var index = context.On(context.Catalogue.State);
        var before = FindNewest(index, run.Id);
        var code = (OperationCode)operation.Code;
        if (code == OperationCode.RunDelete)
            return operation.Body.IsEmpty && ApplyDelete(index, run, before);
        if (!Fields.TryRead(operation.Body, out var body))
            return false;
        RunRecord? after;
        if (code is OperationCode.RunCreate or OperationCode.RunFork)
        {
            if (before is not null || RunRecord.IsBuiltIn(run.Id))
                return false;
            if (code == OperationCode.RunFork ? !TryFork(body, context, out after) : !RunRecord.TryBegin(body, context.Time, out after))
                return false;
            run.Born = context.Sequence;
            context.Catalogue.Add(run);
        }
        else
        {
            before ??= RunRecord.BuiltIn(run.Id);
            if (before is null || !before.TryChange(code, body, context.Time, out after))
                return false;
        }

        Write(index, run, before, after!, operation.Body);
        run.Status = after!.Status;
        return true;
    }

    private static bool ApplyDelete(in ApplyContext index, RunState run, RunRecord? before)
    {
        if (before is null || RunRecord.IsBuiltIn(run.Id))
            return false;
        Write(index, run, before, null);
        run.DeletedAt = index.Sequence;
        index.Catalogue.Release(run, index.Sequence);
        Span<byte> key = stackalloc byte[1 + 2 * RunId.Size];
        for (var gone = run; !gone.IsKept && gone.Store.Base is { } below; gone = below.Owner)
        {
            index.Delete(RunKeys.Fork(key, below.Parent, gone.Id));
            if (below.Owner.GoneAt != index.Sequence)
                break;
        }

        return true;
    }

    // What the parent has now is what the fork has: nothing of it lies between its last commit and this one. Or, at a past point, what it
    // had there.
    private static bool TryFork(in Fields body, in ApplyContext context, [NotNullWhen(true)] out RunRecord? record)
    {
        var run = context.Run;
        if (!RunRecord.TryFork(body, context.Time, out record, out var start) || record.Parent == run.Id)
            return false;
        if (!body.TryFlag("past", out var isPast)
            || !context.Catalogue.TryFork(run, record.Parent!.Value, start.Sequence, start.Position, context.Sequence, isPast))
        {
            return false;
        }

        if (!isPast && context.Catalogue.FindLoaded(record.Parent.Value) is { Indexes.HasWork: true })
            context.Catalogue.IndexWork?.Invoke(run.Id);     // it goes on in the fork by itself
        ref var numbers = ref run.Numbers;
        numbers.NextEvent = start.NextEvent;
        numbers.EventHead = start.EventHead;
        Span<byte> point = stackalloc byte[sizeof(ulong)];
        BinaryPrimitives.WriteUInt64LittleEndian(point, start.Sequence);
        context.On(context.Catalogue.State)
            .PutNew(RunKeys.Fork(stackalloc byte[1 + 2 * RunId.Size], record.Parent.Value, run.Id), isPast ? point : default);
        return true;
    }

    private static RunRecord? FindNewest(in ApplyContext index, RunId id)
    {
        Span<byte> key = stackalloc byte[1 + RunId.Size];
        using var reader = index.Read();
        return reader.TryGetForApply(RunKeys.Record(key, id), out var version) && !version.IsTombstone
            ? RunRecord.Read(version.Value)
            : null;
    }

    // The record and every place in the orders that differs.
    private static void Write(in ApplyContext index, RunState run, RunRecord? before, RunRecord? after, ReadOnlySpan<byte> body = default)
    {
        Span<byte> key = stackalloc byte[RunKeys.LengthMax];
        var encoded = after?.ToValue().Encode() ?? [];
        if (after is null)
            index.Delete(RunKeys.Record(key, run.Id));
        else
            index.Put(RunKeys.Record(key, run.Id), encoded);
        run.RecordBytes = encoded.Length;
        run.RecordTags = after?.Tags.Length ?? 0;
        WriteResult(index, run.Id, after, body);
        WriteRetention(index, run.Id, before?.Retention, after?.Retention);
        if (after is null)
        {
            DropMark(index, RunKeys.Triggers(stackalloc byte[1 + RunId.Size], run.Id));
            DropMark(index, RunKeys.Indexes(stackalloc byte[1 + RunId.Size], run.Id));
        }

        if (RunRecord.IsBuiltIn(run.Id))
            return;
        if ((before is null) != (after is null))
            WriteOnce(index, run.Id, before ?? after!, exists: after is not null);
        if (before?.Status != after?.Status)
        {
            if (before is not null)
                index.Delete(RunKeys.Status(key, before.Status, run.Id));
            if (after is not null)
                index.PutNew(RunKeys.Status(key, after.Status, run.Id), default);
        }

        WriteTags(index, run.Id, before?.Tags ?? [], after?.Tags ?? []);
    }

    // What never changes while a run exists.
    private static void WriteOnce(in ApplyContext index, RunId id, RunRecord record, bool exists)
    {
        Span<byte> key = stackalloc byte[RunKeys.LengthMax];
        index.AddCount(StoreKeys.Run, exists ? 1 : -1);
        if (record.Name is { } name)
        {
            Span<byte> bytes = stackalloc byte[RunId.Size];
            id.Write(bytes);
            Set(index, RunKeys.Name(key, name), bytes, exists);
        }

        if (record.Parent is { } parent)
            Set(index, RunKeys.Parent(key, parent, id), default, exists);
    }

    private static void Set(in ApplyContext index, ReadOnlySpan<byte> key, ReadOnlySpan<byte> value, bool exists)
    {
        if (exists)
            index.PutNew(key, value);
        else
            index.Delete(key);
    }

    private static void WriteTags(in ApplyContext index, RunId id, string[] before, string[] after)
    {
        Span<byte> key = stackalloc byte[RunKeys.LengthMax];
        foreach (var tag in before)
        {
            if (!after.Contains(tag, StringComparer.Ordinal))
                index.Delete(RunKeys.Tag(key, tag, id));
        }

        foreach (var tag in after)
        {
            if (!before.Contains(tag, StringComparer.Ordinal))
                index.PutNew(RunKeys.Tag(key, tag, id), default);
        }
    }

    private static void DropMark(in ApplyContext index, scoped ReadOnlySpan<byte> storeKey)
    {
        bool exists;
        using (var reader = index.Read())
            exists = reader.TryGetNewest(storeKey, out var version) && !version.IsTombstone;
        if (exists)
            index.Delete(storeKey);
    }

    private static void WriteRetention(in ApplyContext index, RunId id, Retention? before, Retention? after)
    {
        if (before == after)
            return;
        Span<byte> key = stackalloc byte[1 + RunId.Size];
        if (after is null)
            index.Delete(RunKeys.Retention(key, id));
        else
            index.Put(RunKeys.Retention(key, id), RunRecord.ToValue(after).Encode());
    }

    // The result as it stands in the operation: a large one is a content, and that is a piece of the record.
    private static void WriteResult(in ApplyContext index, RunId id, RunRecord? after, ReadOnlySpan<byte> body)
    {
        Span<byte> key = stackalloc byte[1 + RunId.Size];
        var storeKey = RunKeys.Result(key, id);
        if (after?.Result is not null)
        {
            Invariant.Check(ValueDecoder.TryFindMember(body, "result"u8, out var result), "a result comes from its operation");
            index.Put(storeKey, result);
            return;
        }

        if (after is not null)
            return;
        bool exists;
        using (var reader = index.Read())
            exists = reader.TryGetForApply(storeKey, out var version) && !version.IsTombstone;
        if (exists)
            index.Delete(storeKey);
    }

    // ---- encoding -------------------------------------------------------------------------------------------------------------

    internal override void Encode(Batch batch, PendingWrite write) => Add(batch, write.Code, write.Value, TagsIn(write.Value));

    private static int TagsIn(ReadOnlySpan<byte> body) =>
        Fields.TryRead(body, out var fields) && fields.TryTexts("addTags", out var added) && fields.TryTexts("removeTags", out var removed)
            ? added.Length + removed.Length
            : 0;

    /// <param name="tags">How many the body names.</param>
    internal static void Add(Batch batch, OperationCode code, ReadOnlySpan<byte> body, int tags)
    {
        body.CopyTo(batch.AddToRecord(code, body.Length, tags));
        batch.NeedsResolve |= code != OperationCode.RunDelete;
    }
}

/// <summary>Store keys of the catalogue; see the essay of <see cref="RunOperations"/>. A tag holds no zero, so one zero ends it.</summary>
internal static class RunKeys
{
    internal const int LengthMax = 1 + Limits.NameBytesMax + 1 + RunId.Size;

    internal static ReadOnlySpan<byte> Record(Span<byte> target, RunId id) => Of(target, StoreKeys.Run, id);

    internal static byte[] Record(RunId id) => Record(stackalloc byte[1 + RunId.Size], id).ToArray();

    internal static ReadOnlySpan<byte> Result(Span<byte> target, RunId id) => Of(target, StoreKeys.RunResult, id);

    internal static ReadOnlySpan<byte> Retention(Span<byte> target, RunId id) => Of(target, StoreKeys.RunRetention, id);

    internal static ReadOnlySpan<byte> Triggers(Span<byte> target, RunId id) => Of(target, StoreKeys.RunTriggers, id);

    internal static ReadOnlySpan<byte> Indexes(Span<byte> target, RunId id) => Of(target, StoreKeys.RunIndexes, id);

    internal static ReadOnlySpan<byte> Name(Span<byte> target, string name)
    {
        target[0] = StoreKeys.RunName;
        return target[..(1 + Utf8.GetBytes(name, target[1..]))];
    }

    internal static ReadOnlySpan<byte> Parent(Span<byte> target, RunId parent, RunId id)
    {
        parent.Write(Of(target, StoreKeys.RunParent));
        id.Write(target[(1 + RunId.Size)..]);
        return target[..(1 + 2 * RunId.Size)];
    }

    internal static ReadOnlySpan<byte> Fork(Span<byte> target, RunId below, RunId id)
    {
        below.Write(Of(target, StoreKeys.RunFork));
        id.Write(target[(1 + RunId.Size)..]);
        return target[..(1 + 2 * RunId.Size)];
    }

    internal static ReadOnlySpan<byte> Tag(Span<byte> target, string tag, RunId id)
    {
        var prefix = TagPrefix(target, tag).Length;
        id.Write(target[prefix..]);
        return target[..(prefix + RunId.Size)];
    }

    internal static ReadOnlySpan<byte> TagPrefix(Span<byte> target, string tag)
    {
        var length = 1 + Utf8.GetBytes(tag, Of(target, StoreKeys.RunTag));
        target[length] = 0;
        return target[..(length + 1)];
    }

    internal static ReadOnlySpan<byte> Status(Span<byte> target, RunStatus status, RunId id)
    {
        Of(target, StoreKeys.RunStatusOrder)[0] = (byte)status;
        id.Write(target[2..]);
        return target[..(2 + RunId.Size)];
    }

    private static Span<byte> Of(Span<byte> target, byte family)
    {
        target[0] = family;
        return target[1..];
    }

    private static ReadOnlySpan<byte> Of(Span<byte> target, byte family, RunId id)
    {
        id.Write(Of(target, family));
        return target[..(1 + RunId.Size)];
    }
}

/// <summary>What names, tags and metadata of runs and traces may be, checked at the door.</summary>
internal static class RunRules
{
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidName"/>: against NAM-2, reserved, or the text of an id, which
    /// could not be told from one.</exception>
    internal static void CheckName(string name)
    {
        KeyRules.EncodeName(name, stackalloc byte[Limits.NameBytesMax], out _);
        if (RunId.TryParse(name, out _))
            throw new CairnException(ErrorCode.InvalidName, "A run's name may not have the form of an id. Choose another, or pass it as the id.");
    }

    /// <summary>The tags, each once, in the order given.</summary>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidName"/>: against NAM-2.</exception>
    /// <exception cref="LimitException">Too many, or one is too long.</exception>
    internal static string[] CheckTags(IEnumerable<string>? tags, Limits limits)
    {
        if (tags is null)
            return [];
        Span<byte> buffer = stackalloc byte[Limits.NameBytesMax];
        var distinct = new List<string>();
        var seen = new HashSet<string>(StringComparer.Ordinal);
        foreach (var tag in tags)
        {
            KeyRules.EncodeName(tag, buffer, out _);
            if (!seen.Add(tag))
                continue;
            distinct.Add(tag);
            if (distinct.Count > limits.TagsMax)
                throw new LimitException(nameof(limits.TagsMax), limits.TagsMax, distinct.Count, "tags");
        }

        return [.. distinct];
    }

    /// <exception cref="CairnException"><see cref="ErrorCode.WrongType"/>: not an Object.</exception>
    /// <exception cref="LimitException">Too large, too deep.</exception>
    internal static void CheckMetadata(in Value metadata, Limits limits)
    {
        if (metadata.Kind != ValueKind.Object)
            throw new CairnException(ErrorCode.WrongType, $"Metadata is an Object; {metadata.Kind} was given.");
        var bytes = ValueCodec.EncodedLength(metadata, limits);
        if (bytes > limits.MetadataBytesMax)
            throw new LimitException(nameof(limits.MetadataBytesMax), limits.MetadataBytesMax, bytes, "bytes");
    }

    /// <summary>A reason or error, which stands in the record.</summary>
    internal static void CheckError([NotNull] string? error, Limits limits)
    {
        ArgumentNullException.ThrowIfNull(error);
        var bytes = Utf8.GetByteCount(error);
        if (bytes > limits.MetadataBytesMax)
            throw new LimitException(nameof(limits.MetadataBytesMax), limits.MetadataBytesMax, bytes, "bytes");
    }
}
