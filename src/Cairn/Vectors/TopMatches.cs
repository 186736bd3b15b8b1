namespace Cairn.Vectors;

/// <summary>One of the best matches. The key is the slot's own memory, written over when the slot is given to a better one.</summary>
internal struct MatchSlot
{
    internal double Score;
    internal byte[] KeyBytes;
    internal int KeyLength;
    internal ulong Id;

    internal readonly ReadOnlySpan<byte> Key => KeyBytes.AsSpan(0, KeyLength);
}

/// <summary>The best of what it is shown, by score, higher first, and among equal scores by key, lower first (VEC-11): a binary heap with
/// the worst that is kept on top, so that one that does not come in costs one comparison. Keys are looked at among equals alone.</summary>
/// <param name="most">How many are kept, at least 1. Memory grows with those that there are.</param>
internal sealed class TopMatches(int most)
{
    private MatchSlot[] _heap = new MatchSlot[Math.Min(most, 16)];

    internal int Count { get; private set; }

    /// <summary>Positive when the first is the better one.</summary>
    internal static int Compare(double score, ReadOnlySpan<byte> key, double otherScore, ReadOnlySpan<byte> otherKey)
    {
        if (score != otherScore)
            return score > otherScore ? 1 : -1;
        return Mutant.Is("vector-ties-as-met") ? -1 : otherKey.SequenceCompareTo(key);
    }

    /// <summary>Shows one; the key is copied if it comes in.</summary>
    internal void Offer(double score, ReadOnlySpan<byte> key, ulong id)
    {
        if (Count < most)
        {
            if (Count == _heap.Length)
                Array.Resize(ref _heap, Math.Min(most, 2 * Count));
            Fill(ref _heap[Count], score, key, id);
            Count++;
            Rise(Count - 1);
            return;
        }

        if (score < _heap[0].Score || Compare(score, key, _heap[0].Score, _heap[0].Key) <= 0)
            return;
        Fill(ref _heap[0], score, key, id);
        Sink();
    }

    /// <summary>All that are kept, the best first. It is over then.</summary>
    internal ReadOnlySpan<MatchSlot> Sorted()
    {
        var slots = _heap.AsSpan(0, Count);
        slots.Sort(static (left, right) => Compare(right.Score, right.Key, left.Score, left.Key));
        return slots;
    }

    private static void Fill(ref MatchSlot slot, double score, ReadOnlySpan<byte> key, ulong id)
    {
        if (slot.KeyBytes is null || slot.KeyBytes.Length < key.Length)
            slot.KeyBytes = new byte[Math.Max(32, key.Length)];
        key.CopyTo(slot.KeyBytes);
        (slot.Score, slot.KeyLength, slot.Id) = (score, key.Length, id);
    }

    private bool IsWorse(int left, int right) =>
        Compare(_heap[left].Score, _heap[left].Key, _heap[right].Score, _heap[right].Key) < 0;

    private void Rise(int at)
    {
        for (var above = (at - 1) / 2; at > 0 && IsWorse(at, above); above = (at - 1) / 2)
        {
            (_heap[at], _heap[above]) = (_heap[above], _heap[at]);
            at = above;
        }
    }

    private void Sink()
    {
        for (var at = 0; ;)
        {
            var worst = at;
            for (var below = 2 * at + 1; below <= 2 * at + 2 && below < Count; below++)
            {
                if (IsWorse(below, worst))
                    worst = below;
            }

            if (worst == at)
                return;
            (_heap[at], _heap[worst]) = (_heap[worst], _heap[at]);
            at = worst;
        }
    }
}
