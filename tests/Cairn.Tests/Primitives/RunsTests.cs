using Xunit;

namespace Cairn.Tests.Primitives;

public class RunsTests
{
    public static TheoryData<Durability> Modes => RunWorld.Modes;

    public static TheoryData<Durability> DurableModes => RunWorld.DurableModes;

    // ---- beginning and finding ------------------------------------------------------------------------------------------------

    [Theory, MemberData(nameof(Modes))]
    public void RUN_1_A_begun_run_is_active_and_found_by_name_and_id(Durability mode)
    {
        using var world = new RunWorld(mode);
        var run = world.Db.Runs.Begin("refund-4711", tags: ["a", "b", "a"], metadata: Value.Object(("tier", "gold")));
        var info = world.Db.Runs.Get("refund-4711")!.Info;
        Assert.Equal(run.Id, info.Id);
        Assert.Equal("refund-4711", info.Name);
        Assert.Equal(RunStatus.Active, info.Status);
        Assert.Equal(["a", "b"], info.Tags);
        Assert.Equal("gold", info.Metadata["tier"].AsString());
        Assert.Equal(world.Clock.Now, info.Created);
        Assert.Equal(info.Created, info.Updated);
        Assert.Null(info.Completed);
        Assert.Null(info.Error);
        Assert.Null(info.Result);
        Assert.Null(info.Parent);
        Assert.Equal(new Sequence(1), info.Version);
        Assert.Equal(new Sequence(1), info.FirstSequence);
        Assert.Equal(new Sequence(1), info.LastSequence);
        Assert.False(info.IsOrphaned);
        Assert.True(world.Db.Runs.TryGet(run.Id, out var byId));
        Assert.Equal("refund-4711", byId.Name);
        Assert.True(world.Db.Runs.Exists(run.Id.ToString()));
        Assert.Equal(7, (run.Id.ToGuid().ToByteArray(bigEndian: true)[6] >> 4));
    }

    [Theory, MemberData(nameof(Modes))]
    public void RUN_1_A_name_or_id_that_is_taken_is_refused_and_logs_nothing(Durability mode)
    {
        using var world = new RunWorld(mode);
        var run = world.Db.Runs.Begin("one");
        var before = world.Db.Sequence;
        Assert.Equal(ErrorCode.AlreadyExists, Code(() => world.Db.Runs.Begin("one")));
        Assert.Equal(ErrorCode.AlreadyExists, Code(() => world.Db.Runs.Begin("two", id: run.Id)));
        Assert.Equal(ErrorCode.AlreadyExists, Code(() => world.Db.Runs.Begin("default")));
        Assert.Equal(ErrorCode.AlreadyExists, Code(() => world.Db.Runs.Begin(id: RunId.Default)));
        Assert.Equal(
            ErrorCode.NotFound, Code(() => world.Db.Runs.Begin(parent: new RunId(Guid.Parse("01890000-0000-7000-8000-000000000001")))));
        Assert.Equal(before, world.Db.Sequence);
        Assert.False(world.Db.Runs.Exists("two"));
        Assert.Equal(1, world.Db.Runs.Count());
    }

    [Fact]
    public void RUN_1_A_given_id_is_kept()
    {
        using var world = new RunWorld(Durability.Strict);
        var id = new RunId(Guid.Parse("01890000-0000-7000-8000-0000000000aa"));
        Assert.Equal(id, world.Db.Runs.Begin(id: id).Id);
        world.CloseAndReopen();
        Assert.True(world.Db.Runs.Exists(id));
        Assert.Equal(ErrorCode.InvalidArgument, Code(() => world.Db.Runs.Begin(id: default(RunId))));
    }

    [Fact]
    public void NAM_2_Names_and_tags_are_checked_at_the_door()
    {
        using var world = new RunWorld(Durability.InMemory, new Limits { TagsMax = 2, MetadataBytesMax = 32 });
        var runs = world.Db.Runs;
        foreach (var name in new[] { "", "$mine", "a/b", "a\nb", "\ud800", "01890000-0000-7000-8000-0000000000aa" })
            Assert.Equal(ErrorCode.InvalidName, Code(() => runs.Begin(name)));
        Assert.Equal(ErrorCode.LimitExceeded, Code(() => runs.Begin(new string('n', 257))));
        runs.Begin(new string('n', 256));
        Assert.Equal(ErrorCode.InvalidName, Code(() => runs.Begin(tags: ["$t"])));
        Assert.Equal(ErrorCode.LimitExceeded, Code(() => runs.Begin(tags: ["a", "b", "c"])));
        runs.Begin(tags: ["a", "b", "a"]);
        Assert.Equal(ErrorCode.WrongType, Code(() => runs.Begin(metadata: 5)));
        Assert.Equal(ErrorCode.LimitExceeded, Code(() => runs.Begin(metadata: Value.Object(("m", new string('x', 40))))));
        Assert.Equal(2, runs.Count());
    }

