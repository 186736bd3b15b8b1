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
        var acknowledged = new long[Threads];
        var clock = System.Diagnostics.Stopwatch.StartNew();
        for (var kill = 0; kill < Seeds.Scaled(11); kill++)
        {
            using (var process = Crasher.Start(
                "write", _directory, mode.ToString(), random.Next().ToString(CultureInfo.InvariantCulture), Threads.ToString(CultureInfo.InvariantCulture)))
            {
                Assert.Equal("ready", process.ReadLine());
                for (var left = 1 + random.Next(300); left > 0; left--)
                    Note(process.ReadLine(), acknowledged);
                process.Kill();
                while (process.ReadLine() is { } line)
                    Note(line, acknowledged);
            }

            using var db = CairnDatabase.Open(_directory, new CairnOptions { Durability = mode });
            Assert.False(db.Recovery.WasClosedCleanly);
            for (var thread = 0; thread < Threads; thread++)
            {
                var n = db.Default.Kv.Get($"{thread}/a")?.AsInt64() ?? 0;
                Assert.True(n >= acknowledged[thread], $"thread {thread} shows {n}, {acknowledged[thread]} was acknowledged");
                Assert.True(n <= acknowledged[thread] + 1, $"thread {thread} shows {n}, beyond what it can have issued");
                Assert.Equal(n, db.Default.Kv.Get($"{thread}/b")?.AsInt64() ?? 0);
                Assert.Equal(n * (n + 1) / 2, db.Default.Kv.Get($"{thread}/sum")?.AsInt64() ?? 0);
                var own = db.Runs.Get($"thread-{thread}");
                Assert.Equal(n, own?.Events.Count() ?? 0);
                Assert.True(own?.Events.Verify().IsValid ?? true);
                Assert.Equal(n, own?.Traces.Count() ?? 0);
                Assert.Equal(n, own?.State.Get("cell")?.Value.AsInt64() ?? 0);
                Assert.Equal((ulong)n, own?.State.Get("cell")?.Counter.Value ?? 0);
                acknowledged[thread] = n;
            }

            Assert.True(db.VerifyDeep().IsValid);
        }

        Ledger.Add("C1", $"kills survived, {mode}", seed, Seeds.Scaled(11), clock.Elapsed);
    }

    // The last line may be cut short by the kill; then it was not acknowledged to us.
    private static void Note(string? line, long[] acknowledged)
    {
        var parts = (line ?? "").Split(' ');
        if (parts.Length == 2 && int.TryParse(parts[0], out var thread) && long.TryParse(parts[1], out var n) && n == acknowledged[thread] + 1)
            acknowledged[thread] = n;
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
