using Cairn.Storage;
using Cairn.Store;
using Cairn.Tests.Transactions;
using Xunit;

namespace Cairn.Tests.Recovery;

/// <summary>A tail of the log over keys that the checkpoint's image has: recovery holds stretches of it back to bring their keys in order.
/// What it recovers is what was there.</summary>
public class LookAheadTests(ITestOutputHelper output)
{
    private const int Keys = 4_000;
    private const int Tail = 7_000;                       // a window that is handed on at once, and stretches behind it

    [Theory]
    [InlineData(16 << 10)]
    [InlineData(32 << 20)]
    [Trait("Requirement", "RCV-7")]
    [Trait("Requirement", "RCV-12")]
    public void RCV_7_A_tail_over_known_keys_is_recovered_as_it_was(int heldBytes)
    {
        foreach (var seed in Seeds.Take(1, output))
        {
            var random = new Random(seed);
            var clock = new FakeClock();
            var storage = new MemoryStorage();
            List<string> before;
            Hash256 hash;
            RunId fork;
            using (var db = Open(storage, clock, heldBytes))
            {
                Fill(db, random);
                db.Checkpoint(cancellationToken: TestContext.Current.CancellationToken);
                fork = db.Runs.Fork(db.Default.Id, name: "fork").Id;
                Write(db, random, clock);
                before = Describe(db, fork);
                hash = db.StateHash();
                TestDatabase.Kill(db);
            }

            using var opened = Open(storage, clock, heldBytes);
            Assert.NotNull(opened.Recovery.CheckpointUsed);
            Assert.True(opened.Engine.Recovered!.Ahead.Brought > 100);
            Assert.Equal(before, Describe(opened, fork));
            Assert.Equal(hash, opened.StateHash());

            // The order of expiry is not in the hash: what it has too much or too little shows when all of it has expired.
            clock.Advance(TimeSpan.FromHours(2));
            for (var i = 0; i < 2_000 && opened.Engine.Maintainer!.Step(); i++)
            {
            }

            foreach (var run in (Run[])[opened.Default, opened.Runs.Get(fork)!])
            {
                Assert.Equal(run.Kv.Count(), All(run).Count);
                Assert.Equal(All(run).Count(pair => pair.Value.Expiry is not null), Places(opened.Engine.Catalogue.Find(run.Id)!.Store));
            }
        }
    }

    private static CairnDatabase Open(MemoryStorage storage, FakeClock clock, int heldBytes) => CairnDatabase.Open(
        storage,
        new CairnOptions
        {
            Durability = Durability.Buffered,
            SegmentBytesMin = 128 << 10,
            SegmentBytesMax = 1 << 20,
            BlockCacheBytes = 0,                             // each look at a table is a read
            CheckpointOnClose = false,
            RandomSeed = 1,
            TimeProvider = clock,
        },
        new EngineHooks { IsMaintenanceManual = true, RecoveryHeldBytes = heldBytes });

    private static void Fill(CairnDatabase db, Random random)
    {
        for (var from = 0; from < Keys; from += 500)
        {
            db.Default.Transact(tx =>
            {
                for (var key = from; key < from + 500; key++)
                {
                    if (key % 7 == 0)
                        tx.State.Set(Name(key), key);
                    else
                        tx.Kv.Put(Name(key), key, key % 3 == 0 ? TimeSpan.FromMinutes(random.Next(1, 90)) : null);
                }
            });
        }
    }

    private static void Write(CairnDatabase db, Random random, FakeClock clock)
    {
        var runs = new[] { db.Default, db.Runs.List().Select(info => db.Runs.Get(info.Id)!).Single(run => run.Id != db.Default.Id) };
        for (var i = 0; i < Tail; i++)
        {
            if (random.Next(50) == 0)
                clock.Advance(TimeSpan.FromSeconds(random.Next(1, 20)));
            var run = runs[random.Next(8) == 0 ? 1 : 0];
            var name = Name(random.Next(Keys + 500));        // some are new
            switch (random.Next(8))
            {
                case 0:
                    run.Kv.Delete(name);
                    break;
                case 1:
                    run.Kv.Expire(name, TimeSpan.FromMinutes(random.Next(1, 90)));
                    break;
                case 2:
                    run.Kv.Persist(name);
                    break;
                case 3:
                    run.State.Set(name, i);
                    break;
                case 4:
                    run.State.Delete(name);
                    break;
                case 5:
                    run.Transact(tx =>
                    {
                        tx.Kv.Put(name, i);
                        tx.Kv.Delete(Name(random.Next(Keys)));
                        tx.Kv.Put(Name(random.Next(Keys)), new string('v', 100), TimeSpan.FromMinutes(random.Next(1, 90)));
                    });
                    break;
                default:
                    run.Kv.Put(name, i, random.Next(2) == 0 ? TimeSpan.FromMinutes(random.Next(1, 90)) : null);
                    break;
            }
        }
    }

    private static string Name(int key) => $"some/key/{key:d6}";

    private static List<string> Describe(CairnDatabase db, RunId fork)
    {
        var lines = new List<string>();
        foreach (var run in (Run[])[db.Default, db.Runs.Get(fork)!])
        {
            lines.Add($"{run.Kv.Count()} keys, {run.State.Count()} cells");
            lines.AddRange(All(run).Select(pair => $"{pair.Key} {pair.Value}"));
            string? cursor = null;
            do
            {
                var page = run.State.Scan(new ScanOptions { Limit = 1000, Cursor = cursor });
                lines.AddRange(page.Select(pair => $"{pair.Key} {pair.Value}"));
                cursor = page.Cursor;
            }
            while (cursor is not null);
        }

        return lines;
    }

    private static int Places(RunStore store)
    {
        using var reader = store.Read();
        var count = 0;
        var places = reader.Scan([StoreKeys.ExpiryFamily], [StoreKeys.ExpiryFamily + 1], ulong.MaxValue);
        while (places.MoveNext())
            count++;
        return count;
    }

    private static List<KeyValuePair<string, Versioned<Value>>> All(Run run)
    {
        var all = new List<KeyValuePair<string, Versioned<Value>>>();
        string? cursor = null;
        do
        {
            var page = run.Kv.Scan(new ScanOptions { Limit = 1000, Cursor = cursor });
            all.AddRange(page);
            cursor = page.Cursor;
        }
        while (cursor is not null);
        return all;
    }
}
