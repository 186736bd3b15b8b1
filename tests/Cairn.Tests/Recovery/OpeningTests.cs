using System.Text;
using Cairn.Log;
using Cairn.Recovery;
using Cairn.Storage;
using Cairn.Tests.Log;
using Cairn.Tests.Transactions;
using Xunit;

namespace Cairn.Tests.Recovery;

/// <summary>What an opening does with what it finds.</summary>
public class OpeningTests
{
    [Fact]
    [Trait("Requirement", "RCV-R4")]
    public void An_empty_directory_becomes_an_empty_database()
    {
        var storage = new MemoryStorage();
        var recovered = Open(storage);
        Assert.True(recovered.Findings.IsCreated);
        Assert.Equal((0ul, 1ul, 1ul), (recovered.LastSequence, recovered.Findings.Epoch, recovered.Findings.ManifestNumber));
        Assert.Equal(["manifest-0000000001", "reserve"], storage.List(""));
        Assert.Equal(["0000000001.segment"], storage.List("log"));
        recovered.Log.Dispose();
    }

    [Fact]
    [Trait("Requirement", "RCV-10")]
    public void Every_opening_has_the_next_epoch_and_two_manifests_stay()
    {
        var storage = new MemoryStorage();
        var trace = new List<byte[]>();
        for (var epoch = 1ul; epoch <= 5; epoch++)
        {
            using var script = new LogScript(storage, epoch, trace: trace) { Acknowledged = trace.Count };
            script.Open();
            Assert.Equal(epoch, script.Log.Epoch);
            Assert.Equal(epoch > 1, script.Recovered!.Findings.WasClosedCleanly);
            script.Commit(20);
            script.Close();
        }

        Assert.Equal(["manifest-0000000009", "manifest-0000000010"], storage.List("").Where(name => name != "reserve"));
    }

    [Fact]
    [Trait("Requirement", "RCV-7")]
    public void After_a_clean_close_nothing_is_copied_and_nothing_else_than_the_end_is_cut()
    {
        var storage = new MemoryStorage();
        using (var script = Opened(storage))
        {
            script.Commit(20);
            script.Close();
        }

        var before = DirectoryImage.Of(storage);
        var recovered = Open(storage);
        Assert.Equal((0L, 0L, 0L), (recovered.Findings.CopiedRecords, recovered.Findings.Cut.Bytes, recovered.Findings.Quarantined.Count));
        Assert.Equal(["manifest", "scan", "verdict"], recovered.Findings.Phases.Select(phase => phase.Name));
        AssertSame(before, DirectoryImage.Of(storage));
        Assert.Equal(2ul, recovered.Findings.Epoch);
        recovered.Log.Begin();
        var after = DirectoryImage.Of(storage);
        Assert.Equal(before.Files["log/0000000001.segment"], after.Files["log/0000000001.segment"]);
        Assert.Equal(2ul, recovered.Log.Epoch);
        recovered.Log.Dispose();
    }

    private static void AssertSame(DirectoryImage before, DirectoryImage after)
    {
        Assert.Equal(before.Files.Keys.Order(), after.Files.Keys.Order());
        Assert.All(before.Files, file => Assert.Equal(file.Value, after.Files[file.Key]));
    }

    [Fact]
    [Trait("Requirement", "RCV-10")]
    public void An_opening_without_a_commit_leaves_no_trace()
    {
        var storage = new MemoryStorage();
        using (var test = new TestDatabase(Durability.Buffered, storage: storage))
            test.Kv.Put("a", 1);
        var before = DirectoryImage.Of(storage);
        for (var i = 0; i < 3; i++)
        {
            using var test = new TestDatabase(Durability.Buffered, storage: storage);
            Assert.Equal(1, test.Kv.Get("a")?.AsInt64());
            test.Maintain();
            test.Db.Sync();
        }

        AssertSame(before, DirectoryImage.Of(storage));
        using (var test = new TestDatabase(Durability.Strict, storage: storage))
        {
            test.Kv.Put("b", 2);
            Assert.All(test.Db.Maintenance, job => Assert.Equal(0, job.BackPressureEvents));
        }

        using var again = new TestDatabase(Durability.Strict, storage: storage);
        Assert.Equal((1, 2, 3ul), (again.Kv.Get("a")?.AsInt64(), again.Kv.Get("b")?.AsInt64(), again.Db.Recovery.Epoch));
    }

