namespace Cairn.Store;

/// <summary>One version of a key, as a reader sees it. Borrowed: the spans live only as long as the <see cref="StoreReader"/>
/// (the epoch) they were read in.</summary>
internal readonly ref struct VersionView
{
    internal VersionView(ReadOnlySpan<byte> value, ulong sequence, ulong created, long time, long expiry, bool isTombstone)
    {
        Value = value;
        Sequence = sequence;
        Created = created;
        Time = time;
        Expiry = expiry;
        IsTombstone = isTombstone;
    }

    /// <summary>The stored bytes; a tombstone may carry some too (the counter of a deleted state cell).</summary>
    internal ReadOnlySpan<byte> Value { get; }

    /// <summary>Sequence of the commit that wrote this version.</summary>
    internal ulong Sequence { get; }

    /// <summary>Sequence of the commit that created the key in its present life (equal to <see cref="Sequence"/> for the first version).</summary>
    internal ulong Created { get; }

    /// <summary>Commit time of <see cref="Sequence"/>, microseconds since 1970.</summary>
    internal long Time { get; }

    /// <summary>Absolute expiry in microseconds since 1970; 0 = never.</summary>
    internal long Expiry { get; }

    internal bool IsTombstone { get; }

    /// <summary>Live at a time: not a tombstone and not expired (TTL-4: an expired newest version hides older ones).</summary>
    internal bool IsLiveAt(long time) => !IsTombstone && (Expiry == 0 || Expiry > time);
}
