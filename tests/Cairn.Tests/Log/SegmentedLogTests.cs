using Cairn.Log;
using Cairn.Storage;
using Xunit;

namespace Cairn.Tests.Log;

/// <summary>The log device over files: room, rotation, reading, giving up, failing.</summary>
public class SegmentedLogTests
{
    [Fact]
    public void Records_are_read_back_by_position_across_segments()
    {
        using var script = Opened(new MemoryStorage());
        var positions = new List<ulong>();
        for (var i = 0; i < 60; i++)
        {
            script.Commit(200);
            positions.Add(script.Position - (ulong)RecordFrame.LengthOf(script.Trace[i].Length));
            if (i % 10 == 9)
                script.Sync();
        }

        Assert.True(script.Log.Manifest.Segments.Count > 2);
        using var reader = new LogReader(script.Log);
        for (var i = positions.Count - 1; i >= 0; i--)
        {
            var header = reader.Read(positions[i], out var payload);
            Assert.Equal((ulong)i + 1, header.Sequence);
            Assert.Equal(script.Trace[i], payload.ToArray());
        }

        var scan = reader.Scan(script.Log.FirstPosition);
        var transactions = 0;
        var next = 0ul;
        while (scan.MoveNext())
        {
            Assert.Equal(next, scan.Position);
            next += (ulong)scan.Header.RecordLength;
            if (scan.Header.Type == RecordType.Transaction)
                Assert.Equal(script.Trace[transactions++], scan.Payload.ToArray());
        }

        Assert.Equal(60, transactions);
        Assert.Equal(script.Position, next);
    }

    [Fact]
    public void A_run_is_read_backwards_through_the_previous_positions_of_its_records()
    {
        using var script = Opened(new MemoryStorage());
        var previous = RunPart.NoPrevious;
        for (var i = 0; i < 30; i++)
        {
            script.Commit(Payloads.Transaction(i, [], Payloads.Part(RunId.System, RunPart.NoPrevious, Payloads.Operation(0x11, "other"u8, []))));
            script.Commit(Payloads.Transaction(i, [], Payloads.Part(RunId.Default, previous, Payloads.Operation(0x10, [(byte)(i + 1)], new byte[100]))));
            previous = script.Position - (ulong)RecordFrame.LengthOf(script.Trace[^1].Length);
            script.Write();
        }

        using var reader = new LogReader(script.Log);
        var number = 30;
        for (var position = previous; position != RunPart.NoPrevious; number--)
        {
            reader.Read(position, out var payload);
            var transaction = new TransactionPayload(payload);
            Assert.True(transaction.MoveNext(out var part));
            Assert.True(part.MoveNext(out var operation));
            Assert.Equal([(byte)number], operation.Key.ToArray());
            position = part.Previous;
        }

        Assert.Equal(0, number);
    }

    [Fact]
    public void A_position_that_begins_no_record_is_corruption()
    {
        using var script = Opened(new MemoryStorage());
        script.Commit(100);
        script.Sync();
        using var reader = new LogReader(script.Log);
        var refused = Assert.Throws<CorruptionException>(() => reader.Read(Opening.RecordBytes + 8, out _));
        Assert.Equal(SegmentHeader.Size + Opening.RecordBytes + 8, refused.Offset);
    }

    [Fact]
    public void Segments_double_up_to_the_largest()
    {
        using var script = Opened(new MemoryStorage(), LogScript.Options(1, 8 << 10, 32 << 10));
        var sizes = new List<long> { 8 << 10 };
        for (var i = 0; i < 4; i++)
        {
            sizes.Add(script.Log.NextSegmentBytes);
            script.Rotate();
        }

        Assert.Equal([8 << 10, 16 << 10, 32 << 10, 32 << 10, 32 << 10], sizes);
    }

