using Cairn.Cli;
using Cairn.Cli.Demonstration;
using Xunit;

namespace Cairn.Tests.Cli;

/// <summary><c>run export</c>, <c>run import</c> and <c>run inputs</c>.</summary>
public sealed class CliRunFileTests : IDisposable
{
    private readonly CliBed _bed = new();

    public void Dispose() => _bed.Dispose();

    private static CliResult Elsewhere(string directory, params string[] args) =>
        CliBed.RunBare("", ["--db", directory, "--json", .. args]);

    [Fact]
    [Trait("Requirement", "OPS-6")]
    public void A_run_goes_into_a_file_and_comes_back_here_and_elsewhere()
    {
        const string name = "pydicom-1458";
        _bed.Good("import", "swe-agent", Demo.SamplePath(name + ".traj"), "--as-recording");
        var written = Assert.Single(_bed.Json("run", "export", name, _bed["run.cairnrun"]));
        Assert.Equal(new FileInfo(_bed["run.cairnrun"]).Length, written["bytes"].AsInt64());
        Assert.Equal(ExitCodes.State, _bed.Run("run", "export", name, _bed["run.cairnrun"]).Exit);
        Assert.Equal(ExitCodes.State, _bed.Run("run", "import", _bed["run.cairnrun"]).Exit);

        var copied = Assert.Single(_bed.Json("run", "import", _bed["run.cairnrun"], "--name", "copy"));
        Assert.Equal((true, written["run"]), (copied["exact"].AsBool(), copied["original"]));
        Assert.NotEqual(written["run"], copied["run"]);
        Assert.Equal(written["content_hash"], copied["content_hash"]);
        Assert.StartsWith("valid:", _bed.Good("events", "verify", "--run", "copy"), StringComparison.Ordinal);
        Assert.Contains("nothing differs", _bed.Good("run", "diff", name, "copy").Split('\n'));

        var moved = Elsewhere(_bed["other"], "run", "import", _bed["run.cairnrun"]);
        Assert.Equal((0, written["run"]), (moved.Exit, Value.FromJson(moved.Out)["run"]));
        Assert.Equal(0, Elsewhere(_bed["other"], "run", "replay", name).Exit);
        Assert.Equal(ExitCodes.Negative, _bed.Run("run", "export", "nobody", _bed["none"]).Exit);
        Assert.False(File.Exists(_bed["none"]));
    }

    [Fact]
    [Trait("Promise", "G6")]
    public void A_file_that_is_not_as_it_was_written_is_refused_and_changes_nothing()
    {
        _bed.Good("kv", "put", "key", "value");
        _bed.Good("run", "export", "default", _bed["run.cairnrun"]);
        var right = File.ReadAllBytes(_bed["run.cairnrun"]);
        var before = _bed.Json("stat")[0]["sequence"];
        var damaged = right.ToArray();
        damaged[100] ^= 1;
        Refused(ExitCodes.Damaged, "Corruption", damaged);
        Refused(ExitCodes.Damaged, "Corruption", right[..^1]);
        Refused(ExitCodes.Refused, "InvalidArgument", "something else"u8.ToArray());
        Assert.Equal(ExitCodes.Refused, _bed.Run("run", "import", _bed["run.cairnrun"]).Exit);      // `default` needs a name
        Assert.Equal(ExitCodes.Refused, _bed.Run("run", "import", _bed["run.cairnrun"], "--name", new string('n', 257)).Exit);
        Assert.Equal(ExitCodes.Negative, _bed.Run("run", "import", _bed["nowhere"]).Exit);
        Assert.Equal(before, _bed.Json("stat")[0]["sequence"]);

        void Refused(int exit, string code, byte[] bytes)
        {
            File.WriteAllBytes(_bed["bad.cairnrun"], bytes);
            var result = _bed.Run("run", "import", _bed["bad.cairnrun"], "--name", "copy", "--json");
            Assert.Equal((exit, code), (result.Exit, result.ErrorJson["code"].AsString()));
        }
    }

