// Kv: one value per key.
//
//   store key     10 key
//   store value   the canonical value; the version carries sequence, time, creation and expiry
//   operations    10 Put, 11 Delete, 12 Increment, 13 Expire (docs/format.md has the bodies)
//   conflicts     point per key; listings and counts read their range; Put is blind; increments commute: they read nothing, the
//                 sum is made under the run's lock and logged with the delta
//   text          the key, and every string in the value (KV-11)
//   diff, merge   per key
//   replay        a Put, an Increment's result and an Expire replace the newest version; a Delete is a tombstone

using System.Buffers.Binary;
using Cairn.Codec;
using Cairn.Log;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn.Primitives;

/// <summary>See the essay above. Stateless.</summary>
internal sealed class KvOperations : OperationSet
{
    /// <summary>Bytes of the body of an increment: the delta, the sum, the expiry.</summary>
    internal const int IncrementBytes = 24;

    internal override byte Family => 0x10;

    internal override string Name => "kv";

    internal override bool Owns(byte storeFamily) => storeFamily == StoreKeys.Kv;

    internal override string Describe(ReadOnlySpan<byte> storeKey) => Utf8.GetTrustedString(storeKey[1..]);

    internal override CairnException? Resolve(in Operation operation, Span<byte> holes, RunState run, Catalogue catalogue, long time)
    {
        if (operation.Code != (byte)OperationCode.KvIncrement)
            return null;
        Span<byte> buffer = stackalloc byte[1 + Limits.KeyBytesMax];
        using var reader = run.Store.Read();
        var live = reader.TryGetNewest(StoreKeys.Of(buffer, StoreKeys.Kv, operation.Key), out var version) && version.IsLiveAt(time);
        if (!TryAdd(live, version, BinaryPrimitives.ReadInt64LittleEndian(holes), out var sum, out var refused))
            return refused;
        BinaryPrimitives.WriteInt64LittleEndian(holes[8..], sum);
        BinaryPrimitives.WriteInt64LittleEndian(holes[16..], live ? version.Expiry : 0);
        return null;
    }

    internal override ReadOnlySpan<byte> ValueRead(in Operation operation, Span<byte> buffer) =>
        operation.Code == (byte)OperationCode.KvIncrement ? StoreKeys.Of(buffer, StoreKeys.Kv, operation.Key) : default;

    internal static bool TryAdd(bool live, in VersionView version, long delta, out long sum, out CairnException? refused)
    {
        sum = 0;
        refused = null;
        var current = 0L;
        if (live && !ValueCodec.TryReadInt64(version.Value, out current))
        {
            ValueCodec.TryReadKind(version.Value, out var kind);
            refused = new CairnException(ErrorCode.WrongType, $"Increment needs an Int64 and found {kind}. Put an integer first.");
            return false;
        }

        sum = unchecked(current + delta);
        if (((current ^ sum) & (delta ^ sum)) >= 0)
            return true;
        refused = new CairnException(ErrorCode.Overflow, $"Adding {delta} would leave the range of Int64. Nothing was written.");
        return false;
    }

    internal override void EachKey(in Operation operation, RunState run, Catalogue catalogue, StoreKeyVisitor visit)
    {
        Span<byte> buffer = stackalloc byte[1 + Limits.KeyBytesMax];
        visit(run.Store, StoreKeys.Of(buffer, StoreKeys.Kv, operation.Key));
    }

    internal override ReadOnlySpan<byte> Changed(in Operation operation, Span<byte> buffer) =>
        StoreKeys.Of(buffer, StoreKeys.Kv, operation.Key);

    internal override void TellChange(in Operation operation, ulong sequence, ThingChanges changes) =>
        TellThing(operation, sequence, changes);

    internal override bool Apply(in Operation operation, in ApplyContext context)
    {
        if (operation.Key.Length is 0 or > Limits.KeyBytesMax)
            return false;
        Span<byte> buffer = stackalloc byte[1 + Limits.KeyBytesMax];
        var key = StoreKeys.Of(buffer, StoreKeys.Kv, operation.Key);
        switch ((OperationCode)operation.Code)
        {
            case OperationCode.KvPut:
                if (!context.Put(key, operation.Body, operation.Expiry).IsCounted)
                    context.AddCount(StoreKeys.Kv, 1);
                return operation.Body.Length > 0;
            case OperationCode.KvDelete:
                if (context.Delete(key).IsCounted)
                    context.AddCount(StoreKeys.Kv, -1);
                return operation.FullBody.IsEmpty;
            case OperationCode.KvIncrement when operation.Body.Length == IncrementBytes:
                Span<byte> sum = stackalloc byte[ValueWriter.HeaderLengthMax];
                var length = ValueCodec.EncodeInt64(BinaryPrimitives.ReadInt64LittleEndian(operation.Body[8..]), sum);
                if (!context.Put(key, sum[..length], BinaryPrimitives.ReadInt64LittleEndian(operation.Body[16..])).IsCounted)
                    context.AddCount(StoreKeys.Kv, 1);
                return true;
            case OperationCode.KvExpire:
                return context.PutExpiry(key, operation.Expiry);
            default:
                return false;
        }
    }

