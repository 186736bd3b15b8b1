// Items of secondary indexes: what stands in them for a thing, as bytes in the order that queries want.
//
//   store key     91 number(4) part .. part thing-key       one item; its value is empty
//
// A part stands for what a thing has at one of the index's paths:
//
//   01            nothing is there; only behind the first path: a thing without a value at the first path has no item
//   10 .. 38      a scalar as keys order them (Codec/KeyCodec.cs): Null < Bool < numbers by exact value < String < Bytes (IDX-6)
//   3F            an Array or an Object is there
//   40 scalar     an element of the Array that is there; each distinct one once (IDX-4)
//   7F            too much to keep: the thing is a candidate for every question
//
// So one item of each thing tells whether and what is there, which answers eq, ne, gt, gte, lt, lte, in, not in, prefix and exists
// (IDX-5), and the others answer contains. Items are found by their bytes alone, and then the thing itself is asked: that makes it
// right to keep less than everything, and it is done in two places.
//
//   II1  A String or Bytes of more than a bound is cut: its first bytes, then 00 02 where the end would be 00 01, its length and check.
//        Those that begin the same stand together, behind the one that ends there, and have no order among each other.
//   II2  A thing with more than 256 items in one index has the one item 7F instead.
//   II3  Parts are self-delimiting, so a row of the first parts is a prefix of exactly the items that begin so.
//
// What a question over one path comes to as intervals is in Intervals below.

using System.Buffers.Binary;
using Cairn.Codec;
using Cairn.Documents;
using Cairn.Store;

namespace Cairn.Primitives;

/// <summary>See the essay above. Stateless.</summary>
internal static class IndexItems
{
    internal const byte Missing = 0x01;
    internal const byte Container = 0x3F;
    internal const byte Element = 0x40;
    internal const byte Overflow = 0x7F;

    /// <summary>Most items of one thing in one index (II2).</summary>
    internal const int ItemsMax = 256;

    /// <summary>Bytes of a String or Bytes that all parts of an item keep together (II1).</summary>
    internal const int KeptBytes = 240;

    internal const int PrefixBytes = 1 + sizeof(uint);

    private const byte CutMark = 0x02;

    // Tag of the element, tag, escaped bytes, mark, length, check.
    private static int PartBytesMax(int kept) => 2 + 2 * kept + 2 + 8 + KeyCodec.NumberSize;

    /// <summary>Family and number: what all items of an index begin with.</summary>
    internal static byte[] Prefix(uint number)
    {
        var prefix = new byte[PrefixBytes];
        prefix[0] = StoreKeys.IndexItem;
        BinaryPrimitives.WriteUInt32BigEndian(prefix.AsSpan(1), number);
        return prefix;
    }

    internal static uint NumberIn(ReadOnlySpan<byte> item) => BinaryPrimitives.ReadUInt32BigEndian(item[1..]);

    /// <summary>The store keys of a thing's items in an index, ascending, each once.</summary>
    /// <param name="thingKey">Of the thing, behind the family.</param>
    internal static List<byte[]> Of(StoredIndex index, ReadOnlySpan<byte> thingKey, in Value document) =>
        Of(index, thingKey, new ValuePlaces(document));

    /// <inheritdoc cref="Of(StoredIndex, ReadOnlySpan{byte}, in Value)"/>
    internal static List<byte[]> Of<TPlaces>(StoredIndex index, ReadOnlySpan<byte> thingKey, TPlaces places)
        where TPlaces : IIndexedPlaces, allows ref struct
    {
        var items = new SortedSet<byte[]>(ByteArrayComparer.Instance);
        byte[] prefix = Prefix(index.Number);
        var rows = new List<byte[]> { prefix };
        for (var i = 0; i < index.Paths.Length; i++)
        {
            var parts = Parts(index.Paths[i], places, KeptBytes / index.Paths.Length);
            if (parts.Count == 0)
            {
                if (i == 0)
                    return [];
                parts.Add([Missing]);
            }

            if ((long)rows.Count * parts.Count > ItemsMax)
                return [[.. prefix, Overflow, .. thingKey]];
            rows = [.. rows.SelectMany(row => parts.Select(part => (byte[])[.. row, .. part]))];
        }

        foreach (var row in rows)
            items.Add([.. row, .. thingKey]);
        return [.. items];
    }

