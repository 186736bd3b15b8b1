using Cairn.Primitives;
using Cairn.Storage;
using Cairn.Tests.Log;
using Cairn.Tests.Transactions;
using Cairn.Transactions;
using Xunit;

namespace Cairn.Tests.Forks;

public class ForkTests
{
    public static TheoryData<Durability> Modes => [Durability.InMemory, Durability.Buffered, Durability.Strict];

    private static ErrorCode Code(Action action) => Assert.ThrowsAny<CairnException>(action).Code;

    [Theory, MemberData(nameof(Modes))]
    [Trait("Requirement", "RPL-10")]
    [Trait("Requirement", "RPL-11")]
    [Trait("Requirement", "RUN-3")]
    public void RPL_10_A_fork_has_what_its_parent_had_and_neither_sees_what_the_other_does_later(Durability mode)
    {
        using var test = new TestDatabase(mode);
        var parent = test.Db.Runs.Begin("parent");
        parent.Kv.Put("kept", 1);
        parent.Kv.Put("changed", 1);
        parent.Kv.Put("deleted", 1);
        var last = test.Db.Sequence;
        var fork = test.Db.Runs.Fork(parent.Id, name: "fork", tags: ["a"], metadata: Value.Object(("why", "test")));
        Assert.Equal(new Sequence(last.Value + 1), test.Db.Sequence);
        parent.Kv.Put("changed", 2);
        parent.Kv.Delete("deleted");
        parent.Kv.Put("new", 2);
        fork.Kv.Put("own", 3);
        fork.Kv.Delete("kept");
        test.NowAndAfterReopening(() =>
        {
            var (one, other) = (test.Db.Runs.Get("parent")!, test.Db.Runs.Get("fork")!);
            Assert.Equal((RunStatus.Active, parent.Id, last), (other.Status, other.Info.Parent!.Value, other.Info.ForkSequence!.Value));
            Assert.Equal(["a"], other.Info.Tags);
            Assert.Null(one.Info.ForkSequence);
            Assert.Equal(["changed", "deleted", "own"], other.Kv.List());
            Assert.Equal(["changed", "kept", "new"], one.Kv.List());
            Assert.Equal((1L, 1L, 3L), (other.Kv.Number("changed"), other.Kv.Number("deleted"), other.Kv.Number("own")));
            Assert.Null(other.Kv.Number("kept"));
            Assert.Equal((3L, 3L), (one.Kv.Count(), other.Kv.Count()));
            Assert.Equal(last.Value - 1, other.Kv.GetVersioned("changed")!.Value.Version.Value);
            Assert.Equal([fork.Id], test.Db.Runs.Children(parent.Id).Select(info => info.Id));
            Assert.Equal([parent.Id], test.Db.Runs.Ancestors(fork.Id).Select(info => info.Id));
        });
    }

    [Theory, MemberData(nameof(Modes))]
    [Trait("Requirement", "RPL-12")]
    public void RPL_12_Numbers_chain_counters_and_consumers_go_on_from_the_fork(Durability mode)
    {
        using var test = new TestDatabase(mode);
        for (var i = 0; i < 5; i++)
            test.Run.Events.Append("step", Value.Object(("i", i)));
        test.Run.Events.Consumers.Commit("reader", new EventNumber(3));
        test.Run.State.Init("budget", 100);
        test.Run.State.Set("gone", 1);
        test.Run.State.Delete("gone");
        var head = test.Run.Events.Head()!.Value.Hash;
        var fork = test.Db.Runs.Fork(test.Run.Id, name: "fork");
        Assert.Equal(5UL, fork.Events.Append("step", Value.Object(("i", "fork"))).Number.Value);
        Assert.Equal(5UL, test.Run.Events.Append("step", Value.Object(("i", "parent"))).Number.Value);
        Assert.Equal(2UL, fork.State.Set("budget", 90).Counter.Value);
        Assert.Equal(3UL, fork.State.Set("gone", 2).Counter.Value);
        Assert.Equal(ErrorCode.ConstraintViolation, Code(() => fork.Events.Consumers.Commit("reader", new EventNumber(2))));
        test.NowAndAfterReopening(() =>
        {
            var other = test.Db.Runs.Get("fork")!;
            Assert.Equal(head, other.Events.Get(new EventNumber(4))!.Hash);
            Assert.Equal(6, other.Events.Verify().Length);
            Assert.True(other.Events.Verify().IsValid);
            Assert.True(test.Run.Events.Verify().IsValid);
            Assert.NotEqual(test.Run.Events.Head()!.Value.Hash, other.Events.Head()!.Value.Hash);
            Assert.Equal(6, other.Events.StreamInfo("step")!.Count);
            Assert.Equal(3UL, other.Events.Consumers.Position("reader").Value);
            Assert.Equal(100, test.Run.State.Get("budget")!.Value.Value.AsInt64());
        });
    }

