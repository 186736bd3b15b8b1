#pragma warning disable xUnit1051 // what is carried here is small
using Cairn.Primitives;
using Cairn.Store;
using Cairn.Tests.Feed;
using Cairn.Tests.Transactions;
using Cairn.Tests.Transfer;
using Xunit;

namespace Cairn.Tests.Vectors;

/// <summary>Vectors elsewhere: in exports and run files, in the feed, in their history, in differences, under a deep
/// verification.</summary>
public sealed class VectorTransferTests(ITestOutputHelper output)
{
    private static readonly string[] Collections = ["floats", "halves", "bytes", "empty"];

    internal static void Fill(Run run, int seed)
    {
        var random = new Random(seed);
        foreach (var (name, i) in Collections.Select((name, i) => (name, i)))
        {
            run.Vectors.CreateCollection(name, new VectorDefinition
            {
                Dimension = 3 + i, Metric = (VectorMetric)(i % 3), Element = (VectorElement)(i % 3), Model = i == 1 ? "small" : null,
                Index = i == 2 ? VectorIndexKind.Flat : VectorIndexKind.Auto,
            });
            for (var n = 0; n < 20 && name != "empty"; n++)
            {
                var key = $"k{random.Next(12)}";
                if (random.Next(5) == 0)
                    run.Vectors[name].Delete(key);
                else if (random.Next(5) == 0)
                    run.Vectors[name].UpdateMetadata(key, Value.Object(("n", n)));
                else
                {
                    run.Vectors[name].Upsert(
                        key, VectorKernelTests.Vector(random, 3 + i), random.Next(3) == 0 ? default(Value?) : Value.Object(("n", n)),
                        random.Next(6) == 0 ? TimeSpan.FromHours(1) : null);
                }
            }
        }
    }

    /// <summary>All there is to know, but for versions and commit times.</summary>
    internal static List<string> Lines(VectorCollectionsView vectors) => [.. vectors.ListCollections().SelectMany(info =>
        vectors[info.Name].Keys().Select(key => vectors[info.Name].Get(key)!)
            .Select(one => $"{info.Name}/{one.Key} {one.Id} {string.Join(',', one.Embedding.ToArray())} {one.Metadata?.ToJson()} "
                + $"{one.Expiry}")
            .Prepend($"{info.Name} {info.Definition} {info.Count}"))];

    [Theory]
    [InlineData(Durability.InMemory)]
    [InlineData(Durability.Strict)]
    [Trait("Kind", "Random")]
    [Trait("Requirement", "OPS-6")]
    public void OPS_6_An_export_gives_back_every_vector_with_its_bits_and_its_id(Durability mode)
    {
        foreach (var seed in Seeds.Take(Seeds.Scaled(5), output))
        {
            using var test = new TestDatabase(Durability.Strict);
            Fill(test.Run, seed);
            var lines = ExportTests.Export(test.Db);
            using var copy = new TestDatabase(mode);
            copy.Clock.Microseconds = test.Clock.Microseconds;
            ExportTests.Import(copy.Db, lines);
            copy.NowAndAfterReopening(() =>
            {
                Assert.Equal(Lines(test.Run.Vectors), Lines(copy.Run.Vectors));
                Assert.Equal(test.Run.ContentHash(), copy.Run.ContentHash());
                ExportTests.Same(lines, ExportTests.Export(copy.Db), $"seed {seed}");
            });
            Assert.Equal(0, ExportTests.Import(copy.Db, lines).Written);
            Assert.Equal(
                test.Run.Vectors["floats"].Upsert("new", [1, 2, 3]).Id, copy.Run.Vectors["floats"].Upsert("new", [1, 2, 3]).Id);
            Assert.Equal(test.Run.ContentHash(), copy.Run.ContentHash());
        }
    }

