using System.Text.Unicode;

namespace Cairn.Cli;

/// <summary>
/// The command line as the system has it. The runtime puts U+FFFD in the place of bytes that are not UTF-8, so that two different names
/// could become one key; where that may have happened, the bytes are looked at (ERR-8).
/// </summary>
internal static class RawArguments
{
    private const string CommandLinePath = "/proc/self/cmdline";
    private const char Replacement = '\ufffd';

    internal static bool AreText(IReadOnlyList<string> arguments)
    {
        if (!arguments.Any(argument => argument.Contains(Replacement, StringComparison.Ordinal)))
            return true;
        try
        {
            return AreText(File.ReadAllBytes(CommandLinePath), arguments);
        }
        catch (Exception unreadable) when (unreadable is IOException or UnauthorizedAccessException)
        {
            return true;                                     // no such file on this system: what the runtime gives is all there is
        }
    }

    /// <param name="commandLine">Arguments with a NUL behind each.</param>
    internal static bool AreText(ReadOnlySpan<byte> commandLine, IReadOnlyList<string> arguments) =>
        !arguments.Any(argument => argument.Contains(Replacement, StringComparison.Ordinal)) || Utf8.IsValid(commandLine);
}
