using System.Diagnostics;
using System.Runtime.InteropServices;
using Xunit;

namespace Cairn.Tests.Crash;

/// <summary>A file system in a file, on a loop device, whose power can be cut: what only the page cache has is gone, and the next mount
/// recovers as after a real cut, from the journal. Needs root.
/// <para>What is mounted next is a copy of the image. The one that was cut may live on: a process with mounts of its own (`unshare
/// --mount`) keeps what was mounted when it began, and mounting the same device again would give the file system that stopped.</para>
/// </summary>
internal sealed class LoopFileSystem : IDisposable
{
    // ioctl FS_IOC_SHUTDOWN, XFS_IOC_GOINGDOWN once: _IOR('X', 125, u32). The argument says whether the journal in memory is written first.
    private const ulong Shutdown = 0x8004_587D;
    private const uint LogFlush = 1, NoLogFlush = 2;

    private const int ImageBytes = 320 << 20;                // mkfs.xfs takes no less than 300 MB; the file is sparse

    private readonly string _directory = Directory.CreateTempSubdirectory("cairn-loop-").FullName;
    private readonly string _kind;
    private string _image;
    private string _copy = "";
    private int _cuts;
    private bool _isMounted;

    private LoopFileSystem(string kind)
    {
        _kind = kind;
        _image = Path.Combine(_directory, "image");
        Directory.CreateDirectory(Root);
    }

    /// <summary>Where it is mounted.</summary>
    internal string Root => Path.Combine(_directory, "mounted");

    private string Anchor => Path.Combine(Root, "anchor");

    /// <summary>Makes one and mounts it. Skips the test, saying why, where that is not possible.</summary>
    internal static LoopFileSystem Create(string kind)
    {
        Assert.SkipUnless(Environment.UserName == "root", "loop devices need root");
        Assert.SkipUnless(File.Exists("/dev/loop-control"), "this machine has no loop devices");
        Crasher.SkipWithout($"mkfs.{kind}");
        var made = new LoopFileSystem(kind);
        try
        {
            using (var image = File.Create(made._image))
                image.SetLength(ImageBytes);
            var (status, output) = Run($"mkfs.{kind}", kind == "ext4" ? ["-q", "-F", made._image] : ["-q", "-f", made._image]);
            Assert.True(status == 0, output);
            (status, output) = made.TryMount();
            Assert.SkipUnless(status == 0, $"this machine mounts no {kind}: {output}");
            File.WriteAllText(made.Anchor, "");
            return made;
        }
        catch
        {
            made.Dispose();
            throw;
        }
    }

    /// <summary>From here on nothing more reaches the device, and writes and syncs fail. End the process that writes, then
    /// <see cref="Restore"/>.</summary>
    /// <param name="writer">Has the file system in use.</param>
    /// <param name="metadataReachesDisk">What the journal has in memory still reaches the device: names of files whose data nobody
    /// synced.</param>
    /// <returns>When, by <see cref="Stopwatch.GetTimestamp"/>. What was acknowledged before is on the device. Of later calls nothing is
    /// known, whatever they return: ext4 says of a sync that was under way that it succeeded.</returns>
    internal long CutPower(Crasher writer, bool metadataReachesDisk)
    {
        if (_kind == "btrfs")
        {
            // It knows no such call, so what counts is what the device has now. A cut is one moment and a copy is not: nobody writes
            // meanwhile.
            writer.Signal("STOP");
            CopyImage();
            return Stopwatch.GetTimestamp();
        }

        using var anchor = File.OpenHandle(Anchor);
        var flags = metadataReachesDisk ? LogFlush : NoLogFlush;
        var cutAt = Stopwatch.GetTimestamp();
        var result = Ioctl((int)anchor.DangerousGetHandle(), Shutdown, ref flags);
        Assert.True(result == 0, $"the {_kind} here cannot be shut down: errno {Marshal.GetLastPInvokeError()}");
        return cutAt;
    }

    /// <summary>The power is back: mounted again, from what the device has.</summary>
    internal void Restore()
    {
        Unmount();
        if (_kind != "btrfs")
            CopyImage();
        File.Delete(_image);
        _image = _copy;
        var (status, output) = TryMount();
        Assert.True(status == 0, output);
    }

    private void CopyImage()
    {
        _copy = Path.Combine(_directory, $"image-{++_cuts}");
        var (status, output) = Run("cp", ["--sparse=always", _image, _copy]);
        Assert.True(status == 0, output);
    }

    private (int Status, string Output) TryMount()
    {
        // XFS refuses a second one with the same identity while the first lives.
        var result = Run("mount", ["-o", _kind == "xfs" ? "loop,nouuid" : "loop", _image, Root]);
        _isMounted = result.Status == 0;
        return result;
    }

    // What was killed a moment ago may still hold it.
    private void Unmount()
    {
        for (var tries = 0; _isMounted; tries++)
        {
            var (status, output) = Run("umount", [Root]);
            _isMounted = status != 0;
            Assert.True(status == 0 || tries < 100, output);
            if (_isMounted)
                Thread.Sleep(20);
        }
    }

    public void Dispose()
    {
        // A test that failed may have left files open: the mount goes when they do.
        if (_isMounted && Run("umount", [Root]).Status != 0)
            Run("umount", ["--lazy", Root]);
        Directory.Delete(_directory, recursive: true);
    }

    private static (int Status, string Output) Run(string program, string[] arguments)
    {
        var start = new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
        using var process = Process.Start(start)!;
        var errors = process.StandardError.ReadToEndAsync();
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output + errors.GetAwaiter().GetResult());
    }

    [DllImport("libc", EntryPoint = "ioctl", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.System32)]
    private static extern int Ioctl(int file, ulong request, ref uint argument);
}
