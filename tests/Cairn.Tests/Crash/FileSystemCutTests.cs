using System.Globalization;
using Xunit;

namespace Cairn.Tests.Crash;

/// <summary>C2: power cuts under real file systems. A process writes, with checkpoints, merges and compactions all the time; the file
/// system under it stops, and with it goes what only the page cache had. The process is killed, the file system is mounted again, and what
/// was acknowledged must be there. <see cref="PowerCutTests"/> has many more cuts, of a disk that is simulated as badly as a disk may be;
/// here the order in which names and data reach the disk is that of ext4, XFS and btrfs.</summary>
[Trait("Gate", "Merge")]
[Trait("Test", "C2")]
public class FileSystemCutTests
{
    private const int Threads = 2;

    [Theory]
    [InlineData("ext4", Durability.Strict, 9)]
    [InlineData("ext4", Durability.Buffered, 9)]
    [InlineData("xfs", Durability.Strict, 6)]
    [InlineData("xfs", Durability.Buffered, 6)]
    [InlineData("btrfs", Durability.Strict, 3)]
    [InlineData("btrfs", Durability.Buffered, 3)]
    [Trait("Promise", "G1")]
    [Trait("Promise", "G2")]
    [Trait("Promise", "G4")]
    [Trait("Promise", "G5")]
    [Trait("Kind", "Random")]
    public void G1_G2_What_was_acknowledged_outlives_a_power_cut_under_a_real_file_system(string kind, Durability mode, int cuts)
    {
        var seed = Seeds.Begin(nameof(G1_G2_What_was_acknowledged_outlives_a_power_cut_under_a_real_file_system));
        var random = new Random((int)seed);
        using var disk = LoopFileSystem.Create(kind);
        var database = Path.Combine(disk.Root, "memory");
        Directory.CreateDirectory(database);
        var written = new WrittenByCrasher(Threads);
        var clock = System.Diagnostics.Stopwatch.StartNew();
        for (var cut = 0; cut < Seeds.Scaled(cuts); cut++)
        {
            using (var process = Crasher.Start(
                "write", database, mode.ToString(), random.Next().ToString(CultureInfo.InvariantCulture),
                Threads.ToString(CultureInfo.InvariantCulture), "busy"))
            {
                Assert.Equal("ready", process.ReadLine());
                for (var left = 1 + random.Next(400); left > 0; left--)
                    written.Note(process.ReadLine());
                var cutAt = disk.CutPower(process, metadataReachesDisk: random.Next(3) == 0);
                process.Kill();
                while (process.ReadLine() is { } line)
                    written.Note(line, cutAt);
            }

            disk.Restore();
            using var db = CairnDatabase.Open(database, new CairnOptions { Durability = mode });
            Assert.False(db.Recovery.WasClosedCleanly);
            written.Check(db, mayLoseUnsynced: mode == Durability.Buffered);
        }

        Ledger.Add("C2", $"power cuts under {kind}, {mode}", seed, Seeds.Scaled(cuts), clock.Elapsed);
    }

    // Tests beside this one have mounts of their own, and with them the file system that was cut: it was mounted again, stopped as it was,
    // and every call on it failed.
    [Theory]
    [InlineData("ext4")]
    [InlineData("xfs")]
    [InlineData("btrfs")]
    public void A_cut_file_system_that_somebody_still_has_mounted_is_not_the_one_that_comes_back(string kind)
    {
        using var disk = LoopFileSystem.Create(kind);
        var file = Path.Combine(disk.Root, "kept");
        using (var writer = Crasher.StartBehind("unshare", ["--mount", "sh", "-c", "echo ready; exec sleep 1000"]))
        {
            Assert.Equal("ready", writer.ReadLine());
            using (var stream = new FileStream(file, FileMode.CreateNew, FileAccess.Write, FileShare.None, 0, FileOptions.WriteThrough))
                stream.Write("kept"u8);
            disk.CutPower(writer, metadataReachesDisk: true);
            disk.Restore();
            Assert.Equal("kept", File.ReadAllText(file));
            writer.Kill();
        }
    }
}
