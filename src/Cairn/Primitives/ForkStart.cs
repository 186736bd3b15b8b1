using System.Buffers.Binary;
using Cairn.Codec;
using Cairn.Store;

namespace Cairn.Primitives;

/// <summary>
/// Where a fork begins: what Apply must know of the parent besides that it is read through to, so that it asks for no state but the fork's
/// own (REC-1). A hole in the operation's body, filled under the parent's lock. Layout, little-endian: <code>
///  0  u64  sequence     at which the fork has what its parent had; all ones until it is filled: the parent's last one
///  8  u64  position     of the parent's newest record when the fork is made; all ones = none
/// 16  u64  next event   number that the fork's first event gets
/// 24  32   event head   hash of the newest event that the fork has </code></summary>
internal readonly record struct ForkStart(ulong Sequence, ulong Position, ulong NextEvent, Hash256 EventHead)
{
    internal const int Size = 56;

    /// <summary>The member of the body.</summary>
    internal static ReadOnlySpan<byte> Member => "from"u8;

    private const int HeaderBytes = 2;                       // of a short byte string

    /// <summary>Not known yet.</summary>
    internal static ForkStart Open => new(ulong.MaxValue, ulong.MaxValue, 0, default);

    /// <summary>Where a fork of a past point begins, but for the position. A few reads of the parent's events.</summary>
    /// <param name="numbers">Of the parent, when everything up to the point was applied.</param>
    /// <returns>Null: the events do not tell, since retention has let go of those at the point.</returns>
    /// <exception cref="CorruptionException">An event cannot be read.</exception>
    internal static ForkStart? OfPast(RunState parent, in RunNumbers numbers, ulong point)
    {
        using var reader = parent.Store.Read();
        var isTrimmed = reader.TryGetNewest(TrimFloor.Key, out var version);
        var floor = isTrimmed ? TrimFloor.Read(version.Value) : default;
        var trimmedAt = isTrimmed ? version.Sequence : 0;
        var (low, high) = (floor.Number, numbers.NextEvent);
        Span<byte> key = stackalloc byte[EventReader.KeyBytes];
        while (low < high)
        {
            var middle = low + (high - low) / 2;
            if (!reader.TryGetNewest(StoreKeys.Of(key, StoreKeys.Event, middle), out var found) || found.IsTombstone)
                return null;                                 // trimmed meanwhile
            if (found.Created <= point)
                low = middle + 1;
            else
                high = middle;
        }

        if (low == floor.Number)
            return trimmedAt <= point ? new ForkStart(point, RunState.NoPosition, low, floor.Before) : null;
        if (!reader.TryGetNewest(StoreKeys.Of(key, StoreKeys.Event, low - 1), out var newest) || newest.IsTombstone)
            return null;
        EventReader.Read(newest, out var last, out _, out _);
        return new ForkStart(point, RunState.NoPosition, low, last.Hash);
    }

    internal Value ToValue()
    {
        Span<byte> bytes = stackalloc byte[Size];
        Write(bytes);
        return Value.Bytes(bytes);
    }

    internal static bool TryRead(in Fields body, out ForkStart start)
    {
        start = default;
        if (body.Any("from") is not { Kind: ValueKind.Bytes } value || value.AsBytes() is not { Length: Size } bytes)
            return false;
        start = Read(bytes.Span);
        return true;
    }

    private static ForkStart Read(ReadOnlySpan<byte> source) => new(
        BinaryPrimitives.ReadUInt64LittleEndian(source),
        BinaryPrimitives.ReadUInt64LittleEndian(source[8..]),
        BinaryPrimitives.ReadUInt64LittleEndian(source[16..]),
        new Hash256(source.Slice(24, Hash256.Size)));

    /// <summary>Fills the hole in a body.</summary>
    internal void Fill(Span<byte> body)
    {
        var isThere = ValueDecoder.TryFindMember(body, Member, out var member) && member.Length == HeaderBytes + Size;
        Invariant.Check(isThere && ((ReadOnlySpan<byte>)body).Overlaps(member, out _), "a fork says where it begins");
        ((ReadOnlySpan<byte>)body).Overlaps(member, out var offset);
        Write(body[(offset + HeaderBytes)..]);
    }

    private void Write(Span<byte> target)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(target, Sequence);
        BinaryPrimitives.WriteUInt64LittleEndian(target[8..], Position);
        BinaryPrimitives.WriteUInt64LittleEndian(target[16..], NextEvent);
        EventHead.CopyTo(target[24..]);
    }
}
