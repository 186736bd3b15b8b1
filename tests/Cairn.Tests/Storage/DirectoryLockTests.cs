using System.Diagnostics;
using System.Runtime.Versioning;
using Cairn.Storage;
using Xunit;

namespace Cairn.Tests.Storage;

/// <summary>C11: two openers of one directory, in every way they can meet. Exactly one owns it.</summary>
[Trait("Promise", "G9")]
[Trait("Test", "C11")]
[UnsupportedOSPlatform("windows")]
public sealed class DirectoryLockTests : IDisposable
{
    private readonly TemporaryDirectory directory = new();

    private string Database => Directory.CreateDirectory(directory["db"]).FullName;

    public DirectoryLockTests() => Assert.SkipUnless(OperatingSystem.IsLinux(), "the disk form is for Linux");

    public void Dispose() => directory.Dispose();

    [Fact]
    public void The_second_opener_in_a_process_is_refused_also_through_a_symbolic_link()
    {
        File.CreateSymbolicLink(directory["link"], Database);
        using var held = Lock(Database, "first");
        foreach (var path in new[] { Database, directory["link"], Database + "/../db/" })
            Assert.Equal("first", Refused(path).Detail);

        held.Dispose();
        Lock(directory["link"], "second").Dispose();
    }

    [Fact]
    public void The_second_process_is_refused_by_the_name_of_the_first()
    {
        using var held = Lock(Database, "pid 1 on this machine");
        using var other = Crasher.Start("lock", Database, "other");
        Assert.Equal((1, "Locked errno=11 operation=lock detail=pid 1 on this machine\n"), other.RunToEnd());
    }

    [Fact]
    public void A_process_that_was_killed_or_ends_leaves_the_directory_free()
    {
        using (var other = LockInProcess(Database, "the other"))
        {
            Assert.Equal("the other", Refused(Database).Detail);
            other.Kill();
        }

        Lock(Database, "after the kill").Dispose();
        using (var other = LockInProcess(Database, "the next"))
            other.RunToEnd();
        Lock(Database, "after the end").Dispose();
    }

    [Fact]
    public void A_stopped_owner_is_an_owner()
    {
        using var other = LockInProcess(Database, "stopped");
        other.Signal("STOP");
        Assert.Equal("stopped", Refused(Database).Detail);
        other.Kill();
        Lock(Database, "next").Dispose();
    }

    [Theory]
    [InlineData("deleted")]
    [InlineData("replaced")]
    [InlineData("made anew")]
    public void A_lock_file_that_was_tampered_with_gives_the_directory_to_nobody(string how)
    {
        using var held = Lock(Database, "owner");
        var file = Path.Combine(Database, "LOCK");
        File.Delete(file);
        if (how == "replaced")
        {
            File.WriteAllText(directory["other"], "somebody else");
            File.Move(directory["other"], file);
        }
        else if (how == "made anew")
        {
            File.WriteAllText(file, "");
        }

        Refused(Database);
        using var other = Crasher.Start("lock", Database, "other");
        Assert.Equal(1, other.RunToEnd().ExitCode);
        using var reader = Crasher.Start("lock", Database, "reader", "read");
        Assert.Equal(1, reader.RunToEnd().ExitCode);

        held.Dispose();
        Lock(Database, "next").Dispose();
    }

    [Fact]
    public void The_other_process_keeps_the_directory_when_its_lock_file_is_deleted()
    {
        using var other = LockInProcess(Database, "other");
        File.Delete(Path.Combine(Database, "LOCK"));
        Refused(Database);
        other.Kill();
        Lock(Database, "next").Dispose();
    }

    [Fact]
    public void Through_a_bind_mount_the_directory_is_the_same()
    {
        Crasher.SkipWithout("unshare");
        Assert.SkipUnless(Environment.UserName == "root", "mounting needs root");
        var mount = Directory.CreateDirectory(directory["mount"]).FullName;
        string[] options = ["--mount", "sh", "-c", "mount --bind \"$0\" \"$1\" || exit 77; shift; exec \"$@\"", Database, mount];

        using var held = Lock(Database, "owner");
        using var other = Crasher.StartBehind("unshare", options, "lock", mount, "other");
        var (exitCode, output) = other.RunToEnd();
        Assert.SkipWhen(exitCode == 77, "this machine mounts nothing: " + output);
        Assert.Equal((1, "Locked errno=11 operation=lock detail=owner\n"), (exitCode, output));
    }

    [Fact]
    public void Readers_share_the_directory_and_exclude_an_owner()
    {
        Lock(Database, "before").Dispose();
        using (Lock(Database, "reader one", readOnly: true))
        using (Lock(Database, "reader two", readOnly: true))
        using (LockInProcess(Database, "reader three", "read"))
        {
            Assert.Contains("reading", Refused(Database).Detail, StringComparison.Ordinal);
            using var owner = Crasher.Start("lock", Database, "owner");
            Assert.Contains("reading in another process", owner.RunToEnd().Output, StringComparison.Ordinal);
        }

        Lock(Database, "owner").Dispose();
    }

