using System.Globalization;
using System.Reflection;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using Xunit;

namespace Cairn.Tests.Tidy;

/// <summary>docs/reliability.md is made from docs/reliability.jsonl, which only runs append to; and what runs is every random
/// suite.</summary>
public class ReliabilityPageTests
{
    private const string Page = "docs/reliability.md";
    private const string Lines = "docs/reliability.jsonl";
    private const string Table = "tests/nightly.txt";

    private static IEnumerable<(string Unit, string Pattern)> Units => Repository.Lines(Table)
        .Where(line => line.Length > 0 && line[0] != '#')
        .Select(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries))
        .Select(cells => (cells[0], cells[1]));

    [Fact]
    public void The_page_holds_what_the_runs_wrote_down_and_nothing_else() => MadePage.Compare(Page, Make());

    [Fact]
    public void Every_random_suite_is_in_a_row_of_the_nightly_run()
    {
        var patterns = Units.Where(row => row.Pattern != "-").Select(row =>
            new Regex($"^{Regex.Escape(row.Pattern).Replace(@"\*", ".*", StringComparison.Ordinal)}$")).ToList();
        var findings =
            from type in typeof(ReliabilityPageTests).Assembly.GetTypes()
            from method in type.GetMethods()
            where method.GetCustomAttributes<TraitAttribute>().Any(trait => trait is { Name: "Kind", Value: "Random" })
            let name = $"{type.FullName}.{method.Name}"
            where !patterns.Exists(pattern => pattern.IsMatch(name))
            select $"{name} is in no row";
        Repository.Refuse(findings, Table);
    }

    private static string Make()
    {
        var lines = File.Exists(Repository.Full(Lines)) ? Repository.Lines(Lines).Where(line => line.Length > 0).ToList() : [];
        var rows = lines.ConvertAll(line => JsonDocument.Parse(line).RootElement);
        var page = new StringBuilder();
        page.Append("""
            # Reliability

            Made by `./test nightly` and `./test soak store` from `reliability.jsonl`, one line per test that counted something; no
            number here is written by hand, and a test compares. Everything random can be run again from its seed: `./test sim SEED`.
            A commit with `+` had changes that were not committed. A machine that does other work beside has lower rates.

            ## Counted

            | suite | what | count | per second | first seeds | commits |
            |---|---|---|---|---|---|

            """);
        var suites = rows.Where(row => Has(row, "id")).GroupBy(row => (Id: Text(row, "id"), What: Text(row, "what")));
        foreach (var suite in suites.OrderBy(rows => $"{rows.Key.Id} {rows.Key.What}", StringComparer.Ordinal))
        {
            var (count, seconds) = (suite.Sum(row => Long(row, "count")), suite.Sum(row => row.GetProperty("seconds").GetDouble()));
            page.Append(
                CultureInfo.InvariantCulture,
                $"| {suite.Key.Id} | {suite.Key.What} | {count:N0} | {(seconds > 0 ? count / seconds : 0):N0} | "
                + $"{string.Join(", ", suite.Select(row => Text(row, "seed")).Distinct().Take(3))} | {Commits(suite)} |\n");
        }

        page.Append("""

            ## Units of the nightly run

            The last run of each. `times` is the size in multiples of a merge's. In `mutants`, passed is caught and failed is not caught.

            | unit | times | passed | failed | skipped | seconds | commit |
            |---|---|---|---|---|---|---|

            """);
        var units = rows.Where(row => Has(row, "unit")).GroupBy(row => Text(row, "unit"))
            .ToDictionary(runs => runs.Key, runs => runs.Last());
        foreach (var (unit, _) in Units)
        {
            page.Append(units.TryGetValue(unit, out var run)
                ? string.Create(
                    CultureInfo.InvariantCulture,
                    $"| {unit} | {Long(run, "times")} | {Long(run, "passed"):N0} | {Long(run, "failed")} | {Long(run, "skipped")} | "
                    + $"{Long(run, "seconds"):N0} | {Text(run, "commit")} |\n")
                : $"| {unit} | not run | | | | | |\n");
        }

        var reasons = units.Values.SelectMany(run => Text(run, "reasons").Split('|')).Where(reason => reason.Length > 0).Distinct()
            .Order(StringComparer.Ordinal).ToList();
        page.Append("\n## Skipped, and why\n\n");
        page.Append(reasons.Count == 0 ? "Nothing.\n" : string.Concat(reasons.Select(reason => $"- {reason}\n")));
        return page.ToString().ReplaceLineEndings("\n");
    }

    private static string Commits(IEnumerable<JsonElement> rows) => string.Join(", ", rows.Select(row => Text(row, "commit")).Distinct());

    private static bool Has(JsonElement row, string name) => row.TryGetProperty(name, out _);

    private static string Text(JsonElement row, string name) => row.TryGetProperty(name, out var value) ? value.ToString() : "";

    private static long Long(JsonElement row, string name) => row.GetProperty(name).GetInt64();
}
