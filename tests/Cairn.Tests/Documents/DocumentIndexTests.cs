using Cairn.Codec;
using Cairn.Primitives;
using Cairn.Storage;
using Cairn.Store;
using Cairn.Tests.Log;
using Cairn.Tests.Transactions;
using Xunit;

namespace Cairn.Tests.Documents;

/// <summary>Secondary indexes over documents, whose operations say what is to be done and not what comes of it: the items are those of the
/// documents as they are, at every step, and the answers are those of a scan.</summary>
[Trait("Promise", "G8")]
public class DocumentIndexTests
{
    private static readonly string[] Names = ["a", "b", "c"];

    private static readonly DocumentPath[] Paths =
        ["$.a", "$.b", "$.list", "$.list[0]", "$.list[-1]", "$.a.a", "$.a.list", "$.list[1].a", "$.c"];

    private static readonly string[] Ids = ["d0", "d1", "d2", "d\u00e4", "d3.long"];

    // ---- the answer of a scan ---------------------------------------------------------------------------------------------------

    [Theory, ClassData(typeof(AllModes))]
    [Trait("Requirement", "IDX-3")]
    [Trait("Requirement", "IDX-7")]
    public void IDX_3_Items_are_those_of_the_documents_and_answers_those_of_a_scan(Durability mode)
    {
        var kinds = new HashSet<QueryPlanKind>();
        for (var seed = 1; seed <= 4; seed++)
            Live(mode, seed, kinds);
        Assert.Superset(new HashSet<QueryPlanKind> { QueryPlanKind.Scan, QueryPlanKind.Index }, kinds);
    }

    private static void Live(Durability mode, int seed, HashSet<QueryPlanKind> kinds)
    {
        var random = new Random(seed);
        using var world = new TestDatabase(mode);
        var run = world.Db.Runs.Begin("life").Id;
        var fork = default(RunId?);
        for (var step = 0; step < 250; step++)
        {
            world.Db.Engine.IndexJob!.StepMax = random.Next(1, 4);
            world.Db.Engine.IndexJob.Turn = TimeSpan.Zero;
            var target = world.Db.Runs.Get(fork is { } other && random.Next(3) == 0 ? other : run)!;
            var kind = random.Next(16);
            var late = world.LateReads;
            switch (kind)
            {
                case < 8:
                    Do(random, target.Json);
                    break;
                case 8:
                    target.Transact(tx =>
                    {
                        for (var n = random.Next(1, 5); n > 0; n--)
                            Do(random, tx.Json);
                    });
                    break;
                case 9:
                    var name = "i" + random.Next(4);
                    if (!target.Indexes.Drop(name))
                        target.Indexes.Define(name, Over([.. random.GetItems(Paths, 3).Distinct().Take(random.Next(1, 3))]));
                    break;
                case 10 or 11:
                    world.Db.Engine.IndexJob.Step();
                    break;
                case 12 when step % 3 == 0:
                    world.Reopen(isKilled: random.Next(2) == 0);
                    break;
                case 13 when fork is null:
                    fork = world.Db.Runs.Fork(run).Id;
                    break;
                case 14 when world.HasLog:
                    if (random.Next(2) == 0)
                        world.Checkpoint();
                    else
                        world.CheckpointAndForget();
                    break;
                case 15:
                    world.Clock.Advance(TimeSpan.FromSeconds(random.Next(8)));
                    if (random.Next(2) == 0)
                        world.Maintain();
                    break;
            }

            if (kind is >= 9 and <= 11)
                Assert.True(world.LateReads <= late, $"step {step} of seed {seed}: a definition or a build read behind its sequence");
            foreach (var id in new[] { run, fork ?? run })
                CheckItems(world.Db, id, $"step {step} of seed {seed}");
            if (step % 60 == 59 && world.HasLog)
                Assert.Empty(world.Db.VerifyDeep().Findings);
            if (step % 5 == 4)
                CheckAnswers(world.Db.Runs.Get(random.Next(2) == 0 && fork is { } also ? also : run)!, random, kinds);
        }

        Build(world.Db);
        for (var n = 0; n < 20; n++)
            CheckAnswers(world.Db.Runs.Get(run)!, random, kinds);
    }

