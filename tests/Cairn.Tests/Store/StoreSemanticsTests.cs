using System.Text;
using Cairn.Diagnostics;
using Cairn.Store;
using Xunit;

namespace Cairn.Tests.Store;

public class StoreSemanticsTests
{
    [Fact]
    public void A_read_finds_the_newest_version_at_or_below_its_sequence()
    {
        using var bed = new StoreTestBed();
        bed.Commit("customer", "Ada", 1);
        var atOne = bed.Pin();
        bed.Commit("tier", "gold", 4);
        bed.Commit("customer", "Eve", 5);
        var atFive = bed.Pin();

        Assert.Equal(("Ada", null), (bed.Get("customer", atOne.Sequence), bed.Get("tier", atOne.Sequence)));
        Assert.Equal(("Eve", "gold"), (bed.Get("customer", atFive.Sequence), bed.Get("tier", atFive.Sequence)));
        Assert.Null(bed.Get("nobody", atFive.Sequence));
    }

    [Fact]
    public void What_is_not_published_is_not_visible_but_is_the_newest()
    {
        using var bed = new StoreTestBed();
        bed.Commit("a", "old", 1);
        bed.Put("a", "new", 2);
        bed.Put("b", "first", 2);

        Assert.Equal("old", bed.GetVisible("a"));
        Assert.Null(bed.GetVisible("b"));
        using var reader = bed.Store.Read();
        Assert.True(reader.TryGetNewest("a"u8, out var newest));
        Assert.Equal("new", Encoding.UTF8.GetString(newest.Value));
        Assert.Equal(2ul, newest.Sequence);
    }

    [Fact]
    [Trait("Requirement", "VER-1")]
    public void A_version_knows_its_sequence_its_time_and_what_created_its_key()
    {
        using var bed = new StoreTestBed();
        bed.Commit("a", "1", 3);
        bed.Commit("a", "2", 5);
        bed.Delete("a", 6);
        bed.Put("b", "x", 6, expiry: 42);
        bed.Visible.Publish(6);
        bed.Commit("a", "3", 8);

        using var reader = bed.Store.Read();
        Assert.True(reader.TryGetVisible("a"u8, out var a));
        Assert.Equal((8ul, 8ul, StoreTestBed.Time(8), 0L), (a.Sequence, a.Created, a.Time, a.Expiry));
        Assert.True(reader.TryGetVisible("b"u8, out var b));
        Assert.Equal((6ul, 6ul, 42L), (b.Sequence, b.Created, b.Expiry));
    }

    [Fact]
    [Trait("Requirement", "VER-1")]
    public void An_update_keeps_the_creating_sequence()
    {
        using var bed = new StoreTestBed();
        bed.Commit("a", "1", 3);
        bed.Store.Put("a"u8, "2"u8, 5, StoreTestBed.Time(5), 99_000_000);
        bed.Visible.Publish(5);

        using var reader = bed.Store.Read();
        Assert.True(reader.TryGetVisible("a"u8, out var version));
        Assert.Equal((5ul, 3ul, 99_000_000L), (version.Sequence, version.Created, version.Expiry));
        Assert.Equal("2", Encoding.UTF8.GetString(version.Value));
    }

    [Fact]
    [Trait("Requirement", "VER-1")]
    public void A_key_that_is_ten_billion_commits_old_knows_what_created_it()
    {
        using var bed = new StoreTestBed();
        bed.Commit("a", "1", 3);
        bed.Store.Put("a"u8, "2"u8, 10_000_000_003, 5, 77);
        bed.Visible.Publish(10_000_000_003);

        using var reader = bed.Store.Read();
        Assert.True(reader.TryGetVisible("a"u8, out var version));
        Assert.Equal((10_000_000_003ul, 3ul, 77L), (version.Sequence, version.Created, version.Expiry));
        Assert.True(version.Value.SequenceEqual("2"u8));
    }

