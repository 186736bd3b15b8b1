namespace Cairn.Diagnostics;

/// <summary>What the log has done since open; exact, read without a lock. There is no counter of dropped commits, because none is.</summary>
internal sealed class Counters
{
    internal long Syncs;
    internal long Rounds;
    internal long Commits;
    internal long Bytes;
    internal long LargestGroup;

    /// <summary>From the call to the answer; every commit.</summary>
    internal LatencyHistogram CommitLatency { get; } = new();

    /// <summary>Point reads, one in 64.</summary>
    internal LatencyHistogram ReadLatency { get; } = new();

    internal OperationCounts Operations { get; } = new();

    /// <summary>Called by the one writer.</summary>
    internal void Round(int commits, long bytes)
    {
        Rounds++;
        Commits += commits;
        Bytes += bytes;
        if (commits > LargestGroup)
            LargestGroup = commits;
    }
}
