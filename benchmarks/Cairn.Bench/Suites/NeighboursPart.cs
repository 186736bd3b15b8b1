using System.Diagnostics;
using System.Globalization;
using Cairn.Bench.Harness;

namespace Cairn.Bench.Suites;

/// <summary>A run of a thousand commits, replayed where it has the log for itself, and where its records lie evenly among those of a
/// hundred other runs.</summary>
internal sealed class NeighboursPart(ReplayRun run)
{
    private const int Repeats = 20;
    private const int Neighbours = 100;

    private readonly Series _alone = Series.For(null);
    private readonly Series _among = Series.For(null);

    internal void Run()
    {
        using var alone = ReplayRun.Open(run.NewDirectory());
        using var among = ReplayRun.Open(run.NewDirectory());
        var (one, other) = (Make(alone, others: 0), Make(among, run.Others));
        alone.Checkpoint();                                  // as a database in use has them
        among.Checkpoint();
        const int WarmUps = 5;
        for (var round = -WarmUps; round < run.Rounds; round++)
        {
            SuiteRun.Settle();
            var (time, apart) = (Measure(alone, one), Measure(among, other));
            if (round < 0)
                continue;
            _alone.Add(time);
            _among.Add(apart);
        }

        var size = string.Create(CultureInfo.InvariantCulture, $"commits={ReplayRun.Events} others={run.Others}");
        run.Report.Add("replay alone", _alone, "us", size);
        run.Report.Add("replay among-others", _among, "us", size);
        run.JudgeAtFullSize(ReplayGates.AmongOthersToAlone, Series.Ratio(_among, _alone), size);
    }

    private static Run Make(CairnDatabase db, int others)
    {
        var agent = db.Runs.Begin("agent");
        var neighbours = Enumerable.Range(0, others == 0 ? 0 : Neighbours).Select(_ => db.Runs.Begin()).ToArray();
        var value = new byte[100];
        for (var i = 0; i < ReplayRun.Events; i++)
        {
            agent.Kv.Put("key-" + i % 200, value);
            for (var j = 0; j < others / ReplayRun.Events; j++)
                neighbours[j % Neighbours].Kv.Put("key", value);
        }

        return agent;
    }

    private static double Measure(CairnDatabase db, Run agent)
    {
        var times = new double[Repeats];
        for (var i = 0; i < Repeats; i++)
        {
            var start = Stopwatch.GetTimestamp();
            using var view = db.Replay(agent.Id);
            times[i] = Stopwatch.GetElapsedTime(start).TotalMicroseconds;
        }

        Array.Sort(times);
        return times[Repeats / 2];
    }
}