    [Fact]
    [Trait("Requirement", "RCV-10")]
    public void Two_owners_that_have_not_written_find_each_other_with_the_first_commit()
    {
        var storage = new MemoryStorage();
        using (var test = new TestDatabase(Durability.Strict, storage: storage))
            test.Kv.Put("a", 1);
        using var lying = new FaultStorage(storage) { LocksLie = true };
        using var first = new TestDatabase(Durability.Strict, storage: lying);
        using (var second = new TestDatabase(Durability.Strict, storage: lying))
            second.Kv.Put("a", 2);
        var fenced = Assert.Throws<DatabaseFailedException>(() => first.Kv.Put("a", 3));
        Assert.Equal(ErrorCode.Fenced, fenced.Code);
        using var again = new TestDatabase(Durability.Strict, storage: storage);
        Assert.Equal(2, again.Kv.Get("a")?.AsInt64());
    }

    [Fact]
    [Trait("Promise", "G1")]
    public void The_unwitnessed_tail_is_written_again_at_the_same_positions()
    {
        var storage = new MemoryStorage();
        using var script = Opened(storage);
        script.Commit(20);
        script.Sync();
        script.Commit(30);
        script.Mark();
        script.Sync();
        script.Commit(40);
        script.Write();
        var end = script.Position;
        var lines = LogDump.Lines(script.Log, 0).Select(WithoutChecks).ToList();

        using var next = new LogScript(storage, 2, trace: script.Trace) { Acknowledged = 2 };
        next.Open();
        var findings = next.Recovered!.Findings;
        Assert.Equal(1, findings.Epoch == 2 ? 1 : 0);
        Assert.True(findings.CopiedRecords is > 0 and < 4);
        Assert.Equal(end + Opening.RecordBytes, next.Position);
        Assert.Equal(lines, LogDump.Lines(next.Log, 0).Select(WithoutChecks).SkipLast(1));
        var opened = next.Log.Manifest.Segments[1];
        Assert.Equal((findings.Floor, next.Position), (opened.BasePosition, opened.CopiedTo));
        next.Commit(10);
        next.Close();

        static string WithoutChecks(string line) =>
            System.Text.RegularExpressions.Regex.Replace(line, " durable.*?check [0-9a-f]{8}", "");
    }

    [Fact]
    [Trait("Requirement", "RCV-R6")]
    public void A_torn_tail_is_cut_reported_and_kept_in_quarantine()
    {
        var storage = new MemoryStorage();
        using var script = Opened(storage);
        script.Commit(20);
        script.Sync();
        var offset = SegmentHeader.Size + (long)script.Position;
        using (var file = storage.Open("log/0000000001.segment", writable: true))
            file.WriteAt("half a record"u8, offset);

        var recovered = Open(storage);
        var cut = recovered.Findings.Cut;
        Assert.Equal(("log/0000000001.segment", offset, 13L), (cut.File, cut.Offset, cut.Bytes));
        var kept = Assert.Single(recovered.Findings.Quarantined);
        Assert.Equal("half a record", ReadText(storage, kept));
        Assert.Contains($"offset: {offset}\nbytes: 13\nreason: the header check is wrong; torn tail", ReadText(storage, kept + ".report"), StringComparison.Ordinal);
        recovered.Log.Dispose();

        var again = Open(storage);
        Assert.Equal(0, again.Findings.Cut.Bytes);
        Assert.Equal(1ul, again.LastSequence);
        again.Log.Dispose();
    }

