#pragma warning disable xUnit1051 // what is merged here is small

using Cairn.Tests.Cli;
using Cairn.Tests.Transactions;
using Xunit;

namespace Cairn.Tests.Replay;

/// <summary>Merges that cannot be: each is a typed error, and nothing has changed; and what a merge's commit tells.</summary>
public class RunMergeRefusalTests
{
    public static TheoryData<Durability> Modes => [Durability.InMemory, Durability.Buffered, Durability.Strict];

    private static void Refused(TestDatabase test, ErrorCode code, RunId source, RunId target, MergeOptions? options = null)
    {
        var (hash, sequence) = (test.Db.StateHash(), test.Sequence);
        Assert.Equal(code, TestValues.Refused(() => test.Db.Runs.Merge(source, target, options)));
        Assert.Equal((hash, sequence), (test.Db.StateHash(), test.Sequence));
    }

    [Theory, MemberData(nameof(Modes))]
    [Trait("Requirement", "RPL-27")]
    public void RPL_27_Runs_that_cannot_be_merged_are_refused_by_name(Durability mode)
    {
        using var test = new TestDatabase(mode);
        var target = test.Db.Runs.Begin("target");
        var source = test.Db.Runs.Fork(target.Id, name: "source");
        var stranger = test.Db.Runs.Begin("stranger");
        source.Kv.Put("a", 1);
        var unknown = new RunId(new Guid("01940000-0000-7000-8000-00000000ffff"));
        Refused(test, ErrorCode.NotFound, unknown, target.Id);
        Refused(test, ErrorCode.NotFound, source.Id, unknown);
        Refused(test, ErrorCode.InvalidArgument, source.Id, source.Id);
        Refused(test, ErrorCode.InvalidArgument, RunId.System, target.Id);
        Refused(test, ErrorCode.InvalidArgument, source.Id, RunId.System);
        Refused(test, ErrorCode.ConstraintViolation, stranger.Id, target.Id);
        Refused(test, ErrorCode.InvalidArgument, source.Id, target.Id, new MergeOptions { ConflictsMax = -1 });
        Refused(test, ErrorCode.InvalidArgument, source.Id, target.Id, new MergeOptions { ConflictsMax = MergeOptions.ConflictsMost + 1 });
        Refused(test, ErrorCode.InvalidArgument, source.Id, target.Id, new MergeOptions { Strategy = (MergeStrategy)9 });
        Assert.Throws<InvalidOperationException>(() => target.Transact(_ => test.Db.Runs.Merge(source.Id, target.Id)));
        Assert.Throws<OperationCanceledException>(
            () => test.Db.Runs.Merge(source.Id, target.Id, null, new CancellationToken(canceled: true)));
        Assert.Throws<TimeoutException>(() => test.Db.Runs.Merge(
            Conflicting(test, source, target), target.Id, new MergeOptions { Resolve = _ => throw new TimeoutException() }));
        source.Complete();                                   // a source may have ended
        Assert.True(test.Db.Runs.Merge(source.Id, target.Id, new MergeOptions { Strategy = MergeStrategy.PreferTarget }).IsClean);
        var other = test.Db.Runs.Fork(target.Id);
        other.Kv.Put("b", 1);
        target.Complete();
        Refused(test, ErrorCode.RunClosed, other.Id, target.Id);
        Assert.True(test.Db.Runs.Merge(other.Id, target.Id, new MergeOptions { IsDryRun = true }).IsClean);
        test.Db.Runs.Delete(other.Id);
        Refused(test, ErrorCode.NotFound, other.Id, target.Id);
    }

    private static RunId Conflicting(TestDatabase test, Run source, Run target)
    {
        source.Kv.Put("both", 1);
        target.Kv.Put("both", 2);
        Assert.False(test.Db.Runs.Merge(source.Id, target.Id).IsClean);
        return source.Id;
    }