    [Theory, MemberData(nameof(Modes))]
    public void RUN_2_Default_always_exists_and_cannot_end(Durability mode)
    {
        using var world = new RunWorld(mode);
        var run = world.Db.Runs.Get("default")!;
        Assert.Equal(RunId.Default, run.Id);
        Assert.Equal(RunStatus.Active, run.Status);
        Assert.Null(run.Info.Created);
        Assert.Equal(ErrorCode.InvalidTransition, Code(() => run.Complete()));
        Assert.Equal(ErrorCode.InvalidTransition, Code(() => run.Pause()));
        Assert.Equal(ErrorCode.InvalidTransition, Code(() => run.Archive()));
        Assert.Equal(ErrorCode.InvalidArgument, Code(() => world.Db.Runs.Delete(run.Id)));
        Assert.Equal(Sequence.None, world.Db.Sequence);
        run.AddTags("kept");
        run.UpdateMetadata(Value.Object(("a", 1)));
        Assert.Equal(["kept"], run.Info.Tags);
        Assert.Equal(1, run.Info.Metadata["a"].AsInt64());
        Assert.Equal(0, world.Db.Runs.Count());
        Assert.Empty(world.Db.Runs.List());
        Assert.Empty(world.Db.Runs.List(new RunFilter { Tag = "kept" }));
    }

    [Fact]
    public void RUN_2_The_engines_own_run_is_readable_and_not_writable()
    {
        using var world = new RunWorld(Durability.Buffered);
        var system = world.Db.Runs.Get("$sys")!;
        Assert.Equal("$sys", system.Name);
        Assert.Equal(ErrorCode.ReadOnly, Code(() => system.Kv.Put("a", 1)));
        Assert.Equal(ErrorCode.ReadOnly, Code(() => system.AddTags("a")));
        Assert.Equal(ErrorCode.ReadOnly, Code(() => system.Complete()));
        Assert.Equal(ErrorCode.ReadOnly, Code(() => world.Db.Runs.Delete(RunId.System)));
    }

    // ---- status ---------------------------------------------------------------------------------------------------------------

    public static TheoryData<RunStatus, RunStatus, bool> Changes
    {
        get
        {
            var data = new TheoryData<RunStatus, RunStatus, bool>();
            var allowed = new HashSet<(RunStatus, RunStatus)>
            {
                (RunStatus.Active, RunStatus.Paused), (RunStatus.Active, RunStatus.Completed), (RunStatus.Active, RunStatus.Failed),
                (RunStatus.Active, RunStatus.Cancelled), (RunStatus.Active, RunStatus.Archived), (RunStatus.Paused, RunStatus.Active),
                (RunStatus.Paused, RunStatus.Cancelled), (RunStatus.Paused, RunStatus.Archived), (RunStatus.Completed, RunStatus.Archived),
                (RunStatus.Failed, RunStatus.Archived), (RunStatus.Cancelled, RunStatus.Archived),
            };
            foreach (var from in Enum.GetValues<RunStatus>())
            {
                foreach (var to in Enum.GetValues<RunStatus>())
                    data.Add(from, to, allowed.Contains((from, to)));
            }

            return data;
        }
    }

    [Theory, MemberData(nameof(Changes))]
    public void RUN_4_Exactly_the_drawn_changes_of_status_are_possible(RunStatus from, RunStatus to, bool isAllowed)
    {
        using var world = new RunWorld(Durability.InMemory);
        var alone = world.Db.Runs.Begin();
        var inTransaction = world.Db.Runs.Begin();
        if (from != RunStatus.Active)
        {
            Change(alone, from);
            Change(inTransaction, from);
        }

        if (isAllowed)
        {
            Change(alone, to);
            inTransaction.Transact(tx => Change(tx.Run, to));
        }
        else
        {
            var refused = Assert.Throws<InvalidTransitionException>(() => Change(alone, to));
            Assert.Equal((from, to), (refused.From, refused.To));
            refused = Assert.Throws<InvalidTransitionException>(() => inTransaction.Transact(tx => Change(tx.Run, to)));
            Assert.Equal((from, to), (refused.From, refused.To));
        }

        Assert.Equal(isAllowed ? to : from, alone.Status);
        Assert.Equal(isAllowed ? to : from, inTransaction.Status);
        Assert.Equal(isAllowed ? to : from, alone.Info.Status);
    }

    private static void Change(Run run, RunStatus to)
    {
        switch (to)
        {
            case RunStatus.Active:
                run.Resume();
                return;
            case RunStatus.Paused:
                run.Pause();
                return;
            case RunStatus.Completed:
                run.Complete();
                return;
            case RunStatus.Failed:
                run.Fail("e");
                return;
            case RunStatus.Cancelled:
                run.Cancel();
                return;
            default:
                run.Archive();
                return;
        }
    }

    private static void Change(TransactionRun run, RunStatus to)
    {
        switch (to)
        {
            case RunStatus.Active:
                run.Resume();
                return;
            case RunStatus.Paused:
                run.Pause();
                return;
            case RunStatus.Completed:
                run.Complete();
                return;
            case RunStatus.Failed:
                run.Fail("e");
                return;
            case RunStatus.Cancelled:
                run.Cancel();
                return;
            default:
                run.Archive();
                return;
        }
    }

