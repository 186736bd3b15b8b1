using System.Diagnostics.CodeAnalysis;
using Cairn.Codec;
using Cairn.Primitives;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn;

/// <summary>The event primitive of a run: an append-only order of what happened, each event linked to the one before by a hash. On
/// <see cref="Run.Events"/> each call is a transaction of its own and returns when it is as durable as the database's mode asks; on
/// <see cref="Transaction"/> it takes part in that. Appends never conflict with each other: their order is the order of commits. There
/// is no update and no delete; <see cref="Redact"/> takes a payload away and leaves the chain whole, and a policy of retention may let go
/// of the oldest. Thread-safe on a run; a transaction belongs to one thread at a time.</summary>
/// <exception cref="CairnException">Every write: <see cref="ErrorCode.InvalidName"/>: not a type; <see cref="ErrorCode.WrongType"/>: a
/// payload that is not an Object; <see cref="ErrorCode.InvalidArgument"/>: a number in it that is not finite;
/// <see cref="ErrorCode.RunClosed"/>, <see cref="ErrorCode.NotFound"/> (the run was deleted), <see cref="ErrorCode.ReadOnly"/>.</exception>
/// <exception cref="LimitException">Every write: type, payload, causes or the number of events are out of their limits.</exception>
/// <exception cref="BusyException">Every write: no room in the log for too long, or the disk is full.</exception>
/// <exception cref="DatabaseFailedException">Every write: an I/O error; the outcome may be unknown.</exception>
public sealed class Events : EventsView
{
    internal Events(Engine engine, Scope scope)
        : base(engine, scope) => Consumers = new EventConsumers(engine, scope);

    /// <inheritdoc cref="EventsView.Consumers"/>
    public new EventConsumers Consumers { get; }

    /// <summary>Appends an event. Allocates nothing outside a transaction.</summary>
    /// <param name="type">1 to 256 bytes of UTF-8, no control character, no <c>/</c>, not beginning with <c>$</c>.</param>
    /// <param name="payload">An Object, all numbers in it finite; at most <see cref="Limits.ValueBytesMax"/> encoded.</param>
    /// <param name="causes">Earlier events of this run that caused it; at most <see cref="Limits.EventCausesMax"/>. Kept and given back
    /// with the event; not under its hash.</param>
    /// <returns>Number, hash and sequence; inside a transaction readable when that has committed.</returns>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidArgument"/>: a cause that is not an earlier event; inside a
    /// transaction told at its commit.</exception>
    public EventReceipt Append(string type, Value payload, ReadOnlySpan<EventNumber> causes = default)
    {
        Scope.ThrowIfNotWritable();
        Span<byte> buffer = stackalloc byte[Limits.NameBytesMax];
        KeyRules.EncodeName(type, buffer, out var typeBytes);
        var length = EventOperations.PayloadLength(payload, Engine.Limits);
        EventOperations.BodyLength(causes.Length, length);
        if (Scope.Transaction is not null)
            return AppendPending(buffer[..typeBytes], payload, length, causes);
        var batch = Scope.BeginSingle();
        EventOperations.AddAppend(batch, buffer[..typeBytes], 0, causes, payload, length, Engine.Random);
        return Scope.CommitSingle(batch, EventOperations.ReadReceipt);
    }

    /// <summary>Appends an event with a payload from a .NET object, as <see cref="Value.From(object?)"/> converts it:
    /// <c>Append("tool_call", new { tool = "crm.lookup", id = 4711 })</c>.</summary>
    /// <param name="type">As in <see cref="Append(string, Value, ReadOnlySpan{EventNumber})"/>.</param>
    /// <param name="payload">What becomes an Object: an anonymous object, a record, a dictionary.</param>
    /// <param name="causes">As in <see cref="Append(string, Value, ReadOnlySpan{EventNumber})"/>.</param>
    /// <inheritdoc cref="Append(string, Value, ReadOnlySpan{EventNumber})" path="/returns"/>
    /// <inheritdoc cref="Append(string, Value, ReadOnlySpan{EventNumber})" path="/exception"/>
    [RequiresUnreferencedCode(
        "Reads the public properties of objects by reflection. Trimmed programs use Value.From<T> with a JsonTypeInfo<T>.")]
    public EventReceipt Append(string type, object payload, ReadOnlySpan<EventNumber> causes = default) =>
        Append(type, Value.From(payload), causes);

