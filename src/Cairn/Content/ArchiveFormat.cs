using System.Buffers.Binary;
using Cairn.Log;

namespace Cairn.Content;

/// <summary>Numbers that the bytes of an archive rest on.</summary>
internal static class ArchiveFormat
{
    internal static ReadOnlySpan<byte> Magic => "CAIRNARC"u8;

    /// <summary>Content of a block: a content above the threshold is one short read, and its check is little beside it. Chosen.</summary>
    internal const int BlockBytes = 16 << 10;

    /// <summary>The check behind each block.</summary>
    internal const int CheckBytes = 4;

    /// <summary>The first section begins at a multiple of this, and so do all.</summary>
    internal const int Alignment = 8;

    /// <summary>Offset in the file of a byte of the stream.</summary>
    internal static long OffsetOf(long streamOffset) =>
        SealedFileHeader.Size + streamOffset / BlockBytes * (BlockBytes + CheckBytes) + streamOffset % BlockBytes;

    /// <summary>Length of the file with a stream of that length.</summary>
    internal static long FileBytes(long streamBytes) =>
        SealedFileHeader.Size + streamBytes + (streamBytes + BlockBytes - 1) / BlockBytes * CheckBytes + ArchiveFooter.Size;
}

/// <summary>A section of an archive's stream: entries of one size.</summary>
/// <param name="Offset">In the stream.</param>
internal readonly record struct ArchiveSection(long Offset, long Count);

/// <summary>The last 128 bytes of an archive. Layout, little-endian: <code>
///   0  u64  data bytes        of the pieces; they come first in the stream
///   8  u64  pieces            offset in the stream
///  16  u64                    how many
///  24  u64  sources           offset
///  32  u64                    how many
///  40  u64  records           offset
///  48  u64                    how many
///  56  u64  floors            offset
///  64  u64                    how many
///  72  u64  marks             offset
///  80  u64                    how many bytes
///  88  u64  stream bytes
///  96  u64  first position    of the part of the log that it stands for
/// 104  u64  end position
/// 112  u64  file bytes        the footer included
/// 120  u32  zero
/// 124  u32  footer check      CRC-32C of salt, file offset (u64), bytes 0-123 </code></summary>
internal readonly record struct ArchiveFooter(
    long DataBytes, ArchiveSection Pieces, ArchiveSection Sources, ArchiveSection Records, ArchiveSection Floors,
    ArchiveSection Marks, long StreamBytes,
    ulong FirstPosition, ulong EndPosition, long FileBytes)
{
    internal const int Size = 128;
    internal const int CheckOffset = 124;

    /// <returns>False when the check is wrong, or the numbers do not fit together.</returns>
    internal static bool TryRead(uint salted, long offset, ReadOnlySpan<byte> source, out ArchiveFooter footer)
    {
        footer = new ArchiveFooter(
            BinaryPrimitives.ReadInt64LittleEndian(source),
            ReadSection(source[8..]),
            ReadSection(source[24..]),
            ReadSection(source[40..]),
            ReadSection(source[56..]),
            ReadSection(source[72..]),
            BinaryPrimitives.ReadInt64LittleEndian(source[88..]),
            BinaryPrimitives.ReadUInt64LittleEndian(source[96..]),
            BinaryPrimitives.ReadUInt64LittleEndian(source[104..]),
            BinaryPrimitives.ReadInt64LittleEndian(source[112..]));
        var check = BinaryPrimitives.ReadUInt32LittleEndian(source[CheckOffset..]);
        return check == SealedFileHeader.Check(salted, offset, source[..CheckOffset])
            && footer.Fits();
    }

    // One section behind the other, nothing between but what aligns the first.
    private bool Fits()
    {
        var end = Aligned(DataBytes);
        return DataBytes >= 0 && FirstPosition <= EndPosition
            && Follows(ref end, Pieces, ArchivePiece.Size) && Follows(ref end, Sources, ArchiveSource.Size)
            && Follows(ref end, Records, ArchivedRecord.Size) && Follows(ref end, Floors, ArchiveFloor.Size)
            && Follows(ref end, Marks, sizeof(byte)) && Marks.Count <= uint.MaxValue
            && StreamBytes == end && FileBytes == ArchiveFormat.FileBytes(StreamBytes);
    }

    private static bool Follows(ref long end, ArchiveSection section, int size)
    {
        if (section.Offset != end || section.Count < 0 || section.Count > (long.MaxValue - end) / size / 2)
            return false;
        end += section.Count * size;
        return true;
    }

    internal static long Aligned(long bytes) => (bytes + (ArchiveFormat.Alignment - 1)) & ~(long)(ArchiveFormat.Alignment - 1);

    private static ArchiveSection ReadSection(ReadOnlySpan<byte> source) =>
        new(BinaryPrimitives.ReadInt64LittleEndian(source), BinaryPrimitives.ReadInt64LittleEndian(source[8..]));

    private static void Write(Span<byte> target, ArchiveSection section)
    {
        BinaryPrimitives.WriteInt64LittleEndian(target, section.Offset);
        BinaryPrimitives.WriteInt64LittleEndian(target[8..], section.Count);
    }

    internal void Write(Span<byte> target, uint salted, long offset)
    {
        target = target[..Size];
        target.Clear();
        BinaryPrimitives.WriteInt64LittleEndian(target, DataBytes);
        Write(target[8..], Pieces);
        Write(target[24..], Sources);
        Write(target[40..], Records);
        Write(target[56..], Floors);
        Write(target[72..], Marks);
        BinaryPrimitives.WriteInt64LittleEndian(target[88..], StreamBytes);
        BinaryPrimitives.WriteUInt64LittleEndian(target[96..], FirstPosition);
        BinaryPrimitives.WriteUInt64LittleEndian(target[104..], EndPosition);
        BinaryPrimitives.WriteInt64LittleEndian(target[112..], FileBytes);
        BinaryPrimitives.WriteUInt32LittleEndian(target[CheckOffset..], SealedFileHeader.Check(salted, offset, target[..CheckOffset]));
    }
}

