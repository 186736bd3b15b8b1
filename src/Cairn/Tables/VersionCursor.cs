namespace Cairn.Tables;

/// <summary>All versions in some tables, in the order of a table: by run and key, of one key the newest first. For merges, checks and
/// history. Not thread-safe. The tables must stay open.</summary>
internal sealed class VersionCursor
{
    private readonly TableCursor[] _heap;
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
        _heap = new TableCursor[tables.Length];
        foreach (var table in tables)
        {
            var cursor = new TableCursor(table, keep);
            if (from.Length == 0 ? cursor.MoveToFirst() : cursor.MoveTo(from))
                Push(cursor);
        }
    }

    internal RunId Run => RunId.Read(_heap[0].Key);

    /// <summary>Run and store key, good until the next move.</summary>
    internal ReadOnlySpan<byte> RunAndKey => _heap[0].Key;

    /// <summary>The store key, good until the next move.</summary>
    internal ReadOnlySpan<byte> Key => _heap[0].Key[RunId.Size..];

    /// <summary>The version; stays good.</summary>
    internal VersionView Version => _heap[0].Version;

    /// <exception cref="CorruptionException">A block on the way is damaged.</exception>
    internal bool MoveNext()
    {
        if (_isStarted && _count > 0)
        {
            if (!_heap[0].MoveNext())
            {
                _count--;
                _heap[0] = _heap[_count];
                _heap[_count] = null!;
            }

            Sift();
        }

        _isStarted = true;
        if (_count > 0 && _bound.Length > 0 && _heap[0].Key.SequenceCompareTo(_bound) >= 0)
            _count = 0;
        return _count > 0;
    }

    private void Push(TableCursor cursor)
    {
        _heap[_count] = cursor;
        for (var at = _count++; at > 0 && IsBefore(_heap[at], _heap[(at - 1) / 2]); at = (at - 1) / 2)
            (_heap[at], _heap[(at - 1) / 2]) = (_heap[(at - 1) / 2], _heap[at]);
    }

    private void Sift()
    {
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

    private static bool IsBefore(TableCursor one, TableCursor other)
    {
        var order = one.Key.SequenceCompareTo(other.Key);
        return order < 0 || (order == 0 && one.Sequence > other.Sequence);
    }
}
