#pragma warning disable xUnit1051 // what is carried here is small; cancelling has a test of its own
using System.Text.RegularExpressions;
using Cairn.Log;
using Cairn.Storage;
using Cairn.Tests.Transactions;
using Xunit;

namespace Cairn.Tests.Transfer;

/// <summary>RCV-9 where retention has dropped the log's beginning: what tables, archives and the log behind them hold comes back, each
/// kind of damage costs what it hit, and is told.</summary>
[Trait("Requirement", "RCV-9")]
public sealed partial class SalvageTablesTests
{
    [Fact]
    [Trait("Requirement", "CNT-3")]
    public void What_tables_archives_and_the_log_behind_them_hold_comes_back()
    {
        using var test = Compacted();
        var lines = Lines(test.Db);
        test.Db.Dispose();
        var (target, report) = Salvage(test.Storage);
        Assert.True(report.IsComplete, Told(report));
        Assert.Empty(report.Losses);
        Assert.True(report.Checkpoint > Sequence.None && report.Entries > 0 && report.Transactions > 0);
        Same(lines, target);

        // A deleted cell goes on where it was, in the run and in the salvaged one: its counter never fits a later life (ST-3).
        using var db = Open(target);
        Assert.Equal(4ul, db.Default.State.Set("gone", 1).Counter.Value);
    }

    [Theory]
    [InlineData("missing")]
    [InlineData("damaged")]
    public void Without_a_manifest_the_files_say_what_they_are(string how)
    {
        using var test = Compacted();
        var lines = Lines(test.Db);
        test.Db.Dispose();
        foreach (var name in test.Storage.List("").Where(name => LogNames.TryParseManifest(name, out _)))
        {
            if (how == "missing")
            {
                test.Storage.Unlink(name);
                continue;
            }

            Flip(test.Storage, name, 40);
            Flip(test.Storage, name, 4_096 + 40);
        }

        var (target, report) = Salvage(test.Storage);
        Assert.True(report.IsComplete, Told(report));
        Assert.NotEmpty(report.Losses);
        Same(lines, target);
    }

    // T3: the log behind the older checkpoint is there, so the newest table is not needed.
    [Theory]
    [InlineData(0)]
    [InlineData(200)]
    public void A_damaged_newest_table_costs_nothing(long offset)
    {
        using var test = Compacted();
        var lines = Lines(test.Db);
        test.Db.Dispose();
        var path = Tables(test)[^1];
        Flip(test.Storage, path, offset);
        var (target, report) = Salvage(test.Storage);
        Assert.True(report.IsComplete, Told(report));
        Assert.True(Assert.Single(report.Losses, loss => loss.File == path).IsMadeGood);
        Same(lines, target);
    }

    [Fact]
    public void A_damaged_block_of_a_table_costs_its_own_keys_and_the_place_is_told()
    {
        using var test = Compacted();
        var lines = Lines(test.Db);
        test.Db.Dispose();
        var path = Tables(test)[0];
        Flip(test.Storage, path, 60_000);
        var (target, report) = Salvage(test.Storage);
        Assert.False(report.IsComplete);
        var loss = Assert.Single(report.Losses, loss => loss.File == path);
        Assert.False(loss.IsMadeGood);
        Assert.InRange(60_000, loss.Offset, loss.Offset + loss.Bytes);
        Assert.Contains("between", loss.Reason, StringComparison.Ordinal);
        using var db = Open(target);
        var salvaged = Lines(db);
        Assert.InRange(salvaged.Length, lines.Length / 2, lines.Length - 1);
        Assert.DoesNotContain(salvaged.Except(lines), IsValue);
        Assert.Empty(db.VerifyDeep().Findings);
    }

    [Fact]
    public void A_damaged_footer_or_index_costs_nothing()
    {
        using var test = Compacted();
        var lines = Lines(test.Db);
        test.Db.Dispose();
        foreach (var path in Tables(test))
        {
            Flip(test.Storage, path, Length(test.Storage, path) - 20);       // the footer
            Flip(test.Storage, path, Length(test.Storage, path) - 140);      // the root or the contents' index, which stand before it
        }

        var (target, report) = Salvage(test.Storage);
        Assert.True(report.IsComplete, Told(report));
        Assert.NotEmpty(report.Losses);
        Same(lines, target);
    }

