using Cairn.Codec;
using Cairn.Tests.Log;
using Xunit;

namespace Cairn.Tests.Tables;

/// <summary>docs/format.md, section Table, against what the writer makes.</summary>
[Trait("Promise", "G11")]
public class TableFormatTests
{
    private static readonly byte[] Salt = BytesOf(TableTestBed.Salt + 7);

    [Fact]
    public void Header_and_footer_are_as_documented()
    {
        using var bed = new TableTestBed();
        var info = bed.Write(7, Rows());
        var bytes = bed.Bytes(info);
        FormatTests.Compare(FormatTable.Read("Table"), new()
        {
            ["magic"] = [.. "CAIRNTAB"u8],
            ["major"] = [1, 0],
            ["minor"] = [0, 0],
            ["header length"] = U32(128),
            ["compatible features"] = U32(0),
            ["read-only-compatible features"] = U32(0),
            ["incompatible features"] = U32(0),
            ["zero"] = U32(0),
            ["database id"] = BytesOf(TableTestBed.DatabaseId),
            ["table number"] = U32(7),
            ["salt"] = Salt,
            ["key id"] = U32(0),
            ["key salt"] = new byte[32],
            ["unused"] = new byte[12],
            ["header check"] = U32(Crc32C.Of(bytes.AsSpan(0, 124))),
        }, bytes);

        var table = bed.Open(info);
        var at = bytes.Length - 112;
        FormatTests.Compare(FormatTable.Read("Table", 4), new()
        {
            ["root offset"] = U64((ulong)table.Footer.Root.Offset),
            ["root bytes"] = U32((uint)table.Footer.Root.Bytes),
            ["root level"] = U32(1),
            ["content root offset"] = U64((ulong)table.Footer.ContentRoot.Offset),
            ["content root bytes"] = U32((uint)table.Footer.ContentRoot.Bytes),
            ["content root level"] = U32(0),
            ["content stretches"] = U32(1),
            ["zero"] = U32(0),
            ["entries"] = U64(4),
            ["keys"] = U64(3),
            ["tombstones"] = U64(1),
            ["first sequence"] = U64(5),
            ["last sequence"] = U64(0x1122334455667788),
            ["content references"] = U64(1),
            ["content bytes"] = U64(5000),
            ["file bytes"] = U64((ulong)bytes.Length),
            ["footer check"] = U32(Crc32C.Of([.. Salt, .. U64((ulong)at), .. bytes[at..^4]])),
        }, bytes.AsSpan(at));
        Assert.Equal(at, table.Footer.Root.Offset + table.Footer.Root.Bytes);
        Assert.Equal(at, bytes.Length - TableFooter.Size);
    }

    [Fact]
    public void Blocks_and_entries_are_as_documented()
    {
        using var bed = new TableTestBed();
        var bytes = bed.Bytes(bed.Write(7, Rows()));
        var length = BitConverter.ToInt32(bytes, 128 + 12);
        var block = bytes.AsSpan(128, length).ToArray();
        FormatTests.Compare(FormatTable.Read("Table", 1), new()
        {
            ["check"] = U32(Crc32C.Of([.. Salt, .. U64(128), .. block[4..]])),
            ["kind"] = [1],
            ["level"] = [0],
            ["prefix bytes P"] = [17, 0],                 // the run and the first byte of all keys
            ["count N"] = U32(4),
            ["bytes"] = U32((uint)length),
        }, block);

        // 17 bytes of prefix, 8 slots, 4 offsets, entries: a@max, a@5, b, c
        Assert.Equal([.. new byte[15], 1, 0x10], block[16..33]);
        var entries = Enumerable.Range(0, 4).Select(i => (int)BitConverter.ToUInt16(block, 49 + 2 * i)).ToList();
        Assert.Equal(16 + 17 + 8 * 2 + 4 * 2, entries[0]);
        FormatTests.Compare(FormatTable.Read("Table", 2), new()
        {
            ["suffix bytes"] = [1, 0],
            ["flags"] = [12],
            ["zero"] = [0],
            ["value bytes"] = U32(3),
            ["sequence"] = U64(0x1122334455667788),
            ["time"] = U64(1_700_000_000_000_000),
            ["created"] = U64(4),
        }, block.AsSpan(entries[0]));
        var first = block[entries[0]..entries[1]];
        Assert.Equal([.. U64(1_800_000_000_000_000), (byte)'a', 1, 2, 3], first[32..]);
        Assert.Equal([16, 1, 2], entries[1..].Select(at => (int)block[at + 2]));
        var slots = Enumerable.Range(0, 8).Select(i => (int)BitConverter.ToUInt16(block, 33 + 2 * i)).ToList();
        Assert.Equal([0, 0, 0, 0, 0, entries[0], entries[2], entries[3]], slots.Order());
        foreach (var (key, at) in new[] { ('a', entries[0]), ('b', entries[2]), ('c', entries[3]) })
        {
            var slot = (int)(TableHash.Of([.. block[16..33], (byte)key]) % 8);
            while (slots[slot] != at)
            {
                Assert.NotEqual(0, slots[slot]);
                slot = (slot + 1) % 8;
            }
        }
    }

