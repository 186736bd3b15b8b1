// Idempotency keys: a transaction that carries one is done once (CON-14).
//
//   store key     97 key
//   store value   empty; the version's sequence is the outcome that a repeat is told
//   operations    97 Idempotency: with an expiry it remembers the key, without one it forgets it
//   conflicts     point: two tries with one key conflict, so one of them wins and the other learns of it
//   replay        as a Put and a Delete

using Cairn.Codec;
using Cairn.Log;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn.Primitives;

/// <summary>See the essay above. Stateless.</summary>
internal sealed class IdempotencyOperations : OperationSet
{
    internal override byte Family => 0x90;

    internal override string Name => "idempotency";

    internal override bool Owns(byte storeFamily) => storeFamily == StoreKeys.Idempotency;

    internal override string Describe(ReadOnlySpan<byte> storeKey) => Utf8.GetTrustedString(storeKey[1..]);

    internal override bool Apply(in Operation operation, in ApplyContext context)
    {
        if ((OperationCode)operation.Code != OperationCode.Idempotency || operation.Key.IsEmpty || !operation.Body.IsEmpty)
            return false;
        Span<byte> buffer = stackalloc byte[1 + Limits.KeyBytesMax];
        var key = StoreKeys.Of(buffer, StoreKeys.Idempotency, operation.Key);
        if (operation.HasExpiry)
        {
            if (!context.Put(key, [MessagePackFormat.Null], operation.Expiry).IsCounted)
                context.AddCount(StoreKeys.Idempotency, 1);
        }
        else if (context.Delete(key).IsCounted)
        {
            context.AddCount(StoreKeys.Idempotency, -1);
        }

        return true;
    }

    internal override void Encode(Batch batch, PendingWrite write) => KvOperations.AddWithExpiry(
        batch, OperationCode.Idempotency, write.OperationKey, -write.TimeToLive);

    internal override void EncodeExpired(Batch batch, ReadOnlySpan<byte> storeKey) =>
        KvOperations.AddWithExpiry(batch, OperationCode.Idempotency, storeKey[1..], 0);

    /// <summary>Inside a transaction: the sequence of the first time, if there was one; otherwise the key is remembered with this commit.</summary>
    internal static bool TryFindFirst(Scope scope, string key, Limits limits, out ulong first)
    {
        var text = Utf8.GetBytes(key);
        if (text.Length == 0)
            throw new CairnException(ErrorCode.InvalidKey, "An idempotency key is not empty.");
        if (text.Length > limits.IdempotencyKeyBytesMax)
            throw new LimitException(nameof(limits.IdempotencyKeyBytesMax), limits.IdempotencyKeyBytesMax, text.Length, "bytes");
        byte[] storeKey = [StoreKeys.Idempotency, .. text];
        using (var reader = scope.Run.Store.Read())
        {
            if (scope.TryGet(reader, storeKey, out var version))
            {
                first = version.Sequence;
                return true;
            }

            // The count is a bound, not an answer: it is looked at without being remembered as read.
            var kept = reader.Count(StoreKeys.Idempotency, scope.Sequence);
            if (kept >= limits.IdempotencyKeysMax)
                throw new LimitException(nameof(limits.IdempotencyKeysMax), limits.IdempotencyKeysMax, kept + 1, "keys");
        }

        first = 0;
        scope.Writes!.Add(new PendingWrite
        {
            StoreKey = storeKey,
            Code = OperationCode.Idempotency,
            OperationKey = text,
            TimeToLive = limits.IdempotencyKeyLife.Ticks / TimeSpan.TicksPerMicrosecond,
        });
        return false;
    }
}
