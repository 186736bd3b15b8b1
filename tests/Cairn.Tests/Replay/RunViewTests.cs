using System.Globalization;
using Cairn.Replay;
using Cairn.Tests.Primitives;
using Xunit;

namespace Cairn.Tests.Replay;

/// <summary>A run as it was: at a sequence, a time, an event, a step.</summary>
[Trait("Promise", "G10")]
public class RunViewTests
{
    private static readonly CairnOptions Small = new() { SegmentBytesMin = 16 << 10, SegmentBytesMax = 16 << 10, CompactionGarbageMin = 1 };

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    /// <summary>A run with a bit of everything, and what its n-th commit left behind.</summary>
    private static List<(Sequence Sequence, Hash256 Hash)> Live(ModeDatabase world, Run run, int commits = 24)
    {
        var known = new List<(Sequence, Hash256)> { (run.Info.FirstSequence, run.StateHash()) };
        for (var i = 0; i < commits; i++)
        {
            world.Clock.Advance(TimeSpan.FromSeconds(1));
            switch (i % 8)
            {
                case 0:
                    run.Kv.Put("k" + i, new string('v', 20 * i));
                    break;
                case 1:
                    run.Events.Append("tool_call", Value.Object(("n", i)));
                    break;
                case 2:
                    run.State.TransitionOrInit("budget", 100, budget => budget.AsInt64() - 1);
                    break;
                case 3:
                    run.Traces.Record(new ThoughtStep("step " + i), new TraceOptions { Tags = ["t"] });
                    break;
                case 4:
                    run.AddTags("tag-" + i);
                    break;
                case 5:
                    run.Kv.Delete("k" + (i - 5));
                    break;
                case 6:
                    run.Kv.Put("short", i, TimeSpan.FromSeconds(3));
                    break;
                default:
                    run.Transact(tx =>
                    {
                        tx.Kv.Put("both", i);
                        tx.Events.Append("note", Value.Object(("text", new string('x', 100))));
                    });
                    break;
            }

            known.Add((world.Db.Sequence, run.StateHash()));
        }

        return known;
    }

    [Theory]
    [InlineData(Durability.Strict)]
    [InlineData(Durability.Buffered)]
    [Trait("Requirement", "RPL-1")]
    [Trait("Requirement", "RPL-6")]
    public void RPL_6_The_view_at_each_commit_is_the_run_as_it_was(Durability mode)
    {
        using var world = new ModeDatabase(mode);
        var run = world.Db.Runs.Begin("mine");
        var known = Live(world, run);
        world.Db.Checkpoint(cancellationToken: Token);
        known.AddRange(Live(world, run).Skip(1));
        world.Reopen();
        run = world.Db.Runs.Get("mine")!;
        for (var step = 1; step <= known.Count; step++)
        {
            using var view = run.At(known[step - 1].Sequence);
            Assert.Equal(known[step - 1].Hash, view.StateHash());
            Assert.Equal((known[step - 1].Sequence, run.Id), (view.Sequence, view.RunId));
            using var same = run.AtStep(step);
            Assert.Equal((view.StateHash(), view.Time), (same.StateHash(), same.Time));
            Assert.Equal(step, view.StepCount);
        }

        Assert.Equal(known.Count, run.StepCount);
        using var before = run.Before(known[10].Sequence);
        Assert.Equal(known[9].Hash, before.StateHash());
    }

