using System.Globalization;
using Xunit;

namespace Cairn.Tests.Crash;

/// <summary>C1: real processes, really killed. The page cache survives a kill, so this proves that nothing waits in the process when an answer
/// is given; power cuts are <see cref="PowerCutTests"/>.</summary>
[Trait("Gate", "Merge")]
public sealed class KillTests : IDisposable
{
    private const int Threads = 2;

    private readonly string _directory = Directory.CreateTempSubdirectory("cairn-kill-").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Theory]
    [InlineData(Durability.Strict)]
    [InlineData(Durability.Buffered)]
    [Trait("Promise", "G1")]
    [Trait("Promise", "G2")]
    [Trait("Promise", "G4")]
    [Trait("Test", "C1")]
    [Trait("Kind", "Random")]
    public void G1_G2_A_killed_process_has_lost_no_acknowledged_commit_and_shows_no_half_of_one(Durability mode)
    {
        var seed = Seeds.Begin(nameof(G1_G2_A_killed_process_has_lost_no_acknowledged_commit_and_shows_no_half_of_one));
        var random = new Random((int)seed);
        var written = new WrittenByCrasher(Threads);
        var clock = System.Diagnostics.Stopwatch.StartNew();
        for (var kill = 0; kill < Seeds.Scaled(11); kill++)
        {
            using (var process = Crasher.Start(
                "write", _directory, mode.ToString(), random.Next().ToString(CultureInfo.InvariantCulture), Threads.ToString(CultureInfo.InvariantCulture)))
            {
                Assert.Equal("ready", process.ReadLine());
                for (var left = 1 + random.Next(300); left > 0; left--)
                    written.Note(process.ReadLine());
                process.Kill();
                while (process.ReadLine() is { } line)
                    written.Note(line);
            }

            using var db = CairnDatabase.Open(_directory, new CairnOptions { Durability = mode });
            Assert.False(db.Recovery.WasClosedCleanly);
            written.Check(db, mayLoseUnsynced: false);
        }

        Ledger.Add("C1", $"kills survived, {mode}", seed, Seeds.Scaled(11), clock.Elapsed);
    }

    [Fact]
    [Trait("Promise", "G7")]
    [Trait("Test", "C8")]
    public void G7_A_sync_that_fails_fails_the_commit_and_the_database()
    {
        // A new database syncs while it is made; the fault strikes a later sync, on whichever thread that runs.
        var (exitCode, output) = Crasher.RunWithFault("fdatasync:error=EIO:when=3+", "put", _directory, "5");
        Assert.Equal(0, exitCode);
        var lines = output.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        var firstFailure = Array.IndexOf(lines, nameof(ErrorCode.OutcomeUnknown));
        Assert.True(firstFailure >= 0, output);
        Assert.All(lines[..firstFailure], line => Assert.Equal("ok", line));
        Assert.All(lines[(firstFailure + 1)..^1], line => Assert.Equal(nameof(ErrorCode.DatabaseFailed), line));
        Assert.Equal("health Failed", lines[^1]);
        using var db = CairnDatabase.Open(_directory);
        for (var i = 0; i < firstFailure; i++)
            Assert.Equal(i, db.Default.Kv.Get($"k{i}")!.Value.AsInt64());
    }
}
