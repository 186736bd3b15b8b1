// What operations on documents do to the items of indexes
// --------------------------------------------------------
// A document is changed by path, and an index is over places: an operation is asked of those indexes only that it can reach, and of the
// document only the places of these are read, before it and behind it. What differs are the items that go and come. The trial and Apply
// find it by the same code, over their own nodes.
//
//   DI1  An operation reaches an index unless each of its paths parts from the operation's at a name. Elements of an array move, so two
//        places in one never part; and an operation that makes a document anew, where an expired one is left, reaches all.
//   DI2  What is stored counts, whether it has expired or not: an expired document keeps its items until it is taken away, and whoever
//        looks a document up by an item finds out that it is gone.
//   DI3  Of a unique index no two documents that live have the same row, judged where the commit ends: what a transaction takes from one
//        document it can give to another. A row with a place where nothing is, or an Array or Object, is nobody's rival (IDX-13).

using Cairn.Codec;
using Cairn.Documents;
using Cairn.Log;
using Cairn.Store;

namespace Cairn.Primitives;

/// <summary>See the essay above. Stateless.</summary>
internal static class DocumentItems
{
    /// <summary>The indexes whose items an operation may change (DI1); null = none.</summary>
    /// <param name="lives">The document is there and has not expired.</param>
    internal static List<StoredIndex>? Reached(IndexSet? indexes, in Operation operation, scoped in DocumentBody body, bool lives)
    {
        if (indexes is null || (OperationCode)operation.Code == OperationCode.JsonExpire)
            return null;
        List<StoredIndex>? reached = null;
        foreach (var index in indexes.On(IndexTarget.Documents))
        {
            if (index.Has(operation.Key) && ((!lives && !Mutant.Is("index-forgets-what-expired")) || Reaches(operation, body, index)))
                (reached ??= []).Add(index);
        }

        return reached;
    }

    private static bool Reaches(in Operation operation, scoped in DocumentBody body, StoredIndex index)
    {
        if (!DocumentBody.HasPath((OperationCode)operation.Code))
            return true;
        foreach (var path in index.Paths)
        {
            if (!Part(body.Path, path.Encoded))
                return true;
        }

        return false;
    }

    private static bool Part(ReadOnlySpan<byte> one, ReadOnlySpan<byte> other)
    {
        var left = new EncodedPath(one);
        var right = new EncodedPath(other);
        while (left.MoveNext(out var step) && right.MoveNext(out var along))
        {
            // Two tokens of pointers may both be places in an array.
            var isName = step.IsName && along.IsName && (step.Kind == SegmentKind.Name || along.Kind == SegmentKind.Name);
            if (isName && !step.Name.SequenceEqual(along.Name))
                return true;
        }

        return false;
    }

    /// <summary>The items of a document in some indexes, as it is stored (DI2).</summary>
    internal static List<byte[]>[] Of<TNodes>(List<StoredIndex> indexes, TNodes nodes, scoped ReadOnlySpan<byte> id)
        where TNodes : IDocumentNodes, allows ref struct
    {
        Span<byte> buffer = stackalloc byte[DocumentKeys.BufferBytes];
        var tree = DocumentTrees.Open(nodes, buffer, id, null);
        var items = new List<byte[]>[indexes.Count];
        for (var i = 0; i < items.Length; i++)
            items[i] = tree.IsThere ? IndexItems.Of(indexes[i], id, new TreePlaces<TNodes>(tree)) : [];
        return items;
    }

    /// <summary>Writes the items of a document in an index, as it is stored (DI2).</summary>
    internal static void Write<TNodes>(StoredIndex index, TNodes nodes, scoped ReadOnlySpan<byte> id, ItemBuffer items)
        where TNodes : IDocumentNodes, allows ref struct
    {
        Span<byte> buffer = stackalloc byte[DocumentKeys.BufferBytes];
        var tree = DocumentTrees.Open(nodes, buffer, id, null);
        if (tree.IsThere)
            IndexItems.Write(index, id, new TreePlaces<TNodes>(tree), items);
    }

    private readonly ref struct TreePlaces<TNodes>(DocumentTree<TNodes> tree) : IIndexedPlaces
        where TNodes : IDocumentNodes, allows ref struct
    {
        private readonly DocumentTree<TNodes> _tree = tree;

        public bool TryGet(DocumentPath path, out Value value)
        {
            var tree = _tree;
            var isThere = tree.TryFind(path.Encoded, Look.Blind, out var found);
            value = isThere ? tree.ReadScalars(found) : default;
            return isThere;
        }

        public PlaceLook LookAt(DocumentPath path, out ReadOnlySpan<byte> canonical)
        {
            var tree = _tree;
            canonical = default;
            if (!tree.TryFind(path.Encoded, Look.Blind, out var found))
                return PlaceLook.Absent;
            return tree.TryReadScalar(found, out canonical) ? PlaceLook.Scalar : PlaceLook.Other;
        }
    }
}

/// <summary>The rows of unique indexes that a commit takes and gives, and whether they have rivals (DI3).</summary>
internal sealed class UniqueRows
{
    private const int NamedMax = 10;

    private readonly Dictionary<byte[], bool> _items = new(ByteArrayComparer.Instance);
    private readonly List<(StoredIndex Index, byte[] Id, byte[] Item)> _come = [];

