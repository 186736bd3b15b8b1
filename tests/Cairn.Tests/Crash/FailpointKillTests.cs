using System.Globalization;
using System.Text.RegularExpressions;
using Cairn.Storage;
using Cairn.Tests.Tidy;
using Xunit;

namespace Cairn.Tests.Crash;

/// <summary>C1 aimed instead of drawn: a process that is killed at each of the engine's own steps (docs/hooks.md) has lost nothing that it
/// acknowledged, and its directory recovers to one state.</summary>
[Trait("Gate", "Merge")]
public sealed partial class FailpointKillTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("cairn-die-").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    public static TheoryData<string> Failpoints() => [.. Repository.Lines("docs/hooks.md").Select(line => Row().Match(line))
        .Where(row => row.Success).Select(row => row.Groups[1].Value)];

    [Theory]
    [MemberData(nameof(Failpoints))]
    [Trait("Promise", "G1")]
    [Trait("Promise", "G5")]
    [Trait("Test", "C1")]
    [Trait("Requirement", "RCV-R1")]
    public void G1_A_process_that_is_killed_at_a_step_of_the_engine_has_lost_nothing_acknowledged(string failpoint)
    {
        var mode = failpoint.Length % 2 == 0 ? Durability.Strict : Durability.Buffered;
        var acknowledged = 0L;
        var deleted = new HashSet<long>();
        var kept = new HashSet<long>();
        var kills = 0;
        var clock = System.Diagnostics.Stopwatch.StartNew();
        foreach (var nth in (int[])[1, 9])
        {
            using var process = Crasher.Start("die", _directory, mode.ToString(), failpoint, nth.ToString(CultureInfo.InvariantCulture));
            var (exitCode, output) = process.RunToEnd();
            kills += exitCode == 128 + 9 ? 1 : 0;
            foreach (var line in output.Split('\n').Select(line => line.Split(' ')).Where(words => words.Length == 2))
            {
                var n = long.Parse(line[1], CultureInfo.InvariantCulture);
                acknowledged = line[0] == "a" ? n : acknowledged;
                if (line[0] == "d")
                    deleted.Add(n);
                if (line[0] == "k")
                    kept.Add(n);
            }

            Check(mode, acknowledged, deleted, kept);
        }

        // In memory alone, where nothing survives, or when a disk fails.
        var isOfMemory = failpoint is "commit.run-bound" or "commit.runs-published" or "commit.run-published";

        // After five seconds of rest; the schedules of S1 come there.
        var isOfRest = failpoint is "log.thread-rested" or "log.thread-before-end";
        Assert.Equal(!isOfMemory && !isOfRest && failpoint != "state.failing", kills > 0);
        Ledger.Add("C1", "kills at a step survived", 0, kills, clock.Elapsed);
    }

    private void Check(Durability mode, long acknowledged, HashSet<long> deleted, HashSet<long> kept)
    {
        Hash256 hash;
        using (var db = Open(mode))
        {
            var n = db.Default.Kv.Get("n")?.AsInt64() ?? 0;
            Assert.InRange(n, acknowledged, acknowledged + 1);
            Assert.Equal(n * (n + 1) / 2, db.Default.Kv.Get("sum")?.AsInt64() ?? 0);
            Assert.All(deleted, run => Assert.Null(db.Runs.Get($"run {run}")));
            Assert.All(kept, large => Assert.Equal($"{large}".PadLeft(5_000, '.'), db.Default.Kv.Get($"kept {large}")?.AsString()));

            // Each commit of n has fired once, in that process or in this one; but for the one before the trigger was there.
            while (db.Engine.TriggerJob!.HasWorkInSight)
                db.Engine.TriggerJob.Step();
            Assert.Equal(db.Default.Triggers.Get("count") is null ? 0 : n, db.Default.Kv.Get("fired")?.AsInt64() ?? 0);
            Assert.Empty(db.VerifyDeep().Findings);
            hash = db.StateHash();
        }

        using var again = Open(mode);
        Assert.Equal(hash, again.StateHash());
    }

    private CairnDatabase Open(Durability mode) => CairnDatabase.Open(
        DiskStorage.OpenOrCreate(_directory, createIfMissing: true, readOnly: false), new CairnOptions { Durability = mode },
        new EngineHooks { IsMaintenanceManual = true });

    [GeneratedRegex(@"^\| `([a-z.-]+)` \| hit \|")]
    private static partial Regex Row();
}
