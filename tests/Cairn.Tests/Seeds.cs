using System.Globalization;
using Cairn.Tests.Tidy;
using Xunit;

namespace Cairn.Tests;

/// <summary>Where random tests get their seeds: printed first, taken from CAIRN_TEST_SEED when it is set (./test sim SEED), and
/// multiplied in number by CAIRN_TEST_SCALE (./test nightly).</summary>
internal static class Seeds
{
    /// <summary>The seed of this run of a test; printed, so that it can be run again.</summary>
    internal static ulong Begin(string test)
    {
        var text = Environment.GetEnvironmentVariable("CAIRN_TEST_SEED");
        var seed = text is { Length: > 0 }
            ? ulong.Parse(text, CultureInfo.InvariantCulture)
            : BitConverter.ToUInt64(Guid.NewGuid().ToByteArray()) >> 16;
        TestContext.Current.TestOutputHelper?.WriteLine($"seed={seed} test={test}");
        return seed;
    }

    /// <summary>The seeds 1, 2, ... of a test that always runs the same ones; or the one seed that was asked for.</summary>
    internal static IEnumerable<int> Take(int count, ITestOutputHelper output)
    {
        var text = Environment.GetEnvironmentVariable("CAIRN_TEST_SEED");
        var only = text is { Length: > 0 } ? unchecked((int)ulong.Parse(text, CultureInfo.InvariantCulture)) : (int?)null;
        foreach (var seed in only is { } asked ? [asked] : Enumerable.Range(1, count))
        {
            output.WriteLine($"seed={seed}");
            yield return seed;
        }
    }

    /// <summary>Seeds that once found something, from <c>tests/Seeds</c>: they run at every merge. The file is named for the test; a line
    /// is a seed and what it found.</summary>
    internal static IEnumerable<ulong> Kept(string test) => File.ReadLines(Repository.Full($"tests/Seeds/{test}.txt"))
        .Where(line => line.Length > 0 && line[0] != '#')
        .Select(line => ulong.Parse(line.Split(' ')[0], CultureInfo.InvariantCulture));

    /// <summary>How many times to do something whose number at a merge is <paramref name="count"/>.</summary>
    internal static int Scaled(int count)
    {
        var text = Environment.GetEnvironmentVariable("CAIRN_TEST_SCALE");
        return text is { Length: > 0 } ? checked(count * int.Parse(text, CultureInfo.InvariantCulture)) : count;
    }
}
