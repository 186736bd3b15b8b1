namespace Cairn.Tables;

/// <summary>One version of a key, as a reader sees it. Borrowed: of a version in memory the spans live only as long as the store's reader
/// (the epoch) they were read in; of a version in a table they hold their block.</summary>
internal readonly ref struct VersionView
{
    /// <summary>Bytes of a content reference: position u64, length u32, CRC-32C u32.</summary>
    internal const int ContentReferenceBytes = 16;

    internal VersionView(
        ReadOnlySpan<byte> value, ulong sequence, ulong created, long time, long expiry, bool isTombstone, bool isContent = false)
    {
        Value = value;
        Sequence = sequence;
        Created = created;
        Time = time;
        Expiry = expiry;
        IsTombstone = isTombstone;
        IsContent = isContent;
    }

    /// <summary>The stored bytes; a tombstone may carry some too (the counter of a deleted state cell).</summary>
    internal ReadOnlySpan<byte> Value { get; }

    /// <summary>Sequence of the commit that wrote this version.</summary>
    internal ulong Sequence { get; }

    /// <summary>Sequence of the commit that created the key in its present life (equal to <see cref="Sequence"/> for the first
    /// version).</summary>
    internal ulong Created { get; }

    /// <summary>Commit time of <see cref="Sequence"/>, microseconds since 1970.</summary>
    internal long Time { get; }

    /// <summary>Absolute expiry in microseconds since 1970; 0 = never.</summary>
    internal long Expiry { get; }

    internal bool IsTombstone { get; }

    /// <summary>The value is the reference of a content in the log, <see cref="ContentReferenceBytes"/> long.</summary>
    internal bool IsContent { get; }

    /// <summary>A tombstone that leaves nothing behind.</summary>
    internal bool IsPlainTombstone => IsTombstone && Value.Length == 0;

    /// <summary>Live at a time: not a tombstone and not expired (TTL-4: an expired newest version hides older ones).</summary>
    internal bool IsLiveAt(long time) => !IsTombstone && (Expiry == 0 || Expiry > time);
}
