using System.Diagnostics;
using Cairn.Bench.Harness;

namespace Cairn.Bench.Suites;

/// <summary>A view of a run of a thousand events, the file warm; beside it one read of the segment's bytes into a buffer that is there
/// already. Each round takes the median of many of both.</summary>
internal sealed class ViewPart(ReplayRun run)
{
    private const int Repeats = 200;

    /// <summary>Chosen: by then the code has been compiled for good.</summary>
    private const int WarmUps = 10;

    private readonly Series _view = Series.For(null);
    private readonly Series _read = Series.For(null);

    internal void Run()
    {
        var directory = run.NewDirectory();
        using var db = ReplayRun.Open(directory);
        var agent = db.Runs.Begin("agent");
        for (var i = 0; i < ReplayRun.Events; i++)
        {
            var payload = Value.Object(("tool", "crm.lookup"), ("id", i), ("text", new string('t', 120)));
            agent.Events.Append(i % 2 == 0 ? "tool_call" : "observation", payload);
        }

        db.Sync();
        var at = agent.Commits(1)[0].Sequence;
        var file = Directory.GetFiles(Path.Combine(directory, "log"), "*.segment").Single();
        var buffer = new byte[db.Metrics.LogBytesKept];
        using var handle = File.OpenHandle(file);
        for (var round = -WarmUps; round < run.Rounds; round++)
        {
            SuiteRun.Settle();
            var view = Median(() =>
            {
                using var then = agent.At(new Sequence(at.Value - 1));
                if (then.Events.Count() != ReplayRun.Events - 1)
                    throw new InvalidOperationException("The view is another one.");
            });
            var read = Median(() => RandomAccess.Read(handle, buffer, 4096));
            if (round < 0)
                continue;
            _view.Add(view);
            _read.Add(read);
        }

        var size = $"events={ReplayRun.Events} bytes={buffer.Length}";
        run.Report.Add("view-of-1000-events", _view, "us", size);
        run.Report.Add("view sequential-read", _read, "us", size);
        run.Report.Judge(ReplayGates.ViewToRead, Series.Ratio(_view, _read), size);
    }

    private static double Median(Action work)
    {
        var times = new double[Repeats];
        for (var i = 0; i < Repeats; i++)
        {
            var start = Stopwatch.GetTimestamp();
            work();
            times[i] = Stopwatch.GetElapsedTime(start).TotalMicroseconds;
        }

        Array.Sort(times);
        return times[Repeats / 2];
    }
}
