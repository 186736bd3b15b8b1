#pragma warning disable xUnit1051 // what is carried here is small; cancelling has tests of its own
using System.Buffers.Binary;
using Cairn.Codec;
using Cairn.Storage;
using Cairn.Tests.Formats;
using Cairn.Tests.Tidy;
using Cairn.Tests.Transactions;
using Cairn.Transfer;
using Xunit;

namespace Cairn.Tests.Transfer;

/// <summary>OPS-6: a run in one file. What comes back is what was written, and a file that is not as it was written changes
/// nothing.</summary>
[Trait("Requirement", "OPS-6")]
public sealed class RunFileTests
{
    private const string Fixture = "tests/Cairn.Tests/Fixtures/run-1.0/golden.cairnrun";

    [Theory]
    [InlineData(Durability.InMemory)]
    [InlineData(Durability.Strict)]
    [Trait("Kind", "Random")]
    [Trait("Gate", "Merge")]
    public void Every_run_comes_back_from_its_file_under_its_own_name_or_another(Durability mode)
    {
        var seed = Seeds.Begin(nameof(Every_run_comes_back_from_its_file_under_its_own_name_or_another));
        for (var round = 0; round < Seeds.Scaled(4); round++)
        {
            using var world = new TransferWorld(Durability.Strict, seed + (ulong)round);
            world.Run(300);
            // With another seed: with the same one it once drew an id that a run of the first database has.
            using var copy = new TestDatabase(mode, options => options with { RandomSeed = 2 });
            copy.Clock.Microseconds = CommitClock.Microseconds(world.Db.TransactionAt(world.Db.Sequence).Time);
            var ids = world.Db.Runs.List(new RunFilter { Limit = 1000 }).Select(info => info.Id).Prepend(RunId.Default).ToList();
            for (var i = 0; i < ids.Count; i++)
            {
                var run = world.Db.Runs.Get(ids[i])!;
                var (bytes, written) = Write(world.Db, ids[i]);
                Assert.Equal(run.ContentHash(), written.ContentHash);
                var name = i % 2 == 0 || ids[i] == RunId.Default ? $"copy {i}" : null;
                var read = Read(copy.Db, bytes, name);
                Assert.Equal((ids[i], true), (read.Original, read.IsExact));
                Assert.Equal(name is null, read.Run == ids[i]);
                copy.NowAndAfterReopening(() => Same(run, copy.Db.Runs.Get(read.Run)!, name));
                Assert.Equal(written.ContentHash, Write(copy.Db, read.Run).Report.ContentHash);
            }
        }
    }

    private static void Same(Run run, Run there, string? name)
    {
        Assert.Equal(run.ContentHash(), there.ContentHash());
        Assert.Equal(run.Events.Head(), there.Events.Head());
        Assert.True(there.Events.Verify().IsValid);
        Assert.Equal(name ?? run.Info.Name, there.Info.Name);
        Assert.Equal((run.Status, run.Info.Completed), (there.Status, there.Info.Completed));
        Assert.Equal(run.Info.Created ?? there.Info.Created, there.Info.Created);            // `default` was never begun
        Assert.Equal(run.Traces.Count(), there.Traces.Count());
    }

    [Fact]
    public void A_fork_is_written_whole_and_a_recording_replays_from_its_copy()
    {
        using var test = new TestDatabase(Durability.Strict);
        Assert.Equal("seen", test.Run.Input(InputKind.Tool, "look", () => "seen").AsString());
        test.Kv.Put("own", 1);
        var fork = test.Db.Runs.Fork(test.Run.Id, name: "fork");
        fork.Kv.Put("more", 2);
        using var copy = new TestDatabase(Durability.Strict);
        copy.Clock.Microseconds = test.Clock.Microseconds;
        var there = copy.Db.Runs.Get(Read(copy.Db, Write(test.Db, fork.Id).Bytes, null).Run)!;
        Assert.Equal(fork.ContentHash(), there.ContentHash());
        Assert.Equal((1, 2), (there.Kv.Get("own")!.Value.AsInt64(), there.Kv.Get("more")!.Value.AsInt64()));
        using var replay = copy.Db.Runs.ReplayInputs(there.Id);
        Assert.Equal("seen", replay.Run.Input(InputKind.Tool, "look", () => throw new InvalidOperationException()).AsString());
    }

