using Cairn.Diagnostics;
using Cairn.Storage;
using Xunit;

namespace Cairn.Tests.Storage;

/// <summary>What every form of storage does alike; one class per form below. A form is right when no test here can tell it from a
/// disk.</summary>
public abstract class StorageConformanceTests : IDisposable
{
    private IStorage? opened;

    private IStorage Storage => opened ??= Make();

    private protected abstract IStorage Make();

    public virtual void Dispose()
    {
        opened?.Dispose();
        GC.SuppressFinalize(this);
    }

    [Fact]
    public void A_new_file_is_empty_and_takes_bytes_anywhere()
    {
        using var file = Storage.CreateNew("a");
        Assert.Equal(0, file.Length);
        Assert.Equal("a", file.Path);

        file.WriteAt(Bytes(10_000, 1), 5_000);

        Assert.Equal(15_000, file.Length);
        Assert.Equal([.. new byte[5_000], .. Bytes(10_000, 1)], ReadAll(file));
    }

    [Fact]
    public void A_read_stops_at_the_end_of_the_file()
    {
        using var file = Storage.CreateNew("a");
        file.WriteAt("12345"u8, 0);
        var buffer = new byte[10];

        Assert.Equal(2, file.ReadAt(buffer, 3));
        Assert.Equal("45"u8, buffer.AsSpan(0, 2));
        Assert.Equal(0, file.ReadAt(buffer, 5));
        Assert.Equal(0, file.ReadAt(buffer, 1_000_000));
        Assert.Equal(0, file.ReadAt([], 0));
    }