    [Theory, MemberData(nameof(Modes))]
    [Trait("Requirement", "RPL-12")]
    public void RPL_12_Leases_are_free_in_a_fork_and_idempotency_keys_are_forgotten(Durability mode)
    {
        using var test = new TestDatabase(mode);
        var held = test.Run.State.Acquire("lock", "one", TimeSpan.FromHours(1));
        test.Run.TransactOnce("key", tx => tx.Kv.Put("x", 1));
        var fork = test.Db.Runs.Fork(test.Run.Id);
        Assert.Equal(ErrorCode.VersionMismatch, Code(() => fork.Transact(tx =>
        {
            tx.State.Require("lock", held.Token);
            tx.Kv.Put("x", 3);
        })));
        Assert.False(fork.State.Renew("lock", held.Token, TimeSpan.FromHours(1)).IsAcquired);
        Assert.False(fork.State.Release("lock", held.Token));
        var taken = fork.State.Acquire("lock", "two", TimeSpan.FromHours(1));
        Assert.True(taken.IsAcquired && taken.Token > held.Token);
        Assert.False(fork.State.Acquire("lock", "three", TimeSpan.FromHours(1)).IsAcquired);
        Assert.True(fork.State.Renew("lock", taken.Token, TimeSpan.FromHours(2)).IsAcquired);
        fork.Transact(tx => tx.State.Require("lock", taken.Token));
        Assert.True(test.Run.State.Renew("lock", held.Token, TimeSpan.FromHours(1)).IsAcquired);
        fork.TransactOnce("key", tx => tx.Kv.Put("x", 2));
        Assert.Equal((1L, 2L), (test.Kv.Number("x"), fork.Kv.Number("x")));
        Assert.Equal(1, fork.State.Count());
        var other = test.Db.Runs.Fork(test.Run.Id);
        other.Transact(tx => Assert.True(tx.State.Acquire("lock", "tx", TimeSpan.FromHours(1)).IsAcquired));
        Assert.False(other.State.Acquire("lock", "three", TimeSpan.FromHours(1)).IsAcquired);
    }

    [Theory, MemberData(nameof(Modes))]
    [Trait("Requirement", "RUN-5")]
    [Trait("Requirement", "RPL-10")]
    public void RUN_5_A_closed_run_goes_on_as_a_fork(Durability mode)
    {
        using var test = new TestDatabase(mode);
        var parent = test.Db.Runs.Begin("parent");
        parent.Kv.Put("a", 1);
        parent.Complete();
        var fork = test.Db.Runs.Fork(parent.Id);
        fork.Kv.Put("a", 2);
        Assert.Equal((RunStatus.Completed, 1L, 2L), (parent.Status, parent.Kv.Number("a"), fork.Kv.Number("a")));
    }

