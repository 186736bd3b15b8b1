using System.Diagnostics;
using System.Globalization;
using Cairn.Bench.Harness;

namespace Cairn.Bench.Suites;

/// <summary>
/// Entries of all kinds, each a commit of its own in one of a thousand runs: of twenty, ten are key-values, five events, three
/// traces, two state cells; every operation timed, with whatever the engine does beside it. Then the database is closed, opened
/// again and read at random. In a process of its own, since memory is told. At the end every run is asked how many of each kind it
/// has: an engine that lost some has no figures.
/// </summary>
internal sealed class MixedPart(ScaleRun run)
{
    internal const string ProbeName = "mixed";

    private const int Runs = 1_000;
    private const int ValueBytes = 100;
    private const int Reads = 100_000;
    private const int Tenths = 10;

    // Each kind by its first letter, mixed.
    private const string Cycle = "kekteksktekkekstkekt";

    private static readonly string[] Kinds = ["kv-put", "event-append", "trace-record", "state-set"];

    internal void Run()
    {
        if (!run.IsQuick && run.FindLack(10L << 30, 24L << 30) is { } lack)
        {
            run.Report.Skip("scale-throughput Cairn", lack);
            return;
        }

        var directory = run.NewDirectory();
        var answer = new Queue<double>(Probe.Ask(ProbeName, run.Entries.ToString(CultureInfo.InvariantCulture), directory));
        var rate = Tell("scale-throughput Cairn", "entries/s");
        var lateToEarly = Tell("scale-late/early Cairn", "x");
        foreach (var kind in Kinds)
        {
            Tell($"scale-{kind}-p50 Cairn", "us");
            Tell($"scale-{kind}-p99 Cairn", "us");
            Tell($"scale-{kind}-p99.9 Cairn", "us");
            Tell($"scale-{kind}-worst Cairn", "us");
        }

        var pause = Tell("scale-collector-pause-worst Cairn", "ms");
        Tell("scale-collector-pause-total Cairn", "ms");
        Tell("scale-memory Cairn", "bytes/entry");
        Tell("scale-close Cairn", "ms");
        Tell("scale-disk Cairn", "bytes/entry");
        Tell("scale-written Cairn", "bytes/entry");
        Tell("scale-open Cairn", "ms");
        Tell("scale-first-read Cairn", "ms");
        Tell("scale-memory-after-open Cairn", "bytes");
        Tell("scale-get-p50-after-open Cairn", "us");
        Tell("scale-get-p99-after-open Cairn", "us");
        Tell("scale-memory-after-gets Cairn", "bytes");
        run.EntriesPerSecond = rate;
        run.Report.Judge(ScaleGates.Pause, pause, run.Size);
        run.Report.Judge(ScaleGates.LateToEarly, lateToEarly, run.Size);

        Series Tell(string name, string unit)
        {
            var series = Series.For(null);
            series.Add(answer.Dequeue());
            run.Report.Add(name, series, unit, run.Size);
            return series;
        }
    }

    /// <summary>In the child process.</summary>
    /// <param name="arguments">How many entries, and an empty directory.</param>
    internal static double[] Answer(ReadOnlySpan<string> arguments)
    {
        var (count, directory) = (int.Parse(arguments[0], CultureInfo.InvariantCulture), arguments[1]);
        using (var warmUp = new MixedSubject(Path.Combine(directory, "warm"), runs: 10))
        {
            for (var i = 0; i < 20_000; i++)
                Write(warmUp, i, new ChangingValue(ValueBytes));
        }

        List<double> answer = [];
        var before = ResidentMemory.BytesAfterCompaction();
        var path = Path.Combine(directory, "db");
        var written = WrittenBytes.Now();
        var subject = new MixedSubject(path, Runs);
        Fill(subject, count, answer);
        answer.Add((ResidentMemory.BytesAfterCompaction() - before) / (double)count);
        Check(subject, count);
        var start = Stopwatch.GetTimestamp();
        subject.Dispose();
        answer.Add(Stopwatch.GetElapsedTime(start).TotalMilliseconds);
        answer.Add(DirectorySize.Bytes(path) / (double)count);
        answer.Add((WrittenBytes.Now() - written).Calls / (double)count);
        before = ResidentMemory.BytesAfterCompaction();
        Reopen(path, count, before, answer);
        return [.. answer];
    }

    private static void Fill(MixedSubject subject, int count, List<double> answer)
    {
        var value = new ChangingValue(ValueBytes);
        var latencies = Array.ConvertAll(Kinds, _ => new LatencyHistogram());
        var pauses = new CollectorPauses();
        var tenths = new double[Tenths];
        for (var tenth = 0; tenth < Tenths; tenth++)
        {
            var start = Stopwatch.GetTimestamp();
            for (var number = tenth * (count / Tenths); number < (tenth + 1) * (count / Tenths); number++)
            {
                var begun = Stopwatch.GetTimestamp();
                var kind = Write(subject, number, value);
                latencies[kind].RecordSince(begun);
                pauses.Look();
            }

            tenths[tenth] = Stopwatch.GetElapsedTime(start).TotalSeconds;
        }

        pauses.Collect();
        answer.Add(count / tenths.Sum());
        answer.Add(tenths[^1] / tenths[0]);
        foreach (var latency in latencies)
        {
            foreach (var share in (double[])[0.5, 0.99, 0.999, 1])
                answer.Add(latency.Microseconds(share));
        }

        answer.Add(pauses.Worst.TotalMilliseconds);
        answer.Add(pauses.Total.TotalMilliseconds);
    }

    private static int Write(MixedSubject subject, int number, ChangingValue value)
    {
        switch (Cycle[number % Cycle.Length])
        {
            case 'k':
                subject.Put(number, value.Next());
                return 0;
            case 'e':
                subject.Append(number, value.Next());
                return 1;
            case 't':
                subject.Record(number, value.Next());
                return 2;
            default:
                subject.Set(number, value.Next());
                return 3;
        }
    }

    private static void Check(MixedSubject subject, int count)
    {
        var found = subject.Count();
        foreach (var (letter, number) in new[] { ('k', found.Keys), ('e', found.Events), ('t', found.Traces), ('s', found.Cells) })
        {
            var expected = (long)Cycle.Count(kind => kind == letter) * (count / Cycle.Length);
            if (number != expected)
                throw new InvalidOperationException($"Of {expected} entries of the kind {letter} there are {number}.");
        }
    }

    private static void Reopen(string path, int count, long before, List<double> answer)
    {
        var random = new Random(19);
        var destination = new byte[ValueBytes];
        var start = Stopwatch.GetTimestamp();
        using var subject = new MixedSubject(path, Runs);
        answer.Add(Stopwatch.GetElapsedTime(start).TotalMilliseconds);
        Get();
        answer.Add(Stopwatch.GetElapsedTime(start).TotalMilliseconds);
        answer.Add(ResidentMemory.Bytes() - before);
        var latency = new LatencyHistogram();
        for (var i = 0; i < Reads; i++)
        {
            var begun = Stopwatch.GetTimestamp();
            Get();
            latency.RecordSince(begun);
        }

        answer.Add(latency.Microseconds(0.5));
        answer.Add(latency.Microseconds(0.99));
        answer.Add(ResidentMemory.Bytes() - before);
        Check(subject, count);

        // The first of each cycle is a key-value.
        void Get()
        {
            if (!subject.TryGet(random.Next(count / Cycle.Length) * Cycle.Length, destination))
                throw new InvalidOperationException("A reopened database did not give back what was put.");
        }
    }
}
