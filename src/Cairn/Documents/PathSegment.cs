namespace Cairn.Documents;

/// <summary>What a segment of a path asks for.</summary>
internal enum SegmentKind
{
    /// <summary>The member of a name.</summary>
    Name,

    /// <summary>The element at an index; a negative one counts from the end.</summary>
    Index,

    /// <summary>One past the last element: where the next one goes.</summary>
    End,

    /// <summary>A token of a pointer that can be either: digits, or <c>-</c>. What it meets decides.</summary>
    Token,
}

/// <summary>One step of a path, into a member or an element.</summary>
/// <param name="Kind">What it asks for.</param>
/// <param name="Name">The name; of a token its text. Null for an index and for the end.</param>
/// <param name="Index">The index; of a token the number, -1 when it is <c>-</c>.</param>
internal readonly record struct PathSegment(SegmentKind Kind, string? Name, long Index)
{
    internal static PathSegment OfName(string name) => new(SegmentKind.Name, name, 0);

    internal static PathSegment OfIndex(long index) => new(SegmentKind.Index, null, index);

    internal static PathSegment End => new(SegmentKind.End, null, -1);

    /// <summary>A token of a pointer, unescaped. RFC 6901, section 4: an index has no leading zero.</summary>
    internal static PathSegment OfToken(string token)
    {
        if (token == "-")
            return new PathSegment(SegmentKind.Token, token, -1);
        var isIndex = token.Length > 0 && token.All(char.IsAsciiDigit) && (token.Length == 1 || token[0] != '0');
        if (!isIndex)
            return OfName(token);
        return new PathSegment(SegmentKind.Token, token, long.TryParse(token, out var index) ? index : long.MaxValue);
    }

    /// <summary>The member name that this segment is for an object; null when it cannot be one.</summary>
    internal string? AsName => Kind is SegmentKind.Name or SegmentKind.Token ? Name : null;

    /// <summary>The index that this segment is in an array of a length; the length itself for the end. False when it is none.</summary>
    internal bool TryAsIndex(int length, out long index)
    {
        index = Kind switch
        {
            SegmentKind.Index => Index < 0 ? length + Index - (Mutant.Is("doc-index-from-the-end") ? 1 : 0) : Index,
            SegmentKind.End => length,
            SegmentKind.Token => Index < 0 ? length : Index,
            _ => -1,
        };
        return Kind != SegmentKind.Name;
    }

    /// <summary>What a value has there. The container is a copy, so that it may be what the answer goes into.</summary>
    /// <returns>False when it has nothing there, whatever its kind.</returns>
    internal bool TryGet(Value container, out Value found)
    {
        found = default;
        switch (container.Kind)
        {
            case ValueKind.Object:
                return AsName is { } name && container.Members.TryGetValue(name, out found);
            case ValueKind.Array:
                var items = container.Elements.Items;
                if (!TryAsIndex(items.Length, out var index) || index < 0 || index >= items.Length)
                    return false;
                found = items[(int)index];
                return true;
            default:
                return false;
        }
    }
}
