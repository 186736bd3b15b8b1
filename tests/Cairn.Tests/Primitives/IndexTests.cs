using Cairn.Codec;
using Cairn.Documents;
using Cairn.Primitives;
using Cairn.Tests.Documents;
using Cairn.Tests.Transactions;
using Xunit;

namespace Cairn.Tests.Primitives;

/// <summary>Secondary indexes of traces and queries: the answer is that of a scan, whatever the indexes have come to (IDX-3).</summary>
public class IndexTests
{
    private static readonly string Long = new('x', 300);

    private static readonly Value[] Pool =
    [
        Value.Null, false, true, 0, -0.0, 1, 1.0, -1, 0.5, 1L << 53, (1L << 53) + 1, (double)(1L << 53), long.MaxValue, long.MinValue,
        9.3e18, -9.3e18, "", "a", "ab", "a\0b", "a\u0001", "b", "ä", Long, Long + "a", Long + "b", Long[..240], Long[..241],
        (byte[])[], (byte[])[0], (byte[])[1, 2], Value.Array(), Value.Array("a", "b", 1, "a", Value.Null),
        Value.Array(1.0, "ab", Value.Array(1)),
        Value.Array(Enumerable.Range(0, 300).Select(n => (Value)n)), Value.Object(), Value.Object(("x", 1)),
    ];

    private static readonly DocumentPath[] Paths =
        ["$.metadata.a", "$.metadata.b", "$.tags", "$.type", "$.model", "$.metadata.a.x", "$['$key']"];

    // ---- items ------------------------------------------------------------------------------------------------------------------

    [Fact]
    public void IDX_6_Items_stand_in_the_order_of_values()
    {
        var scalars = Pool.Append(double.NaN).Append(double.PositiveInfinity).Append(double.NegativeInfinity)
            .Where(value => IndexItems.TryScalar(value, 100_000) is not null).ToArray();
        foreach (var left in scalars)
        {
            foreach (var right in scalars)
            {
                var order = Math.Sign(IndexItems.TryScalar(left, 100_000).AsSpan().SequenceCompareTo(IndexItems.TryScalar(right, 100_000)));
                if (Rank(left) != Rank(right))
                    Assert.Equal(Math.Sign(Rank(left).CompareTo(Rank(right))), order);
                else if (Comparison.Order(left, right) is { } expected)
                    Assert.Equal(Math.Sign(expected), order);
            }
        }
    }

    [Fact]
    public void An_item_is_read_back_part_by_part_and_no_part_begins_another()
    {
        byte[] thing = [0, 1, 2, 0, 0, 1];
        foreach (var kept in new[] { 1, 4, 60, 240 })
        {
            foreach (var value in Pool)
            {
                if (IndexItems.TryScalar(value, kept) is not { } part)
                    continue;
                Assert.Equal(part.Length, IndexItems.PartLength([.. part, .. thing]));
                Assert.Equal(1 + part.Length, IndexItems.PartLength([IndexItems.Element, .. part, .. thing]));
                Assert.Equal(value.Kind == ValueKind.String && Utf8.GetByteCount(value.AsString()) > kept
                    || value.Kind == ValueKind.Bytes && value.AsBytes().Length > kept, IndexItems.IsCut(part));
                Assert.True(part.Length <= 2 * kept + 13);
                foreach (var other in Pool.Select(other => IndexItems.TryScalar(other, kept)).OfType<byte[]>())
                    Assert.False(!part.AsSpan().SequenceEqual(other) && other.AsSpan().StartsWith(part));
            }
        }
    }

    [Fact]
    public void IDX_5_The_intervals_of_a_condition_hold_every_item_that_it_holds_for()
    {
        byte[] row = IndexItems.Prefix(1);
        foreach (var kept in new[] { 1, 60, 240 })
        {
            foreach (var condition in Conditions(["$"]))
            {
                if (IndexItems.Intervals(condition, row, kept) is not { } intervals)
                    continue;
                foreach (var value in Pool.Where(value => condition.Matches(value)))
                {
                    var items = ItemsOf(value, kept, row);
                    Assert.True(
                        items.Exists(item => intervals.Exists(interval => item.AsSpan().SequenceCompareTo(interval.From) >= 0
                            && item.AsSpan().SequenceCompareTo(interval.To) < 0)),
                        $"{condition} misses {value.ToJson()} at {kept}");
                }
            }
        }
    }

