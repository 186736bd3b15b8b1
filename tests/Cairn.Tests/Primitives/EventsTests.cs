using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using Cairn.Log;
using Cairn.Primitives;
using Cairn.Store;
using Cairn.Transactions;
using Xunit;

namespace Cairn.Tests.Primitives;

public class EventsTests
{
    public static TheoryData<Durability> Modes => ModeDatabase.Modes;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private static Value Payload(long n) => Value.Object(("n", n), ("text", $"event {n}"));

    private static List<ulong> Numbers(IEnumerable<EventRecord> events) => [.. events.Select(record => record.Number.Value)];

    // ---- EV-1 .. EV-5 ---------------------------------------------------------------------------------------------------------

    [Theory]
    [MemberData(nameof(Modes))]
    public async Task EV_1_Append_gives_number_hash_and_sequence_at_once(Durability mode)
    {
        using var world = new ModeDatabase(mode);
        var first = world.Run.Events.Append("tool_call", Payload(1));
        var second = world.Run.Events.Append("tool_call", new { tool = "crm.lookup", id = 4711 });
        var third = await world.Run.Events.AppendAsync("note", Payload(3), cancellationToken: Token);

        Assert.Equal([0UL, 1UL, 2UL], [first.Number.Value, second.Number.Value, third.Number.Value]);
        Assert.True(first.IsCommitted && third.IsCommitted);
        Assert.True(first.Sequence < second.Sequence && second.Sequence < third.Sequence);
        var read = world.Run.Events.Get(1)!;
        Assert.Equal("tool_call", read.Type);
        Assert.Equal(4711, read.Payload!.Value["id"].AsInt64());
        Assert.Equal(second.Hash, read.Hash);
        Assert.Equal(second.Sequence, read.Sequence);
        Assert.Equal(world.Clock.Microseconds, CommitClock.Microseconds(read.Time));
        Assert.Null(world.Run.Events.Get(3));
        Assert.False(world.Run.Events.TryGet(99, out _));
    }

    [Theory]
    [MemberData(nameof(Modes))]
    public void EV_1_AppendMany_is_atomic_and_contiguous(Durability mode)
    {
        using var world = new ModeDatabase(mode);
        var events = world.Run.Events;
        events.Append("before", Payload(0));
        Assert.Throws<CairnException>(() => events.AppendMany([new("a", Payload(1)), new("b", 5)]));
        Assert.Equal(1, events.Count());

        var receipts = events.AppendMany([.. Enumerable.Range(1, 50).Select(n => new NewEvent("many", Payload(n)))]);

        Assert.Equal(Enumerable.Range(1, 50).Select(n => (ulong)n), receipts.Select(receipt => receipt.Number.Value));
        Assert.Single(receipts.Select(receipt => receipt.Sequence).Distinct());
        Assert.Equal(51, events.Count());
        Assert.Equal(receipts[^1].Hash, events.Head()!.Value.Hash);
        Assert.True(events.Verify().IsValid);
        Assert.Empty(events.AppendMany([]));
    }

    [Theory]
    [MemberData(nameof(Modes))]
    public void EV_3_The_hash_chain_is_what_the_format_page_says(Durability mode)
    {
        using var world = new ModeDatabase(mode);
        for (var n = 0; n < 5; n++)
        {
            world.Run.Events.Append($"type{n % 2}", Payload(n));
            world.Clock.Advance(TimeSpan.FromMilliseconds(3));
        }

        var previous = new byte[32];                         // EV-4
        foreach (var record in world.Run.Events.Since(0))
        {
            var payloadHash = SHA256.HashData([.. record.Salt.Span, .. record.Payload!.Value.Encode()]);
            var type = Encoding.UTF8.GetBytes(record.Type);
            var input = new byte[8 + 4 + type.Length + 8];
            BinaryPrimitives.WriteUInt64LittleEndian(input, record.Number.Value);
            BinaryPrimitives.WriteInt32LittleEndian(input.AsSpan(8), type.Length);
            type.CopyTo(input, 12);
            BinaryPrimitives.WriteInt64LittleEndian(input.AsSpan(12 + type.Length), CommitClock.Microseconds(record.Time));
            var hash = SHA256.HashData([.. input, .. payloadHash, .. previous]);
            Assert.Equal(previous, record.PreviousHash.ToArray());
            Assert.Equal(payloadHash, record.PayloadHash.ToArray());
            Assert.Equal(hash, record.Hash.ToArray());
            Assert.Equal(16, record.Salt.Length);
            previous = hash;
        }

        Assert.Equal(Convert.ToHexStringLower(previous), world.Run.Events.Head()!.Value.Hash.ToString());
    }

    [Theory]
    [MemberData(nameof(Modes))]
    public void EV_5_Concurrent_appends_never_conflict_and_their_order_is_commit_order(Durability mode)
    {
        using var world = new ModeDatabase(mode);
        ModeDatabase.OnThreads(4, thread =>
        {
            for (var n = 0; n < 50; n++)
            {
                if (n % 2 == 0)
                    world.Run.Events.Append($"thread{thread}", Payload(n));
                else
                    world.Run.Transact(tx => tx.Events.Append($"thread{thread}", Payload(n)), new TransactionOptions { Retries = 0 });
            }
        });

        Assert.Equal(0, world.Db.Engine.Retries);
        var all = Everything(world.Run.Events);
        Assert.Equal(Enumerable.Range(0, 200).Select(n => (ulong)n), Numbers(all));
        Assert.Equal(all.Select(record => record.Sequence), all.Select(record => record.Sequence).Order());
        Assert.True(world.Run.Events.Verify().IsValid);
        for (var thread = 0; thread < 4; thread++)
            Assert.Equal(
                Enumerable.Range(0, 50).Select(n => (long)n),
                all.Where(r => r.Type == $"thread{thread}").Select(r => r.Payload!.Value["n"].AsInt64()));
    }