    [Theory, MemberData(nameof(Modes))]
    public void RUN_5_A_closed_run_is_not_resurrected(Durability mode)
    {
        using var world = new RunWorld(mode);
        var run = world.Db.Runs.Begin("done");
        run.Complete(42);
        Assert.Throws<InvalidTransitionException>(() => run.Resume());
        Assert.Throws<InvalidTransitionException>(() => world.Db.Runs.Resume(run.Id));
        Assert.Throws<InvalidTransitionException>(() => run.Complete());
        Assert.Equal(42, run.Info.Result!.Value.AsInt64());
        Assert.Equal(world.Clock.Now, run.Info.Completed);
    }

    [Theory, MemberData(nameof(Modes))]
    public void RUN_6_Ends_keep_what_they_were_given(Durability mode)
    {
        using var world = new RunWorld(mode);
        var runs = world.Db.Runs;
        var failed = runs.Begin("failed");
        failed.Fail("tool broke");
        var aborted = runs.Begin("aborted");
        runs.Abort(aborted.Id, "gone");
        var cancelled = runs.Begin("cancelled");
        cancelled.Cancel("no need");
        var nothing = runs.Begin("nothing");
        nothing.Complete();
        var isNull = runs.Begin("null");
        isNull.Complete(Value.Null);
        world.Clock.Advance(TimeSpan.FromSeconds(1));
        failed.Archive();
        Assert.Equal(("tool broke", RunStatus.Archived), (failed.Info.Error, failed.Status));
        Assert.True(failed.Info.Completed < failed.Info.Updated);
        Assert.Equal(("gone", RunStatus.Failed), (aborted.Info.Error, aborted.Status));
        Assert.Equal(("no need", RunStatus.Cancelled), (cancelled.Info.Error, cancelled.Status));
        Assert.Null(nothing.Info.Result);
        Assert.Equal(Value.Null, isNull.Info.Result);
    }

    [Theory, MemberData(nameof(Modes))]
    public void RUN_6_Last_writes_and_the_end_are_one_commit(Durability mode)
    {
        using var world = new RunWorld(mode);
        var run = world.Db.Runs.Begin();
        var before = world.Db.Sequence.Value;
        run.Transact(tx =>
        {
            tx.Kv.Put("answer", 42);
            tx.Run.AddTags("ready");
            tx.Run.Complete("fine");
            Assert.Equal(RunStatus.Completed, tx.Run.Status);
            Assert.Equal(["ready"], tx.Run.Info.Tags);
            Assert.Equal("fine", tx.Run.Info.Result!.Value.AsString());
        });
        Assert.Equal(before + 1, world.Db.Sequence.Value);
        Assert.Equal(42, run.Kv.Get("answer")!.Value.AsInt64());
        Assert.Equal(RunStatus.Completed, run.Status);
        Assert.Equal(new Sequence(before + 1), run.Info.Version);
    }

    [Theory, MemberData(nameof(Modes))]
    public void RUN_7_A_closed_run_takes_no_writes_but_tags_metadata_archive_and_delete(Durability mode)
    {
        using var world = new RunWorld(mode);
        var run = world.Db.Runs.Begin();
        run.Kv.Put("a", 1);
        run.Complete();
        var refused = Assert.Throws<RunClosedException>(() => run.Kv.Put("a", 2));
        Assert.Equal(RunStatus.Completed, refused.Status);
        Assert.Equal(ErrorCode.RunClosed, refused.Code);
        Assert.Throws<RunClosedException>(() => run.Transact(tx => tx.Kv.Put("a", 3)));
        Assert.Equal(1, run.Kv.Get("a")!.Value.AsInt64());
        run.AddTags("t");
        run.RemoveTags("t");
        run.UpdateMetadata(Value.Object(("k", 1)));
        run.Transact(tx => tx.Run.AddTags("u"));
        run.Archive();
        Assert.Equal(["u"], run.Info.Tags);
        world.Db.Runs.Delete(run.Id);
    }

    [Fact]
    public void RUN_7_A_paused_run_takes_writes_again_when_resumed_also_in_the_same_transaction()
    {
        using var world = new RunWorld(Durability.Strict);
        var run = world.Db.Runs.Begin();
        run.Pause();
        Assert.Throws<RunClosedException>(() => run.Kv.Put("a", 1));
        run.Transact(tx =>
        {
            tx.Run.Resume();
            tx.Kv.Put("a", 1);
        });
        Assert.Equal(RunStatus.Active, run.Status);
        run.Transact(tx =>
        {
            tx.Run.Pause();
            tx.Run.Resume();
            tx.Run.Complete();
            Assert.Throws<RunClosedException>(() => tx.Kv.Put("b", 1));
        });
        Assert.Equal(RunStatus.Completed, run.Status);
        world.CloseAndReopen();
        Assert.Equal(RunStatus.Completed, world.Db.Runs.Get(run.Id)!.Status);
    }

