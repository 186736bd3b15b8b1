using System.Text;
using Cairn.Storage;
using Xunit;

namespace Cairn.Tests.Storage;

/// <summary>One test for each thing that a machine may do to unsynced work when its power fails, and for what it may not.</summary>
[Trait("Promise", "G1")]
public sealed class CrashStorageTests
{
    private const int Sector = 512;

    [Fact]
    public void Nothing_but_a_sync_makes_anything_durable()
    {
        var storage = new CrashStorage();
        storage.CreateDirectory("d");
        using (var file = storage.CreateNew("d/a.part"))
        {
            file.Preallocate(10_000);
            file.WriteAt(Filled(1, 3_000), 0);
            file.SetLength(2_000);
        }

        storage.Rename("d/a.part", "d/a");
        storage.Link("d/a", "d/b");
        Assert.Equal(2_000, Content(storage, "d/a")!.Length);
        storage.List("d");
        storage.Dispose();

        Assert.Equal(["name d", "name d/a.part", "preallocate d/a.part 10000", "write d/a.part @0+3000", "set length d/a.part 2000",
            "rename d/a.part to a", "name d/b"], storage.DescribeUnsynced());
        var after = storage.Crash(CrashPattern.None);
        Assert.False(after.Exists("d"));
        Assert.Equal(new CrashStorage().Hash(), after.Hash());
    }

    [Fact]
    public void A_synced_file_without_a_synced_name_is_gone()
    {
        var storage = new CrashStorage();
        using var file = storage.CreateNew("a");
        file.WriteAt("123"u8, 0);
        file.Sync();
        Assert.False(storage.Crash(CrashPattern.None).Exists("a"));
    }

