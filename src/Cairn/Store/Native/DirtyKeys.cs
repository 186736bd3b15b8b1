namespace Cairn.Store.Native;

/// <summary>
/// The keys whose newest version the next checkpoint has to write: a list of entries, appended by a key's first write above the last cut.
/// "First" needs no flag: the newest version before the write is at or below the cut. A split puts the list aside, whole and at once; it
/// is sorted and read without the run's lock then, because nothing of it leaves memory (S9) and nobody appends to it.
/// <code>
/// live       above the last cut
/// frozen     at or below it, being written      Published: freed      GiveBack: before the live ones again, the cut taken back </code>
/// A key may stand twice after it was given back; whoever reads the list sorts it anyway.
/// </summary>
internal sealed unsafe class DirtyKeys
{
    private readonly Slab _slab;
    private List<WordQueue> _parts = [];                  // what was given back; mostly none
    private WordQueue _live;
    private List<WordQueue> _frozenParts = [];
    private ulong _frozenCut;
    private ulong _frozenSince;

    internal DirtyKeys(Slab slab, ulong since)
    {
        _slab = slab;
        Since = since;
    }

    /// <summary>The last cut: a key with a newer version is in the list.</summary>
    internal ulong Since { get; private set; }

    /// <summary>The cut before the frozen one.</summary>
    internal ulong FrozenSince => _frozenSince;

    /// <summary>The newest write, dirty or not.</summary>
    internal ulong LastWritten { get; private set; }

    internal long Count { get; private set; }

    /// <summary>Of keys and newest versions, as memory holds them.</summary>
    internal long Bytes { get; private set; }

    internal bool IsFrozen { get; private set; }

    internal long FrozenCount { get; private set; }

    internal long FrozenBytes { get; private set; }

    internal bool IsClean => Count == 0 && !IsFrozen;

    /// <summary>Native bytes that so many writes may need.</summary>
    internal static long BytesFor(int writes) => WordQueue.BytesFor(writes);

    /// <summary>A write was applied. <paramref name="before"/>: the newest version before it; 0 = the key is new.</summary>
    internal void Written(byte* entry, ulong before, ulong sequence, int bytesBefore, int bytes)
    {
        LastWritten = sequence;
        if (before > Since)
        {
            Bytes += bytes - bytesBefore;
            return;
        }

        _live.Add(_slab, (ulong)entry);
        Count++;
        Bytes += Entry.Size(entry) + bytes;
    }

    /// <summary>What comes into memory from below has sequences up to this one; the run's own writes have later ones. Before the first of
    /// them.</summary>
    internal void BeginAt(ulong sequence)
    {
        Invariant.Check(IsClean, "a fork begins without keys of its own");
        Since = Math.Max(Since, sequence);
    }

    internal void Split(ulong cut)
    {
        Invariant.Check(!IsFrozen, "a dirty list is put aside when the one before was published or given back");
        Invariant.Check(LastWritten <= cut && Since <= cut, "a dirty list is put aside before the first write above the cut");
        (_frozenParts, _parts) = (_parts, _frozenParts);
        _frozenParts.Add(_live);
        _live = default;
        (FrozenCount, FrozenBytes, Count, Bytes) = (Count, Bytes, 0, 0);
        (_frozenCut, _frozenSince, Since) = (cut, Since, cut);
        IsFrozen = true;
    }

    internal void Published(ulong cut)
    {
        CheckFrozen(cut);
        foreach (var part in _frozenParts)
            part.Drop(_slab);
        _frozenParts.Clear();
        (IsFrozen, FrozenCount, FrozenBytes) = (false, 0, 0);
    }

    internal void GiveBack(ulong cut)
    {
        CheckFrozen(cut);
        (_frozenParts, _parts) = (_parts, _frozenParts);
        Since = _frozenSince;
        Count += FrozenCount;
        Bytes += FrozenBytes;
        (IsFrozen, FrozenCount, FrozenBytes) = (false, 0, 0);
    }

    /// <summary>The frozen entries, in the order of their first writes.</summary>
    internal void CopyFrozen(ulong cut, Span<nint> entries)
    {
        CheckFrozen(cut);
        foreach (var part in _frozenParts)
            entries = entries[part.CopyTo(entries)..];
        Invariant.Check(entries.IsEmpty, "the frozen list holds as many keys as it counts");
    }

    private void CheckFrozen(ulong cut) =>
        Invariant.Check(IsFrozen && _frozenCut == cut, "a frozen dirty list is known by its cut");
}
