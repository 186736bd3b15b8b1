// Traces: what an agent did and thought, step by step, as a forest.
//
//   store keys      50 id                    the trace, a canonical object (TraceContent)
//                   51 time id               all of them by timestamp, then id
//                   52 type 0 time id        those of one type
//                   53 tag 0 time id         those with a tag
//                   54 parent time id        children of a trace; under zeros the roots
//                   01 50                    how many
//                   Times are i64 with the sign flipped, big-endian: times before 1970 sort first. A type is its number as one byte,
//                   a tag holds no zero. The values of the orders are empty: they point at the trace.
//   operations      50 Record, 51 Redact (docs/format.md has the bodies)
//   conflicts       none between recordings: ids are made, not chosen, and a parent once there stays there. Looking for a trace that is
//                   absent is a point, a listing is its range
//   text            the texts of the step and the strings of the metadata (TR-8)
//   diff, merge     by id; between forks by ordinal and content. Merge: union by id
//   replay          Record writes the trace and its places, Redact replaces the content and takes the tags' places away
//   indexes         of the run hold what both come to (IndexMaintenance.cs)
//
// A trace of one agent turn, as it is stored and as its tree is read:
//
//   thought "refund?"  @t1                       54 | 0000.. | t1 | thought           root
//     tool  "crm"      @t2  parent thought       54 | thought | t2 | tool             its children, in order of time
//       error          @t3  parent tool          54 | tool    | t3 | error
//     tool  "mail"     @t4  parent thought       54 | thought | t4 | mail
//
// A parent must be there when its child is recorded, and ids are made at recording: so there are no cycles, and a tree is read by one
// range per node. Timestamps are the caller's and need not grow; they order listings, nothing else.
//
// Redaction leaves id, type, time and parent, so that trees and counts stay what they are. What was removed stays in the log, and in
// snapshots taken before, until compaction rewrites the one and the others end. A redacted trace stays redacted.
//
// In a transaction the orders are pending writes too, with no operation of their own: they follow from the recording.

using Cairn.Codec;
using Cairn.Log;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn.Primitives;

/// <summary>See the essay above. Stateless.</summary>
internal sealed class TraceOperations : OperationSet
{
    internal override byte Family => 0x50;

    internal override string Name => "traces";

    internal override bool Owns(byte storeFamily) => storeFamily is >= StoreKeys.Trace and <= StoreKeys.TraceParent;

    internal override bool IsDerived(byte storeFamily) => storeFamily != StoreKeys.Trace;

    internal override string Describe(in Operation operation, RunId run) =>
        operation.Key.Length == TraceId.Size ? TraceId.Read(operation.Key).ToString() : Convert.ToHexStringLower(operation.Key);

    internal override string Describe(ReadOnlySpan<byte> storeKey) => storeKey.Length > TraceId.Size
        ? TraceId.Read(storeKey[^TraceId.Size..]).ToString()
        : storeKey[0] switch
        {
            StoreKeys.TraceTime => "by time",
            StoreKeys.TraceType => "by type",
            StoreKeys.TraceTag => "by tag",
            StoreKeys.TraceParent => "by parent",
            _ => "all",
        };

    // What Apply will read is at hand before a sequence is taken: a damaged or unreadable content refuses the commit and no more.
    internal override CairnException? Resolve(in Operation operation, Span<byte> holes, RunState run, Catalogue catalogue, long time)
    {
        Span<byte> key = stackalloc byte[TraceKeys.LengthMax];
        if (operation.Code == (byte)OperationCode.TraceRedact)
            run.Store.HoldContent(TraceKeys.Trace(key, TraceId.Read(operation.Key)));
        return null;
    }

    internal override ReadOnlySpan<byte> ValueRead(in Operation operation, Span<byte> buffer) =>
        operation.Code == (byte)OperationCode.TraceRedact ? TraceKeys.Trace(buffer, TraceId.Read(operation.Key)) : default;

    internal override void EachKey(in Operation operation, RunState run, Catalogue catalogue, StoreKeyVisitor visit)
    {
        Span<byte> key = stackalloc byte[TraceKeys.LengthMax];
        var id = TraceId.Read(operation.Key);
        visit(run.Store, TraceKeys.Trace(key, id));
        if (operation.Code != (byte)OperationCode.TraceRedact)
            return;                                          // its places in the orders are as new as it is
        using var reader = run.Store.Read();
        if (!reader.TryGetNewest(TraceKeys.Trace(key, id), out var version) || version.IsTombstone
            || !Fields.TryRead(version.Value, out var fields) || !TraceContent.TryReadOrder(fields, out var order))
        {
            return;
        }

        foreach (var tag in order.Tags)
            visit(run.Store, TraceKeys.Tag(key, tag, order.Time, id));
        if (run.Indexes is { IsEmpty: false })
            ItemsOfRedaction(id, run, visit);
    }

