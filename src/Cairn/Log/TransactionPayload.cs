using System.Buffers.Binary;

namespace Cairn.Log;

/// <summary>A payload behind right checks is not what the format says. At recovery that is corruption, never skipped (4.5); where the
/// format may have grown, <see cref="IsUnknown"/> makes it a refusal by name.</summary>
internal sealed class MalformedPayloadException(string expected, bool isUnknown = false) : Exception($"Malformed payload: {expected}")
{
    internal string Expected { get; } = expected;

    internal bool IsUnknown { get; } = isUnknown;
}

/// <summary>Reads the payload of a transaction record: commit time, attributes, one part per run, operations. Structure only; what an
/// operation means is not known here. Total: any bytes give parts or <see cref="MalformedPayloadException"/>, and every length is
/// checked before it is used. Layout, little-endian: <code>
///  0       i64  commit time       microseconds since 1970
///  8       u32  attribute bytes   A, 0 = none
/// 12       u32  run parts         at least 1
/// 16       A    attributes        a canonical MessagePack object
/// 16 + A   ...  the run parts, ascending by run id </code></summary>
internal ref struct TransactionPayload
{
    internal const int FixedBytes = 16;

    private ReadOnlySpan<byte> _rest;
    private uint _left;
    private RunId _lastRun;

    /// <exception cref="MalformedPayloadException">Too short for its own lengths.</exception>
    internal TransactionPayload(ReadOnlySpan<byte> payload)
    {
        if (payload.Length < FixedBytes)
            throw new MalformedPayloadException("a transaction of at least 16 bytes");
        CommitTime = ReadCommitTime(payload);
        var attributeBytes = BinaryPrimitives.ReadUInt32LittleEndian(payload[8..]);
        _left = BinaryPrimitives.ReadUInt32LittleEndian(payload[12..]);
        if (attributeBytes > (uint)(payload.Length - FixedBytes))
            throw new MalformedPayloadException("attributes that end inside the payload");
        if (_left == 0)
            throw new MalformedPayloadException("at least one run part");
        Attributes = payload.Slice(FixedBytes, (int)attributeBytes);
        _rest = payload[(FixedBytes + (int)attributeBytes)..];
        RunParts = _left;
    }

    /// <summary>Microseconds since 1970.</summary>
    internal long CommitTime { get; }

    internal ReadOnlySpan<byte> Attributes { get; }

    internal uint RunParts { get; }

    /// <summary>The commit time alone; the payload has at least <see cref="FixedBytes"/>.</summary>
    internal static long ReadCommitTime(ReadOnlySpan<byte> payload) => BinaryPrimitives.ReadInt64LittleEndian(payload);

    /// <summary>The next run part.</summary>
    /// <returns>False behind the last one.</returns>
    /// <exception cref="MalformedPayloadException">It is not whole, out of order, or bytes follow the last one.</exception>
    internal bool MoveNext(out RunPart part)
    {
        if (_left == 0)
        {
            if (_rest.Length != 0)
                throw new MalformedPayloadException("nothing behind the last run part");
            part = default;
            return false;
        }

        part = new RunPart(_rest, out var bytes);
        if (_left != RunParts && part.Run <= _lastRun)
            throw new MalformedPayloadException("run parts ascending by run id");
        _lastRun = part.Run;
        _rest = _rest[bytes..];
        _left--;
        return true;
    }

    /// <summary>Walks the whole payload.</summary>
    /// <exception cref="MalformedPayloadException">Somewhere it is not what the format says.</exception>
    internal static void Check(ReadOnlySpan<byte> payload)
    {
        var transaction = new TransactionPayload(payload);
        while (transaction.MoveNext(out var part))
        {
            while (part.MoveNext(out _))
            {
            }
        }
    }
}

/// <summary>The part of a transaction that belongs to one run. Layout, little-endian: <code>
///  0  16   run id            network order
/// 16  u64  previous          position of the run's previous record; all ones = none
/// 24  u32  operations        N, at least 1
/// 28  u32  operation bytes   L
/// 32  L    the operations, one after another </code></summary>
internal ref struct RunPart
{
    internal const int FixedBytes = 32;

    /// <summary>In place of a previous position: the run has no record before this one.</summary>
    internal const ulong NoPrevious = ulong.MaxValue;

    private ReadOnlySpan<byte> _rest;
    private uint _left;

    internal RunPart(ReadOnlySpan<byte> source, out int bytes)
    {
        if (source.Length < FixedBytes)
            throw new MalformedPayloadException("a run part of at least 32 bytes");
        Run = RunId.Read(source);
        Previous = BinaryPrimitives.ReadUInt64LittleEndian(source[16..]);
        Operations = BinaryPrimitives.ReadUInt32LittleEndian(source[24..]);
        var operationBytes = BinaryPrimitives.ReadUInt32LittleEndian(source[28..]);
        if (operationBytes > (uint)(source.Length - FixedBytes))
            throw new MalformedPayloadException("operations that end inside the payload");
        if (Operations == 0)
            throw new MalformedPayloadException("at least one operation in a run part");
        bytes = FixedBytes + (int)operationBytes;
        _rest = source[FixedBytes..bytes];
        _left = Operations;
    }

    internal RunId Run { get; }

    /// <summary>The operations that are left.</summary>
    internal readonly ReadOnlySpan<byte> Bytes => _rest;

    /// <summary>Position of the run's previous record, or <see cref="NoPrevious"/>.</summary>
    internal ulong Previous { get; }

    internal uint Operations { get; }

    /// <summary>The next operation.</summary>
    /// <returns>False behind the last one.</returns>
    /// <exception cref="MalformedPayloadException">It is not whole, or bytes follow the last one.</exception>
    internal bool MoveNext(out Operation operation)
    {
        if (_left == 0)
        {
            if (_rest.Length != 0)
                throw new MalformedPayloadException("nothing behind the last operation of a run part");
            operation = default;
            return false;
        }

        operation = new Operation(_rest, out var bytes);
        _rest = _rest[bytes..];
        _left--;
        return true;
    }
}

