using System.Globalization;
using Cairn.Tests.Storage;
using Xunit;

namespace Cairn.Tests.Crash;

/// <summary>C8: real system calls that fail, by strace. C9: a real sync that fails, on a file system in a file whose own disk is
/// full.</summary>
[Trait("Promise", "G7")]
[Trait("Promise", "G1")]
[Trait("Gate", "Merge")]
public sealed class SystemCallTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    // Counted per thread, from the first call of that kind on: early ones strike the opening, later ones the commits and the close.
    [Theory]
    [InlineData("fdatasync", 1)]
    [InlineData("fdatasync", 4)]
    [InlineData("fsync", 1)]
    [InlineData("fsync", 5)]
    [InlineData("pwrite64", 1)]
    [InlineData("pwrite64", 8)]
    [InlineData("pwrite64", 12)]
    [InlineData("fallocate", 1)]
    [InlineData("fallocate", 2)]
    [InlineData("ftruncate", 1)]
    [InlineData("renameat2", 1)]
    [InlineData("renameat2", 2)]
    [InlineData("renameat2", 3)]
    [InlineData("unlinkat", 1)]
    [InlineData("unlink", 1)]
    [InlineData("statfs", 1)]
    [Trait("Test", "C8")]
    public void C8_Whichever_system_call_gives_EIO_what_was_acknowledged_is_there_at_the_next_opening(string call, int from)
    {
        var (exitCode, output) = Crasher.RunWithFault($"{call}:error=EIO:when={from}+", "put", _directory.Path, "5");
        var lines = output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        var acknowledged = lines.TakeWhile(line => line == "ok").Count();
        Assert.True(exitCode == 0 || lines.Any(line => line.Contains(nameof(CairnException), StringComparison.Ordinal)
            || line.Contains(nameof(DatabaseFailedException), StringComparison.Ordinal)), output);
        Assert.All(lines.Skip(acknowledged).TakeWhile(line => Enum.TryParse<ErrorCode>(line, out _)), line => Assert.Contains(
            Enum.Parse<ErrorCode>(line), new[] { ErrorCode.OutcomeUnknown, ErrorCode.DatabaseFailed }));
        using var db = CairnDatabase.Open(_directory.Path);
        for (var i = 0; i < acknowledged; i++)
            Assert.Equal(i, db.Default.Kv.Get($"k{i}")!.Value.AsInt64());
    }

    // The zeros of the prepared segment are taken out of the image, whose file system is then filled: a commit's bytes find no block when
    // they are synced. After that the space comes back, and the file system with whatever it has.
    [Fact]
    [Trait("Test", "C9")]
    public void C9_G7_A_commit_whose_sync_really_fails_is_unknown_and_all_acknowledged_are_there_after_it_and_once_more()
    {
        const string script = """
            mount -t tmpfs -o size=24m none "$0" || exit 77
            truncate -s 100M "$0/image" && mkfs.ext4 -q -F "$0/image" && mkdir "$0/mnt" || exit 77
            mount -o loop "$0/image" "$0/mnt" || exit 77
            mkfifo "$0/ready" "$0/go"
            "$@" until-failed "$0/mnt/db" "$0/ready" "$0/go" &
            read _ < "$0/ready"
            sync; fallocate -d "$0/image"; dd if=/dev/zero of="$0/ballast" bs=64k >/dev/null 2>&1
            echo go > "$0/go"
            wait
            umount "$0/mnt"; rm "$0/ballast"; mount -o remount,size=200m "$0"
            mount -o loop "$0/image" "$0/mnt"; "$@" check "$0/mnt/db"; umount "$0/mnt"
            mount -o loop "$0/image" "$0/mnt"; "$@" check "$0/mnt/db"; umount "$0/mnt"
            """;
        foreach (var program in new[] { "unshare", "mkfs.ext4", "losetup", "fallocate" })
            Crasher.SkipWithout(program);
        Assert.SkipUnless(Environment.UserName == "root", "mounting needs root");
        using var process = Crasher.StartBehind("unshare", ["--mount", "sh", "-c", script, _directory.Path]);
        var (exitCode, output) = process.RunToEnd();
        Assert.SkipWhen(exitCode == 77, "this machine mounts no file system from a file: " + output);
        var lines = output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        var acknowledged = lines.Count(line => line.StartsWith("ok ", StringComparison.Ordinal));
        Assert.True(acknowledged >= 10, output);
        string[] told = ["refused OutcomeUnknown", "then DatabaseFailed", "health Failed"];
        Assert.True(told.All(lines.Contains), output);
        Assert.Contains($"reads {acknowledged}", lines);
        var there = lines.Where(line => line.StartsWith("there ", StringComparison.Ordinal))
            .Select(line => int.Parse(line[6..], CultureInfo.InvariantCulture)).ToList();
        Assert.True(there.Count == 2 && there[0] == there[1], output);
        Assert.InRange(there[0], acknowledged, acknowledged + 1);
    }
}