    /// <summary>Like <see cref="Append(string, Value, ReadOnlySpan{EventNumber})"/>, awaiting durability instead of blocking.</summary>
    /// <param name="type">As there.</param>
    /// <param name="payload">As there.</param>
    /// <param name="causes">As there.</param>
    /// <param name="cancellationToken">Ends the waiting, not the commit: once it has a place in the log it is committed.</param>
    public ValueTask<EventReceipt> AppendAsync(
        string type, Value payload, ReadOnlySpan<EventNumber> causes = default, CancellationToken cancellationToken = default)
    {
        cancellationToken.ThrowIfCancellationRequested();
        if (Scope.Transaction is not null)
            return ValueTask.FromResult(Append(type, payload, causes));
        Scope.ThrowIfNotWritable();
        Span<byte> buffer = stackalloc byte[Limits.NameBytesMax];
        KeyRules.EncodeName(type, buffer, out var typeBytes);
        var length = EventOperations.PayloadLength(payload, Engine.Limits);
        EventOperations.BodyLength(causes.Length, length);
        var batch = Scope.BeginOwned();
        EventOperations.AddAppend(batch, buffer[..typeBytes], 0, causes, payload, length, Engine.Random);
        return Scope.CommitOwnedAsync(batch, EventOperations.ReadReceipt, cancellationToken);
    }

    /// <summary>Appends several events in one transaction: all or nothing, one behind the other, with nothing between them.</summary>
    /// <param name="events">At most <see cref="Limits.ManyItemsMax"/>.</param>
    /// <returns>One receipt per event, in their order.</returns>
    /// <inheritdoc cref="Append(string, Value, ReadOnlySpan{EventNumber})" path="/exception"/>
    public IReadOnlyList<EventReceipt> AppendMany(IReadOnlyCollection<NewEvent> events)
    {
        ArgumentNullException.ThrowIfNull(events);
        Many.CheckCount(events.Count, Engine.Limits);
        Scope.ThrowIfNotWritable();
        Span<byte> buffer = stackalloc byte[Limits.NameBytesMax];
        var bytes = 0L;
        foreach (var item in events)
        {
            KeyRules.EncodeName(item.Type, buffer, out var typeBytes);
            bytes += typeBytes + EventOperations.BodyLength(
                item.Causes?.Count ?? 0, EventOperations.PayloadLength(item.Payload, Engine.Limits));
        }

        Many.CheckBytes(bytes, Engine.Limits);

        if (events.Count == 0)
            return [];
        if (Scope.Transaction is not null)
        {
            Scope.Writes!.CheckRoom(events.Count, bytes);
            var receipts = new List<EventReceipt>(events.Count);
            foreach (var item in events)
                receipts.Add(Append(item.Type, item.Payload, CausesOf(item)));
            return receipts;
        }

        var batch = Scope.BeginSingle();
        var index = 0UL;
        foreach (var item in events)
        {
            KeyRules.EncodeName(item.Type, buffer, out var typeBytes);
            EventOperations.AddAppend(
                batch, buffer[..typeBytes], index++, CausesOf(item), item.Payload, item.Payload.EncodedLength, Engine.Random);
        }

        return Scope.CommitSingle(batch, EventOperations.ReadReceipts);
    }

    private static ReadOnlySpan<EventNumber> CausesOf(in NewEvent item) => item.Causes is { } causes ? causes.ToArray() : default;

    /// <summary>Removes payload and salt of an event for good, and records that in an event <c>$redacted</c> {number, reason} in the same
    /// commit. The payload's hash stays, so the chain still verifies. Allowed in a closed run too. In the log's files the bytes remain
    /// until compaction rewrites them, and a snapshot taken before still shows them until it is disposed.</summary>
    /// <param name="number">The event; of those committed before, not of the transaction itself.</param>
    /// <param name="reason">Why; at most <see cref="Limits.MetadataBytesMax"/> of UTF-8. It is kept, so it must not repeat what is
    /// removed.</param>
    /// <returns>Of the <c>$redacted</c> event; null when the event was redacted already: nothing was written then.</returns>
    /// <exception cref="CairnException"><see cref="ErrorCode.NotFound"/>: no such event; <see cref="ErrorCode.InvalidArgument"/>: an empty
    /// reason, or a <c>$redacted</c> event, which is the record of such an act.</exception>
    /// <exception cref="HistoryTrimmedException">Retention has let go of it.</exception>
    public EventReceipt? Redact(EventNumber number, string reason)
    {
        ArgumentNullException.ThrowIfNull(reason);
        Scope.ThrowIfNotWritable();
        if (reason.Length == 0)
            throw new CairnException(ErrorCode.InvalidArgument, "A redaction needs a reason: it is what is left to explain the gap.");
        if (Utf8.GetByteCount(reason) is var bytes && bytes > Engine.Limits.MetadataBytesMax)
            throw new LimitException(nameof(Engine.Limits.MetadataBytesMax), Engine.Limits.MetadataBytesMax, bytes, "bytes");
        var record = Value.Object(("number", (long)number.Value), ("reason", reason));
        var length = EventOperations.PayloadLength(record, Engine.Limits);
        if (!TryFindToRedact(number.Value, out var key, out var version, out var payloadHash))
            return null;
        var expectation = new Expectation(Scope.Run, key, ExpectationKind.Version, version);
        if (Scope.Transaction is { } transaction)
        {
            using var use = Scope.Use();
            Scope.Writes!.CheckRoom(2, length);
            transaction.Expectations.Add(expectation);
            Scope.Writes!.Add(new PendingWrite
            {
                StoreKey = key,
                Code = OperationCode.EventRedact,
                OperationKey = [],
                Value = EventOperations.Redaction(number.Value, payloadHash),
            });
            return AddPending(EventOperations.RedactedType, record, length, default);
        }

        var batch = Scope.BeginSingle();
        batch.IsAllowedWhenClosed = true;
        EventOperations.AddRedact(batch, number.Value, payloadHash);
        EventOperations.AddAppend(batch, EventOperations.RedactedType, 0, default, record, length, Engine.Random);
        if (Scope.TryCommitSingle(batch, expectation, EventOperations.ReadReceipts, out var receipts, out _))
            return receipts[0];
        TryFindToRedact(number.Value, out _, out _, out _);  // it is not what it was: retention may have taken it meanwhile
        return null;
    }

