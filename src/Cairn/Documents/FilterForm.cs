namespace Cairn.Documents;

/// <summary>Filters as JSON: an Object with one member, whose name is the word of the text form.</summary>
internal static class FilterForm
{
    internal static Filter Read(in Value form, Limits limits)
    {
        var nodes = 0;
        return Read(form, limits, [], ref nodes).Check(limits);
    }

    // Looks at the limits on the way down: what is too deep is not followed, and what is too much not made.
    private static Filter Read(in Value form, Limits limits, PathSegment[] at, ref int nodes)
    {
        if (++nodes > limits.FilterNodesMax)
            throw new LimitException(nameof(Limits.FilterNodesMax), limits.FilterNodesMax, nodes, "nodes");
        if (form.Kind != ValueKind.Object || form.Count != 1)
            throw Malformed(at, "a filter is an Object with one member.");
        var (word, content) = form.AsObject().First();
        PathSegment[] inside = [.. at, PathSegment.OfName(word)];
        if (!FilterText.TryKind(word, out var kind))
            throw Malformed(inside, "the name of the member is one of: " + string.Join(", ", FilterText.Words) + ".");
        switch (kind)
        {
            case FilterKind.And or FilterKind.Or:
                return Join(kind, content, limits, inside, ref nodes);
            case FilterKind.Not:
                CheckDepth(inside, limits);
                return Filter.Not(Read(content, limits, inside, ref nodes));
            case FilterKind.Exists:
                return Filter.Exists(Path(content, limits, inside));
            default:
                return Condition(kind, content, limits, inside);
        }
    }

    private static Filter Join(FilterKind kind, in Value content, Limits limits, PathSegment[] at, ref int nodes)
    {
        if (content.Kind != ValueKind.Array || content.Count == 0)
            throw Malformed(at, "'and' and 'or' have an Array of filters, of one at least.");
        CheckDepth(at, limits);
        var parts = new List<Filter>();
        for (var n = 0; n < content.Count; n++)
            parts.Add(Read(content[n], limits, [.. at, PathSegment.OfIndex(n)], ref nodes));
        return Filter.Join(kind, parts);
    }

    private static Filter Condition(FilterKind kind, in Value content, Limits limits, PathSegment[] at)
    {
        if (content.Kind != ValueKind.Array || content.Count != 2)
            throw Malformed(at, "a condition has an Array of a path and a value.");
        var path = Path(content[0], limits, [.. at, PathSegment.OfIndex(0)]);
        var value = content[1];
        value.Measure.Check(limits);
        if (kind is FilterKind.In or FilterKind.NotIn)
        {
            if (value.Kind != ValueKind.Array)
                throw Malformed([.. at, PathSegment.OfIndex(1)], "'in' and 'not in' have an Array of values.");
            if (value.Count > limits.FilterValuesMax)
                throw new LimitException(nameof(Limits.FilterValuesMax), limits.FilterValuesMax, value.Count, "values");
            for (var n = 0; n < value.Count; n++)
                CheckField(path, kind, value[n], [.. at, PathSegment.OfIndex(1), PathSegment.OfIndex(n)]);
            return Filter.Among(kind, path, value.AsArray());
        }

        if (kind == FilterKind.Prefix && value.Kind != ValueKind.String)
            throw Malformed([.. at, PathSegment.OfIndex(1)], "'prefix' has a String.");
        CheckField(path, kind, value, [.. at, PathSegment.OfIndex(1)]);
        return Filter.Compare(kind, path, value);
    }

    private static void CheckField(FilterPath path, FilterKind kind, Value value, PathSegment[] at)
    {
        if (FilterFields.Refusal(path.Field, kind, ref value) is { } reason)
            throw Malformed(at, reason);
    }

    private static FilterPath Path(in Value content, Limits limits, PathSegment[] at) => content.Kind == ValueKind.String
        ? FilterPath.Parse(content.AsString(), limits)
        : throw Malformed(at, "a path is a String.");

    // Two segments for a level, one for 'not'; the filter itself is measured when it is whole.
    private static void CheckDepth(PathSegment[] at, Limits limits)
    {
        if (at.Length > 2 * limits.FilterDepthMax)
            throw new LimitException(nameof(Limits.FilterDepthMax), limits.FilterDepthMax, limits.FilterDepthMax + 1, "levels");
    }

    private static DocumentException Malformed(PathSegment[] at, string reason) =>
        new(ErrorCode.InvalidFilter, PathText.Write(at), reason);

    internal static Value Write(Filter filter)
    {
        Value path = filter.Path?.ToString() ?? FilterPath.NameOf(filter.Field);
        var content = filter.Kind switch
        {
            FilterKind.And or FilterKind.Or => Value.Array(filter.Parts.Select(Write)),
            FilterKind.Not => Write(filter.Parts[0]),
            FilterKind.Exists => path,
            FilterKind.In or FilterKind.NotIn => Value.Array(path, Value.Array(filter.ValueSpan)),
            _ => Value.Array(path, filter.Value),
        };
        return Value.Object((FilterText.WordOf(filter.Kind), content));
    }
}
