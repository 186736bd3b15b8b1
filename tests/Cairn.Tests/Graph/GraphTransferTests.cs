#pragma warning disable xUnit1051 // what is carried here is small
using Cairn.Storage;
using Cairn.Tests.Transactions;
using Cairn.Tests.Transfer;
using Xunit;

namespace Cairn.Tests.Graph;

/// <summary>Graphs in differences, merges, exports, run files, the feed and salvage: what one has, the other has too.</summary>
public class GraphTransferTests(ITestOutputHelper output)
{
    private static void Fill(Run run, int seed, PlainGraph? plain = null, int steps = 60)
    {
        var random = new Random(seed);
        plain ??= new PlainGraph();
        for (var step = 0; step < steps; step++)
            GraphModelTests.Do(random, run.Graph, plain);
    }

    private static string Told(Run run)
    {
        var ends = run.Graph.ListConcepts(new ScanOptions { Limit = 1_000 }).ToList();
        return string.Join('\n', ends.Select(concept => (concept with { Version = default }).ToString())
            .Concat(AllOf(run).Select(association => (association with { Version = default }).ToString())));
    }

    private static IEnumerable<Association> AllOf(Run run) =>
        new[] { "ada", "bob", "b\u00f6b", "eve", "e" }.Select(ItemAddress.OfConcept).Append(new("kv", "ada")).Append(new("json", "plan/a"))
            .SelectMany(end => run.Graph.Associations(end, new AssociationQuery { Limit = 1_000, Direction = AssociationDirection.Both }));

    [Theory]
    [InlineData(Durability.InMemory)]
    [InlineData(Durability.Strict)]
    [Trait("Requirement", "OPS-6")]
    public void An_export_gives_back_the_graph(Durability mode)
    {
        foreach (var seed in Seeds.Take(Seeds.Scaled(6), output))
        {
            using var test = new TestDatabase(Durability.Strict);
            Fill(test.Run, seed);
            var lines = ExportTests.Export(test.Db);
            using var copy = new TestDatabase(mode);
            copy.Clock.Microseconds = test.Clock.Microseconds;
            ExportTests.Import(copy.Db, lines);
            copy.NowAndAfterReopening(() =>
            {
                Assert.Equal(Told(test.Run), Told(copy.Run));
                GraphRules.Check(copy.Db.Engine.Find(copy.Run.Id), $"seed {seed}");
                ExportTests.Same(lines, ExportTests.Export(copy.Db), $"seed {seed}");
            });
            Assert.Equal(test.Run.ContentHash(), copy.Run.ContentHash());
            Assert.Equal(0, ExportTests.Import(copy.Db, lines).Written);
            copy.Run.Graph.PutConcept("another");
            Assert.NotEqual(test.Run.ContentHash(), copy.Run.ContentHash());
        }
    }

    [Fact]
    [Trait("Requirement", "OPS-6")]
    public void A_line_that_cannot_be_is_refused_by_its_number()
    {
        using var test = new TestDatabase(Durability.Strict);
        test.Run.Graph.PutConcept("ada", new ConceptFields { Content = "x", Decay = ConceptDecay.Power() });
        test.Run.Graph.Associate("ada", "knows", "bob", new AssociationOptions { IsSymmetric = true });
        var lines = ExportTests.Export(test.Db);
        foreach (var (from, to) in new[]
                 {
                     ("\"strength\":1.0", "\"strength\":2.0"), ("\"confidence\":1.0", "\"confidence\":1"),
                     ("\"decay\":[2,0.18]", "\"decay\":[9,0.18]"),
                     ("\"source\":\"ada\"", "\"source\":\"zoe\""), ("\"target\":\"bob\"", "\"target\":\"$nowhere/x\""),
                     ("\"source\":\"ada\"", "\"source\":\"bob\""),
                 })
        {
            var bad = lines.Select(line => line.Replace(from, to, StringComparison.Ordinal)).ToArray();
            Assert.NotEqual(lines, bad);
            using var copy = new TestDatabase(Durability.Strict);
            copy.Clock.Microseconds = test.Clock.Microseconds;
            var refused = Assert.ThrowsAny<CairnException>(() => ExportTests.Import(copy.Db, bad));
            Assert.StartsWith("Line ", refused.Message, StringComparison.Ordinal);
        }
    }

