using Cairn.Content;
using Cairn.Log;
using Cairn.Store;
using Cairn.Tests.Content;
using Xunit;

namespace Cairn.Tests.Store;

/// <summary>Versions whose value is a content: what is attached, what may be forgotten and when, and what becomes of it. With the debug
/// form of the slab, so that a use after free is found. Alone, because any reader of the process holds back what is to be freed.</summary>
[Collection(nameof(StoreSweepTests))]
public sealed class StoreContentTests : IDisposable
{
    private const int Length = 5_000;

    private readonly FakeLogBytes _log = new();
    private readonly SnapshotRegistry _pins = new();
    private readonly VisibleSequence _visible = new();
    private readonly ContentStore _content = new(4096, 1 << 20);
    private readonly RunStore _store;
    private ulong _sequence;

    public StoreContentTests()
    {
        _content.ReadFrom(_log);
        _store = new RunStore(_pins, _visible, 7, debugSlab: true, _content);
    }

    public void Dispose() => _store.Dispose();

    private static byte[] Value(int seed)
    {
        var bytes = new byte[Length];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }

    private ContentReference Put(string key, int seed, long expiry = 0)
    {
        var value = Value(seed);
        var reference = _log.Append(value);
        _store.Reserve(1, Length + 64);
        _store.PutContent(StoreTestBed.Bytes(key), reference, value, ++_sequence, StoreTestBed.Time(_sequence), expiry);
        _visible.Publish(_sequence);
        return reference;
    }

    private byte[]? Get(string key, ulong sequence = ulong.MaxValue)
    {
        using var reader = _store.Read();
        return reader.TryGet(StoreTestBed.Bytes(key), sequence, out var version) ? version.Value.ToArray() : null;
    }

    private ContentReference ReferenceOf(string key)
    {
        using var reader = _store.Read();
        Assert.True(reader.TryGetNewest(StoreTestBed.Bytes(key), out var version));
        Assert.True(version.IsContent);
        Assert.Equal(Length, version.ValueLength);
        return version.Reference;
    }

    private void ForgetAll()
    {
        while (_store.ForgetContent(1_000) > 0)
        {
        }

        _store.ForgetContent(1_000);                          // what was read lately goes the second time
    }

    [Fact]
    [Trait("Requirement", "CNT-7")]
    public void CNT_7_A_forgotten_content_is_read_from_the_log_and_its_memory_is_free()
    {
        for (var i = 0; i < 100; i++)
            Put($"k{i}", i);
        Assert.Equal(0, _log.Reads);
        Assert.InRange(_store.ContentBytes, 100 * Length, 101 * (Length + 64));
        ForgetAll();
        _store.Sweep(100_000);
        Assert.Equal(0, _content.Attached.Value);
        for (var i = 0; i < 100; i++)
            Assert.Equal(Value(i), Get($"k{i}"));
        Assert.Equal(100, _log.Reads);
        Assert.Equal(100, _content.Detached);
    }

    [Fact]
    [Trait("Requirement", "CNT-7")]
    [Trait("Promise", "G1")]
    public void CNT_7_What_is_not_written_yet_stays_in_memory()
    {
        var first = Put("a", 1);
        Put("b", 2);
        _log.WrittenPosition = first.End;
        ForgetAll();
        Assert.Equal(Value(2), Get("b"));
        Assert.Equal(0, _log.Reads);
        Assert.Equal(Value(1), Get("a"));
        Assert.Equal(1, _log.Reads);
        _log.WrittenPosition = ulong.MaxValue;
        ForgetAll();
        Assert.Equal(Value(2), Get("b"));
        Assert.Equal(2, _log.Reads);
    }

    [Fact]
    public void What_was_read_lately_goes_after_the_rest()
    {
        for (var i = 0; i < 10; i++)
            Put($"k{i}", i);
        Get("k0");
        Get("k3");
        Assert.True(_store.ForgetContent(10) > 0);
        Get("k0");
        Get("k3");
        Assert.Equal(0, _log.Reads);
        Get("k1");
        Assert.Equal(1, _log.Reads);
    }

