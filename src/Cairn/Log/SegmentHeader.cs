using System.Buffers.Binary;

namespace Cairn.Log;

/// <summary>The first 4096 bytes of a segment, so that no torn record write can hurt it; zeros after the fields. Written and
/// synced before the segment gets its name, never changed. Layout, little-endian: <code>
///   0  8    magic               CAIRNLOG
///   8  u16  major
///  10  u16  minor
///  12  u32  header length       4096
///  16  u32  features            compatible
///  20  u32  features            read-only-compatible
///  24  u32  features            incompatible
///  28  u32  zero
///  32  16   database id
///  48  u32  segment number      equals the name
///  52  u32  zero
///  56  u64  base position       log position of the first record; the end of the segment before
///  64  u64  copied-to position  up to here the records were written by recovery; base after a rotation
///  72  u64  first sequence      of the first transaction in it
///  80  u64  epoch               which opening wrote it
///  88  u64  manifest number     the manifest that first names it
///  96  16   salt                seeds every check of its records
/// 112  32   previous digest     SHA-256 of the segment before, up to its end; zero in the first
/// 144  u32  key id              0 = not encrypted
/// 148  u32  zero
/// 152  32   key salt            zero
/// 184  u32  header check        CRC-32C of bytes 0-183 </code></summary>
internal readonly record struct SegmentHeader(
    FormatFeatures Format, UInt128 DatabaseId, uint Number, ulong BasePosition, ulong CopiedTo, ulong FirstSequence, ulong Epoch,
    ulong ManifestNumber, UInt128 Salt, Digest PreviousDigest)
{
    internal const int Size = 4096;
    internal const int FieldBytes = 188;
    internal const int CheckOffset = 184;

    internal static ReadOnlySpan<byte> Magic => "CAIRNLOG"u8;

    /// <summary>Reads a header of any version whose first fields and check are where they are now.</summary>
    /// <returns>False when this is not a header: magic, length, check or a byte that must be zero is wrong.</returns>
    internal static bool TryRead(ReadOnlySpan<byte> source, out SegmentHeader header)
    {
        header = default;
        if (source.Length < Size || !source.StartsWith(Magic)
            || BinaryPrimitives.ReadUInt32LittleEndian(source[CheckOffset..]) != Check(source)
            || BinaryPrimitives.ReadUInt32LittleEndian(source[12..]) != Size)
            return false;

        header = new SegmentHeader(
            ReadFormat(source),
            BinaryPrimitives.ReadUInt128LittleEndian(source[32..]),
            BinaryPrimitives.ReadUInt32LittleEndian(source[48..]),
            BinaryPrimitives.ReadUInt64LittleEndian(source[56..]),
            BinaryPrimitives.ReadUInt64LittleEndian(source[64..]),
            BinaryPrimitives.ReadUInt64LittleEndian(source[72..]),
            BinaryPrimitives.ReadUInt64LittleEndian(source[80..]),
            BinaryPrimitives.ReadUInt64LittleEndian(source[88..]),
            BinaryPrimitives.ReadUInt128LittleEndian(source[96..]),
            Digest.Read(source[112..]));

        // A newer format may use what is room here; its features say so, and the caller refuses those.
        return header.Format != FormatFeatures.Current || IsRoomZero(source);
    }

    /// <summary>What is not as the manifest names the segment; null when all is.</summary>
    internal string? FindMismatch(in ManifestSegment named, UInt128 databaseId, Digest previous)
    {
        if (DatabaseId != databaseId)
            return "a segment of this database; it belongs to another one";
        if (Number != named.Number)
            return $"segment number {named.Number}, not {Number}";
        if (BasePosition != named.BasePosition)
            return $"base position {named.BasePosition}, not {BasePosition}";
        if (CopiedTo != named.CopiedTo || FirstSequence != named.FirstSequence)
            return "copied-to position and first sequence as the manifest names them";
        return PreviousDigest == previous ? null : "the digest of the segment before";
    }

    /// <summary>Writes all 4096 bytes.</summary>
    internal void Write(Span<byte> target)
    {
        Invariant.Check(BasePosition <= CopiedTo && BasePosition % RecordFrame.Alignment == 0, "copies begin at the base of their segment");
        target = target[..Size];
        target.Clear();
        Magic.CopyTo(target);
        WriteFormat(target, Format);
        BinaryPrimitives.WriteUInt32LittleEndian(target[12..], Size);
        BinaryPrimitives.WriteUInt128LittleEndian(target[32..], DatabaseId);
        BinaryPrimitives.WriteUInt32LittleEndian(target[48..], Number);
        BinaryPrimitives.WriteUInt64LittleEndian(target[56..], BasePosition);
        BinaryPrimitives.WriteUInt64LittleEndian(target[64..], CopiedTo);
        BinaryPrimitives.WriteUInt64LittleEndian(target[72..], FirstSequence);
        BinaryPrimitives.WriteUInt64LittleEndian(target[80..], Epoch);
        BinaryPrimitives.WriteUInt64LittleEndian(target[88..], ManifestNumber);
        BinaryPrimitives.WriteUInt128LittleEndian(target[96..], Salt);
        PreviousDigest.Write(target[112..]);
        BinaryPrimitives.WriteUInt32LittleEndian(target[CheckOffset..], Check(target));
    }

    internal static FormatFeatures ReadFormat(ReadOnlySpan<byte> source) => new(
        BinaryPrimitives.ReadUInt16LittleEndian(source[8..]),
        BinaryPrimitives.ReadUInt16LittleEndian(source[10..]),
        BinaryPrimitives.ReadUInt32LittleEndian(source[16..]),
        BinaryPrimitives.ReadUInt32LittleEndian(source[20..]),
        BinaryPrimitives.ReadUInt32LittleEndian(source[24..]));

    internal static void WriteFormat(Span<byte> target, in FormatFeatures format)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(target[8..], format.Major);
        BinaryPrimitives.WriteUInt16LittleEndian(target[10..], format.Minor);
        BinaryPrimitives.WriteUInt32LittleEndian(target[16..], format.Compatible);
        BinaryPrimitives.WriteUInt32LittleEndian(target[20..], format.ReadOnlyCompatible);
        BinaryPrimitives.WriteUInt32LittleEndian(target[24..], format.Incompatible);
    }

    private static uint Check(ReadOnlySpan<byte> source) => Codec.Crc32C.Finish(Codec.Crc32C.Append(Codec.Crc32C.Start, source[..CheckOffset]));

    private static bool IsRoomZero(ReadOnlySpan<byte> source) =>
        source[28..32].IndexOfAnyExcept((byte)0) < 0
        && source[52..56].IndexOfAnyExcept((byte)0) < 0
        && source[144..CheckOffset].IndexOfAnyExcept((byte)0) < 0
        && source[FieldBytes..Size].IndexOfAnyExcept((byte)0) < 0;
}
