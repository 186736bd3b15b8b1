using Cairn.Storage;
using Cairn.Tests.Primitives;
using Xunit;

namespace Cairn.Tests.Transactions;

/// <summary>TX-39, CON-8: a single operation is decided under the run's lock, once. DeleteMany was an optimistic transaction and gave up
/// after four losses; Acquire and GetOrInit looked, lost, and looked again.</summary>
[Trait("Promise", "G8")]
public sealed class DecidedOnceTests
{
    private static readonly string[] Keys = [.. Enumerable.Range(0, 50).Select(i => $"k{i:00}")];

    [Theory]
    [ClassData(typeof(AllModes))]
    public void TX39_CON8_DeleteMany_beside_writers_of_its_keys_never_conflicts_and_every_answer_adds_up(Durability mode)
    {
        using var database = new TestDatabase(mode);
        var added = 0L;
        var deleted = 0L;
        ModeDatabase.OnThreads(3, thread =>
        {
            var random = new Random(thread);
            for (var i = 0; i < 300; i++)
            {
                if (thread == 0)
                    Interlocked.Add(ref deleted, database.Kv.DeleteMany(Keys));
                else if (database.Kv.TryAdd(Keys[random.Next(Keys.Length)], i))
                    Interlocked.Increment(ref added);
            }
        });
        deleted += database.Kv.DeleteMany(Keys);
        Assert.Equal(added, deleted);
        Assert.Equal(0, database.Db.Metrics.Retries);
        database.NowAndAfterReopening(() => Assert.Equal(0, database.Kv.Count()));
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    public void KV3_CON12_DeleteMany_is_one_commit_of_those_that_were_there_and_none_when_there_was_none(Durability mode)
    {
        using var database = new TestDatabase(mode);
        database.Kv.Put("a", 1);
        database.Kv.Put("b", 1, TimeSpan.FromSeconds(1));
        database.Kv.Put("c", 1);
        database.Clock.Advance(TimeSpan.FromSeconds(2));
        Assert.Equal(2, database.Kv.DeleteMany(["a", "b", "c", "d"]));
        Assert.Equal(4UL, database.Sequence);
        Assert.Equal(0, database.Kv.DeleteMany(["a", "b", "c", "d"]));
        Assert.Equal(4UL, database.Sequence);
        database.NowAndAfterReopening(() => Assert.Empty(database.Kv.List()));
    }

    // The answer rests on a deletion that is not durable yet: it is given when it is.
    [Fact]
    [Trait("Promise", "G1")]
    public async Task TX39_An_answer_of_DeleteMany_waits_for_what_it_rests_on()
    {
        using var gate = new ManualResetEventSlim(true);
        using var reached = new ManualResetEventSlim(false);
        var storage = new LatencyStorage(new MemoryStorage(), (call, _) =>
        {
            if (call != StorageCall.DataSync || gate.IsSet)
                return;
            reached.Set();
            gate.Wait();
        });
        using var database = new TestDatabase(Durability.Strict, storage: storage);
        database.Kv.Put("a", 1);
        gate.Reset();
        var first = Task.Run(() => database.Kv.Delete("a"), TestContext.Current.CancellationToken);
        reached.Wait(TestContext.Current.CancellationToken);
        var second = Task.Run(() => database.Kv.DeleteMany(["a"]), TestContext.Current.CancellationToken);
        Assert.True(database.Kv.Exists("a"));
        Assert.False(second.IsCompleted);
        gate.Set();
        Assert.True(await first);
        Assert.Equal(0, await second);
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    public void TX39_Of_many_who_take_and_let_go_of_one_lease_each_gets_an_answer_that_was_true(Durability mode)
    {
        using var database = new TestDatabase(mode);
        var state = database.Run.State;
        var held = new int[1_000];
        ModeDatabase.OnThreads(3, thread =>
        {
            for (var i = 0; i < 100; i++)
            {
                var lease = state.Acquire("lease", $"owner{thread}", TimeSpan.FromHours(1));
                if (!lease.IsAcquired)
                {
                    // Whom it names held it: never nobody, never itself.
                    Assert.NotEqual($"owner{thread}", lease.Holder);
                    Assert.True(lease.Token.Value > 0);
                    continue;
                }

                Interlocked.Increment(ref held[lease.Token.Value]);
                Assert.True(state.Release("lease", lease.Token));
            }
        });
        Assert.All(held, count => Assert.InRange(count, 0, 1));
        Assert.Equal(0, database.Db.Metrics.Retries);
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    public void TX39_GetOrInit_beside_deletions_answers_with_a_value_that_was_there(Durability mode)
    {
        using var database = new TestDatabase(mode);
        var state = database.Run.State;
        ModeDatabase.OnThreads(3, thread =>
        {
            for (var i = 0; i < 100; i++)
            {
                var calls = 0;
                var value = state.GetOrInit("cell", () => Value.Array(thread, ++calls));
                Assert.Equal(1, value[1].AsInt64());
                if (i % 3 == thread)
                    state.Delete("cell");
            }
        });
        Assert.Equal(0, database.Db.Metrics.Retries);
    }
}
