using System.Buffers.Binary;

namespace Cairn.Log;

/// <summary>What a manifest says of a table. Layout, little-endian: <code>
///  0  u32  number
///  4  u32  zero
///  8  u64  file bytes          exactly
/// 16  32   digest              SHA-256 of the file
/// 48  u64  first sequence      the lowest of an entry; 0 in an empty table
/// 56  u64  last sequence       the highest
/// 64  u64  entries
/// 72  u64  tombstones          entries that say that there is none
/// 80  u64  content references
/// 88  u64  content bytes       sum of the lengths in the references; what two entries share counts twice </code></summary>
internal sealed record TableInfo(
    uint Number, long FileBytes, Digest Digest, ulong FirstSequence, ulong LastSequence, long Entries, long Tombstones,
    long ContentReferences, long ContentBytes)
{
    internal const int Size = 96;

    internal string Path => LogNames.TablePath(Number);

    /// <summary>The caller has checked <paramref name="source"/>.</summary>
    internal static TableInfo Read(ReadOnlySpan<byte> source) => new(
        BinaryPrimitives.ReadUInt32LittleEndian(source),
        BinaryPrimitives.ReadInt64LittleEndian(source[8..]),
        Digest.Read(source[16..]),
        BinaryPrimitives.ReadUInt64LittleEndian(source[48..]),
        BinaryPrimitives.ReadUInt64LittleEndian(source[56..]),
        BinaryPrimitives.ReadInt64LittleEndian(source[64..]),
        BinaryPrimitives.ReadInt64LittleEndian(source[72..]),
        BinaryPrimitives.ReadInt64LittleEndian(source[80..]),
        BinaryPrimitives.ReadInt64LittleEndian(source[88..]));

    internal void Write(Span<byte> target)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(target, Number);
        BinaryPrimitives.WriteUInt32LittleEndian(target[4..], 0);
        BinaryPrimitives.WriteInt64LittleEndian(target[8..], FileBytes);
        Digest.Write(target[16..]);
        BinaryPrimitives.WriteUInt64LittleEndian(target[48..], FirstSequence);
        BinaryPrimitives.WriteUInt64LittleEndian(target[56..], LastSequence);
        BinaryPrimitives.WriteInt64LittleEndian(target[64..], Entries);
        BinaryPrimitives.WriteInt64LittleEndian(target[72..], Tombstones);
        BinaryPrimitives.WriteInt64LittleEndian(target[80..], ContentReferences);
        BinaryPrimitives.WriteInt64LittleEndian(target[88..], ContentBytes);
    }
}
