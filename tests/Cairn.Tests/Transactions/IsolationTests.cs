using Cairn.Tests.Checkers;
using Xunit;

namespace Cairn.Tests.Transactions;

/// <summary>H1 and L2: the engine before the judges of isolation. At Snapshot two anomalies are published beside write skew and
/// phantoms: a blind write never conflicts (TX-15), so a decision on old state may be written over newer state.</summary>
[Trait("Promise", "G8")]
[Trait("Promise", "G4")]
public sealed class IsolationTests
{
    private static readonly Durability[] Modes = Enum.GetValues<Durability>();

    public static TheoryData<string, Durability> Table
    {
        get
        {
            var rows = new TheoryData<string, Durability>();
            foreach (var kind in RegisterKind.All)
            {
                foreach (var mode in Modes)
                    rows.Add(kind.Name, mode);
            }

            return rows;
        }
    }

    // One database for all scripts, new runs for each: what other runs hold changes nothing (TX-22).
    [Theory]
    [MemberData(nameof(Table))]
    [Trait("Test", "H1")]
    public void TX25_The_isolation_table_holds_in_every_mode_for_every_primitive_over_one_run_and_over_two(string name, Durability mode)
    {
        var kind = RegisterKind.All.Single(k => k.Name == name);
        var failures = new List<string>();
        using var database = new TestDatabase(mode);
        foreach (var script in Hermitage.Scripts)
        {
            foreach (var level in Enum.GetValues<IsolationLevel>())
            {
                foreach (var isOverTwoRuns in (bool[])[false, true])
                {
                    Run[] runs = isOverTwoRuns ? [database.Db.Runs.Begin(), database.Db.Runs.Begin()] : [database.Db.Runs.Begin()];
                    var instead = level == IsolationLevel.Snapshot ? kind.Snapshot?.Invoke(script, isOverTwoRuns) : null;

                    var store = new EngineStore(database.Db, runs, kind.Make);
                    var report = Hermitage.Run(script, store, level, instead);

                    if (report.Failure is not null)
                        failures.Add($"{report.Failure}, over {runs.Length} of the runs:\n{report.Transcript}");
                }
            }
        }

        Assert.True(failures.Count == 0, $"{name}, {mode}: {failures.Count} scripts failed\n{string.Join('\n', failures)}");
    }

    public static TheoryData<string, string, Durability, bool> Workloads
    {
        get
        {
            var rows = new TheoryData<string, string, Durability, bool>();
            foreach (var kind in Enum.GetValues<WorkloadKind>())
            {
                foreach (var level in Enum.GetValues<IsolationLevel>())
                {
                    foreach (var mode in Modes)
                    {
                        rows.Add(kind.ToString(), level.ToString(), mode, false);
                        rows.Add(kind.ToString(), level.ToString(), mode, true);
                    }
                }
            }

            return rows;
        }
    }

    [Theory]
    [MemberData(nameof(Workloads))]
    [Trait("Test", "L2")]
    [Trait("Kind", "Random")]
    public void TX23_TX24_Random_transactions_of_many_threads_show_no_anomaly_that_their_level_forbids(
        string kind, string level, Durability mode, bool isOverTwoRuns)
    {
        var seed = unchecked((int)Seeds.Begin(nameof(TX23_TX24_Random_transactions_of_many_threads_show_no_anomaly_that_their_level_forbids)));
        for (var round = 0; round < Seeds.Scaled(2); round++)
        {
            var clock = System.Diagnostics.Stopwatch.StartNew();
            using var database = new TestDatabase(mode);
            if (isOverTwoRuns)
                database.OtherRun();
            var before = database.Sequence + (kind == nameof(WorkloadKind.Bank) ? 1UL : 0);
            var work = new TransactionWorkload(
                new EngineStore(database, isOverTwoRuns), new WorkloadOptions(Enum.Parse<WorkloadKind>(kind), Enum.Parse<IsolationLevel>(level)), seed + round);

            if (round % 2 == 0)
                work.RunThreads();
            else
                work.RunInterleaved();                       // the same again from the same seed

            var findings = work.Judge();
            Assert.True(findings.Count == 0, $"round {round}: {string.Join("\n", findings.Take(3))}");
            var committed = work.Traces.Where(t => t.Status == TransactionEnd.Committed).ToList();
            Assert.InRange(committed.Count, work.Traces.Count / 4, work.Traces.Count);
            var sequences = committed.Where(t => t.Sequence != 0).Select(t => t.Sequence).Order().ToList();
            Assert.Equal(sequences.Distinct(), sequences);
            Assert.Equal(database.Sequence, before + (ulong)sequences.Count);      // TX-I17: dense
            Ledger.Add("L2", $"transactions judged, {level}", (ulong)seed, work.Traces.Count, clock.Elapsed);
        }
    }
}
