// A database with a past that nobody needs, and a process that dies while it is given up.
//
//      child    loads a million memories, Strict, KeepLast(1); revises half of them, which leaves as many versions that nobody needs;
//               compacts, and sends itself SIGKILL while the compaction is at work
//      parent   draws how far it is; opens the directory again and reads a memory; compares every memory with what it must be, checks
//               every byte, and lets the compaction finish that was killed
//
// Every figure that is shown was measured in this very execution. What was acknowledged and is not there, or a check that fails:
// the demo says so and ends with exit code 6.

using System.Diagnostics;

namespace Cairn.Cli.Demonstration;

/// <summary>Runs the demo; see the essay above. <see cref="StorageDemoPage"/> shows it.</summary>
internal sealed class StorageDemo(string directory, Memories memories)
{
    internal Memories Memories { get; } = memories;

    /// <summary>What the database may hold in memory: about a seventh of what the memories take there.</summary>
    internal const long MemoryBudget = 128 << 20;

    /// <summary>How parent and child open the database.</summary>
    internal static CairnOptions Options { get; } = new()
    {
        Durability = Durability.Strict,
        Retention = Retention.KeepLast(1),
        MemoryBudgetBytes = MemoryBudget,
    };

    /// <summary>A commit that was let through may take a transaction's worth more.</summary>
    internal static bool IsInBudget(long peak) => peak <= MemoryBudget + MemoryBudget / 16;

    internal KeeperResult Load(Action<KeeperLine> progress) => MemoryKeeper.RunUntilKilled(directory, Memories, progress);

    /// <summary>Opens what the kill left behind and reads one memory.</summary>
    internal Reopened Reopen()
    {
        var bytes = BytesOnDisk();
        var began = Stopwatch.GetTimestamp();
        using var database = Open();
        var opening = Stopwatch.GetElapsedTime(began);
        var found = database.Default.Kv.Get(Memories.Key(Memories.Count / 2));
        return new Reopened(database.Recovery, found is not null, bytes, opening, Stopwatch.GetElapsedTime(began) - opening);
    }

    /// <summary>Compares every memory with what it must be after the batches that were acknowledged, or one more that was on its
    /// way.</summary>
    internal Compared Compare(KeeperResult keeper, Action<long> progress)
    {
        var began = Stopwatch.GetTimestamp();
        using var database = Open();
        var run = database.Default;
        var batches = keeper.Batches + (IsIn(run, keeper.Batches) ? 1 : 0);
        var revisions = Memories.RevisionsAfter(batches);
        var (number, peak, resident) = (0, 0L, 0L);
        string? difference = null;
        string? cursor = null;
        do
        {
            var page = run.Kv.Scan(new ScanOptions { Limit = Memories.BatchSize, Cursor = cursor });
            foreach (var pair in page)
            {
                if (pair.Key != Memories.Key(number))
                    difference ??= $"{Memories.Key(number)} is missing; {pair.Key} is there";
                else if (!pair.Value.Value.Equals(Memories.Make(number, revisions[number / Memories.BatchSize])))
                    difference ??= $"{pair.Key} is not revision {revisions[number / Memories.BatchSize]}";
                number++;
            }

            cursor = page.Cursor;
            peak = Math.Max(peak, database.Metrics.MemoryUsedBytes);
            resident = Math.Max(resident, Environment.WorkingSet);
            progress(number);
        }
        while (cursor is not null);

        if (number != Memories.Count)
            difference ??= $"there are {number} memories of {Memories.Count}";
        return new Compared(number, batches, difference, peak, resident, Stopwatch.GetElapsedTime(began));
    }

    /// <summary>Compacts to the end, then reads and checks everything in one more opening.</summary>
    internal Compacted Compact()
    {
        var began = Stopwatch.GetTimestamp();
        using (var database = Open())
            database.Compact();
        var time = Stopwatch.GetElapsedTime(began);
        using var again = Open();
        return new Compacted(BytesOnDisk(), again.VerifyLog(), time, Stopwatch.GetElapsedTime(began) - time);
    }

    private bool IsIn(Run run, long batch)
    {
        var (first, revision) = Memories.Batch(batch);
        return run.Kv.Get(Memories.Key(first)) is { } found && found.Equals(Memories.Make(first, revision));
    }

    private CairnDatabase Open() => CairnDatabase.Open(directory, Options with { CreateIfMissing = false });

    private long BytesOnDisk() =>
        new DirectoryInfo(directory).EnumerateFiles("*", SearchOption.AllDirectories).Sum(file => file.Length);
}

/// <summary>What the opening after the kill found.</summary>
/// <param name="IsRead">The memory that was asked for was there.</param>
/// <param name="BytesOnDisk">As the kill left them.</param>
/// <param name="Opening">Until the database was open.</param>
/// <param name="FirstRead">From then until the memory was read.</param>
internal sealed record Reopened(RecoveryReport Recovery, bool IsRead, long BytesOnDisk, TimeSpan Opening, TimeSpan FirstRead);

/// <summary>Every memory, compared.</summary>
/// <param name="Batches">Batches that are in.</param>
/// <param name="Difference">The first that is not as it must be; null = none.</param>
/// <param name="MemoryPeak">The most the engine said it held in memory while everything was read.</param>
/// <param name="ResidentPeak">The most the process had.</param>
internal sealed record Compared(int Memories, long Batches, string? Difference, long MemoryPeak, long ResidentPeak, TimeSpan Time);

/// <summary>The compaction that came to its end.</summary>
/// <param name="BytesOnDisk">After it.</param>
/// <param name="Log">What reading everything again found.</param>
internal sealed record Compacted(long BytesOnDisk, LogVerification Log, TimeSpan Time, TimeSpan VerifyTime);
