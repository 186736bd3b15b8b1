namespace Cairn.Documents;

/// <summary>Says whether a filter holds for a document (VEC-14). Recursion is as deep as the filter.</summary>
internal static class FilterEvaluation
{
    internal static bool Holds(Filter filter, in Value document)
    {
        switch (filter.Kind)
        {
            case FilterKind.And:
                foreach (var part in filter.PartSpan)
                {
                    if (!Holds(part, document))
                        return false;
                }

                return true;
            case FilterKind.Or:
                foreach (var part in filter.PartSpan)
                {
                    if (Holds(part, document))
                        return true;
                }

                return false;
            case FilterKind.Not:
                return !Holds(filter.PartSpan[0], document);
            default:
                // What is not there fulfils no condition, Ne and NotIn neither.
                return filter.Path!.TryGet(document, out var found) && Holds(filter, found, filter.Value);
        }
    }

    private static bool Holds(Filter filter, in Value found, in Value value) => filter.Kind switch
    {
        FilterKind.Eq => Comparison.AreEqual(found, value),
        FilterKind.Ne => !Comparison.AreEqual(found, value),
        FilterKind.Gt => Comparison.Order(found, value) > 0,
        FilterKind.Gte => Comparison.Order(found, value) >= 0,
        FilterKind.Lt => Comparison.Order(found, value) < 0,
        FilterKind.Lte => Comparison.Order(found, value) <= 0,
        FilterKind.In => IsAmong(found, filter.ValueSpan),
        FilterKind.NotIn => !IsAmong(found, filter.ValueSpan),
        FilterKind.Contains => Contains(found, value),
        FilterKind.Prefix => found.Kind == ValueKind.String && value.Kind == ValueKind.String
            && found.AsString().StartsWith(value.AsString(), StringComparison.Ordinal),
        _ => true,
    };

    private static bool Contains(in Value found, in Value value) => found.Kind switch
    {
        ValueKind.Array => IsAmong(value, found.Elements.Items),
        ValueKind.String => value.Kind == ValueKind.String && found.AsString().Contains(value.AsString(), StringComparison.Ordinal),
        _ => false,
    };

    private static bool IsAmong(in Value one, ReadOnlySpan<Value> values)
    {
        foreach (ref readonly var value in values)
        {
            if (Comparison.AreEqual(one, value))
                return true;
        }

        return false;
    }
}
