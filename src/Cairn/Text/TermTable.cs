using Cairn.Codec;

namespace Cairn.Text;

/// <summary>Terms with numbers: bytes one behind the other, found by a hash with open addressing. Grows while a segment is built, and is
/// never changed afterwards.</summary>
internal sealed class TermTable
{
    private byte[] _bytes;
    private int[] _starts;                                   // one more than terms
    private int[] _slots;                                    // number + 1; 0 = free
    private uint[] _hashes;                                  // by number

    internal TermTable(int capacity = 256)
    {
        _bytes = new byte[capacity * 8];
        _starts = new int[capacity + 1];
        _hashes = new uint[capacity];
        _slots = new int[(int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)(2 * capacity))];
    }

    internal int Count { get; private set; }

    internal ReadOnlySpan<byte> this[int number] => _bytes.AsSpan(_starts[number], _starts[number + 1] - _starts[number]);

    internal long Bytes => _bytes.Length + (sizeof(int) * (long)(_starts.Length + _slots.Length + _hashes.Length));

    /// <summary>The number of a term; -1 = it is not there.</summary>
    internal int Find(ReadOnlySpan<byte> term)
    {
        var hash = Crc32C.Of(term);
        var mask = _slots.Length - 1;
        for (var slot = (int)hash & mask; ; slot = (slot + 1) & mask)
        {
            var number = _slots[slot] - 1;
            if (number < 0)
                return -1;
            if (_hashes[number] == hash && this[number].SequenceEqual(term))
                return number;
        }
    }

    /// <summary>The number of a term, a new one if it is not there.</summary>
    internal int Add(ReadOnlySpan<byte> term)
    {
        var hash = Crc32C.Of(term);
        var mask = _slots.Length - 1;
        var slot = (int)hash & mask;
        for (; _slots[slot] != 0; slot = (slot + 1) & mask)
        {
            var number = _slots[slot] - 1;
            if (_hashes[number] == hash && this[number].SequenceEqual(term))
                return number;
        }

        return AddNew(term, hash, slot);
    }

    /// <summary>The same terms in the order of their bytes.</summary>
    /// <param name="order">By new number the old one.</param>
    internal TermTable Sorted(out int[] order)
    {
        order = new int[Count];
        for (var i = 0; i < Count; i++)
            order[i] = i;
        Array.Sort(order, (left, right) => this[left].SequenceCompareTo(this[right]));
        var sorted = new TermTable(Math.Max(1, Count));
        foreach (var number in order)
            sorted.Add(this[number]);
        return sorted;
    }

    /// <summary>The first number of a sorted table whose term is at or behind some bytes.</summary>
    internal int FirstAtOrAfter(ReadOnlySpan<byte> term)
    {
        var low = 0;
        var high = Count;
        while (low < high)
        {
            var middle = (low + high) >>> 1;
            if (this[middle].SequenceCompareTo(term) < 0)
                low = middle + 1;
            else
                high = middle;
        }

        return low;
    }

    private int AddNew(ReadOnlySpan<byte> term, uint hash, int slot)
    {
        if (Count == _hashes.Length)
        {
            Array.Resize(ref _hashes, 2 * Count);
            Array.Resize(ref _starts, (2 * Count) + 1);
        }

        var start = _starts[Count];
        if (_bytes.Length - start < term.Length)
            Array.Resize(ref _bytes, Math.Max(2 * _bytes.Length, start + term.Length));
        term.CopyTo(_bytes.AsSpan(start));
        _starts[Count + 1] = start + term.Length;
        _hashes[Count] = hash;
        _slots[slot] = ++Count;
        if (2 * Count > _slots.Length)
            Widen();
        return Count - 1;
    }

    private void Widen()
    {
        _slots = new int[2 * _slots.Length];
        var mask = _slots.Length - 1;
        for (var number = 0; number < Count; number++)
        {
            var slot = (int)_hashes[number] & mask;
            while (_slots[slot] != 0)
                slot = (slot + 1) & mask;
            _slots[slot] = number + 1;
        }
    }
}
