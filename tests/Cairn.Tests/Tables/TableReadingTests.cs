using System.Buffers.Binary;
using Cairn.Log;
using Cairn.Storage;
using Xunit;

namespace Cairn.Tests.Tables;

/// <summary>What reading costs, and what it does with bytes that nobody wrote.</summary>
public class TableReadingTests(ITestOutputHelper output)
{
    [Fact]
    [Trait("Requirement", "PERF-5")]
    public void A_get_from_cached_blocks_allocates_nothing()
    {
        using var bed = new TableTestBed();
        var image = new Image(bed.Make(2, Rows(2000, 5000)), bed.Make(1, Rows(1, 5000)));
        var key = new byte[8];
        var found = 0L;
        long Bytes()
        {
            var before = GC.GetAllocatedBytesForCurrentThread();
            for (var i = 0; i < 8000; i++)
            {
                BinaryPrimitives.WriteInt64BigEndian(key, i);
                if (image.TryGet(RunId.Default, key, ulong.MaxValue, out var version))
                    found += version.Stored.Length;
                found += image.MayHave(RunId.Default, key) ? 1 : 0;
            }

            return GC.GetAllocatedBytesForCurrentThread() - before;
        }

        Bytes();
        Assert.Equal(0, Bytes());
        Assert.InRange(found, 2 * 9 * 6999, 2 * 9 * 6999 + 2 * 1000);
    }

    // A cache that is far too small: every reader evicts what the others are about to read.
    [Fact]
    [Trait("Promise", "G8")]
    public void Readers_of_many_threads_that_evict_each_others_blocks_get_right_answers()
    {
        using var bed = new TableTestBed();
        var cache = new BlockCache(256 << 10);
        var newer = Rows(1, 20_000).Where(row => row.Sequence % 3 == 0).Select(row => row with { Sequence = 50_000 });
        var image = new Image(bed.Open(bed.Write(2, newer), cache), bed.Open(bed.Write(1, Rows(1, 20_000)), cache));
        var wrong = 0;
        var threads = Enumerable.Range(0, 4).Select(seed => new Thread(() =>
        {
            var random = new Random(seed);
            var key = new byte[8];
            for (var i = 0; i < 20_000; i++)
            {
                var number = random.Next(22_000);
                var at = random.Next(2) == 0 ? ulong.MaxValue : 40_000;
                BinaryPrimitives.WriteInt64BigEndian(key, number);
                var found = image.TryGet(RunId.Default, key, at, out var version);
                var isThere = number is > 0 and <= 20_000;
                var sequence = number % 3 == 0 && at > 50_000 ? 50_000UL : (ulong)number;
                if (found != isThere || (found && (version.Sequence != sequence || BitConverter.ToInt64(version.Stored) != number)))
                    Interlocked.Increment(ref wrong);
                if (i % 500 != 0)
                    continue;
                var scan = image.Scan(RunId.Default, key, [], at, reverse: false);
                for (var next = Math.Max(1, number); next < number + 200 && next <= 20_000; next++)
                {
                    if (!scan.MoveNext() || BitConverter.ToInt64(scan.Version.Stored) != next)
                        Interlocked.Increment(ref wrong);
                }
            }
        })).ToList();
        threads.ForEach(thread => thread.Start());
        threads.ForEach(thread => thread.Join());
        Assert.Equal(0, wrong);
        Assert.True(cache.Evictions > 0 && cache.Bytes <= 256 << 10);
    }

    [Fact]
    [Trait("Requirement", "RCV-12")]
    public void Opening_reads_the_same_whatever_the_size()
    {
        using var bed = new TableTestBed();
        var reads = new List<(long Calls, long Bytes)>();
        foreach (var count in (int[])[100, 100_000])
        {
            var info = bed.Write((uint)count, Rows(1, count));
            var counting = new CountingStorage(bed.Storage);
            Table.Open(counting, info, TableTestBed.DatabaseId, bed.Cache).Dispose();
            reads.Add((counting.Count(StorageCall.Read), counting.BytesRead));
        }

        Assert.Equal([2, 2], reads.Select(read => read.Calls));
        Assert.All(reads, read => Assert.InRange(read.Bytes, 0, 40_000));
    }

