using Cairn.Primitives;
using Cairn.Tests.Documents;
using Cairn.Tests.Transactions;
using Xunit;

namespace Cairn.Tests.Primitives;

/// <summary>Orders that are built in (IDX-11): queries use them, and the answer is that of looking at everything.</summary>
[Trait("Requirement", "IDX-11")]
public class QueryOrderTests
{
    private static readonly DocumentPath Key = "$['$key']";

    // ---- traces -----------------------------------------------------------------------------------------------------------------

    [Theory, ClassData(typeof(AllModes))]
    [Trait("Requirement", "IDX-3")]
    public void IDX_11_Traces_by_type_tag_parent_and_time(Durability mode)
    {
        var kinds = new HashSet<(QueryPlanKind, string)>();
        for (var seed = 1; seed <= 3; seed++)
            Traces(mode, new Random(seed), kinds);
        Assert.Superset(
            new HashSet<(QueryPlanKind, string)>
            {
                (QueryPlanKind.Index, "$type"), (QueryPlanKind.Index, "$tags"), (QueryPlanKind.Index, "$parent"),
                (QueryPlanKind.Index, "$time"), (QueryPlanKind.OrderedIndex, "$time"), (QueryPlanKind.OrderedIndex, "$type"),
            },
            kinds);
    }

    private static void Traces(Durability mode, Random random, HashSet<(QueryPlanKind, string)> kinds)
    {
        using var world = new TestDatabase(mode);
        var ids = new List<TraceId>();
        for (var step = 0; step < 40; step++)
        {
            for (var n = random.Next(8); n > 0; n--)
                ids.Add(Record(world.Run.Traces, random, ids));
            if (ids.Count > 0 && random.Next(3) == 0)
                world.Run.Traces.Redact(ids[random.Next(ids.Count)]);
            if (step % 9 == 8)
                world.Reopen(isKilled: random.Next(2) == 0);
            if (step % 13 == 12 && world.HasLog)
                world.CheckpointAndForget();
            Check(world.Run.Traces, random, ids, kinds);
            if (step % 4 > 0)
                continue;
            using var snapshot = world.Run.Snapshot();
            ids.Add(Record(world.Run.Traces, random, ids));
            Check(snapshot.Traces, random, ids, kinds);
            using var rolledBack = world.Run.BeginTransaction();
            for (var n = random.Next(3); n > 0; n--)
                Record(rolledBack.Traces, random, ids);
            rolledBack.Traces.Redact(ids[random.Next(ids.Count)]);
            Check(rolledBack.Traces, random, ids, kinds);
            rolledBack.Rollback();
        }
    }

    private static TraceId Record(Traces traces, Random random, List<TraceId> ids) => traces.Record(
        random.Next(3) == 0 ? new ErrorStep("k", "m", false) : random.Next(2) == 0 ? new ThoughtStep("t") : new CustomStep("c", 1),
        new TraceOptions
        {
            Timestamp = CommitClock.Time(Time(random)),
            Parent = ids.Count > 0 && random.Next(2) == 0 ? ids[random.Next(Math.Min(3, ids.Count))] : null,
            Tags = [.. random.GetItems(["red", "green", "blue"], random.Next(3)).Distinct()],
        });

    private static long Time(Random random) => FakeClock.Start + random.Next(-5, 30);

    private static void Check(TracesView traces, Random random, List<TraceId> ids, HashSet<(QueryPlanKind, string)> kinds)
    {
        for (var n = 0; n < 4; n++)
        {
            var filter = Random(random, 2, () => random.Next(5) switch
            {
                0 => Text(random, "$.type", "thought", "error", "custom", "query", "no such type"),
                1 => Filter.Contains("$.tags", Any(random, "red", "green", "yellow", new string('x', 300), "")),
                2 => Text(random, "$.parent", [.. ids.Take(3).Select(id => id.ToString()), "no id", default(TraceId).ToString()]),
                3 => Filter.Eq("$.redacted", true),
                _ => Number(random, "$.time", Time(random)),
            });
            Check(
                (paths, page) => traces.Select(paths, filter, page), page => traces.Explain(filter, page), filter,
                random.Next(3) > 0 ? [new("$.time", random.Next(2) == 0)] : [], random, kinds,
                Everything(traces.Select(["$", Key], null, new QueryOptions { Limit = 1_000 })));
        }
    }

