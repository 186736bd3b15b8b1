using System.Buffers.Binary;
using Cairn.Codec;
using Cairn.Log;
using Cairn.Storage;
using Xunit;

namespace Cairn.Tests.Log;

/// <summary>docs/format.md, table by table, against what the encoders write: each field is given a value of its own and looked for
/// at the documented offset, in the documented size.</summary>
public class FormatTests
{
    private static readonly byte[] Salt = [.. Enumerable.Range(100, 16).Select(i => (byte)i)];

    [Fact]
    [Trait("Promise", "G11")]
    public void The_record_header_is_as_documented()
    {
        var record = new byte[RecordFrame.LengthOf(5)];
        "hello"u8.CopyTo(record.AsSpan(RecordHeader.Size));
        record.AsSpan(45).Fill(0xFF);
        var check = RecordFrame.PayloadCheck(Salt, "hello"u8);
        RecordFrame.Finish(record, 5, Salt, 0x1122334455667788, 7, 0x1122334455667780, 0xCAFEBABE, check, RecordType.Transaction, RecordFlags.Ignorable);

        var expected = new Dictionary<string, byte[]>
        {
            ["length"] = U32(5),
            ["type"] = [1],
            ["version"] = [1],
            ["flags"] = [0, 0x80],
            ["sequence"] = U64(7),
            ["durable-up-to"] = U64(0x1122334455667780),
            ["chain"] = U32(0xCAFEBABE),
            ["payload check"] = U32(Crc32C.Of([.. Salt, .. "hello"u8])),
            ["zero"] = U32(0),
            ["header check"] = U32(Crc32C.Of([.. Salt, .. U64(0x1122334455667788), .. record[..36]])),
        };
        Compare(FormatTable.Read("Record"), expected, record);
        Assert.Equal([.. "hello"u8, 0, 0, 0], record[40..]);
        Assert.Equal(
            "0500000001010080" + "0700000000000000" + "8077665544332211" + "bebafeca",
            Convert.ToHexStringLower(record.AsSpan(0, 28)));
        Assert.True(RecordHeader.TryRead(record, out var header));
        Assert.Equal(new RecordHeader(5, RecordType.Transaction, 1, RecordFlags.Ignorable, 7, 0x1122334455667780, 0xCAFEBABE, check), header);
    }

    [Fact]
    [Trait("Promise", "G11")]
    public void The_segment_header_is_as_documented()
    {
        var bytes = new byte[SegmentHeader.Size];
        var header = AnyHeader();
        header.Write(bytes);

        var expected = new Dictionary<string, byte[]>
        {
            ["magic"] = [.. "CAIRNLOG"u8],
            ["major"] = [1, 0],
            ["minor"] = [0, 0],
            ["header length"] = U32(4096),
            ["compatible features"] = U32(0),
            ["read-only-compatible features"] = U32(0),
            ["incompatible features"] = U32(0),
            ["zero"] = U32(0),
            ["database id"] = U128(header.DatabaseId),
            ["segment number"] = U32(17),
            ["base position"] = U64(4096),
            ["copied-to position"] = U64(5000),
            ["first sequence"] = U64(99),
            ["epoch"] = U64(12),
            ["manifest number"] = U64(43),
            ["salt"] = Salt,
            ["previous digest"] = DigestBytes(header.PreviousDigest),
            ["key id"] = U32(0),
            ["key salt"] = new byte[32],
            ["header check"] = U32(Crc32C.Of(bytes.AsSpan(0, 184))),
        };
        Compare(FormatTable.Read("Segment header"), expected, bytes);
        Assert.Equal(-1, bytes.AsSpan(188).IndexOfAnyExcept((byte)0));
        Assert.True(SegmentHeader.TryRead(bytes, out var read));
        Assert.Equal(header, read);
    }

    [Fact]
    [Trait("Promise", "G6")]
    public void Every_flipped_bit_of_a_segment_header_is_seen()
    {
        var bytes = new byte[SegmentHeader.Size];
        AnyHeader().Write(bytes);
        for (var bit = 0; bit < bytes.Length * 8; bit++)
        {
            bytes[bit / 8] ^= (byte)(1 << (bit % 8));
            Assert.False(SegmentHeader.TryRead(bytes, out _), $"bit {bit}");
            bytes[bit / 8] ^= (byte)(1 << (bit % 8));
        }
    }

