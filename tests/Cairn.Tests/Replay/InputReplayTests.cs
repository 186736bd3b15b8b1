#pragma warning disable xUnit1051 // what is waited for here comes at once or not at all; cancelling has a test of its own

using Cairn.Tests.Primitives;
using Xunit;

namespace Cairn.Tests.Replay;

/// <summary>The same code runs again on recorded answers: it calls nothing, writes the same, and where it leaves the recording that is
/// told at the right step.</summary>
public class InputReplayTests
{
    public static TheoryData<Durability> Modes => ModeDatabase.Modes;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    // A small agent: three rounds of a model and a tool, a clock, chance, a failure that is answered, and effects of every primitive.
    private sealed class Agent(Run run, Func<string, Value> live)
    {
        internal int Calls { get; private set; }

        internal void Work()
        {
            var history = Value.Array("task");
            for (var round = 0; round < 3; round++)
            {
                var now = Ask(InputKind.Clock, "now");
                var thought = Ask(InputKind.Model, Value.Object(("history", history)));
                string result;
                try
                {
                    result = Ask(InputKind.Tool, Value.Object(("command", thought)), "shell").AsString();
                }
                catch (InputFailedException failed)
                {
                    result = $"failed: {failed.Input.Failure!.Message}";
                }

                history = Value.Array([.. history.AsArray(), thought, result]);
                run.Transact(tx =>
                {
                    tx.Events.Append("result", Value.Object(("at", now), ("text", result)));
                    tx.State.TransitionOrInit("rounds", 1, value => value.AsInt64() + 1);
                    tx.Kv.Put($"round/{round}", history);
                });
                if (Ask(InputKind.Random, "coin").AsInt64() % 2 == 1)
                    run.Kv.Increment("odd", 1);
            }

            run.Complete(history);
        }

        private Value Ask(InputKind kind, Value request, string? name = null) => run.Input(
            kind, request,
            () =>
            {
                Calls++;
                return live(kind.ToString());
            },
            new InputOptions { Name = name });
    }

    private static Func<string, Value> World()
    {
        var n = 0;
        return kind => kind switch
        {
            "Tool" when ++n == 2 => throw new TimeoutException("no answer"),
            "Tool" => $"output {n}",
            "Model" => $"thought {++n}",
            _ => ++n,
        };
    }

    private static Run Record(ModeDatabase world)
    {
        var run = world.Db.Runs.Begin("original", tags: ["agent"], metadata: Value.Object(("task", "x")));
        new Agent(run, World()).Work();
        return run;
    }

    private static Value Nothing(string kind) => throw new InvalidOperationException($"{kind} was called live");

    // Everything that the run wrote, but for sequences, times and salts.
    private static string Writes(Run run) => string.Join('\n', [
        .. run.Events.Since(0, new EventScanOptions { Limit = 1000 }).Select(e => $"{e.Number} {e.Type} {e.Payload}"),
        .. run.Kv.Scan(new ScanOptions { Limit = 1000 }).Select(pair => $"{pair.Key} {pair.Value.Value}"),
        .. run.State.List(new ScanOptions { Limit = 1000 }).Select(name => $"{name} {run.State.Get(name)!.Value.Value} "
            + $"{run.State.Get(name)!.Value.Counter}"),
        $"{run.Status} {run.Info.Result} {string.Join(',', run.Info.Tags)} {run.Info.Metadata}",
    ]);

    [Theory]
    [MemberData(nameof(Modes))]
    [Trait("Requirement", "RPL-22")]
    public void A_replay_calls_nothing_and_writes_the_same(Durability mode)
    {
        using var world = new ModeDatabase(mode);
        var original = Record(world);
        world.Reopen();
        original = world.Db.Runs.Get("original")!;
        using var replay = world.Db.Runs.ReplayInputs(original.Id, new InputReplayOptions { Name = "again" });

        var agent = new Agent(replay.Run, Nothing);
        agent.Work();

        Assert.Equal(0, agent.Calls);
        Assert.True(replay.Report.IsWhole);
        Assert.Equal((12L, 0L, 0L), (replay.Report.Used, replay.Report.Live, replay.Report.Substituted));
        Assert.Equal(Writes(original), Writes(replay.Run));
        Assert.Equal("again", replay.Run.Name);
    }