    [Fact]
    [Trait("Promise", "G6")]
    public void Whole_records_behind_an_unsynced_hole_are_cut_with_it()
    {
        var storage = new MemoryStorage();
        using var script = Opened(storage);
        script.Commit(20);
        script.Sync();
        var hole = SegmentHeader.Size + (long)script.Position;
        script.Commit(30);
        script.Commit(40);
        script.Write();
        using (var file = storage.Open("log/0000000001.segment", writable: true))
            file.WriteAt(new byte[24], hole);

        var recovered = Open(storage);
        Assert.Equal(1ul, recovered.LastSequence);
        Assert.Contains("1 good records (sequences 3 to 3) were not synced either", recovered.Findings.Cut.Reason, StringComparison.Ordinal);
        recovered.Log.Dispose();
    }

    [Fact]
    [Trait("Promise", "G6")]
    public void Records_of_another_life_at_the_very_same_position_are_never_taken_for_ones_own()
    {
        var storage = new MemoryStorage();
        var trace = new List<byte[]>();
        using (var script = new LogScript(storage, 1, trace: trace))
        {
            script.Open();
            script.Commit(20);
            script.Close();
        }

        // Two lives go on from the same directory: same positions, same sequences, same everything but the salt.
        var lives = new[] { 11ul, 12ul }.Select(seed =>
        {
            var life = DirectoryImage.Of(storage).ToStorage();
            using var script = new LogScript(life, seed, trace: [.. trace]) { Acknowledged = 1 };
            script.Open();
            if (seed == 11)
                script.Commit(Payloads.Transaction(1, [], Payloads.Part(RunId.Default, RunPart.NoPrevious, Payloads.Operation(0x10, "ghost"u8, new byte[100]))));
            script.Write();
            return DirectoryImage.Of(life);
        }).ToArray();
        const string path = "log/0000000002.segment";
        var behind = SegmentHeader.Size + Opening.RecordBytes;
        lives[0].Files[path].AsSpan(behind).CopyTo(lives[1].Files[path].AsSpan(behind));

        var recovered = Open(lives[1].ToStorage());
        Assert.Equal(1ul, recovered.LastSequence);
        Assert.Equal(behind, recovered.Findings.Cut.Offset);
        recovered.Log.Dispose();
    }

    [Fact]
    [Trait("Requirement", "RCV-8")]
    public void A_whole_record_that_does_not_continue_is_corruption_even_in_the_tail()
    {
        foreach (var (sequence, chainChange, expected) in new[] { (3ul, 0u, "the sequence does not continue"), (2ul, 1u, "it does not follow the record before it") })
        {
            var storage = new MemoryStorage();
            using var script = Opened(storage);
            script.Commit(20);
            script.Sync();
            var record = new byte[RecordFrame.LengthOf(16)];
            var chain = chainChange + LastCheck(script);
            RecordFrame.Finish(record, 16, script.Log.Salt, script.Position, sequence, 0, chain, RecordFrame.PayloadCheck(script.Log.Salt, new byte[16]), RecordType.Transaction);
            using (var file = storage.Open("log/0000000001.segment", writable: true))
                file.WriteAt(record, SegmentHeader.Size + (long)script.Position);
            Assert.Contains(expected, Assert.Throws<CorruptionException>(() => Open(storage)).Expected, StringComparison.Ordinal);
        }
    }

