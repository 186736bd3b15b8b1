using System.Buffers.Binary;

namespace Cairn.Store;

/// <summary>
/// One operation of a transaction, as it lies in the record: <code>
///  0      u8   code
///  1      u8   flags: bit 0 = the body begins with an absolute expiry, i64
///  2      u16  bytes of key K
///  4      u32  bytes of body B
///  8      K    key
///  8 + K  B    body </code>
/// The body may have holes (numbers, hashes, counters, results) that are filled under the run's lock; what is applied and what
/// is logged are the same bytes.
/// </summary>
internal readonly ref struct Operation
{
    internal const int HeaderSize = 8;
    internal const byte HasExpiry = 1;

    private Operation(OperationCode code, byte flags, ReadOnlySpan<byte> key, Span<byte> body)
    {
        Code = code;
        Flags = flags;
        Key = key;
        FullBody = body;
    }

    internal OperationCode Code { get; }

    internal byte Flags { get; }

    internal ReadOnlySpan<byte> Key { get; }

    /// <summary>The body with the expiry that may lead it.</summary>
    internal Span<byte> FullBody { get; }

    /// <summary>Absolute expiry in microseconds, 0 = never.</summary>
    internal long Expiry => (Flags & HasExpiry) == 0 ? 0 : BinaryPrimitives.ReadInt64LittleEndian(FullBody);

    /// <summary>Before it is applied, an expiry may be a negative time to live, because the commit time is not known earlier; then
    /// it becomes absolute (TTL-2).</summary>
    internal void MakeExpiryAbsolute(long time)
    {
        if ((Flags & HasExpiry) != 0 && Expiry < 0)
            BinaryPrimitives.WriteInt64LittleEndian(FullBody, time - Expiry);
    }

    /// <summary>The body behind the expiry.</summary>
    internal Span<byte> Body => (Flags & HasExpiry) == 0 ? FullBody : FullBody[8..];

    internal static int Length(int keyBytes, int bodyBytes) => HeaderSize + keyBytes + bodyBytes;

    /// <summary>Writes header and key; returns the body to fill.</summary>
    internal static Span<byte> Write(Span<byte> target, OperationCode code, byte flags, ReadOnlySpan<byte> key, int bodyBytes)
    {
        target[0] = (byte)code;
        target[1] = flags;
        BinaryPrimitives.WriteUInt16LittleEndian(target[2..], checked((ushort)key.Length));
        BinaryPrimitives.WriteInt32LittleEndian(target[4..], bodyBytes);
        key.CopyTo(target[HeaderSize..]);
        return target.Slice(HeaderSize + key.Length, bodyBytes);
    }

    /// <summary>Takes the operation at the head of <paramref name="rest"/>. False when the bytes are none.</summary>
    internal static bool TryRead(ref Span<byte> rest, out Operation operation)
    {
        operation = default;
        if (rest.Length < HeaderSize)
            return false;
        var key = BinaryPrimitives.ReadUInt16LittleEndian(rest[2..]);
        var body = BinaryPrimitives.ReadUInt32LittleEndian(rest[4..]);
        if (body > int.MaxValue || HeaderSize + key + (long)body > rest.Length)
            return false;
        var flags = rest[1];
        if ((flags & ~HasExpiry) != 0 || ((flags & HasExpiry) != 0 && body < 8))
            return false;
        operation = new Operation(
            (OperationCode)rest[0], flags, rest.Slice(HeaderSize, key), rest.Slice(HeaderSize + key, (int)body));
        rest = rest[(HeaderSize + key + (int)body)..];
        return true;
    }
}
