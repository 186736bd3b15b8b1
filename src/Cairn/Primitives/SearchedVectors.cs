using Cairn.Codec;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn.Primitives;

/// <summary>Vectors in the search by words: the key, and every string in the metadata (VEC-26). The key of a thing is the store key of
/// its head without the family: the collection, a zero, the vector's key. Embeddings are not read.</summary>
internal sealed class SearchedVectors : SearchedThings
{
    internal override byte Family => StoreKeys.VectorHead;

    internal override string Name => "vectors";

    internal override bool HasKeys => true;

    internal override ReadOnlySpan<byte> KeyOf(ReadOnlySpan<byte> key) => key[(key.IndexOf((byte)0) + 1)..];

    internal override ItemAddress AddressOf(ReadOnlySpan<byte> key) =>
        ItemAddress.OfVector(Utf8.GetTrustedString(CollectionOf(key)), Utf8.GetTrustedString(KeyOf(key)));

    // A transaction may have dropped the collection of a head that the store has; so each is looked for by itself there.
    internal override bool Scan(Scope scope, ListingRoom room, byte[]? after, ThingText text, Func<ThingText, bool> visit)
    {
        if (scope.Writes is not { Count: > 0 })
            return base.Scan(scope, room, after, text, visit);
        byte[] from = after is null ? [Family] : [Family, .. after, 0];
        var rows = new Listing(
            scope, room.Cursors, room.Pins, Family, from, [(byte)(Family + 1)], int.MaxValue, cursor: null, reverse: false);
        try
        {
            while (rows.MoveNext())
            {
                if (TryRead(scope, rows.Key[1..], text) && !visit(text))
                    return false;
            }

            return true;
        }
        finally
        {
            rows.Dispose();
        }
    }

    internal override bool TryRead(Scope scope, ReadOnlySpan<byte> key, ThingText text)
    {
        using var reader = scope.Run.Store.Read();
        if (!TryFind(scope, reader, key, out var head, out var metadata))
            return false;
        Fill(key, head, metadata, text);
        return true;
    }

    internal override bool Holds(Scope scope, byte[] key, Filter filter)
    {
        using var reader = scope.Run.Store.Read();
        return TryFind(scope, reader, key, out var head, out var metadata) && filter.Matches(
            new FilterItem(
                ValueOf(metadata), Utf8.GetTrustedString(KeyOf(key)), new Sequence(head.Sequence), CommitClock.Time(head.Time)),
            scope.Path.Limits);
    }

    internal override Value Show(Scope scope, byte[] key)
    {
        using var reader = scope.Run.Store.Read();
        var isThere = TryFind(scope, reader, key, out _, out var metadata);
        Invariant.Check(isThere, "what was found is there");
        return ValueOf(metadata);
    }

    protected override void Fill(Scope scope, ReadOnlySpan<byte> key, scoped in VersionView version, ThingText text) =>
        Fill(key, version, VectorOperations.MetadataOf(version.Value), text);

    protected override Value ValueOf(ReadOnlySpan<byte> key, scoped in VersionView version) =>
        ValueOf(VectorOperations.MetadataOf(version.Value));

    private static Value ValueOf(ReadOnlySpan<byte> metadata) => metadata.IsEmpty ? Value.Null : Value.Decode(metadata);

    private void Fill(ReadOnlySpan<byte> key, scoped in VersionView head, ReadOnlySpan<byte> metadata, ThingText text)
    {
        text.Begin(this, key, head.Sequence, head.Time, head.Expiry);
        text.Add(TextField.Key, KeyOf(key));
        if (!metadata.IsEmpty)
            text.AddStrings(TextField.Metadata, metadata);
    }

    /// <summary>The head, with a transaction's own write over it as <see cref="VectorLook"/> has it.</summary>
    private static bool TryFind(
        Scope scope, scoped in StoreReader reader, ReadOnlySpan<byte> key, out VersionView head, out ReadOnlySpan<byte> metadata)
    {
        metadata = default;
        var storeKey = StoreKeys.Of(new byte[1 + key.Length], StoreKeys.VectorHead, key);    // what is found may hold on to it
        var write = scope.Writes is { Count: > 0 } writes ? writes.Find(storeKey) : null;
        var isUpsert = write is { IsDelete: false } && (OperationCode)write.Delta == OperationCode.VectorUpsert;
        if (!scope.TryGet(reader, storeKey, out head) || (!isUpsert && HidesStore(scope, CollectionOf(key))))
            return false;
        metadata = write is null ? VectorOperations.MetadataOf(head.Value)
            : isUpsert ? VectorBody.ReadUpsert(write.Value).Metadata
            : VectorBody.MetadataIn(write.Value);
        return true;
    }

    private static bool HidesStore(Scope scope, ReadOnlySpan<byte> collection)
    {
        if (scope.Writes is not { Count: > 0 } writes)
            return false;
        Span<byte> buffer = stackalloc byte[VectorKeys.BytesMax];
        return writes.Find(VectorKeys.Collection(buffer, collection)) is { } write && (write.IsDelete || write.Steps == 1);
    }

    private static ReadOnlySpan<byte> CollectionOf(ReadOnlySpan<byte> key) => key[..key.IndexOf((byte)0)];
}