    [Fact]
    [Trait("Requirement", "RPL-3")]
    public void RPL_3_A_view_offers_the_reads_of_every_primitive()
    {
        using var world = new ModeDatabase(Durability.Buffered);
        var run = world.Db.Runs.Begin("mine", tags: ["first"]);
        run.Kv.Put("customer", "Ada");
        run.Kv.Put("gone", 1);
        run.State.Init("budget", 100);
        var first = run.Events.Append("note", Value.Object(("text", "hello")));
        var trace = run.Traces.Record(new ThoughtStep("hm"), new TraceOptions { Tags = ["why"] });
        var then = world.Db.Sequence;
        run.Kv.Put("customer", "Eve");
        run.Kv.Delete("gone");
        run.State.Set("budget", 7);
        run.Events.Append("note", Value.Object(("text", "later")));
        run.Events.Redact(first.Number, "private");
        run.Traces.Redact(trace);
        run.AddTags("second");
        run.Complete("done");

        using var view = world.Db.Replay(run.Id, then);
        Assert.Equal("Ada", view.Kv.Get("customer")!.Value.AsString());
        Assert.Equal(["customer", "gone"], view.Kv.List());
        Assert.Equal(2, view.Kv.Count());
        Assert.Equal(100, view.State.Get("budget")!.Value.Value.AsInt64());
        Assert.Equal(1, view.Events.Count());
        Assert.Equal("hello", view.Events.Get(first.Number)!.Payload!.Value["text"].AsString());
        Assert.True(view.Events.Verify().IsValid);
        Assert.Equal("hm", ((ThoughtStep)view.Traces.Get(trace)!.Step!).Content);
        Assert.Equal(trace, Assert.Single(view.Traces.ByTag("why")).Id);
        Assert.Equal((RunStatus.Active, "mine"), (view.Info.Status, view.Info.Name));
        Assert.Equal(["first"], view.Info.Tags);
        Assert.Equal(1, view.Info.EventCount);
        Assert.False(view.Info.IsOrphaned);

        // A page of a listing goes on in the same view.
        var page = view.Kv.List(new ScanOptions { Limit = 1 });
        Assert.Equal(["gone"], view.Kv.List(new ScanOptions { Limit = 1, Cursor = page.Cursor }));
        Assert.Equal(["Ada"], view.Kv.History("customer").Select(version => version.Value.AsString()));

        using var end = world.Db.Replay(run.Id);
        Assert.Equal((RunStatus.Completed, "done"), (end.Info.Status, end.Info.Result!.Value.AsString()));
        Assert.Equal(run.Info.LastSequence, end.Sequence);
        using var atFirst = run.AtEvent(first.Number);
        Assert.Equal((new Sequence(then.Value - 1), 1), (atFirst.Sequence, atFirst.Events.Count()));
    }

    [Fact]
    [Trait("Requirement", "RPL-2")]
    public void RPL_2_Verify_compares_with_the_run_or_with_a_replay_that_begins_elsewhere()
    {
        using var world = new ModeDatabase(Durability.Buffered);
        var run = world.Db.Runs.Begin("mine");
        var known = Live(world, run);
        world.Db.Checkpoint(cancellationToken: Token);
        Live(world, run);
        using var now = world.Db.Replay(run.Id);
        var proof = now.Verify();
        Assert.Equal((true, ReplayProofSource.Run), (proof.IsEqual, proof.Against));
        Assert.Equal(run.StateHash(), now.StateHash());
        foreach (var sequence in new[] { known[^1].Sequence, known[5].Sequence, new Sequence(known[^1].Sequence.Value + 3) })
        {
            using var past = run.At(sequence);
            proof = past.Verify();
            Assert.Equal((true, ReplayProofSource.Log), (proof.IsEqual, proof.Against));
        }

        // An image and the records above it are the records alone.
        var source = RunView.SourceOf(world.Db.Engine, run.RunState, 0);
        var end = world.Db.Sequence.Value;
        using var image = RunReplay.Build(source, ReplayPoint.At(end), ReplayBase.Image, Token);
        using var whole = RunReplay.Build(source, ReplayPoint.At(end), ReplayBase.Beginning, Token);
        Assert.NotNull(image.Checkpoint);
        Assert.True(image.Applied < whole.Applied);
        Assert.Equal(whole.Run.Numbers with { LastEpoch = 0 }, image.Run.Numbers with { LastEpoch = 0 });
    }

