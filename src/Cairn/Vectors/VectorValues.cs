using Cairn.Primitives;

namespace Cairn.Vectors;

/// <summary>Collections and vectors as values, for those who show or compare them: differences, merges, feeds.</summary>
internal static class VectorValues
{
    internal const string EmbeddingName = "embedding";

    internal const string MetadataName = "metadata";

    internal static Value Of(scoped in VectorConfiguration configuration) => Of(configuration.ToDefinition());

    internal static Value Of(VectorDefinition definition) => Fields.Write(
        ("dimension", definition.Dimension), ("metric", definition.Metric.ToString()), ("element", definition.Element.ToString()),
        ("index", definition.Index.ToString()), ("model", Fields.Of(definition.Model)));

    /// <summary>An Array of numbers: those that a read gives.</summary>
    internal static Value Embedding(VectorElement element, int dimension, ReadOnlySpan<byte> stored)
    {
        var vector = new float[dimension];
        StoredForm.Decode(element, stored, vector);
        var numbers = new Value[dimension];
        for (var i = 0; i < dimension; i++)
            numbers[i] = (double)vector[i];
        return Value.Array(numbers);
    }

    /// <summary>Null = there is none.</summary>
    internal static Value? Metadata(ReadOnlySpan<byte> metadata) => metadata.IsEmpty ? default(Value?) : Value.Decode(metadata);

    internal static Value Of(VectorElement element, int dimension, ReadOnlySpan<byte> stored, ReadOnlySpan<byte> metadata) => Fields.Write(
        (EmbeddingName, Embedding(element, dimension, stored)), (MetadataName, Metadata(metadata)));

    /// <summary>What an operation of a record says, as its reader is told: of an Upsert embedding and metadata, of a SetMetadata the
    /// metadata, of a Create the definition; null = it says nothing but what it is.</summary>
    /// <exception cref="Log.MalformedPayloadException">It is no such operation.</exception>
    internal static Value? Said(in Log.Operation operation, out string collection)
    {
        if (!VectorBody.TryRead(operation, out var body))
            throw new Log.MalformedPayloadException("an operation on vectors");
        collection = Codec.Utf8.GetTrustedString(body.Name);
        return (Store.OperationCode)operation.Code switch
        {
            Store.OperationCode.VectorCreate => Of(VectorConfiguration.Read(body.Configuration)),
            Store.OperationCode.VectorUpsert => Of(body.Element, body.Dimension, body.Embedding, body.Metadata),
            Store.OperationCode.VectorSetMetadata => Fields.Write((MetadataName, Metadata(body.Metadata))),
            _ => default(Value?),
        };
    }
}
