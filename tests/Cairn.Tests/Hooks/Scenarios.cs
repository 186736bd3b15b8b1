using Cairn.Tests.Transactions;
using Xunit;

namespace Cairn.Tests.Hooks;

/// <summary>What runs under controlled schedules (S1): the tasks, and what must hold when they have ended. Claims made inside a task count
/// as well.</summary>
internal static class Scenarios
{
    internal static IReadOnlyDictionary<string, Func<ScheduleWorld, (Action[] Tasks, Action Check)>> All { get; } =
        new Dictionary<string, Func<ScheduleWorld, (Action[], Action)>>(StringComparer.Ordinal)
        {
            ["commit and commit"] = CommitAndCommit,
            ["commit and snapshot"] = CommitAndSnapshot,
            ["commit over two runs and a cut"] = CommitAndCut,
            ["commit over two runs and a hash"] = CommitAndHash,
            ["commit and rotation"] = CommitAndRotation,
            ["transfers that cross"] = Transfers,
            ["closing and commit"] = ClosingAndCommit,
            ["deleting a run and commit"] = DeletingAndCommit,
            ["fork and commit"] = ForkAndCommit,
            ["forks deleted with their parent"] = ForksAndDeletion,
            ["sweep and read"] = SweepAndRead,
            ["sync and closing"] = SyncAndClosing,
            ["sync and commit"] = SyncAndCommit,
            ["appends and a reader"] = Appends,
            ["waiting for an event"] = WaitingForAnEvent,
            ["two leases"] = Leases,
            ["two runs of one name"] = Names,
            ["expiry and renewal"] = ExpiryAndRenewal,
            ["await and commit"] = AwaitAndCommit,
            ["checkpoint and commit"] = CheckpointAndCommit,
            ["checkpoint and closing"] = CheckpointAndClosing,
            ["compaction and read"] = CompactionAndRead,
            ["a trigger and two writers"] = TriggerAndWriters,
        };

    // What a trigger wrote and what it has looked at come with one commit: whoever reads never finds the one without the other.
    private static (Action[], Action) TriggerAndWriters(ScheduleWorld world)
    {
        if (!world.HasLog)
            return ([() => world.Run.Kv.Put("user/a", 1)], () => { });               // a trigger reads the log

        world.Run.Triggers.Create("t", new()
        {
            When = TriggerCondition.Prefix("kv", "user/"), Do = TriggerAction.Increment("fired"),
        });
        var job = world.Db.Engine.TriggerJob!;
        void Write(string key)
        {
            for (var i = 0; i < 2; i++)
            {
                world.Run.Kv.Put(key, i);
                var before = world.Run.Triggers.Get("t")!.Fired;
                var written = world.Run.Kv.Number("fired") ?? 0;
                Assert.InRange(written, before, world.Run.Triggers.Get("t")!.Fired);
            }
        }

        void Work()
        {
            for (var i = 0; i < 4; i++)
                job.Step();
        }

        return ([() => Write("user/a"), () => Write("user/b"), Work], () =>
        {
            for (var steps = 0; job.HasWorkInSight && steps < 100; steps++)
                job.Step();
            Assert.Equal((4, 4), (world.Run.Kv.Number("fired"), (int)world.Run.Triggers.Get("t")!.Fired));
        });
    }

    private static (Action[], Action) CommitAndCommit(ScheduleWorld world)
    {
        void Add() => world.Run.Transact(tx => tx.Kv.Put("n", (tx.Kv.Number("n") ?? 0) + 1), new TransactionOptions { Retries = 20 });
        return ([Add, Add, Add], () => Assert.Equal(3, world.Run.Kv.Number("n")));
    }

    private static (Action[], Action) CommitAndSnapshot(ScheduleWorld world)
    {
        void Write()
        {
            for (var i = 1; i <= 3; i++)
            {
                world.Run.Transact(tx =>
                {
                    tx.Kv.Put("a", i);
                    tx.Kv.Put("b", i);
                });
            }
        }

        void Read()
        {
            for (var i = 0; i < 3; i++)
            {
                using var snapshot = world.Run.Snapshot();
                var first = snapshot.Kv.Number("a");
                Assert.Equal(first, snapshot.Kv.Number("b"));
                Assert.Equal(first, world.Run.Transact(tx => (tx.Kv.Number("b") ?? 0) >= (first ?? 0) ? first : -1));
                Assert.Equal(first, snapshot.Kv.Number("a"));
            }
        }

        return ([Write, Read], () => { });
    }