    [Fact]
    public void RUN_7_In_a_transaction_over_two_runs_each_is_judged_by_its_own_writes()
    {
        using var world = new RunWorld(Durability.Buffered);
        var closed = world.Db.Runs.Begin();
        closed.Complete();
        var open = world.Db.Runs.Begin();
        world.Db.Transact([closed, open], tx =>
        {
            tx.On(closed).AddTags("seen");
            tx.On(open).Kv.Put("a", 1);
        });
        Assert.Equal(["seen"], closed.Info.Tags);
        Assert.Throws<RunClosedException>(() => world.Db.Transact([closed, open], tx =>
        {
            tx.On(closed).Kv.Put("a", 1);
            tx.On(open).Kv.Put("a", 2);
        }));
        Assert.Equal(1, open.Kv.Get("a")!.Value.AsInt64());
    }

    [Theory]
    [InlineData(Isolation.Serializable)]
    [InlineData(Isolation.Snapshot)]
    public void RUN_5_Of_two_transactions_that_end_a_run_the_later_sees_the_end(Isolation isolation)
    {
        using var world = new RunWorld(Durability.InMemory);
        var run = world.Db.Runs.Begin();
        using var late = run.BeginTransaction(new TransactionOptions { Isolation = isolation });
        late.Run.Fail("late");
        run.Complete();
        Assert.Throws<ConflictException>(() => late.Commit());
        Assert.Equal(RunStatus.Completed, run.Status);
    }

    // ---- listing --------------------------------------------------------------------------------------------------------------

    [Theory, MemberData(nameof(Modes))]
    public void RUN_8_Lists_filter_by_status_tag_name_time_and_parent(Durability mode)
    {
        using var world = new RunWorld(mode);
        var runs = world.Db.Runs;
        var start = world.Clock.Now;
        var parent = runs.Begin("parent");
        world.Clock.Advance(TimeSpan.FromSeconds(1));
        var a = runs.Begin("job-a", parent.Id, ["red", "hot"]);
        world.Clock.Advance(TimeSpan.FromSeconds(1));
        var b = runs.Begin("job-b", parent.Id, ["red"]);
        var c = runs.Begin(null, RunId.Default, ["reddish"]);
        b.Complete();
        List<RunId> All(RunFilter filter)
        {
            var ids = runs.List(filter).Select(info => info.Id).ToList();
            Assert.Equal(ids.Count, runs.Count(filter));
            var reversed = runs.List(filter with { Reverse = true }).Select(info => info.Id);
            Assert.Equal(ids, reversed.Reverse());
            return ids;
        }

        Assert.Equal([parent.Id, a.Id, b.Id, c.Id], All(new RunFilter()));
        Assert.Equal([parent.Id, a.Id, c.Id], All(new RunFilter { Status = RunStatus.Active }));
        Assert.Equal([b.Id], All(new RunFilter { Status = RunStatus.Completed }));
        Assert.Equal([a.Id, b.Id], All(new RunFilter { Tag = "red" }));
        Assert.Equal([a.Id], All(new RunFilter { Tag = "red", Status = RunStatus.Active }));
        Assert.Equal([a.Id, b.Id], All(new RunFilter { NamePrefix = "job-" }));
        Assert.Equal([a.Id], All(new RunFilter { From = start.AddSeconds(1), To = start.AddSeconds(2) }));
        Assert.Equal([a.Id, b.Id], All(new RunFilter { Parent = parent.Id }));
        Assert.Equal([c.Id], All(new RunFilter { Parent = RunId.Default }));
        Assert.Equal([a.Id], All(new RunFilter { Parent = parent.Id, Tag = "hot" }));
        Assert.Equal([a.Id, b.Id], runs.Children(parent.Id).Select(info => info.Id));
        Assert.Equal(4, runs.Count());
        Assert.Equal(ErrorCode.InvalidName, Code(() => runs.List(new RunFilter { Tag = "a/b" })));
    }

    [Theory, MemberData(nameof(Modes))]
    public void RUN_8_Pages_show_one_snapshot_and_give_each_run_once(Durability mode)
    {
        using var world = new RunWorld(mode);
        var runs = world.Db.Runs;
        var begun = Enumerable.Range(0, 10).Select(i => runs.Begin($"r{i}", tags: i % 3 == 0 ? ["third"] : [])).ToList();
        var filter = new RunFilter { Limit = 2, NamePrefix = "r" };
        var page = runs.List(filter);
        runs.Delete(begun[3].Id);
        begun[4].Complete();
        runs.Begin("r-late");
        var seen = page.ToList();
        while (page.Cursor is { } cursor)
        {
            Assert.Equal(ErrorCode.InvalidArgument, Code(() => runs.List(filter with { NamePrefix = "x", Cursor = cursor })));
            page = runs.List(filter with { Cursor = cursor });
            seen.AddRange(page);
        }

        Assert.Equal(begun.Select(run => run.Id), seen.Select(info => info.Id));
        Assert.All(seen, info => Assert.Equal(RunStatus.Active, info.Status));
        var third = new RunFilter { Tag = "third", Status = RunStatus.Active, Limit = 1 };
        Assert.Equal(begun[0].Id, Assert.Single(runs.List(third)).Id);
        Assert.Equal(3, runs.Count(third));
        Assert.Equal(ErrorCode.LimitExceeded, Code(() => runs.List(new RunFilter { Limit = 1001 })));
    }