    internal override ReadOnlySpan<byte> Changed(in Operation operation, Span<byte> buffer) =>
        TraceKeys.Trace(buffer, TraceId.Read(operation.Key));

    internal override void TellChange(in Operation operation, ulong sequence, ThingChanges changes) =>
        TellThing(operation, sequence, changes);

    internal override bool Apply(in Operation operation, in ApplyContext context)
    {
        if (operation.Key.Length != TraceId.Size || operation.HasExpiry)
            return false;
        var id = TraceId.Read(operation.Key);
        return (OperationCode)operation.Code switch
        {
            OperationCode.TraceRecord => ApplyRecord(id, operation.Body, context),
            OperationCode.TraceRedact => operation.Body.IsEmpty && ApplyRedact(id, context),
            _ => false,
        };
    }

    private static bool ApplyRecord(TraceId id, ReadOnlySpan<byte> body, in ApplyContext context)
    {
        if (!Fields.TryRead(body, out var fields) || !TraceContent.TryRead(fields, id, out _))
            return false;
        TraceContent.TryReadOrder(fields, out var order);
        Span<byte> key = stackalloc byte[TraceKeys.LengthMax];
        if (context.Put(TraceKeys.Trace(key, id), body).IsCounted)
            return false;
        context.AddCount(StoreKeys.Trace, 1);
        context.PutNew(TraceKeys.Time(key, order.Time, id), default);
        context.PutNew(TraceKeys.Type(key, order.Type, order.Time, id), default);
        context.PutNew(TraceKeys.Parent(key, order.Parent, order.Time, id), default);
        foreach (var tag in order.Tags)
            context.PutNew(TraceKeys.Tag(key, tag, order.Time, id), default);
        if (!IndexSet.Of(context.Run).On(IndexTarget.Traces).IsEmpty)
        {
            IndexMaintenance.Add(
                context, IndexTarget.Traces, TraceKeys.Trace(key, id)[1..], new ValuePlaces(TraceContent.Document(fields, id)));
        }

        return true;
    }

    private static bool ApplyRedact(TraceId id, in ApplyContext context)
    {
        Span<byte> key = stackalloc byte[TraceKeys.LengthMax];
        TraceOrder order;
        (List<byte[]> Gone, List<byte[]> Come)? items = null;
        using (var reader = context.Read())
        {
            if (!reader.TryGetForApply(TraceKeys.Trace(key, id), out var version) || version.IsTombstone
                || !Fields.TryRead(version.Value, out var fields) || !TraceContent.TryReadOrder(fields, out order))
            {
                return false;
            }

            if (!IndexSet.Of(context.Run).On(IndexTarget.Traces).IsEmpty)
                items = ItemsOfRedaction(context.Run, id, fields, order);
        }

        context.Put(TraceKeys.Trace(key, id), TraceContent.Redacted(order).Encode());
        foreach (var tag in order.Tags)
            context.Delete(TraceKeys.Tag(key, tag, order.Time, id));
        if (items is { } changed)
            IndexMaintenance.Change(context, changed);
        return true;
    }

    private static (List<byte[]> Gone, List<byte[]> Come) ItemsOfRedaction(
        RunState run, TraceId id, in Fields fields, in TraceOrder order)
    {
        Span<byte> key = stackalloc byte[TraceKeys.LengthMax];
        Invariant.Check(Fields.TryRead(TraceContent.Redacted(order), out var redacted), "a trace is an object");
        return IndexMaintenance.Differences(
            run, IndexTarget.Traces, TraceKeys.Trace(key, id)[1..], new ValuePlaces(TraceContent.Document(fields, id)),
            new ValuePlaces(TraceContent.Document(redacted, id)));
    }

    internal override bool HasItems => true;

    internal override WriteCount CountIndexWrites(in Operation operation, RunState run)
    {
        if (IndexSet.Of(run).On(IndexTarget.Traces).IsEmpty || operation.Key.Length != TraceId.Size)
            return default;
        var id = TraceId.Read(operation.Key);
        if (operation.Code == (byte)OperationCode.TraceRedact)
            return ItemsOfRedaction(id, run, null);
        return Fields.TryRead(operation.Body, out var fields)
            ? IndexMaintenance.CountAdd(run, IndexTarget.Traces, operation.Key, new ValuePlaces(TraceContent.Document(fields, id)))
            : default;
    }

