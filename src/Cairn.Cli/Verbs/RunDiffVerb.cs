using System.CommandLine;
using Spectre.Console;

namespace Cairn.Cli.Verbs;

/// <summary><c>cairn run diff</c>: what differs between two runs.</summary>
internal static class RunDiffVerb
{
    internal static Verb Diff()
    {
        var a = new Argument<string>("a") { Description = "The run that differences go from: a name or an id." };
        var b = new Argument<string>("b") { Description = "The run that they lead to." };
        var ignore = new Option<string[]>("--ignore")
        {
            Description = "A member of events' payloads that makes no difference, such as a duration; may be given often.",
            HelpName = "MEMBER",
        };
        var events = new Option<string[]>("--events")
        {
            Description = "Compares the events of this type alone, the n-th with the n-th; may be given often.",
            HelpName = "TYPE",
        };
        var markdown = new Option<bool>("--markdown") { Description = "A page of Markdown." };
        var limit = Parts.Limit("items");
        return new Verb(
            "diff", "Says what differs between two runs: where they part, then key by key, cell by cell, step by step.",
            "cairn run diff refund-4711 refund-4711-retry --ignore elapsed_ms\n"
                + "cairn run diff agent-1 agent-2 --events action --ignore thought", Needs.ReadDatabase,
            call =>
            {
                var database = call.Database;
                using var diff = database.Diff(
                    RunNames.Find(database, call.Get(a)).Id, RunNames.Find(database, call.Get(b)).Id,
                    new DiffOptions { IgnoredMembers = call.Get(ignore) ?? [], EventTypes = call.Get(events) ?? [] });
                var items = call.Get(limit) ?? DiffOptions.ItemsShown;
                if (call.IsJson)
                    call.Streams.Out.WriteLine(diff.ToValue(items).ToJson());
                else if (call.Get(markdown))
                    call.Streams.Out.Write(diff.ToMarkdown(items));
                else
                    Write(call.Streams, diff.ToLines(items));
                return ExitCodes.Ok;
            },
            a, b, ignore, events, markdown, limit);
    }

    private static void Write(Streams streams, IEnumerable<string> lines)
    {
        foreach (var line in lines)
        {
            if (streams.IsTerminal)
                streams.Page.Write(new PlainText(line + "\n", StyleOf(line)));
            else
                streams.Out.WriteLine(line);
        }
    }

    private static Style StyleOf(string line) => line.TrimStart() switch
    {
        ['+', ' ', ..] => new Style(Color.Green),
        ['-', ' ', ..] => new Style(Color.Red),
        ['~', ' ', ..] => new Style(Color.Yellow),
        _ => Style.Plain,
    };
}
