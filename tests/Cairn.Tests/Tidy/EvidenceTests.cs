using System.Reflection;
using System.Text.RegularExpressions;
using Xunit;

namespace Cairn.Tests.Tidy;

/// <summary>Promises and requirement ids: what the pages claim is in the tests, and what code and tests cite is on the pages.</summary>
public partial class EvidenceTests
{
    private const string Guarantees = "docs/guarantees.md";
    private const string Requirements = "docs/requirements.md";

    [Fact]
    public void Every_promise_has_a_test_or_is_listed_as_open()
    {
        var tested = Traits("Promise").ToLookup(trait => trait.Value, trait => trait.Type.Name, StringComparer.Ordinal);
        var findings = new List<string>();
        foreach (var row in Promises())
        {
            var isOpen = row.Tests.Count == 0;
            if (!tested.Contains(row.Promise) && !isOpen)
                findings.Add($"{row.Promise} names tests, and no test carries [Trait(\"Promise\", \"{row.Promise}\")]");
            if (tested.Contains(row.Promise) && isOpen)
                findings.Add($"{row.Promise} is called open and has tests by now: {string.Join(", ", tested[row.Promise].Distinct())}");
            foreach (var test in row.Tests.Where(test => !tested[row.Promise].Contains(test)))
                findings.Add($"{row.Promise}: {test} does not exist or does not carry the promise");
        }

        Repository.Refuse(findings, $"{Guarantees} and the tests differ:");
    }

    [Fact]
    public void Every_promise_that_a_test_carries_is_on_the_page()
    {
        var known = Promises().Select(row => row.Promise).ToHashSet(StringComparer.Ordinal);
        var findings = Traits("Promise").Where(trait => !known.Contains(trait.Value)).Select(trait => $"{trait.Type.Name}: {trait.Value}");
        Repository.Refuse(findings.Distinct(), $"Promises that {Guarantees} does not know:");
    }

    [Fact]
    public void Every_requirement_that_is_cited_is_on_the_page()
    {
        var known = KnownIds();
        var families = known.Select(id => id.Split('-')[0]).ToHashSet(StringComparer.Ordinal);
        var findings =
            from path in Repository.Sources("src", "tests", "bench", "benchmarks", "samples")
            from row in Repository.Lines(path).Select((line, index) => (line, Number: index + 1))
            from match in Id().Matches(row.line)
            where families.Contains(match.Groups[1].Value) && !known.Contains(match.Value)
            select $"{path}:{row.Number}: {match.Value}";
        Repository.Refuse(findings, $"Ids that {Requirements} does not know:");
    }

    [Fact]
    public void Every_requirement_of_a_trait_is_on_the_page()
    {
        var known = KnownIds();
        var unknown = Traits("Requirement").Where(trait => !known.Contains(trait.Value));
        var findings = unknown.Select(trait => $"{trait.Type.Name}: {trait.Value}");
        Repository.Refuse(findings.Distinct(), $"Ids that {Requirements} does not know:");
    }

    [Fact]
    public void A_requirement_stands_once_on_the_page()
    {
        var twice = Rows().GroupBy(id => id, StringComparer.Ordinal).Where(rows => rows.Count() > 1).Select(rows => rows.Key);
        Repository.Refuse(twice, $"Ids that stand twice in {Requirements}:");
    }

    private static HashSet<string> KnownIds() => Rows().ToHashSet(StringComparer.Ordinal);

    private static IEnumerable<string> Rows() => Repository.Lines(Requirements)
        .Where(line => line.StartsWith("| ", StringComparison.Ordinal))
        .Select(line => line.Split('|', StringSplitOptions.TrimEntries)[1])
        .Where(cell => Id().IsMatch(cell));

    // Rows "| G1 | promise | tests |": the last cell names test classes in backticks, or says "open: ..." without any.
    private static IEnumerable<(string Promise, IReadOnlyList<string> Tests)> Promises() => Repository.Lines(Guarantees)
        .Where(line => PromiseRow().IsMatch(line))
        .Select(line => line.Split('|', StringSplitOptions.TrimEntries))
        .Select(cells => (cells[1], (IReadOnlyList<string>)[.. Quoted().Matches(cells[^2]).Select(match => match.Groups[1].Value)]));

    private static IEnumerable<(Type Type, string Value)> Traits(string name)
    {
        const BindingFlags Declared = BindingFlags.Public | BindingFlags.Instance | BindingFlags.Static | BindingFlags.DeclaredOnly;
        foreach (var type in typeof(EvidenceTests).Assembly.GetTypes())
        {
            foreach (var trait in type.GetCustomAttributes<TraitAttribute>().Where(trait => trait.Name == name))
                yield return (type, trait.Value);
            foreach (var method in type.GetMethods(Declared))
            {
                foreach (var trait in method.GetCustomAttributes<TraitAttribute>().Where(trait => trait.Name == name))
                    yield return (type, trait.Value);
            }
        }
    }

    [GeneratedRegex(@"\b([A-Z]{2,4})-(?:R|I)?[0-9]+\b")]
    private static partial Regex Id();

    [GeneratedRegex(@"^\| G[0-9]+ \|")]
    private static partial Regex PromiseRow();

    [GeneratedRegex("`([A-Za-z0-9_]+)`")]
    private static partial Regex Quoted();
}
