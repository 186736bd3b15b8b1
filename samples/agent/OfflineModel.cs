using System.Globalization;
using System.Runtime.CompilerServices;
using Microsoft.Extensions.AI;

namespace Cairn.Samples.Agent;

/// <summary>Stands for a model where there is none: reads every note, and adds up the numbers in them.</summary>
public sealed class OfflineModel : IChatClient
{
    /// <summary>How often it was asked.</summary>
    public int Calls { get; private set; }

    public Task<ChatResponse> GetResponseAsync(
        IEnumerable<ChatMessage> messages, ChatOptions? options = null, CancellationToken cancellationToken = default)
    {
        Calls++;
        return Task.FromResult(new ChatResponse(Think([.. messages])) { ModelId = "offline" });
    }

    public async IAsyncEnumerable<ChatResponseUpdate> GetStreamingResponseAsync(
        IEnumerable<ChatMessage> messages, ChatOptions? options = null,
        [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        var response = await GetResponseAsync(messages, options, cancellationToken);
        foreach (var update in response.ToChatResponseUpdates())
            yield return update;
    }

    private static ChatMessage Think(List<ChatMessage> messages)
    {
        var results = messages.SelectMany(message => message.Contents).OfType<FunctionResultContent>()
            .Select(result => result.Result).ToList();
        if (results.Count == 0)
            return Call("call-list", "list_notes", []);
        var names = Names(results[0]);
        if (results.Count <= names.Count)
            return Call($"call-{results.Count}", "read_note", new() { ["name"] = names[results.Count - 1] });
        var sum = results.Skip(1).Sum(text => text!.ToString()!.Split(' ').Sum(word => int.TryParse(word, out var number) ? number : 0));
        return new ChatMessage(ChatRole.Assistant, string.Create(CultureInfo.InvariantCulture, $"Together {sum}."));
    }

    private static List<string> Names(object? listed) => listed is System.Text.Json.JsonElement names
        ? [.. names.EnumerateArray().Select(name => name.GetString()!)]
        : [.. ((IEnumerable<string>)listed!)];

    private static ChatMessage Call(string id, string tool, Dictionary<string, object?> arguments) =>
        new(ChatRole.Assistant, [new FunctionCallContent(id, tool, arguments)]);

    public object? GetService(Type serviceType, object? serviceKey = null) => serviceType.IsInstanceOfType(this) ? this : null;

    public void Dispose()
    {
    }
}
