namespace Cairn.Tables;

/// <summary>All versions in some tables, in the order of a table: by run and key, of one key the newest first. For merges, checks and
/// history. Not thread-safe. The tables must stay open.</summary>
internal sealed class VersionCursor
{
    private readonly Source[] _heap;
    private readonly byte[] _bound;                       // run and key where it ends; empty = with the tables
    private int _count;
    private bool _isStarted;

    /// <param name="tables">Newest first.</param>
    /// <param name="from">Run and key of the first entry; empty = from the first on.</param>
    /// <param name="bound">Run and key that end it; empty = to the last.</param>
    /// <param name="keep">See <see cref="TableCursor"/>.</param>
    internal VersionCursor(ReadOnlySpan<Table> tables, ReadOnlySpan<byte> from, byte[] bound, bool keep)
    {
        _bound = bound;
        _heap = new Source[tables.Length];
        for (var age = 0; age < tables.Length; age++)
        {
            var cursor = new TableCursor(tables[age], keep);
            if (from.Length == 0 ? cursor.MoveToFirst() : cursor.MoveTo(from))
                Push(new Source(cursor, age));
        }
    }

    internal RunId Run => RunId.Read(_heap[0].Cursor.Key);

    /// <summary>Run and store key, good until the next move.</summary>
    internal ReadOnlySpan<byte> RunAndKey => _heap[0].Cursor.Key;

    /// <summary>The store key, good until the next move.</summary>
    internal ReadOnlySpan<byte> Key => _heap[0].Cursor.Key[RunId.Size..];

    /// <summary>The version; stays good.</summary>
    internal VersionView Version => _heap[0].Cursor.Version;

    /// <exception cref="CorruptionException">A block on the way is damaged.</exception>
    internal bool MoveNext()
    {
        if (_isStarted && _count > 0)
        {
            PassDoubles();
            Advance(0);
        }

        _isStarted = true;
        if (_count > 0 && _bound.Length > 0 && _heap[0].Cursor.Key.SequenceCompareTo(_bound) >= 0)
            _count = 0;
        return _count > 0;
    }

    private void Push(Source source)
    {
        _heap[_count] = source;
        for (var at = _count++; at > 0 && IsBefore(_heap[at], _heap[(at - 1) / 2]); at = (at - 1) / 2)
            (_heap[at], _heap[(at - 1) / 2]) = (_heap[(at - 1) / 2], _heap[at]);
    }

    // What an older table has of the same key and sequence, as a checkpoint without commits may write it again: the newer one counts.
    // What is equal to the top hangs below it.
    private void PassDoubles()
    {
        for (var child = 1; child <= 2 && child < _count;)
        {
            if (_heap[child].Cursor.Sequence == _heap[0].Cursor.Sequence && _heap[child].Cursor.Key.SequenceEqual(_heap[0].Cursor.Key))
                Advance(child);
            else
                child++;
        }
    }

    private void Advance(int at)
    {
        if (!_heap[at].Cursor.MoveNext())
        {
            _count--;
            _heap[at] = _heap[_count];
            _heap[_count] = default;
            if (at == _count)
                return;
        }

        while (true)
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

    private static bool IsBefore(in Source one, in Source other)
    {
        var order = one.Cursor.Key.SequenceCompareTo(other.Cursor.Key);
        if (order != 0)
            return order < 0;
        var (sequence, theirs) = (one.Cursor.Sequence, other.Cursor.Sequence);
        return sequence != theirs ? sequence > theirs : one.Age < other.Age;
    }

    private readonly record struct Source(TableCursor Cursor, int Age);
}
