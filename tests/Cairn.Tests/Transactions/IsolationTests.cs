using Cairn.Tests.Checkers;
using Xunit;

namespace Cairn.Tests.Transactions;

/// <summary>H1 and L2: the engine before the judges of isolation. At Snapshot two anomalies are published beside write skew and
/// phantoms: a blind write never conflicts (TX-15), so a decision on old state may be written over newer state.</summary>
[Trait("Promise", "G8")]
[Trait("Promise", "G4")]
public sealed class IsolationTests(ITestOutputHelper output)
{
    private static readonly Durability[] Modes = Enum.GetValues<Durability>();

    public static TheoryData<string, string, bool> Table
    {
        get
        {
            var rows = new TheoryData<string, string, bool>();
            foreach (var script in Hermitage.Scripts)
            {
                foreach (var level in Enum.GetValues<IsolationLevel>())
                {
                    rows.Add(script.Name, level.ToString(), false);
                    rows.Add(script.Name, level.ToString(), true);
                }
            }

            return rows;
        }
    }

    [Theory]
    [MemberData(nameof(Table))]
    [Trait("Test", "H1")]
    public void TX25_The_isolation_table_holds_in_every_mode_over_one_run_and_over_two(string name, string level, bool isOverTwoRuns)
    {
        var script = Hermitage.Scripts.Single(s => s.Name == name);
        foreach (var mode in Modes)
        {
            using var database = new TestDatabase(mode);

            var report = Hermitage.Run(script, new EngineStore(database, isOverTwoRuns), Enum.Parse<IsolationLevel>(level));

            output.WriteLine($"{mode}:\n{report.Transcript}");
            Assert.True(report.Failure is null, $"{mode}: {report.Failure}\n{report.Transcript}");
        }
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
