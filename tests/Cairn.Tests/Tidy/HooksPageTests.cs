using System.Text.RegularExpressions;
using Xunit;

namespace Cairn.Tests.Tidy;

/// <summary>docs/hooks.md and the hooks in the engine are the same.</summary>
public partial class HooksPageTests
{
    private const string Page = "docs/hooks.md";

    [Fact]
    public void The_page_and_the_engine_name_the_same_hooks_with_the_same_kind()
    {
        var inCode = Repository.Sources("src").SelectMany(path => Call().Matches(Repository.Read(path)))
            .Select(match => (Name: match.Groups[2].Value, Kind: match.Groups[1].Value.ToLowerInvariant())).ToList();
        var onPage = Repository.Lines(Page).Select(line => Row().Match(line)).Where(row => row.Success)
            .Select(row => (Name: row.Groups[1].Value, Kind: row.Groups[2].Success ? row.Groups[2].Value : "rarely")).ToList();
        var findings = inCode.Except(onPage).Select(hook => $"{hook} is in the engine and not on the page")
            .Concat(onPage.Except(inCode).Select(hook => $"{hook} is on the page and not in the engine"))
            .Concat(onPage.GroupBy(hook => hook.Name).Where(rows => rows.Count() > 1).Select(rows => $"{rows.Key} stands twice"));
        Repository.Refuse(findings, Page);
    }

    [GeneratedRegex("""Failpoint\.(Hit|Wait|Rarely)\("([^"]+)" """, RegexOptions.IgnorePatternWhitespace)]
    private static partial Regex Call();

    [GeneratedRegex(@"^\| `([a-z.-]+)` \| (?:(hit|wait) \|)?")]
    private static partial Regex Row();
}
