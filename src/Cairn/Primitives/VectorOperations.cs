// Vectors: embeddings in named collections, found by likeness.
//
//   store keys      70 name          the collection: dimension, metric, element, model, index; never changed
//                   71 name 00 key   head: id, metadata; the vector's version, times and expiry are this version's
//                   72 name 00 id    row: the stored embedding, then the key; with the head's expiry
//                   73 name          numbers: next id, count
//                   01 71, 01 70     how many vectors, how many collections, in the run
//   operations      70 Create, 71 Drop, 72 Upsert, 73 SetMetadata, 74 Delete (docs/format.md has the bodies)
//   conflicts       point per vector and per collection; a search has read all rows of its collection, with a filter all heads too, and a
//                   listing its range. Upsert is blind: it rests on nothing but that the collection is what it was
//   text            the key, and every string in the metadata, when search by words reads vectors (VEC-26)
//   diff, merge     per key; embedding and metadata apart in a difference (VectorDifferences.cs, MergeVectors.cs)
//   replay          each operation is done again: an Upsert carries the stored form and the id that it was given
//
// A search reads embeddings and nothing else, so they lie apart from metadata, under ids, in the order in which they came: a scan goes
// through memory forwards. Drawn, after Upsert a, Upsert b, Upsert a again, Delete b, Upsert c:
//
//      heads    71 notes 00 a   {1, metadata}                    a read by key finds the id, then the row
//               71 notes 00 c   {3, metadata}
//      rows     72 notes 00 1   [embedding of a, second] a       a search reads these, in this order
//               72 notes 00 3   [embedding of c] c               2 is never given again (VEC-8)
//      numbers  73 notes        next 4, count 2
//
//   V1  A head and its row are written and removed by one operation: they have one id and one expiry. SetMetadata writes the head alone.
//   V2  A key that lives keeps its id; any other gets the next one. That is decided under the run's lock, at one time, and logged; so
//       what has expired and is not removed yet makes no difference: its row goes with the write that takes its key.
//   V3  Numbers change when a vector comes or goes, and not when one is written again.
//   V4  Rows are never contents (Content/ContentStore.cs), however long: a search that had to fetch each from the log, or lost them from
//       memory one by one, would not be one. They leave memory as other keys do (TIER).
//   V5  An Upsert says which form its embedding has. If the collection is another one when it is applied, the log is damaged (VEC-2).

using System.Buffers;
using System.Buffers.Binary;
using Cairn.Codec;
using Cairn.Log;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn.Primitives;

/// <summary>See the essay above. Stateless.</summary>
internal sealed class VectorOperations : OperationSet
{
    /// <summary>A version, and of an expiring head its place in the order of expiry.</summary>
    internal const int WritesPerDropped = 2;

    /// <summary>What a version takes beside its key and value.</summary>
    internal const int VersionBytes = 64;

    // The head and its places in the order of expiry, the row, an older row, the numbers, the count.
    private const int UpsertWrites = 7;
    private const int OtherWrites = 6;

    private const int StackBytes = 1_024;

    internal override byte Family => StoreKeys.VectorCollection;

    internal override string Name => "vectors";

    internal override bool ResolvesParts => true;

    internal override bool Owns(byte storeFamily) => storeFamily is >= StoreKeys.VectorCollection and <= StoreKeys.VectorNumbers;

    internal override string Describe(ReadOnlySpan<byte> storeKey) => VectorKeys.Describe(storeKey);

    internal override string Describe(in Operation operation, RunId run)
    {
        var key = Utf8.GetTrustedString(operation.Key);
        return (OperationCode)operation.Code is OperationCode.VectorCreate or OperationCode.VectorDrop
            || !VectorBody.TryRead(operation, out var body)
            ? key
            : $"{Utf8.GetTrustedString(body.Name)}/{key}";
    }

    internal override Value? ValueOf(ReadOnlySpan<byte> storeKey, scoped in VersionView version) => null;

