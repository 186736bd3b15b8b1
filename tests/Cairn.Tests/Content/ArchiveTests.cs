using System.Buffers.Binary;
using Cairn.Codec;
using Cairn.Content;
using Cairn.Log;
using Cairn.Storage;
using Cairn.Tests.Log;
using Xunit;

namespace Cairn.Tests.Content;

/// <summary>One archive: its bytes, its damage, and a crash at any step of its making.</summary>
public class ArchiveTests
{
    private const ulong First = 4_096;
    private const ulong End = 200_000;

    private static readonly UInt128 DatabaseId = new(0x1111222233334444, 0x5555666677778888);
    private static readonly UInt128 Salt = new(0x0102030405060708, 0x090A0B0C0D0E0F10);
    private static readonly UInt128 SegmentSalt = new(7, 9);
    private static readonly RunId Other = new((UInt128)77 << 90);

    private static readonly ArchiveSource[] Sources =
    [
        new ArchiveSource(4, First, 100_000, 17, SegmentSalt), new ArchiveSource(5, 100_000, End, 900, SegmentSalt + 1),
    ];

    [Fact]
    [Trait("Promise", "G11")]
    public void An_archive_is_as_documented()
    {
        using var storage = new MemoryStorage();
        var named = Write(storage, 3);
        var bytes = Bytes(storage, named);
        Assert.Equal(ArchiveFormat.Magic, bytes.AsSpan(0, 8));
        Assert.Equal(U32(3), bytes[48..52]);
        Assert.Equal(Crc32C.Of(bytes.AsSpan(0, 124)), BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(124)));
        Assert.Equal(named.Digest, Digest.Of(bytes));

