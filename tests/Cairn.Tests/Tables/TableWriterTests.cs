using Cairn.Diagnostics;
using Cairn.Log;
using Cairn.Storage;
using Xunit;

namespace Cairn.Tests.Tables;

/// <summary>What a writer makes, at the edges of what it takes; and what it leaves when it is stopped in the middle.</summary>
public class TableWriterTests(ITestOutputHelper output)
{
    [Fact]
    public void Keys_and_values_of_every_size_come_back()
    {
        using var bed = new TableTestBed();
        var random = new Random(1);
        var rows = new List<Row>();
        foreach (var bytes in (int[])[0, 1, 2, 7, 8, 9, 15, 16, 17, 1023, 1024, 1033, 1034, 5000, 0x7FFF])
            rows.Add(new Row(RunId.Default, Fill(bytes, (byte)bytes), 5, Fill(3, 1)));
        foreach (var bytes in (int[])[0, 1, 16_000, 16_384, 17_000, 65_000, 65_536, 70_000, 1 << 20, 64 << 20])
            rows.Add(new Row(RunId.System, BitConverter.GetBytes(bytes), (ulong)bytes + 1, Fill(bytes, 9)));
        for (var flags = 0; flags < 16; flags++)
        {
            var isContent = (flags & 3) == 2;
            rows.Add(new Row(
                new RunId(UInt128.MaxValue), [(byte)flags], ulong.MaxValue, isContent ? Fill(16, 3) : Fill(flags, 3), long.MinValue,
                (flags & 8) != 0 ? long.MaxValue : 0, (flags & 3) == 1, isContent, (flags & 4) != 0 ? 1 : null));
        }

        rows.Sort(RowOrder.Instance);
        var table = bed.Make(1, rows);
        table.Verify();
        var versions = new Image(table).Versions();
        foreach (var row in rows)
        {
            Assert.True(versions.MoveNext());
            Assert.Equal(row.Run, versions.Run);
            Assert.True(versions.Key.SequenceEqual(row.Key));
            Assert.True(row.IsTheSameAs(versions.Version));
            Assert.True(new Image(table).TryGet(row.Run, row.Key, row.Sequence, out var found) && row.IsTheSameAs(found));
        }

        Assert.False(versions.MoveNext());
        var last = new Image(table).Scan(new RunId(UInt128.MaxValue), [], [], ulong.MaxValue, reverse: true);
        Assert.True(last.MoveNext());
        Assert.Equal([15], last.Key.ToArray());
    }

    [Fact]
    public void A_table_of_many_levels_finds_everything()
    {
        using var bed = new TableTestBed();
        var random = new Random(2);

        // Groups of keys that share much, but not with other groups: separators are long, few fit into an index block.
        var key = new byte[3000];
        var rows = Enumerable.Range(0, 3000).Select(i =>
        {
            random.NextBytes(key.AsSpan(i == 0 || random.Next(10) == 0 ? 0 : 2990));
            return new Row(RunId.Default, key.ToArray(), (ulong)i + 1, Fill(6000, (byte)i));
        }).ToList();
        rows.Sort(RowOrder.Instance);
        var table = bed.Make(1, rows);
        Assert.True(table.Footer.RootLevel >= 2, $"level {table.Footer.RootLevel}");
        table.Verify();
        foreach (var reverse in new[] { false, true })
        {
            var scan = new Image(table).Scan(RunId.Default, [], [], ulong.MaxValue, reverse);
            foreach (var row in reverse ? Enumerable.Reverse(rows) : rows)
                Assert.True(scan.MoveNext() && scan.Key.SequenceEqual(row.Key) && row.IsTheSameAs(scan.Version));
            Assert.False(scan.MoveNext());
        }
    }

    [Fact]
    public void A_key_that_shares_nothing_with_its_neighbours_begins_a_block()
    {
        using var bed = new TableTestBed();
        var keys = Enumerable.Range(0, 400).Select(i => (byte[])[.. Fill(3000, 8), (byte)(i >> 8), (byte)i]);
        var table = bed.Make(1, keys.Append([9]).Select(key => new Row(RunId.Default, key, 1, [1])));
        table.Verify();
        Assert.True(table.Info.FileBytes < 40_000, $"{table.Info.FileBytes} bytes");
    }

    [Fact]
    public void Thousands_of_versions_of_one_key_are_found_at_every_sequence()
    {
        using var bed = new TableTestBed();
        var rows = Enumerable.Range(1, 20_000)
            .Select(i => new Row(RunId.Default, "key"u8.ToArray(), 2 * (ulong)i, BitConverter.GetBytes(i)));
        var table = bed.Make(1, rows);
        table.Verify();
        for (var at = 0UL; at <= 40_002; at += 97)
        {
            var found = new Image(table).TryGet(RunId.Default, "key"u8, at, out var version);
            Assert.Equal(at >= 2, found);
            Assert.Equal(Math.Min(at & ~1UL, 40_000), found ? version.Sequence : 0);
            var scan = new Image(table).Scan(RunId.Default, [], [], at, reverse: at % 3 == 0);
            Assert.Equal(found, scan.MoveNext() && scan.Version.Sequence == version.Sequence);
        }
    }

