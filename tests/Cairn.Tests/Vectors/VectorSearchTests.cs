using Cairn.Tests.Transactions;
using Xunit;

namespace Cairn.Tests.Vectors;

/// <summary>Searching: filters of every selectivity, budgets, pages, and writers beside it.</summary>
[Trait("Promise", "G12")]
public class VectorSearchTests
{
    [Theory]
    [InlineData(2)]
    [InlineData(10)]
    [InlineData(100)]
    [InlineData(1_000)]
    [Trait("Requirement", "VEC-12")]
    [Trait("Requirement", "VEC-13")]
    public void VEC_12_BUG_20_A_filter_never_gives_fewer_than_there_are(int oneIn)
    {
        const int count = 4_000;
        using var world = new TestDatabase(Durability.InMemory);
        var random = new Random(3);
        var model = new VectorReference(VectorMetric.Cosine, VectorElement.F32);
        var notes = world.Run.Vectors["notes"];
        for (var i = 0; i < count; i += 500)
        {
            var items = Enumerable.Range(i, 500)
                .Select(n => new VectorItem($"k{n}", VectorKernelTests.Vector(random, 8), Value.Object(("mod", n % oneIn)))).ToList();
            notes.UpsertMany(items);
            foreach (var item in items)
                model.Vectors[item.Key] = (item.Embedding.ToArray(), item.Metadata);
        }

        var query = VectorKernelTests.Vector(random, 8);
        foreach (var k in new[] { 1, 3, Math.Min(1_000, count / oneIn), 1_000 })
        {
            var found = notes.Search(query, k, new() { Filter = Filter.Parse("mod == 0") });
            Assert.Equal(Math.Min(k, count / oneIn), found.Matches.Count);
            Assert.Equal(
                model.Search([query], k, (_, metadata) => metadata!.Value["mod"].AsInt64() == 0),
                found.Matches.Select(match => (match.Key, match.Score)));
            Assert.Equal(count / oneIn, found.Candidates);
        }
    }

    [Fact]
    [Trait("Requirement", "VEC-13")]
    public void VEC_13_Filters_know_key_version_and_time()
    {
        using var world = new TestDatabase(Durability.InMemory);
        var notes = world.Run.Vectors["notes"];
        notes.Upsert("a1", [1, 0]);
        var second = notes.Upsert("a2", [1, 0.1f]).Version;
        world.Clock.Microseconds += 3_600_000_000;
        notes.Upsert("b", [1, 0.2f]);
        var time = notes.Get("b")!.Time;
        Assert.Equal(["a1", "a2"], Found("$key prefix 'a'"));
        Assert.Equal(["a2", "b"], Found($"$version >= {second.Value}"));
        Assert.Equal(["b"], Found($"$time >= {time.ToUnixTimeMilliseconds() * 1_000}"));
        Assert.Equal(["a1", "a2", "b"], Found("not topic exists"));
        Assert.Empty(Found("topic != 'x'"));

        List<string> Found(string filter) =>
            [.. notes.Search([1, 0], 10, new() { Filter = Filter.Parse(filter) }).Matches.Select(match => match.Key)];
    }

    [Fact]
    [Trait("Requirement", "VEC-10")]
    [Trait("Requirement", "SRCH-8")]
    public void VEC_10_A_budget_ends_a_search_which_says_so()
    {
        using var world = new TestDatabase(Durability.InMemory);
        var notes = world.Run.Vectors["notes"];
        for (var i = 0; i < 30; i++)
            notes.Upsert($"k{i:D2}", [1, i]);
        var all = notes.Search([0, 1], 5);
        Assert.Equal((true, 30L, VectorIndexKind.Flat, world.Db.Sequence), (all.IsComplete, all.Candidates, all.Index, all.Sequence));
        Assert.NotNull(all.Cursor);
        var some = notes.Search([0, 1], 5, new() { Budget = new SearchBudget { Candidates = 10 } });
        Assert.Equal((false, 10L, default(string?)), (some.IsComplete, some.Candidates, some.Cursor));
        Assert.Equal(["k09", "k08", "k07", "k06", "k05"], some.Matches.Select(match => match.Key));
        Assert.True(notes.Search([0, 1], 5, new() { Budget = new SearchBudget { Candidates = 30 } }).IsComplete);
        some = notes.Search(
            [0, 1], 5, new() { Budget = new SearchBudget { Candidates = 2 }, Filter = Filter.Parse("$key >= 'k20'") });
        Assert.False(some.IsComplete);
        Assert.Equal(["k21", "k20"], some.Matches.Select(match => match.Key));
        foreach (var bad in new[] { new SearchBudget { Candidates = 0 }, new SearchBudget { Time = TimeSpan.Zero } })
            Assert.Throws<CairnException>(() => notes.Search([0, 1], 5, new() { Budget = bad }));
    }

