using System.Buffers.Binary;
using Cairn.Codec;

namespace Cairn.Log;

/// <summary>The first 128 bytes of a file that is written once, under a number, and never changed: a table, an archive. Layout,
/// little-endian: <code>
///   0  8    magic             of the kind of file
///   8  u16  major
///  10  u16  minor
///  12  u32  header length     128
///  16  u32  features          compatible
///  20  u32  features          read-only-compatible
///  24  u32  features          incompatible
///  28  u32  zero
///  32  16   database id
///  48  u32  number            equals the name
///  52  u32  zero
///  56  16   salt              seeds every check of the file
///  72  u32  key id            0 = not encrypted
///  76  u32  zero
///  80  32   key salt          zero
/// 112  12   zero
/// 124  u32  header check      CRC-32C of bytes 0-123 </code></summary>
internal readonly record struct SealedFileHeader(FormatFeatures Format, UInt128 DatabaseId, uint Number, UInt128 Salt)
{
    internal const int Size = 128;
    internal const int CheckOffset = 124;

    /// <summary>Reads a header of any version whose first fields and check are where they are now.</summary>
    /// <returns>False when this is not a header: magic, length, check or a byte that must be zero is wrong.</returns>
    internal static bool TryRead(ReadOnlySpan<byte> magic, ReadOnlySpan<byte> source, out SealedFileHeader header)
    {
        header = default;
        if (source.Length < Size || !source.StartsWith(magic)
            || BinaryPrimitives.ReadUInt32LittleEndian(source[CheckOffset..]) != Crc32C.Of(source[..CheckOffset])
            || BinaryPrimitives.ReadUInt32LittleEndian(source[12..]) != Size)
            return false;
        header = new SealedFileHeader(
            SegmentHeader.ReadFormat(source),
            BinaryPrimitives.ReadUInt128LittleEndian(source[32..]),
            BinaryPrimitives.ReadUInt32LittleEndian(source[48..]),
            BinaryPrimitives.ReadUInt128LittleEndian(source[56..]));

        // A newer format may use what is room here; its features say so, and the caller refuses those.
        return header.Format != FormatFeatures.Current
            || (source[28..32].IndexOfAnyExcept((byte)0) < 0 && source[52..56].IndexOfAnyExcept((byte)0) < 0
                && source[72..CheckOffset].IndexOfAnyExcept((byte)0) < 0);
    }

    internal void Write(ReadOnlySpan<byte> magic, Span<byte> target)
    {
        target = target[..Size];
        target.Clear();
        magic.CopyTo(target);
        SegmentHeader.WriteFormat(target, Format);
        BinaryPrimitives.WriteUInt32LittleEndian(target[12..], Size);
        BinaryPrimitives.WriteUInt128LittleEndian(target[32..], DatabaseId);
        BinaryPrimitives.WriteUInt32LittleEndian(target[48..], Number);
        BinaryPrimitives.WriteUInt128LittleEndian(target[56..], Salt);
        BinaryPrimitives.WriteUInt32LittleEndian(target[CheckOffset..], Crc32C.Of(target[..CheckOffset]));
    }

    /// <summary>State of a check after the salt: common to all checks of a file.</summary>
    internal static uint Salted(UInt128 salt)
    {
        Span<byte> bytes = stackalloc byte[RecordFrame.SaltBytes];
        BinaryPrimitives.WriteUInt128LittleEndian(bytes, salt);
        return Crc32C.Append(Crc32C.Start, bytes);
    }

    /// <summary>The check of bytes at an offset of the file: valid in this place of this file only.</summary>
    internal static uint Check(uint salted, long offset, ReadOnlySpan<byte> bytes)
    {
        Span<byte> place = stackalloc byte[sizeof(long)];
        BinaryPrimitives.WriteInt64LittleEndian(place, offset);
        return Crc32C.Finish(Crc32C.Append(Crc32C.Append(salted, place), bytes));
    }
}
