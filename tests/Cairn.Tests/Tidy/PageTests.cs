using System.Text.RegularExpressions;
using Xunit;

namespace Cairn.Tests.Tidy;

/// <summary>Pages: links that lead somewhere, one title, code that compiles because it is a copy of code that does.</summary>
public partial class PageTests
{
    [Fact]
    public void Links_lead_somewhere()
    {
        var findings =
            from page in Repository.Pages
            from match in Link().Matches(Repository.Read(page))
            let target = match.Groups[1].Value
            where !target.Contains("://", StringComparison.Ordinal) && !target.StartsWith("mailto:", StringComparison.Ordinal)
            where !Leads(page, target)
            select $"{page}: {target}";
        Repository.Refuse(findings, "Dead links:");
    }

    [Fact]
    public void Every_page_has_one_title()
    {
        var findings =
            from page in Repository.Pages
            let titles = OutsideCode(Repository.Lines(page)).Count(line => line.StartsWith("# ", StringComparison.Ordinal))
            where titles != 1
            select $"{page}: {titles}";
        Repository.Refuse(findings, "Pages have one line that begins with '# ':");
    }

    // There is no compiler in the tests. A block counts as compiled when the same lines stand in a file that is; usings of namespaces
    // are left out of the comparison.
    [Fact]
    public void Code_on_pages_is_copied_from_code_that_compiles()
    {
        var sources = Repository.Sources("samples", "tests/Cairn.Tests/Snippets").Select(path => Squeeze(Repository.Lines(path))).ToList();
        var findings =
            from page in Repository.Pages.Where(page => page == "README.md" || page.StartsWith("docs/", StringComparison.Ordinal))
            from match in CodeBlock().Matches(Repository.Read(page))
            let block = Squeeze(match.Groups[1].Value.Split('\n'))
            where !sources.Any(source => source.Contains(block, StringComparison.Ordinal))
            select $"{page}: {block.Split('\n')[1]} ...";
        Repository.Refuse(
            findings, "C# blocks of README.md and docs/ must stand, line by line, in a file of samples/ or tests/Cairn.Tests/Snippets/:");
    }

    private static bool Leads(string page, string target)
    {
        var parts = target.Split('#', 2);
        var path = page;
        if (parts[0].Length > 0)
        {
            var full = Path.GetFullPath(Path.Combine(Repository.Root, Path.GetDirectoryName(page)!, parts[0]));
            if (!File.Exists(full) && !Directory.Exists(full))
                return false;
            path = Path.GetRelativePath(Repository.Root, full);
        }

        return parts.Length == 1 || !path.EndsWith(".md", StringComparison.Ordinal)
            || OutsideCode(Repository.Lines(path)).Where(line => line.StartsWith('#')).Any(line => Anchor(line) == parts[1]);
    }

    private static string Anchor(string heading) =>
        NotInAnchors().Replace(heading.TrimStart('#').Trim().ToLowerInvariant(), "").Replace(' ', '-');

    private static IEnumerable<string> OutsideCode(string[] lines)
    {
        var inside = false;
        foreach (var line in lines)
        {
            if (line.StartsWith("```", StringComparison.Ordinal))
                inside = !inside;
            else if (!inside)
                yield return line;
        }
    }

    // Lines without indentation and without empty ones, each behind a newline.
    private static string Squeeze(IEnumerable<string> lines) =>
        string.Concat(lines.Select(line => line.Trim())
            .Where(line => line.Length > 0 && !UsingLine().IsMatch(line))
            .Select(line => "\n" + line)) + "\n";

    [GeneratedRegex(@"\]\(([^)\s]+)\)")]
    private static partial Regex Link();

    [GeneratedRegex(@"^```csharp\n(.*?)^```", RegexOptions.Multiline | RegexOptions.Singleline)]
    private static partial Regex CodeBlock();

    [GeneratedRegex(@"^using [\w.]+;$")]
    private static partial Regex UsingLine();

    [GeneratedRegex("[^a-z0-9 _-]")]
    private static partial Regex NotInAnchors();
}
