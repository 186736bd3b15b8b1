using System.Globalization;
using System.Text;

namespace Cairn.Bench.Harness;

/// <summary>A full run as a page of the documentation: what ran where, then goals, then every figure.</summary>
internal static class Page
{
    internal static void Write(Report report, string title, string file)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(file)!);
        File.WriteAllText(file, Text(report, title));
    }

    private static string Text(Report report, string title)
    {
        var machine = report.Machine;
        var page = new StringBuilder();
        page.Append(CultureInfo.InvariantCulture, $"""
            # {title}

            Written by `{report.Options.Command}` at commit `{machine.Commit}`, {DateTime.UtcNow:yyyy-MM-dd}, on {machine.Processor},
            {machine.Cores} cores, {machine.Memory}, {machine.Disk}; {machine.Kernel}; {machine.Runtime}.
            Contestants take turns within each round; a ratio is formed round by round. Each figure is the median of its rounds, with
            the least and the most beside it. A goal is *unsure* when its rounds straddle it.

            ## Goals

            | name | median | goal | verdict | spread | size |
            |---|---|---|---|---|---|

            """);
        foreach (var ratio in report.Ratios)
        {
            var series = ratio.Series;
            Row(page, ratio.Gate.Name, Report.Number(series.Median), ratio.Gate.Goal, Report.Word(ratio.Verdict), Spread(series), ratio.Size);
        }

        page.AppendLine().AppendLine("## Figures").AppendLine();
        page.AppendLine("| name | median | unit | spread | size |").AppendLine("|---|---|---|---|---|");
        foreach (var figure in report.Figures)
        {
            var series = figure.Series;
            Row(page, figure.Name, Report.Number(series.Median), figure.Unit, Spread(series), figure.Size);
        }

        page.AppendLine().AppendLine("## Peers").AppendLine();
        foreach (var (name, configuration) in report.Peers)
            page.AppendLine(CultureInfo.InvariantCulture, $"- {name}: {configuration}");
        if (report.SkippedOnes.Count != 0)
            page.AppendLine().AppendLine("## Skipped").AppendLine();
        foreach (var skipped in report.SkippedOnes)
            page.AppendLine(CultureInfo.InvariantCulture, $"- {skipped.Name}: {skipped.Reason}");
        return page.ToString();
    }

    private static void Row(StringBuilder page, params ReadOnlySpan<string> cells) =>
        page.Append("| ").AppendJoin(" | ", cells).AppendLine(" |");

    internal static string Spread(Series series) =>
        $"{Report.Number(series.Least)} to {Report.Number(series.Most)} in {series.Rounds.Count}";
}
