using System.Text;
using Cairn.Content;
using Cairn.Store;
using Cairn.Tests.Content;
using Xunit;

namespace Cairn.Tests.Store;

/// <summary>A store above an image: what is dirty, what may leave memory, and what a reader finds meanwhile.</summary>
[Collection(nameof(StoreSweepTests))]
[Trait("Requirement", "TIER-1")]
public class StoreResidencyTests
{
    [Fact]
    [Trait("Requirement", "CKP-3")]
    public void A_key_is_listed_with_its_first_write_above_a_cut_and_once()
    {
        using var bed = Above();
        bed.Commit("a", "1", 1);
        bed.Commit("b", "1", 2);
        bed.Commit("a", "2", 3);
        Assert.Equal(2, bed.Store.DirtyCount);

        var checkpoint = new StoreCheckpoint(bed, 3);
        Assert.Equal(0, bed.Store.DirtyCount);
        Assert.InRange(bed.Store.DirtyBytes, 1, 1_000);
        bed.Commit("a", "3", 4);
        bed.Commit("a", "4", 5);
        Assert.Equal(1, bed.Store.DirtyCount);
        checkpoint.Publish();
        Assert.Equal(["a=2@3", "b=1@2"], Lines(checkpoint));

        Assert.Equal(["a=4@5"], Lines(Checkpoint(bed, 5)));
        Assert.Empty(Lines(Checkpoint(bed, 6)));
        Assert.Equal(0, bed.Store.DirtyBytes);
    }

    [Fact]
    [Trait("Requirement", "CKP-3")]
    public void What_a_failed_checkpoint_gives_back_the_next_one_writes()
    {
        using var bed = Above();
        bed.Commit("a", "1", 1);
        bed.Commit("b", "1", 1);
        var failed = new StoreCheckpoint(bed, 1);
        failed.Write(1);
        bed.Commit("a", "2", 2);
        bed.Commit("c", "2", 3);
        failed.Fail();
        bed.Commit("b", "4", 4);
        new StoreCheckpoint(bed, 4).Fail();

        var checkpoint = Checkpoint(bed, 5);
        Assert.Equal(["a=2@2", "b=4@4", "c=2@3"], Lines(checkpoint));
        Assert.Equal((0, 0), (bed.Store.DirtyCount, bed.Store.DirtyBytes));
    }

    [Fact]
    [Trait("Requirement", "CKP-4")]
    public void A_deletion_is_written_if_the_image_has_the_key_and_otherwise_not()
    {
        using var bed = Above();
        bed.Commit("a", "1", 1);
        bed.Checkpoint(1);
        bed.Delete("a", 2);
        bed.Commit("b", "2", 2);
        bed.Delete("b", 3);
        bed.Delete("c", 3, remains: "counter");
        bed.Visible.Publish(3);
        var checkpoint = Checkpoint(bed, 3);
        Assert.Equal(["a x@2", "c x@3"], Lines(checkpoint));
        Assert.Equal(1, checkpoint.Skipped);
    }

    [Fact]
    [Trait("Requirement", "CKP-4")]
    public void A_store_that_keeps_tombstones_writes_them_all()
    {
        using var bed = Above();
        bed.Store.KeepsTombstones = true;
        bed.Delete("parents", 1);
        bed.Visible.Publish(1);
        Assert.Equal(["parents x@1"], Lines(Checkpoint(bed, 1)));
    }

    [Fact]
    [Trait("Requirement", "TIER-2")]
    public void Nothing_dirty_is_forgotten()
    {
        using var bed = Above();
        bed.Commit("a", "1", 1);
        bed.Checkpoint(1);
        bed.Commit("a", "2", 2);
        bed.Commit("b", "2", 2);
        Assert.Equal(0, bed.ForgetEverything());
        Assert.Equal(("2", "2"), (bed.GetVisible("a"), bed.GetVisible("b")));

        var checkpoint = new StoreCheckpoint(bed, 2);
        Assert.Equal(0, bed.ForgetEverything());
        checkpoint.Publish();
        Assert.Equal(2, bed.ForgetEverything());
        Assert.Equal(0, bed.Store.EntryCount);
        Assert.Equal(("2", "2", null), (bed.GetVisible("a"), bed.GetVisible("b"), bed.GetVisible("c")));
    }

