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
}
