using System.Buffers.Binary;

namespace Cairn.Tables;

/// <summary>The stretches of the log that a table refers to, ascending by position. What several entries share may come several
/// times.</summary>
internal static class ContentCursor
{
    /// <summary>Merges the sorted stretches of the content section; memory for one block of each.</summary>
    /// <exception cref="CorruptionException">While it is enumerated: a block is damaged, or what it says is out of order.</exception>
    internal static IEnumerable<ContentExtent> ReadContents(this Table table)
    {
        var heap = new PriorityQueue<IEnumerator<ContentExtent>, ContentExtent>();
        for (var stretch = 0; stretch < table.Footer.ContentStretches; stretch++)
        {
            var extents = ReadStretch(table, stretch).GetEnumerator();
            if (!extents.MoveNext())
                throw table.Damaged(table.Footer.ContentRoot.Offset, $"stretch {stretch} of the contents");
            heap.Enqueue(extents, extents.Current);
        }

        while (heap.TryPeek(out var next, out var extent))
        {
            yield return extent;
            if (next.MoveNext())
                heap.DequeueEnqueue(next, next.Current);
            else
                heap.Dequeue();
        }
    }

    private static IEnumerable<ContentExtent> ReadStretch(Table table, int stretch)
    {
        var start = new byte[ContentBlock.IndexKeyBytes];
        BinaryPrimitives.WriteInt32BigEndian(start, stretch);
        var root = table.Index(table.Footer.ContentRoot, table.Footer.ContentRootLevel, keep: false);
        var walk = new IndexWalk(table, root, keep: false);

        // The search ends on the first block of the stretch, if that begins at position 0, and else on what is before it.
        var isThere = walk.MoveTo(start, ulong.MaxValue);
        if (isThere && !walk.KeyStartsWith(start.AsSpan(0, sizeof(int))))
            isThere = walk.MoveNext();
        var last = default(ContentExtent);
        for (; isThere && walk.KeyStartsWith(start.AsSpan(0, sizeof(int))); isThere = walk.MoveNext())
        {
            var place = walk.Place;
            var block = table.Content(place, keep: false);
            for (var index = 0; index < Block.Count(block); index++)
            {
                var extent = ContentBlock.Read(block, index);
                if (extent.CompareTo(last) < 0)
                    throw table.Damaged(place.Offset, "contents in the order of their positions");
                yield return last = extent;
            }
        }
    }
}
