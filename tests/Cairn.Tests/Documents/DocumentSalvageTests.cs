using Cairn.Log;
using Cairn.Storage;
using Cairn.Tests.Transactions;
using Xunit;

namespace Cairn.Tests.Documents;

/// <summary>RCV-9 of documents: their operations are done again, and what rests on a lost one is told by the document's name.</summary>
[Trait("Requirement", "RCV-9")]
public sealed class DocumentSalvageTests(ITestOutputHelper output)
{
    [Fact]
    [Trait("Kind", "Random")]
    public void Documents_of_a_whole_log_come_back_as_they_were()
    {
        foreach (var seed in Seeds.Take(Seeds.Scaled(5), output))
        {
            using var test = new TestDatabase(Durability.Strict);
            DocumentTransferTests.Fill(test.Run, seed);
            var fork = test.Db.Runs.Fork(RunId.Default);
            fork.Json.Set("settings", "$.fork", seed);
            test.Run.Json.Delete("empty");
            var hash = test.Db.StateHash();
            test.Db.Dispose();
            var (target, report) = Salvage(test.Storage);
            Assert.True(report.IsComplete);
            using var db = Open(target, test.Db.Options);
            Assert.Equal(hash, db.StateHash());
        }
    }

    [Fact]
    public void A_document_stays_as_it_was_before_what_was_lost_until_it_is_written_whole()
    {
        using var test = new TestDatabase(Durability.Strict);
        var json = test.Run.Json;
        json.Put("kept", Value.FromJson("{\"n\":1}"));                   // 1
        json.Put("again", Value.FromJson("{\"n\":1}"));                  // 2
        json.Put("gone", Value.FromJson("{\"n\":1}"));                   // 3
        json.Increment("kept", "$.n", 1);                                // 4
        json.Set("kept", "$.list", Value.FromJson("[1,2,3]"));           // 5: lost
        json.ArrayRemove("kept", "$.list", 0);                           // 6
        json.Increment("kept", "$.n", 1);                                // 7
        json.Put("again", Value.FromJson("{\"m\":1}"));                  // 8
        json.Increment("again", "$.m", 1);                               // 9
        json.Create("made", Value.Object());                             // 10
        json.Set("made", "$.a", 1);                                      // 11
        json.Delete("gone");                                             // 12
        test.Db.Sync();
        var record = test.Db.ReadLog().First(record => record.Sequence.Value == 5 && record.Time is not null);
        using (var file = test.Storage.Open(LogNames.SegmentPath(1), writable: true))
        {
            Span<byte> bytes = stackalloc byte[1];
            file.ReadAt(bytes, SegmentHeader.Size + record.Position + 60);
            bytes[0] ^= 1;
            file.WriteAt(bytes, SegmentHeader.Size + record.Position + 60);
        }

        test.Abandon();
        var (target, report) = Salvage(test.Storage);
        Assert.False(report.IsComplete);
        Assert.Equal(2, report.DroppedOperations);
        var told = report.RunLosses.Where(loss => loss.Text.Contains("document", StringComparison.Ordinal)).ToList();
        Assert.Contains("'kept'", Assert.Single(told).Text, StringComparison.Ordinal);
        using var db = Open(target, test.Db.Options);
        Assert.Equal(
            ["again {\"m\":2}", "kept {\"n\":2}", "made {\"a\":1}"],
            db.Default.Json.Scan().Select(document => $"{document.Key} {document.Value.ToJson()}"));
    }

