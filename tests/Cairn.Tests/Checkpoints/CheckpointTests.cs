using Cairn.Log;
using Cairn.Storage;
using Cairn.Tests.Log;
using Cairn.Tests.Transactions;
using Xunit;

namespace Cairn.Tests.Checkpoints;

/// <summary>What a checkpoint is to a user: nothing, but for an opening that reads less (M2: a checkpoint is invisible).</summary>
public class CheckpointTests
{
    [Fact]
    [Trait("Requirement", "CKP-1")]
    [Trait("Requirement", "CKP-5")]
    [Trait("Requirement", "RCV-7")]
    public void After_a_checkpoint_an_opening_reads_the_log_from_its_mark_on()
    {
        using var test = new TestDatabase(Durability.Strict, options => options with { CheckpointOnClose = false });
        for (var i = 0; i < 200; i++)
            test.Kv.Put($"key-{i}", i);
        var made = test.Checkpoint()!;
        test.Kv.Put("key-7", "after");
        var hash = test.Db.StateHash();

        test.Reopen(isKilled: true);

        Assert.Equal(200ul, made.Sequence.Value);
        Assert.Equal(made.Sequence, test.Db.Recovery.CheckpointUsed);
        Assert.Equal(1, test.Db.Recovery.Transactions);
        Assert.Equal(hash, test.Db.StateHash());
        Assert.Equal("after", test.Kv.Text("key-7"));
        Assert.Equal(8, test.Kv.Number("key-8"));
        Assert.Equal(200, test.Kv.Count());
        Assert.Equal(201ul, test.Sequence);
        Assert.Equal(202ul, test.Kv.Put("next", 1).Value);
    }

    [Fact]
    [Trait("Requirement", "CKP-1")]
    public void A_clean_close_makes_a_checkpoint_if_there_were_commits_since_the_last()
    {
        using var test = new TestDatabase(Durability.Buffered);
        test.Kv.Put("a", 1);
        test.Reopen();
        Assert.Equal(0, test.Db.Recovery.Transactions);
        Assert.Equal(1ul, test.Db.Recovery.CheckpointUsed?.Value);
        var tables = test.Storage.List(LogNames.TableDirectory);
        test.Reopen();
        Assert.Equal(tables, test.Storage.List(LogNames.TableDirectory));
        Assert.Equal(1, test.Kv.Number("a"));
    }

    [Fact]
    [Trait("Requirement", "CKP-3")]
    public void A_checkpoint_writes_what_has_changed_since_the_last_one()
    {
        using var test = new TestDatabase(Durability.Strict);
        for (var i = 0; i < 1_000; i++)
            test.Kv.Put($"key-{i}", i);
        var first = test.Checkpoint()!;
        test.Kv.Put("key-3", 33);
        var second = test.Checkpoint()!;
        Assert.Same(second, test.Checkpoint());

        Assert.InRange(first.Entries, 1_000, 1_010);
        Assert.InRange(second.Entries, 1, 5);
        test.NowAndAfterReopening(() => Assert.Equal(33, test.Kv.Number("key-3")));
    }

    [Fact]
    [Trait("Requirement", "CKP-4")]
    public void Everything_a_run_is_survives_in_a_checkpoint_alone()
    {
        using var test = new TestDatabase(Durability.Strict);
        var run = test.Db.Runs.Begin("one", tags: ["red"], metadata: Value.Object(("n", 1)));
        run.Kv.Put("k", "v", TimeSpan.FromHours(1));
        run.Kv.Put("gone", 1);
        run.Kv.Delete("gone");
        run.Events.Append("note", Value.Object(("n", 1)));
        run.Events.Append("note", Value.Object(("n", 2)));
        run.Events.Consumers.Commit("reader", 1);
        run.State.Set("cell", 5);
        run.State.Set("dead", 5);
        run.State.Delete("dead");
        run.Traces.Record(new ThoughtStep("why?", 0.5));
        run.Pause();
        var deleted = test.Db.Runs.Begin("deleted");
        deleted.Kv.Put("x", 1);
        test.Checkpoint();
        test.Db.Runs.Delete(deleted.Id);
        var hash = test.Db.StateHash();

        for (var i = 0; i < 3; i++)
        {
            test.Reopen();
            Assert.Equal(0, test.Db.Recovery.Transactions);
            Assert.Equal(hash, test.Db.StateHash());
            Assert.Null(test.Db.Runs.Get("deleted"));
            Assert.False(test.Db.Runs.Exists(deleted.Id.ToString()));
            Assert.Empty(test.Db.VerifyDeep().Findings);
        }

        run = test.Db.Runs.Get("one")!;
        Assert.Equal(RunStatus.Paused, run.Info.Status);
        run.Resume();
        Assert.Equal(2ul, run.Events.Append("note", Value.Object(("n", 3))).Number.Value);
        Assert.True(run.Events.Verify().IsValid);
        Assert.Equal(3ul, run.State.Set("dead", 1).Counter);
    }

