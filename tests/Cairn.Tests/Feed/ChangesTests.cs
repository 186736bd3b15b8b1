#pragma warning disable xUnit1051 // what is waited for here comes at once or not at all; cancelling has a test of its own

using Cairn.Storage;
using Cairn.Tests.Content;
using Cairn.Tests.Transactions;
using Xunit;

namespace Cairn.Tests.Feed;

/// <summary>FEED-1 to FEED-4: the feed of changes.</summary>
public class ChangesTests
{
    private static readonly EngineHooks Manual = new() { IsMaintenanceManual = true };

    public static TheoryData<Durability> Modes => [Durability.InMemory, Durability.Buffered, Durability.Strict];

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    // ---- the model ------------------------------------------------------------------------------------------------------------

    // What each step of a random life committed, as lines; then the feed from every cursor is what came behind it, of the database and of
    // each run, whatever restarts, checkpoints and rotations came between.
    [Theory]
    [MemberData(nameof(Modes))]
    [Trait("Requirement", "FEED-1")]
    [Trait("Requirement", "FEED-3")]
    [Trait("Kind", "Random")]
    public async Task FEED_1_FEED_3_From_every_cursor_the_feed_is_the_list_of_commits(Durability mode)
    {
        var seed = Seeds.Begin(nameof(FEED_1_FEED_3_From_every_cursor_the_feed_is_the_list_of_commits));
        for (var life = 0; life < Seeds.Scaled(2); life++)
        {
            var random = new Random((int)(seed >> 8) + life);
            using var world = FeedBed.Open(mode);
            var said = new List<(ulong Sequence, HashSet<RunId> Runs, string Text)>();
            for (var step = 0; step < 80; step++)
            {
                world.Clock.Microseconds += random.Next(3);
                if (random.Next(12) == 0)
                    world.Reopen(isKilled: mode == Durability.Strict && random.Next(2) == 0);
                if (random.Next(12) == 0 && world.HasLog)
                    world.CheckpointAndForget();
                Write(world, random, said);
            }

            var whole = await world.Db.Changes(options: FeedBed.Now).AllAsync();
    Assert.Equal(said.Select(commit => commit.Text), whole.Select(commit => commit.Text()));
            Assert.Equal(said.Select(commit => commit.Sequence), whole.Select(commit => commit.Sequence.Value));
            foreach (var run in said.SelectMany(commit => commit.Runs).Distinct().ToList())
            {
                if (!world.Db.Runs.TryGet(run, out var handle))
                    continue;
                var own = whole.Where(commit => commit.Changes.Any(change => change.Run == run)).ToList();
                await CheckEveryCursorAsync(
                    own, cursor => handle.Changes(cursor, options: FeedBed.Now), change => change.Run == run);
            }

            await CheckEveryCursorAsync(whole, cursor => world.Db.Changes(cursor, options: FeedBed.Now), _ => true);
            world.Reopen();
            await CheckEveryCursorAsync(whole, cursor => world.Db.Changes(cursor, options: FeedBed.Now), _ => true);
        }
    }

    private static async Task CheckEveryCursorAsync(
        List<CommittedChanges> whole, Func<string?, IAsyncEnumerable<CommittedChanges>> feed, Func<Change, bool> takes)
    {
        var lines = whole.Select(commit => (commit with { Changes = [.. commit.Changes.Where(takes)] }).Line()).ToList();
        Assert.Equal(lines, (await feed(null).AllAsync()).Lines());
        for (var i = 0; i < whole.Count; i++)
            Assert.Equal(lines.Skip(i + 1), (await feed(whole[i].Cursor).AllAsync()).Lines());
    }

    private static void Write(TestDatabase world, Random random, List<(ulong Sequence, HashSet<RunId> Runs, string Text)> said)
    {
        var text = new List<string>();
        var runs = new HashSet<RunId>();
        void Say(string operation, Run run, string key)
        {
            text.Add($"{operation} {run.Id} {key}");
            runs.Add(run.Id);
        }

        var run = random.Next(3) == 0 ? world.Run : world.Db.Runs.Get(random.Next(2) == 0 ? "other-0" : "other-1");
        if (run is null)
        {
            run = world.Db.Runs.Begin(world.Db.Runs.Exists("other-0") ? "other-1" : "other-0");
            Say("run.create", run, run.Id.ToString());
            said.Add((world.Sequence, runs, string.Join(";", text)));
            return;
        }

        var before = world.Sequence;
        switch (random.Next(8))
        {
            case 0:
                var key = "k" + random.Next(3);
                run.Kv.Put(key, new string('v', random.Next(200)));
                Say("kv.put", run, key);
                break;
            case 1:
                run.Kv.Put("k", 1);
                Say("kv.put", run, "k");
                break;
            case 2:
                run.Kv.Increment("n");
                Say("kv.increment", run, "n");
                break;
            case 3:
                Say("event.append", run, run.Events.Append("tool_call", Value.Object(("a", 1))).Number.ToString());
                break;
            case 4:
                run.State.Set("cell", random.Next());
                Say("state.set", run, "cell");
                break;
            case 5:
                Say("trace.record", run, run.Traces.Record(new ThoughtStep("so")).ToString());
                break;
            case 6:
                run.AddTags("tag" + random.Next(3));
                Say("run.update", run, run.Id.ToString());
                break;
            default:
                var others = new[] { world.Run, world.Db.Runs.Get("other-0"), world.Db.Runs.Get("other-1") }.OfType<Run>()
                    .OrderBy(other => other.Id).ToList();
                world.Db.Transact(others, tx =>
                {
                    foreach (var other in others)
                        tx.On(other).Kv.Put("both", 1);
                });
                foreach (var other in others)
                    Say("kv.put", other, "both");
                break;
        }

        Assert.Equal(before + 1, world.Sequence);
        said.Add((world.Sequence, runs, string.Join(";", text)));
    }