    [Fact]
    [Trait("Promise", "G11")]
    public void The_manifest_is_as_documented()
    {
        var manifest = AnyManifest();
        var file = manifest.Encode();
        var lists = Manifest.CopyHeaderBytes + Manifest.BodyFixedBytes + 2 * ManifestSegment.Size;
        var checkpoints = lists + 2 * TableInfo.Size + ManifestArchive.Size;
        var copy = checkpoints + 2 * ManifestCheckpoint.FixedBytes + 3 * sizeof(uint) + 32;

        Compare(FormatTable.Read("Manifest"), new()
        {
            ["magic"] = [.. "CAIRNMAN"u8],
            ["major, minor"] = [1, 0, 0, 0],
            ["body length B"] = U32((uint)(copy - 64)),
            ["features: compatible, read-only-compatible, incompatible"] = new byte[12],
            ["zero"] = U32(0),
        }, file);
        Assert.Equal(DigestBytes(Digest.Of(file.AsSpan(0, copy - 32))), file[(copy - 32)..copy]);
        Assert.Equal(file[..copy], file[4096..]);

        Compare(FormatTable.Read("Manifest", 1), new()
        {
            ["number"] = U64(43),
            ["database id"] = U128(manifest.DatabaseId),
            ["epoch"] = U64(12),
            ["durable position"] = U64(8200),
            ["end position"] = U64(8200),
            ["last sequence"] = U64(110),
            ["commit time"] = U64(1_700_000_000_000_000),
            ["created"] = U64(1_600_000_000_000_000),
            ["flags"] = U32(1),
            ["key bytes max"] = U32(1024),
            ["name bytes max"] = U32(256),
            ["payload bytes max"] = U32(268435456),
            ["previous digest"] = DigestBytes(manifest.PreviousDigest),
            ["segments S"] = U32(2),
            ["tables T"] = U32(2),
            ["checkpoints C"] = U32(2),
            ["archives A"] = U32(1),
            ["next table"] = U32(9),
            ["next archive"] = U32(4),
            ["retention floor"] = U64(1),
        }, file.AsSpan(Manifest.CopyHeaderBytes));

        Compare(FormatTable.Read("Manifest", 2), new()
        {
            ["number"] = U32(18),
            ["zero"] = U32(0),
            ["base position"] = U64(4096),
            ["copied-to position"] = U64(5000),
            ["first sequence"] = U64(50),
            ["end position"] = U64(8200),
            ["file bytes"] = U64(8200),
            ["digest"] = DigestBytes(Digest.Of("b"u8)),
        }, file.AsSpan(Manifest.CopyHeaderBytes + Manifest.BodyFixedBytes + ManifestSegment.Size));

        Compare(FormatTable.Read("Manifest", 3), new()
        {
            ["number"] = U32(8),
            ["zero"] = U32(0),
            ["file bytes"] = U64(90_000),
            ["first sequence"] = U64(61),
            ["last sequence"] = U64(100),
            ["entries"] = U64(40),
            ["tombstones"] = U64(5),
            ["content references"] = U64(9),
            ["content bytes"] = U64(70_000),
            ["digest"] = DigestBytes(Digest.Of("table"u8)),
        }, file.AsSpan(lists + TableInfo.Size));

        Compare(FormatTable.Read("Manifest", 4), new()
        {
            ["number"] = U32(3),
            ["zero"] = U32(0),
            ["file bytes"] = U64(5_000),
            ["first position"] = U64(64),
            ["end position"] = U64(128),
            ["digest"] = DigestBytes(Digest.Of("archive"u8)),
        }, file.AsSpan(lists + 2 * TableInfo.Size));

        Compare(FormatTable.Read("Manifest", 5), new()
        {
            ["number"] = U64(6),
            ["sequence"] = U64(100),
            ["commit time"] = U64(1_650_000_000_000_000),
            ["mark position"] = U64(7_000),
            ["mark check"] = U32(0xABCD0123),
            ["flags"] = U32(0),
            ["tables N"] = U32(2),
            ["zero"] = U32(0),
        }, file.AsSpan(checkpoints + ManifestCheckpoint.FixedBytes + sizeof(uint)));
        Assert.Equal([.. U32(8), .. U32(7)], file[(copy - 40)..(copy - 32)]);
    }

