// The store of a run: what it is
// ------------------------------
// Everything a run knows, in memory: keys in order, each with its newest version and those older ones that somebody may still
// read. It is a function of the log: the commit path, recovery, replay and replicas write it through the same calls in the same
// order, and whoever throws it away can build it again. Its memory is native, a slab per run, because the collector spends half
// of the time on one managed object per version; all unsafe code is in the folder Native, behind one guard, StoreReader.
//
//     RunStore ── RunMemory ─┬─ PointTable    hash of the key -> entry; lock-free reads       touched when a key comes or goes
//                            ├─ OrderedIndex  B+-tree over the entries; optimistic reads      touched when a key comes or goes
//                            ├─ entries       word: newest version | key | home               touched by every write
//                            ├─ AttachedBytes the bytes of large values, beside their versions          writer only, but for the address
//                            ├─ VersionSweep  superseded versions: waiting, parked at pins    writer only
//                            └─ Limbo         out of reach, until old readers have left       writer only
//
// Invariants
// ----------
// S1  One writer at a time, under the run's commit lock, in sequence order. A chain is strictly descending in sequence.
// S2  A reader enters the epoch before it follows the first pointer, and nothing it could have reached is freed before it leaves.
// S3  A version leaves its chain when its successor is visible and no pin of the run (or of all runs) lies in
//     [its sequence, its successor's sequence): the interval rule. Pins elsewhere do not hold it.
// S4  What a pin at p entitles to see is found by walking from the newest version to the first at or below p: sweeping changes
//     how long that walk is, never where it ends.
// S5  A key leaves both indexes when its only version is a visible tombstone without remains and no pin lies below that: who has seen the
//     key absent must learn of its creation and deletion since (TX-8). Entries never move.
// S6  After Reserve, writes of that volume do not fail for want of memory; a failed Reserve has changed nothing.
// S7  Results never depend on addresses, on the hash or on when something was swept.
//
// Version chains, drawn
// ---------------------
//     key        @1      @2      @3      @4      @5          snapshot at 3 reads: customer = Ada, tier = absent
//     customer   Ada --------------------------- Eve         snapshot at 5 reads: customer = Eve, tier = gold
//     tier                               gold                the only pin is at 3 and lies in [1, 5): "Ada" must stay
//     draft      x       (tombstone)                         no pin in [1, 2): x goes, then the tombstone with its key
//
//     entry "customer"            Eve @5                     Ada @1
//     [ newest | customer ] ────> [ @5 | older ────────────> [ @1 | older: none
//                         <────── newer: the entry ] <────── newer ]            newer words are the writer's own
//
// Let versions @6 and @7 come, and the pin at 3 stay. Eve is superseded: no pin in [5, 6), so Eve leaves the middle of the chain and
// Ada's successor becomes @6, then @7. Ada is parked with pin 3, costs nothing while it waits, and is judged again when the pin goes.
//
// A second write of a key in one sequence replaces the first: nobody can see either yet (readers pass over both), so the first
// goes to limbo without waiting.
//
// A key's first version stands right behind its entry, in its home: one miss leads to both. Later versions stand elsewhere, and
// move home (are copied; entries point there) once they are the only one and the home is free again. Keys that are written once,
// or updated at leisure, are therefore always read with two misses: bucket, entry.
//
// A large value stands in the log (Content/ContentStore.cs): its version keeps the reference, and the address of the attached bytes for
// as long as memory has them. A reader that finds the address uses it inside its epoch; one that finds none reads the log.
//
// Who may write what
// ------------------
//     the writer            entries, versions, both indexes, the sweeper's queues, limbo, the slabs
//     any reader            its own line of the epoch, its own slot of the snapshot registry
//     the first reader of   the ordered index, once, after a load: under a lock, on which other readers and the first insert
//     the order             wait; updates go on meanwhile
//     whoever publishes     the visible word
// Publication is one aligned 8-byte release store each time: slot, newest version, older version, root, version of a node.
//
// When a reader needs no pin
// --------------------------
// TryGetVisible loads the visible word s, then the newest version; if that is at or below s it is the answer. Otherwise it walks, and
// loads the word again: a version that answers s leaves the chain only after the word has passed s (S3), so an unmoved word means
// that nothing was missed. After a few rounds it takes a pin instead of chasing. Scans and everything at an older sequence need a
// pin, at exactly the sequence they read.
//
// What it does not do
// -------------------
// No decision about conflicts, expiry or retention: an expired version is returned with its expiry, and removed only when somebody
// deletes it. No history: what memory has swept is read from the log and the tables. No eviction but of attached bytes, no fall-through
// to a fork's parent: the callers' business. Chunks of the slab are used again for any size but return to the system only with the run;
// values above 8 KiB return at once. Nothing here blocks on a disk.