    [Theory, ClassData(typeof(AllModes))]
    [Trait("Requirement", "RPL-16")]
    public void RPL_16_Related_and_unrelated_differences_agree_and_turn_round(Durability mode)
    {
        foreach (var seed in Seeds.Take(Seeds.Scaled(8), output))
        {
            using var test = new TestDatabase(mode);
            var plain = new PlainGraph();
            Fill(test.Run, seed, plain, 30);
            var fork = test.Db.Runs.Fork(test.Run.Id);
            Fill(fork, seed + 1, plain.Copy(), 12);
            Fill(test.Run, seed + 2, plain, 12);
            using var diff = test.Db.Diff(test.Run.Id, fork.Id);
            using var unrelated = new RunDiff(diff, isRelated: false);
            var items = Lines(diff, isTurned: false);
            Assert.Equal(items, Lines(unrelated, isTurned: false));
            using var back = test.Db.Diff(fork.Id, test.Run.Id);
            Assert.Equal(items, Lines(back, isTurned: true));
            using var none = test.Db.Diff(fork.Id, fork.Id);
            Assert.Empty(none.Items("graph", "associations"));
            Assert.Equal(Told(test.Run) == Told(fork), items.Count == 0);
        }
    }

    private static List<string> Lines(RunDiff diff, bool isTurned) =>
    [
        .. diff.Items("graph", "associations").Select(item =>
        {
            var (before, after) = isTurned ? (item.After, item.Before) : (item.Before, item.After);
            return $"{item.Address} {item.Part}: {before?.Value.ToJson()} -> {after?.Value.ToJson()}";
        }).Order(StringComparer.Ordinal),
    ];

    [Theory, ClassData(typeof(AllModes))]
    [Trait("Requirement", "GR-36")]
    [Trait("Requirement", "RPL-16")]
    public void GR_36_A_merge_joins_fields_associations_and_use(Durability mode)
    {
        using var test = new TestDatabase(mode, options => options with { Retention = Retention.KeepAll });
        var run = test.Db.Runs.Begin("parent");
        run.Graph.PutConcept("ada", new ConceptFields { Type = "person", Content = "old", Attributes = Value.Object(("a", 1)) });
        run.Graph.PutConcept("gone");
        run.Graph.Associate("ada", "knows", "bob", new AssociationOptions { Weight = 1 });
        run.Graph.Associate("ada", "is like", "eve", new AssociationOptions { IsSymmetric = true });
        run.Graph.Touch(["ada"]);
        var fork = test.Db.Runs.Fork(run.Id);
        fork.Graph.PutConcept("ada", new ConceptFields { Content = "new" });
        fork.Graph.Touch(["ada"]);
        fork.Graph.Feedback([new("ada", 1)], []);
        fork.Graph.PutConcept("made", new ConceptFields { Type = "thing" });
        fork.Graph.Associate("made", "of", "ada");
        fork.Graph.DeleteConcept("gone");
        fork.Graph.Dissociate("ada", "is like", "eve");
        run.Graph.PutConcept("ada", new ConceptFields { Strength = 0.5 });
        run.Graph.Touch(["ada"]);
        run.Graph.Associate("bob", "keeps", "gone");
        run.Graph.Associate("ada", "knows", "bob", new AssociationOptions { Weight = 2 });
        using (var diff = test.Db.Diff(run.Id, fork.Id))
            Assert.NotEmpty(diff.Items("graph"));
        var dry = test.Db.Runs.Merge(fork.Id, run.Id, new MergeOptions { IsDryRun = true });
        var merged = test.Db.Runs.Merge(fork.Id, run.Id);
        Assert.Equal((0L, 0L), (dry.OpenConflicts, merged.OpenConflicts));
        Assert.Equal(dry.Counts["graph"], merged.Counts["graph"]);
        Assert.Equal((3L, 2L), (merged.Counts["graph"].Taken, merged.Counts["associations"].Taken));
        test.NowAndAfterReopening(() =>
        {
            var graph = test.Db.Runs.Get("parent")!.Graph;
            var ada = graph.GetConcept("ada")!;
            Assert.Equal(("new", "person", 0.5, 3L, 0.15), (ada.Content, ada.Type, ada.Strength, ada.Accesses, ada.Feedback));
            Assert.Equal("thing", graph.GetConcept("made")!.Type);
            Assert.Equal(["ada", "bob", "eve", "made"], graph.ListConcepts().Select(concept => concept.Id));
            Assert.Equal(2, graph.GetAssociation("ada", "knows", "bob")!.Weight);
            Assert.NotNull(graph.GetAssociation("made", "of", "ada"));
            Assert.Null(graph.GetAssociation("eve", "is like", "ada"));
            GraphRules.Check(test.Db.Engine.Find(test.Db.Runs.Get("parent")!.Id), "merged");
        });
    }

