using Cairn.Tests.Transactions;
using Xunit;

namespace Cairn.Tests.Documents;

/// <summary>Writes of documents: versions, expiry, compare-and-set, sums, limits of what becomes of a document, and what is kept of
/// it.</summary>
public class DocumentWriteTests
{
    [Theory]
    [ClassData(typeof(AllModes))]
    [Trait("Requirement", "JS-20")]
    public void JS_20_The_document_and_each_part_of_it_have_versions(Durability mode)
    {
        using var database = new TestDatabase(mode);
        var json = database.Run.Json;
        var made = json.Create("d", Value.FromJson("""{"a":{"b":1,"c":[1,2]},"d":2}"""));
        var b = json.Set("d", "$.a.b", 5);
        var appended = json.ArrayAppend("d", "$.a.c", 3);
        database.NowAndAfterReopening(() =>
        {
            (string, Sequence)[] parts =
            [
                ("$", appended), ("$.a", appended), ("$.a.b", b), ("$.a.c", appended), ("$.a.c[0]", made), ("$.a.c[2]", appended),
                ("$.d", made),
            ];
            foreach (var (path, region) in parts)
            {
                var found = database.Run.Json.GetVersioned("d", path)!.Value;
                Assert.Equal((appended, region, made), (found.Version, found.Region, found.Created));
            }

            Assert.Null(database.Run.Json.GetVersioned("d", "$.none"));
        });
    }

    /// <summary>A path remembers where it led, to fetch what it needs at once: whatever it remembers, it leads where it leads.</summary>
    [Theory]
    [ClassData(typeof(AllModes))]
    public void One_path_through_documents_of_many_shapes(Durability mode)
    {
        using var database = new TestDatabase(mode);
        var json = database.Run.Json;
        var random = new Random(11);
        var expected = new Dictionary<string, Value>();
        DocumentPath[] paths = ["$.a.b[1].c", "/a/b/1/c", "$.a.b[-1].c", "$.deep.d.e.f.g.h.i.j.k"];
        for (var round = 0; round < 2_000; round++)
        {
            var id = $"d{random.Next(12)}";
            var path = paths[random.Next(paths.Length)];
            if (!expected.TryGetValue(id, out var document) || random.Next(8) == 0)
            {
                var before = string.Concat(Enumerable.Range(0, random.Next(4)).Select(n => $"\"{(char)('A' + n)}\":{{}},"));
                document = Value.FromJson($"{{{before}\"a\":{{\"b\":[{{}},{{\"c\":{round}}}]}}}}");
                json.Put(id, document);
            }
            else
            {
                document = path.Set(document, round);
                json.Set(id, path, round);
            }

            expected[id] = document;
            foreach (var other in paths)
                Assert.Equal(other.TryGet(document, out var value) ? value : default(Value?), json.Get(id, other));
        }

        database.NowAndAfterReopening(() => Assert.All(expected, pair => Assert.Equal(pair.Value, database.Run.Json.Get(pair.Key))));
    }

