#pragma warning disable xUnit1051 // what is carried here is small; cancelling has a test of its own
using System.Text;
using Cairn.Storage;
using Cairn.Tests.Transactions;
using Xunit;

namespace Cairn.Tests.Transfer;

/// <summary>OPS-6: what was exported and imported is the same, but for versions and the times of commits.</summary>
[Trait("Requirement", "OPS-6")]
public sealed class ExportTests
{
    [Theory]
    [InlineData(Durability.InMemory)]
    [InlineData(Durability.Strict)]
    [Trait("Kind", "Random")]
    [Trait("Gate", "Merge")]
    public void An_import_gives_back_what_was_exported(Durability mode)
    {
        var seed = Seeds.Begin(nameof(An_import_gives_back_what_was_exported));
        for (var round = 0; round < Seeds.Scaled(6); round++)
        {
            using var world = new TransferWorld(Durability.Strict, seed + (ulong)round);
            world.Run(400);
            var lines = Export(world.Db);
            using var copy = new TestDatabase(mode);
            copy.Clock.Microseconds = TimeOf(lines);
            var report = Import(copy.Db, lines);
            Assert.Equal(lines.Length, report.Lines);
            copy.NowAndAfterReopening(() => Same(lines, Export(copy.Db), $"seed {seed + (ulong)round}"));
            Assert.Empty(mode == Durability.InMemory ? [] : copy.Db.VerifyDeep().Findings);
            if (mode != Durability.InMemory)
                copy.CheckpointAndForget();
            Assert.Equal(0, Import(copy.Db, lines).Written);
            Same(lines, Export(copy.Db), $"seed {seed + (ulong)round}, from tables");

            // What the copy holds can be salvaged and backed up like anything else.
            if (mode == Durability.InMemory)
                continue;
            var salvaged = new MemoryStorage();
            copy.Db.Dispose();
            Assert.True(CairnDatabase.SalvageTo(copy.Storage, () => salvaged).IsComplete);
            copy.Reopen();
            using var other = CairnDatabase.Open(
                salvaged, copy.Db.Options with { Durability = Durability.Buffered }, new EngineHooks { IsMaintenanceManual = true });
            Assert.Equal(copy.Db.StateHash(), other.StateHash());
        }
    }

    // Their lines were missing: the counter of a cell that came back began again, and an old token fitted.
    [Fact]
    [Trait("Requirement", "ST-3")]
    public void Counters_of_deleted_cells_go_on_behind_an_import()
    {
        using var test = new TestDatabase(Durability.Strict);
        test.Run.State.Set("gone", 1);
        test.Run.State.Set("gone", 2);
        test.Run.State.Delete("gone");
        test.CheckpointAndForget();
        var lines = Export(test.Db);
        Assert.Single(lines, line => line.Contains("\"deleted\":true", StringComparison.Ordinal));
        using var copy = new TestDatabase(Durability.Strict);
        copy.Clock.Microseconds = TimeOf(lines);
        Import(copy.Db, lines);
        Same(lines, Export(copy.Db), "a deleted cell");
        test.Run.State.Set("gone", 3);
        copy.Db.Default.State.Set("gone", 3);
        Assert.Equal(test.Run.State.Get("gone")!.Value.Counter, copy.Db.Default.State.Get("gone")!.Value.Counter);
    }

    [Fact]
    [Trait("Kind", "Random")]
    [Trait("Promise", "G1")]
    public void An_import_that_loses_power_anywhere_is_done_again_to_the_same_end()
    {
        var seed = Seeds.Begin(nameof(An_import_that_loses_power_anywhere_is_done_again_to_the_same_end));
        using var world = new TransferWorld(Durability.Strict, seed);
        world.Run(150);
        var lines = Export(world.Db);
        var random = new Random((int)seed);
        for (var round = 0; round < Seeds.Scaled(10); round++)
        {
            var storage = new CrashStorage();
            var copy = new TestDatabase(Durability.Strict, storage: storage);
            copy.Clock.Microseconds = TimeOf(lines);
            for (var life = 0; life < 3; life++)
            {
                storage.PowerFailsAt = storage.Operations + 1 + random.Next(120);
                try
                {
                    Import(copy.Db, lines);
                }
                catch (Exception failure) when (failure is PowerLossException or CairnException && storage.PowerLost)
                {
                }

                storage = storage.Crash((ulong)random.NextInt64());
                copy.MoveTo(storage);
            }

            Import(copy.Db, lines);
            Same(lines, Export(copy.Db), $"seed {seed}, round {round}");
            copy.Dispose();
        }
    }

