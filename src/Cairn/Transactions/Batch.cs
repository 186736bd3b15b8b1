using System.Buffers.Binary;
using Cairn.Log;
using Cairn.Store;

namespace Cairn.Transactions;

/// <summary>
/// The encoded operations of one transaction, built in place in the record that will be logged (docs/format.md, "Transaction
/// payload"). Parts are added in ascending order of run id. Reused by the thread that owns it.
/// </summary>
internal sealed class Batch
{
    private const int PayloadHeader = 16;
    private const int PartHeader = 32;

    /// <summary>The record itself, its name, parent, base, two places in the order of statuses, the result, the count, the marks of
    /// triggers and of indexes, and one more.</summary>
    private const int RecordWrites = 11;

    /// <summary>Names of the record's fields, its times and headers.</summary>
    private const int RecordEnvelopeBytes = 256;

    /// <summary>The event, the stream of its type, the head.</summary>
    private const int WritesPerInput = 3;

    /// <summary>The longest key there is a tag's: family, name, zero, id; and what a version carries.</summary>
    private const int RecordKeyBytesMax = 64 + Limits.NameBytesMax + 2 + RunId.Size;

    [ThreadStatic]
    private static Batch? _mine;

    [ThreadStatic]
    private static Batch? _shell;

    private OperationCode _first;
    private byte[]? _told;
    private Part[] _parts = new Part[1];

    private Batch(PendingRecord record) => Record = record;

    internal PendingRecord Record { get; private set; }

    internal int PartCount { get; private set; }

    internal ReadOnlySpan<Part> Parts => _parts.AsSpan(0, PartCount);

    internal int Operations { get; private set; }

    /// <summary>Some operation's numbers depend on the newest committed state.</summary>
    internal bool NeedsResolve { get; set; }

    /// <summary>Changes the index of runs; its lock is taken too, last.</summary>
    internal bool TouchesCatalogue { get; set; }

    /// <summary>Only what closed runs still allow (RUN-7).</summary>
    internal bool IsAllowedWhenClosed { get; set; }

    /// <summary>May use the reserve of a full disk.</summary>
    internal bool OnlyDeletes { get; set; }

    /// <summary>The engine's own care of what is old: no sign of life of whoever works on the run, so that an orphaned one stays
    /// one.</summary>
    internal bool IsUpkeep { get; set; }

    /// <summary>Numbers that the new events will have were looked at or named, so nothing may come before them.</summary>
    internal bool KnowsEventNumbers { get; set; }

    /// <summary>It carries the inputs that wait: they may have caused it. False for what the engine does by itself.</summary>
    internal bool CarriesInputs { get; set; }

    /// <summary>There to carry inputs, as many as fit, and nothing else.</summary>
    internal bool IsForInputs { get; set; }

    /// <summary>Called under the run's lock with the time of the decision: writes the operations of the one part anew, as the newest
    /// state wants them. False: there is nothing to write.</summary>
    internal Func<long, bool>? Decide { get; set; }

    /// <summary>This thread's own batch, emptied, with a record that only this thread waits for.</summary>
    internal static Batch RentMine(ReadOnlySpan<byte> attributes = default)
    {
        var batch = _mine ?? new Batch(new PendingRecord());
        _mine = null;
        batch.Record.Reset();
        batch.Begin(attributes);
        return batch;
    }

    /// <summary>Gives the batch back, once its commit is visible or was refused.</summary>
    internal static void ReturnMine(Batch batch) => _mine = batch;

    /// <summary>A batch whose record goes back to a pool when the log has written it; for commits that nobody blocks on.</summary>
    internal static Batch RentPooled(ReadOnlySpan<byte> attributes = default)
    {
        var batch = _shell;
        _shell = null;
        if (batch is null)
            batch = new Batch(PendingRecordPool.Rent());
        else
            batch.Record = PendingRecordPool.Rent();
        batch.Begin(attributes);
        return batch;
    }

