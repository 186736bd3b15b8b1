using System.Text;
using Xunit;

namespace Cairn.Tests.Primitives;

/// <summary><see cref="EventsView.Scan{TState}"/>: what it shows is what <see cref="EventsView.Range"/> gives.</summary>
public class EventScanTests
{
    private const int Many = 2_500;                          // more than are shown before the epoch is left for a moment

    public static TheoryData<Durability> Modes => ModeDatabase.Modes;

    private static Value Payload(long n) => Value.Object(("n", n), ("text", $"event {n}"));

    private static void Fill(Run run, int from, int to)
    {
        for (var at = from; at < to; at += 500)
        {
            run.Events.AppendMany([.. Enumerable.Range(at, Math.Min(500, to - at)).Select(n => new NewEvent($"type{n % 3}", Payload(n))
            {
                Causes = n % 10 == 9 ? [(ulong)n - 1, (ulong)n - 2] : null,
            })]);
        }
    }

    private static List<EventRecord> Shown(EventsView events, EventNumber from, EventNumber to)
    {
        var records = new List<EventRecord>();
        var count = events.Scan(from, to, ref records, static (scoped in borrowed, ref list) =>
        {
            var record = borrowed.ToRecord();
            Assert.Equal(record.Number, borrowed.Number);
            Assert.Equal(record.Type, Encoding.UTF8.GetString(borrowed.TypeUtf8));
            Assert.Equal(record.Time, borrowed.Time);
            Assert.Equal(record.Sequence, borrowed.Sequence);
            Assert.Equal(record.Hash, borrowed.Hash);
            Assert.Equal(record.PreviousHash, borrowed.PreviousHash);
            Assert.Equal(record.IsRedacted, borrowed.IsRedacted);
            Assert.Equal(record.Payload?.Encode() ?? [], borrowed.Payload);
            Assert.Equal(record.Causes.Count, borrowed.CauseCount);
            for (var i = 0; i < borrowed.CauseCount; i++)
                Assert.Equal(record.Causes[i], borrowed.Cause(i));
            list.Add(record);
            return true;
        });
        Assert.Equal(records.Count, count);
        return records;
    }

    private static void AssertSame(List<EventRecord> expected, List<EventRecord> shown)
    {
        Assert.Equal(expected.Count, shown.Count);
        for (var i = 0; i < expected.Count; i++)
        {
            var (left, right) = (expected[i], shown[i]);
            Assert.Equal((left.Number, left.Type, left.Time, left.Sequence), (right.Number, right.Type, right.Time, right.Sequence));
            Assert.Equal((left.Hash, left.PreviousHash, left.PayloadHash), (right.Hash, right.PreviousHash, right.PayloadHash));
            Assert.Equal((left.IsRedacted, left.Payload), (right.IsRedacted, right.Payload));
            Assert.Equal(left.Causes, right.Causes);
            Assert.Equal(left.Salt.ToArray(), right.Salt.ToArray());
        }
    }

    private static List<EventRecord> OneByOne(EventsView events, ulong from, ulong to)
    {
        var records = new List<EventRecord>();
        for (var number = from; number < to && events.TryGet(number, out var record); number++)
            records.Add(record);
        return records;
    }

    [Theory]
    [MemberData(nameof(Modes))]
    [Trait("Requirement", "EV-7")]
    public void EV_7_A_scan_and_pages_give_what_reads_one_by_one_give(Durability mode)
    {
        using var world = new ModeDatabase(mode);
        Assert.Empty(Shown(world.Run.Events, 0, ulong.MaxValue));
        Fill(world.Run, 0, Many);
        world.Run.Events.Redact(7, "names a person");
        world.Run.Events.Redact(1_500, "names another");
        world.Reopen();

        (ulong From, ulong To)[] ranges =
        [
            (0, ulong.MaxValue), (0, 1), (6, 9), (1_020, 1_030), (100, 2_100), (9, 9), (5, 2), (9_999, ulong.MaxValue),
        ];
        foreach (var (from, to) in ranges)
        {
            var expected = OneByOne(world.Run.Events, from, to);
            AssertSame(expected, Shown(world.Run.Events, from, to));
            AssertSame(expected, [.. Pages(world.Run.Events, from, to, reverse: false)]);
            expected.Reverse();
            AssertSame(expected, [.. Pages(world.Run.Events, from, to, reverse: true)]);
        }
    }

