using System.Diagnostics;
using Cairn.Diagnostics;
using Cairn.Storage;
using Cairn.Tests.Transactions;
using Xunit;

namespace Cairn.Tests.Hooks;

/// <summary>S2: threads that run free, pushed about at failpoints, with rare turns taken often: tiny rounds, full queues, early rotations,
/// a sweep at every write, and between checkpoints keys that leave memory whenever they may. Sums, snapshots and chains are judged while
/// it runs; log and state at its end.</summary>
[Trait("Promise", "G4")]
[Trait("Promise", "G8")]
[Trait("Test", "S2")]
public sealed class StressTests
{
    private const int Runs = 3;
    private const int Accounts = 6;
    private const int Total = Runs * Accounts * 100;

    [Theory]
    [ClassData(typeof(AllModes))]
    [Trait("Kind", "Random")]
    public void S2_Random_yields_and_rare_turns_break_nothing(Durability mode)
    {
        var seed = Seeds.Begin(nameof(S2_Random_yields_and_rare_turns_break_nothing));
        var seconds = Seeds.Scaled(3) / 2.0;
        var clock = Stopwatch.StartNew();
        using var plan = Failpoint.Use(new Jostling(seed));
        var storage = new MemoryStorage();
        var options = new CairnOptions
        {
            Durability = mode,
            SegmentBytesMin = 16 << 10,
            SegmentBytesMax = 32 << 10,
            Limits = new Limits { QueuedCommitsMax = 64 },
        };
        var db = mode == Durability.InMemory ? CairnDatabase.OpenInMemory(options) : CairnDatabase.Open(storage, options, EngineHooks.None);
        try
        {
            var runs = Enumerable.Range(0, Runs).Select(i => i == 0 ? db.Default : db.Runs.Begin($"run {i}")).ToArray();
            db.Transact(runs, tx => Array.ForEach(runs, run => Fill(tx.On(run))));
            var commits = 0L;
            var checkpoints = 0;
            TransactionTests.InParallel(4, me =>
            {
                var random = new Random((int)seed ^ me);
                while (clock.Elapsed.TotalSeconds < seconds)
                {
                    if (me == 3)
                        Judge(db, runs, random);
                    if (me == 3 && mode != Durability.InMemory && random.Next(4) == 0)
                        checkpoints += db.Checkpoint() is null ? 0 : 1;
                    if (me != 3)
                        Interlocked.Add(ref commits, Write(db, runs, random, me));
                }
            });
            JudgeAll(db, runs);
            if (mode != Durability.InMemory)
                db = JudgeLog(db, storage, options);
            TestContext.Current.TestOutputHelper?.WriteLine($"{commits} commits, {checkpoints} checkpoints");
            Ledger.Add("S2", "commits under stress", seed, commits, clock.Elapsed);
        }
        finally
        {
            db.Dispose();
        }
    }

    private static void Fill(TransactionRun run)
    {
        for (var i = 0; i < Accounts; i++)
            run.Kv.Put($"{i}", 100);
    }

    private static int Write(CairnDatabase db, Run[] runs, Random random, int me)
    {
        switch (random.Next(6))
        {
            case 0:
                runs[me].Events.Append("note", Value.Object(("me", me)));
                return 1;
            case 1:
                runs[me].State.Set("cell", random.Next());
                return 1;
            case 2:
                var begun = db.Runs.Begin();
                begun.Kv.Put("n", 1);
                db.Runs.Delete(begun.Id);
                return 3;
            default:
                var (from, to) = (random.Next(Runs), random.Next(Runs));
                var (taken, given) = ($"{random.Next(Accounts)}", $"{random.Next(Accounts)}");
                Run[] named = from == to ? [runs[from]] : [runs[from], runs[to]];
                try
                {
                    db.Transact(named, tx =>
                    {
                        var (source, target) = (tx.On(runs[from]).Kv, tx.On(runs[to]).Kv);
                        source.Put(taken, source.Number(taken)!.Value - 1);
                        target.Put(given, target.Number(given)!.Value + 1);
                    });
                    return 1;
                }
                catch (ConflictException)
                {
                    return 0;
                }
        }
    }

    private static void Judge(CairnDatabase db, Run[] runs, Random random)
    {
        using (var tx = db.BeginTransaction(runs))
        {
            var sum = runs.Sum(run => Enumerable.Range(0, Accounts).Sum(i => tx.On(run).Kv.Number($"{i}")!.Value));
            Assert.Equal(Total, sum);
        }

        using var snapshot = runs[random.Next(Runs)].Snapshot();
        var hash = snapshot.StateHash();
        Assert.True(snapshot.Events.Verify().IsValid);
        Assert.Equal(hash, snapshot.StateHash());
        if (random.Next(20) == 0)
            db.StateHash();
    }

    private static void JudgeAll(CairnDatabase db, Run[] runs)
    {
        Assert.NotEqual(HealthStatus.Failed, db.Health.Status);
        Assert.Equal(Total, runs.Sum(run => Enumerable.Range(0, Accounts).Sum(i => run.Kv.Number($"{i}")!.Value)));
        Assert.All(runs, run => Assert.Equal(Accounts, run.Kv.Count()));
        Assert.All(runs, run => Assert.True(run.Events.Verify().IsValid));
    }

    private static CairnDatabase JudgeLog(CairnDatabase db, MemoryStorage storage, CairnOptions options)
    {
        Assert.Empty(db.VerifyDeep().Findings);
        var hash = db.StateHash();
        db.Dispose();
        var again = CairnDatabase.Open(storage, options, EngineHooks.None);
        Assert.Equal(hash, again.StateHash());
        return again;
    }

    // Seldom a yield, more seldom a while of spinning; rare turns three times as often as they would like.
    private sealed class Jostling(ulong seed) : FailpointPlan
    {
        private long _draws;

        internal override void Hit(string name)
        {
            switch (Draw() & 63)
            {
                case 0:
                    Thread.Yield();
                    break;
                case 1:
                    Thread.SpinWait(500);
                    break;
            }
        }

        internal override bool Happens(string name, double p) => Draw() < 3 * p * ulong.MaxValue;

        private ulong Draw() => Schedule.Mix(seed + (ulong)Interlocked.Increment(ref _draws));
    }
}