    [Fact]
    public void A_record_larger_than_a_segment_gets_a_segment_of_its_size()
    {
        var storage = new MemoryStorage();
        using var script = Opened(storage);
        script.Commit(10);
        script.Log.Prepare(0);
        script.Commit(100_000);
        script.Commit(10);
        script.Sync();
        script.Close();
        Assert.Contains(script.Log.Manifest.Segments, segment => segment.FileBytes > 100_000);
        using var again = new LogScript(storage, 2, trace: script.Trace) { Acknowledged = 3 };
        again.Open();
    }

    [Fact]
    [Trait("Requirement", "DUR-9")]
    public void A_full_disk_is_met_while_preparing_and_leaves_nothing_behind()
    {
        var storage = new MemoryStorage(capacityBytes: 80 << 10);
        using var script = Opened(storage);
        var full = Assert.Throws<StorageException>(() => script.Log.Prepare(100_000));
        Assert.Equal(StorageError.NoSpace, full.Error);
        Assert.Equal(0, script.Log.PreparedBytes);
        Assert.Equal(["0000000001.segment"], storage.List("log"));

        script.Commit(10);
        script.Sync();
        script.Log.Reserve.Release();
        script.Log.Prepare(0);
        Assert.True(script.Log.PreparedBytes > 0);
        script.Rotate();
        Assert.False(script.Log.Reserve.TryBuild(1 << 20));
        script.Close();
    }

    [Fact]
    [Trait("Promise", "G7")]
    [Trait("Requirement", "DUR-8")]
    public void After_a_failed_sync_every_later_call_says_so()
    {
        var storage = new CrashStorage();
        using var script = Opened(storage);
        script.Commit(10);
        script.Write();
        storage.SyncFailsAt = 1;
        Assert.Throws<StorageException>(script.Log.Sync);
        Assert.Throws<DatabaseFailedException>(script.Log.Sync);
        Assert.Throws<DatabaseFailedException>(() => script.Log.Prepare(0));
        script.Commit(10);
        Assert.Throws<DatabaseFailedException>(script.Write);

        using var reader = new LogReader(script.Log);
        Assert.Equal(1ul, reader.Read(Opening.RecordBytes, out _).Sequence);
    }

    [Fact]
    [Trait("Promise", "G9")]
    public void Another_owner_is_met_at_the_next_segment_and_at_the_next_manifest()
    {
        var storage = new MemoryStorage();
        using var first = Opened(storage);
        first.Commit(10);
        first.Sync();
        first.Log.Prepare(0);
        using var second = new LogScript(storage, 2, trace: [.. first.Trace]) { Acknowledged = 1 };
        second.Open();

        var fenced = Assert.ThrowsAny<DatabaseFailedException>(() => first.Rotate());
        Assert.Equal(ErrorCode.Fenced, fenced.Code);
        Assert.Throws<DatabaseFailedException>(first.Log.Sync);
        second.Commit(10);
        second.Rotate();
        second.Close();
    }

    [Fact]
    public void Truncation_gives_up_whole_segments_and_reopens()
    {
        var storage = new MemoryStorage();
        using var script = Opened(storage);
        for (var i = 0; i < 3; i++)
        {
            script.Commit(100);
            script.Rotate();
        }

        var kept = script.Log.Manifest.Segments[2].BasePosition;
        script.Log.Truncate(kept + 1);
        Assert.Equal(kept, script.Log.FirstPosition);
        Assert.Equal(0, script.Log.Read(0, new byte[8]));
        Assert.Equal(["0000000003.segment", "0000000004.segment"], storage.List("log"));
        script.Commit(100);
        script.Close();

        var sequences = new List<ulong>();
        var recovered = Cairn.Recovery.Recovery.Open(storage, LogScript.Options(5), (in RecordHeader header, ReadOnlySpan<byte> _, ulong _) =>
        {
            if (header.Type == RecordType.Transaction)
                sequences.Add(header.Sequence);
        });
        Assert.Equal([3, 4], sequences);
        Assert.Equal(4ul, recovered.LastSequence);
        recovered.Log.Dispose();
    }

