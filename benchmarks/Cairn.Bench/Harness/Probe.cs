using System.Diagnostics;
using System.Globalization;

namespace Cairn.Bench.Harness;

/// <summary>
/// A measurement in a process of its own, whose memory and collector nothing else has touched. The benchmark starts itself with
/// the verb <see cref="Verb"/>; the child prints its figures as numbers on one line.
/// </summary>
internal static class Probe
{
    internal const string Verb = "--probe";

    /// <summary>Runs a probe in a child process and returns the figures it answers.</summary>
    internal static double[] Ask(params string[] arguments)
    {
        var program = Environment.ProcessPath!;
        var start = new ProcessStartInfo(program) { RedirectStandardOutput = true };
        if (Path.GetFileNameWithoutExtension(program) == "dotnet")
            start.ArgumentList.Add(typeof(Probe).Assembly.Location);
        start.ArgumentList.Add(Verb);
        foreach (var argument in arguments)
            start.ArgumentList.Add(argument);
        using var child = Process.Start(start)!;
        var answer = child.StandardOutput.ReadToEnd();
        child.WaitForExit();
        if (child.ExitCode != 0)
            throw new InvalidOperationException($"The probe {string.Join(' ', arguments)} failed with {child.ExitCode}.");
        return Array.ConvertAll(answer.Trim().Split(' '), number => double.Parse(number, CultureInfo.InvariantCulture));
    }

    /// <summary>In the child: answers and nothing more.</summary>
    internal static void Answer(params ReadOnlySpan<double> figures)
    {
        var numbers = new List<string>();
        foreach (var figure in figures)
            numbers.Add(figure.ToString("R", CultureInfo.InvariantCulture));
        Console.WriteLine(string.Join(' ', numbers));
    }
}
