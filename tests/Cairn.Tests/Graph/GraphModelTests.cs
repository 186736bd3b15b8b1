using Cairn.Primitives;
using Cairn.Storage;
using Cairn.Store;
using Cairn.Tests.Transactions;
using Xunit;

namespace Cairn.Tests.Graph;

/// <summary>Random lives of a graph beside <see cref="PlainGraph"/>: in all modes, in transactions and outside, through forks, restarts,
/// kills, checkpoints and views of the past, every answer is that of the plain one; and what the keys say agrees (GR1 to GR4).</summary>
[Trait("Model", "Graph")]
public class GraphModelTests(ITestOutputHelper output)
{
    private static readonly string[] Ids = ["ada", "bob", "b\u00f6b", "eve", "e"];

    private static readonly string[] Ends = [.. Ids, "kv/ada", "json/plan/a"];

    private static readonly string[] Types = ["knows", "know", "is like"];

    private static readonly string[] Kinds = ["person", "persona"];

    [Theory, ClassData(typeof(AllModes))]
    [Trait("Requirement", "GR-1")]
    [Trait("Requirement", "GR-3")]
    [Trait("Requirement", "GR-5")]
    [Trait("Requirement", "GR-6")]
    [Trait("Requirement", "GR-8")]
    [Trait("Requirement", "GR-9")]
    [Trait("Requirement", "GR-11")]
    [Trait("Requirement", "GR-13")]
    [Trait("Requirement", "GR-23")]
    public void GR_8_Every_answer_is_that_of_the_plain_graph(Durability mode)
    {
        for (var seed = 1; seed <= 3; seed++)
            Live(mode, seed);
    }

    [Fact]
    [Trait("Requirement", "GR-8")]
    [Trait("Promise", "G1")]
    public void GR_8_After_a_power_cut_a_graph_is_as_before_the_call_or_behind_it()
    {
        var cuts = 0;
        foreach (var seed in Seeds.Take(Seeds.Scaled(6), output))
        {
            var random = new Random(seed);
            var storage = new CrashStorage();
            using var world = new TestDatabase(Durability.Strict, storage: storage);
            using var beside = new TestDatabase(Durability.InMemory);      // where each call is made first, and no power fails
            var plain = new PlainGraph();
            for (var life = 0; life < 6; life++)
            {
                storage.PowerFailsAt = storage.Operations + 1 + random.Next(80);
                var before = plain;
                try
                {
                    for (var step = 0; step < 60; step++)
                    {
                        before = plain.Copy();
                        var call = random.Next();
                        Do(new Random(call), beside.Run.Graph, plain);
                        Do(new Random(call), world.Run.Graph, before.Copy());
                        if (step % 20 == 19)
                            world.Checkpoint();
                    }
                }
                catch (Exception failure) when (failure is PowerLossException or CairnException && storage.PowerLost)
                {
                    cuts++;
                }

                storage = storage.Crash((ulong)random.NextInt64());
                world.MoveTo(storage);
                var when = $"life {life} of seed {seed}";
                GraphRules.Check(world.Db.Engine.Find(world.Run.Id), when);
                if (!IsLike(world.Run.Graph, plain, random))
                {
                    Compare(world.Run.Graph, before, random, when);
                    plain = before;
                    Copy(plain, world.Run.Graph, beside.Run.Graph);
                }
            }
        }

        Assert.True(cuts > 10, $"the power failed {cuts} times");
    }

    private static bool IsLike(ConceptGraphView graph, PlainGraph plain, Random random) =>
        plain.Lines(Ends).SequenceEqual(Lines(graph, random));

    // The call that was lost is taken back beside.
    private static void Copy(PlainGraph plain, ConceptGraph from, ConceptGraph to)
    {
        foreach (var id in Ids)
        {
            to.PutConcept(id);
            to.DeleteConcept(id);
        }

        foreach (var end in Ends)
        {
            foreach (var association in to.Associations(End(end), new() { Direction = AssociationDirection.Both, Limit = 1_000 }))
                to.Dissociate(association.Source, association.Type, association.Target);
        }

        foreach (var concept in from.ListConcepts(new ScanOptions { Limit = 1_000 }))
            to.PutConcept(concept.Id);
        foreach (var end in Ends)
        {
            foreach (var association in from.Associations(End(end), new() { Limit = 1_000 }))
            {
                to.Associate(
                    association.Source, association.Type, association.Target,
                    new AssociationOptions { IsSymmetric = association.IsSymmetric, MissingEnd = MissingEnd.Allow });
            }
        }

        Assert.All(Ids, id => Assert.Equal(plain.Has(id), to.Exists(id)));
    }

