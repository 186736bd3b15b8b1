using System.Diagnostics;
using System.Globalization;
using Cairn.Bench.Harness;

namespace Cairn.Bench.Suites;

/// <summary>
/// A run that holds four times what memory may: written in small commits, read at random, read from front to back, closed, opened
/// and read again. In a process of its own. Judged twice, by what the engine says it holds and by what the process has more than
/// before the database was opened; both looked at between operations.
/// </summary>
internal sealed class MemoryPart(StorageRun run)
{
    internal const string ProbeName = "budget";

    private const int Times = 4;
    private const int ValueBytes = 100;
    private const int Reads = 100_000;
    private const int LooksAtMemory = 500;

    private readonly long _budget = run.IsQuick ? 32 << 20 : 256 << 20;

    internal void Run()
    {
        var missing = DirectorySubject.BudgetMissing;
        var (accounted, resident) = (Series.For(missing), Series.For(missing));
        var (write, get, scan, getAgain) = (Series.For(missing), Series.For(missing), Series.For(missing), Series.For(missing));
        var size = FormattableString.Invariant($"budget={_budget} entries={EntriesFor(_budget)}");
        if (missing is null)
        {
            var answer = Probe.Ask(ProbeName, _budget.ToString(CultureInfo.InvariantCulture), run.NewDirectory());
            foreach (var (series, figure) in new[] { accounted, resident, write, get, scan, getAgain }.Zip(answer))
                series.Add(figure);
        }

        run.Report.Add("memory-put Cairn", write, "/s", size);
        run.Report.Add("memory-get Cairn", get, "/s", size);
        run.Report.Add("memory-scan Cairn", scan, "entries/s", size);
        run.Report.Add("memory-get-reopened Cairn", getAgain, "/s", size);
        run.Report.Judge(StorageGates.MemoryToBudget, accounted.Times(1.0 / _budget), size);
        run.Report.Judge(StorageGates.ResidentToBudget, resident.Times(1.0 / _budget), size);
    }

    /// <summary>In the child process.</summary>
    /// <param name="arguments">The budget in bytes, and an empty directory.</param>
    internal static double[] Answer(ReadOnlySpan<string> arguments)
    {
        var budget = long.Parse(arguments[0], CultureInfo.InvariantCulture);
        var (entries, directory) = (EntriesFor(budget), arguments[1]);
        using (var warmUp = new DirectorySubject(Path.Combine(directory, "warm"), DirectorySubject.WithBudget(budget)))
        {
            warmUp.Load(0, 10_000, new byte[ValueBytes]);
            _ = Read(warmUp, 10_000, null);
        }

        var path = Path.Combine(directory, "db");
        var looks = new Looks();
        double write, get, scan;
        using (var subject = new DirectorySubject(path, DirectorySubject.WithBudget(budget)))
        {
            write = Write(subject, entries, looks);
            get = Read(subject, entries, looks);
            var start = Stopwatch.GetTimestamp();
            var found = subject.ScanAll(() => looks.Look(subject));
            if (found.Count != entries)
                throw new InvalidOperationException($"Of {entries} entries a scan found {found.Count}.");
            scan = entries / Stopwatch.GetElapsedTime(start).TotalSeconds;
        }

        using var again = new DirectorySubject(path, DirectorySubject.WithBudget(budget));
        var getAgain = Read(again, entries, looks);
        return [looks.Accounted, looks.Resident.Bytes, write, get, scan, getAgain];
    }

    private static int EntriesFor(long budget) => (int)(budget * Times / (Keys.Bytes + ValueBytes));

    private static double Write(DirectorySubject subject, int entries, Looks looks)
    {
        var value = new ChangingValue(ValueBytes);
        var start = Stopwatch.GetTimestamp();
        for (var i = 0; i < entries; i++)
        {
            subject.Put(Keys.At(i), value.Next());
            if (i % (entries / LooksAtMemory) == 0)
                looks.Look(subject);
        }

        return entries / Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    private static double Read(DirectorySubject subject, int entries, Looks? looks)
    {
        var random = new Random(23);
        var destination = new byte[ValueBytes];
        var start = Stopwatch.GetTimestamp();
        for (var i = 0; i < Reads; i++)
        {
            if (!subject.TryGet(Keys.At(random.Next(entries)), destination, out _))
                throw new InvalidOperationException("The database did not give back what was put.");
            if (i % (Reads / LooksAtMemory) == 0)
                looks?.Look(subject);
        }

        return Reads / Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    private sealed class Looks
    {
        internal readonly MemoryPeak Resident = new();

        internal long Accounted { get; private set; }

        internal void Look(DirectorySubject subject)
        {
            Accounted = Math.Max(Accounted, subject.MemoryBytes);
            Resident.Look();
        }
    }
}