    [Fact]
    [Trait("Requirement", "TIER-2")]
    public void What_a_pin_needs_stays_and_so_does_a_count()
    {
        using var bed = Above();
        bed.Store.AddCount(9, 5, 1, 1);
        bed.Commit("a", "1", 1);
        var pin = bed.Pin();
        bed.Commit("a", "2", 2);
        bed.Commit("b", "2", 2);
        bed.Checkpoint(2);
        Assert.Equal(0, bed.ForgetEverything());
        Assert.Equal(("1", null), (bed.Get("a", 1), bed.Get("b", 1)));
        using (var reader = bed.Store.Read())
        {
            Assert.True(reader.FindNewer("a"u8, default, 1, out _, out _));
            Assert.True(reader.TryGetNewer("b"u8, 1, out var newer) && newer.Sequence == 2);
        }

        bed.Pins.Release(pin);
        bed.SweepAll();
        Assert.Equal(2, bed.ForgetEverything());
        Assert.Equal(1, bed.Store.EntryCount);
        using (var reader = bed.Store.Read())
            Assert.Equal(5, reader.Count(9, 2));
        bed.Reload(2);
        using (var reader = bed.Store.Read())
            Assert.Equal(5, reader.Count(9, 2));
    }

    /// <summary>A scan took its image, then a checkpoint is published: the scan's image does not have what the new one has.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    [Trait("Requirement", "TIER-2")]
    public void Nothing_is_forgotten_while_a_reader_from_before_the_image_is_inside(bool isWhole)
    {
        const int Keys = 500;
        using var bed = Above();
        bed.Commit("a", "1", 1);
        bed.Checkpoint(1);
        if (!isWhole)
            bed.Reload(1);
        for (var i = 0; i < Keys; i++)
            bed.Commit($"k{i:D3}", "v", 2);
        var pin = bed.Pin();
        using (var reader = bed.Store.Read())
        {
            var scan = reader.Scan(default, default, pin.Sequence);
            Assert.True(scan.MoveNext());
            bed.Checkpoint(2);
            for (var i = 0; i < 5; i++)
                Assert.Equal(default, bed.Store.Forget(10_000, eager: true) with { Looked = 0, IsRoundDone = false });
            Assert.False(bed.Store.ForgetAll());
            var found = 1;
            while (scan.MoveNext())
                found++;
            Assert.Equal(Keys + 1, found);
        }

        bed.Pins.Release(pin);
        bed.ForgetEverything();
        Assert.Equal(0, bed.Store.EntryCount);
        Assert.Equal(Keys + 1, bed.Scan("", "", 2).Count);
    }

    [Fact]
    [Trait("Requirement", "TIER-2")]
    public void What_is_forgotten_is_read_from_the_newest_image()
    {
        using var bed = Above();
        bed.Commit("a", "1", 1);
        bed.Checkpoint(1);
        bed.Reload(1);
        bed.Commit("a", "2", 2);
        bed.Commit("b", "2", 2);
        bed.Checkpoint(2);
        Assert.Equal(2, bed.ForgetEverything());
        Assert.Equal(("2", "2"), (bed.GetVisible("a"), bed.Get("b", 2)));
        Assert.Equal(["a=2", "b=2"], bed.Scan("", "", 2));
        Assert.Equal(["b=2", "a=2"], bed.Scan("", "", 2, reverse: true));
    }

    [Fact]
    [Trait("Requirement", "CKP-4")]
    public void A_deletion_stays_in_memory_until_the_image_has_it()
    {
        using var bed = Above();
        bed.Commit("a", "1", 1);
        bed.Checkpoint(1);
        bed.Reload(1);
        bed.Delete("a", 2);
        bed.Visible.Publish(2);
        bed.SweepAll();
        Assert.Null(bed.GetVisible("a"));
        Assert.Empty(bed.Scan("", "", 2));
        Assert.Equal((1, 1), (bed.Store.DeferredDeletions, bed.Store.EntryCount));

        bed.Checkpoint(2);
        bed.SweepAll();
        Assert.Equal((0, 0), (bed.Store.DeferredDeletions, bed.Store.EntryCount));
        Assert.Null(bed.GetVisible("a"));
        Assert.Empty(bed.Scan("", "", 2));

        bed.Commit("a", "3", 3);
        using var reader = bed.Store.Read();
        Assert.True(reader.TryGetVisible("a"u8, out var version));
        Assert.Equal(3ul, version.Created);
    }

