using System.Text.Json;
using System.Text.Json.Serialization;
using Cairn.Codec;

namespace Cairn;

/// <summary>Lets System.Text.Json read and write a <see cref="Value"/> inside other types, in the form of
/// <see cref="Value.ToJson"/>.</summary>
public sealed class ValueJsonConverter : JsonConverter<Value>
{
    /// <summary>True: the text <c>null</c> is <see cref="Value.Null"/>.</summary>
    public override bool HandleNull => true;

    /// <inheritdoc/>
    public override Value Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) => ValueJson.Read(ref reader);

    /// <inheritdoc/>
    public override void Write(Utf8JsonWriter writer, Value value, JsonSerializerOptions options)
    {
        ArgumentNullException.ThrowIfNull(writer);
        ValueJson.Write(value, writer);
    }
}
