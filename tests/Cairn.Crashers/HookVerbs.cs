using System.Diagnostics;
using System.Globalization;
using Cairn.Diagnostics;
using Cairn.Storage;
using Cairn.Transfer;

namespace Cairn.Crashers;

/// <summary>Verbs for what the hooks of the engine are for.</summary>
internal static class HookVerbs
{
    /// <summary>`hash DIR [CULTURE]`: the state hash of a closed database, and what deep verification finds.</summary>
    internal static void Hash(string[] arguments)
    {
        if (arguments is [_, { Length: > 0 } culture])
            CultureInfo.CurrentCulture = CultureInfo.DefaultThreadCurrentCulture = new CultureInfo(culture);
        using var db = CairnDatabase.Open(arguments[0], new CairnOptions { IsReadOnly = true, Durability = Durability.Buffered });
        var verified = db.VerifyDeep();
        var hash = db.StateHash();
        Console.WriteLine(hash == verified.StateHash ? $"{hash} {verified.Findings.Count} findings" : $"{hash} and {verified.StateHash}");
    }

    /// <summary>`hot`: commits until the compiler has made the most of them, and says whether hooks are on.</summary>
    internal static void Hot(string[] arguments)
    {
        using var db = CairnDatabase.Open(new MemoryStorage(), new CairnOptions { Durability = Durability.Buffered }, EngineHooks.None);
        for (var i = 0; i < 200_000; i++)
            db.Default.Kv.Put("key", i);

        Console.WriteLine($"failpoints {(Failpoint.IsOn ? "on" : "off")}");
    }

    /// <summary>`die DIR MODE FAILPOINT NTH`: opens, commits, checkpoints, compacts, begins and deletes runs, rotates, closes, again and
    /// again; says `a N`, `k N`, `r N`, `d N` for what was acknowledged, and is killed when it comes to the failpoint for the nth time.
    /// Ends by itself when it never comes there.</summary>
    internal static void Die(string[] arguments)
    {
        var nth = int.Parse(arguments[3], CultureInfo.InvariantCulture);
        using var plan = Failpoint.Use(new KillPlan(arguments[2], nth));
        var options = new CairnOptions
        {
            Durability = Enum.Parse<Durability>(arguments[1]),
            SegmentBytesMin = 32 << 10,
            SegmentBytesMax = 32 << 10,
            Retention = Retention.KeepLast(1),
            ContentMemoryBytes = 0,                          // every read of a large value reads the log or an archive
        };
        for (var opening = 0; opening < 6; opening++)
        {
            var storage = DiskStorage.OpenOrCreate(arguments[0], createIfMissing: true, readOnly: false);
            if (opening % 2 == 1)
                storage.CreateNew("log/9999999999.segment.part").Dispose();      // something to tidy up: this opening writes at once
            using var db = CairnDatabase.Open(storage, options, new EngineHooks { IsMaintenanceManual = true });
            var from = db.Default.Kv.Get("n")?.AsInt64() ?? 0;
            var cursor = db.ChangeCursor();
            if (db.Default.Triggers.Get("count") is null)
                db.Default.Triggers.Create("count", Counting);
            for (var n = from + 1; n <= from + 20; n++)
            {
                db.Default.Transact(tx =>
                {
                    tx.Kv.Put("n", n);
                    tx.Kv.Put("padding", new byte[3000]);
                    tx.Kv.Add("sum", n);
                });
                Say('a', n);
                if (n % 5 == 0)
                    Keep(db, n);
                if (n % 10 == 0)
                    db.Checkpoint();
            }

            Watch(db, cursor, from + 1);
            while (db.Engine.TriggerJob!.HasWorkInSight)
                db.Engine.TriggerJob.Step();
            db.Checkpoint();
            db.Compact();
            RebuildNewest(db, storage);
            if (db.Default.Kv.Get(Kept(from + 5)) != Large(from + 5))
                throw new InvalidOperationException($"a large value of {from + 5} is another one");

            var run = db.Runs.Begin($"run {from}");
            run.Kv.Put("n", from);
            Say('r', from);
            db.Engine.Maintainer!.Step();
            db.Sync();                                       // a mark follows a sync, which is not due by itself on a fast machine
            db.SyncAsync().AsTask().Wait();                  // by the log's own thread
            db.Engine.Path.Log.MarkIfIdle(TimeSpan.Zero);
            db.Runs.Delete(run.Id);
            Say('d', from);
            var backup = new MemoryStorage();
            db.BackupTo(backup, null, new BackupOptions());
            var restored = new MemoryStorage();
            CairnDatabase.RestoreTo(BackupChain.Open([backup], default), restored, new RestoreOptions());
            var salvaged = new MemoryStorage();
            CairnDatabase.SalvageTo(restored, () => salvaged);
            using var lines = new MemoryStream();
            db.Export(lines);
            lines.Position = 0;
            using var copy = CairnDatabase.Open(new MemoryStorage(), options, EngineHooks.None);
            copy.Import(lines);
        }
    }

    private static TriggerDefinition Counting => new()
    {
        When = TriggerCondition.Threshold("kv", "n", TriggerComparison.AtLeast, 1, TriggerMode.Level),
        Do = TriggerAction.Increment("fired"),
    };

    // The feed has each n that was committed, in order.
    private static void Watch(CairnDatabase db, string cursor, long next)
    {
        var options = new ChangeOptions { End = ChangeEnd.Now, Values = ChangeValues.After };
        foreach (var commit in db.Changes(cursor, options: options).ToBlockingEnumerable())
        {
            if (commit.Changes[0].Key == "n" && commit.Changes[0].After.Value != next++)
                throw new InvalidOperationException($"the feed has {commit.Changes[0].After} in the place of {next - 1}");
        }
    }

    // The header of a table is damaged and told: an opening would fall back, and here it is rebuilt.
    private static void RebuildNewest(CairnDatabase db, IStorage storage)
    {
        var log = (Cairn.Log.SegmentedLog)db.Engine.Path.Log.Device!;
        var newest = log.Manifest.TablesOf(log.Manifest.Checkpoints[^1])[0];
        using (var file = storage.Open(newest.Path, writable: true))
            file.WriteAt(new byte[8], 0);
        if (!db.Rebuild().IsWhole || db.Engine.DamagedTables!.Rebuilt != 1)
            throw new InvalidOperationException($"{newest.Path} was not rebuilt");
    }

    // What is large and stays: segments with it go into an archive, and reading it reads files.
    private static void Keep(CairnDatabase db, long n)
    {
        db.Default.Kv.Put(Kept(n), Large(n));
        Say('k', n);
    }

    private static string Kept(long n) => string.Create(CultureInfo.InvariantCulture, $"kept {n}");

    private static Value Large(long n) => string.Create(CultureInfo.InvariantCulture, $"{n}").PadLeft(5_000, '.');

    private static void Say(char what, long n) => Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{what} {n}"));

    private sealed class KillPlan(string name, int nth) : FailpointPlan
    {
        private int _hits;

        internal override void Hit(string at)
        {
            if (at != name || Interlocked.Increment(ref _hits) != nth)
                return;
            using var self = Process.GetCurrentProcess();
            self.Kill();
            Thread.Sleep(Timeout.Infinite);                  // the signal is on its way
        }
    }
}
