using System.Diagnostics;
using System.Globalization;
using Cairn.Bench.Harness;

namespace Cairn.Bench.Suites;

/// <summary>What the parts of any suite share: the report, a place for files, how many rounds, what is judged when.</summary>
internal abstract class SuiteRun
{
    private readonly string _directory;
    private int _directories;

    protected SuiteRun(BenchOptions options, Report report, string directory)
    {
        _directory = directory;
        Report = report;
        IsQuick = options.IsQuick;
        Rounds = IsQuick ? 3 : 5;
    }

    internal Report Report { get; }

    internal bool IsQuick { get; }

    /// <summary>Recorded rounds; parts that need a warm-up run one more before.</summary>
    internal int Rounds { get; }

    /// <summary>Runs the parts that the options ask for, each with directories of its own.</summary>
    /// <param name="page">Where each part of a full run leaves its section as soon as it is over; null = the suite writes a page by
    /// itself.</param>
    internal static void RunParts<TRun>(
        TRun run, BenchOptions options, ReadOnlySpan<(string Name, Action<TRun> Measure)> parts, PartPage? page = null)
        where TRun : SuiteRun
    {
        foreach (var (name, measure) in parts)
        {
            if (options.Part is not null && options.Part != name)
                continue;
            var place = run.Report.Place;
            var start = Stopwatch.GetTimestamp();
            Console.Error.WriteLine($"bench: part {name}");
            measure(run);
            run.DiscardDirectories();
            var time = Stopwatch.GetElapsedTime(start);
            Console.Error.WriteLine($"bench: part {name} took {time.TotalSeconds.ToString("0", CultureInfo.InvariantCulture)} s");
            if (!options.IsQuick)
                page?.Write(name, run.Report, place, time);
        }
    }

    /// <summary>Why there is not the memory and the disk for something large; null when there is.</summary>
    internal string? FindLack(long memoryBytes, long diskBytes)
    {
        const double giga = 1 << 30;
        var memory = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;
        if (memory < memoryBytes)
            return FormattableString.Invariant($"needs {memoryBytes / giga:0} GiB of memory, there are {memory / giga:0.0}");
        var disk = new DriveInfo(_directory).AvailableFreeSpace;
        return disk < diskBytes
            ? FormattableString.Invariant($"needs {diskBytes / giga:0} GiB of disk, {disk / giga:0.0} are free") : null;
    }

    /// <summary>A goal that is set at full size: a quick run tells its ratio and does not judge it. A dictionary of a tenth lies in the
    /// processor's cache; and an opening syncs a new segment and a manifest, however little the log holds.</summary>
    internal void JudgeAtFullSize(Gate gate, Series ratio, string size)
    {
        if (!IsQuick || ratio.Missing is not null)
        {
            Report.Judge(gate, ratio, size);
            return;
        }

        Report.Add(gate.Name, ratio, "x", size);
        Report.Skip(gate.Name, "needs full");
    }

    /// <summary>An empty directory of its own.</summary>
    internal string NewDirectory()
    {
        var path = Path.Combine(_directory, (_directories++).ToString(CultureInfo.InvariantCulture));
        Directory.CreateDirectory(path);
        return path;
    }

    /// <summary>Deletes every directory given out so far: what they had in the page cache need not be written while the next part
    /// measures.</summary>
    internal void DiscardDirectories()
    {
        foreach (var path in Directory.GetDirectories(_directory))
            Directory.Delete(path, recursive: true);
    }

    /// <summary>Two full collections, so that one contestant's garbage does not slow the next.</summary>
    internal static void Settle()
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
        GC.Collect();
    }
}
