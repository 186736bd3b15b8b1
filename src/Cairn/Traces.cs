using Cairn.Codec;
using Cairn.Primitives;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn;

/// <summary>The traces of a run: typed steps of an agent, as a forest, immutable but for redaction. On <see cref="Run.Traces"/> each call
/// is a transaction of its own and returns when it is as durable as the database's mode asks; on <see cref="Transaction"/> it takes part
/// in that. Thread-safe on a run; a transaction belongs to one thread at a time.</summary>
/// <exception cref="CairnException">Every write: <see cref="ErrorCode.RunClosed"/> (not for redaction), <see cref="ErrorCode.NotFound"/>
/// (the run was deleted), <see cref="ErrorCode.ReadOnly"/>.</exception>
/// <exception cref="BusyException">Every write: no room in the log for too long, or the disk is full.</exception>
/// <exception cref="DatabaseFailedException">Every write: an I/O error; the outcome may be unknown.</exception>
public sealed class Traces : TracesView
{
    internal Traces(Engine engine, Scope scope)
        : base(engine, scope)
    {
    }

    /// <summary>Records a step. Costs the same, however many there are.</summary>
    /// <param name="step">What was done or thought; at most <see cref="Limits.ValueBytesMax"/> with all that is said about it, all
    /// numbers finite.</param>
    /// <param name="options">Parent, time, tags and more; null = a root of now.</param>
    /// <returns>Its new id.</returns>
    /// <exception cref="CairnException"><see cref="ErrorCode.NotFound"/>: there is no such parent in this run;
    /// <see cref="ErrorCode.ConstraintViolation"/>: a decision for none of its options, a confidence outside 0 to 1, a negative count or
    /// duration; <see cref="ErrorCode.InvalidName"/>: a tag breaks the rules; <see cref="ErrorCode.WrongType"/>: the metadata is not an
    /// Object; <see cref="ErrorCode.InvalidArgument"/>: a number that is not finite.</exception>
    /// <exception cref="LimitException">Tags, metadata, causes or the whole are out of their limits.</exception>
    public TraceId Record(TraceStep step, TraceOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(step);
        options ??= TraceOptions.None;
        Scope.ThrowIfNotWritable();
        var now = Engine.Clock.Microseconds();
        var content = TraceContent.Make(step, options, now, Engine.Limits, out var order);
        var id = new TraceId(Engine.Random.NextUuid(now));
        Span<byte> key = stackalloc byte[TraceId.Size];
        id.Write(key);
        if (Scope.Transaction is not null)
        {
            if (order.Parent is { } above)
                CheckParentInTransaction(above);
            Scope.Writes!.CheckRoom(1, TraceId.Size + (long)content.EncodedLength);
            AddPending(id, content.Encode(), order);
            return id;
        }

        var batch = Scope.BeginSingle();
        ValueCodec.Encode(content, TraceOperations.AddRecord(batch, key, content.EncodedLength, order.Tags.Length));
        if (order.Parent is not { } parent)
        {
            Scope.CommitSingle(batch);
            return id;
        }

        var parentKey = TraceKeys.Trace(stackalloc byte[TraceKeys.LengthMax], parent).ToArray();
        return Scope.TryCommitSingle(batch, new Expectation(Scope.Run, parentKey, ExpectationKind.Present, 0), out _)
            ? id
            : throw NoParent(parent);
    }