    // One change of a document; what cannot be done is not.
    private static void Do(Random random, Json json)
    {
        var id = Ids[random.Next(Ids.Length)];
        var path = Paths[random.Next(Paths.Length)];
        try
        {
            switch (random.Next(14))
            {
                case 0:
                    json.Put(id, Document(random), ttl: random.Next(4) == 0 ? TimeSpan.FromSeconds(random.Next(1, 6)) : null);
                    break;
                case 1:
                    json.Delete(id);
                    break;
                case 2 or 3:
                    json.Set(id, path, Leaf(random, 1));
                    break;
                case 4:
                    json.Delete(id, path);
                    break;
                case 5:
                    json.Add(id, random.Next(2) == 0 ? "$.a" : "$.c", random.Next(-2, 3));
                    break;
                case 6:
                    json.ArrayAppend(id, "$.list", Leaf(random, 1), Leaf(random, 0));
                    break;
                case 7:
                    json.ArrayInsert(id, "$.list", random.Next(-1, 3), Leaf(random, 1));
                    break;
                case 8:
                    json.ArrayRemove(id, "$.list", random.Next(-1, 2), random.Next(1, 3));
                    break;
                case 9:
                    json.Merge(id, Value.Object((Names[random.Next(3)], random.Next(3) == 0 ? Value.Null : Leaf(random, 1))));
                    break;
                case 10:
                    json.Patch(id, JsonPatch.Diff(json.Get(id) ?? Value.Object(), Document(random)));
                    break;
                case 11:
                    json.StringAppend(id, "$.b", random.Next(3) == 0 ? new string('y', 90) : "x");
                    break;
                case 12:
                    json.Patch(id, JsonPatch.Parse("""[{"op":"add","path":"/list/-","value":7},{"op":"move","from":"/a","path":"/c"}]"""));
                    break;
                default:
                    json.Expire(id, TimeSpan.FromSeconds(random.Next(1, 6)));
                    break;
            }
        }
        catch (Exception refused) when (refused is DocumentException or CairnException { Code: ErrorCode.NotFound })
        {
        }
    }

    private static Value Document(Random random)
    {
        var members = new List<KeyValuePair<string, Value>>();
        foreach (var name in Names)
        {
            if (random.Next(4) > 0)
                members.Add(new(name, Leaf(random, 2)));
        }

        if (random.Next(3) > 0)
            members.Add(new("list", Value.Array(Enumerable.Range(0, random.Next(5)).Select(_ => Leaf(random, 1)))));
        return Value.Object(members);
    }

    private static Value Leaf(Random random, int depth) => random.Next(depth > 0 ? 12 : 9) switch
    {
        0 or 1 => random.Next(4),
        2 => random.Next(4) / 2.0,
        3 => "t" + random.Next(3),
        4 => new string('x', 60 + random.Next(3)) + random.Next(2),
        5 => new string('z', 300) + random.Next(2),
        6 => random.Next(2) == 0,
        7 => Value.Null,
        8 => "",
        9 => Value.Object(),
        10 => Value.Object(("a", Leaf(random, depth - 1)), ("list", Value.Array(1, "t1"))),
        _ => Value.Array(Leaf(random, depth - 1), Leaf(random, depth - 1)),
    };

    // IX1: as far as an index has come, its items are those of what is stored.
    private static void CheckItems(CairnDatabase db, RunId id, string when)
    {
        var run = db.Engine.Find(id);
        using var reader = run.Store.Read();
        Span<byte> buffer = stackalloc byte[DocumentKeys.BufferBytes];
        foreach (var index in IndexSet.Read(run, ulong.MaxValue).All.Where(index => index.State != StoredIndexState.Clearing))
        {
            var expected = new List<byte[]>();
            var roots = reader.Scan([StoreKeys.Json], [StoreKeys.Json + 1], ulong.MaxValue);
            while (roots.MoveNext())
            {
                var thing = roots.Key[1..].ToArray();
                if (!index.Has(thing))
                    continue;
                var tree = DocumentTrees.Open(new PastNodes(reader, ulong.MaxValue, long.MinValue), buffer, thing, null);
                Assert.True(tree.TryFind(default, Look.Blind, out var root));
                expected.AddRange(IndexItems.Of(index, thing, tree.Read(root)));
            }

            expected.Sort(ByteArrayComparer.Instance);
            var found = new List<byte[]>();
            byte[] prefix = IndexItems.Prefix(index.Number);
            var items = reader.Scan(prefix, KeyInterval.After(prefix), ulong.MaxValue);
            while (items.MoveNext())
                found.Add(items.Key.ToArray());
            Assert.True(
                expected.Select(Convert.ToHexString).SequenceEqual(found.Select(Convert.ToHexString)),
                $"{when}: {index.Name} over {string.Join(", ", index.Paths)} is {index.State} at '{Utf8.GetTrustedString(index.Cursor)}': "
                    + $"{Describe(expected)} in the documents, {Describe(found)} in the index");
        }
    }