    [Fact]
    [Trait("Promise", "G6")]
    [Trait("Requirement", "CKP-5")]
    public void A_manifest_is_read_back_as_it_was_written()
    {
        var manifest = AnyManifest();
        using var storage = new MemoryStorage();
        PublishedFile.Write(storage, manifest.Name, manifest.Encode());

        var read = Manifest.Load(storage, manifest.Number, forWriting: true, out var warning);

        Assert.Null(warning);
        Assert.Equal(manifest.Segments, read.Segments);
        Assert.Equal(manifest.Tables, read.Tables);
        Assert.Equal(manifest.Archives, read.Archives);
        Assert.Equal(manifest.Checkpoints, read.Checkpoints);
        Assert.Equal(manifest.Digest(), read.Digest());
    }

    [Fact]
    [Trait("Promise", "G6")]
    [Trait("Requirement", "CKP-5")]
    public void Every_flipped_bit_and_every_truncation_of_a_manifest_leaves_the_other_copy_or_is_named()
    {
        var manifest = AnyManifest();
        var original = manifest.Encode();
        var digest = manifest.Digest();
        var bytes = (byte[])original.Clone();
        for (var bit = 0; bit < bytes.Length * 8; bit++)
        {
            bytes[bit / 8] ^= (byte)(1 << (bit % 8));
            Assert.Equal(digest, Load(bytes)?.Digest());
            bytes[bit / 8] ^= (byte)(1 << (bit % 8));
        }

        for (var length = 0; length < original.Length; length++)
        {
            var read = Load(original[..length]);
            Assert.True(read is null || read.Digest() == digest, $"cut to {length}");
        }
    }

    private static Manifest? Load(byte[] bytes)
    {
        using var storage = new MemoryStorage();
        PublishedFile.Write(storage, LogNames.Manifest(43), bytes);
        try
        {
            return Manifest.Load(storage, 43, forWriting: true, out _);
        }
        catch (CorruptionException)
        {
            return null;
        }
    }

    public static TheoryData<string> Contradictions => [.. Contradicting.Keys];

    private static readonly Dictionary<string, Func<Manifest, Manifest>> Contradicting = new()
    {
        ["a checkpoint that names table"] = manifest => manifest with { Checkpoints = [manifest.Checkpoints[0]] },
        ["checkpoints that ascend"] = manifest => manifest with { Checkpoints = [.. manifest.Checkpoints.Reverse()] },
        ["tables that ascend"] = manifest => manifest with { NextTable = 8 },
        ["archives below number 3"] = manifest => manifest with { NextArchive = 3 },
        ["where the log begins"] = manifest => manifest with { RetentionFloor = 2 },
        ["below the segments"] = manifest => manifest with { Archives = [manifest.Archives[0] with { EndPosition = 129 }] },
        ["in the log that was synced"] = manifest => manifest with
        {
            Checkpoints = [manifest.Checkpoints[0], manifest.Checkpoints[1] with { MarkPosition = 8200 }],
        },
        ["up to its sequence"] = manifest => manifest with
        {
            Checkpoints = [manifest.Checkpoints[0], manifest.Checkpoints[1] with { Sequence = 99 }],
        },
        ["length and sequences"] = manifest => manifest with { Tables = [manifest.Tables[0], manifest.Tables[1] with { FileBytes = 0 }] },
    };

    // What cannot be true, in a manifest whose copies are whole, is corruption; and the engine never writes it.
    [Theory]
    [MemberData(nameof(Contradictions))]
    [Trait("Promise", "G6")]
    [Trait("Requirement", "CKP-5")]
    public void A_manifest_that_contradicts_itself_is_neither_written_nor_taken(string expected)
    {
        Assert.Throws<Cairn.Diagnostics.InvariantException>(() => Contradicting[expected](AnyManifest()).Encode());
        using var storage = new MemoryStorage();
        PublishedFile.Write(storage, LogNames.Manifest(43), Contradicting[expected](AnyManifest()).EncodeUnchecked());
        var refused = Assert.Throws<CorruptionException>(() => Manifest.Load(storage, 43, forWriting: true, out _));
        Assert.Contains(expected, refused.Expected, StringComparison.Ordinal);
    }

