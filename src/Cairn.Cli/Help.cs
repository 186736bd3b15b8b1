using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;

namespace Cairn.Cli;

/// <summary>The help of every command: usage, arguments, options and an example, within 100 columns.</summary>
internal sealed class Help(Streams streams) : SynchronousCommandLineAction
{
    private const int Width = Streams.PageWidth;

    public override bool ClearsParseErrors => true;

    internal static void Install(RootCommand root, Streams streams)
    {
        foreach (var option in root.Options)
        {
            if (option is HelpOption)
                option.Action = new Help(streams);
            else if (option is VersionOption)
                option.Action = new VersionText(streams);
        }

        root.SetAction(parsed => new Help(streams).Invoke(parsed));
    }

    public override int Invoke(ParseResult parseResult)
    {
        Write(parseResult.CommandResult.Command, streams.Out);
        return ExitCodes.Ok;
    }

    /// <summary>As it is typed: <c>cairn kv put</c>.</summary>
    internal static string PathOf(Command command) =>
        command is RootCommand ? "cairn" : $"{PathOf((Command)command.Parents.First())} {command.Name}";

    internal static void Write(Command command, TextWriter output)
    {
        var path = PathOf(command);
        output.WriteLine(command is RootCommand ? CairnCli.What : $"{path}: {command.Description}");
        output.WriteLine();
        output.WriteLine($"usage: {path}{Usage(command)}");
        Rows(output, "arguments", command.Arguments.Select(argument => (argument.Name, argument.Description ?? "")));
        Rows(output, "verbs", command.Subcommands.Where(verb => !verb.Hidden).Select(verb => (verb.Name, verb.Description ?? "")));
        Rows(output, "options", command.Options.Where(option => !option.Recursive && option is not HelpOption and not VersionOption)
            .Select(option => (NameOf(option), option.Description ?? "")));
        if (command is RootCommand)
        {
            Rows(output, "options of every verb", GlobalOptions.All.Select(option => (NameOf(option), option.Description ?? ""))
                .Append(("--help", "This text, or that of a verb: cairn kv put --help.")).Append(("--version", "The version.")));
            Rows(output, "exit codes",
                ExitCodes.Meanings.Select(exit => (exit.Code.ToString(System.Globalization.CultureInfo.InvariantCulture), exit.Meaning)));
            output.WriteLine();
            output.WriteLine("begin with:\n  cairn demo\n  cairn kv put customer Ada\n  cairn kv get customer");
            return;
        }

        if (command is Verb verb)
        {
            output.WriteLine();
            output.WriteLine("example:");
            foreach (var line in verb.Example.Split('\n'))
                output.WriteLine("  " + line);
        }

        output.WriteLine();
        output.WriteLine("Options of every verb (--db, --run, --durability, --json) and exit codes: cairn --help");
    }

    private static string Usage(Command command)
    {
        if (command.Subcommands.Count > 0)
            return command is Verb ? " [VERB] [options]" : " VERB [arguments] [options]";
        return Arguments(command) + (command.Options.Any(option => !option.Recursive) ? " [options]" : "");
    }

    /// <summary>As they are typed behind the verb: <c> KEY [VALUE]</c>.</summary>
    internal static string Arguments(Command command) => string.Concat(command.Arguments.Select(argument =>
    {
        var name = argument.Name.ToUpperInvariant();
        var many = argument.Arity.MaximumNumberOfValues > 1 ? "..." : "";
        return argument.Arity.MinimumNumberOfValues == 0 ? $" [{name}{many}]" : $" {name}{many}";
    }));

    /// <summary>With the word that stands for its value: <c>--ttl TIME</c>.</summary>
    internal static string NameOf(Option option) => option.HelpName is { } value ? $"{option.Name} {value}" : option.Name;

    private static void Rows(TextWriter output, string title, IEnumerable<(string Name, string Text)> rows)
    {
        var all = rows.ToList();
        if (all.Count == 0)
            return;
        output.WriteLine();
        output.WriteLine(title + ":");
        var indent = all.Max(row => row.Name.Length) + 4;
        foreach (var (name, text) in all)
        {
            var first = true;
            foreach (var line in Wrap(text, Width - indent))
            {
                output.WriteLine(first ? "  " + name.PadRight(indent - 2) + line : new string(' ', indent) + line);
                first = false;
            }
        }
    }

    private static IEnumerable<string> Wrap(string text, int width)
    {
        while (text.Length > width)
        {
            var cut = text.LastIndexOf(' ', width);
            if (cut <= 0)
                break;
            yield return text[..cut];
            text = text[(cut + 1)..];
        }

        yield return text;
    }

    private sealed class VersionText(Streams streams) : SynchronousCommandLineAction
    {
        public override bool ClearsParseErrors => true;

        public override int Invoke(ParseResult parseResult)
        {
            streams.Out.WriteLine("cairn " + typeof(CairnDatabase).Assembly.GetName().Version?.ToString(3));
            return ExitCodes.Ok;
        }
    }
}
