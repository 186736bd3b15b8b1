using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;

namespace Cairn;

/// <summary>Identity of a run: a UUIDv7 (RFC 9562), made from the database's clock and random source. Orders as its 16 bytes
/// in network order, so runs made later sort later. The runs <see cref="Default"/> and <see cref="System"/> have fixed ids.</summary>
public readonly record struct RunId : IComparable<RunId>
{
    /// <summary>Length of the binary form, in bytes.</summary>
    public const int Size = 16;

    private readonly UInt128 _bits;

    internal RunId(UInt128 bits) => _bits = bits;

    /// <summary>A run id from a GUID; the text forms of both are the same.</summary>
    public RunId(Guid value)
    {
        Span<byte> bytes = stackalloc byte[Size];
        value.TryWriteBytes(bytes, bigEndian: true, out _);
        _bits = BinaryPrimitives.ReadUInt128BigEndian(bytes);
    }

    /// <summary>The run named <c>default</c>, which always exists: long-term memory and simple use.</summary>
    public static RunId Default => new(UInt128.One);

    /// <summary>The run named <c>$sys</c>, the engine's own: readable, not writable by users.</summary>
    public static RunId System => new((UInt128)2);

    internal UInt128 Bits => _bits;

    /// <summary>The same 128 bits as a GUID.</summary>
    public Guid ToGuid()
    {
        Span<byte> bytes = stackalloc byte[Size];
        Write(bytes);
        return new Guid(bytes, bigEndian: true);
    }

    /// <summary>Orders as the 16 bytes in network order.</summary>
    public int CompareTo(RunId other) => _bits.CompareTo(other._bits);

    /// <summary>True when <paramref name="left"/> sorts before <paramref name="right"/>.</summary>
    public static bool operator <(RunId left, RunId right) => left._bits < right._bits;

    /// <summary>True when <paramref name="left"/> sorts after <paramref name="right"/>.</summary>
    public static bool operator >(RunId left, RunId right) => left._bits > right._bits;

    /// <summary>True when <paramref name="left"/> does not sort after <paramref name="right"/>.</summary>
    public static bool operator <=(RunId left, RunId right) => left._bits <= right._bits;

    /// <summary>True when <paramref name="left"/> does not sort before <paramref name="right"/>.</summary>
    public static bool operator >=(RunId left, RunId right) => left._bits >= right._bits;

    /// <summary>Parses the text form of a UUID.</summary>
    /// <returns>False when <paramref name="text"/> is not one; that is an answer, not an error.</returns>
    public static bool TryParse([NotNullWhen(true)] string? text, out RunId id)
    {
        if (Guid.TryParseExact(text, "D", out var guid))
        {
            id = new RunId(guid);
            return true;
        }

        id = default;
        return false;
    }

    /// <summary>Lower-case text form, 36 characters.</summary>
    public override string ToString() => ToGuid().ToString("D");

    internal static RunId Read(ReadOnlySpan<byte> source) => new(BinaryPrimitives.ReadUInt128BigEndian(source));

    internal void Write(Span<byte> target) => BinaryPrimitives.WriteUInt128BigEndian(target, _bits);
}
