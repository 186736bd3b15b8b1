// Two judges for workloads whose rule is so simple that no inference is needed.
namespace Cairn.Tests.Checkers;

/// <summary>Bank: transfers never change the sum, so every snapshot of all accounts has it.</summary>
public static class Bank
{
    /// <param name="reads">Each: all accounts as one transaction or snapshot saw them.</param>
    /// <returns>One line for each read with another sum or another number of accounts.</returns>
    public static IReadOnlyList<string> Check(IEnumerable<IReadOnlyDictionary<string, long>> reads, int accounts, long sum)
    {
        var findings = new List<string>();
        foreach (var read in reads)
        {
            var total = read.Values.Sum();
            if (read.Count != accounts || total != sum)
                findings.Add($"{read.Count} accounts with {total} in all instead of {accounts} with {sum}: {string.Join(", ", read.OrderBy(a => a.Key, StringComparer.Ordinal).Select(a => $"{a.Key}={a.Value}"))}");
        }

        return findings;
    }
}

/// <summary>Long fork: each key is written once, by a transaction of its own; each read covers all keys of a group. Then the sets
/// that the reads saw must form a chain; two of which neither contains the other saw the writes in two orders.</summary>
public static class LongFork
{
    /// <param name="reads">Each: the keys of one group that were present.</param>
    public static IReadOnlyList<string> Check(IEnumerable<IReadOnlyCollection<string>> reads)
    {
        var findings = new List<string>();
        IReadOnlyCollection<string> before = [];
        foreach (var read in reads.OrderBy(r => r.Count))
        {
            if (before.Except(read).Any())
                findings.Add($"one read saw {{{string.Join(", ", before)}}}, another {{{string.Join(", ", read)}}}");
            else
                before = read;
        }

        return findings;
    }
}
