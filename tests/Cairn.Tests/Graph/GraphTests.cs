#pragma warning disable xUnit1051 // what is asked for here is small; cancelling has a test of its own
using Cairn.Tests.Transactions;
using Xunit;

namespace Cairn.Tests.Graph;

/// <summary>What a graph does, one promise at a time; its random lives are in <see cref="GraphModelTests"/>.</summary>
public class GraphTests
{
    [Theory, ClassData(typeof(AllModes))]
    [Trait("Requirement", "GR-1")]
    [Trait("Requirement", "GR-2")]
    [Trait("Requirement", "GR-3")]
    [Trait("Requirement", "GR-4")]
    public void GR_1_A_concept_is_known_by_its_id_or_by_its_content_and_a_put_changes_what_it_gives(Durability mode)
    {
        using var world = new TestDatabase(mode);
        var graph = world.Run.Graph;
        var id = graph.PutConcept(new ConceptFields { Content = "Ada likes store credit" });
        Assert.Equal("eae7bd3c72a54ee3a1c8ed9b62a70ff9".Length, id.Length);
        Assert.Equal(id, graph.PutConcept(new ConceptFields { Content = "Ada likes store credit", Type = "fact" }));
        Assert.Equal(1, graph.Count());
        world.Clock.Advance(TimeSpan.FromSeconds(1));
        graph.PutConcept("ada", new ConceptFields { Type = "person", Content = "", Attributes = Value.Object(("age", 36)) });
        graph.PutConcept("ada", new ConceptFields { Strength = 0.5 });
        graph.Associate("ada", "said", id);
        graph.Touch(["ada"]);
        world.Clock.Advance(TimeSpan.FromHours(1));
        graph.PutConcept("ada", new ConceptFields { Confidence = 0.25, ClearsType = true });
        world.NowAndAfterReopening(() =>
        {
            graph = world.Run.Graph;
            var ada = graph.GetConcept("ada")!;
            Assert.Equal(("", null, 0.5, 0.25, 1L), (ada.Content, ada.Type, ada.Strength, ada.Confidence, ada.Accesses));
            Assert.Equal(Value.Object(("age", 36)), ada.Attributes);
            Assert.Equal(1, graph.Degree("ada").Out);
            Assert.True(ada.Created < CommitClock.Time(world.Clock.Microseconds).AddMinutes(-30));
            Assert.Null(graph.GetConcept(id)!.Attributes.AsObject().Values.Cast<Value?>().FirstOrDefault());
            Assert.Null(graph.GetConcept("nobody"));
            Assert.Equal(["ada", id], graph.ListConcepts().Select(concept => concept.Id).Order(StringComparer.Ordinal));
            Assert.Equal([id], graph.ListConcepts("fact").Select(concept => concept.Id));
            Assert.Empty(graph.ListConcepts("person"));
            Assert.Equal(["ada", id], graph.Recent().Select(concept => concept.Id));
        });
    }