    [Fact]
    public void A_synced_name_without_synced_bytes_is_an_empty_file()
    {
        var storage = new CrashStorage();
        using var file = storage.CreateNew("a");
        file.WriteAt("123"u8, 0);
        storage.SyncDirectory("");
        Assert.Equal([], Content(storage.Crash(CrashPattern.None), "a"));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_synced_file_with_a_synced_name_survives_every_crash(bool dataSync)
    {
        var storage = WithDurable("a", "123"u8);
        using (var file = storage.Open("a", writable: true))
        {
            file.WriteAt("456"u8, 3);
            if (dataSync)
                file.DataSync();
            else
                file.Sync();
            file.WriteAt("789"u8, 6);
        }

        for (var seed = 0UL; seed < 100; seed++)
            Assert.Equal("123456"u8, Content(storage.Crash(seed), "a").AsSpan(0, 6));
    }

    [Fact]
    public void Syncing_the_data_of_one_file_says_nothing_of_another()
    {
        var storage = WithDurable("a", "1"u8);
        using var a = storage.Open("a", writable: true);
        using var b = storage.CreateNew("b");
        a.WriteAt("x"u8, 0);
        b.WriteAt("y"u8, 0);
        b.Sync();
        storage.SyncDirectory("");
        var after = storage.Crash(CrashPattern.None);
        Assert.Equal("1"u8, Content(after, "a"));
        Assert.Equal("y"u8, Content(after, "b"));
    }

    [Fact]
    public void A_directory_whose_name_was_not_synced_takes_its_files_along()
    {
        var storage = new CrashStorage();
        storage.CreateDirectory("d");
        using var file = storage.CreateNew("d/a");
        file.WriteAt("123"u8, 0);
        file.Sync();
        storage.SyncDirectory("d");
        Assert.False(storage.Image(CrashPattern.None).Exists("d"));

        storage.SyncDirectory("");
        Assert.Equal("123"u8, Content(storage.Image(CrashPattern.None), "d/a"));
    }

    [Fact]
    public void A_write_is_torn_at_sectors_in_any_subset()
    {
        var storage = WithDurable("a", Filled(1, 4 * Sector));
        Write(storage, "a", Filled(2, 4 * Sector), 0);
        var subsets = new HashSet<int>();
        for (var seed = 0UL; seed < 500; seed++)
        {
            var bytes = Content(storage.Image(CrashPattern.Of(seed, CrashChoice.Torn)), "a");
            var subset = 0;
            for (var sector = 0; sector < 4; sector++)
            {
                var part = bytes.AsSpan(sector * Sector, Sector);
                Assert.False(part.ContainsAnyExcept(part[0]), "a sector arrives whole");
                subset |= (part[0] - 1) << sector;
            }

            subsets.Add(subset);
        }

        Assert.Equal(16, subsets.Count);
    }

    [Fact]
    public void A_write_arrives_in_its_first_or_second_part()
    {
        var storage = WithDurable("a", Filled(1, 1_000));
        Write(storage, "a", Filled(2, 1_000), 0);
        Assert.Contains(Many(seed => Content(storage.Image(CrashPattern.Of(seed, CrashChoice.FirstHalf)), "a")),
            bytes => bytes.AsSpan(0, 500).SequenceEqual(Filled(2, 500)) && bytes.AsSpan(500).SequenceEqual(Filled(1, 500)));
        Assert.Contains(Many(seed => Content(storage.Image(CrashPattern.Of(seed, CrashChoice.SecondHalf)), "a")),
            bytes => bytes.AsSpan(0, 500).SequenceEqual(Filled(1, 500)) && bytes.AsSpan(500).SequenceEqual(Filled(2, 500)));
        Assert.Contains(Many(seed => Content(storage.Image(CrashPattern.Of(seed, CrashChoice.FirstHalf)), "a")),
            bytes => bytes.AsSpan().IndexOf((byte)1) % Sector is not 0 and not 500);
    }

    [Fact]
    public void A_file_grows_and_its_bytes_do_not_arrive()
    {
        var storage = WithDurable("a", Filled(1, 100));
        Write(storage, "a", Filled(2, 200), 50);
        Assert.Equal([.. Filled(1, 100), .. new byte[150]], Content(storage.Image(CrashPattern.Of(CrashChoice.SizeOnly)), "a"));
    }

    [Fact]
    public void Garbage_fills_one_sector_of_a_write_and_nothing_else()
    {
        var storage = WithDurable("a", Filled(1, 3 * Sector));
        Write(storage, "a", Filled(2, 2 * Sector), 300);
        var hit = new HashSet<int>();
        foreach (var bytes in Many(seed => Content(storage.Image(CrashPattern.Of(seed, CrashChoice.Garbage)), "a")))
        {
            Assert.Equal(Filled(1, 300), bytes[..300]);
            Assert.Equal(Filled(1, Sector - 300), bytes[((2 * Sector) + 300)..]);
            var sectors = Enumerable.Range(300, 2 * Sector).Where(i => bytes[i] != 2).Select(i => i / Sector).Distinct().ToList();
            hit.Add(Assert.Single(sectors));
        }

        Assert.Equal([0, 1, 2], hit.Order());
    }

    [Fact]
    public void Writes_arrive_in_any_order_also_across_files()
    {
        var storage = WithDurable("a", Filled(1, 10));
        using (var made = storage.CreateNew("b"))
            made.Sync();
        storage.SyncDirectory("");
        Write(storage, "a", "A"u8, 0);
        Write(storage, "b", "B"u8, 0);
        Write(storage, "a", "C"u8, 5);

        var second = storage.Image(CrashPattern.Only(1));
        Assert.Equal(Filled(1, 10), Content(second, "a"));
        Assert.Equal("B"u8, Content(second, "b"));
        var third = storage.Image(CrashPattern.Only(2));
        Assert.Equal((byte)1, Content(third, "a")[0]);
        Assert.Equal((byte)'C', Content(third, "a")[5]);
        Assert.Equal([], Content(third, "b"));
    }

    [Fact]
    public void Of_two_writes_that_overlap_either_wins()
    {
        var storage = WithDurable("a", "......"u8);
        Write(storage, "a", "1111"u8, 0);
        Write(storage, "a", "2222"u8, 2);
        var seen = Many(seed => Encoding.ASCII.GetString(Content(storage.Image(CrashPattern.Random(seed)), "a"))).ToHashSet();
        Assert.Contains("112222", seen);
        Assert.Contains("111122", seen);
        Assert.Contains("1111..", seen);
        Assert.Contains("..2222", seen);
        Assert.Contains("......", seen);
    }

    [Fact]
    public void A_length_that_was_not_synced_is_undone_and_a_datasync_is_not_enough_for_a_cut()
    {
        var storage = WithDurable("a", "123456"u8);
        using var file = storage.Open("a", writable: true);
        file.SetLength(2);
        Assert.Equal("123456"u8, Content(storage.Image(CrashPattern.None), "a"));
        file.DataSync();
        Assert.Equal("123456"u8, Content(storage.Image(CrashPattern.None), "a"));
        Assert.Equal("12"u8, Content(storage.Image(CrashPattern.All), "a"));
        file.Sync();
        Assert.Equal("12"u8, Content(storage.Image(CrashPattern.None), "a"));
    }

    [Fact]
    public void A_datasync_saves_the_lengths_that_a_growing_write_was_built_on()
    {
        var storage = WithDurable("a", "123456"u8);
        using var file = storage.Open("a", writable: true);
        file.SetLength(2);
        file.WriteAt("X"u8, 4);
        file.Preallocate(1_000);
        file.WriteAt("Y"u8, 6);
        file.DataSync();
        Assert.Equal("12\0\0X\0Y"u8, Content(storage.Image(CrashPattern.None), "a"));
        Assert.Equal(1_000, Content(storage.Image(CrashPattern.All), "a").Length);
    }

    [Fact]
    public void Preallocated_space_that_was_not_synced_is_zeros_or_not_there()
    {
        var storage = WithDurable("a", "123"u8);
        using var file = storage.Open("a", writable: true);
        file.Preallocate(5_000);
        Assert.Equal("123"u8, Content(storage.Image(CrashPattern.None), "a"));
        Assert.Equal([.. "123"u8, .. new byte[4_997]], Content(storage.Image(CrashPattern.All), "a"));
        file.WriteAt("9"u8, 4_000);
        Assert.Equal([.. "123"u8, .. new byte[3_997], .. "9"u8], Content(storage.Image(CrashPattern.Only(1)), "a"));
        file.Sync();
        Assert.Equal(5_000, Content(storage.Image(CrashPattern.None), "a").Length);
    }

    [Fact]
    public void An_unlinked_file_comes_back_until_its_directory_is_synced()
    {
        var storage = WithDurable("a", "123"u8);
        storage.Unlink("a");
        Assert.Equal("123"u8, Content(storage.Image(CrashPattern.None), "a"));
        Assert.False(storage.Image(CrashPattern.All).Exists("a"));
        storage.SyncDirectory("");
        Assert.False(storage.Image(CrashPattern.None).Exists("a"));
    }

    [Fact]
    public void Nothing_is_left_to_decide_about_a_file_that_can_have_no_name()
    {
        var storage = new CrashStorage();
        using var file = storage.CreateNew("a.part");
        file.WriteAt("123"u8, 0);
        storage.SyncDirectory("");
        storage.Unlink("a.part");
        Assert.Equal(2, storage.UnsyncedCount);
        storage.SyncDirectory("");
        Assert.Equal(0, storage.UnsyncedCount);
        file.WriteAt("456"u8, 3);
        storage.SyncDirectory("");
        Assert.Equal(0, storage.UnsyncedCount);
    }

    [Fact]
    public void A_name_that_was_given_again_means_either_file()
    {
        var storage = WithDurable("a", "old"u8);
        storage.Unlink("a");
        using (var file = storage.CreateNew("a"))
        {
            file.WriteAt("new"u8, 0);
            file.Sync();
        }

        var seen = Many(seed => Text(storage.Image(CrashPattern.Random(seed)), "a")).ToHashSet();
        Assert.Equal(["(none)", "new", "old"], seen.Order());
    }

    [Fact]
    public void Renaming_a_file_that_was_not_synced_leaves_the_new_content_or_the_old_or_none()
    {
        var storage = WithDurable("a", "old"u8);
        using (var file = storage.CreateNew("b.part"))
            file.WriteAt("new"u8, 0);
        storage.Unlink("a");
        storage.Rename("b.part", "a");

        var seen = Many(seed => Text(storage.Image(CrashPattern.Random(seed)), "a")).ToHashSet();
        Assert.Contains("new", seen);
        Assert.Contains("old", seen);
        Assert.Contains("", seen);
        Assert.Equal("", Text(storage.Image(CrashPattern.NamesWithoutData), "a"));
        Assert.Equal("old", Text(storage.Image(CrashPattern.DataWithoutNames), "a"));
    }

    [Fact]
    public void Publishing_by_the_rule_leaves_all_or_nothing()
    {
        var storage = new CrashStorage();
        using (var file = storage.CreateNew("a.part"))
        {
            file.WriteAt("123"u8, 0);
            file.Sync();
        }

        storage.Rename("a.part", "a");
        foreach (var image in storage.Images(seed: 1))
            Assert.Contains(Text(image.Storage, "a"), new[] { "(none)", "123" });
        storage.SyncDirectory("");
        Assert.Equal("123", Text(Assert.Single(storage.Images(seed: 1)).Storage, "a"));
    }

    [Fact]
    public void A_rename_between_directories_never_loses_the_file()
    {
        foreach (var synced in new[] { "", "from", "into" })
        {
            var storage = new CrashStorage();
            storage.CreateDirectory("from");
            storage.CreateDirectory("into");
            storage.SyncDirectory("");
            using (var file = storage.CreateNew("from/a"))
            {
                file.WriteAt("123"u8, 0);
                file.Sync();
            }

            storage.SyncDirectory("from");
            storage.Rename("from/a", "into/a");
            if (synced.Length > 0)
                storage.SyncDirectory(synced);
            var places = new HashSet<string>();
            foreach (var image in storage.Images(seed: 1))
            {
                var (old, renamed) = (Text(image.Storage, "from/a"), Text(image.Storage, "into/a"));
                places.Add($"{old} {renamed}");
            }

            Assert.Equal(synced switch
            {
                "" => ["(none) 123", "123 (none)"],
                "from" => ["(none) 123"],
                _ => new[] { "(none) 123", "123 123" },
            }, places.Order());
        }
    }

    [Fact]
    public void A_file_with_two_names_is_one_file_after_the_crash()
    {
        var storage = WithDurable("a", "123"u8);
        storage.Link("a", "b");
        Assert.False(storage.Image(CrashPattern.None).Exists("b"));
        var after = storage.Crash(CrashPattern.All);
        Write(after, "b", "9"u8, 0);
        Assert.Equal("923"u8, Content(after, "a"));
    }

    [Fact]
    [Trait("Promise", "G7")]
    public void The_lying_cache_shows_what_a_failed_sync_lost_until_the_crash()
    {
        var storage = WithDurable("a", "old"u8);
        using var file = storage.Open("a", writable: true);
        file.WriteAt("new"u8, 0);
        storage.SyncFailsAt = storage.Operations + 1;

        var failure = Assert.Throws<StorageException>(file.DataSync);
        Assert.Equal((StorageError.Io, 5), (failure.Error, failure.Errno));
        Assert.Equal("new"u8, Content(storage, "a"));
        file.WriteAt("!"u8, 3);
        file.DataSync();
        Assert.Equal("new!"u8, Content(storage, "a"));

        Assert.Equal("old!", Text(storage.Crash(CrashPattern.All), "a"));
    }

    [Fact]
    [Trait("Promise", "G7")]
    public void The_lying_cache_lies_about_names_as_well_and_may_lose_only_a_part()
    {
        var left = new HashSet<string>();
        for (var seed = 0UL; seed < 50; seed++)
        {
            var storage = new CrashStorage { SyncFailureSeed = seed };
            storage.CreateNew("a").Dispose();
            storage.CreateNew("b").Dispose();
            storage.SyncFailsAt = 1;
            Assert.Throws<StorageException>(() => storage.SyncDirectory(""));
            storage.SyncDirectory("");
            Assert.Equal(["a", "b"], storage.List(""));
            left.Add(string.Concat(storage.Crash(CrashPattern.All).List("")));
        }

        Assert.Equal(["", "a", "ab", "b"], left.Order(StringComparer.Ordinal));
    }

    [Fact]
    public void Power_fails_in_the_middle_of_the_chosen_operation_and_stays_away()
    {
        var storage = WithDurable("a", "old"u8);
        using var file = storage.Open("a", writable: true);
        storage.PowerFailsAt = storage.Operations + 2;
        file.WriteAt("1"u8, 0);
        Assert.Throws<PowerLossException>(() => file.WriteAt("2"u8, 1));
        Assert.True(storage.PowerLost);
        Assert.Throws<PowerLossException>(() => file.ReadAt(new byte[1], 0));
        Assert.Throws<PowerLossException>(() => file.Length);
        Assert.Throws<PowerLossException>(file.DataSync);
        Assert.Throws<PowerLossException>(() => storage.Exists("a"));
        Assert.Throws<PowerLossException>(() => storage.List(""));
        Assert.Throws<PowerLossException>(() => storage.Open("a", writable: false));
        Assert.Throws<PowerLossException>(() => storage.CreateNew("b"));
        Assert.Throws<PowerLossException>(() => storage.SyncDirectory(""));
        Assert.Throws<PowerLossException>(() => storage.Lock("x"));
        file.Dispose();
        storage.Dispose();

        var seen = Many(seed => Text(storage.Crash(seed), "a")).ToHashSet();
        Assert.Superset(new HashSet<string> { "old", "1ld", "o2d", "12d" }, seen);
    }

    [Fact]
    public void A_sync_in_whose_middle_power_fails_promises_nothing()
    {
        var storage = WithDurable("a", "old"u8);
        using var file = storage.Open("a", writable: true);
        file.WriteAt("new"u8, 0);
        storage.PowerFailsAt = storage.Operations + 1;
        Assert.Throws<PowerLossException>(file.DataSync);
        Assert.Equal("old", Text(storage.Crash(CrashPattern.None), "a"));
        Assert.Equal("new", Text(storage.Crash(CrashPattern.All), "a"));
    }

    [Fact]
    public void A_machine_that_came_back_may_crash_again_and_again()
    {
        var storage = WithDurable("a", ""u8);
        storage.Lock("before the crash");
        for (var depth = 0; depth < 3; depth++)
        {
            Write(storage, "a", "+"u8, depth * 2);
            using (var file = storage.Open("a", writable: true))
                file.DataSync();
            Write(storage, "a", "-"u8, (depth * 2) + 1);
            storage = storage.Crash(depth == 1 ? CrashPattern.All : CrashPattern.None);
            Assert.Equal(0, storage.UnsyncedCount);
            Assert.Equal(0, storage.Operations);
            storage.Lock("after it");
        }

        Assert.Equal("+\0+-+", Text(storage, "a"));
    }

    [Fact]
    public void An_image_leaves_the_machine_alone_and_is_left_alone_by_it()
    {
        var storage = WithDurable("a", Filled(1, 10_000));
        var image = storage.Image(CrashPattern.None);
        var hash = image.Hash();
        Write(storage, "a", Filled(2, 10_000), 0);
        using (var file = storage.Open("a", writable: true))
            file.Sync();
        Assert.Equal(hash, image.Hash());
        Assert.Equal(Filled(1, 10_000), Content(image, "a"));

        Write(image, "a", Filled(3, 10_000), 0);
        Assert.Equal(Filled(2, 10_000), Content(storage, "a"));
        Assert.False(storage.PowerLost);
    }

    [Fact]
    public void A_script_is_imaged_in_the_middle_of_each_operation_while_it_runs_on()
    {
        var storage = new CrashStorage();
        var seen = new HashSet<UInt128>();
        var texts = new HashSet<string>();
        storage.AtEachOperation = () =>
        {
            foreach (var image in storage.Images(seed: (ulong)storage.Operations, seen))
                texts.Add(Text(image.Storage, "a"));
        };
        using (var file = storage.CreateNew("a"))
        {
            file.WriteAt("1"u8, 0);
            file.Sync();
            storage.SyncDirectory("");
            file.WriteAt("2"u8, 1);
            file.DataSync();
        }

        Assert.Equal(6, storage.Operations);
        Assert.Superset(new HashSet<string> { "(none)", "", "1", "12" }, texts);
        Assert.True(seen.Count >= texts.Count);
    }

    [Fact]
    public void The_exhaustive_images_are_different_and_hold_each_operation_alone_and_each_missing()
    {
        var storage = WithDurable("a", "...."u8);
        for (var i = 0; i < 4; i++)
            Write(storage, "a", "x"u8, i);
        var images = storage.Images(seed: 1).ToList();
        Assert.Equal(images.Count, images.DistinctBy(image => image.Hash).Count());
        var texts = images.Select(image => Text(image.Storage, "a")).ToHashSet();
        Assert.Superset(
            new HashSet<string> { "....", "xxxx", "x...", ".x..", "..x.", "...x", ".xxx", "x.xx", "xx.x", "xxx." }, texts);
        Assert.Equal("none", images[0].Pattern.ToString());
    }

    [Fact]
    public void The_same_seed_gives_the_same_image()
    {
        CrashStorage Script()
        {
            var storage = WithDurable("a", Filled(1, 5_000));
            for (var i = 0; i < 20; i++)
                Write(storage, "a", Filled((byte)i, 700), i * 300);
            return storage;
        }

        var (one, two) = (Script(), Script());
        for (var seed = 0UL; seed < 50; seed++)
            Assert.Equal(one.Crash(seed).Hash(), two.Crash(seed).Hash());
    }

    [Fact]
    public void Equal_content_has_an_equal_hash_however_it_came_about()
    {
        var one = WithDurable("a", new byte[20_000]);
        var two = new CrashStorage();
        using (var file = two.CreateNew("a"))
        {
            file.WriteAt(Filled(7, 9_000), 0);
            file.WriteAt(new byte[9_000], 0);
            file.Preallocate(20_000);
            file.Sync();
        }

        two.SyncDirectory("");
        Assert.Equal(one.Hash(), two.Hash());
        Assert.NotEqual(one.Hash(), WithDurable("a", new byte[20_001]).Hash());
        Assert.NotEqual(one.Hash(), WithDurable("b", new byte[20_000]).Hash());
    }

    /// <summary>Two laws over random histories: a crash that keeps everything shows what reads saw, and no crash touches a synced byte
    /// outside the unsynced writes.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Random_histories_keep_the_laws(int seed)
    {
        const int length = 8_192;
        var chance = new Chance((ulong)seed);
        var storage = WithDurable("a", new byte[length]);
        using var file = storage.Open("a", writable: true);
        var synced = new byte[length];
        var touched = new bool[length];
        for (var step = 0; step < 400; step++)
        {
            if (chance.OneIn(10))
            {
                file.DataSync();
                synced = Content(storage, "a");
                touched = new bool[length];
            }
            else
            {
                var at = chance.Below(length);
                var bytes = new byte[chance.Below(Math.Min(3_000, length - at))];
                chance.Fill(bytes);
                file.WriteAt(bytes, at);
                touched.AsSpan(at, bytes.Length).Fill(true);
            }

            Assert.Equal(Content(storage, "a"), Content(storage.Image(CrashPattern.All), "a"));
            var after = Content(storage.Image(CrashPattern.Random(chance.Next())), "a");
            for (var i = 0; i < length; i++)
            {
                if (!touched[i] && after[i] != synced[i])
                    Assert.Fail($"seed={seed} step={step} offset={i}");
            }
        }
    }

    private static CrashStorage WithDurable(string path, ReadOnlySpan<byte> bytes)
    {
        var storage = new CrashStorage();
        using (var file = storage.CreateNew(path))
        {
            file.WriteAt(bytes, 0);
            file.Sync();
        }

        storage.SyncDirectory("");
        Assert.Equal(0, storage.UnsyncedCount);
        return storage;
    }

    private static void Write(CrashStorage storage, string path, ReadOnlySpan<byte> bytes, long offset)
    {
        using var file = storage.Open(path, writable: true);
        file.WriteAt(bytes, offset);
    }

    private static byte[] Content(CrashStorage storage, string path)
    {
        using var file = storage.Open(path, writable: false);
        var bytes = new byte[file.Length];
        Assert.Equal(bytes.Length, file.ReadAt(bytes, 0));
        return bytes;
    }

    private static string Text(CrashStorage storage, string path) =>
        storage.Exists(path) ? Encoding.ASCII.GetString(Content(storage, path)) : "(none)";

    private static IEnumerable<T> Many<T>(Func<ulong, T> make) => Enumerable.Range(0, 400).Select(seed => make((ulong)seed));

    private static byte[] Filled(byte value, int count)
    {
        var bytes = new byte[count];
        bytes.AsSpan().Fill(value);
        return bytes;
    }
}
