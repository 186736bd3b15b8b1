namespace Cairn.Log;

/// <summary>Which operations of a run's part in a record are needed: a bit for each, the lowest bit of the first byte first. The default
/// is all of them.</summary>
/// <param name="Marks">Null = all.</param>
/// <param name="Count">Operations in the part; 0 = all are needed.</param>
internal readonly record struct KeptOperations(byte[]? Marks, int Count)
{
    internal static KeptOperations All => default;

    internal ReadOnlySpan<byte> Bytes => Marks;

    internal bool IsAll => Marks is null;

    internal bool IsNone => Marks is not null && Marks.AsSpan().IndexOfAnyExcept((byte)0) < 0;

    internal bool Has(int index) => Marks is null || (Marks[index / 8] & 1 << index % 8) != 0;

    /// <summary>What both keep.</summary>
    internal KeptOperations And(KeptOperations other)
    {
        if (IsAll || other.IsAll)
            return IsAll ? other : this;
        Invariant.Check(Count == other.Count, "marks are of the same part");
        var marks = new byte[Marks!.Length];
        for (var i = 0; i < marks.Length; i++)
            marks[i] = (byte)(Marks[i] & other.Marks![i]);
        return new KeptOperations(marks, Count);
    }

    /// <summary>All, when every operation is marked.</summary>
    internal static KeptOperations Of(byte[] marks, int count)
    {
        for (var i = 0; i < count; i++)
        {
            if ((marks[i / 8] & 1 << i % 8) == 0)
                return new KeptOperations(marks, count);
        }

        return All;
    }
}
