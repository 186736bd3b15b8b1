using System.Buffers.Binary;
using Cairn.Documents;
using Cairn.Primitives;
using Cairn.Store;
using Cairn.Tests.Documents;
using Cairn.Tests.Transactions;
using Xunit;

namespace Cairn.Tests.Primitives;

/// <summary>Secondary indexes over events: what is appended, redacted and let go of is what an index has, at every step, and answers are
/// those of a scan.</summary>
[Trait("Promise", "G8")]
public class EventIndexTests
{
    private static readonly string Long = new('x', 300);

    private static readonly DocumentPath[] Paths =
    [
        "$.payload.a", "$.payload.b", "$.payload.list", "$.payload.list[-1]", "$.payload.a.x", "$.type", "$.number", "$.time", "$.causes",
        "$.causes[0]", "$.redacted", "$.payload", "$['$key']",
    ];

    private static readonly Value[] Pool =
    [
        Value.Null, true, 0, 1, 1.0, 2, 0.5, "", "a", "ab", "a\0b", Long, Long + "a", Long + "b", (byte[])[1, 2], Value.Array(),
        Value.Array("a", 1, Value.Array("a"), "a"), Value.Array(Enumerable.Range(0, 300).Select(n => (Value)n)), Value.Object(("x", 1)),
        Value.Object(("x", Value.Array(1, "a"))),
    ];

    // ---- places in an encoding --------------------------------------------------------------------------------------------------

    [Fact]
    [Trait("Requirement", "IDX-1")]
    public void A_place_in_an_encoding_is_the_place_in_the_value()
    {
        DocumentPath[] paths =
        [
            "$", "$.a", "$.b", "$.a.x", "$.list", "$.list[0]", "$.list[-1]", "$.list[3]", "$.list[1].a", "$.list[-9]", "$.a.x[1]", "$.c.d",
            DocumentPath.ParsePointer("/list/0"), DocumentPath.ParsePointer("/list/-"), DocumentPath.ParsePointer("/0"),
        ];
        for (var seed = 1; seed <= 300; seed++)
        {
            var random = new Random(seed);
            var value = random.Next(10) == 0 ? Pool[random.Next(Pool.Length)] : Payload(random);
            foreach (var path in paths)
            {
                var isThere = path.TryGet(value, out var expected);
                Assert.Equal(isThere, EncodedPlace.TryFind(value.Encode(), new EncodedPath(path.Encoded), out var found));
                if (isThere)
                    Assert.Equal(expected, Value.Decode(found));
            }
        }
    }

    // ---- the answer of a scan ---------------------------------------------------------------------------------------------------

    [Theory, ClassData(typeof(AllModes))]
    [Trait("Requirement", "IDX-3")]
    [Trait("Requirement", "IDX-7")]
    [Trait("Requirement", "IDX-10")]
    public void IDX_3_Items_are_those_of_the_events_and_answers_those_of_a_scan(Durability mode)
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
        for (var step = 0; step < 220; step++)
        {
            world.Db.Engine.IndexJob!.StepMax = random.Next(1, 12);
            world.Db.Engine.IndexJob.Turn = TimeSpan.Zero;
            var target = world.Db.Runs.Get(fork is { } other && random.Next(3) == 0 ? other : run)!;
            var kind = random.Next(17);
            var late = world.LateReads;
            switch (kind)
            {
                case < 6:
                    Append(random, target.Events);
                    break;
                case 6:
                    target.Events.AppendMany(
                        [.. Enumerable.Range(0, random.Next(1, 5)).Select(_ => new NewEvent("many", Payload(random)))]);
                    break;
                case 7:
                    target.Transact(tx =>
                    {
                        for (var n = random.Next(1, 4); n > 0; n--)
                            Append(random, tx.Events);
                        Redact(random, tx.Events);
                        Append(random, tx.Events);
                    });
                    break;
                case 8:
                    Redact(random, target.Events);
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
                    break;
                case 16:
                    world.Db.Engine.Trims!.TrimSome(target.Id, Retention.KeepEvents(random.Next(1, 40)));
                    break;
            }

            if (kind is >= 9 and <= 11 or 16)
                Assert.True(world.LateReads <= late, $"step {step} of seed {seed}: what was done of {kind} read behind its sequence");
            foreach (var id in new[] { run, fork ?? run })
                CheckItems(world.Db, id, $"step {step} of seed {seed}, behind {kind}");
            if (step % 5 == 4)
                CheckAnswers(world.Db.Runs.Get(random.Next(2) == 0 && fork is { } also ? also : run)!, random, kinds);
        }

