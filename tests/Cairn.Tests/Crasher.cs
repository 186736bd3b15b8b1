using System.Diagnostics;
using Xunit;

namespace Cairn.Tests;

/// <summary>A run of tests/Cairn.Crashers in a process of its own, alone or under strace.</summary>
internal sealed class Crasher : IDisposable
{
    private const int PatienceMilliseconds = 60_000;

    private readonly Process process;

    private Crasher(string program, IEnumerable<string> arguments, params ReadOnlySpan<(string Name, string Value)> environment)
    {
        var start = new ProcessStartInfo(program, arguments)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        foreach (var (name, value) in environment)
        {
            if (name.Length > 0)
                start.Environment[name] = value;
        }

        process = Process.Start(start)!;
    }

    internal int Id => process.Id;

    internal int ExitCode => process.ExitCode;

    private static string Assembly => Path.Combine(AppContext.BaseDirectory, "Cairn.Crashers.dll");

    /// <summary>Starts a verb; the caller talks to it through <see cref="ReadLine"/> and ends it.</summary>
    internal static Crasher Start(params string[] arguments) => new("dotnet", [Assembly, .. arguments]);

    /// <summary>Starts a verb in another environment, perhaps with another configuration of the runtime; a nameless variable is
    /// none.</summary>
    internal static Crasher StartIn(
        (string Name, string Value)[] environment, string? runtimeConfiguration, params string[] arguments) => new(
        "dotnet",
        ["exec", .. runtimeConfiguration is null ? [] : new[] { "--runtimeconfig", runtimeConfiguration }, Assembly, .. arguments],
        environment);

    /// <summary>Starts a verb behind another program, as `strace` or `unshare`.</summary>
    internal static Crasher StartBehind(string program, string[] options, params string[] arguments) =>
        new(program, [.. options, "dotnet", Assembly, .. arguments]);

    /// <summary>Runs a verb to its end, with system calls that fail as strace was told (`fdatasync:error=EIO:when=1`). The counter of
    /// `when` is that of a thread; the verbs work on their main thread.</summary>
    internal static (int ExitCode, string Output) RunWithFault(string fault, params string[] arguments)
    {
        SkipWithout("strace");
        var calls = fault[..fault.IndexOf(':', StringComparison.Ordinal)];
        using var crasher = StartBehind(
            "strace", ["-f", "--seccomp-bpf", "-o", "/dev/null", "-e", $"trace={calls}", "-e", $"inject={fault}"], arguments);
        return crasher.RunToEnd();
    }

    /// <summary>Skips the test, saying why, where a program is not installed.</summary>
    internal static void SkipWithout(string program)
    {
        var found = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator)
            .Any(directory => File.Exists(Path.Combine(directory, program)));
        Assert.SkipUnless(found, $"{program} is not installed");
    }

    internal (int ExitCode, string Output) RunToEnd()
    {
        process.StandardInput.Close();
        var errors = process.StandardError.ReadToEndAsync();
        var output = process.StandardOutput.ReadToEnd();
        Assert.True(process.WaitForExit(PatienceMilliseconds), "the crasher does not end");
        return (process.ExitCode, output + errors.GetAwaiter().GetResult());
    }

    /// <summary>The next line that it says; null when it has ended.</summary>
    internal string? ReadLine() => process.StandardOutput.ReadLine();

    internal void WriteLine(string line)
    {
        process.StandardInput.WriteLine(line);
        process.StandardInput.Flush();
    }

    /// <summary>SIGKILL, and the end awaited.</summary>
    internal void Kill()
    {
        process.Kill();
        Assert.True(process.WaitForExit(PatienceMilliseconds), "the crasher does not end");
    }

    /// <summary>Sends another signal by name, as STOP.</summary>
    internal void Signal(string name)
    {
        using var kill = Process.Start("kill", [$"-{name}", $"{process.Id}"]);
        kill.WaitForExit();
        Assert.Equal(0, kill.ExitCode);
    }

    public void Dispose()
    {
        if (!process.HasExited)
            Kill();
        process.Dispose();
    }
}
