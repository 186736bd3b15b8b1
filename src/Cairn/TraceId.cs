using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;

namespace Cairn;

/// <summary>Identity of a trace: a UUIDv7 (RFC 9562), made from the database's clock and random source. Orders as its 16 bytes in
/// network order, so traces recorded later by one process sort later.</summary>
public readonly record struct TraceId : IComparable<TraceId>
{
    /// <summary>Length of the binary form, in bytes.</summary>
    public const int Size = 16;

    private readonly UInt128 _bits;

    internal TraceId(UInt128 bits) => _bits = bits;

    /// <summary>A trace id from a GUID; the text forms of both are the same.</summary>
    public TraceId(Guid value)
    {
        Span<byte> bytes = stackalloc byte[Size];
        value.TryWriteBytes(bytes, bigEndian: true, out _);
        _bits = BinaryPrimitives.ReadUInt128BigEndian(bytes);
    }

    internal UInt128 Bits => _bits;

    /// <summary>The same 128 bits as a GUID.</summary>
    public Guid ToGuid()
    {
        Span<byte> bytes = stackalloc byte[Size];
        Write(bytes);
        return new Guid(bytes, bigEndian: true);
    }

    /// <summary>Orders as the 16 bytes in network order.</summary>
    public int CompareTo(TraceId other) => _bits.CompareTo(other._bits);

    /// <summary>True when <paramref name="left"/> sorts before <paramref name="right"/>.</summary>
    public static bool operator <(TraceId left, TraceId right) => left._bits < right._bits;

    /// <summary>True when <paramref name="left"/> sorts after <paramref name="right"/>.</summary>
    public static bool operator >(TraceId left, TraceId right) => left._bits > right._bits;

    /// <summary>True when <paramref name="left"/> does not sort after <paramref name="right"/>.</summary>
    public static bool operator <=(TraceId left, TraceId right) => left._bits <= right._bits;

    /// <summary>True when <paramref name="left"/> does not sort before <paramref name="right"/>.</summary>
    public static bool operator >=(TraceId left, TraceId right) => left._bits >= right._bits;

    /// <summary>Parses the text form of a UUID.</summary>
    /// <returns>False when <paramref name="text"/> is not one; that is an answer, not an error.</returns>
    public static bool TryParse([NotNullWhen(true)] string? text, out TraceId id)
    {
        if (Guid.TryParseExact(text, "D", out var guid))
        {
            id = new TraceId(guid);
            return true;
        }

        id = default;
        return false;
    }

    /// <summary>Lower-case text form, 36 characters.</summary>
    public override string ToString() => ToGuid().ToString("D");

    internal static TraceId Read(ReadOnlySpan<byte> source) => new(BinaryPrimitives.ReadUInt128BigEndian(source));

    internal void Write(Span<byte> target) => BinaryPrimitives.WriteUInt128BigEndian(target, _bits);
}
