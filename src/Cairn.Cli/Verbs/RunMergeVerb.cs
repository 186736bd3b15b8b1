using System.CommandLine;
using Spectre.Console;

namespace Cairn.Cli.Verbs;

/// <summary><c>cairn run merge</c>: brings what a run has changed into another one.</summary>
internal static class RunMergeVerb
{
    internal static Verb Merge()
    {
        var source = new Argument<string>("source") { Description = "The run whose changes are taken: a name or an id." };
        var into = new Option<string>("--into") { Description = "The run that they come into.", HelpName = "RUN", Required = true };
        var prefer = new Option<Preference>("--prefer")
        {
            Description = "What is taken of a thing that both have changed: of the source, of the target, or nothing (the default): then "
                + "nothing at all is written.",
            HelpName = "SIDE",
        };
        var append = new Option<bool>("--append-events")
        {
            Description = "New events of the source come behind new ones of the target, under new numbers.",
        };
        var dryRun = new Option<bool>("--dry-run") { Description = "Says what would be done and writes nothing." };
        var limit = Parts.Limit("conflicts");
        return new Verb(
            "merge",
            "Brings what a run has changed since both were the same into another one, in one commit. Open conflicts: nothing is written, "
            + "exit code 4.",
            "cairn run merge refund-4711-retry --into refund-4711 --dry-run", Needs.WriteDatabase,
            call =>
            {
                var options = new MergeOptions
                {
                    Strategy = call.Get(prefer) switch
                    {
                        Preference.Source => MergeStrategy.PreferSource,
                        Preference.Target => MergeStrategy.PreferTarget,
                        _ => MergeStrategy.Strict,
                    },
                    Events = call.Get(append) ? MergeEventRule.AppendAfter : MergeEventRule.Conflict,
                    IsDryRun = call.Get(dryRun),
                };
                if (call.Get(limit) is { } most)
                    options = options with { ConflictsMax = most };
                if (options.IsDryRun && call.IsGiven(GlobalOptions.Durability))
                    throw new UsageException("--durability has no meaning with --dry-run: nothing is written.");
                var database = options.IsDryRun ? call.DatabaseToLookAt : call.Database;
                var (from, to) = (RunNames.Find(database, call.Get(source)), RunNames.Find(database, call.Get(into)!));
                var result = call.Watched(
                    "merging",
                    (progress, token) => call.Runs.Merge(from.Id, to.Id, options with { Progress = progress }, token));
                if (call.IsJson)
                    call.Streams.Out.WriteLine(result.ToValue().ToJson());
                else
                    Write(call.Streams, result);
                return result.IsClean ? ExitCodes.Ok : ExitCodes.State;
            },
            source, into, prefer, append, dryRun, limit);
    }

    private enum Preference
    {
        None,
        Source,
        Target,
    }

    private static void Write(Streams streams, MergeResult result)
    {
        foreach (var line in result.ToLines())
        {
            var style = line.StartsWith("  !", StringComparison.Ordinal) ? new Style(Color.Red) : Style.Plain;
            if (streams.IsTerminal)
                streams.Page.Write(new PlainText(line + "\n", style));
            else
                streams.Out.WriteLine(line);
        }
    }
}
