using Cairn.Codec;
using Cairn.Documents;

namespace Cairn.Primitives;

/// <content>JSON Patch (RFC 6902) and Merge Patch (RFC 7396), on nodes. What they find and refuse is what <see cref="Patching"/> finds and
/// refuses on values; a test holds the two against each other.</content>
internal ref partial struct DocumentTree<TNodes>
{
    /// <summary>JS-10: the operations in order.</summary>
    internal void Patch(IReadOnlyList<JsonPatchOperation> operations)
    {
        if (!IsThere)
            throw NoDocumentRead();
        for (var n = 0; n < operations.Count; n++)
        {
            try
            {
                Patch(operations[n]);
            }
            catch (DocumentException failed)
            {
                throw failed.In(n);
            }
        }
    }

    private void Patch(JsonPatchOperation operation)
    {
        var path = EncodedPath.Write(operation.Path.Segments);
        switch (operation.Kind)
        {
            case JsonPatchKind.Add:
                Add(path, operation.Value);
                break;
            case JsonPatchKind.Remove:
                TakeOut(path);
                break;
            case JsonPatchKind.Replace:
                ReplaceAt(path, operation.Value);
                break;
            case JsonPatchKind.Copy:
                Add(path, Get(EncodedPath.Write(operation.From!.Segments)));
                break;
            case JsonPatchKind.Move:
                Move(operation.From!.Segments, operation.Path.Segments, path);
                break;
            default:
                if (!Comparison.AreEqual(Get(path), operation.Value))
                    throw new DocumentException(ErrorCode.TestFailed, operation.Path.ToString(), "the value there is another one.");
                break;
        }
    }

    /// <summary>What stands at a place.</summary>
    /// <exception cref="DocumentException">Nothing does.</exception>
    internal Value Get(scoped ReadOnlySpan<byte> path) => TryFind(path, Look.Read, out var found) ? Read(found) : throw WhyNot(path);

    // RFC 6902, 4.1.
    private void Add(scoped ReadOnlySpan<byte> path, in Value value)
    {
        CheckDepth(path, value);
        var encoded = value.Encode();
        if (path.IsEmpty)
        {
            Replace(encoded, Head.Expiry);
            return;
        }

        var parent = Parent(path, out var last, out var depth);
        if (parent.Kind == ValueKind.Object && last.IsName)
        {
            SetMember(parent.Node, last.Name, encoded);
        }
        else
        {
            var (index, count) = ElementAt(path, depth, parent, last);
            if (index < 0 || index > count)
                throw NoElement(path, depth, count);
            Insert(parent.Node, count, last.IsEnd || index == count ? null : index, 1, encoded, 0);
        }

        Changed();
    }

    // RFC 6902, 4.2.
    private void TakeOut(scoped ReadOnlySpan<byte> path)
    {
        if (!TryRemove(path))
            throw WhyNot(path);
    }

    // RFC 6902, 4.3.
    private void ReplaceAt(scoped ReadOnlySpan<byte> path, in Value value)
    {
        CheckDepth(path, value);
        var encoded = value.Encode();
        if (path.IsEmpty)
        {
            Replace(encoded, Head.Expiry);
            return;
        }

        if (!TryFind(path, Look.Presence, out _))
            throw WhyNot(path);
        var parent = Parent(path, out var last, out var depth);
        if (parent.Kind == ValueKind.Object)
            SetMember(parent.Node, last.Name, encoded);
        else
            SetElement(parent.Node, ElementAt(path, depth, parent, last).Index, encoded);
        Changed();
    }

    private void Move(ReadOnlySpan<PathSegment> from, ReadOnlySpan<PathSegment> to, scoped ReadOnlySpan<byte> path)
    {
        var source = EncodedPath.Write(from);
        var moved = Get(source);
        if (to.SequenceEqual(from))
            return;
        if (to.StartsWith(from))
            throw new DocumentException(ErrorCode.InvalidPath, PathText.Write(to), "a value is not moved into a part of itself.");
        TakeOut(source);
        Add(path, moved);
    }

    /// <summary>JS-13: the patch at a place. A place that is not there is made as by a set.</summary>
    internal void Merge(scoped ReadOnlySpan<byte> path, in Value patch)
    {
        if (!IsThere)
            throw NoDocumentRead();
        if (patch.Kind != ValueKind.Object)
        {
            CheckDepth(path, patch);
            Set(path, patch.Encode());
            return;
        }

        CheckDepth(path, patch);
        if (TryFind(path, Look.Path, out var found) && SlotOf(found) is { Kind: ValueKind.Object } slot)
            Merge(slot.Node, patch);
        else
            Set(path, Merging.Apply(Value.Null, patch).Encode());
        Changed();
    }

    private void Merge(ulong node, in Value patch)
    {
        foreach (var (name, change) in patch.AsObject())
        {
            var utf8 = Utf8.GetBytes(name);
            if (change.IsNull)
            {
                if (_nodes.TryGet(_keys.Member(node, utf8), Look.Blind, out _))
                    RemoveMember(node, utf8);
                continue;
            }

            if (change.Kind == ValueKind.Object && _nodes.TryGet(_keys.Member(node, utf8), Look.Path, out var inner)
                && SlotOf(inner) is { Kind: ValueKind.Object } slot)
            {
                Merge(slot.Node, change);
                continue;
            }

            SetMember(node, utf8, Merging.Apply(Value.Null, change).Encode());
        }
    }

    // The container that holds a place, and the place's segment.
    private readonly DocumentSlot Parent(ReadOnlySpan<byte> path, out EncodedSegment last, out int depth)
    {
        var slot = Root(Look.Path);
        var walk = new EncodedPath(path);
        while (true)
        {
            walk.MoveNext(out last);
            depth = walk.Depth;
            if (!slot.IsContainer || (slot.Kind == ValueKind.Object ? !last.IsName : !last.IsIndex))
                throw Failed(path, depth, slot);
            if (walk.IsAtEnd)
                return slot;
            ReadOnlySpan<byte> key;
            if (slot.Kind == ValueKind.Object)
            {
                key = _keys.Member(slot.Node, last.Name);
            }
            else
            {
                var (index, count) = ElementAt(path, depth, slot, last);
                if (index < 0 || index >= count)
                    throw NoElement(path, depth, count);
                key = _keys.Element(slot.Node, index);
            }

            if (!_nodes.TryGet(key, Look.Path, out var found))
                throw Failed(path, depth, slot);
            slot = SlotOf(found);
        }
    }

    // A path that led nowhere: as far as it led.
    private DocumentException WhyNot(scoped ReadOnlySpan<byte> path)
    {
        var slot = Root(Look.Blind);
        var walk = new EncodedPath(path);
        while (walk.MoveNext(out var segment))
        {
            VersionView found;
            if (slot.Kind == ValueKind.Object && segment.IsName)
            {
                if (!_nodes.TryGet(_keys.Member(slot.Node, segment.Name), Look.Blind, out found))
                    return Failed(path, walk.Depth, slot);
            }
            else if (slot.Kind == ValueKind.Array && segment.IsIndex)
            {
                if (!TryIndex(slot.Node, segment, Look.Blind, out var index, out var count))
                    return NoElement(path, walk.Depth, count);
                _nodes.TryGet(_keys.Element(slot.Node, index), Look.Blind, out found);
            }
            else
            {
                return Failed(path, walk.Depth, slot);
            }

            slot = SlotOf(found);
        }

        Invariant.Broken("a path that leads nowhere ends somewhere");
        return NoDocument();
    }

    private readonly void CheckDepth(scoped ReadOnlySpan<byte> path, in Value value)
    {
        if (_limits is { } limits)
            CheckDepth(path, value.Measure.Depth, limits);
    }

    /// <summary>LIM-5: the levels of a path and of what is put there.</summary>
    internal static void CheckDepth(scoped ReadOnlySpan<byte> path, int valueDepth, Limits limits)
    {
        var walk = new EncodedPath(path);
        while (walk.MoveNext(out _))
        {
        }

        if (walk.Depth + valueDepth > limits.DepthMax)
            throw new LimitException(nameof(Limits.DepthMax), limits.DepthMax, walk.Depth + valueDepth, "levels");
    }
}