    [Theory, MemberData(nameof(Modes))]
    public void RUN_8_Ancestors_go_up_to_the_first_or_to_a_deleted_parent(Durability mode)
    {
        using var world = new RunWorld(mode);
        var runs = world.Db.Runs;
        var a = runs.Begin("a");
        var b = runs.Begin("b", a.Id);
        var c = runs.Begin("c", b.Id);
        Assert.Equal([b.Id, a.Id], runs.Ancestors(c.Id).Select(info => info.Id));
        Assert.Empty(runs.Ancestors(a.Id));
        runs.Delete(a.Id);
        Assert.Equal([b.Id], runs.Ancestors(c.Id).Select(info => info.Id));
        Assert.Equal(a.Id, b.Info.Parent);
        Assert.Equal([b.Id], runs.Children(a.Id).Select(info => info.Id));
        Assert.Equal(ErrorCode.NotFound, Code(() => runs.Ancestors(a.Id)));
        Assert.Equal(ErrorCode.NotFound, Code(() => runs.Begin("d", a.Id)));

        // The id again, below what was its child: the way up must end.
        runs.Begin("a", b.Id, id: a.Id);
        Assert.Equal([b.Id, a.Id], runs.Ancestors(c.Id).Select(info => info.Id));
    }

    // ---- tags and metadata ----------------------------------------------------------------------------------------------------

    [Theory, MemberData(nameof(Modes))]
    public void RUN_9_Adders_of_different_tags_all_succeed(Durability mode)
    {
        using var world = new RunWorld(mode, new Limits { TagsMax = 100 });
        var run = world.Db.Runs.Begin();
        var threads = Enumerable.Range(0, 4).Select(t => new Thread(() =>
        {
            for (var i = 0; i < 20; i++)
            {
                if (i % 2 == 0)
                    run.AddTags($"t{t}-{i}");
                else
                    run.Transact(tx => tx.Run.AddTags($"t{t}-{i}"), new TransactionOptions { Retries = 0 });
                run.UpdateMetadata(Value.Object(($"m{t}-{i}", i)));
            }
        })).ToList();
        threads.ForEach(thread => thread.Start());
        threads.ForEach(thread => thread.Join());
        Assert.Equal(80, run.Info.Tags.Distinct().Count());
        Assert.Equal(80, run.Info.Metadata.Count);
        Assert.Equal(161UL, world.Db.Sequence.Value);
    }

    [Theory, MemberData(nameof(Modes))]
    public void RUN_9_Metadata_changes_by_merge_patch(Durability mode)
    {
        using var world = new RunWorld(mode);
        var run = world.Db.Runs.Begin(metadata: Value.FromJson("""{"a":"b","c":{"d":"e","f":"g"}}"""));
        run.UpdateMetadata(Value.FromJson("""{"a":"z","c":{"f":null}}"""));
        Assert.Equal("""{"a":"z","c":{"d":"e"}}""", run.Info.Metadata.ToJson());
        run.Transact(tx =>
        {
            tx.Run.UpdateMetadata(Value.FromJson("""{"c":5}"""));
            tx.Run.UpdateMetadata(Value.FromJson("""{"c":{"x":1}}"""));
            Assert.Equal("""{"a":"z","c":{"x":1}}""", tx.Run.Info.Metadata.ToJson());
        });
        Assert.Equal("""{"a":"z","c":{"x":1}}""", run.Info.Metadata.ToJson());
        Assert.Equal(ErrorCode.WrongType, Code(() => run.UpdateMetadata(5)));
    }

    [Theory, MemberData(nameof(Modes))]
    public void RUN_9_Tags_and_metadata_of_one_transaction_are_judged_together(Durability mode)
    {
        using var world = new RunWorld(mode, new Limits { TagsMax = 3, MetadataBytesMax = 64 });
        var run = world.Db.Runs.Begin(tags: ["a", "b"]);
        var before = world.Db.Sequence;
        Assert.Equal(ErrorCode.LimitExceeded, Code(() => run.AddTags("c", "d")));
        Assert.Equal(ErrorCode.LimitExceeded, Code(() => run.Transact(tx =>
        {
            tx.Run.AddTags("c");
            tx.Run.AddTags("d");
        })));
        Assert.Equal(ErrorCode.LimitExceeded, Code(() => run.Transact(tx =>
        {
            tx.Run.UpdateMetadata(Value.Object(("x", new string('x', 30))));
            tx.Run.UpdateMetadata(Value.Object(("y", new string('y', 30))));
        })));
        Assert.Equal(before, world.Db.Sequence);
        run.Transact(tx =>
        {
            tx.Run.AddTags("x", "c");
            tx.Run.RemoveTags("a", "x");
            tx.Run.AddTags("d");
            Assert.Equal(["b", "c", "d"], tx.Run.Info.Tags);
        });
        Assert.Equal(["b", "c", "d"], run.Info.Tags);
        Assert.Empty(world.Db.Runs.List(new RunFilter { Tag = "a" }));
        Assert.Single(world.Db.Runs.List(new RunFilter { Tag = "d" }));
        Assert.Equal(Sequence.None, run.AddTags());
    }

