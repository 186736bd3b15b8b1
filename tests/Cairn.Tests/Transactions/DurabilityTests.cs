using Cairn.Storage;
using Xunit;
using static Cairn.Tests.Transactions.TestValues;

namespace Cairn.Tests.Transactions;

/// <summary>What the modes promise, seen by counting syncs, and what happens when the disk errs. Crashes: the Crash folder.</summary>
[Trait("Gate", "Merge")]
public sealed class DurabilityTests
{
    private static readonly CommitOptions AskStrict = new() { Durability = Durability.Strict };

    // ---- when is synced ------------------------------------------------------------------------------------------------------

    [Fact]
    [Trait("Promise", "G1")]
    public void DUR4_A_strict_commit_has_been_synced_when_it_is_answered()
    {
        var storage = new CountingStorage(new MemoryStorage());
        using var database = new TestDatabase(Durability.Strict, storage: storage);
        for (var i = 0; i < 20; i++)
        {
            storage.Reset();
            if (i % 2 == 0)
                database.Kv.Put("a", i);
            else
                database.Run.Transact(tx => tx.Kv.Put("a", i));
            Assert.Equal(1, storage.DataSyncs);
            Assert.Equal(database.Db.Engine.Path.Log.WrittenPosition, database.Db.Engine.Path.Log.SyncedPosition);
        }
    }

    [Fact]
    [Trait("Promise", "G1")]
    public async Task DUR4_Commits_that_are_awaited_together_share_syncs()
    {
        var storage = new CountingStorage(new MemoryStorage());
        using var database = new TestDatabase(Durability.Strict, storage: storage);
        storage.Reset();
        await Task.WhenAll(Enumerable.Range(0, 200).Select(i => database.Kv.PutAsync($"k{i}", i, cancellationToken: TestContext.Current.CancellationToken).AsTask()));
        Assert.InRange(storage.DataSyncs, 1, 200);
        Assert.Equal(database.Db.Engine.Path.Log.WrittenPosition, database.Db.Engine.Path.Log.SyncedPosition);
    }

    [Fact]
    [Trait("Promise", "G2")]
    public void DUR3_BUG6_One_buffered_write_and_then_silence_is_synced_within_the_interval()
    {
        var storage = new CountingStorage(new MemoryStorage());
        using var database = new TestDatabase(Durability.Buffered, storage: storage);
        database.Maintain();
        storage.Reset();
        database.Kv.Put("a", 1);
        Assert.Equal((1, 0), (storage.Writes, storage.DataSyncs));
        database.Clock.Advance(TimeSpan.FromMilliseconds(50));
        database.Maintain();
        Assert.Equal(0, storage.DataSyncs);
        database.Clock.Advance(TimeSpan.FromMilliseconds(50));
        database.Maintain();
        Assert.Equal(1, storage.DataSyncs);
        Assert.Equal(0, database.Db.Metrics.UnsyncedCommits);
    }

    [Fact]
    [Trait("Promise", "G2")]
    public void DUR3_DUR5_BUG6_The_maintainer_syncs_by_itself_when_no_write_follows()
    {
        var storage = new CountingStorage(new MemoryStorage());
        using var db = CairnDatabase.Open(storage, new CairnOptions { Durability = Durability.Buffered, SyncInterval = TimeSpan.FromMilliseconds(20) }, EngineHooks.None);
        storage.Reset();
        db.Default.Kv.Put("a", 1);
        Assert.True(SpinWait.SpinUntil(() => db.Metrics.UnsyncedCommits == 0, TimeSpan.FromSeconds(20)), "nobody synced");
        Assert.InRange(storage.DataSyncs, 1, 2);             // and a mark, perhaps
    }

    [Theory]
    [InlineData(1, 12)]
    [InlineData(2, 6)]
    [InlineData(5, 2)]
    [InlineData(1_000, 0)]
    [Trait("Promise", "G2")]
    public void DUR5_BUG7_SyncCommits_changes_how_often_is_synced(int commits, int syncs)
    {
        var storage = new CountingStorage(new MemoryStorage());
        using var database = new TestDatabase(Durability.Buffered, options => options with { SyncCommits = commits, SyncInterval = TimeSpan.FromSeconds(10) }, storage);
        database.Maintain();
        storage.Reset();
        for (var i = 0; i < 12; i++)
        {
            database.Kv.Put("a", i);
            database.Clock.Advance(TimeSpan.FromMilliseconds(1));
            database.Maintain();
        }

        Assert.Equal(syncs, storage.DataSyncs);
    }