    [Fact]
    [Trait("Requirement", "TTL-4")]
    public void An_expired_version_ends_the_life_of_its_key_and_is_still_scanned()
    {
        using var bed = new StoreTestBed();
        bed.Put("a", "1", 1, expiry: StoreTestBed.Time(2));
        bed.Visible.Publish(1);
        Assert.Equal(["a=1"], bed.Scan("", "", 1));

        bed.Commit("a", "2", 5);
        using var reader = bed.Store.Read();
        Assert.True(reader.TryGetVisible("a"u8, out var version));
        Assert.Equal(5ul, version.Created);
        Assert.True(version.IsLiveAt(long.MaxValue));
    }

    [Fact]
    public void A_second_write_in_one_sequence_replaces_the_first()
    {
        using var bed = new StoreTestBed();
        bed.Commit("a", "old", 1);
        var pin = bed.Pin();
        bed.Put("a", "first", 2);
        bed.Put("a", "second", 2);
        bed.Delete("b", 2);
        bed.Put("b", "x", 2);
        bed.Delete("b", 2);
        bed.Put("b", "y", 2);
        Assert.Equal("old", bed.GetVisible("a"));
        bed.Visible.Publish(2);

        Assert.Equal("second", bed.GetVisible("a"));
        Assert.Equal("y", bed.GetVisible("b"));
        Assert.Equal("old", bed.Get("a", pin.Sequence));
        bed.Pins.Release(pin);
        Assert.Equal(0, bed.SweepAll());
        Assert.Equal("second", bed.GetVisible("a"));
        Assert.Equal("y", bed.GetVisible("b"));
    }

    [Fact]
    public void A_scan_sees_its_range_in_order_and_reversed_without_tombstones()
    {
        using var bed = new StoreTestBed();
        for (var i = 0; i < 500; i++)
            bed.Put($"k{i * 7 % 500:D4}", $"{i}", 1);
        bed.Delete("k0003", 2);
        bed.Visible.Publish(2);

        Assert.Equal(499, bed.Scan("", "", 2).Count);
        Assert.Equal(500, bed.Scan("", "", 1).Count);
        var forward = bed.Scan("k0002", "k0100", 2);
        Assert.Equal(97, forward.Count);
        Assert.StartsWith("k0002=", forward[0]);
        Assert.StartsWith("k0004=", forward[1]);
        var reversed = bed.Scan("k0002", "k0100", 2, reverse: true);
        forward.Reverse();
        Assert.Equal(forward, reversed);
        Assert.Empty(bed.Scan("k0100", "k0100", 2));
        Assert.Empty(bed.Scan("k0101", "k0100", 2, reverse: true));
        Assert.Empty(bed.Scan("z", "", 2));
        Assert.Equal(500, bed.Scan("k", "l", 1, reverse: true).Count);
    }

    [Fact]
    public void A_range_check_finds_the_first_key_with_something_newer()
    {
        using var bed = new StoreTestBed();
        for (var i = 0; i < 200; i++)
            bed.Put($"k{i:D3}", "v", 1);
        bed.Put("k050", "w", 2);
        bed.Delete("k150", 3, remains: "counter");
        bed.Visible.Publish(3);

        using var reader = bed.Store.Read();
        Assert.True(reader.FindNewer("k"u8, "l"u8, 1, out var key, out var newer));
        Assert.Equal(("k050", 2ul), (Encoding.UTF8.GetString(key), newer));
        Assert.True(reader.FindNewer("k051"u8, default, 1, out key, out newer));
        Assert.Equal(("k150", 3ul), (Encoding.UTF8.GetString(key), newer));
        Assert.False(reader.FindNewer("k"u8, "k050"u8, 1, out _, out _));
        Assert.False(reader.FindNewer("k"u8, "l"u8, 3, out _, out _));
        Assert.False(reader.FindNewer("l"u8, "k"u8, 0, out _, out _));
    }

