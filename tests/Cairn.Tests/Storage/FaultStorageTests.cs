using Cairn.Storage;
using Xunit;

namespace Cairn.Tests.Storage;

[Trait("Promise", "G7")]
public sealed class FaultStorageTests
{
    [Theory]
    [InlineData("Io", 5, "Io")]
    [InlineData("NoSpace", 28, "NoSpace")]
    [InlineData("Quota", 122, "NoSpace")]
    [InlineData("TooLarge", 27, "TooLarge")]
    [InlineData("ZeroWrite", 0, "Io")]
    public void A_fault_strikes_at_its_operation_once_and_nothing_is_done(string kind, int errno, string error)
    {
        var storage = new FaultStorage(new MemoryStorage());
        using var file = storage.CreateNew("a");
        storage.Inject(Enum.Parse<FaultKind>(kind), at: 2, StorageCall.Write);
        file.WriteAt("1"u8, 0);
        var failure = Assert.Throws<StorageException>(() => file.WriteAt("2"u8, 1));
        Assert.Equal(1, file.Length);
        file.WriteAt("3"u8, 2);

        Assert.Equal((Enum.Parse<StorageError>(error), errno), (failure.Error, failure.Errno));
        Assert.Equal(1, storage.Strikes);
    }

    [Fact]
    public void A_lasting_fault_strikes_until_the_disk_is_well_again()
    {
        var storage = new FaultStorage(new MemoryStorage());
        storage.Inject(FaultKind.AccessDenied, at: 2, StorageCall.CreateNew, lasting: true);
        storage.CreateNew("a").Dispose();
        for (var i = 0; i < 3; i++)
            Assert.Equal(StorageError.AccessDenied, Assert.Throws<StorageException>(() => storage.CreateNew("b")).Error);
        storage.Clear();
        storage.CreateNew("b").Dispose();
        Assert.Equal(3, storage.Strikes);
    }

    [Fact]
    public void A_failed_sync_syncs_nothing()
    {
        var disk = new CrashStorage();
        var storage = new FaultStorage(disk);
        using var file = storage.CreateNew("a");
        storage.SyncDirectory("");
        file.WriteAt("1"u8, 0);
        storage.Inject(FaultKind.Io, at: 1, StorageCall.Syncs);
        Assert.Throws<StorageException>(file.DataSync);
        Assert.Equal(1, disk.UnsyncedCount);
    }

    [Fact]
    public void What_is_reported_as_failed_may_have_been_done()
    {
        var storage = new FaultStorage(new MemoryStorage());
        using var file = storage.CreateNew("a");
        storage.Inject(FaultKind.IoAfterwards, at: 1, StorageCall.Write);
        Assert.Equal(5, Assert.Throws<StorageException>(() => file.WriteAt("1"u8, 0)).Errno);
        Assert.Equal(1, file.Length);

        storage.Inject(FaultKind.IoAfterwards, at: 1, StorageCall.Rename);
        Assert.Throws<StorageException>(() => storage.Rename("a", "b"));
        Assert.True(storage.Exists("b"));
    }

    [Fact]
    public void A_short_write_leaves_a_prefix_and_an_error()
    {
        var lengths = new HashSet<long>();
        for (var seed = 0UL; seed < 100; seed++)
        {
            var storage = new FaultStorage(new MemoryStorage(), seed);
            using var file = storage.CreateNew("a");
            storage.Inject(FaultKind.ShortWrite, at: 1);
            var buffers = new List<ReadOnlyMemory<byte>> { "01"u8.ToArray(), "23"u8.ToArray() };
            if (seed % 2 == 0)
                Assert.Throws<StorageException>(() => file.WriteAt("0123"u8, 0));
            else
                Assert.Throws<StorageException>(() => file.WriteAt(buffers, 0));
            var bytes = new byte[4];
            Assert.Equal("0123"u8[..(int)file.Length], bytes.AsSpan(0, file.ReadAt(bytes, 0)));
            lengths.Add(file.Length);
        }

        Assert.Equal([0, 1, 2, 3], lengths.Order());
    }

    [Fact]
    public void A_read_is_cut_short_or_wrong_in_one_bit()
    {
        var storage = new FaultStorage(new MemoryStorage(), seed: 1);
        using var file = storage.CreateNew("a");
        file.WriteAt(new byte[100], 0);
        var bytes = new byte[100];
        storage.Inject(FaultKind.ShortRead, at: 1);
        Assert.InRange(file.ReadAt(bytes, 0), 0, 99);
        storage.Inject(FaultKind.FlippedBit, at: 1);
        Assert.Equal(100, file.ReadAt(bytes, 0));
        Assert.Equal(1, bytes.Sum(value => int.PopCount(value)));
        Assert.Equal(100, file.ReadAt(bytes, 0));
        Assert.Equal(0, bytes.Sum(value => int.PopCount(value)));
    }

    [Fact]
    public void A_fault_counts_only_the_calls_and_the_path_it_is_set_for()
    {
        var storage = new FaultStorage(new MemoryStorage());
        using var a = storage.CreateNew("a");
        using var b = storage.CreateNew("b");
        storage.Inject(FaultKind.Io, at: 2, StorageCall.Syncs, path: "b");
        a.Sync();
        a.Sync();
        b.WriteAt("1"u8, 0);
        b.Sync();
        a.DataSync();
        Assert.Throws<StorageException>(b.DataSync);
    }

