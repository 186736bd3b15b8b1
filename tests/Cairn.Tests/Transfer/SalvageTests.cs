#pragma warning disable xUnit1051 // what is carried here is small; cancelling has a test of its own
using Cairn.Log;
using Cairn.Storage;
using Cairn.Tests.Storage;
using Cairn.Tests.Transactions;
using Xunit;

namespace Cairn.Tests.Transfer;

/// <summary>RCV-9: what is readable of a damaged database comes back, the rest is accounted for, and the damaged one stays as it
/// is.</summary>
[Trait("Requirement", "RCV-9")]
public sealed class SalvageTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    [Fact]
    [Trait("Kind", "Random")]
    [Trait("Gate", "Merge")]
    public void Without_damage_a_salvaged_database_has_the_same_state_hash()
    {
        var seed = Seeds.Begin(nameof(Without_damage_a_salvaged_database_has_the_same_state_hash));
        for (var round = 0; round < Seeds.Scaled(4); round++)
        {
            using var world = new TransferWorld(Durability.Strict, seed + (ulong)round);
            world.Run(300);
            var (target, report) = Salvage(world.Storage);
            Assert.True(report.IsComplete, $"seed {seed + (ulong)round}: {Told(report)}");
            Assert.Equal(world.Hashes[report.LastRead.Value], HashOf(target));
        }
    }

    // The oracle of the whole: any byte may change, and nothing but what stood there may be missing.
    [Fact]
    [Trait("Kind", "Random")]
    [Trait("Gate", "Merge")]
    [Trait("Test", "C6")]
    public void Whatever_byte_is_damaged_the_rest_comes_back_and_the_loss_is_told()
    {
        var seed = Seeds.Begin(nameof(Whatever_byte_is_damaged_the_rest_comes_back_and_the_loss_is_told));
        var random = new Random((int)seed);
        using var world = new TransferWorld(Durability.Strict, seed);
        world.Run(400);
        var (_, whole) = Salvage(world.Storage);
        foreach (var path in Files(world.Storage))
        {
            for (var i = 0; i < Seeds.Scaled(4); i++)
            {
                using var file = world.Storage.Open(path, writable: true);
                var offset = random.NextInt64(file.Length);
                Flip(file, offset);
                var (target, report) = Salvage(world.Storage);
                Flip(file, offset);
                HashOf(target);                              // opens, twice the same, and verifies
                Assert.True(
                    report.Transactions == whole.Transactions || !report.IsComplete || report.Checkpoint > Sequence.None,
                    $"seed {seed}: {path} at {offset}: {report.Transactions} of {whole.Transactions} and no loss is told");
                Assert.InRange(whole.Transactions - report.Transactions, 0, path.StartsWith("log/", StringComparison.Ordinal)
                    ? offset < SegmentHeader.Size ? whole.Transactions : 60 : 0);
            }
        }
    }

    // A fork of a past point came back empty; and one of the present, asked for with its sequence, saw what its parent did later when
    // commits before it were lost, because its point is a sequence of the damaged database.
    [Fact]
    [Trait("Requirement", "RPL-12")]
    public void Forks_come_back_at_their_points_though_sequences_are_others()
    {
        using var test = new TestDatabase(Durability.Strict);
        var parent = test.Db.Runs.Begin("parent");
        parent.Events.Append("e", Value.Object(("n", 0)));
        test.Kv.Put("lost", new string('x', 200));
        test.Kv.Put("lost too", new string('x', 200));
        parent.Kv.Put("a", 1);
        parent.Events.Append("e", Value.Object(("n", 1)));
        var point = parent.Info.LastSequence;
        parent.Kv.Put("a", 2);
        parent.Events.Append("e", Value.Object(("n", 2)));
        var past = test.Db.Runs.Fork(parent.Id, point, "past");
        var present = test.Db.Runs.Fork(parent.Id, test.Db.Sequence, "present");
        parent.Kv.Put("a", 3);
        parent.Kv.Put("later", 1);
        past.Events.Append("own", Value.Object());
        var nested = test.Db.Runs.Fork(past.Id, past.Info.FirstSequence, "nested");
        nested.Kv.Put("b", 1);
        foreach (var record in test.Db.ReadLog().Where(record => record.Sequence.Value is 3 or 4 && record.Time is not null).ToList())
        {
            using var file = test.Storage.Open(LogNames.SegmentPath(1), writable: true);
            Flip(file, SegmentHeader.Size + record.Position + 100);
        }

        test.Abandon();
        var (target, report) = Salvage(test.Storage);
        Assert.False(report.IsComplete);
        Assert.DoesNotContain(report.RunLosses, loss => loss.Run != RunId.Default);
        using var db = CairnDatabase.Open(
            target, new CairnOptions { Durability = Durability.Buffered }, new EngineHooks { IsMaintenanceManual = true });
        Assert.Equal(test.Sequence - 2, db.Sequence.Value);
        foreach (var (name, a, events) in ((string, long, int)[])[("parent", 3, 3), ("past", 1, 3), ("present", 2, 3), ("nested", 1, 2)])
        {
            var run = db.Runs.Get(name)!;
            Assert.Equal((name, a, events), (name, run.Kv.Number("a"), (int)run.Events.Count()));
            Assert.Equal(name == "parent", run.Kv.Exists("later"));
            Assert.True(run.Events.Verify().IsValid);
        }

        Assert.Equal(point.Value - 2, db.Runs.Get("past")!.Info.ForkSequence!.Value.Value);
        Assert.Equal(1, db.Runs.Get("nested")!.Kv.Number("b"));
        Assert.Empty(db.VerifyDeep().Findings);
    }

    [Fact]
    [Trait("Requirement", "RPL-12")]
    public void A_past_fork_whose_parent_is_not_there_as_it_was_is_told()
    {
        using var test = new TestDatabase(Durability.Strict);
        var parent = test.Db.Runs.Begin("parent");
        parent.Kv.Put("a", 1);
        var point = parent.Info.LastSequence;
        parent.Kv.Put("a", 2);
        test.Db.Runs.Fork(parent.Id, point, "past");
        using (var file = test.Storage.Open(LogNames.SegmentPath(1), writable: true))
        {
            foreach (var record in test.Db.ReadLog().Where(record => record.Sequence.Value <= 3 && record.Time is not null).ToList())
                Flip(file, SegmentHeader.Size + record.Position + 60);
        }

        var id = test.Db.Runs.Get("past")!.Id;
        test.Abandon();
        var (target, report) = Salvage(test.Storage);
        Assert.Contains(
            report.RunLosses,
            loss => loss.Run == id && loss.Text.Contains("forked from at its sequence", StringComparison.Ordinal));
        using var db = CairnDatabase.Open(
            target, new CairnOptions { Durability = Durability.Buffered }, new EngineHooks { IsMaintenanceManual = true });
        Assert.Null(db.Runs.Get("past")!.Kv.Get("a"));
    }

    [Fact]
    public void A_damaged_record_in_the_middle_costs_itself_and_is_told_with_its_sequence()
    {
        using var test = Filled();
        var record = test.Db.ReadLog().First(record => record.Sequence.Value == 5 && record.Time is not null);
        using (var file = test.Storage.Open(LogNames.SegmentPath(1), writable: true))
            Flip(file, SegmentHeader.Size + record.Position + 60);
        test.Abandon();
        var (target, report) = Salvage(test.Storage);
        var loss = Assert.Single(report.Losses);
        Assert.Equal((LogNames.SegmentPath(1), 5ul, 5ul), (loss.File, loss.FirstSequence.Value, loss.LastSequence.Value));
        Assert.Equal(59, report.Transactions);
        Assert.False(report.IsComplete);
        Assert.Contains(report.RunLosses, run => run.Run == RunId.Default);
        using var db = Open(target);
        Assert.Equal(59, db.Default.Kv.Count());
        Assert.Null(db.Default.Kv.Get("key 5"));
        Assert.Equal(6, db.Default.Kv.Number("key 6"));
    }

    [Theory]
    [InlineData("missing")]
    [InlineData("header")]
    public void A_segment_that_is_gone_costs_its_own_commits_and_no_other(string how)
    {
        using var test = Filled();
        test.Db.Dispose();
        var segments = test.Storage.List(LogNames.LogDirectory).Where(name => LogNames.TryParseSegment(name, out _)).ToList();
        Assert.True(segments.Count > 3);
        var path = LogNames.LogDirectory + "/" + segments[1];
        if (how == "missing")
        {
            test.Storage.Unlink(path);
        }
        else
        {
            using var file = test.Storage.Open(path, writable: true);
            Flip(file, 100);
        }

        var (target, report) = Salvage(test.Storage);
        var loss = Assert.Single(report.Losses, loss => loss.File == path);
        var lost = loss.LastSequence.Value - loss.FirstSequence.Value + 1;
        Assert.Equal(60, report.Transactions + (long)lost);
        using var db = Open(target);
        for (var i = 1ul; i <= 60; i++)
        {
            var isLost = i >= loss.FirstSequence.Value && i <= loss.LastSequence.Value;
            Assert.Equal(isLost ? null : (long)i, db.Default.Kv.Number($"key {i}"));
        }
    }

    [Theory]
    [InlineData("damaged")]
    [InlineData("missing")]
    public void Without_a_manifest_all_of_the_log_comes_back(string how)
    {
        using var test = Filled();
        var hash = test.Db.StateHash();
        test.Db.Dispose();
        foreach (var name in test.Storage.List("").Where(name => LogNames.TryParseManifest(name, out _)))
        {
            if (how == "missing")
            {
                test.Storage.Unlink(name);
                continue;
            }

            using var file = test.Storage.Open(name, writable: true);
            Flip(file, 40);
            Flip(file, 4_096 + 40);
        }

        Assert.ThrowsAny<CairnException>(() => Open(test.Storage));
        var (target, report) = Salvage(test.Storage);
        Assert.True(report.IsComplete, Told(report));
        Assert.NotEmpty(report.Losses);
        Assert.Equal(hash, HashOf(target));
    }

    [Fact]
    [Trait("Promise", "G6")]
    public void The_end_that_a_manifest_vouches_for_is_missed()
    {
        using var test = Filled();
        test.Db.Dispose();
        var last = test.Storage.List(LogNames.LogDirectory).Last(name => LogNames.TryParseSegment(name, out _));
        test.Storage.Unlink(LogNames.LogDirectory + "/" + last);
        var (_, report) = Salvage(test.Storage);
        var loss = Assert.Single(report.Losses, loss => loss.File.EndsWith(last, StringComparison.Ordinal));
        Assert.Equal(60ul, loss.LastSequence.Value);
        Assert.Equal(report.LastRead.Value + 1, loss.FirstSequence.Value);
    }

    [Fact]
    public void What_rests_on_something_lost_is_carried_where_it_means_something()
    {
        using var test = new TestDatabase(Durability.Strict);
        var run = test.Db.Runs.Begin("worker", tags: ["red"]);                        // 1: lost
        run.Events.Append("note", Value.Object(("n", 0)));
        var second = run.Events.Append("note", Value.Object(("n", 1)));              // 3: lost
        run.Events.Append("note", Value.Object(("n", 2)), [second.Number]);
        run.Events.Append("note", Value.Object(("n", 3)), [0, 2]);
        run.Events.Consumers.Commit("reader", 3);
        run.Kv.Put("gone", 1);                                                       // 7: lost
        run.Kv.Expire("gone", TimeSpan.FromHours(1));
        run.Kv.Increment("count", 5);
        run.Complete();
        test.Db.Sync();
        foreach (var record in test.Db.ReadLog().Where(record => record.Sequence.Value is 1 or 3 or 7 && record.Time is not null).ToList())
        {
            using var file = test.Storage.Open(LogNames.SegmentPath(1), writable: true);
            Flip(file, SegmentHeader.Size + record.Position + 50);
        }

        test.Abandon();
        var (target, report) = Salvage(test.Storage);
        Assert.Equal([1ul, 3, 7], report.Losses.Select(loss => loss.FirstSequence.Value).Where(sequence => sequence > 0));
        Assert.Equal(1, report.DroppedOperations);
        var texts = string.Join('\n', report.RunLosses.Where(loss => loss.Run == run.Id).Select(loss => loss.Text));
        Assert.Contains("its beginning", texts, StringComparison.Ordinal);
        Assert.Contains("events #1 to #1", texts, StringComparison.Ordinal);
        using var db = Open(target);
        var salvaged = db.Runs.Get(run.Id)!;
        Assert.Equal(RunStatus.Completed, salvaged.Info.Status);
        Assert.Null(salvaged.Info.Name);
        Assert.Equal([0L, 2, 3], salvaged.Events.Since(0).Select(item => item.Payload!.Value["n"].AsInt64()));
        Assert.True(salvaged.Events.Verify().IsValid);
        Assert.Empty(salvaged.Events.Get(1)!.Causes);
        Assert.Equal([0ul, 1], salvaged.Events.Get(2)!.Causes.Select(cause => cause.Value));
        Assert.Equal(2ul, salvaged.Events.Consumers.Position("reader").Value);
        Assert.Equal(5, salvaged.Kv.Number("count"));
        Assert.Empty(db.VerifyDeep().Findings);
    }

    [Fact]
    public void Places_are_refused_by_name_an_open_database_is_left_alone_and_the_damaged_one_is_not_changed()
    {
        var options = new CairnOptions { Durability = Durability.Buffered };
        using (var db = CairnDatabase.Open(_directory["db"], options))
        {
            db.Default.Kv.Put("key", 1);
            Assert.Equal(ErrorCode.Locked, Assert.Throws<CairnException>(() => CairnDatabase.Salvage(_directory["db"],
                _directory["new"])).Code);
        }

        Assert.Equal(
            ErrorCode.InvalidArgument, Assert.Throws<CairnException>(() => CairnDatabase.Salvage(_directory["db"], _directory["db"])).Code);
        Assert.Equal(
            ErrorCode.InvalidArgument,
            Assert.Throws<CairnException>(() => CairnDatabase.Salvage(_directory["db"], Path.Combine(_directory["db"], "new"))).Code);
        Directory.CreateDirectory(_directory["none"]);
        Assert.Equal(
            ErrorCode.NotADatabase, Assert.Throws<CairnException>(() => CairnDatabase.Salvage(_directory["none"], _directory["new"])).Code);
        Assert.False(Directory.Exists(_directory["new"]));

        var before = Image(_directory["db"]);
        Assert.True(CairnDatabase.Salvage(_directory["db"], _directory["new"]).IsComplete);
        Assert.Equal(before, Image(_directory["db"]));
        using var cancelled = new CancellationTokenSource();
        cancelled.Cancel();
        Assert.Throws<OperationCanceledException>(
            () => CairnDatabase.Salvage(_directory["db"], _directory["cancelled"], null, cancelled.Token));
        using var salvaged = CairnDatabase.Open(_directory["new"], options);
        Assert.Equal(1, salvaged.Default.Kv.Number("key"));
    }

    // ---- tools ----------------------------------------------------------------------------------------------------------------

    /// <summary>60 commits of one key each, in several segments.</summary>
    [Fact]
    [Trait("Requirement", "RPL-30")]
    public void What_was_merged_comes_back_and_up_to_where_is_lost_and_told()
    {
        using var test = new TestDatabase(Durability.Strict);
        var into = test.Db.Runs.Begin("target");
        into.Events.Append("e", Value.Object(("n", 0)));
        var source = test.Db.Runs.Fork(into.Id);
        source.Kv.Put("a", 2);
        source.Events.Append("e", Value.Object(("n", 1)));
        into.Events.Append("e", Value.Object(("n", 2)));
        test.Db.Runs.Merge(source.Id, into.Id, new MergeOptions { Events = MergeEventRule.AppendAfter });
        test.Db.Dispose();
        var (target, report) = Salvage(test.Storage);
        var lost = Assert.Single(report.RunLosses);
        Assert.Equal(into.Id, lost.Run);
        Assert.Contains("merged from", lost.Text, StringComparison.Ordinal);
        using var db = Open(target);
        var run = db.Runs.Get(into.Id)!;
        Assert.Equal(2, run.Kv.Number("a"));
        Assert.Equal([0L, 2L, 1L], run.Events.Since(0).Select(item => item.Payload!.Value["n"].AsInt64()));
        Assert.True(run.Events.Verify().IsValid);
        Assert.Empty(db.Runs.Merges(run.Id));
    }

    private static TestDatabase Filled()
    {
        var test = new TestDatabase(Durability.Strict, options => options with { SegmentBytesMax = 32 << 10 });
        for (var i = 1; i <= 60; i++)
        {
            test.Run.Transact(tx =>
            {
                tx.Kv.Put($"key {i}", i);
                tx.Events.Append("padding", Value.Object(("bytes", Value.Bytes(new byte[2_000]))));
            });
            test.Maintain();
        }

        test.Db.Sync();
        return test;
    }

    private static (MemoryStorage Target, SalvageReport Report) Salvage(IStorage source)
    {
        var target = new MemoryStorage();
        return (target, CairnDatabase.SalvageTo(source, () => target));
    }

    private static CairnDatabase Open(IStorage storage) => CairnDatabase.Open(
        storage, new CairnOptions { Durability = Durability.Buffered, CreateIfMissing = false },
            new EngineHooks { IsMaintenanceManual = true });

    private static Hash256 HashOf(IStorage storage)
    {
        Hash256 hash;
        using (var db = Open(storage))
        {
            hash = db.StateHash();
            Assert.Empty(db.VerifyDeep().Findings);
        }

        using var again = Open(storage);
        Assert.Equal(hash, again.StateHash());
        return hash;
    }

    private static IEnumerable<string> Files(IStorage storage) =>
    [
        .. storage.List("").Where(name => LogNames.TryParseManifest(name, out _)),
        .. storage.List(LogNames.LogDirectory).Where(name => LogNames.TryParseSegment(name, out _))
            .Select(name => LogNames.LogDirectory + "/" + name),
    ];

    private static string Image(string directory) => string.Join('\n', Directory.GetFiles(directory, "*", SearchOption.AllDirectories)
        .Where(file => Path.GetFileName(file) != "LOCK").Order(StringComparer.Ordinal)
        .Select(file => $"{file} {Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(File.ReadAllBytes(file)))}"));

    private static string Told(SalvageReport report) =>
        string.Join('\n', report.Losses.Select(loss => loss.ToString()).Concat(report.RunLosses.Select(loss => loss.ToString())));

    private static void Flip(IFile file, long offset)
    {
        Span<byte> one = stackalloc byte[1];
        file.ReadAt(one, offset);
        one[0] ^= 0x10;
        file.WriteAt(one, offset);
    }
}
