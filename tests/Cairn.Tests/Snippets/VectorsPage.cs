using Xunit;

namespace Cairn.Tests.Snippets;

/// <summary>The code of docs/vectors.md.</summary>
public class VectorsPage
{
    [Fact]
    public void VEC_10_The_page_on_vectors_says_what_is_so()
    {
        using var db = CairnDatabase.OpenInMemory(new CairnOptions());
        var run = db.Default;
        float[] embedding = [0.1f, 0.7f, 0.2f];
        float[] query = [0.1f, 0.6f, 0.1f];

        run.Vectors.CreateCollection("notes", new() { Dimension = 3, Metric = VectorMetric.Cosine, Model = "small-3" });
        run.Vectors["notes"].Upsert("n1", embedding, new { topic = "refund", cost = 3 });
        run.Vectors["notes"].UpdateMetadata("n1", Value.Object(("cost", 4)));

        var found = run.Vectors["notes"].Search(query, 5, new()
        {
            Filter = Filter.Parse("topic eq 'refund' and cost lt 10"), MinScore = 0.5, Include = VectorParts.Metadata,
        });
        foreach (var match in found.Matches)
            Console.WriteLine($"{match.Key} {match.Score} {match.Metadata}");

        Assert.Equal("n1", Assert.Single(found.Matches).Key);
        Assert.Equal(Value.Object(("topic", "refund"), ("cost", 4)), found.Matches[0].Metadata);
    }
}