    private static List<EventRecord> Everything(EventsView events)
    {
        var all = new List<EventRecord>();
        string? cursor = null;
        do
        {
            var page = events.Since(0, new EventScanOptions { Limit = 77, Cursor = cursor });
            all.AddRange(page);
            cursor = page.Cursor;
        }
        while (cursor is not null);

        return all;
    }

    [Theory]
    [MemberData(nameof(Modes))]
    public void EV_2_Everything_survives_reopening_and_the_chain_goes_on(Durability mode)
    {
        using var world = new ModeDatabase(mode);
        world.Run.Events.AppendMany([new("a", Payload(0)), new("b", Payload(1)) { Causes = [0] }, new("a", Payload(2))]);
        world.Run.Events.Redact(0, "secret");
        world.Run.Events.Consumers.Commit("reader", 2);
        var head = world.Run.Events.Head();

        world.Reopen();

        Assert.Equal(head, world.Run.Events.Head());
        Assert.Equal(4UL, world.Run.Events.Append("a", Payload(4)).Number.Value);
        Assert.True(world.Run.Events.Verify().IsValid);
        Assert.Equal(3, world.Run.Events.CountByType("a"));
        Assert.Equal(2UL, world.Run.Events.Consumers.Position("reader").Value);
        Assert.True(world.Run.Events.Get(0)!.IsRedacted);
        Assert.Equal([0UL], world.Run.Events.Get(1)!.Causes.Select(cause => cause.Value));
    }

    // ---- EV-6: transactions ---------------------------------------------------------------------------------------------------

    [Theory]
    [MemberData(nameof(Modes))]
    public void EV_6_A_receipt_can_be_read_after_the_commit_and_not_before(Durability mode)
    {
        using var world = new ModeDatabase(mode);
        world.Run.Events.Append("first", Payload(0));
        EventReceipt kept = default;
        world.Run.Transact(tx =>
        {
            kept = tx.Events.Append("second", Payload(1));
            Assert.False(kept.IsCommitted);
            Assert.Throws<InvalidOperationException>(() => kept.Number);
            world.Run.Events.Append("between", Payload(2));
        });

        Assert.True(kept.IsCommitted);
        Assert.Equal(2UL, kept.Number.Value);
        Assert.Equal(kept.Hash, world.Run.Events.Get(2)!.Hash);
        Assert.Equal(kept.Sequence, world.Db.Sequence);
    }

    [Theory]
    [MemberData(nameof(Modes))]
    public void EV_6_Own_appends_are_seen_by_own_reads_which_count_as_reading_the_end(Durability mode)
    {
        using var world = new ModeDatabase(mode);
        world.Run.Events.Append("old", Payload(0));
        using var tx = world.Run.BeginTransaction();
        tx.Events.AppendMany([new("new", Payload(1)), new("newer", Payload(2))]);

        Assert.Equal([0UL, 1UL, 2UL], Numbers(tx.Events.Since(0)));
        Assert.Equal([2UL, 1UL], Numbers(tx.Events.Since(0, new EventScanOptions { Reverse = true, Limit = 2 })));
        Assert.Equal([1UL], Numbers(tx.Events.ByType("new")));
        Assert.Equal(3, tx.Events.Count());
        Assert.Equal(new EventHead(2, default), tx.Events.Head());
        Assert.Equal(["new", "newer", "old"], tx.Events.Types());
        Assert.Equal(1UL, tx.Events.StreamInfo("new")!.FirstNumber.Value);
        Assert.Equal(Sequence.None, tx.Events.Get(1)!.Sequence);
        Assert.Equal(1, world.Run.Events.Count());

        world.Run.Events.Append("other", Payload(9));
        Assert.Throws<ConflictException>(() => tx.Commit());
        Assert.Equal(2, world.Run.Events.Count());
    }

    public static TheoryData<Durability, string> EndReads()
    {
        var data = new TheoryData<Durability, string>();
        foreach (var mode in new[] { Durability.InMemory, Durability.Buffered, Durability.Strict })
        {
            string[] reads = ["count", "head", "get-absent", "since", "range-past", "reverse", "by-type", "by-time", "follow", "types"];
            foreach (var read in reads)
                data.Add(mode, read);
        }

        return data;
    }

    [Theory]
    [MemberData(nameof(EndReads))]
    public async Task TX_16_What_shows_the_end_conflicts_with_an_append(Durability mode, string read)
    {
        using var world = new ModeDatabase(mode);
        world.Run.Events.Append("a", Payload(0));
        using var tx = world.Run.BeginTransaction();
        tx.Kv.Put("x", 1);
        switch (read)
        {
            case "count":
                tx.Events.Count();
                break;
            case "head":
                tx.Events.Head();
                break;
            case "get-absent":
                tx.Events.Get(1);
                break;
            case "since":
                tx.Events.Since(0);
                break;
            case "range-past":
                tx.Events.Range(0, 2);
                break;
            case "reverse":
                tx.Events.Since(0, new EventScanOptions { Reverse = true, Limit = 1 });
                break;
            case "by-type":
                tx.Events.ByType("b");
                break;
            case "by-time":
                tx.Events.RangeByTime(DateTimeOffset.UnixEpoch, DateTimeOffset.MaxValue);
                break;
            case "types":
                tx.Events.Types();
                break;
            default:
                await foreach (var _ in tx.Events.Follow(cancellationToken: Token))
                {
                }

                break;
        }

        world.Run.Events.Append("b", Payload(1));
        var conflict = Assert.Throws<ConflictException>(() => tx.Commit());
        Assert.Equal("events", conflict.Primitive);
    }

