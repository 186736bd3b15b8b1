using Cairn.Content;
using Cairn.Log;
using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace Cairn.Store.Native;

/// <summary>
/// The inside of a <see cref="RunStore"/>: its entries, version chains and indexes in native memory. The essay stands there;
/// here is what it says in pointers. Every method of the reading half is called inside an <see cref="Epoch"/>.
/// <para>Most of it is made with the first write (<see cref="RunSpace"/>): a run that is only there, loaded or just forked, has next to
/// nothing. Until then readers find the two indexes that hold no key and are everybody's.</para>
/// </summary>
internal sealed unsafe class RunMemory : IDisposable
{
    private const int CountsMax = 16;                     // families that are counted, and room for more

    private readonly bool _debug;
    private readonly bool _isAboveImage;                  // from its beginning: checkpoints are made of it, and reads leave marks
    private readonly ContentStore? _content;
    private RunSpace? _space;                             // null: nothing was written
    private PointTable _table = PointTable.Nothing;       // those of the space, beside it: a reader has one hop less
    private OrderedIndex _order = OrderedIndex.Nothing;
    private nint[] _counts = [];
    private bool _hasCounts;                              // those of all families; otherwise the image has them, and nobody has written
    private bool _isOrdered = true;
    private bool _isLoading;
    private bool _isClosed;
    private RunMemory? _successor;
    private ulong _since;                                 // where a space begins its list of dirty keys
    private long _expectedKeys;                           // of a load
    private long _leftLine;                               // drawn when another memory took the place; 0 = none has
    private FoundEntries _found;                          // by the trial of the commit under way, in their order
    private int _foundCount;

    internal RunMemory(
        SnapshotRegistry pins, VisibleSequence visible, ulong runTag, bool debug, ContentStore? content = null, Residency? below = null,
        ulong since = 0)
    {
        _content = content;
        Pins = pins;
        Visible = visible;
        RunTag = runTag;
        _debug = debug;
        Below = below;
        _hasCounts = below is not { IsWhole: false };
        _isAboveImage = below is not null;
        _since = since;
    }

    internal SnapshotRegistry Pins { get; }

    internal VisibleSequence Visible { get; }

    internal ulong RunTag { get; }

    internal bool KeepsTombstones { get; set; }

    /// <summary>What is below this memory; null: nothing ever, memory is all there is.</summary>
    internal Residency? Below { get; private set; }

    /// <summary>Where forks read this run; null: there are none.</summary>
    internal ForkPoints? Forks { get; set; }

    /// <summary>The memory that took this one's place, and has what was written since.</summary>
    internal RunMemory? Successor => Volatile.Read(ref _successor);

    /// <summary>What checkpoints are made of; null: nothing was written, or there are none.</summary>
    internal DirtyKeys? Dirty => _space?.Dirty;

    /// <summary>What a tombstone may not be above, to leave: nobody finds an older version of its key in the image then.</summary>
    internal ulong CleanCut => _isAboveImage ? Below!.CleanCut : ulong.MaxValue;

    internal long EntryCount => _table.Count;

    internal long MemoryBytes => _space?.Taken ?? 0;

    internal bool HasRoomFor(int writes, long bytes, bool isToTheEnd) =>
        _space is { } space && space.HasRoomFor(writes, bytes, isToTheEnd);

    internal (long Records, long Order, long OrderTaken) Parts => _space?.Parts ?? default;

    internal long LiveBytes => _space?.Live ?? 0;

    /// <summary>Native bytes of contents that are still attached or wait for readers.</summary>
    internal long AttachedBytes => _space?.AttachedLive ?? 0;

    internal long Retries => _order.Retries;

    internal long ParkedVersions => _space?.Sweep.Parked ?? 0;

    internal long DeferredDeletions => _space?.Sweep.Deferred ?? 0;

    internal bool IsClosed => Volatile.Read(ref _isClosed);

    // ---- writing -----------------------------------------------------------------------------------------------------------

    private RunSpace Space => _space ?? MakeSpace();

    // Readers come meanwhile: they find the indexes of nobody, or these, and nothing in either. Nothing is in them before EnsureOrdered.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private RunSpace MakeSpace()
    {
        var space = new RunSpace(this, _debug, _content, Below?.Budget, _isAboveImage, _since);
        if (_isLoading)
            space.BeginLoad(_expectedKeys);
        Volatile.Write(ref _table, space.Table);
        Volatile.Write(ref _order, space.Order);
        Volatile.Write(ref _space, space);
        return space;
    }

    internal void Reserve(int writes, long bytes)
    {
        Space.Reserve(writes, bytes);
        if (_isLoading && !_isOrdered)
            return;
        EnsureOrdered();
        _order.Ensure(writes);
    }

    internal void EndReserve()
    {
        _foundCount = 0;
        _space?.EndReserve();
    }

    internal ulong PrefetchBucket(ReadOnlySpan<byte> key)
    {
        var hash = KeyHash.Of(key);
        var epoch = Epoch.Enter();
        if (!IsClosed)
            _table.Prefetch(hash);
        Epoch.Exit(epoch);
        return hash;
    }

    internal bool PrefetchEntry(ulong hash)
    {
        var epoch = Epoch.Enter();
        var isThere = !IsClosed && _table.PrefetchEntry(hash);
        Epoch.Exit(epoch);
        return isThere;
    }

