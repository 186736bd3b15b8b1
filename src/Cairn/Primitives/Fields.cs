using System.Diagnostics.CodeAnalysis;
using Cairn.Codec;

namespace Cairn.Primitives;

/// <summary>The members of a stored object, read by name and kind. Total: an absent member is null and fine, one of another kind is
/// false; nothing here throws, whatever the bytes were.</summary>
internal readonly struct Fields
{
    private readonly Value _object;

    private Fields(Value value) => _object = value;

    internal Value Object => _object;

    internal static bool TryRead(ReadOnlySpan<byte> canonical, out Fields fields)
    {
        fields = default;
        return ValueDecoder.TryDecode(canonical, out var value, out _) && TryRead(value, out fields);
    }

    internal static bool TryRead(in Value value, out Fields fields)
    {
        fields = new Fields(value);
        return value.Kind == ValueKind.Object;
    }

    /// <summary>An object of the members that are not null.</summary>
    internal static Value Write(params ReadOnlySpan<(string Name, Value? Value)> members)
    {
        var present = new List<KeyValuePair<string, Value>>(members.Length);
        foreach (var (name, value) in members)
        {
            if (value is { } given)
                present.Add(new(name, given));
        }

        return Value.Object(present);
    }

    internal static Value? Of(string? text) => text is null ? default(Value?) : (Value)text;

    internal static Value? Of(long? number) => number is { } given ? (Value)given : default(Value?);

    internal static Value? Of(double? number) => number is { } given ? (Value)given : default(Value?);

    internal static Value? Of(bool flag) => flag ? (Value)true : default(Value?);

    internal static Value? Of(UInt128? id)
    {
        if (id is not { } given)
            return null;
        Span<byte> bytes = stackalloc byte[RunId.Size];
        new RunId(given).Write(bytes);
        return Value.Bytes(bytes);
    }

    /// <summary>Null for none: an empty list is not written.</summary>
    internal static Value? Of(IReadOnlyCollection<string> texts) => texts.Count == 0 ? default(Value?) : Value.Array(texts.Select(text => (Value)text));

    internal bool Has(string name) => _object.TryGetMember(name, out _);

    internal Value? Any(string name) => _object.TryGetMember(name, out var value) ? value : default(Value?);

    internal bool TryText(string name, out string? text)
    {
        text = null;
        if (Any(name) is not { } value)
            return true;
        text = value.Kind == ValueKind.String ? value.AsString() : null;
        return text is not null;
    }

    internal bool TryNeedText(string name, [NotNullWhen(true)] out string? text) => TryText(name, out text) && text is not null;

    internal bool TryNumber(string name, out long? number)
    {
        number = null;
        if (Any(name) is not { } value)
            return true;
        number = value.Kind == ValueKind.Int64 ? value.AsInt64() : null;
        return number is not null;
    }

    internal bool TryFloat(string name, out double? number)
    {
        number = null;
        if (Any(name) is not { } value)
            return true;
        number = value.Kind == ValueKind.Float64 ? value.AsFloat64() : null;
        return number is not null;
    }

    internal bool TryFlag(string name, out bool flag)
    {
        flag = false;
        if (Any(name) is not { } value)
            return true;
        flag = value.Kind == ValueKind.Bool && value.AsBool();
        return flag;
    }

    internal bool TryId(string name, out UInt128? id)
    {
        id = null;
        if (Any(name) is not { } value)
            return true;
        if (value.Kind != ValueKind.Bytes || value.AsBytes().Length != RunId.Size)
            return false;
        id = RunId.Read(value.AsBytes().Span).Bits;
        return true;
    }

    internal bool TryTexts(string name, out string[] texts)
    {
        texts = [];
        if (Any(name) is not { } value)
            return true;
        if (value.Kind != ValueKind.Array)
            return false;
        texts = new string[value.Count];
        for (var i = 0; i < texts.Length; i++)
        {
            if (value[i].Kind != ValueKind.String)
                return false;
            texts[i] = value[i].AsString();
        }

        return true;
    }

    internal bool TryNumbers(string name, out long[] numbers)
    {
        numbers = [];
        if (Any(name) is not { } value)
            return true;
        if (value.Kind != ValueKind.Array)
            return false;
        numbers = new long[value.Count];
        for (var i = 0; i < numbers.Length; i++)
        {
            if (value[i].Kind != ValueKind.Int64)
                return false;
            numbers[i] = value[i].AsInt64();
        }

        return true;
    }

    /// <summary>An object; an empty one when there is no such member.</summary>
    internal bool TryObject(string name, out Value value)
    {
        value = Any(name) ?? Value.Object();
        return value.Kind == ValueKind.Object;
    }
}
