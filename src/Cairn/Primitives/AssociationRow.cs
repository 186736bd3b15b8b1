using System.Buffers.Binary;
using Cairn.Codec;
using Cairn.Store;

namespace Cairn.Primitives;

/// <summary>
/// What an association says, as an operation carries it and as both its keys hold it; the one by the target without the attributes. Layout,
/// little-endian: <code>
///  0  u8   flags
///  1  f64  weight        finite, 0 or more
///  9  f64  confidence    0 to 1
/// 17  i64  valid from    with the flag; microseconds since 1970, the least one = always
/// 25  i64  valid to      with the flag; exclusive, the greatest one = for ever
///     ...  attributes    with the flag: a canonical object that is not empty </code>
/// </summary>
internal readonly ref struct AssociationRow
{
    /// <summary>Found from either end; kept under both orders of its ends.</summary>
    internal const byte Symmetric = 1;

    /// <summary>Of a symmetric one, the key whose first end is the larger. In the store alone.</summary>
    internal const byte Mirror = 2;

    internal const byte HasValidity = 4;
    internal const byte HasAttributes = 8;

    /// <summary>The commit is refused if the source is no concept (GR-11). In operations alone.</summary>
    internal const byte NeedsSource = 16;

    internal const byte NeedsTarget = 32;

    internal const byte Needs = NeedsSource | NeedsTarget;

    /// <summary>What stands before the attributes.</summary>
    internal const int FixedBytesMax = 33;

    private const int ValidityAt = 17;

    internal byte Flags { get; private init; }

    internal double Weight { get; private init; }

    internal double Confidence { get; private init; }

    internal long From { get; private init; }

    internal long To { get; private init; }

    /// <summary>Empty for none, and in the row by the target.</summary>
    internal ReadOnlySpan<byte> Attributes { get; private init; }

    internal bool IsSymmetric => (Flags & Symmetric) != 0;

    internal bool IsMirror => (Flags & Mirror) != 0;

    internal bool IsValidAt(long time) => From <= time && time < To;

    /// <summary>Bytes before the attributes.</summary>
    internal static int FixedBytes(byte flags) => (flags & HasValidity) != 0 ? FixedBytesMax : ValidityAt;

    /// <returns>False: these bytes are none.</returns>
    internal static bool TryRead(ReadOnlySpan<byte> bytes, out AssociationRow row)
    {
        row = default;
        if (bytes.Length < ValidityAt || bytes.Length < FixedBytes(bytes[0]) || bytes[0] >> 6 != 0)
            return false;
        var flags = bytes[0];
        var hasValidity = (flags & HasValidity) != 0;
        row = new AssociationRow
        {
            Flags = flags,
            Weight = BinaryPrimitives.ReadDoubleLittleEndian(bytes[1..]),
            Confidence = BinaryPrimitives.ReadDoubleLittleEndian(bytes[9..]),
            From = hasValidity ? BinaryPrimitives.ReadInt64LittleEndian(bytes[ValidityAt..]) : long.MinValue,
            To = hasValidity ? BinaryPrimitives.ReadInt64LittleEndian(bytes[(ValidityAt + 8)..]) : long.MaxValue,
            Attributes = bytes[FixedBytes(flags)..],
        };
        return row.Weight >= 0 && double.IsFinite(row.Weight) && row.Confidence is >= 0 and <= 1 && row.From < row.To;
    }

    /// <summary>An operation's row: it says all that it carries.</summary>
    internal static bool TryReadOperation(ReadOnlySpan<byte> bytes, out AssociationRow row) =>
        TryRead(bytes, out row) && (row.Flags & Mirror) == 0 && (row.Flags & HasAttributes) != 0 == !row.Attributes.IsEmpty
        && (row.Attributes.IsEmpty
            || (ValueDecoder.TryDecode(row.Attributes, out var attributes, out _) && attributes.Kind == ValueKind.Object));

    /// <summary>What an operation on an association asks for, for people; null when its body is none.</summary>
    internal static Value? Asked(ReadOnlySpan<byte> body) =>
        GraphKeys.TryReadRow(body, out var bytes) && TryReadOperation(bytes, out var row) ? row.ToValue() : default(Value?);

    /// <summary>What an operation carries.</summary>
    /// <param name="needs">Of <see cref="Needs"/>.</param>
    internal static byte[] Write(AssociationOptions options, byte needs)
    {
        var hasValidity = options.ValidFrom is not null || options.ValidTo is not null;
        var attributes = options.Attributes is { Count: > 0 } given ? given : default(Value?);
        var flags = (byte)(needs | (options.IsSymmetric ? Symmetric : 0) | (hasValidity ? HasValidity : 0)
            | (attributes is null ? 0 : HasAttributes));
        var bytes = new byte[FixedBytes(flags) + (attributes?.EncodedLength ?? 0)];
        bytes[0] = flags;
        BinaryPrimitives.WriteDoubleLittleEndian(bytes.AsSpan(1), options.Weight);
        BinaryPrimitives.WriteDoubleLittleEndian(bytes.AsSpan(9), options.Confidence);
        if (hasValidity)
        {
            BinaryPrimitives.WriteInt64LittleEndian(
                bytes.AsSpan(ValidityAt), options.ValidFrom is { } from ? CommitClock.Microseconds(from) : long.MinValue);
            BinaryPrimitives.WriteInt64LittleEndian(
                bytes.AsSpan(ValidityAt + 8), options.ValidTo is { } to ? CommitClock.Microseconds(to) : long.MaxValue);
        }

        if (attributes is { } kept)
            ValueCodec.Encode(kept, bytes.AsSpan(FixedBytes(flags)));
        return bytes;
    }

    /// <summary>GR-7, before anything is written.</summary>
    internal static void Check(AssociationOptions options, Limits limits)
    {
        if (!(options.Weight >= 0) || !double.IsFinite(options.Weight))
            throw Violated($"The weight of an association is {options.Weight}; it is a finite number, 0 or more.");
        if (options.Confidence is not (>= 0 and <= 1))
            throw Violated($"The confidence of an association is {options.Confidence}; it is from 0 to 1.");
        if (!Enum.IsDefined(options.MissingEnd))
            throw new CairnException(ErrorCode.InvalidArgument, $"There is no policy {(int)options.MissingEnd} for ends that are missing.");
        if (options is { ValidFrom: { } from, ValidTo: { } to } && CommitClock.Microseconds(from) >= CommitClock.Microseconds(to))
            throw Violated("An association is valid from a time before the one that it is valid to; both are in microseconds.");
        if (options.Attributes is { } attributes)
            RunRules.CheckMetadata(attributes, limits);
    }

    private static CairnException Violated(string what) => new(ErrorCode.ConstraintViolation, what);

    /// <summary>A stored row as people see it.</summary>
    /// <param name="attributes">Of a row by the target, which has none itself; anything but an Object = none.</param>
    internal static Association ToAssociation(ReadOnlySpan<byte> storeKey, scoped in VersionView version, Value attributes)
    {
        ReadOnlySpan<byte> first = default, type = default, second = default;
        Invariant.Check(
            TryRead(version.Value, out var row) && GraphKeys.TrySplit(storeKey[1..], out first, out type, out second),
            "a stored association reads back");
        var isReversed = storeKey[0] == StoreKeys.AssociationByTarget && !row.IsSymmetric;
        return new Association
        {
            Source = GraphKeys.ReadEnd(isReversed ? second : first),
            Type = Utf8.GetTrustedString(type),
            Target = GraphKeys.ReadEnd(isReversed ? first : second),
            Weight = row.Weight,
            Confidence = row.Confidence,
            ValidFrom = row.From == long.MinValue ? null : CommitClock.Time(row.From),
            ValidTo = row.To == long.MaxValue ? null : CommitClock.Time(row.To),
            Attributes = !row.Attributes.IsEmpty ? Value.Decode(row.Attributes)
                : attributes.Kind == ValueKind.Object ? attributes : Value.Object(),
            IsSymmetric = row.IsSymmetric,
            Version = new Sequence(version.Sequence),
        };
    }

    /// <summary>What it says, as an object, for people and programs.</summary>
    internal Value ToValue() => Fields.Write(
        ("weight", (Value)Weight),
        ("confidence", (Value)Confidence),
        ("validFrom", From == long.MinValue ? default(Value?) : (Value)From),
        ("validTo", To == long.MaxValue ? default(Value?) : (Value)To),
        ("symmetric", Fields.Of(IsSymmetric)),
        ("attributes", Attributes.IsEmpty ? default(Value?) : Value.Decode(Attributes)));

    /// <summary>What paths and filters see of an association.</summary>
    internal static Value Document(Association association) => Fields.Write(
        ("source", (Value)association.Source.ToString()),
        ("type", (Value)association.Type),
        ("target", (Value)association.Target.ToString()),
        ("weight", (Value)association.Weight),
        ("confidence", (Value)association.Confidence),
        ("validFrom", association.ValidFrom is { } from ? CommitClock.Microseconds(from) : default(Value?)),
        ("validTo", association.ValidTo is { } to ? CommitClock.Microseconds(to) : default(Value?)),
        ("symmetric", (Value)association.IsSymmetric),
        ("attributes", association.Attributes));
}
