using System.Buffers.Binary;
using Cairn.Codec;
using Cairn.Documents;
using Cairn.Store;

namespace Cairn.Primitives;

/// <summary>From the keys of a document's nodes back to paths. Reads all keys of the document.</summary>
internal static class DocumentPlaces
{
    /// <summary>The path to what a key of a node stands for; of a count or an order that of the container. Null: it is
    /// gone.</summary>
    internal static DocumentPath? Find(ReadOnlySpan<byte> storeKey, RunState run)
    {
        var prefix = storeKey.IndexOf((byte)0) + 1;
        var part = prefix + DocumentSlot.NodeBytes;
        if (prefix == 0 || storeKey.Length < part)
            return null;
        using var reader = run.Store.Read();
        var above = Above(reader, storeKey[..prefix], out var root);
        var segments = new List<PathSegment>();
        if (storeKey.Length > part && SegmentOf(storeKey[part..], Stored(reader, storeKey)) is { } last)
            segments.Add(last);
        for (var node = DocumentSlot.ReadNode(storeKey[prefix..]); node != root;)
        {
            if (!above.TryGetValue(node, out var place))
                return null;
            segments.Add(place.Segment);
            node = place.Node;
        }

        segments.Reverse();
        return new DocumentPath([.. segments]);
    }

    private static ReadOnlySpan<byte> Stored(scoped in StoreReader reader, ReadOnlySpan<byte> key) =>
        reader.TryGetNewest(key, out var version) && !version.IsTombstone ? version.Value : default;

    // Of each node the one above it, and the segment that leads down.
    private static Dictionary<ulong, (ulong Node, PathSegment Segment)> Above(
        scoped in StoreReader reader, ReadOnlySpan<byte> prefix, out ulong root)
    {
        var above = new Dictionary<ulong, (ulong, PathSegment)>();
        byte[] id = prefix.ToArray();
        root = 0;
        id[0] = StoreKeys.Json;
        if (reader.TryGetNewest(id.AsSpan(..^1), out var version) && DocumentSlot.TryRead(version.Value, out var slot))
            root = slot.Node;
        byte[] from = prefix.ToArray();
        byte[] to = [.. from.AsSpan(..^1), 1];
        var scan = reader.Scan(from, to, ulong.MaxValue);
        while (scan.MoveNext())
        {
            var part = scan.Key[(prefix.Length + DocumentSlot.NodeBytes)..];
            if (part.Length < 1 || scan.Version.IsContent || !DocumentSlot.TryRead(scan.Version.Value, out var child) || !child.IsContainer)
                continue;
            if (SegmentOf(part, scan.Version.Value) is { } segment)
                above[child.Node] = (DocumentSlot.ReadNode(scan.Key[prefix.Length..]), segment);
        }

        return above;
    }

    private static PathSegment? SegmentOf(ReadOnlySpan<byte> part, ReadOnlySpan<byte> stored) => part[0] switch
    {
        DocumentKeys.MemberTag when DocumentSlot.TryRead(stored, out var slot) && !slot.Name.IsEmpty =>
            PathSegment.OfName(Utf8.GetString(slot.Name)),
        DocumentKeys.MemberTag when part.Length <= 1 + DocumentKeys.NameBytesMax => PathSegment.OfName(Utf8.GetString(part[1..])),
        DocumentKeys.ElementTag => PathSegment.OfIndex(BinaryPrimitives.ReadUInt32BigEndian(part[1..])),
        _ => null,
    };
}