    private static WriteCount ItemsOfRedaction(TraceId id, RunState run, StoreKeyVisitor? visit)
    {
        Span<byte> key = stackalloc byte[TraceKeys.LengthMax];
        var storeKey = TraceKeys.Trace(key, id);
        using var reader = run.Store.Read();
        if (!reader.TryGetNewest(storeKey, out var version) || version.IsTombstone
            || !Fields.TryRead(version.Value, out var fields) || !TraceContent.TryReadOrder(fields, out var order))
            return default;
        return IndexMaintenance.Count(ItemsOfRedaction(run, id, fields, order), run, visit);
    }

    internal override void Encode(Batch batch, PendingWrite write)
    {
        if (write.Code == OperationCode.TraceRedact)
        {
            AddRedact(batch, write.OperationKey, (int)write.Steps);
            return;
        }

        write.Value.CopyTo(AddRecord(batch, write.OperationKey, write.Value.Length, (int)write.Steps));
    }

    /// <param name="tags">How many the trace has: each is a key of its own.</param>
    /// <returns>The body to fill.</returns>
    internal static Span<byte> AddRecord(Batch batch, ReadOnlySpan<byte> id, int bodyBytes, int tags) =>
        batch.Add(OperationCode.TraceRecord, 0, id, bodyBytes, OrderWrites + tags, OrderWrites * (long)TraceKeys.FixedBytesMax + tags * (long)TraceKeys.LengthMax);

    /// <inheritdoc cref="AddRecord"/>
    internal static void AddRedact(Batch batch, ReadOnlySpan<byte> id, int tags)
    {
        batch.Add(OperationCode.TraceRedact, 0, id, 0, OrderWrites + tags, RedactedBytesMax + tags * (long)TraceKeys.LengthMax);
        batch.NeedsResolve = true;
    }

    /// <summary>The trace, its places by time, type and parent, the count.</summary>
    private const int OrderWrites = 5;

    /// <summary>Type, time, parent and the marker, with their names.</summary>
    private const int RedactedBytesMax = 128;
}

/// <summary>Store keys of traces; see the essay of <see cref="TraceOperations"/>.</summary>
internal static class TraceKeys
{
    /// <summary>Family, parent, time, id: the longest without text.</summary>
    internal const int FixedBytesMax = 1 + TraceId.Size + sizeof(long) + TraceId.Size;

    internal const int LengthMax = 1 + Limits.NameBytesMax + 1 + sizeof(long) + TraceId.Size;

    internal static ReadOnlySpan<byte> Trace(Span<byte> target, TraceId id)
    {
        target[0] = StoreKeys.Trace;
        id.Write(target[1..]);
        return target[..(1 + TraceId.Size)];
    }

    internal static ReadOnlySpan<byte> Time(Span<byte> target, long time, TraceId id) => End(target, TimePrefix(target).Length, time, id);

    internal static ReadOnlySpan<byte> Type(Span<byte> target, TraceType type, long time, TraceId id) =>
        End(target, TypePrefix(target, type).Length, time, id);

    internal static ReadOnlySpan<byte> Tag(Span<byte> target, string tag, long time, TraceId id) =>
        End(target, TagPrefix(target, tag).Length, time, id);

    internal static ReadOnlySpan<byte> Parent(Span<byte> target, TraceId? parent, long time, TraceId id) =>
        End(target, ParentPrefix(target, parent).Length, time, id);

    internal static ReadOnlySpan<byte> TimePrefix(Span<byte> target)
    {
        target[0] = StoreKeys.TraceTime;
        return target[..1];
    }

    internal static ReadOnlySpan<byte> TypePrefix(Span<byte> target, TraceType type)
    {
        target[0] = StoreKeys.TraceType;
        target[1] = (byte)type;
        target[2] = 0;
        return target[..3];
    }

    internal static ReadOnlySpan<byte> TagPrefix(Span<byte> target, string tag)
    {
        target[0] = StoreKeys.TraceTag;
        var length = 1 + Utf8.GetBytes(tag, target[1..]);
        target[length] = 0;
        return target[..(length + 1)];
    }

    internal static ReadOnlySpan<byte> ParentPrefix(Span<byte> target, TraceId? parent)
    {
        target[0] = StoreKeys.TraceParent;
        (parent ?? default).Write(target[1..]);
        return target[..(1 + TraceId.Size)];
    }

    private static ReadOnlySpan<byte> End(Span<byte> target, int prefix, long time, TraceId id)
    {
        var writer = new KeyWriter(target[prefix..]);
        writer.Int64(time);
        id.Write(target[(prefix + sizeof(long))..]);
        return target[..(prefix + sizeof(long) + TraceId.Size)];
    }
}