    private static string Describe(List<byte[]> items) =>
        items.Count == 0 ? "nothing" : string.Join(' ', items.Select(Convert.ToHexString));

    private static void CheckAnswers(Run run, Random random, HashSet<QueryPlanKind> kinds)
    {
        CheckAnswer(run.Json, random, kinds);
        using (var snapshot = run.Snapshot())
        {
            Do(random, run.Json);
            CheckAnswer(snapshot.Json, random, kinds);
        }

        using var rolledBack = run.BeginTransaction();
        for (var n = random.Next(4); n > 0; n--)
            Do(random, rolledBack.Json);
        CheckAnswer(rolledBack.Json, random, kinds);
        rolledBack.Rollback();
    }

    private static void CheckAnswer(JsonView json, Random random, HashSet<QueryPlanKind> kinds)
    {
        var filter = random.Next(8) == 0 ? null : Random(random, 2);
        var order = Enumerable.Range(0, random.Next(3))
            .Select(_ => new QueryOrder(Paths[random.Next(Paths.Length)], random.Next(2) == 0)).ToList();
        var all = json.Scan(new ScanOptions { Limit = 1_000 }).ToDictionary(pair => pair.Key, pair => pair.Value);
        var expected = all.Where(pair => filter?.Matches(pair.Value) ?? true).Select(pair => pair.Key).ToHashSet();
        var options = new QueryOptions { OrderBy = order, Limit = random.Next(1, 4) };
        var plan = json.Explain(filter, options);
        kinds.Add(plan.Kind);
        var found = new List<KeyValuePair<string, Value>>();
        do
        {
            var page = json.Query(filter, options);
            found.AddRange(page);
            options = options with { Cursor = page.Cursor };
        }
        while (options.Cursor is not null);

        Assert.True(expected.SetEquals(found.Select(pair => pair.Key)) && found.Count == expected.Count, $"{filter}: {plan}");
        Assert.All(found, pair => Assert.Equal(all[pair.Key], pair.Value));
        for (var i = 1; i < found.Count && order.Count > 0; i++)
            Assert.True(Order(order[0], found[i - 1].Value, found[i].Value) <= 0, $"{filter} by {order[0]}: {plan}");
    }

    private static int Order(QueryOrder by, Value left, Value right)
    {
        var (one, other) = (Key(by.Path, left), Key(by.Path, right));
        if (one is null || other is null)
            return (one is null ? 1 : 0) - (other is null ? 1 : 0);
        return one.AsSpan().SequenceCompareTo(other) * (by.IsDescending ? -1 : 1);
    }

    private static byte[]? Key(DocumentPath path, Value document) =>
        path.TryGet(document, out var value) ? IndexItems.TryScalar(value, int.MaxValue) : null;

    private static Filter Random(Random random, int depth)
    {
        if (depth > 0 && random.Next(2) == 0)
            return RandomFilters.Join(random, () => Random(random, depth - 1));
        var (path, value) = (Paths[random.Next(Paths.Length)], Leaf(random, 1));
        return random.Next(8) switch
        {
            0 or 1 or 2 => Filter.Eq(path, value),
            3 => Filter.Ne(path, value),
            4 => Filter.Gte(path, value),
            5 => Filter.Lt(path, value),
            6 => Filter.Contains(path, value),
            _ => Filter.Exists(path),
        };
    }

    // ---- steps that were found before their commits --------------------------------------------------------------------------------

