namespace Cairn.Bench.Harness;

/// <summary>
/// One measured quantity: a value per round, or the reason why there is none. Ratios are formed round by round, so that what
/// slowed a whole round down cancels out; the reason of an absent side carries over to the ratio.
/// </summary>
internal sealed class Series
{
    private readonly List<double> _rounds = [];

    /// <summary>Why nothing was measured; null when something was.</summary>
    internal string? Missing { get; private init; }

    internal IReadOnlyList<double> Rounds => _rounds;

    internal double Least => _rounds.Min();

    internal double Most => _rounds.Max();

    internal double Median => Statistics.Median(_rounds);

    /// <summary>An empty series that waits for rounds, or an absent one when there is a reason.</summary>
    internal static Series For(string? missing) => new() { Missing = missing };

    internal void Add(double value) => _rounds.Add(value);

    /// <summary>Round by round, <paramref name="dividend"/> through <paramref name="divisor"/>.</summary>
    internal static Series Ratio(Series dividend, Series divisor) => Combine(dividend, divisor, static (a, b) => a / b);

    /// <summary>Round by round, the greater: the better of two limits.</summary>
    internal static Series Greater(Series left, Series right) => Combine(left, right, Math.Max);

    /// <summary>Round by round, the lesser.</summary>
    internal static Series Lesser(Series left, Series right) => Combine(left, right, Math.Min);

    /// <summary>Round by round, both together.</summary>
    internal static Series Sum(Series left, Series right) => Combine(left, right, static (a, b) => a + b);

    /// <summary>Every round, so many times.</summary>
    internal Series Times(double factor) => Combine(this, this, (value, _) => value * factor);

    private static Series Combine(Series left, Series right, Func<double, double, double> combine)
    {
        var combined = For(left.Missing ?? right.Missing);
        if (combined.Missing is null)
            combined._rounds.AddRange(left._rounds.Zip(right._rounds, combine));
        return combined;
    }
}
