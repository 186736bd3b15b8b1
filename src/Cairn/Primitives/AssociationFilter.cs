using Cairn.Codec;
using Cairn.Store;
using Cairn.Transactions;

namespace Cairn.Primitives;

/// <summary>
/// Which associations of an end are asked for: a row of ranges of keys, and what else each of them must be. The ranges are those by the
/// source, those by the target, or both, and of each one range or one for each type. A symmetric association is in the ranges of both
/// directions; where both are read, only the first gives it.
/// </summary>
internal sealed class AssociationFilter
{
    private readonly AssociationDirection _direction;
    private readonly List<byte[]> _types;
    private readonly long? _validAt;
    private readonly double _confidence;
    private readonly Filter? _filter;
    private readonly Limits _limits;

    /// <exception cref="CairnException">What is asked for cannot be.</exception>
    /// <exception cref="LimitException">Something of it is too large.</exception>
    internal AssociationFilter(
        AssociationDirection direction, IReadOnlyCollection<string>? types, DateTimeOffset? validAt, double confidence, Filter? filter,
        Limits limits)
    {
        if (!Enum.IsDefined(direction))
            throw new CairnException(ErrorCode.InvalidArgument, $"There is no direction {(int)direction} of associations.");
        if (confidence is not (>= 0 and <= 1))
            throw new CairnException(ErrorCode.InvalidArgument, $"The least confidence is {confidence}; it is from 0 to 1.");
        filter?.Check(limits);
        _direction = direction;
        _types = TypesOf(types, limits);
        _validAt = validAt is { } time ? CommitClock.Microseconds(time) : null;
        (_confidence, _filter, _limits) = (confidence, filter, limits);
    }

    private static List<byte[]> TypesOf(IReadOnlyCollection<string>? types, Limits limits)
    {
        if (types is null)
            return [[]];
        Many.CheckCount(types.Count, limits);
        Span<byte> buffer = stackalloc byte[Limits.NameBytesMax];
        var names = new SortedSet<byte[]>(ByteArrayComparer.Instance);
        foreach (var type in types)
        {
            KeyRules.EncodeNameForRead(type, buffer, out var length);
            if (!names.Add(buffer[..length].ToArray()))
                throw new CairnException(ErrorCode.InvalidArgument, "A type of associations is asked for twice. Name each once.");
        }

        return names.Count > 0
            ? [.. names]
            : throw new CairnException(
                ErrorCode.InvalidArgument, "No type of associations is asked for, so nothing would be found. Null asks for all.");
    }

    /// <summary>The ranges of an end, in the order in which they are read, which is that of their keys.</summary>
    internal List<(byte[] From, byte[] To)> RangesOf(ReadOnlySpan<byte> end)
    {
        var ranges = new List<(byte[] From, byte[] To)>(2 * _types.Count);
        if (_direction != AssociationDirection.In)
            Add(ranges, StoreKeys.Association, end);
        if (_direction != AssociationDirection.Out)
            Add(ranges, StoreKeys.AssociationByTarget, end);
        return ranges;
    }

    private void Add(List<(byte[] From, byte[] To)> ranges, byte family, ReadOnlySpan<byte> end)
    {
        Span<byte> prefix = stackalloc byte[GraphKeys.LengthMax];
        foreach (var type in _types)
        {
            var from = GraphKeys.Prefix(prefix, family, end, type).ToArray();
            ranges.Add((from, [.. from.AsSpan(0, from.Length - 1), 1]));
        }
    }

    /// <summary>What two questions must have in common to go on with each other's cursors.</summary>
    internal uint Check(uint crc)
    {
        crc = Crc32C.Append(crc, BitConverter.GetBytes(_confidence));
        crc = Crc32C.Append(crc, BitConverter.GetBytes(_validAt ?? long.MinValue));
        crc = Crc32C.Append(crc, [(byte)(_validAt is null ? 0 : 1), (byte)_direction]);
        return _filter is null ? crc : Crc32C.Append(crc, _filter.ToValue().Encode());
    }

    /// <param name="association">As it is seen from the end; null where it was not needed to decide.</param>
    internal bool Takes(Scope at, ReadOnlySpan<byte> storeKey, scoped in VersionView version, out Association? association)
    {
        association = null;
        Invariant.Check(AssociationRow.TryRead(version.Value, out var row), "a stored association reads back");
        if ((row.IsSymmetric && _direction == AssociationDirection.Both && storeKey[0] == StoreKeys.AssociationByTarget)
            || row.Confidence < _confidence || (_validAt is { } time && !row.IsValidAt(time)))
        {
            return false;
        }

        if (_filter is null)
            return true;
        association = Read(at, storeKey, version);
        var item = new FilterItem(
            AssociationRow.Document(association), association.Target.ToString(), association.Version, CommitClock.Time(version.Time));
        return _filter.Matches(item, _limits);
    }

    /// <summary>The association, with its attributes, which the key by the target does not have.</summary>
    internal static Association Read(Scope at, ReadOnlySpan<byte> storeKey, scoped in VersionView version) =>
        AssociationRow.ToAssociation(
            storeKey, version,
            storeKey[0] == StoreKeys.AssociationByTarget && (version.Value[0] & AssociationRow.HasAttributes) != 0
                ? AttributesOf(at, storeKey)
                : default);

    // GR1: they stand in the row by the source.
    private static Value AttributesOf(Scope at, ReadOnlySpan<byte> storeKey)
    {
        Span<byte> reversed = stackalloc byte[GraphKeys.AssociationBytesMax];
        Span<byte> key = stackalloc byte[GraphKeys.LengthMax];
        using var reader = at.Run.Store.Read();
        var source = GraphKeys.Of(key, StoreKeys.Association, GraphKeys.Reversed(reversed, storeKey[1..]));
        var isThere = at.TryGet(reader, source, out var version);
        Invariant.Check(
            isThere && AssociationRow.TryRead(version.Value, out _), "an association by its target is there by its source too");
        AssociationRow.TryRead(version.Value, out var row);
        return Value.Decode(row.Attributes);
    }
}
