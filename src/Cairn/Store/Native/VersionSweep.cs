using System.Runtime.Intrinsics.X86;

namespace Cairn.Store.Native;

/// <summary>
/// Which superseded versions may go, and when. A version waits first until its successor is visible (in order, so one look at
/// the front suffices). Then the interval rule decides: no pin in [its sequence, its successor's) and it leaves its chain, from
/// the middle too; otherwise it is parked with the oldest pin that lies there, and looked at again when that pin has gone. So a
/// long-lived pin costs the versions it holds, and nobody else anything. A deletion that is not yet in an image which all readers have
/// waits for that, because an older version of its key may be in one (S9).
/// <code>
/// waiting   word: address of a version | 1: address of an entry that was born deleted, and may go when that is visible
/// parked    by pinned sequence, sorted: the versions that it holds (each in one list, though several pins may hold it)
/// deferred  entries whose last version is a tombstone above the clean cut
/// limbo     out of the chain, waiting for readers (<see cref="Limbo"/>) </code>
/// </summary>
internal sealed unsafe class VersionSweep
{
    private const int ParkedListsLooked = 4;              // per step: the lists are few, and each is passed in turn
    private const int StepsLeast = 4;
    private const int StepsPerPass = 48;

    private readonly RunMemory _memory;
    private readonly Slab _slab;
    private readonly Limbo _limbo;
    private WordQueue _waiting;
    private WordQueue _deferred;
    private long _deferredToLook;                         // those that waited when the clean cut moved
    private ulong _cleanCut;
    private PinSet _pins;
    private ParkedList[] _lists = [];
    private int _listCount;
    private int _nextList;
    private long _parked;

    internal VersionSweep(RunMemory memory, Slab slab, Limbo limbo)
    {
        _memory = memory;
        _slab = slab;
        _limbo = limbo;
    }

    /// <summary>Versions and blocks that are not free yet, the pinned ones included; deletions that wait for a checkpoint are
    /// not.</summary>
    internal long Pending => _waiting.Count + _parked + _limbo.Count + _deferredToLook;

    /// <summary>Deletions that wait for a checkpoint.</summary>
    internal long Deferred => _deferred.Count;

    /// <summary>Versions that pins hold.</summary>
    internal long Parked => _parked;

    /// <summary>Those of them that forks hold: no work, as long as they are there.</summary>
    internal long HeldFor(ForkPoints forks)
    {
        var held = 0L;
        for (var i = 0; i < _listCount; i++)
        {
            if (forks.FirstAtOrAfter(_lists[i].Pin) == _lists[i].Pin)
                held += _lists[i].Versions.Count;
        }

        return held;
    }

    /// <summary>How many sequences were pinned when it last looked.</summary>
    internal int Pins => _pins.Count;

    /// <summary>Native bytes that so many writes may need for waiting.</summary>
    internal static long BytesFor(int writes) => 2 * WordQueue.BytesFor(writes) + 4096;

    // Each step may take a version and a key out, and park something with a pin that has held nothing before.
    private long BytesForSteps(int steps)
    {
        const int WordsPerStep = 4;
        var most = 2 * Math.Min(steps, _waiting.Count + _parked + _deferredToLook + 1);
        return WordQueue.BytesFor(WordsPerStep * most) + Math.Min(most, _pins.Count + 1) * WordQueue.BytesFor(0);
    }

    internal void AddSuperseded(byte* version) => _waiting.Add(_slab, (ulong)version);

    internal void AddBornDeleted(byte* entry)
    {
        Entry.SetQueued(entry, true);
        _waiting.Add(_slab, (ulong)entry | 1);
    }

    /// <summary>For an idle run: does up to so many steps. Returns how many versions and blocks still wait, without those that forks
    /// hold.</summary>
    internal long Run(int steps)
    {
        Undefer();
        // A version takes three passes: out of its chain, behind a line, free. One without progress may only have drawn the line.
        var idle = 0;
        for (var left = (long)steps; left > 0 && idle < 3 && Pending != 0; left -= StepsPerPass)
        {
            var before = Pending;
            Step((int)Math.Min(left, StepsPerPass), eager: true);
            idle = Pending == before ? idle + 1 : 0;
        }

        return Pending - (_memory.Forks is { } forks ? HeldFor(forks) : 0);
    }