    /// <param name="isContent">The value is what <see cref="Version"/> keeps of one: the address of its bytes, and its reference.</param>
    /// <param name="isNew">The image has nothing of the key but, perhaps, a plain tombstone: it is not asked.</param>
    internal PreviousVersion Write(
        ReadOnlySpan<byte> key, ReadOnlySpan<byte> value, ulong sequence, long time, long expiry, bool isTombstone, bool isContent = false,
        bool isNew = false)
    {
        Invariant.Check(key.Length is > 0 and <= Entry.KeyBytesMax, "a stored key has 1 to 32,767 bytes");
        var space = Space;
        var entry = FoundBefore(key);
        if (entry != null)
            return Update(space, entry, value, sequence, time, expiry, isTombstone, isContent);
        var hash = KeyHash.Of(key);
        _table.Prefetch(hash);
        // Where the last key of the family was new, this one will be too: then both indexes are fetched at once.
        var family = 1UL << (key[0] & 63);
        Unsafe.SkipInit(out OrderedIndex.Place place);
        var isSought = (space.InsertsExpected & family) != 0 && Volatile.Read(ref _isOrdered);
        if (isSought)
            _order.Seek(key, ref place);
        entry = _table.Find(hash, key);
        if (entry == null && Below is { IsWhole: false })
            entry = isNew ? CheckNew(key) : BringLate(hash, key);
        if (entry != null)
        {
            space.InsertsExpected &= ~family;
            return Update(space, entry, value, sequence, time, expiry, isTombstone, isContent);
        }

        space.InsertsExpected |= family;
        if (!_isLoading)
            EnsureOrdered();
        if (!isSought && _isOrdered)
            _order.Seek(key, ref place);
        entry = Insert(space, hash, key, value, sequence, time, expiry, isTombstone, ref place, isContent);
        Written(space, entry, isContent);
        return default;
    }

    private PreviousVersion Update(
        RunSpace space, byte* entry, ReadOnlySpan<byte> value, ulong sequence, long time, long expiry, bool isTombstone, bool isContent)
    {
        var newest = Entry.Newest(entry);
        var previous = new PreviousVersion(true, Version.IsTombstone(newest), Version.Expiry(newest));
        Add(space, entry, value, sequence, time, expiry, isTombstone, isContent);
        Written(space, entry, isContent);
        return previous;
    }

    private static void Written(RunSpace space, byte* entry, bool isContent)
    {
        if (isContent && Version.Attached(Entry.Newest(entry)) is var block && block != null)
            Native.AttachedBytes.SetVersion(block, Entry.Newest(entry));
        space.AfterWrite();
    }

    internal void AddCount(byte family, long delta, ulong sequence, long time)
    {
        var space = Space;
        var entry = CountEntry(family);
        if (!_hasCounts)
            BringCountsLate();
        Span<byte> value = stackalloc byte[8];
        if (entry == null)
        {
            Span<byte> key = [RunStore.CountFamily, family];
            var hash = KeyHash.Of(key);
            entry = _table.Find(hash, key);
            if (entry == null)
            {
                BinaryPrimitives.WriteInt64LittleEndian(value, delta + (Below?.Base?.Count(family, ulong.MaxValue) ?? 0));
                if (!_isLoading)
                    EnsureOrdered();
                Unsafe.SkipInit(out OrderedIndex.Place place);
                if (_isOrdered)
                    _order.Seek(key, ref place);
                entry = Insert(space, hash, key, value, sequence, time, 0, isTombstone: false, ref place);
            }
            else
            {
                AddTo(space, entry, delta, sequence, time);
            }

            if (family >= _counts.Length)
                Array.Resize(ref _counts, family + 8);
            Volatile.Write(ref _counts[family], (nint)entry);
        }
        else
        {
            AddTo(space, entry, delta, sequence, time);
        }

        space.AfterWrite();
    }

    /// <summary>A version whose value is a content. Its bytes are attached, but for a load: then they are in the log already.</summary>
    internal PreviousVersion WriteContent(
        ReadOnlySpan<byte> key, in ContentReference reference, ReadOnlySpan<byte> bytes, ulong sequence, long time, long expiry,
        bool isNew = false)
    {
        Invariant.Check(_content is not null, "a store that keeps contents knows where they are read");
        Span<byte> stored = stackalloc byte[Version.ContentBytes];
        var block = _isLoading || bytes.IsEmpty ? null : Space.Attached.Add(reference, bytes);
        if (block == null)
            _content.LeftMemory();
        BinaryPrimitives.WriteUInt64LittleEndian(stored, (ulong)block);
        reference.Write(stored[sizeof(ulong)..]);
        return Write(key, stored, sequence, time, expiry, isTombstone: false, isContent: true, isNew);
    }

    /// <summary>A new version of a key that keeps its newest value, a content, and has another expiry. The attached bytes change over to
    /// it: who still reads the old version sees it, so it is visible, so it is in the log.</summary>
    internal void CarryContent(ReadOnlySpan<byte> key, ulong sequence, long time, long expiry, out PreviousVersion previous)
    {
        var hash = KeyHash.Of(key);
        var entry = _table.Find(hash, key);
        if (entry == null && Below is { IsWhole: false })
            entry = BringLate(hash, key);
        Invariant.Check(entry != null && Version.IsContent(Entry.Newest(entry)), "what is carried over is a content");
        var newest = Entry.Newest(entry);
        Span<byte> stored = stackalloc byte[Version.ContentBytes];
        BinaryPrimitives.WriteUInt64LittleEndian(stored, (ulong)Version.Attached(newest));
        Version.Reference(newest).Write(stored[sizeof(ulong)..]);
        Version.SetAttached(newest, null);
        previous = Write(key, stored, sequence, time, expiry, isTombstone: false, isContent: true);
    }

