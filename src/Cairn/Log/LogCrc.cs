using System.Buffers.Binary;
using System.Numerics;

namespace Cairn.Log;

/// <summary>CRC-32C until the codec's own lands; same shape.</summary>
internal static class LogCrc
{
    internal const uint Start = 0xFFFF_FFFF;

    internal static uint Append(uint state, ReadOnlySpan<byte> bytes)
    {
        while (bytes.Length >= 8)
        {
            state = BitOperations.Crc32C(state, BinaryPrimitives.ReadUInt64LittleEndian(bytes));
            bytes = bytes[8..];
        }

        foreach (var value in bytes)
            state = BitOperations.Crc32C(state, value);
        return state;
    }

    internal static uint Finish(uint state) => ~state;
}
