using System.Collections.Concurrent;
using Xunit;

namespace Cairn.Tests.Transactions;

/// <summary>TX-1: a transaction is for one thread at a time, and who breaks that is told. One thread stands still inside a call of the
/// transaction (in the function of a transition) while another one calls.</summary>
public sealed class TransactionUseTests
{
    public static TheoryData<string> Calls => [.. CallsByName.Keys];

    private static readonly Dictionary<string, Action<Transaction>> CallsByName = new()
    {
        ["kv get"] = tx => tx.Kv.Get("a"),
        ["kv put"] = tx => tx.Kv.Put("b", 1),
        ["kv add if absent"] = tx => tx.Kv.TryAdd("b", 1),
        ["kv delete"] = tx => tx.Kv.Delete("a"),
        ["kv delete many"] = tx => tx.Kv.DeleteMany(["a", "b"]),
        ["kv add"] = tx => tx.Kv.Add("n", 1),
        ["kv increment"] = tx => tx.Kv.Increment("n"),
        ["kv list"] = tx => tx.Kv.List(),
        ["kv count"] = tx => tx.Kv.Count(),
        ["kv expire"] = tx => tx.Kv.Expire("a", TimeSpan.FromHours(1)),
        ["state get"] = tx => tx.State.Get("cell"),
        ["state set"] = tx => tx.State.Set("other", 1),
        ["state require"] = tx => tx.State.Require("cell", new Counter(1)),
        ["state acquire"] = tx => tx.State.Acquire("lease", "ada", TimeSpan.FromHours(1)),
        ["events append"] = tx => tx.Events.Append("said", Value.Object()),
        ["events head"] = tx => tx.Events.Head(),
        ["traces record"] = tx => tx.Traces.Record(new ThoughtStep("why")),
        ["run info"] = tx => _ = tx.Run.Info,
        ["run complete"] = tx => tx.Run.AddTags("done"),
        ["commit"] = tx => tx.Commit(),
    };

    [Theory]
    [MemberData(nameof(Calls))]
    public void TX1_A_second_thread_in_a_transaction_is_refused_and_has_done_nothing(string name)
    {
        using var database = new TestDatabase(Durability.Buffered);
        database.Kv.Put("a", 1);
        database.Run.State.Init("cell", 1);
        var run = database.OtherRun();
        run.Kv.Put("a", 1);
        run.State.Init("cell", 1);
        using var transaction = run.BeginTransaction();
        Exception? told = null;
        transaction.State.Transition("cell", value =>
        {
            OnAnotherThread(() => told = Record.Exception(() => CallsByName[name](transaction)));
            return value.AsInt64() + 1;
        });

        var refused = Assert.IsType<InvalidOperationException>(told);
        Assert.Contains("two threads at once", refused.Message, StringComparison.Ordinal);
        transaction.Commit();
        Assert.Equal(2, run.State.Get("cell")!.Value.Value.AsInt64());
        Assert.Equal(["a"], run.Kv.List());
        Assert.Equal(["cell"], run.State.List());
        Assert.Equal((0, 0L), (run.Info.Tags.Count, run.Events.Count()));
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    public async Task TX1_Threads_that_use_a_transaction_one_after_another_are_served(Durability mode)
    {
        using var database = new TestDatabase(mode);
        var threads = new ConcurrentDictionary<int, bool>();
        using var transaction = database.Run.BeginTransaction();
        for (var i = 0; i < 4; i++)
        {
            var n = i;
            OnAnotherThread(() =>
            {
                threads[Environment.CurrentManagedThreadId] = true;
                transaction.Kv.Put($"k{n}", n);
                transaction.State.TransitionOrInit("sum", 0, sum => sum.AsInt64() + transaction.Kv.Number($"k{n}")!.Value);
            });
        }

        await transaction.CommitAsync(TestContext.Current.CancellationToken);
        Assert.Equal(6, database.Run.State.Get("sum")!.Value.Value.AsInt64());
        Assert.Equal(4, database.Kv.Count());
        Assert.Throws<InvalidOperationException>(() => transaction.Kv.Get("k0"));
    }

    // Whatever two threads do to one transaction: each call is done whole or refused, and what was done is committed.
    [Fact]
    [Trait("Kind", "Random")]
    public void TX1_Of_two_threads_that_do_not_keep_out_of_each_others_way_each_call_is_done_or_refused()
    {
        using var database = new TestDatabase(Durability.InMemory);
        for (var round = 0; round < Seeds.Scaled(20); round++)
        {
            using var transaction = database.Run.BeginTransaction();
            var done = new ConcurrentBag<string>();
            using var start = new Barrier(2);
            var workers = Enumerable.Range(0, 2).Select(thread => new Thread(() =>
            {
                start.SignalAndWait();
                for (var i = 0; i < 200; i++)
                {
                    var key = $"{thread}/{i}";
                    try
                    {
                        transaction.Kv.Put(key, i);
                        done.Add(key);
                        transaction.Kv.Get($"{1 - thread}/{i}");
                    }
                    catch (InvalidOperationException)
                    {
                        // Refused; the next one may be served.
                    }
                }
            })).ToList();
            workers.ForEach(worker => worker.Start());
            workers.ForEach(worker => worker.Join());
            transaction.Commit();
            Assert.Equal(done.Order(StringComparer.Ordinal), database.Kv.Scan(new ScanOptions { Limit = 1_000 }).Select(pair => pair.Key));
            Assert.Equal(done.Count, database.Kv.DeleteMany([.. done]));
        }
    }

    private static void OnAnotherThread(Action action)
    {
        Exception? failure = null;
        var thread = new Thread(() => failure = Record.Exception(action));
        thread.Start();
        thread.Join();
        Assert.Null(failure);
    }
}
