using System.CommandLine;
using System.Diagnostics;
using Cairn.Cli.Demonstration;
using Cairn.Cli.SweAgent;

namespace Cairn.Cli.Verbs;

/// <summary><c>cairn demo</c>, and the hidden verb of its child process.</summary>
internal static class DemoVerbs
{
    internal static Verb Demo()
    {
        var keep = new Option<bool>("--keep") { Description = "Keeps the directory and says where it is." };
        var demo = new Verb(
            "demo", "Shows Cairn at work in a few seconds: two recorded agents, a killed process, and everything that was acknowledged.",
                "cairn demo", Needs.Nothing,
            call => InDirectory(call.Get(keep), (directory, isKept) => Run(call, directory, isKept)),
            keep);
        demo.Add(StorageDemoVerbs.Demo());
        demo.Add(ReplayDemoVerbs.Demo());
        demo.Add(DocumentsDemoVerbs.Demo());
        return demo;
    }

    internal static Verb Child()
    {
        var files = new Argument<string[]>("file") { Arity = ArgumentArity.OneOrMore };
        return new Verb(
            Agents.VerbName, "What the demo kills.", "cairn demo", Needs.WriteDatabase,
            call =>
            {
                Agents.Work(call.Database, [.. call.Get(files).Select(Trajectory.Read)], call.Streams.Out);
                return ExitCodes.Ok;
            },
            files)
        {
            Hidden = true,
        };
    }

    /// <summary>Gives a demo a directory of its own, and takes that away again unless it is kept.</summary>
    internal static int InDirectory(bool isKept, Func<string, bool, int> run)
    {
        var directory = System.IO.Directory.CreateTempSubdirectory("cairn-demo-").FullName;
        try
        {
            return run(directory, isKept);
        }
        finally
        {
            if (!isKept)
                System.IO.Directory.Delete(directory, recursive: true);
        }
    }

    private static int Run(Call call, string directory, bool keep)
    {
        var began = Stopwatch.GetTimestamp();
        var page = call.IsJson ? null : new DemoPage(call.Streams.Page);
        var demo = new Demo(Path.Combine(directory, "db"), [.. Demonstration.Demo.FileNames.Select(Demonstration.Demo.SamplePath)]);
        page?.Title();
        page?.Begin(demo);
        call.Streams.Out.Flush();
        var child = demo.Kill();
        page?.Killed(child, demo.Commits);
        var survivors = demo.Survey(child);
        page?.Survived(survivors);
        call.Streams.Out.Flush();
        var finished = demo.Finish();
        page?.Finished(survivors, finished);
        var last = demo.Check();
        page?.Checked(last);
        page?.Timeline(demo, survivors, last);
        var isGood = survivors.IsExactPrefix && finished.Differences.Count == 0 && last.IsValid;
        var time = Stopwatch.GetElapsedTime(began);
        page?.End(isGood, time, keep ? Path.Combine(directory, "db") : null);
        if (page is null)
            call.Answer("", Json(demo, child, survivors, finished, last, isGood, time, keep ? Path.Combine(directory, "db") : null));
        return isGood ? ExitCodes.Ok : ExitCodes.Damaged;
    }

    private static (string Name, Value Value)[] Json(
        Demo demo, AgentsResult child, Survivors survivors, Finished finished, Checked last, bool isGood, TimeSpan time, string? kept) =>
    [
        ("ok", isGood),
        ("commits", demo.Commits),
        ("acknowledged", child.Acknowledged),
        ("killed_exit", child.ExitCode),
        ("survived", survivors.Commits),
        ("exact_prefix", survivors.IsExactPrefix),
        ("recovery", DatabaseVerbs.Json(survivors.Recovery)),
        ("runs", Value.Array(survivors.Runs.Select(run => Value.Object(
            ("run", run.Name),
            ("id", run.Id?.ToString()),
            ("steps", run.Steps),
            ("steps_of_file", run.StepsOfFile),
            ("events", run.Events),
            ("orphaned", run.IsOrphaned),
            ("difference", run.Difference))))),
        ("resumed_commits", finished.Commits),
        ("differences", Value.Array(finished.Differences.Select(difference => (Value)difference))),
        ("verified", last.IsValid),
        ("chains", Value.Array(last.Chains.Select(chain => chain.ToValue()))),
        ("heads", Value.Object(last.Heads.Select(head => KeyValuePair.Create(head.Run, (Value)head.Hash)))),
        ("times_ms", Value.Object(
            ("agents", Show.Milliseconds(child.Time)),
            ("open", Show.Milliseconds(survivors.Time)),
            ("finish", Show.Milliseconds(finished.Time)),
            ("verify", Show.Milliseconds(last.Time)),
            ("total", Show.Milliseconds(time)))),
        ("kept", kept),
    ];
}