    private static void Live(Durability mode, int seed)
    {
        var random = new Random(seed);
        using var world = new TestDatabase(mode);
        var run = world.Db.Runs.Begin("life").Id;
        var plain = new Dictionary<RunId, PlainGraph> { [run] = new() };
        var past = new List<(Sequence Sequence, PlainGraph Graph)>();
        for (var step = 0; step < 160; step++)
        {
            var id = plain.Keys.Order().ElementAt(random.Next(plain.Count));
            var target = world.Db.Runs.Get(id)!;
            switch (random.Next(14))
            {
                case < 7:
                    Do(random, target.Graph, plain[id]);
                    break;
                case 7 or 8:
                    Transact(random, target, plain, id);
                    break;
                case 9 when step % 3 == 0:
                    world.Reopen(isKilled: random.Next(2) == 0);
                    break;
                case 10 when plain.Count < 3:
                    plain.Add(world.Db.Runs.Fork(id).Id, plain[id].Copy());
                    break;
                case 11 when world.HasLog:
                    if (random.Next(2) == 0)
                        world.Checkpoint();
                    else
                        world.CheckpointAndForget();
                    break;
                case 12:
                    world.Clock.Advance(TimeSpan.FromSeconds(random.Next(8)));
                    world.Maintain();
                    break;
                default:
                    if (id == run)
                        past.Add((world.Db.Sequence, plain[run].Copy()));
                    break;
            }

            target = world.Db.Runs.Get(id)!;
            var when = $"step {step} of seed {seed}";
            Compare(target.Graph, plain[id], random, when);
            GraphRules.Check(world.Db.Engine.Find(id), when);
            using var snapshot = target.Snapshot();
            var held = plain[id].Copy();
            Do(random, target.Graph, plain[id]);
            Compare(snapshot.Graph, held, random, when + ", of a snapshot");
        }

        if (!world.HasLog)
            return;
        foreach (var (sequence, graph) in past)
        {
            using var view = world.Db.Runs.Get(run)!.At(sequence);
            Compare(view.Graph, graph, random, $"at {sequence} of seed {seed}");
        }
    }

    private static void Transact(Random random, Run run, Dictionary<RunId, PlainGraph> plain, RunId id)
    {
        var graph = plain[id].Copy();
        using var tx = run.BeginTransaction();
        for (var n = random.Next(1, 8); n > 0; n--)
            Do(random, tx.Graph, graph);
        Compare(tx.Graph, graph, random, "inside a transaction");
        for (var n = random.Next(3); n > 0; n--)
            Do(random, tx.Graph, graph);
        if (random.Next(4) == 0)
        {
            tx.Rollback();
            return;
        }

        tx.Commit();
        plain[id] = graph;
    }

    internal static void Do(Random random, ConceptGraph graph, PlainGraph plain)
    {
        var id = Ids[random.Next(Ids.Length)];
        var (source, type, target) = (Ends[random.Next(Ends.Length)], Types[random.Next(Types.Length)], Ends[random.Next(Ends.Length)]);
        switch (random.Next(12))
        {
            case < 3:
                var fields = Fields(random);
                graph.PutConcept(id, fields);
                plain.Put(id, fields);
                break;
            case 3:
                Assert.Equal(plain.Delete(id), graph.DeleteConcept(id));
                break;
            case 4:
                graph.Touch([id, "nobody"]);
                plain.Touch(id, 1, 0);
                break;
            case 5:
                graph.Feedback([new(id, 3)], ["nobody"]);
                plain.Touch(id, 0, 0.15);
                break;
            case 6 or 7:
                if (source != target)
                    Assert.Equal(plain.Dissociate(source, type, target), graph.Dissociate(End(source), type, End(target)));
                break;
            default:
                var options = Options(random);
                if (source == target)
                    break;
                if (plain.Associate(source, type, target, options))
                {
                    graph.Associate(End(source), type, End(target), options);
                }
                else
                {
                    var refused = Assert.ThrowsAny<CairnException>(() => graph.Associate(End(source), type, End(target), options));
                    Assert.Equal(ErrorCode.NotFound, refused.Code);
                }

                break;
        }
    }

