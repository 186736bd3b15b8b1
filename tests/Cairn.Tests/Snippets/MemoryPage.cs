using Xunit;

namespace Cairn.Tests.Snippets;

/// <summary>The code of README.md on finding again.</summary>
public class MemoryPage
{
    [Fact]
    public void SRCH_1_The_page_on_finding_says_what_is_so()
    {
        using var db = CairnDatabase.OpenInMemory(new CairnOptions());
        var run = db.Default;

        run.Json.Put("policy", Value.Object(("title", "Refunds"), ("text", "Without a receipt, store credit is enough.")));
        run.Vectors["notes"].Upsert("n1", [0.1f, 0.9f, 0.2f], Value.Object(("topic", "refund")));
        run.Graph.Remember("Ada prefers store credit", new() { Associations = [new("about", ItemAddress.OfConcept("ada"))] });

        foreach (var hit in run.Search("store credit refund").Hits)        // BM25 over everything the run holds
            Console.WriteLine($"{hit.Rank} {hit.Item} {hit.Snippet?.Text}");
        var refunds = new VectorSearchOptions { Filter = Filter.Parse("topic eq 'refund'") };
        foreach (var match in run.Vectors["notes"].Search([0.2f, 0.8f, 0.1f], 5, refunds).Matches)
            Console.WriteLine($"{match.Key} {match.Score:F3}");
        foreach (var found in run.Graph.Reachable("ada", new() { Direction = AssociationDirection.Both }).Things)
            Console.WriteLine($"{found.Depth} {found.Thing}");

        Assert.Equal(3, run.Search("store credit refund").Hits.Count);
        Assert.Single(run.Graph.Reachable("ada", new() { Direction = AssociationDirection.Both }).Things);
    }
}
