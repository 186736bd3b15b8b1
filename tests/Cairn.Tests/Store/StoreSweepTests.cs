using Cairn.Content;
using Cairn.Log;
using Cairn.Store;
using Xunit;

namespace Cairn.Tests.Store;

/// <summary>Alone, because any reader of the process holds back what these tests expect to be freed.</summary>
[Collection(nameof(StoreSweepTests))]
[Trait("Gate", "Merge")]
public class StoreSweepTests
{
    [Fact]
    [Trait("Requirement", "RET-4")]
    public void A_pinned_version_stays_and_its_neighbours_go()
    {
        using var bed = new StoreTestBed();
        bed.Commit("a", "1", 1);
        bed.Commit("a", "2", 2);
        var pin = bed.Pin();
        for (var s = 3ul; s <= 100; s++)
            bed.Commit("a", $"{s}", s);

        Assert.Equal(1, bed.SweepAll());                  // only version 2 is left beside the newest
        Assert.Equal("2", bed.Get("a", pin.Sequence));
        Assert.Equal("100", bed.GetVisible("a"));
        bed.Pins.Release(pin);
        Assert.Equal(0, bed.SweepAll());
    }

    [Fact]
    [Trait("Requirement", "RET-4")]
    public void A_long_snapshot_does_not_hold_up_the_sweeping_of_other_versions()
    {
        using var bed = new StoreTestBed();
        for (var k = 0; k < 1_000; k++)
            bed.Put($"k{k:D4}", "before", 1);
        bed.Visible.Publish(1);
        var pin = bed.Pin();
        var sequence = 1ul;
        for (var round = 0; round < 3; round++)
        {
            for (var k = 0; k < 1_000; k++)
                bed.Commit($"k{k:D4}", $"round {round}", ++sequence);
        }

        var memory = bed.Store.MemoryBytes;
        for (var round = 0; round < 50; round++)
        {
            for (var k = 0; k < 1_000; k++)
                bed.Commit($"k{k:D4}", $"round {round}", ++sequence);
        }

        Assert.Equal(1_000, bed.Store.Memory.ParkedVersions);
        Assert.InRange(bed.Store.MemoryBytes, 1, memory * 3 / 2); // 50,000 versions came and went under the pin
        Assert.Equal(1_000, bed.Scan("", "", pin.Sequence).Count(pair => pair.EndsWith("=before", StringComparison.Ordinal)));
        bed.Pins.Release(pin);
        Assert.Equal(0, bed.SweepAll());
    }

    [Fact]
    public void What_a_trial_found_is_not_found_again_once_its_key_has_gone()
    {
        using var bed = new StoreTestBed();
        bed.Commit("a", "1", 1);
        bed.Delete("a", 2);
        bed.Visible.Publish(2);
        using (var reader = bed.Store.Read())
        {
            Assert.True(reader.TryGetForTrial(StoreTestBed.Bytes("a"), out var found));
            Assert.True(reader.TryGetForApply(StoreTestBed.Bytes("a"), out var again));
            Assert.Equal(found.Sequence, again.Sequence);
        }

        // No commit between the trial and the sweep: it would have ended what the trial left.
        Assert.Equal(1, bed.Store.Memory.Found);
        Assert.Equal(0, bed.SweepAll());
        Assert.Equal(0, bed.Store.EntryCount);
        Assert.Equal(0, bed.Store.Memory.Found);
        bed.Commit("a", "2", 3);
        Assert.Equal("2", bed.GetVisible("a"));
        Assert.Equal(["a=2"], bed.Scan("", "", 3));
    }

    [Fact]
    public void A_version_held_by_two_pins_stays_until_the_second_goes()
    {
        using var bed = new StoreTestBed();
        bed.Commit("a", "1", 1);
        var first = bed.Pin();
        bed.Commit("b", "x", 2);
        var second = bed.Pin();
        bed.Commit("a", "2", 3);
        Assert.Equal(1, bed.SweepAll());
        bed.Pins.Release(first);
        Assert.Equal(1, bed.SweepAll());
        Assert.Equal("1", bed.Get("a", second.Sequence));
        bed.Pins.Release(second);
        Assert.Equal(0, bed.SweepAll());
    }

