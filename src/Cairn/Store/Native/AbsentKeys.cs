namespace Cairn.Store.Native;

/// <summary>
/// Keys that a commit has looked for in the image in vain, so that <c>Apply</c> need not look again behind its sequence: the image gets
/// no key that memory does not have, and memory lets none go, while the run's lock is held. They are true from there until the next
/// commit on the run, which begins with none. Whole keys are kept and not only their hashes: a wrong "absent" would hide a version.
/// </summary>
internal sealed class AbsentKeys
{
    private const int KeptBytes = 16 << 10;               // of a large transaction nothing more stays behind

    private byte[] _bytes = [];
    private int _used;
    private Key[] _keys = [];
    private int _count;
    private int[] _slots = [];                            // place in _keys and 1, by hash; as many again are free

    internal void Clear()
    {
        if (_count == 0)
            return;
        (_count, _used) = (0, 0);
        if (_bytes.Length + _slots.Length * sizeof(int) > KeptBytes)
            (_bytes, _keys, _slots) = ([], [], []);
        else
            Array.Clear(_slots);
    }

    internal bool Contains(ulong hash, ReadOnlySpan<byte> key)
    {
        if (_count == 0)
            return false;
        for (var slot = (int)hash & (_slots.Length - 1); _slots[slot] != 0; slot = (slot + 1) & (_slots.Length - 1))
        {
            var known = _keys[_slots[slot] - 1];
            if (known.Hash == hash && _bytes.AsSpan(known.From, known.Length).SequenceEqual(key))
                return true;
        }

        return false;
    }

    /// <summary>Adds a key that is not there yet.</summary>
    internal void Add(ulong hash, ReadOnlySpan<byte> key)
    {
        if (_count == _keys.Length)
            Grow();
        if (_bytes.Length - _used < key.Length)
            Array.Resize(ref _bytes, Math.Max(2 * _bytes.Length, _used + key.Length + 256));
        key.CopyTo(_bytes.AsSpan(_used));
        _keys[_count++] = new Key(hash, _used, key.Length);
        _used += key.Length;
        Place(_count);
    }

    private void Grow()
    {
        Array.Resize(ref _keys, Math.Max(8, 2 * _count));
        _slots = new int[2 * _keys.Length];
        for (var number = 1; number <= _count; number++)
            Place(number);
    }

    private void Place(int number)
    {
        var slot = (int)_keys[number - 1].Hash & (_slots.Length - 1);
        while (_slots[slot] != 0)
            slot = (slot + 1) & (_slots.Length - 1);
        _slots[slot] = number;
    }

    private readonly record struct Key(ulong Hash, int From, int Length);
}
