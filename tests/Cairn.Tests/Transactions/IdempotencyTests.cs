using Xunit;

namespace Cairn.Tests.Transactions;

/// <summary>A transaction that carries an idempotency key is done once, and a repeat is told what came of it.</summary>
public class IdempotencyTests
{
    [Theory]
    [ClassData(typeof(AllModes))]
    public void CON_14_A_repeat_writes_nothing_and_is_told_the_first_answer(Durability mode)
    {
        using var database = new TestDatabase(mode);
        var first = database.Run.TransactOnce("pay-1", tx => tx.Kv.Increment("paid", 5));
        Assert.Equal((1UL, false, 5L), (first.Sequence.Value, first.IsRepeat, first.Answer.AsInt64()));
        database.Kv.Increment("paid", 100);
        database.NowAndAfterReopening(() =>
        {
            var repeat = database.Run.TransactOnce("pay-1", Value (_) => throw new InvalidOperationException("done a second time"));
            Assert.Equal((1UL, true, 5L), (repeat.Sequence.Value, repeat.IsRepeat, repeat.Answer.AsInt64()));
            Assert.Equal(105, database.Kv.Number("paid"));
            Assert.Equal(2UL, database.Sequence);
        });
        Assert.False(database.Run.TransactOnce("pay-2", tx => tx.Kv.Add("paid", 1)).IsRepeat);
        Assert.False(database.OtherRun().TransactOnce("pay-1", tx => tx.Kv.Add("paid", 1)).IsRepeat);
        Assert.Equal(Value.Null, database.Run.TransactOnce("pay-2", tx => tx.Kv.Add("paid", 1)).Answer);
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    public async Task CON_14_CON_11_The_awaited_form_is_the_same(Durability mode)
    {
        using var database = new TestDatabase(mode);
        var token = TestContext.Current.CancellationToken;
        for (var i = 0; i < 2; i++)
        {
            var outcome = await database.Run.TransactOnceAsync(
                "k", tx => ValueTask.FromResult((Value)tx.Kv.Increment("n")), cancellationToken: token);
            Assert.Equal((1UL, i == 1, 1L), (outcome.Sequence.Value, outcome.IsRepeat, outcome.Answer.AsInt64()));
        }
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    public void CON_14_What_fails_is_not_remembered_and_a_no_is(Durability mode)
    {
        using var database = new TestDatabase(mode);
        Assert.Throws<InvalidOperationException>(
            () => database.Run.TransactOnce("k", Value (_) => throw new InvalidOperationException("not today")));
        Assert.Equal(0UL, database.Sequence);
        Assert.False(database.Run.TransactOnce("k", Value (_) => false).IsRepeat);
        Assert.False(database.Run.TransactOnce("k", Value (_) => true).Answer.AsBool());
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    public void CON_14_Inside_a_transaction_it_joins_and_is_done_once_there_too(Durability mode)
    {
        using var database = new TestDatabase(mode);
        database.Run.Transact(_ =>
        {
            var first = database.Run.TransactOnce("k", tx => tx.Kv.Increment("n"));
            var second = database.Run.TransactOnce("k", tx => tx.Kv.Increment("n"));
            Assert.Equal((false, true), (first.IsRepeat, second.IsRepeat));
            Assert.Equal((1L, 1L), (first.Answer.AsInt64(), second.Answer.AsInt64()));
            Assert.Equal(Sequence.None, second.Sequence);
        });
        Assert.Equal(1, database.Kv.Number("n"));
        Assert.Equal(1UL, database.Run.TransactOnce("k", tx => tx.Kv.Increment("n")).Sequence.Value);
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    public void LIM_38_A_key_is_remembered_for_its_life_and_not_a_microsecond_longer(Durability mode)
    {
        var limits = new Limits { IdempotencyKeyLife = TimeSpan.FromHours(1) };
        using var database = new TestDatabase(mode, options => options with { Limits = limits });
        database.Run.TransactOnce("k", tx => tx.Kv.Increment("n"));
        database.Clock.Advance(TimeSpan.FromHours(1) - TimeSpan.FromMicroseconds(1));
        Assert.True(database.Run.TransactOnce("k", tx => tx.Kv.Increment("n")).IsRepeat);
        database.Clock.Advance(TimeSpan.FromMicroseconds(1));
        Assert.False(database.Run.TransactOnce("k", tx => tx.Kv.Increment("n")).IsRepeat);
        Assert.Equal(2, database.Kv.Number("n"));
    }

    // The count was looked at before the transaction and never again, so any number of transactions that began together could each take
    // the last place.
    [Theory]
    [ClassData(typeof(AllModes))]
    [Trait("Promise", "G13")]
    public void LIM_38_Of_two_that_ask_at_once_for_the_last_place_one_is_refused(Durability mode)
    {
        using var database = new TestDatabase(mode, options => options with { Limits = new Limits { IdempotencyKeysMax = 2 } });
        database.Run.TransactOnce("first", tx => tx.Kv.Put("a", 1));
        var limit = Assert.Throws<LimitException>(() => database.Run.TransactOnce("second", tx =>
        {
            ModeThread(() => database.Run.TransactOnce("third", other => other.Kv.Put("b", 1)));
            tx.Kv.Put("c", 1);
        }));
        Assert.Equal((nameof(Limits.IdempotencyKeysMax), 2L, 3L), (limit.Limit, limit.Allowed, limit.Actual));
        Assert.Equal((1, 1, null), (database.Kv.Number("a"), database.Kv.Number("b"), database.Kv.Number("c")));
    }

    // A thread of its own, because a transaction inside another one on the same thread joins it.
    private static void ModeThread(Action body)
    {
        var thread = new Thread(() => body());
        thread.Start();
        thread.Join();
    }
}
