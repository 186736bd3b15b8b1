using Cairn.Store;
using Cairn.Transactions;

namespace Cairn.Primitives;

/// <summary>What a transaction writes to vectors: operations in the order of the calls, and over the store keys what they come to for its
/// own reads (<see cref="VectorLook"/>). Everything is looked at before the first of them is kept.</summary>
internal static class VectorPending
{
    internal static void Create(Scope scope, ReadOnlySpan<byte> name, byte[] configuration)
    {
        var body = VectorBody.Create(configuration);
        scope.Writes!.CheckRoom(1, name.Length + (long)body.Length);
        Keep(scope, OperationCode.VectorCreate, name, body, 0, null);
        Span<byte> buffer = stackalloc byte[VectorKeys.BytesMax];
        var laid = Lay(scope, VectorKeys.Collection(buffer, name), OperationCode.VectorCreate, configuration);
        laid.Steps = 1;                                      // none is there, or the transaction has dropped it
    }

    internal static void Drop(Scope scope, ReadOnlySpan<byte> name)
    {
        scope.Writes!.CheckRoom(1, name.Length);
        Keep(scope, OperationCode.VectorDrop, name, [], 0, null);
        Span<byte> buffer = stackalloc byte[VectorKeys.BytesMax];
        Lay(scope, VectorKeys.Collection(buffer, name), OperationCode.VectorDrop, null);
        var heads = scope.Writes.Range(
            VectorKeys.Begin(StoreKeys.VectorHead, name), VectorKeys.End(StoreKeys.VectorHead, name), reverse: false).ToList();
        foreach (var head in heads)
            (head.IsDelete, head.Value, head.Delta) = (true, [], (long)OperationCode.VectorDelete);
    }

    /// <param name="body">Of the Upsert, without an id.</param>
    internal static UpsertReceipt Upsert(Scope scope, ReadOnlySpan<byte> name, ReadOnlySpan<byte> key, byte[] body, long life)
    {
        scope.Writes!.CheckRoom(1, key.Length + (long)body.Length);
        var receipt = new UpsertReceipt();
        Keep(scope, OperationCode.VectorUpsert, key, body, life, receipt);
        Span<byte> buffer = stackalloc byte[VectorKeys.BytesMax];
        var laid = Lay(scope, VectorKeys.Head(buffer, name, key), OperationCode.VectorUpsert, body);
        (laid.TimeToLive, laid.Expiry) = (life, 0);
        return receipt;
    }

    /// <param name="whole">The body of an Upsert that the vector comes to, if the transaction itself has written it; null = it has
    /// not.</param>
    internal static void SetMetadata(Scope scope, ReadOnlySpan<byte> name, ReadOnlySpan<byte> key, byte[] body, byte[]? whole)
    {
        scope.Writes!.CheckRoom(1, key.Length + (long)body.Length);
        Keep(scope, OperationCode.VectorSetMetadata, key, body, 0, null);
        Span<byte> buffer = stackalloc byte[VectorKeys.BytesMax];
        Lay(
            scope, VectorKeys.Head(buffer, name, key), whole is null ? OperationCode.VectorSetMetadata : OperationCode.VectorUpsert,
            whole ?? body);
    }

    internal static void Delete(Scope scope, ReadOnlySpan<byte> name, ReadOnlySpan<byte> key)
    {
        var body = new byte[VectorBody.NamedBytes(name.Length, 0)];
        VectorBody.WriteNamed(body, name);
        scope.Writes!.CheckRoom(1, key.Length + (long)body.Length);
        Keep(scope, OperationCode.VectorDelete, key, body, 0, null);
        Span<byte> buffer = stackalloc byte[VectorKeys.BytesMax];
        Lay(scope, VectorKeys.Head(buffer, name, key), OperationCode.VectorDelete, null);
    }

    private static void Keep(
        Scope scope, OperationCode code, ReadOnlySpan<byte> key, byte[] body, long life, UpsertReceipt? receipt) =>
        scope.Writes!.Add(new PendingWrite
        {
            StoreKey = [],
            Code = code,
            OperationKey = key.ToArray(),
            Value = body,
            TimeToLive = life,
            IsDelete = code is OperationCode.VectorDelete or OperationCode.VectorDrop,
            Receipt = receipt,
        });

    private static PendingWrite Lay(Scope scope, ReadOnlySpan<byte> storeKey, OperationCode code, byte[]? value)
    {
        if (scope.Writes!.Find(storeKey) is not { } write)
        {
            write = new PendingWrite { StoreKey = storeKey.ToArray(), Code = 0, OperationKey = [] };
            scope.Writes.Add(write);
        }

        (write.Delta, write.Value, write.IsDelete) = ((long)code, value ?? [], value is null);
        return write;
    }
}
