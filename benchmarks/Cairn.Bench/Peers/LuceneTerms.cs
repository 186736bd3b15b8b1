using System.Diagnostics;
using System.Globalization;

namespace Cairn.Bench.Peers;

/// <summary>Lucene 8.7 over given terms, in a process of its own: tests/oracles/LuceneSearch.java. It times itself.</summary>
internal sealed class LuceneTerms : IDisposable
{
    private const string Jars = "/usr/share/java";
    private const string Java = "/usr/bin/java";

    private readonly Process _process;

    internal LuceneTerms()
    {
        var start = new ProcessStartInfo(Java) { RedirectStandardInput = true, RedirectStandardOutput = true };
        foreach (var argument in new[] { "-cp", Jars + "/*", Path.Combine("tests", "oracles", "LuceneSearch.java") })
            start.ArgumentList.Add(argument);
        _process = Process.Start(start)!;
    }

    internal static string? Missing { get; } =
        File.Exists(Java) && Directory.Exists(Jars) && Directory.EnumerateFiles(Jars, "lucene-core-*.jar").Any()
            ? null : "java with Lucene is not installed (apt-get install openjdk-17-jdk-headless liblucene8-java)";

    /// <summary>Documents a second.</summary>
    internal double Index(IEnumerable<string> documents)
    {
        var count = 0;
        foreach (var document in documents)
        {
            _process.StandardInput.WriteLine("D " + document);
            count++;
        }

        _process.StandardInput.WriteLine("C");
        _process.StandardInput.Flush();
        return count / (Numbers()[1] / 1_000.0);
    }

    internal void Ask(IEnumerable<string> queries)
    {
        foreach (var query in queries)
        {
            _process.StandardInput.WriteLine("Q 10 " + query);
            _process.StandardInput.Flush();
            _process.StandardOutput.ReadLine();
        }
    }

    /// <summary>Queries a second, all that were asked once more.</summary>
    internal double Time()
    {
        _process.StandardInput.WriteLine("T 10 1");
        _process.StandardInput.Flush();
        var numbers = Numbers();
        return numbers[0] / (numbers[1] / 1e9);
    }

    public void Dispose()
    {
        _process.StandardInput.Close();
        _process.WaitForExit();
        _process.Dispose();
    }

    private List<long> Numbers() => [.. _process.StandardOutput.ReadLine()!.Split(' ')[1..]
        .Select(number => long.Parse(number, CultureInfo.InvariantCulture))];
}
