using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;

namespace Cairn.Store.Native;

/// <summary>
/// A node of the ordered index: up to 64 items, which are addresses of entries (leaf) or of separators (inner node), in key
/// order, with the first 16 bytes of each key behind the node's common prefix beside them, so that a search rarely looks at a key.
/// <code>
///    0  i64  version        odd while the writer changes the node
///    8  i32  count          of items
///   12  u8   is leaf        |  13  u8  length of the common prefix, up to 48
///   16       common prefix
///   64  u64  heads[64]      bytes 0-7 behind the prefix, big-endian, filled up with zeros
///  576  u64  tails[64]      bytes 8-15 behind the prefix
/// 1088  u64  items[64]      a leaf ends here
/// 1600  u64  children[65]   child i holds keys from item i-1 (inclusive) to item i </code>
/// Readers take no lock: they read, then check that the version has not moved (optimistic lock coupling, Leis and others 2016),
/// and follow no item before that check.
/// </summary>
internal static unsafe class TreeNode
{
    internal const int Capacity = 64;
    internal const int LeafBytes = 1600, InnerBytes = 1600 + 8 * (Capacity + 1);

    /// <summary>A search met a node that was being changed.</summary>
    internal const int Torn = -1;

    private const int PrefixOffset = 16, TailsOffset = 576, ItemsOffset = 1088;
    private const int PrefixMax = 48;

    [StructLayout(LayoutKind.Explicit)]
    private struct Layout
    {
        [FieldOffset(0)]
        internal long Version;

        [FieldOffset(8)]
        internal int Count;

        [FieldOffset(12)]
        internal byte IsLeaf;

        [FieldOffset(13)]
        internal byte PrefixLength;
    }