    // An export forgot who had written what, and where a fork had begun.
    [Fact]
    [Trait("Requirement", "RPL-7")]
    [Trait("Requirement", "RPL-12")]
    public void Who_and_what_caused_a_commit_and_where_a_fork_began_are_in_the_file_and_come_back()
    {
        using var test = new TestDatabase(Durability.Strict);
        var parent = test.Db.Runs.With(By("founder")).Begin("parent");
        var step = parent.With(By("planner")).Traces.Record(new ThoughtStep("why"));
        var all = new CommitAttributes
        {
            Actor = "planner", Tool = "crm.lookup", TraceStep = step, SourceKind = "model", Trust = 0.25,
            Entries = Value.Object(("ticket", 7), ("text", "é")),
        };
        parent.With(new CommitOptions { Attributes = all }).Kv.Put("inherited", 1);
        test.Db.Runs.Get("parent")!.Kv.Put("untold", 1);
        var fork = test.Db.Runs.With(By("forker")).Fork(parent.Id, name: "fork");
        parent.With(By("nobody")).Kv.Put("inherited", 2);
        fork.With(By("a")).State.Set("cell", 1);
        fork.With(By("b")).Events.Append("e", Value.Object());
        fork.With(By("a")).Events.Append("e", Value.Object());
        fork.With(new CommitOptions { Attributes = By("reader").Attributes, RecordReads = true }).Transact(tx =>
            tx.Kv.Put("read", tx.Kv.Get("inherited")!.Value));
        ItemAddress[] things =
        [
            ItemAddress.OfKey("inherited"), ItemAddress.OfKey("untold"), ItemAddress.OfKey("read"), ItemAddress.OfCell("cell"),
            ItemAddress.OfEvent(0), ItemAddress.OfEvent(1), ItemAddress.OfTrace(step),
        ];
        test.CheckpointAndForget();
        (parent, fork) = (test.Db.Runs.Get("parent")!, test.Db.Runs.Get("fork")!);
        var (bytes, written) = Write(test.Db, fork.Id);

        using var copy = new TestDatabase(Durability.Strict);
        copy.Clock.Microseconds = test.Clock.Microseconds;
        var there = copy.Db.Runs.Get(Read(copy.Db, bytes, "copy").Run)!;
        Assert.Equal(written.ContentHash, there.ContentHash());
        foreach (var thing in things)
        {
            var was = fork.Blame(thing)!.Attributes;
            Assert.Equal(was with { Reads = null }, there.Blame(thing)!.Attributes);
            Assert.Equal(thing == ItemAddress.OfKey("untold"), was == CommitAttributes.None);
        }

        // The fork reads through to nobody here; where it began is told by the commit that begins it.
        Assert.Null(there.Info.ForkSequence);
        Assert.Equal(parent.Id, there.Info.Parent);
        var begun = copy.Db.TransactionAt(there.Info.FirstSequence).Attributes;
        Assert.Equal(("forker", "import"), (begun.Actor, begun.SourceKind));
        var origin = begun.Entries["$import"];
        Assert.Equal(
            (fork.Id.ToString(), parent.Id.ToString(), (long)fork.Info.ForkSequence!.Value.Value, (long)written.Sequence.Value),
            (origin["run"].AsString(), origin["parent"].AsString(), origin["fork_sequence"].AsInt64(), origin["sequence"].AsInt64()));
        Assert.False(origin.TryGetMember("before", out _));

        // And once more: what the copy tells is in its file too.
        using var third = new TestDatabase(Durability.Buffered);
        third.Clock.Microseconds = test.Clock.Microseconds;
        var last = third.Db.Runs.Get(Read(third.Db, Write(copy.Db, there.Id).Bytes, null).Run)!;
        foreach (var thing in things)
            Assert.Equal(there.Blame(thing)!.Attributes, last.Blame(thing)!.Attributes);
        var again = third.Db.TransactionAt(last.Info.FirstSequence).Attributes.Entries["$import"];
        Assert.Equal((there.Id.ToString(), origin), (again["run"].AsString(), again["before"]));

        // Without a log there is nothing to tell, and nothing to keep it.
        using var memory = new TestDatabase(Durability.InMemory);
        memory.Clock.Microseconds = test.Clock.Microseconds;
        var inMemory = memory.Db.Runs.Get(Read(memory.Db, bytes, null).Run)!;
        Assert.Equal(written.ContentHash, inMemory.ContentHash());
        Assert.Equal(written.ContentHash, Write(memory.Db, inMemory.Id).Report.ContentHash);
    }

