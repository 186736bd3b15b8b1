using Xunit;

namespace Cairn.Tests.Primitives;

public class StateTests
{
    public static TheoryData<Durability> Modes => ModeDatabase.Modes;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private static ErrorCode CodeOf(Action action) => Assert.ThrowsAny<CairnException>(action).Code;

    [Theory]
    [MemberData(nameof(Modes))]
    public async Task ST_1_Init_creates_once_and_Get_tells_all(Durability mode)
    {
        using var world = new ModeDatabase(mode);
        var state = world.Run.State;
        Assert.Null(state.Get("budget"));
        Assert.False(state.TryGet("budget", out _));
        Assert.False(state.Exists("budget"));
        var receipt = state.Init("budget", 100);
        Assert.Equal(1UL, receipt.Counter.Value);
        Assert.Equal(ErrorCode.AlreadyExists, CodeOf(() => state.Init("budget", 5)));
        Assert.Equal(new StateCell(100, 1, receipt.Sequence, world.Clock.GetUtcNow(), null), state.Get("budget"));
        Assert.True(state.TryGet("budget", out var value));
        Assert.Equal(100, value.AsInt64());
        Assert.Equal(2UL, (await state.SetAsync("budget", Value.Null, cancellationToken: Token)).Counter.Value);
        Assert.True(state.Exists("budget"));
        Assert.Equal(Value.Null, state.Get("budget")!.Value.Value);
        Assert.Equal(1, state.Set("nan", double.NaN).Counter.Value == 1 ? 1 : 0);
        Assert.Equal(["budget", "nan"], state.List());
        Assert.Equal(["budget"], state.List(new ScanOptions { Prefix = "b" }));
        Assert.Equal(2UL, Assert.Single(state.Scan(new ScanOptions { Limit = 1 })).Value.Counter.Value);
        Assert.Equal(2, state.Count());
    }

    [Theory]
    [MemberData(nameof(Modes))]
    public void ST_2_ST_3_The_counter_grows_with_each_write_and_survives_deletion(Durability mode)
    {
        using var world = new ModeDatabase(mode);
        var state = world.Run.State;
        Assert.Equal(1UL, state.Init("c", "x").Counter.Value);
        Assert.Equal(2UL, state.Set("c", "x").Counter.Value);
        Assert.True(state.Delete("c"));
        Assert.False(state.Delete("c"));
        Assert.Null(state.Get("c"));
        world.Reopen();
        state = world.Run.State;
        Assert.Equal(4UL, state.Init("c", "x").Counter.Value);
        var mismatch = Assert.Throws<VersionMismatchException>(() => state.CompareAndSet("c", 2, "y"));
        Assert.Equal((2UL, 4UL), (mismatch.Expected, mismatch.Actual));
        Assert.Equal(5UL, state.CompareAndSet("c", 4, "x").Counter.Value);
        Assert.Equal(0UL, Assert.Throws<VersionMismatchException>(() => state.CompareAndSet("none", 4, "x")).Actual);
        Assert.Equal(1UL, state.CompareAndSet("none", Counter.None, "x").Counter.Value);
        Assert.Equal(ErrorCode.VersionMismatch, CodeOf(() => state.CompareAndSet("none", Counter.None, "x")));
    }

    [Theory]
    [MemberData(nameof(Modes))]
    public void ST_2_Several_writes_in_one_transaction_are_that_many_steps(Durability mode)
    {
        using var world = new ModeDatabase(mode);
        world.Run.State.Set("c", 0);
        var receipts = new List<StateReceipt>();
        world.Run.Transact(tx =>
        {
            receipts.Add(tx.State.Set("c", 1));
            receipts.Add(tx.State.Set("c", 2));
            Assert.Throws<InvalidOperationException>(() => receipts[0].Counter);
            Assert.True(tx.State.TryGet("c", out var own));
            Assert.Equal(2, own.AsInt64());
            Assert.Equal(3UL, tx.State.Get("c")!.Value.Counter.Value);
            tx.State.Delete("c");
            Assert.Null(tx.State.Get("c"));
            receipts.Add(tx.State.Init("c", 3));
            Assert.Equal(5UL, tx.State.Get("c")!.Value.Counter.Value);
            Assert.Equal(ErrorCode.AlreadyExists, CodeOf(() => tx.State.Init("c", 4)));
            receipts.Add(tx.State.Set("d", 4));
            Assert.Equal(2, tx.State.Count());
            Assert.Equal([("c", 5UL), ("d", 1UL)], tx.State.Scan().Select(pair => (pair.Key, pair.Value.Counter.Value)));
        });

        Assert.Equal([2UL, 3UL, 5UL, 1UL], receipts.Select(receipt => receipt.Counter.Value));
        Assert.All(receipts, receipt => Assert.Equal(world.Db.Sequence, receipt.Sequence));
        Assert.Equal(5UL, world.Run.State.Get("c")!.Value.Counter.Value);
        Assert.Equal(2, world.Run.State.Count());
    }