    [Fact]
    public void Writing_nothing_changes_nothing()
    {
        using var file = Storage.CreateNew("a");
        file.WriteAt(ReadOnlySpan<byte>.Empty, 100);
        file.WriteAt(new List<ReadOnlyMemory<byte>> { ReadOnlyMemory<byte>.Empty }, 100);
        Assert.Equal(0, file.Length);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    [InlineData(200)]
    public void A_vectored_write_is_the_sum_of_its_buffers(int count)
    {
        using var file = Storage.CreateNew("a");
        var buffers = Enumerable.Range(0, count).Select(i => (ReadOnlyMemory<byte>)Bytes(((i * 7) + 5) % 50, i)).ToList();

        file.WriteAt(buffers, 11);

        Assert.Equal([.. new byte[11], .. buffers.SelectMany(buffer => buffer.ToArray())], ReadAll(file));
    }

    [Fact]
    public void What_was_cut_off_reads_as_zeros_when_the_file_grows_again()
    {
        using var file = Storage.CreateNew("a");
        file.WriteAt(Bytes(9_000, 1), 0);
        file.SetLength(4_500);
        Assert.Equal(4_500, file.Length);
        file.SetLength(9_000);

        Assert.Equal([.. Bytes(9_000, 1).AsSpan(0, 4_500), .. new byte[4_500]], ReadAll(file));
    }

    [Fact]
    public void Preallocating_extends_with_zeros_and_never_cuts()
    {
        using var file = Storage.CreateNew("a");
        file.WriteAt("123"u8, 0);
        file.Preallocate(1 << 20);
        Assert.Equal(1 << 20, file.Length);
        file.Preallocate(10);
        file.Preallocate(0);
        Assert.Equal(1 << 20, file.Length);
        Assert.Equal([.. "123"u8, .. new byte[(1 << 20) - 3]], ReadAll(file));
    }

    [Fact]
    public void Overwriting_with_zeros_leaves_zeros()
    {
        using var file = Storage.CreateNew("a");
        file.WriteAt(Bytes(20_000, 1), 0);
        file.WriteAt(new byte[15_000], 1_000);

        Assert.Equal([.. Bytes(20_000, 1).AsSpan(0, 1_000), .. new byte[15_000], .. Bytes(20_000, 1).AsSpan(16_000)], ReadAll(file));
    }

    [Fact]
    public void Random_changes_agree_with_an_array()
    {
        const ulong seed = 20260;
        var chance = new Chance(seed);
        using var file = Storage.CreateNew("a");
        var expected = Array.Empty<byte>();
        for (var step = 0; step < 300; step++)
        {
            var at = chance.Below(30_000);
            switch (chance.Below(4))
            {
                case 0:
                    file.SetLength(at);
                    Array.Resize(ref expected, at);
                    break;
                case 1:
                    file.Preallocate(at);
                    Array.Resize(ref expected, Math.Max(at, expected.Length));
                    break;
                default:
                    var bytes = chance.OneIn(3) ? new byte[chance.Below(9_000)] : Bytes(chance.Below(9_000), step);
                    file.WriteAt(bytes, at);
                    if (bytes.Length > 0)
                        Array.Resize(ref expected, Math.Max(at + bytes.Length, expected.Length));
                    bytes.CopyTo(expected.AsSpan(Math.Min(at, expected.Length)));
                    break;
            }
        }

        Assert.True(expected.AsSpan().SequenceEqual(ReadAll(file)), $"seed={seed}");
    }

    [Fact]
    public void Creating_a_taken_name_is_refused()
    {
        Storage.CreateNew("a").Dispose();
        Storage.CreateDirectory("d");
        Fails(StorageError.Exists, () => Storage.CreateNew("a"));
        Fails(StorageError.Exists, () => Storage.CreateNew("d"));
    }

    [Fact]
    public void Opening_what_is_not_there_is_refused()
    {
        Storage.CreateNew("file").Dispose();
        Fails(StorageError.NotFound, () => Storage.Open("a", writable: false));
        Fails(StorageError.NotFound, () => Storage.Open("d/a", writable: true));
        Fails(StorageError.NotFound, () => Storage.CreateNew("d/a"));
        Fails(StorageError.NotADirectory, () => Storage.CreateNew("file/a"));
        Fails(StorageError.NotADirectory, () => Storage.Open("file/a", writable: false));
    }

    [Fact]
    public void A_directory_is_not_opened_as_a_file()
    {
        Storage.CreateDirectory("d");
        Fails(StorageError.Io, () => Storage.Open("d", writable: false));
        Fails(StorageError.Io, () => Storage.Open("d", writable: true));
    }

    [Fact]
    public void A_file_opened_for_reading_refuses_writes_and_syncs()
    {
        using (var made = Storage.CreateNew("a"))
            made.WriteAt("123"u8, 0);
        using var file = Storage.Open("a", writable: false);

        Assert.Equal("123"u8, ReadAll(file));
        Fails(StorageError.ReadOnly, () => file.WriteAt("x"u8, 0));
        Fails(StorageError.ReadOnly, () => file.WriteAt(new List<ReadOnlyMemory<byte>> { "x"u8.ToArray() }, 0));
        Fails(StorageError.ReadOnly, () => file.SetLength(0));
        Fails(StorageError.ReadOnly, () => file.Preallocate(9));
        Fails(StorageError.ReadOnly, file.DataSync);
        Fails(StorageError.ReadOnly, file.Sync);
    }

    [Fact]
    public void Two_handles_of_a_file_see_the_same_bytes()
    {
        using var writer = Storage.CreateNew("a");
        using var reader = Storage.Open("a", writable: false);
        writer.WriteAt("123"u8, 0);
        Assert.Equal("123"u8, ReadAll(reader));
    }

    [Fact]
    public void Listing_names_files_in_ordinal_order_and_no_directories()
    {
        Storage.CreateDirectory("d");
        Storage.CreateDirectory("d/below");
        foreach (var name in new[] { "d/b", "d/a10", "d/a9", "d/Z", "d/.hidden", "d/below/c", "top" })
            Storage.CreateNew(name).Dispose();

        Assert.Equal([".hidden", "Z", "a10", "a9", "b"], Storage.List("d"));
        Assert.Equal(["c"], Storage.List("d/below"));
        Assert.Equal(["top"], Storage.List(""));
        Assert.Empty(Storage.List("absent"));
        Assert.Empty(Storage.List("absent/below"));
        Fails(StorageError.NotADirectory, () => Storage.List("top"));
    }

    [Fact]
    public void Existence_is_told_of_files_and_directories()
    {
        Storage.CreateDirectory("d");
        Storage.CreateNew("d/a").Dispose();
        Assert.True(Storage.Exists(""));
        Assert.True(Storage.Exists("d"));
        Assert.True(Storage.Exists("d/a"));
        Assert.False(Storage.Exists("d/b"));
        Assert.False(Storage.Exists("e/a"));
        Assert.False(Storage.Exists("d/a/b"));
    }

    [Fact]
    public void A_directory_is_made_once_and_asked_for_twice()
    {
        Storage.CreateDirectory("d");
        Storage.CreateDirectory("d");
        Storage.CreateNew("a").Dispose();
        Fails(StorageError.NotADirectory, () => Storage.CreateDirectory("a"));
        Fails(StorageError.NotADirectory, () => Storage.CreateDirectory("a/b"));
        Fails(StorageError.NotFound, () => Storage.CreateDirectory("x/y"));
    }

    [Fact]
    public void Renaming_moves_the_name_and_replaces_nothing()
    {
        Storage.CreateDirectory("d");
        using (var file = Storage.CreateNew("a"))
            file.WriteAt("a"u8, 0);
        using (var file = Storage.CreateNew("b"))
            file.WriteAt("b"u8, 0);

        Fails(StorageError.Exists, () => Storage.Rename("a", "b"));
        Fails(StorageError.Exists, () => Storage.Rename("a", "d"));
        Fails(StorageError.NotFound, () => Storage.Rename("c", "e"));
        Fails(StorageError.NotFound, () => Storage.Rename("a", "e/f"));
        Storage.Rename("a", "d/a");

        Assert.False(Storage.Exists("a"));
        Assert.Equal("a"u8, Content("d/a"));
        Assert.Equal("b"u8, Content("b"));
    }

    [Fact]
    public void A_link_is_a_second_name_of_the_same_file()
    {
        using (var file = Storage.CreateNew("a"))
            file.WriteAt("a"u8, 0);
        Storage.Link("a", "b");
        Fails(StorageError.Exists, () => Storage.Link("a", "b"));
        Fails(StorageError.NotFound, () => Storage.Link("c", "d"));

        using (var file = Storage.Open("b", writable: true))
            file.WriteAt("b"u8, 0);
        Storage.Unlink("a");

        Assert.False(Storage.Exists("a"));
        Assert.Equal("b"u8, Content("b"));
    }

    [Fact]
    public void An_unlinked_file_lives_as_long_as_its_handle()
    {
        using var file = Storage.CreateNew("a");
        Storage.Unlink("a");
        Fails(StorageError.NotFound, () => Storage.Unlink("a"));
        file.WriteAt("123"u8, 0);
        file.Sync();
        Assert.Equal("123"u8, ReadAll(file));

        Storage.CreateNew("a").Dispose();
        Assert.Empty(Content("a"));
    }

    [Fact]
    public void Syncs_succeed_and_absent_directories_cannot_be_synced()
    {
        Storage.CreateDirectory("d");
        using var file = Storage.CreateNew("d/a");
        file.WriteAt("123"u8, 0);
        file.DataSync();
        file.Sync();
        Storage.SyncDirectory("d");
        Storage.SyncDirectory("");
        Fails(StorageError.NotFound, () => Storage.SyncDirectory("e"));
    }

    [Fact]
    public void A_disposed_file_refuses_everything_and_disposes_again()
    {
        var file = Storage.CreateNew("a");
        file.Dispose();
        file.Dispose();
        Assert.Throws<ObjectDisposedException>(() => file.Length);
        Assert.Throws<ObjectDisposedException>(() => file.ReadAt(new byte[1], 0));
        Assert.Throws<ObjectDisposedException>(() => file.WriteAt("x"u8, 0));
        Assert.Throws<ObjectDisposedException>(file.DataSync);
    }

    [Fact]
    public void Negative_places_are_programming_mistakes()
    {
        using var file = Storage.CreateNew("a");
        Assert.Throws<ArgumentOutOfRangeException>(() => file.ReadAt(new byte[1], -1));
        Assert.Throws<ArgumentOutOfRangeException>(() => file.WriteAt("x"u8, -1));
        Assert.Throws<ArgumentOutOfRangeException>(() => file.SetLength(-1));
        Assert.Throws<ArgumentOutOfRangeException>(() => file.Preallocate(-1));
    }

    [Theory]
    [InlineData("/a")]
    [InlineData("../a")]
    [InlineData("d/../a")]
    [InlineData("a/")]
    [InlineData("d//a")]
    [InlineData("./a")]
    [InlineData("a\0")]
    [InlineData("d\\a")]
    public void A_path_that_is_not_plain_is_a_broken_invariant(string path)
    {
        Assert.Throws<InvariantException>(() => Storage.CreateNew(path));
        Assert.Throws<InvariantException>(() => Storage.Open(path, writable: false));
        Assert.Throws<InvariantException>(() => Storage.Exists(path));
        Assert.Throws<InvariantException>(() => Storage.List(path));
        Assert.Throws<InvariantException>(() => Storage.Unlink(path));
        Assert.Throws<InvariantException>(() => Storage.SyncDirectory(path));
    }

    [Fact]
    [Trait("Promise", "G9")]
    public void The_second_owner_is_refused_by_the_name_of_the_first()
    {
        using (Storage.Lock("owner one"))
            Assert.Contains("owner one", Fails(StorageError.Locked, () => Storage.Lock("owner two")).Detail, StringComparison.Ordinal);
        var second = Storage.Lock("owner two");
        second.Dispose();
        second.Dispose();
        Storage.Lock("owner three").Dispose();
    }

    [Fact]
    public void There_is_free_space() => Assert.True(Storage.FreeSpace() > 0);

    [Fact]
    public void Reads_run_beside_writes()
    {
        using var file = Storage.CreateNew("a");
        var page = Bytes(5_000, 1);
        var writer = new Thread(() =>
        {
            for (var i = 0; i < 200; i++)
                file.WriteAt(page, i * 5_000L);
        });
        writer.Start();
        var buffer = new byte[5_000];
        for (var i = 0; i < 200; i++)
        {
            var read = file.ReadAt(buffer, i * 5_000L);
            Assert.True(read is >= 0 and <= 5_000);
        }

        writer.Join();
        Assert.Equal(5_000, file.ReadAt(buffer, 199 * 5_000L));
        Assert.Equal(page, buffer);
    }

    private protected static byte[] Bytes(int count, int seed)
    {
        var bytes = new byte[count];
        new Chance((ulong)seed).Fill(bytes);
        return bytes;
    }

    private protected static byte[] ReadAll(IFile file)
    {
        var bytes = new byte[file.Length];
        Assert.Equal(bytes.Length, file.ReadAt(bytes, 0));
        return bytes;
    }

    private protected static StorageException Fails(StorageError error, Action call)
    {
        var failure = Assert.Throws<StorageException>(call);
        Assert.Equal(error, failure.Error);
        return failure;
    }

    private static StorageException Fails(StorageError error, Func<object> call) => Fails(error, () => { call(); });

    private byte[] Content(string path)
    {
        using var file = Storage.Open(path, writable: false);
        return ReadAll(file);
    }
}

public sealed class MemoryStorageConformanceTests : StorageConformanceTests
{
    private protected override IStorage Make() => new MemoryStorage();
}

public sealed class CrashStorageConformanceTests : StorageConformanceTests
{
    private protected override IStorage Make() => new CrashStorage();
}

/// <summary>Forms on a disk, in a directory of their own.</summary>
public abstract class OnDiskConformanceTests : StorageConformanceTests
{
    private readonly TemporaryDirectory directory = new();

