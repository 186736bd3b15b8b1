using System.Runtime.CompilerServices;

namespace Cairn.Store.Native;

/// <summary>
/// The keys of a run in order: a B+-tree over the entries, touched only when a key comes or goes, never by an update. One
/// writer; readers take no lock (see <see cref="TreeNode"/>). Separators own their bytes, cut to what tells two leaves apart, so a key
/// can go while its separator stays. Leaves are not chained: a scan goes on by descending to the separator that bounded its
/// last leaf, which costs a few ns per entry and leaves nothing to mend when leaves merge.
/// </summary>
internal sealed unsafe class OrderedIndex
{
    /// <summary>Most entries one read returns.</summary>
    internal const int BatchMax = TreeNode.Capacity;

    private const int DepthMax = 16;
    private const int FamiliesMax = 32;                   // that may part in one commit
    private const int MergeBelow = TreeNode.Capacity / 4, MergedMax = TreeNode.Capacity * 3 / 4;

    /// <summary>That of every run that nothing was written to: has no key, and gets none.</summary>
    internal static readonly OrderedIndex Nothing = new(null!, null!);

    private readonly Slab _slab;
    private readonly Limbo _limbo;
    private nint _root;
    private int _depth;
    private long _leaves;
    private long _retries;
    private Hints _hints;

    internal OrderedIndex(Slab slab, Limbo limbo)
    {
        _slab = slab;
        _limbo = limbo;
    }

    /// <summary>How often readers had to begin again.</summary>
    internal long Retries => Volatile.Read(ref _retries);

    internal long Bytes => _slab.Taken;

    // ---- writing -----------------------------------------------------------------------------------------------------------

    /// <summary>Makes sure that this many inserts find their memory.</summary>
    internal void Ensure(int inserts) => _slab.Ensure(BytesFor(inserts), TreeNode.InnerBytes);

    /// <summary>Gives back what they did not need, but for what a few more will.</summary>
    internal void Trim(int inserts) => _slab.Trim(BytesFor(inserts), TreeNode.InnerBytes);

    private long BytesFor(int inserts)
    {
        var leaves = Math.Min(inserts, _leaves + inserts / (TreeNode.Capacity / 2) + 1 + FamiliesMax);
        // Keys that were added in order leave every inner node as full as every leaf.
        var inner = Math.Min(leaves, (_leaves + leaves) / (TreeNode.Capacity / 2)) + _depth + 1;
        return leaves * (TreeNode.LeafBytes + Entry.SizeFor(64)) + inner * TreeNode.InnerBytes + 2048;
    }

    /// <summary>Finds where a key that is not there will go, and begins to fetch that leaf: what the writer does until
    /// <see cref="Insert"/> hides most of the time that takes. The tree may not change in between.</summary>
    internal void Seek(ReadOnlySpan<byte> key, ref Place place)
    {
        if (_root == 0)
            return;
        ref var hint = ref HintOf(key);
        if (hint.Leaf != null && IsBehindLast(hint, key))
        {
            place.IsBehindLast = true;
            place.Depth = 0;
            place.Nodes[0] = (nint)hint.Leaf;
            return;
        }

        Descend(key, ref place);
        TreeNode.PrefetchRest((byte*)place.Nodes[place.Depth]);
    }

    /// <summary>Adds the entry of a key that is not there, at the place that was found for it.</summary>
    internal void Insert(byte* entry, ref Place place)
    {
        if (_root == 0)
        {
            var leaf = NewNode(isLeaf: true);
            TreeNode.InsertAt(leaf, 0, entry, null);
            _depth = 1;
            _leaves = 1;
            Volatile.Write(ref _root, (nint)leaf);
            return;
        }

        var key = Entry.Key(entry);
        var at = (byte*)place.Nodes[place.Depth];
        int index;
        if (place.IsBehindLast)
        {
            index = TreeNode.Count(at);
        }
        else
        {
            index = TreeNode.LowerBound(at, *(long*)at, key, out var isExact);
            Invariant.Check(!isExact, "a key is added to the ordered index once");
        }

        if (TreeNode.Count(at) < TreeNode.Capacity)
        {
            TreeNode.Lock(at);
            TreeNode.InsertAt(at, index, entry, null);
            TreeNode.Unlock(at);
            // A hint pays for keys that ascend; one behind the last of its leaf may be the first of such.
            if (index > 0 && index == TreeNode.Count(at) - 1 && !place.IsBehindLast)
                HintOf(key) = new Hint { Leaf = at, High = High(place) };
            return;
        }

        var isAscending = index == TreeNode.Capacity && HintOf(key).Leaf == at;
        ForgetHints(at);
        place.Indexes[place.Depth] = index;
        // The last of its family before the first of another: the next one will follow it, so the two part here for good.
        var isLastOfFamily = index is > 0 and < TreeNode.Capacity && Entry.Key(TreeNode.Items(at)[index])[0] != key[0];
        Split(ref place, entry, isAscending, isLastOfFamily);
    }