    [Fact]
    public void A_pin_of_another_run_holds_nothing_and_one_of_all_runs_does()
    {
        using var bed = new StoreTestBed();
        bed.Commit("a", "1", 1);
        var other = bed.Pins.Take(bed.Visible, StoreTestBed.Tag + 1);
        bed.Commit("a", "2", 2);
        Assert.Equal(0, bed.SweepAll());
        var all = bed.Pins.Take(bed.Visible, SnapshotRegistry.AllRuns);
        bed.Commit("a", "3", 3);
        Assert.Equal(1, bed.SweepAll());
        Assert.Equal("2", bed.Get("a", all.Sequence));
        bed.Pins.Release(all);
        bed.Pins.Release(other);
        Assert.Equal(0, bed.SweepAll());
    }

    [Fact]
    public void A_deleted_key_leaves_both_indexes_once_no_reader_needs_it()
    {
        using var bed = new StoreTestBed();
        for (var k = 0; k < 2_000; k++)
            bed.Put($"k{k:D4}", "v", 1);
        bed.Visible.Publish(1);
        var pin = bed.Pin();
        for (var k = 0; k < 2_000; k += 2)
            bed.Put($"k{k:D4}", "between", 2);            // goes alone: its key stays for the pinned version
        for (var k = 0; k < 2_000; k++)
            bed.Delete($"k{k:D4}", 3);
        bed.Visible.Publish(3);
        bed.SweepAll();
        Assert.Equal(2_000, bed.Store.EntryCount);
        Assert.Equal(2_000, bed.Scan("", "", pin.Sequence).Count);

        bed.Pins.Release(pin);
        Assert.Equal(0, bed.SweepAll());
        Assert.Equal(0, bed.Store.EntryCount);
        Assert.Empty(bed.Scan("", "", 3));
        bed.Commit("k0000", "again", 4);
        Assert.Equal(["k0000=again"], bed.Scan("", "", 4));
    }

    /// <summary>Pins go after their versions were parked, one list for each pin, and the sweeper looks at a few lists in a turn: a key's
    /// deletion is judged while an older version still points at it, turns before that is judged.</summary>
    [Fact]
    public void A_deleted_key_waits_for_an_older_version_that_is_still_parked()
    {
        const int Keys = 200;
        using var bed = new StoreTestBed(debugSlab: true);
        var pins = new List<SnapshotPin>();
        for (var k = 0; k < Keys; k++)
        {
            bed.Commit($"k{k:D3}", "first", 2 * (ulong)k + 1);
            pins.Add(bed.Pin());
            bed.Commit($"k{k:D3}", "second", 2 * (ulong)k + 2);
        }

        Assert.Equal(Keys, bed.SweepAll());
        for (var k = 0; k < Keys; k++)
            bed.Delete($"k{k:D3}", 10_000);
        bed.Visible.Publish(10_000);
        pins.ForEach(bed.Pins.Release);
        Assert.Equal(0, bed.SweepAll());
        Assert.Equal(0, bed.Store.EntryCount);
        for (var k = 0; k < Keys; k++)
            bed.Commit($"k{k:D3}", "again", 10_001 + (ulong)k);
        Assert.Equal(Keys, bed.Scan("", "", 20_000).Count);
    }

    [Fact]
    public void A_tombstone_that_is_not_visible_stays()
    {
        using var bed = new StoreTestBed();
        bed.Delete("never", 1);
        bed.SweepAll();
        Assert.Equal(1, bed.Store.EntryCount);
        bed.Visible.Publish(1);
        bed.SweepAll();
        Assert.Equal(0, bed.Store.EntryCount);
    }