    [Fact]
    [Trait("Promise", "G11")]
    public void Seal_and_opening_are_as_documented()
    {
        var seal = new byte[Seal.Size];
        new Seal(3, 9, Digest.Of("a"u8)).Write(seal);
        Assert.Equal([.. U64(3), .. U64(9), .. DigestBytes(Digest.Of("a"u8))], seal);
        Assert.True(Seal.TryRead(seal, out var readSeal));
        Assert.Equal(new Seal(3, 9, Digest.Of("a"u8)), readSeal);

        var opening = new byte[Opening.Size];
        new Opening(12, -5).Write(opening);
        Assert.Equal([.. U64(12), .. U64(unchecked((ulong)-5L))], opening);
        Assert.True(Opening.TryRead(opening, out var readOpening));
        Assert.Equal(new Opening(12, -5), readOpening);
    }

    [Fact]
    [Trait("Promise", "G11")]
    public void Record_types_are_as_documented()
    {
        var documented = FormatTable.Read("Record", 1).ToDictionary(row => row["type"], row => row["record"]);
        Assert.Equal("transaction", documented["01"]);
        Assert.Equal("durable mark", documented["03"]);
        Assert.Equal("seal", documented["04"]);
        Assert.Equal("open", documented["05"]);
        Assert.Equal([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], Enum.GetValues<RecordType>().Select(type => (int)type));
    }

    [Fact]
    [Trait("Promise", "G11")]
    public void The_transaction_payload_is_as_documented()
    {
        byte[] attributes = [0x81, 0xA1, 0x61, 0x01];
        var operation = Payloads.Operation(0x10, "key"u8, [.. U64(77), 0xC3], Operation.HasExpiryFlag);
        var part = Payloads.Part(RunId.Default, 4096, operation);
        var payload = Payloads.Transaction(1_700_000_000_000_000, attributes, part);

        Compare(FormatTable.Read("Transaction payload, version 1"), new()
        {
            ["commit time, microseconds since 1970"] = U64(1_700_000_000_000_000),
            ["bytes of attributes A (0 = none)"] = U32(4),
            ["run parts, at least 1"] = U32(1),
        }, payload);
        Compare(FormatTable.Read("Transaction payload, version 1", 1), new()
        {
            ["run id, network order"] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
            ["position of the run's previous record; all ones = none"] = U64(4096),
            ["operations N, at least 1"] = U32(1),
            ["bytes of operations L"] = U32((uint)operation.Length),
        }, payload.AsSpan(20));
        Compare(FormatTable.Read("Transaction payload, version 1", 2), new()
        {
            ["code"] = [0x10],
            ["flags: bit 0 = the body begins with an expiry"] = [1],
            ["bytes of key K"] = [3, 0],
            ["bytes of body B"] = U32(9),
        }, payload.AsSpan(52));

        var transaction = new TransactionPayload(payload);
        Assert.Equal(1_700_000_000_000_000, transaction.CommitTime);
        Assert.Equal(attributes, transaction.Attributes.ToArray());
        Assert.True(transaction.MoveNext(out var readPart));
        Assert.Equal((RunId.Default, 4096ul, 1u), (readPart.Run, readPart.Previous, readPart.Operations));
        Assert.True(readPart.MoveNext(out var read));
        Assert.Equal("key"u8.ToArray(), read.Key.ToArray());
        Assert.Equal(77, read.Expiry);
        Assert.Equal([0xC3], read.Body.ToArray());
        Assert.False(readPart.MoveNext(out _));
        Assert.False(transaction.MoveNext(out _));
    }

    internal static SegmentHeader AnyHeader() => new(
        FormatFeatures.Current, new UInt128(1, 2), 17, 4096, 5000, 99, 12, 43,
        BinaryPrimitives.ReadUInt128LittleEndian(Salt), Digest.Of("before"u8));

