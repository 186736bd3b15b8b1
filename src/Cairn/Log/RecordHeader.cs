using System.Buffers.Binary;
using System.Diagnostics;

namespace Cairn.Log;

/// <summary>The 40 bytes before each payload. Layout, little-endian: <code>
///  0  u32  length          of the payload
///  4  u8   type            <see cref="RecordType"/>
///  5  u8   version         payload format of that type
///  6  u16  flags           <see cref="RecordFlags"/>
///  8  u64  sequence        transaction: the previous one's + 1; control record: of the last transaction before it
/// 16  u64  durable-up-to   every byte of the log below this position was synced when the header was built
/// 24  u32  chain           payload check of the record before; in a segment's first record the first 4 bytes of the previous digest
/// 28  u32  payload check   CRC-32C of salt, then payload
/// 32  u32  zero
/// 36  u32  header check    CRC-32C of salt, position (u64), then bytes 0-35 </code></summary>
internal readonly record struct RecordHeader(
    uint Length, RecordType Type, byte Version, RecordFlags Flags, ulong Sequence, ulong DurableUpTo, uint Chain, uint PayloadCheck)
{
    internal const int Size = 40;
    internal const int HeaderCheckOffset = 36;
    internal const byte CurrentVersion = 1;

    /// <summary>Bytes of the whole record: header, payload, zeros up to a multiple of 8.</summary>
    internal long RecordLength => RecordFrame.LengthOf(Length);

    /// <summary>Reads the fields; says nothing about the checks, which need salt and position
    /// (<see cref="RecordFrame.IsHeaderRight"/>).</summary>
    /// <returns>False when this cannot be a header: too short, type 00, or the room that must be zero is not.</returns>
    internal static bool TryRead(ReadOnlySpan<byte> source, out RecordHeader header)
    {
        if (source.Length < Size || source[4] == 0 || BinaryPrimitives.ReadUInt32LittleEndian(source[32..]) != 0)
        {
            header = default;
            return false;
        }

        header = new RecordHeader(
            BinaryPrimitives.ReadUInt32LittleEndian(source),
            (RecordType)source[4],
            source[5],
            (RecordFlags)BinaryPrimitives.ReadUInt16LittleEndian(source[6..]),
            BinaryPrimitives.ReadUInt64LittleEndian(source[8..]),
            BinaryPrimitives.ReadUInt64LittleEndian(source[16..]),
            BinaryPrimitives.ReadUInt32LittleEndian(source[24..]),
            BinaryPrimitives.ReadUInt32LittleEndian(source[28..]));
        return true;
    }

    /// <summary>Writes bytes 0-35; the header check comes with <see cref="RecordFrame"/>.</summary>
    internal void Write(Span<byte> target)
    {
        Debug.Assert(Type != 0 && Length <= RecordFrame.PayloadBytesMax);
        BinaryPrimitives.WriteUInt32LittleEndian(target, Length);
        target[4] = (byte)Type;
        target[5] = Version;
        BinaryPrimitives.WriteUInt16LittleEndian(target[6..], (ushort)Flags);
        BinaryPrimitives.WriteUInt64LittleEndian(target[8..], Sequence);
        BinaryPrimitives.WriteUInt64LittleEndian(target[16..], DurableUpTo);
        BinaryPrimitives.WriteUInt32LittleEndian(target[24..], Chain);
        BinaryPrimitives.WriteUInt32LittleEndian(target[28..], PayloadCheck);
        BinaryPrimitives.WriteUInt32LittleEndian(target[32..], 0);
    }
}
