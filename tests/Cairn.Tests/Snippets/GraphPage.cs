using Xunit;

namespace Cairn.Tests.Snippets;

/// <summary>The code of docs/graph.md.</summary>
public class GraphPage
{
    [Fact]
    public void GR_1_The_page_on_the_graph_says_what_is_so()
    {
        using var db = CairnDatabase.OpenInMemory(new CairnOptions());
        var run = db.Default;

        run.Graph.PutConcept("ada", new() { Type = "person", Content = "Ada Byron, pays in store credit" });
        run.Graph.Associate("ada", "prefers", "store-credit", new() { Confidence = 0.9 });
        run.Graph.Associate(ItemAddress.OfKey("invoice/4711"), "names", ItemAddress.OfConcept("ada"));
        run.Graph.Associate("ada", "is like", "eve", new() { IsSymmetric = true });

        foreach (var found in run.Graph.Associations("ada", new() { Direction = AssociationDirection.Both, MinConfidence = 0.5 }))
            Console.WriteLine($"{found.Source} {found.Type} {found.Target}");

        run.Graph.Touch(["ada"]);
        Console.WriteLine(run.Graph.GetConcept("ada")!.StrengthAt(DateTimeOffset.UtcNow));

        Assert.Equal(3, run.Graph.CountAssociations());
        Assert.Equal(1, run.Graph.GetConcept("ada")!.Accesses);
    }
}
