using System.Globalization;
using System.Text;

namespace Cairn.Bench.Harness;

/// <summary>
/// A page of the documentation that is written part by part: a section for each part of a suite, with what it found, when, where and at
/// which commit. A part that is run again replaces its own section and leaves the others, so a run that was interrupted has
/// lost nothing, and one part can be measured anew.
/// </summary>
/// <param name="file">Under the working directory.</param>
/// <param name="parts">In the order of the page.</param>
internal sealed class PartPage(string suite, string file, IReadOnlyList<string> parts)
{
    private const string Heading = "## ";

    /// <summary>Replaces the section of a part.</summary>
    /// <param name="place">What the report had when the part began.</param>
    internal void Write(string part, Report report, (int Figures, int Ratios, int Skipped) place, TimeSpan time)
    {
        var sections = Read();
        sections[part] = Section(report, place, time);
        var page = new StringBuilder();
        page.Append(CultureInfo.InvariantCulture, $"""
            # Benchmark {suite}

            Written by `./bench {suite}`, part by part; each section says when and where. Contestants take turns within each round; a
            ratio is formed round by round. Each figure is the median of its rounds, with the least and the most beside it. A goal is
            *unsure* when its rounds straddle it.

            """);
        foreach (var name in parts.Where(sections.ContainsKey))
            page.AppendLine().Append(Heading).AppendLine(name).AppendLine().AppendLine(sections[name].Trim());
        Directory.CreateDirectory(Path.GetDirectoryName(file)!);
        File.WriteAllText(file, page.ToString());
    }

    private Dictionary<string, string> Read()
    {
        var sections = new Dictionary<string, string>(StringComparer.Ordinal);
        if (!File.Exists(file))
            return sections;
        foreach (var section in File.ReadAllText(file).Split("\n" + Heading).Skip(1))
        {
            var end = section.IndexOf('\n', StringComparison.Ordinal);
            if (end > 0 && parts.Contains(section[..end]))
                sections[section[..end]] = section[end..];
        }

        return sections;
    }

    private static string Section(Report report, (int Figures, int Ratios, int Skipped) place, TimeSpan time)
    {
        var machine = report.Machine;
        var text = new StringBuilder();
        text.AppendLine(CultureInfo.InvariantCulture, $"""
            Commit `{machine.Commit}`, {DateTime.UtcNow:yyyy-MM-dd}, {time.TotalSeconds:0} s, on {machine.Processor},
            {machine.Cores} cores, {machine.Memory}, {machine.Disk}; {machine.Kernel}; {machine.Runtime}.
            """);
        var ratios = report.Ratios.Skip(place.Ratios).ToList();
        if (ratios.Count > 0)
            text.AppendLine().AppendLine("| goal | median | goal | verdict | spread | size |").AppendLine("|---|---|---|---|---|---|");
        foreach (var ratio in ratios)
        {
            var (gate, series) = (ratio.Gate, ratio.Series);
            Row(text, gate.Name, Report.Number(series.Median), gate.Goal, Report.Word(ratio.Verdict), Page.Spread(series), ratio.Size);
        }

        text.AppendLine().AppendLine("| figure | median | unit | spread | size |").AppendLine("|---|---|---|---|---|");
        foreach (var figure in report.Figures.Skip(place.Figures))
            Row(text, figure.Name, Report.Number(figure.Series.Median), figure.Unit, Page.Spread(figure.Series), figure.Size);
        text.AppendLine();
        foreach (var skipped in report.SkippedOnes.Skip(place.Skipped))
            text.AppendLine(CultureInfo.InvariantCulture, $"- {skipped.Name} was not measured: {skipped.Reason}");
        foreach (var (name, configuration) in report.Peers)
            text.AppendLine(CultureInfo.InvariantCulture, $"- {name}: {configuration}");
        return text.ToString();
    }

    private static void Row(StringBuilder text, params ReadOnlySpan<string> cells) =>
        text.Append("| ").AppendJoin(" | ", cells).AppendLine(" |");
}
