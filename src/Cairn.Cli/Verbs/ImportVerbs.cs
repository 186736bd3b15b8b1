using System.CommandLine;
using Cairn.Cli.SweAgent;
using Spectre.Console;

namespace Cairn.Cli.Verbs;

/// <summary><c>cairn import ...</c>: runs from elsewhere.</summary>
internal static class ImportVerbs
{
    internal static Group Group() => new("import", "Brings in runs from elsewhere.", ExportVerbs.Import(), SweAgentFiles());

    private static Verb SweAgentFiles()
    {
        var files = new Argument<string[]>("file") { Description = "One or more .traj files.", Arity = ArgumentArity.OneOrMore };
        var resume = new Option<bool>("--resume") { Description = "Goes on with imports that were interrupted; without it a run of the "
            + "same name is refused." };
        return new Verb(
            "swe-agent",
                "Imports trajectories of SWE-agent: one run per file, one transaction per step. All files are read and checked before "
                    + "the first is imported.",
            "cairn import swe-agent samples/swe-agent/*.traj", Needs.WriteDatabase,
            call =>
            {
                var sources = call.Get(files).Select(Trajectory.Read).ToList();
                if (sources.GroupBy(source => source.Name).FirstOrDefault(same => same.Count() > 1) is { } twice)
                    throw new UsageException($"Two files would become the run '{twice.Key}'. Rename one.");
                var done = call.Streams.IsTerminal && !call.IsJson
                    ? WithProgress(call, sources, call.Get(resume))
                    : sources.Select(source => Import(call.Database, source, call.Get(resume), () => { })).ToList();
                return call.List(
                    done,
                    import => [("run", import.Source.Name), ("id", import.Run.ToString()), ("steps", import.Source.Steps.Count),
                        ("file", import.Source.File)],
                    new Column<TrajectoryImport>("run", import => import.Source.Name),
                    new Column<TrajectoryImport>("steps", import => Show.Plain(import.Source.Steps.Count), Justify.Right),
                    new Column<TrajectoryImport>("id", import => import.Run.ToString()));
            },
            files, resume);
    }

    private static List<TrajectoryImport> WithProgress(Call call, List<Trajectory> sources, bool resume) =>
        call.Streams.Page.Progress()
            .Columns(new TaskDescriptionColumn { Alignment = Justify.Left }, new ProgressBarColumn(), new PercentageColumn(),
                new ElapsedTimeColumn())
            .Start(progress =>
            {
                var bars = sources.Select(source => progress.AddTask(Markup.Escape(source.Name),
                    maxValue: source.Steps.Count + 2)).ToList();
                return sources.Select((source, i) => Import(call.Database, source, resume, () => bars[i].Increment(1))).ToList();
            });

    private static TrajectoryImport Import(CairnDatabase database, Trajectory source, bool resume, Action committed)
    {
        var goesOn = database.Runs.Exists(source.Name);
        if (goesOn && !resume)
            throw new RefusedException(ErrorCode.AlreadyExists,
                $"There is a run '{source.Name}' already. Go on with an interrupted import by --resume, or delete the run.");
        var import = goesOn ? TrajectoryImport.Resume(database, source) : TrajectoryImport.Begin(database, source);
        for (var i = 0; i < import.Done; i++)
            committed();
        try
        {
            while (import.MoveNext(out _))
                committed();
        }
        catch (CairnException refused) when (!goesOn && ExitCodes.Of(refused.Code) == ExitCodes.Refused)
        {
            database.Runs.Delete(import.Run);
            throw new RefusedException(
                refused.Code, $"{source.File} cannot be imported: {refused.Message} Its run was deleted again.", refused);
        }

        return import;
    }
}
