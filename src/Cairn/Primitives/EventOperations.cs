// Events: what happened in a run, in one order, never changed.
//
//   store keys    30 number       the event: the operation as it was logged, or its redacted form
//                 30              the floor: where the events begin that retention has left (EventTrim.cs)
//                 31 type         the type's stream: count, first number, first time, last number, last time
//                 32              the head: count, hash of the newest event
//                 33 consumer     position: number of the first event that the consumer has not handled
//   operations    30 Append, 31 ConsumerCommit, 32 Redact, 33 Trim (docs/format.md has the bodies)
//   conflicts     Append reads nothing, so appends commute: their order is the order of commits. An existing event never conflicts.
//                 What the end of the order shows (count, head, a number that is not there yet, a range that reaches the end, own
//                 appended events) is a read of [n, end) and conflicts with any append (TX-16). The stream of a type is a point.
//   text          the type, and every string in the payload (EV-16)
//   diff          length of the common prefix, then both tails; merge: appended to the end (RPL-31)
//   replay        an Append is the event, its hash included: nothing is computed again
//   indexes       of the run hold what an event has at their places; a redaction and a trim take it away (IndexedEvents.cs)
//
// E1  Numbers are dense from 0, or from the floor. Number, previous hash and hash are holes: filled under the run's lock, when the commit
// has its place. E2  hash = SHA-256(number, type, time, SHA-256(salt, payload), previous hash); Codec/EventHash.cs is the one routine.
// E3  The inner hash is made outside every lock, because a payload may be megabytes. It waits in the hole of the hash, which Fill
//     reads before it writes: so it costs no byte in the log, and whoever wants it later makes it again from salt and payload.
// E4  A redaction takes salt and payload away and leaves the inner hash, which its operation carries: E2 still verifies, and without
//     the salt nobody can guess the payload from what is left.
// E5  Causes are not under the hash: they say how events hang together, not what happened. They point backwards, always.
// E6  An event that is carried from elsewhere keeps salt, payload hash and time, and so its hash, if it comes to the place it had: an
//     Append with an expiry has that for its time; a Redact with a key, the type, is an event that was redacted there already, with time
//     and payload hash at its end. The time is not after the commit's. Behind which event it belongs is checked before it gets its place.
//
// Three commits; b and c were on their way at the same time, c took its place first:
//
//   number      #0                  #1                  #2
//   type        tool_call           tool_result         note
//   previous    000000...      .--- 7c01f3...      .--- e90b44...
//   hash        7c01f3... -----'    e90b44... -----'    35aa10...   = head
//   commit      a @5                c @6                b @7
//
//   redact #0   @8: salt and payload of #0 go, its inner hash stays; "$redacted" {number: 0, reason} is #3, in the same commit
//
// What it does not do: a redacted payload stays in the log until compaction rewrites the segment (EV-13). Reads as of a sequence
// before the redaction still show it for as long as a snapshot keeps that version.

using System.Buffers;
using System.Buffers.Binary;
using Cairn.Codec;
using Cairn.Log;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn.Primitives;

/// <summary>See the essay above. Stateless.</summary>
internal sealed class EventOperations : OperationSet
{
    /// <summary>Bytes of a head: count u64, hash 32.</summary>
    internal const int HeadBytes = 8 + Hash256.Size;

    // Body of an Append.
    internal const int PreviousOffset = 8;
    internal const int HashOffset = PreviousOffset + Hash256.Size;
    internal const int CauseCountOffset = HashOffset + Hash256.Size;
    internal const int CausesOffset = CauseCountOffset + sizeof(ushort);

    // Body of a ConsumerCommit: position u64, forced u8.
    private const int PositionBytes = 8 + 1;

    // Body of a Redact: number u64, payload hash 32.
    private const int RedactBytes = 8 + Hash256.Size;

    /// <summary>Longest redacted form: operation header, type, what stands before the causes, causes, time, payload hash.</summary>
    private const int RedactedBytesMax =
        Operation.FixedBytes + Limits.NameBytesMax + CausesOffset + 8 * Limits.EventCausesMax + 8 + Hash256.Size;

    /// <summary>Writes per Append: the event, the stream of its type, the head.</summary>
    private const int WritesPerAppend = 3;

    internal override byte Family => 0x30;

    internal override string Name => "events";

    internal override long CountItems(scoped in StoreReader reader, ulong sequence) => CountKept(reader, sequence);

    /// <summary>Events from the floor on.</summary>
    internal static long CountKept(scoped in StoreReader reader, ulong sequence)
    {
        if (!reader.TryGet([StoreKeys.EventHead], sequence, out var head))
            return 0;
        var end = BinaryPrimitives.ReadUInt64LittleEndian(head.Value);
        return (long)(reader.TryGet(TrimFloor.Key, sequence, out var floor) ? end - TrimFloor.Read(floor.Value).Number : end);
    }

