using System.Diagnostics;
using Xunit;

namespace Cairn.Tests.Checkers;

[Trait("Promise", "G8")]
public sealed class SerializabilityTests(ITestOutputHelper output)
{
    private static readonly IsolationLevel[] Levels = [IsolationLevel.Serializable, IsolationLevel.Snapshot];

    // Transactions that all overlap, so that only what they saw orders them.
    private static TransactionTrace T(int id, params Access[] accesses) => new(id, id, id, 1_000 + id, TransactionEnd.Committed, 0, accesses);

    private static ListRead R(string key, params long[] values) => new ListRead(key, values);

    private static ListAppend A(string key, long value) => new ListAppend(key, value);

    private static RegisterRead Get(string key, long? value) => new RegisterRead(key, value);

    private static RegisterWrite Put(string key, long? value) => new RegisterWrite(key, value);

    private static RangeRead Scan(params (string Key, long Value)[] pairs) => new RangeRead("a", "z", [.. pairs.Select(p => new RegisterRead(p.Key, p.Value))]);

    private static void Caught(Anomaly anomaly, params TransactionTrace[] history)
    {
        var report = Serializability.Check(history);
        Assert.True(report.Has(anomaly), $"{anomaly} is not among: {string.Join("\n", report.Findings)}");
        Assert.Contains(report.Violations(IsolationLevel.Serializable), f => f.Anomaly == anomaly);
        Assert.Equal(!Serializability.Allows(IsolationLevel.Snapshot, anomaly), report.Violations(IsolationLevel.Snapshot).Count > 0);
    }

    private static void Passes(params TransactionTrace[] history) =>
        Assert.Empty(Serializability.Check(history).Findings);

    [Fact]
    public void A_serial_history_passes() => Passes(
        T(1, A("x", 1), Put("r", 1)),
        T(2, R("x", 1), A("x", 2), R("x", 1, 2)) with { Begin = 2_000, End = 2_001 },
        T(3, R("x", 1, 2), Get("r", 1), Put("r", null), Get("r", null)) with { Begin = 3_000, End = 3_001 },
        T(4, Get("r", null), Scan()) with { Begin = 4_000, End = 4_001 });

    [Fact]
    public void A_write_cycle_is_G0() => Caught(
        Anomaly.G0, T(1, A("x", 1), A("y", 1)), T(2, A("x", 2), A("y", 2)), T(3, R("x", 1, 2), R("y", 2, 1)));

    [Fact]
    public void A_read_of_an_aborted_write_is_G1a()
    {
        Caught(Anomaly.G1a, T(1, A("x", 1)) with { Status = TransactionEnd.Aborted }, T(2, R("x", 1)));
        Caught(Anomaly.G1a, T(1, Put("x", 1)) with { Status = TransactionEnd.Aborted }, T(2, Get("x", 1)));
        Caught(Anomaly.G1a, T(1, Put("x", 1)) with { Status = TransactionEnd.Aborted }, T(2, Scan(("x", 1))));
    }

    [Fact]
    public void A_read_of_an_intermediate_write_is_G1b()
    {
        Caught(Anomaly.G1b, T(1, A("x", 1), A("x", 2)), T(2, R("x", 1)));
        Caught(Anomaly.G1b, T(1, Put("x", 1), Put("x", 2)), T(2, Get("x", 1)));
    }

    [Fact]
    public void Information_that_flows_in_a_circle_is_G1c()
    {
        Caught(Anomaly.G1c, T(1, A("x", 1), R("y", 2)), T(2, A("y", 2), R("x", 1)));
        Caught(Anomaly.G1c, T(1, Put("x", 1), Get("y", 2)), T(2, Put("y", 2), Get("x", 1)));
    }

    [Fact]
    public void Two_updates_of_one_version_are_a_lost_update()
    {
        Caught(Anomaly.LostUpdate, T(1, R("x"), A("x", 1)), T(2, R("x"), A("x", 2)), T(3, R("x", 2)));
        Caught(Anomaly.LostUpdate,
            T(1, Put("x", 1)) with { Sequence = 1 }, T(2, Get("x", 1), Put("x", 2)) with { Sequence = 2 }, T(3, Get("x", 1), Put("x", 3)) with { Sequence = 3 });
    }

    [Fact]
    public void A_committed_write_on_an_aborted_one_is_a_dirty_update()
    {
        Caught(Anomaly.DirtyUpdate, T(1, A("x", 1)) with { Status = TransactionEnd.Aborted }, T(2, A("x", 2)), T(3, R("x", 1, 2)));
        Caught(Anomaly.DirtyUpdate, T(1, Put("x", 1)) with { Status = TransactionEnd.Aborted }, T(2, Get("x", 1), Put("x", 2)));
    }