/// <summary>A stretch of the log that was kept. Layout, little-endian: <code>
///  0  u64  position
///  8  u64  data        offset in the stream
/// 16  u32  length      in bytes, at least 1
/// 20  u32  source      index in the section of sources </code></summary>
internal readonly record struct ArchivePiece(ulong Position, long Data, int Length, int Source)
{
    internal const int Size = 24;

    internal ulong End => Position + (uint)Length;

    internal static ArchivePiece Read(ReadOnlySpan<byte> source) => new(
        BinaryPrimitives.ReadUInt64LittleEndian(source),
        BinaryPrimitives.ReadInt64LittleEndian(source[8..]),
        BinaryPrimitives.ReadInt32LittleEndian(source[16..]),
        BinaryPrimitives.ReadInt32LittleEndian(source[20..]));

    internal void Write(Span<byte> target)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(target, Position);
        BinaryPrimitives.WriteInt64LittleEndian(target[8..], Data);
        BinaryPrimitives.WriteInt32LittleEndian(target[16..], Length);
        BinaryPrimitives.WriteInt32LittleEndian(target[20..], Source);
    }
}

/// <summary>A segment that pieces came from: its salt still proves its records. Layout, little-endian: <code>
///  0  u32  segment number
///  4  u32  zero
///  8  u64  base position
/// 16  u64  end position
/// 24  u64  first sequence
/// 32  16   salt </code></summary>
internal readonly record struct ArchiveSource(uint Number, ulong BasePosition, ulong End, ulong FirstSequence, UInt128 Salt)
{
    internal const int Size = 48;

    internal static ArchiveSource Read(ReadOnlySpan<byte> source) => new(
        BinaryPrimitives.ReadUInt32LittleEndian(source),
        BinaryPrimitives.ReadUInt64LittleEndian(source[8..]),
        BinaryPrimitives.ReadUInt64LittleEndian(source[16..]),
        BinaryPrimitives.ReadUInt64LittleEndian(source[24..]),
        BinaryPrimitives.ReadUInt128LittleEndian(source[32..]));

    internal void Write(Span<byte> target)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(target, Number);
        BinaryPrimitives.WriteUInt32LittleEndian(target[4..], 0);
        BinaryPrimitives.WriteUInt64LittleEndian(target[8..], BasePosition);
        BinaryPrimitives.WriteUInt64LittleEndian(target[16..], End);
        BinaryPrimitives.WriteUInt64LittleEndian(target[24..], FirstSequence);
        BinaryPrimitives.WriteUInt128LittleEndian(target[32..], Salt);
    }
}

