using System.Globalization;
using System.Text;

namespace Cairn.Tests.Completeness;

/// <summary>A way into the database.</summary>
public enum Door
{
    /// <summary>A single call on a run, on the runs or on the database.</summary>
    Call,

    /// <summary>A call inside a transaction.</summary>
    Transaction,

    /// <summary>The commit itself: what grows there, or is only known there.</summary>
    Commit,

    /// <summary><c>cairn import swe-agent</c>.</summary>
    Import,

    /// <summary>A verb of the shell.</summary>
    Shell,
}

/// <summary>What a call of a row may use: the faces of a run, or of a transaction on it.</summary>
internal sealed record Faces(
    Kv Kv, Json Json, State State, Events Events, Traces Traces, VectorCollections Vectors, ConceptGraph Graph,
    Func<string[], object> AddTags, Func<Value, object> AddMetadata)
{
    internal static Faces Of(Run run) => new(
        run.Kv, run.Json, run.State, run.Events, run.Traces, run.Vectors, run.Graph, tags => run.AddTags(tags),
        patch => run.UpdateMetadata(patch));

    internal static Faces Of(Transaction transaction) => new(
        transaction.Kv, transaction.Json, transaction.State, transaction.Events, transaction.Traces, transaction.Vectors,
        transaction.Graph,
        tags =>
        {
            transaction.Run.AddTags(tags);
            return tags;
        },
        patch =>
        {
            transaction.Run.UpdateMetadata(patch);
            return patch;
        });
}

/// <summary>A verb with a standard input.</summary>
internal sealed record ShellCall(string Input, params string[] Arguments);

/// <summary>One limit of the table, and what meets it at each door.</summary>
/// <param name="Limit">Its name.</param>
/// <param name="Allowed">Its value in the library's attempts; those of the shell meet the default.</param>
/// <param name="Limits">The limits in force there.</param>
internal sealed record LimitRow(string Limit, long Allowed, Limits Limits)
{
    /// <summary>Things to do on a run and in a transaction, each with the measure that the limit bounds.</summary>
    internal Dictionary<string, Action<Faces, long>> Calls { get; init; } = [];

    /// <summary>Things to do that no transaction has.</summary>
    internal Dictionary<string, Action<CairnDatabase, Run, long>> OutsideCalls { get; init; } = [];

    /// <summary>A commit whose result has that measure, although nothing in it has.</summary>
    internal Action<Run, long>? Commit { get; init; }

    /// <summary>A trajectory to import.</summary>
    internal Func<long, string>? Import { get; init; }

    /// <summary>Calls of the shell.</summary>
    internal Dictionary<string, Func<long, ShellCall>> Shell { get; init; } = [];

    /// <summary>What the shell allows, where that is not the default.</summary>
    internal long? ShellAllowed { get; init; }

    /// <summary>Less is refused, not more.</summary>
    internal bool IsLeast { get; init; }

    /// <summary>Why the limit is not met at a door.</summary>
    internal Dictionary<Door, string> NotHere { get; init; } = [];

    /// <summary>A test of its own at a door, where the attempts of a row cannot be made: <c>Class.Method</c>.</summary>
    internal Dictionary<Door, string> Elsewhere { get; init; } = [];
}

/// <summary>The table: every limit at every door that exists. <see cref="LimitDoorTests"/> reads it, and fails for a limit or a door
/// without an entry.</summary>
internal static class LimitDoors
{
    private const string Whole = "judged when it is given; a commit makes nothing of this kind larger";
    private const string OneVerb = "a verb of the shell is one call; that of the library is the same one";
    private const string Fixed = "an import makes nothing of this kind, or always the same";

    /// <summary>Every call that takes a key.</summary>
    internal static Dictionary<string, Action<Faces, string>> KeyCalls { get; } = new()
    {
        ["kv.Put"] = (at, key) => at.Kv.Put(key, 1),
        ["kv.Put bytes"] = (at, key) => at.Kv.Put(key, new byte[1].AsSpan()),
        ["kv.PutMany"] = (at, key) => at.Kv.PutMany([new(key, 1)]),
        ["kv.TryAdd"] = (at, key) => at.Kv.TryAdd(key, 1),
        ["kv.CompareAndSet"] = (at, key) => at.Kv.CompareAndSet(key, Sequence.None, 1),
        ["kv.Increment"] = (at, key) => at.Kv.Increment(key),
        ["kv.Add"] = (at, key) => at.Kv.Add(key, 1),
        ["kv.Delete"] = (at, key) => at.Kv.Delete(key),
        ["kv.DeleteMany"] = (at, key) => at.Kv.DeleteMany([key]),
        ["kv.Expire"] = (at, key) => at.Kv.Expire(key, TimeSpan.FromHours(1)),
        ["kv.Persist"] = (at, key) => at.Kv.Persist(key),
        ["kv.Get"] = (at, key) => at.Kv.Get(key),
        ["kv.TryGet"] = (at, key) => at.Kv.TryGet(key, new byte[8], out _),
        ["kv.GetVersioned"] = (at, key) => at.Kv.GetVersioned(key),
        ["kv.Exists"] = (at, key) => at.Kv.Exists(key),
        ["kv.GetMany"] = (at, key) => at.Kv.GetMany([key]),
        ["kv.List prefix"] = (at, key) => at.Kv.List(new ScanOptions { Prefix = key }),
        ["kv.Scan from"] = (at, key) => at.Kv.Scan(new ScanOptions { From = key }),
        ["kv.Scan to"] = (at, key) => at.Kv.Scan(new ScanOptions { To = key }),
        ["kv.Count"] = (at, key) => at.Kv.Count(key),
        ["kv.History"] = (at, key) => at.Kv.History(key),
        ["kv.GetAt"] = (at, key) => at.Kv.GetAt(key, DateTimeOffset.MaxValue),
        ["json.Create"] = (at, key) => at.Json.Create(key, 1),
        ["json.Put"] = (at, key) => at.Json.Put(key, 1),
        ["json.PutMany"] = (at, key) => at.Json.PutMany([new(key, 1)]),
        ["json.GetOrCreate"] = (at, key) => at.Json.GetOrCreate(key, 1),
        ["json.Set"] = (at, key) => at.Json.Set(key, "$", 1),
        ["json.SetMany"] = (at, key) => at.Json.SetMany(key, [new("$", 1)]),
        ["json.CompareAndSet"] = (at, key) => at.Json.CompareAndSet(key, Sequence.None, "$", 1),
        ["json.CompareAndSetAt"] = (at, key) => at.Json.CompareAndSetAt(key, "$", null, 1),
        ["json.Increment"] = (at, key) => at.Json.Increment(key, "$.n", 1),
        ["json.Add"] = (at, key) => at.Json.Add(key, "$.n", 1),
        ["json.StringAppend"] = (at, key) => at.Json.StringAppend(key, "$.t", "x"),
        ["json.Delete"] = (at, key) => at.Json.Delete(key),
        ["json.Delete path"] = (at, key) => at.Json.Delete(key, "$.a"),
        ["json.Expire"] = (at, key) => at.Json.Expire(key, TimeSpan.FromHours(1)),
        ["json.Persist"] = (at, key) => at.Json.Persist(key),
        ["json.Get"] = (at, key) => at.Json.Get(key),
        ["json.GetVersioned"] = (at, key) => at.Json.GetVersioned(key),
        ["json.Exists"] = (at, key) => at.Json.Exists(key),
        ["json.KindOf"] = (at, key) => at.Json.KindOf(key),
        ["json.ArrayLength"] = (at, key) => at.Json.ArrayLength(key, "$.list"),
        ["json.ObjectKeys"] = (at, key) => at.Json.ObjectKeys(key, "$.o"),
        ["json.GetMany"] = (at, key) => at.Json.GetMany([key]),
        ["json.List prefix"] = (at, key) => at.Json.List(new ScanOptions { Prefix = key }),
        ["json.Scan from"] = (at, key) => at.Json.Scan(new ScanOptions { From = key }),
        ["json.Count"] = (at, key) => at.Json.Count(key),
        ["json.Query"] = (at, key) => at.Json.Query(key, JsonPath.Parse("$.a")),
        ["json.History"] = (at, key) => at.Json.History(key),
        ["json.GetAt"] = (at, key) => at.Json.GetAt(key, DateTimeOffset.MaxValue),
        ["vectors.Upsert"] = (at, key) => at.Vectors["notes"].Upsert(key, [1]),
        ["vectors.UpsertMany"] = (at, key) => at.Vectors["notes"].UpsertMany([new(key, new float[] { 1 })]),
        ["vectors.UpdateMetadata"] = (at, key) => at.Vectors["notes"].UpdateMetadata(key, Value.Object()),
        ["vectors.Delete"] = (at, key) => at.Vectors["notes"].Delete(key),
        ["vectors.DeleteMany"] = (at, key) => at.Vectors["notes"].DeleteMany([key]),
        ["vectors.Get"] = (at, key) => at.Vectors["notes"].Get(key),
        ["vectors.GetMany"] = (at, key) => at.Vectors["notes"].GetMany([key]),
        ["vectors.Exists"] = (at, key) => at.Vectors["notes"].Exists(key),
        ["vectors.Keys prefix"] = (at, key) => at.Vectors["notes"].Keys(new ScanOptions { Prefix = key }),
        ["graph.PutConcept"] = (at, key) => at.Graph.PutConcept(key),
        ["graph.GetConcept"] = (at, key) => at.Graph.GetConcept(key),
        ["graph.Exists"] = (at, key) => at.Graph.Exists(key),
        ["graph.DeleteConcept"] = (at, key) => at.Graph.DeleteConcept(key),
        ["graph.Associate source"] = (at, key) => at.Graph.Associate(key, "is", "b"),
        ["graph.Associate target"] = (at, key) => at.Graph.Associate("b", "is", key),
        ["graph.GetAssociation"] = (at, key) => at.Graph.GetAssociation("b", "is", key),
        ["graph.Dissociate"] = (at, key) => at.Graph.Dissociate(key, "is", "b"),
        ["graph.Associations"] = (at, key) => at.Graph.Associations(key),
        ["graph.Degree"] = (at, key) => at.Graph.Degree(key),
        ["graph.ListConcepts prefix"] = (at, key) => at.Graph.ListConcepts(new ScanOptions { Prefix = key }),
        ["graph.Touch"] = (at, key) => at.Graph.Touch([key]),
        ["graph.Feedback"] = (at, key) => at.Graph.Feedback([], [key]),
        ["state.Init"] = (at, key) => at.State.Init(key, 1),
        ["state.Set"] = (at, key) => at.State.Set(key, 1),
        ["state.CompareAndSet"] = (at, key) => at.State.CompareAndSet(key, Counter.None, 1),
        ["state.TransitionOrInit"] = (at, key) => at.State.TransitionOrInit(key, 1, value => value),
        ["state.GetOrInit"] = (at, key) => at.State.GetOrInit(key, () => 1),
        ["state.Delete"] = (at, key) => at.State.Delete(key),
        ["state.Expire"] = (at, key) => at.State.Expire(key, TimeSpan.FromHours(1)),
        ["state.Acquire"] = (at, key) => at.State.Acquire(key, "owner", TimeSpan.FromHours(1)),
        ["state.Renew"] = (at, key) => at.State.Renew(key, 1, TimeSpan.FromHours(1)),
        ["state.Release"] = (at, key) => at.State.Release(key, 1),
        ["state.Get"] = (at, key) => at.State.Get(key),
        ["state.TryGet"] = (at, key) => at.State.TryGet(key, out _),
        ["state.Exists"] = (at, key) => at.State.Exists(key),
        ["state.Require"] = (at, key) => at.State.Require(key, Counter.None),
        ["state.List"] = (at, key) => at.State.List(new ScanOptions { Prefix = key }),
        ["state.History"] = (at, key) => at.State.History(key),
        ["state.GetAt"] = (at, key) => at.State.GetAt(key, DateTimeOffset.MaxValue),
    };