    // Once the tags of `default` came in one commit and its metadata in the next; a power cut between them left a record that was
    // refused as another one.
    [Fact]
    public void The_record_of_the_default_run_comes_in_one_commit()
    {
        using var test = new TestDatabase(Durability.InMemory);
        test.Run.AddTags(["red", "blue"]);
        test.Run.UpdateMetadata(Value.Object(("n", 1)));
        var lines = Export(test.Db);
        using var copy = new TestDatabase(Durability.Strict);
        copy.Clock.Microseconds = TimeOf(lines);
        Import(copy.Db, lines);
        Assert.Equal(1ul, copy.Sequence);
        copy.NowAndAfterReopening(() => Same(lines, Export(copy.Db), "default"));
    }

    [Fact]
    public void Events_keep_their_hashes_and_the_chain_goes_on_behind_them()
    {
        using var test = new TestDatabase(Durability.Strict);
        var run = test.Db.Runs.Begin("worker");
        run.Events.Append("note", Value.Object(("n", 0)));
        test.Clock.Microseconds += 5_000_000;
        var second = run.Events.Append("note", Value.Object(("secret", "x")), [0]);
        run.Events.Redact(second.Number, "asked for");
        var lines = Export(test.Db);
        Assert.DoesNotContain(lines, line => line.Contains("secret", StringComparison.Ordinal));

        using var copy = new TestDatabase(Durability.Strict);
        copy.Clock.Microseconds = test.Clock.Microseconds + 60_000_000;
        Import(copy.Db, lines);
        var there = copy.Db.Runs.Get("worker")!;
        Assert.Equal(run.Events.Head(), there.Events.Head());
        Assert.Equal(run.Events.Get(0)!.Time, there.Events.Get(0)!.Time);
        Assert.Equal(run.Info.Created, there.Info.Created);
        Assert.Equal(run.Events.StreamInfo("note"), there.Events.StreamInfo("note"));
        there.Events.Append("note", Value.Object(("n", 2)));
        there.Events.Redact(0, "asked for");
        copy.NowAndAfterReopening(() =>
        {
            var again = copy.Db.Runs.Get("worker")!.Events;
            Assert.True(again.Verify().IsValid);
            Assert.Equal(run.Events.Get(0)!.Time, again.Get(0)!.Time);
            Assert.Equal(run.Events.Get(1)!.Hash, again.Get(1)!.Hash);
        });
    }

