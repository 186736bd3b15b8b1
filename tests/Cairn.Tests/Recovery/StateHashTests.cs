using System.Globalization;
using Cairn.Storage;
using Cairn.Tests.Transactions;
using Xunit;

namespace Cairn.Tests.Recovery;

/// <summary>The state hash (RCV-R1): the same for the same log, whoever applied it; another one for any difference that an operation
/// could observe; blind to what no operation can.</summary>
public sealed class StateHashTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("cairn-hash-").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Theory]
    [InlineData(Durability.Buffered)]
    [InlineData(Durability.Strict)]
    [Trait("Promise", "G5")]
    [Trait("Requirement", "RCV-R1")]
    public void RCV_R1_Opening_again_gives_the_same_hash_after_a_clean_close_and_after_a_kill(Durability mode)
    {
        using var database = new TestDatabase(mode);
        Fill(database);
        var hash = database.Db.StateHash();
        database.NowAndAfterReopening(() =>
        {
            Assert.Equal(hash, database.Db.StateHash());
            var verified = database.Db.VerifyDeep();
            Assert.Empty(verified.Findings);
            Assert.Equal(hash, verified.StateHash);
        });
    }

    [Fact]
    [Trait("Promise", "G3")]
    public void The_three_modes_give_the_same_hash_for_the_same_operations()
    {
        // Run by run: in memory a seeded database draws other ids of runs than one that was opened.
        var hashes = new[] { Durability.InMemory, Durability.Buffered, Durability.Strict }.Select(mode =>
        {
            using var database = new TestDatabase(mode);
            FillWithoutChance(database);
            return (database.Run.StateHash(), database.OtherRun(7).StateHash());
        }).ToList();
        Assert.Equal(hashes[0], hashes[1]);
        Assert.Equal(hashes[0], hashes[2]);
    }

    [Theory]
    [InlineData("value")]
    [InlineData("expiry")]
    [InlineData("same value again")]
    [InlineData("deletion")]
    [InlineData("counter of a deleted cell")]
    [InlineData("cell")]
    [InlineData("event")]
    [InlineData("consumer")]
    [InlineData("redaction")]
    [InlineData("trace")]
    [InlineData("idempotency key")]
    [InlineData("tag of a run")]
    [InlineData("status of a run")]
    [InlineData("new run")]
    [InlineData("deleted run")]
    public void Every_difference_that_can_be_observed_has_another_hash(string difference)
    {
        using var database = new TestDatabase(Durability.Buffered);
        Fill(database);
        var other = database.OtherRun();
        var before = database.Db.StateHash();
        Change(database, other, difference);
        var after = database.Db.StateHash();
        Assert.NotEqual(before, after);
        database.Reopen(isKilled: true);
        Assert.Equal(after, database.Db.StateHash());
    }

    private static void Change(TestDatabase database, Run other, string difference)
    {
        switch (difference)
        {
            case "value":
                database.Kv.Put("kept", 2);
                break;
            case "expiry":
                database.Kv.Expire("kept", TimeSpan.FromHours(3));
                break;
            case "same value again":
                database.Kv.Put("kept", database.Kv.Get("kept")!.Value);
                break;
            case "deletion":
                database.Kv.Delete("kept");
                break;
            case "counter of a deleted cell":
                database.Run.State.Init("gone", 1);
                database.Run.State.Delete("gone");
                break;
            case "cell":
                database.Run.State.Set("cell", 2);
                break;
            case "event":
                database.Run.Events.Append("note", Value.Object());
                break;
            case "consumer":
                database.Run.Events.Consumers.Commit("reader", new EventNumber(2));
                break;
            case "redaction":
                database.Run.Events.Redact(new EventNumber(0), "asked for");
                break;
            case "trace":
                database.Run.Traces.Record(new ThoughtStep("second"));
                break;
            case "idempotency key":
                database.Run.TransactOnce("another", tx => tx.Kv.Put("once", 1));
                break;
            case "tag of a run":
                other.AddTags("seen");
                break;
            case "status of a run":
                other.Complete();
                break;
            case "new run":
                database.OtherRun(2);
                break;
            default:
                database.Db.Runs.Delete(other.Id);
                break;
        }
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    [Trait("Requirement", "TTL-5")]
    public void What_has_expired_counts_as_removed_before_the_maintainer_removes_it(Durability mode)
    {
        using var database = new TestDatabase(mode);
        Fill(database);
        database.Kv.Put("short", 1, TimeSpan.FromSeconds(1));
        database.Run.State.Set("lease", 1, TimeSpan.FromSeconds(1));
        database.Clock.Advance(TimeSpan.FromHours(10));
        database.Kv.Put("tick", 1);
        var before = (database.Db.StateHash(), database.Run.StateHash(), database.Sequence);
        database.Maintain();
        Assert.True(database.Sequence > before.Sequence, "the maintainer removed something");
        Assert.Equal((before.Item1, before.Item2), (database.Db.StateHash(), database.Run.StateHash()));
    }

    [Fact]
    public void A_snapshot_keeps_its_hash_while_commits_and_sweeps_go_on()
    {
        using var database = new TestDatabase(Durability.InMemory);
        Fill(database);
        var hash = database.Run.StateHash();
        using var snapshot = database.Run.Snapshot();
        for (var i = 0; i < 500; i++)
            database.Kv.Put($"k{i % 7}", i);
        database.Kv.Delete("kept");
        database.Maintain();
        Assert.Equal(hash, snapshot.StateHash());
        Assert.NotEqual(hash, database.Run.StateHash());
        snapshot.Dispose();
        Assert.Throws<InvalidOperationException>(() => snapshot.StateHash());
    }

    [Fact]
    public void A_run_has_the_hash_of_its_contents_and_not_of_its_record_or_of_other_runs()
    {
        using var database = new TestDatabase(Durability.Buffered);
        Fill(database);
        var other = database.OtherRun();
        var hash = database.Run.StateHash();
        other.Kv.Put("elsewhere", 1);
        database.Run.AddTags("tag");
        Assert.Equal(hash, database.Run.StateHash());
        database.Db.Runs.Delete(other.Id);
        Assert.Equal(ErrorCode.NotFound, TestValues.Refused(() => other.StateHash()));
    }

    [Theory]
    [InlineData("culture tr-TR", "tr-TR", "", "")]
    [InlineData("culture ar-SA", "ar-SA", "", "")]
    [InlineData("culture th-TH", "th-TH", "", "")]
    [InlineData("no vector instructions", "", "DOTNET_EnableHWIntrinsic", "0")]
    [InlineData("no AVX2", "", "DOTNET_EnableAVX2", "0")]
    [InlineData("no profile", "", "DOTNET_TieredPGO", "0")]
    [InlineData("server collector", "", "DOTNET_gcServer", "1")]
    [InlineData("another time zone", "", "TZ", "Pacific/Kiritimati")]
    [Trait("Promise", "G5")]
    [Trait("Test", "D1")]
    [Trait("Requirement", "RCV-R1")]
    public void RCV_R1_Another_process_finds_the_same_hash_whatever_its(string what, string culture, string variable, string setting)
    {
        var storage = DiskStorage.OpenOrCreate(_directory, createIfMissing: true, readOnly: false);
        Hash256 hash;
        using (var database = new TestDatabase(Durability.Buffered, storage: storage))
        {
            Fill(database);
            hash = database.Db.StateHash();
        }

        using var child = Crasher.StartIn(
            [(variable, setting)], culture.Length > 0 ? Globalized() : null, "hash", _directory, culture);
        var (exitCode, output) = child.RunToEnd();
        Assert.SkipWhen(output.Contains("libicu", StringComparison.Ordinal), "this machine has no ICU: cultures cannot be tried");
        Assert.True(exitCode == 0, what + ": " + output);
        Assert.Equal($"{hash} 0 findings", output.Trim());
    }

    // The test programs know no cultures; this copy of the runtime's configuration does.
    private string Globalized()
    {
        var path = Path.Combine(_directory, "..", Path.GetFileName(_directory) + ".runtimeconfig.json");
        var text = File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "Cairn.Crashers.runtimeconfig.json"));
        foreach (var name in (string[])["Invariant", "PredefinedCulturesOnly"])
            text = text.Replace($"Globalization.{name}\": true", $"Globalization.{name}\": false", StringComparison.Ordinal);
        File.WriteAllText(path, text);
        return path;
    }

    [Fact]
    [Trait("Promise", "G5")]
    [Trait("Requirement", "MNT-12")]
    public void MNT12_Deep_verification_names_a_state_that_is_not_what_the_log_gives()
    {
        using var database = new TestDatabase(Durability.Buffered);
        Fill(database);
        var run = database.Run.RunState;
        lock (run.CommitLock)
            run.Store.Put([0x10, (byte)'k'], [0xC0], run.LastSequence, 1, 0);
        Assert.Equal(["state"], database.Db.VerifyDeep().Findings.Select(finding => finding.Part));
    }

    [Fact]
    [Trait("Requirement", "MNT-12")]
    public void MNT12_Deep_verification_names_a_count_that_does_not_fit()
    {
        using var database = new TestDatabase(Durability.Buffered);
        Fill(database);
        var run = database.Run.RunState;
        lock (run.CommitLock)
            run.Store.AddCount(0x10, 1, run.LastSequence, 1);
        Assert.Equal(["order"], database.Db.VerifyDeep().Findings.Select(finding => finding.Part));
    }

    [Theory]
    [ClassData(typeof(AllModes))]
    public void A_hash_beside_commits_is_one_that_the_database_had_between_two_of_them(Durability mode)
    {
        using var database = new TestDatabase(mode);
        var runs = new[] { database.Run, database.OtherRun() };
        const int commits = 400;
        var taken = new List<(Hash256 Hash, long Value)>();
        TransactionTests.InParallel(2, me =>
        {
            if (me == 0)
            {
                for (var i = 1; i <= commits; i++)
                    database.Db.Transact(runs, tx => runs.ToList().ForEach(run => tx.On(run).Kv.Put("n", i)));
                return;
            }

            for (var last = 0L; last < commits; last = runs[1].Kv.Number("n") ?? 0)
            {
                var hash = database.Db.StateHash();
                lock (taken)
                    taken.Add((hash, last));
            }
        });

        // The same commits again, one after the other: every hash that was seen must be one of these.
        using var again = new TestDatabase(mode);
        var twins = new[] { again.Run, again.OtherRun() };
        var all = new HashSet<Hash256> { again.Db.StateHash() };
        for (var i = 1; i <= commits; i++)
        {
            again.Db.Transact(twins, tx => twins.ToList().ForEach(run => tx.On(run).Kv.Put("n", i)));
            all.Add(again.Db.StateHash());
        }

        Assert.All(taken, seen => Assert.Contains(seen.Hash, all));
    }

    // Some of everything.
    private static void Fill(TestDatabase database)
    {
        FillWithoutChance(database);
        for (var i = 0; i < 5; i++)
            database.Run.Events.Append(i % 2 == 0 ? "tool_call" : "tool_result", Value.Object(("i", i), ("text", "Straße I ı İ i")));
        database.Run.Events.Consumers.Commit("reader", new EventNumber(1));
        database.Run.Traces.Record(new ThoughtStep("first"));
        database.Run.TransactOnce("once", tx => tx.Kv.Put("once", 1));
    }

    private static void FillWithoutChance(TestDatabase database)
    {
        database.Kv.Put("kept", 1);
        for (var i = 0; i < 600; i++)
            database.Kv.Put("many/" + (i % 120).ToString(CultureInfo.InvariantCulture), Value.Array(i, 1.5 * i, "text " + i));
        database.Kv.Put("expiring", 1, TimeSpan.FromHours(1));
        for (var i = 0; i < 20; i++)
            database.Kv.Delete("many/" + i);
        database.Run.State.Init("cell", 1);
        database.Run.State.Init("deleted", 1);
        database.Run.State.Delete("deleted");
        var other = database.OtherRun(7);
        other.AddTags("a", "b");
        other.Kv.Put("there", new byte[20_000]);
    }
}
