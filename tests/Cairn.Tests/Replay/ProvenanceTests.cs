using Cairn.Tests.Primitives;
using Xunit;

namespace Cairn.Tests.Replay;

/// <summary>Who and what caused a commit: given with a write, kept in its record, told again (RPL-7, SEC-16).</summary>
public class ProvenanceTests
{
    private static readonly CommitAttributes Ada = new() { Actor = "ada", Tool = "crm.lookup" };

    public static TheoryData<Durability> Logged => [Durability.Buffered, Durability.Strict];

    [Theory]
    [MemberData(nameof(Logged))]
    [Trait("Requirement", "RPL-7")]
    public void RPL_7_A_commit_tells_again_who_and_what_caused_it(Durability mode)
    {
        using var world = new ModeDatabase(mode);
        var step = new TraceId(new Guid("01940000-0000-7000-8000-000000000007"));
        var told = Ada with
        {
            TraceStep = step, SourceKind = "tool", Trust = 0.25, Entries = Value.Object(("ticket", 4711), ("deep", Value.Array(1, "x"))),
        };
        var other = world.Db.Runs.Begin("other");
        var sequence = world.Run.With(told).Kv.Put("customer", "Ada", TimeSpan.FromHours(1));
        var plain = world.Run.Kv.Put("customer", "Eve");
        var both = default(Sequence);
        world.Db.Transact([world.Run, other], tx =>
        {
            tx.On(world.Run).State.Set("budget", 90);
            tx.On(other).Events.Append("note", Value.Object(("text", "hello")));
        }, new TransactionOptions { Commit = new CommitOptions { Attributes = Ada } });
        both = world.Db.Sequence;
        world.Reopen();

        var first = world.Db.TransactionAt(sequence);
        Assert.Equal(told, first.Attributes);
        Assert.Equal((sequence, RunId.Default), (first.Sequence, Assert.Single(first.Runs)));
        var operation = Assert.Single(first.Operations);
        Assert.Equal(("kv.put", new ItemAddress("kv", "customer")), (operation.Name, operation.Address));
        Assert.Equal("Ada", operation.Value!.Value.AsString());
        Assert.Equal(first.Time + TimeSpan.FromHours(1), operation.Expiry);
        Assert.Equal(CommitAttributes.None, world.Db.TransactionAt(plain).Attributes);
        var shared = world.Db.TransactionAt(both);
        Assert.Equal(2, shared.Runs.Count);
        Assert.Equal(["state/budget", "events/#0"], shared.Operations.Select(found => found.Address.ToString()));
        Assert.Equal(Ada, shared.Attributes);
        Assert.Equal(Ada, world.Db.ReadLog().Single(record => record.Sequence == both && record.Type == "transaction").Attributes);
    }

    [Fact]
    public async Task RPL_7_Every_kind_of_write_carries_what_its_handle_was_given()
    {
        using var world = new ModeDatabase(Durability.Buffered);
        var run = world.Db.Runs.With(new CommitOptions { Attributes = Ada }).Begin("mine");
        run.Kv.Put("k", 1);
        await run.Kv.PutAsync("k", 2, cancellationToken: TestContext.Current.CancellationToken);
        run.Kv.Increment("n");
        run.Kv.TryAdd("added", 1);
        run.Kv.Delete("k");
        run.Events.Append("t", Value.Object());
        run.Events.Redact(default, "reason");
        run.State.Init("c", 1);
        run.State.TransitionOrInit("c", 1, value => value);
        run.State.Acquire("lease", "me", TimeSpan.FromHours(1));
        run.Traces.Record(new ThoughtStep("x"));
        run.AddTags("tag");
        run.Transact(tx => tx.Kv.Put("k", 3));
        run.Transact(tx => tx.Kv.Put("k", 4), new TransactionOptions { Isolation = Isolation.Snapshot });
        run.TransactOnce("once", tx => tx.Kv.Put("k", 5));
        run.Complete("done");
        var commits = run.Commits();
        Assert.True(commits.Count >= 16);
        Assert.All(commits, commit => Assert.Equal(Ada, commit.Attributes));
        Assert.Equal("once", Assert.Single(commits, commit => commit.IdempotencyKey is not null).IdempotencyKey);
        Assert.Equal(run.Info.LastSequence, commits[0].Sequence);
        Assert.Equal(run.Info.FirstSequence, commits[^1].Sequence);
        Assert.Equal("run.create", commits[^1].Operations[0].Name);
        Assert.Equal(["run.end"], commits[0].Operations.Select(operation => operation.Name));
    }

