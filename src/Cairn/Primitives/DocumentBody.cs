using System.Buffers.Binary;
using Cairn.Codec;
using Cairn.Documents;
using Cairn.Log;
using Cairn.Store;

namespace Cairn.Primitives;

/// <summary>
/// The body of an operation on a document, behind the expiry. Layout, integers little-endian: <code>
///  0  u8   there      1 = the document lived when the operation was decided; filled under the run's lock
///  1  u32  path       bytes P; operations on a whole document have neither this nor the path
///  5  P    the path   <see cref="EncodedPath"/>
///     ...             Create, Put, Patch: a canonical value
///                     Set, Merge, StringAppend: path, value          ArrayAppend: path, canonical array
///                     DeletePath: path                               ArrayInsert: path, index i64, canonical array
///                     Increment: path, by, sum                       ArrayRemove: path, index i64, count u32
///                     Destroy, Expire: nothing more </code>
/// by and sum are nine bytes: CB and the bits of a Float64, or D3 and an Int64, both big-endian; the sum is filled with the first byte.
/// </summary>
internal readonly ref struct DocumentBody
{
    internal const int NumberBytes = 9;

    private const int ThereBytes = 1;

    private DocumentBody(bool isThere, ReadOnlySpan<byte> path, ReadOnlySpan<byte> rest)
    {
        IsThere = isThere;
        Path = path;
        Rest = rest;
    }

    internal bool IsThere { get; }

    internal ReadOnlySpan<byte> Path { get; }

    /// <summary>What stands behind the path.</summary>
    internal ReadOnlySpan<byte> Rest { get; }

    internal long Index => BinaryPrimitives.ReadInt64LittleEndian(Rest);

    internal uint Count => BinaryPrimitives.ReadUInt32LittleEndian(Rest[sizeof(long)..]);

    internal static bool HasPath(OperationCode code) => code is OperationCode.JsonSet or OperationCode.JsonDeletePath
        or OperationCode.JsonMerge or OperationCode.JsonArrayAppend or OperationCode.JsonArrayInsert or OperationCode.JsonArrayRemove
        or OperationCode.JsonIncrement or OperationCode.JsonStringAppend;

    /// <summary>Reads and judges a body.</summary>
    /// <returns>False: it is none of this operation.</returns>
    internal static bool TryRead(in Operation operation, out DocumentBody body)
    {
        body = default;
        var source = operation.Body;
        var code = (OperationCode)operation.Code;
        if (source.Length < ThereBytes || source[0] > 1)
            return false;
        var isThere = source[0] == 1;
        source = source[ThereBytes..];
        ReadOnlySpan<byte> path = default;
        if (HasPath(code))
        {
            if (source.Length < sizeof(uint))
                return false;
            var length = BinaryPrimitives.ReadUInt32LittleEndian(source);
            source = source[sizeof(uint)..];
            if (length > source.Length || !EncodedPath.IsWhole(source[..(int)length]))
                return false;
            path = source[..(int)length];
            source = source[(int)length..];
        }

        if (!IsRest(code, source))
            return false;
        body = new DocumentBody(isThere, path, source);
        return true;
    }

    private static bool IsRest(OperationCode code, ReadOnlySpan<byte> rest) => code switch
    {
        OperationCode.JsonCreate or OperationCode.JsonPut or OperationCode.JsonPatch or OperationCode.JsonSet or OperationCode.JsonMerge =>
            ValueDecoder.IsCanonical(rest),
        OperationCode.JsonStringAppend => ValueDecoder.IsCanonical(rest) && IsKind(rest, ValueKind.String),
        OperationCode.JsonArrayAppend => ValueDecoder.IsCanonical(rest) && IsKind(rest, ValueKind.Array),
        OperationCode.JsonArrayInsert => rest.Length > sizeof(long)
            && ValueDecoder.IsCanonical(rest[sizeof(long)..]) && IsKind(rest[sizeof(long)..], ValueKind.Array),
        OperationCode.JsonArrayRemove => rest.Length == sizeof(long) + sizeof(uint),
        OperationCode.JsonIncrement => rest.Length == 2 * NumberBytes && IsNumber(rest) && IsNumber(rest[NumberBytes..]),
        _ => rest.IsEmpty,
    };

    /// <summary>The values of an insertion.</summary>
    internal ReadOnlySpan<byte> Inserted => Rest[sizeof(long)..];

    /// <summary>What an increment adds.</summary>
    internal Value By => ReadNumber(Rest);

    /// <summary>What it came to.</summary>
    internal Value Sum => ReadNumber(Rest[NumberBytes..]);

    /// <summary>What the operation was given beside its path, for people and feeds: a value, a patch, the elements of an append; of an
    /// insertion an Object of <c>index</c> and <c>values</c>, of a removal of <c>index</c> and <c>count</c>; null where there is
    /// nothing.</summary>
    internal Value? Given(OperationCode code) => code switch
    {
        OperationCode.JsonCreate or OperationCode.JsonPut or OperationCode.JsonSet or OperationCode.JsonPatch or OperationCode.JsonMerge
            or OperationCode.JsonArrayAppend or OperationCode.JsonStringAppend => Value.Decode(Rest),
        OperationCode.JsonArrayInsert => Value.Object(("index", Index), ("values", Value.Decode(Inserted))),
        OperationCode.JsonArrayRemove => Value.Object(("index", Index), ("count", (long)Count)),
        OperationCode.JsonIncrement => By,
        _ => default(Value?),
    };

    /// <summary>Bytes of a body.</summary>
    internal static int Length(OperationCode code, int pathBytes, int restBytes) =>
        ThereBytes + (HasPath(code) ? sizeof(uint) + pathBytes : 0) + restBytes;

    /// <summary>Writes all but the rest.</summary>
    /// <returns>The rest, to fill.</returns>
    internal static Span<byte> Write(Span<byte> target, OperationCode code, ReadOnlySpan<byte> path)
    {
        target[0] = 0;
        if (!HasPath(code))
            return target[ThereBytes..];
        BinaryPrimitives.WriteInt32LittleEndian(target[ThereBytes..], path.Length);
        path.CopyTo(target[(ThereBytes + sizeof(uint))..]);
        return target[(ThereBytes + sizeof(uint) + path.Length)..];
    }

    internal static void SetThere(Span<byte> holes, bool isThere) => holes[0] = isThere ? (byte)1 : (byte)0;

    internal static void SetSum(Span<byte> holes, in Value sum) => WriteNumber(holes[^NumberBytes..], sum);

    internal static void WriteNumber(Span<byte> target, in Value number)
    {
        target[0] = number.Kind == ValueKind.Float64 ? (byte)0xCB : (byte)0xD3;
        BinaryPrimitives.WriteInt64BigEndian(
            target[1..], number.Kind == ValueKind.Float64 ? BitConverter.DoubleToInt64Bits(number.AsFloat64()) : number.AsInt64());
    }

    private static Value ReadNumber(ReadOnlySpan<byte> source)
    {
        var bits = BinaryPrimitives.ReadInt64BigEndian(source[1..]);
        return source[0] == 0xCB ? BitConverter.Int64BitsToDouble(bits) : (Value)bits;
    }

    // Documents hold finite numbers.
    private static bool IsNumber(ReadOnlySpan<byte> source) => source[0] == 0xD3
        || (source[0] == 0xCB && double.IsFinite(BitConverter.Int64BitsToDouble(BinaryPrimitives.ReadInt64BigEndian(source[1..]))));

    private static bool IsKind(ReadOnlySpan<byte> canonical, ValueKind kind) =>
        ValueCodec.TryReadKind(canonical, out var found) && found == kind;
}
