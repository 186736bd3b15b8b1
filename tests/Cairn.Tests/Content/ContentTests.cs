using System.Security.Cryptography;
using Cairn.Content;
using Cairn.Diagnostics;
using Cairn.Log;
using Cairn.Storage;
using Cairn.Store;
using Cairn.Tests.Transactions;
using Xunit;

namespace Cairn.Tests.Content;

/// <summary>Large values in a database: every primitive, through every kind of end, with little memory and with damage.</summary>
public class ContentTests
{
    private static readonly int[] Lengths = [0, 1, 31, 4_000, 4_094, 4_095, 4_096, 4_097, 8_192, 70_000, 300_000];

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    private static TestDatabase Open(long memory = 128 << 20, Durability mode = Durability.Buffered, IStorage? storage = null) =>
        new(mode, options => options with { ContentMemoryBytes = memory, ContentThreshold = 4 << 10, SegmentBytesMax = 1 << 20 }, storage);

    private static byte[] Bytes(int length, int seed = 1)
    {
        var bytes = new byte[length];
        new Random(length * 31 + seed).NextBytes(bytes);
        return bytes;
    }

    private static ContentStore StoreOf(TestDatabase database) => database.Db.Engine.Catalogue.Content!;

    private static ContentReference? ReferenceOf(TestDatabase database, byte family, string key)
    {
        using var reader = database.Db.Engine.Catalogue.Default.Store.Read();
        Assert.True(reader.TryGetNewest([family, .. System.Text.Encoding.UTF8.GetBytes(key)], out var version));
        return version.IsContent ? version.Reference : null;
    }

    [Theory]
    [InlineData(0)]
    [InlineData(128 << 20)]
    [Trait("Requirement", "CNT-8")]
    public void CNT_8_Values_of_any_length_come_back_from_every_primitive_and_through_every_end(long memory)
    {
        using var database = Open(memory);
        var traces = new List<TraceId>();
        foreach (var length in Lengths)
        {
            var value = Value.Bytes(Bytes(length));
            database.Kv.Put($"k{length}", value);
            database.Run.State.Set($"c{length}", value);
            database.Run.Events.Append("said", Value.Object(("bytes", value)));
            traces.Add(database.Run.Traces.Record(new ThoughtStep(new string('x', length) + ".")));
            database.Run.Transact(tx =>
            {
                tx.Kv.Put($"t{length}", value);
                tx.State.Set($"u{length}", value);
                tx.Events.Append("told", Value.Object(("bytes", value)));
            });
            var run = database.Db.Runs.Begin($"run-{length}");
            run.Complete(value);
        }

        var hash = database.Db.StateHash();
        database.NowAndAfterReopening(() =>
        {
            var events = database.Run.Events;
            for (var i = 0; i < Lengths.Length; i++)
            {
                var length = Lengths[i];
                var value = Value.Bytes(Bytes(length));
                Assert.Equal(value, database.Kv.Get($"k{length}"));
                Assert.Equal(value, database.Kv.Get($"t{length}"));
                Assert.Equal(value, database.Run.State.Get($"c{length}")!.Value.Value);
                Assert.Equal(value, database.Run.State.Get($"u{length}")!.Value.Value);
                Assert.Equal(value, events.Get(new EventNumber(2 * (ulong)i))!.Payload!.Value["bytes"]);
                Assert.Equal(value, events.Get(new EventNumber(2 * (ulong)i + 1))!.Payload!.Value["bytes"]);
                Assert.Equal(length + 1, ((ThoughtStep)database.Run.Traces.Get(traces[i])!.Step!).Content.Length);
                Assert.Equal(value, database.Db.Runs.Get($"run-{length}")!.Info.Result);
            }

            Assert.Equal(hash, database.Db.StateHash());
            var verified = database.Db.VerifyDeep();
            Assert.Empty(verified.Findings);
            Assert.Equal(hash, verified.StateHash);
            Assert.True(events.Verify().IsValid);
        });
    }