    /// <summary>The same items, behind others. Where scalars stand at all paths, which is the usual thing, nothing is allocated.</summary>
    internal static void Write<TPlaces>(StoredIndex index, ReadOnlySpan<byte> thingKey, TPlaces places, ItemBuffer items)
        where TPlaces : IIndexedPlaces, allows ref struct
    {
        var kept = KeptBytes / index.Paths.Length;
        var target = items.Begin(PrefixBytes + index.Paths.Length * PartBytesMax(kept) + thingKey.Length);
        target[0] = StoreKeys.IndexItem;
        BinaryPrimitives.WriteUInt32BigEndian(target[1..], index.Number);
        var length = PrefixBytes;
        for (var i = 0; i < index.Paths.Length; i++)
        {
            switch (places.LookAt(index.Paths[i], out var canonical))
            {
                case PlaceLook.Absent when i == 0:
                    return;
                case PlaceLook.Absent:
                    target[length++] = Missing;
                    break;
                case PlaceLook.Scalar:
                    length += WriteScalar(canonical, kept, target[length..]);
                    break;
                default:
                    foreach (var item in Of(index, thingKey, places))
                        items.Add(item);
                    return;
            }
        }

        thingKey.CopyTo(target[length..]);
        items.End(length + thingKey.Length);
    }

    // What TryScalar gives, from the encoding.
    private static int WriteScalar(ReadOnlySpan<byte> canonical, int kept, Span<byte> target)
    {
        new ValueReader(canonical).Read(out var item);
        if (item.Kind is ValueKind.String or ValueKind.Bytes)
            return WriteText(item.Kind == ValueKind.String ? KeyCodec.StringTag : KeyCodec.BytesTag, item.Content, kept, target);
        var writer = new KeyWriter(target);
        writer.TryScalar(item.Kind switch
        {
            ValueKind.Bool => item.Bits != 0,
            ValueKind.Int64 => item.Bits,
            ValueKind.Float64 => BitConverter.Int64BitsToDouble(item.Bits),
            _ => Value.Null,
        });
        return writer.Length;
    }

    /// <summary>What goes and what comes.</summary>
    internal static (List<byte[]> Gone, List<byte[]> Come) Differences(List<byte[]> before, List<byte[]> after)
    {
        if (before.Count == 0 || after.Count == 0)
            return (before, after);
        var stays = new HashSet<byte[]>(before, ByteArrayComparer.Instance);
        stays.IntersectWith(after);
        return (before.FindAll(item => !stays.Contains(item)), after.FindAll(item => !stays.Contains(item)));
    }

    // What stands for the value at one path: nothing, one part, or one and the elements. More than are kept of one thing are not made.
    private static List<byte[]> Parts<TPlaces>(DocumentPath path, TPlaces places, int kept)
        where TPlaces : IIndexedPlaces, allows ref struct
    {
        var parts = new List<byte[]>();
        if (!places.TryGet(path, out var value))
            return parts;
        if (TryScalar(value, kept) is { } scalar)
        {
            parts.Add(scalar);
            return parts;
        }

        parts.Add([Container]);
        if (value.Kind != ValueKind.Array)
            return parts;
        var seen = new HashSet<byte[]>(ByteArrayComparer.Instance);
        foreach (var element in value.AsArray())
        {
            if (TryScalar(element, kept) is not { } part || !seen.Add(part))
                continue;
            parts.Add([Element, .. part]);
            if (parts.Count > ItemsMax)
                break;
        }

        return parts;
    }