    /// <summary>Takes out a key that is there.</summary>
    internal void Remove(ReadOnlySpan<byte> key)
    {
        Unsafe.SkipInit(out Place place);
        Descend(key, ref place);
        var depth = place.Depth;
        var leaf = (byte*)place.Nodes[depth];
        var index = TreeNode.LowerBound(leaf, *(long*)leaf, key, out var isExact);
        Invariant.Check(isExact, "a key that is removed is in the ordered index");
        TreeNode.Lock(leaf);
        TreeNode.RemoveAt(leaf, index);
        TreeNode.Unlock(leaf);
        while (depth > 0 && TreeNode.Count((byte*)place.Nodes[depth]) < MergeBelow
            && TryMerge((byte*)place.Nodes[depth - 1], place.Indexes[depth - 1]))
            depth--;
        while (!TreeNode.IsLeaf((byte*)_root) && TreeNode.Count((byte*)_root) == 0)
        {
            var root = (byte*)_root;
            Volatile.Write(ref _root, (nint)TreeNode.Children(root)[0]);
            TreeNode.Lock(root);
            TreeNode.Unlock(root);
            _depth--;
            _limbo.Add(LimboKind.Node, root);
        }
    }

    /// <summary>Builds the tree over entries in key order. Nobody reads yet.</summary>
    internal void Build(ReadOnlySpan<nint> sorted)
    {
        const int Fill = TreeNode.Capacity * 15 / 16;     // a little room, so that the first inserts do not split every leaf
        var level = new List<(nint Node, nint Separator)>(sorted.Length / Fill + 1);
        for (var i = 0; i < sorted.Length; i += Fill)
        {
            var leaf = NewNode(isLeaf: true);
            nint separator = i == 0 ? 0 : (nint)NewSeparator((byte*)sorted[i - 1], (byte*)sorted[i]);
            foreach (var entry in sorted.Slice(i, Math.Min(Fill, sorted.Length - i)))
                TreeNode.Append(leaf, (byte*)entry);
            TreeNode.Finish(leaf);
            level.Add(((nint)leaf, separator));
        }

        _leaves = level.Count;
        _depth = level.Count == 0 ? 0 : 1;
        while (level.Count > 1)
        {
            var next = new List<(nint Node, nint Separator)>(level.Count / Fill + 1);
            for (var i = 0; i < level.Count; i += Fill + 1)
            {
                var inner = NewNode(isLeaf: false);
                TreeNode.Children(inner)[0] = (byte*)level[i].Node;
                for (var c = i + 1; c < Math.Min(i + Fill + 1, level.Count); c++)
                {
                    TreeNode.Append(inner, (byte*)level[c].Separator);
                    TreeNode.Children(inner)[TreeNode.Count(inner)] = (byte*)level[c].Node;
                }

                TreeNode.Finish(inner);
                next.Add(((nint)inner, level[i].Separator));
            }

            level = next;
            _depth++;
        }

        _hints = default;
        Volatile.Write(ref _root, level.Count == 0 ? 0 : level[0].Node);
    }

    /// <summary>Forgets all keys. The memory goes with the slab, when no reader is left.</summary>
    internal void Forget()
    {
        _hints = default;
        _depth = 0;
        _leaves = 0;
        Volatile.Write(ref _root, 0);
    }

    internal void FreeNode(byte* node) => _slab.Free(node, TreeNode.IsLeaf(node) ? TreeNode.LeafBytes : TreeNode.InnerBytes);

    internal void FreeSeparator(byte* separator) => _slab.Free(separator, Entry.Size(separator));

    private ref Hint HintOf(ReadOnlySpan<byte> key) => ref _hints[(key[0] ^ key[0] >> 3) & (HintCount - 1)];

