using System.Diagnostics;
using Cairn.Bench.Bare;
using Cairn.Bench.Harness;

namespace Cairn.Bench.Suites;

/// <summary>
/// Two threads updating two runs against one thread updating one, half of the keys in each; beside it the same with two private
/// native tables, which share nothing but the machine.
/// </summary>
internal sealed class ScalingPart(KvRun run)
{
    private const int Threads = 2;

    private readonly string[][] _keys =
    [
        Keys.Shuffled(run.KeyCount / Threads, seed: 3),
        Keys.Shuffled(run.KeyCount / Threads, seed: 4),
    ];

    internal void Run()
    {
        var cairn = Series.For(CairnSubject.RunsMissing);
        var tables = Series.For(null);
        var private0 = Table();
        var private1 = Table();
        using var subject = CairnSubject.RunsMissing is null
            ? CairnSubject.Open(Durability.InMemory, run.NewDirectory()) : null;
        var (value0, value1) = (run.NewValue(), run.NewValue());
        Action<string>[] toTables = [key => private0.Put(key, value0.Next()), key => private1.Put(key, value1.Next())];
        Action<string>[] toRuns = [];
        if (subject is not null)
        {
            var run0 = subject.OpenRun("scaling-0");
            var run1 = subject.OpenRun("scaling-1");
            run0.Load(_keys[0], run.Value);
            run1.Load(_keys[1], run.Value);
            toRuns = [key => run0.Put(key, value0.Next()), key => run1.Put(key, value1.Next())];
        }

        KvRun.Settle();
        const int WarmUp = -1;
        for (var round = WarmUp; round < run.Rounds; round++)
        {
            var ofTables = Scaling(toTables);
            var ofRuns = subject is null ? 0 : Scaling(toRuns);
            if (round == WarmUp)
                continue;
            tables.Add(ofTables);
            cairn.Add(ofRuns);
        }

        private0.Dispose();
        private1.Dispose();
        var size = $"threads={Threads} keys-per-run={run.KeyCount / Threads}";
        run.Report.Add("scaling native-tables", tables, "x", size);
        run.Report.Add("scaling Cairn-runs", cairn, "x", size);
        run.Report.Judge(KvGates.ScalingToNativeTables, Series.Ratio(cairn, tables), size);
    }

    private NativeTable Table()
    {
        var table = new NativeTable(run.KeyCount / Threads, Keys.Bytes, run.Value.Length);
        foreach (var key in _keys[0])
            table.Put(key, run.Value);
        return table;
    }

    /// <summary>Rate of all threads together, through the rate of the first alone, measured before and after them.</summary>
    private double Scaling(Action<string>[] puts)
    {
        var alone = Rate(puts.AsSpan(0, 1));
        var together = Rate(puts);
        return 2 * together / (alone + Rate(puts.AsSpan(0, 1)));
    }

    private double Rate(ReadOnlySpan<Action<string>> puts)
    {
        var seconds = new double[puts.Length];
        using var start = new Barrier(puts.Length);
        var threads = new Thread[puts.Length];
        for (var i = 0; i < threads.Length; i++)
        {
            var (number, put, keys) = (i, puts[i], _keys[i]);
            threads[i] = new Thread(() =>
            {
                start.SignalAndWait();
                var began = Stopwatch.GetTimestamp();
                foreach (var key in keys)
                    put(key);
                seconds[number] = Stopwatch.GetElapsedTime(began).TotalSeconds;
            });
            threads[i].Start();
        }

        foreach (var thread in threads)
            thread.Join();
        return puts.Length * (double)_keys[0].Length / seconds.Max();
    }
}