    /// <summary>Type of the event that records a redaction.</summary>
    internal static ReadOnlySpan<byte> RedactedType => "$redacted"u8;

    internal override bool Owns(byte storeFamily) => storeFamily is >= StoreKeys.Event and <= StoreKeys.Consumer;

    internal override bool IsDerived(byte storeFamily) => storeFamily == StoreKeys.EventStream;

    internal override string Describe(ReadOnlySpan<byte> storeKey) => storeKey[0] switch
    {
        StoreKeys.Event when storeKey.Length == 9 => new EventNumber(BinaryPrimitives.ReadUInt64BigEndian(storeKey[1..])).ToString(),
        StoreKeys.EventStream => $"type {Utf8.GetTrustedString(storeKey[1..])}",
        StoreKeys.Consumer => $"consumer {Utf8.GetTrustedString(storeKey[1..])}",
        StoreKeys.Event => "floor",
        _ => "head",
    };

    // The head is in no list of changes: it follows from the events.
    internal override Value? ValueOf(ReadOnlySpan<byte> storeKey, scoped in VersionView version) => storeKey[0] switch
    {
        StoreKeys.Event when storeKey.Length == TrimFloor.Key.Length => (long)TrimFloor.Read(version.Value).Number,
        StoreKeys.Event when StoredEvent.TryRead(version.Value, out var stored) =>
            stored.IsRedacted ? default(Value?) : Value.Decode(stored.Payload),
        StoreKeys.Consumer => (long)BinaryPrimitives.ReadUInt64LittleEndian(version.Value),
        _ => default(Value?),
    };

    internal override string Describe(in Operation operation, RunId run) => (OperationCode)operation.Code switch
    {
        OperationCode.EventTrim => "floor",
        OperationCode.EventConsumerCommit => $"consumer {Utf8.GetTrustedString(operation.Key)}",
        _ when operation.Body.Length >= sizeof(ulong) => new EventNumber(BinaryPrimitives.ReadUInt64LittleEndian(operation.Body)).ToString(),
        _ => "",
    };

    // ---- the way of a commit --------------------------------------------------------------------------------------------------

    internal override CairnException? Resolve(in Operation operation, Span<byte> holes, RunState run, Catalogue catalogue, long time)
    {
        switch ((OperationCode)operation.Code)
        {
            case OperationCode.EventAppend or OperationCode.EventRedact when IsCarried(operation):
                return CheckPlace(holes, run) ?? CheckCauses(holes, run);
            case OperationCode.EventAppend:
                return CheckCauses(holes, run);
            case OperationCode.EventRedact:
                Span<byte> key = stackalloc byte[9];
                run.Store.HoldContent(StoreKeys.Of(key, StoreKeys.Event, BinaryPrimitives.ReadUInt64LittleEndian(operation.FullBody)));
                return null;
            case OperationCode.EventConsumerCommit when holes[8] == 0:
                return CheckMonotone(operation, holes, run);
            case OperationCode.EventTrim:
                IndexedEvents.HoldTrimmed(operation.FullBody, run);
                return EventTrim.Resolve(operation.FullBody, run);
            default:
                return null;
        }
    }

    internal override ReadOnlySpan<byte> ValueRead(in Operation operation, Span<byte> buffer) =>
        operation.Code == (byte)OperationCode.EventRedact && !IsCarried(operation)
            ? StoreKeys.Of(buffer, StoreKeys.Event, BinaryPrimitives.ReadUInt64LittleEndian(operation.FullBody))
            : default;

    /// <summary>An event that comes from elsewhere and keeps its time (E6).</summary>
    internal static bool IsCarried(in Operation operation) =>
        operation.Code == (byte)OperationCode.EventAppend ? operation.HasExpiry : !operation.Key.IsEmpty;

    // E6. The hole of the previous hash says behind which event the first one of a commit belongs.
    private static CairnException? CheckPlace(ReadOnlySpan<byte> body, RunState run)
    {
        if (BinaryPrimitives.ReadUInt64LittleEndian(body) != 0 || new Hash256(body.Slice(PreviousOffset, Hash256.Size)) == run.EventHead)
            return null;
        return new CairnException(
            ErrorCode.ConstraintViolation,
            $"An event cannot be carried to place #{run.NextEvent} of run {run.Id}: the events before it are other ones.");
    }

