using System.Buffers.Binary;
using Cairn.Codec;
using Cairn.Log;
using Cairn.Store;

namespace Cairn.Primitives;

/// <summary>Store keys of concepts and associations; see the essay of <see cref="ConceptOperations"/>. Ids and types hold no zero, so a
/// zero ends them, and the associations of an end lie together, in order of type and then of the other end.</summary>
internal static class GraphKeys
{
    /// <summary>Longest name of an association: end, zero, type, zero, end.</summary>
    internal const int AssociationBytesMax = Limits.KeyBytesMax + 1 + Limits.NameBytesMax + 1 + Limits.KeyBytesMax;

    internal const int LengthMax = 1 + AssociationBytesMax;

    /// <summary>Before an end that is no concept: nobody can give a concept such an id (NAM-3).</summary>
    private const char AddressMark = '$';

    internal static ReadOnlySpan<byte> Of(Span<byte> target, byte family, scoped ReadOnlySpan<byte> rest) =>
        StoreKeys.Of(target, family, rest);

    /// <summary>An end as a key holds it: of a concept its id, of anything else its address behind a mark.</summary>
    /// <param name="target">At least <see cref="Limits.KeyBytesMax"/> bytes.</param>
    internal static ReadOnlySpan<byte> End(Span<byte> target, ItemAddress end)
    {
        int length;
        if (end.Primitive == ItemAddress.GraphPrimitive)
        {
            KeyRules.EncodeKey(end.Key, target, out length);
            return target[..length];
        }

        var text = end.ToString();
        if (!ItemAddress.TryParse(text, out _))
        {
            throw new CairnException(
                ErrorCode.InvalidArgument,
                "An end of an association is the address of a thing of this run, such as kv/customer or graph/ada.");
        }

        KeyRules.EncodeKeyForRead(AddressMark + text, target, out length);
        return target[..length];
    }

    internal static bool IsConcept(ReadOnlySpan<byte> end) => end[0] != (byte)AddressMark;

    internal static ItemAddress ReadEnd(ReadOnlySpan<byte> end)
    {
        var text = Utf8.GetTrustedString(end);
        if (IsConcept(end))
            return ItemAddress.OfConcept(text);
        Invariant.Check(ItemAddress.TryParse(text[1..], out var address), "an end that is no concept is an address");
        return address;
    }

    /// <summary>What people call an association: its ends and its type, as an array of texts in JSON. An end that is no concept is its
    /// address behind a <c>$</c>.</summary>
    /// <param name="isByTarget">The key begins with the target.</param>
    internal static string Text(ReadOnlySpan<byte> association, bool isByTarget) =>
        TrySplit(association, out var first, out var type, out var second)
            ? Value.Array(
                Utf8.GetTrustedString(isByTarget ? second : first), Utf8.GetTrustedString(type),
                Utf8.GetTrustedString(isByTarget ? first : second)).ToJson()
            : Convert.ToHexStringLower(association);

    /// <summary>The key of an association from what people call it.</summary>
    /// <param name="target">At least <see cref="AssociationBytesMax"/> bytes.</param>
    /// <returns>False: it is not such a text.</returns>
    internal static bool TryParse(Span<byte> target, string text, out ReadOnlySpan<byte> association)
    {
        association = default;
        try
        {
            var parts = Value.FromJson(text);
            if (parts.Kind != ValueKind.Array || parts.Count != 3 || parts.AsArray().Any(part => part.Kind != ValueKind.String))
                return false;
            var bytes = Utf8.GetBytes($"{parts[0].AsString()}\0{parts[1].AsString()}\0{parts[2].AsString()}");
            if (bytes.Length > target.Length || !TrySplit(bytes, out _, out _, out _))
                return false;
            bytes.CopyTo(target);
            association = target[..bytes.Length];
            return true;
        }
        catch (CairnException)
        {
            return false;
        }
    }

    /// <summary>Bytes of the body of an operation on an association.</summary>
    internal static int BodyBytes(ReadOnlySpan<byte> association, int rowBytes) =>
        LengthBytes + association.Length - SourceBytes(association) - 2 + rowBytes;

    /// <summary>What the key of an operation on an association is: the end that it leads from.</summary>
    internal static ReadOnlySpan<byte> Source(ReadOnlySpan<byte> association) => association[..SourceBytes(association)];

    /// <summary>Writes the rest of the name into the body of an operation.</summary>
    /// <returns>Where the row goes.</returns>
    internal static Span<byte> WriteBody(Span<byte> body, ReadOnlySpan<byte> association)
    {
        Invariant.Check(TrySplit(association, out _, out _, out _), "the name of an association");
        TrySplit(association, out _, out var type, out var target);
        BinaryPrimitives.WriteUInt16LittleEndian(body, (ushort)type.Length);
        BinaryPrimitives.WriteUInt16LittleEndian(body[2..], (ushort)target.Length);
        type.CopyTo(body[LengthBytes..]);
        target.CopyTo(body[(LengthBytes + type.Length)..]);
        return body[(LengthBytes + type.Length + target.Length)..];
    }

