using Cairn.Storage;

namespace Cairn.Tests.Store;

/// <summary>An image that grows by what a store's checkpoints write, in tables of a storage in memory. Every few checkpoints its tables are
/// merged into one as hard as the rules of merging allow: of a key stays its newest version, and what a pin needs.</summary>
internal sealed class TestImage : IDisposable
{
    internal static readonly RunId Run = RunId.Default;

    private const int TablesMax = 5;
    private static readonly UInt128 DatabaseId = 7;

    private readonly MemoryStorage _storage = new();
    private readonly BlockCache _cache = new(8 << 20);
    private readonly List<Table> _tables = [];
    private int _merged;

    internal CurrentImage Current { get; } = new();

    /// <summary>What the image has of a key, newest first, tombstones included.</summary>
    internal List<TestVersion> Versions(byte[] key)
    {
        var versions = new List<TestVersion>();
        var cursor = Current.Value.Versions(Run, key, [.. key, 0]);
        while (cursor.MoveNext())
            versions.Add(TestVersion.Of(cursor.Version));
        return versions;
    }

    /// <summary>Makes the image with a new table the current one.</summary>
    /// <param name="written">In key order.</param>
    internal void Add(IReadOnlyList<(byte[] Key, TestVersion Version)> written, IReadOnlyList<ulong> pins)
    {
        var image = Current.Value.With(Write(written));
        if (image.Tables.Length > TablesMax)
            image = new Image(Write(Merge(image, pins)));
        Current.Value = image;
    }

    public override string ToString() => $"{_tables.Count} tables, {_merged} merges";

    public void Dispose()
    {
        foreach (var table in _tables)
            table.Dispose();
        _storage.Dispose();
    }

    private List<(byte[] Key, TestVersion Version)> Merge(Image image, IReadOnlyList<ulong> pins)
    {
        _merged++;
        var kept = new List<(byte[] Key, TestVersion Version)>();
        var cursor = image.Versions();
        while (cursor.MoveNext())
        {
            var version = TestVersion.Of(cursor.Version);
            var isNewest = kept.Count == 0 || !cursor.Key.SequenceEqual(kept[^1].Key);
            if (isNewest)
                DropTombstone(kept);
            if (isNewest || pins.Any(pin => version.Sequence <= pin && pin < kept[^1].Version.Sequence))
                kept.Add((cursor.Key.ToArray(), version));
        }

        DropTombstone(kept);
        return kept;
    }

    // Below a key's oldest version is nothing that it would have to hide.
    private static void DropTombstone(List<(byte[] Key, TestVersion Version)> kept)
    {
        if (kept is [.., var (_, oldest)] && oldest.IsPlainTombstone)
            kept.RemoveAt(kept.Count - 1);
    }

    private Table Write(IReadOnlyList<(byte[] Key, TestVersion Version)> rows)
    {
        using var writer = new TableWriter(_storage, (uint)_tables.Count + 1, DatabaseId, (UInt128)_tables.Count);
        foreach (var (key, version) in rows)
            writer.Add(Run, key, version.View);
        var table = Table.Open(_storage, writer.Finish(), DatabaseId, _cache);
        _tables.Add(table);
        return table;
    }
}
