using System.Diagnostics;
using Xunit;

namespace Cairn.Tests.Cli;

/// <summary>The demos, each as a process that kills another one.</summary>
public class CliDemoTests
{
    [Fact]
    [Trait("Promise", "G1")]
    [Trait("Promise", "G4")]
    public void The_demo_kills_a_real_process_and_nothing_acknowledged_is_lost()
    {
        var (exit, output, error) = RunTool("demo", "--json");
        Assert.True(exit == 0, error);
        var result = Value.FromJson(output.Trim());
        Assert.True(result["ok"].AsBool());
        Assert.Equal(137, result["killed_exit"].AsInt64());
        // The kill is sent at the half; on a busy machine one more acknowledgement can be in the pipe by then, and it counts.
        Assert.InRange(result["acknowledged"].AsInt64(), result["commits"].AsInt64() / 2, result["commits"].AsInt64() - 1);
        Assert.InRange(result["survived"].AsInt64(), result["acknowledged"].AsInt64(), result["commits"].AsInt64() - 1);
        Assert.Equal(result["commits"].AsInt64(), result["survived"].AsInt64() + result["resumed_commits"].AsInt64());
        Assert.All(result["runs"].AsArray(), run => Assert.True(run["orphaned"].AsBool()));
    }

    [Fact]
    public void The_demo_is_readable_without_a_terminal()
    {
        var (exit, output, error) = RunTool("demo");
        Assert.True(exit == 0, error);
        Assert.DoesNotContain('\u001b', output);
        Assert.All(output.Split('\n'), line => Assert.True(line.TrimEnd('\r').Length <= 100, line));
        Assert.Contains("Nothing that was acknowledged was lost.", output, StringComparison.Ordinal);
        Assert.Contains("was killed here", output, StringComparison.Ordinal);
    }

    [Fact]
    [Trait("Promise", "G1")]
    [Trait("Promise", "G4")]
    public void The_storage_demo_kills_itself_while_compacting_and_nothing_acknowledged_is_lost()
    {
        var (exit, output, error) = RunTool("demo", "storage", "--memories", "20000", "--json");
        Assert.True(exit == 0, error + output);
        var result = Value.FromJson(output.Trim());
        Assert.True(result["ok"].AsBool());
        Assert.Equal(137, result["killed_exit"].AsInt64());
        Assert.Equal(20_000, result["memories"].AsInt64());
        Assert.Equal(Value.Null, result["difference"]);
        Assert.True(result["verified"].AsBool());
        Assert.InRange(
            result["survived_batches"].AsInt64(), result["acknowledged_batches"].AsInt64(), result["acknowledged_batches"].AsInt64() + 1);
    }

    [Fact]
    public void The_storage_demo_is_readable_without_a_terminal()
    {
        var (exit, output, error) = RunTool("demo", "storage", "--memories", "10000");
        Assert.True(exit == 0, error + output);
        Assert.DoesNotContain('\u001b', output);
        Assert.All(output.Split('\n'), line => Assert.True(line.TrimEnd('\r').Length <= 104, line));
        Assert.Contains("Nothing that was acknowledged was lost.", output, StringComparison.Ordinal);
        Assert.Contains("while it was compacting", output, StringComparison.Ordinal);
    }

    [Fact]
    [Trait("Promise", "G10")]
    [Trait("Requirement", "RPL-17")]
    [Trait("Requirement", "RPL-25")]
    public void The_replay_demo_finds_where_agents_part_and_replays_them_with_nothing_live()
    {
        var (exit, output, error) = RunTool("demo", "replay", "--json");
        Assert.True(exit == 0, error + output);
        var result = Value.FromJson(output.Trim());
        Assert.True(result["ok"].AsBool());
        Assert.Equal([24, 24, 24], result["runs"].AsArray().Select(run => run["inputs"].AsInt64()));
        Assert.Equal(Value.Null, result["diffs"][0]["step"]);
        Assert.Equal(1, result["diffs"][1]["step"].AsInt64());
        Assert.StartsWith("insert ", result["diffs"][1]["action_b"].AsString(), StringComparison.Ordinal);
        Assert.Equal(3, result["what_if"]["step"].AsInt64());
        Assert.StartsWith("$.seen.observation ", result["what_if"]["difference"].AsString(), StringComparison.Ordinal);
        Assert.All(result["replays"].AsArray(), run =>
        {
            Assert.Equal(0, run["live"].AsInt64());
            Assert.Equal(run["expected"], run["state_hash"]);
        });
    }