    /// <summary>Every call that takes a name.</summary>
    internal static Dictionary<string, Action<Faces, string>> NameCalls { get; } = new()
    {
        ["events.Append"] = (at, name) => at.Events.Append(name, Value.Object()),
        ["events.AppendMany"] = (at, name) => at.Events.AppendMany([new NewEvent(name, Value.Object())]),
        ["events.CountByType"] = (at, name) => at.Events.CountByType(name),
        ["events.StreamInfo"] = (at, name) => at.Events.StreamInfo(name),
        ["events.ByType"] = (at, name) => at.Events.ByType(new EventScanOptions { Types = [name] }),
        ["consumers.Commit"] = (at, name) => at.Events.Consumers.Commit(name, default),
        ["consumers.Reset"] = (at, name) => at.Events.Consumers.Reset(name, default),
        ["consumers.Position"] = (at, name) => at.Events.Consumers.Position(name),
        ["state.Acquire owner"] = (at, name) => at.State.Acquire("lease", name, TimeSpan.FromHours(1)),
        ["traces.Record tag"] = (at, name) => at.Traces.Record(new ThoughtStep("x"), new TraceOptions { Tags = [name] }),
        ["traces.ByTag"] = (at, name) => at.Traces.ByTag(name),
        ["run.AddTags"] = (at, name) => at.AddTags([name]),
        ["graph.PutConcept type"] = (at, name) => at.Graph.PutConcept("a", new ConceptFields { Type = name }),
        ["graph.ListConcepts type"] = (at, name) => at.Graph.ListConcepts(name),
        ["graph.Associate type"] = (at, name) => at.Graph.Associate("a", name, "b"),
        ["graph.Associations type"] = (at, name) => at.Graph.Associations("a", new AssociationQuery { Types = [name] }),
        ["vectors.CreateCollection"] = (at, name) => at.Vectors.CreateCollection(name, new VectorDefinition { Dimension = 1 }),
        ["vectors.CreateCollection model"] = (at, name) => at.Vectors.CreateCollection(
            "notes", new VectorDefinition { Dimension = 1, Model = name }),
        ["vectors.DeleteCollection"] = (at, name) => at.Vectors.DeleteCollection(name),
        ["vectors.Upsert collection"] = (at, name) => at.Vectors[name].Upsert("k", [1]),
        ["vectors.GetCollection"] = (at, name) => at.Vectors.GetCollection(name),
        ["vectors.Search collection"] = (at, name) => at.Vectors[name].Search([1], 1),
    };

    private static void UpdateVector(Run run, long bytes)
    {
        if (!run.Vectors["notes"].Exists("k"))
            run.Vectors["notes"].Upsert("k", [1]);
        run.Vectors["notes"].UpdateMetadata("k", Metadata(bytes));
    }

    private static float[] Ones(long count) => [.. Enumerable.Repeat(1f, (int)count)];

    private static void MakeCollections(Run run, long count)
    {
        for (var i = 0; i < count; i++)
            run.Vectors.CreateCollection($"c{i}", new VectorDefinition { Dimension = 1 });
    }

    // A document to be changed.
    private static Json On(Run run, Value document)
    {
        run.Json.Put("k", document);
        return run.Json;
    }

    private static readonly Dictionary<Door, string> NotOfASearch = new()
    {
        [Door.Commit] = "a search commits nothing",
        [Door.Import] = "an import searches nothing",
        [Door.Shell] = "the same search, behind 'cairn search'",
    };

    private static readonly Limits Low = new()
    {
        ValueBytesMax = 4_000,
        StringBytesMax = 1_000,
        TransactionBytesMax = 4_000 + (64 << 10),
        DepthMax = 4,
        ArrayElementsMax = 6,
        ObjectMembersMax = 20,
        MetadataBytesMax = 300,
        TagsMax = 3,
        ManyItemsMax = 5,
        PageSizeMax = 6,
        PageSize = 4,
        HistoryVersionsMax = 5,
        IdempotencyKeyBytesMax = 20,
        IdempotencyKeysMax = 3,
        ForkDepthMax = 2,
        SubscriptionsMax = 3,
        TriggersMax = 3,
        IndexesMax = 3,
        VectorDimensionMax = 4,
        VectorMatchesMax = 5,
        CollectionsMax = 3,
        SearchHitsMax = 12,
        SearchTextBytesMax = 50,
        SearchTermsMax = 4,
    };

