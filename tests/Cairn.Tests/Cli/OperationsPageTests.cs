using System.Text.RegularExpressions;
using Cairn.Tests.Tidy;
using Xunit;

namespace Cairn.Tests.Cli;

/// <summary>The commands of docs/operations.md do what the page says.</summary>
public sealed partial class OperationsPageTests : IDisposable
{
    private readonly CliBed _bed = new();

    public void Dispose() => _bed.Dispose();

    [Fact]
    public void Every_command_of_the_page_runs()
    {
        var commands = ShellBlock().Matches(Repository.Read("docs/operations.md")).SelectMany(block => block.Groups[1].Value.Split('\n'))
            .Where(line => line.StartsWith("cairn ", StringComparison.Ordinal)).ToList();
        Assert.NotEmpty(commands);
        foreach (var command in commands)
        {
            var parts = command.Split(" # exit ");
            var text = parts[0].Replace("$DB", _bed.Path, StringComparison.Ordinal).Replace("$BACKUPS", _bed["backups"],
                StringComparison.Ordinal)
                .Replace("$OUT", _bed["out"], StringComparison.Ordinal);
            var words = Word().Matches(text).Select(word => word.Value.Trim('\'')).Skip(1).ToArray();
            var result = CliBed.RunBare("", words);
            var expected = parts.Length == 2 ? int.Parse(parts[1], System.Globalization.CultureInfo.InvariantCulture) : 0;
            Assert.True(result.Exit == expected, $"{command}: exit code {result.Exit}: {result.Error}");
        }
    }

    [GeneratedRegex("```sh\n(.*?)```", RegexOptions.Singleline)]
    private static partial Regex ShellBlock();

    [GeneratedRegex(@"'[^']*'|\S+")]
    private static partial Regex Word();
}
