using System.Buffers.Binary;
using Cairn.Codec;

namespace Cairn.Documents;

/// <summary>
/// A path as an operation in the log carries it, read segment by segment. Layout: <code>
///  kind u8 = 0  length u32  UTF-8     a name
///  kind u8 = 1  index i64             an index; negative ones count from the end
///  kind u8 = 2                        one past the end
///  kind u8 = 3  length u32  UTF-8     a token of a pointer, which what it meets takes for a name or an index </code>
/// Integers little-endian. Total: <see cref="IsWhole"/> judges the bytes before they are walked.
/// </summary>
internal ref struct EncodedPath(ReadOnlySpan<byte> source)
{
    private readonly ReadOnlySpan<byte> _source = source;
    private int _at;

    /// <summary>Segments read so far.</summary>
    internal int Depth { get; private set; }

    internal readonly bool IsAtEnd => _at == _source.Length;

    internal static byte[] Write(ReadOnlySpan<PathSegment> segments)
    {
        var length = 0;
        foreach (ref readonly var segment in segments)
            length += LengthOf(segment);
        var bytes = new byte[length];
        var target = bytes.AsSpan();
        foreach (ref readonly var segment in segments)
        {
            target[0] = (byte)segment.Kind;
            switch (segment.Kind)
            {
                case SegmentKind.Index:
                    BinaryPrimitives.WriteInt64LittleEndian(target[1..], segment.Index);
                    break;
                case SegmentKind.Name or SegmentKind.Token:
                    var written = Utf8.GetBytes(segment.Name!, target[5..]);
                    BinaryPrimitives.WriteInt32LittleEndian(target[1..], written);
                    break;
            }

            target = target[LengthOf(segment)..];
        }

        return bytes;
    }

    /// <summary>The segments of bytes that <see cref="IsWhole"/> has judged.</summary>
    internal static PathSegment[] Read(ReadOnlySpan<byte> source, int count = int.MaxValue)
    {
        var segments = new List<PathSegment>();
        var path = new EncodedPath(source);
        while (segments.Count < count && path.MoveNext(out var segment))
            segments.Add(segment.ToSegment());
        return [.. segments];
    }

    /// <summary>True when the bytes are segments and nothing else.</summary>
    internal static bool IsWhole(ReadOnlySpan<byte> source)
    {
        while (source.Length > 0)
        {
            var length = 1L;
            switch (source[0])
            {
                case (byte)SegmentKind.Index:
                    length += sizeof(long);
                    break;
                case (byte)SegmentKind.End:
                    break;
                case (byte)SegmentKind.Name or (byte)SegmentKind.Token when source.Length >= 5:
                    length += sizeof(uint) + BinaryPrimitives.ReadUInt32LittleEndian(source[1..]);
                    if (length > source.Length || !Utf8.IsValid(source[5..(int)length]))
                        return false;
                    break;
                default:
                    return false;
            }

            if (length > source.Length)
                return false;
            source = source[(int)length..];
        }

        return true;
    }

    internal bool MoveNext(out EncodedSegment segment)
    {
        if (_at == _source.Length)
        {
            segment = default;
            return false;
        }

        var rest = _source[_at..];
        var kind = (SegmentKind)rest[0];
        if (kind is SegmentKind.Name or SegmentKind.Token)
        {
            var length = BinaryPrimitives.ReadInt32LittleEndian(rest[1..]);
            segment = new EncodedSegment(kind, rest.Slice(5, length), 0);
            _at += 5 + length;
        }
        else
        {
            var index = kind == SegmentKind.Index ? BinaryPrimitives.ReadInt64LittleEndian(rest[1..]) : -1;
            segment = new EncodedSegment(kind, default, index);
            _at += kind == SegmentKind.Index ? 9 : 1;
        }

        Depth++;
        return true;
    }

    private static int LengthOf(in PathSegment segment) => segment.Kind switch
    {
        SegmentKind.Index => 9,
        SegmentKind.End => 1,
        _ => 5 + Utf8.GetByteCount(segment.Name!),
    };
}

/// <summary>One segment of an <see cref="EncodedPath"/>; borrowed from it.</summary>
internal readonly ref struct EncodedSegment(SegmentKind kind, ReadOnlySpan<byte> name, long index)
{
    internal SegmentKind Kind { get; } = kind;

    /// <summary>Of a name and of a token.</summary>
    internal ReadOnlySpan<byte> Name { get; } = name;

    private long Index { get; } = index;

    /// <summary>It can be the name of a member.</summary>
    internal bool IsName => Kind is SegmentKind.Name or SegmentKind.Token;

    /// <summary>It can be the place of an element.</summary>
    internal bool IsIndex => Kind != SegmentKind.Name;

    /// <summary>One past the last element, whatever the length.</summary>
    internal bool IsEnd => Kind == SegmentKind.End || (Kind == SegmentKind.Token && Name is [(byte)'-']);

    /// <summary>It says a place that depends on the length of the array.</summary>
    internal bool CountsFromEnd => IsEnd || (Kind == SegmentKind.Index && Index < 0);

    /// <summary>The index in an array of a length; may lie outside of it.</summary>
    internal long IndexIn(long length)
    {
        if (IsEnd)
            return length;
        if (Kind == SegmentKind.Token)
            return ToSegment().Index;
        return Index < 0 ? length + Index : Index;
    }

    internal PathSegment ToSegment() => Kind switch
    {
        SegmentKind.Name => PathSegment.OfName(Utf8.GetString(Name)),
        SegmentKind.Token => PathSegment.OfToken(Utf8.GetString(Name)),
        SegmentKind.End => PathSegment.End,
        _ => PathSegment.OfIndex(Index),
    };
}