    /// <summary>A scalar as a part; null for an Array or Object.</summary>
    /// <param name="kept">Bytes of a String or Bytes that are kept.</param>
    internal static byte[]? TryScalar(in Value value, int kept)
    {
        if (value.Kind is ValueKind.String or ValueKind.Bytes)
        {
            var bytes = value.Kind == ValueKind.String ? Utf8.GetBytes(value.AsString()) : value.AsBytes().Span;
            return Text(value.Kind == ValueKind.String ? KeyCodec.StringTag : KeyCodec.BytesTag, bytes, kept);
        }

        Span<byte> buffer = stackalloc byte[KeyCodec.NumberSize];
        var writer = new KeyWriter(buffer);
        return writer.TryScalar(value) ? writer.Key.ToArray() : null;
    }

    private static byte[] Text(byte tag, ReadOnlySpan<byte> bytes, int kept)
    {
        var buffer = new byte[PartBytesMax(Math.Min(bytes.Length, kept))];
        return buffer[..WriteText(tag, bytes, kept, buffer)];
    }

    private static int WriteText(byte tag, ReadOnlySpan<byte> bytes, int kept, Span<byte> target)
    {
        var isCut = bytes.Length > kept;
        var writer = new KeyWriter(target);
        writer.Tag(tag);
        writer.Bytes(isCut ? bytes[..kept] : bytes);
        var length = writer.Length;
        if (!isCut)
            return length;
        target[length - 1] = CutMark;
        BinaryPrimitives.WriteUInt32BigEndian(target[length..], (uint)bytes.Length);
        BinaryPrimitives.WriteUInt32BigEndian(target[(length + sizeof(uint))..], Crc32C.Of(bytes));
        return length + 2 * sizeof(uint);
    }

    // Where those that are cut to the same bytes begin: without length and check.
    private static byte[] CutStart(byte tag, ReadOnlySpan<byte> bytes, int kept) => Text(tag, bytes, kept)[..^(2 * sizeof(uint))];

    /// <summary>Length of the part at the beginning of some bytes; 0 when there is none.</summary>
    internal static int PartLength(ReadOnlySpan<byte> source)
    {
        if (source.IsEmpty)
            return 0;
        switch (source[0])
        {
            case Missing or Container or Overflow or KeyCodec.NullTag or KeyCodec.FalseTag or KeyCodec.TrueTag:
                return 1;
            case KeyCodec.NumberTag:
                return KeyCodec.NumberSize;
            case Element:
                return PartLength(source[1..]) is > 0 and var inner ? 1 + inner : 0;
            case KeyCodec.StringTag or KeyCodec.BytesTag:
                for (var at = 1; at + 1 < source.Length; at++)
                {
                    if (source[at] != 0)
                        continue;
                    if (source[at + 1] == KeyCodec.EscapedZero)
                        at++;
                    else
                        return at + 2 + (source[at + 1] == CutMark ? 2 * sizeof(uint) : 0);
                }

                return 0;
            default:
                return 0;
        }
    }

    /// <summary>The part is a scalar that was cut (II1).</summary>
    internal static bool IsCut(ReadOnlySpan<byte> part) =>
        part[0] is KeyCodec.StringTag or KeyCodec.BytesTag && part.Length > 10 && part[^10] == 0 && part[^9] == CutMark;

    /// <summary>The part is a scalar, which has a place in the order of values.</summary>
    internal static bool IsScalar(byte tag) => tag is >= KeyCodec.NullTag and < Container;

    /// <summary>The key of the thing that an item is of.</summary>
    internal static ReadOnlySpan<byte> ThingOf(ReadOnlySpan<byte> item, int paths)
    {
        var rest = item[PrefixBytes..];
        for (var i = 0; i < paths; i++)
        {
            if (rest[0] == Overflow)
                return rest[1..];
            var length = PartLength(rest);
            Invariant.Check(length > 0, "an item of an index reads back");
            rest = rest[length..];
        }

        return rest;
    }

    // ---- what questions come to --------------------------------------------------------------------------------------------