    // The first build that was gathered ahead told of a thing behind its stretch that was deleted before the commit: it was not the last
    // step when it was committed, and was in every replay.
    [Theory, ClassData(typeof(AllModes))]
    [Trait("Requirement", "IDX-2")]
    [Trait("Requirement", "IDX-12")]
    [Trait("Promise", "G5")]
    public void IDX_12_A_step_holds_in_the_state_that_its_commit_meets(Durability mode)
    {
        (string Name, Action<Json> Meanwhile)[] cases =
        [
            ("nothing", _ => { }),
            ("a value", json => json.Set("d02", "$.a", 77)),
            ("a value away", json => json.Delete("d02", "$.a")),
            ("a value behind the stretch", json => json.Set("d07", "$.a", 78)),
            ("a document away", json => json.Delete("d02")),
            ("a document more", json => json.Create("d021", Value.Object(("a", 79)))),
            ("a document away and back", json =>
            {
                json.Delete("d02");
                json.Create("d02", Value.Object(("a", 80)));
            }),
            ("all that is behind the stretch", json =>
            {
                for (var n = 4; n < 10; n++)
                    json.Delete($"d{n:00}");
            }),
            ("one more at the end", json => json.Create("e", Value.Object(("a", 81)))),
        ];
        foreach (var helpers in new[] { 0, 2 })
        {
            foreach (var (name, meanwhile) in cases)
            {
                foreach (var at in new[] { 0, 1, 2 })
                    Meet(mode, helpers, at, $"{name} before step {at} with {helpers} helper(s)", meanwhile);
            }
        }
    }

    private static void Meet(Durability mode, int helpers, int at, string when, Action<Json> meanwhile)
    {
        using var world = new TestDatabase(mode);
        var job = world.Db.Engine.IndexJob!;
        (job.StepMax, job.Helpers) = (4, helpers);
        for (var n = 0; n < 10; n++)
            world.Run.Json.Create($"d{n:00}", Value.Object(("a", n)));
        world.Run.Indexes.Define("a", Over("$.a"));
        var step = 0;
        job.BeforePlacing = () =>
        {
            if (step++ == at)
                meanwhile(world.Run.Json);
        };
        Build(world.Db);
        CheckItems(world.Db, world.Run.Id, when);
        Assert.Equal(0, world.Db.Engine.Pins.Count(out _));
        if (!world.HasLog)
            return;
        Assert.Empty(world.Db.VerifyDeep().Findings);
        world.Reopen(isKilled: true);
        CheckItems(world.Db, world.Run.Id, when + ", opened again");
        Assert.Equal(IndexState.Ready, world.Run.Indexes.Get("a")!.State);
    }

    // IDX-12: one result, whoever gathered it.
    [Fact]
    [Trait("Requirement", "IDX-12")]
    public void IDX_12_However_many_threads_gather_the_files_are_the_same()
    {
        var images = new List<(DirectoryImage Files, long Helped)>();
        foreach (var helpers in new[] { 0, 1, 3 })
        {
            var storage = new MemoryStorage();
            using var world = new TestDatabase(Durability.Strict, options => options with { RandomSeed = 5 }, storage);
            var job = world.Db.Engine.IndexJob!;
            (job.StepMax, job.Helpers, job.Turn) = (7, helpers, TimeSpan.FromMinutes(1));
            job.BeforePlacing = () => SpinWait.SpinUntil(() => helpers == 0 || job.Helped > 0);
            world.Run.Json.PutMany([.. Enumerable.Range(0, 900).Select(
                n => KeyValuePair.Create($"d{n}", Value.Object(("a", n * 37 % 101), ("list", Value.Array(n % 3, "x")))))]);
            world.Run.Indexes.Define("a", Over("$.a"));
            world.Run.Indexes.Define("both", Over("$.list", "$.a"));
            Build(world.Db);
            CheckItems(world.Db, world.Run.Id, $"{helpers} helpers");
            world.Checkpoint();
            images.Add((DirectoryImage.Of(storage), job.Helped));
        }

        Assert.All(images, image => Assert.True(images[0].Files.Equals(image.Files)));
        Assert.Equal([false, true, true], images.Select(image => image.Helped > 0));
    }

    // ---- transactions -----------------------------------------------------------------------------------------------------------

