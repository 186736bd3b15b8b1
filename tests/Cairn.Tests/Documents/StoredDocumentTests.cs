using Cairn.Tests.Transactions;
using Xunit;

namespace Cairn.Tests.Documents;

/// <summary>Stored documents against the same operations on values in memory: each answer, each refusal, each state, at every sequence,
/// through restarts, and in transactions that see their own writes.</summary>
[Trait("Kind", "Random")]
[Trait("Model", "Json")]
public sealed class StoredDocumentTests(ITestOutputHelper output)
{
    private static readonly string[] Ids = ["plan", "notes", "a"];

    [Theory]
    [ClassData(typeof(AllModes))]
    [Trait("Requirement", "JS-6")]
    [Trait("Requirement", "JS-7")]
    [Trait("Requirement", "JS-8")]
    [Trait("Requirement", "JS-10")]
    [Trait("Requirement", "JS-13")]
    [Trait("Requirement", "JS-26")]
    [Trait("Requirement", "JS-27")]
    public void JS_6_Documents_are_what_the_same_operations_make_of_values(Durability mode)
    {
        foreach (var seed in Seeds.Take(Seeds.Scaled(25), output))
        {
            using var database = new TestDatabase(mode);
            var world = new World(seed);
            for (var step = 0; step < 60; step++)
            {
                if (world.Random.Next(4) == 0)
                    world.InTransaction(database.Run);
                else
                    world.Step(database.Run.Json, world.Documents);
                world.Check(database.Run.Json, world.Documents);
                if (world.Random.Next(12) == 0)
                {
                    world.CheckSnapshots();
                    database.Reopen(isKilled: world.Random.Next(2) == 0);
                    world.Check(database.Run.Json, world.Documents);
                }
                else if (world.Random.Next(6) == 0)
                {
                    world.Keep(database.Run.Snapshot());
                }
            }

            world.CheckSnapshots();
            world.Check(database.Run.Json, world.Documents);
            if (mode != Durability.InMemory)
                Assert.Empty(database.Db.VerifyDeep().Findings);
        }
    }

    [Theory]
    [InlineData(Durability.Buffered)]
    [InlineData(Durability.Strict)]
    [Trait("Requirement", "JS-28")]
    [Trait("Requirement", "VER-6")]
    public void JS_28_The_history_of_a_document_and_of_a_place_is_what_snapshots_saw(Durability mode)
    {
        foreach (var seed in Seeds.Take(Seeds.Scaled(10), output))
        {
            using var database = new TestDatabase(mode);
            var world = new World(seed);
            var seen = Ids.ToDictionary(id => id, _ => new List<(ulong Sequence, Value? Value)>());
            for (var step = 0; step < 60; step++)
            {
                world.Step(database.Run.Json, world.Documents);
                foreach (var id in Ids)
                {
                    var now = world.Documents.TryGetValue(id, out var value) ? value : default(Value?);
                    if (seen[id].Count == 0 ? now is not null : seen[id][^1].Value != now)
                        seen[id].Add((database.Sequence, now));
                }
            }

            database.NowAndAfterReopening(() =>
            {
                foreach (var (id, expected) in seen)
                {
                    // A write of the same value is a version too: what differs from one to the next is what was seen.
                    var history = database.Run.Json.History(id).Reverse().ToList();
                    Value? last = null;
                    var changes = new List<(ulong, Value?)>();
                    foreach (var item in history)
                    {
                        var value = item.IsDeletion ? default(Value?) : item.Value;
                        if (value != last)
                            changes.Add((item.Version.Value, value));
                        last = value;
                    }

                    Assert.Equal(expected, changes);
                    Assert.Equal(history.TakeLast(2).Reverse(), database.Run.Json.History(id, limit: 2));
                    foreach (var part in new DocumentPath[] { "$.a", "$.b[0]" })
                    {
                        var places = new List<Value?>();
                        foreach (var (_, value) in expected)
                        {
                            var place = value is { } document && part.TryGet(document, out var found) ? found : default(Value?);
                            if (place != (places.Count == 0 ? null : places[^1]))
                                places.Add(place);
                        }

                        Assert.Equal(places, database.Run.Json.History(id, part).Reverse()
                            .Select(item => item.IsDeletion ? default(Value?) : item.Value));
                    }
                }
            });
        }
    }

    /// <summary>What the documents should be, and how they are changed.</summary>
    private sealed class World(int seed)
    {
        private readonly RandomDocuments _values = new(seed);
        private readonly List<(Snapshot Snapshot, Dictionary<string, Value> Expected)> _snapshots = [];

