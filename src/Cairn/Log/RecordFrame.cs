using System.Buffers.Binary;
using System.Numerics;

namespace Cairn.Log;

/// <summary>Turns a payload into a record and checks one again. A record is valid in one place only: both checks are seeded
/// with the segment's salt, and the header's with the position too, so that stale bytes of a recycled block, another file's
/// records and bytes that a user stored as a value never pass.</summary>
internal static class RecordFrame
{
    /// <summary>Bound of the format on a payload, in bytes (LIM-17 at its highest). A lowered limit never stops old data from
    /// being read, so reading knows this bound and no other.</summary>
    internal const int PayloadBytesMax = 256 << 20;

    internal const int SaltBytes = 16;

    /// <summary>Records begin at multiples of this.</summary>
    internal const int Alignment = 8;

    /// <summary>Bytes of the record that a payload of this length makes.</summary>
    internal static long LengthOf(long payloadLength) => RecordHeader.Size + ((payloadLength + (Alignment - 1)) & ~(long)(Alignment - 1));

    /// <summary>State of the check after the salt: common to all records of a segment.</summary>
    internal static uint Salted(ReadOnlySpan<byte> salt) =>
        Mutant.Is("salt-left-out") ? Codec.Crc32C.Start : Codec.Crc32C.Append(Codec.Crc32C.Start, salt[..SaltBytes]);

    internal static uint PayloadCheck(ReadOnlySpan<byte> salt, ReadOnlySpan<byte> payload) => PayloadCheck(Salted(salt), payload);

    internal static uint PayloadCheck(uint salted, ReadOnlySpan<byte> payload) => Codec.Crc32C.Finish(Codec.Crc32C.Append(salted, payload));

    /// <summary>Writes the header of a record whose payload is in place, and zeros behind the payload.</summary>
    /// <param name="record">Header, payload and padding: exactly <see cref="LengthOf"/> bytes.</param>
    /// <param name="payloadLength">Of the payload alone.</param>
    /// <param name="salt">Of the segment the record goes to.</param>
    /// <param name="position">Where in the log the record begins.</param>
    /// <param name="durableUpTo">Every byte below this position is synced now; at most <paramref name="position"/>.</param>
    /// <param name="chain">Payload check of the record before, or the segment's first chain value.</param>
    /// <param name="payloadCheck">From <see cref="PayloadCheck(ReadOnlySpan{byte}, ReadOnlySpan{byte})"/> with the same salt.</param>
    internal static void Finish(
        Span<byte> record, int payloadLength, ReadOnlySpan<byte> salt, ulong position, ulong sequence, ulong durableUpTo,
        uint chain, uint payloadCheck, RecordType type, RecordFlags flags = RecordFlags.None, byte version = RecordHeader.CurrentVersion) =>
        Finish(record, payloadLength, Salted(salt), position, sequence, durableUpTo, chain, payloadCheck, type, flags, version);

    /// <summary>The same with the state of the check after the salt, which all records of a segment share.</summary>
    internal static void Finish(
        Span<byte> record, int payloadLength, uint salted, ulong position, ulong sequence, ulong durableUpTo,
        uint chain, uint payloadCheck, RecordType type, RecordFlags flags = RecordFlags.None, byte version = RecordHeader.CurrentVersion)
    {
        Invariant.Check(record.Length == LengthOf(payloadLength), "a record is its header, payload and padding");
        Invariant.Check(durableUpTo <= position, "a record never vouches for itself");
        Invariant.Check(position % Alignment == 0, "records begin at multiples of 8");
        if (Mutant.Is("durable-up-to-zero"))
            durableUpTo = 0;
        record[(RecordHeader.Size + payloadLength)..].Clear();
        new RecordHeader((uint)payloadLength, type, version, flags, sequence, durableUpTo, chain, payloadCheck)
            .Write(record);
        BinaryPrimitives.WriteUInt32LittleEndian(
            record[RecordHeader.HeaderCheckOffset..], HeaderCheck(salted, position, record));
    }

    /// <summary>Frames a control record whose payload is in place: checks the payload as well.</summary>
    /// <returns>The payload check: the chain value of what follows.</returns>
    internal static uint FinishControl(
        Span<byte> record, int payloadLength, ReadOnlySpan<byte> salt, ulong position, ulong sequence, ulong durableUpTo,
        uint chain, RecordType type)
    {
        var check = PayloadCheck(salt, record.Slice(RecordHeader.Size, payloadLength));
        Finish(record, payloadLength, salt, position, sequence, durableUpTo, chain, check, type);
        return check;
    }

    /// <summary>44 bytes in six steps; the general loop would spend more on its own bounds than on the bytes.</summary>
    internal static uint HeaderCheck(uint salted, ulong position, ReadOnlySpan<byte> header)
    {
        header = header[..RecordHeader.HeaderCheckOffset];
        var state = BitOperations.Crc32C(salted, position);
        state = BitOperations.Crc32C(state, BinaryPrimitives.ReadUInt64LittleEndian(header));
        state = BitOperations.Crc32C(state, BinaryPrimitives.ReadUInt64LittleEndian(header[8..]));
        state = BitOperations.Crc32C(state, BinaryPrimitives.ReadUInt64LittleEndian(header[16..]));
        state = BitOperations.Crc32C(state, BinaryPrimitives.ReadUInt64LittleEndian(header[24..]));
        state = BitOperations.Crc32C(state, BinaryPrimitives.ReadUInt32LittleEndian(header[32..]));
        return Codec.Crc32C.Finish(state);
    }

    internal static bool IsHeaderRight(uint salted, ulong position, ReadOnlySpan<byte> header) =>
        BinaryPrimitives.ReadUInt32LittleEndian(header[RecordHeader.HeaderCheckOffset..]) == HeaderCheck(salted, position, header);
}
