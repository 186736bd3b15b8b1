using Cairn.Store.Native;

namespace Cairn.Store;

/// <summary>The only way to look into a <see cref="RunStore"/>: inside it, borrowed memory stays; outside, it may be gone. Readers of
/// one thread nest; a reader stays on its thread.</summary>
internal readonly ref struct StoreReader
{
    // One field, and no other: two are put together on the stack and copied as one, and that load waits for both stores (a tenth of a
    // read). Which epoch to leave, the thread knows.
    private readonly RunMemory _memory;

    internal StoreReader(RunStore store)
    {
        _memory = store.Memory;
        Epoch.Enter();
        if (!_memory.IsClosed)
            return;

        // Another memory has taken its place, perhaps one after another, or the store is closed. A new one is the store's before the
        // old one closes, and one that is found open from inside the epoch stays as long as its reader.
        RunMemory closed;
        do
        {
            closed = _memory;
            _memory = store.Memory;
            if (_memory == closed)
                ThrowClosed();
        }
        while (_memory.IsClosed);
    }

    /// <summary>The newest version at or below a sequence, tombstones included. The caller holds a pin at exactly that
    /// sequence (or knows that it was published and nothing newer matters).</summary>
    /// <returns>False when the key has no version there; a plain tombstone that was swept is none.</returns>
    internal bool TryGet(ReadOnlySpan<byte> key, ulong sequence, out VersionView version) =>
        _memory.TryGet(key, sequence, out version);

    /// <summary>The newest visible version, without a pin: one consistent answer between the call's start and its end.</summary>
    internal bool TryGetVisible(ReadOnlySpan<byte> key, out VersionView version) => _memory.TryGetVisible(key, out version);

    /// <summary>The newest version, visible or not: for deciding under the run's lock.</summary>
    internal bool TryGetNewest(ReadOnlySpan<byte> key, out VersionView version) => _memory.TryGet(key, ulong.MaxValue, out version);

    /// <summary>The same, for the trial of a commit that <c>Apply</c> will follow, under the same lock: what is found is handed on to
    /// it.</summary>
    internal bool TryGetForTrial(ReadOnlySpan<byte> key, out VersionView version) => _memory.TryGetForTrial(key, out version);

    /// <summary>The newest version, for <c>Apply</c>: of a key that was named before the sequence (OperationSet.EachKey) the image is not
    /// asked.</summary>
    internal bool TryGetForApply(ReadOnlySpan<byte> key, out VersionView version) => _memory.TryGetForApply(key, out version);

    /// <summary>The newest version of a key, visible or not, if it is newer than a sequence that is pinned: for validation. Memory has all
    /// that is newer than a pin, so this never waits for a disk.</summary>
    internal bool TryGetNewer(ReadOnlySpan<byte> key, ulong sequence, out VersionView version) =>
        _memory.TryGetNewer(key, sequence, out version);

    /// <summary>Versions of the keys in [from, to) at a sequence, in key order or reversed; tombstones are left out, expired
    /// versions are not. An empty <paramref name="to"/> has no upper bound. Needs a pin like <see cref="TryGet"/>.</summary>
    /// <param name="from">Borrowed, like <paramref name="to"/>, until the scan has ended: do not change the bytes behind it.</param>
    /// <param name="withTombstones">True: deleted keys too, for as long as something is known of them.</param>
    internal StoreScan Scan(
        ReadOnlySpan<byte> from, ReadOnlySpan<byte> to, ulong sequence, bool reverse = false, bool withTombstones = false) =>
        new(_memory, from, to, sequence, reverse, withTombstones);

    /// <summary>True when some key in [from, to) has a version (a tombstone too, until it is swept) newer than a sequence; for range
    /// validation, with a pin at that sequence. Looks into memory only: what is newer than a pin has not been forgotten, because a key is
    /// forgotten only when no pin lies below its newest version, and no pin is ever taken below what is visible.</summary>
    /// <param name="key">The first such key found.</param>
    /// <param name="newer">The sequence of its newest version.</param>
    internal bool FindNewer(ReadOnlySpan<byte> from, ReadOnlySpan<byte> to, ulong sequence, out ReadOnlySpan<byte> key, out ulong newer)
    {
        var memory = _memory;
        while (memory.Successor is { } next)
            memory = next;
        var batch = default(EntryBatch);
        nint fence = 0;
        if (to.Length == 0 || from.SequenceCompareTo(to) < 0)
        {
            do
            {
                var start = fence == 0 ? from : RunMemory.KeyOf(fence);
                var count = memory.ReadForward(start, to, batch, out fence);
                foreach (var entry in ((ReadOnlySpan<nint>)batch)[..count])
                {
                    newer = memory.NewestSequence(entry);
                    if (newer <= sequence)
                        continue;
                    key = RunMemory.KeyOf(entry);
                    return true;
                }
            }
            while (fence != 0);
        }

        key = default;
        newer = 0;
        return false;
    }

    /// <summary>The count of a family at a sequence, see <see cref="RunStore.AddCount"/>.</summary>
    internal long Count(byte family, ulong sequence) => _memory.Count(family, sequence);

    /// <summary>Leaves the epoch.</summary>
    public void Dispose()
    {
        if (_memory is not null)
            Epoch.Exit();
        GC.KeepAlive(_memory);                            // and with it the memory, until the last look
    }

    private static void ThrowClosed()
    {
        Epoch.Exit();
        throw new ObjectDisposedException(nameof(RunStore));
    }
}