    private static List<byte[]> ItemsOf(Value value, int kept, byte[] row)
    {
        if (IndexItems.TryScalar(value, kept) is { } scalar)
            return [[.. row, .. scalar]];
        List<byte[]> items = [[.. row, IndexItems.Container]];
        if (value.Kind == ValueKind.Array)
        {
            items.AddRange(value.AsArray().Select(element => IndexItems.TryScalar(element, kept)).OfType<byte[]>()
                .Select(part => (byte[])[.. row, IndexItems.Element, .. part]));
        }

        return items;
    }

    private static int Rank(Value value) => value.Kind switch
    {
        ValueKind.Null => 0,
        ValueKind.Bool => 1,
        ValueKind.Int64 or ValueKind.Float64 => 2,
        ValueKind.String => 3,
        _ => 4,
    };

    // ---- definitions ------------------------------------------------------------------------------------------------------------

    [Theory, ClassData(typeof(AllModes))]
    public void IDX_2_An_index_is_built_in_the_background_and_then_used(Durability mode)
    {
        using var world = new TestDatabase(mode);
        for (var n = 0; n < 40; n++)
            Record(world.Run, ("a", n));
        world.Run.Indexes.Define("cost", Over("$.metadata.a"));
        Assert.Equal((IndexState.Building, 0L, Sequence.None), Told(world.Run));
        Filter filter = Filter.Parse("metadata.a gte 35");
        Assert.Equal(QueryPlanKind.Scan, world.Run.Traces.Explain(filter).Kind);
        world.Db.Engine.IndexJob!.StepMax = 7;
        world.Db.Engine.IndexJob.Turn = TimeSpan.Zero;
        world.Db.Engine.IndexJob.Step();
        Record(world.Run, ("a", -1));                        // ahead of the build
        Assert.Equal((IndexState.Building, 7L, Sequence.None), Told(world.Run));
        world.Reopen(isKilled: true);
        Assert.Equal((IndexState.Building, 7L, Sequence.None), Told(world.Run));
        Build(world.Db);
        world.NowAndAfterReopening(() =>
        {
            Assert.Equal((IndexState.Ready, 41L, world.Db.Sequence), Told(world.Run));
            var plan = world.Run.Traces.Explain(filter);
            Assert.Equal((QueryPlanKind.Index, 5L, 5L, 5), (plan.Kind, plan.ItemsRead, plan.ThingsRead, plan.Rows));
            Assert.Equal(["cost"], plan.Indexes);
            Assert.Equal(5, world.Run.Traces.Query(filter).Count);
        });
        Assert.True(world.Run.Traces.Redact(world.Run.Traces.Query(filter)[0].Id));
        Assert.Equal(40L, world.Run.Indexes.Get("cost")!.Items);
        Assert.True(world.Run.Indexes.Drop("cost"));
        Assert.False(world.Run.Indexes.Drop("cost"));
        Assert.Empty(world.Run.Indexes.List());
        Assert.Equal(QueryPlanKind.Scan, world.Run.Traces.Explain(filter).Kind);
        Build(world.Db);
        Assert.Equal(4, world.Run.Traces.Query(filter).Count);
        Assert.False(world.Db.Engine.IndexJob!.HasWorkInSight);
    }

    private static (IndexState, long, Sequence) Told(Run run)
    {
        var info = run.Indexes.Get("cost")!;
        return (info.State, info.Items, info.Watermark);
    }

    [Fact]
    public void IDX_4_A_thing_with_more_elements_than_are_kept_is_found_all_the_same()
    {
        using var world = new TestDatabase(Durability.InMemory);
        for (var n = 0; n < 40; n++)
            Record(world.Run, ("a", Value.Array(n, "x", n)));
        var large = Record(world.Run, ("a", Value.Array(Enumerable.Range(0, 300).Select(n => (Value)n))));
        world.Run.Indexes.Define("cost", Over("$.metadata.a"));
        Build(world.Db);
        Assert.Equal(40L * 3 + 1, world.Run.Indexes.Get("cost")!.Items);
        var filter = Filter.Parse("metadata.a contains 299");
        Assert.Equal(QueryPlanKind.Index, world.Run.Traces.Explain(filter).Kind);
        Assert.Equal(large, Assert.Single(world.Run.Traces.Query(filter)).Id);
    }