    [Fact]
    [Trait("Requirement", "CNT-7")]
    public void CNT_7_Only_what_is_above_the_threshold_and_carried_by_its_record_is_a_content()
    {
        using var database = Open();
        database.Kv.Put("at", Value.Bytes(Bytes(4_096 - 3)));              // with its header exactly the threshold
        database.Kv.Put("above", Value.Bytes(Bytes(4_096 - 2)));
        database.NowAndAfterReopening(() =>
        {
            Assert.Null(ReferenceOf(database, StoreKeys.Kv, "at"));
            Assert.Equal(4_097, ReferenceOf(database, StoreKeys.Kv, "above")!.Value.Length);
        });
        using var inMemory = Open(mode: Durability.InMemory);
        inMemory.Kv.Put("above", Value.Bytes(Bytes(100_000)));
        Assert.Null(ReferenceOf(inMemory, StoreKeys.Kv, "above"));
    }

    [Fact]
    [Trait("Requirement", "CNT-7")]
    public void CNT_7_Opening_reads_no_content_into_memory_and_reading_does()
    {
        using var database = Open();
        for (var i = 0; i < 50; i++)
            database.Kv.Put($"k{i}", Value.Bytes(Bytes(10_000, i)));
        Assert.Equal(0, StoreOf(database).Misses);
        database.Reopen();
        var store = StoreOf(database);
        Assert.Equal((0L, 0L, 0L), (store.Attached.Value, store.CachedBytes, store.Misses));
        for (var round = 0; round < 2; round++)
        {
            for (var i = 0; i < 50; i++)
                Assert.Equal(Value.Bytes(Bytes(10_000, i)), database.Kv.Get($"k{i}"));
        }

        var metrics = database.Db.Metrics;
        Assert.Equal((50L, 50L, 0L), (metrics.ContentMisses, metrics.ContentHits, metrics.ContentAttachedBytes));
        Assert.InRange(metrics.ContentCachedBytes, 500_000, 501_000);
        database.Kv.Put("more", Value.Bytes(Bytes(10_000)));
        Assert.InRange(database.Db.Metrics.ContentAttachedBytes, 10_000, 10_100);
    }

    [Fact]
    [Trait("Requirement", "CNT-7")]
    public void CNT_7_Changing_an_expiry_copies_nothing_and_reads_nothing()
    {
        using var database = Open();
        database.Kv.Put("k", Value.Bytes(Bytes(50_000)));
        database.Run.State.Set("c", Value.Bytes(Bytes(50_000)));
        var (kv, state) = (ReferenceOf(database, StoreKeys.Kv, "k"), ReferenceOf(database, StoreKeys.State, "c"));
        database.Reopen();
        database.Kv.Expire("k", TimeSpan.FromHours(1));
        database.Run.State.Expire("c", TimeSpan.FromHours(1));
        database.Kv.Persist("k");
        database.Run.Transact(tx => tx.State.Expire("c", TimeSpan.FromHours(2)));
        database.NowAndAfterReopening(() =>
        {
            Assert.Equal((kv, state), (ReferenceOf(database, StoreKeys.Kv, "k"), ReferenceOf(database, StoreKeys.State, "c")));
            Assert.Equal(Value.Bytes(Bytes(50_000)), database.Kv.Get("k"));
            Assert.Equal(Value.Bytes(Bytes(50_000)), database.Run.State.Get("c")!.Value.Value);
        });
    }

    [Fact]
    [Trait("Requirement", "CNT-2")]
    [Trait("Requirement", "TIER-1")]
    public void CNT_2_Memory_stays_inside_its_budget_while_contents_come_and_are_read()
    {
        const long Budget = 1 << 20;
        using var database = Open(Budget);
        var store = StoreOf(database);
        for (var i = 0; i < 600; i++)
        {
            database.OtherRun(1 + i % 3).Kv.Put($"k{i % 200}", Value.Bytes(Bytes(5_000 + i % 200 * 100, i % 200)));
            Assert.InRange(store.Attached.Value, 0, Budget + 100_000);     // and what the last commit brought
            if (i % 50 == 49)
            {
                for (var k = 0; k < Math.Min(i, 200); k += 3)
                {
                    if (database.OtherRun(1 + k % 3).Kv.Get($"k{k}") is { } found)
                        Assert.Equal(Value.Bytes(Bytes(5_000 + k * 100, k)), found);
                    Assert.InRange(store.CachedBytes, 0, Budget);
                }
            }
        }

        Assert.True(store.Detached > 0 && store.Misses > 0);
        Assert.InRange(store.Attached.Value + store.CachedBytes, Budget / 2, Budget + 100_000);
    }

