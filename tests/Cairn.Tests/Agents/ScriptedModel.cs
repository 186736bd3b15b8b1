using System.Runtime.CompilerServices;
using Microsoft.Extensions.AI;

namespace Cairn.Tests.Agents;

/// <summary>A model without a model: a function of the messages says what it answers. Counts its calls.</summary>
internal sealed class ScriptedModel(Func<IReadOnlyList<ChatMessage>, ChatMessage> answer) : IChatClient
{
    internal int Calls { get; private set; }

    public Task<ChatResponse> GetResponseAsync(
        IEnumerable<ChatMessage> messages, ChatOptions? options = null, CancellationToken cancellationToken = default)
    {
        Calls++;
        return Task.FromResult(new ChatResponse(answer([.. messages]))
        {
            ResponseId = $"response-{Calls}",
            ModelId = "scripted",
            CreatedAt = new DateTimeOffset(2026, 1, 2, 3, 4, 5, 678, TimeSpan.FromHours(2)),
            FinishReason = ChatFinishReason.Stop,
            Usage = new UsageDetails { InputTokenCount = 10, OutputTokenCount = Calls },
        });
    }

    public async IAsyncEnumerable<ChatResponseUpdate> GetStreamingResponseAsync(
        IEnumerable<ChatMessage> messages, ChatOptions? options = null,
        [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        Calls++;
        foreach (var content in answer([.. messages]).Contents)
        {
            await Task.Yield();
            foreach (var word in content is TextContent text ? text.Text.Split(' ') : [])
                yield return new ChatResponseUpdate(ChatRole.Assistant, word + " ") { MessageId = $"m{Calls}", ModelId = "scripted" };
            if (content is not TextContent)
                yield return new ChatResponseUpdate(ChatRole.Assistant, [content]) { MessageId = $"m{Calls}" };
        }
    }

    public object? GetService(Type serviceType, object? serviceKey = null) => serviceType.IsInstanceOfType(this) ? this : null;

    public void Dispose()
    {
    }
}
