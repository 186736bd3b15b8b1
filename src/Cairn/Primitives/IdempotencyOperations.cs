// Idempotency keys: a transaction that carries one is done once (CON-14).
//
//   store key     97 key
//   store value   the answer that the first time gave, a canonical value; Null when it gave none. The version's sequence is its commit
//   operations    97 Idempotency: with an expiry it remembers the key and the answer, without one it forgets them
//   conflicts     point: two tries with one key conflict, so one of them wins and the other learns of it
//   replay        as a Put and a Delete
//
// The number of keys is bounded per run. It is looked at when the transaction asks, so that most are refused before they do anything,
// and decided under the run's lock, so that two that ask at once do not both get the last place.

using System.Buffers.Binary;
using Cairn.Codec;
using Cairn.Log;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn.Primitives;

/// <summary>See the essay above. Stateless.</summary>
internal sealed class IdempotencyOperations : OperationSet
{
    internal override byte Family => 0x90;

    internal override bool Takes(OperationCode code) => code == OperationCode.Idempotency;

    internal override string Name => "idempotency";

    internal override bool Owns(byte storeFamily) => storeFamily == StoreKeys.Idempotency;

    internal override string Describe(ReadOnlySpan<byte> storeKey) => Utf8.GetTrustedString(storeKey[1..]);

    internal override void EachKey(in Operation operation, RunState run, Catalogue catalogue, StoreKeyVisitor visit)
    {
        Span<byte> buffer = stackalloc byte[1 + Limits.KeyBytesMax];
        visit(run.Store, StoreKeys.Of(buffer, StoreKeys.Idempotency, operation.Key));
    }

    internal override bool Apply(in Operation operation, in ApplyContext context)
    {
        if ((OperationCode)operation.Code != OperationCode.Idempotency || operation.Key.Length is 0 or > Limits.KeyBytesMax)
            return false;
        Span<byte> buffer = stackalloc byte[1 + Limits.KeyBytesMax];
        var key = StoreKeys.Of(buffer, StoreKeys.Idempotency, operation.Key);
        if (operation.HasExpiry)
        {
            ReadOnlySpan<byte> none = [MessagePackFormat.Null];
            if (!context.Put(key, operation.Body.IsEmpty ? none : operation.Body, operation.Expiry).IsCounted)
                context.AddCount(StoreKeys.Idempotency, 1);
            return true;
        }

        if (context.Delete(key).IsCounted)
            context.AddCount(StoreKeys.Idempotency, -1);
        return operation.Body.IsEmpty;
    }

    internal override CairnException? Resolve(in Operation operation, Span<byte> holes, RunState run, Catalogue catalogue, long time)
    {
        if (!operation.HasExpiry || Mutant.Is("idempotency-count-not-decided"))
            return null;
        Span<byte> buffer = stackalloc byte[1 + Limits.KeyBytesMax];
        using var reader = run.Store.Read();
        var isThere = reader.TryGetNewest(StoreKeys.Of(buffer, StoreKeys.Idempotency, operation.Key), out var version) && !version.IsTombstone;
        var kept = reader.Count(StoreKeys.Idempotency, ulong.MaxValue);
        return isThere || kept < catalogue.Limits.IdempotencyKeysMax ? null : TooMany(catalogue.Limits, kept + 1);
    }

    private static LimitException TooMany(Limits limits, long actual) =>
        new(nameof(limits.IdempotencyKeysMax), limits.IdempotencyKeysMax, actual, "keys");

    internal override void Encode(Batch batch, PendingWrite write)
    {
        var body = batch.Add(OperationCode.Idempotency, Operation.HasExpiryFlag, write.OperationKey, 8 + write.Value.Length, 4);
        BinaryPrimitives.WriteInt64LittleEndian(body, -write.TimeToLive);
        write.Value.CopyTo(body[8..]);
        batch.NeedsResolve = true;
    }

    internal override void EncodeExpired(Batch batch, ReadOnlySpan<byte> storeKey) =>
        KvOperations.AddWithExpiry(batch, OperationCode.Idempotency, storeKey[1..], 0);

    /// <summary>Inside a transaction: what became of it the first time, if there was one; otherwise the key is remembered with this
    /// commit.</summary>
    /// <param name="pending">Takes the answer, when there is one.</param>
    internal static bool TryFindFirst(Scope scope, string key, Limits limits, out OnceOutcome first, out PendingWrite pending)
    {
        var storeKey = StoreKeyOf(key, limits);
        using var use = scope.Use();
        if (scope.Writes!.Find(storeKey) is { } own)
        {
            // Done in this very transaction, which is not committed yet.
            first = new OnceOutcome(Sequence.None, true) { Answer = own.Value.Length == 0 ? Value.Null : Value.Decode(own.Value) };
            pending = own;
            return true;
        }

        using (var reader = scope.Run.Store.Read())
        {
            if (scope.TryGet(reader, storeKey, out var version))
            {
                first = new OnceOutcome(new Sequence(version.Sequence), true) { Answer = Value.Decode(version.Value) };
                pending = null!;
                return true;
            }

            // The count is a bound, not an answer: it is looked at without being remembered as read.
            var kept = reader.Count(StoreKeys.Idempotency, scope.Sequence);
            if (kept >= limits.IdempotencyKeysMax)
                throw TooMany(limits, kept + 1);
        }

        first = default;
        pending = new PendingWrite
        {
            StoreKey = storeKey,
            Code = OperationCode.Idempotency,
            OperationKey = storeKey[1..],
            TimeToLive = limits.IdempotencyKeyLife.Ticks / TimeSpan.TicksPerMicrosecond,
        };
        scope.Writes.Add(pending);
        return false;
    }

    /// <summary>Checks an answer and keeps it beside the key.</summary>
    internal static void Remember(PendingWrite pending, in Value answer, Limits limits)
    {
        var bytes = ValueCodec.EncodedLength(answer, limits);
        if (bytes > limits.MetadataBytesMax)
            throw new LimitException(nameof(limits.MetadataBytesMax), limits.MetadataBytesMax, bytes, "bytes");
        pending.Value = answer.Kind == ValueKind.Null ? [] : answer.Encode();
    }

    private static byte[] StoreKeyOf(string key, Limits limits)
    {
        if (key.Length == 0)
            throw new CairnException(ErrorCode.InvalidKey, "An idempotency key is not empty.");
        if (Utf8.GetByteCount(key) is var bytes && bytes > limits.IdempotencyKeyBytesMax)
            throw new LimitException(nameof(limits.IdempotencyKeyBytesMax), limits.IdempotencyKeyBytesMax, bytes, "bytes");
        if (key.Contains('\0', StringComparison.Ordinal))
            throw new CairnException(ErrorCode.InvalidKey, "An idempotency key may not hold NUL (U+0000).");
        return [StoreKeys.Idempotency, .. Utf8.GetBytes(key)];
    }
}