    internal static IReadOnlyList<LimitRow> Rows { get; } =
    [
        new(nameof(Limits.KeyBytesMax), Limits.KeyBytesMax, Low)
        {
            Calls = OfLength(KeyCalls),
            Import = n => Trajectory(Value.Object((Text(n), 1))),
            Shell = new()
            {
                ["kv put"] = n => new("", "kv", "put", Text(n), "v"),
                ["kv put-many"] = n => new(Value.Object((Text(n), 1)).ToJson(), "kv", "put-many", "-"),
                ["kv get"] = n => new("", "kv", "get", Text(n)),
                ["kv get --at"] = n => new("", "kv", "get", Text(n), "--at", "2001-01-31"),
                ["kv list"] = n => new("", "kv", "list", "--prefix", Text(n)),
                ["kv history"] = n => new("", "kv", "history", Text(n)),
                ["json put"] = n => new("", "json", "put", Text(n), "1"),
                ["vector upsert"] = n => new("", "vector", "upsert", "notes", Text(n), "[1]"),
                ["vector get"] = n => new("", "vector", "get", "notes", Text(n)),
                ["json set"] = n => new("", "json", "set", Text(n), "/a", "1"),
                ["json get"] = n => new("", "json", "get", Text(n)),
                ["json get --at"] = n => new("", "json", "get", Text(n), "--at", "2001-01-31"),
                ["json query"] = n => new("", "json", "query", Text(n), "$.a"),
                ["json history"] = n => new("", "json", "history", Text(n)),
                ["state set"] = n => new("", "state", "set", Text(n), "v"),
                ["graph put"] = n => new("", "graph", "put", Text(n)),
                ["graph get"] = n => new("", "graph", "get", Text(n)),
                ["graph associate"] = n => new("", "graph", "associate", "a", "is", Text(n)),
                ["graph associations"] = n => new("", "graph", "associations", Text(n)),
                ["state lease acquire"] = n => new("", "state", "lease", "acquire", Text(n), "me", "1h"),
            },
            NotHere = { [Door.Commit] = Whole },
        },
        new(nameof(Limits.NameBytesMax), Limits.NameBytesMax, Low)
        {
            Calls = OfLength(NameCalls),
            OutsideCalls = new()
            {
                ["runs.Begin"] = (db, _, n) => db.Runs.Begin(Text(n)),
                ["runs.Begin tag"] = (db, _, n) => db.Runs.Begin(tags: [Text(n)]),
                ["runs.Get"] = (db, _, n) => db.Runs.Get(Text(n)),
                ["runs.Exists"] = (db, _, n) => db.Runs.Exists(Text(n)),
                ["runs.List tag"] = (db, _, n) => db.Runs.List(new RunFilter { Tag = Text(n) }),
                ["run.RemoveTags"] = (_, run, n) => run.RemoveTags(Text(n)),
                ["run.With actor"] = (_, run, n) => run.With(new CommitAttributes { Actor = Text(n) }).Kv.Put("k", 1),
                ["run.With tool"] = (_, run, n) => run.With(new CommitAttributes { Tool = Text(n) }).Kv.Put("k", 1),
                ["run.With source"] = (_, run, n) => run.With(new CommitAttributes { SourceKind = Text(n) }).Kv.Put("k", 1),
                ["runs.With actor"] = (db, _, n) => db.Runs.With(By(new CommitAttributes { Actor = Text(n) })),
                ["run.Transact actor"] = (_, run, n) => run.Transact(
                    tx => tx.Kv.Put("k", 1), new TransactionOptions { Commit = By(new CommitAttributes { Actor = Text(n) }) }),
            },
            Shell = new()
            {
                ["kv put --actor"] = n => new("", "kv", "put", "k", "v", "--actor", Text(n)),
                ["kv put --tool"] = n => new("", "kv", "put", "k", "v", "--tool", Text(n)),
                ["run begin"] = n => new("", "run", "begin", Text(n)),
                ["run begin --tag"] = n => new("", "run", "begin", "--tag", Text(n)),
                ["kv put --run"] = n => new("", "kv", "put", "k", "v", "--run", Text(n)),
                ["events append"] = n => new("", "events", "append", Text(n)),
                ["events consumers commit"] = n => new("", "events", "consumers", "commit", Text(n), "0"),
                ["trace record --tag"] = n => new("", "trace", "record", "thought", "{\"content\":\"x\"}", "--tag", Text(n)),
                ["state lease acquire"] = n => new("", "state", "lease", "acquire", "lease", Text(n), "1h"),
                ["index create"] = n => new("", "index", "create", Text(n), "/a", "--on", "documents"),
                ["index get"] = n => new("", "index", "get", Text(n)),
                ["index drop"] = n => new("", "index", "drop", Text(n)),
            },
            NotHere =
            {
                [Door.Commit] = Whole,
                [Door.Import] = "the run has the file's name, and none is that long; tags and event types are the importer's own",
            },
        },
        new(nameof(Limits.ValueBytesMax), Low.ValueBytesMax, Low)
        {
            Calls = new()
            {
                ["kv.Put"] = (at, n) => at.Kv.Put("k", Sized(n)),
                ["kv.PutMany"] = (at, n) => at.Kv.PutMany([new("k", Sized(n))]),
                ["kv.TryAdd"] = (at, n) => at.Kv.TryAdd("k", Sized(n)),
                ["kv.CompareAndSet"] = (at, n) => at.Kv.CompareAndSet("k", Sequence.None, Sized(n)),
                ["json.Create"] = (at, n) => at.Json.Create("k", Sized(n)),
                ["json.Put"] = (at, n) => at.Json.Put("k", Sized(n)),
                ["json.Set"] = (at, n) => at.Json.Set("k", "$", Sized(n)),
                ["json.Set member"] = (at, n) => at.Json.Set("k", "$.m", Sized(n - 3)),
                ["state.Init"] = (at, n) => at.State.Init("c", Sized(n)),
                ["state.Set"] = (at, n) => at.State.Set("c", Sized(n)),
                ["state.TransitionOrInit"] = (at, n) => at.State.TransitionOrInit("c", 1, _ => Sized(n)),
                ["events.Append"] = (at, n) => at.Events.Append("t", SizedObject(n)),
                ["events.AppendMany"] = (at, n) => at.Events.AppendMany([new NewEvent("t", SizedObject(n))]),
            },
            OutsideCalls = new()
            {
                ["run.Complete"] = (_, run, n) => run.Complete(Sized(n)),
                ["json.Merge"] = (_, run, n) => On(run, Value.Object()).Merge("k", SizedObject(n)),
                ["json.Patch"] = (_, run, n) =>
                    On(run, Value.Object()).Patch("k", new JsonPatch(JsonPatchOperation.Add("/m", Sized(n - 3)))),
                ["json.ArrayAppend"] = (_, run, n) => On(run, Value.Array()).ArrayAppend("k", "$", Sized(n - 1)),
                ["json.StringAppend"] = (_, run, n) => On(run, Value.Object(("a", Sized(n - 203)))).StringAppend("k", "$.b", Text(196)),
                ["json.PutAsync"] = (_, run, n) => run.Json.PutAsync("k", Sized(n)).AsTask().GetAwaiter().GetResult(),
                ["json.SetAsync"] = (_, run, n) => run.Json.SetAsync("k", "$", Sized(n)).AsTask().GetAwaiter().GetResult(),
                ["kv.PutAsync"] = (_, run, n) => run.Kv.PutAsync("k", Sized(n)).AsTask().GetAwaiter().GetResult(),
                ["state.SetAsync"] = (_, run, n) => run.State.SetAsync("c", Sized(n)).AsTask().GetAwaiter().GetResult(),
                ["events.AppendAsync"] = (_, run, n) => run.Events.AppendAsync("t", SizedObject(n)).AsTask().GetAwaiter().GetResult(),
            },
            Import = n => Trajectory(1, info: Value.Object(("big", Text(n - 5)))),
            Shell = new()
            {
                ["kv put"] = n => new(Text(n - 5), "kv", "put", "k", "-"),
                ["json put"] = n => new(Text(n - 5), "json", "put", "k", "-", "--type", "string"),
                ["json set"] = n => new(Text(n - 5), "json", "set", "k", "$", "-", "--type", "string"),
                ["state set"] = n => new(Text(n - 5), "state", "set", "c", "-"),
                ["events append"] = n => new(Value.Object(("m", Text(n - 8))).ToJson(), "events", "append", "t", "-"),
            },
            NotHere = { [Door.Commit] = Whole },
        },
        new(nameof(Limits.StringBytesMax), Low.StringBytesMax, Low)
        {
            Calls = new()
            {
                ["kv.Put"] = (at, n) => at.Kv.Put("k", Text(n)),
                ["kv.Put bytes"] = (at, n) => at.Kv.Put("k", new byte[n].AsSpan()),
                ["kv.Put member name"] = (at, n) => at.Kv.Put("k", Value.Object((Text(n), 1))),
                ["json.Put"] = (at, n) => at.Json.Put("k", Value.Object(("m", Text(n)))),
                ["json.Set"] = (at, n) => at.Json.Set("k", "$.m", Text(n)),
                ["json.Set member name"] = (at, n) => at.Json.Set("k", DocumentPath.Root.Member(Text(n)), 1),
                ["state.Set"] = (at, n) => at.State.Set("c", Value.Array(Text(n))),
                ["events.Append"] = (at, n) => at.Events.Append("t", Value.Object(("m", Text(n)))),
                ["traces.Record"] = (at, n) => at.Traces.Record(new ThoughtStep(Text(n))),
            },
            OutsideCalls = new()
            {
                ["json.StringAppend"] = (_, run, n) => On(run, Text(n - 1)).StringAppend("k", "$", "x"),
                ["json.Increment member name"] = (_, run, n) => run.Json.Increment("k", DocumentPath.Root.Member(Text(n)), 1),
                ["json.Patch member name"] = (_, run, n) => On(run, Value.Object()).Patch(
                    "k", new JsonPatch(JsonPatchOperation.Add(DocumentPath.Root.Member(Text(n)), 1))),
            },
            NotHere =
            {
                [Door.Commit] = Whole,
                [Door.Import] = "at the defaults a string that long makes a value that LIM-3 refuses",
                [Door.Shell] = "at the defaults a string that long makes a value that LIM-3 refuses",
            },
        },
        new(nameof(Limits.DepthMax), Low.DepthMax, Low)
        {
            Calls = new()
            {
                ["json.Put"] = (at, n) => at.Json.Put("k", Nested(n)),
                ["json.Set"] = (at, n) => at.Json.Set("k", "$.m", Nested(n - 1)),
                ["kv.Put"] = (at, n) => at.Kv.Put("k", Nested(n)),
                ["kv.PutMany"] = (at, n) => at.Kv.PutMany([new("k", Nested(n))]),
                ["state.Set"] = (at, n) => at.State.Set("c", Nested(n)),
                ["events.Append"] = (at, n) => at.Events.Append("t", Value.Object(("m", Nested(n - 1)))),
            },
            OutsideCalls = new()
            {
                ["run.Complete"] = (_, run, n) => run.Complete(Nested(n)),
                ["json.Merge"] = (_, run, n) => On(run, Value.Object()).Merge("k", "$.m", Value.Object(("m", Nested(n - 2)))),
                ["json.Patch"] = (_, run, n) => On(run, Value.Object()).Patch(
                    "k", new JsonPatch(JsonPatchOperation.Add("/m", Nested(n - 1)))),
                ["json.Increment"] = (_, run, n) => run.Json.Increment(
                    "k", Enumerable.Range(0, (int)n).Aggregate(DocumentPath.Root, (path, _) => path.Member("m")), 1),
            },
            Import = n => Trajectory(1, info: Value.Object(("deep", Nested(n)))),
            Shell = new()
            {
                ["kv put"] = n => new(Nested(n).ToJson(), "kv", "put", "k", "-", "--type", "json"),
                ["json put"] = n => new(Nested(n).ToJson(), "json", "put", "k", "-"),
                ["json set"] = n => new(Nested(n - 1).ToJson(), "json", "set", "k", "/m", "-"),
                ["events append"] = n => new(Value.Object(("m", Nested(n - 1))).ToJson(), "events", "append", "t", "-"),
            },
            NotHere = { [Door.Commit] = Whole },
        },
        new(nameof(Limits.ArrayElementsMax), Low.ArrayElementsMax, Low)
        {
            Calls = new()
            {
                ["json.Put"] = (at, n) => at.Json.Put("k", Elements(n)),
                ["kv.Put"] = (at, n) => at.Kv.Put("k", Elements(n)),
                ["state.Set"] = (at, n) => at.State.Set("c", Value.Object(("m", Elements(n)))),
                ["events.Append"] = (at, n) => at.Events.Append("t", Value.Object(("m", Elements(n)))),
            },
            OutsideCalls = new()
            {
                ["run.Complete"] = (_, run, n) => run.Complete(Elements(n)),
                ["json.Set append"] = (_, run, n) => On(run, Elements(n - 1)).Set("k", "$[-]", 1),
                ["json.ArrayAppend"] = (_, run, n) => On(run, Elements(n - 1)).ArrayAppend("k", "$", 1),
                ["json.ArrayInsert"] = (_, run, n) => On(run, Elements(n - 1)).ArrayInsert("k", "$", 0, 1),
                ["json.Patch"] = (_, run, n) => On(run, Elements(n - 1)).Patch(
                    "k", new JsonPatch(JsonPatchOperation.Add("/0", 1))),
            },
            Import = n => Trajectory(1, info: Value.Object(("many", Elements(n)))),
            Shell = new()
            {
                ["kv put"] = n => new(Elements(n).ToJson(), "kv", "put", "k", "-", "--type", "json"),
                ["json put"] = n => new(Elements(n).ToJson(), "json", "put", "k", "-"),
            },
            NotHere = { [Door.Commit] = Whole },
        },
        new(nameof(Limits.ObjectMembersMax), Low.ObjectMembersMax, Low)
        {
            Calls = new()
            {
                ["json.Put"] = (at, n) => at.Json.Put("k", Members(n)),
                ["kv.Put"] = (at, n) => at.Kv.Put("k", Members(n)),
                ["state.Set"] = (at, n) => at.State.Set("c", Value.Array(Members(n))),
                ["events.Append"] = (at, n) => at.Events.Append("t", Members(n)),
            },
            OutsideCalls = new()
            {
                ["run.Complete"] = (_, run, n) => run.Complete(Members(n)),
                ["json.Set"] = (_, run, n) => On(run, Members(n - 1)).Set("k", "$.another", 1),
                ["json.Merge"] = (_, run, n) => On(run, Members(n - 1)).Merge("k", Value.Object(("another", 1))),
            },
            Import = n => Trajectory(1, info: Value.Object(("many", Members(n)))),
            Shell = new()
            {
                ["kv put"] = n => new(Members(n).ToJson(), "kv", "put", "k", "-", "--type", "json"),
                ["json put"] = n => new(Members(n).ToJson(), "json", "put", "k", "-"),
            },
            NotHere = { [Door.Commit] = Whole },
        },
        new(nameof(Limits.MetadataBytesMax), Low.MetadataBytesMax, Low)
        {
            Calls = new()
            {
                ["traces.Record"] = (at, n) => at.Traces.Record(new ThoughtStep("x"), new TraceOptions { Metadata = Metadata(n) }),
                ["run.UpdateMetadata"] = (at, n) => at.AddMetadata(Metadata(n)),
                ["graph.PutConcept attributes"] = (at, n) => at.Graph.PutConcept("a", new ConceptFields { Attributes = Metadata(n) }),
                ["graph.Associate attributes"] = (at, n) => at.Graph.Associate(
                    "a", "is", "b", new AssociationOptions { Attributes = Metadata(n) }),
                ["vectors.Upsert"] = (at, n) => at.Vectors["notes"].Upsert("k", [1], Metadata(n)),
                ["vectors.UpsertMany"] = (at, n) => at.Vectors["notes"].UpsertMany([new("k", new float[] { 1 }, Metadata(n))]),
                ["events.Redact reason"] = (at, n) => at.Events.Redact(default, Text(n)),
            },
            OutsideCalls = new()
            {
                ["runs.Begin"] = (db, _, n) => db.Runs.Begin(metadata: Metadata(n)),
                ["run.Fail"] = (_, run, n) => run.Fail(Text(n)),
                ["vectors.UpdateMetadata"] = (_, run, n) => UpdateVector(run, n),
                ["run.With entries"] = (_, run, n) => run.With(Entries(n)).Kv.Put("k", 1),
                ["run.Transact entries"] = (_, run, n) => run.Transact(
                    tx => tx.Kv.Put("k", 1), new TransactionOptions { Commit = By(Entries(n)) }),
                ["run.Cancel"] = (_, run, n) => run.Cancel(Text(n)),
                ["runs.Abort"] = (db, run, n) => db.Runs.Abort(run.Id, Text(n)),
                ["run.TransactOnce answer"] = (_, run, n) => run.TransactOnce("k", Value (_) => Text(n - 3)),
            },

            // Each patch is small; what they make together is known at the commit, from the newest metadata.
            Commit = (run, n) =>
            {
                run.UpdateMetadata(Value.Object(("a", Text(100))));
                run.UpdateMetadata(Value.Object(("b", Text(n - 109))));
            },
            Shell = new()
            {
                ["run begin --meta"] = n => new("", "run", "begin", "--meta", Metadata(n).ToJson()),
                ["run meta"] = n => new("", "run", "meta", "r", Metadata(n).ToJson()),
                ["run fail"] = n => new("", "run", "fail", "r", Text(n)),
                ["trace record --meta"] = n => new(
                    "", "trace", "record", "thought", "{\"content\":\"x\"}", "--meta", Metadata(n).ToJson()),
                ["events redact"] = n => new("", "events", "redact", "0", Text(n)),
            },
            NotHere = { [Door.Import] = "what an import says about its run has a fixed form: source, file, hash, number of steps" },
        },
        new(nameof(Limits.TagsMax), Low.TagsMax, Low)
        {
            Calls = new()
            {
                ["traces.Record"] = (at, n) => at.Traces.Record(new ThoughtStep("x"), new TraceOptions { Tags = Texts(n) }),
                ["run.AddTags"] = (at, n) => at.AddTags(Texts(n)),
            },
            OutsideCalls = new() { ["runs.Begin"] = (db, _, n) => db.Runs.Begin(tags: Texts(n)) },
            Commit = (run, n) =>
            {
                run.AddTags(Texts(n - 1));
                run.AddTags("one more");
            },
            Shell = new()
            {
                ["run begin --tag"] = n => new("", ["run", "begin", .. Texts(n).SelectMany(tag => new[] { "--tag", tag })]),
                ["run tag"] = n => new("", ["run", "tag", "r", .. Texts(n)]),
                ["trace record --tag"] = n => new(
                    "", ["trace", "record", "thought", "{\"content\":\"x\"}", .. Texts(n).SelectMany(tag => new[] { "--tag", tag })]),
            },
            NotHere = { [Door.Import] = Fixed },
        },
        new(nameof(Limits.ManyItemsMax), Low.ManyItemsMax, Low)
        {
            Calls = new()
            {
                ["kv.PutMany"] = (at, n) => at.Kv.PutMany([.. Texts(n).Select(key => KeyValuePair.Create(key, (Value)1))]),
                ["kv.GetMany"] = (at, n) => at.Kv.GetMany(Texts(n)),
                ["json.PutMany"] = (at, n) => at.Json.PutMany([.. Texts(n).Select(key => KeyValuePair.Create(key, (Value)1))]),
                ["json.SetMany"] = (at, n) => at.Json.SetMany(
                    "k", [.. Texts(n).Select(key => KeyValuePair.Create(DocumentPath.Root.Member(key), (Value)1))]),
                ["json.GetMany"] = (at, n) => at.Json.GetMany(Texts(n)),
                ["kv.DeleteMany"] = (at, n) => at.Kv.DeleteMany(Texts(n)),
                ["vectors.UpsertMany"] = (at, n) => at.Vectors["notes"].UpsertMany(
                    [.. Texts(n).Select(key => new VectorItem(key, new float[] { 1 }))]),
                ["vectors.DeleteMany"] = (at, n) => at.Vectors["notes"].DeleteMany(Texts(n)),
                ["vectors.GetMany"] = (at, n) => at.Vectors["notes"].GetMany(Texts(n)),
                ["vectors.Search queries"] = (at, n) => at.Vectors["notes"].Search(
                    [.. Texts(n).Select(_ => (ReadOnlyMemory<float>)new float[] { 1 })], 1),
                ["events.AppendMany"] = (at, n) => at.Events.AppendMany([.. Texts(n).Select(type => new NewEvent(type, Value.Object()))]),
                ["traces.Record causes"] = (at, n) => at.Traces.Record(new ThoughtStep("x"), new TraceOptions { Causes = new long[n] }),
            },
            Shell = new()
            {
                ["kv put-many"] = n => new("", ["kv", "put-many", .. Texts(n).Select(key => key + "=1")]),
                ["kv put-many -"] = n => new(Members(n).ToJson(), "kv", "put-many", "-"),
                ["kv get-many"] = n => new("", ["kv", "get-many", .. Texts(n)]),
                ["json put-many"] = n => new("", ["json", "put-many", .. Texts(n).Select(id => id + "=1")]),
                ["json put-many -"] = n => new(Members(n).ToJson(), "json", "put-many", "-"),
                ["json get-many"] = n => new("", ["json", "get-many", .. Texts(n)]),
                ["json set-many"] = n => new("", ["json", "set-many", "k", .. Texts(n).Select(name => $"/{name}=1")]),
                ["kv delete"] = n => new("", ["kv", "delete", .. Texts(n)]),
                ["events append-many"] = n => new(string.Concat(Texts(n).Select(_ => "{\"type\":\"t\"}\n")), "events", "append-many"),
            },
            NotHere = { [Door.Commit] = Whole, [Door.Import] = "each step is a transaction of single calls" },
        },
        new(nameof(Limits.TransactionOperationsMax), 7, Low with { TransactionOperationsMax = 7, ManyItemsMax = 100 })
        {
            Calls = new()
            {
                ["kv.PutMany"] = (at, n) => at.Kv.PutMany([.. Texts(n).Select(key => KeyValuePair.Create(key, (Value)1))]),
                ["events.AppendMany"] = (at, n) => at.Events.AppendMany([.. Texts(n).Select(type => new NewEvent(type, Value.Object()))]),
            },
            Commit = (run, n) => run.Transact(tx =>
            {
                tx.Run.AddTags("tag");
                foreach (var key in Texts(n - 1))
                    tx.Kv.Put(key, 1);
            }),

            // Two events, one trace and the cell of the importer come with the cells of a step.
            Import = n => Trajectory(Members(n - 4)),
            NotHere = { [Door.Shell] = "a verb is one call, or one over many, whose own limit is lower at the defaults" },
        },
        new(nameof(Limits.TransactionBytesMax), Low.TransactionBytesMax, Low)
        {
            Elsewhere =
            {
                [Door.Call] = "LimitDoorTests.LIM_17_LIM_41_A_call_over_many_that_is_too_large_is_refused_before_it_is_copied",
                [Door.Transaction] = "LimitDoorTests.LIM_17_LIM_41_A_transaction_that_is_too_large_is_refused_at_the_call_that_makes_it_so",
                [Door.Commit] = "TransactionTests.LIM17_The_payload_of_a_transaction_at_n_minus_1_n_and_n_plus_1",
                [Door.Import] = "LimitShellTests.LIM_17_A_step_and_a_call_over_many_that_are_too_large_are_refused",
                [Door.Shell] = "LimitShellTests.LIM_17_A_step_and_a_call_over_many_that_are_too_large_are_refused",
            },
        },
        new(nameof(Limits.TransactionTimeMax), 30_000, Low)
        {
            Elsewhere =
            {
                [Door.Transaction] = "TransactionTests.LIM18_A_timeout_may_not_exceed_the_limit_and_must_be_positive",
                [Door.Commit] = "TransactionTests.TX32_LIM18_A_transaction_that_lived_too_long_is_refused_at_each_operation_and_at_commit",
            },
            NotHere =
            {
                [Door.Call] = "a single call has no life of its own",
                [Door.Import] = "a step's transaction holds what is in memory already",
                [Door.Shell] = OneVerb,
            },
        },
        new(nameof(Limits.TransactionRunsMax), 3, Low)
        {
            Elsewhere = { [Door.Transaction] = "TransactionTests.LIM19_Runs_of_a_transaction_at_n_minus_1_n_and_n_plus_1" },
            NotHere =
            {
                [Door.Call] = "a single call is on one run",
                [Door.Commit] = Whole,
                [Door.Import] = "a step is on one run",
                [Door.Shell] = "a verb is on one run",
            },
        },
        new(nameof(Limits.PageSizeMax), Low.PageSizeMax, Low)
        {
            Calls = new()
            {
                ["kv.List"] = (at, n) => at.Kv.List(new ScanOptions { Limit = (int)n }),
                ["kv.Scan"] = (at, n) => at.Kv.Scan(new ScanOptions { Limit = (int)n }),
                ["vectors.Keys"] = (at, n) => at.Vectors["notes"].Keys(new ScanOptions { Limit = (int)n }),
                ["vectors.ListCollections"] = (at, n) => at.Vectors.ListCollections(new ScanOptions { Limit = (int)n }),
                ["state.List"] = (at, n) => at.State.List(new ScanOptions { Limit = (int)n }),
                ["state.Scan"] = (at, n) => at.State.Scan(new ScanOptions { Limit = (int)n }),
                ["events.Since"] = (at, n) => at.Events.Since(default, new EventScanOptions { Limit = (int)n }),
                ["events.ByType"] = (at, n) => at.Events.ByType(new EventScanOptions { Types = ["t"], Limit = (int)n }),
                ["events.Types"] = (at, n) => at.Events.Types(new ScanOptions { Limit = (int)n }),
                ["consumers.List"] = (at, n) => at.Events.Consumers.List(new ScanOptions { Limit = (int)n }),
                ["traces.List"] = (at, n) => at.Traces.List(new TracePage { Limit = (int)n }),
                ["traces.Roots"] = (at, n) => at.Traces.Roots(new TracePage { Limit = (int)n }),
                ["traces.ByTag"] = (at, n) => at.Traces.ByTag("t", new TracePage { Limit = (int)n }),
            },
            OutsideCalls = new()
            {
                ["runs.List"] = (db, _, n) => db.Runs.List(new RunFilter { Limit = (int)n }),
                ["runs.Children"] = (db, run, n) => db.Runs.Children(run.Id, (int)n),
                ["run.Commits"] = (_, run, n) => Commits(run, n),
                ["view.Steps"] = (db, run, n) => Steps(db, run, n),
            },
            NotHere =
            {
                [Door.Commit] = Whole,
                [Door.Import] = Fixed,
                [Door.Shell] = "--limit counts rows of the whole answer, which is read in the largest pages",
            },
        },
        new(nameof(Limits.PageSize), Low.PageSize, Low)
        {
            Elsewhere = { [Door.Call] = "KvTests.LIM26_A_page_holds_the_default_the_asked_and_at_most_the_limit" },
            NotHere =
            {
                [Door.Transaction] = "the same listing",
                [Door.Commit] = Whole,
                [Door.Import] = Fixed,
                [Door.Shell] = "the shell always names a size",
            },
        },
        new(nameof(Limits.CursorsMax), 100, Low)
        {
            Elsewhere = { [Door.Call] = "KvTests.LIM27_Of_too_many_open_cursors_the_one_not_used_for_longest_expires" },
            NotHere =
            {
                [Door.Transaction] = "a cursor of a transaction lives on the transaction's own pin",
                [Door.Commit] = Whole,
                [Door.Import] = Fixed,
                [Door.Shell] = "a verb has one cursor at a time",
            },
        },
        new(nameof(Limits.SubscriptionsMax), Low.SubscriptionsMax, Low)
        {
            OutsideCalls = new() { ["events.WaitAsync"] = (_, run, n) => WaitForEvents(run, n) },
            NotHere =
            {
                [Door.Transaction] = "in a transaction nothing can come, so nothing waits",
                [Door.Commit] = Whole,
                [Door.Import] = Fixed,
                [Door.Shell] = "a verb follows one run",
            },
        },
        new(nameof(Limits.TriggersMax), Low.TriggersMax, Low)
        {
            OutsideCalls = new() { ["triggers.Create"] = (_, run, n) => MakeTriggers(run, n) },
            NotHere =
            {
                [Door.Transaction] = "triggers are made outside transactions",
                [Door.Commit] = Whole,
                [Door.Import] = Fixed,
                [Door.Shell] = OneVerb,
            },
        },
        new(nameof(Limits.VectorDimensionMax), Low.VectorDimensionMax, Low)
        {
            Calls = new()
            {
                ["vectors.CreateCollection"] = (at, n) => at.Vectors.CreateCollection("notes", new VectorDefinition { Dimension = (int)n }),
                ["vectors.Upsert"] = (at, n) => at.Vectors["notes"].Upsert("k", Ones(n)),
                ["vectors.UpsertMany"] = (at, n) => at.Vectors["notes"].UpsertMany([new("k", Ones(n))]),
            },
            Shell = new()
            {
                ["vector create"] = n => new("", "vector", "create", "notes", n.ToString(CultureInfo.InvariantCulture)),
                ["vector upsert"] = n => new(
                    Value.Array([.. Ones(n).Select(_ => (Value)1)]).ToJson(), "vector", "upsert", "notes", "k", "-"),
            },
            NotHere = { [Door.Commit] = Whole, [Door.Import] = Fixed },
        },
        new(nameof(Limits.VectorMatchesMax), Low.VectorMatchesMax, Low)
        {
            Calls = new() { ["vectors.Search"] = (at, n) => at.Vectors["notes"].Search([1], (int)n) },
            Shell = new()
            {
                ["vector search"] = n => new(
                    "", "vector", "search", "notes", "[1]", "--k", n.ToString(CultureInfo.InvariantCulture)),
            },
            NotHere = { [Door.Commit] = Whole, [Door.Import] = Fixed },
        },
        new(nameof(Limits.CollectionsMax), Low.CollectionsMax, Low)
        {
            OutsideCalls = new() { ["vectors.CreateCollection"] = (_, run, n) => MakeCollections(run, n) },
            Commit = (run, n) => run.Transact(tx =>
            {
                for (var i = 0; i < n; i++)
                    tx.Vectors[$"c{i}"].Upsert("k", [1]);
            }),
            NotHere =
            {
                [Door.Transaction] = "how many there are is counted at the commit",
                [Door.Import] = Fixed,
                [Door.Shell] = OneVerb,
            },
        },
        new(nameof(Limits.IndexesMax), Low.IndexesMax, Low)
        {
            OutsideCalls = new() { ["indexes.Define"] = (_, run, n) => DefineIndexes(run.Indexes, n) },
            Elsewhere =
            {
                [Door.Transaction] = "IndexTests.LIM_28_A_transaction_defines_no_more_indexes_than_a_run_may_have",
                [Door.Shell] = "CliIndexTests.LIM_28_The_last_index_that_a_run_may_have_and_the_one_behind_it",
            },
            NotHere =
            {
                [Door.Commit] = Whole,
                [Door.Import] = Fixed,
            },
        },
        new(nameof(Limits.TimeToLiveMin), 1, Low)
        {
            IsLeast = true,
            Calls = Lives,
            Shell = ShellLives,
            ShellAllowed = 1,
            NotHere = { [Door.Commit] = Whole, [Door.Import] = "what is imported does not expire" },
        },
        new(nameof(Limits.TimeToLiveMax), (long)Limits.TimeToLiveMax.TotalMilliseconds, Low)
        {
            Calls = Lives,
            Shell = ShellLives,
            ShellAllowed = (long)Limits.TimeToLiveMax.TotalMilliseconds,
            NotHere = { [Door.Commit] = Whole, [Door.Import] = "what is imported does not expire" },
        },
        new(nameof(Limits.HistoryVersionsMax), Low.HistoryVersionsMax, Low)
        {
            Calls = new()
            {
                ["kv.History"] = (at, n) => at.Kv.History("k", (int)n),
                ["state.History"] = (at, n) => at.State.History("c", (int)n),
            },
            NotHere =
            {
                [Door.Commit] = Whole,
                [Door.Import] = Fixed,
                [Door.Shell] = "--limit counts versions of the whole answer, which is read in the largest parts",
            },
        },
        new(nameof(Limits.ViewBytesMax), 1 << 20, Low)
        {
            Elsewhere = { [Door.Call] = "RunViewTests.LIM_A_view_that_takes_too_much_memory_is_refused_and_leaves_nothing" },
            NotHere =
            {
                [Door.Transaction] = "a view is of what is committed",
                [Door.Commit] = "a view writes nothing",
                [Door.Import] = "an import makes no view",
                [Door.Shell] = "the same call as of the library",
            },
        },
        new(nameof(Limits.QueuedCommitsMax), 4, Low)
        {
            Elsewhere = { [Door.Commit] = "LimitDoorTests.LIM_36_LIM_37_A_full_queue_is_waited_for_and_then_busy" },
            NotHere =
            {
                [Door.Call] = "met at its commit",
                [Door.Transaction] = "met at its commit",
                [Door.Import] = "one commit after another",
                [Door.Shell] = "one commit",
            },
        },
        new(nameof(Limits.BusyWaitMax), 1, Low)
        {
            Elsewhere =
            {
                [Door.Call] = "LimitDoorTests.LIM_37_A_run_that_stays_locked_is_waited_for_and_then_busy",
                [Door.Commit] = "LimitDoorTests.LIM_36_LIM_37_A_full_queue_is_waited_for_and_then_busy",
            },
            NotHere =
            {
                [Door.Transaction] = "met at its commit",
                [Door.Import] = "nobody else has the database",
                [Door.Shell] = "nobody else has the database",
            },
        },
        new(nameof(Limits.IdempotencyKeyBytesMax), Low.IdempotencyKeyBytesMax, Low)
        {
            OutsideCalls = new()
            {
                ["run.TransactOnce"] = (_, run, n) => run.TransactOnce(Text(n), tx => tx.Kv.Put("k", 1)),
                ["run.TransactOnceAsync"] = (_, run, n) =>
                    run.TransactOnceAsync(Text(n), tx => ValueTask.FromResult(Value.Null)).AsTask().GetAwaiter().GetResult(),
            },
            Shell = new()
            {
                ["kv put --once"] = n => new("", "kv", "put", "k", "v", "--once", Text(n)),
                ["events append --once"] = n => new("", "events", "append", "t", "--once", Text(n)),
            },
            NotHere =
            {
                [Door.Transaction] = "a key stands on a transaction; inside another one it is the same call",
                [Door.Commit] = Whole,
                [Door.Import] = "an import goes on by the steps that are in, not by keys",
            },
        },
        new(nameof(Limits.IdempotencyKeysMax), Low.IdempotencyKeysMax, Low)
        {
            OutsideCalls = new()
            {
                ["run.TransactOnce"] = (_, run, n) =>
                {
                    foreach (var key in Texts(n))
                        run.TransactOnce(key, tx => tx.Kv.Put(key, 1));
                },
            },
            Elsewhere = { [Door.Commit] = "IdempotencyTests.LIM_38_Of_two_that_ask_at_once_for_the_last_place_one_is_refused" },
            NotHere =
            {
                [Door.Transaction] = "a key stands on a transaction; inside another one it is the same call",
                [Door.Import] = "an import goes on by the steps that are in, not by keys",
                [Door.Shell] = OneVerb,
            },
        },
        new(nameof(Limits.ForkDepthMax), Low.ForkDepthMax, Low)
        {
            OutsideCalls = new()
            {
                ["runs.Fork"] = (db, run, n) =>
                {
                    for (var id = run.Id; n > 0; n--)
                        id = db.Runs.Fork(id).Id;
                },
            },
            NotHere =
            {
                [Door.Transaction] = "a run is not forked inside a transaction",
                [Door.Commit] = "the depth of a run never changes, so it is looked at before",
                [Door.Import] = "an import makes no forks",
                [Door.Shell] = "the verb is the same call",
            },
        },
        new(nameof(Limits.IdempotencyKeyLife), 0, Low)
        {
            Elsewhere = { [Door.Call] = "IdempotencyTests.LIM_38_A_key_is_remembered_for_its_life_and_not_a_microsecond_longer" },
            NotHere =
            {
                [Door.Transaction] = "a key stands on a transaction; inside another one it is the same call",
                [Door.Commit] = Whole,
                [Door.Import] = "an import goes on by the steps that are in, not by keys",
                [Door.Shell] = OneVerb,
            },
        },
        new(nameof(Limits.PathSegmentsMax), 5, new Limits { PathSegmentsMax = 5 })
        {
            OutsideCalls = new()
            {
                ["DocumentPath.Parse"] = (db, _, n) => DocumentPath.Parse("$" + Repeated(".a", n), db.Limits),
                ["DocumentPath.ParsePointer"] = (db, _, n) => DocumentPath.ParsePointer(Repeated("/a", n), db.Limits),
                ["Filter.Parse"] = (db, _, n) => Filter.Parse("a" + Repeated(".a", n - 1) + " exists", db.Limits),
                ["JsonPath.Parse"] = (db, _, n) => JsonPath.Parse("$[?@" + Repeated("[0]", n - 1) + "]", db.Limits),
                ["JsonPatch.Parse"] = (db, _, n) => JsonPatch.Parse(
                    $$"""[{"op":"remove","path":"{{Repeated("/0", n)}}"}]""", db.Limits),
            },
            Shell = new()
            {
                ["json get"] = n => new("", "json", "get", "k", Repeated("/a", n)),
                ["json query"] = n => new("", "json", "query", "k", "$" + Repeated(".a", n)),
                ["query"] = n => new("", "query", "a" + Repeated(".a", n - 1) + " exists", "--on", "documents"),
                ["query --order"] = n => new("", "query", "--on", "documents", "--order", Repeated("/a", n) + ":desc"),
                ["query --select"] = n => new("", "query", "--on", "traces", "--select", Repeated("/a", n)),
                ["index create"] = n => new("", "index", "create", "i", Repeated("/a", n), "--on", "documents"),
            },
            NotHere = NotOfAValue,
        },
        new(nameof(Limits.SearchHitsMax), Low.SearchHitsMax, Low)
        {
            Calls = new()
            {
                ["kv.Search"] = (at, n) => at.Kv.Search("word", new SearchOptions { Limit = (int)n }),
                ["json.Search"] = (at, n) => at.Json.Search("word", new SearchOptions { Limit = (int)n }),
                ["state.Search"] = (at, n) => at.State.Search("word", new SearchOptions { Limit = (int)n }),
                ["events.Search"] = (at, n) => at.Events.Search("word", new SearchOptions { Limit = (int)n }),
                ["traces.Search"] = (at, n) => at.Traces.Search("word", new SearchOptions { Limit = (int)n }),
            },
            OutsideCalls = new()
            {
                ["run.Search"] = (_, run, n) => run.Search("word", new() { Limit = (int)n }),
                ["runs.Search"] = (db, _, n) => db.Runs.Search("word", new SearchOptions { Limit = (int)n }),
            },
            NotHere = NotOfASearch,
        },
        new(nameof(Limits.SearchHits), 10, Low)
        {
            Elsewhere = { [Door.Call] = "KeywordSearchTests.LIM_20_A_page_holds_the_default_the_asked_and_at_most_the_limit" },
            NotHere = NotOfASearch.Append(new(Door.Transaction, "the same search")).ToDictionary(),
        },
        new(nameof(Limits.SearchTextBytesMax), Low.SearchTextBytesMax, Low)
        {
            Calls = new() { ["kv.Search"] = (at, n) => at.Kv.Search(Text(n)) },
            OutsideCalls = new()
            {
                ["run.Search"] = (_, run, n) => run.Search(Text(n), new SearchOptions { IsLiteral = true }),
                ["runs.Search"] = (db, _, n) => db.Runs.Search(Text(n)),
            },
            NotHere = NotOfASearch,
        },
        new(nameof(Limits.SearchTermsMax), Low.SearchTermsMax, Low)
        {
            Calls = new() { ["kv.Search"] = (at, n) => at.Kv.Search(Words(n)) },
            OutsideCalls = new()
            {
                ["run.Search, phrase"] = (_, run, n) => run.Search($"\"{Words(n)}\""),
                ["runs.Search"] = (db, _, n) => db.Runs.Search(Words(n), new SearchOptions { IsLiteral = true }),
            },
            NotHere = NotOfASearch,
        },
        new(nameof(Limits.SearchTime), 100, Low)
        {
            Elsewhere = { [Door.Call] = "KeywordSearchTests.LIM_22_A_budget_ends_the_looking_and_says_so" },
            NotHere = NotOfASearch.Append(new(Door.Transaction, "the same search")).ToDictionary(),
        },
        new(nameof(Limits.SearchCandidates), 10_000, Low)
        {
            Elsewhere = { [Door.Call] = "KeywordSearchTests.LIM_22_A_budget_ends_the_looking_and_says_so" },
            NotHere = NotOfASearch.Append(new(Door.Transaction, "the same search")).ToDictionary(),
        },
        new(nameof(Limits.SearchCandidatesPerPrimitive), 2_000, Low)
        {
            Elsewhere = { [Door.Call] = "KeywordSearchTests.LIM_22_A_budget_ends_the_looking_and_says_so" },
            NotHere = NotOfASearch.Append(new(Door.Transaction, "the same search")).ToDictionary(),
        },
        new(nameof(Limits.FilterNodesMax), 7, new Limits { FilterNodesMax = 7 })
        {
            Calls = new()
            {
                ["json.Query"] = (at, n) => at.Json.Query(WideFilter(n)),
                ["traces.Query"] = (at, n) => at.Traces.Query(WideFilter(n)),
            },
            OutsideCalls = new()
            {
                ["Filter.Parse"] = (db, _, n) => Filter.Parse("a exists" + Repeated(" or a exists", n - 2), db.Limits),
                ["Filter.FromValue"] = (db, _, n) => Filter.FromValue(WideFilter(n).ToValue(), db.Limits),
                ["Filter.Matches"] = (db, _, n) => WideFilter(n).Matches(Value.Null, db.Limits),
            },
            Shell = new()
            {
                ["query"] = n => new("", "query", "a exists" + Repeated(" or a exists", n - 2), "--on", "documents"),
                ["query -"] = n => new("a exists" + Repeated(" or a exists", n - 2), "query", "-", "--on", "traces"),
                ["explain"] = n => new("", "explain", "a exists" + Repeated(" or a exists", n - 2), "--on", "traces"),
            },
            NotHere = NotInAFilter,
        },
        new(nameof(Limits.FilterDepthMax), 5, new Limits { FilterDepthMax = 5 })
        {
            Calls = new()
            {
                ["json.Query"] = (at, n) => at.Json.Query(DeepFilter(n)),
                ["traces.Query"] = (at, n) => at.Traces.Query(DeepFilter(n)),
            },
            OutsideCalls = new()
            {
                ["Filter.Parse"] = (db, _, n) => Filter.Parse(Repeated("not ", n - 1) + "a exists", db.Limits),
                ["Filter.Parse, parentheses"] = (db, _, n) => Filter.Parse(
                    Repeated("(", n - 1) + "a exists" + Repeated(")", n - 1), db.Limits),
                ["Filter.FromValue"] = (db, _, n) => Filter.FromValue(DeepFilter(n).ToValue(), db.Limits),
                ["Filter.Matches"] = (db, _, n) => DeepFilter(n).Matches(Value.Null, db.Limits),
            },
            Shell = new()
            {
                ["query"] = n => new("", "query", Repeated("not ", n - 1) + "a exists", "--on", "documents"),
                ["query -"] = n => new(Repeated("not ", n - 1) + "a exists", "query", "-", "--on", "traces"),
                ["explain"] = n => new("", "explain", Repeated("not ", n - 1) + "a exists", "--on", "traces"),
            },
            NotHere = NotInAFilter,
        },
        new(nameof(Limits.FilterValuesMax), 6, new Limits { FilterValuesMax = 6 })
        {
            Calls = new()
            {
                ["json.Query"] = (at, n) => at.Json.Query(!Filter.In("$.a", new Value[n])),
                ["traces.Query"] = (at, n) => at.Traces.Query(!Filter.In("$.a", new Value[n])),
            },
            OutsideCalls = new()
            {
                ["Filter.Parse"] = (db, _, n) => Filter.Parse("not (a in [0" + Repeated(",0", n - 1) + "])", db.Limits),
                ["Filter.FromValue"] = (db, _, n) => Filter.FromValue(Filter.NotIn("$.a", new Value[n]).ToValue(), db.Limits),
                ["Filter.Matches"] = (db, _, n) => (!Filter.In("$.a", new Value[n])).Matches(Value.Null, db.Limits),
            },
            Shell = new()
            {
                ["query"] = n => new("", "query", "not (a in [0" + Repeated(",0", n - 1) + "])", "--on", "documents"),
                ["query -"] = n => new("not (a in [0" + Repeated(",0", n - 1) + "])", "query", "-", "--on", "traces"),
                ["explain"] = n => new("", "explain", "not (a in [0" + Repeated(",0", n - 1) + "])", "--on", "traces"),
            },
            NotHere = NotInAFilter,
        },
        new(nameof(Limits.QueryBytesMax), 40, new Limits { QueryBytesMax = 40 })
        {
            OutsideCalls = new()
            {
                ["JsonPath.Parse"] = (db, _, n) => JsonPath.Parse("$." + Text(n - 2), db.Limits),
            },
            Shell = new()
            {
                ["json query"] = n => new("", "json", "query", "k", "$." + Text(n - 2)),
                ["json query-many"] = n => new("", "json", "query-many", "$." + Text(n - 2)),
            },
            NotHere = NotOfAValue,
        },
        new(nameof(Limits.QueryNodesMax), 20, new Limits { QueryNodesMax = 20 })
        {
            OutsideCalls = new()
            {
                ["JsonPath.Evaluate"] = (db, _, n) => JsonPath.Parse("$.*").Evaluate(Value.Array(new Value[n]), db.Limits),
                ["JsonPath.Evaluate, on the way"] = (db, _, n) => JsonPath.Parse("$.*.none").Evaluate(Value.Array(new Value[n]), db.Limits),
                ["JsonPath.Evaluate, in a filter"] = (db, _, n) => JsonPath.Parse("$[?count(@.*)>1]").Evaluate(
                    Value.Array(Value.Array(new Value[n])), db.Limits),
            },
            NotHere = NoDocumentAtHand,
        },
        new(nameof(Limits.QueryStepsMax), 50, new Limits { QueryStepsMax = 50 })
        {
            OutsideCalls = new()
            {
                // One step for the segment, one for each element.
                ["JsonPath.Evaluate"] = (db, _, n) => JsonPath.Parse("$[*]").Evaluate(Value.Array(new Value[n - 1]), db.Limits),

                // One step for the condition, one for each element.
                ["Filter.Matches"] = (db, _, n) => Filter.Contains("$", 1).Matches(Value.Array(new Value[n - 1]), db.Limits),
            },
            NotHere = NoDocumentAtHand,
        },
        new(nameof(Limits.QueryDepthMax), Limits.QueryDepthMax, new Limits())
        {
            OutsideCalls = new()
            {
                ["JsonPath.Parse"] = (db, _, n) => JsonPath.Parse(
                    $"$[?{Repeated("(", n - 1)}@{Repeated(")", n - 1)}]", db.Limits),
            },
            Shell = new()
            {
                ["json query"] = n => new("", "json", "query", "k", $"$[?{Repeated("(", n - 1)}@{Repeated(")", n - 1)}]"),
            },
            NotHere = NotOfAValue,
        },
        new(nameof(Limits.GraphDepthMax), 3, new Limits { GraphDepthMax = 3 })
        {
            Calls = new()
            {
                ["graph.Reachable depth"] = (at, n) => at.Graph.Reachable("a", new ReachOptions { Depth = (int)n }),
            },
            Shell = new() { ["graph reach"] = n => new("", "graph", "reach", "a", "--depth", $"{n}") },
            NotHere = new() { [Door.Commit] = Whole, [Door.Import] = Fixed },
        },
        new(nameof(Limits.GraphThingsMax), 5, new Limits { GraphThingsMax = 5 })
        {
            Calls = new()
            {
                ["graph.Reachable things"] = (at, n) => at.Graph.Reachable("a", new ReachOptions { ThingsMax = (int)n }),
            },
            Shell = new() { ["graph reach --limit"] = n => new("", "graph", "reach", "a", "--limit", $"{n}") },
            NotHere = new() { [Door.Commit] = Whole, [Door.Import] = Fixed },
        },
        new(nameof(Limits.GraphAssociationsMax), 5, new Limits { GraphAssociationsMax = 5 })
        {
            Calls = new()
            {
                ["graph.Reachable associations"] = (at, n) => at.Graph.Reachable("a", new ReachOptions { AssociationsMax = (int)n }),
            },
            NotHere = new() { [Door.Commit] = Whole, [Door.Import] = Fixed, [Door.Shell] = "the shell reads as many as the limit allows" },
        },
        new(nameof(Limits.GraphTimeMax), 50, new Limits { GraphTimeMax = TimeSpan.FromMilliseconds(50) })
        {
            Calls = new()
            {
                ["graph.Reachable time"] = (at, n) => at.Graph.Reachable("a", new ReachOptions { TimeMax = TimeSpan.FromMilliseconds(n) }),
            },
            NotHere = new() { [Door.Commit] = Whole, [Door.Import] = Fixed, [Door.Shell] = "the shell takes as long as the limit allows" },
        },
        new(nameof(Limits.ConceptContentBytesMax), 20, new Limits { ConceptContentBytesMax = 20 })
        {
            Calls = new()
            {
                ["graph.PutConcept"] = (at, n) => at.Graph.PutConcept("a", new ConceptFields { Content = Text(n) }),
                ["graph.PutConcept by content"] = (at, n) => at.Graph.PutConcept(new ConceptFields { Content = Text(n) }),
            },
            Shell = new()
            {
                ["graph put -"] = n => new(Text(n), "graph", "put", "a", "--content", "-"),
            },
            NotHere = new() { [Door.Commit] = Whole, [Door.Import] = Fixed },
        },
        new(nameof(Limits.RegexBytesMax), 20, new Limits { RegexBytesMax = 20 })
        {
            OutsideCalls = new()
            {
                ["JsonPath.Parse"] = (db, _, n) => JsonPath.Parse($"$[?match(@, '{Text(n)}')]", db.Limits),
                ["JsonPath.Evaluate"] = (db, _, n) => JsonPath.Parse("$[?search(@, $[0])]").Evaluate(Value.Array(Text(n)), db.Limits),
            },
            Shell = new()
            {
                ["json query"] = n => new("", "json", "query", "k", $"$[?match(@, '{Text(n)}')]"),
            },
            NotHere = NotOfAValue,
        },
        new(nameof(Limits.RegexPositionsMax), Limits.RegexPositionsMax, new Limits())
        {
            OutsideCalls = new()
            {
                ["JsonPath.Parse"] = (db, _, n) => JsonPath.Parse($"$[?match(@, 'a{{{n}}}')]", db.Limits),
                ["JsonPath.Evaluate"] = (db, _, n) => JsonPath.Parse("$[?search(@, $[0])]").Evaluate(
                    Value.Array($"a{{{n}}}"), db.Limits),
            },
            Shell = new()
            {
                ["json query"] = n => new("", "json", "query", "k", $"$[?match(@, 'a{{{n}}}')]"),
            },
            NotHere = NotOfAValue,
        },
        new(nameof(Limits.PatchOperationsMax), 5, new Limits { PatchOperationsMax = 5 })
        {
            OutsideCalls = new()
            {
                ["JsonPatch.FromValue"] = (db, _, n) => JsonPatch.FromValue(AddsOf(n).ToValue(), db.Limits),
                ["JsonPatch.Apply"] = (db, _, n) => AddsOf(n).Apply(Value.Object(), db.Limits),
            },
            Shell = new()
            {
                ["json patch"] = n => new(AddsOf(n).ToJson(), "json", "patch", "k", "-"),
            },
            NotHere = NotOfAValue,
        },
        new(nameof(Limits.EventCausesMax), Limits.EventCausesMax, new Limits())
        {
            Calls = new()
            {
                ["events.Append"] = (at, n) => at.Events.Append("t", Value.Object(), new EventNumber[n]),
                ["events.AppendMany"] = (at, n) => at.Events.AppendMany(
                    [new NewEvent("t", Value.Object()) { Causes = new EventNumber[n] }]),
            },
            Shell = new()
            {
                ["events append --cause"] = n => new(
                    "", ["events", "append", "t", "{}", .. Texts(n).SelectMany(_ => new[] { "--cause", "0" })]),
            },
            NotHere = { [Door.Commit] = Whole, [Door.Import] = Fixed },
        },
    ];

