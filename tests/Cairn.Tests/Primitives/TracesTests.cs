using Xunit;

namespace Cairn.Tests.Primitives;

public class TracesTests
{
    public static TheoryData<Durability> Modes => RunWorld.Modes;

    public static TheoryData<Durability> DurableModes => RunWorld.DurableModes;

    private static readonly TraceStep[] Steps =
    [
        new ToolCallStep("crm.lookup", Value.Object(("id", 4711)), Value.Object(("tier", "gold")), TimeSpan.FromMilliseconds(12)),
        new ToolCallStep("crm.lookup", Value.Null),
        new ToolCallStep("crm.lookup", 1, Value.Null),
        new DecisionStep("refund?", ["yes", "no"], "yes", "the customer is right"),
        new DecisionStep("refund?", [], "maybe"),
        new QueryStep("text", "refund policy", 0),
        new QueryStep("vector", "refund"),
        new ThoughtStep("hm", 0.5),
        new ThoughtStep("hm"),
        new ErrorStep("timeout", "no answer", IsRecoverable: true),
        new ErrorStep("timeout", "no answer", IsRecoverable: false),
        new CustomStep("plan", Value.Array(1, "two", Value.Null)),
    ];

    [Theory, MemberData(nameof(Modes))]
    public void TR_2_Every_step_reads_back_as_it_was_recorded(Durability mode)
    {
        using var world = new RunWorld(mode);
        var traces = world.Db.Runs.Begin().Traces;
        foreach (var step in Steps)
        {
            var trace = traces.Get(traces.Record(step))!;
            Assert.Equal(step, trace.Step);
            Assert.Equal(step.Type, trace.Type);
            Assert.Equal(world.Clock.Now, trace.Timestamp);
            Assert.Null(trace.Parent);
            Assert.Null(trace.Duration);
            Assert.Null(trace.Model);
            Assert.Null(trace.Tokens);
            Assert.Empty(trace.Tags);
            Assert.Empty(trace.Causes);
            Assert.Equal(0, trace.Metadata.Count);
            Assert.False(trace.IsRedacted);
            Assert.Equal(world.Db.Sequence, trace.Version);
        }

        Assert.Equal(Steps.Length, traces.Count());
    }

    [Theory, MemberData(nameof(DurableModes))]
    public void TR_1_Every_field_survives_a_crash_and_a_clean_close(Durability mode)
    {
        using var world = new RunWorld(mode);
        var run = world.Db.Runs.Begin("r");
        var root = run.Traces.Record(Steps[0]);
        var options = new TraceOptions
        {
            Parent = root,
            Timestamp = new DateTimeOffset(1969, 12, 31, 23, 0, 0, TimeSpan.FromHours(-3)),
            Duration = TimeSpan.FromMicroseconds(1234567),
            Tags = ["b", "a", "b"],
            Metadata = Value.Object(("k", "v")),
            Causes = [3, 1, 2],
            Model = "m-1",
            Tokens = new TraceTokens(100, 0),
        };
        var id = run.Traces.Record(Steps[3], options);
        for (var round = 0; round < 3; round++)
        {
            var trace = world.Db.Runs.Get("r")!.Traces.Get(id)!;
            Assert.Equal(root, trace.Parent);
            Assert.Equal(options.Timestamp, trace.Timestamp);
            Assert.Equal(options.Duration, trace.Duration);
            Assert.Equal(["b", "a"], trace.Tags);
            Assert.Equal(options.Metadata, trace.Metadata);
            Assert.Equal([3L, 1L, 2L], trace.Causes);
            Assert.Equal("m-1", trace.Model);
            Assert.Equal(options.Tokens, trace.Tokens);
            Assert.Equal(Steps[3], trace.Step);
            Assert.Equal(new Sequence(3), trace.Version);
            Assert.Equal(2, world.Db.Runs.Get("r")!.Traces.Count());
            Assert.Equal([id], world.Db.Runs.Get("r")!.Traces.ByTag("a").Select(found => found.Id));
            Assert.Equal([id, root], world.Db.Runs.Get("r")!.Traces.List().Select(found => found.Id));
            if (round == 0)
                world.CrashAndReopen();
            else
                world.CloseAndReopen();
        }
    }