    [Fact]
    public void Readers_beside_a_writer_that_rotates_and_truncates_see_whole_records_or_the_end()
    {
        using var script = Opened(new MemoryStorage());
        script.Commit(50);
        script.Sync();
        using var stop = new CancellationTokenSource();
        Exception? failure = null;
        var readers = Enumerable.Range(0, 2).Select(_ => new Thread(() =>
        {
            try
            {
                using var reader = new LogReader(script.Log);
                while (!stop.IsCancellationRequested)
                {
                    // What is given up between two records is passed over.
                    var scan = reader.Scan(script.Log.FirstPosition);
                    while (scan.MoveNext())
                    {
                    }
                }
            }
            catch (Exception bug)
            {
                failure = bug;
            }
        })).ToList();
        readers.ForEach(reader => reader.Start());
        for (var i = 0; i < 300; i++)
        {
            script.Commit(500);
            script.Write();
            if (i % 50 == 49)
                script.Log.Truncate(script.Log.BasePosition);
        }

        stop.Cancel();
        readers.ForEach(reader => reader.Join());
        Assert.Null(failure);
    }

    [Fact]
    [Trait("Promise", "G6")]
    public void A_seal_and_the_manifest_hold_the_digest_of_the_file()
    {
        var storage = new MemoryStorage();
        using var script = Opened(storage);
        script.Commit(3000);
        script.Commit(10);
        script.Rotate();
        script.Close();
        foreach (var segment in script.Log.Manifest.Segments)
        {
            using var file = storage.Open(LogNames.SegmentPath(segment.Number), writable: false);
            var bytes = new byte[segment.FileBytes];
            Assert.Equal(bytes.Length, file.ReadAt(bytes, 0));
            Assert.Equal(Digest.Of(bytes), segment.Digest);
            Assert.True(Seal.TryRead(bytes.AsSpan(bytes.Length - Seal.Size), out var seal));
            Assert.Equal(Digest.Of(bytes.AsSpan(0, bytes.Length - Seal.RecordBytes)), seal.Digest);
        }
    }

    [Fact]
    [Trait("Promise", "G6")]
    public void Scrubbing_finds_a_changed_bit_in_an_ended_segment()
    {
        var storage = new MemoryStorage();
        using var script = Opened(storage);
        script.Commit(100);
        script.Rotate();
        script.Commit(100);
        script.Rotate();
        Assert.Empty(script.Log.Scrub());

        using (var file = storage.Open("log/0000000002.segment", writable: true))
            file.WriteAt([0x55], SegmentHeader.Size + 77);
        Assert.Equal("log/0000000002.segment", Assert.Single(script.Log.Scrub()).File);
    }

    [Fact]
    [Trait("Requirement", "REC-5")]
    public void The_dump_has_one_line_per_record_and_no_values()
    {
        using var script = Opened(new MemoryStorage());
        script.Commit(Payloads.Transaction(77, [], Payloads.Part(RunId.Default, RunPart.NoPrevious, Payloads.Operation(0x10, "secretkey"u8, "secretvalue"u8))));
        script.Mark();
        script.Close();
        var lines = LogDump.Lines(script.Log, 0).ToList();
        Assert.Equal(4, lines.Count);
        Assert.Matches(@"^ +0 @0 open 16 B durable 0 chain 00000000 check [0-9a-f]{8} epoch 1 time \d+$", lines[0]);
        Assert.Matches(@"^ +56 @1 transaction \d+ B durable 56 chain [0-9a-f]{8} check [0-9a-f]{8} time 77 attributes 0 B \| 00000000-0000-0000-0000-000000000001: 10\(9\+11\)$", lines[1]);
        Assert.Matches(@" @1 mark 0 B ", lines[2]);
        Assert.Matches(@" @1 seal 48 B .* records 3 last @1 sha256 [0-9a-f]{64}$", lines[3]);
        Assert.DoesNotContain(lines, line => line.Contains("secret", StringComparison.Ordinal));
    }

    private static LogScript Opened(IStorage storage, LogOptions? options = null)
    {
        var script = new LogScript(storage, 1, options);
        script.Open();
        return script;
    }
}