    [Theory]
    [InlineData("changed payload", "does not have the hash")]
    [InlineData("gap", "cannot follow")]
    [InlineData("other value", "another one")]
    [InlineData("no end", "ends before its last line")]
    [InlineData("too few", "lines")]
    [InlineData("not json", "Line 3")]
    [InlineData("long key", "KeyBytesMax")]
    [InlineData("bad kind", "no line of kind")]
    [InlineData("head twice", "begins with its head")]
    [InlineData("system", "$sys")]
    [InlineData("twice", "earlier line")]
    public void A_line_that_cannot_be_imported_is_named(string what, string words)
    {
        using var test = new TestDatabase(Durability.InMemory);
        test.Kv.Put("a", 1);
        test.Run.Events.Append("note", Value.Object(("n", 0)));
        test.Run.Events.Append("note", Value.Object(("n", 1)));
        var lines = Export(test.Db);
        using var copy = new TestDatabase(Durability.InMemory);
        copy.Clock.Microseconds = test.Clock.Microseconds;
        Action<Func<string, bool>, Func<string, string?>> change = (which, to) =>
            lines = [.. lines.Select(line => which(line) ? to(line) : line).OfType<string>()];
        Func<string, bool> isKv = line => line.Contains("\"kv\"", StringComparison.Ordinal);
        switch (what)
        {
            case "changed payload":
                change(line => true, line => line.Replace("{\"n\":1}", "{\"n\":7}", StringComparison.Ordinal));
                break;
            case "gap":
                change(line => line.Contains("{\"n\":0}", StringComparison.Ordinal), _ => null);
                break;
            case "other value":
                copy.Kv.Put("a", 2);
                break;
            case "no end":
                lines = lines[..^1];
                break;
            case "too few":
                lines = [.. lines[..2], .. lines[3..]];
                break;
            case "not json":
                lines[2] = "{\"line\":";
                break;
            case "long key":
                change(isKv, line => line.Replace("\"a\"", $"\"{new string('a', 1_025)}\"", StringComparison.Ordinal));
                break;
            case "bad kind":
                change(isKv, line => line.Replace("\"kv\"", "\"nothing\"", StringComparison.Ordinal));
                break;
            case "head twice":
                lines = [lines[0], .. lines];
                break;
            case "system":
                lines[1] = lines[1].Replace(RunId.Default.ToString(), RunId.System.ToString(), StringComparison.Ordinal);
                break;
            default:
                lines = [.. lines[..3], lines[2], .. lines[3..]];
                break;
        }

        var refused = Assert.Throws<CairnException>(() => Import(copy.Db, lines));
        Assert.StartsWith("Line ", refused.Message, StringComparison.Ordinal);
        Assert.Contains(words, refused.Message, StringComparison.Ordinal);
        Assert.False(copy.Db.Engine.State.HasFailed);
    }

    [Fact]
    public void Some_runs_are_exported_alone_and_an_unknown_one_is_refused()
    {
        using var test = new TestDatabase(Durability.InMemory);
        test.Kv.Put("mine", 1);
        test.OtherRun().Kv.Put("other", 1);
        var lines = Export(test.Db, new ExportOptions { Runs = [test.OtherRun().Id] });
        Assert.DoesNotContain(lines, line => line.Contains("mine", StringComparison.Ordinal));
        Assert.Contains(lines, line => line.Contains("other", StringComparison.Ordinal));
        var unknown = Assert.Throws<CairnException>(() => Export(test.Db, new ExportOptions { Runs = [new RunId(new UInt128(1, 1))] }));
        Assert.Equal(ErrorCode.NotFound, unknown.Code);
    }

    [Fact]
    public void Traces_become_rows_of_csv_with_quotes_where_they_are_needed()
    {
        using var test = new TestDatabase(Durability.InMemory);
        var root = test.Run.Traces.Record(
            new ThoughtStep("say \"hello\",\r\nthen go"), new TraceOptions { Tags = ["red", "blue"], Tokens = new TraceTokens(3, 4) });
        test.Run.Traces.Record(new ErrorStep("io", "broken", true), new TraceOptions { Parent = root, Model = "m" });
        using var target = new MemoryStream();
        test.Db.ExportTraces(target);
        var rows = Encoding.UTF8.GetString(target.ToArray()).Split("\r\n");
        Assert.Equal(Exporter.TraceColumns, rows[0]);
        Assert.EndsWith(
            ",Thought,2026-01-01T00:00:00.000000Z,,,3,4,red;blue,,false,\"{\"\"content\"\":\"\"say \\\"\"hello\\\"\",\\r\\nthen go\"\"}\",",
            rows[1].Replace(test.Run.Traces.Get(root)!.Timestamp.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss.ffffff'Z'"),
                "2026-01-01T00:00:00.000000Z", StringComparison.Ordinal),
            StringComparison.Ordinal);
        Assert.Contains($"{root},Error,", rows[2], StringComparison.Ordinal);
        Assert.Equal("", rows[3]);
    }

    [Fact]
    public void A_cancelled_export_has_no_last_line()
    {
        using var test = new TestDatabase(Durability.InMemory);
        for (var i = 0; i < 10; i++)
            test.Kv.Put($"key {i}", new byte[400_000]);
        using var cancellation = new CancellationTokenSource();
        using var target = new MemoryStream();
        var options = new ExportOptions { Progress = new Cancel(cancellation) };
        Assert.Throws<OperationCanceledException>(() => test.Db.Export(target, options, cancellation.Token));
        using var copy = new TestDatabase(Durability.InMemory);
        target.Position = 0;
        Assert.Contains("last line", Assert.Throws<CairnException>(() => copy.Db.Import(target)).Message, StringComparison.Ordinal);
    }

