namespace Cairn.Store;

/// <summary>Store keys one behind the other, without an object for each.</summary>
internal sealed class ItemBuffer
{
    private byte[] _bytes = [];
    private (int Start, int Length)[] _items = [];
    private int _used;

    internal int Count { get; private set; }

    /// <summary>Of all items.</summary>
    internal long Bytes => _used;

    /// <summary>Borrowed until the next one is added.</summary>
    internal ReadOnlySpan<byte> this[int index] => _bytes.AsSpan(_items[index].Start, _items[index].Length);

    /// <summary>Room for one more, which <see cref="End"/> makes an item.</summary>
    internal Span<byte> Begin(int most)
    {
        if (_bytes.Length - _used < most)
            Array.Resize(ref _bytes, Math.Max(2 * _bytes.Length, _used + Math.Max(most, 4_096)));
        return _bytes.AsSpan(_used, most);
    }

    internal void End(int length)
    {
        if (Count == _items.Length)
            Array.Resize(ref _items, Math.Max(16, 2 * Count));
        _items[Count++] = (_used, length);
        _used += length;
    }

    internal void Add(ReadOnlySpan<byte> item)
    {
        item.CopyTo(Begin(item.Length));
        End(item.Length);
    }

    /// <summary>In order of the bytes: what is written so finds its place in the ordered index beside the one before.</summary>
    internal void Sort() =>
        _items.AsSpan(0, Count).Sort((left, right) =>
            _bytes.AsSpan(left.Start, left.Length).SequenceCompareTo(_bytes.AsSpan(right.Start, right.Length)));

    internal List<byte[]> ToList()
    {
        var list = new List<byte[]>(Count);
        for (var i = 0; i < Count; i++)
            list.Add(this[i].ToArray());
        return list;
    }
}
