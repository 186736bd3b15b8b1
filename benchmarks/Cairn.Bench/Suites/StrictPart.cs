using Cairn.Bench.Bare;
using Cairn.Bench.Harness;
using Cairn.Bench.Peers;

namespace Cairn.Bench.Suites;

/// <summary>
/// Durable commits by 1, 16 and 64 writers, each case of Cairn followed by the bare group commit with as many writers over one
/// prewritten file. For one writer the limit is the better of two bare loops: with a committer thread, and without any thread
/// but the writer's own.
/// </summary>
internal sealed class StrictPart(KvRun run)
{
    private const int Some = 16;
    private const int Many = 64;

    private readonly List<Case> _cases = [];

    internal void Run()
    {
        using var file = new PrewrittenFile(Path.Combine(run.NewDirectory(), "bare"), run.FileBytes);
        var record = new byte[RecordBytes.Put(Keys.Bytes, run.Value.Length)];
        using var cairn = CairnSubject.Missing is null ? CairnSubject.Open(Durability.Strict, run.NewDirectory()) : null;
        using var rocksDb = PeerCatalogue.RocksDb.Missing is null
            ? PeerCatalogue.RocksDb.Open(Durability.Strict, run.NewDirectory(), run.KeyCount) : null;
        using var sqlite = PeerCatalogue.Sqlite.Missing is null && !run.IsQuick
            ? PeerCatalogue.Sqlite.Open(Durability.Strict, run.NewDirectory(), run.KeyCount) : null;
        foreach (var peer in new[] { cairn, rocksDb, sqlite })
        {
            if (peer is not null)
                run.Report.Peer($"{peer.Name}({Durability.Strict})", peer.Configuration);
        }

        // Each writer has keys and a value of its own; the value is not touched again before its write is answered.
        var values = new ChangingValue[Many];
        for (var writer = 0; writer < Many; writer++)
            values[writer] = run.NewValue();
        var notHere = CairnSubject.Missing;
        var one = Add("strict-1 Cairn", notHere, slice =>
            Window.Alone(slice, i => cairn!.Put(Key(0, i), values[0].Next())));
        var bareOne = Add("strict-1 bare-direct", null, slice => Window.Alone(slice, _ =>
        {
            file.Append(record);
            file.Sync();
        }));
        var bareOneHanded = Add("strict-1 bare-committer", null, slice => Blocking(file, record, 1, slice), isPeer: true);
        var some = Add("strict-16-async Cairn", notHere, slice =>
            Window.Tasks(Some, slice, (writer, i) => cairn!.PutAsync(Key(writer, i), values[writer].Next())));
        var bareSome = Add("strict-16-async bare", null, slice => Awaiting(file, record, Some, slice));
        var many = Add("strict-64-async Cairn", notHere, slice =>
            Window.Tasks(Many, slice, (writer, i) => cairn!.PutAsync(Key(writer, i), values[writer].Next())));
        var bareMany = Add("strict-64-async bare", null, slice => Awaiting(file, record, Many, slice));
        var peerMany = Add("strict-64-threads RocksDB", PeerCatalogue.RocksDb.Missing, slice =>
            Window.Threads(Many, slice, (writer, i) => rocksDb!.Put(Key(writer, i), values[writer].Next())), isPeer: true);
        var threads = Add("strict-64-threads Cairn", notHere, slice =>
            Window.Threads(Many, slice, (writer, i) => cairn!.Put(Key(writer, i), values[writer].Next())));
        var bareThreads = Add("strict-64-threads bare", null, slice => Blocking(file, record, Many, slice));
        if (sqlite is not null)
            Add("strict-1 SQLite", null, slice => Window.Alone(slice, i => sqlite.Put(Key(0, i), values[0].Next())));

        KvRun.Settle();
        foreach (var each in _cases)
            each.Measure(isRecorded: false);
        for (var round = 0; round < run.Rounds; round++)
        {
            foreach (var each in _cases)
                each.Measure(isRecorded: true);
        }

        var report = run.Report;
        foreach (var each in _cases)
        {
            report.Add(each.Name, each.Rate, "/s", run.Size);
            report.Add($"{each.Name} p99", each.Latency, "us", run.Size);
        }

        report.Judge(KvGates.StrictOne, Series.Ratio(one.Rate, Series.Greater(bareOne.Rate, bareOneHanded.Rate)), "writers=1");
        report.Judge(KvGates.StrictSixteenAsync, Series.Ratio(some.Rate, bareSome.Rate), "writers=16");
        report.Judge(KvGates.StrictSixtyFourAsync, Series.Ratio(many.Rate, bareMany.Rate), "writers=64");
        report.Judge(KvGates.StrictSixtyFourThreads, Series.Ratio(threads.Rate, bareThreads.Rate), "writers=64");
        report.Judge(KvGates.StrictToRocksDb, Series.Ratio(many.Rate, peerMany.Rate), "writers=64");
    }

    private static WindowResult Awaiting(PrewrittenFile file, byte[] record, int writers, TimeSpan slice)
    {
        using var log = new GroupCommit(file, blocks: false);
        return Window.Tasks(writers, slice, (_, _) => log.WriteAsync(record));
    }

    private static WindowResult Blocking(PrewrittenFile file, byte[] record, int writers, TimeSpan slice)
    {
        using var log = new GroupCommit(file, blocks: true);
        return Window.Threads(writers, slice, (_, _) => log.Write(record));
    }

    /// <summary>Each writer walks a part of the keys of its own.</summary>
    private string Key(int writer, int number)
    {
        var part = run.Access.Length / Many;
        return run.Access[writer * part + number % part];
    }

    private Case Add(string name, string? missing, Func<TimeSpan, WindowResult> measure, bool isPeer = false)
    {
        var added = new Case(name, missing, measure, isPeer ? run.PeerSlice : run.Slice);
        _cases.Add(added);
        return added;
    }

    /// <summary>A number of writers on a log, and their rate and 99th percentile in each round.</summary>
    private sealed class Case(string name, string? missing, Func<TimeSpan, WindowResult> measure, TimeSpan slice)
    {
        internal readonly string Name = name;
        internal readonly Series Rate = Series.For(missing);
        internal readonly Series Latency = Series.For(missing);

        internal void Measure(bool isRecorded)
        {
            if (missing is not null)
                return;
            var result = measure(isRecorded ? slice : slice / 8);
            if (!isRecorded)
                return;
            Rate.Add(result.PerSecond);
            Latency.Add(result.Latency.Microseconds(0.99));
        }
    }
}
