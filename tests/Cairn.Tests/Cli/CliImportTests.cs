using Cairn.Cli.Demonstration;
using Cairn.Cli.SweAgent;
using Xunit;

namespace Cairn.Tests.Cli;

public class CliImportTests
{
    private static string Sample(string name) => Demo.SamplePath(name);

    [Fact]
    public void A_trajectory_becomes_a_run_with_everything_in_it()
    {
        using var bed = new CliBed();
        var imported = bed.Json("import", "swe-agent", Sample("marshmallow-1867-function-calling.traj"), Sample("pydicom-1458.traj"));
        Assert.Equal([11, 12], imported.Select(run => run["steps"].AsInt64()));
        var info = bed.Json("run", "show", "pydicom-1458")[0];
        Assert.Equal("Completed", info["status"].AsString());
        Assert.Equal("""["swe-agent"]""", info["tags"].ToJson());
        Assert.Equal("submitted", info["result"]["exit_status"].AsString());
        Assert.Equal(26, info["events"].AsInt64());
        Assert.Equal("/testbed", bed.Good("state", "get", "working_dir", "--run", "marshmallow-1867-function-calling"));
        Assert.Equal("12", bed.Good("state", "get", "step", "--run", "pydicom-1458"));
        Assert.Equal("submitted", bed.Good("kv", "get", "info/exit_status", "--run", "pydicom-1458"));
        Assert.Equal("25", bed.Good("trace", "count", "--run", "pydicom-1458"));
        Assert.Equal("valid: 26 events", bed.Good("events", "verify", "--run", "pydicom-1458"));
        using var database = CairnDatabase.Open(bed.Path);
        Assert.Null(TrajectoryImport.FirstDifference(database.Runs.Get("pydicom-1458")!, Trajectory.Read(Sample("pydicom-1458.traj"))));
    }

    [Fact]
    public void A_file_without_steps_gives_its_messages()
    {
        using var bed = new CliBed();
        bed.Good("import", "swe-agent", Sample("function_calling_simple.traj"));
        Assert.Equal("12", bed.Good("events", "count", "--type", "message", "--run", "function_calling_simple"));
        Assert.Equal("tool", bed.Json("events", "get", "4", "--run", "function_calling_simple")[0]["payload"]["role"].AsString());
    }

    [Theory]
    [InlineData("{\"trajectory\":[{\"action\":", 3)]
    [InlineData("[]", 3)]
    [InlineData("{}", 3)]
    [InlineData("{\"trajectory\":[1]}", 3)]
    [InlineData("{\"history\":[{\"a\":1,\"a\":2}]}", 3)]
    public void A_broken_file_is_named_and_nothing_is_imported(string content, int exit)
    {
        using var bed = new CliBed();
        File.WriteAllText(bed["broken.traj"], content);
        var result = bed.Run("import", "swe-agent", Sample("pydicom-1458.traj"), bed["broken.traj"]);
        Assert.Equal(exit, result.Exit);
        Assert.Contains("broken.traj", result.Error, StringComparison.Ordinal);
        Assert.False(Directory.Exists(bed.Path));
        Assert.Equal(1, bed.Run("import", "swe-agent", bed["nowhere.traj"]).Exit);
    }

    [Fact]
    public void What_the_engine_refuses_in_the_middle_leaves_no_half_run()
    {
        using var bed = new CliBed();
        var name = new string('n', 1025);
        File.WriteAllText(bed["odd.traj"], $$$"""{"trajectory":[{"action":"a"},{"action":"b","state":{"{{{name}}}":1}}]}""");
        var result = bed.Run("import", "swe-agent", bed["odd.traj"]);
        Assert.Equal(3, result.Exit);
        Assert.Contains("odd.traj", result.Error, StringComparison.Ordinal);
        Assert.Equal("0", bed.Good("run", "count"));
    }