    private static IEnumerable<EventRecord> Pages(Events events, ulong from, ulong to, bool reverse)
    {
        var options = new EventScanOptions { Limit = 300, Reverse = reverse };
        do
        {
            var page = events.Range(from, to, options);
            foreach (var record in page)
                yield return record;
            options = options with { Cursor = page.Cursor };
        }
        while (options.Cursor is not null);
    }

    [Theory]
    [MemberData(nameof(Modes))]
    [Trait("Requirement", "EV-6")]
    [Trait("Requirement", "EV-13")]
    public void EV_6_A_scan_in_a_transaction_shows_its_own_appends_and_redactions(Durability mode)
    {
        using var world = new ModeDatabase(mode);
        Fill(world.Run, 0, 5);
        using var tx = world.Run.BeginTransaction();
        tx.Events.Redact(2, "reason");
        tx.Events.AppendMany([new("new", Payload(1)), new("newer", Payload(2))]);
        world.Run.Events.Append("not seen", Payload(9));

        var shown = Shown(tx.Events, 0, ulong.MaxValue);
        AssertSame(OneByOne(tx.Events, 0, ulong.MaxValue), shown);
        Assert.Equal(["type0", "type1", "type2", "type0", "type1", "$redacted", "new", "newer"], shown.Select(record => record.Type));
        Assert.Equal([2UL], shown.Where(record => record.IsRedacted).Select(record => record.Number.Value));
        Assert.Equal(3, Shown(tx.Events, 4, 7).Count);
    }

    [Theory]
    [MemberData(nameof(Modes))]
    [Trait("Requirement", "TX-16")]
    public void TX_16_A_scan_conflicts_with_an_append_only_if_it_has_come_to_the_end(Durability mode)
    {
        using var world = new ModeDatabase(mode);
        Fill(world.Run, 0, 5);
        using var inside = world.Run.BeginTransaction();
        using var stopped = world.Run.BeginTransaction();
        using var ended = world.Run.BeginTransaction();
        Assert.Equal(5, Shown(inside.Events, 0, 5).Count);
        var left = 2;
        Assert.Equal(2, stopped.Events.Scan(0, ulong.MaxValue, ref left, static (scoped in _, ref left) => --left > 0));
        Assert.Equal(5, Shown(ended.Events, 0, 6).Count);
        inside.Kv.Put("a", 1);
        stopped.Kv.Put("b", 1);
        ended.Kv.Put("c", 1);

        world.Run.Events.Append("b", Payload(5));
        inside.Commit();
        stopped.Commit();
        Assert.Equal("events", Assert.Throws<ConflictException>(() => ended.Commit()).Primitive);
    }

    [Fact]
    [Trait("Requirement", "PERF-5")]
    public void A_scan_allocates_nothing_per_event()
    {
        using var world = new ModeDatabase(Durability.InMemory);
        Fill(world.Run, 0, Many);
        var few = Allocated(world.Run.Events, 10);
        Assert.InRange(Allocated(world.Run.Events, Many), 0, few);

        static long Allocated(Events events, int count)
        {
            var least = long.MaxValue;
            for (var i = 0; i < 50; i++)
            {
                var bytes = 0L;
                var before = GC.GetAllocatedBytesForCurrentThread();
                events.Scan(0, (ulong)count, ref bytes, static (scoped in borrowed, ref sum) =>
                {
                    sum += borrowed.Payload.Length + borrowed.TypeUtf8.Length;
                    return true;
                });
                least = Math.Min(least, GC.GetAllocatedBytesForCurrentThread() - before);
                Assert.True(bytes > 0);
            }

            return least;
        }
    }