    // A split changes what one leaf holds, and nothing of the others: neither where they are nor what bounds them.
    private void ForgetHints(byte* leaf)
    {
        for (var i = 0; i < HintCount; i++)
        {
            if (_hints[i].Leaf == leaf)
                _hints[i] = default;
        }
    }

    private static bool IsBehindLast(in Hint hint, ReadOnlySpan<byte> key)
    {
        var count = TreeNode.Count(hint.Leaf);
        return count is not 0 and not TreeNode.Capacity
            && key.SequenceCompareTo(Entry.Key(TreeNode.Items(hint.Leaf)[count - 1])) > 0
            && (hint.High == null || key.SequenceCompareTo(Entry.Key(hint.High)) < 0);
    }

    // The separator above the leaf; null at the right edge.
    private static byte* High(in Place place)
    {
        for (var depth = place.Depth - 1; depth >= 0; depth--)
        {
            var node = (byte*)place.Nodes[depth];
            if (place.Indexes[depth] < TreeNode.Count(node))
                return TreeNode.Items(node)[place.Indexes[depth]];
        }

        return null;
    }

    // The writer's way down, to the leaf but not into it: nothing moves under it.
    private void Descend(ReadOnlySpan<byte> key, ref Place place)
    {
        Invariant.Check(_depth is > 0 and < DepthMax, "the ordered index is at most 16 levels deep");
        place.IsBehindLast = false;
        var node = (byte*)_root;
        var depth = 0;
        for (; depth < _depth - 1; depth++)
        {
            var index = TreeNode.LowerBound(node, *(long*)node, key, out var isExact);
            if (isExact)
                index++;
            place.Nodes[depth] = (nint)node;
            place.Indexes[depth] = index;
            node = TreeNode.Children(node)[index];
            TreeNode.PrefetchHeads(node);
        }

        place.Nodes[depth] = (nint)node;
        place.Depth = depth;
    }

    // All nodes that change are locked before the first change and unlocked after the last, so that no reader meets keys that
    // have left one node and are not yet announced by its parent.
    private void Split(ref Place place, byte* entry, bool isAscending, bool isLastOfFamily)
    {
        var depth = place.Depth;
        var indexes = (ReadOnlySpan<int>)place.Indexes;
        var nodes = stackalloc byte*[DepthMax];
        for (var i = 0; i <= depth; i++)
            nodes[i] = (byte*)place.Nodes[i];
        var top = depth;
        while (top > 0 && TreeNode.Count(nodes[top]) == TreeNode.Capacity)
            top--;
        var isRootFull = TreeNode.Count(nodes[top]) == TreeNode.Capacity;

        // Memory first: this may fail, and then nothing has changed. The separator comes from the keys beside the cut.
        var fresh = stackalloc byte*[DepthMax + 1];
        var index = indexes[depth];
        var cut = isAscending ? TreeNode.Capacity : isLastOfFamily ? index : TreeNode.Capacity / 2;
        var isLeft = index < cut || isLastOfFamily;
        var items = TreeNode.Items(nodes[depth]);
        var separator = isLastOfFamily ? NewSeparator(entry, items[cut]) : NewSeparator(items[cut - 1], index == cut ? entry : items[cut]);
        for (var i = depth; i > top || (i == top && isRootFull); i--)
            fresh[i] = NewNode(isLeaf: i == depth);
        var newRoot = isRootFull ? NewNode(isLeaf: false) : null;

        for (var i = top; i <= depth; i++)
            TreeNode.Lock(nodes[i]);

        var left = nodes[depth];
        var right = fresh[depth];
        TreeNode.CopyTo(left, cut, TreeNode.Capacity - cut, right);
        TreeNode.SetCount(left, cut);
        TreeNode.InsertAt(isLeft ? left : right, isLeft ? index : index - cut, entry, null);
        TreeNode.Sharpen(left);
        TreeNode.Sharpen(right);
        _leaves++;

        for (var i = depth - 1; i >= top; i--)
        {
            left = nodes[i];
            if (TreeNode.Count(left) < TreeNode.Capacity)
            {
                TreeNode.InsertAt(left, indexes[i], separator, right);
                separator = null;
                break;
            }

            // Inner: the item at the cut moves up, its child becomes the first of the right node.
            var child = right;
            var at = indexes[i];
            var middle = at == TreeNode.Capacity ? TreeNode.Capacity - 2 : TreeNode.Capacity / 2;
            right = fresh[i];
            var up = TreeNode.Items(left)[middle];
            TreeNode.Children(right)[0] = TreeNode.Children(left)[middle + 1];
            TreeNode.CopyTo(left, middle + 1, TreeNode.Capacity - middle - 1, right);
            TreeNode.SetCount(left, middle);
            if (at <= middle)
                TreeNode.InsertAt(left, at, separator, child);
            else
                TreeNode.InsertAt(right, at - middle - 1, separator, child);
            TreeNode.Sharpen(left);
            TreeNode.Sharpen(right);
            separator = up;
        }

        if (newRoot != null)
        {
            TreeNode.Children(newRoot)[0] = (byte*)_root;
            TreeNode.InsertAt(newRoot, 0, separator, right);
            _depth++;
            Volatile.Write(ref _root, (nint)newRoot);
        }

        for (var i = top; i <= depth; i++)
            TreeNode.Unlock(nodes[i]);
    }

