using System.Buffers.Binary;
using Cairn.Codec;
using Cairn.Documents;

namespace Cairn.Primitives;

/// <content>Looking places up, and making values of what stands there.</content>
internal ref partial struct DocumentTree<TNodes>
{
    /// <summary>Looks a place up.</summary>
    /// <param name="last">How the place itself is looked at.</param>
    /// <param name="trail">Is told where the path leads.</param>
    internal bool TryFind(scoped ReadOnlySpan<byte> path, Look last, out VersionView found, PathTrail? trail = null)
    {
        found = default;
        if (!IsThere)
        {
            _nodes.TryGet(_keys.Root(), last == Look.Blind ? Look.Blind : Look.Presence, out _);
            return false;
        }

        var walk = new EncodedPath(path);
        var through = last is Look.Blind or Look.Path ? last : Look.Read;
        if (walk.IsAtEnd)
            return _nodes.TryGet(_keys.Root(), last, out found);
        scoped var slot = Root(through);
        while (walk.MoveNext(out var segment))
        {
            var look = walk.IsAtEnd ? last : through;
            trail?.Note(walk.Depth - 1, slot.Node);
            switch (slot.Kind)
            {
                case ValueKind.Object when segment.IsName:
                    if (!_nodes.TryGet(_keys.Member(slot.Node, segment.Name), look, out found))
                        return false;
                    break;
                case ValueKind.Array when segment.IsIndex:
                    if (!TryIndex(slot.Node, segment, through == Look.Blind ? Look.Blind : Look.Read, out var index, out _)
                        || !_nodes.TryGet(_keys.Element(slot.Node, index), look, out found))
                        return false;
                    break;
                default:
                    found = default;
                    return false;
            }

            if (!walk.IsAtEnd)
                slot = SlotOf(found);
        }

        return true;
    }

    /// <summary>The whole document, which is there.</summary>
    internal readonly Value ReadWhole() => Read(Root(Look.Read));

    /// <summary>The value at a place that was found.</summary>
    internal readonly Value Read(scoped in VersionView found) => Read(SlotOf(found));

    private readonly Value Read(scoped in DocumentSlot slot)
    {
        if (!slot.IsContainer)
            return Value.Decode(slot.Scalar);
        var list = NodeLists.Rent();
        ListNode(slot.Node, withValues: true, Look.Read, list);
        var values = new Value[Children(list)];
        var isObject = slot.Kind == ValueKind.Object;
        var names = isObject ? new string[values.Length] : null;
        var isLong = false;
        var at = 0;
        for (var index = 0; index < list.Count; index++)
        {
            var part = list.Part(index);
            if (part is not [DocumentKeys.MemberTag or DocumentKeys.ElementTag, ..])
                continue;
            var child = SlotOf(list.Stored(index));
            if (names is not null)
            {
                isLong |= !child.Name.IsEmpty;
                names[at] = Utf8.GetTrustedString(child.Name.IsEmpty ? part[1..] : child.Name);
            }

            values[at++] = Read(child);
        }

        NodeLists.Return(list);
        if (names is null)
            return values.Length == 0 ? new Value(ValueElements.Empty) : new Value(new ValueElements(values));
        if (isLong)
            return new Value(ValueMembers.Order(names, values));
        return new Value(names.Length == 0 ? ValueMembers.Empty : new ValueMembers(names, values));
    }

    /// <summary>The value at a place that was found: a scalar; of an Object that it is one, of an Array its scalar elements.</summary>
    internal readonly Value ReadScalars(scoped in VersionView found)
    {
        var slot = SlotOf(found);
        if (slot.Kind == ValueKind.Object)
            return new Value(ValueMembers.Empty);
        if (slot.Kind != ValueKind.Array)
            return Value.Decode(slot.Scalar);
        var list = NodeLists.Rent();
        ListNode(slot.Node, withValues: true, Look.Blind, list);
        var values = new List<Value>();
        for (var index = 0; index < list.Count; index++)
        {
            if (list.Part(index) is [DocumentKeys.ElementTag, ..] && SlotOf(list.Stored(index)) is { IsContainer: false } element)
                values.Add(Value.Decode(element.Scalar));
        }

        NodeLists.Return(list);
        return Value.Array(values);
    }

    /// <summary>The encoding of the value at a place that was found, where it is a scalar.</summary>
    internal readonly bool TryReadScalar(scoped in VersionView found, out ReadOnlySpan<byte> canonical)
    {
        var slot = SlotOf(found);
        canonical = slot.Scalar;
        return !slot.IsContainer;
    }

    /// <summary>The newest version of anything at a place that was found, and below.</summary>
    internal readonly ulong NewestOf(scoped in VersionView found)
    {
        var newest = found.Sequence;
        var slot = SlotOf(found);
        return slot.IsContainer ? Math.Max(newest, NewestOf(slot.Node)) : newest;
    }

    private readonly ulong NewestOf(ulong node)
    {
        var newest = 0UL;
        var list = NodeLists.Rent();
        ListNode(node, withValues: false, Look.Read, list);
        for (var index = 0; index < list.Count; index++)
        {
            if (_nodes.TryGet(_keys.Child(node, list.Part(index)), Look.Blind, out var version))
                newest = Math.Max(newest, version.Sequence);
            if (!list.IsContent(index) && list.Part(index) is [DocumentKeys.MemberTag or DocumentKeys.ElementTag, ..]
                && SlotOf(list.Stored(index)) is { IsContainer: true } child)
                newest = Math.Max(newest, NewestOf(child.Node));
        }

        NodeLists.Return(list);
        return newest;
    }

    /// <summary>Names of the members of an object, in order.</summary>
    internal readonly List<string> Names(ulong node)
    {
        var names = new List<string>();
        var list = NodeLists.Rent();
        ListNode(node, withValues: true, Look.Read, list);
        for (var index = 0; index < list.Count; index++)
        {
            if (list.Part(index) is not [DocumentKeys.MemberTag, .. var name])
                continue;
            var slot = SlotOf(list.Stored(index));
            names.Add(Utf8.GetTrustedString(slot.Name.IsEmpty ? name : slot.Name));
        }

        NodeLists.Return(list);
        names.Sort(static (left, right) => Utf8.Compare(left, right));
        return names;
    }

    /// <summary>Members or elements of a container.</summary>
    internal readonly int CountOf(ulong node, Look look) =>
        _nodes.TryGet(_keys.Count(node), look, out var version) ? BinaryPrimitives.ReadInt32LittleEndian(version.Value) : 0;
}
