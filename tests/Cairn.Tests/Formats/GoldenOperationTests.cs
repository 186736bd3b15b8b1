using Cairn.Log;
using Cairn.Storage;
using Cairn.Store;
using Cairn.Tests.Tidy;
using Xunit;

namespace Cairn.Tests.Formats;

/// <summary>C13: operations that came after the golden directory was written have the bytes that they had. Fixtures/operations-1.0.txt is
/// written once, by hand (./test only '*Write_the_operations*' with -explicit only), and a line of it is never changed: a body with another
/// form gets another code, or a member that older lines do without.</summary>
public class GoldenOperationTests
{
    private const string Fixture = "tests/Cairn.Tests/Fixtures/operations-1.0.txt";

    private static readonly OperationCode[] Codes =
    [
        OperationCode.EventTrim, OperationCode.RunFork, OperationCode.TriggerDefine, OperationCode.TriggerDrop, OperationCode.TriggerCursor,
        OperationCode.SubscriptionSet, OperationCode.SubscriptionDrop, OperationCode.JsonCreate, OperationCode.JsonSet,
        OperationCode.JsonDeletePath, OperationCode.JsonDestroy, OperationCode.JsonPatch, OperationCode.JsonMerge,
        OperationCode.JsonArrayAppend, OperationCode.JsonArrayInsert, OperationCode.JsonArrayRemove, OperationCode.JsonIncrement,
        OperationCode.JsonPut, OperationCode.JsonExpire, OperationCode.JsonStringAppend,
        OperationCode.IndexDefine, OperationCode.IndexDrop, OperationCode.IndexBuild,
        OperationCode.VectorCreate, OperationCode.VectorDrop, OperationCode.VectorUpsert, OperationCode.VectorSetMetadata,
        OperationCode.VectorDelete,
    ];

    [Fact(Explicit = true)]
    public void Write_the_operations()
    {
        Assert.False(File.Exists(Repository.Full(Fixture)), "The fixture exists. Add what is new to its end, by hand.");
        File.WriteAllLines(Repository.Full(Fixture), Write());
    }

    [Fact]
    [Trait("Promise", "G11")]
    [Trait("Test", "C13")]
    public void C13_Newer_operations_have_the_bytes_that_they_had()
    {
        var written = Write();
        Assert.Equal(Codes.Select(code => (byte)code).Order(), written.Select(line => Convert.ToByte(line[..2], 16)).Distinct().Order());
        Assert.Equal(File.ReadAllLines(Repository.Full(Fixture)), written);
    }

    // With a seed and a clock that stands still: the same bytes each time.
    private static List<string> Write()
    {
        using var storage = new MemoryStorage();
        var clock = new SteppingClock();
        using var db = GoldenDatabase.Open(storage, clock, Durability.Strict);
        var run = db.Runs.Begin("agent");
        var began = run.Info.LastSequence;
        for (var i = 0; i < 6; i++)
        {
            run.Events.Append(i % 2 == 0 ? "call" : "note", Value.Object(("i", i)));
            clock.Step();
        }

        run.Subscriptions.Create("reader");
        run.Subscriptions.Delete("reader");
        run.Triggers.Create(
            "watch", new TriggerDefinition { When = TriggerCondition.Event("call"), Do = TriggerAction.Put("seen", 1), Times = 3 });
        run.Triggers.Suspend("watch");
        run.Triggers.Delete("watch");
        db.Runs.Fork(run.Id, name: "now", tags: ["red"], metadata: Value.Object(("n", 1)));
        run.Kv.Put("later", 1);
        db.Runs.Fork(run.Id, new Sequence(began.Value + 3), "past");
        run.Retention.Apply(Retention.KeepEvents(2));
        db.Engine.Maintainer!.Step();
        OnDocuments(run.Json);
        run.Indexes.Define("model", new IndexDefinition { Target = IndexTarget.Traces, Paths = ["$.model", "$.metadata.cost"] });
        db.Engine.IndexJob!.Step();
        run.Indexes.Drop("model");
        OnVectors(run.Vectors);
        return Operations((SegmentedLog)db.Engine.Path.Log.Device!);
    }

    private static void OnVectors(VectorCollections vectors)
    {
        vectors["notes"].Upsert("n1", [1, -0.5f, 0], Value.Object(("topic", "refund")), TimeSpan.FromHours(1), "small-3");
        vectors["notes"].UpsertMany([new("n2", new float[] { 0, 0, 2 }), new("n1", new float[] { 3, 4, 5 })]);
        vectors["notes"].UpdateMetadata("n2", Value.Object(("a", 1)));
        vectors.CreateCollection(
            "halves",
            new VectorDefinition { Dimension = 2, Metric = VectorMetric.Dot, Element = VectorElement.F16, Index = VectorIndexKind.Flat });
        vectors["halves"].Upsert("h", [1.5f, 0]);
        vectors.CreateCollection(
            "bytes", new VectorDefinition { Dimension = 2, Metric = VectorMetric.Euclidean, Element = VectorElement.I8 });
        vectors["bytes"].Upsert("b", [-127, 1]);
        vectors["notes"].Delete("n2");
        vectors.DeleteCollection("notes");
    }

    private static void OnDocuments(Json json)
    {
        json.Create("plan", Value.Object(("n", 1), ("t", "x"), ("a", Value.Array(1, 2.5))));
        json.Set("plan", "$.b.c", Value.Null);
        json.Set("plan", "$.a[-1]", true);
        json.Set("plan", "$.a[-]", 3);
        json.Set("plan", "/a/0", 4);
        json.Delete("plan", "$.b");
        json.Patch("plan", new JsonPatch(JsonPatchOperation.Add("/b", 3), JsonPatchOperation.Move("/b", "/d")));
        json.Merge("plan", Value.Object(("d", Value.Null), ("e", 5)));
        json.ArrayAppend("plan", "$.a", 5, "six");
        json.ArrayInsert("plan", "$.a", 0, 0);
        json.ArrayRemove("plan", "$.a", -2, 2);
        json.Increment("plan", "$.n", -3);
        json.Increment("plan", "$.n", 0.5);
        json.StringAppend("plan", "$.t", "y");
        json.Expire("plan", TimeSpan.FromHours(1));
        json.Persist("plan");
        json.Put("other", 7, TimeSpan.FromMinutes(5));
        json.Delete("plan");
    }

    private static List<string> Operations(SegmentedLog log)
    {
        var lines = new List<string>();
        using var reader = new LogReader(log);
        var scan = reader.Scan(log.FirstPosition);
        while (scan.MoveNext())
        {
            if (scan.Header.Type != RecordType.Transaction)
                continue;
            var transaction = new TransactionPayload(scan.Payload);
            while (transaction.MoveNext(out var part))
            {
                while (part.MoveNext(out var operation))
                {
                    var (key, body) = (Convert.ToHexStringLower(operation.Key), Convert.ToHexStringLower(operation.FullBody));
                    if (Codes.Contains((OperationCode)operation.Code))
                        lines.Add($"{operation.Code:x2} {key} {body}");
                }
            }
        }

        return lines;
    }
}