    [Fact]
    public void RPL_7_What_a_transaction_had_read_is_told_on_request()
    {
        using var world = new ModeDatabase(Durability.Buffered);
        world.Run.Kv.Put("price", 10);
        var asked = new TransactionOptions { Commit = new CommitOptions { Attributes = Ada, RecordReads = true } };
        world.Run.Transact(
            tx =>
            {
                var price = tx.Kv.Get("price")!.Value.AsInt64();
                _ = tx.Kv.List();
                tx.Kv.Put("total", price * 2);
            },
            asked);
        var reads = world.Db.TransactionAt(world.Db.Sequence).Attributes.Reads!;
        Assert.Equal((new Sequence(1), 1L), (reads.Sequence, reads.Points));
        Assert.True(reads.Ranges >= 1);
        Assert.Contains("kv/price", reads.Items);

        // However much it reads, the record says a bounded part of it.
        world.Run.Transact(
            tx =>
            {
                for (var i = 0; i < 500; i++)
                    _ = tx.Kv.Get($"key-{i:D3}-{new string('x', 900)}");
                tx.Kv.Put("done", true);
            },
            asked);
        reads = world.Db.TransactionAt(world.Db.Sequence).Attributes.Reads!;
        Assert.Equal(500, reads.Points);
        Assert.True(reads.Items.Count is > 0 and <= CommitReads.ItemsMax);
    }

    [Fact]
    public void RPL_7_A_sequence_that_has_no_commit_is_refused_by_name()
    {
        using var world = new ModeDatabase(Durability.Buffered);
        world.Run.Kv.Put("k", 1);
        foreach (var (sequence, code) in new[] { (0UL, ErrorCode.InvalidArgument), (2UL, ErrorCode.InvalidArgument) })
            Assert.Equal(code, Assert.Throws<CairnException>(() => world.Db.TransactionAt(new Sequence(sequence))).Code);
        using var memory = CairnDatabase.OpenInMemory();
        memory.Default.Kv.Put("k", 1);
        var trimmed = Assert.Throws<HistoryTrimmedException>(() => memory.TransactionAt(new Sequence(1)));
        Assert.Equal((new Sequence(1), new Sequence(2)), (trimmed.Requested, trimmed.Earliest));
        Assert.Throws<HistoryTrimmedException>(() => memory.Default.Commits());
        Assert.Throws<HistoryTrimmedException>(() => memory.Default.Blame(ItemAddress.OfKey("k")));
    }

    [Fact]
    public void RPL_7_What_compaction_has_given_up_is_told_as_trimmed_and_what_archives_keep_is_found()
    {
        foreach (var policy in new[] { Retention.KeepAll, Retention.KeepLast(1) })
        {
            using var world = new ModeDatabase(
                Durability.Buffered,
                new CairnOptions { Retention = policy, SegmentBytesMin = 4 << 10, SegmentBytesMax = 4 << 10, CompactionGarbageMin = 1 });
            for (var i = 0; i < 200; i++)
                world.Run.With(Ada).Kv.Put("k", new string('x', 100) + i);
            world.Db.Checkpoint(cancellationToken: TestContext.Current.CancellationToken);
            world.Run.Kv.Put("k", 1);
            world.Db.Checkpoint(cancellationToken: TestContext.Current.CancellationToken);
            world.Db.Compact(cancellationToken: TestContext.Current.CancellationToken);
            if (policy == Retention.KeepAll)
            {
                Assert.Equal(Ada, world.Db.TransactionAt(new Sequence(3)).Attributes);
                var log = (Cairn.Log.SegmentedLog)world.Db.Engine.Path.Log.Device!;
                for (var sequence = 1UL; sequence <= 201; sequence++)
                {
                    using var search = new Cairn.Replay.CommitSearch(log);
                    Assert.True(search.TryFind(sequence, out var header, out _, out _));
                    Assert.Equal(sequence, header.Sequence);
                    Assert.InRange(search.ArchiveRecordsRead, 0, 9 * log.Manifest.Archives.Count);
                }

                Assert.Equal(201, world.Run.Commits(1000).Count);
                continue;
            }

            Assert.True(world.Db.Metrics.CompactionBytesFreed > 0);
            Assert.Throws<HistoryTrimmedException>(() => world.Db.TransactionAt(new Sequence(3)));
            Assert.Throws<HistoryTrimmedException>(() => world.Run.Commits(1000));
            Assert.Single(world.Run.Commits(1));
        }
    }

