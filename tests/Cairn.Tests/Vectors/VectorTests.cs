using Cairn.Tests.Transactions;
using Xunit;

namespace Cairn.Tests.Vectors;

/// <summary>Collections and vectors: what each call does, on a run, in a transaction, in a snapshot, behind a restart.</summary>
[Trait("Promise", "G3")]
public class VectorTests
{
    private static readonly VectorDefinition Three = new() { Dimension = 3 };

    [Theory]
    [ClassData(typeof(AllModes))]
    [Trait("Requirement", "VEC-1")]
    [Trait("Requirement", "VEC-2")]
    [Trait("Requirement", "VEC-3")]
    public void VEC_1_A_collection_is_made_once_and_stays_what_it_is(Durability mode)
    {
        using var world = new TestDatabase(mode);
        var definition = new VectorDefinition
        {
            Dimension = 3, Metric = VectorMetric.Dot, Element = VectorElement.F16, Model = "small-1", Index = VectorIndexKind.Flat,
        };
        var made = world.Run.Vectors.CreateCollection("notes", definition);
        Assert.NotEqual(Sequence.None, made);
        Assert.Equal(Sequence.None, world.Run.Vectors.CreateCollection("notes", definition));
        Assert.Equal(made, world.Db.Sequence);
        foreach (var (other, name) in new[]
                 {
                     (definition with { Dimension = 4 }, "Dimension"), (definition with { Metric = VectorMetric.Cosine }, "Metric"),
                     (definition with { Element = VectorElement.F32 }, "Element"), (definition with { Model = null }, "Model"),
                     (definition with { Index = VectorIndexKind.Auto }, "Index"),
                 })
        {
            var refused = Assert.Throws<CairnException>(() => world.Run.Vectors.CreateCollection("notes", other));
            Assert.Equal(ErrorCode.ConstraintViolation, refused.Code);
            Assert.Contains(name, refused.Message, StringComparison.Ordinal);
        }

        world.Run.Vectors["notes"].Upsert("a", [1, 2, 3]);
        world.Run.Vectors.CreateCollection("other", Three);
        world.NowAndAfterReopening(() =>
        {
            var info = world.Run.Vectors.GetCollection("notes")!;
            Assert.Equal((definition, 1L, 6L, made), (info.Definition, info.Count, info.Bytes, info.Version));
            Assert.Null(world.Run.Vectors.GetCollection("none"));
            Assert.Equal(["notes", "other"], world.Run.Vectors.ListCollections().Select(one => one.Name));
            Assert.True(world.Run.Vectors.Exists("other"));
        });
        Assert.True(world.Run.Vectors.DeleteCollection("notes"));
        Assert.False(world.Run.Vectors.DeleteCollection("notes"));
        world.NowAndAfterReopening(() =>
        {
            Assert.Equal(["other"], world.Run.Vectors.ListCollections().Select(one => one.Name));
            Assert.Equal(0, world.Run.Vectors["notes"].Count());
            Assert.Null(world.Run.Vectors["notes"].Get("a"));
            Assert.Empty(world.Run.Vectors["notes"].Search([1, 2, 3]).Matches);
            Assert.Empty(world.Run.Vectors["notes"].Keys());
        });
    }

