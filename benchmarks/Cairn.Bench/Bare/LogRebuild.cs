using System.Buffers.Binary;
using System.Numerics;
using System.Text;

namespace Cairn.Bench.Bare;

/// <summary>
/// The least a replay can do: read a file of records, check each by CRC-32C, rebuild a presized dictionary. A record, as long as
/// Cairn's for the same put:
/// <code>
/// 0  u32  checksum   CRC-32C of the rest
/// 4  u32  key length
/// 8       key, value, zeros
/// </code>
/// </summary>
internal static class LogRebuild
{
    private const int HeaderBytes = 8;

    internal static void Write(string path, ReadOnlySpan<string> keys, ReadOnlySpan<byte> value, int recordBytes)
    {
        using var file = new FileStream(path, FileMode.Create, FileAccess.Write, FileShare.None, 1 << 20);
        var record = new byte[recordBytes];
        foreach (var key in keys)
        {
            var keyBytes = Encoding.UTF8.GetBytes(key, record.AsSpan(HeaderBytes));
            value.CopyTo(record.AsSpan(HeaderBytes + keyBytes));
            BinaryPrimitives.WriteInt32LittleEndian(record.AsSpan(4), keyBytes);
            BinaryPrimitives.WriteUInt32LittleEndian(record, Checksum(record.AsSpan(4)));
            file.Write(record);
        }
    }

    internal static Dictionary<string, byte[]> Read(string path, int count, int valueBytes, int recordBytes)
    {
        var values = new Dictionary<string, byte[]>(count);
        var log = File.ReadAllBytes(path);
        for (var at = 0; at < log.Length; at += recordBytes)
        {
            var record = log.AsSpan(at, recordBytes);
            if (Checksum(record[4..]) != BinaryPrimitives.ReadUInt32LittleEndian(record))
                throw new InvalidDataException($"The record at {at} fails its check.");
            var keyBytes = BinaryPrimitives.ReadInt32LittleEndian(record[4..]);
            var key = Encoding.UTF8.GetString(record.Slice(HeaderBytes, keyBytes));
            values[key] = record.Slice(HeaderBytes + keyBytes, valueBytes).ToArray();
        }

        return values;
    }

    private static uint Checksum(ReadOnlySpan<byte> bytes)
    {
        var checksum = uint.MaxValue;
        for (; bytes.Length >= sizeof(ulong); bytes = bytes[sizeof(ulong)..])
            checksum = BitOperations.Crc32C(checksum, BinaryPrimitives.ReadUInt64LittleEndian(bytes));
        foreach (var b in bytes)
            checksum = BitOperations.Crc32C(checksum, b);
        return ~checksum;
    }
}