    [Theory]
    [MemberData(nameof(Modes))]
    public void ST_3_A_listing_in_a_transaction_counts_on_from_the_tombstone(Durability mode)
    {
        using var world = new ModeDatabase(mode);
        world.Run.State.Set("c", 0);
        world.Run.State.Delete("c");
        using var tx = world.Run.BeginTransaction();
        tx.State.Set("c", 1);
        Assert.Equal(3UL, Assert.Single(tx.State.Scan()).Value.Counter.Value);
        Assert.Equal(3UL, tx.State.Get("c")!.Value.Counter.Value);
        tx.Commit();
        Assert.Equal(3UL, world.Run.State.Get("c")!.Value.Counter.Value);
    }

    [Theory]
    [MemberData(nameof(Modes))]
    public void ST_4_Set_is_blind_and_its_counter_comes_with_the_commit(Durability mode)
    {
        using var world = new ModeDatabase(mode);
        using var tx = world.Run.BeginTransaction();
        var receipt = tx.State.Set("c", 1);
        Assert.True(tx.State.TryGet("c", out _));
        Assert.True(tx.State.Exists("c"));
        world.Run.State.Set("c", 2);
        world.Run.State.Set("c", 3);
        tx.Commit();
        Assert.Equal(3UL, receipt.Counter.Value);
        Assert.Equal(1, world.Run.State.Get("c")!.Value.Value.AsInt64());
    }

    [Theory]
    [MemberData(nameof(Modes))]
    public void ST_4_Asking_for_the_counter_of_an_own_write_is_a_read(Durability mode)
    {
        using var world = new ModeDatabase(mode);
        using var tx = world.Run.BeginTransaction();
        tx.State.Set("c", 1);
        Assert.Equal(1UL, tx.State.Get("c")!.Value.Counter.Value);
        world.Run.State.Set("c", 2);
        Assert.Throws<ConflictException>(() => tx.Commit());
    }

    [Theory]
    [MemberData(nameof(Modes))]
    public void ST_5_Of_many_with_one_expectation_exactly_one_wins(Durability mode)
    {
        using var world = new ModeDatabase(mode);
        world.Run.State.Set("c", 0);
        var won = 0;
        ModeDatabase.OnThreads(6, thread =>
        {
            try
            {
                world.Run.State.CompareAndSet("c", 1, thread);
                Interlocked.Increment(ref won);
            }
            catch (VersionMismatchException mismatch)
            {
                Assert.Equal(2UL, mismatch.Actual);
            }
        });
        Assert.Equal(1, won);
        Assert.Equal(0, world.Db.Engine.Retries);
    }

    [Theory]
    [MemberData(nameof(Modes))]
    public void ST_5_In_a_transaction_the_expectation_is_checked_at_the_call_and_at_commit(Durability mode)
    {
        using var world = new ModeDatabase(mode);
        world.Run.State.Set("c", 0);
        using (var tx = world.Run.BeginTransaction())
        {
            Assert.Equal(1UL, Assert.Throws<VersionMismatchException>(() => tx.State.CompareAndSet("c", 7, 1)).Actual);
            tx.Kv.Put("x", 1);
            world.Run.State.Set("c", 1);
            Assert.Throws<ConflictException>(() => tx.Commit());     // TX-14: the failure told something
        }

        using (var tx = world.Run.BeginTransaction())
        {
            var receipt = tx.State.CompareAndSet("c", 2, 5);
            tx.State.CompareAndSet("c", 2, 6);
            tx.Commit();
            Assert.Equal(3UL, receipt.Counter.Value);
            Assert.Equal(4UL, world.Run.State.Get("c")!.Value.Counter.Value);
        }

        using (var tx = world.Run.BeginTransaction())
        {
            tx.State.CompareAndSet("c", 4, 9);
            world.Run.State.Set("c", 6);
            Assert.Throws<ConflictException>(() => tx.Commit());
        }

        Assert.Equal(6, world.Run.State.Get("c")!.Value.Value.AsInt64());
    }

