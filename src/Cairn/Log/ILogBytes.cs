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

/// <summary>A place in a file of the log.</summary>
/// <param name="Sequence">The first that the file holds.</param>
internal readonly record struct LogPlace(string File, long Offset, ulong Sequence);
