#pragma warning disable xUnit1051 // what is carried here is small; cancelling has a test of its own
using Cairn.Log;
using Cairn.Storage;
using Cairn.Tests.Storage;
using Cairn.Tests.Transactions;
using Cairn.Transfer;
using Xunit;

namespace Cairn.Tests.Transfer;

/// <summary>OPS-5, C15: a backup is the database at one sequence, whole or not at all, and comes back as that.</summary>
[Trait("Requirement", "OPS-5")]
public sealed class BackupTests : IDisposable
{
    private static readonly byte[] Key = [.. Enumerable.Range(1, 32).Select(i => (byte)i)];

    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    [Theory]
    [InlineData(Durability.Strict)]
    [InlineData(Durability.Buffered)]
    [Trait("Test", "C15")]
    [Trait("Kind", "Random")]
    [Trait("Gate", "Merge")]
    public void C15_A_chain_of_backups_restores_every_sequence_that_is_asked_for(Durability mode)
    {
        var seed = Seeds.Begin(nameof(C15_A_chain_of_backups_restores_every_sequence_that_is_asked_for));
        var clock = System.Diagnostics.Stopwatch.StartNew();
        var restored = 0;
        for (var round = 0; round < Seeds.Scaled(3); round++)
        {
            using var world = new TransferWorld(mode, seed + (ulong)round);
            var backups = new List<MemoryStorage>();
            for (var part = 0; part < 4; part++)
            {
                world.Run(120);
                backups.Add(world.Backup(backups.LastOrDefault()));
            }

            world.Run(60);                                   // goes on behind the last backup
            var random = new Random((int)seed + round);
            for (var i = 0; i < 10; i++)
            {
                var known = world.Hashes.Keys.Where(at => at > 0 && at <= world.LastBackup).ToList();
                var sequence = known[random.Next(known.Count)];
                Assert.Equal(world.Hashes[sequence], HashOf(Restored(backups, new RestoreOptions { ToSequence = new Sequence(sequence) },
                    sequence)));
                restored++;
            }

            Assert.Equal(world.Hashes[world.LastBackup], HashOf(Restored(backups, new RestoreOptions(), world.LastBackup)));
            var full = world.Backup(null);
            Assert.Equal(world.Hashes[world.LastBackup], HashOf(Restored([full], new RestoreOptions(), world.LastBackup)));
        }

        Ledger.Add("C15", $"restored to a sequence, {mode}", seed, restored, clock.Elapsed);
    }

