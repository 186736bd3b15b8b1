using System.Buffers.Binary;

namespace Cairn.Log;

/// <summary>One checkpoint as a manifest names it: the state at a sequence, and where the log goes on from there. Layout,
/// little-endian: <code>
///  0  u64  number          from 1, ascending; may come again after one that could not be used
///  8  u64  sequence        all commits up to it are in the tables
/// 16  i64  commit time     of that sequence, microseconds since 1970
/// 24  u64  mark position   of its mark in the log: recovery reads from there
/// 32  u32  mark check      the header check of that record: binds the image to this log
/// 36  u32  flags           zero
/// 40  u32  tables N
/// 44  u32  zero
/// 48  the numbers of its tables, newest first, u32 each </code></summary>
internal sealed record ManifestCheckpoint(
    ulong Number, ulong Sequence, long CommitTime, ulong MarkPosition, uint MarkCheck, IReadOnlyList<uint> Tables)
{
    internal const int FixedBytes = 48;

    internal int Bytes => FixedBytes + Tables.Count * sizeof(uint);

    /// <summary>Null when the bytes end before the checkpoint does, or hold what this version cannot know.</summary>
    internal static ManifestCheckpoint? TryRead(ReadOnlySpan<byte> source)
    {
        if (source.Length < FixedBytes || BinaryPrimitives.ReadUInt32LittleEndian(source[36..]) != 0)
            return null;
        var count = BinaryPrimitives.ReadUInt32LittleEndian(source[40..]);
        if (count > (uint)(source.Length - FixedBytes) / sizeof(uint))
            return null;
        var tables = new uint[count];
        for (var i = 0; i < tables.Length; i++)
            tables[i] = BinaryPrimitives.ReadUInt32LittleEndian(source[(FixedBytes + i * sizeof(uint))..]);
        return new ManifestCheckpoint(
            BinaryPrimitives.ReadUInt64LittleEndian(source),
            BinaryPrimitives.ReadUInt64LittleEndian(source[8..]),
            BinaryPrimitives.ReadInt64LittleEndian(source[16..]),
            BinaryPrimitives.ReadUInt64LittleEndian(source[24..]),
            BinaryPrimitives.ReadUInt32LittleEndian(source[32..]),
            tables);
    }

    internal void Write(Span<byte> target)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(target, Number);
        BinaryPrimitives.WriteUInt64LittleEndian(target[8..], Sequence);
        BinaryPrimitives.WriteInt64LittleEndian(target[16..], CommitTime);
        BinaryPrimitives.WriteUInt64LittleEndian(target[24..], MarkPosition);
        BinaryPrimitives.WriteUInt32LittleEndian(target[32..], MarkCheck);
        BinaryPrimitives.WriteUInt32LittleEndian(target[36..], 0);
        BinaryPrimitives.WriteUInt32LittleEndian(target[40..], (uint)Tables.Count);
        BinaryPrimitives.WriteUInt32LittleEndian(target[44..], 0);
        for (var i = 0; i < Tables.Count; i++)
            BinaryPrimitives.WriteUInt32LittleEndian(target[(FixedBytes + i * sizeof(uint))..], Tables[i]);
    }

    /// <summary>Records have no equality by list.</summary>
    public bool Equals(ManifestCheckpoint? other) => other is not null && Number == other.Number && Sequence == other.Sequence
        && CommitTime == other.CommitTime && MarkPosition == other.MarkPosition && MarkCheck == other.MarkCheck
        && Tables.SequenceEqual(other.Tables);

    public override int GetHashCode() => (int)Number;
}

/// <summary>One archive as a manifest names it: what retention kept of segments that it dropped. Layout, little-endian: <code>
///  0  u32  number
///  4  u32  zero
///  8  u64  file bytes
/// 16  u64  first position   of the part of the log that it stands for
/// 24  u64  end position     at most the base of the first segment
/// 32  32   digest           SHA-256 of the file </code></summary>
internal readonly record struct ManifestArchive(uint Number, long FileBytes, ulong FirstPosition, ulong EndPosition, Digest Digest)
{
    internal const int Size = 64;

    internal static ManifestArchive Read(ReadOnlySpan<byte> source) => new(
        BinaryPrimitives.ReadUInt32LittleEndian(source),
        BinaryPrimitives.ReadInt64LittleEndian(source[8..]),
        BinaryPrimitives.ReadUInt64LittleEndian(source[16..]),
        BinaryPrimitives.ReadUInt64LittleEndian(source[24..]),
        Digest.Read(source[32..]));

    internal void Write(Span<byte> target)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(target, Number);
        BinaryPrimitives.WriteUInt32LittleEndian(target[4..], 0);
        BinaryPrimitives.WriteInt64LittleEndian(target[8..], FileBytes);
        BinaryPrimitives.WriteUInt64LittleEndian(target[16..], FirstPosition);
        BinaryPrimitives.WriteUInt64LittleEndian(target[24..], EndPosition);
        Digest.Write(target[32..]);
    }
}
