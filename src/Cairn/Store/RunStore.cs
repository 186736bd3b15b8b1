using System.Collections.Concurrent;
using Cairn.Log;

namespace Cairn.Store;

/// <summary>
/// Multi-version state of one run: ordered keys, each with a chain of versions. One writer at a time (under the run's commit
/// lock, in sequence order); any number of readers, never blocked and never blocking.
/// </summary>
internal sealed class RunStore : IDisposable
{
    private readonly ConcurrentDictionary<byte[], Chain> _points = new(ByteArrayComparer.Instance);
    private readonly SortedSet<byte[]> _order = new(ByteArrayComparer.Instance);

    internal RunStore(SnapshotRegistry pins, VisibleSequence visible, ulong runTag)
    {
        Pins = pins;
        Visible = visible;
        RunTag = runTag;
    }

    internal SnapshotRegistry Pins { get; }

    internal VisibleSequence Visible { get; }

    /// <summary>Names the run in the snapshot registry.</summary>
    internal ulong RunTag { get; }

    /// <summary>Keys that have at least one version in memory, tombstones included.</summary>
    internal long EntryCount => _points.Count;

    /// <summary>Bytes of native memory taken for this run.</summary>
    internal long MemoryBytes { get; private set; }

    // ---- writing: under the run's commit lock -------------------------------------------------------------------------------

    /// <summary>Makes sure that the given number of writes with the given total of key and value bytes cannot fail for want of
    /// memory: the last step of a commit that may fail.</summary>
    /// <exception cref="OutOfMemoryException">Nothing has changed.</exception>
    internal void Reserve(int writes, long bytes)
    {
    }

    /// <summary>Adds a version. <paramref name="expiry"/> 0 = never. Copies the spans.</summary>
    internal PreviousVersion Put(ReadOnlySpan<byte> key, ReadOnlySpan<byte> value, ulong sequence, long time, long expiry) =>
        Add(key, value, sequence, time, expiry, isTombstone: false);

    /// <summary>Adds a tombstone. Without <paramref name="remains"/> it goes, with its key, once no reader needs it; with
    /// remains it stays for ever (the counter of a deleted state cell).</summary>
    internal PreviousVersion Delete(ReadOnlySpan<byte> key, ReadOnlySpan<byte> remains, ulong sequence, long time) =>
        Add(key, remains, sequence, time, 0, isTombstone: true);

    /// <summary>Adds to the versioned count of a family of keys; read with <see cref="StoreReader.Count"/>.</summary>
    internal void AddCount(byte family, long delta, ulong sequence, long time)
    {
        Span<byte> key = [CountFamily, family];
        long count;
        using (var reader = Read())
            count = reader.TryGetNewest(key, out var version) ? BitConverter.ToInt64(version.Value) : 0;
        Span<byte> value = stackalloc byte[8];
        BitConverter.TryWriteBytes(value, count + delta);
        Put(key, value, sequence, time, 0);
    }

    internal const byte CountFamily = 0x01;

    /// <summary>Does up to <paramref name="steps"/> steps of unlinking and freeing versions nobody needs; returns how many are still pending.
    /// Writes do a few steps by themselves; the maintainer calls this for idle runs.</summary>
    internal long Sweep(int steps) => 0;

    /// <summary>Recovery: until <see cref="EndLoad"/> no reader looks, so the ordered index may be left for later.</summary>
    internal void BeginLoad(long expectedKeys)
    {
    }

    internal void EndLoad()
    {
    }

    // ---- reading ------------------------------------------------------------------------------------------------------------

    /// <summary>Enters the epoch. Dispose the reader soon: memory freed meanwhile waits for it.</summary>
    internal StoreReader Read() => new(this);

    public void Dispose()
    {
    }

