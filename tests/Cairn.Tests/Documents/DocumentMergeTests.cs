using Cairn.Tests.Transactions;
using Xunit;

namespace Cairn.Tests.Documents;

/// <summary>Documents in differences and merges of runs, place by place.</summary>
public class DocumentMergeTests(ITestOutputHelper output)
{
    [Theory]
    [ClassData(typeof(AllModes))]
    [Trait("Requirement", "RPL-16")]
    public void RPL_16_A_difference_names_the_places_of_documents_that_differ(Durability mode)
    {
        using var database = new TestDatabase(mode);
        var run = database.Db.Runs.Begin("parent");
        run.Json.Create("plan", Value.FromJson("""{"a":{"b":1},"list":[1,2,3],"gone":true}"""));
        run.Json.Create("same", 1);
        run.Json.Create("dropped", 2);
        var fork = database.Db.Runs.Fork(run.Id);
        fork.Json.Set("plan", "$.a.b", 5);
        fork.Json.ArrayInsert("plan", "$.list", 1, 9);
        fork.Json.Delete("plan", "$.gone");
        fork.Json.Set("plan", "$.new.deep", "x");
        fork.Json.Delete("dropped");
        fork.Json.Create("made", 3);
        fork.Json.Set("same", "$", 1);                       // another version of the same value
        using var diff = database.Db.Diff(run.Id, fork.Id);
        var lines = diff.Items("json").Select(item =>
            $"{item.Kind} {item.Address}{(item.Part is { } part ? " " + part : "")}: "
            + $"{item.Before?.Value.ToJson()} -> {item.After?.Value.ToJson()}");
        Assert.Equal(
            [
                "Removed json/dropped: 2 -> ", "Added json/made:  -> 3", "Modified json/plan $['a']['b']: 1 -> 5",
                "Removed json/plan $['gone']: true -> ", "Added json/plan $['list'][1]:  -> 9",
                """Added json/plan $['new']:  -> {"deep":"x"}""",
            ],
            lines.Order(StringComparer.Ordinal).OrderBy(line => line.Split("json/")[1], StringComparer.Ordinal));
        Assert.Equal(new DiffCounts(3, 2, 1), diff.Summarize().Counts["json"]);
        Assert.Contains(diff.ToLines(), line => line.Contains("$['a']['b']", StringComparison.Ordinal));
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    [Trait("Requirement", "RPL-16")]
    [Trait("Kind", "Random")]
    public void RPL_16_Related_and_unrelated_differences_agree_and_lead_from_one_side_to_the_other(Durability mode)
    {
        foreach (var seed in Seeds.Take(Seeds.Scaled(20), output))
        {
            var values = new RandomDocuments(seed);
            using var database = new TestDatabase(mode);
            var run = database.Db.Runs.Begin("parent");
            for (var i = 0; i < 4; i++)
                run.Json.Put($"d{i}", values.Next(3));
            var fork = database.Db.Runs.Fork(run.Id);
            foreach (var side in new[] { run, fork })
            {
                for (var i = 0; i < 5; i++)
                {
                    if (values.Random.Next(4) == 0)
                        side.Json.Delete($"d{i}");
                    else if (values.Random.Next(2) == 0)
                        side.Json.Put($"d{i}", side.Json.Get($"d{i}") is { } old ? values.Near(old) : values.Next(3));
                }
            }

            using var diff = database.Db.Diff(run.Id, fork.Id);
            using var unrelated = new RunDiff(diff, isRelated: false);
            Assert.Equal(unrelated.Items("json").Select(Text), diff.Items("json").Select(Text));
            var documents = run.Json.Scan().ToDictionary(pair => pair.Key, pair => pair.Value);
            foreach (var item in diff.Items("json"))
                Follow(documents, item);
            Assert.Equal(fork.Json.Scan().ToDictionary(pair => pair.Key, pair => pair.Value), documents);
        }
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    [Trait("Requirement", "JS-29")]
    [Trait("Requirement", "RPL-29")]
    public void JS_29_A_merge_takes_places_and_asks_about_places(Durability mode)
    {
        using var database = new TestDatabase(mode);
        var run = database.Db.Runs.Begin("parent");
        run.Json.Create("plan", Value.FromJson("""{"a":{"x":1,"y":2},"n":[1,2],"grown":[1],"both":0,"z":0}"""));
        run.Json.Create("gone", 1);
        var fork = database.Db.Runs.Fork(run.Id);
        fork.Json.Set("plan", "$.a.x", 10);
        fork.Json.Set("plan", "$.n[0]", 10);
        fork.Json.Set("plan", "$.both", "source");
        fork.Json.ArrayAppend("plan", "$.grown", 2);
        fork.Json.Create("new", Value.Object(("k", 1)), TimeSpan.FromHours(1));
        fork.Json.Delete("gone");
        run.Json.Set("plan", "$.a.y", 20);
        run.Json.Set("plan", "$.n[1]", 20);
        run.Json.Set("plan", "$.both", "target");
        run.Json.ArrayInsert("plan", "$.grown", 0, 0);

        var strict = database.Db.Runs.Merge(fork.Id, run.Id, cancellationToken: Stop);
        Assert.Equal(2, strict.OpenConflicts);
        var places = strict.Conflicts.Select(conflict => conflict.Part!.ToString());
        Assert.Equal(["$['both']", "$['grown']"], places.Order(StringComparer.Ordinal));
        var done = database.Db.Runs.Merge(fork.Id, run.Id, new MergeOptions
        {
            Resolve = conflict => conflict.Part == "$.both" ? MergeResolution.Put("agreed") : null,
            Strategy = MergeStrategy.PreferSource,
        }, cancellationToken: Stop);
        Assert.True(done.IsClean);
        database.NowAndAfterReopening(() =>
        {
            var merged = database.Db.Runs.Get(run.Id)!.Json;
            Assert.Equal(
                """{"a":{"x":10,"y":20},"both":"agreed","grown":[1,2],"n":[10,20],"z":0}""", merged.Get("plan")!.Value.ToJson());
            Assert.Equal(["new", "plan"], merged.List());
            Assert.NotNull(merged.GetVersioned("new")!.Value.Expiry);
        });
        Assert.True(database.Db.Runs.Merge(fork.Id, run.Id, cancellationToken: Stop).IsEmpty);
    }

    /// <summary>What a resolver makes comes into a document like any other value.</summary>
    [Fact]
    [Trait("Requirement", "JS-19")]
    public void JS_19_A_resolver_cannot_put_into_a_document_what_no_other_door_takes()
    {
        using var database = new TestDatabase(
            Durability.Buffered, options => options with { Limits = new Limits { StringBytesMax = 100, DepthMax = 4 } });
        var run = database.Db.Runs.Begin("parent");
        run.Json.Create("d", Value.Object(("a", 1)));
        var fork = database.Db.Runs.Fork(run.Id);
        fork.Json.Set("d", "$.a", 2);
        run.Json.Set("d", "$.a", 3);
        foreach (var value in new Value[] { double.NaN, new string('x', 101), Value.Array(Value.Array(Value.Array(Value.Array()))) })
        {
            Assert.ThrowsAny<CairnException>(() => database.Db.Runs.Merge(
                fork.Id, run.Id, new MergeOptions { Resolve = _ => MergeResolution.Put(value) }, Stop));
        }

        Assert.Equal((Value)3, run.Json.Get("d", "$.a"));
    }

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private static string Text(DiffItem item) =>
        $"{item.Kind} {item.Address} {item.Part} {item.Before?.Value.ToJson()} {item.After?.Value.ToJson()}";

    private static void Follow(Dictionary<string, Value> documents, DiffItem item)
    {
        var id = item.Address.Key;
        if (item.Part is not { } part)
        {
            if (item.After is { } made)
                documents[id] = made.Value;
            else
                documents.Remove(id);
            return;
        }

        documents[id] = new JsonPatch(item.Kind switch
        {
            DiffKind.Removed => JsonPatchOperation.Remove(part),
            DiffKind.Added => JsonPatchOperation.Add(part, item.After!.Value),
            _ => JsonPatchOperation.Replace(part, item.After!.Value),
        }).Apply(documents[id]);
    }
}