    [Fact]
    [Trait("Requirement", "TTL-3")]
    public void TTL_3_Expiry_is_judged_at_the_commit_time_of_the_sequence_or_at_the_time_that_was_asked_for()
    {
        using var world = new ModeDatabase(Durability.Buffered);
        var run = world.Db.Runs.Begin("mine");
        var put = run.Kv.Put("short", 1, TimeSpan.FromSeconds(10));
        var began = world.Clock.GetUtcNow();
        world.Clock.Advance(TimeSpan.FromSeconds(5));
        var early = world.Run.Kv.Put("other", 1);                // another run's commits are the sequences between
        world.Clock.Advance(TimeSpan.FromSeconds(20));
        var late = world.Run.Kv.Put("other", 2);
        run.Kv.Put("last", 1);
        world.Clock.Advance(TimeSpan.FromDays(1));
        bool Shows(Func<RunView> view)
        {
            using var open = view();
            return open.Kv.Exists("short");
        }

        for (var i = 0; i < 2; i++)
        {
            Assert.True(Shows(() => run.At(put)));
            Assert.True(Shows(() => run.At(early)));
            Assert.False(Shows(() => run.At(late)));
            Assert.True(Shows(() => run.At(began + TimeSpan.FromSeconds(9.5))));
            Assert.False(Shows(() => run.At(began + TimeSpan.FromSeconds(10.5))));
            world.Db.Checkpoint(cancellationToken: Token);
            world.Reopen();
            run = world.Db.Runs.Get("mine")!;
        }

        using var at = run.At(early);
        Assert.Equal(began + TimeSpan.FromSeconds(5), at.Time);
        using var then = run.At(began + TimeSpan.FromSeconds(7));
        Assert.Equal((put, began + TimeSpan.FromSeconds(7)), (then.Sequence, then.Time));
    }

    [Fact]
    [Trait("Requirement", "RPL-4")]
    public void RPL_4_Busy_neighbours_do_not_raise_the_cost()
    {
        (long, long) Cost(int neighbours)
        {
            using var world = new ModeDatabase(Durability.Buffered);
            var run = world.Db.Runs.Begin("mine");
            var others = Enumerable.Range(0, neighbours).Select(_ => world.Db.Runs.Begin()).ToList();
            for (var i = 0; i < 50; i++)
            {
                run.Kv.Put("k" + i, new string('v', 30));
                foreach (var other in others)
                    other.Kv.Put("k" + i, new string('v', 300));
            }

            using var now = world.Db.Replay(run.Id);
            using var middle = run.AtStep(25);
            return (now.RecordsRead, middle.RecordsRead);
        }

        Assert.Equal((51, 51), Cost(0));
        Assert.Equal(Cost(0), Cost(40));
    }

    [Fact]
    [Trait("Requirement", "RPL-9")]
    public void RPL_9_A_view_stays_what_it_is_beside_commits_checkpoints_and_compactions_and_lets_go()
    {
        using var world = new ModeDatabase(Durability.Buffered, Small with { Retention = Retention.KeepLast(1) });
        var run = world.Db.Runs.Begin("mine");
        var big = new string('b', 3_000);
        for (var i = 0; i < 10; i++)
            run.Kv.Put("big" + i, big + i);
        var then = world.Db.Sequence;
        var memory = world.Db.Metrics.MemoryBytes;
        var view = run.At(then);
        Assert.Equal(1, world.Db.Metrics.Views);
        var hash = view.StateHash();
        for (var round = 0; round < 3; round++)
        {
            for (var i = 0; i < 10; i++)
                run.Kv.Put("big" + i, round);
            world.Run.Kv.Put("other", big);
            world.Db.Checkpoint(cancellationToken: Token);
            world.Db.Compact(cancellationToken: Token);
        }

        Assert.Equal(hash, view.StateHash());
        Assert.Equal(big + 3, view.Kv.Get("big3")!.Value.AsString());
        view.Dispose();
        view.Dispose();
        Assert.Throws<ObjectDisposedException>(() => view.StateHash());
        Assert.Throws<ObjectDisposedException>(() => view.Info);
        Assert.Throws<InvalidOperationException>(() => view.Kv.Get("big3"));
        Assert.Equal(0, world.Db.Metrics.Views);
        world.Db.Compact(cancellationToken: Token);
        Assert.True(world.Db.Metrics.CompactionBytesFreed > 0);
        var trimmed = Assert.Throws<HistoryTrimmedException>(() => run.At(then));
        Assert.Equal(then, trimmed.Requested);
        using var earliest = run.At(trimmed.Earliest);
        Assert.True(earliest.Verify().IsEqual);
        Assert.Throws<HistoryTrimmedException>(() => run.StepCount);
        Assert.Throws<HistoryTrimmedException>(() => run.AtStep(1));
        Assert.Throws<HistoryTrimmedException>(() => earliest.Steps(1, 1));
    }