    // E5. Until the number is known its hole holds the event's place among the appends of its transaction.
    private static CairnException? CheckCauses(ReadOnlySpan<byte> body, RunState run)
    {
        var number = run.NextEvent + BinaryPrimitives.ReadUInt64LittleEndian(body);
        var count = BinaryPrimitives.ReadUInt16LittleEndian(body[CauseCountOffset..]);
        for (var i = 0; i < count; i++)
        {
            var cause = BinaryPrimitives.ReadUInt64LittleEndian(body[(CausesOffset + 8 * i)..]);
            if (cause >= number)
                return new CairnException(ErrorCode.InvalidArgument, $"Event #{cause} cannot be a cause of event #{number}: a cause is "
                    + $"an earlier event of the same run.");
        }

        return null;
    }

    private static CairnException? CheckMonotone(in Operation operation, ReadOnlySpan<byte> body, RunState run)
    {
        Span<byte> buffer = stackalloc byte[1 + Limits.NameBytesMax];
        using var reader = run.Store.Read();
        if (!reader.TryGetNewest(StoreKeys.Of(buffer, StoreKeys.Consumer, operation.Key), out var version) || version.IsTombstone)
            return null;
        return CheckMonotone(BinaryPrimitives.ReadUInt64LittleEndian(version.Value), BinaryPrimitives.ReadUInt64LittleEndian(body));
    }

    /// <summary>Null, or why a consumer may not go to a position (EV-12).</summary>
    internal static CairnException? CheckMonotone(ulong current, ulong position) => position >= current
        ? null
        : new CairnException(ErrorCode.ConstraintViolation, $"The consumer is at #{current} and would go back to #{position}. Use "
            + $"Consumers.Reset to read again.");

    internal override void Fill(in Operation operation, Span<byte> holes, in ApplyContext context)
    {
        if (operation.Code != (byte)OperationCode.EventAppend && !(operation.Code == (byte)OperationCode.EventRedact
            && IsCarried(operation)))
            return;
        var number = context.Run.NextEvent;
        var hash = holes.Slice(HashOffset, Hash256.Size);    // E3: the payload hash, until here
        BinaryPrimitives.WriteUInt64LittleEndian(holes, number);
        context.Run.EventHead.CopyTo(holes[PreviousOffset..]);
        EventHash.OfEvent(number, operation.Key, TimeOf(operation, context.Time), hash, holes.Slice(PreviousOffset, Hash256.Size), hash);
    }

    internal override void EachKey(in Operation operation, RunState run, Catalogue catalogue, StoreKeyVisitor visit)
    {
        Span<byte> key = stackalloc byte[1 + Limits.NameBytesMax];
        switch ((OperationCode)operation.Code)
        {
            case OperationCode.EventConsumerCommit:
                visit(run.Store, StoreKeys.Of(key, StoreKeys.Consumer, operation.Key));
                break;
            case OperationCode.EventAppend or OperationCode.EventRedact when operation.Code == (byte)OperationCode.EventAppend
                || IsCarried(operation):
                visit(run.Store, StoreKeys.Of(key, StoreKeys.EventStream, operation.Key));
                visit(run.Store, [StoreKeys.EventHead]);
                break;
            case OperationCode.EventTrim:
                EventTrim.EachKey(operation.FullBody, run, visit);
                break;
            default:
                var number = BinaryPrimitives.ReadUInt64LittleEndian(operation.FullBody);
                visit(run.Store, StoreKeys.Of(key, StoreKeys.Event, number));
                if (run.Indexes is { IsEmpty: false })
                    IndexedEvents.CountRedaction(number, run, visit);
                break;
        }
    }

    internal override bool HasItems => true;

    internal override WriteCount CountIndexWrites(in Operation operation, RunState run) => IndexedEvents.CountWrites(operation, run);

    private static long TimeOf(in Operation operation, long commitTime) => operation.Code == (byte)OperationCode.EventRedact
        ? BinaryPrimitives.ReadInt64LittleEndian(operation.FullBody[^(8 + Hash256.Size)..])
        : operation.HasExpiry ? operation.Expiry : commitTime;

    internal override ReadOnlySpan<byte> Changed(in Operation operation, Span<byte> buffer) =>
        operation.Code == (byte)OperationCode.EventRedact && !IsCarried(operation)
            ? StoreKeys.Of(buffer, StoreKeys.Event, BinaryPrimitives.ReadUInt64LittleEndian(operation.FullBody))
            : default;

    // A trim takes many at once, and they are not named.
    internal override void TellChange(in Operation operation, ulong sequence, ThingChanges changes)
    {
        switch ((OperationCode)operation.Code)
        {
            case OperationCode.EventAppend or OperationCode.EventRedact:
                Span<byte> key = stackalloc byte[EventReader.KeyBytes];
                changes.Add(sequence, StoreKeys.Of(key, StoreKeys.Event, BinaryPrimitives.ReadUInt64LittleEndian(operation.Body)));
                break;
            case OperationCode.EventTrim:
                changes.BeginAgain(sequence);
                break;
        }
    }