    [Theory]
    [MemberData(nameof(Modes))]
    public void ST_6_Transition_reads_computes_and_writes(Durability mode)
    {
        using var world = new ModeDatabase(mode);
        var state = world.Run.State;
        Assert.Equal(ErrorCode.NotFound, CodeOf(() => state.Transition("c", value => value)));
        state.Init("c", 10);
        var (value, counter) = state.Transition("c", present => present.AsInt64() + 5);
        Assert.Equal((15L, 2UL), (value.AsInt64(), counter.Value));
        Assert.Throws<InvalidTimeZoneException>(() => state.Transition("c", _ => throw new InvalidTimeZoneException()));
        Assert.Equal(2UL, state.Get("c")!.Value.Counter.Value);
        world.Run.Transact(tx =>
        {
            Assert.Equal(new TransitionResult(16, 3), tx.State.Transition("c", present => present.AsInt64() + 1));
            Assert.Equal(new TransitionResult(17, 4), tx.State.Transition("c", present => present.AsInt64() + 1));
        });
        Assert.Equal(4UL, state.Get("c")!.Value.Counter.Value);
        world.Run.Transact(_ => state.Transition("c", present => present.AsInt64() + 1));     // TX-37: joins
        Assert.Equal(18, state.Get("c")!.Value.Value.AsInt64());
    }

    [Theory]
    [MemberData(nameof(Modes))]
    public void ST_7_TransitionOrInit_and_GetOrInit_create_once(Durability mode)
    {
        using var world = new ModeDatabase(mode);
        var state = world.Run.State;
        Assert.Equal(new TransitionResult(90, 1), state.TransitionOrInit("budget", 100, value => value.AsInt64() - 10));
        Assert.Equal(new TransitionResult(80, 2), state.TransitionOrInit("budget", 100, value => value.AsInt64() - 10));
        state.Delete("budget");
        Assert.Equal(new TransitionResult(90, 4), state.TransitionOrInit("budget", 100, value => value.AsInt64() - 10));

        var made = 0;
        var answers = new System.Collections.Concurrent.ConcurrentBag<long>();
        ModeDatabase.OnThreads(6, thread => answers.Add(state.GetOrInit(
            "id",
            () =>
            {
                Interlocked.Increment(ref made);
                return thread;
            }).AsInt64()));
        Assert.Single(answers.Distinct());
        Assert.InRange(made, 1, 6);
        Assert.Equal(1UL, state.Get("id")!.Value.Counter.Value);
        world.Run.Transact(tx =>
        {
            Assert.Equal(7, tx.State.GetOrInit("own", () => 7).AsInt64());
            Assert.Equal(7, tx.State.GetOrInit("own", () => 8).AsInt64());
        });
    }

    [Theory]
    [MemberData(nameof(Modes))]
    public void ST_8_Four_threads_with_a_hundred_transitions_each_give_four_hundred(Durability mode)
    {
        using var world = new ModeDatabase(mode);
        ModeDatabase.OnThreads(4, _ =>
        {
            for (var n = 0; n < 100; n++)
                world.Run.State.TransitionOrInit("n", 0, value => value.AsInt64() + 1);
        });
        var cell = world.Run.State.Get("n")!.Value;
        Assert.Equal((400L, 400UL), (cell.Value.AsInt64(), cell.Counter.Value));
        world.Reopen();
        Assert.Equal(cell, world.Run.State.Get("n"));
    }

