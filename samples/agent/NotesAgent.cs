using Cairn.Agents;
using Microsoft.Extensions.AI;

namespace Cairn.Samples.Agent;

/// <summary>An agent that answers from notes: it asks the model, does what that says, and tells it what came of it, until it has an answer.
/// All that it learns comes through the run, so it can be replayed.</summary>
public static class NotesAgent
{
    public static IReadOnlyList<AIFunction> Tools(string notes) =>
    [
        AIFunctionFactory.Create(
            () => Directory.GetFiles(notes).Select(file => Path.GetFileName(file)).Order(StringComparer.Ordinal).ToArray(),
            "list_notes", "Lists the notes."),
        AIFunctionFactory.Create((string name) => File.ReadAllText(Path.Combine(notes, name)), "read_note", "Reads a note."),
    ];

    /// <param name="run">The run that it works in.</param>
    /// <param name="model">The model; null in a replay.</param>
    /// <param name="tools">What it can do.</param>
    /// <param name="question">What it is asked.</param>
    public static async Task<string> AnswerAsync(Run run, IChatClient? model, IEnumerable<AIFunction> tools, string question)
    {
        using var client = new RecordedChatClient(run, model);
        var history = new ChatHistory(run);
        var byName = tools.ToDictionary(tool => tool.Name, tool => run.Record(tool));
        var options = new ChatOptions { Tools = [.. byName.Values] };
        history.Append(new ChatMessage(ChatRole.User, question));
        while (true)
        {
            var response = await client.GetResponseAsync(history.Read(), options);
            var calls = response.Messages.SelectMany(message => message.Contents).OfType<FunctionCallContent>().ToList();
            if (calls.Count == 0)
            {
                history.Append(response.Messages);
                run.Complete(response.Text);
                return response.Text;
            }

            var results = new List<ChatMessage>();
            foreach (var call in calls)
            {
                var result = await byName[call.Name].InvokeAsync(new AIFunctionArguments(call.Arguments));
                results.Add(new ChatMessage(ChatRole.Tool, [new FunctionResultContent(call.CallId, result)]));
            }

            // What the model said, what came of it, and how far the agent is: all of it or nothing.
            run.Transact(transaction =>
            {
                history.Append(transaction, [.. response.Messages, .. results]);
                transaction.State.TransitionOrInit("turns", 1, turns => turns.AsInt64() + 1);
            });
        }
    }
}
