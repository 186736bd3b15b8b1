using Cairn.Log;
using System.Runtime.InteropServices;

namespace Cairn.Store;

/// <summary>
/// Who reads at which sequence: one registry per database. A pin keeps every version that is the newest at its sequence.
/// 64 inline slots, each on lines of its own, then an overflow list; taking and releasing a pin allocates nothing while a slot is free.
/// </summary>
/// <remarks>
/// Taking races with sweeping, and neither waits for the other (Dekker's pattern):
/// <code>
/// reader   store slot = s ; fence ; load visible: still s, or repeat
/// sweeper  load visible = v ; fence ; load slots: sweeps what ends at or below v and has no pin inside
/// </code>
/// A sweeper that missed the slot loaded it before the store, so it loaded v before the reader loaded s: v is at most s, and
/// nothing that s sees ends at or below v.
/// </remarks>
internal sealed class SnapshotRegistry
{
    /// <summary>A pin with this tag holds versions of every run.</summary>
    internal const ulong AllRuns = 0;

    private const int InlineSlots = 64;
    private const ulong Free = 0, Claimed = ulong.MaxValue; // any other state of a slot is its sequence + 1

    [ThreadStatic]
    private static int t_first;                             // the slot this thread tries first, + 1

    private static int _threads;

    private readonly Slot[] _slots = new Slot[InlineSlots];
    private readonly Lock _gate = new();
    private readonly List<(ulong State, ulong Tag)> _overflow = [];
    private int _high;                                      // inline slots at or above were never used
    private int _overflowing;

    /// <summary>Pins the visible sequence and says which it was.</summary>
    internal SnapshotPin Take(VisibleSequence visible, ulong runTag)
    {
        var index = Claim(runTag);
        for (var sequence = visible.Value; ;)
        {
            Failpoint.Hit("snapshot.word-read-before-pinned");
            Store(index, sequence);
            var now = visible.Value;
            if (now == sequence || Mutant.Is("store-take-no-recheck"))
                return new SnapshotPin(index + 1, sequence);
            sequence = now;
        }
    }

    /// <summary>Pins a sequence that the caller knows to be held: by another pin at exactly that sequence (for the same run or all), or
    /// because it is the visible one of every run in question and stays so during the call. A pin at an earlier sequence does
    /// not hold it: versions between two pins are swept.</summary>
    internal SnapshotPin TakeAt(ulong sequence, ulong runTag)
    {
        var index = Claim(runTag);
        Store(index, sequence);
        return new SnapshotPin(index + 1, sequence);
    }

    /// <summary>Releases a pin, once; nothing for the default pin.</summary>
    internal void Release(SnapshotPin pin)
    {
        var index = pin.Slot - 1;
        if (index < 0)
            return;
        if (index < InlineSlots)
        {
            Invariant.Check(Volatile.Read(ref _slots[index].State) == pin.Sequence + 1, "a pin is released once");
            Volatile.Write(ref _slots[index].State, Free);
            return;
        }

        lock (_gate)
        {
            Invariant.Check(_overflow[index - InlineSlots].State == pin.Sequence + 1, "a pin is released once");
            _overflow[index - InlineSlots] = default;
            while (_overflow.Count > 0 && _overflow[^1].State == Free)
                _overflow.RemoveAt(_overflow.Count - 1);
            Volatile.Write(ref _overflowing, _overflow.Count);
        }
    }

    /// <summary>Number of pins, and the oldest pinned sequence (<see cref="ulong.MaxValue"/> without any).</summary>
    internal int Count(out ulong oldest)
    {
        var count = 0;
        oldest = ulong.MaxValue;
        for (var i = 0; i < Volatile.Read(ref _high); i++)
        {
            var state = Volatile.Read(ref _slots[i].State);
            if (state is Free or Claimed)
                continue;
            count++;
            oldest = Math.Min(oldest, state - 1);
        }

        if (Volatile.Read(ref _overflowing) == 0)
            return count;
        lock (_gate)
        {
            foreach (var (state, _) in _overflow)
            {
                if (state is Free or Claimed)
                    continue;
                count++;
                oldest = Math.Min(oldest, state - 1);
            }
        }

        return count;
    }

    /// <summary>True when a pin of the run lies in [from, to): the interval rule's question.</summary>
    internal bool AnyPinIn(ulong from, ulong to, ulong runTag)
    {
        var pins = default(PinSet);
        Collect(runTag, ref pins);
        return pins.FirstAtOrAfter(from) < to;
    }

    /// <summary>The sequences pinned for a run, sorted. The caller loaded the visible sequence before and sweeps only what ends at or below it.</summary>
    internal void Collect(ulong runTag, ref PinSet pins) => Collect(runTag, ofAll: false, ref pins);