    // The database keeps all; a run that is over is told to keep what it ended with. Its records go, and those of others stay.
    [Fact]
    [Trait("Requirement", "RET-8")]
    public void RET_8_An_archived_run_lets_go_of_its_log_if_its_policy_says_so_and_replays_from_its_floor()
    {
        using var world = new ModeDatabase(Durability.Buffered, Small);
        var (over, other) = (world.Db.Runs.Begin("over"), world.Db.Runs.Begin("other"));
        other.Kv.Put("k", 0);
        var early = world.Db.Sequence;
        for (var i = 0; i < 40; i++)
            over.Kv.Put("big", new string('b', 3_000) + i);
        var then = world.Db.Sequence;
        over.Kv.Put("big", "the last");
        over.Retention.Apply(Retention.KeepLast(1));
        over.Complete();
        over.Archive();
        var hash = over.StateHash();
        for (var round = 0; round < 2; round++)
        {
            other.Kv.Put("k", 1 + round);
            world.Db.Checkpoint(cancellationToken: Token);
        }

        var before = world.Db.Metrics.LogBytesKept;
        world.Db.Compact(cancellationToken: Token);
        var after = world.Db.Metrics.LogBytesKept;
        Assert.True(after < before - 100_000, $"{before} bytes of log before, {after} after");
        var trimmed = Assert.Throws<HistoryTrimmedException>(() => over.At(then));
        using (var floor = over.At(trimmed.Earliest))
        {
            Assert.Equal(hash, floor.StateHash());
            Assert.True(floor.Verify().IsEqual);
        }

        using var view = other.At(early);
        Assert.Equal(0, view.Kv.Get("k")!.Value.AsInt64());
        Assert.Equal(RunStatus.Archived, over.Info.Status);
        Assert.Equal("the last", over.Kv.Get("big")!.Value.AsString());
    }

    // The commit of a run that was deleted is gone, and with it the time by which what expires elsewhere is judged at its sequence. Found
    // by the random histories (seed 75705781150899), which took it for a fault.
    [Fact]
    [Trait("Requirement", "RPL-5")]
    [Trait("Requirement", "RPL-2")]
    public void RPL_5_At_the_commit_of_a_deleted_run_a_view_is_right_unless_something_expired_about_then()
    {
        using var world = new ModeDatabase(Durability.Buffered, Small);
        var (run, steady, gone) = (world.Db.Runs.Begin("mine"), world.Db.Runs.Begin("steady"), world.Db.Runs.Begin("gone"));
        run.Kv.Put("brief", 1, TimeSpan.FromMinutes(1));
        steady.Kv.Put("k", 1);
        var (own, ownHash) = (world.Db.Sequence, run.StateHash());
        world.Clock.Advance(TimeSpan.FromMinutes(2));
        gone.Kv.Put("k", 1);
        var foreign = world.Db.Sequence;
        run.Kv.Put("k", 2);
        var next = world.Db.Sequence;
        steady.Kv.Put("k", 2);
        for (var i = 0; i < 40; i++)
            gone.Kv.Put("big", new string('g', 3_000) + i);
        using (var view = run.At(foreign))
            Assert.Null(view.Kv.Get("brief"));               // its record is there and tells the time
        world.Db.Runs.Delete(gone.Id);
        for (var round = 0; round < 2; round++)
        {
            steady.Kv.Put("k", 3 + round);
            world.Db.Checkpoint(cancellationToken: Token);
        }

        world.Db.Compact(cancellationToken: Token);
        var trimmed = Assert.Throws<HistoryTrimmedException>(() => run.At(foreign));
        Assert.True(trimmed.Earliest > foreign, trimmed.Message);
        using (var view = steady.At(foreign))
            Assert.Equal(1, view.Kv.Get("k")!.Value.AsInt64());
        using (var view = run.At(next))
            Assert.Null(view.Kv.Get("brief"));
        using (var view = run.At(own))
            Assert.Equal(ownHash, view.StateHash());
    }