    [Fact]
    [Trait("Requirement", "RPL-22")]
    public void A_replay_of_a_replay_writes_the_same()
    {
        using var world = new ModeDatabase(Durability.InMemory);
        var original = Record(world);
        var first = world.Db.Runs.ReplayInputs(original.Id);
        new Agent(first.Run, Nothing).Work();
        first.Dispose();
        using var second = world.Db.Runs.ReplayInputs(first.Run.Id);
        new Agent(second.Run, Nothing).Work();
        Assert.Equal(Writes(original), Writes(second.Run));
    }

    [Fact]
    [Trait("Requirement", "RPL-23")]
    public void Strict_throws_at_the_step_that_differs_with_both_sides()
    {
        using var world = new ModeDatabase(Durability.InMemory);
        var original = Record(world);
        using var replay = world.Db.Runs.ReplayInputs(
            original.Id, new InputReplayOptions { Substitutions = [InputSubstitution.At(2, "another output")] });
        var agent = new Agent(replay.Run, Nothing);

        var divergence = Assert.Throws<ReplayDivergenceException>(agent.Work);

        // Input 2 is the first answer of the tool; the model is asked with it at input 5.
        Assert.Equal((5L, InputKind.Model), (divergence.Step, divergence.Kind));
        Assert.Equal("output 3", divergence.Expected!.Request!.Value["history"][2].AsString());
        Assert.Equal("another output", divergence.Actual!.Request!.Value["history"][2].AsString());
        Assert.Equal("$.history[2] differs from character 0 on", divergence.Difference);
        Assert.DoesNotContain("another output", divergence.Message, StringComparison.Ordinal);
        Assert.Equal((ErrorCode.ReplayDivergence, false), (divergence.Code, divergence.IsTransient));
        Assert.Same(divergence, Assert.Throws<ReplayDivergenceException>(() => replay.Run.Input(InputKind.Clock, "now", () => 1)));
        Assert.Same(divergence, replay.Report.Divergence);
        Assert.Equal([5L, 6, 7, 8, 9, 10, 11], replay.Report.LeftOver);
        Assert.Equal((4L, 1L), (replay.Report.Used, replay.Report.Substituted));
        Assert.Equal(0, agent.Calls);
    }

    [Fact]
    [Trait("Requirement", "RPL-23")]
    public void Lenient_goes_on_live_and_marks_every_later_input()
    {
        using var world = new ModeDatabase(Durability.InMemory);
        var original = Record(world);
        using var replay = world.Db.Runs.ReplayInputs(original.Id, new InputReplayOptions
        {
            Mode = ReplayMode.Lenient,
            Substitutions = [InputSubstitution.At(2, "another output")],
        });
        var agent = new Agent(replay.Run, kind => kind is "Clock" or "Random" ? 7 : $"live {kind}");
        agent.Work();
        replay.Run.CommitInputs();

        var marks = replay.Run.ListInputs().Select(input => input.Mark).ToList();
        Assert.Equal(InputMark.Substituted, marks[2]);
        Assert.All([marks[0], marks[1], marks[3], marks[4]], mark => Assert.Equal(InputMark.Recorded, mark));
        Assert.All(marks.Skip(5), mark => Assert.Equal(InputMark.Live, mark));
        Assert.Equal(7, agent.Calls);
        Assert.Equal(7, replay.Report.Live);
        Assert.Equal(5, replay.Report.Divergence!.Step);
        Assert.False(replay.Report.IsWhole);
    }