    // Joins a child that has become small with a neighbour, if both fit into one with room to grow.
    private bool TryMerge(byte* parent, int index)
    {
        if (TreeNode.Count(parent) == 0)
            return false;
        var leftIndex = index < TreeNode.Count(parent) ? index : index - 1;
        var left = TreeNode.Children(parent)[leftIndex];
        var right = TreeNode.Children(parent)[leftIndex + 1];
        var separator = TreeNode.Items(parent)[leftIndex];
        var isLeaf = TreeNode.IsLeaf(left);
        var merged = TreeNode.Count(left) + TreeNode.Count(right) + (isLeaf ? 0 : 1);
        var isEmpty = TreeNode.Count(left) == 0 || TreeNode.Count(right) == 0;
        if (merged > (isEmpty ? TreeNode.Capacity : MergedMax))
            return false;

        TreeNode.Lock(parent);
        TreeNode.Lock(left);
        TreeNode.Lock(right);
        if (!isLeaf)
            TreeNode.InsertAt(left, TreeNode.Count(left), separator, TreeNode.Children(right)[0]);
        TreeNode.CopyTo(right, 0, TreeNode.Count(right), left);
        TreeNode.RemoveAt(parent, leftIndex);
        TreeNode.Unlock(right);
        TreeNode.Unlock(left);
        TreeNode.Unlock(parent);

        if (isLeaf)
        {
            _leaves--;
            _limbo.Add(LimboKind.Separator, separator);
        }

        _limbo.Add(LimboKind.Node, right);
        _hints = default;
        return true;
    }

    private byte* NewNode(bool isLeaf)
    {
        var node = _slab.Alloc(isLeaf ? TreeNode.LeafBytes : TreeNode.InnerBytes);
        TreeNode.Initialise(node, isLeaf);
        return node;
    }

    // The shortest key that is above the left one and not above the right one.
    private byte* NewSeparator(byte* left, byte* right)
    {
        var key = Entry.Key(right);
        key = key[..(Entry.Key(left).CommonPrefixLength(key) + 1)];
        var separator = _slab.Alloc(Entry.SizeFor(key.Length));
        Entry.Write(separator, key, null);
        return separator;
    }

    // ---- reading: inside an epoch -------------------------------------------------------------------------------------------

    /// <summary>Reads the entries of one leaf with keys in [from, to), ascending.</summary>
    /// <param name="to">Empty: no upper bound.</param>
    /// <param name="fence">Where to go on: a separator whose key is the next <paramref name="from"/>; 0 at the end.</param>
    internal int ReadForward(ReadOnlySpan<byte> from, ReadOnlySpan<byte> to, Span<nint> entries, out nint fence)
    {
        for (; ; Interlocked.Increment(ref _retries))
        {
            fence = 0;
            if (!TryEnterRoot(out var node, out var version))
                return 0;
            var isTorn = false;
            while (!TreeNode.IsLeaf(node))
            {
                var index = TreeNode.LowerBound(node, version, from, out var isExact);
                if (isExact)
                    index++;
                if (index < 0 || !TryStepDown(ref node, ref version, index, index, out var high))
                {
                    isTorn = true;
                    break;
                }

                if (high != 0)
                    fence = high;
            }

            if (isTorn)
                continue;
            var first = TreeNode.LowerBound(node, version, from, out _);
            var end = TreeNode.Count(node);
            if (to.Length != 0 && (fence == 0 || to.SequenceCompareTo(Entry.Key((byte*)fence)) <= 0))
            {
                end = TreeNode.LowerBound(node, version, to, out _);
                fence = 0;
            }

            if (TryCopy(node, version, first, end, entries, out var count))
                return count;
        }
    }