    private static (Action[], Action) CommitAndCut(ScheduleWorld world)
    {
        Run[] runs = [world.Run, world.Db.Runs.Begin("other")];
        var third = world.Db.Runs.Begin("third");
        void Write()
        {
            for (var i = 1; i <= 3; i++)
                world.Db.Transact(runs, tx => Array.ForEach(runs, run => tx.On(run).Kv.Put("n", i)));
        }

        void Read()
        {
            for (var i = 0; i < 6; i++)
            {
                third.Kv.Put("n", i);                        // whoever commits may write and show what another one filled
                using var tx = world.Db.BeginTransaction(runs);
                Assert.Equal(tx.On(runs[0]).Kv.Number("n"), tx.On(runs[1]).Kv.Number("n"));
            }
        }

        return ([Write, Read], () => Assert.Equal(3, runs[1].Kv.Number("n")));
    }

    private static (Action[], Action) CommitAndHash(ScheduleWorld world)
    {
        Run[] runs = [world.Run, world.Db.Runs.Begin("other")];
        var hashes = new List<Hash256>();
        var before = world.Db.StateHash();
        return (
            [
                () => world.Db.Transact(runs, tx => Array.ForEach(runs, run => tx.On(run).Kv.Put("n", 1))),
                () =>
                {
                    for (var i = 0; i < 2; i++)
                        hashes.Add(world.Db.StateHash());
                },
            ],
            () =>
            {
                var after = world.Db.StateHash();
                Assert.All(hashes, hash => Assert.True(hash == before || hash == after, "a hash of half a commit"));
            });
    }

    // A fork has whole commits only, and the same for ever, whatever is written to its parent.
    private static (Action[], Action) ForkAndCommit(ScheduleWorld world)
    {
        var forks = new List<(Run Fork, long? Seen)>();
        void Write()
        {
            for (var i = 1; i <= 4; i++)
            {
                world.Run.Transact(tx =>
                {
                    tx.Kv.Put("a", i);
                    tx.Kv.Put("b", i);
                });
            }
        }

        void Fork()
        {
            for (var i = 0; i < 3; i++)
            {
                var fork = world.Db.Runs.Fork(world.Run.Id);
                var seen = fork.Kv.Number("a");
                Assert.Equal(seen, fork.Kv.Number("b"));
                Assert.Equal(seen is null ? 0 : 2, fork.Kv.List().Count);
                forks.Add((fork, seen));
            }
        }

        return ([Write, Fork], () => Assert.All(forks, fork => Assert.Equal(fork.Seen, fork.Fork.Kv.Number("b"))));
    }

    private static (Action[], Action) ForksAndDeletion(ScheduleWorld world)
    {
        var parent = world.Db.Runs.Begin("parent");
        parent.Kv.Put("n", 1);
        var (first, second) = (world.Db.Runs.Fork(parent.Id), world.Db.Runs.Fork(parent.Id));
        var last = world.Db.Runs.Fork(first.Id);
        void Overwrite()
        {
            for (var i = 0; i < 40; i++)
                world.Run.Kv.Put("n", i);
            Assert.Equal(1, last.Kv.Number("n"));
        }

        return (
            [
                () => world.Db.Runs.Delete(parent.Id),
                () => world.Db.Runs.Delete(second.Id),
                () => world.Db.Runs.Delete(first.Id),
                Overwrite,
            ],
            () =>
            {
                Assert.Equal(1, last.Kv.Number("n"));
                world.Db.Runs.Delete(last.Id);
                Assert.Equal(0, world.Db.Runs.Count());
                Assert.Null(world.Db.Engine.Catalogue.Find(parent.Id));
            });
    }

    private static (Action[], Action) CommitAndRotation(ScheduleWorld world)
    {
        void Write(string key)
        {
            for (var i = 0; i < 4; i++)
                world.Run.Kv.Put($"{key}{i}", new byte[3000]);
        }

        return (
            [() => Write("a"), () => Write("b"), () => world.Db.Engine.Maintainer!.Step()],
            () => Assert.Equal(8, world.Run.Kv.Count()));
    }

    private static (Action[], Action) Transfers(ScheduleWorld world)
    {
        Run[] runs = [world.Run, world.Db.Runs.Begin("other")];
        Array.ForEach(runs, run => run.Kv.Put("n", 10));
        void Move(int from, int to, int amount) => world.Db.Transact(
            [runs[from], runs[to]],
            tx =>
            {
                tx.On(runs[from]).Kv.Put("n", tx.On(runs[from]).Kv.Number("n")!.Value - amount);
                tx.On(runs[to]).Kv.Put("n", tx.On(runs[to]).Kv.Number("n")!.Value + amount);
            },
            new TransactionOptions { Retries = 20 });
        return (
            [() => Move(0, 1, 3), () => Move(1, 0, 4), () => Move(0, 1, 2)],
            () => Assert.Equal((9, 11), (runs[0].Kv.Number("n"), runs[1].Kv.Number("n"))));
    }

