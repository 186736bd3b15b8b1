using System.Buffers.Binary;

namespace Cairn.Content;

/// <summary>Where the bytes of a large value stand in the log. A position names them for ever, whichever file holds them now. Layout,
/// little-endian: <code>
///  0  u64  position   of the first byte, in the log
///  8  u32  length     in bytes, at least 1
/// 12  u32  check      CRC-32C of the bytes </code></summary>
internal readonly record struct ContentReference(ulong Position, int Length, uint Check)
{
    internal const int Size = 16;

    /// <summary>Behind the last byte.</summary>
    internal ulong End => Position + (uint)Length;

    internal static ContentReference Read(ReadOnlySpan<byte> source) => new(
        BinaryPrimitives.ReadUInt64LittleEndian(source),
        BinaryPrimitives.ReadInt32LittleEndian(source[8..]),
        BinaryPrimitives.ReadUInt32LittleEndian(source[12..]));

    internal void Write(Span<byte> target)
    {
        Invariant.Check(Length > 0 && End > Position, "a content has bytes, and its end is behind its position");
        BinaryPrimitives.WriteUInt64LittleEndian(target, Position);
        BinaryPrimitives.WriteInt32LittleEndian(target[8..], Length);
        BinaryPrimitives.WriteUInt32LittleEndian(target[12..], Check);
    }
}