    [Fact]
    public void A_transaction_that_disagrees_with_itself_is_internal()
    {
        Caught(Anomaly.Internal, T(1, A("x", 1), R("x")));
        Caught(Anomaly.Internal, T(1, Put("x", 1), Get("x", null)));
        Caught(Anomaly.Internal, T(1, Put("x", 1), Scan()));
        Caught(Anomaly.Internal, T(1, Put("x", null), Scan(("x", 2))), T(2, Put("x", 2)));
        Caught(Anomaly.Internal, T(1, Scan(), Get("x", 2)), T(2, Put("x", 2)));
    }

    [Fact]
    public void One_anti_dependency_in_a_cycle_is_G_single()
    {
        Caught(Anomaly.GSingle, T(1, R("x"), R("y", 1)), T(2, A("x", 1), A("y", 1)), T(3, R("x", 1)));
        Caught(Anomaly.GSingle, T(1, Get("x", null), Get("y", 1)), T(2, Put("x", 2), Put("y", 1)));
        Caught(Anomaly.GSingle, T(1, Scan(("y", 1))), T(2, Put("x", 2), Put("y", 1)));
    }

    [Fact]
    public void A_skew_that_only_a_blind_write_closes_is_apart_because_blind_writes_never_conflict() => Caught(
        Anomaly.GSingleBlind,
        T(1, Get("x", null), Put("y", 1)) with { Sequence = 2 }, T(2, Put("x", 2), Put("y", 2)) with { Sequence = 1 });

    [Fact]
    public void A_read_that_misses_what_had_returned_before_is_G_single_by_real_time() => Caught(
        Anomaly.GSingle, T(1, A("x", 1)) with { End = 10 }, T(2, R("x")) with { Begin = 20 });

    [Fact]
    public void Two_snapshots_that_no_order_explains_are_a_long_fork() => Caught(
        Anomaly.GNonadjacent, T(1, Put("x", 1)), T(2, Put("y", 2)), T(3, Get("x", 1), Get("y", null)), T(4, Get("x", null), Get("y", 2)));

    [Fact]
    public void Write_skew_is_G2_item_and_Snapshot_may_do_it()
    {
        Caught(Anomaly.G2Item, T(1, R("x"), A("y", 1)), T(2, R("y"), A("x", 2)), T(3, R("x", 2), R("y", 1)));
        Caught(Anomaly.G2Item, T(1, Get("x", null), Put("y", 1)), T(2, Get("y", null), Put("x", 2)));
    }

    [Fact]
    public void Write_skew_by_phantoms_is_G2_and_Snapshot_may_do_it() => Caught(
        Anomaly.G2, T(1, Scan(), Put("x", 1)), T(2, Scan(), Put("y", 2)));

    [Fact]
    public void A_value_from_nowhere_is_garbage() => Caught(Anomaly.Garbage, T(1, Get("x", 9)), T(2, R("l", 4)));

    [Fact]
    public void A_value_twice_in_a_list_is_a_duplicate() => Caught(Anomaly.Duplicate, T(1, A("x", 1)), T(2, R("x", 1, 1)));

    [Fact]
    public void Two_reads_of_which_neither_is_a_prefix_are_incompatible() => Caught(
        Anomaly.IncompatibleOrder, T(1, A("x", 1)), T(2, A("x", 2)), T(3, R("x", 1, 2)), T(4, R("x", 2, 1)));

    [Fact]
    public void A_dependency_against_the_sequences_is_caught() => Caught(
        Anomaly.SequenceOrder, T(1, A("x", 1)) with { Sequence = 2 }, T(2, R("x", 1), A("y", 2)) with { Sequence = 1 });

    [Fact]
    public void A_writer_that_was_not_validated_is_caught_even_without_a_cycle() => Caught(
        Anomaly.StaleValidation,
        T(1, Put("x", 1)) with { Sequence = 1 }, T(2, Get("x", null), Put("y", 2)) with { Sequence = 2 });

    [Fact]
    public void An_unknown_transaction_counts_from_the_moment_it_is_seen()
    {
        var lost = T(1, Put("x", 1), Put("y", 1)) with { Status = TransactionEnd.Unknown, End = long.MaxValue };
        Passes(lost, T(2, Get("x", null), Get("y", null)));
        Passes(lost, T(2, Get("x", 1), Get("y", 1)));
        Caught(Anomaly.GSingle, lost, T(2, Get("x", 1), Get("y", null)));
    }

    [Fact]
    public void An_absence_that_may_be_one_of_several_is_no_evidence() => Passes(
        T(1, Put("x", 1)) with { Sequence = 1 }, T(2, Put("x", null)) with { Sequence = 2 }, T(3, Put("y", 3)) with { Sequence = 3 },
        T(4, Get("x", null), Get("y", 3)));

    [Fact]
    public void An_absence_is_told_apart_by_the_snapshot() => Caught(
        Anomaly.GSingle,
        T(1, Put("x", 1), Put("z", 1)) with { Sequence = 1 }, T(2, Put("x", null)) with { Sequence = 2 },
        T(4, Get("z", 1), Get("x", null)) with { ReadAt = 0 });

