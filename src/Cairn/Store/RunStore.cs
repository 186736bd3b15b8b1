// The store of a run: what it is
// ------------------------------
// Everything a run knows: keys in order, each with its newest version and those older ones that somebody may still read, in memory
// and, below that, in the image of the last checkpoint. It is a function of the log: the commit path, recovery, replay and replicas
// write it through the same calls in the same order, and whoever throws it away can build it again. Its memory is native, a slab per
// run, because the collector spends half of the time on one managed object per version; all unsafe code is in the folder Native,
// behind one guard, StoreReader.
//
//     RunStore ── RunMemory ─┬─ RunSpace      all but the last of these, made with the first write           readers: the two indexes
//                            ├─ PointTable    hash of the key -> entry; lock-free reads       touched when a key comes or goes
//                            ├─ OrderedIndex  B+-tree over the entries; optimistic reads      touched when a key comes or goes
//                            ├─ entries       word: newest version | key | home               touched by every write
//                            ├─ AttachedBytes the bytes of large values, beside their versions          writer only, but for the address
//                            ├─ VersionSweep  superseded versions: waiting, parked at pins    writer only
//                            ├─ Limbo         out of reach, until old readers have left       writer only
//                            ├─ DirtyKeys     first written since the last cut                writer only, frozen ones the checkpoint
//                            ├─ RangeClock    which clean keys are idle                       writer only
//                            └─ Residency     the image below, and what of memory is clean in it
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
//     Above an image it waits for a second thing: that the tombstone itself is clean (S9).
// S6  After Reserve, writes of that volume do not fail for want of memory; a failed Reserve has changed nothing. What the worst case would
//     have taken and the writes did not is given back by EndReserve.
// S7  Results never depend on addresses, on the hash, on when something was swept or on where a key is.
// S8  Memory answers alone for every key it has: a key that is written while the image alone has it gets the image's version first, as the
//     older of the two. So a read is memory, and only if that has nothing of the key, the image.
// S9  A key is clean when its newest version is at or below a cut whose image every reader has (Residency). Only clean keys leave memory,
//     forgotten or swept; so nothing in a dirty list ever leaves, and no image shows an older version where memory has dropped a
//     tombstone.
// S10 A key is forgotten only if that version is its only one and no pin lies below it. So what is newer than a pin is in memory.
//
// S11 A fork has a base below its image: its parent at one point, or a store made of the parent's records up to a past one, neither of
//     which changes any more (ForkBase). What memory and image have nothing of is there. So a fork is never whole, and its plain
//     tombstones stay: each may hide something of the base.
// S12 A point of a fork holds versions of the parent as a pin does (S3), also in a load and in tables, and nobody validates there (S5, S10
//     ask pins alone). Reads at a point go on to the image when memory has later versions of a key only: a held version may be in the
//     image alone. All that is newer than a pin is in memory, held or not.
// S13 The entries that a trial leaves for Apply are good as long as no key has left the indexes, and never beyond the commit.
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
// Above an image, drawn
// ---------------------
//     cut 1 at @4 is published, its readers are gone: clean = 4. The checkpoint of cut 2 at @6 is being written. Now is @8.
//
//                in memory          dirty list of        in the image       may it leave memory?
//     ada        @3                 -                    @3                 yes: clean
//     bob        @5                 cut 2 (frozen)       -                  no: only memory has @5
//     bob'       @7 -> @5           cut 2 and live       -                  no; @5 stays while cut 2 is pinned, for the checkpoint reads it
//     eve        x@5 (tombstone)    cut 2 (frozen)       @2                 no: the image would show @2 again
//     fay        nothing            -                    @1                 was forgotten; a write @9 makes it @9 -> @1 first (S8)
//
// A dirty key costs eight bytes in the list and nothing to its reader. What a checkpoint writes of a run is the frozen list, sorted:
// keys with their newest version at the cut. When it fails, the list is given back and stands before the live one again.
//
// Who may write what
// ------------------
//     the writer            entries, versions, both indexes, the sweeper's queues, limbo, the slabs
//     any reader            its own line of the epoch, its own slot of the snapshot registry
//     the first reader of   the ordered index, once, after a load: under a lock, on which other readers and the first insert
//     the order             wait; updates go on meanwhile
//     whoever publishes     the visible word
//     who looks a key up    the mark on the version it found, which the clock hand takes away
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
// deletes it. No history: what memory has swept is read from the log and the tables. No decision about what leaves memory but for
// attached bytes: the callers' business. Chunks of the slab are used again for any size but
// return to the system only with all of the run's memory (ForgetAll); values above 8 KiB return at once. Nothing here blocks on a disk
// but what is said to: a read of a key that is not resident or of a content that is not attached, MakeResident, and a write of a key
// that nobody made resident.

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

    private RunMemory _memory;
    private long _leftBytes;
    private List<RunMemory>? _left;                       // memories that were replaced and may have readers inside

    internal RunStore(SnapshotRegistry pins, VisibleSequence visible, ulong runTag, ContentStore? content = null)
        : this(pins, visible, runTag, DebugSlab, content)
    {
    }

    internal RunStore(SnapshotRegistry pins, VisibleSequence visible, ulong runTag, bool debugSlab, ContentStore? content = null)
        : this(pins, visible, runTag, default, image: null, isWhole: true, content: content, debugSlab: debugSlab)
    {
    }

    /// <param name="runTag">Names the run in the snapshot registry.</param>
    /// <param name="id">Names the run in the image.</param>
    /// <param name="image">What is below memory; null: nothing ever, and no dirty keys.</param>
    /// <param name="isWhole">The image has nothing of the run: memory will have all its keys.</param>
    /// <param name="born">What the image has below this sequence belongs to an earlier run of the same id.</param>
    /// <param name="cut">The cut of the checkpoint that made the image: what that has is at or below, what is written now above.</param>
    /// <param name="budget">What its memory counts to.</param>
    internal RunStore(
        SnapshotRegistry pins, VisibleSequence visible, ulong runTag, RunId id, CurrentImage? image, bool isWhole,
        ulong born = 0, ulong cut = 0, ContentStore? content = null, bool? debugSlab = null, MemoryBudget? budget = null)
    {
        Invariant.Check(isWhole || image is not null, "a store without an image is whole");
        var below = image is null ? null : new Residency(id, image, isWhole, born, cut, content, budget);
        _memory = new RunMemory(pins, visible, runTag, debugSlab ?? DebugSlab, content, below, cut);
    }

    /// <summary>New stores fill freed memory, hold it back and check each hop: slow, and finds every use after free. For tests; from
    /// the environment variable CAIRN_DEBUG_SLAB=1.</summary>
    internal static bool DebugSlab { get; set; } = Environment.GetEnvironmentVariable("CAIRN_DEBUG_SLAB") == "1";

    /// <summary>Where it all is; behind <see cref="StoreReader"/>. Another one after <see cref="ForgetAll"/>.</summary>
    internal RunMemory Memory => Volatile.Read(ref _memory);

    internal SnapshotRegistry Pins => Memory.Pins;

    internal VisibleSequence Visible => Memory.Visible;

    /// <summary>Names the run in the snapshot registry.</summary>
    internal ulong RunTag => Memory.RunTag;

    /// <summary>Keys that have at least one version in memory, tombstones included.</summary>
    internal long EntryCount => Memory.EntryCount;

    /// <summary>Bytes of native memory taken for this run.</summary>
    internal long MemoryBytes => Memory.MemoryBytes + Volatile.Read(ref _leftBytes);

    /// <summary>So many writes can be made without asking the system for much; a guess, without the lock.</summary>
    /// <param name="isToTheEnd">For nothing at all.</param>
    internal bool HasRoomFor(int writes, long bytes, bool isToTheEnd) => Memory.HasRoomFor(writes, bytes, isToTheEnd);

    /// <summary>Bytes of it that are in use; the rest serves the next writes.</summary>
    internal long LiveBytes => Memory.LiveBytes;

    /// <summary>Bytes of it that hold large values, which the log has too (<see cref="ForgetContent"/>).</summary>
    internal long ContentBytes => Memory.AttachedBytes;

    /// <summary>Memory has all keys of the run: reading and writing never ask the image.</summary>
    internal bool IsWhole => Memory.Below is not { IsWhole: false };

    /// <summary>No keys in memory, and none in memories that were replaced and have readers.</summary>
    internal bool IsEmpty => EntryCount == 0 && Volatile.Read(ref _leftBytes) == 0;

    /// <summary>Nothing is left in memory that could be forgotten by itself.</summary>
    internal bool HoldsOnlyCounts => Memory.HoldsOnlyCounts;

    /// <summary>Keys that the next checkpoint has to write, if it came now; those of a checkpoint under way are not among them.</summary>
    internal long DirtyCount => Memory.Dirty?.Count ?? 0;

    /// <summary>Bytes of memory that cannot be forgotten before a checkpoint: of dirty keys with their newest versions, those of a
    /// checkpoint under way included.</summary>
    internal long DirtyBytes => Memory.Dirty is { } dirty ? dirty.Bytes + dirty.FrozenBytes : 0;

    /// <summary>Reads of the image that a commit made behind its sequence. None is wanted.</summary>
    internal long LateReads => Memory.Below?.LateReads ?? 0;

    /// <summary>Deleted keys that stay in memory until a checkpoint has them.</summary>
    internal long DeferredDeletions => Memory.DeferredDeletions;

    /// <summary>A fork's store hides its parent's keys by tombstones: they stay. Set before the first write.</summary>
    internal bool KeepsTombstones
    {
        get => Memory.KeepsTombstones;
        set => Memory.KeepsTombstones = value;
    }

    /// <summary>What a fork reads through to; null: the run is none.</summary>
    internal ForkBase? Base => Memory.Below?.Base;

    /// <summary>Where forks read this run. Set under the run's lock, before what they read is superseded.</summary>
    internal ForkPoints? Forks
    {
        get => Memory.Forks;
        set => Memory.Forks = value;
    }

    /// <summary>The run is a fork: what it has not written it reads from its parent, and its tombstones stay, for they hide what is there.
    /// Before its first write, and before anybody reads.</summary>
    internal void SetBase(RunId run, ForkBase @base) => Memory.SetBase(run, @base);


    // ---- writing: under the run's commit lock -------------------------------------------------------------------------------

    /// <summary>Makes sure that the given number of writes with the given total of key and value bytes cannot fail for want of
    /// memory: the last step of a commit that may fail.</summary>
    /// <exception cref="OutOfMemoryException">Nothing has changed.</exception>
    internal void Reserve(int writes, long bytes)
    {
        if (Failpoint.Rarely("store.forget-everything", 0.1))
            Forget(int.MaxValue, eager: true);
        Memory.Reserve(writes, bytes);
    }

    /// <summary>The writes that <see cref="Reserve"/> was called for are made, or will not be: what a large commit was given for the worst case
    /// and did not need goes back to the system.</summary>
    internal void EndReserve() => Memory.EndReserve();

    /// <summary>A hint, without a lock: begins to bring into the cache what a write of this key will look at first. What is asked for
    /// now arrives while the caller encodes and waits for locks.</summary>
    /// <returns>To be given to <see cref="PrefetchEntry"/> a little later.</returns>
    internal ulong PrefetchBucket(ReadOnlySpan<byte> key) => Memory.PrefetchBucket(key);

    /// <summary>The second half of the hint: the bucket has arrived, it says where the entry is.</summary>
    /// <returns>Whether the key seems to be there.</returns>
    internal bool PrefetchEntry(ulong hash) => Memory.PrefetchEntry(hash);

    /// <summary>Adds a version. <paramref name="expiry"/> 0 = never. Copies the spans. A second write of a key in one sequence
    /// replaces the first.</summary>
    internal PreviousVersion Put(ReadOnlySpan<byte> key, ReadOnlySpan<byte> value, ulong sequence, long time, long expiry) =>
        Memory.Write(key, value, sequence, time, expiry, isTombstone: false);

    /// <summary>Adds a version of a key that the image does not have, or only as deleted: it is not asked.</summary>
    internal PreviousVersion PutNew(ReadOnlySpan<byte> key, ReadOnlySpan<byte> value, ulong sequence, long time, long expiry = 0) =>
        Memory.Write(key, value, sequence, time, expiry, isTombstone: false, isNew: true);

    /// <summary>Adds a version whose value stands in the log. Copies the bytes: memory keeps them until there is need of room.</summary>
    internal PreviousVersion PutContent(
        ReadOnlySpan<byte> key, in ContentReference reference, ReadOnlySpan<byte> bytes, ulong sequence, long time, long expiry,
        bool isNew = false) =>
        Memory.WriteContent(key, reference, bytes, sequence, time, expiry, isNew);

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
    internal long Sweep(int steps)
    {
        LetGo();
        return Memory.Sweep(steps);
    }

    /// <summary>Recovery: until <see cref="EndLoad"/> no reader looks, so only the newest version of a key is kept, and the
    /// ordered index is left for later: it is built when it is first asked for.</summary>
    internal void BeginLoad(long expectedKeys) => Memory.BeginLoad(expectedKeys);

    internal void EndLoad() => Memory.EndLoad();

    /// <summary>In a load: brings what the image has of a key that memory does not have, as its first write would. Not its place in the
    /// expiry order.</summary>
    /// <param name="expiry">Of the version that was brought; 0 = none.</param>
    /// <returns>False: nothing was brought.</returns>
    /// <exception cref="CorruptionException">The image cannot be read.</exception>
    internal bool TryBringForLoad(ReadOnlySpan<byte> key, out long expiry) => Memory.TryBringForLoad(key, out expiry);

    /// <summary>The run begins at a sequence: what the image has of its id below belongs to an earlier run. Before its first key is
    /// forgotten.</summary>
    internal void BeginAt(ulong born) => Memory.Below?.BeginAt(born);

    // ---- checkpoints: under the run's commit lock, but where it says otherwise ------------------------------------------------

    /// <summary>Puts the dirty keys aside as those of a cut, in constant time. Before the first write above the cut.</summary>
    internal void SplitDirty(ulong cut) => Memory.SplitDirty(cut);

    /// <summary>The dirty keys of a cut, sorted. Without the lock, which the caller has held since the split; the cut is pinned until
    /// the result is disposed. Costs sixteen bytes of memory for each key, and the time to sort.</summary>
    internal FrozenKeys OpenFrozen(ulong cut) => new(this, cut);

    /// <summary>The image that has everything of the run up to a cut is the current one; its keys may be forgotten once the readers
    /// from before have left.</summary>
    /// <param name="line">From <see cref="Epoch.Advance"/>, called since the image is current: one line serves all runs. 0: one is drawn
    /// when it is first needed.</param>
    internal void Published(ulong cut, long line = 0) => Memory.Published(cut, line);

    /// <summary>The checkpoint of a cut failed: its keys are dirty again.</summary>
    internal void GiveBack(ulong cut) => Memory.GiveBack(cut);

    // ---- residency: under the run's commit lock, but where it says otherwise --------------------------------------------------

    /// <summary>Without the lock: reads what a commit will want to know of a key, so that <see cref="MakeResident"/> finds it in the
    /// block cache.</summary>
    /// <exception cref="CorruptionException">The image cannot be read.</exception>
    internal void Prefetch(ReadOnlySpan<byte> key) => Memory.Warm(key);

    /// <inheritdoc cref="Prefetch"/>
    internal void PrefetchCounts() => Memory.WarmCounts();

    /// <summary>Before the first <see cref="MakeResident"/> of a commit: brings the counts.</summary>
    /// <exception cref="OutOfMemoryException">Nothing has changed.</exception>
    /// <exception cref="CorruptionException">The image cannot be read.</exception>
    internal void BeginResident() => Memory.BeginResident();

    /// <summary>Brings the newest version of a key into memory, so that writing it reads no image, or remembers that there is none. Before
    /// the commit takes its sequence, and before <see cref="Reserve"/>, whose memory this would use.</summary>
    /// <exception cref="OutOfMemoryException">Nothing has changed.</exception>
    /// <exception cref="CorruptionException">The image cannot be read.</exception>
    internal void MakeResident(ReadOnlySpan<byte> key) => Memory.MakeResident(key);

    /// <summary>Builds the order of the keys if a load left that for later. Without the lock, before <see cref="Forget"/>, which would do
    /// it under it.</summary>
    internal void PrepareToForget()
    {
        using var inside = Read();
        Memory.EnsureOrdered();
    }

    /// <summary>Lets clean keys leave memory that were not looked up since the hand came by last: looks at about this many keys and goes on
    /// there the next time. Their memory serves the next writes.</summary>
    /// <param name="eager">Idle keys of key ranges that are in use, too; otherwise only ranges without any use.</param>
    /// <param name="idleSince">What was written at that commit time or later is in use, too.</param>
    /// <param name="ignoresUse">Keys that are in use, too.</param>
    internal ForgottenKeys Forget(
        int keys, bool eager = false, long idleSince = long.MaxValue, bool ignoresUse = false)
    {
        LetGo();
        return Memory.Forget(keys, eager, idleSince, ignoresUse);
    }

    /// <summary>Forgets all keys, and gives the memory back to the system as soon as no reader is inside. For an idle run:
    /// every key is clean and no pin lies below the newest.</summary>
    /// <returns>False: not now. A reader that has to leave first, something dirty or a pin is in the way.</returns>
    internal bool ForgetAll()
    {
        LetGo();
        var memory = Memory;
        if (memory.IsClosed || memory.Replace() is not { } next)
            return false;
        Volatile.Write(ref _memory, next);
        memory.Leave();
        (_left ??= []).Add(memory);
        LetGo();
        return true;
    }

    // Memories that were replaced go when their readers have.
    private void LetGo()
    {
        if (_left is not { Count: > 0 })
            return;
        _left.RemoveAll(static memory => memory.TryLetGo());
        Volatile.Write(ref _leftBytes, _left.Sum(static memory => memory.MemoryBytes));
    }

    // ---- reading ------------------------------------------------------------------------------------------------------------

    /// <summary>Enters the epoch. Dispose the reader soon: memory freed meanwhile waits for it.</summary>
    /// <exception cref="ObjectDisposedException">The store is disposed of.</exception>
    internal StoreReader Read() => new(this);

    /// <summary>Gives the native memory back once the readers inside have left; those that come later are refused.</summary>
    public void Dispose()
    {
        _memory.Dispose();
        foreach (var memory in _left ?? [])
            memory.Dispose();
    }

    /// <summary>Disposes of many: they wait together for who is inside, and the line that this takes is drawn once.</summary>
    /// <param name="stores">Some may be disposed of.</param>
    /// <param name="isUnread">Nobody but the caller ever had them: he may be inside himself, for another store.</param>
    internal static void Dispose(IReadOnlyCollection<RunStore> stores, bool isUnread = false)
    {
        var open = stores.Where(static store => !store._memory.IsClosed).ToList();
        foreach (var store in open)
            store._memory.Close();
        var line = isUnread ? Epoch.Passed : Epoch.Advance();
        foreach (var store in open)
            store._memory.Dispose(line);
        foreach (var store in stores)
            store.Dispose();                                 // what else it has, and what was closed before
    }
}

/// <summary>What one turn of forgetting did: keys looked at, keys forgotten, and whether the hand came to the end of the run. All zero:
/// none may leave now, because a reader has to leave first.</summary>
internal readonly record struct ForgottenKeys(int Looked, int Forgotten, bool IsRoundDone);

/// <summary>What a write met: whether the key had a version, and of what kind. A key whose newest version is neither absent nor a
/// tombstone is counted, expired or not.</summary>
internal readonly record struct PreviousVersion(bool Exists, bool IsTombstone, long Expiry)
{
    internal bool IsCounted => Exists && !IsTombstone;
}
