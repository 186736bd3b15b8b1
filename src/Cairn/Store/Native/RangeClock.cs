namespace Cairn.Store.Native;

/// <summary>
/// Which clean keys leave memory: a clock (Corbató 1968) whose hand goes through the keys in order, a leaf of the ordered index at a time.
/// A point read marks the version it returns; the hand takes the mark away, and a key range without a mark since the last turn is idle.
/// How fast the hand goes is what makes a key idle, and is the caller's to say.
/// </summary>
internal unsafe struct RangeClock
{
    private byte[]? _hand;                                // key to go on from
    private int _handLength;

    /// <param name="keys">How many to look at, about.</param>
    /// <param name="eager">Takes unmarked keys out of ranges that are in use, too.</param>
    /// <param name="upTo">No key with a newer version may leave.</param>
    /// <param name="idleSince">A range with a key that was written at that commit time or later is in use.</param>
    internal ForgottenKeys Turn(RunMemory memory, int keys, bool eager, ulong upTo, long idleSince, bool ignoresUse)
    {
        var looked = 0;
        var forgotten = 0;
        var batch = default(EntryBatch);
        nint fence;
        do
        {
            var count = memory.ReadForward(_hand.AsSpan(0, _handLength), default, batch, out fence);
            var entries = ((ReadOnlySpan<nint>)batch)[..count];
            var isIdle = true;
            foreach (var entry in entries)
            {
                var newest = Entry.Newest((byte*)entry);
                isIdle &= !Version.IsUsed(newest) && Version.Time(newest) < idleSince;
            }

            foreach (var entry in entries)
            {
                var newest = Entry.Newest((byte*)entry);
                if (Version.IsUsed(newest) && !ignoresUse)
                    Version.SetUsed(newest, false);
                else if ((isIdle || eager) && memory.TryForget((byte*)entry, upTo))
                    forgotten++;
            }

            looked += Math.Max(count, 1);
            GoTo(fence);
        }
        while (fence != 0 && looked < keys);
        return new ForgottenKeys(looked, forgotten, fence == 0);
    }

    private void GoTo(nint fence)
    {
        var key = fence == 0 ? default : RunMemory.KeyOf(fence);
        if (_hand is null || _hand.Length < key.Length)
            _hand = new byte[Math.Max(64, 2 * key.Length)];
        key.CopyTo(_hand);
        _handLength = key.Length;
    }
}
