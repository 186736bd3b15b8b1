namespace Cairn.Tables;

/// <summary>Stands on an entry of one table, or on none, and moves in both directions. Not thread-safe. What it shows of an entry is
/// good until it moves, but for the block, which nobody changes.</summary>
/// <param name="table">Open for as long as the cursor is used.</param>
/// <param name="keep">False: the blocks that it reads are not kept in the cache, because all of them are read once.</param>
internal sealed class TableCursor(Table table, bool keep = true)
{
    private readonly IndexWalk _walk = new(table, table.RootBlock, keep);
    private byte[] _key = new byte[64];
    private int _keyBytes;
    private int _prefixBytes;
    private int _index;

    /// <summary>The data block it stands in.</summary>
    internal byte[] Data { get; private set; } = [];

    /// <summary>The entry in <see cref="Data"/>; 0 when it stands on none.</summary>
    internal int Entry { get; private set; }

    /// <summary>Run and key.</summary>
    internal ReadOnlySpan<byte> Key => _key.AsSpan(0, _keyBytes);

    internal ulong Sequence => DataBlock.Sequence(Data, Entry);

    /// <summary>Where the data block lies that it stands in.</summary>
    internal BlockPlace Place => _walk.Place;

    /// <summary>True: the entry before this one in the table has the same key.</summary>
    internal bool IsAgain => DataBlock.IsAgain(Data, Entry);

    internal VersionView Version => DataBlock.View(Data, Entry);

    internal bool MoveToFirst() => TryRead(_walk.MoveTo(default, ulong.MaxValue)) && Settle(0);

    /// <summary>Moves to the first entry at or behind a version of a key; <see cref="ulong.MaxValue"/> is before all of its
    /// versions.</summary>
    internal bool MoveTo(ReadOnlySpan<byte> probe, ulong sequence = ulong.MaxValue) =>
        TryRead(_walk.MoveTo(probe, sequence)) && Settle(DataBlock.Seek(Data, probe, sequence));

    /// <summary>Moves to the last entry whose key is before <paramref name="probe"/>; an empty one is behind all.</summary>
    internal bool MoveBefore(ReadOnlySpan<byte> probe)
    {
        if (probe.Length == 0)
            return TryRead(_walk.MoveToLast()) && Settle(Block.Count(Data) - 1);
        return TryRead(_walk.MoveTo(probe, ulong.MaxValue))
            && SettleBefore(DataBlock.Seek(Data, probe, ulong.MaxValue));
    }

    internal bool MoveNext() => Settle(_index + 1);

    internal bool MovePrevious() => SettleBefore(_index);

    // The entry of that index, or the first one of the next block.
    private bool Settle(int index)
    {
        if (index < Block.Count(Data))
            return Stand(index);
        return TryRead(_walk.MoveNext()) ? Stand(0) : Leave();
    }

    // The entry before that index, or the last one of the block before.
    private bool SettleBefore(int index)
    {
        if (index > 0)
            return Stand(index - 1);
        return TryRead(_walk.MovePrevious()) ? Stand(Block.Count(Data) - 1) : Leave();
    }

    private bool Stand(int index)
    {
        _index = index;
        Entry = DataBlock.OffsetOf(Data, index);
        var suffix = DataBlock.Suffix(Data, Entry);
        _keyBytes = _prefixBytes + suffix.Length;
        if (_keyBytes < RunId.Size)
            throw table.Damaged(Place.Offset, "entries of runs");
        if (_key.Length < _keyBytes)
            Array.Resize(ref _key, Math.Max(_keyBytes, 2 * _key.Length));
        suffix.CopyTo(_key.AsSpan(_prefixBytes));
        return true;
    }

    private bool Leave()
    {
        Entry = 0;
        return false;
    }

    private bool TryRead(bool isThere)
    {
        if (!isThere)
            return Leave();
        Data = table.Data(_walk.Place, keep);
        var prefix = DataBlock.Prefix(Data);
        _prefixBytes = prefix.Length;
        if (_key.Length < _prefixBytes)
            Array.Resize(ref _key, Math.Max(_prefixBytes, 2 * _key.Length));
        prefix.CopyTo(_key);
        return true;
    }
}