    [Fact]
    [Trait("Requirement", "CNT-3")]
    public void A_damaged_archive_costs_the_values_that_it_held_and_their_keys_are_told()
    {
        using var test = Compacted();
        var lines = Lines(test.Db);
        test.Db.Dispose();
        var path = Archives(test)[0];
        for (var offset = 5_000; offset < Length(test.Storage, path) / 2; offset += 16 << 10)
            Flip(test.Storage, path, offset);
        var (target, report) = Salvage(test.Storage);
        Assert.False(report.IsComplete);
        Assert.Contains(report.Losses, loss => loss.File == path);
        var lost = report.RunLosses.Where(loss => loss.Text.Contains("content of kv 'large", StringComparison.Ordinal)).ToList();
        Assert.NotEmpty(lost);
        using var db = Open(target);
        var salvaged = Lines(db);
        Assert.Equal(
            report.RunLosses.Count(loss => loss.Text.Contains("content of kv", StringComparison.Ordinal)),
            lines.Except(salvaged).Count(IsValue));
        Assert.DoesNotContain(salvaged.Except(lines), IsValue);
        Assert.Empty(db.VerifyDeep().Findings);
    }

    [Fact]
    public void A_damaged_record_behind_the_mark_costs_itself()
    {
        using var test = Compacted();
        var record = test.Db.ReadLog().Last(record => record.Time is not null && record.Sequence.Value == test.Sequence - 3);
        var segments = test.Storage.List(LogNames.LogDirectory).Where(name => LogNames.TryParseSegment(name, out _)).ToList();
        test.Db.Dispose();
        foreach (var name in segments)
        {
            using var file = test.Storage.Open(LogNames.LogDirectory + "/" + name, writable: false);
            var bytes = new byte[SegmentHeader.Size];
            file.ReadAt(bytes, 0);
            Assert.True(SegmentHeader.TryRead(bytes, out var header));
            var offset = SegmentHeader.Size + (long)((ulong)record.Position - header.BasePosition);
            if ((ulong)record.Position < header.BasePosition || offset >= file.Length)
                continue;
            file.Dispose();
            Flip(test.Storage, LogNames.LogDirectory + "/" + name, offset + 50);
            break;
        }

        var (_, report) = Salvage(test.Storage);
        var loss = Assert.Single(report.Losses);
        Assert.Equal((record.Sequence, record.Sequence), (loss.FirstSequence, loss.LastSequence));
    }

    // The oracle of the whole: any byte of any file may change; what comes back is what was there, and what does not is told.
    [Fact]
    [Trait("Kind", "Random")]
    [Trait("Gate", "Merge")]
    [Trait("Test", "C6")]
    public void Whatever_byte_is_damaged_the_rest_comes_back_and_the_loss_is_told()
    {
        var seed = Seeds.Begin("salvage over tables, any byte");
        var random = new Random((int)seed);
        var documents = new HashSet<string>(StringComparer.Ordinal);
        using var test = Compacted(documents);
        var lines = Lines(test.Db);
        test.Db.Dispose();
        foreach (var path in Files(test))
        {
            for (var i = 0; i < Seeds.Scaled(2); i++)
            {
                var offset = random.NextInt64(Length(test.Storage, path));
                Flip(test.Storage, path, offset);
                var (target, report) = Salvage(test.Storage);
                Flip(test.Storage, path, offset);
                using var db = Open(target);
                var salvaged = Lines(db);
                Assert.True(
                    !report.IsComplete || salvaged.SequenceEqual(lines, StringComparer.Ordinal),
                    $"seed {seed}: {path} at {offset}: something is missing and no loss is told\n{Told(report)}");

                // Whatever is lost, a document that comes back is one that was: never parts of two.
                foreach (var run in db.Runs.List(new RunFilter { Limit = 100 }).Select(info => db.Runs.Get(info.Id)!).Append(db.Default))
                {
                    foreach (var document in run.Json.Scan())
                    {
                        Assert.True(
                            documents.Contains(Told(run, document.Key)),
                            $"seed {seed}: {path} at {offset}: {Told(run, document.Key)} never was\n{Told(report)}");
                    }
                }
            }
        }
    }

    [Fact]
    [Trait("Kind", "Random")]
    [Trait("Promise", "G1")]
    public void A_salvage_that_loses_power_anywhere_leaves_nothing_that_opens_as_whole()
    {
        var seed = Seeds.Begin(nameof(A_salvage_that_loses_power_anywhere_leaves_nothing_that_opens_as_whole));
        var random = new Random((int)seed);
        using var test = Compacted();
        var lines = Lines(test.Db);
        test.Db.Dispose();
        var whole = new CrashStorage();
        CairnDatabase.SalvageTo(test.Storage, () => whole);
        var refused = 0;
        for (var round = 0; round < Seeds.Scaled(12); round++)
        {
            // The last operations are the interesting ones: half of the cuts fall there.
            var target = new CrashStorage();
            target.PowerFailsAt = round % 2 == 0 ? 1 + random.NextInt64(whole.Operations) : whole.Operations - random.Next(12);
            try
            {
                CairnDatabase.SalvageTo(test.Storage, () => target);
            }
            catch (Exception failure) when (failure is PowerLossException or CairnException && target.PowerLost)
            {
            }

            var left = target.Crash((ulong)random.NextInt64());
            try
            {
                Same(lines, left);
            }
            catch (CairnException unfinished) when (unfinished.Code == ErrorCode.NotADatabase)
            {
                refused++;
                Assert.Equal(
                    ErrorCode.NotADatabase, Assert.Throws<CairnException>(() => Salvage(left)).Code);
            }
        }

        Assert.InRange(refused, 1, int.MaxValue);
    }

