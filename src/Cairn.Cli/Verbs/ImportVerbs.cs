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
        var asRecording = new Option<bool>("--as-recording")
        {
            Description = "What model and environment said becomes recorded inputs, so that the run can be replayed with nothing live; "
                + "one commit per action, one per observation.",
        };
        return new Verb(
            "swe-agent",
                "Imports trajectories of SWE-agent: one run per file, one transaction per step. All files are read and checked before "
                    + "the first is imported.",
            "cairn import swe-agent samples/swe-agent/*.traj\n"
                + "cairn import swe-agent samples/swe-agent/pydicom-1458.traj --as-recording",
            Needs.WriteDatabase,
            call =>
            {
                var sources = call.Get(files).Select(Trajectory.Read).ToList();
                if (sources.GroupBy(source => source.Name).FirstOrDefault(same => same.Count() > 1) is { } twice)
                    throw new UsageException($"Two files would become the run '{twice.Key}'. Rename one.");
                var form = new Form(call.Get(resume), call.Get(asRecording));
                var done = call.Streams.IsTerminal && !call.IsJson
                    ? WithProgress(call, sources, form)
                    : sources.Select(source => Import(call.Database, source, form, () => { })).ToList();
                return call.List(
                    done,
                    import => [("run", import.Source.Name), ("id", import.Run.ToString()), ("steps", import.Source.Steps.Count),
                        ("file", import.Source.File)],
                    new Column<ITrajectoryImport>("run", import => import.Source.Name),
                    new Column<ITrajectoryImport>("steps", import => Show.Plain(import.Source.Steps.Count), Justify.Right),
                    new Column<ITrajectoryImport>("id", import => import.Run.ToString()));
            },
            files, resume, asRecording);
    }

    private static List<ITrajectoryImport> WithProgress(Call call, List<Trajectory> sources, Form form) =>
        call.Streams.Page.Progress()
            .Columns(new TaskDescriptionColumn { Alignment = Justify.Left }, new ProgressBarColumn(), new PercentageColumn(),
                new ElapsedTimeColumn())
            .Start(progress =>
            {
                var bars = sources.Select(source => progress.AddTask(Markup.Escape(source.Name), maxValue: form.TotalOf(source))).ToList();
                return sources.Select((source, i) => Import(call.Database, source, form, () => bars[i].Increment(1))).ToList();
            });

    private static ITrajectoryImport Import(CairnDatabase database, Trajectory source, Form form, Action committed)
    {
        var goesOn = database.Runs.Exists(source.Name);
        if (goesOn && !form.Resume)
            throw new RefusedException(ErrorCode.AlreadyExists,
                $"There is a run '{source.Name}' already. Go on with an interrupted import by --resume, or delete the run.");
        var import = form.Start(database, source, goesOn);
        for (var i = 0; i < import.Done; i++)
            committed();
        try
        {
            while (import.MoveNext(out _))
                committed();
        }
        catch (CairnException refused) when (!goesOn && RefusalOf(refused) is not null)
        {
            database.Runs.Delete(import.Run);
            throw new RefusedException(
                RefusalOf(refused)!.Value, $"{source.File} cannot be imported: {refused.Message} Its run was deleted again.", refused);
        }

        return import;
    }

    // The live call of a recording reads a file that is in memory: it fails only for an answer that is too large to be kept.
    private static ErrorCode? RefusalOf(CairnException failure) =>
        failure is InputFailedException ? ErrorCode.LimitExceeded
        : ExitCodes.Of(failure.Code) == ExitCodes.Refused ? failure.Code
        : null;

    /// <summary>How files are imported.</summary>
    private readonly record struct Form(bool Resume, bool AsRecording)
    {
        internal int TotalOf(Trajectory source) => AsRecording ? TrajectoryRecording.TotalOf(source) : source.Steps.Count + 2;

        internal ITrajectoryImport Start(CairnDatabase database, Trajectory source, bool goesOn) => (AsRecording, goesOn) switch
        {
            (true, true) => TrajectoryRecording.Resume(database, source),
            (true, false) => TrajectoryRecording.Begin(database, source),
            (false, true) => TrajectoryImport.Resume(database, source),
            (false, false) => TrajectoryImport.Begin(database, source),
        };
    }
}