    /// <summary>Makes sure that the newest value of a key can be had without a look at the log until the commit under way is applied.</summary>
    internal void HoldContent(ReadOnlySpan<byte> key)
    {
        var hash = KeyHash.Of(key);
        var entry = _table.Find(hash, key);
        if (entry == null && Below is { IsWhole: false } && !IsKnownAbsent(hash, key))
            entry = Bring(hash, key);
        if (entry == null || Entry.Newest(entry) is var newest && !Version.IsContent(newest))
            return;
        var block = Version.Attached(newest);
        if (block == null)
        {
            var reference = Version.Reference(newest);
            block = Space.Attached.Add(reference, _content!.Read(reference, Version.Sequence(newest)));
            Native.AttachedBytes.SetVersion(block, newest);
            Version.SetAttached(newest, block);
        }

        Native.AttachedBytes.Hold(block);
    }

    /// <summary>Detaches the bytes of contents, see <see cref="RunStore.ForgetContent"/>.</summary>
    internal long ForgetContent(int steps) => _space?.ForgetContent(steps) ?? 0;

    internal long Sweep(int steps)
    {
        Below?.Settle();
        return _space?.Sweep.Run(steps) ?? 0;
    }

    /// <summary>The run is a fork, and has nothing of its own yet: what it does not have is its parent's.</summary>
    internal void SetBase(RunId run, ForkBase @base)
    {
        Below ??= new Residency(run, new CurrentImage(), isWhole: false, born: 0, cut: 0, _content);
        Below.SetBase(@base);
        KeepsTombstones = true;
        _since = Math.Max(_since, @base.At);
        Dirty?.BeginAt(@base.At);
    }

    internal void BeginLoad(long expectedKeys)
    {
        Invariant.Check(!_isLoading, "a load begins once");
        _isLoading = true;
        _expectedKeys = expectedKeys;
        if (_table.Count == 0)
            _isOrdered = false;                           // most of what follows will be new keys: they are ordered once, when that is asked for
        _space?.BeginLoad(expectedKeys);
    }

    internal void EndLoad()
    {
        Invariant.Check(_isLoading, "a load ends once");
        _isLoading = false;
        _space?.EndLoad();
    }

    /// <summary>Takes a key out of both indexes. Its only version is a visible tombstone.</summary>
    internal void RemoveKey(byte* entry, byte* tombstone)
    {
        var key = Entry.Key(entry);
        if (!Mutant.Is("found-outlives-its-key"))
            _foundCount = 0;
        ForgetCount(key);
        if (Volatile.Read(ref _isOrdered))
        {
            _order.Remove(key);
            _table.Remove(KeyHash.Of(key), key);
        }
        else
        {
            lock (_space!.OrderGate)                      // a reader may be collecting the keys at this moment
            {
                if (_isOrdered)
                    _order.Remove(key);
                _table.Remove(KeyHash.Of(key), key);
            }
        }

        Entry.SetQueued(entry, true);                     // nothing moves into its home any more
        _space!.Limbo.Add(LimboKind.Version, tombstone);
        _space.Limbo.Add(LimboKind.Entry, entry);
    }

    /// <summary>No reader enters any more: another memory has taken the place. <see cref="TryLetGo"/> follows.</summary>
    internal void Leave()
    {
        Volatile.Write(ref _isClosed, true);
        _leftLine = Epoch.Advance();
    }

    /// <summary>Gives the memory back if the readers inside have left.</summary>
    internal bool TryLetGo()
    {
        if (!Epoch.HasPassed(_leftLine))
            return false;
        _space?.Dispose();
        return true;
    }

    /// <summary>No reader enters any more. <see cref="Dispose(long)"/> follows.</summary>
    internal void Close() => Volatile.Write(ref _isClosed, true);

    /// <summary>No reader enters any more; waits for those inside, and leaves the memory to its finaliser if one does not leave.</summary>
    public void Dispose()
    {
        if (IsClosed && _leftLine == 0)
            return;
        Close();
        Dispose(_leftLine != 0 ? _leftLine : Epoch.Advance());
    }

    /// <summary>The same, once, for who has closed many: one line behind the last of them serves all.</summary>
    /// <param name="line">From <see cref="Epoch.Advance"/>, called since <see cref="Close"/>.</param>
    internal void Dispose(long line)
    {
        var spin = default(SpinWait);
        for (var i = 0; i < 10_000; i++)
        {
            if (Epoch.HasPassed(line))
            {
                _space?.Dispose();
                return;
            }

            spin.SpinOnce(sleep1Threshold: -1);
        }
    }