    // ---- tools ----------------------------------------------------------------------------------------------------------------

    /// <summary>All primitives in many runs, under a policy that lets the log go: tables, archives, and a log that begins late.</summary>
    /// <param name="documents">Gets each state of each document.</param>
    private static TestDatabase Compacted(HashSet<string>? documents = null)
    {
        var test = new TestDatabase(Durability.Strict, options => options with
        {
            SegmentBytesMin = 16 << 10,
            SegmentBytesMax = 16 << 10,
            ContentThreshold = 256,
            CompactionGarbageMin = 16 << 10,
            CheckpointOnClose = false,
            Retention = Retention.KeepLast(1),
        });
        test.Run.State.Set("gone", 1);
        test.Run.State.Set("gone", 2);
        test.Run.State.Delete("gone");
        var random = new Random(7);
        for (var round = 0; round < 4; round++)
        {
            for (var i = 0; i < 120; i++)
            {
                test.Clock.Advance(TimeSpan.FromSeconds(1));
                Write(test, random, round, i, documents);
            }

            test.Db.Sync();
            test.Checkpoint();
            test.Db.Compact();
        }

        for (var i = 0; i < 20; i++)
            Write(test, random, 4, i, documents);
        test.Db.Sync();
        Assert.True(test.Db.Metrics.Archives > 0);
        Assert.NotEmpty(Archives(test));
        var first = test.Storage.List(LogNames.LogDirectory).First(name => LogNames.TryParseSegment(name, out _));
        using (var file = test.Storage.Open(LogNames.LogDirectory + "/" + first, writable: false))
        {
            var bytes = new byte[SegmentHeader.Size];
            file.ReadAt(bytes, 0);
            Assert.True(SegmentHeader.TryRead(bytes, out var header) && header.BasePosition > 0);
        }

        return test;
    }

    private static void Write(TestDatabase test, Random random, int round, int i, HashSet<string>? documents)
    {
        var name = $"run {random.Next(20)}";
        if (test.Db.Runs.Get(name) is not { } run)
        {
            run = test.Db.Runs.Begin(name, tags: [$"tag {i % 3}"], metadata: Value.Object(("n", i)));
            run.Retention.Apply(i % 4 == 0 ? Retention.KeepFor(TimeSpan.FromDays(400)) : null);
        }

        if (run.Info.Status != RunStatus.Active)
            run = test.Run;
        run.Kv.Put($"key {random.Next(40)}", $"{round}.{i} {new string('x', random.Next(150))}");
        test.Kv.Put($"large {(round == 0 ? i : random.Next(20))}", new byte[random.Next(300, 900)]);
        if (i % 5 == 0)
            run.Kv.Put($"short {i}", i, TimeSpan.FromMinutes(random.Next(1, 30)));
        if (i % 7 == 0)
            run.Kv.Delete($"key {random.Next(40)}");
        run.State.Set($"cell {random.Next(6)}", i);
        if (i % 9 == 0)
            run.State.Delete($"cell {random.Next(6)}");
        var last = run.Events.Append("note", Value.Object(("n", i), ("text", new string('y', random.Next(500)))));
        if (i % 6 == 0)
            run.Events.Append("effect", Value.Object(("of", i)), [last.Number]);
        if (i % 8 == 0)
            run.Events.Redact(last.Number, "asked for");
        if (i % 10 == 0)
            run.Events.Consumers.Commit("reader", last.Number);
        if (i % 4 == 0)
            run.Traces.Record(new ThoughtStep($"thought {i}"), new TraceOptions { Tags = ["red"] });
        documents?.Add(Told(run, WriteDocument(run.Json, random, i)));
        if (i == 100 && run.Id != RunId.Default)
            run.Complete(Value.Object(("result", new string('z', 400))));
        if (i == 110 && test.Db.Runs.Get(name) is { } gone && gone.Info.Status == RunStatus.Active && round % 2 == 1)
            test.Db.Runs.Delete(gone.Id);
    }

    private static string Told(Run run, string id) => $"{run.Id} {id} {run.Json.Get(id)?.ToJson()}";

