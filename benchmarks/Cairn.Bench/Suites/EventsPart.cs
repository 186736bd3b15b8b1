using System.Buffers.Binary;
using System.Diagnostics;
using Cairn.Bench.Bare;
using Cairn.Bench.Harness;
using Cairn.Bench.Peers;

namespace Cairn.Bench.Suites;

/// <summary>
/// Appending hash-chained events in Buffered mode beside the bare loop of the same hashes and one write; scanning them in order
/// beside RocksDB's iterator over as many entries of the same size under numbered keys: by callback, where both give the place of
/// each value and copy nothing, and by pages of owned events, every payload decoded.
/// </summary>
internal sealed class EventsPart(KvRun run)
{
    private const string EventType = "tool_call";
    private const int BodyNameBytes = 4;
    private const int ScansPerRound = 5;                     // one is over in milliseconds: the median of some, in turns

    private readonly Series _append = Series.For(CairnSubject.EventsMissing);
    private readonly Series _chain = Series.For(null);
    private readonly Series _scan = Series.For(CairnSubject.EventsMissing);
    private readonly Series _pages = Series.For(CairnSubject.EventsMissing);
    private readonly Series _iterator = Series.For(PeerCatalogue.RocksDb.Missing);

    internal void Run()
    {
        Append();
        Scan();
        var report = run.Report;
        report.Add("event-append Cairn", _append, "/s", run.Size);
        report.Add("event-append hash-pwrite-loop", _chain, "/s", run.Size);
        report.Add("event-scan Cairn", _scan, "/s", run.Size);
        report.Add("event-pages Cairn", _pages, "/s", run.Size);
        report.Add("event-scan RocksDB", _iterator, "/s", run.Size);
        report.Judge(KvGates.AppendToHashChain, Series.Ratio(_append, _chain), run.Size);
        report.Judge(KvGates.EventScanToRocksDb, Series.Ratio(_scan, _iterator), run.Size);
        report.Judge(KvGates.EventPagesToRocksDb, Series.Ratio(_pages, _iterator), run.Size);
    }

    private void Append()
    {
        using var file = new PrewrittenFile(Path.Combine(run.NewDirectory(), "bare"), run.FileBytes);
        var payload = new byte[RecordBytes.ObjectOfBytes(BodyNameBytes, run.Value.Length)];
        var chain = new HashChain(file, EventType.Length, payload.Length);
        KvRun.Settle();
        Window.Alone(run.Slice / 4, _ => chain.Append(payload));
        for (var round = 0; round < run.Rounds; round++)
        {
            // A fresh database per round: the run's length must not tell.
            if (CairnSubject.EventsMissing is null)
            {
                using var subject = CairnSubject.Open(Durability.Buffered, run.NewDirectory());
                Window.Alone(run.Slice / 10, _ => subject.AppendEvent(EventType, run.Value));
                _append.Add(Window.Alone(run.Slice, _ => subject.AppendEvent(EventType, run.Value)).PerSecond);
            }

            _chain.Add(Window.Alone(run.Slice, _ => chain.Append(payload)).PerSecond);
        }
    }

    private void Scan()
    {
        using var cairn = CairnSubject.EventsMissing is null ? CairnSubject.Open(Durability.Buffered, run.NewDirectory()) : null;
        using var rocksDb = PeerCatalogue.RocksDb.Missing is null ? new RocksDbPeer(Durability.Buffered, run.NewDirectory()) : null;
        Span<byte> key = stackalloc byte[sizeof(ulong)];
        for (var i = 0; i < run.KeyCount; i++)
        {
            cairn?.AppendEvent(EventType, run.Value);
            BinaryPrimitives.WriteUInt64BigEndian(key, (ulong)i);
            rocksDb?.Put(key, run.Value);
        }

        KvRun.Settle();
        const int WarmUp = -1;
        for (var round = WarmUp; round < run.Rounds; round++)
        {
            var ofCairn = new List<double>();
            var ofPages = new List<double>();
            var ofRocksDb = new List<double>();
            for (var turn = 0; turn < ScansPerRound; turn++)
            {
                ofCairn.Add(cairn is null ? 0 : Rate(cairn.ScanEvents));
                ofPages.Add(cairn is null ? 0 : Rate(cairn.PageEvents));
                ofRocksDb.Add(rocksDb is null ? 0 : Rate(rocksDb.Scan));
            }

            if (round == WarmUp)
                continue;
            _scan.Add(Statistics.Median(ofCairn));
            _pages.Add(Statistics.Median(ofPages));
            _iterator.Add(Statistics.Median(ofRocksDb));
        }
    }

    private double Rate(Func<long> scan)
    {
        var start = Stopwatch.GetTimestamp();
        var bytes = scan();
        var rate = run.KeyCount / Stopwatch.GetElapsedTime(start).TotalSeconds;
        return bytes == (long)run.KeyCount * run.Value.Length ? rate
            : throw new PeerException("A scan of events did not give back what was appended.");
    }
}