    [Fact]
    [Trait("Requirement", "CNT-2")]
    public void CNT_2_Runs_that_are_not_written_to_give_up_what_there_is_no_room_for()
    {
        using var database = Open(100_000);
        for (var i = 1; i <= 10; i++)
            database.OtherRun(i).Kv.Put("k", Value.Bytes(Bytes(50_000, i)));
        var store = StoreOf(database);
        for (var turns = 0; turns < 100 && store.HasTooMuchAttached; turns++)
            database.Maintain();
        Assert.InRange(store.Attached.Value, 0, 100_000);
        for (var i = 1; i <= 10; i++)
            Assert.Equal(Value.Bytes(Bytes(50_000, i)), database.OtherRun(i).Kv.Get("k"));
    }

    [Fact]
    [Trait("Requirement", "CNT-3")]
    [Trait("Promise", "G6")]
    public void CNT_3_A_damaged_content_is_corruption_on_every_path_and_hurts_nothing_else()
    {
        var storage = new MemoryStorage();
        using var database = Open(0, storage: storage);
        database.Kv.Put("a", "small");
        database.Kv.Put("b", Value.Bytes(Bytes(10_000)));
        database.Run.State.Set("c", Value.Bytes(Bytes(10_000)));
        database.Run.Events.Append("said", Value.Object(("bytes", Value.Bytes(Bytes(10_000)))));
        var trace = database.Run.Traces.Record(new ThoughtStep(new string('x', 10_000)));
        database.Kv.Put("z", Value.Bytes(Bytes(9_000)));
        database.Kv.Put("after", 1);
        var keys = new List<byte[]>();
        using (var reader = database.Db.Engine.Catalogue.Default.Store.Read())
        {
            var scan = reader.Scan([], [], ulong.MaxValue);
            while (scan.MoveNext())
            {
                if (scan.Version.IsContent && !scan.Key.SequenceEqual((byte[])[StoreKeys.Kv, (byte)'z']))
                    keys.Add([.. scan.Key, .. BitConverter.GetBytes(scan.Version.Reference.Position)]);
            }
        }

        while (database.Db.Engine.Catalogue.Default.Store.ForgetContent(100) > 0)
        {
        }

        Assert.Equal(4, keys.Count);
        var before = database.Sequence;
        var log = (SegmentedLog)database.Db.Engine.Path.Log.Device!;
        foreach (var key in keys)
        {
            var position = BitConverter.ToUInt64(key.AsSpan()[^8..]) + 5_000;
            var segment = log.SegmentAt(position);
            Flip(storage, segment.Path, segment.OffsetOf(position));
        }

        void Refused(Action read)
        {
            var damage = Assert.Throws<CorruptionException>(read);
            Assert.StartsWith("log/", damage.File, StringComparison.Ordinal);
            Assert.True(damage.Offset > 0 && damage.Sequence.Value is > 0 and < 8);
        }

        Refused(() => database.Kv.Get("b"));
        Refused(() => database.Kv.GetVersioned("b"));
        Refused(() => database.Kv.Scan());
        Refused(() => database.Kv.TryGet("b", new byte[20_000], out _));
        Refused(() => database.Run.Transact(tx => tx.Kv.Get("b")));
        Refused(() => database.Kv.Increment("b"));
        Refused(() => database.Kv.CompareAndSetValue("b", Value.Bytes(Bytes(10_000)), 2));
        Refused(() => database.Run.State.Get("c"));
        Refused(() => database.Run.State.Set("c", 1));
        Refused(() => database.Run.Events.Get(new EventNumber(0)));
        Refused(() => database.Run.Events.Range(new EventNumber(0), new EventNumber(1)));
        Refused(() => database.Run.Events.Redact(new EventNumber(0), "why"));
        Refused(() => database.Run.Traces.Get(trace));
        Refused(() => database.Run.Traces.Redact(trace));
        Refused(() => database.Run.Kv.History("b"));
        Refused(() => database.Db.StateHash());
        Assert.NotEmpty(database.Db.VerifyDeep().Findings);
        Refused(() => database.Run.Events.Verify());

        // The rest works, and what replaces or removes the damaged ones does.
        Assert.Equal(before, database.Sequence);
        Assert.Equal("small", database.Kv.Text("a"));
        Assert.Equal(Value.Bytes(Bytes(9_000)), database.Kv.Get("z"));
        Assert.Equal(4, database.Kv.List().Count);
        Assert.True(database.Kv.Expire("b", TimeSpan.FromHours(1)));
        database.Kv.Put("b", "new");
        Assert.Equal("new", database.Kv.Text("b"));
        Assert.True(database.Kv.Delete("b"));
        Assert.Equal(HealthStatus.Healthy, database.Db.Health.Status);
    }