    internal override long CountItems(scoped in StoreReader reader, ulong sequence) => reader.Count(StoreKeys.VectorHead, sequence);

    internal override ReadOnlySpan<byte> Changed(in Operation operation, Span<byte> buffer)
    {
        if (!VectorBody.TryRead(operation, out var body))
            return default;
        return (OperationCode)operation.Code is OperationCode.VectorCreate or OperationCode.VectorDrop
            ? VectorKeys.Collection(buffer, body.Name)
            : VectorKeys.Head(buffer, body.Name, operation.Key);
    }

    // What a deleted collection held is told by nobody one by one.
    internal override void TellChange(in Operation operation, ulong sequence, ThingChanges changes)
    {
        switch ((OperationCode)operation.Code)
        {
            case OperationCode.VectorCreate:
                return;
            case OperationCode.VectorDrop:
                changes.BeginAgain(sequence);
                return;
            default:
                TellThing(operation, sequence, changes);
                return;
        }
    }

    internal static ulong IdOf(ReadOnlySpan<byte> head) => BinaryPrimitives.ReadUInt64LittleEndian(head);

    internal static ReadOnlySpan<byte> MetadataOf(ReadOnlySpan<byte> head) => head[VectorKeys.IdBytes..];

    internal static (ulong Next, ulong Count) ReadNumbers(ReadOnlySpan<byte> value) =>
        (BinaryPrimitives.ReadUInt64LittleEndian(value), BinaryPrimitives.ReadUInt64LittleEndian(value[sizeof(ulong)..]));

    /// <summary>VEC-1: a collection of that name is there, and it is another one.</summary>
    internal static CairnException Different(ReadOnlySpan<byte> name, ReadOnlySpan<byte> there, ReadOnlySpan<byte> asked) => new(
        ErrorCode.ConstraintViolation,
        $"There is a collection '{Utf8.GetTrustedString(name)}', and it has "
        + $"{VectorConfiguration.Read(there).DifferenceFrom(VectorConfiguration.Read(asked))}. Take another name, or delete it first.");

    // ---- before the sequence ---------------------------------------------------------------------------------------------------

    internal override CairnException? ResolvePart(
        Span<byte> part, RunState run, Catalogue catalogue, long time, Limits limits, out WriteCount writes)
    {
        using var reader = run.Store.Read();
        var trial = new VectorTrial(reader, run, part, time);
        var refused = trial.Try(part, limits, fills: true);
        writes = trial.Writes;
        return refused;
    }

    internal override void EachKeyOfPart(Span<byte> part, RunState run, StoreKeyVisitor visit)
    {
        using var reader = run.Store.Read();
        var trial = new VectorTrial(reader, run, part, long.MinValue, visit);
        trial.Try(part, limits: null, fills: false);         // what cannot be done is refused by ResolvePart, which says why
    }

    // A record that was decided: what it writes beyond what its length says.
    internal override WriteCount CountWrites(ReadOnlySpan<byte> part, RunState run)
    {
        Span<byte> buffer = stackalloc byte[VectorKeys.BytesMax];
        var writes = default(WriteCount);
        var rest = part;
        while (rest.Length > 0)
        {
            var operation = new Operation(rest, out var bytes);
            rest = rest[bytes..];
            if (operation.Code != (byte)OperationCode.VectorDrop)
                continue;
            using var reader = run.Store.Read();
            var held = reader.TryGetNewest(VectorKeys.Numbers(buffer, operation.Key), out var numbers) && !numbers.IsTombstone
                ? (long)ReadNumbers(numbers.Value).Count
                : 0;
            var most = held + VectorTrial.CountIn(part);     // and what the record itself wrote before
            writes = writes.And(
                checked((int)(2 * WritesPerDropped * most)), 2 * WritesPerDropped * most * (VectorKeys.BytesMax + VersionBytes));
        }

        return writes;
    }

    // ---- behind it -------------------------------------------------------------------------------------------------------------