    private static CommitOptions By(string actor) => new() { Attributes = new CommitAttributes { Actor = actor } };

    [Fact]
    [Trait("Promise", "G6")]
    public void Damage_anywhere_and_every_cut_are_found_and_nothing_is_changed()
    {
        using var test = new TestDatabase(Durability.InMemory);
        test.Kv.Put("key", new string('v', 200));
        test.Run.Events.Append("note", Value.Object(("n", 1)));
        var right = Write(test.Db, test.Run.Id).Bytes;
        using var copy = new TestDatabase(Durability.InMemory);
        copy.Clock.Microseconds = test.Clock.Microseconds;
        for (var at = 0; at < right.Length; at++)
        {
            foreach (var bit in (int[])[0, 7])
            {
                var bytes = right.ToArray();
                bytes[at] ^= (byte)(1 << bit);
                Refused(bytes, at < 8 ? ErrorCode.InvalidArgument : ErrorCode.Corruption);
            }

            Refused(right[..at], at < 8 ? ErrorCode.InvalidArgument : ErrorCode.Corruption);
        }

        Refused([.. right, 0], ErrorCode.Corruption);
        Refused([], ErrorCode.InvalidArgument);
        Refused("PK\u0003\u0004 something else altogether"u8.ToArray(), ErrorCode.InvalidArgument);
        var newer = right.ToArray();
        newer[8] = 2;
        BinaryPrimitives.WriteUInt32LittleEndian(newer.AsSpan(60), Crc32C.Of(newer.AsSpan(0, 60)));
        Refused(newer, ErrorCode.FormatVersion);
        Assert.True(Read(copy.Db, right, "whole").IsExact);

        void Refused(byte[] bytes, ErrorCode code)
        {
            var refused = Assert.ThrowsAny<CairnException>(() => Read(copy.Db, bytes, "copy"));
            Assert.Equal(code, refused.Code);
            Assert.Equal(0ul, copy.Sequence);
        }
    }

    [Fact]
    public void Blocks_in_another_order_are_damage_though_each_is_whole()
    {
        using var test = new TestDatabase(Durability.InMemory);
        for (var i = 0; i < 40; i++)
            test.Kv.Put($"key {i:D2}", new string('v', 10_000));
        var right = Write(test.Db, test.Run.Id).Bytes;
        var block = RunFile.BlockHeadBytes + RunFile.BlockBytes;
        Assert.True(right.Length > RunFile.HeaderBytes + 2 * block);
        byte[] swapped =
        [
            .. right[..RunFile.HeaderBytes], .. right[(RunFile.HeaderBytes + block)..(RunFile.HeaderBytes + 2 * block)],
            .. right[RunFile.HeaderBytes..(RunFile.HeaderBytes + block)], .. right[(RunFile.HeaderBytes + 2 * block)..],
        ];
        var damage = Assert.Throws<CorruptionException>(() => Read(test.Db, swapped, "copy"));
        Assert.Equal(RunFile.HeaderBytes, damage.Offset);
    }

