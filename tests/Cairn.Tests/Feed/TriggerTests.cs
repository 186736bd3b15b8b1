#pragma warning disable xUnit1051 // what is waited for here comes at once or not at all
using Cairn.Storage;
using Cairn.Tests.Cli;
using Cairn.Tests.Transactions;
using Xunit;

namespace Cairn.Tests.Feed;

/// <summary>FEED-6 to FEED-8: triggers.</summary>
public class TriggerTests
{
    public static TheoryData<Durability> Modes => [Durability.InMemory, Durability.Buffered, Durability.Strict];

    private static TriggerDefinition Count(TriggerCondition when, string key = "fired") =>
        new() { When = when, Do = TriggerAction.Increment(key) };

    private static void Drive(TestDatabase world)
    {
        var job = world.Db.Engine.TriggerJob!;
        for (var steps = 0; job.HasWorkInSight && steps < 1_000; steps++)
            job.Step();
        Assert.False(job.HasWorkInSight, "the triggers never come to an end");
    }

    // ---- conditions -----------------------------------------------------------------------------------------------------------

    [Theory]
    [MemberData(nameof(Modes))]
    [Trait("Requirement", "FEED-6")]
    public void FEED_6_A_prefix_fires_once_for_each_commit_that_touches_it(Durability mode)
    {
        using var world = FeedBed.Open(mode);
        world.Run.Triggers.Create("t", Count(TriggerCondition.Prefix("kv", "user/")));
        world.Run.Triggers.Create("s", Count(TriggerCondition.Prefix("state", "user/"), "cells"));
        world.Kv.Put("user/ada", 1);
        world.Kv.Put("agent/ada", 1);
        world.Kv.Delete("user/ada");
        world.Run.Transact(tx =>
        {
            tx.Kv.Put("user/a", 1);
            tx.Kv.Put("user/b", 1);
            tx.State.Set("user/c", 1);
        });
        Drive(world);
        Assert.Equal((3, 1), (world.Kv.Number("fired"), world.Kv.Number("cells")));
        world.Reopen();
        Drive(world);
        Assert.Equal((3, 1), (world.Kv.Number("fired"), world.Kv.Number("cells")));
        Assert.Equal(3, world.Run.Triggers.Get("t")!.Fired);
    }

    [Theory]
    [MemberData(nameof(Modes))]
    [Trait("Requirement", "FEED-6")]
    public void FEED_6_An_event_fires_an_event_that_names_its_cause(Durability mode)
    {
        using var world = FeedBed.Open(mode);
        world.Run.Triggers.Create("note", new()
        {
            When = TriggerCondition.Event("tool_call"),
            Do = TriggerAction.AppendEvent("noted", Value.Object(("why", "a tool was called"))),
        });
        world.Run.Events.Append("other", Value.Object());
        var cause = world.Run.Events.Append("tool_call", Value.Object());
        Drive(world);
        var noted = Assert.Single(world.Run.Events.ByType("noted"));
        Assert.Equal("a tool was called", noted.Payload!.Value["why"].AsString());
        Assert.Equal((long)cause.Sequence.Value, noted.Payload!.Value["$trigger"]["sequence"].AsInt64());
        Assert.Equal("note", noted.Payload!.Value["$trigger"]["name"].AsString());
        Assert.Equal("trigger", world.Db.TransactionAt(noted.Sequence).Attributes.SourceKind);
        Assert.True(world.Run.Events.Verify().IsValid);
    }