        // One block: the stream is short. Its check is seeded with salt and place.
        var footer = bytes.AsSpan(bytes.Length - 128);
        var streamBytes = BinaryPrimitives.ReadInt32LittleEndian(footer[88..]);
        var block = bytes.AsSpan(128, streamBytes);
        Assert.Equal(bytes.Length, 128 + streamBytes + 4 + 128);
        var check = BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(128 + streamBytes));
        Assert.Equal(Crc32C.Of([.. SaltBytes(Salt), .. U64(128), .. block]), check);
        var record = (int)RecordFrame.LengthOf(3);
        var pieces = record + 100 + record + 4;
        Assert.Equal(0, pieces % 8);
        FormatTests.Compare(FormatTable.Read("Archive"), new()
        {
            ["position"] = U64(120_000),
            ["data"] = U64((ulong)(record + 100)),
            ["length"] = U32((uint)record),
            ["source"] = U32(1),
        }, block[(pieces + 2 * 24)..]);
        var sources = pieces + 3 * 24;
        FormatTests.Compare(FormatTable.Read("Archive", 1), new()
        {
            ["segment number"] = U32(5),
            ["zero"] = U32(0),
            ["base position"] = U64(100_000),
            ["end position"] = U64(End),
            ["first sequence"] = U64(900),
            ["salt"] = SaltBytes(SegmentSalt + 1),
        }, block[(sources + 48)..]);
        var records = sources + 2 * 48;
        FormatTests.Compare(FormatTable.Read("Archive", 2), new()
        {
            ["run id"] = IdBytes(RunId.Default),
            ["position"] = U64(120_000),
            ["marks"] = U32(0),
            ["marked"] = U32(11),
        }, block[(records + 32)..]);
        var floors = records + 3 * 32;
        FormatTests.Compare(FormatTable.Read("Archive", 3), new()
        {
            ["run id"] = IdBytes(Other),
            ["sequence"] = U64(333),
            ["time"] = U64(1_700_000_000_000_000),
            ["below"] = U64(64),
            ["versions"] = U32(3),
            ["zero"] = U32(0),
        }, block[floors..]);
        Assert.Equal([0b0000_0101, 0b0000_0100], block[(floors + 48)..].ToArray());
        FormatTests.Compare(FormatTable.Read("Archive", 4), new()
        {
            ["data bytes"] = U64((ulong)pieces - 4),
            ["pieces offset"] = U64((ulong)pieces),
            ["pieces"] = U64(3),
            ["sources offset"] = U64((ulong)sources),
            ["sources"] = U64(2),
            ["records offset"] = U64((ulong)records),
            ["records"] = U64(3),
            ["floors offset"] = U64((ulong)floors),
            ["floors"] = U64(1),
            ["marks offset"] = U64((ulong)floors + 48),
            ["mark bytes"] = U64(2),
            ["stream bytes"] = U64((ulong)streamBytes),
            ["first position"] = U64(First),
            ["end position"] = U64(End),
            ["file bytes"] = U64((ulong)bytes.Length),
            ["zero"] = U32(0),
            ["footer check"] = U32(Crc32C.Of([.. SaltBytes(Salt), .. U64((ulong)bytes.Length - 128), .. footer[..124]])),
        }, footer);
    }

    [Fact]
    public void What_was_kept_is_found_by_its_position_and_nothing_else_is()
    {
        var seed = Seeds.Begin("archive");
        var random = new Random((int)seed);
        using var storage = new MemoryStorage();
        var kept = new SortedDictionary<ulong, byte[]>();
        using var writer = new ArchiveWriter(storage, 1, DatabaseId, Salt);
        writer.BeginSource(new ArchiveSource(1, 0, 1 << 26, 1, SegmentSalt));
        var position = 0UL;
        for (var i = 0; i < 3_000; i++)
        {
            position += (ulong)random.Next(0, 3) * 17;
            var bytes = new byte[random.Next(20) == 0 ? random.Next(1, 50_000) : random.Next(1, 200)];
            random.NextBytes(bytes);
            writer.Add(position, bytes);
            kept.Add(position, bytes);
            position += (ulong)bytes.Length;
        }

        Finish(writer, 0, 1 << 26);
        using var archive = new Archive(storage, writer.Named, DatabaseId);
        archive.Verify();
        Assert.Equal(kept.Values.Sum(bytes => (long)bytes.Length), archive.DataBytes);
        var end = 0UL;
        foreach (var (at, bytes) in kept)
        {
            if (at > end)
                Assert.Equal(0, archive.Read(end + (ulong)random.Next((int)(at - end)), new byte[8]));
            var from = random.Next(bytes.Length);
            var found = new byte[bytes.Length - from];
            Assert.Equal(found.Length, archive.Read(at + (ulong)from, found));
            Assert.True(bytes.AsSpan(from).SequenceEqual(found));
            end = at + (ulong)bytes.Length;
        }

        Assert.Equal(0, archive.Read(end, new byte[8]));
    }

    [Fact]
    [Trait("Promise", "G6")]
    [Trait("Requirement", "CNT-3")]
    public void C6_Every_flipped_bit_is_told()
    {
        using var written = new MemoryStorage();
        var named = Write(written, 1);
        var bytes = Bytes(written, named);
        for (var bit = 0; bit < bytes.Length * 8; bit++)
        {
            bytes[bit / 8] ^= (byte)(1 << (bit % 8));
            using (var storage = With(bytes))
            using (var archive = new Archive(storage, named, DatabaseId))
            {
                Assert.True(IsTold(archive.Verify), $"bit {bit} in verification");

                // By itself, without the digest of the file: told, or exact.
                IsTold(() => ReadAll(archive));
            }

            bytes[bit / 8] ^= (byte)(1 << (bit % 8));
        }
    }

    [Fact]
    [Trait("Promise", "G6")]
    [Trait("Requirement", "CNT-3")]
    public void C5_Every_truncation_and_every_longer_file_is_told()
    {
        using var written = new MemoryStorage();
        var named = Write(written, 1);
        var bytes = Bytes(written, named);
        for (var length = 0; length <= bytes.Length + 1; length++)
        {
            if (length == bytes.Length)
                continue;
            using var storage = With(length < bytes.Length ? bytes.AsSpan(0, length) : [.. bytes, 0]);
            using var archive = new Archive(storage, named, DatabaseId);
            Assert.True(IsTold(() => ReadAll(archive)), $"length {length}");
        }
    }

    [Fact]
    [Trait("Promise", "G6")]
    public void Random_bytes_give_typed_errors_alone()
    {
        var random = new Random((int)Seeds.Begin("archive fuzz"));
        using var written = new MemoryStorage();
        var named = Write(written, 1);
        var good = Bytes(written, named);
        for (var i = 0; i < 2_000; i++)
        {
            var bytes = (byte[])good.Clone();
            for (var n = random.Next(1, 20); n > 0; n--)
                bytes[random.Next(bytes.Length)] = (byte)random.Next(256);
            using var storage = With(bytes);
            using var archive = new Archive(storage, named, DatabaseId);
            IsTold(() => ReadAll(archive));
            IsTold(archive.Verify);
        }
    }

    [Fact]
    [Trait("Promise", "G6")]
    public void Another_database_another_number_and_a_missing_file_are_told_by_name()
    {
        using var storage = new MemoryStorage();
        var named = Write(storage, 1);
        using var other = new Archive(storage, named, 1);
        var damage = Assert.Throws<CorruptionException>(other.Verify);
        Assert.Equal("archives/0000000001.archive", damage.File);
        Assert.Contains("belongs to another one", damage.Expected, StringComparison.Ordinal);
        storage.Rename("archives/0000000001.archive", "archives/0000000002.archive");
        using var second = new Archive(storage, named with { Number = 2 }, DatabaseId);
        Assert.Contains("number 2, not 1", Assert.Throws<CorruptionException>(second.Verify).Expected, StringComparison.Ordinal);
        using var missing = new Archive(storage, named, DatabaseId);
        Assert.Contains("missing", Assert.Throws<CorruptionException>(missing.Verify).Expected, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(8, 2)]
    [InlineData(24, 1)]
    [Trait("Promise", "G11")]
    [Trait("Requirement", "CNT-6")]
    public void A_newer_format_is_refused_by_name(int offset, byte value)
    {
        using var written = new MemoryStorage();
        var named = Write(written, 1);
        var bytes = Bytes(written, named);
        bytes[offset] = value;
        BitConverter.TryWriteBytes(bytes.AsSpan(124), Crc32C.Of(bytes.AsSpan(0, 124)));
        using var storage = With(bytes);
        using var archive = new Archive(storage, named, DatabaseId);
        Assert.Equal("archives/0000000001.archive", Assert.Throws<FormatVersionException>(archive.Verify).File);
    }

    [Fact]
    public void What_is_not_finished_leaves_nothing()
    {
        using var storage = new MemoryStorage();
        using (var writer = new ArchiveWriter(storage, 1, DatabaseId, Salt))
        {
            writer.BeginSource(Sources[0]);
            writer.Add(First, new byte[100_000 - First]);
        }

        Assert.Empty(storage.List(LogNames.ArchiveDirectory));
    }

    // The copy is read back before anything is given up for it.
    [Fact]
    [Trait("Promise", "G6")]
    public void A_copy_that_is_not_what_was_written_is_not_published()
    {
        using var disk = new MemoryStorage();
        var faulty = new FaultStorage(disk);
        faulty.Inject(FaultKind.FlippedBit, 1);
        Assert.Throws<CorruptionException>(() => Write(faulty, 1));
        Assert.Equal(1, faulty.Strikes);
        Assert.Empty(disk.List(LogNames.ArchiveDirectory));
    }

    // Whatever a power cut leaves: the name is not there, or it is the whole archive.
    [Fact]
    [Trait("Promise", "G1")]
    [Trait("Requirement", "CNT-10")]
    public void A_crash_at_any_step_leaves_a_part_or_a_whole_archive()
    {
        var named = default(ManifestArchive);
        using (var storage = new MemoryStorage())
            named = Write(storage, 1);
        var (parts, whole) = (0, 0);
        for (var at = 1L; ; at++)
        {
            using var disk = new CrashStorage { PowerFailsAt = at };
            var isOver = true;
            try
            {
                Write(disk, 1);
            }
            catch (PowerLossException)
            {
                isOver = false;
            }

            foreach (var image in disk.Images((ulong)at))
            {
                using var after = image.Storage;
                if (!after.Exists("archives/0000000001.archive"))
                {
                    parts++;
                    continue;
                }

                whole++;
                using var archive = new Archive(after, named, DatabaseId);
                archive.Verify();
            }

            if (isOver)
                break;
        }

        Assert.True(parts > 5 && whole > 1, $"{parts} parts, {whole} whole");
    }

    // Two open it at once; by the time the slower one comes to the file, the quicker one has read all, it was replaced and unlinked. That
    // was told as a missing file.
    [Fact]
    [Trait("Requirement", "CNT-9")]
    public void Who_comes_late_to_open_it_reads_by_the_handle_that_is_there()
    {
        using var storage = new LateStorage();
        var named = Write(storage, 1);
        using var archive = new Archive(storage, named, DatabaseId);
        storage.AtOpen = () =>
        {
            ReadAll(archive);
            storage.Unlink(archive.Path);
        };
        Assert.True(archive.TryPin());
        ReadAll(archive);
        Assert.Null(storage.AtOpen);
        archive.Unpin();
    }

    /// <summary>Does something before a file is opened next, once.</summary>
    private sealed class LateStorage() : StorageLayer(new MemoryStorage())
    {
        internal Action? AtOpen { get; set; }

        public override IFile Open(string path, bool writable)
        {
            if (AtOpen is { } act)
            {
                AtOpen = null;
                act();
            }

            return base.Open(path, writable);
        }
    }

    private static ManifestArchive Write(IStorage storage, uint number)
    {
        using var writer = new ArchiveWriter(storage, number, DatabaseId, Salt);
        writer.BeginSource(Sources[0]);
        writer.AddRecord(RunId.Default, First + 8, KeptOperations.All);
        writer.Add(First + 8, Record(First + 8, SegmentSalt));
        writer.Add(50_000, new byte[100]);
        writer.BeginSource(Sources[1]);
        writer.AddRecord(Other, 120_000, KeptOperations.All);
        writer.AddRecord(RunId.Default, 120_000, new KeptOperations([0b0000_0101, 0b0000_0100], 11));
        writer.Add(120_000, Record(120_000, SegmentSalt + 1));
        writer.AddFloor(new ArchiveFloor(Other, new KeptSince(333, 1_700_000_000_000_000, 3), 64));
        Finish(writer, First, End);
        return writer.Named;
    }

    private static void Finish(ArchiveWriter writer, ulong first, ulong end)
    {
        foreach (var _ in writer.Finish(first, end))
        {
        }
    }

    private static byte[] Record(ulong position, UInt128 salt)
    {
        var record = new byte[RecordFrame.LengthOf(3)];
        "abc"u8.CopyTo(record.AsSpan(RecordHeader.Size));
        RecordFrame.FinishControl(record, 3, SaltBytes(salt), position, 20, 0, 0, RecordType.Transaction);
        return record;
    }

    // Everything that readers ask of an archive; what is answered must be what was written.
    private static void ReadAll(Archive archive)
    {
        Assert.Equal(2, archive.Pieces().Select(piece => piece.Source).Distinct().Count());
        Assert.Equal([RunId.Default, RunId.Default, Other], archive.Records().Select(record => record.Run));
        Assert.True(archive.TryFindRecord(RunId.Default, End, out var found));
        Assert.Equal(120_000UL, found.Position);
        Assert.Equal([0b0000_0101, 0b0000_0100], archive.MarksOf(found).Bytes.ToArray());
        Assert.True(archive.TryFindRecord(RunId.Default, 119_999, out found));
        Assert.Equal((First + 8, true), (found.Position, archive.MarksOf(found).IsAll));
        Assert.False(archive.TryFindRecord(Other, 119_999, out _));
        Assert.Equal(64UL, archive.FloorOf(Other)!.Value.Below);
        Assert.Null(archive.FloorOf(RunId.Default));
        var record = new byte[RecordFrame.LengthOf(3)];
        Assert.Equal(record.Length, archive.Read(120_000, record));
        Assert.Equal(Record(120_000, SegmentSalt + 1), record);
        Assert.Equal(0, archive.Read(120_000 - 1, record));
        Assert.True(archive.TrySourceAt(50_099, out var source));
        Assert.Equal(Sources[0], source);
    }

    private static bool IsTold(Action reading)
    {
        try
        {
            reading();
            return false;
        }
        catch (CairnException refused) when (refused is CorruptionException or FormatVersionException)
        {
            return true;
        }
    }

    private static byte[] Bytes(MemoryStorage storage, ManifestArchive named)
    {
        using var file = storage.Open(LogNames.ArchivePath(named.Number), writable: false);
        var bytes = new byte[file.Length];
        file.ReadAt(bytes, 0);
        return bytes;
    }

    private static MemoryStorage With(ReadOnlySpan<byte> bytes)
    {
        var storage = new MemoryStorage();
        storage.CreateDirectory(LogNames.ArchiveDirectory);
        using var file = storage.CreateNew(LogNames.ArchivePath(1));
        file.WriteAt(bytes, 0);
        return storage;
    }

    private static byte[] SaltBytes(UInt128 salt)
    {
        var bytes = new byte[16];
        BinaryPrimitives.WriteUInt128LittleEndian(bytes, salt);
        return bytes;
    }

    private static byte[] IdBytes(RunId run)
    {
        var bytes = new byte[RunId.Size];
        run.Write(bytes);
        return bytes;
    }

    private static byte[] U32(uint value) => BitConverter.GetBytes(value);

    private static byte[] U64(ulong value) => BitConverter.GetBytes(value);
}