    private protected string Root => directory.Path;

    public override void Dispose()
    {
        base.Dispose();
        directory.Dispose();
        GC.SuppressFinalize(this);
    }
}

public sealed class DiskStorageConformanceTests : OnDiskConformanceTests
{
    private protected override IStorage Make() => DiskStorage.OpenOrCreate(Root, createIfMissing: false, readOnly: false);
}

public sealed class PortableStorageConformanceTests : OnDiskConformanceTests
{
    private protected override IStorage Make() => PortableStorage.OpenOrCreate(Root, createIfMissing: false, readOnly: false);
}

public sealed class FaultStorageConformanceTests : StorageConformanceTests
{
    private protected override IStorage Make() => new FaultStorage(new MemoryStorage());
}

public sealed class CountingStorageConformanceTests : OnDiskConformanceTests
{
    private protected override IStorage Make() =>
        new CountingStorage(DiskStorage.OpenOrCreate(Root, createIfMissing: false, readOnly: false));
}

public sealed class ShortStorageConformanceTests : StorageConformanceTests
{
    private protected override IStorage Make() => new ShortStorage(new CrashStorage(), seed: 1, pieceBytesMax: 700);
}

public sealed class StackedStorageConformanceTests : OnDiskConformanceTests
{
    private protected override IStorage Make()
    {
        var disk = DiskStorage.OpenOrCreate(Root, createIfMissing: false, readOnly: false);
        var pieces = new ShortStorage(new CountingStorage(disk), seed: 2, pieceBytesMax: 3_000);
        return new LatencyStorage(new FaultStorage(pieces), (_, _) => { });
    }
}
