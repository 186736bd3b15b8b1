using System.Globalization;
using Xunit;

namespace Cairn.Tests.Checkers;

[Trait("Promise", "G4")]
public sealed class CrashOracleTests(ITestOutputHelper output)
{
    private static IssuedCommit Acked(int id, params CrashWrite[] writes) => new(id, writes, CommitStatus.Acknowledged, (ulong)id, id * 10, (id * 10) + 5);

    private static IssuedCommit Open(int id, params CrashWrite[] writes) => new(id, writes, CommitStatus.Unacknowledged, 0, id * 10);

    private static CrashWrite W(string address, string? value) => new(address, value);

    private static CrashReport Judge(IReadOnlyList<IssuedCommit> trace, ulong required, ulong? claimed, params (string Address, string Value)[] state) =>
        CrashOracle.Judge(trace, state.ToDictionary(s => s.Address, s => s.Value), required, claimed);

    private static readonly IssuedCommit[] Trace =
    [
        Acked(1, W("a", "1"), W("b", "1")), Acked(2, W("a", "2")), Acked(3, W("b", null), W("c", "3")), Open(4, W("a", "4"), W("d", "4")),
    ];

    [Fact]
    public void Everything_acknowledged_and_nothing_else_is_an_exact_prefix()
    {
        var report = Judge(Trace, 3, null, ("a", "2"), ("c", "3"));
        Assert.Equal((CrashVerdict.ExactPrefix, 3UL), (report.Verdict, report.Sequence));
    }

    [Fact]
    public void An_unacknowledged_tail_may_be_there()
    {
        var report = Judge(Trace, 3, 4, ("a", "4"), ("c", "3"), ("d", "4"));
        Assert.Equal((CrashVerdict.ExactPrefix, 4UL), (report.Verdict, report.Sequence));
    }

    [Fact]
    public void A_missing_acknowledged_commit_is_lost()
    {
        var report = Judge(Trace, 3, null, ("a", "2"), ("b", "1"));
        Assert.Equal((CrashVerdict.LostAcknowledged, 2UL), (report.Verdict, report.Sequence));
        Assert.Contains("c3", report.Explanation, StringComparison.Ordinal);
    }

    [Fact]
    public void The_same_is_legal_where_only_synced_commits_are_promised() =>
        Assert.Equal(CrashVerdict.ExactPrefix, Judge(Trace, CrashOracle.Required(Trace, Durability.Buffered, CrashKind.PowerCut, synced: 2), null, ("a", "2"), ("b", "1")).Verdict);

    [Fact]
    public void What_is_required_follows_the_mode()
    {
        Assert.Equal(3UL, CrashOracle.Required(Trace, Durability.Strict, CrashKind.PowerCut));
        Assert.Equal(3UL, CrashOracle.Required(Trace, Durability.Buffered, CrashKind.ProcessKill));
        Assert.Equal(1UL, CrashOracle.Required(Trace, Durability.Buffered, CrashKind.PowerCut, synced: 1));
        Assert.Equal(0UL, CrashOracle.Required(Trace, Durability.InMemory, CrashKind.ProcessKill));
    }

    [Fact]
    public void A_commit_left_out_in_the_middle_is_a_hole_although_all_the_rest_is_there()
    {
        var report = Judge(Trace, 0, null, ("a", "4"), ("b", "1"), ("d", "4"));
        Assert.Equal(CrashVerdict.Hole, report.Verdict);
        Assert.Contains("c3", report.Explanation, StringComparison.Ordinal);
    }

    [Fact]
    public void Half_a_commit_is_torn()
    {
        var report = Judge(Trace, 0, null, ("a", "2"), ("c", "3"), ("d", "4"));
        Assert.Equal(CrashVerdict.Torn, report.Verdict);
        Assert.Contains("c4", report.Explanation, StringComparison.Ordinal);
    }

    [Fact]
    public void A_value_that_was_never_issued_is_alien()
    {
        Assert.Equal(CrashVerdict.Alien, Judge(Trace, 0, null, ("a", "9")).Verdict);
        var refused = new IssuedCommit(5, [W("e", "5")], CommitStatus.NeverIssued);
        var report = Judge([.. Trace, refused], 0, null, ("a", "2"), ("c", "3"), ("e", "5"));
        Assert.Equal(CrashVerdict.Alien, report.Verdict);
        Assert.Contains("c5", report.Explanation, StringComparison.Ordinal);
    }

    [Fact]
    public void An_empty_database_after_acknowledged_commits_is_lost() =>
        Assert.Equal(CrashVerdict.LostAcknowledged, Judge(Trace, 3, null).Verdict);

    [Fact]
    public void A_state_that_is_not_the_one_of_the_claimed_sequence_is_refused() =>
        Assert.Equal(CrashVerdict.NoPrefix, Judge(Trace, 0, 3, ("a", "2"), ("b", "1")).Verdict);

