using System.Diagnostics;
using System.Globalization;
using Cairn.Bench.Bare;
using Cairn.Bench.Harness;
using Cairn.Bench.Peers;

namespace Cairn.Bench.Suites;

/// <summary>
/// From the call of open to the first point read, for databases of growing size, their entries in one run and in many; beside it
/// LMDB opened for reading, and an fdatasync into a prewritten file, which is what an opening for writing has to wait for. The
/// process is warm and so is the page cache: what is measured is how much work an opening does. Closing is not.
/// </summary>
internal sealed class OpenPart(StorageRun run)
{
    private const int EntriesPerRun = 1_000;
    private const int WarmUps = 40;                          // until the runtime has its last version of the code
    private const int WritableWarmUps = 10;
    private const int OpeningsPerRound = 5;                  // one is over in milliseconds: the median of some, in turns
    private const int SyncsPerRound = 9;
    private const int LmdbChunk = 100_000;
    private const int TenMillion = 10_000_000;
    private const int LimitOfLmdb = 5;
    private const int LimitOfSyncs = 8;

    private readonly byte[] _destination = new byte[run.Value.Length];
    private readonly Random _keys = new(3);
    private readonly Series _sync = Series.For(null);

    internal void Run()
    {
        int[] sizes = run.IsQuick ? [10_000, 100_000] : [10_000, 100_000, 1_000_000, TenMillion];
        var lack = run.FindLack(8L << 30, 24L << 30);
        var cases = new List<Case>();
        foreach (var size in sizes.Where(size => size != TenMillion || lack is null))
        {
            Console.Error.WriteLine(FormattableString.Invariant($"bench: making databases of {size} entries"));
            cases.Add(Make(size));
        }

        if (lack is not null)
            run.Report.Skip("open entries=10000000", lack);
        using var file = new PrewrittenFile(Path.Combine(run.NewDirectory(), "bare"), 1 << 20);
        WarmUp(cases[0]);
        for (var round = 0; round < run.Rounds; round++)
        {
            SuiteRun.Settle();
            foreach (var each in cases)
                Measure(each);
            _sync.Add(Median(SyncsPerRound, () => Sync(file)));
        }

        Judge(cases);
    }

    private Case Make(int entries)
    {
        var made = new Case(entries, run.NewDirectory(), run.NewDirectory(), run.NewDirectory());
        using (var subject = new DirectorySubject(made.OneRun, DirectorySubject.Buffered))
            subject.Load(0, entries, run.Value);
        using (var subject = new DirectorySubject(made.ManyRuns, DirectorySubject.Buffered))
            subject.LoadRuns(entries, EntriesPerRun, run.Value);
        if (PeerCatalogue.Lmdb.Missing is not null)
            return made;
        using var peer = new LmdbPeer(Durability.InMemory, made.Lmdb);
        for (var at = 0; at < entries; at += LmdbChunk)
        {
            var keys = new string[Math.Min(LmdbChunk, entries - at)];
            for (var i = 0; i < keys.Length; i++)
                keys[i] = Keys.At(at + i);
            peer.Load(keys, run.Value);
        }

        return made;
    }

    private void WarmUp(Case smallest)
    {
        for (var i = 0; i < WarmUps; i++)
        {
            OpenLmdb(smallest);
            OpenOneRun(smallest, DirectorySubject.ReadOnly);
            OpenManyRuns(smallest, DirectorySubject.ReadOnly);
        }

        for (var i = 0; i < WritableWarmUps; i++)
        {
            OpenOneRun(smallest, DirectorySubject.Buffered);
            OpenManyRuns(smallest, DirectorySubject.Buffered);
        }
    }

    private void Measure(Case each)
    {
        if (PeerCatalogue.Lmdb.Missing is null)
            each.LmdbTime.Add(Median(OpeningsPerRound, () => OpenLmdb(each)));
        each.OneRunReadOnly.Add(Median(OpeningsPerRound, () => OpenOneRun(each, DirectorySubject.ReadOnly)));
        each.ManyRunsReadOnly.Add(Median(OpeningsPerRound, () => OpenManyRuns(each, DirectorySubject.ReadOnly)));
        each.OneRunWritable.Add(Median(OpeningsPerRound, () => OpenOneRun(each, DirectorySubject.Buffered)));
        each.ManyRunsWritable.Add(Median(OpeningsPerRound, () => OpenManyRuns(each, DirectorySubject.Buffered)));
        each.FirstPut.Add(PutFirst(each));                  // last: closing makes a checkpoint, which the next opening reads
    }

    private double OpenLmdb(Case each)
    {
        if (PeerCatalogue.Lmdb.Missing is not null)
            return 0;
        var key = Keys.At(_keys.Next(each.Entries));
        var start = Stopwatch.GetTimestamp();
        using var peer = LmdbPeer.OpenReading(each.Lmdb);
        return Elapsed(start, peer.TryGet(key, _destination, out _));
    }