    // A policy by time keeps of old records what was valid at its floor: enough for the history of a key, not for a state.
    [Fact]
    [Trait("Requirement", "RPL-5")]
    public void RPL_5_A_state_is_not_made_of_records_that_were_kept_in_part()
    {
        using var world = new ModeDatabase(Durability.Buffered, Small with { Retention = Retention.KeepFor(TimeSpan.FromHours(1)) });
        var run = world.Db.Runs.Begin("mine");
        for (var i = 0; i < 200; i++)
            run.Kv.Put("k" + i % 5, new string('v', 200) + i);
        var old = world.Db.Sequence;
        world.Clock.Advance(TimeSpan.FromHours(2));
        var hashes = new List<(Sequence, Hash256)>();
        for (var i = 0; i < 200; i++)
        {
            run.Kv.Put("k" + i % 3, new string('w', 200) + i);
            if (i % 5 == 0)
                run.Events.Append("note", Value.Object(("i", i)));
            hashes.Add((world.Db.Sequence, run.StateHash()));
            if (i is 100 or 150)
                world.Db.Checkpoint(cancellationToken: Token);
        }

        world.Db.Compact(cancellationToken: Token);
        Assert.True(world.Db.Metrics.CompactionBytesFreed > 0);
        Assert.Throws<HistoryTrimmedException>(() => run.At(old));
        var right = 0;
        foreach (var (sequence, hash) in hashes)
        {
            try
            {
                using var view = run.At(sequence);
                Assert.Equal(hash, view.StateHash());
                right++;
            }
            catch (HistoryTrimmedException trimmed)
            {
                Assert.True(sequence < trimmed.Earliest, trimmed.Message);
            }
        }

        Assert.InRange(right, 99, 199);
    }

    [Fact]
    [Trait("Requirement", "RPL-6")]
    public void RPL_6_What_cannot_be_asked_is_refused_by_name()
    {
        using var world = new ModeDatabase(Durability.Buffered);
        var first = world.Run.Kv.Put("k", 1);
        var run = world.Db.Runs.Begin("mine");
        var put = run.Kv.Put("k", 1);
        void Refused(ErrorCode code, Action call) => Assert.Equal(code, Assert.ThrowsAny<CairnException>(call).Code);
        Refused(ErrorCode.InvalidArgument, () => run.At(new Sequence(put.Value + 1)));
        Refused(ErrorCode.InvalidArgument, () => run.Before(Sequence.None));
        Refused(ErrorCode.NotFound, () => run.At(first));
        Refused(ErrorCode.NotFound, () => run.Before(run.Info.FirstSequence));
        Refused(ErrorCode.NotFound, () => run.At(DateTimeOffset.UnixEpoch));
        Refused(ErrorCode.NotFound, () => run.AtEvent(new EventNumber(0)));
        Refused(ErrorCode.InvalidArgument, () => run.AtStep(0));
        Refused(ErrorCode.InvalidArgument, () => run.AtStep(3));
        Refused(ErrorCode.NotFound, () => world.Db.Replay(new RunId(Guid.NewGuid())));
        using (var view = run.At(put))
        {
            Refused(ErrorCode.InvalidArgument, () => view.Steps(0, 1));
            Refused(ErrorCode.InvalidArgument, () => view.Steps(1, 3));
            Refused(ErrorCode.LimitExceeded, () => view.Steps(1, 1001));
        }

        world.Db.Runs.Delete(run.Id);
        Refused(ErrorCode.NotFound, () => run.At(put));
        Refused(ErrorCode.NotFound, () => world.Db.Replay(run.Id));

        // The runs that always are were there before the first commit, without anything in them.
        using var empty = world.Run.At(Sequence.None);
        Assert.Equal(0, empty.Kv.Count());
        using var before = world.Run.Before(first);
        Assert.Equal(empty.StateHash(), before.StateHash());
    }

