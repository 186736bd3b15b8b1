// Changes of a document
// ---------------------
// A document is a Value, and values do not change: a change makes a new value that shares with the old one all that is not on the path.
//
//        old:  {plan: {steps: [a, b]}, log: [...]}                set $.plan.steps[1] to c
//        new:  {plan: {steps: [a, c]}, log: [...]}                three containers are copied; a and the log are shared
//
// M1  A change that fails leaves nothing: there is only the old value.
// M2  Every result is measured, and refused when it passes a limit (JS-19), before the next operation begins. Sharing is no way round: a
//     document that is copied into itself a thousand times is refused at the step that makes it too large, without having that size in
//     memory.
// M3  An error names the path as far as it led.
//
// The cost is the number of members and elements of the containers on the path. It is not the storage of documents: that will change one
// path without making the document (docs/documents.md).
using Cairn.Codec;

namespace Cairn.Documents;

/// <summary>Looks places up and makes changed documents: M1 to M3 at the top of this file.</summary>
internal static class Patching
{
    private enum Change
    {
        Add,
        Replace,
        Remove,
        Set,
    }

    /// <summary>The value, when it keeps to the limits of a document.</summary>
    internal static Value Checked(in Value document, Limits limits)
    {
        if (!Mutant.Is("doc-result-not-measured"))
            document.Measure.Check(limits, FloatRule.Finite);
        return document;
    }

    /// <summary>What stands at a path.</summary>
    /// <exception cref="DocumentException">Nothing does.</exception>
    internal static Value Get(in Value document, ReadOnlySpan<PathSegment> path)
    {
        var at = document;
        for (var depth = 0; depth < path.Length; depth++)
        {
            if (!path[depth].TryGet(at, out var inner))
                throw NotThere(at, path[..(depth + 1)]);
            at = inner;
        }

        return at;
    }

    /// <summary>RFC 6902, section 4.1: a member is made or replaced, an element is put in before the one at the index.</summary>
    internal static Value Add(in Value document, ReadOnlySpan<PathSegment> path, in Value value) =>
        Make(document, path, 0, Change.Add, value);

    /// <summary>RFC 6902, section 4.3: what is there is replaced.</summary>
    internal static Value Replace(in Value document, ReadOnlySpan<PathSegment> path, in Value value) =>
        Make(document, path, 0, Change.Replace, value);

    /// <summary>RFC 6902, section 4.2: what is there is removed. The root cannot be (JS-3).</summary>
    internal static Value Remove(in Value document, ReadOnlySpan<PathSegment> path) => path.Length > 0
        ? Make(document, path, 0, Change.Remove, default)
        : throw new DocumentException(ErrorCode.InvalidPath, "$", "the root is not removed; delete the document, or replace it.");

    /// <summary>JS-6: a member is made or replaced, and the objects on the way to it are made; an element is replaced, and the end
    /// appends.</summary>
    internal static Value Set(in Value document, ReadOnlySpan<PathSegment> path, in Value value) =>
        Make(document, path, 0, Change.Set, value);

    // Recursion is bounded by the segments of a path, which have a limit.
    private static Value Make(in Value at, ReadOnlySpan<PathSegment> path, int depth, Change change, in Value value)
    {
        if (depth == path.Length)
            return value;
        return at.Kind switch
        {
            ValueKind.Object => InObject(at.Members, path, depth, change, value),
            ValueKind.Array => InArray(at.Elements, path, depth, change, value),
            _ => throw NotThere(at, path[..(depth + 1)]),
        };
    }

    private static Value InObject(ValueMembers members, ReadOnlySpan<PathSegment> path, int depth, Change change, in Value value)
    {
        var name = path[depth].AsName
            ?? throw new DocumentException(
                ErrorCode.TypeMismatch, PathText.Write(path[..(depth + 1)]), "an index needs an Array, and there is an Object.");
        var isLast = depth == path.Length - 1;
        var isThere = members.TryGetValue(name, out var inner);
        if (!isThere && (!isLast || change is Change.Replace or Change.Remove) && change != Change.Set)
            throw NotThere(new Value(members), path[..(depth + 1)]);
        if (isLast && change == Change.Remove)
            return new Value(Without(members, name));
        var changed = Make(isThere || isLast ? inner : new Value(ValueMembers.Empty), path, depth + 1, change, value);
        return new Value(With(members, name, changed, isThere));
    }