    [Fact]
    [Trait("Requirement", "VEC-1")]
    [Trait("Requirement", "CON-9")]
    public void VEC_1_An_index_that_is_not_built_yet_is_refused_by_name()
    {
        using var world = new TestDatabase(Durability.InMemory);
        var refused = Assert.Throws<CairnException>(
            () => world.Run.Vectors.CreateCollection("notes", Three with { Index = VectorIndexKind.Hnsw }));
        Assert.Equal(ErrorCode.InvalidArgument, refused.Code);
        Assert.Contains("Hnsw is not built yet", refused.Message, StringComparison.Ordinal);
        Assert.Throws<CairnException>(() => world.Run.Vectors.CreateCollection("notes", Three with { Metric = (VectorMetric)9 }));
        Assert.Throws<CairnException>(() => world.Run.Vectors.CreateCollection("notes", Three with { Element = (VectorElement)9 }));
        Assert.Throws<CairnException>(() => world.Run.Vectors.CreateCollection("notes", Three with { Dimension = 0 }));
        Assert.Equal(Sequence.None, world.Db.Sequence);
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    [Trait("Requirement", "VEC-6")]
    [Trait("Requirement", "VEC-8")]
    [Trait("Requirement", "VEC-9")]
    [Trait("Requirement", "CON-2")]
    public void VEC_6_A_vector_is_written_read_changed_and_removed(Durability mode)
    {
        using var world = new TestDatabase(mode);
        var notes = world.Run.Vectors["notes"];
        var first = notes.Upsert("a", [1, 2, 3], Value.Object(("topic", "refund")));
        var second = notes.Upsert("b", [3, 2, 1]);
        Assert.Equal((1UL, 2UL), (first.Id.Value, second.Id.Value));
        Assert.Equal(world.Db.Sequence, second.Version);
        var again = notes.Upsert("a", [4, 5, 6]);
        Assert.Equal((first.Id, true), (again.Id, again.Version > first.Version));
        Assert.True(notes.UpdateMetadata("a", Value.Object(("x", 1), ("y", Value.Object(("z", 2))))));
        Assert.True(notes.UpdateMetadata("a", Value.Object(("x", Value.Null), ("y", Value.Object(("w", 3))))));
        Assert.False(notes.UpdateMetadata("none", Value.Object(("x", 1))));
        Assert.False(world.Run.Vectors["none"].UpdateMetadata("a", Value.Object(("x", 1))));
        var changed = world.Db.Sequence;
        world.NowAndAfterReopening(() =>
        {
            var a = world.Run.Vectors["notes"].Get("a")!;
            Assert.Equal([4f, 5f, 6f], a.Embedding.ToArray());
            Assert.Equal(Value.Object(("y", Value.Object(("z", 2), ("w", 3)))), a.Metadata);
            Assert.Equal((first.Id, changed, first.Version, default(DateTimeOffset?)), (a.Id, a.Version, a.Created, a.Expiry));
            Assert.Equal(["a", "b"], world.Run.Vectors["notes"].Keys());
            Assert.Equal(2, world.Run.Vectors["notes"].Count());
            Assert.Null(world.Run.Vectors["notes"].Get("b")!.Metadata);
            Assert.Equal(["b", null, "a"], world.Run.Vectors["notes"].GetMany(["b", "c", "a"]).Select(one => one?.Key));
        });
        notes = world.Run.Vectors["notes"];
        Assert.True(notes.Delete("b"));
        Assert.False(notes.Delete("b"));
        Assert.False(notes.Exists("b"));
        Assert.Equal(3UL, notes.Upsert("b", [1, 1, 1]).Id.Value);
        Assert.Equal(2, notes.DeleteMany(["a", "x", "b"]));
        world.NowAndAfterReopening(() => Assert.Equal(0, world.Run.Vectors["notes"].Count()));
        if (world.HasLog)
            world.CheckpointAndForget();
        Assert.Equal(4UL, world.Run.Vectors["notes"].Upsert("c", [1, 1, 1]).Id.Value);
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    [Trait("Requirement", "CON-12")]
    [Trait("Requirement", "VEC-6")]
    [Trait("Requirement", "VEC-8")]
    public void CON_12_Many_are_written_together_and_tell_in_order(Durability mode)
    {
        using var world = new TestDatabase(mode);
        var notes = world.Run.Vectors["notes"];
        var receipts = notes.UpsertMany([new("b", new float[] { 1, 0 }), new("a", new float[] { 0, 1 }, Value.Object(("n", 1)))]);
        Assert.Equal([1UL, 2UL], receipts.Select(one => one.Id.Value));
        Assert.Single(receipts.Select(one => one.Version).Distinct());
        receipts = notes.UpsertMany([new("c", new float[] { 1, 1 }), new("b", new float[] { 1, 2 })]);
        Assert.Equal([3UL, 1UL], receipts.Select(one => one.Id.Value));
        var before = world.Db.Sequence;
        Assert.Equal(
            ErrorCode.InvalidArgument, Assert.Throws<CairnException>(
                () => notes.UpsertMany([new("x", new float[] { 1, 0 }), new("x", new float[] { 1, 1 })])).Code);
        Assert.Equal(
            ErrorCode.DimensionMismatch, Assert.Throws<CairnException>(
                () => notes.UpsertMany([new("x", new float[] { 1, 0 }), new("y", new float[] { 1 })])).Code);
        Assert.Equal(
            ErrorCode.DimensionMismatch, Assert.Throws<CairnException>(
                () => world.Run.Vectors["new"].UpsertMany([new("x", new float[] { 1, 0 }), new("y", new float[] { 1 })])).Code);
        Assert.Empty(notes.UpsertMany([]));
        Assert.Equal(before, world.Db.Sequence);
        world.NowAndAfterReopening(() => Assert.Equal(3, world.Run.Vectors["notes"].Count()));
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    [Trait("Requirement", "VEC-7")]
    [Trait("Requirement", "VEC-21")]
    public void VEC_7_VEC_21_What_does_not_belong_into_a_collection_is_refused_on_writes_and_queries(Durability mode)
    {
        using var world = new TestDatabase(mode);
        world.Run.Vectors.CreateCollection("named", Three with { Model = "small" });
        world.Run.Vectors.CreateCollection("plain", Three);
        var before = world.Db.Sequence;
        Each("named", [1, 2], null, ErrorCode.DimensionMismatch);
        Each("named", [1, 2, float.NaN], null, ErrorCode.InvalidArgument);
        Each("named", [0, 0, 0], null, ErrorCode.ConstraintViolation);
        Each("named", [1, 2, 3], "large", ErrorCode.ModelMismatch);
        Each("plain", [1, 2, 3], "large", ErrorCode.ModelMismatch);
        Assert.Equal(before, world.Db.Sequence);
        world.Run.Vectors["named"].Upsert("a", [1, 2, 3], model: "small");
        Assert.Single(world.Run.Vectors["named"].Search([1, 2, 3], options: new() { Model = "small" }).Matches);
        world.Run.Vectors["made"].Upsert("a", [1, 2, 3], model: "small");
        Assert.Equal("small", world.Run.Vectors.GetCollection("made")!.Definition.Model);
        Assert.Equal(
            ErrorCode.WrongType, Assert.Throws<CairnException>(() => world.Run.Vectors["plain"].Upsert("a", [1, 2, 3], (Value)1)).Code);
        Assert.Equal(
            ErrorCode.InvalidArgument, Assert.Throws<CairnException>(
                () => world.Run.Vectors["plain"].Upsert("a", [1, 2, 3], Value.Object(("n", double.NaN)))).Code);

        void Each(string name, float[] vector, string? model, ErrorCode code)
        {
            var notes = world.Run.Vectors[name];
            Assert.Equal(code, Assert.Throws<CairnException>(() => notes.Upsert("a", vector, model: model)).Code);
            Assert.Equal(code, Assert.Throws<CairnException>(() => notes.UpsertMany([new("a", vector)], model: model)).Code);
            Assert.Equal(code, Assert.Throws<CairnException>(() => notes.Search(vector, options: new() { Model = model })).Code);
            world.Run.Transact(tx =>
            {
                Assert.Equal(code, Assert.Throws<CairnException>(() => tx.Vectors[name].Upsert("a", vector, model: model)).Code);
            });
        }
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    [Trait("Requirement", "VEC-6")]
    public void VEC_6_A_collection_is_made_by_its_first_vector_unless_that_is_switched_off(Durability mode)
    {
        using (var world = new TestDatabase(mode))
        {
            world.Run.Vectors["notes"].Upsert("a", [1, 2], new { topic = "refund" });
            Assert.Equal(new VectorDefinition { Dimension = 2 }, world.Run.Vectors.GetCollection("notes")!.Definition);
            Assert.Equal("refund", world.Run.Vectors["notes"].Get("a")!.Metadata!.Value["topic"].AsString());
            Assert.Equal(
                ErrorCode.InvalidName, Assert.Throws<CairnException>(() => world.Run.Vectors["$mine"].Upsert("a", [1])).Code);
        }

        using var off = new TestDatabase(mode, options => options with { CreateCollections = false });
        Assert.Equal(ErrorCode.NotFound, Assert.Throws<CairnException>(() => off.Run.Vectors["notes"].Upsert("a", [1, 2])).Code);
        off.Run.Transact(tx =>
        {
            Assert.Equal(ErrorCode.NotFound, Assert.Throws<CairnException>(() => tx.Vectors["notes"].Upsert("a", [1, 2])).Code);
        });
        off.Run.Vectors.CreateCollection("notes", new VectorDefinition { Dimension = 2 });
        off.Run.Vectors["notes"].Upsert("a", [1, 2]);
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    [Trait("Requirement", "VEC-24")]
    [Trait("Requirement", "CON-3")]
    [Trait("Requirement", "VEC-8")]
    public void VEC_24_A_transaction_sees_its_own_writes_and_leaves_nothing_when_it_is_given_up(Durability mode)
    {
        using var world = new TestDatabase(mode);
        world.Run.Vectors["notes"].UpsertMany(
            [new("a", new float[] { 1, 0 }), new("b", new float[] { 0, 1 }), new("c", new float[] { 1, 1 })]);
        var before = world.Db.Sequence;
        VectorReceipt receipt = default;
        Assert.Throws<InvalidOperationException>(() => world.Run.Transact(tx =>
        {
            Change(tx);
            throw new InvalidOperationException("given up");
        }));
        Assert.Equal(before, world.Db.Sequence);
        Assert.Equal(["a", "c", "b"], Found(world.Run.Vectors["notes"]));
        world.Run.Transact(Change);
        Assert.Equal((4UL, world.Db.Sequence), (receipt.Id.Value, receipt.Version));
        world.NowAndAfterReopening(() =>
        {
            var notes = world.Run.Vectors["notes"];
            Assert.Equal(["d", "c", "b"], Found(notes));
            Assert.Equal(Value.Object(("n", 2)), notes.Get("b")!.Metadata);
            Assert.Equal((4UL, 3), (notes.Get("d")!.Id!.Value.Value, (int)notes.Count()));
            Assert.Equal([2f, 0.5f], notes.Get("d")!.Embedding.ToArray());
            Assert.Equal(1, world.Run.Vectors["other"].Count());
        });

        void Change(Transaction tx)
        {
            var notes = tx.Vectors["notes"];
            Assert.True(notes.Delete("a"));
            Assert.False(notes.Delete("a"));
            receipt = notes.Upsert("d", [1, 0.1f], Value.Object(("n", 1)));
            Assert.False(receipt.IsCommitted);
            Assert.Throws<InvalidOperationException>(() => receipt.Id);
            Assert.True(notes.UpdateMetadata("b", Value.Object(("n", 2))));
            Assert.True(notes.UpdateMetadata("d", Value.Object(("m", 3))));
            Assert.Equal(Value.Object(("n", 1), ("m", 3)), notes.Get("d")!.Metadata);
            Assert.Null(notes.Get("d")!.Id);
            Assert.Equal(Value.Object(("n", 2)), notes.Get("b")!.Metadata);
            notes.Upsert("d", [2, 0.5f]);
            Assert.Equal(["d", "c", "b"], Found(notes));
            Assert.Equal(["b", "c", "d"], notes.Keys());
            Assert.Equal(3, notes.Count());
            Assert.Equal(["b"], Found(notes, new() { Filter = Filter.Parse("n == 2") }));
            Assert.False(notes.Exists("a"));
            tx.Vectors["other"].Upsert("x", [1, 2, 3]);
            Assert.Equal(["x"], tx.Vectors["other"].Search([1, 2, 3]).Matches.Select(match => match.Key));
            Assert.Equal(["notes", "other"], tx.Vectors.ListCollections().Select(info => info.Name));
        }
    }

    private static List<string> Found(VectorCollectionView notes, VectorSearchOptions? options = null) =>
        [.. notes.Search([1, 0], 10, options).Matches.Select(match => match.Key)];

    [Theory]
    [ClassData(typeof(AllModes))]
    [Trait("Requirement", "VEC-1")]
    [Trait("Requirement", "VEC-24")]
    public void BUG_19_A_collection_that_is_dropped_and_made_again_in_a_transaction_has_nothing_of_the_old_one(Durability mode)
    {
        using var world = new TestDatabase(mode);
        world.Run.Vectors["notes"].UpsertMany([new("a", new float[] { 1, 0 }), new("b", new float[] { 0, 1 })]);
        using var kept = world.Run.Snapshot();
        world.Run.Transact(tx =>
        {
            tx.Vectors["notes"].Upsert("own", [1, 1]);
            Assert.True(tx.Vectors.DeleteCollection("notes"));
            Assert.False(tx.Vectors.DeleteCollection("notes"));
            Assert.Null(tx.Vectors.GetCollection("notes"));
            Assert.Empty(tx.Vectors["notes"].Keys());
            Assert.Empty(tx.Vectors["notes"].Search([1, 0]).Matches);
            Assert.Null(tx.Vectors["notes"].Get("own"));
            Assert.False(tx.Vectors["notes"].Delete("a"));
            Assert.Empty(tx.Vectors.ListCollections());
            tx.Vectors.CreateCollection("notes", Three);
            tx.Vectors["notes"].Upsert("c", [1, 2, 3]);
            Assert.Equal(["c"], tx.Vectors["notes"].Keys());
            Assert.Equal(1, tx.Vectors["notes"].Count());
            Assert.Equal(["c"], tx.Vectors["notes"].Search([1, 0, 0]).Matches.Select(match => match.Key));
            Assert.Null(tx.Vectors["notes"].Get("a"));
        });
        world.NowAndAfterReopening(() =>
        {
            Assert.Equal((3, 1L), (world.Run.Vectors.GetCollection("notes")!.Definition.Dimension, world.Run.Vectors["notes"].Count()));
            Assert.Equal(["c"], world.Run.Vectors["notes"].Search([1, 0, 0]).Matches.Select(match => match.Key));
            Assert.Equal(1UL, world.Run.Vectors["notes"].Get("c")!.Id!.Value.Value);
        });
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    [Trait("Requirement", "TTL-1")]
    [Trait("Requirement", "TTL-4")]
    [Trait("Requirement", "VEC-8")]
    public void TTL_4_An_expired_vector_is_gone_for_every_read_whether_it_is_removed_or_not(Durability mode)
    {
        foreach (var isRemoved in new[] { false, true })
        {
            using var world = new TestDatabase(mode);
            var notes = world.Run.Vectors["notes"];
            notes.Upsert("a", [1, 0], ttl: TimeSpan.FromSeconds(10));
            notes.Upsert("b", [1, 1], Value.Object(("n", 1)));
            Assert.True(notes.UpdateMetadata("a", Value.Object(("n", 1))));
            Assert.NotNull(notes.Get("a")!.Expiry);
            Assert.Equal(2, notes.Count());
            using var kept = world.Run.Snapshot();
            world.Clock.Microseconds += 11_000_000;
            if (isRemoved)
                world.Maintain();
            Assert.Equal((1L, false), (notes.Count(), notes.Exists("a")));
            Assert.Equal(["b"], Found(notes));
            Assert.Equal(["b"], Found(notes, new() { Filter = Filter.Parse("n == 1") }));
            Assert.Equal(["b"], notes.Keys());
            Assert.False(notes.UpdateMetadata("a", Value.Object()));
            Assert.False(notes.Delete("a"));
            Assert.Equal(["a", "b"], kept.Vectors["notes"].Search([1, 0]).Matches.Select(match => match.Key));

            // A new life is a new vector.
            Assert.Equal(3UL, notes.Upsert("a", [0, 1]).Id.Value);
            Assert.Equal(["b", "a"], Found(notes));
            world.Maintain();
            world.NowAndAfterReopening(() => Assert.Equal(2, world.Run.Vectors["notes"].Count()));
        }
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    [Trait("Requirement", "VEC-19")]
    public void VEC_19_BUG_18_Nothing_old_is_found_and_vectors_that_are_equal_have_nothing_to_do_with_each_other(Durability mode)
    {
        using var world = new TestDatabase(mode);
        var notes = world.Run.Vectors["notes"];
        notes.Upsert("a", [1, 0]);
        notes.Upsert("b", [1, 0]);
        notes.Upsert("c", [0, 1]);
        Assert.Equal(["a", "b", "c"], Found(notes));
        notes.Delete("a");
        notes.Upsert("c", [1, 0.5f]);
        world.NowAndAfterReopening(() =>
        {
            var found = world.Run.Vectors["notes"].Search([1, 0]).Matches;
            Assert.Equal([("b", 1.0), ("c", 1 / Math.Sqrt(1.25))], found.Select(match => (match.Key, match.Score)));
            Assert.Equal(["c", "b"], world.Run.Vectors["notes"].Search([0, 1]).Matches.Select(match => match.Key));
        });
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    [Trait("Requirement", "CON-14")]
    public void CON_14_A_write_with_an_idempotency_key_is_done_once(Durability mode)
    {
        using var world = new TestDatabase(mode);
        for (var i = 0; i < 2; i++)
            world.Run.TransactOnce("first", tx => tx.Vectors["notes"].Upsert("a", [1, 2]));
        Assert.Equal((1L, 1UL), (world.Run.Vectors["notes"].Count(), world.Db.Sequence.Value));
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    [Trait("Requirement", "VEC-1")]
    public async Task BUG_19_Threads_that_make_and_drop_one_collection_leave_it_whole(Durability mode)
    {
        using var world = new TestDatabase(mode);
        var run = world.Run;
        await Task.WhenAll(Enumerable.Range(0, 4).Select(me => Task.Run(
            async () =>
            {
                for (var i = 0; i < 40; i++)
                {
                    try
                    {
                        if (i % 10 == 9)
                            run.Vectors.DeleteCollection("notes");
                        else if (i % 3 == 0)
                            run.Vectors["notes"].Upsert($"k{me}-{i % 7}", [me, 1 + i]);
                        else if (i % 3 == 1)
                            await run.Vectors["notes"].UpsertAsync($"k{me}-{i % 7}", new float[] { me, 1 + i, 2 });
                        else
                        {
                            run.Vectors["notes"].UpsertMany(
                                [new($"k{me}-{i % 7}", new float[] { 1, i }), new($"j{me}", new float[] { 1, 1 })]);
                        }
                    }
                    catch (CairnException other) when (other.Code == ErrorCode.DimensionMismatch)
                    {
                    }
                }
            },
            TestContext.Current.CancellationToken)));
        run.Vectors["notes"].DeleteMany(["none"]);
        world.NowAndAfterReopening(() =>
        {
            if (world.Run.Vectors.GetCollection("notes") is not { } info)
                return;
            var keys = world.Run.Vectors["notes"].Keys();
            Assert.Equal(info.Count, keys.Count);
            var query = new float[info.Definition.Dimension];
            query[0] = 1;
            Assert.Equal(
                keys.Order(StringComparer.Ordinal),
                world.Run.Vectors["notes"].Search(query, 100).Matches.Select(match => match.Key).Order(StringComparer.Ordinal));
        });
    }
}
