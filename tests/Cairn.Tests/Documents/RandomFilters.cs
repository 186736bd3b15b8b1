namespace Cairn.Tests.Documents;

/// <summary>Filters of random conditions.</summary>
internal static class RandomFilters
{
    /// <summary>Two or three parts as one.</summary>
    internal static Filter Join(Random random, Func<Filter> part)
    {
        var parts = Enumerable.Range(0, random.Next(2, 4)).Select(_ => part()).ToList();
        return random.Next(5) switch
        {
            0 => Filter.Not(parts[0]),
            < 3 => Filter.Or(parts),
            _ => Filter.And(parts),
        };
    }
}
