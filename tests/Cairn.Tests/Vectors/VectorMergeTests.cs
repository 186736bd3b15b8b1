using Cairn.Tests.Transactions;
using Xunit;

namespace Cairn.Tests.Vectors;

/// <summary>Vectors in merges of runs: each of three states of a vector against each, and collections that come and go.</summary>
[Trait("Requirement", "VEC-26")]
[Trait("Promise", "G4")]
public class VectorMergeTests
{
    private static readonly string[] States = ["absent", "x", "y", "z"];

    public static MatrixTheoryData<string, string, string> Cases => new(States, States, States);

    [Theory]
    [MemberData(nameof(Cases))]
    public void VEC_26_A_vector_is_merged_as_a_key_is(string was, string its, string ours)
    {
        using var database = new TestDatabase(Durability.Buffered);
        var target = database.Db.Runs.Begin("target");
        target.Vectors["notes"].Upsert("other", [9, 9]);
        Set(target, was);
        var source = database.Db.Runs.Fork(target.Id);
        Set(source, its);
        Set(target, ours);
        var result = database.Db.Runs.Merge(source.Id, target.Id, new MergeOptions { Strategy = MergeStrategy.PreferTarget });
        var isConflict = its != was && ours != was && its != ours;
        Assert.Equal(isConflict ? 1 : 0, result.Conflicts.Count);
        Assert.Equal(its != was && ours == was ? its : ours, Get(target));
        Assert.Equal(2UL, target.Vectors["notes"].Get("k")?.Id?.Value ?? 2UL);
        if (!isConflict)
            return;
        Assert.Equal(ItemAddress.OfVector("notes", "k"), result.Conflicts[0].Address);
        Set(source, "w");
        Set(target, "v");
        result = database.Db.Runs.Merge(source.Id, target.Id, new MergeOptions { Strategy = MergeStrategy.PreferSource });
        Assert.Equal(("w", 1L), (Get(target), result.Counts["vectors"].Conflicts));
    }

    private static void Set(Run run, string state)
    {
        if (Get(run) == state)
            return;
        if (state == "absent")
            run.Vectors["notes"].Delete("k");
        else
            run.Vectors["notes"].Upsert("k", [state[0], 1], Value.Object(("state", state)));
    }

    private static string Get(Run run) => run.Vectors["notes"].Get("k")?.Metadata?["state"].AsString() ?? "absent";

    [Theory]
    [ClassData(typeof(AllModes))]
    public void VEC_26_Collections_come_and_go_with_what_they_hold(Durability mode)
    {
        using var database = new TestDatabase(mode);
        var target = database.Db.Runs.Begin("target");
        target.Vectors["left"].Upsert("a", [1, 2]);
        target.Vectors["changed"].UpsertMany([new("a", new float[] { 1, 2 }), new("b", new float[] { 1, 2 })]);
        target.Vectors["other"].Upsert("a", [1, 2]);
        var source = database.Db.Runs.Fork(target.Id);
        source.Vectors["made"].Upsert("m", [1, 2, 3], Value.Object(("n", 1)), TimeSpan.FromHours(1));
        source.Vectors.CreateCollection("empty", new VectorDefinition { Dimension = 4, Element = VectorElement.I8 });
        source.Vectors.DeleteCollection("left");
        source.Vectors.DeleteCollection("changed");
        source.Vectors.DeleteCollection("other");
        source.Vectors["other"].Upsert("c", [1, 2, 3]);
        source.Vectors["clash"].Upsert("a", [1, 2, 3]);
        target.Vectors["clash"].Upsert("b", [1]);
        target.Vectors["changed"].Upsert("b", [5, 6]);
        var dry = database.Db.Runs.Merge(source.Id, target.Id, new MergeOptions { IsDryRun = true });
        Assert.Equal(
            ["vectors/changed/b", "vectors/clash/a", "vectors/other/c"],
            dry.Conflicts.Select(conflict => conflict.Address.ToString()).Order(StringComparer.Ordinal));
        Assert.Equal(
            ["changed", "clash", "left", "other"], target.Vectors.ListCollections().Select(info => info.Name));
        database.Db.Runs.Merge(source.Id, target.Id, new MergeOptions { Strategy = MergeStrategy.PreferTarget });
        target = database.Db.Runs.Get(target.Id)!;
        Assert.Equal(
            ["changed 1", "clash 1", "empty 0", "made 1", "other 0"],
            target.Vectors.ListCollections().Select(info => $"{info.Name} {info.Count}"));
        Assert.Equal(source.Vectors["made"].Get("m")!.Expiry, target.Vectors["made"].Get("m")!.Expiry);
        Assert.Equal(VectorElement.I8, target.Vectors["empty"].Info!.Definition.Element);
        Assert.Equal([5f, 6f], target.Vectors["changed"].Get("b")!.Embedding.ToArray());
        Assert.Equal(0, database.Db.Runs.Merge(source.Id, target.Id).Counts["vectors"].Taken);
    }
}
