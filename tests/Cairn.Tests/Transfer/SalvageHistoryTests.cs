#pragma warning disable xUnit1051 // what is carried here is small; cancelling has a test of its own
using Cairn.Log;
using Cairn.Storage;
using Cairn.Tests.Transactions;
using Xunit;

namespace Cairn.Tests.Transfer;

/// <summary>RCV-9 for history: older versions that policies keep, and that archives alone have once the log's beginning is given up, come
/// back, and what of them does not is told.</summary>
[Trait("Requirement", "RCV-9")]
public sealed class SalvageHistoryTests
{
    private static readonly string[] Policies = ["all", "hour", "five", "newest"];

    [Fact]
    [Trait("Requirement", "RET-5")]
    public void History_that_policies_keep_comes_back_with_its_times_and_counters()
    {
        using var test = Compacted();
        var before = Histories(test.Db);
        test.Db.Dispose();
        var (target, report) = Salvage(test.Storage);
        Assert.True(report.IsComplete, Told(report));
        Assert.True(report.Checkpoint > Sequence.None && report.PastVersions > 100, $"{report}");
        using var db = Open(target);
        AssertKept(before, Histories(db));
        Assert.Empty(db.VerifyDeep().Findings);
        foreach (var (key, versions) in before.Where(pair => pair.Key.Contains("/kv/", StringComparison.Ordinal)))
        {
            // A question about a time before gets its answer, too.
            var (run, name) = (key.Split('/')[0], key.Split('/')[2]);
            foreach (var version in versions.Take(versions.Count - 1))
            {
                var there = db.Runs.Get(Id(run))!.Kv.GetAt(name, version.At);
                Assert.Equal(version.Text, there?.ToString() ?? "deleted");
            }
        }
    }

    [Fact]
    public void Damage_in_an_archive_costs_the_versions_it_held_and_nothing_of_the_state()
    {
        using var test = Compacted();
        var before = Histories(test.Db);
        var state = State(test.Db);
        test.Db.Dispose();
        var path = Archives(test.Storage)[0];
        Flip(test.Storage, path, 3_000);
        var (target, report) = Salvage(test.Storage);
        Assert.False(report.IsComplete);
        var loss = Assert.Single(report.Losses);
        Assert.True(loss.IsHistory && !loss.IsMadeGood, loss.ToString());
        Assert.Equal(path, loss.File);
        using var db = Open(target);
        Assert.Equal(state, State(db));
        var after = Histories(db);
        Assert.True(Count(after) < Count(before));
        foreach (var (key, versions) in after)
            Assert.All(versions.Where(version => version.At < test.Clock.GetUtcNow()), version => AssertWasThere(before[key], version));
        Assert.Empty(db.VerifyDeep().Findings);
    }

    [Theory]
    [InlineData("header")]
    [InlineData("missing")]
    public void An_archive_that_is_gone_is_told_and_the_state_is_whole(string how)
    {
        using var test = Compacted();
        var state = State(test.Db);
        test.Db.Dispose();
        var path = Archives(test.Storage)[0];
        if (how == "header")
            Flip(test.Storage, path, 20);
        else
            test.Storage.Unlink(path);
        var (target, report) = Salvage(test.Storage);
        Assert.False(report.IsComplete);
        Assert.Contains(report.Losses, loss => loss.File == path && loss.IsHistory);
        using var db = Open(target);
        Assert.Equal(state, State(db));
    }

    // Then there is no state but what the records made.
    [Fact]
    public void Without_any_table_the_records_of_archives_are_carried_as_they_were()
    {
        using var test = Compacted();
        var before = Histories(test.Db);
        test.Db.Dispose();
        foreach (var name in test.Storage.List(LogNames.TableDirectory))
            test.Storage.Unlink(LogNames.TableDirectory + "/" + name);
        foreach (var name in test.Storage.List("").Where(name => LogNames.TryParseManifest(name, out _)))
            test.Storage.Unlink(name);
        var (target, report) = Salvage(test.Storage);
        Assert.False(report.IsComplete);
        Assert.Equal(Sequence.None, report.Checkpoint);
        using var db = Open(target);
        Assert.Empty(db.VerifyDeep().Findings);
        var all = Histories(db);
        foreach (var (key, versions) in before.Where(pair => pair.Key.StartsWith("all/", StringComparison.Ordinal)))
            Assert.Equal(versions, all[key]);
    }