    [Fact]
    [Trait("Requirement", "FEED-1")]
    public async Task A_long_run_is_walked_back_in_stretches()
    {
        using var world = FeedBed.Open(Durability.Buffered);
        var other = world.OtherRun();
        for (var i = 0; i < 50; i++)
        {
            world.Kv.Put("k", i);
            other.Kv.Put("k", i);
        }

        var log = (Cairn.Log.SegmentedLog)world.Db.Engine.Path.Log.Device!;
        using var source = new Cairn.Feed.RunSource(log, world.Run.RunState, null, world.Sequence, stretchMax: 7);
        var given = new List<ulong>();
        while (source.TryNext(world.Sequence, out var header, out _))
            given.Add(header.Sequence);
        Assert.Equal((await world.Run.Changes(options: FeedBed.Now).AllAsync()).Select(commit => commit.Sequence.Value), given);
        Assert.Equal(50, given.Count);
    }

    // ---- live -----------------------------------------------------------------------------------------------------------------

    [Theory]
    [MemberData(nameof(Modes))]
    [Trait("Requirement", "FEED-1")]
    public async Task A_stream_gives_what_is_there_and_then_each_commit_as_it_comes(Durability mode)
    {
        using var world = FeedBed.Open(mode);
        world.Kv.Put("a", 1);
        await using var feed = world.Db.Changes(cancellationToken: Token).GetAsyncEnumerator(Token);
        Assert.True(await feed.MoveNextAsync());
        Assert.Equal("a", feed.Current.Changes.Single().Key);
        var next = feed.MoveNextAsync().AsTask();
        Assert.False(next.IsCompleted);
        world.Kv.Put("b", 2);
        Assert.True(await next);
        Assert.Equal("b", feed.Current.Changes.Single().Key);
        Assert.Equal(2UL, feed.Current.Sequence.Value);
        Assert.Equal(1, world.Db.Metrics.ChangeStreams);
    }

    [Theory]
    [MemberData(nameof(Modes))]
    [Trait("Requirement", "FEED-3")]
    [Trait("Kind", "Random")]
    public async Task Under_many_writers_every_stream_has_every_commit_once_and_in_order(Durability mode)
    {
        using var world = FeedBed.Open(mode);
        const int Writers = 3, Each = 60;
        var runs = Enumerable.Range(0, Writers).Select(world.OtherRun).ToList();
        var from = world.Db.ChangeCursor();
        var whole = Task.Run(() => world.Db.Changes(from, cancellationToken: Token).TakeAsync(Writers * Each), Token);
        var own = runs.Select(run => Task.Run(() => run.Changes(from, cancellationToken: Token).TakeAsync(Each), Token)).ToList();
        var threads = runs.Select(run => new Thread(() =>
        {
            for (var i = 0; i < Each; i++)
                run.Kv.Put("k", i);
        })).ToList();
        threads.ForEach(thread => thread.Start());
        threads.ForEach(thread => thread.Join());
        var given = (await whole).Select(commit => (int)commit.Sequence.Value);
        Assert.Equal(Enumerable.Range(Writers + 1, Writers * Each), given);
        for (var i = 0; i < Writers; i++)
        {
            var commits = await own[i];
            Assert.All(commits, commit => Assert.Equal(runs[i].Id, commit.Changes.Single().Run));
            Assert.Equal(commits.Select(commit => commit.Sequence.Value).Order(), commits.Select(commit => commit.Sequence.Value));
        }
    }

    // A commit is written and its sync does not come back: no reader sees it, so no feed gives it.
    [Fact]
    [Trait("Requirement", "FEED-3")]
    public async Task FEED_3_A_commit_is_given_only_when_it_is_as_durable_as_its_mode_asks()
    {
        using var syncs = new ManualResetEventSlim(true);
        using var stands = new ManualResetEventSlim();
        using var memory = new MemoryStorage();
        using var disk = new LatencyStorage(memory, (call, _) =>
        {
            if (call == StorageCall.DataSync && !syncs.IsSet)
            {
                stands.Set();
                syncs.Wait(Token);
            }
        });
        using var db = CairnDatabase.Open(disk, new CairnOptions { RandomSeed = 1 }, Manual);
        db.Default.Kv.Put("first", 1);
        syncs.Reset();
        var writer = new Thread(() => db.Default.Kv.Put("second", 1));
        writer.Start();
        stands.Wait(Token);
        try
        {
            Assert.Single(await db.Changes(options: FeedBed.Now).AllAsync());
            await using var feed = db.Changes(cancellationToken: Token).GetAsyncEnumerator(Token);
            Assert.True(await feed.MoveNextAsync());
            var next = feed.MoveNextAsync().AsTask();
            Assert.False(next.IsCompleted);
            syncs.Set();
            Assert.True(await next);
            Assert.Equal("second", feed.Current.Changes[0].Key);
        }
        finally
        {
            syncs.Set();
            writer.Join();
        }
    }