/// <summary>A record that was kept for a run; sorted by run, then position. Layout: <code>
///  0  16   run        network order
/// 16  u64  position   little-endian
/// 24  u32  marks      offset in the section of marks
/// 28  u32  marked     operations of the run's part, each with a mark; 0 = the part is needed whole, and has none </code>
/// The marks of a part are a bit for each operation, the lowest bit of the first byte first: 1 = the version that it wrote is needed.
/// What the others wrote stands there by chance, and has been followed by something that was not kept.</summary>
internal readonly record struct ArchivedRecord(RunId Run, ulong Position, uint Marks, int Marked) : IComparable<ArchivedRecord>
{
    internal const int Size = 32;

    internal int MarkBytes => BytesOf(Marked);

    internal static int BytesOf(int operations) => (operations + 7) / 8;

    public int CompareTo(ArchivedRecord other) =>
        Run.CompareTo(other.Run) is not 0 and var order ? order : Position.CompareTo(other.Position);

    internal static ArchivedRecord Read(ReadOnlySpan<byte> source) => new(
        RunId.Read(source),
        BinaryPrimitives.ReadUInt64LittleEndian(source[16..]),
        BinaryPrimitives.ReadUInt32LittleEndian(source[24..]),
        BinaryPrimitives.ReadInt32LittleEndian(source[28..]));

    internal void Write(Span<byte> target)
    {
        Run.Write(target);
        BinaryPrimitives.WriteUInt64LittleEndian(target[16..], Position);
        BinaryPrimitives.WriteUInt32LittleEndian(target[24..], Marks);
        BinaryPrimitives.WriteInt32LittleEndian(target[28..], Marked);
    }
}

/// <summary>Records of a run were left out between those that were kept; sorted by run. Layout: <code>
///  0  16   run        network order
/// 16  u64  sequence   little-endian; from the state after it on, what was kept answers all questions
/// 24  i64  time       the same for commit times, microseconds since 1970
/// 32  u64  below      position of the run's newest record below this part of the log; all ones = none
/// 40  u32  versions   and so many newest versions of each key were kept; all ones = all, 0 = number says nothing
/// 44  u32  zero       0 </code></summary>
internal readonly record struct ArchiveFloor(RunId Run, KeptSince Since, ulong Below)
{
    internal const int Size = 48;

    internal static ArchiveFloor Read(ReadOnlySpan<byte> source) => new(
        RunId.Read(source),
        new KeptSince(
            BinaryPrimitives.ReadUInt64LittleEndian(source[16..]),
            BinaryPrimitives.ReadInt64LittleEndian(source[24..]),
            BinaryPrimitives.ReadUInt32LittleEndian(source[40..])),
        BinaryPrimitives.ReadUInt64LittleEndian(source[32..]));

    internal void Write(Span<byte> target)
    {
        Run.Write(target);
        BinaryPrimitives.WriteUInt64LittleEndian(target[16..], Since.Sequence);
        BinaryPrimitives.WriteInt64LittleEndian(target[24..], Since.Time);
        BinaryPrimitives.WriteUInt64LittleEndian(target[32..], Below);
        BinaryPrimitives.WriteUInt32LittleEndian(target[40..], Since.Versions);
        BinaryPrimitives.WriteUInt32LittleEndian(target[44..], 0);
    }
}