    private static string WriteDocument(Json json, Random random, int i)
    {
        var id = $"plan {random.Next(6)}";
        switch (random.Next(8))
        {
            case 0:
                json.Put(
                    id,
                    Value.Object(("n", i), ("list", Value.Array(Value.Object(), "x")), ("text", new string('t', random.Next(400)))),
                    random.Next(4) == 0 ? TimeSpan.FromDays(random.Next(1, 30)) : null);
                break;
            case 1:
                id = $"flat {random.Next(3)}";
                json.Put(id, random.Next(2) == 0 ? i : new string('f', 300));
                break;
            case 2: json.Delete(id); break;
            case 3 when json.KindOf(id, "$.list") == ValueKind.Array: json.ArrayInsert(id, "$.list", 0, i); break;
            case 4 when json.KindOf(id, "$.n") == ValueKind.Int64: json.Increment(id, "$.n", 1); break;
            case 5: json.Set(id, DocumentPath.Root.Member(new string('m', 600)).Member("deep"), new string('d', random.Next(500))); break;
            case 6 when json.Exists(id, "$.text"): json.Delete(id, "$.text"); break;
            default: json.Set(id, $"$.of['{i % 7}']", Value.Array(i)); break;
        }

        return id;
    }

    private static List<string> Files(TestDatabase test) =>
    [
        .. test.Storage.List("").Where(name => LogNames.TryParseManifest(name, out _)),
        .. test.Storage.List(LogNames.LogDirectory).Where(name => LogNames.TryParseSegment(name, out _))
            .Select(name => LogNames.LogDirectory + "/" + name),
        .. Tables(test),
        .. Archives(test),
    ];

    // As the newest checkpoint names them, the oldest first: a merged one has a higher number than newer ones.
    private static List<string> Tables(TestDatabase test)
    {
        var newest = test.Storage.List(LogNames.Root).Max(name => LogNames.TryParseManifest(name, out var number) ? number : 0);
        var manifest = Manifest.Load(test.Storage, newest, forWriting: false, out _);
        return [.. manifest.Checkpoints[^1].Tables.Reverse().Select(LogNames.TablePath)];
    }

    private static List<string> Archives(TestDatabase test) =>
        [.. test.Storage.List(LogNames.ArchiveDirectory).Order(StringComparer.Ordinal)
            .Select(name => LogNames.ArchiveDirectory + "/" + name)];

    private static (MemoryStorage Target, SalvageReport Report) Salvage(IStorage source)
    {
        var target = new MemoryStorage();
        return (target, CairnDatabase.SalvageTo(source, () => target));
    }

    private static CairnDatabase Open(IStorage storage) => CairnDatabase.Open(
        storage, new CairnOptions { Durability = Durability.Buffered, CreateIfMissing = false, TimeProvider = new FakeClock() },
        new EngineHooks { IsMaintenanceManual = true });

    /// <summary>What the lines of an export say, but for versions and commit times: events keep theirs, runs too.</summary>
    private static string[] Lines(CairnDatabase db) => [.. ExportTests.Export(db)
        .Where(line => !line.Contains("\"line\":\"head\"", StringComparison.Ordinal)
            && !line.Contains("\"line\":\"end\"", StringComparison.Ordinal)
            && !line.Contains("\"deleted\":true", StringComparison.Ordinal))
        .Select(line => Version().Replace(line, ""))
        .Select(line => line.Contains("\"line\":\"event\"", StringComparison.Ordinal) ? line : Time().Replace(line, ""))];

    private static bool IsValue(string line) => line.Contains("\"line\":\"kv\"", StringComparison.Ordinal);

    [GeneratedRegex("\"version\":[0-9]+,?")]
    private static partial Regex Version();

    [GeneratedRegex("\"time_us\":[0-9]+,?")]
    private static partial Regex Time();

    private static void Same(string[] lines, IStorage target)
    {
        using (var db = Open(target))
        {
            var salvaged = Lines(db);
            Assert.True(
                lines.SequenceEqual(salvaged, StringComparer.Ordinal),
                $"missing:\n{string.Join('\n', lines.Except(salvaged))}\nother:\n{string.Join('\n', salvaged.Except(lines))}");
            Assert.Empty(db.VerifyDeep().Findings);
        }

        using var again = Open(target);
        Assert.Equal(lines, Lines(again));
    }

    private static string Told(SalvageReport report) =>
        string.Join('\n', report.Losses.Select(loss => loss.ToString()).Concat(report.RunLosses.Select(loss => loss.ToString())));

    private static long Length(IStorage storage, string path)
    {
        using var file = storage.Open(path, writable: false);
        return file.Length;
    }

    private static void Flip(IStorage storage, string path, long offset)
    {
        using var file = storage.Open(path, writable: true);
        Span<byte> one = stackalloc byte[1];
        file.ReadAt(one, offset);
        one[0] ^= 0x10;
        file.WriteAt(one, offset);
    }
}
