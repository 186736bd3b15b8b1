using System.Diagnostics;

namespace Cairn.Bench.Harness;

/// <summary>What writers got done in a stretch of time.</summary>
internal readonly record struct WindowResult(double PerSecond, LatencyHistogram Latency);

/// <summary>Writers that repeat an operation until a time is up, every operation timed. The rate runs to the end of the last
/// operation, so work that was started is counted and paid for.</summary>
internal static class Window
{
    /// <summary>On the calling thread. <paramref name="write"/> gets 0, 1, 2, ...</summary>
    internal static WindowResult Alone(TimeSpan window, Action<int> write)
    {
        var latency = new LatencyHistogram();
        var start = Stopwatch.GetTimestamp();
        var end = start + (long)(window.TotalSeconds * Stopwatch.Frequency);
        var now = start;
        for (var i = 0; now < end; i++)
        {
            write(i);
            now = latency.RecordSince(now);
        }

        return new WindowResult(latency.Count / Stopwatch.GetElapsedTime(start, now).TotalSeconds, latency);
    }

    /// <summary>On threads of their own, each blocked while its operation waits. <paramref name="write"/> gets the writer's
    /// number and the operation's.</summary>
    internal static WindowResult Threads(int writers, TimeSpan window, Action<int, int> write)
    {
        var stop = false;
        return Together(writers, window, () => Volatile.Write(ref stop, true), (writer, latency) =>
        {
            var ended = new TaskCompletionSource();
            var thread = new Thread(
                () =>
                {
                    try
                    {
                        var now = Stopwatch.GetTimestamp();
                        for (var i = 0; !Volatile.Read(ref stop); i++)
                        {
                            write(writer, i);
                            now = latency.RecordSince(now);
                        }

                        ended.SetResult();
                    }
                    catch (Exception failure)
                    {
                        ended.SetException(failure);
                    }
                },
                maxStackSize: 256 << 10);
            thread.Start();
            return ended.Task;
        });
    }

    /// <summary>As tasks on the thread pool, each awaiting its operation.</summary>
    internal static WindowResult Tasks(int writers, TimeSpan window, Func<int, int, ValueTask> write)
    {
        var stop = false;
        return Together(writers, window, () => Volatile.Write(ref stop, true), (writer, latency) => Task.Run(async () =>
        {
            var now = Stopwatch.GetTimestamp();
            for (var i = 0; !Volatile.Read(ref stop); i++)
            {
                await write(writer, i);
                now = latency.RecordSince(now);
            }
        }));
    }

    private static WindowResult Together(
        int writers, TimeSpan window, Action stop, Func<int, LatencyHistogram, Task> start)
    {
        var latencies = new LatencyHistogram[writers];
        var running = new Task[writers];
        var started = Stopwatch.GetTimestamp();
        for (var writer = 0; writer < writers; writer++)
        {
            latencies[writer] = new LatencyHistogram();
            running[writer] = start(writer, latencies[writer]);
        }

        // A writer that fails ends the window at once; its exception is thrown below.
        Task.WhenAny(Task.Delay(window), Task.WhenAny(running)).Wait();
        stop();
        Task.WaitAll(running);
        var seconds = Stopwatch.GetElapsedTime(started).TotalSeconds;
        var latency = new LatencyHistogram();
        foreach (var one in latencies)
            latency.Merge(one);
        return new WindowResult(latency.Count / seconds, latency);
    }
}