    [Fact]
    [Trait("Requirement", "RPL-30")]
    [Trait("Requirement", "RPL-5")]
    public void A_base_that_retention_has_let_go_of_is_said()
    {
        using var test = new TestDatabase(Durability.Buffered, options => options with
        {
            Retention = Retention.KeepLast(1), SegmentBytesMin = 16 << 10, SegmentBytesMax = 16 << 10,
        });
        var target = test.Db.Runs.Begin("target");
        target.Kv.Put("a", 1);
        var source = test.Db.Runs.Fork(target.Id, name: "source");
        source.Kv.Put("a", 2);

        // The first merge has its base from the fork, whatever has become of the log.
        Age(test, source);
        (target, source) = (test.Db.Runs.Get("target")!, test.Db.Runs.Get("source")!);
        Assert.Equal(1, test.Db.Runs.Merge(source.Id, target.Id).Counts["kv"].Taken);
        Assert.Equal(2, target.Kv.Number("a"));
        source.Kv.Put("a", 3);
        Age(test, source);
        target = test.Db.Runs.Get("target")!;
        Refused(test, ErrorCode.HistoryTrimmed, test.Db.Runs.Get("source")!.Id, target.Id);
    }

    private static void Age(TestDatabase test, Run run)
    {
        for (var i = 0; i < 4; i++)
        {
            for (var j = 0; j < 60; j++)
                run.Kv.Put("filler", new string('x', 1_000));
            run.Kv.Delete("filler");
            test.Checkpoint();
        }

        test.Db.Compact(null, TestContext.Current.CancellationToken);
        test.Reopen();
    }

    [Theory]
    [InlineData(Durability.Buffered)]
    [InlineData(Durability.Strict)]
    [Trait("Requirement", "RPL-31")]
    public void Events_that_retention_has_let_go_of_before_they_were_merged_are_said(Durability mode)
    {
        using var test = new TestDatabase(mode);
        var target = test.Db.Runs.Begin("target");
        var source = test.Db.Runs.Fork(target.Id);
        for (var i = 0; i < 10; i++)
            source.Events.Append("e", Value.Object(("n", i)));
        source.Retention.Apply(Retention.KeepEvents(3));
        test.Maintain();
        if (source.Events.Floor().Number.Value == 0)
            test.Maintain();
        Assert.NotEqual(0UL, source.Events.Floor().Number.Value);
        Refused(test, ErrorCode.HistoryTrimmed, source.Id, target.Id);
    }

    [Theory, MemberData(nameof(Modes))]
    [Trait("Requirement", "RPL-30")]
    [Trait("Requirement", "LIM-16")]
    [Trait("Requirement", "LIM-17")]
    [Trait("Requirement", "LIM-40")]
    public void RPL_30_A_merge_that_is_larger_than_a_transaction_is_refused_with_its_size(Durability mode)
    {
        using var test = new TestDatabase(mode, options => options with
        {
            Limits = new Limits { TransactionOperationsMax = 10, ValueBytesMax = 64 << 10, TransactionBytesMax = 128 << 10 },
        });
        var target = test.Db.Runs.Begin("target");
        foreach (var extra in (int[])[-1, 0, 1])
        {
            var source = test.Db.Runs.Fork(target.Id);
            for (var i = 0; i < 9 + extra; i++)
                source.Kv.Put($"{extra}-{i}", 1);

            // The merge itself is one of the operations.
            if (extra <= 0)
            {
                Assert.Equal(9 + extra, test.Db.Runs.Merge(source.Id, target.Id).Counts["kv"].Taken);
                continue;
            }

            foreach (var options in (MergeOptions[])[new(), new() { IsDryRun = true }])
            {
                var sequence = test.Sequence;
                var refused = Assert.Throws<LimitException>(() => test.Db.Runs.Merge(source.Id, target.Id, options));
                Assert.Equal((nameof(Limits.TransactionOperationsMax), 10L, 11L), (refused.Limit, refused.Allowed, refused.Actual));
                Assert.Equal(sequence, test.Sequence);
            }
        }

        var large = test.Db.Runs.Fork(target.Id);
        for (var i = 0; i < 3; i++)
            large.Kv.Put($"large-{i}", new string('x', 60_000));
        var bytes = Assert.Throws<LimitException>(() => test.Db.Runs.Merge(large.Id, target.Id));
        Assert.Equal((nameof(Limits.TransactionBytesMax), true), (bytes.Limit, bytes.Actual > 180_000));
        large.Kv.Delete("large-0");
        large.Kv.Delete("large-1");
        Assert.True(test.Db.Runs.Merge(large.Id, target.Id).IsClean);
        Assert.Equal(60_000, target.Kv.Text("large-2")!.Length);
    }

