using Xunit;

namespace Cairn.Tests.Store;

public class StoreLoadTests
{
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(100_000)]
    public void A_loaded_store_reads_and_scans_like_one_that_was_written(long expected)
    {
        const int Keys = 30_000;
        using var bed = new StoreTestBed();
        bed.Store.BeginLoad(expected);
        var sequence = 0ul;
        for (var i = 0; i < Keys; i++)
            bed.Put($"agent:{i * 7919L % Keys:D6}:item", $"{i}", ++sequence);
        for (var i = 0; i < Keys; i += 3)
            bed.Delete($"agent:{i:D6}:item", ++sequence);
        for (var i = 0; i < Keys; i += 6)
            bed.Put($"agent:{i:D6}:item", "again", ++sequence);
        bed.Delete("agent:000001:item", ++sequence, remains: "remains");
        bed.Store.AddCount(9, 5, ++sequence, 1);
        bed.Store.AddCount(9, 5, ++sequence, 1);
        bed.Visible.Publish(sequence);
        bed.Store.EndLoad();

        Assert.Equal("again", bed.GetVisible("agent:000006:item"));
        Assert.Null(bed.GetVisible("agent:000003:item"));
        var keys = bed.Scan("agent", "", sequence);
        Assert.Equal(Keys - Keys / 3 + Keys / 6 - 1, keys.Count);
        Assert.Equal(keys.Order(StringComparer.Ordinal), keys);
        Assert.Equal(keys.Count + 2, bed.Store.EntryCount);
        using (var reader = bed.Store.Read())
            Assert.Equal(10, reader.Count(9, sequence));
        Assert.Equal(0, bed.Store.Sweep(1_000));

        for (var i = 0; i < Keys; i += 10)
            bed.Commit($"agent:{i:D6}:late", "late", ++sequence);
        Assert.Equal(keys.Count + Keys / 10, bed.Scan("agent", "", sequence).Count);
    }

    [Fact]
    public void A_load_into_a_store_that_has_keys_keeps_its_order()
    {
        using var bed = new StoreTestBed();
        for (var i = 0; i < 1_000; i++)
            bed.Commit($"k{i:D4}", "old", (ulong)i + 1);
        bed.Store.BeginLoad(10);
        for (var i = 0; i < 1_000; i += 2)
        {
            bed.Put($"k{i:D4}", "new", 2_000);
            bed.Put($"m{i:D4}", "new", 2_000);
            bed.Delete($"k{i + 1:D4}", 2_000);
        }

        bed.Store.EndLoad();
        bed.Visible.Publish(2_000);
        bed.SweepAll();
        Assert.Equal(1_000, bed.Store.EntryCount);
        Assert.Equal(1_000, bed.Scan("", "", 2_000).Count);
        Assert.Equal(500, bed.Scan("m", "", 2_000).Count);
    }

    [Fact]
    public void Readers_that_come_first_after_a_load_wait_for_one_order()
    {
        using var bed = new StoreTestBed();
        bed.Store.BeginLoad(50_000);
        for (var i = 0; i < 50_000; i++)
            bed.Put($"key {i * 7919L % 50_000:D8}", "v", 1);
        bed.Store.EndLoad();
        bed.Visible.Publish(1);
        var counts = new int[4];
        var threads = Enumerable.Range(0, counts.Length).Select(t => new Thread(() => counts[t] = bed.Scan("", "", 1).Count)).ToArray();
        foreach (var thread in threads)
            thread.Start();
        for (var i = 0; i < 1_000; i++)
            bed.Commit($"key {i:D8}", "w", 2 + (ulong)i); // updates go on meanwhile
        bed.Commit("new", "x", 5_000);
        foreach (var thread in threads)
            thread.Join();
        Assert.All(counts, count => Assert.InRange(count, 50_000 - 1_000, 50_000));
        Assert.Equal(50_001, bed.Scan("", "", 5_000).Count);
    }
}
