#pragma warning disable xUnit1051 // what is read here comes at once
using Cairn.Tests.Transactions;
using Xunit;

namespace Cairn.Tests.Documents;

/// <summary>Operations on documents in changes, filters, triggers, the log and blame.</summary>
[Trait("Requirement", "FEED-1")]
public sealed class DocumentFeedTests
{
    [Fact]
    public void Changes_say_document_path_and_what_was_asked()
    {
        using var test = new TestDatabase(Durability.Strict);
        var json = test.Run.Json;
        json.Create("plan", Value.FromJson("{\"steps\":[],\"cost\":1,\"t\":\"a\",\"gone\":1}"), TimeSpan.FromHours(1));
        json.Set("plan", "$.owner", "ada");
        json.ArrayAppend("plan", "$.steps", 1, 2, 3);
        json.ArrayInsert("plan", "$.steps", 1, "x");
        json.ArrayRemove("plan", "$.steps", 0, 2);
        json.Increment("plan", "$.cost", 4);
        json.StringAppend("plan", "$.t", "b");
        json.Merge("plan", "$.owner", Value.FromJson("{\"n\":1}"));
        json.Patch("plan", JsonPatch.Parse("[{\"op\":\"remove\",\"path\":\"/t\"}]"));
        json.Delete("plan", "$.gone");
        json.Persist("plan");
        json.Put("plan", 7);
        json.Delete("plan");
        var changes = Read(test.Db, new ChangeOptions { End = ChangeEnd.Now, Values = ChangeValues.BeforeAndAfter });
        Assert.All(changes, change => Assert.Equal(("json", "plan"), (change.Primitive, change.Key)));
        Assert.Equal(
            [
                "json.create - present {\"cost\":1,\"gone\":1,\"steps\":[],\"t\":\"a\"} present",
                "json.set $['owner'] present \"ada\" present",
                "json.array_append $['steps'] present [1,2,3] notasked",
                "json.array_insert $['steps'] present {\"index\":1,\"values\":[\"x\"]} notasked",
                "json.array_remove $['steps'] present {\"count\":2,\"index\":0} notasked",
                "json.increment $['cost'] present 4 present",
                "json.string_append $['t'] present \"b\" notasked",
                "json.merge $['owner'] present {\"n\":1} notasked",
                "json.patch - present [{\"op\":\"remove\",\"path\":\"/t\"}] notasked",
                "json.delete_path $['gone'] notasked null absent",
                "json.expire - notasked null unchanged",
                "json.put - present 7 present",
                "json.destroy - notasked null absent",
            ],
            changes.Select(change => $"{change.Operation} {change.Path?.ToString() ?? "-"} {Of(change.Given)} "
                + $"{change.Given.Value.ToJson()} {Of(change.After)}"));
        Assert.Equal(5, changes[5].After.Value.AsInt64());
        Assert.NotNull(changes[0].Expiry);
        Assert.All(changes, change => Assert.Equal(ChangedValueState.NotAsked, change.Before.State));
        Assert.All(
            Read(test.Db, new ChangeOptions { End = ChangeEnd.Now, Values = ChangeValues.After, ValueBytesMax = 0 }),
            change => Assert.NotEqual(ChangedValueState.Present, change.Given.State));

        var shown = test.Db.TransactionAt(changes[1].Version).Operations.Single();
        Assert.Equal(("json.set", "json/plan", "$['owner']"), (shown.Name, shown.Address.ToString(), shown.Path!.ToString()));
        Assert.Equal("ada", shown.Value!.Value.AsString());
    }

    [Fact]
    [Trait("Requirement", "FEED-3")]
    public void Filters_of_primitive_and_prefix_work_on_ids()
    {
        using var test = new TestDatabase(Durability.Strict);
        test.Run.Json.Put("user/1", 1);
        test.Run.Json.Put("order/1", 1);
        test.Kv.Put("user/1", 1);
        test.Run.Json.Merge("user/1", Value.FromJson("{\"a\":1}"));
        var ended = new ChangeOptions { End = ChangeEnd.Now };
        Assert.Equal(3, Read(test.Db, ended, new ChangeFilter { Primitives = ["json"] }).Count);
        Assert.Equal(3, Read(test.Db, ended, new ChangeFilter { KeyPrefix = "user/" }).Count);
        Assert.Equal(
            ["json.put", "json.merge"],
            Read(test.Db, ended, new ChangeFilter { Primitives = ["json"], KeyPrefix = "user/" }).Select(change => change.Operation));
        test.Run.Subscriptions.Create("docs", new SubscriptionOptions
        {
            Cursor = test.Db.ChangeCursor(Sequence.None), Filter = new ChangeFilter { Primitives = ["json"], KeyPrefix = "order/" },
        });
        test.Reopen();
        Assert.Equal(
            "order/1",
            test.Db.Default.Subscriptions.Changes("docs", ended).ToBlockingEnumerable().SelectMany(commit => commit.Changes).Single().Key);
    }

