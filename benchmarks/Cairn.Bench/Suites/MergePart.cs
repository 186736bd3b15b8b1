using System.Diagnostics;
using Cairn.Bench.Harness;

namespace Cairn.Bench.Suites;

/// <summary>Merging a fork that has changed a hundred keys into what it was forked from: a run of a thousand keys, and one so large that
/// whoever looked at all of it would be seen. First against the fork point, and then once more, against the fork as it was at the first
/// merge, which is a view. The commit does not wait for the device.</summary>
internal sealed class MergePart(ReplayRun run)
{
    private const int Repeats = 20;
    private const int Small = 1_000;
    private const int Changed = 100;

    private readonly Series _small = Series.For(null);
    private readonly Series _large = Series.For(null);
    private readonly Series _smallAgain = Series.For(null);
    private readonly Series _largeAgain = Series.For(null);

    internal void Run()
    {
        using var few = ReplayRun.Open(run.NewDirectory());
        using var many = ReplayRun.Open(run.NewDirectory());
        var (small, large) = (Make(few, Small), Make(many, run.Commits));
        const int WarmUps = 5;
        for (var round = -WarmUps; round < run.Rounds; round++)
        {
            SuiteRun.Settle();
            var (little, much) = (Measure(few, small, Small), Measure(many, large, run.Commits));
            if (round < 0)
                continue;
            _small.Add(little.First);
            _large.Add(much.First);
            _smallAgain.Add(little.Again);
            _largeAgain.Add(much.Again);
        }

        var (ofSmall, ofLarge) = ($"keys={Small} differing={Changed}", $"keys={run.Commits} differing={Changed}");
        run.Report.Add("merge into-a-small-run", _small, "us", ofSmall);
        run.Report.Add("merge into-a-large-run", _large, "us", ofLarge);
        run.Report.Add("merge once-more-into-a-small-run", _smallAgain, "us", ofSmall);
        run.Report.Add("merge once-more-into-a-large-run", _largeAgain, "us", ofLarge);
        run.JudgeAtFullSize(ReplayGates.MergeLargeToSmall, Series.Ratio(_large, _small), ofLarge);
        run.JudgeAtFullSize(ReplayGates.MergeAgainLargeToSmall, Series.Ratio(_largeAgain, _smallAgain), ofLarge);
    }

    private static Run Make(CairnDatabase db, int keys)
    {
        var parent = db.Runs.Begin("parent");
        var value = new byte[100];
        for (var i = 0; i < keys; i++)
            parent.Kv.Put("key-" + i, value);
        return parent;
    }

    private static (double First, double Again) Measure(CairnDatabase db, Run parent, int keys)
    {
        var (first, again) = (new double[Repeats], new double[Repeats]);
        for (var i = 0; i < Repeats; i++)
        {
            var fork = db.Runs.Fork(parent.Id);
            first[i] = Merge(db, fork, parent, keys, 2 * i);
            again[i] = Merge(db, fork, parent, keys, (2 * i) + 1);
            db.Runs.Delete(fork.Id);
        }

        Array.Sort(first);
        Array.Sort(again);
        return (first[Repeats / 2], again[Repeats / 2]);
    }

    // Keys from all over the run, each with a value that it has not got.
    private static double Merge(CairnDatabase db, Run fork, Run parent, int keys, int turn)
    {
        fork.Transact(tx =>
        {
            for (var i = 0; i < Changed; i++)
                tx.Kv.Put("key-" + (long)i * keys / Changed, Value.Array(turn, fork.Id.ToString()));
        });
        var start = Stopwatch.GetTimestamp();
        var result = db.Runs.Merge(fork.Id, parent.Id);
        var time = Stopwatch.GetElapsedTime(start).TotalMicroseconds;
        return result.Counts["kv"] == new MergeCounts(Taken: Changed, Same: 0, Conflicts: 0)
            ? time
            : throw new InvalidOperationException("The merge did something else.");
    }
}
