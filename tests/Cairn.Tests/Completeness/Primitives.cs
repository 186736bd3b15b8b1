using System.Buffers.Binary;
using System.Text;
using Cairn.Primitives;
using Cairn.Store;

namespace Cairn.Tests.Completeness;

/// <summary>A primitive and where its parts have to be.</summary>
/// <param name="Name">The property that gives the handle.</param>
/// <param name="Handle">The handle's type.</param>
/// <param name="Family">High four bits of its codes.</param>
/// <param name="Doors">Types that have to have a property of that name.</param>
/// <param name="PassALimit">Writes a thing with a key, a name or metadata that are too large; null = nobody has written it yet.</param>
internal sealed record Primitive(
    string Name, string Handle, byte Family, IReadOnlyList<string> Doors, Action<CairnDatabase, Run>? PassALimit)
{
    private static readonly string[] RunDoors = ["Run", "Transaction", "TransactionRun", "Snapshot"];

    internal static IReadOnlyList<Primitive> All { get; } =
    [
        new("Kv", "Kv", 0x10, RunDoors, (_, run) => run.Kv.Put(new string('k', Limits.KeyBytesMax + 1), 1)),
        new("Events", "Events", 0x30, RunDoors, (_, run) => run.Events.Append(new string('t', Limits.NameBytesMax + 1), Value.Object())),
        new("State", "State", 0x40, RunDoors, (_, run) => run.State.Set(new string('c', Limits.KeyBytesMax + 1), 1)),
        new("Traces", "Traces", 0x50, RunDoors, (_, run) => run.Traces.Record(Thought, TooMuch)),
        new("Runs", "Runs", 0x60, ["CairnDatabase"], (db, _) => db.Runs.Begin(new string('n', Limits.NameBytesMax + 1))),
        new("Json", "Json", 0x20, RunDoors, (_, run) => run.Json.Put(new string('k', Limits.KeyBytesMax + 1), 1)),
        new(
            "Vectors", "VectorCollections", 0x70, RunDoors,
            (_, run) => run.Vectors["notes"].Upsert(new string('k', Limits.KeyBytesMax + 1), [1])),
        new("Graph", "ConceptGraph", 0x80, RunDoors, (_, run) => run.Graph.PutConcept(new string('k', Limits.KeyBytesMax + 1))),
    ];

    private static ThoughtStep Thought => new("step by step");

    private static TraceOptions TooMuch => new() { Metadata = Value.Object(("text", new string('m', 64 << 10))) };

    internal IEnumerable<OperationCode> Codes => Enum.GetValues<OperationCode>().Where(code => ((byte)code & 0xF0) == Family);
}