    [Theory]
    [InlineData(MergeStrategy.Strict)]
    [InlineData(MergeStrategy.PreferSource)]
    [InlineData(MergeStrategy.PreferTarget)]
    [Trait("Requirement", "GR-36")]
    public void GR_36_What_both_have_changed_is_a_conflict_of_the_field_or_the_association(MergeStrategy strategy)
    {
        using var test = new TestDatabase(Durability.Strict, options => options with { Retention = Retention.KeepAll });
        var run = test.Db.Runs.Begin("parent");
        run.Graph.PutConcept("ada", new ConceptFields { Type = "person", Content = "old" });
        run.Graph.PutConcept("both");
        run.Graph.Associate("ada", "knows", "bob");
        run.Graph.Associate("ada", "sees", "bob");
        var fork = test.Db.Runs.Fork(run.Id);
        foreach (var (side, mark) in new[] { (fork, "source"), (run, "target") })
        {
            side.Graph.PutConcept("ada", new ConceptFields { Content = mark });
            side.Graph.Associate("ada", "knows", "bob", new AssociationOptions { Attributes = Value.Object(("by", mark)) });
        }

        fork.Graph.DeleteConcept("both");
        run.Graph.PutConcept("both", new ConceptFields { Content = "kept" });
        fork.Graph.Associate("ada", "sees", "bob", new AssociationOptions { IsSymmetric = true });
        run.Graph.Associate("bob", "sees", "ada");
        var merged = test.Db.Runs.Merge(fork.Id, run.Id, new MergeOptions { Strategy = strategy });
        Assert.Equal(
            ["associations/[\"ada\",\"knows\",\"bob\"]", "associations/[\"ada\",\"sees\",\"bob\"]", "graph/ada$['content']", "graph/both"],
            merged.Conflicts.Select(conflict => $"{conflict.Address}{conflict.Part}").Order(StringComparer.Ordinal));
        Assert.Equal(strategy == MergeStrategy.Strict ? 4 : 0, merged.OpenConflicts);
        var (graph, isSource) = (run.Graph, strategy == MergeStrategy.PreferSource);
        Assert.Equal(isSource ? "source" : "target", graph.GetConcept("ada")!.Content);
        Assert.Equal(!isSource, graph.Exists("both"));
        Assert.Equal(isSource, graph.GetAssociation("bob", "sees", "ada")!.IsSymmetric);
        Assert.Equal(isSource ? "source" : "target", graph.GetAssociation("ada", "knows", "bob")!.Attributes["by"].AsString());
        GraphRules.Check(test.Db.Engine.Find(run.Id), "merged");
    }

    [Theory, ClassData(typeof(AllModes))]
    [Trait("Requirement", "RPL-29")]
    public void RPL_29_After_a_merge_that_prefers_the_source_what_the_source_changed_is_in_the_target(Durability mode)
    {
        foreach (var seed in Seeds.Take(Seeds.Scaled(8), output))
        {
            using var test = new TestDatabase(mode, options => options with { Retention = Retention.KeepAll });
            var plain = new PlainGraph();
            var run = test.Db.Runs.Begin("parent");
            Fill(run, seed, plain, 30);
            var fork = test.Db.Runs.Fork(run.Id);
            var before = Told(run);
            Fill(fork, seed + 1, plain.Copy(), 15);
            test.Db.Runs.Merge(fork.Id, run.Id);             // the target has not changed: it becomes the source
            Assert.Equal(Told(fork), Told(run));
            GraphRules.Check(test.Db.Engine.Find(run.Id), $"seed {seed}, merged");
            Fill(fork, seed + 3, Plain(fork), 10);
            Fill(run, seed + 4, Plain(run), 10);
            test.Db.Runs.Merge(fork.Id, run.Id, new MergeOptions { Strategy = MergeStrategy.PreferSource });
            GraphRules.Check(test.Db.Engine.Find(run.Id), $"seed {seed}, merged again");
            Assert.NotEqual(before, Told(run) + seed);
        }
    }