    private byte* Insert(
        RunSpace space, ulong hash, ReadOnlySpan<byte> key, ReadOnlySpan<byte> value, ulong sequence, long time, long expiry, bool isTombstone,
        ref OrderedIndex.Place place, bool isContent = false)
    {
        var entry = space.Slab.AllocPair(Entry.SizeFor(key.Length), Version.SizeFor(value.Length, 0, expiry != 0), out var version);
        Version.Write(version, value, sequence, sequence, time, expiry, isTombstone, isContent);
        Version.SetEntry(version, entry);
        Entry.Write(entry, key, version);
        _table.Insert(hash, entry);
        if (_isOrdered)
            _order.Insert(entry, ref place);
        space.Dirty?.Written(entry, before: 0, sequence, 0, Version.Size(version));
        if (isTombstone && value.Length == 0 && !KeepsTombstones)
        {
            if (_isLoading && !_isOrdered && !_isAboveImage)
                RemoveLoaded(space, entry, version);
            else
                space.Sweep.AddBornDeleted(entry);
        }

        return entry;
    }

    private void Add(
        RunSpace space, byte* entry, ReadOnlySpan<byte> value, ulong sequence, long time, long expiry, bool isTombstone,
        bool isContent = false)
    {
        var newest = Entry.Newest(entry);
        var newestSequence = Version.Sequence(newest);
        Invariant.Check(newestSequence <= sequence, "the commits of a run are applied in order");
        var created = Version.IsLiveAt(newest, time) ? Version.Created(newest) : sequence;
        var size = Version.SizeFor(value.Length, sequence - created, expiry != 0);
        space.Dirty?.Written(entry, newestSequence, sequence, Version.Size(newest), size);
        var isHeld = _isLoading && Forks is not null && Forks.AnyIn(newestSequence, sequence);
        if (_isLoading && !isHeld && size == Version.Size(newest) && !isTombstone)
        {
            Version.Rewrite(newest, value, sequence, created, time, expiry, isContent);
            return;
        }

        var version = space.Slab.Alloc(size);
        Version.Write(version, value, sequence, created, time, expiry, isTombstone, isContent);
        Version.SetEntry(version, entry);

        // Nobody can see a version of the same sequence, or of a load: it is replaced, not superseded.
        var isReplaced = newestSequence == sequence || (_isLoading && !isHeld);
        var older = isReplaced ? Version.Older(newest) : newest;
        Version.SetOlder(version, older);
        if (older != null)
            Version.SetNewer(older, version);
        Entry.SetNewest(entry, version);
        if (!isReplaced)
        {
            space.Sweep.AddSuperseded(newest);
        }
        else
        {
            if (_isLoading)
                space.Free(LimboKind.Version, newest);
            else
                space.Limbo.AddVersion(newest, entry);
            if (older == null && isTombstone && value.Length == 0 && !KeepsTombstones && !Entry.IsQueued(entry))
            {
                if (_isLoading && !_isOrdered && !_isAboveImage)
                    RemoveLoaded(space, entry, version);
                else
                    space.Sweep.AddBornDeleted(entry);
            }
        }
    }

    // A key that is written and not in memory, though the image may have it: what the image has comes first, as the older version of
    // what follows, so that memory alone answers for every key it has (S8). Inside an epoch, because files of the image are
    // let go behind a line in it.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private byte* Bring(ulong hash, ReadOnlySpan<byte> key)
    {
        var epoch = Epoch.Enter();
        try
        {
            return Below!.TryGet(key, ulong.MaxValue, out var version) && !version.IsPlainTombstone
                ? InsertClean(hash, key, version)
                : null;
        }
        finally
        {
            Epoch.Exit(epoch);
        }
    }

    // The same behind a sequence, where nothing may fail and nobody should wait: MakeResident has brought the key, or found it absent.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private byte* BringLate(ulong hash, ReadOnlySpan<byte> key)
    {
        if (IsKnownAbsent(hash, key))
            return null;
        NoteLate();
        return Bring(hash, key);
    }

    /// <summary>See <see cref="RunStore.TryBringForLoad"/>.</summary>
    internal bool TryBringForLoad(ReadOnlySpan<byte> key, out long expiry)
    {
        Invariant.Check(_isLoading, "keys are brought ahead in a load");
        expiry = 0;
        if (Below is not { IsWhole: false })
            return false;
        var hash = KeyHash.Of(key);
        if (_table.Find(hash, key) != null || Bring(hash, key) is var entry && entry == null)
            return false;
        expiry = Version.Expiry(Entry.Newest(entry));
        return true;
    }

    private void NoteLate()
    {
        if (!_isLoading)
            Below!.ReadLate();
    }

    private bool IsKnownAbsent(ulong hash, ReadOnlySpan<byte> key) => _space is { } space && space.Absent.Contains(hash, key);

    [MethodImpl(MethodImplOptions.NoInlining)]
    private byte* CheckNew(ReadOnlySpan<byte> key)
    {
        if (!_debug)
            return null;
        var epoch = Epoch.Enter();
        try
        {
            Invariant.Check(
                !Below!.TryGet(key, ulong.MaxValue, out var version) || version.IsPlainTombstone, "a key that is called new is nowhere");
        }
        finally
        {
            Epoch.Exit(epoch);
        }

        return null;
    }

    private byte* InsertClean(ulong hash, ReadOnlySpan<byte> key, in VersionView found)
    {
        var space = Space;
        if (!_isLoading)
            EnsureOrdered();
        Unsafe.SkipInit(out OrderedIndex.Place place);
        if (_isOrdered)
        {
            _order.Ensure(1);
            _order.Seek(key, ref place);
        }

        Span<byte> content = stackalloc byte[Version.ContentBytes];
        scoped var value = found.Stored;
        if (found.IsContent)
        {
            content.Clear();                              // no bytes are attached
            value.CopyTo(content[sizeof(ulong)..]);
            value = content;
        }

        var size = Version.SizeFor(value.Length, found.Sequence - found.Created, found.Expiry != 0);
        var entry = space.Slab.AllocPair(Entry.SizeFor(key.Length), size, out var version);
        Version.Write(version, value, found.Sequence, found.Created, found.Time, found.Expiry, found.IsTombstone, found.IsContent);
        Version.SetEntry(version, entry);
        Entry.Write(entry, key, version);
        _table.Insert(hash, entry);
        if (_isOrdered)
            _order.Insert(entry, ref place);
        return entry;
    }

