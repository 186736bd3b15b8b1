#pragma warning disable xUnit1051 // what is written here is small
using System.Text;
using Cairn.Primitives;
using Cairn.Storage;
using Cairn.Tests.Cli;
using Cairn.Tests.Content;
using Cairn.Tests.Transactions;
using Cairn.Transactions;
using Xunit;

namespace Cairn.Tests.Primitives;

/// <summary>RET-7: events go from the front, by policy; floor and hash before it stay, and everything goes on from there.</summary>
[Trait("Requirement", "RET-7")]
public class EventTrimTests
{
    private static readonly TimeSpan Hour = TimeSpan.FromHours(1);

    private static Value Payload(int n) => Value.Object(("n", n), ("text", new string('x', n % 3 == 0 ? 200 : 2)));

    // Every third one is large where the database keeps large values by reference.
    private static void Append(Events events, int from, int to)
    {
        for (var n = from; n < to; n++)
            events.Append(n % 2 == 0 ? "even" : "odd", Payload(n));
    }

    private static void Trim(TestDatabase world, Run run, Retention policy)
    {
        while (world.Db.Engine.Trims!.TrimSome(run.Id, policy))
        {
        }
    }

    private static (ulong Requested, ulong Earliest) Trimmed(Action ask)
    {
        var trimmed = Assert.Throws<HistoryTrimmedException>(ask);
        Assert.Equal((Sequence.None, Sequence.None), (trimmed.Requested, trimmed.Earliest));
        Assert.Equal(ErrorCode.HistoryTrimmed, trimmed.Code);
        Assert.Contains($"{trimmed.EarliestEvent}", trimmed.Message, StringComparison.Ordinal);
        return (trimmed.RequestedEvent!.Value.Value, trimmed.EarliestEvent!.Value.Value);
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    public void Whoever_reads_sees_the_events_that_are_kept_and_is_told_of_the_others(Durability mode)
    {
        using var world = new TestDatabase(mode);
        Append(world.Run.Events, 0, 10);
        world.Clock.Advance(Hour);
        Append(world.Run.Events, 10, 12);
        world.Clock.Advance(Hour);
        var began = world.Clock.GetUtcNow();
        Append(world.Run.Events, 12, 20);
        var all = world.Run.Events.Since(0).ToList();
        Assert.Equal(new EventFloor(0, default, null), world.Run.Events.Floor());

        Trim(world, world.Run, Retention.KeepEvents(8));
        world.NowAndAfterReopening(Claims);
        if (world.HasLog)
        {
            world.CheckpointAndForget();
            world.NowAndAfterReopening(Claims);
            Assert.Empty(world.Db.VerifyDeep().Findings);
        }

        Append(world.Run.Events, 20, 21);
        Assert.Equal(20UL, world.Run.Events.Head()!.Value.Number.Value);
        Assert.Equal(9, world.Run.Events.Count());
        Assert.True(world.Run.Events.Verify().IsValid);

        void Claims()
        {
            var events = world.Run.Events;
            Assert.Equal(new EventFloor(12, all[11].Hash, all[11].Time), events.Floor());
            Assert.Equal((8L, 4L, 4L), (events.Count(), events.CountByType("even"), events.CountByType("odd")));
            Assert.Equal(8L, world.Run.Info.EventCount);
            Assert.Equal((19UL, all[19].Hash), (events.Head()!.Value.Number.Value, events.Head()!.Value.Hash));
            var even = events.StreamInfo("even")!;
            Assert.Equal((12UL, all[12].Time, 18UL), (even.FirstNumber.Value, even.FirstTime, even.LastNumber.Value));
            Assert.Equal(["even", "odd"], events.Types());
            Assert.Equal(new EventVerification(true, 8, null, null), events.Verify());
            Assert.Equal(new EventVerification(true, 3, null, null), events.Verify(13, 16));
            Same(all[12..], events.Since(12));
            Same(all[12..], events.Range(12, 99));
            Same([.. all[12..].AsEnumerable().Reverse()], events.Range(12, 20, new EventScanOptions { Reverse = true }));
            Same(all[12..].FindAll(item => item.Type == "odd"), events.ByType("odd"));
            Same(all[12..], events.RangeByTime(began, DateTimeOffset.MaxValue));
            Assert.Equal((3UL, 12UL), Trimmed(() => events.Get(3)));
            Assert.Equal((11UL, 12UL), Trimmed(() => events.TryGet(11, out _)));
            Assert.Equal((0UL, 12UL), Trimmed(() => events.Since(0)));
            Assert.Equal((11UL, 12UL), Trimmed(() => events.Range(11, 13)));
            Assert.Equal((5UL, 12UL), Trimmed(() => events.Range(5, 7, new EventScanOptions { Reverse = true })));
            Assert.Equal((11UL, 12UL), Trimmed(() => events.RangeByTime(began - Hour, DateTimeOffset.MaxValue)));
            Assert.Equal((11UL, 12UL), Trimmed(() => events.Verify(11)));
            Assert.Equal((0UL, 12UL), Trimmed(() =>
            {
                var none = 0;
                events.Scan(0, 20, ref none, static (scoped in _, ref _) => true);
            }));
            Assert.Equal((4UL, 12UL), Trimmed(() => events.Redact(4, "why")));
            Assert.Empty(events.Range(5, 5));
            Assert.Null(events.Get(99));
            var shown = 0;
            Assert.Equal(8, events.Scan(12, 99, ref shown, static (scoped in _, ref shown) => ++shown < 99));
        }
    }

    // What indexes have of an event is found by reading it, so a step ends where it has read enough.
    [Fact]
    [Trait("Requirement", "IDX-1")]
    public void A_step_ends_behind_what_is_large_and_takes_the_items_with_it()
    {
        using var world = new TestDatabase(Durability.Strict, options => options with
        {
            SegmentBytesMin = 16 << 20, SegmentBytesMax = 64 << 20, ContentThreshold = 4 << 10, ContentMemoryBytes = 1 << 20,
        });
        for (var n = 0; n < 7; n++)
            world.Run.Events.Append("large", Value.Object(("n", n), ("text", new string('x', 1 << 20))));
        world.Run.Indexes.Define("n", new IndexDefinition { Target = IndexTarget.Events, Paths = ["$.payload.n"] });
        while (world.Db.Engine.IndexJob!.HasWorkInSight)
            world.Db.Engine.IndexJob.Step();
        Assert.Equal(2, world.Db.Engine.IndexJob.Built);     // four of them are enough for one step
        Assert.Equal(7, world.Run.Indexes.Get("n")!.Items);
        Assert.True(world.Db.Engine.Trims!.TrimSome(world.Run.Id, Retention.KeepEvents(1)));
        Assert.Equal((4UL, 3L), (world.Run.Events.Floor().Number.Value, world.Run.Indexes.Get("n")!.Items));
        Trim(world, world.Run, Retention.KeepEvents(1));
        world.NowAndAfterReopening(() =>
        {
            Assert.Equal(1, world.Run.Indexes.Get("n")!.Items);
            Assert.Equal(6UL, Assert.Single(world.Run.Events.Query(Filter.Parse("payload.n gte 0"))).Number.Value);
        });
        Assert.Empty(world.Db.VerifyDeep().Findings);
    }

    private static void Same(List<EventRecord> expected, IEnumerable<EventRecord> found) => Assert.Equal(
        expected.Select(item => (item.Number, item.Type, item.Payload, item.Hash, item.Time)),
        found.Select(item => (item.Number, item.Type, item.Payload, item.Hash, item.Time)));

    // Hundreds in a commit: the streams of rare types are looked for behind them.
    [Theory]
    [ClassData(typeof(AllModes))]
    public void Many_go_in_commits_of_some_hundred_and_streams_of_types_begin_where_they_should(Durability mode)
    {
        using var world = new TestDatabase(mode);
        var types = new List<string>();
        for (var n = 0; n < 2_000; n++)
            types.Add(n == 3 ? "once" : n is 1 or 1_500 ? "rare" : $"t{n % 5}");
        foreach (var chunk in types.Chunk(500))
            world.Run.Events.AppendMany([.. chunk.Select(type => new NewEvent(type, Value.Object()))]);
        var before = world.Sequence;
        Trim(world, world.Run, Retention.KeepEvents(1_000));
        Assert.Equal((ulong)Math.Ceiling(1_000.0 / EventTrim.EventsMax), world.Sequence - before);
        world.NowAndAfterReopening(() =>
        {
            foreach (var type in types.Distinct())
            {
                var kept = Enumerable.Range(1_000, 1_000).Where(n => types[n] == type).ToList();
                var info = world.Run.Events.StreamInfo(type);
                Assert.Equal(kept.Count, info?.Count ?? 0);
                if (info is not null)
                    Assert.Equal(((ulong)kept[0], (ulong)kept[^1]), (info.FirstNumber.Value, info.LastNumber.Value));
            }

            Assert.Equal(["rare", "t0", "t1", "t2", "t3", "t4"], world.Run.Events.Types());
            Assert.True(world.Run.Events.Verify().IsValid);
        });
        world.Run.Events.Append("once", Value.Object());
        Assert.Equal(2_000UL, world.Run.Events.StreamInfo("once")!.FirstNumber.Value);
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    public void When_all_are_gone_the_next_one_goes_on_with_number_and_hash(Durability mode)
    {
        using var world = new TestDatabase(mode);
        Append(world.Run.Events, 0, 5);
        var head = world.Run.Events.Head()!.Value;
        world.Clock.Advance(2 * Hour);
        Trim(world, world.Run, Retention.KeepFor(Hour));
        world.NowAndAfterReopening(() =>
        {
            Assert.Equal(head, world.Run.Events.Head());
            Assert.Equal((0L, 5UL), (world.Run.Events.Count(), world.Run.Events.Floor().Number.Value));
            Assert.Empty(world.Run.Events.Types());
            Assert.Equal(new EventVerification(true, 0, null, null), world.Run.Events.Verify());
            Assert.Equal((4UL, 5UL), Trimmed(() => world.Run.Events.Get(4)));
        });
        var next = world.Run.Events.Append("more", Payload(5));
        Assert.Equal((5UL, head.Hash), (next.Number.Value, world.Run.Events.Get(5)!.PreviousHash));
        Assert.True(world.Run.Events.Verify().IsValid);
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    public void The_maintainer_does_it_when_a_policy_says_so_and_not_otherwise(Durability mode)
    {
        // In memory the default keeps the newest versions alone, and all events: an event is no version of another.
        using var world = new TestDatabase(mode);
        var (counted, timed) = (world.OtherRun(1), world.OtherRun(2));
        counted.Retention.Apply(Retention.KeepLast(1).Or(Retention.KeepEvents(3)));
        foreach (var run in new[] { world.Run, counted, timed })
            Append(run.Events, 0, 10);
        timed.Complete();
        for (var i = 0; i < 3; i++)
        {
            world.Maintain();
            world.Clock.Advance(2 * Hour);
        }

        Assert.Equal((0UL, 7UL, 0UL), (Floor(world.Run), Floor(counted), Floor(timed)));
        if (!world.HasLog)
            return;

        // Also of a closed run, and of one that only the image has.
        world.OtherRun(2).Retention.Apply(Retention.KeepFor(3 * Hour).Or(Retention.KeepEvents(2)));
        world.CheckpointAndForget();
        world.Reopen();
        world.Maintain();
        Assert.Equal((0UL, 7UL, 8UL), (Floor(world.Run), Floor(world.OtherRun(1)), Floor(world.OtherRun(2))));
        Append(world.OtherRun(1).Events, 10, 12);
        world.Db.Compact();
        Assert.Equal(9UL, Floor(world.OtherRun(1)));
        var sequence = world.Sequence;
        world.Maintain();
        world.Db.Compact();
        Assert.Equal(sequence, world.Sequence);

        static ulong Floor(Run run) => run.Events.Floor().Number.Value;
    }

    [Fact]
    public void A_policy_of_the_database_concerns_every_run_and_is_due_in_time()
    {
        using var world = new TestDatabase(
            Durability.Buffered, options => options with { Retention = Retention.KeepFor(TimeSpan.FromMinutes(16)) });
        world.Maintain();
        Append(world.Run.Events, 0, 5);
        Append(world.OtherRun().Events, 0, 4);
        world.Clock.Advance(TimeSpan.FromMinutes(10));
        Append(world.Run.Events, 5, 7);
        var job = world.Db.Engine.Maintainer!.Jobs.Single(job => job.Name == "trim");
        Assert.Equal(TimeSpan.Zero, job.DueIn);
        world.Maintain();
        Assert.Equal(TimeSpan.FromMinutes(1), job.DueIn);
        Assert.Equal(0UL, world.Run.Events.Floor().Number.Value);
        world.Clock.Advance(TimeSpan.FromMinutes(7));
        world.Maintain();
        Assert.Equal((5UL, 4UL), (world.Run.Events.Floor().Number.Value, world.OtherRun().Events.Floor().Number.Value));
        Assert.Equal(9L, job.Items);
    }

    // A look went through all runs of the image, and loaded each that had no event.
    [Fact]
    public void A_look_loads_only_runs_of_which_something_goes()
    {
        using var world = new TestDatabase(
            Durability.Buffered, options => options with { Retention = Retention.KeepFor(Hour) });
        Append(world.OtherRun(1).Events, 0, 5);
        world.OtherRun(2).Kv.Put("k", 1);
        Append(world.OtherRun(3).Events, 0, 3);
        world.Clock.Advance(2 * Hour);
        Trim(world, world.OtherRun(3), Retention.KeepFor(Hour));
        Append(world.OtherRun(4).Events, 0, 3);
        var ids = Enumerable.Range(1, 4).Select(number => world.OtherRun(number).Id).ToList();
        world.Checkpoint();
        world.Reopen();
        world.Db.Engine.Trims!.All(default);
        Assert.Equal([ids[0]], ids.Where(id => world.Db.Engine.Catalogue.Loaded.Any(run => run.Id == id)));
        Assert.Equal(5UL, world.OtherRun(1).Events.Floor().Number.Value);
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    [Trait("Requirement", "RPL-13")]
    public void A_fork_and_its_parent_let_go_of_their_events_each_for_itself(Durability mode)
    {
        using var world = new TestDatabase(mode);
        Append(world.OtherRun().Events, 0, 10);
        var all = world.OtherRun().Events.Since(0).ToList();
        world.Db.Runs.Fork(world.OtherRun().Id, name: "fork");
        Run Fork() => world.Db.Runs.Get("fork")!;
        Append(Fork().Events, 10, 12);
        Trim(world, world.OtherRun(), Retention.KeepEvents(2));
        Claims(8, 0);
        if (world.HasLog)
        {
            world.CheckpointAndForget();
            world.NowAndAfterReopening(() => Claims(8, 0));
        }

        Trim(world, Fork(), Retention.KeepEvents(5));
        world.NowAndAfterReopening(() => Claims(8, 7));
        if (!world.HasLog)
            return;
        world.CheckpointAndForget();
        world.NowAndAfterReopening(() => Claims(8, 7));
        Assert.Empty(world.Db.VerifyDeep().Findings);

        void Claims(int parent, int fork)
        {
            var (ofParent, ofFork) = (world.OtherRun().Events, Fork().Events);
            Assert.Equal(((ulong)parent, (ulong)fork), (ofParent.Floor().Number.Value, ofFork.Floor().Number.Value));
            Same(all[parent..], ofParent.Since((ulong)parent));
            Same(all[fork..], ofFork.Range((ulong)fork, 10));
            Assert.Equal((10L - parent, 12L - fork), (ofParent.Count(), ofFork.Count()));
            Assert.Equal(Enumerable.Range(fork, 12 - fork).Count(n => n % 2 == 1), ofFork.CountByType("odd"));
            Assert.True(ofParent.Verify().IsValid && ofFork.Verify().IsValid);
        }
    }

    [Fact]
    [Trait("Requirement", "SYS-2")]
    public void Where_no_policy_speaks_of_events_nothing_is_due()
    {
        using var world = new TestDatabase(Durability.Buffered);
        Append(world.Run.Events, 0, 5);
        world.Maintain();
        var job = world.Db.Engine.Maintainer!.Jobs.Single(job => job.Name == "trim");
        Assert.Null(job.DueIn);
        Assert.False(job.HasWorkInSight);
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    [Trait("Requirement", "RET-4")]
    public void A_snapshot_and_a_page_go_on_with_what_they_saw(Durability mode)
    {
        using var world = new TestDatabase(mode);
        Append(world.Run.Events, 0, 20);
        using var snapshot = world.Run.Snapshot();
        var page = world.Run.Events.Since(0, new EventScanOptions { Limit = 4 });
        Trim(world, world.Run, Retention.KeepEvents(2));
        Assert.Equal((20L, 0UL), (snapshot.Events.Count(), snapshot.Events.Floor().Number.Value));
        Assert.Equal(Enumerable.Range(0, 20).Select(n => (ulong)n), snapshot.Events.Since(0).Select(item => item.Number.Value));
        Assert.True(snapshot.Events.Verify().IsValid);
        var rest = world.Run.Events.Since(0, new EventScanOptions { Limit = 100, Cursor = page.Cursor });
        Assert.Equal(16, rest.Count);
        Assert.Equal((0UL, 18UL), Trimmed(() => world.Run.Events.Since(0)));
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    [Trait("Promise", "G8")]
    public void A_transaction_that_counted_conflicts_with_it_and_one_that_read_or_appends_does_not(Durability mode)
    {
        using var world = new TestDatabase(mode);
        Append(world.Run.Events, 0, 10);
        using var counts = world.Run.BeginTransaction();
        using var reads = world.Run.BeginTransaction();
        Assert.Equal(10, counts.Events.Count());
        counts.Kv.Put("counted", 10);
        Assert.Equal("odd", reads.Events.Get(1)!.Type);
        reads.Events.Append("more", Payload(10));
        Trim(world, world.Run, Retention.KeepEvents(5));
        Assert.Throws<ConflictException>(() => counts.Commit());
        Assert.Equal(1UL, reads.Events.Get(1)!.Number.Value);          // as its snapshot shows it
        reads.Commit();
        Assert.Equal((6L, 10UL), (world.Run.Events.Count(), world.Run.Events.Head()!.Value.Number.Value));
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    [Trait("Requirement", "EV-12")]
    public async Task A_consumer_that_is_too_late_is_told_where_to_go_on(Durability mode)
    {
        using var world = new TestDatabase(mode);
        Run Read() => world.OtherRun();
        Append(Read().Events, 0, 10);
        Read().Events.Consumers.Commit("slow", 3);
        Trim(world, Read(), Retention.KeepEvents(4));
        world.NowAndAfterReopening(() => Assert.Equal(3UL, Read().Events.Consumers.Position("slow").Value));
        var late = await Assert.ThrowsAsync<HistoryTrimmedException>(async () =>
        {
            await foreach (var _ in Read().Events.Follow(Read().Events.Consumers.Position("slow")))
            {
            }
        });
        Assert.Equal(6UL, late.EarliestEvent!.Value.Value);
        Read().Events.Consumers.Reset("slow", late.EarliestEvent.Value);
        Read().Complete();
        var numbers = new List<ulong>();
        await foreach (var item in Read().Events.Follow(Read().Events.Consumers.Position("slow")))
            numbers.Add(item.Number.Value);
        Assert.Equal([6UL, 7UL, 8UL, 9UL], numbers);
    }

    // M2: the stream of a type that was to end has got another event meanwhile.
    [Fact]
    public void What_came_between_plan_and_commit_is_not_lost()
    {
        using var world = new TestDatabase(Durability.Strict);
        world.Run.Events.Append("once", Payload(0));
        Append(world.Run.Events, 1, 5);
        var scope = Scope.Live(world.Db.Engine.Path, world.Run.RunState, CommitOptions.Default);
        var plan = EventTrim.Plan(world.Db.Engine.Pins, scope, 3)!;
        world.Run.Events.Append("once", Payload(5));
        Assert.False(world.Db.Engine.Trims!.TryCommit(world.Run.RunState, plan));
        Assert.Equal(2L, world.Run.Events.CountByType("once"));
        Trim(world, world.Run, Retention.KeepEvents(3));
        Assert.Equal((5UL, 1L), (world.Run.Events.StreamInfo("once")!.FirstNumber.Value, world.Run.Events.CountByType("once")));
        Assert.False(world.Db.Engine.Trims.TryCommit(world.Run.RunState, plan));       // and one that was overtaken
        Assert.Equal(3UL, world.Run.Events.Floor().Number.Value);
        Assert.Empty(world.Db.VerifyDeep().Findings);
    }

    [Fact]
    [Trait("Requirement", "RUN-11")]
    public void A_run_that_a_crash_left_behind_is_still_one_behind_it()
    {
        using var world = new TestDatabase(Durability.Strict);
        Append(world.OtherRun().Events, 0, 10);
        world.Reopen(isKilled: true);
        Assert.Single(world.Db.Runs.Orphaned());
        Trim(world, world.OtherRun(), Retention.KeepEvents(4));
        Assert.Single(world.Db.Runs.Orphaned());
        world.Reopen();
        Assert.Single(world.Db.Runs.Orphaned());
        world.CheckpointAndForget();
        world.Reopen(isKilled: true);
        Assert.Single(world.Db.Runs.Orphaned());
        Assert.Equal(6UL, world.OtherRun().Events.Floor().Number.Value);
    }

    [Fact]
    [Trait("Requirement", "DUR-9")]
    public void It_is_a_deletion_and_goes_on_beside_a_full_disk_when_asked_for()
    {
        using var world = new TestDatabase(Durability.Strict);
        Append(world.Run.Events, 0, 10);
        world.Db.Engine.State.EnterDiskFull("The test says so.", 1, null);
        Trim(world, world.Run, Retention.KeepEvents(4));
        Assert.Equal(6UL, world.Run.Events.Floor().Number.Value);
    }

    [Fact]
    [Trait("Requirement", "SYS-1")]
    public void What_the_engine_tells_is_kept_for_a_week_and_a_hundred_thousand_events()
    {
        using var world = new TestDatabase(Durability.Buffered, options => options with { SystemEvents = true });
        Events Told() => world.Db.Runs.Get("$sys")!.Events;
        for (var day = 0; day < 10; day++)
        {
            world.Db.Engine.Events.Raise(Cairn.Diagnostics.SystemEvents.Audit, ("day", day));
            world.Maintain();
            world.Clock.Advance(TimeSpan.FromDays(1));
        }

        world.Maintain();
        var days = Told().ByType("audit").Select(item => item.Payload!.Value["day"].AsInt64()).ToList();
        Assert.Equal([3L, 4, 5, 6, 7, 8, 9], days);
        Assert.Equal("last 1 or events 100000", world.Db.Runs.Get("$sys")!.Info.Retention.ToString());
        world.Clock.Advance(TimeSpan.FromDays(8));
        world.Maintain();
        Assert.Equal(0, Told().CountByType("audit"));
        Assert.True(Told().Verify().IsValid);
    }

    // ---- elsewhere ------------------------------------------------------------------------------------------------------------

    [Theory]
    [InlineData(3)]
    [InlineData(10)]
    [Trait("Requirement", "OPS-6")]
    public void An_import_begins_where_the_exported_events_do(int gone)
    {
        using var world = new TestDatabase(Durability.Strict);
        Append(world.Run.Events, 0, 10);
        world.Run.Events.Consumers.Commit("reader", 2);
        world.Clock.Advance(2 * Hour);
        Trim(world, world.Run, gone == 10 ? Retention.KeepFor(Hour) : Retention.KeepEvents(10 - gone));
        var lines = Export(world.Db);
        foreach (var mode in new[] { Durability.Strict, Durability.InMemory })
        {
            using var copy = new TestDatabase(mode);
            copy.Clock.Microseconds = world.Clock.Microseconds;
            Import(copy.Db, lines);
            Assert.Equal(0, Import(copy.Db, lines).Written);
            copy.NowAndAfterReopening(() =>
            {
                Assert.Equal(world.Run.Events.Floor(), copy.Run.Events.Floor());
                Assert.Equal(world.Run.Events.Head(), copy.Run.Events.Head());
                Assert.Equal(world.Run.Events.Verify(), copy.Run.Events.Verify());
                Assert.Equal(Comparable(lines), Comparable(Export(copy.Db)));
            });
            Assert.Equal((ulong)10, copy.Run.Events.Append("more", Payload(10)).Number.Value);

            // What was trimmed here meanwhile was there; what was trimmed there cannot follow what ended before it.
            Trim(copy, copy.Run, Retention.KeepEvents(1));
            Assert.Equal(0, Import(copy.Db, lines).Written);
        }

        using var behind = new TestDatabase(Durability.Strict);
        behind.Clock.Microseconds = world.Clock.Microseconds;
        Append(behind.Run.Events, 0, 1);
        var refused = Assert.Throws<CairnException>(() => Import(behind.Db, lines));
        Assert.Equal(ErrorCode.ConstraintViolation, refused.Code);
        Assert.Contains($"events from #{gone} on cannot follow event #0", refused.Message, StringComparison.Ordinal);
    }

    private static string Export(CairnDatabase db)
    {
        using var stream = new MemoryStream();
        db.Export(stream);
        return Encoding.UTF8.GetString(stream.ToArray());
    }

    // Versions and the time of the cut are the import's own.
    private static IEnumerable<string> Comparable(string lines) => lines.Split('\n')[1..].Select(line =>
        System.Text.RegularExpressions.Regex.Replace(line, "\"version\":[0-9]+", "\"version\":1"));

    private static ImportReport Import(CairnDatabase db, string lines)
    {
        using var stream = new MemoryStream(Encoding.UTF8.GetBytes(lines));
        return db.Import(stream);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    [Trait("Requirement", "RCV-9")]
    public void Salvage_keeps_the_floor_from_the_log_and_from_tables(bool fromTables)
    {
        using var world = new TestDatabase(Durability.Strict, options => options with
        {
            SegmentBytesMin = 16 << 10, SegmentBytesMax = 16 << 10, CompactionGarbageMin = 0, CheckpointOnClose = false,
            Retention = Retention.KeepLast(1).Or(Retention.KeepEvents(30)),
        });
        for (var round = 0; round < 4; round++)
        {
            Append(world.Run.Events, 100 * round, 100 * (round + 1));
            world.Run.Events.Consumers.Reset("reader", (ulong)(round * 50));
            if (!fromTables)
                continue;
            world.Checkpoint();
            world.Db.Compact();
        }

        world.Db.Engine.Trims!.All(default);
        Append(world.Run.Events, 400, 410);
        world.Db.Sync();
        Assert.Equal(fromTables, ((Cairn.Log.SegmentedLog)world.Db.Engine.Path.Log.Device!).FirstPosition > 0);
        var (floor, head, position) = (world.Run.Events.Floor(), world.Run.Events.Head(), world.Run.Events.Consumers.Position("reader"));
        Assert.Equal(370UL, floor.Number.Value);
        var hash = world.Db.StateHash();
        world.Db.Dispose();
        var target = new MemoryStorage();
        var report = CairnDatabase.SalvageTo(world.Storage, () => target);
        Assert.True(report.IsComplete);
        Assert.Empty(report.Losses);
        using var made = CairnDatabase.Open(
            target, new CairnOptions { TimeProvider = world.Clock }, new EngineHooks { IsMaintenanceManual = true });
        var events = made.Default.Events;
        Assert.Equal((floor, head, position), (events.Floor(), events.Head(), events.Consumers.Position("reader")));
        Assert.Equal(new EventVerification(true, 40, null, null), made.Default.Events.Verify());
        if (!fromTables)
            Assert.Equal(hash, made.StateHash());
        Assert.Empty(made.VerifyDeep().Findings);
    }

    // A policy that keeps every version lets go of what held nothing but events that are gone, and answers every question still.
    [Fact]
    [Trait("Requirement", "RET-5")]
    public void Where_every_version_is_kept_the_log_of_trimmed_events_goes_all_the_same()
    {
        using var world = new CompactionWorld(Retention.KeepEvents(5));
        var run = world.Run("run");
        for (var n = 0; n < 200; n++)
        {
            run.Events.Append("note", Value.Object(("text", new string('x', 400))));
            world.Clock.Advance(TimeSpan.FromSeconds(1));
            if (n % 20 == 0)
                world.Put(run, $"k{n % 3}", $"v{n}");
            world.Remember();
        }

        run.Transact(tx =>
        {
            tx.Events.Append("note", Value.Object());
            tx.Kv.Put("both", 1);
        });
        world.FillSegments(1);
        var kept = world.Compact(onlyPlans: true).BytesNeeded;
        world.Db.Engine.Trims!.All(default);
        var figures = world.Compact();
        Assert.InRange(figures.BytesNeeded, 1, kept / 10);
        Assert.True(figures.SegmentsDropped > 3);
        Assert.Equal(0, world.Check(run, ["k0", "k1", "k2"], (_, _) => false));
        Assert.Single(run.Kv.History("both"));
        Assert.Equal(5, run.Events.Since(run.Events.Floor().Number).Count);
    }

    [Fact]
    [Trait("Requirement", "RET-6")]
    public void A_preview_tells_which_events_would_go()
    {
        using var world = new TestDatabase(Durability.Strict);
        Append(world.Run.Events, 0, 6);
        world.Clock.Advance(2 * Hour);
        Append(world.Run.Events, 6, 10);
        Assert.Equal((0L, 0UL), Told(Retention.KeepLast(1)));
        Assert.Equal((7L, 7UL), Told(Retention.KeepEvents(3)));
        Assert.Equal((6L, 6UL), Told(Retention.KeepFor(Hour)));
        Assert.Equal((6L, 6UL), Told(Retention.KeepFor(Hour).Or(Retention.KeepEvents(2))));
        Assert.Equal((2L, 2UL), Told(Retention.KeepFor(Hour).Or(Retention.KeepEvents(8))));
        Assert.True(world.Run.Retention.Preview(Retention.KeepEvents(3)).Bytes > 7 * 100);
        Trim(world, world.Run, Retention.KeepEvents(8));
        Assert.Equal((5L, 7UL), Told(Retention.KeepEvents(3)));
        Assert.Equal((0L, 2UL), Told(Retention.KeepEvents(100)));

        (long, ulong) Told(Retention policy)
        {
            var preview = world.Run.Retention.Preview(policy);
            return (preview.Events, preview.FirstEvent.Value);
        }
    }

    [Fact]
    public void The_shell_begins_at_the_floor_and_names_it()
    {
        using var bed = new CliBed();
        for (var n = 0; n < 6; n++)
            bed.Good("events", "append", "note", $"{{\"n\":{n}}}");
        bed.Good("run", "retention", "default", "events", "2");
        bed.Good("compact");
        Assert.StartsWith("#4 ", bed.Good("events", "floor"), StringComparison.Ordinal);
        Assert.Equal(4L, bed.Json("events", "floor")[0]["number"].AsInt64());
        Assert.Equal("2", bed.Good("events", "count"));
        Assert.Equal([4L, 5L], bed.Json("events", "range").Select(item => item["number"].AsInt64()));
        Assert.Equal([4L, 5L], bed.Json("events", "follow").Select(item => item["number"].AsInt64()));
        Assert.Contains("valid: 2", bed.Good("events", "verify"), StringComparison.Ordinal);
        Assert.Equal(1, bed.Run("events", "get", "0").Exit);
        Assert.Contains("earliest kept event is #4", bed.Run("events", "range", "--from", "0").Error, StringComparison.Ordinal);
        Assert.StartsWith("#6 ", bed.Good("events", "append", "note", "{}"), StringComparison.Ordinal);
        Assert.Equal(5L, bed.Json("run", "retention", "default", "events", "1", "--preview")[0]["first_event"].AsInt64() - 1);
    }

    // ---- the operation --------------------------------------------------------------------------------------------------------

    [Fact]
    [Trait("Requirement", "REC-5")]
    public void Its_bytes_are_what_the_format_page_says()
    {
        using var world = new TestDatabase(Durability.Strict);
        foreach (var type in new[] { "b", "a", "b", "a" })
            world.Run.Events.Append(type, Value.Object());
        var last = world.Run.Events.Get(1)!;
        var next = world.Run.Events.Get(2)!;
        world.Run.Events.Append("b", Value.Object());
        Trim(world, world.Run, Retention.KeepEvents(3));
        var operation = world.Db.ReadLog().Last().Operations.Single();
        byte[] expected =
        [
            2, 0, 0, 0, 0, 0, 0, 0, .. last.Hash.ToArray(), .. BitConverter.GetBytes(CommitClock.Microseconds(last.Time)), 2, 0,
            1, 0, (byte)'a', 1, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, .. Time(3),
            1, 0, (byte)'b', 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, .. BitConverter.GetBytes(CommitClock.Microseconds(next.Time)),
        ];
        Assert.Equal(expected, operation.Body.ToArray());

        byte[] Time(ulong number) => BitConverter.GetBytes(CommitClock.Microseconds(world.Run.Events.Get(number)!.Time));
    }

    [Fact]
    [Trait("Promise", "G6")]
    public void What_is_no_trim_is_not_applied()
    {
        var sound = new TrimFloor(2, default, 1);
        var body = new byte[TrimFloor.Size + 2 + TrimmedType.FixedBytes + 1];
        sound.Write(body);
        body[TrimFloor.Size] = 1;
        body[TrimFloor.Size + 2] = 1;
        body[TrimFloor.Size + 4] = (byte)'a';
        body[TrimFloor.Size + 5] = 2;
        Assert.True(EventTrim.TryRead(body, out var read, out var types));
        Assert.Equal((sound, 1), (read, types.Count));
        for (var length = 0; length < body.Length; length++)
            Assert.False(EventTrim.TryRead(body.AsSpan(0, length), out _, out _));
        Assert.False(EventTrim.TryRead([.. body, 0], out _, out _));
        body[TrimFloor.Size + 6] = 2;                        // more than one operation takes
        Assert.False(EventTrim.TryRead(body, out _, out _));
        body[TrimFloor.Size + 6] = 0;
        body[0] = 0;                                         // to #0
        Assert.False(EventTrim.TryRead(body, out _, out _));
    }
}