    [Fact]
    [Trait("Requirement", "GR-7")]
    [Trait("Requirement", "GR-10")]
    public void GR_7_What_cannot_be_is_refused_and_nothing_is_written()
    {
        using var world = new TestDatabase(Durability.InMemory);
        var graph = world.Run.Graph;
        var ok = new AssociationOptions();
        Refused(ErrorCode.ConstraintViolation, () => graph.PutConcept("a", new ConceptFields { Strength = 1.01 }));
        Refused(ErrorCode.ConstraintViolation, () => graph.PutConcept("a", new ConceptFields { Confidence = double.NaN }));
        Refused(ErrorCode.WrongType, () => graph.PutConcept("a", new ConceptFields { Attributes = 1 }));
        Refused(ErrorCode.InvalidKey, () => graph.PutConcept("$a"));
        Refused(ErrorCode.InvalidKey, () => graph.PutConcept("a\0b"));
        Refused(ErrorCode.InvalidName, () => graph.PutConcept("a", new ConceptFields { Type = "a/b" }));
        Refused(ErrorCode.InvalidArgument, () => graph.PutConcept("a", new ConceptFields { Type = "a", ClearsType = true }));
        Refused(ErrorCode.InvalidArgument, () => graph.PutConcept(new ConceptFields { Type = "fact" }));
        Refused(ErrorCode.ConstraintViolation, () => graph.Associate("a", "is", "b", ok with { Weight = -1 }));
        Refused(ErrorCode.ConstraintViolation, () => graph.Associate("a", "is", "b", ok with { Weight = double.PositiveInfinity }));
        Refused(ErrorCode.ConstraintViolation, () => graph.Associate("a", "is", "b", ok with { Weight = double.NaN }));
        Refused(ErrorCode.ConstraintViolation, () => graph.Associate("a", "is", "b", ok with { Confidence = -0.1 }));
        Refused(ErrorCode.ConstraintViolation, () => graph.Associate("a", "is", "a"));
        var now = DateTimeOffset.UnixEpoch;
        Refused(ErrorCode.ConstraintViolation, () => graph.Associate("a", "is", "b", ok with { ValidFrom = now, ValidTo = now }));
        Refused(ErrorCode.InvalidName, () => graph.Associate("a", "$supersedes", "b"));
        Refused(ErrorCode.InvalidName, () => graph.Associate("a", "", "b"));
        Refused(ErrorCode.InvalidArgument, () => graph.Associate(new ItemAddress("nowhere", "x"), "is", ItemAddress.OfConcept("b")));
        Refused(ErrorCode.InvalidKey, () => graph.Associate("$kv/x", "is", "b"));
        Refused(ErrorCode.InvalidArgument, () => graph.Associate("a", "is", "b", ok with { MissingEnd = (MissingEnd)9 }));
        Refused(ErrorCode.InvalidArgument, () => graph.AssociateMany([Item("a", "b"), Item("a", "b")]));
        Refused(ErrorCode.InvalidArgument, () => graph.Touch(["a", "a"]));
        Refused(ErrorCode.InvalidArgument, () => graph.Feedback([new("a", 0)], []));
        Refused(ErrorCode.InvalidArgument, () => graph.Associations("a", new AssociationQuery { Direction = (AssociationDirection)3 }));
        Refused(ErrorCode.InvalidArgument, () => graph.Associations("a", new AssociationQuery { MinConfidence = 2 }));
        Refused(ErrorCode.InvalidArgument, () => graph.Associations("a", new AssociationQuery { Types = [] }));
        Refused(ErrorCode.InvalidArgument, () => graph.Associations("a", new AssociationQuery { Types = ["is", "is"] }));
        Refused(ErrorCode.ConstraintViolation, () => ConceptDecay.Exponential(0));
        Assert.Equal(Sequence.None, world.Db.Sequence);
        Assert.Equal(Sequence.None, graph.AssociateMany([]));
        Assert.False(graph.Dissociate("a", "is", "b"));
        Assert.False(graph.DeleteConcept("a"));
        Assert.Equal(Sequence.None, world.Db.Sequence);

        static AssociationItem Item(string source, string target) =>
            new(ItemAddress.OfConcept(source), "is", ItemAddress.OfConcept(target));
    }

    private static void Refused(ErrorCode code, Action act) => Assert.Equal(code, Assert.ThrowsAny<CairnException>(act).Code);

    [Theory, ClassData(typeof(AllModes))]
    [Trait("Requirement", "GR-9")]
    [Trait("Requirement", "GR-13")]
    public void GR_9_A_symmetric_association_is_one_thing_with_two_names(Durability mode)
    {
        using var world = new TestDatabase(mode);
        var graph = world.Run.Graph;
        graph.Associate("eve", "is like", "ada", new AssociationOptions { IsSymmetric = true, Weight = 2 });
        Assert.Equal(1, graph.CountAssociations());
        Assert.Equal("ada", graph.GetAssociation("eve", "is like", "ada")!.Target.Key);
        Assert.Equal("eve", graph.GetAssociation("ada", "is like", "eve")!.Target.Key);
        Assert.Equal(new AssociationDegree(0, 0, 1), graph.Degree("ada"));
        graph.Associate("ada", "is like", "eve", new AssociationOptions { Weight = 3 });
        Assert.Null(graph.GetAssociation("eve", "is like", "ada"));
        graph.Associate("eve", "is like", "ada", new AssociationOptions { Weight = 4 });
        Assert.Equal((2L, new AssociationDegree(1, 1, 0)), (graph.CountAssociations(), graph.Degree("ada")));
        graph.Associate("ada", "is like", "eve", new AssociationOptions { IsSymmetric = true });
        Assert.Equal((1L, new AssociationDegree(0, 0, 1)), (graph.CountAssociations(), graph.Degree("eve")));
        Assert.True(graph.Dissociate("eve", "is like", "ada"));
        Assert.Equal((0L, default), (graph.CountAssociations(), graph.Degree("ada")));
        GraphRules.Check(world.Db.Engine.Find(world.Run.Id), "at the end");
    }

