namespace Cairn.Log;

/// <summary>Fills a span from the database's random source.</summary>
internal delegate void RandomFill(Span<byte> target);

/// <summary>What opening and growing the log need to know.</summary>
internal sealed record LogOptions
{
    /// <summary>First segment after an open, in bytes of file; each next doubles up to <see cref="SegmentBytesMax"/>.</summary>
    internal long SegmentBytesMin { get; init; } = 1 << 20;

    internal long SegmentBytesMax { get; init; } = 64 << 20;

    /// <summary>Segments are written with zeros before they are used, so that a sync moves data and no metadata. Without it their blocks
    /// are only taken, where the file system can (decision 0020).</summary>
    internal bool ZeroesSegments { get; init; } = true;

    /// <summary>Verdict only, nothing is written; refused unless the database was closed cleanly.</summary>
    internal bool IsReadOnly { get; init; }

    internal bool CreateIfMissing { get; init; } = true;

    /// <summary>Salts and the database id are drawn from here.</summary>
    internal required RandomFill Random { get; init; }

    /// <summary>Commit time of creation, and the duration of recovery's phases.</summary>
    internal required TimeProvider Clock { get; init; }

    /// <summary>Ballast for a full disk (durability rule 5.7): twice the next segment, at least 4 MiB, less where segments are
    /// set small.</summary>
    internal long ReserveBytes(long nextSegmentBytes) =>
        Math.Max(2 * nextSegmentBytes, Math.Min(4L << 20, 2 * SegmentBytesMax));

    internal UInt128 DrawBits()
    {
        Span<byte> bits = stackalloc byte[16];
        Random(bits);
        return System.Buffers.Binary.BinaryPrimitives.ReadUInt128LittleEndian(bits);
    }
}