    [Fact]
    [Trait("Requirement", "FEED-4")]
    public async Task FEED_4_A_consumer_that_stands_still_holds_up_nobody_and_its_lag_is_told()
    {
        using var world = FeedBed.Open(Durability.Buffered);
        world.Kv.Put("a", 1);
        await using var feed = world.Db.Changes(cancellationToken: Token).GetAsyncEnumerator(Token);
        Assert.True(await feed.MoveNextAsync());
        for (var i = 0; i < 500; i++)
            world.Kv.Put("k", i);
        Assert.Equal((1, 500L), (world.Db.Metrics.ChangeStreams, world.Db.Metrics.ChangeLag));
        for (var i = 0; i < 500; i++)
        {
            Assert.True(await feed.MoveNextAsync());
            Assert.Equal((ulong)(i + 2), feed.Current.Sequence.Value);
        }

        Assert.Equal(0, world.Db.Metrics.ChangeLag);
    }

    // ---- ends -----------------------------------------------------------------------------------------------------------------

    [Theory]
    [MemberData(nameof(Modes))]
    public async Task A_stream_ends_by_cancellation_disposal_and_failure(Durability mode)
    {
        using var world = FeedBed.Open(mode);
        world.Kv.Put("a", 1);
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(Token);
        await using (var cancelled = world.Db.Changes(cancellationToken: stop.Token).GetAsyncEnumerator(Token))
        {
            Assert.True(await cancelled.MoveNextAsync());
            var waits = cancelled.MoveNextAsync().AsTask();
            await stop.CancelAsync();
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => waits);
        }

        await using (var left = world.Db.Changes(cancellationToken: Token).GetAsyncEnumerator(Token))
            Assert.True(await left.MoveNextAsync());
        Assert.Equal(0, world.Db.Metrics.ChangeStreams);

        await using (var failed = world.Db.Changes(cancellationToken: Token).GetAsyncEnumerator(Token))
        {
            Assert.True(await failed.MoveNextAsync());
            var waits = failed.MoveNextAsync().AsTask();
            TestDatabase.Kill(world.Db);
            await Assert.ThrowsAsync<DatabaseFailedException>(() => waits);
        }

