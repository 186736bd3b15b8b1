using Cairn.Diagnostics;
using Cairn.Storage;
using Cairn.Tests.Log;
using Cairn.Tests.Transactions;
using Xunit;

namespace Cairn.Tests.Forks;

/// <summary>Forks at past points: made of the parent's records.</summary>
[Trait("Requirement", "RPL-10")]
public class PastForkTests
{
    public static TheoryData<Durability> Logged => [Durability.Buffered, Durability.Strict];

    private static CairnOptions Small(CairnOptions options) => options with
    {
        CheckpointOnClose = false, SegmentBytesMin = 4 << 10, SegmentBytesMax = 4 << 10, Retention = Retention.KeepLast(1),
    };

    private static ErrorCode Code(Action action) => Assert.ThrowsAny<CairnException>(action).Code;

    // A run that writes everything a run can hold; its state hash behind each commit.
    private static List<(Sequence At, Hash256 Hash)> Live(TestDatabase test, Run run, int commits)
    {
        var moments = new List<(Sequence, Hash256)>();
        for (var i = 0; i < commits; i++)
        {
            switch (i % 6)
            {
                case 0 or 3:
                    run.Kv.Put($"k{i % 7}", $"value {i} {new string('x', i * 37 % 300)}");
                    break;
                case 1:
                    run.Events.Append(i % 2 == 0 ? "even" : "odd", Value.Object(("i", i)));
                    break;
                case 2:
                    run.State.Set($"c{i % 3}", i);
                    break;
                case 4:
                    run.Kv.Delete($"k{i % 5}");
                    if (run.Kv.Number("absent") is null)
                        run.Events.Append("note", Value.Object(("i", -i)));
                    break;
                default:
                    run.Traces.Record(new ThoughtStep($"thought {i}"));
                    break;
            }

            test.Kv.Put("other", i);                         // another run's commit between
            moments.Add((run.Info.LastSequence, run.StateHash()));
        }

        return moments;
    }

    [Theory, MemberData(nameof(Logged))]
    [Trait("Requirement", "RPL-2")]
    [Trait("Requirement", "RPL-11")]
    public void RPL_10_A_fork_at_each_point_is_what_the_run_was_there_and_what_a_view_shows(Durability mode)
    {
        using var test = new TestDatabase(mode);
        var parent = test.Db.Runs.Begin("parent");
        var moments = Live(test, parent, 40);
        test.Checkpoint();
        test.NowAndAfterReopening(() =>
        {
            foreach (var (at, hash) in moments)
            {
                var fork = test.Db.Runs.Fork(parent.Id, at);
                Assert.Equal((at, hash), (fork.Info.ForkSequence!.Value, fork.StateHash()));
                using var view = test.Db.Runs.Get("parent")!.At(at);
                Assert.Equal(hash, view.StateHash());
                fork.Kv.Put("own", 1);
                Assert.NotEqual(hash, fork.StateHash());
                using var own = test.Db.Replay(fork.Id);
                Assert.Equal(fork.StateHash(), own.StateHash());
                Assert.True(own.Verify().IsEqual);
                test.Db.Runs.Delete(fork.Id);
            }
        });
    }

