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
            DemoVerbs.Demo(), DemoVerbs.Child(),
            RunVerbs.Group(), KvVerbs.Group(), EventVerbs.Group(), StateVerbs.Group(), TraceVerbs.Group(), ImportVerbs.Group(),
            DatabaseVerbs.Stat(), DatabaseVerbs.Verify(), DatabaseVerbs.Doctor(), DatabaseVerbs.Sync(), DatabaseVerbs.Metrics(),
                LogVerbs.Group(),
            Completion.Verb(),
        ];
        foreach (var group in groups)
            root.Add(group);
        Verb.Bind(root, streams);
        return root;
    }

    private static string Complaint(ParseResult parsed)
    {
        var path = Help.PathOf(parsed.CommandResult.Command);
        var message = parsed.Errors.Count == 0 ? "Something is missing." : parsed.Errors[0].Message.TrimEnd('.') + ".";
        return $"{message} See '{path} --help'.";
    }
}