    [Fact]
    public void G3_In_memory_the_newest_state_is_there_and_the_past_is_trimmed_unless_a_policy_keeps_it()
    {
        using (var memory = new ModeDatabase(Durability.InMemory))
        {
            memory.Run.Kv.Put("k", 1);
            var put = memory.Run.Kv.Put("k", 2);
            memory.Db.Runs.Begin("other");
            foreach (var open in new[]
            {
                () => memory.Run.At(put), () => memory.Run.At(memory.Db.Sequence), () => memory.Db.Replay(RunId.Default),
            })
            {
                using var view = open();
                Assert.Equal((2, true), (view.Kv.Get("k")!.Value.AsInt64(), view.Verify().IsEqual));
                Assert.Throws<HistoryTrimmedException>(() => view.Steps(1, 1));
            }

            Assert.Throws<HistoryTrimmedException>(() => memory.Run.Before(put));
            Assert.Throws<HistoryTrimmedException>(() => memory.Run.AtStep(1));
        }

        using var kept = new ModeDatabase(Durability.InMemory, new CairnOptions { Retention = Retention.KeepAll });
        var first = kept.Run.Kv.Put("k", 1);
        kept.Run.Kv.Put("k", 2);
        using var past = kept.Run.At(first);
        Assert.Equal(1, past.Kv.Get("k")!.Value.AsInt64());
    }

    [Fact]
    [Trait("Promise", "G6")]
    public void G6_A_damaged_record_is_told_and_never_passed_over()
    {
        using var world = new ModeDatabase(Durability.Buffered);
        var run = world.Db.Runs.Begin("mine");
        run.Kv.Put("k", "a-value-that-is-easily-found");
        for (var i = 0; i < 10; i++)
            run.Kv.Put("k", i);
        var name = world.Storage.List("log").Single(name => name.EndsWith(".segment", StringComparison.Ordinal));
        using (var file = world.Storage.Open("log/" + name, writable: true))
        {
            var bytes = new byte[64 << 10];
            var length = file.ReadAt(bytes, 0);
            var at = bytes.AsSpan(0, length).IndexOf("easily-found"u8);
            file.WriteAt("eAsily"u8, at);
        }

        var damage = Assert.Throws<CorruptionException>(() => run.At(run.Info.FirstSequence));
        Assert.Equal("log/" + name, damage.File);
        Assert.Throws<CorruptionException>(() => world.Db.Replay(run.Id));
        Assert.Throws<CorruptionException>(() => run.AtStep(3));
        Assert.Equal(0, world.Db.Metrics.Views);
        Assert.Equal(ulong.MaxValue, ((Cairn.Log.SegmentedLog)world.Db.Engine.Path.Log.Device!).HeldFrom);
    }

    [Fact]
    [Trait("Promise", "G6")]
    public void G6_A_damaged_table_or_content_is_told_and_the_records_still_give_the_view()
    {
        using var world = new ModeDatabase(Durability.Buffered);
        var run = world.Db.Runs.Begin("mine");
        for (var i = 0; i < 40; i++)
            run.Kv.Put("k" + i, new string('v', 50));
        var large = run.Kv.Put("large", "a-content-" + new string('c', 500));
        world.Db.Checkpoint(cancellationToken: Token);
        run.Kv.Put("last", 1);
        var source = RunView.SourceOf(world.Db.Engine, run.RunState, 0);
        using (var image = RunReplay.Build(source, ReplayPoint.At(large.Value), ReplayBase.Image, Token))
            Assert.NotNull(image.Checkpoint);
        var table = "tables/" + world.Storage.List("tables").Single();
        using (var file = world.Storage.Open(table, writable: true))
        {
            for (var at = 128; at < file.Length; at += 64)
                file.WriteAt([0x55, 0xAA], at);
        }

        var damage = Assert.ThrowsAny<CairnException>(() =>
        {
            using var image = RunReplay.Build(source, ReplayPoint.At(large.Value), ReplayBase.Image, Token);
            using var reader = image.Run.Store.Read();
            for (var i = 0; i < 40; i++)
                reader.TryGet([0x10, .. System.Text.Encoding.UTF8.GetBytes("k" + i)], large.Value, out _);
        });
        Assert.Equal((ErrorCode.Corruption, table), (damage.Code, ((CorruptionException)damage).File));
        using var view = run.At(large);
        Assert.Equal(41, view.Kv.Count());

        // The content is read from the log when it is asked for: then its damage is told, and never an absent key.
        var name = "log/" + world.Storage.List("log").Single(name => name.EndsWith(".segment", StringComparison.Ordinal));
        using (var file = world.Storage.Open(name, writable: true))
        {
            var bytes = new byte[64 << 10];
            var length = file.ReadAt(bytes, 0);
            file.WriteAt("B"u8, bytes.AsSpan(0, length).IndexOf("a-content-"u8));
        }

        lock (view.Replay!.Run.CommitLock)
            view.Replay.Run.Store.ForgetContent(1_000);
        Assert.Equal(name, Assert.Throws<CorruptionException>(() => view.Kv.Get("large")).File);
        Assert.Equal(41, view.Kv.Count());
        Assert.Throws<CorruptionException>(() => view.StateHash());
    }