    [Theory, MemberData(nameof(Logged))]
    [Trait("Requirement", "RPL-12")]
    public void RPL_12_Numbers_chain_counters_and_consumers_go_on_from_the_point(Durability mode)
    {
        using var test = new TestDatabase(mode);
        for (var i = 0; i < 5; i++)
            test.Run.Events.Append("step", Value.Object(("i", i)));
        test.Run.Events.Consumers.Commit("reader", new EventNumber(3));
        test.Run.State.Init("budget", 100);
        var head = test.Run.Events.Head()!.Value.Hash;
        var at = test.Db.Sequence;
        test.Run.Events.Append("step", Value.Object(("i", 5)));
        test.Run.Events.Append("step", Value.Object(("i", 6)));
        test.Run.Events.Consumers.Commit("reader", new EventNumber(6));
        test.Run.State.Set("budget", 50);
        var fork = test.Db.Runs.Fork(test.Run.Id, at, name: "fork");
        Assert.Equal(5, fork.Info.EventCount);
        var early = test.Db.Runs.Fork(test.Run.Id, Sequence.None);
        Assert.Equal((0L, 0L), (early.Info.EventCount, early.Events.Count()));
        Assert.Equal(0UL, early.Events.Append("step", Value.Object()).Number.Value);
        Assert.Equal(5UL, fork.Events.Append("step", Value.Object(("i", "fork"))).Number.Value);
        Assert.Equal(2UL, fork.State.Set("budget", 90).Counter.Value);
        test.NowAndAfterReopening(() =>
        {
            var other = test.Db.Runs.Get("fork")!;
            Assert.Equal(6, other.Info.EventCount);
            Assert.Equal(head, other.Events.Get(new EventNumber(4))!.Hash);
            Assert.Equal(6, other.Events.Verify().Length);
            Assert.True(other.Events.Verify().IsValid);
            Assert.Equal(6, other.Events.StreamInfo("step")!.Count);
            Assert.Equal(3UL, other.Events.Consumers.Position("reader").Value);
            Assert.Equal(50, test.Run.State.Get("budget")!.Value.Value.AsInt64());
        });
    }

    // What was counted as loaded while a past was made stayed counted when that failed, so each try cost the budget.
    [Fact]
    [Trait("Requirement", "RPL-10")]
    public void A_disk_that_fails_while_a_past_is_made_is_told_and_costs_no_memory()
    {
        using var disk = new FaultStorage(new MemoryStorage());
        using var test = new TestDatabase(Durability.Buffered, storage: disk);
        for (var i = 0; i < 1_000; i++)
            test.Kv.Put($"k{i % 50}", i);                    // no content: whose reading may fail, too, when the past is made
        var fork = test.Db.Runs.Fork(test.Run.Id, new Sequence(test.Sequence - 100));
        fork = test.Db.Runs.Get(fork.Id)!;
        var before = test.Db.Metrics.MemoryUsedBytes;
        var failures = 0;
        for (var read = 1; ; read++)
        {
            var strikes = disk.Strikes;
            disk.Inject(FaultKind.Io, read, StorageCall.Read);
            try
            {
                Assert.NotNull(fork.Kv.Get("k1"));
                Assert.Equal(strikes, disk.Strikes);
                break;
            }
            catch (CairnException failure)
            {
                Assert.Equal(ErrorCode.Io, failure.Code);
                Assert.Equal(before, test.Db.Metrics.MemoryUsedBytes);
                failures++;
            }

            disk.Clear();
        }

        Assert.InRange(failures, 4, 1_000);
    }

    [Theory, MemberData(nameof(Logged))]
    [Trait("Requirement", "RPL-33")]
    public void Making_listing_and_discarding_one_reads_nothing_of_the_past(Durability mode)
    {
        using var test = new TestDatabase(mode);
        Live(test, test.Run, 30);
        test.Kv.Put("k", 1, ttl: TimeSpan.FromSeconds(1));
        var at = test.Db.Sequence;
        test.Kv.Put("k", 2);
        var before = test.Run.StateHash();
        var fork = test.Db.Runs.Fork(test.Run.Id, at, name: "fork");
        Assert.Contains(test.Db.Runs.List(), info => info.Name == "fork");
        Assert.Equal(test.Run.Info.EventCount, fork.Info.EventCount);
        test.Clock.Advance(TimeSpan.FromMinutes(1));
        test.Maintain();
        test.Checkpoint();
        var state = test.Db.Engine.Find(fork.Id);
        Assert.False(state.Store.Base!.IsReady);
        Assert.Empty(test.Db.Runs.Delete(fork.Id).Counts);
        Assert.False(state.Store.Base!.IsReady);
        Assert.Equal(before, test.Run.StateHash());
        var read = test.Db.Runs.Fork(test.Run.Id, at);
        Assert.Null(read.Kv.Get("k"));                       // expired since
        Assert.True(test.Db.Engine.Find(read.Id).Store.Base!.IsReady);
        Assert.NotEmpty(test.Db.Runs.Delete(read.Id).Counts);
    }

