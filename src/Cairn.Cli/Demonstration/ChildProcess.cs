using System.Diagnostics;

namespace Cairn.Cli.Demonstration;

/// <summary>The tool itself, started again with a hidden verb: the process that a demo kills.</summary>
internal static class ChildProcess
{
    /// <summary>Its output and its complaints come through pipes.</summary>
    internal static ProcessStartInfo Of(params ReadOnlySpan<string> arguments)
    {
        var start = new ProcessStartInfo(DotnetPath()) { RedirectStandardOutput = true, RedirectStandardError = true };
        start.ArgumentList.Add(Path.Combine(AppContext.BaseDirectory, "Cairn.Cli.dll"));
        foreach (var argument in arguments)
            start.ArgumentList.Add(argument);
        return start;
    }

    private static string DotnetPath()
    {
        if (Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "dotnet")
            return Environment.ProcessPath!;
        return Environment.GetEnvironmentVariable("DOTNET_HOST_PATH") is { Length: > 0 } host ? host : "dotnet";
    }
}
