// Kernels: what a query and a stored vector come to, the same bits everywhere.
//
// A score may not depend on the machine (VEC-11, P-rules): not on the width of its registers, not on whether it fuses a product with a
// sum, not on how a compiler orders a loop. So the order of all additions is fixed, and it is one that wide registers like:
//
//      element   0  1  2 .. 15 | 16 17 .. 31 | 32 33 34          sixteen lanes; lane j adds the elements j, j + 16, j + 32, ...
//      lane      0  1  2 .. 15 |  0  1 .. 15 |  0  1  2          behind the last whole sixteen each lane adds its element, or a zero
//
//      fold      8 sums: lane j + lane j+8; then 4: j + j+4; then 2: j + j+2; then the two
//
// All is computed in binary64 from what is stored, which is shorter:
//
//   K1  A product of two F32 or F16 elements, or of one of those and an I8, has at most 48 bits, so in 53 it is exact: it makes no
//       difference whether it is rounded before it is added. That is why dot products and lengths may use the fused instruction where
//       there is one.
//   K2  The square of a difference is not exact, so it is multiplied and added in two steps, everywhere.
//   K3  Nothing overflows: the largest sum, 65,536 squares of the largest binary32, is below 10^82.
//   K4  The scale of an I8 vector is left out of its products and multiplied with their sum; of a difference it is part, and exact
//       (24 + 7 bits).
//
// Binary64 halves what a register holds and costs the search nothing that it would notice: it waits for memory.
//
// Elements are little-endian, on disk and in registers; a machine that is not is not supported by the engine.

using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Cairn.Vectors;

/// <summary>See the essay above. A query has its elements as binary64 numbers, which all of them are exactly.</summary>
internal static class VectorKernels
{
    private const int Lanes = 16;

    /// <summary>Sum of the products of the elements.</summary>
    internal static double Dot(VectorElement element, ReadOnlySpan<double> query, ReadOnlySpan<byte> stored) => element switch
    {
        VectorElement.F32 => Dot<SingleElements>(query, stored),
        VectorElement.F16 => Dot<HalfElements>(query, stored),
        _ => Dot<ByteElements>(query, stored) * ByteElements.Scale(stored),
    };

    /// <summary>Sum of the products, and sum of the squares of what is stored: of I8 both without their scale, which a cosine does not
    /// depend on.</summary>
    internal static (double Dot, double Square) DotAndSquare(
        VectorElement element, ReadOnlySpan<double> query, ReadOnlySpan<byte> stored) => element switch
    {
        VectorElement.F32 => DotAndSquare<SingleElements>(query, stored),
        VectorElement.F16 => DotAndSquare<HalfElements>(query, stored),
        _ => DotAndSquare<ByteElements>(query, stored),
    };

    /// <summary>Sum of the squares of the differences.</summary>
    internal static double SquaredDistance(VectorElement element, ReadOnlySpan<double> query, ReadOnlySpan<byte> stored) => element switch
    {
        VectorElement.F32 => SquaredDistance<SingleElements>(query, stored, 1),
        VectorElement.F16 => SquaredDistance<HalfElements>(query, stored, 1),
        _ => SquaredDistance<ByteElements>(query, stored, ByteElements.Scale(stored)),
    };

    private static double Dot<T>(ReadOnlySpan<double> query, ReadOnlySpan<byte> stored)
        where T : struct, IElements
    {
        ref var at = ref Begin<T>(query, stored);
        ref var with = ref MemoryMarshal.GetReference(query);
        Vector256<double> s0 = default, s1 = default, s2 = default, s3 = default;
        var whole = query.Length & ~(Lanes - 1);
        for (var i = 0; i < whole; i += Lanes)
        {
            T.Load(ref at, i, out var a, out var b, out var c, out var d);
            s0 = Vector256.MultiplyAddEstimate(Vector256.LoadUnsafe(ref with, (nuint)i), a, s0);          // K1: no estimate, but exact
            s1 = Vector256.MultiplyAddEstimate(Vector256.LoadUnsafe(ref with, (nuint)i + 4), b, s1);
            s2 = Vector256.MultiplyAddEstimate(Vector256.LoadUnsafe(ref with, (nuint)i + 8), c, s2);
            s3 = Vector256.MultiplyAddEstimate(Vector256.LoadUnsafe(ref with, (nuint)i + 12), d, s3);
        }

        if (whole == query.Length || Mutant.Is("vector-tail-unread"))
            return Fold(s0, s1, s2, s3);
        Span<double> rest = stackalloc double[Lanes];
        rest.Clear();
        for (var i = whole; i < query.Length; i++)
            rest[i - whole] = query[i] * T.Load(ref at, i);
        return Fold(s0, s1, s2, s3, rest);
    }