    // value      5    12   15   3    -    10   text 11
    // edge            x                   x         x       where it begins to be met
    // level           x    x              x         x       wherever it is met
    [Theory]
    [MemberData(nameof(Modes))]
    [Trait("Requirement", "FEED-6")]
    public void FEED_6_A_threshold_fires_on_its_edge_or_on_its_level_also_over_restarts(Durability mode)
    {
        using var world = FeedBed.Open(mode);
        world.Kv.Put("n", 5);
        TriggerCondition When(TriggerMode how) => TriggerCondition.Threshold("kv", "n", TriggerComparison.AtLeast, 10, how);
        world.Run.Triggers.Create("edge", Count(When(TriggerMode.Edge), "edge"));
        world.Run.Triggers.Create("level", Count(When(TriggerMode.Level), "level"));
        foreach (var (value, edge, level) in new (Value?, int, int)[]
                 {
                     (12, 1, 1), (15.5, 1, 2), (3, 1, 2), (null, 1, 2), (10, 2, 3), ("text", 2, 3), (11, 3, 4), (12, 3, 5),
                 })
        {
            if (value is { } given)
                world.Kv.Put("n", given);
            else
                world.Kv.Delete("n");
            if (level % 2 == 0)
                world.Reopen(isKilled: level == 4);
            Drive(world);
            Assert.Equal((edge, level), (world.Kv.Number("edge") ?? 0, world.Kv.Number("level") ?? 0));
        }
    }

    [Fact]
    public void A_threshold_that_is_met_when_the_trigger_is_made_has_to_be_left_first()
    {
        using var world = FeedBed.Open(Durability.Buffered);
        world.Run.State.Set("budget", 1);
        world.Run.Triggers.Create("low", Count(TriggerCondition.Threshold("state", "budget", TriggerComparison.Below, 10)));
        world.Run.State.Set("budget", 2);
        Drive(world);
        Assert.Null(world.Kv.Number("fired"));
        world.Run.State.Set("budget", 10);
        world.Run.State.Set("budget", 9.5);
        Drive(world);
        Assert.Equal(1, world.Kv.Number("fired"));
    }

    // ---- actions --------------------------------------------------------------------------------------------------------------

    [Theory]
    [MemberData(nameof(Modes))]
    [Trait("Requirement", "FEED-6")]
    public void FEED_6_It_puts_compares_and_sets_and_writes_to_another_run(Durability mode)
    {
        using var world = FeedBed.Open(mode);
        var other = world.OtherRun();
        var when = TriggerCondition.Event("go");
        world.Run.Triggers.Create("put", new() { When = when, Do = TriggerAction.Put("put", "done"), Target = other.Id });
        world.Run.Triggers.Create("absent", new() { When = when, Do = TriggerAction.CompareAndSet("first", null, 1) });
        world.Run.Triggers.Create("present", new() { When = when, Do = TriggerAction.CompareAndSet("second", "old", "new") });
        world.Kv.Put("second", "old");
        world.Run.Events.Append("go", Value.Object());
        Drive(world);
        Assert.Equal(("done", 1, "new"), (other.Kv.Text("put"), world.Kv.Number("first"), world.Kv.Text("second")));
        world.Kv.Put("first", 7);
        world.Run.Events.Append("go", Value.Object());
        Drive(world);
        Assert.Equal((7, "new"), (world.Kv.Number("first"), world.Kv.Text("second")));
        Assert.All(world.Run.Triggers.List(), trigger => Assert.Equal((2L, TriggerState.Active), (trigger.Fired, trigger.State)));
    }

    // ---- own writes and chains ------------------------------------------------------------------------------------------------

    [Theory]
    [MemberData(nameof(Modes))]
    [Trait("Requirement", "FEED-7")]
    public void FEED_7_A_trigger_does_not_fire_on_its_own_writes(Durability mode)
    {
        using var world = FeedBed.Open(mode);
        world.Run.Triggers.Create("t", Count(TriggerCondition.Prefix("kv", "k"), "k/fired"));
        world.Kv.Put("k", 1);
        for (var i = 0; i < 5; i++)
            Drive(world);
        Assert.Equal(1, world.Kv.Number("k/fired"));
        world.Reopen();
        Drive(world);
        Assert.Equal(1, world.Kv.Number("k/fired"));
    }

