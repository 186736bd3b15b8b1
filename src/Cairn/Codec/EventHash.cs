using System.Buffers.Binary;
using System.Security.Cryptography;

namespace Cairn.Codec;

/// <summary>The hash chain of a run's events (EV-3, EV-4): the one routine behind commit, verify, replay and export.</summary>
/// <remarks>
/// The payload enters through a hash of its own, salted, so that a redaction can remove payload and salt and leave the chain
/// verifiable, and so that nobody can guess a short payload from its hash. An event's hash is SHA-256 (FIPS 180-4) over<code>
///  0       u64  number         little-endian, from 0
///  8       u32  type length T  bytes of UTF-8
/// 12       T    type
/// 12 + T   i64  time           commit time, microseconds since 1970
/// 20 + T   32   payload hash   SHA-256 of salt (16 bytes), then the canonical payload
/// 52 + T   32   previous hash  of event number - 1; zeros for the first </code>
/// Nothing here allocates.
/// </remarks>
internal static class EventHash
{
    /// <summary>Bytes of a hash.</summary>
    internal const int Size = SHA256.HashSizeInBytes;

    /// <summary>Bytes of the salt before a payload.</summary>
    internal const int SaltSize = 16;

    private const int FixedBytes = sizeof(ulong) + sizeof(uint) + sizeof(long) + Size + Size;
    private const int StackBytesMax = 1024;

    private static readonly byte[] Zeros = new byte[Size];

    [ThreadStatic]
    private static IncrementalHash? _incremental;

    /// <summary>The previous hash of a run's first event: 32 zero bytes.</summary>
    internal static ReadOnlySpan<byte> BeforeFirst => Zeros;

    /// <summary>The payload hash when salt and payload lie side by side, as they do in the log.</summary>
    /// <param name="saltAndPayload">16 bytes of salt, then the canonical payload.</param>
    /// <param name="payloadHash">Takes 32 bytes.</param>
    internal static void OfPayload(ReadOnlySpan<byte> saltAndPayload, Span<byte> payloadHash)
    {
        Invariant.Check(saltAndPayload.Length > SaltSize, "an event's payload has a salt before it");
        SHA256.HashData(saltAndPayload, payloadHash);
    }

    /// <summary>The payload hash when salt and payload lie apart.</summary>
    /// <param name="salt">16 bytes.</param>
    /// <param name="payload">The canonical payload.</param>
    /// <param name="payloadHash">Takes 32 bytes.</param>
    internal static void OfPayload(ReadOnlySpan<byte> salt, ReadOnlySpan<byte> payload, Span<byte> payloadHash)
    {
        Invariant.Check(salt.Length == SaltSize, "an event's salt has 16 bytes");
        if (payload.Length <= StackBytesMax - SaltSize)
        {
            Span<byte> joined = stackalloc byte[StackBytesMax];
            salt.CopyTo(joined);
            payload.CopyTo(joined[SaltSize..]);
            SHA256.HashData(joined[..(SaltSize + payload.Length)], payloadHash);
            return;
        }

        var hash = _incremental ??= IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(salt);
        hash.AppendData(payload);
        hash.GetHashAndReset(payloadHash);
    }

    /// <summary>The hash of an event.</summary>
    /// <param name="number">Its number in the run, from 0.</param>
    /// <param name="type">Its type as UTF-8, 1 to <see cref="Limits.NameBytesMax"/> bytes.</param>
    /// <param name="time">Its commit time in microseconds since 1970.</param>
    /// <param name="payloadHash">32 bytes, from <see cref="OfPayload(ReadOnlySpan{byte}, Span{byte})"/>.</param>
    /// <param name="previousHash">32 bytes: the hash of the event before, or <see cref="BeforeFirst"/>.</param>
    /// <param name="hash">Takes 32 bytes; may be the memory of <paramref name="previousHash"/>.</param>
    internal static void OfEvent(ulong number, ReadOnlySpan<byte> type, long time, ReadOnlySpan<byte> payloadHash,
        ReadOnlySpan<byte> previousHash, Span<byte> hash)
    {
        Invariant.Check(type.Length is > 0 and <= Limits.NameBytesMax, "an event's type has 1 to 256 bytes");
        Invariant.Check(payloadHash.Length == Size && previousHash.Length == Size, "a hash has 32 bytes");

        Span<byte> input = stackalloc byte[FixedBytes + Limits.NameBytesMax];
        BinaryPrimitives.WriteUInt64LittleEndian(input, number);
        BinaryPrimitives.WriteUInt32LittleEndian(input[8..], (uint)type.Length);
        type.CopyTo(input[12..]);
        var rest = input[(12 + type.Length)..];
        BinaryPrimitives.WriteInt64LittleEndian(rest, time);
        payloadHash.CopyTo(rest[8..]);
        previousHash.CopyTo(rest[(8 + Size)..]);
        SHA256.HashData(input[..(FixedBytes + type.Length)], hash);
    }
}