    private static ItemAddress End(string text) =>
        text.Contains('/', StringComparison.Ordinal) && ItemAddress.TryParse(text, out var address) ? address : ItemAddress.OfConcept(text);

    private static ConceptFields Fields(Random random)
    {
        var type = random.Next(4);
        return OtherFields(random) with { ClearsType = type == 0, Type = type > 1 ? Kinds[random.Next(2)] : null };
    }

    private static ConceptFields OtherFields(Random random) => new()
    {
        Content = random.Next(3) switch { 0 => new string('c', random.Next(200)), 1 => "", _ => null },
        Attributes = random.Next(3) switch
        {
            0 => Value.Object(("long", new string('a', random.Next(100)))),
            1 => Value.Object(),
            _ => default(Value?),
        },
        Strength = random.Next(2) == 0 ? random.Next(3) / 2.0 : null,
        Confidence = random.Next(2) == 0 ? random.Next(5) / 4.0 : null,
    };

    private static AssociationOptions Options(Random random) => new()
    {
        Weight = random.Next(4),
        Confidence = random.Next(5) / 4.0,
        ValidFrom = random.Next(3) == 0 ? DateTimeOffset.UnixEpoch.AddDays(random.Next(3)) : null,
        ValidTo = random.Next(3) == 0 ? DateTimeOffset.UnixEpoch.AddDays(4 + random.Next(3)) : null,
        Attributes = random.Next(3) == 0 ? Value.Object(("why", new string('w', random.Next(90)))) : default(Value?),
        IsSymmetric = random.Next(3) == 0,
        MissingEnd = (MissingEnd)random.Next(3),
    };

    internal static void Compare(ConceptGraphView graph, PlainGraph plain, Random random, string when)
    {
        var expected = plain.Lines(Ends);
        var found = Lines(graph, random);
        Assert.True(
            expected.SequenceEqual(found),
            $"{when}:\n{string.Join('\n', expected)}\n-- and the engine says:\n{string.Join('\n', found)}");
        CompareReach(graph, plain, random, when);
    }

    private static void CompareReach(ConceptGraphView graph, PlainGraph plain, Random random, string when)
    {
        var start = Ends[random.Next(Ends.Length)];
        var options = new ReachOptions { Depth = random.Next(1, 5), Direction = (AssociationDirection)random.Next(3) };
        var expected = plain.Reachable(start, options.Depth, options.Direction);
        var reached = graph.Reachable(End(start), options);
        Assert.True(
            expected.SequenceEqual(reached.Things.Select(Line)),
            $"{when}, from {start} by {options.Depth} {options.Direction}:\n{string.Join('\n', expected)}\n-- and the engine says:\n"
                + string.Join('\n', reached.Things.Select(Line)));
        Assert.Equal(GraphOutcome.Complete, reached.Outcome);
        foreach (var found in reached.Things)
        {
            var through = reached.Things.FirstOrDefault(other => other.Thing == found.Through)?.Depth ?? 0;
            Assert.Equal(found.Depth - 1, through);
            Assert.True(
                graph.GetAssociation(found.Through, found.Type, found.Thing) is not null
                    || graph.GetAssociation(found.Thing, found.Type, found.Through) is not null,
                when);
        }

        if (expected.Count > 1)
        {
            var some = graph.Reachable(End(start), options with { ThingsMax = expected.Count - 1 });
            Assert.Equal((expected.Count - 1, GraphOutcome.ThingsExhausted), (some.Things.Count, some.Outcome));
            Assert.Equal(expected[..^1], some.Things.Select(Line));
        }

        static string Line(ReachedThing found) =>
            $"{found.Depth} {(found.Thing.Primitive == "graph" ? found.Thing.Key : found.Thing.ToString())}";
    }

