#pragma warning disable xUnit1051 // what is carried here is small; cancelling has a test of its own
using Cairn.Log;
using Cairn.Storage;
using Cairn.Tests.Transactions;
using Cairn.Transfer;
using Xunit;

namespace Cairn.Tests.Transfer;

/// <summary>OPS-5: a backup holds the files of one manifest. What goes between the look at the manifest and the opening of its files is met
/// by another look; what is missing otherwise is told.</summary>
[Trait("Requirement", "OPS-5")]
public sealed class CaptureTests
{
    [Fact]
    public void A_backup_that_begins_while_an_archive_is_replaced_looks_again()
    {
        var disk = new MeetingStorage(new MemoryStorage());
        using var test = Compacted(disk);
        var archive = Assert.Single(disk.List(LogNames.ArchiveDirectory));
        var reports = new List<CompactionReport>();
        disk.AtOpen = (LogNames.ArchiveDirectory + "/" + archive, () =>
        {
            test.Db.Runs.Get("kept")!.Retention.Apply(Retention.KeepLast(1));
            reports.Add(test.Db.Compact());
        });
        var backup = new MemoryStorage();
        var info = test.Db.BackupTo(backup, null, new BackupOptions());
        Assert.Single(reports);
        Assert.DoesNotContain(archive, disk.List(LogNames.ArchiveDirectory));
        Assert.Equal(test.Db.Sequence, info.Sequence);
        Assert.Empty(test.Db.Verify(VerificationDepth.Full).Findings);
        Assert.DoesNotContain(test.Db.Capacity().Holds, hold => hold.Holder == "a backup");
        var hash = test.Db.StateHash();
        var restored = new MemoryStorage();
        using (var chain = BackupChain.Open([backup], default))
            CairnDatabase.RestoreTo(chain, restored, new RestoreOptions());
        test.MoveTo(restored);
        Assert.Equal(hash, test.Db.StateHash());
    }

    [Fact]
    [Trait("Promise", "G6")]
    public void A_file_that_the_newest_manifest_names_and_that_is_missing_is_told()
    {
        var disk = new MeetingStorage(new MemoryStorage());
        using var test = Compacted(disk);
        var path = LogNames.ArchiveDirectory + "/" + Assert.Single(disk.List(LogNames.ArchiveDirectory));
        disk.AtOpen = (path, () => disk.Unlink(path));
        var refused = Assert.ThrowsAny<Exception>(() => test.Db.BackupTo(new MemoryStorage(), null, new BackupOptions()));
        Assert.Contains(path, refused.Message, StringComparison.Ordinal);
        Assert.Equal(1, test.Kv.Number("k1"));
    }

    private static TestDatabase Compacted(IStorage disk)
    {
        var test = new TestDatabase(
            Durability.Strict,
            options => options with
            {
                SegmentBytesMin = 16 << 10,
                SegmentBytesMax = 16 << 10,
                CheckpointOnClose = false,
                Retention = Retention.KeepLast(1),
            },
            disk);
        var kept = test.Db.Runs.Begin("kept");
        kept.Retention.Apply(Retention.KeepAll);
        for (var round = 0; round < 3; round++)
        {
            for (var i = 0; i < 30; i++)
            {
                kept.Kv.Put("k", $"{round}.{i}");
                test.Kv.Put($"k{i}", i);
                test.Kv.Put("filler", new byte[1_500]);
            }

            test.Checkpoint();
        }

        Assert.True(test.Db.Compact().SegmentsDropped > 0);
        return test;
    }

    /// <summary>Does something once, before a file is opened.</summary>
    private sealed class MeetingStorage(IStorage inner) : StorageLayer(inner)
    {
        internal (string Path, Action Meet)? AtOpen { get; set; }

        public override IFile Open(string path, bool writable)
        {
            if (AtOpen is { } at && at.Path == path)
            {
                AtOpen = null;
                at.Meet();
            }

            return base.Open(path, writable);
        }
    }
}
