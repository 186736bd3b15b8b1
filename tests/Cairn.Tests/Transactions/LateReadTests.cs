using Xunit;

namespace Cairn.Tests.Transactions;

/// <summary>
/// A commit whose keys only the image has reads it before its sequence and never behind it, where a failing disk would fail the database.
/// It once did: for the old place of a key in the expiry order, the orders of runs by name, tag, parent and status, the number of an
/// event, and for every key that is not there at all.
/// </summary>
[Trait("Requirement", "TIER-2")]
[Trait("Promise", "G7")]
public sealed class LateReadTests
{
    public static TheoryData<string> Names => [.. Operations.Keys];

    // What is prepared before the checkpoint, and what is done when memory has nothing.
    private static readonly Dictionary<string, (Action<TestDatabase> Before, Action<TestDatabase> Then)> Operations = new()
    {
        ["put of a new key"] = (_ => { }, test => test.Kv.Put("new", 1)),
        ["put of a new key with a life"] = (_ => { }, test => test.Kv.Put("new", 1, TimeSpan.FromHours(1))),
        ["put"] = (test => test.Kv.Put("a", 1), test => test.Kv.Put("a", 2)),
        ["put of a key with a life"] = (Living, test => test.Kv.Put("a", 2)),
        ["put with another life"] = (Living, test => test.Kv.Put("a", 2, TimeSpan.FromHours(2))),
        ["delete of a key with a life"] = (Living, test => test.Kv.Delete("a")),
        ["delete of nothing"] = (_ => { }, test => test.Kv.Delete("none")),
        ["expire"] = (Living, test => test.Kv.Expire("a", TimeSpan.FromHours(3))),
        ["increment"] = (_ => { }, test => test.Kv.Increment("n")),
        ["the end of what has expired"] = (Living, test =>
        {
            test.Clock.Advance(TimeSpan.FromHours(2));
            test.Maintain();
            Assert.Null(test.Kv.Get("a"));
        }),
        ["several in one"] = (Living, test => test.Run.Transact(tx =>
        {
            tx.Kv.Put("a", 1);
            tx.Kv.Put("b", 2, TimeSpan.FromHours(1));
            tx.Kv.Delete("c");
            for (var i = 0; i < 100; i++)
                tx.Kv.Put($"new {i}", i);
        })),
        ["state"] = (test => test.Run.State.Set("cell", 1), test =>
        {
            test.Run.State.Set("cell", 2);
            test.Run.State.Set("other", 2);
            test.Run.State.Delete("cell");
        }),
        ["lease"] = (test => test.Run.State.Acquire("lease", "me", TimeSpan.FromHours(1)), test =>
        {
            test.Clock.Advance(TimeSpan.FromHours(2));
            test.Run.State.Acquire("lease", "you", TimeSpan.FromHours(1));
        }),
        ["event"] = (test => test.Run.Events.Append("seen", Value.Object()), test =>
        {
            test.Run.Events.Append("seen", Value.Object());
            test.Run.Events.Append("new", Value.Object());
            test.Run.Events.Consumers.Commit("reader", new EventNumber(1));
        }),
        ["redacted event"] = (test => test.Run.Events.Append("seen", Value.Object(("secret", new string('s', 9000)))), test =>
            test.Run.Events.Redact(new EventNumber(0), "why")),
        ["trace"] = (_ => { }, test => test.Run.Traces.Record(new ThoughtStep("step"), new TraceOptions { Tags = ["x", "y"] })),
        ["redacted trace"] = (
            test => test.Run.Traces.Record(new ThoughtStep(new string('t', 9000)), new TraceOptions { Tags = ["x", "y"] }),
            test => test.Run.Traces.Redact(test.Run.Traces.List()[0].Id)),
        ["idempotency"] = (_ => { }, test => test.Run.TransactOnce("k", tx => tx.Kv.Put("a", 1))),
        ["begin of a run"] = (_ => { }, test => test.Db.Runs.Begin("one", tags: ["t"], parent: null)),
        ["tags of a run"] = (Tagged, test =>
        {
            test.OtherRun().AddTags(["c"]);
            test.OtherRun().RemoveTags(["a", "c"]);
        }),
        ["end of a run"] = (Tagged, test => test.OtherRun().Complete(1)),
        ["retention of a run"] = (Tagged, test =>
        {
            test.OtherRun().Retention.Apply(Retention.KeepLast(1));
            test.OtherRun().Retention.Apply(null);
        }),
        ["deletion of a run"] = (Tagged, test => test.Db.Runs.Delete(test.OtherRun().Id)),
        ["deletion of a child"] = (
            test => test.Db.Runs.Begin("child", parent: test.OtherRun().Id),
            test => test.Db.Runs.Delete(test.Db.Runs.Get("child")!.Id)),
    };

    [Theory]
    [MemberData(nameof(Names))]
    public void Nothing_is_read_of_the_image_behind_a_sequence(string name)
    {
        var (before, then) = Operations[name];
        using var test = new TestDatabase(Durability.Strict);
        test.Kv.Put("there", 1);
        before(test);
        test.CheckpointAndForget();
        then(test);
        Assert.Equal(0, test.LateReads);
        var hash = test.Db.StateHash();
        test.Reopen(isKilled: true);
        Assert.Equal(hash, test.Db.StateHash());

        using var loaded = new TestDatabase(Durability.Strict);
        loaded.Kv.Put("there", 1);
        before(loaded);
        loaded.Reopen();
        then(loaded);
        Assert.Equal(0, loaded.LateReads);
        Assert.Empty(loaded.Db.VerifyDeep().Findings);
    }

    /// <summary>What one commit found absent, another may have written and memory forgotten since.</summary>
    [Fact]
    public void That_a_key_is_absent_is_known_for_one_commit()
    {
        using var test = new TestDatabase(Durability.Strict);
        test.Kv.Put("there", 1);
        test.CheckpointAndForget();
        test.Kv.Put("new", 1);
        Assert.Equal(2, test.Kv.Count());
        Forget(test);
        test.Kv.Put("new", 2);
        Assert.Equal(2, test.Kv.Count());
        test.Kv.Delete("new");
        Assert.Equal(1, test.Kv.Count());
    }

    // The keys leave this memory, and no other takes its place.
    private static void Forget(TestDatabase test)
    {
        test.Checkpoint();
        var run = test.Db.Engine.Catalogue.Default;
        lock (run.CommitLock)
        {
            for (var i = 0; i < 4; i++)
                run.Store.Forget(int.MaxValue, eager: true);
        }
    }

    private static void Living(TestDatabase test) => test.Kv.Put("a", 1, TimeSpan.FromHours(1));

    private static void Tagged(TestDatabase test) => test.OtherRun().AddTags(["a", "b"]);
}
