using Cairn.Content;
using Cairn.Diagnostics;
using Cairn.Storage;
using Xunit;

namespace Cairn.Tests.Content;

/// <summary>Contents by reference, over a log that is an array: what is read, how often, what is kept, and what a failure leaves.</summary>
public class ContentStoreTests
{
    private readonly FakeLogBytes _log = new();

    private static byte[] Bytes(int length, int seed)
    {
        var bytes = new byte[length];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }

    private ContentStore Over(long budget, int threshold = 64)
    {
        var store = new ContentStore(threshold, budget);
        store.ReadFrom(_log);
        return store;
    }

    [Fact]
    [Trait("Requirement", "CNT-7")]
    public void CNT_7_A_content_is_read_once_and_then_comes_from_memory()
    {
        var store = Over(1 << 20);
        var content = Bytes(5_000, 1);
        var reference = _log.Append(content);
        for (var i = 0; i < 3; i++)
            Assert.Equal(content, store.Read(reference, 1).ToArray());
        Assert.Equal((1, 1L, 2L, 5_000L), (_log.Reads, store.Misses, store.Hits, store.CachedBytes));
    }

    [Fact]
    [Trait("Requirement", "CNT-7")]
    public void CNT_7_A_scan_takes_from_memory_what_is_there_and_keeps_nothing()
    {
        var store = Over(1 << 20);
        var references = Enumerable.Range(0, 10).Select(i => _log.Append(Bytes(5_000 + i, i))).ToList();
        store.Read(references[3], 1);
        byte[] buffer = [];
        for (var round = 0; round < 2; round++)
        {
            for (var i = 0; i < references.Count; i++)
                Assert.Equal(Bytes(5_000 + i, i), store.ReadOnce(references[i], 1, ref buffer).ToArray());
        }

        Assert.Equal((19, 5_003L), (_log.Reads, store.CachedBytes));
        Assert.Equal(8_192, buffer.Length);
        Assert.Throws<CorruptionException>(() => store.ReadOnce(references[0] with { Check = 1 }, 1, ref buffer).ToArray());
        Assert.Throws<CorruptionException>(() => store.ReadOnce(references[0] with { Length = -1 }, 1, ref buffer).ToArray());
        Assert.Throws<CorruptionException>(() => store.ReadOnce(references[0] with { Length = 1 << 30 }, 1, ref buffer).ToArray());
        Assert.Equal(8_192, buffer.Length);
    }

    [Fact]
    [Trait("Requirement", "CNT-2")]
    public void CNT_2_What_is_kept_stays_inside_the_budget_and_what_is_in_use_outlasts_a_scan()
    {
        const int Budget = 100_000;
        var store = Over(Budget);
        var hot = Bytes(5_000, 0);
        var hotReference = _log.Append(hot);
        store.Read(hotReference, 1);
        for (var i = 1; i <= 200; i++)
        {
            var content = Bytes(1_000 + 37 * i, i);
            Assert.Equal(content, store.Read(_log.Append(content), 1).ToArray());
            Assert.Equal(hot, store.Read(hotReference, 1).ToArray());
            Assert.InRange(2 * store.CachedBytes, 0, Budget);   // twice: the collector leaves about as much behind
        }

        Assert.InRange(_log.Reads, 201, 215);                // the hot one goes now and then, when it stands under a hand that comes round
        var reads = _log.Reads;
        store.Read(_log.Append(Bytes(Budget + 1, 7)), 1);    // larger than all there is: answered, not kept
        Assert.Equal(reads + 1, _log.Reads);
        Assert.InRange(store.CachedBytes, 1, Budget);
    }

    [Fact]
    public void Without_a_budget_every_read_is_a_read_of_the_log()
    {
        var store = Over(0);
        var content = Bytes(300, 1);
        var reference = _log.Append(content);
        for (var i = 0; i < 3; i++)
            Assert.Equal(content, store.Read(reference, 1).ToArray());
        Assert.Equal((3, 0L), (_log.Reads, store.CachedBytes));
    }

    [Fact]
    [Trait("Requirement", "CNT-3")]
    [Trait("Promise", "G6")]
    public void CNT_3_What_is_not_what_was_written_is_corruption_with_its_place_and_never_absent()
    {
        var store = Over(1 << 20);
        var content = Bytes(700, 1);
        _log.Append(Bytes(100, 2));
        var reference = _log.Append(content);
        void Refused(ContentReference bad)
        {
            var damage = Assert.Throws<CorruptionException>(() => store.Read(bad, 9).ToArray());
            Assert.Equal(new Sequence(9), damage.Sequence);
        }

        Assert.Equal(content, store.Read(reference, 9).ToArray());
        Refused(reference with { Check = reference.Check ^ 1 });         // also where the right one is kept already
        Refused(reference with { Length = reference.Length - 1 });
        Refused(reference with { Length = reference.Length + 1 });
        Refused(reference with { Position = reference.Position + 1 });
        Refused(reference with { Position = 10_000 });
        Refused(reference with { Position = ulong.MaxValue - 10 });
        Refused(reference with { Length = 0 });
        Refused(reference with { Length = -1 });
        Refused(reference with { Length = int.MaxValue });
        _log.WrittenPosition = reference.End - 1;
        var other = Over(1 << 20);
        Assert.Throws<CorruptionException>(() => other.Read(reference, 9).ToArray());
        _log.WrittenPosition = reference.End;
        _log.FirstPosition = reference.Position + 1;
        Assert.Throws<CorruptionException>(() => other.Read(reference, 9).ToArray());
        _log.FirstPosition = 0;
        for (ulong at = 0; at < 700; at += 93)
        {
            _log.Flip(reference.Position + at);
            var damage = Assert.Throws<CorruptionException>(() => other.Read(reference, 9).ToArray());
            Assert.Equal(("log/fake", 100L), (damage.File, damage.Offset));
            _log.Flip(reference.Position + at);
        }

        _log.Cut(799);
        Assert.Throws<CorruptionException>(() => other.Read(reference, 9).ToArray());
    }