    [Theory, MemberData(nameof(Modes))]
    public void TR_3_A_parent_must_be_in_the_run(Durability mode)
    {
        using var world = new RunWorld(mode);
        var run = world.Db.Runs.Begin();
        var elsewhere = world.Db.Default.Traces.Record(Steps[0]);
        var at = world.Db.Sequence;
        Assert.Equal(ErrorCode.NotFound, Code(() => run.Traces.Record(Steps[0], new TraceOptions { Parent = elsewhere })));
        Assert.Equal(
            ErrorCode.NotFound, Code(() => run.Transact(tx => tx.Traces.Record(Steps[0], new TraceOptions { Parent = elsewhere }))));
        Assert.Equal(at, world.Db.Sequence);
        Assert.Equal(0, run.Traces.Count());
    }

    [Theory, MemberData(nameof(Modes))]
    public void TR_4_Trees_say_whether_they_are_whole(Durability mode)
    {
        using var world = new RunWorld(mode);
        var traces = world.Db.Runs.Begin().Traces;
        TraceId Under(TraceId? parent)
        {
            world.Clock.Advance(TimeSpan.FromMilliseconds(1));
            return traces.Record(new ThoughtStep("t"), new TraceOptions { Parent = parent });
        }

        var root = Under(null);
        var (a, b) = (Under(root), Under(root));
        var a1 = Under(a);
        var (b1, b2) = (Under(b), Under(b));
        var other = Under(null);
        Assert.Equal([root, other], traces.Roots().Select(trace => trace.Id));
        Assert.Equal([a, b], traces.Children(root).Select(trace => trace.Id));
        Assert.Empty(traces.Children(a1));
        var tree = traces.Tree(root)!;
        Assert.True(tree.IsComplete);
        Assert.Equal(6, tree.Count);
        Assert.Equal([a, b], tree.Root.Children.Select(node => node.Trace.Id));
        Assert.Equal([b1, b2], tree.Root.Children[1].Children.Select(node => node.Trace.Id));
        Assert.Equal(2, tree.Root.Children[0].Children[0].Depth);

        var shallow = traces.Tree(root, maxDepth: 1)!;
        Assert.False(shallow.IsComplete);
        Assert.Equal(3, shallow.Count);
        Assert.True(shallow.Root.IsComplete);
        Assert.False(shallow.Root.Children[0].IsComplete);

        var poor = traces.Tree(root, budget: 5)!;
        Assert.False(poor.IsComplete);
        Assert.Equal(5, poor.Count);
        Assert.True(poor.Root.Children[0].IsComplete);
        Assert.False(poor.Root.Children[1].IsComplete);
        Assert.True(traces.Tree(root, maxDepth: 2, budget: 6)!.IsComplete);
        Assert.True(traces.Tree(b2, maxDepth: 0)!.IsComplete);
        Assert.False(traces.Tree(root, maxDepth: 0)!.IsComplete);
        Assert.Null(traces.Tree(new TraceId(Guid.Parse("01890000-0000-7000-8000-000000000001"))));
        Assert.Equal(ErrorCode.LimitExceeded, Code(() => traces.Tree(root, budget: 0)));
        Assert.Equal(ErrorCode.LimitExceeded, Code(() => traces.Tree(root, maxDepth: 1001)));
    }

