using System.Runtime.CompilerServices;
using Microsoft.Extensions.AI;

namespace Cairn.Agents;

/// <summary>A chat client whose answers are inputs of a run (<see cref="InputKind.Model"/>): recorded as they come, and in a run that is
/// being replayed given from the recording, without a model. Streams are recorded update by update and streamed again in the same order.
/// The request that is matched is the messages, the options and the tools' names, descriptions and schemas.</summary>
/// <remarks>What comes back is what was kept, also while recording: raw representations of a provider are not. A failed call is
/// <see cref="InputFailedException"/>, then and when it is replayed. As safe for use by several threads as the client inside.</remarks>
public sealed class RecordedChatClient : IChatClient
{
    private readonly Run _run;
    private readonly IChatClient? _inner;
    private readonly InputOptions _options;

    /// <summary>Records on a run, or replays with it.</summary>
    /// <param name="run">The run that asks.</param>
    /// <param name="inner">The model, disposed of with this; null in a replay that calls nothing live.</param>
    /// <param name="name">What the model is called in the recording, part of what is matched; null = nothing. Rules as for
    /// <see cref="InputOptions.Name"/>.</param>
    public RecordedChatClient(Run run, IChatClient? inner = null, string? name = null)
    {
        ArgumentNullException.ThrowIfNull(run);
        _run = run;
        _inner = inner;
        _options = new InputOptions { Name = name };
    }

    /// <inheritdoc/>
    /// <exception cref="InputFailedException">The model failed, when it was recorded or now.</exception>
    /// <exception cref="ReplayDivergenceException">The replay asks for something else than was recorded.</exception>
    public async Task<ChatResponse> GetResponseAsync(
        IEnumerable<ChatMessage> messages, ChatOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(messages);
        IReadOnlyList<ChatMessage> asked = [.. messages];
        var answer = await _run.InputAsync(
            InputKind.Model, RequestOf(asked, options, isStream: false),
            async token => Converting.ToValue(await Live.GetResponseAsync(asked, options, token).ConfigureAwait(false)),
            _options, cancellationToken).ConfigureAwait(false);
        return Converting.FromValue<ChatResponse>(answer);
    }

    /// <inheritdoc/>
    /// <exception cref="InputFailedException">The model failed, when it was recorded or now; what came before is given.</exception>
    /// <exception cref="ReplayDivergenceException">The replay asks for something else than was recorded.</exception>
    public async IAsyncEnumerable<ChatResponseUpdate> GetStreamingResponseAsync(
        IEnumerable<ChatMessage> messages, ChatOptions? options = null,
        [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(messages);
        IReadOnlyList<ChatMessage> asked = [.. messages];
        var updates = _run.InputStreamAsync(
            InputKind.Model, RequestOf(asked, options, isStream: true), token => StreamAsync(asked, options, token), _options,
            cancellationToken);
        await foreach (var update in updates.ConfigureAwait(false))
            yield return Converting.FromValue<ChatResponseUpdate>(update);
    }

    /// <inheritdoc/>
    public object? GetService(Type serviceType, object? serviceKey = null)
    {
        ArgumentNullException.ThrowIfNull(serviceType);
        return serviceKey is null && serviceType.IsInstanceOfType(this) ? this : _inner?.GetService(serviceType, serviceKey);
    }

    /// <summary>Disposes of the model inside.</summary>
    public void Dispose() => _inner?.Dispose();

    private IChatClient Live => _inner ?? throw new InvalidOperationException(
        "The client has no model inside, so it can only be replayed. Give it one to record or to go on live.");

    private async IAsyncEnumerable<Value> StreamAsync(
        IReadOnlyList<ChatMessage> messages, ChatOptions? options, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        await foreach (var update in Live.GetStreamingResponseAsync(messages, options, cancellationToken).ConfigureAwait(false))
            yield return Converting.ToValue(update);
    }

    private static Value RequestOf(IReadOnlyList<ChatMessage> messages, ChatOptions? options, bool isStream)
    {
        List<(string, Value)> members = [("messages", Value.Array(messages.Select(Converting.ToValue)))];
        if (options is not null)
            members.Add(("options", Converting.ToValue(options)));
        if (options?.Tools is { Count: > 0 } tools)
            members.Add(("tools", Value.Array(tools.Select(Describe))));
        if (isStream)
            members.Add(("stream", true));
        return Value.Object([.. members]);
    }

    private static Value Describe(AITool tool) => tool is AIFunctionDeclaration function
        ? Value.Object(
            ("name", tool.Name), ("description", tool.Description), ("schema", Converting.ToValue(function.JsonSchema)))
        : Value.Object(("name", tool.Name), ("description", tool.Description));
}
