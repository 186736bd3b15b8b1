using System.Diagnostics;
using Cairn.Bench.Harness;
using Cairn.Bench.Peers;

namespace Cairn.Bench.Suites;

/// <summary>
/// Insert, update and get of every contestant without durability, each round into a new store: inserts in one random order,
/// two passes of updates (the second timed one by one, for percentiles) and two of gets in another, then a scan where there is
/// order. The first of the contestants in line moves with each round. Contestants that are slower by an order of magnitude get
/// a tenth of the keys; no goal rests on them.
/// </summary>
internal sealed class InMemoryPart(KvRun run, int keyCount, bool isJudged)
{
    private const int SlowShare = 10;

    private readonly ChangingValue _value = run.NewValue();
    private readonly byte[] _destination = new byte[1024];

    private readonly List<Contestant> _contestants =
    [
        new(CairnSubject.Entry, 1),
        new(PeerCatalogue.ConcurrentDictionary, 1),
        new(PeerCatalogue.Lmdb, 1),
        new(StoreSubject.Entry, 1),
        new(PeerCatalogue.Faster, 1),
        new(PeerCatalogue.RocksDb, SlowShare),
        new(PeerCatalogue.Sqlite, SlowShare),
    ];

    internal void Run()
    {
        const int WarmUp = -1;
        for (var round = WarmUp; round < run.Rounds; round++)
        {
            for (var turn = 0; turn < _contestants.Count; turn++)
            {
                var contestant = _contestants[(turn + Math.Max(0, round)) % _contestants.Count];
                if (contestant.Entry.Missing is null && (round != WarmUp || contestant.Share == 1))
                    Measure(contestant, isRecorded: round != WarmUp);
            }
        }

        foreach (var contestant in _contestants)
            Add(contestant);
        if (isJudged)
            Judge();
    }

    private void Measure(Contestant contestant, bool isRecorded)
    {
        var count = keyCount / contestant.Share;
        var insertion = count == run.KeyCount ? run.Insertion : Keys.Shuffled(count, seed: 1);
        var access = count == run.KeyCount ? run.Access : Keys.Shuffled(count, seed: 2);
        var directory = run.NewDirectory();
        KvRun.Settle();
        using (var peer = contestant.Entry.Open(Durability.InMemory, directory, count))
        {
            run.Report.Peer($"{peer.Name}({Durability.InMemory})", peer.Configuration);
            var insert = Puts(peer, insertion);
            var update = Puts(peer, access);
            var updateLatency = TimedPuts(peer, access);
            var get = Gets(peer, access);
            var getLatency = TimedGets(peer, access);
            var scan = peer.IsOrdered ? Scan(peer, count) : 0;
            if (isRecorded)
            {
                contestant.Insert.Add(insert);
                contestant.Update.Add(update);
                contestant.UpdateLatency.Add(updateLatency.Microseconds(0.999));
                contestant.PutAllocation.Add(Allocations.PerOperation(i => peer.Put(access[i], _value.Next())));
                contestant.Get.Add(get);
                contestant.GetLatency.Add(getLatency.Microseconds(0.999));
                contestant.GetAllocation.Add(Allocations.PerOperation(i => peer.TryGet(access[i], _destination, out _)));
                if (peer.IsOrdered)
                    contestant.Scan.Add(scan);
            }
        }

        Directory.Delete(directory, recursive: true);
    }

