using Cairn.Store;

namespace Cairn.Replay;

/// <summary>The store keys that a merge has to look at (G3 of MergePlan.cs).</summary>
internal sealed class MergeKeys
{
    private const int KeysPerPiece = 512;

    private readonly Dictionary<byte, List<byte[]>> _keys = [];

    /// <param name="sharedEvents">Events below this number are both sides': of them, one can only have been redacted.</param>
    internal MergeKeys(
        DiffEnd source, CommonPoint? since, Func<MergeState> values, ulong sharedEvents, MergeProgress progress)
    {
        var changed = since is { } point ? ChangedKeys.Since(point, source, progress) : null;
        foreach (var family in (byte[])[
            StoreKeys.Kv, StoreKeys.State, StoreKeys.Json, StoreKeys.VectorCollection, StoreKeys.VectorHead, StoreKeys.Trace,
            StoreKeys.Event, StoreKeys.Concept, StoreKeys.Association])
        {
            _keys[family] = changed is not null
                ? [.. changed.Of(family)]
                : Differing(source, values(), family, family == StoreKeys.Event ? sharedEvents : null, progress);
        }

        AddVectors(source, values, progress);
    }

    // What a collection holds is not named by the record that deletes it.
    private void AddVectors(DiffEnd source, Func<MergeState> values, MergeProgress progress)
    {
        if (_keys[StoreKeys.VectorCollection].Count == 0)
            return;
        var heads = new SortedSet<byte[]>(_keys[StoreKeys.VectorHead], ByteArrayComparer.Instance);
        StoredVectors[] sides =
        [
            new(source.Run.Store, source.Sequence, source.Time), new(values().Store, values().Sequence, source.Time),
        ];
        foreach (var key in _keys[StoreKeys.VectorCollection])
        {
            foreach (var side in sides)
            {
                for (var from = Primitives.VectorKeys.Begin(StoreKeys.VectorHead, key.AsSpan(1)); from.Length > 0;)
                {
                    progress.Check();
                    heads.UnionWith(side.Heads(key[1..], ref from));
                }
            }
        }

        _keys[StoreKeys.VectorHead] = [.. heads];
    }

    internal int Count => _keys.Values.Sum(keys => keys.Count);

    internal bool IsEmpty => _keys.Values.All(keys => keys.Count == 0);

    internal IReadOnlyList<byte[]> Of(byte family) => _keys[family];

    // Without records: what has another version. Reads both sides' keys of the family. A document's version is its header's.
    private static List<byte[]> Differing(
        DiffEnd source, MergeState values, byte family, ulong? below, MergeProgress progress)
    {
        if (family == StoreKeys.Json)
        {
            return Differing(source, values, StoreKeys.JsonHeader, below, progress)
                .ConvertAll(key => (byte[])[StoreKeys.Json, .. key[1..]]);
        }

        if (family == StoreKeys.Concept)
            return OfConcepts(source, values, progress);
        return InFamily(source, values, family, below, progress);
    }

    // A concept has several keys.
    private static List<byte[]> OfConcepts(DiffEnd source, MergeState values, MergeProgress progress)
    {
        var concepts = new SortedSet<byte[]>(ByteArrayComparer.Instance);
        foreach (var family in (byte[])[
            StoreKeys.Concept, StoreKeys.ConceptContent, StoreKeys.ConceptUse, StoreKeys.ConceptAttributes])
        {
            foreach (var key in InFamily(source, values, family, null, progress))
                concepts.Add([StoreKeys.Concept, .. key[1..]]);
        }

        return [.. concepts];
    }

    private static List<byte[]> InFamily(DiffEnd source, MergeState values, byte family, ulong? below, MergeProgress progress)
    {
        var keys = new List<byte[]>();
        byte[] from = below is null ? [family] : StoreKeys.Of(stackalloc byte[9], family, 0).ToArray();
        byte[] to = below is { } bound ? StoreKeys.Of(stackalloc byte[9], family, bound).ToArray() : [(byte)(family + 1)];
        for (byte[]? next = from; next is not null;)
        {
            progress.Check();
            next = Piece(source, values, next, to, keys);
        }

        return keys;
    }

    private static byte[]? Piece(DiffEnd source, MergeState values, byte[] from, byte[] to, List<byte[]> found)
    {
        using var readSource = source.Run.Store.Read();
        using var readBase = values.Store.Read();
        var inSource = readSource.Scan(from, to, source.Sequence);
        var inBase = readBase.Scan(from, to, values.Sequence);
        var (hasSource, hasBase) = (inSource.MoveNext(), inBase.MoveNext());
        for (var keys = 0; hasSource || hasBase; keys++)
        {
            var order = !hasSource ? 1 : !hasBase ? -1 : inSource.Key.SequenceCompareTo(inBase.Key);
            var key = order <= 0 ? inSource.Key : inBase.Key;
            if (keys == KeysPerPiece)
                return key.ToArray();
            if (order != 0 || inSource.Version.Sequence != inBase.Version.Sequence)
                found.Add(key.ToArray());
            hasSource = order <= 0 ? inSource.MoveNext() : hasSource;
            hasBase = order >= 0 ? inBase.MoveNext() : hasBase;
        }

        return null;
    }
}