    [Fact]
    [Trait("Requirement", "CNT-1")]
    public void CNT_1_Those_who_ask_for_one_content_at_a_time_share_one_read()
    {
        var store = Over(1 << 20);
        var content = Bytes(50_000, 1);
        var reference = _log.Append(content);
        using var arrived = new CountdownEvent(3);
        using var failpoints = Failpoint.Use(new AtPlace("content.wait-for-read", () => arrived.Signal()));
        _log.BeforeRead = _ => arrived.Wait();               // the read ends when the three others wait for it
        var readers = Enumerable.Range(0, 4).Select(_ => Start(() => Assert.Equal(content, store.Read(reference, 1).ToArray()))).ToList();
        readers.ForEach(reader => reader());
        Assert.Equal((1, 1L, 3L), (_log.Reads, store.Misses, store.Hits));
    }

    [Theory]
    [InlineData("content.marked-before-read")]
    [InlineData("content.before-read")]
    [InlineData("content.read-before-checked")]
    [InlineData("content.checked-before-kept")]
    [InlineData("read")]
    [Trait("Requirement", "CNT-1")]
    public void CNT_1_A_thread_that_fails_anywhere_in_a_read_leaves_the_others_working(string place)
    {
        Exception[] failures = [new InvalidOperationException(), new InsufficientMemoryException(), new OperationCanceledException()];
        foreach (var failure in failures)
        {
            var store = Over(1 << 20);
            var content = Bytes(9_000, 1);
            var reference = _log.Append(content);
            using var isWaiting = new ManualResetEventSlim(false);
            var hits = 0;
            void FailFirst()
            {
                if (Interlocked.Increment(ref hits) > 1)
                    return;
                isWaiting.Wait();
                throw failure;
            }

            _log.BeforeRead = place == "read" ? _ => FailFirst() : null;
            using var failpoints = Failpoint.Use(new AtPlaces(new Dictionary<string, Action>(StringComparer.Ordinal)
            {
                [place] = FailFirst,
                ["content.wait-for-read"] = isWaiting.Set,
            }));
            Exception? seen = null;
            var failing = Start(() => seen = Record.Exception(() => store.Read(reference, 1).ToArray()));
            while (Volatile.Read(ref hits) == 0)
                Thread.Yield();
            var waiting = Start(() => Assert.Equal(content, store.Read(reference, 1).ToArray()));
            failing();
            waiting();
            Assert.Same(failure, seen);
            Assert.Equal(content, store.Read(reference, 1).ToArray());
            Assert.Equal((2L, 9_000L), (store.Misses, store.CachedBytes));
        }
    }

    [Fact]
    [Trait("Requirement", "CNT-1")]
    public void CNT_1_A_failing_disk_is_an_error_and_no_state()
    {
        var store = Over(1 << 20);
        var content = Bytes(9_000, 1);
        var reference = _log.Append(content);
        _log.BeforeRead = number =>
        {
            if (number == 1)
                throw new StorageException(StorageError.Io, "read", "log/fake", 5);
        };
        Assert.Equal(ErrorCode.Io, Assert.ThrowsAny<CairnException>(() => store.Read(reference, 1).ToArray()).Code);
        Assert.Equal(content, store.Read(reference, 1).ToArray());
    }

    [Fact]
    [Trait("Requirement", "CNT-1")]
    public void CNT_1_A_slow_read_holds_up_nobody_who_asks_for_something_else()
    {
        var store = Over(1 << 20);
        var slow = _log.Append(Bytes(9_000, 1));
        var others = Enumerable.Range(2, 200).Select(seed => Bytes(500, seed)).Select(bytes => (bytes, _log.Append(bytes))).ToList();
        using var begun = new ManualResetEventSlim(false);
        using var goOn = new ManualResetEventSlim(false);
        _log.BeforeRead = number =>
        {
            if (number != 1)
                return;
            begun.Set();
            goOn.Wait();
        };
        var reader = Start(() => store.Read(slow, 1));
        begun.Wait(TestContext.Current.CancellationToken);
        foreach (var (content, reference) in others)          // of all shards, the slow one's too
            Assert.Equal(content, store.Read(reference, 1).ToArray());
        goOn.Set();
        reader();
    }

    /// <summary>On a thread of its own; what is returned waits for its end and passes its failure on.</summary>
    private static Action Start(Action body)
    {
        Exception? failure = null;
        var thread = new Thread(() => failure = Record.Exception(body));
        thread.Start();
        return () =>
        {
            thread.Join();
            if (failure is not null)
                throw new InvalidOperationException(failure.Message, failure);
        };
    }

    private sealed class AtPlace(string place, Action act) : FailpointPlan
    {
        internal override void Hit(string name)
        {
            if (name == place)
                act();
        }

        internal override void Wait(string name) => Hit(name);
    }

    private sealed class AtPlaces(Dictionary<string, Action> acts) : FailpointPlan
    {
        internal override void Hit(string name)
        {
            if (acts.TryGetValue(name, out var act))
                act();
        }

        internal override void Wait(string name) => Hit(name);
    }
}
