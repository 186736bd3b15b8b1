using Cairn.Tests.Transactions;
using Xunit;

namespace Cairn.Tests.Forks;

/// <summary>Whatever is done to a forest of runs and forks, each of them is what the model says: with forks of forks, deletions of parents,
/// checkpoints, forgetting, merges, compaction, closing and killing between.</summary>
[Trait("Promise", "G10")]
[Trait("Requirement", "RPL-11")]
[Trait("Requirement", "RPL-13")]
public class ForkModelTests(ITestOutputHelper output)
{
    private static CairnOptions Small(CairnOptions options) => options with
    {
        CheckpointOnClose = false, SegmentBytesMin = 16 << 10, SegmentBytesMax = 16 << 10, Retention = Retention.KeepLast(1),
    };

    [Fact]
    public void In_memory()
    {
        var seed = Seeds.Begin("forks in memory");
        for (var round = 0; round < Seeds.Scaled(4); round++)
            Play(Durability.InMemory, seed + (ulong)round, steps: 600);
    }

    [Fact]
    public void With_a_log_checkpoints_merges_and_restarts()
    {
        var seed = Seeds.Begin("forks on disk");
        for (var round = 0; round < Seeds.Scaled(6); round++)
            Play(round % 2 == 0 ? Durability.Strict : Durability.Buffered, seed + (ulong)round, steps: 500);
    }

    [Fact]
    [Trait("Requirement", "RPL-10")]
    public void With_every_past_point()
    {
        var seed = Seeds.Begin("forks of the past");
        for (var round = 0; round < Seeds.Scaled(6); round++)
            Play(round % 2 == 0 ? Durability.Strict : Durability.Buffered, seed + (ulong)round, steps: 400, keepsAll: true);
    }

    private void Play(Durability mode, ulong seed, int steps, bool keepsAll = false)
    {
        output.WriteLine($"{mode} {seed}");
        using var test = new TestDatabase(
            mode, mode == Durability.InMemory ? null : options => Small(options) with
            {
                Retention = keepsAll ? Retention.KeepAll : Retention.KeepLast(1),
            });
        var forest = new ForkForest(test, seed, keepsAll: keepsAll);
        var random = new Random(unchecked((int)seed));
        var done = "begun";
        for (var step = 0; step < steps; step++)
        {
            try
            {
                forest.Step();
                if (step % 5 == 0)
                {
                    done = test.HasLog ? Disturb(test, forest, random) : Tidy(test);
                    forest.Check();
                }
            }
            catch (Exception failure)
            {
                throw new InvalidOperationException($"seed {seed}, {mode}, step {step}, behind {done}: {failure.Message}", failure);
            }
        }

        forest.DropSnapshots();
        forest.Check();
        output.WriteLine($"{forest.Forks} forks, {forest.PastForks} of the past, {forest.Deletions} deletions");
        Assert.True(forest.Forks > 3 && forest.Deletions > 0);
        if (!test.HasLog)
            return;
        Assert.True(forest.PastForks > (keepsAll ? 5 : 0));
        for (var i = 0; i < (keepsAll ? 3 : 0); i++)
            forest.ForkEverywhere(most: 40);
        var hash = test.Db.StateHash();
        Replay(test, forest);
        test.Reopen();
        forest.Check();
        Assert.Equal(hash, test.Db.StateHash());
        var verified = test.Db.VerifyDeep();
        Assert.True(verified.IsValid, string.Join('\n', verified.Findings));
        test.Reopen(isKilled: true);
        forest.Check();
    }

    // Every run that retention has left whole is what its records say.
    private static void Replay(TestDatabase test, ForkForest forest)
    {
        foreach (var id in forest.Lives.Keys)
        {
            try
            {
                using var view = test.Db.Replay(id);
                Assert.Equal(test.Db.Runs.Get(id)!.StateHash(), view.StateHash());
            }
            catch (HistoryTrimmedException)
            {
                // Compaction came by.
            }
        }
    }

    private static string Disturb(TestDatabase test, ForkForest forest, Random random)
    {
        switch (random.Next(14))
        {
            case 0:
                test.Checkpoint();
                return "a checkpoint";
            case 1 or 2:
                test.CheckpointAndForget();
                return "a checkpoint, and memory forgot";
            case 3:
                Forget(test);
                return "memory forgot some";
            case 4 or 5:
                while (test.Db.Engine.Merger!.Step(all: random.Next(2) == 0))
                {
                }

                return "merges";
            case 6:
                forest.DropSnapshots();
                test.Db.Compact(null, TestContext.Current.CancellationToken);
                return "compaction";
            case 7:
                forest.DropSnapshots();
                test.Reopen();
                return "a restart";
            case 8:
                forest.DropSnapshots();
                test.Reopen(isKilled: true);
                return "a kill";
            case 9:
                return Tidy(test);
            case 10:
                // A checkpoint under way, which the next operations fall into.
                test.Db.Engine.Checkpointer!.Step();
                return "a step of a checkpoint";
            default:
                return "nothing";
        }
    }

    private static void Forget(TestDatabase test)
    {
        foreach (var run in test.Db.Engine.Catalogue.Loaded.Append(test.Db.Engine.Catalogue.State))
        {
            run.Store.PrepareToForget();
            lock (run.CommitLock)
                run.Store.Forget(int.MaxValue, eager: true);
        }
    }

    private static string Tidy(TestDatabase test)
    {
        test.Db.Engine.Catalogue.SettleForks();
        foreach (var run in test.Db.Engine.Catalogue.Loaded.Append(test.Db.Engine.Catalogue.State))
        {
            lock (run.CommitLock)
                run.Store.Sweep(10_000);
        }

        return "a sweep";
    }
}
