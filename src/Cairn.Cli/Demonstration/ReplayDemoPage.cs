using Spectre.Console;

namespace Cairn.Cli.Demonstration;

/// <summary>The replay demo for people.</summary>
internal sealed class ReplayDemoPage(IAnsiConsole page) : NumberedPage(page)
{
    internal void Title() => Title("what an agent did, can be read, compared and done again");

    internal void Imported(Imported found)
    {
        Part("Three recorded agents, one task: what models and tools said are inputs of their runs");
        foreach (var agent in found.Agents)
            Line($"{agent.Name,-36} {agent.Steps} steps, {agent.Commits} commits, {agent.Inputs} recorded inputs");
        Result(true, "imported", found.Time);
    }

    internal void Timeline(Timeline found)
    {
        Part($"Timeline of {found.Name}");
        foreach (var commit in found.Commits)
        {
            var who = commit.Tool.Length > 0 ? commit.Tool : commit.Source.Length > 0 ? commit.Source : "-";
            Page.Write(new Paragraph()
                .Append($"   {commit.Number,3}  {commit.Sequence,-5} ", Quiet)
                .Append($"{who,-13} ", commit.Source == "model" ? Strong : Style.Plain)
                .Append(DemoPage.FirstLine(commit.Text, TextWidth - 25)));
            Page.WriteLine();
        }

        Result(true, $"{found.Commits.Count} commits, made again one by one from the records of the run", found.Time);
    }

    internal void Compared(ComparedAgents found)
    {
        Part("Diff by action: thoughts, times and generated ids make no difference");
        foreach (var pair in found.Pairs)
        {
            Line($"{pair.A} and {pair.B}");
            if (pair.Step is not { } step)
            {
                Line($"   the same {pair.Common} actions");
                continue;
            }

            Line($"   part at step {step}, behind {pair.Common} in common; {pair.Differing} actions differ");
            Line($"   - {DemoPage.FirstLine(pair.ActionA ?? "(nothing more)", TextWidth - 8)}");
            Line($"   + {DemoPage.FirstLine(pair.ActionB ?? "(nothing more)", TextWidth - 8)}");
        }

        Result(found.IsAsKnown, found.IsAsKnown ? "where they part is found" : "NOT what these files hold", found.Time);
    }

    internal void Asked(WhatIf found)
    {
        Part($"What if '{DemoPage.FirstLine(found.Action, 30)}' at step {ReplayDemo.WhatIfStep} had answered otherwise?");
        Line($"recorded {Quoted(found.Observed)}, now {Quoted(ReplayDemo.WhatIfObservation)}");
        Line($"a fork at {found.ForkedAt}: the first {found.Common} actions and observations stand, input {found.Ordinal} is another one");
        Result(
            found.IsPinpointed,
            found.IsPinpointed
                ? $"what it changes first: the question to the model at step {found.Step}, input {found.DivergedAt}"
                : $"NOT found where it is: input {found.DivergedAt}",
            found.Time);
        Line($"   {found.Difference}");
    }

    internal void Replayed(Replayed found)
    {
        Part("Do it again, with no model and no tools; and prove it");
        foreach (var run in found.Runs)
        {
            Line(run.Name);
            Result(run.IsSame && run.Live == 0, $"{run.Used} inputs from the recording, {run.Live} live; nothing it wrote differs");
            Result(
                run.Proof.IsEqual && run.IsHash,
                $"state from its records {run.Proof.StateHash.ToString()[..16]}... {(run.Proof.IsEqual ? "is the run's own" : "DIFFERS")}");
        }

        Result(found.Runs.All(run => run.IsGood), "every run replayed", found.Time);
    }

    internal void End(bool isGood, TimeSpan time, string? kept)
    {
        Page.WriteLine();
        Result(
            isGood, isGood ? "The same runs, read, compared, changed and done again." : "The demo FAILED: please report what you see.",
            time);
        Line(kept is not null
            ? $"kept: cairn run timeline {Path.GetFileNameWithoutExtension(ReplayDemo.FileNames[0])} --db {kept}"
            : "Look around in it: cairn demo replay --keep");
        Page.WriteLine();
    }

    private static string Quoted(string text) => $"'{DemoPage.FirstLine(text, 30)}'";
}