    private static (Action[], Action) ClosingAndCommit(ScheduleWorld world)
    {
        var acknowledged = new bool[2];
        void Write(int me)
        {
            try
            {
                world.Run.Kv.Put($"k{me}", 1);
                acknowledged[me] = true;
            }
            catch (ObjectDisposedException)
            {
            }
        }

        return (
            [() => Write(0), world.Db.Dispose, () => Write(1)],
            () =>
            {
                if (!world.HasLog)
                    return;
                world.Reopen();
                Assert.True(world.Db.Recovery.WasClosedCleanly);
                for (var me = 0; me < 2; me++)
                    Assert.Equal(acknowledged[me] ? 1 : default(long?), world.Run.Kv.Number($"k{me}"));
            });
    }

    private static (Action[], Action) DeletingAndCommit(ScheduleWorld world)
    {
        var run = world.Db.Runs.Begin("short");
        void Write()
        {
            try
            {
                for (var i = 0; i < 3; i++)
                    run.Kv.Put("n", i);
            }
            catch (CairnException gone) when (gone.Code == ErrorCode.NotFound)
            {
            }
        }

        void Read()
        {
            try
            {
                using var snapshot = run.Snapshot();
                Assert.Equal(snapshot.Kv.Number("n"), snapshot.Kv.Number("n"));
            }
            catch (CairnException gone) when (gone.Code == ErrorCode.NotFound)
            {
            }
        }

        return (
            [Write, () => world.Db.Runs.Delete(run.Id), Read],
            () =>
            {
                Assert.Null(world.Db.Runs.Get("short"));
                Assert.Equal(ErrorCode.NotFound, TestValues.Refused(() => run.Kv.Put("n", 9)));
                world.Db.Runs.Begin("short");
            });
    }

    private static (Action[], Action) SweepAndRead(ScheduleWorld world)
    {
        world.Run.Kv.Put("a", 0);
        void Write()
        {
            for (var i = 1; i <= 6; i++)
                world.Run.Kv.Put("a", i);
            world.Run.Kv.Delete("a");
        }

        void Read()
        {
            using var snapshot = world.Run.Snapshot();
            var first = snapshot.Kv.Number("a");
            for (var i = 0; i < 4; i++)
            {
                using var other = world.Run.Snapshot();
                Assert.Equal(first, snapshot.Kv.Number("a"));
                Assert.Equal(first is null ? 0 : 1, snapshot.Kv.Count());
            }
        }

        void Sweep()
        {
            for (var i = 0; i < 3; i++)
                world.Db.Engine.Maintainer!.Step();
        }

        return ([Write, Read, Sweep], () => Assert.Null(world.Run.Kv.Get("a")));
    }

    // Large values that move beneath a reader, into an archive and out of it, beside one who writes them over.
    private static (Action[], Action) CompactionAndRead(ScheduleWorld world)
    {
        static Value Large(int number) => new string((char)('a' + number), 5_000);
        for (var i = 0; i < 3; i++)
        {
            world.Run.Kv.Put("kept", Large(20));
            world.Run.Kv.Put("a", Large(i));
            world.CheckpointAndForget();
        }

        void Compact()
        {
            if (!world.HasLog)
                return;
            world.Db.Compact();
            world.CheckpointAndForget();
            world.Db.Compact();
        }

        void Read()
        {
            using var snapshot = world.Run.Snapshot();
            var first = snapshot.Kv.Get("a")!.Value;
            for (var i = 0; i < 3; i++)
            {
                Assert.Equal(Large(20), world.Run.Kv.Get("kept")!.Value);
                Assert.Equal(first, snapshot.Kv.Get("a")!.Value);
                Assert.Equal(5_000, world.Run.Kv.Get("a")!.Value.AsString().Length);
            }
        }

        void Write()
        {
            for (var i = 3; i < 6; i++)
                world.Run.Kv.Put("a", Large(i));
        }

        return ([Compact, Read, Write], () => Assert.Equal(Large(5), world.Run.Kv.Get("a")!.Value));
    }

    private static (Action[], Action) SyncAndClosing(ScheduleWorld world)
    {
        world.Run.Kv.Put("a", 1);
        void Sync()
        {
            try
            {
                world.Db.Sync();
            }
            catch (ObjectDisposedException)
            {
            }
        }

        return ([Sync, world.Db.Dispose, Sync], () =>
        {
            world.Reopen();
            if (world.HasLog)
                Assert.Equal(1, world.Run.Kv.Number("a"));
        });
    }

    private static (Action[], Action) SyncAndCommit(ScheduleWorld world)
    {
        var log = world.Db.Engine.Path.Log;
        void Sync()
        {
            world.Run.Kv.Put("s", 1);
            var written = log.WrittenPosition;
            world.Db.Sync();
            Assert.True(!world.HasLog || log.SyncedPosition >= written, "a sync that returned covers what was written before it");
        }

        return ([Sync, () => world.Run.Kv.Put("a", 1), () => log.MarkIfIdle(TimeSpan.Zero)], () => Assert.Equal(2, world.Run.Kv.Count()));
    }