    [Fact]
    [Trait("Requirement", "RPL-24")]
    public void Inputs_are_substituted_by_ordinal_kind_or_predicate()
    {
        using var world = new ModeDatabase(Durability.InMemory);
        var original = Record(world);
        using (var replay = world.Db.Runs.ReplayInputs(original.Id, new InputReplayOptions
        {
            Substitutions =
            [
                InputSubstitution.Of(InputKind.Random, recorded => recorded.Answer!.Value.AsInt64() + 1),
                InputSubstitution.Where(input => input.Kind == InputKind.Clock && input.Ordinal > 3, _ => 1234),
            ],
        }))
        {
            new Agent(replay.Run, Nothing).Work();
            Assert.Equal((5L, true), (replay.Report.Substituted, replay.Report.IsWhole));
            Assert.Equal(1234, replay.Run.Events.ByType("result")[1].Payload!.Value["at"].AsInt64());
            Assert.NotEqual(original.Kv.Get("odd"), replay.Run.Kv.Get("odd"));
        }

        using (var replay = world.Db.Runs.ReplayInputs(original.Id, new InputReplayOptions
        {
            Substitutions = [InputSubstitution.LiveOf(InputKind.Random), InputSubstitution.LiveAt(0), InputSubstitution.LiveWhere(
                input => input.Ordinal == 4)],
        }))
        {
            var agent = new Agent(replay.Run, kind => 2);
            agent.Work();
            Assert.Equal((5L, 5), (replay.Report.Live, agent.Calls));
            Assert.Equal(InputMark.Live, replay.Run.ListInputs()[0].Mark);
            Assert.False(replay.Run.Kv.Exists("odd"));
        }
    }

    // A chain of substitutes by ordinal: what is asked after the first differs, and each is taken all the same.
    [Fact]
    [Trait("Requirement", "RPL-24")]
    public void A_substitute_by_ordinal_does_not_need_the_recorded_request()
    {
        using var world = new ModeDatabase(Durability.InMemory);
        var original = Record(world);
        using var replay = world.Db.Runs.ReplayInputs(original.Id, new InputReplayOptions
        {
            Substitutions = [InputSubstitution.At(1, "another thought"), InputSubstitution.At(2, "its output"),
                InputSubstitution.At(5, "stop"), InputSubstitution.At(6, "stopped"), InputSubstitution.At(9, "x"),
                InputSubstitution.At(10, "y")],
        });
        new Agent(replay.Run, Nothing).Work();
        Assert.True(replay.Report.IsWhole);
        Assert.Equal(6, replay.Report.Substituted);
    }

    [Fact]
    public void Substitutes_that_name_no_input_are_refused()
    {
        using var world = new ModeDatabase(Durability.InMemory);
        var original = Record(world);
        var runs = world.Db.Runs.Count();
        foreach (var substitutions in new InputSubstitution[][]
        {
            [InputSubstitution.At(12, 1)], [InputSubstitution.At(-1, 1)], [InputSubstitution.At(3, 1), InputSubstitution.LiveAt(3)],
        })
        {
            var refused = Assert.Throws<CairnException>(
                () => world.Db.Runs.ReplayInputs(original.Id, new InputReplayOptions { Substitutions = substitutions }));
            Assert.Equal(ErrorCode.InvalidArgument, refused.Code);
        }

        Assert.Equal(
            ErrorCode.NotFound, Assert.Throws<CairnException>(() => world.Db.Runs.ReplayInputs(new RunId(Guid.NewGuid()))).Code);
        Assert.Equal(
            ErrorCode.AlreadyExists,
            Assert.Throws<CairnException>(
                () => world.Db.Runs.ReplayInputs(original.Id, new InputReplayOptions { Name = "original" })).Code);
        Assert.Equal(runs, world.Db.Runs.Count());
    }

    [Fact]
    [Trait("Requirement", "RPL-23")]
    public void What_is_left_over_and_what_is_asked_beyond_the_end_is_told()
    {
        using var world = new ModeDatabase(Durability.InMemory);
        var original = world.Db.Runs.Begin();
        for (var i = 0; i < 3; i++)
            original.Input(InputKind.Tool, i, () => i);
        original.Complete();

        using (var replay = world.Db.Runs.ReplayInputs(original.Id))
        {
            replay.Run.Input(InputKind.Tool, 0, () => 9);
            Assert.Equal([1L, 2], replay.Report.LeftOver);
            Assert.False(replay.Report.IsWhole);
            Assert.Null(replay.Report.Divergence);
        }

        using (var replay = world.Db.Runs.ReplayInputs(original.Id))
        {
            for (var i = 0; i < 3; i++)
                replay.Run.Input(InputKind.Tool, i, () => 9);
            var end = Assert.Throws<ReplayDivergenceException>(() => replay.Run.Input(InputKind.Tool, 3, () => 9));
            Assert.Equal((3L, null), (end.Step, end.Expected));
        }
    }

