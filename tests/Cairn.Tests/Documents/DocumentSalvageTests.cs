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

    private static (MemoryStorage Target, SalvageReport Report) Salvage(IStorage source)
    {
        var target = new MemoryStorage();
        return (target, CairnDatabase.SalvageTo(source, () => target));
    }

    private static CairnDatabase Open(IStorage storage, CairnOptions options) => CairnDatabase.Open(
        storage, options with { Durability = Durability.Buffered, CreateIfMissing = false },
        new EngineHooks { IsMaintenanceManual = true });
}