/// <summary>One operation. Layout, little-endian: <code>
///  0      u8   code
///  1      u8   flags        bit 0 = the body begins with an expiry
///  2      u16  key bytes    K
///  4      u32  body bytes   B
///  8      K    key
///  8 + K  B    body </code></summary>
internal readonly ref struct Operation
{
    internal const int FixedBytes = 8;

    internal const byte HasExpiryFlag = 1;

    private const int ExpiryBytes = 8;

    internal Operation(ReadOnlySpan<byte> source, out int bytes)
    {
        if (source.Length < FixedBytes)
            throw new MalformedPayloadException("an operation of at least 8 bytes");
        Code = source[0];
        Flags = source[1];
        var keyBytes = BinaryPrimitives.ReadUInt16LittleEndian(source[2..]);
        var bodyBytes = BinaryPrimitives.ReadUInt32LittleEndian(source[4..]);
        if (Code == 0)
            throw new MalformedPayloadException("an operation code; 00 is none");
        if ((Flags & ~HasExpiryFlag) != 0)
            throw new MalformedPayloadException($"operation flags 0x{Flags:X2}", isUnknown: true);
        if (keyBytes > Limits.KeyBytesMax)
            throw new MalformedPayloadException($"a key of at most {Limits.KeyBytesMax} bytes, not {keyBytes}");
        if (keyBytes + (long)bodyBytes > source.Length - FixedBytes)
            throw new MalformedPayloadException("an operation that ends inside its run part");
        if (HasExpiry && bodyBytes < ExpiryBytes)
            throw new MalformedPayloadException("an expiry at the head of the body");
        bytes = FixedBytes + keyBytes + (int)bodyBytes;
        Key = source.Slice(FixedBytes, keyBytes);
        FullBody = source[(FixedBytes + keyBytes)..bytes];
        Bytes = source[..bytes];
    }

    /// <summary>The whole operation as it stands in the record.</summary>
    internal ReadOnlySpan<byte> Bytes { get; }

    internal byte Code { get; }

    internal byte Flags { get; }

    internal ReadOnlySpan<byte> Key { get; }

    /// <summary>All of the body, with the expiry if it has one.</summary>
    internal ReadOnlySpan<byte> FullBody { get; }

    internal bool HasExpiry => (Flags & HasExpiryFlag) != 0;

    /// <summary>Absolute, microseconds since 1970; 0 = none. Negative, before a commit has its time: a time to live.</summary>
    internal long Expiry => HasExpiry ? BinaryPrimitives.ReadInt64LittleEndian(FullBody) : 0;

    /// <summary>The body behind the expiry.</summary>
    internal ReadOnlySpan<byte> Body => HasExpiry ? FullBody[ExpiryBytes..] : FullBody;

    /// <summary>Bytes of an operation with a key and a body of these lengths.</summary>
    internal static int Length(int keyBytes, int bodyBytes) => FixedBytes + keyBytes + bodyBytes;

    /// <summary>Writes header and key; returns the body to fill.</summary>
    internal static Span<byte> Write(Span<byte> target, byte code, byte flags, ReadOnlySpan<byte> key, int bodyBytes)
    {
        target[0] = code;
        target[1] = flags;
        BinaryPrimitives.WriteUInt16LittleEndian(target[2..], checked((ushort)key.Length));
        BinaryPrimitives.WriteInt32LittleEndian(target[4..], bodyBytes);
        key.CopyTo(target[FixedBytes..]);
        return target.Slice(FixedBytes + key.Length, bodyBytes);
    }

    /// <summary>Takes the next operation of a part that is still being built: its body has holes to fill.</summary>
    /// <param name="holes">The same bytes as <see cref="FullBody"/>, writable.</param>
    internal static bool TryTake(ref Span<byte> rest, out Operation operation, out Span<byte> holes)
    {
        if (rest.IsEmpty)
        {
            operation = default;
            holes = default;
            return false;
        }

        operation = new Operation(rest, out var bytes);
        holes = rest[(bytes - operation.FullBody.Length)..bytes];
        rest = rest[bytes..];
        return true;
    }
}
