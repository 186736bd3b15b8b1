using System.Buffers.Binary;
using Microsoft.Extensions.AI;

namespace Cairn.Agents;

/// <summary>An embedding generator whose vectors are inputs of a run (<see cref="InputKind.Embedding"/>): recorded bit by bit, and given
/// from the recording in a run that is being replayed, without a model. As safe for use by several threads as the generator
/// inside.</summary>
public sealed class RecordedEmbeddingGenerator : IEmbeddingGenerator<string, Embedding<float>>
{
    private readonly Run _run;
    private readonly IEmbeddingGenerator<string, Embedding<float>>? _inner;
    private readonly InputOptions _options;

    /// <summary>Records on a run, or replays with it.</summary>
    /// <param name="run">The run that asks.</param>
    /// <param name="inner">The model, disposed of with this; null in a replay that calls nothing live.</param>
    /// <param name="name">What the model is called in the recording, part of what is matched; null = nothing.</param>
    public RecordedEmbeddingGenerator(Run run, IEmbeddingGenerator<string, Embedding<float>>? inner = null, string? name = null)
    {
        ArgumentNullException.ThrowIfNull(run);
        _run = run;
        _inner = inner;
        _options = new InputOptions { Name = name };
    }

    /// <inheritdoc/>
    /// <exception cref="InputFailedException">The model failed, when it was recorded or now.</exception>
    /// <exception cref="ReplayDivergenceException">The replay asks for something else than was recorded.</exception>
    public async Task<GeneratedEmbeddings<Embedding<float>>> GenerateAsync(
        IEnumerable<string> values, EmbeddingGenerationOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(values);
        IReadOnlyList<string> asked = [.. values];
        List<(string, Value)> request = [("values", Value.Array(asked.Select(value => (Value)value)))];
        if (options?.ModelId is { } model)
            request.Add(("model", model));
        if (options?.Dimensions is { } dimensions)
            request.Add(("dimensions", dimensions));
        if (options?.AdditionalProperties is { } more)
            request.Add(("more", Converting.ToValue(more)));
        var answer = await _run.InputAsync(
            InputKind.Embedding, Value.Object([.. request]),
            async token => ToValue(await Live.GenerateAsync(asked, options, token).ConfigureAwait(false)),
            _options, cancellationToken).ConfigureAwait(false);
        return FromValue(answer);
    }

    /// <inheritdoc/>
    public object? GetService(Type serviceType, object? serviceKey = null)
    {
        ArgumentNullException.ThrowIfNull(serviceType);
        return serviceKey is null && serviceType.IsInstanceOfType(this) ? this : _inner?.GetService(serviceType, serviceKey);
    }

    /// <summary>Disposes of the model inside.</summary>
    public void Dispose() => _inner?.Dispose();

    private IEmbeddingGenerator<string, Embedding<float>> Live => _inner ?? throw new InvalidOperationException(
        "The generator has no model inside, so it can only be replayed. Give it one to record or to go on live.");

    // A vector is its floats as little-endian bytes: no digit is lost, and a value has no 32-bit floats.
    private static Value ToValue(GeneratedEmbeddings<Embedding<float>> embeddings)
    {
        var items = new List<Value>(embeddings.Count);
        foreach (var embedding in embeddings)
        {
            var bytes = new byte[embedding.Vector.Length * sizeof(float)];
            for (var i = 0; i < embedding.Vector.Length; i++)
                BinaryPrimitives.WriteSingleLittleEndian(bytes.AsSpan(i * sizeof(float)), embedding.Vector.Span[i]);
            List<(string, Value)> item = [("vector", bytes)];
            if (embedding.ModelId is { } model)
                item.Add(("model", model));
            if (embedding.CreatedAt is { } created)
                item.Add(("created", Value.Array(created.Ticks, created.Offset.Ticks)));
            items.Add(Value.Object([.. item]));
        }

        List<(string, Value)> answer = [("embeddings", Value.Array(items))];
        if (embeddings.Usage is { } usage)
            answer.Add(("usage", Converting.ToValue(usage)));
        return Value.Object([.. answer]);
    }

    private static GeneratedEmbeddings<Embedding<float>> FromValue(in Value answer)
    {
        var embeddings = new GeneratedEmbeddings<Embedding<float>>();
        foreach (var item in answer["embeddings"].AsArray())
        {
            var bytes = item["vector"].AsBytes().Span;
            var vector = new float[bytes.Length / sizeof(float)];
            for (var i = 0; i < vector.Length; i++)
                vector[i] = BinaryPrimitives.ReadSingleLittleEndian(bytes[(i * sizeof(float))..]);
            embeddings.Add(new Embedding<float>(vector)
            {
                ModelId = item.TryGetMember("model", out var model) ? model.AsString() : null,
                CreatedAt = item.TryGetMember("created", out var created)
                    ? new DateTimeOffset(created[0].AsInt64(), new TimeSpan(created[1].AsInt64()))
                    : null,
            });
        }

        if (answer.TryGetMember("usage", out var usage))
            embeddings.Usage = Converting.FromValue<UsageDetails>(usage);
        return embeddings;
    }
}
