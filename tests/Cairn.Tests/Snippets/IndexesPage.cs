using Xunit;

namespace Cairn.Tests.Snippets;

/// <summary>The code of docs/indexes.md.</summary>
public class IndexesPage
{
    [Fact]
    public void IDX_10_The_page_on_indexes_says_what_is_so()
    {
        using var db = CairnDatabase.OpenInMemory(new CairnOptions());
        var run = db.Default;
        for (var n = 0; n < 10; n++)
        {
            run.Traces.Record(
                new ThoughtStep("t"), new TraceOptions { Metadata = Value.Object(("cost", n)), Tags = n % 2 == 0 ? ["urgent"] : [] });
        }

        run.Json.Put("t1", Value.Object(("owner", "ada"), ("due", 20261130), ("title", "write"), ("mail", "t1@x")));
        run.Json.Put("t2", Value.Object(("owner", "ada"), ("due", 20261130), ("title", "sleep"), ("state", "done")));

        run.Events.Append("order", new { total = 80 });
        run.Events.Append("order", new { total = 120 });

        run.Indexes.Define("owner", new() { Target = IndexTarget.Documents, Paths = ["$.owner", "$.due"] });
        run.Indexes.Define("mail", new() { Target = IndexTarget.Documents, Paths = ["$.mail"], IsUnique = true });

        foreach (var (id, task) in run.Json.Query(Filter.Parse("owner eq 'ada' and due lt 20261201 and not state eq 'done'")))
            Console.WriteLine($"{id}: {task["title"]}");

        run.Indexes.Define("cost", new() { Target = IndexTarget.Traces, Paths = ["$.metadata.cost"] });

        var page = run.Traces.Query(
            Filter.Parse("metadata.cost gte 3 and tags contains \"urgent\""),
            new QueryOptions { OrderBy = [new("$.metadata.cost", IsDescending: true)], Limit = 20 });

        var plan = run.Traces.Explain(Filter.Parse("metadata.cost gte 3"));

        run.Indexes.Define("total", new() { Target = IndexTarget.Events, Paths = ["$.payload.total"] });
        var large = run.Events.Query(Filter.Parse("type eq 'order' and payload.total gte 100"));
        Assert.Equal(1UL, Assert.Single(large).Number.Value);
        Assert.Equal([8L, 6, 4], page.Select(trace => trace.Metadata["cost"].AsInt64()));
        Assert.Equal((7, 10L), (plan.Rows, plan.Things));
        var tasks = run.Json.Query(Filter.Parse("owner eq 'ada' and due lt 20261201 and not state eq 'done'"));
        Assert.Equal("t1", Assert.Single(tasks).Key);
    }
}
