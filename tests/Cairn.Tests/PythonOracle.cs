using System.Diagnostics;
using Xunit;

namespace Cairn.Tests;

/// <summary>A second opinion from Python: a script of <c>tests/oracles</c> that answers each line with a line. Tests that ask it are
/// skipped where the package is not installed.</summary>
internal sealed class PythonOracle(string package, string script)
{
    private const string Python = "/usr/bin/python3";

    private string Script => Tidy.Repository.Full($"tests/oracles/{script}");

    internal void SkipUnlessInstalled() => Assert.SkipUnless(
        IsInstalled(), $"{Python} with {package} is not installed (apt-get install python3-{package})");

    internal string[] Run(IEnumerable<string> lines, params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(Python, [Script, .. arguments])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
        })!;
        var output = process.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        foreach (var line in lines)
            process.StandardInput.WriteLine(line);
        process.StandardInput.Close();
        process.WaitForExit();
        return output.GetAwaiter().GetResult().Split('\n', StringSplitOptions.RemoveEmptyEntries);
    }

    private bool IsInstalled()
    {
        if (!File.Exists(Python) || !File.Exists(Script))
            return false;
        using var process = Process.Start(new ProcessStartInfo(Python, ["-c", $"import {package}"]) { RedirectStandardError = true })!;
        process.WaitForExit();
        return process.ExitCode == 0;
    }
}
