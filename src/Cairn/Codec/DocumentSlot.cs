using System.Buffers.Binary;

namespace Cairn.Codec;

/// <summary>
/// What one place of a stored document keeps under its key: a scalar as its canonical encoding, or the number of the node that an object
/// or an array is. The two are told apart by the first byte, with which no canonical value begins. A member whose name is too long for a
/// key has it before that. Layout: <code>
///  scalar      its canonical encoding
///  container   C1  kind u8 (1 array, 2 object)  node u48, big-endian
///  long name   C7  length u32, little-endian  the name's UTF-8  one of the two above </code>
/// Borrowed from the bytes it was read from.
/// </summary>
internal readonly ref struct DocumentSlot
{
    internal const int ContainerBytes = 8;
    internal const int NodeBytes = 6;
    internal const int NameHeaderBytes = 5;
    internal const ulong NodeMax = (1UL << 48) - 1;

    private const byte ContainerLead = 0xC1;
    private const byte NameLead = 0xC7;

    private DocumentSlot(ValueKind kind, ulong node, ReadOnlySpan<byte> scalar, ReadOnlySpan<byte> name)
    {
        Kind = kind;
        Node = node;
        Scalar = scalar;
        Name = name;
    }

    internal ValueKind Kind { get; }

    /// <summary>Of an object or an array.</summary>
    internal ulong Node { get; }

    /// <summary>The canonical encoding of a scalar.</summary>
    internal ReadOnlySpan<byte> Scalar { get; }

    /// <summary>The name of a member when its key does not have all of it; otherwise empty.</summary>
    internal ReadOnlySpan<byte> Name { get; }

    internal bool IsContainer => Kind is ValueKind.Array or ValueKind.Object;

    /// <summary>Reads what is stored; the content of a scalar is not judged.</summary>
    /// <returns>False: no slot.</returns>
    internal static bool TryRead(ReadOnlySpan<byte> stored, out DocumentSlot slot)
    {
        slot = default;
        ReadOnlySpan<byte> name = default;
        if (stored is [NameLead, ..])
        {
            if (stored.Length < NameHeaderBytes)
                return false;
            var length = BinaryPrimitives.ReadUInt32LittleEndian(stored[1..]);
            if (length > stored.Length - NameHeaderBytes)
                return false;
            name = stored.Slice(NameHeaderBytes, (int)length);
            stored = stored[(NameHeaderBytes + (int)length)..];
        }

        if (stored is [ContainerLead, var kind, ..])
        {
            if (stored.Length != ContainerBytes || kind is not (1 or 2))
                return false;
            slot = new DocumentSlot(kind == 1 ? ValueKind.Array : ValueKind.Object, ReadNode(stored[2..]), default, name);
            return true;
        }

        if (!ValueCodec.TryReadKind(stored, out var scalar) || scalar is ValueKind.Array or ValueKind.Object)
            return false;
        slot = new DocumentSlot(scalar, 0, stored, name);
        return true;
    }

    internal static DocumentSlot Container(ValueKind kind, ulong node) => new(kind, node, default, default);

    /// <summary>The kind of what is stored, without looking at a name or a content.</summary>
    internal static bool TryReadKind(ReadOnlySpan<byte> stored, out ValueKind kind)
    {
        var isSlot = TryRead(stored, out var slot);
        kind = slot.Kind;
        return isSlot;
    }

    /// <param name="target">At least <see cref="ContainerBytes"/>.</param>
    internal static ReadOnlySpan<byte> WriteContainer(Span<byte> target, ValueKind kind, ulong node)
    {
        target[0] = ContainerLead;
        target[1] = kind == ValueKind.Array ? (byte)1 : (byte)2;
        WriteNode(target[2..], node);
        return target[..ContainerBytes];
    }

    /// <summary>The same slot with a name before it.</summary>
    internal static byte[] WithName(ReadOnlySpan<byte> name, ReadOnlySpan<byte> slot)
    {
        var bytes = new byte[NameHeaderBytes + name.Length + slot.Length];
        bytes[0] = NameLead;
        BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(1), name.Length);
        name.CopyTo(bytes.AsSpan(NameHeaderBytes));
        slot.CopyTo(bytes.AsSpan(NameHeaderBytes + name.Length));
        return bytes;
    }

    internal static void WriteNode(Span<byte> target, ulong node)
    {
        BinaryPrimitives.WriteUInt16BigEndian(target, (ushort)(node >> 32));
        BinaryPrimitives.WriteUInt32BigEndian(target[2..], (uint)node);
    }

    internal static ulong ReadNode(ReadOnlySpan<byte> source) =>
        ((ulong)BinaryPrimitives.ReadUInt16BigEndian(source) << 32) | BinaryPrimitives.ReadUInt32BigEndian(source[2..]);
}