    private double OpenOneRun(Case each, CairnOptions options)
    {
        var key = Keys.At(_keys.Next(each.Entries));
        var start = Stopwatch.GetTimestamp();
        using var subject = new DirectorySubject(each.OneRun, options);
        return Elapsed(start, subject.TryGet(key, _destination, out _));
    }

    private double OpenManyRuns(Case each, CairnOptions options)
    {
        var number = _keys.Next(each.Entries);
        var (name, key) = (DirectorySubject.RunName(number / EntriesPerRun), Keys.At(number));
        var start = Stopwatch.GetTimestamp();
        using var subject = new DirectorySubject(each.ManyRuns, options);
        return Elapsed(start, subject.TryGet(name, key, _destination, out _));
    }

    // What the opening left to do until there is something to write.
    private double PutFirst(Case each)
    {
        var start = Stopwatch.GetTimestamp();
        using var subject = new DirectorySubject(each.OneRun, DirectorySubject.Buffered);
        subject.Put(Keys.At(_keys.Next(each.Entries)), run.Value);
        return Elapsed(start, isFound: true);
    }

    private static double Sync(PrewrittenFile file)
    {
        file.Append(new byte[4096]);
        var start = Stopwatch.GetTimestamp();
        file.Sync();
        return Elapsed(start, isFound: true);
    }

    private static double Elapsed(long start, bool isFound)
    {
        var elapsed = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
        return isFound ? elapsed : throw new InvalidOperationException("A reopened database did not give back what was put.");
    }

    private static double Median(int times, Func<double> measure) =>
        Statistics.Median(Enumerable.Range(0, times).Select(_ => measure()).ToArray());

    private void Judge(List<Case> cases)
    {
        var report = run.Report;
        foreach (var each in cases)
        {
            report.Add("open-read-only LMDB", each.LmdbTime, "ms", each.Size);
            report.Add("open-read-only Cairn-one-run", each.OneRunReadOnly, "ms", each.Size);
            report.Add("open-read-only Cairn-many-runs", each.ManyRunsReadOnly, "ms", each.Size);
            report.Add("open-writable Cairn-one-run", each.OneRunWritable, "ms", each.Size);
            report.Add("open-writable Cairn-many-runs", each.ManyRunsWritable, "ms", each.Size);
            report.Add("open-writable-and-first-put Cairn-one-run", each.FirstPut, "ms", each.Size);
        }

        report.Add("open fdatasync", _sync, "ms", "bytes=4096");
        var judged = cases.Single(each => each.Entries == run.Entries);
        var limit = Series.Sum(judged.LmdbTime.Times(LimitOfLmdb), _sync.Times(LimitOfSyncs));
        report.Judge(StorageGates.ReadOnlyToLmdb, Series.Ratio(judged.OneRunReadOnly, judged.LmdbTime), judged.Size);
        report.Judge(StorageGates.WritableToLimit, Series.Ratio(judged.OneRunWritable, limit), judged.Size);
        Growth(StorageGates.ReadOnlyGrowthInOneRun, each => each.OneRunReadOnly);
        Growth(StorageGates.ReadOnlyGrowthInManyRuns, each => each.ManyRunsReadOnly);
        Growth(StorageGates.WritableGrowthInOneRun, each => each.OneRunWritable);
        Growth(StorageGates.WritableGrowthInManyRuns, each => each.ManyRunsWritable);
        JudgeUpToTenMillion(StorageGates.OpenTenMillion, Series.Ratio(cases[^1].OneRunWritable, cases[0].OneRunWritable));

        // Set from ten thousand to ten million.
        void JudgeUpToTenMillion(Gate gate, Series ratio)
        {
            if (run.IsQuick || cases[^1].Entries == TenMillion)
            {
                run.JudgeAtFullSize(gate, ratio, Range(cases));
                return;
            }

            report.Add(gate.Name, ratio, "x", Range(cases));
            report.Skip(gate.Name, "needs ten million entries");
        }

        // Round by round, the slowest size through the quickest.
        void Growth(Gate gate, Func<Case, Series> time)
        {
            var (slowest, quickest) = (time(cases[0]), time(cases[0]));
            foreach (var each in cases)
                (slowest, quickest) = (Series.Greater(slowest, time(each)), Series.Lesser(quickest, time(each)));
            JudgeUpToTenMillion(gate, Series.Ratio(slowest, quickest));
        }
    }

    private static string Range(List<Case> cases) =>
        string.Create(CultureInfo.InvariantCulture, $"entries={cases[0].Entries}..{cases[^1].Entries}");

    /// <summary>Databases of one size, and the times of opening them.</summary>
    private sealed record Case(int Entries, string OneRun, string ManyRuns, string Lmdb)
    {
        internal readonly Series LmdbTime = Series.For(PeerCatalogue.Lmdb.Missing);
        internal readonly Series OneRunReadOnly = Series.For(null);
        internal readonly Series ManyRunsReadOnly = Series.For(null);
        internal readonly Series OneRunWritable = Series.For(null);
        internal readonly Series ManyRunsWritable = Series.For(null);
        internal readonly Series FirstPut = Series.For(null);

        internal string Size => StorageRun.SizeOf(Entries);
    }
}
