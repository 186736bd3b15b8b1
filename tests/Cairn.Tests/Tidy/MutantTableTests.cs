using System.Reflection;
using System.Text.RegularExpressions;
using Xunit;

namespace Cairn.Tests.Tidy;

/// <summary>tests/Cairn.Tests/Mutants/mutants.txt: every way to break the engine has a test that catches it.</summary>
public partial class MutantTableTests
{
    private const string Table = "tests/Cairn.Tests/Mutants/mutants.txt";

    private static IEnumerable<string[]> Rows => Repository.Lines(Table)
        .Where(line => line.Length > 0 && line[0] != '#')
        .Select(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries));

    [Fact]
    public void The_table_and_the_code_name_the_same_mutants()
    {
        var inCode = Repository.Sources("src").SelectMany(path => Call().Matches(Repository.Read(path)))
            .Select(match => match.Groups[1].Value).ToHashSet(StringComparer.Ordinal);
        var inTable = Rows.Select(row => row[0]).ToList();
        var findings = inCode.Except(inTable).Select(name => $"{name} is in the code and not in the table")
            .Concat(inTable.Except(inCode).Select(name => $"{name} is in the table and not in the code"))
            .Concat(inTable.GroupBy(name => name).Where(rows => rows.Count() > 1).Select(rows => $"{rows.Key} stands twice"));
        Repository.Refuse(findings, Table);
    }

    [Fact]
    public void Every_row_has_a_name_a_test_that_exists_and_a_promise()
    {
        var tests = typeof(MutantTableTests).Assembly.GetTypes()
            .SelectMany(type => type.GetMethods(BindingFlags.Public | BindingFlags.Instance | BindingFlags.Static)
                .Where(method => method.IsDefined(typeof(FactAttribute), inherit: true))
                .Select(method => $"{type.FullName}.{method.Name}"))
            .ToList();
        var findings = new List<string>();
        foreach (var row in Rows)
        {
            if (row.Length != 3 || !PromiseId().IsMatch(row[2]))
                findings.Add(string.Join(' ', row));
            else if (row[1] != "-" && !tests.Any(Wildcard(row[1]).IsMatch))
                findings.Add($"{row[0]}: no test matches {row[1]}");
        }

        Repository.Refuse(findings, $"{Table} has rows 'mutant test promise'; the test is a pattern with *, or - while there is none:");
    }

    private static Regex Wildcard(string pattern) => new($"^{Regex.Escape(pattern).Replace(@"\*", ".*", StringComparison.Ordinal)}$");

    [GeneratedRegex("""Mutant\.Is\("([^"]+)"\)""")]
    private static partial Regex Call();

    [GeneratedRegex("^G[0-9]+$")]
    private static partial Regex PromiseId();
}