    private double Puts(Peer peer, string[] keys)
    {
        var start = Stopwatch.GetTimestamp();
        foreach (var key in keys)
            peer.Put(key, _value.Next());
        return keys.Length / Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    private double Gets(Peer peer, string[] keys)
    {
        long bytes = 0;
        var start = Stopwatch.GetTimestamp();
        foreach (var key in keys)
        {
            peer.TryGet(key, _destination, out var written);
            bytes += written;
        }

        var rate = keys.Length / Stopwatch.GetElapsedTime(start).TotalSeconds;
        return bytes == (long)keys.Length * run.Value.Length ? rate : throw Wrong(peer, "get");
    }

    private LatencyHistogram TimedPuts(Peer peer, string[] keys)
    {
        var latency = new LatencyHistogram();
        var now = Stopwatch.GetTimestamp();
        foreach (var key in keys)
        {
            peer.Put(key, _value.Next());
            now = latency.RecordSince(now);
        }

        return latency;
    }

    private LatencyHistogram TimedGets(Peer peer, string[] keys)
    {
        var latency = new LatencyHistogram();
        var now = Stopwatch.GetTimestamp();
        foreach (var key in keys)
        {
            peer.TryGet(key, _destination, out _);
            now = latency.RecordSince(now);
        }

        return latency;
    }

    private double Scan(Peer peer, int count)
    {
        var start = Stopwatch.GetTimestamp();
        var bytes = peer.Scan();
        var rate = count / Stopwatch.GetElapsedTime(start).TotalSeconds;
        return bytes == (long)count * run.Value.Length ? rate : throw Wrong(peer, "scan");
    }

    private void Add(Contestant contestant)
    {
        var report = run.Report;
        var name = contestant.Entry.Name;
        var size = KvRun.SizeOf(keyCount / contestant.Share);
        report.Add($"insert {name}", contestant.Insert, "/s", size);
        report.Add($"update {name}", contestant.Update, "/s", size);
        report.Add($"update-p99.9 {name}", contestant.UpdateLatency, "us", size);
        report.Add($"put-allocated {name}", contestant.PutAllocation, "bytes", size);
        report.Add($"get {name}", contestant.Get, "/s", size);
        report.Add($"get-p99.9 {name}", contestant.GetLatency, "us", size);
        report.Add($"get-allocated {name}", contestant.GetAllocation, "bytes", size);
        if (contestant.Scan.Rounds.Count != 0)
            report.Add($"scan {name}", contestant.Scan, "entries/s", size);
    }

    private void Judge()
    {
        var report = run.Report;
        var size = KvRun.SizeOf(keyCount);
        var cairn = Of(CairnSubject.PeerName);
        var dictionary = Of(ConcurrentDictionaryPeer.PeerName);
        report.Judge(KvGates.UpdateToLmdb, Series.Ratio(cairn.Update, Of(LmdbPeer.PeerName).Update), size);
        run.JudgeAtFullSize(KvGates.UpdateToDictionary, Series.Ratio(cairn.Update, dictionary.Update), size);
        run.JudgeAtFullSize(KvGates.InsertToDictionary, Series.Ratio(cairn.Insert, dictionary.Insert), size);
        run.JudgeAtFullSize(KvGates.GetToDictionary, Series.Ratio(cairn.Get, dictionary.Get), size);
        report.Judge(KvGates.UpdateLatency, cairn.UpdateLatency, size);
        report.Judge(KvGates.GetLatency, cairn.GetLatency, size);
        report.Judge(KvGates.PutToStorePut, Series.Ratio(Of(StoreSubject.PeerName).Update, cairn.Update), size);
        report.Judge(KvGates.GetAllocation, cairn.GetAllocation, size);
        report.Judge(KvGates.PutAllocation, cairn.PutAllocation, size);
    }

    private Contestant Of(string name) => _contestants.Find(contestant => contestant.Entry.Name == name)!;

    private static PeerException Wrong(Peer peer, string what) => new($"{peer.Name}: {what} did not give back what was put.");

    /// <summary>A peer and what it did in each round.</summary>
    private sealed class Contestant(PeerEntry entry, int share)
    {
        internal readonly PeerEntry Entry = entry;
        internal readonly int Share = share;
        internal readonly Series Insert = Series.For(entry.Missing);
        internal readonly Series Update = Series.For(entry.Missing);
        internal readonly Series UpdateLatency = Series.For(entry.Missing);
        internal readonly Series PutAllocation = Series.For(entry.Missing);
        internal readonly Series Get = Series.For(entry.Missing);
        internal readonly Series GetLatency = Series.For(entry.Missing);
        internal readonly Series GetAllocation = Series.For(entry.Missing);
        internal readonly Series Scan = Series.For(entry.Missing);
    }
}
