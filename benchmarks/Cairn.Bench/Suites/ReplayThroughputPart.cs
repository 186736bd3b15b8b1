using System.Diagnostics;
using System.Globalization;
using Cairn.Bench.Harness;

namespace Cairn.Bench.Suites;

/// <summary>One run of many small commits: replayed in an open database, and recovered by opening it again without a checkpoint; the file
/// warm. Rates of commits. Both find memory that the process has from the same work before: a first replay of each round is not
/// measured, as the recovery of the round before is what the next one finds the memory of. Fresh pages would cost either a fifth.</summary>
internal sealed class ReplayThroughputPart(ReplayRun run)
{
    private readonly Series _replay = Series.For(null);
    private readonly Series _recovery = Series.For(null);

    internal void Run()
    {
        var directory = run.NewDirectory();
        var keys = Keys.Shuffled(run.Commits, seed: 1);
        var value = new byte[100];
        using (var db = ReplayRun.Open(directory))
        {
            foreach (var key in keys)
                db.Default.Kv.Put(key, value);
        }

        const int WarmUps = 3;
        for (var round = -WarmUps; round < run.Rounds; round++)
        {
            SuiteRun.Settle();
            var start = Stopwatch.GetTimestamp();
            using var db = ReplayRun.Open(directory);
            var recovery = Stopwatch.GetElapsedTime(start).TotalSeconds;
            db.Replay(RunId.Default).Dispose();
            SuiteRun.Settle();
            start = Stopwatch.GetTimestamp();
            using var view = db.Replay(RunId.Default);
            var replay = Stopwatch.GetElapsedTime(start).TotalSeconds;
            if (view.Kv.Count() != run.Commits)
                throw new InvalidOperationException("The view is another one.");
            if (round < 0)
                continue;
            _recovery.Add(run.Commits / recovery);
            _replay.Add(run.Commits / replay);
        }

        var size = string.Create(CultureInfo.InvariantCulture, $"commits={run.Commits}");
        run.Report.Add("replayed-commits-per-second", _replay, "/s", size);
        run.Report.Add("recovered-commits-per-second", _recovery, "/s", size);
        run.JudgeAtFullSize(ReplayGates.ReplayToRecovery, Series.Ratio(_replay, _recovery), size);
    }
}
