using System.Diagnostics;
using System.Globalization;
using Cairn.Bench.Harness;

namespace Cairn.Bench.Suites;

/// <summary>
/// What a database costs that is open and rests (TIER-3): many in one process, each with a commit of its own behind it. Memory of the
/// process for each, threads that were not there before, and the processor's time that all of them take together. In a process of its
/// own.
/// </summary>
internal sealed class IdlePart(StorageRun run)
{
    internal const string ProbeName = "idle";

    /// <summary>A minute after its opening each looks whether there is a file to scrub.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(3);

    private readonly int _databases = run.IsQuick ? 100 : 1_000;

    internal void Run()
    {
        var series = Array.ConvertAll(new int[4], _ => Series.For(null));
        var seconds = run.IsQuick ? 5 : 10;
        var answer = Probe.Ask(ProbeName, Text(_databases), run.NewDirectory(), Text(seconds));
        for (var i = 0; i < series.Length; i++)
            series[i].Add(answer[i]);
        var size = string.Create(CultureInfo.InvariantCulture, $"databases={_databases} seconds={seconds}");
        run.Report.Judge(StorageGates.IdleMemory, series[0], size);
        run.Report.Judge(StorageGates.IdleThreads, series[1], size);
        run.Report.Add("idle-processor-time Cairn", series[2], "ms/s", size);
        run.Report.Add("idle-open Cairn", series[3], "ms", size);
    }

    /// <summary>In the child process.</summary>
    /// <param name="arguments">The number of databases, an empty directory, and for how many seconds to look.</param>
    internal static double[] Answer(ReadOnlySpan<string> arguments)
    {
        var count = int.Parse(arguments[0], CultureInfo.InvariantCulture);
        var seconds = double.Parse(arguments[2], CultureInfo.InvariantCulture);
        var databases = new List<CairnDatabase>(count);
        try
        {
            databases.Add(Open(arguments[1], 0));            // what the first of a process costs is not what one costs
            Await(() => Threads() <= 1);
            var (threads, memory) = (Threads(), ResidentMemory.BytesAfterCompaction());
            var start = Stopwatch.GetTimestamp();
            for (var i = 1; i <= count; i++)
                databases.Add(Open(arguments[1], i));
            var opening = Stopwatch.GetElapsedTime(start);
            Await(() => Threads() <= 1);
            var bytes = (ResidentMemory.BytesAfterCompaction() - memory) / (double)count;
            var before = Environment.CpuUsage.TotalTime;
            Thread.Sleep(TimeSpan.FromSeconds(seconds));
            var busy = (Environment.CpuUsage.TotalTime - before).TotalMilliseconds / seconds;
            return [bytes / 1024, Threads() - threads, busy, opening.TotalMilliseconds / count];
        }
        finally
        {
            databases.ForEach(db => db.Dispose());
        }
    }

    private static CairnDatabase Open(string directory, int number)
    {
        var options = new CairnOptions
        {
            Durability = Durability.Buffered,
            SegmentBytesMin = 64 << 10,                      // so that a thousand of them fit on the disk of a small machine
        };
        var db = CairnDatabase.Open(Path.Combine(directory, number.ToString(CultureInfo.InvariantCulture)), options);
        db.Default.Kv.PutAsync("a", number).AsTask().Wait();
        db.SyncAsync().AsTask().Wait();                      // the log's own thread, too, was needed once
        return db;
    }

    private static void Await(Func<bool> condition)
    {
        var start = Stopwatch.GetTimestamp();
        while (!condition())
        {
            if (Stopwatch.GetElapsedTime(start) > Patience)
                throw new InvalidOperationException($"After {Patience.TotalSeconds} s the engine still has {Threads()} threads.");
            Thread.Sleep(100);
        }
    }

    // The engine's: each has a name. One, which looks after the resting databases of the process, stays.
    private static int Threads()
    {
        var count = 0;
        foreach (var task in Directory.EnumerateDirectories("/proc/self/task"))
        {
            if (TryReadName(task) is { } name && name.StartsWith("cairn-", StringComparison.Ordinal))
                count++;
        }

        return count;
    }

    private static string? TryReadName(string task)
    {
        try
        {
            return File.ReadAllText(Path.Combine(task, "comm"));
        }
        catch (IOException)
        {
            return null;                                     // it has just ended
        }
    }

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
}