    // False: redacted already. The inner hash is made here, outside every lock.
    private bool TryFindToRedact(ulong number, out byte[] key, out ulong version, out Hash256 payloadHash)
    {
        Scope.ThrowIfNotReadable();
        key = new byte[EventReader.KeyBytes];
        StoreKeys.Of(key, StoreKeys.Event, number);
        payloadHash = default;
        version = 0;
        using var reader = Scope.Run.Store.Read();
        if (!Scope.TryGetCommitted(reader, key, out var found) || found.IsTombstone)
        {
            new EventReader(Scope, reader, stackalloc byte[EventReader.KeyBytes]).Floor().ThrowIfBelow(number);
            throw new CairnException(ErrorCode.NotFound, $"The run has no committed event #{number}.");
        }

        Invariant.Check(StoredEvent.TryRead(found.Value, out var stored), "an event in the store is an event");
        if (stored.Type.SequenceEqual(EventOperations.RedactedType))
            throw new CairnException(ErrorCode.InvalidArgument, $"Event #{number} records a redaction and stays as it is.");
        if (stored.IsRedacted || Scope.Writes?.Find(key) is not null)
            return false;
        version = found.Sequence;
        payloadHash = stored.PayloadHash;
        return true;
    }

    // ---- pending events of a transaction -------------------------------------------------------------------------------------

    private EventReceipt AppendPending(ReadOnlySpan<byte> type, in Value payload, int length, ReadOnlySpan<EventNumber> causes)
    {
        return AddPending(type, payload, length, causes);
    }

    // The event's key is the one it gets if nobody else appends; it matters only to those who look at the end, and they are validated.
    private EventReceipt AddPending(ReadOnlySpan<byte> type, in Value payload, int length, ReadOnlySpan<EventNumber> causes)
    {
        using var use = Scope.Use();
        var writes = Scope.Writes!;
        var bodyBytes = EventOperations.BodyLength(causes.Length, length);
        writes.CheckRoom(1, type.Length + (long)bodyBytes);
        var body = new byte[bodyBytes];
        EventOperations.WriteBody(body, (ulong)writes.Appends.Count, causes, payload, Engine.Random);
        var key = new byte[EventReader.KeyBytes];
        StoreKeys.Of(key, StoreKeys.Event, Committed() + (ulong)writes.Appends.Count);
        var receipt = new AppendReceipt();
        writes.Add(new PendingWrite
        {
            StoreKey = key,
            Code = OperationCode.EventAppend,
            OperationKey = type.ToArray(),
            Value = body,
            Receipt = receipt,
        });
        AddPendingStream(type);
        return new EventReceipt(receipt);
    }

    // Logs nothing: the stream of a type follows from its events. It is here so that listings of types show it.
    private void AddPendingStream(ReadOnlySpan<byte> type)
    {
        Span<byte> buffer = stackalloc byte[1 + Limits.NameBytesMax];
        var key = StoreKeys.Of(buffer, StoreKeys.EventStream, type);
        if (Scope.Writes!.Find(key) is null)
            Scope.Writes.Add(new PendingWrite { StoreKey = key.ToArray(), Code = 0, OperationKey = [] });
    }

    private ulong Committed()
    {
        using var reader = Scope.Run.Store.Read();
        return new EventReader(Scope, reader, stackalloc byte[EventReader.KeyBytes]).Committed;
    }
}
