using System.Buffers;
using Cairn.Agents;
using Cairn.Storage;
using Cairn.Tests.Transactions;
using Microsoft.Extensions.Caching.Distributed;
using Xunit;

namespace Cairn.Tests.Agents;

/// <summary>AGT-3: the cache of .NET over key-values.</summary>
[Trait("Requirement", "AGT-3")]
public sealed class DistributedCacheTests : IDisposable
{
    private readonly FakeClock _clock = new();
    private readonly CairnDatabase _db;
    private readonly CairnDistributedCache _cache;

    public DistributedCacheTests()
    {
        _db = CairnDatabase.OpenInMemory(
            new CairnOptions { TimeProvider = _clock }, EngineHooks.None with { IsMaintenanceManual = true });
        _cache = new CairnDistributedCache(_db.Default, _clock, "c/");
    }

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public void Dispose() => _db.Dispose();

    private void Later(double seconds) => _clock.Microseconds += (long)(seconds * 1e6);

    private static DistributedCacheEntryOptions Sliding(double seconds, double? until = null) => new()
    {
        SlidingExpiration = TimeSpan.FromSeconds(seconds),
        AbsoluteExpirationRelativeToNow = until is { } end ? TimeSpan.FromSeconds(end) : null,
    };

    [Fact]
    public async Task What_is_set_is_got_until_it_is_removed()
    {
        Assert.Null(_cache.Get("a"));
        _cache.Set("a", [1, 2, 3], new());
        await _cache.SetAsync("b", [], new(), Token);
        Assert.Equal([1, 2, 3], _cache.Get("a"));
        Assert.Empty((await _cache.GetAsync("b", Token))!);
        Later(1e7);
        Assert.Equal([1, 2, 3], _cache.Get("a"));
        _cache.Set("a", [4], new());
        Assert.Equal([4], _cache.Get("a"));
        _cache.Remove("a");
        await _cache.RemoveAsync("b", Token);
        _cache.Remove("never");
        Assert.Null(_cache.Get("a"));
        Assert.Null(await _cache.GetAsync("b", Token));
        Assert.Equal(0, _db.Default.Kv.Count());
    }

    [Fact]
    public async Task Buffers_are_taken_and_filled()
    {
        var first = new Segment([1, 2]);
        _cache.Set("a", new ReadOnlySequence<byte>(first, 0, first.Then([3]), 1), new());
        await _cache.SetAsync("b", new ReadOnlySequence<byte>([9]), new(), Token);
        var target = new ArrayBufferWriter<byte>();
        Assert.True(_cache.TryGet("a", target));
        Assert.True(await _cache.TryGetAsync("b", target, Token));
        Assert.False(_cache.TryGet("never", target));
        Assert.Equal([1, 2, 3, 9], target.WrittenSpan.ToArray());
    }

    [Fact]
    public void An_absolute_end_is_kept_whoever_reads()
    {
        _cache.Set("relative", [1], new() { AbsoluteExpirationRelativeToNow = TimeSpan.FromSeconds(10) });
        _cache.Set("at", [1], new() { AbsoluteExpiration = _clock.GetUtcNow().AddSeconds(10) });
        Later(9.9);
        Assert.NotNull(_cache.Get("relative"));
        Assert.NotNull(_cache.Get("at"));
        Later(0.2);
        Assert.Null(_cache.Get("relative"));
        Assert.Null(_cache.Get("at"));
        Assert.Throws<ArgumentOutOfRangeException>(() => _cache.Set("a", [1], new() { AbsoluteExpiration = _clock.GetUtcNow() }));
    }

    [Fact]
    public async Task A_sliding_end_moves_with_each_reading_and_never_comes_early()
    {
        _cache.Set("get", [1], Sliding(64));
        _cache.Set("refresh", [1], Sliding(64));
        _cache.Set("none", [1], Sliding(64));
        for (var i = 0; i < 10; i++)
        {
            Later(63.9);
            Assert.Equal([1], i % 2 == 0 ? _cache.Get("get") : await _cache.GetAsync("get", Token));
            if (i % 2 == 0)
                _cache.Refresh("refresh");
            else
                await _cache.RefreshAsync("refresh", Token);
        }

        Assert.Null(_cache.Get("none"));
        Assert.NotNull(_cache.Get("refresh"));
        Later(66);                                       // the sliding time and the slack of 1/64
        Assert.Null(_cache.Get("get"));
        _cache.Refresh("get");
        Assert.Null(_cache.Get("get"));
    }

