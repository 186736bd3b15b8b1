using Cairn.Store;

namespace Cairn.Recovery;

/// <summary>
/// Keys of one run in the order in which they came, to be brought into memory in their own: an index of the image is walked from left to
/// right then, and a block is asked for once by all its keys. Places in the expiry order, which are known when their keys are
/// there, are brought in a second round of the same kind.
/// </summary>
internal sealed class KeysAhead
{
    private const int WindowBytes = sizeof(ulong);

    private byte[] _bytes = new byte[4096];
    private int _used;
    private Place[] _places = new Place[64];
    private int _count;

    internal void Add(ReadOnlySpan<byte> key)
    {
        if (_count == _places.Length)
            Array.Resize(ref _places, 2 * _count);
        if (key.Length > _bytes.Length - _used)
            Array.Resize(ref _bytes, checked((int)Math.Max(2L * _bytes.Length, (long)_used + key.Length)));
        key.CopyTo(_bytes.AsSpan(_used));
        _places[_count++] = new Place(_used, key.Length);
        _used += key.Length;
    }

    /// <summary>In a load: brings what the image has of the keys and memory has not.</summary>
    /// <returns>How many were brought.</returns>
    /// <exception cref="CorruptionException">The image cannot be read.</exception>
    internal long Bring(RunStore store)
    {
        KeysAhead? order = null;
        var brought = 0L;
        Sort();
        Span<byte> buffer = stackalloc byte[StoreKeys.ExpiryPrefixBytes + 1 + Limits.KeyBytesMax];
        for (var i = 0; i < _count; i++)
        {
            var key = Key(i);
            if (!store.TryBringForLoad(key, out var expiry))
                continue;
            brought++;
            if (expiry != 0)
                (order ??= new KeysAhead()).Add(StoreKeys.Expiry(buffer, expiry, key));
        }

        order?.Bring(store);
        return brought;
    }

    private ReadOnlySpan<byte> Key(int index) => _bytes.AsSpan(_places[index].From, _places[index].Bytes);

    private void Sort()
    {
        if (_count > 1)
            Sort(new ulong[_count], 0, _count, offset: 0);
    }

    // As KeySort does: a number made of the next bytes stands for the key, and equal ones go on behind it. Bytes that a key does not have
    // are zeros, so keys that differ in nothing else may come in any order: they share a block all the same.
    private void Sort(ulong[] heads, int from, int to, int offset)
    {
        var first = Key(from);
        var common = first.Length;
        var longest = 0;
        for (var i = from; i < to; i++)
        {
            longest = Math.Max(longest, _places[i].Bytes);
            common = first[..common].CommonPrefixLength(Key(i));
        }

        offset = Math.Max(offset, common);
        if (offset >= longest)
            return;
        for (var i = from; i < to; i++)
            heads[i] = Head(Key(i), offset);
        Array.Sort(heads, _places, from, to - from);
        for (var i = from; i < to;)
        {
            var end = i + 1;
            while (end < to && heads[end] == heads[i])
                end++;
            if (end - i > 1)
                Sort(heads, i, end, offset + WindowBytes);
            i = end;
        }
    }

    private static ulong Head(ReadOnlySpan<byte> key, int from)
    {
        if (key.Length - from >= WindowBytes)
            return System.Buffers.Binary.BinaryPrimitives.ReadUInt64BigEndian(key[from..]);
        Span<byte> window = stackalloc byte[WindowBytes];
        window.Clear();
        key[Math.Min(from, key.Length)..].CopyTo(window);
        return System.Buffers.Binary.BinaryPrimitives.ReadUInt64BigEndian(window);
    }

    private readonly record struct Place(int From, int Bytes);
}
