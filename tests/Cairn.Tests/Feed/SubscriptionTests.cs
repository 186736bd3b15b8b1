#pragma warning disable xUnit1051 // what is waited for here comes at once or not at all; cancelling has a test of its own

using Cairn.Storage;
using Cairn.Tests.Cli;
using Cairn.Tests.Transactions;
using Xunit;

namespace Cairn.Tests.Feed;

/// <summary>FEED-5: named cursors, and acknowledgements in the consumer's transaction.</summary>
public class SubscriptionTests
{
    public static TheoryData<Durability> Modes => [Durability.InMemory, Durability.Buffered, Durability.Strict];

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [MemberData(nameof(Modes))]
    [Trait("Requirement", "FEED-5")]
    public async Task FEED_5_A_subscription_goes_on_where_it_was_acknowledged_also_after_reopening(Durability mode)
    {
        using var world = FeedBed.Open(mode);
        world.Kv.Put("before", 1);
        world.Run.Subscriptions.Create("mail", new() { Filter = new() { KeyPrefix = "k", Primitives = ["kv"] } });
        for (var i = 0; i < 4; i++)
            world.Kv.Put("k" + i, i);
        world.Kv.Put("other", 1);
        Assert.Equal(["k0", "k1", "k2", "k3"], await world.Run.Subscriptions.Changes("mail", FeedBed.Now).KeysAsync());
        var first = (await world.Run.Subscriptions.Changes("mail", FeedBed.Now).TakeAsync(2))[1];
        world.Run.Subscriptions.Acknowledge("mail", first.Cursor);
        foreach (var isKilled in new[] { false, true })
        {
            world.Reopen(isKilled);
            Assert.Equal(["k2", "k3"], await world.Run.Subscriptions.Changes("mail", FeedBed.Now).KeysAsync());
        }

        var info = Assert.Single(world.Run.Subscriptions.List());
        Assert.Equal(("mail", first.Sequence, 4L, false), (info.Name, info.Behind, info.Lag, info.IsOfDatabase));
        Assert.Equal("k", info.Filter.KeyPrefix);
        Assert.Equal(first.Cursor, info.Cursor);
        if (world.HasLog)
        {
            world.CheckpointAndForget();
            Assert.Equal(["k2", "k3"], await world.Run.Subscriptions.Changes("mail", FeedBed.Now).KeysAsync());
        }

        Assert.True(world.Run.Subscriptions.Delete("mail"));
        Assert.False(world.Run.Subscriptions.Delete("mail"));
        Assert.Null(world.Run.Subscriptions.Get("mail"));
        world.Reopen();
        Assert.Empty(world.Run.Subscriptions.List());
    }

    [Theory]
    [MemberData(nameof(Modes))]
    [Trait("Requirement", "FEED-5")]
    public async Task FEED_5_A_subscription_of_the_database_is_acknowledged_beside_what_its_consumer_writes(Durability mode)
    {
        using var world = FeedBed.Open(mode);
        var consumer = world.OtherRun();
        consumer.Subscriptions.Create("all", new() { OfDatabase = true, Filter = new() { Runs = [world.Run.Id] } });
        for (var i = 0; i < 5; i++)
            world.Kv.Put("k", i);
        await foreach (var commit in consumer.Subscriptions.Changes("all", FeedBed.Now))
        {
            consumer.Transact(tx =>
            {
                tx.Kv.Increment("seen");
                tx.Subscriptions.Acknowledge("all", commit.Cursor);
            });
        }

        Assert.Equal(5, consumer.Kv.Number("seen"));
        Assert.Empty(await consumer.Subscriptions.Changes("all", FeedBed.Now).AllAsync());
        Assert.Equal(5UL + 2, consumer.Subscriptions.Get("all")!.Behind.Value);
    }

    // A consumer would be given its own acknowledgements for ever.
    [Fact]
    public async Task Acknowledgements_are_given_only_to_who_names_them()
    {
        using var world = FeedBed.Open(Durability.Buffered);
        world.Run.Subscriptions.Create("mine");
        world.Kv.Put("a", 1);
        world.Run.Subscriptions.Acknowledge("mine", world.Db.ChangeCursor());
        Assert.Equal(["a"], await world.Db.Changes(options: FeedBed.Now).KeysAsync());
        var own = await world.Db.Changes(null, new() { Primitives = ["subscriptions"] }, FeedBed.Now).AllAsync();
        Assert.Equal(["subscription.set mine", "subscription.set mine"], own.Select(c => $"{c.Changes[0].Operation} {c.Changes[0].Key}"));
    }

