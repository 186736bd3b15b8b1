using System.Diagnostics;
using Cairn.Bench.Bare;
using Cairn.Bench.Harness;
using Cairn.Bench.Peers;

namespace Cairn.Bench.Suites;

/// <summary>
/// One thread updating loaded keys in Buffered mode, taking turns with the bare loop and the peers; all stay open over the
/// rounds. Cairn is there twice: with default options, which sync at a count of commits too and so are judged for latency, and
/// synced by time alone, as the peers are. The bare loop is there twice: over a file that was zeroed by large writes, as files
/// usually are, and over one zeroed as Cairn's segments are, which is the limit of the machine.
/// </summary>
internal sealed class BufferedPart(KvRun run)
{
    private const int ManyKeys = 100;

    private readonly Lane _cairn = new(CairnSubject.Missing, run.Slice);
    private readonly Lane _writes = new(null, run.Slice);
    private readonly Lane _writesInSmallPieces = new(null, run.PeerSlice);
    private readonly Lane _cairnByTime = new(CairnSubject.Missing, run.PeerSlice);
    private readonly Lane _rocksDb = new(PeerCatalogue.RocksDb.Missing, run.PeerSlice);
    private readonly Lane _sqlite = new(PeerCatalogue.Sqlite.Missing, run.PeerSlice);
    private readonly Series _many = Series.For(CairnSubject.Missing);
    private readonly Series _manyInMemory = Series.For(CairnSubject.Missing);

    internal void Run()
    {
        Single();
        Many();
        Judge();
    }

    private void Single()
    {
        var opened = new List<IDisposable>();
        var record = new byte[RecordBytes.Put(Keys.Bytes, run.Value.Length)];
        var file = new PrewrittenFile(Path.Combine(run.NewDirectory(), "bare"), run.FileBytes);
        opened.Add(file);
        _writes.Write = _ => file.Append(record);
        var pieces = new PrewrittenFile(Path.Combine(run.NewDirectory(), "bare"), run.FileBytes, PrewrittenFile.SmallSteps);
        opened.Add(pieces);
        _writesInSmallPieces.Write = _ => pieces.Append(record);
        if (CairnSubject.Missing is null)
        {
            Use(_cairn, CairnSubject.Open(Durability.Buffered, run.NewDirectory()), "Cairn(Buffered)");
            Use(
                _cairnByTime,
                CairnSubject.Open(Durability.Buffered, run.NewDirectory(), syncsByTimeAlone: true),
                "Cairn(Buffered, by time)");
        }

        UseEntry(_rocksDb, PeerCatalogue.RocksDb);
        UseEntry(_sqlite, PeerCatalogue.Sqlite);
        Lane[] lanes = [_cairn, _writes, _writesInSmallPieces, _cairnByTime, _rocksDb, _sqlite];
        KvRun.Settle();
        foreach (var lane in lanes)
            lane.Measure(isRecorded: false);
        for (var round = 0; round < run.Rounds; round++)
        {
            for (var turn = 0; turn < lanes.Length; turn++)
                lanes[(turn + round) % lanes.Length].Measure(isRecorded: true);
        }

        foreach (var one in opened)
            one.Dispose();

        void UseEntry(Lane lane, PeerEntry entry)
        {
            if (entry.Missing is null)
                Use(lane, entry.Open(Durability.Buffered, run.NewDirectory(), run.KeyCount), $"{entry.Name}({Durability.Buffered})");
        }

        void Use(Lane lane, Peer peer, string title)
        {
            opened.Add(peer);
            run.Report.Peer(title, peer.Configuration);
            peer.Load(run.Insertion, run.Value);
            var value = run.NewValue();
            var next = 0;
            lane.Write = _ =>
            {
                peer.Put(run.Access[next], value.Next());
                next = next + 1 == run.Access.Length ? 0 : next + 1;
            };
        }
    }

    private void Many()
    {
        if (CairnSubject.Missing is not null)
            return;
        using var buffered = CairnSubject.Open(Durability.Buffered, run.NewDirectory());
        using var inMemory = CairnSubject.Open(Durability.InMemory, run.NewDirectory());
        buffered.Load(run.Insertion, run.Value);
        inMemory.Load(run.Insertion, run.Value);
        var value = run.NewValue();
        KvRun.Settle();
        Rate(buffered);
        Rate(inMemory);
        for (var round = 0; round < run.Rounds; round++)
        {
            _many.Add(Rate(buffered));
            _manyInMemory.Add(Rate(inMemory));
        }

        double Rate(CairnSubject subject)
        {
            var start = Stopwatch.GetTimestamp();
            for (var at = 0; at + ManyKeys <= run.Access.Length; at += ManyKeys)
                subject.PutMany(run.Access.AsSpan(at, ManyKeys), value.Next());
            return run.Access.Length / Stopwatch.GetElapsedTime(start).TotalSeconds;
        }
    }

    private void Judge()
    {
        var report = run.Report;
        report.Add("buffered Cairn", _cairn.Rate, "/s", run.Size);
        report.Add("buffered Cairn-by-time", _cairnByTime.Rate, "/s", run.Size);
        report.Add("buffered pwrite-loop", _writes.Rate, "/s", run.Size);
        report.Add("buffered pwrite-loop-small-pieces", _writesInSmallPieces.Rate, "/s", run.Size);
        report.Add(
            "buffered/pwrite-loop-small-pieces", Series.Ratio(_cairn.Rate, _writesInSmallPieces.Rate), "x", run.Size);
        report.Add("buffered RocksDB", _rocksDb.Rate, "/s", run.Size);
        report.Add("buffered SQLite", _sqlite.Rate, "/s", run.Size);
        report.Add("buffered-p99.9 pwrite-loop", _writes.Latency, "us", run.Size);
        report.Add("buffered-p99.9 RocksDB", _rocksDb.Latency, "us", run.Size);
        report.Add("buffered-p99.9 SQLite", _sqlite.Latency, "us", run.Size);
        report.Add("buffered-many-100 Cairn", _many, "entries/s", run.Size);
        report.Add("inmemory-many-100 Cairn", _manyInMemory, "entries/s", run.Size);
        report.Judge(KvGates.BufferedToWrites, Series.Ratio(_cairn.Rate, _writes.Rate), run.Size);
        report.Judge(KvGates.BufferedManyToInMemory, Series.Ratio(_many, _manyInMemory), run.Size);
        report.Judge(KvGates.BufferedToRocksDb, Series.Ratio(_cairnByTime.Rate, _rocksDb.Rate), run.Size);
        report.Judge(KvGates.BufferedToSqlite, Series.Ratio(_cairnByTime.Rate, _sqlite.Rate), run.Size);
        report.Judge(KvGates.BufferedLatency, _cairn.Latency, run.Size);
    }

    /// <summary>A way to write, and its rate and 99.9th percentile in each round.</summary>
    private sealed class Lane(string? missing, TimeSpan slice)
    {
        internal readonly Series Rate = Series.For(missing);
        internal readonly Series Latency = Series.For(missing);

        internal Action<int>? Write { get; set; }

        internal void Measure(bool isRecorded)
        {
            if (Write is null)
                return;
            var result = Window.Alone(isRecorded ? slice : slice / 8, Write);
            if (!isRecorded)
                return;
            Rate.Add(result.PerSecond);
            Latency.Add(result.Latency.Microseconds(0.999));
        }
    }
}