    /// <summary>Does up to <paramref name="steps"/> steps of each kind.</summary>
    /// <param name="eager">For an idle run: does not wait until it pays, and asks the system for what it needs. Otherwise it stands inside
    /// a commit that has reserved its memory, and does what the memory at hand allows.</param>
    internal void Step(int steps, bool eager)
    {
        try
        {
            Undefer();
            var judges = _waiting.Count != 0 || _parked != 0 || _deferredToLook != 0;
            if (judges)
                _memory.Pins.Collect(_memory.RunTag, ref _pins);

            // For the lists, before anything is taken out of them.
            if (eager || Mutant.Is("sweep-asks-behind-reserve"))
                _slab.Ensure(BytesForSteps(steps), WordQueue.BlockBytes);
            else
            {
                while (!_slab.Has(BytesForSteps(steps), WordQueue.BlockBytes))
                {
                    if ((steps /= 2) < StepsLeast)
                        return;
                }
            }

            if (judges)
                Judge(steps);
            _limbo.Step(2 * steps, eager);
        }
        catch (OutOfMemoryException)
        {
            // Garbage stays where it is; the next step tries again.
        }
    }

    /// <summary>The oldest sequence that is pinned for the run now; the highest there is without any.</summary>
    internal ulong OldestPin()
    {
        _memory.Pins.Collect(_memory.RunTag, ref _pins);
        return _pins.FirstAtOrAfter(0);
    }

    /// <summary>What was deferred is looked at once for each cut that has become clean.</summary>
    internal void Undefer()
    {
        if (_deferred.Count == 0)
            return;
        _memory.Below!.Settle();
        if (_cleanCut == _memory.CleanCut)
            return;
        _cleanCut = _memory.CleanCut;
        _deferredToLook = _deferred.Count;
    }

    private void Judge(int steps)
    {
        var visible = Mutant.Is("store-sweep-ignores-visible") ? ulong.MaxValue : _memory.Visible.Value;
        var left = steps;
        while (left-- > 0 && _waiting.Count != 0)
        {
            var ahead = _waiting.PeekAhead(8);
            if (ahead != 0 && Sse.IsSupported)
                Sse.Prefetch0((byte*)(ahead & ~1UL));
            var word = _waiting.Peek();
            if ((word & 1) != 0)
            {
                var entry = (byte*)(word & ~1UL);
                var newest = Entry.Newest(entry);
                if (MayGo(newest) && Version.Sequence(newest) > visible)
                    break;
                _waiting.Take(_slab);
                SettleKey(entry);
                continue;
            }

            var version = (byte*)word;
            if (Version.Sequence(Version.Newer(version)) > visible)
                break;
            _waiting.Take(_slab);
            Settle(version);
        }

        for (; _deferredToLook > 0 && left > -steps; left--)
        {
            _deferredToLook--;
            var entry = (byte*)_deferred.Take(_slab);
            if (MayGo(Entry.Newest(entry)) && Version.Sequence(Entry.Newest(entry)) > visible)
                _waiting.Add(_slab, (ulong)entry | 1);
            else
                SettleKey(entry);
        }

        for (var i = Math.Min(ParkedListsLooked, _listCount); i > 0 && left > -steps; i--)
        {
            _nextList = _nextList + 1 < _listCount ? _nextList + 1 : 0;
            var list = _lists[_nextList];
            if (FirstHolder(list.Pin) == list.Pin || Mutant.Is("store-parked-for-ever"))
                continue;
            while (list.Versions.Count != 0 && left-- > -steps)
            {
                _parked--;
                var word = list.Versions.Take(_slab);
                if ((word & 1) == 0)
                    Settle((byte*)word);
                else if (MayGo(Entry.Newest((byte*)(word & ~1UL))) && Version.Sequence(Entry.Newest((byte*)(word & ~1UL))) > visible)
                    _waiting.Add(_slab, word);
                else
                    SettleKey((byte*)(word & ~1UL));
            }

            if (list.Versions.Count != 0)
                break;
            Remove(list);
            if (_listCount == 0)
                break;
        }
    }

