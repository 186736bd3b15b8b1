using Xunit;

namespace Cairn.Tests.Snippets;

/// <summary>The code of docs/search.md.</summary>
public class SearchPage
{
    [Fact]
    public void The_page_on_search_says_what_is_so()
    {
        using var db = CairnDatabase.OpenInMemory(new CairnOptions());
        var run = db.Default;
        run.Kv.Put("note", "a refund, by preference as store credit");
        run.Json.Put("task", Value.Object(("owner", "ada"), ("title", "store credit for the refund")));

        Assert.Equal(["kv/note", "json/task"], run.Search("refund preference").Hits.Select(hit => hit.Item.ToString()));

        var found = run.Search("refund preference");                       // the ten best of everything the run holds
        foreach (var hit in found.Hits)
            Console.WriteLine($"{hit.Rank} {hit.Item} {hit.Score:F2} {hit.Snippet?.Text}");

        found = run.Search("+ada \"store credit\" refund* -draft", new()
        {
            Primitives = ["json", "events"], Limit = 20, Filter = Filter.Parse("owner eq 'ada'"), IsExplained = true,
        });
        Assert.Equal(["json/task"], found.Hits.Select(hit => hit.Item.ToString()));
    }
}