    [Fact]
    public void An_interrupted_import_goes_on_where_it_was()
    {
        using var bed = new CliBed();
        var source = Trajectory.Read(Sample("pydicom-1458.traj"));
        using (var database = CairnDatabase.Open(bed.Path))
        {
            var import = TrajectoryImport.Begin(database, source);
            for (var i = 0; i < 5; i++)
                import.MoveNext(out _);
            Assert.Null(TrajectoryImport.FirstDifference(database.Runs.Get("pydicom-1458")!, source));
        }

        Assert.Equal(4, bed.Run("import", "swe-agent", Sample("pydicom-1458.traj")).Exit);
        bed.Good("import", "swe-agent", Sample("pydicom-1458.traj"), "--resume");
        using var again = CairnDatabase.Open(bed.Path);
        Assert.Null(TrajectoryImport.FirstDifference(again.Runs.Get("pydicom-1458")!, source));
        Assert.Equal(RunStatus.Completed, again.Runs.Get("pydicom-1458")!.Status);
    }

    [Theory]
    [InlineData("pydicom-1458", 12, 2 * 12 + 2)]
    [InlineData("marshmallow-1867-default", 11, 2 * 11 + 2)]
    [InlineData("function_calling_simple", 12, 12 + 2)]
    [Trait("Requirement", "RPL-20")]
    [Trait("Requirement", "RPL-25")]
    public void A_trajectory_becomes_a_recording_that_replays_with_nothing_live(string name, int steps, int commits)
    {
        using var bed = new CliBed();
        var imported = bed.Json("import", "swe-agent", Sample(name + ".traj"), "--as-recording");
        Assert.Equal(steps, imported[0]["steps"].AsInt64());
        Assert.Equal($"{steps}", bed.Good("state", "get", "step", "--run", name));
        Assert.True(bed.Json("run", "replay", name)[0]["equal"].AsBool());
        using var database = CairnDatabase.Open(bed.Path);
        var run = database.Runs.Get(name)!;
        Assert.Equal(commits + 1, run.StepCount);                          // and the beginning of the run
        Assert.Equal(commits, run.ListInputs().Count);
        using var replay = database.Runs.ReplayInputs(run.Id);
        Assert.Equal(commits, TrajectoryRecording.Replay(replay.Run));
        Assert.True(replay.Report.IsWhole);
        using var diff = database.Diff(run.Id, replay.Run.Id);
        Assert.True(diff.Summarize().IsEmpty);
        Assert.Null(diff.FirstDivergence());
    }

    [Fact]
    [Trait("Requirement", "RPL-20")]
    public void An_interrupted_recording_goes_on_where_it_was()
    {
        var source = Trajectory.Read(Sample("pydicom-1458.traj"));
        using var whole = CairnDatabase.OpenInMemory();
        for (var import = TrajectoryRecording.Begin(whole, source); import.MoveNext(out _);)
        {
        }

        for (var done = 0; done <= TrajectoryRecording.TotalOf(source); done += 5)
        {
            using var bed = new CliBed();
            using (var database = CairnDatabase.Open(bed.Path))
            {
                var import = TrajectoryRecording.Begin(database, source);
                for (var i = 0; i < done; i++)
                    Assert.True(import.MoveNext(out _));
            }

            Assert.Equal(4, bed.Run("import", "swe-agent", Sample("pydicom-1458.traj"), "--resume").Exit);
            bed.Good("import", "swe-agent", Sample("pydicom-1458.traj"), "--as-recording", "--resume");
            using var again = CairnDatabase.Open(bed.Path);
            Assert.Equal(Asked(whole), Asked(again));
            Assert.Equal(RunStatus.Completed, again.Runs.Get("pydicom-1458")!.Status);
        }

        static List<string> Asked(CairnDatabase database) => [
            .. database.Runs.Get("pydicom-1458")!.ListInputs()
                .Select(input => $"{input.Kind} {input.Name} {input.RequestHash} {input.Answer}"),
        ];
    }

    [Fact]
    [Trait("Requirement", "RPL-23")]
    public void Another_observation_in_a_recording_is_found_at_the_next_question()
    {
        using var database = CairnDatabase.OpenInMemory();
        var import = TrajectoryRecording.Begin(database, Trajectory.Read(Sample("pydicom-1458.traj")));
        while (import.MoveNext(out _))
        {
        }

        var other = Value.Object(("observation", "no such file"), ("state", Value.Object()));
        using var replay = database.Runs.ReplayInputs(
            import.Run, new InputReplayOptions { Substitutions = [InputSubstitution.At(6, other)] });
        var divergence = Assert.Throws<ReplayDivergenceException>(() => TrajectoryRecording.Replay(replay.Run));
        Assert.Equal((7, InputKind.Model), (divergence.Step, divergence.Kind));
        Assert.StartsWith("$.seen.observation ", divergence.Difference, StringComparison.Ordinal);
    }

