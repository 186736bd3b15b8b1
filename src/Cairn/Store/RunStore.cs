using Cairn.Log;
using Cairn.Store.Native;

namespace Cairn.Store;

/// <summary>
/// Multi-version state of one run: ordered keys, each with a chain of versions. One writer at a time (under the run's commit
/// lock, in sequence order); any number of readers, never blocked and never blocking.
/// </summary>
internal sealed class RunStore : IDisposable
{
    internal const byte CountFamily = 0x01;

    internal RunStore(SnapshotRegistry pins, VisibleSequence visible, ulong runTag)
        : this(pins, visible, runTag, DebugSlab)
    {
    }

    internal RunStore(SnapshotRegistry pins, VisibleSequence visible, ulong runTag, bool debugSlab) =>
        Memory = new RunMemory(pins, visible, runTag, debugSlab);

    /// <summary>New stores fill freed memory, hold it back and check each hop: slow, and finds every use after free. For tests; from
    /// the environment variable CAIRN_DEBUG_SLAB=1.</summary>
    internal static bool DebugSlab { get; set; } = Environment.GetEnvironmentVariable("CAIRN_DEBUG_SLAB") == "1";

    /// <summary>Where it all is; behind <see cref="StoreReader"/>.</summary>
    internal RunMemory Memory { get; }

    internal SnapshotRegistry Pins => Memory.Pins;

    internal VisibleSequence Visible => Memory.Visible;

    /// <summary>Names the run in the snapshot registry.</summary>
    internal ulong RunTag => Memory.RunTag;

    /// <summary>Keys that have at least one version in memory, tombstones included.</summary>
    internal long EntryCount => Memory.EntryCount;

    /// <summary>Bytes of native memory taken for this run.</summary>
    internal long MemoryBytes => Memory.MemoryBytes;

    /// <summary>Bytes of it that are in use; the rest serves the next writes.</summary>
    internal long LiveBytes => Memory.LiveBytes;

    /// <summary>A fork's store hides its parent's keys by tombstones: they stay. Set before the first write.</summary>
    internal bool KeepsTombstones
    {
        get => Memory.KeepsTombstones;
        set => Memory.KeepsTombstones = value;
    }

    // ---- writing: under the run's commit lock -------------------------------------------------------------------------------

    /// <summary>Makes sure that the given number of writes with the given total of key and value bytes cannot fail for want of
    /// memory: the last step of a commit that may fail.</summary>
    /// <exception cref="OutOfMemoryException">Nothing has changed.</exception>
    internal void Reserve(int writes, long bytes) => Memory.Reserve(writes, bytes);

    /// <summary>Adds a version. <paramref name="expiry"/> 0 = never. Copies the spans. A second write of a key in one sequence
    /// replaces the first.</summary>
    internal PreviousVersion Put(ReadOnlySpan<byte> key, ReadOnlySpan<byte> value, ulong sequence, long time, long expiry) =>
        Memory.Write(key, value, sequence, time, expiry, isTombstone: false);

    /// <summary>Adds a tombstone. Without <paramref name="remains"/> it goes, with its key, once no reader needs it; with
    /// remains it stays for ever (the counter of a deleted state cell).</summary>
    internal PreviousVersion Delete(ReadOnlySpan<byte> key, ReadOnlySpan<byte> remains, ulong sequence, long time) =>
        Memory.Write(key, remains, sequence, time, 0, isTombstone: true);

    /// <summary>Adds to the versioned count of a family of keys; read with <see cref="StoreReader.Count"/>.</summary>
    internal void AddCount(byte family, long delta, ulong sequence, long time) => Memory.AddCount(family, delta, sequence, time);

    /// <summary>Does up to <paramref name="steps"/> steps of unlinking and freeing versions nobody needs; returns how many are still pending,
    /// those included that pins hold. Writes do a few steps by themselves; the maintainer calls this for idle runs.</summary>
    internal long Sweep(int steps) => Memory.Sweep(steps);

    /// <summary>Recovery: until <see cref="EndLoad"/> no reader looks, so only the newest version of a key is kept, and the
    /// ordered index is left for later: it is built when it is first asked for.</summary>
    internal void BeginLoad(long expectedKeys) => Memory.BeginLoad(expectedKeys);

    internal void EndLoad() => Memory.EndLoad();

    // ---- reading ------------------------------------------------------------------------------------------------------------

    /// <summary>Enters the epoch. Dispose the reader soon: memory freed meanwhile waits for it.</summary>
    /// <exception cref="ObjectDisposedException">The store is disposed of.</exception>
    internal StoreReader Read() => new(this);

    /// <summary>Gives the native memory back once the readers inside have left; those that come later are refused.</summary>
    public void Dispose() => Memory.Dispose();
}

/// <summary>What a write met: whether the key had a version, and of what kind. A key whose newest version is neither absent nor a
/// tombstone is counted, expired or not.</summary>
internal readonly record struct PreviousVersion(bool Exists, bool IsTombstone, long Expiry)
{
    internal bool IsCounted => Exists && !IsTombstone;
}