    /// <summary>Reads the entries of one leaf with keys in [from, to), still ascending; the leaf nearest below <paramref name="to"/>.</summary>
    /// <param name="to">Empty: no upper bound.</param>
    /// <param name="fence">Where to go on: a separator whose key is the next <paramref name="to"/>; 0 at the end.</param>
    internal int ReadBackward(ReadOnlySpan<byte> from, ReadOnlySpan<byte> to, Span<nint> entries, out nint fence)
    {
        for (; ; Interlocked.Increment(ref _retries))
        {
            fence = 0;
            if (!TryEnterRoot(out var node, out var version))
                return 0;
            var isTorn = false;
            while (!TreeNode.IsLeaf(node))
            {
                // A key equal to the separator belongs right of it, and is not below the bound: so left of an exact match.
                var index = to.Length == 0 ? TreeNode.Count(node) : TreeNode.LowerBound(node, version, to, out _);
                if ((uint)index > TreeNode.Capacity || !TryStepDown(ref node, ref version, index, index - 1, out var low))
                {
                    isTorn = true;
                    break;
                }

                if (low != 0)
                    fence = low;
            }

            if (isTorn)
                continue;
            var end = to.Length == 0 ? TreeNode.Count(node) : TreeNode.LowerBound(node, version, to, out _);
            var first = 0;
            if (fence == 0 || from.SequenceCompareTo(Entry.Key((byte*)fence)) >= 0)
            {
                first = TreeNode.LowerBound(node, version, from, out _);
                fence = 0;
            }

            if (TryCopy(node, version, first, end, entries, out var count))
                return count;
        }
    }

    private bool TryEnterRoot(out byte* node, out long version)
    {
        while (true)
        {
            node = (byte*)Volatile.Read(ref _root);
            version = 0;
            if (node == null)
                return false;
            version = TreeNode.Stable(node);
            if ((byte*)Volatile.Read(ref _root) == node)
                return true;
        }
    }

    // To the child, checked that both it and the separator belong to the node as it was at this version.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool TryStepDown(ref byte* node, ref long version, int childIndex, int separatorIndex, out nint separator)
    {
        var child = TreeNode.Children(node)[childIndex];
        TreeNode.PrefetchHeads(child);
        TreeNode.PrefetchItems(child);
        separator = (uint)separatorIndex < (uint)TreeNode.Count(node) ? (nint)TreeNode.Items(node)[separatorIndex] : 0;
        if (!TreeNode.IsUnchanged(node, version))
            return false;
        var childVersion = TreeNode.Stable(child);
        if (!TreeNode.IsUnchanged(node, version))
            return false;
        node = child;
        version = childVersion;
        return true;
    }

    private static bool TryCopy(byte* node, long version, int first, int end, Span<nint> entries, out int count)
    {
        count = 0;
        if ((uint)first > TreeNode.Capacity || (uint)end > TreeNode.Capacity)
            return false;
        if (first < end)
        {
            count = end - first;
            new ReadOnlySpan<nint>(TreeNode.Items(node) + first, count).CopyTo(entries);
        }

        return TreeNode.IsUnchanged(node, version);
    }

    private const int HintCount = 8;

    /// <summary>Where the last key of a family went in at the end of its leaf: the next one often follows it. A split forgets those of its
    /// leaf, any other change of the tree's shape all.</summary>
    private struct Hint
    {
        internal byte* Leaf;
        internal byte* High;
    }

    [InlineArray(HintCount)]
    private struct Hints
    {
        private Hint _first;
    }

    /// <summary>The way from the root to where a key will go; made by <see cref="Seek"/>.</summary>
    internal struct Place
    {
        internal PathOfNodes Nodes;
        internal PathOfIndexes Indexes;                   // of the child that was taken; the leaf's is found by Insert
        internal int Depth;                               // of the leaf
        internal bool IsBehindLast;                       // a hint led here: only the leaf is known, and it has room
    }

    [InlineArray(DepthMax)]
    internal struct PathOfNodes
    {
        private nint _first;
    }

    [InlineArray(DepthMax)]
    internal struct PathOfIndexes
    {
        private int _first;
    }
}