    [Theory, MemberData(nameof(Logged))]
    public void A_point_is_named_by_a_time_an_event_a_step_or_a_view(Durability mode)
    {
        using var test = new TestDatabase(mode);
        var run = test.Db.Runs.Begin("run");
        var hashes = new List<Hash256>();
        var times = new List<DateTimeOffset>();
        for (var i = 0; i < 4; i++)
        {
            test.Clock.Advance(TimeSpan.FromSeconds(10));
            run.Events.Append("step", Value.Object(("i", i)));
            hashes.Add(run.StateHash());
            times.Add(test.Clock.GetUtcNow());
        }

        var runs = test.Db.Runs;
        Assert.Equal(hashes[1], runs.ForkAtEvent(run.Id, new EventNumber(1)).StateHash());
        Assert.Equal(hashes[1], runs.ForkAtStep(run.Id, 3).StateHash());              // the first one begins the run
        Assert.Equal(hashes[1], runs.Fork(run.Id, times[1] + TimeSpan.FromSeconds(5)).StateHash());
        Assert.Equal(hashes[3], runs.Fork(run.Id, times[3] + TimeSpan.FromDays(5)).StateHash());
        using (var view = run.AtStep(4))
            Assert.Equal(hashes[2], runs.Fork(view, name: "of a view", tags: ["a"]).StateHash());
        Assert.Equal(["a"], runs.Get("of a view")!.Info.Tags);
        var before = test.Db.Sequence;
        Assert.Equal(ErrorCode.NotFound, Code(() => runs.ForkAtEvent(run.Id, new EventNumber(9))));
        Assert.Equal(ErrorCode.InvalidArgument, Code(() => runs.ForkAtStep(run.Id, 99)));
        Assert.Equal(ErrorCode.InvalidArgument, Code(() => runs.ForkAtStep(run.Id, 0)));
        Assert.Equal(ErrorCode.NotFound, Code(() => runs.Fork(run.Id, times[0] - TimeSpan.FromDays(1))));
        Assert.Equal(0, runs.Fork(test.Run.Id, times[0] - TimeSpan.FromDays(1)).Kv.Count());
        using var elsewhere = new TestDatabase(mode);
        elsewhere.Kv.Put("a", 1);
        using var strange = elsewhere.Db.Replay(RunId.Default);
        Assert.Equal(ErrorCode.InvalidArgument, Code(() => runs.Fork(strange)));
        Assert.Equal(before.Value + 1, test.Db.Sequence.Value);
    }

    [Fact]
    public void In_memory_without_records_a_past_point_is_refused()
    {
        using var test = new TestDatabase(Durability.InMemory);
        var first = test.Kv.Put("a", 1);
        var last = test.Kv.Put("a", 2);
        var refused = Assert.Throws<HistoryTrimmedException>(() => test.Db.Runs.Fork(test.Run.Id, first));
        Assert.Equal((first, last), (refused.Requested, refused.Earliest));
        Assert.Throws<HistoryTrimmedException>(() => test.Db.Runs.Fork(test.Run.Id, test.Clock.GetUtcNow() - TimeSpan.FromDays(1)));
        Assert.Equal(last, test.Db.Sequence);
    }