    // ---- events -----------------------------------------------------------------------------------------------------------------

    [Theory, ClassData(typeof(AllModes))]
    [Trait("Requirement", "IDX-3")]
    public void IDX_11_Events_by_number_type_and_time(Durability mode)
    {
        var kinds = new HashSet<(QueryPlanKind, string)>();
        for (var seed = 1; seed <= 3; seed++)
            Events(mode, new Random(seed), kinds);
        Assert.Superset(
            new HashSet<(QueryPlanKind, string)>
            {
                (QueryPlanKind.Scan, "$number"), (QueryPlanKind.Scan, "$time"), (QueryPlanKind.Scan, "$type"),
            },
            kinds);
    }

    private static void Events(Durability mode, Random random, HashSet<(QueryPlanKind, string)> kinds)
    {
        using var world = new TestDatabase(mode);
        for (var step = 0; step < 40; step++)
        {
            for (var n = random.Next(6); n > 0; n--)
            {
                world.Run.Events.Append("t" + random.Next(step / 8 + 1), Value.Object(("n", n)));
                if (random.Next(3) == 0)
                    world.Clock.Advance(TimeSpan.FromMicroseconds(random.Next(3)));
            }

            if (step % 9 == 8)
                world.Reopen(isKilled: random.Next(2) == 0);
            if (step % 13 == 12 && world.HasLog)
                world.CheckpointAndForget();
            if (step % 11 == 10)
                world.Db.Engine.Trims!.TrimSome(world.Run.Id, Retention.KeepEvents(random.Next(5, 60)));
            Check(world.Run.Events, random, kinds);
            if (step % 4 > 0)
                continue;
            using var snapshot = world.Run.Snapshot();
            world.Run.Events.Append("late", Value.Object());
            Check(snapshot.Events, random, kinds);
            using var rolledBack = world.Run.BeginTransaction();
            for (var n = random.Next(3); n > 0; n--)
                rolledBack.Events.Append("t" + random.Next(3), Value.Object());
            Check(rolledBack.Events, random, kinds);
            rolledBack.Rollback();
        }
    }

    private static void Check(EventsView events, Random random, HashSet<(QueryPlanKind, string)> kinds)
    {
        var head = events.Head() is { } newest ? (long)newest.Number.Value : 0;
        var times = (long)(events.Get(Math.Max(events.Floor().Number.Value, (ulong)Math.Max(0, head - 20))) is { } known
            ? CommitClock.Microseconds(known.Time) : 0);
        for (var n = 0; n < 4; n++)
        {
            var filter = Random(random, 2, () => random.Next(4) switch
            {
                0 => Text(random, "$.type", "t0", "t1", "t2", "late", "nobody", ""),
                1 => Number(random, "$.number", random.NextInt64(-2, head + 4)),
                2 => Number(random, "$.time", times + random.Next(-3, 12)),
                _ => Filter.Gt("$.payload.n", 2),
            });
            Check(
                (paths, page) => events.Select(paths, filter, page), page => events.Explain(filter, page), filter,
                random.Next(3) switch
                {
                    0 => [],
                    1 => [new("$.number", random.Next(2) == 0)],
                    _ => [new("$.time", random.Next(2) == 0)],
                },
                random, kinds, Everything(events.Select(["$", Key], null, new QueryOptions { Limit = 1_000 })), isByNumber: true);
        }
    }