    [Fact]
    [Trait("Requirement", "GR-13")]
    [Trait("Requirement", "GR-18")]
    public void GR_13_Associations_are_asked_by_type_confidence_time_and_filter()
    {
        using var world = new TestDatabase(Durability.InMemory);
        var graph = world.Run.Graph;
        var day = DateTimeOffset.UnixEpoch;
        graph.Associate("ada", "knows", "bob", new AssociationOptions { Confidence = 0.9, ValidTo = day.AddDays(2) });
        graph.Associate("ada", "knows", "eve", new AssociationOptions { Confidence = 0.2, ValidFrom = day.AddDays(2) });
        graph.Associate("ada", "pays", "bob", new AssociationOptions { Attributes = Value.Object(("sum", 12)) });
        graph.Associate(ItemAddress.OfKey("invoice"), "names", ItemAddress.OfConcept("ada"));
        Assert.Equal(["bob", "eve"], Asked(new() { Types = ["knows"] }));
        Assert.Equal(["bob", "eve", "bob"], Asked(new() { Types = ["pays", "knows"] }));
        Assert.Equal(["bob"], Asked(new() { Types = ["knows"], MinConfidence = 0.5 }));
        Assert.Equal(["bob", "bob"], Asked(new() { ValidAt = day.AddDays(1) }));
        Assert.Equal(["eve", "bob"], Asked(new() { ValidAt = day.AddDays(2) }));
        Assert.Equal(["bob"], Asked(new() { Filter = Filter.Parse("attributes.sum > 10") }));
        Assert.Equal(["eve"], Asked(new() { Filter = Filter.Parse("target = 'graph/eve'") }));
        Assert.Equal(["ada"], Asked(new() { Direction = AssociationDirection.In }));
        Assert.Equal("kv/invoice", graph.Associations("ada", new() { Direction = AssociationDirection.In })[0].Source.ToString());
        var first = graph.Associations("ada", new() { Limit = 2 });
        graph.Associate("ada", "zooms", "zoe");
        Assert.Equal(["pays"], graph.Associations("ada", new() { Limit = 2, Cursor = first.Cursor }).Select(found => found.Type));
        Refused(ErrorCode.InvalidArgument, () => graph.Associations("bob", new() { Limit = 2, Cursor = first.Cursor }));

        IEnumerable<string> Asked(AssociationQuery query) => graph.Associations("ada", query).Select(found => found.Target.Key);
    }

