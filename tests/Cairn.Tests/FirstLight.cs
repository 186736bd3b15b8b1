using Xunit;

namespace Cairn.Tests;

public class FirstLight
{
    [Fact]
    public void Puts_survive_reopening()
    {
        var directory = Directory.CreateTempSubdirectory("cairn-").FullName;
        try
        {
            foreach (var mode in new[] { Durability.Buffered, Durability.Strict })
            {
                using (var db = CairnDatabase.Open(directory, new CairnOptions { Durability = mode }))
                {
                    for (var i = 0; i < 1000; i++)
                        db.Default.Kv.Put($"k{i}", i);
                    db.Default.Transact(tx =>
                    {
                        tx.Kv.Put("a", 1);
                        tx.Kv.Delete("b");
                        tx.Kv.Increment("b", 5);
                        Assert.Equal(5, tx.Kv.Get("b")!.Value.AsInt64());
                    });
                    Assert.Equal(1002, db.Default.Kv.Count());
                }

                using (var db = CairnDatabase.Open(directory))
                {
                    Assert.Equal(1002, db.Default.Kv.Count());
                    Assert.Equal(999, db.Default.Kv.Get("k999")!.Value.AsInt64());
                    Assert.True(db.Recovery.WasClosedCleanly);
                    Assert.Equal(3, db.Default.Kv.List(new ScanOptions { Prefix = "k99", Limit = 3 }).Count);
                }
            }
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    [Fact]
    public void The_time_travel_of_the_first_page_runs()
    {
        var directory = Directory.CreateTempSubdirectory("cairn-").FullName;
        try
        {
            using var db = CairnDatabase.Open(directory);
            var run = db.Runs.Begin("refund-4711");
            run.Kv.Put("customer", "Ada");
            run.Kv.Put("tier", "gold");
            Snippets.TimeTravel.Run(db, run);
            Assert.Equal(RunStatus.Completed, run.Info.Status);
            Assert.Equal("gold", run.Kv.Get("tier")!.Value.AsString());      // a conflict is told, and nothing is written
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    [Fact]
    public void In_memory_works()
    {
        using var db = CairnDatabase.OpenInMemory();
        var threads = Enumerable.Range(0, 4).Select(t => new Thread(() =>
        {
            for (var i = 0; i < 1000; i++)
                db.Default.Kv.Increment("n");
        })).ToList();
        threads.ForEach(thread => thread.Start());
        threads.ForEach(thread => thread.Join());
        Assert.Equal(4000, db.Default.Kv.Get("n")!.Value.AsInt64());
        Assert.Equal(4000UL, db.Sequence.Value);
    }

    [Fact]
    public void Strict_threads_share_syncs()
    {
        var directory = Directory.CreateTempSubdirectory("cairn-").FullName;
        try
        {
            using var db = CairnDatabase.Open(directory);
            var threads = Enumerable.Range(0, 8).Select(t => new Thread(() =>
            {
                for (var i = 0; i < 200; i++)
                    db.Default.Kv.Increment("n");
            })).ToList();
            threads.ForEach(thread => thread.Start());
            threads.ForEach(thread => thread.Join());
            Assert.Equal(1600, db.Default.Kv.Get("n")!.Value.AsInt64());
            Assert.True(db.Engine.Counters.Syncs < 1600);
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }
}
