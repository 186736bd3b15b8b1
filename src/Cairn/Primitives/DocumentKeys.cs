using System.Buffers.Binary;
using System.Security.Cryptography;
using Cairn.Codec;
using Cairn.Store;

namespace Cairn.Primitives;

/// <summary>
/// Store keys of one document, written into one buffer, so that each is good until the next is asked for.
/// <code>
///  20 id                            the root: its slot; written when the document is made or replaced as a whole
///  21 id 00 node                    how many members or elements a node has
///  21 id 00 node 00                 the order of an array was changed: elements put in or taken out
///  21 id 00 node 01 name            slot of a member; of a name above 512 bytes those, and SHA-256 of the name
///  21 id 00 node 02 index           slot of an element
///  22 id                            the header; written with each change: its version is the document's </code>
/// Ids hold no zero, so the keys of a document lie together and those of two documents never mix. A node is six bytes, an index four, both
/// big-endian: members lie in the order of their names, elements in that of the array.
/// </summary>
internal readonly ref struct DocumentKeys
{
    internal const int NameBytesMax = 512;

    /// <summary>Where the part of a child begins, behind its node: <see cref="MemberTag"/> or <see cref="ElementTag"/>.</summary>
    internal const byte OrderTag = 0, MemberTag = 1, ElementTag = 2;

    private const int RangeBytesMax = 1 + Limits.KeyBytesMax + 1 + DocumentSlot.NodeBytes;
    private const int KeyBytesMax = RangeBytesMax + 1 + NameBytesMax + SHA256.HashSizeInBytes;

    /// <summary>Room for a key and for the ends of a range.</summary>
    internal const int BufferBytes = KeyBytesMax + 2 * RangeBytesMax;

    private readonly Span<byte> _key;
    private readonly Span<byte> _from;
    private readonly Span<byte> _to;
    private readonly int _id;

    /// <param name="buffer">At least <see cref="BufferBytes"/>.</param>
    internal DocumentKeys(Span<byte> buffer, scoped ReadOnlySpan<byte> id)
    {
        _key = buffer[..KeyBytesMax];
        _from = buffer.Slice(KeyBytesMax, RangeBytesMax);
        _to = buffer.Slice(KeyBytesMax + RangeBytesMax, RangeBytesMax);
        _id = id.Length;
        id.CopyTo(_key[1..]);
    }

    internal ReadOnlySpan<byte> Root() => Of(StoreKeys.Json);

    internal ReadOnlySpan<byte> Header() => Of(StoreKeys.JsonHeader);

    internal ReadOnlySpan<byte> Count(ulong node) => _key[..Node(_key, node)];

    internal ReadOnlySpan<byte> Order(ulong node)
    {
        var length = Node(_key, node);
        _key[length] = OrderTag;
        return _key[..(length + 1)];
    }

    internal ReadOnlySpan<byte> Member(ulong node, scoped ReadOnlySpan<byte> name)
    {
        var length = Node(_key, node);
        _key[length++] = MemberTag;
        if (name.Length <= NameBytesMax)
        {
            name.CopyTo(_key[length..]);
            return _key[..(length + name.Length)];
        }

        name[..NameBytesMax].CopyTo(_key[length..]);
        SHA256.HashData(name, _key[(length + NameBytesMax)..]);
        return _key[..(length + NameBytesMax + SHA256.HashSizeInBytes)];
    }

    internal ReadOnlySpan<byte> Element(ulong node, long index)
    {
        var length = Node(_key, node);
        _key[length] = ElementTag;
        BinaryPrimitives.WriteUInt32BigEndian(_key[(length + 1)..], (uint)index);
        return _key[..(length + 5)];
    }

    /// <summary>A child by the part of its key behind the node.</summary>
    internal ReadOnlySpan<byte> Child(ulong node, scoped ReadOnlySpan<byte> part)
    {
        var length = Node(_key, node);
        part.CopyTo(_key[length..]);
        return _key[..(length + part.Length)];
    }

    /// <summary>Bytes of a node's key; the part of a child is behind them.</summary>
    internal int NodeKeyBytes => 1 + _id + 1 + DocumentSlot.NodeBytes;

    /// <summary>All keys of a node. Both ends stay until the next range is asked for.</summary>
    internal void OfNode(ulong node, out ReadOnlySpan<byte> from, out ReadOnlySpan<byte> to)
    {
        BeginRange();
        from = _from[..Node(_from, node)];
        to = _to[..Node(_to, node + 1)];
    }

    /// <summary>All nodes of the document.</summary>
    internal void OfNodes(out ReadOnlySpan<byte> from, out ReadOnlySpan<byte> to)
    {
        BeginRange();
        from = _from[..Node(_from, 0)];
        _to[0] = StoreKeys.JsonNode;
        _to[1 + _id] = 1;
        to = _to[..(2 + _id)];
    }

    private void BeginRange()
    {
        var id = _key.Slice(1, _id);
        id.CopyTo(_from[1..]);
        id.CopyTo(_to[1..]);
    }

    private ReadOnlySpan<byte> Of(byte family)
    {
        _key[0] = family;
        return _key[..(1 + _id)];
    }

    private int Node(Span<byte> target, ulong node)
    {
        target[0] = StoreKeys.JsonNode;
        target[1 + _id] = 0;
        DocumentSlot.WriteNode(target[(2 + _id)..], node);
        return 2 + _id + DocumentSlot.NodeBytes;
    }
}
