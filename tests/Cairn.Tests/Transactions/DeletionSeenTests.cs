using Xunit;

namespace Cairn.Tests.Transactions;

/// <summary>
/// The bug: a transaction had read a key as absent; meanwhile others created it and deleted it again. The tombstone was the key's only
/// version, no reader needed a value behind it, so the sweep took the key out of the store although the transaction's pin lay
/// below it. At commit the key looked untouched and the transaction went through. Found by the random transactions of
/// IsolationTests (Snapshot level, in memory, seed 71251325486786) as G-single: a read, then everybody else's writes, then the
/// reader's own write over them. Now a tombstone waits for the pins below it.
/// </summary>
public class DeletionSeenTests
{
    [Theory]
    [InlineData(Isolation.Serializable)]
    [InlineData(Isolation.Snapshot)]
    [Trait("Promise", "G8")]
    [Trait("Requirement", "TX-8")]
    public void TX8_Who_read_a_key_as_absent_learns_that_it_was_created_and_deleted_since(Isolation level)
    {
        using var db = CairnDatabase.OpenInMemory(new CairnOptions(), new EngineHooks { IsMaintenanceManual = true });
        var run = db.Default;
        using var reader = run.BeginTransaction(new TransactionOptions { Isolation = level });
        Assert.Null(reader.Kv.Get("key"));
        run.Kv.Put("key", 1);
        Assert.True(run.Kv.Delete("key"));
        for (var i = 0; i < 5_000; i++)
            run.Kv.Put($"other{i % 10}", i);                 // writes sweep
        for (var i = 0; i < 100; i++)
            db.Engine.Maintainer!.Step();
        reader.Kv.Put("key", 2);
        Assert.Throws<ConflictException>(() => reader.Commit());
    }

    [Fact]
    [Trait("Requirement", "TX-8")]
    public void TX8_A_deleted_key_leaves_memory_when_nobody_can_ask_about_it_any_more()
    {
        using var db = CairnDatabase.OpenInMemory(new CairnOptions(), new EngineHooks { IsMaintenanceManual = true });
        var run = db.Default;
        var store = db.Engine.Catalogue.Default.Store;
        run.Kv.Put("stays", 0);
        var before = store.EntryCount;
        using (run.Snapshot())
        {
            for (var i = 0; i < 1_000; i++)
            {
                run.Kv.Put($"key{i}", i);
                run.Kv.Delete($"key{i}");
            }
        }

        for (var i = 0; i < 1_000; i++)
            db.Engine.Maintainer!.Step();
        Assert.Equal(before, store.EntryCount);
    }
}