    [Fact]
    public void A_view_outlives_its_database_as_nothing_but_an_error()
    {
        using var world = new ModeDatabase(Durability.Buffered);
        world.Run.Kv.Put("k", 1);
        var view = world.Db.Replay(RunId.Default);
        world.Reopen();
        Assert.Throws<ObjectDisposedException>(() => view.Kv.Get("k"));
        Assert.Throws<ObjectDisposedException>(() => view.StateHash());
        view.Dispose();
    }

    // A run of thousands of records beside others: those that lie close together are read with one call, those that lie apart one by one.
    [Theory]
    [InlineData(0)]
    [InlineData(7)]
    [InlineData(700)]
    public void RPL_4_However_the_records_lie_the_view_is_the_same(int noise)
    {
        using var world = new ModeDatabase(Durability.Buffered, Small);
        var run = world.Db.Runs.Begin("mine");
        var random = new Random(noise);
        var hash = default(Hash256);
        for (var i = 0; i < 400; i++)
        {
            run.Kv.Put("k" + random.Next(100), new string('v', random.Next(10) == 0 ? 6_000 : random.Next(200)));
            if (i == 300)
                hash = run.StateHash();
            for (var j = random.Next(noise + 1); j > 0 && i % 40 == 0; j--)
                world.Run.Kv.Put("noise", new string('n', random.Next(900)));
        }

        using var view = run.AtStep(302);
        Assert.Equal(hash, view.StateHash());
        Assert.Equal(401, view.RecordsRead);
    }

    [Fact]
    [Trait("Promise", "G13")]
    public void LIM_A_view_that_takes_too_much_memory_is_refused_and_leaves_nothing()
    {
        using var world = new ModeDatabase(
            Durability.Buffered, new CairnOptions { Limits = new Limits { ViewBytesMax = 256 << 10 } });
        var run = world.Db.Runs.Begin("mine");
        for (var i = 0; i < 5_000; i++)
            run.Kv.Put("key-" + i, i);
        var refused = Assert.Throws<LimitException>(() => run.At(world.Db.Sequence));
        Assert.Equal(nameof(Limits.ViewBytesMax), refused.Limit);
        Assert.Equal(0, world.Db.Metrics.Views);
        using var view = run.AtStep(100);
        Assert.Equal(99, view.Kv.Count());
    }