    internal override bool Apply(in Operation operation, in ApplyContext context)
    {
        var code = (OperationCode)operation.Code;
        if (operation.Key.IsEmpty || (operation.HasExpiry && code != OperationCode.VectorUpsert)
            || !VectorBody.TryRead(operation, out var body) || !IsObjectOrNothing(body.Metadata))
        {
            return false;
        }

        return code switch
        {
            OperationCode.VectorCreate => ApplyCreate(body, context),
            OperationCode.VectorDrop => ApplyDrop(body.Name, context),
            OperationCode.VectorUpsert => ApplyUpsert(operation, body, context),
            OperationCode.VectorSetMetadata => ApplyMetadata(operation, body, context),
            _ => ApplyDelete(operation, body, context),
        };
    }

    private static bool IsObjectOrNothing(ReadOnlySpan<byte> metadata) =>
        metadata.IsEmpty || (ValueCodec.TryReadKind(metadata, out var kind) && kind == ValueKind.Object);

    private static bool ApplyCreate(in VectorBody body, in ApplyContext context)
    {
        if (body.Name.Length > Limits.NameBytesMax)
            return false;
        Span<byte> buffer = stackalloc byte[VectorKeys.BytesMax];
        var key = VectorKeys.Collection(buffer, body.Name);
        using (var reader = context.Read())
        {
            if (reader.TryGetForApply(key, out var version) && !version.IsTombstone)
                return version.Value.SequenceEqual(body.Configuration);
        }

        context.Put(key, body.Configuration);
        context.AddCount(StoreKeys.VectorCollection, 1);
        PutNumbers(context, body.Name, body.Id, 0);
        return true;
    }

    private static bool ApplyDrop(ReadOnlySpan<byte> name, in ApplyContext context)
    {
        Span<byte> buffer = stackalloc byte[VectorKeys.BytesMax];
        if (!context.Delete(VectorKeys.Collection(buffer, name)).IsCounted)
            return false;
        context.AddCount(StoreKeys.VectorCollection, -1);
        context.Delete(VectorKeys.Numbers(buffer, name));
        var heads = Clear(context, StoreKeys.VectorHead, name);
        if (!Mutant.Is("vector-drop-leaves-rows"))
            Clear(context, StoreKeys.VectorRow, name);
        context.AddCount(StoreKeys.VectorHead, -heads);
        return true;
    }

    private static long Clear(in ApplyContext context, byte family, ReadOnlySpan<byte> name)
    {
        const int keysPerReader = 512;
        var cleared = 0L;
        var to = VectorKeys.End(family, name);
        var from = VectorKeys.Begin(family, name);
        while (true)
        {
            var keys = new List<byte[]>();
            using (var reader = context.Read())
            {
                var scan = reader.Scan(from, to, ulong.MaxValue);
                while (keys.Count < keysPerReader && scan.MoveNext())
                    keys.Add(scan.Key.ToArray());
            }

            foreach (var key in keys)
                cleared += context.Delete(key).IsCounted ? 1 : 0;
            if (keys.Count < keysPerReader)
                return cleared;
            from = [.. keys[^1], 0];
        }
    }

    private static bool ApplyUpsert(in Operation operation, in VectorBody body, in ApplyContext context)
    {
        Span<byte> buffer = stackalloc byte[VectorKeys.BytesMax];
        if (body.Id == 0 || !TryReadState(context, buffer, body, out var next, out var count))
            return false;
        ulong before = 0;
        using (var reader = context.Read())
        {
            if (reader.TryGetForApply(VectorKeys.Head(buffer, body.Name, operation.Key), out var head) && !head.IsTombstone)
                before = IdOf(head.Value);
        }

        if (before == 0)
            context.AddCount(StoreKeys.VectorHead, 1);
        else if (before != body.Id && !Mutant.Is("vector-expired-row-stays"))
            context.Delete(VectorKeys.Row(buffer, body.Name, before));
        var reached = Mutant.Is("vector-id-given-again") ? count + 2 : body.Id + 1;
        if (before == 0 || reached > next)
            PutNumbers(context, body.Name, Math.Max(next, reached), count + (before == 0 ? 1ul : 0));
        PutHead(context, VectorKeys.Head(buffer, body.Name, operation.Key), body.Id, body.Metadata, operation.Expiry);
        PutRow(context, VectorKeys.Row(buffer, body.Name, body.Id), body.Embedding, operation.Key, operation.Expiry, body.Id >= next);
        return true;
    }

