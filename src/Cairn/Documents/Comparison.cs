using Cairn.Codec;

namespace Cairn.Documents;

/// <summary>Values compared as JSON compares them: numbers by what they stand for, whatever their kind (1 equals 1.0), objects without
/// order. Elsewhere two values are equal when their encodings are.</summary>
internal static class Comparison
{
    private const double TwoTo63 = 9_223_372_036_854_775_808.0;

    internal static bool IsNumber(in Value value) => value.Kind is ValueKind.Int64 or ValueKind.Float64;

    /// <summary>Equal as JSON (RFC 6902, section 4.6). Recursion is bounded: no value is deeper than 512.</summary>
    internal static bool AreEqual(in Value left, in Value right)
    {
        if (IsNumber(left) && IsNumber(right))
            return CompareNumbers(left, right) == 0;
        if (left.Kind != right.Kind)
            return false;
        switch (left.Kind)
        {
            case ValueKind.Array:
                return AreEqual(left.Elements.Items, right.Elements.Items);
            case ValueKind.Object:
                var (one, other) = (left.Members, right.Members);
                return one.Names.SequenceEqual(other.Names) && AreEqual(one.Values, other.Values);
            default:
                return left.Equals(right);
        }
    }

    private static bool AreEqual(ReadOnlySpan<Value> left, ReadOnlySpan<Value> right)
    {
        if (left.Length != right.Length)
            return false;
        for (var n = 0; n < left.Length; n++)
        {
            if (!AreEqual(left[n], right[n]))
                return false;
        }

        return true;
    }

    /// <summary>The order of two values of one kind that has an order: numbers, String, Bytes by their bytes, Bool with false
    /// first; Null equals itself.</summary>
    /// <returns>Null when they have none.</returns>
    internal static int? Order(in Value left, in Value right)
    {
        if (IsNumber(left) && IsNumber(right))
            return CompareNumbers(left, right);
        if (left.Kind != right.Kind)
            return null;
        return left.Kind switch
        {
            ValueKind.Null => 0,
            ValueKind.Bool => left.AsBool().CompareTo(right.AsBool()),
            ValueKind.String => Utf8.Compare(left.AsString(), right.AsString()),
            ValueKind.Bytes => left.AsBytes().Span.SequenceCompareTo(right.AsBytes().Span),
            _ => null,
        };
    }

    /// <summary>The order of two numbers by their exact values. NaN equals itself and has no order with any other number.</summary>
    internal static int? CompareNumbers(in Value left, in Value right) => (left.Kind, right.Kind) switch
    {
        (ValueKind.Int64, ValueKind.Int64) => left.AsInt64().CompareTo(right.AsInt64()),
        (ValueKind.Int64, _) => Compare(left.AsInt64(), right.AsFloat64()),
        (_, ValueKind.Int64) => -Compare(right.AsInt64(), left.AsFloat64()),
        _ => Compare(left.AsFloat64(), right.AsFloat64()),
    };

    private static int? Compare(double left, double right) =>
        double.IsNaN(left) == double.IsNaN(right) ? left == right ? 0 : left.CompareTo(right) : null;

    // Not by way of a Float64 of the integer: 2^53 + 1 would equal 2^53.
    private static int? Compare(long left, double right)
    {
        if (double.IsNaN(right))
            return null;
        if (Mutant.Is("doc-numbers-through-double"))
            return ((double)left).CompareTo(right);
        if (right >= TwoTo63)
            return -1;
        if (right < -TwoTo63)
            return 1;
        var whole = Math.Truncate(right);
        var order = left.CompareTo((long)whole);
        return order != 0 ? order : -right.CompareTo(whole);
    }
}