    [Theory]
    [MemberData(nameof(Modes))]
    public void What_a_scan_appends_itself_it_does_not_show(Durability mode)
    {
        using var world = new ModeDatabase(mode);
        Fill(world.Run, 0, 5);
        var events = world.Run.Events;
        Assert.Equal(5, events.Scan(0, ulong.MaxValue, ref events, Append));
        world.Run.Transact(tx =>
        {
            var own = tx.Events;
            own.Append("own", Payload(0));
            Assert.Equal(11, own.Scan(0, ulong.MaxValue, ref own, Append));
        });
        Assert.Equal(22, events.Count());
        Assert.True(events.Verify().IsValid);

        static bool Append(scoped in BorrowedEvent borrowed, ref Events events)
        {
            events.Append("again", Value.Decode(borrowed.Payload));
            return true;
        }
    }

    [Fact]
    public void A_scan_ends_with_what_its_visitor_throws_or_with_the_run()
    {
        using var world = new ModeDatabase(Durability.InMemory);
        var run = world.Db.Runs.Begin("short-lived");
        Fill(run, 0, Many);
        var state = 0;
        Assert.Throws<NotSupportedException>(() => run.Events.Scan(
            0, Many, ref state, static (scoped in _, ref _) => throw new NotSupportedException()));

        var deleting = (world.Db.Runs, run.Id);
        var scan = Assert.Throws<CairnException>(() => run.Events.Scan(0, Many, ref deleting, static (scoped in borrowed, ref deleting) =>
        {
            if (borrowed.Number.Value == 0)
                deleting.Runs.Delete(deleting.Id);
            return borrowed.Payload.Length > 0;
        }));
        Assert.Equal(ErrorCode.NotFound, scan.Code);
        Assert.Throws<CairnException>(() => run.Events.Scan(0, Many, ref state, static (scoped in _, ref _) => true));
    }

    [Theory]
    [MemberData(nameof(Modes))]
    [Trait("Requirement", "EV-2")]
    public void A_scan_beside_writers_shows_one_whole_chain(Durability mode)
    {
        using var world = new ModeDatabase(mode);
        Fill(world.Run, 0, 1_200);
        var writing = 2;
        ModeDatabase.OnThreads(4, thread =>
        {
            if (thread < 2)
            {
                for (var n = 0; n < 400; n++)
                {
                    world.Run.Events.Append($"type{thread}", Payload(n));
                    if (n % 20 == 0)
                        world.Run.Events.Redact((ulong)(600 * thread + n), "while others read");
                }

                Interlocked.Decrement(ref writing);
                return;
            }

            bool isLast;
            do
            {
                isLast = Volatile.Read(ref writing) == 0;
                using var snapshot = world.Run.Snapshot();
                foreach (var view in new EventsView[] { snapshot.Events, world.Run.Events })
                {
                    var chain = (Count: 0UL, Hash: default(Hash256));
                    view.Scan(0, ulong.MaxValue, ref chain, static (scoped in borrowed, ref chain) =>
                    {
                        Assert.Equal(chain.Count, borrowed.Number.Value);
                        Assert.Equal(chain.Hash, borrowed.PreviousHash);
                        Assert.Equal(borrowed.IsRedacted, borrowed.Payload.Length == 0);
                        chain = (chain.Count + 1, borrowed.Hash);
                        return true;
                    });
                    if (view == snapshot.Events)
                        Assert.Equal(snapshot.Events.Head(), new EventHead(chain.Count - 1, chain.Hash));
                }
            }
            while (!isLast);
        });
        Assert.Equal(2_000 + 40, world.Run.Events.Count());
    }
}
