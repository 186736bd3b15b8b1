using System.Text;
using Cairn.Codec;
using Cairn.Log;
using Cairn.Storage;
using Xunit;

namespace Cairn.Tests.Tables;

/// <summary>Damage to a table is told by name or changes nothing: never an absent key, never another value.</summary>
public class TableDamageTests
{
    private static readonly RunId[] Runs = [RunId.Default, new RunId((UInt128)77 << 90)];

    [Fact]
    [Trait("Promise", "G6")]
    public void C6_Every_flipped_bit_is_told_or_changes_nothing()
    {
        using var bed = new TableTestBed();
        var rows = Rows(24);
        var info = bed.Write(1, rows);
        var bytes = bed.Bytes(info);
        var told = 0;
        for (var bit = 0; bit < bytes.Length * 8; bit++)
        {
            bytes[bit / 8] ^= (byte)(1 << (bit % 8));
            if (IsTold(bytes, info, rows))
                told++;
            bytes[bit / 8] ^= (byte)(1 << (bit % 8));
        }

        Assert.Equal(bytes.Length * 8, told);             // every byte of a table is under some check that a full reading looks at
    }

    [Fact]
    [Trait("Promise", "G6")]
    public void C5_Every_truncation_and_every_longer_file_is_told()
    {
        using var bed = new TableTestBed();
        var rows = Rows(24);
        var info = bed.Write(1, rows);
        var bytes = bed.Bytes(info);
        for (var length = 0; length < bytes.Length; length++)
            Assert.True(IsTold(bytes.AsSpan(0, length), info, rows), $"length {length}");
        Assert.True(IsTold([.. bytes, 0], info, rows));
    }

    [Fact]
    [Trait("Promise", "G6")]
    public void A_block_of_another_table_at_the_same_offset_is_told()
    {
        using var bed = new TableTestBed();
        var rows = Rows(24);
        var one = bed.Bytes(bed.Write(1, rows));
        var info = bed.Write(2, rows);
        var two = bed.Bytes(info);
        Assert.Equal(one.Length, two.Length);
        one.AsSpan(128, 200).CopyTo(two.AsSpan(128));     // the head of the first data block, its check included
        var whole = BitConverter.ToInt32(two, 128 + 12);
        one.AsSpan(128, whole).CopyTo(two.AsSpan(128));
        Assert.True(IsTold(two, info, rows));
    }

    [Fact]
    [Trait("Promise", "G6")]
    public void Another_database_another_number_and_a_missing_file_are_told_by_name()
    {
        using var bed = new TableTestBed();
        var info = bed.Write(1, Rows(5));
        var other = Assert.Throws<CorruptionException>(() => Table.Open(bed.Storage, info, 1, bed.Cache));
        Assert.Equal(("tables/0000000001.table", 32L), (other.File, other.Offset));

        bed.Storage.Rename("tables/0000000001.table", "tables/0000000002.table");
        var number = Assert.Throws<CorruptionException>(() => bed.Open(info with { Number = 2 }));
        Assert.Contains("table number 2, not 1", number.Expected, StringComparison.Ordinal);
        Assert.Contains("missing", Assert.Throws<CorruptionException>(() => bed.Open(info)).Expected, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(8, 2)]
    [InlineData(24, 1)]
    [Trait("Promise", "G11")]
    public void A_newer_format_is_refused_by_name(int offset, byte value)
    {
        using var bed = new TableTestBed();
        var info = bed.Write(1, Rows(5));
        var bytes = bed.Bytes(info);
        bytes[offset] = value;
        BitConverter.TryWriteBytes(bytes.AsSpan(124), Crc32C.Of(bytes.AsSpan(0, 124)));
        using var changed = With(bytes);
        Assert.Equal(
            "tables/0000000001.table",
            Assert.Throws<FormatVersionException>(() => Table.Open(changed, info, TableTestBed.DatabaseId, new BlockCache(0))).File);
    }

    // True: some part of a full reading was refused. Whatever was not refused must be exact.
    private static bool IsTold(ReadOnlySpan<byte> bytes, TableInfo info, List<Row> rows)
    {
        using var storage = With(bytes);
        Table table;
        try
        {
            table = Table.Open(storage, info, TableTestBed.DatabaseId, new BlockCache(1 << 20));
        }
        catch (CairnException refused) when (refused is CorruptionException or FormatVersionException)
        {
            return true;
        }

        using (table)
        {
            var image = new Image(table);
            var told = false;
            foreach (var row in rows)
            {
                told |= IsRefused(() =>
                {
                    Assert.True(image.TryGet(row.Run, row.Key, row.Sequence, out var view));
                    Assert.True(row.IsTheSameAs(view));
                });
            }

            told |= IsRefused(() =>
            {
                var versions = image.Versions();
                foreach (var row in rows)
                {
                    Assert.True(versions.MoveNext());
                    Assert.Equal(row.Key, versions.Key.ToArray());
                    Assert.True(row.IsTheSameAs(versions.Version));
                }

                Assert.False(versions.MoveNext());
            });
            told |= IsRefused(() => Assert.NotNull(table.ReadContents().ToList()));
            return told;
        }
    }

    private static bool IsRefused(Action reading)
    {
        try
        {
            reading();
            return false;
        }
        catch (CorruptionException refused)
        {
            Assert.Equal("tables/0000000001.table"[..^7], refused.File[..^7]);
            return true;
        }
    }

    private static MemoryStorage With(ReadOnlySpan<byte> bytes)
    {
        var storage = new MemoryStorage();
        storage.CreateDirectory("tables");
        foreach (var name in new[] { "tables/0000000001.table", "tables/0000000002.table" })
        {
            using var file = storage.CreateNew(name);
            file.WriteAt(bytes, 0);
        }

        return storage;
    }

    private static List<Row> Rows(int count)
    {
        var random = new Random(5);
        var rows = new List<Row>();
        for (var i = 0; i < count; i++)
        {
            var row = ImageTests.MakeRow(random, Runs[i % 2], Encoding.UTF8.GetBytes($"\u0010key {i / 3}"), (ulong)i + 1);
            rows.Add(row with { Value = new byte[i] });
        }

        for (var i = 0; i < rows.Count; i++)
        {
            if (rows[i].IsContent)
                rows[i] = rows[i] with { Value = [.. Enumerable.Range(i, 16).Select(one => (byte)one)] };
        }

        rows.Sort(RowOrder.Instance);
        return rows;
    }
}