    /// <summary>The cut holds "a", which is deleted above it and swept before the image is there.</summary>
    [Fact]
    [Trait("Requirement", "CKP-4")]
    public void A_deletion_above_a_cut_that_is_being_written_is_not_undone_by_its_image()
    {
        using var bed = Above();
        bed.Commit("z", "1", 1);
        bed.Checkpoint(1);
        bed.Reload(1);
        bed.Commit("a", "2", 2);
        var checkpoint = new StoreCheckpoint(bed, 2);
        bed.Delete("a", 3);
        bed.Visible.Publish(3);
        bed.SweepAll();
        checkpoint.Publish();
        bed.SweepAll();
        bed.ForgetEverything();
        Assert.Null(bed.GetVisible("a"));
        Assert.Equal(["z=1"], bed.Scan("", "", 3));
        Assert.Equal(["a x@3"], Lines(Checkpoint(bed, 3)));
        bed.SweepAll();
        bed.ForgetEverything();
        Assert.Equal(0, bed.Store.EntryCount);
        Assert.Equal(["z=1"], bed.Scan("", "", 3));
    }

    [Fact]
    public void What_the_image_has_from_before_the_run_was_born_is_another_run()
    {
        using var bed = Above();
        bed.Store.AddCount(9, 5, 1, 1);
        bed.Commit("a", "1", 1);
        bed.Commit("b", "1", 1);
        bed.Checkpoint(1);
        bed.Reload(cut: 1, born: 5);
        Assert.Null(bed.GetVisible("a"));
        Assert.Empty(bed.Scan("", "", 5));
        using (var reader = bed.Store.Read())
            Assert.Equal(0, reader.Count(9, 5));
        Assert.False(bed.Store.Put("a"u8, "5"u8, 5, 5, 0).Exists);
        bed.Visible.Publish(5);
        bed.Checkpoint(5);
        bed.Reload(cut: 5, born: 5);
        Assert.Equal(["a=5"], bed.Scan("", "", 5));
    }

    /// <summary>A run was deleted and its id taken again: the new run is whole, and begins with its first commit.</summary>
    [Fact]
    [Trait("Requirement", "TIER-1")]
    public void A_whole_run_that_forgets_does_not_show_its_predecessor()
    {
        using var bed = Above();
        bed.Commit("a", "old", 1);
        bed.Commit("b", "old", 1);
        bed.Checkpoint(1);
        bed.Reload(cut: 1, isWhole: true);
        bed.Store.BeginAt(5);
        bed.Commit("a", "new", 5);
        bed.Checkpoint(5);
        Assert.Equal(1, bed.ForgetEverything());
        Assert.Equal(("new", null), (bed.GetVisible("a"), bed.GetVisible("b")));
        Assert.Equal(["a=new"], bed.Scan("", "", 5));
        Assert.False(bed.Store.Put("b"u8, "6"u8, 6, StoreTestBed.Time(6), 0).Exists);
    }

    [Fact]
    public void A_write_of_a_key_that_only_the_image_has_knows_what_was_before()
    {
        using var bed = Above();
        bed.Put("a", "1", 1, expiry: StoreTestBed.Time(100));
        bed.Delete("cell", 1, remains: "7");
        bed.Visible.Publish(1);
        bed.Checkpoint(1);
        foreach (var makesResident in new[] { false, true })
        {
            bed.Reload(1);
            if (makesResident)
            {
                bed.Store.Prefetch("a"u8);
                bed.Store.MakeResident("a"u8);
                bed.Store.MakeResident("cell"u8);
                bed.Store.MakeResident("never"u8);
                Assert.Equal(2, bed.Store.EntryCount);
                Assert.Equal(0, bed.Store.DirtyCount);
            }

            var previous = bed.Store.Put("a"u8, "2"u8, 2, StoreTestBed.Time(2), 0);
            Assert.Equal(new PreviousVersion(true, false, StoreTestBed.Time(100)), previous);
            Assert.True(bed.Store.Put("cell"u8, "8"u8, 2, StoreTestBed.Time(2), 0).IsTombstone);
            Assert.False(bed.Store.Put("never"u8, "2"u8, 2, StoreTestBed.Time(2), 0).Exists);

            // Nobody sees it yet: the image's version answers, from memory.
            Assert.Equal("1", bed.GetVisible("a"));
            using (var reader = bed.Store.Read())
            {
                Assert.True(reader.TryGetVisible("cell"u8, out var cell) && cell.IsTombstone && cell.Value.SequenceEqual("7"u8));
                Assert.True(reader.TryGetNewest("a"u8, out var version));
                Assert.Equal((2ul, 1ul), (version.Sequence, version.Created));
            }
        }
    }

