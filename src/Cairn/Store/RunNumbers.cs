using System.Buffers.Binary;

namespace Cairn.Store;

/// <summary>
/// What a commit must know of a run besides its keys. Written by Apply alone, under the run's lock. A checkpoint keeps it as the run's
/// record in the image, at the store key <c>00</c>, which no operation writes. Layout, little-endian: <code>
///  0  u8   version          1
///  1  u8   status
///  2  u16  zero
///  4  u32  tags             of the run's record in the catalogue
///  8  u64  born             sequence that began the run; 0 = always there
/// 16  u64  last sequence    of the newest commit with a part for this run
/// 24  u64  last position    of that record; all ones = none
/// 32  u64  last epoch       the opening that wrote it
/// 40  u64  next event       number that the next event gets
/// 48  32   event head       hash of the newest event; zeros before the first
/// 80  u32  record bytes     of the run's record in the catalogue
/// 84  u32  zero </code></summary>
internal record struct RunNumbers
{
    internal const int Size = 88;
    internal const byte CurrentVersion = 1;

    /// <summary>Stands for "no record of this run before".</summary>
    internal const ulong NoPosition = ulong.MaxValue;

    public RunNumbers()
    {
    }

    internal ulong Born { get; set; }

    internal ulong LastSequence { get; set; }

    internal ulong LastPosition { get; set; } = NoPosition;

    internal ulong LastEpoch { get; set; }

    internal RunStatus Status { get; set; } = RunStatus.Active;

    internal ulong NextEvent { get; set; }

    internal Hash256 EventHead { get; set; }

    internal int RecordBytes { get; set; }

    internal int RecordTags { get; set; }

    /// <summary>The store key of a run's record in the image. Sorts before all others.</summary>
    internal static ReadOnlySpan<byte> Key => [0x00];

    /// <summary>False when these bytes are no such record.</summary>
    internal static bool TryRead(ReadOnlySpan<byte> source, out RunNumbers numbers)
    {
        numbers = new RunNumbers();
        if (source.Length < Size || source[0] != CurrentVersion || source[1] > (byte)RunStatus.Archived)
            return false;
        numbers.Status = (RunStatus)source[1];
        numbers.RecordTags = BinaryPrimitives.ReadInt32LittleEndian(source[4..]);
        numbers.Born = BinaryPrimitives.ReadUInt64LittleEndian(source[8..]);
        numbers.LastSequence = BinaryPrimitives.ReadUInt64LittleEndian(source[16..]);
        numbers.LastPosition = BinaryPrimitives.ReadUInt64LittleEndian(source[24..]);
        numbers.LastEpoch = BinaryPrimitives.ReadUInt64LittleEndian(source[32..]);
        numbers.NextEvent = BinaryPrimitives.ReadUInt64LittleEndian(source[40..]);
        numbers.EventHead = new Hash256(source.Slice(48, Hash256.Size));
        numbers.RecordBytes = BinaryPrimitives.ReadInt32LittleEndian(source[80..]);
        return numbers.RecordTags >= 0 && numbers.RecordBytes >= 0;
    }

    internal readonly void Write(Span<byte> target)
    {
        target[..Size].Clear();
        target[0] = CurrentVersion;
        target[1] = (byte)Status;
        BinaryPrimitives.WriteInt32LittleEndian(target[4..], RecordTags);
        BinaryPrimitives.WriteUInt64LittleEndian(target[8..], Born);
        BinaryPrimitives.WriteUInt64LittleEndian(target[16..], LastSequence);
        BinaryPrimitives.WriteUInt64LittleEndian(target[24..], LastPosition);
        BinaryPrimitives.WriteUInt64LittleEndian(target[32..], LastEpoch);
        BinaryPrimitives.WriteUInt64LittleEndian(target[40..], NextEvent);
        EventHead.CopyTo(target[48..]);
        BinaryPrimitives.WriteInt32LittleEndian(target[80..], RecordBytes);
    }
}
