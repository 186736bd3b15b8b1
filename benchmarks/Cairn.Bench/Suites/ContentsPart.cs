using System.Diagnostics;
using System.Globalization;
using Cairn.Bench.Harness;

namespace Cairn.Bench.Suites;

/// <summary>
/// PERF-12 and PERF-13: contents of 0.1 to 10 KB, each put by a commit of its own, Buffered; then read at random, iterated in
/// order, closed, reopened and iterated again. In a process of its own, since memory is judged: what the process has more than
/// before the database was opened, at its largest, looked at between operations. Every content is compared with what was put.
/// </summary>
internal sealed class ContentsPart(StorageRun run)
{
    internal const string ProbeName = "contents";

    private const long Budget = 256 << 20;                // what the database may hold; the gate is about the process
    private const int Contents = 100_000;
    private const int ManyContents = 1_000_000;
    private const int BytesMin = 100;
    private const int BytesMax = 10_000;
    private const int Reads = 50_000;
    private const int LooksAtMemory = 200;
    private const double Mega = 1e6;

    // A content is a piece of this that its number fixes, behind the number itself.
    private static readonly byte[] Source = Keys.Value(1 << 20, seed: 13);

    internal void Run()
    {
        var judged = Measure(Contents, run.IsQuick ? 1 : 3);
        var size = SizeOf(Contents);
        run.Report.Judge(StorageGates.ContentStoreRate, judged.StoreRate, size);
        run.Report.Judge(StorageGates.ContentGetTail, judged.GetTail, size);
        run.Report.Judge(StorageGates.ContentIteration, judged.Iteration, size);
        run.Report.Judge(StorageGates.ContentLateToEarly, judged.LateToEarly, size);
        run.Report.Judge(StorageGates.ContentMemory, judged.Memory, size);
        run.Report.Judge(StorageGates.ContentOverhead, judged.Overhead, size);
        if (run.IsQuick)
            run.Report.Skip(StorageGates.ContentIterationOfAMillion.Name, "needs full");
        else
            run.Report.Judge(StorageGates.ContentIterationOfAMillion, Measure(ManyContents, 1).Iteration, SizeOf(ManyContents));
    }

    private Figures Measure(int contents, int rounds)
    {
        var figures = new Figures();
        for (var round = 0; round < rounds; round++)
        {
            var directory = run.NewDirectory();
            figures.Add(Probe.Ask(ProbeName, contents.ToString(CultureInfo.InvariantCulture), directory));
            Directory.Delete(directory, recursive: true);
        }

        figures.Tell(run.Report, SizeOf(contents));
        return figures;
    }

    /// <summary>In the child process.</summary>
    /// <param name="arguments">How many contents, and an empty directory.</param>
    internal static double[] Answer(ReadOnlySpan<string> arguments)
    {
        var (count, directory) = (int.Parse(arguments[0], CultureInfo.InvariantCulture), arguments[1]);
        using (var warmUp = new DirectorySubject(Path.Combine(directory, "warm"), DirectorySubject.WithBudget(Budget)))
        {
            Store(warmUp, 1_000, null);
            _ = warmUp.ScanAll();
        }

        var memory = new MemoryPeak();
        var destination = new byte[BytesMax];
        var path = Path.Combine(directory, "db");
        double rate, lateToEarly, tail, iteration;
        using (var subject = new DirectorySubject(path, DirectorySubject.WithBudget(Budget)))
        {
            (rate, lateToEarly) = Store(subject, count, memory);
            tail = Read(subject, count, destination, memory);
            iteration = Iterate(subject, count, memory);
        }

        var overhead = (DirectorySize.Bytes(path) - Bytes(count)) / (double)count;
        var start = Stopwatch.GetTimestamp();
        using var again = new DirectorySubject(path, DirectorySubject.WithBudget(Budget));
        ReadOne(again, count / 2, destination);
        var reopening = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
        var tailAgain = Read(again, count, destination, memory);
        var iterationAgain = Iterate(again, count, memory);
        return [rate, lateToEarly, tail, iteration, memory.Bytes / Mega, overhead, reopening, tailAgain, iterationAgain];
    }