    internal override bool Apply(in Operation operation, in ApplyContext context)
    {
        switch ((OperationCode)operation.Code)
        {
            case OperationCode.EventAppend:
            case OperationCode.EventRedact when IsCarried(operation):
                return ApplyAppend(operation, context);
            case OperationCode.EventConsumerCommit:
                if (operation.Key.Length is 0 or > Limits.NameBytesMax || operation.FullBody.Length != PositionBytes)
                    return false;
                Span<byte> consumer = stackalloc byte[1 + Limits.NameBytesMax];
                context.Put(StoreKeys.Of(consumer, StoreKeys.Consumer, operation.Key), operation.FullBody[..8]);
                return true;
            case OperationCode.EventRedact:
                return operation.FullBody.Length == RedactBytes && ApplyRedact(operation, context);
            case OperationCode.EventTrim:
                EndTail(context.Run);
                return operation.Key.IsEmpty && !operation.HasExpiry && EventTrim.Apply(operation.FullBody, context);
            default:
                return false;
        }
    }

    private static bool ApplyAppend(in Operation operation, in ApplyContext context)
    {
        if (!StoredEvent.TryRead(operation, out var stored) || (stored.IsRedacted && operation.HasExpiry))
            return false;
        var time = TimeOf(operation, context.Time);
        if (time > context.Time || time < 0)
            return false;
        var run = context.Run;
        if (stored.Number != run.NextEvent || stored.Previous != run.EventHead)
            return false;
        Span<byte> key = stackalloc byte[9];
        context.PutNew(StoreKeys.Of(key, StoreKeys.Event, stored.Number), operation.Bytes);
        var tail = run.Tail;
        if (tail is null || !tail.TryAdd(operation.Key, stored.Number, time, context.Sequence, context.Time))
        {
            ApplyStream(operation.Key, stored.Number, time, context);
            tail?.Begin(operation.Key);
        }

        run.NextEvent = stored.Number + 1;
        run.EventHead = stored.Hash;
        if (tail is { HasHead: true })
        {
            tail.Head = (context.Sequence, context.Time);
        }
        else
        {
            PutHead(context);
            if (tail is not null)
                tail.HasHead = true;
        }

        IndexedEvents.Add(context, stored, time);
        return true;
    }

    /// <summary>Writes the head as the run's numbers have it.</summary>
    internal static void PutHead(in ApplyContext context) =>
        context.Put([StoreKeys.EventHead], WriteHead(context.Run, stackalloc byte[HeadBytes]));

