using System.CommandLine;
using System.Diagnostics;
using Cairn.Cli.Demonstration;

namespace Cairn.Cli.Verbs;

/// <summary><c>cairn demo replay</c>.</summary>
internal static class ReplayDemoVerbs
{
    internal static Verb Demo()
    {
        var keep = new Option<bool>("--keep") { Description = "Keeps the directory and says where it is." };
        return new Verb(
            "replay", "Shows what can be done with the past of a run, on three recorded agents that solve one task: timeline, diff "
                + "by action, what if, replay with its proof. Some seconds.",
            "cairn demo replay", Needs.Nothing,
            call => DemoVerbs.InDirectory(call.Get(keep), (directory, isKept) => Run(call, Path.Combine(directory, "db"), isKept)),
            keep);
    }

    private static int Run(Call call, string directory, bool keep)
    {
        var began = Stopwatch.GetTimestamp();
        var page = call.IsJson ? null : new ReplayDemoPage(call.Streams.Page);
        using var database = CairnDatabase.Open(directory);
        var demo = new ReplayDemo(database);
        page?.Title();
        var imported = demo.Import();
        page?.Imported(imported);
        var timeline = demo.Timeline();
        page?.Timeline(timeline);
        call.Streams.Out.Flush();
        var compared = demo.Compare();
        page?.Compared(compared);
        var whatIf = demo.AskWhatIf();
        page?.Asked(whatIf);
        call.Streams.Out.Flush();
        var replayed = demo.Replay();
        page?.Replayed(replayed);
        var isGood = compared.IsAsKnown && whatIf.IsPinpointed && replayed.Runs.All(run => run.IsGood);
        var time = Stopwatch.GetElapsedTime(began);
        page?.End(isGood, time, keep ? directory : null);
        if (page is null)
            call.Answer("", Json(imported, timeline, compared, whatIf, replayed, isGood, time, keep ? directory : null));
        return isGood ? ExitCodes.Ok : ExitCodes.Damaged;
    }

    private static (string Name, Value Value)[] Json(
        Imported imported, Timeline timeline, ComparedAgents compared, WhatIf whatIf, Replayed replayed, bool isGood, TimeSpan time,
        string? kept) =>
    [
        ("ok", isGood),
        ("runs", Value.Array(imported.Agents.Select(agent => Value.Object(
            ("run", agent.Name), ("id", agent.Id.ToString()), ("steps", agent.Steps), ("commits", agent.Commits),
            ("inputs", agent.Inputs))))),
        ("timeline", Value.Object(
            ("run", timeline.Name),
            ("commits", Value.Array(timeline.Commits.Select(commit => Value.Object(
                ("step", commit.Number), ("sequence", Failures.Number(commit.Sequence)), ("source", commit.Source), ("tool", commit.Tool),
                ("changes", commit.Changes))))))),
        ("diffs", Value.Array(compared.Pairs.Select(pair => Value.Object(
            ("a", pair.A), ("b", pair.B), ("common", pair.Common), ("differing", pair.Differing), ("step", Of(pair.Step)),
            ("action_a", pair.ActionA), ("action_b", pair.ActionB))))),
        ("what_if", Value.Object(
            ("run", whatIf.Name), ("forked_at", Failures.Number(whatIf.ForkedAt)), ("input", whatIf.Ordinal),
            ("diverged_at", Of(whatIf.DivergedAt)), ("step", Of(whatIf.Step)),
            ("difference", whatIf.Difference), ("common", whatIf.Common))),
        ("replays", Value.Array(replayed.Runs.Select(run => Value.Object(
            ("run", run.Name), ("used", run.Used), ("live", run.Live), ("same", run.IsSame),
            ("state_hash", run.Proof.StateHash.ToString()), ("expected", run.Proof.Expected.ToString()), ("equal", run.Proof.IsEqual))))),
        ("times_ms", Value.Object(
            ("import", Show.Milliseconds(imported.Time)),
            ("timeline", Show.Milliseconds(timeline.Time)),
            ("diff", Show.Milliseconds(compared.Time)),
            ("what_if", Show.Milliseconds(whatIf.Time)),
            ("replay", Show.Milliseconds(replayed.Time)),
            ("total", Show.Milliseconds(time)))),
        ("kept", kept),
    ];

    private static Value Of(long? number) => number is { } known ? known : Value.Null;
}
