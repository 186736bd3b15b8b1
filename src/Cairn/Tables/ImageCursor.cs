namespace Cairn.Tables;

/// <summary>
/// The keys of one run in an image, in order or reversed, each once: with its newest version at or below a sequence, tombstones
/// included. Merges the tables; where several have the key the newest table that has such a version is right, because all it has of a key
/// is newer than what older tables have. Not thread-safe. The tables must stay open.
/// </summary>
internal sealed class ImageCursor
{
    private readonly ulong _sequence;
    private readonly bool _reverse;
    private readonly byte[] _bound;                       // run and key where it ends; empty = with the tables
    private readonly Source[] _heap;                      // the next key is on top; of equal keys the newest table
    private int _count;
    private byte[] _key = new byte[64];
    private int _keyBytes;
    private byte[] _block = [];
    private int _entry;

    internal ImageCursor(
        ReadOnlySpan<Table> tables, RunId run, ReadOnlySpan<byte> from, ReadOnlySpan<byte> to, ulong sequence, bool reverse)
    {
        _sequence = sequence;
        _reverse = reverse;
        var lower = Probe.Of(run, from);
        var upper = to.Length > 0 ? Probe.Of(run, to) : Probe.Behind(run);
        _bound = reverse ? lower : upper;
        _heap = new Source[tables.Length];
        if (to.Length > 0 && from.SequenceCompareTo(to) >= 0)
            return;
        for (var age = 0; age < tables.Length; age++)
        {
            if (tables[age].Info.FirstSequence > sequence)
                continue;
            var source = new Source(tables[age], age);
            if (reverse ? source.Cursor.MoveBefore(upper) : source.Cursor.MoveTo(lower))
                Push(source);
        }
    }

    /// <summary>The store key, good until the next move.</summary>
    internal ReadOnlySpan<byte> Key => _key.AsSpan(RunId.Size, _keyBytes - RunId.Size);

    /// <summary>Its version; stays good.</summary>
    internal VersionView Version => DataBlock.View(_block, _entry);

    /// <exception cref="CorruptionException">A block on the way is damaged.</exception>
    internal bool MoveNext()
    {
        if (_count == 0)
            return false;
        var top = _heap[0];
        (_block, _entry) = (top.Block, top.Entry);
        Remember(top.Cursor.Key);
        if (_count == 1)
        {
            Advance();
            return true;
        }

        do
            Advance();
        while (_count > 0 && _heap[0].Cursor.Key.SequenceEqual(_key.AsSpan(0, _keyBytes)));
        return true;
    }

    private void Remember(ReadOnlySpan<byte> key)
    {
        if (_key.Length < key.Length)
            _key = new byte[Math.Max(2 * _key.Length, key.Length)];
        key.CopyTo(_key);
        _keyBytes = key.Length;
    }

    // A source that has just moved to a key of which nothing is known yet.
    private void Push(Source source)
    {
        if (!TrySettle(source))
            return;
        _heap[_count] = source;
        for (var at = _count++; at > 0 && IsBefore(_heap[at], _heap[(at - 1) / 2]); at = (at - 1) / 2)
            (_heap[at], _heap[(at - 1) / 2]) = (_heap[(at - 1) / 2], _heap[at]);
    }

    // Moves the top source to its next key.
    private void Advance()
    {
        var source = _heap[0];
        if (!(_reverse ? source.Cursor.MovePrevious() : source.MoveToOtherKey()) || !TrySettle(source))
        {
            _count--;
            _heap[0] = _heap[_count];
            _heap[_count] = null!;
        }

        for (var at = 0; ;)
        {
            var child = 2 * at + 1;
            if (child >= _count)
                return;
            if (child + 1 < _count && IsBefore(_heap[child + 1], _heap[child]))
                child++;
            if (!IsBefore(_heap[child], _heap[at]))
                return;
            (_heap[at], _heap[child]) = (_heap[child], _heap[at]);
            at = child;
        }
    }

    private bool TrySettle(Source source) => _reverse ? TrySettleBackward(source) : TrySettleForward(source);

    // The cursor is on the newest version of a key; goes on to the first one at or below the sequence.
    private bool TrySettleForward(Source source)
    {
        var cursor = source.Cursor;
        do
        {
            if (_bound.Length > 0 && cursor.Key.SequenceCompareTo(_bound) >= 0)
                return false;
            var isSame = true;
            while (isSame && cursor.Sequence > _sequence)
            {
                if (!cursor.MoveNext())
                    return false;
                isSame = cursor.IsAgain;
            }

            if (isSame)
            {
                source.Take();
                return true;
            }
        }
        while (true);
    }

    // The cursor is on the oldest version of a key; stops on the newest one, and takes the last one on the way that is at or below the
    // sequence.
    private bool TrySettleBackward(Source source)
    {
        var cursor = source.Cursor;
        do
        {
            if (cursor.Key.SequenceCompareTo(_bound) < 0)
                return false;
            var found = false;
            while (true)
            {
                if (cursor.Sequence <= _sequence)
                {
                    source.Take();
                    found = true;
                }

                if (!cursor.IsAgain)
                    break;
                if (!cursor.MovePrevious())
                    return false;
            }

            if (found)
                return true;
        }
        while (cursor.MovePrevious());
        return false;
    }

    private bool IsBefore(Source one, Source other)
    {
        var order = one.Cursor.Key.SequenceCompareTo(other.Cursor.Key);
        if (order == 0)
            return one.Age < other.Age;
        return _reverse ? order > 0 : order < 0;
    }

    private sealed class Source(Table table, int age)
    {
        internal TableCursor Cursor { get; } = new(table);

        internal int Age => age;

        internal byte[] Block { get; private set; } = [];

        internal int Entry { get; private set; }

        internal void Take() => (Block, Entry) = (Cursor.Data, Cursor.Entry);

        internal bool MoveToOtherKey()
        {
            do
            {
                if (!Cursor.MoveNext())
                    return false;
            }
            while (Cursor.IsAgain);
            return true;
        }
    }
}