    [Fact]
    [Trait("Requirement", "GR-18")]
    [Trait("Requirement", "LIM-24")]
    public void LIM_24_A_search_says_what_ran_out()
    {
        using var world = new TestDatabase(Durability.InMemory);
        var graph = world.Run.Graph;
        foreach (var some in Enumerable.Range(0, 3_000).Chunk(1_000))
        {
            graph.AssociateMany(
                [.. some.Select(i => new AssociationItem(ItemAddress.OfConcept("hub"), "has", ItemAddress.OfConcept($"n{i:0000}")))]);
        }

        Assert.Equal(3_000, graph.Reachable("hub").Things.Count);
        var few = graph.Reachable("hub", new ReachOptions { AssociationsMax = 10 });
        Assert.Equal((10, 10L, GraphOutcome.AssociationsExhausted), (few.Things.Count, few.AssociationsRead, few.Outcome));
        Assert.Equal("n0009", few.Things[^1].Thing.Key);
        var none = graph.Reachable("hub", new ReachOptions { TimeMax = TimeSpan.Zero });
        Assert.Equal((GraphOutcome.Complete, 3_000L), (none.Outcome, none.AssociationsRead));       // the clock of this database stands
        using var cancelled = new CancellationTokenSource();
        cancelled.Cancel();
        Assert.Throws<OperationCanceledException>(() => graph.Reachable("hub", null, cancelled.Token));
        Refused(ErrorCode.InvalidArgument, () => graph.Reachable("hub", new ReachOptions { Depth = 0 }));
        Refused(ErrorCode.InvalidArgument, () => graph.Reachable("hub", new ReachOptions { ThingsMax = -1 }));
        Assert.Empty(graph.Reachable("nobody").Things);
        using var tx = world.Run.BeginTransaction();
        Assert.Equal(10, tx.Graph.Reachable("hub", new ReachOptions { AssociationsMax = 10 }).Things.Count);
        tx.Kv.Put("x", 1);
        graph.Dissociate("hub", "has", "n2000");             // behind what was read
        tx.Commit();
        using var other = world.Run.BeginTransaction();
        other.Graph.Reachable("hub", new ReachOptions { AssociationsMax = 10 });
        other.Kv.Put("x", 2);
        graph.Dissociate("hub", "has", "n0003");
        Assert.Throws<ConflictException>(() => other.Commit());
    }

    [Theory, ClassData(typeof(AllModes))]
    [Trait("Requirement", "GR-11")]
    public void GR_11_A_missing_end_is_made_refused_or_allowed(Durability mode)
    {
        using var world = new TestDatabase(mode);
        var graph = world.Run.Graph;
        var reject = new AssociationOptions { MissingEnd = MissingEnd.Reject };
        Refused(ErrorCode.NotFound, () => graph.Associate("a", "is", "b", reject));
        Assert.Equal(Sequence.None, world.Db.Sequence);
        graph.Associate("a", "is", "b", new AssociationOptions { MissingEnd = MissingEnd.Allow });
        Assert.Equal((0L, 1L), (graph.Count(), graph.CountAssociations()));
        graph.Associate("a", "is", "c");
        Assert.Equal(["a", "c"], graph.ListConcepts().Select(concept => concept.Id));
        graph.Associate("a", "was", "c", reject);
        world.Run.Transact(tx =>
        {
            tx.Graph.PutConcept("d");
            tx.Graph.Associate("d", "is", "a", reject);      // its own
            Refused(ErrorCode.NotFound, () => tx.Graph.Associate("d", "is", "e", reject));
        });
        Assert.Equal(1, graph.Degree("a").In);
    }

    [Fact]
    [Trait("Requirement", "GR-11")]
    [Trait("Requirement", "GR-5")]
    public void GR_11_Of_two_that_associate_and_delete_one_loses_and_nothing_is_left_one_way()
    {
        using var world = new TestDatabase(Durability.InMemory);
        var graph = world.Run.Graph;
        foreach (var isDeletedFirst in new[] { false, true })
        {
            graph.PutConcept("a");
            graph.PutConcept("b");
            using var one = world.Run.BeginTransaction();
            using var other = world.Run.BeginTransaction();
            one.Graph.Associate("a", "is", "b", new AssociationOptions { MissingEnd = MissingEnd.Reject });
            Assert.True(other.Graph.DeleteConcept("b"));
            (isDeletedFirst ? other : one).Commit();
            Assert.Throws<ConflictException>(() => (isDeletedFirst ? one : other).Commit());
            GraphRules.Check(world.Db.Engine.Find(world.Run.Id), "after the conflict");
        }
    }

