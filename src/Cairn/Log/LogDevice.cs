namespace Cairn.Log;

/// <summary>
/// Where the records of the log go: local segments now, another machine's replicated log later. Speaks in positions: bytes of
/// records since the log began, headers of segments not counted, so that a record's bytes mean the same on any device.
/// One caller at a time (the log's writer role) for <see cref="Append"/>, <see cref="Rotate"/> and <see cref="Close"/>;
/// <see cref="Sync"/> may run beside an append; reads may run beside anything.
/// </summary>
internal abstract class LogDevice : IDisposable
{
    /// <summary>This opening has written what comes before its first record. Until then there is no room for any.</summary>
    internal abstract bool HasBegun { get; }

    /// <summary>Writes that, once, and says where the first record goes. Whatever else changes the device does it too.</summary>
    /// <exception cref="Storage.StorageException">NoSpace: nothing was published, and it may be tried again. Any other failure is
    /// final.</exception>
    /// <exception cref="DatabaseFailedException">Fenced: another owner has written here.</exception>
    internal abstract LogStart Begin();

    /// <summary>Seeds every checksum of the records appended now; changes at <see cref="Rotate"/> only. 16 bytes.</summary>
    internal abstract ReadOnlySpan<byte> Salt { get; }

    /// <summary>The chain value of the next record when it is the first of the current segment: the first 4 bytes of the
    /// previous segment's digest (0 in the very first).</summary>
    internal abstract uint FirstChain { get; }

    /// <summary>Position where the current segment's records begin.</summary>
    internal abstract ulong BasePosition { get; }

    /// <summary>First position that the current segment has no room for; the room for its seal is kept back behind it.</summary>
    internal abstract ulong EndPosition { get; }

    /// <summary>First position that is still kept.</summary>
    internal abstract ulong FirstPosition { get; }

    /// <summary>Records appended to the current segment, recovery's copies included, as its seal records it.</summary>
    internal abstract ulong RecordCount { get; }

    /// <summary>Bytes of records, beside the seal, that the prepared next segment can take; 0 when none is prepared.</summary>
    internal abstract long PreparedBytes { get; }

    /// <summary>Allocates, zeroes and syncs the next segment under the name <c>log/prepared</c>, with room for at least
    /// <paramref name="recordBytesMin"/> of records. Does nothing if that is there already; makes a
    /// larger one in place of one that is too small. Runs beside appends.</summary>
    /// <exception cref="Storage.StorageException">NoSpace: nothing is left behind and the log goes on in the current segment.</exception>
    internal abstract void Prepare(long recordBytesMin);

    /// <summary>What is free, and what writing needs.</summary>
    internal abstract DeviceSpace Space();

    /// <summary>Keeps as much aside as <see cref="DeviceSpace.Reserve"/> says. False: there is not that much.</summary>
    internal abstract bool TryBuildReserve();

    /// <summary>Gives up what was kept aside. Until it is built again, <see cref="Prepare"/> makes the smallest segment there is.</summary>
    internal abstract void ReleaseReserve();

    /// <summary>Writes finished records (header, payload, padding each) at <paramref name="expectedPosition"/>, which must be the
    /// position after the last append. Written, not synced.</summary>
    /// <exception cref="DatabaseFailedException">Fenced: another owner has appended.</exception>
    internal abstract void Append(ulong expectedPosition, ReadOnlySpan<byte> records);

    /// <summary>Makes everything appended before the call durable. Never retried after a failure.</summary>
    internal abstract void Sync();

    /// <summary>Ends the current segment after its seal was appended and synced, and begins the prepared one:
    /// header, sync, rename, sync directory, manifest (durability rule 5.8).</summary>
    /// <param name="firstSequence">Sequence of the first transaction that the new segment will hold.</param>
    /// <param name="commitTime">Of the last transaction: the manifest's floor for the commit clock.</param>
    internal abstract void Rotate(ulong firstSequence, long commitTime);

    /// <summary>SHA-256 of the current segment's file from byte 0 up to the last appended byte, as the seal records it.</summary>
    internal abstract void Digest(Span<byte> digest);

    /// <summary>Does a bounded piece of hashing, so that <see cref="Digest"/> has little left to do. Runs beside appends. True when
    /// more is left.</summary>
    internal abstract bool StepDigest();

    /// <summary>Bytes that <see cref="StepDigest"/> has still to hash.</summary>
    internal abstract long UndigestedBytes { get; }

    /// <summary>Reads the bytes at a position of the log, wherever they lie; returns how many: 0 past the last append, fewer
    /// than asked at the end of a segment, which no record crosses.</summary>
    /// <exception cref="CorruptionException">The bytes should be there and are not.</exception>
    internal abstract int Read(ulong position, Span<byte> buffer);

    /// <summary>Salt of the segment that holds <paramref name="position"/>, to check what <see cref="Read"/> gave.</summary>
    internal abstract void SaltAt(ulong position, Span<byte> salt);

    /// <summary>Gives up everything below a position that nothing needs any more.</summary>
    internal abstract void Truncate(ulong upToPosition);

    /// <summary>After the final seal was appended and synced: cuts the never-written tail, syncs, and writes the manifest
    /// with the clean flag and the end position.</summary>
    internal abstract void Close(ulong endPosition, ulong lastSequence, long commitTime);

    public abstract void Dispose();
}