        // What is visible is given all the same.
        Assert.Single(await world.Db.Changes(options: FeedBed.Now).AllAsync());
    }

    [Theory]
    [MemberData(nameof(Modes))]
    public async Task A_stream_that_is_open_when_the_database_is_closed_says_so(Durability mode)
    {
        using var world = FeedBed.Open(mode);
        world.Kv.Put("a", 1);
        var closed = world.Db.Changes(cancellationToken: Token).GetAsyncEnumerator(Token);
        Assert.True(await closed.MoveNextAsync());
        world.Db.Dispose();
        await Assert.ThrowsAsync<ObjectDisposedException>(() => closed.MoveNextAsync().AsTask());
        await closed.DisposeAsync();
        Assert.Throws<ObjectDisposedException>(() => world.Db.Changes());
    }

    [Fact]
    public async Task Who_waits_learns_that_the_database_is_closed()
    {
        using var world = FeedBed.Open(Durability.Buffered);
        await using var feed = world.Run.Changes(cancellationToken: Token).GetAsyncEnumerator(Token);
        var waits = feed.MoveNextAsync().AsTask();
        world.Db.Dispose();
        await Assert.ThrowsAsync<ObjectDisposedException>(() => waits);
    }

    [Theory]
    [MemberData(nameof(Modes))]
    public async Task The_stream_of_a_run_ends_with_its_deletion(Durability mode)
    {
        using var world = FeedBed.Open(mode);
        var run = world.OtherRun();
        run.Kv.Put("a", 1);
        await using var feed = run.Changes(cancellationToken: Token).GetAsyncEnumerator(Token);
        Assert.True(await feed.MoveNextAsync());
        Assert.True(await feed.MoveNextAsync());
        var last = feed.MoveNextAsync().AsTask();
        world.Db.Runs.Delete(run.Id);
        Assert.True(await last);
        Assert.Equal("run.delete", feed.Current.Changes.Single().Operation);
        Assert.False(await feed.MoveNextAsync());
        Assert.Equal(ErrorCode.NotFound, TestValues.Refused(() => run.Changes()));
        Assert.Equal(3, (await world.Db.Changes(options: FeedBed.Now).AllAsync()).Count);
    }

    // ---- cursors --------------------------------------------------------------------------------------------------------------

    [Fact]
    [Trait("Requirement", "FEED-3")]
    public void A_cursor_that_was_changed_or_comes_from_elsewhere_is_refused_by_name()
    {
        using var world = FeedBed.Open(Durability.Buffered);
        using var other = FeedBed.Open(Durability.Buffered, options => options with { RandomSeed = 2 });
        world.Kv.Put("a", 1);
        other.Kv.Put("a", 1);
        var cursor = world.Db.ChangeCursor();
        Assert.Equal(CursorFault.OtherDatabase, Refused(() => other.Db.Changes(cursor)));
        Assert.Equal(CursorFault.OtherDatabase, Refused(() => other.Run.Changes(cursor)));
        string[] texts = ["", "x", cursor[1..], cursor + "A", " " + cursor[1..], cursor[..^1] + "=", new('A', cursor.Length)];
        foreach (var text in texts)
            Assert.Equal(CursorFault.Damaged, Refused(() => world.Db.Changes(text)));
        for (var i = 0; i < cursor.Length - 1; i++)
        {
            var changed = cursor[..i] + (cursor[i] == 'A' ? 'B' : 'A') + cursor[(i + 1)..];
            Assert.Equal(CursorFault.Damaged, Refused(() => world.Db.Changes(changed)));
        }
    }

    private static CursorFault Refused(Action action)
    {
        var refused = Assert.Throws<CursorException>(action);
        Assert.Equal(ErrorCode.InvalidCursor, refused.Code);
        return refused.Fault;
    }

    // A crash took commits that a Buffered database had shown. A consumer that has seen them comes back: first nothing is there, then
    // other commits have their sequences. It is told both times, and is never given the others as if it had seen what is before them.
    [Fact]
    [Trait("Requirement", "FEED-3")]
    public async Task FEED_3_A_cursor_behind_a_commit_that_a_crash_took_is_refused_and_goes_on_nowhere()
    {
        var storage = new CrashStorage();
        using var world = new TestDatabase(Durability.Buffered, storage: storage);
        world.Kv.Put("a", 1);
        world.Db.Sync();
        var kept = world.Db.ChangeCursor();
        world.Kv.Put("b", 1);
        world.Kv.Put("c", 1);
        var lost = (await world.Db.Changes(options: FeedBed.Now).AllAsync())[^1].Cursor;
        world.MoveTo(storage.Image(CrashPattern.None));
        Assert.Equal(1UL, world.Sequence);
        Assert.Equal(CursorFault.Future, await RefusedAsync(world.Db.Changes(lost, options: FeedBed.Now)));
        Assert.Equal(CursorFault.Future, await RefusedAsync(world.Run.Changes(lost, options: FeedBed.Now)));
        world.Kv.Put("d", 1);
        world.Kv.Put("e", 1);
        world.Kv.Put("f", 1);
        Assert.Equal(CursorFault.Lost, await RefusedAsync(world.Db.Changes(lost, options: FeedBed.Now)));
        Assert.Equal(CursorFault.Lost, await RefusedAsync(world.Run.Changes(lost, options: FeedBed.Now)));
        Assert.Equal(["d", "e", "f"], await world.Db.Changes(kept, options: FeedBed.Now).KeysAsync());
    }

    private static async Task<CursorFault> RefusedAsync(IAsyncEnumerable<CommittedChanges> feed) =>
        (await Assert.ThrowsAsync<CursorException>(feed.AllAsync)).Fault;

    // A killed process loses nothing, but recovery copies what was not synced into a new segment: other bytes, the same commits.
    [Fact]
    [Trait("Requirement", "FEED-3")]
    public async Task A_cursor_is_good_after_a_recovery_that_copied_its_commit()
    {
        var storage = new CrashStorage();
        using var world = new TestDatabase(Durability.Buffered, storage: storage);
        for (var i = 0; i < 20; i++)
            world.Kv.Put("k" + i, i);
        var before = await world.Db.Changes(options: FeedBed.Now).AllAsync();
        world.MoveTo(storage.Image(CrashPattern.All));
        world.Kv.Put("last", 1);
        for (var i = 0; i < 20; i++)
        {
            Assert.Equal(20 - i, (await world.Db.Changes(before[i].Cursor, options: FeedBed.Now).AllAsync()).Count);
            Assert.Equal(20 - i, (await world.Run.Changes(before[i].Cursor, options: FeedBed.Now).AllAsync()).Count);
        }
    }

    [Theory]
    [MemberData(nameof(Modes))]
    public async Task A_cursor_can_be_had_behind_any_commit(Durability mode)
    {
        using var world = FeedBed.Open(mode);
        for (var i = 0; i < 5; i++)
            world.Kv.Put("k", i);
        for (var i = 0UL; i <= 5; i++)
        {
            var rest = await world.Db.Changes(world.Db.ChangeCursor(new Sequence(i)), options: FeedBed.Now).AllAsync();
            Assert.Equal(5 - (int)i, rest.Count);
        }

        Assert.Equal(world.Db.ChangeCursor(), world.Db.ChangeCursor(new Sequence(5)));
        Assert.Equal((await world.Db.Changes(options: FeedBed.Now).AllAsync())[2].Cursor, world.Db.ChangeCursor(new Sequence(3)));
        Assert.Equal(ErrorCode.InvalidArgument, TestValues.Refused(() => world.Db.ChangeCursor(new Sequence(6))));
    }

    // ---- what is no longer kept -----------------------------------------------------------------------------------------------

    [Fact]
    [Trait("Requirement", "FEED-3")]
    public async Task FEED_3_What_the_log_has_given_up_is_HistoryTrimmed_with_the_earliest_cursor()
    {
        using var world = new CompactionWorld(Retention.KeepLast(1));
        var run = world.Run("r");
        world.Put(run, "a", "1");
        var early = world.Db.ChangeCursor();
        await using var open = world.Db.Changes(cancellationToken: Token).GetAsyncEnumerator(Token);
        Assert.True(await open.MoveNextAsync());
        world.FillSegments(3);
        var expected = await world.Db.Changes(options: FeedBed.Now).AllAsync();
        Assert.True(world.Compact().SegmentsDropped > 0);
        var first = world.Log.Manifest.RetentionFloor;
        foreach (var feed in new[]
                 {
                     world.Db.Changes(options: FeedBed.Now), world.Db.Changes(early, options: FeedBed.Now),
                     world.Db.Changes(world.Db.ChangeCursor(new Sequence(first - 2)), options: FeedBed.Now),
                 })
        {
            var trimmed = await Assert.ThrowsAsync<HistoryTrimmedException>(feed.AllAsync);
            Assert.Equal(first, trimmed.Earliest.Value);
            var rest = await world.Db.Changes(trimmed.EarliestCursor, options: FeedBed.Now).AllAsync();
            Assert.Equal(expected.Lines().Skip((int)first - 1), rest.Lines());
        }

        // A stream that is open reads what it has taken, and then is told; it is never given less than there was.
        var given = 1UL;
        var lost = await Assert.ThrowsAsync<HistoryTrimmedException>(async () =>
        {
            while (await open.MoveNextAsync())
                Assert.Equal(++given, open.Current.Sequence.Value);
        });
        Assert.Equal((given + 1, first), (lost.Requested.Value, lost.Earliest.Value));

        // Behind the last one that is gone there is no gap.
        Assert.Equal(
            expected.Lines().Skip((int)first - 1),
            (await world.Db.Changes(expected[(int)first - 2].Cursor, options: FeedBed.Now).AllAsync()).Lines());
    }

    [Fact]
    [Trait("Requirement", "FEED-4")]
    public async Task A_run_whose_records_are_kept_is_given_whole_from_archives_and_one_with_gaps_is_not()
    {
        using var world = new CompactionWorld(Retention.KeepLast(1));
        var kept = world.Run("kept", Retention.KeepAll);
        var least = world.Run("least");
        for (var i = 0; i < 5; i++)
        {
            world.Put(kept, "k" + i, "v");
            world.Put(least, "k" + i, "v");
        }

        var before = (await kept.Changes(options: FeedBed.Now).AllAsync()).Lines();
        var cursors = (await kept.Changes(options: FeedBed.Now).AllAsync()).Select(commit => commit.Cursor).ToList();
        world.FillSegments(3);
        Assert.True(world.Compact().ArchivesWritten > 0);
        Assert.Equal(before, (await kept.Changes(options: FeedBed.Now).AllAsync()).Lines());
        for (var i = 0; i < cursors.Count; i++)
            Assert.Equal(before.Skip(i + 1), (await kept.Changes(cursors[i], options: FeedBed.Now).AllAsync()).Lines());

        var trimmed = await Assert.ThrowsAsync<HistoryTrimmedException>(least.Changes(options: FeedBed.Now).AllAsync);
        world.Put(least, "new", "v");
        Assert.Equal(["new"], await least.Changes(trimmed.EarliestCursor, options: FeedBed.Now).KeysAsync());
    }

    // Of a record some operations are needed and others stand there by chance: to give those, or the needed ones alone, as the commit would
    // be wrong.
    [Fact]
    [Trait("Requirement", "FEED-3")]
    public async Task A_commit_of_which_parts_were_let_go_is_trimmed()
    {
        using var world = new CompactionWorld(Retention.KeepLast(1));
        var run = world.Run("r", Retention.KeepFor(TimeSpan.FromHours(1)));
        run.Transact(tx =>
        {
            tx.Kv.Put("a", 1);
            tx.Kv.Put("b", 1);
        });
        run.Kv.Put("a", 2);
        world.Clock.Advance(TimeSpan.FromHours(2));
        world.FillSegments(3);
        world.Compact();
        var trimmed = await Assert.ThrowsAsync<HistoryTrimmedException>(run.Changes(options: FeedBed.Now).AllAsync);
        var rest = await run.Changes(trimmed.EarliestCursor, options: FeedBed.Now).AllAsync();
        Assert.Equal(["a"], rest.SelectMany(commit => commit.Changes).Select(change => change.Key));
    }

    // ---- what is given --------------------------------------------------------------------------------------------------------

    [Theory]
    [MemberData(nameof(Modes))]
    [Trait("Requirement", "FEED-2")]
    public async Task FEED_2_A_change_names_its_address_version_and_operation(Durability mode)
    {
        using var world = FeedBed.Open(mode);
        var run = world.Run;
        world.Clock.Advance(TimeSpan.FromSeconds(1));
        run.Kv.Put("a b/c", 1, TimeSpan.FromHours(1));
        run.State.Set("cell", 1);
        run.State.Set("cell", 2);
        run.Events.Append("tool_call", Value.Object(("x", 1)));
        var trace = run.Traces.Record(new ToolCallStep("search", Value.Object()), new TraceOptions { Tags = ["t"] });
        run.Events.Consumers.Commit("reader", 1);
        var all = (await world.Db.Changes(options: new ChangeOptions { End = ChangeEnd.Now, Values = ChangeValues.After }).AllAsync())
            .Select(commit => commit.Changes.Single()).ToList();
        Assert.Equal(
            ["kv.put", "state.set", "state.set", "event.append", "trace.record", "event.consumer_commit"], all.Select(c => c.Operation));
        Assert.Equal($"cairn://{run.Id}/kv//a%20b%2Fc", all[0].Address);
        Assert.Equal(world.Clock.GetUtcNow() + TimeSpan.FromHours(1), all[0].Expiry);
        Assert.Equal(new Counter(2), all[2].Counter);
        Assert.Equal((new EventNumber(0), "tool_call", "#0"), (all[3].Number, all[3].Type, all[3].Key));
        Assert.Equal(("tool_call", trace.ToString()), (all[4].Type, all[4].Key));
        Assert.Equal(["t"], all[4].Tags);
        Assert.Equal("consumer reader", all[5].Key);
        Assert.Equal([1UL, 2, 3, 4, 5, 6], all.Select(change => change.Version.Value));
        Assert.Equal(ChangedValue.Of(2), all[2].After);
        Assert.Equal(ChangedValue.Of(Value.Object(("x", 1))), all[3].After);
        Assert.All(all, change => Assert.Equal(ChangedValueState.NotAsked, change.Before.State));
    }

    [Theory]
    [MemberData(nameof(Modes))]
    [Trait("Requirement", "FEED-2")]
    public async Task FEED_2_Values_before_and_after(Durability mode)
    {
        using var world = FeedBed.Open(mode);
        var kv = world.Kv;
        kv.Put("k", 1);
        kv.Put("k", 2);
        kv.Delete("k");
        kv.Put("k", 3, TimeSpan.FromSeconds(1));
        kv.Expire("k", TimeSpan.FromSeconds(2));
        world.Clock.Advance(TimeSpan.FromSeconds(3));
        kv.Put("k", 4);
        kv.Increment("k", 5);
        kv.Put("large", new string('x', 5_000));
        kv.Put("large", "small");
        world.Run.State.Set("k", 7);
        world.Run.State.Delete("k");
        var options = new ChangeOptions { End = ChangeEnd.Now, Values = ChangeValues.BeforeAndAfter, ValueBytesMax = 1_000 };
        string[] expected =
        [
            "absent > 1", "1 > 2", "2 > absent", "absent > 3", "3 > unchanged", "absent > 4", "4 > 9", "absent > notread",
            "notread > \"small\"", "absent > 7", "7 > absent",
        ];
        foreach (var feed in new[] { world.Db.Changes(options: options), world.Run.Changes(options: options) })
            Assert.Equal(expected, (await feed.AllAsync()).Select(ValuesOf));
        world.Reopen();
        Assert.Equal(expected, (await world.Db.Changes(options: options).AllAsync()).Select(ValuesOf));
    }

    private static string ValuesOf(CommittedChanges commit) => $"{commit.Changes[0].Before} > {commit.Changes[0].After}";

    [Fact]
    [Trait("Requirement", "FEED-2")]
    public async Task A_value_before_that_is_no_longer_kept_is_told_as_trimmed()
    {
        using var world = new CompactionWorld(Retention.KeepLast(1));
        var run = world.Run("r");
        world.Put(run, "a", "1");
        world.FillSegments(3);
        world.Compact();
        var from = world.Db.ChangeCursor();
        world.Put(run, "a", "2");
        world.Put(run, "a", "3");
        var options = new ChangeOptions { End = ChangeEnd.Now, Values = ChangeValues.BeforeAndAfter };
        var changes = (await world.Db.Changes(from, options: options).AllAsync()).Select(commit => commit.Changes[0]).ToList();
        Assert.Equal(ChangedValueState.Trimmed, changes[0].Before.State);
        Assert.Equal(ChangedValue.Of("2"), changes[1].Before);
    }

    // ---- filters --------------------------------------------------------------------------------------------------------------

    [Theory]
    [MemberData(nameof(Modes))]
    [Trait("Requirement", "FEED-2")]
    public async Task FEED_2_A_filter_leaves_what_meets_every_condition(Durability mode)
    {
        using var world = FeedBed.Open(mode);
        var other = world.OtherRun();
        world.Kv.Put("user/ada", 1);
        world.Kv.Put("agent/x", 1);
        world.Run.State.Set("user/cell", 1);
        other.Kv.Put("user/eve", 1);
        world.Run.Events.Append("note", Value.Object());
        world.Run.Events.Append("tool_call", Value.Object());
        world.Run.Traces.Record(new ThoughtStep("a"), new TraceOptions { Tags = ["red", "blue"] });
        world.Run.Traces.Record(new ErrorStep("kind", "text", true), new TraceOptions { Tags = ["green"] });
        world.Db.Transact([world.Run, other], tx =>
        {
            tx.On(world.Run).Kv.Put("user/both", 1);
            tx.On(other).Kv.Put("else", 1);
        });

        async Task<string> KeysAsync(ChangeFilter filter) => string.Join(" ", (await world.Db.Changes(null, filter, FeedBed.Now).AllAsync())
            .SelectMany(commit => commit.Changes).Select(change => change.Primitive is "traces" or "runs" ? change.Primitive : change.Key));

        Assert.Equal("user/ada user/cell user/eve user/both", await KeysAsync(new() { KeyPrefix = "user/" }));
        Assert.Equal("user/ada user/eve user/both", await KeysAsync(new() { KeyPrefix = "user/", Primitives = ["kv"] }));
        Assert.Equal("runs user/eve else", await KeysAsync(new() { Runs = [other.Id] }));
        Assert.Equal("user/eve", await KeysAsync(new() { Runs = [other.Id], KeyPrefix = "user/" }));
        Assert.Equal("#1", await KeysAsync(new() { Types = ["tool_call"] }));
        Assert.Equal("#0 traces", await KeysAsync(new() { Types = ["note", "error"] }));
        Assert.Equal("traces", await KeysAsync(new() { Tags = ["blue"] }));
        Assert.Equal("traces traces", await KeysAsync(new() { Tags = ["red", "green"] }));
        Assert.Equal("", await KeysAsync(new() { Tags = ["red"], Types = ["error"] }));
        Assert.Equal("runs", await KeysAsync(new() { Primitives = ["runs"] }));
        Assert.Equal("", await KeysAsync(new() { Runs = [new RunId(Guid.NewGuid())] }));
        Assert.Equal(2, (await world.Run.Changes(null, new() { Primitives = ["traces"] }, FeedBed.Now).AllAsync()).Count);
    }

    [Fact]
    [Trait("Requirement", "SYS-2")]
    public async Task The_engines_own_run_is_given_when_it_is_named()
    {
        using var world = FeedBed.Open(Durability.Buffered, options => options with { SystemEvents = true });
        world.Kv.Put("a", 1);
        world.Maintain();
        world.Kv.Put("b", 1);
        Assert.Equal(["a", "b"], (await world.Db.Changes(options: FeedBed.Now).AllAsync()).Select(commit => commit.Changes[0].Key));
        var own = await world.Db.Changes(null, new() { Runs = [RunId.System] }, FeedBed.Now).AllAsync();
        Assert.Equal("open", own[0].Changes[0].Type);
    }

    [Fact]
    public async Task Where_nothing_passes_progress_is_told_if_it_is_asked_for()
    {
        using var world = FeedBed.Open(Durability.Buffered);
        var filter = new ChangeFilter { KeyPrefix = "rare" };
        for (var i = 0; i < 10; i++)
            world.Kv.Put("usual", i);
        Assert.Empty(await world.Db.Changes(null, filter, FeedBed.Now).AllAsync());
        var told = Assert.Single(await world.Db.Changes(null, filter, FeedBed.Now with { TellsProgress = true }).AllAsync());
        Assert.Empty(told.Changes);
        Assert.Equal((10UL, world.Db.ChangeCursor()), (told.Sequence.Value, told.Cursor));
        Assert.Empty(await world.Db.Changes(told.Cursor, filter, FeedBed.Now with { TellsProgress = true }).AllAsync());
    }

    // ---- doors ----------------------------------------------------------------------------------------------------------------

    [Fact]
    [Trait("Requirement", "FEED-2")]
    public void Conditions_that_are_none_are_refused_by_name()
    {
        using var world = FeedBed.Open(Durability.Buffered);
        ErrorCode Refused(ChangeFilter filter)
        {
            var code = TestValues.Refused(() => world.Db.Changes(null, filter));
            Assert.Equal(code, TestValues.Refused(() => world.Run.Changes(null, filter)));
            return code;
        }

        Assert.Equal(ErrorCode.InvalidName, Refused(new() { Collections = ["a/b"] }));
        var named = Assert.Throws<CairnException>(() => world.Db.Changes(null, new() { Collections = [] }));
        Assert.Contains("Collections", named.Message, StringComparison.Ordinal);
        Assert.Equal(ErrorCode.InvalidArgument, Refused(new() { Primitives = ["graphs"] }));
        Assert.Equal(ErrorCode.InvalidArgument, Refused(new() { Primitives = [] }));
        Assert.Equal(ErrorCode.InvalidArgument, Refused(new() { Types = [] }));
        Assert.Equal(ErrorCode.InvalidArgument, Refused(new() { Tags = [] }));
        Assert.Equal(ErrorCode.InvalidKey, Refused(new() { KeyPrefix = "" }));
        Assert.Equal(ErrorCode.InvalidName, Refused(new() { Types = ["a/b"] }));
        Assert.Equal(ErrorCode.InvalidName, Refused(new() { Tags = [""] }));
        Assert.Equal(ErrorCode.InvalidArgument, TestValues.Refused(() => world.Db.Changes(null, new() { Runs = [] })));
        Assert.Equal(ErrorCode.InvalidArgument, TestValues.Refused(() => world.Run.Changes(null, new() { Runs = [world.Run.Id] })));
        Assert.Equal(ErrorCode.InvalidArgument, TestValues.Refused(() => world.Db.Changes(null, null, new() { ValueBytesMax = -1 })));
    }

    [Fact]
    [Trait("Requirement", "LIM-40")]
    public void Limits_of_a_filter_at_n_minus_1_n_and_n_plus_1()
    {
        using var world = FeedBed.Open(Durability.Buffered);
        void Judge(string limit, int allowed, Func<int, ChangeFilter> filter)
        {
            world.Db.Changes(null, filter(allowed - 1));
            world.Run.Changes(null, filter(allowed) with { Runs = null });
            world.Db.Changes(null, filter(allowed));
            var refused = Assert.Throws<LimitException>(() => world.Db.Changes(null, filter(allowed + 1)));
            Assert.Equal((limit, allowed, allowed + 1), (refused.Limit, refused.Allowed, refused.Actual));
        }

        Judge(nameof(Limits.ManyItemsMax), 1_000, n => new() { Types = [.. Enumerable.Range(0, n).Select(i => $"t{i}")] });
        Judge(nameof(Limits.ManyItemsMax), 1_000, n => new() { Runs = [.. Enumerable.Range(0, n).Select(_ => new RunId(Guid.NewGuid()))] });
        Judge(nameof(Limits.TagsMax), 64, n => new() { Tags = [.. Enumerable.Range(0, n).Select(i => $"t{i}")] });
        Judge(nameof(Limits.KeyBytesMax), 1_024, n => new() { KeyPrefix = new string('k', n) });
        Judge(nameof(Limits.NameBytesMax), 256, n => new() { Types = [new string('t', n)] });
        Judge(nameof(Limits.NameBytesMax), 256, n => new() { Tags = [new string('t', n)] });
    }

    [Fact]
    [Trait("Requirement", "LIM-27")]
    public async Task LIM_27_Open_streams_are_counted_per_database()
    {
        using var world = FeedBed.Open(Durability.Buffered, options => options with { Limits = new Limits { SubscriptionsMax = 2 } });
        world.Kv.Put("a", 1);
        await using var first = world.Db.Changes(cancellationToken: Token).GetAsyncEnumerator(Token);
        await using (var second = world.Run.Changes(cancellationToken: Token).GetAsyncEnumerator(Token))
        {
            Assert.True(await first.MoveNextAsync());
            Assert.True(await second.MoveNextAsync());
            await using var third = world.Db.Changes(cancellationToken: Token).GetAsyncEnumerator(Token);
            var refused = await Assert.ThrowsAsync<LimitException>(() => third.MoveNextAsync().AsTask());
            Assert.Equal((nameof(Limits.SubscriptionsMax), 2L, 3L), (refused.Limit, refused.Allowed, refused.Actual));
        }

        Assert.Single(await world.Db.Changes(options: FeedBed.Now).AllAsync());
    }

    // Without a log there is nothing to read, and a ring of the newest commits would have gaps: it is refused, and says what to do.
    [Fact]
    public void In_memory_without_a_log_there_is_no_feed()
    {
        using var db = CairnDatabase.OpenInMemory();
        db.Default.Kv.Put("a", 1);
        foreach (var ask in new Action[] { () => db.Changes(), () => db.Default.Changes(), () => db.ChangeCursor() })
        {
            var refused = Assert.Throws<CairnException>(ask);
            Assert.Equal(ErrorCode.InvalidArgument, refused.Code);
            Assert.Contains("Retention.KeepAll", refused.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task Over_a_read_only_database_a_stream_ends_with_what_is_there()
    {
        using var storage = new MemoryStorage();
        using (var db = CairnDatabase.Open(storage, new CairnOptions { RandomSeed = 1 }, Manual))
            db.Default.Kv.Put("a", 1);
        using var read = CairnDatabase.Open(storage, new CairnOptions { IsReadOnly = true }, Manual);
        Assert.Single(await read.Changes(cancellationToken: Token).AllAsync());
        Assert.Single(await read.Default.Changes(cancellationToken: Token).AllAsync());
    }
}