    // A graph that follows whatever it is told: only what the engine answers counts here.
    private static PlainGraph Plain(Run run)
    {
        var plain = new PlainGraph();
        foreach (var concept in run.Graph.ListConcepts(new ScanOptions { Limit = 1_000 }))
            plain.Put(concept.Id, new ConceptFields());
        foreach (var association in AllOf(run))
        {
            plain.Associate(
                Text(association.Source), association.Type, Text(association.Target),
                new AssociationOptions { IsSymmetric = association.IsSymmetric, MissingEnd = MissingEnd.Allow });
        }

        return plain;

        static string Text(ItemAddress end) => end.Primitive == "graph" ? end.Key : end.ToString();
    }

    [Fact]
    [Trait("Requirement", "RCV-9")]
    public void RCV_9_Graphs_of_a_whole_log_come_back_as_they_were()
    {
        foreach (var seed in Seeds.Take(Seeds.Scaled(5), output))
        {
            using var test = new TestDatabase(Durability.Strict);
            Fill(test.Run, seed);
            var hash = test.Db.StateHash();
            test.Db.Dispose();
            var (target, report) = Salvage(test.Storage);
            Assert.True(report.IsComplete);
            using var db = Open(target, test.Db.Options);
            Assert.Equal(hash, db.StateHash());
        }
    }

    [Fact]
    [Trait("Requirement", "RCV-9")]
    public void RCV_9_Graphs_come_back_from_tables_when_the_log_is_gone()
    {
        foreach (var seed in Seeds.Take(Seeds.Scaled(5), output))
        {
            using var test = new TestDatabase(Durability.Strict);
            Fill(test.Run, seed);
            test.Checkpoint();
            var told = Told(test.Run);
            test.Db.Dispose();
            foreach (var name in test.Storage.List("log").ToList())
                test.Storage.Unlink("log/" + name);
            var (target, report) = Salvage(test.Storage);
            Assert.True(report.Entries > 0);
            using var db = Open(target, test.Db.Options);
            Assert.Equal(told, Told(db.Default));
            GraphRules.Check(db.Engine.Find(db.Default.Id), $"seed {seed}");
        }
    }

    private static (MemoryStorage Target, SalvageReport Report) Salvage(IStorage source)
    {
        var target = new MemoryStorage();
        return (target, CairnDatabase.SalvageTo(source, () => target));
    }

    private static CairnDatabase Open(IStorage storage, CairnOptions options) => CairnDatabase.Open(
        storage, options with { Durability = Durability.Buffered, CreateIfMissing = false },
        new EngineHooks { IsMaintenanceManual = true });

    [Fact]
    [Trait("Requirement", "FEED-2")]
    public async Task FEED_2_Changes_of_the_graph_say_what_was_asked()
    {
        using var world = new TestDatabase(Durability.Strict);
        world.Run.Graph.PutConcept("ada", new ConceptFields { Type = "person", Content = "x" });
        world.Run.Graph.Associate("ada", "knows", "bob", new AssociationOptions { Weight = 2 });
        world.Run.Graph.Touch(["ada"]);
        world.Run.Graph.Dissociate("ada", "knows", "bob");
        world.Run.Graph.DeleteConcept("ada");
        var lines = new List<string>();
        var options = Cairn.Tests.Feed.FeedBed.Now with { Values = ChangeValues.After };
        await foreach (var commit in world.Run.Changes(null, new() { Primitives = ["graph", "associations"], KeyPrefix = "ada" }, options))
        {
            lines.AddRange(commit.Changes.Select(change =>
                $"{change.Primitive}/{change.Key} {change.Operation} {Given(change)} {change.After.State}"));
        }

        Assert.Equal(
            [
                """graph/ada graph.put {"content":"x","type":"person"} NotAsked""",
                "graph/ada graph.ensure  NotAsked",
                """associations/["ada","knows","bob"] graph.associate {"confidence":1.0,"weight":2.0} Present""",
                """graph/ada graph.touch {"accesses":1,"feedback":0.0} NotAsked""",
                """associations/["ada","knows","bob"] graph.dissociate  Absent""",
                "graph/ada graph.delete  Absent",
            ],
            lines);
        Assert.Contains("graph.ensure", world.Run.Blame(ItemAddress.OfConcept("bob"))!.Operations.Select(operation => operation.Name));

        static string Given(Change change) => change.Given.State == ChangedValueState.Present ? change.Given.Value.ToJson() : "";
    }
}
