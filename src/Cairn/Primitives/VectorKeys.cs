using System.Buffers.Binary;
using Cairn.Codec;
using Cairn.Store;

namespace Cairn.Primitives;

/// <summary>
/// Store keys of collections and their vectors.
/// <code>
///  70 name            the collection: what it is (VectorConfiguration)
///  71 name 00 key     the head of a vector: id u64, then its metadata, canonical, or nothing
///  72 name 00 id      its row: the stored embedding, then the key
///  73 name            numbers of the collection: next id u64, count u64 </code>
/// Names and keys hold no zero, so vectors of a collection lie together. Ids are big-endian in keys, so rows lie in the order in which
/// vectors came; numbers in values are little-endian.
/// </summary>
internal static class VectorKeys
{
    /// <summary>Room for each of them.</summary>
    internal const int BytesMax = 1 + Limits.NameBytesMax + 1 + Limits.KeyBytesMax;

    internal const int IdBytes = sizeof(ulong);

    internal const int NumbersBytes = 2 * sizeof(ulong);

    internal static ReadOnlySpan<byte> Collection(Span<byte> target, ReadOnlySpan<byte> name) =>
        StoreKeys.Of(target, StoreKeys.VectorCollection, name);

    internal static ReadOnlySpan<byte> Numbers(Span<byte> target, ReadOnlySpan<byte> name) =>
        StoreKeys.Of(target, StoreKeys.VectorNumbers, name);

    internal static ReadOnlySpan<byte> Head(Span<byte> target, ReadOnlySpan<byte> name, ReadOnlySpan<byte> key)
    {
        var lead = Prefix(target, StoreKeys.VectorHead, name);
        key.CopyTo(target[lead..]);
        return target[..(lead + key.Length)];
    }

    internal static ReadOnlySpan<byte> Row(Span<byte> target, ReadOnlySpan<byte> name, ulong id)
    {
        var lead = Prefix(target, StoreKeys.VectorRow, name);
        BinaryPrimitives.WriteUInt64BigEndian(target[lead..], id);
        return target[..(lead + IdBytes)];
    }

    /// <summary>All heads, or all rows, of a collection: from here on, up to <see cref="End"/>.</summary>
    internal static byte[] Begin(byte family, ReadOnlySpan<byte> name) => [family, .. name, 0];

    /// <summary>Behind all heads, or all rows, of a collection.</summary>
    internal static byte[] End(byte family, ReadOnlySpan<byte> name) => [family, .. name, 1];

    /// <summary>The collection's name in a store key of any of the four.</summary>
    internal static ReadOnlySpan<byte> NameIn(ReadOnlySpan<byte> storeKey)
    {
        var rest = storeKey[1..];
        if (storeKey[0] is not (StoreKeys.VectorHead or StoreKeys.VectorRow))
            return rest;
        var end = rest.IndexOf((byte)0);
        return end < 0 ? rest : rest[..end];
    }

    /// <summary>The vector's key in the store key of a head.</summary>
    internal static ReadOnlySpan<byte> KeyIn(ReadOnlySpan<byte> head) => head[(1 + NameIn(head).Length + 1)..];

    /// <summary>The id in the store key of a row.</summary>
    internal static ulong IdIn(ReadOnlySpan<byte> row) => BinaryPrimitives.ReadUInt64BigEndian(row[^IdBytes..]);

    /// <summary>How people call a collection, or a vector in it: <c>name</c>, <c>name/key</c>.</summary>
    internal static string Describe(ReadOnlySpan<byte> storeKey)
    {
        var name = Utf8.GetTrustedString(NameIn(storeKey));
        return storeKey[0] switch
        {
            StoreKeys.VectorHead when storeKey.Length > name.Length + 2 => $"{name}/{Utf8.GetTrustedString(KeyIn(storeKey))}",
            StoreKeys.VectorRow when storeKey.Length > IdBytes + 2 => $"{name}/#{IdIn(storeKey)}",
            _ => name,
        };
    }

    private static int Prefix(Span<byte> target, byte family, ReadOnlySpan<byte> name)
    {
        target[0] = family;
        name.CopyTo(target[1..]);
        target[1 + name.Length] = 0;
        return 2 + name.Length;
    }
}