    [Fact]
    public void A_sliding_entry_ends_at_its_absolute_end_at_the_latest()
    {
        _cache.Set("a", [1], Sliding(10, until: 25));
        for (var i = 0; i < 3; i++)
        {
            Later(8);
            Assert.NotNull(_cache.Get("a"));
        }

        Later(1.1);
        Assert.Null(_cache.Get("a"));
    }

    [Fact]
    public void Reading_often_is_not_writing_often()
    {
        _cache.Set("a", [1], Sliding(64));
        var before = _db.Sequence.Value;
        for (var i = 0; i < 100; i++)
        {
            Later(0.1);
            _cache.Get("a");
        }

        Assert.InRange(_db.Sequence.Value - before, 5ul, 10ul);
    }

    [Fact]
    public void What_cannot_be_is_refused()
    {
        Assert.Equal(ErrorCode.LimitExceeded, Code(() => _cache.Set(new string('k', 1_025), [1], new())));
        Assert.Equal(ErrorCode.LimitExceeded, Code(() => _cache.Get(new string('k', 1_025))));
        Assert.Equal(ErrorCode.LimitExceeded, Code(() => _cache.Set("big", new byte[17 << 20], new())));
        Assert.Equal(ErrorCode.InvalidKey, Code(() => _cache.Set("a\0b", [1], new())));
        Assert.Throws<ArgumentNullException>(() => _cache.Get(null!));
        Assert.Throws<ArgumentNullException>(() => _cache.Set("a", null!, new()));
        Assert.Throws<ArgumentNullException>(() => _cache.Set("a", [1], null!));
        _db.Default.Kv.Put("c/strange", 7);
        Assert.Throws<InvalidDataException>(() => _cache.Get("strange"));
        Assert.Equal(1, _db.Default.Kv.Count());

        var run = _db.Runs.Begin("ended");
        var cache = new CairnDistributedCache(run, _clock);
        cache.Set("a", [1], Sliding(64));
        run.Complete();
        Later(60);
        Assert.Equal([1], cache.Get("a"));               // it cannot slide any more, and is read
        Assert.Equal(ErrorCode.RunClosed, Code(() => cache.Set("a", [1], new())));

        static ErrorCode Code(Action action) => Assert.ThrowsAny<CairnException>(action).Code;
    }

    [Fact]
    public async Task On_a_full_disk_an_entry_that_would_slide_is_read()
    {
        using var full = new TestDatabase(Durability.Buffered, storage: new MemoryStorage(3 << 20));
        var cache = new CairnDistributedCache(full.Run, full.Clock);
        cache.Set("a", [1], Sliding(64));
        var refused = Assert.ThrowsAny<CairnException>(() =>
        {
            for (var i = 0; i < 10_000; i++)
            {
                full.Kv.Put($"k{i}", new byte[2_000].AsSpan());
                if (i % 5 == 0)
                    full.Maintain();
            }
        });
        Assert.Equal(ErrorCode.DiskFull, refused.Code);
        full.Clock.Advance(TimeSpan.FromSeconds(60));
        Assert.Equal([1], cache.Get("a"));
        Assert.Equal([1], await cache.GetAsync("a", Token));
        full.Clock.Advance(TimeSpan.FromSeconds(60));
        Assert.Null(cache.Get("a"));                     // its end has stayed
    }

    private sealed class Segment : ReadOnlySequenceSegment<byte>
    {
        internal Segment(byte[] bytes) => Memory = bytes;

        internal Segment Then(byte[] bytes)
        {
            var next = new Segment(bytes) { RunningIndex = RunningIndex + Memory.Length };
            Next = next;
            return next;
        }
    }
}