    // V5
    private static bool TryReadState(
        in ApplyContext context, Span<byte> buffer, in VectorBody body, out ulong next, out ulong count)
    {
        (next, count) = (0, 0);
        using var reader = context.Read();
        if (!reader.TryGetForApply(VectorKeys.Collection(buffer, body.Name), out var version) || version.IsTombstone)
            return false;
        var configuration = VectorConfiguration.Read(version.Value);
        if (configuration.Element != body.Element || configuration.Dimension != body.Dimension
            || !reader.TryGetForApply(VectorKeys.Numbers(buffer, body.Name), out version) || version.IsTombstone)
        {
            return false;
        }

        (next, count) = ReadNumbers(version.Value);
        return true;
    }

    private static bool ApplyMetadata(in Operation operation, in VectorBody body, in ApplyContext context)
    {
        Span<byte> buffer = stackalloc byte[VectorKeys.BytesMax];
        var key = VectorKeys.Head(buffer, body.Name, operation.Key);
        ulong id;
        long expiry;
        using (var reader = context.Read())
        {
            if (!reader.TryGetForApply(key, out var head) || head.IsTombstone)
                return false;
            (id, expiry) = (IdOf(head.Value), head.Expiry);
        }

        PutHead(context, key, id, body.Metadata, expiry);
        return true;
    }

    private static bool ApplyDelete(in Operation operation, in VectorBody body, in ApplyContext context)
    {
        Span<byte> buffer = stackalloc byte[VectorKeys.BytesMax];
        ulong id, next, count;
        using (var reader = context.Read())
        {
            if (!reader.TryGetForApply(VectorKeys.Head(buffer, body.Name, operation.Key), out var head) || head.IsTombstone)
                return false;
            id = IdOf(head.Value);
            if (!reader.TryGetForApply(VectorKeys.Numbers(buffer, body.Name), out var numbers) || numbers.IsTombstone)
                return false;
            (next, count) = ReadNumbers(numbers.Value);
        }

        context.Delete(VectorKeys.Head(buffer, body.Name, operation.Key));
        if (!Mutant.Is("vector-deleted-row-stays"))
            context.Delete(VectorKeys.Row(buffer, body.Name, id));
        context.AddCount(StoreKeys.VectorHead, -1);
        PutNumbers(context, body.Name, next, count - 1);
        return true;
    }

    private static void PutNumbers(in ApplyContext context, ReadOnlySpan<byte> name, ulong next, ulong count)
    {
        Span<byte> buffer = stackalloc byte[VectorKeys.BytesMax];
        Span<byte> value = stackalloc byte[VectorKeys.NumbersBytes];
        BinaryPrimitives.WriteUInt64LittleEndian(value, next);
        BinaryPrimitives.WriteUInt64LittleEndian(value[sizeof(ulong)..], count);
        context.Put(VectorKeys.Numbers(buffer, name), value);
    }

    private static void PutHead(in ApplyContext context, ReadOnlySpan<byte> key, ulong id, ReadOnlySpan<byte> metadata, long expiry)
    {
        var length = VectorKeys.IdBytes + metadata.Length;
        byte[]? rented = null;
        var value = length <= StackBytes ? stackalloc byte[StackBytes] : rented = ArrayPool<byte>.Shared.Rent(length);
        BinaryPrimitives.WriteUInt64LittleEndian(value, id);
        metadata.CopyTo(value[VectorKeys.IdBytes..]);
        context.Put(key, value[..length], expiry);
        if (rented is not null)
            ArrayPool<byte>.Shared.Return(rented);
    }

