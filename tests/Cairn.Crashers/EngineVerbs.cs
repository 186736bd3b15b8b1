using System.Diagnostics;
using System.Globalization;

namespace Cairn.Crashers;

/// <summary>Verbs that use the engine through its public door.</summary>
internal static class EngineVerbs
{
    private const int SyncEvery = 40;

    /// <summary>`write DIR MODE SEED THREADS [busy]`: commits for ever. Each commit n of thread t writes the keys t/a and t/b, both n, and
    /// t/sum; and in a run of the thread's own, in the same transaction, the n-th event, trace and state of a cell. Says `t n time.`
    /// after each acknowledgement, and `synced t n time.` when a thread has asked for a sync behind its n-th commit; by the system's
    /// steady clock. Busy: checkpoints, merges and compactions go on all the time, and some values are contents.</summary>
    internal static void Write(string[] arguments)
    {
        var mode = Enum.Parse<Durability>(arguments[1]);
        var threads = int.Parse(arguments[3], CultureInfo.InvariantCulture);
        var isBusy = arguments.Length > 4 && arguments[4] == "busy";
        var options = new CairnOptions { Durability = mode };
        if (isBusy)
        {
            options = options with
            {
                Retention = Retention.KeepLast(1),
                CheckpointLogBytes = 64 << 10,
                SegmentBytesMin = 64 << 10,
                SegmentBytesMax = 256 << 10,
                CompactionGarbageMin = 16 << 10,
            };
        }

        using var db = CairnDatabase.Open(arguments[0], options);
        var output = new Lock();
        Console.WriteLine("ready");
        var workers = Enumerable.Range(0, threads).Select(thread => new Thread(() =>
        {
            var run = db.Default;
            var own = db.Runs.Get($"thread-{thread}") ?? db.Runs.Begin($"thread-{thread}");
            var from = run.Kv.Get($"{thread}/a")?.AsInt64() ?? 0;
            for (var n = from + 1; ; n++)
            {
                var number = n;
                using var transaction = db.BeginTransaction([run, own]);
                var (shared, inside) = (transaction.On(run.Id), transaction.On(own.Id));
                shared.Kv.Put($"{thread}/a", number);
                shared.Kv.Put($"{thread}/b", number);
                shared.Kv.Add($"{thread}/sum", number);
                inside.Events.Append("step", Value.Object(("n", number)));
                inside.Traces.Record(new ThoughtStep("step", 1));
                inside.State.Set("cell", number);
                if (isBusy && n % 16 == 0)
                    shared.Kv.Put($"{thread}/large-{n / 16 % 8}", new string((char)('a' + n % 26), 20_000));
                transaction.Commit();
                lock (output)
                    Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{thread} {number} {Stopwatch.GetTimestamp()}."));
                if (n % SyncEvery != 0)
                    continue;
                db.Sync();
                lock (output)
                    Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"synced {thread} {number} {Stopwatch.GetTimestamp()}."));
            }
        })).ToList();
        workers.ForEach(worker => worker.Start());
        workers.ForEach(worker => worker.Join());
    }

    /// <summary>`put DIR COUNT`: Strict puts, one after the other; says `ok` or the error code of each, and the state at the end.</summary>
    internal static void Put(string[] arguments)
    {
        var count = int.Parse(arguments[1], CultureInfo.InvariantCulture);
        CairnDatabase opened;
        try
        {
            opened = CairnDatabase.Open(arguments[0]);
        }
        catch (CairnException refused)
        {
            Console.WriteLine($"open {refused.Code}");
            return;
        }

        using var db = opened;
        for (var i = 0; i < count; i++)
        {
            try
            {
                db.Default.Kv.Put($"k{i}", i);
                Console.WriteLine("ok");
            }
            catch (CairnException refused)
            {
                Console.WriteLine(refused.Code);
            }
        }

        Console.WriteLine($"health {db.Health.Status}");
    }

    /// <summary>`full DIR`: fills the file system that DIR is, deletes from the reserve, makes space again, goes on, closes and reopens;
    /// says what it met at each step.</summary>
    internal static void Full(string[] arguments)
    {
        var path = Path.Combine(arguments[0], "db");
        var ballast = Path.Combine(arguments[0], "ballast");
        File.WriteAllBytes(ballast, new byte[2_200_000]);
        var options = new CairnOptions { SegmentBytesMin = 64 << 10, SegmentBytesMax = 128 << 10 };
        var written = 0;
        using (var db = CairnDatabase.Open(path, options))
        {
            var kv = db.Default.Kv;
            Console.WriteLine($"refused {Refusal(() => kv.Put($"k{written}", new byte[2_000].AsSpan()), () => written++)}");
            Console.WriteLine(kv.Count() == written ? "reads all" : $"reads {kv.Count()} of {written}");
            Console.WriteLine($"deleted {Enumerable.Range(0, 50).Count(i => kv.Delete($"k{i}"))}");
            Console.WriteLine($"refused {Refusal(() => kv.Put("more", 1), () => { })}");
            Console.WriteLine($"health {db.Health.Status}");
            File.Delete(ballast);
            Console.WriteLine("space");
            while (db.Metrics.IsDiskFull)
                Thread.Yield();                              // the maintainer sees it within a second
            for (var i = 0; i < 100; i++)
                kv.Put($"k{i}", new byte[2_000].AsSpan());
            Console.WriteLine("resumed");
        }

        Console.WriteLine("closed");
        using var again = CairnDatabase.Open(path, options);
        Console.WriteLine($"reopened clean {again.Recovery.WasClosedCleanly}");
        var count = again.Default.Kv.Count();
        Console.WriteLine(count == Math.Max(written, 100) ? "reads all" : $"reads {count} of {written}");
        Console.WriteLine($"health {again.Health.Status}");
    }

    // Repeats an action until it is refused.
    private static ErrorCode Refusal(Action action, Action done)
    {
        while (true)
        {
            try
            {
                action();
                done();
            }
            catch (CairnException refused)
            {
                return refused.Code;
            }
        }
    }

    /// <summary>`starved DIR`: with 200 work items that block the thread pool, commits in every way, waits for the background's sync,
    /// closes and opens again; says what was done. Only
    /// the continuations of those who await need the pool: they come when it is free.</summary>
    internal static void Starved(string[] arguments)
    {
        ThreadPool.SetMaxThreads(8, 8);
        using var never = new ManualResetEventSlim(false);
        for (var i = 0; i < 200; i++)
            ThreadPool.UnsafeQueueUserWorkItem(_ => never.Wait(), null);
        while (ThreadPool.PendingWorkItemCount > 0 && ThreadPool.ThreadCount < 8)
            Thread.Yield();
        var db = CairnDatabase.Open(arguments[0], new CairnOptions { Durability = Durability.Buffered });
        var strict = db.Default.With(new CommitOptions { Durability = Durability.Strict });
        for (var i = 0; i < 20; i++)
            strict.Kv.Put($"strict{i}", i);
        Console.WriteLine("strict");
        var awaited = Enumerable.Range(0, 20).Select(i => strict.Kv.PutAsync($"awaited{i}", i).AsTask()).ToArray();
        for (var i = 0; i < 20; i++)
            db.Default.Kv.Put($"buffered{i}", i);
        while (db.Metrics.UnsyncedCommits > 0)
            Thread.Yield();                                  // by the maintainer's clock
        Console.WriteLine("synced in the background");
        Console.WriteLine($"health {db.Health.Status}");
        db.DisposeAsync().AsTask().Wait();
        Console.WriteLine("closed");
        using var again = CairnDatabase.Open(arguments[0]);
        Console.WriteLine($"reopened clean {again.Recovery.WasClosedCleanly}, {again.Default.Kv.Count()} keys");
        never.Set();
        Task.WaitAll(awaited);
        Console.WriteLine("awaited");
    }

    /// <summary>`patient DIR MODE`: commits on four threads for ever, with every time-out at two seconds or less; beside them checkpoints,
    /// compactions, entries that expire, and somebody who follows the feed. Says `T N` when the n-th commit of thread t is acknowledged,
    /// `refused CODE` when one is not, `health STATUS REASONS` ten times a second and `seen N` for every hundredth commit of the
    /// feed.</summary>
    internal static void Patient(string[] arguments)
    {
        var second = TimeSpan.FromSeconds(1);
        using var db = CairnDatabase.Open(arguments[0], new CairnOptions
        {
            Durability = Enum.Parse<Durability>(arguments[1]),
            SyncInterval = TimeSpan.FromMilliseconds(20),
            CheckpointInterval = second,
            CheckpointLogBytes = 256 << 10,
            SegmentBytesMin = 64 << 10,
            SegmentBytesMax = 128 << 10,
            CompactionGarbageMin = 32 << 10,
            Retention = Retention.KeepLast(1),
            Limits = new Limits { TransactionTimeMax = second, BusyWaitMax = second, IdempotencyKeyLife = 2 * second },
        });
        var output = new Lock();
        void Say(string line)
        {
            lock (output)
                Console.WriteLine(line);
        }

        var threads = Enumerable.Range(0, 4).Select(thread => new Thread(() =>
        {
            var run = db.Runs.Begin($"thread-{thread}");
            for (var n = 1L; ; n++)
            {
                var number = n;
                try
                {
                    run.Transact(tx =>
                    {
                        tx.Kv.Put("n", number);
                        tx.Kv.Put($"short {number % 50}", number, second / 10);
                        tx.Kv.Put($"wide {number % 50}", new string('x', 1_000));
                        tx.State.Set("n", number);
                        tx.Events.Append("step", Value.Object(("n", number)));
                    });
                    Say($"{thread} {number}");
                }
                catch (CairnException refused)
                {
                    Say($"refused {refused.Code}");
                    n--;
                }
            }
        })).ToList();
        var following = Task.Run(async () =>
        {
            var seen = 0L;
            for (string? cursor = null; ;)
            {
                try
                {
                    await foreach (var _ in db.Changes(cursor))
                    {
                        if (++seen % 100 == 0)
                            Say($"seen {seen}");
                    }
                }
                catch (HistoryTrimmedException behind)       // slower than the compactions
                {
                    cursor = behind.EarliestCursor;
                }
            }
        });
        threads.ForEach(thread => thread.Start());
        while (!following.IsFaulted)
        {
            var health = db.Health;
            var reasons = health.Parts.Where(part => part.Status != HealthStatus.Healthy).Select(part => $"{part.Name}: {part.Reason}");
            Say($"health {health.Status} {string.Join("; ", reasons)}");
            Thread.Sleep(100);
        }

        Say($"the feed ended: {following.Exception}");
        Environment.Exit(3);
    }

    /// <summary>`until-failed DIR READY GO`: Strict puts of 3 KB; after ten writes a line to the file READY and waits for one from the file
    /// GO; then goes on until one is refused. Says `ok n` for each, the codes of the first refusal and of the next, and the
    /// state.</summary>
    internal static void UntilFailed(string[] arguments)
    {
        var db = CairnDatabase.Open(arguments[0], new CairnOptions { SegmentBytesMin = 512 << 10, SegmentBytesMax = 512 << 10 });
        var n = 0;
        var code = Refusal(
            () => db.Default.Kv.Put($"k{n}", new byte[3_000].AsSpan()),
            () =>
            {
                Console.WriteLine($"ok {n++}");
                if (n != 10)
                    return;
                File.WriteAllText(arguments[1], "ready\n");
                File.ReadAllText(arguments[2]);
            });
        Console.WriteLine($"refused {code}");
        Console.WriteLine($"then {Refusal(() => db.Default.Kv.Put("more", 1), () => { })}");
        Console.WriteLine($"health {db.Health.Status}");
        Console.WriteLine($"reads {db.Default.Kv.Count()}");
        Environment.Exit(0);                                 // without closing
    }

    /// <summary>`check DIR`: opens, says how many of the keys k0, k1, ... are there without a gap, and ends without closing.</summary>
    internal static void Check(string[] arguments)
    {
        var db = CairnDatabase.Open(arguments[0]);
        var n = 0;
        while (db.Default.Kv.Exists($"k{n}"))
            n++;
        Console.WriteLine($"there {n}");
        Environment.Exit(0);
    }
}