    [Fact]
    public void LIM_14_A_lowered_limit_lets_old_records_shrink()
    {
        var disk = new Cairn.Storage.MemoryStorage();
        var hooks = new EngineHooks { IsMaintenanceManual = true };
        RunId id;
        using (var db = CairnDatabase.Open(disk, new CairnOptions(), hooks))
            id = db.Runs.Begin(tags: ["a", "b", "c", "d"], metadata: Value.Object(("k", new string('x', 100)), ("l", 1))).Id;
        using (var db = CairnDatabase.Open(disk, new CairnOptions { Limits = new Limits { TagsMax = 2, MetadataBytesMax = 50 } }, hooks))
        {
            var run = db.Runs.Get(id)!;
            Assert.Equal(4, run.Info.Tags.Count);
            Assert.Equal(ErrorCode.LimitExceeded, Code(() => run.AddTags("e")));
            run.RemoveTags("a");
            Assert.Equal(3, run.Info.Tags.Count);
            run.UpdateMetadata(Value.Object(("l", Value.Null)));
            Assert.Equal(ErrorCode.LimitExceeded, Code(() => run.UpdateMetadata(Value.Object(("l", 1)))));
        }
    }

    // ---- deleting -------------------------------------------------------------------------------------------------------------

    [Theory, MemberData(nameof(Modes))]
    public void RUN_10_Deletion_is_one_commit_with_a_receipt(Durability mode)
    {
        using var world = new RunWorld(mode);
        var runs = world.Db.Runs;
        var run = runs.Begin("gone", tags: ["t"]);
        for (var i = 0; i < 5; i++)
            run.Kv.Put($"k{i}", i);
        run.Kv.Delete("k0");
        run.Complete("result");
        using var snapshot = run.Snapshot();
        var before = world.Db.Sequence.Value;
        var receipt = runs.Delete(run.Id);
        Assert.Equal(before + 1, world.Db.Sequence.Value);
        Assert.Equal(new Sequence(before + 1), receipt.Sequence);
        Assert.Equal(("gone", run.Id), (receipt.Name, receipt.Id));
        Assert.Equal(4, receipt.Counts["kv"]);
        Assert.Equal(0, runs.Count());
        Assert.Empty(runs.List());
        Assert.Empty(runs.List(new RunFilter { Tag = "t" }));
        Assert.Empty(runs.List(new RunFilter { Status = RunStatus.Completed }));
        Assert.False(runs.Exists("gone"));
        Assert.False(runs.Exists(run.Id));
        Assert.Null(runs.Get(run.Id));

        // RUN-13: every call of every handle.
        foreach (var call in new Action[]
        {
            () => run.Kv.Put("a", 1), () => run.Kv.Get("k1"), () => run.Kv.Count(), () => _ = run.Info, () => _ = run.Status,
            () => run.AddTags("a"),
            () => run.Archive(), () => run.Transact(tx => tx.Kv.Put("a", 1)), () => snapshot.Kv.Get("k1"), () => runs.Delete(run.Id),
        })
        {
            Assert.Equal(ErrorCode.NotFound, Code(call));
        }

        // RUN-1: the name is free again, and nothing of the old run is in the new one.
        var again = runs.Begin("gone", id: run.Id);
        Assert.Equal(0, again.Kv.Count());
        Assert.Null(again.Info.Result);
        Assert.Empty(again.Info.Tags);
        Assert.Equal(RunStatus.Active, again.Status);
    }

    [Theory, MemberData(nameof(DurableModes))]
    public void RUN_10_A_deleted_run_stays_deleted_after_reopening(Durability mode)
    {
        using var world = new RunWorld(mode);
        var gone = world.Db.Runs.Begin("gone");
        gone.Kv.Put("a", 1);
        world.Db.Runs.Delete(gone.Id);
        var again = world.Db.Runs.Begin("gone", id: gone.Id);
        again.Kv.Put("b", 2);
        var other = world.Db.Runs.Begin("other");
        world.Db.Runs.Delete(other.Id);
        for (var round = 0; round < 2; round++)
        {
            if (round == 0)
                world.CrashAndReopen();
            else
                world.CloseAndReopen();
            Assert.Equal(1, world.Db.Runs.Count());
            var run = world.Db.Runs.Get("gone")!;
            Assert.Null(run.Kv.Get("a"));
            Assert.Equal(2, run.Kv.Get("b")!.Value.AsInt64());
            Assert.False(world.Db.Runs.Exists(other.Id));
        }
    }

