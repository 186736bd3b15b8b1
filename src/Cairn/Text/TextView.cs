namespace Cairn.Text;

/// <summary>An index of words as it is true for one sequence. Never changed: whoever searches keeps the one he began with.</summary>
internal sealed class TextView
{
    internal TextView(ulong watermark, TextPart[] parts)
    {
        Watermark = watermark;
        Parts = parts;
        foreach (var part in parts)
        {
            Things += part.Living;
            TotalLength += part.LivingLength;
        }
    }

    /// <summary>Every commit up to here is in it.</summary>
    internal ulong Watermark { get; }

    internal TextPart[] Parts { get; }

    /// <summary>Things that were not written again or deleted since; those that have expired are among them.</summary>
    internal long Things { get; }

    internal long TotalLength { get; }
}

/// <summary>A segment, and which of its things are dead: written again behind it, or deleted.</summary>
internal sealed class TextPart
{
    private readonly ulong[]? _dead;

    private TextPart(TextSegment segment, ulong[]? dead, int[] deadThings, long deadLength)
    {
        Segment = segment;
        _dead = dead;
        DeadThings = deadThings;
        LivingLength = segment.TotalLength - deadLength;
    }

    internal TextPart(TextSegment segment)
        : this(segment, null, [], 0)
    {
    }

    internal TextSegment Segment { get; }

    /// <summary>In order.</summary>
    internal int[] DeadThings { get; }

    internal int Living => Segment.Things - DeadThings.Length;

    internal long LivingLength { get; }

    internal bool IsDead(int thing) => _dead is not null && (_dead[thing >> 6] >> (thing & 63) & 1) != 0;

    /// <summary>The living thing with a key; -1 = there is none.</summary>
    internal int Find(ReadOnlySpan<byte> key) => Segment.Find(key) is >= 0 and var thing && !IsDead(thing) ? thing : -1;

    /// <param name="things">Living ones, in order.</param>
    internal TextPart Without(List<int> things)
    {
        if (things.Count == 0)
            return this;
        var dead = (ulong[]?)_dead?.Clone() ?? new ulong[(Segment.Things + 63) / 64];
        var length = Segment.TotalLength - LivingLength;
        foreach (var thing in things)
        {
            dead[thing >> 6] |= 1UL << (thing & 63);
            length += Segment.Lengths[thing];
        }

        int[] all = [.. DeadThings, .. things];
        Array.Sort(all);
        return new TextPart(Segment, dead, all, length);
    }
}