    [Fact]
    [Trait("Requirement", "FEED-7")]
    public void FEED_7_A_chain_of_triggers_ends_at_eight_and_is_told()
    {
        using var world = FeedBed.Open(Durability.Buffered);
        world.Run.Triggers.Create("a", new() { When = TriggerCondition.Event("ping"), Do = TriggerAction.AppendEvent("pong") });
        world.Run.Triggers.Create("b", new() { When = TriggerCondition.Event("pong"), Do = TriggerAction.AppendEvent("ping") });
        world.Run.Events.Append("ping", Value.Object());
        Drive(world);
        Assert.Equal(9, world.Run.Events.Count());
        var stopped = Assert.Single(world.Run.Triggers.List(), trigger => trigger.State == TriggerState.Suspended);
        Assert.Contains("chain", stopped.Error, StringComparison.Ordinal);
        Assert.Equal(HealthStatus.Degraded, world.Db.Health.Status);
        world.Run.Triggers.Resume(stopped.Name);
        Drive(world);
        Assert.Equal((9L, HealthStatus.Healthy), (world.Run.Events.Count(), world.Db.Health.Status));
    }

    // ---- exactly once ---------------------------------------------------------------------------------------------------------

    [Theory]
    [InlineData(Durability.Strict)]
    [InlineData(Durability.Buffered)]
    [Trait("Requirement", "FEED-7")]
    [Trait("Requirement", "BUG-36")]
    [Trait("Kind", "Random")]
    public void FEED_7_Exactly_once_over_power_cuts(Durability mode)
    {
        var seed = Seeds.Begin(nameof(FEED_7_Exactly_once_over_power_cuts));
        for (var life = 0; life < Seeds.Scaled(10); life++)
        {
            var random = new Random((int)(seed >> 8) + life);
            var storage = new CrashStorage();
            using var world = new TestDatabase(mode, storage: storage);
            world.Run.Triggers.Create(
                "t", Count(TriggerCondition.Threshold("kv", "n", TriggerComparison.AtLeast, 1, TriggerMode.Level)));
            world.Db.Sync();
            for (var step = 0; step < 6; step++)
            {
                storage.PowerFailsAt = storage.Operations + 1 + random.Next(60);
                try
                {
                    for (var i = 0; i < 6; i++)
                    {
                        world.Kv.Increment("n");
                        if (random.Next(3) == 0)
                            world.Db.Engine.TriggerJob!.Step();
                        if (random.Next(12) == 0)
                            world.Checkpoint();
                    }

                    Drive(world);
                }
                catch (Exception end) when (end is PowerLossException or CairnException)
                {
                }

                storage = storage.Crash(seed + (ulong)(31 * life + step));
                world.MoveTo(storage);
            }

            Drive(world);
            Assert.Equal(world.Kv.Number("n") ?? 0, world.Kv.Number("fired") ?? 0);
            Assert.Equal(world.Kv.Number("n") ?? 0, world.Run.Triggers.Get("t")!.Fired);
        }
    }

    // The log below the older checkpoint may go, but for what a trigger has not looked at; and a trigger at rest holds nothing.
    [Fact]
    [Trait("Requirement", "FEED-7")]
    public void FEED_7_Compaction_leaves_what_a_trigger_has_not_looked_at()
    {
        using var world = FeedBed.Open(
            Durability.Strict, options => options with { Retention = Retention.KeepLast(1), SegmentBytesMax = 32 << 10 });
        world.Run.Triggers.Create("t", Count(TriggerCondition.Prefix("kv", "k")));
        Drive(world);
        void Fill()
        {
            for (var i = 0; i < 40; i++)
                world.Kv.Put("k", new string('x', 3_000));
            world.Checkpoint();
            world.Kv.Put("other", 1);
            world.Checkpoint();
        }

        Fill();
        Assert.Equal(0, world.Db.Compact().SegmentsDropped);
        Drive(world);
        Assert.Equal(40, world.Kv.Number("fired"));
        Fill();
        Drive(world);
        Assert.True(world.Db.Compact().SegmentsDropped > 0);
        world.Reopen();
        Drive(world);
        Assert.Equal(80, world.Kv.Number("fired"));
        world.Kv.Put("k", 1);
        Drive(world);
        Assert.Equal(81, world.Kv.Number("fired"));
    }

