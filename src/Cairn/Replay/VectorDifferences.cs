using Cairn.Codec;
using Cairn.Primitives;
using Cairn.Store;
using Cairn.Vectors;

namespace Cairn.Replay;

/// <summary>Differences of vectors: collections by name, vectors by collection and key; of a vector that both have, embedding and metadata
/// apart (VEC-26). With what both sides have touched since a common point those are looked up; a collection that one of them has made or
/// deleted since, or all of them where that is not known, is gone through on both sides.</summary>
internal static class VectorDifferences
{
    private static readonly DocumentPath EmbeddingPart = DocumentPath.Root.Member(VectorValues.EmbeddingName);
    private static readonly DocumentPath MetadataPart = DocumentPath.Root.Member(VectorValues.MetadataName);

    internal static IEnumerable<DiffItem> Of(DiffEnd a, DiffEnd b, CommonPoint? common, ChangedKeys? touched)
    {
        var pair = new Pair(a, b, common?.Sequence ?? 0);
        var whole = new SortedSet<byte[]>(ByteArrayComparer.Instance);
        var single = new SortedDictionary<byte[], List<byte[]>>(ByteArrayComparer.Instance);
        if (touched is null)
        {
            whole.UnionWith(pair.InA.Names());
            whole.UnionWith(pair.InB.Names());
        }
        else
        {
            foreach (var key in touched.Of(StoreKeys.VectorCollection))
                whole.Add(key[1..]);
            foreach (var head in touched.Of(StoreKeys.VectorHead))
            {
                var name = VectorKeys.NameIn(head).ToArray();
                if (!single.TryGetValue(name, out var heads))
                    single.Add(name, heads = []);
                heads.Add(head);
            }
        }

        foreach (var name in whole.Union(single.Keys, ByteArrayComparer.Instance).Order(ByteArrayComparer.Instance))
        {
            var heads = whole.Contains(name) ? pair.AllOf(name) : single[name];
            foreach (var item in pair.Compare(name, heads))
                yield return item;
        }
    }

    private sealed class Pair(DiffEnd a, DiffEnd b, ulong common)
    {
        internal StoredVectors InA { get; } = new(a.Run.Store, a.Sequence, a.Time);

        internal StoredVectors InB { get; } = new(b.Run.Store, b.Sequence, b.Time);

        internal IEnumerable<byte[]> AllOf(byte[] name)
        {
            // Both in order, a piece of each at a time; of the same key one.
            using var fromA = All(InA, name).GetEnumerator();
            using var fromB = All(InB, name).GetEnumerator();
            var (hasA, hasB) = (fromA.MoveNext(), fromB.MoveNext());
            while (hasA || hasB)
            {
                var order = !hasA ? 1 : !hasB ? -1 : fromA.Current.AsSpan().SequenceCompareTo(fromB.Current);
                yield return order <= 0 ? fromA.Current : fromB.Current;
                hasA = order <= 0 ? fromA.MoveNext() : hasA;
                hasB = order >= 0 ? fromB.MoveNext() : hasB;
            }
        }

        private static IEnumerable<byte[]> All(StoredVectors side, byte[] name)
        {
            for (var from = VectorKeys.Begin(StoreKeys.VectorHead, name); from.Length > 0;)
            {
                foreach (var head in side.Heads(name, ref from))
                    yield return head;
            }
        }

        internal IEnumerable<DiffItem> Compare(byte[] name, IEnumerable<byte[]> heads)
        {
            var before = InA.Configuration(name, out var versionA);
            var after = InB.Configuration(name, out var versionB);
            if (versionA?.Value != versionB?.Value)
            {
                yield return new DiffItem(
                    ItemAddress.OfCollection(Utf8.GetTrustedString(name)), versionA is null ? DiffKind.Added
                    : versionB is null ? DiffKind.Removed : DiffKind.Modified) { Before = versionA, After = versionB };
            }

            foreach (var head in heads)
            {
                foreach (var item in Compare(head, before, after))
                    yield return item;
            }
        }

        private List<DiffItem> Compare(byte[] head, byte[]? before, byte[]? after)
        {
            var (versionA, versionB) = (InA.VersionOf(head), InB.VersionOf(head));
            if (versionA == versionB && versionA <= common)
                return [];
            var address = ItemAddress.OfVector(
                Utf8.GetTrustedString(VectorKeys.NameIn(head)), Utf8.GetTrustedString(VectorKeys.KeyIn(head)));
            var (inA, inB) = (InA.Read(head, before), InB.Read(head, after));
            if (inA is null || inB is null)
            {
                if (inA is null && inB is null)
                    return [];
                return [new DiffItem(address, inA is null ? DiffKind.Added : DiffKind.Removed)
                {
                    Before = inA?.ToVersion(), After = inB?.ToVersion(),
                }];
            }

            var items = new List<DiffItem>();
            if (!inA.HasEmbeddingOf(inB))
                items.Add(Part(address, EmbeddingPart, inA, Embedding(inA), inB, Embedding(inB)));
            if (!inA.HasMetadataOf(inB) && !Mutant.Is("vector-diff-passes-over-metadata"))
                items.Add(Part(address, MetadataPart, inA, VectorValues.Metadata(inA.Metadata), inB, VectorValues.Metadata(inB.Metadata)));
            return items;
        }

        private static Value? Embedding(VectorSide side) => VectorValues.Embedding(side.Element, side.Dimension, side.Embedding);

        private static DiffItem Part(ItemAddress address, DocumentPath part, VectorSide inA, Value? before, VectorSide inB, Value? after) =>
            new(address, before is null ? DiffKind.Added : after is null ? DiffKind.Removed : DiffKind.Modified)
            {
                Part = part,
                Before = before is { } old ? inA.Of(old) : null,
                After = after is { } now ? inB.Of(now) : null,
            };
    }
}