    [Fact]
    [Trait("Requirement", "TIER-4")]
    public void A_key_range_in_use_stays_and_an_idle_one_goes()
    {
        const int Keys = 2_000;
        using var bed = Above();
        for (var i = 0; i < Keys; i++)
            bed.Commit($"k{i:D4}", "v", 1);
        bed.Checkpoint(1);
        bed.Reload(1);
        for (var i = 0; i < Keys; i++)
            bed.Store.MakeResident(StoreTestBed.Bytes($"k{i:D4}"));
        for (var i = 0; i < 10; i++)
            bed.GetVisible($"k{i:D4}");
        bed.Scan("", "", 1);                              // one look at everything makes nothing hot
        TurnRound(bed, eager: false);
        Assert.InRange(bed.Store.EntryCount, 10, 128);    // the leaf of the ten, and what leaves share with it
        Assert.Equal(Keys, bed.Scan("", "", 1).Count);

        bed.GetVisible("k0003");
        TurnRound(bed, eager: true);
        Assert.Equal(1, bed.Store.EntryCount);
        TurnRound(bed, eager: false);
        Assert.Equal(0, bed.Store.EntryCount);
    }

    [Fact]
    [Trait("Requirement", "TIER-3")]
    public void An_idle_run_gives_its_memory_back_and_who_is_inside_reads_on()
    {
        const int Keys = 20_000;
        using var bed = Above(debugSlab: false);
        for (var i = 0; i < Keys; i++)
            bed.Put($"k{i:D5}", "value", 1);
        bed.Store.AddCount(9, Keys, 1, 1);
        bed.Visible.Publish(1);
        bed.Checkpoint(1);
        bed.ForgetEverything();                           // no longer whole
        for (var i = 0; i < Keys; i++)
            bed.Store.MakeResident(StoreTestBed.Bytes($"k{i:D5}"));
        var before = bed.Store.MemoryBytes;
        var pin = bed.Pin();
        using (var reader = bed.Store.Read())
        {
            var scan = reader.Scan(default, default, pin.Sequence);
            Assert.True(scan.MoveNext());
            Assert.True(reader.TryGetVisible("k00007"u8, out var borrowed));
            Assert.True(bed.Store.ForgetAll());
            Assert.Equal(0, bed.Store.EntryCount);       // counts too: the image has them
            Assert.InRange(bed.Store.MemoryBytes, before, 2 * before);

            var found = 1;
            while (scan.MoveNext())
                found++;
            Assert.Equal(Keys + 1, found);
            Assert.True(borrowed.Value.SequenceEqual("value"u8));

            // What is written now is written elsewhere, and found from here.
            bed.Commit("k00007", "new", 2);
            bed.Store.AddCount(9, 1, 2, 2);
            Assert.True(reader.TryGetVisible("k00007"u8, out var version) && version.Value.SequenceEqual("new"u8));
            Assert.True(reader.TryGet("k00007"u8, 1, out version) && version.Value.SequenceEqual("value"u8));
            Assert.True(reader.TryGetNewest("k00008"u8, out version) && version.Value.SequenceEqual("value"u8));
            Assert.True(reader.TryGetNewer("k00007"u8, 1, out version) && version.Sequence == 2);
            Assert.True(reader.FindNewer("k"u8, default, 1, out var key, out _) && key.SequenceEqual("k00007"u8));
            Assert.Equal((Keys, Keys + 1), (reader.Count(9, 1), reader.Count(9, 2)));
            scan = reader.Scan("k00007"u8, "k00009"u8, 2);
            Assert.True(scan.MoveNext() && scan.Version.Value.SequenceEqual("new"u8));
        }

        bed.Pins.Release(pin);
        bed.ForgetEverything();
        Assert.InRange(bed.Store.MemoryBytes, 0, before / 10);
        Assert.Equal("new", bed.GetVisible("k00007"));
    }

    [Fact]
    public void A_run_is_not_emptied_while_something_is_dirty_or_pinned()
    {
        using var bed = Above();
        bed.Commit("a", "1", 1);
        bed.Checkpoint(1);
        bed.ForgetEverything();
        bed.Commit("b", "2", 2);
        Assert.False(bed.Store.ForgetAll());
        var checkpoint = new StoreCheckpoint(bed, 2);
        Assert.False(bed.Store.ForgetAll());
        checkpoint.Fail();
        Assert.False(bed.Store.ForgetAll());
        bed.Checkpoint(2);
        bed.ForgetEverything();
        Assert.True(bed.Store.ForgetAll());
        Assert.Equal(["a=1", "b=2"], bed.Scan("", "", 2));
    }