    private static List<string> Lines(ConceptGraphView graph, Random random)
    {
        var concepts = All(random.Next(1, 4), (limit, cursor) => graph.ListConcepts(new ScanOptions { Limit = limit, Cursor = cursor }));
        var lines = concepts.Select(concept => $"{concept.Id}: {Plain(concept)}").ToList();
        foreach (var kind in Kinds)
        {
            var ofKind = All(
                random.Next(1, 3), (limit, cursor) => graph.ListConcepts(kind, new ScanOptions { Limit = limit, Cursor = cursor }));
            lines.AddRange(ofKind.Select(concept => $"{kind} has {concept.Id}"));
        }

        lines.Add($"{graph.Count()} concepts, {graph.CountAssociations()} associations");
        var recent = All(random.Next(1, 4), (limit, cursor) => graph.Recent(limit, cursor));
        Assert.Equal(concepts.Select(concept => concept.Id), recent.Select(concept => concept.Id).Order(StringComparer.Ordinal));
        Assert.Equal(recent.Select(concept => concept.Created).OrderDescending(), recent.Select(concept => concept.Created));
        foreach (var end in Ends)
        {
            var address = End(end);
            var degree = graph.Degree(address);
            lines.Add($"{end} has {degree.Out} out, {degree.In} in, {degree.Symmetric} symmetric");
            var seen = new Dictionary<AssociationDirection, List<Association>>();
            foreach (var direction in Enum.GetValues<AssociationDirection>())
            {
                seen[direction] = All(random.Next(1, 4), (limit, cursor) =>
                    graph.Associations(address, new AssociationQuery { Direction = direction, Limit = limit, Cursor = cursor }));
            }

            lines.AddRange(seen[AssociationDirection.Out].Select(association => $"out of {end}: {Text(association, association.Target)}"));
            lines.AddRange(seen[AssociationDirection.In].Select(association =>
                $"into {end}: {Text(association, association.IsSymmetric ? association.Target : association.Source)}"));
            Assert.Equal(
                seen[AssociationDirection.Out].Concat(seen[AssociationDirection.In].Where(found => !found.IsSymmetric)).Select(Name),
                seen[AssociationDirection.Both].Select(Name));
            Assert.All(seen[AssociationDirection.Out], association =>
                Assert.Equal(association, graph.GetAssociation(association.Source, association.Type, association.Target)));
        }

        return lines;
    }

    private static string Name(Association association) => $"{association.Source} {association.Type} {association.Target}";

    private static List<T> All<T>(int limit, Func<int, string?, Page<T>> read)
    {
        var all = new List<T>();
        string? cursor = null;
        do
        {
            var page = read(limit, cursor);
            Assert.InRange(page.Count, 0, limit);
            all.AddRange(page);
            cursor = page.Cursor;
        }
        while (cursor is not null);
        return all;
    }

    private static string Text(Association association, ItemAddress other) => PlainGraph.Text(
        association.Type, other.Primitive == "graph" ? other.Key : other.ToString(), new AssociationOptions
        {
            Weight = association.Weight,
            Confidence = association.Confidence,
            IsSymmetric = association.IsSymmetric,
            ValidFrom = association.ValidFrom,
            ValidTo = association.ValidTo,
            Attributes = association.Attributes,
        });

    private static PlainConcept Plain(Concept concept) => new()
    {
        Content = concept.Content,
        Type = concept.Type,
        Attributes = concept.Attributes,
        Strength = concept.Strength,
        Confidence = concept.Confidence,
        Accesses = concept.Accesses,
        Feedback = concept.Feedback,
    };
}

