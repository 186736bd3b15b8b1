using Cairn.Tests.Transactions;
using Xunit;

namespace Cairn.Tests.Vectors;

/// <summary>A transaction that looked at vectors, and a commit that came between (VEC-24, IDX-8).</summary>
[Trait("Promise", "G8")]
public class VectorConflictTests
{
    /// <summary>What a transaction looks at.</summary>
    private static readonly Dictionary<string, Action<Transaction>> Looks = new()
    {
        ["search"] = tx => tx.Vectors["notes"].Search([1, 0]),
        ["search with a filter"] = tx => tx.Vectors["notes"].Search([1, 0], options: new() { Filter = Filter.Parse("n == 1") }),
        ["search with metadata"] = tx => tx.Vectors["notes"].Search([1, 0], 1, new() { Include = VectorParts.Metadata }),
        ["get a"] = tx => tx.Vectors["notes"].Get("a"),
        ["get none"] = tx => tx.Vectors["notes"].Get("none"),
        ["count"] = tx => tx.Vectors["notes"].Count(),
        ["keys"] = tx => tx.Vectors["notes"].Keys(),
        ["upsert a"] = tx => tx.Vectors["notes"].Upsert("a", [1, 1]),
        ["update a"] = tx => tx.Vectors["notes"].UpdateMetadata("a", Value.Object(("m", 1))),
        ["delete a"] = tx => tx.Vectors["notes"].Delete("a"),
        ["get other"] = tx => tx.Vectors["other"].Get("x"),
    };

    private static readonly Dictionary<string, Action<Run>> Changes = new()
    {
        ["upsert a"] = run => run.Vectors["notes"].Upsert("a", [2, 1]),
        ["upsert none"] = run => run.Vectors["notes"].Upsert("none", [2, 1]),
        ["update a"] = run => run.Vectors["notes"].UpdateMetadata("a", Value.Object(("n", 2))),
        ["delete b"] = run => run.Vectors["notes"].Delete("b"),
        ["drop"] = run => run.Vectors.DeleteCollection("notes"),
        ["elsewhere"] = run => run.Vectors["third"].Upsert("a", [1]),
    };

    // By look: the changes that are in its way.
    private static readonly Dictionary<string, string[]> Serializable = new()
    {
        ["search"] = ["upsert a", "upsert none", "delete b", "drop"],
        ["search with a filter"] = ["upsert a", "upsert none", "update a", "delete b", "drop"],
        ["search with metadata"] = ["upsert a", "upsert none", "update a", "delete b", "drop"],
        ["get a"] = ["upsert a", "update a", "drop"],
        ["get none"] = ["upsert none", "drop"],
        ["count"] = ["upsert none", "delete b", "drop"],
        ["keys"] = ["upsert a", "upsert none", "update a", "delete b", "drop"],
        ["upsert a"] = ["drop"],
        ["update a"] = ["upsert a", "update a", "drop"],
        ["delete a"] = ["upsert a", "update a", "drop"],
        ["get other"] = [],
    };

    private static readonly Dictionary<string, string[]> Snapshots = new()
    {
        ["upsert a"] = ["drop"],
        ["update a"] = ["upsert a", "update a", "drop"],
        ["delete a"] = ["upsert a", "update a", "drop"],
    };

    public static MatrixTheoryData<string, string, Isolation> Pairs => new(
        Looks.Keys, Changes.Keys, [Isolation.Serializable, Isolation.Snapshot]);

    [Theory]
    [MemberData(nameof(Pairs))]
    [Trait("Requirement", "VEC-24")]
    [Trait("Requirement", "IDX-8")]
    [Trait("Requirement", "TX-24")]
    public void IDX_8_A_look_and_a_change_conflict_when_the_answer_could_be_another_one(string look, string change, Isolation isolation)
    {
        using var world = new TestDatabase(Durability.InMemory);
        world.Run.Vectors["notes"].UpsertMany(
            [new("a", new float[] { 1, 0 }, Value.Object(("n", 1))), new("b", new float[] { 0, 1 }, Value.Object(("n", 1)))]);
        world.Run.Vectors["other"].Upsert("x", [1]);
        var tries = 0;
        world.Run.Transact(
            tx =>
            {
                tries++;
                Looks[look](tx);
                tx.Kv.Put("own", 1);
                if (tries == 1)
                    Changes[change](world.Run);
            },
            new TransactionOptions { Isolation = isolation });
        var rules = isolation == Isolation.Serializable ? Serializable : Snapshots;
        Assert.Equal(rules.GetValueOrDefault(look, []).Contains(change), tries > 1);
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    [Trait("Requirement", "VEC-1")]
    public void VEC_1_Two_transactions_that_make_one_collection_make_it_once(Durability mode)
    {
        using var world = new TestDatabase(mode);
        var tries = 0;
        world.Run.Transact(tx =>
        {
            tries++;
            tx.Vectors["notes"].Upsert("a", [1, 0]);
            if (tries == 1)
                world.Run.Vectors["notes"].Upsert("b", [0, 1]);
        });
        Assert.Equal(2, tries);
        world.NowAndAfterReopening(() => Assert.Equal(2, world.Run.Vectors["notes"].Count()));
    }
}