    [Theory, MemberData(nameof(Modes))]
    public void TR_5_Orders_are_by_timestamp_then_id(Durability mode)
    {
        using var world = new RunWorld(mode);
        var traces = world.Db.Runs.Begin().Traces;
        var start = world.Clock.Now;
        TraceId At(int seconds, TraceStep step, params string[] tags) =>
            traces.Record(step, new TraceOptions { Timestamp = start.AddSeconds(seconds), Tags = tags });
        var late = At(5, new ThoughtStep("late"), "red");
        var early = At(-5, new ThoughtStep("early"), "red", "redder");
        var before1970 = traces.Record(new QueryStep("k", "q"), new TraceOptions { Timestamp = DateTimeOffset.UnixEpoch.AddDays(-1) });
        var first = At(0, new QueryStep("k", "q"), "redder");
        var second = At(0, new ThoughtStep("same time"));
        Assert.Equal([before1970, early, first, second, late], Ids(traces.List()));
        Assert.Equal([late, second, first, early, before1970], Ids(traces.List(new TracePage { Reverse = true })));
        Assert.Equal([before1970, first], Ids(traces.ByType(TraceType.Query)));
        Assert.Equal([early, second, late], Ids(traces.ByType(TraceType.Thought)));
        Assert.Empty(traces.ByType(TraceType.Error));
        Assert.Equal([early, late], Ids(traces.ByTag("red")));
        Assert.Equal([early, first], Ids(traces.ByTag("redder")));
        Assert.Empty(traces.ByTag("re"));
        Assert.Equal([first, second], Ids(traces.ByTime(start, start.AddSeconds(5))));
        Assert.Equal([late], Ids(traces.ByTime(start.AddTicks(1), start.AddSeconds(5).AddTicks(1))));
        Assert.Empty(traces.ByTime(start, start));
        Assert.Equal(ErrorCode.InvalidArgument, Code(() => traces.ByType((TraceType)9)));
        Assert.Equal(ErrorCode.InvalidName, Code(() => traces.ByTag("a/b")));
    }

    [Theory, MemberData(nameof(Modes))]
    public void TR_5_Pages_show_one_snapshot(Durability mode)
    {
        using var world = new RunWorld(mode);
        var traces = world.Db.Runs.Begin().Traces;
        var ids = Enumerable.Range(0, 7).Select(_ => traces.Record(new ThoughtStep("t"), new TraceOptions { Tags = ["x"] })).ToList();
        var page = traces.ByTag("x", new TracePage { Limit = 3 });
        traces.Record(new ThoughtStep("late"), new TraceOptions { Tags = ["x"] });
        traces.Redact(ids[5]);
        var seen = page.ToList();
        while (page.Cursor is { } cursor)
        {
            Assert.Equal(ErrorCode.InvalidArgument, Code(() => traces.List(new TracePage { Cursor = cursor })));
            page = traces.ByTag("x", new TracePage { Limit = 3, Cursor = cursor });
            seen.AddRange(page);
        }

        Assert.Equal(ids, seen.Select(trace => trace.Id));
        Assert.All(seen, trace => Assert.False(trace.IsRedacted));
        Assert.Equal(8, traces.Count());
        Assert.Equal(7, traces.ByTag("x").Count);
    }