    [Fact]
    public void A_gap_in_the_sequences_belongs_to_an_unacknowledged_commit()
    {
        IssuedCommit[] trace = [Acked(1, W("a", "1")), Open(2, W("a", "2")), Open(3, W("b", "3")), Acked(4, W("c", "4")) with { Sequence = 3 }];
        Assert.Equal(3UL, Judge(trace, 3, null, ("a", "2"), ("c", "4")).Sequence);
        Assert.Equal(3UL, Judge(trace, 3, null, ("a", "1"), ("b", "3"), ("c", "4")).Sequence);
        Assert.Equal(4UL, Judge(trace, 3, null, ("a", "2"), ("b", "3"), ("c", "4")).Sequence);
        Assert.NotEqual(CrashVerdict.ExactPrefix, Judge(trace, 3, null, ("a", "1"), ("c", "4")).Verdict);
    }

    [Fact]
    public void A_commit_cannot_stand_before_one_that_had_returned_when_it_was_issued()
    {
        IssuedCommit[] trace = [Acked(1, W("a", "1")), Acked(3, W("a", "3")) with { Begin = 20, End = 25 }, Open(4, W("a", "4"), W("b", "4")) with { Begin = 30 }];
        Assert.NotEqual(CrashVerdict.ExactPrefix, Judge(trace, 3, null, ("a", "3"), ("b", "4")).Verdict);
    }

    [Fact]
    public void Too_many_possible_orders_are_undecided_and_not_ok()
    {
        var trace = Enumerable.Range(1, 12).Select(i => Open(i, W("a", $"{i}"), W($"k{i}", "x"))).ToArray();
        var report = CrashOracle.Judge(trace, new Dictionary<string, string> { ["a"] = "1" }, 0, stepsMax: 50_000);
        Assert.Equal(CrashVerdict.Undecided, report.Verdict);
    }

    [Fact]
    public void Random_crashes_of_a_correct_log_pass_and_each_kind_of_damage_is_caught()
    {
        var verdicts = new Dictionary<CrashVerdict, int>();
        foreach (var seed in Seeds.Take(300, output))
        {
            var random = new Random(seed);
            var (trace, synced) = RandomTrace(random);
            var n = random.Next((int)synced, trace.Count + 1);
            var good = State(trace, Enumerable.Range(0, n));
            Assert.True(CrashOracle.Judge(trace, good, synced, (ulong)n) is { Verdict: CrashVerdict.ExactPrefix }, $"seed={seed}");

            // One acknowledged commit left out; half of one; one too few.
            var victim = random.Next((int)synced);
            foreach (var bad in (Dictionary<string, string>[])
                [
                    State(trace, Enumerable.Range(0, n).Where(i => i != victim)),
                    State(trace, Enumerable.Range(0, n), torn: victim),
                    State(trace, Enumerable.Range(0, (int)synced - 1)),
                ])
            {
                if (Enumerable.Range(0, trace.Count + 1).Any(m => m >= (int)synced && Same(State(trace, Enumerable.Range(0, m)), bad)))
                    continue;                                       // overwritten since: nobody can tell
                var verdict = CrashOracle.Judge(trace, bad, synced).Verdict;
                verdicts[verdict] = verdicts.GetValueOrDefault(verdict) + 1;
                Assert.True(verdict != CrashVerdict.ExactPrefix, $"seed={seed}");
            }
        }

        output.WriteLine(string.Join(", ", verdicts.Select(v => $"{v.Key} {v.Value}")));
        Assert.True(verdicts.GetValueOrDefault(CrashVerdict.Hole) > 50);
        Assert.True(verdicts.GetValueOrDefault(CrashVerdict.Torn) > 10);
        Assert.True(verdicts.GetValueOrDefault(CrashVerdict.LostAcknowledged) > 50);
    }

    /// <summary>Up to forty commits; the last few of them unacknowledged, in an order that only the log knows.</summary>
    private static (List<IssuedCommit> Trace, ulong Synced) RandomTrace(Random random)
    {
        var count = random.Next(5, 40);
        var acked = count - random.Next(0, 4);
        var trace = new List<IssuedCommit>();
        for (var i = 1; i <= count; i++)
        {
            var writes = Enumerable.Range(0, random.Next(1, 4))
                .Select(w => W($"k{random.Next(8).ToString(CultureInfo.InvariantCulture)}", i <= acked && random.Next(5) == 0 ? null : $"{i}-{w}")).ToList();
            trace.Add(i <= acked ? Acked(i, [.. writes]) : Open(i, [.. writes]) with { Begin = acked * 10 });
        }

        return (trace, (ulong)acked);
    }

    private static Dictionary<string, string> State(List<IssuedCommit> trace, IEnumerable<int> applied, int torn = -1)
    {
        var state = new Dictionary<string, string>();
        foreach (var i in applied)
        {
            foreach (var write in trace[i].Writes.Take(i == torn ? trace[i].Writes.Count - 1 : int.MaxValue))
            {
                if (write.Value is null)
                    state.Remove(write.Address);
                else
                    state[write.Address] = write.Value;
            }
        }

        return state;
    }

    private static bool Same(Dictionary<string, string> a, Dictionary<string, string> b) => a.Count == b.Count && a.All(p => b.GetValueOrDefault(p.Key) == p.Value);
}
