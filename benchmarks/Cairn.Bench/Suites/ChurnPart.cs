using Cairn.Bench.Bare;
using Cairn.Bench.Harness;
using Cairn.Bench.Peers;

namespace Cairn.Bench.Suites;

/// <summary>
/// What a set costs on disk that is put over and over, at random, 24 times as often as it has entries, with KeepLast(1): bytes
/// written for each byte that was put, beside RocksDB with a write buffer as large as the log between two checkpoints; and the
/// space that is left after a compaction. Both are closed within the measurement, and neither is compacted by hand in it. The goal
/// counts bytes given to write calls; what the device got is a figure.
/// </summary>
internal sealed class ChurnPart(StorageRun run)
{
    private const int Churn = 24;
    private const double LiveAllowance = 1.3;

    private readonly int _entries = run.IsQuick ? 20_000 : 500_000;
    private readonly int _bufferBytes = run.IsQuick ? 2 << 20 : 32 << 20;
    private readonly Series _cairn = Series.For(DirectorySubject.CompactionMissing);
    private readonly Series _cairnDevice = Series.For(DirectorySubject.CompactionMissing);
    private readonly Series _space = Series.For(DirectorySubject.CompactionMissing);
    private readonly Series _spaceLimit = Series.For(DirectorySubject.CompactionMissing);
    private readonly Series _rocksDb = Series.For(DirectorySubject.CompactionMissing ?? PeerCatalogue.RocksDb.Missing);
    private readonly Series _rocksDbDevice = Series.For(DirectorySubject.CompactionMissing ?? PeerCatalogue.RocksDb.Missing);
    private readonly Series _rocksDbSpace = Series.For(DirectorySubject.CompactionMissing ?? PeerCatalogue.RocksDb.Missing);

    private double PutBytes => (double)_entries * Churn * (Keys.Bytes + run.Value.Length);

    private double LiveBytes => (double)_entries * (Keys.Bytes + RecordBytes.ByteString(run.Value.Length));

    internal void Run()
    {
        if (_cairn.Missing is null)
            Cairn();
        if (_rocksDb.Missing is null)
            RocksDb();
        var report = run.Report;
        var size = FormattableString.Invariant($"{StorageRun.SizeOf(_entries)} puts={_entries * Churn} buffer={_bufferBytes}");
        report.Add("churn-write-amplification Cairn", _cairn, "x", size);
        report.Add("churn-write-amplification RocksDB", _rocksDb, "x", size);
        report.Add("churn-write-amplification-device Cairn", _cairnDevice, "x", size);
        report.Add("churn-write-amplification-device RocksDB", _rocksDbDevice, "x", size);
        report.Add("churn-space Cairn", _space, "bytes", size);
        report.Add("churn-space-limit Cairn", _spaceLimit, "bytes", size);
        report.Add("churn-space RocksDB", _rocksDbSpace, "bytes", size);
        report.Judge(StorageGates.AmplificationToRocksDb, Series.Ratio(_cairn, _rocksDb), size);
        report.Judge(StorageGates.SpaceToLimit, Series.Ratio(_space, _spaceLimit), size);
    }

    private void Cairn()
    {
        var directory = run.NewDirectory();
        var options = DirectorySubject.ChurnedAt(_bufferBytes);
        var before = WrittenBytes.Now();
        using (var subject = new DirectorySubject(directory, options))
            PutAll(subject.Put);
        var written = WrittenBytes.Now() - before;
        _cairn.Add(written.Calls / PutBytes);
        _cairnDevice.Add(written.Device / PutBytes);
        using var again = new DirectorySubject(directory, options);
        again.Compact();
        _space.Add(DirectorySize.Bytes(directory));
        _spaceLimit.Add(LiveAllowance * LiveBytes + again.LogBytesSinceOlderCheckpoint + options.SegmentBytesMax);
    }

    private void RocksDb()
    {
        var directory = run.NewDirectory();
        var before = WrittenBytes.Now();
        using (var peer = new RocksDbPeer(Durability.Buffered, directory, _bufferBytes))
        {
            run.Report.Peer("RocksDB(churn)", peer.Configuration);
            PutAll(peer.Put);
        }

        var written = WrittenBytes.Now() - before;
        _rocksDb.Add(written.Calls / PutBytes);
        _rocksDbDevice.Add(written.Device / PutBytes);
        _rocksDbSpace.Add(DirectorySize.Bytes(directory));
    }

    private void PutAll(PutOne put)
    {
        var random = new Random(11);
        var value = run.NewValue();
        for (var i = 0; i < _entries; i++)
            put(Keys.At(i), value.Next());
        for (var i = 0; i < _entries * (Churn - 1); i++)
            put(Keys.At(random.Next(_entries)), value.Next());
    }

    private delegate void PutOne(string key, ReadOnlySpan<byte> value);
}
