using System.Runtime.Versioning;
using Cairn.Storage;
using Xunit;

namespace Cairn.Tests.Storage;

/// <summary>What only a real directory can show: modes, read-only media, and system calls that fail.</summary>
[UnsupportedOSPlatform("windows")]
public sealed class DiskStorageTests : IDisposable
{
    private const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    private readonly TemporaryDirectory directory = new();

    public DiskStorageTests() => Assert.SkipUnless(OperatingSystem.IsLinux(), "the disk form is for Linux");

    public void Dispose() => directory.Dispose();

    [Fact]
    public void A_database_is_readable_by_its_owner_alone()
    {
        using var storage = DiskStorage.OpenOrCreate(directory["above/db"], createIfMissing: true, readOnly: false);
        storage.CreateDirectory("log");
        storage.CreateNew("log/a").Dispose();
        Assert.Equal(OwnerOnly, File.GetUnixFileMode(directory["above/db/log/a"]));
        foreach (var path in new[] { "above", "above/db", "above/db/log" })
            Assert.Equal(OwnerOnly | UnixFileMode.UserExecute, File.GetUnixFileMode(directory[path]));
    }

    [Fact]
    public void A_directory_is_made_only_when_asked_for()
    {
        Assert.Equal(StorageError.NotFound, OpenFails(directory["a/b"], createIfMissing: false));
        Assert.Equal(StorageError.NotFound, OpenFails(directory["a/b"], createIfMissing: true, readOnly: true));
        File.WriteAllText(directory["file"], "");
        Assert.Equal(StorageError.NotADirectory, OpenFails(directory["file"], createIfMissing: true));
        Assert.Equal(StorageError.NotADirectory, OpenFails(directory["file/db"], createIfMissing: true));

        using var storage = DiskStorage.OpenOrCreate(directory["a/b"] + "/", createIfMissing: true, readOnly: false);
        Assert.Equal(directory["a/b"], storage.Description);
        Assert.True(storage.SyncErrorsAreReported);
    }

    [Fact]
    public void A_storage_opened_for_reading_refuses_every_change()
    {
        using (var made = DiskStorage.OpenOrCreate(directory.Path, createIfMissing: false, readOnly: false))
        using (var file = made.CreateNew("a"))
            file.WriteAt("1"u8, 0);
        using var storage = DiskStorage.OpenOrCreate(directory.Path, createIfMissing: false, readOnly: true);
        ReadOnlyAssert.RefusesEveryChange(storage);
        using var portable = PortableStorage.OpenOrCreate(directory.Path, createIfMissing: false, readOnly: true);
        ReadOnlyAssert.RefusesEveryChange(portable);
        Assert.False(portable.SyncErrorsAreReported);
    }

    [Fact]
    public void A_medium_that_cannot_be_written_can_be_read()
    {
        Crasher.SkipWithout("unshare");
        Assert.SkipUnless(Environment.UserName == "root", "mounting needs root");
        File.WriteAllText(directory["LOCK"], "the last owner");
        const string mountReadOnly = "mount --bind \"$0\" \"$0\" && mount -o remount,bind,ro \"$0\" || exit 77; exec \"$@\"";
        string[] options = ["--mount", "sh", "-c", mountReadOnly, directory.Path];

        using (var reader = Crasher.StartBehind("unshare", options, "lock", directory.Path, "reader", "read"))
        {
            var (exitCode, output) = reader.RunToEnd();
            Assert.SkipWhen(exitCode == 77, "this machine mounts nothing: " + output);
            Assert.Equal((0, "locked\n"), (exitCode, output));
        }

        using var owner = Crasher.StartBehind("unshare", options, "lock", directory.Path, "owner");
        Assert.Equal((1, "ReadOnly errno=30 operation=lock detail=\n"), owner.RunToEnd());
    }

    [Fact]
    public void A_storage_stays_in_its_directory_when_that_is_renamed()
    {
        using var storage = DiskStorage.OpenOrCreate(directory["db"], createIfMissing: true, readOnly: false);
        storage.CreateDirectory("log");
        Directory.Move(directory["db"], directory["moved"]);
        Directory.CreateDirectory(directory["db"]);
        storage.CreateNew("log/a").Dispose();
        storage.SyncDirectory("log");
        Assert.Equal(["a"], storage.List("log"));
        Assert.True(File.Exists(directory["moved/log/a"]));
        Assert.Empty(Directory.GetFileSystemEntries(directory["db"]));
    }

    [Fact]
    public void A_symbolic_link_inside_is_not_opened()
    {
        File.WriteAllText(directory["victim"], "precious");
        using var storage = DiskStorage.OpenOrCreate(directory["db"], createIfMissing: true, readOnly: false);
        File.CreateSymbolicLink(directory["db/a"], directory["victim"]);
        Assert.Equal(StorageError.Io, Assert.Throws<StorageException>(() => storage.Open("a", writable: true)).Error);
        Assert.Equal(StorageError.Exists, Assert.Throws<StorageException>(() => storage.CreateNew("a")).Error);
        Assert.True(storage.Exists("a"));
        storage.Unlink("a");
        Assert.Equal("precious", File.ReadAllText(directory["victim"]));
    }