    private static Span<byte> WriteHead(RunState run, Span<byte> head)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(head, run.NextEvent);
        run.EventHead.CopyTo(head[8..]);
        return head;
    }

    /// <summary>In a load: writes what appends have left to its end.</summary>
    internal static void EndTail(RunState run)
    {
        if (run.Tail is not { } tail)
            return;
        Span<byte> buffer = stackalloc byte[1 + Limits.NameBytesMax];
        Span<byte> value = stackalloc byte[EventStream.Size];
        foreach (ref readonly var tally in tail.Types)
        {
            if (tally.Count == 0)
                continue;
            var key = StoreKeys.Of(buffer, StoreKeys.EventStream, tally.Type);
            using (var reader = run.Store.Read())
            {
                Invariant.Check(reader.TryGetForApply(key, out var version), "the first append of a type has written its counts");
                var stream = EventStream.Read(version.Value);
                (stream with { Count = stream.Count + tally.Count, Last = tally.Last, LastTime = tally.EventTime }).Write(value);
            }

            run.Store.Put(key, value, tally.Sequence, tally.Time, expiry: 0);
        }

        if (tail.Head.Sequence > 0)
            run.Store.Put([StoreKeys.EventHead], WriteHead(run, stackalloc byte[HeadBytes]), tail.Head.Sequence, tail.Head.Time, expiry: 0);
        tail.Clear();
    }

    private static void ApplyStream(ReadOnlySpan<byte> type, ulong number, long time, in ApplyContext context)
    {
        Span<byte> buffer = stackalloc byte[1 + Limits.NameBytesMax];
        var key = StoreKeys.Of(buffer, StoreKeys.EventStream, type);
        Span<byte> value = stackalloc byte[EventStream.Size];
        using (var reader = context.Read())
        {
            if (reader.TryGetForApply(key, out var version) && !version.IsTombstone)
                EventStream.Extend(version.Value, number, time, value);
            else
                new EventStream(1, number, time, number, time).Write(value);
        }

        context.Put(key, value);
    }

    // E4. The redacted form has the same fields up to the causes; then the time, which the version no longer tells, and the inner hash.
    private static bool ApplyRedact(in Operation operation, in ApplyContext context)
    {
        Span<byte> key = stackalloc byte[9];
        var storeKey = StoreKeys.Of(key, StoreKeys.Event, BinaryPrimitives.ReadUInt64LittleEndian(operation.FullBody));
        byte[] redacted;
        int length;
        (List<byte[]> Gone, List<byte[]> Come)? items;
        using (var reader = context.Read())
        {
            if (!reader.TryGetForApply(storeKey, out var version) || !StoredEvent.TryRead(version.Value, out var stored))
                return false;
            var kept = CausesOffset + stored.Causes.Length;
            length = Operation.Length(stored.Type.Length, kept + 8 + Hash256.Size);
            redacted = ArrayPool<byte>.Shared.Rent(length);
            var body = Operation.Write(redacted, (byte)OperationCode.EventRedact, 0, stored.Type, kept + 8 + Hash256.Size);
            stored.Body[..kept].CopyTo(body);
            BinaryPrimitives.WriteInt64LittleEndian(body[kept..], stored.TimeIn(version.Time));
            operation.FullBody[8..].CopyTo(body[(kept + 8)..]);
            items = IndexedEvents.ItemsOfRedaction(context.Run, stored, stored.TimeIn(version.Time));
        }

        context.Put(storeKey, redacted.AsSpan(0, length));
        ArrayPool<byte>.Shared.Return(redacted);
        if (items is { } changed)
            IndexMaintenance.Change(context, changed);
        return true;
    }

    // ---- from handles to operations -------------------------------------------------------------------------------------------

    /// <summary>Length of a payload's encoding, after a check of all that a payload must be.</summary>
    internal static int PayloadLength(in Value payload, Limits limits)
    {
        if (payload.Kind != ValueKind.Object)
            throw new CairnException(ErrorCode.WrongType, $"The payload of an event is an Object; this is {payload.Kind}. Wrap it: "
                + $"{{\"value\": ...}}.");
        return ValueCodec.EncodedLength(payload, limits, FloatRule.Finite);
    }

    internal static int BodyLength(int causes, int payloadBytes)
    {
        if (causes > Limits.EventCausesMax)
            throw new LimitException(nameof(Limits.EventCausesMax), Limits.EventCausesMax, causes, "causes");
        return CausesOffset + 8 * causes + EventHash.SaltSize + payloadBytes;
    }

    /// <summary>The canonical payload in the body of an Append.</summary>
    internal static ReadOnlySpan<byte> PayloadIn(ReadOnlySpan<byte> body) =>
        body[(CausesOffset + 8 * BinaryPrimitives.ReadUInt16LittleEndian(body[CauseCountOffset..]) + EventHash.SaltSize)..];

    /// <summary>Writes the body of an Append, with its payload hash in place of the hash (E3).</summary>
    /// <param name="body">Exactly <see cref="BodyLength"/> bytes.</param>
    /// <param name="index">How many events the transaction appends to the run before this one.</param>
    internal static void WriteBody(
        Span<byte> body, ulong index, ReadOnlySpan<EventNumber> causes, in Value payload, RandomSource random)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(body, index);
        body.Slice(PreviousOffset, Hash256.Size).Clear();
        BinaryPrimitives.WriteUInt16LittleEndian(body[CauseCountOffset..], (ushort)causes.Length);
        var rest = body[CausesOffset..];
        foreach (var cause in causes)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(rest, cause.Value);
            rest = rest[8..];
        }

        random.Fill(rest[..EventHash.SaltSize]);
        ValueCodec.Encode(payload, rest[EventHash.SaltSize..]);
        EventHash.OfPayload(rest, body.Slice(HashOffset, Hash256.Size));
    }

    internal static void AddAppend(
        Batch batch, ReadOnlySpan<byte> type, ulong index, ReadOnlySpan<EventNumber> causes, in Value payload, int payloadBytes,
            RandomSource random)
    {
        var body = batch.Add(OperationCode.EventAppend, 0, type, BodyLength(causes.Length, payloadBytes), WritesPerAppend);
        WriteBody(body, index, causes, payload, random);
        batch.NeedsResolve |= causes.Length > 0;
        batch.KnowsEventNumbers |= causes.Length > 0;
    }

    /// <summary>Adds an event that keeps its time (E6).</summary>
    /// <param name="previous">Hash of the event that it belongs behind; looked at when it is the first of its commit.</param>
    /// <param name="rest">Salt and canonical payload; null of a redacted one.</param>
    internal static void AddCarried(
        Batch batch, ReadOnlySpan<byte> type, ulong index, long time, Hash256 previous, ReadOnlySpan<EventNumber> causes, byte[]? rest,
        Hash256 payloadHash)
    {
        var head = CausesOffset + 8 * causes.Length;
        var body = rest is null
            ? batch.Add(OperationCode.EventRedact, 0, type, head + 8 + Hash256.Size, WritesPerAppend)
            : batch.Add(OperationCode.EventAppend, Operation.HasExpiryFlag, type, 8 + head + rest.Length, WritesPerAppend);
        if (rest is not null)
        {
            BinaryPrimitives.WriteInt64LittleEndian(body, time);
            body = body[8..];
            rest.CopyTo(body[head..]);
        }
        else
        {
            BinaryPrimitives.WriteInt64LittleEndian(body[head..], time);
            payloadHash.CopyTo(body[(head + 8)..]);
        }

        BinaryPrimitives.WriteUInt64LittleEndian(body, index);
        previous.CopyTo(body[PreviousOffset..]);
        payloadHash.CopyTo(body[HashOffset..]);
        BinaryPrimitives.WriteUInt16LittleEndian(body[CauseCountOffset..], (ushort)causes.Length);
        for (var i = 0; i < causes.Length; i++)
            BinaryPrimitives.WriteUInt64LittleEndian(body[(CausesOffset + 8 * i)..], causes[i].Value);
        batch.NeedsResolve = true;
        batch.KnowsEventNumbers = true;
    }

    internal static void AddConsumerCommit(Batch batch, ReadOnlySpan<byte> consumer, ulong position, bool isForced)
    {
        WritePosition(batch.Add(OperationCode.EventConsumerCommit, 0, consumer, PositionBytes, 1), position, isForced);
        batch.NeedsResolve |= !isForced;
    }

    /// <summary>Body of a ConsumerCommit.</summary>
    internal static byte[] Position(ulong position, bool isForced)
    {
        var body = new byte[PositionBytes];
        WritePosition(body, position, isForced);
        return body;
    }

    private static void WritePosition(Span<byte> body, ulong position, bool isForced)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(body, position);
        body[8] = isForced ? (byte)1 : (byte)0;
    }

    internal static void AddRedact(Batch batch, ulong number, Hash256 payloadHash)
    {
        WriteRedact(batch.Add(OperationCode.EventRedact, 0, default, RedactBytes, 1), number, payloadHash);
        batch.AddWriteBytes(RedactedBytesMax);
        batch.NeedsResolve = true;
    }

    /// <summary>Body of a Redact.</summary>
    internal static byte[] Redaction(ulong number, Hash256 payloadHash)
    {
        var body = new byte[RedactBytes];
        WriteRedact(body, number, payloadHash);
        return body;
    }

    private static void WriteRedact(Span<byte> body, ulong number, Hash256 payloadHash)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(body, number);
        payloadHash.CopyTo(body[8..]);
    }

    internal override void Encode(Batch batch, PendingWrite write)
    {
        if (write.Expiry != 0 || (write.Code == OperationCode.EventRedact && write.OperationKey.Length > 0))
        {
            EncodeCarried(batch, write);
            return;
        }

        var writes = write.Code == OperationCode.EventAppend ? WritesPerAppend : 1;
        write.Value.CopyTo(batch.Add(write.Code, 0, write.OperationKey, write.Value.Length, writes));
        if (write.Code == OperationCode.EventRedact)
            batch.AddWriteBytes(RedactedBytesMax);
        batch.KnowsEventNumbers |= write.Code == OperationCode.EventAppend
            && BinaryPrimitives.ReadUInt16LittleEndian(write.Value.AsSpan(CauseCountOffset)) > 0;
        batch.NeedsResolve |= write.Code switch
        {
            OperationCode.EventAppend => BinaryPrimitives.ReadUInt16LittleEndian(write.Value.AsSpan(CauseCountOffset)) > 0,
            OperationCode.EventConsumerCommit => write.Value[8] == 0,
            OperationCode.EventRedact => true,
            _ => false,
        };
    }

    // E6. The time of an Append is the write's expiry; of an event that was redacted elsewhere it stands in the body.
    private static void EncodeCarried(Batch batch, PendingWrite write)
    {
        var lead = write.Expiry == 0 ? 0 : sizeof(long);
        var flags = write.Expiry == 0 ? (byte)0 : Operation.HasExpiryFlag;
        var body = batch.Add(write.Code, flags, write.OperationKey, lead + write.Value.Length, WritesPerAppend);
        if (lead > 0)
            BinaryPrimitives.WriteInt64LittleEndian(body, write.Expiry);
        write.Value.CopyTo(body[lead..]);
        batch.NeedsResolve = true;
        batch.KnowsEventNumbers = true;
    }

    /// <summary>The body of an event that keeps its time (E6), behind the time of one that is not redacted.</summary>
    /// <param name="index">How many events the transaction carries to the run before this one.</param>
    /// <param name="previous">Hash of the event that it belongs behind; looked at when it is the first of its commit.</param>
    /// <param name="rest">Salt and canonical payload; of a redacted one time and payload hash.</param>
    internal static byte[] CarriedBody(
        ulong index, Hash256 previous, Hash256 payloadHash, ReadOnlySpan<ulong> causes, ReadOnlySpan<byte> rest)
    {
        var body = new byte[CausesOffset + 8 * causes.Length + rest.Length];
        BinaryPrimitives.WriteUInt64LittleEndian(body, index);
        previous.CopyTo(body.AsSpan(PreviousOffset));
        payloadHash.CopyTo(body.AsSpan(HashOffset));
        BinaryPrimitives.WriteUInt16LittleEndian(body.AsSpan(CauseCountOffset), (ushort)causes.Length);
        for (var i = 0; i < causes.Length; i++)
            BinaryPrimitives.WriteUInt64LittleEndian(body.AsSpan(CausesOffset + 8 * i), causes[i]);
        rest.CopyTo(body.AsSpan(CausesOffset + 8 * causes.Length));
        return body;
    }

    /// <summary>What the first operation of a committed batch has become.</summary>
    internal static EventReceipt ReadReceipt(Batch batch, Placed placed)
    {
        var rest = batch.OwnOperationsOf(batch.Parts[0]);
        Operation.TryTake(ref rest, out var operation, out _);
        return ReadReceipt(operation, placed.Sequence);
    }

    /// <summary>The same of all appends in a committed batch.</summary>
    internal static List<EventReceipt> ReadReceipts(Batch batch, Placed placed)
    {
        var receipts = new List<EventReceipt>(batch.Operations);
        var rest = batch.OwnOperationsOf(batch.Parts[0]);
        while (Operation.TryTake(ref rest, out var operation, out _))
        {
            if (operation.Code == (byte)OperationCode.EventAppend)
                receipts.Add(ReadReceipt(operation, placed.Sequence));
        }

        return receipts;
    }

    internal static EventReceipt ReadReceipt(in Operation operation, ulong sequence) => new(
        BinaryPrimitives.ReadUInt64LittleEndian(operation.Body),
        new Hash256(operation.Body.Slice(HashOffset, Hash256.Size)),
        new Sequence(sequence));
}

