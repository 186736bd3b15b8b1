using Spectre.Console;

namespace Cairn.Cli.Demonstration;

/// <summary>How a demo looks: numbered parts, lines in them, and results with a mark and the time they took.</summary>
internal abstract class NumberedPage(IAnsiConsole page)
{
    protected const int TextWidth = 84;

    /// <summary>Where a line's time ends, behind its mark.</summary>
    private const int TimeColumn = 94;

    protected static readonly Style Quiet = new(Color.Grey);
    protected static readonly Style Bad = new(Color.Red, decoration: Decoration.Bold);
    protected static readonly Style Strong = new(decoration: Decoration.Bold);
    private static readonly Style Good = new(Color.Green);

    private int _part;

    protected IAnsiConsole Page { get; } = page;

    protected void Title(string what)
    {
        Page.WriteLine();
        Page.Write(new Paragraph()
            .Append("  ▲  ", new Style(Color.Yellow))
            .Append("Cairn", Strong)
            .Append("  " + what, Quiet));
        Page.WriteLine();
        Page.WriteLine();
    }

    protected void Part(string title)
    {
        Page.WriteLine();
        Page.Write(new Paragraph().Append($"{++_part}  ", new Style(Color.Yellow)).Append(title, Strong));
        Page.WriteLine();
    }

    protected void Line(string text)
    {
        Page.Write(new PlainText("   " + text));
        Page.WriteLine();
    }

    protected void Result(bool isGood, string text, TimeSpan? time = null)
    {
        var line = new Paragraph().Append(isGood ? "   ✓ " : "   ✗ ", isGood ? Good : Bad).Append(text, isGood ? Style.Plain : Bad);
        if (time is { } known)
            line.Append(Show.Duration(known).PadLeft(Math.Max(9, TimeColumn - text.Length)), Quiet);
        Page.Write(line);
        Page.WriteLine();
    }
}
