using System.Reflection;

namespace Cairn.Bench.Harness;

internal enum Verdict
{
    Met,
    Missed,
    Unsure,
}

/// <summary>A goal with a name: what a measured figure must reach.</summary>
internal sealed record Gate
{
    private readonly bool _isLowerBound;
    private readonly double _bound;

    private Gate(string name, bool isLowerBound, double bound)
    {
        Name = name;
        _isLowerBound = isLowerBound;
        _bound = bound;
    }

    internal string Name { get; }

    /// <summary>As printed: <c>&gt;=1.2</c> or <c>&lt;=50</c>.</summary>
    internal string Goal => (_isLowerBound ? ">=" : "<=") + _bound;

    internal static Gate AtLeast(string name, double bound) => new(name, isLowerBound: true, bound);

    internal static Gate AtMost(string name, double bound) => new(name, isLowerBound: false, bound);

    /// <summary>Every goal that a class writes down as a field.</summary>
    internal static IReadOnlyList<Gate> AllOf(Type gates) =>
        [.. gates.GetFields(BindingFlags.Static | BindingFlags.NonPublic)
            .Where(field => field.FieldType == typeof(Gate))
            .Select(field => (Gate)field.GetValue(null)!)];

    /// <summary>Met or missed when every round agrees; unsure when the rounds straddle the goal.</summary>
    internal Verdict Judge(Series figure)
    {
        var reached = figure.Rounds.Count(value => _isLowerBound ? value >= _bound : value <= _bound);
        if (reached == figure.Rounds.Count)
            return Verdict.Met;
        return reached == 0 ? Verdict.Missed : Verdict.Unsure;
    }
}