    [Fact]
    [Trait("Requirement", "RPL-28")]
    public void A_read_only_database_takes_a_dry_run_and_no_merge()
    {
        using var world = new Storage.TemporaryDirectory();
        RunId source, target;
        using (var db = CairnDatabase.Open(world.Path))
        {
            var run = db.Runs.Begin("target");
            run.Kv.Put("a", 1);
            var fork = db.Runs.Fork(run.Id);
            fork.Kv.Put("a", 2);
            (source, target) = (fork.Id, run.Id);
        }

        using var open = CairnDatabase.Open(world.Path, new CairnOptions { IsReadOnly = true });
        Assert.Equal(ErrorCode.ReadOnly, TestValues.Refused(() => open.Runs.Merge(source, target)));
        Assert.Equal(1, open.Runs.Merge(source, target, new MergeOptions { IsDryRun = true }).Counts["kv"].Taken);
    }

    [Theory]
    [InlineData(Durability.Buffered)]
    [InlineData(Durability.Strict)]
    [Trait("Requirement", "RPL-7")]
    [Trait("Requirement", "RPL-27")]
    public void The_commit_names_its_source_and_keeps_what_the_caller_says_of_it(Durability mode)
    {
        using var test = new TestDatabase(mode);
        var target = test.Db.Runs.Begin("target");
        target.Kv.Put("a", 1);
        var source = test.Db.Runs.Fork(target.Id);
        source.Kv.Put("a", 2);
        source.Events.Append("e", Value.Object(("n", 1)));
        var told = new CommitAttributes { Actor = "planner", Entries = Value.Object(("ticket", 7)) };
        var result = test.Db.Runs.With(new CommitOptions { Attributes = told }).Merge(source.Id, target.Id);
        var commit = test.Db.TransactionAt(result.Sequence);
        Assert.Equal(("planner", "merge"), (commit.Attributes.Actor, commit.Attributes.SourceKind));
        Assert.Equal(7, commit.Attributes.Entries["ticket"].AsInt64());
        Assert.Equal(source.Id.ToString(), commit.Attributes.Entries["$merge"]["source"].AsString());
        Assert.Equal(["kv.put", "event.append", "run.merge"], commit.Operations.Select(operation => operation.Name));
        Assert.Equal(("merges", source.Id.ToString()), (commit.Operations[^1].Address.Primitive, commit.Operations[^1].Address.Key));
        Assert.Equal((long)result.Source.Sequence.Value, commit.Operations[^1].Value!.Value["sequence"].AsInt64());
        Assert.Equal(result.Sequence, target.Blame(ItemAddress.OfKey("a"))!.Sequence);
    }

    [Fact]
    [Trait("Requirement", "RPL-29")]
    public void What_is_looked_at_is_what_the_source_changed()
    {
        using var test = new TestDatabase(Durability.Buffered);
        var target = test.Db.Runs.Begin("target");
        for (var i = 0; i < 5_000; i++)
            target.Kv.Put($"k{i}", i);
        var source = test.Db.Runs.Fork(target.Id);
        for (var i = 0; i < 5; i++)
            source.Kv.Put($"k{i}", -1);
        for (var i = 100; i < 4_000; i++)
            target.Kv.Put($"k{i}", -2);
        Assert.Equal(5, test.Db.Runs.Merge(source.Id, target.Id).KeysLookedAt);
        source.Kv.Put("k9", -1);
        Assert.Equal(1, test.Db.Runs.Merge(source.Id, target.Id).KeysLookedAt);
    }

    // ---- other rooms ------------------------------------------------------------------------------------------------------------

    [Fact]
    [Trait("Requirement", "RPL-27")]
    [Trait("Requirement", "FEED-1")]
    public async Task The_feed_steps_files_and_backups_have_a_merge_like_every_commit()
    {
        using var directory = new Storage.TemporaryDirectory();
        using var db = CairnDatabase.Open(directory["db"], new CairnOptions { Durability = Durability.Buffered });
        var target = db.Runs.Begin("target");
        target.Kv.Put("a", 1);
        target.Events.Append("e", Value.Object(("n", 0)));
        var source = db.Runs.Fork(target.Id, name: "source");
        source.Kv.Put("a", 2);
        source.Events.Append("e", Value.Object(("n", 1)));
        target.Events.Append("e", Value.Object(("n", 2)));
        var result = db.Runs.Merge(source.Id, target.Id, new MergeOptions { Events = MergeEventRule.AppendAfter });
        var told = new List<string>();
        await foreach (var commit in target.Changes())
        {
            if (commit.Sequence == result.Sequence)
            {
                told.AddRange(commit.Changes.Select(change => change.Item.ToString()));
                break;
            }
        }

        Assert.Equal(["kv/a", "events/#2", $"merges/{source.Id}"], told);
        using (var view = target.At(result.Sequence))
        {
            var step = view.Steps(view.StepCount, view.StepCount).Single();
            Assert.Contains($"merges/{source.Id}", step.Changes.Select(change => change.Address.ToString()));
        }

        Assert.True(db.VerifyDeep().IsValid);
        using var file = new MemoryStream();
        db.ExportRun(target.Id, file);
        file.Position = 0;
        var imported = db.ImportRun(file, new RunImportOptions { Name = "copy" });
        Assert.True(imported.IsExact);
        Assert.Empty(db.Runs.Merges(imported.Run));
        Assert.Equal(ErrorCode.ConstraintViolation, TestValues.Refused(() => db.Runs.Merge(source.Id, imported.Run)));
        db.Backup(directory["backup"]);
        CairnDatabase.Restore([directory["backup"]], directory["restored"]);
        using var restored = CairnDatabase.Open(directory["restored"]);
        Assert.Equal(db.Runs.Merges(target.Id), restored.Runs.Merges(target.Id));
        Assert.Equal(target.Events.Origin(2), restored.Runs.Get(target.Id)!.Events.Origin(2));
    }

