using Cairn.Diagnostics;
using Cairn.Storage;
using Cairn.Tests.Transactions;
using Xunit;

namespace Cairn.Tests.Checkpoints;

/// <summary>Checkpoints beside commits: K1 and K3 of Checkpointer, by hand and by threads.</summary>
public class CheckpointRaceTests
{
    private static readonly Func<CairnOptions, CairnOptions> NotOnClose = options => options with { CheckpointOnClose = false };

    [Fact]
    [Trait("Requirement", "CKP-3")]
    [Trait("Requirement", "CKP-5")]
    [Trait("Promise", "G4")]
    public void A_commit_between_the_cut_and_the_writing_is_in_the_next_checkpoint_and_not_in_this()
    {
        using var test = new TestDatabase(Durability.Strict, NotOnClose);
        var other = test.OtherRun();
        for (var i = 0; i < 10; i++)
        {
            test.Kv.Put($"k{i}", i);
            other.Events.Append("note", Value.Object(("n", i)));
        }

        var before = test.Db.StateHash();
        var cut = test.Sequence;
        var checkpointer = test.Db.Engine.Checkpointer!;
        Assert.True(checkpointer.Step());                    // the cut
        test.Kv.Put("k3", "after");
        test.Kv.Delete("k4");
        test.Kv.Put("new", 1);
        other.Events.Append("note", Value.Object(("n", 10)));
        test.Db.Runs.Begin("born behind the cut").Kv.Put("x", 1);
        Assert.True(checkpointer.Step());                    // frozen
        test.Kv.Put("k3", "later");
        test.Db.Runs.Delete(other.Id);
        while (checkpointer.IsUnderWay)
            checkpointer.Step();
        var after = test.Db.StateHash();

        // What the log behind the mark changes is applied to the image: so the image is the state at the cut and no other.
        test.Reopen(isKilled: true);
        Assert.Equal(cut, test.Db.Recovery.CheckpointUsed?.Value);
        Assert.Equal(8, test.Db.Recovery.Transactions);
        Assert.Equal(after, test.Db.StateHash());
        Assert.NotEqual(before, after);
        Assert.Equal("later", test.Kv.Text("k3"));
        Assert.Null(test.Kv.Get("k4"));
        test.Checkpoint();
        test.Reopen(isKilled: true);
        Assert.Equal(0, test.Db.Recovery.Transactions);
        Assert.Equal(after, test.Db.StateHash());
        Assert.Empty(test.Db.VerifyDeep().Findings);
    }

    // Whether memory had all keys was asked before the lock was taken. Keys that left in between were read from the image behind the
    // sequence, where a read that fails ends writing.
    [Fact]
    [Trait("Requirement", "TIER-2")]
    [Trait("Promise", "G7")]
    public void A_key_that_leaves_memory_while_its_commit_waits_for_the_lock_is_there_before_the_commit_has_a_place()
    {
        var faulty = new FaultStorage(new MemoryStorage(), 1);
        using var test = new TestDatabase(Durability.Strict, options => NotOnClose(options) with { BlockCacheBytes = 0 }, faulty);
        for (var i = 0; i < 100; i++)
            test.Kv.Put($"k{i}", i);
        test.Checkpoint();
        var store = test.Db.Engine.Catalogue.Default.Store;
        Assert.True(store.IsWhole);
        using (Failpoint.Use(new At("commit.locked", () =>
        {
            SpinWait.SpinUntil(store.ForgetAll);             // readers of other tests may be inside: the epoch is the process's
            faulty.Inject(FaultKind.Io, 1, StorageCall.Read, lasting: true);
        })))
            Assert.ThrowsAny<CairnException>(() => test.Kv.Put("k7", "new"));
        faulty.Clear();
        Assert.False(test.Db.Engine.State.HasFailed);
        test.Kv.Put("k7", "newer");
        Assert.Equal("newer", test.Kv.Text("k7"));
    }

    // The database went on, and every checkpoint after that one broke off at what was still put aside for it.
    [Theory]
    [InlineData("checkpoint.manifest-published")]
    [InlineData("checkpoint.image-published")]
    [Trait("Requirement", "CKP-5")]
    [Trait("Promise", "G5")]
    public void What_fails_behind_the_manifest_of_a_checkpoint_ends_writing_and_an_opening_has_it(string place)
    {
        using var test = new TestDatabase(Durability.Strict, NotOnClose);
        for (var i = 0; i < 20; i++)
            test.Kv.Put($"k{i}", i);
        var hash = test.Db.StateHash();
        var cut = test.Sequence;
        using (Failpoint.Use(new At(place, () => throw new TimeoutException("what nobody thought of"))))
            Assert.Throws<TimeoutException>(() => test.Checkpoint());
        Assert.Throws<DatabaseFailedException>(() => test.Checkpoint());
        Assert.Throws<DatabaseFailedException>(() => test.Kv.Put("k1", 100));
        test.Reopen(isKilled: true);
        Assert.Equal(cut, test.Db.Recovery.CheckpointUsed?.Value);
        Assert.Equal(hash, test.Db.StateHash());
        test.Kv.Put("k1", 100);
        test.Checkpoint();
    }

