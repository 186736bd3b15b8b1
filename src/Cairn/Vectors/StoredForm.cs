using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace Cairn.Vectors;

/// <summary>
/// What is stored of a vector (VEC-5), little-endian:
/// <code>
///  F32   f32 ...            as given
///  F16   f16 ...            nearest, ties to even
///  I8    f32 scale, i8 ...  scale = largest magnitude / 127; each element / scale, nearest, ties to even </code>
/// </summary>
internal static class StoredForm
{
    private const int LargestByte = 127;

    /// <summary>Writes the stored form of a vector.</summary>
    /// <param name="target">As long as it is (Primitives/VectorConfiguration).</param>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidArgument"/>: an element is not finite, or is not when it is
    /// stored.</exception>
    internal static void Encode(VectorElement element, ReadOnlySpan<float> vector, Span<byte> target)
    {
        for (var i = 0; i < vector.Length; i++)
        {
            if (!float.IsFinite(vector[i]))
                throw NotFinite(i, vector[i]);
        }

        switch (element)
        {
            case VectorElement.F32:
                MemoryMarshal.AsBytes(vector).CopyTo(target);
                break;
            case VectorElement.F16:
                for (var i = 0; i < vector.Length; i++)
                {
                    var half = (Half)vector[i];
                    if (!Half.IsFinite(half))
                        throw TooLarge(i);
                    BinaryPrimitives.WriteHalfLittleEndian(target[(2 * i)..], half);
                }

                break;
            default:
                EncodeBytes(vector, target);
                break;
        }
    }

    private static void EncodeBytes(ReadOnlySpan<float> vector, Span<byte> target)
    {
        var largest = 0f;
        foreach (var element in vector)
            largest = MathF.Max(largest, MathF.Abs(element));
        var scale = largest / LargestByte;
        BinaryPrimitives.WriteSingleLittleEndian(target, scale);
        for (var i = 0; i < vector.Length; i++)
        {
            var rounded = scale == 0 ? 0 : Math.Round(vector[i] / (double)scale, MidpointRounding.ToEven);
            target[sizeof(float) + i] = (byte)(sbyte)Math.Clamp(rounded, -LargestByte, LargestByte);
        }
    }

    /// <summary>Reads a stored vector as binary32 numbers; of I8 the products with the scale, rounded once.</summary>
    internal static void Decode(VectorElement element, ReadOnlySpan<byte> stored, Span<float> vector)
    {
        switch (element)
        {
            case VectorElement.F32:
                stored.CopyTo(MemoryMarshal.AsBytes(vector));
                break;
            case VectorElement.F16:
                for (var i = 0; i < vector.Length; i++)
                    vector[i] = (float)BinaryPrimitives.ReadHalfLittleEndian(stored[(2 * i)..]);
                break;
            default:
                var scale = BinaryPrimitives.ReadSingleLittleEndian(stored);
                for (var i = 0; i < vector.Length; i++)
                    vector[i] = scale * (sbyte)stored[sizeof(float) + i];
                break;
        }
    }

    /// <summary>Bytes that may be the stored form of a vector of finite elements.</summary>
    internal static bool IsFinite(VectorElement element, ReadOnlySpan<byte> stored)
    {
        switch (element)
        {
            case VectorElement.F32:
                for (; stored.Length > 0; stored = stored[sizeof(float)..])
                {
                    if (!float.IsFinite(BinaryPrimitives.ReadSingleLittleEndian(stored)))
                        return false;
                }

                return true;
            case VectorElement.F16:
                for (; stored.Length > 0; stored = stored[sizeof(ushort)..])
                {
                    if (!Half.IsFinite(BinaryPrimitives.ReadHalfLittleEndian(stored)))
                        return false;
                }

                return true;
            default:
                return BinaryPrimitives.ReadSingleLittleEndian(stored) is >= 0 and <= float.MaxValue
                    && !stored[sizeof(float)..].Contains((byte)0x80);
        }
    }

    /// <summary>No element has a magnitude: there is no cosine.</summary>
    internal static bool IsZero(VectorElement element, ReadOnlySpan<byte> stored) => element switch
    {
        // Both zeros of each format, and nothing else, are all zero but for the sign.
        VectorElement.F32 => !MemoryMarshal.Cast<byte, uint>(stored).ContainsAnyExcept(0u, 0x8000_0000u),
        VectorElement.F16 => !MemoryMarshal.Cast<byte, ushort>(stored).ContainsAnyExcept((ushort)0, (ushort)0x8000),
        _ => !stored[sizeof(float)..].ContainsAnyExcept((byte)0),
    };

    private static CairnException NotFinite(int index, float element) => new(
        ErrorCode.InvalidArgument,
        $"Element {index} of the vector is {(float.IsNaN(element) ? "not a number" : "infinite")}. Give finite numbers.");

    private static CairnException TooLarge(int index) => new(
        ErrorCode.InvalidArgument,
        $"Element {index} of the vector is beyond {(float)Half.MaxValue}, which is the largest that an F16 collection holds.");
}
