using System.Collections.Concurrent;
using System.Diagnostics;
using Cairn.Storage;
using Xunit;
using static Cairn.Tests.Transactions.TestValues;

namespace Cairn.Tests.Transactions;

/// <summary>CON-11: what is awaited blocks no thread, and is the same otherwise.</summary>
public sealed class AwaitedTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [ClassData(typeof(AllModes))]
    public async Task TX37_An_awaited_transaction_inside_another_joins_it_whichever_of_the_two_is_awaited(Durability mode)
    {
        using var database = new TestDatabase(mode);
        var other = database.OtherRun();
        await database.Run.TransactAsync(
            async tx =>
            {
                tx.Kv.Put("a", 1);
                await Task.Yield();
                await database.Run.TransactAsync(
                    async inner =>
                    {
                        await Task.Yield();
                        inner.Kv.Put("b", inner.Kv.Number("a")!.Value);
                        return true;
                    },
                    cancellationToken: Token);
                database.Run.Transact(inner => inner.Kv.Put("c", inner.Kv.Number("b")!.Value));
                Assert.Equal(["a", "b", "c"], tx.Kv.List());
                Assert.Empty(database.Kv.List());
                var refused = await Assert.ThrowsAsync<CairnException>(async () => await other.TransactAsync(
                    inner => ValueTask.FromResult(inner.Kv.Put("d", 1)), cancellationToken: Token));
                Assert.Equal(ErrorCode.InvalidArgument, refused.Code);
                return true;
            },
            cancellationToken: Token);
        database.Run.Transact(tx =>
        {
            tx.Kv.Put("e", 1);
            var inner = database.Run.TransactAsync(joined => ValueTask.FromResult(joined.Kv.Number("e")), cancellationToken: Token);
            Assert.True(inner.IsCompletedSuccessfully);
            Assert.Equal(1, inner.Result);
        });
        Assert.Equal(["a", "b", "c", "e"], database.Kv.List());
        Assert.Equal(3UL, database.Sequence);                // the other run, and two transactions
        await other.TransactAsync(tx => ValueTask.FromResult(tx.Kv.Put("d", 1)), cancellationToken: Token);
    }

    [Fact]
    public async Task TX37_What_a_function_has_left_running_joins_nothing_once_its_transaction_is_over()
    {
        using var database = new TestDatabase(Durability.InMemory);
        var over = new TaskCompletionSource();
        Task left = Task.CompletedTask;
        await database.Run.TransactAsync(
            tx =>
            {
                left = Task.Run(
                    async () =>
                    {
                        await over.Task;
                        await database.Run.TransactAsync(own => ValueTask.FromResult(own.Kv.Put("late", 1)), cancellationToken: Token);
                    },
                    Token);
                tx.Kv.Put("a", 1);
                return ValueTask.FromResult(true);
            },
            cancellationToken: Token);
        over.SetResult();
        await left;
        Assert.Equal(["a", "late"], database.Kv.List());
        Assert.Equal(2UL, database.Sequence);
    }

    [Fact]
    public async Task TX37_An_awaited_transaction_on_another_database_inside_one_is_its_own_and_the_first_is_found_behind_it()
    {
        using var outer = new TestDatabase(Durability.InMemory);
        using var inner = new TestDatabase(Durability.Strict);
        await outer.Run.TransactAsync(
            async tx =>
            {
                tx.Kv.Put("a", 1);
                await inner.Run.TransactAsync(
                    async own =>
                    {
                        own.Kv.Put("b", 2);
                        await outer.Run.TransactAsync(joined => ValueTask.FromResult(joined.Kv.Put("c", 3)), cancellationToken: Token);
                        return true;
                    },
                    cancellationToken: Token);
                Assert.Empty(outer.Kv.List());
                return true;
            },
            cancellationToken: Token);
        Assert.Equal(["a", "c"], outer.Kv.List());
        Assert.Equal(["b"], inner.Kv.List());
        Assert.Equal(1UL, outer.Sequence);
    }

    // It waited on an event: a pool thread stood still for up to 100 ms per try.
    [Fact]
    public async Task TX30_A_wait_before_the_next_try_is_awaited_on_the_databases_clock()
    {
        var storage = new FaultStorage(new MemoryStorage());
        using var database = new TestDatabase(Durability.Strict, storage: storage);
        storage.FreeBytes = 0;
        database.Maintain();
        var calls = 0;
        var task = database.Run.TransactAsync(
            tx => ValueTask.FromResult((++calls, tx.Kv.Put("a", calls))), cancellationToken: Token).AsTask();
        for (var wait = 1; wait <= 3; wait++)
        {
            Assert.False(task.IsCompleted);
            Assert.Equal((wait, 1), (calls, database.Clock.Timers));
            if (wait == 3)
            {
                storage.FreeBytes = null;
                database.Maintain();
            }

            database.Clock.Advance(TimeSpan.FromMilliseconds(100));
            SpinWait.SpinUntil(() => task.IsCompleted || database.Clock.Timers == 1);
        }

        await task;
        Assert.Equal(4, calls);
        Assert.Equal(4, database.Kv.Number("a"));
        Assert.Equal(3, database.Db.Metrics.Retries);

        storage.FreeBytes = 0;
        database.Maintain();
        using var cancel = new CancellationTokenSource();
        var cancelled = database.Run.TransactAsync(tx => ValueTask.FromResult(tx.Kv.Put("b", 1)), cancellationToken: cancel.Token).AsTask();
        cancel.Cancel();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => cancelled);
    }

    [Fact]
    public async Task MET1_An_awaited_transaction_is_one_activity_with_all_its_tries()
    {
        var seen = new ConcurrentBag<string>();
        using var source = new ActivitySource("Cairn.Tests.Awaited");
        using var listener = new ActivityListener
        {
            ShouldListenTo = source => source.Name is "Cairn" or "Cairn.Tests.Awaited",
            Sample = (ref ActivityCreationOptions<ActivityContext> _) => ActivitySamplingResult.AllData,
            ActivityStopped = activity => seen.Add($"{activity.OperationName} in {activity.Parent?.OperationName}"),
        };
        ActivitySource.AddActivityListener(listener);
        using var database = new TestDatabase(Durability.InMemory);
        var calls = 0;
        using (source.StartActivity("this test"))
        {
            await database.Run.TransactAsync(
                async tx =>
                {
                    tx.Kv.Get("n");
                    await Task.Yield();
                    if (++calls < 3)
                        database.Kv.Put("n", calls);
                    return tx.Kv.Put("n", 0);
                },
                cancellationToken: Token);
            Assert.Equal("this test", Activity.Current?.OperationName);
        }

        Assert.Equal(3, calls);
        Assert.Single(seen, "cairn.transact in this test");
    }

    // It called Dispose: whoever awaited stood still for the last sync.
    [Fact]
    public async Task DUR7_Closing_is_awaited_while_the_device_syncs_and_the_next_opening_finds_it_clean()
    {
        var memory = new MemoryStorage();
        using var gate = new ManualResetEventSlim(true);
        using var reached = new ManualResetEventSlim(false);
        var closing = Open(new LatencyStorage(memory, (call, _) =>
        {
            if (call is not (StorageCall.DataSync or StorageCall.Sync) || gate.IsSet)
                return;
            reached.Set();
            gate.Wait();
        }));
        closing.Default.Kv.Put("a", 1);
        gate.Reset();
        var first = closing.DisposeAsync();
        var second = closing.DisposeAsync();
        reached.Wait(Token);
        Assert.False(first.IsCompleted);
        Assert.False(second.IsCompleted);
        gate.Set();
        await first;
        await second;
        Assert.Throws<ObjectDisposedException>(() => closing.Default.Kv.Get("a"));
        await using var next = Open(memory);
        Assert.True(next.Recovery.WasClosedCleanly);
        Assert.Equal(1, next.Default.Kv.Number("a"));

        static CairnDatabase Open(IStorage storage) => CairnDatabase.Open(
            storage, new CairnOptions { Durability = Durability.Buffered, SegmentBytesMin = 32 << 10 }, EngineHooks.None);
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    public async Task DUR7_A_close_that_is_awaited_is_a_close_in_every_mode(Durability mode)
    {
        var database = new TestDatabase(mode);
        database.Kv.Put("a", 1);
        await database.Db.DisposeAsync();
        Assert.Throws<ObjectDisposedException>(() => database.Kv.Get("a"));
        Assert.Throws<ObjectDisposedException>(() => database.Kv.Put("a", 2));
        database.Dispose();
        await database.Db.DisposeAsync();
        database.Reopen();
        if (!database.HasLog)
            return;
        Assert.True(database.Db.Recovery.WasClosedCleanly);
        Assert.Equal(1, database.Kv.Number("a"));
        database.Dispose();
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    public async Task DUR7_A_sync_that_is_awaited_makes_everything_committed_durable(Durability mode)
    {
        using var database = new TestDatabase(mode);
        for (var i = 0; i < 10; i++)
            database.Kv.Put($"k{i}", i);
        var before = database.Db.Metrics.Syncs;
        await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => database.Db.SyncAsync(Token).AsTask()));
        var metrics = database.Db.Metrics;
        Assert.Equal(0, metrics.UnsyncedCommits);
        Assert.Equal(mode == Durability.Buffered ? before + 1 : before, metrics.Syncs);
        database.Dispose();
        await Assert.ThrowsAsync<ObjectDisposedException>(async () => await database.Db.SyncAsync(Token));
    }

    [Fact]
    [Trait("Promise", "G7")]
    public async Task DUR8_A_sync_that_is_awaited_and_fails_says_so_to_all_who_await_it()
    {
        var storage = new FaultStorage(new MemoryStorage());
        using var database = new TestDatabase(Durability.Buffered, storage: storage);
        database.Kv.Put("a", 1);
        storage.Inject(FaultKind.Io, 1, StorageCall.DataSync);
        var syncs = Enumerable.Range(0, 4).Select(_ => Record.ExceptionAsync(async () => await database.Db.SyncAsync(Token))).ToList();
        foreach (var sync in syncs)
            Assert.Equal(ErrorCode.DatabaseFailed, Assert.IsType<DatabaseFailedException>(await sync).Code);
        Assert.Equal(ErrorCode.DatabaseFailed, Refused(() => database.Kv.Put("a", 2)));
    }
}