    [Fact]
    [Trait("Requirement", "SEC-16")]
    public void SEC_16_Blame_names_the_commit_that_wrote_what_is_there()
    {
        using var world = new ModeDatabase(Durability.Buffered);
        var run = world.Db.Runs.Begin("mine");
        var eve = new CommitAttributes { Actor = "eve" };
        run.With(Ada).Kv.Put("k", 1);
        run.With(eve).Kv.Put("k", 2);
        run.With(Ada).Kv.Put("gone", 1);
        run.Kv.Delete("gone");
        run.With(Ada).Kv.Put("short", 1, TimeSpan.FromSeconds(1));
        run.With(Ada).State.Set("c", 1);
        run.With(eve).Events.Append("t", Value.Object());
        var trace = run.With(Ada).Traces.Record(new ThoughtStep("x"));
        run.With(eve).TransactOnce("once", tx => tx.Kv.Put("x", 1));
        run.With(Ada).AddTags("tag");
        for (var i = 0; i < 20; i++)
            world.Run.Kv.Put("noise", i);
        world.Clock.Advance(TimeSpan.FromSeconds(2));
        Assert.Equal(eve, run.Blame(ItemAddress.OfKey("k"))!.Attributes);
        Assert.Null(run.Blame(ItemAddress.OfKey("gone")));
        Assert.Null(run.Blame(ItemAddress.OfKey("short")));
        Assert.Null(run.Blame(ItemAddress.OfKey("never")));
        Assert.Equal(Ada, run.Blame(ItemAddress.OfCell("c"))!.Attributes);
        Assert.Equal(eve, run.Blame(ItemAddress.OfEvent(new EventNumber(0)))!.Attributes);
        Assert.Equal(Ada, run.Blame(ItemAddress.OfTrace(trace))!.Attributes);
        Assert.Equal(Ada, run.Blame(ItemAddress.OfRun(run.Id))!.Attributes);
        Assert.Equal(eve, run.Blame(new ItemAddress("idempotency", "once"))!.Attributes);
        foreach (var wrong in new[] { "nothing/k", "events/x", "traces/x", $"runs/{RunId.Default}" })
        {
            var slash = wrong.IndexOf('/');
            var address = new ItemAddress(wrong[..slash], wrong[(slash + 1)..]);
            Assert.Equal(ErrorCode.InvalidArgument, Assert.Throws<CairnException>(() => run.Blame(address)).Code);
        }
    }

    [Theory]
    [InlineData("kv/a/b", "kv", "a/b")]
    [InlineData("events/#12", "events", "#12")]
    [InlineData("kv/", "kv", "")]
    public void An_address_reads_its_own_text(string text, string primitive, string key)
    {
        Assert.True(ItemAddress.TryParse(text, out var address));
        Assert.Equal((primitive, key, text), (address.Primitive, address.Key, address.ToString()));
        Assert.False(ItemAddress.TryParse(text.Replace('/', ':'), out _));
        Assert.False(ItemAddress.TryParse("x" + text, out _));
        Assert.False(ItemAddress.TryParse(null, out _));
    }

    [Fact]
    [Trait("Requirement", "SEC-16")]
    public void Attributes_that_are_none_are_refused_before_anything_is_written()
    {
        using var db = CairnDatabase.OpenInMemory();
        CommitAttributes[] wrong =
        [
            new() { Actor = "" }, new() { Tool = "line\n" }, new() { SourceKind = "\0" }, new() { Trust = 1.5 },
            new() { Trust = double.NaN }, new() { Entries = 7 }, new() { Actor = "\ud800" },
        ];
        foreach (var attributes in wrong)
        {
            Assert.ThrowsAny<CairnException>(() => db.Default.With(attributes));
            Assert.ThrowsAny<CairnException>(() => db.Runs.With(new CommitOptions { Attributes = attributes }));
            Assert.ThrowsAny<CairnException>(() => db.Default.Transact(
                tx => tx.Kv.Put("k", 1), new TransactionOptions { Commit = new CommitOptions { Attributes = attributes } }));
        }

        Assert.Equal(Sequence.None, db.Sequence);
    }

    // What a record says is checked by its sums alone; that its attributes are what the format says is looked at when they are read.
    [Fact]
    public void Attributes_of_another_form_are_damage_and_unknown_members_are_passed_over()
    {
        var later = Value.Object(("actor", "ada"), ("of_a_later_version", 1)).Encode();
        Assert.True(CommitAttributes.TryDecode(later, out var read));
        Assert.Equal("ada", read.Actor);
        Assert.False(CommitAttributes.TryDecode(Value.Object(("actor", 7)).Encode(), out _));
        Assert.False(CommitAttributes.TryDecode([0xC0], out _));
        Assert.False(CommitAttributes.TryDecode([0x81, 0xA1], out _));
    }

    // Trust is no reason of a conflict, attributes are no state: the hash is what it would be without.
    [Fact]
    public void Attributes_are_no_part_of_the_state()
    {
        Hash256 HashWith(CommitAttributes? attributes)
        {
            using var world = new ModeDatabase(Durability.Buffered);
            world.Run.With(new CommitOptions { Attributes = attributes }).Kv.Put("k", 1);
            return world.Db.StateHash();
        }

        Assert.Equal(HashWith(null), HashWith(Ada));
    }
}