    [Fact]
    [Trait("Requirement", "TX-16")]
    [Trait("Promise", "G4")]
    public void A_query_of_a_stretch_has_read_that_and_the_stream_of_its_type()
    {
        using var world = new TestDatabase(Durability.InMemory);
        for (var n = 0; n < 40; n++)
            world.Run.Events.Append(n < 20 ? "early" : "late", Value.Object(("n", n)));
        (bool Conflicts, string Filter, Action<Events> Meanwhile)[] cases =
        [
            (false, "type eq 'early'", events => events.Append("late", Value.Object())),
            (true, "type eq 'early'", events => events.Append("early", Value.Object())),
            (true, "type eq 'nobody'", events => events.Append("nobody", Value.Object())),
            (false, "number lt 10", events => events.Append("late", Value.Object())),
            (true, "number lt 50", events => events.Append("late", Value.Object())),
            (true, "number gte 40", events => events.Append("late", Value.Object())),
            (true, "number lt 10", events => events.Redact(3, "why")),
            (false, "number lt 10", events => events.Redact(13, "why")),
        ];
        foreach (var (conflicts, filter, meanwhile) in cases)
        {
            var fork = world.Db.Runs.Fork(world.Run.Id);
            using var reads = fork.BeginTransaction();
            reads.Events.Query(Filter.Parse(filter));
            reads.Kv.Put("counted", 3);
            meanwhile(fork.Events);
            Assert.Equal((filter, conflicts), (filter, Xunit.Record.Exception(() => reads.Commit()) is ConflictException));
        }
    }

    [Fact]
    public void The_last_of_a_type_cost_what_is_shown()
    {
        using var world = new TestDatabase(Durability.InMemory);
        for (var n = 0; n < 500; n++)
        {
            world.Run.Events.Append("e", Value.Object());
            world.Run.Traces.Record(n % 2 == 0 ? new ThoughtStep("t") : new ErrorStep("k", "m", false));
        }

        var last = new QueryOptions { OrderBy = [new("$.time", IsDescending: true)], Limit = 5 };
        var plan = world.Run.Traces.Explain(Filter.Parse("type eq 'error'"), last);
        Assert.Equal((QueryPlanKind.OrderedIndex, 6L), (plan.Kind, plan.ThingsRead));
        Assert.Equal(["$type"], plan.Indexes);
        plan = world.Run.Events.Explain(Filter.Parse("number lt 300"), last);
        Assert.Equal((QueryPlanKind.Scan, 6L, false), (plan.Kind, plan.ThingsRead, plan.IsSorted));
        Assert.Equal([299UL, 298, 297, 296, 295], world.Run.Events.Query(Filter.Parse("number lt 300"), last)
            .Select(record => record.Number.Value));
    }

    // ---- runs -------------------------------------------------------------------------------------------------------------------

    [Theory, ClassData(typeof(AllModes))]
    [Trait("Requirement", "IDX-3")]
    [Trait("Requirement", "IDX-10")]
    public void IDX_11_Runs_by_status_tag_parent_and_name(Durability mode)
    {
        var kinds = new HashSet<(QueryPlanKind, string)>();
        for (var seed = 1; seed <= 3; seed++)
            Runs(mode, new Random(seed), kinds);
        Assert.Superset(
            new HashSet<(QueryPlanKind, string)>
            {
                (QueryPlanKind.Index, "$status"), (QueryPlanKind.Index, "$tags"), (QueryPlanKind.Index, "$parent"),
                (QueryPlanKind.Index, "$name"), (QueryPlanKind.Scan, ""),
            },
            kinds);
    }

    private static void Runs(Durability mode, Random random, HashSet<(QueryPlanKind, string)> kinds)
    {
        using var world = new TestDatabase(mode);
        var ids = new List<RunId>();
        world.Run.AddTags("red");                            // it has a record then, and is not listed
        for (var step = 0; step < 60; step++)
        {
            world.Clock.Advance(TimeSpan.FromMicroseconds(random.Next(3)));
            for (var n = random.Next(4); n > 0; n--)
                ids.Add(Begin(world.Db.Runs, random, ids, step * 10 + n));
            if (ids.Count > 0)
                Change(world.Db.Runs, random, ids);
            if (step % 9 == 8)
                world.Reopen(isKilled: random.Next(2) == 0);
            if (step % 13 == 12 && world.HasLog)
                world.CheckpointAndForget();
            Check(world.Db.Runs, random, ids, kinds);
        }
    }