    [Theory]
    [MemberData(nameof(Modes))]
    public void TX_16_Existing_events_never_conflict(Durability mode)
    {
        using var world = new ModeDatabase(mode);
        world.Run.Events.AppendMany([.. Enumerable.Range(0, 5).Select(n => new NewEvent("a", Payload(n)))]);
        using var tx = world.Run.BeginTransaction();
        Assert.NotNull(tx.Events.Get(0));
        Assert.Equal(2, tx.Events.Range(1, 3).Count);
        Assert.Equal(2, tx.Events.Since(0, new EventScanOptions { Limit = 2 }).Count);
        Assert.Equal(2, tx.Events.Range(0, 5, new EventScanOptions { Limit = 2, Reverse = true }).Count);
        Assert.Equal(5, tx.Events.StreamInfo("a")!.Count);
        tx.Events.Append("b", Payload(9));
        world.Run.Events.Redact(0, "reason");
        world.Run.Events.Append("c", Payload(6));
        tx.Commit();
        Assert.Equal(8, world.Run.Events.Count());
    }

    [Theory]
    [MemberData(nameof(Modes))]
    public void EV_6_At_snapshot_isolation_own_numbers_that_were_seen_are_still_right(Durability mode)
    {
        using var world = new ModeDatabase(mode);
        using var tx = world.Run.BeginTransaction(new TransactionOptions { Isolation = Isolation.Snapshot });
        tx.Events.Append("a", Payload(0));
        Assert.Equal([0UL], Numbers(tx.Events.Since(0)));
        world.Run.Events.Append("b", Payload(1));
        Assert.Throws<ConflictException>(() => tx.Commit());
    }

    // ---- EV-7, EV-8: reads ----------------------------------------------------------------------------------------------------

    [Theory]
    [MemberData(nameof(Modes))]
    public void EV_7_Ranges_are_half_open_paged_and_of_one_snapshot(Durability mode)
    {
        using var world = new ModeDatabase(mode);
        var events = world.Run.Events;
        events.AppendMany([.. Enumerable.Range(0, 20).Select(n => new NewEvent(n % 5 == 0 ? "five" : "other", Payload(n)))]);

        Assert.Equal([3UL, 4UL, 5UL], Numbers(events.Range(3, 6)));
        Assert.Equal([5UL, 4UL, 3UL], Numbers(events.Range(3, 6, new EventScanOptions { Reverse = true })));
        Assert.Empty(events.Range(6, 3));
        Assert.Empty(events.Range(30, 40));
        Assert.Equal([18UL, 19UL], Numbers(events.Since(18)));
        Assert.Equal([0UL, 5UL, 10UL, 15UL], Numbers(events.ByType("five", "none")));

        var options = new EventScanOptions { Types = ["five"], Limit = 2 };
        var page = events.Since(1, options);
        Assert.Equal([5UL, 10UL], Numbers(page));
        events.Append("five", Payload(20));
        var next = events.Since(1, options with { Cursor = page.Cursor });
        Assert.Equal([15UL], Numbers(next));
        Assert.Null(next.Cursor);
        Assert.Equal(page.Sequence, next.Sequence);
        Assert.Throws<CairnException>(() => events.Since(2, options with { Cursor = page.Cursor }));
        Assert.Null(events.Range(0, 2, new EventScanOptions { Limit = 2 }).Cursor);

        var back = events.Since(0, new EventScanOptions { Limit = 15, Reverse = true });
        var rest = events.Since(0, new EventScanOptions { Limit = 15, Reverse = true, Cursor = back.Cursor });
        Assert.Equal(Enumerable.Range(0, 21).Reverse().Select(n => (ulong)n), Numbers(back).Concat(Numbers(rest)));
    }

    [Theory]
    [MemberData(nameof(Modes))]
    public void EV_7_A_time_range_is_found_by_commit_time(Durability mode)
    {
        using var world = new ModeDatabase(mode);
        var start = world.Clock.GetUtcNow();
        for (var n = 0; n < 30; n++)
        {
            world.Run.Events.Append("a", Payload(n));
            if (n % 3 == 2)
                world.Clock.Advance(TimeSpan.FromSeconds(1));
        }

        Assert.Equal([6UL, 7UL, 8UL, 9UL, 10UL, 11UL], Numbers(world.Run.Events.RangeByTime(start.AddSeconds(2), start.AddSeconds(4))));
        Assert.Equal(30, world.Run.Events.RangeByTime(DateTimeOffset.MinValue, DateTimeOffset.MaxValue).Count);
        Assert.Empty(world.Run.Events.RangeByTime(start.AddSeconds(100), start.AddSeconds(200)));
        Assert.Empty(world.Run.Events.RangeByTime(start.AddTicks(10), start.AddSeconds(1)));
        var options = new EventScanOptions { Limit = 4, Reverse = true };
        var page = world.Run.Events.RangeByTime(start, start.AddSeconds(2), options);
        Assert.Equal([5UL, 4UL, 3UL, 2UL], Numbers(page));
        Assert.Equal([1UL, 0UL], Numbers(world.Run.Events.RangeByTime(start, start.AddSeconds(2), options with { Cursor = page.Cursor })));

        world.Run.Events.Redact(7, "its time stays");
        Assert.Equal([6UL, 7UL, 8UL], Numbers(world.Run.Events.RangeByTime(start.AddSeconds(2), start.AddSeconds(3))));
    }