    [Fact]
    [Trait("Requirement", "RPL-20")]
    public void Inputs_are_listed_and_told_one_by_one()
    {
        const string name = "pydicom-1458";
        _bed.Good("import", "swe-agent", Demo.SamplePath(name + ".traj"), "--as-recording");
        Assert.Equal(26, _bed.Json("run", "inputs", name).Count);
        var models = _bed.Json("run", "inputs", name, "--kind", "model", "--limit", "5");
        Assert.Equal([1, 3, 5, 7, 9], models.Select(input => input["ordinal"].AsInt64()));
        var first = Assert.Single(_bed.Json("run", "inputs", name, "1"));
        Assert.Equal(("model", "Recorded"), (first["kind"].AsString(), first["mark"].AsString()));
        Assert.True(first["answer"].TryGetMember("thought", out _));
        Assert.Contains("request hash", _bed.Good("run", "inputs", name, "1"), StringComparison.Ordinal);
        Assert.Equal(ExitCodes.Negative, _bed.Run("run", "inputs", name, "26").Exit);
        Assert.Equal(ExitCodes.Usage, _bed.Run("run", "inputs", name, "1", "--limit", "2").Exit);
        Assert.Equal(ExitCodes.Usage, _bed.Run("run", "inputs", name, "--kind", "oracle").Exit);
        _bed.Good("run", "begin", "empty");
        Assert.Empty(_bed.Json("run", "inputs", "empty"));
    }

    [Fact]
    [Trait("Requirement", "RPL-24")]
    public void A_run_is_forked_at_an_input_with_another_answer_and_code_goes_on_from_there()
    {
        using (var db = CairnDatabase.Open(_bed.Path))
        {
            var run = db.Runs.Begin("order");
            Agent(run, ask: request => request == "state" ? "shipped" : $"live {request}");
            Assert.Equal("refund: no", run.Kv.Get("decision")!.Value.AsString());
        }

        // Two inputs stand in one commit: the one before comes along as it was.
        var made = Assert.Single(_bed.Json("run", "substitute", "order", "2", "--value", "\"lost\"", "--name", "lost"));
        Assert.Equal(
            ("lost", "tool", "shipped", "lost", 2L),
            (made["name"].AsString(), made["kind"].AsString(), made["was"].AsString(), made["answer"].AsString(),
            made["ordinal"].AsInt64()));
        var inputs = _bed.Json("run", "inputs", "lost");
        Assert.Equal(["Recorded", "Recorded", "Substituted"], inputs.Select(input => input["mark"].AsString()));
        Assert.Equal(["live hello", "live failing", "lost"], inputs.Select(input => input["answer"].AsString()));
        Assert.Equal("greeting", _bed.Good("kv", "list", "--run", "lost").Trim());
        using (var db = CairnDatabase.Open(_bed.Path))
        {
            var asked = new List<string>();
            using var replay = db.Runs.ReplayInputs(
                db.Runs.Get("lost")!.Id, new InputReplayOptions { From = 1, Mode = ReplayMode.Lenient });
            Agent(replay.Run, request =>
            {
                asked.Add(request);
                return $"now {request}";
            });
            Assert.Equal(
                ("refund: yes", "now last"),
                (replay.Run.Kv.Get("decision")!.Value.AsString(), replay.Run.Kv.Get("last")!.Value.AsString()));
            Assert.Equal(["last"], asked);
        }

        Assert.Equal(made["id"].AsString(), _bed.Json("run", "show", "lost")[0]["id"].AsString());
        var before = _bed.Json("stat")[0]["sequence"];
        Assert.Equal(ExitCodes.Negative, _bed.Run("run", "substitute", "order", "9", "--value", "1").Exit);
        Assert.Equal(ExitCodes.Negative, _bed.Run("run", "substitute", "nobody", "0", "--value", "1").Exit);
        Assert.Equal(ExitCodes.Usage, _bed.Run("run", "substitute", "order", "2").Exit);
        Assert.Equal(ExitCodes.Refused, _bed.Run("run", "substitute", "order", "2", "--value", "{").Exit);
        Assert.Equal(ExitCodes.State, _bed.Run("run", "substitute", "order", "2", "--value", "1", "--name", "lost").Exit);
        Assert.Equal(before, _bed.Json("stat")[0]["sequence"]);
    }

    // Goes on from what the run holds.
    private static void Agent(Run run, Func<string, string> ask)
    {
        Value Ask(string request) => run.Input(InputKind.Tool, request, () => ask(request));
        if (!run.Kv.Exists("greeting"))
            run.Kv.Put("greeting", Ask("hello"));
        var state = "";
        run.Transact(tx =>
        {
            Ask("failing");
            state = Ask("state").AsString();
            tx.Kv.Put("state", state);
        });
        run.Kv.Put("decision", state == "lost" ? "refund: yes" : "refund: no");
        run.Kv.Put("last", Ask("last"));
    }
}
