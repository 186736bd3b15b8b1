using System.Diagnostics;
using Cairn.Cli;
using Cairn.Tests.Cli;
using Cairn.Tests.Storage;
using Xunit;

namespace Cairn.Tests.Crash;

/// <summary>C1 and C15: long commands of the shell, in processes of their own, really killed while what they write grows. What is left is
/// whole or says that it is not; it never passes for something else, and the same command done again does it.</summary>
[Trait("Gate", "Merge")]
[Trait("Test", "C1")]
public sealed class CommandKillTests : IDisposable
{
    private const int Kills = 5;

    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    private string Database => _directory["db"];

    [Fact]
    [Trait("Test", "C15")]
    [Trait("Requirement", "OPS-5")]
    [Trait("Kind", "Random")]
    public void C15_A_killed_backup_is_whole_or_none_and_the_database_does_not_notice()
    {
        var hash = MakeDatabase();
        Judge(nameof(C15_A_killed_backup_is_whole_or_none_and_the_database_does_not_notice), "backups killed", _directory["all"],
            target => ["backup", "create", target, "--db", Database],
            target =>
            {
                if (!Directory.Exists(target))
                    return false;
                var verified = CliBed.RunBare("", "backup", "verify", target, "--json");
                var restored = CliBed.RunBare("", "restore", target, "--to", target + "-restored", "--json");
                if (verified.Exit == ExitCodes.Ok)
                {
                    Assert.Equal(ExitCodes.Ok, restored.Exit);
                    Assert.Equal(hash, HashOf(target + "-restored"));
                    Directory.Delete(target + "-restored", recursive: true);     // a kill too late is judged, and then another try
                    return true;
                }

                Assert.Equal("NotABackup", verified.ErrorJson["code"].AsString());
                Assert.Equal("NotABackup", restored.ErrorJson["code"].AsString());
                Assert.False(Directory.Exists(target + "-restored"));
                return false;
            });
        Assert.Equal(hash, HashOf(Database));
    }

    [Fact]
    [Trait("Test", "C15")]
    [Trait("Requirement", "OPS-5")]
    [Trait("Kind", "Random")]
    public void C15_A_killed_restore_leaves_the_whole_database_or_none_that_opens()
    {
        var hash = MakeDatabase();
        Assert.Equal(ExitCodes.Ok, CliBed.RunBare("", "backup", "create", _directory["backup"], "--db", Database).Exit);
        Judge(nameof(C15_A_killed_restore_leaves_the_whole_database_or_none_that_opens), "restores killed", _directory["all"],
            target => ["restore", _directory["backup"], "--to", target],
            target => IsWholeOrRefused(target, hash));
    }

    [Fact]
    [Trait("Requirement", "OPS-5")]
    [Trait("Kind", "Random")]
    public void A_killed_salvage_leaves_the_whole_account_or_no_database_that_opens()
    {
        var hash = MakeDatabase();
        Judge(nameof(A_killed_salvage_leaves_the_whole_account_or_no_database_that_opens), "salvages killed", _directory["all"],
            target => ["salvage", Database, "--to", target],
            target => IsWholeOrRefused(target, hash));
    }

    [Fact]
    [Trait("Requirement", "OPS-6")]
    [Trait("Kind", "Random")]
    public void An_import_that_is_killed_again_and_again_ends_with_what_one_without_a_kill_has()
    {
        MakeDatabase();
        var file = _directory["all.jsonl"];
        Assert.Equal(ExitCodes.Ok, CliBed.RunBare("", "export", "jsonl", file, "--db", Database).Exit);
        string[] Import(string target) => ["import", "jsonl", file, "--db", target];
        var random = new Random((int)Seeds.Begin(nameof(An_import_that_is_killed_again_and_again_ends_with_what_one_without_a_kill_has)));
        Assert.Equal(0, KillBehind(long.MaxValue, _directory["whole"], Import(_directory["whole"])));
        var size = SizeOf(_directory["whole"]);
        var target = _directory["killed"];
        for (var kill = 0; kill < Seeds.Scaled(Kills); kill++)
            KillBehind(SizeOf(target) + random.NextInt64(size / Kills), target, Import(target));
        Assert.Equal(0, KillBehind(long.MaxValue, target, Import(target)));
        Assert.Equal(Contents(Database), Contents(target));
        using var db = CairnDatabase.Open(target);
        Assert.True(db.VerifyDeep().IsValid);
    }

