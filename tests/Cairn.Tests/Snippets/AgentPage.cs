using Cairn.Agents;
using Microsoft.Extensions.AI;

namespace Cairn.Tests.Snippets;

/// <summary>The code of docs/agents.md.</summary>
internal static class AgentPage
{
    internal static async Task<string> AnswerAsync(Run run, IChatClient? model, AIFunction lookUp)
    {
        using var client = new RecordedChatClient(run, model);   // no model: it can only be replayed
        var tool = run.Record(lookUp);
        var clock = run.Record(TimeProvider.System);
        List<ChatMessage> messages = [new(ChatRole.User, $"It is {clock.GetUtcNow():u}. Where is parcel 4711?")];
        var response = await client.GetResponseAsync(messages, new ChatOptions { Tools = [tool] });
        foreach (var call in response.Messages.SelectMany(message => message.Contents).OfType<FunctionCallContent>())
        {
            var found = await tool.InvokeAsync(new AIFunctionArguments(call.Arguments));
            run.Events.Append("looked_up", Value.Object(("found", found?.ToString())));
        }

        run.Complete(response.Text);
        return response.Text;
    }

    internal static async Task ReplayAsync(CairnDatabase db, Run recorded, AIFunction lookUp)
    {
        using var replay = db.Runs.ReplayInputs(recorded.Id);    // a run of its own, answered from the recording
        await AnswerAsync(replay.Run, null, lookUp);
        Console.WriteLine(replay.Report.IsWhole);                // every recorded input was asked for, and nothing else
    }

    internal static async Task AskWhatIfAsync(CairnDatabase db, Run recorded, IChatClient model, AIFunction lookUp)
    {
        using var replay = db.Runs.ReplayInputs(recorded.Id, new InputReplayOptions
        {
            Mode = ReplayMode.Lenient,                           // where it leaves the recording, the model is asked
            Substitutions = [InputSubstitution.At(2, Value.Object(("status", "lost")))],
        });
        await AnswerAsync(replay.Run, model, lookUp);
        Console.WriteLine(replay.Report.Divergence?.Step);       // where the changed answer first mattered
    }
}