    // A path, a query or a patch is a value in memory until it is asked or done, in a transaction too.
    private static Dictionary<Door, string> NotOfAValue => new[] { Door.Transaction, Door.Commit, Door.Import }
        .ToDictionary(door => door, _ => "judged when its text is read; an import has none");

    private static Dictionary<Door, string> NoDocumentAtHand =>
        new(NotOfAValue) { [Door.Shell] = "json query is the same call; it needs a document of that size" };

    private static Dictionary<Door, string> NotInAFilter => new[] { Door.Commit, Door.Import }
        .ToDictionary(door => door, _ => "a filter writes nothing; an import has none");

    // So many distinct terms.
    private static string Words(long count) => string.Join(' ', Enumerable.Range(0, (int)count).Select(number => $"w{number}x"));

    private static string Repeated(string text, long count) => string.Concat(Enumerable.Repeat(text, (int)count));

    private static Filter WideFilter(long nodes) => Filter.Or(Enumerable.Repeat(Filter.Exists("$.a"), (int)nodes - 1));

    private static Filter DeepFilter(long depth) => depth == 1 ? Filter.Exists("$.a") : Filter.Not(DeepFilter(depth - 1));

    private static JsonPatch AddsOf(long count) => new(Enumerable.Repeat(JsonPatchOperation.Add("/a", 1), (int)count));

