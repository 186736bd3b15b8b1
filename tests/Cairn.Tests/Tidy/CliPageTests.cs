using System.CommandLine;
using System.CommandLine.Help;
using System.Globalization;
using System.Text;
using Cairn.Cli;
using Xunit;

namespace Cairn.Tests.Tidy;

/// <summary>The tables of docs/cli.md are made from the commands themselves.</summary>
public class CliPageTests
{
    private static readonly (string Group, string Title)[] Chapters =
    [
        ("", "The database"), ("run", "Runs"), ("kv", "Key-values"), ("json", "Documents"), ("vector", "Vectors"),
        ("events", "Events"), ("state", "State cells"),
        ("trace", "Traces"), ("graph", "Graph"), ("index", "Indexes"), ("import", "Import"), ("export", "Export"),
        ("backup", "Backup"), ("log", "The log"),
        ("subscription", "Subscriptions"), ("trigger", "Triggers"),
    ];

    private static Command Root => CairnCli.Root(new Streams(TextWriter.Null, TextWriter.Null, TextReader.Null));

    [Fact]
    public void CON_9_The_page_holds_every_verb_with_its_arguments_and_options()
    {
        var page = new StringBuilder();
        var verbs = Verbs(Root).ToLookup(verb => verb.Parents.First() is RootCommand or Verb ? "" : Help.PathOf(verb).Split(' ')[1]);
        Assert.Equal(Chapters.Select(chapter => chapter.Group).Order(), verbs.Select(group => group.Key).Order());
        foreach (var (group, title) in Chapters)
        {
            page.Append(CultureInfo.InvariantCulture, $"\n### {title}\n\n| verb | what it does | options |\n|---|---|---|\n");
            foreach (var verb in verbs[group])
            {
                var options = string.Join(' ', verb.Options.Where(option => !option.Recursive && option is not HelpOption)
                    .Select(option => $"`{Escaped(Help.NameOf(option))}`"));
                page.Append(CultureInfo.InvariantCulture,
                    $"| `{Help.PathOf(verb)["cairn ".Length..]}{Help.Arguments(verb)}` | {Escaped(verb.Description!)} | {options} |\n");
            }
        }

        page.Append('\n');
        MadePage.ComparePart("docs/cli.md", "verbs", page.ToString());
    }

    [Fact]
    public void ERR_1_The_page_holds_every_exit_code_with_the_errors_that_have_it()
    {
        var page = new StringBuilder("\n| exit | meaning | error codes |\n|---|---|---|\n");
        foreach (var (exit, meaning) in ExitCodes.Meanings)
        {
            var codes = ExitCodes.Table.Where(pair => pair.Value == exit && pair.Key != ErrorCode.None).Select(pair => $"`{pair.Key}`");
            page.Append(CultureInfo.InvariantCulture, $"| {exit} | {meaning} | {string.Join(", ", codes)} |\n");
        }

        page.Append('\n');
        MadePage.ComparePart("docs/cli.md", "exit codes", page.ToString());
    }

    private static string Escaped(string text) => text.Replace("|", "\\|", StringComparison.Ordinal);

    private static IEnumerable<Verb> Verbs(Command command) =>
        command.Subcommands.SelectMany(Verbs).Concat(command is Verb { Hidden: false } verb ? [verb] : []);
}