    private static (double Dot, double Square) DotAndSquare<T>(ReadOnlySpan<double> query, ReadOnlySpan<byte> stored)
        where T : struct, IElements
    {
        ref var at = ref Begin<T>(query, stored);
        ref var with = ref MemoryMarshal.GetReference(query);
        Vector256<double> s0 = default, s1 = default, s2 = default, s3 = default;
        Vector256<double> q0 = default, q1 = default, q2 = default, q3 = default;
        var whole = query.Length & ~(Lanes - 1);
        for (var i = 0; i < whole; i += Lanes)
        {
            T.Load(ref at, i, out var a, out var b, out var c, out var d);
            s0 = Vector256.MultiplyAddEstimate(Vector256.LoadUnsafe(ref with, (nuint)i), a, s0);
            s1 = Vector256.MultiplyAddEstimate(Vector256.LoadUnsafe(ref with, (nuint)i + 4), b, s1);
            s2 = Vector256.MultiplyAddEstimate(Vector256.LoadUnsafe(ref with, (nuint)i + 8), c, s2);
            s3 = Vector256.MultiplyAddEstimate(Vector256.LoadUnsafe(ref with, (nuint)i + 12), d, s3);
            q0 = Vector256.MultiplyAddEstimate(a, a, q0);
            q1 = Vector256.MultiplyAddEstimate(b, b, q1);
            q2 = Vector256.MultiplyAddEstimate(c, c, q2);
            q3 = Vector256.MultiplyAddEstimate(d, d, q3);
        }

        if (whole == query.Length || Mutant.Is("vector-tail-unread"))
            return (Fold(s0, s1, s2, s3), Fold(q0, q1, q2, q3));
        Span<double> rest = stackalloc double[Lanes];
        Span<double> squares = stackalloc double[Lanes];
        rest.Clear();
        squares.Clear();
        for (var i = whole; i < query.Length; i++)
        {
            var element = T.Load(ref at, i);
            rest[i - whole] = query[i] * element;
            squares[i - whole] = element * element;
        }

        return (Fold(s0, s1, s2, s3, rest), Fold(q0, q1, q2, q3, squares));
    }

    private static double SquaredDistance<T>(ReadOnlySpan<double> query, ReadOnlySpan<byte> stored, double scale)
        where T : struct, IElements
    {
        ref var at = ref Begin<T>(query, stored);
        ref var with = ref MemoryMarshal.GetReference(query);
        Vector256<double> s0 = default, s1 = default, s2 = default, s3 = default;
        var whole = query.Length & ~(Lanes - 1);
        for (var i = 0; i < whole; i += Lanes)
        {
            T.Load(ref at, i, out var a, out var b, out var c, out var d);
            a = Vector256.LoadUnsafe(ref with, (nuint)i) - a * scale;
            b = Vector256.LoadUnsafe(ref with, (nuint)i + 4) - b * scale;
            c = Vector256.LoadUnsafe(ref with, (nuint)i + 8) - c * scale;
            d = Vector256.LoadUnsafe(ref with, (nuint)i + 12) - d * scale;
            s0 += a * a;                                     // K2
            s1 += b * b;
            s2 += c * c;
            s3 += d * d;
        }

        if (whole == query.Length || Mutant.Is("vector-tail-unread"))
            return Fold(s0, s1, s2, s3);
        Span<double> rest = stackalloc double[Lanes];
        rest.Clear();
        for (var i = whole; i < query.Length; i++)
        {
            var difference = query[i] - T.Load(ref at, i) * scale;
            rest[i - whole] = difference * difference;
        }

        return Fold(s0, s1, s2, s3, rest);
    }

    private static ref byte Begin<T>(ReadOnlySpan<double> query, ReadOnlySpan<byte> stored)
        where T : struct, IElements
    {
        Invariant.Check(stored.Length == T.Lead + query.Length * (long)T.Bytes, "a stored vector has the length of its collection's");
        return ref Unsafe.Add(ref MemoryMarshal.GetReference(stored), T.Lead);
    }

    private static double Fold(
        Vector256<double> s0, Vector256<double> s1, Vector256<double> s2, Vector256<double> s3, ReadOnlySpan<double> rest)
    {
        ref var at = ref MemoryMarshal.GetReference(rest);
        return Fold(
            s0 + Vector256.LoadUnsafe(ref at), s1 + Vector256.LoadUnsafe(ref at, 4), s2 + Vector256.LoadUnsafe(ref at, 8),
            s3 + Vector256.LoadUnsafe(ref at, 12));
    }