    [Fact]
    public void A_bank_that_loses_money_is_caught()
    {
        Assert.Empty(Bank.Check([new Dictionary<string, long> { ["a"] = 30, ["b"] = 70 }], 2, 100));
        Assert.Single(Bank.Check([new Dictionary<string, long> { ["a"] = 30, ["b"] = 60 }], 2, 100));
        Assert.Single(Bank.Check([new Dictionary<string, long> { ["a"] = 100 }], 2, 100));
    }

    [Fact]
    public void Reads_that_fork_are_caught()
    {
        Assert.Empty(LongFork.Check([["a", "b"], ["a"], [], ["a", "b"]]));
        Assert.Single(LongFork.Check([["a"], ["b"]]));
    }

    [Fact]
    public void Random_histories_of_a_correct_store_pass_at_both_levels()
    {
        foreach (var seed in Seeds.Take(12, output))
        {
            foreach (var kind in Enum.GetValues<WorkloadKind>())
            {
                foreach (var level in Levels)
                {
                    var work = new TransactionWorkload(new ToyStore(), new WorkloadOptions(kind, level), seed);
                    work.RunInterleaved();
                    var findings = work.Judge();
                    Assert.True(findings.Count == 0, $"seed={seed} {kind} {level}: {string.Join("\n", findings)}");
                }
            }
        }
    }

    [Fact]
    public void Histories_of_real_threads_pass()
    {
        foreach (var seed in Seeds.Take(1, output))
        {
            foreach (var kind in Enum.GetValues<WorkloadKind>())
            {
                var work = new TransactionWorkload(new ToyStore(), new WorkloadOptions(kind, IsolationLevel.Serializable, Clients: 4, Transactions: 100), seed);
                work.RunThreads();
                var findings = work.Judge();
                Assert.True(findings.Count == 0, $"seed={seed} {kind}: {string.Join("\n", findings)}");
            }
        }
    }

    [Fact]
    public void Snapshot_really_shows_write_skew_and_phantoms()
    {
        var shown = new HashSet<Anomaly>();
        foreach (var seed in Seeds.Take(12, output))
        {
            var work = new TransactionWorkload(new ToyStore(), new WorkloadOptions(WorkloadKind.Registers, IsolationLevel.Snapshot), seed);
            work.RunInterleaved();
            shown.UnionWith(Serializability.Check(work.Traces).Findings.Select(f => f.Anomaly));
        }

        Assert.Contains(Anomaly.G2Item, shown);
        Assert.Contains(Anomaly.G2, shown);
    }

    [Theory]
    [InlineData("ReadValidationOff", "Serializable")]
    [InlineData("ReadValidationOff", "Snapshot")]
    [InlineData("LostUpdate", "Serializable")]
    [InlineData("LostUpdate", "Snapshot")]
    [InlineData("Phantom", "Serializable")]
    [InlineData("DeletedKeysNotTracked", "Serializable")]
    [InlineData("StaleRead", "Serializable")]
    [InlineData("StaleRead", "Snapshot")]
    [InlineData("TornCommit", "Serializable")]
    [InlineData("TornCommit", "Snapshot")]
    [InlineData("NoSnapshot", "Snapshot")]
    [InlineData("WriteThrough", "Snapshot")]
    [InlineData("ScanMissesOwnWrites", "Serializable")]
    [InlineData("RefusedButDone", "Serializable")]
    public void A_broken_store_is_caught(string fault, string level)
    {
        var watch = Stopwatch.StartNew();
        foreach (var seed in Seeds.Take(20, output))
        {
            foreach (var kind in Enum.GetValues<WorkloadKind>())
            {
                var work = new TransactionWorkload(new ToyStore(Enum.Parse<ToyFault>(fault)), new WorkloadOptions(kind, Enum.Parse<IsolationLevel>(level)), seed);
                work.RunInterleaved();
                var findings = work.Judge();
                if (findings.Count > 0)
                {
                    output.WriteLine($"caught by {kind} after {watch.ElapsedMilliseconds} ms: {findings[0]}");
                    return;
                }
            }
        }

        Assert.Fail($"{fault} was not caught at {level}");
    }

    [Fact]
    public void A_thousand_transactions_are_judged_at_once()
    {
        foreach (var level in Levels)
        {
            var work = new TransactionWorkload(new ToyStore(), new WorkloadOptions(WorkloadKind.Registers, level, Clients: 8, Transactions: 125, Keys: 20), seed: 1);
            work.RunInterleaved();
            var watch = Stopwatch.StartNew();
            var report = Serializability.Check(work.Traces);
            output.WriteLine($"{level}: {work.Traces.Count} transactions, {report.Transactions} counted, {report.Edges} edges, {watch.ElapsedMilliseconds} ms");
            Assert.Empty(report.Violations(level));
            Assert.True(report.Edges > report.Transactions);
        }
    }
}