    // ---- the shell --------------------------------------------------------------------------------------------------------------

    [Fact]
    [Trait("Requirement", "RPL-27")]
    [Trait("Requirement", "RPL-28")]
    public void The_shell_merges_says_what_it_would_do_and_what_is_in_the_way()
    {
        using var bed = new CliBed();
        bed.Good("run", "begin", "target");
        bed.Good("kv", "put", "a", "1", "--run", "target");
        bed.Good("run", "fork", "target", "--name", "source");
        bed.Good("kv", "put", "a", "2", "--run", "source");
        bed.Good("kv", "put", "b", "2", "--run", "source");
        var trial = bed.Good("run", "merge", "source", "--into", "target", "--dry-run");
        Assert.Contains("would be merged; this was a dry run", trial, StringComparison.Ordinal);
        bed.Good("kv", "put", "a", "3", "--run", "target");
        var refused = bed.Run("run", "merge", "source", "--into", "target", "--json");
        Assert.Equal(4, refused.Exit);
        var told = Value.FromJson(refused.Out);
        Assert.Equal((1L, false, "kv/a"), (told["open"].AsInt64(), told["clean"].AsBool(), told["conflicts"][0]["address"].AsString()));
        Assert.Equal("3", bed.Good("kv", "get", "a", "--run", "target").Trim());
        var taken = bed.Good("run", "merge", "source", "--into", "target", "--prefer", "source");
        Assert.Contains("-> Source", taken, StringComparison.Ordinal);
        Assert.Equal("2", bed.Good("kv", "get", "a", "--run", "target").Trim());
        Assert.Contains("nothing to merge", bed.Good("run", "merge", "source", "--into", "target"), StringComparison.Ordinal);
        Assert.Equal(3, bed.Run("run", "merge", "source", "--into", "source").Exit);
        Assert.Equal(1, bed.Run("run", "merge", "nobody", "--into", "target").Exit);
        Assert.Equal(2, bed.Run("run", "merge", "source").Exit);
    }

    // It opened the database for writing: a reader beside it was locked out, and a directory that may only be read was refused.
    [Fact]
    [Trait("Requirement", "RPL-28")]
    public void A_dry_run_of_the_shell_takes_no_lock_of_a_writer_and_writes_nothing()
    {
        using var bed = new CliBed();
        bed.Good("run", "begin", "target");
        bed.Good("run", "fork", "target", "--name", "source");
        bed.Good("kv", "put", "a", "2", "--run", "source");
        var before = Files(bed.Path);
        using (CairnDatabase.Open(bed.Path, new CairnOptions { IsReadOnly = true }))
        {
            Assert.Equal(5, bed.Run("run", "merge", "source", "--into", "target").Exit);
            var trial = Assert.Single(bed.Json("run", "merge", "source", "--into", "target", "--dry-run"));
            Assert.Equal((true, 1L), (trial["dryRun"].AsBool(), trial["counts"]["kv"]["taken"].AsInt64()));
        }

        Assert.Equal(before, Files(bed.Path));
        Assert.Equal(2, bed.Run("run", "merge", "source", "--into", "target", "--dry-run", "--durability", "buffered").Exit);
        Assert.Equal(1, bed.Json("run", "merge", "source", "--into", "target")[0]["counts"]["kv"]["taken"].AsInt64());
    }