    [Fact]
    [Trait("Requirement", "CNT-7")]
    public void CNT_7_A_new_expiry_keeps_the_place_of_the_value()
    {
        var reference = Put("a", 1);
        var pin = _pins.Take(_visible, 7);
        _store.CarryContent(StoreTestBed.Bytes("a"), ++_sequence, StoreTestBed.Time(_sequence), 999);
        _visible.Publish(_sequence);
        Assert.Equal(reference, ReferenceOf("a"));
        Assert.Equal(Value(1), Get("a"));
        Assert.Equal(0, _log.Reads);                          // the bytes have changed over
        Assert.Equal(Value(1), Get("a", pin.Sequence));
        Assert.Equal(1, _log.Reads);
        _pins.Release(pin);
        _store.Sweep(1_000);
        ForgetAll();
        _store.CarryContent(StoreTestBed.Bytes("a"), ++_sequence, StoreTestBed.Time(_sequence), 0);
        _visible.Publish(_sequence);
        Assert.Equal(reference, ReferenceOf("a"));
        Assert.Equal(Value(1), Get("a"));
        Assert.Equal(0, _content.Attached.Value);
    }

    [Fact]
    public void Twice_in_one_commit_the_bytes_change_over_and_are_freed_once()
    {
        var value = Value(1);
        var reference = _log.Append(value);
        _store.Reserve(3, 3 * Length);
        _store.PutContent(StoreTestBed.Bytes("a"), reference, value, 1, 1, 0);
        _store.CarryContent(StoreTestBed.Bytes("a"), 1, 1, 77);
        _sequence = 1;
        _visible.Publish(1);
        Assert.Equal(value, Get("a"));
        Put("a", 2);
        _store.Sweep(100_000);
        Assert.Equal(Value(2), Get("a"));
        Assert.InRange(_content.Attached.Value, Length, Length + 64);
    }

    [Fact]
    [Trait("Requirement", "CNT-1")]
    public void CNT_1_What_a_commit_has_made_sure_of_outlasts_the_reserving_of_its_memory()
    {
        var content = new ContentStore(4096, 0);              // keeps nothing that need not be
        content.ReadFrom(_log);
        using var store = new RunStore(_pins, _visible, 8, debugSlab: true, content);
        var value = Value(1);
        store.Reserve(1, Length);
        store.PutContent(StoreTestBed.Bytes("a"), _log.Append(value), value, 1, 1, 0);
        while (store.ForgetContent(10) > 0)
        {
        }

        store.HoldContent(StoreTestBed.Bytes("a"));
        store.Reserve(1, 10 * Length);
        var reads = _log.Reads;
        using (var reader = store.Read())
        {
            Assert.True(reader.TryGetNewest(StoreTestBed.Bytes("a"), out var version));
            Assert.Equal(value, version.Value.ToArray());
        }

        Assert.Equal(reads, _log.Reads);
    }

    [Fact]
    public void A_reader_that_stays_keeps_the_bytes_it_borrowed()
    {
        Put("a", 1);
        using (var reader = _store.Read())
        {
            Assert.True(reader.TryGetNewest(StoreTestBed.Bytes("a"), out var version));
            var borrowed = version.Value;
            ForgetAll();
            _store.Sweep(100_000);
            Assert.Equal(Value(1), borrowed.ToArray());
            Assert.True(reader.TryGetNewest(StoreTestBed.Bytes("a"), out var again));
            Assert.Equal(Value(1), again.Value.ToArray());
            Assert.Equal(1, _log.Reads);
        }
    }

    [Fact]
    public void A_closed_run_takes_its_part_out_of_the_sum()
    {
        for (var i = 0; i < 10; i++)
            Put($"k{i}", i);
        Assert.True(_content.Attached.Value >= 10 * Length);
        _store.Dispose();
        Assert.Equal(0, _content.Attached.Value);
    }

