using System.Diagnostics;
using System.Globalization;

namespace Cairn.Cli.Demonstration;

/// <summary>
/// The process of the storage demo that does not survive it. It loads all memories, revises half of them and compacts, again and again,
/// until it is killed, which it does itself: a thread waits for a compaction to be at work and sends the process SIGKILL. Every line on
/// its standard output is something that has already happened; in the demo's parent the same type reads them.
/// </summary>
internal static class MemoryKeeper
{
    internal const string VerbName = "demo-keeper";

    private const string Loaded = "loaded";
    private const string Compacting = "compacting";
    private const string Compacted = "compacted";

    /// <summary>In the child: works until it kills itself.</summary>
    internal static void Work(CairnDatabase database, Memories memories, TextWriter output)
    {
        var run = database.Default;
        var killer = new Killer();
        for (long batch = 0, next = memories.BatchesToLoad + memories.BatchesOfRevision; ; next += memories.BatchesOfRevision)
        {
            for (; batch < next; batch++)
            {
                run.Kv.PutMany(memories.Pairs(batch));
                Say(output, Loaded, batch + 1, database.Metrics.MemoryUsedBytes);

                // What lies below the older of two checkpoints can be given up: the first loading is, once the revision has one too.
                if (batch + 1 == memories.BatchesToLoad)
                    database.Checkpoint();
            }

            database.Checkpoint();
            Say(output, Compacting, batch, database.Metrics.MemoryUsedBytes);
            killer.Arm();
            database.Compact();
            killer.Disarm();
            Say(output, Compacted, batch, database.Metrics.MemoryUsedBytes);
        }
    }

    private static void Say(TextWriter output, string what, long batches, long memoryBytes)
    {
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{what} {batches} {memoryBytes} {Environment.WorkingSet}"));
        output.Flush();
    }

    /// <summary>In the parent: starts the child and reads what it says until it is gone.</summary>
    /// <param name="progress">Told each line.</param>
    internal static KeeperResult RunUntilKilled(string directory, Memories memories, Action<KeeperLine> progress)
    {
        var start = ChildProcess.Of(VerbName, Show.Plain(memories.Count), "--db", directory);
        var began = Stopwatch.GetTimestamp();
        using var child = Process.Start(start) ?? throw new IOException("The demo's child process did not start.");
        var lines = new List<KeeperLine>();
        while (child.StandardOutput.ReadLine() is { } text)
        {
            // A line that the kill cut in two ends the pipe and says nothing.
            if (!KeeperLine.TryParse(text, out var line))
                continue;
            lines.Add(line);
            progress(line);
        }

        var complaints = child.StandardError.ReadToEnd();
        child.WaitForExit();
        if (lines is not [.., { What: Compacting } last])
            throw new IOException($"The demo's child process ended by itself with exit code {child.ExitCode}: {complaints.Trim()}");
        return new KeeperResult(
            child.Id, child.ExitCode, last.Batches, lines.Max(line => line.MemoryBytes), lines.Max(line => line.ResidentBytes),
            lines.Count(line => line.What == Compacted), Stopwatch.GetElapsedTime(began));
    }

    /// <summary>Sends SIGKILL to its own process while a compaction is at work. One that is over sooner than that halves the wait for the
    /// next one.</summary>
    private sealed class Killer
    {
        private readonly object _deciding = new();
        private bool _isArmed;

        internal Killer() => new Thread(Watch) { IsBackground = true }.Start();

        internal void Arm()
        {
            lock (_deciding)
            {
                _isArmed = true;
                Monitor.Pulse(_deciding);
            }
        }

        /// <summary>Does not return once the kill is decided: nothing may be said that comes after it.</summary>
        internal void Disarm()
        {
            lock (_deciding)
            {
                _isArmed = false;
                Monitor.Pulse(_deciding);
            }
        }

        private void Watch()
        {
            lock (_deciding)
            {
                for (var wait = TimeSpan.FromMilliseconds(100); ; wait /= 2)
                {
                    while (!_isArmed)
                        Monitor.Wait(_deciding);

                    // A pulse within the wait means that the compaction is over.
                    if (Monitor.Wait(_deciding, wait))
                        continue;
                    Process.GetCurrentProcess().Kill();      // SIGKILL: nothing in this process runs any more
                    Thread.Sleep(Timeout.Infinite);
                }
            }
        }
    }
}

/// <summary>A line of the keeper.</summary>
/// <param name="What">What has happened.</param>
/// <param name="Batches">Batches that were acknowledged by then.</param>
/// <param name="MemoryBytes">What the engine says it holds in memory.</param>
/// <param name="ResidentBytes">What the process has.</param>
internal readonly record struct KeeperLine(string What, long Batches, long MemoryBytes, long ResidentBytes)
{
    internal static bool TryParse(string text, out KeeperLine line)
    {
        line = default;
        if (text.Split(' ') is not [var what, var batches, var memory, var resident])
            return false;
        if (!long.TryParse(batches, NumberStyles.None, CultureInfo.InvariantCulture, out var count)
            || !long.TryParse(memory, NumberStyles.None, CultureInfo.InvariantCulture, out var memoryBytes)
            || !long.TryParse(resident, NumberStyles.None, CultureInfo.InvariantCulture, out var residentBytes))
        {
            return false;
        }

        line = new KeeperLine(what, count, memoryBytes, residentBytes);
        return true;
    }
}

/// <summary>What came of the keeper.</summary>
/// <param name="Pid">Its process id.</param>
/// <param name="ExitCode">128 + the signal.</param>
/// <param name="Batches">Batches that it acknowledged.</param>
/// <param name="MemoryPeak">The most the engine said it held in memory.</param>
/// <param name="ResidentPeak">The most the process had.</param>
/// <param name="Compactions">Compactions that it finished before.</param>
/// <param name="Time">From its start to its end.</param>
internal sealed record KeeperResult(
    int Pid, int ExitCode, long Batches, long MemoryPeak, long ResidentPeak, int Compactions, TimeSpan Time);
