namespace Cairn.Vectors;

/// <summary>A query and how it is compared (VEC-4). Immutable.</summary>
internal sealed class Scoring
{
    private readonly VectorMetric _metric;
    private readonly VectorElement _element;
    private readonly double[] _query;
    private readonly double _length;

    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidArgument"/>: an element is not finite;
    /// <see cref="ErrorCode.ConstraintViolation"/>: it has no length, and cosines are asked for.</exception>
    internal Scoring(VectorMetric metric, VectorElement element, ReadOnlySpan<float> query)
    {
        (_metric, _element) = (metric, element);
        Span<byte> checkedBytes = new byte[query.Length * sizeof(float)];
        StoredForm.Encode(VectorElement.F32, query, checkedBytes);
        _query = new double[query.Length];
        for (var i = 0; i < query.Length; i++)
            _query[i] = query[i];
        if (metric != VectorMetric.Cosine)
            return;
        if (StoredForm.IsZero(VectorElement.F32, checkedBytes))
            throw NoLength();
        _length = Math.Sqrt(VectorKernels.Dot(VectorElement.F32, _query, checkedBytes));
    }

    internal static CairnException NoLength() => new(
        ErrorCode.ConstraintViolation,
        "The vector has no length (all elements are zero, or are as they are stored), so it has no cosine. Leave it out, or use a "
        + "collection with another metric.");

    /// <summary>The score of a stored vector.</summary>
    internal double Of(ReadOnlySpan<byte> stored)
    {
        switch (_metric)
        {
            case VectorMetric.Cosine:
                var (dot, square) = VectorKernels.DotAndSquare(_element, _query, stored);
                return Math.Clamp(dot / (_length * Math.Sqrt(square)), -1, 1);
            case VectorMetric.Euclidean:
                return 1 / (1 + Math.Sqrt(VectorKernels.SquaredDistance(_element, _query, stored)));
            default:
                return VectorKernels.Dot(_element, _query, stored);
        }
    }
}
