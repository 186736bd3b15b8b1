using Cairn.Log;
using Cairn.Storage;
using Cairn.Tests.Transactions;
using Xunit;

namespace Cairn.Tests.Log;

/// <summary>
/// A rotation is planned when a place is taken: the positions of the records behind it rest on the room in the segment that was
/// prepared. A commit that needs more room than that prepares a larger one, and it must not be exchanged under a plan: the places
/// would be beyond the file's end, or the file's end beyond the places, and the database would fail at the rotation.
/// </summary>
[Trait("Promise", "G7")]
public sealed class PreparedSegmentTests
{
    private const int SegmentBytes = 16 << 10;

    private static TestDatabase WithPreparedSegment(IStorage storage)
    {
        var database = new TestDatabase(
            Durability.Buffered, options => options with { SegmentBytesMin = SegmentBytes, SegmentBytesMax = SegmentBytes }, storage);
        database.Kv.Put("first", new byte[9_000]);      // the segment is half full
        database.Maintain();
        Assert.Equal(SegmentBytes, PreparedBytes(storage));
        return database;
    }

    private static long PreparedBytes(IStorage storage)
    {
        using var file = storage.Open(LogNames.PreparedPath, writable: false);
        return file.Length;
    }

    private static PendingRecord Record(int payloadBytes)
    {
        var record = new PendingRecord();
        record.Extend(payloadBytes).Clear();
        return record;
    }

    // Half of all that was written were zeros.
    [Theory]
    [InlineData(Durability.Buffered)]
    [InlineData(Durability.Strict)]
    public void A_Buffered_database_writes_its_records_and_no_zeros_before_them(Durability mode)
    {
        const int Bytes = 8 << 20;
        var storage = new CountingStorage(new MemoryStorage());
        using var database = new TestDatabase(
            mode, options => options with { SegmentBytesMin = 256 << 10, SegmentBytesMax = 1 << 20, ContentThreshold = 64 << 20 }, storage);
        for (var i = 0; i < Bytes / 4096; i++)
        {
            database.Kv.Put($"k{i % 10}", new byte[4096]);
            if (i % 16 == 0)
                database.Maintain();
        }

        Assert.True(database.Db.Metrics.LogSegments > 5);
        var zeros = storage.BytesWritten - (long)database.Db.Engine.Path.Log.WrittenPosition;
        Assert.InRange(zeros, mode == Durability.Strict ? Bytes * 9 / 10 : 0, mode == Durability.Strict ? Bytes * 3 / 2 : Bytes / 10);
    }

    // It stayed as large as the largest segment had asked for, though an opening begins with small ones.
    [Fact]
    public void The_reserve_shrinks_with_the_segments()
    {
        using var storage = new MemoryStorage();
        var reserve = new Reserve(storage);
        foreach (var bytes in new[] { 10_000, 60_000, 60_000, 20_000, 0, 30_000 })
        {
            Assert.True(reserve.TryBuild(bytes));
            Assert.Equal(bytes, reserve.HeldBytes);
            Assert.Equal(bytes, new Reserve(storage).HeldBytes);
        }
    }

    // Found by reading: whoever had no room prepared a larger segment, also when a rotation into the smaller one was planned and
    // waited in the queue behind a record that was still being filled.
    [Fact]
    public void A_segment_that_a_planned_rotation_rests_on_is_not_replaced()
    {
        var storage = new MemoryStorage();
        using var database = WithPreparedSegment(storage);
        var log = database.Db.Engine.Path.Log;
        Assert.Equal(TakeResult.Taken, log.TryTake(Record(100), database.Clock.Microseconds));
        Assert.Equal(TakeResult.Taken, log.TryTake(Record(6_000), database.Clock.Microseconds));

        log.MakeRoom(20_000);

        Assert.Equal(SegmentBytes, PreparedBytes(storage));
        database.Abandon();
    }

    // Found while the test above was written: between the question whether a rotation is planned and the end of preparing there is
    // time to plan one.
    [Fact]
    public void No_rotation_is_planned_while_the_prepared_segment_is_being_replaced()
    {
        var storage = new WatchedStorage(new MemoryStorage());
        using var database = WithPreparedSegment(storage);
        var log = database.Db.Engine.Path.Log;
        var taken = new List<TakeResult>();
        storage.AtCreating = path =>
        {
            if (path == LogNames.PreparedPath + LogNames.Part)
                taken.Add(log.TryTake(Record(6_000), database.Clock.Microseconds));
        };

        database.Kv.Put("large", new byte[20_000]);

        Assert.Equal([TakeResult.NoRoom], taken);
        storage.AtCreating = null;
        database.Kv.Put("last", 1);
        database.NowAndAfterReopening(() =>
        {
            Assert.Equal(20_000, database.Kv.Get("large")!.Value.AsBytes().Length);
            Assert.Equal(1, database.Kv.Number("last"));
        });
    }

    private sealed class WatchedStorage(IStorage inner) : StorageLayer(inner)
    {
        internal Action<string>? AtCreating { get; set; }

        public override IFile CreateNew(string path)
        {
            AtCreating?.Invoke(path);
            return base.CreateNew(path);
        }
    }
}