    /// <summary>The name of the association that an operation is about, and its row.</summary>
    /// <param name="buffer">At least <see cref="AssociationBytesMax"/> bytes.</param>
    /// <returns>False: it is not such an operation.</returns>
    internal static bool TryRead(
        in Operation operation, Span<byte> buffer, out ReadOnlySpan<byte> association, out ReadOnlySpan<byte> row)
    {
        association = row = default;
        var body = operation.FullBody;
        if (operation.HasExpiry || operation.Key.Length is 0 or > Limits.KeyBytesMax || !TryReadRow(body, out row))
            return false;
        var type = body.Slice(LengthBytes, BinaryPrimitives.ReadUInt16LittleEndian(body));
        var target = body[(LengthBytes + type.Length)..^row.Length];
        if (type.Length > Limits.NameBytesMax || target.Length > Limits.KeyBytesMax)
            return false;
        association = Association(buffer, operation.Key, type, target);
        return TrySplit(association, out var source, out _, out _) && source.Length == operation.Key.Length;
    }

    /// <summary>The row in the body of an operation on an association.</summary>
    internal static bool TryReadRow(ReadOnlySpan<byte> body, out ReadOnlySpan<byte> row)
    {
        row = default;
        if (body.Length < LengthBytes)
            return false;
        var names = BinaryPrimitives.ReadUInt16LittleEndian(body) + BinaryPrimitives.ReadUInt16LittleEndian(body[2..]);
        if (names > body.Length - LengthBytes)
            return false;
        row = body[(LengthBytes + names)..];
        return true;
    }

    private const int LengthBytes = 2 * sizeof(ushort);

    private static int SourceBytes(ReadOnlySpan<byte> association) => association.IndexOf((byte)0);

    /// <summary>The name of an association.</summary>
    /// <param name="target">At least <see cref="AssociationBytesMax"/> bytes.</param>
    internal static ReadOnlySpan<byte> Association(
        Span<byte> target, scoped ReadOnlySpan<byte> source, scoped ReadOnlySpan<byte> type, scoped ReadOnlySpan<byte> other)
    {
        source.CopyTo(target);
        target[source.Length] = 0;
        var rest = target[(source.Length + 1)..];
        type.CopyTo(rest);
        rest[type.Length] = 0;
        other.CopyTo(rest[(type.Length + 1)..]);
        return target[..(source.Length + 1 + type.Length + 1 + other.Length)];
    }

    /// <summary>The same association, or one of the same type and ends, from the other end.</summary>
    internal static ReadOnlySpan<byte> Reversed(Span<byte> target, scoped ReadOnlySpan<byte> association)
    {
        Invariant.Check(TrySplit(association, out var source, out var type, out var other), "the key of an association");
        return Association(target, other, type, source);
    }

    /// <summary>All associations of an end, of one type or of all.</summary>
    internal static ReadOnlySpan<byte> Prefix(
        Span<byte> target, byte family, scoped ReadOnlySpan<byte> end, scoped ReadOnlySpan<byte> type = default)
    {
        target[0] = family;
        end.CopyTo(target[1..]);
        var length = 1 + end.Length;
        target[length++] = 0;
        if (!type.IsEmpty)
        {
            type.CopyTo(target[length..]);
            length += type.Length;
            target[length++] = 0;
        }

        return target[..length];
    }

    /// <param name="association">Without the family.</param>
    /// <returns>False: it is none.</returns>
    internal static bool TrySplit(
        ReadOnlySpan<byte> association, out ReadOnlySpan<byte> first, out ReadOnlySpan<byte> type, out ReadOnlySpan<byte> second)
    {
        first = type = second = default;
        var end = association.IndexOf((byte)0);
        if (end <= 0)
            return false;
        first = association[..end];
        var rest = association[(end + 1)..];
        end = rest.IndexOf((byte)0);
        if (end <= 0)
            return false;
        type = rest[..end];
        second = rest[(end + 1)..];
        return !second.IsEmpty && !second.Contains((byte)0) && first.Length <= Limits.KeyBytesMax && type.Length <= Limits.NameBytesMax
            && second.Length <= Limits.KeyBytesMax;
    }

    internal static ReadOnlySpan<byte> Type(Span<byte> target, string type, scoped ReadOnlySpan<byte> id)
    {
        var length = TypePrefix(target, type).Length;
        id.CopyTo(target[length..]);
        return target[..(length + id.Length)];
    }

    internal static ReadOnlySpan<byte> TypePrefix(Span<byte> target, string type)
    {
        target[0] = StoreKeys.ConceptType;
        var length = 1 + Utf8.GetBytes(type, target[1..]);
        target[length++] = 0;
        return target[..length];
    }

    internal static ReadOnlySpan<byte> Time(Span<byte> target, long time, scoped ReadOnlySpan<byte> id)
    {
        target[0] = StoreKeys.ConceptTime;
        var writer = new KeyWriter(target[1..]);
        writer.Int64(time);
        id.CopyTo(target[TimeBytes..]);
        return target[..(TimeBytes + id.Length)];
    }

    /// <summary>Before the id in the order of creation.</summary>
    internal const int TimeBytes = 1 + sizeof(long);
}