    [Fact]
    [Trait("Requirement", "IDX-8")]
    [Trait("Promise", "G4")]
    public void IDX_8_A_query_in_a_transaction_has_read_its_interval_and_what_it_found()
    {
        using var world = new TestDatabase(Durability.InMemory);
        for (var n = 0; n < 60; n++)
            world.Run.Json.Create($"d{n}", Value.Object(("a", n), ("b", 0)));
        world.Run.Indexes.Define("by-a", Over("$.a"));
        Build(world.Db);
        var filter = Filter.Parse("a gte 10 and a lt 13");
        (bool Conflicts, Action<Json> Meanwhile)[] cases =
        [
            (false, json => json.Set("d20", "$.a", 20.5)),   // of another interval
            (false, json => json.Create("other", Value.Object(("a", 13)))),
            (false, json => json.Set("d30", "$.b", 1)),      // not found
            (true, json => json.Create("other", Value.Object(("a", 12)))),
            (true, json => json.Set("d20", "$.a", 11)),
            (true, json => json.Set("d11", "$.b", 1)),       // found, and another by now
            (true, json => json.Delete("d11")),
        ];
        foreach (var (conflicts, meanwhile) in cases)
        {
            var fork = world.Db.Runs.Fork(world.Run.Id);
            using var reads = fork.BeginTransaction();
            Assert.Equal(QueryPlanKind.Index, reads.Json.Explain(filter).Kind);
            Assert.Equal(3, reads.Json.Query(filter).Count);
            reads.Kv.Put("counted", 3);
            meanwhile(fork.Json);
            Assert.Equal(conflicts, Record.Exception(() => reads.Commit()) is ConflictException);
        }
    }

    [Fact]
    [Trait("Requirement", "IDX-9")]
    public void IDX_9_Of_two_indexes_over_the_same_paths_one_is_read()
    {
        using var world = new TestDatabase(Durability.InMemory);
        for (var n = 0; n < 2_000; n++)
            world.Run.Json.Create($"d{n}", Value.Object(("a", n / 100), ("b", n % 100)));
        world.Run.Indexes.Define("one", Over("$.a"));
        world.Run.Indexes.Define("two", Over("$.a"));
        world.Run.Indexes.Define("other", Over("$.b"));
        Build(world.Db);
        var plan = world.Run.Json.Explain(Filter.Parse("a eq 3"), new QueryOptions { Limit = 1_000 });
        Assert.Equal((QueryPlanKind.Index, 100L), (plan.Kind, plan.ItemsRead));
        Assert.Equal(["one"], plan.Indexes);
        var both = world.Run.Json.Explain(Filter.Parse("a eq 3 and b eq 5"));
        Assert.Equal((QueryPlanKind.Index, 1), (both.Kind, both.Rows));
    }

    // What Apply writes has its memory before there is a sequence. The first index of a run was not counted: a run without any was thought
    // to write none.
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    [Trait("Requirement", "IDX-13")]
    [Trait("Requirement", "TX-27")]
    public void IDX_13_A_unique_index_is_counted_before_its_sequence(bool hasOther)
    {
        using var world = new TestDatabase(Durability.Buffered);
        for (var n = 0; n < 20; n++)
            world.Run.Json.Create($"d{n}", Value.Object(("a", n)));
        if (hasOther)
            world.Run.Indexes.Define("other", Over("$.b"));
        var body = StoredIndex.WriteDefinition(Unique("$.a"));
        var bytes = new byte[Cairn.Log.Operation.Length(1, body.Length)];
        body.CopyTo(Cairn.Log.Operation.Write(bytes, (byte)OperationCode.IndexDefine, 0, "u"u8, body.Length));
        var run = world.Db.Engine.Find(world.Run.Id);
        lock (run.CommitLock)
            Assert.Equal(20, world.Db.Engine.Path.Operations.CountIndexWrites(bytes, run).Writes);
    }

    // ---- building ---------------------------------------------------------------------------------------------------------------

    // A build was told as a job at nine tenths of what it can do, so that it went on soon: and health told people to look after it.
    [Fact]
    [Trait("Requirement", "IDX-2")]
    public void IDX_2_An_index_that_is_being_built_is_no_reason_to_worry()
    {
        using var world = new TestDatabase(Durability.Buffered);
        for (var n = 0; n < 60; n++)
            world.Run.Json.Create($"d{n}", Value.Object(("a", n)));
        world.Db.Engine.IndexJob!.StepMax = 1;
        world.Db.Engine.IndexJob.Turn = TimeSpan.Zero;
        world.Run.Indexes.Define("by-a", Over("$.a"));
        for (var turn = 0; turn < 40; turn++)
        {
            world.Clock.Advance(TimeSpan.FromMilliseconds(50));
            world.Maintain();
            var job = world.Db.Maintenance.Single(one => one.Name == "indexes");
            Assert.False(job.IsWarned);
            Assert.True(job.Recommendation is JobRecommendation.Excellent or JobRecommendation.Good, $"{job.Recommendation}");
            Assert.Equal(HealthStatus.Healthy, world.Db.Health.Status);
        }

        Assert.Equal(IndexState.Building, world.Run.Indexes.Get("by-a")!.State);
    }