    // A rest must stay one: the writing of cursors is nobody's cause.
    [Fact]
    public void A_trigger_that_has_looked_at_everything_writes_nothing()
    {
        using var world = FeedBed.Open(Durability.Buffered);
        world.Run.Triggers.Create("t", Count(TriggerCondition.Prefix("kv", "k")));
        for (var i = 0; i < 1_500; i++)
            world.Kv.Put("other", i);
        Drive(world);
        var at = world.Sequence;
        for (var i = 0; i < 3; i++)
        {
            world.Checkpoint();
            world.Checkpoint();
            Drive(world);
        }

        Assert.Equal(at, world.Sequence);
        world.Kv.Put("k", 1);
        Drive(world);
        Assert.Equal(at + 2, world.Sequence);
    }

    [Fact]
    public void The_maintainer_fires_by_itself()
    {
        using var storage = new MemoryStorage();
        using var db = CairnDatabase.Open(storage, new CairnOptions { RandomSeed = 1 }, EngineHooks.None);
        db.Default.Triggers.Create("t", new() { When = TriggerCondition.Prefix("kv", "k"), Do = TriggerAction.AppendEvent("fired") });
        for (var i = 0UL; i < 3; i++)
        {
            db.Default.Kv.Put("k", (long)i);
            Assert.True(db.Default.Events.Wait(i, TimeSpan.FromSeconds(30)));
        }
    }

    // ---- states ---------------------------------------------------------------------------------------------------------------

    [Theory]
    [MemberData(nameof(Modes))]
    [Trait("Requirement", "FEED-6")]
    public void FEED_6_What_cannot_be_done_suspends_the_trigger_at_that_commit_and_is_told(Durability mode)
    {
        using var world = FeedBed.Open(mode, options => options with { SystemEvents = true });
        world.Run.Triggers.Create("t", Count(TriggerCondition.Event("go"), "text"));
        world.Kv.Put("text", "no number");
        world.Run.Events.Append("go", Value.Object());
        world.Run.Events.Append("go", Value.Object());
        Drive(world);
        world.NowAndAfterReopening(() =>
        {
            Drive(world);
            var stopped = world.Run.Triggers.Get("t")!;
            Assert.Equal((TriggerState.Suspended, 0L), (stopped.State, stopped.Fired));
            Assert.Contains("Int64", stopped.Error, StringComparison.Ordinal);
            var part = world.Db.Health.Parts.Single(part => part.Name == "triggers");
            Assert.Equal(HealthStatus.Degraded, part.Status);
        });
        world.Maintain();
        Assert.Contains(
            world.Db.Runs.Get("$sys")!.Events.ByType("health_change"), told => told.Payload!.Value["part"].AsString() == "triggers");
        world.Kv.Put("text", 40);
        world.Run.Triggers.Resume("t");
        Drive(world);
        Assert.Equal((42, TriggerState.Active), (world.Kv.Number("text"), world.Run.Triggers.Get("t")!.State));
        Assert.Equal(HealthStatus.Healthy, world.Db.Health.Parts.Single(part => part.Name == "triggers").Status);
    }

