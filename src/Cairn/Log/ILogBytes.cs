namespace Cairn.Log;

/// <summary>The bytes of the log by position, whichever files hold them. Reads may run beside anything.</summary>
internal interface ILogBytes
{
    /// <summary>The first position that can be read.</summary>
    ulong FirstPosition { get; }

    /// <summary>Behind the last byte that can be read; what lies above is in memory alone. Grows only.</summary>
    ulong WrittenPosition { get; }

    /// <summary>Reads the bytes at a position; returns how many: fewer than asked where what is contiguous ends.</summary>
    /// <exception cref="CorruptionException">The bytes should be there and are not.</exception>
    /// <exception cref="Storage.StorageException">The disk failed.</exception>
    int Read(ulong position, Span<byte> buffer);

    /// <summary>Where a position lies, for messages.</summary>
    LogPlace PlaceOf(ulong position);
}

/// <summary>Records by their position, wherever they lie by now: in a living log, or in the files that recovery finds. Reads may run beside
/// anything.</summary>
internal interface ILogRecords : ILogBytes
{
    /// <summary>Where the oldest segment begins; what lies below is in <see cref="Archive"/>, if it was kept.</summary>
    ulong SegmentsFrom { get; }

    /// <summary>What was kept of segments that were given up; null = nothing.</summary>
    LogArchive? Archive { get; }

    /// <summary>Salt of the segment that holds a position, or once held it. False: the position was given up, and nothing was kept
    /// there.</summary>
    bool TrySaltAt(ulong position, Span<byte> salt);

    /// <summary>Where the segment that holds a position begins; the position itself, when none does.</summary>
    ulong BaseOf(ulong position);
}

/// <summary>A place in a file of the log.</summary>
/// <param name="Sequence">The first that the file holds.</param>
internal readonly record struct LogPlace(string File, long Offset, ulong Sequence);