    private PreviousVersion Add(ReadOnlySpan<byte> key, ReadOnlySpan<byte> value, ulong sequence, long time, long expiry, bool isTombstone)
    {
        var chain = _points.GetAlternateLookup<ReadOnlySpan<byte>>().TryGetValue(key, out var found) ? found : null;
        var head = chain?.Head;
        var alive = head is { IsTombstone: false } && (head.Expiry == 0 || head.Expiry > time);
        var node = new Node(value.ToArray(), sequence, alive ? head!.Created : sequence, time, expiry, isTombstone)
        {
            Previous = head?.Sequence == sequence ? head.Previous : head,
        };
        MemoryBytes += key.Length + value.Length;
        if (chain is not null)
        {
            chain.Head = node;
            return new PreviousVersion(true, head!.IsTombstone, head.Expiry);
        }

        var owned = key.ToArray();
        _points[owned] = new Chain { Head = node };
        lock (_order)
            _order.Add(owned);
        return default;
    }

    internal sealed class Node(byte[] value, ulong sequence, ulong created, long time, long expiry, bool isTombstone)
    {
        internal readonly byte[] Value = value;
        internal readonly ulong Sequence = sequence;
        internal readonly ulong Created = created;
        internal readonly long Time = time;
        internal readonly long Expiry = expiry;
        internal readonly bool IsTombstone = isTombstone;
        internal Node? Previous;

        internal VersionView View => new(Value, Sequence, Created, Time, Expiry, IsTombstone);
    }

    internal sealed class Chain
    {
        internal volatile Node? Head;

        internal Node? At(ulong sequence)
        {
            var node = Head;
            while (node is not null && node.Sequence > sequence)
                node = node.Previous;
            return node;
        }
    }

    internal Chain? Find(ReadOnlySpan<byte> key) =>
        _points.GetAlternateLookup<ReadOnlySpan<byte>>().TryGetValue(key, out var found) ? found : null;

    /// <param name="to">Exclusive; empty = no upper bound.</param>
    internal List<byte[]> Keys(ReadOnlySpan<byte> from, ReadOnlySpan<byte> to)
    {
        lock (_order)
        {
            var keys = new List<byte[]>();
            if (_order.Count == 0)
                return keys;
            var low = from.ToArray();
            var high = to.ToArray();
            if (high.Length != 0 && low.AsSpan().SequenceCompareTo(high) >= 0)
                return keys;
            var last = _order.Max!;
            if (high.Length == 0 && low.AsSpan().SequenceCompareTo(last) > 0)
                return keys;
            foreach (var key in _order.GetViewBetween(low, high.Length == 0 ? last : high))
            {
                if (high.Length == 0 || key.AsSpan().SequenceCompareTo(high) < 0)
                    keys.Add(key);
            }

            return keys;
        }
    }
}

/// <summary>What a write met: whether the key had a version, and of what kind. A key whose newest version is neither absent nor a
/// tombstone is counted, expired or not.</summary>
internal readonly record struct PreviousVersion(bool Exists, bool IsTombstone, long Expiry)
{
    internal bool IsCounted => Exists && !IsTombstone;
}

internal sealed class ByteArrayComparer : IComparer<byte[]>, IEqualityComparer<byte[]>, IAlternateEqualityComparer<ReadOnlySpan<byte>, byte[]>
{
    internal static readonly ByteArrayComparer Instance = new();

    public int Compare(byte[]? left, byte[]? right) => left.AsSpan().SequenceCompareTo(right);

    public bool Equals(byte[]? left, byte[]? right) => left.AsSpan().SequenceEqual(right);

    public int GetHashCode(byte[] key) => GetHashCode(key.AsSpan());

    public byte[] Create(ReadOnlySpan<byte> alternate) => alternate.ToArray();

    public bool Equals(ReadOnlySpan<byte> alternate, byte[] other) => alternate.SequenceEqual(other);

    public int GetHashCode(ReadOnlySpan<byte> alternate)
    {
        var hash = 2166136261u;
        foreach (var b in alternate)
            hash = (hash ^ b) * 16777619u;
        return (int)hash;
    }
}
