namespace Cairn;

/// <summary>Position of a commit in the one total order of a database. The first commit has 1; <see cref="None"/> (0) is
/// before everything and stands for "absent" where a version is expected. Dense: a refused commit takes none.</summary>
/// <param name="Value">0 for none, otherwise 1 and up.</param>
public readonly record struct Sequence(ulong Value) : IComparable<Sequence>
{
    /// <summary>Before the first commit; as an expected version: the key must be absent (never written, deleted or expired).</summary>
    public static Sequence None => default;

    /// <summary>Compares by position.</summary>
    public int CompareTo(Sequence other) => Value.CompareTo(other.Value);

    /// <summary>True when <paramref name="left"/> is earlier.</summary>
    public static bool operator <(Sequence left, Sequence right) => left.Value < right.Value;

    /// <summary>True when <paramref name="left"/> is later.</summary>
    public static bool operator >(Sequence left, Sequence right) => left.Value > right.Value;

    /// <summary>True when <paramref name="left"/> is not later.</summary>
    public static bool operator <=(Sequence left, Sequence right) => left.Value <= right.Value;

    /// <summary>True when <paramref name="left"/> is not earlier.</summary>
    public static bool operator >=(Sequence left, Sequence right) => left.Value >= right.Value;

    /// <summary>The number, with an <c>@</c> before it.</summary>
    public override string ToString() => string.Create(System.Globalization.CultureInfo.InvariantCulture, $"@{Value}");
}