    // Once a run that was closed between an answer and what it causes was asked again, and had the input twice.
    [Fact]
    [Trait("Requirement", "RPL-20")]
    public void An_answer_that_is_there_without_its_effect_is_not_asked_again()
    {
        using var bed = new CliBed();
        var source = Trajectory.Read(Sample("pydicom-1458.traj"));
        using (var database = CairnDatabase.Open(bed.Path))
        {
            var import = TrajectoryRecording.Begin(database, source);
            for (var i = 0; i < 3; i++)
                import.MoveNext(out _);
            import.Ask();
        }

        bed.Good("import", "swe-agent", Sample("pydicom-1458.traj"), "--as-recording", "--resume");
        using var again = CairnDatabase.Open(bed.Path);
        var run = again.Runs.Get("pydicom-1458")!;
        Assert.Equal(26, run.ListInputs().Count);
        using var replay = again.Runs.ReplayInputs(run.Id);
        TrajectoryRecording.Replay(replay.Run);
        Assert.True(replay.Report.IsWhole);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(6)]
    [InlineData(25)]
    [Trait("Requirement", "RPL-24")]
    [Trait("Requirement", "RPL-25")]
    public void A_recording_is_replayed_from_a_fork_at_any_input(int from)
    {
        using var bed = new CliBed();
        using var database = CairnDatabase.Open(bed.Path);
        var import = TrajectoryRecording.Begin(database, Trajectory.Read(Sample("pydicom-1458.traj")));
        while (import.MoveNext(out _))
        {
        }

        var run = database.Runs.Get(import.Run)!;
        using (var replay = database.Runs.ReplayInputs(run.Id, new InputReplayOptions { From = from }))
        {
            Assert.Equal(from, replay.Run.ListInputs().Count);
            Assert.Equal(26, TrajectoryRecording.Replay(replay.Run));
            Assert.Equal((26 - from, true), ((int)replay.Report.Used, replay.Report.IsWhole));
            using var diff = database.Diff(run.Id, replay.Run.Id);
            Assert.True(diff.Summarize().IsEmpty);
        }

        if (from == 6)
        {
            var other = Value.Object(("observation", "no such file"), ("state", Value.Object()));
            using var what = database.Runs.ReplayInputs(
                run.Id, new InputReplayOptions { From = 6, Substitutions = [InputSubstitution.At(6, other)] });
            Assert.Equal(7, Assert.Throws<ReplayDivergenceException>(() => TrajectoryRecording.Replay(what.Run)).Step);
            Assert.Equal(InputMark.Substituted, what.Run.ListInputs()[6].Mark);
        }

        Refused(new InputReplayOptions { From = 26 });
        Refused(new InputReplayOptions { From = -1 });
        if (from > 0)
            Refused(new InputReplayOptions { From = from, Substitutions = [InputSubstitution.At(from - 1, "x")] });

        void Refused(InputReplayOptions options)
        {
            var runs = database.Runs.Count();
            Assert.Equal(ErrorCode.InvalidArgument, Assert.Throws<CairnException>(() => database.Runs.ReplayInputs(run.Id, options)).Code);
            Assert.Equal(runs, database.Runs.Count());
        }
    }

    [Fact]
    public void A_recording_that_the_engine_refuses_leaves_no_half_run()
    {
        using var bed = new CliBed();
        var (action, observation) = (new string('b', 9 << 20), new string('x', 9 << 20));       // each fits, together they do not
        File.WriteAllText(
            bed["odd.traj"], $$$"""{"trajectory":[{"action":"a"},{"action":"{{{action}}}","observation":"{{{observation}}}"}]}""");
        var result = bed.Run("import", "swe-agent", bed["odd.traj"], "--as-recording", "--json");
        Assert.Equal(3, result.Exit);
        Assert.Equal("LimitExceeded", result.ErrorJson["code"].AsString());
        Assert.Equal("0", bed.Good("run", "count"));
    }