    [Theory]
    [InlineData(1, 12)]
    [InlineData(300, 4)]
    [InlineData(10_000, 0)]
    [Trait("Promise", "G2")]
    public void DUR5_BUG7_SyncInterval_changes_how_often_is_synced(int milliseconds, int syncs)
    {
        var storage = new CountingStorage(new MemoryStorage());
        using var database = new TestDatabase(Durability.Buffered, options => options with { SyncInterval = TimeSpan.FromMilliseconds(milliseconds) }, storage);
        database.Maintain();
        storage.Reset();
        for (var i = 0; i < 12; i++)
        {
            database.Kv.Put("a", i);
            database.Clock.Advance(TimeSpan.FromMilliseconds(100));
            SyncJobAlone(database);
        }

        Assert.Equal(syncs, storage.DataSyncs);
    }

    // Without the mark, which would sync once more after an idle spell.
    private static void SyncJobAlone(TestDatabase database) => database.Db.Engine.Maintainer!.Jobs.Single(job => job.Name == "sync").Step();

    [Fact]
    [Trait("Promise", "G1")]
    public void An_idle_spell_behind_a_sync_ends_with_one_durable_mark_its_witness()
    {
        var storage = new CountingStorage(new MemoryStorage());
        using var database = new TestDatabase(Durability.Strict, storage: storage);
        database.Kv.Put("a", 1);
        storage.Reset();
        database.Clock.Advance(TimeSpan.FromMilliseconds(49));
        database.Maintain();
        Assert.Equal((0, 0), (storage.Writes, storage.DataSyncs));
        database.Clock.Advance(TimeSpan.FromMilliseconds(1));
        for (var i = 0; i < 3; i++)
        {
            database.Maintain();
            Assert.Equal((1, 1), (storage.Writes, storage.DataSyncs));
            database.Clock.Advance(TimeSpan.FromSeconds(1));
        }

        Assert.Equal(1UL, database.Sequence);
    }

