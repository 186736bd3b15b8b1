#pragma warning disable xUnit1051 // what is carried here is small
using Cairn.Log;
using Cairn.Storage;
using Cairn.Tests.Transactions;
using Xunit;

namespace Cairn.Tests.Vectors;

/// <summary>RCV-9 of vectors: they come back from the log and from tables, with their ids; what rests on a lost operation is
/// told.</summary>
[Trait("Requirement", "RCV-9")]
[Trait("Promise", "G6")]
public sealed class VectorSalvageTests(ITestOutputHelper output)
{
    [Fact]
    [Trait("Kind", "Random")]
    public void Vectors_of_a_whole_log_come_back_as_they_were()
    {
        foreach (var seed in Seeds.Take(Seeds.Scaled(5), output))
        {
            using var test = new TestDatabase(Durability.Strict);
            VectorTransferTests.Fill(test.Run, seed);
            var fork = test.Db.Runs.Fork(RunId.Default);
            fork.Vectors["floats"].Upsert("forked", [1, 2, 3]);
            test.Run.Transact(tx =>
            {
                tx.Vectors.DeleteCollection("bytes");
                tx.Vectors["bytes"].Upsert("again", [1, 2]);
                tx.Vectors["bytes"].UpdateMetadata("again", Value.Object(("n", 1)));
            });
            var hash = test.Db.StateHash();
            test.Db.Dispose();
            var (target, report) = Salvage(test.Storage);
            Assert.True(report.IsComplete);
            using var db = Open(target, test.Db.Options);
            Assert.Equal(hash, db.StateHash());
        }
    }

    [Fact]
    public void What_rests_on_a_lost_operation_comes_back_as_far_as_it_means_something()
    {
        using var test = new TestDatabase(Durability.Strict);
        var vectors = test.Run.Vectors;
        vectors.CreateCollection("notes", new VectorDefinition { Dimension = 2, Metric = VectorMetric.Dot });  // 1
        vectors["lost"].Upsert("a", [1, 2, 3]);                                                                // 2: lost
        vectors["lost"].Upsert("b", [1, 2, 3]);                                                                // 3
        vectors["lost"].UpdateMetadata("a", Value.Object(("n", 1)));                                           // 4
        vectors["lost"].Delete("a");                                                                           // 5
        vectors["notes"].Upsert("c", [1, 2]);                                                                  // 6
        vectors["notes"].UpdateMetadata("c", Value.Object(("n", 1)));                                          // 7
        test.Db.Sync();
        Damage(test, 2);
        test.Abandon();
        var (target, report) = Salvage(test.Storage);
        Assert.False(report.IsComplete);
        Assert.Equal(1, report.DroppedOperations);
        Assert.Contains(report.RunLosses, loss => loss.Text.Contains("the beginning of the collection 'lost'", StringComparison.Ordinal));
        using var db = Open(target, test.Db.Options);
        Assert.Equal(["lost 1", "notes 1"], db.Default.Vectors.ListCollections().Select(info => $"{info.Name} {info.Count}"));
        Assert.Equal(2UL, db.Default.Vectors["lost"].Get("b")!.Id!.Value.Value);
        Assert.Equal(Value.Object(("n", 1)), db.Default.Vectors["notes"].Get("c")!.Metadata);
        Assert.Empty(db.VerifyDeep().Findings);
    }

    [Fact]
    public void An_id_that_is_another_s_because_a_deletion_was_lost_is_given_anew()
    {
        using var test = new TestDatabase(Durability.Strict);
        var vectors = test.Run.Vectors;
        vectors["notes"].Upsert("a", [1, 2]);                // 1
        vectors.DeleteCollection("notes");                   // 2: lost
        vectors["notes"].Upsert("b", [3, 4]);                // 3: the id of a
        vectors["notes"].Upsert("a", [5, 6]);                // 4
        test.Db.Sync();
        Damage(test, 2);
        test.Abandon();
        var (target, report) = Salvage(test.Storage);
        Assert.False(report.IsComplete);
        using var db = Open(target, test.Db.Options);
        Assert.Equal(["a 5", "b 3"], db.Default.Vectors["notes"].Search([1, 1]).Matches.Select(match => match.Key).Order()
            .Select(key => $"{key} {db.Default.Vectors["notes"].Get(key)!.Embedding.Span[0]}"));
        Assert.Equal(2, db.Default.Vectors["notes"].Keys().Select(key => db.Default.Vectors["notes"].Get(key)!.Id).Distinct().Count());
        Assert.Empty(db.VerifyDeep().Findings);
    }

    [Fact]
    [Trait("Kind", "Random")]
    public void Vectors_that_only_tables_have_come_back()
    {
        foreach (var seed in Seeds.Take(Seeds.Scaled(3), output))
        {
            using var test = new TestDatabase(
                Durability.Strict, options => options with { Retention = Retention.KeepLast(1), CompactionGarbageMin = 16 << 10 });
            VectorTransferTests.Fill(test.Run, seed);
            for (var i = 0; i < 40; i++)
                test.Run.Kv.Put("filler", new string('x', 3_000) + i);
            test.Checkpoint();
            test.Run.Kv.Put("filler", "small");
            test.Checkpoint();
            test.Db.Compact();
            Assert.True(test.Db.ReadLog().First().Sequence.Value > 1, "the log's beginning was to be given up");
            test.Run.Vectors["floats"].Upsert("behind", [1, 2, 3]);
            var lines = VectorTransferTests.Lines(test.Run.Vectors);
            test.Db.Dispose();
            var (target, report) = Salvage(test.Storage);
            Assert.True(report.IsComplete, string.Join("; ", report.RunLosses.Select(loss => loss.Text)));
            using var db = Open(target, test.Db.Options);
            Assert.Equal(lines, VectorTransferTests.Lines(db.Default.Vectors));
            Assert.Empty(db.VerifyDeep().Findings);
        }
    }

    private static void Damage(TestDatabase test, ulong sequence)
    {
        var record = test.Db.ReadLog().First(record => record.Sequence.Value == sequence && record.Time is not null);
        using var file = test.Storage.Open(LogNames.SegmentPath(1), writable: true);
        Span<byte> bytes = stackalloc byte[1];
        file.ReadAt(bytes, SegmentHeader.Size + record.Position + 60);
        bytes[0] ^= 1;
        file.WriteAt(bytes, SegmentHeader.Size + record.Position + 60);
    }

    private static (MemoryStorage Target, SalvageReport Report) Salvage(IStorage source)
    {
        var target = new MemoryStorage();
        return (target, CairnDatabase.SalvageTo(source, () => target));
    }

    private static CairnDatabase Open(IStorage storage, CairnOptions options) => CairnDatabase.Open(
        storage, options with { Durability = Durability.Buffered, CreateIfMissing = false },
        new EngineHooks { IsMaintenanceManual = true });
}
