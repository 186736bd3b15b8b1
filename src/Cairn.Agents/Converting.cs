using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Microsoft.Extensions.AI;

namespace Cairn.Agents;

/// <summary>Between the objects of Microsoft.Extensions.AI and values, by their JSON form. What has no form as a value (an integer beyond
/// Int64) stands as its JSON text.</summary>
internal static class Converting
{
    private const string TextMember = "json_text";

    internal static Value ToValue<T>(T item) => FromJson(JsonSerializer.SerializeToUtf8Bytes(item, InfoOf<T>()));

    internal static T FromValue<T>(in Value value) => JsonSerializer.Deserialize(ToJson(value), InfoOf<T>())
        ?? throw new JsonException($"A recorded {typeof(T).Name} is null.");

    /// <summary>Of anything that a tool takes or gives.</summary>
    internal static Value ToValue(object? item, JsonSerializerOptions options) => item switch
    {
        null => Value.Null,
        Value value => value,
        JsonElement element => FromJson(JsonSerializer.SerializeToUtf8Bytes(element, InfoOf<JsonElement>())),
        _ => FromJson(JsonSerializer.SerializeToUtf8Bytes(item, options.GetTypeInfo(item.GetType()))),
    };

    internal static JsonElement ToElement(in Value value)
    {
        using var document = JsonDocument.Parse(ToJson(value));
        return document.RootElement.Clone();
    }

    private static JsonTypeInfo<T> InfoOf<T>() => (JsonTypeInfo<T>)AIJsonUtilities.DefaultOptions.GetTypeInfo(typeof(T));

    private static Value FromJson(byte[] json)
    {
        try
        {
            return Value.FromJson(json);
        }
        catch (CairnException)
        {
            return Value.Object((TextMember, System.Text.Encoding.UTF8.GetString(json)));
        }
    }

    private static string ToJson(in Value value) =>
        value is { Kind: ValueKind.Object, Count: 1 } && value.TryGetMember(TextMember, out var text) && text.Kind == ValueKind.String
            ? text.AsString()
            : value.ToJson();
}