    [Fact]
    public void What_is_taken_is_refused_and_stays()
    {
        using var test = new TestDatabase(Durability.InMemory);
        var run = test.OtherRun();
        run.Kv.Put("a", 1);
        var bytes = Write(test.Db, run.Id).Bytes;
        Check(ErrorCode.AlreadyExists, bytes, null);
        Check(ErrorCode.AlreadyExists, bytes, run.Info.Name);
        Check(ErrorCode.InvalidName, bytes, "a/b");
        Check(ErrorCode.InvalidArgument, Write(test.Db, RunId.Default).Bytes, null);
        Assert.Equal(
            ErrorCode.NotFound, Assert.Throws<CairnException>(() => Write(test.Db, new RunId(new UInt128(1, 1)))).Code);
        Assert.Equal(ErrorCode.InvalidArgument, Assert.Throws<CairnException>(() => Write(test.Db, RunId.System)).Code);
        using var pipe = new OneWay(bytes);
        Assert.Throws<ArgumentException>(() => test.Db.ImportRun(pipe));

        test.Db.Runs.Delete(run.Id);
        Assert.Equal(run.Id, Read(test.Db, bytes, null).Run);

        void Check(ErrorCode code, byte[] file, string? name)
        {
            var sequence = test.Sequence;
            Assert.Equal(code, Assert.ThrowsAny<CairnException>(() => Read(test.Db, file, name)).Code);
            Assert.Equal(sequence, test.Sequence);
        }
    }

    [Fact]
    [Trait("Requirement", "LIM-3")]
    public void A_limit_of_this_database_takes_the_run_back()
    {
        using var test = new TestDatabase(Durability.InMemory);
        var run = test.OtherRun();
        for (var i = 0; i < 600; i++)
            run.Kv.Put($"key {i:D3}", i);
        run.Kv.Put("long", new string('v', 5_000));
        var bytes = Write(test.Db, run.Id).Bytes;
        using var copy = new TestDatabase(
            Durability.Strict, options => options with { Limits = options.Limits with { ValueBytesMax = 1_000 } });
        copy.Clock.Microseconds = test.Clock.Microseconds;
        Assert.Equal(ErrorCode.LimitExceeded, Assert.ThrowsAny<CairnException>(() => Read(copy.Db, bytes, null)).Code);
        copy.NowAndAfterReopening(() => Assert.Equal(0, copy.Db.Runs.Count()));
    }

    [Fact]
    public void A_cancelled_export_is_no_file_and_a_cancelled_import_takes_the_run_back()
    {
        using var test = new TestDatabase(Durability.InMemory);
        for (var i = 0; i < 10; i++)
            test.Kv.Put($"key {i}", new byte[400_000]);
        using var cancellation = new CancellationTokenSource();
        using var target = new MemoryStream();
        Assert.Throws<OperationCanceledException>(
            () => test.Db.ExportRun(test.Run.Id, target, new CancelAt(cancellation, "lines"), cancellation.Token));
        Assert.Throws<CorruptionException>(() => Read(test.Db, target.ToArray(), "copy"));

        var bytes = Write(test.Db, test.Run.Id).Bytes;
        foreach (var step in (string[])["checking", "lines"])
        {
            using var again = new CancellationTokenSource();
            using var source = new MemoryStream(bytes);
            Assert.Throws<OperationCanceledException>(() => test.Db.ImportRun(
                source, new RunImportOptions { Name = "copy", Progress = new CancelAt(again, step) }, again.Token));
            Assert.False(test.Db.Runs.Exists("copy"));
        }
    }

    [Fact]
    [Trait("Kind", "Random")]
    [Trait("Promise", "G1")]
    public void An_import_that_loses_power_leaves_an_orphan_or_nothing_and_is_done_again_behind_its_deletion()
    {
        var seed = Seeds.Begin(nameof(An_import_that_loses_power_leaves_an_orphan_or_nothing_and_is_done_again_behind_its_deletion));
        using var test = new TestDatabase(Durability.InMemory);
        var run = test.OtherRun();
        for (var i = 0; i < 900; i++)
            run.Events.Append("note", Value.Object(("n", i)));
        run.Complete();
        var bytes = Write(test.Db, run.Id).Bytes;
        var random = new Random((int)seed);
        for (var round = 0; round < Seeds.Scaled(10); round++)
        {
            var storage = new CrashStorage();
            using var copy = new TestDatabase(Durability.Strict, storage: storage);
            copy.Clock.Microseconds = test.Clock.Microseconds;
            storage.PowerFailsAt = storage.Operations + 1 + random.Next(30);
            try
            {
                Read(copy.Db, bytes, null);
            }
            catch (Exception failure) when (failure is PowerLossException or CairnException && storage.PowerLost)
            {
            }

            copy.MoveTo(storage.Crash((ulong)random.NextInt64()));
            if (copy.Db.Runs.Get(run.Id) is { } left && left.Status != RunStatus.Completed)
            {
                Assert.Contains(run.Id, copy.Db.Runs.Orphaned().Select(info => info.Id));
                Assert.True(left.Events.Verify().IsValid);
                copy.Db.Runs.Delete(run.Id);
            }

            if (!copy.Db.Runs.Exists(run.Id))
                Assert.True(Read(copy.Db, bytes, null).IsExact);
            Assert.Equal(run.ContentHash(), copy.Db.Runs.Get(run.Id)!.ContentHash());
        }
    }

