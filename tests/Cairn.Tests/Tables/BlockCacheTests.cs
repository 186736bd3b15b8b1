using Xunit;

namespace Cairn.Tests.Tables;

/// <summary>The cache keeps to its budget, keeps what is used, and never mixes blocks up.</summary>
public class BlockCacheTests
{
    [Fact]
    public void It_keeps_to_its_budget_and_to_a_smaller_one()
    {
        var cache = new BlockCache(4 << 20);
        for (var i = 0; i < 5000; i++)
        {
            cache.Add(1, i * 4096L, new byte[4096]);
            Assert.True(cache.Bytes <= 4 << 20);
        }

        Assert.InRange(cache.Bytes, 3 << 20, 4 << 20);
        Assert.True(cache.Evictions > 0);
        cache.BudgetBytes = 1 << 20;
        Assert.True(cache.Bytes <= 1 << 20);
        cache.BudgetBytes = 0;
        Assert.Equal((0, 0), (cache.Bytes, cache.Blocks));
        cache.Add(1, 0, new byte[16]);
        Assert.Null(cache.Find(1, 0));
    }

    [Fact]
    public void A_scan_does_not_drive_out_what_is_used()
    {
        var cache = new BlockCache(8 << 20);
        for (var i = 0; i < 200; i++)
            cache.Add(1, i, new byte[8192]);
        for (var round = 0; round < 3; round++)
        {
            for (var i = 0; i < 200; i++)
                Assert.NotNull(cache.Find(1, i));
        }

        for (var i = 0; i < 100_000; i++)
            cache.Add(2, i, new byte[8192]);
        Assert.True(Enumerable.Range(0, 200).Count(i => cache.Find(1, i) is not null) > 190);
    }

    [Fact]
    public void A_table_that_is_gone_is_forgotten_and_its_neighbours_are_not()
    {
        var cache = new BlockCache(8 << 20);
        for (var i = 0; i < 300; i++)
            cache.Add((uint)(i % 3), i, [(byte)i]);
        cache.Forget(1);
        for (var i = 0; i < 300; i++)
            Assert.Equal(i % 3 == 1 ? null : (byte)i, cache.Find((uint)(i % 3), i)?[0]);
        Assert.Equal(200, cache.Blocks);
    }

    [Fact]
    public void Threads_that_find_add_and_change_the_budget_get_the_block_they_asked_for()
    {
        var cache = new BlockCache(1 << 20);
        var wrong = 0;
        var threads = Enumerable.Range(0, 4).Select(seed => new Thread(() =>
        {
            var random = new Random(seed);
            for (var i = 0; i < 100_000; i++)
            {
                var (table, offset) = ((uint)random.Next(3), (long)random.Next(2000));
                if (cache.Find(table, offset) is { } block)
                {
                    if (BitConverter.ToInt64(block) != offset || BitConverter.ToUInt32(block, 8) != table)
                        Interlocked.Increment(ref wrong);
                    continue;
                }

                block = new byte[random.Next(16, 2000)];
                BitConverter.TryWriteBytes(block, offset);
                BitConverter.TryWriteBytes(block.AsSpan(8), table);
                cache.Add(table, offset, block);
                if (i % 10_000 == 0)
                    cache.BudgetBytes = random.Next(1 << 18, 1 << 21);
                if (i % 33_333 == 0)
                    cache.Forget((uint)random.Next(3));
            }
        })).ToList();
        threads.ForEach(thread => thread.Start());
        threads.ForEach(thread => thread.Join());
        Assert.Equal(0, wrong);
        cache.BudgetBytes = 0;
        Assert.Equal((0, 0), (cache.Bytes, cache.Blocks));
    }
}