/// <summary>The rules GR1 to GR4 of ConceptOperations.cs, asked of a run's keys.</summary>
internal static class GraphRules
{
    internal static void Check(RunState run, string when)
    {
        using var reader = run.Store.Read();
        var degrees = new SortedDictionary<string, (long Out, long In, long Symmetric)>(StringComparer.Ordinal);
        var expected = new SortedSet<string>(StringComparer.Ordinal);
        var found = new SortedSet<string>(StringComparer.Ordinal);
        var count = 0L;
        Span<byte> reversed = stackalloc byte[GraphKeys.AssociationBytesMax];
        for (var scan = reader.Scan([StoreKeys.Association], [StoreKeys.Association + 1], ulong.MaxValue); scan.MoveNext();)
        {
            Assert.True(AssociationRow.TryRead(scan.Version.Value, out var row), when);
            Assert.True(GraphKeys.TrySplit(scan.Key[1..], out var source, out _, out var target), when);
            Assert.False(source.SequenceEqual(target), when);
            var mirrored = GraphKeys.Reversed(reversed, scan.Key[1..]);
            expected.Add($"{Hex(mirrored)} {Hex(scan.Version.Value[..AssociationRow.FixedBytes(row.Flags)])}");
            if (row.IsSymmetric)
            {
                Assert.Equal(source.SequenceCompareTo(target) > 0, row.IsMirror);
                Assert.True(reader.TryGetNewest((byte[])[StoreKeys.Association, .. mirrored], out var mirror), when);
                Assert.Equal(scan.Version.Value[0] ^ AssociationRow.Mirror, mirror.Value[0]);
                Add(degrees, source, 0, 0, 1);
                count += row.IsMirror ? 0 : 1;
                continue;
            }

            count++;
            Add(degrees, source, 1, 0, 0);
            Add(degrees, target, 0, 1, 0);
        }

        for (var scan = reader.Scan([StoreKeys.AssociationByTarget], [StoreKeys.AssociationByTarget + 1], ulong.MaxValue); scan.MoveNext();)
            found.Add($"{Hex(scan.Key[1..])} {Hex(scan.Version.Value)}");
        Assert.True(expected.SetEquals(found), $"GR1, {when}: {string.Join(", ", expected)} and {string.Join(", ", found)}");
        var numbers = new List<string>();
        for (var scan = reader.Scan([StoreKeys.Degree], [StoreKeys.Degree + 1], ulong.MaxValue); scan.MoveNext();)
            numbers.Add($"{Hex(scan.Key[1..])} {Hex(scan.Version.Value)}");
        Assert.True(
            degrees.Select(pair => $"{pair.Key} {Numbers(pair.Value)}").SequenceEqual(numbers),
            $"GR2, {when}: {string.Join(", ", numbers)}");
        Assert.Equal(count, reader.Count(StoreKeys.Association, ulong.MaxValue));
        CheckConcepts(reader, when);
    }

    private static void CheckConcepts(scoped in StoreReader reader, string when)
    {
        var ids = new HashSet<string>(StringComparer.Ordinal);
        var places = new SortedSet<string>(StringComparer.Ordinal);
        Span<byte> key = stackalloc byte[GraphKeys.LengthMax];
        for (var scan = reader.Scan([StoreKeys.Concept], [StoreKeys.Concept + 1], ulong.MaxValue); scan.MoveNext();)
        {
            var (type, created) = ConceptRecord.Places(Value.Decode(scan.Version.Value));
            ids.Add(Hex(scan.Key[1..]));
            places.Add(Hex(GraphKeys.Time(key, created, scan.Key[1..])));
            if (type is not null)
                places.Add(Hex(GraphKeys.Type(key, type, scan.Key[1..])));
        }

        var found = new SortedSet<string>(StringComparer.Ordinal);
        for (var scan = reader.Scan([StoreKeys.ConceptType], [StoreKeys.ConceptTime + 1], ulong.MaxValue); scan.MoveNext();)
            found.Add(Hex(scan.Key));
        Assert.True(places.SetEquals(found), $"GR4, {when}: {string.Join(", ", places)} and {string.Join(", ", found)}");
        foreach (var family in new[] { StoreKeys.ConceptContent, StoreKeys.ConceptUse, StoreKeys.ConceptAttributes })
        {
            for (var scan = reader.Scan([family], [(byte)(family + 1)], ulong.MaxValue); scan.MoveNext();)
                Assert.Contains(Hex(scan.Key[1..]), ids);
        }

        Assert.Equal(ids.Count, reader.Count(StoreKeys.Concept, ulong.MaxValue));
    }

    private static void Add(
        SortedDictionary<string, (long Out, long In, long Symmetric)> degrees, ReadOnlySpan<byte> end, int outgoing, int incoming,
        int symmetric)
    {
        var before = degrees.GetValueOrDefault(Hex(end));
        degrees[Hex(end)] = (before.Out + outgoing, before.In + incoming, before.Symmetric + symmetric);
    }

    private static string Numbers((long Out, long In, long Symmetric) degree)
    {
        var bytes = new byte[AssociationOperations.DegreeBytes];
        System.Buffers.Binary.BinaryPrimitives.WriteInt64LittleEndian(bytes, degree.Out);
        System.Buffers.Binary.BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(8), degree.In);
        System.Buffers.Binary.BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(16), degree.Symmetric);
        return Hex(bytes);
    }

    private static string Hex(ReadOnlySpan<byte> bytes) => Convert.ToHexString(bytes);
}