    [Theory]
    [MemberData(nameof(Modes))]
    [Trait("Requirement", "FEED-6")]
    public void FEED_6_It_is_suspended_resumed_completed_and_deleted(Durability mode)
    {
        using var world = FeedBed.Open(mode);
        var triggers = world.Run.Triggers;
        triggers.Create("t", Count(TriggerCondition.Prefix("kv", "k")) with { Times = 4 });
        void Touch() => world.Kv.Put("k", 1);
        Touch();
        Drive(world);
        triggers.Suspend("t");
        Touch();
        Drive(world);
        Assert.Equal((1, TriggerState.Suspended), (world.Kv.Number("fired"), triggers.Get("t")!.State));
        triggers.Resume("t");
        Drive(world);
        Assert.Equal(2, world.Kv.Number("fired"));
        triggers.Suspend("t");
        Touch();
        triggers.ResumeFromNow("t");
        Drive(world);
        Assert.Equal(2, world.Kv.Number("fired"));
        Touch();
        Touch();
        Touch();
        Drive(world);
        world.Reopen();
        triggers = world.Run.Triggers;
        Drive(world);
        Assert.Equal((4, TriggerState.Completed, 4L), (world.Kv.Number("fired"), triggers.Get("t")!.State, triggers.Get("t")!.Fired));
        Assert.Equal(ErrorCode.ConstraintViolation, TestValues.Refused(() => triggers.Resume("t")));
        Assert.True(triggers.Delete("t"));
        Assert.False(triggers.Delete("t"));
        Assert.Null(triggers.Get("t"));
        Touch();
        Drive(world);
        Assert.Equal(4, world.Kv.Number("fired"));
        foreach (var call in new Action[] { () => triggers.Suspend("t"), () => triggers.Resume("t"), () => triggers.ResumeFromNow("t") })
            Assert.Equal(ErrorCode.NotFound, TestValues.Refused(call));
    }

    [Theory]
    [MemberData(nameof(Modes))]
    public void A_paused_run_is_waited_for_and_a_closed_one_completes_its_triggers(Durability mode)
    {
        using var world = FeedBed.Open(mode);
        var run = world.OtherRun();
        run.Triggers.Create("t", Count(TriggerCondition.Prefix("kv", "k")));
        run.Kv.Put("k", 1);
        run.Pause();
        Drive(world);
        Assert.Null(run.Kv.Number("fired"));
        world.Reopen();
        run = world.OtherRun();
        Drive(world);
        run.Resume();
        Drive(world);
        Assert.Equal(1, run.Kv.Number("fired"));
        run.Kv.Put("k", 2);
        run.Complete();
        Drive(world);
        var ended = run.Triggers.Get("t")!;
        Assert.Equal((TriggerState.Completed, 1L), (ended.State, ended.Fired));
        Assert.Contains("Completed", ended.Error, StringComparison.Ordinal);
        Assert.Equal(HealthStatus.Healthy, world.Db.Health.Status);
    }

    [Theory]
    [MemberData(nameof(Modes))]
    public void With_its_run_a_trigger_is_gone_and_a_target_that_is_gone_suspends_it(Durability mode)
    {
        using var world = FeedBed.Open(mode);
        var (run, target) = (world.OtherRun(1), world.OtherRun(2));
        run.Triggers.Create("t", Count(TriggerCondition.Prefix("kv", "k")) with { Target = target.Id });
        run.Kv.Put("k", 1);
        Drive(world);
        Assert.Equal(1, target.Kv.Number("fired"));
        world.Db.Runs.Delete(target.Id);
        run.Kv.Put("k", 1);
        Drive(world);
        Assert.Equal(TriggerState.Suspended, run.Triggers.Get("t")!.State);
        var id = run.Id;
        world.Db.Runs.Delete(id);
        Drive(world);
        var again = world.Db.Runs.Begin(id: id);
        again.Kv.Put("k", 1);
        Drive(world);
        world.NowAndAfterReopening(() => Assert.Empty(world.Db.Runs.Get(id)!.Triggers.List()));
        Assert.Equal(HealthStatus.Healthy, world.Db.Health.Status);
        if (world.HasLog)
            Assert.Empty(world.Db.VerifyDeep().Findings);
    }