    // Two consumers have read the same commit. One of them commits its effect and the acknowledgement; the other's transaction is refused
    // whole, whether it had read before or after.
    [Theory]
    [MemberData(nameof(Modes))]
    [Trait("Requirement", "FEED-5")]
    public async Task FEED_5_Two_consumers_of_one_subscription_do_a_commit_once(Durability mode)
    {
        using var world = FeedBed.Open(mode);
        world.Run.Subscriptions.Create("jobs");
        world.Kv.Put("job", 1);
        var commit = Assert.Single(await world.Run.Subscriptions.Changes("jobs", FeedBed.Now).AllAsync());
        using var late = world.Run.BeginTransaction();
        late.Kv.Increment("done");
        late.Subscriptions.Acknowledge("jobs", commit.Cursor);
        void Do() => world.Run.Transact(tx =>
        {
            tx.Kv.Increment("done");
            tx.Subscriptions.Acknowledge("jobs", commit.Cursor);
        });

        Do();
        Assert.Contains(TestValues.Refused(() => late.Commit()), new[] { ErrorCode.Conflict, ErrorCode.ConstraintViolation });
        Assert.Equal(ErrorCode.ConstraintViolation, TestValues.Refused(Do));
        Assert.Equal(ErrorCode.ConstraintViolation, TestValues.Refused(() => world.Run.Subscriptions.Acknowledge("jobs", commit.Cursor)));
        Assert.Equal(1, world.Kv.Number("done"));
    }

    [Theory]
    [MemberData(nameof(Modes))]
    public async Task An_acknowledgement_of_several_commits_says_where_it_began(Durability mode)
    {
        using var world = FeedBed.Open(mode);
        var subscriptions = world.Run.Subscriptions;
        subscriptions.Create("jobs");
        var start = subscriptions.Get("jobs")!.Cursor;
        for (var i = 0; i < 3; i++)
            world.Kv.Put("job", i);
        var commits = await subscriptions.Changes("jobs", FeedBed.Now).AllAsync();
        subscriptions.Acknowledge("jobs", commits[0].Cursor, after: start);
        Assert.Equal(ErrorCode.ConstraintViolation, TestValues.Refused(() => subscriptions.Acknowledge("jobs", commits[2].Cursor, start)));
        Assert.Equal(
            ErrorCode.ConstraintViolation,
            TestValues.Refused(() => world.Run.Transact(tx => tx.Subscriptions.Acknowledge("jobs", commits[2].Cursor, start))));
        subscriptions.Acknowledge("jobs", commits[2].Cursor, commits[0].Cursor);
        subscriptions.Reset("jobs", start);
        Assert.Equal(3, (await subscriptions.Changes("jobs", FeedBed.Now).AllAsync()).Count);
    }

    [Theory]
    [MemberData(nameof(Modes))]
    public void In_a_transaction_a_subscription_is_made_moved_and_dropped_with_the_rest(Durability mode)
    {
        using var world = FeedBed.Open(mode);
        world.Kv.Put("a", 1);
        var behind = world.Db.ChangeCursor();
        world.Run.Transact(tx =>
        {
            tx.Subscriptions.Create("s", new() { Cursor = world.Db.ChangeCursor(Sequence.None) });
            tx.Subscriptions.Acknowledge("s", behind);
            Assert.Equal(behind, tx.Subscriptions.Get("s")!.Cursor);
            Assert.Single(tx.Subscriptions.List());
        });
        Assert.Equal(behind, world.Run.Subscriptions.Get("s")!.Cursor);
        Assert.Throws<InvalidOperationException>(() => world.Run.Transact(tx =>
        {
            Assert.True(tx.Subscriptions.Delete("s"));
            throw new InvalidOperationException("not today");
        }));
        Assert.NotNull(world.Run.Subscriptions.Get("s"));
        world.Run.Transact(tx =>
        {
            Assert.True(tx.Subscriptions.Delete("s"));
            Assert.Null(tx.Subscriptions.Get("s"));
        });
        Assert.Null(world.Run.Subscriptions.Get("s"));
    }