    private static RunId Begin(Runs runs, Random random, List<RunId> ids, int number)
    {
        var tags = random.GetItems(["red", "green", "blue"], random.Next(3)).Distinct().ToArray();
        var name = random.Next(3) > 0 ? $"n{random.Next(3)}-{number}" : null;
        if (ids.Count > 0 && random.Next(4) == 0)
            return runs.Fork(ids[random.Next(ids.Count)], name: name).Id;
        return runs.Begin(
            name, ids.Count > 0 && random.Next(2) == 0 ? ids[random.Next(Math.Min(3, ids.Count))] : null, tags,
            random.Next(2) == 0 ? Value.Object(("a", random.Next(4)), ("model", "m" + random.Next(3))) : default(Value?)).Id;
    }

    private static void Change(Runs runs, Random random, List<RunId> ids)
    {
        var run = runs.Get(ids[random.Next(ids.Count)])!;
        try
        {
            switch (random.Next(8))
            {
                case 0:
                    run.Complete(random.Next(2) == 0 ? Value.Object(("score", random.Next(3))) : default(Value?));
                    break;
                case 1:
                    run.Fail("it went wrong");
                    break;
                case 2:
                    run.Pause();
                    break;
                case 3:
                    run.Archive();
                    break;
                case 4:
                    run.AddTags("late");
                    break;
                case 5:
                    run.RemoveTags("red", "late");
                    break;
                case 6:
                    run.UpdateMetadata(Value.Object(("a", random.Next(3) == 0 ? Value.Null : random.Next(4))));
                    break;
                default:
                    runs.Delete(run.Id);
                    ids.Remove(run.Id);
                    break;
            }
        }
        catch (InvalidTransitionException)
        {
        }
    }

    private static void Check(Runs runs, Random random, List<RunId> ids, HashSet<(QueryPlanKind, string)> kinds)
    {
        for (var n = 0; n < 4; n++)
        {
            var filter = Random(random, 2, () => random.Next(7) switch
            {
                0 => Text(random, "$.status", "active", "paused", "completed", "failed", "archived", "no such status"),
                1 => Filter.Contains("$.tags", Any(random, "red", "green", "late", new string('x', 300))),
                2 => Text(random, "$.parent", [.. ids.Take(3).Select(id => id.ToString()), "no id"]),
                3 => random.Next(2) == 0
                    ? Filter.Prefix("$.name", random.Next(4) == 0 ? "" : "n" + random.Next(4))
                    : Text(random, "$.name", [.. runs.List().Select(info => info.Name).OfType<string>().Take(5), "nobody"]),
                4 => Filter.Eq("$.metadata.a", random.Next(4)),
                5 => Filter.Exists("$.result.score"),
                _ => Number(random, "$.created", FakeClock.Start + random.Next(60)),
            });
            Check(
                (paths, page) => runs.Select(paths, filter, page), page => runs.Explain(filter, page), filter,
                random.Next(3) switch
                {
                    0 => [new("$.created", random.Next(2) == 0)],
                    1 => [new("$.metadata.model"), new("$['$version']", random.Next(2) == 0)],
                    _ => [],
                },
                random, kinds, Told(runs));
            var expected = runs.List(new RunFilter { Limit = 1_000 }).Where(info => filter.Matches(Document(info))).Select(info => info.Id);
            Assert.Equal(expected, runs.Query(filter, new QueryOptions { Limit = 1_000 }).Select(info => info.Id));
        }
    }

    private static Dictionary<string, Value> Told(Runs runs) => runs.List(new RunFilter { Limit = 1_000 }).ToDictionary(
        info => info.Id.ToString(),
        info => Value.Object(Document(info).AsObject().Append(new("$version", (long)info.Version.Value))));

    // What a run is to paths, put together from what the door tells of it.
    private static Value Document(RunInfo info)
    {
        (string Name, Value? Value)[] members =
        [
            ("name", info.Name is { } name ? name : default(Value?)),
            ("parent", info.Parent is { } parent ? parent.ToString() : default(Value?)),
            ("status", info.Status.ToString().ToLowerInvariant()),
            ("tags", info.Tags.Count == 0 ? default(Value?) : Value.Array(info.Tags.Select(tag => (Value)tag))),
            ("metadata", info.Metadata.Count == 0 ? default(Value?) : info.Metadata),
            ("created", CommitClock.Microseconds(info.Created!.Value)),
            ("completed", info.Completed is { } completed ? CommitClock.Microseconds(completed) : default(Value?)),
            ("fork", info.ForkSequence is { } fork ? (long)fork.Value : default(Value?)),
            ("error", info.Error is { } error ? error : default(Value?)), ("result", info.Result),
        ];
        return Value.Object(members.Where(member => member.Value is not null)
            .Select(member => KeyValuePair.Create(member.Name, member.Value!.Value)));
    }

