using System.Collections;
using System.Diagnostics.CodeAnalysis;

namespace Cairn.Codec;

/// <summary>The members of an object value: distinct names in the order of their UTF-8 bytes, which is the order of the canonical
/// encoding; fixed once made, measured once. A name is found by halving.</summary>
internal sealed class ValueMembers : IReadOnlyDictionary<string, Value>
{
    internal static readonly ValueMembers Empty = new([], []);

    private const int NameCharsShownMax = 64;

    private static readonly Comparer<string> ByUtf8 = Comparer<string>.Create(static (a, b) => Utf8.Compare(a, b));

    private readonly string[] _names;
    private readonly Value[] _values;

    /// <summary>Takes over both arrays; nobody else may keep them. The names are in order and distinct already.</summary>
    /// <exception cref="LimitException">A hard maximum is passed.</exception>
    internal ValueMembers(string[] orderedNames, Value[] values)
    {
        _names = orderedNames;
        _values = values;
        ValueMeasure sum = ValueMeasure.OfScalar(0);
        for (var member = 0; member < orderedNames.Length; member++)
            sum = sum.And(ValueMeasure.OfString(Utf8.GetByteCount(orderedNames[member]))).And(values[member].Measure);
        Measure = sum.InObject(orderedNames.Length).CheckHard();
    }

    /// <summary>Takes over both arrays and brings them into order.</summary>
    /// <exception cref="CairnException"><see cref="ErrorCode.InvalidArgument"/>: a name twice (VAL-7), or a lone surrogate.</exception>
    /// <exception cref="LimitException">A hard maximum is passed.</exception>
    internal static ValueMembers Order(string[] names, Value[] values)
    {
        for (var member = 1; member < names.Length; member++)
        {
            if (Utf8.Compare(names[member - 1], names[member]) < 0)
                continue;
            Array.Sort(names, values, ByUtf8);
            break;
        }

        for (var member = 1; member < names.Length; member++)
        {
            if (names[member - 1] == names[member])
                throw Duplicate(names[member]);
        }

        return names.Length == 0 ? Empty : new ValueMembers(names, values);
    }

    internal ValueMeasure Measure { get; }

    internal ReadOnlySpan<string> Names => _names;

    internal ReadOnlySpan<Value> Values => _values;

    public int Count => _names.Length;

    IEnumerable<string> IReadOnlyDictionary<string, Value>.Keys => _names.AsEnumerable();

    IEnumerable<Value> IReadOnlyDictionary<string, Value>.Values => _values.AsEnumerable();

    public Value this[string key] => TryGetValue(key, out var value) ? value : throw new KeyNotFoundException();

    public bool ContainsKey(string key) => IndexOf(key) >= 0;

    public bool TryGetValue(string key, [MaybeNullWhen(false)] out Value value)
    {
        var index = IndexOf(key);
        value = index >= 0 ? _values[index] : default;
        return index >= 0;
    }

    public IEnumerator<KeyValuePair<string, Value>> GetEnumerator()
    {
        for (var member = 0; member < _names.Length; member++)
            yield return new(_names[member], _values[member]);
    }

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    private int IndexOf(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        var (from, to) = (0, _names.Length);
        while (from < to)
        {
            var middle = (from + to) >>> 1;
            var order = Utf8.Compare(_names[middle], name);
            if (order == 0)
                return middle;
            if (order < 0)
                from = middle + 1;
            else
                to = middle;
        }

        return -1;
    }

    private static CairnException Duplicate(string name) => new(ErrorCode.InvalidArgument,
        $"An object has two members named '{(name.Length <= NameCharsShownMax ? name : name[..NameCharsShownMax] + "...")}'. Send each name once.");
}