    [Theory]
    [MemberData(nameof(Modes))]
    public void ST_9_Time_to_live_as_in_Kv(Durability mode)
    {
        using var world = new ModeDatabase(mode);
        var state = world.Run.State;
        state.Set("c", 1, TimeSpan.FromSeconds(10));
        Assert.Equal(world.Clock.GetUtcNow().AddSeconds(10), state.Get("c")!.Value.Expiry);
        world.Clock.Advance(TimeSpan.FromSeconds(6));
        Assert.Equal(2UL, state.Transition("c", value => value.AsInt64() + 1).Counter.Value);
        Assert.Equal(4, (state.Get("c")!.Value.Expiry! - world.Clock.GetUtcNow()).Value.TotalSeconds);
        Assert.True(state.Expire("c", TimeSpan.FromSeconds(20)));
        world.Clock.Advance(TimeSpan.FromSeconds(15));
        Assert.Equal(2UL, state.Get("c")!.Value.Counter.Value);
        world.Reopen();
        state = world.Run.State;
        world.Clock.Advance(TimeSpan.FromSeconds(5));
        Assert.Null(state.Get("c"));
        Assert.Equal(0, state.Count());
        Assert.Empty(state.List());
        Assert.False(state.Expire("c", TimeSpan.FromSeconds(1)));
        Assert.False(state.Persist("c"));
        Assert.False(state.Delete("c"));
        Assert.Equal(0UL, Assert.Throws<VersionMismatchException>(() => state.CompareAndSet("c", 2, 1)).Actual);
        world.Db.Engine.Maintainer!.Step();
        Assert.Equal(3UL, state.Init("c", 1).Counter.Value);         // S3: the sweep took no step
        Assert.True(state.Expire("c", TimeSpan.FromSeconds(1)));
        Assert.True(state.Persist("c"));
        world.Clock.Advance(TimeSpan.FromDays(1));
        Assert.Equal(3UL, state.Get("c")!.Value.Counter.Value);
        world.Run.Transact(tx =>
        {
            Assert.True(tx.State.Expire("c", TimeSpan.FromSeconds(3)));
            Assert.Equal(3UL, tx.State.Get("c")!.Value.Counter.Value);
            Assert.False(tx.State.Persist("none"));
        });
        Assert.Equal(3, (state.Get("c")!.Value.Expiry! - world.Clock.GetUtcNow()).Value.TotalSeconds);
        Assert.Throws<LimitException>(() => state.Set("c", 1, TimeSpan.Zero));
    }

    [Theory]
    [MemberData(nameof(Modes))]
    public void ST_10_A_lease_has_one_holder_and_a_token_that_grows(Durability mode)
    {
        using var world = new ModeDatabase(mode);
        var state = world.Run.State;
        var first = state.Acquire("lock", "ada", TimeSpan.FromSeconds(10));
        Assert.Equal(new LeaseResult(true, 1, "ada", world.Clock.GetUtcNow().AddSeconds(10)), first);
        Assert.Equal(first with { IsAcquired = false }, state.Acquire("lock", "eve", TimeSpan.FromSeconds(10)));
        world.Clock.Advance(TimeSpan.FromSeconds(8));
        var renewed = state.Renew("lock", first.Token, TimeSpan.FromSeconds(10));
        Assert.Equal(
            (true, first.Token, world.Clock.GetUtcNow().AddSeconds(10)), (renewed.IsAcquired, renewed.Token, renewed.Expiry!.Value));
        world.Clock.Advance(TimeSpan.FromSeconds(9));
        Assert.False(state.Acquire("lock", "eve", TimeSpan.FromSeconds(10)).IsAcquired);
        world.Reopen();
        state = world.Run.State;
        world.Clock.Advance(TimeSpan.FromSeconds(1));
        var second = state.Acquire("lock", "eve", TimeSpan.FromSeconds(10));
        Assert.True(second.IsAcquired);
        Assert.True(second.Token > first.Token);
        Assert.Equal(second with { IsAcquired = false }, state.Renew("lock", first.Token, TimeSpan.FromSeconds(10)));
        Assert.False(state.Release("lock", first.Token));
        Assert.True(state.Release("lock", second.Token));
        Assert.False(state.Release("lock", second.Token));
        Assert.Equal(default, state.Renew("lock", second.Token, TimeSpan.FromSeconds(10)));
        Assert.True(state.Acquire("lock", "bob", TimeSpan.FromSeconds(10)).Token > second.Token);
        state.Set("plain", 5);
        Assert.Equal(ErrorCode.WrongType, CodeOf(() => state.Acquire("plain", "ada", TimeSpan.FromSeconds(1))));
        Assert.Equal(ErrorCode.WrongType, CodeOf(() => state.Release("plain", 1)));
        Assert.Equal(ErrorCode.InvalidName, CodeOf(() => state.Acquire("lock", "", TimeSpan.FromSeconds(1))));
    }