    // V1, V4
    private static void PutRow(
        in ApplyContext context, ReadOnlySpan<byte> storeKey, ReadOnlySpan<byte> embedding, ReadOnlySpan<byte> key, long expiry, bool isNew)
    {
        var length = embedding.Length + key.Length;
        var value = ArrayPool<byte>.Shared.Rent(length);
        embedding.CopyTo(value);
        key.CopyTo(value.AsSpan(embedding.Length));
        context.PutBesides(storeKey, value.AsSpan(0, length), Mutant.Is("vector-row-never-expires") ? 0 : expiry, isNew);
        ArrayPool<byte>.Shared.Return(value);
    }

    // ---- writing operations ----------------------------------------------------------------------------------------------------

    internal override void Encode(Batch batch, PendingWrite write)
    {
        var expiry = write.TimeToLive != 0 ? -write.TimeToLive : write.Expiry;
        write.Value.CopyTo(Add(batch, write.Code, write.OperationKey, write.Value.Length, expiry));
    }

    internal override void EncodeExpired(Batch batch, ReadOnlySpan<byte> storeKey) =>
        AddDelete(batch, VectorKeys.NameIn(storeKey), VectorKeys.KeyIn(storeKey));

    internal static void AddDelete(Batch batch, ReadOnlySpan<byte> name, ReadOnlySpan<byte> key) => VectorBody.WriteNamed(
        Add(batch, OperationCode.VectorDelete, key, VectorBody.NamedBytes(name.Length, 0), 0), name);

    /// <summary>Adds an operation.</summary>
    /// <param name="expiry">Absolute, or a time to live with its sign turned; 0 = none.</param>
    /// <returns>The body behind the expiry, to fill.</returns>
    internal static Span<byte> Add(Batch batch, OperationCode code, ReadOnlySpan<byte> key, int bodyBytes, long expiry)
    {
        var lead = expiry == 0 ? 0 : sizeof(long);
        var writes = code == OperationCode.VectorUpsert ? UpsertWrites : OtherWrites;
        var body = batch.Add(
            code, expiry == 0 ? (byte)0 : Operation.HasExpiryFlag, key, lead + bodyBytes, writes,
            writes * (long)(VectorKeys.BytesMax + StoreKeys.ExpiryPrefixBytes));
        if (expiry != 0)
            BinaryPrimitives.WriteInt64LittleEndian(body, expiry);
        batch.NeedsResolve = true;
        return body[lead..];
    }

    /// <summary>Adds an operation that was logged before, to be decided anew.</summary>
    /// <returns>Its body with the expiry.</returns>
    internal static Span<byte> Add(Batch batch, in Operation operation)
    {
        var body = batch.Add(
            (OperationCode)operation.Code, operation.Flags, operation.Key, operation.FullBody.Length, UpsertWrites,
            UpsertWrites * (long)(VectorKeys.BytesMax + StoreKeys.ExpiryPrefixBytes));
        operation.FullBody.CopyTo(body);
        batch.NeedsResolve = true;
        return body;
    }

    /// <summary>The id in an Upsert as it was logged.</summary>
    internal static ulong ReadId(in Operation operation) => BinaryPrimitives.ReadUInt64LittleEndian(operation.Body);
}

/// <summary>What the write of a vector in a transaction tells after the commit.</summary>
internal sealed class UpsertReceipt : Receipt
{
    private ulong _id;
    private ulong _sequence;

    internal bool IsCommitted => _sequence != 0;

    internal VectorId Id => new(Checked(_id));

    internal Sequence Version => new(Checked(_sequence));

    private ulong Checked(ulong number) => _sequence != 0
        ? number
        : throw new InvalidOperationException("A vector that is written in a transaction has its id and version once that has committed.");

    internal override void Committed(in Operation operation, ulong sequence, long time)
    {
        _id = VectorOperations.ReadId(operation);
        _sequence = sequence;
    }
}
