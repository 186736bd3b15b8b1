using System.Buffers.Binary;

namespace Cairn;

/// <summary>A SHA-256 hash (FIPS 180-4): 32 bytes in place, compared whole. <c>default</c> is 32 zero bytes: "none", and what stands
/// before the first event of a run.</summary>
public readonly record struct Hash256
{
    /// <summary>Bytes of a hash.</summary>
    public const int Size = 32;

    private readonly UInt128 _first;
    private readonly UInt128 _second;

    /// <param name="source">Exactly <see cref="Size"/> bytes.</param>
    /// <exception cref="ArgumentException">Another length.</exception>
    public Hash256(ReadOnlySpan<byte> source)
    {
        if (source.Length != Size)
            throw new ArgumentException($"A hash has {Size} bytes.", nameof(source));
        _first = BinaryPrimitives.ReadUInt128BigEndian(source);
        _second = BinaryPrimitives.ReadUInt128BigEndian(source[16..]);
    }

    /// <summary>Copies the 32 bytes.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The target is shorter.</exception>
    public void CopyTo(Span<byte> target)
    {
        BinaryPrimitives.WriteUInt128BigEndian(target, _first);
        BinaryPrimitives.WriteUInt128BigEndian(target[16..], _second);
    }

    /// <summary>The 32 bytes in an array of their own.</summary>
    public byte[] ToArray()
    {
        var bytes = new byte[Size];
        CopyTo(bytes);
        return bytes;
    }

    /// <summary>64 hexadecimal digits, lower case.</summary>
    public override string ToString()
    {
        Span<byte> bytes = stackalloc byte[Size];
        CopyTo(bytes);
        return Convert.ToHexStringLower(bytes);
    }
}