    [Fact]
    [Trait("Requirement", "REC-3")]
    [Trait("Promise", "G11")]
    public void An_unknown_type_or_flag_is_refused_by_name_and_an_ignorable_one_stepped_over()
    {
        Refused((RecordType)0x0B, RecordFlags.None, 1, "record type 0x0B");
        Refused(RecordType.Content, RecordFlags.None, 1, "record type 0x06");
        Refused(RecordType.Transaction, (RecordFlags)2, 1, "record flags 0x0002");
        Refused(RecordType.Transaction, RecordFlags.Encrypted, 1, "an encrypted record");
        Refused(RecordType.DurableMark, RecordFlags.None, 2, "version 2 of record type 0x03");

        var storage = WithRecord((RecordType)0x0B, RecordFlags.Ignorable, 1);
        var recovered = Open(storage);
        Assert.Equal(1ul, recovered.LastSequence);
        Assert.Equal(3, recovered.Findings.Records);
        recovered.Log.Dispose();

        static void Refused(RecordType type, RecordFlags flags, byte version, string found)
        {
            var storage = WithRecord(type, flags, version);
            var before = DirectoryImage.Of(storage);
            Assert.StartsWith(found, Assert.Throws<FormatVersionException>(() => Open(storage)).Found, StringComparison.Ordinal);
            Assert.True(before.Equals(DirectoryImage.Of(storage)));
        }
    }

    [Theory]
    [InlineData(8, 2, "format 2.0")]
    [InlineData(24, 1, "incompatible features 0x00000001")]
    [InlineData(20, 1, "features 0x00000001 that only allow reading")]
    [Trait("Promise", "G11")]
    public void A_newer_format_is_refused_by_name_wherever_it_is_met(int offset, byte value, string found)
    {
        var storage = new MemoryStorage();
        using (var script = Opened(storage))
            script.Close();
        var image = DirectoryImage.Of(storage);
        var segment = image.Files["log/0000000001.segment"];
        segment[offset] = value;
        BitConverter.TryWriteBytes(segment.AsSpan(SegmentHeader.CheckOffset), Cairn.Codec.Crc32C.Of(segment.AsSpan(0, SegmentHeader.CheckOffset)));
        Assert.Equal(found, Assert.Throws<FormatVersionException>(() => Open(image.ToStorage())).Found.Split(';')[0]);

        image = DirectoryImage.Of(storage);
        var manifest = image.Files["manifest-0000000002"];
        manifest[offset] = value;
        var covered = Manifest.CopyHeaderBytes + Manifest.BodyFixedBytes + ManifestSegment.Size;
        Digest.Of(manifest.AsSpan(0, covered)).Write(manifest.AsSpan(covered));
        manifest.AsSpan(0, covered + Digest.Size).CopyTo(manifest.AsSpan(4096));
        Assert.Equal(found, Assert.Throws<FormatVersionException>(() => Open(image.ToStorage())).Found.Split(';')[0]);
        if (offset == 20)
            Open(image.ToStorage(), readOnly: true).Log.Dispose();
    }

    [Fact]
    [Trait("Requirement", "CKP-6")]
    [Trait("Promise", "G11")]
    public void A_feature_that_may_be_ignored_is_and_stays_said()
    {
        using var test = new TestDatabase(Durability.Strict, options => options with { CheckpointOnClose = false });
        test.Kv.Put("a", 1);
        test.Db.Dispose();
        var image = DirectoryImage.Of(test.Storage);
        var segment = image.Files["log/0000000001.segment"];
        Assert.True(SegmentHeader.TryRead(segment, out var header));
        (header with { Format = header.Format with { Compatible = 4 } }).Write(segment);
        var newest = Newest(test.Storage);
        image.Files[newest.Name] = (newest with { Format = newest.Format with { Compatible = 4 } }).Encode();
        var newer = image.ToStorage();
        test.MoveTo(newer);
        test.Kv.Put("b", 2);
        test.NowAndAfterReopening(() => Assert.Equal((1, 2), (test.Kv.Number("a"), test.Kv.Number("b"))));
        Assert.True(Newest(newer).Number > newest.Number);
        Assert.Equal(4u, Newest(newer).Format.Compatible);

        static Manifest Newest(IStorage storage) => Manifest.Load(
            storage, storage.List("").Max(name => LogNames.TryParseManifest(name, out var number) ? number : 0), forWriting: true, out _);
    }