    /// <summary>The sequences that are pinned for whatever run, sorted.</summary>
    internal void CollectOfAllRuns(ref PinSet pins) => Collect(AllRuns, ofAll: true, ref pins);

    private void Collect(ulong runTag, bool ofAll, ref PinSet pins)
    {
        Interlocked.MemoryBarrier();
        pins.Clear();
        if (Mutant.Is("store-sweep-ignores-pins"))
            return;
        for (var i = 0; i < Volatile.Read(ref _high); i++)
        {
            var state = Volatile.Read(ref _slots[i].State);
            if (state is Free or Claimed)
                continue;                                   // claimed: will load a visible sequence no older than the caller's
            var tag = Volatile.Read(ref _slots[i].Tag);
            if (ofAll || tag == AllRuns || tag == runTag)
                pins.Add(state - 1);
        }

        if (Volatile.Read(ref _overflowing) != 0)
        {
            lock (_gate)
            {
                foreach (var (state, tag) in _overflow)
                {
                    if (state is not (Free or Claimed) && (ofAll || tag == AllRuns || tag == runTag))
                        pins.Add(state - 1);
                }
            }
        }

        pins.Sort();
    }

    // Each thread begins at a slot of its own, so that pins of different threads do not share lines.
    private int Claim(ulong runTag)
    {
        var first = t_first;
        if (first == 0)
            t_first = first = 1 + (Interlocked.Increment(ref _threads) - 1) % InlineSlots;
        var tries = Failpoint.Rarely("snapshot.slots-full", 0.05) ? 0 : InlineSlots;
        for (var i = 0; i < tries; i++)
        {
            var index = (first - 1 + i) % InlineSlots;
            ref var slot = ref _slots[index];
            if (Volatile.Read(ref slot.State) != Free || Interlocked.CompareExchange(ref slot.State, Claimed, Free) != Free)
                continue;
            Volatile.Write(ref slot.Tag, runTag);
            while (Volatile.Read(ref _high) is var high && high <= index)
                Interlocked.CompareExchange(ref _high, index + 1, high);
            return index;
        }

        lock (_gate)
        {
            var index = _overflow.FindIndex(static pin => pin.State == Free);
            if (index < 0)
            {
                index = _overflow.Count;
                _overflow.Add(default);
            }

            _overflow[index] = (Claimed, runTag);
            Volatile.Write(ref _overflowing, _overflow.Count);
            return InlineSlots + index;
        }
    }

    private void Store(int index, ulong sequence)
    {
        if (index < InlineSlots)
        {
            Interlocked.Exchange(ref _slots[index].State, sequence + 1);
            return;
        }

        lock (_gate)
            _overflow[index - InlineSlots] = (sequence + 1, _overflow[index - InlineSlots].Tag);
        Interlocked.MemoryBarrier();
    }

    [StructLayout(LayoutKind.Explicit, Size = 128)]
    private struct Slot
    {
        [FieldOffset(0)]
        internal ulong State;

        [FieldOffset(8)]
        internal ulong Tag;
    }
}

/// <summary>A registered reader. Release it exactly once.</summary>
internal readonly record struct SnapshotPin(int Slot, ulong Sequence);

/// <summary>Pinned sequences of one run at one moment, sorted, without doubles. Keeps its array.</summary>
internal struct PinSet
{
    private ulong[]? _sequences;

    internal int Count { get; private set; }

    internal void Clear() => Count = 0;

    internal readonly ulong[] ToArray() => Count == 0 ? [] : _sequences.AsSpan(0, Count).ToArray();

    internal void Add(ulong sequence)
    {
        _sequences ??= new ulong[16];
        if (Count == _sequences.Length)
            Array.Resize(ref _sequences, 2 * Count);
        _sequences[Count++] = sequence;
    }

    internal void Sort()
    {
        if (Count < 2)
            return;
        var sequences = _sequences.AsSpan(0, Count);
        sequences.Sort();
        var last = 0;
        foreach (var sequence in sequences)
        {
            if (sequence != sequences[last])
                sequences[++last] = sequence;
        }

        Count = last + 1;
    }

    /// <summary>The first pinned sequence at or after one; <see cref="ulong.MaxValue"/> when there is none.</summary>
    internal readonly ulong FirstAtOrAfter(ulong sequence)
    {
        var low = 0;
        var high = Count;
        while (low < high)
        {
            var middle = (low + high) >>> 1;
            if (_sequences![middle] < sequence)
                low = middle + 1;
            else
                high = middle;
        }

        return low == Count ? ulong.MaxValue : _sequences![low];
    }
}