        internal Random Random => _values.Random;

        internal Dictionary<string, Value> Documents { get; private set; } = [];

        internal void Keep(Snapshot snapshot) => _snapshots.Add((snapshot, new(Documents)));

        internal void CheckSnapshots()
        {
            foreach (var (snapshot, expected) in _snapshots)
            {
                Check(snapshot.Json, expected);
                snapshot.Dispose();
            }

            _snapshots.Clear();
        }

        internal void InTransaction(Run run)
        {
            var within = new Dictionary<string, Value>(Documents);
            using var transaction = run.BeginTransaction();
            for (var left = Random.Next(1, 6); left > 0; left--)
            {
                Step(transaction.Json, within);
                Check(transaction.Json, within);
            }

            if (Random.Next(4) == 0)
                return;
            transaction.Commit();
            Documents = within;
        }

        internal void Check(JsonView json, Dictionary<string, Value> expected)
        {
            foreach (var id in Ids)
            {
                var value = json.Get(id);
                Assert.Equal(expected.TryGetValue(id, out var wanted) ? wanted : default(Value?), value);
                Assert.Equal(value is not null, json.Exists(id));
                if (value is null)
                    continue;
                var path = Path(value.Value);
                Assert.Equal(path.TryGet(value.Value, out var part), json.TryGet(id, path, out var stored));
                Assert.Equal(part, stored);
                Assert.Equal(path.TryGet(value.Value, out part) ? part.Kind : null, json.KindOf(id, path));
                if (stored.Kind == ValueKind.Array && path.TryGet(value.Value, out _))
                    Assert.Equal(stored.Count, json.ArrayLength(id, path));
                if (stored.Kind == ValueKind.Object)
                    Assert.Equal(stored.AsObject().Keys, json.ObjectKeys(id, path));
            }

            Assert.Equal(expected.Keys.Order(StringComparer.Ordinal), json.List());
            Assert.Equal(expected.OrderBy(pair => pair.Key, StringComparer.Ordinal), json.Scan());
            Assert.Equal(expected.Count, json.Count());
        }

        internal void Step(Json json, Dictionary<string, Value> documents)
        {
            var id = Ids[Random.Next(Ids.Length)];
            var isThere = documents.TryGetValue(id, out var old);
            var path = Path(old);
            var value = _values.Next(Random.Next(4));
            Value? expected = null;
            ErrorCode? refused = null;
            Action act;
            switch (Random.Next(13))
            {
                case 0:
                    act = () => json.Create(id, value);
                    (expected, refused) = isThere ? (old, ErrorCode.AlreadyExists) : (value, default(ErrorCode?));
                    break;
                case 1:
                    act = () => json.Put(id, value);
                    expected = value;
                    break;
                case 2 when Random.Next(3) == 0:
                    act = () => Assert.Equal(isThere, json.Delete(id));
                    break;
                case 3 when path.Count > 0:
                    act = () => Assert.Equal(isThere && path.TryGet(old, out _), json.Delete(id, path));
                    expected = isThere ? path.TryDelete(old, out var less) ? less : old : default(Value?);
                    break;
                case 4 when isThere:
                    var near = _values.Near(old);
                    act = () => json.Patch(id, JsonPatch.Diff(old, near));
                    expected = near;
                    break;
                case 5:
                    var patch = RandomPatch(old);
                    act = () => json.Patch(id, patch);
                    (expected, refused) = isThere ? Try(() => patch.Apply(old), old) : (default(Value?), (ErrorCode?)ErrorCode.NotFound);
                    break;
                case 6:
                    act = () => json.Merge(id, value);
                    (expected, refused) = isThere
                        ? (MergePatch.Apply(old, value), default(ErrorCode?))
                        : (default(Value?), (ErrorCode?)ErrorCode.NotFound);
                    break;
                case 7 when isThere && path.TryGet(old, out var number) && number.Kind is ValueKind.Int64 or ValueKind.Float64:
                    path.TryGet(old, out var before);
                    var by = Random.Next(2) == 0 ? (Value)Random.Next(-3, 9) : 0.5;
                    if (before.Kind == ValueKind.Int64 && by.Kind == ValueKind.Int64 && Math.Abs(before.AsInt64()) > long.MaxValue / 2)
                        by = 0;
                    var sum = before.Kind == ValueKind.Int64 && by.Kind == ValueKind.Int64
                        ? (Value)(before.AsInt64() + by.AsInt64())
                        : Double(before) + Double(by);
                    act = () => Assert.Equal(sum, json.Increment(id, path, by));
                    expected = path.Set(old, sum);
                    break;
                case 8 when isThere && path.TryGet(old, out var array) && array.Kind == ValueKind.Array:
                    path.TryGet(old, out var elements);
                    (act, expected) = OnArray(json, id, path, old, [.. elements.AsArray()], value);
                    break;
                default:
                    act = () => json.Set(id, path, value);
                    var on = isThere ? old : path.Count == 0 ? value : Value.Object();
                    (expected, refused) = Try(() => path.Set(on, value), isThere ? old : default(Value?));
                    break;
            }

            if (refused is null)
                act();
            else
                Assert.Equal(refused, Assert.ThrowsAny<CairnException>(act).Code);
            if (expected is { } made)
                documents[id] = made;
            else
                documents.Remove(id);
        }