    [Theory]
    [MemberData(nameof(Modes))]
    public void A_fork_has_neither_the_triggers_nor_the_subscriptions_of_its_parent(Durability mode)
    {
        using var world = FeedBed.Open(mode);
        world.Run.Triggers.Create("t", Count(TriggerCondition.Prefix("kv", "k")));
        world.Run.Subscriptions.Create("s");
        world.Kv.Put("k", "parent's");
        Drive(world);
        var fork = world.Db.Runs.Fork(world.Run.Id);
        Assert.Empty(fork.Triggers.List());
        Assert.Empty(fork.Subscriptions.List());
        Assert.Null(fork.Triggers.Get("t"));
        fork.Kv.Put("k", 2);
        Drive(world);
        Assert.Equal(1, fork.Kv.Number("fired"));
        fork.Triggers.Create("t", Count(TriggerCondition.Prefix("kv", "k")));
        fork.Kv.Put("k", 3);
        Drive(world);
        Assert.Equal((2, 1), (fork.Kv.Number("fired"), world.Kv.Number("fired")));
        var values = new ChangeOptions { End = ChangeEnd.Now, Values = ChangeValues.BeforeAndAfter };
        var first = fork.Changes(null, new() { KeyPrefix = "k" }, values)
            .ToBlockingEnumerable(TestContext.Current.CancellationToken).First();
        Assert.Equal("\"parent's\" > 2", $"{first.Changes[0].Before} > {first.Changes[0].After}");
    }

    // ---- doors ----------------------------------------------------------------------------------------------------------------

    [Fact]
    [Trait("Requirement", "FEED-8")]
    public void What_cannot_be_is_refused_by_name()
    {
        using var world = FeedBed.Open(Durability.Buffered);
        ErrorCode Refused(
            TriggerCondition? when = null, TriggerAction? act = null, string name = "t",
            Func<TriggerDefinition, TriggerDefinition>? with = null)
        {
            var definition = new TriggerDefinition { When = when ?? TriggerCondition.Event("e"), Do = act ?? TriggerAction.Put("k", 1) };
            return TestValues.Refused(() => world.Run.Triggers.Create(name, with is null ? definition : with(definition)));
        }

        Assert.Equal(ErrorCode.InvalidName, Refused(name: "a/b"));
        Assert.Equal(ErrorCode.InvalidName, Refused(TriggerCondition.Event("")));
        Assert.Equal(ErrorCode.InvalidArgument, Refused(TriggerCondition.Prefix("vectors", "k")));
        Assert.Equal(ErrorCode.InvalidKey, Refused(TriggerCondition.Prefix("kv", "")));
        Assert.Equal(ErrorCode.InvalidArgument, Refused(TriggerCondition.Threshold("kv", "k", TriggerComparison.Above, double.NaN)));
        Assert.Equal(ErrorCode.InvalidArgument, Refused(TriggerCondition.Threshold("kv", "k", (TriggerComparison)9, 1)));
        Assert.Equal(ErrorCode.InvalidKey, Refused(act: TriggerAction.Put("$k", 1)));
        Assert.Equal(ErrorCode.InvalidName, Refused(act: TriggerAction.AppendEvent("$e")));
        Assert.Equal(ErrorCode.WrongType, Refused(act: TriggerAction.AppendEvent("e", 1)));
        Assert.Equal(ErrorCode.LimitExceeded, Refused(act: TriggerAction.Put(new string('k', 1_025), 1)));
        Assert.Equal(ErrorCode.InvalidArgument, Refused(with: definition => definition with { Times = 0 }));
        Assert.Equal(ErrorCode.NotFound, Refused(with: definition => definition with { Target = new RunId(Guid.NewGuid()) }));
        Assert.Equal(ErrorCode.ReadOnly, Refused(with: definition => definition with { Target = RunId.System }));
        world.Run.Triggers.Create("t", Count(TriggerCondition.Event("e")));
        Assert.Equal(ErrorCode.AlreadyExists, Refused());
        ErrorCode RefusedOn(Run run) => TestValues.Refused(() => run.Triggers.Create("t", Count(TriggerCondition.Event("e"))));
        Assert.Equal(ErrorCode.ReadOnly, RefusedOn(world.Db.Runs.Get("$sys")!));
        var closed = world.OtherRun();
        closed.Complete();
        Assert.Equal(ErrorCode.RunClosed, RefusedOn(closed));
        using var db = CairnDatabase.OpenInMemory();
        Assert.Equal(ErrorCode.InvalidArgument, RefusedOn(db.Default));
    }

