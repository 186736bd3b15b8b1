using Xunit;

namespace Cairn.Tests.Snippets;

/// <summary>The code of docs/documents.md.</summary>
public class DocumentsPage
{
    [Fact]
    public void The_filter_of_the_page_is_the_same_in_both_forms()
    {
        var urgent = Filter.Eq("$.status", "open")
            & (Filter.Gte("$.cost", 3) | Filter.Contains("$.tags", "urgent"))
            & !Filter.Exists("$.owner");
        var same = Filter.Parse("status eq \"open\" and (cost gte 3 or tags contains \"urgent\") and not owner exists");
        Assert.Equal(urgent, same);
    }

    [Fact]
    public void The_expression_of_the_page_is_a_filter()
    {
        var late = Filter.Where<Errand>(x => x.Owner == "ada" && x.Due < 20261201 && x.Tags.Contains("urgent") && x.Closed == null);
        Assert.True(late.Matches(Value.From(new Errand("ada", 20261130, ["urgent"], null))));
        Assert.False(late.Matches(Value.From(new Errand("ada", 20261130, ["urgent"], 20261130))));
    }

    private sealed record Errand(string Owner, long Due, string[] Tags, long? Closed);

    internal static Value Change(Run run)
    {
        run.Json.Create("plan", Value.Object(("steps", Value.Array()), ("cost", 0)));
        run.Json.ArrayAppend("plan", "$.steps", "search");       // appends of many writers come one behind the other
        run.Json.Set("plan", "$.owner.name", "ada");             // makes the object on the way
        var cost = run.Json.Increment("plan", "$.cost", 3);
        run.Transact(tx =>
        {
            if (tx.Json.Get("plan", "$.cost") is { } spent && spent.AsInt64() < 10)
                tx.Json.Set("plan", "$.approved", true);
        });
        return cost;
    }
}
