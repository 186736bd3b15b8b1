using Cairn.Cli;
using Xunit;

namespace Cairn.Tests.Cli;

/// <summary>OPS-5 from the shell.</summary>
[Trait("Requirement", "OPS-5")]
public sealed class CliBackupTests : IDisposable
{
    private readonly CliBed _bed = new();

    public void Dispose() => _bed.Dispose();

    [Fact]
    public void A_chain_is_made_verified_and_restored_to_a_commit()
    {
        File.WriteAllBytes(_bed["key"], [.. Enumerable.Range(0, 32).Select(i => (byte)i)]);
        string[] key = ["--key-file", _bed["key"]];
        _bed.Good("kv", "put", "a", "1");
        var full = Assert.Single(_bed.Json(["backup", "create", _bed["monday"], .. key]));
        Assert.Equal(1, full["sequence"].AsInt64());
        Assert.True(full["parent"].IsNull);
        _bed.Good("kv", "put", "a", "2");
        _bed.Good("kv", "put", "a", "3");
        Assert.Contains("sequence 3", _bed.Good(["backup", "create", _bed["tuesday"], "--parent", _bed["monday"], .. key]),
            StringComparison.Ordinal);

        Assert.Equal(ExitCodes.Ok, CliBed.RunBare("", ["backup", "verify", _bed["tuesday"], _bed["monday"], .. key]).Exit);
        var alone = CliBed.RunBare("", ["backup", "verify", _bed["tuesday"], .. key]);
        Assert.Equal(ExitCodes.Damaged, alone.Exit);
        Assert.Contains("MISSING", alone.Out, StringComparison.Ordinal);
        var unkeyed = CliBed.RunBare("", "backup", "verify", _bed["monday"]);
        Assert.Equal(ExitCodes.Refused, unkeyed.Exit);

        string[] chain = ["restore", _bed["monday"], _bed["tuesday"], .. key];
        Assert.Equal(ExitCodes.Ok, CliBed.RunBare("", [.. chain, "--to", _bed["two"], "--sequence", "2"]).Exit);
        Assert.Equal("2", CliBed.RunBare("", "kv", "get", "a", "--db", _bed["two"]).Out.TrimEnd('\n'));
        Assert.Equal(ExitCodes.Ok, CliBed.RunBare("", [.. chain, "--to", _bed["three"], "--json"]).Exit);
        Assert.Equal("3", CliBed.RunBare("", "kv", "get", "a", "--db", _bed["three"]).Out.TrimEnd('\n'));
        Assert.Equal(ExitCodes.Refused, CliBed.RunBare("", [.. chain, "--to", _bed["three"]]).Exit);
        Assert.Equal(ExitCodes.Refused, CliBed.RunBare("", [.. chain, "--to", _bed.Path]).Exit);
        Assert.Equal("3", _bed.Good("kv", "get", "a"));
    }

    [Fact]
    public void Damage_is_named_and_a_directory_without_a_list_is_no_backup()
    {
        _bed.Good("kv", "put", "a", "1");
        _bed.Good("backup", "create", _bed["backup"]);
        Damage.Flip(_bed["backup"], 4_100);
        var found = CliBed.RunBare("", "backup", "verify", _bed["backup"], "--json");
        Assert.Equal(ExitCodes.Damaged, found.Exit);
        var finding = Assert.Single(Value.FromJson(found.Out)["findings"].AsArray());
        Assert.EndsWith("0000000001.segment", finding["file"].AsString(), StringComparison.Ordinal);

        File.Delete(Path.Combine(_bed["backup"], "backup.jsonl"));
        var none = CliBed.RunBare("", "restore", _bed["backup"], "--to", _bed["new"], "--json");
        Assert.Equal(ExitCodes.Damaged, none.Exit);
        Assert.Equal("NotABackup", none.ErrorJson["code"].AsString());
        Assert.False(Directory.Exists(_bed["new"]));
    }

    [Fact]
    [Trait("Requirement", "RCV-9")]
    public void A_damaged_database_is_salvaged_and_the_loss_is_the_exit_code()
    {
        _bed.Good("kv", "put", "a", "1");
        _bed.Good("kv", "put", "b", "2");
        Assert.Equal(ExitCodes.Ok, CliBed.RunBare("", "salvage", _bed.Path, "--to", _bed["whole"]).Exit);
        Damage.Flip(_bed.Path, 4_096 + 120);
        Assert.Equal(ExitCodes.Ok, _bed.Run("kv", "get", "b").Exit);     // the checkpoint has it
        foreach (var table in Directory.GetFiles(Path.Combine(_bed.Path, "tables")))
            File.Delete(table);
        Assert.Equal(ExitCodes.Damaged, _bed.Run("kv", "get", "b").Exit);
        var salvaged = CliBed.RunBare("", "salvage", _bed.Path, "--to", _bed["new"], "--json");
        Assert.Equal(ExitCodes.Damaged, salvaged.Exit);
        var report = Value.FromJson(salvaged.Out);
        Assert.Equal(1, report["transactions"].AsInt64());
        Assert.Equal(1, Assert.Single(report["losses"].AsArray())["first_sequence"].AsInt64());
        Assert.Equal("2", CliBed.RunBare("", "kv", "get", "b", "--db", _bed["new"]).Out.TrimEnd('\n'));
        Assert.Equal(ExitCodes.Refused, CliBed.RunBare("", "salvage", _bed.Path, "--to", _bed["new"]).Exit);
    }

    // Real agents: trajectories of SWE-agent, through the shell and back.
    [Fact]
    [Trait("Requirement", "OPS-6")]
    public void Trajectories_of_agents_pass_through_lines_unchanged()
    {
        var files = Directory.GetFiles(Tidy.Repository.Full("samples/swe-agent"), "*.traj");
        _bed.Good(["import", "swe-agent", .. files]);
        var report = Assert.Single(_bed.Json("export", "jsonl", _bed["all.jsonl"]));
        Assert.Equal(files.Length + 1, report["runs"].AsInt64());
        Assert.Equal(ExitCodes.State, _bed.Run("export", "jsonl", _bed["all.jsonl"]).Exit);

        var imported = CliBed.RunBare("", "import", "jsonl", _bed["all.jsonl"], "--db", _bed["copy"], "--json");
        Assert.Equal((ExitCodes.Ok, ""), (imported.Exit, imported.Error));
        Assert.Equal(files.Length, Value.FromJson(imported.Out)["runs"].AsInt64());
        var again = CliBed.RunBare("", "import", "jsonl", _bed["all.jsonl"], "--db", _bed["copy"], "--json");
        Assert.Equal(0, Value.FromJson(again.Out)["written"].AsInt64());
        Transfer.ExportTests.Same(
            _bed.Good("export", "jsonl", "-").Split('\n'),
            CliBed.RunBare("", "export", "jsonl", "-", "--db", _bed["copy"]).Out.TrimEnd('\n').Split('\n'), "trajectories");
        Assert.Equal(ExitCodes.Ok, CliBed.RunBare("", "verify", "--deep", "--db", _bed["copy"]).Exit);

        Assert.Equal(ExitCodes.Ok, _bed.Run("export", "traces", _bed["traces.csv"]).Exit);
        var rows = File.ReadAllLines(_bed["traces.csv"]);
        Assert.True(rows.Length > 20);
        var text = CliBed.RunBare(File.ReadAllText(_bed["all.jsonl"]), "import", "jsonl", "-", "--db", _bed["piped"]);
        Assert.Equal(ExitCodes.Ok, text.Exit);
    }
}