    [Theory]
    [MemberData(nameof(Modes))]
    public void EV_8_Counts_head_types_and_streams(Durability mode)
    {
        using var world = new ModeDatabase(mode);
        var events = world.Run.Events;
        Assert.Null(events.Head());
        Assert.Equal(0, events.Count());
        Assert.Null(events.StreamInfo("a"));
        Assert.Empty(events.Types());
        var start = world.Clock.GetUtcNow();
        events.Append("b", Payload(0));
        world.Clock.Advance(TimeSpan.FromSeconds(1));
        events.AppendMany([new("a", Payload(1)), new("b", Payload(2))]);

        Assert.Equal(3, events.Count());
        Assert.Equal(2, events.CountByType("b"));
        Assert.Equal(0, events.CountByType("c"));
        Assert.Equal(["a", "b"], events.Types());
        Assert.Equal(["b"], events.Types(new ScanOptions { Limit = 1, Reverse = true }));
        Assert.Equal(new EventStreamInfo("b", 2, 0, start, 2, start.AddSeconds(1)), events.StreamInfo("b"));

        using var snapshot = world.Run.Snapshot();
        events.Append("c", Payload(3));
        Assert.Equal(3, snapshot.Events.Count());
        Assert.Equal(["a", "b"], snapshot.Events.Types());
        Assert.Null(snapshot.Events.Get(3));
        Assert.Equal(3, snapshot.Events.Since(0).Count);
        Assert.True(snapshot.Events.Verify().IsValid);
    }

    // ---- EV-10 ----------------------------------------------------------------------------------------------------------------

    public static TheoryData<int, string> Damage => new()
    {
        { 0, "number" },
        { EventOperations.PreviousOffset, "previous" },
        { EventOperations.HashOffset, "hash" },
        { EventOperations.CausesOffset, "salt" },
        { EventOperations.CausesOffset + 20, "payload" },
    };

    [Theory]
    [MemberData(nameof(Damage))]
    public void EV_10_Verify_finds_the_first_event_that_is_not_what_was_written(int offset, string what)
    {
        using var world = new ModeDatabase(Durability.InMemory);
        world.Run.Events.AppendMany([.. Enumerable.Range(0, 6).Select(n => new NewEvent("a", Payload(n)))]);
        Assert.Equal(new EventVerification(true, 6, null, null), world.Run.Events.Verify());
        Assert.Equal(new EventVerification(true, 2, null, null), world.Run.Events.Verify(2, 4));
        Assert.Equal(new EventVerification(true, 0, null, null), world.Run.Events.Verify(6));

        var run = world.Db.Engine.Catalogue.Default;
        Span<byte> key = stackalloc byte[9];
        StoreKeys.Of(key, StoreKeys.Event, 3);
        byte[] stored;
        using (var reader = run.Store.Read())
        {
            Assert.True(reader.TryGetNewest(key, out var version));
            stored = version.Value.ToArray();
        }

        stored[Operation.FixedBytes + 1 + offset] ^= 1;
        run.Store.Put(key, stored, run.LastSequence, world.Clock.Microseconds, 0);

        var found = world.Run.Events.Verify();
        Assert.False(found.IsValid);
        Assert.Equal(3UL, found.FirstInvalid!.Value.Value);
        Assert.Equal(3, found.Length);
        Assert.False(string.IsNullOrEmpty(found.Error), what);
        Assert.True(world.Run.Events.Verify(to: 3).IsValid);
    }

    [Fact]
    public void EV_10_Verify_notices_a_time_that_was_changed_and_a_head_that_does_not_fit()
    {
        using var world = new ModeDatabase(Durability.InMemory);
        world.Run.Events.AppendMany([.. Enumerable.Range(0, 3).Select(n => new NewEvent("a", Payload(n)))]);
        var run = world.Db.Engine.Catalogue.Default;
        byte[] head;
        using (var reader = run.Store.Read())
        {
            Assert.True(reader.TryGetNewest([StoreKeys.EventHead], out var version));
            head = version.Value.ToArray();
        }

        head[20] ^= 1;
        run.Store.Put([StoreKeys.EventHead], head, run.LastSequence, world.Clock.Microseconds, 0);
        Assert.Equal(2UL, world.Run.Events.Verify().FirstInvalid!.Value.Value);
        Assert.True(world.Run.Events.Verify(0, 2).IsValid);
    }

    // ---- EV-11 ----------------------------------------------------------------------------------------------------------------

