using System.Buffers.Binary;

namespace Cairn.Store;

/// <summary>
/// What a commit must know of a run besides its keys. Written by Apply alone, under the run's lock. A checkpoint keeps it as the run's
/// record in the image, at the store key <c>00</c>, which no operation writes. Layout, little-endian: <code>
///  0  u8   version          1; 2 = with what follows 88
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
/// 84  u32  zero
/// 88  16   base             of a fork: the run it reads through to; zero = none
/// 104 u64  base point       sequence of the commit that made the fork; lower: of the past point that it was made at
/// 112 u64  base position    of the newest record of the base when the fork was made; all ones = none
/// 120 u64  deleted at       the run was deleted, and forks still read it; 0 = no </code></summary>
internal record struct RunNumbers
{
    internal const int Size = 88;
    internal const int SizeMax = 128;
    internal const byte CurrentVersion = 1;
    internal const byte VersionWithBase = 2;

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

    /// <summary>Of a fork, the run it reads through to; zero = none.</summary>
    internal RunId Base { get; set; }

    /// <summary>The sequence it reads that at.</summary>
    internal ulong BasePoint { get; set; }

    /// <summary>Position of the newest record of the base when the fork was made: at the point, or behind a past one.</summary>
    internal ulong BasePosition { get; set; } = NoPosition;

    /// <summary>A fork whose base is the run as it was at a past point.</summary>
    internal readonly bool IsForkOfPast => Base != default && BasePoint < Born;

    /// <summary>The run was deleted, and is kept for the forks that read through to it; 0 = it was not.</summary>
    internal ulong DeletedAt { get; set; }

    private readonly bool IsLong => Base != default || DeletedAt != 0;

    internal readonly int EncodedSize => IsLong ? SizeMax : Size;

    /// <summary>The store key of a run's record in the image. Sorts before all others.</summary>
    internal static ReadOnlySpan<byte> Key => [0x00];

    /// <summary>False when these bytes are no such record.</summary>
    internal static bool TryRead(ReadOnlySpan<byte> source, out RunNumbers numbers)
    {
        numbers = new RunNumbers();
        if (source.Length < Size || source[0] is not (CurrentVersion or VersionWithBase) || source[1] > (byte)RunStatus.Archived
            || (source[0] == VersionWithBase && source.Length < SizeMax))
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
        if (source[0] == VersionWithBase)
        {
            numbers.Base = RunId.Read(source[88..]);
            numbers.BasePoint = BinaryPrimitives.ReadUInt64LittleEndian(source[104..]);
            numbers.BasePosition = BinaryPrimitives.ReadUInt64LittleEndian(source[112..]);
            numbers.DeletedAt = BinaryPrimitives.ReadUInt64LittleEndian(source[120..]);
        }

        return numbers.RecordTags >= 0 && numbers.RecordBytes >= 0;
    }

    /// <param name="target">At least <see cref="EncodedSize"/>.</param>
    internal readonly void Write(Span<byte> target)
    {
        target[..EncodedSize].Clear();
        target[0] = IsLong ? VersionWithBase : CurrentVersion;
        target[1] = (byte)Status;
        BinaryPrimitives.WriteInt32LittleEndian(target[4..], RecordTags);
        BinaryPrimitives.WriteUInt64LittleEndian(target[8..], Born);
        BinaryPrimitives.WriteUInt64LittleEndian(target[16..], LastSequence);
        BinaryPrimitives.WriteUInt64LittleEndian(target[24..], LastPosition);
        BinaryPrimitives.WriteUInt64LittleEndian(target[32..], LastEpoch);
        BinaryPrimitives.WriteUInt64LittleEndian(target[40..], NextEvent);
        EventHead.CopyTo(target[48..]);
        BinaryPrimitives.WriteInt32LittleEndian(target[80..], RecordBytes);
        if (!IsLong)
            return;
        Base.Write(target[88..]);
        BinaryPrimitives.WriteUInt64LittleEndian(target[104..], BasePoint);
        BinaryPrimitives.WriteUInt64LittleEndian(target[112..], BasePosition);
        BinaryPrimitives.WriteUInt64LittleEndian(target[120..], DeletedAt);
    }
}