    // The process ends at a commit, again and again, wherever the power cut takes it: the effects are those of each commit once.
    [Theory]
    [InlineData(Durability.Strict)]
    [InlineData(Durability.Buffered)]
    [Trait("Requirement", "FEED-5")]
    [Trait("Kind", "Random")]
    public async Task FEED_5_Exactly_once_over_power_cuts(Durability mode)
    {
        var seed = Seeds.Begin(nameof(FEED_5_Exactly_once_over_power_cuts));
        for (var life = 0; life < Seeds.Scaled(10); life++)
        {
            var random = new Random((int)(seed >> 8) + life);
            var storage = new CrashStorage();
            using var world = new TestDatabase(mode, storage: storage);
            world.Run.Subscriptions.Create("jobs");
            world.Db.Sync();
            for (var step = 0; step < 5; step++)
            {
                storage.PowerFailsAt = storage.Operations + 1 + random.Next(40);
                try
                {
                    for (var i = 0; i < 6; i++)
                        world.Kv.Increment("jobs");
                    await WorkAsync(world.Run, random.Next(6));
                }
                catch (Exception end) when (end is PowerLossException or CairnException)
                {
                }

                storage = storage.Crash(seed + (ulong)(31 * life + step));
                world.MoveTo(storage);
            }

            await WorkAsync(world.Run, int.MaxValue);
            Assert.Equal(world.Kv.Number("jobs") ?? 0, world.Kv.Number("done") ?? 0);
        }
    }

    private static async Task WorkAsync(Run run, int most)
    {
        await foreach (var commit in run.Subscriptions.Changes("jobs", FeedBed.Now))
        {
            if (most-- == 0)
                return;
            run.Transact(tx =>
            {
                if (commit.Changes[0].Key == "jobs")
                    tx.Kv.Increment("done");
                tx.Subscriptions.Acknowledge("jobs", commit.Cursor);
            });
        }
    }

    [Fact]
    public void What_cannot_be_is_refused_by_name()
    {
        using var world = FeedBed.Open(Durability.Buffered);
        var subscriptions = world.Run.Subscriptions;
        subscriptions.Create("s");
        Assert.Equal(ErrorCode.AlreadyExists, TestValues.Refused(() => subscriptions.Create("s")));
        Assert.Equal(ErrorCode.AlreadyExists, TestValues.Refused(() => world.Run.Transact(tx => tx.Subscriptions.Create("s"))));
        foreach (var name in new[] { "", "a/b", "$s", "\n" })
            Assert.Equal(ErrorCode.InvalidName, TestValues.Refused(() => subscriptions.Create(name)));
        var cursor = world.Db.ChangeCursor();
        Assert.Equal(ErrorCode.NotFound, TestValues.Refused(() => subscriptions.Acknowledge("t", cursor)));
        Assert.Equal(ErrorCode.NotFound, TestValues.Refused(() => subscriptions.Reset("t", cursor)));
        Assert.Equal(ErrorCode.NotFound, TestValues.Refused(() => subscriptions.Changes("t")));
        Assert.Equal(ErrorCode.InvalidCursor, TestValues.Refused(() => subscriptions.Acknowledge("s", "x")));
        Assert.Equal(ErrorCode.InvalidCursor, TestValues.Refused(() => subscriptions.Reset("s", "x")));
        Assert.Equal(ErrorCode.InvalidCursor, TestValues.Refused(() => subscriptions.Acknowledge("s", cursor, "x")));
        Assert.Equal(ErrorCode.InvalidCursor, TestValues.Refused(() => subscriptions.Create("u", new() { Cursor = "x" })));
        foreach (var filter in new ChangeFilter[] { new() { Collections = [] }, new() { Runs = [world.Run.Id] } })
            Assert.Equal(ErrorCode.InvalidArgument, TestValues.Refused(() => subscriptions.Create("u", new() { Filter = filter })));
        Assert.Throws<InvalidOperationException>(() => world.Run.Transact(tx => tx.Subscriptions.Changes("s")));
        var run = world.OtherRun();
        run.Subscriptions.Create("s");
        run.Complete();
        Assert.Equal(ErrorCode.RunClosed, TestValues.Refused(() => run.Subscriptions.Acknowledge("s", world.Db.ChangeCursor())));
        using var db = CairnDatabase.OpenInMemory();
        Assert.Equal(ErrorCode.InvalidArgument, TestValues.Refused(() => db.Default.Subscriptions.Create("s")));
    }