    [Fact]
    [Trait("Requirement", "OPS-6")]
    [Trait("Kind", "Random")]
    public void A_killed_import_of_a_run_file_leaves_the_run_an_orphan_that_can_be_deleted_or_nothing()
    {
        MakeDatabase();
        var file = _directory["run.cairnrun"];
        Assert.Equal(ExitCodes.Ok, CliBed.RunBare("", "run", "export", "run-1", file, "--db", Database).Exit);
        var hash = Contents(Database)[1];
        Judge(nameof(A_killed_import_of_a_run_file_leaves_the_run_an_orphan_that_can_be_deleted_or_nothing), "run imports killed",
            _directory["all"], target => ["run", "import", file, "--db", target], target =>
            {
                if (!Directory.Exists(target))
                    return false;
                CairnDatabase db;
                try
                {
                    db = CairnDatabase.Open(target);
                }
                catch (CairnException refused)
                {
                    Assert.NotEqual(ErrorCode.DatabaseFailed, refused.Code);
                    return false;
                }

                using (db)
                {
                    if (!db.Runs.TryGet("run-1", out var run))
                        return false;
                    if (run.ContentHash().ToString() == hash)
                        return true;
                    Assert.Contains(run.Id, db.Runs.Orphaned().Select(info => info.Id));
                    Assert.True(run.Events.Verify().IsValid);
                    db.Runs.Delete(run.Id);
                    return false;
                }
            });
    }

    // Kills a command behind every part of what it writes, and judges what is there each time; without a kill it must be whole.
    private void Judge(string test, string what, string whole, Func<string, string[]> command, Func<string, bool> isWhole)
    {
        var seed = Seeds.Begin(test);
        var random = new Random((int)seed);
        var clock = Stopwatch.StartNew();
        Assert.Equal(0, KillBehind(long.MaxValue, whole, command(whole)));
        Assert.True(isWhole(whole));
        var size = SizeOf(whole);
        var broken = 0;
        for (var kill = 0; kill < Seeds.Scaled(Kills); kill++)
        {
            var target = _directory[$"target-{kill}"];
            var exit = KillBehind(random.NextInt64(size), target, command(target));
            var isThere = isWhole(target);
            Assert.True(isThere || exit != 0, "a command that ended well has done its work");
            broken += isThere ? 0 : 1;
            if (Directory.Exists(target))
                Directory.Delete(target, recursive: true);
            if (kill > 0)
                continue;
            Assert.Equal(0, KillBehind(long.MaxValue, target, command(target)));
            Assert.True(isWhole(target));
        }

        Assert.True(broken > 0, $"none of {Seeds.Scaled(Kills)} kills came before the end");
        Ledger.Add("C1", what, seed, Seeds.Scaled(Kills), clock.Elapsed);
    }

    private static bool IsWholeOrRefused(string target, Hash256 hash)
    {
        if (!Directory.Exists(target) || !Directory.EnumerateFileSystemEntries(target).Any())
            return false;
        try
        {
            Assert.Equal(hash, HashOf(target));
            return true;
        }
        catch (CairnException refused)
        {
            Assert.NotEqual(ErrorCode.DatabaseFailed, refused.Code);
            return false;
        }
    }

    /// <summary>Runs a command and kills it as soon as a directory has grown beyond a size.</summary>
    /// <returns>Exit code of the process; not 0 when it was killed.</returns>
    private static int KillBehind(long size, string directory, string[] command)
    {
        var start = new ProcessStartInfo("dotnet", [Path.Combine(AppContext.BaseDirectory, "Cairn.Cli.dll"), .. command])
        {
            RedirectStandardOutput = true, RedirectStandardError = true,
        };
        using var process = Process.Start(start)!;
        process.OutputDataReceived += (_, _) => { };
        process.ErrorDataReceived += (_, _) => { };
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        while (!process.HasExited)
        {
            if (SizeOf(directory) > size)
                process.Kill();
            Thread.Sleep(1);
        }

        process.WaitForExit();
        return process.ExitCode;
    }

    private static long SizeOf(string directory)
    {
        try
        {
            return Directory.Exists(directory)
                ? new DirectoryInfo(directory).EnumerateFiles("*", SearchOption.AllDirectories).Sum(file => file.Length)
                : 0;
        }
        catch (IOException)
        {
            return 0;                                        // files come and go meanwhile: the next look tells
        }
    }

    // Large enough that a command takes many steps: all primitives, contents, two segments and more.
    private Hash256 MakeDatabase()
    {
        using var db = CairnDatabase.Open(Database, new CairnOptions
        {
            Durability = Durability.Buffered, SegmentBytesMin = 1 << 20, SegmentBytesMax = 2 << 20,
        });
        var runs = Enumerable.Range(0, 4).Select(i => db.Runs.Begin($"run-{i}")).ToArray();
        for (var i = 0; i < 4_000; i++)
        {
            var run = runs[i % runs.Length];
            run.Kv.Put($"key-{i}", new string((char)('a' + i % 26), i % 40 == 0 ? 30_000 : 400));
            run.Events.Append("step", Value.Object(("n", i)));
            if (i % 10 == 0)
                run.State.Set($"cell-{i % 7}", i);
            if (i % 25 == 0)
                run.Traces.Record(new ThoughtStep($"thought {i}", 1));
        }

        return db.StateHash();
    }

    private static Hash256 HashOf(string directory)
    {
        using var db = CairnDatabase.Open(directory, new CairnOptions { CreateIfMissing = false });
        return db.StateHash();
    }

    private static List<string> Contents(string directory)
    {
        using var db = CairnDatabase.Open(directory, new CairnOptions { CreateIfMissing = false });
        return [.. Enumerable.Range(0, 4).Select(i => db.Runs.Get($"run-{i}")!.ContentHash().ToString())];
    }
}
