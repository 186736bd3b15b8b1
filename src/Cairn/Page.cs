using System.Collections;

namespace Cairn;

/// <summary>One page of a listing, in a stable total order, all pages of one listing at one sequence.</summary>
/// <typeparam name="T">Type of the items.</typeparam>
public sealed class Page<T> : IReadOnlyList<T>
{
    private readonly IReadOnlyList<T> _items;

    internal Page(IReadOnlyList<T> items, string? cursor, Sequence sequence)
    {
        _items = items;
        Cursor = cursor;
        Sequence = sequence;
    }

    /// <summary>Opaque text that gives the next page; null at the end. Good for a while: <see cref="ErrorCode.CursorExpired"/> says
    /// that its snapshot is gone.</summary>
    public string? Cursor { get; }

    /// <summary>The sequence that all pages of this listing show.</summary>
    public Sequence Sequence { get; }

    /// <summary>Items on this page.</summary>
    public int Count => _items.Count;

    /// <summary>An item by its index on this page.</summary>
    public T this[int index] => _items[index];

    /// <summary>Enumerates this page.</summary>
    public IEnumerator<T> GetEnumerator() => _items.GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
}

/// <summary>Which part of an ordered set of keys to list.</summary>
public sealed record ScanOptions
{
    /// <summary>First key, inclusive; null = from the beginning. Not together with <see cref="Prefix"/>.</summary>
    public string? From { get; init; }

    /// <summary>End, exclusive; null = to the end. Not together with <see cref="Prefix"/>.</summary>
    public string? To { get; init; }

    /// <summary>Only keys that begin with this.</summary>
    public string? Prefix { get; init; }

    /// <summary>Most items on a page; 0 = <see cref="Limits.PageSize"/>; at most <see cref="Limits.PageSizeMax"/>.</summary>
    public int Limit { get; init; }

    /// <summary>Continues a listing: <see cref="Page{T}.Cursor"/> of the page before, with the other options unchanged.</summary>
    public string? Cursor { get; init; }

    /// <summary>Largest key first.</summary>
    public bool Reverse { get; init; }
}