    /// <summary>Gives a pooled batch back once it was placed. Its record is the log's by then, and comes back by itself; one that got no
    /// slot goes back now.</summary>
    internal static void ReturnPooled(Batch batch, bool hasSlot)
    {
        if (!hasSlot)
            PendingRecordPool.Return(batch.Record);
        _shell = batch;
    }

    /// <summary>A batch for a commit that is awaited and read once more afterwards.</summary>
    internal static Batch RentOwned(ReadOnlySpan<byte> attributes = default)
    {
        var batch = new Batch(new PendingRecord());
        batch.Begin(attributes);
        return batch;
    }

    private void Begin(ReadOnlySpan<byte> attributes)
    {
        PartCount = 0;
        Operations = 0;
        NeedsResolve = false;
        TouchesCatalogue = false;
        IsAllowedWhenClosed = false;
        OnlyDeletes = false;
        IsUpkeep = false;
        KnowsEventNumbers = false;
        CarriesInputs = true;
        IsForInputs = false;
        _told = null;
        Decide = null;
        var header = Record.Extend(PayloadHeader + attributes.Length);
        header[..PayloadHeader].Clear();
        BinaryPrimitives.WriteInt32LittleEndian(header[8..], attributes.Length);
        attributes.CopyTo(header[PayloadHeader..]);
    }

    internal void BeginPart(RunState run)
    {
        Invariant.Check(PartCount == 0 || _parts[PartCount - 1].Run.Id < run.Id, "parts of a record ascend by run id");
        if (PartCount == _parts.Length)
            Array.Resize(ref _parts, 2 * PartCount);
        _parts[PartCount++] = new Part { Run = run, Offset = Record.PayloadLength };
        var header = Record.Extend(PartHeader);
        run.Id.Write(header);
        header[RunId.Size..].Clear();
    }

    /// <summary>Begins the one part once more, without operations.</summary>
    internal void BeginAgain()
    {
        Invariant.Check(PartCount == 1 && !TouchesCatalogue, "a decision is about one run");
        var run = _parts[0].Run;
        Record.Truncate(_parts[0].Offset);
        PartCount = 0;
        Operations = 0;
        NeedsResolve = false;
        BeginPart(run);
    }

    /// <summary>Adds an operation to the current part and returns its body to fill. The span is good until the next call.</summary>
    /// <param name="writes">Store mutations it may cause at most, for reserving memory.</param>
    /// <param name="moreBytes">Bytes of store keys beyond the operation's own key, in all those writes together.</param>
    internal Span<byte> Add(OperationCode code, byte flags, ReadOnlySpan<byte> key, int bodyBytes, int writes, long moreBytes = 0)
    {
        var length = Operation.Length(key.Length, bodyBytes);
        var target = Record.Extend(length);
        ref var part = ref _parts[PartCount - 1];
        if (Operations == 0)
            _first = code;
        part.Operations++;
        part.Writes += writes;
        part.WriteBytes += writes * (key.Length + 64L) + bodyBytes + moreBytes;
        Operations++;
        return Operation.Write(target, (byte)code, flags, key, bodyBytes);
    }

    /// <summary>What its commit is timed as.</summary>
    internal OperationClass Class => ((byte)_first >> 4) switch
    {
        1 => OperationClass.Put,
        2 => OperationClass.Document,
        3 => OperationClass.Append,
        4 => OperationClass.Transition,
        5 => OperationClass.Trace,
        8 => OperationClass.Graph,
        6 or 9 => OperationClass.Run,
        _ => OperationClass.Transaction,
    };

    /// <summary>Adds to the memory that is reserved for the current part: for an operation that writes more than it carries.</summary>
    internal void AddWriteBytes(long bytes) => _parts[PartCount - 1].WriteBytes += bytes;

    /// <summary>Tells what a part will write beyond what its operations were added with.</summary>
    internal void SetResolved(int index, WriteCount writes) => _parts[index].Resolved = writes;

    /// <summary>Adds to the writes in the index of runs that the current part may come to.</summary>
    internal void AddRecordWrites(int writes) => _parts[PartCount - 1].RecordWrites += writes;

