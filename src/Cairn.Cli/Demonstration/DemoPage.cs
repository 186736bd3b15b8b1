using Spectre.Console;

namespace Cairn.Cli.Demonstration;

/// <summary>The demo for people: numbered parts, each with what happens, what was found, and how long it took.</summary>
internal sealed class DemoPage(IAnsiConsole page) : NumberedPage(page)
{
    internal void Title() => Title("memory for AI agents that a crash cannot take");

    internal void Begin(Demo demo)
    {
        Part("Two agents at work, in a process of their own");
        foreach (var source in demo.Sources)
            Line($"{source.Name,-36} {source.Steps.Count} steps, each one commit: events, traces, state");
        Line($"Strict: a commit is on the device before it is acknowledged. {demo.Commits} commits in all.");
    }

    internal void Killed(AgentsResult child, int commits)
    {
        Result(true,
            $"{child.Acknowledged} of {commits} commits acknowledged, then SIGKILL to process {child.Pid} (exit code {child.ExitCode})",
            child.Time);
    }

    internal void Survived(Survivors found)
    {
        Part("Open the directory again");
        var recovery = found.Recovery;
        Line($"recovered {recovery.Transactions} transactions from {Show.Bytes(recovery.Bytes)} of log"
            + (recovery.Cut is { } cut ? $"; cut {cut.Bytes} bytes that were never acknowledged" : "; nothing had to be cut"));
        var more = found.Commits - found.Child.Acknowledged;
        Line(more == 0
            ? $"acknowledged {found.Child.Acknowledged}, survived {found.Commits}"
            : $"acknowledged {found.Child.Acknowledged}, survived {found.Commits}: {more} on the device whose answer the kill cut off");
        foreach (var run in found.Runs)
        {
            Result(
                run.Difference is null,
                run.Difference is null
                    ? $"{run.Name,-36} {run.Steps,2} of {run.StepsOfFile} steps, {run.Events} events: exactly the first {run.Steps}"
                    : $"{run.Name}: {run.Difference}");
        }

        Result(found.IsExactPrefix,
            found.IsExactPrefix ? "all that was acknowledged, nothing half" : "NOT a prefix of what was acknowledged", found.Time);
    }

    internal void Finished(Survivors before, Finished found)
    {
        Part("Adopt the orphans and finish");
        foreach (var run in before.Runs.Where(run => run.IsOrphaned))
            Line($"orphaned: {run.Name,-36} {run.Id}");
        foreach (var difference in found.Differences)
            Result(false, difference);
        Result(found.Differences.Count == 0,
            $"went on at the next step: {found.Commits} more commits; both runs are complete, as in their files", found.Time);
    }

    internal void Checked(Checked found)
    {
        Part("Verify");
        Result(found.Log.IsValid, found.Log.Damage?.Message ?? $"log: {found.Log.Records} records, every checksum is right");
        foreach (var (run, hash) in found.Heads)
            Line($"{run,-36} head {hash[..16]}...");
        Result(found.IsValid, string.Join(", ",
            found.Chains.Select(chain => $"{chain.Found.Length} events")) + ": every hash in both chains is right", found.Time);
    }

    internal void Timeline(Demo demo, Survivors before, Checked found)
    {
        Page.WriteLine();
        var name = demo.Sources[0].Name;
        var tree = new Tree(new PlainText(name, Strong)) { Style = Quiet, Guide = TreeGuide.Line };
        var isAfter = false;
        foreach (var step in found.Timeline)
        {
            if (!isAfter && step.Sequence > before.Sequence)
            {
                tree.AddNode(new PlainText(
                    $"✗ process {before.Child.Pid} was killed here; what follows was written by another opening", Bad));
                isAfter = true;
            }

            var node = tree.AddNode(Columns(step.Number.ToString(), FirstLine(step.Action, TextWidth - 6), Strong));
            if (step.Thought.Length > 0)
                node.AddNode(new PlainText(FirstLine(step.Thought, TextWidth - 4), Quiet));
        }

        Page.Write(tree);
        Page.WriteLine();
        var width = found.Final.Max(line => line.Name.Length);
        foreach (var (key, value) in found.Final)
        {
            Page.Write(new Paragraph().Append("   " + key.PadRight(width + 2), Quiet).Append(Brief(value)));
            Page.WriteLine();
        }
    }

    internal void End(bool isGood, TimeSpan time, string? kept)
    {
        Page.WriteLine();
        Result(isGood, isGood ? "Nothing that was acknowledged was lost." : "The demo FAILED: please report what you see above.", time);
        Page.Write(new PlainText("   A kill is the crash that can be shown here. Power loss is simulated by the tests: ./test", Quiet));
        Page.WriteLine();
        Line(kept is not null
            ? $"kept: cairn run list --db {kept}"
            : "Look around in it: cairn demo --keep. Begin your own: cairn kv put customer Ada");
        Page.WriteLine();
    }

    private static Paragraph Columns(string number, string text, Style style) =>
        new Paragraph().Append($"{number,-4} ", Quiet).Append(text, style);

    // All of it, or how long it is.
    private static string Brief(string value) => value.Length <= TextWidth - 30 && !value.Contains('\n', StringComparison.Ordinal)
        ? Streams.OneLine(value)
        : $"({Show.Number(value.Length)} characters)";

    /// <summary>The first line, cut to a width, with a mark where something was left out.</summary>
    internal static string FirstLine(string text, int width)
    {
        var trimmed = text.Trim();
        var line = Streams.OneLine(trimmed.Split('\n', 2)[0].TrimEnd('\r'));
        if (line.Length > width)
            return line[..(width - 1)].TrimEnd() + "…";
        return trimmed.Contains('\n', StringComparison.Ordinal) ? line + " …" : line;
    }
}
