using System.Globalization;

namespace Cairn;

/// <summary>Place of an event in its run: dense, from 0. Another thing than a <see cref="Sequence"/>, which counts the commits of
/// the whole database, and than a <see cref="Counter"/>; the three do not compare.</summary>
/// <param name="Value">0 and up.</param>
public readonly record struct EventNumber(ulong Value) : IComparable<EventNumber>
{
    /// <summary>A number from its digits: <c>events.Get(3)</c>.</summary>
    public static implicit operator EventNumber(ulong value) => new(value);

    /// <summary>Compares by place.</summary>
    public int CompareTo(EventNumber other) => Value.CompareTo(other.Value);

    /// <summary>True when <paramref name="left"/> is earlier.</summary>
    public static bool operator <(EventNumber left, EventNumber right) => left.Value < right.Value;

    /// <summary>True when <paramref name="left"/> is later.</summary>
    public static bool operator >(EventNumber left, EventNumber right) => left.Value > right.Value;

    /// <summary>True when <paramref name="left"/> is not later.</summary>
    public static bool operator <=(EventNumber left, EventNumber right) => left.Value <= right.Value;

    /// <summary>True when <paramref name="left"/> is not earlier.</summary>
    public static bool operator >=(EventNumber left, EventNumber right) => left.Value >= right.Value;

    /// <summary>The number, with a <c>#</c> before it.</summary>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"#{Value}");
}
