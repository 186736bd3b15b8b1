using System.Collections;

namespace Cairn.Codec;

/// <summary>The elements of an array value: fixed once made, measured once.</summary>
internal sealed class ValueElements : IReadOnlyList<Value>
{
    internal static readonly ValueElements Empty = new([]);

    private readonly Value[] _items;

    /// <summary>Takes over the array; nobody else may keep it.</summary>
    /// <exception cref="LimitException">A hard maximum is passed.</exception>
    internal ValueElements(Value[] items)
    {
        _items = items;
        ValueMeasure sum = ValueMeasure.OfScalar(0);
        foreach (ref readonly var item in items.AsSpan())
            sum = sum.And(item.Measure);
        Measure = sum.InArray(items.Length).CheckHard();
    }

    internal ValueMeasure Measure { get; }

    internal ReadOnlySpan<Value> Items => _items;

    public int Count => _items.Length;

    public Value this[int index] => _items[index];

    public IEnumerator<Value> GetEnumerator() => ((IEnumerable<Value>)_items).GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
}
