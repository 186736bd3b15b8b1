using System.Globalization;

namespace Cairn.Bench.Harness;

/// <summary>Physical memory of this process, from <c>/proc</c>: what the collector's own counts do not see.</summary>
internal static class ResidentMemory
{
    internal static long Bytes()
    {
        foreach (var line in File.ReadLines("/proc/self/status"))
        {
            if (line.StartsWith("VmRSS:", StringComparison.Ordinal))
            {
                var kibibytes = line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1];
                return long.Parse(kibibytes, CultureInfo.InvariantCulture) * 1024;
            }
        }

        throw new InvalidDataException("/proc/self/status has no VmRSS.");
    }

    /// <summary>A compacting collection first, so that garbage does not count.</summary>
    internal static long BytesAfterCompaction()
    {
        GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
        GC.WaitForPendingFinalizers();
        GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
        return Bytes();
    }
}