    [Theory, MemberData(nameof(Logged))]
    [Trait("Requirement", "RPL-13")]
    public void RPL_13_Nested_ones_outlive_their_parents_and_compaction(Durability mode)
    {
        using var test = new TestDatabase(mode, Small);
        var parent = test.Db.Runs.Begin("parent");
        var moments = Live(test, parent, 30);
        var fork = test.Db.Runs.Fork(parent.Id, moments[12].At, name: "fork");
        var own = Live(test, fork, 20);
        var nested = test.Db.Runs.Fork(fork.Id, own[5].At, name: "nested");
        var now = test.Db.Runs.Fork(nested.Id, name: "now");
        var untouched = test.Db.Runs.Fork(parent.Id, moments[3].At, name: "untouched");
        now.Kv.Put("own", 1);
        var hash = now.StateHash();
        test.Db.Runs.Delete(parent.Id);
        test.Db.Runs.Delete(fork.Id);
        for (var i = 0; i < 3; i++)
        {
            for (var commit = 0; commit < 60; commit++)
                test.Kv.Put($"k{commit % 4}", new string('y', 300));
            test.CheckpointAndForget();
            test.Db.Compact(null, TestContext.Current.CancellationToken);
        }

        Assert.True(test.Db.Engine.Path.Log.Device!.FirstPosition > 0);
        test.NowAndAfterReopening(() =>
        {
            Assert.Equal(own[5].Hash, test.Db.Runs.Get("nested")!.StateHash());
            Assert.Equal(hash, test.Db.Runs.Get("now")!.StateHash());
            Assert.Equal(moments[3].Hash, test.Db.Runs.Get("untouched")!.StateHash());
            Assert.False(test.Db.Runs.Exists(parent.Id));
        });
        Assert.True(test.Db.VerifyDeep().IsValid);
        test.Db.Runs.Delete(nested.Id);
        test.Db.Runs.Delete(now.Id);
        test.Db.Runs.Delete(untouched.Id);
        test.NowAndAfterReopening(() =>
        {
            foreach (var gone in new[] { parent, fork, nested, now, untouched })
                Assert.Null(test.Db.Engine.Catalogue.Find(gone.Id));
        });
    }

    [Theory, MemberData(nameof(Logged))]
    [Trait("Requirement", "RET-4")]
    public void RET_4_What_retention_has_let_go_of_is_refused_and_what_a_fork_needs_goes_with_it(Durability mode)
    {
        using var test = new TestDatabase(mode, Small);
        var moments = Live(test, test.Run, 20);
        var fork = test.Db.Runs.Fork(test.Run.Id, moments[4].At);
        Churn(test);
        var kept = test.Db.Runs.Fork(test.Run.Id, moments[2].At);          // everything is there still
        Assert.Equal(moments[2].Hash, kept.StateHash());
        Assert.Equal(moments[4].Hash, fork.StateHash());
        test.Db.Runs.Delete(fork.Id);
        test.Db.Runs.Delete(kept.Id);
        Churn(test);
        var before = test.Db.Sequence;
        var refused = Assert.Throws<HistoryTrimmedException>(() => test.Db.Runs.Fork(test.Run.Id, moments[4].At));
        Assert.Equal((moments[4].At, test.Run.Info.LastSequence), (refused.Requested, refused.Earliest));
        Assert.Equal(before, test.Db.Sequence);
    }

    private static void Churn(TestDatabase test)
    {
        for (var i = 0; i < 3; i++)
        {
            for (var commit = 0; commit < 60; commit++)
                test.Kv.Put("churn", new string('y', 300));
            test.Checkpoint();
            test.Db.Engine.Catalogue.SettleForks();
            test.Db.Compact(null, TestContext.Current.CancellationToken);
        }
    }

    [Fact]
    public void A_compaction_that_has_looked_before_the_fork_was_made_publishes_nothing()
    {
        using var test = new TestDatabase(Durability.Strict, Small);
        var moments = Live(test, test.Run, 20);
        for (var commit = 0; commit < 100; commit++)
            test.Kv.Put("churn", new string('y', 300));
        test.Checkpoint();
        test.Kv.Put("churn", 1);
        test.Checkpoint();
        Run? fork = null;
        var place = new AtPlace("compaction.synced-before-published", () => fork ??= test.Db.Runs.Fork(test.Run.Id, moments[4].At));
        using (Failpoint.Use(place))
            test.Db.Compact(null, TestContext.Current.CancellationToken);
        Assert.NotNull(fork);
        Assert.Equal(moments[4].Hash, fork.StateHash());
        test.Reopen(isKilled: true);
        Assert.Equal(moments[4].Hash, test.Db.Runs.Get(fork.Id)!.StateHash());
    }