    // ---- what the tests are made of ---------------------------------------------------------------------------------------------

    /// <param name="all">All things by their keys.</param>
    private static void Check(
        Func<DocumentPath[], QueryOptions, Page<Value>> select, Func<QueryOptions, QueryPlan> explain, Filter filter,
        List<QueryOrder> order, Random random, HashSet<(QueryPlanKind, string)> kinds, Dictionary<string, Value> all,
        bool isByNumber = false)
    {
        var expected = all.Where(pair => filter.Matches(pair.Value)).Select(pair => pair.Key).ToList();
        expected.Sort((left, right) =>
        {
            foreach (var term in order)
            {
                var (one, other) = (Scalar(term.Path, all[left]), Scalar(term.Path, all[right]));
                var by = one is null || other is null ? (one is null ? 1 : 0) - (other is null ? 1 : 0)
                    : one.AsSpan().SequenceCompareTo(other) * (term.IsDescending ? -1 : 1);
                if (by != 0)
                    return by;
            }

            var keys = isByNumber ? all[left]["number"].AsInt64().CompareTo(all[right]["number"].AsInt64())
                : string.CompareOrdinal(left, right);
            return order.Count > 0 && order[^1].IsDescending ? -keys : keys;
        });
        var options = new QueryOptions { OrderBy = order, Limit = random.Next(1, 9) };
        var plan = explain(options);
        foreach (var name in plan.Indexes.DefaultIfEmpty(""))
            kinds.Add((plan.Kind, name));
        var found = new List<Value>();
        do
        {
            var page = select(["$", Key], options);
            found.AddRange(page);
            options = options with { Cursor = page.Cursor };
        }
        while (options.Cursor is not null);
        Assert.True(
            expected.SequenceEqual(found.Select(row => row[Key.ToString()].AsString())), $"{filter} by {string.Join(", ", order)}: {plan}");
        Assert.All(found, row => Assert.Equal(Bare(all[row[Key.ToString()].AsString()]), row["$"]));
    }

    private static Value Bare(Value document) => Value.Object(document.AsObject().Where(member => member.Key != "$version"));

    // Nothing is asked, so all are looked at.
    private static Dictionary<string, Value> Everything(Page<Value> rows) =>
        rows.ToDictionary(row => row[Key.ToString()].AsString(), row => row["$"]);

    private static byte[]? Scalar(DocumentPath path, Value document) =>
        path.TryGet(document, out var value) ? IndexItems.TryScalar(value, int.MaxValue) : null;

    private static Filter Random(Random random, int depth, Func<Filter> condition) => depth > 0 && random.Next(2) == 0
        ? RandomFilters.Join(random, () => Random(random, depth - 1, condition))
        : condition();

    private static Value Any(Random random, params string[] texts) => random.Next(8) == 0 ? 7 : texts[random.Next(texts.Length)];

    private static Filter Text(Random random, DocumentPath path, params string[] texts) => random.Next(4) switch
    {
        0 => Filter.In(path, Any(random, texts), Any(random, texts), 7),
        1 => Filter.Ne(path, Any(random, texts)),
        _ => Filter.Eq(path, Any(random, texts)),
    };

    private static Filter Number(Random random, DocumentPath path, long about)
    {
        Value[] values =
        [
            about, (double)about, about + 0.5, double.NaN, double.PositiveInfinity, double.NegativeInfinity, 1e30, -1e30, long.MaxValue,
            long.MinValue, "a text",
        ];
        var value = random.Next(3) == 0 ? values[random.Next(values.Length)] : about;
        return random.Next(6) switch
        {
            0 => Filter.Eq(path, value),
            1 => Filter.Gt(path, value),
            2 => Filter.Gte(path, value),
            3 => Filter.Lt(path, value),
            4 => Filter.Lte(path, value),
            _ => Filter.Ne(path, value),
        };
    }
}