    [Theory]
    [MemberData(nameof(Modes))]
    public void ST_10_A_stale_token_fails_every_guarded_write(Durability mode)
    {
        using var world = new ModeDatabase(mode);
        var token = world.Run.State.Acquire("lock", "ada", TimeSpan.FromSeconds(10)).Token;
        world.Run.Transact(tx =>
        {
            tx.State.Require("lock", token);
            tx.Kv.Put("x", 1);
        });
        using var late = world.Run.BeginTransaction();
        late.State.Require("lock", token);
        late.Kv.Put("x", 2);
        world.Clock.Advance(TimeSpan.FromSeconds(10));
        Assert.Throws<VersionMismatchException>(() => late.Commit());
        Assert.True(world.Run.State.Acquire("lock", "eve", TimeSpan.FromSeconds(10)).IsAcquired);
        Assert.Throws<VersionMismatchException>(() => world.Run.Transact(tx => tx.State.Require("lock", token)));
        Assert.Throws<VersionMismatchException>(() => world.Run.State.Require("lock", token));
        Assert.Equal(1, world.Run.Kv.Get("x")!.Value.AsInt64());
    }

    [Theory]
    [MemberData(nameof(Modes))]
    public void ST_10_Of_many_who_ask_one_gets_the_lease_and_all_learn_who(Durability mode)
    {
        using var world = new ModeDatabase(mode);
        var answers = new System.Collections.Concurrent.ConcurrentBag<LeaseResult>();
        ModeDatabase.OnThreads(6, thread => answers.Add(world.Run.State.Acquire("lock", $"owner{thread}", TimeSpan.FromMinutes(1))));
        Assert.Single(answers, answer => answer.IsAcquired);
        Assert.Single(answers.Select(answer => (answer.Holder, answer.Token)).Distinct());
    }

    [Theory]
    [MemberData(nameof(Modes))]
    public void ST_10_Leases_in_a_transaction_commit_with_it(Durability mode)
    {
        using var world = new ModeDatabase(mode);
        LeaseResult lease = default;
        world.Run.Transact(tx =>
        {
            lease = tx.State.Acquire("lock", "ada", TimeSpan.FromSeconds(5));
            Assert.False(tx.State.Acquire("lock", "eve", TimeSpan.FromSeconds(5)).IsAcquired);
        });
        Assert.Equal(lease.Token, world.Run.State.Get("lock")!.Value.Counter);
        world.Run.Transact(tx => Assert.True(tx.State.Renew("lock", lease.Token, TimeSpan.FromSeconds(50)).IsAcquired));
        Assert.Equal(50, (world.Run.State.Get("lock")!.Value.Expiry! - world.Clock.GetUtcNow()).Value.TotalSeconds);
        Assert.Equal(lease.Token, world.Run.State.Get("lock")!.Value.Counter);
        using var loser = world.Run.BeginTransaction();
        Assert.True(loser.State.Release("lock", lease.Token));
        Assert.True(loser.State.Acquire("lock", "eve", TimeSpan.FromSeconds(5)).IsAcquired);
        world.Run.Transact(tx => Assert.True(tx.State.Release("lock", lease.Token)));
        Assert.Throws<ConflictException>(() => loser.Commit());
        Assert.Equal(3UL, world.Run.State.Acquire("lock", "eve", TimeSpan.FromSeconds(5)).Token.Value);
    }

    [Theory]
    [MemberData(nameof(Modes))]
    public void ST_11_Require_is_a_guard_and_no_read(Durability mode)
    {
        using var world = new ModeDatabase(mode);
        world.Run.State.Set("c", 0);
        using (var tx = world.Run.BeginTransaction())
        {
            tx.State.Require("c", 1);
            tx.State.Require("absent", Counter.None);
            tx.State.Set("c", 1);
            tx.State.Require("c", 1);                        // the committed counter, not the own one
            tx.Commit();
        }

        using (var tx = world.Run.BeginTransaction())
        {
            tx.State.Require("c", 2);
            tx.Kv.Put("x", 1);
            world.Run.State.Set("c", 5);
            var mismatch = Assert.Throws<VersionMismatchException>(() => tx.Commit());
            Assert.Equal((2UL, 3UL), (mismatch.Expected, mismatch.Actual));
        }

        Assert.False(world.Run.Kv.Exists("x"));
        world.Run.State.Require("c", 3);
        Assert.Throws<VersionMismatchException>(() => world.Run.State.Require("c", 2));
    }