    [Fact]
    public void A_redacted_input_cannot_be_replayed_but_substituted()
    {
        using var world = new ModeDatabase(Durability.Buffered);
        var original = Record(world);
        world.Db.Default.Input(InputKind.User, "who", () => "a name");
        world.Db.Default.CommitInputs();
        world.Db.Default.Events.Redact(0, "a name");
        Assert.Equal((true, 0L), (world.Db.Default.ListInputs()[0].IsRedacted, world.Db.Default.ListInputs()[0].Ordinal));

        using var replay = world.Db.Runs.ReplayInputs(RunId.Default);
        var refused = Assert.Throws<ReplayDivergenceException>(() => replay.Run.Input(InputKind.User, "who", () => 1));
        Assert.Contains("redacted", refused.Difference, StringComparison.Ordinal);
        using var substituted = world.Db.Runs.ReplayInputs(
            RunId.Default, new InputReplayOptions { Substitutions = [InputSubstitution.At(0, "somebody")] });
        Assert.Equal("somebody", substituted.Run.Input(InputKind.User, "who", () => 1).AsString());
        Assert.NotNull(original);
    }

    // ---- order ----------------------------------------------------------------------------------------------------------------------

    [Fact]
    [Trait("Requirement", "RPL-22")]
    public async Task Inputs_that_overlapped_may_come_in_another_order_and_others_may_not()
    {
        using var world = new ModeDatabase(Durability.InMemory);
        var original = world.Db.Runs.Begin();
        await original.InputAsync(InputKind.Tool, "first", _ => ValueTask.FromResult<Value>(0), cancellationToken: Token);
        var (slow, quick) = (new TaskCompletionSource<Value>(), new TaskCompletionSource<Value>());
        var a = original.InputAsync(InputKind.Tool, "a", _ => new ValueTask<Value>(slow.Task), cancellationToken: Token).AsTask();
        var b = original.InputAsync(InputKind.Tool, "b", _ => new ValueTask<Value>(quick.Task), cancellationToken: Token).AsTask();
        quick.SetResult("b");
        await b;
        slow.SetResult("a");
        await a;
        await original.InputAsync(InputKind.Tool, "last", _ => ValueTask.FromResult<Value>(3), cancellationToken: Token);
        original.CommitInputs();
        Assert.Equal(["first", "b", "a", "last"], original.ListInputs().Select(input => input.Request!.Value.AsString()));
        Assert.Equal([0L, 1, 1, 3], original.ListInputs().Select(input => input.AnsweredBefore));

        foreach (var order in new[] { "first a b last", "first b a last" })
        {
            using var replay = world.Db.Runs.ReplayInputs(original.Id);
            foreach (var request in order.Split(' '))
                replay.Run.Input(InputKind.Tool, request, () => throw new InvalidOperationException());
            Assert.True(replay.Report.IsWhole);
        }

        foreach (var order in new[] { "first last", "a", "first a last" })
        {
            using var replay = world.Db.Runs.ReplayInputs(original.Id);
            var requests = order.Split(' ');
            foreach (var request in requests[..^1])
                replay.Run.Input(InputKind.Tool, request, () => throw new InvalidOperationException());
            Assert.Throws<ReplayDivergenceException>(
                () => replay.Run.Input(InputKind.Tool, requests[^1], () => throw new InvalidOperationException()));
        }
    }

    [Fact]
    public async Task Streams_are_replayed_piece_by_piece()
    {
        using var world = new ModeDatabase(Durability.Buffered);
        var original = world.Db.Runs.Begin();
        await ReadAsync(original, "whole", 3, 9);
        await ReadAsync(original, "cut", 9, 2);
        await ReadAsync(original, "broken", -2, 9);
        original.Complete();

        using (var replay = world.Db.Runs.ReplayInputs(original.Id))
        {
            await ReadAsync(replay.Run, "whole", 0, 9);
            await ReadAsync(replay.Run, "cut", 0, 2);
            await ReadAsync(replay.Run, "broken", 0, 9);
            replay.Run.Complete();
            Assert.True(replay.Report.IsWhole);
            Assert.Equal(Writes(original), Writes(replay.Run));
        }

        using var further = world.Db.Runs.ReplayInputs(original.Id);
        await ReadAsync(further.Run, "whole", 0, 9);
        await Assert.ThrowsAsync<ReplayDivergenceException>(() => ReadAsync(further.Run, "cut", 0, 5));
    }

