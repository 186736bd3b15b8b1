using System.Runtime.CompilerServices;
using Cairn.Content;

namespace Cairn.Store.Native;

/// <summary>What a key has in native memory. Stays in place as long as the key is in the run. Layout: <code>
/// 0  u64  word   bits 0-47 newest version, 48-62 length of the key, 63 waits to be removed, or is
/// 8       key    bytes, filled up to a multiple of 8
///                right behind it, if that was free, the entry's home: the place of its first version, which later ones move
///                into when they are the only one and as long </code>
/// A separator of the ordered index has the same layout, with no version.</summary>
internal static unsafe class Entry
{
    internal const int KeyOffset = 8;
    internal const int KeyBytesMax = 0x7FFF;
    internal const ulong PointerMask = 0x0000_FFFF_FFFF_FFFF;

    private const ulong QueuedBit = 1UL << 63;

    internal static int SizeFor(int keyLength) => (KeyOffset + keyLength + 7) & ~7;

    internal static int Size(byte* entry) => SizeFor((int)(*(ulong*)entry >> 48) & KeyBytesMax);

    internal static void Write(byte* entry, ReadOnlySpan<byte> key, byte* newest)
    {
        *(ulong*)entry = (ulong)newest | (ulong)key.Length << 48;
        key.CopyTo(new Span<byte>(entry + KeyOffset, key.Length));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static ReadOnlySpan<byte> Key(byte* entry) =>
        new(entry + KeyOffset, (int)(Volatile.Read(ref *(ulong*)entry) >> 48) & KeyBytesMax);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static byte* Newest(byte* entry) => (byte*)(Volatile.Read(ref *(ulong*)entry) & PointerMask);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void SetNewest(byte* entry, byte* version) =>
        Volatile.Write(ref *(ulong*)entry, (*(ulong*)entry & ~PointerMask) | (ulong)version);

    /// <summary>The place right behind the entry.</summary>
    internal static byte* Home(byte* entry) => entry + Size(entry);

    internal static bool IsQueued(byte* entry) => (*(ulong*)entry & QueuedBit) != 0;

    internal static void SetQueued(byte* entry, bool queued) =>
        Volatile.Write(ref *(ulong*)entry, queued ? *(ulong*)entry | QueuedBit : *(ulong*)entry & ~QueuedBit);
}

/// <summary>One version of a key. Layout: <code>
///  0  u64  sequence
///  8  i64  time      commit time, microseconds since 1970
/// 16  u64  word      bits 0-47 older version, 48-55 flags, 56-63 used lately; only the pointer changes after publication, with the
///                    address of a content's attached bytes, and the last byte, which readers set by itself: a mark that is lost to
///                    a change of the pointer is no harm
/// 24  u64  newer     newer version, or the entry with bit 0 set when this is the newest; only the writer looks
/// 32  u32  length    of the value
/// 36  u32  age       sequence - created; the longest one says that created stands below
/// 40  u64  created   only when it is that long ago
///     i64  expiry    only with its flag: otherwise 0, never
///          value     bytes; with the flag of a content: address of the attached bytes (0 = none), then the reference, 24 bytes </code>
/// An updated version is as long as a first one of the same value: so the block of the one serves the other.</summary>
internal static unsafe class Version
{
    internal const int HeaderBytes = 40;

    /// <summary>What a version keeps of a content: the address of its attached bytes, and its reference.</summary>
    internal const int ContentBytes = sizeof(ulong) + ContentReference.Size;

    internal const int SizeMax = HeaderBytes + 16 + (64 << 20);

    private const int HasCreated = 1, HasExpiry = 2, Tombstone = 4, Content = 8;
    private const uint LongAgo = uint.MaxValue;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static int SizeFor(int length, ulong age, bool hasExpiry) =>
        (HeaderBytes + length + (age >= LongAgo ? 8 : 0) + (hasExpiry ? 8 : 0) + 7) & ~7;