    [Fact]
    public void A_payload_that_Apply_cannot_read_is_corruption_at_its_offset()
    {
        var storage = new MemoryStorage();
        using (var script = Opened(storage))
        {
            script.Commit(10);
            script.Commit(20);
            script.Close();
        }

        var refused = Assert.Throws<CorruptionException>(() => Cairn.Recovery.Recovery.Open(storage, LogScript.Options(1), (in header, _, _) =>
        {
            if (header.Sequence == 2)
                throw new MalformedPayloadException("something else");
        }));
        Assert.Equal((1ul, "something else"), (refused.Sequence.Value, refused.Expected));
        Assert.Equal(["manifest-0000000001", "manifest-0000000002", "reserve"], storage.List(""));
    }

    [Fact]
    [Trait("Requirement", "DUR-10")]
    public void Read_only_opens_what_was_closed_cleanly_and_writes_nothing()
    {
        var storage = new MemoryStorage();
        using var script = Opened(storage);
        script.Commit(10);
        script.Sync();
        Assert.Equal(ErrorCode.ReadOnly, Assert.Throws<CairnException>(() => Open(storage, readOnly: true)).Code);
        script.Close();

        var before = DirectoryImage.Of(storage);
        var recovered = Open(storage, readOnly: true);
        Assert.Equal(1ul, recovered.LastSequence);
        Assert.Equal(3, LogDump.Lines(recovered.Log, 0).Count());
        Assert.Throws<ObjectDisposedException>(recovered.Log.Sync);
        Assert.True(before.Equals(DirectoryImage.Of(storage)));
        recovered.Log.Dispose();
    }

    [Fact]
    [Trait("Requirement", "RCV-9")]
    public void A_directory_with_something_else_is_not_a_database()
    {
        var storage = new MemoryStorage();
        Write(storage, "notes.part", "mine");
        var refused = Assert.Throws<CairnException>(() => Open(storage));
        Assert.Equal(ErrorCode.NotADatabase, refused.Code);
        Assert.Contains("'notes.part'", refused.Message, StringComparison.Ordinal);
        Assert.Equal(["notes.part"], storage.List(""));

        Assert.Equal(ErrorCode.NotADatabase, Assert.Throws<CairnException>(() => Open(new MemoryStorage(), readOnly: true)).Code);
        Assert.Equal(ErrorCode.NotADatabase, Assert.Throws<CairnException>(() => Cairn.Recovery.Recovery.Open(
            new MemoryStorage(), LogScript.Options(1) with { CreateIfMissing = false }, (in _, _, _) => { })).Code);
    }

    [Fact]
    public void Unfinished_files_go_and_foreign_ones_are_set_aside()
    {
        var storage = new MemoryStorage();
        using (var script = Opened(storage))
        {
            script.Log.Prepare(0);
            script.Commit(10);
            script.Sync();
        }

        Write(storage, "manifest-0000000002.part", "x");
        Write(storage, "log/0000000002.segment.part", "x");
        Write(storage, "letter.txt", "dear");
        var recovered = Open(storage);
        Assert.Equal(["manifest-0000000002.part", "log/0000000002.segment.part", "log/prepared"], recovered.Findings.Removed);
        Assert.Equal("dear", ReadText(storage, Assert.Single(recovered.Findings.Quarantined)));
        Assert.Equal(["0000000001.segment", "0000000002.segment"], storage.List("log"));
        Assert.Equal(["manifest-0000000001", "manifest-0000000002", "reserve"], storage.List(""));
        recovered.Log.Dispose();
    }