    [Theory]
    [InlineData(Isolation.Serializable)]
    [InlineData(Isolation.Snapshot)]
    [Trait("Requirement", "GR-14")]
    public void GR_14_Writers_of_a_hub_do_not_conflict_and_who_has_read_it_does(Isolation level)
    {
        using var world = new TestDatabase(Durability.InMemory);
        var graph = world.Run.Graph;
        graph.PutConcept("hub", new ConceptFields { Type = "place" });
        using var one = world.Run.BeginTransaction(new TransactionOptions { Isolation = level });
        using var other = world.Run.BeginTransaction(new TransactionOptions { Isolation = level });
        one.Graph.Associate("hub", "has", "a");
        one.Graph.PutConcept("hub", new ConceptFields { Content = "one" });
        other.Graph.Associate("hub", "has", "b");
        other.Graph.PutConcept("hub", new ConceptFields { Strength = 0.5 });
        other.Graph.Touch(["hub"]);
        one.Graph.Touch(["hub"]);
        one.Commit();
        other.Commit();
        var hub = graph.GetConcept("hub")!;
        Assert.Equal(("one", 0.5, "place", 2L), (hub.Content, hub.Strength, hub.Type, hub.Accesses));
        Assert.Equal(2, graph.Degree("hub").Out);
        foreach (var read in new Action<Transaction>[]
                 {
                     tx => tx.Graph.Degree("hub"), tx => tx.Graph.Associations("hub"), tx => tx.Graph.GetAssociation("hub", "has", "c"),
                     tx => tx.Graph.CountAssociations(), tx => tx.Graph.Count(), tx => tx.Graph.ListConcepts(),
                     tx => { tx.Graph.PutConcept("c"); tx.Graph.GetConcept("c"); },
                 })
        {
            using var reader = world.Run.BeginTransaction();
            read(reader);
            reader.Kv.Put("x", 1);
            graph.Associate("hub", "has", "c");
            Assert.Throws<ConflictException>(() => reader.Commit());
            graph.DeleteConcept("c");
        }
    }

    [Fact]
    [Trait("Requirement", "GR-5")]
    [Trait("Requirement", "LIM-16")]
    public void GR_5_A_concept_with_more_associations_than_a_transaction_takes_says_so()
    {
        using var world = new TestDatabase(
            Durability.InMemory, options => options with { Limits = new Limits { TransactionOperationsMax = 40 } });
        var graph = world.Run.Graph;
        for (var i = 0; i < 39; i++)
            graph.Associate("hub", "has", $"n{i}", new AssociationOptions { IsSymmetric = i % 2 == 0 });
        graph.Associate("other", "sees", "hub");
        var refused = Assert.Throws<LimitException>(() => graph.DeleteConcept("hub"));
        Assert.Equal((nameof(Limits.TransactionOperationsMax), 40L, 41L), (refused.Limit, refused.Allowed, refused.Actual));
        Assert.Equal(40, graph.Degree("hub").Total);
        Assert.True(graph.Dissociate("other", "sees", "hub"));
        Assert.True(graph.DeleteConcept("hub"));
        Assert.Equal((0L, 40L), (graph.CountAssociations(), graph.Count()));
        GraphRules.Check(world.Db.Engine.Find(world.Run.Id), "behind the deletion");
    }

