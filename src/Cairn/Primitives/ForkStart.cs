using System.Buffers.Binary;
using Cairn.Codec;

namespace Cairn.Primitives;

/// <summary>
/// Where a fork begins: what Apply must know of the parent besides that it is read through to, so that it asks for no state but the fork's
/// own (REC-1). A hole in the operation's body, filled under the parent's lock. Layout, little-endian: <code>
///  0  u64  sequence     at which the fork has what its parent had; all ones until it is filled: the parent's last one
///  8  u64  position     of the parent's newest record up to there; all ones = none
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
