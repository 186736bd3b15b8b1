using System.Diagnostics;
using Cairn.Storage;
using Cairn.Tests.Transactions;
using Xunit;

namespace Cairn.Tests.Checkpoints;

/// <summary>C7 during checkpoints: every storage call of one fails in its turn, in every way, once or from then on. It is told by a typed
/// error or harmless; nothing that was acknowledged goes; a failed sync ends writing.</summary>
[Trait("Promise", "G7")]
[Trait("Test", "C7")]
[Trait("Requirement", "CKP-5")]
public class CheckpointFaultTests
{
    private const int Keys = 30;

    public static TheoryData<string, bool> Faults
    {
        get
        {
            var data = new TheoryData<string, bool>();
            foreach (var kind in Enum.GetValues<FaultKind>().Where(kind => kind is not FaultKind.FlippedBit))
            {
                data.Add(kind.ToString(), false);
                data.Add(kind.ToString(), true);
            }

            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Faults))]
    public void C7_G7_A_call_that_fails_during_a_checkpoint_is_told_or_harmless(string kind, bool isLasting)
    {
        var began = Stopwatch.GetTimestamp();
        var faults = 0;
        for (var at = 1; Strikes(Enum.Parse<FaultKind>(kind), at, isLasting); at++)
            faults++;
        Ledger.Add("C7", "faults during checkpoints", 0, faults, Stopwatch.GetElapsedTime(began));
        Assert.True(faults > 2, $"only {faults} faults");
    }

    private static bool Strikes(FaultKind kind, int at, bool isLasting)
    {
        var what = $"{kind} at call {at}{(isLasting ? " and later" : "")}";
        var disk = new CrashStorage();
        var faulty = new FaultStorage(disk, seed: (ulong)at);
        using (var test = new TestDatabase(Durability.Strict, Small, faulty))
        {
            for (var i = 0; i < Keys; i++)
                test.Kv.Put($"k{i}", i);
            test.CheckpointAndForget();
            for (var i = 0; i < Keys; i += 3)
                test.Kv.Put($"k{i}", -i);
            faulty.Inject(kind, at, lasting: isLasting);
            var refused = Record.Exception(() => test.Checkpoint());
            var struck = faulty.Strikes > 0;
            Assert.True(refused is null or CairnException, $"{what}: {refused}");
            faulty.Clear();
            Check(test, what);
            if (!test.Db.Engine.State.HasFailed)
            {
                test.Db.Engine.Path.Log.Disk!.Step();
                Assert.True(Record.Exception(() => test.Checkpoint()) is null, $"{what}: the next one should be made");
                Assert.Equal(0, test.Db.Metrics.Pins);
                Check(test, what);
            }

            test.Abandon();
            if (!struck)
                return false;
        }

        var machine = disk.Crash(at % 2 == 0 ? CrashPattern.None : CrashPattern.Random((ulong)at));
        using var after = new TestDatabase(Durability.Strict, Small, machine);
        Check(after, what + ", and a power cut");
        Assert.Empty(after.Db.VerifyDeep().Findings);
        return true;
    }

    private static CairnOptions Small(CairnOptions options) =>
        options with { CheckpointOnClose = false, SegmentBytesMin = 16 << 10, SegmentBytesMax = 16 << 10 };

    private static void Check(TestDatabase test, string what)
    {
        for (var i = 0; i < Keys; i++)
        {
            var found = test.Kv.Number($"k{i}");
            Assert.True(found == (i % 3 == 0 ? -i : i), $"{what}: k{i} is {found}");
        }
    }
}