    // Its new table was thrown away although the manifest named it: an opening found no checkpoint that was whole.
    [Theory]
    [InlineData("merge.manifest-published")]
    [InlineData("merge.image-published")]
    [Trait("Requirement", "CKP-3")]
    [Trait("Promise", "G5")]
    public void What_fails_behind_the_manifest_of_a_merge_ends_writing_and_an_opening_has_it(string place)
    {
        using var test = new TestDatabase(Durability.Strict, NotOnClose);
        for (var round = 0; round < 8; round++)
        {
            test.Kv.Put($"k{round}", round);
            test.Checkpoint();
        }

        var hash = test.Db.StateHash();
        using (Failpoint.Use(new At(place, () => throw new TimeoutException("what nobody thought of"))))
        {
            Assert.Throws<TimeoutException>(() =>
            {
                while (test.Db.Engine.Merger!.Step())
                {
                }
            });
        }

        Assert.Throws<DatabaseFailedException>(() => test.Kv.Put("k1", 100));
        test.Reopen(isKilled: true);
        Assert.Equal(8, (long)test.Db.Recovery.CheckpointUsed!.Value.Value);
        Assert.Empty(test.Db.Recovery.CheckpointsRejected);
        Assert.Equal(hash, test.Db.StateHash());
        test.Kv.Put("k1", 100);
        test.Checkpoint();
    }

    // The runs that commits above the cut had frozen were in no list yet, and their keys were never given back.
    [Fact]
    [Trait("Requirement", "CKP-5")]
    public void What_fails_between_the_cut_and_the_list_of_runs_gives_back_what_a_commit_has_frozen()
    {
        using var test = new TestDatabase(Durability.Strict, NotOnClose);
        test.Kv.Put("a", 1);
        using (Failpoint.Use(new At("checkpoint.cut-before-synced", () =>
        {
            test.Kv.Put("a", 2);
            throw new TimeoutException("what nobody thought of");
        })))
        {
            Assert.Throws<TimeoutException>(() => test.Checkpoint());
        }

        test.Kv.Put("b", 3);
        test.Checkpoint();
        var (hash, cut) = (test.Db.StateHash(), test.Sequence);
        test.Reopen(isKilled: true);
        Assert.Equal(cut, test.Db.Recovery.CheckpointUsed?.Value);
        Assert.Equal(hash, test.Db.StateHash());
    }

    // A commit behind the end of the given-up one froze the run for its cut, and the next checkpoint broke off at that, for good.
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [Trait("Requirement", "CKP-5")]
    public void A_run_that_is_written_behind_a_checkpoint_that_was_given_up_is_in_the_next(int steps)
    {
        using var test = new TestDatabase(Durability.Strict, NotOnClose);
        test.Kv.Put("a", 1);
        for (var step = 0; step < steps; step++)
            test.Db.Engine.Checkpointer!.Step();
        test.Db.Engine.Checkpointer!.GiveUp();
        test.Kv.Put("a", 2);
        test.Checkpoint();
        var (hash, cut) = (test.Db.StateHash(), test.Sequence);
        test.Reopen(isKilled: true);
        Assert.Equal(cut, test.Db.Recovery.CheckpointUsed?.Value);
        Assert.Equal(hash, test.Db.StateHash());
    }

    private sealed class At(string place, Action act) : FailpointPlan
    {
        private bool _done;

        internal override void Hit(string name)
        {
            if (_done || name != place)
                return;
            _done = true;
            act();
        }
    }

    [Fact]
    [Trait("Requirement", "CKP-5")]
    public void A_checkpoint_that_is_given_up_leaves_the_one_before_and_the_next_has_everything()
    {
        using var test = new TestDatabase(Durability.Strict, NotOnClose);
        var checkpointer = test.Db.Engine.Checkpointer!;
        for (var steps = 1; steps < 12; steps++)
        {
            for (var i = 0; i < 5; i++)
                test.Kv.Put($"k{i}", steps * i);
            for (var i = 0; i < steps && checkpointer.Step(); i++)
                test.Kv.Put($"beside{i}", steps);
            checkpointer.GiveUp();
            Assert.False(checkpointer.IsUnderWay);
            var hash = test.Db.StateHash();
            if (steps % 2 == 0)
                test.Checkpoint();
            test.Reopen(isKilled: steps % 3 == 0);
            checkpointer = test.Db.Engine.Checkpointer!;
            Assert.Equal(hash, test.Db.StateHash());
            Assert.Equal(0, test.Db.Metrics.Pins);
        }
    }

