namespace Cairn.Tables;

/// <summary>Stands on an entry of the lowest level of an index and goes to its neighbours. Not thread-safe.</summary>
/// <param name="table">Whose index it is.</param>
/// <param name="root">The root, which is in memory or was just read.</param>
/// <param name="keep">False: the blocks that it reads are not kept in the cache.</param>
internal sealed class IndexWalk(Table table, byte[] root, bool keep)
{
    private readonly byte[][] _path = new byte[Block.Level(root) + 1][];     // by level
    private readonly int[] _at = new int[Block.Level(root) + 1];

    /// <summary>Where the block lies that the entry names.</summary>
    internal BlockPlace Place => IndexBlock.Child(_path[0], _at[0]);

    /// <summary>Goes to the entry whose block has a version of a key if any has it; before all of them, to the first.</summary>
    /// <returns>False when the index is empty.</returns>
    internal bool MoveTo(ReadOnlySpan<byte> probe, ulong sequence)
    {
        if (!TryBegin())
            return false;
        for (var level = _path.Length - 1;; level--)
        {
            _at[level] = Math.Max(0, IndexBlock.Search(_path[level], probe, sequence));
            if (level == 0)
                return true;
            _path[level - 1] = Child(level);
        }
    }

    /// <summary>Goes to the last entry.</summary>
    /// <returns>False when the index is empty.</returns>
    internal bool MoveToLast()
    {
        if (!TryBegin())
            return false;
        DescendFrom(_path.Length - 1, toLast: true);
        return true;
    }

    internal bool MoveNext() => TryStep(+1);

    internal bool MovePrevious() => TryStep(-1);

    /// <summary>Whether the key of the entry begins with some bytes.</summary>
    internal bool KeyStartsWith(ReadOnlySpan<byte> bytes)
    {
        var prefix = IndexBlock.Prefix(_path[0]);
        return bytes.Length <= prefix.Length
            ? prefix.StartsWith(bytes)
            : bytes.StartsWith(prefix) && IndexBlock.Suffix(_path[0], _at[0]).StartsWith(bytes[prefix.Length..]);
    }

    private bool TryBegin()
    {
        _path[^1] = root;
        return Block.Count(root) > 0;
    }

    // Up to where there is a neighbour on that side, and down its near side.
    private bool TryStep(int direction)
    {
        for (var level = 0; level < _path.Length; level++)
        {
            var next = _at[level] + direction;
            if (next < 0 || next >= Block.Count(_path[level]))
                continue;
            _at[level] = next;
            if (level > 0)
            {
                _path[level - 1] = Child(level);
                DescendFrom(level - 1, toLast: direction < 0);
            }

            return true;
        }

        return false;
    }

    private void DescendFrom(int level, bool toLast)
    {
        for (;; level--)
        {
            _at[level] = toLast ? Block.Count(_path[level]) - 1 : 0;
            if (level == 0)
                return;
            _path[level - 1] = Child(level);
        }
    }

    private byte[] Child(int level)
    {
        var place = IndexBlock.Child(_path[level], _at[level]);
        var child = table.Index(place, level - 1, keep);
        if (Block.Count(child) == 0)
            throw table.Damaged(place.Offset, "an index block that names something");
        return child;
    }
}