    /// <summary>Adds an operation that also changes a place of the current part's run in the index of runs.</summary>
    internal Span<byte> AddIndexed(OperationCode code, ReadOnlySpan<byte> key, int bodyBytes, int writes)
    {
        TouchesCatalogue = true;
        AddRecordWrites(1);
        return Add(code, 0, key, bodyBytes, writes);
    }

    /// <summary>Adds an operation on the record of the current part's run, which lives in the index of runs.</summary>
    /// <param name="tags">Tags that it names: each has a key of its own there.</param>
    internal Span<byte> AddToRecord(OperationCode code, int bodyBytes, int tags)
    {
        TouchesCatalogue = true;
        ref var part = ref _parts[PartCount - 1];
        part.RecordOperations++;
        part.RecordWrites += RecordWrites + tags;
        part.RecordBodyBytes += bodyBytes;
        return Add(code, 0, default, bodyBytes, 0);
    }

    /// <summary>Reserves for the above in the catalogue's store; under all locks, because records grow. Each operation may write the
    /// whole record again, with all that the operations before it have added.</summary>
    internal void ReserveCatalogue(RunStore store)
    {
        if (!TouchesCatalogue)
            return;
        var writes = 0;
        var bytes = 0L;
        foreach (ref readonly var part in Parts)
        {
            writes += part.RecordWrites + part.RecordOperations * part.Run.RecordTags;
            bytes += part.RecordOperations * (part.Run.RecordBytes + part.RecordBodyBytes + RecordEnvelopeBytes);
        }

        store.Reserve(writes, bytes + writes * (long)RecordKeyBytesMax);
    }

    internal void EndPart()
    {
        ref var part = ref _parts[PartCount - 1];
        part.Length = Record.PayloadLength - part.Offset - PartHeader;
        WriteHeader(part);
        BinaryPrimitives.WriteInt32LittleEndian(Record.Payload[12..], PartCount);
    }

    private void WriteHeader(in Part part)
    {
        var header = Record.Payload.Slice(part.Offset, PartHeader);
        BinaryPrimitives.WriteInt32LittleEndian(header[24..], part.Operations);
        BinaryPrimitives.WriteInt32LittleEndian(header[28..], part.Length);
    }

    /// <summary>What the record tells of its cause.</summary>
    internal ReadOnlySpan<byte> Attributes =>
        Record.Payload.Slice(PayloadHeader, BinaryPrimitives.ReadInt32LittleEndian(Record.Payload[8..]));

    /// <summary>Lets the record tell of the cause what its writer has not told.</summary>
    internal void CompleteCause(CommitAttributes cause)
    {
        _told = Attributes.ToArray();
        SetAttributes(CommitAttributes.Complete(_told, cause));
    }

    /// <summary>Takes back what an earlier attempt has completed.</summary>
    internal void ForgetCause()
    {
        if (_told is not null)
            SetAttributes(_told);
        _told = null;
    }

    private void SetAttributes(ReadOnlySpan<byte> attributes)
    {
        var more = attributes.Length - Attributes.Length;
        var length = Record.PayloadLength;
        var rest = PayloadHeader + Attributes.Length;
        if (more > 0)
            Record.Extend(more);
        Record.Payload[rest..length].CopyTo(Record.Payload[(rest + more)..]);
        if (more < 0)
            Record.Truncate(length + more);
        attributes.CopyTo(Record.Payload[PayloadHeader..]);
        BinaryPrimitives.WriteInt32LittleEndian(Record.Payload[8..], attributes.Length);
        for (var index = 0; index < PartCount; index++)
            _parts[index].Offset += more;
    }

    // ---- inputs that are carried --------------------------------------------------------------------------------------------

