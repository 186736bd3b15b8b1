using System.Diagnostics;
using Cairn.Bench.Harness;

namespace Cairn.Bench.Suites;

/// <summary>Forks: what making one costs, of a run of a thousand keys and of one so large that whoever touched all of it would be seen, at
/// its newest sequence and at a past point; what one holds that nobody has read; and reads through five of them, each with a hundredth of
/// the keys.</summary>
internal sealed class ForkPart(ReplayRun run)
{
    private const int Repeats = 200;
    private const int Small = 1_000;
    private const int Held = 2_000;
    private const int Levels = 5;
    private const int Reads = 20_000;

    private readonly Series _small = Series.For(null);
    private readonly Series _large = Series.For(null);
    private readonly Series _pastOfSmall = Series.For(null);
    private readonly Series _pastOfLarge = Series.For(null);
    private readonly Series _firstRead = Series.For(null);
    private readonly Series _plain = Series.For(null);
    private readonly Series _nested = Series.For(null);
    private readonly Series _bytes = Series.For(null);
    private readonly Series _managed = Series.For(null);

    internal void Run()
    {
        using var few = ReplayRun.Open(run.NewDirectory());
        using var many = ReplayRun.Open(run.NewDirectory());
        var (small, large) = (Make(few, Small), Make(many, run.Commits));
        var leaf = Nest(many, large, run.Commits);
        const int WarmUps = 3;
        for (var round = -WarmUps; round < run.Rounds; round++)
        {
            SuiteRun.Settle();
            var (little, much) = (Fork(few, small, isPast: false), Fork(many, large, isPast: false));
            var (pastOfLittle, pastOfMuch) = (Fork(few, small, isPast: true), Fork(many, large, isPast: true));
            var (plain, nested) = (Read(large, round), Read(leaf, round));
            if (round < 0)
                continue;
            _small.Add(little);
            _large.Add(much);
            _pastOfSmall.Add(pastOfLittle);
            _pastOfLarge.Add(pastOfMuch);
            _plain.Add(plain);
            _nested.Add(nested);
            var (managed, native) = Hold(many, large);
            _bytes.Add(managed + native);
            _managed.Add(managed);
        }

        _firstRead.Add(ReadFirst(many, large));
        var size = $"keys={run.Commits}";
        run.Report.Add("fork of-a-small-run", _small, "us", $"keys={Small}");
        run.Report.Add("fork of-a-large-run", _large, "us", size);
        run.Report.Add("fork at-a-past-point of-a-small-run", _pastOfSmall, "us", $"keys={Small}");
        run.Report.Add("fork at-a-past-point of-a-large-run", _pastOfLarge, "us", size);
        run.Report.Add("fork first-read-at-a-past-point of-a-large-run", _firstRead, "ms", size);
        run.Report.Add("fork bytes managed-and-native", _bytes, "bytes", $"{size} forks={Held}");
        run.Report.Add("fork bytes managed", _managed, "bytes", $"{size} forks={Held}");
        run.Report.Add("fork read-of-the-run", _plain, "ns", size);
        run.Report.Add("fork read-through-five-forks", _nested, "ns", size);
        run.JudgeAtFullSize(ReplayGates.ForkLargeToSmall, Series.Ratio(_large, _small), size);
        run.JudgeAtFullSize(ReplayGates.PastForkLargeToSmall, Series.Ratio(_pastOfLarge, _pastOfSmall), size);
        run.JudgeAtFullSize(ReplayGates.NestedToPlain, Series.Ratio(_nested, _plain), $"{size} levels={Levels}");
    }

    private static Run Make(CairnDatabase db, int keys)
    {
        var parent = db.Runs.Begin("parent");
        var value = new byte[100];
        for (var i = 0; i < keys; i++)
            parent.Kv.Put("key-" + i, value);
        return parent;
    }

    // Each level writes a hundredth of the keys, from all over the run.
    private static Run Nest(CairnDatabase db, Run parent, int keys)
    {
        for (var level = 0; level < Levels; level++)
        {
            parent = db.Runs.Fork(parent.Id);
            for (var i = level; i < keys; i += 100)
                parent.Kv.Put("key-" + i, level);
        }

        return parent;
    }

    private static double Fork(CairnDatabase db, Run parent, bool isPast)
    {
        var times = new double[Repeats];
        var at = isPast ? new Sequence(parent.Info.LastSequence.Value / 2) : default(Sequence?);
        for (var i = 0; i < Repeats; i++)
        {
            var start = Stopwatch.GetTimestamp();
            var fork = db.Runs.Fork(parent.Id, at);
            times[i] = Stopwatch.GetElapsedTime(start).TotalMicroseconds;
            db.Runs.Delete(fork.Id);
        }

        Array.Sort(times);
        return times[Repeats / 2];
    }

    private static double ReadFirst(CairnDatabase db, Run parent)
    {
        var fork = db.Runs.Fork(parent.Id, new Sequence(parent.Info.LastSequence.Value / 2));
        var start = Stopwatch.GetTimestamp();
        if (!fork.Kv.Exists("key-0"))
            throw new InvalidOperationException("A fork has not what its parent had.");
        var time = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
        db.Runs.Delete(fork.Id);
        return time;
    }

    private double Read(Run from, int round)
    {
        var random = new Random(round);
        var keys = new string[Reads];
        for (var i = 0; i < Reads; i++)
            keys[i] = "key-" + random.Next(run.Commits);
        var start = Stopwatch.GetTimestamp();
        foreach (var key in keys)
        {
            if (!from.Kv.Exists(key))
                throw new InvalidOperationException("A fork has not what its parent had.");
        }

        return Stopwatch.GetElapsedTime(start).TotalNanoseconds / Reads;
    }

    // The native ones are the catalogue's: the record of each fork, and its places in the orders there.
    private static (double Managed, double Native) Hold(CairnDatabase db, Run parent)
    {
        var forks = new List<RunId>(Held);
        var before = (Managed: GC.GetTotalMemory(forceFullCollection: true), Native: db.Metrics.MemoryBytes);
        for (var i = 0; i < Held; i++)
            forks.Add(db.Runs.Fork(parent.Id).Id);
        var after = (Managed: GC.GetTotalMemory(forceFullCollection: true), Native: db.Metrics.MemoryBytes);
        foreach (var fork in forks)
            db.Runs.Delete(fork);
        return ((after.Managed - before.Managed) / (double)Held, (after.Native - before.Native) / (double)Held);
    }
}
