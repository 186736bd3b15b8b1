using System.Collections.Immutable;
using System.Diagnostics;
using Cairn.Storage;
using Xunit;

namespace Cairn.Tests.Crash;

/// <summary>C3: the whole engine on a storage that loses power: while writing, rotating, closing, and while recovering. Passing means: an exact
/// prefix of the commits, every acknowledged one in it, nothing that was never issued, and a second recovery gives the same.</summary>
[Trait("Gate", "Merge")]
public class PowerCutTests
{
    private const int LivesPerCrash = 3;

    [Theory]
    [InlineData(Durability.Strict)]
    [InlineData(Durability.Buffered)]
    [Trait("Promise", "G1")]
    [Trait("Promise", "G2")]
    [Trait("Promise", "G4")]
    [Trait("Promise", "G5")]
    [Trait("Test", "C3")]
    [Trait("Kind", "Random")]
    public void G1_G2_A_power_cut_leaves_an_exact_prefix_with_every_acknowledged_commit(Durability mode)
    {
        var seed = Seeds.Begin(nameof(G1_G2_A_power_cut_leaves_an_exact_prefix_with_every_acknowledged_commit));
        var crashes = Seeds.Scaled(1_000);
        var clock = Stopwatch.StartNew();
        for (var i = 0; i < crashes; i++)
        {
            try
            {
                Crash(seed + (ulong)i, mode);
            }
            catch (Exception failure)
            {
                throw new InvalidOperationException($"crash of seed {seed + (ulong)i} (run it with ./test sim {seed + (ulong)i})", failure);
            }
        }

        Ledger.Add("C3", $"power cuts of the engine, {mode}", seed, crashes, clock.Elapsed);
        TestContext.Current.TestOutputHelper?.WriteLine($"{crashes} crashes, {crashes / clock.Elapsed.TotalSeconds:f0} per second");
    }

    private static void Crash(ulong seed, Durability mode)
    {
        var random = new Random((int)(seed ^ (seed >> 32)) ^ 0x5EED);
        var states = new List<ImmutableSortedDictionary<string, long>> { ImmutableSortedDictionary<string, long>.Empty };
        var storage = new CrashStorage();
        var lives = 1 + random.Next(LivesPerCrash);
        for (var life = 0; life < lives; life++)
        {
            storage.PowerFailsAt = storage.Operations + 1 + random.Next(random.Next(4) == 0 ? 30 : 160);
            var script = new CrashScript(seed * 31 + (ulong)life, mode, states);
            script.Run(storage, 4 + random.Next(40));
            var acknowledged = script.Acknowledged;
            storage = storage.Crash(seed * 17 + (ulong)life);
            // The power may fail again while the engine recovers, up to three times.
            for (var depth = 0; depth < 3 && random.Next(3) == 0; depth++)
            {
                storage.PowerFailsAt = storage.Operations + 1 + random.Next(40);
                OpenUntilPowerFails(storage, mode);
                storage = storage.Crash(seed * 13 + (ulong)(life * 3 + depth));
            }

            storage.PowerFailsAt = 0;
            var recovered = Recover(storage, mode, states, acknowledged, script.Issued);
            states.RemoveRange((int)recovered + 1, states.Count - (int)recovered - 1);
        }
    }

    private static void OpenUntilPowerFails(CrashStorage storage, Durability mode)
    {
        try
        {
            using var db = CairnDatabase.Open(storage, CrashScript.Options(mode), CrashScript.Hooks);
        }
        catch (Exception failure) when (storage.PowerLost && failure is PowerLossException or CairnException)
        {
        }
    }

    private static ulong Recover(
        CrashStorage storage, Durability mode, List<ImmutableSortedDictionary<string, long>> states, ulong acknowledged, ulong issued)
    {
        ulong sequence;
        Hash256 hash;
        using (var db = CairnDatabase.Open(storage, CrashScript.Options(mode), CrashScript.Hooks))
        {
            sequence = db.Sequence.Value;
            hash = db.StateHash();
            Assert.InRange(sequence, acknowledged, issued);
            Assert.Equal(states[(int)sequence], CrashScript.Read(db));
        }

        using (var again = CairnDatabase.Open(storage, CrashScript.Options(mode), CrashScript.Hooks))
        {
            Assert.Equal(sequence, again.Sequence.Value);
            Assert.Equal(hash, again.StateHash());
            Assert.Equal(states[(int)sequence], CrashScript.Read(again));
        }

        return sequence;
    }
}