    [Fact]
    public void What_cannot_be_an_index_is_refused()
    {
        using var world = new TestDatabase(Durability.InMemory, options => options with { Limits = new Limits { IndexesMax = 2 } });
        var indexes = world.Run.Indexes;
        Assert.Equal(ErrorCode.InvalidArgument, Code(() => indexes.Define("a", Over())));
        Assert.Equal(ErrorCode.InvalidArgument, Code(() => indexes.Define("a", Over("$.a", "$.b", "$.c", "$.d", "$.e"))));
        Assert.Equal(ErrorCode.InvalidArgument, Code(() => indexes.Define("a", Over("$.a", "$.a"))));
        Assert.Equal(ErrorCode.InvalidArgument, Code(() => indexes.Define("a", Over("$"))));
        Assert.Equal(ErrorCode.InvalidArgument, Code(() => indexes.Define("a", Over("$['$version']"))));
        Assert.Equal(ErrorCode.InvalidArgument, Code(() => indexes.Define("a", Over("$.a") with { Target = (IndexTarget)9 })));
        Assert.Equal(ErrorCode.InvalidName, Code(() => indexes.Define("a/b", Over("$.a"))));
        indexes.Define("a", Over("$.a"));
        Assert.Equal(ErrorCode.AlreadyExists, Code(() => indexes.Define("a", Over("$.b"))));
        indexes.Define("b", Over("$.a", "$.b", "$.c", "$.d"));
        var refused = Assert.Throws<LimitException>(() => indexes.Define("c", Over("$.a")));
        Assert.Equal((nameof(Limits.IndexesMax), 2L, 3L), (refused.Limit, refused.Allowed, refused.Actual));
        Assert.Equal(["a", "b"], indexes.List().Select(info => info.Name));
        Assert.Null(indexes.Get("c"));
    }

    [Fact]
    public void LIM_28_A_transaction_defines_no_more_indexes_than_a_run_may_have()
    {
        using var world = new TestDatabase(Durability.InMemory, options => options with { Limits = new Limits { IndexesMax = 2 } });
        world.Run.Transact(tx =>
        {
            tx.Run.Indexes.Define("a", Over("$.a"));
            tx.Run.Indexes.Define("b", Over("$.b"));
            Assert.Equal(2, Assert.Throws<LimitException>(() => tx.Run.Indexes.Define("c", Over("$.c"))).Allowed);
            Assert.Equal(ErrorCode.InvalidArgument, Code(() => tx.Run.Indexes.Define("a", Over("$.c"))));
        });
        Assert.Equal(["a", "b"], world.Run.Indexes.List().Select(info => info.Name));
        world.Run.Transact(tx =>
        {
            Assert.True(tx.Run.Indexes.Drop("a"));
            Assert.False(tx.Run.Indexes.Drop("a"));
        });
        Assert.Equal("b", Assert.Single(world.Run.Indexes.List()).Name);
    }

    // ---- the answer of a scan ---------------------------------------------------------------------------------------------------

    [Theory, ClassData(typeof(AllModes))]
    public void IDX_3_IDX_7_Each_query_is_equal_with_and_without_indexes(Durability mode)
    {
        var kinds = new HashSet<QueryPlanKind>();
        for (var seed = 1; seed <= 3; seed++)
            Live(mode, new Random(seed), kinds);
        Assert.Superset(new HashSet<QueryPlanKind> { QueryPlanKind.Scan, QueryPlanKind.Index, QueryPlanKind.Intersection }, kinds);
    }