    [Fact]
    [Trait("Requirement", "LIM-27")]
    public void LIM_27_A_run_has_so_many_subscriptions()
    {
        using var world = FeedBed.Open(Durability.Buffered, options => options with { Limits = new Limits { SubscriptionsMax = 3 } });
        for (var i = 0; i < 3; i++)
            world.Run.Subscriptions.Create($"s{i}");
        void Judge(Action create)
        {
            var refused = Assert.Throws<LimitException>(create);
            Assert.Equal((nameof(Limits.SubscriptionsMax), 3L, 4L), (refused.Limit, refused.Allowed, refused.Actual));
        }

        Judge(() => world.Run.Subscriptions.Create("more"));
        Judge(() => world.Run.Transact(tx => tx.Subscriptions.Create("more")));
        world.OtherRun().Subscriptions.Create("more");
        world.Reopen();
        Judge(() => world.Run.Subscriptions.Create("more"));
        world.Run.Subscriptions.Delete("s1");
        world.Run.Subscriptions.Create("more");
    }

    // ---- shell ----------------------------------------------------------------------------------------------------------------

    [Fact]
    public void The_shell_prints_changes_and_keeps_subscriptions()
    {
        using var bed = new CliBed();
        bed.Good("kv", "put", "a", "1", "--type", "int");
        bed.Good("kv", "put", "b", "text", "--run", "r");
        bed.Good("kv", "incr", "a");
        var lines = bed.Good("changes", "--values").Split('\n');
        Assert.Equal(4, lines.Length);
        Assert.StartsWith("@1\t", lines[0], StringComparison.Ordinal);
        Assert.EndsWith("kv.increment\ta\t1 -> 2", lines[3], StringComparison.Ordinal);
        Assert.Equal(2, bed.Good("changes", "--from", "3").Split('\n').Length);
        Assert.Single(bed.Good("changes", "--limit", "1").Split('\n'));
        Assert.Equal(2, bed.Json("changes", "--of", "r").Count);
        var second = bed.Json("changes", "--prefix", "a", "--limit", "1")[0];
        Assert.Equal("kv.put", second["changes"][0]["operation"].AsString());
        Assert.Single(bed.Json("changes", "--prefix", "a", "--from", second["cursor"].AsString()));
        Assert.Equal(4, bed.Json("watch", "--from", "start", "--limit", "4", "--every", "1ms").Count);
        var bad = bed.Run("changes", "--from", "nonsense", "--json");
        Assert.Equal((3, "InvalidCursor"), (bad.Exit, bad.ErrorJson["code"].AsString()));
        Assert.Equal("Damaged", bad.ErrorJson["details"]["fault"].AsString());
        Assert.Equal(3, bed.Run("changes", "--primitive", "nothing").Exit);
        Assert.Equal(3, bed.Run("watch", "--primitive", "nothing", "--limit", "1").Exit);
        Assert.Equal(1, bed.Run("changes", "--of", "nobody").Exit);

        bed.Good("subscription", "create", "mail", "--from", "start", "--prefix", "a");
        Assert.Equal(4, bed.Run("subscription", "create", "mail").Exit);
        Assert.Equal("mail\t@0\t5\trun", string.Join('\t', bed.Good("subscription", "list").Split('\t')[..4]));
        bed.Good("subscription", "acknowledge", "mail", second["cursor"].AsString());
        Assert.Equal(3, bed.Run("subscription", "acknowledge", "mail", second["cursor"].AsString()).Exit);
        Assert.Equal(1L, bed.Json("subscription", "list")[0]["behind"].AsInt64());
        Assert.Equal("deleted", bed.Good("subscription", "delete", "mail"));
        Assert.Equal(1, bed.Run("subscription", "delete", "mail").Exit);
    }
}