    [Fact]
    [Trait("Requirement", "VEC-10")]
    public void VEC_10_A_time_that_is_over_ends_a_search()
    {
        var clock = new RunningClock();
        using var db = CairnDatabase.OpenInMemory(new CairnOptions { TimeProvider = clock });
        db.Default.Vectors["notes"].Upsert("a", [1, 0]);
        Assert.True(db.Default.Vectors["notes"].Search([1, 0], 5, new() { Budget = new() { Time = TimeSpan.FromHours(1) } }).IsComplete);
        clock.TicksPerLook = TimeSpan.TicksPerHour;
        var late = db.Default.Vectors["notes"].Search([1, 0], 5, new() { Budget = new() { Time = TimeSpan.FromMinutes(1) } });
        Assert.Equal((false, 0), (late.IsComplete, late.Matches.Count));
    }

    private sealed class RunningClock : TimeProvider
    {
        private long _now;

        internal long TicksPerLook { get; set; }

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public override long GetTimestamp() => Interlocked.Add(ref _now, TicksPerLook);
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    [Trait("Requirement", "VEC-23")]
    [Trait("Requirement", "CON-10")]
    public void VEC_23_Pages_go_on_at_one_snapshot_and_a_cursor_is_of_one_search(Durability mode)
    {
        using var world = new TestDatabase(mode);
        var notes = world.Run.Vectors["notes"];
        for (var i = 0; i < 10; i++)
            notes.Upsert($"k{i}", [1, i % 3]);              // scores that are equal, too
        var whole = notes.Search([0, 1], 10).Matches.Select(match => match.Key).ToList();
        var page = notes.Search([0, 1], 4);
        var keys = page.Matches.Select(match => match.Key).ToList();
        notes.DeleteMany(["k2", "k5"]);
        notes.Upsert("new", [0, 1]);
        Assert.Equal(
            ErrorCode.InvalidArgument, Assert.Throws<CairnException>(() => notes.Search([0, 2], 4, new() { Cursor = page.Cursor })).Code);
        while (page.Cursor is { } cursor)
        {
            page = notes.Search([0, 1], 4, new() { Cursor = cursor });
            keys.AddRange(page.Matches.Select(match => match.Key));
        }

        Assert.Equal(whole, keys);
        using var snapshot = world.Run.Snapshot();
        var first = snapshot.Vectors["notes"].Search([0, 1], 4);
        notes.Upsert("newer", [0, 1]);
        Assert.Equal("new", first.Matches[0].Key);
        Assert.Equal(4, snapshot.Vectors["notes"].Search([0, 1], 4, new() { Cursor = first.Cursor }).Matches.Count);
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    [Trait("Requirement", "VEC-18")]
    [Trait("Requirement", "VEC-25")]
    public async Task G12_A_search_beside_two_writers_is_that_of_its_snapshot(Durability mode)
    {
        using var world = new TestDatabase(mode);
        var notes = world.Run.Vectors["notes"];
        notes.Upsert("first", [1, 1, 1]);
        var stop = 0;
        var writers = Enumerable.Range(0, 2).Select(me => Task.Run(
            () =>
            {
                var random = new Random(me);
                while (Volatile.Read(ref stop) == 0)
                {
                    var key = $"k{random.Next(50)}";
                    if (random.Next(4) == 0)
                        notes.Delete(key);
                    else
                        notes.Upsert(key, VectorKernelTests.Vector(random, 3));
                }
            },
            TestContext.Current.CancellationToken)).ToArray();
        for (var i = 0; i < 150; i++)
        {
            using var snapshot = world.Run.Snapshot();
            var model = new VectorReference(VectorMetric.Cosine, VectorElement.F32);
            foreach (var key in snapshot.Vectors["notes"].Keys(new ScanOptions { Limit = 100 }))
                model.Vectors[key] = (snapshot.Vectors["notes"].Get(key)!.Embedding.ToArray(), null);
            Assert.Equal(
                model.Search([[1, 2, 3]], 20),
                snapshot.Vectors["notes"].Search([1, 2, 3], 20).Matches.Select(match => (match.Key, match.Score)));
            Assert.Equal(model.Vectors.Count, snapshot.Vectors["notes"].Count());
        }

        Volatile.Write(ref stop, 1);
        await Task.WhenAll(writers);
    }
}