    [Fact]
    public void Filter_content_and_index_are_as_documented()
    {
        using var bed = new TableTestBed();
        var info = bed.Write(7, Rows());
        var bytes = bed.Bytes(info);
        var footer = bed.Open(info).Footer;
        var filterAt = 128 + BitConverter.ToInt32(bytes, 140);
        var filter = bytes.AsSpan(filterAt, 16 + 64).ToArray();
        Assert.Equal([3, 0, 0, 0, .. U32(1), .. U32(80)], filter[4..16]);
        var line = new byte[64];
        foreach (var key in "abc"u8.ToArray())
        {
            var bits = TableHash.Of([.. new byte[15], 1, 0x10, key]) * 0x9E3779B97F4A7C15;
            for (var probe = 0; probe < 6; probe++)
            {
                var bit = (int)(bits >> (55 - 9 * probe)) & 511;
                line[bit / 8] |= (byte)(1 << (bit % 8));
            }
        }

        Assert.Equal(line, filter[16..]);

        var leafAt = filterAt + 80;
        var leaf = bytes.AsSpan(leafAt, BitConverter.ToInt32(bytes, leafAt + 12)).ToArray();
        Assert.Equal([2, 0, 1, 0, .. U32(1)], leaf[4..12]);
        Assert.Equal([.. new byte[8], .. U32(29), 0], leaf[16..29]);     // an empty suffix; the shortest separator of the first key

        var contentAt = (int)footer.ContentRoot.Offset - 28;
        Assert.Equal([4, 0, 0, 0, .. U32(1), .. U32(28), .. U64(800), .. U32(5000)], bytes[(contentAt + 4)..(contentAt + 28)]);
        var contents = bytes.AsSpan((int)footer.ContentRoot.Offset, footer.ContentRoot.Bytes).ToArray();
        Assert.Equal([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 32], contents[28..40]);

        var root = bytes.AsSpan((int)footer.Root.Offset, footer.Root.Bytes).ToArray();
        Assert.Equal([2, 1, 1, 0, .. U32(1)], root[4..12]);
        FormatTests.Compare(FormatTable.Read("Table", 3), new()
        {
            ["suffix bytes"] = [0, 0],
            ["zero"] = [0, 0],
            ["block bytes"] = U32((uint)leaf.Length),
            ["block offset"] = U64((ulong)leafAt),
            ["sequence"] = U64(ulong.MaxValue),
            ["filter offset"] = U64((ulong)filterAt),
            ["filter bytes"] = U32(80),
            ["unused"] = U32(0),
        }, root.AsSpan(29));
    }

    // The bytes of 1.0: a table that was written once is read for ever, so the same entries make the same file.
    [Fact]
    public void The_same_entries_make_the_same_bytes()
    {
        using var bed = new TableTestBed();
        var rows = Rows().Concat(Enumerable.Range(0, 3000).Select(i => new Row(
            RunId.System, [(byte)(i % 250), (byte)(i % 7), (byte)(i % 3)], (ulong)i + 1, new byte[i % 90], i * 1000L, i % 5 == 0 ? i : 0)));
        Assert.Equal("687c8bbea59ce5dccc1eccde59638a5e85a4af43cf6ef02fe073b21ddcc27347", bed.Write(7, rows).Digest.ToString());
    }

    [Fact]
    public void The_hash_is_as_documented()
    {
        Assert.Equal(Hash(new byte[16]), TableHash.Of(new byte[16]));
        for (var length = 16; length < 100; length++)
        {
            var bytes = Enumerable.Range(0, length).Select(i => (byte)(i * 37)).ToArray();
            Assert.Equal(Hash(bytes), TableHash.Of(bytes));
        }
    }

    private static ulong Hash(byte[] bytes)
    {
        static ulong Fold(ulong a, ulong b) => (ulong)((UInt128)a * b >> 64) ^ unchecked(a * b);
        var s = 0x1F83D9ABFB41BD6BUL;
        var at = 0;
        for (; bytes.Length - at > 16; at += 16)
            s = Fold(BitConverter.ToUInt64(bytes, at) ^ 0xA54FF53A5F1D36F1, BitConverter.ToUInt64(bytes, at + 8) ^ s);
        var low = BitConverter.ToUInt64(bytes, bytes.Length - 16);
        var high = BitConverter.ToUInt64(bytes, bytes.Length - 8);
        return Fold((ulong)bytes.Length ^ 0x510E527FADE682D1, Fold(low ^ 0x9B05688C2B3E6C1F, high ^ s));
    }

    private static List<Row> Rows() =>
    [
        new(RunId.Default, [0x10, (byte)'a'], 0x1122334455667788, [1, 2, 3], 1_700_000_000_000_000, 1_800_000_000_000_000, Created: 4),
        new(RunId.Default, [0x10, (byte)'a'], 5, [9]),
        new(RunId.Default, [0x10, (byte)'b'], 6, [], IsTombstone: true),
        new(RunId.Default, [0x10, (byte)'c'], 7, [.. U64(800), .. U32(5000), .. U32(0xCAFEBABE)], IsContent: true),
    ];

    private static byte[] U32(uint value) => BitConverter.GetBytes(value);

    private static byte[] U64(ulong value) => BitConverter.GetBytes(value);

    private static byte[] BytesOf(UInt128 value)
    {
        var bytes = new byte[16];
        System.Buffers.Binary.BinaryPrimitives.WriteUInt128LittleEndian(bytes, value);
        return bytes;
    }
}