/// <summary>What a transaction's append tells after the commit.</summary>
internal sealed class AppendReceipt : Receipt
{
    private EventReceipt? _committed;

    internal bool IsCommitted => _committed is not null;

    /// <exception cref="InvalidOperationException">Not committed.</exception>
    internal EventReceipt Value => _committed
        ?? throw new InvalidOperationException("An event appended in a transaction has its number, hash and sequence once the "
            + "transaction has committed.");

    internal override void Committed(in Operation operation, ulong sequence, long time) =>
        _committed = EventOperations.ReadReceipt(operation, sequence);
}

/// <summary>An event as the store keeps it: the Append operation as it was logged, or the same with the code of Redact and another end.
/// Layout of the operation's body, little-endian: <code>
///  0       u64  number
///  8       32   previous hash
/// 40       32   hash
/// 72       u16  causes          C
/// 74       8C   causes          u64 each
/// 74 + 8C  16   salt            redacted: i64 commit time
/// 90 + 8C  ..   payload         redacted (at 82 + 8C): 32 bytes of payload hash </code></summary>
internal readonly ref struct StoredEvent
{
    private readonly ReadOnlySpan<byte> _rest;

    private readonly long _ownTime;

    private StoredEvent(ReadOnlySpan<byte> type, ReadOnlySpan<byte> body, int causes, bool isRedacted, long ownTime)
    {
        _ownTime = ownTime;
        Type = type;
        Body = body;
        IsRedacted = isRedacted;
        Causes = body.Slice(EventOperations.CausesOffset, 8 * causes);
        _rest = body[(EventOperations.CausesOffset + 8 * causes)..];
    }

    internal ReadOnlySpan<byte> Type { get; }

    internal ReadOnlySpan<byte> Body { get; }

    internal bool IsRedacted { get; }

    internal ulong Number => BinaryPrimitives.ReadUInt64LittleEndian(Body);

    internal Hash256 Previous => new(Body.Slice(EventOperations.PreviousOffset, Hash256.Size));

    internal Hash256 Hash => new(Body.Slice(EventOperations.HashOffset, Hash256.Size));

    /// <summary>8 bytes each.</summary>
    internal ReadOnlySpan<byte> Causes { get; }

    internal ReadOnlySpan<byte> Salt => _rest[..EventHash.SaltSize];

    /// <summary>Canonical.</summary>
    internal ReadOnlySpan<byte> Payload => _rest[EventHash.SaltSize..];

    /// <summary>Commit time; only of a redacted one. Before that the version has it.</summary>
    internal long Time => BinaryPrimitives.ReadInt64LittleEndian(_rest);

    /// <summary>When it happened.</summary>
    /// <param name="versionTime">Of the version that holds it.</param>
    internal long TimeIn(long versionTime) => IsRedacted ? Time : _ownTime != 0 ? _ownTime : versionTime;

    internal Hash256 PayloadHash
    {
        get
        {
            if (IsRedacted)
                return new Hash256(_rest.Slice(8, Hash256.Size));
            Span<byte> hash = stackalloc byte[Hash256.Size];
            EventHash.OfPayload(_rest, hash);
            return new Hash256(hash);
        }
    }

    /// <summary>Reads what the store keeps. False when the bytes are no event.</summary>
    internal static bool TryRead(ReadOnlySpan<byte> value, out StoredEvent stored)
    {
        if (value.Length < Operation.FixedBytes)
        {
            stored = default;
            return false;
        }

        return TryRead(new Operation(value, out var bytes), out stored) && bytes == value.Length;
    }

    internal static bool TryRead(scoped in Operation operation, out StoredEvent stored) =>
        TryRead(operation.Key, operation.Body, operation.Code == (byte)OperationCode.EventRedact, out stored, operation.Expiry);

    internal static bool TryRead(
        ReadOnlySpan<byte> type, ReadOnlySpan<byte> body, bool isRedacted, out StoredEvent stored, long ownTime = 0)
    {
        stored = default;
        if (type.Length is 0 or > Limits.NameBytesMax || body.Length < EventOperations.CausesOffset)
            return false;
        var causes = BinaryPrimitives.ReadUInt16LittleEndian(body[EventOperations.CauseCountOffset..]);
        var rest = body.Length - EventOperations.CausesOffset - 8 * causes;
        if (isRedacted ? rest != 8 + Hash256.Size : rest <= EventHash.SaltSize)
            return false;
        stored = new StoredEvent(type, body, causes, isRedacted, ownTime);
        return true;
    }
}

