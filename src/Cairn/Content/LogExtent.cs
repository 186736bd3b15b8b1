namespace Cairn.Content;

/// <summary>A stretch of the log.</summary>
/// <param name="Length">At least 1.</param>
internal readonly record struct LogExtent(ulong Position, long Length)
{
    internal ulong End => Position + (ulong)Length;

    /// <summary>The same bytes as stretches that ascend and do not touch.</summary>
    internal static List<LogExtent> Union(IEnumerable<LogExtent> extents)
    {
        var united = new List<LogExtent>();
        foreach (var extent in extents.OrderBy(extent => extent.Position))
        {
            if (united.Count > 0 && united[^1] is var last && extent.Position <= last.End)
                united[^1] = last with { Length = (long)(Math.Max(last.End, extent.End) - last.Position) };
            else
                united.Add(extent);
        }

        return united;
    }
}
