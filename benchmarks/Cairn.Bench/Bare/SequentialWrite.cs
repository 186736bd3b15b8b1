using System.Diagnostics;

namespace Cairn.Bench.Bare;

/// <summary>The least that writing a file can cost: a new one, from front to back in large pieces, and one sync.</summary>
internal static class SequentialWrite
{
    /// <returns>Milliseconds, with the making of the file.</returns>
    internal static double Measure(string path, long bytes)
    {
        var start = Stopwatch.GetTimestamp();
        using (new PrewrittenFile(path, bytes))
        {
        }

        return Stopwatch.GetElapsedTime(start).TotalMilliseconds;
    }
}