    /// <summary>Puts inputs into a part, before its own operations or behind them, instead of those that an earlier attempt has put
    /// there. Under the run's lock.</summary>
    /// <param name="count">The first so many.</param>
    internal void Carry(int index, IReadOnlyList<PendingInput> inputs, int count, bool isLast)
    {
        ref var part = ref _parts[index];
        Resize(index, -part.CarriedBytes);
        part.Writes -= part.Carried * WritesPerInput;
        part.WriteBytes -= part.CarriedWriteBytes;
        part.Operations -= part.Carried;
        Operations -= part.Carried;
        (part.Carried, part.CarriedBytes, part.CarriedWriteBytes, part.CarriesLast) = (0, 0, 0, isLast);
        if (count > 0)
        {
            var bytes = 0;
            for (var i = 0; i < count; i++)
            {
                bytes += inputs[i].OperationBytes;
                part.CarriedWriteBytes += WritesPerInput * (inputs[i].Type.Length + 64L) + inputs[i].Body.Length;
            }

            Resize(index, bytes);
            var target = Record.Payload.Slice(CarriedOffset(part, bytes), bytes);
            for (var i = 0; i < count; i++)
            {
                var length = inputs[i].OperationBytes;
                inputs[i].Body.CopyTo(Operation.Write(
                    target[..length], (byte)OperationCode.EventAppend, 0, inputs[i].Type, inputs[i].Body.Length));
                target = target[length..];
            }

            if (Operations == 0)
                _first = OperationCode.EventAppend;
            (part.Carried, part.CarriedBytes) = (count, bytes);
            part.Writes += count * WritesPerInput;
            part.WriteBytes += part.CarriedWriteBytes;
            part.Operations += count;
            Operations += count;
        }

        WriteHeader(part);
    }

    // Makes room where a part carries inputs, or takes it away.
    private void Resize(int index, int bytes)
    {
        if (bytes == 0)
            return;
        ref var part = ref _parts[index];
        var length = Record.PayloadLength;
        if (bytes > 0)
        {
            var at = part.Offset + PartHeader + (part.CarriesLast ? part.Length : 0);
            Record.Extend(bytes);
            Record.Payload[at..length].CopyTo(Record.Payload[(at + bytes)..]);
        }
        else
        {
            var at = CarriedOffset(part, -bytes);
            Record.Payload[(at - bytes)..].CopyTo(Record.Payload[at..]);
            Record.Truncate(length + bytes);
        }

        part.Length += bytes;
        for (var later = index + 1; later < PartCount; later++)
            _parts[later].Offset += bytes;
    }

    private static int CarriedOffset(in Part part, int bytes) =>
        part.Offset + PartHeader + (part.CarriesLast ? part.Length - bytes : 0);

    /// <summary>The operations of a part without the inputs that it carries.</summary>
    internal Span<byte> OwnOperationsOf(in Part part) =>
        OperationsOf(part).Slice(part.CarriesLast ? 0 : part.CarriedBytes, part.Length - part.CarriedBytes);

    /// <summary>The current part is only what closed runs still allow.</summary>
    internal void AllowWhenClosed() => _parts[PartCount - 1].IsAllowedWhenClosed = true;

    /// <summary>The operations of a part.</summary>
    internal Span<byte> OperationsOf(in Part part) => Record.Payload.Slice(part.Offset + PartHeader, part.Length);

    /// <summary>Fills the holes that the place decides: the time, and each run's link to its previous record.</summary>
    internal void SetPlace(long time)
    {
        var payload = Record.Payload;
        BinaryPrimitives.WriteInt64LittleEndian(payload, time);
        foreach (ref readonly var part in Parts)
            BinaryPrimitives.WriteUInt64LittleEndian(payload[(part.Offset + RunId.Size)..], part.Run.LastPosition);
    }

    internal struct Part
    {
        internal RunState Run;
        internal int Offset;
        internal int Length;
        internal int Operations;
        internal int Writes;
        internal long WriteBytes;

        /// <summary>What the operations will write beyond that, as far as only the newest state can tell.</summary>
        internal WriteCount Resolved;

        internal readonly int AllWrites => Writes + Resolved.Writes;

        internal int RecordOperations;
        internal int RecordWrites;
        internal long RecordBodyBytes;

        /// <summary>Inputs that it carries, their bytes, and whether they stand behind its own operations.</summary>
        internal int Carried;
        internal int CarriedBytes;
        internal long CarriedWriteBytes;
        internal bool CarriesLast;

        /// <summary>This run's part is only what closed runs still allow.</summary>
        internal bool IsAllowedWhenClosed;
    }
}
