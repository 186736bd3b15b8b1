using System.Buffers.Binary;
using Cairn.Log;
using Cairn.Store;

namespace Cairn.Primitives;

/// <summary>
/// Bodies of operations on vectors (docs/format.md), little-endian. The operation's key is the collection's name for the first two, and
/// the vector's key for the others:
/// <code>
///  70 Create       u64 first id, then the configuration (VectorConfiguration)
///  71 Drop         nothing
///  72 Upsert       [expiry] u64 id, u8 flags, u8 element, u16 length of the name, u32 dimension, name, embedding, metadata
///                  flags 0: the commit gives the id; 1: the writer has chosen it; 2: the writer wishes for it, if it is nobody's
///  73 SetMetadata  u16 length of the name, name, metadata
///  74 Delete       u16 length of the name, name </code>
/// Metadata is a canonical Object, or nothing at all.
/// </summary>
internal readonly ref struct VectorBody
{
    internal const byte HasIdFlag = 1;

    internal const byte WishesIdFlag = 2;

    private const int UpsertFixedBytes = 16;

    private VectorBody(ReadOnlySpan<byte> name, ReadOnlySpan<byte> embedding, ReadOnlySpan<byte> metadata)
    {
        Name = name;
        Embedding = embedding;
        Metadata = metadata;
    }

    /// <summary>The collection.</summary>
    internal ReadOnlySpan<byte> Name { get; }

    /// <summary>Of Upsert.</summary>
    internal ReadOnlySpan<byte> Embedding { get; }

    /// <summary>Of Upsert and SetMetadata; empty = none.</summary>
    internal ReadOnlySpan<byte> Metadata { get; }

    /// <summary>Of Upsert; 0 before it is decided. Of Create the first id.</summary>
    internal ulong Id { get; private init; }

    internal bool HasId { get; private init; }

    internal bool WishesId { get; private init; }

    internal VectorElement Element { get; private init; }

    internal int Dimension { get; private init; }

    /// <summary>Of Create.</summary>
    internal ReadOnlySpan<byte> Configuration { get; private init; }

    internal static bool IsVector(byte code) => (code & 0xF0) == StoreKeys.VectorCollection;

    /// <summary>False when it is none; key and expiry are not looked at.</summary>
    internal static bool TryRead(in Operation operation, out VectorBody body)
    {
        var bytes = operation.Body;
        body = default;
        switch ((OperationCode)operation.Code)
        {
            case OperationCode.VectorCreate:
                if (bytes.Length < sizeof(ulong) || !VectorConfiguration.TryRead(bytes[sizeof(ulong)..], out var configuration))
                    return false;
                body = new VectorBody(operation.Key, default, default)
                {
                    Id = BinaryPrimitives.ReadUInt64LittleEndian(bytes), Configuration = configuration.Bytes,
                };
                return body.Id > 0;
            case OperationCode.VectorDrop:
                body = new VectorBody(operation.Key, default, default);
                return bytes.IsEmpty;
            case OperationCode.VectorUpsert:
                return TryReadUpsert(bytes, out body);
            case OperationCode.VectorSetMetadata or OperationCode.VectorDelete:
                if (bytes.Length < sizeof(ushort) || BinaryPrimitives.ReadUInt16LittleEndian(bytes) is var length
                    && (length is 0 or > Limits.NameBytesMax || length > bytes.Length - sizeof(ushort)))
                {
                    return false;
                }

                body = new VectorBody(bytes.Slice(sizeof(ushort), length), default, bytes[(sizeof(ushort) + length)..]);
                return operation.Code == (byte)OperationCode.VectorSetMetadata || body.Metadata.IsEmpty;
            default:
                return false;
        }
    }

    private static bool TryReadUpsert(ReadOnlySpan<byte> bytes, out VectorBody body)
    {
        body = default;
        if (bytes.Length < UpsertFixedBytes || bytes[8] > WishesIdFlag || bytes[9] > (byte)VectorElement.I8)
            return false;
        var element = (VectorElement)bytes[9];
        var nameBytes = BinaryPrimitives.ReadUInt16LittleEndian(bytes[10..]);
        var dimension = BinaryPrimitives.ReadUInt32LittleEndian(bytes[12..]);
        if (nameBytes is 0 or > Limits.NameBytesMax || dimension is 0 or > VectorConfiguration.DimensionMost)
            return false;
        var embeddingBytes = VectorConfiguration.EmbeddingBytesOf(element, (int)dimension);
        if (bytes.Length < UpsertFixedBytes + nameBytes + embeddingBytes)
            return false;
        var rest = bytes[(UpsertFixedBytes + nameBytes)..];
        body = new VectorBody(bytes.Slice(UpsertFixedBytes, nameBytes), rest[..embeddingBytes], rest[embeddingBytes..])
        {
            Id = BinaryPrimitives.ReadUInt64LittleEndian(bytes), HasId = bytes[8] == HasIdFlag, WishesId = bytes[8] == WishesIdFlag,
            Element = element, Dimension = (int)dimension,
        };
        return true;
    }

    /// <summary>Reads the body of an Upsert that was written here.</summary>
    internal static VectorBody ReadUpsert(ReadOnlySpan<byte> bytes)
    {
        Invariant.Check(TryReadUpsert(bytes, out var body), "a pending Upsert is one");
        return body;
    }

    /// <summary>The metadata in the body of a SetMetadata that was written here.</summary>
    internal static ReadOnlySpan<byte> MetadataIn(ReadOnlySpan<byte> bytes) =>
        bytes[(sizeof(ushort) + BinaryPrimitives.ReadUInt16LittleEndian(bytes))..];

    // ---- writing ---------------------------------------------------------------------------------------------------------------

    internal static int UpsertBytes(int nameBytes, int embeddingBytes, int metadataBytes) =>
        UpsertFixedBytes + nameBytes + embeddingBytes + metadataBytes;

    /// <summary>Writes all but embedding and metadata.</summary>
    /// <param name="id">0 = the commit gives it.</param>
    /// <returns>Room for those two.</returns>
    internal static Span<byte> WriteUpsert(
        Span<byte> body, ReadOnlySpan<byte> name, VectorElement element, int dimension, ulong id = 0)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(body, id);
        body[8] = id == 0 ? (byte)0 : HasIdFlag;
        body[9] = (byte)element;
        BinaryPrimitives.WriteUInt16LittleEndian(body[10..], (ushort)name.Length);
        BinaryPrimitives.WriteInt32LittleEndian(body[12..], dimension);
        name.CopyTo(body[UpsertFixedBytes..]);
        return body[(UpsertFixedBytes + name.Length)..];
    }

    /// <summary>Fills the id in a body of Upsert.</summary>
    internal static void SetId(Span<byte> body, ulong id) => BinaryPrimitives.WriteUInt64LittleEndian(body, id);

    /// <summary>Asks for an id in a body of Upsert, and lets the commit give another; 0 = any.</summary>
    internal static void WishForId(Span<byte> body, ulong id)
    {
        SetId(body, id);
        body[8] = id == 0 ? (byte)0 : WishesIdFlag;
    }

    internal static int NamedBytes(int nameBytes, int metadataBytes) => sizeof(ushort) + nameBytes + metadataBytes;

    /// <summary>Writes what names the collection, of SetMetadata and Delete.</summary>
    /// <returns>Room for the metadata.</returns>
    internal static Span<byte> WriteNamed(Span<byte> body, ReadOnlySpan<byte> name)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(body, (ushort)name.Length);
        name.CopyTo(body[sizeof(ushort)..]);
        return body[(sizeof(ushort) + name.Length)..];
    }

    internal static byte[] Create(ReadOnlySpan<byte> configuration, ulong firstId = 1)
    {
        var body = new byte[sizeof(ulong) + configuration.Length];
        BinaryPrimitives.WriteUInt64LittleEndian(body, firstId);
        configuration.CopyTo(body.AsSpan(sizeof(ulong)));
        return body;
    }
}