/// <summary>An operation of each code as docs/format.md has it, to be applied one after another to one new run.</summary>
internal static class SampleOperations
{
    internal static IReadOnlyList<(OperationCode Code, byte Flags, byte[] Key, byte[] Body)> All { get; } =
    [
        (OperationCode.RunCreate, 0, [], Value.Object(("name", "sample")).Encode()),
        (OperationCode.RunUpdate, 0, [], Value.Object(("addTags", Value.Array("tag"))).Encode()),
        (OperationCode.RunResume, 0, [], Value.Object(("adopt", true)).Encode()),
        (OperationCode.Retention, 0, [], Value.Object(("for", 3_600_000_000), ("last", 1)).Encode()),
        (OperationCode.KvPut, 1, "key"u8.ToArray(), [.. Int64(2_000_000_000_000_000), .. ((Value)"text").Encode()]),
        (OperationCode.KvExpire, 0, "key"u8.ToArray(), []),
        (OperationCode.KvIncrement, 0, "number"u8.ToArray(), [.. Int64(5), .. Int64(5), .. Int64(0)]),
        (OperationCode.KvDelete, 0, "key"u8.ToArray(), []),
        (OperationCode.JsonCreate, 0, "plan"u8.ToArray(), [0, .. Value.Object(("n", 1), ("t", "x"), ("a", Value.Array(1, 2))).Encode()]),
        (OperationCode.JsonSet, 0, "plan"u8.ToArray(), [1, .. Path("b"), .. ((Value)"text").Encode()]),
        (OperationCode.JsonDeletePath, 0, "plan"u8.ToArray(), [1, .. Path("b")]),
        (OperationCode.JsonPatch, 0, "plan"u8.ToArray(),
            [1, .. new JsonPatch(JsonPatchOperation.Add("/c", 3)).ToValue().Encode()]),
        (OperationCode.JsonMerge, 0, "plan"u8.ToArray(), [1, 0, 0, 0, 0, .. Value.Object(("c", Value.Null)).Encode()]),
        (OperationCode.JsonArrayAppend, 0, "plan"u8.ToArray(), [1, .. Path("a"), .. Value.Array(3).Encode()]),
        (OperationCode.JsonArrayInsert, 0, "plan"u8.ToArray(), [1, .. Path("a"), .. Int64(0), .. Value.Array(0).Encode()]),
        (OperationCode.JsonArrayRemove, 0, "plan"u8.ToArray(), [1, .. Path("a"), .. Int64(-1), 1, 0, 0, 0]),
        (OperationCode.JsonIncrement, 0, "plan"u8.ToArray(),
            [1, .. Path("n"), 0xD3, .. Int64(5).Reverse(), 0xD3, .. Int64(6).Reverse()]),
        (OperationCode.JsonStringAppend, 0, "plan"u8.ToArray(), [1, .. Path("t"), .. ((Value)"y").Encode()]),
        (OperationCode.JsonExpire, 1, "plan"u8.ToArray(), [.. Int64(2_000_000_000_000_000), 1]),
        (OperationCode.JsonPut, 0, "plan"u8.ToArray(), [1, .. ((Value)7).Encode()]),
        (OperationCode.JsonDestroy, 0, "plan"u8.ToArray(), [1]),
        (OperationCode.VectorCreate, 0, "notes"u8.ToArray(), [.. Int64(1), 1, 0, 0, 0, 2, 0, 0, 0, .. "model"u8]),
        (OperationCode.VectorUpsert, 1, "n1"u8.ToArray(),
            [
                .. Int64(2_000_000_000_000_000), .. Int64(1), 0, 0, 5, 0, 2, 0, 0, 0, .. "notes"u8, 0, 0, 0x80, 0x3F, 0, 0, 0, 0x40,
                .. Value.Object(("topic", "refund")).Encode(),
            ]),
        (OperationCode.VectorSetMetadata, 0, "n1"u8.ToArray(), [5, 0, .. "notes"u8, .. Value.Object().Encode()]),
        (OperationCode.VectorDelete, 0, "n1"u8.ToArray(), [5, 0, .. "notes"u8]),
        (OperationCode.VectorDrop, 0, "notes"u8.ToArray(), []),
        (OperationCode.EventAppend, 0, "tool_call"u8.ToArray(), FirstEvent()),
        (OperationCode.EventConsumerCommit, 0, "reader"u8.ToArray(), [.. Int64(1), 0]),
        (OperationCode.EventRedact, 0, [], [.. Int64(0), .. Hash(2)]),
        (OperationCode.EventTrim, 0, [], Trim()),
        (OperationCode.StateInit, 0, "cell"u8.ToArray(), Cell(1)),
        (OperationCode.StateSet, 0, "cell"u8.ToArray(), Cell(2)),
        (OperationCode.StateTransition, 0, "cell"u8.ToArray(), Cell(3)),
        (OperationCode.StateExpire, 1, "cell"u8.ToArray(), Int64(2_000_000_000_000_000)),
        (OperationCode.StateLease, 1, "lease"u8.ToArray(), [.. Int64(2_000_000_000_000_000), .. Cell(1)]),
        (OperationCode.StateDelete, 0, "cell"u8.ToArray(), Cell(4)[..12]),
        (OperationCode.TraceRecord, 0, Trace, Thinking.Encode()),
        (OperationCode.TraceRedact, 0, Trace, []),
        (OperationCode.GraphPut, 0, "ada"u8.ToArray(), ConceptRecord.Write(new ConceptFields { Type = "person", Content = "text" })),
        (OperationCode.GraphEnsure, 0, "bob"u8.ToArray(), []),
        (OperationCode.GraphAssociate, 0, "ada"u8.ToArray(), Knows(AssociationRow.Write(new AssociationOptions(), 0))),
        (OperationCode.GraphTouch, 0, "ada"u8.ToArray(), ConceptRecord.Touch(1, 100_000)),
        (OperationCode.GraphDissociate, 0, "ada"u8.ToArray(), Knows([])),
        (OperationCode.GraphDelete, 0, "ada"u8.ToArray(), []),
        (OperationCode.Idempotency, 1, "key"u8.ToArray(), Int64(2_000_000_000_000_000)),
        (OperationCode.TriggerDefine, 0, "low"u8.ToArray(), Value.Object(("when", Value.Object()), ("do", Value.Object())).Encode()),
        (OperationCode.TriggerCursor, 0, "low"u8.ToArray(), [0, 0, .. Int64(3), .. Int64(1), .. Int64(-1), 0, 0, 0, 0]),
        (OperationCode.TriggerDrop, 0, "low"u8.ToArray(), []),
        (OperationCode.IndexDefine, 0, "cost"u8.ToArray(), Value.Object(("target", 0), ("paths", Value.Array("$['model']"))).Encode()),
        (OperationCode.IndexBuild, 0, [], [1, 0, 0, 0, 4, 0, 0, 0]),
        (OperationCode.IndexDrop, 0, "cost"u8.ToArray(), []),
        (OperationCode.SubscriptionSet, 0, "reader"u8.ToArray(), Subscription),
        (OperationCode.SubscriptionDrop, 0, "reader"u8.ToArray(), []),
        (OperationCode.RunMerge, 0, Hash(4)[..16], Value.Object(
            ("sequence", 3), ("next", 2), ("events", Value.Array(Value.Array(Hash(4)[..16], 0, 7, 2, Hash(5), Hash(6))))).Encode()),
        (OperationCode.RunEnd, 0, [], Value.Object(("status", 2)).Encode()),
        (OperationCode.RunArchive, 0, [], Value.Object().Encode()),
        (OperationCode.RunDelete, 0, [], []),
        (OperationCode.RunFork, 0, [], Value.Object(("parent", (byte[])[.. new byte[15], 1]), ("from", new byte[56])).Encode()),
    ];