    [Fact]
    [Trait("Requirement", "CNT-7")]
    public void CNT_7_No_content_is_read_under_the_lock_of_a_run()
    {
        using var database = Open(1 << 20);
        var operations = Many(database);
        database.Reopen();
        var run = database.Db.Engine.Catalogue.Default;
        var (reads, isLocked) = (0, false);
        using (Failpoint.Use(new AtPlace("content.before-read", () =>
        {
            reads++;
            isLocked |= run.CommitLock.IsHeldByCurrentThread;
        })))
        {
            foreach (var operation in operations)
                operation(database);
        }

        Assert.False(isLocked);
        Assert.True(reads >= 6);
    }

    [Theory]
    [InlineData("content.marked-before-read")]
    [InlineData("content.before-read")]
    [InlineData("content.read-before-checked")]
    [InlineData("content.checked-before-kept")]
    [Trait("Requirement", "CNT-1")]
    public void CNT_1_An_operation_that_fails_on_its_content_leaves_no_lock_and_no_trace(string place)
    {
        using var database = Open(0);
        var operations = Many(database);
        database.Reopen();
        foreach (var operation in operations)
        {
            // Once without a lock and once under it: with no memory for contents the second look reads again.
            for (var nth = 1; nth <= 3; nth++)
            {
                var hits = 0;
                using var failpoints = Failpoint.Use(new AtPlace(place, () =>
                {
                    if (++hits == nth)
                        throw new InsufficientMemoryException("thrown by a test");
                }));
                var before = database.Sequence;
                var failure = Record.Exception(() => operation(database));
                if (failure is null)
                    break;
                Assert.IsType<InsufficientMemoryException>(failure);
                Assert.Equal(before, database.Sequence);
                var other = new Thread(() => database.Kv.Put("other", 1));
                other.Start();
                other.Join();
                Assert.Equal(before + 1, database.Sequence);
            }
        }

        Assert.Equal(HealthStatus.Healthy, database.Db.Health.Status);
        Assert.Empty(database.Db.VerifyDeep().Findings);
    }

    // Operations that look at a content each, under the lock of the run too.
    private static Action<TestDatabase>[] Many(TestDatabase database)
    {
        database.Run.State.Set("set", Value.Bytes(Bytes(20_000, 2)));
        database.Run.State.Set("moved", Value.Bytes(Bytes(20_000, 3)));
        database.Run.State.Set("gone", Value.Bytes(Bytes(20_000, 4)));
        database.Kv.Put("compared", Value.Bytes(Bytes(20_000, 5)));
        database.Kv.Put("read", Value.Bytes(Bytes(20_000, 6)));
        database.Run.Events.Append("said", Value.Object(("bytes", Value.Bytes(Bytes(20_000)))));
        var trace = database.Run.Traces.Record(new ThoughtStep(new string('x', 20_000)));
        return
        [
            world => world.Run.State.Set("set", 1),
            world => world.Run.State.Transition("moved", _ => 2),
            world => world.Run.State.Delete("gone"),
            world => world.Kv.CompareAndSetValue("compared", Value.Bytes(Bytes(20_000, 5)), 1),
            world => Assert.Equal(Value.Bytes(Bytes(20_000, 6)), world.Kv.Get("read")),
            world => world.Run.Events.Redact(new EventNumber(0), "why"),
            world => world.Run.Traces.Redact(trace),
        ];
    }