    [Fact]
    public void RUN_10_A_transaction_that_began_before_the_deletion_cannot_commit()
    {
        using var world = new RunWorld(Durability.InMemory);
        var run = world.Db.Runs.Begin();
        using var late = run.BeginTransaction();
        late.Kv.Put("a", 1);
        world.Db.Runs.Delete(run.Id);
        Assert.Equal(ErrorCode.NotFound, Code(() => late.Commit()));
    }

    // ---- recovery and orphans -------------------------------------------------------------------------------------------------

    [Theory, MemberData(nameof(DurableModes))]
    public void RUN_3_Everything_known_about_runs_survives_closing_and_crashes(Durability mode)
    {
        using var world = new RunWorld(mode);
        var runs = world.Db.Runs;
        var parent = runs.Begin("parent", tags: ["x"], metadata: Value.Object(("a", 1)));
        parent.Kv.Put("k", "v");
        world.Clock.Advance(TimeSpan.FromSeconds(3));
        var child = runs.Begin("child", parent.Id);
        child.AddTags("y", "z");
        child.RemoveTags("y");
        child.Complete(Value.Array(1, 2));
        var paused = runs.Begin("paused");
        paused.Pause();
        var failed = runs.Begin();
        failed.Fail("why");
        failed.Archive();
        world.Db.Default.AddTags("d");
        RunInfo[] Infos() => [.. world.Db.Runs.List().Append(world.Db.Default.Info).Select(
            info => info with { Bytes = 0, IsOrphaned = false })];
        var before = Infos();
        world.CrashAndReopen();
        AssertSame(before, Infos());
        world.CloseAndReopen();
        AssertSame(before, Infos());
        Assert.Throws<RunClosedException>(() => world.Db.Runs.Get("paused")!.Kv.Put("a", 1));
        Assert.Equal(4, world.Db.Runs.Count());
        Assert.Equal(ErrorCode.AlreadyExists, Code(() => world.Db.Runs.Begin("child")));
    }

    [Theory, MemberData(nameof(DurableModes))]
    public void RUN_11_Active_runs_of_a_crashed_opening_are_orphaned_until_adopted(Durability mode)
    {
        using var world = new RunWorld(mode);
        var runs = world.Db.Runs;
        RunId Begin(string name) => runs.Begin(name).Id;
        var (resumed, written, aborted, left) = (Begin("resumed"), Begin("written"), Begin("aborted"), Begin("left"));
        runs.Begin("done").Complete();
        runs.Begin("paused").Pause();
        world.Db.Default.Kv.Put("a", 1);
        Assert.Empty(runs.Orphaned());
        world.CrashAndReopen();
        runs = world.Db.Runs;
        var ids = new[] { resumed, written, aborted, left };
        Assert.Equal(ids, runs.Orphaned().Select(info => info.Id));
        Assert.Equal(ids, world.Db.Recovery.OrphanedRuns);
        Assert.All(runs.Orphaned(), info => Assert.True(info.IsOrphaned));

        // Opening alone changes nothing; a second crash leaves them what they were.
        var at = world.Db.Sequence;
        world.CrashAndReopen();
        runs = world.Db.Runs;
        Assert.Equal(at, world.Db.Sequence);
        Assert.Equal(ids, runs.Orphaned().Select(info => info.Id));

        var version = runs.Get(resumed)!.Info.Version;
        var run = runs.Resume(resumed);
        Assert.Equal(RunStatus.Active, run.Status);
        Assert.True(run.Info.Version > version);
        Assert.Throws<InvalidTransitionException>(() => runs.Resume(resumed));
        runs.Get(written)!.Kv.Put("a", 1);
        runs.Abort(aborted, "gave up");
        Assert.Equal([left], runs.Orphaned().Select(info => info.Id));
        Assert.Equal("gave up", runs.Get(aborted)!.Info.Error);

        // A clean close of the opening that adopted them leaves no orphan; what nobody adopted still is one.
        world.CloseAndReopen();
        Assert.Equal([left], world.Db.Runs.Orphaned().Select(info => info.Id));
        Assert.Equal(RunStatus.Active, world.Db.Runs.Get(written)!.Status);
    }

    [Fact]
    public void RUN_11_Adopted_runs_are_orphaned_again_by_the_next_crash()
    {
        using var world = new RunWorld(Durability.Strict);
        var run = world.Db.Runs.Begin("r");
        world.CrashAndReopen();
        world.Db.Runs.Get("r")!.Transact(tx =>
        {
            tx.Run.Resume();
            tx.Kv.Put("a", 1);
        });
        Assert.Empty(world.Db.Runs.Orphaned());
        world.CrashAndReopen();
        Assert.Equal(run.Id, Assert.Single(world.Db.Runs.Orphaned()).Id);
    }

    // ---- transactions over runs -----------------------------------------------------------------------------------------------