    [Theory, MemberData(nameof(Modes))]
    [Trait("Requirement", "RUN-10")]
    [Trait("Requirement", "RPL-13")]
    public void RUN_10_Forks_outlive_their_parent_and_what_only_they_needed_goes_with_the_last_of_them(Durability mode)
    {
        using var test = new TestDatabase(mode);
        var parent = test.Db.Runs.Begin("parent");
        for (var i = 0; i < 100; i++)
            parent.Kv.Put($"k{i}", i);
        var fork = test.Db.Runs.Fork(parent.Id, name: "fork");
        parent.Kv.Put("k1", -1);
        var nested = test.Db.Runs.Fork(fork.Id, name: "nested");
        fork.Kv.Put("k2", -2);
        test.Db.Runs.Delete(parent.Id);
        test.Db.Runs.Delete(fork.Id);
        Assert.Equal(ErrorCode.NotFound, Code(() => parent.Kv.Get("k1")));
        Assert.Equal(ErrorCode.NotFound, Code(() => parent.Kv.Put("k1", 1)));
        Assert.Equal(ErrorCode.NotFound, Code(() => test.Db.Runs.Fork(parent.Id)));
        Assert.Equal(ErrorCode.AlreadyExists, Code(() => test.Db.Runs.Begin(id: parent.Id)));
        test.Db.Runs.Begin("parent");
        test.NowAndAfterReopening(() =>
        {
            var left = test.Db.Runs.Get("nested")!;
            Assert.Equal((1L, 2L, 100L), (left.Kv.Number("k1"), left.Kv.Number("k2"), left.Kv.Count()));
            Assert.False(test.Db.Runs.Exists(parent.Id));
            Assert.Equal(["nested", "parent"], test.Db.Runs.List().Select(info => info.Name).Order());
            Assert.NotNull(test.Db.Engine.Catalogue.Find(parent.Id));
        });
        test.Db.Runs.Delete(nested.Id);
        test.NowAndAfterReopening(() =>
        {
            Assert.Null(test.Db.Engine.Catalogue.Find(parent.Id));
            Assert.Null(test.Db.Engine.Catalogue.Find(fork.Id));
            Assert.Equal(1, test.Db.Runs.Count());
        });
        test.Db.Runs.Begin("again", id: parent.Id);
        Assert.Equal(0, test.Db.Runs.Get("again")!.Kv.Count());
    }

    [Theory, MemberData(nameof(Modes))]
    [Trait("Requirement", "RPL-33")]
    public void RPL_33_A_discarded_fork_leaves_no_trace_in_its_parent(Durability mode)
    {
        using var test = new TestDatabase(mode);
        test.Kv.Put("a", 1);
        test.Run.Events.Append("e", Value.Object());
        var (hash, last) = (test.Run.StateHash(), test.Run.Info.LastSequence);
        var fork = test.Db.Runs.Fork(test.Run.Id);
        fork.Kv.Put("a", 2);
        fork.Events.Append("e", Value.Object());
        var receipt = test.Db.Runs.Delete(fork.Id);
        Assert.Equal((1L, 2L), (receipt.Counts["kv"], receipt.Counts["events"]));
        Assert.Equal((hash, last), (test.Run.StateHash(), test.Run.Info.LastSequence));
        Assert.Empty(test.Db.Runs.Children(test.Run.Id));
        for (var i = 0; i < 200; i++)
            test.Kv.Put("a", i);
        Assert.True(SpinWait.SpinUntil(() => Sweep(test) == 0, TimeSpan.FromSeconds(30)));   // readers of other tests leave some time
    }

    private static long Sweep(TestDatabase test)
    {
        test.Db.Engine.Catalogue.SettleForks();
        lock (test.Run.RunState.CommitLock)
            return test.Run.RunState.Store.Sweep(10_000);
    }

    [Theory, MemberData(nameof(Modes))]
    public void A_fork_now_has_the_state_hash_of_its_parent(Durability mode)
    {
        using var test = new TestDatabase(mode);
        for (var i = 0; i < 50; i++)
        {
            test.Kv.Put($"k{i % 7}", i);
            test.Run.Events.Append("e", Value.Object(("i", i)));
            test.Run.State.Set($"c{i % 3}", i);
            if (i % 5 == 0)
                test.Run.State.Delete("c0");
            test.Run.Traces.Record(new ThoughtStep("step"));
        }

        var fork = test.Db.Runs.Fork(test.Run.Id, name: "fork");
        var hash = test.Run.StateHash();
        test.Kv.Put("later", 1);
        Assert.NotEqual(hash, test.Run.StateHash());
        test.NowAndAfterReopening(() => Assert.Equal(hash, test.Db.Runs.Get("fork")!.StateHash()));
        Assert.Equal(hash, test.Db.Runs.Fork(test.Db.Runs.Get("fork")!.Id).StateHash());
    }