    [Fact]
    public void TR_6_What_contradicts_itself_is_refused_before_anything_is_written()
    {
        using var world = new RunWorld(
            Durability.InMemory, new Limits { TagsMax = 2, MetadataBytesMax = 16, ManyItemsMax = 2, ValueBytesMax = 1000 });
        var run = world.Db.Runs.Begin();
        var traces = run.Traces;
        void Refused(ErrorCode code, TraceStep step, TraceOptions? options = null)
        {
            Assert.Equal(code, Code(() => traces.Record(step, options)));
            Assert.Equal(code, Code(() => run.Transact(tx => tx.Traces.Record(step, options))));
        }

        var thought = new ThoughtStep("t");
        Refused(ErrorCode.ConstraintViolation, new DecisionStep("q", ["a", "b"], "c"));
        Refused(ErrorCode.ConstraintViolation, new ThoughtStep("t", 1.01));
        Refused(ErrorCode.ConstraintViolation, new ThoughtStep("t", -0.01));
        Refused(ErrorCode.ConstraintViolation, new ThoughtStep("t", double.NaN));
        Refused(ErrorCode.ConstraintViolation, new QueryStep("k", "q", -1));
        Refused(ErrorCode.ConstraintViolation, new ToolCallStep("t", 1, null, TimeSpan.FromTicks(-1)));
        Refused(ErrorCode.ConstraintViolation, thought, new TraceOptions { Duration = TimeSpan.FromSeconds(-1) });
        Refused(ErrorCode.ConstraintViolation, thought, new TraceOptions { Tokens = new TraceTokens(-1, 0) });
        Refused(ErrorCode.ConstraintViolation, thought, new TraceOptions { Causes = [-1] });
        Refused(ErrorCode.InvalidArgument, new CustomStep("n", double.NaN));
        Refused(ErrorCode.WrongType, thought, new TraceOptions { Metadata = 5 });
        Refused(ErrorCode.InvalidName, thought, new TraceOptions { Tags = ["$t"] });
        Refused(ErrorCode.LimitExceeded, thought, new TraceOptions { Tags = ["a", "b", "c"] });
        Refused(ErrorCode.LimitExceeded, thought, new TraceOptions { Tags = [new string('t', 257)] });
        Refused(ErrorCode.LimitExceeded, thought, new TraceOptions { Causes = [1, 2, 3] });
        Refused(ErrorCode.LimitExceeded, thought, new TraceOptions { Metadata = Value.Object(("k", new string('x', 20))) });
        Refused(ErrorCode.LimitExceeded, new ThoughtStep(new string('x', 1001)));
        Assert.Throws<ArgumentNullException>(() => traces.Record(null!));
        Assert.Throws<ArgumentNullException>(() => traces.Record(new ThoughtStep(null!)));
        Assert.Equal(1UL, world.Db.Sequence.Value);
        traces.Record(new ThoughtStep("t", 0), new TraceOptions { Tags = ["a", "b", "a"] });
        traces.Record(new ThoughtStep("t", 1), new TraceOptions { Tags = [new string('t', 256)] });
        Assert.Equal(2, traces.Count());
    }

    [Theory, MemberData(nameof(Modes))]
    public void TR_7_Ten_thousand_traces_are_counted_and_found(Durability mode)
    {
        using var world = new RunWorld(mode);
        var run = world.Db.Runs.Begin();
        var ids = new List<TraceId>();
        for (var batch = 0; batch < 10; batch++)
        {
            ids.AddRange(run.Transact(tx =>
            {
                var mine = new List<TraceId>();
                for (var i = 0; i < 1_000; i++)
                    mine.Add(tx.Traces.Record(new ThoughtStep("t"), new TraceOptions { Tags = [$"t{i % 10}"] }));
                return mine;
            }));
        }

        Assert.Equal(10_000, run.Traces.Count());
        Assert.Equal(ids.Where((_, i) => i % 10 == 3), AllOf(page => run.Traces.ByTag("t3", page)));
        Assert.Equal(ids.Order(), ids);
        Assert.Equal(11UL, world.Db.Sequence.Value);
    }

