using Microsoft.Extensions.AI;

namespace Cairn.Agents;

/// <summary>What an agent asks, recorded on a run: <c>run.Record(client)</c>. Thread-safe.</summary>
public static class RecordedAgents
{
    /// <summary>The client, with its answers recorded on the run, or replayed with it.</summary>
    /// <inheritdoc cref="RecordedChatClient(Run, IChatClient?, string?)"/>
    public static RecordedChatClient Record(this Run run, IChatClient inner, string? name = null) => new(run, inner, name);

    /// <summary>The tool, with its results recorded on the run, or replayed with it.</summary>
    /// <inheritdoc cref="RecordedFunction(Run, AIFunction)"/>
    public static RecordedFunction Record(this Run run, AIFunction inner) => new(run, inner);

    /// <summary>The generator, with its vectors recorded on the run, or replayed with it.</summary>
    /// <inheritdoc cref="RecordedEmbeddingGenerator(Run, IEmbeddingGenerator{string, Embedding{float}}?, string?)"/>
    public static RecordedEmbeddingGenerator Record(
        this Run run, IEmbeddingGenerator<string, Embedding<float>> inner, string? name = null) => new(run, inner, name);

    /// <summary>The clock, with its readings recorded on the run, or replayed with it.</summary>
    /// <inheritdoc cref="RecordedTimeProvider(Run, TimeProvider?)"/>
    public static RecordedTimeProvider Record(this Run run, TimeProvider inner) => new(run, inner);
}