    [Fact]
    public void An_owner_excludes_readers()
    {
        using (Lock(Database, "owner"))
        {
            Assert.Equal("owner", Refused(Database, readOnly: true).Detail);
            using var reader = Crasher.Start("lock", Database, "reader", "read");
            Assert.Equal((1, "Locked errno=11 operation=lock detail=owner\n"), reader.RunToEnd());
        }

        using var other = LockInProcess(Database, "other owner");
        Assert.Equal("other owner", Refused(Database, readOnly: true).Detail);
    }

    [Fact]
    public void A_reader_creates_nothing()
    {
        using (Lock(Database, "reader", readOnly: true))
        {
            Assert.Empty(Directory.GetFileSystemEntries(Database));
            Refused(Database);
        }

        Lock(Database, "owner").Dispose();
        using (Lock(Database, "reader", readOnly: true))
            Assert.Equal("owner", File.ReadAllText(Path.Combine(Database, "LOCK")));
    }

    [Fact]
    public void Old_text_in_the_lock_file_neither_refuses_nor_remains()
    {
        var file = Path.Combine(Database, "LOCK");
        File.WriteAllText(file, "a long text of a process that died on another machine, long ago");
        using (Lock(Database, "short"))
            Assert.Equal("short", Refused(Database, readOnly: true).Detail);
        Assert.Equal("short", File.ReadAllText(file));
        File.Delete(file);
        Lock(Database, "anew").Dispose();
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(file));
    }

    [Fact]
    public void A_lock_file_that_is_a_symbolic_link_is_not_followed()
    {
        File.WriteAllText(directory["victim"], "precious");
        File.CreateSymbolicLink(Path.Combine(Database, "LOCK"), directory["victim"]);
        using var storage = DiskStorage.OpenOrCreate(Database, createIfMissing: false, readOnly: false);
        Assert.Equal(StorageError.Io, Assert.Throws<StorageException>(() => storage.Lock("owner")).Error);
        Assert.Equal("precious", File.ReadAllText(directory["victim"]));

        File.Delete(Path.Combine(Database, "LOCK"));
        storage.Lock("owner").Dispose();
    }

    [Theory]
    [InlineData("db")]
    [InlineData("db/LOCK")]
    public void The_locks_are_those_that_other_programs_see(string name)
    {
        Crasher.SkipWithout("flock");
        using (Lock(Database, "owner"))
            Assert.Equal(9, FlockOutside(directory[name]));
        Assert.Equal(0, FlockOutside(directory[name]));
    }

    [Fact]
    public void An_owner_that_nobody_disposes_stays_one()
    {
        LockAndForget(Database);
        GC.Collect();
        GC.WaitForPendingFinalizers();
        GC.Collect();
        Assert.Equal("forgotten", Refused(Database).Detail);
        using var other = Crasher.Start("lock", Database, "other");
        Assert.Equal(1, other.RunToEnd().ExitCode);
    }

    [Theory]
    [InlineData("flock:error=EBADF:when=1", 0, "locked")]       // a network file system that locks no directories
    [InlineData("flock:error=EIO:when=1", 1, "Io errno=5")]
    [InlineData("flock:error=ENOLCK:when=2", 1, "Io errno=37")]
    [InlineData("flock:error=EINTR:when=1", 0, "locked")]
    [InlineData("flock:error=EAGAIN:when=2", 1, "Locked errno=11")]
    [InlineData("pwrite64:error=ENOSPC", 1, "NoSpace errno=28")]
    public void A_lock_that_fails_otherwise_is_refused_and_never_assumed(string fault, int exitCode, string output)
    {
        var run = Crasher.RunWithFault(fault, "lock", Database, "owner");
        Assert.Equal(exitCode, run.ExitCode);
        Assert.StartsWith(output, run.Output, StringComparison.Ordinal);
        Lock(Database, "next").Dispose();
    }

    private static void LockAndForget(string path) => _ = Lock(path, "forgotten");

    private static IDisposable Lock(string path, string text, bool readOnly = false)
    {
        using var storage = DiskStorage.OpenOrCreate(path, createIfMissing: false, readOnly);
        return storage.Lock(text);
    }

    private static StorageException Refused(string path, bool readOnly = false)
    {
        var failure = Assert.Throws<StorageException>(() => Lock(path, "intruder", readOnly));
        Assert.Equal(StorageError.Locked, failure.Error);
        return failure;
    }

    private static Crasher LockInProcess(params string[] arguments)
    {
        var other = Crasher.Start(["lock", .. arguments]);
        Assert.Equal("locked", other.ReadLine());
        return other;
    }

    private static int FlockOutside(string path)
    {
        using var flock = Process.Start("flock", ["--nonblock", "--conflict-exit-code", "9", path, "true"]);
        flock.WaitForExit();
        return flock.ExitCode;
    }
}