    internal static void Initialise(byte* node, bool isLeaf)
    {
        var header = (Layout*)node;
        header->Version = 0;
        header->Count = 0;
        header->IsLeaf = isLeaf ? (byte)1 : (byte)0;
        header->PrefixLength = 0;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static int Count(byte* node) => Volatile.Read(ref ((Layout*)node)->Count);

    internal static void SetCount(byte* node, int count) => Volatile.Write(ref ((Layout*)node)->Count, count);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static bool IsLeaf(byte* node) => ((Layout*)node)->IsLeaf != 0;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static ulong* Heads(byte* node) => (ulong*)(node + 64);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static ulong* Tails(byte* node) => (ulong*)(node + TailsOffset);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static byte** Items(byte* node) => (byte**)(node + ItemsOffset);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static byte** Children(byte* node) => (byte**)(node + 1600);

    // ---- versions ----------------------------------------------------------------------------------------------------------

    internal static void Lock(byte* node)
    {
        Volatile.Write(ref *(long*)node, *(long*)node + 1);
        Volatile.WriteBarrier();                          // the odd version is seen before any change
    }

    internal static void Unlock(byte* node) => Volatile.Write(ref *(long*)node, *(long*)node + 1);

    /// <summary>Waits until the node is not being changed.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static long Stable(byte* node)
    {
        var version = Volatile.Read(ref *(long*)node);
        return (version & 1) == 0 ? version : WaitStable(node);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static bool IsUnchanged(byte* node, long version)
    {
        Volatile.ReadBarrier();                           // what was read came before this
        if (Mutant.Is("store-tree-no-validation"))
        {
            Thread.SpinWait(200);                         // in the mutant the race is not left to luck
            return true;
        }

        return Volatile.Read(ref *(long*)node) == version;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static long WaitStable(byte* node)
    {
        var spin = default(SpinWait);
        while (true)
        {
            var version = Volatile.Read(ref *(long*)node);
            if ((version & 1) == 0)
                return version;
            spin.SpinOnce(sleep1Threshold: -1);
        }
    }

    // ---- searching ---------------------------------------------------------------------------------------------------------

    /// <summary>Index of the first item at or above a key, or <see cref="Torn"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static int LowerBound(byte* node, long version, ReadOnlySpan<byte> key, out bool isExact)
    {
        isExact = false;
        var count = Count(node);
        int prefix = ((Layout*)node)->PrefixLength;
        if ((uint)count > Capacity || prefix > PrefixMax)
            return Torn;
        if (prefix != 0)
        {
            // Nearly every search has the node's prefix, and equality is cheaper than order.
            var known = new ReadOnlySpan<byte>(node + PrefixOffset, prefix);
            if (key.Length < prefix || !key[..prefix].SequenceEqual(known))
                return key.SequenceCompareTo(known) < 0 ? 0 : count;
        }

        Window(key, prefix, out var head, out var tail);
        var heads = Heads(node);
        var low = Lower(heads, 0, count, head);
        if (low == count || heads[low] != head)
            return low;
        var high = Upper(heads, low, count, head);
        var tails = Tails(node);
        low = Lower(tails, low, high, tail);
        if (low == high || tails[low] != tail)
            return low;
        return LowerBoundOfKeys(node, version, key, low, Upper(tails, low, high, tail), out isExact);
    }

    private static int LowerBoundOfKeys(byte* node, long version, ReadOnlySpan<byte> key, int low, int high, out bool isExact)
    {
        while (low < high)
        {
            var middle = (low + high) >>> 1;
            var item = Items(node)[middle];
            if (!IsUnchanged(node, version))
            {
                isExact = false;
                return Torn;
            }

            var order = key.SequenceCompareTo(Entry.Key(item));
            if (order == 0)
            {
                isExact = true;
                return middle;
            }

            if (order > 0)
                low = middle + 1;
            else
                high = middle;
        }

        isExact = false;
        return low;
    }

    // Without branches, since what a key compares like is not predictable; by arithmetic, since the compiler makes a branch of any
    // choice inside a loop.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int Lower(ulong* words, int low, int high, ulong word)
    {
        var at = words + low;
        var length = high - low;
        while (length > 1)
        {
            var half = length >> 1;
            at += half & -One(at[half - 1] < word);
            length -= half;
        }

        return (int)(at - words) + (length == 1 ? One(*at < word) : 0);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int One(bool condition) => Unsafe.BitCast<bool, byte>(condition);

    private static int Upper(ulong* words, int low, int high, ulong word) =>
        word == ulong.MaxValue ? high : Lower(words, low, high, word + 1);

    /// <summary>The 16 bytes of a key behind a prefix, as two numbers that compare like them, filled up with zeros.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Window(ReadOnlySpan<byte> key, int prefix, out ulong head, out ulong tail)
    {
        var rest = key.Length - prefix;
        if (rest >= 16)
        {
            head = BinaryPrimitives.ReadUInt64BigEndian(key[prefix..]);
            tail = BinaryPrimitives.ReadUInt64BigEndian(key[(prefix + 8)..]);
            return;
        }

        if (rest >= 8)
        {
            head = BinaryPrimitives.ReadUInt64BigEndian(key[prefix..]);
            tail = rest == 8 ? 0 : BinaryPrimitives.ReadUInt64BigEndian(key[^8..]) << (8 * (16 - rest));
            return;
        }

        tail = 0;
        head = 0;
        if (rest <= 0)
            return;
        if (key.Length >= 8)
        {
            head = BinaryPrimitives.ReadUInt64BigEndian(key[^8..]) << (8 * (8 - rest));
            return;
        }

        for (var i = 0; i < rest; i++)
            head |= (ulong)key[prefix + i] << (56 - 8 * i);
    }

    /// <summary>Begins to fetch what a search looks at: it comes at once then, and not one line after the other.</summary>
    internal static void PrefetchHeads(byte* node) => Prefetch(node, 0, TailsOffset);

    /// <summary>Begins to fetch the rest of a leaf, which an insert moves.</summary>
    internal static void PrefetchRest(byte* leaf) => Prefetch(leaf, TailsOffset, LeafBytes);

    internal static void PrefetchItems(byte* node) => Prefetch(node, ItemsOffset, LeafBytes);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Prefetch(byte* node, int from, int to)
    {
        if (!Sse.IsSupported)
            return;
        for (var at = from; at < to; at += 64)
            Sse.Prefetch0(node + at);
    }

    // ---- changing: the node is locked, or not reachable yet ---------------------------------------------------------------------

    /// <param name="child">Right of the item; only in an inner node.</param>
    internal static void InsertAt(byte* node, int index, byte* item, byte* child)
    {
        var key = Entry.Key(item);
        var prefix = Prefix(node);
        var common = key.CommonPrefixLength(prefix);
        if (common < prefix.Length)
            SetPrefix(node, key, common);
        var count = Count(node);
        var behind = count - index;
        Shift(Heads(node) + index, 1, behind);
        Shift(Tails(node) + index, 1, behind);
        Shift((ulong*)Items(node) + index, 1, behind);
        if (!IsLeaf(node))
        {
            Shift((ulong*)Children(node) + index + 1, 1, behind);
            Children(node)[index + 1] = child;
        }

        Window(key, common, out Heads(node)[index], out Tails(node)[index]);
        Items(node)[index] = item;
        SetCount(node, count + 1);
    }

    /// <summary>Takes out an item and, in an inner node, the child right of it.</summary>
    internal static void RemoveAt(byte* node, int index)
    {
        var count = Count(node);
        var behind = count - index - 1;
        Shift(Heads(node) + index + 1, -1, behind);
        Shift(Tails(node) + index + 1, -1, behind);
        Shift((ulong*)Items(node) + index + 1, -1, behind);
        if (!IsLeaf(node))
            Shift((ulong*)Children(node) + index + 2, -1, behind);
        SetCount(node, count - 1);
    }

    /// <summary>Copies items (and the children right of them) to the end of another node, which takes over the prefix if it is empty.</summary>
    internal static void CopyTo(byte* node, int from, int length, byte* target)
    {
        var at = Count(target);
        if (length == 0)
            return;
        if (at == 0)
        {
            ((Layout*)target)->PrefixLength = ((Layout*)node)->PrefixLength;
            Prefix(node).CopyTo(new Span<byte>(target + PrefixOffset, PrefixMax));
        }
        else
        {
            var common = Prefix(target).CommonPrefixLength(Prefix(node));
            if (common < Prefix(target).Length)
                SetPrefix(target, Prefix(node), common);
        }

        var samePrefix = Prefix(target).Length == Prefix(node).Length;
        for (var i = 0; i < length; i++)
        {
            Items(target)[at + i] = Items(node)[from + i];
            if (samePrefix)
            {
                Heads(target)[at + i] = Heads(node)[from + i];
                Tails(target)[at + i] = Tails(node)[from + i];
            }
            else
            {
                Window(Entry.Key(Items(node)[from + i]), Prefix(target).Length, out Heads(target)[at + i], out Tails(target)[at + i]);
            }

            if (!IsLeaf(node))
                Children(target)[at + i + 1] = Children(node)[from + i + 1];
        }

        SetCount(target, at + length);
    }

    /// <summary>Lengthens the common prefix when the heads have stopped telling the items apart; else that would only cost
    /// a look at every key.</summary>
    internal static void Sharpen(byte* node)
    {
        var count = Count(node);
        if (count < 2 || Heads(node)[0] != Heads(node)[count - 1])
            return;
        var first = Entry.Key(Items(node)[0]);
        var common = Math.Min(PrefixMax, first.CommonPrefixLength(Entry.Key(Items(node)[count - 1])));
        if (common > Prefix(node).Length)
            SetPrefix(node, first, common);
    }

    /// <summary>Adds an item at the end of a node that is being built: no windows yet, see <see cref="Finish"/>.</summary>
    internal static void Append(byte* node, byte* item)
    {
        var count = Count(node);
        Items(node)[count] = item;
        SetCount(node, count + 1);
    }

    /// <summary>Gives a built node its prefix and windows.</summary>
    internal static void Finish(byte* node)
    {
        var count = Count(node);
        if (count == 0)
            return;
        var first = Entry.Key(Items(node)[0]);
        SetPrefix(node, first, Math.Min(PrefixMax, first.CommonPrefixLength(Entry.Key(Items(node)[count - 1]))));
    }

    private static ReadOnlySpan<byte> Prefix(byte* node) => new(node + PrefixOffset, ((Layout*)node)->PrefixLength);

    private static void SetPrefix(byte* node, ReadOnlySpan<byte> source, int length)
    {
        source[..length].CopyTo(new Span<byte>(node + PrefixOffset, PrefixMax));
        ((Layout*)node)->PrefixLength = (byte)length;
        for (var i = 0; i < Count(node); i++)
            Window(Entry.Key(Items(node)[i]), length, out Heads(node)[i], out Tails(node)[i]);
    }

    private static void Shift(ulong* words, int by, int length)
    {
        if (length > 0)
            new Span<ulong>(words, length).CopyTo(new Span<ulong>(words + by, length));
    }
}
