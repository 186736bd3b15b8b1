using System.Runtime.CompilerServices;
using Cairn.Codec;
using Cairn.Content;

namespace Cairn.Tables;

/// <summary>One version of a key, as a reader sees it. Borrowed: of a version in memory the spans live only as long as the store's reader
/// (the epoch) they were read in; of a version in a table they hold their block. A large value may be read from the log when it is asked
/// for (<see cref="ContentStore"/>): ask once.</summary>
internal readonly ref struct VersionView
{
    private readonly ReadOnlySpan<byte> _stored;
    private readonly ContentStore? _content;

    /// <param name="stored">The value; of a content its reference, and behind it the bytes if they are at hand.</param>
    /// <param name="content">Where a content is read whose bytes are not at hand. Null = it is not asked for its value.</param>
    internal VersionView(
        ReadOnlySpan<byte> stored, ulong sequence, ulong created, long time, long expiry, bool isTombstone, bool isContent = false,
        ContentStore? content = null)
    {
        _stored = stored;
        _content = content;
        Sequence = sequence;
        Created = created;
        Time = time;
        Expiry = expiry;
        IsTombstone = isTombstone;
        IsContent = isContent;
    }

    /// <summary>The value; a tombstone may carry some bytes too (the counter of a deleted state cell).</summary>
    /// <exception cref="CorruptionException">A content whose bytes are not what was written.</exception>
    internal ReadOnlySpan<byte> Value
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => IsContent ? ContentValue() : _stored;
    }

    /// <summary>Length of the value, without reading it.</summary>
    internal int ValueLength => IsContent ? Reference.Length : _stored.Length;

    /// <summary>Asking for the value reads no file but by a miss of the cache; false: it may.</summary>
    internal bool IsValueAtHand => !IsContent || _stored.Length > ContentReference.Size;

    /// <summary>Whether the value is these bytes; looks no further than it must.</summary>
    internal bool HasValue(ReadOnlySpan<byte> value) =>
        ValueLength == value.Length && (!IsContent || Crc32C.Of(value) == Reference.Check) && Value.SequenceEqual(value);

    /// <summary>Sequence of the commit that wrote this version.</summary>
    internal ulong Sequence { get; }

    /// <summary>Sequence of the commit that created the key in its present life (of the first version, <see cref="Sequence"/>).</summary>
    internal ulong Created { get; }

    /// <summary>Commit time of <see cref="Sequence"/>, microseconds since 1970.</summary>
    internal long Time { get; }

    /// <summary>Absolute expiry in microseconds since 1970; 0 = never.</summary>
    internal long Expiry { get; }

    internal bool IsTombstone { get; }

    /// <summary>The value stands in the log, and what is stored is a reference.</summary>
    internal bool IsContent { get; }

    /// <summary>Where the value stands; of a content only.</summary>
    internal ContentReference Reference => ContentReference.Read(_stored);

    /// <summary>What a table keeps: the value, or <see cref="ContentReference.Size"/> bytes of reference.</summary>
    internal ReadOnlySpan<byte> Stored => IsContent ? _stored[..ContentReference.Size] : _stored;

    /// <summary>A tombstone that leaves nothing behind.</summary>
    internal bool IsPlainTombstone => IsTombstone && _stored.Length == 0;

    /// <summary>Live at a time: not a tombstone and not expired (TTL-4: an expired newest version hides older ones).</summary>
    internal bool IsLiveAt(long time) => !IsTombstone && (Expiry == 0 || Expiry > time);

    /// <summary>The same, with contents read from here.</summary>
    internal VersionView ReadingFrom(ContentStore? content) =>
        new(_stored, Sequence, Created, Time, Expiry, IsTombstone, IsContent, content);

    /// <summary>The value for a scan, which reads each once: it does not come into the cache.</summary>
    /// <param name="buffer">Room that is used again from value to value; what is returned may lie in it.</param>
    /// <exception cref="CorruptionException">A content whose bytes are not what was written.</exception>
    internal ReadOnlySpan<byte> ValueOnce(ref byte[] buffer)
    {
        if (!IsContent || _stored.Length > ContentReference.Size)
            return Value;
        Invariant.Check(_content is not null, "who asks for the value of a content has said where contents are read");
        return _content.ReadOnce(Reference, Sequence, ref buffer);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private ReadOnlySpan<byte> ContentValue()
    {
        if (_stored.Length > ContentReference.Size)
            return _stored[ContentReference.Size..];
        Invariant.Check(_content is not null, "who asks for the value of a content has said where contents are read");
        return _content.Read(Reference, Sequence);
    }
}
