using Cairn.Tests.Primitives;
using Xunit;

namespace Cairn.Tests.Vectors;

/// <summary>Vectors by words: their keys and metadata.</summary>
public class VectorTextTests
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    [Trait("Requirement", "VEC-26")]
    [Trait("Requirement", "SRCH-11")]
    public void VEC_26_Keys_and_metadata_are_found_by_words_with_an_index_and_without(bool isIndexed)
    {
        using var world = new ModeDatabase(Durability.Buffered, new() { TextIndexing = TextIndexing.OnRequest });
        var run = world.Run;
        run.Vectors.CreateCollection("notes", new() { Dimension = 2 });
        run.Vectors.CreateCollection("old", new() { Dimension = 2 });
        var notes = run.Vectors["notes"];
        void Index()
        {
            run.TextIndex.Build("vectors");
            while (isIndexed && world.Db.Engine.Texts.Step())
            {
            }
        }

        notes.Upsert("refund", [1, 0]);
        notes.Upsert("b", [1, 0], Value.Object(("topic", "a refund"), ("tags", Value.Array("money", 3)), ("n", 1)));
        notes.Upsert("c", [1, 0], Value.Object(("refund", 1)));  // names of members are no text
        run.Vectors["old"].Upsert("x", [0, 1], Value.Object(("topic", "refund")));
        var before = run.Snapshot();
        Index();
        Assert.Equal(["vectors/notes/b", "vectors/notes/refund", "vectors/old/x"], Found(run, "refund"));
        Assert.Equal(["vectors/notes/b"], Found(run, "money"));
        Assert.Equal(["vectors/notes/b"], Found(run, "refund", new() { Filter = Filter.Parse("n = 1") }));
        Assert.Equal(["vectors/notes/b"], Found(run, "refund", new() { Filter = Filter.Parse("$key = 'b'") }));
        Assert.Equal(["vectors/notes/refund"], Found(run, "refund", new() { KeyPrefix = "ref" }));
        var hit = Assert.Single(run.Search("money", new() { HasValues = true }).Hits);
        Assert.Equal("{\"n\":1,\"tags\":[\"money\",3],\"topic\":\"a refund\"}", hit.Value!.Value.ToJson());
        Assert.Equal(notes.Get("b")!.Version, hit.Version);

        // What is written, expires or goes with its collection behind an index is told to it.
        notes.UpdateMetadata("b", Value.Object(("topic", "paid")));
        notes.Upsert("d", [1, 1], Value.Object(("topic", "refund")), ttl: TimeSpan.FromSeconds(5));
        run.Vectors.DeleteCollection("old");
        Assert.Equal(["vectors/notes/d", "vectors/notes/refund"], Found(run, "refund"));
        Index();
        Assert.Equal(["vectors/notes/d", "vectors/notes/refund"], Found(run, "refund"));
        world.Clock.Advance(TimeSpan.FromSeconds(6));
        Assert.Equal(["vectors/notes/refund"], Found(run, "refund"));
        Assert.Equal(["vectors/notes/b"], Found(run, "paid"));
        Assert.Equal(
            ["vectors/notes/b", "vectors/notes/refund", "vectors/old/x"],
            before.Search("refund").Hits.Select(found => found.Item.ToString()).Order(StringComparer.Ordinal));
        before.Dispose();
    }

    [Fact]
    [Trait("Requirement", "VEC-24")]
    public void VEC_24_A_transaction_finds_its_own_vectors_by_words()
    {
        using var world = new ModeDatabase(Durability.InMemory);
        var run = world.Run;
        run.Vectors.CreateCollection("notes", new() { Dimension = 2 });
        run.Vectors.CreateCollection("old", new() { Dimension = 2 });
        run.Vectors["notes"].Upsert("a", [1, 0], Value.Object(("topic", "refund")));
        run.Vectors["notes"].Upsert("b", [1, 0], Value.Object(("topic", "refund")));
        run.Vectors["old"].Upsert("x", [0, 1], Value.Object(("topic", "refund")));
        using var transaction = run.BeginTransaction();
        transaction.Vectors["notes"].Upsert("own", [1, 0], Value.Object(("topic", "refund")));
        transaction.Vectors["notes"].UpdateMetadata("a", Value.Object(("topic", "paid")));
        transaction.Vectors["notes"].Delete("b");
        transaction.Vectors.DeleteCollection("old");
        transaction.Vectors.CreateCollection("old", new() { Dimension = 3 });
        Assert.Equal(["vectors/notes/own"], transaction.Search("refund").Hits.Select(hit => hit.Item.ToString()));
        Assert.Equal(["vectors/notes/a"], transaction.Search("paid").Hits.Select(hit => hit.Item.ToString()));
        transaction.Rollback();
        Assert.Equal(3, Found(run, "refund").Count());
    }

    private static IEnumerable<string> Found(Run run, string text, SearchOptions? options = null) =>
        run.Search(text, options).Hits.Select(hit => hit.Item.ToString()).Order(StringComparer.Ordinal);
}