    [Theory]
    [InlineData("other definition", ErrorCode.AlreadyExists)]
    [InlineData("other vector", ErrorCode.AlreadyExists)]
    [InlineData("other id", ErrorCode.AlreadyExists)]
    [InlineData("short embedding", ErrorCode.InvalidArgument)]
    [InlineData("not finite", ErrorCode.InvalidArgument)]
    [InlineData("no collection", ErrorCode.InvalidArgument)]
    [InlineData("metadata", ErrorCode.WrongType)]
    [InlineData("dimension", ErrorCode.LimitExceeded)]
    public void OPS_6_A_vector_that_cannot_be_imported_is_refused_with_its_line(string what, ErrorCode code)
    {
        using var test = new TestDatabase(Durability.InMemory);
        test.Run.Vectors["notes"].Upsert("a", [1, 2], Value.Object(("n", 1)));
        var lines = ExportTests.Export(test.Db).ToArray();
        using var copy = new TestDatabase(
            Durability.InMemory,
            options => what == "dimension" ? options with { Limits = new Limits { VectorDimensionMax = 1 } } : options);
        copy.Clock.Microseconds = test.Clock.Microseconds;
        switch (what)
        {
            case "other definition":
                copy.Run.Vectors["notes"].Upsert("a", [1, 2, 3]);
                break;
            case "other vector":
                copy.Run.Vectors["notes"].Upsert("a", [2, 1], Value.Object(("n", 1)));
                break;
            case "other id":
                copy.Run.Vectors["notes"].Upsert("b", [2, 1]);
                break;
            case "short embedding":
                Replace("\"embedding\":{\"$bytes\":\"", "\"embedding\":{\"$bytes\":\"AAAA");
                break;
            case "not finite":
                Replace("\"embedding\":{\"$bytes\":\"AACAPw", "\"embedding\":{\"$bytes\":\"AADAfw");
                break;
            case "no collection":
                Replace("\"collection\":\"notes\"", "\"collection\":\"others\"");
                break;
            case "metadata":
                Replace("\"metadata\":{\"n\":1}", "\"metadata\":1");
                break;
        }

        var refused = Assert.ThrowsAny<CairnException>(() => ExportTests.Import(copy.Db, lines));
        Assert.Equal(code, refused.Code);
        Assert.StartsWith("Line ", refused.Message, StringComparison.Ordinal);

        void Replace(string old, string now)
        {
            Assert.Contains(lines, line => line.Contains(old, StringComparison.Ordinal));
            lines = [.. lines.Select(line => line.Replace(old, now, StringComparison.Ordinal))];
        }
    }

    [Fact]
    [Trait("Requirement", "CON-1")]
    public async Task CON_1_The_feed_tells_collection_key_and_values_of_vectors()
    {
        using var test = FeedBed.Open(Durability.Buffered);
        test.Run.Vectors["notes"].Upsert("n/1", [1, 2], Value.Object(("topic", "x")));
        test.Run.Vectors["others"].Upsert("o1", [1]);
        test.Run.Vectors["notes"].UpdateMetadata("n/1", Value.Object(("topic", Value.Null)));
        test.Run.Vectors["notes"].Delete("n/1");
        test.Run.Vectors.DeleteCollection("notes");
        test.Run.Kv.Put("k", 1);
        var all = await test.Db.Changes(
            test.Db.ChangeCursor(Sequence.None), new ChangeFilter { Collections = ["notes"] },
            FeedBed.Now with { Values = ChangeValues.BeforeAndAfter }, TestContext.Current.CancellationToken).AllAsync();
        var changes = all.SelectMany(commit => commit.Changes).ToList();
        Assert.Equal(
            [
                "vector.create vectors/notes {\"dimension\":2,\"element\":\"F32\",\"index\":\"Auto\",\"metric\":\"Cosine\"}",
                "vector.upsert vectors/notes/n/1 {\"embedding\":[1.0,2.0],\"metadata\":{\"topic\":\"x\"}}",
                "vector.set_metadata vectors/notes/n/1 {\"metadata\":{}}",
                "vector.delete vectors/notes/n/1 absent",
                "vector.drop vectors/notes absent",
            ],
            changes.Select(change => $"{change.Operation} {change.Item} {(change.After.State == ChangedValueState.Present
                ? change.After.Value.ToJson() : change.After.ToString())}"));
        Assert.EndsWith("/vectors/notes/n%2F1", changes[1].Address, StringComparison.Ordinal);
        var prefixed = await test.Db.Changes(
            test.Db.ChangeCursor(Sequence.None), new ChangeFilter { Primitives = ["vectors"], KeyPrefix = "o" }, FeedBed.Now,
            TestContext.Current.CancellationToken).AllAsync();
        Assert.Equal("o1", Assert.Single(prefixed.SelectMany(commit => commit.Changes)).Key);
    }