    private static void Live(Durability mode, Random random, HashSet<QueryPlanKind> kinds)
    {
        using var world = new TestDatabase(mode);
        var run = world.Db.Runs.Begin("life").Id;
        Run Life() => world.Db.Runs.Get(run)!;
        var fork = default(RunId?);
        var ids = new List<TraceId>();
        for (var step = 0; step < 120; step++)
        {
            world.Db.Engine.IndexJob!.StepMax = random.Next(1, 20);
            world.Db.Engine.IndexJob.Turn = TimeSpan.Zero;
            var target = fork is { } other && random.Next(3) == 0 ? world.Db.Runs.Get(other)! : Life();
            switch (random.Next(12))
            {
                case < 6:
                    for (var n = random.Next(1, 6); n > 0; n--)
                        ids.Add(Record(target, random));
                    break;
                case 6 when ids.Count > 0:
                    target.Traces.Redact(ids[random.Next(ids.Count)]);
                    break;
                case 7:
                    var name = "i" + random.Next(4);
                    if (!target.Indexes.Drop(name))
                    {
                        var paths = random.GetItems(Paths, 6).Distinct().Take(random.Next(1, 4));
                        target.Indexes.Define(name, new() { Target = IndexTarget.Traces, Paths = [.. paths] });
                        if (random.Next(2) == 0)
                            Build(world.Db);
                    }

                    break;
                case 8:
                    world.Db.Engine.IndexJob.Step();
                    break;
                case 9 when step % 3 == 0:
                    world.Reopen(isKilled: random.Next(2) == 0);
                    break;
                case 10 when fork is null:
                    fork = world.Db.Runs.Fork(run).Id;
                    break;
                case 11 when world.HasLog:
                    world.Db.Checkpoint();
                    break;
            }

            if (step % 6 == 5)
                Compare(world.Db.Runs.Get(random.Next(2) == 0 && fork is { } also ? also : run)!, random, kinds);
        }

        Build(world.Db);
        for (var n = 0; n < 20; n++)
            Compare(Life(), random, kinds);
    }

    [Fact]
    public void IDX_5_An_order_with_a_limit_reads_only_what_it_needs()
    {
        using var world = new TestDatabase(Durability.Buffered);
        var random = new Random(7);
        for (var n = 0; n < 300; n++)
            Record(world.Run, ("a", n % 60));
        world.Run.Indexes.Define("cost", Over("$.metadata.a"));
        Build(world.Db);
        var options = new QueryOptions { OrderBy = [new("$.metadata.a", IsDescending: true)], Limit = 7 };
        var plan = world.Run.Traces.Explain(null, options);
        Assert.Equal((QueryPlanKind.OrderedIndex, 8L, 8L, 7), (plan.Kind, plan.ItemsRead, plan.ThingsRead, plan.Rows));
        var kinds = new HashSet<QueryPlanKind>();

        // Everything that can stand at the place, so that the order of the index does and does not do.
        for (var round = 0; round < 12; round++)
        {
            foreach (var filter in new[] { null, "metadata.a gte 7", "metadata.a lt 'xy'", "metadata.a exists", "metadata.a ne 1" })
            {
                var order = new List<QueryOrder> { new("$.metadata.a", random.Next(2) == 0) };
                Compare(world.Run.Traces, filter is null ? null : Filter.Parse(filter), order, random.Next(3, 40), kinds);
            }

            for (var n = 0; n < 5; n++)
                Record(world.Run, random);
        }

        Assert.Contains(QueryPlanKind.OrderedIndex, kinds);
    }

    private static void Compare(Run run, Random random, HashSet<QueryPlanKind> kinds)
    {
        Compare(run.Traces, random, kinds);
        using (var snapshot = run.Snapshot())
        {
            for (var n = random.Next(3); n > 0; n--)
                Record(run, random);
            Compare(snapshot.Traces, random, kinds);
        }

        var rolledBack = run.BeginTransaction();
        for (var n = random.Next(4); n > 0; n--)
            rolledBack.Traces.Record(new ThoughtStep("own"), Options(random));
        if (rolledBack.Traces.Query(null, new QueryOptions { Limit = 1 }) is [var first])
            rolledBack.Traces.Redact(first.Id);
        Compare(rolledBack.Traces, random, kinds);
        rolledBack.Rollback();
    }

    private static void Compare(TracesView traces, Random random, HashSet<QueryPlanKind> kinds)
    {
        var filter = random.Next(8) == 0 ? null : Random(random, 3);
        var order = Enumerable.Range(0, random.Next(3)).Select(_ => new QueryOrder(Paths[random.Next(5)], random.Next(2) == 0)).ToList();
        Compare(traces, filter, order, random.Next(1, 12), kinds);
    }

