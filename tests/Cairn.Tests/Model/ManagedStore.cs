namespace Cairn.Tests.Model;

/// <summary>What a run's store means, said with plain collections: every version of every key for ever. The oracle of the store's
/// tests; it never forgets, so a test compares only what a pin, or the visible word, entitles it to see.</summary>
internal sealed class ManagedStore
{
    private readonly SortedDictionary<byte[], List<ManagedVersion>> _keys = new(ByteOrder.Instance);

    internal void Put(byte[] key, byte[] value, ulong sequence, long time, long expiry) =>
        Add(key, value, sequence, time, expiry, isTombstone: false);

    internal void Delete(byte[] key, byte[] remains, ulong sequence, long time) =>
        Add(key, remains, sequence, time, 0, isTombstone: true);

    internal void AddCount(byte family, long delta, ulong sequence, long time)
    {
        byte[] key = [0x01, family];
        Put(key, BitConverter.GetBytes(Count(family, ulong.MaxValue) + delta), sequence, time, 0);
    }

    internal long Count(byte family, ulong sequence) =>
        Get([0x01, family], sequence) is { } version ? BitConverter.ToInt64(version.Value) : 0;

    internal ManagedVersion? Get(byte[] key, ulong sequence) =>
        _keys.TryGetValue(key, out var versions) ? versions.FindLast(v => v.Sequence <= sequence) : null;

    /// <summary>Keys with a version that is not a tombstone, in [from, to); empty <paramref name="to"/>: no upper bound.</summary>
    internal List<(byte[] Key, ManagedVersion Version)> Scan(byte[] from, byte[] to, ulong sequence, bool reverse)
    {
        var found = new List<(byte[], ManagedVersion)>();
        foreach (var (key, versions) in _keys)
        {
            if (!IsIn(key, from, to))
                continue;
            if (versions.FindLast(v => v.Sequence <= sequence) is { IsTombstone: false } version)
                found.Add((key, version));
        }

        if (reverse)
            found.Reverse();
        return found;
    }

    /// <summary>Keys in [from, to) whose newest version is newer than a sequence.</summary>
    internal IEnumerable<(byte[] Key, ManagedVersion Version)> Newer(byte[] from, byte[] to, ulong sequence) =>
        _keys.Where(pair => IsIn(pair.Key, from, to) && pair.Value[^1].Sequence > sequence).Select(pair => (pair.Key, pair.Value[^1]));

    internal int Keys => _keys.Count;

    private static bool IsIn(byte[] key, byte[] from, byte[] to) =>
        key.AsSpan().SequenceCompareTo(from) >= 0 && (to.Length == 0 || key.AsSpan().SequenceCompareTo(to) < 0);

    private void Add(byte[] key, byte[] value, ulong sequence, long time, long expiry, bool isTombstone)
    {
        if (!_keys.TryGetValue(key, out var versions))
            _keys[key] = versions = [];
        var head = versions.Count == 0 ? null : versions[^1];
        var isAlive = head is { IsTombstone: false } && (head.Expiry == 0 || head.Expiry > time);
        var version = new ManagedVersion(value, sequence, isAlive ? head!.Created : sequence, time, expiry, isTombstone);
        if (head?.Sequence == sequence)
            versions.RemoveAt(versions.Count - 1);
        versions.Add(version);
    }
}

internal sealed record ManagedVersion(byte[] Value, ulong Sequence, ulong Created, long Time, long Expiry, bool IsTombstone)
{
    /// <summary>Goes, with its key, once no reader needs it.</summary>
    internal bool IsPlainTombstone => IsTombstone && Value.Length == 0;
}

internal sealed class ByteOrder : IComparer<byte[]>
{
    internal static readonly ByteOrder Instance = new();

    public int Compare(byte[]? left, byte[]? right) => left.AsSpan().SequenceCompareTo(right);
}