    [Fact]
    [Trait("Requirement", "TX-40")]
    public void A_count_is_versioned_and_grows_within_a_commit()
    {
        using var bed = new StoreTestBed();
        bed.Store.AddCount(0x20, 5, 1, 10);
        bed.Store.AddCount(0x20, 2, 1, 10);
        bed.Visible.Publish(1);
        var pin = bed.Pin();
        bed.Store.AddCount(0x20, -3, 2, 20);
        bed.Visible.Publish(2);

        using var reader = bed.Store.Read();
        Assert.Equal((7L, 4L, 0L), (reader.Count(0x20, pin.Sequence), reader.Count(0x20, 2), reader.Count(0x21, 2)));
        Assert.True(reader.TryGetVisible([RunStore.CountFamily, 0x20], out _));
    }

    [Fact]
    public void Values_of_every_size_come_back_up_to_64_MiB()
    {
        using var bed = new StoreTestBed();
        var sequence = 0ul;
        foreach (var length in (int[])[0, 1, 7, 8, 100, 8_000, 8_140, 8_141, 8_156, 8_157, 8_192, 8_193, 100_000, 64 << 20])
        {
            var value = new byte[length];
            new Random(length).NextBytes(value);
            bed.Store.Reserve(1, length + 1);
            bed.Store.Put([(byte)'v'], value, ++sequence, 1, sequence % 2 == 0 ? 77 : 0);
            bed.Visible.Publish(sequence);
            using var reader = bed.Store.Read();
            Assert.True(reader.TryGetVisible("v"u8, out var version));
            Assert.True(version.Value.SequenceEqual(value), $"{length} bytes");
            Assert.Equal(sequence % 2 == 0 ? 77 : 0, version.Expiry);
        }

        bed.Store.Put("v"u8, default, ++sequence, 1, 0);
        bed.Visible.Publish(sequence);
        bed.Store.Reserve(1, 1);
        bed.SweepAll();
        Assert.InRange(bed.Store.MemoryBytes, 1, 4 << 20); // the large blocks went back to the system
    }

    [Fact]
    public void Keys_of_every_length_keep_their_order()
    {
        using var bed = new StoreTestBed();
        var random = new Random(5);
        var keys = new SortedSet<byte[]>(Model.ByteOrder.Instance);
        for (var i = 0; i < 3_000; i++)
        {
            // Few distinct bytes, zeros among them: long common prefixes, keys that are prefixes of keys.
            var key = new byte[1 + random.Next(i % 10 == 0 ? 2_000 : 60)];
            for (var b = 0; b < key.Length; b++)
                key[b] = (byte)(random.Next(20) == 0 ? 1 : 0);
            if (!keys.Add(key))
                continue;
            bed.Store.Put(key, "v"u8, 1, 1, 0);
        }

        using var reader = bed.Store.Read();
        var scan = reader.Scan(default, default, 1);
        foreach (var key in keys)
        {
            Assert.True(scan.MoveNext());
            Assert.True(scan.Key.SequenceEqual(key));
        }

        Assert.False(scan.MoveNext());
    }

    [Fact]
    public void Readers_of_one_thread_nest_over_several_stores()
    {
        using var parent = new StoreTestBed();
        using var child = new StoreTestBed();
        parent.Commit("a", "parent", 1);
        child.Commit("b", "child", 1);
        using var outer = child.Store.Read();
        Assert.True(outer.TryGetVisible("b"u8, out var kept));
        using (var inner = parent.Store.Read())
            Assert.True(inner.TryGetVisible("a"u8, out _));
        child.Commit("b", "next", 2);
        child.Store.Sweep(1_000);
        child.Store.Sweep(1_000);
        Assert.Equal("child", Encoding.UTF8.GetString(kept.Value)); // the inner reader's end did not end the outer one
    }

    [Fact]
    public void A_store_that_is_disposed_of_refuses_readers_and_gives_its_memory_back()
    {
        var bed = new StoreTestBed();
        bed.Commit("a", "1", 1);
        Assert.NotEqual(0, bed.Store.MemoryBytes);
        bed.Store.Dispose();
        bed.Store.Dispose();
        Assert.Equal(0, bed.Store.MemoryBytes);
        Assert.Throws<ObjectDisposedException>(() =>
        {
            using var reader = bed.Store.Read();
        });
    }