    [Fact]
    [Trait("Requirement", "RCV-7")]
    public void RCV_7_Recovery_at_the_older_checkpoint_makes_forks_that_were_deleted_since()
    {
        using var test = new TestDatabase(Durability.Strict, Small);
        var moments = Live(test, test.Run, 20);
        var fork = test.Db.Runs.Fork(test.Run.Id, moments[4].At);
        for (var commit = 0; commit < 100; commit++)
            test.Kv.Put("churn", new string('y', 300));
        test.Checkpoint();
        fork.Kv.Put("k", 1);                                 // counts what the past has
        test.Db.Runs.Delete(fork.Id);
        for (var commit = 0; commit < 100; commit++)
            test.Kv.Put("churn", new string('y', 300));
        test.Checkpoint();
        test.Db.Engine.Catalogue.SettleForks();
        test.Db.Compact(null, TestContext.Current.CancellationToken);
        var hash = test.Db.StateHash();
        var newest = test.Db.Engine.Recovered!.Image.Value.Tables[0].Info.Path;
        test.Abandon();
        var image = DirectoryImage.Of((MemoryStorage)test.Storage);
        Array.Fill(image.Files[newest], (byte)0xEE);
        test.MoveTo(image.ToStorage());
        Assert.NotEmpty(test.Db.Recovery.CheckpointsRejected);
        Assert.Equal(hash, test.Db.StateHash());
    }

    [Theory, MemberData(nameof(Logged))]
    public void Where_events_were_trimmed_since_the_fork_has_them(Durability mode)
    {
        using var test = new TestDatabase(mode);
        for (var i = 0; i < 20; i++)
            test.Run.Events.Append("step", Value.Object(("i", i)));
        var at = test.Db.Sequence;
        for (var i = 20; i < 40; i++)
            test.Run.Events.Append("step", Value.Object(("i", i)));
        test.Run.Retention.Apply(Retention.KeepEvents(5));
        test.Maintain();
        Assert.True(test.Run.Events.Floor().Number.Value > 20);
        var fork = test.Db.Runs.Fork(test.Run.Id, at, name: "fork");
        Assert.Equal(20, fork.Info.EventCount);
        test.NowAndAfterReopening(() =>
        {
            var other = test.Db.Runs.Get("fork")!;
            Assert.Equal(20, other.Events.Count());
            Assert.Equal(3, other.Events.Get(new EventNumber(3))!.Payload!.Value["i"].AsInt64());
            Assert.True(other.Events.Verify().IsValid);
        });
        Assert.Equal(20UL, test.Db.Runs.Get("fork")!.Events.Append("step", Value.Object()).Number.Value);
        Assert.True(test.Db.Runs.Get("fork")!.Events.Verify().IsValid);
    }

    [Theory, MemberData(nameof(Logged))]
    [Trait("Requirement", "VER-7")]
    public void History_blame_and_difference_end_at_the_point(Durability mode)
    {
        using var test = new TestDatabase(mode);
        var parent = test.Db.Runs.Begin("parent");
        var first = parent.Kv.Put("k", 1);
        var second = parent.Kv.Put("k", 2);
        parent.Kv.Put("k", 3);
        parent.Kv.Put("later", 3);
        var fork = test.Db.Runs.Fork(parent.Id, second, name: "fork");
        var last = fork.Kv.Put("k", 4);
        test.NowAndAfterReopening(() =>
        {
            var other = test.Db.Runs.Get("fork")!;
            Assert.Equal([last, second, first], other.Kv.History("k").Select(item => item.Version));
            Assert.Empty(other.Kv.History("later"));
            Assert.Equal(2, other.Kv.GetAt("k", second)!.Value.AsInt64());
            Assert.Equal(last, other.Blame(new ItemAddress("kv", "k"))!.Sequence);
            Assert.Equal(new RunPoint(parent.Id, second), test.Db.Runs.CommonAncestor(parent.Id, other.Id));
            using var diff = test.Db.Diff(parent.Id, other.Id);
            Assert.Equal(["kv/k", "kv/later"], diff.Items().Select(item => item.Address.ToString()).Order());
        });
    }

    private sealed class AtPlace(string place, Action act) : FailpointPlan
    {
        internal override void Hit(string name)
        {
            if (name == place)
                act();
        }
    }
}