    [Fact]
    public void An_empty_table_has_nothing()
    {
        using var bed = new TableTestBed();
        var table = bed.Make(1, []);
        table.Verify();
        var image = new Image(table);
        Assert.False(image.TryGet(RunId.Default, "a"u8, ulong.MaxValue, out _));
        Assert.False(image.MayHave(RunId.Default, "a"u8));
        Assert.False(image.Versions().MoveNext());
        Assert.False(image.Scan(RunId.Default, [], [], ulong.MaxValue).MoveNext());
        Assert.False(image.Scan(RunId.Default, [], [], ulong.MaxValue, reverse: true).MoveNext());
    }

    [Fact]
    public void What_is_out_of_order_is_a_broken_invariant()
    {
        using var bed = new TableTestBed();
        using var writer = new TableWriter(bed.Storage, 1, 1, 1);
        writer.Add(RunId.System, "b"u8, new VersionView([], 5, 5, 0, 0, false));
        Assert.Throws<InvariantException>(() => writer.Add(RunId.System, "b"u8, new VersionView([], 5, 5, 0, 0, false)));
        Assert.Throws<InvariantException>(() => writer.Add(RunId.System, "a"u8, new VersionView([], 6, 6, 0, 0, false)));
        Assert.Throws<InvariantException>(() => writer.Add(RunId.Default, "c"u8, new VersionView([], 6, 6, 0, 0, false)));
        Assert.Throws<InvariantException>(() => writer.Add(RunId.System, "c"u8, new VersionView([], 6, 7, 0, 0, false)));
    }

    [Fact]
    public void The_contents_that_entries_refer_to_come_in_the_order_of_the_log()
    {
        using var bed = new TableTestBed();
        var random = new Random(3);
        var rows = Enumerable.Range(0, 150_000).Select(i =>
        {
            var reference = new byte[16];
            BitConverter.TryWriteBytes(reference, (ulong)random.Next(1 << 30) * 8);
            BitConverter.TryWriteBytes(reference.AsSpan(8), random.Next(4097, 1 << 20));
            return new Row(RunId.Default, BitConverter.GetBytes(i), (ulong)i + 1, reference, IsContent: true);
        }).ToList();
        var info = bed.Write(1, rows);
        var table = bed.Open(info);
        Assert.True(table.Footer.ContentStretches >= 3);
        table.Verify();
        var expected = rows.Select(row => ContentExtent.Of(row.Value)).Order().ToList();
        Assert.True(expected.SequenceEqual(table.ReadContents()));
        Assert.Equal((rows.Count, expected.Sum(extent => (long)extent.Length)), (info.ContentReferences, info.ContentBytes));
    }

    [Fact]
    [Trait("Promise", "G1")]
    [Trait("Requirement", "CKP-5")]
    public void C4_A_crash_at_every_step_leaves_a_part_or_a_whole_file()
    {
        var rows = Enumerable.Range(1, 3000).Select(i => new Row(RunId.Default, BitConverter.GetBytes(i), 1, Fill(100, (byte)i))).ToList();
        var whole = Write(new CrashStorage(), rows)!;
        var images = 0;
        for (var at = 1; ; at++)
        {
            var storage = new CrashStorage { PowerFailsAt = at };
            var info = Write(storage, rows);
            var seen = new HashSet<UInt128>();
            foreach (var image in storage.Images((ulong)at, seen, randomCount: 16))
            {
                images++;
                var names = image.Storage.List("tables");
                Assert.All(names, name => Assert.True(name is "0000000001.table" or "0000000001.table.part"));
                Assert.True(info is null || names.Contains("0000000001.table"));
                if (!names.Contains("0000000001.table"))
                    continue;
                using var table = Table.Open(image.Storage, whole, TableTestBed.DatabaseId, new BlockCache(0));
                table.Verify();
            }

            if (!storage.PowerLost)
                break;
        }

        output.WriteLine($"images={images}");
    }

    [Fact]
    [Trait("Promise", "G7")]
    public void C7_A_fault_at_every_call_is_told_and_leaves_no_wrong_table()
    {
        var rows = Enumerable.Range(1, 3000).Select(i => new Row(RunId.Default, BitConverter.GetBytes(i), 1, Fill(100, (byte)i))).ToList();
        var whole = Write(new MemoryStorage(), rows)!;
        foreach (var kind in Enum.GetValues<FaultKind>())
        {
            for (var at = 1; ; at++)
            {
                using var inner = new MemoryStorage();
                using var storage = new FaultStorage(inner);
                storage.Inject(kind, at, FaultStorage.Possible(kind) & StorageCall.Changes);
                TableInfo? info = null;
                try
                {
                    info = Write(storage, rows);
                }
                catch (StorageException)
                {
                }

                if (storage.Strikes == 0)
                    break;
                if (info is not null || inner.Exists(whole.Path))
                {
                    using var table = Table.Open(inner, whole, TableTestBed.DatabaseId, new BlockCache(0));
                    table.Verify();
                }
            }
        }
    }

    private static TableInfo? Write(IStorage storage, List<Row> rows)
    {
        try
        {
            return new TableTestBed(storage).Write(1, rows);
        }
        catch (PowerLossException)
        {
            return null;
        }
    }

    private static byte[] Fill(int bytes, byte with)
    {
        var filled = new byte[bytes];
        filled.AsSpan().Fill(with);
        return filled;
    }
}