    [Fact]
    public void A_small_run_takes_little_memory()
    {
        using var bed = new StoreTestBed();
        for (var i = 0; i < 10; i++)
        {
            bed.Store.Reserve(1, 64);
            bed.Commit($"key{i}", "value", (ulong)i + 1);
        }

        Assert.InRange(bed.Store.MemoryBytes, 1, 40_000);
    }

    /// <summary>A fork writes four keys of the catalogue, each at the end of its family, so the leaves of all four fill at the same moment.
    /// They were left half empty: the split of the first took the hints of the others, and where the end of one family shared a leaf with
    /// the beginning of the next, no insert was at the end of its leaf.</summary>
    [Fact]
    public void Families_that_grow_side_by_side_fill_their_leaves()
    {
        const int Keys = 10_000;
        byte[] families = [0x20, 0x21, 0x22, 0x23];
        using var bed = new StoreTestBed();
        for (var i = 0; i < Keys; i++)
        {
            foreach (var family in families)
                bed.Store.Put([family, .. StoreTestBed.Bytes($"{i:D8}")], default, (ulong)i + 1, 1, 0);
            bed.Visible.Publish((ulong)i + 1);
        }

        Assert.InRange(bed.Store.Memory.Parts.Order / (Keys * families.Length), 25, 30);
        var last = "";
        Assert.Equal(Keys * families.Length, bed.Scan(" ", "$", Keys).Count(key => string.CompareOrdinal(last, last = key) < 0));
    }

    /// <summary>Nobody who looked before the first write, or while it was made, has native memory or misses what he may know.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_run_has_no_native_memory_until_it_is_written_to_and_readers_meet_its_first_write(bool isLoaded)
    {
        const int Runs = 2_000;
        StoreTestBed? current = null;
        var isDone = false;
        var missed = 0L;
        var readers = Enumerable.Range(0, 2).Select(_ => new Thread(() =>
        {
            while (!Volatile.Read(ref isDone))
            {
                if (Volatile.Read(ref current) is not { } bed)
                    continue;
                var mustBeThere = bed.Visible.Value == 1;
                using var reader = bed.Store.Read();
                var isThere = reader.TryGetVisible("key"u8, out var version) && version.Value.SequenceEqual("value"u8);
                var scan = reader.Scan("a"u8, default, 1);
                var isInOrder = scan.MoveNext() && scan.Key.SequenceEqual("key"u8);
                if (mustBeThere && !(isThere && isInOrder && reader.Count(9, 1) == 1))
                    Interlocked.Increment(ref missed);
            }
        })).ToList();
        readers.ForEach(static thread => thread.Start());
        var beds = new List<StoreTestBed>(Runs);
        for (var i = 0; i < Runs; i++)
        {
            var bed = new StoreTestBed();
            beds.Add(bed);
            if (isLoaded)
            {
                bed.Store.BeginLoad(100);
                bed.Store.EndLoad();
            }

            Assert.Equal(0, bed.Store.Sweep(100));
            Assert.Equal((0, 0), (bed.Store.EntryCount, bed.Store.MemoryBytes));
            Volatile.Write(ref current, bed);
            Thread.SpinWait(i % 50);
            bed.Store.Reserve(2, 10);
            bed.Store.AddCount(9, 1, 1, 1);
            bed.Commit("key", "value", 1);
            Thread.SpinWait(200);
        }

        Volatile.Write(ref isDone, true);
        readers.ForEach(static thread => thread.Join());
        beds.ForEach(static bed => bed.Dispose());
        Assert.Equal(0, missed);
    }

    [Fact]
    public void Commits_of_a_run_that_come_out_of_order_are_an_invariant_broken()
    {
        using var bed = new StoreTestBed();
        bed.Put("a", "1", 5);
        Assert.Throws<InvariantException>(() => bed.Put("a", "2", 4));
    }
}