    private static Dictionary<string, Action<Faces, long>> OfLength(Dictionary<string, Action<Faces, string>> calls) => calls.ToDictionary(
        pair => pair.Key, pair => (Action<Faces, long>)((at, n) => pair.Value(at, Text(n))), StringComparer.Ordinal);

    private static Dictionary<string, Action<Faces, long>> Lives => new()
    {
        ["kv.Put"] = (at, n) => at.Kv.Put("k", 1, Milliseconds(n)),
        ["kv.Put bytes"] = (at, n) => at.Kv.Put("k", new byte[1].AsSpan(), Milliseconds(n)),
        ["kv.PutMany"] = (at, n) => at.Kv.PutMany([new("k", 1)], Milliseconds(n)),
        ["kv.TryAdd"] = (at, n) => at.Kv.TryAdd("k", 1, Milliseconds(n)),
        ["kv.Expire"] = (at, n) => at.Kv.Expire("k", Milliseconds(n)),
        ["state.Init"] = (at, n) => at.State.Init("c", 1, Milliseconds(n)),
        ["state.Set"] = (at, n) => at.State.Set("c", 1, Milliseconds(n)),
        ["state.TransitionOrInit"] = (at, n) => at.State.TransitionOrInit("c", 1, value => value, Milliseconds(n)),
        ["state.GetOrInit"] = (at, n) => at.State.GetOrInit("c", () => 1, Milliseconds(n)),
        ["state.Expire"] = (at, n) => at.State.Expire("c", Milliseconds(n)),
        ["state.Acquire"] = (at, n) => at.State.Acquire("l", "me", Milliseconds(n)),
        ["state.Renew"] = (at, n) => at.State.Renew("l", 1, Milliseconds(n)),
    };

