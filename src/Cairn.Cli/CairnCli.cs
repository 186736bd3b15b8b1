// The shell tool, in process: arguments in, text out, an exit code back. Program.cs gives it the standard streams, tests give it
// their own.
//
//   cairn [--db DIR] [--run NAME] [--json] GROUP VERB arguments
//
// 1  The tool uses the engine's public API alone.
// 2  Every failure is one line on the error stream and an exit code from the one table (ExitCodes).
// 3  A reading verb opens read-only; if the database was not closed cleanly, it is opened for writing once, which recovers it.
// 4  Without --json: a table for a terminal, tab-separated lines otherwise. With it: one JSON document per answer, or per row of
//    a list, members ordered by name.

using System.CommandLine;
using System.CommandLine.Invocation;
using Cairn.Cli.Verbs;

namespace Cairn.Cli;

internal static class CairnCli
{
    internal const string What = "Cairn: crash-safe, replayable memory for AI agents.";

    internal static int Run(IReadOnlyList<string> args, Streams streams)
    {
        var exit = RunUnflushed(args, streams);
        streams.Out.Flush();
        streams.Error.Flush();
        return exit;
    }

    internal static int Run(string[] args, TextWriter output, TextWriter error, TextReader input) =>
        Run(args, new Streams(output, error, input));

    private static int RunUnflushed(IReadOnlyList<string> args, Streams streams)
    {
        var isJson = args.TakeWhile(arg => arg != "--").Contains(GlobalOptions.JsonName);
        try
        {
            // A value may begin with '@': no response files.
            var parsed = Root(streams).Parse(args, new ParserConfiguration { ResponseFileTokenReplacer = null });
            if (parsed.Action is ParseErrorAction)
                throw new UsageException(Complaint(parsed));
            return parsed.Invoke(new InvocationConfiguration
            {
                Output = streams.Out,
                Error = streams.Error,
                EnableDefaultExceptionHandler = false,
            });
        }
        catch (Exception failure)
        {
            return Failures.Report(failure, streams, isJson);
        }
    }

    internal static RootCommand Root(Streams streams)
    {
        var root = new RootCommand(What);
        Help.Install(root, streams);
        foreach (var option in GlobalOptions.All)
            root.Add(option);
        Command[] groups =
        [
            DemoVerbs.Demo(), DemoVerbs.Child(), StorageDemoVerbs.Child(),
            RunVerbs.Group(), KvVerbs.Group(), JsonVerbs.Group(), VectorVerbs.Group(), EventVerbs.Group(), StateVerbs.Group(),
            TraceVerbs.Group(), GraphVerbs.Group(), IndexVerbs.Group(), QueryVerbs.Query(), QueryVerbs.Explain(), SearchVerbs.Search(),
            ImportVerbs.Group(),
            DatabaseVerbs.Stat(), DatabaseVerbs.Verify(), DatabaseVerbs.Doctor(), DatabaseVerbs.Sync(), DatabaseVerbs.Checkpoint(),
            DatabaseVerbs.Compact(), DatabaseVerbs.Rebuild(),
            DatabaseVerbs.Metrics(), LogVerbs.Blame(), LogVerbs.Group(),
            FeedVerbs.Changes(), FeedVerbs.Watch(), FeedVerbs.Subscriptions(), TriggerVerbs.Group(),
            ExportVerbs.Group(), BackupVerbs.Group(), BackupVerbs.Restore(), BackupVerbs.Salvage(),
            Completion.Verb(),
        ];
        foreach (var group in groups)
            root.Add(group);
        Verb.Bind(root, streams);
        return root;
    }

    private static string Complaint(ParseResult parsed)
    {
        var command = parsed.CommandResult.Command;
        var path = Help.PathOf(command);
        var message = parsed.Errors.Count == 0 ? "Something is missing." : parsed.Errors[0].Message.TrimEnd('.') + ".";
        if (parsed.UnmatchedTokens is [var word, ..] && (word.StartsWith('-') || command.Subcommands.Count > 0))
        {
            var isOption = word.StartsWith('-');
            var known = isOption
                ? command.Options.Concat(GlobalOptions.All).Select(option => option.Name)
                : command.Subcommands.Where(verb => !verb.Hidden).Select(verb => verb.Name);
            message = $"'{path}' has no {(isOption ? "option" : "verb")} '{word}'.";
            var byDistance = known.OrderBy(name => Distance(name, word)).ThenBy(name => name.Length);
            if (byDistance.FirstOrDefault() is { } nearest && Distance(nearest, word) <= Math.Max(1, word.Length / 3))
                message += $" Did you mean '{nearest}'?";
        }

        return $"{message} See '{path} --help'.";
    }

    // Levenshtein 1966: insertions, deletions and replacements of one character.
    private static int Distance(string left, string right)
    {
        var row = Enumerable.Range(0, right.Length + 1).ToArray();
        for (var i = 1; i <= left.Length; i++)
        {
            var corner = row[0];
            row[0] = i;
            for (var j = 1; j <= right.Length; j++)
            {
                var replaced = corner + (left[i - 1] == right[j - 1] ? 0 : 1);
                corner = row[j];
                row[j] = Math.Min(replaced, Math.Min(row[j], row[j - 1]) + 1);
            }
        }

        return row[^1];
    }
}
