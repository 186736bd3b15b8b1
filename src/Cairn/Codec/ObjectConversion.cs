using System.Collections;
using System.Diagnostics.CodeAnalysis;
using System.Reflection;
using System.Runtime.InteropServices;

namespace Cairn.Codec;

/// <summary>Values from .NET objects by reflection (VAL-13): dictionaries with string keys, lists, and objects by their public readable
/// properties.</summary>
internal static class ObjectConversion
{
    private const string Reflection = "Reads the public properties of objects by reflection.";

    /// <exception cref="CairnException">See <see cref="Value.From(object?)"/>.</exception>
    [RequiresUnreferencedCode(Reflection)]
    internal static Value Convert(object? source) => Convert(source, depth: 0);

    [RequiresUnreferencedCode(Reflection)]
    private static Value Convert(object? source, int depth)
    {
        if (ScalarConversion.TryConvert(source, out var value))
            return value;
        if (depth == ValueMeasure.DepthHardMax)
            throw new LimitException(nameof(Limits.DepthMax), ValueMeasure.DepthHardMax, depth + 1, "levels");

        return source switch
        {
            IEnumerable<KeyValuePair<string, Value>> members => Value.Object(members),
            IEnumerable<Value> elements => Value.Array(elements),
            IDictionary dictionary => FromDictionary(dictionary, depth),
            IEnumerable<KeyValuePair<string, object?>> members => FromMembers(members, depth),
            IEnumerable items => FromItems(items, depth),
            _ => FromProperties(source!, depth),
        };
    }

    [RequiresUnreferencedCode(Reflection)]
    private static Value FromDictionary(IDictionary dictionary, int depth)
    {
        var members = new List<KeyValuePair<string, Value>>(dictionary.Count);
        foreach (DictionaryEntry entry in dictionary)
        {
            var name = entry.Key as string ?? throw ScalarConversion.Refused(dictionary.GetType());
            members.Add(new(name, Convert(entry.Value, depth + 1)));
        }

        return Value.Object(members);
    }

    [RequiresUnreferencedCode(Reflection)]
    private static Value FromMembers(IEnumerable<KeyValuePair<string, object?>> source, int depth)
    {
        var members = new List<KeyValuePair<string, Value>>();
        foreach (var (name, value) in source)
            members.Add(new(name, Convert(value, depth + 1)));
        return Value.Object(members);
    }

    // Dictionaries that are neither of the above (IReadOnlyDictionary<string, int> of one's own), and lists.
    [RequiresUnreferencedCode(Reflection)]
    private static Value FromItems(IEnumerable source, int depth)
    {
        var type = source.GetType();
        if (Implements(type, typeof(IReadOnlyDictionary<,>)) || Implements(type, typeof(IDictionary<,>)))
            return FromPairs(source, depth);
        if (source is not IList && !Implements(type, typeof(IReadOnlyList<>)) && !Implements(type, typeof(IList<>)))
            throw ScalarConversion.Refused(type);

        var elements = new List<Value>();
        foreach (var item in source)
            elements.Add(Convert(item, depth + 1));
        return Value.Array(CollectionsMarshal.AsSpan(elements));
    }

    [RequiresUnreferencedCode(Reflection)]
    private static Value FromPairs(IEnumerable source, int depth)
    {
        var members = new List<KeyValuePair<string, Value>>();
        foreach (var pair in source)
        {
            var type = pair!.GetType();
            var name = type.GetProperty("Key")?.GetValue(pair) as string ?? throw ScalarConversion.Refused(source.GetType());
            members.Add(new(name, Convert(type.GetProperty("Value")!.GetValue(pair), depth + 1)));
        }

        return Value.Object(members);
    }

    [RequiresUnreferencedCode(Reflection)]
    private static Value FromProperties(object source, int depth)
    {
        var type = source.GetType();
        if (!IsPlain(type))
            throw ScalarConversion.Refused(type);

        var members = new List<KeyValuePair<string, Value>>();
        foreach (var property in type.GetProperties(BindingFlags.Public | BindingFlags.Instance))
        {
            if (property.GetMethod is { IsPublic: true } && property.GetIndexParameters().Length == 0)
                members.Add(new(property.Name, Convert(Read(property, source), depth + 1)));
        }

        return Value.Object(members);
    }

    // An exception of the property itself goes to the caller as it is, not wrapped.
    private static object? Read(PropertyInfo property, object source) =>
        property.GetValue(source, BindingFlags.DoNotWrapExceptions, binder: null, index: null, culture: null);

    // The types of the platform (dates, tuples, tasks, types) have properties too, yet those are not what they mean.
    private static bool IsPlain(Type type) =>
        !type.IsEnum && !type.IsPointer && !typeof(Delegate).IsAssignableFrom(type) && type != typeof(object)
        && type.Namespace is var space && space != "System" && space?.StartsWith("System.", StringComparison.Ordinal) != true;

    [RequiresUnreferencedCode(Reflection)]
    private static bool Implements(Type type, Type definition)
    {
        foreach (var candidate in type.GetInterfaces())
        {
            if (candidate.IsGenericType && candidate.GetGenericTypeDefinition() == definition)
                return true;
        }

        return false;
    }
}