    [Fact]
    [Trait("Requirement", "CKP-1")]
    public void A_cancelled_checkpoint_is_given_up_and_says_so()
    {
        using var test = new TestDatabase(Durability.Strict, NotOnClose);
        test.Kv.Put("a", 1);
        using var cancelled = new CancellationTokenSource();
        var told = new List<CheckpointProgress>();
        var progress = new Told(step =>
        {
            told.Add(step);
            cancelled.Cancel();
        });
        Assert.Throws<OperationCanceledException>(() => test.Db.Checkpoint(progress, cancelled.Token));
        Assert.Single(told);
        Assert.Equal(0, test.Db.Metrics.Pins);
        Assert.NotNull(test.Checkpoint());
        test.NowAndAfterReopening(() => Assert.Equal(1, test.Kv.Number("a")));
    }

    // An id may be used again. What the image has of the run that had it before is not the new one's.
    [Fact]
    [Trait("Requirement", "RUN-3")]
    [Trait("Requirement", "CKP-4")]
    public void A_run_with_the_id_of_a_deleted_one_sees_nothing_of_it()
    {
        using var test = new TestDatabase(Durability.Strict, NotOnClose);
        var id = test.OtherRun().Id;
        var old = test.Db.Runs.Get(id)!;
        for (var i = 0; i < 20; i++)
            old.Kv.Put($"old{i}", i);
        test.CheckpointAndForget();
        test.Db.Runs.Delete(id);
        Assert.Null(test.Db.Runs.Get(id));
        var run = test.Db.Runs.Begin("again", id: id);
        run.Kv.Put("new", 1);
        for (var i = 0; i < 3; i++)
        {
            test.CheckpointAndForget();
            run = test.Db.Runs.Get(id)!;
            Assert.Equal(["new"], run.Kv.Scan(new ScanOptions { Limit = 100 }).Select(pair => pair.Key));
            Assert.Null(run.Kv.Get("old3"));
            Assert.Equal(1, run.Kv.Count());
            test.Reopen(isKilled: i == 1);
        }

        test.Db.Runs.Delete(id);
        test.NowAndAfterReopening(() => Assert.Null(test.Db.Runs.Get(id)));
        test.Checkpoint();
        test.NowAndAfterReopening(() => Assert.Null(test.Db.Runs.Get(id)));
    }

    [Theory]
    [InlineData(Durability.Strict)]
    [InlineData(Durability.Buffered)]
    [Trait("Requirement", "CKP-3")]
    [Trait("Requirement", "CKP-5")]
    [Trait("Promise", "G8")]
    public void Commits_by_threads_beside_checkpoints_without_end_leave_what_the_log_says(Durability mode)
    {
        const int Threads = 4, Commits = 400, Keys = 40;
        var storage = new MemoryStorage();
        using var test = new TestDatabase(mode, NotOnClose, storage);
        var runs = Enumerable.Range(1, Threads).Select(test.OtherRun).ToArray();
        var writers = runs.Select((run, n) => new Thread(() =>
        {
            for (var i = 0; i < Commits; i++)
            {
                if (i % 7 == 0)
                    run.Kv.Delete($"k{i % Keys}");
                else
                    run.Transact(tx => tx.Kv.Increment($"k{i % Keys}"));
                if (i % 50 == 49)
                    test.Db.Runs.Delete(test.Db.Runs.Begin($"brief {n}-{i}").Id);
                test.Db.Default.Kv.Increment("all");
            }
        })).ToList();
        writers.ForEach(writer => writer.Start());
        while (writers.Exists(writer => writer.IsAlive))
            test.CheckpointAndForget();
        writers.ForEach(writer => writer.Join());
        Assert.Equal(Threads * Commits, test.Kv.Number("all"));
        var hash = test.Db.StateHash();
        Assert.Empty(test.Db.VerifyDeep().Findings);

        test.Reopen(isKilled: true);
        Assert.Equal(hash, test.Db.StateHash());
        Assert.Empty(test.Db.VerifyDeep().Findings);
        test.CheckpointAndForget();
        Assert.Equal(hash, test.Db.StateHash());
    }

    private sealed class Told(Action<CheckpointProgress> tell) : IProgress<CheckpointProgress>
    {
        public void Report(CheckpointProgress value) => tell(value);
    }
}