    /// <summary>The version of a part was looked for below a large text as if that were a container, and the look ended in a broken
    /// invariant.</summary>
    [Theory]
    [ClassData(typeof(AllModes))]
    [Trait("Requirement", "JS-32")]
    public void JS_32_Large_texts_in_a_document_are_content_in_every_operation(Durability mode)
    {
        using var database = new TestDatabase(mode);
        var (large, other) = (new string('x', 20_000), new string('y', 30_000));
        var json = database.Run.Json;
        json.Create("d", Value.Object(("a", large), ("list", Value.Array(large, Value.Object(("b", large)), 1))));
        json.StringAppend("d", "$.a", "z");
        json.ArrayInsert("d", "$.list", 0, other);
        json.Patch("d", new JsonPatch(JsonPatchOperation.Copy("/list/0", "/copy"), JsonPatchOperation.Move("/list/1", "/moved")));
        json.ArrayRemove("d", "$.list", 0);
        var last = json.Set("d", "$.list[0].b", other);
        var expected = Value.Object(
            ("a", large + "z"), ("list", Value.Array(Value.Object(("b", other)), 1)), ("copy", other), ("moved", large));
        database.NowAndAfterReopening(() =>
        {
            var found = database.Run.Json.GetVersioned("d")!.Value;
            Assert.Equal((expected, last, last), (found.Value, found.Version, found.Region));
            Assert.Equal(large, database.Run.Json.Get("d", "$.moved")!.Value.AsString());
        });
        Assert.True(database.Run.Json.Delete("d"));
        database.NowAndAfterReopening(() => Assert.Null(database.Run.Json.Get("d")));
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    [Trait("Requirement", "JS-9")]
    public void JS_9_Compare_and_set_by_the_version_and_by_what_stands_there(Durability mode)
    {
        using var database = new TestDatabase(mode);
        var json = database.Run.Json;
        var first = json.CompareAndSet("d", Sequence.None, "$.a", 1);
        Assert.Throws<VersionMismatchException>(() => json.CompareAndSet("d", Sequence.None, "$.a", 2));
        var second = json.CompareAndSet("d", first, "$.b", 2);
        Assert.Equal(second.Value, Assert.Throws<VersionMismatchException>(() => json.CompareAndSet("d", first, "$.b", 3)).Actual);
        Assert.False(json.CompareAndSetAt("d", "$.a", 7, 9));
        Assert.False(json.CompareAndSetAt("d", "$.a", null, 9));
        Assert.False(json.CompareAndSetAt("d", "$.a.deep", 1, 9));
        Assert.True(json.CompareAndSetAt("d", "$.c", null, 3));
        Assert.True(json.CompareAndSetAt("d", "$.a", 1, 9));
        using (var transaction = database.Run.BeginTransaction())
        {
            Assert.Throws<VersionMismatchException>(() => transaction.Json.CompareAndSet("d", first, "$.a", 0));
            transaction.Json.CompareAndSet("d", json.GetVersioned("d")!.Value.Version, "$.a", 10);
            json.Set("d", "$.b", 5);
            Assert.Throws<ConflictException>(() => transaction.Commit());
        }

        Assert.Equal("""{"a":9,"b":5,"c":3}""", json.Get("d")!.Value.ToJson());
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    [Trait("Requirement", "JS-18")]
    public void JS_18_Sums_are_exact_or_refused(Durability mode)
    {
        using var database = new TestDatabase(mode);
        var json = database.Run.Json;
        Assert.Equal((Value)3, json.Increment("d", "$.n", 3));
        Assert.Equal((Value)long.MaxValue, json.Increment("d", "$.n", long.MaxValue - 3));
        Assert.Equal(ErrorCode.Overflow, Assert.Throws<DocumentException>(() => json.Increment("d", "$.n", 1)).Code);
        Assert.Equal((Value)0.5, json.Increment("d", "$.f", 0.5));
        Assert.Equal((Value)1.5, json.Increment("d", "$.f", 1));
        Assert.Equal(ErrorCode.Overflow, Refused(() =>
        {
            json.Set("d", "$.f", double.MaxValue);
            json.Increment("d", "$.f", double.MaxValue);
        }));
        json.Set("d", "$.t", "text");
        Assert.Equal(ErrorCode.TypeMismatch, Refused(() => json.Increment("d", "$.t", 1)));
        Assert.Equal(ErrorCode.WrongType, Refused(() => json.Increment("d", "$.n", "1")));
        Assert.Equal(ErrorCode.InvalidArgument, Refused(() => json.Increment("d", "$.n", double.NaN)));
        database.NowAndAfterReopening(() => Assert.Equal((Value)long.MaxValue, database.Run.Json.Get("d", "$.n")));
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    [Trait("Requirement", "JS-19")]
    public void JS_19_No_change_makes_a_document_pass_a_limit(Durability mode)
    {
        using var database = new TestDatabase(mode, options => options with
        {
            Limits = new Limits { ValueBytesMax = 200, StringBytesMax = 100, DepthMax = 5, ArrayElementsMax = 6, ObjectMembersMax = 6 },
        });
        var json = database.Run.Json;
        json.Create("d", Value.FromJson("""{"list":[1,2,3,4,5],"text":"x","o":{"a":1,"b":2,"c":3,"d":4,"e":5}}"""));
        var long90 = new string('x', 90);
        (string Limit, Action<Json> Break)[] breaks =
        [
            (nameof(Limits.ArrayElementsMax), at => at.ArrayAppend("d", "$.list", 6, 7)),
            (nameof(Limits.ArrayElementsMax), at => at.ArrayInsert("d", "$.list", 0, 6, 7)),
            (nameof(Limits.ArrayElementsMax), at => at.SetMany("d", [new("$.list[-]", 6), new("$.list[-]", 7)])),
            (nameof(Limits.ObjectMembersMax), at => at.SetMany("d", [new("$.o.f", 6), new("$.o.g", 7)])),
            (nameof(Limits.ObjectMembersMax), at => at.Merge("d", Value.FromJson("""{"o":{"f":6,"g":7}}"""))),
            (nameof(Limits.ObjectMembersMax), at => at.Patch("d", JsonPatch.Parse(
                """[{"op":"add","path":"/o/f","value":6},{"op":"copy","from":"/text","path":"/o/g"}]"""))),
            (nameof(Limits.StringBytesMax), at =>
            {
                at.Set("d", "$.text", long90);
                at.StringAppend("d", "$.text", new string((char)121, 11));
            }),
            (nameof(Limits.ValueBytesMax), at => at.SetMany("d", [new("$.text", long90), new("$.o.a", long90)])),
            (nameof(Limits.ValueBytesMax), at => at.Merge("d", Value.Object(("text", long90), ("more", long90)))),
            (nameof(Limits.DepthMax), at => at.Set("d", "$.x.y.z", Value.Array(Value.Array(Value.Array())))),
            (nameof(Limits.DepthMax), at => at.Patch("d", JsonPatch.Parse(
                """
                [{"op":"add","path":"/x","value":[[[]]]},{"op":"add","path":"/y","value":{"z":{"u":{}}}},
                 {"op":"move","from":"/x","path":"/y/z/u/v"}]
                """))),
            (nameof(Limits.ValueBytesMax), at => at.Put("new", Value.Object(("a", long90), ("b", long90), ("c", long90)))),
        ];
        foreach (var (limit, @break) in breaks)
        {
            json.Put("d", Value.FromJson("""{"list":[1,2,3,4,5],"text":"x","o":{"a":1,"b":2,"c":3,"d":4,"e":5}}"""));
            Assert.Equal(limit, Assert.Throws<LimitException>(() => @break(json)).Limit);
            json.Put("d", Value.FromJson("""{"list":[1,2,3,4,5],"text":"x","o":{"a":1,"b":2,"c":3,"d":4,"e":5}}"""));
            using var transaction = database.Run.BeginTransaction();
            Assert.Equal(limit, Assert.Throws<LimitException>(() => @break(transaction.Json)).Limit);
        }

        // Each has room for itself, and the second comes to a document that has grown.
        json.Put("d", Value.FromJson("""{"list":[1,2,3,4,5]}"""));
        using (var late = database.Run.BeginTransaction())
        {
            late.Json.ArrayAppend("d", "$.list", 6);
            json.ArrayAppend("d", "$.list", 7);
            Assert.Equal(nameof(Limits.ArrayElementsMax), Assert.Throws<LimitException>(() => late.Commit()).Limit);
        }

        using (var late = database.Run.BeginTransaction())
        {
            late.Json.Set("d", "$.one", long90);
            json.Set("d", "$.two", long90);
            Assert.Equal(nameof(Limits.ValueBytesMax), Assert.Throws<LimitException>(() => late.Commit()).Limit);
        }

        database.NowAndAfterReopening(() => Assert.Equal(
            $$"""{"list":[1,2,3,4,5,7],"two":"{{long90}}"}""", database.Run.Json.Get("d")!.Value.ToJson()));
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    [Trait("Requirement", "TTL-3")]
    public void TTL_3_A_document_that_has_expired_is_absent_and_leaves_nothing_behind(Durability mode)
    {
        using var database = new TestDatabase(mode);
        var json = database.Run.Json;
        json.Put("d", Value.FromJson("""{"a":{"b":[1,2]}}"""), TimeSpan.FromSeconds(10));
        json.Set("d", "$.a.c", 1);                           // the expiry stays
        Assert.NotNull(json.GetVersioned("d")!.Value.Expiry);
        database.Clock.Advance(TimeSpan.FromSeconds(11));
        Assert.False(json.Exists("d"));
        Assert.Null(json.Get("d", "$.a"));
        Assert.Empty(json.List());
        Assert.Equal(0, json.Count());
        Assert.False(json.Delete("d"));
        json.Set("d", "$.x", 1);                             // a new one, without expiry
        Assert.Equal("""{"x":1}""", json.Get("d")!.Value.ToJson());
        Assert.Null(json.GetVersioned("d")!.Value.Expiry);
        Assert.True(json.Expire("d", TimeSpan.FromSeconds(5)));
        Assert.True(json.Persist("d"));
        Assert.True(json.Expire("d", TimeSpan.FromSeconds(5)));
        database.Clock.Advance(TimeSpan.FromSeconds(6));
        database.NowAndAfterReopening(() => Assert.Empty(database.Run.Json.List()));
        while (database.Db.Engine.Maintainer!.Step())
        {
        }

        Assert.Equal(0, database.Run.RunState.Store.Memory.Count(0x20, ulong.MaxValue));
        database.NowAndAfterReopening(() => Assert.Empty(database.Run.Json.List()));
    }

    /// <summary>In a transaction a document lost its expiry with its first change by path, as the transaction saw it.</summary>
    [Fact]
    [Trait("Requirement", "TTL-7")]
    public void TTL_7_A_transaction_sees_the_expiry_of_documents_that_it_changes()
    {
        using var database = new TestDatabase(Durability.Buffered);
        database.Run.Json.Put("d", Value.Object(("a", 1)), TimeSpan.FromMinutes(1));
        var expiry = database.Run.Json.GetVersioned("d")!.Value.Expiry;
        using var transaction = database.Run.BeginTransaction();
        transaction.Json.Set("d", "$.a", 2);
        transaction.Json.SetMany("d", [new("$.b", 1), new("$.c", 2)]);
        Assert.Equal(expiry, transaction.Json.GetVersioned("d")!.Value.Expiry);
        transaction.Json.Put("new", 1, TimeSpan.FromMinutes(2));
        Assert.NotNull(transaction.Json.GetVersioned("new")!.Value.Expiry);
        transaction.Json.Persist("d");
        Assert.Null(transaction.Json.GetVersioned("d")!.Value.Expiry);
        transaction.Rollback();
        Assert.Equal(expiry, database.Run.Json.GetVersioned("d")!.Value.Expiry);
    }

    [Fact]
    [Trait("Requirement", "JS-5")]
    [Trait("Requirement", "VAL-5")]
    public void Bad_input_is_refused_with_its_place_and_the_document_stays()
    {
        using var database = new TestDatabase(Durability.Buffered);
        var json = database.Run.Json;
        json.Create("d", Value.FromJson("""{"a":{"b":1},"list":[1]}"""));
        var before = json.GetVersioned("d");
        (ErrorCode Code, Action<Json> Act)[] cases =
        [
            (ErrorCode.TypeMismatch, at => at.Set("d", "$.a.b.c", 1)),
            (ErrorCode.TypeMismatch, at => at.Set("d", "$.a[0]", 1)),
            (ErrorCode.TypeMismatch, at => at.Set("d", "$.list.x", 1)),
            (ErrorCode.PathNotFound, at => at.Set("d", "$.list[1]", 1)),
            (ErrorCode.PathNotFound, at => at.Set("d", "$.list[-2]", 1)),
            (ErrorCode.PathNotFound, at => at.Set("d", "$.list[-].x", 1)),
            (ErrorCode.TypeMismatch, at => at.Set("d", "$.new[0]", 1)),
            (ErrorCode.TypeMismatch, at => at.ArrayAppend("d", "$.a", 1)),
            (ErrorCode.PathNotFound, at => at.ArrayAppend("d", "$.none", 1)),
            (ErrorCode.NotFound, at => at.ArrayAppend("none", "$", 1)),
            (ErrorCode.PathNotFound, at => at.ArrayInsert("d", "$.list", 5, 1)),
            (ErrorCode.PathNotFound, at => at.ArrayRemove("d", "$.list", 0, 2)),
            (ErrorCode.TypeMismatch, at => at.StringAppend("d", "$.a.b", "x")),
            (ErrorCode.InvalidPath, at => at.Delete("d", "$")),
            (ErrorCode.NotFound, at => at.Patch("none", JsonPatch.Parse("[]"))),
            (ErrorCode.NotFound, at => at.Merge("none", Value.Object())),
            (ErrorCode.TestFailed, at => at.Patch("d", JsonPatch.Parse(
                """[{"op":"add","path":"/x","value":1},{"op":"test","path":"/a/b","value":2}]"""))),
            (ErrorCode.AlreadyExists, at => at.Create("d", 1)),
            (ErrorCode.InvalidArgument, at => at.Set("d", "$.a", double.NaN)),
            (ErrorCode.InvalidArgument, at => at.Put("d", Value.Array(double.PositiveInfinity))),
            (ErrorCode.InvalidKey, at => at.Put("$d", 1)),
            (ErrorCode.InvalidKey, at => at.Set("", "$.a", 1)),
            (ErrorCode.InvalidPath, at => at.Set("d", "$.a[*]", 1)),
        ];
        foreach (var (code, act) in cases)
        {
            Assert.Equal(code, Refused(() => act(json)));
            using var transaction = database.Run.BeginTransaction();
            Assert.Equal(code, Refused(() => act(transaction.Json)));
            Assert.Equal(before!.Value.Value, transaction.Json.Get("d"));
            transaction.Commit();
        }

        Assert.Equal(before, json.GetVersioned("d"));
        Assert.Contains("Operation 1", Assert.Throws<DocumentException>(() => json.Patch("d", JsonPatch.Parse(
            """[{"op":"add","path":"/x","value":1},{"op":"remove","path":"/none"}]"""))).Message, StringComparison.Ordinal);
    }

    [Fact]
    [Trait("Requirement", "JS-28")]
    public void JS_28_A_change_of_one_place_writes_that_place_to_the_log()
    {
        using var database = new TestDatabase(Durability.Strict, options => options with { SegmentBytesMax = 64 << 20 });
        var json = database.Run.Json;
        json.Create("d", Value.Object(("text", new string('x', 1 << 20)), ("a", Value.Object(("b", 1)))));
        json.Set("d", "$.a.b", 2);
        var at = database.Run.RunState.LastPosition;
        json.Set("d", "$.a.b", 3);
        Assert.InRange(database.Run.RunState.LastPosition - at, 1UL, 256UL);
    }

    [Fact]
    [Trait("Requirement", "VER-7")]
    public void VER_7_The_past_of_a_document_behind_a_compaction_is_answered_or_refused_never_less()
    {
        using var database = new TestDatabase(Durability.Buffered);
        var run = database.Run;
        run.Retention.Apply(Retention.KeepFor(TimeSpan.FromHours(1)));
        run.Json.Create("d", Value.Object(("n", 0)));
        var when = new List<(DateTimeOffset Time, string Expected)>();
        for (var i = 1; i <= 2_000; i++)
        {
            run.Json.Set("d", "$.n", i);
            run.Json.Set("d", $"$.text{i % 7}", new string('x', 300));
            run.Kv.Put("noise", new string('y', 500));
            if (i % 400 == 0)
                when.Add((database.Clock.GetUtcNow(), run.Json.Get("d")!.Value.ToJson()));
            database.Clock.Advance(TimeSpan.FromSeconds(6));
        }

        database.Db.Checkpoint(cancellationToken: TestContext.Current.CancellationToken);
        run.Kv.Put("between", 1);                            // a second checkpoint of the same would be none
        database.Db.Checkpoint(cancellationToken: TestContext.Current.CancellationToken);
        var report = database.Db.Compact(cancellationToken: TestContext.Current.CancellationToken);
        Assert.True(report.BytesDropped > 0, "something was let go");
        database.NowAndAfterReopening(() =>
        {
            Assert.Equal(when[^1].Expected, database.Run.At(when[^1].Time).Json.Get("d")!.Value.ToJson());
            Assert.Throws<HistoryTrimmedException>(() => database.Run.At(when[^2].Time));
            Assert.Throws<HistoryTrimmedException>(() => database.Run.Json.History("d"));
            Assert.Equal(when[^1].Expected, database.Run.Json.Get("d")!.Value.ToJson());
        });
    }

    private static ErrorCode Refused(Action act) => Assert.ThrowsAny<CairnException>(act).Code;
}