    [Fact]
    [Trait("Requirement", "CNT-1")]
    public void A_redaction_of_a_content_that_is_read_from_the_log_is_the_same_after_recovery()
    {
        using var database = Open(0);
        database.Run.Events.Append("said", Value.Object(("bytes", Value.Bytes(Bytes(20_000)))));
        var trace = database.Run.Traces.Record(new ThoughtStep(new string('x', 20_000)), new TraceOptions { Tags = ["t"] });
        database.Kv.Put("k", Value.Bytes(Bytes(20_000)));
        database.Reopen();
        Assert.NotNull(database.Run.Events.Redact(new EventNumber(0), "why"));
        Assert.True(database.Run.Traces.Redact(trace));
        var hash = database.Db.StateHash();
        database.NowAndAfterReopening(() =>
        {
            Assert.Equal(hash, database.Db.StateHash());
            Assert.True(database.Run.Events.Get(new EventNumber(0))!.IsRedacted);
            Assert.True(database.Run.Traces.Get(trace)!.IsRedacted);
            Assert.Empty(database.Db.VerifyDeep().Findings);
        });
    }

    [Theory]
    [InlineData(0)]
    [InlineData(128 << 20)]
    [Trait("Requirement", "CNT-9")]
    public void CNT_9_A_content_that_has_moved_into_an_archive_is_read_there_by_recovery_too(long memory)
    {
        using var database = new TestDatabase(
            Durability.Buffered,
            options => options with { ContentMemoryBytes = memory, ContentThreshold = 4 << 10, Retention = Retention.KeepLast(1) });
        database.Run.Events.Append("said", Value.Object(("bytes", Value.Bytes(Bytes(20_000)))));
        database.Run.Events.Append("said", Value.Object(("bytes", Value.Bytes(Bytes(20_001)))));
        var trace = database.Run.Traces.Record(new ThoughtStep(new string('x', 20_000)));
        database.Run.State.Set("cell", Value.Bytes(Bytes(20_002)));
        database.Kv.Put("kept", Value.Bytes(Bytes(20_003)));
        for (var i = 0; i < 2; i++)
        {
            for (var filler = 0; filler < 200; filler++)
                database.Kv.Put("filler", Value.Bytes(Bytes(3_000, filler)));
            Assert.NotNull(database.Db.Checkpoint(cancellationToken: Cancelled));
        }

        Assert.True(database.Db.Compact(cancellationToken: Cancelled).SegmentsDropped > 0);
        Assert.Equal(Value.Bytes(Bytes(20_003)), database.Kv.Get("kept"));

        // These look at values below the checkpoint, now and when they are applied anew.
        Assert.True(database.Run.Traces.Redact(trace));
        Assert.NotNull(database.Run.Events.Redact(new EventNumber(0), "why"));
        database.Run.State.Set("cell", 1);
        database.Kv.Expire("kept", TimeSpan.FromHours(1));
        var hash = database.Db.StateHash();
        database.Reopen(isKilled: true);
        database.NowAndAfterReopening(() =>
        {
            Assert.Equal(hash, database.Db.StateHash());
            Assert.True(database.Run.Traces.Get(trace)!.IsRedacted);
            Assert.Equal(Value.Bytes(Bytes(20_001)), database.Run.Events.Get(new EventNumber(1))!.Payload!.Value["bytes"]);
            Assert.Equal(2UL, database.Run.State.Get("cell")!.Value.Counter.Value);
            Assert.Equal(Value.Bytes(Bytes(20_003)), database.Kv.Get("kept"));
        });
    }