    private static Dictionary<string, Func<long, ShellCall>> ShellLives => new()
    {
        ["kv put --ttl"] = n => new("", "kv", "put", "k", "v", "--ttl", $"{n}ms"),
        ["kv expire"] = n => new("", "kv", "expire", "k", $"{n}ms"),
        ["json put --ttl"] = n => new("", "json", "put", "k", "1", "--ttl", $"{n}ms"),
        ["json expire"] = n => new("", "json", "expire", "k", $"{n}ms"),
        ["state set --ttl"] = n => new("", "state", "set", "c", "v", "--ttl", $"{n}ms"),
        ["state lease acquire"] = n => new("", "state", "lease", "acquire", "l", "me", $"{n}ms"),
    };

    private static void MakeTriggers(Run run, long count)
    {
        for (var i = 0; i < count; i++)
            run.Triggers.Create($"t{i}", new() { When = TriggerCondition.Event("e"), Do = TriggerAction.Increment("n") });
    }

    private static void DefineIndexes(Indexes indexes, long count)
    {
        for (var i = 0; i < count; i++)
            indexes.Define($"i{i}", new() { Target = IndexTarget.Traces, Paths = ["$.model"] });
    }

    private static void WaitForEvents(Run run, long waiters)
    {
        using var stop = new CancellationTokenSource();
        var waits = new List<Task<bool>>();
        for (var i = 0; i < waiters; i++)
            waits.Add(run.Events.WaitAsync(new EventNumber(7), Timeout.InfiniteTimeSpan, stop.Token).AsTask());
        var refused = waits.Find(wait => wait.IsFaulted);
        stop.Cancel();
        foreach (var wait in waits.Where(wait => wait != refused))
        {
            try
            {
                wait.GetAwaiter().GetResult();
            }
            catch (OperationCanceledException)
            {
                // As it should be.
            }
        }

        refused?.GetAwaiter().GetResult();
    }