    // The log's beginning is gone, so documents come from tables, and what was done to them behind the mark from the log. With the mutant
    // a document with half of its members is taken for whole.
    [Fact]
    public void A_document_with_a_part_in_a_damaged_block_is_named_and_not_taken()
    {
        using var test = InTables();
        var json = test.Run.Json;
        json.Set("torn", "$.more", 1);
        json.Set("whole", "$.more", 1);
        json.Set("new", "$.a", 1);
        test.Db.Sync();
        var expected = json.Scan().Where(document => document.Key != "torn").ToList();
        test.Db.Dispose();
        var table = test.Storage.List(LogNames.TableDirectory).Select(name => LogNames.TableDirectory + "/" + name)
            .MaxBy(path => Length(test.Storage, path))!;
        Flip(test.Storage, table, Length(test.Storage, table) / 2);
        var (target, report) = Salvage(test.Storage);
        Assert.False(report.IsComplete);
        Assert.Equal(
            ["changes of the document 'torn', which is as it was before what was lost",
                "the document 'torn', of which a table has lost a part"],
            report.RunLosses.Select(loss => loss.Text).Order(StringComparer.Ordinal));
        using var db = Open(target, test.Db.Options);
        Assert.Equal(expected, db.Default.Json.Scan());
        Assert.Empty(db.VerifyDeep().Findings);
    }

    [Fact]
    public void Documents_come_from_tables_with_their_expiry_and_a_fork_says_what_it_had_from_its_parent()
    {
        using var test = InTables();
        var fork = test.Db.Runs.Fork(RunId.Default, name: "fork");
        fork.Json.Set("whole", "$.fork", 1);
        fork.Json.Put("own", Value.Array(1, Value.Object()));
        test.Run.Json.Put("short", 1, TimeSpan.FromDays(3));
        Trim(test);
        test.Run.Json.Set("whole", "$.more", 2);
        var expected = test.Run.Json.Scan().ToList();
        var expiry = test.Run.Json.GetVersioned("short")!.Value.Expiry;
        test.Db.Sync();
        test.Db.Dispose();
        var (target, report) = Salvage(test.Storage);
        using var db = Open(target, test.Db.Options);
        Assert.Equal(expected, db.Default.Json.Scan());
        Assert.Equal(expiry, db.Default.Json.GetVersioned("short")!.Value.Expiry);
        Assert.Equal([new("own", Value.Array(1, Value.Object()))], db.Runs.Get("fork")!.Json.Scan());
        Assert.Contains(report.RunLosses, loss => loss.Run == fork.Id && loss.Text.Contains("'whole'", StringComparison.Ordinal));
        Assert.Empty(db.VerifyDeep().Findings);
    }

    // A large document and small ones on both sides of it, in tables, with a log that begins behind them.
    private static TestDatabase InTables()
    {
        var test = new TestDatabase(Durability.Strict, options => options with
        {
            SegmentBytesMin = 16 << 10,
            SegmentBytesMax = 16 << 10,
            CompactionGarbageMin = 16 << 10,
            CheckpointOnClose = false,
            Retention = Retention.KeepLast(1),
        });
        for (var i = 0; i < 20; i++)
        {
            test.Run.Json.Put($"a{i}", Value.Object(("n", i)));
            test.Run.Json.Put($"z{i}", Value.Object(("n", i)));
        }

        test.Run.Json.Put("torn", Value.Object([.. Enumerable.Range(0, 4_000).Select(i => ($"member {i}", (Value)i))]));
        test.Run.Json.Put("whole", Value.Object(("n", 1)));
        Trim(test);
        return test;
    }

    private static void Trim(TestDatabase test)
    {
        for (var round = 0; round < 2; round++)
        {
            for (var i = 0; i < 30; i++)
                test.Run.Kv.Put("filler", new string('x', 2_000));
            test.Db.Sync();
            test.Checkpoint();
            test.Db.Compact();
        }
    }

    private static long Length(IStorage storage, string path)
    {
        using var file = storage.Open(path, writable: false);
        return file.Length;
    }

    private static void Flip(IStorage storage, string path, long offset)
    {
        using var file = storage.Open(path, writable: true);
        Span<byte> one = stackalloc byte[1];
        file.ReadAt(one, offset);
        one[0] ^= 0x10;
        file.WriteAt(one, offset);
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
