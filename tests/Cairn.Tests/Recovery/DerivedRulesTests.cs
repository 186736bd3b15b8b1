using System.Buffers.Binary;
using System.Text;
using Cairn.Primitives;
using Cairn.Store;
using Cairn.Tests.Transactions;
using Xunit;

namespace Cairn.Tests.Recovery;

/// <summary>A deep verification holds documents and indexes against their rules: each rule is broken once, by a key written behind the
/// engine's back, and named.</summary>
[Trait("Requirement", "MNT-12")]
public sealed class DerivedRulesTests
{
    // The document of DocumentTree.cs: nodes 1 = the root, 2 = plan, 3 = steps, 4 = the Object in it.
    private static readonly Value Drawn = Value.FromJson("""{"plan": {"steps": ["a", {"b": 1}]}, "n": 7}""");

    public static TheoryData<string> Rules => [.. Breaks.Keys];

    private delegate void Breaking(RunState run, DocumentKeys keys);

    private static readonly Dictionary<string, Breaking> Breaks = new()
    {
        ["has no header"] = (run, keys) => Delete(run, keys.Header()),
        ["headers are of no document"] = (run, _) => Put(run, Keys("none").Header(), new byte[DocumentHeader.Size]),
        ["has a place that is newer than its header"] = (run, _) => Put(run, Keys("older").Member(1, "n"u8), [7]),
        ["nodes of 1 documents that are not there (DT2)"] = (run, keys) =>
        {
            Delete(run, keys.Root());
            Delete(run, keys.Header());
        },
        ["has a place that holds no slot"] = (run, keys) => Put(run, keys.Member(1, "n"u8), [0xC1]),
        ["has a value that is not canonical"] = (run, keys) => Put(run, keys.Member(1, "n"u8), [0xD0, 7]),
        ["has a node at two places (DT1)"] = (run, keys) => Put(run, keys.Member(4, "b"u8), Container(2, 2)),
        ["has a node with a number that was not given yet (DT2)"] = (run, keys) => Put(run, keys.Member(4, "b"u8), Container(2, 9)),
        ["has nodes that no place leads to (DT2)"] = (run, keys) => Put(run, keys.Count(8), [0, 0, 0, 0]),
        ["has an Array with a gap (DT3)"] = (run, keys) =>
        {
            Delete(run, keys.Element(3, 0));
            Put(run, keys.Count(3), [1, 0, 0, 0]);
        },
        ["has an Object of 2 that says it has 3"] = (run, keys) => Put(run, keys.Count(1), [3, 0, 0, 0]),
        ["has a place of another kind in an Object"] = (run, keys) => Put(run, keys.Element(4, 0), [7]),
        ["is 24 bytes long, and its header says 23 (DT4)"] = (run, keys) => Put(run, keys.Member(4, "b"u8), [0xCC, 0xC8]),
        ["expires at two times"] = (run, keys) =>
            run.Store.Put(keys.Root(), Container(2, 1), run.LastSequence, 1, expiry: long.MaxValue),
    };

    [Theory]
    [MemberData(nameof(Rules))]
    public void MNT_12_A_rule_of_documents_that_is_broken_is_named(string rule)
    {
        using var database = new TestDatabase(Durability.Buffered);
        database.Run.Json.Put("older", Drawn);
        database.Run.Json.Put("d", Drawn);
        Assert.Empty(database.Db.VerifyDeep().Findings);
        var run = database.Run.RunState;
        lock (run.CommitLock)
            Breaks[rule](run, Keys("d"));
        var found = Assert.Single(database.Db.VerifyDeep().Findings, finding => finding.Part == "documents");
        Assert.True(found.Text.Contains(rule, StringComparison.Ordinal), found.Text);
    }

    [Theory]
    [InlineData(IndexTarget.Documents)]
    [InlineData(IndexTarget.Traces)]
    public void MNT_12_An_item_too_few_and_one_too_many_are_named(IndexTarget target)
    {
        using var database = new TestDatabase(Durability.Buffered);
        database.Run.Json.Put("d", Value.Object(("type", "a")));
        database.Run.Json.Put("e", Value.Object(("type", "b")));
        database.Run.Traces.Record(new ThoughtStep("a"));
        database.Run.Traces.Record(new ThoughtStep("b"));
        database.Run.Indexes.Define("i", new IndexDefinition { Target = target, Paths = ["$.type"] });
        while (database.Run.Indexes.Get("i")!.State != IndexState.Ready)
            database.Db.Engine.IndexJob!.Step();
        Assert.Empty(database.Db.VerifyDeep().Findings);
        var run = database.Run.RunState;
        byte[] prefix = IndexItems.Prefix(IndexSet.Read(run, ulong.MaxValue).All.Single().Number);
        lock (run.CommitLock)
        {
            byte[] item;
            using (var reader = run.Store.Read())
            {
                var items = reader.Scan(prefix, [], ulong.MaxValue);
                Assert.True(items.MoveNext());
                item = items.Key.ToArray();
            }

            Delete(run, item);
            Put(run, [.. item, 0x31], []);
            Put(run, [.. item, 0x32], []);
        }

        Assert.Equal(
            [$"Run {run.Id}: the index 'i' lacks 1 of the 2 items of what is stored (IX1).",
                $"Run {run.Id}: the index 'i' has 2 items of nothing that is stored (IX1)."],
            database.Db.VerifyDeep().Findings.Where(finding => finding.Part == "index").Select(finding => finding.Text));
    }

    private static DocumentKeys Keys(string id) => new(new byte[DocumentKeys.BufferBytes], Encoding.UTF8.GetBytes(id));

    private static void Put(RunState run, ReadOnlySpan<byte> key, ReadOnlySpan<byte> value) =>
        run.Store.Put(key, value, run.LastSequence, 1, expiry: 0);

    private static void Delete(RunState run, ReadOnlySpan<byte> key) => run.Store.Delete(key, default, run.LastSequence, 1);

    private static byte[] Container(byte kind, ushort node)
    {
        byte[] slot = [0xC1, kind, 0, 0, 0, 0, 0, 0];
        BinaryPrimitives.WriteUInt16BigEndian(slot.AsSpan(6), node);
        return slot;
    }
}