    [Fact]
    public void The_replay_demo_is_readable_without_a_terminal()
    {
        var (exit, output, error) = RunTool("demo", "replay");
        Assert.True(exit == 0, error + output);
        Assert.DoesNotContain('\u001b', output);
        Assert.All(output.Split('\n'), line => Assert.True(line.TrimEnd('\r').Length <= 100, line));
        Assert.Contains("find_file", output, StringComparison.Ordinal);
        Assert.Contains("part at step 1", output, StringComparison.Ordinal);
    }

    [Fact]
    [Trait("Requirement", "JS-21")]
    [Trait("Requirement", "TX-12")]
    [Trait("Requirement", "IDX-9")]
    public void The_documents_demo_has_64_writers_of_one_document_without_a_conflict_and_explains_the_one_that_there_is()
    {
        var (exit, output, error) = RunTool("demo", "documents", "--json");
        Assert.True(exit == 0, error + output);
        var result = Value.FromJson(output.Trim());
        Assert.True(result["ok"].AsBool());
        Assert.Equal(64, result["writers"].AsInt64());
        Assert.Equal((64 * result["rounds"].AsInt64(), 0), (result["commits"].AsInt64(), result["conflicts"].AsInt64()));
        Assert.Equal(result["commits"], result["reviews"]);
        Assert.Equal("$['steps'][3]['owner']", result["conflict"]["region"].AsString());
        Assert.Equal("writer-01", result["conflict"]["changed_by"].AsString());
        Assert.Equal(result["conflict"]["read"].AsInt64() + 1, result["conflict"]["current"].AsInt64());
        Assert.Equal(4, result["conflict"]["taken"].AsInt64());
        Assert.True(result["query"]["right"].AsBool());
        Assert.Equal(8, result["query"]["paths"].Count);
        Assert.InRange(result["record_bytes"].AsInt64(), 1, result["document_bytes"]["begun"].AsInt64() / 20);
        var indexed = result["indexed"];
        Assert.True(indexed["right"].AsBool());
        Assert.Equal(("Scan", 20_001, 0), WayOf(indexed["without"]));
        Assert.Equal(("Index", 12, 12), WayOf(indexed["with"]));
        Assert.True(result["unique"]["right"].AsBool());
        Assert.Contains("'attempt/00010' has it", result["unique"]["refused"].AsString(), StringComparison.Ordinal);
        Assert.True(result["verified"].AsBool());

        static (string, long, long) WayOf(Value way) =>
            (way["kind"].AsString(), way["things_read"].AsInt64(), way["items_read"].AsInt64());
    }

    [Fact]
    public void The_documents_demo_is_readable_without_a_terminal()
    {
        var (exit, output, error) = RunTool("demo", "documents");
        Assert.True(exit == 0, error + output);
        Assert.DoesNotContain('\u001b', output);
        Assert.All(output.Split('\n'), line => Assert.True(line.TrimEnd('\r').Length <= 100, line));
        Assert.Contains("256 commits, each on the device; no conflict", output, StringComparison.Ordinal);
        Assert.Contains("writer-02 sees that writer-01 has it and takes step 4", output, StringComparison.Ordinal);
        Assert.Contains("without an index: Scan, 20,001 documents read;", output, StringComparison.Ordinal);
        Assert.Contains("with the index: Index, 12 documents read behind 12 items;", output, StringComparison.Ordinal);
        Assert.Contains("a second one is refused, and nothing is written", output, StringComparison.Ordinal);
    }

    private static (int Exit, string Output, string Error) RunTool(params string[] args)
    {
        var start = new ProcessStartInfo("dotnet") { RedirectStandardOutput = true, RedirectStandardError = true };
        start.ArgumentList.Add(Path.Combine(AppContext.BaseDirectory, "Cairn.Cli.dll"));
        foreach (var arg in args)
            start.ArgumentList.Add(arg);
        using var process = Process.Start(start)!;
        var error = process.StandardError.ReadToEndAsync();
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output, error.Result);
    }
}