    /// <summary>The parts that a condition can hold for, as intervals behind a row of parts; null when an index cannot tell.</summary>
    internal static List<KeyInterval>? Intervals(Filter condition, byte[] row, int kept)
    {
        var value = condition.Value;
        switch (condition.Kind)
        {
            case FilterKind.Eq:
                return Point(value, row, kept) is { } point ? [point] : null;
            case FilterKind.Ne:
                return Point(value, row, kept) is { } other ? Except(All(row), [other], value, kept) : [All(row)];
            case FilterKind.In:
                return Points(condition, row, kept);
            case FilterKind.NotIn:
                return [All(row)];
            case FilterKind.Exists:
                return [All(row)];
            case FilterKind.Gt or FilterKind.Gte or FilterKind.Lt or FilterKind.Lte:
                return Range(condition.Kind, value, row, kept);
            case FilterKind.Prefix:
                return [Begins(value.AsString(), row, kept)];
            case FilterKind.Contains:
                return Contains(value, row, kept);
            default:
                return null;
        }
    }

    /// <summary>Everything that is there, but for elements: one item of each thing.</summary>
    internal static KeyInterval All(byte[] row) => new([.. row, KeyCodec.NullTag], [.. row, Element]);

    /// <summary>Scalars.</summary>
    internal static KeyInterval Scalars(byte[] row) => new([.. row, KeyCodec.NullTag], [.. row, Container]);

    private static KeyInterval? Point(in Value value, byte[] row, int kept)
    {
        if (TryScalar(value, kept) is { } part)
            return KeyInterval.Of([.. row, .. part]);
        return KeyInterval.Of([.. row, Container]);           // an Array or an Object equals only one
    }

    private static List<KeyInterval>? Points(Filter condition, byte[] row, int kept)
    {
        var points = new List<KeyInterval>();
        foreach (ref readonly var value in condition.ValueSpan)
        {
            if (Point(value, row, kept) is { } point)
                points.Add(point);
        }

        return KeyInterval.Union(points);
    }

    // A cut item stands for several values, and Container for all of them: those are asked themselves.
    private static List<KeyInterval> Except(KeyInterval all, List<KeyInterval> points, in Value value, int kept)
    {
        if (TryScalar(value, kept) is not { } part || IsCut(part))
            return [all];
        return [new(all.From, points[0].From), new(points[0].To, all.To)];
    }

    private static List<KeyInterval>? Range(FilterKind kind, in Value value, byte[] row, int kept)
    {
        if (TryScalar(value, kept) is not { } part)
            return [];                                       // Arrays and Objects have no order
        var isUp = kind is FilterKind.Gt or FilterKind.Gte;
        byte[] from = [.. row, part[0]];
        byte[] to = [.. row, (byte)(part[0] + 1)];
        if (value.Kind == ValueKind.Bool)
        {
            from = [.. row, KeyCodec.FalseTag];
            to = [.. row, KeyCodec.TrueTag + 1];
        }

        if (Comparison.IsNumber(value))
        {
            // NaN has no order with the others, and stands behind them.
            byte[] nan = [.. row, .. TryScalar(double.NaN, kept)!];
            if (value.Kind == ValueKind.Float64 && double.IsNaN(value.AsFloat64()))
                return kind is FilterKind.Gte or FilterKind.Lte ? [KeyInterval.Of(nan)] : [];
            to = nan;
        }

        byte[] bound = [.. row, .. part];
        if (IsCut(part))
        {
            // Among those that begin the same anything may be: they are asked themselves.
            bound = bound[..^(2 * sizeof(uint))];
            return isUp ? [new(bound, to)] : [new(from, KeyInterval.After(bound))];
        }

        return kind switch
        {
            FilterKind.Gt => [new(KeyInterval.After(bound), to)],
            FilterKind.Gte => [new(bound, to)],
            FilterKind.Lt => [new(from, bound)],
            _ => [new(from, KeyInterval.After(bound))],
        };
    }