    [Theory, MemberData(nameof(Modes))]
    public void What_cannot_be_forked_is_refused_by_name_and_nothing_is_logged(Durability mode)
    {
        using var test = new TestDatabase(mode);
        test.Kv.Put("a", 1);
        var late = test.Db.Runs.Begin("late");
        late.Kv.Put("a", 1);
        late.Kv.Put("a", 2);
        var before = test.Db.Sequence;
        Assert.Equal(ErrorCode.NotFound, Code(() => test.Db.Runs.Fork(new RunId(Guid.Parse("01890000-0000-7000-8000-000000000001")))));
        Assert.Equal(ErrorCode.InvalidArgument, Code(() => test.Db.Runs.Fork(RunId.System)));
        Assert.Equal(ErrorCode.InvalidArgument, Code(() => test.Db.Runs.Fork(late.Id, new Sequence(before.Value + 1))));
        Assert.Equal(ErrorCode.InvalidArgument, Code(() => test.Db.Runs.Fork(late.Id, new Sequence(1))));
        Assert.Equal(ErrorCode.AlreadyExists, Code(() => test.Db.Runs.Fork(late.Id, name: "late")));
        Assert.Equal(ErrorCode.AlreadyExists, Code(() => test.Db.Runs.Fork(late.Id, name: "default")));
        Assert.Equal(ErrorCode.InvalidName, Code(() => test.Db.Runs.Fork(late.Id, name: "$x")));
        Assert.Equal(ErrorCode.WrongType, Code(() => test.Db.Runs.Fork(late.Id, metadata: 1)));
        Assert.Equal(before, test.Db.Sequence);
        Assert.Equal(2, test.Db.Runs.Fork(late.Id, before).Kv.Number("a"));
    }

    [Theory, MemberData(nameof(Modes))]
    [Trait("Requirement", "RPL-13")]
    public void RPL_13_The_common_ancestor_is_the_newest_state_that_both_had(Durability mode)
    {
        using var test = new TestDatabase(mode);
        test.Kv.Put("k", 1);
        var first = test.Db.Runs.Fork(test.Run.Id, name: "first");
        var point = test.Db.Sequence;
        test.Kv.Put("k", 2);
        var second = test.Db.Runs.Fork(test.Run.Id, name: "second");
        first.Kv.Put("k", 3);
        var nested = test.Db.Runs.Fork(first.Id, name: "nested");
        var alone = test.Db.Runs.Begin("alone", parent: test.Run.Id);
        test.Db.Runs.Delete(first.Id);
        test.NowAndAfterReopening(() =>
        {
            var runs = test.Db.Runs;
            Assert.Equal(new RunPoint(test.Run.Id, point), runs.CommonAncestor(nested.Id, second.Id));
            Assert.Equal(runs.CommonAncestor(nested.Id, second.Id), runs.CommonAncestor(second.Id, nested.Id));
            Assert.Equal(test.Run.Id, runs.CommonAncestor(test.Run.Id, second.Id)!.Value.Run);
            Assert.Equal(new RunPoint(nested.Id, test.Db.Sequence), runs.CommonAncestor(nested.Id, nested.Id));
            Assert.Null(runs.CommonAncestor(alone.Id, second.Id));
            Assert.Equal(ErrorCode.NotFound, Code(() => runs.CommonAncestor(first.Id, second.Id)));
        });
    }

    [Theory, MemberData(nameof(Modes))]
    [Trait("Requirement", "LIM-29")]
    public void LIM_29_Forks_of_forks_end_at_the_limit(Durability mode)
    {
        using var test = new TestDatabase(mode, options => options with { Limits = new Limits { ForkDepthMax = 5 } });
        test.Kv.Put("root", 1);
        var last = test.Run;
        for (var depth = 1; depth <= 5; depth++)
        {
            last = test.Db.Runs.Fork(last.Id);
            last.Kv.Put($"level {depth}", depth);
        }

        var refused = Assert.Throws<LimitException>(() => test.Db.Runs.Fork(last.Id));
        Assert.Equal((nameof(Limits.ForkDepthMax), 5L, 6L), (refused.Limit, refused.Allowed, refused.Actual));
        Assert.Equal((6L, 1L), (last.Kv.Count(), last.Kv.Number("root")));
    }