    [Theory]
    [MemberData(nameof(Modes))]
    public void ST_1_Every_door_refuses_before_anything_changes(Durability mode)
    {
        using var world = new ModeDatabase(mode, new CairnOptions { Limits = new Limits { ValueBytesMax = 1000, DepthMax = 3 } });
        var state = world.Run.State;
        var big = (Value)new string('x', 1000);
        (ErrorCode, string)[] bad =
        [
            (ErrorCode.InvalidKey, ""), (ErrorCode.InvalidKey, "a\0b"), (ErrorCode.InvalidKey, "$x"),
            (ErrorCode.LimitExceeded, new string('x', 1025)),
        ];
        foreach (var (code, name) in bad)
        {
            Assert.Equal(code, CodeOf(() => state.Set(name, 1)));
            Assert.Equal(code, CodeOf(() => state.Init(name, 1)));
            Assert.Equal(code, CodeOf(() => state.CompareAndSet(name, 1, 1)));
            Assert.Equal(code, CodeOf(() => state.TransitionOrInit(name, 1, value => value)));
            Assert.Equal(code, CodeOf(() => state.Delete(name)));
            Assert.Equal(code, CodeOf(() => state.Acquire(name, "ada", TimeSpan.FromSeconds(1))));
            Assert.Equal(code, CodeOf(() => world.Run.Transact(tx => { tx.State.Set(name, 1); })));
        }

        Assert.Equal(ErrorCode.LimitExceeded, CodeOf(() => state.Set("c", big)));
        Assert.Equal(ErrorCode.LimitExceeded, CodeOf(() => state.Init("c", big)));
        Assert.Equal(ErrorCode.LimitExceeded, CodeOf(() => state.TransitionOrInit("c", 1, _ => big)));
        Assert.Equal(ErrorCode.LimitExceeded, CodeOf(() => state.Set("c", Value.Array(Value.Array(Value.Array(Value.Array(1)))))));
        Assert.Equal(Sequence.None, world.Db.Sequence);
        world.CloseRun();
        Assert.Equal(ErrorCode.RunClosed, CodeOf(() => state.Set("c", 1)));
        Assert.Equal(ErrorCode.RunClosed, CodeOf(() => state.TransitionOrInit("c", 1, value => value)));
    }

    [Theory]
    [MemberData(nameof(Modes))]
    public void ST_1_A_snapshot_shows_cells_as_they_were(Durability mode)
    {
        using var world = new ModeDatabase(mode);
        world.Run.State.Set("c", 1);
        world.Run.State.Set("d", 1);
        using var snapshot = world.Run.Snapshot();
        world.Run.State.Set("c", 2);
        world.Run.State.Delete("d");
        Assert.Equal((1L, 1UL), (snapshot.State.Get("c")!.Value.Value.AsInt64(), snapshot.State.Get("c")!.Value.Counter.Value));
        Assert.Equal(["c", "d"], snapshot.State.List());
        Assert.Equal(2, snapshot.State.Count());
    }

    [Theory]
    [MemberData(nameof(Modes))]
    public void ST_6_Readers_of_a_cell_conflict_with_its_writers(Durability mode)
    {
        using var world = new ModeDatabase(mode);
        world.Run.State.Set("c", 1);
        using (var tx = world.Run.BeginTransaction())
        {
            tx.State.Get("c");
            tx.State.Set("d", 1);
            world.Run.State.Set("c", 2);
            Assert.Equal("state", Assert.Throws<ConflictException>(() => tx.Commit()).Primitive);
        }

        using (var tx = world.Run.BeginTransaction())
        {
            tx.State.List(new ScanOptions { Prefix = "x" });
            tx.State.Set("d", 1);
            world.Run.State.Set("x1", 2);
            Assert.Throws<ConflictException>(() => tx.Commit());
        }
    }
}
