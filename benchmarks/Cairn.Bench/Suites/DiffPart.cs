using System.Diagnostics;
using Cairn.Bench.Harness;

namespace Cairn.Bench.Suites;

/// <summary>The difference of two forks of one run, each with fifty keys of its own: of a run of a thousand keys, and of one so large that
/// whoever compared all of it would be seen. All items are read.</summary>
internal sealed class DiffPart(ReplayRun run)
{
    private const int Repeats = 20;
    private const int Small = 1_000;
    private const int Changed = 50;                          // by each of the two

    private readonly Series _small = Series.For(null);
    private readonly Series _large = Series.For(null);

    internal void Run()
    {
        using var few = ReplayRun.Open(run.NewDirectory());
        using var many = ReplayRun.Open(run.NewDirectory());
        var (small, large) = (Make(few, Small), Make(many, run.Commits));
        const int WarmUps = 5;
        for (var round = -WarmUps; round < run.Rounds; round++)
        {
            SuiteRun.Settle();
            var (little, much) = (Measure(few, small), Measure(many, large));
            if (round < 0)
                continue;
            _small.Add(little);
            _large.Add(much);
        }

        run.Report.Add("diff of-forks-of-a-small-run", _small, "us", $"keys={Small} differing={2 * Changed}");
        run.Report.Add("diff of-forks-of-a-large-run", _large, "us", $"keys={run.Commits} differing={2 * Changed}");
        run.JudgeAtFullSize(ReplayGates.DiffLargeToSmall, Series.Ratio(_large, _small), $"keys={run.Commits} differing={2 * Changed}");
    }

    private static (RunId A, RunId B) Make(CairnDatabase db, int keys)
    {
        var parent = db.Runs.Begin("parent");
        var value = new byte[100];
        for (var i = 0; i < keys; i++)
            parent.Kv.Put("key-" + i, value);
        return (Change(db, parent, keys, 0), Change(db, parent, keys, 1));
    }

    // Keys from all over the run.
    private static RunId Change(CairnDatabase db, Run parent, int keys, int which)
    {
        var fork = db.Runs.Fork(parent.Id);
        for (var i = 0; i < Changed; i++)
            fork.Kv.Put("key-" + (long)(2 * i + which) * keys / (2 * Changed), which);
        return fork.Id;
    }

    private static double Measure(CairnDatabase db, (RunId A, RunId B) forks)
    {
        var times = new double[Repeats];
        for (var i = 0; i < Repeats; i++)
        {
            var start = Stopwatch.GetTimestamp();
            using var diff = db.Diff(forks.A, forks.B);
            if (diff.Items("kv").Count() != 2 * Changed)
                throw new InvalidOperationException("The difference is another one.");
            times[i] = Stopwatch.GetElapsedTime(start).TotalMicroseconds;
        }

        Array.Sort(times);
        return times[Repeats / 2];
    }
}