    [Fact]
    [Trait("Requirement", "FEED-6")]
    public void A_trigger_fires_on_documents_by_prefix_and_a_threshold_on_one_is_refused()
    {
        using var test = new TestDatabase(Durability.Strict);
        test.Run.Triggers.Create("seen", new TriggerDefinition
        {
            When = TriggerCondition.Prefix("json", "user/"), Do = TriggerAction.Increment("count"),
        });
        test.Run.Json.Put("user/1", Value.FromJson("{\"n\":0}"));
        test.Run.Json.Increment("user/1", "$.n", 1);
        test.Run.Json.Put("order/1", 1);
        test.Kv.Put("user/1", 1);
        test.Run.Json.Delete("user/1");
        var job = test.Db.Engine.TriggerJob!;
        for (var steps = 0; job.HasWorkInSight && steps < 100; steps++)
            job.Step();
        Assert.Equal(3, test.Kv.Get("count")!.Value.AsInt64());
        var refused = Assert.Throws<CairnException>(() => test.Run.Triggers.Create("bound", new TriggerDefinition
        {
            When = TriggerCondition.Threshold("json", "user/1", TriggerComparison.Above, 1), Do = TriggerAction.Increment("count"),
        }));
        Assert.Equal(ErrorCode.InvalidArgument, refused.Code);
        Assert.Contains("prefix on json", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    [Trait("Requirement", "RPL-7")]
    public void Blame_names_the_commit_that_last_touched_a_place_or_what_holds_it()
    {
        using var test = new TestDatabase(Durability.Strict);
        Json By(string actor) => test.Run.With(new CommitAttributes { Actor = actor }).Json;
        By("maker").Put("plan", Value.FromJson("{\"a\":{\"x\":1,\"y\":2},\"b\":[1,2]}"));
        By("setter").Set("plan", "$.a.x", 5);
        By("appender").ArrayAppend("plan", "$.b", 3);
        string? Who(Run run, string path) => run.Blame("plan", path)?.Attributes.Actor;
        void Check(Run run)
        {
            Assert.Equal("setter", Who(run, "$.a.x"));
            Assert.Equal("setter", Who(run, "$.a"));
            Assert.Equal("maker", Who(run, "$.a.y"));
            Assert.Equal("maker", Who(run, "$.b[0]"));
            Assert.Equal("appender", Who(run, "$.b[2]"));
            Assert.Equal("appender", Who(run, "$.b"));
            Assert.Equal("appender", run.Blame(ItemAddress.OfDocument("plan"))!.Attributes.Actor);
            Assert.Null(run.Blame("plan", "$.c"));
            Assert.Null(run.Blame("none", "$"));
            Assert.Null(run.Blame(ItemAddress.OfDocument("none")));
        }

        test.NowAndAfterReopening(() => Check(test.Db.Default));
        var fork = test.Db.Runs.Fork(RunId.Default);
        Check(fork);
        By("replacer").Set("plan", "$.a", Value.FromJson("{\"y\":2}"));
        Assert.Equal("replacer", Who(test.Db.Default, "$.a.y"));
        Check(fork);
    }

    // ---- tools ----------------------------------------------------------------------------------------------------------------

    private static List<Change> Read(CairnDatabase db, ChangeOptions options, ChangeFilter? filter = null) =>
        [.. db.Changes(null, filter, options).ToBlockingEnumerable().SelectMany(commit => commit.Changes)];

#pragma warning disable CA1308
    private static string Of(ChangedValue value) => value.State.ToString().ToLowerInvariant();
#pragma warning restore CA1308
}