    [Fact]
    [Trait("Requirement", "RPL-8")]
    public void RPL_8_Steps_tell_each_commit_with_what_it_changed_before_and_after()
    {
        using var world = new ModeDatabase(Durability.Buffered);
        var by = new CommitAttributes { Actor = "ada" };
        var run = world.Db.Runs.Begin("mine").With(by);
        run.Kv.Put("customer", "Ada");
        run.Transact(tx =>
        {
            tx.Kv.Put("customer", "Eve");
            tx.State.Set("budget", 90);
            tx.Events.Append("note", Value.Object(("text", "hello")));
            tx.Events.Consumers.Commit("reader", new EventNumber(1));
        });
        run.Kv.Delete("customer");
        run.Events.Redact(new EventNumber(0), "private");
        var trace = run.Traces.Record(new ThoughtStep("hm"), new TraceOptions { Tags = ["a", "b"] });
        run.AddTags("tag");
        using var view = world.Db.Replay(run.Id);
        var steps = view.Steps(1, 7);
        Assert.Equal(Enumerable.Range(1, 7), steps.Select(step => step.Number));
        Assert.Equal(run.Commits().Reverse().Select(commit => commit.Sequence), steps.Select(step => step.Commit.Sequence));
        Assert.All(steps.Skip(1), step => Assert.Equal(by, step.Commit.Attributes));
        Assert.Equal(["runs/" + run.Id], steps[0].Changes.Select(change => change.Address.ToString()));
        Assert.Null(steps[0].Changes[0].Before);
        Assert.Equal([new StepChange(ItemAddress.OfKey("customer"), null, "Ada")], steps[1].Changes);
        Assert.Equal(
            [
                new StepChange(ItemAddress.OfKey("customer"), "Ada", "Eve"),
                new StepChange(ItemAddress.OfEvent(new EventNumber(0)), null, Value.Object(("text", "hello"))),
                new StepChange(new ItemAddress("events", "consumer reader"), null, 1),
                new StepChange(ItemAddress.OfCell("budget"), null, 90),
            ],
            steps[2].Changes);
        Assert.Equal([new StepChange(ItemAddress.OfKey("customer"), "Eve", null)], steps[3].Changes);
        Assert.Equal(["#0", "#1"], steps[4].Changes.Select(change => change.Address.Key));
        Assert.Equal((Value.Object(("text", "hello")), default(Value?)), (steps[4].Changes[0].Before!.Value, steps[4].Changes[0].After));
        Assert.Equal(ItemAddress.OfTrace(trace), Assert.Single(steps[5].Changes).Address);
        var record = Assert.Single(steps[6].Changes);
        Assert.False(record.Before!.Value.TryGetMember("tags", out _));
        Assert.Equal(1, record.After!.Value["tags"].Count);

        var back = view.Steps(7, 3);
        Assert.Equal([7, 6, 5, 4, 3], back.Select(step => step.Number));
        Assert.Equal(steps[2].Changes, back[^1].Changes);
        using var earlier = run.AtStep(4);
        Assert.Equal(4, earlier.StepCount);
        Assert.Throws<CairnException>(() => earlier.Steps(4, 5));
    }

    // What a step says it left is what the view there shows, and it begins with what the step before left.
    [Fact]
    [Trait("Requirement", "RPL-8")]
    public void RPL_8_Before_is_what_the_step_before_left()
    {
        using var world = new ModeDatabase(Durability.Buffered);
        var run = world.Db.Runs.Begin("mine");
        Live(world, run, 60);
        using var view = world.Db.Replay(run.Id);
        var values = new Dictionary<ItemAddress, Value>();
        foreach (var step in view.Steps(1, 61))
        {
            using var there = run.At(step.Commit.Sequence);
            foreach (var change in step.Changes.Where(change => change.Address.Primitive == "kv"))
            {
                using var before = run.Before(step.Commit.Sequence);
                if (change.Before is { } was)
                    Assert.Equal(was, before.Kv.Get(change.Address.Key));
                Assert.Equal(change.After, there.Kv.Get(change.Address.Key));
            }
        }
    }

    [Fact]
    [Trait("Requirement", "RPL-9")]
    public void G10_Views_beside_writers_checkpoints_and_compactions_are_what_they_were()
    {
        using var world = new ModeDatabase(Durability.Buffered, Small);
        var run = world.Db.Runs.Begin("mine");
        var known = Live(world, run, 60);
        var end = false;
        ModeDatabase.OnThreads(4, thread =>
        {
            if (thread == 0)
            {
                for (var i = 0; i < 300; i++)
                {
                    run.Kv.Put("k" + i % 7, new string('n', 100) + i.ToString(CultureInfo.InvariantCulture));
                    world.Run.Kv.Put("noise", i);
                }

                Volatile.Write(ref end, true);
                return;
            }

            if (thread == 1)
            {
                while (!Volatile.Read(ref end))
                {
                    world.Db.Checkpoint(cancellationToken: CancellationToken.None);
                    world.Db.Compact(cancellationToken: CancellationToken.None);
                }

                return;
            }

            for (var i = 0; !Volatile.Read(ref end); i++)
            {
                var (sequence, hash) = known[(i * 7 + thread) % known.Count];
                using var view = run.At(sequence);
                Assert.Equal(hash, view.StateHash());
            }
        });
        Assert.Equal(0, world.Db.Metrics.Views);
    }
}