    [Theory]
    [MemberData(nameof(Modes))]
    public async Task EV_11_Follow_catches_up_and_goes_on_live_without_gap_or_duplicate(Durability mode)
    {
        using var world = new ModeDatabase(mode);
        for (var n = 0; n < 300; n++)
            world.Run.Events.Append(n % 3 == 0 ? "three" : "other", Payload(n));
        var all = new List<ulong>();
        var threes = new List<ulong>();
        var follower = Task.Run(
            async () =>
            {
                await foreach (var record in world.Run.Events.Follow(5, cancellationToken: Token))
                    all.Add(record.Number.Value);
            },
            Token);
        var filtered = Task.Run(
            async () =>
            {
                await foreach (var record in world.Run.Events.Follow(types: ["three"], cancellationToken: Token))
                    threes.Add(record.Number.Value);
            },
            Token);

        ModeDatabase.OnThreads(3, thread =>
        {
            for (var n = 0; n < 60; n++)
            {
                world.Run.Events.Append("live", Payload(n));
                world.Run.Kv.Put("noise", n);
            }
        });
        world.Run.Events.AppendMany([new("three", Payload(1)), new("last", Payload(2))]);
        world.CloseRun();
        await Task.WhenAll(follower, filtered).WaitAsync(TimeSpan.FromSeconds(60), Token);

        Assert.Equal(Enumerable.Range(5, 477).Select(n => (ulong)n), all);
        Assert.Equal([.. Enumerable.Range(0, 100).Select(n => 3UL * (ulong)n), 480UL], threes);
        Assert.Equal(0, world.Db.Engine.Feed.Audiences);
        Assert.False(world.Db.Engine.Path.Log.HasObservers);
    }

    [Theory]
    [MemberData(nameof(Modes))]
    public async Task EV_11_Follow_ends_when_the_run_is_completed_with_the_last_event_given(Durability mode)
    {
        using var world = new ModeDatabase(mode);
        var run = world.Db.Runs.Begin("followed");
        var seen = new List<string>();
        var follower = Task.Run(
            async () =>
            {
                await foreach (var record in run.Events.Follow(cancellationToken: Token))
                    seen.Add(record.Type);
            },
            Token);
        run.Events.Append("first", Payload(0));
        run.Pause();
        run.Resume();
        run.Transact(tx =>
        {
            tx.Events.Append("last", Payload(1));
            tx.Run.Complete();
        });
        await follower.WaitAsync(TimeSpan.FromSeconds(60), Token);
        Assert.Equal(["first", "last"], seen);
        Assert.False(await run.Events.WaitAsync(2, Timeout.InfiniteTimeSpan, Token));
    }

