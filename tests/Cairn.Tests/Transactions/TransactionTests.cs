using System.Runtime.InteropServices;
using Xunit;
using static Cairn.Tests.Transactions.TestValues;

namespace Cairn.Tests.Transactions;

/// <summary>What requirements.md 3 says of transactions, sentence by sentence, in all three modes. T1 and T2 are begun by hand, so each
/// test is one interleaving on one thread. The table of anomalies and random histories: <see cref="IsolationTests"/>.</summary>
[Trait("Promise", "G8")]
[Trait("Promise", "G3")]
public sealed class TransactionTests
{
    private static readonly TransactionOptions AtSnapshot = new() { Isolation = Isolation.Snapshot };

    // ---- 3.1 what a transaction is --------------------------------------------------------------------------------------------

    [Theory]
    [ClassData(typeof(AllModes))]
    public void TX2_All_writes_of_a_transaction_have_one_sequence_and_become_visible_together(Durability mode)
    {
        using var database = new TestDatabase(mode);
        database.Kv.Put("gone", 1);
        using var transaction = database.Run.BeginTransaction();
        transaction.Kv.Put("a", 1);
        transaction.Kv.PutMany([new("b", 2), new("c", 3)]);
        transaction.Kv.Add("n", 4);
        transaction.Kv.Delete("gone");
        Assert.Equal(1, database.Kv.Count());

        var sequence = transaction.Commit();

        Assert.Equal(2UL, sequence.Value);
        Assert.Equal(2UL, database.Sequence);
        database.NowAndAfterReopening(() =>
        {
            Assert.All(new[] { "a", "b", "c", "n" }, key => Assert.Equal(2UL, database.Kv.Version(key)));
            Assert.False(database.Kv.Exists("gone"));
        });
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    public void TX1_TX6_TXI14_A_transaction_that_is_rolled_back_disposed_or_left_by_an_exception_leaves_nothing(Durability mode)
    {
        using var database = new TestDatabase(mode);
        database.Kv.Put("a", 1);
        var rolledBack = database.Run.BeginTransaction();
        rolledBack.Kv.Put("a", 2);
        rolledBack.Rollback();
        using (var disposed = database.Run.BeginTransaction())
        {
            disposed.Kv.Put("b", 2);
            disposed.Kv.Delete("a");
        }

        Assert.Throws<FormatException>(() => database.Run.Transact(tx =>
        {
            tx.Kv.Put("c", 3);
            throw new FormatException();
        }));

        Assert.Equal(0, database.Db.Metrics.OpenTransactions);
        Assert.Equal(0, database.Db.Metrics.Pins);
        database.NowAndAfterReopening(() =>
        {
            Assert.Equal(["a"], database.Kv.List());
            Assert.Equal(1, database.Kv.Number("a"));
            Assert.Equal(1UL, database.Sequence);
        });
        Assert.Equal(2UL, database.Kv.Put("d", 4).Value);
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    public void TX1_A_transaction_cannot_be_used_after_its_end(Durability mode)
    {
        using var database = new TestDatabase(mode);
        var transaction = database.Run.BeginTransaction();
        transaction.Kv.Put("a", 1);
        transaction.Commit();

        Assert.Throws<InvalidOperationException>(() => transaction.Kv.Get("a"));
        Assert.Throws<InvalidOperationException>(() => transaction.Kv.Put("a", 2));
        Assert.Throws<InvalidOperationException>(() => transaction.Kv.List());
        Assert.Throws<InvalidOperationException>(() => transaction.Commit());
        transaction.Rollback();
        transaction.Dispose();
        Assert.Equal(1, database.Kv.Number("a"));
        Assert.Equal(1UL, database.Sequence);
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    public void TX3_TX5_TXI4_Reads_see_own_writes_and_own_deletes_everywhere(Durability mode)
    {
        using var database = new TestDatabase(mode);
        foreach (var key in new[] { "a", "b", "c", "d" })
            database.Kv.Put(key, 1);
        using var transaction = database.Run.BeginTransaction();
        var kv = transaction.Kv;
        kv.Put("b", 2);
        Assert.True(kv.Delete("c"));
        Assert.False(kv.Delete("c"));
        kv.Put("e", 5);
        kv.Put("aa", 7);
        kv.Add("d", 10);

        Assert.Equal(2, kv.Number("b"));
        Assert.Null(kv.Get("c"));
        Assert.False(kv.Exists("c"));
        Assert.False(kv.TryGet("c", out _));
        Assert.Equal(11, kv.Number("d"));
        Assert.Equal([1, 2, null, 11, 5], kv.GetMany(["a", "b", "c", "d", "e"]).Select(value => value?.AsInt64()));
        Assert.Equal(["a", "aa", "b", "d", "e"], kv.List());
        Assert.Equal(["e", "d", "b", "aa", "a"], kv.List(new ScanOptions { Reverse = true }));
        Assert.Equal(["b", "d"], kv.List(new ScanOptions { From = "b", To = "e" }));
        Assert.Equal(["a", "aa"], kv.List(new ScanOptions { Prefix = "a" }));
        Assert.Equal([("a", 1L), ("aa", 7L), ("b", 2L), ("d", 11L), ("e", 5L)], kv.Scan().Select(pair => (pair.Key, pair.Value.Value.AsInt64())));
        Assert.Equal(5, kv.Count());
        Assert.Equal(2, kv.Count("a"));

        kv.Put("c", 3);
        Assert.Equal(3, kv.Number("c"));
        Assert.Equal(6, kv.Count());
        Assert.True(kv.Delete("aa"));
        Assert.Equal(["a", "b", "c", "d", "e"], kv.List());
        transaction.Commit();
        database.NowAndAfterReopening(() => Assert.Equal([("a", 1L), ("b", 2L), ("c", 3L), ("d", 11L), ("e", 5L)], database.Kv.Scan().Select(pair => (pair.Key, pair.Value.Value.AsInt64()))));
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    public void TX3_Pages_of_a_transaction_go_on_where_they_ended_among_own_writes(Durability mode)
    {
        using var database = new TestDatabase(mode);
        for (var i = 0; i < 10; i++)
            database.Kv.Put($"k{i}", i);
        using var transaction = database.Run.BeginTransaction();
        foreach (var reverse in new[] { false, true })
        {
            for (var i = 0; i < 10; i += 3)
                transaction.Kv.Delete($"k{i}");
            for (var i = 0; i < 10; i += 2)
                transaction.Kv.Put($"k{i}x", i);
            var all = transaction.Kv.List(new ScanOptions { Reverse = reverse });
            var paged = new List<string>();
            string? cursor = null;
            do
            {
                var page = transaction.Kv.List(new ScanOptions { Limit = 2, Cursor = cursor, Reverse = reverse });
                Assert.InRange(page.Count, 1, 2);
                paged.AddRange(page);
                cursor = page.Cursor;
            }
            while (cursor is not null);
            Assert.Equal(all, paged);
            Assert.Equal(11, paged.Count);
        }
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    public void TX3_TXI3_TXI5_Reads_repeat_and_are_of_the_sequence_at_which_the_transaction_began(Durability mode)
    {
        using var database = new TestDatabase(mode);
        database.Kv.Put("a", 1);
        database.Kv.Put("b", 1);
        using var transaction = database.Run.BeginTransaction();
        Assert.Equal(2UL, transaction.Sequence.Value);
        database.Kv.Put("a", 2);
        database.Kv.Delete("b");
        database.Kv.Put("c", 2);

        for (var i = 0; i < 2; i++)
        {
            Assert.Equal(1, transaction.Kv.Number("a"));
            Assert.Equal(["a", "b"], transaction.Kv.List());
            Assert.Equal(2, transaction.Kv.Count());
            Assert.Equal(1UL, transaction.Kv.Version("a"));
            Assert.False(transaction.Kv.Exists("c"));
        }
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    public void TX5_Changing_a_given_or_returned_value_never_reaches_the_store(Durability mode)
    {
        using var database = new TestDatabase(mode);
        byte[] given = [1, 2, 3];
        database.Run.Transact(tx =>
        {
            tx.Kv.Put("a", given);
            given[0] = 9;
            Spoil(tx.Kv.Get("a")!.Value);
            Assert.Equal([1, 2, 3], tx.Kv.Get("a")!.Value.AsBytes().ToArray());
        });
        Spoil(database.Kv.Get("a")!.Value);
        Spoil(database.Kv.Scan()[0].Value.Value);
        database.NowAndAfterReopening(() => Assert.Equal([1, 2, 3], database.Kv.Get("a")!.Value.AsBytes().ToArray()));

        static void Spoil(Value value)
        {
            if (MemoryMarshal.TryGetArray(value.AsBytes(), out var array))
                array.Array![array.Offset] = 9;
        }
    }

    // ---- 3.2 what conflicts --------------------------------------------------------------------------------------------------

    [Theory]
    [ClassData(typeof(AllModes))]
    public void TX7_TXI7_TXI9_The_first_to_commit_wins_and_the_loser_is_told_the_key(Durability mode)
    {
        using var database = new TestDatabase(mode);
        database.Kv.Put("stock", 5);
        using var first = database.Run.BeginTransaction();
        using var second = database.Run.BeginTransaction();
        first.Kv.Put("stock", first.Kv.Number("stock")!.Value - 1);
        second.Kv.Put("stock", second.Kv.Number("stock")!.Value - 1);
        Assert.Equal(2UL, second.Commit().Value);

        var conflict = Assert.Throws<ConflictException>(() => first.Commit());

        Assert.Equal(("kv", "stock", ""), (conflict.Primitive, conflict.Key, conflict.Region));
        Assert.Equal((1UL, 2UL), (conflict.ReadVersion.Value, conflict.CurrentVersion.Value));
        Assert.Equal(1, conflict.Attempts);
        Assert.True(conflict.IsTransient);
        Assert.False(conflict.IsDeterministic);
        Assert.Contains("stock", conflict.Message, StringComparison.Ordinal);
        database.NowAndAfterReopening(() =>
        {
            Assert.Equal(4, database.Kv.Number("stock"));
            Assert.Equal(2UL, database.Sequence);            // VER-2: a refused commit takes none
        });
    }

    /// <summary>What somebody else does to key "x" between a read of it and the commit.</summary>
    public enum Meanwhile
    {
        Nothing,
        Change,
        SameValueAgain,
        Deletion,
        Creation,
        CreationAndDeletion,
        DeletionAndReturn,
        Expiry,
    }

    [Theory]
    [InlineData(true, Meanwhile.Nothing, false)]
    [InlineData(true, Meanwhile.Change, true)]
    [InlineData(true, Meanwhile.SameValueAgain, true)]
    [InlineData(true, Meanwhile.Deletion, true)]
    [InlineData(true, Meanwhile.DeletionAndReturn, true)]
    [InlineData(true, Meanwhile.Expiry, true)]
    [InlineData(false, Meanwhile.Nothing, false)]
    [InlineData(false, Meanwhile.Creation, true)]
    [InlineData(false, Meanwhile.CreationAndDeletion, true)]
    public void TX8_TX9_TXI13_A_point_read_conflicts_exactly_when_a_newer_version_came_a_tombstone_is_one(bool exists, Meanwhile meanwhile, bool conflicts)
    {
        foreach (var mode in Enum.GetValues<Durability>())
        {
            foreach (var wasDeleted in new[] { false, true })
            {
                using var database = new TestDatabase(mode);
                if (exists || wasDeleted)
                    database.Kv.Put("x", 1);
                if (wasDeleted)
                    database.Kv.Delete("x");
                if (exists && wasDeleted)
                    database.Kv.Put("x", 1);
                Action<Kv>[] reads =
                [
                    kv => kv.Get("x"), kv => kv.Exists("x"), kv => kv.TryGet("x", out _), kv => kv.GetVersioned("x"), kv => kv.GetMany(["w", "x"]),
                    kv => kv.Delete("x"), kv => kv.Persist("x"),
                ];
                var open = reads.Select(read =>
                {
                    var transaction = database.Run.BeginTransaction();
                    read(transaction.Kv);
                    transaction.Kv.Put("y", 1);
                    return transaction;
                }).ToList();

                Do(meanwhile, database.Kv);

                for (var i = 0; i < open.Count; i++)
                {
                    using var transaction = open[i];
                    if (i > 0 && reads.Length - i <= 2 && exists && !conflicts)
                        continue;                            // it deletes what the one before it changes
                    if (conflicts)
                        Assert.Equal("x", Assert.Throws<ConflictException>(() => transaction.Commit()).Key);
                    else
                        transaction.Commit();
                }
            }
        }
    }

    private static void Do(Meanwhile meanwhile, Kv kv)
    {
        switch (meanwhile)
        {
            case Meanwhile.Change:
                kv.Put("x", 2);
                break;
            case Meanwhile.SameValueAgain:
                kv.Put("x", 1);
                break;
            case Meanwhile.Deletion:
                Assert.True(kv.Delete("x"));
                break;
            case Meanwhile.Creation:
                Assert.True(kv.TryAdd("x", 2));
                break;
            case Meanwhile.CreationAndDeletion:
                kv.Put("x", 2);
                kv.Delete("x");
                break;
            case Meanwhile.DeletionAndReturn:
                kv.Delete("x");
                kv.Put("x", 1);
                break;
            case Meanwhile.Expiry:
                kv.Expire("x", TimeSpan.FromDays(1));
                break;
        }
    }

    [Theory]
    [InlineData("k0", true)]
    [InlineData("k1", true)]
    [InlineData("k1x", true)]
    [InlineData("k2", true)]
    [InlineData("k2x", false)]
    [InlineData("k3", false)]
    [InlineData("a", false)]
    [InlineData("z", false)]
    public void TX10_A_page_that_a_limit_cut_was_a_read_up_to_its_last_key_and_no_further(string written, bool conflicts)
    {
        foreach (var mode in Enum.GetValues<Durability>())
        {
            foreach (var delete in new[] { false, true })
            {
                using var database = new TestDatabase(mode);
                for (var i = 1; i <= 4; i++)
                    database.Kv.Put($"k{i}", i);
                if (delete)
                    database.Kv.Put(written, 0);
                using var transaction = database.Run.BeginTransaction();
                var hasOneMoreBefore = delete && written is ("k0" or "k1x");
                var page = transaction.Kv.List(new ScanOptions { From = "k0", To = "k9", Limit = hasOneMoreBefore ? 3 : 2 });
                Assert.Equal("k2", page[^1]);
                transaction.Kv.Put("other", 1);

                if (delete)
                    Assert.True(database.Kv.Delete(written));
                else
                    database.Kv.Put(written, 7);

                if (conflicts)
                {
                    var conflict = Assert.Throws<ConflictException>(() => transaction.Commit());
                    Assert.Equal(written, conflict.Key);
                    Assert.NotEqual("", conflict.Region);
                }
                else
                {
                    transaction.Commit();
                }
            }
        }
    }

    [Theory]
    [InlineData("k4", true)]
    [InlineData("k3x", true)]
    [InlineData("k3", true)]
    [InlineData("k2x", false)]
    [InlineData("k2", false)]
    [InlineData("k9", false)]
    public void TX10_A_reversed_page_that_a_limit_cut_was_a_read_from_its_last_key_on(string written, bool conflicts)
    {
        foreach (var mode in Enum.GetValues<Durability>())
        {
            using var database = new TestDatabase(mode);
            for (var i = 1; i <= 4; i++)
                database.Kv.Put($"k{i}", i);
            using var transaction = database.Run.BeginTransaction();
            Assert.Equal(["k4", "k3"], transaction.Kv.List(new ScanOptions { From = "k0", To = "k9", Limit = 2, Reverse = true }));
            transaction.Kv.Put("other", 1);
            database.Kv.Put(written, 7);
            if (conflicts)
                Assert.Equal(written, Assert.Throws<ConflictException>(() => transaction.Commit()).Key);
            else
                transaction.Commit();
        }
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    public void TX10_Lists_scans_and_counts_are_reads_of_their_range_also_of_an_empty_one(Durability mode)
    {
        Action<Kv>[] reads =
        [
            kv => kv.List(new ScanOptions { Prefix = "in/" }), kv => kv.Scan(new ScanOptions { From = "in/", To = "in0" }), kv => kv.Count("in/"),
            kv => kv.List(), kv => kv.Count(), kv => kv.List(new ScanOptions { Reverse = true }),
        ];
        foreach (var isEmpty in new[] { true, false })
        {
            for (var i = 0; i < reads.Length; i++)
            {
                using var database = new TestDatabase(mode);
                if (!isEmpty)
                    database.Kv.Put("in/a", 1);
                using var loser = database.Run.BeginTransaction();
                using var winner = database.Run.BeginTransaction();
                reads[i](loser.Kv);
                loser.Kv.Put("out-1", 1);
                reads[i](winner.Kv);
                winner.Kv.Put("out-2", 1);

                if (i < 3)                                   // the others read everything
                {
                    database.Kv.Put("out", 1);
                    winner.Commit();
                }

                database.Kv.Put("in/b", 1);
                Assert.Equal("in/b", Assert.Throws<ConflictException>(() => loser.Commit()).Key);
            }
        }
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    public void TX11_Own_writes_in_a_scanned_range_do_not_hide_the_committed_keys_there(Durability mode)
    {
        using var database = new TestDatabase(mode);
        database.Kv.Put("a", 1);
        database.Kv.Put("b", 1);
        foreach (var change in new Action[] { () => database.Kv.Put("a", 2), () => database.Kv.Delete("b"), () => database.Kv.Put("c", 3) })
        {
            using var transaction = database.Run.BeginTransaction();
            transaction.Kv.Put("a", 10);
            transaction.Kv.Delete("b");
            transaction.Kv.Put("c", 10);
            transaction.Kv.List(new ScanOptions { From = "a", To = "d" });
            change();
            Assert.Throws<ConflictException>(() => transaction.Commit());
        }
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    public void TX13_TXI11_A_compare_and_set_is_an_expectation_and_not_a_read(Durability mode)
    {
        using var database = new TestDatabase(mode);
        var version = database.Kv.Put("a", 1);
        using (var transaction = database.Run.BeginTransaction())
        {
            // The same value comes back with another version: a read would conflict, the expectation of the value holds.
            Assert.True(transaction.Kv.CompareAndSetValue("a", 1, 2));
            database.Kv.Put("a", 1);
            transaction.Commit();
        }

        Assert.Equal(2, database.Kv.Number("a"));
        using (var transaction = database.Run.BeginTransaction())
        {
            var now = new Sequence(database.Kv.Version("a"));
            Assert.Equal(Sequence.None, transaction.Kv.CompareAndSet("a", now, 3));
            database.Kv.Put("a", 2);
            var conflict = Assert.Throws<ConflictException>(() => transaction.Commit());
            Assert.Equal("a", conflict.Key);
        }

        Assert.Throws<VersionMismatchException>(() => database.Kv.CompareAndSet("a", version, 4));
        Assert.Equal(2, database.Kv.Number("a"));
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    public void TX13_KV10_A_compare_and_set_of_a_version_sees_the_committed_one_and_not_the_own_write(Durability mode)
    {
        using var database = new TestDatabase(mode);
        var version = database.Kv.Put("a", 1);
        using var transaction = database.Run.BeginTransaction();
        transaction.Kv.Put("a", 2);
        transaction.Kv.CompareAndSet("a", version, 3);
        transaction.Kv.CompareAndSet("a", version, 4);
        transaction.Kv.Put("new", 1);
        transaction.Kv.CompareAndSet("new", Sequence.None, 2);
        var mismatch = Assert.Throws<VersionMismatchException>(() => transaction.Kv.CompareAndSet("a", new Sequence(77), 5));
        Assert.Equal((77UL, version.Value), (mismatch.Expected, mismatch.Actual));
        Assert.Equal(4, transaction.Kv.Number("a"));
        transaction.Commit();
        Assert.Equal((4, 2), (database.Kv.Number("a"), database.Kv.Number("new")));
    }

    // Found by reading the model against the engine: both looked only at committed state, so a transaction could delete a key and be
    // told that it is still there, or overwrite its own write by an "add".
    [Theory]
    [ClassData(typeof(AllModes))]
    public void TX3_Adding_and_comparing_values_see_own_writes_like_every_read(Durability mode)
    {
        using var database = new TestDatabase(mode);
        database.Kv.Put("a", 1);
        database.Kv.Put("n", 1);
        using var transaction = database.Run.BeginTransaction();
        var kv = transaction.Kv;
        kv.Delete("a");
        Assert.True(kv.TryAdd("a", 2));
        Assert.False(kv.TryAdd("a", 3));
        Assert.True(kv.CompareAndSetValue("a", 2, 4));
        Assert.False(kv.CompareAndSetValue("a", 1, 5));
        kv.Put("b", 1);
        Assert.False(kv.TryAdd("b", 2));
        Assert.False(kv.CompareAndSetValue("b", null, 2));
        kv.Add("n", 1);
        Assert.False(kv.TryAdd("n", 7));
        Assert.True(kv.CompareAndSetValue("n", 2, 8));
        transaction.Commit();
        database.NowAndAfterReopening(() => Assert.Equal([("a", 4L), ("b", 1L), ("n", 8L)], database.Kv.Scan().Select(pair => (pair.Key, pair.Value.Value.AsInt64()))));
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    public void TX14_A_compare_and_set_that_failed_at_the_call_was_a_read(Durability mode)
    {
        Action<Kv>[] failures =
        [
            kv => Assert.Throws<VersionMismatchException>(() => kv.CompareAndSet("a", Sequence.None, 2)),
            kv => Assert.False(kv.CompareAndSetValue("a", 7, 2)),
            kv => Assert.False(kv.TryAdd("a", 2)),
        ];
        foreach (var fail in failures)
        {
            using var database = new TestDatabase(mode);
            database.Kv.Put("a", 1);
            using var transaction = database.Run.BeginTransaction();
            fail(transaction.Kv);
            transaction.Kv.Put("b", 1);
            database.Kv.Put("a", 2);
            Assert.Equal("a", Assert.Throws<ConflictException>(() => transaction.Commit()).Key);
        }
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    public void TX14_TXI12_Deleted_and_expired_keys_are_absent_to_a_compare_and_set(Durability mode)
    {
        using var database = new TestDatabase(mode);
        var deleted = database.Kv.Put("deleted", 1);
        database.Kv.Delete("deleted");
        var expired = database.Kv.Put("expired", 1, TimeSpan.FromSeconds(1));
        database.Clock.Advance(TimeSpan.FromSeconds(1));
        database.Run.Transact(tx =>
        {
            Assert.Equal(0UL, Assert.Throws<VersionMismatchException>(() => tx.Kv.CompareAndSet("deleted", deleted, 2)).Actual);
            Assert.Equal(0UL, Assert.Throws<VersionMismatchException>(() => tx.Kv.CompareAndSet("expired", expired, 2)).Actual);
            tx.Kv.CompareAndSet("deleted", Sequence.None, 2);
            tx.Kv.CompareAndSet("expired", Sequence.None, 2);
        });
        database.NowAndAfterReopening(() => Assert.Equal((2, 2), (database.Kv.Number("deleted"), database.Kv.Number("expired"))));
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    public void TX15_TXI10_Blind_writes_never_conflict_and_the_later_commit_stays(Durability mode)
    {
        using var database = new TestDatabase(mode);
        using var first = database.Run.BeginTransaction();
        using var second = database.Run.BeginTransaction();
        using var third = database.Run.BeginTransaction(AtSnapshot);
        first.Kv.Put("a", 1);
        second.Kv.Put("a", 2);
        third.Kv.PutMany([new("a", 3), new("b", 3)]);
        third.Commit();
        second.Commit();
        first.Commit();
        database.NowAndAfterReopening(() => Assert.Equal((1, 3UL, 3), (database.Kv.Number("a"), database.Kv.Version("a"), database.Kv.Number("b"))));
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    public void TX15_A_delete_inside_a_transaction_tells_whether_the_key_was_there_so_it_is_a_read(Durability mode)
    {
        using var database = new TestDatabase(mode);
        using var transaction = database.Run.BeginTransaction();
        Assert.False(transaction.Kv.Delete("a"));
        transaction.Kv.Put("b", 1);
        database.Kv.Put("a", 1);
        Assert.Equal("a", Assert.Throws<ConflictException>(() => transaction.Commit()).Key);
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    public void TX17_Increments_commute_until_somebody_asks_for_the_result(Durability mode)
    {
        using var database = new TestDatabase(mode);
        using var first = database.Run.BeginTransaction();
        using var second = database.Run.BeginTransaction();
        using var asking = database.Run.BeginTransaction();
        first.Kv.Add("n", 3);
        second.Kv.Add("n", 4);
        second.Kv.Add("n", 5);
        Assert.Equal(7, asking.Kv.Increment("n", 7));
        second.Commit();
        first.Commit();
        Assert.Equal("n", Assert.Throws<ConflictException>(() => asking.Commit()).Key);
        database.NowAndAfterReopening(() => Assert.Equal(12, database.Kv.Number("n")));
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    public void TX17_Kind_and_overflow_of_an_increment_are_checked_at_commit_and_nothing_is_written(Durability mode)
    {
        using var database = new TestDatabase(mode);
        database.Kv.Put("n", long.MaxValue - 1);
        using var overflows = database.Run.BeginTransaction();
        overflows.Kv.Add("n", 1);
        overflows.Kv.Put("other", 1);
        using var wrong = database.Run.BeginTransaction();
        wrong.Kv.Add("later a text", 1);
        wrong.Kv.Put("other", 1);
        database.Kv.Put("n", long.MaxValue);
        database.Kv.Put("later a text", "text");

        Assert.Equal(ErrorCode.Overflow, Refused(() => overflows.Commit()));
        Assert.Equal(ErrorCode.WrongType, Refused(() => wrong.Commit()));
        Assert.False(database.Kv.Exists("other"));
        Assert.Equal(3UL, database.Sequence);
    }

    // Found by the model: the increment that was refused stayed among the writes, so later reads of the key and the commit failed.
    [Theory]
    [ClassData(typeof(AllModes))]
    public void A_refused_operation_leaves_the_transaction_as_it_was(Durability mode)
    {
        using var database = new TestDatabase(mode);
        database.Kv.Put("text", "t");
        database.Kv.Put("max", long.MaxValue);
        database.Kv.Put("a", 1);
        using var transaction = database.Run.BeginTransaction();
        var kv = transaction.Kv;
        Assert.Equal(ErrorCode.WrongType, Refused(() => kv.Increment("text")));
        Assert.Equal(ErrorCode.Overflow, Refused(() => kv.Increment("max")));
        kv.Add("max", -1);
        Assert.Equal(ErrorCode.Overflow, Refused(() => kv.Increment("max", 2)));
        Assert.Equal(ErrorCode.InvalidKey, Refused(() => kv.DeleteMany(["a", "\0"])));
        Assert.Equal(ErrorCode.InvalidKey, Refused(() => kv.PutMany([new("a", 2), new("", 2)])));
        Assert.Equal(ErrorCode.InvalidArgument, Refused(() => kv.DeleteMany(["a", "a"])));
        Assert.Equal("t", kv.Text("text"));
        Assert.Equal(long.MaxValue - 1, kv.Number("max"));
        Assert.Equal(1, kv.Number("a"));
        kv.Put("b", 1);
        transaction.Commit();
        Assert.Equal(["a", "b", "max", "text"], database.Kv.List());
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    public void TX21_A_transaction_that_wrote_nothing_always_succeeds_and_takes_no_sequence(Durability mode)
    {
        using var database = new TestDatabase(mode);
        database.Kv.Put("a", 1);
        using var transaction = database.Run.BeginTransaction();
        Assert.Equal(1, transaction.Kv.Number("a"));
        transaction.Kv.List();
        Assert.False(transaction.Kv.Delete("absent"));
        database.Kv.Put("a", 2);
        Assert.Equal(Sequence.None, transaction.Commit());
        Assert.Equal(2UL, database.Sequence);
        Assert.Equal(0, database.Db.Metrics.Pins);
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    public void TX22_A_run_that_was_not_named_is_refused_and_different_runs_never_conflict(Durability mode)
    {
        using var database = new TestDatabase(mode);
        var other = database.OtherRun();
        using var transaction = database.Run.BeginTransaction();
        Assert.Equal(ErrorCode.InvalidArgument, Refused(() => transaction.On(other)));
        Assert.Equal(ErrorCode.InvalidArgument, Refused(() => transaction.On(other.Id)));
        Assert.Same(transaction.On(database.Run).Kv, transaction.Kv);
        transaction.Kv.Get("a");
        transaction.Kv.List();
        transaction.Kv.Put("b", 1);
        other.Kv.Put("a", 1);
        other.Kv.Put("b", 1);
        transaction.Commit();
        Assert.Equal(["b"], database.Kv.List());
    }

    // ---- 3.3 levels ----------------------------------------------------------------------------------------------------------

    [Theory]
    [ClassData(typeof(AllModes))]
    public void TX24_TXI15_TXI16_At_Snapshot_only_what_is_also_written_is_validated(Durability mode)
    {
        using var database = new TestDatabase(mode);
        database.Kv.Put("a", 1);
        database.Kv.Put("b", 1);
        using (var first = database.Run.BeginTransaction(AtSnapshot))
        {
            using var second = database.Run.BeginTransaction(AtSnapshot);
            first.Kv.Put("a", first.Kv.Number("b")!.Value + 1);
            second.Kv.Put("b", second.Kv.Number("a")!.Value + 1);
            first.Commit();
            second.Commit();
        }

        Assert.Equal((2, 2), (database.Kv.Number("a"), database.Kv.Number("b")));
        using (var first = database.Run.BeginTransaction(AtSnapshot))
        {
            first.Kv.Scan();
            first.Kv.Put("a", 9);
            database.Kv.Put("b", 9);
            database.Kv.Put("phantom", 9);
            first.Commit();
        }

        foreach (var read in new Action<Kv>[] { kv => kv.Get("a"), kv => kv.Scan(), kv => kv.Count(), kv => kv.Exists("a") })
        {
            using var lost = database.Run.BeginTransaction(AtSnapshot);
            read(lost.Kv);
            lost.Kv.Put("a", 10);
            database.Kv.Put("a", 11);
            Assert.Equal("a", Assert.Throws<ConflictException>(() => lost.Commit()).Key);
        }

        using var expecting = database.Run.BeginTransaction(AtSnapshot);
        expecting.Kv.CompareAndSet("a", new Sequence(database.Kv.Version("a")), 12);
        database.Kv.Put("a", 13);
        Assert.Throws<ConflictException>(() => expecting.Commit());
    }

    // ---- 3.4 commit ----------------------------------------------------------------------------------------------------------

    [Theory]
    [InlineData(0, 2)]
    [InlineData(3, 5)]
    [InlineData(10, 12)]
    public void TX30_TX31_The_first_loss_is_free_each_further_one_is_a_retry_and_the_last_conflict_tells_the_attempts(int retries, int attempts)
    {
        foreach (var mode in Enum.GetValues<Durability>())
        {
            using var database = new TestDatabase(mode);
            var calls = 0;
            var conflict = Assert.Throws<ConflictException>(() => database.Run.Transact(
                tx =>
                {
                    calls++;
                    tx.Kv.Put("mine", tx.Kv.Number("theirs") ?? 0);
                    database.Kv.Put("theirs", calls);
                },
                new TransactionOptions { Retries = retries }));

            Assert.Equal(attempts, calls);
            Assert.Equal(attempts, conflict.Attempts);
            Assert.Equal("theirs", conflict.Key);
            Assert.Contains($"{attempts}", conflict.Message, StringComparison.Ordinal);
            Assert.False(database.Kv.Exists("mine"));
            Assert.Equal(attempts - 1, database.Db.Metrics.Retries);
            Assert.Equal(0, database.Db.Metrics.Pins);
        }
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    public void TX30_A_transaction_that_lost_sees_the_winner_when_it_runs_again(Durability mode)
    {
        using var database = new TestDatabase(mode);
        var seen = new List<long?>();
        var result = database.Run.Transact(tx =>
        {
            seen.Add(tx.Kv.Number("n"));
            tx.Kv.Put("n", (tx.Kv.Number("n") ?? 0) + 100);
            if (seen.Count < 4)
                database.Kv.Put("n", seen.Count);
            return seen.Count;
        });
        Assert.Equal(4, result);
        Assert.Equal([null, 1, 2, 3], seen);
        Assert.Equal(103, database.Kv.Number("n"));
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    public async Task TX30_The_awaited_form_tries_as_often_and_gives_the_same(Durability mode)
    {
        using var database = new TestDatabase(mode);
        var calls = 0;
        var result = await database.Run.TransactAsync(
            async tx =>
            {
                calls++;
                var n = tx.Kv.Number("n") ?? 0;
                await Task.Yield();
                if (calls < 3)
                    database.Kv.Put("n", calls);
                tx.Kv.Put("n", n + 100);
                return n;
            },
            cancellationToken: TestContext.Current.CancellationToken);
        Assert.Equal((3, 2L, 102L), (calls, result, database.Kv.Number("n")!.Value));

        var conflict = await Assert.ThrowsAsync<ConflictException>(async () => await database.Run.TransactAsync(
            tx =>
            {
                var n = tx.Kv.Number("n");
                database.Kv.Put("n", ++calls);
                tx.Kv.Put("n", 0);
                return ValueTask.FromResult(n);
            },
            new TransactionOptions { Retries = 1 },
            TestContext.Current.CancellationToken));
        Assert.Equal(3, conflict.Attempts);
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    public void TX31_Exceptions_of_the_function_end_it_without_another_try_and_pass_through(Durability mode)
    {
        using var database = new TestDatabase(mode);
        database.Kv.Put("a", 1);
        var calls = 0;
        var own = new TimeZoneNotFoundException();
        Assert.Same(own, Assert.Throws<TimeZoneNotFoundException>(() => database.Run.Transact(tx =>
        {
            calls++;
            tx.Kv.Put("a", 2);
            throw own;
        })));
        Assert.Equal(ErrorCode.VersionMismatch, Refused(() => database.Run.Transact(tx =>
        {
            calls++;
            tx.Kv.Put("a", 2);
            tx.Kv.CompareAndSet("a", new Sequence(9), 3);
        })));
        Assert.Equal(2, calls);
        Assert.Equal((1, 1UL), (database.Kv.Number("a"), database.Sequence));
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    public void TX32_LIM18_A_transaction_that_lived_too_long_is_refused_at_each_operation_and_at_commit(Durability mode)
    {
        using var database = new TestDatabase(mode, options => options with { Limits = new Limits { TransactionTimeMax = TimeSpan.FromSeconds(2) } });
        using var commits = database.Run.BeginTransaction();
        using var reads = database.Run.BeginTransaction();
        using var writes = database.Run.BeginTransaction();
        using var own = database.Run.BeginTransaction(new TransactionOptions { Timeout = TimeSpan.FromSeconds(1) });
        commits.Kv.Put("a", 1);
        database.Clock.Advance(TimeSpan.FromSeconds(1));
        own.Kv.Put("b", 1);
        database.Clock.Advance(TimeSpan.FromMilliseconds(1));
        Assert.Equal(ErrorCode.Timeout, Refused(() => own.Kv.Get("b")));
        database.Clock.Advance(TimeSpan.FromMilliseconds(999));
        using var inTime = database.Run.BeginTransaction();
        reads.Kv.Get("a");                                   // n: just in time
        database.Clock.Advance(TimeSpan.FromMicroseconds(1));

        Assert.Equal(ErrorCode.Timeout, Refused(() => commits.Commit()));
        Assert.Equal(ErrorCode.Timeout, Refused(() => reads.Kv.Get("a")));
        Assert.Equal(ErrorCode.Timeout, Refused(() => reads.Kv.List()));
        Assert.Equal(ErrorCode.Timeout, Refused(() => writes.Kv.Put("a", 2)));
        inTime.Kv.Put("c", 1);
        inTime.Commit();
        Assert.Equal(["c"], database.Kv.List());
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    public void TX32_The_maintainer_closes_a_transaction_that_lived_too_long_so_that_it_pins_nothing(Durability mode)
    {
        using var database = new TestDatabase(mode);
        database.Kv.Put("a", 1);
        using var forgotten = database.Run.BeginTransaction();
        forgotten.Kv.Get("a");
        Assert.Equal((1, 1), (database.Db.Metrics.Pins, database.Db.Metrics.OpenTransactions));
        database.Clock.Advance(TimeSpan.FromSeconds(30));
        database.Maintain();
        Assert.Equal(1, database.Db.Metrics.Pins);
        database.Clock.Advance(TimeSpan.FromMicroseconds(1));
        database.Maintain();
        Assert.Equal((0, 0), (database.Db.Metrics.Pins, database.Db.Metrics.OpenTransactions));
        Assert.Equal(ErrorCode.Timeout, Refused(() => forgotten.Kv.Get("a")));
        Assert.Equal(ErrorCode.Timeout, Refused(() => forgotten.Commit()));
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    public void TX35_A_transaction_over_several_runs_is_one_commit_with_one_sequence(Durability mode)
    {
        using var database = new TestDatabase(mode);
        var other = database.OtherRun();
        using (var transaction = database.BeginOver(1))
        {
            Assert.Throws<InvalidOperationException>(() => transaction.Kv);
            transaction.On(database.Run).Kv.Put("a", 1);
            transaction.On(other).Kv.Put("a", 2);
            Assert.Equal((1, 2), (transaction.On(database.Run).Kv.Number("a"), transaction.On(other).Kv.Number("a")));
            Assert.Equal(2UL, transaction.Commit().Value);
        }

        Assert.Equal((2UL, 2UL), (database.Kv.Version("a"), other.Kv.Version("a")));
        using var reader = database.BeginOver(1);
        reader.On(other).Kv.Get("a");
        reader.On(database.Run).Kv.Put("b", 1);
        other.Kv.Put("a", 3);
        Assert.Throws<ConflictException>(() => reader.Commit());
    }

    // Found by reading: only the runs that were written were locked, so two transactions that each read what the other writes could
    // both be validated before either was applied.
    [Theory]
    [ClassData(typeof(AllModes))]
    public void TX7_TX35_Write_skew_across_two_runs_does_not_happen_however_close_the_commits_are(Durability mode)
    {
        using var database = new TestDatabase(mode, options => options with { SegmentBytesMin = 1 << 20, SegmentBytesMax = 1 << 20 });
        var other = database.OtherRun();
        var rounds = Seeds.Scaled(3_000);
        using var together = new Barrier(2);
        var won = new bool[2][];
        var threads = Enumerable.Range(0, 2).Select(me => new Thread(() =>
        {
            won[me] = new bool[rounds];
            var (mine, theirs) = me == 0 ? (database.Run.Id, other.Id) : (other.Id, database.Run.Id);
            for (var round = 0; round < rounds; round++)
            {
                using var transaction = database.BeginOver(1);
                transaction.On(theirs).Kv.Get("on call");
                transaction.On(mine).Kv.Put("on call", round);
                together.SignalAndWait();
                try
                {
                    transaction.Commit();
                    won[me][round] = true;
                }
                catch (ConflictException)
                {
                }

                together.SignalAndWait();
            }
        })).ToList();
        threads.ForEach(thread => thread.Start());
        threads.ForEach(thread => thread.Join());
        for (var round = 0; round < rounds; round++)
            Assert.True(won[0][round] != won[1][round], $"round {round}: {(won[0][round] ? "both" : "neither")} committed");
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    public void TX37_A_transaction_inside_another_on_the_same_run_joins_it_and_on_another_run_is_refused(Durability mode)
    {
        using var database = new TestDatabase(mode);
        var other = database.OtherRun();
        database.Run.Transact(tx =>
        {
            tx.Kv.Put("a", 1);
            Assert.Equal(1, database.Run.Transact(inner =>
            {
                inner.Kv.Put("b", inner.Kv.Number("a")!.Value);
                return inner.Kv.Number("b");
            }));
            Assert.Equal(1, tx.Kv.Number("b"));
            Assert.False(database.Kv.Exists("b"));
            Assert.Equal(ErrorCode.InvalidArgument, Refused(() => other.Transact(inner => inner.Kv.Put("c", 1))));
        });
        database.NowAndAfterReopening(() =>
        {
            Assert.Equal(2UL, database.Sequence);            // the other run, and this
            Assert.Equal(["a", "b"], database.Kv.List());
        });
        database.OtherRun().Transact(tx => tx.Kv.Put("c", 1));
    }

    // Found by reading: "the transaction that is running" was looked up by thread alone, and every database has a run `default`, so
    // what was meant for the second database went to the first.
    [Theory]
    [ClassData(typeof(AllModes))]
    public void TX37_A_transaction_on_another_database_inside_one_is_its_own(Durability mode)
    {
        using var outer = new TestDatabase(mode);
        using var inner = new TestDatabase(mode);
        outer.Run.Transact(tx =>
        {
            tx.Kv.Put("a", 1);
            inner.Run.Transact(innerTransaction => innerTransaction.Kv.Put("b", 2));
            Assert.Equal(2, inner.Kv.Number("b"));
            outer.Run.Transact(joined => joined.Kv.Put("c", 3));
            Assert.False(outer.Kv.Exists("c"));
        });
        Assert.Equal(["a", "c"], outer.Kv.List());
        Assert.Equal(["b"], inner.Kv.List());
        Assert.Equal(1UL, outer.Sequence);
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    public void TX40_Range_validation_is_exact_also_when_more_was_written_than_is_remembered(Durability mode)
    {
        using var database = new TestDatabase(mode);
        database.Kv.Put("in/a", 1);
        database.Kv.Put("in/b", 1);
        using var unharmed = database.Run.BeginTransaction();
        using var harmed = database.Run.BeginTransaction();
        foreach (var transaction in new[] { unharmed, harmed })
        {
            transaction.Kv.List(new ScanOptions { Prefix = "in/" });
            transaction.Kv.Put("own", 1);
        }

        using (var first = database.Run.BeginTransaction())
        {
            first.Kv.List();                                 // from here on the run remembers its recent writes
            first.Kv.Put("y", 1);
            first.Commit();
        }

        for (var i = 0; i < 3_000; i++)
            database.Kv.Put($"out/{i}/{new string('x', 40)}", i);
        unharmed.Commit();
        database.Kv.Put("in/b", 2);
        for (var i = 0; i < 3_000; i++)
            database.Kv.Put($"out/{i}/{new string('x', 40)}", i);
        Assert.Equal("in/b", Assert.Throws<ConflictException>(() => harmed.Commit()).Key);
    }

    // ---- limits at this door -------------------------------------------------------------------------------------------------

    [Theory]
    [ClassData(typeof(AllModes))]
    public void LIM16_Operations_of_a_transaction_at_n_minus_1_n_and_n_plus_1(Durability mode)
    {
        using var database = new TestDatabase(mode, options => options with { Limits = new Limits { TransactionOperationsMax = 10 } });
        foreach (var count in new[] { 9, 10 })
            database.Run.Transact(tx => PutSome(tx.Kv, count));
        database.Kv.PutMany([.. Enumerable.Range(0, 10).Select(i => KeyValuePair.Create($"m{i}", (Value)i))]);

        Action[] tooMany =
        [
            () => database.Run.Transact(tx => PutSome(tx.Kv, 11)),
            () => database.Kv.PutMany([.. Enumerable.Range(0, 11).Select(i => KeyValuePair.Create($"m{i}", (Value)7))]),
        ];
        foreach (var action in tooMany)
        {
            var limit = Assert.Throws<LimitException>(action);
            Assert.Equal((nameof(Limits.TransactionOperationsMax), 10L, 11L), (limit.Limit, limit.Allowed, limit.Actual));
        }

        Assert.Equal(3UL, database.Sequence);
        Assert.Equal(0, database.Kv.Number("m0"));
    }

    private static void PutSome(Kv kv, int count)
    {
        for (var i = 0; i < count; i++)
            kv.Put($"k{i}", i);
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    public void LIM17_The_payload_of_a_transaction_at_n_minus_1_n_and_n_plus_1(Durability mode)
    {
        using var database = new TestDatabase(mode, options => options with { Limits = new Limits { ValueBytesMax = 60_000, TransactionBytesMax = 60_000 + (64 << 10) } });
        var allowed = database.Db.Limits.TransactionBytesMax;
        void PutBytes(int bytes) => database.Run.Transact(tx =>
        {
            tx.Kv.Put("a", new byte[50_000].AsSpan());
            tx.Kv.Put("b", new byte[50_000].AsSpan());
            tx.Kv.Put("c", new byte[bytes].AsSpan());
        });

        // Keys and values alone fit, so the commit measures the record. What is larger is refused at the call, with the least it would be.
        const int Close = 25_500;
        var first = Assert.Throws<LimitException>(() => PutBytes(Close));
        Assert.Equal((nameof(Limits.TransactionBytesMax), (long)allowed), (first.Limit, first.Allowed));
        Assert.InRange(Assert.Throws<LimitException>(() => PutBytes(40_000)).Actual, 140_000, 140_100);
        var fits = Close - (int)(first.Actual - allowed);
        PutBytes(fits - 1);
        PutBytes(fits);
        var refused = Assert.Throws<LimitException>(() => PutBytes(fits + 1));
        Assert.Equal(allowed + 1, refused.Actual);
        Assert.Equal(2UL, database.Sequence);
        database.NowAndAfterReopening(() => Assert.Equal(fits, database.Kv.Get("c")!.Value.AsBytes().Length));
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    public void LIM18_A_timeout_may_not_exceed_the_limit_and_must_be_positive(Durability mode)
    {
        using var database = new TestDatabase(mode);
        foreach (var refused in new[] { TimeSpan.Zero, TimeSpan.FromSeconds(-1), TimeSpan.FromSeconds(30) + TimeSpan.FromTicks(1) })
        {
            var limit = Assert.Throws<LimitException>(() => database.Run.BeginTransaction(new TransactionOptions { Timeout = refused }));
            Assert.Equal(nameof(Limits.TransactionTimeMax), limit.Limit);
        }

        database.Run.BeginTransaction(new TransactionOptions { Timeout = TimeSpan.FromSeconds(30) }).Dispose();
        database.Run.BeginTransaction(new TransactionOptions { Timeout = TimeSpan.FromSeconds(30) - TimeSpan.FromTicks(1) }).Dispose();
        Assert.Equal(0, database.Db.Metrics.Pins);
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    public void LIM19_Runs_of_a_transaction_at_n_minus_1_n_and_n_plus_1(Durability mode)
    {
        using var database = new TestDatabase(mode, options => options with { Limits = new Limits { TransactionRunsMax = 3 } });
        database.BeginOver(1).Dispose();
        database.BeginOver(2).Dispose();
        var limit = Assert.Throws<LimitException>(() => database.BeginOver(3));
        Assert.Equal((nameof(Limits.TransactionRunsMax), 3L, 4L), (limit.Limit, limit.Allowed, limit.Actual));
    }

    [Theory]
    [InlineData(-1)]
    [InlineData(10_001)]
    public void TX30_Retries_out_of_their_range_are_refused(int retries)
    {
        using var database = new TestDatabase(Durability.InMemory);
        Assert.Equal(ErrorCode.InvalidArgument, Refused(() => database.Run.Transact(_ => { }, new TransactionOptions { Retries = retries })));
        database.Run.Transact(_ => { }, new TransactionOptions { Retries = 10_000 });
    }

    // ---- 3.5 many threads ----------------------------------------------------------------------------------------------------

    [Theory]
    [ClassData(typeof(AllModes))]
    public void TXI8_Of_many_compare_and_sets_with_one_expectation_exactly_one_wins(Durability mode)
    {
        using var database = new TestDatabase(mode);
        for (var round = 0; round < 40; round++)
        {
            var expected = new Sequence(database.Kv.Version("a"));
            var winners = 0;
            InParallel(4, me =>
            {
                try
                {
                    database.Kv.CompareAndSet("a", expected, me);
                    Interlocked.Increment(ref winners);
                }
                catch (VersionMismatchException mismatch)
                {
                    Assert.Equal(mismatch.Actual, database.Kv.Version("a"));       // TX-39: what the refusal rests on is visible
                }
            });
            Assert.Equal(1, winners);
        }

        Assert.Equal(40UL, database.Sequence);
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    public void TXI10_TXI17_Blind_writes_of_many_threads_all_succeed_and_their_sequences_are_dense_across_restarts(Durability mode)
    {
        using var database = new TestDatabase(mode);
        var all = new List<ulong>();
        for (var life = 0; life < 3; life++)
        {
            var sequences = new ulong[4][];
            InParallel(4, me => sequences[me] = [.. Enumerable.Range(0, 50).Select(i => database.Kv.Put($"k{i % 3}", me * 1_000 + i).Value)]);
            Assert.All(sequences, mine => Assert.Equal(mine.Order(), mine));
            all.AddRange(sequences.SelectMany(mine => mine));
            database.Reopen(isKilled: life == 1);
        }

        Assert.Equal(Enumerable.Range(1, 600).Select(i => (ulong)i), all.Order());
        Assert.Equal(600UL, database.Sequence);
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    public void TXI6_TXI2_Readers_never_see_a_part_of_a_commit_or_what_was_rolled_back(Durability mode)
    {
        using var database = new TestDatabase(mode);
        var isOver = false;
        InParallel(3, me =>
        {
            if (me == 0)
            {
                for (var i = 1; i <= 400; i++)
                {
                    using var transaction = database.Run.BeginTransaction();
                    transaction.Kv.PutMany([new("a", i), new("b", i), new("z", -i)]);
                    if (i % 3 == 0)
                        continue;
                    transaction.Commit();
                }

                Volatile.Write(ref isOver, true);
                return;
            }

            while (!Volatile.Read(ref isOver))
            {
                using var snapshot = database.Run.Snapshot();
                var seen = snapshot.Kv.GetMany(["a", "b", "z"]).Select(value => value?.AsInt64() ?? 0).ToList();
                Assert.True(seen[0] == seen[1] && seen[2] == -seen[0] && (seen[0] % 3 != 0 || seen[0] == 0), string.Join(' ', seen));
                var many = database.Kv.GetMany(["a", "z"]);
                Assert.Equal(many[0]?.AsInt64(), -many[1]?.AsInt64());
                Assert.Equal(0, database.Kv.Scan().Sum(pair => pair.Key == "b" ? 0 : pair.Value.Value.AsInt64()));
            }
        });
    }

    internal static void InParallel(int count, Action<int> body)
    {
        Exception? failure = null;
        var threads = Enumerable.Range(0, count).Select(me => new Thread(() =>
        {
            try
            {
                body(me);
            }
            catch (Exception e)
            {
                failure = e;
            }
        })).ToList();
        threads.ForEach(thread => thread.Start());
        threads.ForEach(thread => thread.Join());
        if (failure is not null)
            throw new InvalidOperationException("a thread failed", failure);
    }
}