    [Fact]
    [Trait("Requirement", "LIM-28")]
    [Trait("Requirement", "LIM-40")]
    public void LIM_28_A_run_has_so_many_triggers()
    {
        using var world = FeedBed.Open(Durability.Buffered, options => options with { Limits = new Limits { TriggersMax = 2 } });
        for (var i = 0; i < 2; i++)
            world.Run.Triggers.Create($"t{i}", Count(TriggerCondition.Event("e")));
        void Judge()
        {
            var refused = Assert.Throws<LimitException>(() => world.Run.Triggers.Create("more", Count(TriggerCondition.Event("e"))));
            Assert.Equal((nameof(Limits.TriggersMax), 2L, 3L), (refused.Limit, refused.Allowed, refused.Actual));
        }

        Judge();
        world.OtherRun().Triggers.Create("more", Count(TriggerCondition.Event("e")));
        world.CheckpointAndForget();
        world.Reopen();
        Judge();
        world.Run.Triggers.Delete("t0");
        world.Run.Triggers.Create("more", Count(TriggerCondition.Event("e")));
    }

    [Fact]
    [Trait("Requirement", "FEED-6")]
    [Trait("Requirement", "FEED-8")]
    public void The_shell_makes_lists_stops_and_deletes_triggers()
    {
        using var bed = new CliBed();
        bed.Good("run", "begin", "r");
        bed.Good(
            "trigger", "create", "low", "--of", "r", "--when", "threshold state budget < 10", "--do", "append low {\"a\":1}", "--times",
            "3");
        bed.Good("trigger", "create", "count", "--of", "r", "--when", "prefix kv user/", "--do", "increment users 2");
        bed.Good("trigger", "create", "cas", "--of", "r", "--when", "event done", "--do", "cas state \"open\" \"shut\"");
        bed.Good("trigger", "create", "put", "--of", "r", "--when", "event done", "--do", "put last {\"x\":[1]}", "--target", "default");
        Assert.Equal(4, bed.Good("trigger", "list", "--of", "r").Split('\n').Length);
        var low = bed.Json("trigger", "list", "--of", "r").Single(row => row["name"].AsString() == "low");
        Assert.Equal(
            ("threshold state budget < 10 edge", "append low {\"a\":1}", "Active"),
            (low["when"].AsString(), low["do"].AsString(), low["state"].AsString()));
        bed.Good("trigger", "suspend", "count", "--of", "r");
        Assert.Contains("Suspended", bed.Good("trigger", "list", "--of", "r"), StringComparison.Ordinal);
        bed.Good("trigger", "resume", "count", "--of", "r");
        bed.Good("trigger", "suspend", "count", "--of", "r");
        bed.Good("trigger", "resume", "count", "--of", "r", "--from-now");
        Assert.Equal("deleted", bed.Good("trigger", "delete", "count", "--of", "r"));
        Assert.Equal(1, bed.Run("trigger", "delete", "count", "--of", "r").Exit);
        Assert.Equal(1, bed.Run("trigger", "suspend", "count", "--of", "r").Exit);
        foreach (var (when, act) in new[]
                 {
                     ("filter a > 1", "put k 1"), ("search words", "put k 1"), ("event e", "webhook http://example.org"),
                 })
        {
            var refused = bed.Run("trigger", "create", "no", "--of", "r", "--when", when, "--do", act, "--json");
            Assert.Equal(3, refused.Exit);
            Assert.Contains((when + act).Contains("webhook", StringComparison.Ordinal) ? "webhook" : when.Split(' ')[0],
                refused.ErrorJson["message"].AsString(), StringComparison.Ordinal);
        }

        foreach (var (when, act) in new[] { ("", "put k 1"), ("threshold kv k", "put k 1"), ("event e", "put k"), ("event e", "put k {") })
            Assert.NotEqual(0, bed.Run("trigger", "create", "no", "--of", "r", "--when", when, "--do", act).Exit);
    }
}