    // A key whose newest version stood in a damaged block comes back as history has it.
    [Fact]
    public void Where_a_table_is_damaged_history_has_the_better_answer()
    {
        using var test = Compacted();
        var state = State(test.Db);
        test.Db.Dispose();
        foreach (var path in Tables(test.Storage))
        {
            for (var offset = 100L; offset < Length(test.Storage, path); offset += 1_000)
                Flip(test.Storage, path, offset);
        }

        var (target, report) = Salvage(test.Storage);
        Assert.False(report.IsComplete);
        using var db = Open(target);
        Assert.Empty(db.VerifyDeep().Findings);
        var salvaged = State(db);
        Assert.NotEmpty(salvaged);
        Assert.Contains(salvaged.Intersect(state), line => line.Contains("all/kv/", StringComparison.Ordinal));
    }

    // The oracle of the whole: any byte of any file may change; what comes back was there, and what does not is told.
    [Fact]
    [Trait("Kind", "Random")]
    [Trait("Gate", "Merge")]
    [Trait("Test", "C6")]
    public void Whatever_byte_is_damaged_the_history_that_is_missing_is_told()
    {
        var seed = Seeds.Begin(nameof(Whatever_byte_is_damaged_the_history_that_is_missing_is_told));
        var random = new Random((int)seed);
        using var test = Compacted();
        var before = Histories(test.Db);
        var state = State(test.Db);
        test.Db.Dispose();
        foreach (var path in Files(test.Storage))
        {
            for (var i = 0; i < Seeds.Scaled(2); i++)
            {
                var offset = random.NextInt64(Length(test.Storage, path));
                Flip(test.Storage, path, offset);
                var (target, report) = Salvage(test.Storage);
                Flip(test.Storage, path, offset);
                using var db = Open(target);
                if (!report.IsComplete)
                    continue;
                Assert.True(state.SequenceEqual(State(db)), $"seed {seed}: {path} at {offset}: the state");
                AssertKept(before, Histories(db), $"seed {seed}: {path} at {offset}");
            }
        }
    }

    // ---- tools ----------------------------------------------------------------------------------------------------------------

    private sealed record Version(string Text, ulong Counter, DateTimeOffset At, DateTimeOffset? Expiry);

    /// <summary>Four runs with a policy each; three times the log below the older checkpoint is given up.</summary>
    private static TestDatabase Compacted()
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
        Retention[] policies = [Retention.KeepAll, Retention.KeepFor(TimeSpan.FromHours(1)), Retention.KeepLast(5), Retention.KeepLast(1)];
        for (var i = 0; i < policies.Length; i++)
            test.Db.Runs.Begin(Policies[i], id: Id(Policies[i])).Retention.Apply(policies[i]);
        var random = new Random(11);
        for (var round = 0; round < 5; round++)
        {
            for (var i = 0; i < 150; i++)
            {
                test.Clock.Advance(TimeSpan.FromSeconds(random.Next(1, 20)));
                Write(test, test.Db.Runs.Get(Id(Policies[random.Next(Policies.Length)]))!, random, i);
            }

            test.Db.Sync();
            if (round == 4)
                break;
            test.Checkpoint();
            test.Db.Compact();
        }