    internal void Goes(byte[] item) => _items[item] = false;

    internal void Comes(StoredIndex index, ReadOnlySpan<byte> id, byte[] item)
    {
        _items[item] = true;
        _come.Add((index, id.ToArray(), item));
    }

    /// <summary>At the end of the commit.</summary>
    /// <param name="time">At which expiry is judged.</param>
    /// <exception cref="CairnException"><see cref="ErrorCode.ConstraintViolation"/>.</exception>
    internal void Check(scoped in StoreReader reader, long time)
    {
        var holders = new Dictionary<byte[], byte[]>(ByteArrayComparer.Instance);
        foreach (var (index, id, item) in _come)
        {
            if (!_items[item] || Mutant.Is("unique-unchecked"))
                continue;                                    // it went again
            var isRival = IsRival(index, item, id, out var unfit);
            if (unfit is not null)
                throw unfit;
            if (!isRival)
                continue;
            var row = item[..^id.Length];
            if (holders.TryGetValue(row, out var other) && !other.AsSpan().SequenceEqual(id))
                throw Taken(index, id, other);
            holders[row] = id;
            var scan = reader.Scan(row, KeyInterval.After(row), ulong.MaxValue);
            while (scan.MoveNext())
            {
                var holder = scan.Key[row.Length..];
                if (holder.SequenceEqual(id) || IsGone(scan.Key) || !Lives(reader, holder, time))
                    continue;
                throw Taken(index, id, holder);
            }
        }
    }

    private bool IsGone(ReadOnlySpan<byte> item) =>
        _items.GetAlternateLookup<ReadOnlySpan<byte>>().TryGetValue(item, out var isThere) && !isThere;

    /// <summary>Documents that have the same row, for an index that would be unique.</summary>
    /// <param name="all">Each document with its items.</param>
    internal static CairnException? Duplicates(
        StoredIndex index, List<(byte[] Id, List<byte[]> Items)> all, scoped in StoreReader reader, long time)
    {
        var holders = new Dictionary<byte[], byte[]>(ByteArrayComparer.Instance);
        var found = new List<string>();
        foreach (var (id, items) in all)
        {
            if (!Lives(reader, id, time))
                continue;
            foreach (var item in items)
            {
                var isRival = IsRival(index, item, id, out var unfit);
                if (unfit is not null)
                    return unfit;
                if (isRival && !holders.TryAdd(item[..^id.Length], id) && found.Count < NamedMax + 1)
                    found.Add($"'{Text(holders[item[..^id.Length]])}' and '{Text(id)}'");
            }
        }

        if (found.Count == 0)
            return null;
        var named = string.Join(", ", found.Take(NamedMax)) + (found.Count > NamedMax ? ", and more" : "");
        return new CairnException(
            ErrorCode.ConstraintViolation,
            $"A unique index over {Paths(index)} cannot be made: the same value is in the documents {named}. "
                + "Change or delete one of each, then define it again.");
    }

    private static bool Lives(scoped in StoreReader reader, ReadOnlySpan<byte> id, long time)
    {
        Span<byte> key = stackalloc byte[1 + Limits.KeyBytesMax];
        return reader.TryGetNewest(StoreKeys.Of(key, StoreKeys.Json, id), out var root) && root.IsLiveAt(time);
    }

    // What is cut, or more than are kept, could not be told apart.
    private static bool IsRival(StoredIndex index, byte[] item, ReadOnlySpan<byte> id, out CairnException? unfit)
    {
        unfit = null;
        var rest = item.AsSpan(IndexItems.PrefixBytes);
        if (rest[0] == IndexItems.Overflow)
        {
            unfit = new CairnException(
                ErrorCode.ConstraintViolation,
                $"Document '{Text(id)}' has more than {IndexItems.ItemsMax} values at {Paths(index)}, and the index '{index.Name}' is "
                    + "unique. Keep fewer there, or drop the index.");
            return false;
        }

        for (var i = 0; i < index.Paths.Length; i++)
        {
            var part = rest[..IndexItems.PartLength(rest)];
            if (part[0] is IndexItems.Missing or IndexItems.Container)
                return false;
            if (IndexItems.IsCut(part[0] == IndexItems.Element ? part[1..] : part))
            {
                unfit = new CairnException(
                    ErrorCode.ConstraintViolation,
                    $"Document '{Text(id)}' has a value of more than {IndexItems.KeptBytes / index.Paths.Length} bytes at {Paths(index)}, "
                        + $"and the index '{index.Name}' is unique. Keep a shorter one, or drop the index.");
                return false;
            }

            rest = rest[part.Length..];
        }

        return true;
    }

    private static CairnException Taken(StoredIndex index, ReadOnlySpan<byte> id, ReadOnlySpan<byte> holder) => new(
        ErrorCode.ConstraintViolation,
        $"Document '{Text(id)}' cannot have this value at {Paths(index)}: the index '{index.Name}' is unique, and document "
            + $"'{Text(holder)}' has it. Take another value, or change that document in the same transaction.");

    private static string Text(ReadOnlySpan<byte> id) => Utf8.GetTrustedString(id);

    private static string Paths(StoredIndex index) => string.Join(", ", index.Paths.Select(path => path.ToString()));
}