    [Theory]
    [InlineData(Durability.Buffered)]
    [InlineData(Durability.Strict)]
    [Trait("Requirement", "VER-6")]
    public void VER_6_The_history_of_a_vector_is_in_the_log(Durability mode)
    {
        using var test = new TestDatabase(mode);
        var notes = test.Run.Vectors["notes"];
        notes.Upsert("a", [1, 2], Value.Object(("n", 1)));
        notes.Upsert("b", [1, 2]);
        notes.UpdateMetadata("a", Value.Object(("n", 2)));
        notes.Delete("a");
        notes.Upsert("a", [3, 4]);
        test.Run.Vectors.DeleteCollection("notes");
        test.Run.Vectors["notes"].Upsert("a", [5, 6, 7]);
        test.NowAndAfterReopening(() =>
        {
            var history = test.Run.Vectors["notes"].History("a");
            Assert.Equal(
                ["@7 1 5,6,7 ", "@6 -", "@5 3 3,4 ", "@4 -", "@3 1 1,2 {\"n\":2}", "@1 1 1,2 {\"n\":1}"],
                history.Select(item => $"@{item.Version.Value} " + (item.IsDeletion
                    ? "-"
                    : $"{item.Value.Id} {string.Join(',', item.Value.Embedding.ToArray())} {item.Value.Metadata?.ToJson()}")));
            Assert.Equal([3UL, 1], test.Run.Vectors["notes"].History("a", before: new Sequence(4)).Select(item => item.Version.Value));
            Assert.Equal([7UL, 6], test.Run.Vectors["notes"].History("a", limit: 2).Select(item => item.Version.Value));
            Assert.Empty(test.Run.Vectors["notes"].History("none"));
            Assert.Equal(7UL, test.Run.Blame(ItemAddress.OfVector("notes", "a"))!.Sequence.Value);
            Assert.Equal(7UL, test.Run.Blame(ItemAddress.OfCollection("notes"))!.Sequence.Value);
            Assert.Null(test.Run.Blame(ItemAddress.OfVector("notes", "b")));
        });
        using var memory = new TestDatabase(Durability.InMemory);
        memory.Run.Vectors["notes"].Upsert("a", [1, 2]);
        Assert.Single(memory.Run.Vectors["notes"].History("a", limit: 1));
        Assert.Throws<HistoryTrimmedException>(() => memory.Run.Vectors["notes"].History("a"));
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    [Trait("Requirement", "VEC-26")]
    [Trait("Requirement", "RPL-16")]
    public void VEC_26_A_difference_names_embedding_and_metadata_apart(Durability mode)
    {
        using var database = new TestDatabase(mode);
        var run = database.Db.Runs.Begin("parent");
        run.Vectors["notes"].UpsertMany(
        [
            new("a", new float[] { 1, 2 }, Value.Object(("n", 1))), new("b", new float[] { 1, 2 }), new("c", new float[] { 1, 2 }),
            new("same", new float[] { 1, 2 }),
        ]);
        run.Vectors["dropped"].Upsert("x", [1]);
        var fork = database.Db.Runs.Fork(run.Id);
        fork.Vectors["notes"].Upsert("a", [2, 2], Value.Object(("n", 2)));
        fork.Vectors["notes"].UpdateMetadata("b", Value.Object(("m", 1)));
        fork.Vectors["notes"].Delete("c");
        fork.Vectors["notes"].Upsert("same", [1, 2]);
        fork.Vectors.DeleteCollection("dropped");
        fork.Vectors["made"].Upsert("y", [3]);
        using var diff = database.Db.Diff(run.Id, fork.Id);
        string[] expected =
        [
            "Removed vectors/dropped: {\"dimension\":1,\"element\":\"F32\",\"index\":\"Auto\",\"metric\":\"Cosine\"} -> ",
            "Removed vectors/dropped/x: {\"embedding\":[1.0]} -> ",
            "Added vectors/made:  -> {\"dimension\":1,\"element\":\"F32\",\"index\":\"Auto\",\"metric\":\"Cosine\"}",
            "Added vectors/made/y:  -> {\"embedding\":[3.0]}",
            "Modified vectors/notes/a $['embedding']: [1.0,2.0] -> [2.0,2.0]",
            "Modified vectors/notes/a $['metadata']: {\"n\":1} -> {\"n\":2}",
            "Added vectors/notes/b $['metadata']:  -> {\"m\":1}",
            "Removed vectors/notes/c: {\"embedding\":[1.0,2.0]} -> ",
        ];
        Assert.Equal(expected, Told(diff));
        using var unrelated = new RunDiff(diff, isRelated: false);
        Assert.Equal(expected, Told(unrelated));
        Assert.Equal(new DiffCounts(3, 3, 2), diff.Summarize().Counts["vectors"]);
        using var nothing = database.Db.Diff(run.Id, run.Id);
        Assert.Empty(nothing.Items("vectors"));

        static IEnumerable<string> Told(RunDiff diff) => diff.Items("vectors").Select(item =>
            $"{item.Kind} {item.Address}{(item.Part is { } part ? " " + part : "")}: "
            + $"{item.Before?.Value.ToJson()} -> {item.After?.Value.ToJson()}");
    }

    [Theory]
    [InlineData("(V1)")]
    [InlineData("(V2)")]
    [InlineData("(V3)")]
    [InlineData("not there")]
    [InlineData("counted")]
    [Trait("Requirement", "MNT-12")]
    public void MNT_12_A_rule_of_vectors_that_is_broken_is_named(string rule)
    {
        using var database = new TestDatabase(Durability.Buffered);
        var notes = database.Run.Vectors["notes"];
        notes.UpsertMany([new("a", new float[] { 1, 2 }), new("b", new float[] { 1, 2 })]);
        notes.Upsert("c", [1, 2], ttl: TimeSpan.FromHours(1));
        Assert.Empty(database.Db.VerifyDeep().Findings);
        var run = database.Run.RunState;
        var key = new byte[VectorKeys.BytesMax];
        lock (run.CommitLock)
        {
            run.Store.Reserve(8, 4_096);
            var sequence = run.LastSequence;
            switch (rule)
            {
                case "(V1)":
                    run.Store.Delete(VectorKeys.Head(key, "notes"u8, "a"u8), default, sequence, 1);
                    break;
                case "(V2)":
                    run.Store.Put(VectorKeys.Numbers(key, "notes"u8), [2, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0], sequence, 1, 0);
                    break;
                case "(V3)":
                    run.Store.Put(VectorKeys.Numbers(key, "notes"u8), [9, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0], sequence, 1, 0);
                    break;
                case "not there":
                    run.Store.Put(VectorKeys.Head(key, "gone"u8, "a"u8), new byte[8], sequence, 1, 0);
                    break;
                default:
                    run.Store.AddCount(StoreKeys.VectorHead, 1, sequence, 1);
                    break;
            }
        }

        Assert.Contains(
            database.Db.VerifyDeep().Findings,
            finding => finding.Part == "vectors" && finding.Text.Contains(rule, StringComparison.Ordinal));
    }
}