    [Theory, MemberData(nameof(Modes))]
    public void TR_4_Redaction_leaves_id_type_time_and_parent(Durability mode)
    {
        using var world = new RunWorld(mode);
        var run = world.Db.Runs.Begin();
        var root = run.Traces.Record(new ThoughtStep("root"));
        var id = run.Traces.Record(new ThoughtStep("secret"), new TraceOptions
        {
            Parent = root,
            Tags = ["customer"],
            Metadata = Value.Object(("name", "Ada")),
            Model = "m",
            Duration = TimeSpan.FromSeconds(1),
            Causes = [1],
            Tokens = new TraceTokens(1, 2),
        });
        var child = run.Traces.Record(new ThoughtStep("child"), new TraceOptions { Parent = id });
        using var before = run.Snapshot();
        run.Complete();
        Assert.Throws<RunClosedException>(() => run.Traces.Record(new ThoughtStep("late")));
        Assert.True(run.Traces.Redact(id));
        var at = world.Db.Sequence;
        Assert.False(run.Traces.Redact(id));
        Assert.False(run.Traces.Redact(new TraceId(Guid.Parse("01890000-0000-7000-8000-000000000001"))));
        Assert.Equal(at, world.Db.Sequence);
        var trace = run.Traces.Get(id)!;
        Assert.True(trace.IsRedacted);
        Assert.Equal((id, (TraceId?)root, TraceType.Thought, world.Clock.Now), (trace.Id, trace.Parent, trace.Type, trace.Timestamp));
        Assert.Null(trace.Step);
        Assert.Null(trace.Model);
        Assert.Null(trace.Duration);
        Assert.Null(trace.Tokens);
        Assert.Empty(trace.Tags);
        Assert.Empty(trace.Causes);
        Assert.Equal(0, trace.Metadata.Count);
        Assert.Equal(at, trace.Version);
        Assert.Empty(run.Traces.ByTag("customer"));
        Assert.Equal(3, run.Traces.Count());
        Assert.Equal([root, id, child], Ids(run.Traces.ByType(TraceType.Thought)));
        Assert.Equal(3, run.Traces.Tree(root)!.Count);

        // A snapshot taken before shows what was there then.
        Assert.Equal(new ThoughtStep("secret"), before.Traces.Get(id)!.Step);
        Assert.Single(before.Traces.ByTag("customer"));
        Assert.Equal(3, before.Traces.Count());
        if (mode == Durability.InMemory)
            return;
        world.CrashAndReopen();
        run = world.Db.Runs.Get(run.Id)!;
        Assert.True(run.Traces.Get(id)!.IsRedacted);
        Assert.Empty(run.Traces.ByTag("customer"));
        Assert.Equal(3, run.Traces.Count());
    }

    [Theory, MemberData(nameof(Modes))]
    public void TX_3_A_transaction_sees_its_own_traces_in_every_order(Durability mode)
    {
        using var world = new RunWorld(mode);
        var run = world.Db.Runs.Begin();
        var old = run.Traces.Record(new ThoughtStep("old"), new TraceOptions { Tags = ["t"] });
        var before = world.Db.Sequence.Value;
        world.Clock.Advance(TimeSpan.FromSeconds(1));
        TraceId child = default, gone = default;
        run.Transact(tx =>
        {
            child = tx.Traces.Record(new QueryStep("k", "q"), new TraceOptions { Parent = old, Tags = ["t", "u"] });
            var below = tx.Traces.Record(new ErrorStep("k", "m", true), new TraceOptions { Parent = child });
            gone = tx.Traces.Record(new ThoughtStep("secret"), new TraceOptions { Tags = ["t"] });
            Assert.True(tx.Traces.Redact(gone));
            Assert.True(tx.Traces.Redact(old));
            Assert.False(tx.Traces.Redact(old));
            Assert.Equal(4, tx.Traces.Count());
            Assert.Equal([old, child, below, gone], Ids(tx.Traces.List()));
            Assert.Equal([child], Ids(tx.Traces.ByType(TraceType.Query)));
            Assert.Equal([child], Ids(tx.Traces.ByTag("t")));
            Assert.Equal([child], Ids(tx.Traces.Children(old)));
            Assert.Equal([old, gone], Ids(tx.Traces.Roots()));
            Assert.Equal(3, tx.Traces.Tree(old)!.Count);
            Assert.True(tx.Traces.Get(gone)!.IsRedacted);
            Assert.True(tx.Traces.Get(old)!.IsRedacted);
            Assert.Equal(Sequence.None, tx.Traces.Get(child)!.Version);
            Assert.Equal(1, run.Traces.Count());
        });
        Assert.Equal(before + 1, world.Db.Sequence.Value);
        Assert.Equal(4, run.Traces.Count());
        Assert.Equal([child], Ids(run.Traces.ByTag("t")));
        Assert.True(run.Traces.Get(gone)!.IsRedacted);
        Assert.True(run.Traces.Get(old)!.IsRedacted);
        Assert.Equal([child], Ids(run.Traces.Children(old)));
        if (mode == Durability.InMemory)
            return;
        world.CloseAndReopen();
        Assert.Equal([child], Ids(world.Db.Runs.Get(run.Id)!.Traces.ByTag("t")));
        Assert.Equal(4, world.Db.Runs.Get(run.Id)!.Traces.Count());
    }