    private void AddTo(RunSpace space, byte* entry, long delta, ulong sequence, long time)
    {
        var newest = Entry.Newest(entry);
        var isCount = !Version.IsTombstone(newest) && Version.Length(newest) == 8;
        var count = isCount ? Unsafe.ReadUnaligned<long>(Version.Value(newest)) : 0;
        if (isCount && Version.Sequence(newest) == sequence)
        {
            Unsafe.WriteUnaligned(Version.Value(newest), count + delta);
            return;
        }

        Span<byte> value = stackalloc byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(value, count + delta);
        Add(space, entry, value, sequence, time, 0, isTombstone: false);
    }

    // During a load, with nobody reading and the order not kept: the key was never there.
    private void RemoveLoaded(RunSpace space, byte* entry, byte* tombstone)
    {
        var key = Entry.Key(entry);
        ForgetCount(key);
        _table.Remove(KeyHash.Of(key), key);
        space.Free(LimboKind.Version, tombstone);
        space.Free(LimboKind.Entry, entry);
    }

    private void ForgetCount(ReadOnlySpan<byte> key)
    {
        if (key.Length == 2 && key[0] == RunStore.CountFamily && key[1] < _counts.Length)
            Volatile.Write(ref _counts[key[1]], 0);
    }

    private byte* CountEntry(byte family)
    {
        var counts = Volatile.Read(ref _counts);
        return family < counts.Length ? (byte*)Volatile.Read(ref counts[family]) : null;
    }

    // ---- reading: inside an epoch ---------------------------------------------------------------------------------------------