    [Theory, MemberData(nameof(Modes))]
    public void TX_35_Several_runs_commit_as_one_record(Durability mode)
    {
        using var world = new RunWorld(mode);
        var a = world.Db.Runs.Begin("a");
        var b = world.Db.Runs.Begin("b");
        a.Kv.Put("n", 10);
        b.Kv.Put("n", 0);
        var before = world.Db.Sequence.Value;
        var moved = world.Db.Transact([b, a], tx =>
        {
            tx.On(a).Kv.Put("n", tx.On(a).Kv.Get("n")!.Value.AsInt64() - 3);
            tx.On(b).Kv.Put("n", tx.On(b).Kv.Get("n")!.Value.AsInt64() + 3);
            tx.On(a).Complete();
            return 3;
        });
        Assert.Equal(3, moved);
        Assert.Equal(before + 1, world.Db.Sequence.Value);
        Assert.Equal((7L, 3L), (a.Kv.Get("n")!.Value.AsInt64(), b.Kv.Get("n")!.Value.AsInt64()));
        Assert.Equal(a.Info.LastSequence, b.Info.LastSequence);
        Assert.Equal(RunStatus.Completed, a.Status);
        Assert.Equal(ErrorCode.InvalidArgument, Code(() => world.Db.Transact([a, a], _ => { })));
        Assert.Equal(ErrorCode.InvalidArgument, Code(() => world.Db.Transact([], _ => { })));
        Assert.Equal(ErrorCode.InvalidArgument, Code(() => world.Db.Transact([b], tx => tx.On(a))));
        using var other = CairnDatabase.OpenInMemory();
        Assert.Throws<ArgumentException>(() => world.Db.Transact([other.Default], _ => { }));
    }

    [Theory, MemberData(nameof(Modes))]
    public async Task TX_35_Awaited_transactions_over_runs_commit_as_one_record(Durability mode)
    {
        using var world = new RunWorld(mode);
        var a = world.Db.Runs.Begin("a");
        var b = world.Db.Runs.Begin("b");
        var before = world.Db.Sequence.Value;
        var sum = await world.Db.TransactAsync(
            [a, b],
            async tx =>
            {
                await Task.Yield();
                tx.On(a).Kv.Put("x", 1);
                tx.On(b).Kv.Put("x", 2);
                return 3;
            },
            cancellationToken: TestContext.Current.CancellationToken);
        Assert.Equal(3, sum);
        Assert.Equal(before + 1, world.Db.Sequence.Value);
    }

    [Theory, MemberData(nameof(Modes))]
    public void TX_23_A_transaction_that_read_a_runs_record_conflicts_with_a_change_of_it(Durability mode)
    {
        using var world = new RunWorld(mode);
        var run = world.Db.Runs.Begin();
        var other = world.Db.Runs.Begin();
        using var tx = world.Db.BeginTransaction([run, other]);
        _ = tx.On(run).Status;
        tx.On(other).Kv.Put("a", 1);
        run.AddTags("t");
        var conflict = Assert.Throws<ConflictException>(() => tx.Commit());
        Assert.Equal(("runs", run.Id.ToString()), (conflict.Primitive, conflict.Key));
    }

    [Theory, MemberData(nameof(Modes))]
    public void TX_I14_A_rolled_back_end_leaves_nothing(Durability mode)
    {
        using var world = new RunWorld(mode);
        var run = world.Db.Runs.Begin();
        using (var tx = run.BeginTransaction())
        {
            tx.Run.Complete();
            tx.Run.AddTags("t");
        }

        Assert.Equal(RunStatus.Active, run.Status);
        Assert.Empty(run.Info.Tags);
        Assert.Equal(1UL, world.Db.Sequence.Value);
    }

    [Theory, MemberData(nameof(Modes))]
    public void RUN_1_Of_concurrent_begins_of_one_name_exactly_one_wins(Durability mode)
    {
        using var world = new RunWorld(mode);
        var won = 0;
        var threads = Enumerable.Range(0, 4).Select(_ => new Thread(() =>
        {
            for (var i = 0; i < 20; i++)
            {
                try
                {
                    world.Db.Runs.Begin($"n{i}");
                    Interlocked.Increment(ref won);
                }
                catch (CairnException taken) when (taken.Code == ErrorCode.AlreadyExists)
                {
                    Assert.True(world.Db.Runs.Exists($"n{i}"));
                }
            }
        })).ToList();
        threads.ForEach(thread => thread.Start());
        threads.ForEach(thread => thread.Join());
        Assert.Equal(20, won);
        Assert.Equal(20, world.Db.Runs.Count());
    }

    private static void AssertSame(RunInfo[] expected, RunInfo[] actual)
    {
        Assert.Equal(expected.Length, actual.Length);
        for (var i = 0; i < expected.Length; i++)
        {
            Assert.Equal(expected[i].Tags, actual[i].Tags);
            Assert.Equal(expected[i] with { Tags = [] }, actual[i] with { Tags = [] });
        }
    }

    private static ErrorCode Code(Action call) => Assert.ThrowsAny<CairnException>(call).Code;
}