        private (Action Act, Value Expected) OnArray(Json json, string id, DocumentPath path, Value old, List<Value> items, Value value)
        {
            switch (Random.Next(4))
            {
                case 0:
                    items.Add(value);
                    items.Add(1);
                    return (() => json.ArrayAppend(id, path, value, 1), path.Set(old, Value.Array(items)));
                case 1:
                    var place = Random.Next(items.Count + 1);
                    items.Insert(place, value);
                    return (() => json.ArrayInsert(id, path, place, value), path.Set(old, Value.Array(items)));
                case 2 when items.Count > 0:
                    var last = items[^1];
                    items.RemoveAt(items.Count - 1);
                    return (() => Assert.Equal(last, json.ArrayPop(id, path)), path.Set(old, Value.Array(items)));
                case 2:
                    return (() => Assert.Null(json.ArrayPop(id, path)), old);
                default:
                    var from = Random.Next(items.Count + 1);
                    var count = Random.Next(items.Count - from + 1);
                    items.RemoveRange(from, count);
                    return (() => json.ArrayRemove(id, path, from, count), path.Set(old, Value.Array(items)));
            }
        }

        private static (Value? Made, ErrorCode? Refused) Try(Func<Value> make, Value? old)
        {
            try
            {
                return (make(), null);
            }
            catch (CairnException refused)
            {
                return (old, refused.Code);
            }
        }

        private static double Double(Value number) => number.Kind == ValueKind.Int64 ? number.AsInt64() : number.AsFloat64();

        private JsonPatch RandomPatch(Value document)
        {
            var operations = new List<JsonPatchOperation>();
            for (var left = Random.Next(1, 5); left > 0; left--)
            {
                var path = DocumentPath.ParsePointer(Pointer(document));
                var from = DocumentPath.ParsePointer(Pointer(document));
                operations.Add(Random.Next(7) switch
                {
                    0 => JsonPatchOperation.Remove(path),
                    1 => JsonPatchOperation.Replace(path, _values.Next(2)),
                    2 => JsonPatchOperation.Move(from, path),
                    3 => JsonPatchOperation.Copy(from, path),
                    4 when path.TryGet(document, out var found) => JsonPatchOperation.Test(path, found),
                    _ => JsonPatchOperation.Add(path, _values.Next(2)),
                });
            }

            return new JsonPatch(operations);
        }

        private string Pointer(Value document) => Path(document) is { } path && !path.ToString().Contains("[-", StringComparison.Ordinal)
            && !path.ToString().StartsWith('/') ? path.ToPointer() : "/-";

        // Mostly to what is there, sometimes a step beyond it.
        internal DocumentPath Path(Value document)
        {
            var path = DocumentPath.Root;
            while (Random.Next(4) > 0)
            {
                if (document.Kind == ValueKind.Object && document.Count > 0 && Random.Next(5) > 0)
                {
                    var (name, inner) = document.AsObject().ElementAt(Random.Next(document.Count));
                    (path, document) = (path.Member(name), inner);
                }
                else if (document.Kind == ValueKind.Array && Random.Next(5) > 0)
                {
                    var index = Random.Next(-2, document.Count + 1);
                    path = path.Element(index);
                    if (index < 0 || index >= document.Count)
                        break;
                    document = document[index];
                }
                else
                {
                    path = Random.Next(4) == 0 ? path.Element(Random.Next(2)) : path.Member(_values.Name());
                    document = default;
                }
            }

            return path;
        }
    }
}