    [Theory, MemberData(nameof(Modes))]
    [Trait("Promise", "G8")]
    public void What_a_transaction_read_through_to_the_base_conflicts_with_later_writes_of_the_fork_alone(Durability mode)
    {
        using var test = new TestDatabase(mode);
        test.Kv.Put("a", 1);
        test.Kv.Put("b", 1);
        var fork = test.Db.Runs.Fork(test.Run.Id);
        using (var tx = fork.BeginTransaction())
        {
            Assert.Equal(1, tx.Kv.Number("a"));
            Assert.Equal(2, tx.Kv.List().Count);
            test.Kv.Put("a", 2);                             // the parent's: another run
            test.Kv.Put("c", 2);
            tx.Kv.Put("d", 1);
            tx.Commit();
        }

        foreach (var write in new Action[] { () => fork.Kv.Put("a", 3), () => fork.Kv.Delete("b"), () => fork.Kv.Put("aa", 3) })
        {
            using var tx = fork.BeginTransaction();
            Assert.NotEmpty(tx.Kv.List());
            write();
            tx.Kv.Put("d", 2);
            Assert.Throws<ConflictException>(() => tx.Commit());
        }
    }

    [Theory, MemberData(nameof(Modes))]
    [Trait("Requirement", "RET-4")]
    public void RET_4_What_a_fork_held_stays_as_long_as_somebody_reads_it(Durability mode)
    {
        using var test = new TestDatabase(mode);
        test.Kv.Put("k", 1);
        var fork = test.Db.Runs.Fork(test.Run.Id);
        test.Kv.Put("k", 2);                                 // from here on the fork alone holds the version before
        using (var cut = Cut.Take(test.Db.Engine.Path, test.Db.Engine.Pins))
        {
            using var hash = new StateHash(test.Db.Engine.Path.Operations, cut.Sequence, cut.Time);
            var before = hash.OfRun(cut.Find(fork.Id)!);
            test.Db.Runs.Delete(fork.Id);
            for (var i = 0; i < 300; i++)
                test.Kv.Put("k", i + 3);
            Sweep(test);
            Assert.Equal(before, hash.OfRun(cut.Find(fork.Id)!));
        }

        Assert.True(SpinWait.SpinUntil(() => Sweep(test) == 0, TimeSpan.FromSeconds(30)));
    }

    [Fact]
    [Trait("Requirement", "RCV-7")]
    public void RCV_7_Recovery_at_the_older_checkpoint_reads_through_forks_that_were_deleted_since()
    {
        using var test = new TestDatabase(Durability.Strict, options => options with { CheckpointOnClose = false });
        test.Kv.Put("k", 1);
        test.Checkpoint();
        var fork = test.Db.Runs.Fork(test.Run.Id);
        test.Kv.Put("k", 2);
        test.Checkpoint();
        fork.Kv.Expire("k", TimeSpan.FromHours(1));
        test.Db.Runs.Delete(fork.Id);
        test.Checkpoint();
        test.Reopen();                                       // what was held in memory is forgotten
        var merger = test.Db.Engine.Merger!;
        while (merger.Step(all: true) && merger.Merges == 0)
        {
        }

        Assert.Equal(1, merger.Merges);
        var hash = test.Db.StateHash();
        var newest = test.Db.Engine.Recovered!.Image.Value.Tables[0].Info.Path;
        test.Abandon();
        var image = DirectoryImage.Of((MemoryStorage)test.Storage);
        Array.Fill(image.Files[newest], (byte)0xEE);
        test.MoveTo(image.ToStorage());
        Assert.NotEmpty(test.Db.Recovery.CheckpointsRejected);
        Assert.Equal(hash, test.Db.StateHash());
    }