    [Fact]
    public void A_tombstone_with_remains_stays_for_ever()
    {
        using var bed = new StoreTestBed();
        bed.Commit("cell", "7", 1);
        bed.Delete("cell", 2, remains: "counter 7");
        bed.Visible.Publish(2);
        Assert.Equal(0, bed.SweepAll());

        using var reader = bed.Store.Read();
        Assert.True(reader.TryGetVisible("cell"u8, out var version));
        Assert.True(version.IsTombstone);
        Assert.True(version.Value.SequenceEqual("counter 7"u8));
        Assert.Empty(bed.Scan("", "", 2));
    }

    [Fact]
    public void A_store_that_keeps_tombstones_keeps_them()
    {
        using var bed = new StoreTestBed();
        bed.Store.KeepsTombstones = true;
        bed.Delete("parents", 1);
        bed.Commit("own", "x", 2);
        bed.Delete("own", 3);
        bed.Visible.Publish(3);
        Assert.Equal(0, bed.SweepAll());
        Assert.Equal(2, bed.Store.EntryCount);
    }

    [Fact]
    public void Memory_is_at_its_baseline_after_churn()
    {
        using var bed = new StoreTestBed();
        bed.Commit("stays", "x", 1);
        bed.SweepAll();
        var random = new Random(11);
        var sequence = 1ul;
        var taken = new List<long>();
        var live = new List<long>();
        for (var round = 0; round < 12; round++)
        {
            for (var k = 0; k < 3_000; k++)
            {
                // Sizes drift from round to round: what one round freed must serve the next.
                bed.Store.Put(StoreTestBed.Bytes($"key {random.Next(2_000):D5}"), new byte[random.Next(20, 60) + 15 * round], ++sequence, 1, 0);
                bed.Visible.Publish(sequence);
            }

            foreach (var pair in bed.Scan("key", "kez", sequence))
                bed.Delete(pair[..9], ++sequence);
            bed.Visible.Publish(sequence);
            Assert.Equal(0, bed.SweepAll());
            Assert.Equal(1, bed.Store.EntryCount);
            taken.Add(bed.Store.MemoryBytes);
            live.Add(bed.Store.LiveBytes);
        }

        Assert.InRange(live[^1], 1, live[1] * 5 / 4);     // what is in use does not creep
        Assert.InRange(taken[^1], 1, taken[3] * 2);       // and what was taken is used again
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    [Trait("Requirement", "PERF-5")]
    [Trait("Requirement", "TX-26")]
    public void Getting_putting_and_pinning_allocate_nothing(bool isAboveAnImage)
    {
        using var bed = new StoreTestBed(image: isAboveAnImage ? new TestImage() : null);
        var sequence = 0ul;
        var value = new byte[100];
        byte[] key = [.. "key 0000"u8];
        void Round(int rounds)
        {
            for (var i = 0; i < rounds; i++)
            {
                key[^1] = (byte)('0' + i % 10);
                key[^2] = (byte)('0' + i / 10 % 10);
                key[^3] = (byte)('0' + i / 100 % 10);
                bed.Store.Reserve(2, 120);
                bed.Store.Put(key, value, ++sequence, 1, 0);
                bed.Store.AddCount(0x20, 1, sequence, 1);
                bed.Visible.Publish(sequence);
                var pin = bed.Pins.Take(bed.Visible, StoreTestBed.Tag);
                using (var reader = bed.Store.Read())
                {
                    reader.TryGetVisible(key, out _);
                    reader.TryGet(key, pin.Sequence, out _);
                    reader.Count(0x20, pin.Sequence);
                    var scan = reader.Scan("key 01"u8, "key 012"u8, pin.Sequence, reverse: i % 2 == 0);
                    while (scan.MoveNext())
                    {
                    }
                }

                bed.Pins.Release(pin);
                if (i % 7 == 0)
                    bed.Store.Delete(key, default, sequence, 1);
            }
        }

        Round(20_000);
        var before = GC.GetAllocatedBytesForCurrentThread();
        Round(20_000);
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    // With a reader inside nothing comes back: what one write has replaced does not serve the next.
    [Theory]
    [InlineData(1, false)]
    [InlineData(50, false)]
    [InlineData(3_000, false)]
    [InlineData(50, true)]
    [InlineData(1, false, true)]
    [InlineData(3_000, false, true)]
    [InlineData(1, false, false, true)]
    [InlineData(10, false, false, true)]
    [InlineData(50, false, false, true)]
    [InlineData(50, false, true, true)]
    [InlineData(3_000, false, false, true)]
    [Trait("Requirement", "TX-27")]
    public void After_reserve_no_write_asks_the_system_for_memory(
        int writes, bool loads, bool isAboveAnImage = false, bool hasReaderInside = false)
    {
        using var bed = new StoreTestBed(image: isAboveAnImage ? new TestImage() : null);
        using var inside = hasReaderInside ? new ReaderInside(bed.Store) : null;
        var random = new Random(8);
        var sequence = 0ul;
        // Ascending first, which leaves every leaf full: then each random insert splits one.
        for (var i = 0; i < 20_000; i++)
            bed.Commit($"key {i:D6}", "v", ++sequence);
        if (!hasReaderInside)
            bed.SweepAll();
        if (loads)
            bed.Store.BeginLoad(0);
        for (var round = 0; round < 40_000 / writes; round++)
        {
            var keys = new byte[writes][];
            var bytes = 0L;
            for (var w = 0; w < writes; w++)
            {
                keys[w] = StoreTestBed.Bytes($"key {random.Next(20_000):D6} {(random.Next(3) == 0 ? "" : random.Next(1_000))}");
                bytes += keys[w].Length + 200;
            }

            bed.Store.Reserve(writes, bytes);
            var taken = bed.Store.MemoryBytes;
            sequence++;
            foreach (var key in keys)
                bed.Store.Put(key, new byte[random.Next(200)], sequence, 1, 0);
            Assert.Equal(taken, bed.Store.MemoryBytes);
            bed.Visible.Publish(sequence);
        }
    }

    // The chunks for a large commit come in pieces, of which each may end with room that the next block does not fit into.
    [Theory]
    [InlineData(0)]
    [InlineData(1 << 20)]
    [Trait("Requirement", "TX-27")]
    public void After_reserve_no_write_of_a_young_run_asks_the_system_for_memory(long budgetBytes)
    {
        var random = new Random(9);
        for (var round = 0; round < 60; round++)
        {
            var pins = new SnapshotRegistry();
            var visible = new VisibleSequence();
            using var image = new TestImage();
            var cache = new BlockCache(1 << 20);
            var budget = budgetBytes == 0 ? null : new MemoryBudget(budgetBytes, new ContentStore(1 << 20, 1 << 20), cache);
            using var store = new RunStore(pins, visible, 7, TestImage.Run, image.Current, isWhole: true, budget: budget);
            var sequence = 0ul;
            for (var commit = 0; commit < 6; commit++)
            {
                var writes = (int)Math.Pow(10, random.NextDouble() * 3.7);
                var longest = (int)Math.Pow(10, random.NextDouble() * 3.9);
                var keys = new byte[writes][];
                var lengths = new int[writes];
                var bytes = 0L;
                for (var w = 0; w < writes; w++)
                {
                    keys[w] = StoreTestBed.Bytes($"key {random.Next(20_000):D6} {(random.Next(3) == 0 ? "" : random.Next(1_000))}");
                    lengths[w] = random.Next(longest);
                    bytes += keys[w].Length + lengths[w];
                }

                store.Reserve(writes, bytes);
                var taken = store.MemoryBytes;
                sequence++;
                for (var w = 0; w < writes; w++)
                {
                    if (random.Next(4) == 0)
                        store.Delete(keys[w], default, sequence, 1);
                    else
                        store.Put(keys[w], new byte[lengths[w]], sequence, 1, 0);
                }

                Assert.True(taken == store.MemoryBytes, $"round {round}, commit {commit}, {writes} writes, {bytes} bytes");
                visible.Publish(sequence);
                store.EndReserve();
                Assert.True(store.MemoryBytes <= taken);
            }
        }
    }

    // The sweep goes on inside a commit, and each pin that holds something for the first time needs a list.
    [Fact]
    [Trait("Requirement", "TX-27")]
    public void After_reserve_what_many_pins_hold_is_put_aside_without_asking_the_system()
    {
        const int Pins = 250;
        using var bed = new StoreTestBed();
        var value = new byte[16];
        var sequence = 0ul;
        var pins = new List<SnapshotPin>();
        for (var round = 0; round < 20; round++)
        {
            for (var i = 0; i < Pins; i++)
            {
                bed.Commit($"key {i:D4}", "v", ++sequence);
                pins.Add(bed.Pin());
            }

            for (var commit = 0; commit < 4; commit++)
            {
                bed.Store.Reserve(Pins, Pins * (8 + value.Length));
                var taken = bed.Store.MemoryBytes;
                sequence++;
                for (var i = 0; i < Pins; i++)
                    bed.Store.Put(StoreTestBed.Bytes($"key {i:D4}"), value, sequence, 1, 0);
                Assert.Equal(taken, bed.Store.MemoryBytes);
                bed.Visible.Publish(sequence);
            }

            pins.ForEach(bed.Pins.Release);
            pins.Clear();
            Assert.Equal(0, bed.SweepAll());
        }
    }

    /// <summary>A reader on a thread of its own that stays until it is disposed of.</summary>
    private sealed class ReaderInside : IDisposable
    {
        private readonly ManualResetEventSlim _mayLeave = new();
        private readonly Thread _thread;

        internal ReaderInside(RunStore store)
        {
            using var isInside = new ManualResetEventSlim();
            _thread = new Thread(() =>
            {
                using var reader = store.Read();
                isInside.Set();
                _mayLeave.Wait();
            });
            _thread.Start();
            isInside.Wait();
        }

        public void Dispose()
        {
            _mayLeave.Set();
            _thread.Join();
            _mayLeave.Dispose();
        }
    }

    [Fact]
    public void A_reader_that_stays_keeps_what_it_borrowed()
    {
        using var bed = new StoreTestBed(debugSlab: true);
        bed.Commit("a", "borrowed", 1);
        var isInside = new ManualResetEventSlim();
        var mayRead = new ManualResetEventSlim();
        string? read = null;
        var thread = new Thread(() =>
        {
            using var reader = bed.Store.Read();
            reader.TryGetVisible("a"u8, out var version);
            isInside.Set();
            mayRead.Wait(TestContext.Current.CancellationToken);
            read = System.Text.Encoding.UTF8.GetString(version.Value);
        });
        thread.Start();
        isInside.Wait(TestContext.Current.CancellationToken);
        for (var s = 2ul; s < 3_000; s++)
            bed.Commit("a", "xxxxxxxx", s);
        bed.Store.Sweep(10_000);
        mayRead.Set();
        thread.Join();
        Assert.Equal("borrowed", read);
    }

    [Fact]
    public void The_debug_slab_catches_a_write_to_freed_memory_and_a_read_of_it()
    {
        using var slab = new Cairn.Store.Native.Slab(debug: true);
        var words = WriteAfterFree(slab);
        Assert.Equal(Cairn.Store.Native.Slab.Dead, words);
        Assert.Throws<Cairn.Diagnostics.InvariantException>(() =>
        {
            for (var i = 0; i < 2_000; i++)
                FreeOne(slab);
        });
    }

    private static unsafe ulong WriteAfterFree(Cairn.Store.Native.Slab slab)
    {
        var block = (ulong*)slab.Alloc(64);
        slab.Free((byte*)block, 64);
        var found = block[1];
        block[2] = 1;
        return found;
    }

    private static unsafe void FreeOne(Cairn.Store.Native.Slab slab) => slab.Free(slab.Alloc(64), 64);
}

[CollectionDefinition(nameof(StoreSweepTests), DisableParallelization = true)]
public class StoreSweepCollection;