    // ---- things of a size -----------------------------------------------------------------------------------------------------

    internal static string Text(long bytes) => new('x', checked((int)bytes));

    internal static string[] Texts(long count) =>
        [.. Enumerable.Range(0, (int)count).Select(i => i.ToString("D4", CultureInfo.InvariantCulture))];

    private static TimeSpan Milliseconds(long count) => new(count * TimeSpan.TicksPerMillisecond);

    // Five strings of 256 to 65,535 bytes, whose headers have three bytes.
    private static Value Sized(long bytes)
    {
        var rest = bytes - 1 - 5 * 3;
        return Value.Array([.. Enumerable.Range(0, 4).Select(_ => (Value)Text(rest / 5)), Text(rest - 4 * (rest / 5))]);
    }

    private static Value SizedObject(long bytes) => Value.Object(("m", Sized(bytes - 3)));

    // A header, a name of one character, and a string: of up to 255 bytes behind a header of two, of up to 65,535 behind one of three.
    private static CommitOptions By(CommitAttributes attributes) => new() { Attributes = attributes };

    // {"entries":{"m":"..."}}, with headers of 1 + 8 + 1 + 2 + 3 bytes.
    private static CommitAttributes Entries(long bytes) => new() { Entries = Value.Object(("m", Text(bytes - 15))) };