    private static List<(string, long, DateTime)> Files(string directory) => [.. new DirectoryInfo(directory)
        .EnumerateFiles("*", SearchOption.AllDirectories).Select(file => (file.FullName, file.Length, file.LastWriteTimeUtc)).Order()];

    // ---- long merges ------------------------------------------------------------------------------------------------------------

    [Theory, MemberData(nameof(Modes))]
    [Trait("Requirement", "RPL-27")]
    public void A_long_merge_tells_how_far_it_is_and_ends_at_any_of_its_steps_with_nothing_written(Durability mode)
    {
        using var test = new TestDatabase(mode);
        var target = test.Db.Runs.Begin("target");
        target.Kv.Put("a", 1);
        var source = test.Db.Runs.Fork(target.Id);
        source.Transact(tx =>
        {
            for (var i = 0; i < 3_000; i++)
                tx.Kv.Put($"k{i}", i);
            for (var i = 0; i < 20; i++)
                tx.Events.Append("e", Value.Object(("n", i)));
        });
        var heard = new List<TransferProgress>();
        test.Db.Runs.Merge(source.Id, target.Id, new MergeOptions { IsDryRun = true, Progress = new Told(heard.Add) });
        Assert.DoesNotContain(heard, progress => progress.Step == "commit");

        // At each word that it says, and then once through.
        var (hash, sequence) = (test.Db.StateHash(), test.Sequence);
        for (var at = 0; ; at++)
        {
            heard.Clear();
            using var cancelled = new CancellationTokenSource();
            var options = new MergeOptions
            {
                Progress = new Told(progress =>
                {
                    heard.Add(progress);
                    if (heard.Count == at + 1 && progress.Step != "commit")
                        cancelled.Cancel();
                }),
            };
            if (TryMerge(test, source, target, options, cancelled.Token))
                break;
            Assert.Equal((hash, sequence), (test.Db.StateHash(), test.Sequence));
        }

        Assert.Equal(
            ["records", "kv", "state", "json", "vectors", "events", "traces", "graph", "commit"],
            heard.Select(progress => progress.Step).Where(step => step != "base").Distinct());
        var counted = heard.Where(progress => progress.Step is not ("records" or "base")).ToList();
        Assert.All(counted, progress => Assert.Equal(3_020, progress.Total));
        Assert.Equal(counted.Select(progress => progress.Done).Order(), counted.Select(progress => progress.Done));
        Assert.Equal((0L, 3_020L), (counted[0].Done, counted[^1].Done));
        Assert.Contains(counted, progress => progress.Step == "kv" && progress.Done == 2_048);
        Assert.Equal(sequence + 1, test.Sequence);
        Assert.Throws<TimeoutException>(() => test.Db.Runs.Merge(
            test.Db.Runs.Fork(target.Id).Id, target.Id, new MergeOptions { Progress = new Told(_ => throw new TimeoutException()) }));
    }

    private static bool TryMerge(TestDatabase test, Run source, Run target, MergeOptions options, CancellationToken token)
    {
        try
        {
            return test.Db.Runs.Merge(source.Id, target.Id, options, token).IsClean;
        }
        catch (OperationCanceledException)
        {
            return false;
        }
    }

    [Fact]
    [Trait("Requirement", "RPL-30")]
    public void A_merge_is_cancelled_while_the_state_it_is_compared_with_is_made_of_records()
    {
        using var test = new TestDatabase(Durability.Buffered);
        var target = test.Db.Runs.Begin("target");
        var source = test.Db.Runs.Fork(target.Id);
        source.Kv.Put("a", 1);
        test.Db.Runs.Merge(source.Id, target.Id);
        for (var i = 0; i < 300; i++)
            source.Kv.Put("a", i);
        using var cancelled = new CancellationTokenSource();
        var views = test.Db.Metrics.Views;
        var options = new MergeOptions
        {
            Progress = new Told(progress =>
            {
                if (progress.Step == "base")
                    cancelled.Cancel();
            }),
        };
        Assert.False(TryMerge(test, source, target, options, cancelled.Token));
        Assert.Equal(views, test.Db.Metrics.Views);
        Assert.True(test.Db.Runs.Merge(source.Id, target.Id).IsClean);
        Assert.Equal(299, target.Kv.Number("a"));
    }

    private sealed class Told(Action<TransferProgress> tell) : IProgress<TransferProgress>
    {
        public void Report(TransferProgress value) => tell(value);
    }
}