    private void Settle(byte* version)
    {
        var pin = FirstHolder(Version.Sequence(version));
        if (pin < Version.Sequence(Version.Newer(version)))
        {
            ListOf(pin).Versions.Add(_slab, (ulong)version);
            _parked++;
            return;
        }

        Unlink(version);
    }

    // Pins, and the points of forks. Who reads at the latter validates nothing there, so a key that is gone does not wait for them.
    private ulong FirstHolder(ulong sequence)
    {
        var pin = _pins.FirstAtOrAfter(sequence);
        return _memory.Forks is { } forks ? Math.Min(pin, forks.FirstAtOrAfter(sequence)) : pin;
    }

    // Readers that stand on the version still find the older ones through it.
    private void Unlink(byte* version)
    {
        var newer = Version.Newer(version);
        var older = Version.Older(version);
        Version.SetOlder(newer, older);
        if (older != null)
            Version.SetNewer(older, newer);
        var entry = Version.EntryOfNewest(newer);
        _limbo.AddVersion(version, entry);
        if (older != null && !Mutant.Is("store-removes-key-too-early"))
            return;
        if (entry != null && !Entry.IsQueued(entry) && MayGo(newer))
        {
            Entry.SetQueued(entry, true);
            SettleKey(entry);
        }
    }

    // A key that is queued once, and whose newest version is visible if it may go. Whoever reads at a pin below the tombstone has seen the
    // key absent, or will validate against it: the tombstone tells them that it was created and deleted since (TX-8), so it waits for
    // them like any version.
    private void SettleKey(byte* entry)
    {
        var newest = Entry.Newest(entry);
        if (!MayGo(newest))
        {
            Entry.SetQueued(entry, false);
            return;
        }

        var pin = _pins.FirstAtOrAfter(0);
        if (pin < Version.Sequence(newest) && !Mutant.Is("store-forgets-deletions"))
        {
            ListOf(pin).Versions.Add(_slab, (ulong)entry | 1);
            _parked++;
            return;
        }

        if (Version.Sequence(newest) > _memory.CleanCut && !Mutant.Is("tombstone-dropped-over-image"))
        {
            _deferred.Add(_slab, (ulong)entry);
            return;
        }

        Entry.SetQueued(entry, false);
        _memory.RemoveKey(entry, newest);
    }

    // The last version of a key, and it says that there is none.
    private bool MayGo(byte* newest) =>
        !_memory.KeepsTombstones && Version.IsPlainTombstone(newest)
        && (Version.Older(newest) == null || Mutant.Is("store-removes-key-too-early"));

    private ParkedList ListOf(ulong pin)
    {
        var low = 0;
        var high = _listCount;
        while (low < high)
        {
            var middle = (low + high) >>> 1;
            if (_lists[middle].Pin < pin)
                low = middle + 1;
            else
                high = middle;
        }

        if (low < _listCount && _lists[low].Pin == pin)
            return _lists[low];
        if (_listCount == _lists.Length)
        {
            Array.Resize(ref _lists, Math.Max(8, 2 * _listCount));
            for (var i = _listCount; i < _lists.Length; i++)
                _lists[i] = new ParkedList();
        }

        var list = _lists[_listCount];                    // an unused one moves to its place: none is made anew
        Array.Copy(_lists, low, _lists, low + 1, _listCount - low);
        _lists[low] = list;
        _listCount++;
        list.Pin = pin;
        return list;
    }

    private void Remove(ParkedList list)
    {
        list.Versions.Clear(_slab);
        var index = Array.IndexOf(_lists, list);
        _listCount--;
        Array.Copy(_lists, index + 1, _lists, index, _listCount - index);
        _lists[_listCount] = list;
    }

    private sealed class ParkedList
    {
        internal ulong Pin;
        internal WordQueue Versions;
    }
}
