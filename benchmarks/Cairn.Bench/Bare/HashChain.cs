using System.Buffers.Binary;
using System.Security.Cryptography;

namespace Cairn.Bench.Bare;

/// <summary>
/// The least a hash-chained append can do: SHA-256 of salt and payload, SHA-256 of number, type, time, that hash and the hash
/// before, then one write of as many bytes as Cairn's record has. No log, no store, no lock.
/// </summary>
internal sealed class HashChain
{
    private const int HashBytes = 32;
    private const int SaltBytes = 16;

    private readonly PrewrittenFile _file;
    private readonly byte[] _salted;
    private readonly byte[] _chained;
    private readonly byte[] _record;
    private readonly int _payloadHashAt;
    private ulong _number;

    internal HashChain(PrewrittenFile file, int typeBytes, int payloadBytes)
    {
        _file = file;
        _salted = new byte[SaltBytes + payloadBytes];
        _payloadHashAt = sizeof(ulong) + sizeof(uint) + typeBytes + sizeof(long);
        _chained = new byte[_payloadHashAt + 2 * HashBytes];
        _record = new byte[RecordBytes.Append(typeBytes, payloadBytes)];
    }

    internal void Append(ReadOnlySpan<byte> payload)
    {
        payload.CopyTo(_salted.AsSpan(SaltBytes));
        SHA256.HashData(_salted, _chained.AsSpan(_payloadHashAt, HashBytes));
        BinaryPrimitives.WriteUInt64LittleEndian(_chained, _number++);
        var chain = _chained.AsSpan(_payloadHashAt + HashBytes);
        SHA256.HashData(_chained, chain);
        chain.CopyTo(_record);
        payload.CopyTo(_record.AsSpan(_record.Length - payload.Length));
        _file.Append(_record);
    }
}