    [Theory]
    [InlineData(0)]
    [InlineData(200_000)]
    [Trait("Requirement", "CNT-4")]
    [Trait("Kind", "Random")]
    [Trait("Gate", "Merge")]
    public void CNT_4_Ten_writers_and_five_readers_see_whole_contents_beside_checkpoints_and_compaction(long memory)
    {
        var seed = Seeds.Begin(nameof(CNT_4_Ten_writers_and_five_readers_see_whole_contents_beside_checkpoints_and_compaction));
        using var database = new TestDatabase(
            Durability.Buffered,
            options => options with { ContentMemoryBytes = memory, ContentThreshold = 4 << 10, Retention = Retention.KeepLast(1) });
        var failures = new System.Collections.Concurrent.ConcurrentQueue<string>();
        var isDone = false;
        var writes = Seeds.Scaled(60);
        var writers = Enumerable.Range(0, 10).Select(writer => new Thread(() =>
        {
            var random = new Random((int)seed * 97 + writer);
            var run = database.Run;
            for (var i = 0; i < writes; i++)
            {
                var value = Hashed(random);
                if (i % 7 == 6)
                    run.Kv.Expire($"k{random.Next(40)}", TimeSpan.FromHours(1));
                else if (i % 5 == 4)
                    run.Events.Append("said", Value.Object(("bytes", value)));
                else
                    run.Kv.Put($"k{random.Next(40)}", value);
            }
        })).ToList();
        var readers = Enumerable.Range(0, 5).Select(reader => new Thread(() =>
        {
            var random = new Random((int)seed * 89 + reader);
            while (!Volatile.Read(ref isDone))
            {
                try
                {
                    if (database.Kv.Get($"k{random.Next(40)}") is { } value)
                        Check(value, failures);
                    if (random.Next(30) == 0)
                    {
                        foreach (var pair in database.Kv.Scan())
                            Check(pair.Value.Value, failures);
                        foreach (var item in database.Run.Events.ByType("said"))
                            Check(item.Payload!.Value["bytes"], failures);
                    }
                }
                catch (Exception failure)
                {
                    failures.Enqueue(failure.ToString());
                    return;
                }
            }
        })).ToList();
        writers.ForEach(thread => thread.Start());
        readers.ForEach(thread => thread.Start());
        for (var turns = 0; writers.Exists(writer => !writer.Join(1)); turns++)
        {
            database.Maintain();
            if (turns % 20 == 19)
            {
                database.Db.Checkpoint(cancellationToken: Cancelled);
                database.Db.Compact(cancellationToken: Cancelled);
            }

            var run = database.Db.Engine.Catalogue.Default;
            lock (run.CommitLock)
                run.Store.ForgetContent(20);
        }

        Volatile.Write(ref isDone, true);
        readers.ForEach(reader => reader.Join());
        Assert.Empty(failures);
        var hash = database.Db.StateHash();
        database.NowAndAfterReopening(() => Assert.Equal(hash, database.Db.StateHash()));
    }

    private static Value Hashed(Random random)
    {
        var bytes = new byte[32 + random.Next(20_000)];
        random.NextBytes(bytes.AsSpan(32));
        SHA256.HashData(bytes.AsSpan(32), bytes);
        return Value.Bytes(bytes);
    }

    private static void Check(in Value value, System.Collections.Concurrent.ConcurrentQueue<string> failures)
    {
        var bytes = value.AsBytes().Span;
        if (!SHA256.HashData(bytes[32..]).AsSpan().SequenceEqual(bytes[..32]))
            failures.Enqueue("torn bytes");
    }

    private sealed class AtPlace(string place, Action act) : FailpointPlan
    {
        internal override void Hit(string name)
        {
            if (name == place)
                act();
        }
    }

    private static void Flip(MemoryStorage storage, string path, long offset)
    {
        using var file = storage.Open(path, writable: true);
        Span<byte> one = stackalloc byte[1];
        file.ReadAt(one, offset);
        one[0] ^= 1;
        file.WriteAt(one, offset);
    }
}
