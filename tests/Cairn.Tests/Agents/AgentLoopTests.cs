#pragma warning disable xUnit1051 // what is waited for here comes at once or not at all
using Cairn.Agents;
using Microsoft.Extensions.AI;
using Xunit;

namespace Cairn.Tests.Agents;

/// <summary>An agent loop with a scripted model and real tools over a temporary directory: recorded once, replayed offline many times, and
/// a changed answer of a tool found at the step where it matters.</summary>
public sealed class AgentLoopTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("cairn-agent-").FullName;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public void Dispose()
    {
        if (Directory.Exists(_directory))
            Directory.Delete(_directory, recursive: true);
    }

    // Writes notes, lists the directory, reads what is in it, adds up, and says the sum.
    private static ChatMessage Think(IReadOnlyList<ChatMessage> messages)
    {
        var results = messages.SelectMany(message => message.Contents).OfType<FunctionResultContent>().ToList();
        return results.Count switch
        {
            0 => Call("write", new() { ["name"] = "a.txt", ["text"] = "19" }),
            1 => Call("write", new() { ["name"] = "b.txt", ["text"] = "23" }),
            2 => Call("list", []),
            3 => Call("read", new() { ["name"] = "a.txt" }),
            4 => Call("read", new() { ["name"] = "absent.txt" }),
            5 => Call("read", new() { ["name"] = "b.txt" }),
            _ => new ChatMessage(
                ChatRole.Assistant, $"The sum is {int.Parse(Text(results[3]), null) + int.Parse(Text(results[5]), null)}."),
        };

        ChatMessage Call(string tool, Dictionary<string, object?> arguments) =>
            new(ChatRole.Assistant, [new FunctionCallContent($"call-{results.Count}", tool, arguments)]);

        static string Text(FunctionResultContent result) => result.Result!.ToString()!;
    }

    private List<AIFunction> Tools() =>
    [
        AIFunctionFactory.Create(
            (string name, string text) =>
            {
                File.WriteAllText(Path.Combine(_directory, name), text);
                return text.Length;
            },
            "write", "Writes a file."),
        AIFunctionFactory.Create((string name) => File.ReadAllText(Path.Combine(_directory, name)), "read", "Reads a file."),
        AIFunctionFactory.Create(
            () => Directory.GetFiles(_directory).Select(file => Path.GetFileName(file)).Order(StringComparer.Ordinal).ToArray(),
            "list", "Lists the files."),
    ];

    private static async Task<string> WorkAsync(Run run, IChatClient? model, IEnumerable<AIFunction> tools)
    {
        using var client = new RecordedChatClient(run, model);
        var clock = new RecordedTimeProvider(run);
        var chance = new RecordedRandom(run);
        var byName = tools.ToDictionary(tool => tool.Name, tool => run.Record(tool));
        var options = new ChatOptions { Temperature = 0.5f, ModelId = "a/model", Tools = [.. byName.Values] };
        List<ChatMessage> messages = [new(ChatRole.User, "Keep two numbers and add them up.")];
        while (true)
        {
            var response = await client.GetResponseAsync(messages, options, Token);
            messages.AddRange(response.Messages);
            var calls = response.Messages.SelectMany(message => message.Contents).OfType<FunctionCallContent>().ToList();
            if (calls.Count == 0)
            {
                run.Complete(response.Text);
                return response.Text;
            }

            foreach (var call in calls)
            {
                object? result;
                try
                {
                    result = await byName[call.Name].InvokeAsync(new AIFunctionArguments(call.Arguments), Token);
                }
                catch (InputFailedException failed)
                {
                    result = failed.Input.Failure!.Type;
                }

                run.Transact(tx =>
                {
                    tx.Events.Append("tool_result", Value.Object(("tool", call.Name), ("result", result?.ToString())));
                    tx.State.TransitionOrInit("calls", 1, count => count.AsInt64() + 1);
                });
                messages.Add(new ChatMessage(ChatRole.Tool, [new FunctionResultContent(call.CallId, result)]));
            }

            run.Kv.Put("last_turn", Value.Object(("at", clock.GetUtcNow().UtcTicks), ("dice", chance.Next(1, 7))));
        }
    }

    private static CairnDatabase Open() => CairnDatabase.OpenInMemory(
        new CairnOptions { RandomSeed = 7, TimeProvider = new FakeClock() }, EngineHooks.None with { IsMaintenanceManual = true });

    // Everything but sequences, times and salts.
    private static string Writes(Run run) => string.Join('\n', [
        .. run.Events.Since(0, new EventScanOptions { Limit = 1000 }).Select(e => $"{e.Number} {e.Type} {e.Payload}"),
        .. run.Kv.Scan().Select(pair => $"{pair.Key} {pair.Value.Value}"),
        $"{run.State.Get("calls")!.Value.Value} {run.Status} {run.Info.Result}",
    ]);

    [Fact]
    [Trait("Requirement", "AGT-1")]
    [Trait("Requirement", "RPL-25")]
    public async Task An_agent_is_recorded_once_and_replayed_a_hundred_times_equal_without_model_and_tools()
    {
        using var model = new ScriptedModel(Think);
        using var text = new MemoryStream();
        string recorded;
        using (var db = Open())
        {
            var run = db.Runs.Begin("sum");
            Assert.Equal("The sum is 42.", await WorkAsync(run, model, Tools()));
            recorded = Writes(run);
            db.Export(text);
        }

        Assert.Equal(7, model.Calls);
        Directory.Delete(_directory, recursive: true);       // a tool that ran would fail now
        var hashes = new HashSet<Hash256>();
        for (var i = 0; i < 100; i++)
        {
            using var db = Open();
            text.Position = 0;
            db.Import(text);
            using var replay = db.Runs.ReplayInputs(db.Runs.Get("sum")!.Id);
            Assert.Equal("The sum is 42.", await WorkAsync(replay.Run, null, Tools()));
            Assert.True(replay.Report.IsWhole);
            Assert.Equal(recorded, Writes(replay.Run));
            hashes.Add(replay.Run.StateHash());
        }

        Assert.Single(hashes);
        Assert.Equal(7, model.Calls);
    }

    [Fact]
    [Trait("Requirement", "RPL-23")]
    public async Task A_changed_answer_of_a_tool_is_found_at_the_next_question_to_the_model()
    {
        using var db = Open();
        var run = db.Runs.Begin("sum");
        await WorkAsync(run, new ScriptedModel(Think), Tools());
        var inputs = run.ListInputs().ToList();
        var reading = inputs.First(input => input.Name == "read" && input.Request!.Value["name"].AsString() == "a.txt");
        var next = inputs.First(input => input.Ordinal > reading.Ordinal && input.Kind == InputKind.Model);

        using (var replay = db.Runs.ReplayInputs(
            run.Id, new InputReplayOptions { Substitutions = [InputSubstitution.At(reading.Ordinal, "100")] }))
        {
            var divergence = await Assert.ThrowsAsync<ReplayDivergenceException>(() => WorkAsync(replay.Run, null, Tools()));
            Assert.Equal((next.Ordinal, InputKind.Model), (divergence.Step, divergence.Kind));
            Assert.Equal("19", Result(divergence.Expected!));
            Assert.Equal("100", Result(divergence.Actual!));
            Assert.StartsWith("$.messages[8].contents[0].result ", divergence.Difference, StringComparison.Ordinal);
        }

        // The same with a model at hand: what if the file had held 100?
        using var what = db.Runs.ReplayInputs(
            run.Id,
            new InputReplayOptions { Mode = ReplayMode.Lenient, Substitutions = [InputSubstitution.At(reading.Ordinal, "100")] });
        Assert.Equal("The sum is 123.", await WorkAsync(what.Run, new ScriptedModel(Think), Tools()));
        Assert.Equal(next.Ordinal, what.Report.Divergence!.Step);

        static string Result(RecordedInput input) => input.Request!.Value["messages"][8]["contents"][0]["result"].AsString();
    }
}