using Cairn.Content;
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

    internal RunStore(SnapshotRegistry pins, VisibleSequence visible, ulong runTag, ContentStore? content = null)
        : this(pins, visible, runTag, DebugSlab, content)
    {
    }

    internal RunStore(SnapshotRegistry pins, VisibleSequence visible, ulong runTag, bool debugSlab, ContentStore? content = null) =>
        Memory = new RunMemory(pins, visible, runTag, debugSlab, content);

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

    /// <summary>Bytes of it that hold large values, which the log has too (<see cref="ForgetContent"/>).</summary>
    internal long ContentBytes => Memory.AttachedBytes;

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

    /// <summary>A hint, without a lock: begins to bring into the cache what a write of this key will look at first. What is asked for
    /// now arrives while the caller encodes and waits for locks.</summary>
    /// <returns>To be given to <see cref="PrefetchEntry"/> a little later.</returns>
    internal ulong PrefetchBucket(ReadOnlySpan<byte> key) => Memory.PrefetchBucket(key);

    /// <summary>The second half of the hint: the bucket has arrived, it says where the entry is.</summary>
    internal void PrefetchEntry(ulong hash) => Memory.PrefetchEntry(hash);

    /// <summary>Adds a version. <paramref name="expiry"/> 0 = never. Copies the spans. A second write of a key in one sequence
    /// replaces the first.</summary>
    internal PreviousVersion Put(ReadOnlySpan<byte> key, ReadOnlySpan<byte> value, ulong sequence, long time, long expiry) =>
        Memory.Write(key, value, sequence, time, expiry, isTombstone: false);

    /// <summary>Adds a version whose value stands in the log. Copies the bytes: memory keeps them until there is need of room.</summary>
    internal PreviousVersion PutContent(
        ReadOnlySpan<byte> key, in ContentReference reference, ReadOnlySpan<byte> bytes, ulong sequence, long time, long expiry) =>
        Memory.WriteContent(key, reference, bytes, sequence, time, expiry);

    /// <summary>Adds a version with the value of the newest one, which is a content: the old place in the log stays its place.</summary>
    internal PreviousVersion CarryContent(ReadOnlySpan<byte> key, ulong sequence, long time, long expiry)
    {
        Memory.CarryContent(key, sequence, time, expiry, out var previous);
        return previous;
    }

    /// <summary>Without a lock: reads the newest value of a key into the cache, if it is a content that is not at hand.</summary>
    /// <exception cref="CorruptionException">The content is damaged.</exception>
    internal void ReadAhead(ReadOnlySpan<byte> key)
    {
        using var reader = Read();
        if (reader.TryGetNewest(key, out var version) && !version.IsValueAtHand)
            _ = version.Value;
    }

    /// <summary>Before a sequence is taken: sees to it that Apply need not read the log for the newest value of a key.</summary>
    /// <exception cref="CorruptionException">The content is damaged. Nothing has changed.</exception>
    internal void HoldContent(ReadOnlySpan<byte> key) => Memory.HoldContent(key);

    /// <summary>Lets the memory of large values go that the log has and that nobody has read for a while: looks at up to
    /// <paramref name="steps"/> of them. Returns the bytes, which are free once the readers of before have left.</summary>
    internal long ForgetContent(int steps) => Memory.ForgetContent(steps);

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