    // Creation, of the run, behind commit 1 of which no more is known, wherever it is, no filter.
    private static byte[] Subscription => [1, 0, .. Int64(1), .. Int64(-1), 0, 0, 0, 0, .. Int64(-1), 0xC0];

    private static byte[] Trace => Hash(3)[..16];

    private static Value Thinking => Value.Object(("type", 3), ("time", 1), ("step", Value.Object(("content", "step by step"))));

    // Number, previous hash, hash, no causes, salt, payload.
    private static byte[] FirstEvent() =>
        [.. Int64(0), .. Hash(0), .. Hash(1), 0, 0, .. new byte[16], .. Value.Object(("tool", "search")).Encode()];

    // To #1, behind the first event; of its type none stays.
    private static byte[] Trim() =>
        [.. Int64(1), .. Hash(1), .. Int64(1), 1, 0, 9, 0, .. "tool_call"u8, .. Int64(1), .. Int64(-1), .. Int64(0)];

    // One name.
    private static byte[] Path(string name) =>
        [(byte)(5 + name.Length), 0, 0, 0, 0, (byte)name.Length, 0, 0, 0, .. Encoding.UTF8.GetBytes(name)];

    // Lengths, type, target.
    private static byte[] Knows(byte[] row) => [5, 0, 3, 0, .. "knowsbob"u8, .. row];

    // Steps, counter, value.
    private static byte[] Cell(long counter) => [1, 0, 0, 0, .. Int64(counter), .. ((Value)"value").Encode()];

    private static byte[] Hash(byte content) => Enumerable.Repeat(content, 32).ToArray();

    private static byte[] Int64(long number)
    {
        var bytes = new byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(bytes, number);
        return bytes;
    }
}