    /// <summary>Removes the content of a trace: step, duration, tags, metadata, causes, model and tokens. Id, type, time and parent stay,
    /// with a marker. Allowed in a closed run too. The bytes stay in the log until compaction rewrites it.</summary>
    /// <param name="id">Which.</param>
    /// <returns>False when there is no such trace, or it is redacted already; nothing is written then.</returns>
    public bool Redact(TraceId id)
    {
        Scope.ThrowIfNotWritable(isAllowedWhenClosed: true);
        if (!TryGet(id, out var trace) || trace.IsRedacted)
            return false;
        Span<byte> key = stackalloc byte[TraceId.Size];
        id.Write(key);
        if (Scope.Transaction is not null)
        {
            RedactPending(trace);
            return true;
        }

        var storeKey = TraceKeys.Trace(stackalloc byte[TraceKeys.LengthMax], id).ToArray();
        var batch = Scope.BeginSingle();
        batch.IsAllowedWhenClosed = true;
        TraceOperations.AddRedact(batch, key, trace.Tags.Count);

        // The trace as it was read has not been redacted; of two who try at once, one does it.
        return Scope.TryCommitSingle(batch, new Expectation(Scope.Run, storeKey, ExpectationKind.Version, trace.Version.Value), out _);
    }

    // A trace that is there stays there, so finding it is no read to validate. Not finding it is: the caller is told.
    private void CheckParentInTransaction(TraceId parent)
    {
        Scope.ThrowIfNotReadable();
        using var use = Scope.Use();
        var key = TraceKeys.Trace(stackalloc byte[TraceKeys.LengthMax], parent);
        using var reader = Scope.Run.Store.Read();
        if (Scope.Writes!.Find(key) is not null || (Scope.TryGetCommitted(reader, key, out var version) && !version.IsTombstone))
            return;
        Scope.NotePoint(key);
        throw NoParent(parent);
    }

    private static CairnException NoParent(TraceId parent) =>
        new(ErrorCode.NotFound, $"There is no trace {parent} in this run. Record the parent first.");

    // ---- pending writes of a transaction ------------------------------------------------------------------------------------

    private void AddPending(TraceId id, byte[] content, in TraceOrder order)
    {
        using var use = Scope.Use();
        Span<byte> key = stackalloc byte[TraceKeys.LengthMax];
        var storeKey = TraceKeys.Trace(key, id).ToArray();
        Scope.Writes!.Add(new PendingWrite
        {
            StoreKey = storeKey,
            Code = OperationCode.TraceRecord,
            OperationKey = storeKey[1..],
            Value = content,
            Steps = (uint)order.Tags.Length,
        });
        SetPlace(TraceKeys.Time(key, order.Time, id), isDelete: false);
        SetPlace(TraceKeys.Type(key, order.Type, order.Time, id), isDelete: false);
        SetPlace(TraceKeys.Parent(key, order.Parent, order.Time, id), isDelete: false);
        foreach (var tag in order.Tags)
            SetPlace(TraceKeys.Tag(key, tag, order.Time, id), isDelete: false);
    }

    private void RedactPending(TraceRecord trace)
    {
        using var use = Scope.Use();
        Span<byte> key = stackalloc byte[TraceKeys.LengthMax];
        var storeKey = TraceKeys.Trace(key, trace.Id);
        var time = CommitClock.Microseconds(trace.Timestamp);
        var redacted = TraceContent.Redacted(new TraceOrder(trace.Type, time, trace.Parent, [])).Encode();
        if (Scope.Writes!.Find(storeKey) is { } write)
        {
            write.Value = redacted;                          // recorded in this transaction: it is recorded redacted
        }
        else
        {
            var owned = storeKey.ToArray();
            Scope.Writes.Add(new PendingWrite
            {
                StoreKey = owned,
                Code = OperationCode.TraceRedact,
                OperationKey = owned[1..],
                Value = redacted,
                Steps = (uint)trace.Tags.Count,
            });
        }

        foreach (var tag in trace.Tags)
            SetPlace(TraceKeys.Tag(key, tag, time, trace.Id), isDelete: true);
    }

    // A place in an order: no operation is logged for it, it follows from the trace's.
    private void SetPlace(ReadOnlySpan<byte> storeKey, bool isDelete)
    {
        if (Scope.Writes!.Find(storeKey) is { } write)
            write.IsDelete = isDelete;
        else
            Scope.Writes.Add(new PendingWrite { StoreKey = storeKey.ToArray(), Code = 0, OperationKey = [], IsDelete = isDelete });
    }
}