    [Theory, InlineData(Durability.Buffered), InlineData(Durability.Strict)]
    [Trait("Requirement", "VER-7")]
    public void The_history_of_a_fork_goes_on_in_the_run_that_it_was_forked_from(Durability mode)
    {
        using var test = new TestDatabase(mode);
        var parent = test.Db.Runs.Begin("parent");
        var first = parent.Kv.Put("k", 1);
        var second = parent.Kv.Put("k", 2);
        parent.Kv.Put("other", 1);
        var fork = test.Db.Runs.Fork(parent.Id, name: "fork");
        parent.Kv.Put("k", 3);
        var nested = test.Db.Runs.Fork(fork.Id, name: "nested");
        var last = nested.Kv.Put("k", 4);
        test.NowAndAfterReopening(() =>
        {
            var (one, other) = (test.Db.Runs.Get("fork")!, test.Db.Runs.Get("nested")!);
            Assert.Equal([2, 1], one.Kv.History("k").Select(item => item.Value.AsInt64()));
            Assert.Equal([4, 2, 1], other.Kv.History("k").Select(item => item.Value.AsInt64()));
            Assert.Equal([last, second, first], other.Kv.History("k").Select(item => item.Version));
            Assert.Equal(1, other.Kv.GetAt("k", first)!.Value.AsInt64());
            Assert.Equal(2, other.Kv.GetAt("k", new Sequence(last.Value - 1))!.Value.AsInt64());
        });
        Assert.Equal(second.Value + 1, test.Db.Runs.Get("nested")!.Blame(new ItemAddress("kv", "other"))!.Sequence.Value);
        test.Db.Runs.Delete(parent.Id);
        test.Db.Runs.Delete(fork.Id);
        test.NowAndAfterReopening(() =>
            Assert.Equal([4, 2, 1], test.Db.Runs.Get("nested")!.Kv.History("k").Select(item => item.Value.AsInt64())));
    }

    [Theory, InlineData(Durability.Buffered), InlineData(Durability.Strict)]
    [Trait("Requirement", "RPL-2")]
    public void RPL_2_A_view_of_a_fork_is_the_fork_as_it_was(Durability mode)
    {
        using var test = new TestDatabase(mode);
        var parent = test.Db.Runs.Begin("parent");
        parent.Kv.Put("a", 1);
        parent.Events.Append("e", Value.Object(("n", 0)));
        var fork = test.Db.Runs.Fork(parent.Id, name: "fork");
        var moments = new List<(Sequence At, Hash256 Hash)> { (test.Db.Sequence, fork.StateHash()) };
        for (var i = 1; i < 12; i++)
        {
            parent.Kv.Put("a", 100 + i);
            if (i % 4 == 0)
                fork.Kv.Delete("a");
            else
                fork.Kv.Put(i % 3 == 0 ? "a" : $"k{i}", i);
            fork.Events.Append("e", Value.Object(("n", i)));
            moments.Add((test.Db.Sequence, fork.StateHash()));
            if (i == 6)
                test.Checkpoint();
        }

        test.NowAndAfterReopening(() =>
        {
            var one = test.Db.Runs.Get("fork")!;
            foreach (var (at, hash) in moments)
            {
                using var view = one.At(at);
                Assert.Equal(hash, view.StateHash());
                Assert.True(view.Verify().IsEqual);
            }

            using var whole = test.Db.Replay(one.Id);
            Assert.Equal(one.StateHash(), whole.StateHash());
            Assert.Equal(ErrorCode.NotFound, Code(() => one.At(new Sequence(moments[0].At.Value - 1))));
        });
        using var last = test.Db.Runs.Get("fork")!.At(moments[3].At);
        test.Db.Runs.Delete(fork.Id);
        for (var i = 0; i < 100; i++)
            test.Db.Runs.Get("parent")!.Kv.Put("a", i);
        Sweep(test);
        Assert.Equal(moments[3].Hash, last.StateHash());
    }

    [Fact]
    [Trait("Requirement", "RPL-10")]
    public void RPL_10_What_a_fork_costs_does_not_follow_what_its_parent_holds()
    {
        using var test = new TestDatabase(Durability.InMemory);
        var (small, large) = (test.Db.Runs.Begin("small"), test.Db.Runs.Begin("large"));
        small.Kv.Put("k", 1);
        for (var i = 0; i < Seeds.Scaled(20_000); i++)
            large.Kv.Put($"key {i}", i);
        foreach (var run in new[] { small, large })
        {
            var fork = test.Db.Runs.Fork(run.Id);            // warm
            Assert.Equal((0L, 0L), (fork.RunState.Store.EntryCount, fork.Info.Bytes));
            test.Db.Runs.Delete(fork.Id);
        }

        Assert.Equal(Allocated(small), Allocated(large), 2_000d);
        TestContext.Current.TestOutputHelper?.WriteLine($"{Allocated(large)} bytes allocated a fork");

        double Allocated(Run run)
        {
            var before = GC.GetAllocatedBytesForCurrentThread();
            for (var i = 0; i < 20; i++)
                test.Db.Runs.Fork(run.Id);
            return (GC.GetAllocatedBytesForCurrentThread() - before) / 20d;
        }
    }
}