    [Fact]
    [Trait("Kind", "Random")]
    public void A_random_history_of_contents_reads_like_a_dictionary()
    {
        foreach (var seed in Seeds.Take(20, TestContext.Current.TestOutputHelper!))
        {
            var log = new FakeLogBytes { WrittenPosition = 0 };
            var content = new ContentStore(64, 2_000 * (seed % 4));
            content.ReadFrom(log);
            var pins = new SnapshotRegistry();
            var visible = new VisibleSequence();
            using var store = new RunStore(pins, visible, 7, debugSlab: true, content);
            var random = new Random(seed);
            var model = new Dictionary<string, byte[]?>();
            var held = new List<(SnapshotPin Pin, Dictionary<string, byte[]?> Model)>();
            for (var sequence = 1ul; sequence <= 1_500; sequence++)
            {
                var key = $"k{random.Next(12)}";
                store.Reserve(2, 1_000);
                switch (random.Next(10))
                {
                    case < 5:
                        var value = new byte[random.Next(1, 400)];
                        random.NextBytes(value);
                        if (value.Length > 64)
                            store.PutContent(StoreTestBed.Bytes(key), log.Append(value), value, sequence, 1, 0);
                        else
                            store.Put(StoreTestBed.Bytes(key), value, sequence, 1, 0);
                        model[key] = value;
                        break;
                    case < 7 when model.GetValueOrDefault(key) is { Length: > 64 }:
                        store.CarryContent(StoreTestBed.Bytes(key), sequence, 1, 0);
                        break;
                    default:
                        store.Delete(StoreTestBed.Bytes(key), default, sequence, 1);
                        model[key] = null;
                        break;
                }

                if (random.Next(3) == 0)
                    log.WrittenPosition = log.Append([0]).Position;
                visible.Publish(sequence);
                if (random.Next(20) == 0)
                    held.Add((pins.Take(visible, 7), new Dictionary<string, byte[]?>(model)));
                if (held.Count > 3)
                {
                    pins.Release(held[0].Pin);
                    held.RemoveAt(0);
                }

                if (random.Next(4) == 0)
                    store.ForgetContent(random.Next(8));
                if (random.Next(10) == 0)
                    store.Sweep(200);
                using var reader = store.Read();
                foreach (var (at, expected) in held.Append((new SnapshotPin(-1, sequence), model)).ToList())
                {
                    // Pins of a database are of commits that are written; here they run ahead, and then only the newest is asked.
                    foreach (var (name, wanted) in expected)
                    {
                        var found = reader.TryGet(StoreTestBed.Bytes(name), at.Sequence, out var version) && !version.IsTombstone;
                        Assert.Equal(wanted is not null, found);
                        if (found && (!version.IsContent || at.Slot < 0 || version.Reference.End <= log.WrittenPosition))
                            Assert.Equal(wanted, version.Value.ToArray());
                    }
                }
            }

            held.ForEach(pin => pins.Release(pin.Pin));
        }
    }

    [Fact]
    [Trait("Requirement", "CNT-4")]
    [Trait("Kind", "Random")]
    [Trait("Gate", "Merge")]
    public void CNT_4_Readers_beside_a_writer_that_forgets_and_carries_over_see_whole_contents()
    {
        foreach (var seed in Seeds.Take(3, TestContext.Current.TestOutputHelper!))
        {
            var log = new FakeLogBytes();
            var content = new ContentStore(64, 20_000);
            content.ReadFrom(log);
            var visible = new VisibleSequence();
            using var store = new RunStore(new SnapshotRegistry(), visible, 7, debugSlab: true, content);
            var isDone = false;
            var torn = 0;
            var readers = Enumerable.Range(0, 3).Select(reader => new Thread(() =>
            {
                var random = new Random(seed * 31 + reader);
                while (!Volatile.Read(ref isDone))
                {
                    using var inside = store.Read();
                    if (!inside.TryGetVisible(StoreTestBed.Bytes($"k{random.Next(20)}"), out var version) || version.IsTombstone)
                        continue;
                    var value = version.Value;
                    if (random.Next(4) == 0)
                        Thread.Yield();                       // what is borrowed stays, whatever becomes of the version
                    if (!value[1..].ContainsAnyExcept(value[0]) && value.Length == 65 + value[0])
                        continue;
                    Interlocked.Increment(ref torn);
                }
            })).ToList();
            readers.ForEach(thread => thread.Start());
            var writer = new Random(seed);
            var known = new HashSet<string>();
            for (var sequence = 1ul; sequence <= (ulong)Seeds.Scaled(4_000); sequence++)
            {
                var key = $"k{writer.Next(20)}";
                store.Reserve(1, 400);
                if (writer.Next(3) == 0 && known.Contains(key))
                {
                    store.CarryContent(StoreTestBed.Bytes(key), sequence, 1, 0);
                }
                else
                {
                    var mark = (byte)writer.Next(1, 255);
                    var value = new byte[65 + mark];
                    value.AsSpan().Fill(mark);
                    store.PutContent(StoreTestBed.Bytes(key), log.Append(value), value, sequence, 1, 0);
                    known.Add(key);
                }

                visible.Publish(sequence);
                if (writer.Next(3) == 0)
                    store.ForgetContent(writer.Next(6));
            }

            Volatile.Write(ref isDone, true);
            readers.ForEach(thread => thread.Join());
            Assert.Equal(0, torn);
        }
    }
}