/// <summary>What is known of the events of one type, without looking at them. Layout, little-endian: <code>
///  0  u64  count
///  8  u64  first number
/// 16  i64  first time
/// 24  u64  last number
/// 32  i64  last time </code></summary>
internal readonly record struct EventStream(ulong Count, ulong First, long FirstTime, ulong Last, long LastTime)
{
    internal const int Size = 40;

    internal static EventStream Read(ReadOnlySpan<byte> source) => new(
        BinaryPrimitives.ReadUInt64LittleEndian(source),
        BinaryPrimitives.ReadUInt64LittleEndian(source[8..]),
        BinaryPrimitives.ReadInt64LittleEndian(source[16..]),
        BinaryPrimitives.ReadUInt64LittleEndian(source[24..]),
        BinaryPrimitives.ReadInt64LittleEndian(source[32..]));

    internal void Write(Span<byte> target)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(target, Count);
        BinaryPrimitives.WriteUInt64LittleEndian(target[8..], First);
        BinaryPrimitives.WriteInt64LittleEndian(target[16..], FirstTime);
        BinaryPrimitives.WriteUInt64LittleEndian(target[24..], Last);
        BinaryPrimitives.WriteInt64LittleEndian(target[32..], LastTime);
    }

    /// <summary>The same with one more event behind it.</summary>
    internal EventStream With(ulong number, long time) => Count == 0
        ? new EventStream(1, number, time, number, time)
        : this with { Count = Count + 1, Last = number, LastTime = time };

    /// <summary>Writes what <see cref="With"/> gives. Word by word: bytes that were just put together and are copied as wider
    /// ones wait for the stores behind them, and every append comes through here.</summary>
    internal static void Extend(ReadOnlySpan<byte> source, ulong number, long time, Span<byte> target)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(target, BinaryPrimitives.ReadUInt64LittleEndian(source) + 1);
        BinaryPrimitives.WriteUInt64LittleEndian(target[8..], BinaryPrimitives.ReadUInt64LittleEndian(source[8..]));
        BinaryPrimitives.WriteUInt64LittleEndian(target[16..], BinaryPrimitives.ReadUInt64LittleEndian(source[16..]));
        BinaryPrimitives.WriteUInt64LittleEndian(target[24..], number);
        BinaryPrimitives.WriteInt64LittleEndian(target[32..], time);
    }
}