    /// <summary>Contents per second, and how much longer the last tenth took than the first.</summary>
    private static (double Rate, double LateToEarly) Store(DirectorySubject subject, int count, MemoryPeak? memory)
    {
        var buffer = new byte[BytesMax];
        var tenths = new double[10];
        for (var tenth = 0; tenth < tenths.Length; tenth++)
        {
            var start = Stopwatch.GetTimestamp();
            for (var number = tenth * (count / 10); number < (tenth + 1) * (count / 10); number++)
            {
                subject.Put(Keys.At(number), Content(number, buffer));
                if (number % (count / LooksAtMemory) == 0)
                    memory?.Look();
            }

            tenths[tenth] = Stopwatch.GetElapsedTime(start).TotalSeconds;
        }

        return (count / tenths.Sum(), tenths[^1] / tenths[0]);
    }

    /// <summary>The 99th percentile in microseconds.</summary>
    private static double Read(DirectorySubject subject, int count, byte[] destination, MemoryPeak memory)
    {
        var random = new Random(17);
        var latency = new LatencyHistogram();
        for (var i = 0; i < Reads; i++)
        {
            var number = random.Next(count);
            var start = Stopwatch.GetTimestamp();
            var isFound = subject.TryGet(Keys.At(number), destination, out var written);
            latency.RecordSince(start);
            Compare(number, isFound, destination.AsSpan(0, written));
            if (i % (Reads / LooksAtMemory) == 0)
                memory.Look();
        }

        return latency.Microseconds(0.99);
    }

    private static void ReadOne(DirectorySubject subject, int number, byte[] destination)
    {
        var isFound = subject.TryGet(Keys.At(number), destination, out var written);
        Compare(number, isFound, destination.AsSpan(0, written));
    }

    private static double Iterate(DirectorySubject subject, int count, MemoryPeak memory)
    {
        var start = Stopwatch.GetTimestamp();
        var found = subject.ScanAll(memory.Look);
        var time = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
        if (found.Count != count || found.Bytes != Bytes(count))
            throw new InvalidOperationException($"Of {count} contents a scan found {found.Count}.");
        return time;
    }

    private static void Compare(int number, bool isFound, ReadOnlySpan<byte> found)
    {
        if (!isFound || !found.SequenceEqual(Content(number, new byte[BytesMax])))
            throw new InvalidOperationException($"Content {number} is not what was put.");
    }

    private static ReadOnlySpan<byte> Content(int number, byte[] buffer)
    {
        var content = buffer.AsSpan(0, LengthOf(number));
        var at = (int)((uint)number * 2654435761u % (uint)(Source.Length - BytesMax));
        Source.AsSpan(at, content.Length).CopyTo(content);
        BitConverter.TryWriteBytes(content, number);
        return content;
    }

    // Even steps in an order that mixes them.
    private static int LengthOf(int number) => BytesMin + (int)((long)number * 7919 % (BytesMax - BytesMin + 1));

    private static long Bytes(int count)
    {
        var bytes = 0L;
        for (var number = 0; number < count; number++)
            bytes += LengthOf(number);
        return bytes;
    }

    private static string SizeOf(int contents) => FormattableString.Invariant($"contents={contents} bytes={BytesMin}..{BytesMax}");

    private sealed class Figures
    {
        internal readonly Series StoreRate = Series.For(null);
        internal readonly Series LateToEarly = Series.For(null);
        internal readonly Series GetTail = Series.For(null);
        internal readonly Series Iteration = Series.For(null);
        internal readonly Series Memory = Series.For(null);
        internal readonly Series Overhead = Series.For(null);
        private readonly Series _reopening = Series.For(null);
        private readonly Series _tailAgain = Series.For(null);
        private readonly Series _iterationAgain = Series.For(null);

        private Series[] InOrder =>
            [StoreRate, LateToEarly, GetTail, Iteration, Memory, Overhead, _reopening, _tailAgain, _iterationAgain];

        internal void Add(double[] answer)
        {
            foreach (var (series, figure) in InOrder.Zip(answer))
                series.Add(figure);
        }

        internal void Tell(Report report, string size)
        {
            report.Add("contents-stored Cairn", StoreRate, "/s", size);
            report.Add("contents-get-p99 Cairn", GetTail, "us", size);
            report.Add("contents-iterate Cairn", Iteration, "ms", size);
            report.Add("contents-memory Cairn", Memory, "MB", size);
            report.Add("contents-overhead Cairn", Overhead, "bytes each", size);
            report.Add("contents-reopen-first-read Cairn", _reopening, "ms", size);
            report.Add("contents-reopened-get-p99 Cairn", _tailAgain, "us", size);
            report.Add("contents-reopened-iterate Cairn", _iterationAgain, "ms", size);
        }
    }
}