    /// <summary>The image has references only: what is forgotten with its bytes is read from the log, and brought for a commit.</summary>
    [Fact]
    [Trait("Requirement", "TIER-1")]
    public void A_content_that_left_memory_is_read_by_its_reference()
    {
        const int Keys = 50;
        var log = new FakeLogBytes();
        var content = new ContentStore(4096, 1 << 20);
        content.ReadFrom(log);
        using var bed = new StoreTestBed(debugSlab: true, new TestImage(), content);
        var values = Enumerable.Range(0, Keys).Select(i => Enumerable.Repeat((byte)i, 5_000).ToArray()).ToArray();
        for (var i = 0; i < Keys; i++)
        {
            bed.Store.Reserve(1, 5_100);
            bed.Store.PutContent(StoreTestBed.Bytes($"k{i:D2}"), log.Append(values[i]), values[i], 1, StoreTestBed.Time(1), 0);
        }

        bed.Visible.Publish(1);
        bed.Checkpoint(1);
        var attached = bed.Store.ContentBytes;
        Assert.Equal(Keys, bed.ForgetEverything());
        bed.SweepAll();
        Assert.InRange(attached, Keys * 5_000L, long.MaxValue);
        Assert.Equal(0, content.Attached.Value);
        using (var reader = bed.Store.Read())
        {
            Assert.True(reader.TryGetVisible("k07"u8, out var version) && version.Value.SequenceEqual(values[7]));
            var scan = reader.Scan(default, default, 1);
            for (var i = 0; i < Keys; i++)
                Assert.True(scan.MoveNext() && scan.Version.Value.SequenceEqual(values[i]));
        }

        bed.Store.MakeResident("k07"u8);
        bed.Store.HoldContent("k07"u8);
        bed.Store.HoldContent("k08"u8);                   // brings it first
        Assert.Equal(2, bed.Store.EntryCount);
        bed.Store.Reserve(3, 100);
        foreach (var key in new[] { "k07", "k08", "k09" })
            Assert.True(bed.Store.CarryContent(StoreTestBed.Bytes(key), 2, StoreTestBed.Time(2), StoreTestBed.Time(9)).IsCounted);
        bed.Visible.Publish(2);
        Assert.Equal(3, Checkpoint(bed, 2).Written.Count(written => written.Version.IsContent));
        bed.ForgetEverything();
        Assert.True(bed.Store.ForgetAll());
        Assert.Equal(0, content.Attached.Value);
        using (var reader = bed.Store.Read())
        {
            Assert.True(reader.TryGetVisible("k09"u8, out var version) && version.Value.SequenceEqual(values[9]));
            Assert.Equal((2ul, 1ul, StoreTestBed.Time(9)), (version.Sequence, version.Created, version.Expiry));
        }
    }

    [Fact]
    public void A_store_without_an_image_has_nothing_dirty_and_forgets_nothing()
    {
        using var bed = new StoreTestBed();
        bed.Commit("a", "1", 1);
        Assert.True(bed.Store.IsWhole);
        Assert.Equal((0, 0), (bed.Store.DirtyCount, bed.Store.DirtyBytes));
        Assert.Equal(default, bed.Store.Forget(100, eager: true));
        Assert.False(bed.Store.ForgetAll());
        bed.Store.MakeResident("a"u8);
        bed.Store.Prefetch("b"u8);
        Assert.Equal("1", bed.GetVisible("a"));
    }

    private static StoreTestBed Above(bool debugSlab = true) => new(debugSlab, new TestImage());

    private static StoreCheckpoint Checkpoint(StoreTestBed bed, ulong cut)
    {
        var checkpoint = new StoreCheckpoint(bed, cut);
        checkpoint.Publish();
        return checkpoint;
    }

    private static void TurnRound(StoreTestBed bed, bool eager)
    {
        while (!bed.Store.Forget(300, eager).IsRoundDone)
        {
        }
    }

    private static IEnumerable<string> Lines(StoreCheckpoint checkpoint) => checkpoint.Written.Select(written =>
        Encoding.UTF8.GetString(written.Key) + (written.Version.IsTombstone ? " x" : "=" + Encoding.UTF8.GetString(written.Version.Stored))
        + "@" + written.Version.Sequence);
}
