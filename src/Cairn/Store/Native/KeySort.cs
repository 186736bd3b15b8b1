using System.Runtime.InteropServices;

namespace Cairn.Store.Native;

/// <summary>
/// Sorts entries by key: by windows of 16 bytes held beside the addresses, then each group of equal windows by the next 16
/// (a radix sort from the left whose digit is 16 bytes, sorted by comparison). Looks at each key once per window, not once per comparison.
/// </summary>
internal sealed unsafe class KeySort : IDisposable
{
    private readonly Item* _items;
    private readonly nint* _entries;
    private readonly int _count;

    internal KeySort(long count)
    {
        _count = checked((int)count);
        _items = (Item*)NativeMemory.Alloc((nuint)Math.Max(1, _count), (nuint)sizeof(Item));
        try
        {
            _entries = (nint*)NativeMemory.Alloc((nuint)Math.Max(1, _count), (nuint)sizeof(nint));
        }
        catch (OutOfMemoryException)
        {
            NativeMemory.Free(_items);
            throw;
        }
    }

    /// <summary>In any order before <see cref="Sort()"/>, in key order after it.</summary>
    internal Span<nint> Entries => new(_entries, _count);

    internal void Sort()
    {
        if (_count == 0)
            return;
        var first = Entry.Key((byte*)_entries[0]);
        var common = first.Length;
        for (var i = 1; i < _count && common > 0; i++)
            common = first[..common].CommonPrefixLength(Entry.Key((byte*)_entries[i]));
        for (var i = 0; i < _count; i++)
            _items[i].Entry = _entries[i];
        Sort(new Span<Item>(_items, _count), common);
        for (var i = 0; i < _count; i++)
            _entries[i] = _items[i].Entry;
    }

    public void Dispose()
    {
        NativeMemory.Free(_items);
        NativeMemory.Free(_entries);
    }

    private static void Sort(Span<Item> items, int offset)
    {
        var anyEnds = false;
        foreach (ref var item in items)
        {
            var key = Entry.Key((byte*)item.Entry);
            TreeNode.Window(key, offset, out item.Head, out item.Tail);
            anyEnds |= key.Length < offset;
        }

        if (anyEnds)
        {
            items.Sort(default(ByKey));                   // windows past the end of a key say nothing
            return;
        }

        items.Sort(default(ByWindow));
        for (var from = 0; from < items.Length;)
        {
            var to = from + 1;
            while (to < items.Length && items[to].Head == items[from].Head && items[to].Tail == items[from].Tail)
                to++;
            if (to - from > 1)
                Sort(items[from..to], offset + 16);
            from = to;
        }
    }

    private struct Item
    {
        internal ulong Head;
        internal ulong Tail;
        internal nint Entry;
    }

    private readonly struct ByWindow : IComparer<Item>
    {
        public int Compare(Item left, Item right)
        {
            var order = left.Head.CompareTo(right.Head);
            return order != 0 ? order : left.Tail.CompareTo(right.Tail);
        }
    }

    private readonly struct ByKey : IComparer<Item>
    {
        public int Compare(Item left, Item right) =>
            Entry.Key((byte*)left.Entry).SequenceCompareTo(Entry.Key((byte*)right.Entry));
    }
}
