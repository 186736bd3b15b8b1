using System.Buffers.Binary;

namespace Cairn.Log;

/// <summary>Payload of the record that ends a segment. Layout, little-endian: <code>
///  0  u64  record count    records before the seal in this segment, recovery's copies included
///  8  u64  last sequence   of the last transaction before it
/// 16  32   digest          SHA-256 of the file from byte 0 up to the seal </code></summary>
internal readonly record struct Seal(ulong RecordCount, ulong LastSequence, Digest Digest)
{
    internal const int Size = 48;

    /// <summary>Bytes that a segment keeps back for its seal.</summary>
    internal const int RecordBytes = RecordHeader.Size + Size;

    internal static bool TryRead(ReadOnlySpan<byte> source, out Seal seal)
    {
        seal = source.Length == Size
            ? new Seal(
                BinaryPrimitives.ReadUInt64LittleEndian(source),
                BinaryPrimitives.ReadUInt64LittleEndian(source[8..]),
                Digest.Read(source[16..]))
            : default;
        return source.Length == Size;
    }

    internal void Write(Span<byte> target)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(target, RecordCount);
        BinaryPrimitives.WriteUInt64LittleEndian(target[8..], LastSequence);
        Digest.Write(target[16..]);
    }
}

/// <summary>Payload of the record that begins an opening's own part of the log. Layout, little-endian: <code>
///  0  u64  epoch         of the opening
///  8  i64  commit time   microseconds since 1970; no later commit has an earlier one </code></summary>
internal readonly record struct Opening(ulong Epoch, long CommitTime)
{
    internal const int Size = 16;

    internal const int RecordBytes = RecordHeader.Size + Size;

    internal static bool TryRead(ReadOnlySpan<byte> source, out Opening opening)
    {
        opening = source.Length == Size
            ? new Opening(BinaryPrimitives.ReadUInt64LittleEndian(source), BinaryPrimitives.ReadInt64LittleEndian(source[8..]))
            : default;
        return source.Length == Size;
    }

    internal void Write(Span<byte> target)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(target, Epoch);
        BinaryPrimitives.WriteInt64LittleEndian(target[8..], CommitTime);
    }
}

/// <summary>Payload of the record where a checkpoint cuts the log: what is before it is in the checkpoint, recovery begins with it. Layout,
/// little-endian: <code>
///  0  u64  number        of the checkpoint
///  8  u64  sequence      of the last transaction before it
/// 16  i64  commit time   of that sequence, microseconds since 1970 </code></summary>
internal readonly record struct CheckpointMark(ulong Number, ulong Sequence, long CommitTime)
{
    internal const int Size = 24;

    internal static bool TryRead(ReadOnlySpan<byte> source, out CheckpointMark mark)
    {
        mark = source.Length == Size
            ? new CheckpointMark(
                BinaryPrimitives.ReadUInt64LittleEndian(source),
                BinaryPrimitives.ReadUInt64LittleEndian(source[8..]),
                BinaryPrimitives.ReadInt64LittleEndian(source[16..]))
            : default;
        return source.Length == Size;
    }

    internal void Write(Span<byte> target)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(target, Number);
        BinaryPrimitives.WriteUInt64LittleEndian(target[8..], Sequence);
        BinaryPrimitives.WriteInt64LittleEndian(target[16..], CommitTime);
    }
}