        Build(world.Db);
        for (var n = 0; n < 20; n++)
            CheckAnswers(world.Db.Runs.Get(run)!, random, kinds);
        Assert.True(world.Db.Runs.Get(run)!.Events.Verify().IsValid);
    }

    private static void Append(Random random, Events events)
    {
        var last = events.Head()?.Number.Value ?? 0;
        EventNumber[] causes = last > 3 && random.Next(4) == 0 ? [last - 1, last - 2] : [];
        events.Append("t" + random.Next(3), Payload(random), causes);
    }

    private static void Redact(Random random, Events events)
    {
        var (floor, head) = (events.Floor().Number.Value, events.Head());
        if (head is null || head.Value.Number.Value <= floor)
            return;
        var number = floor + (ulong)random.NextInt64((long)(head.Value.Number.Value - floor));
        try
        {
            events.Redact(number, "why");
        }
        catch (CairnException refused) when (refused.Code is ErrorCode.InvalidArgument or ErrorCode.NotFound)
        {
            // It is itself the record of one, or of this transaction.
        }
    }

    private static Value Payload(Random random)
    {
        var members = new List<KeyValuePair<string, Value>>();
        foreach (var name in new[] { "a", "b" })
        {
            if (random.Next(4) > 0)
                members.Add(new(name, Pool[random.Next(Pool.Length)]));
        }

        if (random.Next(2) == 0)
            members.Add(new("list", Value.Array(Enumerable.Range(0, random.Next(4)).Select(_ => Pool[random.Next(Pool.Length)]))));
        return Value.Object(members);
    }

    // What an event is to paths, put together from what the door tells of it.
    private static Value Document(EventRecord record)
    {
        var members = new List<KeyValuePair<string, Value>>
        {
            new("number", (long)record.Number.Value), new("type", record.Type), new("time", CommitClock.Microseconds(record.Time)),
        };
        if (record.Causes.Count > 0)
            members.Add(new("causes", Value.Array(record.Causes.Select(cause => (Value)(long)cause.Value))));
        members.Add(record.Payload is { } payload ? new("payload", payload) : new("redacted", true));
        return Value.Object(members);
    }

    private static Value WithKey(EventRecord record) =>
        Value.Object(Document(record).AsObject().Append(new("$key", record.Number.ToString())));

    private static List<EventRecord> All(EventsView events)
    {
        var all = new List<EventRecord>();
        events.Scan(events.Floor().Number, ulong.MaxValue, ref all, static (scoped in one, ref list) =>
        {
            list.Add(one.ToRecord());
            return true;
        });
        return all;
    }

    // IX1: as far as an index has come, its items are those of what is stored.
    private static void CheckItems(CairnDatabase db, RunId id, string when)
    {
        var run = db.Engine.Find(id);
        var events = All(db.Runs.Get(id)!.Events);
        using var reader = run.Store.Read();
        foreach (var index in IndexSet.Read(run, ulong.MaxValue).All.Where(index => index.State != StoredIndexState.Clearing))
        {
            var expected = new List<byte[]>();
            foreach (var record in events)
            {
                var thing = new byte[sizeof(ulong)];
                BinaryPrimitives.WriteUInt64BigEndian(thing, record.Number.Value);
                if (index.Has(thing))
                    expected.AddRange(IndexItems.Of(index, thing, new ValuePlaces(WithKey(record))));
            }

            expected.Sort(ByteArrayComparer.Instance);
            var found = new List<byte[]>();
            byte[] prefix = IndexItems.Prefix(index.Number);
            var items = reader.Scan(prefix, KeyInterval.After(prefix), ulong.MaxValue);
            while (items.MoveNext())
                found.Add(items.Key.ToArray());
            Assert.True(
                expected.Select(Convert.ToHexString).SequenceEqual(found.Select(Convert.ToHexString)),
                $"{when}: {index.Name} over {string.Join(", ", index.Paths)} is {index.State}: {expected.Count} item(s) of the events, "
                    + $"{found.Count} in the index");
        }
    }

    private static void CheckAnswers(Run run, Random random, HashSet<QueryPlanKind> kinds)
    {
        CheckAnswer(run.Events, random, kinds);
        using (var snapshot = run.Snapshot())
        {
            Append(random, run.Events);
            Redact(random, run.Events);
            CheckAnswer(snapshot.Events, random, kinds);
        }

        using var rolledBack = run.BeginTransaction();
        for (var n = random.Next(4); n > 0; n--)
            Append(random, rolledBack.Events);
        Redact(random, rolledBack.Events);
        CheckAnswer(rolledBack.Events, random, kinds);
        rolledBack.Rollback();
    }

    private static void CheckAnswer(EventsView events, Random random, HashSet<QueryPlanKind> kinds)
    {
        var filter = random.Next(8) == 0 ? null : Random(random, 2, events.Head()?.Number.Value ?? 0);
        var order = Enumerable.Range(0, random.Next(3))
            .Select(_ => new QueryOrder(Paths[random.Next(Paths.Length)], random.Next(2) == 0)).ToList();
        var all = All(events).ToDictionary(record => record.Number.Value, WithKey);
        var expected = all.Where(pair => filter?.Matches(pair.Value) ?? true).Select(pair => pair.Key).ToList();
        expected.Sort((left, right) => Order(order, all[left], all[right]) is not 0 and var by ? by
            : left.CompareTo(right) * (order.Count > 0 && order[^1].IsDescending ? -1 : 1));
        var options = new QueryOptions { OrderBy = order, Limit = random.Next(1, 9) };
        var plan = events.Explain(filter, options);
        kinds.Add(plan.Kind);
        var (found, selected) = (new List<EventRecord>(), new List<Value>());
        do
        {
            var page = events.Query(filter, options);
            selected.AddRange(events.Select(["$", "$['$key']"], filter, options));
            found.AddRange(page);
            options = options with { Cursor = page.Cursor };
        }
        while (options.Cursor is not null);

        Assert.True(expected.SequenceEqual(found.Select(record => record.Number.Value)), $"{filter} by {string.Join(", ", order)}: {plan}");
        Assert.All(found, record => Assert.Equal(all[record.Number.Value], WithKey(record)));
        Assert.Equal(
            found.Select(record => Value.Object(("$", Document(record)), ("$['$key']", record.Number.ToString()))), selected);
    }

    private static int Order(List<QueryOrder> order, Value left, Value right)
    {
        foreach (var term in order)
        {
            var (one, other) = (Key(term.Path, left), Key(term.Path, right));
            if (one is null || other is null)
            {
                if (one is null != other is null)
                    return one is null ? 1 : -1;
                continue;
            }

            if (one.AsSpan().SequenceCompareTo(other) is not 0 and var by)
                return term.IsDescending ? -by : by;
        }

        return 0;
    }

    private static byte[]? Key(DocumentPath path, Value document) =>
        path.TryGet(document, out var value) ? IndexItems.TryScalar(value, int.MaxValue) : null;

    private static Filter Random(Random random, int depth, ulong head)
    {
        if (depth > 0 && random.Next(2) == 0)
            return RandomFilters.Join(random, () => Random(random, depth - 1, head));
        var path = Paths[random.Next(Paths.Length)];
        Value value = path.ToString() switch
        {
            "$.number" or "$.causes" or "$.causes[0]" => random.NextInt64((long)head + 2),
            "$.time" => FakeClock.Start + random.Next(200) * 1_000_000L,
            "$.type" => random.Next(4) == 0 ? "$redacted" : "t" + random.Next(4),
            _ => Pool[random.Next(Pool.Length)],
        };
        return random.Next(10) switch
        {
            0 or 1 or 2 => Filter.Eq(path, value),
            3 => Filter.Ne(path, value),
            4 => Filter.Gt(path, value),
            5 => Filter.Gte(path, value),
            6 => Filter.Lt(path, value),
            7 => Filter.In(path, value, 1, "t1"),
            8 => Filter.Contains(path, value),
            _ => Filter.Exists(path),
        };
    }

    // ---- what a door tells ------------------------------------------------------------------------------------------------------

    [Theory, ClassData(typeof(AllModes))]
    [Trait("Requirement", "IDX-1")]
    [Trait("Requirement", "EV-13")]
    public void IDX_1_An_index_over_payloads_finds_events_and_a_redacted_one_no_more(Durability mode)
    {
        using var world = new TestDatabase(mode);
        for (var n = 0; n < 200; n++)
            world.Run.Events.Append(n % 2 == 0 ? "even" : "odd", Value.Object(("cost", n), ("text", new string('x', n))));
        world.Run.Indexes.Define("cost", Over("$.payload.cost"));
        Build(world.Db);
        var filter = Filter.Parse("payload.cost gte 195 and type eq 'odd'");
        world.NowAndAfterReopening(() =>
        {
            Assert.Equal([195UL, 197UL, 199UL], world.Run.Events.Query(filter).Select(record => record.Number.Value));
            var plan = world.Run.Events.Explain(filter);
            Assert.Equal((QueryPlanKind.Index, 5L, 5L, 3), (plan.Kind, plan.ItemsRead, plan.ThingsRead, plan.Rows));
        });
        world.Run.Events.Redact(197, "a name stood in it");
        Assert.Equal([195UL, 199UL], world.Run.Events.Query(filter).Select(record => record.Number.Value));
        Assert.Equal(199L, world.Run.Indexes.Get("cost")!.Items);
        Assert.Equal(197UL, world.Run.Events.Query(Filter.Parse("redacted exists"))[0].Number.Value);
        Assert.Equal(["#195", "#196"], world.Run.Events.Select(["$['$key']"], Filter.Parse("number in [195, 196]"))
            .Select(row => row["$['$key']"].AsString()));
        var version = world.Run.Events.Get(3)!.Sequence;
        Assert.Equal(3UL, Assert.Single(world.Run.Events.Query(Filter.Parse($"$version eq {version.Value}"))).Number.Value);
        Assert.Equal("even", Assert.Single(world.Run.Events.Query(Filter.Parse("$key eq '#4'"))).Type);
    }

    [Theory, ClassData(typeof(AllModes))]
    [Trait("Requirement", "IDX-7")]
    public void IDX_7_The_past_and_a_fork_have_the_events_that_were_there(Durability mode)
    {
        using var world = new TestDatabase(mode);
        for (var n = 0; n < 40; n++)
            world.Run.Events.Append("e", Value.Object(("a", n % 4)));
        world.Run.Indexes.Define("a", Over("$.payload.a"));
        Build(world.Db);
        var filter = Filter.Parse("payload.a eq 3");
        var then = world.Db.Sequence;
        using var snapshot = world.Run.Snapshot();
        var fork = world.Db.Runs.Fork(world.Run.Id);
        world.Run.Events.Redact(3, "why");
        world.Run.Events.Append("e", Value.Object(("a", 3)));
        fork.Events.Redact(7, "why");
        Assert.Equal(10, snapshot.Events.Query(filter).Count);
        Assert.Equal(QueryPlanKind.Index, snapshot.Events.Explain(filter).Kind);
        Assert.Equal(10, world.Run.Events.Query(filter).Count);
        Assert.Equal(9, fork.Events.Query(filter).Count);
        CheckItems(world.Db, fork.Id, "the fork");
        if (!world.HasLog)
            return;
        using var view = world.Run.At(then);
        Assert.Equal(10, view.Events.Query(filter).Count);
        Assert.Equal(3UL, view.Events.Query(filter)[0].Number.Value);
        Assert.Equal(QueryPlanKind.Index, view.Events.Explain(filter).Kind);
    }

    [Fact]
    [Trait("Requirement", "IDX-1")]
    [Trait("Requirement", "IDX-13")]
    public void IDX_13_An_index_of_events_is_never_unique_and_keeps_nothing_of_the_version()
    {
        using var world = new TestDatabase(Durability.InMemory);
        Assert.Equal(ErrorCode.InvalidArgument, TestValues.Refused(() => world.Run.Indexes.Define(
            "a", Over("$.payload.a") with { IsUnique = true })));
        Assert.Equal(ErrorCode.InvalidArgument, TestValues.Refused(() => world.Run.Indexes.Define("a", Over("$['$version']"))));
        Assert.Equal(ErrorCode.InvalidArgument, TestValues.Refused(() => world.Run.Indexes.Define("a", Over("$"))));
    }

    [Fact]
    [Trait("Requirement", "IDX-8")]
    [Trait("Requirement", "TX-16")]
    [Trait("Promise", "G4")]
    public void IDX_8_A_query_of_events_in_a_transaction_has_read_its_interval_and_what_it_found()
    {
        using var world = new TestDatabase(Durability.InMemory);
        for (var n = 0; n < 60; n++)
            world.Run.Events.Append("e", Value.Object(("a", n), ("b", 0)));
        world.Run.Indexes.Define("by-a", Over("$.payload.a"));
        Build(world.Db);
        var filter = Filter.Parse("payload.a gte 10 and payload.a lt 13");
        (bool Conflicts, bool Owns, Action<Events> Meanwhile)[] cases =
        [
            (false, false, events => events.Append("e", Value.Object(("a", 13)))),       // of another interval
            (false, false, events => events.Redact(20, "why")),                          // not found
            (true, false, events => events.Append("e", Value.Object(("a", 12)))),
            (true, false, events => events.Redact(11, "why")),
            (true, true, events => events.Append("e", Value.Object(("a", 13)))),         // who sees one of his own has seen the end
        ];
        foreach (var (conflicts, owns, meanwhile) in cases)
        {
            var fork = world.Db.Runs.Fork(world.Run.Id);
            using var reads = fork.BeginTransaction();
            if (owns)
                reads.Events.Append("own", Value.Object(("a", 10)));
            Assert.Equal(QueryPlanKind.Index, reads.Events.Explain(filter).Kind);
            Assert.Equal(owns ? 4 : 3, reads.Events.Query(filter).Count);
            reads.Kv.Put("counted", 3);
            meanwhile(fork.Events);
            Assert.Equal(conflicts, Record.Exception(() => reads.Commit()) is ConflictException);
        }
    }

    // ---- what the tests are made of ---------------------------------------------------------------------------------------------

    private static IndexDefinition Over(params DocumentPath[] paths) => new() { Target = IndexTarget.Events, Paths = paths };

    private static void Build(CairnDatabase db)
    {
        while (db.Engine.IndexJob!.HasWorkInSight)
            db.Engine.IndexJob.Step();
    }
}
