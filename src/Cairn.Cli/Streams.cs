using System.Globalization;
using System.Text;
using Spectre.Console;

namespace Cairn.Cli;

/// <summary>Where one call of the tool reads and writes. A terminal gets tables and colours, everything else plain lines.</summary>
internal sealed class Streams(TextWriter output, TextWriter error, TextReader input)
{
    /// <summary>Width of pages that are not written to a terminal, and of help and trees on one.</summary>
    internal const int PageWidth = 100;

    private IAnsiConsole? _page;

    internal TextWriter Out { get; } = output;

    internal TextWriter Error { get; } = error;

    internal TextReader In { get; } = input;

    internal bool IsTerminal { get; init; }

    internal static bool StandardOutputIsTerminal => !Console.IsOutputRedirected && Environment.GetEnvironmentVariable("TERM") != "dumb";

    /// <summary>For pages with trees, rules and colours; without control sequences unless it is a terminal that wants them.</summary>
    internal IAnsiConsole Page => _page ??= MakePage();

    /// <summary>The whole standard input, if it is not longer than that.</summary>
    internal string ReadAll(int charsMax)
    {
        var text = new StringBuilder();
        var buffer = new char[1 << 16];
        for (int read; (read = In.Read(buffer)) > 0;)
        {
            if (text.Length + (long)read > charsMax)
                throw RefusedException.Limit("InputCharsMax", charsMax, text.Length + (long)read, "characters of standard input");
            text.Append(buffer, 0, read);
        }

        return text.ToString();
    }

    private IAnsiConsole MakePage()
    {
        var colours = IsTerminal && string.IsNullOrEmpty(Environment.GetEnvironmentVariable("NO_COLOR"));
        var console = AnsiConsole.Create(new AnsiConsoleSettings
        {
            Ansi = IsTerminal ? AnsiSupport.Yes : AnsiSupport.No,
            ColorSystem = colours ? ColorSystemSupport.Standard : ColorSystemSupport.NoColors,
            Interactive = IsTerminal ? InteractionSupport.Yes : InteractionSupport.No,
            Out = new AnsiConsoleOutput(Out),
        });
        console.Profile.Width = IsTerminal ? Math.Max(40, TerminalWidth()) : PageWidth;
        console.Profile.Capabilities.Unicode = true;
        console.Profile.Capabilities.Links = false;
        return console;
    }

    private static int TerminalWidth()
    {
        try
        {
            return Console.WindowWidth is > 0 and var width ? width : PageWidth;
        }
        catch (IOException)
        {
            return PageWidth;
        }
    }

    /// <summary>Text that cannot move the cursor or break a line of a table: control characters are shown as escapes.</summary>
    internal static string OneLine(string text)
    {
        if (!text.Any(char.IsControl) && !text.Contains('\\', StringComparison.Ordinal))
            return text;
        return string.Concat(text.Select(c => c switch
        {
            '\n' => "\\n",
            '\r' => "\\r",
            '\t' => "\\t",
            '\\' => "\\\\",
            _ when char.IsControl(c) => string.Create(CultureInfo.InvariantCulture, $"\\x{(int)c:X2}"),
            _ => c.ToString(),
        }));
    }
}
