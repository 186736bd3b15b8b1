namespace Cairn.Store;

/// <summary>The only way to look into a <see cref="RunStore"/>: inside it, borrowed memory stays; outside, it may be gone.</summary>
internal readonly ref struct StoreReader
{
    private readonly RunStore _store;

    internal StoreReader(RunStore store) => _store = store;

    /// <summary>The newest version at or below a sequence, tombstones included. The caller holds a pin at or below that
    /// sequence (or knows that it was published and nothing newer matters).</summary>
    /// <returns>False when the key has no version there.</returns>
    internal bool TryGet(ReadOnlySpan<byte> key, ulong sequence, out VersionView version)
    {
        var node = _store.Find(key)?.At(sequence);
        version = node is null ? default : node.View;
        return node is not null;
    }

    /// <summary>The newest visible version, without a pin: one consistent answer between the call's start and its end.</summary>
    internal bool TryGetVisible(ReadOnlySpan<byte> key, out VersionView version) => TryGet(key, _store.Visible.Value, out version);

    /// <summary>The newest version, visible or not: for deciding under the run's lock.</summary>
    internal bool TryGetNewest(ReadOnlySpan<byte> key, out VersionView version) => TryGet(key, ulong.MaxValue, out version);

    /// <summary>Versions of the keys in [from, to) at a sequence, in key order or reversed; tombstones are left out, expired
    /// versions are not. An empty <paramref name="to"/> has no upper bound. Needs a pin like <see cref="TryGet"/>.</summary>
    internal StoreScan Scan(ReadOnlySpan<byte> from, ReadOnlySpan<byte> to, ulong sequence, bool reverse = false) =>
        new(_store, _store.Keys(from, to), sequence, reverse);

    /// <summary>True when some key in [from, to) has a version (a tombstone too) newer than a sequence; for range validation.</summary>
    /// <param name="key">The first such key found.</param>
    /// <param name="newer">The sequence of its newest version.</param>
    internal bool FindNewer(ReadOnlySpan<byte> from, ReadOnlySpan<byte> to, ulong sequence, out ReadOnlySpan<byte> key, out ulong newer)
    {
        foreach (var candidate in _store.Keys(from, to))
        {
            var head = _store.Find(candidate)!.Head!;
            if (head.Sequence > sequence)
            {
                key = candidate;
                newer = head.Sequence;
                return true;
            }
        }

        key = default;
        newer = 0;
        return false;
    }

    /// <summary>The count of a family at a sequence, see <see cref="RunStore.AddCount"/>.</summary>
    internal long Count(byte family, ulong sequence) =>
        TryGet([RunStore.CountFamily, family], sequence, out var version) ? BitConverter.ToInt64(version.Value) : 0;

    /// <summary>Leaves the epoch.</summary>
    public void Dispose()
    {
    }
}

/// <summary>A running scan; borrowed memory as in <see cref="StoreReader"/>.</summary>
internal ref struct StoreScan
{
    private readonly RunStore _store;
    private readonly List<byte[]> _keys;
    private readonly ulong _sequence;
    private readonly bool _reverse;
    private int _next;

    internal StoreScan(RunStore store, List<byte[]> keys, ulong sequence, bool reverse)
    {
        _store = store;
        _keys = keys;
        _sequence = sequence;
        _reverse = reverse;
        _next = reverse ? keys.Count - 1 : 0;
    }

    internal ReadOnlySpan<byte> Key { get; private set; }

    internal VersionView Version { get; private set; }

    internal bool MoveNext()
    {
        while (_next >= 0 && _next < _keys.Count)
        {
            var key = _keys[_next];
            _next += _reverse ? -1 : 1;
            var node = _store.Find(key)?.At(_sequence);
            if (node is null || node.IsTombstone)
                continue;
            Key = key;
            Version = node.View;
            return true;
        }

        return false;
    }
}