    // In memory there is no commit to be told, and the limit is looked at before that.
    private static void Commits(Run run, long limit)
    {
        try
        {
            run.Commits((int)limit);
        }
        catch (HistoryTrimmedException)
        {
        }
    }

    private static void Steps(CairnDatabase db, Run run, long limit)
    {
        for (var i = 0; i < limit; i++)
            run.Kv.Put("k", i);
        using var view = db.Replay(run.Id);
        view.Steps(1, (int)limit);
    }

    private static Value Metadata(long bytes) => Value.Object(("m", Text(bytes - 6)));

    private static Value Nested(long levels)
    {
        Value value = 1;
        for (var i = 0; i < levels; i++)
            value = Value.Array(value);
        return value;
    }

    private static Value Elements(long count) => Value.Array([.. Enumerable.Repeat((Value)1, (int)count)]);

    private static Value Members(long count) =>
        Value.Object([.. Enumerable.Range(0, (int)count).Select(i => (i.ToString(CultureInfo.InvariantCulture), (Value)1))]);

    /// <summary>A trajectory of one step with these cells.</summary>
    internal static string Trajectory(Value cells, Value? info = null)
    {
        var text = new StringBuilder("{\"trajectory\":[{\"action\":\"a\",\"observation\":\"o\",\"state\":");
        text.Append(cells.ToJson()).Append("}]");
        return (info is { } more ? text.Append(",\"info\":").Append(more.ToJson()) : text).Append('}').ToString();
    }
}