        Assert.NotEmpty(Archives(test.Storage));
        var manifest = Newest(test.Storage);
        Assert.True(manifest.Segments[0].BasePosition > 0 && manifest.Segments[0].FirstSequence < manifest.Checkpoints[^1].Sequence);
        return test;
    }

    // A run may come back without its name.
    private static RunId Id(string name) =>
        new(new UInt128(0x0190_0000_0000_7000, 0x8000_0000_0000_0000 + (ulong)Array.IndexOf(Policies, name)));

    private static void Write(TestDatabase test, Run run, Random random, int i)
    {
        var (key, cell) = ($"key {random.Next(6)}", $"cell {random.Next(3)}");
        switch (random.Next(9))
        {
            case 0:
                run.Kv.Delete(key);
                break;
            case 1:
                run.Kv.Increment("count", random.Next(5));
                break;
            case 2:
                run.Kv.Expire(key, TimeSpan.FromDays(random.Next(2, 9)));
                break;
            case 3:
                run.State.Set(cell, i);
                break;
            case 4:
                run.State.Delete(cell);
                break;
            case 5:
                run.Transact(tx =>
                {
                    tx.Kv.Put(key, $"together {i}");
                    tx.State.Set(cell, i);
                    tx.Events.Append("note", Value.Object(("n", i)));
                });
                break;
            default:
                run.Kv.Put(key, $"{i} {new string('x', random.Next(500))}");
                break;
        }

        test.Kv.Put("filler", new byte[random.Next(200, 700)]);
    }

    // Of each key and cell, the newest first, what history still answers.
    private static Dictionary<string, List<Version>> Histories(CairnDatabase db)
    {
        var histories = new Dictionary<string, List<Version>>();
        foreach (var name in Policies)
        {
            if (db.Runs.Get(Id(name)) is not { } run)
                continue;
            foreach (var key in Enumerable.Range(0, 6).Select(n => $"key {n}").Append("count"))
            {
                histories[$"{name}/kv/{key}"] = Kept(
                    before => run.Kv.History(key, 1, before),
                    item => item.Version,
                    item => new Version(item.IsDeletion ? "deleted" : item.Value.ToString(), 0, item.Time, item.Expiry));
            }

            foreach (var cell in Enumerable.Range(0, 3).Select(n => $"cell {n}"))
            {
                histories[$"{name}/state/{cell}"] = Kept(
                    before => run.State.History(cell, 1, before),
                    item => item.Version,
                    item => new Version(item.IsDeletion ? "deleted" : item.Value.ToString(), item.Counter.Value, item.Time, item.Expiry));
            }
        }

        return histories;
    }

    private static List<Version> Kept<T>(Func<Sequence?, IReadOnlyList<T>> read, Func<T, Sequence> at, Func<T, Version> version)
    {
        var versions = new List<Version>();
        Sequence? before = null;
        try
        {
            while (read(before) is [var item])
            {
                versions.Add(version(item));
                before = at(item);
            }
        }
        catch (HistoryTrimmedException)
        {
        }

        return versions;
    }

    // More may have come back than a policy promises: what stood in segments that were not given up yet.
    private static void AssertKept(Dictionary<string, List<Version>> before, Dictionary<string, List<Version>> after, string where = "")
    {
        foreach (var (key, versions) in before)
        {
            Assert.True(
                versions.SequenceEqual(after[key].Take(versions.Count)),
                $"{where} {key}\n{string.Join('\n', versions)}\nis now\n{string.Join('\n', after[key])}");
        }
    }

    private static void AssertWasThere(List<Version> versions, Version version) => Assert.True(
        versions.Exists(known => known.Text == version.Text && known.Counter == version.Counter),
        $"{version} was never there");

    private static int Count(Dictionary<string, List<Version>> histories) => histories.Values.Sum(versions => versions.Count);

    private static List<string> State(CairnDatabase db)
    {
        var lines = new List<string>();
        foreach (var name in Policies)
        {
            if (db.Runs.Get(Id(name)) is not { } run)
                continue;
            lines.AddRange(run.Kv.Scan().Select(pair => $"{name}/kv/{pair.Key} = {pair.Value.Value}"));
            lines.AddRange(run.State.Scan().Select(pair => $"{name}/state/{pair.Key} = {pair.Value.Value} @ {pair.Value.Counter.Value}"));
        }

        return lines;
    }

    private static Manifest Newest(IStorage storage) => Manifest.Load(
        storage, storage.List(LogNames.Root).Max(name => LogNames.TryParseManifest(name, out var number) ? number : 0), forWriting: false,
        out _);

    private static List<string> Archives(IStorage storage) =>
        [.. Newest(storage).Archives.Select(archive => LogNames.ArchivePath(archive.Number))];

    private static List<string> Tables(IStorage storage) =>
        [.. storage.List(LogNames.TableDirectory).Order(StringComparer.Ordinal).Select(name => LogNames.TableDirectory + "/" + name)];

    private static List<string> Files(IStorage storage) =>
    [
        .. storage.List("").Where(name => LogNames.TryParseManifest(name, out _)),
        .. storage.List(LogNames.LogDirectory).Where(name => LogNames.TryParseSegment(name, out _))
            .Select(name => LogNames.LogDirectory + "/" + name),
        .. Tables(storage),
        .. Archives(storage),
    ];

    private static (MemoryStorage Target, SalvageReport Report) Salvage(IStorage source)
    {
        var target = new MemoryStorage();
        return (target, CairnDatabase.SalvageTo(source, () => target));
    }

    private static CairnDatabase Open(IStorage storage) => CairnDatabase.Open(
        storage, new CairnOptions { Durability = Durability.Buffered, CreateIfMissing = false, TimeProvider = new FakeClock() },
        new EngineHooks { IsMaintenanceManual = true });

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