    [Fact]
    public void A_filter_lets_about_one_in_a_hundred_absent_keys_pass()
    {
        using var bed = new TableTestBed();
        var image = new Image(bed.Make(1, Rows(1, 200_000)));
        var key = new byte[8];
        var passed = 0;
        for (var i = 0; i < 200_000; i++)
        {
            BinaryPrimitives.WriteInt64BigEndian(key, i + 1);
            Assert.True(image.MayHave(RunId.Default, key));
        }

        // Absent keys between present ones: those before the first or behind the last would not come to a filter.
        var random = new Random(4);
        var absent = new byte[9];
        for (var i = 0; i < 200_000; i++)
        {
            BinaryPrimitives.WriteInt64BigEndian(absent, random.Next(1, 200_000));
            absent[8] = (byte)random.Next(256);
            passed += image.MayHave(RunId.Default, absent) ? 1 : 0;
        }

        output.WriteLine($"passed={passed / 2000.0} %");
        Assert.InRange(passed, 0, 4000);
    }

    [Fact]
    [Trait("Promise", "G6")]
    public void C6_Random_bytes_are_refused_by_name()
    {
        foreach (var seed in Seeds.Take(Seeds.Scaled(300), output))
        {
            var random = new Random(seed);
            var bytes = new byte[random.Next(0, 2000)];
            random.NextBytes(bytes);
            ReadAll(bytes, new TableInfo(1, bytes.Length, default, 1, 9, 9, 0, 0, 0));
        }
    }

    // Checks that fit are no proof of sense: a file may be made to deceive. It costs an error or a wrong answer, and not the reader.
    [Fact]
    [Trait("Promise", "G6")]
    public void C6_Changed_blocks_with_right_checks_end_in_answers_or_named_errors()
    {
        using var bed = new TableTestBed();
        var rows = Rows(1, 1500).Concat(Enumerable.Range(1, 500).Select(i => new Row(
            RunId.System, BitConverter.GetBytes(i), 9000 + (ulong)i, new byte[16], i, i, IsContent: true, Created: 5))).ToList();
        var info = bed.Write(1, rows);
        var original = bed.Bytes(info);
        var salted = TableFormat.Salted(TableTestBed.Salt + 1);
        var places = new List<(int At, int Bytes)>();
        for (var at = SealedFileHeader.Size; at < original.Length - TableFooter.Size; at += places[^1].Bytes)
            places.Add((at, BitConverter.ToInt32(original, at + 12)));
        foreach (var seed in Seeds.Take(Seeds.Scaled(1500), output))
        {
            var random = new Random(seed);
            var bytes = (byte[])original.Clone();
            var (at, length) = places[random.Next(places.Count)];
            for (var i = random.Next(1, 4); i > 0; i--)
                bytes[at + (random.Next(3) == 0 ? random.Next(length) : random.Next(Math.Min(length, 120)))] = (byte)random.Next(256);
            Block.Seal(bytes.AsSpan(at, length), salted, at);
            ReadAll(bytes, info);
        }
    }

    private static void ReadAll(byte[] bytes, TableInfo info)
    {
        using var storage = new MemoryStorage();
        storage.CreateDirectory("tables");
        using (var file = storage.CreateNew(info.Path))
            file.WriteAt(bytes, 0);
        Table table;
        try
        {
            table = Table.Open(storage, info, TableTestBed.DatabaseId, new BlockCache(1 << 20));
        }
        catch (CairnException refused) when (refused is CorruptionException or FormatVersionException)
        {
            return;
        }

        using (table)
        {
            var image = new Image(table);
            var key = new byte[8];
            for (var i = 0; i < 100; i++)
            {
                BinaryPrimitives.WriteInt64BigEndian(key, i * 17);
                Try(() => image.TryGet(RunId.Default, key, 800, out _));
                Try(() => image.MayHave(RunId.System, key));
            }

            Try(table.Verify);
            Try(() => Assert.InRange(table.ReadContents().Count(), 0, 1 << 20));
            Try(() => Count(image.Versions()));
            Try(() => Count(image.Scan(RunId.Default, [], [], 1000)));
            Try(() => Count(image.Scan(RunId.System, [], [], 1000, reverse: true)));
        }
    }

    private static void Try(Action reading)
    {
        try
        {
            reading();
        }
        catch (CorruptionException)
        {
        }
    }

    private static int Count(VersionCursor cursor)
    {
        var count = 0;
        for (; cursor.MoveNext(); count += cursor.Key.Length + cursor.Version.Stored.Length)
            Assert.True(count >= 0);
        return count;
    }

    private static int Count(ImageCursor cursor)
    {
        var count = 0;
        for (; cursor.MoveNext(); count += cursor.Key.Length + cursor.Version.Stored.Length)
            Assert.True(count >= 0);
        return count;
    }

    private static IEnumerable<Row> Rows(int first, int count) => Enumerable.Range(first, count).Select(i =>
    {
        var key = new byte[8];
        BinaryPrimitives.WriteInt64BigEndian(key, i);
        return new Row(RunId.Default, key, (ulong)i, BitConverter.GetBytes((long)i));
    });
}