    internal override Projected Project(in Operation operation, ReadOnlySpan<byte> storeKey, out byte[]? stored, out long expiry)
    {
        stored = null;
        expiry = operation.Expiry;
        if (operation.Code >> 4 != Family >> 4 || !operation.Key.SequenceEqual(storeKey[1..]))
            return Projected.Nothing;
        switch ((OperationCode)operation.Code)
        {
            case OperationCode.KvPut:
                stored = operation.Body.ToArray();
                return Projected.Value;
            case OperationCode.KvIncrement:
                stored = ((Value)BinaryPrimitives.ReadInt64LittleEndian(operation.Body[8..])).Encode();
                expiry = BinaryPrimitives.ReadInt64LittleEndian(operation.Body[16..]);
                return Projected.Value;
            case OperationCode.KvExpire:
                return Projected.ExpiryOnly;
            default:
                return Projected.Deletion;
        }
    }

    internal override void Encode(Batch batch, PendingWrite write)
    {
        var expiry = write.TimeToLive != 0 ? -write.TimeToLive : write.Expiry;
        switch (write.Code)
        {
            case OperationCode.KvPut:
                AddPut(batch, write.OperationKey, write.Value.Length, expiry, out var value);
                write.Value.CopyTo(value);
                break;
            case OperationCode.KvDelete:
                AddDelete(batch, write.OperationKey);
                break;
            default:
                AddIncrement(batch, write.OperationKey, write.Delta);
                break;
        }
    }

    internal override byte[] Overlay(PendingWrite write, bool exists, bool live, in VersionView committed)
    {
        if (!TryAdd(live, committed, write.Delta, out var sum, out var refused))
            throw refused!;
        return ((Value)sum).Encode();
    }

    internal override void EncodeExpired(Batch batch, ReadOnlySpan<byte> storeKey) => AddDelete(batch, storeKey[1..]);

    // Writes per Put: the version, the count, a place in the expiry order, the removal of the old place.
    internal static void AddPut(Batch batch, ReadOnlySpan<byte> key, int valueBytes, long expiry, out Span<byte> value)
    {
        var lead = expiry == 0 ? 0 : 8;
        var body = batch.Add(OperationCode.KvPut, expiry == 0 ? (byte)0 : Operation.HasExpiryFlag, key, lead + valueBytes, 4);
        if (expiry != 0)
            BinaryPrimitives.WriteInt64LittleEndian(body, expiry);
        value = body[lead..];
    }

    internal static void AddDelete(Batch batch, ReadOnlySpan<byte> key) => batch.Add(OperationCode.KvDelete, 0, key, 0, 3);

    internal static void AddIncrement(Batch batch, ReadOnlySpan<byte> key, long delta)
    {
        var body = batch.Add(OperationCode.KvIncrement, 0, key, IncrementBytes, 4);
        body.Clear();
        BinaryPrimitives.WriteInt64LittleEndian(body, delta);
        batch.NeedsResolve = true;
    }

    internal static long ReadResult(Batch batch)
    {
        var rest = batch.OwnOperationsOf(batch.Parts[0]);
        Operation.TryTake(ref rest, out var operation, out _);
        return BinaryPrimitives.ReadInt64LittleEndian(operation.Body[8..]);
    }

    internal static void AddExpire(Batch batch, ReadOnlySpan<byte> key, long expiry) =>
        AddWithExpiry(batch, OperationCode.KvExpire, key, expiry);

    /// <summary>An operation that is a key and perhaps an expiry.</summary>
    internal static void AddWithExpiry(Batch batch, OperationCode code, ReadOnlySpan<byte> key, long expiry)
    {
        var body = batch.Add(code, expiry == 0 ? (byte)0 : Operation.HasExpiryFlag, key, expiry == 0 ? 0 : 8, 4);
        if (expiry != 0)
            BinaryPrimitives.WriteInt64LittleEndian(body, expiry);
    }
}