    internal bool TryGet(ReadOnlySpan<byte> key, ulong sequence, out VersionView version)
    {
        return TryRead(_table.Find(KeyHash.Of(key), key), key, sequence, out version);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private bool TryRead(byte* entry, ReadOnlySpan<byte> key, ulong sequence, out VersionView version)
    {
        version = default;
        if (entry == null)
            return Below is not null && TryGetBelow(key, sequence, out version);
        var found = NewestAt(Entry.Newest(entry), sequence);
        if (found == null)
            return Forks is not null && TryGetHeld(key, sequence, out version);
        NoteUse(found);
        version = Version.View(found, this);
        return true;
    }

    /// <summary>The newest version, for the trial of a commit, under the run's lock. Apply will ask for the same keys: entries do not move,
    /// so it finds the first few again without a look into the index, until the commit ends or one of them goes.</summary>
    internal bool TryGetForTrial(ReadOnlySpan<byte> key, out VersionView version)
    {
        var entry = _table.Find(KeyHash.Of(key), key);
        if (entry != null && _foundCount < FoundEntries.Most)
            _found[_foundCount++] = (nint)entry;
        return TryRead(entry, key, ulong.MaxValue, out version);
    }

    /// <summary>Entries that a trial has left to be found again.</summary>
    internal int Found => _foundCount;

    private byte* FoundBefore(ReadOnlySpan<byte> key)
    {
        for (var i = 0; i < _foundCount; i++)
        {
            if (KeyOf(_found[i]).SequenceEqual(key))
                return (byte*)_found[i];
        }

        return null;
    }

    /// <summary>The newest version, for the writer behind its sequence: what was looked for in vain is not looked for again.</summary>
    internal bool TryGetForApply(ReadOnlySpan<byte> key, out VersionView version)
    {
        if (TryRead(FoundBefore(key), ulong.MaxValue, out version))
            return true;
        var hash = KeyHash.Of(key);
        var entry = _table.Find(hash, key);
        if (TryRead(entry, ulong.MaxValue, out version))
            return true;
        if (Below is not { IsWhole: false } || IsKnownAbsent(hash, key))
            return false;
        NoteLate();
        return Below.TryGet(key, ulong.MaxValue, out version);
    }

    /// <summary>Memory alone: enough for what is newer than a pin, which was neither forgotten nor swept.</summary>
    internal bool TryGetNewer(ReadOnlySpan<byte> key, ulong sequence, out VersionView version)
    {
        var entry = _table.Find(KeyHash.Of(key), key);
        if (entry == null && Successor is { } next)
            return next.TryGetNewer(key, sequence, out version);
        return TryRead(entry, ulong.MaxValue, out version) && version.Sequence > sequence;
    }

    internal bool TryGetVisible(ReadOnlySpan<byte> key, out VersionView version)
    {
        version = default;
        var entry = _table.Find(KeyHash.Of(key), key);
        if (entry == null)
            return Below is not null && TryGetVisibleBelow(key, out version);
        for (var tries = 0; ; tries++)
        {
            var sequence = Visible.Value;
            if (Mutant.Is("store-visible-no-recheck"))
                Thread.SpinWait(2_000);                   // in the mutant the race is not left to luck
            var found = Entry.Newest(entry);
            CheckLive(found);
            if (Version.Sequence(found) > sequence)
            {
                found = NewestAt(found, sequence);

                // What was the answer may have left the chain when the word moved on, and only then.
                if (Visible.Value != sequence && !Mutant.Is("store-visible-no-recheck"))
                {
                    if (tries < 8)
                        continue;
                    return TryGetPinned(entry, out version);
                }

                if (found == null)
                    return false;
            }

            NoteUse(found);
            version = Version.View(found, this);
            return true;
        }
    }

    // Memory has later versions of the key only; what forks read may be in the image alone (S8).
    [MethodImpl(MethodImplOptions.NoInlining)]
    private bool TryGetHeld(ReadOnlySpan<byte> key, ulong sequence, out VersionView version)
    {
        version = default;
        return Below is { IsWhole: false } && !Mutant.Is("fork-asks-memory-alone") && Below.TryGet(key, sequence, out version);
    }

    // Memory has nothing of the key, so the image has its newest version, if there is one (S8).
    [MethodImpl(MethodImplOptions.NoInlining)]
    private bool TryGetBelow(ReadOnlySpan<byte> key, ulong sequence, out VersionView version)
    {
        version = default;
        if (Successor is { } next)
            return next.TryGet(key, sequence, out version);
        return !Below!.IsWhole && Below.TryGet(key, sequence, out version);
    }

    // All that the image has is visible, so its newest version is an answer. It is one for a moment of this call: if it was the newest when
    // memory was looked at, for that one; otherwise it was committed, became visible and came into an image since.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private bool TryGetVisibleBelow(ReadOnlySpan<byte> key, out VersionView version)
    {
        version = default;
        if (Successor is { } next)
            return next.TryGetVisible(key, out version);
        return !Below!.IsWhole && Below.TryGet(key, ulong.MaxValue, out version);
    }

    internal long Count(byte family, ulong sequence)
    {
        var hasCounts = Volatile.Read(ref _hasCounts);       // before the look: what is brought after it was not counted on
        var entry = CountEntry(family);
        if (entry == null)
            entry = _table.Find(KeyHash.Of([RunStore.CountFamily, family]), [RunStore.CountFamily, family]);
        if (entry == null && Successor is { } next)
            return next.Count(family, sequence);
        if (!TryRead(entry, sequence, out var version) && (!hasCounts || Forks is not null || Below is { Base: not null }))
            return CountBelow(family, sequence);
        return CountIn(version);
    }

    private static long CountIn(scoped in VersionView version) =>
        version.Value.Length == 8 ? BinaryPrimitives.ReadInt64LittleEndian(version.Value) : 0;

    // Before the first write the image has the newest counts. What forks of the run count may be there alone; and a fork counts on from
    // what its base had.
    private long CountBelow(byte family, ulong sequence)
    {
        if (Below is not { IsWhole: false })
            return 0;
        return Below.TryGet([RunStore.CountFamily, family], sequence, out var version)
            ? CountIn(version)
            : Below.Base?.Count(family, sequence) ?? 0;
    }

    internal int ReadForward(ReadOnlySpan<byte> from, ReadOnlySpan<byte> to, Span<nint> entries, out nint fence)
    {
        EnsureOrdered();
        var count = _order.ReadForward(from, to, entries, out fence);
        Prefetch(entries[..count]);
        return count;
    }

    internal int ReadBackward(ReadOnlySpan<byte> from, ReadOnlySpan<byte> to, Span<nint> entries, out nint fence)
    {
        EnsureOrdered();
        var count = _order.ReadBackward(from, to, entries, out fence);
        Prefetch(entries[..count]);
        return count;
    }

    internal static ReadOnlySpan<byte> KeyOf(nint entry) => Entry.Key((byte*)entry);

    internal ulong NewestSequence(nint entry)
    {
        var newest = Entry.Newest((byte*)entry);
        CheckLive(newest);
        return Version.Sequence(newest);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal bool TryRead(nint entry, ulong sequence, out VersionView version) => TryRead((byte*)entry, sequence, out version);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private bool TryRead(byte* entry, ulong sequence, out VersionView version)
    {
        if (entry != null)
        {
            var found = NewestAt(Entry.Newest(entry), sequence);
            if (found != null)
            {
                version = Version.View(found, this);
                return true;
            }
        }

        version = default;
        return false;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private byte* NewestAt(byte* version, ulong sequence)
    {
        while (version != null)
        {
            CheckLive(version);
            if (Version.Sequence(version) <= sequence)
                break;
            version = Version.Older(version);
        }

        return version;
    }

    /// <summary>The rest of <see cref="Version.View"/> for a content.</summary>
    /// <param name="value">What the version keeps of it.</param>
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal VersionView ViewContent(byte* version, byte* value, ulong created, long expiry)
    {
        var block = (byte*)Volatile.Read(ref *(ulong*)value);
        var stored = new ReadOnlySpan<byte>(value + sizeof(ulong), ContentReference.Size);
        if (block != null)
        {
            if (_debug)
                Slab.CheckLive(*(ulong*)block, *(ulong*)(block + Native.AttachedBytes.ReferenceOffset));
            *(uint*)(block + Native.AttachedBytes.HeatOffset) = 1;
            stored = Native.AttachedBytes.Stored(block);
        }

        return new VersionView(stored, Version.Sequence(version), created, Version.Time(version), expiry, false, true, _content);
    }

    // A mark on the version, in a byte that nobody else writes without writing the version: a store at the first look after the clock
    // hand has passed, and a load at all others. Scans leave no mark: one look at everything does not make everything hot.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void NoteUse(byte* version)
    {
        if (_isAboveImage && !Version.IsUsed(version))
            Version.SetUsed(version, true);
    }

    // Under an endless stream of commits a reader would chase the visible word for ever: hold it still.
    private bool TryGetPinned(byte* entry, out VersionView version)
    {
        var pin = Pins.Take(Visible, RunTag);
        try
        {
            return TryRead(entry, pin.Sequence, out version);
        }
        finally
        {
            Pins.Release(pin);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void CheckLive(byte* version)
    {
        if (_debug)
            Slab.CheckLive(*(ulong*)(version + 8), *(ulong*)version);
    }

    // All misses of a leaf at once, instead of one after the other.
    private static void Prefetch(ReadOnlySpan<nint> entries)
    {
        if (!Sse.IsSupported)
            return;
        foreach (var entry in entries)
            Sse.Prefetch0((byte*)entry);
        foreach (var entry in entries)
        {
            var newest = Entry.Newest((byte*)entry);
            Sse.Prefetch0(newest);
            Sse.Prefetch0(newest + 64);
        }
    }

    // ---- residency: under the run's lock -----------------------------------------------------------------------------------------

    /// <summary>What was found absent was so for one commit. The counts come into memory.</summary>
    /// <exception cref="OutOfMemoryException">Nothing has changed.</exception>
    /// <exception cref="CorruptionException">The image cannot be read.</exception>
    internal void BeginResident()
    {
        if (!Mutant.Is("absent-for-ever"))
            _space?.Absent.Clear();
        if (!_hasCounts)
            BringCounts();
    }

    /// <summary>Brings the newest version of a key from the image, if memory has nothing of it, and its place in the expiry order with it:
    /// whoever replaces the one moves the other.</summary>
    internal void MakeResident(ReadOnlySpan<byte> key)
    {
        if (Below is null || Below.IsWhole || BringEarly(key) is var entry && entry == null)
            return;
        var expiry = Version.Expiry(Entry.Newest(entry));
        if (expiry == 0 || Mutant.Is("expiry-order-not-resident"))
            return;
        Span<byte> order = stackalloc byte[StoreKeys.ExpiryPrefixBytes + key.Length];
        BringEarly(StoreKeys.Expiry(order, expiry, key));
    }

    private byte* BringEarly(ReadOnlySpan<byte> key)
    {
        var hash = KeyHash.Of(key);
        var entry = _table.Find(hash, key);
        if ((entry != null && !Version.IsPlainTombstone(Entry.Newest(entry))) || IsKnownAbsent(hash, key))
            return entry;
        if (entry == null)
        {
            Reserve(1, key.Length);                       // for the indexes; the record itself may fail, nothing has changed then
            entry = Bring(hash, key);
        }

        // A tombstone that memory has may be swept before its key is written: then the image has nothing more to say than it.
        if (entry == null ? !Mutant.Is("absent-not-remembered") : Version.IsPlainTombstone(Entry.Newest(entry)))
            Space.Absent.Add(hash, key);
        return entry;
    }

    /// <summary>Without a lock: the same for the counts.</summary>
    internal void WarmCounts()
    {
        if (Below is null || Volatile.Read(ref _hasCounts))
            return;
        var epoch = Epoch.Enter();
        try
        {
            if (!IsClosed)
                Below.Scan([RunStore.CountFamily], [RunStore.CountFamily + 1], ulong.MaxValue, reverse: false).MoveNext();
        }
        finally
        {
            Epoch.Exit(epoch);
        }
    }

    /// <summary>Without a lock: begins to read what a write will want to know of the key.</summary>
    internal void Warm(ReadOnlySpan<byte> key)
    {
        if (Below is null || Below.IsWhole)
            return;
        var epoch = Epoch.Enter();
        try
        {
            if (IsClosed || !TryGet(key, ulong.MaxValue, out var version) || version.Expiry == 0)
                return;
            Span<byte> order = stackalloc byte[StoreKeys.ExpiryPrefixBytes + key.Length];
            TryGet(StoreKeys.Expiry(order, version.Expiry, key), ulong.MaxValue, out _);
        }
        finally
        {
            Epoch.Exit(epoch);
        }
    }

    private void BringCountsLate()
    {
        NoteLate();
        BringCounts();
    }

    // The versioned counts of all families come into memory, where they stay until all of it is replaced. Each is there before anybody
    // may take its absence for an answer.
    private void BringCounts()
    {
        Reserve(CountsMax, 2 * CountsMax);
        var epoch = Epoch.Enter();
        try
        {
            var counts = Below!.Scan([RunStore.CountFamily], [RunStore.CountFamily + 1], ulong.MaxValue, reverse: false);
            while (counts.MoveNext())
            {
                var hash = KeyHash.Of(counts.Key);
                if (Below.IsOfThisRun(counts.Version) && !counts.Version.IsTombstone && _table.Find(hash, counts.Key) == null)
                    InsertClean(hash, counts.Key, counts.Version);
            }

            Volatile.Write(ref _hasCounts, true);
        }
        finally
        {
            Epoch.Exit(epoch);
        }
    }

    internal void SplitDirty(ulong cut) => DirtyOf(Space).Split(cut);

    internal void GiveBack(ulong cut) => DirtyOf(_space).GiveBack(cut);

    internal int FrozenCount => checked((int)DirtyOf(_space).FrozenCount);

    internal void CopyFrozen(ulong cut, Span<nint> entries) => DirtyOf(_space).CopyFrozen(cut, entries);

    internal ulong FrozenSince => DirtyOf(_space).FrozenSince;

    private static DirtyKeys DirtyOf(RunSpace? space) =>
        space?.Dirty ?? throw new InvalidOperationException("A store without an image has no dirty keys.");

    /// <summary>Hands out the versions that a cut's newest one of a key has superseded since the cut before, and that forks read: newest
    /// first. With <paramref name="visit"/> null it only looks.</summary>
    /// <returns>False: there is none.</returns>
    internal bool VisitHeld(nint entry, ulong cut, ulong since, FrozenKeyVisitor? visit)
    {
        if (Forks is null || Mutant.Is("checkpoint-forgets-forks"))
            return false;
        var any = false;
        var newer = NewestAt(Entry.Newest((byte*)entry), cut);
        for (var version = Version.Older(newer); version != null && Version.Sequence(version) > since; version = Version.Older(version))
        {
            if (Forks.AnyIn(Version.Sequence(version), Version.Sequence(newer)))
            {
                any = true;
                visit?.Invoke(KeyOf(entry), Version.View(version, this));
                if (visit is null)
                    return true;
            }

            newer = version;
        }

        return any;
    }

    /// <summary>A plain tombstone says nothing if the image has nothing of its key.</summary>
    internal bool NeedsWriting(ReadOnlySpan<byte> key, in VersionView version) =>
        !version.IsPlainTombstone || KeepsTombstones || Below!.MayHave(key);

    internal void Published(ulong cut, long line)
    {
        if (Dirty is { IsFrozen: true } dirty)
            dirty.Published(cut);
        Below!.Published(cut, line);
    }

    /// <summary>See <see cref="RunStore.Forget"/>.</summary>
    internal ForgottenKeys Forget(int keys, bool eager, long idleSince, bool ignoresUse)
    {
        if (!_isAboveImage || _isLoading || !Below!.EndWhole())
            return default;
        Below.Settle();
        if (_space is not { } space)
            return new ForgottenKeys(1, 0, IsRoundDone: true);
        space.Slab.Ensure(4096);
        return space.Clock.Turn(this, keys, eager, Forgettable(space), idleSince, ignoresUse);
    }

    /// <summary>The newest sequence that may be forgotten: it is clean, visible, and no pin lies below it.</summary>
    private ulong Forgettable(RunSpace space)
    {
        // In this order: a pin that is taken after the word was loaded is at or above it (SnapshotRegistry).
        var visible = Visible.Value;
        var oldestPin = space.Sweep.OldestPin();
        return Mutant.Is("forget-dirty") ? oldestPin : Math.Min(Math.Min(Below!.CleanCut, visible), oldestPin);
    }

    /// <summary>Memory has nothing that may be forgotten by itself.</summary>
    internal bool HoldsOnlyCounts => EntryCount <= CountsMax;

    /// <summary>Takes a key that is clean out of memory.</summary>
    internal bool TryForget(byte* entry, ulong upTo)
    {
        var newest = Entry.Newest(entry);
        if (Version.Sequence(newest) > upTo || Version.Older(newest) != null || Entry.IsQueued(entry)
            || Entry.Key(entry)[0] == RunStore.CountFamily)
            return false;
        RemoveKey(entry, newest);
        return true;
    }

    /// <summary>Puts an empty memory into this one's place, if all this one knows is clean. Readers inside find nothing here any more and
    /// go on there. Null: not now.</summary>
    internal RunMemory? Replace()
    {
        if (!_isAboveImage || _isLoading || !Below!.EndWhole())
            return null;
        Below.Settle();
        var space = _space;
        if (space is { Dirty: { } dirty } && (!dirty.IsClean || dirty.LastWritten > Forgettable(space)))
            return null;
        var next = new RunMemory(Pins, Visible, RunTag, _debug, _content, Below, space?.Dirty?.Since ?? _since)
        {
            KeepsTombstones = KeepsTombstones,
            Forks = Forks,
        };
        // The successor first: whoever misses here because of what follows finds it.
        Volatile.Write(ref _successor, next);
        if (space is null)
            return next;
        lock (space.OrderGate)
        {
            Volatile.Write(ref _isOrdered, true);
            _order.Forget();
            _table.Forget();
            Volatile.Write(ref _counts, []);
        }

        return next;
    }

    // ---- the order, built when first asked for --------------------------------------------------------------------------------

    // During a load Apply may ask, when it has to find keys: from then on new keys come into the order at once.
    internal void EnsureOrdered()
    {
        if (Volatile.Read(ref _isOrdered) || Volatile.Read(ref _space) is not { } space)
            return;                                       // ordered, or nothing there yet: outside a load the first key comes behind this too
        lock (space.OrderGate)
        {
            if (_isOrdered)
                return;
            using var keys = new KeySort(_table.Count);
            _table.CopyEntries(keys.Entries);
            keys.Sort();
            _order.Build(keys.Entries);
            Volatile.Write(ref _isOrdered, true);
        }
    }
}

/// <summary>Entries that a trial has found.</summary>
[InlineArray(Most)]
internal struct FoundEntries
{
    internal const int Most = 8;

    private nint _first;
}
