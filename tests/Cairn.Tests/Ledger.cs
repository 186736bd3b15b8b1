using System.Text;
using System.Text.Json;
using Xunit;

namespace Cairn.Tests;

/// <summary>What random suites did, one line of JSON each, appended to the file that CAIRN_TEST_LEDGER names: from these lines, and from
/// nothing else, docs/reliability.md is made (<c>tests/nightly</c>). Without the variable nothing is written.</summary>
internal static class Ledger
{
    private static readonly Lock Gate = new();

    private static string? File => Environment.GetEnvironmentVariable("CAIRN_TEST_LEDGER") is { Length: > 0 } path ? path : null;

    /// <param name="id">Of the suite: C1, C3, M1, ...</param>
    /// <param name="what">What was counted, in the plural: "power cuts".</param>
    /// <param name="seed">From which the suite can be run again.</param>
    /// <param name="time">For the rate.</param>
    internal static void Add(string id, string what, ulong seed, long count, TimeSpan time)
    {
        if (File is not { } path)
            return;
        var test = TestContext.Current.TestMethod is { } method ? $"{method.TestClass.TestClassSimpleName}.{method.MethodName}" : "";
        var commit = Environment.GetEnvironmentVariable("CAIRN_TEST_COMMIT") ?? "";
        var line = JsonSerializer.Serialize(new { id, what, commit, test, seed, count, seconds = Math.Round(time.TotalSeconds, 3) });
        lock (Gate)
            System.IO.File.AppendAllText(path, line + "\n", new UTF8Encoding(false));
    }
}
