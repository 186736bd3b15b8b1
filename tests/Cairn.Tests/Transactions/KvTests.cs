using Xunit;
using static Cairn.Tests.Transactions.TestValues;

namespace Cairn.Tests.Transactions;

/// <summary>What requirements.md says of Kv, versions, expiry, keys and limits, sentence by sentence, in all three modes, also after
/// reopening. Inside transactions: <see cref="TransactionTests"/>; against the model: <see cref="EngineModelTests"/>.</summary>
[Trait("Promise", "G3")]
public sealed class KvTests
{
    private static readonly TimeSpan Second = TimeSpan.FromSeconds(1);

    // ---- KV ------------------------------------------------------------------------------------------------------------------

    [Theory]
    [ClassData(typeof(AllModes))]
    public void KV1_Every_kind_of_value_comes_back_and_an_absent_key_is_an_answer(Durability mode)
    {
        using var database = new TestDatabase(mode);
        var values = new Dictionary<string, Value>
        {
            ["array"] = Value.Array(1, Value.Null, "x", Value.Array()),
            ["bytes"] = new byte[] { 0, 255 },
            ["empty text"] = "",
            ["false"] = false,
            ["float"] = 0.5,
            ["int"] = long.MinValue,
            ["nan"] = double.NaN,
            ["null"] = Value.Null,
            ["object"] = Value.Object(("b", 1), ("a", Value.Object(("é", "ü")))),
            ["text"] = "\U0001f5ff",
        };
        foreach (var (key, value) in values)
            database.Kv.Put(key, value);
        database.NowAndAfterReopening(() =>
        {
            foreach (var (key, value) in values)
            {
                Assert.Equal(value, database.Kv.Get(key));
                Assert.True(database.Kv.TryGet(key, out var got));
                Assert.Equal(value, got);
                Assert.Equal(value.Kind, got.Kind);
                Assert.True(database.Kv.Exists(key));
                Assert.Equal(value, database.Kv.GetVersioned(key)!.Value.Value);
            }

            Assert.Null(database.Kv.Get("absent"));
            Assert.False(database.Kv.TryGet("absent", out _));
            Assert.False(database.Kv.TryGet("absent", [], out var written));
            Assert.Equal(0, written);
            Assert.False(database.Kv.Exists("absent"));
            Assert.Null(database.Kv.GetVersioned("absent"));
            Assert.Equal([values["text"], null, values["int"]], database.Kv.GetMany(["text", "absent", "int"]));
            Assert.Equal(values.Keys.Order(StringComparer.Ordinal), database.Kv.List());
            Assert.Equal(values.OrderBy(pair => pair.Key, StringComparer.Ordinal).Select(pair => pair.Value), database.Kv.Scan().Select(pair => pair.Value.Value));
        });
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    public void KV1_Content_is_copied_into_the_callers_buffer_or_the_needed_length_is_told(Durability mode)
    {
        using var database = new TestDatabase(mode);
        database.Kv.Put("bytes", [1, 2, 3]);
        database.Kv.Put("text", "äb");
        database.Kv.Put("number", 1);
        var buffer = new byte[3];
        Assert.True(database.Kv.TryGet("bytes", buffer, out var written));
        Assert.Equal(3, written);
        Assert.Equal([1, 2, 3], buffer);
        Assert.True(database.Kv.TryGet("text", buffer, out written));
        Assert.Equal("äb"u8.ToArray(), buffer[..written]);
        buffer[0] = 77;
        Assert.False(database.Kv.TryGet("bytes", buffer.AsSpan(0, 2), out written));
        Assert.Equal((3, 77), (written, buffer[0]));
        Assert.Equal(ErrorCode.WrongType, Refused(() => database.Kv.TryGet("number", buffer, out _)));
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    public async Task KV2_Put_replaces_and_answers_with_its_sequence_in_each_of_its_forms(Durability mode)
    {
        using var database = new TestDatabase(mode);
        Assert.Equal(1UL, database.Kv.Put("a", 1).Value);
        Assert.Equal(2UL, database.Kv.Put("a", "one").Value);
        Assert.Equal(3UL, database.Kv.Put("b", [1]).Value);
        Assert.Equal(4UL, (await database.Kv.PutAsync("c", 3, cancellationToken: TestContext.Current.CancellationToken)).Value);
        Assert.Equal(5UL, database.Kv.PutMany([new("d", 4), new("a", 5)]).Value);
        Assert.Equal(Sequence.None, database.Kv.PutMany([]));
        Assert.True(database.Kv.TryAdd("e", 6));
        Assert.False(database.Kv.TryAdd("e", 7));
        database.NowAndAfterReopening(() =>
        {
            Assert.Equal(6UL, database.Sequence);
            Assert.Equal([("a", 5UL), ("b", 3UL), ("c", 4UL), ("d", 5UL), ("e", 6UL)], database.Kv.Scan().Select(pair => (pair.Key, pair.Value.Version.Value)));
            Assert.Equal(6, database.Kv.Number("e"));
        });
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    public void KV3_Delete_tells_whether_the_key_was_there_and_deleting_nothing_writes_nothing(Durability mode)
    {
        using var database = new TestDatabase(mode);
        database.Kv.PutMany([new("a", 1), new("b", 2), new("c", 3), new("d", 4)]);
        Assert.False(database.Kv.Delete("absent"));
        Assert.Equal(0, database.Kv.DeleteMany(["absent", "nor this"]));
        Assert.Equal(0, database.Kv.DeleteMany([]));
        Assert.Equal(1UL, database.Sequence);
        Assert.True(database.Kv.Delete("a"));
        Assert.False(database.Kv.Delete("a"));
        Assert.Equal(2, database.Kv.DeleteMany(["b", "absent", "a", "c"]));
        database.NowAndAfterReopening(() =>
        {
            Assert.Equal(3UL, database.Sequence);
            Assert.Equal(["d"], database.Kv.List());
            Assert.Equal(1, database.Kv.Count());
        });
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    public void KV4_Compare_and_set_of_a_version_writes_or_tells_the_current_one(Durability mode)
    {
        using var database = new TestDatabase(mode);
        var created = database.Kv.CompareAndSet("a", Sequence.None, 1);
        var changed = database.Kv.CompareAndSet("a", created, 2);
        Assert.Equal((1UL, 2UL), (created.Value, changed.Value));
        database.Reopen();
        foreach (var wrong in new[] { Sequence.None, created, new Sequence(3) })
        {
            var mismatch = Assert.Throws<VersionMismatchException>(() => database.Kv.CompareAndSet("a", wrong, 9));
            Assert.Equal((ErrorCode.VersionMismatch, wrong.Value, 2UL), (mismatch.Code, mismatch.Expected, mismatch.Actual));
            Assert.False(mismatch.IsTransient);
        }

        Assert.Equal(0UL, Assert.Throws<VersionMismatchException>(() => database.Kv.CompareAndSet("absent", changed, 9)).Actual);
        Assert.Equal((2, 2UL), (database.Kv.Number("a"), database.Sequence));
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    public void KV5_VAL6_Compare_and_set_of_a_value_compares_canonical_bytes_and_never_throws_on_a_mismatch(Durability mode)
    {
        using var database = new TestDatabase(mode);
        Assert.False(database.Kv.CompareAndSetValue("a", 1, 2));
        Assert.False(database.Kv.CompareAndSetValue("a", Value.Null, 2));
        Assert.True(database.Kv.CompareAndSetValue("a", null, Value.Object(("x", 1), ("y", 2))));
        Assert.False(database.Kv.CompareAndSetValue("a", null, 3));
        Assert.True(database.Kv.CompareAndSetValue("a", Value.Object(("y", 2), ("x", 1)), 1));
        Assert.False(database.Kv.CompareAndSetValue("a", 1.0, 2));
        Assert.False(database.Kv.CompareAndSetValue("a", "1", 2));
        Assert.True(database.Kv.CompareAndSetValue("a", 1, double.NaN));
        Assert.True(database.Kv.CompareAndSetValue("a", double.NaN, 0.0));
        Assert.False(database.Kv.CompareAndSetValue("a", -0.0, 1));
        Assert.Equal(4UL, database.Sequence);
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    public void KV6_Increment_counts_from_zero_keeps_the_expiry_and_refuses_what_it_cannot_add(Durability mode)
    {
        using var database = new TestDatabase(mode);
        Assert.Equal(1, database.Kv.Increment("n"));
        Assert.Equal(-4, database.Kv.Increment("n", -5));
        database.Kv.Add("n", 10);
        database.Kv.Put("max", long.MaxValue);
        database.Kv.Put("min", long.MinValue);
        database.Kv.Put("text", "1");
        database.Kv.Put("float", 1.0);
        database.Kv.Put("expires", 1, Second);
        var sequence = database.Sequence;
        Assert.Equal(ErrorCode.Overflow, Refused(() => database.Kv.Increment("max")));
        Assert.Equal(ErrorCode.Overflow, Refused(() => database.Kv.Increment("min", -1)));
        Assert.Equal(ErrorCode.WrongType, Refused(() => database.Kv.Increment("text")));
        Assert.Equal(ErrorCode.WrongType, Refused(() => database.Kv.Increment("float")));
        Assert.Equal(sequence, database.Sequence);
        Assert.Equal(-1, database.Kv.Increment("max", long.MinValue));
        Assert.Equal(3, database.Kv.Increment("expires", 2));
        database.NowAndAfterReopening(() =>
        {
            Assert.Equal((6, -1, long.MinValue, "1", 3), (database.Kv.Number("n"), database.Kv.Number("max"), database.Kv.Number("min"), database.Kv.Text("text"), database.Kv.Number("expires")));
            Assert.NotNull(database.Kv.GetVersioned("expires")!.Value.Expiry);
        });
        database.Clock.Advance(Second);
        Assert.False(database.Kv.Exists("expires"));
        Assert.Equal(5, database.Kv.Increment("expires", 5));
        Assert.Null(database.Kv.GetVersioned("expires")!.Value.Expiry);
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    public void KV7_Lists_and_scans_give_ranges_prefixes_limits_and_both_directions(Durability mode)
    {
        using var database = new TestDatabase(mode);
        string[] keys = ["a", "a/", "a/1", "a/2", "a0", "b", "b/1", "c"];
        database.Kv.PutMany([.. keys.Reverse().Select((key, i) => KeyValuePair.Create(key, (Value)i))]);
        database.NowAndAfterReopening(() =>
        {
            Assert.Equal(keys, database.Kv.List());
            Assert.Equal(keys.Reverse(), database.Kv.List(new ScanOptions { Reverse = true }));
            Assert.Equal(["a/", "a/1", "a/2"], database.Kv.List(new ScanOptions { Prefix = "a/" }));
            Assert.Equal(["a/2", "a/1", "a/"], database.Kv.List(new ScanOptions { Prefix = "a/", Reverse = true }));
            Assert.Equal(["a/1", "a/2", "a0"], database.Kv.List(new ScanOptions { From = "a/1", To = "b" }));
            Assert.Equal(["b/1", "c"], database.Kv.List(new ScanOptions { From = "b/" }));
            Assert.Equal(["a", "a/"], database.Kv.List(new ScanOptions { To = "a/1" }));
            Assert.Empty(database.Kv.List(new ScanOptions { From = "b", To = "b" }));
            Assert.Empty(database.Kv.List(new ScanOptions { From = "c", To = "a" }));
            Assert.Equal(["a", "a/"], database.Kv.List(new ScanOptions { Limit = 2 }));
            Assert.Equal(["c", "b/1"], database.Kv.Scan(new ScanOptions { Limit = 2, Reverse = true }).Select(pair => pair.Key));
        });
        Assert.Equal(ErrorCode.InvalidArgument, Refused(() => database.Kv.List(new ScanOptions { Prefix = "a", From = "a" })));
        Assert.Equal(ErrorCode.InvalidArgument, Refused(() => database.Kv.List(new ScanOptions { Prefix = "a", To = "b" })));
        Assert.Equal(ErrorCode.InvalidArgument, Refused(() => database.Kv.List(new ScanOptions { Limit = -1 })));
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    public void KV7_Pages_partition_one_snapshot_whatever_is_written_between_them(Durability mode)
    {
        foreach (var reverse in new[] { false, true })
        {
            using var database = new TestDatabase(mode);
            for (var i = 0; i < 50; i++)
                database.Kv.Put($"k{i:D3}", i);
            for (var i = 0; i < 50; i += 7)
                database.Kv.Delete($"k{i:D3}");
            var expected = database.Kv.Scan().Select(pair => (pair.Key, pair.Value.Value.AsInt64())).ToList();
            if (reverse)
                expected.Reverse();
            var at = database.Sequence;
            var got = new List<(string, long)>();
            string? cursor = null;
            var pages = 0;
            do
            {
                var page = database.Kv.Scan(new ScanOptions { Limit = 1 + (pages % 5), Cursor = cursor, Reverse = reverse });
                Assert.Equal(at, page.Sequence.Value);
                got.AddRange(page.Select(pair => (pair.Key, pair.Value.Value.AsInt64())));
                cursor = page.Cursor;
                database.Kv.Put($"k{pages * 3:D3}", 1_000);
                database.Kv.Put($"k{pages * 3:D3}x", 1_000);
                database.Kv.Delete($"k{49 - pages:D3}");
                database.Maintain();
                pages++;
            }
            while (cursor is not null);
            Assert.Equal(expected, got);
        }
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    public void KV7_Pages_of_a_listing_partition_it_while_threads_write(Durability mode)
    {
        using var database = new TestDatabase(mode);
        for (var i = 0; i < 100; i++)
            database.Kv.Put($"k{i:D3}", 0);
        var isOver = false;
        TransactionTests.InParallel(2, me =>
        {
            if (me == 0)
            {
                // Every commit moves one unit from one key to another, so each snapshot has the sum 0.
                for (var i = 0; !Volatile.Read(ref isOver); i++)
                {
                    database.Run.Transact(tx =>
                    {
                        tx.Kv.Increment($"k{i * 7 % 100:D3}", 1);
                        tx.Kv.Increment($"k{(i * 13 + 1) % 100:D3}", -1);
                    });
                }

                return;
            }

            try
            {
                for (var round = 0; round < 30; round++)
                {
                    var sum = 0L;
                    var count = 0;
                    string? cursor = null;
                    do
                    {
                        var page = database.Kv.Scan(new ScanOptions { Limit = 9, Cursor = cursor });
                        sum += page.Sum(pair => pair.Value.Value.AsInt64());
                        count += page.Count;
                        cursor = page.Cursor;
                    }
                    while (cursor is not null);
                    Assert.Equal((100, 0L), (count, sum));
                }
            }
            finally
            {
                Volatile.Write(ref isOver, true);
            }
        });
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    public void KV8_Counts_are_exact_with_and_without_a_prefix(Durability mode)
    {
        using var database = new TestDatabase(mode);
        Assert.Equal(0, database.Kv.Count());
        database.Kv.Put("a/1", 1);
        database.Kv.Put("a/1", 2);
        database.Kv.Put("a/2", 1, Second);
        database.Kv.Put("b", Value.Null);
        database.Kv.Put("c", 1);
        database.Kv.Delete("c");
        database.Kv.Increment("n");
        using var snapshot = database.Run.Snapshot();
        database.Kv.Delete("b");
        database.NowAndAfterReopening(() => Assert.Equal((3, 2, 0), (database.Kv.Count(), database.Kv.Count("a/"), database.Kv.Count("c"))));
        if (!database.HasLog)
            Assert.Equal(4, snapshot.Kv.Count());
        database.Clock.Advance(Second);
        database.NowAndAfterReopening(() => Assert.Equal((2, 1), (database.Kv.Count(), database.Kv.Count("a/"))));
        database.Maintain();
        database.NowAndAfterReopening(() => Assert.Equal((2, 1), (database.Kv.Count(), database.Kv.Count("a/"))));
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    public void KV9_Expire_and_persist_change_the_expiry_alone_and_make_a_version(Durability mode)
    {
        using var database = new TestDatabase(mode);
        Assert.False(database.Kv.Expire("a", Second));
        Assert.False(database.Kv.Persist("a"));
        Assert.Equal(0UL, database.Sequence);
        database.Kv.Put("a", "kept");
        Assert.True(database.Kv.Expire("a", Second));
        var versioned = database.Kv.GetVersioned("a")!.Value;
        Assert.Equal(("kept", 2UL, 1UL), (versioned.Value.AsString(), versioned.Version.Value, versioned.Created.Value));
        Assert.Equal(database.Clock.GetUtcNow() + Second, versioned.Expiry);
        Assert.True(database.Kv.Persist("a"));
        database.Clock.Advance(2 * Second);
        database.NowAndAfterReopening(() =>
        {
            var now = database.Kv.GetVersioned("a")!.Value;
            Assert.Equal(("kept", 3UL, 1UL, (DateTimeOffset?)null), (now.Value.AsString(), now.Version.Value, now.Created.Value, now.Expiry));
        });
        database.Kv.Expire("a", Second);
        database.Clock.Advance(Second);
        Assert.False(database.Kv.Expire("a", Second));
        Assert.False(database.Kv.Persist("a"));
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    public void CON12_A_call_for_many_is_all_or_nothing_and_names_each_key_once(Durability mode)
    {
        using var database = new TestDatabase(mode, options => options with { Limits = new Limits { ManyItemsMax = 3 } });
        database.Kv.Put("a", 1);
        Assert.Equal(ErrorCode.InvalidArgument, Refused(() => database.Kv.PutMany([new("b", 1), new("b", 2)])));
        Assert.Equal(ErrorCode.InvalidArgument, Refused(() => database.Kv.DeleteMany(["a", "a"])));
        Assert.Equal(ErrorCode.InvalidArgument, Refused(() => database.Kv.GetMany(["a", "a"])));
        Assert.Equal(ErrorCode.InvalidKey, Refused(() => database.Kv.PutMany([new("b", 1), new("", 2)])));
        Assert.Equal(ErrorCode.InvalidKey, Refused(() => database.Kv.DeleteMany(["a", ""])));
        foreach (var count in new[] { 2, 3 })
            database.Kv.PutMany([.. Enumerable.Range(0, count).Select(i => KeyValuePair.Create($"k{i}", (Value)i))]);
        string[] four = ["a", "k0", "k1", "k2"];
        Action[] tooMany = [() => database.Kv.PutMany([.. four.Select(key => KeyValuePair.Create(key, (Value)9))]), () => database.Kv.DeleteMany(four), () => database.Kv.GetMany(four)];
        foreach (var action in tooMany)
        {
            var limit = Assert.Throws<LimitException>(action);
            Assert.Equal((nameof(Limits.ManyItemsMax), 3L, 4L), (limit.Limit, limit.Allowed, limit.Actual));
        }

        Assert.Equal([("a", 1L), ("k0", 0L), ("k1", 1L), ("k2", 2L)], database.Kv.Scan().Select(pair => (pair.Key, pair.Value.Value.AsInt64())));
        Assert.Equal(3UL, database.Sequence);
    }

    // ---- VER, VAL ------------------------------------------------------------------------------------------------------------

    [Theory]
    [ClassData(typeof(AllModes))]
    public void VER1_VER2_VER3_Versions_are_the_sequence_of_their_commit_increase_and_are_never_used_again(Durability mode)
    {
        using var database = new TestDatabase(mode);
        database.Kv.Put("a", 1);
        database.Kv.Put("b", 1);
        var later = database.Clock.GetUtcNow() + Second;
        database.Clock.Advance(Second);
        database.Kv.Put("a", 1);
        database.NowAndAfterReopening(() =>
        {
            var a = database.Kv.GetVersioned("a")!.Value;
            Assert.Equal((3UL, 1UL, later, (DateTimeOffset?)null), (a.Version.Value, a.Created.Value, a.Time, a.Expiry));
            Assert.Equal((2UL, 2UL), (database.Kv.Version("b"), database.Kv.GetVersioned("b")!.Value.Created.Value));
        });
        database.Kv.Delete("a");
        Assert.Equal(0UL, database.Kv.Version("a"));
        database.Reopen();
        database.Kv.Put("a", 1);
        database.NowAndAfterReopening(() =>
        {
            var again = database.Kv.GetVersioned("a")!.Value;
            Assert.Equal((5UL, 5UL, 5UL), (again.Version.Value, again.Created.Value, database.Sequence));
        });
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    public void VAL2_Null_is_a_value_and_neither_absent_nor_a_tombstone(Durability mode)
    {
        using var database = new TestDatabase(mode);
        database.Kv.Put("a", Value.Null);
        database.NowAndAfterReopening(() =>
        {
            Assert.True(database.Kv.Get("a") is { IsNull: true });
            Assert.True(database.Kv.Exists("a"));
            Assert.Equal(1, database.Kv.Count());
            Assert.True(database.Kv.Scan()[0].Value.Value.IsNull);
            Assert.Equal([Value.Null, null], database.Kv.GetMany(["a", "b"]));
        });
        Assert.False(database.Kv.TryAdd("a", 1));
        Assert.False(database.Kv.CompareAndSetValue("a", null, 1));
        Assert.Equal(ErrorCode.WrongType, Refused(() => database.Kv.Increment("a")));
        Assert.True(database.Kv.CompareAndSetValue("a", Value.Null, 1));
        Assert.True(database.Kv.CompareAndSetValue("a", 1, Value.Null));
        Assert.True(database.Kv.Delete("a"));
        Assert.Null(database.Kv.Get("a"));
        Assert.False(database.Kv.CompareAndSetValue("a", Value.Null, 1));
    }

    // ---- TTL -----------------------------------------------------------------------------------------------------------------

    [Theory]
    [ClassData(typeof(AllModes))]
    public void TTL2_TTL3_Expiry_is_commit_time_plus_time_to_live_to_the_microsecond_and_survives_reopening(Durability mode)
    {
        using var database = new TestDatabase(mode);
        database.Kv.Put("a", 1, Second);
        var expiry = database.Clock.GetUtcNow() + Second;
        database.NowAndAfterReopening(() => Assert.Equal(expiry, database.Kv.GetVersioned("a")!.Value.Expiry));
        database.Clock.Advance(Second - TimeSpan.FromMicroseconds(1));
        database.NowAndAfterReopening(() => Assert.Equal(1, database.Kv.Number("a")));
        database.Clock.Advance(TimeSpan.FromMicroseconds(1));
        database.NowAndAfterReopening(() => Assert.Null(database.Kv.Get("a")));
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    public void TTL4_An_expired_version_hides_older_ones_and_is_absent_to_everything(Durability mode)
    {
        using var database = new TestDatabase(mode);
        database.Kv.Put("a", 1);
        database.Kv.Put("a", 2, Second);
        database.Kv.Put("b", 3);
        var version = database.Kv.Version("a");
        database.Clock.Advance(Second);
        database.NowAndAfterReopening(() =>
        {
            Assert.False(database.Kv.Exists("a"));
            Assert.Null(database.Kv.GetVersioned("a"));
            Assert.Equal([null, 3], database.Kv.GetMany(["a", "b"]).Select(value => value?.AsInt64()));
            Assert.Equal(["b"], database.Kv.List());
            Assert.Equal(["b"], database.Kv.Scan(new ScanOptions { Limit = 1 }).Select(pair => pair.Key));
            Assert.Equal((1, 0), (database.Kv.Count(), database.Kv.Count("a")));
            Assert.False(database.Kv.Delete("a"));
            Assert.False(database.Kv.Persist("a"));
            Assert.Equal(0UL, Assert.Throws<VersionMismatchException>(() => database.Kv.CompareAndSet("a", new Sequence(version), 9)).Actual);
            Assert.False(database.Kv.CompareAndSetValue("a", 2, 9));
            using var snapshot = database.Run.Snapshot();
            Assert.Null(snapshot.Kv.Get("a"));
            using var transaction = database.Run.BeginTransaction();
            Assert.Null(transaction.Kv.Get("a"));
            Assert.Equal(1, transaction.Kv.Count());
        });
        Assert.Equal(3UL, database.Sequence);
        Assert.True(database.Kv.TryAdd("a", 4));
        Assert.Equal(4UL, database.Kv.GetVersioned("a")!.Value.Created.Value);
        Assert.Equal(2, database.Kv.Count());
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    public void KV2_A_put_without_time_to_live_clears_an_older_expiry(Durability mode)
    {
        using var database = new TestDatabase(mode);
        database.Kv.Put("a", 1, Second);
        database.Kv.Put("a", 2);
        database.Run.Transact(tx =>
        {
            tx.Kv.Put("b", 1, Second);
            tx.Kv.Put("b", 2);
            tx.Kv.Put("c", 1);
            Assert.True(tx.Kv.Expire("c", Second));
            Assert.NotNull(tx.Kv.GetVersioned("c")!.Value.Expiry);
        });
        database.Clock.Advance(Second);
        database.Maintain();
        database.NowAndAfterReopening(() => Assert.Equal(["a", "b"], database.Kv.List()));
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    public void TTL3_Time_never_goes_back_behind_the_last_commit(Durability mode)
    {
        using var database = new TestDatabase(mode);
        database.Kv.Put("a", 1, Second);
        database.Clock.Advance(-10 * Second);
        Assert.True(database.Kv.Exists("a"));
        database.Clock.Advance(11 * Second);
        database.Kv.Put("b", 1);
        database.Clock.Advance(-10 * Second);
        database.NowAndAfterReopening(() => Assert.False(database.Kv.Exists("a")));
        database.Kv.Put("c", 1);
        Assert.Equal(database.Kv.GetVersioned("b")!.Value.Time, database.Kv.GetVersioned("c")!.Value.Time);
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    public void TTL5_The_maintainer_removes_only_what_is_still_expired_and_says_so_in_the_log(Durability mode)
    {
        using var database = new TestDatabase(mode);
        database.Kv.Put("expired", 1, Second);
        database.Kv.Put("renewed", 1, Second);
        database.Kv.Put("later", 1, 10 * Second);
        database.Clock.Advance(Second);
        database.Kv.Put("renewed", 2);
        Assert.Equal(4UL, database.Sequence);
        database.Maintain();
        Assert.Equal(5UL, database.Sequence);
        database.Maintain();
        database.NowAndAfterReopening(() =>
        {
            Assert.Equal(5UL, database.Sequence);
            Assert.Equal(["later", "renewed"], database.Kv.List());
            Assert.Equal(2, database.Kv.Count());
        });
    }

    // Found by reading: the maintainer's tombstone was newer than the snapshot of a transaction that had seen the key as absent, and
    // so made it lose although nothing it had seen was any different.
    [Theory]
    [ClassData(typeof(AllModes))]
    public void TTL5_Removing_what_has_expired_fails_no_user(Durability mode)
    {
        using var database = new TestDatabase(mode);
        database.Kv.Put("expired", 1, Second);
        database.Kv.Put("range/expired", 1, Second);
        database.Clock.Advance(Second);
        using var transaction = database.Run.BeginTransaction();
        Assert.Null(transaction.Kv.Get("expired"));
        Assert.Empty(transaction.Kv.List(new ScanOptions { Prefix = "range/" }));
        transaction.Kv.Put("b", 1);
        database.Maintain();
        Assert.Equal(4UL, database.Sequence);
        transaction.Commit();
        Assert.Equal(["b"], database.Kv.List());
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    public void TTL7_Nothing_expires_inside_a_transaction_or_a_snapshot_and_expiry_is_no_conflict(Durability mode)
    {
        using var database = new TestDatabase(mode);
        database.Kv.Put("a", 1, Second);
        using var transaction = database.Run.BeginTransaction();
        using var snapshot = database.Run.Snapshot();
        Assert.Equal(1, transaction.Kv.Number("a"));
        transaction.Kv.Put("own", 1, TimeSpan.FromMilliseconds(1));
        database.Clock.Advance(2 * Second);
        Assert.Equal(1, transaction.Kv.Number("a"));
        Assert.Equal(1, transaction.Kv.Number("own"));
        Assert.Equal(1, snapshot.Kv.Number("a"));
        Assert.Equal(["a", "own"], transaction.Kv.List());
        Assert.Null(database.Kv.Get("a"));
        transaction.Kv.Put("b", 1);
        transaction.Commit();
        Assert.Equal(database.Clock.GetUtcNow() + TimeSpan.FromMilliseconds(1), database.Kv.GetVersioned("own")!.Value.Expiry);      // TTL-2: from the commit
    }

    // ---- limits and names ----------------------------------------------------------------------------------------------------

    private static Action<Kv, string>[] Writes =>
    [
        (kv, key) => kv.Put(key, 1), (kv, key) => kv.Put(key, [1]), (kv, key) => kv.PutAsync(key, 1).AsTask().GetAwaiter().GetResult(),
        (kv, key) => kv.PutMany([new(key, 1)]), (kv, key) => kv.TryAdd(key, 1), CompareAndSetIfItMatches,
        (kv, key) => kv.CompareAndSetValue(key, null, 1), (kv, key) => kv.Delete(key), (kv, key) => kv.DeleteMany([key]),
        (kv, key) => kv.Increment(key), (kv, key) => kv.Add(key, 1), (kv, key) => kv.Expire(key, Second), (kv, key) => kv.Persist(key),
    ];

    private static void CompareAndSetIfItMatches(Kv kv, string key)
    {
        try
        {
            kv.CompareAndSet(key, Sequence.None, 1);
        }
        catch (VersionMismatchException)
        {
        }
    }

    private static Action<Kv, string>[] Reads =>
    [
        (kv, key) => kv.Get(key), (kv, key) => kv.TryGet(key, out _), (kv, key) => kv.TryGet(key, [], out _), (kv, key) => kv.GetVersioned(key),
        (kv, key) => kv.Exists(key), (kv, key) => kv.GetMany([key]),
    ];

    /// <summary>Outside and inside a transaction.</summary>
    private static void AtBothDoors(TestDatabase database, Action<Kv> body)
    {
        body(database.Kv);
        using var transaction = database.Run.BeginTransaction();
        body(transaction.Kv);
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    public void LIM1_A_key_of_n_minus_1_and_n_bytes_works_everywhere_and_of_n_plus_1_nowhere(Durability mode)
    {
        using var database = new TestDatabase(mode);
        string[] good = [new('k', 1023), new('k', 1024), new('é', 512), "x" + new string('é', 511)];
        string[] bad = [new('k', 1025), "x" + new string('é', 512), string.Concat(Enumerable.Repeat("\U0001f5ff", 257))];
        foreach (var write in Writes)
        {
            AtBothDoors(database, kv =>
            {
                foreach (var key in good)
                {
                    kv.Delete(key);
                    write(kv, key);
                }

                foreach (var key in bad)
                {
                    var limit = Assert.Throws<LimitException>(() => write(kv, key));
                    Assert.Equal((nameof(Limits.KeyBytesMax), 1024L, (long)System.Text.Encoding.UTF8.GetByteCount(key)), (limit.Limit, limit.Allowed, limit.Actual));
                }
            });
        }

        foreach (var read in Reads)
        {
            AtBothDoors(database, kv =>
            {
                Assert.All(good, key => read(kv, key));
                Assert.All(bad, key => Assert.Throws<LimitException>(() => read(kv, key)));
            });
        }

        foreach (var key in good)
            database.Kv.Put(key, 1);
        database.NowAndAfterReopening(() => Assert.Equal(4, database.Kv.List().Count));
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    public void NAM1_NAM3_Keys_without_a_UTF8_form_are_refused_and_reserved_ones_can_only_be_read(Durability mode)
    {
        using var database = new TestDatabase(mode);
        foreach (var key in new[] { "", "a\0b", "\0", "\ud800", "a\udc00b" })
        {
            foreach (var use in Writes.Concat(Reads))
                AtBothDoors(database, kv => Assert.Equal(ErrorCode.InvalidKey, Refused(() => use(kv, key))));
        }

        foreach (var key in new[] { "$", "$mine" })
        {
            foreach (var write in Writes)
                AtBothDoors(database, kv => Assert.Equal(ErrorCode.InvalidKey, Refused(() => write(kv, key))));
            foreach (var read in Reads)
                AtBothDoors(database, kv => read(kv, key));
        }

        foreach (var write in Writes)
            Assert.Throws<ArgumentNullException>(() => write(database.Kv, null!));
        Assert.Equal(0UL, database.Sequence);
        foreach (var fine in new[] { "a$", "/", "a/b", "%00", "\u007f", "\n", " " })
            database.Kv.Put(fine, 1);
        database.NowAndAfterReopening(() => Assert.Equal(7, database.Kv.Count()));
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    public void NAM4_Keys_are_told_apart_and_ordered_by_their_bytes(Durability mode)
    {
        using var database = new TestDatabase(mode);
        string[] keys = ["A", "B", "Z", "a", "a ", "a/b", "aa", "b", "e\u0301", "\u007f", "\u00e9", "\uff21", "\U0001f5ff", "\U0010ffff"];
        foreach (var key in keys.Reverse())
            database.Kv.Put(key, key);
        database.NowAndAfterReopening(() =>
        {
            Assert.Equal(keys, database.Kv.List());
            Assert.Equal(keys, database.Kv.Scan().Select(pair => pair.Value.Value.AsString()));
            Assert.Equal(["\uff21", "\U0001f5ff"], database.Kv.List(new ScanOptions { From = "\uff00", To = "\U0001f600" }));
            Assert.Equal("é", database.Kv.Text("\u00e9"));
        });
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    public void LIM3_LIM5_A_value_of_n_minus_1_and_n_works_and_of_n_plus_1_is_refused_at_every_door(Durability mode)
    {
        using var database = new TestDatabase(mode, options => options with { Limits = new Limits { ValueBytesMax = 100, StringBytesMax = 99, DepthMax = 3 } });
        Action<Kv, Value>[] doors =
        [
            (kv, value) => kv.Put("a", value), (kv, value) => kv.PutAsync("a", value).AsTask().GetAwaiter().GetResult(), (kv, value) => kv.PutMany([new("b", 1), new("a", value)]),
            (kv, value) => kv.TryAdd($"n{Guid.NewGuid()}", value), (kv, value) => kv.CompareAndSet($"n{Guid.NewGuid()}", Sequence.None, value),
            (kv, value) => kv.CompareAndSetValue($"n{Guid.NewGuid()}", null, value),
        ];
        foreach (var put in doors)
        {
            AtBothDoors(database, kv =>
            {
                foreach (var bytes in new[] { 97, 98 })      // two bytes of header
                    put(kv, new string('x', bytes));
                var sequence = database.Sequence;
                var limit = Assert.Throws<LimitException>(() => put(kv, new string('x', 99)));
                Assert.Equal((nameof(Limits.ValueBytesMax), 100L, 101L), (limit.Limit, limit.Allowed, limit.Actual));
                limit = Assert.Throws<LimitException>(() => put(kv, new string('x', 100)));
                Assert.Contains(limit.Limit, new[] { nameof(Limits.ValueBytesMax), nameof(Limits.StringBytesMax) });
                put(kv, Nested(2));
                put(kv, Nested(3));
                limit = Assert.Throws<LimitException>(() => put(kv, Nested(4)));
                Assert.Equal((nameof(Limits.DepthMax), 3L, 4L), (limit.Limit, limit.Allowed, limit.Actual));
                Assert.InRange(database.Sequence, sequence, sequence + 2);
            });
        }

        AtBothDoors(database, kv =>
        {
            kv.Put("bytes", new byte[97].AsSpan());
            kv.Put("bytes", new byte[98].AsSpan());
            Assert.Throws<LimitException>(() => kv.Put("bytes", new byte[99].AsSpan()));
        });
        database.NowAndAfterReopening(() => Assert.Equal(98, database.Kv.Get("bytes")!.Value.AsBytes().Length));

        static Value Nested(int depth) => depth == 1 ? Value.Array() : Value.Array(Nested(depth - 1));
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    public void LIM30_A_time_to_live_is_from_one_millisecond_to_a_hundred_years(Durability mode)
    {
        using var database = new TestDatabase(mode);
        var (least, most) = (TimeSpan.FromMilliseconds(1), TimeSpan.FromDays(36_525));
        Action<Kv, TimeSpan>[] doors =
        [
            (kv, ttl) => kv.Put("a", 1, ttl), (kv, ttl) => kv.Put("a", [1], ttl), (kv, ttl) => kv.PutAsync("a", 1, ttl).AsTask().GetAwaiter().GetResult(),
            (kv, ttl) => kv.PutMany([new("a", 1)], ttl), (kv, ttl) => kv.TryAdd("b", 1, ttl), (kv, ttl) => kv.CompareAndSet("c", new Sequence(kv.Version("c")), 1, ttl),
            (kv, ttl) => kv.CompareAndSetValue("d", kv.Get("d"), 1, ttl), (kv, ttl) => kv.Expire("a", ttl),
        ];
        foreach (var put in doors)
        {
            AtBothDoors(database, kv =>
            {
                foreach (var good in new[] { least, least + TimeSpan.FromMicroseconds(1), most - TimeSpan.FromMicroseconds(1), most })
                    put(kv, good);
                foreach (var bad in new[] { TimeSpan.MinValue, TimeSpan.Zero, least - TimeSpan.FromTicks(1) })
                    Assert.Equal(nameof(Limits.TimeToLiveMin), Assert.Throws<LimitException>(() => put(kv, bad)).Limit);
                foreach (var bad in new[] { most + TimeSpan.FromTicks(1), TimeSpan.MaxValue })
                    Assert.Equal(nameof(Limits.TimeToLiveMax), Assert.Throws<LimitException>(() => put(kv, bad)).Limit);
            });
        }
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    public void LIM26_A_page_holds_the_default_the_asked_and_at_most_the_limit(Durability mode)
    {
        using var database = new TestDatabase(mode, options => options with { Limits = new Limits { PageSize = 4, PageSizeMax = 6 } });
        for (var i = 0; i < 8; i++)
            database.Kv.Put($"k{i}", i);
        Assert.Equal(4, database.Kv.List().Count);
        Assert.Equal(5, database.Kv.List(new ScanOptions { Limit = 5 }).Count);
        Assert.Equal(6, database.Kv.Scan(new ScanOptions { Limit = 6 }).Count);
        var limit = Assert.Throws<LimitException>(() => database.Kv.List(new ScanOptions { Limit = 7 }));
        Assert.Equal((nameof(Limits.PageSizeMax), 6L, 7L), (limit.Limit, limit.Allowed, limit.Actual));
        Assert.Equal(8, database.Kv.Count("k"));
    }

    // ---- cursors -------------------------------------------------------------------------------------------------------------

    [Theory]
    [ClassData(typeof(AllModes))]
    public void LIM27_Of_too_many_open_cursors_the_one_not_used_for_longest_expires(Durability mode)
    {
        using var database = new TestDatabase(mode);
        database.Kv.PutMany([new("a", 1), new("b", 2), new("c", 3)]);
        var cursors = new List<string>();
        for (var i = 0; i < 101; i++)
        {
            database.Kv.Put("c", i);
            database.Clock.Advance(TimeSpan.FromMilliseconds(1));
            cursors.Add(database.Kv.List(new ScanOptions { Limit = 1 }).Cursor!);
            if (i == 50)
                Next(cursors[0]);                            // used again: the second is the oldest now
        }

        Assert.Equal(100, database.Db.Metrics.OpenCursors);
        Assert.Equal(ErrorCode.CursorExpired, Refused(() => Next(cursors[1])));
        Assert.Equal("b", Next(cursors[0])[0]);
        Assert.Equal("b", Next(cursors[2])[0]);
        Assert.Equal("b", Next(cursors[100])[0]);

        Page<string> Next(string cursor) => database.Kv.List(new ScanOptions { Limit = 1, Cursor = cursor });
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    public void A_cursor_that_nobody_used_for_the_life_of_a_transaction_expires_and_pins_nothing(Durability mode)
    {
        using var database = new TestDatabase(mode);
        database.Kv.PutMany([new("a", 1), new("b", 2), new("c", 3)]);
        var cursor = database.Kv.List(new ScanOptions { Limit = 1 }).Cursor;
        database.Clock.Advance(TimeSpan.FromSeconds(30));
        database.Maintain();
        cursor = database.Kv.List(new ScanOptions { Limit = 1, Cursor = cursor }).Cursor;
        Assert.Equal((1, 1), (database.Db.Metrics.OpenCursors, database.Db.Metrics.Pins));
        database.Clock.Advance(TimeSpan.FromSeconds(30) + TimeSpan.FromMicroseconds(1));
        database.Maintain();
        Assert.Equal((0, 0), (database.Db.Metrics.OpenCursors, database.Db.Metrics.Pins));
        Assert.Equal(ErrorCode.CursorExpired, Refused(() => database.Kv.List(new ScanOptions { Limit = 1, Cursor = cursor })));
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    public void A_cursor_belongs_to_its_listing_its_options_and_its_opening(Durability mode)
    {
        using var database = new TestDatabase(mode);
        database.Kv.PutMany([new("a", 1), new("b", 2), new("c", 3)]);
        var cursor = database.Kv.List(new ScanOptions { Limit = 1 }).Cursor!;
        foreach (var other in new[] { new ScanOptions { Prefix = "a" }, new ScanOptions { From = "a" }, new ScanOptions { Reverse = true } })
            Assert.Equal(ErrorCode.InvalidArgument, Refused(() => database.Kv.List(other with { Cursor = cursor })));
        foreach (var broken in new[] { "", "x", "!", cursor[..^1], cursor + "A", "B" + cursor[1..] })
            Assert.Equal(ErrorCode.InvalidArgument, Refused(() => database.Kv.List(new ScanOptions { Cursor = broken })));
        using (var snapshot = database.Run.Snapshot())
        {
            database.Kv.Put("d", 4);
            using var later = database.Run.Snapshot();
            var inside = snapshot.Kv.List(new ScanOptions { Limit = 2 }).Cursor;
            Assert.Equal(["c"], snapshot.Kv.List(new ScanOptions { Limit = 2, Cursor = inside }));
            Assert.Equal(ErrorCode.InvalidArgument, Refused(() => later.Kv.List(new ScanOptions { Limit = 2, Cursor = inside })));
        }

        Assert.Equal(["b", "c"], database.Kv.List(new ScanOptions { Limit = 5, Cursor = cursor }));
        database.Reopen();
        if (database.HasLog)
            Assert.Equal(ErrorCode.CursorExpired, Refused(() => database.Kv.List(new ScanOptions { Cursor = cursor })));
    }
}