    [Fact]
    [Trait("Requirement", "CKP-2")]
    public void Two_checkpoints_stay()
    {
        using var test = new TestDatabase(Durability.Strict);
        for (var i = 1; i <= 4; i++)
        {
            test.Kv.Put("a", i);
            test.Checkpoint();
        }

        var manifest = ((SegmentedLog)test.Db.Engine.Path.Log.Device!).Manifest;
        Assert.Equal([3ul, 4ul], manifest.Checkpoints.Select(checkpoint => checkpoint.Number));
        Assert.Equal([3ul, 4ul], manifest.Checkpoints.Select(checkpoint => checkpoint.Sequence));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    [Trait("Requirement", "CKP-1")]
    public void By_bytes_of_log_and_by_time_a_checkpoint_is_made_by_itself(bool isByBytes)
    {
        using var test = new TestDatabase(Durability.Buffered, options => options with
        {
            CheckpointOnClose = false,
            CheckpointLogBytes = isByBytes ? 64 << 10 : 1 << 30,
            CheckpointInterval = TimeSpan.FromMinutes(10),
        });
        var checkpointer = test.Db.Engine.Checkpointer!;
        test.Kv.Put("a", 1);
        Maintain();
        Assert.Null(checkpointer.Last);
        if (isByBytes)
        {
            for (var i = 0; i < 30; i++)
                test.Kv.Put($"k{i}", Value.Bytes(new byte[3_000]));
        }
        else
        {
            test.Clock.Microseconds += 601_000_000;
        }

        Maintain();
        Assert.Equal(test.Sequence, checkpointer.Last!.Sequence.Value);

        // Without a commit since, time alone makes none.
        test.Clock.Microseconds += 3_600_000_000;
        Maintain();
        Assert.Equal(1ul, checkpointer.Last!.Number);

        void Maintain()
        {
            for (var i = 0; i < 50; i++)
                test.Maintain();
        }
    }

    [Fact]
    [Trait("Requirement", "CKP-1")]
    public async Task An_awaited_checkpoint_is_made_by_the_maintainer_and_whoever_waits_is_told_when_the_database_closes()
    {
        using var test = new TestDatabase(Durability.Strict, options => options with { CheckpointOnClose = false });
        test.Kv.Put("a", 1);
        var made = test.Db.CheckpointAsync(cancellationToken: TestContext.Current.CancellationToken);
        var again = test.Db.CheckpointAsync(cancellationToken: TestContext.Current.CancellationToken);
        while (!made.IsCompleted || !again.IsCompleted)
            test.Maintain();
        Assert.Equal(1ul, (await made)!.Sequence.Value);
        Assert.Equal(1ul, (await again)!.Number);

        test.Kv.Put("b", 1);
        var late = test.Db.CheckpointAsync(cancellationToken: TestContext.Current.CancellationToken);
        test.Db.Dispose();
        await Assert.ThrowsAsync<ObjectDisposedException>(async () => await late);
    }

    // Whoever awaited a checkpoint waited for the database to be closed: a database that has failed takes no steps any more.
    [Fact]
    [Trait("Requirement", "CKP-1")]
    [Trait("Promise", "G7")]
    public async Task Whoever_awaits_a_checkpoint_is_told_when_the_database_fails_meanwhile()
    {
        using var test = new TestDatabase(Durability.Strict, options => options with { CheckpointOnClose = false });
        test.Kv.Put("a", 1);
        var made = test.Db.CheckpointAsync(cancellationToken: TestContext.Current.CancellationToken).AsTask();
        test.Maintain();
        Assert.False(made.IsCompleted);
        test.Db.Engine.State.Fail(new StorageException(StorageError.Io, "write", "log", 5));
        test.Maintain();
        Assert.False(test.Db.Engine.Checkpointer!.IsAsked, "nobody will take another step of it");
        await Assert.ThrowsAsync<DatabaseFailedException>(async () => await made);
    }

    [Fact]
    [Trait("Requirement", "CKP-1")]
    public void Opened_read_only_it_reads_the_image_and_makes_no_checkpoint()
    {
        var storage = new MemoryStorage();
        Hash256 hash;
        using (var test = new TestDatabase(Durability.Strict, null, storage))
        {
            for (var i = 0; i < 100; i++)
                test.Kv.Put($"k{i}", i);
            hash = test.Db.StateHash();
        }

        var before = DirectoryImage.Of(storage);
        using (var test = new TestDatabase(Durability.Strict, options => options with { IsReadOnly = true }, storage))
        {
            Assert.Equal(100ul, test.Db.Recovery.CheckpointUsed?.Value);
            Assert.Equal(42, test.Kv.Number("k42"));
            Assert.Equal(hash, test.Db.StateHash());
            Assert.Equal(ErrorCode.ReadOnly, TestValues.Refused(() => test.Checkpoint()));
        }

        Assert.True(before.Equals(DirectoryImage.Of(storage)));
    }

    [Fact]
    [Trait("Requirement", "RCV-7")]
    [Trait("Promise", "G6")]
    public void A_checkpoint_that_is_not_of_this_log_is_not_used()
    {
        var storage = new MemoryStorage();
        Hash256 hash;
        using (var test = new TestDatabase(Durability.Strict, options => options with { CheckpointOnClose = false }, storage))
        {
            test.Kv.Put("a", 1);
            test.Checkpoint();
            test.Kv.Put("a", 2);
            test.Checkpoint();
            hash = test.Db.StateHash();
        }

        var name = storage.List("").Last(file => LogNames.TryParseManifest(file, out _));
        Assert.True(LogNames.TryParseManifest(name, out var number));
        var manifest = Manifest.Load(storage, number, forWriting: true, out _);
        var image = DirectoryImage.Of(storage);
        var newest = manifest.Checkpoints[^1];
        var other = newest with { MarkCheck = newest.MarkCheck ^ 1 };
        image.Files[name] = (manifest with { Checkpoints = [manifest.Checkpoints[0], other] }).Encode();

        using var reopened = new TestDatabase(Durability.Strict, null, image.ToStorage());
        Assert.Equal(1ul, reopened.Db.Recovery.CheckpointUsed?.Value);
        Assert.Contains("the mark of checkpoint 2", Assert.Single(reopened.Db.Recovery.CheckpointsRejected), StringComparison.Ordinal);
        Assert.Equal(hash, reopened.Db.StateHash());
    }

    [Fact]
    [Trait("Requirement", "RCV-9")]
    [Trait("Promise", "G6")]
    public void Without_a_usable_checkpoint_and_without_the_beginning_of_the_log_nothing_is_opened()
    {
        var storage = new MemoryStorage();
        using (var test = new TestDatabase(Durability.Strict, Small, storage))
        {
            for (var round = 0; round < 3; round++)
            {
                for (var i = 0; i < 20; i++)
                    test.Kv.Put($"k{i}", Value.Bytes(new byte[3_000]));
                test.Checkpoint();
            }

            var log = (SegmentedLog)test.Db.Engine.Path.Log.Device!;
            log.Truncate(log.Manifest.Checkpoints[0].MarkPosition);
            Assert.True(log.FirstPosition > 0);
        }

        using (var test = new TestDatabase(Durability.Strict, Small, DirectoryImage.Of(storage).ToStorage()))
            Assert.Equal(20, test.Kv.Count());
        var image = DirectoryImage.Of(storage);
        foreach (var table in image.Files.Keys.Where(path => path.StartsWith(LogNames.TableDirectory, StringComparison.Ordinal)).ToList())
            image.Files[table][^5] ^= 1;
        var damaged = image.ToStorage();
        var before = DirectoryImage.Of(damaged);
        var refused = Assert.Throws<CorruptionException>(() => new TestDatabase(Durability.Strict, Small, damaged));
        Assert.StartsWith(LogNames.TableDirectory, refused.File, StringComparison.Ordinal);
        Assert.True(before.Equals(DirectoryImage.Of(image.ToStorage())));

        static CairnOptions Small(CairnOptions options) =>
            options with { CheckpointOnClose = false, SegmentBytesMin = 16 << 10, SegmentBytesMax = 16 << 10, ContentThreshold = 64 << 20 };
    }

    [Fact]
    [Trait("Requirement", "DUR-2")]
    public void In_memory_a_checkpoint_is_refused_by_name()
    {
        using var test = new TestDatabase(Durability.InMemory);
        Assert.Equal(ErrorCode.InvalidArgument, TestValues.Refused(() => test.Checkpoint()));
    }

    [Fact]
    [Trait("Requirement", "RCV-7")]
    [Trait("Requirement", "RCV-11")]
    public void A_damaged_newest_checkpoint_falls_back_to_the_older_one_and_says_why()
    {
        var storage = new MemoryStorage();
        Hash256 hash;
        using (var test = new TestDatabase(Durability.Strict, options => options with { CheckpointOnClose = false }, storage))
        {
            test.Kv.Put("a", 1);
            test.Checkpoint();
            test.Kv.Put("b", 2);
            test.Checkpoint();
            test.Kv.Put("c", 3);
            hash = test.Db.StateHash();
        }

        foreach (var (newest, older, used) in new[] { (true, false, 1ul), (true, true, 0ul) })
        {
            var image = DirectoryImage.Of(storage);
            if (newest)
                image.Files[LogNames.TablePath(2)][^5] ^= 1;
            if (older)
                image.Files[LogNames.TablePath(1)][^5] ^= 1;
            var copy = image.ToStorage();
            for (var i = 0; i < 2; i++)
            {
                using var test = new TestDatabase(Durability.Strict, options => options with { CheckpointOnClose = false }, copy);
                Assert.Equal(used == 0 ? null : used, test.Db.Recovery.CheckpointUsed?.Value);
                Assert.Equal(i > 0 ? 0 : older ? 2 : 1, test.Db.Recovery.CheckpointsRejected.Count);
                Assert.Equal(3 - (long)used, test.Db.Recovery.Transactions);
                Assert.Equal(hash, test.Db.StateHash());
            }
        }
    }
}
