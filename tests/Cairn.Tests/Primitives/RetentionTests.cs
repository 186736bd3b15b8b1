using Cairn.Tests.Cli;
using Cairn.Tests.Transactions;
using Xunit;

namespace Cairn.Tests.Primitives;

/// <summary>Policies of retention: what they say, how a run gets one, and what they would let go of.</summary>
public class RetentionTests
{
    private static readonly Retention Hour = Retention.KeepFor(TimeSpan.FromHours(1));

    private static readonly Retention Newest = Retention.KeepLast(1);

    [Theory]
    [InlineData("all")]
    [InlineData("last 1")]
    [InlineData("last 1000000")]
    [InlineData("for 01:00:00")]
    [InlineData("for 36500.00:00:00")]
    [InlineData("for 00:00:01.5000000 or last 3")]
    [InlineData("events 1")]
    [InlineData("last 1 or events 1000000000000")]
    [InlineData("for 1.00:00:00 or last 2 or events 3")]
    [Trait("Requirement", "RET-1")]
    public void A_policy_is_read_as_it_is_written(string text)
    {
        Assert.True(Retention.TryParse(text, out var policy));
        Assert.Equal(text, policy.ToString());
    }

    [Theory]
    [InlineData("for 90m", "for 01:30:00")]
    [InlineData("for 2d", "for 2.00:00:00")]
    [InlineData("last 2 or for 30s or last 1", "for 00:00:30 or last 2")]
    [InlineData("for 1d or all", "all")]
    [InlineData("  for   7d  ", "for 7.00:00:00")]
    public void Several_are_one_that_keeps_what_any_of_them_keeps(string text, string meant)
    {
        Assert.True(Retention.TryParse(text, out var policy));
        Assert.Equal(meant, policy.ToString());
        Assert.Equal(policy, policy.Or(policy));
    }

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("none")]
    [InlineData("for")]
    [InlineData("for 0s")]
    [InlineData("for 1x")]
    [InlineData("for d")]
    [InlineData("for -1d")]
    [InlineData("for 36501d")]
    [InlineData("for 99999999999999999999d")]
    [InlineData("last")]
    [InlineData("last 0")]
    [InlineData("last 1000001")]
    [InlineData("events")]
    [InlineData("events 0")]
    [InlineData("events 1000000000001")]
    [InlineData("last 1 last 2")]
    [InlineData("or last 1")]
    [InlineData("last 1 or")]
    public void What_is_no_policy_is_not_read_as_one(string? text) => Assert.False(Retention.TryParse(text, out _));

    [Fact]
    public void A_policy_out_of_range_is_refused()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => Retention.KeepFor(TimeSpan.Zero));
        Assert.Throws<ArgumentOutOfRangeException>(() => Retention.KeepFor(Retention.DurationMax + TimeSpan.FromTicks(10)));
        Assert.Throws<ArgumentOutOfRangeException>(() => Retention.KeepLast(0));
        Assert.Throws<ArgumentOutOfRangeException>(() => Retention.KeepLast(Retention.VersionsMax + 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => Retention.KeepEvents(0));
        Assert.Throws<ArgumentOutOfRangeException>(() => Retention.KeepEvents(Retention.EventsMax + 1));
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    [Trait("Requirement", "RET-1")]
    public void A_run_follows_the_database_until_it_has_a_policy_of_its_own_and_again_afterwards(Durability mode)
    {
        using var world = new TestDatabase(mode, options => options with { Retention = Hour });
        var run = world.OtherRun();
        Assert.Equal(Hour, run.Retention.Policy);
        Assert.Null(run.Retention.Own);
        var receipt = run.Retention.Apply(Newest);
        Assert.Equal((run.Id, Hour, Newest, world.Sequence), (receipt.Run, receipt.Before, receipt.Policy, receipt.Sequence.Value));
        run.Complete();
        world.NowAndAfterReopening(() =>
        {
            Assert.Equal(Newest, world.OtherRun().Retention.Own);
            Assert.Equal(Newest, world.OtherRun().Info.Retention);
            Assert.Equal(Hour, world.Run.Retention.Policy);
        });

        // A closed run may still be told to keep less or more.
        world.OtherRun().Retention.Apply(Retention.KeepAll);
        world.Run.Retention.Apply(Newest.Or(Hour));
        world.NowAndAfterReopening(() =>
        {
            Assert.Equal(Retention.KeepAll, world.OtherRun().Retention.Policy);
            Assert.Equal(Newest.Or(Hour), world.Run.Retention.Own);
        });
        Assert.Equal(Hour, world.OtherRun().Retention.Apply(null).Policy);
        world.NowAndAfterReopening(() => Assert.Null(world.OtherRun().Retention.Own));
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    [Trait("Requirement", "RET-1")]
    public void A_transaction_sets_it_with_the_rest_of_what_it_does_or_not_at_all(Durability mode)
    {
        using var world = new TestDatabase(mode, options => options with { Retention = Retention.KeepAll });
        world.Run.Transact(tx =>
        {
            tx.Kv.Put("k", 1);
            tx.On(world.Run).SetRetention(Newest);
            Assert.Equal(Newest, tx.On(world.Run).Info.Retention);
            tx.On(world.Run).SetRetention(Hour);
            tx.On(world.Run).AddTags("kept");
            Assert.Equal(Hour, tx.On(world.Run).Info.OwnRetention);
            Assert.Equal(Retention.KeepAll, world.Run.Retention.Policy);
        });
        using (var dropped = world.Run.BeginTransaction())
        {
            dropped.On(world.Run).SetRetention(Newest);
            dropped.Rollback();
        }

        world.NowAndAfterReopening(() =>
        {
            Assert.Equal(Hour, world.Run.Retention.Own);
            Assert.Equal(["kept"], world.Run.Info.Tags);
        });
    }

    [Fact]
    [Trait("Requirement", "RET-1")]
    [Trait("Requirement", "DUR-2")]
    public void A_policy_that_is_not_kept_is_refused_by_name()
    {
        using var memory = new TestDatabase(Durability.InMemory);
        Assert.Equal(Newest, memory.Run.Retention.Policy);
        Assert.Equal(Newest, memory.Run.Retention.Apply(Newest).Policy);
        foreach (var policy in new[] { Retention.KeepAll, Retention.KeepLast(2), Hour.Or(Newest), Retention.KeepEvents(5) })
        {
            var refused = Assert.Throws<CairnException>(() => memory.Run.Retention.Apply(policy));
            Assert.Equal(ErrorCode.InvalidArgument, refused.Code);
            Assert.Contains($"'{policy}'", refused.Message, StringComparison.Ordinal);
        }

        Assert.Equal(1UL, memory.Sequence);
        Assert.Equal(2UL, memory.Run.Retention.Apply(Newest.Or(Retention.KeepEvents(5))).Sequence.Value);
    }

    [Fact]
    [Trait("Requirement", "DUR-2")]
    public void In_memory_a_policy_that_keeps_the_past_answers_questions_about_it()
    {
        using var world = new TestDatabase(Durability.InMemory, options => options with { Retention = Retention.KeepAll });
        world.Kv.Put("k", "old");
        world.Kv.Put("k", "new");
        Assert.Equal(["new", "old"], world.Kv.History("k").Select(item => item.Value.AsString()));
        Assert.Equal("old", world.Kv.GetAt("k", new Sequence(1))!.Value.AsString());
        var strict = new CommitOptions { Durability = Durability.Strict };
        Assert.Equal(ErrorCode.InvalidArgument, TestValues.Refused(() => world.Run.With(strict)));
        using var newest = new TestDatabase(Durability.InMemory);
        newest.Kv.Put("k", "old");
        newest.Kv.Put("k", "new");
        Assert.Throws<HistoryTrimmedException>(() => newest.Kv.History("k"));
        using var two = new TestDatabase(Durability.InMemory, options => options with { Retention = Retention.KeepLast(2) });
        two.Kv.Put("k", "old");
        two.Kv.Put("k", "new");
        Assert.Equal(2, two.Kv.History("k", 2).Count);
    }

    [Fact]
    [Trait("Requirement", "RET-6")]
    public void A_preview_tells_what_would_go_and_changes_nothing()
    {
        using var world = new TestDatabase(Durability.Strict);
        world.Kv.Put("a", 1);                                                          // 1
        world.Run.Transact(tx =>
        {
            tx.Kv.Put("b", 1);                                                         // 2: two cells of one record
            tx.State.Set("c", 1);
        });
        world.Run.Events.Append("note", Value.Object());                               // 3: an event has no older version
        world.Clock.Advance(TimeSpan.FromHours(2));
        world.Kv.Put("a", 2);                                                          // 4
        world.Clock.Advance(TimeSpan.FromMinutes(30));
        world.Kv.Put("a", 3);                                                          // 5
        world.Kv.Delete("b");                                                          // 6
        world.OtherRun().Kv.Put("a", 9);                                               // 7, 8: another run's
        var before = world.Db.StateHash();

        var all = world.Run.Retention.Preview(Retention.KeepAll);
        Assert.Equal((0L, 0L, 6L, 1UL), (all.Versions, all.Bytes, all.VersionsNow, all.EarliestKept.Value));
        var newest = world.Run.Retention.Preview(Newest);
        Assert.Equal((3L, 6L, 6UL), (newest.Versions, newest.VersionsNow, newest.EarliestKept.Value));     // a@1 a@4 b@2
        Assert.Equal(3 * (8 + 1 + 1), newest.Bytes);
        var two = world.Run.Retention.Preview(Retention.KeepLast(2));
        Assert.Equal(1L, two.Versions);                                                                    // a@1

        // An hour ago a@1 was followed half an hour before, a@4 was valid, b@2 was too.
        var hour = world.Run.Retention.Preview(Hour);
        Assert.Equal((0L, 3UL), (hour.Versions, hour.EarliestKept.Value));
        world.Clock.Advance(TimeSpan.FromMinutes(31));
        hour = world.Run.Retention.Preview(Hour);
        Assert.Equal((1L, 4UL), (hour.Versions, hour.EarliestKept.Value));
        Assert.Equal(1L, world.Run.Retention.Preview(Hour.Or(Newest)).Versions);
        Assert.Equal(0L, world.Run.Retention.Preview(Hour.Or(Retention.KeepLast(3))).Versions);
        Assert.Equal(before, world.Db.StateHash());
        Assert.Equal(8UL, world.Sequence);
    }

    [Fact]
    [Trait("Requirement", "RET-1")]
    [Trait("Requirement", "RET-6")]
    public void The_shell_shows_tries_and_sets_it()
    {
        using var bed = new CliBed();
        bed.Good("kv", "put", "k", "1");
        bed.Good("kv", "put", "k", "2");
        Assert.Equal("all, the database's", bed.Good("run", "retention", "default"));
        Assert.Equal(1L, bed.Json("run", "retention", "default", "last", "1", "--preview")[0]["versions"].AsInt64());
        var set = bed.Good("run", "retention", "default", "for", "24h", "or", "last", "1");
        Assert.StartsWith("for 1.00:00:00 or last 1 @3", set, StringComparison.Ordinal);
        Assert.Equal("for 1.00:00:00 or last 1", bed.Json("run", "show", "default")[0]["retention"].AsString());
        Assert.StartsWith("all", bed.Good("run", "retention", "default", "default"), StringComparison.Ordinal);
        Assert.NotEqual(0, bed.Run("run", "retention", "default", "some").Exit);
        var both = bed.Good("run", "retention", "default", "last", "2", "or", "events", "9");
        Assert.StartsWith("last 2 or events 9 @", both, StringComparison.Ordinal);
    }
}
