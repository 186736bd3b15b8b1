namespace Cairn.Diagnostics;

/// <summary>What the log has done since open; exact, read without a lock. There is no counter of dropped commits, because none is.</summary>
internal sealed class Counters
{
    /// <summary>What the engine tells; off unless the database was opened with it.</summary>
    internal SystemEvents Events { get; init; } = new(isOn: false);

    internal long Syncs;
    internal long Rounds;
    internal long Commits;
    internal long Bytes;
    internal long LargestGroup;

    /// <summary>Times a commit waited for a place in the queue (TX-33).</summary>
    internal long QueueWaits;

    /// <summary>Times a commit waited for room in a segment (TX-33).</summary>
    internal long RoomWaits;

    /// <summary>From the call to the answer; what it takes to be timed is in <see cref="OperationClass"/>.</summary>
    internal Latencies Latencies { get; } = new();

    internal OperationCounts Operations { get; } = new();

    internal Outcomes Outcomes { get; } = new();

    /// <summary>A commit had to wait; each is counted once however long it waits.</summary>
    internal void BackPressure(bool isForRoom, bool isFirst)
    {
        if (isFirst && !Mutant.Is("back-pressure-uncounted"))
            Interlocked.Increment(ref isForRoom ? ref RoomWaits : ref QueueWaits);
    }

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