    [Fact]
    [Trait("Promise", "G5")]
    public void A_segment_without_records_that_no_manifest_names_is_a_leftover()
    {
        var storage = new CrashStorage();
        using var script = Opened(storage);
        script.Commit(10);
        script.Log.Prepare(0);
        script.Sync();

        // seal (write, sync), header, sync, rename, sync of log/, then the manifest: power fails at its creation
        storage.PowerFailsAt = storage.Operations + 8;
        Assert.Throws<PowerLossException>(() => script.Rotate());
        var after = storage.Crash(CrashPattern.None);
        Assert.Equal(["0000000001.segment", "0000000002.segment"], after.List("log"));
        var recovered = Open(after);
        Assert.Equal(["log/0000000002.segment"], recovered.Findings.Removed);
        Assert.Equal(1ul, recovered.LastSequence);
        recovered.Log.Dispose();
    }

    [Fact]
    public void One_bad_copy_of_the_manifest_is_a_warning_and_two_are_corruption()
    {
        var storage = new MemoryStorage();
        using (var script = Opened(storage))
            script.Close();
        var image = DirectoryImage.Of(storage);
        image.Files["manifest-0000000002"][50] ^= 1;
        var recovered = Open(image.ToStorage());
        Assert.Contains("first of its two copies", Assert.Single(recovered.Findings.Warnings), StringComparison.Ordinal);
        recovered.Log.Dispose();
        image.Files["manifest-0000000002"][4096 + 60] ^= 1;
        Assert.Equal("manifest-0000000002", Assert.Throws<CorruptionException>(() => Open(image.ToStorage())).File);
    }

    [Fact]
    public void A_full_disk_gives_up_the_reserve_to_open()
    {
        var roomy = new MemoryStorage();
        using (var script = Opened(roomy))
        {
            script.Commit(10);
            script.Sync();
        }

        var image = DirectoryImage.Of(roomy);
        var used = image.Files.Values.Sum(file => file.Length);
        var storage = image.ToStorage(capacityBytes: used + (64 << 10));
        using (var file = storage.CreateNew("reserve"))
            file.Preallocate(60 << 10);
        using (var ballast = storage.CreateNew("LOCK"))
            ballast.Preallocate(4 << 10);

        var recovered = Open(storage);
        Assert.Equal(1ul, recovered.LastSequence);
        Assert.Contains("reserve was released", Assert.Single(recovered.Findings.Warnings), StringComparison.Ordinal);
        recovered.Log.Dispose();
    }

    private static uint LastCheck(LogScript script)
    {
        using var reader = new LogReader(script.Log);
        return reader.Read(Opening.RecordBytes, out _).PayloadCheck;
    }

    private static MemoryStorage WithRecord(RecordType type, RecordFlags flags, byte version)
    {
        var storage = new MemoryStorage();
        using var script = Opened(storage);
        script.Commit(20);
        script.Sync();
        var sequence = type == RecordType.Transaction ? 2ul : 1ul;
        var record = new byte[RecordFrame.LengthOf(0)];
        RecordFrame.Finish(
            record, 0, script.Log.Salt, script.Position, sequence, 0, LastCheck(script), RecordFrame.PayloadCheck(script.Log.Salt, []), type, flags, version);
        using var file = storage.Open("log/0000000001.segment", writable: true);
        file.WriteAt(record, SegmentHeader.Size + (long)script.Position);
        return storage;
    }

    private static LogScript Opened(IStorage storage)
    {
        var script = new LogScript(storage, 1);
        script.Open();
        return script;
    }

    private static RecoveredLog Open(IStorage storage, bool readOnly = false) =>
        Cairn.Recovery.Recovery.Open(storage, LogScript.Options(9) with { IsReadOnly = readOnly }, (in _, _, _) => { });

    private static void Write(MemoryStorage storage, string path, string text)
    {
        using var file = storage.CreateNew(path);
        file.WriteAt(Encoding.ASCII.GetBytes(text), 0);
    }

    private static string ReadText(MemoryStorage storage, string path)
    {
        using var file = storage.Open(path, writable: false);
        var bytes = new byte[file.Length];
        return Encoding.ASCII.GetString(bytes, 0, file.ReadAt(bytes, 0));
    }
}