    private static KeyInterval Begins(string prefix, byte[] row, int kept)
    {
        var bytes = Utf8.GetBytes(prefix);
        if (bytes.Length > kept)
        {
            byte[] cut = [.. row, .. CutStart(KeyCodec.StringTag, bytes, kept)];
            return KeyInterval.Of(cut);
        }

        // Without the end: whatever goes on begins so.
        return KeyInterval.Of([.. row, .. Text(KeyCodec.StringTag, bytes, kept)[..^2]]);
    }

    // In an Array, or, of a String, anywhere in a String.
    private static List<KeyInterval>? Contains(in Value value, byte[] row, int kept)
    {
        if (TryScalar(value, kept) is not { } part)
            return null;
        var found = new List<KeyInterval> { KeyInterval.Of([.. row, Element, .. part]) };
        if (value.Kind == ValueKind.String && !Mutant.Is("index-forgets-parts-of-strings"))
            found.Add(new([.. row, KeyCodec.StringTag], [.. row, KeyCodec.StringTag + 1]));
        return KeyInterval.Union(found);
    }
}

/// <summary>What of a thing has items.</summary>
internal interface IIndexedPlaces
{
    /// <summary>What stands at a path. What an Object holds, and Arrays and Objects in an Array, may be left out.</summary>
    bool TryGet(DocumentPath path, out Value value);

    /// <summary>What stands at a path, as far as that is told by the encoding of a scalar, which is borrowed.</summary>
    PlaceLook LookAt(DocumentPath path, out ReadOnlySpan<byte> canonical);
}

/// <summary>What a look at a place tells.</summary>
internal enum PlaceLook
{
    /// <summary>Nothing stands there.</summary>
    Absent,

    /// <summary>A scalar, and this is its encoding.</summary>
    Scalar,

    /// <summary>Ask for the value.</summary>
    Other,
}

/// <summary>The places of a value.</summary>
internal readonly struct ValuePlaces(Value document) : IIndexedPlaces
{
    public bool TryGet(DocumentPath path, out Value value) => path.TryGet(document, out value);

    public PlaceLook LookAt(DocumentPath path, out ReadOnlySpan<byte> canonical)
    {
        canonical = default;
        return PlaceLook.Other;
    }
}

/// <summary>Keys from one on, up to another, which is not among them and never empty.</summary>
internal readonly record struct KeyInterval(byte[] From, byte[] To)
{
    internal bool IsEmpty => From.AsSpan().SequenceCompareTo(To) >= 0;

    /// <summary>All keys that begin so.</summary>
    internal static KeyInterval Of(byte[] prefix) => new(prefix, After(prefix));

    /// <summary>The first key behind all that begin so.</summary>
    internal static byte[] After(byte[] prefix)
    {
        var end = new byte[prefix.Length];
        return end[..KeyCodec.Successor(prefix, end)];
    }

    /// <summary>The same keys, ascending and apart.</summary>
    internal static List<KeyInterval> Union(IEnumerable<KeyInterval> intervals)
    {
        var apart = new List<KeyInterval>();
        foreach (var next in intervals.Where(interval => !interval.IsEmpty).OrderBy(interval => interval.From, ByteArrayComparer.Instance))
        {
            if (apart.Count == 0 || apart[^1].To.AsSpan().SequenceCompareTo(next.From) < 0)
                apart.Add(next);
            else if (apart[^1].To.AsSpan().SequenceCompareTo(next.To) < 0)
                apart[^1] = new(apart[^1].From, next.To);
        }

        return apart;
    }

    /// <summary>The keys that are in both; both ascending and apart.</summary>
    internal static List<KeyInterval> Both(List<KeyInterval> left, List<KeyInterval> right)
    {
        var both = new List<KeyInterval>();
        foreach (var one in left)
        {
            foreach (var other in right)
            {
                var from = one.From.AsSpan().SequenceCompareTo(other.From) > 0 ? one.From : other.From;
                var to = one.To.AsSpan().SequenceCompareTo(other.To) < 0 ? one.To : other.To;
                var common = new KeyInterval(from, to);
                if (!common.IsEmpty)
                    both.Add(common);
            }
        }

        return both;
    }
}