    [Fact]
    [Trait("Requirement", "GR-24")]
    [Trait("Requirement", "GR-25")]
    [Trait("Requirement", "GR-26")]
    [Trait("Requirement", "GR-27")]
    [Trait("Requirement", "GR-30")]
    [Trait("Requirement", "GR-32")]
    public void GR_25_Strength_is_a_function_of_what_is_recorded_and_asking_changes_nothing()
    {
        using var world = new TestDatabase(Durability.Strict);
        var graph = world.Run.Graph;
        graph.PutConcept("a", new ConceptFields { Strength = 0.8, Decay = ConceptDecay.Exponential() });
        var made = graph.GetConcept("a")!;
        Assert.Equal(0.8, made.StrengthAt(made.Created), 12);
        Assert.Equal(0.8 / Math.E, made.StrengthAt(made.Created.AddHours(ConceptDecay.ExponentialHours)), 9);
        Assert.Equal(0.8, made.StrengthAt(made.Created.AddHours(-5)), 12);
        world.Clock.Advance(TimeSpan.FromHours(3));
        graph.Touch(["a", "nobody"]);
        graph.Feedback([new("a", 1)], []);
        graph.Feedback([new("nobody", 1)], ["a"]);
        var used = graph.GetConcept("a")!;
        Assert.Equal((1L, 0.10), (used.Accesses, used.Feedback));
        Assert.Equal(0.8 + (0.01 * Math.Log(2)) + 0.10, used.StrengthAt(used.LastAccess!.Value), 9);
        Assert.Equal(1, (used with { Strength = 1 }).StrengthAt(used.LastAccess.Value));
        foreach (var decay in new[] { ConceptDecay.None, ConceptDecay.Exponential(2), ConceptDecay.Power(), ConceptDecay.TwoStage })
        {
            for (var (hours, last) = (0.0, 1.0); hours < 1_000; hours = hours * 1.5 + 0.1)
            {
                var left = decay.Retention(hours, accesses: hours > 5 ? 4 : 0);
                Assert.InRange(left, 0, hours is > 5 and < 10 ? 1 : last);
                last = left;
            }

            Assert.Equal(1, decay.Retention(0, 0));
            graph.PutConcept("b", new ConceptFields { Decay = decay });
            Assert.Equal(decay, graph.GetConcept("b")!.Decay);
        }

        var hash = world.Db.StateHash();
        var sum = 0.0;
        for (var i = 0; i < 1_000_000; i++)
            sum += used.StrengthAt(used.Created.AddHours(i));
        for (var i = 0; i < 1_000; i++)
            sum += graph.GetConcept("a")!.StrengthAt(used.Created.AddHours(i));
        Assert.True(sum > 0);
        Assert.Equal(hash, world.Db.StateHash());
    }

    [Theory, ClassData(typeof(AllModes))]
    [Trait("Requirement", "GR-36")]
    [Trait("Requirement", "SRCH-6")]
    public void GR_36_Concepts_are_found_by_the_words_in_them(Durability mode)
    {
        using var world = new TestDatabase(mode);
        var graph = world.Run.Graph;
        graph.PutConcept("ada", new ConceptFields { Type = "customer", Content = "pays in store credit" });
        graph.PutConcept("bob", new ConceptFields { Attributes = Value.Object(("pays", "by card"), ("tags", Value.Array("customer", 7))) });
        graph.PutConcept("store credit");
        graph.Associate("ada", "prefers", "nothing");
        world.NowAndAfterReopening(() =>
        {
            graph = world.Run.Graph;
            Assert.Equal(["store credit", "ada"], Found("credits"));
            Assert.Equal(["ada", "bob"], Found("customer").Order(StringComparer.Ordinal));
            Assert.Equal(["bob"], Found("card"));
            Assert.Empty(Found("prefers"));
            var customers = graph.Search("credit", new() { Filter = Filter.Parse("type = 'customer'") });
            Assert.Equal(["ada"], customers.Hits.Select(hit => hit.Item.Key));
            var hit = Assert.Single(world.Run.Search("store", new() { KeyPrefix = "ad", HasValues = true }).Hits);
            Assert.Equal((ItemAddress.OfConcept("ada"), "pays in store credit"), (hit.Item, hit.Value!.Value["content"].AsString()));
        });
        world.Run.TextIndex.Build("graph");
        for (var step = 0; step < 10; step++)
            world.Maintain();
        graph.PutConcept("ada", new ConceptFields { Content = "pays in gold" });
        graph.DeleteConcept("store credit");
        Assert.Empty(graph.Search("credit").Hits);
        Assert.Equal("ada", Assert.Single(graph.Search("gold").Hits).Item.Key);
        using var tx = world.Run.BeginTransaction();
        tx.Graph.PutConcept("eve", new ConceptFields { Content = "card" });
        tx.Graph.DeleteConcept("bob");
        Assert.Equal(["eve"], tx.Graph.Search("card").Hits.Select(hit => hit.Item.Key));
        world.Run.Graph.PutConcept("zoe", new ConceptFields { Content = "cards" });
        Assert.Throws<ConflictException>(() => tx.Commit());

        IEnumerable<string> Found(string text) => graph.Search(text).Hits.Select(hit => hit.Item.Key);
    }

