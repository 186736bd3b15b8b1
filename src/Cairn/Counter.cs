using System.Globalization;

namespace Cairn;

/// <summary>Number of writes that a state cell has had, deletions included: 1 after the first, never lower than it was, also when the
/// cell is deleted and created again. That makes it a token: equal counters mean the same write (ST-3). Another thing than a
/// <see cref="Sequence"/> or an <see cref="EventNumber"/>; the three do not compare.</summary>
/// <param name="Value">0 for none, otherwise 1 and up.</param>
public readonly record struct Counter(ulong Value) : IComparable<Counter>
{
    /// <summary>No live value; as an expected counter: the cell must be absent (never written, deleted or expired).</summary>
    public static Counter None => default;

    /// <summary>A counter from its digits: <c>state.CompareAndSet("budget", 3, value)</c>.</summary>
    public static implicit operator Counter(ulong value) => new(value);

    /// <summary>Compares the number of writes.</summary>
    public int CompareTo(Counter other) => Value.CompareTo(other.Value);

    /// <summary>True when <paramref name="left"/> is earlier.</summary>
    public static bool operator <(Counter left, Counter right) => left.Value < right.Value;

    /// <summary>True when <paramref name="left"/> is later.</summary>
    public static bool operator >(Counter left, Counter right) => left.Value > right.Value;

    /// <summary>True when <paramref name="left"/> is not later.</summary>
    public static bool operator <=(Counter left, Counter right) => left.Value <= right.Value;

    /// <summary>True when <paramref name="left"/> is not earlier.</summary>
    public static bool operator >=(Counter left, Counter right) => left.Value >= right.Value;

    /// <summary>The number.</summary>
    public override string ToString() => Value.ToString(CultureInfo.InvariantCulture);
}
