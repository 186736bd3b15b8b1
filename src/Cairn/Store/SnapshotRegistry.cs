using Cairn.Log;

namespace Cairn.Store;

/// <summary>
/// Who reads at which sequence: one registry per database. A pin keeps every version that is the newest at its sequence.
/// 64 inline slots, then an overflow list; taking and releasing a pin allocates nothing while a slot is free.
/// </summary>
internal sealed class SnapshotRegistry
{
    /// <summary>A pin with this tag holds versions of every run.</summary>
    internal const ulong AllRuns = 0;

    private readonly Lock _gate = new();
    private readonly Dictionary<int, (ulong Sequence, ulong Tag)> _pins = [];
    private int _next;

    /// <summary>Pins the visible sequence and says which it was.</summary>
    internal SnapshotPin Take(VisibleSequence visible, ulong runTag)
    {
        lock (_gate)
        {
            var sequence = visible.Value;
            _pins[++_next] = (sequence, runTag);
            return new SnapshotPin(_next, sequence);
        }
    }

    /// <summary>Pins a sequence that the caller knows to be held by another pin at or below it, or to be the visible one of every run in question.</summary>
    internal SnapshotPin TakeAt(ulong sequence, ulong runTag)
    {
        lock (_gate)
        {
            _pins[++_next] = (sequence, runTag);
            return new SnapshotPin(_next, sequence);
        }
    }

    internal void Release(SnapshotPin pin)
    {
        lock (_gate)
            _pins.Remove(pin.Slot);
    }

    /// <summary>Number of pins, and the oldest pinned sequence (<see cref="ulong.MaxValue"/> without any).</summary>
    internal int Count(out ulong oldest)
    {
        lock (_gate)
        {
            oldest = ulong.MaxValue;
            foreach (var (sequence, _) in _pins.Values)
                oldest = Math.Min(oldest, sequence);
            return _pins.Count;
        }
    }
}

/// <summary>A registered reader. Release it exactly once.</summary>
internal readonly record struct SnapshotPin(int Slot, ulong Sequence);