    [Fact]
    public void A_sweep_over_a_script_ends_when_nothing_is_left_to_strike()
    {
        static void Script(IStorage storage)
        {
            storage.CreateDirectory("d");
            using var file = storage.CreateNew("d/a.part");
            file.Preallocate(100);
            file.WriteAt("123"u8, 0);
            file.Sync();
            storage.Rename("d/a.part", "d/a");
            storage.SyncDirectory("d");
        }

        var at = 0;
        while (true)
        {
            var storage = new FaultStorage(new MemoryStorage());
            storage.Inject(FaultKind.Io, ++at);
            var failure = Record.Exception(() => Script(storage));
            if (storage.Strikes == 0)
                break;
            Assert.IsType<StorageException>(failure);
        }

        Assert.Equal(8, at);
    }

    [Fact]
    [Trait("Promise", "G9")]
    public void Locks_that_lie_let_two_owners_in()
    {
        var disk = new MemoryStorage();
        var storage = new FaultStorage(disk) { LocksLie = true };
        using var one = storage.Lock("one");
        using var two = storage.Lock("two");
    }

    [Fact]
    public void Free_space_is_what_the_test_says()
    {
        var storage = new FaultStorage(new MemoryStorage());
        Assert.True(storage.FreeSpace() > 1L << 40);
        storage.FreeBytes = 17;
        Assert.Equal(17, storage.FreeSpace());
    }

    [Fact]
    public void Calls_and_bytes_are_counted_by_kind()
    {
        var storage = new CountingStorage(new MemoryStorage());
        using var file = storage.CreateNew("a");
        file.WriteAt("123"u8, 0);
        file.WriteAt(new List<ReadOnlyMemory<byte>> { "45"u8.ToArray(), "6"u8.ToArray() }, 3);
        file.ReadAt(new byte[10], 1);
        file.DataSync();
        file.DataSync();
        file.Sync();
        storage.SyncDirectory("");
        Assert.Equal((2, 6, 5), (storage.Writes, storage.BytesWritten, storage.BytesRead));
        Assert.Equal((2, 1, 1), (storage.DataSyncs, storage.Syncs, storage.DirectorySyncs));
        Assert.Equal(4, storage.Count(StorageCall.Syncs));
        storage.Reset();
        Assert.Equal(0, storage.Count(StorageCall.All));
        Assert.Equal(0, storage.BytesWritten);
    }

    [Fact]
    public void Pieces_add_up_and_a_crash_strikes_between_them()
    {
        var disk = new CrashStorage();
        var storage = new ShortStorage(disk, seed: 3, pieceBytesMax: 4);
        using var file = storage.CreateNew("a");
        file.WriteAt("0123456789"u8, 0);
        Assert.True(disk.UnsyncedCount > 3);
        var bytes = new byte[20];
        Assert.Equal(10, file.ReadAt(bytes, 0));
        Assert.Equal("0123456789"u8, bytes.AsSpan(0, 10));
    }

    [Fact]
    public void A_hook_is_called_before_each_operation()
    {
        var calls = new List<string>();
        var storage = new LatencyStorage(new MemoryStorage(), (call, path) => calls.Add($"{call} {path}"));
        using (var file = storage.CreateNew("a"))
        {
            file.WriteAt("1"u8, 0);
            file.Sync();
        }

        storage.Rename("a", "b");
        Assert.Equal(["CreateNew a", "Write a", "Sync a", "Rename a"], calls);
    }

    [Fact]
    public void A_storage_opened_for_reading_refuses_every_change()
    {
        var disk = new MemoryStorage();
        using (var file = disk.CreateNew("a"))
            file.WriteAt("1"u8, 0);
        ReadOnlyAssert.RefusesEveryChange(new ReadOnlyStorage(disk));
    }

    [Fact]
    public void Memory_has_an_end_where_one_is_set()
    {
        var storage = new MemoryStorage(capacityBytes: 100);
        using var file = storage.CreateNew("a");
        file.WriteAt(new byte[60], 0);
        Assert.Equal(40, storage.FreeSpace());
        using (var other = storage.CreateNew("b"))
        {
            Assert.Equal(StorageError.NoSpace, Assert.Throws<StorageException>(() => other.WriteAt(new byte[41], 0)).Error);
            Assert.Equal(StorageError.NoSpace, Assert.Throws<StorageException>(() => other.Preallocate(41)).Error);
            Assert.Equal(0, other.Length);
            other.Preallocate(40);
        }

        file.WriteAt(new byte[60], 0);
        Assert.Equal(0, storage.FreeSpace());
        storage.Unlink("b");
        Assert.Equal(40, storage.FreeSpace());
        file.SetLength(10);
        Assert.Equal(90, storage.FreeSpace());
    }
}

internal static class ReadOnlyAssert
{
    /// <summary>The storage must hold a file named a with one byte.</summary>
    internal static void RefusesEveryChange(IStorage storage)
    {
        Assert.True(storage.IsReadOnly);
        Action[] changes =
        [
            () => storage.CreateNew("b"),
            () => storage.Open("a", writable: true),
            () => storage.CreateDirectory("d"),
            () => storage.Rename("a", "b"),
            () => storage.Link("a", "b"),
            () => storage.Unlink("a"),
            () => storage.SyncDirectory(""),
        ];
        foreach (var change in changes)
            Assert.Equal(StorageError.ReadOnly, Assert.Throws<StorageException>(change).Error);
        using var file = storage.Open("a", writable: false);
        Action[] writes = [() => file.WriteAt("2"u8, 0), () => file.SetLength(0), () => file.Preallocate(9), file.DataSync, file.Sync];
        foreach (var write in writes)
            Assert.Equal(StorageError.ReadOnly, Assert.Throws<StorageException>(write).Error);
        Assert.Equal(["a"], storage.List(""));
        Assert.Equal(1, file.Length);
        Assert.Equal(1, file.ReadAt(new byte[5], 0));
    }
}