    // ---- tools ----------------------------------------------------------------------------------------------------------------

    internal static string[] Export(CairnDatabase db, ExportOptions? options = null)
    {
        using var target = new MemoryStream();
        var report = db.Export(target, options);
        Assert.Equal(target.Length, report.Bytes);
        var lines = Encoding.UTF8.GetString(target.ToArray()).Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(report.Lines, lines.Length);
        return lines;
    }

    internal static ImportReport Import(CairnDatabase db, string[] lines)
    {
        using var source = new MemoryStream(Encoding.UTF8.GetBytes(string.Join('\n', lines) + "\n"));
        return db.Import(source);
    }

    // Nothing that was alive has expired since.
    private static long TimeOf(string[] lines) => Value.FromJson(lines[0])["time_us"].AsInt64();

    /// <summary>But for what the import itself gave, versions and the times of commits, and for what records tell.</summary>
    internal static void Same(string[] expected, string[] actual, string where)
    {
        var missing = expected.Select(Timeless).Except(actual.Select(Timeless));
        Assert.True(
            expected.Length == actual.Length,
            $"{where}: {expected.Length} lines and {actual.Length}; missing:\n{string.Join('\n', missing)}");
        for (var i = 0; i < expected.Length; i++)
            Assert.True(Timeless(expected[i]) == Timeless(actual[i]), $"{where}, line {i + 1}:\n{expected[i]}\n{actual[i]}");
    }

    private static string Timeless(string line)
    {
        var value = Value.FromJson(line);
        var kind = value["line"].AsString();
        return Value.Object(value.AsObject().Where(member =>
            kind != "head" && member.Key is not ("version" or "cause" or "fork_sequence")
            && (member.Key != "time_us" || kind == "event"))).ToJson();
    }

    [Fact]
    [Trait("Requirement", "RPL-7")]
    public void Causes_are_in_the_lines_and_what_is_no_cause_is_refused_with_its_line()
    {
        using var test = new TestDatabase(Durability.Strict);
        for (var i = 0; i < 10; i++)
            test.Run.With(new CommitAttributes { Actor = i % 3 == 0 ? "ada" : "eve" }).Kv.Put($"k{i}", i);
        var lines = Export(test.Db);
        using var copy = new TestDatabase(Durability.Strict);
        copy.Clock.Microseconds = TimeOf(lines);
        Import(copy.Db, lines);
        for (var i = 0; i < 10; i++)
            Assert.Equal(i % 3 == 0 ? "ada" : "eve", copy.Db.Default.Blame(ItemAddress.OfKey($"k{i}"))!.Attributes.Actor);
        Assert.Equal(0, Import(copy.Db, lines).Written);
        Assert.Equal(lines[2..^1].Select(Timed), Export(copy.Db)[2..^1].Select(Timed));
        foreach (var (wrong, code) in ((string, ErrorCode)[])
        [
            ("7", ErrorCode.InvalidArgument), ("{\"actor\":7}", ErrorCode.InvalidArgument),
            ("{\"step\":\"x\"}", ErrorCode.InvalidArgument),
            ("{\"actor\":\"\"}", ErrorCode.InvalidName), ("{\"trust\":2.0}", ErrorCode.ConstraintViolation),
        ])
        {
            using var other = new TestDatabase(Durability.Strict);
            other.Clock.Microseconds = TimeOf(lines);
            string[] changed = [.. lines.Select(line => line.Replace("{\"actor\":\"ada\"}", wrong, StringComparison.Ordinal))];
            var refused = Assert.Throws<CairnException>(() => Import(other.Db, changed));
            Assert.Equal(code, refused.Code);
            Assert.StartsWith("Line 3:", refused.Message, StringComparison.Ordinal);
        }
    }

    private static string Timed(string line) => Value.Object(Value.FromJson(line).AsObject().Where(
        member => member.Key is not ("version" or "time_us"))).ToJson();

    private sealed class Cancel(CancellationTokenSource source) : IProgress<TransferProgress>
    {
        public void Report(TransferProgress value) => source.Cancel();
    }
}