    [Fact]
    [Trait("Promise", "G1")]
    public void DUR6_A_commit_may_ask_for_more_than_the_mode_and_never_for_less()
    {
        var storage = new CountingStorage(new MemoryStorage());
        using var buffered = new TestDatabase(Durability.Buffered, storage: storage);
        buffered.Kv.Put("a", 1);
        buffered.Kv.Put("a", 2);
        storage.Reset();
        Action[] strict =
        [
            () => buffered.Run.With(AskStrict).Kv.Put("b", 1), () => buffered.Run.With(AskStrict).Kv.Increment("n"), () => buffered.Run.With(AskStrict).Kv.TryAdd("c", 1),
            () => buffered.Run.With(AskStrict).Kv.DeleteMany(["b"]), () => buffered.Run.With(AskStrict).Transact(tx => tx.Kv.Put("d", 1)),
            () => buffered.Run.Transact(tx => tx.Kv.Put("e", 1), new TransactionOptions { Commit = AskStrict }),
        ];
        for (var i = 0; i < strict.Length; i++)
        {
            strict[i]();
            Assert.Equal(i + 1, storage.DataSyncs);
            Assert.Equal(0, buffered.Db.Metrics.UnsyncedCommits);
        }

        buffered.Kv.Put("a", 3);
        Assert.Equal(strict.Length, storage.DataSyncs);
        Refuses(buffered, Durability.InMemory);
        using var strictly = new TestDatabase(Durability.Strict);
        Refuses(strictly, Durability.Buffered);
        Refuses(strictly, Durability.InMemory);
        strictly.Run.With(AskStrict).Kv.Put("a", 1);
        using var inMemory = new TestDatabase(Durability.InMemory);
        Refuses(inMemory, Durability.Buffered);
        Refuses(inMemory, Durability.Strict);
        inMemory.Run.With(new CommitOptions { Durability = Durability.InMemory }).Kv.Put("a", 1);

        static void Refuses(TestDatabase database, Durability asked)
        {
            var options = new CommitOptions { Durability = asked };
            Assert.Equal(ErrorCode.InvalidArgument, Refused(() => database.Run.With(options)));
            Assert.Equal(ErrorCode.InvalidArgument, Refused(() => database.Run.BeginTransaction(new TransactionOptions { Commit = options })));
        }
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    [Trait("Promise", "G2")]
    public void DUR7_Sync_makes_everything_committed_durable_in_every_mode(Durability mode)
    {
        var storage = new CountingStorage(new MemoryStorage());
        using var database = new TestDatabase(mode, storage: storage);
        database.Kv.Put("a", 1);
        database.Kv.Put("b", 1);
        database.Db.Sync();
        Assert.Equal(0, database.Db.Metrics.UnsyncedCommits);
        if (database.HasLog)
            Assert.Equal(database.Db.Engine.Path.Log.WrittenPosition, database.Db.Engine.Path.Log.SyncedPosition);
        var syncs = storage.DataSyncs;
        database.Db.Sync();
        Assert.Equal(syncs, storage.DataSyncs);
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    public void DUR7_After_the_database_was_closed_every_call_says_so(Durability mode)
    {
        using var database = new TestDatabase(mode);
        var run = database.Run;
        run.Kv.Put("a", 1);
        using var transaction = run.BeginTransaction();
        using var snapshot = run.Snapshot();
        database.Db.Dispose();
        database.Db.Dispose();
        Action[] calls =
        [
            () => run.Kv.Get("a"), () => run.Kv.Put("a", 2), () => run.Kv.List(), () => run.Kv.Delete("a"), () => run.BeginTransaction(), () => run.Snapshot(),
            () => transaction.Kv.Get("a"), () => snapshot.Kv.Get("a"), () => run.Transact(tx => tx.Kv.Put("a", 2)), () => database.Db.Sync(),
        ];
        Assert.All(calls, call => Assert.Throws<ObjectDisposedException>(call));
    }

    // Found by the model, seed 76002873655824: a database with RandomSeed drew the same ids after reopening, at the same time of day. A
    // trace with an id that was there could not be applied, and that ended writing with an unknown outcome.
    [Theory]
    [ClassData(typeof(AllModes))]
    [Trait("Promise", "G7")]
    public void NAM7_Ids_of_a_seeded_database_do_not_come_again_after_reopening(Durability mode)
    {
        using var database = new TestDatabase(mode);
        var ids = new HashSet<TraceId>();
        for (var life = 0; life < 4; life++)
        {
            for (var i = 0; i < 20; i++)
                Assert.True(ids.Add(database.Run.Traces.Record(new ThoughtStep("the same"))));
            database.Reopen(isKilled: life % 2 == 1);
        }

        Assert.Equal(80, database.Run.Traces.Count());
    }

    // ---- the disk errs -------------------------------------------------------------------------------------------------------

    [Theory]
    [InlineData(nameof(FaultKind.Io), nameof(StorageCall.DataSync))]
    [InlineData(nameof(FaultKind.IoAfterwards), nameof(StorageCall.DataSync))]
    [InlineData(nameof(FaultKind.NoSpace), nameof(StorageCall.DataSync))]
    [InlineData(nameof(FaultKind.Io), nameof(StorageCall.Write))]
    [InlineData(nameof(FaultKind.IoAfterwards), nameof(StorageCall.Write))]
    [InlineData(nameof(FaultKind.ShortWrite), nameof(StorageCall.Write))]
    [InlineData(nameof(FaultKind.ZeroWrite), nameof(StorageCall.Write))]
    [InlineData(nameof(FaultKind.NoSpace), nameof(StorageCall.Write))]
    [Trait("Promise", "G7")]
    [Trait("Test", "C7")]
    public void G7_TX29_DUR8_A_failed_write_or_sync_is_an_unknown_outcome_and_then_ends_writing(string kind, string call)
    {
        var memory = new MemoryStorage();
        var storage = new FaultStorage(memory);
        using var database = new TestDatabase(Durability.Strict, storage: storage);
        database.Kv.Put("a", 1);
        storage.Inject(Enum.Parse<FaultKind>(kind), 1, Enum.Parse<StorageCall>(call));

        var unknown = Assert.Throws<DatabaseFailedException>(() => database.Kv.Put("a", 2));

        Assert.Equal((ErrorCode.OutcomeUnknown, true), (unknown.Code, unknown.IsOutcomeUnknown));
        Assert.False(unknown.IsTransient);
        Assert.Equal(1, storage.Strikes);
        Action[] writes =
        [
            () => database.Kv.Put("b", 1), () => database.Kv.Delete("a"), () => database.Kv.Increment("n"), () => database.Run.Transact(tx => tx.Kv.Put("b", 1)),
            () => database.Db.Sync(), () => database.Kv.TryAdd("c", 1),
        ];
        foreach (var write in writes)
        {
            var failed = Assert.Throws<DatabaseFailedException>(write);
            Assert.Equal((ErrorCode.DatabaseFailed, false), (failed.Code, failed.IsOutcomeUnknown));
        }

        Assert.Equal(1, storage.Strikes);                    // nothing was tried again
        Assert.Equal(HealthStatus.Failed, database.Db.Health.Status);
        Assert.Equal((1, 1UL), (database.Kv.Number("a"), database.Sequence));
        Assert.Equal(["a"], database.Kv.List());
        using (var reader = database.Run.BeginTransaction())
        {
            Assert.Equal(1, reader.Kv.Number("a"));
            reader.Commit();
        }

        storage.Clear();
        database.Reopen();
        Assert.Contains(database.Kv.Number("a"), new long?[] { 1, 2 });
        Assert.Equal((ulong)database.Kv.Number("a")!.Value, database.Sequence);
        Assert.Equal(database.Sequence + 1, database.Kv.Put("c", 1).Value);
        Assert.Equal(HealthStatus.Healthy, database.Db.Health.Status);
    }

    [Fact]
    [Trait("Promise", "G7")]
    public async Task G7_All_who_wait_for_one_failed_sync_get_an_unknown_outcome()
    {
        var storage = new FaultStorage(new MemoryStorage());
        using var database = new TestDatabase(Durability.Strict, storage: storage);
        storage.Inject(FaultKind.Io, 1, StorageCall.DataSync);
        var codes = new List<ErrorCode>();
        var tasks = Enumerable.Range(0, 20).Select(i =>
        {
            try
            {
                return database.Kv.PutAsync($"k{i}", i).AsTask();
            }
            catch (DatabaseFailedException failed)
            {
                return Task.FromException<Sequence>(failed);
            }
        }).ToList();
        foreach (var task in tasks)
            codes.Add((await Assert.ThrowsAsync<DatabaseFailedException>(() => task)).Code);
        Assert.Equal(ErrorCode.OutcomeUnknown, codes[0]);
        Assert.Equal(codes.Order().Reverse(), codes.Order().Reverse());
        Assert.Equal(0, database.Kv.Count());
        Assert.Equal(0UL, database.Sequence);
    }

    [Fact]
    [Trait("Promise", "G7")]
    public void G7_Without_ReadsAfterFailure_a_failed_database_refuses_reads_too()
    {
        var storage = new FaultStorage(new MemoryStorage());
        using var database = new TestDatabase(Durability.Strict, options => options with { ReadsAfterFailure = false }, storage);
        database.Kv.Put("a", 1);
        using var snapshot = database.Run.Snapshot();
        storage.Inject(FaultKind.Io, 1, StorageCall.DataSync);
        Assert.Equal(ErrorCode.OutcomeUnknown, Refused(() => database.Kv.Put("a", 2)));
        Action[] reads =
        [
            () => database.Kv.Get("a"), () => database.Kv.TryGet("a", [], out _), () => database.Kv.List(), () => database.Kv.Count(), () => database.Kv.GetMany(["a"]),
            () => database.Run.Snapshot(), () => snapshot.Kv.Get("a"), () => database.Run.BeginTransaction(),
        ];
        Assert.All(reads, read => Assert.Equal(ErrorCode.DatabaseFailed, Refused(read)));
    }

    [Fact]
    [Trait("Promise", "G7")]
    public void DUR8_A_sync_in_the_background_that_failed_surfaces_at_the_next_call()
    {
        var storage = new FaultStorage(new MemoryStorage());
        using var database = new TestDatabase(Durability.Buffered, storage: storage);
        database.Kv.Put("a", 1);
        storage.Inject(FaultKind.Io, 1, StorageCall.DataSync);
        database.Clock.Advance(TimeSpan.FromSeconds(1));
        database.Maintain();
        Assert.Equal(HealthStatus.Failed, database.Db.Health.Status);
        Assert.Equal(ErrorCode.DatabaseFailed, Refused(() => database.Kv.Put("a", 2)));
        Assert.Equal(1, database.Kv.Number("a"));
    }

    [Theory]
    [InlineData(Durability.Buffered)]
    [InlineData(Durability.Strict)]
    [Trait("Promise", "G7")]
    public void DUR9_A_full_disk_refuses_before_a_sequence_is_taken_and_reads_go_on_until_there_is_space_again(Durability mode)
    {
        var storage = new FaultStorage(new MemoryStorage());
        using var database = new TestDatabase(mode, storage: storage);
        database.Kv.Put("a", 1);
        storage.Inject(FaultKind.NoSpace, 1, StorageCall.CreateNew | StorageCall.Preallocate | StorageCall.SetLength, lasting: true);
        BusyException? full = null;
        var acknowledged = database.Sequence;
        for (var i = 0; i < 1_000 && full is null; i++)
        {
            try
            {
                Assert.Equal(++acknowledged, database.Kv.Put($"k{i}", new byte[2_000].AsSpan()).Value);
            }
            catch (BusyException refused)
            {
                full = refused;
                acknowledged--;
            }
        }

        Assert.NotNull(full);
        Assert.Equal((ErrorCode.DiskFull, true), (full.Code, full.IsTransient));
        Assert.True(full.SuggestedWait > TimeSpan.Zero);
        for (var i = 0; i < 3; i++)
        {
            Assert.Equal(ErrorCode.DiskFull, Refused(() => database.Kv.Put("b", 1)));
            Assert.Equal(ErrorCode.DiskFull, Refused(() => database.Run.Transact(tx => tx.Kv.Put("b", 1), new TransactionOptions { Retries = 0 })));
            database.Clock.Advance(TimeSpan.FromSeconds(20));
            database.Maintain();
        }

        Assert.Equal(HealthStatus.Degraded, database.Db.Health.Status);
        Assert.Equal((1, acknowledged), (database.Kv.Number("a"), database.Sequence));
        Assert.Equal((long)acknowledged, database.Kv.Count());

        storage.Clear();
        database.Clock.Advance(TimeSpan.FromSeconds(20));
        database.Maintain();
        Assert.Equal(HealthStatus.Healthy, database.Db.Health.Status);
        Assert.Equal(acknowledged + 1, database.Kv.Put("b", 1).Value);
        for (var i = 0; i < 50; i++)
            database.Kv.Put($"after{i}", new byte[2_000].AsSpan());
        database.NowAndAfterReopening(() => Assert.Equal((long)acknowledged + 51, database.Kv.Count()));
    }

    // ---- C7: every call of one script ----------------------------------------------------------------------------------------

    [Theory]
    [InlineData(Durability.Strict, nameof(FaultKind.Io))]
    [InlineData(Durability.Strict, nameof(FaultKind.IoAfterwards))]
    [InlineData(Durability.Strict, nameof(FaultKind.NoSpace))]
    [InlineData(Durability.Strict, nameof(FaultKind.Quota))]
    [InlineData(Durability.Strict, nameof(FaultKind.TooLarge))]
    [InlineData(Durability.Strict, nameof(FaultKind.AccessDenied))]
    [InlineData(Durability.Strict, nameof(FaultKind.ShortWrite))]
    [InlineData(Durability.Strict, nameof(FaultKind.ZeroWrite))]
    [InlineData(Durability.Buffered, nameof(FaultKind.Io))]
    [InlineData(Durability.Buffered, nameof(FaultKind.IoAfterwards))]
    [InlineData(Durability.Buffered, nameof(FaultKind.NoSpace))]
    [InlineData(Durability.Buffered, nameof(FaultKind.ShortWrite))]
    [Trait("Promise", "G7")]
    [Trait("Promise", "G1")]
    [Trait("Test", "C7")]
    public void C7_Whichever_storage_call_fails_once_or_from_then_on_nothing_acknowledged_is_lost(Durability mode, string kind)
    {
        foreach (var isLasting in new[] { false, true })
        {
            for (var at = 1L; ; at++)
            {
                var memory = new MemoryStorage();
                var storage = new FaultStorage(memory, (ulong)at);
                var script = new FaultScript(mode, isLasting);
                storage.Inject(Enum.Parse<FaultKind>(kind), at, lasting: isLasting);

                bool struck;
                try
                {
                    script.Run(storage);
                    struck = storage.Strikes > 0;
                    storage.Clear();
                    script.Check(memory);
                }
                catch (Exception failure)
                {
                    throw new InvalidOperationException($"{kind} {(isLasting ? "from" : "at")} call {at}: {script.Transcript}", failure);
                }

                if (!struck)
                    break;
                Assert.True(at < 5_000, "the script does not end");
            }
        }
    }

    /// <summary>Open, commits over a rotation and a sweep of the maintainer, close, and again: each step may fail with an error that says so.</summary>
    private sealed class FaultScript(Durability mode, bool isLasting)
    {
        private readonly List<string> _steps = [];
        private readonly List<long> _acknowledged = [];
        private readonly List<long> _unknown = [];
        private long _next;

        internal string Transcript => string.Join(", ", _steps);

        internal void Run(IStorage storage)
        {
            for (var life = 0; life < 2; life++)
            {
                TestDatabase? database = null;
                if (!Try("open", () => database = new TestDatabase(mode, options => options with { SegmentBytesMin = 16 << 10, SegmentBytesMax = 16 << 10 }, storage)))
                    continue;
                for (var i = 0; i < 9; i++)
                {
                    var n = ++_next;
                    var isUnknown = false;
                    if (Try("put", () => database!.Kv.Put($"k{n}", Value.Array(n, new byte[3_000])), unknown => isUnknown = unknown))
                        _acknowledged.Add(n);
                    else if (isUnknown)
                        _unknown.Add(n);
                    if (i % 4 == 3)
                    {
                        database!.Clock.Advance(TimeSpan.FromSeconds(1));
                        database.Maintain();
                    }
                }

                Assert.All(_acknowledged, n => Read(database!, n));
                Try("close", () => database!.Dispose());
            }
        }

        // A read needs the disk too, where a table or the log has what memory has not: then the fault is told. A wrong answer never comes,
        // and nothing stays wrong: one error is one error.
        private void Read(TestDatabase database, long n)
        {
            for (var attempt = 0; ; attempt++)
            {
                var read = Value.Null;
                if (Try($"read {n}", () => read = database.Kv.Get($"k{n}")!.Value))
                    Assert.Equal(n, read[0].AsInt64());
                else if (attempt == 0 && !isLasting)
                    continue;
                else
                    Assert.True(isLasting, $"k{n} was refused twice for one fault");
                return;
            }
        }

        /// <summary>On a disk that is well again: everything acknowledged is there, and nothing that was refused.</summary>
        internal void Check(IStorage storage)
        {
            for (var life = 0; life < 2; life++)
            {
                using var database = new TestDatabase(mode, storage: storage);
                var there = database.Kv.Scan(new ScanOptions { Limit = 1_000 }).Select(pair => pair.Value.Value[0].AsInt64()).ToList();
                Assert.Empty(_acknowledged.Except(there));
                Assert.Empty(there.Except(_acknowledged).Except(_unknown));
                Assert.Equal((ulong)there.Count, database.Sequence);
                Assert.Equal(there.Count, database.Kv.Count());
            }
        }

        private bool Try(string step, Action action, Action<bool>? whenUnknown = null)
        {
            try
            {
                action();
                _steps.Add(step);
                return true;
            }
            catch (CairnException refused)
            {
                _steps.Add($"{step} {refused.Code}");
                whenUnknown?.Invoke(refused.Code == ErrorCode.OutcomeUnknown);
                Assert.Contains(refused.Code, new[] { ErrorCode.OutcomeUnknown, ErrorCode.DatabaseFailed, ErrorCode.DiskFull, ErrorCode.Io, ErrorCode.Busy });
                return false;
            }
        }
    }
}