    [Theory]
    [MemberData(nameof(Modes))]
    public async Task EV_11_Follow_ends_by_cancellation_and_when_the_database_is_closed(Durability mode)
    {
        using var world = new ModeDatabase(mode);
        world.Run.Events.Append("a", Payload(0));
        using var stop = new CancellationTokenSource();
        await using var cancelled = world.Run.Events.Follow(cancellationToken: stop.Token).GetAsyncEnumerator(Token);
        await using var closed = world.Run.Events.Follow(cancellationToken: Token).GetAsyncEnumerator(Token);
        Assert.True(await cancelled.MoveNextAsync());
        Assert.True(await closed.MoveNextAsync());
        var first = cancelled.MoveNextAsync().AsTask();
        var second = closed.MoveNextAsync().AsTask();
        Assert.False(first.IsCompleted || second.IsCompleted);

        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => first);
        world.Db.Dispose();
        await Assert.ThrowsAsync<ObjectDisposedException>(() => second);
    }

    [Theory]
    [MemberData(nameof(Modes))]
    public async Task EV_11_Follow_on_a_snapshot_ends_with_what_it_shows(Durability mode)
    {
        using var world = new ModeDatabase(mode);
        world.Run.Events.AppendMany([.. Enumerable.Range(0, 3).Select(n => new NewEvent("a", Payload(n)))]);
        using var snapshot = world.Run.Snapshot();
        world.Run.Events.Append("a", Payload(3));
        var seen = new List<ulong>();
        await foreach (var record in snapshot.Events.Follow(1, cancellationToken: Token))
            seen.Add(record.Number.Value);
        Assert.Equal([1UL, 2UL], seen);
        Assert.False(snapshot.Events.Wait(3, Timeout.InfiniteTimeSpan));
    }

    [Theory]
    [MemberData(nameof(Modes))]
    public async Task EV_11_Wait_is_woken_by_the_commit_by_its_time_and_by_the_end_of_the_run(Durability mode)
    {
        using var world = new ModeDatabase(mode);
        var events = world.Run.Events;
        Assert.False(events.Wait(0, TimeSpan.Zero));
        var coming = Task.Run(() => events.Wait(1, Timeout.InfiniteTimeSpan), Token);
        var inTime = events.WaitAsync(1, TimeSpan.FromSeconds(10), Token).AsTask();
        var tooLate = events.WaitAsync(2, TimeSpan.FromSeconds(10), Token).AsTask();
        events.Append("a", Payload(0));
        Assert.False(inTime.IsCompleted);
        events.Append("a", Payload(1));
        Assert.True(await coming.WaitAsync(TimeSpan.FromSeconds(60), Token));
        Assert.True(await inTime.WaitAsync(TimeSpan.FromSeconds(60), Token));
        Assert.True(events.Wait(1, TimeSpan.Zero));
        world.Clock.Advance(TimeSpan.FromSeconds(9));
        Assert.False(tooLate.IsCompleted);
        world.Clock.Advance(TimeSpan.FromSeconds(1));
        Assert.False(await tooLate.WaitAsync(TimeSpan.FromSeconds(60), Token));
        var never = events.WaitAsync(5, Timeout.InfiniteTimeSpan, Token).AsTask();
        world.CloseRun();
        Assert.False(await never.WaitAsync(TimeSpan.FromSeconds(60), Token));
        Assert.Throws<CairnException>(() => events.Wait(9, TimeSpan.FromMilliseconds(-5)));
        Assert.Equal(0, world.Clock.Timers);
    }

    // ---- EV-12 ----------------------------------------------------------------------------------------------------------------

    [Theory]
    [MemberData(nameof(Modes))]
    public void EV_12_Positions_go_forward_unless_forced(Durability mode)
    {
        using var world = new ModeDatabase(mode);
        var consumers = world.Run.Events.Consumers;
        world.Run.Events.AppendMany([.. Enumerable.Range(0, 10).Select(n => new NewEvent("a", Payload(n)))]);
        Assert.Equal(0UL, consumers.Position("mail").Value);
        var at = consumers.Commit("mail", 4);
        consumers.Commit("mail", 4);
        Assert.Equal(4UL, consumers.Position("mail").Value);
        Assert.True(at > Sequence.None);
        Assert.Equal(ErrorCode.ConstraintViolation, Assert.Throws<CairnException>(() => consumers.Commit("mail", 3)).Code);
        Assert.Equal(ErrorCode.InvalidArgument, Assert.Throws<CairnException>(() => consumers.Commit("mail", 11)).Code);
        Assert.Equal(ErrorCode.InvalidArgument, Assert.Throws<CairnException>(() => consumers.Reset("mail", 11)).Code);
        consumers.Reset("mail", 1);
        consumers.Commit("audit", 10);
        Assert.Equal([("audit", 10UL), ("mail", 1UL)], consumers.List().Select(position => (position.Name, position.Position.Value)));
        world.Reopen();
        Assert.Equal(1UL, world.Run.Events.Consumers.Position("mail").Value);
        Assert.Equal(ErrorCode.InvalidName, Assert.Throws<CairnException>(() => world.Run.Events.Consumers.Commit("$x", 1)).Code);
    }

    [Theory]
    [MemberData(nameof(Modes))]
    public void EV_12_A_position_commits_together_with_what_the_consumer_did(Durability mode)
    {
        using var world = new ModeDatabase(mode);
        world.Run.Events.AppendMany([.. Enumerable.Range(0, 4).Select(n => new NewEvent("a", Payload(n)))]);
        using (var dropped = world.Run.BeginTransaction())
        {
            dropped.Kv.Put("sum", 1);
            dropped.Events.Consumers.Commit("adder", 1);
            Assert.Equal(1UL, dropped.Events.Consumers.Position("adder").Value);
        }

        Assert.Equal(0UL, world.Run.Events.Consumers.Position("adder").Value);
        world.Run.Transact(tx =>
        {
            tx.Kv.Put("sum", 2);
            tx.Events.Consumers.Commit("adder", 1);
            tx.Events.Consumers.Commit("adder", 2);
            Assert.Throws<CairnException>(() => tx.Events.Consumers.Commit("adder", 1));
        });
        Assert.Equal(2UL, world.Run.Events.Consumers.Position("adder").Value);

        using var late = world.Run.BeginTransaction();
        late.Kv.Put("sum", 3);
        late.Events.Consumers.Commit("adder", 3);
        world.Run.Events.Consumers.Commit("adder", 4);
        Assert.Equal(ErrorCode.ConstraintViolation, Assert.Throws<CairnException>(() => late.Commit()).Code);
        Assert.Equal(2, world.Run.Kv.Get("sum")!.Value.AsInt64());
    }

    // ---- EV-13, EV-14 ---------------------------------------------------------------------------------------------------------

    [Theory]
    [MemberData(nameof(Modes))]
    public void EV_13_Redaction_removes_payload_and_salt_and_leaves_the_chain_whole(Durability mode)
    {
        using var world = new ModeDatabase(mode);
        var events = world.Run.Events;
        events.AppendMany([new("a", Payload(0)), new("b", Payload(1)) { Causes = [0] }, new("c", Payload(2))]);
        var before = events.Get(1)!;
        world.Clock.Advance(TimeSpan.FromSeconds(5));

        var receipt = events.Redact(1, "names a person");

        for (var round = 0; round < 2; round++)
        {
            var after = world.Run.Events.Get(1)!;
            Assert.True(after.IsRedacted);
            Assert.Null(after.Payload);
            Assert.Equal(0, after.Salt.Length);
            Assert.Equal((before.Number, before.Type, before.Time, before.PayloadHash, before.PreviousHash, before.Hash, before.Sequence),
                (after.Number, after.Type, after.Time, after.PayloadHash, after.PreviousHash, after.Hash, after.Sequence));
            Assert.Equal([0UL], after.Causes.Select(cause => cause.Value));
            Assert.True(world.Run.Events.Verify().IsValid);
            var act = world.Run.Events.Get(3)!;
            Assert.Equal("$redacted", act.Type);
            Assert.Equal(1, act.Payload!.Value["number"].AsInt64());
            Assert.Equal("names a person", act.Payload!.Value["reason"].AsString());
            Assert.Equal(receipt!.Value.Sequence, act.Sequence);
            Assert.Null(world.Run.Events.Redact(1, "again"));
            Assert.Equal(4, world.Run.Events.Count());
            world.Reopen();
        }

        events = world.Run.Events;
        Assert.Equal(ErrorCode.NotFound, Assert.Throws<CairnException>(() => events.Redact(9, "x")).Code);
        Assert.Equal(ErrorCode.InvalidArgument, Assert.Throws<CairnException>(() => events.Redact(3, "x")).Code);
        Assert.Equal(ErrorCode.InvalidArgument, Assert.Throws<CairnException>(() => events.Redact(0, "")).Code);
        Assert.Throws<LimitException>(() => events.Redact(0, new string('x', (64 << 10) + 1)));
        world.CloseRun();
        Assert.NotNull(world.Run.Events.Redact(0, "also in a closed run (RUN-7)"));
    }

    [Theory]
    [MemberData(nameof(Modes))]
    public void EV_13_Redaction_in_a_transaction(Durability mode)
    {
        using var world = new ModeDatabase(mode);
        world.Run.Events.AppendMany([.. Enumerable.Range(0, 3).Select(n => new NewEvent("a", Payload(n)))]);
        using var loser = world.Run.BeginTransaction();
        EventReceipt? receipt = null;
        world.Run.Transact(tx =>
        {
            receipt = tx.Events.Redact(2, "reason");
            Assert.True(tx.Events.Get(2)!.IsRedacted);
            Assert.Equal(world.Run.Events.Get(2)!.PayloadHash, tx.Events.Get(2)!.PayloadHash);
            Assert.Null(tx.Events.Redact(2, "again"));
            tx.Events.Append("b", Payload(5));
        });

        Assert.Equal(3UL, receipt!.Value.Number.Value);
        Assert.Equal(["a", "a", "a", "$redacted", "b"], world.Run.Events.Since(0).Select(record => record.Type));
        Assert.True(world.Run.Events.Verify().IsValid);
        loser.Events.Redact(2, "not seen yet");
        Assert.Throws<ConflictException>(() => loser.Commit());
    }

    [Theory]
    [MemberData(nameof(Modes))]
    public void EV_13_Of_two_redactions_at_the_same_time_one_is_recorded(Durability mode)
    {
        using var world = new ModeDatabase(mode);
        world.Run.Events.Append("a", Payload(0));
        var done = 0;
        ModeDatabase.OnThreads(4, _ =>
        {
            if (world.Run.Events.Redact(0, "reason") is not null)
                Interlocked.Increment(ref done);
        });
        Assert.Equal(1, done);
        Assert.Equal(2, world.Run.Events.Count());
    }

    [Theory]
    [MemberData(nameof(Modes))]
    public void EV_14_A_closed_run_takes_no_events(Durability mode)
    {
        using var world = new ModeDatabase(mode);
        world.Run.Events.Append("a", Payload(0));
        world.CloseRun();
        Assert.Equal(ErrorCode.RunClosed, Assert.Throws<RunClosedException>(() => world.Run.Events.Append("a", Payload(1))).Code);
        Assert.Equal(ErrorCode.RunClosed, Assert.Throws<RunClosedException>(() => world.Run.Events.Consumers.Commit("c", 1)).Code);
        Assert.Equal(
            ErrorCode.RunClosed, Assert.Throws<RunClosedException>(() => world.Run.Transact(tx => tx.Events.Append("a", Payload(1)))).Code);
        Assert.Equal(1, world.Run.Events.Count());
    }

    // ---- doors ----------------------------------------------------------------------------------------------------------------

    [Theory]
    [MemberData(nameof(Modes))]
    public void EV_1_Every_door_refuses_before_anything_changes(Durability mode)
    {
        using var world = new ModeDatabase(
            mode, new CairnOptions { Limits = new Limits { ManyItemsMax = 3, DepthMax = 4, ValueBytesMax = 1000 } });
        var events = world.Run.Events;
        var deep = Value.Object(("a", Value.Array(Value.Array(Value.Array(Value.Array(1))))));
        void Refused(ErrorCode code, string type, Value payload, params EventNumber[] causes)
        {
            Assert.Equal(code, Assert.ThrowsAny<CairnException>(() => events.Append(type, payload, causes)).Code);
            Assert.Equal(code, Assert.ThrowsAny<CairnException>(() => events.AppendMany([new(type, payload) { Causes = causes }])).Code);
            Assert.Equal(
                code, Assert.ThrowsAny<CairnException>(() => world.Run.Transact(tx => { tx.Events.Append(type, payload, causes); })).Code);
            Assert.Equal(code, Assert.ThrowsAny<CairnException>(
                () => { _ = events.AppendAsync(type, payload, causes).AsTask().GetAwaiter().GetResult(); }).Code);
        }

        Refused(ErrorCode.InvalidName, "", Payload(1));
        Refused(ErrorCode.InvalidName, "a/b", Payload(1));
        Refused(ErrorCode.InvalidName, "a\n", Payload(1));
        Refused(ErrorCode.InvalidName, "$redacted", Payload(1));
        Refused(ErrorCode.LimitExceeded, new string('x', 257), Payload(1));
        Refused(ErrorCode.WrongType, "a", 5);
        Refused(ErrorCode.WrongType, "a", Value.Null);
        Refused(ErrorCode.WrongType, "a", Value.Array(1));
        Refused(ErrorCode.InvalidArgument, "a", Value.Object(("x", double.NaN)));
        Refused(ErrorCode.InvalidArgument, "a", Value.Object(("x", Value.Array(double.PositiveInfinity))));
        Refused(ErrorCode.LimitExceeded, "a", deep);
        Refused(ErrorCode.LimitExceeded, "a", Value.Object(("x", new string('x', 1000))));
        Refused(ErrorCode.LimitExceeded, "a", Payload(1), new EventNumber[1025]);
        Refused(ErrorCode.InvalidArgument, "a", Payload(1), 0);
        Assert.Throws<LimitException>(() => events.AppendMany([.. Enumerable.Range(0, 4).Select(n => new NewEvent("a", Payload(n)))]));
        Assert.Throws<LimitException>(() => events.Since(0, new EventScanOptions { Limit = 1001 }));
        Assert.Throws<LimitException>(() => events.ByType("a", "b", "c", "d"));
        Assert.Throws<CairnException>(() => events.ByType());
        Assert.Equal(0, events.Count());
        Assert.Equal(Sequence.None, world.Db.Sequence);
        events.Append(new string('x', 256), Value.Object(("x", Value.Array(Value.Array(1)))));
    }

    [Theory]
    [MemberData(nameof(Modes))]
    public void EV_1_Causes_are_earlier_events_of_the_run_or_of_the_same_commit(Durability mode)
    {
        using var world = new ModeDatabase(mode);
        var events = world.Run.Events;
        events.Append("a", Payload(0));
        events.AppendMany([new("b", Payload(1)) { Causes = [0] }, new("c", Payload(2)) { Causes = [0, 1] }]);
        Assert.Throws<CairnException>(() => events.AppendMany([new("d", Payload(3)) { Causes = [3] }]));
        world.Run.Transact(tx =>
        {
            var number = tx.Events.Count();
            tx.Events.Append("input", Payload(3));
            tx.Events.Append("effect", Payload(4), [(ulong)number]);
        });
        Assert.Throws<CairnException>(() => world.Run.Transact(tx => tx.Events.Append("x", Payload(5), [5])));
        Assert.Equal(5, events.Count());
        Assert.Equal([0UL, 1UL], events.Get(2)!.Causes.Select(cause => cause.Value));
        Assert.Equal([3UL], events.Get(4)!.Causes.Select(cause => cause.Value));
        Assert.Equal(1024, events.Get(events.Append("many", Payload(5), new EventNumber[1024]).Number)!.Causes.Count);
        Assert.NotNull(events.Redact(5, "with all its causes"));
        Assert.Equal(1024, events.Get(5)!.Causes.Count);
        Assert.True(events.Verify().IsValid);
    }

    [Fact]
    public void EV_5_An_append_outside_a_transaction_allocates_nothing()
    {
        using var world = new ModeDatabase(Durability.InMemory);
        var events = world.Run.Events;
        var payload = Payload(1);
        for (var n = 0; n < 2000; n++)
            events.Append("warm", payload);
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var n = 0; n < 1000; n++)
            events.Append("warm", payload);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 1000 * 8);
    }

    [Fact]
    public void EV_5_The_payload_hash_waits_in_the_hole_of_the_hash()
    {
        using var world = new ModeDatabase(Durability.InMemory);
        var body = new byte[EventOperations.BodyLength(2, Payload(1).EncodedLength)];
        EventOperations.WriteBody(body, 7, [3, 4], Payload(1), world.Db.Engine.Random);

        // docs/format.md: number u64, previous hash 32, hash 32, causes C u16, C numbers u64, salt 16, canonical payload
        Assert.Equal(7UL, BinaryPrimitives.ReadUInt64LittleEndian(body));
        Assert.Equal(new byte[32], body[8..40]);
        Assert.Equal(SHA256.HashData(body.AsSpan(90)), body[40..72]);
        Assert.Equal(2, BinaryPrimitives.ReadUInt16LittleEndian(body.AsSpan(72)));
        Assert.Equal(3UL, BinaryPrimitives.ReadUInt64LittleEndian(body.AsSpan(74)));
        Assert.Equal(4UL, BinaryPrimitives.ReadUInt64LittleEndian(body.AsSpan(82)));
        Assert.Equal(Payload(1).Encode(), body[106..]);
    }

    [Fact]
    public void EV_5_Apply_refuses_an_event_that_does_not_follow_the_one_before()
    {
        using var world = new ModeDatabase(Durability.InMemory);
        world.Run.Events.Append("a", Payload(0));
        var run = world.Db.Engine.Catalogue.Default;
        var body = new byte[EventOperations.BodyLength(0, 1)];
        body[^1] = 0x80;
        var bytes = new byte[Operation.Length(1, body.Length)];
        body.CopyTo(Operation.Write(bytes, (byte)OperationCode.EventAppend, 0, "a"u8, body.Length));
        Assert.False(new EventOperations().Apply(new Operation(bytes, out _), new ApplyContext(run, world.Db.Engine.Catalogue, 2, 0)));
        Assert.Equal(1UL, run.NextEvent);
    }

    [Theory]
    [MemberData(nameof(Modes))]
    public void EV_5_Large_payloads_work(Durability mode)
    {
        using var world = new ModeDatabase(mode);
        var text = new string('x', 3 << 20);
        world.Run.Events.Append("big", Value.Object(("text", text)));
        world.Reopen();
        Assert.Equal(text, world.Run.Events.Get(0)!.Payload!.Value["text"].AsString());
        Assert.True(world.Run.Events.Verify().IsValid);
    }
}