    private static async Task ReadAsync(Run run, string request, int length, int most)
    {
        var read = new List<Value>();
        try
        {
            await foreach (var item in run.InputStreamAsync(InputKind.Model, request, _ => Count(length), cancellationToken: Token))
            {
                read.Add(item);
                if (read.Count == most)
                    break;
            }
        }
        catch (InputFailedException failed)
        {
            read.Add(failed.Input.Failure!.Message);
        }

        run.Kv.Put(request, Value.Array([.. read]));
    }

    private static async IAsyncEnumerable<Value> Count(int to)
    {
        Assert.NotEqual(0, to);
        for (var i = 1; i <= Math.Abs(to); i++)
        {
            await Task.Yield();
            yield return i;
        }

        if (to < 0)
            throw new InvalidOperationException("no more");
    }

    // ---- transactions and elsewhere -------------------------------------------------------------------------------------------------

    [Fact]
    public void An_abandoned_input_is_passed_over()
    {
        using var world = new ModeDatabase(Durability.InMemory);
        var other = world.Db.Runs.Begin();
        other.Kv.Put("k", 0);
        var original = world.Db.Runs.Begin();
        Work(original, interfere: true);
        Assert.Equal(InputMark.Abandoned, original.ListInputs()[0].Mark);

        using var replay = world.Db.Runs.ReplayInputs(original.Id);
        Work(replay.Run, interfere: false);
        Assert.True(replay.Report.IsWhole);
        Assert.Equal(original.Kv.Get("effect"), replay.Run.Kv.Get("effect"));

        void Work(Run run, bool interfere) => world.Db.Transact([run, other], tx =>
        {
            var seen = tx.On(other).Kv.Get("k")!.Value.AsInt64();
            var answer = run.Input(InputKind.Model, $"saw {seen}", () => seen + 10);
            if (interfere && seen == 0)
            {
                var thread = new Thread(() => other.Kv.Put("k", 1));
                thread.Start();
                thread.Join();
            }

            tx.On(run).Kv.Put("effect", answer);
        });
    }

    [Fact]
    public void An_exported_run_can_be_replayed_where_it_was_imported()
    {
        using var world = new ModeDatabase(Durability.InMemory);
        var original = Record(world);
        using var text = new MemoryStream();
        world.Db.Export(text);
        text.Position = 0;
        using var there = new ModeDatabase(Durability.Buffered);
        there.Db.Import(text);
        var imported = there.Db.Runs.Get("original")!;
        Assert.Equal(Writes(original), Writes(imported));
        using var replay = there.Db.Runs.ReplayInputs(imported.Id);
        new Agent(replay.Run, Nothing).Work();
        Assert.Equal(Writes(original), Writes(replay.Run));
    }

    [Fact]
    public void An_import_takes_no_input_that_is_none()
    {
        using var world = new ModeDatabase(Durability.InMemory);
        Record(world);
        using var text = new MemoryStream();
        world.Db.Export(text);
        var bad = System.Text.Encoding.UTF8.GetString(text.ToArray()).Replace("\"request\":", "\"asked\":", StringComparison.Ordinal);
        using var there = new ModeDatabase(Durability.InMemory);
        using var source = new MemoryStream(System.Text.Encoding.UTF8.GetBytes(bad));
        Assert.Equal(ErrorCode.InvalidArgument, Assert.Throws<CairnException>(() => there.Db.Import(source)).Code);
    }

    [Fact]
    public void Behind_its_replay_a_run_asks_live()
    {
        using var world = new ModeDatabase(Durability.InMemory);
        var original = world.Db.Runs.Begin();
        original.Input(InputKind.Tool, 0, () => 0);
        original.CommitInputs();
        var replay = world.Db.Runs.ReplayInputs(original.Id);
        Assert.Equal(0, replay.Run.Input(InputKind.Tool, 0, () => 5).AsInt64());
        replay.Dispose();
        Assert.Single(replay.Run.ListInputs());
        Assert.Equal(5, replay.Run.Input(InputKind.Tool, 1, () => 5).AsInt64());
        replay.Run.CommitInputs();
        Assert.Equal(InputMark.Recorded, replay.Run.ListInputs()[1].Mark);
    }
}