    [Theory, MemberData(nameof(Modes))]
    public void TX_10_A_listing_in_a_transaction_conflicts_with_a_trace_recorded_in_it(Durability mode)
    {
        using var world = new RunWorld(mode);
        var run = world.Db.Runs.Begin();
        using var listing = run.BeginTransaction();
        Assert.Empty(listing.Traces.ByTag("t"));
        listing.Kv.Put("seen", 0);
        using var blind = run.BeginTransaction();
        blind.Traces.Record(new ThoughtStep("blind"), new TraceOptions { Tags = ["t"] });
        using var elsewhere = run.BeginTransaction();
        Assert.Empty(elsewhere.Traces.ByTag("other"));
        elsewhere.Kv.Put("elsewhere", 0);
        run.Traces.Record(new ThoughtStep("new"), new TraceOptions { Tags = ["t"] });
        Assert.Equal("traces", Assert.Throws<ConflictException>(() => listing.Commit()).Primitive);
        blind.Commit();
        elsewhere.Commit();
        Assert.Equal(2, run.Traces.Count());
    }

    [Theory, MemberData(nameof(Modes))]
    public void TX_I14_Rolled_back_traces_leave_nothing(Durability mode)
    {
        using var world = new RunWorld(mode);
        var run = world.Db.Runs.Begin();
        TraceId id;
        using (var tx = run.BeginTransaction())
            id = tx.Traces.Record(new ThoughtStep("t"), new TraceOptions { Tags = ["t"] });
        Assert.False(run.Traces.Exists(id));
        Assert.Empty(run.Traces.List());
        Assert.Empty(run.Traces.ByTag("t"));
        Assert.Equal(0, run.Traces.Count());
    }

    [Theory, MemberData(nameof(Modes))]
    public void RUN_10_Traces_go_with_their_run_and_are_counted_in_its_receipt(Durability mode)
    {
        using var world = new RunWorld(mode);
        var run = world.Db.Runs.Begin();
        run.Traces.Record(new ThoughtStep("t"));
        run.Traces.Record(new ThoughtStep("t"));
        run.Kv.Put("k", 1);
        var receipt = world.Db.Runs.Delete(run.Id);
        Assert.Equal(2, receipt.Counts["traces"]);
        Assert.Equal(1, receipt.Counts["kv"]);
        Assert.Equal(ErrorCode.NotFound, Code(() => run.Traces.Count()));
        Assert.Equal(ErrorCode.NotFound, Code(() => run.Traces.Record(new ThoughtStep("t"))));
    }

    [Theory, MemberData(nameof(Modes))]
    public void TR_7_Many_threads_record_under_one_parent(Durability mode)
    {
        using var world = new RunWorld(mode);
        var run = world.Db.Runs.Begin();
        var root = run.Traces.Record(new ThoughtStep("root"));
        var threads = Enumerable.Range(0, 4).Select(t => new Thread(() =>
        {
            for (var i = 0; i < 50; i++)
                run.Traces.Record(new ThoughtStep("t"), new TraceOptions { Parent = root, Tags = [$"t{t}"] });
        })).ToList();
        threads.ForEach(thread => thread.Start());
        threads.ForEach(thread => thread.Join());
        Assert.Equal(201, run.Traces.Count());
        Assert.Equal(201, run.Traces.Tree(root)!.Count);
        Assert.Equal(50, run.Traces.ByTag("t2").Count);
    }

    private static IEnumerable<TraceId> Ids(IEnumerable<TraceRecord> traces) => traces.Select(trace => trace.Id);

    private static List<TraceId> AllOf(Func<TracePage, Page<TraceRecord>> list)
    {
        var ids = new List<TraceId>();
        string? cursor = null;
        do
        {
            var page = list(new TracePage { Limit = 300, Cursor = cursor });
            ids.AddRange(Ids(page));
            cursor = page.Cursor;
        }
        while (cursor is not null);

        return ids;
    }

    private static ErrorCode Code(Action call) => Assert.ThrowsAny<CairnException>(call).Code;
}