    private static Value InArray(ValueElements elements, ReadOnlySpan<PathSegment> path, int depth, Change change, in Value value)
    {
        var items = elements.Items;
        if (!path[depth].TryAsIndex(items.Length, out var index))
            throw new DocumentException(
                ErrorCode.TypeMismatch, PathText.Write(path[..(depth + 1)]), "a name needs an Object, and there is an Array.");
        var isLast = depth == path.Length - 1;
        var isEnd = path[depth].Kind == SegmentKind.End || path[depth] is { Kind: SegmentKind.Token, Index: < 0 };
        var isInserted = isLast && (change == Change.Add || (change == Change.Set && isEnd));
        if (index < 0 || index > items.Length || (index == items.Length && !isInserted))
            throw NotThere(new Value(elements), path[..(depth + 1)]);
        var place = (int)index;
        if (isLast && change == Change.Remove)
            return new Value(new ValueElements(Mutant.Is("doc-array-does-not-shift")
                ? [.. items[..place], Value.Null, .. items[(place + 1)..]]
                : [.. items[..place], .. items[(place + 1)..]]));
        if (isInserted)
            return new Value(new ValueElements([.. items[..place], value, .. items[place..]]));
        var copy = items.ToArray();
        copy[place] = Make(items[place], path, depth + 1, change, value);
        return new Value(new ValueElements(copy));
    }

    // The names stay in order, so that nothing is sorted again.
    private static ValueMembers With(ValueMembers members, string name, in Value value, bool isThere)
    {
        var at = PlaceOf(members.Names, name);
        if (isThere)
        {
            var copy = members.Values.ToArray();
            copy[at] = value;
            return new ValueMembers(members.Names.ToArray(), copy);
        }

        return new ValueMembers(
            [.. members.Names[..at], name, .. members.Names[at..]], [.. members.Values[..at], value, .. members.Values[at..]]);
    }

    private static ValueMembers Without(ValueMembers members, string name)
    {
        var at = PlaceOf(members.Names, name);
        return members.Count == 1
            ? ValueMembers.Empty
            : new ValueMembers(
                [.. members.Names[..at], .. members.Names[(at + 1)..]], [.. members.Values[..at], .. members.Values[(at + 1)..]]);
    }

    private static int PlaceOf(ReadOnlySpan<string> names, string name)
    {
        var (from, to) = (0, names.Length);
        while (from < to)
        {
            var middle = (from + to) >>> 1;
            if (Utf8.Compare(names[middle], name) < 0)
                from = middle + 1;
            else
                to = middle;
        }

        return from;
    }

    private static DocumentException NotThere(in Value at, ReadOnlySpan<PathSegment> path)
    {
        var segment = path[^1];
        var text = PathText.Write(path);
        return at.Kind switch
        {
            ValueKind.Object when segment.AsName is not null =>
                new DocumentException(ErrorCode.PathNotFound, text, "the Object has no such member."),
            ValueKind.Object => new DocumentException(ErrorCode.TypeMismatch, text, "an index needs an Array, and there is an Object."),
            ValueKind.Array when segment.Kind != SegmentKind.Name =>
                new DocumentException(ErrorCode.PathNotFound, text, $"the Array has {at.Count} elements and none there."),
            ValueKind.Array => new DocumentException(ErrorCode.TypeMismatch, text, "a name needs an Object, and there is an Array."),
            _ => new DocumentException(
                ErrorCode.TypeMismatch, text, $"an Object or an Array is needed before the last segment, and there is {at.Kind}."),
        };
    }
}
