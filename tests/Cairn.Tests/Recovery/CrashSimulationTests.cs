using System.Diagnostics;
using Cairn.Storage;
using Cairn.Tests.Log;
using Xunit;

namespace Cairn.Tests.Recovery;

/// <summary>A writer's script on a machine that loses power at a random operation, again and again, also inside recovery (C3). After
/// each: an exact prefix of what was issued, nothing acknowledged missing.</summary>
public class CrashSimulationTests
{
    private const int Seeds = 700;

    [Fact]
    [Trait("Promise", "G1")]
    [Trait("Promise", "G5")]
    [Trait("Requirement", "RCV-R2")]
    [Trait("Requirement", "RCV-R3")]
    [Trait("Requirement", "RCV-R5")]
    public void A_power_cut_anywhere_leaves_an_exact_prefix_with_everything_acknowledged()
    {
        var began = Stopwatch.GetTimestamp();
        var crashes = 0;
        for (var seed = 1ul; seed <= Seeds; seed++)
            crashes += Run(seed, RunLifetime);
        Print("power cuts", crashes, began);
        Assert.True(crashes >= 2000, $"only {crashes} crashes");
    }

    [Fact]
    [Trait("Promise", "G1")]
    [Trait("Promise", "G7")]
    public void What_was_recovered_after_a_failed_sync_survives_the_next_power_cut()
    {
        var began = Stopwatch.GetTimestamp();
        var crashes = 0;
        for (var seed = 1ul; seed <= Seeds; seed++)
            crashes += Run(seed, RunWithLyingCache);
        Print("failed syncs", crashes, began);
    }

    [Fact]
    [Trait("Promise", "G5")]
    [Trait("Requirement", "RCV-R1")]
    public void Two_recoveries_of_one_image_agree_and_leave_equal_directories()
    {
        for (var seed = 1ul; seed <= 200; seed++)
        {
            var storage = new CrashStorage { PowerFailsAt = 60 + (long)seed };
            using (var script = new LogScript(storage, seed))
                RunUntilPowerFails(script);
            var pattern = CrashPattern.Random(seed);
            var (first, second) = (storage.Crash(pattern), storage.Crash(pattern));
            Assert.Equal(first.Hash(), second.Hash());
            Assert.Equal(Recover(first, seed), Recover(second, seed));
            Assert.Equal(first.Crash(CrashPattern.None).Hash(), second.Crash(CrashPattern.None).Hash());
        }
    }

    private static string Recover(CrashStorage storage, ulong seed)
    {
        var seen = new List<byte[]>();
        var recovered = Cairn.Recovery.Recovery.Open(storage, LogScript.Options(seed), LogScript.Collect(seen));
        recovered.Log.Dispose();
        return $"{recovered.LastSequence} {recovered.NextPosition} {recovered.Chain} {recovered.Findings.Cut} {recovered.Findings.Floor}"
            + string.Concat(seen.Select(Convert.ToHexString));
    }

    private static int Run(ulong seed, Func<ulong, int> life)
    {
        try
        {
            return life(seed);
        }
        catch (Exception bug)
        {
            throw new InvalidOperationException($"seed={seed}: {bug.Message}", bug);
        }
    }

    /// <summary>Opens, writes and loses power until four crashes have happened; some strike inside recovery, up to three deep.</summary>
    private static int RunLifetime(ulong seed)
    {
        var chance = new Chance(seed);
        var storage = new CrashStorage();
        var trace = new List<byte[]>();
        var acknowledged = 0;
        var crashes = 0;
        for (; crashes < 4; crashes++)
        {
            var depth = chance.OneIn(3) ? chance.Below(30) : 30 + chance.Below(200);
            storage.PowerFailsAt = 1 + depth;
            using var script = new LogScript(storage, seed * 31 + (ulong)crashes, trace: trace) { Acknowledged = acknowledged };
            RunUntilPowerFails(script);
            acknowledged = script.Acknowledged;
            storage = storage.Crash(CrashPattern.Random(chance.Next()));
        }

        using var last = new LogScript(storage, seed, trace: trace) { Acknowledged = acknowledged };
        last.Open();
        var count = last.Trace.Count;
        last.Close();
        using var again = new LogScript(storage, seed + 1, trace: trace) { Acknowledged = count };
        again.Open();
        Assert.Equal(0, again.Recovered!.Findings.CopiedBytes);
        return crashes;
    }

    private static void RunUntilPowerFails(LogScript script)
    {
        try
        {
            script.Open();
            for (var i = 0; i < 400; i++)
                script.Step();
            script.Close();
        }
        catch (PowerLossException)
        {
        }
    }

    /// <summary>A sync fails, the process ends, the next one recovers from a cache that lies, and then the power goes.</summary>
    private static int RunWithLyingCache(ulong seed)
    {
        var chance = new Chance(seed);
        var storage = new CrashStorage { SyncFailsAt = 40 + chance.Below(100), SyncFailureSeed = chance.OneIn(2) ? seed : null };
        var trace = new List<byte[]>();
        int acknowledged;
        using (var script = new LogScript(storage, seed, trace: trace))
        {
            try
            {
                script.Open();
                while (true)
                    script.Step();
            }
            catch (StorageException)
            {
            }

            acknowledged = script.Acknowledged;
        }

        using var next = new LogScript(storage, seed + 1, trace: trace) { Acknowledged = acknowledged };
        next.Open();
        var shown = next.Acknowledged;
        using var last = new LogScript(storage.Crash(CrashPattern.Random(chance.Next())), seed + 2, trace: trace) { Acknowledged = shown };
        last.Open();
        return 1;
    }

    private static void Print(string what, int count, long began)
    {
        var seconds = Stopwatch.GetElapsedTime(began).TotalSeconds;
        TestContext.Current.TestOutputHelper?.WriteLine($"seed=1..{Seeds} {what}: {count}, {count / seconds:F0} per second");
    }
}