    // Lanes 0 to 3, 4 to 7, 8 to 11, 12 to 15.
    private static double Fold(Vector256<double> s0, Vector256<double> s1, Vector256<double> s2, Vector256<double> s3)
    {
        var four = (s0 + s2) + (s1 + s3);
        var two = four.GetLower() + four.GetUpper();
        return two[0] + two[1];
    }

    // ---- elements ---------------------------------------------------------------------------------------------------------------

    private interface IElements
    {
        /// <summary>Bytes before the first element.</summary>
        static abstract int Lead { get; }

        /// <summary>Bytes of one.</summary>
        static abstract int Bytes { get; }

        /// <summary>Sixteen elements.</summary>
        static abstract void Load(
            ref byte first, int index, out Vector256<double> a, out Vector256<double> b, out Vector256<double> c, out Vector256<double> d);

        static abstract double Load(ref byte first, int index);
    }

    private readonly struct SingleElements : IElements
    {
        public static int Lead => 0;

        public static int Bytes => sizeof(float);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Load(
            ref byte first, int index, out Vector256<double> a, out Vector256<double> b, out Vector256<double> c, out Vector256<double> d)
        {
            ref var at = ref Unsafe.Add(ref first, index * sizeof(float));
            (a, b) = Vector256.Widen(Vector256.LoadUnsafe(ref at).AsSingle());
            (c, d) = Vector256.Widen(Vector256.LoadUnsafe(ref at, 32).AsSingle());
        }

        public static double Load(ref byte first, int index) =>
            Unsafe.ReadUnaligned<float>(ref Unsafe.Add(ref first, index * sizeof(float)));
    }

    private readonly struct HalfElements : IElements
    {
        public static int Lead => 0;

        public static int Bytes => sizeof(ushort);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Load(
            ref byte first, int index, out Vector256<double> a, out Vector256<double> b, out Vector256<double> c, out Vector256<double> d)
        {
            var (lower, upper) = Vector256.Widen(Vector256.LoadUnsafe(ref Unsafe.Add(ref first, index * sizeof(ushort))).AsUInt16());
            (a, b) = Vector256.Widen(ToSingle(lower));
            (c, d) = Vector256.Widen(ToSingle(upper));
        }

        public static double Load(ref byte first, int index) =>
            (double)Unsafe.ReadUnaligned<Half>(ref Unsafe.Add(ref first, index * sizeof(ushort)));

        // Finite binary16 numbers: sign, five bits of exponent with bias 15, ten of fraction. Those without an exponent are whole
        // multiples of 2^-24; of the others the exponent gets the bias of binary32, and the fraction thirteen more bits.
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static Vector256<float> ToSingle(Vector256<uint> half)
        {
            var magnitude = half & Vector256.Create(0x7FFFu);
            var sign = (half & Vector256.Create(0x8000u)) << 16;
            var normal = (magnitude << 13) + Vector256.Create((127u - 15) << 23);
            var small = (Vector256.ConvertToSingle(magnitude.AsInt32()) * 5.9604644775390625e-8f).AsUInt32();
            var isSmall = Vector256.LessThan(magnitude, Vector256.Create(0x400u));
            return (Vector256.ConditionalSelect(isSmall, small, normal) | sign).AsSingle();
        }
    }

    private readonly struct ByteElements : IElements
    {
        public static int Lead => sizeof(float);

        public static int Bytes => sizeof(sbyte);

        internal static double Scale(ReadOnlySpan<byte> stored) => BinaryPrimitives.ReadSingleLittleEndian(stored);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Load(
            ref byte first, int index, out Vector256<double> a, out Vector256<double> b, out Vector256<double> c, out Vector256<double> d)
        {
            var (lower, upper) = Vector128.Widen(Vector128.LoadUnsafe(ref Unsafe.Add(ref first, index)).AsSByte());
            (a, b) = ToDouble(lower);
            (c, d) = ToDouble(upper);
        }

        public static double Load(ref byte first, int index) => (sbyte)Unsafe.Add(ref first, index);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static (Vector256<double> Lower, Vector256<double> Upper) ToDouble(Vector128<short> eight)
        {
            var (lower, upper) = Vector128.Widen(eight);
            return Vector256.Widen(Vector256.ConvertToSingle(Vector256.Create(lower, upper)));
        }
    }
}