    // ---- many at once -----------------------------------------------------------------------------------------------------------

    [Fact]
    [Trait("Requirement", "IDX-2")]
    public async Task IDX_2_Documents_are_indexed_while_others_change_them()
    {
        using var db = CairnDatabase.OpenInMemory(new CairnOptions { RandomSeed = 5 });
        db.Engine.IndexJob!.StepMax = 3;
        for (var n = 0; n < 400; n++)
            db.Default.Json.Create($"e{n}", Value.Object(("a", n % 10), ("list", Value.Array(n % 3, "t1"))));
        foreach (var path in new DocumentPath[] { "$.a", "$.list", "$.b" })
            db.Default.Indexes.Define("by " + path, Over(path));
        await Task.WhenAll(Enumerable.Range(0, 4).Select(writer => Task.Run(() =>
        {
            var random = new Random(writer);
            for (var n = 0; n < 300; n++)
            {
                Do(random, db.Default.Json);
                db.Default.Json.Set($"e{random.Next(400)}", random.Next(2) == 0 ? "$.a" : "$.list[0]", random.Next(10));
            }
        })));
        while (db.Default.Indexes.List().Any(index => index.State == IndexState.Building))
            await Task.Delay(5, TestContext.Current.CancellationToken);

        CheckItems(db, db.Default.Id, "behind the writers");
        var random = new Random(9);
        for (var n = 0; n < 10; n++)
            CheckAnswer(db.Default.Json, random, []);
    }

    // ---- unique -----------------------------------------------------------------------------------------------------------------

    [Theory, ClassData(typeof(AllModes))]
    [Trait("Requirement", "IDX-13")]
    public void IDX_13_No_two_documents_have_the_same_value_where_an_index_is_unique(Durability mode)
    {
        using var world = new TestDatabase(mode);
        Json Users() => world.Run.Json;
        Users().Create("ada", Value.Object(("mail", "a@x"), ("also", Value.Array("a@y"))));
        Users().Create("bob", Value.Object(("mail", "b@x")));
        world.Run.Indexes.Define("mail", Unique("$.mail"));
        world.Run.Indexes.Define("also", Unique("$.also"));
        Assert.Equal(IndexState.Ready, world.Run.Indexes.Get("mail")!.State);
        world.NowAndAfterReopening(() =>
        {
            Assert.True(world.Run.Indexes.Get("mail")!.Definition.IsUnique);
            Refused("'ada'", () => Users().Set("bob", "$.mail", "a@x"));
            Refused("'ada'", () => Users().Create("eve", Value.Object(("mail", "a@x"))));
            Refused("'ada'", () => Users().Put("bob", Value.Object(("mail", "a@x"))));
            Refused("'ada'", () => Users().Merge("bob", Value.Object(("mail", "a@x"))));
            Refused("'ada'", () => Users().Set("bob", "$.also", Value.Array("b@y", "a@y")));
            Refused("'eve'", () => world.Run.Transact(tx =>
            {
                tx.Json.Create("eve", Value.Object(("mail", "e@x")));
                tx.Json.Create("eva", Value.Object(("mail", "e@x")));
            }));
            Assert.Equal(["ada", "bob"], Users().List());
            Assert.Equal("b@x", Users().Get("bob", "$.mail"));
        });

        // Itself again, and nothing there, is nobody's rival; and what goes is free.
        Users().Set("ada", "$.mail", "a@x");
        Users().Create("none", Value.Object());
        Users().Create("none-either", Value.Object(("mail", Value.Object())));
        world.Run.Transact(tx =>
        {
            tx.Json.Set("ada", "$.mail", "b@x");             // an exchange: at its end there are no two
            tx.Json.Set("bob", "$.mail", "a@x");
        });
        Users().Delete("bob");
        Users().Create("eve", Value.Object(("mail", "a@x")), ttl: TimeSpan.FromSeconds(1));
        Refused("'eve'", () => Users().Create("late", Value.Object(("mail", "a@x"))));
        world.Clock.Advance(TimeSpan.FromSeconds(2));
        Users().Create("late", Value.Object(("mail", "a@x")));
        world.Maintain();
        Assert.Equal("late", Assert.Single(Users().Query(Filter.Parse("mail eq 'a@x'"))).Key);
        CheckItems(world.Db, world.Run.Id, "at the end");

        // A fork has it too, and is a run of its own.
        var fork = world.Db.Runs.Fork(world.Run.Id);
        fork.Json.Create("in-the-fork", Value.Object(("mail", "f@x")));
        Users().Create("in-the-parent", Value.Object(("mail", "f@x")));
        Refused("'in-the-fork'", () => fork.Json.Create("again", Value.Object(("mail", "f@x"))));
        world.Run.Indexes.Drop("mail");
        Users().Create("again", Value.Object(("mail", "f@x")));
    }