    internal static int Size(byte* version)
    {
        var flags = Flags(version);
        return SizeFor(Length(version), (flags & HasCreated) != 0 ? LongAgo : 0, (flags & HasExpiry) != 0);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Write(byte* version, ReadOnlySpan<byte> value, ulong sequence, ulong created, long time, long expiry,
        bool isTombstone, bool isContent = false)
    {
        var flags = (isTombstone ? Tombstone : 0) | (isContent ? Content : 0);
        var at = version + HeaderBytes;
        var age = sequence - created;
        if (age >= LongAgo)
        {
            age = LongAgo;
            flags |= HasCreated;
            Unsafe.WriteUnaligned(at, created);
            at += 8;
        }

        if (expiry != 0)
        {
            flags |= HasExpiry;
            Unsafe.WriteUnaligned(at, expiry);
            at += 8;
        }

        *(ulong*)version = sequence;
        *(long*)(version + 8) = time;
        *(ulong*)(version + 16) = (ulong)flags << 48;
        *(ulong*)(version + 24) = 0;
        *(int*)(version + 32) = value.Length;
        *(uint*)(version + 36) = (uint)age;
        value.CopyTo(new Span<byte>(at, value.Length));
    }

    /// <summary>Writes another version of the same size in its place, while nobody can look.</summary>
    internal static void Rewrite(
        byte* version, ReadOnlySpan<byte> value, ulong sequence, ulong created, long time, long expiry, bool isContent)
    {
        var older = Older(version);
        var newer = *(ulong*)(version + 24);
        Write(version, value, sequence, created, time, expiry, isTombstone: false, isContent);
        SetOlder(version, older);
        *(ulong*)(version + 24) = newer;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static ulong Sequence(byte* version) => *(ulong*)version;

    internal static long Time(byte* version) => *(long*)(version + 8);

    internal static int Length(byte* version) => *(int*)(version + 32);

    internal static bool IsTombstone(byte* version) => (Flags(version) & Tombstone) != 0;

    internal static bool IsContent(byte* version) => (Flags(version) & Content) != 0;

    /// <summary>The attached bytes of a content; null = they are in the log alone.</summary>
    internal static byte* Attached(byte* version) => (byte*)Volatile.Read(ref *(ulong*)Value(version));

    internal static void SetAttached(byte* version, byte* block) => Volatile.Write(ref *(ulong*)Value(version), (ulong)block);

    internal static ContentReference Reference(byte* version) =>
        ContentReference.Read(new ReadOnlySpan<byte>(Value(version) + sizeof(ulong), ContentReference.Size));

    /// <summary>A tombstone that leaves nothing behind: it goes, with its key, when no reader needs it.</summary>
    internal static bool IsPlainTombstone(byte* version) => IsTombstone(version) && Length(version) == 0;

    internal static ulong Created(byte* version) =>
        (Flags(version) & HasCreated) != 0 ? Unsafe.ReadUnaligned<ulong>(version + HeaderBytes) : Sequence(version) - *(uint*)(version + 36);

    internal static long Expiry(byte* version)
    {
        var flags = Flags(version);
        if ((flags & HasExpiry) == 0)
            return 0;
        return Unsafe.ReadUnaligned<long>(version + HeaderBytes + ((flags & HasCreated) != 0 ? 8 : 0));
    }

    internal static bool IsLiveAt(byte* version, long time)
    {
        if (IsTombstone(version))
            return false;
        var expiry = Expiry(version);
        return expiry == 0 || expiry > time;
    }

    internal static byte* Value(byte* version)
    {
        var flags = Flags(version);
        return version + HeaderBytes + ((flags & HasCreated) != 0 ? 8 : 0) + ((flags & HasExpiry) != 0 ? 8 : 0);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static byte* Older(byte* version) => (byte*)(Volatile.Read(ref *(ulong*)(version + 16)) & Entry.PointerMask);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void SetOlder(byte* version, byte* older) =>
        Volatile.Write(ref *(ulong*)(version + 16), (*(ulong*)(version + 16) & ~Entry.PointerMask) | (ulong)older);

    /// <summary>The newer version; not for the newest.</summary>
    internal static byte* Newer(byte* version) => (byte*)*(ulong*)(version + 24);

    internal static void SetNewer(byte* version, byte* newer) => *(ulong*)(version + 24) = (ulong)newer;

    /// <summary>The entry, if this is the newest version; otherwise null.</summary>
    internal static byte* EntryOfNewest(byte* version)
    {
        var word = *(ulong*)(version + 24);
        return (word & 1) != 0 ? (byte*)(word & ~1UL) : null;
    }

    /// <summary>It was looked up since the clock hand passed.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static bool IsUsed(byte* version) => version[23] != 0;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void SetUsed(byte* version, bool isUsed) => version[23] = isUsed ? (byte)1 : (byte)0;

    internal static void SetEntry(byte* version, byte* entry) => *(ulong*)(version + 24) = (ulong)entry | 1;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static VersionView View(byte* version, RunMemory memory)
    {
        var flags = Flags(version);
        var at = version + HeaderBytes;
        var created = Sequence(version) - *(uint*)(version + 36);
        var expiry = 0L;
        if ((flags & (HasCreated | HasExpiry | Content)) != 0)
        {
            if ((flags & HasCreated) != 0)
            {
                created = Unsafe.ReadUnaligned<ulong>(at);
                at += 8;
            }

            if ((flags & HasExpiry) != 0)
            {
                expiry = Unsafe.ReadUnaligned<long>(at);
                at += 8;
            }

            if ((flags & Content) != 0)
                return memory.ViewContent(version, at, created, expiry);
        }

        return new VersionView(new ReadOnlySpan<byte>(at, Length(version)), Sequence(version), created, Time(version), expiry,
            (flags & Tombstone) != 0);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int Flags(byte* version) => (int)(*(ulong*)(version + 16) >> 48);
}