    private static (Action[], Action) Appends(ScheduleWorld world)
    {
        void Append()
        {
            for (var i = 0; i < 2; i++)
                world.Run.Events.Append("note", Value.Object(("i", i)));
        }

        void Read()
        {
            using var snapshot = world.Run.Snapshot();
            var verified = snapshot.Events.Verify();
            Assert.True(verified.IsValid, verified.Error);
            Assert.Equal(snapshot.Events.Count(), verified.Length);
        }

        return ([Append, Append, Read], () =>
        {
            Assert.Equal(4, world.Run.Events.Count());
            Assert.True(world.Run.Events.Verify().IsValid);
        });
    }

    private static (Action[], Action) WaitingForAnEvent(ScheduleWorld world) => (
        [
            () => Assert.True(world.Run.Events.Wait(new EventNumber(1), Timeout.InfiniteTimeSpan)),
            () => world.Run.Events.Append("note", Value.Object()),
            () => world.Run.Events.Append("note", Value.Object()),
        ],
        () => Assert.Equal(2, world.Run.Events.Count()));

    private static (Action[], Action) Leases(ScheduleWorld world)
    {
        var won = 0;
        void Acquire(string owner)
        {
            if (world.Run.State.Acquire("lease", owner, TimeSpan.FromSeconds(10)).IsAcquired)
                Interlocked.Increment(ref won);
        }

        return ([() => Acquire("ada"), () => Acquire("bob"), () => Acquire("eve")], () => Assert.Equal(1, won));
    }

    private static (Action[], Action) Names(ScheduleWorld world)
    {
        var begun = 0;
        void Begin()
        {
            try
            {
                world.Db.Runs.Begin("name");
                Interlocked.Increment(ref begun);
            }
            catch (CairnException taken) when (taken.Code == ErrorCode.AlreadyExists)
            {
            }
        }

        return ([Begin, Begin, Begin], () => Assert.Equal(1, begun));
    }

    private static (Action[], Action) ExpiryAndRenewal(ScheduleWorld world)
    {
        world.Run.Kv.Put("a", 1, TimeSpan.FromSeconds(1));
        world.Clock.Advance(TimeSpan.FromSeconds(2));
        return (
            [
                () => world.Run.Kv.Put("a", 2, TimeSpan.FromSeconds(10)),
                () => world.Db.Engine.Maintainer!.Step(),
                () => Assert.Contains(world.Run.Kv.Number("a"), new long?[] { null, 2 }),
            ],
            () => Assert.Equal(2, world.Run.Kv.Number("a")));
    }

    private static (Action[], Action) CheckpointAndCommit(ScheduleWorld world)
    {
        Run[] runs = [world.Run, world.Db.Runs.Begin("other")];
        void Write()
        {
            for (var i = 1; i <= 3; i++)
                world.Db.Transact(runs, tx => Array.ForEach(runs, run => tx.On(run).Kv.Put("n", i)));
        }

        void Checkpoint()
        {
            for (var i = 0; i < 2; i++)
                world.CheckpointAndForget();
        }

        void Read()
        {
            for (var i = 0; i < 3; i++)
            {
                using var tx = world.Db.BeginTransaction(runs);
                Assert.Equal(tx.On(runs[0]).Kv.Number("n"), tx.On(runs[1]).Kv.Number("n"));
            }
        }

        return ([Write, Checkpoint, Read], () =>
        {
            world.CheckpointAndForget();
            Assert.Equal((3, 3), (runs[0].Kv.Number("n"), runs[1].Kv.Number("n")));
        });
    }

    private static (Action[], Action) CheckpointAndClosing(ScheduleWorld world)
    {
        world.Run.Kv.Put("a", 1);
        void Checkpoint()
        {
            try
            {
                world.CheckpointAndForget();
            }
            catch (ObjectDisposedException)
            {
            }
        }

        return ([Checkpoint, world.Db.Dispose, Checkpoint], () =>
        {
            world.Reopen();
            if (!world.HasLog)
                return;
            Assert.True(world.Db.Recovery.WasClosedCleanly);
            Assert.Equal(1, world.Run.Kv.Number("a"));
        });
    }

    private static (Action[], Action) AwaitAndCommit(ScheduleWorld world)
    {
        void Await(string key)
        {
            for (var i = 0; i < 2; i++)
                world.Run.Kv.PutAsync(key, i).AsTask().Wait();
        }

        return ([() => Await("a"), () => Await("b"), () => world.Run.Kv.Put("c", 1)], () => Assert.Equal(3, world.Run.Kv.Count()));
    }
}
