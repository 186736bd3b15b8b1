using System.Collections;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;

namespace Cairn.Codec;

/// <summary>Values from .NET objects by the description that System.Text.Json's source generator makes (VAL-13), so without
/// reflection. The description gives names, order and getters; kinds come from the .NET types, not from JSON text, where a double of 1
/// would read back as an integer.</summary>
internal static class DescribedConversion
{
    /// <exception cref="CairnException">See <see cref="Value.From{T}(T, JsonTypeInfo{T})"/>.</exception>
    internal static Value Convert(object? source, JsonTypeInfo type) => Convert(source, type, depth: 0);

    private static Value Convert(object? source, JsonTypeInfo type, int depth)
    {
        if (ScalarConversion.TryConvert(source, out var value))
            return value;
        if (depth == ValueMeasure.DepthHardMax)
            throw new LimitException(nameof(Limits.DepthMax), ValueMeasure.DepthHardMax, depth + 1, "levels");

        // A property declared as a base type holds what its own type describes, where the generator knows it.
        if (source!.GetType() is var actual && actual != type.Type && type.Options.TryGetTypeInfo(actual, out var known))
            type = known;
        return type.Kind switch
        {
            JsonTypeInfoKind.Object => FromProperties(source, type, depth),
            JsonTypeInfoKind.Enumerable when source is IEnumerable items => FromItems(items, type, depth),
            JsonTypeInfoKind.Dictionary when source is IDictionary dictionary => FromDictionary(dictionary, type, depth),
            _ => FromText(source, type),
        };
    }

    private static Value FromProperties(object source, JsonTypeInfo type, int depth)
    {
        var members = new List<KeyValuePair<string, Value>>(type.Properties.Count);
        foreach (var property in type.Properties)
        {
            if (property.Get is not { } get || property.IsExtensionData)
                continue;
            var value = get(source);
            if (property.ShouldSerialize is { } should && !should(source, value))
                continue;
            members.Add(new(property.Name, property.CustomConverter is null
                ? Convert(value, type.Options.GetTypeInfo(property.PropertyType), depth + 1)
                : throw ScalarConversion.Refused(property.PropertyType)));
        }

        return Value.Object(members);
    }

    private static Value FromItems(IEnumerable source, JsonTypeInfo type, int depth)
    {
        var element = type.Options.GetTypeInfo(type.ElementType ?? typeof(object));
        var elements = new List<Value>();
        foreach (var item in source)
            elements.Add(Convert(item, element, depth + 1));
        return Value.Array(elements);
    }

    private static Value FromDictionary(IDictionary source, JsonTypeInfo type, int depth)
    {
        var element = type.Options.GetTypeInfo(type.ElementType ?? typeof(object));
        var members = new List<KeyValuePair<string, Value>>(source.Count);
        foreach (DictionaryEntry entry in source)
        {
            var name = entry.Key as string ?? throw ScalarConversion.Refused(source.GetType());
            members.Add(new(name, Convert(entry.Value, element, depth + 1)));
        }

        return Value.Object(members);
    }

    // Types with a converter of their own: dates, enums, GUIDs. Their converter decides the form.
    private static Value FromText(object source, JsonTypeInfo type) =>
        Value.FromJson(JsonSerializer.SerializeToUtf8Bytes(source, type));
}
