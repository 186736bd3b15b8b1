using System.Diagnostics;
using Cairn.Bench.Harness;
using Cairn.Bench.Peers;

namespace Cairn.Bench.Suites;

/// <summary>As many entries of the same size in RocksDB, its log written with each put and synced every 100 ms.</summary>
internal sealed class ScalePeersPart(ScaleRun run)
{
    private const int ValueBytes = 100;

    internal void Run()
    {
        var missing = PeerCatalogue.RocksDb.Missing;
        var (rate, disk, open) = (Series.For(missing), Series.For(missing), Series.For(missing));
        var latency = new LatencyHistogram();
        if (missing is null)
        {
            var directory = run.NewDirectory();
            using (var peer = PeerCatalogue.RocksDb.Open(Durability.Buffered, directory, run.Entries))
            {
                run.Report.Peer("RocksDB(Buffered)", peer.Configuration);
                rate.Add(Fill(peer, latency));
            }

            disk.Add(DirectorySize.Bytes(directory) / (double)run.Entries);
            open.Add(Open(directory));
        }

        run.Report.Add("scale-throughput RocksDB", rate, "entries/s", run.Size);
        foreach (var (name, share) in new[] { ("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999), ("worst", 1) })
        {
            var series = Series.For(missing);
            if (missing is null)
                series.Add(latency.Microseconds(share));
            run.Report.Add($"scale-put-{name} RocksDB", series, "us", run.Size);
        }

        run.Report.Add("scale-disk RocksDB", disk, "bytes/entry", run.Size);
        run.Report.Add("scale-first-read RocksDB", open, "ms", run.Size);
        run.Report.Add("scale-throughput/RocksDB", Series.Ratio(run.EntriesPerSecond, rate), "x", run.Size);
    }

    // Each run's entries in their order, the runs in turns, as the engine gets them.
    private double Fill(Peer peer, LatencyHistogram latency)
    {
        var value = new ChangingValue(ValueBytes);
        var start = Stopwatch.GetTimestamp();
        for (var number = 0; number < run.Entries; number++)
        {
            var begun = Stopwatch.GetTimestamp();
            peer.Put(MixedSubject.PeerKey(number), value.Next());
            latency.RecordSince(begun);
        }

        return run.Entries / Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    private double Open(string directory)
    {
        var destination = new byte[ValueBytes];
        var start = Stopwatch.GetTimestamp();
        using var peer = PeerCatalogue.RocksDb.Open(Durability.Buffered, directory, run.Entries);
        var isFound = peer.TryGet(MixedSubject.PeerKey(run.Entries / 2), destination, out _);
        return isFound ? Stopwatch.GetElapsedTime(start).TotalMilliseconds
            : throw new InvalidOperationException("RocksDB did not give back what was put.");
    }
}