    [Fact]
    [Trait("Requirement", "IDX-13")]
    public void IDX_13_Who_comes_second_is_refused_also_when_both_saw_a_free_value()
    {
        using var world = new TestDatabase(Durability.Buffered);
        world.Run.Indexes.Define("mail", Unique("$.mail"));
        using var first = world.Run.BeginTransaction();
        using var second = world.Run.BeginTransaction();
        first.Json.Create("ada", Value.Object(("mail", "a@x")));
        second.Json.Create("eve", Value.Object(("mail", "a@x")));
        first.Commit();
        Refused("'ada'", () => second.Commit());

        var won = 0;
        Parallel.For(0, 16, writer =>
        {
            try
            {
                world.Run.Json.Create($"w{writer}", Value.Object(("mail", "same")));
                Interlocked.Increment(ref won);
            }
            catch (CairnException taken) when (taken.Code == ErrorCode.ConstraintViolation)
            {
            }
        });
        Assert.Equal(1, won);
    }

    [Fact]
    [Trait("Requirement", "IDX-13")]
    public void IDX_13_Over_duplicates_it_is_refused_and_names_them()
    {
        using var world = new TestDatabase(Durability.Buffered);
        for (var n = 0; n < 30; n++)
            world.Run.Json.Create($"d{n:00}", Value.Object(("n", n % 15), ("x", new string('x', 300) + n)));
        var refused = Assert.Throws<CairnException>(() => world.Run.Indexes.Define("n", Unique("$.n")));
        Assert.Equal(ErrorCode.ConstraintViolation, refused.Code);
        Assert.Contains("'d00' and 'd15'", refused.Message, StringComparison.Ordinal);
        Assert.Contains("and more", refused.Message, StringComparison.Ordinal);
        Assert.Empty(world.Run.Indexes.List());
        Refused("240 bytes", () => world.Run.Indexes.Define("x", Unique("$.x")));
        for (var n = 15; n < 30; n++)
            world.Run.Json.Delete($"d{n}");
        world.Run.Indexes.Define("n", Unique("$.n"));
        Assert.Equal(15, world.Run.Indexes.Get("n")!.Items);
        Refused("256 values", () => world.Run.Json.Set("d00", "$.n", Value.Array(Enumerable.Range(0, 300).Select(n => (Value)n))));
        Assert.Equal(
            ErrorCode.InvalidArgument, TestValues.Refused(() => world.Run.Transact(tx => tx.Run.Indexes.Define("m", Unique("$.m")))));
        Assert.Equal(ErrorCode.InvalidArgument, TestValues.Refused(() => world.Run.Indexes.Define(
            "t", new IndexDefinition { Target = IndexTarget.Traces, Paths = ["$.type"], IsUnique = true })));
    }

    // ---- what the tests are made of ---------------------------------------------------------------------------------------------

    private static void Refused(string names, Action call)
    {
        var refused = Assert.ThrowsAny<CairnException>(call);
        Assert.Equal(ErrorCode.ConstraintViolation, refused.Code);
        Assert.Contains(names, refused.Message, StringComparison.Ordinal);
    }

    private static IndexDefinition Over(params DocumentPath[] paths) => new() { Target = IndexTarget.Documents, Paths = paths };

    private static IndexDefinition Unique(params DocumentPath[] paths) => Over(paths) with { IsUnique = true };

    private static void Build(CairnDatabase db)
    {
        while (db.Engine.IndexJob!.HasWorkInSight)
            db.Engine.IndexJob.Step();
    }
}
