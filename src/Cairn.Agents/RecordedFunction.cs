using System.Text.Json;
using Microsoft.Extensions.AI;

namespace Cairn.Agents;

/// <summary>A tool whose results are inputs of a run (<see cref="InputKind.Tool"/>, under the tool's name): recorded with the arguments,
/// and given from the recording in a run that is being replayed, without calling the tool.</summary>
/// <remarks>The result is a <see cref="JsonElement"/> in both cases; null stays null. A tool that writes to the run itself must not be
/// recorded: let it run again in the replay. As safe for use by several threads as the tool inside.</remarks>
public sealed class RecordedFunction : DelegatingAIFunction
{
    private readonly Run _run;
    private readonly InputOptions _options;

    /// <summary>Records on a run, or replays with it.</summary>
    /// <param name="run">The run that asks.</param>
    /// <param name="inner">The tool.</param>
    public RecordedFunction(Run run, AIFunction inner)
        : base(inner)
    {
        ArgumentNullException.ThrowIfNull(run);
        _run = run;
        _options = new InputOptions { Name = inner.Name };
    }

    /// <inheritdoc/>
    protected override async ValueTask<object?> InvokeCoreAsync(AIFunctionArguments arguments, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(arguments);
        var request = Value.Object(arguments.Select(
            argument => new KeyValuePair<string, Value>(argument.Key, Converting.ToValue(argument.Value, JsonSerializerOptions))));
        var answer = await _run.InputAsync(
            InputKind.Tool, request,
            async token => Converting.ToValue(
                await InnerFunction.InvokeAsync(arguments, token).ConfigureAwait(false), JsonSerializerOptions),
            _options, cancellationToken).ConfigureAwait(false);
        return answer.IsNull ? null : Converting.ToElement(answer);
    }
}
