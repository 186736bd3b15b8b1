using System.Diagnostics;
using Cairn.Storage;
using Cairn.Tests.Transactions;
using Xunit;

namespace Cairn.Tests.Content;

/// <summary>C7 during compactions, beside which expired entries are removed: every storage call fails in its turn, in every way, once or
/// from then on. It is told by a typed error or harmless; no value and no kept version goes; a failed sync ends writing.</summary>
[Trait("Promise", "G7")]
[Trait("Test", "C7")]
[Trait("Requirement", "CNT-10")]
[Trait("Requirement", "TTL-5")]
public sealed class CompactionFaultTests
{
    private const int Keys = 24;
    private const int Versions = 6;

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
    public void C7_G7_A_call_that_fails_during_a_compaction_is_told_or_harmless(string kind, bool isLasting)
    {
        var began = Stopwatch.GetTimestamp();
        var faults = 0;
        for (var at = 1; Strikes(Enum.Parse<FaultKind>(kind), at, isLasting); at++)
            faults++;
        Ledger.Add("C7", "faults during compactions", 0, faults, Stopwatch.GetElapsedTime(began));
        Assert.True(faults > 2, $"only {faults} faults");
    }

    private static bool Strikes(FaultKind kind, int at, bool isLasting)
    {
        var what = $"{kind} at call {at}{(isLasting ? " and later" : "")}";
        var disk = new CrashStorage();
        var faulty = new FaultStorage(disk, seed: (ulong)at);
        using (var test = Prepared(faulty))
        {
            faulty.Inject(kind, at, lasting: isLasting);
            var refused = Record.Exception(() => CompactAndExpire(test));
            var struck = faulty.Strikes > 0;
            Assert.True(refused is null or CairnException, $"{what}: {refused}");
            faulty.Clear();
            Check(test, what);
            if (!test.Db.Engine.State.HasFailed)
            {
                test.Db.Engine.Path.Log.Disk!.Step();
                test.Clock.Advance(TimeSpan.FromMinutes(1));             // what failed in the background is tried again
                refused = Record.Exception(() => CompactAndExpire(test));
                Assert.True(refused is null, $"{what}: the next one should be done: {refused}");
                Assert.True(test.Db.Metrics.Archives > 0, $"{what}: nothing was given up");
                Assert.Equal(Keys, test.Kv.Count());
                Check(test, what);
            }

            test.Abandon();
            if (!struck)
                return false;
        }

        var machine = disk.Crash(at % 2 == 0 ? CrashPattern.None : CrashPattern.Random((ulong)at));
        using var after = new TestDatabase(Durability.Strict, Small, machine);
        after.Clock.Advance(TimeSpan.FromHours(3));
        Check(after, what + ", and a power cut");
        Assert.Empty(after.Db.VerifyDeep().Findings);
        return true;
    }

    // Expired entries are there at every step, and go while the log is read through.
    private static void CompactAndExpire(TestDatabase test)
    {
        var steps = 0;
        test.Db.Compact(
            new Told(() =>
            {
                if (steps++ < 8)
                    test.Maintain();
            }),
            TestContext.Current.CancellationToken);
        test.Maintain();
    }

    private static TestDatabase Prepared(IStorage storage)
    {
        var test = new TestDatabase(Durability.Strict, Small, storage);
        var kept = test.Db.Runs.Begin("kept");
        kept.Retention.Apply(Retention.KeepAll);
        for (var round = 0; round < 3; round++)
        {
            for (var i = 0; i < Keys; i++)
            {
                test.Kv.Put($"k{i}", Text(i, round));
                test.Kv.Put($"short {round}.{i}", i, TimeSpan.FromHours(2));
            }

            for (var i = 0; i < Versions / 3; i++)
                kept.Kv.Put("k", Text(round * (Versions / 3) + i, 0));
            if (round > 0)
                test.Checkpoint();
        }

        test.Clock.Advance(TimeSpan.FromHours(3));
        return test;
    }

    private static CairnOptions Small(CairnOptions options) => options with
    {
        CheckpointOnClose = false,
        SegmentBytesMin = 16 << 10,
        SegmentBytesMax = 16 << 10,
        ContentThreshold = 256,
        ContentMemoryBytes = 0,
        Retention = Retention.KeepLast(1),
        CompactionGarbageMin = 1 << 20,                                  // only when it is asked for
    };

    private static string Text(int i, int round) => $"{i}.{round} {new string('x', i % 2 == 0 ? 700 : 20)}";

    private static void Check(TestDatabase test, string what)
    {
        for (var i = 0; i < Keys; i++)
            Assert.True(test.Kv.Text($"k{i}") == Text(i, 2), $"{what}: k{i} is {test.Kv.Text($"k{i}")}");
        for (var i = 0; i < 3 * Keys; i++)
            Assert.True(test.Kv.Get($"short {i / Keys}.{i % Keys}") is null, $"{what}: what has expired is there");
        var versions = test.Db.Runs.Get("kept")!.Kv.History("k").Select(item => item.Value.AsString());
        Assert.True(
            versions.SequenceEqual(Enumerable.Range(0, Versions).Reverse().Select(i => Text(i, 0)), StringComparer.Ordinal),
            $"{what}: history is {string.Join(", ", versions.Select(text => text[..4]))}");
    }

    private sealed class Told(Action told) : IProgress<long>
    {
        public void Report(long value) => told();
    }
}
