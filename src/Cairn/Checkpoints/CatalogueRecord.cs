using System.Buffers.Binary;
using Cairn.Store;

namespace Cairn.Checkpoints;

/// <summary>The record of the run with id zero in the image: what the database is at the checkpoint beside its runs. Layout,
/// little-endian: <code>
///   0  88   the numbers of the catalogue, as of any run (RunNumbers)
///  88  u64  epoch         of the opening that made the checkpoint
///  96  u32  openings N
/// 100  u32  zero
/// 104  the openings before that one which a crash ended, ascending, u64 each </code></summary>
internal sealed record CatalogueRecord(RunNumbers Numbers, ulong Epoch, IReadOnlyList<ulong> EndedUncleanly)
{
    private const int FixedBytes = RunNumbers.Size + 16;

    internal byte[] Encode()
    {
        var bytes = new byte[FixedBytes + EndedUncleanly.Count * sizeof(ulong)];
        Numbers.Write(bytes);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(RunNumbers.Size), Epoch);
        BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(RunNumbers.Size + 8), EndedUncleanly.Count);
        for (var i = 0; i < EndedUncleanly.Count; i++)
            BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(FixedBytes + i * sizeof(ulong)), EndedUncleanly[i]);
        return bytes;
    }

    /// <summary>Null when these bytes are no such record.</summary>
    internal static CatalogueRecord? TryRead(ReadOnlySpan<byte> source)
    {
        if (source.Length < FixedBytes || !RunNumbers.TryRead(source, out var numbers))
            return null;
        var count = BinaryPrimitives.ReadUInt32LittleEndian(source[(RunNumbers.Size + 8)..]);
        if (count != (uint)(source.Length - FixedBytes) / sizeof(ulong))
            return null;
        var openings = new ulong[count];
        for (var i = 0; i < openings.Length; i++)
            openings[i] = BinaryPrimitives.ReadUInt64LittleEndian(source[(FixedBytes + i * sizeof(ulong))..]);
        return new CatalogueRecord(numbers, BinaryPrimitives.ReadUInt64LittleEndian(source[RunNumbers.Size..]), openings);
    }
}