    // ---- golden bytes -----------------------------------------------------------------------------------------------------------

    [Fact(Explicit = true)]
    public void Write_the_fixture()
    {
        var target = Repository.Full(Fixture);
        Assert.False(File.Exists(target), "The fixture exists. It is never written again: a new format gets a file of its own.");
        Directory.CreateDirectory(Path.GetDirectoryName(target)!);
        File.WriteAllBytes(target, Golden());
    }

    [Fact]
    [Trait("Promise", "G11")]
    [Trait("Test", "C13")]
    public void A_file_of_version_1_0_is_what_is_written_today_and_is_read_with_its_content()
    {
        var kept = File.ReadAllBytes(Repository.Full(Fixture));
        Assert.True(kept.AsSpan().SequenceEqual(Golden()), "the bytes of a run file are not those of version 1.0");
        using var copy = new TestDatabase(Durability.InMemory);
        copy.Clock.Microseconds = new SteppingClock().GetUtcNow().AddYears(1).ToUnixTimeMilliseconds() * 1000;
        var read = Read(copy.Db, kept, "golden");
        Assert.True(read.IsExact);
        Assert.Equal("Ada", copy.Db.Runs.Get("golden")!.Kv.Get("customer")!.Value.AsString());
    }

    private static byte[] Golden()
    {
        using var db = CairnDatabase.OpenInMemory(
            new CairnOptions { RandomSeed = 11, TimeProvider = new SteppingClock() }, EngineHooks.None with { IsMaintenanceManual = true });
        var run = db.Runs.Begin("refund-4711", tags: ["refund"], metadata: Value.Object(("priority", 2)));
        run.Kv.Put("customer", "Ada");
        run.Kv.Put("score", 0.5);
        run.State.Set("budget", 100);
        run.State.Set("gone", 1);
        run.State.Delete("gone");
        var first = run.Events.Append("tool_call", Value.Object(("tool", "crm.lookup")));
        run.Events.Append("tool_result", Value.Object(("bytes", Value.Bytes([0, 1, 2]))), [first.Number]);
        run.Traces.Record(new ThoughtStep("store credit is enough"), new TraceOptions { Tags = ["plan"] });
        run.Complete("refunded");
        return Write(db, run.Id).Bytes;
    }

    // ---- tools ------------------------------------------------------------------------------------------------------------------

    private static (byte[] Bytes, RunExportReport Report) Write(CairnDatabase db, RunId run)
    {
        using var target = new MemoryStream();
        var report = db.ExportRun(run, target);
        Assert.Equal(target.Length, report.Bytes);
        return (target.ToArray(), report);
    }

    private static RunImportReport Read(CairnDatabase db, byte[] bytes, string? name)
    {
        using var source = new MemoryStream(bytes);
        return db.ImportRun(source, new RunImportOptions { Name = name });
    }

    private sealed class CancelAt(CancellationTokenSource source, string step) : IProgress<TransferProgress>
    {
        public void Report(TransferProgress value)
        {
            if (value.Step == step)
                source.Cancel();
        }
    }

    /// <summary>Cannot seek.</summary>
    private sealed class OneWay(byte[] bytes) : MemoryStream(bytes)
    {
        public override bool CanSeek => false;
    }
}