    internal static Manifest AnyManifest() => new()
    {
        Number = 43,
        DatabaseId = new UInt128(3, 4),
        Epoch = 12,
        DurablePosition = 8200,
        IsClean = true,
        EndPosition = 8200,
        LastSequence = 110,
        CommitTime = 1_700_000_000_000_000,
        Created = 1_600_000_000_000_000,
        PreviousDigest = Digest.Of("manifest"u8),
        Segments =
        [
            new ManifestSegment(17, 128, 128, 1, 4096, 8064, Digest.Of("a"u8)),
            new ManifestSegment(18, 4096, 5000, 50, 8200, 8200, Digest.Of("b"u8)),
        ],
        Tables =
        [
            new TableInfo(7, 80_000, Digest.Of("older table"u8), 1, 60, 50, 0, 0, 0),
            new TableInfo(8, 90_000, Digest.Of("table"u8), 61, 100, 40, 5, 9, 70_000),
        ],
        Archives = [new ManifestArchive(3, 5_000, 64, 128, Digest.Of("archive"u8))],
        Checkpoints =
        [
            new ManifestCheckpoint(5, 60, 1_640_000_000_000_000, 4_800, 0x12345678, [7]),
            new ManifestCheckpoint(6, 100, 1_650_000_000_000_000, 7_000, 0xABCD0123, [8, 7]),
        ],
        NextTable = 9,
        NextArchive = 4,
        RetentionFloor = 1,
    };

    internal static void Compare(List<Dictionary<string, string>> table, Dictionary<string, byte[]> expected, ReadOnlySpan<byte> bytes)
    {
        var compared = 0;
        var next = 0;
        foreach (var row in table)
        {
            if (!int.TryParse(row["offset"], out var offset) || FormatTable.SizeOf(row["type"]) is not { } size)
                continue;
            Assert.Equal(next, offset);
            next = offset + size;
            var field = expected[row["field"]];
            Assert.Equal(size, field.Length);
            Assert.True(bytes.Slice(offset, size).SequenceEqual(field), $"{row["field"]} at {offset}");
            compared++;
        }

        Assert.True(compared >= expected.Count, $"{compared} of {expected.Count} fields are documented");
    }

    private static byte[] U32(uint value) => BitConverter.GetBytes(value);

    private static byte[] U64(ulong value) => BitConverter.GetBytes(value);

    private static byte[] U128(UInt128 value)
    {
        var bytes = new byte[16];
        BinaryPrimitives.WriteUInt128LittleEndian(bytes, value);
        return bytes;
    }

    private static byte[] DigestBytes(Digest digest)
    {
        var bytes = new byte[Digest.Size];
        digest.Write(bytes);
        return bytes;
    }
}

/// <summary>The tables of docs/format.md.</summary>
internal static class FormatTable
{
    /// <summary>The nth table under a heading: rows of column name to cell.</summary>
    internal static List<Dictionary<string, string>> Read(string heading, int index = 0)
    {
        var page = Find(AppContext.BaseDirectory) ?? Find(Environment.CurrentDirectory);
        Assert.SkipWhen(page is null, "docs/format.md is not above the test program");
        var lines = File.ReadAllLines(page!);
        var at = Array.IndexOf(lines, "## " + heading) + 1;
        var table = -1;
        for (; at < lines.Length && !lines[at].StartsWith("## ", StringComparison.Ordinal); at++)
        {
            if (lines[at].StartsWith('|') && !lines[at - 1].StartsWith('|') && ++table == index)
                return [.. Rows(lines[at..])];
        }

        throw new InvalidOperationException($"docs/format.md has no table {index} under '{heading}'");
    }

    internal static int? SizeOf(string type) => type switch
    {
        "u8" => 1,
        "u16" => 2,
        "u32" => 4,
        "u64" or "i64" => 8,
        "u16, u16" => 4,
        "u32 x 3" => 12,
        "8 bytes" or "`CAIRNMAN`, 8 bytes" => 8,
        "16 bytes" => 16,
        "32 bytes" => 32,
        _ => null,
    };

    private static string? Find(string from)
    {
        for (var directory = new DirectoryInfo(from); directory is not null; directory = directory.Parent)
        {
            var page = Path.Combine(directory.FullName, "docs", "format.md");
            if (File.Exists(page))
                return page;
        }

        return null;
    }

    private static IEnumerable<Dictionary<string, string>> Rows(string[] lines)
    {
        var names = Cells(lines[0]);
        foreach (var line in lines.Skip(2).TakeWhile(line => line.StartsWith('|')))
            yield return names.Zip(Cells(line)).ToDictionary(pair => pair.First, pair => pair.Second);
    }

    private static string[] Cells(string line) => [.. line.Trim('|').Split('|').Select(cell => cell.Trim())];
}