    [Fact]
    public void Restoring_to_a_time_keeps_the_commits_up_to_it_and_no_other()
    {
        using var test = new TestDatabase(Durability.Strict);
        for (var i = 1; i <= 50; i++)
        {
            test.Clock.Microseconds += 1_000_000;
            test.Kv.Put("n", i);
            test.Kv.Put("padding", new byte[2_000]);
        }

        var backup = new MemoryStorage();
        test.Db.BackupTo(backup, null, new BackupOptions());
        var time = CommitClock.Time(test.Clock.Microseconds - 20_500_000);
        var (target, report) = Restore([backup], new RestoreOptions { ToTime = time });
        Assert.Equal(time.AddSeconds(-0.5), report.Time);
        using var db = Open(target);
        Assert.Equal(29, db.Default.Kv.Number("n"));
        Assert.Equal(report.Sequence, db.Sequence);
        Assert.Empty(db.VerifyDeep().Findings);

        var early = Assert.Throws<CairnException>(() => Restore([backup], new RestoreOptions { ToTime = DateTimeOffset.UnixEpoch }));
        Assert.Contains("earliest", early.Message, StringComparison.Ordinal);
        var late = Assert.Throws<CairnException>(() => Restore([backup], new RestoreOptions { ToSequence = new Sequence(101) }));
        Assert.Contains("ends at 100", late.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void An_incremental_backup_has_what_its_parent_lacks_and_needs_it()
    {
        using var test = new TestDatabase(Durability.Strict);
        for (var i = 0; i < 400; i++)
            test.Kv.Put($"key {i}", new byte[1_000]);
        var full = new MemoryStorage();
        var first = test.Db.BackupTo(full, null, new BackupOptions());
        test.Kv.Put("one more", 1);
        var rest = new MemoryStorage();
        var second = test.Db.BackupTo(rest, full, new BackupOptions());

        Assert.Equal(first.Bytes, first.OwnBytes);
        Assert.Equal(first.Id, second.Parent);
        Assert.InRange(second.OwnBytes, 1, 1_000);
        Assert.True(second.Bytes > first.Bytes);
        var alone = Assert.Throws<CairnException>(() => Restore([rest], new RestoreOptions()));
        Assert.Equal(ErrorCode.InvalidArgument, alone.Code);
        Assert.Contains(first.Id, alone.Message, StringComparison.Ordinal);
        using var db = Open(Restore([rest, full], new RestoreOptions()).Target);
        Assert.Equal(1, db.Default.Kv.Number("one more"));
        Assert.Equal(test.Db.StateHash(), db.StateHash());
    }

    // BUG-style trap: the parent's end is not below the next opening's floor, so its last bytes are copied into another segment.
    [Fact]
    [Trait("Promise", "G1")]
    public void A_chain_goes_on_over_a_crash_and_a_recovery()
    {
        var storage = new CrashStorage();
        var test = new TestDatabase(Durability.Buffered, storage: storage);
        var backups = new List<MemoryStorage>();
        for (var life = 0; life < 5; life++)
        {
            test.Kv.Put($"life {life}", life);
            backups.Add(new MemoryStorage());
            test.Db.BackupTo(backups[^1], backups.Count > 1 ? backups[^2] : null, new BackupOptions());
            test.Kv.Put("perhaps", life);
            storage = storage.Crash(CrashPattern.None);
            test.MoveTo(storage);
            Assert.Equal(life, test.Kv.Number($"life {life}"));
        }

        using var db = Open(Restore(backups, new RestoreOptions()).Target);
        Assert.Equal([0L, 1, 2, 3, 4], Enumerable.Range(0, 5).Select(life => db.Default.Kv.Number($"life {life}")!.Value));
        test.Abandon();
    }

    [Fact]
    [Trait("Test", "C3")]
    [Trait("Promise", "G1")]
    public void A_backup_that_loses_power_anywhere_is_whole_or_none()
    {
        using var test = new TestDatabase(Durability.Strict);
        for (var i = 0; i < 60; i++)
            test.Kv.Put($"key {i}", new byte[1_500]);
        var measured = new CrashStorage();
        test.Db.BackupTo(measured, null, new BackupOptions());
        var whole = 0;
        for (var at = 1; at <= measured.Operations + 1; at++)
        {
            var target = new CrashStorage { PowerFailsAt = at };
            var hasEnded = false;
            try
            {
                test.Db.BackupTo(target, null, new BackupOptions());
                hasEnded = true;
            }
            catch (PowerLossException)
            {
            }

            foreach (var after in (CrashStorage[])[target.Crash(CrashPattern.None), target.Crash((ulong)at),
                target.Crash((ulong)at + 1_000)])
            {
                if (!after.Exists(BackupManifest.FileName))
                {
                    Assert.False(hasEnded);
                    Assert.Equal(ErrorCode.NotABackup, Assert.Throws<CairnException>(() => Chain([after])).Code);
                    continue;
                }

                whole++;
                Assert.True(CairnDatabase.VerifyBackup(Chain([after])).IsValid);
                Assert.Equal(test.Db.StateHash(), HashOf(Restore([after], new RestoreOptions()).Target));
            }
        }

        Assert.True(whole >= 3);
        Assert.False(test.Db.Engine.State.HasFailed);
    }

    [Fact]
    [Trait("Test", "C3")]
    [Trait("Promise", "G1")]
    public void A_restoring_that_loses_power_anywhere_gives_the_whole_database_or_none()
    {
        using var test = new TestDatabase(Durability.Strict);
        for (var i = 0; i < 60; i++)
            test.Kv.Put($"key {i}", new byte[1_500]);
        var backup = new MemoryStorage();
        test.Db.BackupTo(backup, null, new BackupOptions());
        var measured = new CrashStorage();
        CairnDatabase.RestoreTo(Chain([backup]), measured, new RestoreOptions { ToSequence = new Sequence(40) });
        for (var at = 1; at <= measured.Operations + 1; at++)
        {
            var target = new CrashStorage { PowerFailsAt = at };
            var hasEnded = false;
            try
            {
                CairnDatabase.RestoreTo(Chain([backup]), target, new RestoreOptions { ToSequence = new Sequence(40) });
                hasEnded = true;
            }
            catch (PowerLossException)
            {
            }

            foreach (var after in (CrashStorage[])[target.Crash(CrashPattern.None), target.Crash((ulong)at)])
            {
                try
                {
                    using var db = Open(after, create: false);
                    Assert.Equal(40ul, db.Sequence.Value);
                }
                catch (CairnException refused) when (refused.Code is ErrorCode.NotADatabase or ErrorCode.Corruption && !hasEnded)
                {
                }
            }
        }
    }

    [Fact]
    [Trait("Test", "C6")]
    [Trait("Promise", "G6")]
    public void A_flipped_bit_anywhere_in_a_backup_is_found_and_nothing_is_restored()
    {
        using var test = new TestDatabase(Durability.Strict);
        for (var i = 0; i < 8; i++)
            test.Kv.Put($"key {i}", new byte[100]);
        var full = new MemoryStorage();
        test.Db.BackupTo(full, null, new BackupOptions());
        test.Kv.Put("more", new byte[100]);
        var rest = new MemoryStorage();
        test.Db.BackupTo(rest, full, new BackupOptions());
        foreach (var storage in (MemoryStorage[])[full, rest])
        {
            foreach (var path in (string[])[BackupManifest.FileName, LogNames.SegmentPath(1)])
            {
                using var file = storage.Open(path, writable: true);
                for (var offset = 0L; offset < file.Length; offset += path == BackupManifest.FileName ? 1 : 7)
                {
                    Flip(file, offset);
                    Assert.False(IsRestored([full, rest]), $"{path} at {offset}");
                    Flip(file, offset);
                }
            }
        }

        Assert.True(IsRestored([full, rest]));
    }

    [Fact]
    [Trait("Security", "27")]
    public void A_keyed_backup_is_refused_without_its_key_under_another_and_when_its_code_was_replaced()
    {
        using var test = new TestDatabase(Durability.Strict);
        test.Kv.Put("key", 1);
        var keyed = new MemoryStorage();
        test.Db.BackupTo(keyed, null, new BackupOptions { Key = Key });
        Assert.True(CairnDatabase.VerifyBackup(Chain([keyed], Key)).IsValid);
        Assert.Equal(ErrorCode.InvalidArgument, Assert.Throws<CairnException>(() => Chain([keyed])).Code);
        Assert.Throws<CorruptionException>(() => Chain([keyed], [.. Key.Reverse()]));

        // A thief who changes the list and signs it with what he has: a plain digest.
        var forged = new MemoryStorage();
        var manifest = BackupManifest.Load(keyed, Key);
        PublishedFile.Write(forged, BackupManifest.FileName, (manifest with { Created = 1 }).Encode(default));
        Assert.Equal(ErrorCode.InvalidArgument, Assert.Throws<CairnException>(() => Chain([forged], Key)).Code);
        var weak = Assert.Throws<CairnException>(() => test.Db.Backup(_directory["weak"], new BackupOptions { Key = new byte[15] }));
        Assert.Contains("at least 16", weak.Message, StringComparison.Ordinal);
        Assert.False(Directory.Exists(_directory["weak"]));
    }

    [Fact]
    public void Places_that_cannot_take_a_backup_or_a_database_are_refused_by_name_and_stay_as_they_are()
    {
        var options = new CairnOptions { Durability = Durability.Buffered };
        using var db = CairnDatabase.Open(_directory["db"], options);
        db.Default.Kv.Put("key", 1);
        db.Backup(_directory["backup"]);

        Directory.CreateDirectory(_directory["full"]);
        File.WriteAllText(Path.Combine(_directory["full"], "mine.txt"), "mine");
        Directory.CreateSymbolicLink(_directory["link"], _directory["db"]);
        Refused(() => db.Backup(_directory["full"]), "mine.txt");
        Refused(() => db.Backup(Path.Combine(_directory["db"], "backup")), "inside the database");
        Refused(() => db.Backup(Path.Combine(_directory["link"], "log", "backup")), "inside the database");
        Refused(() => db.Backup(_directory["backup"]), "not empty");
        Refused(() => CairnDatabase.Restore([_directory["backup"]], _directory["db"]), "not empty");
        Refused(() => CairnDatabase.Restore([_directory["backup"]], _directory["full"]), "mine.txt");
        Refused(() => CairnDatabase.Restore([_directory["backup"]], Path.Combine(_directory["backup"], "log", "inner")),
            "inside the backup");
        Refused(() => CairnDatabase.Restore([], _directory["new"]), "Name the directory");
        Refused(
            () => CairnDatabase.Restore(
                [_directory["backup"]], _directory["new"],
                new RestoreOptions { ToSequence = new Sequence(1), ToTime = DateTimeOffset.UnixEpoch }),
            "not at both");
        Assert.Equal(ErrorCode.NotABackup, Assert.Throws<CairnException>(() => CairnDatabase.VerifyBackup([_directory["full"]])).Code);
        Assert.Equal(ErrorCode.NotABackup, Assert.Throws<CairnException>(() => CairnDatabase.VerifyBackup([_directory["nowhere"]])).Code);
        Assert.Equal(ErrorCode.NotADatabase, Assert.Throws<CairnException>(() => CairnDatabase.Open(_directory["backup"], options)).Code);
        Assert.Equal(["mine.txt"], Directory.GetFileSystemEntries(_directory["full"]).Select(Path.GetFileName));
        Assert.False(Directory.Exists(Path.Combine(_directory["db"], "backup")));

        using var memory = CairnDatabase.OpenInMemory();
        Refused(() => memory.Backup(_directory["memory"]), "in memory");
        using var other = CairnDatabase.Open(_directory["other"], options);
        Refused(() => other.Backup(_directory["new"], new BackupOptions { Parent = _directory["backup"] }), "another database");
        db.Default.Kv.Put("key", 2);
        Assert.Equal(2, db.Default.Kv.Number("key"));
    }

    [Fact]
    public void A_backup_that_is_cancelled_or_fails_takes_its_files_away_and_leaves_the_database_alone()
    {
        var options = new CairnOptions { Durability = Durability.Buffered };
        using var db = CairnDatabase.Open(_directory["db"], options);
        db.Default.Kv.Put("key", new byte[3 << 20]);
        using var cancellation = new CancellationTokenSource();
        var progress = new Told(_ => cancellation.Cancel());
        Assert.Throws<OperationCanceledException>(
            () => db.Backup(_directory["backup"], new BackupOptions { Progress = progress }, cancellation.Token));
        Assert.Empty(Directory.GetFiles(_directory["backup"], "*.segment", SearchOption.AllDirectories));
        db.Backup(_directory["backup"]);                     // the same directory again

        var full = new MemoryStorage(1 << 20);
        Assert.Throws<StorageException>(() => db.BackupTo(full, null, new BackupOptions()));
        Assert.False(full.Exists(LogNames.SegmentPath(1)));
        db.Default.Kv.Put("key", 1);
        Assert.Equal(HealthStatus.Healthy, db.Health.Status);
    }

    [Fact]
    [Trait("Promise", "G6")]
    public void A_damaged_file_of_the_database_is_not_backed_up_as_if_it_were_whole()
    {
        using var test = new TestDatabase(Durability.Strict);
        for (var i = 0; i < 40; i++)
        {
            test.Kv.Put($"key {i}", new byte[2_000]);
            test.Maintain();
        }

        Assert.True(test.Db.Metrics.LogSegments > 1);
        foreach (var number in (uint[])[1, (uint)test.Db.Metrics.LogSegments])
        {
            using var file = test.Storage.Open(LogNames.SegmentPath(number), writable: true);
            Flip(file, SegmentHeader.Size + 200);
            var target = new MemoryStorage();
            var found = Assert.Throws<CorruptionException>(() => test.Db.BackupTo(target, null, new BackupOptions()));
            Assert.Equal(LogNames.SegmentPath(number), found.File);
            Assert.False(target.Exists(BackupManifest.FileName));
            Flip(file, SegmentHeader.Size + 200);
        }

        test.Db.BackupTo(new MemoryStorage(), null, new BackupOptions());
    }

    // A database that was restored and went on has segments of the same numbers and other bytes.
    [Fact]
    public void A_parent_of_another_history_costs_space_and_no_truth()
    {
        using var test = new TestDatabase(Durability.Strict);
        test.Kv.Put("n", 1);
        var full = new MemoryStorage();
        test.Db.BackupTo(full, null, new BackupOptions());
        test.Reopen();
        for (var i = 0; i < 5; i++)
            test.Kv.Put("n", 100 + i);
        var parent = new MemoryStorage();
        test.Db.BackupTo(parent, full, new BackupOptions());

        using var other = Open(Restore([full], new RestoreOptions()).Target);
        for (var i = 0; i < 50; i++)
            other.Default.Kv.Put("n", 200 + i);
        var backup = new MemoryStorage();
        other.BackupTo(backup, parent, new BackupOptions());
        using var db = Open(Restore([full, parent, backup], new RestoreOptions()).Target);
        Assert.Equal(249, db.Default.Kv.Number("n"));
        Assert.Equal(other.StateHash(), db.StateHash());
    }

    [Fact]
    [Trait("Requirement", "RET-5")]
    public void A_compacted_database_is_backed_up_with_what_it_still_has_and_restored_back_to_its_older_checkpoint()
    {
        using var test = new TestDatabase(
            Durability.Strict, options => options with { SegmentBytesMax = 32 << 10, Retention = Retention.KeepLast(1) });
        var hashes = new SortedDictionary<ulong, Hash256>();
        for (var i = 1; i <= 200; i++)
        {
            test.Kv.Put($"key {i % 7}", new byte[3_000 + 100 * i]);
            test.Maintain();
            hashes[test.Sequence] = test.Db.StateHash();
            if (i % 40 == 0)
                test.Checkpoint();
        }

        test.Db.Compact();
        var first = test.Storage.List(LogNames.LogDirectory).First(name => LogNames.TryParseSegment(name, out _));
        Assert.NotEqual(LogNames.Segment(1), first);
        var backup = new MemoryStorage();
        test.Db.BackupTo(backup, null, new BackupOptions());
        foreach (var sequence in (ulong[])[200, 190, 160])
        {
            using var db = Open(Restored([backup], new RestoreOptions { ToSequence = new Sequence(sequence) }, sequence));
            Assert.Equal(hashes[sequence], db.StateHash());
            Assert.Empty(db.Verify(VerificationDepth.Full).Findings);
        }

        var gone = Assert.Throws<CairnException>(() => Restore([backup], new RestoreOptions { ToSequence = new Sequence(20) }));
        Assert.Contains("earliest", gone.Message, StringComparison.Ordinal);
    }

    // Each file was synced before the next was read, and of the segment that takes appends every byte was read twice.
    [Fact]
    public void A_backup_reads_each_byte_once_and_syncs_behind_the_copying()
    {
        var source = new CountingStorage(new MemoryStorage());
        var target = new Ordered(new MemoryStorage());
        using var world = new TestDatabase(
            Durability.Buffered, options => options with { SegmentBytesMin = 256 << 10, SegmentBytesMax = 4 << 20 }, source);
        for (var i = 0; i < 60; i++)
            world.Kv.Put($"k{i}", Value.Bytes(new byte[100 << 10]));
        world.Db.Sync();
        source.Reset();
        var backup = world.Db.BackupTo(target, null, new BackupOptions());
        Assert.InRange(source.BytesRead, backup.Bytes, backup.Bytes * 11 / 10);
        var created = target.Calls.Select((call, index) => (call, index)).Where(each => each.call == StorageCall.CreateNew).ToList();
        Assert.True(created.Count > 3);                      // the last one is the manifest
        Assert.True(target.Calls.IndexOf(StorageCall.Sync) > created[^2].index, "a file is synced before the last one is copied");
        Assert.Equal(created.Count, target.Calls.Count(call => call == StorageCall.Sync));
    }

    private sealed class Ordered(IStorage inner) : StorageLayer(inner)
    {
        internal List<StorageCall> Calls { get; } = [];

        protected override void Before(StorageCall call, string path) => Calls.Add(call);
    }

    [Fact]
    public void Commits_go_on_while_a_backup_is_made()
    {
        using var db = CairnDatabase.Open(_directory["db"], new CairnOptions { Durability = Durability.Buffered,
            SegmentBytesMin = 64 << 10 });
        db.Default.Kv.Put("padding", new byte[4 << 20]);
        var during = 0L;
        var progress = new Told(_ => during = db.Default.Kv.Increment("n"));
        var backup = db.Backup(_directory["backup"], new BackupOptions { Progress = progress });
        Assert.True(during > 0);
        CairnDatabase.Restore([_directory["backup"]], _directory["restored"]);
        using var restored = CairnDatabase.Open(_directory["restored"]);
        Assert.Equal(backup.Sequence, restored.Sequence);
        Assert.Null(restored.Default.Kv.Get("n"));
        Assert.Equal(during, db.Default.Kv.Number("n"));
    }

    [Fact]
    public void A_closed_database_opened_for_reading_is_backed_up_as_it_is()
    {
        Hash256 hash;
        using (var db = CairnDatabase.Open(_directory["db"]))
        {
            db.Default.Kv.Put("key", 1);
            hash = db.StateHash();
        }

        using (var reader = CairnDatabase.Open(_directory["db"], new CairnOptions { IsReadOnly = true }))
            reader.Backup(_directory["backup"]);
        CairnDatabase.Restore([_directory["backup"]], _directory["restored"]);
        using var restored = CairnDatabase.Open(_directory["restored"], new CairnOptions { IsReadOnly = true });
        Assert.Equal(hash, restored.StateHash());
    }

    // ---- tools ----------------------------------------------------------------------------------------------------------------

    private static void Refused(Action action, string words)
    {
        var refused = Assert.Throws<CairnException>(action);
        Assert.Equal(ErrorCode.InvalidArgument, refused.Code);
        Assert.Contains(words, refused.Message, StringComparison.Ordinal);
    }

    private static BackupChain Chain(IReadOnlyList<IStorage> backups, byte[]? key = null) => BackupChain.Open(backups, key);

    private static (MemoryStorage Target, RestoreReport Report) Restore(IReadOnlyList<IStorage> backups, RestoreOptions options)
    {
        var target = new MemoryStorage();
        using var chain = Chain(backups);
        return (target, CairnDatabase.RestoreTo(chain, target, options));
    }

    private static MemoryStorage Restored(IReadOnlyList<IStorage> backups, RestoreOptions options, ulong sequence)
    {
        var (target, report) = Restore(backups, options);
        Assert.Equal(sequence, report.Sequence.Value);
        return target;
    }

    private static CairnDatabase Open(IStorage storage, bool create = true) => CairnDatabase.Open(
        storage, new CairnOptions { Durability = Durability.Buffered, CreateIfMissing = create, SegmentBytesMin = 32 << 10 },
        new EngineHooks { IsMaintenanceManual = true });

    private static Hash256 HashOf(IStorage storage)
    {
        Hash256 hash;
        using (var db = Open(storage, create: false))
        {
            hash = db.StateHash();
            Assert.Empty(db.VerifyDeep().Findings);
        }

        using var again = Open(storage, create: false);
        Assert.Equal(hash, again.StateHash());
        return hash;
    }

    private static bool IsRestored(IReadOnlyList<IStorage> backups)
    {
        var target = new MemoryStorage();
        try
        {
            using var chain = Chain(backups);
            CairnDatabase.RestoreTo(chain, target, new RestoreOptions());
            return true;
        }
        catch (CairnException refused) when (refused is CorruptionException or FormatVersionException
            || refused.Code == ErrorCode.InvalidArgument)
        {
            Assert.DoesNotContain(target.List(""), name => name.StartsWith("manifest", StringComparison.Ordinal));
            return false;
        }
    }

    private static void Flip(IFile file, long offset)
    {
        Span<byte> one = stackalloc byte[1];
        file.ReadAt(one, offset);
        one[0] ^= 0x10;
        file.WriteAt(one, offset);
    }

    private sealed class Told(Action<TransferProgress> tell) : IProgress<TransferProgress>
    {
        public void Report(TransferProgress value) => tell(value);
    }
}