    private static void Compare(
        TracesView traces, Filter? filter, List<QueryOrder> order, int limit, HashSet<QueryPlanKind> kinds)
    {
        var all = Pages(traces, null, [], 50).Select(row => row["$['$key']"].AsString()).ToList();
        var documents = Pages(traces, null, [], 1_000).ToDictionary(row => row["$['$key']"].AsString(), row => row["$"]);
        var expected = documents.Where(pair => filter?.Matches(pair.Value) ?? true).Select(pair => pair.Key).ToList();
        expected.Sort((left, right) => Order(order, documents[left], documents[right]) is not 0 and var by ? by
            : string.CompareOrdinal(left, right) * (order.Count > 0 && order[^1].IsDescending ? -1 : 1));
        Assert.Equal(all.Order(StringComparer.Ordinal), all);
        var plan = traces.Explain(filter, new QueryOptions { OrderBy = order, Limit = limit });
        kinds.Add(plan.Kind);
        var found = Pages(traces, filter, order, limit).Select(row => row["$['$key']"].AsString());
        Assert.True(expected.SequenceEqual(found), $"{filter} by {string.Join(", ", order)}: {plan}");
    }

    private static IEnumerable<Value> Pages(TracesView traces, Filter? filter, List<QueryOrder> order, int limit)
    {
        string? cursor = null;
        do
        {
            var page = traces.Select(["$", "$['$key']"], filter, new QueryOptions { OrderBy = order, Limit = limit, Cursor = cursor });
            foreach (var row in page)
                yield return row;
            cursor = page.Cursor;
        }
        while (cursor is not null);
    }

    private static int Order(List<QueryOrder> order, Value left, Value right)
    {
        foreach (var term in order)
        {
            var (one, other) = (Scalar(term.Path, left), Scalar(term.Path, right));
            if (one is null || other is null)
            {
                if (one is null != other is null)
                    return one is null ? 1 : -1;
                continue;
            }

            var by = Rank(one.Value).CompareTo(Rank(other.Value));
            by = by != 0 ? by : Comparison.Order(one.Value, other.Value)!.Value;
            if (by != 0)
                return term.IsDescending ? -by : by;
        }

        return 0;
    }

    private static Value? Scalar(DocumentPath path, Value document) =>
        path.TryGet(document, out var value) && value.Kind is not (ValueKind.Array or ValueKind.Object) ? value : default(Value?);

    // ---- transactions -----------------------------------------------------------------------------------------------------------

    [Fact]
    [Trait("Promise", "G4")]
    public void IDX_8_A_query_in_a_transaction_has_read_its_intervals_and_no_more()
    {
        using var world = new TestDatabase(Durability.InMemory);
        for (var n = 0; n < 60; n++)
            Record(world.Run, ("a", n));
        world.Run.Indexes.Define("cost", Over("$.metadata.a"));
        Build(world.Db);
        var filter = Filter.Parse("metadata.a gte 10 and metadata.a lt 13");

        // Outside of the interval: in nobody's way.
        using (var reads = world.Run.BeginTransaction())
        {
            Assert.Equal(3, reads.Traces.Query(filter).Count);
            Record(world.Run, ("a", 13));
            Record(world.Run, ("b", 11));
            reads.Kv.Put("counted", 3);
            reads.Commit();
        }

        // A phantom: also where the query was ordered by the index.
        foreach (var options in new[] { new QueryOptions(), new QueryOptions { OrderBy = [new("$.metadata.a")] } })
        {
            using var loses = world.Run.BeginTransaction();
            loses.Traces.Query(filter, options);
            Record(world.Run, ("a", 12));
            loses.Kv.Put("counted", 4);
            Assert.Throws<ConflictException>(() => loses.Commit());
        }

        // The index goes, and with it who would tell of a phantom.
        using (var loses = world.Run.BeginTransaction())
        {
            loses.Traces.Query(filter);
            world.Run.Indexes.Drop("cost");
            Build(world.Db);
            Record(world.Run, ("a", 11));
            loses.Kv.Put("counted", 5);
            Assert.Throws<ConflictException>(() => loses.Commit());
        }
    }

    // ---- many at once -----------------------------------------------------------------------------------------------------------