    [Fact]
    public void Comparing_sees_a_half_step()
    {
        using var bed = new CliBed();
        var source = Trajectory.Read(Sample("pydicom-1458.traj"));
        using var database = CairnDatabase.Open(bed.Path);
        var import = TrajectoryImport.Begin(database, source);
        for (var i = 0; i < 3; i++)
            import.MoveNext(out _);
        var run = database.Runs.Get("pydicom-1458")!;
        Assert.Null(TrajectoryImport.FirstDifference(run, source));
        run.Events.Append("action", Value.Object());
        Assert.NotNull(TrajectoryImport.FirstDifference(run, source));
    }

    [Fact]
    public void Traces_every_verb()
    {
        using var bed = new CliBed();
        var root = bed.Good("trace", "record", "custom", "{\"name\":\"job\",\"data\":{\"n\":1}}", "--tag", "top", "--meta", "{\"m\":1}");
        var thought = bed.Good("trace", "record", "thought", "{\"content\":\"hm\",\"confidence\":0.5}", "--parent", root);
        var call = bed.Good("trace", "record", "tool-call", "{\"tool\":\"crm\",\"arguments\":{\"id\":1},\"result\":null}", "--parent",
            thought, "--tag", "crm", "--duration", "250ms", "--model", "m1", "--tokens-in", "5");
        bed.Good("trace", "record", "decision", "{\"question\":\"q\",\"options\":[\"a\",\"b\"],\"chosen\":\"a\"}");
        bed.Good("trace", "record", "query", "{\"kind\":\"text\",\"query\":\"refund\",\"resultCount\":3}");
        bed.Good("trace", "record", "error", "{\"kind\":\"io\",\"message\":\"no\",\"recoverable\":true}");
        Assert.Equal(3, bed.Run("trace", "record", "decision", "{\"question\":\"q\",\"options\":[\"a\"],\"chosen\":\"c\"}").Exit);
        Assert.Equal(3, bed.Run("trace", "record", "thought", "{\"contents\":\"x\"}").Exit);
        Assert.Equal(3, bed.Run("trace", "record", "thought", "{\"content\":\"x\",\"extra\":1}").Exit);
        Assert.Equal(1, bed.Run("trace", "record", "thought", "{\"content\":\"x\"}", "--parent", Guid.NewGuid().ToString()).Exit);
        var got = bed.Json("trace", "get", call)[0];
        Assert.Equal("crm", got["step"]["tool"].AsString());
        Assert.Equal(Value.Null, got["step"]["result"]);
        Assert.Equal(250_000, got["duration_us"].AsInt64());
        Assert.Equal(5, got["tokens_in"].AsInt64());
        Assert.Equal(1, bed.Run("trace", "get", Guid.NewGuid().ToString()).Exit);
        Assert.Equal(2, bed.Run("trace", "get", "nonsense").Exit);
        Assert.Equal("true", bed.Good("trace", "exists", call));
        Assert.Equal("6", bed.Good("trace", "count"));
        Assert.Equal(6, bed.Json("trace", "list").Count);
        Assert.Equal(4, bed.Json("trace", "roots").Count);
        Assert.Equal(thought, bed.Json("trace", "children", root)[0]["id"].AsString());
        Assert.Equal(call, Assert.Single(bed.Json("trace", "by-type", "tool-call"))["id"].AsString());
        Assert.Equal(root, Assert.Single(bed.Json("trace", "by-tag", "top"))["id"].AsString());
        Assert.Equal(6, bed.Json("trace", "by-time", "2000-01-01T00:00:00Z", "2200-01-01T00:00:00Z").Count);
        Assert.Empty(bed.Json("trace", "by-time", "2000-01-01T00:00:00Z", "2001-01-01T00:00:00Z"));
        var tree = bed.Json("trace", "tree", root)[0];
        Assert.Equal(3, tree["count"].AsInt64());
        Assert.Equal(call, tree["root"]["children"][0]["children"][0]["id"].AsString());
        Assert.Contains("└── thought: hm", bed.Good("trace", "tree", root), StringComparison.Ordinal);
        Assert.Equal("redacted", bed.Good("trace", "redact", thought));
        Assert.Equal(Value.Null, bed.Json("trace", "get", thought)[0]["step"]);
        Assert.Equal(1, bed.Run("trace", "redact", thought).Exit);
    }
}