    [Fact]
    public void Preallocated_space_is_allocated()
    {
        using var storage = DiskStorage.OpenOrCreate(directory.Path, createIfMissing: false, readOnly: false);
        using var file = storage.CreateNew("a");
        Assert.Equal(StorageError.TooLarge, Assert.Throws<StorageException>(() => file.Preallocate(long.MaxValue)).Error);
        file.Preallocate(4 << 20);
        Assert.Equal(4 << 20, file.Length);
    }

    [Fact]
    public void Many_files_are_listed()
    {
        using var storage = DiskStorage.OpenOrCreate(directory.Path, createIfMissing: false, readOnly: false);
        var names = Enumerable.Range(0, 500).Select(i => $"{i:D10}.segment").ToList();
        foreach (var name in names)
            storage.CreateNew(name).Dispose();
        Assert.Equal(names, storage.List(""));
        Assert.Equal(names, storage.List(""));
    }

    /// <summary>C8 in small: the base library's flush answers ok here, which is why it is not used.</summary>
    [Fact]
    [Trait("Promise", "G7")]
    [Trait("Test", "C8")]
    public void A_datasync_that_the_system_fails_is_told_with_its_number()
    {
        Assert.Equal((1, "Io errno=5 operation=datasync detail=\n"),
            Crasher.RunWithFault("fdatasync:error=EIO:when=1", "sync", directory["db"]));
        Assert.Equal((0, "ok\n"), Crasher.RunWithFault("fdatasync:error=EINTR:when=1", "sync", directory["db2"]));
    }

    [Theory]
    [Trait("Promise", "G7")]
    [Trait("Test", "C8")]
    [InlineData("fsync:error=EIO:when=1", "Io errno=5 operation=sync directory")]       // the directory above the new one
    [InlineData("fsync:error=EIO:when=2", "Io errno=5 operation=sync detail")]
    [InlineData("fsync:error=ENOSPC:when=2", "NoSpace errno=28 operation=sync detail")]
    [InlineData("fsync:error=EROFS:when=3", "ReadOnly errno=30 operation=sync directory")]
    [InlineData("fsync:error=EINVAL:when=3", "Io errno=22 operation=sync directory")]   // the base library would be silent
    [InlineData("mkdirat:error=EACCES:when=2", "AccessDenied errno=13 operation=create directory")]
    [InlineData("fallocate:error=ENOSPC", "NoSpace errno=28 operation=preallocate")]
    [InlineData("fallocate:error=EDQUOT", "NoSpace errno=122 operation=preallocate")]
    [InlineData("pwritev:error=EFBIG", "TooLarge errno=27 operation=write")]
    [InlineData("pwritev:retval=0", "Io errno=0 operation=write")]
    [InlineData("ftruncate:error=EIO", "Io errno=5 operation=set length")]
    [InlineData("renameat2:error=EEXIST", "Exists errno=17 operation=rename")]
    [InlineData("linkat:error=EPERM", "AccessDenied errno=1 operation=link")]
    [InlineData("unlinkat:error=EBUSY", "Io errno=16 operation=unlink")]
    public void A_call_that_the_system_fails_is_a_typed_failure(string fault, string output)
    {
        var run = Crasher.RunWithFault(fault, "change", directory["db"]);
        Assert.StartsWith(output, run.Output, StringComparison.Ordinal);
        Assert.Equal(1, run.ExitCode);
    }

    [Theory]
    [Trait("Test", "C8")]
    [InlineData("fallocate:error=EOPNOTSUPP")]          // a file system without extents: the length alone
    [InlineData("fallocate:error=EINTR:when=1")]
    [InlineData("renameat2:error=ENOSYS")]              // an old kernel: link and unlink
    [InlineData("renameat2:error=EINVAL")]              // a file system that cannot rename without replacing
    [InlineData("fsync:error=EINTR:when=1..3")]
    [InlineData("pwritev:error=EINTR:when=1")]
    [InlineData("pwritev:retval=0:when=1")]             // once is not an error yet
    public void A_call_that_can_be_repeated_or_replaced_is(string fault) =>
        Assert.Equal((0, "length=10 read=0123456789\nok\n"), Crasher.RunWithFault(fault, "change", directory["db"]));

    [Fact]
    [Trait("Test", "C8")]
    public void A_short_write_goes_on_with_the_same_bytes()
    {
        // strace answers 7 and writes nothing, so what follows shows where the loop went on: at byte 7, with byte 7.
        Assert.Equal(0, Crasher.RunWithFault("pwritev:retval=7:when=1", "change", directory["db"]).ExitCode);
        Assert.Equal("\0\0\0\0\0\0\0" + "789", File.ReadAllText(directory["db/log/new"]));
        Assert.Equal(0, Crasher.RunWithFault("pwrite64:retval=4:when=1", "sync", directory["db2"]).ExitCode);
        Assert.Equal("\0\0\0\0456789", File.ReadAllText(directory["db2/file"]));
    }

    private static StorageError OpenFails(string path, bool createIfMissing, bool readOnly = false) =>
        Assert.Throws<StorageException>(() => DiskStorage.OpenOrCreate(path, createIfMissing, readOnly)).Error;
}