    [Fact]
    public async Task IDX_2_An_index_is_built_while_others_write()
    {
        using var db = CairnDatabase.OpenInMemory(new CairnOptions { RandomSeed = 3 });
        db.Engine.IndexJob!.StepMax = 5;
        for (var n = 0; n < 300; n++)
            Record(db.Default, ("a", n % 10));
        db.Default.Indexes.Define("cost", Over("$.metadata.a"));
        await Task.WhenAll(Enumerable.Range(0, 3).Select(writer => Task.Run(() =>
        {
            var random = new Random(writer);
            for (var n = 0; n < 200; n++)
            {
                var id = Record(db.Default, ("a", random.Next(10)));
                if (n % 3 == 0)
                    db.Default.Traces.Redact(id);
            }
        })));
        while (db.Default.Indexes.Get("cost")!.State == IndexState.Building)
            await Task.Delay(5, TestContext.Current.CancellationToken);
        var random = new Random(1);
        for (var n = 0; n < 10; n++)
            Compare(db.Default.Traces, random, []);
        var expected = Pages(db.Default.Traces, null, [], 1_000).Count(row => ((DocumentPath)"$.metadata.a").TryGet(row["$"], out _));
        Assert.Equal(expected, db.Default.Indexes.Get("cost")!.Items);
    }

    // ---- what the tests are made of ---------------------------------------------------------------------------------------------

    private static IndexDefinition Over(params string[] paths) =>
        new() { Target = IndexTarget.Traces, Paths = [.. paths.Select(path => DocumentPath.Parse(path))] };

    private static void Build(CairnDatabase db)
    {
        while (db.Engine.IndexJob!.HasWorkInSight)
            db.Engine.IndexJob.Step();
    }

    private static ErrorCode Code(Action call) => Assert.ThrowsAny<CairnException>(call).Code;

    private static TraceId Record(Run run, params (string Name, Value Value)[] metadata) =>
        run.Traces.Record(new ThoughtStep("t"), new TraceOptions { Metadata = Value.Object(metadata) });

    private static TraceId Record(Run run, Random random) => run.Traces.Record(new ThoughtStep("t"), Options(random));

    private static TraceOptions Options(Random random) => new()
    {
        Metadata = Value.Object(new[] { "a", "b" }.Where(_ => random.Next(4) > 0)
            .Select(name => KeyValuePair.Create(name, Pool[random.Next(Pool.Length)]))),
        Tags = [.. random.GetItems(["red", "green", "blue"], random.Next(3)).Distinct()],
        Model = random.Next(2) == 0 ? null : "m" + random.Next(3),
    };

    private static IEnumerable<Filter> Conditions(DocumentPath[] paths) => paths.SelectMany(path => Pool.SelectMany(value => new[]
    {
        Filter.Eq(path, value), Filter.Ne(path, value), Filter.Gt(path, value), Filter.Gte(path, value), Filter.Lt(path, value),
        Filter.Lte(path, value), Filter.In(path, value, 1), Filter.NotIn(path, value, "a"), Filter.Contains(path, value),
        Filter.Prefix(path, value.Kind == ValueKind.String ? value.AsString() : "a"), Filter.Exists(path),
    }));

    private static Filter Random(Random random, int depth)
    {
        if (depth > 0 && random.Next(2) == 0)
            return RandomFilters.Join(random, () => Random(random, depth - 1));
        Value[] values = [.. Pool, "red", "green", "m1", "thought"];
        var (path, value) = (Paths[random.Next(Paths.Length)], values[random.Next(values.Length)]);
        return random.Next(11) switch
        {
            0 or 1 => Filter.Eq(path, value),
            2 => Filter.Ne(path, value),
            3 => Filter.Gt(path, value),
            4 => Filter.Gte(path, value),
            5 => Filter.Lt(path, value),
            6 => Filter.Lte(path, value),
            7 => Filter.In(path, random.GetItems(values, 3)),
            8 => Filter.NotIn(path, random.GetItems(values, 2)),
            9 => random.Next(2) == 0 ? Filter.Contains(path, value) : Filter.Exists(path),
            _ => Filter.Prefix(path, value.Kind == ValueKind.String ? value.AsString() : "x"),
        };
    }
}
