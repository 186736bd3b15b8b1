using System.Diagnostics;
using Cairn.Storage;
using Cairn.Tests.Checkers;
using Cairn.Tests.Transactions;
using Xunit;

namespace Cairn.Tests.Crash;

/// <summary>
/// C3 and C4 over all primitives, several runs and transactions over more than one of them: the power fails at a random moment, in
/// random ways, also in the middle of recovery; or at every moment of a short script in every way. What comes back is the world of
/// one sequence, whole, with every acknowledged commit in it, and the same when it is opened again.
/// </summary>
[Trait("Promise", "G1")]
[Trait("Promise", "G2")]
[Trait("Promise", "G4")]
[Trait("Promise", "G5")]
public class EveryPrimitiveCrashTests
{
    private const int LivesMax = 3;
    private const int DepthMax = 3;

    [Theory]
    [InlineData(Durability.Strict)]
    [InlineData(Durability.Buffered)]
    [Trait("Gate", "Merge")]
    [Trait("Test", "C3")]
    [Trait("Kind", "Random")]
    public void C3_A_power_cut_leaves_the_world_of_one_sequence_over_all_primitives(Durability mode)
    {
        var seed = Seeds.Begin(nameof(C3_A_power_cut_leaves_the_world_of_one_sequence_over_all_primitives));
        var began = Stopwatch.GetTimestamp();
        var crashes = 0;
        for (var i = 0; i < Seeds.Scaled(250); i++)
            crashes += OfSeed(seed + (ulong)i, mode);
        Print($"{crashes} crashes", crashes, began);
        Ledger.Add("C3", $"power cuts over all primitives, {mode}", seed, crashes, Stopwatch.GetElapsedTime(began));
    }

    /// <summary>Lives on one machine, each ended by the power, by a sync that fails, or by a clean close and then the power.</summary>
    private static int OfSeed(ulong seed, Durability mode)
    {
        try
        {
            return Lives(seed, mode);
        }
        catch (Exception failure)
        {
            throw new InvalidOperationException($"crash of seed {seed} (run it with ./test sim {seed})", failure);
        }
    }

    private static int Lives(ulong seed, Durability mode)
    {
        var chance = new Chance(seed);
        var forgets = seed % 2 == 0;
        var generator = new Generator(
            unchecked((int)seed),
            new GeneratorOptions(
                RestartEvery: 60, MaintainEvery: 13, SyncEvery: 9, CheckpointEvery: 17, CompactEvery: 23, BackUpEvery: 89,
                WithBadArguments: false, MergeEvery: forgets ? 0 : 19,
                DocumentShare: 15, VectorShare: 15));    // who forgets may not have what a merge is compared with
        var crashes = 0;
        using var life = new EngineLife(mode, new CrashStorage(), forgets);
        for (var lives = 1 + chance.Below(LivesMax); lives > 0; lives--)
        {
            var soon = 1 + chance.Below(chance.OneIn(4) ? 40 : 250);
            var hasLyingCache = chance.OneIn(4);
            // Not the sync that makes the name of the directory log durable: when that fails, and the same machine makes the database
            // after all, nothing can make that name durable any more (docs/guarantees.md).
            if (hasLyingCache)
                life.Storage.SyncFailsAt = life.Storage.Operations + 2 + soon;
            else
                life.Storage.PowerFailsAt = life.Storage.Operations + soon;
            life.Storage.SyncFailureSeed = chance.OneIn(2) ? seed : null;
            life.Run(EngineSubject.Playable(generator.Take(10 + chance.Below(80))));
            if (chance.OneIn(3))
                life.Close();
            // A sync failed, and the cache shows what the disk has lost: a process that opens it now must not believe it.
            if (hasLyingCache && chance.OneIn(2))
            {
                life.Storage.SyncFailsAt = 0;
                life.Recover(life.Storage);
            }

            var machine = Crash(life.Storage);
            for (var depth = 0; depth < DepthMax && chance.OneIn(3); depth++)
            {
                machine.PowerFailsAt = machine.Operations + 1 + chance.Below(40);
                life.OpenUntilPowerFails(machine);
                machine = Crash(machine);
            }

            life.Recover(machine);
            life.JudgeImage(life.Storage.Image(CrashPattern.All));
        }

        return crashes;

        CrashStorage Crash(CrashStorage machine)
        {
            crashes++;
            return machine.Crash(chance.Next());
        }
    }

    [Fact]
    [Trait("Test", "C4")]
    public void C4_Every_moment_of_one_short_script_recovers_in_every_way() => EveryImage("one of each primitive", randomCount: 2);

    public static TheoryData<string> Scripts => [.. CrashPrograms.All.Keys];

    [Theory]
    [MemberData(nameof(Scripts))]
    [Trait("Gate", "Merge")]
    [Trait("Test", "C4")]
    [Trait("Kind", "Random")]
    public void C4_Every_moment_of_every_script_recovers_in_every_way(string script) => EveryImage(
        script, Seeds.Scaled(16), Seeds.Begin(nameof(C4_Every_moment_of_every_script_recovers_in_every_way)));

    private static void EveryImage(string script, int randomCount, ulong seed = 1)
    {
        var began = Stopwatch.GetTimestamp();
        var storage = new CrashStorage();
        using var life = CrashPrograms.LifeOf(script, storage);
        var seen = new HashSet<UInt128>();
        var images = 0;
        var depth = 0;
        storage.AtEachOperation = () =>
        {
            // The judge reads what the life has issued; it must not be asked about images of its own making.
            if (depth > 0)
                return;
            depth++;
            foreach (var image in storage.Images(seed + (ulong)storage.Operations, seen, randomCount))
            {
                images++;
                try
                {
                    life.JudgeImage(image.Storage);
                }
                catch (Exception bug)
                {
                    var unsynced = string.Join(", ", storage.DescribeUnsynced());
                    throw new ImageException(
                        $"{script}, operation {storage.Operations}, pattern {image.Pattern}; unsynced: {unsynced}", bug);
                }
            }

            depth--;
        };
        life.Run(CrashPrograms.All[script].Operations);
        storage.AtEachOperation = null;
        Print($"{script}: {storage.Operations} operations, {images} images", images, began);
        Ledger.Add("C4", "images of a moment recovered", seed, images, Stopwatch.GetElapsedTime(began));
        Assert.True(images > storage.Operations, $"only {images} images");
        Assert.True(storage.Operations <= 300, $"{storage.Operations} operations");
    }

    private static void Print(string what, int count, long began) => TestContext.Current.TestOutputHelper?.WriteLine(
        $"{what}, {count / Stopwatch.GetElapsedTime(began).TotalSeconds:f0} per second");

    private sealed class ImageException(string what, Exception bug) : Exception(what, bug);
}