    [Theory, ClassData(typeof(AllModes))]
    [Trait("Requirement", "GR-35")]
    public void GR_35_A_memory_is_one_commit_and_known_by_its_text(Durability mode)
    {
        using var world = new TestDatabase(mode);
        var graph = world.Run.Graph;
        var options = new RememberOptions
        {
            Type = "fact", Associations = [new("about", ItemAddress.OfConcept("ada")), new("said in", new("kv", "note"))],
            Embedding = new float[] { 1, 2 }, Collection = "facts",
        };
        var first = graph.Remember("Ada likes store credit", options);
        Assert.Equal((false, 1UL), (first.WasKnown, first.Sequence.Value));
        var again = graph.Remember("Ada likes store credit", options);
        Assert.Equal((first.Id, true, 2UL), (again.Id, again.WasKnown, again.Sequence.Value));
        Assert.False(graph.Remember("Ada likes store credits").WasKnown);
        using (var tx = world.Run.BeginTransaction())
        {
            Assert.True(tx.Graph.Remember("Ada likes store credit").WasKnown);
            Assert.Equal(Sequence.None, tx.Graph.Remember("given up", options).Sequence);
            tx.Rollback();
        }

        Refused(ErrorCode.InvalidArgument, () => graph.Remember("x", options with { Collection = null }));
        Refused(ErrorCode.InvalidArgument, () => graph.Remember("x", options with { Embedding = default }));
        Refused(ErrorCode.DimensionMismatch, () => graph.Remember("x", options with { Embedding = new float[] { 1 } }));
        Refused(ErrorCode.NotFound, () => graph.Remember(
            "x", options with { Associations = [new("is", ItemAddress.OfConcept("y"), new() { MissingEnd = MissingEnd.Reject })] }));
        Assert.Equal(3UL, world.Db.Sequence.Value);
        world.NowAndAfterReopening(() =>
        {
            graph = world.Run.Graph;
            Assert.Equal((3L, 2L), (graph.Count(), graph.CountAssociations()));
            Assert.Equal("fact", graph.GetConcept(first.Id)!.Type);
            Assert.Equal(first.Id, Assert.Single(world.Run.Vectors["facts"].Search(new float[] { 1, 2 }).Matches).Key);
        });
    }

    [Fact]
    [Trait("Requirement", "GR-34")]
    public void GR_34_What_is_superseded_or_contradicted_is_an_association_of_the_engine()
    {
        using var world = new TestDatabase(Durability.InMemory);
        var graph = world.Run.Graph;
        graph.PutConcept("old");
        graph.PutConcept("new");
        graph.Supersede("old", "new", "she moved");
        graph.Contradict("new", "old");
        var found = graph.Associations("new").ToList();
        Assert.Equal(["$contradicts", "$supersedes"], found.Select(association => association.Type));
        Assert.Equal(("old", "she moved"), (found[1].Target.Key, found[1].Attributes["reason"].AsString()));
        Assert.True(graph.GetAssociation("old", "$contradicts", "new")!.IsSymmetric);
        Refused(ErrorCode.NotFound, () => graph.Supersede("nobody", "new"));
        Refused(ErrorCode.ConstraintViolation, () => graph.Contradict("new", "new"));
        Assert.True(graph.Dissociate("new", "$supersedes", "old"));
        Assert.Equal(2, graph.Count());
    }

    [Fact]
    [Trait("Requirement", "LIM-12")]
    public void LIM_12_Content_is_as_long_as_the_limit_and_comes_back_whole()
    {
        using var world = new TestDatabase(
            Durability.Strict, options => options with { Limits = new Limits { ConceptContentBytesMax = 20_000 } });
        var graph = world.Run.Graph;
        var content = string.Concat(Enumerable.Repeat("\u00f6", 10_000));
        graph.PutConcept("a", new ConceptFields { Content = content });
        var refused = Assert.Throws<LimitException>(() => graph.PutConcept("a", new ConceptFields { Content = content + "x" }));
        Assert.Equal((nameof(Limits.ConceptContentBytesMax), 20_000L, 20_001L), (refused.Limit, refused.Allowed, refused.Actual));
        world.NowAndAfterReopening(() => Assert.Equal(content, world.Run.Graph.GetConcept("a")!.Content));
    }
}
